//! Who is told when webhooks come and go, or the task of one dies. tests/alerts/mod.rs has the rest, with the whole process.

use super::*;
use crate::secret::Secret;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

/// Says each request's body, and answers 200.
fn hook() -> (Webhook, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (told, heard) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = Vec::new();
            // Bodies end in a full stop, and heads do not.
            while !bytes.ends_with(b".") {
                let mut chunk = [0; 1024];
                match stream.read(&mut chunk) {
                    Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let body = text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            if told.send(body).is_err() {
                return;
            }
        }
    });
    let path = Secret::new("/".to_owned());
    (Webhook { tls: false, host: "127.0.0.1".to_owned(), port, path, format: Format::Json }, heard)
}

fn message(text: &'static str) -> Message {
    Message { json: Bytes::from_static(text.as_bytes()), slack: Bytes::new() }
}

fn notify(webhook: &[&Webhook]) -> Notify {
    let (timeout, retry_for) = (Duration::from_secs(60), Duration::from_secs(60));
    Notify { webhook: webhook.iter().copied().cloned().collect(), timeout, retry_for }
}

/// The next bodies, until one says that it is the last.
fn all(heard: &Receiver<String>, last: &str) -> Vec<String> {
    let mut bodies: Vec<String> = Vec::new();
    while bodies.last().is_none_or(|body| body != last) {
        bodies.push(heard.recv_timeout(Duration::from_secs(60)).expect("it is told"));
    }
    bodies
}

#[test]
fn what_is_told_of_a_change_is_told_to_who_goes_who_stays_and_who_comes_once_each() {
    let notifier = Notifier::start(Arc::default()).expect("a thread");
    let ((goes, went), (stays, stayed), (comes, came)) = (hook(), hook(), hook());
    notifier.configure(&notify(&[&goes, &stays]), Vec::new());
    notifier.send(message("fires."));
    notifier.configure(&notify(&[&stays, &comes]), vec![message("removed.")]);
    notifier.send(message("behind it."));
    assert_eq!(all(&went, "removed."), ["fires.", "removed."]);
    assert_eq!(all(&stayed, "behind it."), ["fires.", "removed.", "behind it."]);
    assert_eq!(all(&came, "behind it."), ["removed.", "behind it."]);
    assert_eq!(went.try_recv().ok(), None);
}

#[test]
fn what_waits_for_one_that_was_taken_out_is_told_before_the_end() {
    let notifier = Notifier::start(Arc::default()).expect("a thread");
    let (goes, went) = hook();
    notifier.configure(&notify(&[&goes]), Vec::new());
    notifier.configure(&notify(&[]), (0..100).map(|_| message("removed.")).collect());
    notifier.end(Duration::from_secs(60));
    let told = std::iter::from_fn(|| went.recv_timeout(Duration::from_secs(20)).ok());
    assert_eq!(told.take(100).filter(|body| body == "removed.").count(), 100);
}

#[test]
fn a_task_that_dies_is_begun_anew_and_costs_what_waited() {
    let notifier = Notifier::start(Arc::default()).expect("a thread");
    let (webhook, heard) = hook();
    notifier.configure(&notify(&[&webhook]), Vec::new());
    notifier.hooks.lock().open[0].task.abort();
    // Until it has gone, messages wait for it.
    while !notifier.hooks.lock().open[0].task.is_finished() {
        std::thread::yield_now();
    }
    notifier.send(message("all the same."));
    assert_eq!(all(&heard, "all the same."), ["all the same."]);
    assert_eq!(notifier.board.deliveries.events_counted()[EventEnd::Dropped as usize], 0, "nothing had waited");
}

#[test]
fn whatever_may_stand_in_an_address_can_be_asked_for() {
    let text = format!("/a{}%2F?b=%3c&c=/?", "-._~!$&'()*+,;=:@");
    assert!(hyper::Uri::try_from(&*text).is_ok(), "{text}");
}
