//! Channel binding: SCRAM-SHA-256-PLUS signs which certificate the TLS server showed, so that nobody can sit between.
//! Of the types there are, PostgreSQL knows `tls-server-end-point`. Sources: RFC 5929, RFC 5802 section 6,
//! PostgreSQL `src/interfaces/libpq/fe-auth.c`, `pg_SASL_init`.

use super::fields;
use super::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};

/// The only type, as a client's first message names it.
pub(super) const TYPE: &[u8] = b"p=tls-server-end-point";

/// How our login to a server is bound to the connection it runs over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// There is nothing to bind to: no TLS, or a certificate without a hash.
    Impossible,
    /// We could, and the server does not offer it. It is told so: one that did offer it then knows that somebody has
    /// taken the offer away.
    NotOffered,
    /// To this hash of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    /// The best that both sides can. `offered` are the mechanisms of AuthenticationSASL, each zero-terminated; None if we
    /// speak none of them.
    pub fn choose(offered: &[u8], end_point: Option<&[u8]>) -> Option<Self> {
        let offers = |mechanism: &str| offered.split(|&byte| byte == 0).any(|name| name == mechanism.as_bytes());
        match end_point {
            Some(hash) if offers(SCRAM_SHA_256_PLUS) => Some(Self::EndPoint(hash.to_vec())),
            _ if !offers(SCRAM_SHA_256) => None,
            Some(_) => Some(Self::NotOffered),
            None => Some(Self::Impossible),
        }
    }

    /// The mechanism to name in SASLInitialResponse.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::EndPoint(_) => SCRAM_SHA_256_PLUS,
            Self::Impossible | Self::NotOffered => SCRAM_SHA_256,
        }
    }

    /// What client-first-message begins with. No authorization identity.
    pub(super) fn header(&self) -> &'static str {
        match self {
            Self::Impossible => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// The value of `c=` in client-final-message.
    pub(super) fn attribute(&self) -> String {
        let hash = match self {
            Self::EndPoint(hash) => hash.as_slice(),
            Self::Impossible | Self::NotOffered => b"",
        };
        attribute(self.header().as_bytes(), hash)
    }
}

/// Header and hash as `c=` carries them.
pub(super) fn attribute(header: &[u8], hash: &[u8]) -> String {
    fields::encode(&[header, hash].concat())
}
