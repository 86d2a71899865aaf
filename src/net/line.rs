//! What a socket says of its connection: asked once, when it opens.

use super::socket::Socket;
use super::stream::{Peer, Stream};
use crate::activity::{End, Line};

impl Peer {
    /// Its address; `None` for a unix socket.
    pub fn end(self) -> Option<End> {
        match self {
            Self::Tcp(address) => Some(address.into()),
            Self::Unix => None,
        }
    }
}

impl Socket {
    /// Both ends and the encryption, as they are now. Of a parked socket only the latter is known.
    pub fn line(&self) -> Line {
        let cipher_suite = self.tls.as_ref().map_or(0, |tls| tls.cipher_suite());
        match &self.wire.stream {
            Stream::Tcp(stream) => Line {
                peer: stream.peer_addr().ok().map(Into::into),
                local: stream.local_addr().ok().map(Into::into),
                pid: 0,
                cipher_suite,
            },
            Stream::Unix(stream) => {
                let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
                Line { pid: pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0), cipher_suite, ..Line::default() }
            }
            Stream::ParkedTcp(_) | Stream::ParkedUnix(_) | Stream::Gone => Line { cipher_suite, ..Line::default() },
        }
    }
}
