//! The way to the database that is asked: by a URL, or by its name in the configuration, as whoever asks its hosts what they are. Does
//! not know what is asked.

use super::ruled::Rules;
use crate::cli::init::{self, Stop};
use crate::cli::{MISTAKE, load};
use crate::cluster::{Claims, logins_to_ask};
use crate::config::Config;
use crate::ids::ServerId;
use crate::net::Tls;
use crate::server::{LoginError, LoginSpec, Server, ask, log_in};
use std::path::Path;

/// No answer is longer.
const ANSWER: usize = 1024;

/// What the configuration says of a database.
#[derive(Default)]
pub struct Said {
    /// Of its functions.
    pub claims: Claims,
    /// Of where requests run.
    pub rules: Rules,
}

/// Logs in to what `--database` names, and tells what its configuration says. `file` is that of `-c`.
///
/// # Errors
/// There is no such database, no configuration, or nobody is let in.
pub async fn connect(database: String, file: Option<&Path>) -> Result<(Box<Server>, Said), Stop> {
    if database.contains("://") {
        return Ok((init::connect(&[database]).await?, Said::default()));
    }
    // What is wrong with it has been said.
    let config = load(file).map_err(|_| mistake("the configuration cannot be read".to_owned()))?;
    let Ok(tls) = Tls::load(&config) else { return Err(mistake("its TLS settings cannot be used".to_owned())) };
    let logins = logins_to_ask(&config, &tls.share(), &database).ok_or_else(|| {
        mistake(format!("{} has no database {database}; a URL begins with postgresql://", config.file.display()))
    })?;
    if logins.is_empty() {
        let advice = "set its monitor_user, or say --database postgresql://…";
        return Err(mistake(format!("{} names nobody who could ask {database}; {advice}", config.file.display())));
    }
    let hosts = config.database(&database).map(|entry| entry.hosts.clone()).unwrap_or_default();
    let (rules, name) = (config.routing.rules.clone(), database.clone());
    let rules = Rules { rules, database: name, hosts, ..Rules::default() };
    Ok((primary_of(&config, &logins).await?, Said { claims: Claims::new(&config.routing), rules }))
}

/// The first server that takes writes, else the first that lets anybody in: a replica may be behind.
async fn primary_of(config: &Config, logins: &[LoginSpec]) -> Result<Box<Server>, Stop> {
    let (mut standby, mut failures) = (None, Vec::new());
    for login in logins {
        let opened = tokio::time::timeout(config.pooler.server_connect_timeout, log_in(login, ServerId(0))).await;
        match opened.unwrap_or(Err(LoginError::TimedOut)) {
            Ok((mut server, _)) => {
                let answer = ask(&mut server, "SELECT pg_catalog.pg_is_in_recovery()", ANSWER).await;
                let row = answer.and_then(|answer| answer.rows.into_iter().next());
                match row.as_deref() {
                    Some([Some(value)]) if **value == *b"f" => return Ok(server),
                    Some(_) => standby = standby.or(Some(server)),
                    None => failures.push(format!("{}: it lets us in and says nothing", login.address)),
                }
            }
            Err(error) => failures.push(format!("{}: {}: {error}", login.address, login.user)),
        }
    }
    // What a server says may hold anything; a terminal must not act on it.
    let said = failures.join("\n").replace(|c: char| c.is_control() && c != '\n', "?");
    standby.ok_or(Stop { code: 1, message: said })
}

fn mistake(message: String) -> Stop {
    Stop { code: MISTAKE, message }
}
