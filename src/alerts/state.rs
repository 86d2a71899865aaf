//! From values to what fires: each alert and what it is about is a small machine.
//!
//! ```text
//!              above a threshold (for so long, where the alert says so)
//!     calm ------------------------------------------------------------> firing
//!       ^                                                                  |  ^
//!       |        not above `clear` of it, for `clear_for`                  |  | above `clear`
//!       +------------------------------------------------------------------+--+
//! ```
//! An objective has two thresholds, and a level for each. A single statement fires at once, and is over when none came for a window.

use super::board::Row;
use super::event::{Ending, Event, amount};
use super::measure::{Look, Measured, Subject, concerns, measure, unknown};
use crate::clock::Instant;
use crate::config::{Alert, Condition};
use crate::metrics::{Key, LongCall, Recent, Windows};
use foldhash::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Of what one alert can fire at a time; more are one together.
const SUBJECTS: usize = 100;

/// Bytes of a query's text that a row shows.
const QUERY_MAX: usize = 300;

/// All that are configured.
#[derive(Default)]
pub struct Alerts(Vec<Watched>);

struct Watched {
    alert: Arc<Alert>,
    // Thresholds in order, each with the level that it leads to.
    steps: Vec<(&'static str, f64)>,
    fired: u64,
    machines: BTreeMap<Subject, Machine>,
    // The highest value at the last look.
    worst: Option<Measured>,
}

/// What is not calm.
struct Machine {
    // How many of the thresholds count as passed; 0: it does not fire yet.
    level: usize,
    since: Instant,
    // When the value left its place: upwards while it does not fire, else downwards. Of single statements: the last one.
    turned: Option<Instant>,
    measured: Measured,
}

impl Alerts {
    /// From now on these are looked at. Those that are what they were go on; of the others what fires is over.
    pub fn define(&mut self, now: Instant, alerts: &[Arc<Alert>]) -> Vec<Event> {
        let mut before = std::mem::take(&mut self.0);
        for alert in alerts {
            let known = before.iter().position(|watched| watched.alert == *alert);
            self.0.push(known.map_or_else(|| Watched::new(alert.clone()), |at| before.swap_remove(at)));
        }
        before.iter().flat_map(|watched| watched.removed(now)).collect()
    }

    /// The shortest time that a single statement may take without anybody hearing of it. `None`: nobody wants to.
    pub fn single_over(&self) -> Option<Duration> {
        self.0.iter().filter_map(|watched| watched.single_over()).min()
    }

    /// Looks at everything. What has changed, in the order of the configuration.
    pub fn look(&mut self, now: Instant, windows: &Windows, look: &Look) -> Vec<Event> {
        let mut recent: BTreeMap<(Duration, Option<&str>), HashMap<Key, Recent>> = BTreeMap::new();
        let none = HashMap::default();
        let shortest = self.single_over();
        let mut events = Vec::new();
        for watched in &mut self.0 {
            match watched.single_over() {
                Some(over) => {
                    let more = if Some(over) == shortest { look.more_of(&watched.alert) } else { 0 };
                    watched.hear(now, over, look, more, &mut events);
                }
                None => {
                    let alert = watched.alert.clone();
                    let circle = alert.matches.application.as_ref().and_then(|pattern| look.circle(pattern));
                    let (known_as, windows) = match (&alert.matches.application, circle) {
                        (None, _) => (None, Some(windows)),
                        (Some(_), None) => (None, None),
                        (Some(_), Some((pattern, windows))) => (Some(pattern), Some(windows)),
                    };
                    let counted = match windows.filter(|_| alert.condition.is_windowed()) {
                        Some(windows) => {
                            &*recent.entry((alert.window, known_as)).or_insert_with(|| windows.recent(alert.window))
                        }
                        None => &none,
                    };
                    let measured = measure(&alert, counted, look);
                    watched.judge(now, measured, &unknown(&alert, look), &mut events);
                }
            }
        }
        events
    }

    /// For operators: in the order of the configuration, what fires, or the worst there is.
    pub fn rows(&self) -> Vec<Row> {
        self.0.iter().flat_map(Watched::rows).collect()
    }
}

impl Watched {
    fn new(alert: Arc<Alert>) -> Self {
        let seconds = |duration: Duration| duration.as_secs_f64();
        let steps = match alert.condition {
            Condition::Single { over }
            | Condition::Average { over }
            | Condition::Percentile { over, .. }
            | Condition::PoolWait { over }
            | Condition::ReplicaLag { over } => vec![("", seconds(over))],
            Condition::ErrorRatio { over }
            | Condition::SerializationFailures { over }
            | Condition::PoolSaturation { over }
            | Condition::Pins { over } => {
                vec![("", over)]
            }
            Condition::Objective { acceptable, critical, .. } => {
                vec![("acceptable", seconds(acceptable)), ("critical", seconds(critical))]
            }
            Condition::ReloadFailed => vec![("", 0.5)],
        };
        Self { alert, steps, fired: 0, machines: BTreeMap::new(), worst: None }
    }

    fn single_over(&self) -> Option<Duration> {
        match self.alert.condition {
            Condition::Single { over } => Some(over),
            _ => None,
        }
    }

    /// Single statements that have ended.
    fn hear(&mut self, now: Instant, over: Duration, look: &Look, more: u64, events: &mut Vec<Event>) {
        let mut new = Vec::new();
        let matches = &self.alert.matches;
        let concerned = |call: &&LongCall| call.took > over && matches.has_application(&call.application);
        let long: Vec<_> = look.long.iter().filter(concerned).collect();
        for call in long {
            let key = Key { database: call.database.clone(), name: call.name };
            if concerns(&self.alert, &key, &call.description) {
                let description = || Arc::new(call.description.clone());
                let subject = self.place(Subject::Statement(key));
                new.extend(self.long(now, subject, call.took.as_secs_f64(), 1, description));
            }
        }
        if more > 0 {
            new.extend(self.long(now, Subject::Others, over.as_secs_f64(), more, Arc::default));
        }
        let window = self.alert.window;
        let is_over =
            |machine: &Machine| machine.turned.is_none_or(|last| now.saturating_duration_since(last) >= window);
        let over: Vec<_> = self.machines.extract_if(.., |_, machine| is_over(machine)).collect();
        let began = new.iter().filter_map(|subject| Some(self.event(now, self.machines.get(subject)?, None)));
        events.extend(began);
        events.extend(over.iter().map(|(_, machine)| self.event(now, machine, Some(Ending::Cleared))));
        self.worst = None;
    }

    /// One more, or several. `Some`: it begins to fire.
    fn long(
        &mut self,
        now: Instant,
        subject: Subject,
        took: f64,
        calls: u64,
        description: impl FnOnce() -> Arc<crate::metrics::Description>,
    ) -> Option<Subject> {
        if let Some(machine) = self.machines.get_mut(&subject) {
            machine.turned = Some(now);
            machine.measured.calls += calls;
            machine.measured.value = machine.measured.value.max(took);
            return None;
        }
        let description = if subject == Subject::Others { Arc::default() } else { description() };
        let measured = Measured { subject: subject.clone(), value: took, calls, description };
        self.machines.insert(subject.clone(), Machine { level: 1, since: now, turned: Some(now), measured });
        self.fired += 1;
        Some(subject)
    }

    /// Where this is noted.
    fn place(&self, subject: Subject) -> Subject {
        let has_place = self.machines.len() < SUBJECTS || self.machines.contains_key(&subject);
        if has_place { subject } else { Subject::Others }
    }

    /// Values of everything that the alert looks at, but for what is `unknown`, which stays as it is.
    fn judge(
        &mut self,
        now: Instant,
        mut measured: Vec<Measured>,
        unknown: &BTreeSet<Subject>,
        events: &mut Vec<Event>,
    ) {
        // The highest first: where there is no room for all it is theirs.
        measured.sort_by(|one, other| other.value.total_cmp(&one.value).then_with(|| one.subject.cmp(&other.subject)));
        self.worst = measured.first().cloned();
        let mut values: BTreeMap<Subject, Measured> = BTreeMap::new();
        let mut new = 0;
        for one in measured {
            if self.machines.contains_key(&one.subject) {
                // Several databases may share a label: the first is the worst.
                values.entry(one.subject.clone()).or_insert(one);
            } else if self.level_of(one.value, 1.0) > 0 {
                let has_room = self.machines.len() + new < SUBJECTS;
                let subject = if has_room { one.subject.clone() } else { Subject::Others };
                new += usize::from(has_room);
                let (value, calls) = (one.value, one.calls);
                let others = || Measured { subject: Subject::Others, value, calls, description: Arc::default() };
                let one = if has_room { one } else { others() };
                values.entry(subject).or_insert(one);
            }
        }
        let known: BTreeSet<Subject> = self.machines.keys().chain(values.keys()).cloned().collect();
        for subject in known.into_iter().filter(|subject| !unknown.contains(subject)) {
            if let Some(event) = self.step(now, &subject, values.remove(&subject)) {
                events.push(event);
            }
        }
    }

    /// How many thresholds this value has passed, each of them taken times `share`.
    fn level_of(&self, value: f64, share: f64) -> usize {
        self.steps.iter().take_while(|(_, threshold)| value > threshold * share).count()
    }

    /// One value of one subject; `None`: it is not known, or made of too little, and so is nothing to complain of.
    fn step(&mut self, now: Instant, subject: &Subject, measured: Option<Measured>) -> Option<Event> {
        let value = measured.as_ref().map(|measured| measured.value);
        let level = |share| value.map_or(0, |value| self.level_of(value, share));
        let (passed, held) = (level(1.0), level(self.alert.clear));
        let mut machine = match (self.machines.remove(subject), measured) {
            (Some(machine), None) => machine,
            (Some(machine), Some(measured)) => Machine { measured, ..machine },
            (None, Some(measured)) => Machine { level: 0, since: now, turned: None, measured },
            (None, None) => return None,
        };
        let before = machine.level;
        let (turns, wait) = match before {
            0 if passed == 0 => return None,
            0 => (true, if self.alert.condition.is_windowed() { Duration::ZERO } else { self.alert.window }),
            _ if passed > before => (true, Duration::ZERO),
            _ => (held < before, self.alert.clear_for),
        };
        machine.turned = turns.then(|| machine.turned.unwrap_or(now));
        let is_time = machine.turned.is_some_and(|turned| now.saturating_duration_since(turned) >= wait);
        if is_time {
            machine.level = if passed > before { passed } else { held };
            machine.turned = None;
        }
        let event = match (before, machine.level) {
            (before, after) if before == after => None,
            (0, _) => {
                machine.since = now;
                self.fired += 1;
                Some(self.event(now, &machine, None))
            }
            (_, 0) => return Some(self.event(now, &machine, Some(Ending::Cleared))),
            _ => Some(self.event(now, &machine, None)),
        };
        self.machines.insert(subject.clone(), machine);
        event
    }

    fn event(&self, at: Instant, machine: &Machine, ending: Option<Ending>) -> Event {
        let (level, threshold) = self.passed(machine.level);
        let measured = machine.measured.clone();
        Event { alert: self.alert.clone(), measured, level, threshold, ending, since: machine.since, at }
    }

    /// The word and the threshold of a level; of none, those of the first.
    fn passed(&self, level: usize) -> (&'static str, f64) {
        let (word, threshold) = self.steps.get(level.saturating_sub(1)).copied().unwrap_or_default();
        (if level == 0 { "" } else { word }, threshold)
    }

    fn removed(&self, now: Instant) -> Vec<Event> {
        let firing = self.machines.values().filter(|machine| machine.level > 0);
        firing.map(|machine| self.event(now, machine, Some(Ending::Removed))).collect()
    }

    fn rows(&self) -> Vec<Row> {
        let firing: Vec<_> = self.machines.values().filter(|machine| machine.level > 0).collect();
        if firing.is_empty() {
            return vec![self.row(self.worst.as_ref(), None)];
        }
        firing.into_iter().map(|machine| self.row(Some(&machine.measured), Some(machine))).collect()
    }

    fn row(&self, measured: Option<&Measured>, firing: Option<&Machine>) -> Row {
        let condition = &self.alert.condition;
        let (mut level, threshold) = self.passed(firing.map_or(0, |machine| machine.level));
        if let (Condition::Objective { target, .. }, Some(measured), "") = (condition, measured, level) {
            // It is missed, and nobody is told.
            level = if measured.value > target.as_secs_f64() { "target" } else { "" };
        }
        let text = measured.map_or("", |measured| &*measured.description.text);
        let within = measured.and_then(|measured| measured.subject.within());
        Row {
            name: self.alert.name.clone(),
            kind: condition.word(),
            database: measured.map_or(String::new(), |measured| measured.subject.database().to_owned()),
            subject: within.map_or(String::new(), |(_, name)| name),
            state: if firing.is_some() { "firing" } else { "ok" },
            level,
            value: measured.map(|measured| amount(condition, measured.value)),
            threshold: amount(condition, threshold),
            since: firing.map(|machine| machine.since),
            fired: self.fired,
            query: text[..text.floor_char_boundary(QUERY_MAX)].to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
