//! The names of pgbouncer_exporter.

use super::Watched;
use super::scrape::Scrape;
use crate::support::raw::{Raw, query, startup};
use crate::support::{must, shared_postgres};
use pgotter::cli::local_postgres::SUPERUSER;
use rustix::process::Signal;

/// Name, type, and labels. Source: prometheus-community's pgbouncer_exporter, `collector.go`.
const NAMES: [(&str, &str, &str); 44] = [
    ("pgbouncer_up", "gauge", ""),
    ("pgbouncer_version_info", "gauge", "version"),
    ("pgbouncer_databases_pool_size", "gauge", DATABASES),
    ("pgbouncer_databases_reserve_pool", "gauge", DATABASES),
    ("pgbouncer_databases_max_connections", "gauge", DATABASES),
    ("pgbouncer_databases_current_connections", "gauge", DATABASES),
    ("pgbouncer_databases_paused", "gauge", DATABASES),
    ("pgbouncer_databases_disabled", "gauge", DATABASES),
    ("pgbouncer_stats_totals_queries_pooled_total", "counter", "database"),
    ("pgbouncer_stats_totals_queries_duration_seconds_total", "counter", "database"),
    ("pgbouncer_stats_totals_received_bytes_total", "counter", "database"),
    ("pgbouncer_stats_totals_sent_bytes_total", "counter", "database"),
    ("pgbouncer_stats_totals_client_wait_seconds_total", "counter", "database"),
    ("pgbouncer_stats_totals_sql_transactions_pooled_total", "counter", "database"),
    ("pgbouncer_stats_totals_server_in_transaction_seconds_total", "counter", "database"),
    ("pgbouncer_stats_totals_client_parses_total", "counter", "database"),
    ("pgbouncer_stats_totals_server_parses_total", "counter", "database"),
    ("pgbouncer_stats_totals_binds_total", "counter", "database"),
    ("pgbouncer_pools_client_active_connections", "gauge", POOLS),
    ("pgbouncer_pools_client_active_cancel_connections", "gauge", POOLS),
    ("pgbouncer_pools_client_waiting_connections", "gauge", POOLS),
    ("pgbouncer_pools_client_waiting_cancel_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_active_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_active_cancel_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_being_canceled_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_idle_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_used_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_testing_connections", "gauge", POOLS),
    ("pgbouncer_pools_server_login_connections", "gauge", POOLS),
    ("pgbouncer_pools_client_maxwait_seconds", "gauge", POOLS),
    ("pgbouncer_client_connections", "gauge", "application_name database state user"),
    ("pgbouncer_databases", "gauge", ""),
    ("pgbouncer_users", "gauge", ""),
    ("pgbouncer_pools", "gauge", ""),
    ("pgbouncer_free_clients", "gauge", ""),
    ("pgbouncer_used_clients", "gauge", ""),
    ("pgbouncer_login_clients", "gauge", ""),
    ("pgbouncer_free_servers", "gauge", ""),
    ("pgbouncer_used_servers", "gauge", ""),
    ("pgbouncer_cached_dns_names", "gauge", ""),
    ("pgbouncer_cached_dns_zones", "gauge", ""),
    ("pgbouncer_in_flight_dns_queries", "gauge", ""),
    ("pgbouncer_config_max_client_connections", "gauge", ""),
    ("pgbouncer_config_max_user_connections", "gauge", ""),
];
const DATABASES: &str = "database force_user host name pool_mode port";
const POOLS: &str = "database user";

const SHOP: (&str, &str) = ("database", "shop");

#[test]
fn every_name_of_the_exporter_is_there_with_its_type_and_labels_and_what_it_says_is_so() {
    let watched = Watched::in_front_of(
        shared_postgres(),
        "default_pool_size = 7\nreserve_pool_size = 2\nmax_client_conn = 50\nmax_user_connections = 11",
    );
    let mut client = Raw::log_in(watched.port(), &[("database", "shop"), ("application_name", "teller")]);
    client.value("SELECT 1 FROM pg_sleep(0.1)");
    client.send(&query("BEGIN -- with a server"));
    client.until_ready();
    let queries = "pgbouncer_stats_totals_queries_pooled_total";
    let scrape = Scrape::until(watched.http, "both queries", |scrape| scrape.get(queries, &[SHOP]) == Some(2.0));
    for (name, kind, labels) in NAMES {
        assert_eq!(scrape.types.get(name).map(String::as_str), Some(kind), "{name}");
        assert_eq!(scrape.labels_of(name), labels, "{name}");
    }
    let served: Vec<_> = scrape.types.keys().filter(|name| name.starts_with("pgbouncer_")).collect();
    assert_eq!(served.len(), NAMES.len(), "{served:?}");
    assert_eq!(scrape.value("pgbouncer_up", &[]), 1.0);
    let version = format!("PgBouncer 1.25.2 (PgOtter {})", env!("CARGO_PKG_VERSION"));
    assert_eq!(scrape.value("pgbouncer_version_info", &[("version", &version)]), 1.0);
    let (host, port) = (shared_postgres().host().to_string(), shared_postgres().port().to_string());
    let labels = [
        ("name", "shop"),
        ("host", host.as_str()),
        ("port", port.as_str()),
        ("database", "postgres"),
        ("force_user", ""),
        ("pool_mode", ""),
    ];
    for (name, value) in [
        ("pool_size", 7.0),
        ("reserve_pool", 2.0),
        ("max_connections", 0.0),
        ("current_connections", 1.0),
        ("paused", 0.0),
    ] {
        assert_eq!(scrape.value(&format!("pgbouncer_databases_{name}"), &labels), value, "{name}");
    }
    let seconds = scrape.value("pgbouncer_stats_totals_queries_duration_seconds_total", &[SHOP]);
    assert!((0.1..5.0).contains(&seconds), "{seconds}");
    let pool = [SHOP, ("user", SUPERUSER)];
    for (name, value) in [("client_active", 1.0), ("server_active", 1.0), ("server_idle", 0.0), ("client_waiting", 0.0)]
    {
        assert_eq!(scrape.value(&format!("pgbouncer_pools_{name}_connections"), &pool), value, "{name}");
    }
    let one = [SHOP, ("user", SUPERUSER), ("application_name", "teller"), ("state", "active")];
    assert_eq!(scrape.value("pgbouncer_client_connections", &one), 1.0);
    assert_eq!(scrape.value("pgbouncer_config_max_client_connections", &[]), 50.0);
    assert_eq!(scrape.value("pgbouncer_config_max_user_connections", &[]), 11.0);
    assert_eq!((scrape.value("pgbouncer_used_clients", &[]), scrape.value("pgbouncer_used_servers", &[])), (1.0, 1.0));
}

#[test]
fn a_crowd_of_users_and_applications_makes_no_more_series_than_there_may_be() {
    let watched = Watched::in_front_of(shared_postgres(), "default_pool_size = 1\nserver_idle_timeout = \"1s\"");
    let roles: String = (0..60).map(|number| format!("CREATE ROLE crowd_{number} LOGIN;")).collect();
    must(shared_postgres().psql("postgres", &roles));
    let clients: Vec<_> = (0..60)
        .map(|number| {
            let (user, name) = (format!("crowd_{number}"), format!("app {number}"));
            let mut client = Raw::connect(watched.port());
            let parameters = [("user", user.as_str()), ("database", "shop"), ("application_name", name.as_str())];
            client.send(&startup(3, 0, &parameters));
            client.welcomed();
            client
        })
        .collect();
    let name = "pgbouncer_client_connections";
    let scrape = Scrape::until(watched.http, "all of them", |scrape| scrape.sum(name, &[SHOP]) == clients.len() as f64);
    assert_eq!(scrape.values_of("user").len(), 51);
    assert_eq!(scrape.values_of("application_name").len(), 51);
    assert_eq!(scrape.sum("pgbouncer_pools_client_active_connections", &[SHOP]), clients.len() as f64);
}

#[test]
fn whoever_does_not_want_them_has_none() {
    let mut watched = Watched::in_front_of(shared_postgres(), "");
    let names = |scrape: &Scrape| scrape.types.keys().filter(|name| name.starts_with("pgbouncer_")).count();
    assert!(names(&Scrape::take(watched.http)) > 40);
    let text = must(std::fs::read_to_string(watched.config_file()));
    must(std::fs::write(watched.config_file(), text.replace("[http]\n", "[http]\npgbouncer_metrics = false\n")));
    watched.pooler.signal(Signal::HUP);
    Scrape::until(watched.http, "the reload", |scrape| names(scrape) == 0);
}
