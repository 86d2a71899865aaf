//! Names that are known but have no meaning yet, so that using them is answered with the truth and not with
//! a wrong guess. A name leaves this file when its feature arrives.

/// Sections of later versions.
pub(super) const SECTIONS: [&str; 1] = ["peers"];

/// PgBouncer's other values of `auth_type`.
pub(super) const AUTH_TYPES: [&str; 5] = ["any", "hba", "ldap", "pam", "peer"];

/// PgBouncer's settings that have no counterpart yet. Source: PgBouncer, `doc/config.md`.
const KEYS: &str = "
    unix_socket_group so_reuseport tcp_defer_accept tcp_socket_buffer pkt_buf sbuf_loopcnt max_packet_size
    user pidfile logfile syslog syslog_ident syslog_facility verbose log_stats job_name
    service_name conffile disable_pqexec login_notify_message auth_user auth_query auth_dbname
    auth_hba_file auth_ident_file auth_ldap_options scram_iterations
    server_check_query server_fast_close suspend_timeout autodb_idle_timeout pool_idle_timeout dns_nxdomain_ttl
    dns_zone_check_period resolv_conf client_tls_ciphers client_tls13_ciphers
    client_tls_dheparams client_tls_ecdhcurve server_tls_ciphers server_tls13_ciphers peer_id load_balance_hosts
";

/// Message and advice for a key of PgBouncer that cannot be used yet.
pub(super) fn key(key: &str) -> Option<(String, String)> {
    KEYS.split_whitespace().any(|later| later == key).then(|| {
        let help = "a setting of PgBouncer that PgOtter has no counterpart for yet; remove it".to_owned();
        (format!("`{key}` is not supported yet"), help)
    })
}
