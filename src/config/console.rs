//! Who may enter the console, and what it is called.

use super::model::Config;

/// The console's names; no database can have one of them. The second is PgBouncer's.
const NAMES: [&str; 2] = ["pgotter", "pgbouncer"];

/// What somebody may do in the console, from less to more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// `stats_users`.
    Look,
    /// `admin_users`.
    Everything,
}

/// Whether a client that asks for this database wants the console.
pub fn is_console(database: &str) -> bool {
    NAMES.contains(&database)
}

impl Config {
    /// What `user` may do in the console. `None`: not even enter it.
    pub fn console_rights(&self, user: &str) -> Option<Rights> {
        let among = |users: &[String]| users.iter().any(|known| known == user);
        if among(&self.pooler.admin_users) {
            Some(Rights::Everything)
        } else {
            among(&self.pooler.stats_users).then_some(Rights::Look)
        }
    }
}
