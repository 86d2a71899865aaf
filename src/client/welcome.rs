//! The end of login, on the client's worker: what the server reported at its own login is what the client is told.
//! Only the first client of a pool waits for a server.

use super::checkout::NoServer;
use super::connection::Client;
use super::in_force::{InForce, database_removed};
use super::login::LoggedIn;
use super::presence::Presence;
use super::registry::Registry;
use crate::activity::{ClientActivity, Line};
use crate::clock::{self, Instant};
use crate::cluster::{Loading, Target};
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, Severity, SqlState};
use crate::ids::{ClientId, WorkerId};
use crate::metrics::{LoginResult, Meters};
use crate::pool::{Lane, Mailbox};
use crate::router::To;
use crate::server::vet;
use crate::session::{Parameter, TooMuch, Welcome};
use crate::wire::backend::{self, Status};
use bytes::BytesMut;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Longest wait for a server that can be asked something on behalf of a client that comes, and for its answer.
pub(super) const ANSWER: Duration = Duration::from_secs(1);

/// Makes a client of who was let in and tells it so. `None`: it has gone, or was told why not.
pub async fn welcome(
    mut logged_in: LoggedIn,
    id: ClientId,
    worker: WorkerId,
    in_force: Arc<InForce>,
    registry: &Registry,
    meters: &Meters,
    waker: Waker,
) -> Option<Client> {
    logged_in.socket.unpark().ok()?;
    let mailbox = Arc::new(Mailbox::default());
    mailbox.register(&waker);
    // Its end is known from the accept: the system forgets that of a connection that was reset.
    let line = Line { peer: logged_in.peer.end(), ..logged_in.socket.line() };
    let activity = ClientActivity::new(id, line, clock::now());
    let presence = Arc::new(Presence::new(activity, logged_in.pool.clone(), logged_in.user.user(), logged_in.writer));
    let registration = registry.enter(mailbox.clone(), Some(presence.clone()), logged_in.long_key);
    let meter = meters.known_meter(&logged_in.pool.database);
    let mut client = Client::new(
        id,
        worker,
        logged_in.socket,
        mailbox,
        logged_in.pool,
        in_force,
        meter,
        registration,
        presence,
        logged_in.seat,
    );
    let mut wanted = logged_in.startup.settings;
    let own = client.come_with(&mut wanted).map_err(NoServer::Refused);
    let welcomed = match own {
        Ok(()) => client.first_welcome(&wanted, logged_in.until).await,
        Err(refused) => Err(refused),
    };
    match welcomed {
        Ok(welcome) => {
            // Its servers have let us in: there is such a database.
            client.meter = meters.meter(&client.pool.database);
            client.count_application();
            client.whose = client.meter.user(client.presence.user());
            client.meter.keep_circles(&client.rules.circles);
            client.meter.login(LoginResult::Ok);
            client.meter.received(client.socket.received().len());
            client.greet(&welcome);
            Some(client)
        }
        Err(NoServer::Refused(fault)) => {
            let fault = Fault { severity: Severity::Fatal, ..fault };
            client.meter.login(login_result(&fault));
            client.log_fault(&fault);
            client.socket().part(&fault).await;
            None
        }
        Err(NoServer::Dismissed) => {
            let fault = client.dismissal();
            client.socket().part(&fault).await;
            None
        }
        Err(NoServer::SentAway) => {
            client.socket().part(&database_removed()).await;
            None
        }
        Err(NoServer::ClientGone) => None,
    }
}

/// What a refused login counts as.
pub(super) fn login_result(fault: &Fault) -> LoginResult {
    match fault.blame {
        Blame::Server => LoginResult::NoServer,
        Blame::Limit if fault.sqlstate == SqlState::TOO_MANY_CONNECTIONS => LoginResult::Limit,
        Blame::Limit if fault.sqlstate == SqlState::OUT_OF_MEMORY => LoginResult::Limit,
        Blame::Limit | Blame::Pooler => LoginResult::NoServer,
        Blame::Client => match fault.sqlstate {
            SqlState::INVALID_CATALOG_NAME | SqlState::INSUFFICIENT_PRIVILEGE | SqlState::CANNOT_CONNECT_NOW => {
                LoginResult::Auth
            }
            SqlState(code) if code.starts_with("28") => LoginResult::Auth,
            _ => LoginResult::Protocol,
        },
    }
}

/// What the servers' reports are wanted for.
#[derive(Clone, Copy)]
pub(super) enum Occasion {
    /// A login, which is over by then; `None`: nobody waits that long.
    Login(Option<Instant>),
    /// A request, whose client is told that it waits, and which waits no longer than for any server.
    Request,
}

/// What the servers of a lane have reported.
pub(super) struct Reported {
    pub lane: Arc<Lane>,
    pub welcome: Arc<Welcome>,
    /// The lane is the primary's, and may be asked for more.
    pub present: bool,
}

impl Client {
    /// What the pool's servers report; opens the first one if need be. A reload may take it away again. From then on the client
    /// has its settings.
    async fn first_welcome(&mut self, wanted: &[Parameter], until: Option<Instant>) -> Result<Arc<Welcome>, NoServer> {
        let reported = self.reported(Occasion::Login(until)).await?;
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(clock::now()));
        let asked = tokio::time::timeout(left, self.ask_for_welcome(reported, wanted, until)).await;
        asked.unwrap_or_else(|_| Err(NoServer::Refused(too_slow())))
    }

    /// Asks a server what has to be known before its client is let in. Dropped in the middle, it gives the server up.
    async fn ask_for_welcome(
        &mut self,
        reported: Reported,
        wanted: &[Parameter],
        until: Option<Instant>,
    ) -> Result<Arc<Welcome>, NoServer> {
        let Reported { lane, welcome, present } = reported;
        // In front of the catalog, whose reading may take longer than PostgreSQL's word is believed.
        let doubtful = self.lane_in_doubt(&lane, present);
        if present {
            self.read_catalog(&lane).await?;
        }
        if let Some(lane) = doubtful {
            Box::pin(self.ask_for_role(&lane, present, until)).await?;
        }
        let settings = welcome.settings_for(wanted).map_err(|TooMuch| NoServer::Refused(TooMuch.fault()))?;
        if present {
            let open = lane.open_questions(&welcome, wanted);
            if !open.is_empty() {
                Box::pin(self.vet(&lane, open)).await?;
            }
        }
        self.base = lane.share(settings);
        self.settings = self.base.clone();
        Ok(welcome)
    }

    /// What the pool's servers report; opens the first one if need be. While no primary is confirmed, what the last one's reported will do: whoever comes meanwhile
    /// waits with its request, and not in front of it.
    pub(super) async fn reported(&mut self, occasion: Occasion) -> Result<Reported, NoServer> {
        let (asks, end) = match occasion {
            Occasion::Login(until) => (false, until),
            Occasion::Request => (true, None),
        };
        let since = if asks { self.waits_since } else { self.now };
        loop {
            let lane = match self.shape.target(To::Primary) {
                Target::Lane(lane) => lane.clone(),
                Target::NoPrimary(watch) => {
                    let watch = watch.clone();
                    let last = self.shape.lane_or_last().cloned();
                    if let Some((lane, welcome)) = last.and_then(|lane| Some((lane.clone(), lane.welcome()?))) {
                        return Ok(Reported { lane, welcome, present: false });
                    }
                    Box::pin(self.until_primary(&watch, since, end, asks)).await?;
                    continue;
                }
                Target::Removed => return Err(NoServer::SentAway),
            };
            if let Some(welcome) = lane.welcome() {
                return Ok(Reported { lane, welcome, present: true });
            }
            // A login takes its time from now on, whatever has been waited for before.
            let login = self.rules.server_connect_timeout + clock::now().saturating_duration_since(since);
            let request = self.shape.settings.query_wait_timeout;
            let patience = request.filter(|_| asks).map_or(login, |request| request.min(login));
            let patience = end.map_or(patience, |end| end.saturating_duration_since(since).min(patience));
            match self.checkout(&lane, since, Some(patience), asks).await {
                Ok(server) => self.hand_back(&lane, server),
                Err(NoServer::SentAway) if self.look_again().is_ok() => (),
                Err(other) => return Err(other),
            }
        }
    }

    /// The first client of a database waits until it is known what its functions do, or that this cannot be found out.
    pub(super) async fn read_catalog(&mut self, lane: &Arc<Lane>) -> Result<(), NoServer> {
        if self.pool.catalog().is_read() || self.shape.settings.pool_mode == PoolMode::Session {
            return Ok(());
        }
        self.read_catalog_again(lane).await
    }

    /// Reads it if that is due, whether it was read before or not.
    pub(super) async fn read_catalog_again(&mut self, lane: &Arc<Lane>) -> Result<(), NoServer> {
        let catalog = self.pool.catalog().clone();
        match catalog.is_due(self.now) {
            Some(loading) => self.read_with(loading, lane).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Whether it could be read.
    pub(super) async fn read_with(&mut self, loading: Loading, lane: &Arc<Lane>) -> Result<bool, NoServer> {
        Box::pin(async {
            let mut server = match self.checkout(lane, clock::now(), Some(ANSWER), false).await {
                Ok(server) => server,
                Err(why) if why.is_of_client() => return Err(why),
                Err(_) => return Ok(false),
            };
            let read = loading.run(&mut server).await;
            self.hand_back(lane, server);
            self.now = clock::now();
            Ok(read)
        })
        .await
    }

    /// What PostgreSQL would refuse at a login is refused, in its words. Where no server is free that could say, the first
    /// request tells.
    async fn vet(&mut self, lane: &Arc<Lane>, open: Vec<Parameter>) -> Result<(), NoServer> {
        let mut server = match self.checkout(lane, clock::now(), Some(ANSWER), false).await {
            Ok(server) => server,
            Err(NoServer::Refused(_) | NoServer::SentAway) => return Ok(()),
            Err(why) => return Err(why),
        };
        let Ok(verdict) = tokio::time::timeout(ANSWER, vet(&mut server, &open)).await else { return Ok(()) };
        self.hand_back(lane, server);
        match verdict {
            Some(Ok(())) => lane.takes(open),
            Some(Err(fault)) => return Err(NoServer::Refused(fault)),
            None => (),
        }
        Ok(())
    }

    fn greet(&mut self, welcome: &Welcome) {
        self.show_settings();
        let mut out = BytesMut::with_capacity(1024);
        backend::authentication_ok(&mut out);
        for (name, value) in &welcome.parameters {
            let own = self.settings.reported_at(name).and_then(|_| self.settings.get(name));
            // As a standby says, and a driver looks for.
            let standby = self.presence.writer().filter(|_| **name == *b"in_hot_standby").map(|_| &b"on"[..]);
            backend::put_parameter_status(&mut out, name, standby.or(own).unwrap_or(value));
        }
        let key = self.registration.key();
        backend::backend_key_data(&mut out, key.pid, &key.secret);
        backend::ready_for_query(&mut out, Status::Idle);
        self.socket.queue(out);
    }
}

/// A server is there, but answers too late.
fn too_slow() -> Fault {
    Fault::error(Blame::Server, SqlState::CANNOT_CONNECT_NOW, "client_login_timeout: the server takes too long")
        .with_hint("Check that PostgreSQL answers, or raise client_login_timeout.")
}
