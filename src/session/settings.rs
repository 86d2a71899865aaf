//! The settings that PostgreSQL reports and that belong to the client, not to the server it happens to use.

use std::sync::Arc;

/// The settings kept per client, as PostgreSQL reports their names.
pub const NAMES: [&str; 5] =
    ["application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"];

const APPLICATION_NAME: usize = 0;

/// One value for each of [`NAMES`], bytes as PostgreSQL reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    values: [Box<[u8]>; NAMES.len()],
}

impl Settings {
    /// Index of a setting, or `None` for one that is not kept. Names are compared as PostgreSQL does, without case.
    pub fn index(name: &[u8]) -> Option<usize> {
        NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Sets one value.
    pub fn set(&mut self, index: usize, value: &[u8]) {
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value.into();
        }
    }

    /// One value.
    pub fn get(&self, index: usize) -> &[u8] {
        self.values.get(index).map_or(b"", |value| value)
    }

    /// Whether a statement prepared under one means the same under the other. Unlike any other, an application_name has
    /// no meaning to PostgreSQL.
    pub fn means_the_same(&self, other: &Self) -> bool {
        self.values.iter().zip(&other.values).enumerate().all(|(index, (a, b))| index == APPLICATION_NAME || a == b)
    }

    /// Name and value of every setting that a server believed to be in state `believed` lacks; all of them when
    /// nothing is believed.
    pub fn lacking<'a>(&'a self, believed: Option<&'a Arc<Self>>) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        NAMES.iter().zip(&self.values).enumerate().filter_map(move |(index, (name, value))| {
            let same = believed.is_some_and(|believed| same_value(index, believed.get(index), value));
            (!same).then_some((*name, &**value))
        })
    }
}

/// All but application_name are names of things, which PostgreSQL compares without case.
fn same_value(index: usize, a: &[u8], b: &[u8]) -> bool {
    if index == APPLICATION_NAME { a == b } else { a.eq_ignore_ascii_case(b) }
}
