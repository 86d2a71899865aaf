//! The text of the files. Pure: what it is made of was found out before.

use super::facts::Facts;
use super::url::Target;
use crate::auth::Verifier;
use crate::auth::verifier::ITERATIONS_DEFAULT;
use crate::secret::{Secret, random};
use std::fmt::Write;

/// Names of the files, in the folder of the first.
pub const CONFIG: &str = "pooler.toml";
/// Users and their verifiers.
pub const USERLIST: &str = "userlist.txt";
/// The password for PostgreSQL, where it asks for one.
pub const PASSWORD: &str = "server-password.txt";

/// Bytes of salt, as PostgreSQL has them.
const SALT: usize = 16;
/// A pool that is larger than this gains nothing on most machines.
const POOL_MAX: u32 = 50;

/// The limits that a host's `max_connections` leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Servers of one user.
    pub pool: u32,
    /// Servers of the whole database.
    pub database: u32,
}

impl Sizes {
    /// A quarter of the smallest host for one user, three quarters for all: the last quarter is for whoever connects
    /// without PgOtter (migrations, monitoring, you).
    pub fn of(hosts: &[Facts]) -> Self {
        let room = hosts.iter().map(Facts::room).min().unwrap_or(1);
        Self { pool: (room / 4).clamp(1, POOL_MAX), database: (room / 4 * 3).max(1) }
    }
}

/// `"user" "verifier"`; without a password, a user that only `auth_type = "trust"` lets in.
pub fn userlist(target: &Target) -> Secret<String> {
    let verifier = target
        .password
        .as_ref()
        .map(|password| Verifier::from_password(password.expose(), random::<SALT>(), ITERATIONS_DEFAULT).to_text());
    let (what, secret) = match &verifier {
        Some(verifier) => {
            ("the SCRAM verifier of its password, which checks the password and is not it", verifier.expose().as_str())
        }
        None => ("no secret: auth_type = \"trust\" lets it in, scram-sha-256 would not", ""),
    };
    let user = target.user.replace('"', "\"\"");
    Secret::new(format!(
        "; Who may log in to PgOtter. Here: {what}.\n\
         ; Further users, one a line. A verifier is what PostgreSQL has in pg_authid.rolpassword; a plain password does too.\n\
         \"{user}\" \"{secret}\"\n"
    ))
}

/// The password's file; PgOtter takes one newline from its end.
pub fn password_file(password: &Secret<String>) -> Secret<String> {
    Secret::new(format!("{}\n", password.expose()))
}

/// The configuration. `facts` are those of the target's hosts, in their order.
pub fn config(target: &Target, facts: &[Facts]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{}", head(target, facts));
    let _ = write!(text, "{}", database(target, facts));
    if target.password.is_some() && facts.iter().any(|facts| facts.asks_password) {
        let user = key(&target.user);
        let _ = write!(
            text,
            "\n# PostgreSQL asks PgOtter for this user's password. Until PgOtter can pass on the proof a client gives, it \
             needs the\n# password itself; it stands in a file of its own, mode 0600. {{ env = \"NAME\" }} works too.\n\
             [users.{user}]\npassword = {{ file = \"{PASSWORD}\" }}\n"
        );
    }
    text
}

fn head(target: &Target, facts: &[Facts]) -> String {
    let sizes = Sizes::of(facts);
    let auth = if target.password.is_some() {
        format!(
            "# Clients prove their password to PgOtter; {USERLIST} (mode 0600) holds what it is checked against.\n\
             auth_type = \"scram-sha-256\"\n"
        )
    } else {
        "# PostgreSQL admitted the user without a password, and the URL had none: PgOtter admits it in the same way, from this\n\
         # machine alone. For scram-sha-256: give the user a secret in userlist.txt and change this line.\n\
         auth_type = \"trust\"\n"
            .to_owned()
    };
    format!(
        "# Written by `pgotter init`.\n\
         #   pgotter check         finds every mistake in this file\n\
         #   pgotter run           starts; then: psql -h 127.0.0.1 -p 6432\n\
         # Every key, with its default and unit, is in config/reference.toml of PgOtter's source.\n\
         \n\
         [pooler]\n\
         listen_addr = \"127.0.0.1\"       # clients on this machine only; \"*\" = from anywhere\n\
         listen_port = 6432\n\
         {auth}\
         auth_file = \"{USERLIST}\"\n\
         \n\
         # A server goes back to its pool when the transaction ends. Clients that keep something longer (SET, LISTEN,\n\
         # temporary tables, prepared statements, advisory locks) need \"session\".\n\
         pool_mode = \"transaction\"\n\
         \n\
         # Servers of one user on one database: a quarter of what PostgreSQL has.\n\
         default_pool_size = {}\n",
        sizes.pool
    )
}

fn database(target: &Target, facts: &[Facts]) -> String {
    let sizes = Sizes::of(facts);
    let mut text = String::from("\n# What was found:\n");
    for ((host, port), facts) in target.hosts.iter().zip(facts) {
        let _ = writeln!(text, "#   {}", summary(host, *port, facts));
    }
    let _ = write!(
        text,
        "[databases.{}]\nhosts = {}\n\
         # Servers of all users together: three quarters. The rest is for whoever connects without PgOtter.\n\
         max_db_connections = {}\n",
        key(&target.database),
        hosts(target, facts),
        sizes.database
    );
    text
}

/// One host: PgOtter finds out by itself. Several: which is the primary must be said for now.
fn hosts(target: &Target, facts: &[Facts]) -> String {
    if let [(host, port)] = &target.hosts[..] {
        return format!("[{}]", quoted(&place(host, *port)));
    }
    let mut text = String::from("[\n");
    for ((host, port), facts) in target.hosts.iter().zip(facts) {
        let role = if facts.standby { "replica" } else { "primary" };
        let _ = writeln!(text, "    {{ host = {}, port = {port}, role = \"{role}\" }},", quoted(host));
    }
    text.push(']');
    text
}

/// `host:port`, as PgOtter's `hosts` reads it.
pub fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A host in one line.
pub fn summary(host: &str, port: u16, facts: &Facts) -> String {
    let role = match (facts.standby, facts.standbys) {
        (true, _) => "a standby".to_owned(),
        (false, 0) => "a primary without standbys".to_owned(),
        (false, 1) => "a primary with 1 standby".to_owned(),
        (false, many) => format!("a primary with {many} standbys"),
    };
    let Facts { version, max_connections, reserved, in_use, .. } = facts;
    let place = one_line(&place(host, port));
    format!(
        "{place}: PostgreSQL {version}, {role}; max_connections {max_connections}, {reserved} of them reserved, \
         {in_use} in use"
    )
}

/// A comment must not end early.
fn one_line(text: &str) -> String {
    text.escape_debug().to_string()
}

/// A TOML key, bare where that is allowed.
fn key(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.chars().all(bare) { text.to_owned() } else { quoted(text) }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
