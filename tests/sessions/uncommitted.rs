//! Transactions that PostgreSQL refuses to commit, for a deferred constraint: what they have set, prepared or
//! listened to is what it is for a direct connection, behind others on the same servers too.

use super::listen::{look, next_notification, notification_with, one_server};
use crate::support::raw::*;
use crate::support::{PgOtter, shared_postgres};

/// With a setting that does not show where its value comes from, and one that does.
const LOGIN: &[(&str, &str)] = &[("options", "-c app.tenant=own"), ("work_mem", "6MB")];
const SEEN: &str = "SELECT concat_ws('|', current_setting('work_mem'), current_setting('enable_seqscan'), \
    current_setting('application_name'), current_setting('app.tenant', true), current_setting('app.owner', true), \
    (SELECT string_agg(c, ',' ORDER BY c) FROM pg_listening_channels() c), \
    (SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'), \
    (SELECT string_agg(name, ',') FROM pg_cursors WHERE is_holdable), \
    (SELECT string_agg(name, ',') FROM pg_prepared_statements WHERE from_sql))";

/// Two servers, those who try something on them, and another client, who never sees any of it.
struct Tried {
    pgotter: PgOtter,
    other: Raw,
    idle: String,
    forms: usize,
}

impl Tried {
    fn new() -> Self {
        // Also for who comes while the one before it, which had a pin, is not gone yet.
        let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2\nmax_pinned = 2");
        let mut other = Raw::log_in(pgotter.port(), &[("application_name", "other")]);
        let idle = other.value(SEEN);
        Self { pgotter, other, idle, forms: 0 }
    }

    /// Whoever sends these hears and sees the same with PgOtter as without. Each of them in the next form of the protocol, each with
    /// its own ReadyForQuery, one after the other or all at once.
    fn agree(&mut self, login: &[(&str, &str)], texts: &[&str]) {
        self.forms += 1;
        let (extended, at_once) = (self.forms % 2 == 1, self.forms % 4 >= 2);
        let requests: Vec<Vec<u8>> = texts.iter().map(|text| request(text, extended)).collect();
        let [(mut direct, expected), (mut client, heard)] =
            [shared_postgres().port(), self.pgotter.port()].map(|port| {
                let mut client = Raw::log_in(port, login);
                let all = if at_once { vec![requests.concat()] } else { requests.clone() };
                let mut heard = Vec::new();
                for sent in &all {
                    client.send(sent);
                    for _ in 0..requests.len() / all.len() {
                        let frames = client.until_ready();
                        heard.push((error_code(&frames), frames.last().map(|ready| ready.body.clone())));
                    }
                }
                (client, heard)
            });
        let what = format!("{texts:?}, extended: {extended}, at once: {at_once}, {login:?}");
        assert_eq!(heard, expected, "{what}");
        for _ in 0..2 {
            assert_eq!(client.value(SEEN), direct.value(SEEN), "behind {what}");
            assert_eq!(self.other.value(SEEN), self.idle, "another, behind {what}");
        }
    }
}

/// One Query, or one pipeline.
fn request(text: &str, extended: bool) -> Vec<u8> {
    if !extended {
        return query(text);
    }
    let run = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    [text.split("; ").flat_map(run).collect(), sync()].concat()
}

/// What cannot be committed, with a table of this name.
fn doom(table: &str) -> String {
    look(&format!("CREATE TABLE {table} (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"));
    format!("INSERT INTO {table} VALUES (1), (1)")
}

#[test]
fn what_a_commit_that_fails_has_done_is_undone() {
    let doom = &*doom("refuses_all");
    let mut tried = Tried::new();
    // Not behind `SET app.tenant = ''`: see docs/sessions.md.
    let before = ["SELECT 1", "SET work_mem = '5MB'; SET app.tenant = 'before'; LISTEN before"];
    for (does, before) in [
        "SET work_mem = '7MB'",
        "SET application_name = 'mine'",
        "SET app.tenant = 'other'",
        "SET app.tenant = ''",
        "SET app.owner = 'mine'",
        "SELECT set_config('enable_seqscan', 'off', false)",
        "RESET work_mem",
        "RESET app.tenant",
        "RESET ALL",
        "SET LOCAL app.tenant = 'local'",
        "RESET work_mem; SET LOCAL work_mem = '8MB'",
        "LISTEN refused",
        "UNLISTEN *",
        "CREATE TEMP TABLE mine (n int)",
        "DECLARE h CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE p AS SELECT 1",
    ]
    .iter()
    .flat_map(|does| before.map(|before| (does, before)))
    {
        for texts in [
            &["BEGIN", does, doom, "COMMIT"][..],
            &["BEGIN", does, doom, "COMMIT AND CHAIN", "SELECT 1"],
            &["BEGIN", does, doom, "COMMIT; BEGIN; SELECT 1", "SELECT 1"],
            &["BEGIN", does, "SAVEPOINT s", doom, "RELEASE s", "COMMIT"],
            &["BEGIN", does, "SAVEPOINT s", doom, "ROLLBACK TO s", "COMMIT"],
            &[&format!("BEGIN; {does}; {doom}; COMMIT")],
            &[&format!("{does}; {doom}")],
        ] {
            let texts = [&[before][..], texts].concat();
            // Three, so that the four forms go round.
            [&[], LOGIN, LOGIN].iter().for_each(|login| tried.agree(login, &texts));
        }
    }
}

#[test]
fn what_a_commit_that_fails_was_to_notify_of_is_not_known_as_the_clients_own() {
    let doom = &*doom("refuses_news");
    let pgotter = one_server();
    for extended in [false, true] {
        let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
        client.ask("LISTEN refused_news");
        let frames = client.ask("NOTIFY refused_news, 'own'");
        let (own, ..) = notification_with(&frames, &mut client);
        for text in ["BEGIN", "NOTIFY refused_news, 'seven'", doom, "COMMIT"] {
            client.send(&request(text, extended));
            let frames = client.until_ready();
            assert_eq!(error_code(&frames).is_some(), text == "COMMIT", "{text}");
        }
        other.ask("NOTIFY refused_news, 'seven'");
        let (whose, _, payload) = next_notification(&mut client);
        assert_eq!(payload, "seven");
        assert_ne!(whose, own);
    }
}
