//! One console, from its welcome to its end. It does one thing at a time; while that takes long, it listens for the
//! client's cancel request and for its end.

use super::command::{Command, Ending, fault};
use super::desk::{Desk, Place, Process, Visitor};
use super::extended::{Extended, format_at};
use super::messages::{self, MESSAGE_MAX, Message};
use super::perform::{Answer, Failed};
use super::show;
use crate::clock;
use crate::fault::{Fault, SqlState};
use crate::net::Socket;
use crate::wire::backend::{self, Status, kind};
use crate::wire::frontend::kind as frontend;
use crate::wire::rows;
use crate::wire::startup::CancelKey;
use bytes::BytesMut;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// An answer is sent off before the next command if it is longer than that.
const ANSWERS_MAX: usize = 64 * 1024;

/// One console.
pub(super) struct Console<'a, P> {
    pub desk: &'a Desk<P>,
    pub user: String,
    pub extended: Extended,
    /// What is to be sent.
    pub out: BytesMut,
    socket: Socket,
    cancelled: Arc<Notify>,
    place: Arc<Place>,
    // The process is to end so, once what was said has been sent.
    ending: Option<Ending>,
}

/// Why a command was not waited for.
pub(super) enum Interrupted {
    /// The client wants it no more.
    Cancelled,
    /// The client is gone.
    Gone,
}

/// Why a console ends.
enum Left {
    /// It has said goodbye, or is gone, or takes nothing.
    Gone,
    /// It hears this.
    Refused(Fault),
}

/// Serves a visitor until he leaves, or the process ends.
pub async fn serve<P: Process>(mut visitor: Visitor, desk: &Desk<P>) {
    let place = match desk.enter(&visitor) {
        Ok(place) => place,
        Err(fault) => return visitor.socket.part(&fault).await,
    };
    let Visitor { socket, user, cancelled, key, .. } = visitor;
    let (extended, out) = (Extended::default(), BytesMut::new());
    let mut console = Console { desk, user, extended, out, socket, cancelled, place, ending: None };
    console.greet(&key);
    if let Err(Left::Refused(fault)) = console.converse().await {
        console.socket.part(&fault).await;
    }
}

impl<P: Process> Console<'_, P> {
    /// As PgBouncer's console, but for the version that it is not.
    fn greet(&mut self, key: &CancelKey) {
        let version = format!("{}/bouncer", show::VERSION);
        let out = &mut self.out;
        backend::authentication_ok(out);
        for (name, value) in [
            ("server_version", version.as_str()),
            ("client_encoding", "UTF8"),
            ("server_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("TimeZone", "GMT"),
            ("standard_conforming_strings", "on"),
            ("is_superuser", "on"),
        ] {
            backend::put_parameter_status(out, name.as_bytes(), value.as_bytes());
        }
        backend::backend_key_data(out, key.pid, &key.secret);
        backend::ready_for_query(out, Status::Idle);
    }

    async fn converse(&mut self) -> Result<(), Left> {
        self.flush().await?;
        loop {
            let message = self.next().await?;
            self.place.activity.requests(clock::now());
            match message {
                Ok(Message::Terminate) => return Ok(()),
                Ok(Message::Sync) => {
                    self.extended.sync();
                    self.ready().await?;
                }
                // PostgreSQL too reads on to the Sync, whatever comes.
                Ok(_) if self.extended.skipping => (),
                Ok(Message::Query(text)) => {
                    self.extended.forget_unnamed();
                    let outcome = self.query(&text).await;
                    self.tell(outcome)?;
                    self.ready().await?;
                }
                Ok(Message::FunctionCall) => {
                    let message = "the console has no functions".to_owned();
                    self.tell(Err(fault(SqlState::FEATURE_NOT_SUPPORTED, message).into()))?;
                    self.ready().await?;
                }
                Ok(Message::Copy) => (),
                Ok(Message::Flush) => self.flush().await?,
                Ok(message) => {
                    let outcome = self.step(message).await;
                    self.extended.skipping = outcome.is_err();
                    self.tell(outcome)?;
                }
                Err(kind) => self.complain(kind).await?,
            }
            if self.out.len() > ANSWERS_MAX {
                self.flush().await?;
            }
        }
    }

    /// A message of this type makes no sense.
    async fn complain(&mut self, kind: u8) -> Result<(), Left> {
        let message = "invalid message format".to_owned();
        self.tell(Err(fault(SqlState::PROTOCOL_VIOLATION, message).into()))?;
        self.extended.skipping = !matches!(kind, frontend::QUERY | frontend::SYNC);
        if self.extended.skipping { Ok(()) } else { self.ready().await }
    }

    /// The next message; the inner `Err` is the type of one that makes no sense.
    async fn next(&mut self) -> Result<Result<Message, u8>, Left> {
        loop {
            if let Some(message) = messages::take(self.socket.inbox()).map_err(Left::Refused)? {
                return Ok(message);
            }
            self.socket.recv().await.map_err(|_| Left::Gone)?;
        }
    }

    async fn query(&mut self, text: &str) -> Result<(), Failed> {
        let mut answer = self.perform(&Command::read(text)?).await?;
        if !answer.columns.is_empty() {
            rows::row_description(&mut self.out, &answer.columns, format_at(&[]));
        }
        for row in answer.rows.by_ref() {
            rows::data_row(&mut self.out, &answer.columns, &row, format_at(&[]));
        }
        self.complete(&mut answer);
        Ok(())
    }

    /// The end of an answer.
    pub(super) fn complete(&mut self, answer: &mut Answer) {
        self.desk.count_command();
        if let Some(notice) = answer.notice.take() {
            backend::notice(&mut self.out, &notice);
        }
        match answer.tag {
            "" => backend::empty(&mut self.out, kind::EMPTY_QUERY),
            tag => rows::command_complete(&mut self.out, tag),
        }
        self.ending = self.ending.or(answer.end.take());
    }

    fn tell(&mut self, outcome: Result<(), Failed>) -> Result<(), Left> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Failed::Gone) => Err(Left::Gone),
            Err(Failed::Told(fault)) => {
                backend::error_response(&mut self.out, &as_pgbouncer(fault));
                Ok(())
            }
        }
    }

    async fn ready(&mut self) -> Result<(), Left> {
        if self.ending == Some(Ending::Now) {
            // As with PgBouncer, the end of the connection is the answer.
            self.out.clear();
            self.desk.process.end(Ending::Now);
            return self.until_gone().await;
        }
        backend::ready_for_query(&mut self.out, Status::Idle);
        let flushed = self.flush().await;
        // Even if nobody is there any more to hear of it.
        if let Some(how) = self.ending.take() {
            self.desk.process.end(how);
        }
        flushed
    }

    async fn until_gone(&mut self) -> Result<(), Left> {
        while self.socket.recv().await.is_ok() {
            self.socket.inbox().clear();
        }
        Err(Left::Gone)
    }

    /// A console that takes nothing for `client_write_timeout` is none any more.
    async fn flush(&mut self) -> Result<(), Left> {
        self.socket.queue(std::mem::take(&mut self.out));
        let flush = self.socket.flush();
        let flushed = match self.desk.process.config().pooler.client_write_timeout {
            Some(limit) => tokio::time::timeout(limit, flush).await.map_err(|_| Left::Gone)?,
            None => flush.await,
        };
        flushed.map_err(|_| Left::Gone)
    }

    /// Waits for something that may take long, as long as the client does. What it says meanwhile is kept for later.
    pub(super) async fn watched<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = self.cancelled.notified() => return Err(Interrupted::Cancelled),
                more = self.socket.recv(), if self.socket.received().len() < MESSAGE_MAX => {
                    if more.is_err() {
                        return Err(Interrupted::Gone);
                    }
                }
            }
        }
    }
}

/// What is wrong with a command has one SQLSTATE, whatever it is: tools look for PgBouncer's.
fn as_pgbouncer(fault: Fault) -> Fault {
    let sqlstate = match fault.sqlstate {
        SqlState::SYNTAX_ERROR
        | SqlState::INSUFFICIENT_PRIVILEGE
        | SqlState::INVALID_CATALOG_NAME
        | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
        | SqlState::UNDEFINED_OBJECT
        | SqlState::INVALID_PARAMETER_VALUE
        | SqlState::FEATURE_NOT_SUPPORTED => SqlState::PROTOCOL_VIOLATION,
        other => other,
    };
    Fault { sqlstate, ..fault }
}
