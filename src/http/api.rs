//! JSON under /api/v1/: each table of the console as an array of objects, and the patterns of queries for a build to compare.
//!
//! The tables are the console's own. This room cannot know it: `app` hands in a function that makes one by its name, so that
//! a table that the console learns to show is here as well.

use super::Views;
use crate::fault::Fault;
use crate::metrics::Name;
use crate::wire::rows::{Cell, Column, ColumnKind, Table};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What stands in front of the names of tables.
const ROOT: &str = "/api/v1/";

/// Patterns of queries.
const EXPORT: &str = "queries/export";

/// The answer at this path, with what stands behind its question mark; `None`: there is nothing.
///
/// # Errors
/// What stands there is wrong, or names what there is not.
pub(super) fn answer(views: &Views, path: &str, query: Option<&str>) -> Option<Result<Vec<u8>, Fault>> {
    Some(match path.strip_prefix(ROOT)? {
        "" => Ok(text(&index(views))),
        EXPORT => Ok(text(&export(views))),
        name => {
            // What has no value is a mistake, which the table's owner tells of.
            let argument =
                query.filter(|query| !query.is_empty()).map(|query| query.split_once('=').unwrap_or((query, "")));
            (views.tables.by_name)(name, argument)?.map(|table| text(&Objects(table)))
        }
    })
}

/// As lines, so that a tool that compares texts says what has changed.
fn text(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Whether it is one of this file's, be there something or not.
pub(super) fn is_below(path: &str) -> bool {
    path.starts_with(ROOT)
}

fn index(views: &Views) -> Value {
    let whole = views.tables.names.iter().copied().chain([EXPORT]).map(|name| format!("{ROOT}{name}"));
    let closer = views.tables.of.iter().map(|(name, of)| format!("{ROOT}{name}?{of}={{{of}}}"));
    whole.chain(closer).map(Value::from).collect()
}

/// An object for each row; names in the order of the columns.
struct Objects(Table);

struct Object<'a>(&'a [Column], &'a [Cell]);

struct Field<'a>(&'a Column, &'a Cell);

impl Serialize for Objects {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.rows.iter().map(|row| Object(&self.0.columns, row)))
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(columns, cells) = self;
        to.collect_map(columns.iter().zip(*cells).map(|(column, cell)| (column.name, Field(column, cell))))
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(column, cell) = self;
        match cell {
            Cell::Null => to.serialize_none(),
            Cell::Number(number) => to.serialize_u64(*number),
            // Empty, where nothing is known.
            Cell::Text(text) if column.kind == ColumnKind::Decimal => text.parse::<f64>().ok().serialize(to),
            Cell::Text(text) => to.serialize_str(text),
        }
    }
}

/// What queries there are, and nothing that another run would have counted otherwise: by fingerprint, each once, whatever database it
/// was seen in.
fn export(views: &Views) -> Value {
    let mut patterns = BTreeMap::new();
    let mut statements = views.metrics.statements();
    // What it is there may differ from one to the other.
    statements.sort_by(|one, other| one.database.cmp(&other.database));
    for seen in statements {
        if !matches!(seen.name, Name::Fingerprint(_)) {
            continue;
        }
        let description = seen.description();
        let tables: Vec<_> = description.tables.split(',').filter(|table| !table.is_empty()).collect();
        let fingerprint = seen.name.to_string();
        let pattern = json!({
            "fingerprint": fingerprint, "kind": description.kind, "tables": tables, "query": &*description.text,
        });
        patterns.entry(fingerprint).or_insert(pattern);
    }
    patterns.into_values().collect()
}

#[cfg(test)]
mod tests {
    //! How a table is written.

    use super::*;

    #[test]
    fn cells_become_what_their_columns_are() {
        let column = |name, kind| Column { name, kind };
        let columns = vec![
            column("query", ColumnKind::Text),
            column("calls", ColumnKind::Numeric),
            column("p95_ms", ColumnKind::Decimal),
        ];
        let row = |query: &str, calls: u64, p95: &str| vec![query.into(), calls.into(), p95.into()];
        let rows =
            vec![row("\"q\"\n\u{1}", u64::MAX, "200.125"), row("12", 0, ""), vec![Cell::Null, Cell::Null, Cell::Null]];
        let text = serde_json::to_string(&Objects(Table { columns, rows })).unwrap_or_default();
        let expected = r#"[{"query":"\"q\"\n\u0001","calls":18446744073709551615,"p95_ms":200.125},"#.to_owned()
            + r#"{"query":"12","calls":0,"p95_ms":null},{"query":null,"calls":null,"p95_ms":null}]"#;
        assert_eq!(text, expected);
    }
}
