//! Where a message names a statement or a portal. Pure, and knows nothing of what they stand for.

use crate::fault::{Blame, Fault, SqlState};
use crate::server::Message;
use crate::session::ServerName;
use crate::wire::frame::{HEAD, Head, SMALL_LIMIT};
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

/// Whether each message of a chunk, whose first byte is that of one, can go with a name of ours. To be asked before any of it is sent. `is_whole`: it
/// is no part of a longer message.
///
/// # Errors
/// FATAL 54000: with that name one would be longer than PostgreSQL reads, or a name is too long to be read.
pub(super) fn check_room(chunk: &[u8], is_whole: bool) -> Result<(), Fault> {
    // Nearly all requests are shorter than even those messages may be that must be short.
    if is_whole && chunk.len() + ServerName::BYTES_MAX <= SMALL_LIMIT {
        return Ok(());
    }
    let mut rest = chunk;
    while let Some(head) = Head::read(rest)
        && let Some(total) = head.frame_len()
    {
        // Of nearly all it is enough to know how long they are.
        if frontend::renamed(head, 0, ServerName::BYTES_MAX).is_none() {
            let body = &rest[HEAD..total.min(rest.len())];
            check_name(head, &Message { kind: head.kind, body, whole: rest.len() >= total, total })?;
        }
        let Some(behind) = rest.get(total..) else { break };
        rest = behind;
    }
    Ok(())
}

fn check_name(head: Head, message: &Message<'_>) -> Result<(), Fault> {
    let name = match read(message)? {
        // These keep the name that is none.
        Said::Parse { name } | Said::Close { name } if name.is_empty() => return Ok(()),
        Said::Parse { name } | Said::Close { name } | Said::Use { name } => name,
        _ => return Ok(()),
    };
    match frontend::renamed(head, name.len(), ServerName::BYTES_MAX) {
        Some(_) => Ok(()),
        None => Err(Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "message with a name is too long")
            .with_detail(
                "Statements have other names at servers, and under such a one PostgreSQL would not read the message.",
            )
            .with_hint("Use the unnamed statement for what is nearly 1 GB long, or send a few bytes less.")),
    }
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
        Some(end) => Ok(Some(at..at + end)),
        None if message.whole => Ok(None),
        None => Err(Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "name of a statement is too long")
            .with_hint("Use a shorter name; PostgreSQL looks at its first 63 bytes only.")),
    }
}

#[cfg(test)]
mod tests;
