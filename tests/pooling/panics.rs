//! A bug at any step of a client's life costs that client, and frees its place.

use super::support::PgOtter;
use super::talk::{Client, query};
use super::world::{cluster, config, eventually, fresh_role, host, look, until_it_sleeps};

/// A pool of one server, and a client that has nothing to do with the others' bugs.
struct Place {
    role: String,
    pooler: PgOtter,
    bystander: Client,
}

impl Place {
    fn new() -> Self {
        Self::with("")
    }

    fn with(rest: &str) -> Self {
        let role = fresh_role();
        let pooler = "default_pool_size = 1\nworkers = 1\nquery_wait_notify = \"10ms\"\nquery_wait_timeout = \"300ms\"";
        let pooler =
            PgOtter::start_with(|port| config(port, &host(cluster()), pooler, rest), &[("PGOTTER_PANIC_PROBE", "1")]);
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
    for step in ["Answer", "Route", "Decide", "Checkout", "Link", "Adopt", "Send", "Relay", "Hear", "Release"] {
        let answer = place.victim(step).query("SELECT 1");
        assert_eq!(answer.status, None, "{step}: {answer:?}");
        place.is_sound(step);
    }
}

#[test]
fn a_bug_behind_a_query_closes_its_client_and_frees_its_server() {
    let mut place = Place::new();
    let mut victim = place.victim("Tell");
    victim.send(&query("SELECT 1"));
    while victim.message().is_some() {}
    place.is_sound("Tell");
}

#[test]
fn a_bug_while_a_session_is_looked_at_closes_its_client_and_frees_its_server() {
    let mut place = Place::new();
    let answer = place.victim("LookBack").query("SET work_mem = '6MB'; SELECT 1");
    assert_eq!(answer.status, None, "{answer:?}");
    place.is_sound("LookBack");
    assert_eq!(place.bystander.value("SHOW work_mem"), "4MB");
}

#[test]
fn a_bug_on_the_way_to_another_database_closes_its_client() {
    let elsewhere = format!("[databases.elsewhere]\nhosts = [\"{}\"]\ndbname = \"postgres\"", host(cluster()));
    let rule = "[routing]\nrules = [{ table = \"pg_class\", route = \"database=elsewhere\" }]";
    let mut place = Place::with(&format!("{elsewhere}\n{rule}"));
    let answer = place.victim("Enter").query("SELECT 1 FROM pg_class LIMIT 1");
    assert_eq!(answer.status, None, "{answer:?}");
    place.is_sound("Enter");
}

#[test]
fn a_bug_before_the_first_query_closes_its_client() {
    let mut place = Place::new();
    for step in ["Gather", "Renew"] {
        let mut victim = Client::open(place.pooler.port());
        victim.send(&super::talk::startup(&place.named(&format!("panic at {step}"))));
        while victim.message().is_some() {}
        place.is_sound(step);
    }
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
    for step in ["Part", "TakeBack"] {
        let mut victim = place.victim(step);
        victim.query("BEGIN -- with a server");
        victim.leave();
        place.is_sound(step);
    }
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
fn a_worker_with_a_bug_closes_its_clients_and_begins_again() {
    let mut place = Place::new();
    for times in 1..=3 {
        assert_eq!(place.bystander.query("BEGIN -- with a server").status, Some(b'T'));
        let backend = place.bystander.backend();
        place.bystander.send(&query("SELECT pg_sleep(100)"));
        until_it_sleeps(&backend);
        let mut victim = Client::open(place.pooler.port());
        victim.send(&super::talk::startup(&place.named("panic at Worker")));
        while victim.message().is_some() {}
        // There is but one worker: its clients are gone with it, and what ran for them.
        assert_eq!(place.bystander.answer().status, None);
        let runs = || look(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}")) != "0";
        eventually("the statement has ended", || !runs());
        assert_eq!(place.pooler.log().matches("a worker panicked").count(), times);
        // The one place of the pool is free.
        place.bystander = Client::connect(place.pooler.port(), &place.role, "postgres");
        assert_ne!(place.bystander.backend(), backend);
    }
    // Also for who waits.
    assert_eq!(place.bystander.query("BEGIN -- with a server").status, Some(b'T'));
    let mut waiting = Client::connect(place.pooler.port(), &place.role, "postgres");
    waiting.send(&query("SELECT 'waited'"));
    place.bystander.query("COMMIT");
    assert_eq!(waiting.answer().tags, ["SELECT 1"]);
}

#[test]
fn a_bug_in_one_worker_is_nothing_to_the_clients_of_another_but_who_listens_through_it_hears() {
    let role = fresh_role();
    // Two home workers: one for every ten servers.
    let pooler = "default_pool_size = 20\nworkers = 2";
    let pooler =
        PgOtter::start_with(|port| config(port, &host(cluster()), pooler, ""), &[("PGOTTER_PANIC_PROBE", "1")]);
    let client = || Client::connect(pooler.port(), &role, "postgres");
    let mut clients = [(); 4].map(|()| client());
    // The hub is its first listener's worker's.
    for listener in [2, 3] {
        assert_eq!(clients[listener].query("LISTEN worker_panics").tags, ["LISTEN"]);
    }
    // One stays with the first client, the other idle on the victim's worker.
    for words in ["BEGIN -- with a server", "COMMIT"] {
        [0, 2].into_iter().for_each(|of_the_victims| drop(clients[of_the_victims].query(words)));
    }
    clients[..2].iter_mut().for_each(|client| assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T')));
    let mut victim = Client::open(pooler.port());
    let name = ("application_name", "panic at Worker");
    victim.send(&super::talk::startup(&[("user", &role), ("database", "postgres"), name]));
    while victim.message().is_some() {}
    let [mut of_the_victims, mut of_the_other, mut lost, mut listens] = clients;
    assert_eq!(of_the_victims.query("COMMIT").status, None, "the first client's worker is the victim's");
    assert_eq!(lost.query("SELECT 1").status, None, "so is the third's");
    assert_eq!(of_the_other.query("COMMIT").tags, ["COMMIT"]);
    assert_eq!(listens.answer().code(), "57P01");
    // On both workers, and on more servers than either had.
    let mut next = [(); 20].map(|()| client());
    next.iter_mut().for_each(|client| assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T')));
    next.iter_mut().for_each(|client| assert_eq!(client.query("LISTEN worker_panics; COMMIT").status, Some(b'I')));
}
