//! Servers that are deaf to cancels for a while, as PostgreSQL is too rarely for a test to wait for it.

use super::raw::{Conn, OUTER_BOUND, frame, query};
use super::scripted::{Caller, Closed, one_row, serve, welcome};
use super::servers::{in_front_of_ports, in_front_of_ports_with};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

const USER_TIMEOUT: Duration = Duration::from_millis(100);

/// One server in a pool; `sleep` is what it does for the statement `long`, and it ends when that returns.
fn answer(caller: &mut Caller, sleep: impl Fn(&Caller)) -> Result<(), Closed> {
    caller.say(&welcome())?;
    loop {
        if caller.read()? == (b'Q', b"long\0".to_vec()) {
            sleep(caller);
            caller.say(&frame(b'E', b"SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0\0"))?;
        } else {
            caller.say(&one_row())?;
        }
        caller.say(&frame(b'Z', b"I"))?;
    }
}

#[test]
fn a_server_that_missed_the_first_cancel_of_a_vanished_client_comes_back_to_the_pool() {
    let logins = Arc::new(AtomicUsize::new(0));
    let (begun, begins) = mpsc::channel();
    let counter = logins.clone();
    let port = serve(move |caller| {
        counter.fetch_add(1, Ordering::SeqCst);
        answer(caller, |caller| {
            let _ = begun.send(());
            // PostgreSQL forgets a cancel that comes before the statement has begun.
            caller.wait_for_cancels(2);
        })
    });
    let pooler = in_front_of_ports([port].into_iter());
    // While the server can say that their role may: later a connection beside the pool's would be asked.
    let [mut leaver, mut next] = [(); 2].map(|()| Conn::log_in(pooler.port(), "s0"));
    leaver.send(&query("long"));
    begins.recv_timeout(OUTER_BOUND).expect("the statement comes to the server");
    leaver.reset();
    assert_eq!(next.ask("SELECT 1").kinds(), "TDCZ");
    assert_eq!(logins.load(Ordering::SeqCst), 1, "the only server of the pool was closed");
}

#[test]
fn a_statement_that_does_not_end_in_time_loses_its_place_and_is_cancelled_further() {
    let (logins, second) = (AtomicUsize::new(0), Barrier::new(2));
    let (ended, ends) = mpsc::channel();
    let port = serve(move |caller| {
        if logins.fetch_add(1, Ordering::SeqCst) == 1 {
            second.wait();
        }
        answer(caller, |caller| {
            second.wait();
            // One may have been on its way.
            caller.wait_for_cancels(2);
            let _ = ended.send(());
        })
    });
    let pooler = in_front_of_ports([port].into_iter());
    let mut leaver = Conn::log_in(pooler.port(), "s0");
    leaver.send(&query("long"));
    leaver.reset();
    let mut next = Conn::log_in(pooler.port(), "s0");
    // Refused while it has to wait too long for the place.
    let served = (0..10).any(|_| next.ask("SELECT 1").kinds() == "TDCZ");
    assert!(served, "the place was never given to another server");
    ends.recv_timeout(10 * OUTER_BOUND).expect("it is cancelled until it ends");
}

#[test]
fn a_statement_without_a_client_is_cancelled_further_although_its_server_broke_the_protocol() {
    let (ended, ends) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let port = serve(move |caller| {
        caller.let_in()?;
        let _ = begun.send(());
        caller.wait_for_cancels(1);
        caller.say(&frame(b'x', b"what"))?;
        // One may have been on its way.
        caller.wait_for_cancels(2);
        let _ = ended.send(());
        Ok(())
    });
    let pooler = in_front_of_ports([port].into_iter());
    let mut leaver = Conn::log_in(pooler.port(), "s0");
    leaver.send(&query("long"));
    begins.recv_timeout(OUTER_BOUND).expect("the statement comes to the server");
    leaver.reset();
    ends.recv_timeout(10 * OUTER_BOUND).expect("it is cancelled until it ends");
}

#[test]
fn servers_whose_statements_do_not_end_get_no_more_than_the_pools_places_once_more() {
    let logins = Arc::new(AtomicUsize::new(0));
    let (counter, end) = (logins.clone(), Arc::new(Barrier::new(3)));
    let ends = end.clone();
    let port = serve(move |caller| {
        counter.fetch_add(1, Ordering::SeqCst);
        answer(caller, |_| {
            end.wait();
        })
    });
    let pooler = in_front_of_ports([port].into_iter());
    // While the server can say that their role may: later a connection beside the pool's would be asked.
    let [mut next, leavers @ ..] = [(); 3].map(|()| Conn::log_in(pooler.port(), "s0"));
    for mut leaver in leavers {
        // Refused while it has to wait too long for the place.
        while leaver.ask("SELECT 1").kinds() != "TDCZ" {}
        leaver.send(&query("long"));
        leaver.reset();
    }
    // The second one's deadline passes.
    let waited: Vec<_> = (0..5).map(|_| next.ask("SELECT 1").kinds()).collect();
    assert_eq!((logins.load(Ordering::SeqCst), waited), (2, vec!["EZ".to_owned(); 5]));
    ends.wait();
    assert!((0..10).any(|_| next.ask("SELECT 1").kinds() == "TDCZ"), "the place has not come back");
}

#[test]
fn a_server_that_reads_nothing_for_a_while_is_not_taken_for_a_dead_one() {
    let slow = serve(|caller| {
        caller.say(&welcome())?;
        caller.begin_to_read()?;
        // A slow statement; what was sent behind it fills the buffers. Many times tcp_user_timeout.
        std::thread::sleep(10 * USER_TIMEOUT);
        caller.read()?;
        caller.say(&[one_row(), frame(b'Z', b"I")].concat())?;
        caller.keep_silent()
    });
    let lines = format!("tcp_user_timeout = {}", USER_TIMEOUT.as_millis());
    let pooler = in_front_of_ports_with(&lines, [slow].into_iter());
    let mut client = Conn::log_in(pooler.port(), "s0");
    assert_eq!(client.ask(&"x".repeat(4 << 20)).kinds(), "TDCZ");
}
