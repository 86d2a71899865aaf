//! What functions touch whose bodies cannot be read: those in C, and in other languages. By their names, which is a judgement:
//! an extension in C that keeps something in its session under a harmless name is not found out.

use super::body::Does;
use crate::sql::{Bounds, Effects, Touches, builtin_effects};

/// What calling the function `name` touches; `symbol` is what it is called in its library.
pub fn does(language: &[u8], extension: Option<&[u8]>, name: &[u8], symbol: &[u8]) -> Does {
    let touches = match language {
        b"c" => in_c(extension.unwrap_or_default(), name, symbol),
        // Aggregates, and other names for what is built in.
        b"internal" if symbol != b"aggregate_dummy" => built_in(symbol),
        b"internal" => Touches::NOTHING,
        // Its interpreter lives as long as the session, with what it keeps, and a custom setting that it makes nobody is told of.
        _ => Touches::HIDDEN | Touches::DYNAMIC,
    };
    // Nobody knows what it reads.
    let beyond = !matches!(language, b"internal") && extension.is_none();
    let own = builtin_effects(symbol).map_or(Bounds::NOTHING, |does| does.bounds);
    let bounds = match language {
        // However it was declared.
        b"internal" => own,
        _ if beyond => Bounds::TRANSACTION,
        _ => own.only(Bounds::TRANSACTION),
    };
    let mut does = Does { effects: Effects { beyond, bounds, ..touches.into() }, ..Does::default() };
    if name == b"set_limit" && extension == Some(b"pg_trgm") {
        does.settings.push((b"pg_trgm.similarity_threshold".as_slice().into(), false));
    }
    does
}

fn in_c(extension: &[u8], name: &[u8], symbol: &[u8]) -> Touches {
    match (extension, name) {
        // A connection stays with its session.
        (b"dblink", b"dblink_connect" | b"dblink_connect_u" | b"dblink_disconnect") => Touches::UNMOVABLE,
        // They run a text.
        (b"tablefunc" | b"xml2", _) => Touches::HIDDEN | Touches::DYNAMIC,
        (b"pg_trgm", b"set_limit") => Touches::SETTINGS,
        // Variables and buffers of the session.
        (b"pg_variables" | b"orafce", _) => Touches::UNMOVABLE,
        (
            b"amcheck"
            | b"bloom"
            | b"btree_gin"
            | b"btree_gist"
            | b"citext"
            | b"cube"
            | b"dblink"
            | b"dict_int"
            | b"dict_xsyn"
            | b"earthdistance"
            | b"file_fdw"
            | b"fuzzystrmatch"
            | b"hstore"
            | b"intarray"
            | b"isn"
            | b"lo"
            | b"ltree"
            | b"pageinspect"
            | b"pg_buffercache"
            | b"pg_freespacemap"
            | b"pg_prewarm"
            | b"pg_stat_statements"
            | b"pg_trgm"
            | b"pg_visibility"
            | b"pgcrypto"
            | b"pgrowlocks"
            | b"pgstattuple"
            | b"postgis"
            | b"postgis_raster"
            | b"postgis_topology"
            | b"postgis_sfcgal"
            | b"postgres_fdw"
            | b"seg"
            | b"sslinfo"
            | b"tcn"
            | b"tsm_system_rows"
            | b"tsm_system_time"
            | b"unaccent"
            | b"uuid-ossp"
            | b"vector"
            | b"plpgsql",
            _,
        ) => Touches::NOTHING,
        _ if [name, symbol].into_iter().any(speaks_of_a_session) => Touches::HIDDEN,
        _ => Touches::NOTHING,
    }
}

fn built_in(symbol: &[u8]) -> Touches {
    if speaks_of_a_session(symbol) || symbol.windows(6).any(|part| part == b"to_xml") {
        Touches::HIDDEN | Touches::DYNAMIC
    } else {
        Touches::NOTHING
    }
}

/// What is likely to keep something says so.
fn speaks_of_a_session(name: &[u8]) -> bool {
    let words: [&[u8]; 8] = [b"lock", b"set_", b"session", b"connect", b"temp", b"listen", b"execute", b"seed"];
    let name = name.to_ascii_lowercase();
    words.into_iter().any(|word| name.windows(word.len()).any(|part| part == word))
}
