//! How PostgreSQL spells a startup value when it reports it back. Clients read what they are told at login before
//! any server has seen their values: asyncpg asks for 'utf-8' in quotes and looks up the codec by the reported name.
//!
//! What is not known here is left as it came; PostgreSQL judges it with the first request.
//!
//! Source: PostgreSQL `src/common/encnames.c`, `check_client_encoding`, `check_datestyle`, `pg_clean_ascii`.

/// PostgreSQL's name of an encoding, and its other names in lower case, letters and digits only.
const ENCODINGS: &[(&str, &[&str])] = &[
    ("SQL_ASCII", &[]),
    ("UTF8", &["unicode"]),
    ("EUC_JP", &[]),
    ("EUC_CN", &[]),
    ("EUC_KR", &[]),
    ("EUC_TW", &[]),
    ("EUC_JIS_2004", &[]),
    ("MULE_INTERNAL", &[]),
    ("LATIN1", &["iso88591"]),
    ("LATIN2", &["iso88592"]),
    ("LATIN3", &["iso88593"]),
    ("LATIN4", &["iso88594"]),
    ("LATIN5", &["iso88599"]),
    ("LATIN6", &["iso885910"]),
    ("LATIN7", &["iso885913"]),
    ("LATIN8", &["iso885914"]),
    ("LATIN9", &["iso885915"]),
    ("LATIN10", &["iso885916"]),
    ("ISO_8859_5", &[]),
    ("ISO_8859_6", &[]),
    ("ISO_8859_7", &[]),
    ("ISO_8859_8", &[]),
    ("KOI8R", &["koi8"]),
    ("KOI8U", &[]),
    ("WIN866", &["alt", "windows866"]),
    ("WIN874", &["windows874"]),
    ("WIN1250", &["windows1250"]),
    ("WIN1251", &["win", "windows1251"]),
    ("WIN1252", &["windows1252"]),
    ("WIN1253", &["windows1253"]),
    ("WIN1254", &["windows1254"]),
    ("WIN1255", &["windows1255"]),
    ("WIN1256", &["windows1256"]),
    ("WIN1257", &["windows1257"]),
    ("WIN1258", &["abc", "tcvn", "tcvn5712", "vscii", "windows1258"]),
    ("SJIS", &["mskanji", "shiftjis", "win932", "windows932"]),
    ("BIG5", &["win950", "windows950"]),
    ("GBK", &["win936", "windows936"]),
    ("UHC", &["win949", "windows949"]),
    ("GB18030", &[]),
    ("JOHAB", &[]),
    ("SHIFT_JIS_2004", &[]),
];

/// PostgreSQL's name of an encoding; `None` for one it does not have.
pub fn encoding(name: &[u8]) -> Option<&'static str> {
    let plain = plain(name);
    let known = |(own, others): &&(&str, &[&str])| {
        self::plain(own.as_bytes()) == plain || others.iter().any(|other| other.as_bytes() == plain)
    };
    ENCODINGS.iter().find(known).map(|(own, _)| *own)
}

fn plain(name: &[u8]) -> Vec<u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

/// A DateStyle of one word in full; `current` is the server's, whose order of day and month stays.
pub fn date_style(word: &[u8], current: &[u8]) -> Option<Vec<u8>> {
    if word.eq_ignore_ascii_case(b"German") {
        return Some(b"German, DMY".to_vec());
    }
    let style = ["ISO", "SQL", "Postgres"].into_iter().find(|style| word.eq_ignore_ascii_case(style.as_bytes()))?;
    let comma = current.iter().position(|&byte| byte == b',')?;
    Some([style.as_bytes(), &current[comma..]].concat())
}

/// PostgreSQL's `NAMEDATALEN` - 1: bytes of an application_name.
const NAME_MAX: usize = 63;

/// An application_name with only what PostgreSQL keeps of it: the first 63 bytes, as ASCII that can be printed. Anything else could be no
/// text at all in the encoding of the server that it is sent to. `major` is the server's version.
pub fn application_name(name: &[u8], major: u32) -> Vec<u8> {
    let mut clean = Vec::with_capacity(name.len());
    for &byte in name.iter().take(NAME_MAX) {
        match byte {
            b' '..=b'~' => clean.push(byte),
            _ if major >= 16 => clean.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            _ => clean.push(b'?'),
        }
    }
    clean
}
