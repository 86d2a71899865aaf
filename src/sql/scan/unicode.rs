//! Names written with Unicode escapes.

/// Source: PostgreSQL `src/backend/parser/parser.c`, `str_udeescape`. Surrogate pairs are left undecoded.
pub(super) fn decoded(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = name;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('\\') {
            out.push('\\');
            rest = behind;
            continue;
        }
        let (digits, behind) = match rest.strip_prefix('+') {
            Some(long) => long.split_at_checked(6)?,
            None => rest.split_at_checked(4)?,
        };
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}
