//! A bug at any step of a client's life costs that client, and frees its place.

use super::support::PgOtter;
use super::talk::{Client, query};
use super::world::{cluster, config, eventually, exit_code, fresh_role, host, look, until_it_sleeps};

/// A pool of one server, and a client that has nothing to do with the others' bugs.
struct Place {
    role: String,
    pooler: PgOtter,
    bystander: Client,
}

impl Place {
    fn new() -> Self {
        let role = fresh_role();
        let pooler = "default_pool_size = 1\nworkers = 1\nquery_wait_notify = \"10ms\"\nquery_wait_timeout = \"300ms\"";
        let pooler =
            PgOtter::start_with(|port| config(port, &host(cluster()), pooler, ""), &[("PGOTTER_PANIC_PROBE", "1")]);
        let bystander = Client::connect(pooler.port(), &role, "postgres");
        Self { role, pooler, bystander }
    }

    fn victim(&self, step: &str) -> Client {
        let name = format!("panic at {step}");
        Client::connect_with(self.pooler.port(), &self.named(&name))
    }

    fn named<'a>(&'a self, name: &'a str) -> [(&'a str, &'a str); 3] {
        [("user", &self.role), ("database", "postgres"), ("application_name", name)]
    }

    /// The bug has shown, and everybody else is served.
    #[track_caller]
    fn is_sound(&mut self, step: &str) {
        let log = || self.pooler.log();
        eventually("the panic is logged", || log().contains(&format!("panic at {step}")));
        assert_eq!(self.bystander.value("SELECT 'unharmed'"), "unharmed", "{step}");
        let mut next = Client::connect(self.pooler.port(), &self.role, "postgres");
        assert_eq!(next.value("SELECT 'served'"), "served", "{step}");
        next.leave();
    }
}

#[test]
fn a_bug_at_a_step_of_every_query_closes_its_client_and_frees_its_server() {
    let mut place = Place::new();
    for step in ["Decide", "Checkout", "Adopt", "Send", "Relay", "Hear", "Release"] {
        let answer = place.victim(step).query("SELECT 1");
        assert_eq!(answer.status, None, "{step}: {answer:?}");
        place.is_sound(step);
    }
}

#[test]
fn a_bug_before_the_first_query_closes_its_client() {
    let mut place = Place::new();
    let mut victim = Client::open(place.pooler.port());
    victim.send(&super::talk::startup(&place.named("panic at Gather")));
    while victim.message().is_some() {}
    place.is_sound("Gather");
}

#[test]
fn a_bug_in_a_client_that_waits_or_is_refused_frees_its_place_in_the_queue() {
    let mut place = Place::new();
    for step in ["Wait", "Refuse"] {
        assert_eq!(place.bystander.query("BEGIN -- with a server").status, Some(b'T'));
        let answer = place.victim(step).query("SELECT 1");
        assert_eq!(answer.status, None, "{step}: {answer:?}");
        assert_eq!(place.bystander.query("COMMIT").status, Some(b'I'));
        place.is_sound(step);
    }
}

#[test]
fn a_bug_while_a_client_parts_from_its_server_frees_the_server() {
    let mut place = Place::new();
    let mut victim = place.victim("Part");
    victim.query("BEGIN -- with a server");
    victim.leave();
    place.is_sound("Part");
}

#[test]
fn a_bug_while_a_statement_is_cancelled_frees_the_server() {
    let mut place = Place::new();
    let mut victim = place.victim("Cancel");
    victim.query("BEGIN -- with a server");
    let backend = victim.backend();
    victim.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    victim.cancel();
    assert_eq!(victim.answer().status, None);
    place.is_sound("Cancel");
    look(&format!("SELECT pg_terminate_backend({backend})"));
}

#[test]
fn what_runs_is_cancelled_when_its_client_is_closed_by_a_bug() {
    let mut place = Place::new();
    let mut victim = place.victim("Cancel");
    let backend = victim.backend();
    victim.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    victim.cancel();
    assert_eq!(victim.answer().status, None);
    let runs = || look(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}")) != "0";
    eventually("the statement has ended", || !runs());
    place.is_sound("Cancel");
}

#[test]
fn a_bug_while_a_client_hears_of_its_servers_end_frees_the_place() {
    let mut place = Place::new();
    let mut victim = place.victim("Bereave");
    victim.query("BEGIN -- with a server");
    let backend = victim.backend();
    look(&format!("SELECT pg_terminate_backend({backend})"));
    assert_eq!(victim.answer().status, None);
    place.is_sound("Bereave");
}

#[test]
fn a_bug_in_a_worker_itself_ends_the_process_in_order_and_says_so() {
    let mut place = Place::new();
    assert_eq!(place.bystander.query("BEGIN -- with a server").status, Some(b'T'));
    let mut victim = Client::open(place.pooler.port());
    victim.send(&super::talk::startup(&place.named("panic at Worker")));
    while victim.message().is_some() {}
    // There is but one worker: its clients are gone with it.
    assert_eq!(place.bystander.query("COMMIT").status, None);
    assert_eq!(exit_code(&mut place.pooler), Some(1));
    assert!(place.pooler.log().contains("a worker's thread panicked"));
}

#[test]
fn a_bug_in_one_worker_lets_the_clients_of_another_end_their_transactions() {
    let role = fresh_role();
    // Two home workers: one for every ten servers.
    let pooler = "default_pool_size = 20\nworkers = 2";
    let mut pooler =
        PgOtter::start_with(|port| config(port, &host(cluster()), pooler, ""), &[("PGOTTER_PANIC_PROBE", "1")]);
    let mut clients = [(); 2].map(|()| Client::connect(pooler.port(), &role, "postgres"));
    clients.iter_mut().for_each(|client| assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T')));
    let mut victim = Client::open(pooler.port());
    victim.send(&super::talk::startup(&[
        ("user", &role),
        ("database", "postgres"),
        ("application_name", "panic at Worker"),
    ]));
    while victim.message().is_some() {}
    let ended = clients.map(|mut client| client.query("COMMIT").tags);
    assert_eq!(ended, [Vec::<String>::new(), vec!["COMMIT".to_owned()]], "the first client's worker is the victim's");
    assert_eq!(exit_code(&mut pooler), Some(1));
}
