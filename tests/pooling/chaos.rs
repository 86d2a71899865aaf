//! Everything at once for a while, from a printed seed; then every place must be free and every client whole.

use super::talk::{Client, FLUSH, cancel, extended, query};
use super::world::{eventually, fresh_role, holder, look, pgotter, servers_of};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SERVERS: usize = 12;

/// Xorshift: enough to vary what happens.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn after_a_storm_of_everything_all_places_are_free() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let role = fresh_role();
    let limits = "query_timeout = \"200ms\"\nquery_wait_timeout = \"2s\"\nidle_transaction_timeout = \"300ms\"";
    let pooler = pgotter(&format!("default_pool_size = {SERVERS}\nworkers = 3\n{limits}"), "");
    let (port, role, running) = (pooler.port(), &*role, &AtomicBool::new(true));
    thread::scope(|scope| {
        let storm: Vec<_> = (1..=40)
            .map(|number| {
                scope.spawn(move || {
                    let mut dice = Dice(u64::from(seed) + number * 7919);
                    while running.load(Ordering::Relaxed) {
                        one_life(port, role, &mut dice);
                    }
                })
            })
            .collect();
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(400));
            assert!(servers_of(role) <= SERVERS);
            look(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}' ORDER BY random() LIMIT 2"
            ));
        }
        running.store(false, Ordering::Relaxed);
        storm.into_iter().for_each(|life| life.join().unwrap());
    });
    // As many transactions as places, at the same time, and none more than that.
    let mut all: Vec<_> = Vec::new();
    eventually("every place is free", || {
        let mut client = Client::connect(port, role, "postgres");
        if client.query("BEGIN -- with a server").status == Some(b'T') && client.query("SELECT 1").errors.is_empty() {
            all.push(client);
        }
        // Whoever is idle for too long loses its transaction: keep them busy.
        all.retain_mut(|client| client.query("SELECT 1").status == Some(b'T'));
        all.len() == SERVERS
    });
    assert_eq!(servers_of(role), SERVERS);
    drop(all);
    assert_eq!(holder(port, role).query("COMMIT").status, Some(b'I'));
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

/// One client, from login to an end of any kind.
fn one_life(port: u16, role: &str, dice: &mut Dice) {
    let Ok(mut client) = Client::try_connect(port, &[("user", role), ("database", "postgres")]) else { return };
    loop {
        match dice.roll(12) {
            0..=3 => {
                let mark = dice.roll(1 << 40).to_string();
                let answer = client.query(&format!("SELECT '{mark}'"));
                assert!(answer.rows.is_empty() || answer.rows == [[mark]], "another's answer: {answer:?}");
                if answer.status.is_none() {
                    return;
                }
            }
            4 => drop(client.query("BEGIN -- with a server")),
            5 => drop(client.query("COMMIT")),
            6 => drop(client.query("SELECT pg_sleep(0.5)")),
            7 => {
                client.send(&query("SELECT pg_sleep(0.1)"));
                cancel(port, client.pid, &client.secret);
                client.answer();
            }
            8 => {
                client.send(&extended("SELECT repeat('x', 300000)"));
                client.send(&FLUSH);
                return client.reset();
            }
            9 => {
                client.send(&query("SELECT repeat('x', 1000) FROM generate_series(1, 10000)"));
                return drop(client);
            }
            10 => return client.leave(),
            _ => {
                client.send(&query(&"SELECT 1 ".repeat(20_000))[..70_000]);
                return drop(client);
            }
        }
    }
}
