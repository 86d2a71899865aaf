//! What one value may look like: numbers, durations, sizes, words, addresses. Each reader takes a TOML
//! value and returns what it means or why it does not do; none knows which key it reads for.

use super::section::{Value, Wrong, nearest};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// More clients, servers or probes than this is a slip of the finger.
pub(super) const COUNT_MAX: u64 = 1_000_000;
/// Deadlines are added to the clock; a century cannot overflow it.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);
/// The resolution of the timers.
const DURATION_MIN: Duration = Duration::from_millis(1);

/// What stands there instead, for a label. Never the content: it could be a secret.
pub(super) fn found(value: &Value<'_>) -> String {
    match value.get_ref() {
        DeValue::String(_) => "found a text".to_owned(),
        DeValue::Integer(number) => format!("found {number}"),
        DeValue::Float(number) => format!("found {number}"),
        DeValue::Boolean(boolean) => format!("found {boolean}"),
        DeValue::Datetime(_) => "found a date or time".to_owned(),
        DeValue::Array(_) => "found a list".to_owned(),
        DeValue::Table(_) => "found a table".to_owned(),
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    let number = value.get_ref().as_integer()?;
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A whole number within bounds.
pub(super) fn whole<T: TryFrom<u64>>(bounds: RangeInclusive<u64>) -> impl Fn(&Value<'_>) -> Result<T, Wrong> {
    move |value| {
        let number = integer(value).and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| bounds.contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| {
            Wrong::new(format!("a whole number from {} to {}", bounds.start(), bounds.end()), found(value))
        })
    }
}

/// How many; 0 is allowed and mostly means "no limit".
pub(super) fn count(value: &Value<'_>) -> Result<usize, Wrong> {
    whole(0..=COUNT_MAX)(value)
}

/// A TCP port.
pub(super) fn port(value: &Value<'_>) -> Result<u16, Wrong> {
    whole(1..=65_535)(value)
}

/// true or false, or PgBouncer's 1 and 0.
pub(super) fn boolean(value: &Value<'_>) -> Result<bool, Wrong> {
    match (value.get_ref().as_bool(), integer(value)) {
        (Some(boolean), _) => Ok(boolean),
        (None, Some(1)) => Ok(true),
        (None, Some(0)) => Ok(false),
        _ => Err(Wrong::new("true or false", found(value))),
    }
}

/// Any text. PostgreSQL's messages end texts with a zero byte, so none can hold one.
pub(super) fn text(value: &Value<'_>) -> Result<String, Wrong> {
    let text = value.get_ref().as_str().ok_or_else(|| Wrong::new("a text", found(value)))?;
    if text.contains('\0') {
        return Err(Wrong::new("a text without a zero byte", "found one"));
    }
    Ok(text.to_owned())
}

/// A text that is not empty.
pub(super) fn name(value: &Value<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    if text.is_empty() { Err(Wrong::new("a text that is not empty", "empty")) } else { Ok(text) }
}

/// Names, as a list of texts or, PgBouncer's way, in one text with commas.
pub(super) fn names(value: &Value<'_>) -> Result<Vec<String>, Wrong> {
    let wrong = |_| Wrong::new("a list of texts", found(value));
    if let Some(list) = value.get_ref().as_array() {
        return list.iter().map(|item| name(item).map_err(wrong)).collect();
    }
    let list = text(value).map_err(wrong)?;
    Ok(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// One of several words.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Value<'_>) -> Result<T, Wrong> {
    move |value| {
        let given = value.get_ref().as_str();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| given == Some(word)) {
            return Ok(*meaning);
        }
        let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let wrong =
            Wrong::new(list.join(" or "), if given.is_some() { "not one of these".into() } else { found(value) });
        match nearest(given.unwrap_or_default(), words.iter().map(|(word, _)| *word)) {
            Some(near) => Err(wrong.with_help(format!("did you mean \"{near}\"?"))),
            None => Err(wrong),
        }
    }
}

/// A duration: `"30s"`, or a number of seconds. 0 is allowed.
pub(super) fn duration(value: &Value<'_>) -> Result<Duration, Wrong> {
    duration_in(1.0)(value)
}

/// A duration above 0.
pub(super) fn positive(value: &Value<'_>) -> Result<Duration, Wrong> {
    limit(value)?.ok_or_else(|| Wrong::new("a duration of at least 1ms", "this would never leave any time"))
}

/// A duration of at least a second.
pub(super) fn period(value: &Value<'_>) -> Result<Duration, Wrong> {
    let long_enough = |period: &Duration| *period >= Duration::from_secs(1);
    Some(duration(value)?).filter(long_enough).ok_or_else(|| Wrong::new("a duration of at least 1s", "too short"))
}

/// A duration where 0 means that there is no such limit.
pub(super) fn limit(value: &Value<'_>) -> Result<Option<Duration>, Wrong> {
    Ok(Some(duration(value)?).filter(|duration| !duration.is_zero()))
}

/// As [`limit`], but a bare number counts milliseconds: PgBouncer's `tcp_user_timeout`.
pub(super) fn limit_in_ms(value: &Value<'_>) -> Result<Option<Duration>, Wrong> {
    Ok(Some(duration_in(0.001)(value)?).filter(|duration| !duration.is_zero()))
}

/// As [`limit`], in what Linux takes for keepalive times: whole seconds, at most 32767.
/// Source: Linux `include/net/tcp.h`, `MAX_TCP_KEEPIDLE`.
pub(super) fn keepalive(value: &Value<'_>) -> Result<Option<Duration>, Wrong> {
    match limit(value)? {
        Some(time) if time.subsec_nanos() != 0 || time.as_secs() > 32_767 => {
            Err(Wrong::new("0 (the system's) or whole seconds up to 32767", found(value)))
        }
        time => Ok(time),
    }
}

fn duration_in(unit_seconds: f64) -> impl Fn(&Value<'_>) -> Result<Duration, Wrong> {
    move |value| {
        let expected = "a duration such as \"30s\", \"250ms\", \"5min\", \"1h\", \"2d\", or a number";
        let wrong = |label: &str| Wrong::new(expected, label);
        let seconds = match value.get_ref() {
            DeValue::String(text) => seconds(text).ok_or_else(|| wrong("not a duration"))?,
            DeValue::Integer(_) | DeValue::Float(_) => {
                number(value).map(|number| number * unit_seconds).ok_or_else(|| wrong("not a number"))?
            }
            _ => return Err(wrong(&found(value))),
        };
        // Refuses NaN, infinity and what is below zero.
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong("out of range"))?;
        if duration > DURATION_MAX {
            return Err(wrong("more than a hundred years"));
        }
        if seconds > 0.0 && duration < DURATION_MIN {
            return Err(wrong("less than 1ms, the finest there is"));
        }
        Ok(duration)
    }
}

/// A number, with or without a point.
pub(super) fn number(value: &Value<'_>) -> Option<f64> {
    match value.get_ref() {
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => integer(value)?.to_string().parse().ok(),
    }
}

/// A duration as the file has it in quotes; `None`: it is none.
pub fn read_duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds(text)?).ok()
}

fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = split_unit(text);
    let unit_seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit_seconds)
}

fn split_unit(text: &str) -> (&str, &str) {
    let unit_start = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_start);
    (number, unit.trim())
}

/// A number of bytes within bounds: `"64KiB"` or the bare number.
pub(super) fn size(bounds: RangeInclusive<u64>) -> impl Fn(&Value<'_>) -> Result<usize, Wrong> {
    move |value| {
        let bytes = match value.get_ref() {
            DeValue::String(text) => bytes(text),
            _ => integer(value).and_then(|number| u64::try_from(number).ok()),
        };
        bytes.filter(|bytes| bounds.contains(bytes)).and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
            let expected =
                format!("a size such as \"64KiB\" or \"16MiB\", {} to {} bytes", bounds.start(), bounds.end());
            Wrong::new(expected, found(value).replace("found a text", "not such a size"))
        })
    }
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let unit_bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_bytes)
}

/// Permissions of a file: `0o777`, or `"0777"` as PgBouncer writes it. A decimal number is refused,
/// because 777 would be 0o1411.
pub(super) fn file_mode(value: &Value<'_>) -> Result<u32, Wrong> {
    let digits = match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref()),
        DeValue::Integer(number) if number.radix() == 8 => Some(number.as_str()),
        _ => None,
    };
    digits
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|digits| u32::from_str_radix(digits, 8).ok())
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| Wrong::new("an octal mode from 0o000 to 0o777", found(value)).with_help("write 0o777"))
}

/// An IP address with a port; empty is none.
pub(super) fn socket_address(value: &Value<'_>) -> Result<Option<SocketAddr>, Wrong> {
    let expected = "an IP address with a port, such as \"127.0.0.1:9127\"";
    match text(value).map_err(|wrong| Wrong { expected: expected.to_owned(), ..wrong })?.as_str() {
        "" => Ok(None),
        text => match text.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Ok(Some(address)),
            _ => Err(Wrong::new(expected, format!("`{text}` is none")).with_help("\"\" turns it off")),
        },
    }
}

/// Addresses to listen on, with commas; `*` is every one of both families; empty is none.
pub(super) fn addresses(value: &Value<'_>) -> Result<Vec<IpAddr>, Wrong> {
    let expected = "IP addresses with commas between them, or \"*\"";
    let list = text(value).map_err(|wrong| Wrong { expected: expected.to_owned(), ..wrong })?;
    let mut addresses = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let named: Vec<IpAddr> = match part {
            "*" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            _ => match part.trim_start_matches('[').trim_end_matches(']').parse() {
                Ok(address) => vec![address],
                Err(_) => {
                    let wrong = Wrong::new(expected, format!("`{part}` is no IP address"));
                    return Err(wrong.with_help(
                        "\"127.0.0.1\" for this machine only, \"*\" for all; the port goes under `listen_port`",
                    ));
                }
            },
        };
        for address in named {
            if addresses.contains(&address) {
                return Err(Wrong::new(expected, format!("{address} comes twice")));
            }
            addresses.push(address);
        }
    }
    Ok(addresses)
}
