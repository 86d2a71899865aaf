//! What is kept of what a client's statement says of itself, in case that is slow.

use super::statements::Statement;
use crate::metrics::Name;
use crate::sql::last_comment;
use std::sync::Arc;

/// Of the statement that was sent last; of one that is told apart from others behind it, when it was sent.
#[derive(Clone, Default)]
pub struct Kept {
    /// Of a Query, or of what is bound where names are the server's: what it is counted as.
    pub name: Option<Name>,
    /// The beginning of its text; empty: not known.
    pub text: Vec<u8>,
    /// What stands in the comment that it ends in; empty: not known, or none.
    pub comment: Vec<u8>,
    /// What the last Bind named.
    pub bound: Option<Arc<Statement>>,
    /// The beginning of what it supplied: formats and values.
    pub parameters: Vec<u8>,
}

impl Kept {
    /// Of nothing.
    pub fn clear(&mut self) {
        self.name = None;
        self.bound = None;
        self.text.clear();
        self.comment.clear();
        self.parameters.clear();
    }

    /// Of the statement that is counted as this: the text, and what stands in the comment that it ends in.
    pub fn of(&self, name: Name) -> Option<(&[u8], Option<&[u8]>)> {
        if let Some(bound) = &self.bound {
            let counted = bound.pattern().map_or(Name::Unparsed, |pattern| Name::Fingerprint(pattern.fingerprint.0));
            let text = bound.text().filter(|_| counted == name || name == Name::Other)?;
            return Some((text, last_comment(text)));
        }
        let comment = Some(&self.comment[..]).filter(|comment| !comment.is_empty());
        let is_it = self.name.is_some_and(|counted| counted == name || name == Name::Other);
        is_it.then_some((&self.text, comment))
    }
}
