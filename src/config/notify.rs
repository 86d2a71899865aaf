//! `[notify]`: who is told of alerts. Checks the form of the addresses; whether anybody is there is found out by telling him.

use super::outside::Outside;
use super::report::Notebook;
use super::section::{Section, Value, Wrong};
use super::values::{self, found, positive, word};
use crate::secret::Secret;
use std::ops::Range;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Webhooks at most: each has a connection and a queue.
const WEBHOOKS_MAX: usize = 16;

const FORMATS: [(&str, Format); 2] = [("json", Format::Json), ("slack", Format::Slack)];

const URL: &str = "an address such as \"https://hooks.example.test/db\"";

/// `[notify]`.
#[derive(Clone)]
pub struct Notify {
    /// Each is told of each event. Default none.
    pub webhook: Vec<Webhook>,
    /// From connecting to the beginning of the answer. Default 10 s.
    pub timeout: Duration,
    /// An event that could not be told for so long is given up. Default 1 h.
    pub retry_for: Duration,
}

/// Who is told. Two are the same if all of it is.
#[derive(Clone)]
pub struct Webhook {
    /// By TLS.
    pub tls: bool,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Default 443, without TLS 80.
    pub port: u16,
    /// What stands behind the host, which is often a password.
    pub path: Secret<String>,
    /// Default json.
    pub format: Format,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// PgOtter's own, docs/alerts.md has it.
    Json,
    /// As Slack and those that understand it want it.
    Slack,
}

impl PartialEq for Webhook {
    fn eq(&self, other: &Self) -> bool {
        let key = |hook: &Self| (hook.tls, hook.host.clone(), hook.port, hook.format);
        key(self) == key(other) && self.path.expose() == other.path.expose()
    }
}

/// Reads the section.
pub(super) fn notify(
    notes: &mut Notebook,
    (table, place): (Option<&DeTable<'_>>, Range<usize>),
    outside: &Outside<'_>,
) -> Notify {
    let s = &mut Section::new(notes, table, "[notify]", place);
    let format = s.or("format", Format::Json, word(&FORMATS));
    let notify = Notify {
        webhook: webhooks(s, format, outside),
        timeout: s.or("timeout", Duration::from_secs(10), positive),
        retry_for: s.or("retry_for", Duration::from_secs(3600), values::duration),
    };
    s.unknown_keys(|_| None);
    notify
}

fn webhooks(s: &mut Section<'_>, format: Format, outside: &Outside<'_>) -> Vec<Webhook> {
    let Some(list) = s.raw("webhook") else { return Vec::new() };
    let Some(items) = list.get_ref().as_array() else {
        let wrong = Wrong::new("a list", found(list)).with_help("webhook = [\"https://hooks.example.test/db\"]");
        s.refuse("webhook", list.span(), wrong);
        return Vec::new();
    };
    if items.len() > WEBHOOKS_MAX {
        s.refuse("webhook", list.span(), Wrong::new(format!("a list of at most {WEBHOOKS_MAX}"), "more"));
        return Vec::new();
    }
    let mut webhooks: Vec<Webhook> = Vec::new();
    for item in items.iter() {
        match webhook(s, item, format, outside) {
            Some(Ok(webhook)) if webhooks.contains(&webhook) => {
                s.notes.add(item.span(), "each webhook may be listed once".to_owned(), "a second time", None);
            }
            Some(Ok(webhook)) => webhooks.push(webhook),
            Some(Err(wrong)) => {
                let message = format!("each `webhook` must be {}", wrong.expected);
                s.notes.add(item.span(), message, wrong.label, wrong.help);
            }
            None => (),
        }
    }
    webhooks
}

/// `"https://…"`, `{ env = "NAME" }`, `{ file = "path" }`, or `{ url = one of these, format = "slack" }`.
fn webhook(
    s: &mut Section<'_>,
    item: &Value<'_>,
    format: Format,
    outside: &Outside<'_>,
) -> Option<Result<Webhook, Wrong>> {
    let read = |value: &Value<'_>, format| outside.password(value).and_then(|url| parsed(url.expose(), format));
    let table = match item.get_ref() {
        DeValue::Table(table) if table.contains_key("url") => table,
        _ => return Some(read(item, format)),
    };
    let mut inner = Section::new(s.notes, Some(table), "a webhook", item.span());
    let format = inner.or("format", format, word(&FORMATS));
    let webhook = inner.get("url", |value| read(value, format));
    inner.unknown_keys(|_| None);
    webhook.map(Ok)
}

/// Takes an address apart. What is wrong is said without a word of it: it may be a password.
fn parsed(url: &str, format: Format) -> Result<Webhook, Wrong> {
    let wrong = |label: &str| Wrong::new(URL, label);
    let (tls, rest) = match url.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(wrong("begins with neither https:// nor http://")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(wrong("a login in it").with_help("there is no way to log in; a secret stands in the path"));
    }
    if !is_path(path) {
        let label = "a space, one of #<>\"{}[]|\\^`, something beyond ASCII, or a % without two digits in it";
        return Err(wrong(label).with_help("write it as %20 and so on"));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => {
            let port = port.parse().ok().filter(|port| *port != 0);
            (host, port.ok_or_else(|| wrong("behind the colon stands a port from 1 to 65535"))?)
        }
        _ => (authority, if tls { 443 } else { 80 }),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().ok().map(|address| address.to_string()),
        None => Some(host).filter(|host| !host.is_empty() && host.chars().all(named)).map(str::to_owned),
    };
    let host = host.ok_or_else(|| wrong("no host"))?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Webhook { tls, host, port, path: Secret::new(path), format })
}

/// Whether what stands behind the host may stand there: path and query. Source: RFC 3986, 3.3 and 3.4, and its appendix A.
fn is_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    let is_escape =
        |rest: &str| rest.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    path.bytes().all(allowed) && path.split('%').skip(1).all(is_escape)
}
