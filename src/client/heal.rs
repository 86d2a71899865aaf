//! A request is sent once more, because PostgreSQL has refused it for what has changed since its statement was prepared, and has done
//! nothing for it. `server/again.rs` says when. The statement is prepared anew for that, and its client's name stands for the new one.

use super::connection::Client;
use super::link::Link;
use super::serve::Left;
use crate::metrics::Retry;
use crate::session::Certain;

impl Client {
    /// Sends the request that was sent last once more, if that is due. Whatever is answered then, the client is told.
    pub(super) fn heal(&mut self, link: &mut Link) -> Result<(), Left> {
        let Some((name, bytes)) = link.server.take_again() else { return Ok(()) };
        tracing::debug!(client = %self.id, server = %link.server.id, "a statement is prepared anew");
        self.meter.retried(Retry::StalePlan);
        // As when it was sent first: nothing of it was run.
        self.begin_transaction(&mut link.server);
        self.prepare_anew(&name);
        let first = bytes.first().copied();
        self.send(link, bytes, first)?;
        link.server.send_only_once();
        Ok(())
    }

    /// From now on a name stands for its statement as PostgreSQL makes it now.
    fn prepare_anew(&mut self, name: &[u8]) {
        let readings = self.own_readings();
        let Some(statements) = self.statements.as_deref_mut() else { return };
        let Some(body) = statements.get(name).and_then(|statement| statement.body()).map(Box::<[u8]>::from) else {
            return;
        };
        let mut table = self.pool.statements();
        let shared = table.share(&body, &self.settings);
        let anew = shared.unwrap_or_else(|| table.own(&body, &self.settings, Certain::All, readings));
        drop(table);
        statements.put(name, Some(anew));
    }
}
