//! What commands do.

use super::command::{Command, Ending, Show, fault};
use super::desk::Process;
use super::serve::{Console, Interrupted};
use super::show::{self, Row};
use crate::cluster::{NotPaused, NotResumed};
use crate::config::{Rights, is_console};
use crate::fault::{Blame, Fault, SqlState};
use crate::ids::ClientId;
use crate::wire::rows::Column;

/// PgBouncer's, as far as it is here.
const HELP: &str = "\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION\n\
    \tSHOW LISTS|STATE|HOSTS|ROUTES|QUERIES|SLOW_QUERIES|ALERTS|ACTIVE|PINS|ERRORS|APPLICATIONS|IDLE_TRANSACTIONS\n\
    \tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS\n\
    \tSHOW QUERIES <window>\n\
    \tSHOW HISTOGRAM|CALLERS|ROUTES <fingerprint>\n\
    \tRELOAD\n\
    \tPAUSE [<db>]\n\
    \tRESUME [<db>]\n\
    \tRECONNECT [<db>]\n\
    \tCANCEL <client_id>\n\
    \tKILL_CLIENT <client_id>\n\
    \tSHUTDOWN\n\
    \tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS";

/// What a command comes to.
#[derive(Default)]
pub struct Answer {
    /// Of the rows; none: there are no rows.
    pub columns: Vec<Column>,
    /// In order.
    pub rows: std::vec::IntoIter<Row>,
    /// Said in front of the end.
    pub notice: Option<Fault>,
    /// Of CommandComplete; empty: nothing was asked for.
    pub tag: &'static str,
    /// The end of the process, once the answer is on its way.
    pub end: Option<Ending>,
}

impl Answer {
    fn done(tag: &'static str) -> Self {
        Self { tag, ..Self::default() }
    }
}

/// Why a command comes to nothing.
pub enum Failed {
    /// It was refused, or it failed.
    Told(Fault),
    /// Nobody is there any more to be told.
    Gone,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Told(fault)
    }
}

impl<P: Process> Console<'_, P> {
    /// Carries out a command, unless this user may not.
    pub(super) async fn perform(&mut self, command: &Command) -> Result<Answer, Failed> {
        self.check_rights(command)?;
        if !matches!(command, Command::Show(_) | Command::Empty | Command::Set) {
            tracing::info!(user = %self.user, ?command, "console");
        }
        let desk = self.desk;
        Ok(match command {
            Command::Empty => Answer::default(),
            Command::Show(Show::Help) => Answer { notice: Some(notice("Console usage").with_detail(HELP)), ..shown() },
            Command::Show(show) => {
                let rights = desk.process.config().console_rights(&self.user).unwrap_or(Rights::Look);
                Answer { columns: show::columns(*show), rows: show::rows(desk, *show, rights)?.into_iter(), ..shown() }
            }
            Command::Set => Answer { notice: Some(notice("SET ignored")), ..Answer::done("SET") },
            Command::SetSetting => return Err(unsupported("SET of a setting").into()),
            Command::Later(name) => return Err(unsupported(name).into()),
            Command::Reload if desk.process.reload().await => Answer::done("RELOAD"),
            Command::Reload => {
                let message = "RELOAD failed, see logs for additional details".to_owned();
                return Err(fault(SqlState::CONFIG_FILE_ERROR, message).into());
            }
            Command::Pause(database) => self.pause(database.as_deref()).await?,
            Command::Resume(database) => self.resume(database.as_deref())?,
            Command::Reconnect(database) => self.reconnect(database.as_deref())?,
            Command::KillClient(number) if desk.process.expel(ClientId(*number)) => Answer::done("KILL_CLIENT"),
            Command::KillClient(_) => {
                return Err(fault(SqlState::UNDEFINED_OBJECT, "client not found".to_owned()).into());
            }
            Command::Cancel(number) if desk.process.cancel(ClientId(*number)) => Answer::done("CANCEL"),
            Command::Cancel(number) => {
                let message = format!("there is no client {number}");
                return Err(fault(SqlState::UNDEFINED_OBJECT, message).with_hint("SHOW CLIENTS has their ids.").into());
            }
            Command::Shutdown(how) => Answer { end: Some(*how), ..Answer::done("SHUTDOWN") },
        })
    }

    /// Asked each time: a reload may have taken them away.
    fn check_rights(&self, command: &Command) -> Result<(), Fault> {
        let needed = match command {
            Command::Show(_) | Command::Empty | Command::Set => Rights::Look,
            _ => Rights::Everything,
        };
        let refused = |message: &str| fault(SqlState::INSUFFICIENT_PRIVILEGE, message.to_owned());
        match self.desk.process.config().console_rights(&self.user) {
            Some(rights) if rights >= needed => Ok(()),
            Some(_) => Err(refused("admin access needed")),
            None => Err(refused("not allowed")),
        }
    }

    /// Answers once no server is open any more. Whoever breaks it off, as psql does with ^C, ends what he has begun, and
    /// no pause of others; the pause of whoever vanishes meanwhile stays.
    async fn pause(&mut self, database: Option<&str>) -> Result<Answer, Failed> {
        let desk = self.desk;
        no_console("pause", database)?;
        let begun = desk.process.pause(database).map_err(|why| match why {
            NotPaused::Already => not_now(&why.to_string()),
            NotPaused::NoSuchDatabase(_) => fault(SqlState::INVALID_CATALOG_NAME, why.to_string()),
        })?;
        match self.watched(desk.cluster.until_quiet(database)).await {
            Ok(()) if desk.cluster.is_paused(database) => Ok(Answer::done("PAUSE")),
            Ok(()) => Err(not_now("the pause was ended before it was complete").into()),
            Err(Interrupted::Cancelled) => {
                let detail = if begun {
                    desk.process.take_back_pause(database);
                    "The pause has been ended."
                } else {
                    "It was paused before, and stays so."
                };
                let message = "canceling statement due to user request".to_owned();
                Err(fault(SqlState::QUERY_CANCELED, message).with_detail(detail).into())
            }
            Err(Interrupted::Gone) => Err(Failed::Gone),
        }
    }

    fn resume(&self, database: Option<&str>) -> Result<Answer, Fault> {
        if database.is_none() && self.desk.metrics.process.is_stopping() {
            return Err(not_now("pooler is shutting down"));
        }
        match self.desk.process.resume(database) {
            Ok(()) => Ok(Answer::done("RESUME")),
            Err(why @ NotResumed::NoSuchDatabase(_)) => Err(fault(SqlState::INVALID_CATALOG_NAME, why.to_string())),
            Err(why) => Err(not_now(&why.to_string())),
        }
    }

    fn reconnect(&self, database: Option<&str>) -> Result<Answer, Fault> {
        no_console("reconnect", database)?;
        if self.desk.process.reconnect(database) {
            return Ok(Answer::done("RECONNECT"));
        }
        let message = format!("no such database: {}", database.unwrap_or_default());
        Err(fault(SqlState::INVALID_CATALOG_NAME, message))
    }
}

fn shown() -> Answer {
    Answer::done("SHOW")
}

fn notice(message: &'static str) -> Fault {
    Fault::error(Blame::Pooler, SqlState::SUCCESSFUL_COMPLETION, message)
}

fn unsupported(what: &str) -> Fault {
    fault(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported yet"))
        .with_hint("A setting is changed in the file, and RELOAD applies it.")
}

fn not_now(why: &str) -> Fault {
    fault(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, why.to_owned())
}

fn no_console(verb: &str, database: Option<&str>) -> Result<(), Fault> {
    match database.filter(|name| is_console(name)) {
        Some(name) => {
            let message = format!("cannot {verb} admin db: {name}");
            Err(fault(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
        None => Ok(()),
    }
}
