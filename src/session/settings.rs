//! What one client, or one server, has set: any settings, by name. Pure: it compares and remembers, and sends nothing.
//!
//! Two kinds. What PostgreSQL *reports* always has a value that is known; it is kept only where it differs from what the
//! pool's first server reported. Everything else is either set or at PostgreSQL's default for the pool's role, which
//! nobody here knows; then it is not kept at all. So a client with nothing of its own costs nothing.
//!
//! Values are in the encoding of the client they come from, spelled as SHOW prints them where that is known.

mod haste;
mod lacking;

pub use lacking::is_role;

use super::custom::{self, CustomNames};
use super::welcome::Parameter;
use crate::sql::Reading;
use foldhash::fast::FixedState;
use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Names and values of one client take this much at most, beside what is reported.
pub const BYTES_MAX: usize = 64 * 1024;

/// Most names of one client. All of them are set by one statement, of which PostgreSQL takes 1,664 columns.
pub const NAMES_MAX: usize = 256;

/// PostgreSQL only checks it at a login.
pub(super) const SESSION_AUTHORIZATION: &[u8] = b"session_authorization";
/// The setting that says what a client's bytes mean.
pub const ENCODING: &[u8] = b"client_encoding";

const APPLICATION_NAME: &[u8] = b"application_name";
/// Encodings in which the second byte of a character may look like ASCII. Source: PostgreSQL manual, "Character Set Support".
const ASCII_TRAILS: [&[u8]; 7] = [b"SJIS", b"BIG5", b"GBK", b"UHC", b"GB18030", b"JOHAB", b"SHIFT_JIS_2004"];

/// The settings would take more than [`BYTES_MAX`] or [`NAMES_MAX`]. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// What a server lacks of one setting: its name, and its value or `None` for PostgreSQL's default.
pub type Lack<'a> = (&'a [u8], Option<&'a [u8]>);

/// Settings by name. Names are compared as PostgreSQL does, without case.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    // What the first server reported, in the order of names. All that belong to one pool share it.
    reported: Arc<[Parameter]>,
    // In the order of names, which are in lower case. What is reported to be so anyway only where that was set explicitly.
    own: Vec<Own>,
    // Of `own`; equal for equal ones.
    hash: u32,
    custom: u32,
    // How PostgreSQL reads a client's texts under them.
    reading: Reading,
    // One of the timeouts is short.
    hasty: bool,
    // A transaction that says nothing is serializable.
    serializable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    name: Box<[u8]>,
    // None: a custom name that PostgreSQL has heard of in this session, at its default.
    value: Option<Box<[u8]>>,
    kind: Kind,
}

/// What a name is to PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// It is reported, and stands at this place among what is.
    Reported(usize),
    /// It says, or follows from, who a session runs as.
    Role,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.own == other.own
            && (Arc::ptr_eq(&self.reported, &other.reported) || self.reported == other.reported)
    }
}

impl Eq for Settings {}

impl Settings {
    /// Nothing but what a server reports at its login.
    pub fn new(mut reported: Vec<Parameter>) -> Self {
        reported.sort_by(|(a, _), (b, _)| compare(a, b));
        let mut settings = Self { reported: reported.into(), ..Self::default() };
        settings.rehash();
        settings
    }

    /// How PostgreSQL reads a text under these settings.
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// Whether a transaction is serializable under these settings that does not say what it is. What the servers come with is
    /// not known here.
    pub fn is_serializable(&self) -> bool {
        self.serializable
    }

    /// Whether a session in these may run as another role than the one that logged in.
    pub fn has_role(&self) -> bool {
        self.own.iter().any(|own| own.kind == Kind::Role)
    }

    /// Takes the other's word for what is reported, where that is the same: to compare them later is to compare two pointers.
    pub fn share_reported(self: &mut Arc<Self>, other: &Self) {
        if self.reported == other.reported && !Arc::ptr_eq(&self.reported, &other.reported) {
            Arc::make_mut(self).reported = other.reported.clone();
        }
    }

    /// Whether it is not known yet what the servers report: no client has been welcomed with these.
    pub fn is_blank(&self) -> bool {
        self.reported.is_empty()
    }

    /// The value; `None` when it is PostgreSQL's default and not reported.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match self.find(name) {
            Ok(at) => self.own.get(at)?.value.as_deref(),
            Err(_) => self.default_of(name),
        }
    }

    /// The value that was set, where it is not what is reported anyway, or was set explicitly.
    pub fn own(&self, name: &[u8]) -> Option<&[u8]> {
        self.own.get(self.find(name).ok()?)?.value.as_deref()
    }

    /// Everything that was set, in the order of names: `None` is a custom name at its default.
    pub fn iter(&self) -> impl Iterator<Item = Lack<'_>> + Clone {
        self.own.iter().map(|own| (&*own.name, own.value.as_deref()))
    }

    /// Whether this custom name was ever used here.
    pub fn has(&self, name: &[u8]) -> bool {
        self.find(name).is_ok()
    }

    /// Where a reported setting stands among those; `None` for any other.
    pub fn reported_at(&self, name: &[u8]) -> Option<usize> {
        self.reported.binary_search_by(|(known, _)| compare(known, name)).ok()
    }

    /// What is reported: PostgreSQL's spelling of the name, and the value now.
    pub fn reported(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.reported.iter().map(|(name, default)| {
            let own = if self.own.is_empty() { None } else { self.own(name) };
            (&**name, own.unwrap_or(default))
        })
    }

    /// Sets one value.
    ///
    /// # Errors
    /// [`TooMuch`]: nothing has changed.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooMuch> {
        self.grow(name, value.len())?;
        self.put(name, Some(value));
        Ok(())
    }

    /// As [`Self::set`], and remembers that it was set where it is what is reported anyway: for a client that came with another
    /// value, which a RESET would bring back.
    ///
    /// # Errors
    /// [`TooMuch`]: nothing has changed.
    pub fn set_explicitly(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooMuch> {
        self.grow(name, value.len())?;
        self.keep(name, Some(value));
        Ok(())
    }

    /// As PostgreSQL's RESET: back to its default for the pool's role. That of a custom name is an empty one that
    /// remains.
    ///
    /// # Errors
    /// [`TooMuch`], for a custom name only.
    pub fn unset(&mut self, name: &[u8]) -> Result<(), TooMuch> {
        if custom::is_custom(name) {
            self.grow(name, 0)?;
            self.put(name, None);
        } else if let Ok(at) = self.find(name) {
            self.own.remove(at);
            self.rehash();
        }
        Ok(())
    }

    /// Custom names that were used there never go: they are at their defaults here.
    ///
    /// # Errors
    /// [`TooMuch`]: some are missing.
    pub fn keep_custom_names(&mut self, of: &Self) -> Result<(), TooMuch> {
        for (name, _) in of.iter().filter(|(name, _)| custom::is_custom(name)) {
            if !self.has(name) {
                self.unset(name)?;
            }
        }
        Ok(())
    }

    /// What PostgreSQL reports, which is within its own bounds.
    pub fn hear(&mut self, name: &[u8], value: &[u8]) {
        if self.get(name) != Some(value) {
            self.put(name, Some(value));
        }
    }

    /// Only what is reported is known any more, and that custom names have been used.
    pub fn drop_unreported(&mut self) {
        let own = std::mem::take(&mut self.own);
        let kept = own.into_iter().filter_map(|own| match () {
            () if self.reported_at(&own.name).is_some() => {
                (own.value.as_deref() != self.default_of(&own.name)).then_some(own)
            }
            () => custom::is_custom(&own.name).then_some(Own { value: None, ..own }),
        });
        self.own = kept.collect();
        self.rehash();
    }

    /// Whether a statement prepared under one means the same under the other. Unlike any other, an application_name has
    /// no meaning to PostgreSQL.
    pub fn means_the_same(&self, other: &Self) -> bool {
        fn meaning(settings: &Settings) -> impl Iterator<Item = &Own> {
            settings.own.iter().filter(|own| *own.name != *APPLICATION_NAME)
        }
        meaning(self).eq(meaning(other))
            && (Arc::ptr_eq(&self.reported, &other.reported) || self.reported == other.reported)
    }

    /// Names these settings for the pool's preference: equal settings have equal numbers, and the upper half is that of
    /// the custom names, see [`CustomNames::half_key`].
    pub fn key(&self) -> u64 {
        key(self.custom, self.hash)
    }

    /// The number of a server in these settings that has heard of the custom names `of`.
    pub fn key_with(&self, of: &CustomNames) -> u64 {
        key(of.half_key(), self.hash)
    }

    fn default_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.reported.get(self.reported_at(name)?).map(|(_, value)| &**value)
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.own.binary_search_by(|own| compare(&own.name, name))
    }

    fn grow(&self, name: &[u8], value: usize) -> Result<(), TooMuch> {
        let size = |own: &Own| own.name.len() + own.value.as_deref().map_or(0, <[u8]>::len);
        let others: usize = self.own.iter().filter(|own| compare(&own.name, name).is_ne()).map(size).sum();
        let is_new = self.find(name).is_err();
        let fits = others + name.len() + value <= BYTES_MAX && (!is_new || self.own.len() < NAMES_MAX);
        fits.then_some(()).ok_or(TooMuch)
    }

    fn put(&mut self, name: &[u8], value: Option<&[u8]>) {
        if value.is_none() || self.default_of(name) != value {
            self.keep(name, value);
        } else if let Ok(at) = self.find(name) {
            self.own.remove(at);
            self.rehash();
        }
    }

    fn keep(&mut self, name: &[u8], value: Option<&[u8]>) {
        match self.find(name) {
            Ok(at) => self.own[at].value = value.map(Box::from),
            Err(at) => {
                let name = name.to_ascii_lowercase().into_boxed_slice();
                let kind = match self.reported_at(&name) {
                    _ if lacking::is_role(&name) => Kind::Role,
                    Some(at) => Kind::Reported(at),
                    None => Kind::Plain,
                };
                self.own.insert(at, Own { name, value: value.map(Box::from), kind });
            }
        }
        self.rehash();
    }

    fn rehash(&mut self) {
        let hasher = FixedState::default();
        let hash = |own: &Own| fold(hasher.hash_one((&own.name, &own.value)));
        self.hash = self.own.iter().map(hash).fold(0, |all, one| all ^ one);
        let names = self.own.iter().map(|own| &*own.name).filter(|name| custom::is_custom(name));
        self.custom = names.map(custom::hash_name).fold(0, |all, one| all ^ one);
        let is = |name: &[u8], value: &[u8]| self.get(name).is_some_and(|set| set.eq_ignore_ascii_case(value));
        let serializable = is(b"default_transaction_isolation", b"serializable");
        let encoding = self.get(ENCODING).unwrap_or_default();
        self.reading = Reading {
            standard_strings: !is(b"standard_conforming_strings", b"off"),
            ascii_trails: ASCII_TRAILS.iter().any(|name| encoding.eq_ignore_ascii_case(name)),
            utf8: encoding.eq_ignore_ascii_case(b"UTF8"),
        };
        (self.hasty, self.serializable) = (self.has_short_timeout(), serializable);
    }
}

fn key(names: u32, values: u32) -> u64 {
    u64::from(names) << 32 | u64::from(values)
}

/// Half as many bits.
pub(super) fn fold(hash: u64) -> u32 {
    u32::try_from((hash >> 32) ^ (hash & u64::from(u32::MAX))).unwrap_or_default()
}

/// By name, without case. Most names differ in their first bytes.
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let unlike = a.iter().zip(b).find(|(a, b)| a != b && !a.eq_ignore_ascii_case(b));
    match unlike {
        Some((a, b)) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()),
        None => a.len().cmp(&b.len()),
    }
}
