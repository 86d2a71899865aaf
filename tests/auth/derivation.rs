//! PBKDF2 takes long on purpose, and holds nobody up: it has threads of its own.

use super::place::{fresh_role, line, log_in, log_in_to, pgotter, pgotter_with, server};
use pgotter::auth::Verifier;
use std::num::NonZeroU32;

/// As many as PgOtter does for a server that wants them: a fifth of a second.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();

/// Clock ticks of processor time that the threads for PBKDF2 have taken, and all others.
fn worked(process: u32) -> [u64; 2] {
    let mut worked = [0; 2];
    for (name, ticks) in crate::support::worked(process) {
        worked[usize::from(!name.starts_with("pbkdf2-"))] += ticks;
    }
    worked
}

#[test]
fn passwords_of_clients_and_for_servers_are_derived_on_threads_of_their_own() {
    let role = fresh_role("scram-sha-256");
    let slow = Verifier::from_password(&role.password(), [1; 16], ITERATIONS).to_text().expose().clone();
    role.becomes(&slow);
    for (method, secret) in [("plain", &slow), ("trust", &role.password())] {
        let pooler = pgotter(method, &line(&role.name, secret));
        let before = worked(pooler.id());
        assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
        let after = worked(pooler.id());
        let [derived, others] = [after[0] - before[0], after[1].saturating_sub(before[1])];
        assert!(derived > others, "{method}: {derived} ticks for PBKDF2, {others} for all else");
    }
}

#[test]
fn a_password_is_derived_for_unknown_users_and_databases_as_for_a_wrong_password() {
    let role = fresh_role("trust");
    let slow = Verifier::from_password(&role.password(), [1; 16], ITERATIONS).to_text().expose().clone();
    let host = format!("[databases.known]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    let pooler = pgotter_with("plain", &line(&role.name, &slow), &host);
    for (user, database) in
        [(&*role.name, "known"), (&role.name, "unknown"), ("nobody", "known"), ("nobody", "unknown")]
    {
        let before = worked(pooler.id());
        assert_eq!(log_in_to(database, pooler.port(), user, "wrong").unwrap_err().0, "28P01");
        let after = worked(pooler.id());
        let [derived, others] = [after[0] - before[0], after[1].saturating_sub(before[1])];
        assert!(derived > others, "{user}, {database}: {derived} ticks for PBKDF2, {others} for all else");
    }
}
