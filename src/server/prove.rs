//! Who are we? The part of a login in which PostgreSQL asks for a proof of the role.
//!
//! Source: PostgreSQL `src/interfaces/libpq/fe-auth.c`; RFC 5802 for SCRAM.

use super::login::{Login, LoginError, untrusted};
use crate::auth::{
    Binding, BorrowedKeys, Derivation, Md5Hash, NONCE_BYTES, ScramClient, ScramKeys, Stored, Untrusted, md5_password,
};
use crate::secret::{Secret, random};
use crate::wire::backend::{Authentication, kind};
use crate::wire::frontend;
use bytes::BytesMut;
use std::sync::Arc;

/// Why PostgreSQL refuses a key that clients of PgOtter showed.
const OTHER_VERIFIER: &str =
    "The server's verifier of this role is not the one in auth_file, or the role is expired or gone.";

/// Where the keys for SCRAM come from.
enum Source {
    Password(Secret<String>),
    Borrowed(Arc<BorrowedKeys>),
}

impl Login<'_> {
    /// True: by a password that PostgreSQL keeps, and so not behind the end of its validity. It looks at that nowhere else, and who asks for
    /// one in clear may be LDAP.
    pub(super) async fn authenticate(&mut self) -> Result<bool, LoginError> {
        let mut has_proven = false;
        loop {
            let (message, body) = self.expect().await?;
            if message == kind::NEGOTIATE_PROTOCOL_VERSION {
                continue;
            }
            let request = (message == kind::AUTHENTICATION).then(|| Authentication::read(&body)).flatten();
            has_proven |= matches!(request, Some(Authentication::Md5(_) | Authentication::Sasl(_)));
            match request.ok_or_else(|| untrusted("an unexpected message instead of an authentication request"))? {
                Authentication::Ok => return Ok(has_proven),
                Authentication::Cleartext => self.send_password()?,
                Authentication::Md5(salt) => self.send_md5(salt)?,
                Authentication::Sasl(mechanisms) => self.scram(mechanisms).await?,
                Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                    return Err(untrusted("SASL out of turn"));
                }
                Authentication::Unknown(number) => {
                    return Err(LoginError::Untrusted(format!("authentication method {number} is not supported")));
                }
            }
        }
    }

    fn send_password(&mut self) -> Result<(), LoginError> {
        let Some(Stored::Plain(password)) = &self.spec.secret else {
            return Err(LoginError::NoSecret("the server asks for a password and none is known"));
        };
        let mut out = BytesMut::new();
        // Wiped by nobody: the kernel has a copy as well, and so has TLS.
        frontend::password(&mut out, password.expose().as_bytes());
        self.socket.queue(out);
        Ok(())
    }

    fn send_md5(&mut self, salt: [u8; 4]) -> Result<(), LoginError> {
        let hash = match &self.spec.secret {
            Some(Stored::Plain(password)) => Md5Hash::from_password(&self.spec.user, password.expose()),
            Some(Stored::Md5(hash)) => hash.clone(),
            _ => return Err(LoginError::NoSecret("the server asks for an md5 password and none is known")),
        };
        let mut out = BytesMut::new();
        frontend::password(&mut out, md5_password(&hash, salt).as_bytes());
        self.socket.queue(out);
        Ok(())
    }

    async fn scram(&mut self, mechanisms: &[u8]) -> Result<(), LoginError> {
        let binding = Binding::choose(mechanisms, self.socket.tls_server_end_point())
            .ok_or_else(|| untrusted("the server offers no SASL mechanism that is supported"))?;
        let source = self.source()?;
        let mechanism = binding.mechanism();
        let scram = ScramClient::new(&random::<NONCE_BYTES>(), binding);
        let mut out = BytesMut::new();
        frontend::sasl_initial(&mut out, mechanism, &scram.client_first());
        self.socket.queue(out);
        let body = self.sasl_body().await?;
        let needs_key = match Authentication::read(&body) {
            Some(Authentication::SaslContinue(data)) => scram.server_first(data).map_err(distrust)?,
            _ => return Err(untrusted("an unexpected answer to SCRAM")),
        };
        let (salt, iterations) = (needs_key.salt(), needs_key.iterations());
        let keys = match &source {
            Source::Password(password) => self.derive(Derivation::new(password.clone(), salt, iterations)).await?,
            Source::Borrowed(borrowed) => match borrowed.fit(salt, iterations) {
                Some(keys) => keys.clone(),
                None => return Err(self.hear_refusal(needs_key.without_keys(&random())).await),
            },
        };
        let (expect_final, client_final) = needs_key.with_keys(&keys);
        let body = self.sasl_answer(&client_final).await;
        if let (Err(LoginError::Refused { .. }), Source::Borrowed(borrowed)) = (&body, &source) {
            self.spec.keyring.forget(&self.spec.user, borrowed);
        }
        match Authentication::read(&body?) {
            Some(Authentication::SaslFinal(data)) => expect_final.server_final(data).map_err(distrust),
            _ => Err(untrusted("the server did not prove that it knows the password")),
        }
    }

    fn source(&self) -> Result<Source, LoginError> {
        match &self.spec.secret {
            Some(Stored::Plain(password)) => Ok(Source::Password(password.clone())),
            Some(Stored::Scram(_)) => {
                self.spec.keyring.borrow(&self.spec.user).map(Source::Borrowed).ok_or(LoginError::NoSecret(
                    "the server asks for SCRAM, and no client of this user has shown its key by SCRAM",
                ))
            }
            Some(Stored::Md5(_)) | None => {
                Err(LoginError::NoSecret("the server asks for SCRAM and no plain-text password is known"))
            }
        }
    }

    async fn derive(&self, derivation: Derivation) -> Result<ScramKeys, LoginError> {
        self.spec.keyring.derivers().remembered(derivation).await.ok_or_else(|| untrusted("key derivation failed"))
    }

    /// There is no key for this server. It answers alike for a role that it does not know, one that has expired, and one
    /// with another password; what it says is what the client has to hear.
    async fn hear_refusal(&mut self, client_final: Vec<u8>) -> LoginError {
        match self.sasl_answer(&client_final).await {
            Err(LoginError::Refused { sqlstate, message, .. }) => {
                LoginError::Refused { sqlstate, message, detail: Some(OTHER_VERIFIER) }
            }
            Err(error) => error,
            Ok(_) => untrusted("the server takes a proof that is none"),
        }
    }

    async fn sasl_answer(&mut self, data: &[u8]) -> Result<BytesMut, LoginError> {
        let mut out = BytesMut::new();
        frontend::sasl_response(&mut out, data);
        self.socket.queue(out);
        self.sasl_body().await
    }

    async fn sasl_body(&mut self) -> Result<BytesMut, LoginError> {
        match self.expect().await? {
            (kind::AUTHENTICATION, body) => Ok(body),
            _ => Err(untrusted("an unexpected message in the middle of SASL")),
        }
    }
}

fn distrust(why: Untrusted) -> LoginError {
    LoginError::Untrusted(why.to_string())
}
