//! Which rule of the configuration is one for a request, by the tables and fingerprints of its texts and by its client. It asks as a hint
//! does, and nobody is told where it is not granted: it is the operator's.

use super::connection::Client;
use super::wanted::texts;
use crate::config::{RouteRule, RuleRoute};
use crate::router::Wish;
use crate::sql::{Fingerprint, Reading, Relation};

impl Client {
    /// What the first rule asks that is one for any text of a whole request.
    pub(super) fn ruled(&self, request: &[u8]) -> Option<Wish> {
        if self.rules.routes.is_empty() {
            return None;
        }
        let texts: Vec<&[u8]> = texts(self, request).collect();
        let rule = self.rules.routes.iter().find(|rule| self.is_ruled(rule, &texts))?;
        Some(match &rule.route {
            RuleRoute::Primary => Wish::Primary,
            RuleRoute::Replica => Wish::Replica { stale: false },
            RuleRoute::ReplicaStale => Wish::Replica { stale: true },
            // Perhaps one of another database.
            RuleRoute::Host(name) => Wish::Host(self.shape.watch.as_ref()?.find(name)?),
        })
    }

    fn is_ruled(&self, rule: &RouteRule, texts: &[&[u8]]) -> bool {
        let fits = |pattern: &Option<String>, name: &[u8]| {
            pattern.as_ref().is_none_or(|pattern| RouteRule::fits(pattern, name))
        };
        if !fits(&rule.user, self.presence.user().as_bytes())
            || !fits(&rule.application_name, self.settings.get(b"application_name").unwrap_or_default())
        {
            return false;
        }
        let reading = self.settings.reading();
        let by_text = |text: &&[u8]| {
            rule.fingerprint
                .is_none_or(|wanted| Fingerprint::of_text(text, reading).is_some_and(|found| found.0 == wanted))
                && rule.table.as_ref().is_none_or(|table| self.names(text, reading, table))
        };
        rule.fingerprint.is_none() && rule.table.is_none() || texts.iter().any(by_text)
    }

    /// Whether a text names a table that the pattern is one of. Without a schema it may be of any.
    fn names(&self, text: &[u8], reading: Reading, table: &str) -> bool {
        let (schema, name) = table.split_once('.').map_or((None, table), |(schema, name)| (Some(schema), name));
        let is_it = |relation: &Relation| {
            let in_schema = schema.zip(relation.schema.as_deref());
            RouteRule::fits(name, &relation.name) && in_schema.is_none_or(|(schema, own)| RouteRule::fits(schema, own))
        };
        self.pool.catalog().read(text, reading).named_relations().iter().any(is_it)
    }
}
