//! Random sequences of messages, well-formed in themselves and in any order, bring the same replies from PostgreSQL and
//! through PgOtter: error texts, SQLSTATEs, notices and all. `make test-versions` runs it on other versions, too.
//!
//! A run prints its seeds: the usual one and one of the moment, unless `SEED=` says another; what fails says which has it again. A
//! script that fails is made as small as leaving out steps gets.

mod cases;
mod disturb;
mod generate;
mod play;
mod spared;
mod step;

use crate::support::random::{Random, seed, seeds, shrink};
use generate::Generator;
use play::Stage;
use spared::sparing;
use std::time::{Duration, Instant};
use step::Step;

/// Of each seed.
const SCRIPTS: usize = 400;
/// More than one shows whether they have one cause; each takes a while to make small.
const FINDINGS_MAX: usize = 3;
/// Longest time to make one small.
const SMALLER: Duration = Duration::from_secs(120);

#[test]
fn random_requests_on_one_server_are_answered_as_by_postgresql() {
    same_replies(1, seeds());
}

#[test]
fn random_requests_between_those_of_others_are_answered_as_by_postgresql() {
    same_replies(2, seeds());
}

#[test]
#[ignore = "takes minutes: PGOTTER_LONG_SEEDS=100"]
fn requests_of_many_seeds_are_answered_as_by_postgresql() {
    let count = std::env::var("PGOTTER_LONG_SEEDS").map_or(25, |text| text.parse().expect("a number"));
    let mut random = Random(seed());
    let seeds: Vec<u64> = (0..count).map(|_| random.next() >> 32).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| same_replies(1, seeds.clone()));
        scope.spawn(|| same_replies(2, seeds.clone()));
    });
}

fn same_replies(servers: usize, seeds: Vec<u64>) {
    let mut stage = Stage::new(servers);
    let mut findings = Vec::new();
    for seed in seeds {
        println!("SEED={seed} {servers} servers");
        stage.renew();
        differences(&mut stage, seed, &mut findings);
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Until there are [`FINDINGS_MAX`].
fn differences(stage: &mut Stage, seed: u64, findings: &mut Vec<String>) {
    let kinds = generate::kinds();
    let (mut seeds, mut before) = (Random(seed), Vec::new());
    for number in 0..SCRIPTS {
        if findings.len() == FINDINGS_MAX {
            return;
        }
        let script = Generator::new(seeds.next(), &kinds).script();
        if let Some(why) = stage.difference(&script) {
            let least = least(stage, &before, &script, why);
            let finding = format!("SEED={seed} has it again: script {number}, {} servers{least}", stage.servers());
            println!("{finding}");
            findings.push(finding);
            before.clear();
        }
        before.push(script);
    }
}

/// As few steps as differ, and how; each try has a PgOtter of its own. With as few of the scripts `before` as it takes. As far as that
/// gets in [`SMALLER`]: where nothing is heard each try takes long.
fn least(stage: &mut Stage, before: &[Vec<Step>], script: &[Step], mut why: String) -> String {
    let until = Instant::now() + SMALLER;
    let mut fails = |steps: &[Step]| {
        if sparing(steps.to_vec()).len() < steps.len() || Instant::now() > until {
            return false;
        }
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
