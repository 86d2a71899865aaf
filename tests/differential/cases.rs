//! Scripts in which a difference was found once, as small as they got.

use super::play::Stage;
use super::step::Step::{self, Bind, CopyData, Describe, Disturb, Execute, Parse, Query, Sync, Wait};

fn has_no_difference(servers: usize, script: &[Step]) {
    have_no_difference(servers, &[script.to_vec()]);
}

fn have_no_difference(servers: usize, scripts: &[Vec<Step>]) {
    let mut stage = Stage::new(servers);
    let listed = |script: &Vec<Step>| Some(format!("{}{}", super::step::listing(script), stage.difference(script)?));
    let differences: Vec<String> = scripts.iter().filter_map(listed).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn parse(name: &str, sql: &str) -> Step {
    Parse(text(name), text(sql), Vec::new())
}

fn bind(portal: &str, statement: &str) -> Step {
    Bind { portal: text(portal), statement: text(statement), values: Vec::new(), binary: false }
}

#[test]
fn a_refused_text_keeps_no_server() {
    let sql = "SELECT 'unfinished; SET LOCAL work_mem = '7MB'";
    has_no_difference(2, &[Disturb(3), Query(text(sql)), Wait, Disturb(5)]);
}

#[test]
fn drops_that_were_not_run_leave_statements_describable_in_a_failed_block() {
    for (servers, execute) in [(1, "SELECT 1/0; DISCARD ALL"), (1, "")] {
        let mut steps = vec![parse("s1", "DEALLOCATE ALL"), Sync, Query(text("BEGIN")), Query(text("SELECT 1/0"))];
        if execute.is_empty() {
            steps.extend([bind("", "s1"), Execute(text(""), 0), Sync]);
        } else {
            steps.push(Query(text(execute)));
        }
        steps.extend([Describe(b'S', text("s1")), Sync]);
        has_no_difference(servers, &steps);
    }
}

#[test]
fn a_text_with_a_backslash_in_one_go_with_a_setting_keeps_no_server() {
    let steps = [
        Query(text("SET LOCAL work_mem = '7MB'")),
        parse("s1", "SELECT '\\x00ff'::bytea"),
        bind("", "s1"),
        Sync,
        Wait,
        Disturb(3),
        Disturb(6),
    ];
    has_no_difference(2, &steps);
}

#[test]
fn a_reset_to_what_the_client_came_with_is_no_news() {
    let mut scripts = Vec::new();
    for sql in [
        "RESET application_name",
        "SET application_name TO DEFAULT",
        "SET application_name = 'other'; RESET application_name",
        "RESET ALL; SELECT 1",
        "RESET ALL; UNLISTEN *",
        "DISCARD ALL",
        "RESET application_name; SELECT set_config('application_name', 'other', false)",
        "RESET application_name; COMMIT; SELECT 1/0",
        "RESET application_name; SELECT 1/0",
        "BEGIN; SET application_name = 'other'; RESET application_name",
    ] {
        let mut steps = vec![Query(text("SHOW application_name")), Wait, Query(text(sql)), Wait];
        steps.push(Query(text("SHOW application_name")));
        scripts.push(steps.clone());
        steps.insert(2, Query(text("SET application_name = 'mine'")));
        scripts.push(steps.clone());
        steps.insert(3, Query(text("BEGIN; SET application_name = 'of the block'")));
        scripts.push(steps);
    }
    have_no_difference(1, &scripts);
}

#[test]
fn utility_statements_are_described_in_a_failed_block_wherever_it_is() {
    let described = |sql: &str| {
        let block = [Query(text("BEGIN; SELECT 1/0")), Wait, Describe(b'S', text("s1")), Sync, Query(text("COMMIT"))];
        // Another server has it.
        [&[parse("s1", sql), Sync, Wait, Disturb(3)][..], &block].concat()
    };
    let texts = [
        "LOCK TABLE noted IN ROW SHARE MODE",
        "SET LOCAL work_mem = '7MB'",
        "DROP TABLE IF EXISTS nothing",
        "ROLLBACK",
        "DECLARE c CURSOR FOR SELECT 1",
        "COPY noted TO STDOUT",
        "SELECT 1",
        "SHOW work_mem",
        "",
    ];
    have_no_difference(2, &texts.map(described));
}

#[test]
fn a_reset_in_a_block_takes_no_snapshot() {
    let resets = ["RESET application_name", "RESET ALL"];
    let script = |reset: &str| {
        let isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
        ["BEGIN", reset, isolation, "SHOW application_name"].map(|sql| Query(text(sql))).to_vec()
    };
    let by_portal = |(reset, runs): (&str, bool)| {
        let mut steps = script(reset);
        let run = [parse("", reset), bind("", ""), Execute(text(""), 0)];
        steps.splice(1..2, run.into_iter().take(if runs { 3 } else { 2 }).chain([Sync]));
        steps
    };
    let bound = resets.map(|reset| by_portal((reset, false)));
    let run = resets.map(|reset| by_portal((reset, true)));
    have_no_difference(1, &[resets.map(script), bound, run].concat());
}

#[test]
fn data_behind_what_was_no_copy_leaves_no_doubt_about_what_follows() {
    let unknown = || Bind { portal: text(""), statement: text("nothing"), values: Vec::new(), binary: false };
    for first in ["SHOW work_mem", "SELECT 1/0", "COPY nothing FROM STDIN"] {
        let steps = [
            Query(text(first)),
            CopyData(text("5\te\n")),
            Execute(text("none"), 0),
            Sync,
            unknown(),
            Sync,
            Query(text("SELECT 'still in step'")),
        ];
        has_no_difference(2, &steps);
    }
}

#[test]
fn a_text_is_warned_of_although_its_name_is_taken() {
    let steps = [
        Query(text("SET standard_conforming_strings = off")),
        parse("s1", "SELECT 1"),
        parse("s1", r"SELECT 'a\\b'"),
        Sync,
    ];
    has_no_difference(1, &steps);
}

#[test]
fn a_text_with_a_backslash_behind_code_that_nobody_knows_keeps_no_server() {
    let steps = [
        Disturb(2),
        parse("s1", r"SELECT '\x00ff'::bytea"),
        parse("", "EXECUTE q1 (3)"),
        bind("", ""),
        bind("", "s1"),
        Sync,
        Query(text(r"DO $$ BEGIN NULL; END $$; SELECT '\x00ff'::bytea")),
        Wait,
        Disturb(5),
    ];
    has_no_difference(2, &steps);
}

#[test]
fn what_comes_back_behind_a_reset_is_not_told_to_be_gone() {
    let run = |sql| [parse("", sql), bind("", ""), Execute(text(""), 0)];
    let pipeline = [&run("DISCARD ALL")[..], &run("BEGIN"), &[Sync]].concat();
    let whole = vec![Query(text("RESET ALL; COMMIT; BEGIN"))];
    let ends = ["ROLLBACK", "SAVEPOINT a; ROLLBACK TO a; ROLLBACK"].map(|end| [Query(text(end))]);
    let scripts = [pipeline, whole].map(|begin| ends.clone().map(|end| [&begin[..], &end].concat()));
    let failed = [Query(text("RESET application_name; COMMIT; BEGIN")), Describe(b'S', text("")), Sync, Wait];
    let code = [Query(text("RESET ALL; DO $$ BEGIN RAISE NOTICE 'one'; END $$"))];
    have_no_difference(1, &[scripts.as_flattened(), &[failed.to_vec(), code.to_vec()]].concat());
}

#[test]
fn what_a_rollback_has_undone_is_not_looked_at_in_the_transaction_behind_it() {
    let set = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    let texts = ["BEGIN", "ROLLBACK AND CHAIN", set].map(|sql| Query(text(sql)));
    let [begin, chain, set] = texts;
    has_no_difference(1, &[begin, Step::Call(text("no number")), chain, set]);
}
