//! A new configuration, taken over by every pool while it serves.

use super::watch::Change;
use super::{Books, Claims, Cluster, Pool, Shape, Watch, entry_name};
use crate::config::{Config, ServerTls};
use crate::pool::Lane;
use std::sync::{Arc, Weak};

/// What of a configuration decides how the servers of a pool log in: what was opened with other words is outdated.
#[derive(PartialEq)]
struct Words<'a> {
    dbname: &'a str,
    secret: Option<&'a str>,
    connect_query: Option<&'a str>,
    parameters: [Option<&'a str>; 4],
    tls: &'a ServerTls,
}

impl Cluster {
    /// Takes `config` over as a whole. Clients stay: they see what has changed at their next request, or are told that
    /// their database has been removed. Servers whose login has changed are replaced, idle ones now and the others when
    /// they come in. Whoever waits goes on waiting, for servers of the new configuration.
    pub fn reload(&self, config: Arc<Config>) {
        self.backoffs.lock().values().for_each(|backoff| backoff.set_longest(config.pooler.server_login_retry));
        let books = &mut *self.books.lock();
        self.statements.resize(config.pooler.statement_cache_size);
        self.keyring.keep(|role| super::logins::is_listed(&config, role));
        let old = std::mem::replace(&mut books.config, config);
        books.generation += 1;
        let watches = super::watches(&books.config, &books.watches, &books.numbers);
        let before = std::mem::replace(&mut books.watches, watches);
        let claims = Arc::new(Claims::new(&books.config.routing));
        books.catalogs.values().filter_map(Weak::upgrade).for_each(|catalog| catalog.claim(claims.clone()));
        let pools: Vec<_> = books.pools.values().cloned().collect();
        for pool in pools {
            let outdated = words(&old, &pool) != words(&books.config, &pool);
            self.renew(books, &pool, outdated);
        }
        let Books { pools, paused, config, .. } = books;
        pools.retain(|_, pool| !pool.shape().lanes.is_empty());
        paused.forget(|database| config.database(database).is_none());
        // Behind the pools: whoever is called finds their new shapes.
        let stays = |watch: &Arc<Watch>| books.watches.get(&watch.entry).is_some_and(|kept| Arc::ptr_eq(kept, watch));
        before.values().filter(|watch| !stays(watch)).for_each(|watch| watch.end());
        books.watches.values().for_each(|watch| watch.share_from_now_on());
        // Another login may do.
        books.watches.values().for_each(|watch| watch.ask_now());
        self.watches_changed.notify_one();
    }

    /// RECONNECT: every server of `database`, or of all, is replaced by a new one, idle ones now and the others when they
    /// come in. False: no such database.
    pub fn reconnect(&self, database: Option<&str>) -> bool {
        let books = &mut *self.books.lock();
        books.generation += 1;
        for pool in books.pools_of(database) {
            self.renew(books, &pool, true);
        }
        database.is_none_or(|name| books.config.database(name).is_some())
    }

    /// Follows what was found out about the hosts of an entry: the pools' servers of a former primary may not say any more that
    /// anything was done, and who waits for one of those looks for another. The view is in place already.
    pub(super) fn follow(&self, watch: &Arc<Watch>, change: &Change) {
        self.follow_in_pools(watch, change);
        if change.revoked.is_some() {
            // What they wait for may never come.
            (self.wake_clients)();
        }
    }

    fn follow_in_pools(&self, watch: &Arc<Watch>, change: &Change) {
        let books = &*self.books.lock();
        let of_entry = |pool: &&Arc<Pool>| entry_name(&books.config, &pool.database) == watch.entry;
        for pool in books.pools.values().filter(of_entry) {
            let shape = pool.shape();
            let Some(own) = &shape.watch else { continue };
            let is_own = Arc::ptr_eq(own, watch);
            // One that a reload has just put in the place of this one has taken over what this had found out, and not that it was to be told.
            let revoked = change.revoked.and_then(|host| if is_own { Some(host) } else { own.host_of(watch, host) });
            if let Some(lane) = revoked.and_then(|host| shape.lanes.get(host)) {
                lane.revoke();
            }
            if is_own && change.primary.is_some() {
                // Which lane is kept warm, and what the catalog says, is another thing now.
                self.renew(books, pool, false);
            }
        }
    }

    /// Gives a pool the shape that the configuration in force says.
    fn renew(&self, books: &Books, pool: &Pool, outdated: bool) {
        let before = pool.shape();
        let shape = self.shape(books, pool, &before.lanes);
        let shape = shape.unwrap_or_else(|| Shape::removed(before.settings.clone()));
        let stays = |lane: &Arc<Lane>| shape.lanes.iter().any(|kept| Arc::ptr_eq(kept, lane));
        let (kept, gone): (Vec<_>, Vec<_>) = before.lanes.iter().partition(|lane| stays(lane));
        if let Some(entry) = books.config.database(&pool.database) {
            for spec in self.specs(books, pool, entry, &shape.settings) {
                if let Some(lane) = kept.iter().find(|lane| lane.can_become(&spec)) {
                    lane.renew(spec, outdated);
                }
            }
        }
        pool.catalog().doubt_all();
        // In this order: whoever is sent away finds the new lanes.
        pool.set_shape(shape);
        gone.into_iter().for_each(Lane::close);
    }
}

impl Books {
    /// The pools of one database, or all.
    pub(super) fn pools_of(&self, database: Option<&str>) -> Vec<Arc<Pool>> {
        let named = |pool: &&Arc<Pool>| database.is_none_or(|name| name == pool.database);
        self.pools.values().filter(named).cloned().collect()
    }
}

fn words<'a>(config: &'a Config, pool: &'a Pool) -> Option<Words<'a>> {
    let entry = config.database(&pool.database)?;
    Some(Words {
        dbname: entry.dbname.as_ref().unwrap_or(&pool.database),
        secret: super::logins::secret(config, entry, &pool.user),
        connect_query: entry.connect_query.as_deref(),
        parameters: [&entry.client_encoding, &entry.datestyle, &entry.timezone, &entry.application_name]
            .map(Option::as_deref),
        tls: &config.pooler.server_tls,
    })
}
