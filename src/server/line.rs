//! A queue that is one slice to look at, as is done for every message; rarely long.

use std::ops::{Deref, DerefMut};

/// First in, first out: a slice of what is in it, the oldest first. Holds no memory until used.
pub(super) struct Line<T> {
    // Those that have been taken, and behind them what is in it. None of them are in it: all were.
    items: Vec<T>,
    taken: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { items: Vec::new(), taken: 0 }
    }
}

impl<T: Copy> Line<T> {
    /// Behind all others.
    pub fn push(&mut self, item: T) {
        // Moves no more than were taken since it last did.
        if self.items.len() == self.items.capacity() && self.taken > self.items.len() / 2 {
            self.items.drain(..self.taken);
            self.taken = 0;
        }
        self.items.push(item);
    }

    /// As a slice's, which takes longer to be had.
    pub fn first(&self) -> Option<&T> {
        self.items.get(self.taken)
    }

    /// As a slice's.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes the oldest one.
    pub fn pop(&mut self) -> Option<T> {
        let oldest = self.first().copied()?;
        self.taken += 1;
        if self.taken == self.items.len() {
            self.items.clear();
            self.taken = 0;
        }
        Some(oldest)
    }

    /// Takes so many out from behind the oldest one, of which there is one. No more than there are.
    pub fn remove_behind_first(&mut self, count: usize) {
        let from = self.taken + 1;
        self.items.drain(from..from + count);
    }
}

impl<T> Deref for Line<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.items.get(self.taken..).unwrap_or_default()
    }
}

impl<T> DerefMut for Line<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.items.get_mut(self.taken..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    //! What goes in comes out, in its order, and room is used again.

    use super::Line;

    #[test]
    fn what_was_put_in_first_comes_out_first_and_the_room_is_used_again() {
        let mut line = Line::default();
        assert_eq!(line.pop(), None);
        let mut next = 0;
        for number in 0..10_000 {
            line.push(number);
            // A hundred stay in it.
            if number >= 100 {
                assert_eq!(line.pop(), Some(next));
                next += 1;
            }
            assert_eq!(line.first(), Some(&next));
            assert_eq!(line.last(), Some(&number));
            assert!(line.items.capacity() <= 512, "{}", line.items.capacity());
        }
        assert_eq!(line.len(), 100);
        line.remove_behind_first(3);
        assert_eq!((line.pop(), line.pop()), (Some(next), Some(next + 4)));
        while line.pop().is_some() {}
        assert!(line.is_empty() && line.taken == 0);
    }
}
