//! What the console's tables say: columns are found by their names, so that further ones do no harm.

use super::Key;
use crate::clock::Instant;
use std::str::FromStr;

/// A result set; NULL is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names.
    pub columns: Vec<String>,
    /// Values.
    pub rows: Vec<Vec<String>>,
}

/// All that was seen at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// SHOW QUERIES.
    pub queries: Vec<Query>,
    /// SHOW ACTIVE.
    pub live: Vec<Live>,
    /// SHOW POOLS, and of SHOW ACTIVE how many are active.
    pub crowd: Crowd,
    /// The one query that was asked for more closely, if it is still there.
    pub closer: Option<Closer>,
}

/// One query more closely, in all databases where it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Closer {
    /// Its fingerprint.
    pub fingerprint: String,
    /// SHOW HISTOGRAM.
    pub buckets: Vec<Bucket>,
    /// SHOW ROUTES.
    pub routes: Vec<Route>,
    /// SHOW CALLERS.
    pub callers: Vec<Caller>,
}

/// How many calls took as long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Where they run.
    pub database: String,
    /// No less.
    pub from_ms: f64,
    /// Less than this; `None`: there is no end.
    pub to_ms: Option<f64>,
    /// By the time of servers.
    pub calls: u64,
}

/// Where calls ran, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// As above.
    pub database: String,
    /// `primary` or `replica`.
    pub role: String,
    /// A word of the router's.
    pub reason: String,
    /// How many.
    pub calls: u64,
}

/// Who was seen to call it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// As it logged in.
    pub database: String,
    /// As above.
    pub user: String,
    /// What it calls itself.
    pub application: String,
    /// Clients that have asked for nothing else since.
    pub clients: u64,
    /// Those among them that run it now.
    pub active: u64,
    /// Slow ones that are kept.
    pub slow: u64,
    /// Of those.
    pub slowest_ms: Option<f64>,
}

/// One query since the start of PgOtter. Times of servers, but for `wait_ms`; nothing where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Database and fingerprint.
    pub key: Key,
    /// `read`, `write`, `ddl` or `utility`.
    pub kind: String,
    /// How often it was run.
    pub calls: u64,
    /// How often it failed.
    pub errors: u64,
    /// Returned or changed.
    pub rows: u64,
    /// Of all calls.
    pub total_ms: f64,
    /// Percent of the time of all queries.
    pub share: f64,
    /// On average.
    pub mean_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 19 of 20 are quicker.
    pub p95_ms: Option<f64>,
    /// 99 of 100 are quicker.
    pub p99_ms: Option<f64>,
    /// Waiting for servers, of all calls.
    pub wait_ms: f64,
    /// Normal form.
    pub text: String,
    /// With commas between them.
    pub tables: String,
    /// Calls that ran on replicas.
    pub replica_calls: Option<u64>,
}

/// One client that something is done for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// As SHOW CLIENTS has it.
    pub id: u64,
    /// As it asked for.
    pub database: String,
    /// As it logged in.
    pub user: String,
    /// What it calls itself.
    pub application: String,
    /// Where it is.
    pub address: String,
    /// `active`, `waiting` or `idle_in_transaction`.
    pub state: String,
    /// Since its last request.
    pub age_ms: f64,
    /// Address and process of its server; empty while it has none.
    pub server: String,
    /// Why it keeps that; empty: it does not.
    pub pin: String,
    /// What it has asked for; empty: it waits, or it is not known.
    pub fingerprint: String,
    /// Its normal form.
    pub text: String,
}

/// How many there are, consoles not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Crowd {
    /// Clients whose statement runs.
    pub active: u64,
    /// Clients that wait for one.
    pub waiting: u64,
    /// How long the first of them has waited.
    pub longest_wait_s: f64,
    /// Servers that serve somebody.
    pub busy_servers: u64,
    /// Servers that do not.
    pub idle_servers: u64,
}

impl Snapshot {
    /// Of SHOW QUERIES, SHOW ACTIVE and SHOW POOLS. `None`: they lack a column, or have no number where one must be.
    pub fn read(at: Instant, queries: &Table, live: &Table, pools: &Table) -> Option<Self> {
        let live = live.read(live_row)?;
        let crowd = pools.read(crowd)?.into_iter().fold(Crowd::default(), Crowd::and);
        let active = live.iter().filter(|live| live.state == "active").count() as u64;
        let crowd = Crowd { active, ..crowd };
        Some(Self { at, queries: queries.read(query)?, live, crowd, closer: None })
    }
}

impl Closer {
    /// Of SHOW HISTOGRAM, SHOW ROUTES and SHOW CALLERS of this one. `None`: as above.
    pub fn read(fingerprint: &str, histogram: &Table, routes: &Table, callers: &Table) -> Option<Self> {
        let fingerprint = fingerprint.to_owned();
        let (buckets, routes, callers) = (histogram.read(bucket)?, routes.read(route)?, callers.read(caller)?);
        Some(Self { fingerprint, buckets, routes, callers })
    }
}

impl Crowd {
    fn and(self, other: Self) -> Self {
        Self {
            active: self.active + other.active,
            waiting: self.waiting + other.waiting,
            longest_wait_s: self.longest_wait_s.max(other.longest_wait_s),
            busy_servers: self.busy_servers + other.busy_servers,
            idle_servers: self.idle_servers + other.idle_servers,
        }
    }
}

impl Table {
    fn read<T>(&self, read: impl Fn(&Fields<'_>) -> Option<T>) -> Option<Vec<T>> {
        self.rows.iter().map(|row| read(&Fields { columns: &self.columns, row })).collect()
    }
}

/// One row.
struct Fields<'a> {
    columns: &'a [String],
    row: &'a [String],
}

impl Fields<'_> {
    fn text(&self, column: &str) -> Option<String> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.row.get(place).cloned()
    }

    fn number<T: FromStr>(&self, column: &str) -> Option<T> {
        self.text(column)?.parse().ok()
    }

    /// The inner `None`: nothing is known.
    fn perhaps(&self, column: &str) -> Option<Option<f64>> {
        let text = self.text(column)?;
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }
}

fn query(row: &Fields<'_>) -> Option<Query> {
    Some(Query {
        key: (row.text("database")?, row.text("fingerprint")?),
        kind: row.text("kind")?,
        calls: row.number("calls")?,
        errors: row.number("errors")?,
        rows: row.number("rows")?,
        total_ms: row.number("total_ms")?,
        share: row.number("share")?,
        mean_ms: row.perhaps("mean_ms")?,
        p50_ms: row.perhaps("p50_ms")?,
        p95_ms: row.perhaps("p95_ms")?,
        p99_ms: row.perhaps("p99_ms")?,
        wait_ms: row.number("wait_ms")?,
        text: row.text("query")?,
        tables: row.text("tables")?,
        replica_calls: row.number("replica_calls"),
    })
}

fn bucket(row: &Fields<'_>) -> Option<Bucket> {
    Some(Bucket {
        database: row.text("database")?,
        from_ms: row.number("from_ms")?,
        to_ms: row.perhaps("to_ms")?,
        calls: row.number("server_calls")?,
    })
}

fn route(row: &Fields<'_>) -> Option<Route> {
    Some(Route {
        database: row.text("database")?,
        role: row.text("role")?,
        reason: row.text("reason")?,
        calls: row.number("calls")?,
    })
}

fn caller(row: &Fields<'_>) -> Option<Caller> {
    Some(Caller {
        database: row.text("database")?,
        user: row.text("user")?,
        application: row.text("application_name")?,
        clients: row.number("clients")?,
        active: row.number("active")?,
        slow: row.number("slow")?,
        slowest_ms: row.perhaps("slowest_ms")?,
    })
}

fn live_row(row: &Fields<'_>) -> Option<Live> {
    let with = |one: String, separator: &str, other: String| match other.is_empty() {
        true => one,
        false => format!("{one}{separator}{other}"),
    };
    Some(Live {
        id: row.number("id")?,
        database: row.text("database")?,
        user: row.text("user")?,
        application: row.text("application_name")?,
        address: with(row.text("addr")?, ":", row.text("port")?),
        state: row.text("state")?,
        age_ms: row.number("age_ms")?,
        server: with(row.text("server")?, " pid ", row.text("server_pid")?),
        pin: row.text("pin")?,
        fingerprint: row.text("fingerprint")?,
        text: row.text("query")?,
    })
}

fn crowd(row: &Fields<'_>) -> Option<Crowd> {
    if row.text("database")? == "pgbouncer" {
        return Some(Crowd::default());
    }
    Some(Crowd {
        // SHOW ACTIVE has them; `cl_active` counts idle clients, too.
        active: 0,
        waiting: row.number("cl_waiting")?,
        longest_wait_s: row.number::<f64>("maxwait")? + row.number::<f64>("maxwait_us")? / 1e6,
        busy_servers: row.number("sv_active")?,
        idle_servers: row.number("sv_idle")?,
    })
}
