//! `[[alert]]`: what an operator wants to hear of. Its types, keys, defaults and ranges; what they mean is told in
//! `config/reference.toml` and docs/alerts.md.

use super::model::RouteRule;
use super::report::Notebook;
use super::rules::fingerprint;
use super::section::{Section, Value, Wrong};
use super::values::{self, found, positive, whole, word};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use toml::de::DeTable;

/// Alerts at most: each is looked at every second.
const ALERTS_MAX: usize = 100;

/// Every key, of whatever type.
const KEYS: [&str; 14] = [
    "type",
    "name",
    "over",
    "quantile",
    "target",
    "acceptable",
    "critical",
    "window",
    "for",
    "min_calls",
    "clear",
    "clear_for",
    "scope",
    "match",
];

/// Different `match.application` of all alerts on windows: for each of them statements are counted once more.
const APPLICATIONS_MAX: usize = 16;

const TYPES: [(&str, Type); 9] = [
    ("single", Type::Single),
    ("average", Type::Average),
    ("percentile", Type::Percentile),
    ("error_ratio", Type::ErrorRatio),
    ("objective", Type::Objective),
    ("pool_wait", Type::PoolWait),
    ("pool_saturation", Type::PoolSaturation),
    ("replica_lag", Type::ReplicaLag),
    ("reload_failed", Type::ReloadFailed),
];
const MORE: [(&str, Type); 2] = [("pins", Type::Pins), ("serialization_failures", Type::SerializationFailures)];

const SCOPES: [(&str, Scope); 2] = [("fingerprint", Scope::Fingerprint), ("database", Scope::Database)];

const KINDS: [(&str, &str); 4] = [("read", "read"), ("write", "write"), ("ddl", "ddl"), ("utility", "utility")];

/// One `[[alert]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is called; no two have the same name. Default its type.
    pub name: String,
    /// What it is about.
    pub condition: Condition,
    /// What is looked at: statements of so long, or so long without a break. Default 5 min for statements, 30 s for the others.
    pub window: Duration,
    /// Fewer statements than these say nothing. Default 20.
    pub min_calls: u64,
    /// It ends below this share of what it began at. Default 0.8.
    pub clear: f64,
    /// And when it has been there for so long. Default 1 min.
    pub clear_for: Duration,
    /// Default that of the type.
    pub scope: Scope,
    /// Default everything.
    pub matches: Match,
}

/// When an alert fires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// A statement took longer.
    Single {
        /// From its arrival until its client had the answer.
        over: Duration,
    },
    /// The mean time of servers is longer.
    Average {
        /// Of servers.
        over: Duration,
    },
    /// A quantile of the time of servers is longer.
    Percentile {
        /// Above 0, below 1.
        quantile: f64,
        /// Of servers.
        over: Duration,
    },
    /// A bigger share of the statements fails.
    ErrorRatio {
        /// Above 0, below 1.
        over: f64,
    },
    /// A bigger share of the statements fails as it is in the way of another transaction: 40001, 40P01.
    SerializationFailures {
        /// Above 0, below 1.
        over: f64,
    },
    /// As a percentile, with several steps.
    Objective {
        /// Default 0.95.
        quantile: f64,
        /// What it is to be. Missing it is shown and nothing else.
        target: Duration,
        /// Beyond it somebody hears of it.
        acceptable: Duration,
        /// And again beyond this.
        critical: Duration,
    },
    /// A client waits longer for a server.
    PoolWait {
        /// Of the first in the queue.
        over: Duration,
    },
    /// A bigger share of a pool's places is taken.
    PoolSaturation {
        /// On the host where most are.
        over: f64,
    },
    /// A replica is further behind.
    ReplicaLag {
        /// As `pgotter_replica_lag_seconds`.
        over: Duration,
    },
    /// A bigger share of a pool's places is kept over transactions.
    Pins {
        /// On the host where most are.
        over: f64,
    },
    /// The configuration that was read last is not in force.
    ReloadFailed,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Single,
    Average,
    Percentile,
    ErrorRatio,
    SerializationFailures,
    Objective,
    PoolWait,
    PoolSaturation,
    ReplicaLag,
    Pins,
    ReloadFailed,
}

/// Of what there is one state each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each fingerprint of each database.
    Fingerprint,
    /// Each database, all that match together.
    Database,
}

/// Which statements count; all of what is given must be so. Texts may have `*` for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// As it is counted under.
    pub database: Option<String>,
    /// One of them is named, with or without its schema. Empty = whatever is.
    pub tables: Vec<String>,
    /// `read`, `write`, `ddl`, `utility`.
    pub kind: Option<&'static str>,
    /// Of the normal form.
    pub fingerprint: Option<u64>,
    /// What clients call themselves. At most 63 bytes.
    pub application: Option<Arc<str>>,
}

impl Match {
    /// Whether it is this database.
    pub fn has_database(&self, database: &str) -> bool {
        self.database.as_ref().is_none_or(|pattern| RouteRule::fits(pattern, database.as_bytes()))
    }

    /// Whether nothing but the database matters.
    pub fn is_of_whole_databases(&self) -> bool {
        self.tables.is_empty() && self.kind.is_none() && self.fingerprint.is_none() && self.application.is_none()
    }

    /// Whether it is a client of such an application, by what it calls itself.
    pub fn has_application(&self, name: &str) -> bool {
        self.application.as_ref().is_none_or(|pattern| RouteRule::fits(pattern, name.as_bytes()))
    }

    /// Whether it is such a statement. `tables` has commas between them.
    pub fn has_statement(&self, fingerprint: Option<u64>, kind: &str, tables: &str) -> bool {
        let fits = |pattern: &String, table: &str| {
            let bare = table.rsplit('.').next().unwrap_or(table);
            [table, bare].iter().any(|name| RouteRule::fits(pattern, name.as_bytes()))
        };
        let one_fits = |pattern: &String| tables.split(',').any(|table| fits(pattern, table.trim()));
        self.kind.is_none_or(|wanted| wanted == kind)
            && (self.fingerprint.is_none() || self.fingerprint == fingerprint)
            && (self.tables.is_empty() || !tables.is_empty() && self.tables.iter().any(one_fits))
    }
}

impl Condition {
    /// As it is written under `type`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Single { .. } => "single",
            Self::Average { .. } => "average",
            Self::Percentile { .. } => "percentile",
            Self::ErrorRatio { .. } => "error_ratio",
            Self::SerializationFailures { .. } => "serialization_failures",
            Self::Objective { .. } => "objective",
            Self::PoolWait { .. } => "pool_wait",
            Self::PoolSaturation { .. } => "pool_saturation",
            Self::ReplicaLag { .. } => "replica_lag",
            Self::Pins { .. } => "pins",
            Self::ReloadFailed => "reload_failed",
        }
    }

    /// Whether its numbers are shares; else they are seconds.
    pub fn is_share(&self) -> bool {
        matches!(
            self,
            Self::ErrorRatio { .. }
                | Self::SerializationFailures { .. }
                | Self::PoolSaturation { .. }
                | Self::Pins { .. }
                | Self::ReloadFailed
        )
    }

    /// Whether it looks at statements of a window; else at what is now.
    pub fn is_windowed(&self) -> bool {
        matches!(
            self,
            Self::Single { .. }
                | Self::Average { .. }
                | Self::Percentile { .. }
                | Self::ErrorRatio { .. }
                | Self::SerializationFailures { .. }
                | Self::Objective { .. }
        )
    }
}

impl Alert {
    /// The applications whose statements it has to be counted by themselves for. Single ones are told with whose they were.
    fn circle(&self) -> Option<&Arc<str>> {
        let windows = self.condition.is_windowed() && !matches!(self.condition, Condition::Single { .. });
        self.matches.application.as_ref().filter(|_| windows)
    }

    /// Those of all of these, each once.
    pub fn circles(alerts: &[Arc<Self>]) -> Vec<Arc<str>> {
        let circles: BTreeSet<_> = alerts.iter().filter_map(|alert| alert.circle().cloned()).collect();
        circles.into_iter().collect()
    }
}

impl Type {
    fn of_statements(self) -> bool {
        use Type::{Average, ErrorRatio, Objective, Percentile, SerializationFailures, Single};
        matches!(self, Single | Average | Percentile | ErrorRatio | SerializationFailures | Objective)
    }
}

/// Reads all of them.
pub(super) fn alerts(notes: &mut Notebook, root: &DeTable<'_>) -> Vec<Arc<Alert>> {
    let Some(list) = root.get("alert") else { return Vec::new() };
    let Some(items) = list.get_ref().as_array() else {
        let help = Some("each stands under [[alert]], in two brackets".to_owned());
        notes.add(list.span(), "`alert` must be a list of tables".to_owned(), found(list), help);
        return Vec::new();
    };
    if items.len() > ALERTS_MAX {
        notes.add(list.span(), format!("there may be at most {ALERTS_MAX} alerts"), "more", None);
        return Vec::new();
    }
    let mut alerts: Vec<Arc<Alert>> = Vec::new();
    for item in items.iter() {
        let Some(table) = item.get_ref().as_table() else {
            notes.add(item.span(), "each `alert` must be a table".to_owned(), found(item), None);
            continue;
        };
        let Some((alert, place)) = alert(notes, table, item.span()) else { continue };
        if alerts.iter().any(|other| other.name == alert.name) {
            let help = Some("give each a `name` of its own".to_owned());
            notes.add(place, format!("two alerts are called \"{}\"", alert.name), "the second", help);
        }
        alerts.push(Arc::new(alert));
    }
    if Alert::circles(&alerts).len() > APPLICATIONS_MAX {
        let message = format!("alerts may name at most {APPLICATIONS_MAX} different applications in `match`");
        let help = Some("a text may have * for any characters: \"billing-*\"".to_owned());
        notes.add(list.span(), message, "more", help);
    }
    alerts
}

fn alert(notes: &mut Notebook, table: &DeTable<'_>, place: Range<usize>) -> Option<(Alert, Range<usize>)> {
    let mut section = Section::new(notes, Some(table), "[[alert]]", place.clone());
    let s = &mut section;
    let types = [&TYPES[..], &MORE[..]].concat();
    let Some(kind) = s.get("type", word(&types)) else {
        if !s.has("type") {
            let help = Some(types.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", "));
            s.notes.add(place, "an alert needs `type`".to_owned(), "without", help);
        }
        return None;
    };
    let type_word = types.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word);
    let name = s.or("name", type_word.to_owned(), label);
    let condition = condition(s, kind);
    let statements = kind.of_statements();
    let has_steps = !matches!(kind, Type::Single | Type::ReloadFailed);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let alert = Alert {
        name,
        window: match kind {
            _ if statements => s.or("window", minutes(5), window),
            Type::ReloadFailed => Duration::ZERO,
            _ => s.or("for", Duration::from_secs(30), held),
        },
        min_calls: if statements && has_steps { s.or("min_calls", 20, whole(1..=1_000_000_000)) } else { 1 },
        clear: if has_steps { s.or("clear", 0.8, clear) } else { 1.0 },
        clear_for: if has_steps { s.or("clear_for", minutes(1), held) } else { Duration::ZERO },
        scope: match kind {
            Type::Average | Type::Percentile => s.or("scope", Scope::Fingerprint, word(&SCOPES)),
            Type::ErrorRatio | Type::SerializationFailures | Type::Objective => {
                s.or("scope", Scope::Database, word(&SCOPES))
            }
            _ => Scope::Fingerprint,
        },
        matches: if kind == Type::ReloadFailed { Match::default() } else { matches(s, statements) },
        condition: condition.unwrap_or(Condition::ReloadFailed),
    };
    s.unknown_keys(|key| {
        let message = format!("an alert of type \"{type_word}\" has no `{key}`");
        KEYS.contains(&key).then(|| (message, "docs/alerts.md says which type has what".to_owned()))
    });
    let place = if s.has("name") { s.place_of("name") } else { place };
    condition.map(|_| (alert, place))
}

/// What the type needs. `None`: it is not there, or wrong.
fn condition(s: &mut Section<'_>, kind: Type) -> Option<Condition> {
    Some(match kind {
        Type::Single => Condition::Single { over: needed(s, "over", positive)? },
        Type::Average => Condition::Average { over: needed(s, "over", positive)? },
        Type::Percentile => {
            let (quantile, over) = (needed(s, "quantile", share), needed(s, "over", positive));
            Condition::Percentile { quantile: quantile?, over: over? }
        }
        Type::ErrorRatio => Condition::ErrorRatio { over: needed(s, "over", share)? },
        Type::SerializationFailures => Condition::SerializationFailures { over: needed(s, "over", share)? },
        Type::Objective => objective(s)?,
        Type::PoolWait => Condition::PoolWait { over: needed(s, "over", positive)? },
        Type::PoolSaturation => Condition::PoolSaturation { over: needed(s, "over", saturation)? },
        Type::ReplicaLag => Condition::ReplicaLag { over: needed(s, "over", positive)? },
        Type::Pins => Condition::Pins { over: needed(s, "over", share)? },
        Type::ReloadFailed => Condition::ReloadFailed,
    })
}

fn objective(s: &mut Section<'_>) -> Option<Condition> {
    let quantile = s.or("quantile", 0.95, share);
    let steps = ["target", "acceptable", "critical"];
    let [target, acceptable, critical] = steps.map(|key| needed(s, key, positive));
    let (target, acceptable, critical) = (target?, acceptable?, critical?);
    for (lower, key, ordered) in
        [("target", "acceptable", target <= acceptable), ("acceptable", "critical", acceptable <= critical)]
    {
        if !ordered {
            let place = s.place_of(key);
            s.notes.add(place, format!("`{key}` must not be below `{lower}`"), "shorter", None);
        }
    }
    Some(Condition::Objective { quantile, target, acceptable, critical })
}

/// A key without a default.
fn needed<T>(s: &mut Section<'_>, key: &'static str, read: impl FnOnce(&Value<'_>) -> Result<T, Wrong>) -> Option<T> {
    let value = s.get(key, read);
    if !s.has(key) {
        let place = s.place_of("type");
        s.notes.add(place, format!("an alert of this type needs `{key}`"), "without", None);
    }
    value
}

fn matches(s: &mut Section<'_>, statements: bool) -> Match {
    let Some(value) = s.raw("match") else { return Match::default() };
    let Some(table) = value.get_ref().as_table() else {
        let wrong = Wrong::new("a table", found(value)).with_help("match = { database = \"shop\" }");
        s.refuse("match", value.span(), wrong);
        return Match::default();
    };
    let mut inner = Section::new(s.notes, Some(table), "`match`", value.span());
    let mut matches = Match { database: inner.get("database", values::name), ..Match::default() };
    if statements {
        matches.tables = inner.or("tables", Vec::new(), values::names);
        matches.kind = inner.get("kind", word(&KINDS));
        matches.fingerprint = inner.get("fingerprint", fingerprint);
        matches.application = inner.get("application", label).map(Arc::from);
    }
    inner.unknown_keys(|_| None);
    matches
}

/// It becomes a label of a metric, and part of a message.
fn label(value: &Value<'_>) -> Result<String, Wrong> {
    let name = values::name(value)?;
    if name.len() > 63 || name.contains(char::is_control) {
        return Err(Wrong::new("a text of at most 63 bytes, without control characters", "not such a text"));
    }
    Ok(name)
}

fn window(value: &Value<'_>) -> Result<Duration, Wrong> {
    between(value, Duration::from_secs(10), "10s")
}

/// May be 0.
fn held(value: &Value<'_>) -> Result<Duration, Wrong> {
    between(value, Duration::ZERO, "0")
}

fn between(value: &Value<'_>, least: Duration, text: &str) -> Result<Duration, Wrong> {
    const DAY: Duration = Duration::from_secs(86_400);
    let duration = values::duration(value)?;
    if duration < least || duration > DAY {
        let label = if duration < least { "too short" } else { "too long" };
        return Err(Wrong::new(format!("a duration from {text} to 24h"), label));
    }
    Ok(duration)
}

/// A number between 0 and 1.
fn share(value: &Value<'_>) -> Result<f64, Wrong> {
    let wrong = || Wrong::new("a number above 0 and below 1", found(value)).with_help("0.05 is five percent");
    values::number(value).filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(wrong)
}

/// The same of a pool's places, of which all may be taken: that is no more than 1.
fn saturation(value: &Value<'_>) -> Result<f64, Wrong> {
    let help = "`over` is what has to be exceeded: 0.99 is so when all places are taken";
    share(value).map_err(|wrong| if values::number(value) == Some(1.0) { wrong.with_help(help) } else { wrong })
}

/// A number up to 1.
fn clear(value: &Value<'_>) -> Result<f64, Wrong> {
    let wrong = || Wrong::new("a number above 0, at most 1", found(value)).with_help("0.8 is four fifths of `over`");
    values::number(value).filter(|share| *share > 0.0 && *share <= 1.0).ok_or_else(wrong)
}
