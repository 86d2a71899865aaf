//! Whether PostgreSQL would still let in the role of the servers that a client is to have. Asked at a login, and when a rule sends a client
//! to another entry.

use super::checkout::{NoServer, refused, waited_too_long};
use super::connection::Client;
use super::welcome::ANSWER;
use crate::clock::{self, Instant};
use crate::fault::{Fault, Severity};
use crate::pool::Lane;
use crate::server::{LoginError, Standing, barred, standing};
use std::sync::Arc;
use std::time::Duration;

/// Servers that serve transactions change hands sooner; for those that are kept longer a connection of its own asks.
const TURN: Duration = Duration::from_millis(250);

impl Client {
    /// The lane that is to be asked for the role: the primary's, or where that has no servers, one whose servers are there for it; only such a
    /// one while the primary is not `present`. `None`: it need not be asked.
    pub(super) fn lane_in_doubt(&self, primary: &Arc<Lane>, present: bool) -> Option<Arc<Lane>> {
        let may_serve = |lane: &&Arc<Lane>| lane.has_servers(self.now) && (present || !Arc::ptr_eq(lane, primary));
        let other = || self.shape.lanes.iter().find(may_serve);
        let lane = if may_serve(&primary) { primary } else { other().or(present.then_some(primary))? };
        lane.must_ask(self.now).then(|| lane.clone())
    }

    /// Servers stay open when their role expires, may not log in any more or is dropped. Its next client is refused all
    /// the same, and so is one for whom that cannot be found out within `server_connect_timeout`, nor until then. While the primary is not
    /// `present` only what is there is asked, and whoever comes is let in if that says nothing.
    pub(super) async fn ask_for_role(
        &mut self,
        lane: &Arc<Lane>,
        present: bool,
        until: Option<Instant>,
    ) -> Result<(), NoServer> {
        let since = self.now;
        let most = self.rules.server_connect_timeout;
        let most = until.map_or(most, |until| until.saturating_duration_since(since).min(most));
        let patience = if lane.has_servers(since) { TURN.min(most) } else { most };
        let answer = match self.ask_its_servers(lane, since, patience).await {
            Ok(None) if present && lane.has_servers(self.now) => self.ask_beside(lane, since, most).await,
            answer => answer,
        };
        match answer {
            Ok(Some(true)) => {
                lane.may_log_in(self.now);
                Ok(())
            }
            Ok(Some(false)) => {
                lane.barred();
                Err(not_permitted(lane))
            }
            Ok(None) if !present && !lane.is_barred() => Ok(()),
            // Whoever opens the next server hears of the role.
            Ok(None) if !lane.has_servers(self.now) && lane.goes_unasked(self.now) => Ok(()),
            Ok(None) => Err(NoServer::Refused(waited_too_long(lane, since))),
            // A reload has taken the lane away: the first request asks the next one.
            Err(NoServer::SentAway) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// `None`: no server became free in time, or it could not say; one that does not answer is closed.
    async fn ask_its_servers(
        &mut self,
        lane: &Arc<Lane>,
        since: Instant,
        patience: Duration,
    ) -> Result<Option<bool>, NoServer> {
        let mut server = match self.checkout(lane, since, Some(patience), false).await {
            Ok(server) => server,
            Err(why @ NoServer::Refused(_)) if !why.is_of_client() => {
                if !lane.failure().is_some_and(|failure| is_barred(&failure)) {
                    return Ok(None);
                }
                lane.barred();
                return Err(why);
            }
            Err(why) => return Err(why),
        };
        // The others were dead: PostgreSQL has let the role in just now, whatever it would say of it.
        let says = if server.opened() >= since {
            Some(Standing::MayLogIn)
        } else {
            tokio::time::timeout(ANSWER, standing(&mut server)).await.unwrap_or(None)
        };
        self.now = clock::now();
        Ok(says.and_then(|says| {
            self.hand_back(lane, server);
            match says {
                Standing::MayLogIn => Some(true),
                Standing::Barred => Some(false),
                Standing::Unknown => None,
            }
        }))
    }

    /// Where that comes to nothing, say for want of room in PostgreSQL, a server of the pool's is waited for.
    async fn ask_beside(
        &mut self,
        lane: &Arc<Lane>,
        since: Instant,
        patience: Duration,
    ) -> Result<Option<bool>, NoServer> {
        let id = self.pool.fresh_server_id();
        let until = since.checked_add(patience).unwrap_or(since);
        let asked = tokio::time::timeout_at(until.into(), lane.ask_beside(id)).await;
        self.now = clock::now();
        match asked {
            Ok(Ok(Some(may))) => Ok(Some(may)),
            Ok(Err(error)) if is_barred(&error) => {
                lane.barred();
                Err(refused(&error))
            }
            _ => self.ask_its_servers(lane, since, patience).await,
        }
    }
}

/// Whether PostgreSQL has refused the role, and not we PostgreSQL.
fn is_barred(error: &LoginError) -> bool {
    matches!(error, LoginError::Refused { .. }) && error.is_final()
}

/// A role that PostgreSQL bars.
fn not_permitted(lane: &Lane) -> NoServer {
    NoServer::Refused(Fault { severity: Severity::Error, ..barred(&lane.role()).fault() })
}
