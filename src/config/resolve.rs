//! Questions to a finished configuration: what holds for this database and this user.

use super::model::{Access, AuthType, Config, Database, Resolved, User};

impl Access {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ReadOnly, Self::ReadWrite];

    /// What stands behind the database's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::ReadOnly => "_ro",
            Self::ReadWrite => "_rw",
        }
    }
}

impl Config {
    /// The entry that serves database `name`: its own, else `*`.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(name).or_else(|| self.databases.get("*"))
    }

    /// The entry that a name is an alias of, and what for.
    pub fn alias<'a>(&self, name: &'a str) -> Option<(&'a str, Access)> {
        Access::ALL.into_iter().find_map(|access| {
            let entry = name.strip_suffix(access.suffix())?;
            self.databases.get(entry)?.aliases.then_some((entry, access))
        })
    }

    /// True if clients may claim to be `user`: listed in `auth_file` or under `[users]`. With auth_type trust
    /// and no `auth_file` there is no list, and PostgreSQL alone decides; `parse` allows that on loopback only.
    pub fn knows_user(&self, user: &str) -> bool {
        let unlisted = self.pooler.auth_type == AuthType::Trust && self.pooler.auth_file.is_none();
        unlisted || self.pooler.auth_users.contains_key(user) || self.users.contains_key(user)
    }

    /// What holds for `user` on `database`: user before database before `[pooler]`. With a forced user, that
    /// user's entry, except for the limit on clients, which is that of the name they log in with, as in PgBouncer. `None` if no entry serves the database.
    ///
    /// `min_pool_size` never exceeds a limited `pool_size`, and a `reserve_pool_timeout` of 0 means no reserve, as in
    /// PgBouncer.
    pub fn resolve(&self, database: &str, user: &str) -> Option<Resolved> {
        let pooler = &self.pooler;
        let db = self.database(database)?;
        let nobody = User::default();
        let client = self.users.get(user).unwrap_or(&nobody);
        let user = self.users.get(db.user.as_deref().unwrap_or(user)).unwrap_or(&nobody);

        let pool_size = user.pool_size.or(db.pool_size).unwrap_or(pooler.default_pool_size);
        let min_pool_size = db.min_pool_size.unwrap_or(pooler.min_pool_size);
        let reserve = user.reserve_pool_size.or(db.reserve_pool_size).unwrap_or(pooler.reserve_pool_size);
        Some(Resolved {
            pool_mode: user.pool_mode.or(db.pool_mode).unwrap_or(pooler.pool_mode),
            pool_size,
            min_pool_size: if pool_size == 0 { min_pool_size } else { min_pool_size.min(pool_size) },
            reserve_pool_size: if pooler.reserve_pool_timeout.is_zero() { 0 } else { reserve },
            reserve_pool_timeout: pooler.reserve_pool_timeout,
            max_db_connections: db.max_db_connections.unwrap_or(pooler.max_db_connections),
            max_user_connections: user.max_user_connections.unwrap_or(pooler.max_user_connections),
            max_db_client_connections: db.max_db_client_connections.unwrap_or(pooler.max_db_client_connections),
            max_user_client_connections: client
                .max_user_client_connections
                .unwrap_or(pooler.max_user_client_connections),
            server_lifetime: db.server_lifetime.unwrap_or(pooler.server_lifetime),
            query_wait_timeout: user.query_wait_timeout.or(db.query_wait_timeout).unwrap_or(pooler.query_wait_timeout),
            query_timeout: user.query_timeout.unwrap_or(pooler.query_timeout),
            idle_transaction_timeout: user.idle_transaction_timeout.unwrap_or(pooler.idle_transaction_timeout),
            transaction_timeout: user.transaction_timeout.unwrap_or(pooler.transaction_timeout),
            client_idle_timeout: user.client_idle_timeout.unwrap_or(pooler.client_idle_timeout),
        })
    }
}
