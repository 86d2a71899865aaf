//! What answers mean.

use super::*;

fn rows(values: &[&[u8]]) -> Answer {
    Answer { rows: values.iter().map(|value| vec![Some(Box::from(*value))]).collect(), ..Answer::default() }
}

fn error(code: &[u8]) -> Answer {
    Answer { error: Some(code.into()), ..Answer::default() }
}

#[test]
fn only_a_clear_answer_bars_a_role() {
    assert!(is_fine(&rows(&[b"t"])));
    assert!(!is_fine(&rows(&[b"f"])), "expired, or it may not log in");
    assert!(!is_fine(&rows(&[])), "there is no such role");
    assert!(!is_fine(&error(b"42704")), "there is no such role, says PostgreSQL");
    for code in ["57014", "42501", "25P02", "XX000"] {
        assert!(is_fine(&error(code.as_bytes())), "{code}");
    }
}
