//! The hosts of a database: `hosts = ["pg-0:5432", { host = "pg-1", role = "replica" }]`, or PgBouncer's
//! `host` and `port`. Checks the form only; whether a host exists is found out by connecting.

use super::model::{Host, HostRole};
use super::section::{Section, Value, Wrong};
use super::values::{self, found, port, whole, word};
use std::net::Ipv6Addr;
use toml::de::DeValue;

const PORT: u16 = 5432;
const ROLES: [(&str, HostRole); 3] =
    [("auto", HostRole::Auto), ("primary", HostRole::Primary), ("replica", HostRole::Replica)];
const FORM: &str = "a host such as \"pg-0:5432\", \"[::1]:5432\" or \"/run/postgresql\"";

/// Reads the hosts of one `[databases.NAME]`.
pub(super) fn hosts(section: &mut Section<'_>) -> Vec<Host> {
    let list = section.raw("hosts");
    let host = section.get("host", values::name);
    let given_port = section.get("port", port);
    match list {
        Some(list) => {
            for key in ["host", "port"] {
                if section.has(key) {
                    let place = section.place_of(key);
                    let message = format!("`{key}` and `hosts` cannot both be given");
                    let help = Some("`hosts` says it all: hosts = [\"pg-0:5432\"]".to_owned());
                    section.notes.add(place, message, "one of the two", help);
                }
            }
            listed(section, list)
        }
        None => match host {
            Some(host) => pgbouncer_style(section, &host, given_port.unwrap_or(PORT)),
            None => {
                if !section.has("host") && !section.notes.is_torn() {
                    let place = section.place_of("port");
                    let message = "a database needs `hosts`".to_owned();
                    let help = Some("for example: hosts = [\"127.0.0.1:5432\"]".to_owned());
                    section.notes.add(place, message, "without any", help);
                }
                Vec::new()
            }
        },
    }
}

fn listed(section: &mut Section<'_>, list: &Value<'_>) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let Some(items) = list.get_ref().as_array() else {
        let wrong = Wrong::new("a list", found(list)).with_help("hosts = [\"pg-0:5432\", \"pg-1:5432\"]");
        section.refuse("hosts", list.span(), wrong);
        return hosts;
    };
    if items.is_empty() {
        section.refuse("hosts", list.span(), Wrong::new("a list of at least one host", "empty"));
    }
    for item in items.iter() {
        let host = match item.get_ref() {
            DeValue::String(text) => Ok(with_port(text)),
            DeValue::Table(_) => match from_table(section, item) {
                Some(host) => Ok(Ok(host)),
                None => continue,
            },
            _ => Err(Wrong::new(FORM, found(item))),
        };
        match host.and_then(|host| host) {
            Ok(host) if hosts.iter().any(|other| (&other.host, other.port) == (&host.host, host.port)) => {
                section.notes.add(item.span(), "each host may be listed once".to_owned(), "a second time", None);
            }
            Ok(host) => hosts.push(host),
            Err(wrong) => {
                let message = format!("each of `hosts` must be {}", wrong.expected);
                section.notes.add(item.span(), message, wrong.label, wrong.help);
            }
        }
    }
    hosts
}

fn from_table(outer: &mut Section<'_>, item: &Value<'_>) -> Option<Host> {
    let table = item.get_ref().as_table();
    let mut section = Section::new(outer.notes, table, "a host", item.span());
    let host = section.get("host", |value| {
        let text = values::name(value)?;
        bare(&text)
    });
    if !section.has("host") {
        section.notes.add(item.span(), "a host needs `host`".to_owned(), "without", None);
    }
    let port = section.or("port", PORT, port);
    let role = section.or("role", HostRole::Auto, word(&ROLES));
    let weight = section.or("weight", 1, whole(0..=1_000));
    section.unknown_keys(|_| None);
    Some(Host { host: host?, port, role, weight })
}

/// PgBouncer's `host = "a,b"` with one port for all.
fn pgbouncer_style(section: &mut Section<'_>, list: &str, port: u16) -> Vec<Host> {
    let mut hosts = Vec::new();
    for part in list.split(',').map(str::trim) {
        match bare(part) {
            Ok(host) => hosts.push(Host { host, port, role: HostRole::Auto, weight: 1 }),
            Err(wrong) => {
                let place = section.place_of("host");
                section.refuse("host", place, wrong);
            }
        }
    }
    hosts
}

/// A host that may carry its port behind a colon.
fn with_port(text: &str) -> Result<Host, Wrong> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an unbracketed IPv6 address and a port's cannot be told apart.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') && !text.ends_with(']') => {
            let wrong = Wrong::new(FORM, "several colons");
            return Err(wrong.with_help("an IPv6 address stands in brackets: \"[::1]:5432\""));
        }
        Some((host, port)) if !text.ends_with(']') => (host, parse_port(port)?),
        _ => (text, PORT),
    };
    Ok(Host { host: bare(host)?, port, role: HostRole::Auto, weight: 1 })
}

fn parse_port(port: &str) -> Result<u16, Wrong> {
    let digits = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    let number = if digits { port.parse().ok().filter(|port| *port != 0) } else { None };
    number.ok_or_else(|| Wrong::new(FORM, "behind the colon stands a port from 1 to 65535"))
}

/// A host without a port: a name, an address (IPv6 with or without brackets), or the folder of a socket.
fn bare(text: &str) -> Result<String, Wrong> {
    let wrong = |label: &str| Wrong::new(FORM, label);
    if text.starts_with('/') {
        // Source: unix(7), 108 bytes of sun_path with its final zero, less "/.s.PGSQL.65535".
        return if text.len() <= 92 {
            Ok(text.to_owned())
        } else {
            Err(wrong("a socket's folder has at most 92 bytes"))
        };
    }
    if text.starts_with('@') {
        return Err(wrong("abstract sockets are not supported yet"));
    }
    if text.contains("://") {
        return Err(wrong("a URL").with_help("the host and port alone; user and password have keys of their own"));
    }
    if text.contains(['[', ']']) || text.parse::<Ipv6Addr>().is_ok() {
        let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        return match inside.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(wrong("in brackets stands an IPv6 address")),
        };
    }
    if text.contains(':') {
        return Err(wrong("a port").with_help("the port goes under `port`"));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    match text {
        "" => Err(wrong("no host")),
        _ if text.len() > 253 => Err(wrong("a name has at most 253 bytes")),
        _ if !text.chars().all(allowed) => Err(wrong("not a name or address")),
        _ => Ok(text.to_owned()),
    }
}
