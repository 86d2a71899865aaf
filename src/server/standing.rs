//! Whether PostgreSQL would still let a server's role in. A connection that is open stays open whatever becomes of its
//! role; the next client must not profit from that.

use super::ask::{Answer, Row, ask};
use super::connection::Server;
use super::login::LoginError;

/// The role that logged in, whatever a client or a connect_query has made of the current one and of the session's: PostgreSQL notes it once
/// for each process. Its operators are named in full: who may set the role's search_path may have made others.
const QUESTION: &str = "SELECT rolcanlogin AND \
                        (rolvaliduntil IS NULL OR rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now()) \
                        FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) \
                        JOIN pg_catalog.pg_roles ON oid OPERATOR(pg_catalog.=) usesysid";

/// No answer to it is longer.
const ANSWER: usize = 8 * 1024;

/// What a server says of its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It could log in now.
    MayLogIn,
    /// It may not log in, has expired, or is gone.
    Barred,
    /// It was not to be found out: the server may not look, or its answer cannot be understood.
    Unknown,
}

/// Asks an idle server. None: it is dead. No deadline of its own.
pub async fn standing(server: &mut Server) -> Option<Standing> {
    ask(server, QUESTION, ANSWER).await.map(|answer| read(&answer))
}

/// As whoever is let in no more hears it.
pub fn barred(role: &str) -> LoginError {
    LoginError::Refused {
        sqlstate: "28000".to_owned(),
        message: format!("role \"{role}\" is not permitted to log in"),
        detail: Some("PostgreSQL says that it may not log in, has expired, or is gone."),
    }
}

fn read(answer: &Answer) -> Standing {
    let value = |row: &Row| row.first().cloned().flatten();
    match (&answer.error, answer.rows.as_slice()) {
        (Some(_), _) => Standing::Unknown,
        (None, []) => Standing::Barred,
        (None, [row]) => match value(row).as_deref() {
            Some(b"t") => Standing::MayLogIn,
            Some(b"f") => Standing::Barred,
            _ => Standing::Unknown,
        },
        (None, _) => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests;
