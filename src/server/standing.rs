//! Whether PostgreSQL would still let a server's role in. A connection that is open stays open whatever becomes of its
//! role; the next client must not profit from that.

use super::ask::{Answer, ask};
use super::connection::Server;

/// The role that logged in, whatever a client has made of the current one. A client that bends search_path bends the
/// answer for its own role alone.
const QUESTION: &str = "SELECT rolcanlogin AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now()) \
                        FROM pg_catalog.pg_roles WHERE rolname = SESSION_USER";

/// No answer to it is longer.
const ANSWER: usize = 8 * 1024;

/// Asks an idle server. True also where the answer cannot be understood: then the role is only not known to be barred.
/// None: the server is dead. No deadline of its own.
pub async fn may_log_in(server: &mut Server) -> Option<bool> {
    if server.belief.is_somebody_else() {
        // It would speak of a role that a client has taken on.
        return Some(true);
    }
    ask(server, QUESTION, ANSWER).await.map(|answer| is_fine(&answer))
}

fn is_fine(answer: &Answer) -> bool {
    match &answer.error {
        // What is not allowed, or takes too long, says nothing of the role, unless it is that there is none.
        Some(code) => **code != *b"42704",
        None => answer.rows.iter().any(|row| !matches!(row.first(), Some(Some(value)) if **value == *b"f")),
    }
}

#[cfg(test)]
mod tests;
