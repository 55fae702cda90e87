//! Histories, several at once.

use std::any::Any;
use std::io::{IsTerminal, Stderr, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::options::Options;
use super::outcome::Outcome;
use super::report::Told;
use super::world::World;

/// Steps from one quiet period to the next.
const BUSY: u64 = 160;

/// Groups of a history.
const GROUPS: usize = 3;

/// Every history that was asked for, in the order of the seeds.
pub(crate) fn all(options: &Options, progress: &mut Stderr) -> Vec<Told> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let live = progress.is_terminal() && !options.trace;
    std::thread::scope(|scope| {
        for _ in 0..options.threads.min(options.seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = options.seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let told = one(*seed, options.steps, options.trace);
                    let Ok(mut done) = done.lock() else { return };
                    done.push(told);
                    if live {
                        let failed = done.iter().filter(|told| told.failure.is_some()).count();
                        let _ = write!(
                            std::io::stderr(),
                            "\r{} of {} seeds, {failed} failed",
                            done.len(),
                            options.seeds.len()
                        );
                    }
                }
            });
        }
    });
    if live {
        let _ = writeln!(progress);
    }
    let mut told = done.into_inner().unwrap_or_default();
    told.sort_by_key(|told| told.seed);
    told
}

/// The history of one seed. What panics in it is its failure.
pub(crate) fn one(seed: u64, steps: u64, trace: bool) -> Told {
    let start = Instant::now();
    let mut world = match World::new(seed, trace) {
        Ok(world) => world,
        Err(broken) => {
            let failure = Some((0, broken.to_string()));
            return Told { seed, digest: String::new(), counts: Default::default(), took: start.elapsed(), failure };
        }
    };
    let played = panic::catch_unwind(AssertUnwindSafe(|| play(&mut world, steps)));
    let failure = match played {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(broken.to_string()),
        Err(panicked) => Some(format!("panicked: {}", message(panicked.as_ref()))),
    };
    world.counts.readings = world.ledger.told;
    world.counts.crashes = world.devices.iter().map(|device| device.crashes).sum();
    let failure = failure.map(|what| (world.step, what));
    Told { seed, digest: world.trace.digest(), counts: world.counts, took: start.elapsed(), failure }
}

/// Groups and their first members.
pub(crate) fn found(world: &mut World) -> Outcome {
    for n in 0..GROUPS {
        let founder = n * 3;
        let group = world.found(founder)?;
        for _ in 0..3 {
            world.add_someone(founder, group)?;
            world.settle()?;
        }
    }
    Ok(())
}

fn play(world: &mut World, steps: u64) -> Outcome {
    found(world)?;
    world.quiet()?;
    for step in 1..=steps {
        world.act()?;
        if step % BUSY == 0 || step == steps {
            world.quiet()?;
            world.refill()?;
        }
    }
    Ok(())
}

fn message(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panicked.downcast_ref::<String>().cloned()).unwrap_or_else(|| "something else".into())
}
