//! Which tables belong together, and which are written when one is: by its partitions, by triggers, defaults and keys that cascade. Knows
//! names and places of the graph, and not what stands behind them.

use crate::sql::Name;
use foldhash::HashMap;
use std::collections::BTreeSet;

/// Names that are kept of what is written with one table; more could be any.
const ALONG_MAX: usize = 32;

/// Places of the graph that are looked at for one table.
const VISITED_MAX: usize = 4096;

/// Partitions with what they are parts of, and tables with those that inherit from them.
#[derive(Default)]
pub struct Families {
    // A name, and another one of its family; one that stands for itself is its family's.
    above: HashMap<Box<[u8]>, Box<[u8]>>,
}

impl Families {
    /// These two are of one family.
    pub fn join(&mut self, one: &[u8], other: &[u8]) {
        let (one, other) = (self.of(one).to_vec(), self.of(other).to_vec());
        // The least name is the family's, in whatever order it is told of.
        let (head, member) = if one <= other { (one, other) } else { (other, one) };
        self.above.insert(head.clone().into(), head.clone().into());
        self.above.insert(member.into(), head.into());
    }

    /// The family of this name; its own name if it has none.
    pub fn of<'a>(&'a self, name: &'a [u8]) -> &'a [u8] {
        let mut name = name;
        while let Some(above) = self.above.get(name).filter(|above| ***above != *name) {
            name = above;
        }
        name
    }

    /// Every name that has a family, and that.
    pub fn each(&self, mut each: impl FnMut(&[u8], &[u8])) {
        self.above.keys().for_each(|name| each(name, self.of(name)));
    }
}

/// What follows from what.
pub struct Spread<'a> {
    // By place: what it uses.
    uses: Vec<Vec<usize>>,
    // The family, or else the name, of the table that is written there.
    written: Vec<Option<&'a [u8]>>,
    // The last one for which a place was looked at.
    seen: Vec<usize>,
}

impl<'a> Spread<'a> {
    /// `users` are those of each place; `written` are places of tables that are written, with their families.
    pub fn new<'b>(users: impl Iterator<Item = &'b [usize]>, written: &[(usize, &'a [u8])]) -> Self {
        let users: Vec<_> = users.collect();
        let mut uses = vec![Vec::new(); users.len()];
        for (used, users) in users.into_iter().enumerate() {
            for user in users {
                if let Some(uses) = uses.get_mut(*user) {
                    uses.push(used);
                }
            }
        }
        let mut names = vec![None; uses.len()];
        for (place, family) in written {
            if let Some(name) = names.get_mut(*place) {
                *name = Some(*family);
            }
        }
        Self { seen: vec![usize::MAX; uses.len()], uses, written: names }
    }

    /// Other families that are written if what is at `start` is, in order. `None`: there are too many.
    pub fn from(&mut self, start: usize) -> Option<Vec<Name>> {
        let own = self.written.get(start).copied().flatten();
        let (mut waiting, mut visited) = (vec![start], 0);
        let mut along = BTreeSet::new();
        while let Some(place) = waiting.pop() {
            match self.seen.get_mut(place) {
                Some(seen) if *seen != start => *seen = start,
                _ => continue,
            }
            visited += 1;
            along.extend(self.written.get(place).copied().flatten().filter(|name| Some(*name) != own));
            if visited > VISITED_MAX || along.len() > ALONG_MAX {
                return None;
            }
            waiting.extend(self.uses.get(place).into_iter().flatten());
        }
        Some(along.into_iter().map(Name::from).collect())
    }
}

#[cfg(test)]
mod tests {
    //! Families, and what follows from what.
    use super::*;

    #[test]
    fn a_family_has_one_name_in_whatever_order_it_is_told_of() {
        let pairs = [("p1", "p"), ("p2", "p"), ("p2a", "p2"), ("x", "p2a"), ("q1", "q")];
        let families = |pairs: &[(&str, &str)]| {
            let mut families = Families::default();
            pairs.iter().for_each(|(part, whole)| families.join(part.as_bytes(), whole.as_bytes()));
            ["p", "p1", "p2", "p2a", "x", "q", "q1", "alone"]
                .map(|name| String::from_utf8_lossy(families.of(name.as_bytes())).into_owned())
        };
        let expected = ["p", "p", "p", "p", "p", "q", "q", "alone"];
        assert_eq!(families(&pairs), expected);
        let mut turned = pairs;
        turned.reverse();
        assert_eq!(families(&turned), expected);
    }

    #[test]
    fn what_is_written_along_is_followed_through_circles_and_not_without_end() {
        // 0 is used by 1, 1 by 2, 2 by 0; 3 by nobody.
        let users: [&[usize]; 4] = [&[1], &[2], &[0], &[]];
        let written: [(usize, &[u8]); 3] = [(0, b"a"), (2, b"c"), (3, b"d")];
        let mut spread = Spread::new(users.into_iter(), &written);
        let mut from = |place| spread.from(place).map(|names| names.iter().map(|name| name[0]).collect::<Vec<_>>());
        assert_eq!([from(0), from(2), from(3)], [Some(vec![b'c']), Some(vec![b'a']), Some(vec![])]);
        // One that uses very many.
        let names: Vec<String> = (0..=ALONG_MAX + 1).map(|number| number.to_string()).collect();
        let users: Vec<&[usize]> =
            names.iter().enumerate().map(|(at, _)| if at == 0 { &[][..] } else { &[0] }).collect();
        let written: Vec<(usize, &[u8])> = names.iter().enumerate().map(|(at, name)| (at, name.as_bytes())).collect();
        assert!(Spread::new(users.into_iter(), &written).from(0).is_none());
    }
}
