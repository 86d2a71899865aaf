//! What is known of the settings with which clients of one pool come: which PostgreSQL takes, and whole sets of them, so that
//! clients that ask for the same share one. Bounded.

use super::custom::is_custom;
use super::settings::Settings;
use super::welcome::{Parameter, Welcome};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// So many of either are kept.
const KEPT: usize = 1024;

/// Longer values are asked for each time.
const VALUE_MAX: usize = 256;

/// Of one pool.
#[derive(Default)]
pub struct Known {
    taken: HashSet<Parameter>,
    sets: HashMap<u64, Weak<Settings>>,
}

impl Known {
    /// Those of `wanted` of which it is not known whether PostgreSQL takes them. It takes any application_name, and any
    /// value of a custom setting.
    pub fn open_questions(&self, welcome: &Welcome, wanted: &[Parameter]) -> Vec<Parameter> {
        let is_open = |wanted: &&Parameter| {
            let (name, value) = wanted;
            let needs_no_answer = **name == *b"application_name" || is_custom(name);
            !needs_no_answer && welcome.settings.get(name) != Some(value) && !self.taken.contains(*wanted)
        };
        wanted.iter().filter(is_open).cloned().collect()
    }

    /// PostgreSQL takes these.
    pub fn takes(&mut self, parameters: Vec<Parameter>) {
        for parameter in parameters.into_iter().filter(|(_, value)| value.len() <= VALUE_MAX) {
            if self.taken.len() >= KEPT {
                self.taken.clear();
            }
            self.taken.insert(parameter);
        }
    }

    /// An equal one that others use already, or this one for those who come.
    pub fn share(&mut self, settings: Arc<Settings>) -> Arc<Settings> {
        let known = self.sets.get(&settings.key()).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| *known == settings) {
            return known;
        }
        if self.sets.len() >= KEPT {
            self.sets.retain(|_, set| set.strong_count() > 0);
        }
        if self.sets.len() < KEPT {
            self.sets.insert(settings.key(), Arc::downgrade(&settings));
        }
        settings
    }
}
