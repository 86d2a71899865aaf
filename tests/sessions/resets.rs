//! Resets and what stands around them: errors, pipelines, blocks, DO. What a client came with is its own again exactly where a
//! direct connection's would be.

use crate::support::raw::*;
use crate::support::{PgOtter, must, shared_postgres};

/// What everybody comes with.
const LOGIN: &[(&str, &str)] = &[("TimeZone", "Asia/Kolkata"), ("work_mem", "6MB"), ("application_name", "ann")];
const SEEN: &str = "SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('work_mem'), \
    current_setting('application_name'), current_setting('IntervalStyle'), \
    (SELECT string_agg(c, ',') FROM pg_listening_channels() c))";

/// A pipeline of these statements.
fn pipeline(texts: &[&str]) -> Vec<u8> {
    let run = |sql: &&str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    [texts.iter().flat_map(run).collect(), sync()].concat()
}

/// Sends requests in one go, each with one ReadyForQuery, and says which errors came.
fn errors(client: &mut Raw, requests: &[Vec<u8>]) -> Vec<Option<String>> {
    client.send(&requests.concat());
    requests.iter().map(|_| error_code(&client.until_ready())).collect()
}

/// Whoever sends these requests sees the same behind them with PgOtter as without; `pin` comes first.
fn agree(pin: &str, requests: &[Vec<u8>], what: &str) {
    for mode in MODES {
        agree_on(&one_server(mode), SEEN, LOGIN, pin, requests, &format!("{what}, {mode} mode"));
    }
}

fn one_server(mode: &str) -> PgOtter {
    PgOtter::in_front_of(shared_postgres(), &format!("default_pool_size = 1\npool_mode = \"{mode}\""))
}

/// The same for who comes with `login`; `seen` tells what is seen.
fn agree_on(pgotter: &PgOtter, seen: &str, login: &[(&str, &str)], pin: &str, requests: &[Vec<u8>], what: &str) {
    let mut direct = Raw::log_in(shared_postgres().port(), login);
    let mut client = Raw::log_in(pgotter.port(), login);
    for connection in [&mut direct, &mut client] {
        assert_eq!(error_code(&connection.ask(pin)), None, "{pin}");
    }
    assert_eq!(errors(&mut client, requests), errors(&mut direct, requests), "{what}");
    for _ in 0..2 {
        assert_eq!(client.value(seen), direct.value(seen), "behind {what}, {pin}");
    }
}

const MODES: [&str; 2] = ["transaction", "session"];
const PINS: [&str; 2] = ["SELECT 'none'", "SELECT setseed(0.5)"];

#[test]
fn a_discard_all_counts_although_something_fails_behind_it() {
    for pin in PINS {
        let request = pipeline(&["DISCARD ALL", "SET work_mem = 'nonsense'"]);
        agree(pin, &[query("SET TimeZone = 'Asia/Tokyo'"), request.clone()], "DISCARD ALL and an error, behind a SET");
        agree(pin, &[request], "DISCARD ALL and an error");
    }
}

#[test]
fn a_reset_counts_although_something_fails_in_front_of_it() {
    for pin in PINS {
        for reset in ["RESET TimeZone", "RESET ALL", "DO $$ BEGIN RESET TimeZone; END $$"] {
            let requests = [query("SELECT 1 / 0"), query(reset), pipeline(&["FETCH 1 FROM nothing"])];
            agree(pin, &requests, &format!("{reset} between errors"));
        }
    }
}

#[test]
fn a_discard_all_ends_listening_although_something_fails_behind_it() {
    for pin in PINS {
        let requests = [query("LISTEN resets"), pipeline(&["DISCARD ALL", "FETCH 1 FROM nothing"])];
        agree(pin, &requests, "DISCARD ALL and an error, behind a LISTEN");
    }
}

#[test]
fn a_value_that_is_postgresqls_default_is_told_from_one_that_was_reset() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let default = Raw::log_in(shared_postgres().port(), &[]).value("SHOW TimeZone");
    for reset in ["RESET ALL", "RESET TimeZone", "DO $$ BEGIN EXECUTE 'RESET ALL'; END $$", "SELECT 1"] {
        for behind in [None, Some("SELECT 1 / 0")] {
            let (mut direct, mut client) =
                (Raw::log_in(shared_postgres().port(), LOGIN), Raw::log_in(pgotter.port(), LOGIN));
            let mut others = Raw::log_in(pgotter.port(), &[]);
            for connection in [&mut direct, &mut client] {
                connection.ask(&format!("SET TimeZone = '{default}'"));
            }
            // What was set on one server is set anew on the next, or this one.
            others.ask("SELECT 1");
            for connection in [&mut direct, &mut client] {
                let texts: Vec<&str> = [reset].into_iter().chain(behind).collect();
                connection.send(&pipeline(&texts));
                connection.until_ready();
            }
            assert_eq!(client.value(SEEN), direct.value(SEEN), "behind {reset} and {behind:?}");
        }
    }
}

#[test]
fn what_a_rollback_undoes_of_a_reset_is_brought_back_again() {
    let rollbacks = ["ROLLBACK TO s", "SELECT 1 / 0|ROLLBACK TO s"];
    for begin in ["BEGIN; RESET ALL; SAVEPOINT s", "BEGIN; SET TimeZone = 'Asia/Tokyo'; SAVEPOINT s; RESET TimeZone"] {
        for rollback in rollbacks {
            let requests: Vec<Vec<u8>> = [begin].into_iter().chain(rollback.split('|')).map(query).collect();
            agree("SELECT 'none'", &requests, &format!("{begin}|{rollback}"));
        }
    }
    for pin in PINS {
        let begin = pipeline(&["DISCARD ALL", "BEGIN", "SELECT 1"]);
        let requests = [begin, query("SELECT 1 / 0"), query("COMMIT"), query("BEGIN")];
        agree(pin, &requests, "a block behind DISCARD ALL that fails");
    }
}

#[test]
fn a_reset_in_a_portal_counts_when_it_is_executed_and_takes_no_snapshot() {
    let isolation = || query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    for reset in ["RESET ALL", "RESET TimeZone", "SET work_mem TO DEFAULT", "DO $$ BEGIN RESET TimeZone; END $$"] {
        let bound = || [parse("", reset), bind("p", "", &[])].concat();
        for (how, requests) in [
            ("bound", vec![[bound(), sync()].concat()]),
            ("executed", vec![[bound(), execute("p", 0), sync()].concat()]),
            ("executed later", vec![[bound(), sync()].concat(), [execute("p", 0), sync()].concat()]),
            ("closed", vec![[bound(), close(b'P', "p"), sync()].concat()]),
        ] {
            let requests = [vec![query("BEGIN")], requests, vec![isolation(), query("SELECT 1"), query("COMMIT")]];
            for pin in PINS {
                agree(pin, &requests.concat(), &format!("{reset}, {how}"));
            }
        }
    }
}

#[test]
fn a_reset_is_told_from_what_runs_in_front_of_it_and_was_bound_behind_it() {
    let reset = [parse("r", "RESET TimeZone"), bind("r", "r", &[])].concat();
    let texts = [
        "SELECT set_config('TimeZone', 'Asia/Tokyo', false)",
        "DO $$ BEGIN SET TimeZone = 'Asia/Tokyo'; END $$",
        "SET LOCAL TimeZone = 'Asia/Tokyo'",
    ];
    for text in texts {
        let set = [parse("s", text), bind("s", "s", &[])].concat();
        for [first, second] in [["r", "s"], ["s", "r"]] {
            for bound in [[&reset[..], &set].concat(), [&set[..], &reset].concat()] {
                let request = [bound, execute(first, 0), execute(second, 0), sync()].concat();
                agree(
                    "SELECT 'none'",
                    &[query("BEGIN"), request, query("COMMIT")],
                    &format!("{first} {second}: {text}"),
                );
            }
        }
    }
}

#[test]
fn a_setting_of_the_transaction_behind_a_reset_does_not_keep_it_from_coming_back() {
    let local = "DO $$ BEGIN PERFORM set_config(reverse('mem_krow'), '8MB', true); END $$";
    for pin in PINS {
        for texts in [["RESET ALL", local], ["RESET ALL", "SET LOCAL work_mem = '8MB'"]] {
            agree(pin, &[pipeline(&texts)], &format!("{texts:?}"));
            agree(pin, &[pipeline(&texts), query("SELECT 1")], &format!("{texts:?} and a query"));
        }
    }
}

#[test]
fn a_hidden_set_to_postgresqls_default_is_no_reset() {
    for pin in PINS {
        for set in
            ["PERFORM set_config(reverse('mem_krow'), '4MB', false)", "EXECUTE reverse('''''= eman_noitacilppa TES')"]
        {
            let hidden = format!("DO $$ BEGIN {set}; END $$");
            agree(pin, &[query(&hidden)], &hidden);
            agree(pin, &[pipeline(&["SET LOCAL TimeZone = 'UTC'", &hidden])], &hidden);
            agree(pin, &[pipeline(&["DISCARD ALL", &hidden])], &hidden);
        }
    }
}

/// Roles that everybody here may take.
fn roles() {
    let create = |role: &str| {
        format!("BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;")
    };
    let sql = format!("DO $$ BEGIN {} {} END $$", create("reset_one"), create("reset_other"));
    must(shared_postgres().psql("postgres", &sql));
}

#[test]
fn a_reset_role_comes_to_the_role_that_the_client_came_with() {
    roles();
    let login = [("options", "-c role=reset_one")];
    for requests in [
        vec![query("RESET ROLE")],
        vec![pipeline(&["RESET ROLE"])],
        vec![query("SET ROLE reset_other"), pipeline(&["RESET ROLE", "SELECT 1"])],
        vec![query("SET ROLE reset_other"), query("BEGIN"), query("RESET ALL")],
        vec![query("SET ROLE reset_other"), query("BEGIN"), query("RESET ALL"), query("COMMIT")],
        vec![query("SET ROLE NONE"), query("RESET ALL")],
        vec![query("SET ROLE NONE"), pipeline(&["RESET ALL"])],
        vec![query("BEGIN"), pipeline(&["RESET ROLE"])],
        vec![query("BEGIN"), pipeline(&["RESET ROLE"]), query("COMMIT")],
        vec![query("DISCARD ALL")],
        vec![pipeline(&["DISCARD ALL"])],
        vec![query("SET ROLE NONE"), pipeline(&["DISCARD ALL"])],
        vec![query("CREATE TEMP TABLE pinned (n int)"), query("SET ROLE reset_other"), query("DISCARD ALL")],
        vec![query("CREATE TEMP TABLE pinned (n int)"), pipeline(&["DISCARD ALL", "CREATE TEMP TABLE pinned (n int)"])],
        vec![query("RESET SESSION AUTHORIZATION")],
        vec![pipeline(&["SET SESSION AUTHORIZATION DEFAULT", "SELECT 1"])],
        vec![query("SET ROLE reset_other; RESET SESSION AUTHORIZATION")],
        vec![query("SET SESSION AUTHORIZATION reset_other")],
        vec![query("SET SESSION AUTHORIZATION reset_other"), query("RESET SESSION AUTHORIZATION")],
        vec![query("SET SESSION AUTHORIZATION reset_other"), query("SET SESSION AUTHORIZATION DEFAULT")],
        vec![query("SET SESSION AUTHORIZATION reset_other"), pipeline(&["DISCARD ALL"])],
        vec![query("RESET SESSION AUTHORIZATION; SET ROLE NONE")],
        vec![pipeline(&["RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION reset_other"])],
        vec![query("BEGIN"), query("RESET SESSION AUTHORIZATION")],
        vec![query("BEGIN"), query("RESET SESSION AUTHORIZATION"), query("COMMIT")],
        vec![query("BEGIN"), query("SET ROLE reset_other"), query("RESET SESSION AUTHORIZATION"), query("ROLLBACK")],
        vec![query("BEGIN"), query("RESET SESSION AUTHORIZATION"), query("SELECT 1 / 0"), query("COMMIT")],
    ] {
        for mode in ["transaction", "session"] {
            let pgotter = one_server(mode);
            let mut direct = Raw::log_in(shared_postgres().port(), &login);
            let mut client = Raw::log_in(pgotter.port(), &login);
            assert_eq!(errors(&mut client, &requests), errors(&mut direct, &requests), "{requests:?}");
            for _ in 0..2 {
                let role = |connection: &mut Raw| connection.value("SELECT current_user");
                assert_eq!(role(&mut client), role(&mut direct), "behind {requests:?}, {mode} mode");
            }
        }
    }
}

#[test]
fn what_a_pinned_client_came_with_is_not_the_next_ones_behind_a_reset() {
    roles();
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let default = Raw::log_in(shared_postgres().port(), &[]).value("SHOW work_mem");
    for in_block in [false, true] {
        let mut came_with = Raw::log_in(pgotter.port(), &[("options", "-c role=reset_one -c work_mem=6MB")]);
        for text in ["SET work_mem = '9MB'", "SELECT pg_advisory_lock(4711)"] {
            assert_eq!(error_code(&came_with.ask(text)), None, "{text}");
        }
        let resets: &[&str] = if in_block {
            &["BEGIN", "RESET ROLE", "RESET work_mem", "COMMIT"]
        } else {
            &["RESET ROLE", "RESET work_mem"]
        };
        for text in resets.iter().chain(&["SELECT pg_advisory_unlock(4711)"]) {
            assert_eq!(error_code(&came_with.ask(text)), None, "{text}");
        }
        for wanted in [&*default, "9MB"] {
            let mut next = Raw::log_in(pgotter.port(), &[("work_mem", wanted)]);
            let seen = next.value("SELECT concat_ws(' ', current_user = session_user, current_setting('work_mem'))");
            assert_eq!(seen, format!("t {wanted}"));
        }
        assert_eq!(
            came_with.value("SELECT concat_ws(' ', current_user, current_setting('work_mem'))"),
            "reset_one 6MB"
        );
    }
}

#[test]
fn bringing_back_touches_neither_the_unnamed_portal_nor_the_unnamed_statement() {
    for mode in MODES {
        let pgotter = one_server(mode);
        let play = |port| {
            let mut client = Raw::log_in(port, LOGIN);
            client.ask("BEGIN");
            let resets = [parse("reset", "RESET work_mem"), bind("reset", "reset", &[]), execute("reset", 0), sync()];
            let begun = [parse("", "SELECT generate_series(1, 5)"), bind("", "", &[]), execute("", 1)];
            client.send(&[begun.concat(), resets.concat()].concat());
            client.until_ready();
            client.send(&[execute("", 1), bind("", "", &[]), execute("", 2), sync()].concat());
            let seen = print(&client.until_ready());
            (seen, client.value("SHOW work_mem"))
        };
        assert_eq!(play(pgotter.port()), play(shared_postgres().port()), "{mode} mode");
    }
}

#[test]
fn a_block_is_not_looked_at_behind_what_resets_nothing() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), LOGIN);
    let server = client.value("SELECT pg_backend_pid() FROM (SELECT pg_advisory_lock(4712)) pinned");
    for text in ["BEGIN", "RESET work_mem", "DO $$ BEGIN RESET TimeZone; END $$", "SAVEPOINT s"] {
        client.ask(text);
    }
    assert_eq!(client.value("SELECT current_setting('work_mem') || current_setting('TimeZone')"), "6MBAsia/Kolkata");
    let mut other = Raw::log_in(shared_postgres().port(), &[]);
    for text in ["SELECT 'nothing is reset'", "SAVEPOINT t", "RELEASE t"] {
        client.ask(text);
        let last = format!("SELECT query FROM pg_stat_activity WHERE pid = {server}");
        assert_eq!([other.value(&last), other.value(&last)], [text; 2]);
    }
}

#[test]
fn what_only_a_superuser_may_set_comes_back_to_who_came_with_it() {
    roles();
    const SEEN: &str = "SELECT concat_ws(' ', current_user, current_setting('work_mem'), \
        current_setting('log_min_duration_statement'))";
    let login = [("options", "-c role=reset_one -c log_min_duration_statement=77s"), ("work_mem", "6MB")];
    for mode in MODES {
        let pgotter = one_server(mode);
        for pin in PINS {
            for texts in [
                &["BEGIN", "RESET ALL", "SELECT 1"][..],
                &["BEGIN", "RESET ALL", "COMMIT"],
                &["BEGIN", "RESET ALL; SELECT 1", "SAVEPOINT s"],
                &["RESET ALL"],
                &["SET ROLE reset_other", "BEGIN", "RESET ALL"],
                &["BEGIN", "SET LOCAL ROLE reset_other", "RESET ALL"],
                &["BEGIN", "SET LOCAL ROLE reset_other", "RESET ALL", "COMMIT"],
                &["SET SESSION AUTHORIZATION reset_one", "BEGIN", "SELECT 1"],
            ] {
                let requests: Vec<Vec<u8>> = texts.iter().map(|text| query(text)).collect();
                agree_on(&pgotter, SEEN, &login, pin, &requests, &format!("{texts:?}, {mode} mode"));
            }
        }
    }
}

/// What shows no source.
const OPAQUE: &str = "SELECT concat_ws(' ', current_user, current_setting('app.tenant'), current_setting('work_mem'))";
const WITH_OPAQUE: &[(&str, &str)] = &[("options", "-c role=reset_one -c app.tenant=own"), ("work_mem", "6MB")];

#[test]
fn a_hidden_reset_of_a_custom_setting_or_the_role_comes_back() {
    roles();
    for mode in MODES {
        let pgotter = one_server(mode);
        for pin in PINS {
            for reset in ["RESET app.tenant", "RESET ALL", "RESET ROLE", "EXECUTE reverse('LLA TESER')"] {
                let hidden = format!("DO $$ BEGIN {reset}; END $$");
                for texts in [
                    &[&*hidden][..],
                    &["BEGIN", &*hidden],
                    &["SET app.tenant = 'another'", "SET ROLE reset_other", &*hidden],
                    &["SET app.tenant = 'another'", "SET ROLE reset_other", "BEGIN", &*hidden],
                    &["BEGIN", "SET app.tenant = 'another'", "SET ROLE reset_other", &*hidden, "COMMIT"],
                ] {
                    let requests: Vec<Vec<u8>> = texts.iter().map(|text| query(text)).collect();
                    agree_on(&pgotter, OPAQUE, WITH_OPAQUE, pin, &requests, &format!("{texts:?}, {mode} mode"));
                }
            }
        }
    }
}

#[test]
fn a_custom_setting_or_role_set_to_nothing_is_no_reset() {
    roles();
    let hidden = "DO $$ BEGIN RESET work_mem; END $$";
    let sets = "DO $$ BEGIN PERFORM set_config('app.tenant', '', false); END $$";
    for mode in MODES {
        let pgotter = one_server(mode);
        for pin in PINS {
            for texts in [
                &["SET app.tenant = ''", hidden][..],
                &["SET app.tenant = ''", "BEGIN", hidden],
                &["BEGIN", "SET app.tenant = ''", hidden],
                &["BEGIN", sets, hidden],
                &[sets, hidden],
                &["SET ROLE NONE", hidden],
                &["SET ROLE NONE", "BEGIN", hidden],
                &["BEGIN", "SET ROLE NONE", hidden, "COMMIT"],
                &["RESET app.tenant; SET app.tenant = ''", hidden],
            ] {
                let requests: Vec<Vec<u8>> = texts.iter().map(|text| query(text)).collect();
                agree_on(&pgotter, OPAQUE, WITH_OPAQUE, pin, &requests, &format!("{texts:?}, {mode} mode"));
            }
        }
    }
}

#[test]
fn what_is_set_for_a_block_behind_a_reset_is_told_as_it_is() {
    for mode in ["transaction", "session"] {
        let pgotter = one_server(mode);
        let default = Raw::log_in(shared_postgres().port(), &[]).value("SHOW TimeZone");
        let local = format!("SET LOCAL TimeZone = '{default}'");
        for requests in
            [vec![format!("RESET ALL; {local}; BEGIN")], vec!["BEGIN".to_owned(), "RESET TimeZone".to_owned(), local]]
        {
            let mut client = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Kolkata")]);
            let mut told = None;
            let mut ask = |sql: &str| {
                let frames = client.ask(sql);
                let reports = frames.iter().filter(|frame| frame.kind == b'S').map(Frame::parameter);
                told =
                    reports.filter(|(name, _)| name == "TimeZone").map(|(_, value)| value).next_back().or(told.take());
                (first_value(&frames), told.clone())
            };
            requests.iter().for_each(|sql| drop(ask(sql)));
            assert_eq!(ask("SHOW TimeZone"), (Some(default.clone()), Some(default.clone())), "{requests:?}, {mode}");
            ask("COMMIT");
            let own = || Some("Asia/Kolkata".to_owned());
            assert_eq!(ask("SHOW TimeZone"), (own(), own()), "behind {requests:?}, {mode}");
        }
    }
}

#[test]
fn a_notification_that_comes_while_something_is_brought_back_is_heard() {
    const COUNT: usize = 100;
    let pgotter = one_server("session");
    let mut client = Raw::log_in(pgotter.port(), LOGIN);
    client.ask("LISTEN brought_back");
    // They arrive in pieces.
    let long = "x".repeat(7_000);
    let mut heard = 0;
    let mut hear = |frames: &[Frame]| heard += frames.iter().filter(|frame| frame.kind == b'A').count();
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut other = Raw::log_in(shared_postgres().port(), &[]);
            (0..COUNT).for_each(|number| drop(other.ask(&format!("NOTIFY brought_back, '{number} {long}'"))));
        });
        while !others.is_finished() {
            hear(&client.ask("RESET ALL"));
        }
    });
    hear(&client.ask("SELECT 1"));
    assert_eq!(heard, COUNT);
}

#[test]
fn a_client_is_told_what_a_rollback_or_another_setting_has_left_of_a_reset() {
    let local = "SET LOCAL application_name = ''";
    for mode in MODES {
        let pgotter = one_server(mode);
        for requests in [
            vec![query("BEGIN; SET application_name = ''; SAVEPOINT s"), query("RESET ALL"), query("ROLLBACK TO s")],
            vec![query("SET application_name = ''"), query("BEGIN"), query("RESET ALL"), query("ROLLBACK")],
            vec![query("BEGIN"), query("RESET ALL"), pipeline(&["ROLLBACK", "BEGIN"]), query(local)],
            vec![query("BEGIN"), pipeline(&["RESET ALL", local])],
            vec![pipeline(&["DISCARD ALL", "BEGIN"]), query("ROLLBACK")],
            vec![query("RESET ALL; COMMIT; BEGIN"), query("ROLLBACK")],
            vec![query("BEGIN"), query(&format!("RESET ALL; {local}"))],
        ] {
            let mut client = Raw::log_in(pgotter.port(), LOGIN);
            let mut told = client.parameter("application_name").to_owned();
            for request in requests.iter().chain([&query("SELECT 1")]) {
                client.send(request);
                let frames = client.until_ready();
                let news = frames.iter().filter(|frame| frame.kind == b'S').map(Frame::parameter);
                told = news
                    .filter(|(name, _)| name == "application_name")
                    .map(|(_, value)| value)
                    .next_back()
                    .unwrap_or(told);
            }
            assert_eq!(told, client.value("SHOW application_name"), "{requests:?}, {mode} mode");
        }
    }
}

#[test]
fn a_reset_that_was_skipped_takes_nothing_from_what_was_set_before_it() {
    for mode in ["transaction", "session"] {
        let pgotter = one_server(mode);
        let mut client = Raw::log_in(pgotter.port(), &[("options", "-c enable_seqscan=off -c DateStyle=German")]);
        let default = Raw::log_in(shared_postgres().port(), &[]).value("SHOW DateStyle");
        let sets = query(&format!("SET enable_seqscan = on; SET DateStyle = '{default}'"));
        // All in one write, and on a server that lacks nothing: nothing is looked at in between.
        client.value("SELECT 1");
        let skipped = pipeline(&["SELECT 1 / 0", "DISCARD ALL"]);
        client.send(&[sets, skipped.clone(), skipped].concat());
        let codes: Vec<_> = (0..3).map(|_| error_code(&client.until_ready())).collect();
        assert_eq!(codes, [None, Some("22012".to_owned()), Some("22012".to_owned())]);
        for _ in 0..2 {
            let seen =
                client.value("SELECT concat_ws(' ', current_setting('enable_seqscan'), current_setting('DateStyle'))");
            assert_eq!(seen, format!("on {default}"), "{mode}");
        }
    }
}

#[test]
fn what_code_sets_behind_a_reset_is_told_from_what_it_sets_for_its_transaction() {
    const RESET: &str = "RESET enable_seqscan";
    let login = [("options", "-c enable_seqscan=off")];
    for mode in MODES {
        let pgotter = one_server(mode);
        for set in ["SET LOCAL enable_seqscan = on", "SET enable_seqscan = on", "SET enable_seqscan = off"] {
            let code = format!("DO $$ BEGIN {set}; END $$");
            for request in [
                query(&format!("{RESET}; {code}")),
                query(&format!("{code}; {RESET}")),
                query(&format!("DEALLOCATE ALL; COMMIT; {RESET}; {code}")),
                pipeline(&[RESET, &code]),
            ] {
                let what = format!("{}, {mode} mode", String::from_utf8_lossy(&request));
                agree_on(&pgotter, "SHOW enable_seqscan", &login, PINS[0], &[request], &what);
            }
        }
    }
}

#[test]
fn what_is_set_in_one_write_with_the_begin_of_a_block_survives_what_the_block_resets() {
    roles();
    let login = [LOGIN, WITH_OPAQUE].concat();
    let firsts = |set: &str| {
        [
            vec![query(set), query("BEGIN")],
            vec![pipeline(&[set]), pipeline(&["BEGIN"])],
            vec![pipeline(&[set, "BEGIN"])],
            vec![query(&format!("{set}; BEGIN"))],
        ]
    };
    for mode in MODES {
        let pgotter = one_server(mode);
        for set in [
            "SET application_name = ''",
            "SET application_name = 'x'",
            "SET application_name TO DEFAULT",
            "SET app.tenant = ''",
            "SET ROLE NONE",
        ] {
            for (pin, first) in PINS.into_iter().flat_map(|pin| firsts(set).map(|first| (pin, first))) {
                for rest in [
                    &["RESET ALL", "ROLLBACK"][..],
                    &["RESET application_name", "SELECT 1", "ROLLBACK"],
                    &["RESET ALL", "SELECT 1/0", "COMMIT"],
                    &["RESET ALL", "SET LOCAL application_name = ''", "COMMIT"],
                    &["RESET ALL", "COMMIT"],
                    &["RESET app.tenant", "RESET ROLE", "ROLLBACK"],
                    &["RESET app.tenant", "RESET ROLE", "SELECT 1/0", "COMMIT"],
                ] {
                    let seen = [shared_postgres().port(), pgotter.port()].map(|port| {
                        let mut client = Raw::log_in(port, &login);
                        client.ask(pin);
                        errors(&mut client, &first);
                        rest.iter().for_each(|text| drop(client.ask(text)));
                        [SEEN, OPAQUE, SEEN, OPAQUE].map(|seen| client.value(seen))
                    });
                    let first: Vec<_> = first.iter().map(|request| String::from_utf8_lossy(request)).collect();
                    assert_eq!(seen[0], seen[1], "behind {first:?}, {rest:?}, {pin}, {mode} mode");
                }
            }
        }
    }
}

#[test]
fn what_becomes_of_a_reset_is_known_however_its_block_ends() {
    roles();
    let scripts: [&[&str]; 16] = [
        &["BEGIN", "SET work_mem = '5MB'", "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s; RESET {}; COMMIT"],
        &["BEGIN", "SET <>", "COMMIT AND CHAIN", "RESET {}", "ROLLBACK"],
        &["SET <>", "BEGIN", "RESET {}", "SELECT 1/0; COMMIT", "ROLLBACK"],
        &["SET <>", "BEGIN", "RESET {}", "DISCARD ALL", "ROLLBACK"],
        &["SET <>", "BEGIN", "SELECT 1/0", "RESET {}; COMMIT", "ROLLBACK"],
        &["SET <>", "SELECT 1/0; RESET {}"],
        &["SET <>", "SELECT 1; DISCARD ALL"],
        &["BEGIN", "RESET {}", "COMMIT; BEGIN; SELECT 1/0", "ROLLBACK"],
        &["RESET {}; COMMIT; SELECT 1/0"],
        &["SET <>", "BEGIN; RESET {}; SELECT 1/0; COMMIT; COMMIT", "ROLLBACK"],
        &["SET <>", "BEGIN; RESET {}; SELECT 1/0; COMMIT; BEGIN", "ROLLBACK"],
        &["BEGIN", "RESET {}; COMMIT; BEGIN; SELECT 1/0", "ROLLBACK"],
        &["SET <>", "BEGIN", "RESET {}", "ROLLBACK AND CHAIN", "COMMIT"],
        &["SET <>", "BEGIN", "RESET {}", "ROLLBACK AND CHAIN", "SELECT 1", "ROLLBACK"],
        &["SET <>", "BEGIN; SAVEPOINT s", "SELECT 1/0; ROLLBACK", "ROLLBACK TO s", "RESET {}", "COMMIT"],
        &["BEGIN", "RESET {}; SAVEPOINT s; SELECT 1/0; ROLLBACK", "ROLLBACK TO s", "COMMIT"],
    ];
    for mode in MODES {
        let pgotter = one_server(mode);
        for (name, set) in
            [("app.tenant", "app.tenant = ''"), ("ROLE", "ROLE NONE"), ("enable_seqscan", "enable_seqscan = on")]
        {
            for (script, pin) in scripts.iter().flat_map(|script| PINS.map(|pin| (script, pin))) {
                let seen = [shared_postgres().port(), pgotter.port()].map(|port| {
                    let login = [("options", "-c role=reset_one -c app.tenant=own -c enable_seqscan=off")];
                    let mut client = Raw::log_in(port, &login);
                    client.ask(pin);
                    for text in script.iter() {
                        client.ask(&text.replace("SET <>", &format!("SET {set}")).replace("RESET {set}", "").replace("{}", name));
                    }
                    let seen = "SELECT concat_ws(' ', current_user, current_setting('app.tenant'), current_setting('enable_seqscan'))";
                    [client.value(seen), client.value(seen)]
                });
                assert_eq!(seen[0], seen[1], "{script:?} of {name}, {pin}, {mode} mode");
            }
        }
    }
}

#[test]
fn a_reset_that_is_skipped_in_a_block_undoes_nothing_of_what_was_reset_in_front_of_it() {
    roles();
    for mode in MODES {
        let pgotter = one_server(mode);
        for reset in ["RESET ROLE", "RESET ALL", "RESET SESSION AUTHORIZATION", "RESET app.tenant"] {
            for hidden in ["SELECT 1", "DO $$ BEGIN PERFORM set_config('enable_seqscan', 'off', false); END $$"] {
                let requests = [
                    pipeline(&["DISCARD ALL", "BEGIN"]),
                    pipeline(&[hidden]),
                    pipeline(&["SELECT 1/0", reset]),
                    pipeline(&["COMMIT"]),
                ];
                let seen = [shared_postgres().port(), pgotter.port()].map(|port| {
                    let mut client = Raw::log_in(port, WITH_OPAQUE);
                    requests.iter().for_each(|request| drop(errors(&mut client, std::slice::from_ref(request))));
                    [client.value(OPAQUE), client.value(OPAQUE)]
                });
                assert_eq!(seen[0], seen[1], "{reset}, {hidden}, {mode} mode");
            }
        }
    }
}
