//! Where a request was asked to run, by a hint in a comment: found in its texts, and told of where it was not granted. What it may choose
//! from the router knows.

use super::connection::Client;
use super::link::Link;
use super::own::is_own;
use crate::config::{PoolMode, RoutingMode};
use crate::fault::{Blame, Fault, SqlState};
use crate::router::{Reason, To, Wish};
use crate::session::OwnSetting;
use crate::sql::{self, Hint, Reading};
use crate::wire::backend;
use crate::wire::frame::{self, take_cstr};
use crate::wire::frontend::kind;
use bytes::BytesMut;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    // As it was said. None: nothing that could be understood.
    said: Option<Box<str>>,
    // By a setting, and not by a hint.
    set: bool,
    meant: Result<Wish, &'static str>,
}

const UNKNOWN_HOST: &str = "The database has no such host, or several.";
const CONTRADICTED: &str = "The hints of one request contradict each other.";

impl Wanted {
    /// What it means here; `None`: nothing.
    pub(super) fn wish(&self) -> Option<Wish> {
        self.meant.ok()
    }

    fn refused(why: &'static str) -> Self {
        Self { said: None, set: false, meant: Err(why) }
    }

    fn and(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other != self => Self::refused(CONTRADICTED),
            _ => self,
        }
    }
}

impl Client {
    /// What the hints in a whole request ask: those in its texts, and in texts that it names.
    pub(super) fn wanted(&self, request: &[u8]) -> Option<Wanted> {
        let reading = self.settings.reading();
        let hinted = texts(self, request).filter_map(|text| self.hinted(text, reading));
        hinted.reduce(|all, hinted| hinted.and(Some(all)))
    }

    fn hinted(&self, text: &[u8], reading: Reading) -> Option<Wanted> {
        match sql::hint(text, reading) {
            Ok(hint) => hint.map(|hint| self.understood(hint)),
            Err(sql::Malformed::Contradicted) => Some(Wanted::refused(CONTRADICTED)),
            Err(sql::Malformed::Unknown) => {
                Some(Wanted::refused("It is none of primary, replica, replica stale, host=NAME."))
            }
        }
    }

    fn understood(&self, hint: Hint<'_>) -> Wanted {
        let meant = match hint {
            Hint::Primary => Ok(Wish::Primary),
            Hint::Replica { stale } => Ok(Wish::Replica { stale }),
            Hint::Host(name) => {
                let host = self.shape.watch.as_ref().and_then(|watch| watch.find(name));
                host.map(Wish::Host).ok_or(UNKNOWN_HOST)
            }
        };
        Wanted { said: Some(hint.to_string().into()), set: false, meant }
    }

    /// Whether a request is about settings of PgOtter's own.
    pub(super) fn asks_own(&self, request: &[u8]) -> bool {
        texts(self, request).any(is_own)
    }

    /// What the client has set for all of its requests.
    pub(super) fn standing(&self) -> Option<Wanted> {
        let set = Some(self.own_value(OwnSetting::Route)).filter(|set| !set.is_empty())?;
        Hint::of(set.as_bytes()).map(|hint| Wanted { set: true, ..self.understood(hint) })
    }

    /// Whether a host that a hint names is one of the client's database.
    pub(super) fn is_there(&self, hint: Hint<'_>) -> bool {
        match (hint, &self.shape.watch) {
            (Hint::Host(name), Some(watch)) => watch.find(name).is_some(),
            // It is the only one, whatever it is called elsewhere.
            (Hint::Host(_), None) | (Hint::Primary | Hint::Replica { .. }, _) => true,
        }
    }

    /// The client hears of what it was not granted, in front of everything that its request is answered.
    pub(super) fn tell_ungranted(&mut self) {
        let Some(route) = &self.route else { return };
        let Some(wanted) = &route.wanted else { return };
        let (to, reason) = (self.to(), self.planned().reason);
        // Its replica may have had no server for it.
        let reason = if to == To::Primary && reason == Reason::Hint { None } else { Some(reason) };
        // What is set for all requests is not meant for what could not run elsewhere anyway.
        use Reason::{Fresh, NoReplica, Read, Retry};
        if wanted.set && reason.is_some_and(|reason| !matches!(reason, Fresh | NoReplica | Read | Retry)) {
            return;
        }
        if let Some(notice) = self.ungranted(wanted, reason) {
            self.notice(&notice);
            // Wherever it runs in the end, it is told of once.
            if let Some(route) = &mut self.route {
                route.wanted = None;
            }
        }
    }

    /// The same for a request in a transaction that has its server.
    pub(super) fn look_for_hint(&mut self, request: &[u8], link: &Link) {
        let heeds = self.shape.watch.as_ref().is_some_and(|watch| watch.routing().0 == RoutingMode::Split);
        // In the middle of a frame it would be read as a part of that.
        if !heeds || link.mode == PoolMode::Session || link.server.exchange().cut_incoming() {
            return;
        }
        let Some(wanted) = self.wanted(request) else { return };
        let reason = if self.is_pinned() { Reason::Pinned } else { Reason::Transaction };
        if let Some(notice) = self.ungranted(&wanted, Some(reason)) {
            self.notice(&notice);
        }
    }

    /// What to tell, if it was not granted for this reason.
    fn ungranted(&self, wanted: &Wanted, reason: Option<Reason>) -> Option<Fault> {
        let watch = self.shape.watch.as_ref()?;
        let replica = if let To::Replica(replica) = self.to() { Some(replica.host()) } else { None };
        let detail = match wanted.meant {
            Ok(wish) if wish.is_granted(&watch.view(), replica) => return None,
            Ok(_) => {
                let role = if replica.is_some() { "a replica" } else { "the primary" };
                let why = reason.map_or("it has no server for it", |reason| reason.word());
                format!("The statement runs on {role} ({why}).")
            }
            Err(why) => why.to_owned(),
        };
        let message = match &wanted.said {
            Some(said) if wanted.set => format!("pgotter.route \"{said}\" is not granted"),
            Some(said) => format!("hint \"{said}\" is not granted"),
            None => "hint is not understood".to_owned(),
        };
        let notice = Fault::error(Blame::Client, SqlState::SUCCESSFUL_COMPLETION, message).with_detail(detail);
        Some(match reason.and_then(advice) {
            Some(advice) if wanted.meant.is_ok() => notice.with_hint(advice),
            _ => notice,
        })
    }

    /// Tells the client, unless it has said that it wants no notices.
    fn notice(&mut self, notice: &Fault) {
        let wanted = self.settings.get(b"client_min_messages").unwrap_or_default();
        if [&b"warning"[..], b"error"].iter().any(|level| wanted.eq_ignore_ascii_case(level)) {
            return;
        }
        let mut out = BytesMut::new();
        backend::notice(&mut out, notice);
        self.socket.queue(out);
    }
}

/// The texts in a whole request, and those of the statements that it binds. What one of them stood for before the request has parsed
/// another one under its name is none of them.
pub(super) fn texts<'a>(client: &'a Client, request: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let prepared = |name: &[u8]| client.statements.as_ref()?.get(name)?.body();
    // Most requests parse one at most.
    let (mut first, mut others) = (None, Vec::new());
    frame::all(request).filter_map(move |(kind, mut body)| match kind {
        kind::QUERY => take_cstr(&mut body),
        kind::PARSE => {
            let name = take_cstr(&mut body)?;
            if first.is_some() {
                others.push(name);
            }
            first = first.or(Some(name));
            take_cstr(&mut body)
        }
        kind::BIND => {
            let name = take_cstr(&mut body).and_then(|_| take_cstr(&mut body));
            take_cstr(&mut prepared(name.filter(|name| first != Some(*name) && !others.contains(name))?)?)
        }
        _ => None,
    })
}

/// What its client can do about it.
fn advice(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Fresh => {
            Some("A replica has yet to replay what must be seen. \"replica stale\" does not wait for that.")
        }
        Reason::Transaction => Some("Where a transaction runs is chosen by its first statement, if it is READ ONLY."),
        Reason::Node | Reason::Catalog => Some("\"host=NAME\" asks one host for what it says of itself."),
        Reason::NoReplica => Some("SHOW HOSTS on the console tells why no replica is used."),
        _ => None,
    }
}
