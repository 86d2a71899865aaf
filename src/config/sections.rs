//! Every key: name, default, range. The order is that of the model; what a key means is told there and
//! in `config/reference.toml`.

use super::alerts::alerts;
use super::console::is_console;
use super::hosts::hosts;
use super::insight::{insight, slow_queries};
use super::later;
use super::model::{Access, AuthType, Config, Database, Http, LogFormat, PoolMode, Pooler, Ready, SslMode, User};
use super::notify::notify;
use super::outside::Outside;
use super::report::{Notebook, Report};
use super::routing::routing;
use super::section::{Section, Value, Wrong, nearest};
use super::tls;
use super::userlist;
use super::values::*;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;
use zeroize::Zeroizing;

const POOL_MODES: [(&str, PoolMode); 3] =
    [("session", PoolMode::Session), ("transaction", PoolMode::Transaction), ("statement", PoolMode::Statement)];
const AUTH_TYPES: [(&str, AuthType); 5] = [
    ("trust", AuthType::Trust),
    ("plain", AuthType::Plain),
    ("md5", AuthType::Md5),
    ("scram-sha-256", AuthType::ScramSha256),
    ("cert", AuthType::Cert),
];
const SECTIONS: [&str; 9] =
    ["pooler", "databases", "users", "http", "routing", "insight", "slow_queries", "alert", "notify"];

/// Bytes of a secret that nobody guesses.
const SECRET_MIN: usize = 16;

/// Where Prometheus looks for a PgBouncer exporter: a dashboard made for one finds PgOtter.
const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9127);

/// Reads `text` as the configuration in `file`. Pure: files come through `read`, the environment through `env`.
///
/// # Errors
/// All mistakes at once.
pub fn parse(
    text: &str,
    file: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    env: &dyn Fn(&str) -> Option<String>,
    cores: usize,
) -> Result<Config, Report> {
    let mut notes = Notebook::new(file, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.syntax(error.span(), error.message(), "");
    }
    let outside = Outside { dir: file.parent().unwrap_or(Path::new("")), read, env, cores };
    let root = root.get_ref();
    let users = users(&mut notes, root, &outside);
    let pooler = pooler(&mut notes, root, &outside, &users);
    let databases = databases(&mut notes, root, &outside, &pooler);
    let http = http(&mut notes, root);
    let (table, place) = subtable(&mut notes, root, "routing");
    let routing = routing(&mut Section::new(&mut notes, table, "[routing]", place), &databases);
    let (table, place) = subtable(&mut notes, root, "insight");
    let insight = insight(&mut Section::new(&mut notes, table, "[insight]", place));
    let alerts = alerts(&mut notes, root);
    let table = subtable(&mut notes, root, "notify");
    let notify = notify(&mut notes, table, &outside);
    let (table, place) = subtable(&mut notes, root, "slow_queries");
    let slow_queries = slow_queries(&mut Section::new(&mut notes, table, "[slow_queries]", place));
    unknown_sections(&mut notes, root);
    if notes.is_empty() {
        Ok(Config {
            file: file.to_owned(),
            pooler,
            databases,
            users,
            http,
            routing,
            insight,
            slow_queries,
            alerts,
            notify,
        })
    } else {
        Err(notes.into_report())
    }
}

fn pooler(notes: &mut Notebook, root: &DeTable<'_>, outside: &Outside<'_>, users: &BTreeMap<String, User>) -> Pooler {
    let (table, place) = subtable(notes, root, "pooler");
    let passwords_sound = notes.is_empty();
    let seconds = Duration::from_secs;
    let s = &mut Section::new(notes, table, "[pooler]", place);
    let workers = s.or("workers", 0, whole(0..=64));
    let mut pooler = Pooler {
        workers: if workers == 0 { (outside.cores / 2).clamp(1, 8) } else { workers },
        listen_addr: s.or("listen_addr", vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], addresses),
        listen_port: s.or("listen_port", 6432, port),
        listen_backlog: s.or("listen_backlog", 4096, whole(1..=65_535)),
        unix_socket_dir: s.get("unix_socket_dir", |value| socket_dir(value, outside)).flatten(),
        unix_socket_mode: s.or("unix_socket_mode", 0o777, file_mode),
        pool_mode: s.or("pool_mode", PoolMode::Transaction, word(&POOL_MODES)),
        max_client_conn: s.get("max_client_conn", whole(1..=COUNT_MAX)),
        memory_budget: s.get("memory_budget", size(1 << 20..=1 << 50)),
        default_pool_size: s.or("default_pool_size", 20, count),
        min_pool_size: s.or("min_pool_size", 0, count),
        reserve_pool_size: s.or("reserve_pool_size", 0, count),
        reserve_pool_timeout: s.or("reserve_pool_timeout", seconds(5), duration),
        max_db_connections: s.or("max_db_connections", 0, count),
        max_user_connections: s.or("max_user_connections", 0, count),
        max_db_client_connections: s.or("max_db_client_connections", 0, count),
        max_user_client_connections: s.or("max_user_client_connections", 0, count),
        server_round_robin: s.or("server_round_robin", false, boolean),
        query_wait_timeout: s.or("query_wait_timeout", Some(seconds(30)), limit),
        query_wait_notify: s.or("query_wait_notify", Some(seconds(5)), limit),
        server_lifetime: s.or("server_lifetime", seconds(3600), duration),
        server_idle_timeout: s.or("server_idle_timeout", Some(seconds(600)), limit),
        server_connect_timeout: s.or("server_connect_timeout", seconds(15), positive),
        server_login_retry: s.or("server_login_retry", seconds(15), positive),
        dns_max_ttl: s.or("dns_max_ttl", Some(seconds(15)), limit),
        server_check_delay: s.or("server_check_delay", seconds(30), duration),
        max_pinned: s.or("max_pinned", 0, count),
        max_prepared_statements: s.or("max_prepared_statements", 200, count),
        statement_cache_size: s.or("statement_cache_size", 16 << 20, size(0..=1 << 40)),
        server_reset_query: s.or("server_reset_query", "DISCARD ALL".to_owned(), text),
        server_reset_query_always: s.or("server_reset_query_always", false, boolean),
        ignore_startup_parameters: s.or("ignore_startup_parameters", Vec::new(), names),
        track_extra_parameters: s.or("track_extra_parameters", vec!["IntervalStyle".to_owned()], names),
        application_name_add_host: s.or("application_name_add_host", false, boolean),
        query_timeout: s.or("query_timeout", None, limit),
        idle_transaction_timeout: s.or("idle_transaction_timeout", None, limit),
        transaction_timeout: s.or("transaction_timeout", None, limit),
        client_idle_timeout: s.or("client_idle_timeout", None, limit),
        client_login_timeout: s.or("client_login_timeout", seconds(15), positive),
        login_failure_limit: s.or("login_failure_limit", 20, whole(1..=COUNT_MAX)),
        login_failure_delay: s.or("login_failure_delay", seconds(1), duration),
        shutdown_timeout: s.or("shutdown_timeout", seconds(30), duration),
        client_write_timeout: s.or("client_write_timeout", Some(seconds(300)), limit),
        cancel_wait_timeout: s.or("cancel_wait_timeout", seconds(10), positive),
        tcp_keepalive: s.or("tcp_keepalive", true, boolean),
        tcp_keepidle: s.or("tcp_keepidle", None, keepalive),
        tcp_keepintvl: s.or("tcp_keepintvl", None, keepalive),
        // Source: Linux include/net/tcp.h, MAX_TCP_KEEPCNT.
        tcp_keepcnt: s.get("tcp_keepcnt", whole(0..=127)).filter(|probes| *probes > 0),
        tcp_user_timeout: s.or("tcp_user_timeout", None, limit_in_ms),
        request_gather: s.or("request_gather", 64 << 10, size(1 << 10..=16 << 20)),
        auth_type: s.or("auth_type", AuthType::ScramSha256, auth_type),
        auth_file: s.get("auth_file", |value| outside.path(value)),
        auth_users: BTreeMap::new(),
        mock_authentication_secret: s.get("mock_authentication_secret", |value| unguessable(value, outside)),
        admin_users: s.or("admin_users", Vec::new(), names),
        stats_users: s.or("stats_users", Vec::new(), names),
        stats_period: s.or("stats_period", seconds(60), period),
        client_tls: tls::client(s, outside),
        server_tls: tls::server(s, outside),
        log_format: s.or("log_format", LogFormat::Auto, word(&LogFormat::ALL)),
        log_connections: s.or("log_connections", false, boolean),
        log_disconnections: s.or("log_disconnections", false, boolean),
        log_pooler_errors: s.or("log_pooler_errors", true, boolean),
    };
    pooler.auth_users = auth_users(s, pooler.auth_file.as_deref(), outside, users);
    if passwords_sound {
        check_auth(s, &pooler);
    }
    let sizes = Sizes { key: "default_pool_size", limit: pooler.default_pool_size, kept: pooler.min_pool_size };
    check_min_pool_size(s, &sizes);
    s.unknown_keys(later::key);
    pooler
}

/// A secret that nobody has to remember.
fn unguessable(value: &Value<'_>, outside: &Outside<'_>) -> Result<Secret<String>, Wrong> {
    let secret = outside.password(value)?;
    if secret.expose().len() < SECRET_MIN {
        let wrong = Wrong::new(format!("{SECRET_MIN} bytes or more"), "one that could be guessed");
        return Err(wrong.with_help("`openssl rand -hex 32` prints one"));
    }
    Ok(secret)
}

/// What `auth_file` holds, and the passwords under `[users]` for whom it does not list.
fn auth_users(
    s: &mut Section<'_>,
    file: Option<&Path>,
    outside: &Outside<'_>,
    users: &BTreeMap<String, User>,
) -> BTreeMap<String, Secret<String>> {
    let mut known = BTreeMap::new();
    match file.map(|file| (file, (outside.read)(file).map(Zeroizing::new))) {
        None => {}
        Some((file, Ok(text))) => {
            let (listed, bad) = userlist::parse(&text);
            known = listed;
            for bad in bad {
                let message = "each line must be \"user\" \"secret\"".to_owned();
                s.notes.add_elsewhere(file, bad.line, bad.column, message, bad.reason.to_owned());
            }
        }
        Some((file, Err(error))) => {
            let label = format!("cannot read {}: {error}", file.display());
            let help = "a relative path is relative to this file; each line is \"user\" \"secret\"";
            let place = s.place_of("auth_file");
            s.refuse("auth_file", place, Wrong::new("readable", label).with_help(help));
        }
    }
    for (name, user) in users {
        if let Some(password) = &user.password {
            known.entry(name.clone()).or_insert_with(|| password.clone());
        }
    }
    known
}

/// Somebody must be able to log in, and not just anybody from anywhere.
fn check_auth(s: &mut Section<'_>, pooler: &Pooler) {
    if !s.is_sound(&["auth_type", "listen_addr", "client_tls_sslmode"]) {
        return;
    }
    let place = s.place_of("auth_type");
    if pooler.auth_type == AuthType::Cert && pooler.client_tls.sslmode < SslMode::VerifyCa {
        let message = "auth_type \"cert\" needs `client_tls_sslmode` \"verify-full\"".to_owned();
        s.notes.add(place.clone(), message, "nobody's certificate would be verified", None);
    }
    if s.has("auth_file") {
        return;
    }
    let method = AUTH_TYPES.iter().find(|(_, method)| *method == pooler.auth_type).map_or("", |(name, _)| name);
    match pooler.auth_type {
        AuthType::Plain | AuthType::Md5 | AuthType::ScramSha256 | AuthType::Cert if pooler.auth_users.is_empty() => {
            s.notes.add(
                place,
                format!("auth_type \"{method}\" needs `auth_file`"),
                "nobody could log in",
                Some("auth_file = \"userlist.txt\" with lines \"user\" \"password or SCRAM verifier\"".to_owned()),
            )
        }
        AuthType::Trust if pooler.lets_anybody_in() => s.notes.add(
            place,
            "auth_type \"trust\" without `auth_file` is for loopback addresses only".to_owned(),
            "anybody on the network could be anybody",
            Some("use \"scram-sha-256\", or list the users in `auth_file`, or listen on 127.0.0.1".to_owned()),
        ),
        _ => {}
    }
}

impl Pooler {
    /// Whether anybody on the network could be anybody.
    pub(super) fn lets_anybody_in(&self) -> bool {
        self.auth_type == AuthType::Trust
            && self.auth_file.is_none()
            && !self.listen_addr.iter().all(IpAddr::is_loopback)
    }
}

/// Names of machines, without port.
fn host_names(value: &Value<'_>) -> Result<Vec<String>, Wrong> {
    let names = names(value)?;
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    match names.iter().find(|name| !is_name(name)) {
        None => Ok(names.iter().map(|name| name.trim_end_matches('.').to_owned()).collect()),
        Some(name) => {
            let wrong = Wrong::new("a list of names of hosts", format!("{name:?} is none"));
            Err(wrong.with_help("without scheme and port, as in \"otter.example.test\"; there are no wildcards"))
        }
    }
}

pub(super) const READY: [(&str, Ready); 3] =
    [("primary", Ready::Primary), ("any_host", Ready::AnyHost), ("listening", Ready::Listening)];

fn http(notes: &mut Notebook, root: &DeTable<'_>) -> Http {
    let (table, place) = subtable(notes, root, "http");
    let s = &mut Section::new(notes, table, "[http]", place);
    let http = Http {
        listen: s.or("listen", Some(HTTP), socket_address),
        allowed_hosts: s.or("allowed_hosts", Vec::new(), host_names),
        ready: s.or("ready", Ready::Primary, word(&READY)),
        pgbouncer_metrics: s.or("pgbouncer_metrics", true, boolean),
    };
    s.unknown_keys(later::key);
    http
}

fn users(notes: &mut Notebook, root: &DeTable<'_>, outside: &Outside<'_>) -> BTreeMap<String, User> {
    let mut users = BTreeMap::new();
    for (name, table, place) in entries(notes, root, "users") {
        let s = &mut Section::new(notes, Some(table), format!("[users.{name}]"), place.clone());
        let user = User {
            password: s.get("password", |value| outside.password(value)),
            pool_mode: s.get("pool_mode", word(&POOL_MODES)),
            pool_size: s.get("pool_size", count),
            reserve_pool_size: s.get("reserve_pool_size", count),
            max_user_connections: s.get("max_user_connections", count),
            max_user_client_connections: s.get("max_user_client_connections", count),
            query_timeout: s.get("query_timeout", limit),
            query_wait_timeout: s.get("query_wait_timeout", limit),
            idle_transaction_timeout: s.get("idle_transaction_timeout", limit),
            transaction_timeout: s.get("transaction_timeout", limit),
            client_idle_timeout: s.get("client_idle_timeout", limit),
        };
        s.unknown_keys(later::key);
        users.insert(name.to_owned(), user);
    }
    users
}

/// The names are free, and there is one that they are made of.
fn check_aliases(s: &mut Section<'_>, root: &DeTable<'_>, name: &str) {
    let place = s.place_of("aliases");
    if name == "*" {
        let message = "`aliases` is for a database with a name".to_owned();
        s.notes.add(place, message, "of any name", None);
        return;
    }
    let taken = root.get("databases").and_then(|databases| databases.get_ref().as_table());
    for alias in Access::ALL.map(|access| format!("{name}{}", access.suffix())) {
        if taken.is_some_and(|taken| taken.contains_key(alias.as_str())) {
            let message = format!("`aliases` makes {alias}, which is a database of its own");
            s.notes.add(place.clone(), message, "taken", None);
        }
    }
}

fn databases(
    notes: &mut Notebook,
    root: &DeTable<'_>,
    outside: &Outside<'_>,
    pooler: &Pooler,
) -> BTreeMap<String, Database> {
    let mut databases = BTreeMap::new();
    for (name, table, place) in entries(notes, root, "databases") {
        if is_console(name) || name.len() > 63 {
            let reason = if name.len() > 63 { "longer than 63 bytes" } else { "the name of the console" };
            notes.add(place.clone(), "a database cannot have this name".to_owned(), reason, None);
        }
        let s = &mut Section::new(notes, Some(table), format!("[databases.{name}]"), place);
        let database = Database {
            dbname: s.get("dbname", self::name),
            hosts: hosts(s),
            user: s.get("user", self::name),
            password: s.get("password", |value| outside.password(value)),
            monitor_user: s.get("monitor_user", self::name),
            monitor_password: s.get("monitor_password", |value| outside.password(value)),
            monitor_dbname: s.get("monitor_dbname", self::name),
            pool_size: s.get("pool_size", count),
            min_pool_size: s.get("min_pool_size", count),
            reserve_pool_size: s.get("reserve_pool_size", count),
            pool_mode: s.get("pool_mode", word(&POOL_MODES)),
            max_db_connections: s.get("max_db_connections", count),
            max_db_client_connections: s.get("max_db_client_connections", count),
            server_lifetime: s.get("server_lifetime", duration),
            query_wait_timeout: s.get("query_wait_timeout", limit),
            connect_query: s.get("connect_query", self::name),
            client_encoding: s.get("client_encoding", self::name),
            datestyle: s.get("datestyle", self::name),
            timezone: s.get("timezone", self::name),
            application_name: s.get("application_name", self::name),
            aliases: s.or("aliases", false, boolean),
        };
        if database.aliases {
            check_aliases(s, root, name);
        }
        for (password, user) in [("password", "user"), ("monitor_password", "monitor_user")] {
            if s.has(password) && !s.has(user) {
                let place = s.place_of(password);
                let help = format!("add `{user}`, or give each user's password in `auth_file` or [users.NAME]");
                s.notes.add(place, format!("`{password}` needs `{user}`: it is that user's"), "whose?", Some(help));
            }
        }
        if database.pool_size.is_some() || database.min_pool_size.is_some() {
            let limit = database.pool_size.unwrap_or(pooler.default_pool_size);
            let kept = database.min_pool_size.unwrap_or(pooler.min_pool_size);
            check_min_pool_size(s, &Sizes { key: "pool_size", limit, kept });
        }
        s.unknown_keys(later::key);
        databases.insert(name.to_owned(), database);
    }
    if !root.contains_key("databases") && !notes.is_torn() {
        let help = Some("[databases.\"*\"] with hosts = [\"127.0.0.1:5432\"] serves every name".to_owned());
        notes.add(0..0, "no [databases.NAME] is configured".to_owned(), "", help);
    }
    databases
}

struct Sizes {
    key: &'static str,
    limit: usize,
    kept: usize,
}

fn check_min_pool_size(s: &mut Section<'_>, sizes: &Sizes) {
    if sizes.limit == 0 || sizes.kept <= sizes.limit || !s.is_sound(&[sizes.key, "min_pool_size"]) {
        return;
    }
    let key = if s.has("min_pool_size") { "min_pool_size" } else { sizes.key };
    let place = s.place_of(key);
    let message = format!("`min_pool_size` must not exceed `{}`", sizes.key);
    s.notes.add(place, message, format!("{} kept of at most {}", sizes.kept, sizes.limit), None);
}

fn auth_type(value: &Value<'_>) -> Result<AuthType, Wrong> {
    word(&AUTH_TYPES)(value).map_err(|wrong| match value.get_ref().as_str() {
        Some(later) if later::AUTH_TYPES.contains(&later) => Wrong::new(wrong.expected, "not supported yet"),
        _ => wrong,
    })
}

/// The folder of our own socket; empty is none.
fn socket_dir(value: &Value<'_>, outside: &Outside<'_>) -> Result<Option<PathBuf>, Wrong> {
    let folder = text(value)?;
    if folder.is_empty() {
        return Ok(None);
    }
    if folder.starts_with('@') {
        return Err(Wrong::new("a folder", "abstract sockets are not supported yet"));
    }
    let path = outside.dir.join(folder);
    // Source: unix(7), 108 bytes of sun_path with its final zero, less "/.s.PGSQL.65535".
    if path.as_os_str().len() > 92 {
        return Err(Wrong::new("a folder of at most 92 bytes", "the socket's name would not fit behind it"));
    }
    Ok(Some(path))
}

/// The table `[name]`, and where its name stands.
fn subtable<'t>(
    notes: &mut Notebook,
    root: &'t DeTable<'t>,
    name: &'static str,
) -> (Option<&'t DeTable<'t>>, Range<usize>) {
    let Some((key, value)) = root.iter().find(|(key, _)| key.get_ref() == name) else {
        return (None, 0..0);
    };
    let table = value.get_ref().as_table();
    if table.is_none() {
        notes.add(value.span(), format!("`{name}` must be a section, [{name}]"), found(value), None);
    }
    (table, key.span())
}

/// The tables `[section.NAME]`.
fn entries<'t>(
    notes: &mut Notebook,
    root: &'t DeTable<'t>,
    section: &'static str,
) -> Vec<(&'t str, &'t DeTable<'t>, Range<usize>)> {
    let mut entries = Vec::new();
    for (key, value) in subtable(notes, root, section).0.into_iter().flatten() {
        let name: &str = key.get_ref();
        match value.get_ref().as_table() {
            Some(_) if name.is_empty() || name.contains('\0') => {
                notes.add(key.span(), format!("[{section}.NAME] needs a name"), "not a name", None);
            }
            Some(table) => entries.push((name, table, key.span())),
            None => {
                let help = Some(format!("write the keys of each under [{section}.NAME]"));
                notes.add(value.span(), format!("[{section}] must hold sections only"), found(value), help);
            }
        }
    }
    entries
}

fn unknown_sections(notes: &mut Notebook, root: &DeTable<'_>) {
    for (key, _) in root {
        let name: &str = key.get_ref();
        if SECTIONS.contains(&name) {
            continue;
        }
        let (message, help) = if later::SECTIONS.contains(&name) {
            (format!("[{name}] is not supported yet"), "remove it".to_owned())
        } else if name == "pgbouncer" {
            (format!("unknown section [{name}]"), "here it is called [pooler]".to_owned())
        } else if let Some(near) = nearest(name, SECTIONS.into_iter()) {
            (format!("unknown section [{name}]"), format!("did you mean [{near}]?"))
        } else {
            (
                format!("`{name}` stands outside the known sections"),
                "known: [pooler], [databases.NAME], [users.NAME], [routing], [http], [insight], [slow_queries], [[alert]], \
                 [notify]"
                    .to_owned(),
            )
        };
        notes.add(key.span(), message, "unknown", Some(help));
    }
}
