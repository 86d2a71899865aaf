//! What an application says of a statement in the comment that the text ends in: `/*route='%2Forders',traceparent='00-…'*/`, as frameworks
//! write it. Only who looks closer at a statement reads it. Pure.
//!
//! Source: <https://google.github.io/sqlcommenter/spec/>; of `traceparent`: W3C, "Trace Context", section 3.2.2.

/// Bytes of a value that are kept.
const VALUE_MAX: usize = 128;

/// Bytes of a comment beyond which nobody looks: none of these tags are that long.
pub const COMMENT_MAX: usize = 2048;

/// Those of them that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Of `traceparent`: 32 hexadecimal digits.
    pub trace_id: Option<Box<str>>,
    /// What the application was asked for.
    pub route: Option<Box<str>>,
    /// What of it did that.
    pub action: Option<Box<str>>,
    /// Which one it is.
    pub application: Option<Box<str>>,
    /// Known ones that say nothing that can be read.
    pub broken: u32,
}

/// What stands in the comment that a text ends in; only white space and semicolons may be behind it. `None`: there is none, or it is longer
/// than [`COMMENT_MAX`].
pub fn last_comment(text: &[u8]) -> Option<&[u8]> {
    let text = &text[..end_of_comment(text)?];
    let comment = &text[text.len().saturating_sub(COMMENT_MAX + 2)..];
    let within = &comment[memchr::memmem::rfind(comment, b"/*")? + 2..];
    // Behind `--` it would be another one's end.
    memchr::memmem::find(within, b"*/").is_none().then_some(within)
}

/// Whether a text may end in a comment. Costs a look at its last bytes.
pub fn ends_in_comment(text: &[u8]) -> bool {
    end_of_comment(text).is_some()
}

/// Where its `*/` begins.
fn end_of_comment(text: &[u8]) -> Option<usize> {
    let last = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';'))?;
    text.get(..=last)?.strip_suffix(b"*/").map(<[u8]>::len)
}

impl Tags {
    /// Those in a comment, of which this is what stands within; none where it is about something else.
    pub fn read(comment: &[u8]) -> Self {
        let (mut tags, mut rest) = (Self::default(), comment);
        loop {
            let Some(equals) = memchr::memchr(b'=', rest) else { return tags };
            let (key, value) = (rest[..equals].trim_ascii(), rest[equals + 1..].trim_ascii_start());
            let known = matches!(key, b"traceparent" | b"route" | b"action" | b"application");
            let Some((value, behind)) = quoted(value) else {
                tags.broken += u32::from(known);
                return tags;
            };
            if known && !tags.note(key, &value) {
                tags.broken += 1;
            }
            match behind.trim_ascii_start().split_first() {
                Some((b',', behind)) => rest = behind,
                _ => return tags,
            }
        }
    }

    /// Whether the value can be read.
    fn note(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(value) = decoded(value) else { return false };
        let (tag, value) = match key {
            b"traceparent" => (&mut self.trace_id, trace_id(&value)),
            b"route" => (&mut self.route, Some(cut(&value))),
            b"action" => (&mut self.action, Some(cut(&value))),
            _ => (&mut self.application, Some(cut(&value))),
        };
        let Some(value) = value else { return false };
        *tag = Some(value.into());
        true
    }
}

/// What stands between `'` and the next one that no `\` stands in front of, without those; and what is behind it.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let text = text.strip_prefix(b"'")?;
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'\'' => return Some((value, &text[at + 1..])),
            b'\\' if text.get(at + 1) == Some(&b'\'') => {
                value.push(b'\'');
                at += 2;
            }
            byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

/// With what stands for `%2F` and the like. `None`: it is no text.
fn decoded(value: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
        bytes.push(u8::try_from(high? * 16 + low?).ok()?);
        rest = behind;
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_MAX)]
}

/// Version, trace, parent, flags; of versions to come, perhaps more behind that.
fn trace_id(value: &str) -> Option<&str> {
    let mut fields = value.split('-');
    let mut next = |length| {
        let is_hex = |field: &&str| field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fields.next().filter(|field| field.len() == length).filter(is_hex)
    };
    let (version, trace, parent, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let is_valid = version != "ff" && !is_zero(trace) && !is_zero(parent);
    (is_valid && (version != "00" || fields.next().is_none())).then_some(trace)
}

#[cfg(test)]
mod tests;
