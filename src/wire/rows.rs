//! Result sets of our own: what PgOtter answers without a server.

use super::backend::kind;
use super::frontend::{message, put_cstr};
use bytes::{BufMut, BytesMut};

/// A column of a result set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds. Source: PostgreSQL `pg_type.dat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// text.
    Text,
    /// int4.
    Int4,
    /// int8.
    Int8,
    /// numeric.
    Numeric,
    /// A number with digits behind the point, sent as text; empty where nothing is known.
    Decimal,
}

/// How a value is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 0.
    Text,
    /// 1.
    Binary,
}

/// One value. A number takes the type of its column, and is cut off at its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// UTF-8. In a column of another type it would be a bug of ours.
    Text(String),
    /// A count.
    Number(u64),
}

/// A result set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What each of the rows has.
    pub columns: Vec<Column>,
    /// In order.
    pub rows: Vec<Vec<Cell>>,
}

impl ColumnKind {
    fn oid_and_size(self) -> (i32, i16) {
        match self {
            Self::Text | Self::Decimal => (25, -1),
            Self::Int4 => (23, 4),
            Self::Int8 => (20, 8),
            Self::Numeric => (1700, -1),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// RowDescription. `format` says how the column of each number will be sent.
pub fn row_description(out: &mut BytesMut, columns: &[Column], format: impl Fn(usize) -> Format) {
    message(out, kind::ROW_DESCRIPTION, |out| {
        put_count(out, columns.len());
        for (index, column) in columns.iter().enumerate() {
            let (oid, size) = column.kind.oid_and_size();
            put_cstr(out, column.name.as_bytes());
            // Of no table.
            out.put_i32(0);
            out.put_i16(0);
            out.put_i32(oid);
            out.put_i16(size);
            out.put_i32(-1);
            out.put_i16(i16::from(format(index) == Format::Binary));
        }
    });
}

/// DataRow.
pub fn data_row(out: &mut BytesMut, columns: &[Column], cells: &[Cell], format: impl Fn(usize) -> Format) {
    message(out, kind::DATA_ROW, |out| {
        put_count(out, cells.len());
        for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
            put_cell(out, column.kind, cell, format(index));
        }
    });
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, kind::COMMAND_COMPLETE, |out| put_cstr(out, tag.as_bytes()));
}

/// ParameterDescription of a statement without parameters.
pub fn no_parameters(out: &mut BytesMut) {
    message(out, kind::PARAMETER_DESCRIPTION, |out| out.put_i16(0));
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i16(i16::try_from(count).expect("invariant: our own result sets have few columns"));
}

fn put_cell(out: &mut BytesMut, kind: ColumnKind, cell: &Cell, format: Format) {
    match (cell, format) {
        (Cell::Null, _) => out.put_i32(-1),
        (Cell::Text(text), _) => put_bytes(out, text.as_bytes()),
        (Cell::Number(number), Format::Text) => put_bytes(out, fitting(*number, kind).to_string().as_bytes()),
        (Cell::Number(number), Format::Binary) => put_binary(out, fitting(*number, kind), kind),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).expect("invariant: our own values are far below 2 GiB"));
    out.put_slice(bytes);
}

/// The number, or the largest one that the type holds.
fn fitting(number: u64, kind: ColumnKind) -> u64 {
    match kind {
        ColumnKind::Int4 => number.min(i32::MAX.unsigned_abs().into()),
        ColumnKind::Int8 => number.min(i64::MAX.unsigned_abs()),
        ColumnKind::Text | ColumnKind::Decimal | ColumnKind::Numeric => number,
    }
}

fn put_binary(out: &mut BytesMut, number: u64, kind: ColumnKind) {
    match kind {
        ColumnKind::Text | ColumnKind::Decimal => put_bytes(out, number.to_string().as_bytes()),
        ColumnKind::Int4 => put_bytes(out, &u32::try_from(number).unwrap_or(i32::MAX.unsigned_abs()).to_be_bytes()),
        ColumnKind::Int8 => put_bytes(out, &number.to_be_bytes()),
        ColumnKind::Numeric => put_bytes(out, &numeric(number)),
    }
}

/// Digits to the base of 10,000, the highest first. Source: PostgreSQL `src/backend/utils/adt/numeric.c`, `numeric_send`.
fn numeric(mut number: u64) -> Vec<u8> {
    let mut digits = Vec::new();
    while number > 0 {
        digits.push(u16::try_from(number % 10_000).expect("invariant: a remainder of 10,000 is below it"));
        number /= 10_000;
    }
    let count = u16::try_from(digits.len()).expect("invariant: 64 bits have five such digits");
    let head = [count, count.saturating_sub(1), 0, 0];
    head.into_iter().chain(digits.into_iter().rev()).flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests;
