//! What /metrics says of applications: the busiest by their names, the others together.

use super::Views;
use super::family::Families;
use crate::metrics::ApplicationNumbers;

/// Adds their families.
pub(super) fn applications(out: &mut Families, views: &Views) {
    let mut rows = views.metrics.exported_applications();
    rows.retain(|row| row.numbers != ApplicationNumbers::default());
    type Value = fn(&ApplicationNumbers) -> f64;
    let counters: [(&str, &str, Value); 3] = [
        ("pgotter_application_queries_total", "Queries, by what their clients call themselves.", |numbers| {
            numbers.queries as f64
        }),
        ("pgotter_application_server_seconds_total", "How long servers were busy with them.", |numbers| {
            numbers.server_us as f64 / 1e6
        }),
        (
            "pgotter_application_idle_in_transaction_seconds_total",
            "How long their transactions waited for them.",
            |numbers| numbers.idle_us as f64 / 1e6,
        ),
    ];
    for (name, help, value) in counters {
        let mut family = out.counter(name, help);
        for row in &rows {
            family.value(&[("database", &*row.database), ("application", &*row.name)], value(&row.numbers));
        }
    }
    let mut users = views.metrics.exported_users();
    users.retain(|row| row.numbers != ApplicationNumbers::default());
    let mut family = out.counter(
        "pgotter_user_idle_in_transaction_seconds_total",
        "How long transactions waited for their clients, by who has logged in.",
    );
    for row in &users {
        family.value(&[("database", &*row.database), ("user", &*row.name)], row.numbers.idle_us as f64 / 1e6);
    }
}
