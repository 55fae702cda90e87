//! Everything, in the order in which one run can build on another.

use std::time::Instant;

use crate::big_group::{BigGroup, Town};
use crate::messages::{Senders, through_clients};
use crate::rows::Rows;
use crate::{membership, replay};

/// Members of the groups in which messages are sent. Changes are made in all but the first.
const SIZES: [usize; 5] = [2, 10, 100, 1_000, 10_000];

/// How much is done.
struct Plan {
    messages: usize,
    /// How often each change is made in a group of so many.
    times: fn(usize) -> usize,
    /// Members, and commits that one of them has missed.
    replays: &'static [(usize, usize)],
}

const FULL: Plan = Plan {
    messages: 5_000,
    times: |n| {
        if n <= 100 {
            25
        } else if n <= 1_000 {
            15
        } else {
            5
        }
    },
    replays: &[(10, 1_000), (100, 1_000), (1_000, 1_000)],
};

const QUICK: Plan =
    Plan { messages: 500, times: |n| if n <= 1_000 { 5 } else { 1 }, replays: &[(10, 200), (100, 200)] };

/// Measures all, with progress on standard error. Fails if the bytes of a message depend on the size of the group.
pub(crate) fn run(quick: bool) -> Result<Rows, String> {
    let (plan, start) = (if quick { QUICK } else { FULL }, Instant::now());
    let progress = |what: &str| eprintln!("[{:>4} s] {what}", start.elapsed().as_secs());
    let town = town(&progress);
    let mut groups = Vec::new();
    for n in SIZES {
        progress(&format!("creating a group of {n}"));
        groups.push((n, BigGroup::new(&town, n)));
    }
    let mut rows = Rows::default();
    for (n, group) in groups.iter().skip(1) {
        progress(&format!("changes of a group of {n}"));
        membership::run(&town, (*n, group), (plan.times)(*n), &mut rows);
    }
    progress("messages in groups of all sizes");
    through_clients(&mut groups, plan.messages, &mut rows)?;
    drop(groups);
    progress("messages of as many senders");
    Senders::measure(&mut SIZES.map(Senders::new), plan.messages, &mut rows);
    for (n, epochs) in plan.replays {
        progress(&format!("{epochs} commits that one of {n} has missed"));
        replay::run(&town, *n, *epochs, &mut rows);
    }
    progress("done");
    Ok(rows)
}

fn town(progress: &impl Fn(&str)) -> Town {
    let mut town = Town::new(0);
    for enrolled in (0..SIZES[SIZES.len() - 1]).step_by(2_000) {
        progress(&format!("{enrolled} of 10,000 key packages"));
        town.enrol(2_000);
    }
    town
}
