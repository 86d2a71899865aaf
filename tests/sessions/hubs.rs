//! The connection that listens for many clients is late, stands still, or is lost.

use super::listen::{hubs, log_in_as, look, next_notification, notification, notification_with, one_server, server_of};
use crate::support::raw::*;
use crate::support::stopped::Stopped;
use crate::support::talk::cancel;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, shared_postgres};

#[test]
fn whoever_listens_is_disconnected_when_the_hub_is_lost_and_nobody_else() {
    look("CREATE ROLE k_losing LOGIN");
    let pgotter = one_server();
    let [mut client, mut other, mut busy] = [(); 3].map(|()| log_in_as(&pgotter, "k_losing"));
    client.ask("LISTEN k_jobs");
    busy.ask("LISTEN k_jobs; BEGIN");
    assert_eq!(hubs("count(pg_terminate_backend(pid))", "k_losing"), "1");
    let last = client.until_end();
    assert_eq!(error_code(&last).as_deref(), Some("57P01"), "{}", print(&last));
    assert_eq!(last[0].field(b'V').as_deref(), Some("FATAL"));
    // A transaction ends as it would.
    assert_eq!(busy.value("SELECT 'still here'"), "still here");
    assert!(print(&busy.ask("COMMIT")).contains("C COMMIT"));
    assert_eq!(error_code(&busy.until_end()).as_deref(), Some("57P01"));
    assert!(print(&other.ask("LISTEN k_jobs")).contains("C LISTEN"), "a new hub is opened");
    look("NOTIFY k_jobs, 'heard'");
    assert_eq!(next_notification(&mut other).2, "heard");
}

#[test]
fn listeners_of_servers_that_are_replaced_are_told_so() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "admin_users = \"postgres\"");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask("LISTEN t_jobs");
    assert!(print(&console(&pgotter).ask("RECONNECT")).contains("C RECONNECT"));
    assert_eq!(error_code(&client.until_end()).as_deref(), Some("57P01"));
}

fn console(pgotter: &PgOtter) -> Raw {
    let mut console = Raw::connect(pgotter.port());
    console.send(&startup(3, 0, &[("user", "postgres"), ("database", "pgotter")]));
    console.welcomed();
    console
}

#[test]
fn a_pause_leaves_no_hub_and_whoever_listened_is_told_so_and_listens_again_behind_it() {
    look("CREATE ROLE z_pausing LOGIN");
    let settings = "admin_users = \"postgres\"\nquery_wait_notify = \"50ms\"";
    let pgotter = PgOtter::in_front_of(shared_postgres(), settings);
    let [mut client, mut other, mut busy] = [(); 3].map(|()| log_in_as(&pgotter, "z_pausing"));
    let mut console = console(&pgotter);
    client.ask("LISTEN z_jobs");
    busy.ask("BEGIN; LISTEN z_jobs");
    // As long as a transaction goes on, what it does to those who listen does.
    console.send(&query("PAUSE postgres"));
    busy.ask("NOTIFY z_jobs, 'last'");
    assert!(print(&busy.ask("COMMIT")).contains("C COMMIT"));
    assert_eq!(next_notification(&mut client).2, "last");
    assert!(print(&console.until_ready()).contains("C PAUSE"));
    eventually("PostgreSQL has seen its end", || {
        look("SELECT count(*) FROM pg_stat_activity WHERE usename = 'z_pausing'") == "0"
    });
    for listener in [&mut client, &mut busy] {
        assert_eq!(error_code(&listener.until_end()).as_deref(), Some("57P01"));
    }
    other.send(&query("LISTEN z_jobs"));
    assert_eq!(other.frame().expect("a word that it waits").kind, b'N');
    assert_eq!(hubs("count(*)", "z_pausing"), "0", "nor is another one opened");
    assert!(print(&console.ask("RESUME postgres")).contains("C RESUME"));
    assert!(print(&other.until_ready()).contains("C LISTEN"));
    look("NOTIFY z_jobs, 'heard'");
    assert_eq!(next_notification(&mut other).2, "heard");
}

#[test]
fn a_pause_that_is_broken_off_costs_no_listener_its_connection() {
    look("CREATE ROLE z_breaking LOGIN");
    let pgotter = PgOtter::in_front_of(shared_postgres(), "admin_users = \"postgres\"");
    let [mut client, mut busy] = [(); 2].map(|()| log_in_as(&pgotter, "z_breaking"));
    let mut pausing = console(&pgotter);
    client.ask("LISTEN z_kept");
    busy.ask("BEGIN");
    busy.ask("SELECT 1");
    pausing.send(&query("PAUSE"));
    let mut heard = Vec::new();
    eventually("it is broken off", || {
        cancel(pgotter.port(), pausing.pid, &pausing.secret);
        heard.extend(pausing.frames_here());
        heard.last().is_some_and(|last: &Frame| last.kind == b'Z')
    });
    assert_eq!(error_code(&heard).as_deref(), Some("57014"));
    busy.ask("COMMIT");
    look("NOTIFY z_kept, 'still here'");
    assert_eq!(next_notification(&mut client).2, "still here");
}

#[test]
fn a_hub_that_hangs_holds_up_nobodys_notify_and_nothing_is_taken_for_ones_own() {
    look("CREATE ROLE x_hanging LOGIN");
    let pgotter = one_server();
    let [mut client, mut other] = [(); 2].map(|()| log_in_as(&pgotter, "x_hanging"));
    client.ask("LISTEN x_jobs");
    let server = server_of(&mut client);
    let stopped = Stopped::new(hubs("pid", "x_hanging"));
    other.ask("NOTIFY x_jobs, 'other'");
    // What a text says itself is known again, and what it computes is not.
    assert_eq!(print(&client.ask("NOTIFY x_jobs, 'own'")), "C NOTIFY\\x00\nZ I\n");
    let computed = client.ask("BEGIN; SELECT pg_notify('x_jobs', 'com' || 'puted'); NOTIFY x_jobs, 'own too'; COMMIT");
    assert_eq!(computed.last().expect("an answer").kind, b'Z', "{}", print(&computed));
    client.send(&[extended("SELECT pg_notify($1, $2)", &[b"x_jobs", b"bound"]), sync()].concat());
    client.until_ready();
    client.ask("BEGIN; NOTIFY x_jobs, 'undone'; ROLLBACK");
    client.ask("BEGIN; SAVEPOINT s; NOTIFY x_jobs, 'undone'; ROLLBACK TO s; NOTIFY x_jobs, 'behind it'; COMMIT");
    other.ask("NOTIFY x_jobs, 'undone'");
    drop(stopped);
    let all = [
        (server, "other"),
        (client.pid, "own"),
        (server, "computed"),
        (client.pid, "own too"),
        (client.pid, "bound"),
        (server, "behind it"),
        (server, "undone"),
    ];
    for (pid, payload) in all {
        assert_eq!(next_notification(&mut client), (pid, "x_jobs".to_owned(), payload.to_owned()));
    }
    let frames = client.ask("NOTIFY x_jobs, 'mine'");
    assert_eq!(notification_with(&frames, &mut client).0, client.pid);
    // What is heard too late is of somebody else, although this client notifies by now.
    let mut observer = log_in_as(&pgotter, "x_hanging");
    observer.ask("LISTEN x_jobs");
    let stopped = Stopped::new(hubs("pid", "x_hanging"));
    other.ask("NOTIFY x_jobs, 'late'");
    client.ask("BEGIN; NOTIFY x_jobs, 'unknown'");
    drop(stopped);
    assert_eq!(next_notification(&mut observer).2, "late");
    let mut heard: Vec<_> = client.ask("COMMIT").iter().filter(|frame| frame.kind == b'A').map(notification).collect();
    while heard.len() < 2 {
        heard.push(next_notification(&mut client));
    }
    let all = [(server, "late"), (client.pid, "unknown")];
    assert_eq!(heard, all.map(|(pid, payload)| (pid, "x_jobs".to_owned(), payload.to_owned())));
}

#[test]
fn what_was_notified_before_the_commit_is_never_heard() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2");
    let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    for round in 0..300 {
        client.ask("BEGIN");
        client.ask("LISTEN y_jobs");
        other.ask("NOTIFY y_jobs, 'early'");
        client.ask("COMMIT");
        other.ask("NOTIFY y_jobs, 'late'");
        assert_eq!(next_notification(&mut client).2, "late", "round {round}");
        client.ask("UNLISTEN y_jobs");
    }
}

#[test]
fn nor_is_it_when_the_connection_that_listens_stands_still_behind_the_commit() {
    look("CREATE ROLE y_hanging LOGIN");
    let pgotter = one_server();
    let [mut client, mut other] = [(); 2].map(|()| log_in_as(&pgotter, "y_hanging"));
    client.ask("BEGIN");
    client.ask("LISTEN y_still");
    let stopped = Stopped::new(hubs("pid", "y_hanging"));
    // Through PostgreSQL itself: the only server is the client's.
    look("NOTIFY y_still, 'early'");
    client.send(&query("COMMIT"));
    // Six times what an answer waits for that connection.
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(stopped);
    client.until_ready();
    other.ask("NOTIFY y_still, 'late'");
    assert_eq!(next_notification(&mut client).2, "late");
}

#[test]
fn who_listens_already_hears_what_was_notified_before_the_commit_as_with_postgresql() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2");
    for port in [pgotter.port(), shared_postgres().port()] {
        let [mut client, mut other] = [Raw::log_in(port, &[]), Raw::log_in(port, &[])];
        client.ask("LISTEN o_jobs");
        client.ask("BEGIN");
        client.ask("LISTEN o_more");
        other.ask("NOTIFY o_more, 'early'");
        let frames = client.ask("COMMIT");
        assert_eq!(notification_with(&frames, &mut client).2, "early", "{}", print(&frames));
    }
}

#[test]
fn an_answer_to_what_a_query_that_listens_has_notified_is_never_lost() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut worker = Raw::log_in(shared_postgres().port(), &[]);
    worker.ask("LISTEN p_jobs");
    for round in 0..300 {
        client.send(&query("LISTEN p_done; NOTIFY p_jobs"));
        next_notification(&mut worker);
        worker.ask(&format!("NOTIFY p_done, '{round}'"));
        let frames = client.until_ready();
        assert_eq!(notification_with(&frames, &mut client).2, round.to_string());
        client.ask("UNLISTEN *");
    }
}

#[test]
fn who_loses_its_hub_while_its_first_listen_is_at_the_server_is_told_so() {
    look("CREATE ROLE p_losing LOGIN");
    let pgotter = one_server();
    let mut client = log_in_as(&pgotter, "p_losing");
    let mut holder = Raw::log_in(shared_postgres().port(), &[]);
    holder.ask("SELECT pg_advisory_lock(1742)");
    client.send(&query("LISTEN p_last; SELECT pg_advisory_xact_lock(1742)"));
    eventually("the lock is waited for", || {
        look("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1742 AND NOT granted") == "1"
    });
    assert_eq!(hubs("count(pg_terminate_backend(pid))", "p_losing"), "1");
    eventually("it has ended", || hubs("count(*)", "p_losing") == "0");
    holder.ask("SELECT pg_advisory_unlock(1742)");
    let frames = client.until_end();
    assert_eq!(error_code(&frames).as_deref(), Some("57P01"), "{}", print(&frames));
}

#[test]
fn a_commit_goes_on_when_the_hub_that_it_waits_for_is_lost() {
    look("CREATE ROLE q_losing LOGIN; CREATE TABLE q_written (n int); GRANT ALL ON q_written TO q_losing");
    let pgotter = one_server();
    let mut client = log_in_as(&pgotter, "q_losing");
    client.ask("BEGIN");
    client.ask("LISTEN q_jobs");
    client.ask("INSERT INTO q_written VALUES (1)");
    let stopped = Stopped::new(hubs("pid", "q_losing"));
    client.send(&query("COMMIT"));
    // It is held: nobody sees what it writes, before or when its hub is lost.
    assert_eq!(look("SELECT count(*) FROM q_written"), "0");
    assert_eq!(hubs("count(pg_terminate_backend(pid))", "q_losing"), "1");
    drop(stopped);
    let frames = client.until_end();
    assert!(print(&frames).starts_with("C COMMIT"), "{}", print(&frames));
    assert_eq!(error_code(&frames).as_deref(), Some("57P01"));
    assert_eq!(look("SELECT count(*) FROM q_written"), "1");
}

#[test]
fn a_commit_waits_for_its_hub_for_some_seconds_and_its_client_is_not_idle_meanwhile() {
    look("CREATE ROLE q_hanging LOGIN");
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nidle_transaction_timeout = \"2s\"");
    let mut client = log_in_as(&pgotter, "q_hanging");
    client.ask("BEGIN");
    client.ask("LISTEN q_still");
    let stopped = Stopped::new(hubs("pid", "q_hanging"));
    let frames = client.ask("COMMIT");
    assert_eq!(print(&frames[..1]), "C COMMIT\\x00\n");
    look("NOTIFY q_still, 'late'");
    drop(stopped);
    assert_eq!(next_notification(&mut client).2, "late");
}

#[test]
fn a_listen_that_waits_for_its_hub_can_be_cancelled_and_has_query_timeout() {
    look("CREATE ROLE r_hanging LOGIN");
    let pgotter = one_server();
    let [mut client, mut first] = [(); 2].map(|()| log_in_as(&pgotter, "r_hanging"));
    first.ask("LISTEN r_jobs");
    let stopped = Stopped::new(hubs("pid", "r_hanging"));
    client.send(&query("LISTEN r_more"));
    // Before it waits there is nothing to cancel.
    eventually("it is cancelled", || {
        cancel(pgotter.port(), client.pid, &client.secret);
        !client.hears_nothing()
    });
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
    assert_eq!(client.value("SELECT 'its server is free'"), "its server is free");
    drop(stopped);
    assert_eq!(error_code(&client.ask("LISTEN r_more")), None);
    look("NOTIFY r_more, 'heard'");
    assert_eq!(next_notification(&mut client).2, "heard");

    let hasty = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nquery_timeout = \"2s\"");
    let [mut client, mut first] = [(); 2].map(|()| log_in_as(&hasty, "r_hanging"));
    assert_eq!(error_code(&first.ask("LISTEN r_jobs")), None);
    let stopped = Stopped::new(hubs("string_agg(pid::text, ' ')", "r_hanging"));
    for block in [false, true] {
        if block {
            client.ask("BEGIN");
        }
        assert_eq!(error_code(&client.ask("LISTEN r_more")).as_deref(), Some("57014"));
    }
    assert_eq!(print(&client.ask("COMMIT")), "C ROLLBACK\\x00\nZ I\n");
    drop(stopped);
    assert_eq!(error_code(&client.ask("LISTEN r_more")), None);
}

#[test]
fn a_cancel_of_what_runs_in_front_of_a_listen_is_of_that_alone() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[]);
    for behind in ["LISTEN s_jobs", "NOTIFY s_jobs, 'own'"] {
        client.send(&[query("SELECT pg_sleep(60) /* in front of it */"), query(behind)].concat());
        eventually("it runs", || {
            look("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* in front of it */'")
                == "1"
        });
        cancel(pgotter.port(), client.pid, &client.secret);
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
        assert_eq!(error_code(&client.until_ready()), None, "{behind}");
    }
}
