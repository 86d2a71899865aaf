//! A read waits once for the server of a replica, however often it has to be decided anew meanwhile.

use crate::entries::come;
use crate::support::raw::*;
use crate::world::*;
use std::time::Instant;

/// Whose pools have one server on each host.
const ROLE: &str = "single";

/// How many of its clients wait.
fn waiting(console: &mut Raw) -> u32 {
    let frames = console.ask("SHOW POOLS");
    let columns = column_names(frames.iter().find(|frame| frame.kind == b'T').unwrap());
    let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let rows = frames.iter().filter(|frame| frame.kind == b'D').map(row_values);
    let of_role = rows.filter(|row| row[at("user")].as_deref() == Some(ROLE));
    of_role.map(|row| row[at("cl_waiting")].as_deref().unwrap().parse::<u32>().unwrap()).sum()
}

#[test]
fn a_read_whose_catalog_changes_while_it_waits_for_a_replica_does_not_begin_to_wait_anew() {
    let mut world = World::new(&format!("read_your_writes = \"off\"\n[users.{ROLE}]\npool_size = 1"));
    world.on_primary(&format!("CREATE ROLE {ROLE} LOGIN"));
    world.until_replayed();
    world.reload(&[0]);
    let port = world.pgotter.port();
    let single = || come(port, ROLE, "postgres", &[]);
    let (mut console, mut observer) = (come(port, "postgres", "pgotter", &[]), world.client());
    let begun = |client: &mut Raw| assert_eq!(error_code(&client.ask("BEGIN READ ONLY")), None);
    for attempt in 0..30 {
        let [mut holder, mut read, mut next, mut later] = [(); 4].map(|()| single());
        eventually("its reads run on the replica", || holder.value(WHERE) != PRIMARY);
        begun(&mut holder);
        assert_eq!(holder.value(WHERE), REPLICAS[0]);
        let mut queue = |client: &mut Raw, place: u32| {
            client.send(&query(WHERE));
            eventually("it waits, or is told", || waiting(&mut console) == place || !client.hears_nothing());
        };
        queue(&mut read, 1);
        let changed = Instant::now();
        assert_eq!(error_code(&observer.ask(&format!("CREATE TABLE made_{attempt} (a int)"))), None);
        eventually("the change is known", || observer.value(WHERE) != PRIMARY);
        let took = changed.elapsed();
        begun(&mut next);
        queue(&mut next, 2);
        queue(&mut later, 3);
        let in_time = read.hears_nothing();
        // The read has the server first, has been decided by another catalog, and stands behind the others from now on.
        holder.ask("COMMIT");
        let held = first_value(&next.until_ready());
        // Nobody gets it any more: both are the primary's, in the order in which they have begun to wait.
        later.until_ready();
        let was_first = !read.hears_nothing();
        if in_time && held.as_deref() == Some(REPLICAS[0]) {
            assert!(was_first, "it has begun to wait anew");
            assert_eq!(first_value(&read.until_ready()).as_deref(), Some(PRIMARY));
            return;
        }
        // A tenth of the time is for readings at most: the next change has to be known sooner than this one was.
        eventually("the catalog may be read at once", || changed.elapsed() > took * 12);
    }
    panic!("the catalog never changed while it waited");
}
