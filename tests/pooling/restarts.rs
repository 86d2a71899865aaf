//! PostgreSQL goes away and comes back; its clients stay.

use super::restarting::restart_under;
use super::support::{PgOtter, must, postgres};
use super::talk::{Client, query};
use super::world::{config, eventually, host};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, StopMode};

fn in_front_of(server: &LocalPostgres, pooler: &str) -> PgOtter {
    PgOtter::start(|port| config(port, &host(server), &format!("default_pool_size = 25\n{pooler}"), ""))
}

fn client(pooler: &PgOtter) -> Client {
    Client::connect(pooler.port(), SUPERUSER, "postgres")
}

#[test]
fn f13_a_restart_fast_or_immediate_drops_none_of_fifty_idle_clients() {
    let mut server = postgres(&Options::default());
    let pooler = in_front_of(&server, "workers = 3");
    let mut clients: Vec<_> = (0..50).map(|_| client(&pooler)).collect();
    for mode in [StopMode::Fast, StopMode::Immediate] {
        clients.iter_mut().for_each(|client| client.send(&query("SELECT pg_backend_pid()")));
        clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, Some(b'I')));
        must(server.restart(mode));
        clients.iter_mut().for_each(|client| client.send(&query("SELECT 'back'")));
        clients.iter_mut().for_each(|client| assert_eq!(client.answer().value(), "back", "{mode:?}"));
    }
}

#[test]
fn f13_while_postgresql_is_down_clients_log_in_and_their_requests_wait_for_it() {
    let mut server = postgres(&Options::default());
    let pooler = in_front_of(&server, "query_wait_notify = \"100ms\"");
    let mut before = client(&pooler);
    assert_eq!(before.value("SELECT 1"), "1");
    must(server.stop(StopMode::Fast));
    let mut during: Vec<_> = (0..10).map(|_| client(&pooler)).collect();
    before.queue("SELECT 'patient'");
    during.iter_mut().for_each(|client| client.queue("SELECT 'new'"));
    must(server.start());
    assert_eq!(before.answer().value(), "patient");
    during.iter_mut().for_each(|client| assert_eq!(client.answer().value(), "new"));
}

#[test]
fn f13_a_request_that_waited_in_vain_for_postgresql_is_told_57p03_and_its_client_goes_on() {
    let mut server = postgres(&Options::default());
    let pooler = in_front_of(&server, "query_wait_timeout = \"500ms\"");
    let mut client = client(&pooler);
    must(server.stop(StopMode::Fast));
    client.query("SELECT 1").error("57P03");
    must(server.start());
    eventually("it is served again", || client.query("SELECT 1").errors.is_empty());
}

#[test]
fn f13_who_waits_is_served_in_order_of_arrival_though_postgresql_comes_and_goes_meanwhile() {
    let mut server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE SEQUENCE turns"));
    let lines = "default_pool_size = 1\nquery_wait_notify = \"10ms\"\nquery_wait_timeout = \"60s\"";
    let pooler = PgOtter::start(|port| config(port, &host(&server), lines, ""));
    let mut holder = client(&pooler);
    assert_eq!(holder.query("BEGIN -- with a server").status, Some(b'T'));
    let mut waiters: Vec<_> = (0..20)
        .map(|_| {
            let mut waiter = client(&pooler);
            waiter.queue("SELECT nextval('turns')");
            waiter
        })
        .collect();
    let stops = [StopMode::Fast, StopMode::Immediate, StopMode::Fast];
    for mode in stops {
        must(server.stop(mode));
        must(server.start());
    }
    let mut turns: Vec<u64> = Vec::new();
    for waiter in &mut waiters {
        let answer = waiter.answer();
        match answer.errors.first() {
            None => turns.push(answer.value().parse().unwrap()),
            // One is served at a time.
            Some(error) => assert!(["57P01", "57P02", "08006", "08007"].contains(&&*error.code), "{error:?}"),
        }
    }
    assert!(turns.len() + stops.len() > waiters.len(), "{turns:?}");
    assert!(turns.is_sorted_by(|one, next| one < next), "{turns:?}");
    assert_eq!(client(&pooler).value("SELECT 'back'"), "back");
}

#[test]
fn f13_three_restarts_under_idle_and_active_clients_drop_no_idle_one() {
    restart_under(100, 10, 3);
}

#[test]
fn f11_a_killed_backend_takes_its_clients_statement_and_no_other_connection() {
    let server = postgres(&Options::default());
    let pooler = in_front_of(&server, "");
    let mut idle: Vec<_> = (0..20).map(|_| client(&pooler)).collect();
    idle.iter_mut().for_each(|client| drop(client.query("SELECT 1")));
    let mut running = client(&pooler);
    let mut bystander = client(&pooler);
    let backends = [&mut running, &mut bystander].map(|client| {
        client.query("BEGIN -- with a server");
        let backend = client.backend();
        client.send(&query("SELECT pg_sleep(100)"));
        backend
    });
    let sleeping = "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    must(server.wait_until("postgres", sleeping));
    let pid = rustix::process::Pid::from_raw(backends[0].parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    running.answer().fatal("08007");
    // PostgreSQL ends all others, too, and says so first.
    let answer = bystander.answer();
    answer.fatal("08007");
    assert!(answer.notices.iter().any(|notice| notice.code == "57P02"), "{answer:?}");
    idle.iter_mut().for_each(|client| assert_eq!(client.value("SELECT 'alive'"), "alive"));
}
