//! The settings beside `[pooler]`, under the names of their sections: `http.listen`. Left out is what is no setting of its own: the rules
//! of `[routing]`, the alerts, and the `format` of `[notify]`, which is that of each webhook by then.

use super::super::model::{Config, Http, Insight, Routing, SlowQueries};
use super::super::notify::{Notify, Webhook};
use super::super::routing::{MODES, SCOPES, TRANSACTION_READS};
use super::super::sections::READY;
use super::{Entry, flag, limit, text, time};

pub(super) fn values(config: &Config) -> Vec<Entry> {
    let mut values = http(&config.http);
    values.extend(routing(&config.routing));
    values.extend(insight(&config.insight));
    values.extend(slow_queries(&config.slow_queries));
    values.extend(notify(&config.notify));
    values
}

fn http(http: &Http) -> Vec<Entry> {
    vec![
        ("http.listen", text(http.listen.map_or(String::new(), |address| address.to_string()))),
        ("http.allowed_hosts", text(http.allowed_hosts.join(","))),
        ("http.ready", word(&READY, http.ready)),
        ("http.pgbouncer_metrics", flag(http.pgbouncer_metrics)),
    ]
}

fn routing(routing: &Routing) -> Vec<Entry> {
    vec![
        ("routing.mode", word(&MODES, routing.mode)),
        ("routing.read_your_writes", word(&SCOPES, routing.read_your_writes)),
        ("routing.max_replica_lag", time(routing.max_replica_lag)),
        ("routing.monitor_interval", time(routing.monitor_interval)),
        ("routing.failover_timeout", time(routing.failover_timeout)),
        ("routing.replica_required", flag(routing.replica_required)),
        ("routing.transaction_reads", word(&TRANSACTION_READS, routing.transaction_reads)),
        ("routing.read_functions", text(routing.read_functions.join(","))),
        ("routing.write_functions", text(routing.write_functions.join(","))),
    ]
}

fn insight(insight: &Insight) -> Vec<Entry> {
    vec![
        ("insight.max_fingerprints", text(insight.max_fingerprints)),
        ("insight.insight_memory", text(insight.insight_memory)),
        ("insight.exported_fingerprints", text(insight.exported_fingerprints)),
    ]
}

fn slow_queries(slow: &SlowQueries) -> Vec<Entry> {
    vec![
        ("slow_queries.log", limit(slow.log)),
        ("slow_queries.utilities", limit(slow.utilities)),
        ("slow_queries.parameters", flag(slow.parameters)),
        ("slow_queries.per_minute", text(slow.per_minute)),
        ("slow_queries.keep", text(slow.keep)),
    ]
}

fn notify(notify: &Notify) -> Vec<Entry> {
    let webhooks: Vec<_> = notify.webhook.iter().map(place).collect();
    vec![
        ("notify.webhook", text(webhooks.join(","))),
        ("notify.timeout", time(notify.timeout)),
        ("notify.retry_for", time(notify.retry_for)),
    ]
}

/// Without its path, which is a secret.
fn place(webhook: &Webhook) -> String {
    let scheme = if webhook.tls { "https" } else { "http" };
    let host = if webhook.host.contains(':') { format!("[{}]", webhook.host) } else { webhook.host.clone() };
    format!("{scheme}://{host}:{}", webhook.port)
}

/// As it is written in the file.
fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> Option<String> {
    words.iter().find(|(_, meaning)| *meaning == value).and_then(|(word, _)| text(word))
}
