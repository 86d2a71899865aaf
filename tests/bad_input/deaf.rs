//! Servers that are deaf for a moment, in a way that PostgreSQL is, too rarely for a test to wait for it.

use crate::raw::{Conn, OUTER_BOUND, frame, query};
use crate::scripted::{one_row, serve, welcome};
use crate::servers::in_front_of_ports;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

#[test]
fn a_server_that_missed_the_first_cancel_of_a_vanished_client_comes_back_to_the_pool() {
    let logins = Arc::new(AtomicUsize::new(0));
    let (begun, begins) = mpsc::channel();
    let counter = logins.clone();
    let port = serve(move |caller| {
        counter.fetch_add(1, Ordering::SeqCst);
        caller.say(&welcome())?;
        loop {
            if caller.read()? == (b'Q', b"long\0".to_vec()) {
                let _ = begun.send(());
                // PostgreSQL forgets a cancel that comes before the statement has begun.
                caller.wait_for_cancels(2);
                caller.say(&frame(b'E', b"SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0\0"))?;
            } else {
                caller.say(&one_row())?;
            }
            caller.say(&frame(b'Z', b"I"))?;
        }
    });
    let pooler = in_front_of_ports([port].into_iter());
    let mut leaver = Conn::log_in(pooler.port(), "s0");
    leaver.send(&query("long"));
    begins.recv_timeout(OUTER_BOUND).expect("the statement comes to the server");
    leaver.reset();
    let mut next = Conn::log_in(pooler.port(), "s0");
    assert_eq!(next.ask("SELECT 1").kinds(), "TDCZ");
    assert_eq!(logins.load(Ordering::SeqCst), 1, "the only server of the pool was closed");
}
