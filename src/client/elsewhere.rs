//! To which entry of `[databases]` the tables of a text belong: those that a rule sends elsewhere, and those of the client's own. By
//! the names in the text: no rule reaches behind a view or into a function.
//!
//! What is not certain is refused, and never guessed at: a row must not be written to the wrong cluster.

use super::connection::Client;
use super::guest::beyond_gathering;
use crate::config::{RouteRule, RuleRoute};
use crate::fault::{Blame, Fault, SqlState};
use crate::sql::{self, Facts, Name, Reading, Relation, Scanner, Token, Touches, Unsure};
use crate::wire::frame::{HEAD, Head, take_cstr};
use crate::wire::frontend::kind;

/// Where PostgreSQL looks by itself, if nobody has set it.
const USUAL_PATH: &[u8] = b"\"$user\", public";

/// Whose tables a text names. An entry is known by the place of a rule that leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// Nobody's: it may run in either.
    Nowhere,
    /// Those of the client's own database.
    Home,
    /// That entry's, and no others.
    There(usize),
}

/// Why that cannot be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// Tables of two entries. One is there.
    Mixed(usize),
    /// They may be there, or not.
    Unsure(usize),
    /// As that; the catalogs of both would tell, but are not known as they are now.
    Unread(usize),
    /// It is not all here.
    TooLong,
}

impl Belongs {
    /// Of both together.
    fn and(self, other: Self, same: impl Fn(usize, usize) -> bool) -> Result<Self, Misplaced> {
        match (self, other) {
            (Self::Nowhere, other) | (other, Self::Nowhere) => Ok(other),
            (Self::Home, Self::Home) => Ok(self),
            (Self::There(one), Self::There(other)) if same(one, other) => Ok(self),
            (Self::There(at), _) | (_, Self::There(at)) => Err(Misplaced::Mixed(at)),
        }
    }
}

/// What tells where a table is.
struct Map<'a> {
    rules: &'a [RouteRule],
    database: &'a str,
    user: &'a str,
    // None: nobody knows.
    path: Option<&'a [u8]>,
    // Whose name stands for "$user" in it.
    role: &'a str,
    // Whether an entry has a relation of this name in any schema, as far as is known.
    has: &'a dyn Fn(&str, &[u8]) -> Option<bool>,
}

/// How much of the search path a pattern fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnPath {
    All,
    Some,
    None,
}

impl Map<'_> {
    /// Those that lead to another entry for this client, with their tables.
    fn rules(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.rules.iter().enumerate().filter_map(|(at, rule)| {
            let RuleRoute::Database(entry) = &rule.route else { return None };
            let is_for = rule.is_for(self.database, self.user);
            rule.table.as_deref().filter(|_| is_for).map(|table| (at, entry.as_str(), table))
        })
    }

    fn entry(&self, at: usize) -> &str {
        match self.rules.get(at).map(|rule| &rule.route) {
            Some(RuleRoute::Database(entry)) => entry,
            _ => "",
        }
    }

    /// Of one table. The first rule that fits counts.
    fn place(&self, schema: Option<&[u8]>, name: &[u8]) -> Result<Belongs, Misplaced> {
        for (at, entry, table) in self.rules() {
            let (of_schema, of_name) = split(table);
            if !RouteRule::fits(of_name, name) {
                continue;
            }
            let fits = match (of_schema, schema) {
                (None, _) => true,
                (Some(pattern), Some(schema)) => RouteRule::fits(pattern, schema),
                (Some(pattern), None) => match self.on_path(pattern) {
                    OnPath::All => true,
                    OnPath::None => false,
                    OnPath::Some if entry == self.database => false,
                    OnPath::Some => match ((self.has)(entry, name), (self.has)(self.database, name)) {
                        (Some(false), _) => false,
                        (Some(true), Some(false)) => true,
                        (Some(true), Some(true)) => return Err(Misplaced::Unsure(at)),
                        (None, _) | (_, None) => return Err(Misplaced::Unread(at)),
                    },
                },
            };
            if fits {
                return Ok(if entry == self.database { Belongs::Home } else { Belongs::There(at) });
            }
        }
        Ok(Belongs::Home)
    }

    /// Whether it is one of PostgreSQL's catalogs, which every database has. A name that only looks like one of theirs is none if a rule
    /// is for it, and not for any name.
    fn is_postgresqls(&self, relation: &Relation) -> bool {
        let is_meant = |table: &str| {
            let (_, pattern) = split(table);
            pattern.bytes().any(|byte| byte != b'*') && RouteRule::fits(pattern, &relation.name)
        };
        match relation.schema.as_deref() {
            None => relation.name.starts_with(b"pg_") && !self.rules().any(|(_, _, table)| is_meant(table)),
            Some(schema) => matches!(schema, b"pg_catalog" | b"information_schema"),
        }
    }

    /// How many of the schemas in which an unqualified name is looked for the pattern fits.
    fn on_path(&self, pattern: &str) -> OnPath {
        let Some(schemas) = self.path.and_then(schemas) else { return OnPath::Some };
        let fits = |schema: &Vec<u8>| {
            let schema = if schema == b"$user" { self.role.as_bytes() } else { schema };
            RouteRule::fits(pattern, schema)
        };
        match schemas.iter().filter(|schema| fits(schema)).count() {
            0 => OnPath::None,
            all if all == schemas.len() => OnPath::All,
            _ => OnPath::Some,
        }
    }

    /// Of all of these.
    fn relations(&self, relations: &[Relation]) -> Result<Belongs, Misplaced> {
        let mut all = Belongs::Nowhere;
        for relation in relations.iter().filter(|relation| !self.is_postgresqls(relation)) {
            all = self.and(all, self.place(relation.schema.as_deref(), &relation.name)?)?;
        }
        Ok(all)
    }

    fn and(&self, one: Belongs, other: Belongs) -> Result<Belongs, Misplaced> {
        one.and(other, |one, other| self.entry(one) == self.entry(other))
    }

    /// Of a text of which it is not known where it names tables: if any name in it may be one of a table that is elsewhere, nobody knows.
    fn anything_in(&self, text: &[u8], reading: Reading, unsure: Option<Unsure>) -> Result<Belongs, Misplaced> {
        let (names, sure) = dotted_names(text, reading);
        for chain in &names {
            let parts = chain.windows(2).map(|pair| (Some(&*pair[0]), &*pair[1]));
            for (schema, name) in chain.first().map(|first| (None, &**first)).into_iter().chain(parts) {
                if let Belongs::There(at) = self.place(schema, name)? {
                    return Err(Misplaced::Unsure(at));
                }
            }
        }
        if sure.is_ok() && unsure.is_none() { Ok(Belongs::Home) } else { self.hidden_in(text) }
    }

    /// Of a text that cannot be read: whether its bytes may spell such a name.
    fn hidden_in(&self, text: &[u8]) -> Result<Belongs, Misplaced> {
        let escapes = memchr::memmem::find(text, b"&\"").is_some();
        for (at, _, table) in self.rules().filter(|(_, entry, _)| *entry != self.database) {
            let (of_schema, of_name) = split(table);
            let tells = of_schema.filter(|schema| self.on_path(schema) == OnPath::None).unwrap_or(of_name);
            let part = tells.split('*').max_by_key(|part| part.len()).unwrap_or_default();
            let is_there = text.windows(part.len().max(1)).any(|at| at.eq_ignore_ascii_case(part.as_bytes()));
            if part.is_empty() || is_there || escapes {
                return Err(Misplaced::Unsure(at));
            }
        }
        Ok(Belongs::Home)
    }

    /// Of a text with these facts. Without the text itself nothing can be looked for in it.
    fn text(&self, text: Option<&[u8]>, reading: Reading, facts: &Facts) -> Result<Belongs, Misplaced> {
        if matches!(facts.unsure, Some(Unsure::Unterminated | Unsure::Nonsense)) {
            // PostgreSQL says so, wherever it is. Letters right behind a number it takes up to version 14.
            return Ok(Belongs::Nowhere);
        }
        if facts.names_every_relation() {
            return self.relations(facts.named_relations());
        }
        match text {
            Some(text) => self.anything_in(text, reading, facts.unsure),
            None => Err(Misplaced::TooLong),
        }
    }
}

/// Whether names without a schema may mean other tables behind a text with these facts.
pub(super) fn bends_path(facts: &Facts) -> bool {
    facts.touches.any(Touches::ALL_SETTINGS.and(Touches::HIDDEN))
        || facts.all_names().any(|name| name == b"search_path")
}

/// Schema, if it has one, and name of a rule's table.
fn split(table: &str) -> (Option<&str>, &str) {
    table.split_once('.').map_or((None, table), |(schema, name)| (Some(schema), name))
}

/// All names in a text, keywords among them, each with those that follow it behind dots; and whether that is all.
fn dotted_names(text: &[u8], reading: Reading) -> (Vec<Vec<Name>>, Result<(), Unsure>) {
    let (mut names, mut dot, mut behind) = (Vec::<Vec<Name>>::new(), false, false);
    let mut take = |token: Token<'_>| match token {
        Token::Word { name, .. } => {
            match names.last_mut().filter(|_| dot) {
                Some(chain) => chain.push(name.into()),
                None => names.push(vec![name.into()]),
            }
            (dot, behind) = (false, true);
        }
        Token::Symbol(b'.') => (dot, behind) = (behind, false),
        _ => (dot, behind) = (false, false),
    };
    let mut scanner = Scanner::new(reading);
    scanner.feed(text, &mut take);
    let sure = scanner.finish(&mut take);
    (names, sure)
}

/// The schemas of a search path. `None`: it cannot be read, or names none. Source: `SplitIdentifierString` in PostgreSQL's
/// `src/backend/utils/adt/varlena.c`.
fn schemas(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut schemas, mut rest) = (Vec::new(), path.trim_ascii());
    while !rest.is_empty() {
        let mut schema = Vec::new();
        if let Some(mut quoted) = rest.strip_prefix(b"\"") {
            loop {
                let end = memchr::memchr(b'"', quoted)?;
                schema.extend_from_slice(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix(b"\"") {
                    Some(more) => {
                        schema.push(b'"');
                        quoted = more;
                    }
                    None => break,
                }
            }
            rest = quoted;
        } else {
            let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
            schema = rest[..end].trim_ascii().to_ascii_lowercase();
            rest = &rest[end..];
        }
        schemas.push(schema);
        rest = rest.trim_ascii_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(b",")?.trim_ascii_start();
        }
    }
    (!schemas.is_empty()).then_some(schemas)
}

impl Client {
    /// Has a look at the map for this client.
    fn on_map<T>(&self, bent: bool, look: impl FnOnce(&Map<'_>) -> T) -> T {
        let home = self.home_pool();
        let anew = self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.looks_anew);
        let has = |entry: &str, name: &[u8]| {
            let catalog = self.pool_of(entry)?.catalog();
            let known = catalog.known();
            let outdated = known.is_blank() || known.is_doubtful() || anew && catalog.may_be_read(self.now);
            (!outdated).then(|| known.names().has_relation(name))
        };
        let bent = bent || self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.path_bent);
        let path = self.settings.get(b"search_path").unwrap_or(USUAL_PATH);
        look(&Map {
            rules: &self.rules.routes,
            database: &home.database,
            user: self.presence.user(),
            path: (!bent).then_some(path),
            role: &home.user,
            has: &has,
        })
    }

    /// The entry that a rule leads to.
    pub(super) fn entry_of(&self, rule: usize) -> &str {
        match self.rules.routes.get(rule).map(|rule| &rule.route) {
            Some(RuleRoute::Database(entry)) => entry,
            _ => "",
        }
    }

    /// Whose tables a text names that has these facts. `None` for the text: it is not at hand any more.
    pub(super) fn belongs(&self, text: Option<&[u8]>, facts: &Facts) -> Result<Belongs, Misplaced> {
        let bent = facts.statements.len() > 1 && bends_path(facts);
        self.on_map(bent, |map| map.text(text, self.settings.reading(), facts))
    }

    /// The same of all texts of a request, and of the statements that it names. Of one that goes on, what is here says where it may
    /// begin; a Query is judged again at its end.
    pub(super) fn request_belongs(&self, request: &[u8]) -> Result<Belongs, Misplaced> {
        let (mut all, mut parsed) = (Belongs::Nowhere, Vec::new());
        let mut rest = request;
        while let Some(head) = Head::read(rest) {
            let total = head.frame_len().unwrap_or(rest.len());
            let (whole, mut body) = (total <= rest.len(), rest.get(HEAD..total.min(rest.len())).unwrap_or_default());
            rest = rest.get(total..).unwrap_or_default();
            let belongs = match head.kind {
                kind::QUERY if whole => self.text_belongs(body.strip_suffix(b"\0").unwrap_or(body))?,
                kind::QUERY => self.beginning_belongs(body)?,
                kind::PARSE if !whole => return Err(Misplaced::TooLong),
                kind::PARSE => match (take_cstr(&mut body), take_cstr(&mut body)) {
                    (Some(name), Some(text)) => {
                        parsed.push(name);
                        self.text_belongs(text)?
                    }
                    _ => Belongs::Nowhere,
                },
                kind::BIND | kind::DESCRIBE => {
                    let name = match head.kind {
                        kind::BIND => take_cstr(&mut body).and_then(|_| take_cstr(&mut body)),
                        _ => body.strip_prefix(b"S").and_then(|mut body| take_cstr(&mut body)),
                    };
                    let earlier = name.filter(|name| !parsed.contains(name));
                    earlier.map_or(Ok(Belongs::Nowhere), |name| self.statement_belongs(name))?
                }
                _ => Belongs::Nowhere,
            };
            all = self.on_map(false, |map| map.and(all, belongs))?;
        }
        Ok(all)
    }

    fn text_belongs(&self, text: &[u8]) -> Result<Belongs, Misplaced> {
        let facts = self.pool.catalog().read(text, self.settings.reading());
        self.belongs(Some(text), &facts)
    }

    fn beginning_belongs(&self, text: &[u8]) -> Result<Belongs, Misplaced> {
        let facts = sql::read(text, self.settings.reading(), &**self.pool.catalog().known());
        // What it does to the search path counts at its end.
        self.on_map(false, |map| map.relations(facts.named_relations()))
    }

    fn statement_belongs(&self, name: &[u8]) -> Result<Belongs, Misplaced> {
        let statement = self.statements.as_ref().and_then(|statements| statements.get(name));
        match statement.map(|statement| statement.text()) {
            None => Ok(Belongs::Nowhere),
            Some(None) => Err(Misplaced::TooLong),
            Some(Some(text)) => self.text_belongs(text),
        }
    }

    /// What its client is told.
    pub(super) fn misplaced(&self, why: &Misplaced) -> Fault {
        let fault = |message: &str| Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message.to_owned());
        match why {
            Misplaced::Mixed(rule) => {
                let (home, entry) = (&self.home_pool().database, self.entry_of(*rule));
                fault("a statement cannot use tables of two databases")
                    .with_detail(format!(
                        "Some of its tables are in database \"{entry}\", others in \"{home}\" or elsewhere."
                    ))
                    .with_hint("Send one statement for each database, in transactions of their own.")
            }
            Misplaced::Unsure(rule) | Misplaced::Unread(rule) => {
                let entry = self.entry_of(*rule);
                fault("cannot tell in which database the tables of the statement are")
                    .with_detail(format!("It may name one that is in database \"{entry}\"."))
                    .with_hint(format!(
                        "Write the schema in front of the name of each table. For anything but SELECT, INSERT, UPDATE, DELETE, MERGE and COPY of tables there, connect to database \"{entry}\"."
                    ))
            }
            Misplaced::TooLong => beyond_gathering(),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Where tables are, by name, rules and search path.

    use super::*;

    fn rule(table: &str, entry: &str) -> RouteRule {
        let (table, route) = (Some(table.to_owned()), RuleRoute::Database(entry.to_owned()));
        RouteRule { database: None, table, fingerprint: None, application_name: None, user: None, route }
    }

    /// `both` is a table that there is at home and in every entry.
    fn has(entry: &str, name: &[u8]) -> Option<bool> {
        match entry {
            "unread" => None,
            "shop" => Some(matches!(name, b"orders" | b"both")),
            _ => Some(matches!(name, b"events" | b"both")),
        }
    }

    fn judge(rules: &[RouteRule], path: Option<&str>, text: &str) -> Result<Belongs, Misplaced> {
        let path = path.map(str::as_bytes);
        let map = Map { rules, database: "shop", user: "app", path, role: "app", has: &has };
        let facts = sql::read(text.as_bytes(), Reading::default(), &sql::Plain);
        map.text(Some(text.as_bytes()), Reading::default(), &facts)
    }

    const THERE: Result<Belongs, Misplaced> = Ok(Belongs::There(0));
    const HOME: Result<Belongs, Misplaced> = Ok(Belongs::Home);
    const NOWHERE: Result<Belongs, Misplaced> = Ok(Belongs::Nowhere);
    const MIXED: Result<Belongs, Misplaced> = Err(Misplaced::Mixed(0));
    const UNSURE: Result<Belongs, Misplaced> = Err(Misplaced::Unsure(0));

    #[test]
    fn a_text_belongs_where_all_of_its_tables_are() {
        let rules = [rule("logs.*", "logs"), rule("audit", "logs"), rule("old_*", "archive"), rule("own", "shop")];
        for (text, expected) in [
            ("SELECT 1", NOWHERE),
            ("SELECT * FROM pg_class, pg_catalog.pg_type, information_schema.tables", NOWHERE),
            ("SELECT * FROM orders", HOME),
            ("SELECT * FROM own", HOME),
            ("SELECT * FROM logs.events", THERE),
            ("INSERT INTO \"logs\".events SELECT * FROM LOGS.other", THERE),
            ("INSERT INTO logs.events SELECT * FROM audit", THERE),
            ("SELECT * FROM public.audit JOIN logs.events USING (id), pg_class", Ok(Belongs::There(1))),
            ("WITH e AS (SELECT * FROM logs.events) SELECT * FROM logs.x", THERE),
            ("COPY logs.events FROM STDIN", THERE),
            ("COPY (SELECT * FROM logs.events) TO STDOUT", THERE),
            ("EXPLAIN SELECT * FROM logs.events", THERE),
            ("DECLARE c CURSOR FOR SELECT * FROM logs.events", THERE),
            ("BEGIN; UPDATE logs.events SET a = 1; COMMIT", THERE),
            ("SELECT * FROM logs.events, orders", MIXED),
            ("SELECT * FROM logs.events, old_events", MIXED),
            ("SELECT * FROM orders WHERE EXISTS (SELECT FROM logs.events)", MIXED),
            ("INSERT INTO orders SELECT * FROM logs.events", MIXED),
            ("DELETE FROM orders USING logs.events", MIXED),
            ("DELETE FROM logs.events USING a.x JOIN logs.y USING (id)", MIXED),
            ("DELETE FROM logs.events USING logs.x JOIN logs.y USING (id)", THERE),
            ("UPDATE ONLY (logs.events) SET a = 1", THERE),
            ("DELETE FROM ONLY (logs.events)", THERE),
            ("MERGE INTO ONLY (logs.events) e USING orders ON true WHEN MATCHED THEN DELETE", MIXED),
            ("MERGE INTO orders USING logs.events ON true WHEN MATCHED THEN DELETE", MIXED),
            ("MERGE INTO logs.a USING logs.b ON true WHEN NOT MATCHED THEN INSERT VALUES (1)", THERE),
            ("SELECT 1; SELECT * FROM orders; SELECT * FROM logs.events", MIXED),
        ] {
            let judged = judge(&rules, Some("public"), text);
            assert_eq!(judged, expected, "{text}");
        }
    }

    #[test]
    fn what_names_tables_in_ways_that_are_not_followed_is_refused_if_it_may_name_one_elsewhere() {
        let rules = [rule("logs.*", "logs")];
        for (text, expected) in [
            ("TRUNCATE orders", HOME),
            ("CREATE TABLE a (b int)", HOME),
            ("TRUNCATE logs.events", UNSURE),
            ("TRUNCATE orders, \"logs\" . events", UNSURE),
            ("LOCK TABLE logs.events", UNSURE),
            ("CREATE TABLE logs.x (a int)", UNSURE),
            ("ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES logs.events", UNSURE),
            ("SELECT * INTO logs.x FROM orders", UNSURE),
            ("CREATE VIEW v AS SELECT * FROM logs.events", UNSURE),
            ("PREPARE p AS SELECT * FROM logs.events", UNSURE),
            ("REFRESH MATERIALIZED VIEW logs.events", UNSURE),
            ("COMMENT ON TABLE orders IS 'see logs.events'", HOME),
            ("DO $$ BEGIN TRUNCATE logs.events; END $$", NOWHERE),
            ("CALL logs.f()", NOWHERE),
            ("SET search_path = logs", NOWHERE),
            ("SELECT U&\"log\\0073\".a FROM orders UESCAPE '!'", HOME),
            ("SELECT 'unterminated FROM logs.events", NOWHERE),
            ("SELECT 1a FROM logs.events", UNSURE),
            ("SELECT 1a FROM orders", HOME),
            ("UPDATE values SET a = 1", HOME),
            ("WITH d AS (DELETE FROM orders RETURNING *) SELECT * INTO logs.x FROM d", UNSURE),
            ("SELECT * FROM orders set, logs.events", UNSURE),
        ] {
            assert_eq!(judge(&rules, Some("public"), text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_without_a_schema_is_looked_for_along_the_search_path() {
        let rules = [rule("logs.*", "logs")];
        for (path, text, expected) in [
            (Some("\"$user\", public"), "SELECT * FROM events", HOME),
            (Some("logs"), "SELECT * FROM events", THERE),
            (Some(" LOGS , \"logs\""), "SELECT * FROM orders", THERE),
            (Some("\"Logs\""), "SELECT * FROM events", HOME),
            (Some("logs, public"), "SELECT * FROM events", THERE),
            (Some("public, logs"), "SELECT * FROM events", THERE),
            (Some("logs, public"), "SELECT * FROM orders", HOME),
            (Some("logs, public"), "SELECT * FROM both", UNSURE),
            (Some("logs, public"), "SELECT * FROM public.both", HOME),
            (Some("logs, public"), "SELECT * FROM neither", HOME),
            (None, "SELECT * FROM events", THERE),
            (None, "SELECT * FROM both", UNSURE),
            (Some("logs"), "TRUNCATE events", UNSURE),
            (Some("logs, \"unended"), "SELECT * FROM both", UNSURE),
        ] {
            assert_eq!(judge(&rules, path, text), expected, "{path:?} {text}");
        }
        let unread = [rule("logs.*", "unread")];
        assert_eq!(judge(&unread, Some("logs, public"), "SELECT * FROM orders"), Err(Misplaced::Unread(0)));
        let of_user = [rule("app.*", "logs")];
        assert_eq!(judge(&of_user, Some("\"$user\""), "SELECT * FROM x"), THERE, "$user is the role's name");
    }

    #[test]
    fn a_name_like_postgresqls_own_is_a_rules_if_the_rule_says_so() {
        let own = [rule("pg_audit*", "logs"), rule("logs.*", "logs")];
        for (path, text, expected) in [
            ("public", "INSERT INTO pg_audit_log VALUES (1)", THERE),
            ("public", "SELECT * FROM orders, pg_audit_log", MIXED),
            ("public", "SELECT * FROM pg_class", NOWHERE),
            ("logs", "SELECT * FROM pg_class", NOWHERE),
            ("logs", "SELECT * FROM pg_catalog.pg_audit_log", NOWHERE),
        ] {
            assert_eq!(judge(&own, Some(path), text), expected, "{path} {text}");
        }
    }

    #[test]
    fn of_several_rules_the_first_counts_and_others_clients_have_none() {
        let rules = [rule("logs.own_*", "shop"), rule("logs.*", "logs")];
        assert_eq!(judge(&rules, Some("public"), "SELECT * FROM logs.own_x"), HOME);
        assert_eq!(judge(&rules, Some("public"), "SELECT * FROM logs.x"), Ok(Belongs::There(1)));
        let others = RouteRule { user: Some("other".into()), ..rule("logs.*", "logs") };
        assert_eq!(judge(&[others], Some("public"), "SELECT * FROM logs.x"), HOME);
        let others = RouteRule { database: Some("crm*".into()), ..rule("logs.*", "logs") };
        assert_eq!(judge(&[others], Some("public"), "SELECT * FROM logs.x"), HOME);
    }
}
