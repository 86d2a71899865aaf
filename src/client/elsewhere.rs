//! To which entry of `[databases]` the tables of a text belong: those that a rule sends elsewhere, and those of the client's own. By
//! the names in the text: no rule reaches behind a view or into a function.
//!
//! What is not certain is refused, and never guessed at: a row must not be written to the wrong cluster. `map` says where a table is, here is
//! what a client has to go by.

mod map;

use super::connection::Client;
use super::guest::beyond_gathering;
use crate::config::RuleRoute;
use crate::fault::{Blame, Fault, SqlState};
use crate::sql::{self, Facts, Touches};
use crate::wire::frame::{HEAD, Head, take_cstr};
use crate::wire::frontend::kind;
use map::Map;

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

/// Whether names without a schema may mean other tables behind a text with these facts.
pub(super) fn bends_path(facts: &Facts) -> bool {
    facts.touches.any(Touches::ALL_SETTINGS.and(Touches::HIDDEN))
        || facts.all_names().any(|name| name == b"search_path")
}

impl Client {
    /// Has a look at the map for this client.
    fn on_map<T>(&self, bent: bool, look: impl FnOnce(&Map<'_>) -> T) -> T {
        let home = self.home_pool();
        let anew = self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.looks_anew);
        let has = |entry: &str, name: &[u8]| {
            let catalog = self.pool_of(entry)?.catalog();
            let outdated = catalog.is_uncertain() || anew && catalog.may_be_read(self.now);
            (!outdated).then(|| catalog.known().names().has_relation(name))
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
        // Also where the client is elsewhere: what it may find there is no reason to go there.
        let facts = self.home_pool().catalog().read(text, self.settings.reading());
        self.belongs(Some(text), &facts)
    }

    fn beginning_belongs(&self, text: &[u8]) -> Result<Belongs, Misplaced> {
        let facts = sql::read(text, self.settings.reading(), &**self.home_pool().catalog().known());
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
mod tests;
