//! A primary, a replica, a PgOtter in front of them, and clients after whom every metric has something to say: reads on both, writes, errors,
//! transactions that move to the primary, a session that keeps its server, an alert.

use super::scrape::get;
use crate::support::raw::{Raw, error_code};
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::cli::ports;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Kept while it is looked at.
pub struct Traffic {
    /// The endpoint's port.
    pub http: u16,
    _busy: Busy,
    // It has a temporary table.
    _pinned: Raw,
    _pgotter: PgOtter,
    _servers: [LocalPostgres; 2],
}

impl Traffic {
    pub fn start() -> Self {
        let mut primary = postgres(&Options::default());
        let replica = must(primary.replica());
        must(primary.psql("postgres", "CREATE TABLE orders (id serial PRIMARY KEY, total int)"));
        must(primary.wait_for_replicas(1));
        let http = Cell::new(0);
        let hosts = [replica.port(), primary.port()];
        let pgotter = PgOtter::start(|port| {
            http.set(ports::free_port());
            config(port, http.get(), hosts)
        });
        // A label that is empty is none to Prometheus.
        let client = || Raw::log_in(pgotter.port(), &[("database", "shop"), ("application_name", "web")]);
        let mut pinned = client();
        assert_eq!(error_code(&pinned.ask("CREATE TEMP TABLE mine (id int)")), None);
        work(&mut client());
        move_a_block(&mut client(), hosts[0], http.get());
        let busy = Busy::start(client());
        Self { http: http.get(), _busy: busy, _pinned: pinned, _pgotter: pgotter, _servers: [replica, primary] }
    }
}

/// A client that goes on asking: a share or a mean has a value only where something was counted lately. Until it is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn start(mut client: Raw) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                client.ask("SELECT count(*) FROM orders");
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn config(port: u16, http: u16, hosts: [u16; 2]) -> String {
    format!(
        "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nadmin_users = [\"{SUPERUSER}\"]\n\
         [databases.shop]\ndbname = \"postgres\"\nhosts = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n\
         [users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n\
         [routing]\ntransaction_reads = \"replica_until_write\"\n[slow_queries]\nlog = \"20ms\"\n\
         [[alert]]\ntype = \"single\"\nname = \"slow statement\"\nover = \"20ms\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n",
        hosts[0], hosts[1]
    )
}

fn work(writer: &mut Raw) {
    for total in 0..20 {
        assert_eq!(error_code(&writer.ask(&format!("INSERT INTO orders (total) VALUES ({total})"))), None);
        assert_eq!(error_code(&writer.ask("SELECT 1 / 0")).as_deref(), Some("22012"));
    }
    assert_eq!(error_code(&writer.ask("SELECT pg_sleep(0.05)")), None);
}

/// A block that has read on the replica and then writes; and then reads on the primary.
fn move_a_block(client: &mut Raw, replica: u16, http: u16) {
    let read = "SELECT total FROM orders LIMIT 1";
    let replica = format!("127.0.0.1:{replica}");
    eventually("a block has moved to the primary", || {
        eventually("the replica has what must be seen", || {
            client.ask(read);
            client.value("SHOW pgotter.route") == replica
        });
        for sql in ["BEGIN", read, "INSERT INTO orders (total) VALUES (1)", read, "COMMIT"] {
            assert_eq!(error_code(&client.ask(sql)), None, "{sql}");
        }
        get(http, "/metrics").body.contains("\npgotter_transaction_promotions_total{")
    });
}
