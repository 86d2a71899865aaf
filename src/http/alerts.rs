//! What /metrics says of alerts, and of who is told.

use super::Views;
use super::family::Families;
use crate::alerts::{EventEnd, RequestEnd};
use std::collections::BTreeMap;

/// Adds their families.
pub(super) fn alerts(out: &mut Families, views: &Views) {
    let mut alerts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let rows = views.alerts.rows();
    for row in rows.iter() {
        let (firing, fired) = alerts.entry(&row.name).or_default();
        *firing += u64::from(row.is_firing());
        *fired = row.fired;
    }
    let mut family = out.gauge("pgotter_alerts_firing", "Of what an alert fires: statements, databases, pools, hosts.");
    for (alert, (firing, _)) in &alerts {
        family.count(&[("alert", alert)], *firing);
    }
    drop(family);
    let mut family = out.counter("pgotter_alerts_fired_total", "How often an alert began to fire, since it is there.");
    for (alert, (_, fired)) in &alerts {
        family.count(&[("alert", alert)], *fired);
    }
    drop(family);
    let deliveries = &views.alerts.deliveries;
    let mut family = out.counter("pgotter_webhook_requests_total", "Requests to webhooks, by how they ended.");
    for ((_, result), count) in RequestEnd::ALL.iter().zip(deliveries.requests_counted()) {
        family.count(&[("result", result)], count);
    }
    drop(family);
    let mut family = out.counter("pgotter_webhook_events_total", "Events for webhooks, by what became of them.");
    for ((_, result), count) in EventEnd::ALL.iter().zip(deliveries.events_counted()) {
        family.count(&[("result", result)], count);
    }
}
