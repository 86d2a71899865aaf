//! What a client has sent goes on to its server: when it may, and with what in front of it.

use super::connection::{Client, Step};
use super::doubt::Awaits;
use super::link::{At, Link};
use super::listen::{Found, Held, Turn};
use super::request::{Gathered, ends_request, is_copy, names_something};
use super::route::tied_to_replica;
use super::serve::{Left, take};
use super::settle::Bent;
use super::stopwatch::Stopwatch;
use crate::config::PoolMode;
use crate::router::To;
use crate::server::Server;
use bytes::BytesMut;

impl Client {
    /// Sends on what can be sent.
    pub(super) fn go_on(&mut self, link: &mut Link) -> Result<(), Left> {
        self.send_held(link)?;
        self.send_on(link)
    }

    /// Sends the request that waits for the hub, if it need not wait any longer.
    fn send_held(&mut self, link: &mut Link) -> Result<(), Left> {
        match self.advance(link) {
            Turn::Wait => (),
            Turn::Go(held) => {
                let now = self.moment(link);
                link.watch.held_back(link.sent, now);
                (link.sent, link.waited_us) = (now, link.watch.waited_us());
                self.send_at(held.at, link, held.bytes, held.first)?;
            }
            Turn::Refuse(fault, held) => link.turned_down = self.turn_down(link, &fault, *held)?,
        }
        Ok(())
    }

    /// Sends on what the client has sent behind its first request.
    fn send_on(&mut self, link: &mut Link) -> Result<(), Left> {
        let mut looked = None;
        while link.held.is_none()
            && !link.turned_down
            && !self.must_hear_first(link)
            && !link.server.exchange().guard_pending()
            && !link.server.exchange().is_full()
            && (!link.is_refused() || self.is_pinned())
            // What comes next may be for the primary, or for another database.
            && !(self.may_lead_elsewhere() && !self.gather.is_passing() && link.server.exchange().will_answer())
            && !link.awaits_cancel()
            && !link.server.awaits_again()
            && !self.awaits_effects(link)
            && !self.awaits_own(link.server.exchange())
            && !self.awaits_settling(link)
        {
            let look = self.gather.look(self.socket.received(), self.rules.request_gather);
            // The client's last word, be it goodbye or nonsense, is read behind the replies to what stands in front of
            // it, as by PostgreSQL.
            if matches!(look, Ok(Gathered::Terminate) | Err(_)) && link.server.exchange().will_answer() {
                break;
            }
            match look.map_err(Left::Refused)? {
                Gathered::Terminate => return Err(Left::Terminated),
                Gathered::More => break,
                Gathered::Take { bytes, first, end } => {
                    if first.is_some() && end.is_some() {
                        match self.awaits_catalog(bytes, link) {
                            Awaits::Nothing => (),
                            Awaits::Catalog => break,
                            Awaits::Refusal(fault) => {
                                let chunk = take(self.socket.inbox(), bytes);
                                let held = Held::new(chunk, (first, end), At::Nothing, Found::default());
                                link.turned_down = self.turn_down(link, &fault, *held)?;
                                break;
                            }
                        }
                    }
                    if link.is_at_rest() && first.is_some() && end.is_some() && self.leaves_for(bytes, link) {
                        // The server is given back, and the request decides anew.
                        self.drawn.stop();
                        break;
                    }
                    self.leave_out_waiting_for_data(link, self.now);
                    // It was received then, and may have been held back until now.
                    let (received, now) = (self.now, *looked.get_or_insert_with(|| self.moment(link)));
                    let request = Stopwatch::new(received, now);
                    (link.sent, link.waited_us) = (now, request.waited_us());
                    self.presence.activity.requests(received);
                    link.server.activity().requests(now);
                    let begins = link.is_at_rest();
                    if begins {
                        self.must_not_stay()?;
                        if self.to() != To::Primary {
                            // Nothing keeps a client at a replica.
                            return Err(Left::Refused(tied_to_replica()));
                        }
                        link.began = false;
                        self.begin_transaction(&mut link.server);
                        self.renew()?;
                        self.stay();
                        link.since = now;
                        link.busy = None;
                    } else {
                        self.note_more();
                    }
                    let mut chunk = take(self.socket.inbox(), bytes);
                    let whole = first.is_some() && end.is_some();
                    if whole {
                        self.look_for_hint(&chunk, link);
                    }
                    let readings = self.readings(&link.server);
                    let listens = whole && !self.is_visiting();
                    let found = if listens { self.examine(&mut chunk, link.mode, readings) } else { Found::default() };
                    let at = if begins { At::Transaction } else { At::Nothing };
                    // What is owed may be the answer to a Sync of ours.
                    if !link.server.exchange().owes() || found.is_nothing() && link.watch.rests() {
                        link.watch.asked(request);
                    }
                    if found.is_nothing() {
                        self.send_at(at, link, chunk, first)?;
                    } else {
                        link.held = Some(Held::new(chunk, (first, end), at, found));
                        self.send_held(link)?;
                    }
                    link.awaits_data = link.server.exchange().copy_in().then_some(now);
                }
            }
        }
        // The rest of a request that the guard stopped has to go out before its Sync.
        if link.server.exchange().guard_pending() && link.server.exchange().cut_outgoing() {
            let look = self.gather.look(self.socket.received(), self.rules.request_gather).map_err(Left::Refused)?;
            if let Gathered::Take { bytes, first, .. } = look {
                let chunk = take(self.socket.inbox(), bytes);
                self.send(link, chunk, first)?;
            }
        }
        link.server.send_wanted_sync();
        Ok(())
    }

    /// Whether the next request may be for another server than this one.
    fn may_lead_elsewhere(&self) -> bool {
        self.to() != To::Primary || self.elsewhere.is_some()
    }

    /// What the next request names depends on whether an earlier one is skipped, or is a COPY that ends with it. COPY data names
    /// nothing.
    fn awaits_effects(&mut self, link: &mut Link) -> bool {
        let exchange = link.server.exchange();
        let next = self.socket.received().first().copied();
        if self.gather.is_passing() || next.is_some_and(is_copy) {
            return false;
        }
        if exchange.may_be_copying() && next.is_some_and(|kind| names_something(kind) || ends_request(kind)) {
            // PostgreSQL may keep the answer that tells.
            link.server.send_flush();
            return true;
        }
        exchange.awaits_effects()
    }

    /// Nothing is sent before the client's LISTEN or NOTIFY has been answered, but for the data of a COPY.
    fn must_hear_first(&self, link: &Link) -> bool {
        let exchange = link.server.exchange();
        // Nor the rest of what has begun.
        if self.gather.is_passing() || exchange.cut_outgoing() {
            return false;
        }
        self.is_listen_under_way() && exchange.will_answer() && !exchange.copy_in() && !exchange.is_tied_to_client()
            || self.awaits_rest()
    }

    /// Sends a request, or its beginning, with what has to go in front of it.
    pub(super) fn send_at(&mut self, at: At, link: &mut Link, bytes: BytesMut, first: Option<u8>) -> Result<(), Left> {
        match at {
            At::Link => return self.send_first(link, bytes, first),
            At::Transaction if link.mode != PoolMode::Session => self.discard_sequences(&mut link.server, link.mode),
            At::Transaction | At::Nothing => (),
        }
        self.send(link, bytes, first)
    }

    /// Sends a request to a server that has served others.
    fn send_first(&mut self, link: &mut Link, bytes: BytesMut, first: Option<u8>) -> Result<(), Left> {
        self.step(Step::Adopt);
        self.drawn.stop();
        self.begin_transaction(&mut link.server);
        let discards = self.must_discard_sequences(&link.server, link.mode);
        match self.block_to_begin() {
            None => link.server.adopt(&mut self.settings, discards),
            Some(block) => {
                link.server.adopt_and_begin(&mut self.settings, discards, &block.begin, block.portal);
                link.began = true;
            }
        }
        self.step(Step::Send);
        self.send(link, bytes, first)
    }

    /// What was known of an earlier transaction, or has failed in it, is nothing to this one.
    pub(super) fn begin_transaction(&mut self, server: &mut Server) {
        self.drawn.begin();
        // What an earlier one may have set is not known yet if the client is tied to its server.
        self.bent = if self.touched.is_some() { Bent::Any } else { Bent::No };
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.path_bent = false;
        }
        server.forget_failures();
        if let Some(statements) = &mut self.statements {
            statements.end_portals();
        }
    }
}
