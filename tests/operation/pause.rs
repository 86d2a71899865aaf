//! PAUSE and RESUME, by SIGUSR1 and SIGUSR2.

use super::talk::{Client, query};
use super::world::{eventually, exit_code, fresh_role, holder, pgotter, servers_of};
use crate::support::PgOtter;
use rustix::process::Signal;

fn wait_for_log(pooler: &PgOtter, word: &str, times: usize) {
    eventually(word, || pooler.log().matches(word).count() >= times);
}

#[test]
fn a_pause_lets_transactions_end_closes_every_server_and_holds_requests_until_resume() {
    let role = fresh_role();
    let mut pooler = pgotter("query_wait_notify = \"50ms\"\nmin_pool_size = 1", "");
    let mut busy = holder(pooler.port(), &role);
    pooler.signal(Signal::USR1);
    // What was asked before the pause had begun is answered.
    let mut idle = loop {
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        client.send(&query("SELECT 'later'"));
        if client.message().is_some_and(|(kind, _)| kind == b'N') {
            break client;
        }
    };
    assert_eq!(busy.value("SELECT 'still here'"), "still here");
    assert!(!pooler.log().contains("paused: no server"));
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    wait_for_log(&pooler, "paused: no server", 1);
    assert_eq!(servers_of(&role), 0);
    // A login needs no server as long as the welcome is known.
    let mut new = Client::connect(pooler.port(), &role, "postgres");
    new.queue("SELECT 'new'");
    pooler.signal(Signal::USR2);
    assert_eq!(idle.answer().value(), "later");
    assert_eq!(new.answer().value(), "new");
}

#[test]
fn a_request_that_waited_in_vain_for_the_end_of_a_pause_is_told_57p03_and_its_client_goes_on() {
    let role = fresh_role();
    let mut pooler = pgotter("query_wait_timeout = \"300ms\"", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    pooler.signal(Signal::USR1);
    wait_for_log(&pooler, "paused: no server", 1);
    client.query("SELECT 1").error("57P03");
    pooler.signal(Signal::USR2);
    wait_for_log(&pooler, "resumed", 1);
    // A busy machine may take longer than that to open a server.
    eventually("it is served", || client.query("SELECT 1").rows == [["1"]]);
}

#[test]
fn at_sigterm_nobody_waits_for_the_end_of_a_pause() {
    let role = fresh_role();
    let mut pooler = pgotter("query_wait_notify = \"50ms\"", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    pooler.signal(Signal::USR1);
    wait_for_log(&pooler, "paused: no server", 1);
    client.queue("SELECT 1");
    pooler.signal(Signal::TERM);
    client.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}
