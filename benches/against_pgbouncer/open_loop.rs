//! A load that comes when it comes: queries fall due at random moments, whether or not the ones before are answered, and each is asked by
//! whichever client has been idle for longest. One thread, so that it costs little beside a pooler.

use crate::Result;
use crate::lab::Lab;
use crate::random::Random;
use crate::raw_client::query;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Without any answer there is nobody there any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A query to come.
#[derive(Clone, Copy)]
pub struct Arrival {
    /// Since the beginning.
    pub due: Duration,
    /// Which of the kinds.
    pub kind: usize,
    /// How many of that kind came before.
    pub number: usize,
}

/// One that was answered.
#[derive(Clone, Copy)]
pub struct Answered {
    /// Which of the kinds.
    pub kind: usize,
    /// From when it was due: falling behind cannot hide.
    pub from_due: Duration,
    /// From when a client had sent it.
    pub from_sent: Duration,
}

struct Client {
    socket: TcpStream,
    inbox: Vec<u8>,
    asked: Option<(Arrival, Duration)>,
}

/// Poisson arrivals of several kinds, so many a second of each, in their order. The same seed gives the same ones.
pub fn arrivals(per_second: &[f64], seconds: u64, seed: u64) -> Vec<Arrival> {
    let mut random = Random(seed);
    let mut all = Vec::new();
    for (kind, rate) in per_second.iter().enumerate() {
        let mut due = 0.0;
        for number in 0.. {
            // From above 0 to 1.
            let share = ((random.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            due -= share.ln() / rate;
            if due >= seconds as f64 {
                break;
            }
            all.push(Arrival { due: Duration::from_secs_f64(due), kind, number });
        }
    }
    all.sort_by_key(|arrival| arrival.due);
    all
}

/// Has all of them asked, with these texts. An error of the server's is an error here.
pub fn run(
    lab: &Lab,
    sockets: Vec<TcpStream>,
    arrivals: &[Arrival],
    text: impl Fn(&Arrival) -> String,
) -> Result<Vec<Answered>> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut clients = Vec::new();
    for socket in sockets {
        socket.set_nonblocking(true)?;
        epoll::add(&poll, &socket, EventData::new_u64(clients.len() as u64), EventFlags::IN)?;
        clients.push(Client { socket, inbox: Vec::new(), asked: None });
    }
    let mut idle: VecDeque<usize> = (0..clients.len()).collect();
    let mut coming = arrivals.iter().peekable();
    let (mut answered, mut events) = (Vec::with_capacity(arrivals.len()), Vec::with_capacity(256));
    let (begun, mut heard) = (Instant::now(), Instant::now());
    while answered.len() < arrivals.len() {
        lab.go_on()?;
        while let Some(arrival) = coming.peek().filter(|arrival| arrival.due <= begun.elapsed())
            && let Some(client) = idle.pop_front()
        {
            let client = &mut clients[client];
            let request = query(&text(arrival))?;
            client.asked = Some((**arrival, begun.elapsed()));
            client.socket.write_all(&request)?;
            coming.next();
        }
        let next = coming.peek().filter(|_| !idle.is_empty()).map(|arrival| arrival.due);
        let until = next.map_or(EACH_LOOK, |due| due.saturating_sub(begun.elapsed()).min(EACH_LOOK));
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::try_from(until)?))?;
        for event in &events {
            let at = event.data.u64() as usize;
            if let Some((arrival, sent)) = clients[at].hear()? {
                let now = begun.elapsed();
                answered.push(Answered { kind: arrival.kind, from_due: now - arrival.due, from_sent: now - sent });
                idle.push_back(at);
                heard = Instant::now();
            }
        }
        if heard.elapsed() > PATIENCE {
            return Err(format!("no answer for {} s", PATIENCE.as_secs()).into());
        }
    }
    Ok(answered)
}

/// Whether to stop is looked at as often.
const EACH_LOOK: Duration = Duration::from_millis(100);

impl Client {
    /// What it had asked, once that is answered.
    fn hear(&mut self) -> Result<Option<(Arrival, Duration)>> {
        let mut buffer = [0; 8192];
        let bytes = self.socket.read(&mut buffer)?;
        if bytes == 0 {
            return Err("the connection was closed".into());
        }
        self.inbox.extend_from_slice(&buffer[..bytes]);
        while let Some((&[kind, ref length @ ..], _)) = self.inbox.split_first_chunk::<5>() {
            let end = 1 + u32::from_be_bytes(*length) as usize;
            if self.inbox.len() < end {
                break;
            }
            let body: Vec<u8> = self.inbox.drain(..end).skip(5).collect();
            match kind {
                b'E' => return Err(String::from_utf8_lossy(&body).replace('\0', " ").into()),
                b'Z' => return Ok(self.asked.take()),
                _ => (),
            }
        }
        Ok(None)
    }
}
