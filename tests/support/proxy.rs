//! A way to PostgreSQL that a test can make slow, deaf, or cut.

use super::world::{cluster, config};
use super::{PgOtter, fall_silent};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes bytes between whoever connects and a port on loopback. Its threads end with the test binary.
pub struct Proxy {
    pub port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    /// Connections wait until this many have come.
    gate: usize,
    come: usize,
    /// Nothing passes, in either direction, on connections that exist.
    deaf: bool,
    deaf_up_to: usize,
    streams: Vec<TcpStream>,
    /// The clients' ends of them.
    fronts: Vec<TcpStream>,
    /// CancelRequests wait; how many do.
    hold_cancels: bool,
    held_cancels: usize,
    /// What clients sent.
    heard: Vec<u8>,
}

impl Proxy {
    /// In front of [`cluster`]; connections go through once `gate` of them have come.
    pub fn new(gate: usize) -> Self {
        Self::before(cluster().port(), gate)
    }

    /// As [`Proxy::new`], in front of another port.
    pub fn before(port: u16, gate: usize) -> Self {
        Self::at("127.0.0.1:0", port, gate)
    }

    /// As [`Proxy::before`], at an address of the caller's choice.
    pub fn at(address: &str, port: u16, gate: usize) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let own = listener.local_addr().unwrap().port();
        let shared = Arc::new((Mutex::new(State { gate, ..State::default() }), Condvar::new()));
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = accepting.clone();
                thread::spawn(move || connection(stream, port, &shared));
            }
        });
        Self { port: own, shared }
    }

    /// Connections that have come.
    pub fn connections(&self) -> usize {
        self.shared.0.lock().unwrap().come
    }

    /// A PgOtter whose way to [`cluster`] it is, with lines for `[pooler]`.
    pub fn behind_pgotter(&self, pooler: &str) -> PgOtter {
        PgOtter::start(|port| config(port, &format!("127.0.0.1:{}", self.port), pooler, ""))
    }

    /// Whether a client has sent these bytes.
    pub fn has_heard(&self, bytes: &[u8]) -> bool {
        self.shared.0.lock().unwrap().heard.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Closes all connections, in the middle of whatever they do.
    pub fn cut(&self) {
        let mut state = self.shared.0.lock().unwrap();
        state.fronts.clear();
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// CancelRequests are kept back, or let go again.
    pub fn hold_cancels(&self, hold: bool) {
        self.shared.0.lock().unwrap().hold_cancels = hold;
        self.shared.1.notify_all();
    }

    /// CancelRequests that have been kept back.
    pub fn held_cancels(&self) -> usize {
        self.shared.0.lock().unwrap().held_cancels
    }

    /// The machine is gone, as far as the connections tell that there are: not even the system answers on them any more.
    /// Later ones work.
    pub fn vanish(&self) {
        self.shared.0.lock().unwrap().fronts.iter().for_each(fall_silent);
    }

    /// From now on nothing passes on the connections there are; later ones work.
    pub fn go_deaf(&self) {
        let mut state = self.shared.0.lock().unwrap();
        state.deaf = true;
        state.deaf_up_to = state.come;
    }
}

fn connection(from: TcpStream, port: u16, shared: &Arc<(Mutex<State>, Condvar)>) {
    let (state, changed) = &**shared;
    let mut locked = state.lock().unwrap();
    locked.come += 1;
    let number = locked.come;
    changed.notify_all();
    let locked = changed.wait_while(locked, |state| state.come < state.gate).unwrap();
    drop(locked);
    let Ok(to) = TcpStream::connect(("127.0.0.1", port)) else { return };
    state.lock().unwrap().fronts.push(from.try_clone().unwrap());
    for stream in [&from, &to] {
        stream.set_nodelay(true).unwrap();
        state.lock().unwrap().streams.push(stream.try_clone().unwrap());
    }
    let (back_from, back_to, other) = (to.try_clone().unwrap(), from.try_clone().unwrap(), shared.clone());
    thread::spawn(move || pump(back_from, back_to, number, &other, false));
    pump(from, to, number, shared, true);
}

fn pump(mut from: TcpStream, mut to: TcpStream, number: usize, shared: &(Mutex<State>, Condvar), note: bool) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut chunk) {
        if read == 0 {
            break;
        }
        let mut state = shared.0.lock().unwrap();
        if note {
            state.heard.extend_from_slice(&chunk[..read]);
        }
        let is_cancel = note && chunk[..read].get(4..8) == Some(&80_877_102_u32.to_be_bytes());
        if is_cancel && state.hold_cancels {
            state.held_cancels += 1;
            state = shared.1.wait_while(state, |state| state.hold_cancels).unwrap();
        }
        let deaf = state.deaf && number <= state.deaf_up_to;
        drop(state);
        if !deaf && to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
