//! What answers mean.

use super::*;

fn rows(values: &[&[u8]]) -> Answer {
    Answer { rows: values.iter().map(|value| vec![Some(Box::from(*value))]).collect(), ..Answer::default() }
}

fn error(code: &[u8]) -> Answer {
    Answer { error: Some(code.into()), ..Answer::default() }
}

#[test]
fn only_a_clear_answer_lets_a_role_in_or_bars_it() {
    for (answer, standing) in [
        (rows(&[b"t"]), Standing::MayLogIn),
        // It has expired, or may not log in; it is gone.
        (rows(&[b"f"]), Standing::Barred),
        (rows(&[]), Standing::Barred),
        // That speaks of another role: of the current one, say.
        (error(b"42704"), Standing::Unknown),
        (error(b"57014"), Standing::Unknown),
        (error(b"42501"), Standing::Unknown),
        (error(b"25P02"), Standing::Unknown),
        (rows(&[b"t", b"t"]), Standing::Unknown),
        (rows(&[b"yes"]), Standing::Unknown),
        (Answer { rows: vec![vec![None]], ..Answer::default() }, Standing::Unknown),
        (Answer { rows: vec![Vec::new()], ..Answer::default() }, Standing::Unknown),
    ] {
        assert_eq!(read(&answer), standing, "{answer:?}");
    }
}
