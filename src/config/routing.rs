//! `[routing]`: its keys, defaults and ranges. What they mean is told in the model and in `config/reference.toml`.

use super::later;
use super::model::{Database, ReadYourWrites, Routing, RoutingMode, TransactionReads};
use super::rules::rules;
use super::section::{Section, Value, Wrong};
use super::values::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const MODES: [(&str, RoutingMode); 3] =
    [("split", RoutingMode::Split), ("observe", RoutingMode::Observe), ("primary", RoutingMode::Primary)];
pub(super) const SCOPES: [(&str, ReadYourWrites); 4] = [
    ("session", ReadYourWrites::Session),
    ("tables", ReadYourWrites::Tables),
    ("database", ReadYourWrites::Database),
    ("off", ReadYourWrites::Off),
];
pub(super) const TRANSACTION_READS: [(&str, TransactionReads); 2] =
    [("primary", TransactionReads::Primary), ("replica_until_write", TransactionReads::ReplicaUntilWrite)];

/// The shortest `monitor_interval`: more questions would only keep a host from its work.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Reads the section.
pub(super) fn routing(s: &mut Section<'_>, databases: &BTreeMap<String, Database>) -> Routing {
    let routing = Routing {
        mode: s.or("mode", RoutingMode::Split, word(&MODES)),
        read_your_writes: s.or("read_your_writes", ReadYourWrites::Tables, word(&SCOPES)),
        max_replica_lag: s.or("max_replica_lag", Duration::from_secs(10), positive),
        monitor_interval: s.or("monitor_interval", Duration::from_millis(100), interval),
        failover_timeout: s.or("failover_timeout", Duration::from_secs(10), duration),
        replica_required: s.or("replica_required", false, boolean),
        transaction_reads: s.or("transaction_reads", TransactionReads::Primary, word(&TRANSACTION_READS)),
        read_functions: s.or("read_functions", Vec::new(), functions),
        write_functions: s.or("write_functions", Vec::new(), functions),
        rules: rules(s, databases),
    };
    s.unknown_keys(later::key);
    routing
}

/// Names of functions, written as in SQL.
fn functions(value: &Value<'_>) -> Result<Vec<String>, Wrong> {
    names(value)?.iter().map(|name| function(name).ok_or_else(|| Wrong::new(FUNCTION, format!("{name:?}")))).collect()
}

const FUNCTION: &str = "names of functions, without schema and brackets";

/// As PostgreSQL compares it: in lower case where it is not quoted.
fn function(name: &str) -> Option<String> {
    let quoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = |name: &&str| !name.is_empty() && !name.contains(['.', '(', ')', '"', ' ']);
    match quoted {
        Some(name) => Some(name.replace("\"\"", "\"")).filter(|name| !name.is_empty()),
        None => Some(name).filter(plain).map(str::to_ascii_lowercase),
    }
}

fn interval(value: &Value<'_>) -> Result<Duration, Wrong> {
    let long_enough = |interval: &Duration| *interval >= INTERVAL_MIN;
    Some(duration(value)?).filter(long_enough).ok_or_else(|| Wrong::new("a duration of at least 10ms", "too short"))
}
