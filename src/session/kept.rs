//! What is kept of what a client's statement says of itself, in case that is slow.

use super::statements::Statement;
use crate::sql::last_comment;
use std::sync::Arc;

/// Of a Query, or of what is bound to a portal: it goes with each statement until that has ended.
#[derive(Clone)]
pub enum Kept {
    /// A prepared statement is bound.
    Prepared(Arc<Statement>),
    /// There is nothing but its text.
    Text(Arc<KeptText>),
    /// A Bind has supplied something as well.
    Supplied(Arc<Supplied>),
}

/// A text of which not all need be kept.
#[derive(Clone, Default)]
pub struct KeptText {
    /// The beginning of it; empty: not kept.
    pub text: Vec<u8>,
    /// What stands in the comment that it ends in; empty: none.
    pub comment: Vec<u8>,
}

/// What a Bind has supplied.
pub struct Supplied {
    /// To what. `None`: not known.
    pub to: Option<Kept>,
    /// The beginning of it: formats and values.
    pub parameters: Vec<u8>,
}

impl Kept {
    /// The beginning of its text, as far as it was kept.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Prepared(statement) => statement.text(),
            Self::Text(kept) => Some(&kept.text),
            Self::Supplied(supplied) => supplied.to.as_ref()?.text(),
        }
    }

    /// What stands in the comment that its text ends in.
    pub fn comment(&self) -> Option<&[u8]> {
        match self {
            Self::Prepared(statement) => statement.text().and_then(last_comment),
            Self::Text(kept) => Some(&kept.comment),
            Self::Supplied(supplied) => supplied.to.as_ref()?.comment(),
        }
    }

    /// The beginning of formats and values.
    pub fn parameters(&self) -> &[u8] {
        if let Self::Supplied(supplied) = self { &supplied.parameters } else { &[] }
    }
}

impl KeptText {
    /// Nothing is kept.
    pub fn clear(&mut self) {
        self.text.clear();
        self.comment.clear();
    }

    /// Whether that is so.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.comment.is_empty()
    }
}
