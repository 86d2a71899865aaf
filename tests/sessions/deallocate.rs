//! DEALLOCATE by Parse, Bind and Execute: each portal drops what it was bound for, when it is executed.

use super::prepared::{as_postgresql_answers, run, synced};
use crate::support::raw::*;
use crate::support::{PgOtter, shared_postgres};

fn prepare() -> Vec<u8> {
    synced(&[parse("a", "SELECT 'a'"), parse("b", "SELECT 'b'")])
}

/// A portal that drops this.
fn bound(portal: &str, drops: &str) -> Vec<u8> {
    [parse("", &format!("DEALLOCATE {drops}")), bind(portal, "", &[])].concat()
}

/// What is left of both.
fn left() -> [Vec<u8>; 2] {
    ["a", "b"].map(|name| synced(&[run(name, &[]), close(b'S', name)]))
}

fn script(requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    [&[prepare()], requests, &left()].concat()
}

#[test]
fn of_several_portals_each_drops_its_own() {
    let both = [bound("p", "a"), bound("q", "b")].concat();
    for executed in [
        vec![execute("p", 0), execute("q", 0)],
        vec![execute("q", 0), execute("p", 0)],
        vec![execute("p", 0)],
        vec![execute("q", 0)],
        vec![execute("q", 0), parse("b", "SELECT 'anew'"), execute("p", 0), run("b", &[])],
        vec![execute("p", 0), execute("p", 0)],
        vec![execute("p", 0), parse("a", "SELECT 'anew'"), execute("p", 0)],
    ] {
        as_postgresql_answers(&script(&[synced(&[both.clone(), executed.concat()])]));
    }
    as_postgresql_answers(&script(&[synced(&[bound("p", "a"), bound("q", "a"), execute("q", 0), execute("p", 0)])]));
    as_postgresql_answers(&script(&[synced(&[bound("p", "ALL"), bound("q", "a"), execute("q", 0)])]));
    as_postgresql_answers(&script(&[synced(&[bound("p", "ALL"), bound("q", "ALL"), execute("p", 0)])]));
    as_postgresql_answers(&script(&[synced(&[bound("p", "b"), bound("q", "ALL"), execute("q", 0), execute("p", 0)])]));
}

#[test]
fn a_cursor_that_has_taken_the_name_of_a_portal_drops_nothing() {
    let cursor = "DECLARE p CURSOR FOR SELECT 'a cursor'";
    let declared = synced(&[parse("", cursor), bind("", "", &[]), execute("", 0)]);
    for drops in ["a", "ALL"] {
        for declare in [query(cursor), declared.clone(), query(&format!("SELECT 1; {cursor}"))] {
            // Closed, or gone with a subtransaction.
            as_postgresql_answers(&script(&[
                query("BEGIN"),
                synced(&[bound("p", drops)]),
                query("CLOSE p"),
                declare.clone(),
                synced(&[execute("p", 0)]),
                query("COMMIT"),
            ]));
            as_postgresql_answers(&script(&[
                query("BEGIN; SAVEPOINT x"),
                synced(&[bound("p", drops)]),
                query("ROLLBACK TO x"),
                declare.clone(),
                synced(&[execute("p", 0)]),
                query("COMMIT"),
            ]));
            // It is still there, so that the cursor cannot be.
            as_postgresql_answers(&script(&[
                query("BEGIN"),
                synced(&[bound("p", drops)]),
                query("SAVEPOINT x"),
                declare.clone(),
                query("ROLLBACK TO x"),
                synced(&[execute("p", 0)]),
                query("COMMIT"),
            ]));
        }
    }
}

#[test]
fn a_portal_whose_name_is_taken_again_drops_nothing() {
    let select = |portal: &str| [parse("", "SELECT 'else'"), bind(portal, "", &[])].concat();
    for drops in ["a", "ALL"] {
        as_postgresql_answers(&script(&[
            synced(&[bound("p", drops), close(b'P', "p"), select("p"), execute("p", 0)]),
            synced(&[bound("p", drops), close(b'P', "p"), execute("p", 0)]),
            synced(&[bound("", drops), select(""), execute("", 0)]),
            // Gone with its transaction.
            synced(&[bound("p", drops)]),
            synced(&[execute("p", 0)]),
            query("BEGIN"),
            synced(&[bound("p", drops)]),
            query("ROLLBACK"),
            query("BEGIN"),
            query("DECLARE p CURSOR FOR SELECT 'a cursor'"),
            synced(&[execute("p", 0)]),
            query("COMMIT"),
            // And with its savepoint.
            query("BEGIN"),
            query("SAVEPOINT s"),
            synced(&[bound("p", drops)]),
            query("ROLLBACK TO s"),
            synced(&[select("p"), execute("p", 0)]),
            query("COMMIT"),
        ]));
    }
}

#[test]
fn a_portal_that_was_not_closed_or_bound_again_after_all_still_drops() {
    for drops in ["a", "ALL"] {
        for fails in [
            [run("no such", &[]), close(b'P', "p")].concat(),
            [parse("", "SELECT 1"), bind("p", "", &[])].concat(),
            [run("no such", &[]), execute("p", 0)].concat(),
        ] {
            as_postgresql_answers(&script(&[
                query("BEGIN"),
                synced(&[bound("p", drops)]),
                query("SAVEPOINT s"),
                synced(&[fails]),
                synced(&[execute("p", 0)]),
                query("ROLLBACK TO s"),
                synced(&[execute("p", 0), run("a", &[])]),
                query("ROLLBACK"),
            ]));
        }
    }
}

#[test]
fn of_the_name_of_a_portal_63_bytes_count() {
    let (portal, other) = (format!("{}x", "p".repeat(63)), format!("{}y", "p".repeat(63)));
    as_postgresql_answers(&script(&[synced(&[bound(&portal, "a"), execute(&other, 0)])]));
    as_postgresql_answers(&script(&[synced(&[bound(&portal, "ALL"), execute(&other, 0)])]));
    as_postgresql_answers(&script(&[synced(&[bound(&portal, "a"), close(b'P', &other), execute(&portal, 0)])]));
}

#[test]
fn a_bind_of_another_number_of_parameters_is_refused_in_the_clients_words() {
    // Without a value it is a Bind that names more formats than values.
    let formats = message(b'B', b"\0d\0\0\x02\0\0\0\0\0\0\0\0");
    let bad = [run("d", &[b"1"]), run("d", &[b"1", b"2"]), formats];
    for types in [&[0, 0][..], &[0, 1, 0, 0, 0, 23]] {
        let parsed = message(b'P', &[b"d\0DEALLOCATE a\0", types].concat());
        let mut requests = vec![synced(&[parsed])];
        requests.extend(bad.iter().map(|bind| synced(std::slice::from_ref(bind))));
        requests.extend([query("BEGIN"), query("SELECT 1/0")]);
        requests.extend(bad.iter().map(|bind| synced(std::slice::from_ref(bind))));
        requests.extend([synced(&[run("d", &[])]), query("ROLLBACK"), synced(&[run("d", &[])])]);
        as_postgresql_answers(&script(&requests));
    }
    as_postgresql_answers(&script(&[synced(&[parse("", "DEALLOCATE a")]), synced(&[run("", &[b"1"])])]));
}

#[test]
fn portals_that_drop_something_are_bounded() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.send(&prepare());
    client.until_ready();
    let portals = (0..1001).map(|portal| bind(&portal.to_string(), "", &[]));
    client.send(&synced(&[parse("", "DEALLOCATE a"), portals.collect::<Vec<_>>().concat(), execute("7", 0)]));
    let answer = client.until_ready();
    assert_eq!(error_code(&answer).as_deref(), Some("53200"));
    assert_eq!(answer.iter().filter(|frame| frame.kind == b'2').count(), 1000);
    // In the next transaction there are none.
    client.send(&synced(&[bound("p", "a"), execute("p", 0), run("b", &[])]));
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("b"));
}
