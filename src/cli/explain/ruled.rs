//! Which of the configuration's rules is the one for a text. Those that want to know of a client what was not told are named besides.

use super::named::quoted;
use crate::config::{Host, RouteRule, RuleRoute};
use crate::router::{Wish, is_for_client, is_for_text};
use crate::sql::{Facts, Fingerprint, Relation};
use std::fmt::Write;

/// The rules of a configuration, and whose they are to be for.
#[derive(Default)]
pub struct Rules {
    /// In their order.
    pub rules: Vec<RouteRule>,
    /// The database that its client has logged in to.
    pub database: String,
    /// Those of the database.
    pub hosts: Vec<Host>,
    /// As which a client has logged in. `None`: it is not told.
    pub user: Option<String>,
    /// What it calls itself. As above.
    pub application_name: Option<String>,
}

/// A rule, with its number from 1 and its words.
struct Shown {
    number: usize,
    rule: String,
}

/// The rules for one text.
pub struct Ruled {
    decides: Option<(Shown, Option<Wish>)>,
    // In front of it, of clients that were not told.
    perhaps: Vec<Shown>,
    // Its tables are said to be in another entry of the configuration.
    leads: Vec<Shown>,
}

impl Ruled {
    pub fn of(rules: &Rules, facts: &Facts, fingerprint: Option<Fingerprint>) -> Self {
        let mut ruled = Self { decides: None, perhaps: Vec::new(), leads: Vec::new() };
        let named = facts.named_relations();
        let name = |name: &Option<String>| name.as_ref().map(|name| name.as_bytes().to_vec());
        let (user, application_name) = (name(&rules.user), name(&rules.application_name));
        for (at, rule) in rules.rules.iter().enumerate() {
            let shown = || Shown { number: at + 1, rule: rule.to_string() };
            // Of a name without a schema the search path decides, which is not known here.
            let by_path = matches!(rule.route, RuleRoute::Database(_))
                && rule.table.as_ref().is_some_and(|table| table.contains('.'));
            let any = |is_it: &dyn Fn(&Relation) -> bool| {
                named.iter().filter(|relation| !by_path || relation.schema.is_some()).any(is_it)
            };
            if !is_for_text(rule, || fingerprint, any) {
                continue;
            }
            match (is_for_client(rule, &rules.database, user.as_deref(), application_name.as_deref()), &rule.route) {
                (Some(true), RuleRoute::Database(entry)) if *entry == rules.database => (),
                (Some(true), RuleRoute::Database(_)) => ruled.leads.push(shown()),
                // The first one counts.
                _ if ruled.decides.is_some() => (),
                (Some(true), _) => ruled.decides = Some((shown(), wish(&rule.route, &rules.hosts))),
                (Some(false), _) => (),
                (None, _) => ruled.perhaps.push(shown()),
            }
        }
        ruled
    }

    /// What it asks for, if there is one and it can.
    pub fn wish(&self) -> Option<Wish> {
        self.decides.as_ref()?.1
    }

    /// A line each; `fate`: what becomes of the one that decides.
    pub fn plain(&self, fate: &str) -> String {
        let mut out = String::new();
        if let Some((Shown { number, rule }, wish)) = &self.decides {
            let fate = if wish.is_none() { " names no host of this database, or one of several" } else { fate };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "rule {number} {rule}{fate}");
        }
        for Shown { number, rule } in &self.leads {
            let _ = writeln!(out, "rule {number} {rule} says where its tables are");
        }
        for Shown { number, rule } in &self.perhaps {
            let _ = writeln!(out, "for some clients rule {number} {rule}");
        }
        out
    }

    /// Members of an object, with a comma in front.
    pub fn json(&self) -> String {
        let shown = |Shown { number, rule }: &Shown| format!("{{\"number\":{number},\"rule\":{}}}", quoted(rule));
        let decides = self.decides.as_ref().map_or("null".to_owned(), |(rule, _)| shown(rule));
        let list = |rules: &[Shown]| rules.iter().map(shown).collect::<Vec<_>>().join(",");
        let (perhaps, leads) = (list(&self.perhaps), list(&self.leads));
        format!(",\"rule\":{decides},\"rules_for_some\":[{perhaps}],\"rules_to_databases\":[{leads}]")
    }
}

/// The host that a rule names is supposed to be a replica, as one that a hint names is.
fn wish(route: &RuleRoute, hosts: &[Host]) -> Option<Wish> {
    Some(match route {
        RuleRoute::Primary => Wish::Primary,
        RuleRoute::Replica => Wish::Replica { stale: false },
        RuleRoute::ReplicaStale => Wish::Replica { stale: true },
        RuleRoute::Database(_) => return None,
        RuleRoute::Host(name) => {
            let is_named = |host: &&Host| {
                host.host.eq_ignore_ascii_case(name)
                    || format!("{}:{}", host.host, host.port).eq_ignore_ascii_case(name)
            };
            let mut named = hosts.iter().filter(is_named);
            named.next().filter(|_| named.next().is_none())?;
            Wish::Host(1)
        }
    })
}
