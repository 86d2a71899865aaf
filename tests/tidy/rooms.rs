//! Who may import whom: the table of ARCHITECTURE.md, and the check of one source file against it.
//!
//! Looks at paths that begin with `crate::` or leave a room by `super::`, and, in the pure rooms, at names of sockets,
//! tasks and clocks. What a macro writes is not seen.

use crate::scan::{Word, words};

/// One row of the table.
struct Row {
    level: &'static str,
    rooms: &'static [&'static str],
    /// Where the row stands: everything in rows below it may be imported.
    within: Within,
}

/// What the rooms of one row may import of each other.
#[derive(PartialEq)]
enum Within {
    /// Nothing.
    Nothing,
    /// Those named before them.
    Left,
    /// Everything.
    All,
}

/// From the ground up.
const TABLE: &[Row] = &[
    Row { level: "L0", rooms: &["ids", "clock", "secret", "fault"], within: Within::Nothing },
    Row { level: "L1", rooms: &["wire", "sql", "metrics", "config"], within: Within::Nothing },
    Row { level: "L2", rooms: &["auth", "session", "router", "activity", "alerts"], within: Within::Nothing },
    Row { level: "L3", rooms: &["net", "server", "pool", "cluster"], within: Within::Left },
    Row { level: "L4", rooms: &["client", "admin", "http", "notify"], within: Within::Nothing },
    Row { level: "L5", rooms: &["main", "lib", "cli", "app"], within: Within::All },
];

/// Rows that are pure: no sockets, no tasks, no clock. The room `clock` is what the others take the time from.
const PURE_ROWS: usize = 3;

/// Every way in which `file` (its path in the repository) breaks the table: `file:line: complaint`.
pub fn check(file: &str, source: &str) -> Vec<String> {
    let Some(module) = Module::of(file) else {
        return vec![format!("{file}:1: not a source file of a room")];
    };
    let Some(row) = row_of(&module.room) else {
        return vec![format!("{file}:1: `{}` is no room of the table", module.room)];
    };
    let words = words(source);
    let mut complaints = Vec::new();
    for import in imports(&words).into_iter().chain(escapes(&words, module.depth)) {
        if let Some(why) = refusal(&module.room, row, import.text) {
            complaints.push(format!("{file}:{}: {why}", import.line));
        }
    }
    if row < PURE_ROWS && module.room != "clock" {
        complaints.extend(impurities(&module.room, &words).map(|(line, why)| format!("{file}:{line}: {why}")));
    }
    complaints
}

/// Where a file stands in the tree of modules.
struct Module {
    room: String,
    /// How many `super::` lead from it to the crate's root.
    depth: usize,
}

impl Module {
    fn of(file: &str) -> Option<Module> {
        let path = file.strip_prefix("src/")?.strip_suffix(".rs")?;
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let room = path.split('/').next()?.to_owned();
        let root = path == "lib" || path == "main";
        Some(Module { room, depth: if root { 0 } else { path.split('/').count() } })
    }
}

fn row_of(room: &str) -> Option<usize> {
    TABLE.iter().position(|row| row.rooms.contains(&room))
}

/// Why `room`, of row `row`, may not import `other`.
fn refusal(room: &str, row: usize, other: &str) -> Option<String> {
    if other == room || TABLE[row].within == Within::All {
        return None;
    }
    let Some(theirs) = row_of(other) else {
        return Some(format!("`{room}` imports `{other}`, which is no room of the table"));
    };
    let Row { level, rooms, within } = &TABLE[row];
    let place = |name: &str| rooms.iter().position(|room| *room == name);
    let allowed = theirs < row || (theirs == row && *within == Within::Left && place(other) < place(room));
    let list = rooms.join(if *within == Within::Left { " -> " } else { " " });
    (!allowed).then(|| {
        format!("`{room}` imports `{other}`, against row {level} ({list}); `{other}` is in {}", TABLE[theirs].level)
    })
}

/// The first name behind every `crate::`, in a group every first name.
fn imports<'a>(words: &[Word<'a>]) -> Vec<Word<'a>> {
    let mut found = Vec::new();
    for at in 0..words.len() {
        if words[at].text == "crate" && text(words, at + 1) == "::" {
            found.extend(first_names(words, at + 2));
        }
    }
    found
}

/// `a::b` is a; `{a::{b, c}, d}` is a and d.
fn first_names<'a>(words: &[Word<'a>], start: usize) -> Vec<Word<'a>> {
    if text(words, start) != "{" {
        return words.get(start).copied().into_iter().collect();
    }
    let (mut found, mut depth) = (Vec::new(), 0);
    for at in start..words.len() {
        match words[at].text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && matches!(words[at - 1].text, "{" | ",") => found.push(words[at]),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// The names behind chains of `super::` that reach the crate's root, and with it another room.
fn escapes<'a>(words: &[Word<'a>], depth: usize) -> Vec<Word<'a>> {
    let mut found = Vec::new();
    // For each open brace, whether it is the body of an inline module.
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match words[at].text {
            "{" => braces.push(at >= 2 && words[at - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "super" => {
                let mut count = 1;
                while text(words, at + 1) == "::" && text(words, at + 2) == "super" {
                    (count, at) = (count + 1, at + 2);
                }
                let inline = braces.iter().filter(|module| **module).count();
                if depth > 0 && count >= depth + inline && text(words, at + 1) == "::" {
                    found.extend(first_names(words, at + 2));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Names of sockets, tasks and clocks, with their lines.
fn impurities<'a>(room: &'a str, words: &'a [Word<'a>]) -> impl Iterator<Item = (usize, String)> + 'a {
    words.iter().enumerate().filter_map(move |(at, word)| {
        let path = text(words, at + 1) == "::";
        let now = path && text(words, at + 2) == "now";
        let why = match word.text {
            "tokio" | "socket2" | "mio" if path => "sockets and tasks belong into L3 and above",
            "TcpStream" | "TcpListener" | "UnixStream" | "UnixListener" | "UdpSocket" => {
                "sockets belong into L3 and above"
            }
            "Instant" | "SystemTime" if now => "time is an argument here; only `clock` asks for it",
            _ => return None,
        };
        Some((word.line, format!("`{room}` is pure but names `{}`: {why}", word.text)))
    })
}

fn text<'a>(words: &[Word<'a>], at: usize) -> &'a str {
    words.get(at).map_or("", |word| word.text)
}

/// The lines that `check` complains about.
#[cfg(test)]
fn lines(file: &str, source: &str) -> Vec<usize> {
    let place = |complaint: &String| complaint.strip_prefix(&format!("{file}:"))?.split(':').next()?.parse().ok();
    check(file, source)
        .iter()
        .map(|complaint| place(complaint).expect("a complaint begins with file and line"))
        .collect()
}

#[test]
fn a_room_may_import_what_lies_below_it() {
    assert_eq!(check("src/wire/frame.rs", "use crate::fault::Fault; use crate::wire::x;"), [""; 0]);
    assert_eq!(check("src/session/mod.rs", "use crate::{fault::Fault, sql::{self, Lexer}, wire};"), [""; 0]);
    assert_eq!(check("src/pool/core.rs", "use crate::{net, server::Server};"), [""; 0]);
    assert_eq!(check("src/client/serve.rs", "fn f() -> crate::cluster::C { crate::wire::g() }"), [""; 0]);
    assert_eq!(check("src/app.rs", "use crate::{admin, client};"), [""; 0]);
    assert_eq!(check("src/lib.rs", "pub mod app; use crate::client;"), [""; 0]);
}

#[test]
fn an_import_from_above_or_beside_is_named_with_its_line_and_row() {
    let complaints = check("src/wire/mod.rs", "//! W.\n\nuse crate::sql::Lexer;\n");
    assert_eq!(
        complaints,
        ["src/wire/mod.rs:3: `wire` imports `sql`, against row L1 (wire sql metrics config); `sql` is in L1"]
    );
    assert_eq!(lines("src/ids.rs", "use crate::clock;"), [1]);
    assert_eq!(lines("src/session.rs", "use crate::router;"), [1]);
    assert_eq!(lines("src/auth/scram.rs", "\nuse crate::net;"), [2]);
    assert_eq!(lines("src/client/login.rs", "use crate::admin;"), [1]);
    assert_eq!(lines("src/net/mod.rs", "use crate::server;"), [1]);
    assert_eq!(lines("src/pool/mod.rs", "use crate::cluster;"), [1]);
    assert_eq!(lines("src/client/mod.rs", "use crate::app;"), [1]);
}

#[test]
fn the_server_may_import_net_and_the_cluster_all_three_but_not_the_other_way() {
    for (room, other, allowed) in [
        ("server", "net", true),
        ("pool", "net", true),
        ("pool", "server", true),
        ("cluster", "pool", true),
        ("net", "pool", false),
        ("server", "pool", false),
        ("server", "cluster", false),
    ] {
        let found = check(&format!("src/{room}/mod.rs"), &format!("use crate::{other}::X;"));
        assert_eq!(found.is_empty(), allowed, "{room} -> {other}: {found:?}");
    }
}

#[test]
fn grouped_nested_and_inline_paths_are_seen() {
    assert_eq!(
        lines("src/wire/mod.rs", "use crate::{\n  fault::Fault,\n  sql::{a, b},\n  wire::{sql, config},\n  net\n};"),
        [3, 5]
    );
    assert_eq!(lines("src/wire/mod.rs", "use {std::fmt, crate::pool};"), [1]);
    assert_eq!(lines("src/wire/mod.rs", "fn f() {\n let x = crate::pool::new();\n}"), [2]);
    assert_eq!(
        lines("src/wire/mod.rs", "pub(crate) fn f() {} // crate::pool\nconst S: &str = \"crate::pool\";"),
        [0; 0]
    );
}

#[test]
fn super_may_not_leave_the_room() {
    assert_eq!(lines("src/wire/frame.rs", "use super::super::pool;"), [1]);
    assert_eq!(lines("src/wire/mod.rs", "use super::{pool, fault};"), [1]);
    assert_eq!(lines("src/wire/frame.rs", "use super::pool; mod tests { use super::super::pool; }"), [0; 0]);
    assert_eq!(lines("src/wire/frame.rs", "mod tests { use super::super::super::pool; }"), [1]);
}

#[test]
fn a_file_of_no_room_and_an_import_of_no_room_are_named() {
    assert_eq!(lines("src/util/mod.rs", ""), [1]);
    assert_eq!(lines("src/client/mod.rs", "use crate::util::x;"), [1]);
}

#[test]
fn a_pure_room_names_no_socket_task_or_clock() {
    assert_eq!(
        lines("src/session/mod.rs", "use tokio::time;\nuse std::net::TcpStream;\nfn f() { Instant::now(); }"),
        [1, 2, 3]
    );
    assert_eq!(lines("src/clock.rs", "use tokio::time; fn f() { Instant::now(); }"), [0; 0]);
    assert_eq!(lines("src/net/mod.rs", "use tokio::net::TcpStream; fn f() { Instant::now(); }"), [0; 0]);
}
