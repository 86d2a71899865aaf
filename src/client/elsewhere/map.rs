//! Where tables are: by their names, the rules that lead to other entries, and the search path. Pure: what the catalogs of the entries have is
//! asked of a function.

use super::{Belongs, Misplaced};
use crate::config::{RouteRule, RuleRoute};
use crate::sql::{Facts, Name, Reading, Relation, Scanner, Token, Unsure};

/// What tells where a table is.
pub(super) struct Map<'a> {
    pub rules: &'a [RouteRule],
    /// That of the client, and as whom it has logged in.
    pub database: &'a str,
    pub user: &'a str,
    /// None: nobody knows.
    pub path: Option<&'a [u8]>,
    /// Whose name stands for "$user" in it.
    pub role: &'a str,
    /// Whether an entry has a relation of this name in any schema, as far as is known.
    pub has: &'a dyn Fn(&str, &[u8]) -> Option<bool>,
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
    pub fn relations(&self, relations: &[Relation]) -> Result<Belongs, Misplaced> {
        let mut all = Belongs::Nowhere;
        for relation in relations.iter().filter(|relation| !self.is_postgresqls(relation)) {
            all = self.and(all, self.place(relation.schema.as_deref(), &relation.name)?)?;
        }
        Ok(all)
    }

    pub fn and(&self, one: Belongs, other: Belongs) -> Result<Belongs, Misplaced> {
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
    pub fn text(&self, text: Option<&[u8]>, reading: Reading, facts: &Facts) -> Result<Belongs, Misplaced> {
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
