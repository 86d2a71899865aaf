//! The console's side: logs in, asks, reads tables. Knows nothing of what they mean.

use super::super::init::{NoLogin, Place, log_in};
use super::model::{Closer, Snapshot, Table};
use crate::clock;
use crate::server::Server;
use crate::wire::backend::{error_field, kind, row_fields};
use crate::wire::frame::{first, take_cstr};
use crate::wire::frontend;
use bytes::{Buf, BytesMut};
use std::fmt;
use std::time::Duration;

/// No answer of a console's is longer.
const ANSWER: usize = 64 * 1024 * 1024;

/// Nothing is waited for behind what is asked here.
const PATIENCE: Duration = Duration::from_secs(10);

/// Logged in.
pub struct Console {
    server: Box<Server>,
    place: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// It says no; the connection goes on.
    Refused(String),
    /// There is no connection any more.
    Lost(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Lost(why) => f.write_str(why),
        }
    }
}

impl Console {
    /// Logs in to the first of the hosts that lets us in.
    ///
    /// # Errors
    /// The first host, and why it does not; the others do not either.
    pub async fn open(place: &Place) -> Result<Self, (String, NoLogin)> {
        let mut failed = None;
        for (host, port) in &place.hosts {
            let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            match log_in(place, host, *port).await {
                Ok((server, _)) => return Ok(Self { server, place: at }),
                Err(why) => failed = failed.or(Some((at, why))),
            }
        }
        Err(failed.expect("invariant: a place has a host"))
    }

    /// Host and port.
    pub fn place(&self) -> String {
        self.place.clone()
    }

    /// What there is to see, queries of the last `window` or since the start, and the query of this fingerprint more closely.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn look(&mut self, window: Option<&str>, closer: Option<&str>) -> Result<Snapshot, NoAnswer> {
        let queries = self.ask(&format!("SHOW QUERIES {}", window.unwrap_or_default())).await?;
        let live = self.ask("SHOW ACTIVE").await?;
        let pools = self.ask("SHOW POOLS").await?;
        let at = clock::now();
        let closer = match closer {
            Some(fingerprint) => self.look_closer(fingerprint).await?,
            None => None,
        };
        let snapshot = Snapshot::read(at, &queries, &live, &pools);
        let snapshot = snapshot.map(|snapshot| Snapshot { closer, ..snapshot });
        snapshot.ok_or_else(|| NoAnswer::Refused("this is not how PgOtter's console answers".to_owned()))
    }

    /// `None`: it is not there any more.
    async fn look_closer(&mut self, fingerprint: &str) -> Result<Option<Closer>, NoAnswer> {
        let mut tables = [const { None }; 3];
        for (table, show) in tables.iter_mut().zip(["HISTOGRAM", "ROUTES", "CALLERS"]) {
            *table = match self.ask(&format!("SHOW {show} {fingerprint}")).await {
                Ok(answer) => Some(answer),
                Err(NoAnswer::Refused(_)) => None,
                Err(lost) => return Err(lost),
            };
        }
        let [Some(histogram), Some(routes), Some(callers)] = &tables else { return Ok(None) };
        Ok(Closer::read(fingerprint, histogram, routes, callers))
    }

    /// Has a client's statement canceled.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn cancel(&mut self, client: u64) -> Result<(), NoAnswer> {
        self.ask(&format!("CANCEL {client}")).await.map(drop)
    }

    async fn ask(&mut self, command: &str) -> Result<Table, NoAnswer> {
        let answer = tokio::time::timeout(PATIENCE, self.converse(command)).await;
        answer.unwrap_or_else(|_| Err(NoAnswer::Lost(format!("no answer for {} s", PATIENCE.as_secs()))))
    }

    async fn converse(&mut self, command: &str) -> Result<Table, NoAnswer> {
        let lost = |error: std::io::Error| NoAnswer::Lost(error.to_string());
        let mut out = BytesMut::new();
        frontend::query(&mut out, command);
        // Past its exchange, which would remember all that was asked.
        let socket = self.server.socket();
        socket.queue(out);
        socket.flush().await.map_err(lost)?;
        let (mut table, mut refusal) = (Table::default(), None);
        loop {
            while let Some((message, body, length)) = first(socket.received()) {
                match message {
                    kind::ROW_DESCRIPTION => table.columns = columns(body).unwrap_or_default(),
                    kind::DATA_ROW => table.rows.push(row(body).unwrap_or_default()),
                    kind::ERROR_RESPONSE => refusal = Some(said(body)),
                    kind::READY_FOR_QUERY => {
                        socket.inbox().advance(length);
                        return refusal.map_or(Ok(table), |why| Err(NoAnswer::Refused(why)));
                    }
                    _ => {}
                }
                socket.inbox().advance(length);
            }
            if socket.received().len() > ANSWER {
                return Err(NoAnswer::Lost("a message of impossible length".to_owned()));
            }
            // Of a console that ends the last word counts.
            let received = socket.recv().await;
            received.map_err(|error| refusal.take().map_or_else(|| lost(error), NoAnswer::Lost))?;
        }
    }
}

fn said(body: &[u8]) -> String {
    printable(error_field(body, b'M').unwrap_or(b"an error without a message"))
}

fn columns(body: &[u8]) -> Option<Vec<String>> {
    let mut rest = body.get(2..)?;
    let mut names = Vec::new();
    while !rest.is_empty() {
        names.push(printable(take_cstr(&mut rest)?));
        // Where it comes from, its type and its format.
        rest = rest.get(18..)?;
    }
    Some(names)
}

fn row(body: &[u8]) -> Option<Vec<String>> {
    Some(row_fields(body)?.into_iter().map(printable).collect())
}

/// What a peer says may hold anything; a terminal must not act on it, nor turn it around or hide it.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(is_harmful, " ")
}

/// Whether a terminal could do anything but show it.
pub fn is_harmful(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// Whether it only says how others are to be shown: their direction, a join or a break. Source: Unicode 16, general categories Cf, Zl and Zp,
/// without those of single scripts.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
