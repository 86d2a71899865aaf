//! Sockets: TCP and unix, TLS, buffers, listening and connecting. Knows nothing of the protocol above the bytes.

mod bulk;
mod connect;
mod crowd;
mod line;
mod listen;
mod memory;
mod parting;
mod secure;
mod socket;
mod stream;
mod tls;

pub use connect::{Address, Found, connect, resolve};
pub use crowd::{Crowd, Patience, Place};
pub use listen::{Listener, listen_tcp, listen_unix};
pub use memory::{Holding, Memory, Strange};
pub use socket::{HIGH_WATER, Socket};
pub use stream::{Peer, Stream, TcpOptions};
pub use tls::{Acceptor, Connector, SharedTls, Tls};

#[cfg(test)]
mod tests;
