//! The body of a Bind, as far as it says what is bound to what.
//!
//! Source: PostgreSQL documentation, "Message Formats", Bind.

use super::frame::{take_cstr, take_i32, take_u16};

/// One whole Bind.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Name of the portal.
    pub portal: &'a [u8],
    /// Name of the statement.
    pub statement: &'a [u8],
    /// Formats of the values, two bytes each: none, one for all of them, or one for each.
    pub formats: &'a [u8],
    /// The values; `None` for each NULL.
    pub values: Vec<Option<&'a [u8]>>,
    /// Formats of the columns, as those of the values.
    pub columns: &'a [u8],
}

impl<'a> Bind<'a> {
    /// `None`: it is none, or something is missing from it.
    pub fn read(mut body: &'a [u8]) -> Option<Self> {
        let (portal, statement) = (take_cstr(&mut body)?, take_cstr(&mut body)?);
        let formats = take_formats(&mut body)?;
        let mut values = Vec::new();
        for _ in 0..take_u16(&mut body)? {
            // What is below 0 is NULL.
            let length = usize::try_from(take_i32(&mut body)?).ok();
            let (value, behind) = body.split_at_checked(length.unwrap_or_default())?;
            body = behind;
            values.push(length.map(|_| value));
        }
        let columns = take_formats(&mut body)?;
        body.is_empty().then_some(Self { portal, statement, formats, values, columns })
    }
}

fn take_formats<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = take_u16(body)?;
    let (formats, behind) = body.split_at_checked(2 * usize::from(count))?;
    *body = behind;
    Some(formats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_read_whole_or_not_at_all() {
        let body = *b"p\0s\0\0\x01\0\0\0\x03\0\0\0\x02hi\xff\xff\xff\xff\0\0\0\0\0\x01\0\x01";
        let bind = Bind {
            portal: b"p",
            statement: b"s",
            formats: &[0, 0],
            values: vec![Some(b"hi"), None, Some(b"")],
            columns: &[0, 1],
        };
        assert_eq!(Bind::read(&body), Some(bind));
        for cut in 0..body.len() {
            assert_eq!(Bind::read(&body[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Bind::read(&[&body[..], b"\0"].concat()), None, "more than a Bind");
        assert!(Bind::read(&[0; 8]).is_some_and(|bind| bind.values.is_empty() && bind.portal.is_empty()));
    }
}
