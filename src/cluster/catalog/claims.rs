//! What the configuration says of functions, which counts whatever the catalog says.

use crate::config::Routing;
use crate::sql::{Bounds, Effects, Touches};

/// Functions by their names, as PostgreSQL compares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// They only read.
    pub reads: Vec<Box<[u8]>>,
    /// They may write.
    pub writes: Vec<Box<[u8]>>,
}

impl Claims {
    /// Those of `[routing]`.
    pub fn new(routing: &Routing) -> Self {
        let names = |names: &[String]| names.iter().map(|name| name.as_bytes().into()).collect();
        Self { reads: names(&routing.read_functions), writes: names(&routing.write_functions) }
    }
}

/// What a function that is claimed to read does, of what was found. One that is seen to insert, update or draw from a sequence runs on the primary all
/// the same, and others have to see what it does: it still writes.
pub fn only_reads(found: Effects) -> Effects {
    let touches = found.touches.without(Touches::HIDDEN | Touches::DYNAMIC);
    let writes = if touches.any(Touches::SEQUENCE_WRITE) { Bounds::WRITES } else { Bounds::NOTHING };
    Effects { touches, bounds: found.bounds.without(Bounds::WRITES | Bounds::LOCKS_ROWS) | writes, ..found }
}
