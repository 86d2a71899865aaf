//! Who is not let in learns nothing and costs nothing.

use super::place::{CLIENT_METHODS, Role, SOON, eventually, fresh_role, line, log_in, pgotter, pgotter_with, server};
use crate::support::raw::{Frame, Raw, error_code, message, startup};
use crate::support::{PgOtter, client, must, state};
use pgotter::auth::{Binding, Derivation, NONCE_BYTES, SCRAM_SHA_256, ScramClient, ScramKeys};
use pgotter::secret::Secret;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

pub fn ask(port: u16, user: &str, database: &str) -> Raw {
    let mut client = Raw::connect(port);
    client.send(&startup(3, 0, &[("user", user), ("database", database)]));
    client
}

/// Number and data of an authentication request.
pub fn request(frame: &Frame) -> (u32, &[u8]) {
    assert_eq!(frame.kind, b'R', "{frame:?}");
    let (number, data) = frame.body.split_first_chunk().unwrap();
    (u32::from_be_bytes(*number), data)
}

pub fn sasl_initial(data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    message(b'p', &[SCRAM_SHA_256.as_bytes(), b"\0", &length, data].concat())
}

/// The salt and the number of iterations that a user is given by SCRAM.
pub fn cost_of(port: u16, user: &str) -> (Vec<u8>, u32) {
    let mut client = ask(port, user, "postgres");
    client.frame().unwrap();
    let scram = ScramClient::new(&[7; NONCE_BYTES], Binding::Impossible);
    client.send(&sasl_initial(&scram.client_first()));
    let frame = client.frame().unwrap();
    let needs_keys = scram.server_first(request(&frame).1).unwrap();
    (needs_keys.salt().to_vec(), needs_keys.iterations().get())
}

/// Goes on with SCRAM up to where nothing but the proof is missing: what was heard, and the proof.
pub fn proof(client: &mut Raw, password: &str) -> (Frame, Vec<u8>) {
    let scram = ScramClient::new(&[7; NONCE_BYTES], Binding::Impossible);
    client.send(&sasl_initial(&scram.client_first()));
    let heard = client.frame().unwrap();
    let needs_keys = scram.server_first(request(&heard).1).unwrap();
    let password = Secret::new(password.to_owned());
    let keys: ScramKeys = Derivation::new(password, needs_keys.salt(), needs_keys.iterations()).run();
    (heard, message(b'p', &needs_keys.with_keys(&keys).1))
}

/// Answers whatever is asked for with a wrong password; everything that was said.
fn visit(port: u16, user: &str, database: &str) -> Vec<Frame> {
    let mut client = ask(port, user, database);
    let mut heard = vec![client.frame().unwrap()];
    match request(&heard[0]).0 {
        3 => client.send(&message(b'p', b"wrong\0")),
        5 => client.send(&message(b'p', b"md500000000000000000000000000000000\0")),
        10 => {
            let (frame, proof) = proof(&mut client, "wrong");
            heard.push(frame);
            client.send(&proof);
        }
        other => panic!("asked for {other}"),
    }
    heard.extend(client.until_end());
    heard
}

/// All that a stranger can compare, with the name taken out.
fn shape(frames: &[Frame], user: &str) -> Vec<String> {
    let shape = |frame: &Frame| match frame.kind {
        b'R' => format!("R {} {}", request(frame).0, frame.body.len()),
        kind => format!("{} {}", char::from(kind), frame.body.escape_ascii().to_string().replace(user, "?")),
    };
    frames.iter().map(shape).collect()
}

#[test]
fn an_unknown_user_an_unknown_database_and_a_wrong_password_look_alike() {
    let host = format!("[databases.known]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    let text = |user: &str| line(user, &format!("{user}'s secret"));
    let verifier = |user: &str| line(user, &super::place::verifier("x", 3));
    for method in CLIENT_METHODS.into_iter().skip(1) {
        for secret in [&text as &dyn Fn(&str) -> String, &verifier] {
            let pooler = pgotter_with(method, &(secret("listed") + &secret("member")), &host);
            let hear = |user, database| shape(&visit(pooler.port(), user, database), user);
            let usual = hear("listed", "known");
            assert!(usual.last().unwrap().contains("28P01"), "{usual:?}");
            for (user, database) in [("listed", "unknown"), ("nobody", "known"), ("nobody", "unknown")] {
                assert_eq!(hear(user, database), usual, "{method} {user} {database}");
            }
        }
    }
}

#[test]
fn an_unknown_user_is_asked_the_same_every_time() {
    let lines: String = (0..20)
        .map(|number| match number % 2 {
            0 => line(&format!("user{number}"), "text"),
            _ => line(&format!("user{number}"), &super::place::verifier("x", 3)),
        })
        .collect();
    let pooler = pgotter("md5", &lines);
    let first = |user: &str| request(&ask(pooler.port(), user, "postgres").frame().unwrap()).0;
    let asked: Vec<_> = (0..40).map(|number| first(&format!("nobody{number}"))).collect();
    assert!(asked.contains(&5) && asked.contains(&10), "some as users with a password, some as users with a verifier");
    let again: Vec<_> = (0..40).map(|number| first(&format!("nobody{number}"))).collect();
    assert_eq!(asked, again);
}

#[test]
fn f33_who_has_proven_nothing_takes_no_place_from_who_can() {
    let role = fresh_role("trust");
    let host = format!("[databases.postgres]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    let lines = format!("max_client_conn = 1\nclient_login_timeout = \"1h\"\n{host}");
    let pooler = pgotter_with("scram-sha-256", &line(&role.name, &role.password()), &lines);
    let unproven = ["nobody", &role.name, "nobody"].map(|user| {
        let mut client = ask(pooler.port(), user, "postgres");
        client.frame().unwrap();
        client
    });
    let mut first = ask(pooler.port(), &role.name, "postgres");
    first.frame().unwrap();
    let right = proof(&mut first, &role.password()).1;
    first.send(&right);
    assert_eq!(error_code(&first.until_ready()), None);
    assert_eq!(log_in(pooler.port(), &role.name, &role.password()).unwrap_err().0, "53300");
    assert_eq!(log_in(pooler.port(), &role.name, "wrong").unwrap_err().0, "28P01", "and a stranger is not told so");
    assert!(unproven.iter().all(Raw::hears_nothing));
    drop(first);
    eventually("the place is free again", || log_in(pooler.port(), &role.name, &role.password()).is_ok());
}

#[test]
fn f33_a_storm_of_wrong_passwords_opens_no_server_and_honest_clients_are_served() {
    for method in CLIENT_METHODS.into_iter().skip(1) {
        let role = fresh_role("trust");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = |name, port| format!("[databases.{name}]\nhosts = [\"127.0.0.1:{port}\"]\n");
        // A hundred failures, one after the other.
        let settings = "login_failure_delay = \"10ms\"\nclient_login_timeout = \"1h\"\n".to_owned();
        let databases =
            settings + &host("watched", listener.local_addr().unwrap().port()) + &host("postgres", server().port());
        let pooler = pgotter_with(method, &line(&role.name, &role.password()), &databases);
        thread::scope(|scope| {
            for user in ["nobody", &role.name] {
                for _ in 0..5 {
                    scope.spawn(|| (0..10).for_each(|_| assert!(!visit(pooler.port(), user, "watched").is_empty())));
                }
            }
            (0..10).for_each(|_| {
                let since = Instant::now();
                assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
                assert!(since.elapsed() < SOON, "{method}: {:?}", since.elapsed());
            });
        });
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "{method}");
    }
}

/// In front of the server, for one user; a PgOtter that holds up who has failed three times.
fn suspicious(role: &Role, delay: &str) -> PgOtter {
    let folder = must(state().new_folder("sockets"));
    let pooler = pgotter("scram-sha-256", &line(&role.name, &role.password()));
    let lines = "login_failure_limit = 3\nclient_login_timeout = \"2h\"";
    let lines = format!("[pooler]\n{lines}\nlogin_failure_delay = \"{delay}\"\nunix_socket_dir = {folder:?}\n");
    let text = std::fs::read_to_string(pooler.config_file()).unwrap().replace("[pooler]\n", &lines);
    let other = pooler.port().to_string();
    drop(pooler);
    PgOtter::start(|port| text.replace(&other, &port.to_string()))
}

#[test]
fn f33_an_address_that_has_failed_is_held_up_and_no_other_one() {
    let role = fresh_role("trust");
    let pooler = suspicious(&role, "1h");
    let port = pooler.port();
    for user in ["nobody", &role.name, "nobody"] {
        assert!(!visit(port, user, "postgres").is_empty());
    }
    // Whoever it is: what is asked of him tells nothing about the user.
    let held_up = ["nobody", &role.name].map(|user| ask(port, user, "postgres"));
    let mut neighbour = Raw::connect_from([127, 0, 0, 2].into(), port);
    neighbour.send(&startup(3, 0, &[("user", &role.name), ("database", "postgres")]));
    assert_eq!(request(&neighbour.frame().unwrap()).0, 10);
    assert!(held_up.iter().all(Raw::hears_nothing));
    // The file's permissions say who may come by the unix socket.
    let text = std::fs::read_to_string(pooler.config_file()).unwrap();
    let folder = text.lines().find_map(|line| line.strip_prefix("unix_socket_dir = ")).unwrap().trim_matches('"');
    for _ in 0..5 {
        let psql = |password: &str| {
            let mut psql = client("psql", port, &["-X", "-A", "-t", "-U", &role.name, "-c", "SELECT 'in'"]);
            psql.env("PGHOST", folder).env("PGPASSWORD", password).output().unwrap().stdout
        };
        assert_eq!((psql("wrong"), psql(&role.password())), (b"".to_vec(), b"in\n".to_vec()));
    }
}

#[test]
fn f33_guesses_made_at_once_hear_no_more_than_guesses_made_one_after_the_other() {
    let role = fresh_role("trust");
    let pooler = suspicious(&role, "1h");
    let port = pooler.port();
    let right = role.password();
    // All are asked before anybody has failed.
    let mut guesses = ["1", "2", "3", "4", &right].map(|password| {
        let mut client = ask(port, &role.name, "postgres");
        client.frame().unwrap();
        let proof = proof(&mut client, password).1;
        (client, proof)
    });
    guesses.iter_mut().for_each(|(client, proof)| client.send(proof));
    for (client, _) in &mut guesses[..3] {
        assert_eq!(error_code(&client.until_end()).as_deref(), Some("28P01"));
    }
    let mut neighbour = Raw::connect_from([127, 0, 0, 2].into(), port);
    neighbour.send(&startup(3, 0, &[("user", &role.name), ("database", "postgres")]));
    neighbour.frame().unwrap();
    let proof = proof(&mut neighbour, &right).1;
    neighbour.send(&proof);
    assert_eq!(error_code(&neighbour.until_ready()), None);
    // Neither that it is wrong, nor that it is right.
    assert!(guesses[3..].iter().all(|(client, _)| client.hears_nothing()));
}

#[test]
fn f33_by_default_a_storm_from_one_address_holds_up_no_login_from_another_one() {
    let role = fresh_role("trust");
    let host =
        format!("client_login_timeout = \"1h\"\n[databases.postgres]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    let pooler = pgotter_with("scram-sha-256", &line(&role.name, &role.password()), &host);
    let port = pooler.port();
    // More than are forgiven, and behind them a minute's turns.
    (0..25).for_each(|_| assert!(!visit(port, &role.name, "postgres").is_empty()));
    let held_up: Vec<_> = (0..60).map(|_| ask(port, &role.name, "postgres")).collect();
    for _ in 0..10 {
        let since = Instant::now();
        let mut neighbour = Raw::connect_from([127, 0, 0, 2].into(), port);
        neighbour.send(&startup(3, 0, &[("user", &role.name), ("database", "postgres")]));
        neighbour.frame().unwrap();
        let proof = proof(&mut neighbour, &role.password()).1;
        neighbour.send(&proof);
        assert_eq!(error_code(&neighbour.until_ready()), None);
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    }
    assert!(held_up.iter().any(Raw::hears_nothing), "nobody was held up");
}

#[test]
fn f33_the_right_password_gets_in_while_its_address_is_held_up() {
    let role = fresh_role("trust");
    let pooler = suspicious(&role, "100ms");
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| (0..5).for_each(|_| assert!(!visit(pooler.port(), &role.name, "postgres").is_empty())));
        }
        for _ in 0..3 {
            assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
        }
    });
    let refusals = pooler.log().matches("login refused").count();
    assert!((3..50).contains(&refusals), "{refusals} lines of log for 50 failures");
}

/// What is wrong, and the code it is refused with.
fn wrong_answers() -> Vec<(Vec<u8>, &'static str)> {
    let head = |length: i32| [b"p".as_slice(), &length.to_be_bytes()].concat();
    let mut wrong: Vec<_> = [i32::MIN, -1, 0, 3, 65_536, i32::MAX].map(|length| (head(length), "08P01")).to_vec();
    wrong.extend([
        (message(b'p', b""), "08P01"),
        (message(b'p', b"no end"), "08P01"),
        (message(b'p', b"two\0ends\0"), "08P01"),
        (message(b'p', b"\0\0"), "08P01"),
        (message(b'Q', b"SELECT 1\0"), "08P01"),
        (message(b'p', b"\0"), "28P01"),
        (message(b'p', b"\xff\xfe\0"), "28P01"),
        (message(b'p', &[&[b'x'; 60_000][..], b"\0"].concat()), "28P01"),
    ]);
    wrong
}

#[test]
fn a_wrong_password_message_ends_the_connection() {
    for method in ["plain", "md5"] {
        let role = fresh_role("trust");
        let pooler = pgotter(method, &line(&role.name, &role.password()));
        for (bytes, code) in wrong_answers() {
            let mut client = ask(pooler.port(), &role.name, "postgres");
            client.frame().unwrap();
            client.send(&bytes);
            let heard = client.until_end();
            let shown = bytes[..bytes.len().min(20)].escape_ascii().to_string();
            assert_eq!(heard.last().and_then(|frame| frame.field(b'C')).as_deref(), Some(code), "{method} {shown}");
        }
        assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
        assert!(!pooler.log().contains("panicked"));
    }
}

/// A nonce ends with any of 64 letters.
fn with_another_end(nonce: &str) -> String {
    let (rest, last) = nonce.split_at(nonce.len() - 1);
    format!("{rest}{}", if last == "x" { "y" } else { "x" })
}

#[test]
fn a_scram_message_of_another_exchange_or_with_other_flags_is_refused() {
    let role = fresh_role("trust");
    let pooler = pgotter("scram-sha-256", &line(&role.name, &role.password()));
    let proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let ours = "A".repeat(24);
    type Answer = Box<dyn Fn(&str) -> String>;
    let answers: Vec<(&str, Answer)> = vec![
        ("a changed nonce", Box::new(move |nonce| format!("c=biws,r={},p={proof}", with_another_end(nonce)))),
        ("the client's half", Box::new(move |_| format!("c=biws,r={ours},p={proof}"))),
        ("other flags", Box::new(move |nonce| format!("c=eSws,r={nonce},p={proof}"))),
        (
            "bound to a channel",
            Box::new(move |nonce| format!("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws,r={nonce},p={proof}")),
        ),
        ("a megabyte", Box::new(move |nonce| format!("c=biws,r={nonce}{},p={proof}", "x".repeat(60_000)))),
    ];
    for (name, answer) in answers {
        let mut client = ask(pooler.port(), &role.name, "postgres");
        client.frame().unwrap();
        client.send(&sasl_initial(&ScramClient::new(&[0; NONCE_BYTES], Binding::Impossible).client_first()));
        let first = client.frame().unwrap();
        let text = String::from_utf8_lossy(request(&first).1).into_owned();
        let nonce = text.split([',', '=']).nth(1).unwrap();
        client.send(&message(b'p', answer(nonce).as_bytes()));
        let heard = client.until_end();
        assert_eq!(heard.last().and_then(|frame| frame.field(b'C')).as_deref(), Some("08P01"), "{name}: {heard:?}");
    }
    for first in ["p=tls-server-end-point,,n=,r=abc", "x,,n=,r=abc", &format!("n,,n=,r={}", "x".repeat(60_000))] {
        let mut client = ask(pooler.port(), &role.name, "postgres");
        client.frame().unwrap();
        client.send(&sasl_initial(first.as_bytes()));
        let heard = client.until_end();
        assert_eq!(heard.last().and_then(|frame| frame.field(b'C')).as_deref(), Some("08P01"), "{heard:?}");
    }
}
