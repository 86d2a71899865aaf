//! Which rule of the configuration is one for a request, by the tables and fingerprints of its texts and by its client. It asks as a hint
//! does, and nobody is told where it is not granted: it is the operator's.

use super::connection::Client;
use super::wanted::texts;
use crate::config::{RouteRule, RuleRoute};
use crate::router::{Wish, is_for_client, is_for_text};
use crate::sql::Relation;

impl Client {
    /// What the first rule asks that is one for any text of a whole request.
    pub(super) fn ruled(&self, request: &[u8]) -> Option<Wish> {
        if self.rules.routes.is_empty() {
            return None;
        }
        let texts: Vec<&[u8]> = texts(self, request).collect();
        let mut of_hosts = self.rules.routes.iter().filter(|rule| !matches!(rule.route, RuleRoute::Database(_)));
        let rule = of_hosts.find(|rule| self.is_ruled(rule, &texts))?;
        Some(match &rule.route {
            RuleRoute::Primary => Wish::Primary,
            RuleRoute::Replica => Wish::Replica { stale: false },
            RuleRoute::ReplicaStale => Wish::Replica { stale: true },
            // Perhaps one of another database.
            RuleRoute::Host(name) => Wish::Host(self.shape.watch.as_ref()?.find(name)?),
            // That is decided before, see `client/elsewhere.rs`.
            RuleRoute::Database(_) => return None,
        })
    }

    fn is_ruled(&self, rule: &RouteRule, texts: &[&[u8]]) -> bool {
        let (database, user) = (self.presence.database(), self.presence.user());
        let application_name = self.settings.get(b"application_name").unwrap_or_default();
        if is_for_client(rule, database, Some(user.as_bytes()), Some(application_name)) != Some(true) {
            return false;
        }
        let reading = self.settings.reading();
        let by_text = |text: &&[u8]| {
            let facts = || self.pool.catalog().read(text, reading);
            let any = |is_it: &dyn Fn(&Relation) -> bool| facts().named_relations().iter().any(is_it);
            is_for_text(rule, || facts().fingerprint(text, reading), any)
        };
        rule.fingerprint.is_none() && rule.table.is_none() || texts.iter().any(by_text)
    }
}
