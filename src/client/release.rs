//! Every way in which the time with a server ends: it goes back clean, another task brings it back, or it has gone.

use super::connection::{Client, Step};
use super::link::Link;
use super::serve::{Left, shutting_down};
use super::take_back::{Residue, TakeBack, take_back};
use crate::cluster::Loading;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::router::To;
use crate::server::{CleanServer, Leaving};
use crate::wire::backend::Status;

impl Client {
    pub(super) fn may_release(&self, link: &Link) -> bool {
        // Asked for most often while something is owed.
        if link.server.boundary().is_none() {
            return false;
        }
        // A session has not begun before its settings are in force.
        let session = link.mode == PoolMode::Session && !link.server.lacks_settings();
        let tied = self.statements.as_ref().is_some_and(|statements| statements.is_tied());
        let held = (session || tied || self.is_pinned() || self.keeps_for_sequences()) && !self.draining;
        // A cancel on its way could hit the next client.
        let unsettled = self.touched.is_some() && link.mode != PoolMode::Session && !self.draining;
        let waits = link.held.is_some() || self.awaits_rest() || unsettled;
        !held && !waits && !self.gather.is_passing() && !link.server.cancel_under_way()
    }

    /// The server goes back before its last bytes reach a slow client.
    pub(super) fn release(&mut self, mut link: Link) -> Result<(), Left> {
        self.step(Step::Release);
        let Some(boundary) = link.server.boundary() else { return Err(self.part(link, Left::Gone)) };
        if self.is_apart() && link.server.has_told_error() {
            self.fail_block();
        }
        self.now = self.moment(&link);
        self.observe(&mut link, self.now);
        if link.mode == PoolMode::Session && !link.server.lacks_settings() || self.is_pinned() || self.touched.is_some()
        {
            return Err(self.part(link, Left::Refused(shutting_down())));
        }
        if link.server.has_no_future() {
            // Closed by being dropped.
            return Ok(());
        }
        let always = self.rules.server_reset_query_always && link.mode != PoolMode::Session;
        let reads_catalog = link.mode != PoolMode::Session && self.to() == To::Primary;
        let catalog = if !reads_catalog { None } else { self.pool.catalog().is_due(self.now) };
        if always || catalog.is_some() {
            let residue = if always { Residue::Reset(self.rules.server_reset_query.clone()) } else { Residue::Nothing };
            self.take_back(link, Leaving::Terminated, residue, catalog);
            return Ok(());
        }
        link.lane.checkin(self.worker, CleanServer::kept(link.server, boundary), self.now);
        Ok(())
    }

    /// The client leaves its server; another task brings the server back.
    pub(super) fn part(&mut self, mut link: Link, left: Left) -> Left {
        self.step(Step::Part);
        self.note_answered(&link.server, true);
        self.lose_statements(&mut link);
        let leaving = if matches!(left, Left::Terminated) { Leaving::Terminated } else { Leaving::Vanished };
        let cut = link.server.exchange().cut_incoming();
        let residue = self.residue(&link);
        self.take_back(link, leaving, residue, None);
        match left {
            // In the middle of a frame a FATAL would be read as a part of it.
            Left::Refused(fault) if cut => {
                self.log_fault(&fault);
                Left::Gone
            }
            other => other,
        }
    }

    /// Another task brings the server back.
    fn take_back(&mut self, mut link: Link, leaving: Leaving, residue: Residue, catalog: Option<Loading>) {
        self.step(Step::TakeBack);
        if residue != Residue::Nothing && link.mode != PoolMode::Session {
            link.server.forget_settings(self.settings.is_hasty());
        }
        let how = TakeBack {
            lane: link.lane,
            worker: self.worker,
            leaving,
            residue,
            catalog,
            change: self.change.take(),
            computed: (self.computed(), self.pool.catalog().clone()),
            query_timeout: self.shape.settings.query_timeout,
            parting: self.in_force.partings.begin(),
        };
        tokio::task::spawn_local(take_back(link.server, how));
    }

    /// The server has gone; the client hears what that means for what it sent.
    pub(super) fn bereave(&mut self, mut link: Link) -> Left {
        self.step(Step::Bereave);
        self.note_answered(&link.server, true);
        self.lose_statements(&mut link);
        self.pool.catalog().read_behind(self.computed());
        let exchange = link.server.exchange();
        if exchange.said_fatal() || exchange.cut_incoming() {
            return Left::Gone;
        }
        let (code, detail) = if exchange.owes() || exchange.unsynced() {
            (SqlState::TRANSACTION_RESOLUTION_UNKNOWN, "Whether the last statement took effect is unknown.")
        } else if exchange.status() == Status::Idle {
            (SqlState::CONNECTION_FAILURE, "The session is lost; no statement was running.")
        } else {
            (SqlState::CONNECTION_FAILURE, "The transaction was rolled back.")
        };
        let fault = Fault::fatal(Blame::Server, code, "server closed the connection unexpectedly");
        Left::Refused(fault.with_detail(detail).with_hint("Reconnect, and look into the log of PostgreSQL."))
    }
}
