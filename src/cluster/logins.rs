//! Who logs in to servers, and with what: the roles of pools, and those who ask hosts what they are.

use super::watch::Watch;
use super::{Cluster, Pool, entry_name, server_tcp_options};
use crate::auth::Stored;
use crate::config::{Config, Database, Host};
use crate::net::{Address, SharedTls};
use crate::secret::Secret;
use crate::server::LoginSpec;
use std::sync::Arc;

/// What the monitor calls itself in PostgreSQL.
const MONITOR: &str = "pgotter monitor";

impl Cluster {
    /// How the servers of a pool on one host log in.
    pub(super) fn login(&self, config: &Config, entry: &Database, host: &Host, pool: &Pool) -> LoginSpec {
        let dbname = entry.dbname.as_ref().unwrap_or(&pool.database);
        let stored = secret(config, entry, &pool.user).and_then(|text| Stored::parse(text).ok());
        // A verifier logs in with the keys that its clients show, and a forced user uses no client's.
        let secret = stored.filter(|secret| !pool.forced || !matches!(secret, Stored::Scram(_)));
        let parameters = [
            ("client_encoding", &entry.client_encoding),
            ("datestyle", &entry.datestyle),
            ("timezone", &entry.timezone),
            ("application_name", &entry.application_name),
        ];
        LoginSpec {
            parameters: parameters
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
                .collect(),
            connect_query: entry.connect_query.clone(),
            track_extra: config.pooler.track_extra_parameters.clone(),
            keyring: self.keyring.clone(),
            routes: entry.hosts.len() > 1,
            ..plain_login(config, &self.tls, host, (&pool.user, dbname), secret)
        }
    }

    /// Who may ask a host, in the order in which they are tried.
    pub(super) fn monitors(&self, watch: &Watch, at: usize) -> Vec<LoginSpec> {
        let books = self.books.lock();
        let config = &books.config;
        let Some(entry) = config.databases.get(&watch.entry) else { return Vec::new() };
        let Some(host) = entry.hosts.get(at) else { return Vec::new() };
        let pools = books.pools.values().filter(|pool| entry_name(config, &pool.database) == watch.entry);
        let pools: Vec<_> = pools.cloned().collect();
        let database = match (&entry.monitor_dbname, &entry.dbname) {
            (Some(name), _) | (None, Some(name)) => name.as_str(),
            (None, None) if watch.entry != "*" => &watch.entry,
            (None, None) => pools.first().map_or("postgres", |pool| &pool.database),
        };
        let mut logins = Vec::new();
        for (user, secret) in named(config, entry) {
            logins.push(plain_login(config, &self.tls, host, (&user, database), secret));
        }
        if clients_may_ask(entry) {
            let of_pool = |pool: &Arc<Pool>| LoginSpec {
                connect_query: None,
                parameters: Vec::new(),
                routes: false,
                database: database.to_owned(),
                ..self.login(config, entry, host, pool)
            };
            logins.extend(pools.iter().map(of_pool));
        }
        let name = ("application_name".to_owned(), MONITOR.to_owned());
        logins.iter_mut().for_each(|login| login.parameters.push(name.clone()));
        logins
    }
}

/// How somebody may ask a database that clients know by this name, host by host, as those whom the configuration names. `None`: it knows
/// no such database. Empty: it names nobody.
pub fn logins_to_ask(config: &Config, tls: &SharedTls, database: &str) -> Option<Vec<LoginSpec>> {
    let entry = config.database(database)?;
    let dbname = entry.dbname.as_deref().unwrap_or(database);
    let users = named(config, entry);
    let on =
        |host| users.iter().map(move |(user, secret)| plain_login(config, tls, host, (user, dbname), secret.clone()));
    Some(entry.hosts.iter().flat_map(on).collect())
}

/// Without anything that clients are to find set, and without keys that only they show.
fn plain_login(
    config: &Config,
    tls: &SharedTls,
    host: &Host,
    (user, database): (&str, &str),
    secret: Option<Stored>,
) -> LoginSpec {
    LoginSpec {
        address: Address::new(&host.host, host.port),
        found: Arc::default(),
        options: server_tcp_options(&config.pooler),
        tls: tls.clone(),
        user: user.to_owned(),
        database: database.to_owned(),
        secret,
        keyring: Arc::default(),
        parameters: Vec::new(),
        connect_query: None,
        track_extra: Vec::new(),
        routes: false,
        generation: 0,
    }
}

/// What proves the role that servers log in as, as it was configured.
pub(super) fn secret<'a>(config: &'a Config, entry: &'a Database, role: &str) -> Option<&'a str> {
    let own = if entry.user.is_some() { entry.password.as_ref() } else { None };
    own.or_else(|| listed(config, role)).map(|text| text.expose().as_str())
}

/// Whether clients of this role may show keys.
pub(super) fn is_listed(config: &Config, role: &str) -> bool {
    listed(config, role).is_some()
}

fn listed<'a>(config: &'a Config, role: &str) -> Option<&'a Secret<String>> {
    let own = config.users.get(role).and_then(|user| user.password.as_ref());
    own.or_else(|| config.pooler.auth_users.get(role))
}

/// Whether those whom clients log in as may ask, too: no user is named for it.
pub(super) fn clients_may_ask(entry: &Database) -> bool {
    entry.monitor_user.is_none() && entry.user.is_none()
}

/// Users whom the configuration names, with what proves them. An administrator without a secret may be none of PostgreSQL's.
fn named(config: &Config, entry: &Database) -> Vec<(String, Option<Stored>)> {
    let parse = |text: &str| Stored::parse(text).ok().filter(|secret| !matches!(secret, Stored::Scram(_)));
    let proof = |user: &str| listed(config, user).and_then(|text| parse(text.expose()));
    if let Some(user) = &entry.monitor_user {
        let own = entry.monitor_password.as_ref().and_then(|text| parse(text.expose()));
        return vec![(user.clone(), own.or_else(|| proof(user)))];
    }
    if let Some(user) = &entry.user {
        return vec![(user.clone(), secret(config, entry, user).and_then(parse))];
    }
    let admin = config.pooler.admin_users.iter().find_map(|user| Some((user.clone(), Some(proof(user)?))));
    admin.into_iter().collect()
}
