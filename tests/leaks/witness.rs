//! A client that has set nothing, and everything a session can show: it must be what a fresh connection to PostgreSQL shows.

use super::act::CUSTOM;
use super::kinds::Kind;
use crate::support::raw::{Frame, Raw, bind, describe, first_value, print, query, sync};

/// What every witness asks for at login; one of the five settings that PostgreSQL reports must be kept apart as well.
const STARTUP: &[(&str, &str)] = &[("application_name", "witness"), ("TimeZone", "Asia/Kathmandu")];
/// As many numbers as clients draw after a setseed.
const NUMBERS: usize = 40;

/// What a fresh connection shows.
pub struct Expected {
    port: u16,
    questions: Vec<Vec<u8>>,
    answers: Vec<String>,
    /// What random() says after a setseed that is not the witness's.
    seeded: Vec<String>,
}

impl Expected {
    /// As PostgreSQL at `direct` shows it, of these kinds.
    pub fn new(direct: u16, kinds: &[Kind]) -> Self {
        let mut fresh = Raw::log_in(direct, STARTUP);
        let questions = questions(kinds);
        let answers = questions.iter().map(|question| ask(&mut fresh, question)).collect();
        fresh.ask("SELECT setseed(0.5)");
        let seeded = (0..NUMBERS).map(|_| fresh.value("SELECT random()")).collect();
        Self { port: direct, questions, answers, seeded }
    }

    /// A witness; logs in at `port`.
    pub fn witness(port: u16) -> Raw {
        Raw::log_in(port, STARTUP)
    }

    /// What the witness sees that a fresh connection does not. The settings take long, so not every look is at `all` of them.
    pub fn look(&self, witness: &mut Raw, all: bool) -> Result<(), String> {
        for (number, (question, answer)) in self.questions.iter().zip(&self.answers).enumerate() {
            if number == 0 && !all {
                continue;
            }
            let heard = ask(witness, question);
            if heard != *answer {
                let more = if number == 0 { self.settings(witness) } else { String::new() };
                let question = question[5..].escape_ascii();
                return Err(format!("a witness asks {question}\nand hears\n{heard}instead of\n{answer}{more}"));
            }
        }
        let number = witness.value("SELECT random()");
        if self.seeded.contains(&number) {
            return Err(format!("a witness draws {number}, as if it had called setseed"));
        }
        Ok(())
    }

    /// Which settings differ.
    fn settings(&self, witness: &mut Raw) -> String {
        let list = |client: &mut Raw| {
            let frames = client.ask("SELECT name || ' = ' || setting || ', ' || source FROM pg_settings ORDER BY name");
            let rows = frames.into_iter().filter(|frame| frame.kind == b'D');
            rows.filter_map(|row| first_value(&[row])).collect::<Vec<String>>()
        };
        let (here, fresh) = (list(witness), list(&mut Raw::log_in(self.port, STARTUP)));
        let missing = fresh.iter().filter(|line| !here.contains(line)).map(|line| format!("  fresh: {line}\n"));
        here.iter()
            .filter(|line| !fresh.contains(line))
            .map(|line| format!("  here: {line}\n"))
            .chain(missing)
            .collect()
    }
}

fn ask(client: &mut Raw, question: &[u8]) -> String {
    client.send(question);
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = client.frame_or_silence() {
        let last = frame.kind == b'Z';
        frames.push(frame);
        if last {
            return print(&frames);
        }
    }
    print(&frames) + "and nothing more\n"
}

fn questions(kinds: &[Kind]) -> Vec<Vec<u8>> {
    // A library that was loaded brings settings of its own, at their defaults.
    let settings = "SELECT md5(string_agg(name || '=' || setting, ';' ORDER BY name)) FROM pg_settings \
         WHERE name NOT LIKE 'plpgsql.%'";
    let custom = CUSTOM.iter().map(|name| format!("current_setting('{name}', true) AS \"{name}\""));
    let session = format!(
        "SELECT current_user, session_user, {}, \
         ARRAY(SELECT name FROM pg_cursors WHERE name <> ''), \
         ARRAY(SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), \
         ARRAY(SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema())",
        custom.collect::<Vec<_>>().join(", ")
    );
    let mut questions = vec![query(settings), query(&session)];
    if kinds.contains(&Kind::Statements) || kinds.contains(&Kind::SqlStatements) {
        questions.push([bind("", "s1", &[]), sync()].concat());
        questions.push([describe(b'S', ""), sync()].concat());
        questions.push(query("EXECUTE s2"));
    }
    if kinds.contains(&Kind::SqlStatements) {
        questions.push(query("SELECT name, statement FROM pg_prepared_statements WHERE from_sql"));
    }
    if kinds.contains(&Kind::Listen) {
        questions.push(query("SELECT pg_listening_channels()"));
    }
    if kinds.contains(&Kind::Sequences) {
        questions.push(query("SELECT lastval()"));
        questions.push(query("SELECT currval('public.numbers')"));
    }
    questions
}

/// Notifications among what came unasked.
pub fn notifications(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter(|frame| frame.kind == b'A').map(|frame| print(std::slice::from_ref(frame))).collect()
}
