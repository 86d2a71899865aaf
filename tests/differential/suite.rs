//! Random sequences of messages, well-formed in themselves and in any order, bring the same replies from PostgreSQL and
//! through PgOtter: error texts, SQLSTATEs, notices and all. `tests/differential.rs` and `tests/versions.rs` run it.
//!
//! A run prints its seed; `SEED=…` has it again. A script that fails is made as small as leaving out steps gets, and printed.

mod disturb;
mod generate;
mod play;
mod step;

use crate::support::random::{Random, seed, shrink};
use generate::Generator;
use play::Stage;
use step::Step;

/// In `make test`; `PGOTTER_LONG_SCRIPTS` says how many for the long run.
const SCRIPTS: usize = 400;
/// More than one shows whether they have one cause; each takes a while to make small.
const FINDINGS_MAX: usize = 3;

#[test]
fn random_requests_on_one_server_are_answered_as_by_postgresql() {
    same_replies(1, SCRIPTS);
}

#[test]
fn random_requests_between_those_of_others_are_answered_as_by_postgresql() {
    same_replies(2, SCRIPTS);
}

#[test]
#[ignore = "takes minutes: PGOTTER_LONG_SCRIPTS=10000"]
fn many_random_requests_are_answered_as_by_postgresql() {
    let scripts = std::env::var("PGOTTER_LONG_SCRIPTS").map_or(10_000, |text| text.parse().expect("a number"));
    for servers in [1, 2] {
        same_replies(servers, scripts);
    }
}

fn same_replies(servers: usize, scripts: usize) {
    let (seed, kinds) = (seed(), generate::kinds());
    let mut stage = Stage::new(servers);
    let (mut seeds, mut findings, mut before) = (Random(seed), Vec::new(), Vec::new());
    for number in 0..scripts {
        let script = Generator::new(seeds.next(), &kinds).script();
        if let Some(why) = stage.difference(&script) {
            findings.push(format!("script {number}, {servers} servers{}", least(&mut stage, &before, &script, why)));
            before.clear();
        }
        before.push(script);
        if findings.len() == FINDINGS_MAX {
            break;
        }
    }
    assert!(findings.is_empty(), "SEED={seed}\n{}", findings.join("\n"));
}

/// As few steps as differ, and how; each try has a PgOtter of its own. With as few of the scripts `before` as it takes.
fn least(stage: &mut Stage, before: &[Vec<Step>], script: &[Step], mut why: String) -> String {
    let mut fails = |steps: &[Step]| {
        stage.renew();
        stage.difference(steps).map(|difference| why = difference).is_some()
    };
    let mut earlier = 0;
    let steps = loop {
        let scripts = before[before.len() - earlier..].iter().map(Vec::as_slice).chain([script]);
        let steps = scripts.collect::<Vec<_>>().join(&[Step::Leave][..]);
        if fails(&steps) {
            break shrink(&steps, &mut fails);
        }
        if earlier == before.len() {
            return format!(", now and then\n{}{why}", step::listing(script));
        }
        earlier = before.len().min(2 * earlier + 1);
    };
    format!("\n{}{why}", step::listing(&steps))
}
