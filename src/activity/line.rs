//! Both ends of a connection, and what lies between them.

use std::net::{IpAddr, SocketAddr};

/// One end of a TCP connection. An address of IPv6 is kept without its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

/// A connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Theirs; `None`: a unix socket.
    pub peer: Option<End>,
    /// Ours.
    pub local: Option<End>,
    /// The process at the other end; 0 where it is not known.
    pub pid: u32,
    /// Its number at the IANA; 0: not encrypted.
    pub cipher_suite: u16,
}

impl From<SocketAddr> for End {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: address.port() }
    }
}

/// Version and cipher suite, under OpenSSL's names; empty for 0. Source: RFC 8446, section B.4; RFC 5289; RFC 7905.
pub fn cipher_suite_name(number: u16) -> &'static str {
    match number {
        0 => "",
        0x1301 => "TLSv1.3/TLS_AES_128_GCM_SHA256",
        0x1302 => "TLSv1.3/TLS_AES_256_GCM_SHA384",
        0x1303 => "TLSv1.3/TLS_CHACHA20_POLY1305_SHA256",
        0xc02b => "TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256",
        0xc02c => "TLSv1.2/ECDHE-ECDSA-AES256-GCM-SHA384",
        0xc02f => "TLSv1.2/ECDHE-RSA-AES128-GCM-SHA256",
        0xc030 => "TLSv1.2/ECDHE-RSA-AES256-GCM-SHA384",
        0xcca8 => "TLSv1.2/ECDHE-RSA-CHACHA20-POLY1305",
        0xcca9 => "TLSv1.2/ECDHE-ECDSA-CHACHA20-POLY1305",
        _ => "TLS",
    }
}
