//! The rows about connections that come and do not log in: what each costs, that it is closed in time, and that an
//! honest client hardly notices.

use crate::Result;
use crate::lab::Lab;
use crate::memory_rows::alternate_fresh;
use crate::pooler::{Pooler, Setup};
use crate::raw_login::{Entrance, ask_for_tls};
use crate::report::{Bar, Row};
use crate::rows::POOL_SIZE;
use crate::statistics::p99;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOCKETS: usize = 5_000;
/// In both poolers.
const LOGIN_TIMEOUT: u64 = 6;
/// How often an honest client comes.
const PACE: Duration = Duration::from_millis(5);
/// After every ten half-open ones.
const BREATH: Duration = Duration::from_millis(2);
/// So many of them make the usual p99.
const USUAL: usize = 800;
/// Of an SSLRequest.
const REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22];
/// Of a ClientHello in its record.
const HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0];

/// What a half-open connection has done before it falls silent.
#[derive(Clone, Copy)]
enum Stage {
    /// In turn: nothing, one byte, seven bytes.
    FirstPacket,
    /// TLS was asked for and granted; in turn nothing, one byte, seven bytes of the handshake.
    Handshake,
}

/// What came of it.
struct Siege {
    kib_each: f64,
    closed_after: f64,
    usual_ms: f64,
    to_usual: f64,
}

/// Without TLS, with TLS, and within TLS.
pub fn half_open(lab: &Lab) -> Result<Vec<Row>> {
    let plain = Setup { login_timeout: Some(LOGIN_TIMEOUT), ..Setup::plain(POOL_SIZE) };
    let tls = Setup { tls: true, ..plain };
    let mut table = Vec::new();
    for (label, setup, stage) in [
        ("no TLS", plain, Stage::FirstPacket),
        ("TLS configured", tls, Stage::FirstPacket),
        ("in the TLS handshake", tls, Stage::Handshake),
    ] {
        let (pgbouncer, candidate) = alternate_fresh(lab, setup, |pooler| lay_siege(lab, pooler, stage))?;
        let row = |what: &str, unit, bar, value: fn(&Siege) -> f64| Row {
            what: format!("5,000 half-open connections, {label}: {what}"),
            unit,
            bar,
            candidate: candidate.iter().map(value).collect(),
            pgbouncer: pgbouncer.iter().map(value).collect(),
        };
        table.push(row("resident memory each", "KiB", Bar::AtMost(4.0), |siege| siege.kib_each));
        let in_time = Bar::AtMost(LOGIN_TIMEOUT as f64 + 1.0);
        table.push(row(&format!("the last closed after, of {LOGIN_TIMEOUT} s"), "s", in_time, |siege| {
            siege.closed_after
        }));
        table.push(row("p99 of an honest login / the usual p99", "", Bar::AtMost(2.0), |siege| siege.to_usual));
        table.push(row("the usual p99", "ms", Bar::None, |siege| siege.usual_ms));
    }
    Ok(table)
}

/// Honest clients alone; then 5,000 half-open connections, from the first that comes to the last that is closed, and
/// honest clients all the time.
fn lay_siege(lab: &Lab, pooler: &Pooler, stage: Stage) -> Result<Siege> {
    // Whatever is set up once.
    let over = AtomicBool::new(false);
    honest_logins(&pooler.entrance, USUAL / 4, &over)?;
    let usual = honest_logins(&pooler.entrance, USUAL, &over)?;
    let (meanwhile, besieged) = thread::scope(|scope| {
        let honest = scope.spawn(|| honest_logins(&pooler.entrance, usize::MAX, &over).map_err(|e| e.to_string()));
        let besieged = besiege(lab, pooler, stage);
        over.store(true, Ordering::Relaxed);
        (honest.join().unwrap_or_else(|_| Err("the honest client panicked".to_owned())), besieged)
    });
    let (meanwhile, (kib_each, closed_after)) = (meanwhile?, besieged?);
    Ok(Siege { kib_each, closed_after, usual_ms: p99(&usual), to_usual: p99(&meanwhile) / p99(&usual) })
}

/// Opens all and sees them closed. Resident memory for each that stood there at half time, in KiB, and the longest that one
/// stood, in seconds.
fn besiege(lab: &Lab, pooler: &Pooler, stage: Stage) -> Result<(f64, f64)> {
    let (resident, descriptors) = (pooler.resident_kib()?, pooler.descriptors()?);
    let mut sockets = Vec::with_capacity(SOCKETS);
    for number in 0..SOCKETS {
        lab.go_on()?;
        // Not faster than either takes them: PgBouncer lets 128 wait, and the next ones would begin again a second later.
        if number % 10 == 0 {
            thread::sleep(BREATH);
        }
        let opened = Instant::now();
        sockets.push((opened, half_opened(&pooler.entrance, stage, number)?));
    }
    // Half of their time: the pooler has read what there is to read.
    thread::sleep(Duration::from_secs(LOGIN_TIMEOUT / 2));
    // PgBouncer closes some at once.
    let kept = pooler.descriptors()?.saturating_sub(descriptors);
    let kib_each = (pooler.resident_kib()? - resident) / kept.max(1) as f64;
    let mut longest = 0.0_f64;
    for (opened, mut socket) in sockets {
        lab.go_on()?;
        // Its last words, if any. An end is an end, also a reset.
        let _ = socket.read_to_end(&mut Vec::new());
        longest = longest.max(opened.elapsed().as_secs_f64());
    }
    Ok((kib_each, longest))
}

fn half_opened(entrance: &Entrance, stage: Stage, number: usize) -> Result<TcpStream> {
    let (mut socket, bytes) = match stage {
        Stage::FirstPacket => (entrance.knock()?, REQUEST),
        Stage::Handshake => (ask_for_tls(entrance.knock()?)?, HELLO),
    };
    socket.write_all(&bytes[..[0, 1, 7][number % 3]])?;
    Ok(socket)
}

/// Logs in at a steady pace, `most` times or until it is over. How long each took, in milliseconds.
fn honest_logins(entrance: &Entrance, most: usize, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    while took.len() < most && !over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        entrance.log_in()?.leave()?;
        took.push(begin.elapsed().as_secs_f64() * 1e3);
        thread::sleep(PACE.saturating_sub(begin.elapsed()));
    }
    Ok(took)
}
