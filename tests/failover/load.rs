//! Clients that insert numbers for as long as a test lasts, and what was acknowledged to them: by whom, and when.

use super::talk::{Answer, Client};
use super::trio::ROLE;
use crate::support::SetAtEnd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// One number, which nobody else inserts.
pub struct Acknowledged {
    pub number: u64,
    pub client: usize,
    /// The port of the server that inserted it.
    pub by: u16,
    pub at: Instant,
}

#[derive(Default)]
pub struct Load {
    over: AtomicBool,
    next: AtomicU64,
    slow: AtomicU64,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

impl Load {
    /// One client, until the load is over; on a connection that it makes anew when it has lost one.
    pub fn insert(&self, client: usize, port: u16) {
        self.work(client, port, |connection, insert| connection.query(insert));
    }

    /// As [`Self::insert`], in transactions that last for a second and a half.
    pub fn insert_slowly(&self, client: usize, port: u16) {
        self.work(client, port, |connection, insert| {
            let steps = ["BEGIN", insert, "SELECT pg_sleep(1.5)", "COMMIT"];
            let (mut all, mut rows) = (Answer::default(), Vec::new());
            for step in steps {
                all = connection.query(step);
                if all.status.is_none() || !all.errors.is_empty() {
                    break;
                }
                if step == insert {
                    rows.append(&mut all.rows);
                    self.slow.fetch_add(1, Ordering::Relaxed);
                }
            }
            Answer { rows, ..all }
        });
    }

    fn work(&self, client: usize, port: u16, insert: impl Fn(&mut Client, &str) -> Answer) {
        let mut connection = Client::connect(port, ROLE, "app");
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let answer =
                insert(&mut connection, &format!("INSERT INTO t VALUES ({number}) RETURNING inet_server_port()"));
            let at = Instant::now();
            for error in &answer.errors {
                assert!(["08006", "08007", "57P01", "57P02"].contains(&&*error.code), "{error:?}");
            }
            if answer.status.is_none() {
                connection = Client::connect(port, ROLE, "app");
            } else if answer.errors.is_empty() {
                let by = answer.value().parse().unwrap();
                self.acknowledged().push(Acknowledged { number, client, by, at });
            }
        }
    }

    /// How often [`Self::insert_slowly`] has begun to wait.
    pub fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// Everything so far, in its order.
    pub fn acknowledged(&self) -> MutexGuard<'_, Vec<Acknowledged>> {
        self.acknowledged.lock().unwrap()
    }

    /// How many this server has acknowledged.
    pub fn count(&self, by: u16) -> usize {
        self.acknowledged().iter().filter(|one| one.by == by).count()
    }

    /// Over when this is dropped, also by a test that fails.
    pub fn until_dropped(&self) -> SetAtEnd<'_> {
        SetAtEnd(&self.over)
    }
}
