//! A client that has set nothing, and everything a session can show: it must be what a fresh connection to PostgreSQL shows.

use super::act::CUSTOM;
use super::kinds::Kind;
use super::world::Stage;
use crate::support::raw::{Frame, Raw, bind, describe, first_value, print, query, row_values, sync};

/// What every witness asks for at login; one of the five settings that PostgreSQL reports must be kept apart as well.
const STARTUP: &[(&str, &str)] = &[("application_name", "witness"), ("TimeZone", "Asia/Kathmandu")];
/// As many numbers as clients draw after a setseed.
const NUMBERS: usize = 40;

/// What a fresh connection shows.
pub struct Expected {
    stage: Stage,
    questions: Vec<Vec<u8>>,
    answers: Vec<String>,
    /// What random() says after a setseed that is not the witness's.
    seeded: Vec<String>,
}

impl Expected {
    /// As PostgreSQL shows it, of these kinds.
    pub fn new(stage: Stage, kinds: &[Kind]) -> Self {
        let mut fresh = stage.log_in(STARTUP);
        let questions = questions(kinds);
        let answers =
            ask(&mut fresh, &questions.iter().collect::<Vec<_>>()).iter().map(|frames| print(frames)).collect();
        fresh.ask("SELECT setseed(0.5)");
        let seeded = (0..NUMBERS).map(|_| fresh.value("SELECT random()")).collect();
        Self { stage, questions, answers, seeded }
    }

    /// A witness; logs in at `port`.
    pub fn witness(&self, port: u16) -> Raw {
        self.stage.log_in_at(port, STARTUP)
    }

    /// The process of the server that the witness has looked at, or what it sees there that a fresh connection does not. The
    /// settings take long, so not every look is at `all` of them.
    pub fn look(&self, witness: &mut Raw, all: bool) -> Result<String, String> {
        let looks: Vec<usize> = (1..self.questions.len()).chain(all.then_some(0)).collect();
        let server = query("SELECT pg_backend_pid(), random()");
        // In one write, so that they all come to the same server.
        let asked: Vec<&Vec<u8>> = looks.iter().map(|at| &self.questions[*at]).chain([&server]).collect();
        let mut heard = ask(witness, &asked);
        let row = heard.pop().and_then(|frames| frames.into_iter().find(|frame| frame.kind == b'D'));
        for (at, heard) in looks.into_iter().zip(&heard) {
            let (question, answer, heard) = (&self.questions[at], &self.answers[at], print(heard));
            if heard != *answer {
                let more = if at == 0 { self.settings(witness) } else { String::new() };
                let question = question[5..].escape_ascii();
                return Err(format!("a witness asks {question}\nand hears\n{heard}instead of\n{answer}{more}"));
            }
        }
        let mut row = row.map(|row| row_values(&row)).unwrap_or_default().into_iter().map(Option::unwrap_or_default);
        let (Some(server), Some(number)) = (row.next(), row.next()) else {
            return Err("a witness is not told who serves it".to_owned());
        };
        if self.seeded.contains(&number) {
            return Err(format!("a witness draws {number}, as if it had called setseed"));
        }
        Ok(server)
    }

    /// Which settings differ.
    fn settings(&self, witness: &mut Raw) -> String {
        let list = |client: &mut Raw| {
            let frames = client.ask("SELECT name || ' = ' || setting || ', ' || source FROM pg_settings ORDER BY name");
            let rows = frames.into_iter().filter(|frame| frame.kind == b'D');
            rows.filter_map(|row| first_value(&[row])).collect::<Vec<String>>()
        };
        let (here, fresh) = (list(witness), list(&mut self.stage.log_in(STARTUP)));
        let missing = fresh.iter().filter(|line| !here.contains(line)).map(|line| format!("  fresh: {line}\n"));
        here.iter()
            .filter(|line| !fresh.contains(line))
            .map(|line| format!("  here: {line}\n"))
            .chain(missing)
            .collect()
    }
}

/// What is answered to each.
fn ask(client: &mut Raw, questions: &[&Vec<u8>]) -> Vec<Vec<Frame>> {
    client.send(&questions.iter().copied().flatten().copied().collect::<Vec<u8>>());
    let answer = |_: &&Vec<u8>| {
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &Frame| frame.kind != b'Z') {
            let Ok(Some(frame)) = client.frame_or_silence() else { break };
            frames.push(frame);
        }
        frames
    };
    questions.iter().map(answer).collect()
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
    let mut questions = vec![query(settings)];
    if kinds.contains(&Kind::Sequences) {
        // In front of the others: in the middle of a request PgOtter has its own words for it.
        questions.push(query("SELECT lastval()"));
        questions.push(query("SELECT currval('public.numbers')"));
    }
    questions.push(query(&session));
    if kinds.contains(&Kind::Statements) || kinds.contains(&Kind::SqlStatements) {
        questions.push([bind("", "s1", &[]), sync()].concat());
        questions.push([describe(b'S', ""), sync()].concat());
        questions.push(query("EXECUTE \"s1 of SQL\""));
    }
    if kinds.contains(&Kind::SqlStatements) {
        questions.push(query("SELECT name, statement FROM pg_prepared_statements WHERE from_sql"));
    }
    if kinds.contains(&Kind::Listen) {
        questions.push(query("SELECT pg_listening_channels()"));
    }
    questions
}

/// Notifications among what came unasked.
pub fn notifications(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter(|frame| frame.kind == b'A').map(|frame| print(std::slice::from_ref(frame))).collect()
}
