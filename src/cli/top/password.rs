//! The password, as psql's users expect: PGPASSWORD, then `~/.pgpass`, or it is asked for.
//!
//! Source: PostgreSQL documentation, "The Password File".

use super::super::init::Place;
use super::signals::{Signals, let_it};
use crate::secret::Secret;
use nix::sys::signal::Signal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// That of the environment, or of the file.
pub fn known(place: &Place) -> Option<Secret<String>> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(password) = set("PGPASSWORD") {
        return password.into_string().ok().map(Secret::new);
    }
    let file = set("PGPASSFILE").map(PathBuf::from);
    let file = file.or_else(|| set("HOME").map(|home| Path::new(&home).join(".pgpass")))?;
    let metadata = fs::metadata(&file).ok().filter(fs::Metadata::is_file)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        eprintln!("pgotter top: {} is not read: others may read it too; chmod 600 helps", file.display());
        return None;
    }
    let text = Zeroizing::new(fs::read_to_string(&file).ok()?);
    let (host, port) = place.hosts.first()?;
    find(&text, [host, &port.to_string(), &place.database, &place.user])
}

/// The password of the first line that fits host, port, database and user.
fn find(text: &str, wanted: [&str; 4]) -> Option<Secret<String>> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let (field, behind) = field(rest);
            rest = behind?;
            if *field != "*" && *field != wanted {
                return None;
            }
        }
        Some(Secret::new(std::mem::take(&mut *field(rest).0)))
    })
}

/// Up to the next colon that has no backslash in front, and what is behind it.
fn field(text: &str) -> (Zeroizing<String>, Option<&str>) {
    let mut found = Zeroizing::new(String::new());
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return (found, text.get(at + 1..)),
            '\\' => found.extend(chars.next().map(|(_, c)| c)),
            _ => found.push(c),
        }
    }
    (found, None)
}

/// Asks at the terminal, which does not show it. `None`: there is none.
///
/// # Errors
/// Broken off, or the terminal's.
pub fn ask(user: &str, signals: &Signals) -> io::Result<Option<Secret<String>>> {
    let question = format!("Password for user {}: ", user.escape_debug());
    let take = move || {
        eprint!("{question}");
        io::stderr().flush()?;
        enable_raw_mode()
    };
    let again = take.clone();
    signals.take(take, move |signal| {
        // Whoever let it go on has shown something else meanwhile.
        let _ = disable_raw_mode();
        if signal == Signal::SIGCONT {
            let _ = again();
            return;
        }
        eprintln!();
        let_it(signal);
        let _ = enable_raw_mode();
    })?;
    let typed = typed();
    signals.give_back(disable_raw_mode)?;
    eprintln!();
    let mut typed = typed?;
    Ok(Some(Secret::new(std::mem::take(&mut *typed))).filter(|password| !password.expose().is_empty()))
}

fn typed() -> io::Result<Zeroizing<String>> {
    let mut typed = Zeroizing::new(String::new());
    loop {
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        if press(key, &mut typed)? {
            return Ok(typed);
        }
    }
}

/// Whether that was the last key.
fn press(key: KeyEvent, typed: &mut Zeroizing<String>) -> io::Result<bool> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => return Ok(true),
        KeyCode::Char('c' | 'd') if is_control => {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "broken off"));
        }
        KeyCode::Char('u') if is_control => typed.zeroize(),
        // A command to the terminal, and no character.
        KeyCode::Char(_) if is_control || key.modifiers.contains(KeyModifiers::ALT) => {}
        KeyCode::Char(c) => typed.push(c),
        KeyCode::Backspace => drop(typed.pop()),
        _ => {}
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    //! Lines of the file, and keys.

    use super::*;

    #[test]
    fn the_first_line_that_fits_is_taken() {
        let text = "# a:1:b:c:no\ndb:1:pgotter:boss:one\n*:*:pgotter:boss:t\\:w\\\\o:x\nshort:1\n*:*:*:*:three\n";
        let found = |wanted| find(text, wanted).map(|password| password.expose().clone());
        assert_eq!(found(["db", "1", "pgotter", "boss"]).as_deref(), Some("one"));
        assert_eq!(found(["::1", "6432", "pgotter", "boss"]).as_deref(), Some("t:w\\o"));
        assert_eq!(found(["db", "1", "shop", "boss"]).as_deref(), Some("three"));
        let only = |line| find(line, ["h", "1", "d", "u"]).is_none();
        assert!(only("") && only("h:1:d:u") && only("h:1:d:x:p") && only("h:1\\:d:u:p"));
        assert_eq!(
            find("h\\:h:1:d:u:p", ["h:h", "1", "d", "u"]).map(|found| found.expose().clone()).as_deref(),
            Some("p")
        );
    }

    #[test]
    fn only_characters_are_typed_and_control_u_begins_anew() {
        let mut typed = Zeroizing::new(String::new());
        let mut press_all = |keys: &[(KeyCode, KeyModifiers)]| {
            for (code, modifiers) in keys {
                assert!(!press(KeyEvent::new(*code, *modifiers), &mut typed).expect("it goes on"), "{code:?}");
            }
            typed.clone()
        };
        let (none, shift) = (KeyModifiers::NONE, KeyModifiers::SHIFT);
        let [a, u] = ['a', 'u'].map(KeyCode::Char);
        let commands =
            [(a, KeyModifiers::CONTROL), (a, KeyModifiers::ALT), (u, KeyModifiers::ALT), (KeyCode::Up, none)];
        assert_eq!(
            press_all(&[(u, none), (KeyCode::Char('B'), shift), (a, none), (KeyCode::Backspace, none)]).as_str(),
            "uB"
        );
        assert_eq!(press_all(&commands).as_str(), "uB");
        assert_eq!(press_all(&[(u, KeyModifiers::CONTROL), (a, none)]).as_str(), "a");
        assert!(press(KeyEvent::new(KeyCode::Enter, none), &mut typed).expect("the end"));
        assert!(press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), &mut typed).is_err());
    }
}
