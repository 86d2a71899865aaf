//! What a client is told when it is welcome.

use super::settings::{SESSION_AUTHORIZATION, Settings, TooMuch};
use super::spelling;
use crate::sql::Isolation;
use std::borrow::Cow;
use std::sync::Arc;

/// Name and value, bytes as PostgreSQL sent them.
pub type Parameter = (Box<[u8]>, Box<[u8]>);

/// What PostgreSQL, up to 18, reports of what a session can change. The rest of what it reports is the server's own:
/// server_version, server_encoding, integer_datetimes, and in_hot_standby, which no client may set.
const REPORTED: [&[u8]; 11] = [
    b"application_name",
    b"client_encoding",
    b"DateStyle",
    b"default_transaction_read_only",
    b"IntervalStyle",
    b"is_superuser",
    b"scram_iterations",
    b"search_path",
    b"session_authorization",
    b"standard_conforming_strings",
    b"TimeZone",
];

/// Whether a reported setting is the client's: PostgreSQL's own ones, and those named in `track_extra_parameters`.
fn is_tracked(name: &[u8], extra: &[String]) -> bool {
    let extra = extra.iter().map(String::as_bytes);
    REPORTED.into_iter().chain(extra).any(|known| known.eq_ignore_ascii_case(name))
}

/// What the first server of a (database, user) reported when it logged in. Later clients are told the same without
/// a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Every ParameterStatus in the order it came.
    pub parameters: Vec<Parameter>,
    /// The settings of a client that asks for none.
    pub settings: Arc<Settings>,
    /// Of its transactions if nobody says otherwise. Known only if it was asked.
    pub isolation: Option<Isolation>,
}

impl Welcome {
    /// Collects what a server reported at login. `extra` are the names in `track_extra_parameters`.
    pub fn new(parameters: Vec<Parameter>, extra: &[String]) -> Self {
        let reported = parameters.iter().filter(|(name, _)| is_tracked(name, extra)).cloned();
        let settings = Arc::new(Settings::new(reported.collect()));
        Self { parameters, settings, isolation: None }
    }

    /// What this server is in when nobody has set anything. `set` is what its connect_query has set: what is reported of it is
    /// told to clients from then on.
    pub fn home(&mut self, set: &[Parameter], extra: &[String]) -> Arc<Settings> {
        if set.is_empty() {
            return self.settings.clone();
        }
        let mut home = Settings::clone(&self.settings);
        for (name, value) in set {
            home.hear(name, value);
            let told = self.parameters.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some((_, told)) = told {
                *told = value.clone();
            }
        }
        *self = Self::new(std::mem::take(&mut self.parameters), extra);
        Arc::new(home)
    }

    /// Settings that are the same as those of an earlier server become one value with them.
    pub fn share(&mut self, before: &Self) {
        if self.settings == before.settings {
            self.settings = before.settings.clone();
        }
    }

    /// The settings of a client that asked for `wanted`, as PostgreSQL spells them.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn settings_for(&self, wanted: &[Parameter]) -> Result<Arc<Settings>, TooMuch> {
        let mut settings = Settings::clone(&self.settings);
        // PostgreSQL only checks that one: nobody becomes somebody else at a login.
        for (name, value) in wanted.iter().filter(|(name, _)| **name != *SESSION_AUTHORIZATION) {
            settings.set(name, &self.spelled(name, value))?;
        }
        // One value for equal settings, so that comparing them later is comparing two pointers.
        Ok(if settings == *self.settings { self.settings.clone() } else { Arc::new(settings) })
    }

    fn spelled<'a>(&self, name: &[u8], value: &'a [u8]) -> Cow<'a, [u8]> {
        let spelled = match name.to_ascii_lowercase().as_slice() {
            b"application_name" => Some(spelling::application_name(value, self.major())),
            b"client_encoding" => spelling::encoding(value).map(|name| name.as_bytes().to_vec()),
            b"datestyle" => spelling::date_style(value, self.settings.get(name).unwrap_or_default()),
            _ => None,
        };
        spelled.map_or(Cow::Borrowed(value), Cow::Owned)
    }

    /// The server's major version; 0 when it did not say.
    fn major(&self) -> u32 {
        let version = self.parameters.iter().find(|(name, _)| &**name == b"server_version");
        let digits = version.map_or(&b""[..], |(_, value)| value).split(|byte| !byte.is_ascii_digit()).next();
        digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or_default()
    }
}
