//! What the console has done: the operator behind `admin::Process`, and the way from the door to the desk.

use super::operator::{Operator, Shutdown};
use crate::activity::ClientSeen;
use crate::admin::{Desk, Ending, Process, Visitor, serve};
use crate::client::Caller;
use crate::cluster::{NotPaused, NotResumed};
use crate::config::Config;
use crate::ids::ClientId;
use std::sync::Arc;

impl Process for Arc<Operator> {
    fn config(&self) -> Arc<Config> {
        Operator::config(self)
    }

    fn clients(&self) -> Vec<ClientSeen> {
        self.registry.seen()
    }

    fn seats(&self) -> (usize, usize) {
        (self.seats.limit(), self.seats.taken())
    }

    fn is_closing(&self) -> bool {
        self.registry.is_closing()
    }

    async fn reload(&self) -> bool {
        Operator::reload(self).await.is_ok()
    }

    fn pause(&self, database: Option<&str>) -> Result<bool, NotPaused> {
        Operator::pause(self, database)
    }

    fn take_back_pause(&self, database: Option<&str>) {
        Operator::take_back_pause(self, database);
    }

    fn resume(&self, database: Option<&str>) -> Result<(), NotResumed> {
        Operator::resume(self, database)
    }

    fn reconnect(&self, database: Option<&str>) -> bool {
        Operator::reconnect(self, database)
    }

    fn expel(&self, client: ClientId) -> bool {
        self.registry.expel(client)
    }

    fn cancel(&self, client: ClientId) -> bool {
        self.registry.cancel_of(client)
    }

    fn end(&self, how: Ending) {
        self.shutdown(match how {
            Ending::Now => Shutdown::Now,
            Ending::WhenTransactionsEnd => Shutdown::WaitForTransactions,
            Ending::WhenClientsLeave => Shutdown::WaitForClients,
        });
    }
}

/// Seats somebody at the console until he leaves. Runs on the front thread, for which this is nothing: what is shown is
/// read, and what takes long is done elsewhere.
pub async fn console(caller: Caller, id: ClientId, desk: &Desk<Arc<Operator>>) {
    let Caller { socket, user, database, registration, cancelled, .. } = caller;
    let user = user.user().to_owned();
    let visitor = Visitor { id, socket, user, database, key: registration.key().clone(), cancelled };
    serve(visitor, desk).await;
    drop(registration);
}
