//! That an alert begins to fire, changes its level or ends; and how that is told.

use super::measure::{Measured, Subject};
use crate::clock::Instant;
use crate::config::{Alert, Condition};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Why an alert does not fire any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is over.
    Cleared,
    /// It is not configured any more, or in another way.
    Removed,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Of which alert.
    pub alert: Arc<Alert>,
    /// About what, and how that is now; what it was last, where it is not known any more.
    pub measured: Measured,
    /// Of an objective the step that is passed now; else empty.
    pub level: &'static str,
    /// What was passed, or is not passed any more.
    pub threshold: f64,
    /// `None`: it fires.
    pub ending: Option<Ending>,
    /// When it began to fire.
    pub since: Instant,
    /// Of the change.
    pub at: Instant,
}

/// What is put on an event when it is told.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// No other event has it.
    pub id: String,
    /// Who tells it: machine and port.
    pub pgotter: String,
    /// When it happened, in seconds since 1970.
    pub at: f64,
    /// When the alert began to fire.
    pub since: f64,
}

impl Event {
    /// `firing` or `resolved`.
    pub fn state(&self) -> &'static str {
        if self.ending.is_none() { "firing" } else { "resolved" }
    }

    /// As JSON; docs/alerts.md has the members. Texts are normal forms: no literal of a client's.
    pub fn json(&self, stamp: &Stamp) -> String {
        let (alert, subject) = (&*self.alert, &self.measured.subject);
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        add("id", json!(stamp.id));
        add("pgotter", json!(stamp.pgotter));
        add("at", json!(stamp.at));
        add("alert", json!(alert.name));
        add("type", json!(alert.condition.word()));
        add("state", json!(self.state()));
        add("since", json!(stamp.since));
        add("value", json!(self.measured.value));
        add("threshold", json!(self.threshold));
        add("unit", json!(if alert.condition.is_share() { "share" } else { "seconds" }));
        if !self.level.is_empty() {
            add("level", json!(self.level));
        }
        if let Some(ending) = self.ending {
            add("reason", json!(if ending == Ending::Cleared { "cleared" } else { "removed" }));
        }
        if alert.condition.is_windowed() {
            add("window_seconds", json!(alert.window.as_secs_f64()));
            add("calls", json!(self.measured.calls));
        }
        if !subject.database().is_empty() {
            add("database", json!(subject.database()));
        }
        if let Some((word, name)) = subject.within() {
            add(word, json!(name));
        }
        if !self.measured.description.text.is_empty() {
            add("query", json!(self.measured.description.text));
        }
        Value::Object(members).to_string()
    }

    /// For Slack and what understands its messages.
    pub fn slack(&self, stamp: &Stamp) -> String {
        let (alert, subject) = (&*self.alert, &self.measured.subject);
        let sign = if self.ending.is_none() { ":rotating_light:" } else { ":white_check_mark:" };
        let mut text = format!("{sign} *{}* {}", escaped(&alert.name), self.state());
        if !self.level.is_empty() {
            text += &format!(" ({})", self.level);
        }
        text += &format!(": {}", self.numbers());
        if *subject != Subject::Process {
            text += &format!(", {}", escaped(&subject.to_string()));
        }
        text += &format!(" [{}]", escaped(&stamp.pgotter));
        if !self.measured.description.text.is_empty() {
            text += &format!("\n`{}`", escaped(&self.measured.description.text.replace(['`', '\n'], " ")));
        }
        json!({ "text": text }).to_string()
    }

    fn numbers(&self) -> String {
        let condition = &self.alert.condition;
        match (condition, self.ending) {
            (_, Some(Ending::Removed)) => "taken out of the configuration".to_owned(),
            (Condition::ReloadFailed, None) => "the configuration was refused, the one before stays".to_owned(),
            (Condition::ReloadFailed, Some(_)) => "the configuration is in force".to_owned(),
            _ => format!(
                "{} {}, threshold {}",
                condition.word(),
                amount(condition, self.measured.value),
                amount(condition, self.threshold)
            ),
        }
    }
}

/// Source: Slack, "Formatting text for app surfaces", escaping text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A value or a threshold, for people.
pub(super) fn amount(condition: &Condition, value: f64) -> String {
    if *condition == Condition::ReloadFailed {
        return if value > 0.5 { "yes" } else { "no" }.to_owned();
    }
    if condition.is_share() {
        return format!("{:.1}%", value * 100.0);
    }
    if value >= 1.0 { format!("{value:.3}s") } else { format!("{:.3}ms", value * 1e3) }
}
