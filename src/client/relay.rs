//! Bytes both ways while a server is the client's: what happens, and what follows from it.

use super::connection::{Client, Step};
use super::link::Link;
use super::own::OwnWitness;
use super::serve::Left;
use super::turn::{Event, earlier, turn};
use crate::activity::Rest;
use crate::clock::{self, Instant};
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::pool::Mail;
use crate::server::{Hearing, Witness};
use crate::wire::backend::Status;

impl Client {
    /// Passes bytes both ways while the server is the client's, and gives it back.
    #[allow(clippy::manual_async_fn, reason = "an async fn holds its arguments twice, and every client has this one")]
    pub(super) fn relay(&mut self, mut link: Link) -> impl Future<Output = Result<(), Left>> {
        async move {
            self.judge();
            // What lies behind the first part of a request may be all there is: neither side would say anything more.
            if let Err(left) = self.go_on(&mut link) {
                return Err(self.part(link, left));
            }
            // PgOtter may have answered all of it.
            while !self.may_release(&link) {
                self.step(Step::Relay);
                if !std::mem::take(&mut link.turned_down) {
                    self.show_rest(&link);
                    let deadline = earlier(self.deadline(&link), self.hub_deadline(&link));
                    let deadline = earlier(deadline, earlier(self.trial_deadline(), self.next_look_at_catalog()));
                    let deadline = earlier(deadline, self.silence_deadline(&link));
                    let event = turn(self, Some(&mut link.server), deadline).await;
                    if matches!(event, Event::ServerGone) && !self.may_move_once_more() {
                        return Err(self.bereave(link));
                    }
                    if let Err(left) = self.heed(event, &mut link) {
                        return Err(self.part(link, left));
                    }
                    if let Some(why) = self.moves() {
                        self.move_to_primary(link, why);
                        return Ok(());
                    }
                    if (self.must_restore(&link) || self.must_settle(&mut link))
                        && let Err(left) =
                            Box::pin(self.look_back(&mut link)).await.and_then(|()| self.must_be_free(&link))
                    {
                        return Err(self.part(link, left));
                    }
                    self.end_keeping(&link);
                    if self.may_release(&link) {
                        break;
                    }
                }
                if let Err(left) = self.go_on(&mut link) {
                    return Err(self.part(link, left));
                }
            }
            self.release(link)
        }
    }

    /// Something has happened while the server is there.
    fn heed(&mut self, event: Event, link: &mut Link) -> Result<(), Left> {
        link.looked = false;
        match event {
            Event::Client => (self.now, link.looked) = (clock::now(), true),
            Event::Server => self.hear(link)?,
            Event::ClientGone => return Err(if self.hung_up { Left::Terminated } else { Left::Gone }),
            Event::Mail(mail) => self.read_mail(mail, link)?,
            Event::TooMuch => return Err(Left::Refused(self.holding.shed())),
            Event::Deadline if self.silence_deadline(link).is_some_and(|at| at <= clock::now()) => self.probe_client(),
            Event::Deadline if self.trial_deadline().is_some_and(|at| at <= clock::now()) => self.show(),
            Event::Deadline if self.hub_deadline(link).is_some_and(|at| at <= clock::now()) => {
                self.turn_to_hub(link)?
            }
            Event::Deadline
                if self.is_held_by_doubt() && self.deadline(link).is_none_or(|deadline| deadline > clock::now()) => {}
            Event::Deadline if self.is_kept(link) => self.look_at_keeping(&link.lane),
            Event::Deadline => self.time_is_up(link)?,
            Event::ServerGone => self.lose(),
        }
        Ok(())
    }

    fn read_mail(&mut self, mail: Mail, link: &mut Link) -> Result<(), Left> {
        self.draining |= mail.drain;
        self.hear_hub(mail.hub);
        if mail.kill {
            return Err(Left::Refused(self.dismissal()));
        }
        if mail.cancel {
            self.end_wait_for_hub(link);
            self.end_doubt();
        }
        self.turn_to_hub(link)?;
        // A session may be at rest for long.
        if link.is_at_rest() {
            self.renew()?;
        }
        if (mail.cancel || link.cancel_again) && link.server.exchange().owes() {
            self.send_cancel(link);
        }
        Ok(())
    }

    /// What has been done is over: what has it left behind?
    async fn look_back(&mut self, link: &mut Link) -> Result<(), Left> {
        link.looked = false;
        self.step(Step::LookBack);
        if self.must_restore(link) {
            self.restore(link).await?;
        }
        if self.must_settle(link) {
            self.settle(link).await?;
        }
        Ok(())
    }

    /// The hub may have answered, or the client need not wait for it any longer.
    fn turn_to_hub(&mut self, link: &mut Link) -> Result<(), Left> {
        if self.end_wait_for_rest() {
            self.hear(link)?;
        }
        if self.listening.is_some() && link.is_at_rest() && self.block.is_none() && !self.awaits_rest() {
            // It keeps its server between transactions.
            self.tell_news();
            return self.deafness().map_or(Ok(()), |fault| Err(Left::Refused(fault)));
        }
        Ok(())
    }

    /// Passes on what the server said.
    fn hear(&mut self, link: &mut Link) -> Result<(), Left> {
        self.step(Step::Hear);
        if self.awaits_rest() {
            return Ok(());
        }
        let (notifications, visiting) =
            (link.mode == PoolMode::Session || self.has_hidden_listen(), self.is_visiting());
        let queued = self.socket.queued();
        let owed = link.server.exchange().owes();
        let apart = self.is_apart();
        let received = loop {
            let statements = self.statements.as_deref_mut();
            // Elsewhere it neither listens nor is told of it.
            let listens = link.mode != PoolMode::Session && !visiting;
            let witness = self.listening.as_deref_mut().filter(|_| listens);
            let witness = witness.map(|listening| listening as &mut dyn Witness);
            // What is read outside of its block ends nothing.
            let own = self.own.as_deref_mut().filter(|own| own.is_pending() && !apart);
            let mut both;
            let witness = match own {
                None => witness,
                Some(own) => {
                    both = OwnWitness { own, other: witness };
                    Some(&mut both as &mut dyn Witness)
                }
            };
            let (socket, settings) = (&mut self.socket, &mut self.settings);
            let hearing = Hearing {
                blocks: link.mode != PoolMode::Statement,
                apart,
                notifications,
                resets: self.touched.as_ref().map(|touched| touched.resets()),
                base: &self.base,
                writer: self.presence.writer(),
            };
            let held = self.route.as_mut().and_then(|route| route.trial.as_mut()).map(|trial| trial.held());
            match link.server.receive(socket, held, settings, statements, &hearing, witness) {
                Ok(true) if self.come_to_rest() => (),
                other => break other,
            }
        };
        if link.server.exchange().awaits_time() {
            (link.heard, link.looked) = (clock::now(), true);
            link.server.ended_at(link.heard);
        }
        if link.server.exchange().copy_in() && link.awaits_data.is_none() {
            link.awaits_data = Some(clock::now());
        }
        let answered = link.server.take_answered();
        // It may have been PgOtter's own that was answered.
        self.note_answered(&link.server, self.socket.queued() > queued);
        self.learn(link, answered);
        self.show_settings();
        if link.server.take_stale() {
            self.pool.statements().renew();
        }
        // Behind the answer that has said so: should the host be fenced, whatever it still says is not passed on.
        if !link.server.exchange().owes() && link.server.take_role_in_doubt() {
            self.shape.watch.iter().for_each(|watch| watch.ask_now());
        }
        self.heal(link)?;
        let bytes = self.socket.queued() - queued;
        let answered_now = self.shown_now(answered);
        self.meter.heard(bytes, answered_now);
        self.answered_bytes += bytes;
        // Behind that: what was held back is counted when it is shown.
        self.judge();
        self.count_ended(link);
        link.watch.note(answered);
        if let Err(violation) = received {
            tracing::error!(server = %link.server.id, client = %self.id, reason = violation.0, "protocol violation by the server");
            return Err(Left::Refused(
                Fault::fatal(Blame::Server, SqlState::PROTOCOL_VIOLATION, "the server broke the protocol")
                    .with_detail(violation.0),
            ));
        }
        if link.server.lacks_settings() {
            // Nothing of it was run.
            self.drawn.stop();
        }
        if link.server.take_failed_begin() || link.began && link.server.lacks_settings() {
            // It believes to be in a block, and what it sends next would be committed one by one.
            let fault = Fault::fatal(Blame::Server, SqlState::CONNECTION_FAILURE, "the transaction could not be begun");
            return Err(Left::Refused(
                fault.with_detail("Nothing of it was run.").with_hint("See the error before this one."),
            ));
        }
        let limits = &self.shape.settings;
        let timed =
            self.keeps_for_sequences() || limits.idle_transaction_timeout.or(limits.client_idle_timeout).is_some();
        if timed && !link.looked {
            (link.heard, link.looked) = (clock::now(), true);
        }
        let exchange = link.server.exchange();
        link.overdue = link.overdue.filter(|_| exchange.owes());
        link.cancel_again &= exchange.owes();
        if link.mode == PoolMode::Statement && exchange.status() != Status::Idle {
            return Err(Left::Refused(Fault::fatal(
                Blame::Client,
                SqlState::FEATURE_NOT_SUPPORTED,
                "transaction blocks are not allowed in statement pooling mode",
            )));
        }
        self.end_probing(link);
        let moves = self.moves().is_some();
        if owed && !moves && !self.may_release(link) && !link.server.exchange().owes() {
            self.observe(link, self.moment(link));
        }
        Ok(())
    }

    /// When what is at hand has happened.
    pub(super) fn moment(&self, link: &Link) -> Instant {
        if link.looked { self.now.max(link.heard) } else { clock::now() }
    }

    /// The client keeps its server, and waits for what happens next. If nothing is owed to it, that is its own doing.
    fn show_rest(&self, link: &Link) {
        if !link.server.exchange().owes() && link.held.is_none() && !self.is_held_by_doubt() && !self.awaits_rest() {
            self.presence.activity.rests(if link.is_at_rest() { Rest::Between } else { Rest::InTransaction });
        }
    }
}
