//! Whether what a rule of the configuration says is so of a text and its client.

use crate::config::RouteRule;
use crate::sql::{Fingerprint, Relation};

/// Whether a text is one that the rule asks something for, by its `fingerprint` and whether `any` of the relations that it names is one.
pub fn is_for_text(
    rule: &RouteRule,
    fingerprint: impl FnOnce() -> Option<Fingerprint>,
    any: impl FnOnce(&dyn Fn(&Relation) -> bool) -> bool,
) -> bool {
    rule.fingerprint.is_none_or(|wanted| fingerprint().is_some_and(|found| found.0 == wanted))
        && rule.table.as_ref().is_none_or(|table| any(&|relation| is_table(table, relation)))
}

/// Whether that is so of whoever sends it, in the database that it has logged in to, as far as they are told: `user` and `application_name`.
/// `None`: what the rule wants to know is not.
pub fn is_for_client(
    rule: &RouteRule,
    database: &str,
    user: Option<&[u8]>,
    application_name: Option<&[u8]>,
) -> Option<bool> {
    let asked =
        [(&rule.database, Some(database.as_bytes())), (&rule.user, user), (&rule.application_name, application_name)];
    let mut answers = asked.map(|(pattern, name)| match (pattern, name) {
        (None, _) => Some(true),
        (Some(pattern), Some(name)) => Some(RouteRule::fits(pattern, name)),
        (Some(_), None) => None,
    });
    // One that is not so is enough.
    answers.sort_by_key(|answer| *answer != Some(false));
    answers.into_iter().find(|answer| *answer != Some(true)).unwrap_or(Some(true))
}

/// Without a schema in either it may be of any.
fn is_table(pattern: &str, relation: &Relation) -> bool {
    let (schema, name) = pattern.split_once('.').map_or((None, pattern), |(schema, name)| (Some(schema), name));
    let in_schema = schema.zip(relation.schema.as_deref());
    RouteRule::fits(name, &relation.name) && in_schema.is_none_or(|(schema, own)| RouteRule::fits(schema, own))
}

#[cfg(test)]
mod tests {
    //! Rules, and what they are for.
    use super::*;
    use crate::config::RuleRoute;
    use crate::sql::{Plain, Reading, read};

    fn rule(user: Option<&str>, application_name: Option<&str>, table: Option<&str>) -> RouteRule {
        let [user, application_name, table] = [user, application_name, table].map(|name| name.map(str::to_owned));
        RouteRule { database: None, table, fingerprint: None, application_name, user, route: RuleRoute::Primary }
    }

    #[test]
    fn of_a_client_that_is_not_told_nobody_knows_unless_the_rest_is_not_so() {
        let both = rule(Some("app"), Some("dash*"), None);
        let is_for = |user: Option<&str>, name: Option<&str>| {
            is_for_client(&both, "shop", user.map(str::as_bytes), name.map(str::as_bytes))
        };
        assert_eq!(is_for(Some("app"), Some("dashboard")), Some(true));
        assert_eq!(is_for(Some("app"), None), None);
        assert_eq!([is_for(Some("other"), None), is_for(None, Some("other"))], [Some(false); 2]);
        assert_eq!(is_for_client(&rule(None, None, None), "shop", None, None), Some(true));
    }

    #[test]
    fn a_table_is_named_with_its_schema_or_without() {
        let is_for = |table: &str, text: &str| {
            let facts = read(text.as_bytes(), Reading::default(), &Plain);
            let any = |is_it: &dyn Fn(&Relation) -> bool| facts.named_relations().iter().any(is_it);
            is_for_text(&rule(None, None, Some(table)), || None, any)
        };
        for (table, text, expected) in [
            ("audit_*", "SELECT * FROM audit_log", true),
            ("audit_*", "SELECT * FROM s.audit_log", true),
            ("s.audit_*", "SELECT * FROM audit_log", true),
            ("s.audit_*", "SELECT * FROM t.audit_log", false),
            ("audit_*", "SELECT * FROM orders", false),
        ] {
            assert_eq!(is_for(table, text), expected, "{table} {text}");
        }
    }
}
