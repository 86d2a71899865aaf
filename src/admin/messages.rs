//! The messages of a client that the console understands. Pure.
//!
//! Source: PostgreSQL documentation, "Message Formats".

use crate::fault::{Blame, Fault, SqlState};
use crate::wire::bind::Bind;
use crate::wire::frame::{HEAD, Head, take_cstr, take_i32, take_u16};
use crate::wire::frontend::{self, kind};
use crate::wire::rows::Format;
use bytes::BytesMut;

/// The longest message. Nothing that is said to a console is as long as that.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A command; what is no UTF-8 is no command either.
    Query(String),
    /// A command to be kept under a name.
    Parse {
        /// The name.
        name: Vec<u8>,
        /// The command.
        text: String,
        /// Whether types of parameters come with it.
        parameters: bool,
    },
    /// A portal is made of a statement.
    Bind {
        /// The portal's name.
        portal: Vec<u8>,
        /// The statement's.
        statement: Vec<u8>,
        /// Whether there are values for parameters.
        parameters: bool,
        /// Of the columns: none, one for all, or one for each.
        formats: Vec<Format>,
    },
    /// What a statement or portal returns.
    Describe(Target),
    /// Runs a portal.
    Execute {
        /// Its name.
        portal: Vec<u8>,
        /// Rows at most; 0: all.
        rows: usize,
    },
    /// Forgets a statement or portal.
    Close(Target),
    /// The end of a batch.
    Sync,
    /// Send what there is.
    Flush,
    /// Goodbye.
    Terminate,
    /// There are no functions here.
    FunctionCall,
    /// A rest of a COPY, to be ignored.
    Copy,
}

/// What Describe and Close mean, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement(Vec<u8>),
    /// A portal.
    Portal(Vec<u8>),
}

/// Takes the next message off the front of the inbox; `None`: it is not all there. The inner `Err` is the type of one
/// whose body makes no sense.
///
/// # Errors
/// FATAL 08P01 where it cannot be told where the next message begins, or that is too far away.
pub fn take(inbox: &mut BytesMut) -> Result<Option<Result<Message, u8>>, Fault> {
    let Some(head) = Head::read(inbox) else { return Ok(None) };
    let total = frontend::check(head)?;
    if total > MESSAGE_MAX {
        let message = "message too long for the console";
        return Err(Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, message)
            .with_detail(format!("It may have {MESSAGE_MAX} bytes.")));
    }
    if inbox.len() < total {
        return Ok(None);
    }
    let frame = inbox.split_to(total);
    Ok(Some(read(head.kind, frame.get(HEAD..).unwrap_or_default()).ok_or(head.kind)))
}

fn read(kind: u8, mut body: &[u8]) -> Option<Message> {
    let message = match kind {
        kind::QUERY => Message::Query(text(&mut body)?),
        kind::PARSE => {
            let (name, text) = (name(&mut body)?, text(&mut body)?);
            let types = take_u16(&mut body)?;
            body = body.get(4 * usize::from(types)..)?;
            Message::Parse { name, text, parameters: types > 0 }
        }
        kind::BIND => return bind(body),
        kind::DESCRIBE => Message::Describe(target(&mut body)?),
        kind::CLOSE => Message::Close(target(&mut body)?),
        kind::EXECUTE => {
            let portal = name(&mut body)?;
            // As in PostgreSQL, what is not above 0 means all.
            Message::Execute { portal, rows: usize::try_from(take_i32(&mut body)?).unwrap_or(0) }
        }
        kind::SYNC => Message::Sync,
        kind::FLUSH => Message::Flush,
        kind::TERMINATE => return Some(Message::Terminate),
        kind::FUNCTION_CALL => return Some(Message::FunctionCall),
        kind::COPY_DATA | kind::COPY_DONE | kind::COPY_FAIL => return Some(Message::Copy),
        _ => return None,
    };
    body.is_empty().then_some(message)
}

fn bind(body: &[u8]) -> Option<Message> {
    let bind = Bind::read(body)?;
    let format = |format: &[u8]| match format {
        [0, 0] => Some(Format::Text),
        [0, 1] => Some(Format::Binary),
        _ => None,
    };
    let formats = bind.columns.chunks(2).map(format).collect::<Option<_>>()?;
    let (portal, statement) = (bind.portal.to_vec(), bind.statement.to_vec());
    Some(Message::Bind { portal, statement, parameters: !bind.values.is_empty(), formats })
}

fn target(body: &mut &[u8]) -> Option<Target> {
    let (&what, rest) = body.split_first()?;
    *body = rest;
    match what {
        b'S' => Some(Target::Statement(name(body)?)),
        b'P' => Some(Target::Portal(name(body)?)),
        _ => None,
    }
}

fn name(body: &mut &[u8]) -> Option<Vec<u8>> {
    take_cstr(body).map(<[u8]>::to_vec)
}

fn text(body: &mut &[u8]) -> Option<String> {
    take_cstr(body).map(|text| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    //! Every message, whole and cut.
    use super::*;
    use crate::wire::frontend::message;
    use proptest::prelude::*;

    fn taken(kind: u8, body: &[u8]) -> Result<Option<Result<Message, u8>>, Fault> {
        let mut inbox = BytesMut::new();
        message(&mut inbox, kind, |out| out.extend_from_slice(body));
        take(&mut inbox)
    }

    const WHOLE: [(u8, &[u8]); 8] = [
        (b'Q', b"SHOW POOLS\0"),
        (b'P', b"s\0SHOW POOLS\0\0\x01\0\0\0\x17"),
        (b'B', b"p\0s\0\0\x01\0\0\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\x01\0\x01"),
        (b'D', b"Ss\0"),
        (b'C', b"P\0"),
        (b'E', b"p\0\0\0\0\x05"),
        (b'S', b""),
        (b'H', b""),
    ];

    #[test]
    fn a_message_is_understood_whole_and_in_no_other_length() {
        for (kind, body) in WHOLE {
            assert!(matches!(taken(kind, body), Ok(Some(Ok(_)))), "{kind}");
            for end in 0..body.len() {
                assert_eq!(taken(kind, &body[..end]), Ok(Some(Err(kind))), "{kind} {end}");
            }
            assert_eq!(taken(kind, &[body, b"x"].concat()), Ok(Some(Err(kind))), "{kind}");
        }
        let formats = vec![Format::Binary];
        let bind = Message::Bind { portal: b"p".to_vec(), statement: b"s".to_vec(), parameters: true, formats };
        assert_eq!(taken(WHOLE[2].0, WHOLE[2].1), Ok(Some(Ok(bind))));
    }

    #[test]
    fn a_message_that_is_too_long_or_of_no_type_ends_the_connection() {
        for head in [&b"Q\0\x01\0\x01"[..], b"Q\xff\xff\xff\xff", b"Q\0\0\0\x03", b"p\0\0\0\x04", b"!\0\0\0\x04"] {
            let fault = take(&mut BytesMut::from(head)).expect_err("a violation");
            assert_eq!((fault.severity, fault.sqlstate), (crate::fault::Severity::Fatal, SqlState::PROTOCOL_VIOLATION));
        }
        assert_eq!(take(&mut BytesMut::from(&b"Q\0\0\xff\xff"[..])), Ok(None), "64 KiB are waited for");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn no_bytes_make_it_panic(kind in prop::sample::select(b"QPBDCESHXFdcf!".to_vec()), body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = taken(kind, &body);
        }
    }
}
