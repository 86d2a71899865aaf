//! What the configuration makes of sockets, and what becomes of what was heard of hosts while a reload puts others in their place.

use super::watch::Change;
use super::*;
use crate::auth::{Disguise, Stored, Users};
use crate::clock;
use crate::net::Tls;
use crate::pool::{Checked, Mailbox, Waiting};
use crate::secret::Secret;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

fn config(lines: &str, hosts: &str) -> Config {
    config_with(lines, hosts, "")
}

fn config_with(lines: &str, hosts: &str, rest: &str) -> Config {
    let text = format!("[pooler]\nauth_type = \"trust\"\n{lines}\n[databases.shop]\nhosts = [{hosts}]\n{rest}");
    let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let config = crate::config::parse(&text, Path::new("/pooler.toml"), &nothing, &|_| None, 1);
    config.unwrap_or_else(|report| panic!("{report}"))
}

fn options(lines: &str) -> TcpOptions {
    server_tcp_options(&config(lines, "\"pg\"").pooler)
}

/// Waits for a server of this lane.
fn wait(lane: &Arc<Lane>) -> (Waiting, Arc<Mailbox>) {
    let mailbox = Arc::new(Mailbox::default());
    match lane.checkout(WorkerId(0), 0, clock::now(), &mailbox) {
        Checked::Wait(waiting) => (waiting, mailbox),
        _ => panic!("there is no server to be had"),
    }
}

#[test]
fn what_was_heard_of_a_host_while_a_reload_has_given_it_another_place_revokes_its_servers() {
    let woken = Arc::new(AtomicUsize::new(0));
    let wakes = woken.clone();
    let wake = move || _ = wakes.fetch_add(1, Ordering::Relaxed);
    let two = |hosts: &str| Arc::new(config("", hosts));
    let cluster = Cluster::new(two("\"a\", \"b\""), Tls::default().share(), Box::new(|_, _| ()), Box::new(wake));
    let pool = cluster.pool("shop", "app").expect("it is configured");
    let before = cluster.watches()[0].clone();
    cluster.reload(two("\"c\", \"b\", \"a\""));
    let shape = pool.shape();
    let waits: Vec<_> = shape.lanes.iter().map(wait).collect();
    let sent_away = || waits.iter().map(|(_, mailbox)| mailbox.take().is_some_and(|mail| mail.sent_away));
    cluster.follow(&before, &Change { primary: None, revoked: Some(0) });
    assert_eq!(sent_away().collect::<Vec<_>>(), [false, false, true], "`a` has become the third");
    assert_eq!(woken.load(Ordering::Relaxed), 1, "whoever has a server looks whether it may be believed");
    // That another one is the primary the new watch finds out by itself.
    cluster.follow(&before, &Change { primary: Some(1), revoked: None });
    assert_eq!(sent_away().collect::<Vec<_>>(), [false; 3]);
}

/// The keys that a client with this password shows.
fn keys(user: &str, password: &str) -> BorrowedKeys {
    let disguise = Arc::new(Disguise::new([1; 32], [Some(NonZeroU32::MIN)].into_iter()));
    let stored = (user.to_owned(), Stored::parse(password).expect("plain text"));
    let challenge = Users::new([stored].into_iter(), disguise, true).password(user);
    let keys = challenge.derivation(Secret::new(password.to_owned())).run();
    challenge.check(password, keys).expect("let in").1.expect("by its keys")
}

#[test]
fn a_reload_forgets_the_keys_of_users_whom_it_removes_and_no_others() {
    let with = |users: &[&str]| {
        let users: String = users.iter().map(|user| format!("[users.{user}]\npassword = \"secret\"\n")).collect();
        Arc::new(config_with("", "\"pg\"", &users))
    };
    let cluster = Cluster::new(with(&["otter", "stoat"]), Tls::default().share(), Box::new(|_, _| ()), Box::new(|| ()));
    let show = |user| cluster.keyring().learn(user, keys(user, "secret"));
    assert_eq!(["otter", "stoat"].map(show), [true; 2], "they are news");
    cluster.reload(with(&["stoat"]));
    assert_eq!(["otter", "stoat"].map(show), [true, false]);
}

#[test]
fn f14_a_host_that_died_without_a_word_is_found_within_five_seconds_by_default() {
    let found = options("");
    let probes = found.keepintvl.unwrap() * found.keepcnt.unwrap();
    assert!(found.keepalive && found.keepidle.unwrap() + probes <= Duration::from_secs(5), "{found:?}");
    assert!(found.user_timeout.unwrap() <= Duration::from_secs(5), "{found:?}");
}

#[test]
fn what_is_configured_holds_for_servers_too() {
    let given =
        "tcp_keepalive = false\ntcp_keepidle = 60\ntcp_keepintvl = 10\ntcp_keepcnt = 9\ntcp_user_timeout = 1500";
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let (keepidle, keepintvl, user_timeout) = (seconds(60), seconds(10), Some(Duration::from_millis(1500)));
    assert_eq!(options(given), TcpOptions { keepalive: false, keepidle, keepintvl, keepcnt: Some(9), user_timeout });
}
