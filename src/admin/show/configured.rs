//! SHOW CONFIG, SHOW DATABASES and SHOW USERS: what the configuration says, with what there is of it.

use super::super::desk::{Desk, PGBOUNCER, Process};
use super::pools::{self, Seen};
use super::{Row, int4, text};
use crate::activity::ClientSeen;
use crate::config::{Config, Database, Shown, User, pool_mode_text, show};
use crate::wire::rows::{Cell, Column};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CONFIG: [Column; 4] = [text("key"), text("value"), text("default"), text("changeable")];

pub(super) const DATABASES: [Column; 17] = [
    text("name"),
    text("host"),
    int4("port"),
    text("database"),
    text("force_user"),
    int4("pool_size"),
    int4("min_pool_size"),
    int4("reserve_pool_size"),
    int4("server_lifetime"),
    text("pool_mode"),
    text("load_balance_hosts"),
    int4("max_connections"),
    int4("current_connections"),
    int4("max_client_connections"),
    int4("current_client_connections"),
    int4("paused"),
    int4("disabled"),
];

pub(super) const USERS: [Column; 8] = [
    text("name"),
    text("pool_size"),
    text("reserve_pool_size"),
    text("pool_mode"),
    int4("max_user_connections"),
    int4("current_connections"),
    int4("max_user_client_connections"),
    int4("current_client_connections"),
];

/// Every setting that has one value.
pub(super) fn config<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let (limit, _) = desk.process.seats();
    let row = |Shown { key, value, default, changeable }: Shown| {
        // Unless it is set, the number follows from the descriptors.
        let value = if key == "max_client_conn" { Some(limit.to_string()) } else { value };
        let changeable = if changeable { "yes" } else { "no" };
        vec![key.into(), value.into(), default.into(), changeable.into()]
    };
    show(&desk.process.config()).into_iter().map(row).collect()
}

/// The databases that the configuration names, those that are served under `*`, and the console.
pub(super) fn databases<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let config = desk.process.config();
    let pools = pools::seen(desk);
    let mut rows: Vec<Row> = database_names(&config, &pools)
        .into_iter()
        .filter_map(|name| {
            let paused = desk.cluster.is_paused(Some(name));
            Some(database_row(&config, name, config.database(name)?, &pools, paused))
        })
        .collect();
    rows.push(console_row(&config, desk.consoles().len()));
    rows
}

/// How many there are.
pub(super) fn database_names<'a>(config: &'a Config, pools: &'a [Seen]) -> BTreeSet<&'a str> {
    let named = config.databases.keys().map(String::as_str).filter(|name| *name != "*");
    named.chain(pools.iter().map(|pool| pool.database.as_str())).collect()
}

fn database_row(config: &Config, name: &str, entry: &Database, pools: &[Seen], paused: bool) -> Row {
    let pooler = &config.pooler;
    let hosts: Vec<&str> = entry.hosts.iter().map(|host| host.host.as_str()).collect();
    let own = || pools.iter().filter(|pool| pool.database == name);
    vec![
        name.into(),
        hosts.join(",").into(),
        u64::from(entry.hosts.first().map_or(0, |host| host.port)).into(),
        entry.dbname.as_deref().unwrap_or(name).into(),
        entry.user.as_deref().into(),
        entry.pool_size.unwrap_or(pooler.default_pool_size).into(),
        entry.min_pool_size.unwrap_or(pooler.min_pool_size).into(),
        entry.reserve_pool_size.unwrap_or(pooler.reserve_pool_size).into(),
        entry.server_lifetime.unwrap_or(pooler.server_lifetime).as_secs().into(),
        entry.pool_mode.map(pool_mode_text).into(),
        Cell::Null,
        entry.max_db_connections.unwrap_or(pooler.max_db_connections).into(),
        own().map(Seen::servers).sum::<usize>().into(),
        entry.max_db_client_connections.unwrap_or(pooler.max_db_client_connections).into(),
        own().map(|pool| pool.clients).sum::<usize>().into(),
        u64::from(paused).into(),
        Cell::Number(0),
    ]
}

/// As PgBouncer describes its own.
fn console_row(config: &Config, consoles: usize) -> Row {
    let none = || Cell::Number(0);
    vec![
        PGBOUNCER.into(),
        Cell::Null,
        u64::from(config.pooler.listen_port).into(),
        PGBOUNCER.into(),
        PGBOUNCER.into(),
        Cell::Number(2),
        none(),
        none(),
        config.pooler.server_lifetime.as_secs().into(),
        "statement".into(),
        Cell::Null,
        none(),
        none(),
        none(),
        consoles.into(),
        none(),
        none(),
    ]
}

/// Everybody whom the configuration names, and whoever else has come.
pub(super) fn users<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let config = desk.process.config();
    let (pools, clients) = (pools::seen(desk), desk.process.clients());
    let nobody = User::default();
    let row = |(name, count)| user_row(&config, name, config.users.get(name).unwrap_or(&nobody), count);
    user_counts(&config, &pools, &clients).into_iter().map(row).collect()
}

/// What one user has.
#[derive(Default)]
pub(super) struct UserCount {
    servers: usize,
    clients: usize,
}

/// See [`users`]. Counted in one pass: there may be thousands of each.
pub(super) fn user_counts<'a>(
    config: &'a Config,
    pools: &'a [Seen],
    clients: &'a [ClientSeen],
) -> BTreeMap<&'a str, UserCount> {
    let listed = config.pooler.auth_users.keys().chain(config.users.keys()).map(String::as_str);
    let mut counts: BTreeMap<_, _> = listed.chain([PGBOUNCER]).map(|name| (name, UserCount::default())).collect();
    for pool in pools {
        counts.entry(&pool.user).or_default().servers += pool.servers();
    }
    for client in clients {
        counts.entry(&client.user).or_default().clients += 1;
    }
    counts
}

fn user_row(config: &Config, name: &str, user: &User, count: UserCount) -> Row {
    let pooler = &config.pooler;
    let size = |size: Option<usize>| size.map_or(String::new(), |size| format!("{size:9}"));
    vec![
        name.into(),
        size(user.pool_size).into(),
        size(user.reserve_pool_size).into(),
        user.pool_mode.map(pool_mode_text).into(),
        user.max_user_connections.unwrap_or(pooler.max_user_connections).into(),
        count.servers.into(),
        user.max_user_client_connections.unwrap_or(pooler.max_user_client_connections).into(),
        count.clients.into(),
    ]
}
