//! The settings as `SHOW CONFIG` has them: every key with its value and its default, written as PgBouncer writes its own; those beside
//! `[pooler]` (`others`) with the name of their section. None of them is a secret.

use super::model::{AuthType, ClientTls, Config, LogFormat, PoolMode, Pooler, ServerTls, SslMode, TlsProtocols};
use super::restart::AT_START;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod others;

/// A configuration with nothing but defaults, and what it takes to be one.
const DEFAULTS: &str = "[pooler]\nauth_type = \"trust\"\n[databases.any]\nhosts = [\"localhost\"]\n";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub key: &'static str,
    /// In force. `None`: it is not set.
    pub value: Option<String>,
    /// As when it is left out.
    pub default: Option<String>,
    /// Whether a reload applies it.
    pub changeable: bool,
}

/// Every setting, in the order of names.
pub fn show(config: &Config) -> Vec<Shown> {
    let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let defaults = super::parse(DEFAULTS, Path::new(""), &nothing, &|_| None, 1);
    let defaults = defaults.map(|defaults| values(&defaults)).unwrap_or_default();
    let default = |key: &str| match key {
        "auth_type" => Some("scram-sha-256".to_owned()),
        // 0 stands for a number that depends on the machine.
        "workers" => Some("0".to_owned()),
        _ => defaults.iter().find(|(known, _)| *known == key).and_then(|(_, value)| value.clone()),
    };
    let shown = |(key, value)| Shown { key, value, default: default(key), changeable: !AT_START.contains(&key) };
    let mut shown: Vec<_> = values(config).into_iter().map(shown).collect();
    shown.sort_by_key(|shown| shown.key);
    shown
}

/// As it is written in the file.
pub fn pool_mode_text(mode: PoolMode) -> &'static str {
    match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
        PoolMode::Statement => "statement",
    }
}

/// Seconds.
pub fn duration_text(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

type Entry = (&'static str, Option<String>);

fn values(config: &Config) -> Vec<Entry> {
    let pooler = &config.pooler;
    let mut values = limits(pooler);
    values.extend(timeouts(pooler));
    values.extend(listening(pooler));
    values.extend(users(pooler));
    values.extend(client_tls(&pooler.client_tls));
    values.extend(server_tls(&pooler.server_tls));
    values.extend(others::values(config));
    values
}

fn limits(pooler: &Pooler) -> Vec<Entry> {
    vec![
        ("workers", text(pooler.workers)),
        ("pool_mode", text(pool_mode_text(pooler.pool_mode))),
        ("max_client_conn", pooler.max_client_conn.and_then(text)),
        ("memory_budget", pooler.memory_budget.and_then(text)),
        ("default_pool_size", text(pooler.default_pool_size)),
        ("min_pool_size", text(pooler.min_pool_size)),
        ("reserve_pool_size", text(pooler.reserve_pool_size)),
        ("max_db_connections", text(pooler.max_db_connections)),
        ("max_user_connections", text(pooler.max_user_connections)),
        ("max_db_client_connections", text(pooler.max_db_client_connections)),
        ("max_user_client_connections", text(pooler.max_user_client_connections)),
        ("server_round_robin", flag(pooler.server_round_robin)),
        ("max_pinned", text(pooler.max_pinned)),
        ("max_prepared_statements", text(pooler.max_prepared_statements)),
        ("statement_cache_size", text(pooler.statement_cache_size)),
        ("server_reset_query", text(&pooler.server_reset_query)),
        ("server_reset_query_always", flag(pooler.server_reset_query_always)),
        ("request_gather", text(pooler.request_gather)),
        ("ignore_startup_parameters", text(pooler.ignore_startup_parameters.join(","))),
        ("track_extra_parameters", text(pooler.track_extra_parameters.join(","))),
        ("application_name_add_host", flag(pooler.application_name_add_host)),
    ]
}

fn timeouts(pooler: &Pooler) -> Vec<Entry> {
    vec![
        ("reserve_pool_timeout", time(pooler.reserve_pool_timeout)),
        ("query_wait_timeout", limit(pooler.query_wait_timeout)),
        ("query_wait_notify", limit(pooler.query_wait_notify)),
        ("server_lifetime", time(pooler.server_lifetime)),
        ("server_idle_timeout", limit(pooler.server_idle_timeout)),
        ("server_connect_timeout", time(pooler.server_connect_timeout)),
        ("server_login_retry", time(pooler.server_login_retry)),
        ("dns_max_ttl", limit(pooler.dns_max_ttl)),
        ("server_check_delay", time(pooler.server_check_delay)),
        ("query_timeout", limit(pooler.query_timeout)),
        ("idle_transaction_timeout", limit(pooler.idle_transaction_timeout)),
        ("transaction_timeout", limit(pooler.transaction_timeout)),
        ("client_idle_timeout", limit(pooler.client_idle_timeout)),
        ("client_login_timeout", time(pooler.client_login_timeout)),
        ("shutdown_timeout", time(pooler.shutdown_timeout)),
        ("client_write_timeout", limit(pooler.client_write_timeout)),
        ("cancel_wait_timeout", time(pooler.cancel_wait_timeout)),
        ("stats_period", time(pooler.stats_period)),
    ]
}

fn listening(pooler: &Pooler) -> Vec<Entry> {
    let addresses: Vec<_> = pooler.listen_addr.iter().map(ToString::to_string).collect();
    vec![
        ("listen_addr", text(addresses.join(","))),
        ("listen_port", text(pooler.listen_port)),
        ("listen_backlog", text(pooler.listen_backlog)),
        ("unix_socket_dir", path(pooler.unix_socket_dir.as_ref())),
        ("unix_socket_mode", Some(format!("{:04o}", pooler.unix_socket_mode))),
        ("tcp_keepalive", flag(pooler.tcp_keepalive)),
        ("tcp_keepidle", limit(pooler.tcp_keepidle)),
        ("tcp_keepintvl", limit(pooler.tcp_keepintvl)),
        ("tcp_keepcnt", text(pooler.tcp_keepcnt.unwrap_or(0))),
        ("tcp_user_timeout", text(pooler.tcp_user_timeout.unwrap_or_default().as_millis())),
    ]
}

fn users(pooler: &Pooler) -> Vec<Entry> {
    let auth_type = match pooler.auth_type {
        AuthType::Trust => "trust",
        AuthType::Plain => "plain",
        AuthType::Md5 => "md5",
        AuthType::ScramSha256 => "scram-sha-256",
        AuthType::Cert => "cert",
    };
    let log_format =
        LogFormat::ALL.iter().find(|(_, format)| *format == pooler.log_format).map_or("", |(word, _)| word);
    vec![
        ("auth_type", text(auth_type)),
        ("auth_file", path(pooler.auth_file.as_ref())),
        ("login_failure_limit", text(pooler.login_failure_limit)),
        ("login_failure_delay", time(pooler.login_failure_delay)),
        ("admin_users", text(pooler.admin_users.join(","))),
        ("stats_users", text(pooler.stats_users.join(","))),
        ("log_format", text(log_format)),
        ("log_connections", flag(pooler.log_connections)),
        ("log_disconnections", flag(pooler.log_disconnections)),
        ("log_pooler_errors", flag(pooler.log_pooler_errors)),
    ]
}

fn client_tls(tls: &ClientTls) -> Vec<Entry> {
    vec![
        ("client_tls_sslmode", text(sslmode(tls.sslmode))),
        ("client_tls_key_file", path(tls.key_file.as_ref())),
        ("client_tls_cert_file", path(tls.cert_file.as_ref())),
        ("client_tls_ca_file", path(tls.ca_file.as_ref())),
        ("client_tls_protocols", text(protocols(tls.protocols))),
    ]
}

fn server_tls(tls: &ServerTls) -> Vec<Entry> {
    vec![
        ("server_tls_sslmode", text(sslmode(tls.sslmode))),
        ("server_tls_key_file", path(tls.key_file.as_ref())),
        ("server_tls_cert_file", path(tls.cert_file.as_ref())),
        ("server_tls_ca_file", path(tls.ca_file.as_ref())),
        ("server_tls_protocols", text(protocols(tls.protocols))),
    ]
}

fn sslmode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

fn protocols(protocols: TlsProtocols) -> &'static str {
    match protocols {
        TlsProtocols::All => "secure",
        TlsProtocols::Only12 => "tlsv1.2",
        TlsProtocols::Only13 => "tlsv1.3",
    }
}

fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn flag(value: bool) -> Option<String> {
    text(u8::from(value))
}

fn time(value: Duration) -> Option<String> {
    Some(duration_text(value))
}

/// 0 is none.
fn limit(value: Option<Duration>) -> Option<String> {
    time(value.unwrap_or_default())
}

fn path(value: Option<&PathBuf>) -> Option<String> {
    text(value.map_or(String::new(), |path| path.display().to_string()))
}
