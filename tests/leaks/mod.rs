//! No client sees what another has set, and none loses what it has set itself.
//!
//! Hostile clients draw from every kind of session state (`kinds.rs`) over few servers.
//! A model says what each of them must see of its own session; witnesses that have set nothing must see what a fresh
//! connection to PostgreSQL shows. Model and witnesses are themselves tried without a pooler, where they must agree with
//! PostgreSQL, and on clients that share a connection, where they must not.
//!
//! What clients send is cut anywhere, and some vanish behind any byte of it; `vanishing.rs` goes through every one.
//!
//! A hand-over is counted when a server shows itself to one client after another. A run prints its seed; `SEED=…` has it
//! again. What fails is made as small as leaving out steps gets, each try with a new PgOtter, and printed.

mod act;
mod generate;
mod kinds;
mod model;
mod vanishing;
mod witness;
mod world;

use crate::support::random::{Random, seed, shrink};
use generate::{Step, steps};
use kinds::Kind;
use world::{Between, CLIENTS, Profiles, ROOMS, Stage, World};

/// In `make test`; `PGOTTER_LONG_HAND_OVERS` says how many for the long run.
const HAND_OVERS: u64 = 2_500;
/// PostgreSQL has room for the servers of so many.
const AT_ONCE: u64 = 3;
/// Between two sets of new clients.
const EPISODE: usize = 400;

#[test]
fn the_model_and_the_witnesses_agree_with_postgresql() {
    let profiles = Profiles::new(Stage::new(), kinds::ALL);
    let mut seeds = Random(seed());
    for _ in 0..20 {
        let steps = steps(&mut seeds, kinds::ALL, CLIENTS, EPISODE);
        try_out(&|| Between::Nothing, &profiles, kinds::ALL, &steps);
    }
}

#[test]
fn clients_that_share_a_connection_are_caught_by_every_kind_of_state() {
    let mut seeds = Random(seed());
    let stage = Stage::new();
    for kind in kinds::ALL.iter().filter(|kind| ![Kind::Startup, Kind::Local].contains(kind)) {
        let kinds = [*kind];
        let profiles = Profiles::new(stage.clone(), &kinds);
        let steps = steps(&mut seeds, &kinds, CLIENTS, 2 * EPISODE);
        // What the connection of the first client shows of its startup parameters is no finding.
        let steps: Vec<Step> = steps.into_iter().filter(|step| step.client.is_multiple_of(2)).collect();
        let caught = World::new(Between::OneConnection, &profiles, &kinds).play(&steps);
        assert!(caught.is_err(), "{kind:?} is not caught");
    }
}

#[test]
fn no_session_state_leaks_or_is_lost() {
    hand_over(HAND_OVERS);
}

#[test]
#[ignore = "takes minutes: PGOTTER_LONG_HAND_OVERS=1000000"]
fn no_session_state_leaks_or_is_lost_in_many_hand_overs() {
    hand_over(std::env::var("PGOTTER_LONG_HAND_OVERS").map_or(100_000, |text| text.parse().expect("a number")));
}

/// Some at once: each waits for PostgreSQL most of the time.
fn hand_over(count: u64) {
    let mut seeds = Random(seed());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let seeds = Random(seeds.next());
            scope.spawn(|| hand_over_on(seeds, count / AT_ONCE));
        }
    });
}

fn hand_over_on(mut seeds: Random, count: u64) {
    let kinds = kinds::on();
    let profiles = Profiles::new(Stage::new(), &kinds);
    let (mut betweens, mut done, mut episodes) = (ROOMS.map(|room| Some(World::pgotter(room))), 0, 0);
    let (mut refused, mut spared) = (0, 0);
    while done < count {
        let steps = steps(&mut seeds, &kinds, CLIENTS, EPISODE);
        // Most hand-overs are where there is little room.
        let turn = usize::from(episodes % 4 == 3);
        let between = betweens[turn].take().expect("given back");
        let mut world = World::new(between, &profiles, &kinds);
        if let Err((at, why)) = world.play(&steps) {
            let found = format!("after {done} hand-overs, episode {episodes}, step {at}: {why}");
            drop(world);
            println!("{found}");
            try_out(&|| World::pgotter(ROOMS[turn]), &profiles, &kinds, &steps[..=at]);
            panic!(
                "{found}\nnot again with these steps and a new PgOtter\n{}",
                listing(&steps[at.saturating_sub(60)..=at])
            );
        }
        done += world.hand_overs;
        (refused, spared) = (refused + world.refused, spared + world.spared);
        episodes += 1;
        betweens[turn] = Some(world.between());
    }
    println!("{done} hand-overs in {episodes} episodes, {kinds:?}: no leak, no loss");
    println!("{refused} requests were refused, {spared} not sent");
}

/// Plays `steps`; panics with fewer of them if something is wrong.
fn try_out(between: &dyn Fn() -> Between, profiles: &Profiles, kinds: &[Kind], steps: &[Step]) {
    let play = |steps: &[Step]| World::new(between(), profiles, kinds).play(steps);
    let Err((at, _)) = play(steps) else { return };
    let least = shrink(&steps[..=at], &mut |fewer| play(fewer).is_err());
    match play(&least) {
        Err((_, why)) => panic!("{}{why}", listing(&least)),
        Ok(()) => panic!("{}it happens now and then", listing(&least)),
    }
}

fn listing(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("    {step}\n")).collect()
}
