//! What comes back, as whoever listens for the client sees it.

use crate::session::Effect;
use crate::wire::backend::Status;
use bytes::BytesMut;

/// What a client is told of a message.
pub enum Say {
    /// As it came.
    It,
    /// Nothing.
    Nothing,
    /// Another message.
    Instead(BytesMut),
}

/// Where an [`Exchange`](super::Exchange) puts what the client is to see.
pub trait Outlet {
    /// Bytes for the client, whole frames or the next part of one.
    fn pass(&mut self, chunk: BytesMut);
    /// A ParameterStatus; what the client is told.
    fn parameter(&mut self, name: &[u8], value: &[u8]) -> Say;
    /// What a message was taken to do is to be taken back: it was refused (`failed`) or skipped.
    fn take_back(&mut self, effect: Effect, failed: bool) {
        let _ = (effect, failed);
    }
    /// An ErrorResponse for the client, by its body. `left`: it answers a Bind or Describe, and what has been sent is the rest of one
    /// request, so many messages. True: the client is not told, nor is it told of the end of that request.
    fn cures(&mut self, error: &[u8], left: Option<usize>) -> bool {
        let _ = (error, left);
        false
    }
    /// An ErrorResponse for the client, by its body: another one in its place, if that says it in the client's own names.
    fn reword(&mut self, error: &[u8]) -> Option<BytesMut> {
        let _ = error;
        None
    }
    /// A ReadyForQuery for the client. False: it may not be in this state; it is told nothing further.
    fn ready(&mut self, status: Status) -> bool {
        let _ = status;
        true
    }
    /// The state of the block that the client is in, and the server knows nothing of; `failed`: the client was told an error. `None`: there
    /// is none.
    fn around(&self, failed: bool) -> Option<Status> {
        let _ = failed;
        None
    }
    /// The settings put in front of the request are in force; its replies follow.
    fn guard_done(&mut self);
    /// Whether [`Outlet::complete`] is to be asked.
    fn watches(&self) -> bool {
        false
    }
    /// A CommandComplete with this tag for the client; what it sees in its place.
    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut> {
        let _ = tag;
        None
    }
    /// An ErrorResponse that does not end the connection.
    fn error(&mut self) {}
    /// A NotificationResponse; says whether the client is to be told.
    fn notification(&mut self) -> bool {
        true
    }
}
