//! Values in text and in binary.

use super::*;

fn sent(kind: ColumnKind, cell: Cell, format: Format) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_cell(&mut out, kind, &cell, format);
    out.to_vec()
}

#[test]
fn a_number_is_sent_in_the_type_of_its_column() {
    let number = |kind, format| sent(kind, Cell::Number(70_001), format);
    for kind in [ColumnKind::Text, ColumnKind::Int4, ColumnKind::Int8, ColumnKind::Numeric] {
        assert_eq!(number(kind, Format::Text), b"\0\0\0\x0570001");
    }
    assert_eq!(number(ColumnKind::Int4, Format::Binary), b"\0\0\0\x04\0\x01\x11\x71");
    assert_eq!(number(ColumnKind::Int8, Format::Binary), b"\0\0\0\x08\0\0\0\0\0\x01\x11\x71");
    // 7 * 10,000 + 1.
    assert_eq!(number(ColumnKind::Numeric, Format::Binary), b"\0\0\0\x0c\0\x02\0\x01\0\0\0\0\0\x07\0\x01");
    assert_eq!(sent(ColumnKind::Numeric, Cell::Number(0), Format::Binary), b"\0\0\0\x08\0\0\0\0\0\0\0\0");
}

#[test]
fn a_number_that_does_not_fit_is_the_largest_that_does() {
    let most = |kind, format| sent(kind, Cell::Number(u64::MAX), format);
    assert_eq!(most(ColumnKind::Int4, Format::Text), b"\0\0\0\x0a2147483647");
    assert_eq!(most(ColumnKind::Int4, Format::Binary), b"\0\0\0\x04\x7f\xff\xff\xff");
    assert_eq!(most(ColumnKind::Int8, Format::Binary), b"\0\0\0\x08\x7f\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(most(ColumnKind::Numeric, Format::Text), b"\0\0\0\x1418446744073709551615");
}

#[test]
fn null_has_no_bytes() {
    assert_eq!(sent(ColumnKind::Text, Cell::Null, Format::Text), b"\xff\xff\xff\xff");
    assert_eq!(sent(ColumnKind::Text, "".into(), Format::Binary), b"\0\0\0\0");
}
