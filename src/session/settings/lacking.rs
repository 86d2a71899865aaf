//! The way from one set of settings to another: what is to be set, to what, and in which order. Taken in front of a request,
//! so what is not different costs nothing here.

use super::{Kind, Lack, Own, Parameter, SESSION_AUTHORIZATION, Settings, compare};
use std::sync::Arc;

const ROLE: &[u8] = b"role";
/// Reported, but it only follows from the role.
const IS_SUPERUSER: &[u8] = b"is_superuser";

/// Reported settings whose values PostgreSQL compares without case. Of the others, application_name and search_path
/// among them, case is a part.
const WITHOUT_CASE: [&[u8]; 6] = [
    b"client_encoding",
    b"datestyle",
    b"default_transaction_read_only",
    b"intervalstyle",
    b"standard_conforming_strings",
    b"timezone",
];

/// A reported setting with two values: PostgreSQL's spelling of its name, the value here, the value there.
pub type Unlike<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Whether a name says, or follows from, who a session runs as.
pub fn is_role(name: &[u8]) -> bool {
    [SESSION_AUTHORIZATION, ROLE, IS_SUPERUSER].iter().any(|role| role.eq_ignore_ascii_case(name))
}

impl Settings {
    /// What a server in state `believed` lacks of these, in the order in which it is to be set. `home` is what it is in when
    /// nobody has set anything: as it logged in, and of its own what its connect_query has set. With `anew` nothing is
    /// believed: the server has just been brought back to its login, all but who it runs as.
    ///
    /// Whatever else is to be set is set with the rights of the role that logged in, as PostgreSQL does at a login. So who
    /// it runs as is undone first and set last.
    pub fn lacking<'a>(&'a self, believed: &'a Self, home: &'a Self, anew: bool) -> Vec<Lack<'a>> {
        let mut plain = Vec::new();
        self.own_lacking(believed, home, &mut plain);
        for (name, wanted, value) in self.unlike(believed) {
            if !is_role(name) && !same_value(name, wanted, value) {
                let is_logins = home.default_of(name) == Some(wanted) && !self.is_explicit(name);
                plain.push((name, Some(wanted).filter(|_| !is_logins)));
            }
        }
        self.explicitly_lacking(believed, home, &mut plain);
        if anew {
            let is_missing = |own: &&Own| !plain.iter().any(|(name, _)| compare(name, &own.name).is_eq());
            let missing: Vec<_> = home.own.iter().filter(|own| own.kind != Kind::Role).filter(is_missing).collect();
            plain.extend(missing.iter().map(|own| (&*own.name, self.get(&own.name).or(own.value.as_deref()))));
        }
        if anew || self.has_role() || believed.has_role() || home.has_role() {
            return self.between_roles(plain, believed, home, anew);
        }
        plain
    }

    /// Reported settings that have not the same bytes here and there.
    pub fn unlike<'a>(&'a self, other: &'a Self) -> Vec<Unlike<'a>> {
        let mut unlike = Vec::new();
        let mut put = |(name, default): &'a Parameter, here: Option<&'a [u8]>, there: Option<&'a [u8]>| {
            let (here, there) = (here.unwrap_or(default), there.unwrap_or(default));
            if here != there {
                unlike.push((&**name, here, there));
            }
        };
        if !Arc::ptr_eq(&self.reported, &other.reported) && self.reported != other.reported {
            self.reported.iter().for_each(|reported| put(reported, self.own(&reported.0), other.get(&reported.0)));
            return unlike;
        }
        for (own, reported) in self.own.iter().filter_map(|own| Some((own, self.reports(own)?))) {
            put(reported, own.value.as_deref(), other.own(&own.name));
        }
        for own in other.own.iter().filter(|own| own.kind != Kind::Plain && !self.has(&own.name)) {
            if let Some(reported) = self.reports(own) {
                put(reported, None, own.value.as_deref());
            }
        }
        unlike
    }

    /// As what it is reported, of these or of some that are reported as these are.
    fn reports(&self, own: &Own) -> Option<&Parameter> {
        match own.kind {
            Kind::Plain => None,
            Kind::Reported(at) => self.reported.get(at),
            Kind::Role => self.reported.get(self.reported_at(&own.name)?),
        }
    }

    /// What is not reported.
    fn own_lacking<'a>(&'a self, believed: &'a Self, home: &'a Self, out: &mut Vec<Lack<'a>>) {
        for own in self.own.iter().filter(|own| own.kind == Kind::Plain) {
            if believed.find(&own.name).ok().and_then(|at| believed.own.get(at)) != Some(own) {
                out.push((&own.name, own.value.as_deref()));
            }
        }
        for other in believed.own.iter().filter(|own| own.kind == Kind::Plain) {
            if !self.has(&other.name) {
                out.push((&other.name, home.own(&other.name)));
            }
        }
    }

    /// Whether it was set to what is reported anyway.
    fn is_explicit(&self, name: &[u8]) -> bool {
        self.own(name).is_some_and(|own| self.default_of(name) == Some(own))
    }

    /// The same of one of these.
    fn is_mere(&self, own: &Own) -> bool {
        matches!(own.kind, Kind::Reported(at) if self.reported.get(at).map(|(_, value)| &**value) == own.value.as_deref())
    }

    /// What has the same value here and there, and was set here, or there, and not only reported.
    fn explicitly_lacking<'a>(&'a self, believed: &'a Self, home: &Self, out: &mut Vec<Lack<'a>>) {
        let is_mere = |own: &&Own, here: &Self, other: &Self| {
            here.is_mere(own)
                && !other.has(&own.name)
                && !home.has(&own.name)
                && other.get(&own.name) == own.value.as_deref()
        };
        out.extend(
            self.own.iter().filter(|own| is_mere(own, self, believed)).map(|own| (&*own.name, own.value.as_deref())),
        );
        out.extend(believed.own.iter().filter(|own| is_mere(own, believed, self)).map(|own| (&*own.name, None)));
    }

    fn between_roles<'a>(
        &'a self,
        mut plain: Vec<Lack<'a>>,
        believed: &'a Self,
        home: &'a Self,
        anew: bool,
    ) -> Vec<Lack<'a>> {
        let own_role = self.own_role().or(home.own_role());
        let believed_role = believed.own_role().or(home.own_role());
        if plain.is_empty() && own_role == believed_role && self.user() == believed.user() && !anew {
            return plain;
        }
        let mut lacking = Vec::with_capacity(plain.len() + 4);
        if anew || believed.user() != home.user() {
            lacking.push((SESSION_AUTHORIZATION, None));
        }
        if anew || believed_role.is_some() {
            lacking.push((ROLE, None));
        }
        lacking.append(&mut plain);
        if let Some(user) = self.user().filter(|user| home.user().is_some_and(|home| home != *user)) {
            lacking.push((SESSION_AUTHORIZATION, Some(user)));
        }
        if let Some(role) = own_role {
            lacking.push((ROLE, Some(role)));
        }
        lacking
    }

    fn user(&self) -> Option<&[u8]> {
        self.get(SESSION_AUTHORIZATION)
    }

    fn own_role(&self) -> Option<&[u8]> {
        self.own(ROLE).filter(|role| !role.eq_ignore_ascii_case(b"none"))
    }
}

fn same_value(name: &[u8], a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b) && WITHOUT_CASE.iter().any(|known| known.eq_ignore_ascii_case(name))
}
