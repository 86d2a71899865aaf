//! Statements of clients, servers and pools.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn settings(zone: &[u8], application: &[u8]) -> Arc<Settings> {
    let mut settings = Settings::default();
    settings.set(b"application_name", application).unwrap();
    settings.set(b"timezone", zone).unwrap();
    Arc::new(settings)
}

fn unnamed(body: Option<&[u8]>) -> Statement {
    Statement::unnamed(body, &Arc::default(), Readings::certain(Settings::default().reading()))
}

#[test]
fn equal_statements_are_one_whatever_the_application_is_called() {
    let mut table = StatementTable::new(64 << 20, Arc::default());
    let first = table.share(b"select 1\0\0\0", &settings(b"UTC", b"a")).unwrap();
    let second = table.share(b"select 1\0\0\0", &settings(b"UTC", b"b")).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn statements_that_differ_in_text_types_or_time_zone_are_not_shared() {
    let mut table = StatementTable::new(64 << 20, Arc::default());
    let utc = settings(b"UTC", b"");
    let names: Vec<_> = [
        table.share(b"select $1\0\0\0", &utc),
        table.share(b"select $1\0\0\x01\0\0\0\x17", &utc),
        table.share(b"select $2\0\0\0", &utc),
        table.share(b"select $1\0\0\0", &settings(b"Asia/Tokyo", b"")),
    ]
    .map(|statement| statement.unwrap().server_name().to_string())
    .to_vec();
    assert_eq!(names, ["pgotter_1", "pgotter_2", "pgotter_3", "pgotter_4"]);
}

#[test]
fn statements_that_no_client_has_are_dropped_when_they_become_many() {
    let mut table = StatementTable::new(64 << 20, Arc::default());
    let utc = settings(b"UTC", b"");
    let kept = table.share(b"kept\0\0\0", &utc).unwrap();
    for number in 0..40u8 {
        table.share(&vec![number; 1024 * 1024], &utc).unwrap();
    }
    assert!(table.bytes() <= table::SPARE, "{} bytes", table.bytes());
    assert!(Arc::ptr_eq(&kept, &table.share(b"kept\0\0\0", &utc).unwrap()));
}

#[test]
fn what_clients_have_is_bounded() {
    let mut table = StatementTable::new(64 << 20, Arc::default());
    let utc = settings(b"UTC", b"");
    let mut clients = Vec::new();
    let refused = (0..80u32).find(|number| {
        let body = [&number.to_be_bytes()[..], &vec![0; 1024 * 1024]].concat();
        match table.share(&body, &utc) {
            Some(statement) => {
                clients.push(statement);
                false
            }
            None => true,
        }
    });
    assert_eq!(refused, Some(63));
    clients.clear();
    assert!(table.share(b"again\0\0\0", &utc).is_some());
}

#[test]
fn names_count_up_to_63_bytes() {
    let mut client = Statements::default();
    let statement = Arc::new(unnamed(Some(b"x")));
    client.put(&[b'a'; 100], Some(statement));
    assert!(client.get(&[b'a'; 63]).is_some());
    assert!(client.get(&[b'a'; 62]).is_none());
    client.put(&[b'a'; 64], None);
    assert_eq!(client.bytes(), 0);
}

#[test]
fn one_client_cannot_prepare_without_end() {
    let mut client = Statements::default();
    let body = vec![b'x'; 4 * 1024 * 1024];
    for name in [b"a", b"b", b"c"] {
        assert!(client.has_room(name, body.len()));
        client.put(name, Some(Arc::new(unnamed(Some(&body)))));
    }
    assert!(!client.has_room(b"d", body.len()));
    client.put(b"a", None);
    assert!(client.has_room(b"d", body.len()));
}

#[test]
fn a_server_gives_up_the_statement_that_went_unused_for_longest() {
    let (mut table, mut server) = (StatementTable::new(64 << 20, Arc::default()), ServerStatements::default());
    let statements = [&b"a"[..], b"b", b"c"].map(|body| table.share(body, &Arc::default()).unwrap());
    assert_eq!(server.parsed(&statements[0], 2), None);
    assert_eq!(server.parsed(&statements[1], 2), None);
    assert_eq!(server.has(&statements[0]), Has::Yes);
    assert_eq!(server.parsed(&statements[2], 2), Some(statements[1].server_name()));
    assert_eq!(server.has(&statements[1]), Has::No);
    server.doubt();
    assert_eq!(server.has(&statements[0]), Has::Perhaps);
}

#[test]
fn a_refused_parse_leaves_no_name_and_a_skipped_one_what_there_was() {
    let (mut table, mut client, mut server) =
        (StatementTable::new(64 << 20, Arc::default()), Statements::default(), ServerStatements::default());
    let statement = table.share(b"a", &Arc::default()).unwrap();
    client.put(b"s", Some(statement.clone()));
    server.parsed(&statement, 10);
    let effect = Effect::NameAndParse { name: b"s"[..].into(), parsed: statement.server_name() };
    effect.take_back(true, Some(&mut client), &mut server);
    assert!(client.get(b"s").is_none());
    assert_eq!(server.has(&statement), Has::No);
    let closed = Effect::Name { name: b"s"[..].into(), before: Some(statement.clone()) };
    closed.take_back(false, Some(&mut client), &mut server);
    assert!(Arc::ptr_eq(client.get(b"s").unwrap(), &statement));
}

#[test]
fn a_refused_parse_drops_the_unnamed_statement_and_a_skipped_one_does_not() {
    let (mut client, mut server) = (Statements::default(), ServerStatements::default());
    let [old, new] = [&b"old"[..], b"new"].map(|body| Arc::new(unnamed(Some(body))));
    for failed in [false, true] {
        client.put(b"", Some(old.clone()));
        server.put_unnamed(Some(old.clone()));
        let effect = Effect::Unnamed {
            client: Change::From(client.put(b"", Some(new.clone()))),
            server: server.put_unnamed(Some(new.clone())),
        };
        effect.take_back(failed, Some(&mut client), &mut server);
        assert_eq!(client.get(b"").is_none(), failed);
        assert_eq!(server.has_unnamed(&old), !failed);
    }
}
