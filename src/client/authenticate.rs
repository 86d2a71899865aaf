//! Who is it? Every way in which a client may be asked to prove that it is the user it names. Runs on the front thread.
//!
//! Whether a user exists makes no difference to what is said, in which order, and what it costs; `auth` sees to that.
//! Source: PostgreSQL `src/backend/libpq/auth.c`; RFC 5802 for SCRAM.

use super::login::{Door, Gate, Turned, changed_meanwhile, violation};
use crate::auth::{
    self, Asks, Authenticated, BorrowedKeys, Challenge, Disguise, Md5Challenge, NONCE_BYTES, Refused, ScramServer,
    Stored, Users,
};
use crate::config::{AuthType, Config};
use crate::fault::{Blame, Fault, SqlState};
use crate::secret::{Secret, random};
use crate::wire::backend;
use crate::wire::frame::{self, Head};
use crate::wire::frontend::kind;
use bytes::BytesMut;
use std::num::NonZeroU32;
use std::sync::Arc;
use zeroize::Zeroize;

/// A message of the authentication exchange is never longer. Source: PostgreSQL `PG_MAX_AUTH_TOKEN_LENGTH`.
const AUTH_MESSAGE: usize = 65_535;

/// What clients prove themselves against.
pub struct Credentials {
    users: Users,
    disguise: Arc<Disguise>,
}

impl Credentials {
    /// Derives what plain-text entries need; about a millisecond each, so not on a thread that serves anybody.
    pub fn new(config: &Config) -> Self {
        Self::disguised(config, disguise(config, None))
    }

    /// For a configuration that takes the place of another. Invented answers stay what they were, unless users have other
    /// numbers of iterations, or the secret that they are made of is another one: one that changes says that it is invented.
    pub fn renewed(&self, config: &Config) -> Self {
        Self::disguised(config, disguise(config, Some(&self.disguise)))
    }

    fn disguised(config: &Config, disguise: Disguise) -> Self {
        let disguise = Arc::new(disguise);
        Self { users: users(config, &disguise), disguise }
    }
}

/// What names that nobody has are answered by, where this has been in force until now.
fn disguise(config: &Config, before: Option<&Disguise>) -> Disguise {
    let users = iterations(config);
    match (&config.pooler.mock_authentication_secret, before) {
        (Some(secret), _) => Disguise::of_secret(secret.expose(), users),
        (None, Some(before)) => before.renewed(users),
        (None, None) => Disguise::new(random(), users),
    }
}

/// What each user's verifier has.
fn iterations(config: &Config) -> impl Iterator<Item = Option<NonZeroU32>> {
    secrets(config).map(|(_, secret)| secret.iterations())
}

fn users(config: &Config, disguise: &Arc<Disguise>) -> Users {
    let derive = match config.pooler.auth_type {
        AuthType::Trust | AuthType::Md5 | AuthType::Cert => false,
        AuthType::Plain | AuthType::ScramSha256 => true,
    };
    Users::new(secrets(config), disguise.clone(), derive)
}

/// Without malformed verifiers, which are nobody's password.
fn secrets(config: &Config) -> impl Iterator<Item = (String, Stored)> {
    let stored = |(user, text): (&String, &Secret<String>)| Some((user.clone(), Stored::parse(text.expose()).ok()?));
    config.pooler.auth_users.iter().filter_map(stored)
}

/// A client that is who it says.
pub(super) struct Proved {
    pub(super) user: Authenticated,
    /// What its login taught about logging in to servers.
    pub(super) keys: Option<BorrowedKeys>,
}

impl From<Authenticated> for Proved {
    fn from(user: Authenticated) -> Self {
        Self { user, keys: None }
    }
}

impl Gate {
    /// Whether a proof that another one has asked this user for is one here, too.
    pub(super) fn honours(&self, asked_by: &Self, user: &str) -> Result<(), Fault> {
        let (now, then) = (&self.config, &asked_by.config);
        let method = now.pooler.auth_type;
        let unchanged = match method {
            AuthType::Trust if !now.knows_user(user) => return Err(unlisted(user)),
            AuthType::Cert if !now.knows_user(user) => return Err(Refused::OtherCertificate.into_fault(user)),
            AuthType::Trust | AuthType::Cert => true,
            // What is proven is that secret, and no other text of the same password.
            AuthType::Plain | AuthType::Md5 | AuthType::ScramSha256 => {
                let secret = now.pooler.auth_users.get(user);
                let secret = secret.ok_or_else(|| Refused::WrongPassword.into_fault(user))?;
                then.pooler.auth_users.get(user).is_some_and(|before| before.expose() == secret.expose())
            }
        };
        if unchanged && method == then.pooler.auth_type { Ok(()) } else { Err(changed_meanwhile()) }
    }
}

fn unlisted(user: &str) -> Fault {
    let message = format!("role \"{user}\" does not exist");
    Fault::fatal(Blame::Client, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

impl Door<'_> {
    /// As `auth_type` says.
    pub(super) async fn authenticate(&mut self, user: &str) -> Result<Proved, Turned> {
        let credentials = &self.gate.credentials;
        match self.gate.config.pooler.auth_type {
            AuthType::Trust if self.gate.config.knows_user(user) => Ok(auth::trust(user).into()),
            AuthType::Trust => Err(unlisted(user).into()),
            AuthType::Plain => self.clear_text(user).await,
            AuthType::Md5 => match credentials.users.md5(user) {
                Asks::Md5(challenge) => self.md5(user, challenge).await,
                Asks::Scram(challenge) => self.scram(user, challenge).await,
            },
            AuthType::ScramSha256 => self.scram(user, credentials.users.scram(user)).await,
            AuthType::Cert => {
                let known = self.gate.config.knows_user(user);
                let proved = auth::certificate(user, self.socket.peer_certificate(), known);
                Ok(proved.map_err(|refused| refused.into_fault(user))?.into())
            }
        }
    }

    async fn clear_text(&mut self, user: &str) -> Result<Proved, Turned> {
        let challenge = self.gate.credentials.users.password(user);
        let mut out = BytesMut::new();
        backend::authentication_cleartext(&mut out);
        self.socket.queue(out);
        let password = self.password().await?;
        let gone = || Fault::fatal(Blame::Pooler, SqlState::INTERNAL_ERROR, "passwords cannot be checked");
        let derivation = challenge.derivation(password.clone());
        let keys = self.gate.cluster.keyring().derivers().claimed(derivation).await.ok_or_else(gone)?;
        let (user, keys) = challenge.check(password.expose(), keys).map_err(|refused| refused.into_fault(user))?;
        Ok(Proved { user, keys })
    }

    async fn md5(&mut self, user: &str, challenge: Md5Challenge) -> Result<Proved, Turned> {
        let salt = random();
        let mut out = BytesMut::new();
        backend::authentication_md5(&mut out, salt);
        self.socket.queue(out);
        let answer = self.password().await?;
        let proved = challenge.check(answer.expose().as_bytes(), salt);
        Ok(proved.map_err(|refused| refused.into_fault(user))?.into())
    }

    async fn scram(&mut self, user: &str, challenge: Challenge) -> Result<Proved, Turned> {
        let refuse = |refused: Refused| refused.into_fault(user);
        let scram = ScramServer::new(challenge, &random::<NONCE_BYTES>(), self.socket.tls_server_end_point());
        let mut out = BytesMut::new();
        backend::authentication_sasl(&mut out, scram.mechanisms());
        self.socket.queue(out);
        let first = self.answer("SASL").await?;
        let (mechanism, first) = initial_response(&first)?;
        let (expect_final, server_first) = scram.client_first(mechanism, first).map_err(refuse)?;
        let mut out = BytesMut::new();
        backend::authentication_sasl_continue(&mut out, &server_first);
        self.socket.queue(out);
        let last = self.answer("SASL").await?;
        let (server_final, user, keys) = expect_final.client_final(&last).map_err(refuse)?;
        let mut out = BytesMut::new();
        backend::authentication_sasl_final(&mut out, &server_final);
        self.socket.queue(out);
        Ok(Proved { user, keys: Some(keys) })
    }

    /// A PasswordMessage's text. What is not UTF-8 is nobody's password, and is refused as a wrong one.
    async fn password(&mut self) -> Result<Secret<String>, Turned> {
        let mut body = self.answer("password").await?;
        let text = match body.split_last() {
            Some((0, [])) => {
                let message = "empty password returned by client";
                Err(Fault::fatal(Blame::Client, SqlState::INVALID_PASSWORD, message))
            }
            Some((0, text)) if !text.contains(&0) => Ok(Secret::new(String::from_utf8_lossy(text).into_owned())),
            _ => Err(violation("invalid password packet size")),
        };
        body.zeroize();
        Ok(text?)
    }

    /// The body of the client's answer to a request of `what` kind.
    async fn answer(&mut self, what: &str) -> Result<BytesMut, Turned> {
        self.socket.flush().await?;
        loop {
            if let Some(head) = Head::read(self.socket.received()) {
                if head.kind != kind::PASSWORD {
                    let message = format!("expected {what} response, got message type {}", head.kind);
                    return Err(Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, message).into());
                }
                let total = head.frame_len().filter(|total| *total <= AUTH_MESSAGE);
                let total = total.ok_or_else(|| violation("invalid message length"))?;
                if self.socket.received().len() >= total {
                    let mut message = self.socket.inbox().split_to(total);
                    return Ok(message.split_off(frame::HEAD));
                }
            }
            self.receive().await?;
        }
    }
}

/// SASLInitialResponse: mechanism, length, data.
fn initial_response(mut body: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let malformed = || violation("malformed SASL response");
    let mechanism = frame::take_cstr(&mut body).ok_or_else(malformed)?;
    let length = frame::take_i32(&mut body).ok_or_else(malformed)?;
    if usize::try_from(length) == Ok(body.len()) { Ok((mechanism, body)) } else { Err(malformed()) }
}
