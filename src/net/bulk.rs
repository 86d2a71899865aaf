//! Long transfers: waking up for every 8 KiB that PostgreSQL sends costs more than moving the bytes. Once a transfer has
//! proved to be long, the kernel is asked to wait for a good part of a buffer (SO_RCVLOWAT), for a moment at most.
//!
//! Measured on COPY … TO STDOUT of 1 GB: see `benches/README.md`.

use super::stream::Stream;
use crate::clock::{self, Instant};
use nix::libc;
use nix::sys::socket::setsockopt;
use std::time::Duration;

/// A transfer is long from here on: some 10 ms of it have passed, so that a moment at its end does not matter.
const LONG: usize = 16 * 1024 * 1024;
/// PostgreSQL sends 8 KiB at a time; a smaller read means that it has stopped for something.
const FLOWING: usize = 4 * 1024;
/// How much the kernel waits for: more than one read takes, as two reads cost less than a wake.
const WAIT_FOR: i32 = 192 * 1024;
/// How long at most. Timers have a grain of a millisecond.
const MOMENT: Duration = Duration::from_millis(2);

/// SO_RCVLOWAT, which nix leaves to its macro.
#[derive(Clone, Copy, Debug)]
struct RcvLowat;
nix::setsockopt_impl!(RcvLowat, libc::SOL_SOCKET, libc::SO_RCVLOWAT, i32, nix::sys::socket::sockopt::SetStruct<i32>);

/// Whether one direction of a socket is in a long transfer.
#[derive(Default)]
pub struct Bulk {
    // Bytes of reads that followed one another without a small one.
    flow: usize,
    // When the last bytes came, while the kernel waits for more than one.
    waiting_since: Option<Instant>,
}

impl Bulk {
    /// Bytes have come.
    pub fn received(&mut self, bytes: usize, stream: &Stream) {
        self.flow = if bytes < FLOWING { 0 } else { self.flow.saturating_add(bytes) };
        if self.flow >= LONG {
            if self.waiting_since.is_some() || set(stream, WAIT_FOR) {
                self.waiting_since = Some(clock::now());
            }
        } else {
            self.end(stream);
        }
    }

    /// When [`Bulk::end`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.waiting_since? + MOMENT)
    }

    /// Any byte wakes again; if some are there already, the kernel says so at once.
    pub fn end(&mut self, stream: &Stream) {
        if self.waiting_since.take().is_some() {
            self.flow = 0;
            set(stream, 1);
        }
    }
}

/// Only TCP has it; a failure only means that nothing is saved.
fn set(stream: &Stream, bytes: i32) -> bool {
    match stream {
        Stream::Tcp(stream) => setsockopt(stream, RcvLowat, &bytes).is_ok(),
        _ => false,
    }
}
