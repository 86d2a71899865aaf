//! Whether PostgreSQL takes the settings with which a client comes. Asked in a transaction that comes to nothing: what was set
//! in it is undone.

use super::ask::hear_answer;
use super::connection::Server;
use super::forwarding::NOTHING;
use super::guard::Own;
use super::reply_queue::Disposition::Forward;
use crate::fault::{Blame, Fault, SqlState};
use crate::session::{Lack, Parameter};
use crate::wire::backend::{error_field, kind as backend_kind};
use crate::wire::frame;
use crate::wire::frontend::{self, kind};
use bytes::{Buf, BytesMut};

/// PostgreSQL's word for that.
const NO_SUCH_STATEMENT: &[u8] = b"26000";

/// No answer to it is longer: nothing in it is longer than a startup packet.
const ANSWER: usize = 256 * 1024;

/// Who a session runs as is set last, as in `session::Settings::lacking`.
const ROLES: [&[u8]; 2] = [b"session_authorization", b"role"];

/// What PostgreSQL says of a value at a login. Anything else may be of this moment.
const REFUSALS: [SqlState; 8] = [
    SqlState::INVALID_PARAMETER_VALUE,
    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
    SqlState::UNDEFINED_OBJECT,
    SqlState::INSUFFICIENT_PRIVILEGE,
    SqlState::INVALID_NAME,
    SqlState::CANT_CHANGE_RUNTIME_PARAM,
    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    SqlState::FEATURE_NOT_SUPPORTED,
];

/// Asks an idle server. The error is PostgreSQL's own, as FATAL. `None`: it cannot be said, or the server is dead. No deadline
/// of its own.
pub async fn vet(server: &mut Server, settings: &[Parameter]) -> Option<Result<(), Fault>> {
    let is_role = |name: &[u8]| ROLES.contains(&name);
    let wanted = settings.iter().map(|(name, value)| (&**name, Some(&**value)));
    let mut all: Vec<Lack<'_>> = ROLES.iter().map(|role| (*role, None)).collect();
    all.extend(wanted.clone().filter(|(name, _)| !is_role(name)));
    all.extend(ROLES.iter().filter_map(|role| wanted.clone().find(|(name, _)| name == role)));
    let mut own = Own::default();
    own.settings(&all);
    own.put(kind::CLOSE, |out| frontend::close_statement(out, NOTHING));
    own.put(kind::DESCRIBE, |out| frontend::describe_statement(out, NOTHING));
    own.put(kind::SYNC, frontend::sync);
    server.send_own(own, Forward);
    let heard = hear_answer(server, ANSWER).await?;
    server.boundary()?;
    verdict(heard)
}

/// The first error tells.
fn verdict(mut heard: BytesMut) -> Option<Result<(), Fault>> {
    while let Some((message, body, total)) = frame::first(&heard) {
        if message == backend_kind::ERROR_RESPONSE {
            let code = error_field(body, b'C')?;
            if code == NO_SUCH_STATEMENT {
                return Some(Ok(()));
            }
            let code = REFUSALS.into_iter().find(|known| known.0.as_bytes() == code)?;
            return Some(Err(refusal(code, body)));
        }
        heard.advance(total);
    }
    None
}

fn refusal(code: SqlState, body: &[u8]) -> Fault {
    let field = |letter| error_field(body, letter).map(|text| String::from_utf8_lossy(text).into_owned());
    let fault = Fault::fatal(Blame::Client, code, field(b'M').unwrap_or_default());
    Fault { detail: field(b'D').map(Into::into), hint: field(b'H').map(Into::into), ..fault }
}
