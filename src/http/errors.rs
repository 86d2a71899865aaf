//! What /metrics says of errors that clients were told.

use super::Views;
use super::family::Families;

/// Adds their family.
pub(super) fn errors(out: &mut Families, views: &Views) {
    let mut family =
        out.counter("pgotter_query_errors_total", "Errors that clients were told, by SQLSTATE and who said so.");
    for error in views.metrics.errors().counts() {
        let labels = [
            ("database", &*error.database),
            ("role", error.role),
            ("sqlstate", &error.state.to_string()),
            ("source", error.source.word()),
        ];
        family.count(&labels, error.count);
    }
}
