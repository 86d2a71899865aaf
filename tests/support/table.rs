//! A console, and what it shows as a table whose columns have names.

use super::PgOtter;
use super::talk::{Client, query};
use super::world;
use pgotter::cli::ports;

/// Who may do everything, and who may look, in the PgOtters of [`pgotter`].
pub const BOSS: &str = "boss";
pub const WATCHER: &str = "watcher";

/// See `world::pgotter`; with a console.
pub fn pgotter(pooler: &str, rest: &str) -> PgOtter {
    world::pgotter(&lines(pooler), rest)
}

/// As [`pgotter`], with an endpoint, whose port it says. `rest` ends its lines.
pub fn watched(pooler: &str, rest: &str) -> (PgOtter, u16) {
    let http = ports::free_port();
    (pgotter(pooler, &format!("{rest}[http]\nlisten = \"127.0.0.1:{http}\"\n")), http)
}

/// The lines for `[pooler]` that [`pgotter`] has.
pub fn lines(pooler: &str) -> String {
    format!("admin_users = \"{BOSS}\"\nstats_users = \"{WATCHER}\"\n{pooler}")
}

/// A console of somebody who may do everything.
#[track_caller]
pub fn console(pooler: &PgOtter) -> Client {
    Client::connect(pooler.port(), BOSS, "pgbouncer")
}

/// A result set.
#[derive(Debug)]
pub struct Table {
    /// Name and type of each column.
    pub columns: Vec<(String, u32)>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// One row of it.
#[derive(Debug)]
pub struct Row<'a>(&'a Table, &'a [Option<String>]);

/// What the console answers, which must be no error.
#[track_caller]
pub fn show(console: &mut Client, what: &str) -> Table {
    console.send(&query(&format!("SHOW {what}")));
    let mut table = Table { columns: Vec::new(), rows: Vec::new() };
    while let Some((kind, body)) = console.message() {
        match kind {
            b'T' => table.columns = columns(&body),
            b'D' => table.rows.push(values(&body)),
            b'C' => assert_eq!(body, b"SHOW\0"),
            b'Z' => return table,
            other => panic!("SHOW {what}: {} {}", char::from(other), body.escape_ascii()),
        }
    }
    panic!("SHOW {what}: the connection has ended");
}

impl Table {
    /// Every row with these values.
    pub fn with(&self, values: &[(&str, &str)]) -> Vec<Row<'_>> {
        let rows = self.rows.iter().map(|row| Row(self, row));
        rows.filter(|row| values.iter().all(|(column, value)| row.get(column) == Some(value))).collect()
    }

    /// The one row with these values.
    #[track_caller]
    pub fn row(&self, values: &[(&str, &str)]) -> Row<'_> {
        let mut rows = self.with(values);
        assert_eq!(rows.len(), 1, "{values:?} in {self:#?}");
        rows.remove(0)
    }
}

impl<'a> Row<'a> {
    /// None: NULL.
    #[track_caller]
    pub fn get(&self, column: &str) -> Option<&'a str> {
        let place = self.0.columns.iter().position(|(name, _)| name == column);
        self.1[place.unwrap_or_else(|| panic!("no column {column}"))].as_deref()
    }

    #[track_caller]
    pub fn text(&self, column: &str) -> &'a str {
        self.get(column).unwrap_or_else(|| panic!("{column} is NULL"))
    }

    #[track_caller]
    pub fn number(&self, column: &str) -> u64 {
        self.text(column).parse().unwrap_or_else(|_| panic!("{column} is {:?}", self.text(column)))
    }

    /// Several columns that are numbers.
    #[track_caller]
    pub fn numbers<const N: usize>(&self, columns: [&str; N]) -> [u64; N] {
        columns.map(|column| self.number(column))
    }
}

fn columns(body: &[u8]) -> Vec<(String, u32)> {
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == 0).unwrap();
        let name = String::from_utf8(rest[..end].to_vec()).unwrap();
        let oid = u32::from_be_bytes(rest[end + 7..end + 11].try_into().unwrap());
        columns.push((name, oid));
        rest = &rest[end + 19..];
    }
    columns
}

/// Must be valid UTF-8, as the console says that it speaks.
fn values(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        values.push(usize::try_from(length).ok().map(|length| {
            let (value, behind) = rest.split_at(length);
            rest = behind;
            String::from_utf8(value.to_vec()).unwrap()
        }));
    }
    values
}
