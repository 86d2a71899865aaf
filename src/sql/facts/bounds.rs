//! What of a statement bears on where it may run, beside what it touches of its session, as a set. Knows no text.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set: reasons for the primary, and [`Self::TRANSACTION`]. The empty set: none of these.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Bounds(u8);

impl Bounds {
    /// Nothing that keeps it from a replica.
    pub const NOTHING: Self = Self(0);
    /// May do what a replica must not, or nobody knows.
    pub const WRITES: Self = Self(1);
    /// Locks rows.
    pub const LOCKS_ROWS: Self = Self(1 << 1);
    /// Depends on what only one server has: its process, its transactions, relations that are not replicated.
    pub const ONE_SERVER: Self = Self(1 << 2);
    /// Statistics or the state of one server.
    pub const NODE: Self = Self(1 << 3);
    /// Asks a catalog.
    pub const CATALOG: Self = Self(1 << 4);
    /// Depends on the transaction around it: it asks for the time at which that began, or leaves there what ends with it. That is no
    /// reason for the primary by itself.
    pub const TRANSACTION: Self = Self(1 << 5);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::WRITES, "writes"),
        (Self::LOCKS_ROWS, "locks_rows"),
        (Self::ONE_SERVER, "one_server"),
        (Self::NODE, "node"),
        (Self::CATALOG, "catalog"),
        (Self::TRANSACTION, "transaction"),
    ];

    /// None of it keeps a statement from a replica.
    pub const fn allow_replicas(self) -> bool {
        self.0 & !Self::TRANSACTION.0 == 0
    }

    /// These, less the others.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// These, as far as they are in `other`.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Some of `other` is in it.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Bounds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Bounds {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Bounds {
    /// `writes node`; `nothing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().filter(|(bit, _)| self.any(*bit)).map(|(_, name)| name);
        f.write_str(names.next().unwrap_or(&"nothing"))?;
        names.try_for_each(|name| write!(f, " {name}"))
    }
}

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bounds({self})")
    }
}
