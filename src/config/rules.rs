//! `rules` of `[routing]`: which requests run where, by what they name and who sends them. Checks the form, and that each host that is
//! named is one of some database, and each database an entry.

use super::model::{Database, RouteRule, RuleRoute};
use super::section::{Section, Value, Wrong};
use super::values::{self, found};
use std::collections::BTreeMap;
use std::fmt;

/// Rules at most: each is looked at for each request.
const RULES_MAX: usize = 1000;

const ROUTES: &str = "\"primary\", \"replica\", \"replica stale\", \"host=NAME\" or \"database=NAME\"";

/// Reads them.
pub(super) fn rules(section: &mut Section<'_>, databases: &BTreeMap<String, Database>) -> Vec<RouteRule> {
    let Some(list) = section.raw("rules") else { return Vec::new() };
    let Some(items) = list.get_ref().as_array() else {
        let wrong =
            Wrong::new("a list", found(list)).with_help("rules = [{ table = \"audit_*\", route = \"primary\" }]");
        section.refuse("rules", list.span(), wrong);
        return Vec::new();
    };
    if items.len() > RULES_MAX {
        section.refuse("rules", list.span(), Wrong::new(format!("a list of at most {RULES_MAX} rules"), "more"));
        return Vec::new();
    }
    items.iter().filter_map(|item| rule(section, item, databases)).collect()
}

fn rule(outer: &mut Section<'_>, item: &Value<'_>, databases: &BTreeMap<String, Database>) -> Option<RouteRule> {
    let Some(table) = item.get_ref().as_table() else {
        let message = "each of `rules` must be a table".to_owned();
        outer.notes.add(item.span(), message, found(item), None);
        return None;
    };
    let mut section = Section::new(outer.notes, Some(table), "a rule", item.span());
    let (of_table, application_name) =
        (section.get("table", values::name), section.get("application_name", values::name));
    let (user, database) = (section.get("user", values::name), section.get("database", values::name));
    let fingerprint = section.get("fingerprint", fingerprint);
    let route = section.get("route", |value| route(value, databases));
    section.unknown_keys(|_| None);
    let conditions = ["table", "application_name", "user", "fingerprint", "database"];
    let leaves = matches!(route, Some(RuleRoute::Database(_)));
    for (wrong, help, label) in [
        (!section.has("route"), "a rule needs `route`", "without"),
        (
            conditions.iter().all(|key| !section.has(key)),
            "a rule needs one of `table`, `fingerprint`, `application_name`, `user`, `database`",
            "without",
        ),
        (leaves && !section.has("table"), "a rule that leads to another database needs `table`", "without"),
        (
            leaves && (section.has("fingerprint") || section.has("application_name")),
            "a rule that leads to another database knows `table`, `user` and `database`",
            "it has others",
        ),
    ] {
        if wrong {
            section.notes.add(item.span(), help.to_owned(), label, None);
        }
    }
    Some(RouteRule { database, table: of_table, fingerprint, application_name, user, route: route? })
}

/// 16 hexadecimal digits, as they are shown.
pub(super) fn fingerprint(value: &Value<'_>) -> Result<u64, Wrong> {
    let text = values::name(value)?;
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = if digits { u64::from_str_radix(&text, 16).ok() } else { None };
    number.ok_or_else(|| {
        Wrong::new("16 hexadecimal digits", "not these").with_help("pgotter explain shows the fingerprint of a text")
    })
}

fn route(value: &Value<'_>, databases: &BTreeMap<String, Database>) -> Result<RuleRoute, Wrong> {
    let text = values::name(value)?;
    Ok(match text.as_str() {
        "primary" => RuleRoute::Primary,
        "replica" => RuleRoute::Replica,
        "replica stale" => RuleRoute::ReplicaStale,
        other => {
            if let Some(name) = other.strip_prefix("database=") {
                let known = name != "*" && databases.contains_key(name);
                let wrong = || Wrong::new(ROUTES, "there is no such entry of [databases]");
                return known.then(|| RuleRoute::Database(name.to_owned())).ok_or_else(wrong);
            }
            let host = other.strip_prefix("host=").ok_or_else(|| Wrong::new(ROUTES, "none of these"))?;
            let is_it = |known: &super::Host| {
                known.host.eq_ignore_ascii_case(host)
                    || format!("{}:{}", known.host, known.port).eq_ignore_ascii_case(host)
            };
            if !databases.values().flat_map(|database| &database.hosts).any(is_it) {
                return Err(Wrong::new(ROUTES, "no database has this host"));
            }
            RuleRoute::Host(host.to_owned())
        }
    })
}

impl RouteRule {
    /// Whether it is one for clients of this database that have logged in as this user.
    pub fn is_for(&self, database: &str, user: &str) -> bool {
        let fits = |pattern: &Option<String>, name: &str| {
            pattern.as_ref().is_none_or(|pattern| Self::fits(pattern, name.as_bytes()))
        };
        fits(&self.database, database) && fits(&self.user, user)
    }

    /// Whether `pattern`, in which `*` stands for any characters, is that of a name.
    pub fn fits(pattern: &str, name: &[u8]) -> bool {
        let mut parts = pattern.as_bytes().split(|&byte| byte == b'*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some(at) = memchr::memmem::find(rest, part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

impl fmt::Display for RouteRule {
    /// As it is written in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = self.fingerprint.map(|fingerprint| format!("{fingerprint:016x}"));
        let route = Some(self.route.to_string());
        let members = [
            ("database", &self.database),
            ("table", &self.table),
            ("fingerprint", &fingerprint),
            ("application_name", &self.application_name),
            ("user", &self.user),
            ("route", &route),
        ];
        let given = members.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let given: Vec<_> = given.map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
        write!(f, "{{ {} }}", given.join(", "))
    }
}

/// As a string of TOML. What it cannot hold as it is becomes a space.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace(char::is_control, " "))
}

impl fmt::Display for RuleRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::Replica => f.write_str("replica"),
            Self::ReplicaStale => f.write_str("replica stale"),
            Self::Host(name) => write!(f, "host={name}"),
            Self::Database(name) => write!(f, "database={name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Patterns, and rules as they are written.

    use super::super::RuleRoute;
    use super::RouteRule;

    #[test]
    fn a_rule_is_shown_as_it_is_written() {
        let rule = RouteRule {
            database: None,
            table: Some("s.\"Audit\"_*".to_owned()),
            fingerprint: Some(0xa1),
            application_name: None,
            user: Some("app".to_owned()),
            route: RuleRoute::Host("pg-2:5433".to_owned()),
        };
        let written =
            r#"{ table = "s.\"Audit\"_*", fingerprint = "00000000000000a1", user = "app", route = "host=pg-2:5433" }"#;
        assert_eq!(rule.to_string(), written);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders*", "orders_2026", true),
            ("orders*", "order", false),
            ("*", "", true),
            ("a*b*c", "a-bb-c", true),
            ("a*b*c", "acb", false),
            ("*_log", "audit_log", true),
            ("*_log", "audit_logs", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(RouteRule::fits(pattern, name.as_bytes()), fits, "{pattern} {name}");
        }
    }
}
