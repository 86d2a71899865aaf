//! Everything at /metrics: names, what they say, and where it comes from. docs/metrics.md explains them; names and
//! labels do not change once they are out.

use super::Views;
use super::alerts::alerts;
use super::applications::applications;
use super::errors::errors;
use super::family::{Families, Family};
use super::pgbouncer::pgbouncer;
use super::pins::{Pinned, pins};
use super::pools::Pools;
use super::slow::slow;
use super::statements::statements;
use crate::activity::Doing;
use crate::clock::Instant;
use crate::cluster::{HostSeen, Watch};
use crate::metrics::{
    ByRole, CheckoutFailure, ConnectResult, Counts, Histogram, LoginResult, Prepared, ROLES, Retry, Routed,
};
use crate::net::Memory;
use crate::router::kinds;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// The text of /metrics as of `now`.
pub(super) fn export(views: &Views, pinned: &mut Pinned, now: Instant) -> Vec<u8> {
    let mut out = Families::default();
    process(&mut out, views);
    // In this order: what is counted of a client's pin does not go on any more.
    let counts = views.metrics.counts();
    fence(Ordering::Acquire);
    let present = (views.clients)();
    let pools = Pools::take(views, &present, now);
    clients(&mut out, views, &pools);
    pins(&mut out, views, pinned, (&counts, &present, now));
    memory(&mut out, &views.memory);
    servers(&mut out, &pools);
    hosts(&mut out, views);
    // What nobody has used is left out, but for what the configuration names.
    let named = |name: &String| views.config_names(name);
    let counts: Vec<_> =
        counts.into_iter().filter(|(name, counts)| named(name) || *counts != Counts::default()).collect();
    logins(&mut out, &counts);
    waits(&mut out, &counts);
    queries(&mut out, &counts);
    routes(&mut out, &counts);
    statements(&mut out, views);
    errors(&mut out, views);
    applications(&mut out, views);
    alerts(&mut out, views);
    slow(&mut out, views, counts.iter().map(|(name, _)| name.as_str()));
    if (views.config)().http.pgbouncer_metrics {
        pgbouncer(&mut out, views);
    }
    out.text()
}

fn process(out: &mut Families, views: &Views) {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("PGOTTER_COMMIT").unwrap_or("unknown");
    out.gauge("pgotter_build_info", "Always 1; which PgOtter this is.")
        .count(&[("version", version), ("commit", commit)], 1u64);
    let process = &views.metrics.process;
    let (succeeded, at) = process.reload();
    out.gauge("pgotter_config_reload_success", "1 if the configuration that was read last is in force, else 0.")
        .count(&[], u64::from(succeeded));
    out.gauge("pgotter_config_reload_timestamp_seconds", "When the configuration in force was read, since 1970.")
        .value(&[], at.as_secs_f64());
    out.counter("pgotter_client_panics_total", "Clients closed because of a bug in PgOtter.")
        .count(&[], process.client_panics.load(Ordering::Relaxed));
    out.counter("pgotter_steward_panics_total", "Panics of the tasks that look after pools; they go on.")
        .count(&[], process.steward_panics.load(Ordering::Relaxed));
    out.counter("pgotter_worker_panics_total", "Workers that began again because of a bug in PgOtter.")
        .count(&[], process.worker_panics.load(Ordering::Relaxed));
    let mut connections =
        out.counter("pgotter_http_connections_total", "Connections for monitoring, by how they ended.");
    for (result, count) in [("answered", &process.http_answered), ("broken", &process.http_broken)] {
        connections.count(&[("result", result)], count.load(Ordering::Relaxed));
    }
}

fn clients(out: &mut Families, views: &Views, pools: &Pools) {
    let mut family = out.gauge("pgotter_client_connections", "Clients, by what they do.");
    for (labels, row) in pools.labelled() {
        for ((_, state), count) in Doing::ALL.iter().zip(row.doing) {
            family.count(&[&labels[..], &[("state", *state)]].concat(), count);
        }
    }
    drop(family);
    let mut family = out.gauge("pgotter_client_connections_limit", "Clients at most; without labels, of all together.");
    family.count(&[], (views.max_clients)());
    for ((database, user), limit) in &pools.client_limits {
        let labels = [("database", database.as_str()), ("user", user.as_str())];
        family.count(&labels.into_iter().filter(|(_, name)| !name.is_empty()).collect::<Vec<_>>(), *limit);
    }
    drop(family);
    let mut family = out.gauge("pgotter_pool_waiting_clients", "Clients that wait for a server.");
    for (labels, row) in pools.labelled() {
        for (role, queue) in row.queues() {
            family.count(&[&labels[..], &[("role", role)]].concat(), queue.waiting);
        }
    }
    drop(family);
    let mut family =
        out.gauge("pgotter_pool_oldest_wait_seconds", "How long the first of them has waited; 0 without any.");
    for (labels, row) in pools.labelled() {
        for (role, queue) in row.queues() {
            family.value(&[&labels[..], &[("role", role)]].concat(), queue.oldest_wait.as_secs_f64());
        }
    }
}

fn memory(out: &mut Families, memory: &Memory) {
    out.gauge("pgotter_client_memory_bytes", "Memory of the buffers of clients that hold more than 64 KiB.")
        .count(&[], memory.held());
    out.gauge("pgotter_client_memory_limit_bytes", "What these buffers may take: memory_budget.")
        .count(&[], memory.budget());
    out.counter("pgotter_clients_shed_total", "Clients closed because memory was short and they held much of it.")
        .count(&[], memory.shed());
}

fn servers(out: &mut Families, pools: &Pools) {
    let mut family = out.gauge("pgotter_server_connections", "Connections to PostgreSQL, by what they do.");
    for (labels, row) in pools.labelled() {
        for (host, servers) in &row.servers {
            for (state, count) in servers.states() {
                family.count(&[&labels[..], &[("host", host.as_str()), ("state", state)]].concat(), count);
            }
        }
    }
    drop(family);
    let mut family = out.gauge("pgotter_server_connections_limit", "Servers at most of this pool, reserve included.");
    for (labels, row) in pools.labelled() {
        if let Some(limit) = row.limit {
            family.count(&labels, limit);
        }
    }
}

fn hosts(out: &mut Families, views: &Views) {
    let hosts = views.cluster.hosts(&(views.config)());
    let mut family = out.gauge("pgotter_host_up", "1 if PostgreSQL answered when it was last asked, else 0.");
    for (database, address, host, _) in &hosts {
        if let Some(up) = host.meter.counts().up {
            family.count(&[("database", database), ("host", &address.to_string())], u64::from(up));
        }
    }
    drop(family);
    let mut family = out.gauge("pgotter_host_is_primary", "1 for the host that may be written to, else 0.");
    for (database, address, _, primary) in &hosts {
        family.count(&[("database", database), ("host", &address.to_string())], u64::from(*primary));
    }
    drop(family);
    watched(out, &views.cluster.watches());
    let counts: BTreeMap<_, _> =
        hosts.iter().map(|(_, address, host, _)| (address.to_string(), host.meter.counts())).collect();
    let mut family = out.counter("pgotter_server_connects_total", "Attempts to open a server, by how they ended.");
    for (host, counts) in &counts {
        for ((_, result), count) in ConnectResult::ALL.iter().zip(counts.connects) {
            family.count(&[("host", host), ("result", result)], count);
        }
    }
    drop(family);
    let mut family = out
        .histogram("pgotter_server_connect_duration_seconds", "Opening a server, login included, where it succeeded.");
    for (host, counts) in &counts {
        family.durations(&[("host", host), ("result", "ok")], &counts.durations);
    }
}

/// What is found out about hosts of databases that have several.
fn watched(out: &mut Families, watches: &[Arc<Watch>]) {
    let seen: Vec<_> = watches.iter().map(|watch| (watch.entry.as_str(), watch.seen())).collect();
    let hosts = || seen.iter().flat_map(|(database, hosts)| hosts.iter().map(move |host| (*database, host)));
    let count = |family: &mut Family<'_>, value: &dyn Fn(&HostSeen) -> Option<f64>| {
        for (database, host) in hosts() {
            if let Some(value) = value(host) {
                family.value(&[("database", database), ("host", &host.address.to_string())], value);
            }
        }
    };
    let flag = |flag: bool| Some(f64::from(u8::from(flag)));
    let mut family = out.gauge("pgotter_host_ejected", "1 for a replica that gets no reads although it is configured.");
    count(&mut family, &|host| flag(host.is_ejected));
    drop(family);
    let mut family =
        out.gauge("pgotter_host_fenced", "1 for a host that claims what it is not believed; it gets nothing.");
    count(&mut family, &|host| flag(host.is_fenced));
    drop(family);
    let mut family = out.gauge(
        "pgotter_replica_lag_seconds",
        "Age of the oldest position of the primary that the replica has not replayed.",
    );
    count(&mut family, &|host| host.lag.map(|(lag, _)| lag.as_secs_f64()));
    drop(family);
    let mut family = out.gauge("pgotter_replica_lag_bytes", "What the replica has not replayed of the primary's log.");
    count(&mut family, &|host| host.lag.map(|(_, bytes)| bytes as f64));
    drop(family);
    let mut family = out.gauge("pgotter_monitor_up", "1 if somebody can ask the hosts what they are, else 0.");
    for watch in watches {
        family.count(&[("database", &watch.entry)], u64::from(watch.blindness().is_none()));
    }
    drop(family);
    let mut family = out.gauge("pgotter_primary_waiting_clients", "Clients that wait until a primary is confirmed.");
    for watch in watches {
        family.count(&[("database", &watch.entry)], watch.waiting());
    }
}

fn logins(out: &mut Families, counts: &[(String, Counts)]) {
    let mut family = out.counter("pgotter_client_logins_total", "Clients' logins, by how they ended.");
    for (database, counts) in counts {
        for ((_, result), count) in LoginResult::ALL.iter().zip(counts.logins) {
            family.count(&[("database", database), ("result", result)], count);
        }
    }
}

fn waits(out: &mut Families, counts: &[(String, Counts)]) {
    let mut family =
        out.histogram("pgotter_pool_wait_duration_seconds", "From a request to its server, for each that got one.");
    by_role(&mut family, counts, |counts| &counts.waits);
    drop(family);
    let mut family =
        out.counter("pgotter_pool_checkout_failures_total", "Requests refused because there was no server for them.");
    for (database, counts) in counts {
        for ((_, reason), count) in CheckoutFailure::ALL.iter().zip(counts.checkout_failures) {
            family.count(&[("database", database), ("reason", reason)], count);
        }
    }
}

/// One for primaries; one for replicas where there is anything to tell of them: most databases have none.
fn by_role(family: &mut Family<'_>, counts: &[(String, Counts)], of: impl Fn(&Counts) -> &ByRole<Histogram>) {
    for (database, counts) in counts {
        for (role, durations) in of(counts).all().filter(|(role, durations)| *role == ROLES[0] || durations.count() > 0)
        {
            family.durations(&[("database", database), ("role", role)], durations);
        }
    }
}

fn queries(out: &mut Families, counts: &[(String, Counts)]) {
    let mut family = out.histogram(
        "pgotter_query_duration_seconds",
        "From a query's arrival until its client has the answer, the wait included.",
    );
    for (database, counts) in counts {
        // Those that nothing was counted of are left out: most databases know a few of them.
        let kinds = counts.queries.all().filter(|(.., durations)| durations.count() > 0);
        for (kind, role, durations) in kinds.chain([("pipeline", ROLES[0], &counts.pipelines)]) {
            family.durations(&[("database", database), ("kind", kind), ("role", role)], durations);
        }
    }
    drop(family);
    let mut family = out.histogram("pgotter_query_server_duration_seconds", "How long servers took for a query.");
    for (database, counts) in counts {
        for (kind, role, durations) in counts.servers.all().filter(|(.., durations)| durations.count() > 0) {
            family.durations(&[("database", database), ("kind", kind), ("role", role)], durations);
        }
    }
    drop(family);
    let mut family = out.histogram("pgotter_transaction_duration_seconds", "How long transactions had their server.");
    by_role(&mut family, counts, |counts| &counts.transactions);
    drop(family);
    let help = "How long transactions waited for their client, of those that did.";
    let mut family = out.histogram("pgotter_transaction_idle_duration_seconds", help);
    by_role(&mut family, counts, |counts| &counts.idle);
    drop(family);
    let mut family = out
        .counter("pgotter_routing_retries_total", "Requests that were sent once more in place of their error, by why.");
    for (database, counts) in counts {
        for ((_, reason), count) in Retry::ALL.iter().zip(counts.retries) {
            family.count(&[("database", database), ("reason", reason)], count);
        }
    }
    drop(family);
    let mut family = out.counter("pgotter_bytes_total", "Bytes from clients, and of servers' answers to them.");
    for (database, counts) in counts {
        for (direction, bytes) in [("received", counts.bytes_received), ("sent", counts.bytes_sent)] {
            family.count(&[("database", database), ("direction", direction)], bytes);
        }
    }
    drop(family);
    let mut family = out.counter("pgotter_rows_total", "Rows, by what statements have done with them.");
    for (database, counts) in counts {
        for (direction, rows) in [("returned", counts.rows_returned), ("changed", counts.rows_changed)] {
            family.count(&[("database", database), ("direction", direction)], rows);
        }
    }
    drop(family);
    let help = "Named statements that clients' messages needed, by whether their server had them.";
    let mut family = out.counter("pgotter_prepared_statements_total", help);
    for (database, counts) in counts {
        for ((_, result), count) in Prepared::ALL.iter().zip(counts.prepared) {
            family.count(&[("database", database), ("result", result)], count);
        }
    }
}

fn routes(out: &mut Families, counts: &[(String, Counts)]) {
    type Value = fn(&Routed) -> f64;
    let families: [(&str, &str, Value); 2] = [
        (
            "pgotter_routing_decisions_total",
            "Transactions, by where they were sent, or would have been, and why.",
            |routed| routed.decisions as f64,
        ),
        ("pgotter_routing_server_seconds_total", "How long servers were busy with them.", |routed| {
            routed.served_us as f64 / 1e6
        }),
    ];
    for (name, help, value) in families {
        let mut family = out.counter(name, help);
        for (database, counts) in counts {
            for ((role, reason), routed) in kinds().zip(&*counts.routes).filter(|(_, routed)| routed.decisions > 0) {
                let labels = [("database", database.as_str()), ("role", role), ("reason", reason.word())];
                family.value(&labels, value(routed));
            }
        }
    }
    let mut family = out.counter(
        "pgotter_transaction_promotions_total",
        "Transactions that have read on replicas and moved to the primary, by why.",
    );
    for (database, counts) in counts {
        for ((_, reason), routed) in kinds().zip(&*counts.routes).filter(|(_, routed)| routed.promotions > 0) {
            family.count(&[("database", database), ("reason", reason.word())], routed.promotions);
        }
    }
}
