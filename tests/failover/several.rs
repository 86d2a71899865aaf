//! A host whose name leads to several servers: what is known of it is known of one of them, and nobody is sent to another.

use super::talk::{Client, query};
use super::trio::{ROLE, client, config};
use super::world::{eventually, host};
use crate::support::elsewhere::Elsewhere;
use crate::support::proxy::Proxy;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{Options, StopMode};
use std::collections::BTreeSet;

const NAMES: [&str; 2] = ["one", "another"];

/// Takes long enough for others to need servers of their own.
const READ: &str = "/* pgotter: replica */ SELECT max(current_setting('otter.host')) FROM generate_series(1, 300000)";

/// Where the reads of six clients run that come at once.
fn readers(pooler: &PgOtter) -> BTreeSet<String> {
    let mut clients: Vec<Client> = (0..6).map(|_| client(pooler)).collect();
    clients.iter_mut().for_each(|client| client.send(&query(READ)));
    clients.iter_mut().map(|client| client.answer().value().to_owned()).collect()
}

#[test]
fn of_several_servers_behind_one_name_the_one_is_read_from_that_is_asked() {
    let Some(place) = Elsewhere::new("a name of two replicas", "127.0.0.1 127.0.0.2") else { return };
    let settings = vec!["otter.host = 'primary'".to_owned()];
    let mut primary = postgres(&Options { settings, ..Options::default() });
    must(primary.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN")));
    let mut replicas = NAMES.map(|name| must(primary.replica_with(&format!("otter.host = '{name}'"))));
    must(primary.wait_for_replicas(2));
    let first = Proxy::before(replicas[0].port(), 0);
    let _second = Proxy::at(&format!("127.0.0.2:{}", first.port), replicas[1].port(), 0);
    let hosts = [format!("\"{}\"", host(&primary)), format!("\"reads.test:{}\"", first.port)];
    let pooler = PgOtter::start_with(|port| config(port, &hosts, "mode = \"split\"", ""), &place.environment());
    eventually("they are read from", || !readers(&pooler).contains("primary"));
    let read_from: BTreeSet<String> = (0..5).flat_map(|_| readers(&pooler)).collect();
    assert_eq!(read_from.len(), 1, "{read_from:?}");
    // That one goes off.
    let asked = NAMES.iter().position(|name| read_from.contains(*name)).unwrap();
    must(replicas[asked].stop(StopMode::Immediate));
    let next = BTreeSet::from([NAMES[1 - asked].to_owned()]);
    eventually("the other one is asked, and read from", || readers(&pooler) == next);
}
