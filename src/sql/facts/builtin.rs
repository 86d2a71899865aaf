//! The functions of `pg_catalog` by name (`builtin.names`), and what calling them touches. Nothing, with few exceptions: most
//! keep no state, and what many of the others keep ends with the transaction (`_xact_` locks, large objects).

use super::{Bounds, Effects, Functions, Touches};

const NAMES: &str = include_str!("builtin.names");

/// Places of the table: a power of two, and enough that few names share one.
const PLACES: usize = 8192;

/// Where the line of each name begins in [`NAMES`], from 1; found by [`hash`], or in one of the next places. 0: none.
static TABLE: [u16; PLACES] = table();

const fn hash(name: &[u8]) -> usize {
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ hash >> 15) as usize % PLACES
}

const fn table() -> [u16; PLACES] {
    let mut table = [0; PLACES];
    let text = NAMES.as_bytes();
    let mut begin = 0;
    while begin < text.len() {
        let mut end = begin;
        while text[end] != b'\n' && text[end] != b' ' {
            end += 1;
        }
        if text[begin] != b'#' {
            let (_, behind) = text.split_at(begin);
            let (name, _) = behind.split_at(end - begin);
            let mut place = hash(name);
            while table[place] != 0 {
                place = (place + 1) % PLACES;
            }
            table[place] = begin as u16 + 1;
        }
        while text[end] != b'\n' {
            end += 1;
        }
        begin = end + 1;
    }
    table
}

// Places of lines fit into 16 bits.
const _: () = assert!(NAMES.len() < u16::MAX as usize);

/// What some version of PostgreSQL has of this name in `pg_catalog`, and what that means for where it may run.
fn find(name: &[u8]) -> Option<Bounds> {
    let mut place = hash(name);
    loop {
        let line = TABLE.get(place).copied().unwrap_or_default().checked_sub(1)?;
        let behind = NAMES.as_bytes().get(usize::from(line)..).unwrap_or_default();
        match behind.strip_prefix(name).map(|rest| rest.get(..2).unwrap_or(rest)) {
            Some([b'\n', ..]) => return Some(Bounds::NOTHING),
            Some(b" !") => return Some(Bounds::WRITES),
            Some(b" @") => return Some(Bounds::ONE_SERVER),
            Some(b" =") => return Some(Bounds::NODE),
            Some(b" ~") => return Some(Bounds::TRANSACTION),
            _ => place = (place + 1) % PLACES,
        }
    }
}

/// What calling a built-in function does. `None`: it is none.
pub fn effects(name: &[u8]) -> Option<Effects> {
    let bounds = find(name)?;
    let touches = match name {
        // Its arguments tell more.
        b"set_config" => Touches::SETTINGS,
        b"pg_advisory_lock" | b"pg_advisory_lock_shared" | b"pg_try_advisory_lock" | b"pg_try_advisory_lock_shared" => {
            Touches::SESSION_LOCK
        }
        b"pg_advisory_unlock" | b"pg_advisory_unlock_shared" | b"pg_advisory_unlock_all" => Touches::RELEASES,
        b"nextval" | b"setval" => Touches::SEQUENCE_WRITE,
        b"currval" | b"lastval" => Touches::SEQUENCE_READ,
        b"pg_notify" => Touches::NOTIFIES,
        b"pg_listening_channels" => Touches::LISTENS,
        b"setseed"
        // The session's until `pg_backup_stop`.
        | b"pg_backup_start" | b"pg_start_backup"
        | b"pg_replication_origin_session_setup" | b"pg_replication_origin_session_reset"
        // The session's if temporary.
        | b"pg_create_logical_replication_slot" | b"pg_create_physical_replication_slot"
        | b"pg_copy_logical_replication_slot" | b"pg_copy_physical_replication_slot" => Touches::UNMOVABLE,
        b"pg_backup_stop" | b"pg_stop_backup" => Touches::UNMOVABLE.and(Touches::RELEASES),
        // They run a text, or what stands behind tables.
        b"query_to_xml" | b"query_to_xmlschema" | b"query_to_xml_and_xmlschema" | b"ts_stat" | b"ts_rewrite" => {
            Touches::HIDDEN.and(Touches::DYNAMIC)
        }
        b"cursor_to_xml" | b"cursor_to_xmlschema" | b"table_to_xml" | b"table_to_xml_and_xmlschema"
        | b"schema_to_xml" | b"schema_to_xml_and_xmlschema" | b"database_to_xml" | b"database_to_xml_and_xmlschema" => {
            Touches::HIDDEN
        }
        _ => Touches::NOTHING,
    };
    Some(Effects { touches, bounds, ..Effects::NOTHING })
}

/// Operators of `pg_catalog`, PostgreSQL 15 to 18, sorted by bytes; `!=` is another way to write `<>`, and `=>` names an
/// argument.
#[rustfmt::skip]
const OPERATORS: [&[u8]; 76] = [
    b"!!", b"!=", b"!~", b"!~*", b"!~~", b"!~~*", b"#", b"##", b"#-", b"#>", b"#>>", b"%", b"&", b"&&", b"&<",
    b"&<|", b"&>", b"*", b"*<", b"*<=", b"*<>", b"*=", b"*>", b"*>=", b"+", b"-", b"->", b"->>", b"-|-", b"/",
    b"<", b"<->", b"<<", b"<<=", b"<<|", b"<=", b"<>", b"<@", b"<^", b"=", b"=>", b">", b">=", b">>", b">>=",
    b">^", b"?", b"?#", b"?&", b"?-", b"?-|", b"?|", b"?||", b"@", b"@-@", b"@>", b"@?", b"@@", b"@@@", b"^",
    b"^@", b"|", b"|&>", b"|/", b"|>>", b"||", b"||/", b"~", b"~*", b"~<=~", b"~<~", b"~=", b"~>=~", b"~>~", b"~~",
    b"~~*",
];

/// What using an operator does, whatever its arguments are: one of the database's own may have the same name.
pub fn operator(sign: &[u8], functions: &dyn Functions) -> Effects {
    let known = if OPERATORS.binary_search(&sign).is_ok() { Bounds::NOTHING } else { Bounds::WRITES };
    functions.function(sign).unwrap_or(known.into())
}
