//! Waiting for what is no server and nothing of the client's own, while its request has been sent nowhere: a primary, or what another
//! client reads. Whoever has it leaves mail.

use super::checkout::NoServer;
use super::connection::{Client, Step};
use super::turn::{Event, earlier, turn};
use crate::activity::ClientState;
use crate::clock::{self, Instant};

/// How long.
pub(super) struct Until {
    /// Not longer than until then.
    pub last: Option<Instant>,
    /// Then the client is told that it waits.
    pub notice: Option<Instant>,
    /// The end of the wait does not depend on other clients.
    pub stuck: bool,
}

impl Client {
    /// Whether what is waited for has come: `has_come` is asked at once and behind each call.
    ///
    /// # Errors
    /// The client has gone, was told to leave, has cancelled its request, or holds too much while memory is short.
    pub(super) async fn wait_until(&mut self, until: Until, has_come: impl Fn() -> bool) -> Result<bool, NoServer> {
        self.step(Step::Wait);
        self.does(ClientState::Waiting);
        let Until { last, mut notice, stuck } = until;
        let waited = loop {
            if has_come() {
                break Ok(true);
            }
            match turn(self, None, earlier(last, notice)).await {
                Event::Client | Event::Server | Event::ServerGone => (),
                Event::Mail(mail) => {
                    let _called = self.answer(mail);
                    if let Some(why) = self.leave_queue(stuck) {
                        self.cancelled = false;
                        break Err(why);
                    }
                }
                Event::Deadline if notice.is_some_and(|at| at <= clock::now()) => {
                    notice = None;
                    self.tell_waiting();
                }
                Event::Deadline => break Ok(false),
                Event::TooMuch => break Err(NoServer::Refused(self.holding.shed())),
                Event::ClientGone => break Err(NoServer::ClientGone),
            }
        };
        self.now = clock::now();
        self.does(ClientState::Idle);
        waited
    }
}
