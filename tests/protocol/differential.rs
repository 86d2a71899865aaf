//! Each script is played to PostgreSQL and through PgOtter: the replies must be the same, however the bytes are cut.

use super::scripts::{self, Script, Step};
use crate::support::raw::{self, Frame, Raw, print};
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// PostgreSQL, and a PgOtter with one server, so that whatever a script left behind would meet the next one. Another one gathers as
/// little of a request as can be: to it, short scripts are long ones.
struct Stage {
    server: LocalPostgres,
    pgotter: PgOtter,
    gathers_little: PgOtter,
}

/// What it gathers.
const LITTLE: usize = 1 << 10;
/// A script that is cut into more pieces would only take time.
const PIECES_MAX: usize = 20_000;

/// Says how long the next piece is.
type Cut<'a> = &'a mut dyn FnMut() -> usize;

/// Runs `test` with the stage that all scripts share, one after the other: they write into the same table.
fn on_stage(test: impl FnOnce(&Stage)) {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Mutex::new(Stage::new()));
    test(&stage.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Stage {
    fn new() -> Self {
        let server = postgres(&Options::default());
        must(server.psql("postgres", "CREATE TABLE noted (id int, note text)"));
        let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1");
        let gathers_little =
            PgOtter::in_front_of(&server, &format!("default_pool_size = 1\nrequest_gather = {LITTLE}"));
        Self { server, pgotter, gathers_little }
    }

    fn direct(&self, name: &str, script: &Script) -> String {
        self.play(self.server.port(), name, script, &mut || usize::MAX)
    }

    /// Those to which it makes a difference how this script is cut.
    fn poolers(&self, script: &Script) -> impl Iterator<Item = &PgOtter> {
        let streams = length(script) > LITTLE;
        [Some(&self.pgotter), streams.then_some(&self.gathers_little)].into_iter().flatten()
    }

    /// To that port, cut into pieces.
    fn play(&self, port: u16, name: &str, script: &Script, cut: Cut) -> String {
        Raw::log_in(self.server.port(), &[]).ask("TRUNCATE noted");
        let mut client = Raw::log_in(port, &[("application_name", name)]);
        let mut heard = Vec::new();
        for step in script {
            match step {
                Step::Until(kind) => heard.extend(client.until(*kind)),
                Step::Send(bytes) => send(&mut client, bytes, cut),
            }
        }
        send(&mut client, &[raw::sync(), raw::query("SELECT 'the end of the script'")].concat(), cut);
        while !is_end(&heard) {
            let Some(frame) = client.frame() else {
                return print(&heard) + "the connection ends\n";
            };
            heard.push(frame);
        }
        heard.extend(client.until_ready());
        print(&heard)
    }
}

/// The gap lets the other side see the pieces one by one; nothing depends on it.
fn send(client: &mut Raw, bytes: &[u8], cut: Cut) {
    let mut rest = bytes;
    for number in 0.. {
        let (piece, more) = rest.split_at(cut().clamp(1, rest.len()));
        // A connection that the other side has ended is judged by its replies.
        if std::io::Write::write_all(&mut client.stream, piece).is_err() || more.is_empty() {
            return;
        }
        rest = more;
        if number < 2_000 {
            std::thread::sleep(Duration::from_micros(10));
        }
    }
}

fn is_end(heard: &[Frame]) -> bool {
    heard.last().is_some_and(|frame| frame.kind == b'D' && frame.body.ends_with(b"the end of the script"))
}

/// Three times through PgOtter: its server in another client's settings, in this client's own, and as a client that
/// asks for nothing.
fn same_as_postgresql(name: &str, script: &Script) {
    on_stage(|stage| {
        for (run, name) in [name, name, ""].into_iter().enumerate() {
            let direct = stage.direct(name, script);
            let pooled = stage.play(stage.pgotter.port(), name, script, &mut || usize::MAX);
            assert!(pooled == direct, "run {run}\n--- PgOtter:\n{pooled}--- PostgreSQL:\n{direct}");
        }
    });
}

macro_rules! scripts {
    ($($name:ident)*) => {
        const ALL: &[(&str, fn() -> Script)] = &[$((stringify!($name), scripts::$name)),*];
        $(#[test] fn $name() { same_as_postgresql(stringify!($name), &scripts::$name()); })*
    };
}

scripts! {
    several_statements_in_one_query
    empty_queries
    errors_in_simple_queries
    a_transaction_over_several_queries
    extended_queries_with_every_describe
    flush_brings_replies_before_a_sync
    a_portal_is_suspended_and_goes_on
    a_portal_lives_on_in_a_transaction
    f5_an_error_in_a_pipeline_skips_to_the_sync
    every_kind_of_message_can_fail
    several_syncs_in_one_write
    f5_a_query_is_skipped_too_until_the_sync
    f5_a_query_is_skipped_when_it_comes_after_the_error
    a_query_may_follow_unsynced_messages
    function_calls
    copy_in_by_a_simple_query
    copy_in_by_a_simple_query_at_once
    two_copies_in_one_query
    copy_in_in_an_extended_query
    copy_in_in_an_extended_query_with_a_sync_too_early
    copy_in_in_an_extended_query_at_once
    copy_in_fails_in_the_middle_of_a_simple_query
    copy_in_fails_in_the_middle_of_an_extended_query
    copy_in_fails_behind_a_sync_too_early
    a_sync_in_place_of_copy_done_is_answered_if_copy_has_failed
    a_sync_in_the_middle_of_copy_data_is_answered_if_copy_has_failed
    a_sync_in_the_middle_of_good_copy_data_is_not_answered
    copy_in_that_cannot_begin
    the_client_fails_its_copy
    copy_done_comes_late_after_an_error
    copy_out_in_both_protocols
    f3_stray_copy_messages_are_ignored
    f3_a_copy_behind_stray_messages_takes_only_its_own_data
    another_message_inside_a_copy_ends_the_connection
    notices_come_where_postgresql_sends_them
    a_setting_is_reported_and_a_rollback_reverts_it
    deallocated_names_are_gone
    a_long_pipeline_in_one_write
    a_pipeline_longer_than_a_request_is_gathered
    a_pipeline_a_little_longer_than_a_request_is_gathered
    f5_an_error_in_a_pipeline_longer_than_a_request_is_gathered
    long_messages_of_every_kind
    messages_of_a_little_more_than_a_kilobyte
    f5_an_error_in_a_pipeline_of_a_little_more_than_a_kilobyte
    malformed_bodies_are_errors_and_no_more
    an_unknown_message_ends_the_connection
}

#[test]
fn f18_replies_do_not_depend_on_how_the_bytes_are_cut() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(fresh_seed);
    println!("SEED={seed}");
    on_stage(|stage| {
        for (name, script) in ALL {
            let script = script();
            let direct = stage.direct(name, &script);
            let sizes = [1, 2, 3, 5, 7, 4095, 4096, 4097];
            for size in sizes.into_iter().filter(|size| length(&script) / size <= PIECES_MAX) {
                for pgotter in stage.poolers(&script) {
                    let pooled = stage.play(pgotter.port(), name, &script, &mut || size);
                    assert!(pooled == direct, "{name}, {size}\n--- PgOtter:\n{pooled}--- PostgreSQL:\n{direct}");
                }
            }
            let mut state = seed;
            let mut random = || {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % if state & 64 == 0 { 11 } else { 9_000 }).expect("small") + 1
            };
            for pgotter in stage.poolers(&script) {
                let pooled = stage.play(pgotter.port(), name, &script, &mut random);
                assert!(pooled == direct, "{name}, SEED={seed}\n--- PgOtter:\n{pooled}--- PostgreSQL:\n{direct}");
            }
        }
    });
}

fn length(script: &Script) -> usize {
    script.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 }).sum()
}

fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::from(now.subsec_nanos()) | 1
}
