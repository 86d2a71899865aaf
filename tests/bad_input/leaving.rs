//! Servers that end while nobody uses them, or say that they will: no client notices.

use super::raw::{Conn, frame, query};
use super::scripted::{Caller, Closed, one_row, serve, welcome};
use super::servers::in_front_of_ports;
use crate::support::{PgOtter, shared_postgres, simple_config};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

/// What a PostgreSQL says that is shut down at once, or in which another process has crashed. Its end follows.
fn goodbye() -> Vec<u8> {
    frame(b'N', b"SWARNING\0VWARNING\0C57P01\0Mterminating connection due to immediate shutdown command\0\0")
}

fn answer() -> Vec<u8> {
    [one_row(), frame(b'Z', b"I")].concat()
}

/// The first server does `part` for its first request, and would hear the next one; the others answer. In front of it is
/// a pool of one; two clients ask one after the other, with `between` between them. The number of logins.
fn after_the_first(
    part: impl Fn(&mut Caller) -> Result<(), Closed> + Send + Sync + 'static,
    between: impl FnOnce(),
) -> usize {
    let logins = Arc::new(AtomicUsize::new(0));
    let counter = logins.clone();
    let port = serve(move |caller| {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        caller.say(&welcome())?;
        loop {
            caller.read()?;
            if first {
                part(caller)?;
                return caller.keep_silent();
            }
            caller.say(&answer())?;
        }
    });
    let pooler = in_front_of_ports([port].into_iter());
    let mut client = Conn::log_in(pooler.port(), "s0");
    client.send(&query("SELECT 1"));
    assert!(client.until_ready().kinds().starts_with("TDCZ"));
    between();
    assert_eq!(Conn::log_in(pooler.port(), "s0").ask("SELECT 1").kinds(), "TDCZ");
    logins.load(Ordering::SeqCst)
}

#[test]
fn f12_an_idle_server_that_says_goodbye_serves_nobody_although_it_has_not_closed_yet() {
    let meeting = Arc::new(Barrier::new(2));
    let said = meeting.clone();
    let part = move |caller: &mut Caller| {
        caller.say(&answer())?;
        meeting.wait();
        caller.say(&goodbye())?;
        meeting.wait();
        Ok(())
    };
    let between = || {
        said.wait();
        said.wait();
    };
    assert_eq!(after_the_first(part, between), 2);
}

#[test]
fn f12_a_server_that_says_goodbye_behind_its_answer_serves_nobody_else() {
    assert_eq!(after_the_first(|caller| caller.say(&[answer(), goodbye()].concat()), || ()), 2);
}

#[test]
fn an_ordinary_notice_of_an_idle_server_is_no_goodbye() {
    let notice = frame(b'N', b"SWARNING\0VWARNING\0C01000\0Mstill here\0\0");
    let part = move |caller: &mut Caller| {
        caller.say(&[answer(), notice.clone()].concat())?;
        caller.read()?;
        caller.say(&answer())
    };
    assert_eq!(after_the_first(part, || ()), 1);
}

#[test]
fn f12_among_many_servers_that_have_ended_none_is_taken_for_a_living_one() {
    const MANY: usize = 100;
    let (logins, open, ended) = (AtomicUsize::new(0), Barrier::new(MANY), Arc::new(Barrier::new(MANY + 1)));
    let end = ended.clone();
    let port = serve(move |caller| {
        let is_first = logins.fetch_add(1, Ordering::SeqCst) < MANY;
        caller.say(&welcome())?;
        caller.read()?;
        if is_first {
            open.wait();
        }
        caller.say(&answer())?;
        if is_first {
            end.wait();
            caller.hang_up();
            end.wait();
        }
        caller.keep_silent()
    });
    let database = format!("[databases.s0]\nhosts = [\"127.0.0.1:{port}\"]\npool_size = {MANY}\n");
    let pooler = PgOtter::start(|port| simple_config(port, shared_postgres(), "workers = 1") + &database);
    let mut clients: Vec<_> = (0..MANY).map(|_| Conn::log_in(pooler.port(), "s0")).collect();
    clients.iter_mut().for_each(|client| client.send(&query("SELECT 1")));
    clients.iter_mut().for_each(|client| assert_eq!(client.until_ready().kinds(), "TDCZ"));
    ended.wait();
    ended.wait();
    assert_eq!(clients[0].ask("SELECT 1").kinds(), "TDCZ");
}
