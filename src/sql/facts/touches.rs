//! What a statement may touch of its session, as a set. Knows no text.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of what may be touched. The empty set: nothing that outlives the transaction.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Touches(u32);

impl Touches {
    /// Nothing that outlives the transaction.
    pub const NOTHING: Self = Self(0);
    /// Some setting of the session may change: those of [`super::Facts::names`], and with [`Self::ALL_SETTINGS`] any.
    pub const SETTINGS: Self = Self(1);
    /// Not only those that are named: `RESET ALL`, `DISCARD ALL`.
    pub const ALL_SETTINGS: Self = Self(1 << 1);
    /// A temporary object may come to be.
    pub const TEMP: Self = Self(1 << 2);
    /// An advisory lock of the session may be taken.
    pub const SESSION_LOCK: Self = Self(1 << 3);
    /// A cursor may come to be that outlives its transaction.
    pub const HOLD_CURSOR: Self = Self(1 << 4);
    /// Something that pins may end: `DROP`, `DISCARD`, an unlock, `CLOSE`.
    pub const RELEASES: Self = Self(1 << 5);
    /// `PREPARE`, `EXECUTE` or `DEALLOCATE`.
    pub const STATEMENTS: Self = Self(1 << 6);
    /// `LISTEN` or `UNLISTEN`, or asks what is listened to.
    pub const LISTENS: Self = Self(1 << 7);
    /// `NOTIFY` or `pg_notify`.
    pub const NOTIFIES: Self = Self(1 << 8);
    /// A sequence may move, and with it what `currval` and `lastval` tell: `nextval`, `INSERT`, `DISCARD SEQUENCES`.
    pub const SEQUENCE_WRITE: Self = Self(1 << 9);
    /// Asks for what an earlier statement left: `currval`, `lastval`.
    pub const SEQUENCE_READ: Self = Self(1 << 10);
    /// Something that can neither be asked for nor moved: `LOAD`, `setseed`, a connection of dblink.
    pub const UNMOVABLE: Self = Self(1 << 11);
    /// Something else than the text decides: `DO`, `CALL`, a function that nobody clears. Everything must be asked for.
    pub const HIDDEN: Self = Self(1 << 12);
    /// Hidden, and names of settings cannot be known: `EXECUTE` in `DO`, `set_config` of a computed name.
    pub const DYNAMIC: Self = Self(1 << 13);
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT` and so on.
    pub const CONTROLS: Self = Self(1 << 14);
    /// Custom settings whose names the text does not tell may be set until the transaction ends, which leaves them as `''`.
    pub const PLACEHOLDERS: Self = Self(1 << 15);
    /// Creates in the first schema of search_path, which may be `pg_temp`: only who knows the session's search_path can tell.
    pub const CREATES: Self = Self(1 << 16);
    /// Objects come to be, become others or go: what was read from a catalog may be outdated.
    pub const DEFINES: Self = Self(1 << 17);
    /// Everything.
    pub const ALL: Self = Self((1 << 18) - 1);

    const NAMES: [(Self, &'static str); 18] = [
        (Self::SETTINGS, "settings"),
        (Self::ALL_SETTINGS, "all_settings"),
        (Self::TEMP, "temp"),
        (Self::SESSION_LOCK, "session_lock"),
        (Self::HOLD_CURSOR, "hold_cursor"),
        (Self::RELEASES, "releases"),
        (Self::STATEMENTS, "statements"),
        (Self::LISTENS, "listens"),
        (Self::NOTIFIES, "notifies"),
        (Self::SEQUENCE_WRITE, "sequence_write"),
        (Self::SEQUENCE_READ, "sequence_read"),
        (Self::UNMOVABLE, "unmovable"),
        (Self::HIDDEN, "hidden"),
        (Self::DYNAMIC, "dynamic"),
        (Self::CONTROLS, "controls"),
        (Self::PLACEHOLDERS, "placeholders"),
        (Self::CREATES, "creates"),
        (Self::DEFINES, "defines"),
    ];

    /// Nothing at all is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Some of `other` is in it.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in it and not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Touches {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl BitOrAssign for Touches {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.and(other);
    }
}

impl fmt::Display for Touches {
    /// `settings hidden`; `nothing`; `all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all");
        }
        let mut names = Self::NAMES.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name);
        f.write_str(names.next().unwrap_or(&"nothing"))?;
        names.try_for_each(|name| write!(f, " {name}"))
    }
}

impl fmt::Debug for Touches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Touches({self})")
    }
}
