//! How much is collected of what a request notifies of.

use super::*;
use crate::sql::Reading;

#[test]
fn what_is_collected_is_bounded_however_many_binds_there_are() {
    let calls = |call: &str, times: usize| format!("SELECT {}", vec![call; times].join(","));
    let long = [b'x'; 7_000];
    for (text, parameter) in [
        ("NOTIFY a;".repeat(3_600), &b""[..]),
        (calls("pg_notify('a',$1)", 100), b"x"),
        (calls("pg_notify('a',$1)", 100), &long),
    ] {
        let deeds = Deeds::by(text.as_bytes(), Reading::default());
        let mut found = Found::default();
        (0..2_500).for_each(|_| found.notify(&deeds, &[Some(parameter)]));
        let bytes: usize = found.notified.iter().map(|notified| cost(notified)).sum();
        assert!(found.notifies && bytes > OWED_MAX / 2 && bytes <= OWED_MAX + 8_192, "{bytes} of {text}");
    }
}
