//! Settings that are allowed, and together hardly what was meant. Nothing here keeps a configuration from being used.

use super::model::{Config, PoolMode, Resolved, RouteRule, RuleRoute};
use std::time::Duration;

/// systemd kills what has not ended by then, unless its unit says otherwise (`DefaultTimeoutStopSec`).
const SYSTEMDS_PATIENCE: Duration = Duration::from_secs(90);

/// One line for each, for `pgotter check` and the log.
pub fn oddities(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let pooler = &config.pooler;
    if pooler.shutdown_timeout > SYSTEMDS_PATIENCE {
        found.push("shutdown_timeout is longer than systemd waits before it kills: set TimeoutStopSec".to_owned());
    }
    if pooler.login_failure_delay > pooler.client_login_timeout / 4 {
        let what = "login_failure_delay is above a quarter of client_login_timeout: no attempt is made to wait longer than that";
        found.push(what.to_owned());
    }
    if let (Some(notify), Some(wait)) = (pooler.query_wait_notify, pooler.query_wait_timeout)
        && notify >= wait
    {
        found.push("query_wait_notify is not below query_wait_timeout: nobody will be told that he waits".to_owned());
    }
    for (setting, users) in [("admin_users", &pooler.admin_users), ("stats_users", &pooler.stats_users)] {
        for user in users.iter().filter(|user| !config.knows_user(user)) {
            found.push(format!("{setting} names {user}, whom auth_file does not list: nobody can log in as {user}"));
        }
    }
    for name in config.databases.keys() {
        let users = [String::new()].into_iter().chain(config.users.keys().cloned());
        let of_users = users.filter_map(|user| Some((config.resolve(name, &user)?, user)));
        let mut said = Vec::new();
        for (resolved, user) in of_users {
            for oddity in odd_pool(config, &resolved).into_iter().chain(odd_session(config, name, &user, &resolved)) {
                if !said.contains(&oddity) {
                    let whose = if user.is_empty() { String::new() } else { format!(", user {user}") };
                    found.push(format!("database {name}{whose}: {oddity}"));
                    said.push(oddity);
                }
            }
        }
    }
    found
}

/// A session that no rule can take elsewhere, or that one leads to.
fn odd_session(config: &Config, database: &str, user: &str, pool: &Resolved) -> Option<&'static str> {
    if pool.pool_mode != PoolMode::Session {
        return None;
    }
    let mut leads = config.routing.rules.iter().filter_map(|rule| match &rule.route {
        RuleRoute::Database(entry) => Some((rule, entry)),
        _ => None,
    });
    let to_here = |(_, entry): &(&RouteRule, &String)| *entry == database;
    if leads.clone().any(|lead| to_here(&lead)) {
        return Some("pool_mode is session, so what rules of [routing] lead there is refused");
    }
    let from_here = leads.any(|(rule, _)| rule.is_for(database, user) || user.is_empty() && rule.user.is_some());
    from_here.then_some(
        "pool_mode is session: its clients are not read, and rules that lead to another database do not hold",
    )
}

/// What is odd about one pool and its queue.
fn odd_pool(config: &Config, pool: &Resolved) -> Vec<&'static str> {
    let wait = pool.query_wait_timeout;
    let clients = config.pooler.max_client_conn;
    let rules = [
        (
            pool.max_db_connections > 0 && pool.pool_size > pool.max_db_connections,
            "pool_size is above max_db_connections, which ends it first",
        ),
        (
            pool.max_user_connections > 0 && pool.pool_size > pool.max_user_connections,
            "pool_size is above max_user_connections, which ends it first",
        ),
        (
            clients.is_some_and(|clients| pool.pool_size > clients),
            "pool_size is above max_client_conn: there will never be a client for each server",
        ),
        (
            pool.reserve_pool_size > 0 && wait.is_some_and(|wait| pool.reserve_pool_timeout >= wait),
            "reserve_pool_timeout is not below query_wait_timeout: the reserve will never be used",
        ),
        (
            wait.is_some_and(|wait| config.pooler.server_connect_timeout > wait),
            "server_connect_timeout is above query_wait_timeout: a request gives up before a connection does",
        ),
        (wait.is_none() && pool.pool_size > 0, "query_wait_timeout is 0: a request may wait for a server for ever"),
    ];
    rules.into_iter().filter(|(applies, _)| *applies).map(|(_, oddity)| oddity).collect()
}
