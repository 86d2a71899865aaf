//! What uses what, by names, and what follows from it: a function touches what those touch that it calls.

use super::body::Does;
use super::claims::{Claims, only_reads};
use super::spread::{Families, Spread};
use crate::sql::{Bounds, Effects, Name, Names, Touches, builtin_effects};
use foldhash::HashMap;
use std::collections::BTreeMap;

/// Settings that are kept of one name; more could be any.
const SETTINGS: usize = 16;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A function, procedure or aggregate.
    Routine,
    /// A relation that is read, or a type.
    Read,
    /// A relation that is written.
    Written,
    /// Any statement.
    Everywhere,
}

/// Names of all schemas together: which one a text means depends on its session.
#[derive(Default)]
pub struct Graph {
    places: HashMap<(Kind, Box<[u8]>), usize>,
    nodes: Vec<Node>,
    families: Families,
    recoded: bool,
}

#[derive(Default)]
struct Node {
    // The database has one of its own.
    own: bool,
    // It is said to do nothing else.
    reads: bool,
    effects: Effects,
    settings: BTreeMap<Name, bool>,
    users: Vec<usize>,
}

impl Kind {
    /// As the catalog's rows say it.
    pub fn read(letter: &[u8]) -> Option<Self> {
        match letter {
            b"f" => Some(Self::Routine),
            b"r" => Some(Self::Read),
            b"w" => Some(Self::Written),
            b"e" => Some(Self::Everywhere),
            _ => None,
        }
    }
}

impl Graph {
    /// There is one of this name.
    pub fn add(&mut self, kind: Kind, name: &[u8]) {
        let place = self.place(kind, name);
        self.nodes[place].own = true;
    }

    /// The one uses the other.
    pub fn add_use(&mut self, user: (Kind, &[u8]), used: (Kind, &[u8])) {
        let user = self.place(user.0, user.1);
        let known = self.find(used.0, used.1).is_some();
        let used_at = self.place(used.0, used.1);
        if used.0 == Kind::Routine {
            let own = if known { Effects::NOTHING } else { Touches::HIDDEN.into() };
            self.nodes[used_at].effects |= called_from_a_tree(used.1).unwrap_or(own);
        }
        self.nodes[used_at].users.push(user);
    }

    /// This is known of it.
    pub fn is(&mut self, (kind, name): (Kind, &[u8]), effects: impl Into<Effects>) {
        let place = self.place(kind, name);
        self.nodes[place].effects |= effects.into();
    }

    /// A relation of the one name is a part of one of the other: its partition, or one that inherits.
    pub fn is_part_of(&mut self, part: &[u8], whole: &[u8]) {
        self.families.join(part, whole);
    }

    /// The names are not in UTF8.
    pub fn is_in_another_encoding(&mut self) {
        self.recoded = true;
    }

    /// Whether there is one of this name.
    pub fn find(&self, kind: Kind, name: &[u8]) -> Option<usize> {
        self.places.get(&(kind, Box::from(name))).copied()
    }

    /// The same, of what a text calls: what is built in, and nothing else of that name, it knows itself.
    pub fn find_routine(&self, name: &[u8]) -> Option<usize> {
        self.find(Kind::Routine, name).filter(|place| !self.is_built_in(*place, name))
    }

    fn is_built_in(&self, place: usize, name: &[u8]) -> bool {
        self.nodes.get(place).is_some_and(|node| !node.own) && builtin_effects(name).is_some()
    }

    /// Whether what is there is a relation, as far as that was said.
    pub fn is_relation(&self, place: usize) -> bool {
        self.nodes.get(place).is_some_and(|node| node.effects.relation)
    }

    /// All of this kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = usize> {
        self.places.iter().filter(move |((each, _), _)| *each == kind).map(|(_, place)| *place)
    }

    /// Routines of this name do this.
    pub fn does(&mut self, name: &[u8], does: Does) {
        let user = self.place(Kind::Routine, name);
        self.nodes[user].effects |= does.effects;
        for used in does.uses {
            self.nodes[used].users.push(user);
        }
        for (setting, local) in does.settings {
            self.sets(name, &setting, local);
        }
    }

    /// Routines of this name touch this setting; `local`: until the transaction ends only.
    pub fn sets(&mut self, name: &[u8], setting: &[u8], local: bool) {
        let user = self.place(Kind::Routine, name);
        self.nodes[user].sets(setting, local);
    }

    /// All that follows, where the configuration claims this.
    pub fn names(mut self, claims: &Claims) -> Names {
        for name in &claims.writes {
            self.is((Kind::Routine, name), Bounds::WRITES);
        }
        for place in claims.reads.iter().filter_map(|name| self.find_routine(name)).collect::<Vec<_>>() {
            let node = &mut self.nodes[place];
            (node.reads, node.effects) = (true, only_reads(node.effects));
        }
        let mut waiting: Vec<usize> = (0..self.nodes.len()).collect();
        while let Some(used) = waiting.pop() {
            let Node { effects, settings, users, .. } = &mut self.nodes[used];
            let (effects, settings, users) = (*effects, settings.clone(), std::mem::take(users));
            for &user in users.iter().filter(|&&user| user != used) {
                let node = &mut self.nodes[user];
                let before = (node.effects, node.settings.clone());
                node.effects |= Effects { relation: node.effects.relation, ..effects };
                settings.iter().for_each(|(setting, local)| node.sets(setting, *local));
                if node.reads {
                    node.effects = only_reads(node.effects);
                }
                if (node.effects, &node.settings) != (before.0, &before.1) {
                    waiting.push(user);
                }
            }
            self.nodes[used].users = users;
        }
        let mut names = self.into_names();
        // Also one that PostgreSQL has itself.
        claims.writes.iter().for_each(|name| names.add_function(name, Bounds::WRITES));
        names
    }

    fn into_names(mut self) -> Names {
        let mut names = Names::new();
        if self.recoded {
            names.is_in_another_encoding();
        }
        self.add_what_is_written_along(&mut names);
        let mut settings = Vec::new();
        for ((kind, name), place) in std::mem::take(&mut self.places) {
            if kind == Kind::Routine && self.is_built_in(place, &name) {
                // Where it was used nobody has read its arguments.
                continue;
            }
            let Some(node) = self.nodes.get(place) else { continue };
            match kind {
                Kind::Routine => names.add_function(&name, node.effects),
                Kind::Read => names.add_relation(&name, node.effects),
                Kind::Written => names.add_written(&name, node.effects.touches),
                Kind::Everywhere if node.effects.is_harmless() => {
                    let (bounds, beyond) = (node.effects.bounds.only(Bounds::TRANSACTION), node.effects.beyond);
                    names.add_everywhere(Effects { bounds, beyond, ..Effects::NOTHING });
                }
                Kind::Everywhere => names.add_everywhere(Bounds::WRITES),
            }
            if !node.settings.is_empty() {
                if kind != Kind::Routine {
                    names.add_relation(&name, Effects { more: true, ..Effects::NOTHING });
                }
                settings.push((name, place));
            }
        }
        for (name, place) in settings {
            let settings = self.nodes.get(place).into_iter().flat_map(|node| &node.settings);
            settings.for_each(|(setting, local)| names.add_setting(&name, setting, *local));
        }
        names
    }

    /// Which relations belong together, and what is written with which.
    fn add_what_is_written_along(&mut self, names: &mut Names) {
        self.families.each(|name, family| names.add_to_family(name, family));
        let Self { places, nodes, families, .. } = self;
        let users = nodes.iter().map(|node| &*node.users);
        let written = places.iter().filter(|((kind, _), _)| *kind == Kind::Written);
        let written: Vec<(usize, &[u8])> = written.map(|((_, name), place)| (*place, families.of(name))).collect();
        let mut spread = Spread::new(users, &written);
        for ((_, name), place) in places.iter().filter(|((kind, _), _)| *kind == Kind::Written) {
            let hidden = nodes.get(*place).is_none_or(|node| node.hides_what_it_writes());
            match spread.from(*place).filter(|_| !hidden) {
                Some(along) if along.is_empty() => (),
                Some(along) => names.add_along(name, along),
                None => names.add_relation(name, Effects { spreads: true, ..Effects::NOTHING }),
            }
        }
    }

    fn place(&mut self, kind: Kind, name: &[u8]) -> usize {
        let Self { places, nodes, .. } = self;
        *places.entry((kind, name.into())).or_insert_with(|| {
            nodes.push(Node::default());
            nodes.len() - 1
        })
    }
}

impl Node {
    /// Code runs that nobody can look into, or that creates what nobody knows.
    fn hides_what_it_writes(&self) -> bool {
        let hides = Touches::HIDDEN | Touches::DYNAMIC | Touches::CREATES | Touches::DEFINES | Touches::TEMP;
        self.effects.spreads || self.effects.touches.any(hides)
    }

    fn sets(&mut self, setting: &[u8], local: bool) {
        if let Some(known) = self.settings.get_mut(setting) {
            *known &= local;
        } else if self.settings.len() < SETTINGS {
            self.settings.insert(setting.into(), local);
        } else {
            self.effects.touches |= Touches::HIDDEN | Touches::DYNAMIC;
        }
    }
}

/// A built-in function whose arguments nobody has read. `None`: it is none.
fn called_from_a_tree(name: &[u8]) -> Option<Effects> {
    match name {
        b"current_setting" => Some(Bounds::NODE.into()),
        b"set_config" => Some((Touches::SETTINGS | Touches::HIDDEN | Touches::DYNAMIC).into()),
        _ => builtin_effects(name),
    }
}
