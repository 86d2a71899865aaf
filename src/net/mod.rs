//! Sockets: TCP and unix, buffers, listening and connecting. Knows nothing of the protocol above the bytes.

mod bulk;
mod connect;
mod listen;
mod socket;
mod stream;

pub use connect::{Address, connect};
pub use listen::{Listener, listen_tcp, listen_unix};
pub use socket::{HIGH_WATER, Socket};
pub use stream::{Peer, Stream, TcpOptions};

#[cfg(test)]
mod tests;
