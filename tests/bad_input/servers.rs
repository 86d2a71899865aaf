//! Servers that break the protocol, each in a database of its own, next to a real PostgreSQL in the same process: the
//! client of such a server hears of it, and a bystander on the real one notices nothing.

use super::raw::{Conn, Heard, frame, head, startup};
use super::scripted::{Caller, Closed, one_row, serve, summary, welcome};
use crate::support::{PgOtter, psql, shared_postgres, simple_config};
use rustix::process::Signal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

type Script = fn(&mut Caller) -> Result<(), Closed>;

fn in_front_of(scripts: &[(&str, Script)]) -> PgOtter {
    in_front_of_ports(scripts.iter().map(|(_, script)| serve(*script)))
}

/// One database for each server, named `s0`, `s1` and so on, beside those of the real one.
pub fn in_front_of_ports(ports: impl Iterator<Item = u16>) -> PgOtter {
    in_front_of_ports_with("", ports)
}

/// The same, with further lines for `[pooler]`.
pub fn in_front_of_ports_with(lines: &str, ports: impl Iterator<Item = u16>) -> PgOtter {
    let database = |(at, port)| format!("[databases.s{at}]\nhosts = [\"127.0.0.1:{port}\"]\n");
    let databases: String = ports.enumerate().map(database).collect();
    let pooler =
        format!("default_pool_size = 1\nserver_connect_timeout = \"1s\"\nquery_wait_timeout = \"2s\"\n{lines}\n");
    PgOtter::start(|port| simple_config(port, shared_postgres(), &pooler) + &databases)
}

/// Plays all scripts to so many clients one after the other; `judge` is given what each heard. Nobody else notices.
fn play(visits: u8, scripts: &[(&str, Script)], visit: fn(u16, &str) -> Heard, judge: fn(&str, &Heard)) {
    let pooler = in_front_of(scripts);
    let mut bystander = Conn::log_in(pooler.port(), "postgres");
    for (at, (name, _)) in scripts.iter().enumerate() {
        for _ in 0..visits {
            judge(name, &visit(pooler.port(), &format!("s{at}")));
        }
        assert_eq!(bystander.ask("SELECT 1").kinds(), "TDCZ", "{name}");
    }
    assert_eq!(psql(pooler.port(), "SELECT 'honest'"), "honest");
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

const OFFER: &[u8] = b"\0\0\0\x0aSCRAM-SHA-256\0\0";

/// Answers a client's first SCRAM message with what `first` makes of its nonce.
fn scram_first(caller: &mut Caller, first: impl Fn(&str) -> String) -> Result<(), Closed> {
    caller.say(&frame(b'R', OFFER))?;
    let (_, body) = caller.read()?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let nonce = text.split("r=").nth(1).unwrap_or_default();
    caller.say(&frame(b'R', &[b"\0\0\0\x0b", first(nonce).as_bytes()].concat()))
}

const AT_LOGIN: &[(&str, Script)] = &[
    ("closes at once", |_| Ok(())),
    ("speaks HTTP", |caller| caller.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    ("an error without fields", |caller| caller.say(&frame(b'E', b""))),
    ("an error without a terminator", |caller| caller.say(&frame(b'E', b"SFATAL\0C28P0"))),
    ("half a frame, then the end", |caller| caller.say(&head(b'R', 8))),
    ("half a frame, then silence", |caller| caller.say(b"R\0\0").and_then(|()| caller.keep_silent())),
    ("says nothing", Caller::keep_silent),
    ("a length of 3", |caller| caller.say(&head(b'R', 3))),
    ("a negative length", |caller| caller.say(&head(b'S', -1))),
    ("a gigabyte", |caller| caller.say(&head(b'N', i32::MAX)).and_then(|()| caller.keep_silent())),
    ("a row instead of a login", |caller| caller.say(&frame(b'D', b"\0\0"))),
    ("ready before the login", |caller| caller.say(&frame(b'Z', b"I"))),
    ("an authentication without a number", |caller| caller.say(&frame(b'R', b"\0"))),
    ("asks for GSSAPI", |caller| caller.say(&frame(b'R', &[0, 0, 0, 7]))),
    ("SASL out of turn", |caller| caller.say(&frame(b'R', b"\0\0\0\x0br=abc,s=c2FsdA==,i=4096"))),
    ("SASL with unknown mechanisms", |caller| caller.say(&frame(b'R', b"\0\0\0\x0aPLAIN\0\0"))),
    ("an MD5 salt of three bytes", |caller| caller.say(&frame(b'R', b"\0\0\0\x05abc"))),
    ("a nonce of a megabyte", |caller| {
        scram_first(caller, |nonce| format!("r={nonce}{},s=c2FsdA==,i=4096", "x".repeat(1 << 20)))
    }),
    ("somebody else's nonce", |caller| scram_first(caller, |_| "r=stranger,s=c2FsdA==,i=4096".to_owned())),
    ("the client's nonce and nothing more", |caller| {
        scram_first(caller, |nonce| format!("r={nonce},s=c2FsdA==,i=4096"))
    }),
    ("a billion iterations", |caller| scram_first(caller, |nonce| format!("r={nonce}x,s=c2FsdA==,i=1000000000"))),
    ("no iterations", |caller| scram_first(caller, |nonce| format!("r={nonce}x,s=c2FsdA==,i=0"))),
    ("a salt that is not base64", |caller| scram_first(caller, |nonce| format!("r={nonce}x,s=!,i=4096"))),
    ("a wrong SCRAM signature", |caller| {
        scram_first(caller, |nonce| format!("r={nonce}x,s=c2FsdA==,i=4096"))?;
        caller.read()?;
        caller.say(&frame(b'R', b"\0\0\0\x0cv=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))?;
        caller.say(&welcome())
    }),
    ("logs in without proving itself", |caller| {
        scram_first(caller, |nonce| format!("r={nonce}x,s=c2FsdA==,i=4096"))?;
        caller.read()?;
        caller.say(&welcome())
    }),
    ("a parameter without a terminator", |caller| {
        caller.say(&[frame(b'R', &[0; 4]), frame(b'S', b"TimeZone\0UTC")].concat())
    }),
    ("a key of two bytes", |caller| caller.say(&[frame(b'R', &[0; 4]), frame(b'K', b"\0\0")].concat())),
    ("a row in the middle of the parameters", |caller| {
        caller.say(&[frame(b'R', &[0; 4]), frame(b'D', b"\0\0")].concat())
    }),
    ("endless notices", |caller| {
        loop {
            caller.say(&frame(b'N', b"SNOTICE\0C00000\0Mmore\0\0"))?;
        }
    }),
    ("refuses for good", |caller| caller.say(&frame(b'E', b"SFATAL\0VFATAL\0C28P01\0Mno\0\0"))),
    ("is ready twice", |caller| {
        caller.say(&[welcome(), frame(b'Z', b"I")].concat())?;
        caller.keep_silent()
    }),
    ("a row behind the login", |caller| {
        caller.say(&[welcome(), frame(b'D', b"\0\0")].concat())?;
        caller.keep_silent()
    }),
];

fn log_in(port: u16, database: &str) -> Heard {
    let mut conn = Conn::open(port);
    conn.send(&super::raw::startup(database));
    let mut heard = conn.until_ready();
    if heard.kinds().ends_with('Z') {
        // Whoever logs in must not get an answer to what it did not ask.
        conn.send(&super::raw::query("SELECT 1"));
        conn.finish();
        heard = conn.until_closed();
    }
    heard
}

fn is_refused(name: &str, heard: &Heard) {
    let error = heard.last_error().unwrap_or_default();
    let known = ["FATAL 08006", "FATAL 57P03", "FATAL 28P01"];
    println!("{name}: {}", summary(heard));
    assert!(heard.rest.is_empty() && !heard.kinds().contains('D'), "{name}: {}", summary(heard));
    assert!(heard.frames.is_empty() || known.contains(&error.as_str()), "{name}: {}", summary(heard));
}

#[test]
fn a_server_that_breaks_the_protocol_at_login_lets_nobody_in() {
    play(1, AT_LOGIN, log_in, is_refused);
}

#[test]
fn a_server_that_reports_settings_without_end_is_not_listened_to_for_long() {
    let endless: Script = |caller| {
        caller.say(&frame(b'R', &[0; 4]))?;
        loop {
            caller.say(&frame(b'S', &[b"TimeZone\0", &[b'x'; 4096][..], b"\0"].concat()))?;
        }
    };
    let pooler = in_front_of(&[("endless settings", endless)]);
    is_refused("endless settings", &log_in(pooler.port(), "s0"));
    assert!(pooler.log().contains("settings without end"), "{}", pooler.log());
}

#[test]
fn a_server_that_heeds_no_cancel_is_left_when_query_timeout_has_passed_and_five_seconds() {
    let deaf: Script = |caller| caller.let_in().map(drop).and_then(|()| caller.keep_silent());
    let port = serve(deaf);
    let pooler = in_front_of_ports_with("query_timeout = \"1s\"", [port].into_iter());
    let mut conn = Conn::log_in(pooler.port(), "s0");
    conn.stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    conn.send(&super::raw::query("SELECT 1"));
    let heard = conn.until_closed();
    assert_eq!(heard.last_error().as_deref(), Some("FATAL 57014"), "{}", summary(&heard));
    assert_eq!(psql(pooler.port(), "SELECT 'honest'"), "honest");
}

fn result() -> Vec<u8> {
    [one_row(), frame(b'Z', b"I")].concat()
}

/// What is said to the first query, and what its client hears at last: an error, or `close`, or `goes on`.
const AT_QUERY: &[(&str, Script)] = &[
    ("FATAL 08007: closes", |caller| caller.let_in().map(drop)),
    ("close: half a row, then the end", |caller| {
        caller.let_in()?;
        caller.say(&one_row()[..40])
    }),
    ("FATAL 08007: half a head, then the end", |caller| {
        caller.let_in()?;
        caller.say(b"D\0\0")
    }),
    ("FATAL 08P01: an unexpected type", |caller| {
        caller.let_in()?;
        caller.say(&frame(b'x', b"what"))?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: logs in again", |caller| {
        caller.let_in()?;
        caller.say(&welcome())?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: a reply to nothing", |caller| {
        caller.let_in()?;
        caller.say(&frame(b'1', b""))?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: is ready twice", |caller| {
        caller.let_in()?;
        caller.say(&[result(), frame(b'Z', b"I")].concat())?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: a row behind the end", |caller| {
        caller.let_in()?;
        caller.say(&[result(), one_row()].concat())?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: ready without a status", |caller| {
        caller.let_in()?;
        caller.say(&frame(b'Z', b""))?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: ready with an unknown status", |caller| {
        caller.let_in()?;
        caller.say(&frame(b'Z', b"X"))?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: a parameter without a terminator", |caller| {
        caller.let_in()?;
        caller.say(&frame(b'S', b"TimeZone\0UTC"))?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: a length of 0", |caller| {
        caller.let_in()?;
        caller.say(&head(b'D', 0))?;
        caller.keep_silent()
    }),
    ("FATAL 08P01: a negative length", |caller| {
        caller.let_in()?;
        caller.say(&head(b'E', -1))?;
        caller.keep_silent()
    }),
    ("FATAL 57P01: says so and closes", |caller| {
        caller.let_in()?;
        caller.say(&frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0"))
    }),
    ("FATAL 08006: closes in an idle transaction", |caller| {
        caller.let_in()?;
        caller.say(&[frame(b'C', b"BEGIN\0"), frame(b'Z', b"T")].concat())
    }),
    ("goes on: an error without fields", |caller| {
        caller.let_in()?;
        loop {
            caller.say(&[frame(b'E', b""), frame(b'Z', b"I")].concat())?;
            caller.read()?;
        }
    }),
    ("goes on: a parameter nobody asked for, notices of a megabyte", |caller| {
        caller.let_in()?;
        let notice = frame(b'N', &[b"SNOTICE\0C00000\0M", &[b'x'; 1 << 20][..], b"\0\0"].concat());
        loop {
            caller.say(&[&frame(b'S', b"search_path\0nowhere\0"), &notice, &result()].map(Vec::as_slice).concat())?;
            caller.read()?;
        }
    }),
];

fn ask(port: u16, database: &str) -> Heard {
    let mut conn = Conn::log_in(port, database);
    conn.send(&super::raw::query("SELECT 1"));
    let heard = conn.until_ready();
    match heard.frames.last() {
        // A client that is ready stays a while: what the server says next is for it, too. One in a transaction stays to the end,
        // which may come later than its own.
        Some((b'Z', status)) => {
            if *status != b"T" {
                conn.finish();
            }
            let mut more = conn.until_closed();
            more.frames.splice(0..0, heard.frames);
            more
        }
        _ => heard,
    }
}

fn hears_what_its_name_says(name: &str, heard: &Heard) {
    println!("{name}: {}", summary(heard));
    let wanted = name.split(':').next().unwrap_or_default();
    match wanted {
        "close" => assert!(heard.last_error().is_none() && !heard.rest.is_empty(), "{name}: {}", summary(heard)),
        "goes on" => assert!(heard.kinds().ends_with('Z'), "{name}: {}", summary(heard)),
        error => assert_eq!(heard.last_error().as_deref(), Some(error), "{name}: {}", summary(heard)),
    }
}

#[test]
fn a_server_that_breaks_the_protocol_later_costs_its_own_client() {
    // The second one finds the only place of the pool free at once.
    play(2, AT_QUERY, ask, hears_what_its_name_says);
}

#[test]
fn a_client_in_the_middle_of_a_row_gets_no_error_inside_it() {
    let half: Script = |caller| {
        caller.let_in()?;
        caller.say(&one_row()[..40])?;
        caller.keep_silent()
    };
    let mut pooler = in_front_of(&[("half a row", half)]);
    let mut conn = Conn::log_in(pooler.port(), "s0");
    conn.send(&super::raw::query("SELECT 1"));
    conn.until_kind(b'T');
    // The second one throws everybody out.
    pooler.signal(Signal::TERM);
    while !pooler.log().contains("shutting down") {
        std::thread::yield_now();
    }
    pooler.signal(Signal::TERM);
    let heard = conn.until_closed();
    assert!(one_row()[..40].ends_with(&heard.rest) && heard.frames.is_empty(), "{}", summary(&heard));
}

#[test]
fn endless_notices_wait_for_their_client_and_end_with_it() {
    let endless: Script = |caller| {
        caller.let_in()?;
        loop {
            caller.say(&frame(b'N', &[b"SNOTICE\0C00000\0M", &[b'x'; 4096][..], b"\0\0"].concat()))?;
        }
    };
    let look = |port: u16, database: &str| {
        let mut conn = Conn::log_in(port, database);
        conn.send(&super::raw::query("SELECT 1"));
        let mut heard = Heard::default();
        heard.frames.extend((0..2_000).filter_map(|_| conn.next()));
        heard
    };
    play(1, &[("endless", endless), ("again", endless)], look, |name, heard| {
        assert_eq!(heard.kinds(), "N".repeat(2_000), "{name}");
    });
}

/// Logins that a script has seen.
static LOGINS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_server_that_is_of_no_use_behind_its_login_is_not_opened_without_a_pause() {
    let scripts: [(&str, Script); 3] = [
        ("ready twice", |caller| {
            LOGINS.fetch_add(1, Ordering::Relaxed);
            caller.say(&[welcome(), frame(b'Z', b"I")].concat())?;
            caller.keep_silent()
        }),
        ("says goodbye", |caller| {
            LOGINS.fetch_add(1, Ordering::Relaxed);
            caller.say(&[welcome(), frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0")].concat())
        }),
        ("closes", |caller| {
            LOGINS.fetch_add(1, Ordering::Relaxed);
            caller.say(&welcome())
        }),
    ];
    for script in scripts {
        LOGINS.store(0, Ordering::Relaxed);
        play(1, &[script], log_in, |name, heard| println!("{name}: {}", summary(heard)));
        let logins = LOGINS.load(Ordering::Relaxed);
        assert!(logins < 60, "{}: {logins} logins", script.0);
    }
}

#[test]
fn a_server_that_is_silent_behind_its_login_keeps_no_client_waiting_beyond_client_login_timeout() {
    let silent = serve(|caller| caller.say(&welcome()).and_then(|()| caller.keep_silent()));
    let pooler = in_front_of_ports_with("client_login_timeout = \"4s\"", [silent].into_iter());
    let mut conn = Conn::open(pooler.port());
    conn.send(&startup("s0"));
    let heard = conn.until_ready();
    assert_eq!((heard.kinds(), heard.last_error()), ("E".to_owned(), Some("FATAL 57P03".to_owned())), "{heard:?}");
}
