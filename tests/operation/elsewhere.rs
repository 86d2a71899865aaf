//! Where and when: a host's name that gets another address, and a clock that somebody sets.

use super::proxy::Proxy;
use super::reloading::reload;
use super::talk::{Client, query};
use super::world::{Gate, cluster, config, eventually, exit_code, fresh_role, holder, host, look, servers_of};
use crate::support::PgOtter;
use crate::support::elsewhere::Elsewhere;
use rustix::process::Signal;

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

/// Names are looked up all the time.
const OFTEN: &str = "dns_max_ttl = \"5ms\"";

fn until_it_is_looked_up(place: &Elsewhere, times: u64) {
    let before = place.lookups();
    eventually("its host's name is looked up", || place.lookups() >= before + times);
}

#[test]
fn f30_servers_at_an_address_that_its_name_has_left_are_replaced_when_they_are_idle() {
    let Some(place) = Elsewhere::new("a host whose old address still answers", "127.0.0.1") else { return };
    let role = fresh_role();
    let old = Proxy::new(0);
    let new = Proxy::at(&format!("127.0.0.2:{}", old.port), cluster().port(), 0);
    let pooler = in_front_of_a_name(&place, old.port, OFTEN);
    let (mut busy, mut idle) = (holder(pooler.port(), &role), holder(pooler.port(), &role));
    assert_eq!(idle.query("COMMIT").tags, ["COMMIT"]);
    let here = old.connections();
    // While nobody knows the name, nobody moves.
    place.move_hosts("");
    until_it_is_looked_up(&place, 10);
    assert_eq!(servers_of(&role), 2);
    place.move_hosts("127.0.0.2");
    eventually("the idle one is closed", || servers_of(&role) == 1);
    assert_eq!(idle.value("SELECT 'moved'"), "moved");
    assert_eq!((old.connections(), new.connections()), (here, 1));
    assert_eq!(busy.value("SELECT 'not moved'"), "not moved");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    eventually("so is the other one", || servers_of(&role) == 1);
    assert_eq!(busy.value("SELECT 'moved'"), "moved");
    until_it_is_looked_up(&place, 10);
    assert_eq!((old.connections(), new.connections()), (here, 1), "those at the new address stay");
    let log = pooler.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("leads elsewhere")).collect();
    assert!(matches!(&lines[..], [line] if line.contains("INFO") && line.contains("\"servers\":2")), "{lines:?}");
}

#[test]
fn f30_a_name_that_answers_with_its_addresses_in_turn_replaces_no_server() {
    let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
    let Some(place) = Elsewhere::new("a host with five addresses", &addresses.join(" ")) else { return };
    let role = fresh_role();
    let first = Proxy::new(0);
    let _others = addresses[1..].iter().map(|ip| Proxy::at(&format!("{ip}:{}", first.port), cluster().port(), 0));
    let _others: Vec<_> = _others.collect();
    let pooler = in_front_of_a_name(&place, first.port, OFTEN);
    // The first five answers could be those of a name that moves.
    let mut clients: Vec<_> = vec![Client::connect(pooler.port(), &role, "postgres")];
    until_it_is_looked_up(&place, 20);
    clients.extend((0..4).map(|_| holder(pooler.port(), &role)));
    clients[0].query("BEGIN -- with a server");
    let backends: Vec<_> = clients.iter_mut().map(Client::backend).collect();
    clients.iter_mut().for_each(|client| drop(client.query("COMMIT")));
    until_it_is_looked_up(&place, 150);
    clients.iter_mut().for_each(|client| drop(client.query("BEGIN -- with a server")));
    assert!(clients.iter_mut().all(|client| backends.contains(&client.backend())), "a server was replaced");
}

#[test]
fn f30_a_resolver_that_does_not_answer_holds_up_neither_clients_nor_the_end() {
    let Some(place) = Elsewhere::new("a resolver that does not answer", "127.0.0.1") else { return };
    let role = fresh_role();
    let mut pooler = in_front_of_a_name(&place, cluster().port(), OFTEN);
    let mut client = holder(pooler.port(), &role);
    let backend = client.backend();
    place.move_hosts("?");
    until_it_is_looked_up(&place, 1);
    assert_eq!(client.query("COMMIT").tags, ["COMMIT"]);
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(other.backend(), backend);
    pooler.signal(Signal::TERM);
    assert_eq!(exit_code(&mut pooler), Some(0));
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
