//! The parameters of a Bind as somebody who looks at a log reads them. Knows no types: what is not sent as text is shown as bytes.
//!
//! Source: PostgreSQL documentation, "Message Formats", Bind.

use super::frame::take_u16;

/// Bytes of one value that are shown.
const VALUE_MAX: usize = 256;

/// `$1 = 'text', $2 = \x0000002a, $3 = NULL`, of what stands behind the names of a Bind, which may be cut off anywhere: `…` for what is not
/// there, or more than that many bytes.
pub fn shown_parameters(supplied: &[u8], max: usize) -> String {
    let mut out = String::new();
    if show(supplied, max, &mut out).is_none() {
        out.push('…');
    }
    out
}

/// `None`: not all of them.
fn show(mut rest: &[u8], max: usize, out: &mut String) -> Option<()> {
    let formats = usize::from(take_u16(&mut rest)?);
    let (formats, behind) = rest.split_at_checked(2 * formats)?;
    rest = behind;
    for number in 0..take_u16(&mut rest)? {
        let format = if formats.len() == 2 { 0 } else { 2 * usize::from(number) };
        let is_text = formats.get(format..format + 2).is_none_or(|format| format == [0, 0]);
        let separator = if number == 0 { "" } else { ", " };
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let value = match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => {
                rest = behind;
                "NULL".to_owned()
            }
            Ok(length) => {
                let (value, behind) = behind.split_at(length.min(behind.len()));
                rest = behind;
                shown(value, length, is_text)
            }
        };
        let value = format!("{separator}${} = {value}", u32::from(number) + 1);
        if out.len() + value.len() > max {
            return None;
        }
        out.push_str(&value);
    }
    Some(())
}

/// One of so many bytes, of which perhaps not all are there.
fn shown(value: &[u8], length: usize, is_text: bool) -> String {
    let more = if length > value.len().min(VALUE_MAX) { "…" } else { "" };
    let value = &value[..value.len().min(VALUE_MAX)];
    if is_text {
        return format!("'{}{more}'", String::from_utf8_lossy(value).replace('\'', "''"));
    }
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\x{hex}{more}")
}

#[cfg(test)]
mod tests {
    //! Parameters whole, and cut off anywhere.
    use super::*;

    fn supplied(formats: &[u16], values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = (formats.len() as u16).to_be_bytes().to_vec();
        formats.iter().for_each(|format| out.extend(format.to_be_bytes()));
        out.extend((values.len() as u16).to_be_bytes());
        for value in values {
            out.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
            out.extend(value.unwrap_or_default());
        }
        out
    }

    #[test]
    fn texts_are_quoted_and_bytes_and_nulls_are_told_apart_from_them() {
        let values = [Some(&b"it's"[..]), None, Some(&[0, 0, 0, 42]), Some(b"")];
        let shown = |formats: &[u16]| shown_parameters(&supplied(formats, &values), 1000);
        assert_eq!(shown(&[0, 0, 1, 0]), "$1 = 'it''s', $2 = NULL, $3 = \\x0000002a, $4 = ''");
        assert_eq!(shown(&[1]), "$1 = \\x69742773, $2 = NULL, $3 = \\x0000002a, $4 = \\x");
        assert_eq!(shown(&[]), "$1 = 'it''s', $2 = NULL, $3 = '\0\0\0*', $4 = ''");
        assert_eq!(shown_parameters(&supplied(&[], &[]), 1000), "");
    }

    #[test]
    fn what_is_cut_off_or_long_ends_in_an_ellipsis() {
        let whole = supplied(&[0], &[Some(b"one"), Some(b"three")]);
        let all = "$1 = 'one', $2 = 'three'";
        assert_eq!(shown_parameters(&whole, all.len()), all);
        assert_eq!(shown_parameters(&whole, all.len() - 1), "$1 = 'one'…");
        assert_eq!(shown_parameters(&whole[..whole.len() - 1], 1000), "$1 = 'one', $2 = 'thre…'");
        for cut in 0..whole.len() {
            assert!(shown_parameters(&whole[..cut], 1000).contains('…'), "cut at {cut}");
        }
        let long = supplied(&[], &[Some(&[b'x'; VALUE_MAX + 1])]);
        assert_eq!(shown_parameters(&long, 1000), format!("$1 = '{}…'", "x".repeat(VALUE_MAX)));
    }
}
