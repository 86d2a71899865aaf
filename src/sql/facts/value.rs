//! What a setting is set to, as the string that `set_config` takes to the same effect, and names of settings.
//! Source: PostgreSQL `src/backend/utils/misc/guc_funcs.c`, `flatten_set_variable_args`.

use super::head::Piece;
use super::keywords;
use super::verb::{Begin, Isolation, Name, Setting, Value};

/// Settings whose values are lists of names (`GUC_LIST_QUOTE`), which no extension may define.
/// Source: PostgreSQL `src/bin/pg_dump/dumputils.c`, `variable_is_guc_list_quote`.
const NAME_LISTS: [&[u8]; 6] = [
    b"local_preload_libraries",
    b"search_path",
    b"session_preload_libraries",
    b"shared_preload_libraries",
    b"temp_tablespaces",
    b"unix_socket_directories",
];

/// In lower case, since PostgreSQL finds it in any; under the newest of its names (`map_old_guc_names`).
pub(super) fn setting_name(name: &[u8]) -> Name {
    let name = name.to_ascii_lowercase();
    match name.as_slice() {
        b"sort_mem" => b"work_mem".as_slice().into(),
        b"vacuum_mem" => b"maintenance_work_mem".as_slice().into(),
        _ => name.into(),
    }
}

/// Settings that every transaction begins with anew.
pub(super) fn ends_with_transaction(name: &[u8]) -> bool {
    matches!(name, b"transaction_isolation" | b"transaction_read_only" | b"transaction_deferrable")
}

/// What follows `=` or `TO`.
pub(super) fn list(name: &[u8], pieces: &[Piece<'_>]) -> Value {
    if let [Piece::Word(b"default")] = pieces {
        return Value::Default;
    }
    let quotes = NAME_LISTS.contains(&name);
    let mut value = Vec::new();
    for (at, element) in pieces.split(|piece| *piece == Piece::Symbol(b',')).enumerate() {
        if at > 0 {
            value.extend_from_slice(b", ");
        }
        let told = match element {
            [Piece::Word(word)] if word.is_ascii() => Some((*word, quotes)),
            [Piece::Quoted(word) | Piece::Text(word)] => Some((*word, quotes)),
            _ => None,
        };
        match (told, element) {
            (Some((word, true)), _) => identifier(word, &mut value),
            (Some((word, false)), _) => value.extend_from_slice(word),
            (None, [Piece::Number(number)]) if append_number(false, number, &mut value) => (),
            (None, [Piece::Sign(sign @ (b"-" | b"+")), Piece::Number(number)])
                if append_number(*sign == b"-", number, &mut value) => {}
            _ => return Value::Computed,
        }
    }
    Value::Literal(value.into())
}

/// A name or string alone; `DEFAULT` is a name only where the grammar says so.
pub(super) fn word_or_text(pieces: &[Piece<'_>], default_is_name: bool) -> Value {
    match pieces {
        [Piece::Word(b"default")] if !default_is_name => Value::Default,
        [Piece::Word(word)] if word.is_ascii() => Value::Literal((*word).into()),
        [Piece::Quoted(word) | Piece::Text(word)] => Value::Literal((*word).into()),
        _ => Value::Computed,
    }
}

/// What follows `SET TIME ZONE`.
pub(super) fn time_zone(pieces: &[Piece<'_>]) -> Value {
    match pieces {
        [Piece::Word(b"default" | b"local")] => Value::Default,
        _ => list(b"timezone", pieces),
    }
}

/// `SET SESSION CHARACTERISTICS AS TRANSACTION`.
pub(super) fn characteristics(modes: &Begin) -> Vec<Setting> {
    let on = |on: bool| -> &'static [u8] { if on { b"on" } else { b"off" } };
    let isolation = modes.isolation.map(|isolation| -> &'static [u8] {
        match isolation {
            Isolation::ReadUncommitted => b"read uncommitted",
            Isolation::ReadCommitted => b"read committed",
            Isolation::RepeatableRead => b"repeatable read",
            Isolation::Serializable => b"serializable",
        }
    });
    let all = [
        (&b"default_transaction_isolation"[..], isolation),
        (&b"default_transaction_read_only"[..], modes.read_only.map(on)),
        (&b"default_transaction_deferrable"[..], modes.deferrable.map(on)),
    ];
    let told = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    told.map(|(name, value)| Setting { name: name.into(), value: Value::Literal(value.into()), local: false }).collect()
}

/// As PostgreSQL writes a number that it has read. False: versions differ in how they read it.
fn append_number(negative: bool, number: &[u8], out: &mut Vec<u8>) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    if number.iter().all(u8::is_ascii_digit) {
        match text.parse::<i32>() {
            Ok(0) => out.push(b'0'),
            Ok(whole) => {
                let whole = if negative { -whole } else { whole };
                out.extend_from_slice(whole.to_string().as_bytes());
            }
            // Too large: kept as it is written.
            Err(_) => append_as_written(negative, number, out),
        }
        return true;
    }
    let plain = number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if plain {
        append_as_written(negative, number, out);
    }
    plain
}

fn append_as_written(negative: bool, number: &[u8], out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(number);
}

/// As `quote_identifier` writes it, without `quote_all_identifiers`.
fn identifier(name: &[u8], out: &mut Vec<u8>) {
    let safe = matches!(name.first(), Some(b'a'..=b'z' | b'_'))
        && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && keywords::kind(name).is_none();
    if safe {
        out.extend_from_slice(name);
        return;
    }
    out.push(b'"');
    for byte in name {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
