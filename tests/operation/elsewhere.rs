//! Where and when: a host's name that gets another address, and a clock that somebody sets.

use super::proxy::Proxy;
use super::reloading::reload;
use super::support::PgOtter;
use super::support::elsewhere::Elsewhere;
use super::talk::{Client, query};
use super::world::{Gate, cluster, config, eventually, fresh_role, holder, host, look, servers_of};

/// PgOtter in front of a name that only `place` knows.
fn in_front_of_a_name(place: &Elsewhere, port_of_host: u16, pooler: &str) -> PgOtter {
    PgOtter::start_with(|port| config(port, &format!("pg.test:{port_of_host}"), pooler, ""), &place.environment())
}

#[test]
fn f30_each_new_server_is_opened_where_its_hosts_name_leads_now() {
    let Some(place) = Elsewhere::new("a host that moves", "127.0.0.1") else { return };
    let role = fresh_role();
    let old = Proxy::new(0);
    let new = Proxy::at(&format!("127.0.0.2:{}", old.port), cluster().port(), 0);
    let pooler = in_front_of_a_name(&place, old.port, "");
    let mut busy = holder(pooler.port(), &role);
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let here = old.connections();
    assert!(here > 0 && new.connections() == 0);
    place.move_hosts("127.0.0.2");
    let mut first = holder(pooler.port(), &role);
    assert_eq!((old.connections(), new.connections()), (here, 1));
    assert_eq!(busy.value("SELECT 'not moved'"), "not moved");
    // The old machine goes off.
    old.cut();
    busy.answer().fatal("08006");
    assert_eq!(first.query("COMMIT").tags, ["COMMIT"]);
    assert_eq!(idle.value("SELECT 'moved'"), "moved");
    assert_eq!(old.connections(), here);
}

#[test]
fn f30_a_host_that_cannot_be_reached_is_looked_up_again_while_its_clients_wait() {
    let Some(place) = Elsewhere::new("a host that comes back elsewhere", "127.0.0.1") else { return };
    let role = fresh_role();
    let pooler = in_front_of_a_name(&place, cluster().port(), "default_pool_size = 1\nquery_wait_notify = \"10ms\"");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    // Nobody listens there; and nobody knows the name.
    for address in ["127.0.0.9", ""] {
        place.move_hosts(address);
        look(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"));
        eventually("its server is gone", || servers_of(&role) == 0);
        let failures = || pooler.log().matches("cannot open a server").count();
        let before = failures();
        client.queue("SELECT pg_backend_pid()");
        eventually("it is looked for in vain", || failures() > before);
        place.move_hosts("127.0.0.1");
        assert_ne!(client.answer().value(), backend, "{address}");
    }
}

/// When the last event was logged, by the clock that the process believes: the year.
fn year_of_the_log(pooler: &PgOtter) -> i64 {
    let log = pooler.log();
    let (_, time) = log.lines().last().and_then(|line| line.split_once("\"timestamp\":\"")).unwrap();
    time.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn f32_a_clock_that_jumps_ends_nothing_early_and_nothing_late() {
    let Some(place) = Elsewhere::new("a clock that jumps", "127.0.0.1") else { return };
    let role = fresh_role();
    let long = [
        "idle_transaction_timeout",
        "client_idle_timeout",
        "query_timeout",
        "transaction_timeout",
        "query_wait_timeout",
        "server_lifetime",
        "server_idle_timeout",
        "client_write_timeout",
        "server_connect_timeout",
    ];
    let long: String = long.iter().map(|setting| format!("{setting} = \"30min\"\n")).collect();
    let lines = format!("{long}client_login_timeout = \"1s\"\nquery_wait_notify = \"10ms\"\ndefault_pool_size = 2");
    let mut pooler = PgOtter::start_with(|port| config(port, &host(cluster()), &lines, ""), &place.environment());
    let port = pooler.port();
    let year = year_of_the_log(&pooler);
    let mut resting = holder(port, &role);
    let first = resting.backend();
    let mut running = Client::connect(port, &role, "postgres");
    let servers = [first, running.backend()];
    let gate = Gate::new();
    running.send(&query(&gate.select("ran")));
    gate.until_it_is_reached(&servers[1]);
    let mut waiting = Client::connect(port, &role, "postgres");
    waiting.queue("SELECT 'waited'");
    let mut idle = Client::connect(port, &role, "postgres");
    for seconds in [3600, -3600, 2_000_000_000, 0] {
        let mut silent = Client::open(port);
        place.move_clock(seconds);
        assert_eq!(silent.answer().status, None, "its second is over");
        assert_eq!(resting.value("SELECT 'there'"), "there");
        assert!(reload(&mut pooler));
        assert_eq!(year_of_the_log(&pooler) > year + 50, seconds > 1_000_000_000, "the clock has jumped");
    }
    gate.open();
    assert_eq!(running.answer().value(), "ran");
    assert_eq!(waiting.answer().value(), "waited");
    assert_eq!(resting.query("COMMIT").tags, ["COMMIT"]);
    assert!(
        [&mut resting, &mut idle].iter_mut().all(|client| servers.contains(&client.backend())),
        "a server was closed"
    );
    assert_eq!(idle.value("SELECT 'there'"), "there");
}
