//! What must hold of everything that reads SQL, whatever the bytes are: the functions of the fuzz targets, which `tests/fuzz/mod.rs` runs over
//! the corpus. Knows neither a fuzzer nor where its bytes come from.

use pgotter::sql::{
    COMMENT_MAX, Facts, Hint, Plain, Reader, Reading, Scanner, Tags, Token, Verdict, ends_in_comment, hint,
    last_comment, read,
};

/// By all the rules that there are; a long text, for time, by the usual ones.
fn readings(text: &[u8]) -> impl Iterator<Item = Reading> {
    let bit = |all: u8, at: u8| all >> at & 1 == 1;
    let each = move |all| Reading { standard_strings: bit(all, 0), ascii_trails: bit(all, 1), utf8: bit(all, 2) };
    let long = text.len() > 64 * 1024;
    (0..8).map(each).filter(move |reading| !long || *reading == Reading::default())
}

/// Where a text is cut, by what it is itself.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunks(1 + text.len() % 7)
}

/// The tokens of a text, those of one string together.
fn tokens<'a>(pieces: impl Iterator<Item = &'a [u8]>, reading: Reading) -> (Vec<String>, bool) {
    let (mut found, mut text) = (Vec::new(), Vec::new());
    let mut note = |token: Token<'_>| match token {
        Token::Text(piece) => text.extend_from_slice(piece),
        Token::TextEnd { .. } => found.push(format!("{token:?} {:?}", std::mem::take(&mut text))),
        token => found.push(format!("{token:?}")),
    };
    let mut scanner = Scanner::new(reading);
    pieces.for_each(|piece| scanner.feed(piece, &mut note));
    let sure = scanner.finish(&mut note).is_ok();
    (found, sure)
}

/// The lexer finds the same tokens wherever the text is cut.
pub fn scanner(text: &[u8]) {
    for reading in readings(text) {
        let whole = tokens(std::iter::once(text), reading);
        assert_eq!(tokens(pieces(text), reading), whole, "{reading:?}");
    }
}

fn in_pieces(text: &[u8], reading: Reading) -> Facts {
    let mut reader = Reader::new(reading);
    pieces(text).for_each(|piece| reader.feed(piece, &Plain));
    reader.finish(&Plain)
}

/// The facts of a text are the same wherever it is cut, and what nobody can follow is the primary's.
pub fn facts(text: &[u8]) {
    for reading in readings(text) {
        let facts = read(text, reading, &Plain);
        let cut = in_pieces(text, reading);
        // Which of several reasons not to be sure is met first depends on the cut.
        let unsure = facts.unsure.is_some() && cut.unsure.is_some() && facts.touches == cut.touches;
        assert!(unsure || cut == facts, "{reading:?}: cut {cut:?}, whole {facts:?}");
        let (_, sure) = tokens(std::iter::once(text), reading);
        assert!(sure || facts.verdict() == Verdict::Unparsed, "{reading:?} {}", facts.verdict());
    }
}

/// A hint stands in its text, and says what it says.
pub fn hints(text: &[u8]) {
    for reading in readings(text) {
        let Ok(Some(found)) = hint(text, reading) else { continue };
        let said = found.to_string();
        let word = if let Hint::Host(host) = found { host } else { said.split(' ').next().unwrap_or_default() };
        assert!(text.windows(word.len()).any(|part| part == word.as_bytes()), "{said}");
        let again = format!("/* pgotter: {said} */ select 1");
        assert_eq!(hint(again.as_bytes(), reading), Ok(Some(found)));
    }
}

/// The second reader can only take a read back, on half of a thread's stack.
pub fn second(text: &[u8]) {
    let text = text.to_vec();
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
        for reading in readings(&text) {
            let facts = read(&text, reading, &Plain);
            let (first, both) = (facts.verdict(), facts.confirmed(&text, reading, &Plain));
            let taken_back = both == Verdict::Unparsed && first <= Verdict::Node;
            assert!(both == first || taken_back, "{reading:?} {first} {both}");
        }
    });
    thread.expect("a thread starts").join().expect("it ends");
}

/// The tags of a text stand in the comment that it ends in, and are no longer than that.
pub fn tags(text: &[u8]) {
    let whole = [text, b"*/"].concat();
    for text in [text, &whole] {
        let Some(comment) = last_comment(text) else { continue };
        assert!(ends_in_comment(text) && comment.len() <= COMMENT_MAX);
        let Tags { trace_id, route, action, application, broken } = Tags::read(comment);
        let values = [trace_id, route, action, application];
        let bytes: usize = values.iter().flatten().map(|value| value.len()).sum();
        assert!(bytes + broken as usize <= comment.len());
    }
}

/// What a fuzz target calls.
pub type Target = fn(&[u8]);

/// All of them, with their names.
pub const ALL: [(&str, Target); 5] =
    [("scanner", scanner), ("facts", facts), ("hints", hints), ("second", second), ("tags", tags)];
