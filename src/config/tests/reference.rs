//! The files that are shipped say what is so: every key, its default, and when it applies.

use super::super::AnybodyCouldCome;
use super::*;
use crate::config::restart::AT_START;

#[test]
fn the_shipped_file_loads_and_listens_on_loopback_only() {
    let config = good(SHIPPED);
    assert!(config.pooler.listen_addr.iter().all(IpAddr::is_loopback));
    assert_eq!(config.pooler.listen_port, 6432);
    assert_eq!(config.database("anything").map(|db| db.hosts[0].port), Some(5432));
    assert!(config.knows_user("anybody"));
}

#[test]
fn the_reference_loads_with_every_key_in_use() {
    let config = good(&reference_in_use());
    let shop = &config.databases["shop"];
    assert_eq!(shop.hosts.len(), 4);
    assert_eq!(shop.hosts[3], Host { host: "pg-1".to_owned(), port: 5432, role: HostRole::Replica, weight: 2 });
    assert_eq!(shop.password.as_ref().map(|secret| secret.expose().as_str()), Some("from the environment"));
    assert_eq!(config.pooler.auth_users["reporting"].expose(), "from a file");
    assert_eq!(config.pooler.auth_users["o\"dd"].expose(), "t\"wo");
}

#[test]
fn the_reference_documents_every_field_of_the_model() {
    let model = [
        include_str!("../model.rs"),
        include_str!("../model/databases.rs"),
        include_str!("../model/routing.rs"),
        include_str!("../model/tls.rs"),
    ]
    .concat();
    for (name, section, prefix) in [
        ("Pooler", "#[pooler]", ""),
        ("ClientTls", "#[pooler]", "client_tls_"),
        ("ServerTls", "#[pooler]", "server_tls_"),
        ("Database", "#[databases.", ""),
        ("User", "#[users.", ""),
        ("Routing", "#[routing]", ""),
        ("Insight", "#[insight]", ""),
        ("SlowQueries", "#[slow_queries]", ""),
    ] {
        let body = model.split(&format!("pub struct {name} {{")).nth(1).and_then(|rest| rest.split("\n}").next());
        let body = body.expect("invariant: the model has this struct");
        let start = REFERENCE.find(section).expect("invariant: the reference has this section");
        let rest = &REFERENCE[start + 1..];
        // Sections of one kind stand together; the next kind ends them.
        let end = ["#[databases.", "#[users.", "#[routing]", "#[insight]", "#[slow_queries]"]
            .iter()
            .filter(|next| **next != section)
            .filter_map(|next| rest.find(next));
        let documented = &rest[..end.min().unwrap_or(rest.len())];
        let mut fields = 0;
        for field in body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next()) {
            if ["auth_users", "client_tls", "server_tls"].contains(&field) {
                continue; // Not keys: what auth_file holds, and structs of their own.
            }
            fields += 1;
            let field = format!("{prefix}{field}");
            let (before, _) = documented
                .split_once(&format!("\n#{field} = "))
                .unwrap_or_else(|| panic!("config/reference.toml does not have `{field}` in {section}"));
            let facts = before.lines().next_back().unwrap_or_default();
            for word in ["# Default ", "Since 0.", "Applies: "] {
                assert!(facts.contains(word), "`{field}` in {section}: no {word:?} in {facts:?}");
            }
        }
        assert!(fields >= if name == "Insight" { 3 } else { 5 }, "{name} was not read");
    }
}

macro_rules! assert_same {
    ($one:expr, $other:expr, $($field:ident)*) => { $(assert_eq!($one.$field, $other.$field, stringify!($field));)* };
}

#[test]
fn the_values_in_the_reference_are_the_defaults() {
    let (reference, default) = (good(&reference_in_use()).pooler, pooler(""));
    assert_same!(reference, default, workers listen_addr listen_port listen_backlog unix_socket_mode pool_mode
        default_pool_size min_pool_size reserve_pool_size reserve_pool_timeout max_db_connections max_user_connections
        max_db_client_connections max_user_client_connections server_round_robin query_wait_timeout query_wait_notify
        server_lifetime server_idle_timeout server_connect_timeout server_login_retry dns_max_ttl server_check_delay
        max_pinned max_prepared_statements statement_cache_size server_reset_query server_reset_query_always query_timeout idle_transaction_timeout transaction_timeout client_idle_timeout
        client_login_timeout client_write_timeout cancel_wait_timeout tcp_keepalive tcp_keepidle tcp_keepintvl
        tcp_keepcnt tcp_user_timeout request_gather log_format log_connections log_disconnections log_pooler_errors);
    assert_eq!(default.unix_socket_dir, None);
    assert_eq!(default.max_client_conn, None);
    assert_eq!(reference.auth_type, AuthType::ScramSha256);
}

#[test]
fn what_routing_does_by_default_is_what_the_reference_says() {
    let (reference, default) = (good(&reference_in_use()).routing, good(BASE).routing);
    assert_same!(reference, default, mode read_your_writes max_replica_lag monitor_interval failover_timeout
        replica_required transaction_reads);
    assert!(default.read_functions.is_empty() && default.write_functions.is_empty());
    assert_eq!(reference.read_functions, ["tenant_of", "Total"]);
    let shop = &good(&reference_in_use()).databases["shop"];
    assert_eq!(shop.monitor_user.as_deref(), Some("pgotter"));
    assert!(shop.monitor_password.is_some());
}

#[test]
fn what_is_counted_by_default_is_what_the_reference_says() {
    let (reference, default) = (good(&reference_in_use()).insight, good(BASE).insight);
    assert_same!(reference, default, max_fingerprints insight_memory exported_fingerprints);
    assert_eq!(good(&reference_in_use()).slow_queries, good(BASE).slow_queries);
    let off = good(&format!("{BASE}[slow_queries]\nlog = 0\nutilities = \"0s\"\n")).slow_queries;
    assert_eq!((off.log, off.utilities), (None, None));
}

#[test]
fn settings_that_apply_at_start_stay_as_they_are_and_are_named() {
    let text =
        |lines: &str| good(&format!("[pooler]\nauth_type = \"trust\"\n{lines}\n[databases.shop]\nhosts = [\"pg\"]\n"));
    let running = text("workers = 2");
    let mut new = text(
        "workers = 3\nlisten_addr = \"::1\"\nlisten_port = 1\nlisten_backlog = 1\nunix_socket_dir = \"/x\"\n\
         unix_socket_mode = 0o700\ntrack_extra_parameters = \"a.b, c\"\nlog_format = \"json\"\ndefault_pool_size = 3\n[http]\nlisten = \"\"",
    );
    assert_eq!(new.keep_what_applies_at_start(&running).as_deref(), Ok(&AT_START[..]));
    assert_eq!((new.pooler.workers, new.pooler.listen_port, new.pooler.default_pool_size), (2, 6432, 3));
    assert_eq!(new.keep_what_applies_at_start(&running).as_deref(), Ok(&[][..]));
    // Nor does what is for loopback come into force where others are listened on until a restart.
    let exposed = good(
        "[pooler]\nauth_type = \"scram-sha-256\"\nlisten_addr = \"0.0.0.0\"\n[databases.shop]\nhosts = [\"pg\"]\n[users.u]\npassword = \"p\"\n",
    );
    assert_eq!(new.keep_what_applies_at_start(&exposed), Err(AnybodyCouldCome));
    // The reference promises the same.
    for entry in REFERENCE.split("\n\n").filter(|entry| entry.contains("Applies: at start")) {
        let has = |name: &&str| entry.contains(&format!("#{} =", name.rsplit('.').next().unwrap_or_default()));
        assert!(AT_START.iter().any(has), "{entry}");
    }
}

#[test]
fn the_reference_has_every_key_of_alerts_and_of_who_is_told() {
    let alerts = include_str!("../alerts.rs");
    let keys = alerts.split("const KEYS").nth(1).and_then(|rest| rest.split("];").next()).expect("there are keys");
    let keys: Vec<_> = keys.split('"').skip(1).step_by(2).collect();
    assert!(keys.len() > 10, "{keys:?}");
    let notify = ["webhook", "format", "timeout", "retry_for"];
    for (section, keys) in [("#[[alert]]", &keys[..]), ("#[notify]", &notify)] {
        let start = REFERENCE.find(section).expect("the reference has this section");
        for key in keys {
            assert!(REFERENCE[start..].contains(&format!("\n#{key} = ")), "`{key}` is not in {section}");
        }
    }
}
