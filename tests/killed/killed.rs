//! A process is killed (SIGKILL) at any point of what it does, over and over, and goes on as if nothing had happened.
//!
//! `CONVIVIO_KILLS=5000 cargo test --release --test killed -- --nocapture` kills as often as that, and shows where the
//! kills hit. What the games are is drawn from a seed, which a failure prints; `CONVIVIO_SEED` starts with another one.
//! Kills right before and after a write come again with the seed. At which byte of an operation a kill at a random
//! moment hits is up to the machine.

mod tally;
mod victim;
mod world;

use std::{env, thread};

use convivio_killed_tests::conversation::Clock;
use tally::{Stage, Tally};
use victim::{Killed, Killing};
use world::World;

fn from_environment(name: &str) -> Option<u64> {
    env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The seed of the first game.
fn seed() -> u64 {
    from_environment("CONVIVIO_SEED").unwrap_or(11)
}

/// Says which game it was if it is lost.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this was the game of seed {0}: CONVIVIO_SEED={0} starts with it", self.0);
        }
    }
}

/// Plays one group's life with so many kills, and checks it at the end.
fn game(seed: u64, kills: u64, killing: Killing) -> Tally {
    let _seed = Seed(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(seed, &Clock::default(), Killed::new(directory.path().join("device"), seed, killing));
    world.play();
    while world.victim.tally.total() < kills {
        world.step();
    }
    world.quiet();
    world.check();
    world.victim.tally
}

fn games(kills: u64, killing: Killing) -> Tally {
    let mut tally = Tally::default();
    for seed in seed().. {
        if tally.total() >= kills {
            break;
        }
        tally.add(game(seed, KILLS_IN_A_GAME.min(kills - tally.total()), killing));
    }
    println!("{killing:?}, seed {} and up\n{tally}", seed());
    tally
}

const KILLS_IN_A_GAME: u64 = 100;

/// Sealed or not, founder or joiner: four games have everything.
const OPERATIONS: [&str; 9] =
    ["answer", "ack", "change", "forget", "key package", "outbox", "receive", "rejoin", "send"];

#[test]
fn row_11_a_process_killed_at_random_moments_loses_nothing_and_repeats_nothing() {
    let kills = from_environment("CONVIVIO_KILLS").unwrap_or(200);
    let tally = games(kills, Killing::AtRandomMoments(0.5));
    assert!(tally.total() >= kills);
    let hits = |stages: &[Stage]| stages.iter().map(|stage| tally.of_stage(*stage)).sum::<u64>();
    for stages in [&[Stage::Before][..], &[Stage::WritingLost, Stage::WritingKept], &[Stage::Answered]] {
        assert!(hits(stages) > 0, "no kill hit {stages:?}\n{tally}");
    }
}

#[test]
fn row_11_a_process_killed_around_each_write_loses_nothing_and_repeats_nothing() {
    let kills = from_environment("CONVIVIO_KILLS").unwrap_or(200);
    let tally = games(kills, Killing::AroundEachWrite);
    for operation in OPERATIONS {
        assert!(tally.of_operation(operation) >= 2, "no kill hit {operation}\n{tally}");
    }
    assert!(tally.of_stage(Stage::WritingLost) > 0 && tally.of_stage(Stage::Unanswered) > 0, "{tally}");
    let elsewhere = [Stage::Before, Stage::WritingKept, Stage::Answered].map(|stage| tally.of_stage(stage));
    assert_eq!(elsewhere, [0; 3], "each stood where it was to stand\n{tally}");
}

/// The games themselves, so that what fails above fails for the kills.
#[test]
fn a_process_that_is_let_be_plays_the_same_games() {
    for seed in seed()..seed() + 4 {
        assert_eq!(game(seed, 0, Killing::Never).total(), 0);
    }
}
