//! What lines look like, and that nobody writes one who is only named in it.

use super::*;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written of a login and of a warning by somebody who calls himself so.
fn logged(format: LogFormat, is_terminal: bool, name: &str) -> String {
    let page = Page::default();
    let writer = page.clone();
    let log = subscriber(format, is_terminal, EnvFilter::new("info"), move || writer.clone());
    tracing::subscriber::with_default(log, || {
        tracing::info!(user = %name, database = name, port = 5432, "login");
        tracing::warn!("not let in: {name}");
        tracing::debug!("not shown");
    });
    let bytes = page.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

/// The lines without what stands in front of the message.
fn messages<'a>(text: &'a str, level: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.split_once(level).map(|(_, message)| message)).collect()
}

const FORGED: &str = "ann\n2026-11-30 15:50:29.123 UTC [1] LOG all is well\r\u{1b}[2J\u{202e}";
const ESCAPED: &str = r"ann\n2026-11-30 15:50:29.123 UTC [1] LOG all is well\r\u{1b}[2J\u{202e}";

#[test]
fn a_line_for_people_has_time_level_message_and_fields() {
    for is_terminal in [false, true] {
        let text = logged(LogFormat::Text, is_terminal, "ann");
        assert_eq!(
            messages(&text, "INFO")[0].trim_start_matches("\u{1b}[0m"),
            " login user=ann database=\"ann\" port=5432"
        );
        assert_eq!(messages(&text, "WARN")[0].trim_start_matches("\u{1b}[0m"), " not let in: ann");
        assert_eq!((text.lines().count(), text.contains('\u{1b}')), (2, is_terminal), "{text}");
    }
}

#[test]
fn a_line_as_pgbouncers_has_time_process_level_and_message() {
    let text = logged(LogFormat::PgBouncer, true, "ann");
    let lines: Vec<&str> = text.lines().collect();
    let behind = |line: &str| {
        let shape: String = line[..28].chars().map(|char| if char.is_ascii_digit() { '9' } else { char }).collect();
        assert_eq!(shape, "9999-99-99 99:99:99.999 UTC ");
        line[28..].to_owned()
    };
    let process = std::process::id();
    assert_eq!(behind(lines[0]), format!("[{process}] LOG login user=ann database=\"ann\" port=5432"));
    assert_eq!(behind(lines[1]), format!("[{process}] WARNING not let in: ann"));
    assert_eq!(lines.len(), 2, "{text}");
}

#[test]
fn nobody_can_write_a_line_or_move_the_cursor_by_what_he_is_called() {
    for (format, level) in [(LogFormat::Text, "INFO"), (LogFormat::PgBouncer, " LOG"), (LogFormat::Auto, "INFO")] {
        let text = logged(format, format == LogFormat::Auto, FORGED);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(messages(&text, level)[0].contains(&format!("user={ESCAPED} ")), "{text}");
        assert!(text.lines().nth(1).unwrap().ends_with(ESCAPED), "{text}");
        assert!(!text.contains("\u{1b}[2J"), "{text}");
    }
}

/// Of what a console takes for the beginning of a command, turns a line around, cannot be seen, or belongs to the letter in front of it.
const UNSEEN: &str = "\u{0}\u{7f}\u{80}\u{85}\u{9b}2J\u{200b}\u{202e}\u{2028}\u{feff}e\u{301}\u{e0001}\\u{9b}\"é漢🦦";

#[test]
fn what_cannot_be_seen_is_a_number_in_every_format() {
    for (format, is_terminal) in [
        (LogFormat::Text, false),
        (LogFormat::PgBouncer, true),
        (LogFormat::Auto, true),
        (LogFormat::Auto, false),
        (LogFormat::Json, true),
    ] {
        let text = logged(format, is_terminal, UNSEEN);
        // Colours are the log's own.
        let plain = text.replace('\n', "").replace("\u{1b}[", "");
        assert_eq!(plain.chars().find(|char| hidden(*char)), None, "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("é漢🦦"), "{text}");
    }
}

#[test]
fn what_is_no_terminal_gets_json_unless_something_else_is_wanted() {
    for (format, is_terminal) in [(LogFormat::Auto, false), (LogFormat::Json, true)] {
        for name in [FORGED, UNSEEN] {
            let text = logged(format, is_terminal, name);
            let lines: Vec<serde_json::Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
                .collect();
            let [login, warning] = &lines[..] else { panic!("{text}") };
            assert_eq!((&login["level"], &login["message"]), (&"INFO".into(), &"login".into()));
            assert_eq!((&login["user"], &login["database"]), (&name.into(), &name.into()));
            assert_eq!(warning["message"], format!("not let in: {name}"));
        }
    }
}
