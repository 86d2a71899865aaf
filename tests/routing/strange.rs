//! Texts that nobody can follow: whatever they are, they run on the primary, what PostgreSQL says of them the client hears, and the pooler
//! goes on.

use crate::support::raw::*;
use crate::world::*;

/// What it is, and its bytes.
fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth)).into_bytes();
    let arms = |count: usize| format!("SELECT 1{}", " UNION SELECT 1".repeat(count)).into_bytes();
    let mut texts = vec![
        ("1 MB of nested parentheses", nested(512 * 1024)),
        ("a union of 10,000 arms", arms(10_000)),
        ("a string that does not end", b"SELECT 'x".to_vec()),
        ("an escape string that does not end", b"SELECT E'x\\'".to_vec()),
        ("a name that does not end", b"SELECT \"x".to_vec()),
        ("a dollar quote that does not end", b"SELECT $a$x$b$".to_vec()),
        ("a Unicode string that does not end", b"SELECT U&'x".to_vec()),
        ("a bit string that does not end", b"SELECT B'01".to_vec()),
        ("a comment that does not end", b"SELECT 1 /* x".to_vec()),
        ("a nested comment that does not end", b"SELECT 1 /* /* */".to_vec()),
        // More of them take PostgreSQL itself minutes.
        ("comments inside one another", "/*".repeat(4096).into_bytes()),
        ("256 kB of quotes", [b"SELECT ".to_vec(), vec![b'\''; 256 * 1024 + 1]].concat()),
        ("a NUL in the middle", b"SELECT 1\0; INSERT INTO t VALUES (1)".to_vec()),
        ("a NUL in a string", b"SELECT 'a\0b'".to_vec()),
        ("a NUL in a comment", b"SELECT 1 /* \0 */".to_vec()),
        ("a NUL at the beginning", b"\0SELECT 1".to_vec()),
        ("two NULs at the end", b"SELECT 1\0".to_vec()),
    ];
    let broken: [(&str, &[u8]); 7] = [
        ("a byte that no character has", b"\xff"),
        ("the first half of a character", b"\xc3"),
        ("half a character in front of a quote", b"\xe2\x82"),
        ("a character written too long", b"\xc0\xa7"),
        ("half a surrogate pair", b"\xed\xa0\x80"),
        ("a character beyond the last", b"\xf5\x80\x80\x80"),
        ("a second half alone", b"\xa7"),
    ];
    for (what, bytes) in broken {
        texts.push((what, [b"SELECT '", bytes, b"'"].concat()));
        texts.push((what, [b"SELECT 1 AS \"", bytes, b"\""].concat()));
        texts.push((what, [b"SELECT 1 /* ", bytes, b" */"].concat()));
    }
    texts
}

/// A client, and what a text is to it: as a Query, and prepared.
fn said(client: &mut Raw, text: &[u8]) -> [Vec<Frame>; 2] {
    let simple = message(b'Q', &[text, b"\0"].concat());
    let parse = message(b'P', &[b"\0", text, b"\0\0\0"].concat());
    [simple, [parse, bind("", "", &[]), execute("", 0), sync()].concat()].map(|bytes| {
        client.send(&bytes);
        client.until_ready()
    })
}

#[test]
fn what_nobody_can_follow_runs_on_the_primary_and_is_answered_as_directly() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "");
    let mut direct = Raw::log_in(world.primary.port(), &[]);
    let mut wrong = String::new();
    for (what, text) in texts() {
        let mut client = world.client();
        let on_replicas = || world.decisions("replica", "read");
        let before = on_replicas();
        let (ours, theirs) = (said(&mut client, &text), said(&mut direct, &text));
        if on_replicas() != before {
            wrong += &format!("{what}: it ran on a replica\n");
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            if print(ours) != print(theirs) {
                wrong += &format!("{what}: {}instead of {}", print(ours), print(theirs));
            }
        }
        // A connection may end for it, as directly.
        if ours.iter().all(|frames| frames.last().is_some_and(|frame| frame.kind == b'Z')) {
            assert_eq!(client.value("SELECT 7"), "7", "{what}");
        }
        if !direct.hears_nothing() {
            direct = Raw::log_in(world.primary.port(), &[]);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(world.client().value("SELECT count(*) FROM t"), "0");
    assert!(!world.pgotter.log().contains("panicked"));
}
