//! The kinds of session state that clients draw from.

/// One kind of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// BEGIN, COMMIT, ROLLBACK, savepoints.
    Blocks,
    /// SET LOCAL, set_config(…, true).
    Local,
    /// Named statements of the extended protocol, and the unnamed one.
    Statements,
    /// PREPARE, EXECUTE, DEALLOCATE.
    SqlStatements,
    /// Startup parameters beyond the five that PostgreSQL reports.
    Startup,
    /// SET, RESET, set_config of PostgreSQL's own settings.
    Settings,
    /// SET, SET LOCAL, RESET of settings with a dot in their name.
    Custom,
    /// SET ROLE and SET SESSION AUTHORIZATION.
    Roles,
    /// DO blocks, functions and procedures that set something.
    Hidden,
    /// Temporary tables and sequences.
    Temp,
    /// Session-level advisory locks.
    Locks,
    /// Cursors WITH HOLD.
    Cursors,
    /// LISTEN and UNLISTEN.
    Listen,
    /// nextval, currval, lastval.
    Sequences,
    /// RESET ALL, DISCARD ALL, and the bundles of drivers.
    Discards,
    /// setseed.
    Seed,
    /// LOAD.
    Libraries,
}

pub const ALL: &[Kind] = &[
    Kind::Blocks,
    Kind::Local,
    Kind::Statements,
    Kind::SqlStatements,
    Kind::Startup,
    Kind::Settings,
    Kind::Custom,
    Kind::Roles,
    Kind::Hidden,
    Kind::Temp,
    Kind::Locks,
    Kind::Cursors,
    Kind::Listen,
    Kind::Sequences,
    Kind::Discards,
    Kind::Seed,
    Kind::Libraries,
];

/// What is drawn from through PgOtter: those that the variable `PGOTTER_KINDS` names (with commas), or all.
pub fn on() -> Vec<Kind> {
    let names = std::env::var("PGOTTER_KINDS").ok();
    let is_on = |kind: &Kind| match &names {
        Some(names) => names.split(',').any(|name| name == format!("{kind:?}")),
        None => true,
    };
    ALL.iter().copied().filter(is_on).collect()
}
