//! `postgresql://user:password@host:port/database?…` as libpq reads it, with several hosts, sockets' folders and
//! percent-encoding. No error repeats any part of the URL: what is misread may be a piece of the password.
//!
//! Why by hand: the `url` crate knows one host, and tokio-postgres, which knows several, is a whole driver.
//! Source: PostgreSQL documentation, "Connection URIs"; `conninfo_uri_parse_options` in `fe-connect.c`.

use crate::secret::Secret;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

const PORT: u16 = 5432;
const TIMEOUT: Duration = Duration::from_secs(15);

/// What a URL says.
pub struct Target {
    /// Role.
    pub user: String,
    /// Its password, if the URL has one.
    pub password: Option<Secret<String>>,
    /// Database; the user's name when none is given, as in libpq.
    pub database: String,
    /// At least one: name, address or a socket's `/folder`, and port. No two are equal.
    pub hosts: Vec<(String, u16)>,
    /// Longest time for one host. Default 15 s; `connect_timeout` in whole seconds.
    pub timeout: Duration,
}

/// What is taken for what a URL leaves out. Empty: it must not, but for the database, which is then called as the user.
pub struct Missing {
    /// Role.
    pub user: String,
    /// Name, address or a socket's `/folder`.
    pub host: String,
    /// Of each host without one.
    pub port: u16,
    /// Database.
    pub database: String,
}

impl Default for Missing {
    /// PostgreSQL's port, and nothing else.
    fn default() -> Self {
        Self { user: String::new(), host: String::new(), port: PORT, database: String::new() }
    }
}

/// What is wrong with a URL, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl(String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUrl {}

/// Reads a URL.
///
/// # Errors
/// The first mistake.
pub fn parse(url: &str) -> Result<Target, BadUrl> {
    parse_with(url, Missing::default())
}

/// As [`parse`]; `missing` fills up what is left out.
///
/// # Errors
/// The first mistake.
pub fn parse_with(url: &str, missing: Missing) -> Result<Target, BadUrl> {
    let rest = url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"));
    let rest = rest.ok_or_else(|| bad("it does not begin with postgresql://"))?;
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = front.split_once('/').unwrap_or((front, ""));
    let (login, hosts) = authority.split_once('@').unwrap_or(("", authority));
    if hosts.contains('@') {
        return Err(bad("it has more than one @; inside a user or password, write %40"));
    }
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let mut parts = Parts {
        user: decode(user, "user")?,
        password: password.map(|text| decode(text, "password").map(Zeroizing::new)).transpose()?,
        database: decode(database, "database")?,
        timeout: TIMEOUT,
        ..Parts::default()
    };
    for host in hosts.split(',').filter(|_| !hosts.is_empty()) {
        let (name, port) = host_and_port(host)?;
        parts.hosts.push(name);
        parts.ports.push(port);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| bad("behind the ? stand name=value pairs"))?;
        parts.take(&decode(name, "parameter")?, decode(value, "parameter")?)?;
    }
    parts.finish(missing)
}

#[derive(Default)]
struct Parts {
    user: String,
    password: Option<Zeroizing<String>>,
    database: String,
    hosts: Vec<String>,
    ports: Vec<Option<u16>>,
    timeout: Duration,
}

impl Parts {
    /// One parameter from behind the `?`. It overrides what stands in front, as in libpq.
    fn take(&mut self, name: &str, value: String) -> Result<(), BadUrl> {
        match name {
            "user" => self.user = value,
            "password" => self.password = Some(Zeroizing::new(value)),
            "dbname" => self.database = value,
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => self.ports = value.split(',').map(port).collect::<Result<_, _>>()?,
            "connect_timeout" => {
                let seconds = value.parse().map_err(|_| bad("connect_timeout must be a number of seconds"))?;
                self.timeout = if seconds == 0 { TIMEOUT } else { Duration::from_secs(seconds) };
            }
            "sslmode" => return sslmode(&value),
            _ => {
                let known = "host, port, user, password, dbname, connect_timeout and sslmode";
                return Err(bad(&format!("a parameter behind the ? is unknown; known are {known}; leave others out")));
            }
        }
        Ok(())
    }

    fn finish(mut self, missing: Missing) -> Result<Target, BadUrl> {
        let Missing { user, host, port: default_port, database } = missing;
        if self.user.is_empty() {
            self.user = user;
        }
        if self.hosts.is_empty() && !host.is_empty() {
            self.hosts.push(host);
        }
        if self.database.is_empty() {
            self.database = database;
        }
        if self.user.is_empty() {
            return Err(bad("it names no user"));
        }
        if self.hosts.is_empty() || self.hosts.iter().any(String::is_empty) {
            return Err(bad("it names no host; for a unix socket: postgresql:///db?host=/var/run/postgresql&user=…"));
        }
        let hosts: Vec<_> = match &self.ports[..] {
            [] => self.hosts.iter().map(|host| (host.clone(), default_port)).collect(),
            [one] => self.hosts.iter().map(|host| (host.clone(), one.unwrap_or(default_port))).collect(),
            each if each.len() == self.hosts.len() => {
                self.hosts.iter().cloned().zip(each.iter().map(|port| port.unwrap_or(default_port))).collect()
            }
            _ => return Err(bad("it has neither one port for all hosts nor one for each")),
        };
        if hosts.iter().enumerate().any(|(index, host)| hosts.iter().take(index).any(|other| other == host)) {
            return Err(bad("it names a host twice"));
        }
        let database = if self.database.is_empty() { self.user.clone() } else { self.database };
        let password = self.password.filter(|password| !password.is_empty());
        let password = password.map(|mut password| Secret::new(std::mem::take(&mut *password)));
        Ok(Target { user: self.user, password, database, hosts, timeout: self.timeout })
    }
}

/// Those that are content without encryption.
fn sslmode(value: &str) -> Result<(), BadUrl> {
    match value {
        "disable" | "allow" | "prefer" => Ok(()),
        "require" | "verify-ca" | "verify-full" => Err(BadUrl(format!(
            "sslmode={value} cannot be kept: TLS is used where it is offered, but neither insisted upon nor are \
             certificates checked here; leave sslmode out"
        ))),
        _ => Err(bad("sslmode must be disable, allow or prefer")),
    }
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), BadUrl> {
    let (host, port_text) = if let Some(inside) = text.strip_prefix('[') {
        let (host, behind) = inside.split_once(']').ok_or_else(|| bad("an IPv6 address lacks its ]"))?;
        match behind.strip_prefix(':') {
            Some(port) => (host, port),
            None if behind.is_empty() => (host, ""),
            None => return Err(bad("behind the ] of an IPv6 address stands neither a port nor the end")),
        }
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    if port_text.contains(':') {
        return Err(misread("a host has several colons; an IPv6 address stands in brackets: [::1]:5432"));
    }
    Ok((decode(host, "host")?, port(port_text)?))
}

/// Empty is libpq's way to say "the default".
fn port(text: &str) -> Result<Option<u16>, BadUrl> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok().filter(|port| *port != 0) } else { None };
    number.map(Some).ok_or_else(|| misread("a port is not a number from 1 to 65535"))
}

/// Undoes percent-encoding. A `+` is a plus.
fn decode(text: &str, what: &str) -> Result<String, BadUrl> {
    let wrong = |why: &str| bad(&format!("the {what} {why}"));
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.split_first_chunk::<2>().and_then(|(digits, behind)| {
            rest = behind;
            Some((char::from(digits[0]).to_digit(16)?, char::from(digits[1]).to_digit(16)?))
        });
        let (high, low) = digits.ok_or_else(|| wrong("has a % without two hexadecimal digits; a % itself is %25"))?;
        let byte = u8::try_from(high * 16 + low).expect("invariant: two hexadecimal digits fit into a byte");
        if byte == 0 {
            return Err(wrong("has a zero byte"));
        }
        bytes.push(byte);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(wrong("is not UTF-8")),
    }
}

/// What looks like a host or port may well be the rest of a password.
fn misread(why: &str) -> BadUrl {
    BadUrl(format!("{why} (if that belongs to a password: there / ? # : @ are written %2F %3F %23 %3A %40)"))
}

fn bad(why: &str) -> BadUrl {
    BadUrl(why.to_owned())
}

#[cfg(test)]
mod tests;
