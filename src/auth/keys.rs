//! The keys of SCRAM-SHA-256, each a type of its own so that one cannot stand in for another.
//! Does not know messages. Source: RFC 5802 section 3, PostgreSQL `src/common/scram-common.c`.

use crate::secret::{Secret, equal};
use aws_lc_rs::{digest, hmac, pbkdf2};
use std::borrow::Cow;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

#[cfg(test)]
pub(crate) mod work;

/// Bytes of every key, signature and proof: the output of SHA-256.
pub const KEY_BYTES: usize = 32;

/// What PBKDF2 makes of a password: from it alone both sides' keys follow, so it is worth the password.
struct SaltedPassword(Secret<[u8; KEY_BYTES]>);

/// Proves the password to a server. A client's proof tells it too.
#[derive(Clone)]
pub struct ClientKey(Secret<[u8; KEY_BYTES]>);

/// SHA-256 of the [`ClientKey`]: checks a proof, cannot make one.
#[derive(Clone)]
pub struct StoredKey(Secret<[u8; KEY_BYTES]>);

/// Proves to a client that its server knows the verifier.
#[derive(Clone)]
pub struct ServerKey(Secret<[u8; KEY_BYTES]>);

/// Both keys that follow from a password, a salt and a number of iterations: all that a login to a server takes.
#[derive(Clone)]
pub struct ScramKeys {
    pub(super) client: ClientKey,
    pub(super) server: ServerKey,
}

/// Keys that a client's own login taught, with what they were derived with: they log its role in to every server that
/// has the same verifier, and to no other.
#[derive(Clone)]
pub struct BorrowedKeys {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    pub(super) keys: ScramKeys,
}

/// A PBKDF2 that has to be done, somewhere.
pub struct Derivation {
    password: Secret<String>,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

/// What a client sends instead of its key: the key XOR its signature of the exchange.
pub(super) type Proof = [u8; KEY_BYTES];

impl Derivation {
    /// Nothing is done yet. `iterations` is bounded by the caller: the cost is about 0.2 µs for each.
    pub fn new(password: Secret<String>, salt: &[u8], iterations: NonZeroU32) -> Self {
        Self { password, salt: salt.to_vec(), iterations }
    }

    /// The same for the same password, salt and iterations, and for nothing else. As good as a hash of the password: not
    /// to be shown.
    pub fn name(&self) -> [u8; KEY_BYTES] {
        mac(self.password.expose().as_bytes(), &[&self.iterations.get().to_be_bytes(), self.salt.as_slice()].concat())
    }

    /// PBKDF2-HMAC-SHA-256 over the SASLprepped password: 1 ms at PostgreSQL's 4096 iterations. Never on a worker.
    pub fn run(&self) -> ScramKeys {
        ScramKeys::derive(self.password.expose(), &self.salt, self.iterations)
    }
}

impl ScramKeys {
    /// See [`Derivation::run`].
    pub(super) fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let salted = SaltedPassword::derive(password, salt, iterations);
        Self { client: salted.client_key(), server: salted.server_key() }
    }
}

impl BorrowedKeys {
    /// The keys, if they are those of a verifier with this salt and this number of iterations.
    pub fn fit(&self, salt: &[u8], iterations: NonZeroU32) -> Option<&ScramKeys> {
        (self.salt == salt && self.iterations == iterations).then_some(&self.keys)
    }

    /// To recognize them by, without keeping them.
    pub fn stored_key(&self) -> StoredKey {
        self.keys.client.stored_key()
    }
}

impl SaltedPassword {
    fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        #[cfg(test)]
        work::note(|work| work.iterations += iterations.get());
        let normal = Zeroizing::new(saslprep(password).into_owned());
        let mut salted = Zeroizing::new([0; KEY_BYTES]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, normal.as_bytes(), &mut *salted);
        Self(Secret::new(*salted))
    }

    fn client_key(&self) -> ClientKey {
        ClientKey(Secret::new(mac(self.0.expose(), b"Client Key")))
    }

    fn server_key(&self) -> ServerKey {
        ServerKey(Secret::new(mac(self.0.expose(), b"Server Key")))
    }
}

impl ClientKey {
    /// The half that a verifier keeps.
    pub fn stored_key(&self) -> StoredKey {
        StoredKey(Secret::new(sha256(self.0.expose())))
    }

    /// What to send for this exchange.
    pub(super) fn proof(&self, auth_message: &[u8]) -> Proof {
        xor(self.0.expose(), &self.stored_key().signature(auth_message))
    }
}

impl StoredKey {
    pub(super) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Secret::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// The client's key as its proof implies it; it is the right one only if [`Self::is_of`] says so.
    pub(super) fn claimed_key(&self, proof: &Proof, auth_message: &[u8]) -> ClientKey {
        ClientKey(Secret::new(xor(proof, &self.signature(auth_message))))
    }

    /// Whether this is the stored half of `key`; constant time.
    pub(super) fn is_of(&self, key: &ClientKey) -> bool {
        self.is(&key.stored_key())
    }

    /// Whether both are the same; constant time.
    pub fn is(&self, other: &Self) -> bool {
        equal(self.0.expose(), other.0.expose())
    }

    fn signature(&self, auth_message: &[u8]) -> [u8; KEY_BYTES] {
        mac(self.0.expose(), auth_message)
    }
}

impl ServerKey {
    pub(super) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Secret::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// The server's signature of this exchange.
    pub(super) fn signature(&self, auth_message: &[u8]) -> [u8; KEY_BYTES] {
        mac(self.0.expose(), auth_message)
    }

    /// Whether `signature` is this key's; constant time.
    pub(super) fn signed(&self, auth_message: &[u8], signature: &[u8]) -> bool {
        equal(&self.signature(auth_message), signature)
    }
}

/// HMAC-SHA-256.
pub(super) fn mac(key: &[u8], data: &[u8]) -> [u8; KEY_BYTES] {
    #[cfg(test)]
    work::note(|work| work.macs += 1);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    tag.as_ref().try_into().expect("invariant: HMAC-SHA-256 is 32 bytes long")
}

fn sha256(data: &[u8]) -> [u8; KEY_BYTES] {
    #[cfg(test)]
    work::note(|work| work.hashes += 1);
    let hash = digest::digest(&digest::SHA256, data);
    hash.as_ref().try_into().expect("invariant: SHA-256 is 32 bytes long")
}

fn xor(a: &[u8; KEY_BYTES], b: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(out, b)| *out ^= b);
    out
}

/// A password that SASLprep refuses, or reduces to nothing, is used as it is: PostgreSQL does the same on
/// both ends, so anything else would lock such users out. Source: `src/common/saslprep.c`.
fn saslprep(password: &str) -> Cow<'_, str> {
    match stringprep::saslprep(password) {
        Ok(normal) if !normal.is_empty() => normal,
        _ => Cow::Borrowed(password),
    }
}
