//! What nobody has set and is not as at the login: the server's configuration was changed (`ALTER SYSTEM` and a reload). It
//! is followed, as a session of PostgreSQL's own does.

use super::{Kind, Lack, Settings};
use crate::session::welcome::reported_place;
use std::sync::atomic::{AtomicU64, Ordering};

/// The reported settings of one host that were changed there while sessions went on.
#[derive(Debug, Default)]
pub struct Reconfigured(AtomicU64);

impl Reconfigured {
    /// This one was.
    pub fn note(&self, name: &[u8]) {
        self.0.fetch_or(bit(name), Ordering::Relaxed);
    }

    /// Whether it was.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.load(Ordering::Relaxed) & bit(name) != 0
    }
}

/// 0 for one that is only in `track_extra_parameters`.
fn bit(name: &[u8]) -> u64 {
    reported_place(name).map_or(0, |place| 1 << place)
}

impl Settings {
    /// What PostgreSQL reports of what nobody is known to have set: it is kept for as long as it says so. Whether that is news of
    /// its configuration.
    pub fn hear_unasked(&mut self, name: &[u8], value: &[u8]) -> bool {
        match self.find(name) {
            Ok(at) if !matches!(self.own[at].kind, Kind::Configured(_)) => {
                self.hear(name, value);
                return false;
            }
            Ok(at) if self.default_of(name) == Some(value) => self.remove(at),
            _ => {
                self.hear(name, value);
                self.follow(name);
            }
        }
        true
    }

    /// Whether it was set, and neither a login nor the server's configuration alone says so.
    pub fn is_set(&self, name: &[u8]) -> bool {
        self.find(name)
            .is_ok_and(|at| self.own[at].value.is_some() && !matches!(self.own[at].kind, Kind::Configured(_)))
    }

    /// Nobody has set what is set here beside what `home` has: every session of the server's begins so. Gives the names.
    pub fn follow_all(&mut self, home: &Self) -> Vec<Box<[u8]>> {
        let unlike = self.own.iter().filter(|own| home.get(&own.name) != own.value.as_deref());
        let names: Vec<_> = unlike.map(|own| own.name.clone()).collect();
        names.into_iter().filter(|name| self.follow(name)).collect()
    }

    fn follow(&mut self, name: &[u8]) -> bool {
        let Ok(at) = self.find(name) else { return false };
        if let Kind::Reported(place) = self.own[at].kind {
            self.own[at].kind = Kind::Configured(place);
        }
        matches!(self.own[at].kind, Kind::Configured(_))
    }

    /// Whether the server says what it is, and not these.
    pub(super) fn follows(&self, name: &[u8], reconfigured: &Reconfigured) -> bool {
        match self.find(name) {
            Ok(at) => matches!(self.own[at].kind, Kind::Configured(_)),
            Err(_) => reconfigured.has(name),
        }
    }

    /// What has the same value here and there, and was set in one place and only configured in the other.
    pub(super) fn lacking_by_will<'a>(&'a self, believed: &'a Self, out: &mut Vec<Lack<'a>>) {
        let set_in = |settings: &Self, name: &[u8], value: Option<&[u8]>| {
            settings.find(name).is_ok_and(|at| {
                matches!(settings.own[at].kind, Kind::Reported(_)) && settings.own[at].value.as_deref() == value
            })
        };
        let configured = |settings: &'a Self| settings.own.iter().filter(|own| matches!(own.kind, Kind::Configured(_)));
        let here = configured(self).filter(|own| set_in(believed, &own.name, own.value.as_deref()));
        let there = configured(believed).filter(|own| set_in(self, &own.name, own.value.as_deref()));
        out.extend(here.map(|own| (&*own.name, None)));
        out.extend(there.map(|own| (&*own.name, own.value.as_deref())));
    }
}
