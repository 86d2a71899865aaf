//! What an alert is about, as numbers: one value for each statement, database, pool or host that it looks at.

use crate::config::{Alert, Condition, Scope};
use crate::metrics::{Description, Key, LongCall, Name, Recent, Windows};
use foldhash::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What there is to see at one moment, beside what was counted lately.
#[derive(Default)]
pub struct Look {
    /// Single statements that took longer than the shortest alert on them wants to hear of, since the last look.
    pub long: Vec<LongCall>,
    /// How many more there were, by database, of which no more is known.
    pub more_long: BTreeMap<Arc<str>, u64>,
    /// What was counted lately for applications of these patterns.
    pub circles: Vec<(Arc<str>, Arc<Windows>)>,
    /// Every pool.
    pub pools: Vec<PoolLook>,
    /// Every host that is not the primary.
    pub replicas: Vec<ReplicaLook>,
    /// The configuration that was read last is not in force.
    pub reload_failed: bool,
}

/// One pool.
pub struct PoolLook {
    /// As it is counted under.
    pub database: Arc<str>,
    /// As servers log in.
    pub user: String,
    /// Of the client that has waited longest; 0 without any.
    pub oldest_wait: Duration,
    /// Which share of its places is taken, on the host where most are. `None`: there is no limit.
    pub taken: Option<f64>,
    /// Which share of them is kept over transactions.
    pub pinned: Option<f64>,
}

/// One replica.
pub struct ReplicaLook {
    /// Its entry of the configuration.
    pub database: Arc<str>,
    /// Where it is.
    pub host: String,
    /// How far it is behind. `None`: nobody knows, as it does not answer or is too far behind for that.
    pub lag: Option<Duration>,
}

/// What an alert fires about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Of a database.
    Statement(Key),
    /// All statements of a database that match.
    Database(Arc<str>),
    /// Database and user.
    Pool(Arc<str>, String),
    /// Database and host.
    Host(Arc<str>, String),
    /// PgOtter itself.
    Process,
    /// Several that there is no room for.
    Others,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Of what.
    pub subject: Subject,
    /// In seconds, or a share.
    pub value: f64,
    /// Statements that it is made of; 0 where it is not.
    pub calls: u64,
    /// What there is to say of the statement.
    pub description: Arc<Description>,
}

impl Look {
    /// What was counted lately for applications of this pattern.
    pub(super) fn circle(&self, pattern: &str) -> Option<(&str, &Windows)> {
        let found = self.circles.iter().find(|(known, _)| **known == *pattern);
        found.map(|(pattern, windows)| (&**pattern, &**windows))
    }

    /// Single statements beyond those that are known that this alert certainly wants to hear of: of more than their database nothing can be said.
    pub(super) fn more_of(&self, alert: &Alert) -> u64 {
        let matching = self.more_long.iter().filter(|(database, _)| alert.matches.has_database(database));
        if alert.matches.is_of_whole_databases() { matching.map(|(_, count)| count).sum() } else { 0 }
    }
}

impl ReplicaLook {
    fn subject(&self) -> Subject {
        Subject::Host(self.database.clone(), self.host.clone())
    }
}

impl Subject {
    /// The database; empty where it is not one.
    pub fn database(&self) -> &str {
        match self {
            Self::Statement(key) => &key.database,
            Self::Database(database) | Self::Pool(database, _) | Self::Host(database, _) => database,
            Self::Process | Self::Others => "",
        }
    }

    /// What it is within the database: a word for it, and its name.
    pub fn within(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Statement(key) => Some(("fingerprint", key.name.to_string())),
            Self::Pool(_, user) => Some(("user", user.clone())),
            Self::Host(_, host) => Some(("host", host.clone())),
            Self::Others => Some(("fingerprint", "others".to_owned())),
            Self::Database(_) | Self::Process => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.within() {
            Some((word, name)) if self.database().is_empty() => write!(f, "{word} {name}"),
            Some((word, name)) => write!(f, "database {}, {word} {name}", self.database()),
            None if self.database().is_empty() => f.write_str("pgotter"),
            None => write!(f, "database {}", self.database()),
        }
    }
}

impl Measured {
    fn new(subject: Subject, value: f64) -> Self {
        Self { subject, value, calls: 0, description: Arc::default() }
    }
}

/// Everything that this alert looks at, with its value now; what there is too little of is left out. Single statements are not looked
/// at: each is heard of when it has ended.
pub(super) fn measure(alert: &Alert, recent: &HashMap<Key, Recent>, look: &Look) -> Vec<Measured> {
    let pools = look.pools.iter().filter(|pool| alert.matches.has_database(&pool.database));
    let of_pools = |value: &dyn Fn(&PoolLook) -> Option<f64>| {
        let measured = |pool: &PoolLook| {
            Some(Measured::new(Subject::Pool(pool.database.clone(), pool.user.clone()), value(pool)?))
        };
        pools.clone().filter_map(measured).collect()
    };
    match alert.condition {
        Condition::Single { .. } => Vec::new(),
        Condition::Average { .. }
        | Condition::Percentile { .. }
        | Condition::ErrorRatio { .. }
        | Condition::SerializationFailures { .. }
        | Condition::Objective { .. } => statements(alert, recent),
        Condition::PoolWait { .. } => of_pools(&|pool| Some(pool.oldest_wait.as_secs_f64())),
        Condition::PoolSaturation { .. } => of_pools(&|pool| pool.taken),
        Condition::Pins { .. } => of_pools(&|pool| pool.pinned),
        Condition::ReplicaLag { .. } => {
            let replicas = look.replicas.iter().filter(|replica| alert.matches.has_database(&replica.database));
            let measured = |replica: &ReplicaLook| Some(Measured::new(replica.subject(), replica.lag?.as_secs_f64()));
            replicas.filter_map(measured).collect()
        }
        Condition::ReloadFailed => vec![Measured::new(Subject::Process, f64::from(u8::from(look.reload_failed)))],
    }
}

/// What it looks at, and nobody can say anything of at this moment: what was said last holds.
pub(super) fn unknown(alert: &Alert, look: &Look) -> BTreeSet<Subject> {
    match alert.condition {
        Condition::ReplicaLag { .. } => {
            look.replicas.iter().filter(|replica| replica.lag.is_none()).map(ReplicaLook::subject).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Whether the alert wants to hear of this statement.
pub(super) fn concerns(alert: &Alert, key: &Key, description: &Description) -> bool {
    let fingerprint = match key.name {
        Name::Fingerprint(fingerprint) => Some(fingerprint),
        _ => None,
    };
    alert.matches.has_database(&key.database)
        && alert.matches.has_statement(fingerprint, description.kind, &description.tables)
}

fn statements(alert: &Alert, recent: &HashMap<Key, Recent>) -> Vec<Measured> {
    // A pipeline's time is that of several statements.
    let concerned =
        recent.iter().filter(|(key, recent)| key.name != Name::Pipeline && concerns(alert, key, &recent.description));
    let measured = |subject, recent: &Recent| {
        let (value, calls) = value(alert, recent)?;
        let description = if alert.scope == Scope::Fingerprint { recent.description.clone() } else { Arc::default() };
        Some(Measured { subject, value, calls, description })
    };
    if alert.scope == Scope::Fingerprint {
        return concerned.filter_map(|(key, recent)| measured(Subject::Statement(key.clone()), recent)).collect();
    }
    let mut databases: BTreeMap<Arc<str>, Recent> = BTreeMap::new();
    for (key, recent) in concerned {
        databases.entry(key.database.clone()).or_default().add(recent);
    }
    databases.into_iter().filter_map(|(database, recent)| measured(Subject::Database(database), &recent)).collect()
}

/// The value, and of how many statements. `None`: they are too few.
fn value(alert: &Alert, recent: &Recent) -> Option<(f64, u64)> {
    let (calls, timed) = (recent.calls, recent.timed());
    let enough = |count: u64| count >= alert.min_calls && count > 0;
    let quantile = |quantile| recent.server().quantile(quantile).map(|took| (took.as_secs_f64(), timed));
    match alert.condition {
        Condition::Average { .. } if enough(timed) => Some((recent.server_us as f64 / 1e6 / timed as f64, timed)),
        Condition::Percentile { quantile: share, .. } | Condition::Objective { quantile: share, .. }
            if enough(timed) =>
        {
            quantile(share)
        }
        Condition::ErrorRatio { .. } if enough(calls) => Some((recent.errors as f64 / calls as f64, calls)),
        Condition::SerializationFailures { .. } if enough(calls) => {
            Some((recent.conflicts as f64 / calls as f64, calls))
        }
        _ => None,
    }
}
