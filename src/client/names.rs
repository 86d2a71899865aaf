//! Where a message names a statement or a portal. Pure, and knows nothing of what they stand for.

use crate::fault::{Blame, Fault, SqlState};
use crate::server::Message;
use crate::session::ServerName;
use crate::wire::frontend::{self, kind};
use std::ops::Range;

/// What a message says about statements, and where in its body it names one.
pub(super) enum Said {
    Other,
    Query,
    Call,
    Parse { name: Range<usize> },
    Use { name: Range<usize> },
    Execute { portal: Range<usize> },
    DescribePortal { portal: Range<usize> },
    Close { name: Range<usize> },
    ClosePortal { portal: Range<usize> },
}

/// Reads the head of its body.
///
/// # Errors
/// FATAL 54000 for a name that is too long to be read.
pub(super) fn read(message: &Message<'_>) -> Result<Said, Fault> {
    Ok(match message.kind {
        kind::QUERY => Said::Query,
        kind::FUNCTION_CALL => Said::Call,
        kind::PARSE => name(message, 0)?.map_or(Said::Other, |name| Said::Parse { name }),
        kind::BIND => match name(message, 0)? {
            Some(portal) => name_at(message, portal.end + 1)?,
            None => Said::Other,
        },
        kind::DESCRIBE if message.body.first() == Some(&b'S') => name_at(message, 1)?,
        kind::DESCRIBE if message.body.first() == Some(&b'P') => {
            name(message, 1)?.map_or(Said::Other, |portal| Said::DescribePortal { portal })
        }
        kind::EXECUTE => name(message, 0)?.map_or(Said::Other, |portal| Said::Execute { portal }),
        kind::CLOSE if message.body.first() == Some(&b'S') => {
            name(message, 1)?.map_or(Said::Other, |name| Said::Close { name })
        }
        kind::CLOSE if message.body.first() == Some(&b'P') => {
            name(message, 1)?.map_or(Said::Other, |portal| Said::ClosePortal { portal })
        }
        _ => Said::Other,
    })
}

fn name_at(message: &Message<'_>, at: usize) -> Result<Said, Fault> {
    Ok(name(message, at)?.map_or(Said::Other, |name| Said::Use { name }))
}

/// Whether the longest of our names fits in the place of one of so many bytes.
fn has_room(message: &Message<'_>, bytes: usize) -> bool {
    frontend::limit(message.kind).is_some_and(|limit| message.total - bytes + ServerName::BYTES_MAX <= limit)
}

/// Where the name is that begins at `at`. `None`: it does not end, of which PostgreSQL will complain.
#[inline]
fn name(message: &Message<'_>, at: usize) -> Result<Option<Range<usize>>, Fault> {
    // What most are called.
    if message.body.get(at) == Some(&0) {
        return Ok(Some(at..at));
    }
    long_name(message, at)
}

fn long_name(message: &Message<'_>, at: usize) -> Result<Option<Range<usize>>, Fault> {
    let end = message.body.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0));
    match end {
        // With a name of ours in its place PostgreSQL would not read it.
        Some(end) if !has_room(message, end) => {
            Err(Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "message with a name is too long")
                .with_hint("Use the unnamed statement for what is nearly 1 GB long."))
        }
        Some(end) => Ok(Some(at..at + end)),
        None if message.whole => Ok(None),
        None => Err(Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "name of a statement is too long")
            .with_hint("Use a shorter name; PostgreSQL looks at its first 63 bytes only.")),
    }
}
