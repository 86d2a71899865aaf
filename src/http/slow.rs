//! What /metrics says of slow statements: how many there were. The console shows them.

use super::Views;
use super::family::Families;
use crate::metrics::Threshold;
use std::collections::BTreeMap;

/// Adds their families. Of these databases there is a series for each threshold in force, be it 0.
pub(super) fn slow<'a>(out: &mut Families, views: &Views, databases: impl Iterator<Item = &'a str>) {
    let log = views.metrics.slow();
    let rules = (views.config)().slow_queries;
    let in_force: Vec<Threshold> = rules.log.into_iter().chain(rules.utilities).map(Some).collect();
    let mut counts: BTreeMap<(String, Threshold), u64> = databases
        .flat_map(|database| in_force.iter().map(move |threshold| ((database.to_owned(), *threshold), 0)))
        .collect();
    for (database, threshold, count) in log.counts() {
        counts.insert((database.to_string(), threshold), count);
    }
    let mut family = out.counter("pgotter_slow_queries_total", "Statements that took longer than a threshold.");
    for ((database, threshold), count) in &counts {
        let seconds = threshold.map_or("other".to_owned(), |threshold| threshold.as_secs_f64().to_string());
        family.count(&[("database", database), ("threshold", &seconds)], *count);
    }
    drop(family);
    out.counter("pgotter_slow_query_broken_tags_total", "Tags in their texts that could not be read.")
        .count(&[], log.broken_tags());
}
