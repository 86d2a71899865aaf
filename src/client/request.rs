//! Gathering a request: everything up to a Query, FunctionCall, Sync or Flush, at most `request_gather` bytes of it; a
//! longer one is handed on as it comes. Only heads are read. Pure: it is shown the inbox and says how much to take.

use crate::fault::Fault;
use crate::wire::frame::{HEAD, Head};
use crate::wire::frontend::{self, kind};
use memchr::memchr_iter;

/// Bytes of a message that are gathered, whatever the limit, to find the ends of the names in front. PostgreSQL takes longer names, and
/// looks at their first 63 bytes.
const NAMES_MAX: usize = 1024 * 1024;

/// What lies at the front of a client's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// Nothing complete yet.
    More,
    /// That many bytes can be handed on; `end` tells what ended the request, `None` while it goes on.
    Take {
        /// Bytes from the front of the inbox.
        bytes: usize,
        /// Type of the message that ended the request.
        end: Option<u8>,
        /// Type of its first message; `None` in the middle of a message.
        first: Option<u8>,
    },
    /// The client says goodbye.
    Terminate,
}

/// Where gathering stands between two looks at the inbox.
#[derive(Debug, Default)]
pub struct Gather {
    // Bytes at the front of the inbox that belong to complete messages of the request.
    complete: usize,
    // A message was handed on in part: bytes still to come, and its type.
    passing: usize,
    passing_kind: u8,
    // The request is longer than what is gathered: hand on as it comes.
    streaming: bool,
    // More than what is gathered of a request is waited for: a name goes on. How many bytes of the message's body have been
    // looked at, and how many names have ended in them.
    looked_at: u32,
    ended: u8,
}

impl Gather {
    /// Looks at the inbox; `limit` is `request_gather`. COPY data is handed on as it comes: a server may wait for it.
    ///
    /// # Errors
    /// FATAL 08P01 for a message that PostgreSQL would not read.
    pub fn look(&mut self, inbox: &[u8], limit: usize) -> Result<Gathered, Fault> {
        if self.passing > 0 {
            return Ok(self.pass_on(inbox));
        }
        let mut names = (std::mem::take(&mut self.looked_at), std::mem::take(&mut self.ended));
        // What is handed on begins there.
        let first = inbox.first().copied();
        while let Some(head) = inbox.get(self.complete..).and_then(Head::read) {
            let total = frontend::check(head)?;
            if head.kind == kind::TERMINATE {
                // What stands before it was never synced; PostgreSQL runs it, and a COMMIT among it counts.
                return Ok(if self.complete > 0 { self.take(None, first) } else { Gathered::Terminate });
            }
            let whole = inbox.len() - self.complete >= total;
            let copy = is_copy(head.kind) && self.complete == 0;
            if is_copy(head.kind) && self.complete > 0 {
                // What stands in front of it goes first: what it is, depends on the answers.
                self.streaming = true;
                return Ok(self.take(None, first));
            }
            // Names stand in front, and must be read: such a message is handed on in part only if it stands alone, and
            // then as much of it as is gathered of a request.
            if !whole && (names_something(head.kind) || head.kind == kind::EXECUTE) {
                if inbox.len() <= limit {
                    return Ok(Gathered::More);
                }
                if self.complete > 0 {
                    self.streaming = true;
                    return Ok(self.take(None, first));
                }
                let body = inbox.get(HEAD..).unwrap_or_default();
                if inbox.len() <= NAMES_MAX && !names_end(&mut names, head.kind, body) {
                    (self.looked_at, self.ended) = names;
                    return Ok(Gathered::More);
                }
            }
            if !whole && (copy || self.streaming || inbox.len() > limit) {
                return Ok(self.hand_on_part(inbox, head.kind, total, first));
            }
            if !whole {
                return Ok(Gathered::More);
            }
            self.complete += total;
            if ends_request(head.kind) || copy {
                return Ok(self.take(Some(head.kind), first));
            }
            if self.streaming || self.complete > limit {
                self.streaming = true;
                return Ok(self.take(None, first));
            }
        }
        if inbox.len() > limit && self.complete > 0 {
            // What is left is a part of a head, and nothing more is received until the inbox is shorter.
            self.streaming = true;
            return Ok(self.take(None, first));
        }
        Ok(Gathered::More)
    }

    /// With more than this in the inbox nothing more is to be received; `limit` is `request_gather`.
    pub fn room(&self, limit: usize) -> usize {
        if self.looked_at > 0 { limit.max(NAMES_MAX) } else { limit }
    }

    /// Whether the client is between two requests, with nothing of the next one here.
    pub fn is_between(&self, inbox: &[u8]) -> bool {
        inbox.is_empty() && self.passing == 0 && !self.streaming
    }

    /// Whether the inbox holds a Terminate: the end of the connection behind it is no accident, and what stands in
    /// front of it is to be done.
    pub fn says_goodbye(&self, inbox: &[u8]) -> bool {
        let mut rest = inbox.get(self.passing..).unwrap_or_default();
        while let Some(head) = Head::read(rest) {
            if head.kind == kind::TERMINATE {
                return true;
            }
            rest = head.frame_len().and_then(|total| rest.get(total..)).unwrap_or_default();
        }
        false
    }

    /// Type of the Query or FunctionCall that was handed on in part, if one was.
    pub fn passing_simple(&self) -> Option<u8> {
        let simple = matches!(self.passing_kind, kind::QUERY | kind::FUNCTION_CALL);
        (self.passing > 0 && simple).then_some(self.passing_kind)
    }

    /// Whether a message was handed on in part.
    pub fn is_passing(&self) -> bool {
        self.passing > 0
    }

    fn pass_on(&mut self, inbox: &[u8]) -> Gathered {
        let bytes = self.passing.min(inbox.len());
        if bytes == 0 {
            return Gathered::More;
        }
        self.passing -= bytes;
        let ended = self.passing == 0 && ends_request(self.passing_kind);
        self.streaming &= !ended;
        Gathered::Take { bytes, end: ended.then_some(self.passing_kind), first: None }
    }

    fn hand_on_part(&mut self, inbox: &[u8], kind: u8, total: usize, first: Option<u8>) -> Gathered {
        self.streaming |= !is_copy(kind);
        self.passing = self.complete + total - inbox.len();
        self.passing_kind = kind;
        self.complete = inbox.len();
        self.take_keeping_stream(None, first)
    }

    fn take(&mut self, end: Option<u8>, first: Option<u8>) -> Gathered {
        self.streaming &= !end.is_some_and(ends_request);
        self.take_keeping_stream(end, first)
    }

    fn take_keeping_stream(&mut self, end: Option<u8>, first: Option<u8>) -> Gathered {
        let bytes = std::mem::take(&mut self.complete);
        Gathered::Take { bytes, end, first }
    }
}

/// Messages that end a request.
pub fn ends_request(message: u8) -> bool {
    matches!(message, kind::QUERY | kind::FUNCTION_CALL | kind::SYNC | kind::FLUSH)
}

/// Messages that name a statement or may do so.
pub fn names_something(message: u8) -> bool {
    matches!(message, kind::PARSE | kind::BIND | kind::DESCRIBE | kind::CLOSE)
}

/// Whether the names of a statement and a portal that stand in front of such a message end in what is here of its body. No byte is
/// looked at twice: `looked_at` and `ended` say where the last look has come to.
fn names_end((looked_at, ended): &mut (u32, u8), message: u8, body: &[u8]) -> bool {
    let wanted = if message == kind::BIND { 2 } else { 1 };
    let new = usize::try_from(*looked_at).ok().and_then(|at| body.get(at..)).unwrap_or_default();
    memchr_iter(0, new).take(usize::from(wanted - *ended)).for_each(|_| *ended += 1);
    *looked_at = u32::try_from(body.len()).unwrap_or(u32::MAX);
    *ended == wanted
}

/// Messages that mean something only while COPY reads data; PostgreSQL ignores them at any other time.
pub fn is_copy(message: u8) -> bool {
    matches!(message, kind::COPY_DATA | kind::COPY_DONE | kind::COPY_FAIL)
}

#[cfg(test)]
mod tests;
