//! What was done, in numbers.

use std::fmt;
use std::time::Duration;

/// What happened in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) messages: u64,
    pub(crate) readings: u64,
    pub(crate) changes: u64,
    pub(crate) commits: u64,
    pub(crate) void_commits: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    pub(crate) crashes: u64,
    pub(crate) restarts: u64,
    pub(crate) lost: u64,
    pub(crate) delayed: u64,
    pub(crate) partitions: u64,
    pub(crate) lies: u64,
    pub(crate) made_up: u64,
    pub(crate) questions: u64,
    pub(crate) rejoins: u64,
    pub(crate) quiet_periods: u64,
    pub(crate) abandoned: u64,
    pub(crate) largest: u64,
}

/// One history.
pub(crate) struct Told {
    pub(crate) seed: u64,
    pub(crate) digest: String,
    pub(crate) counts: Counts,
    pub(crate) took: Duration,
    /// The step at which an invariant did not hold, and which.
    pub(crate) failure: Option<(u64, String)>,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let Self {
            messages,
            readings,
            changes,
            commits,
            void_commits,
            refused,
            dropped,
            crashes,
            restarts,
            lost,
            delayed,
            partitions,
            lies,
            made_up,
            questions,
            rejoins,
            quiet_periods,
            abandoned,
            largest,
        } = self;
        for (sum, more) in [
            (messages, other.messages),
            (readings, other.readings),
            (changes, other.changes),
            (commits, other.commits),
            (void_commits, other.void_commits),
            (refused, other.refused),
            (dropped, other.dropped),
            (crashes, other.crashes),
            (restarts, other.restarts),
            (lost, other.lost),
            (delayed, other.delayed),
            (partitions, other.partitions),
            (lies, other.lies),
            (made_up, other.made_up),
            (questions, other.questions),
            (rejoins, other.rejoins),
            (quiet_periods, other.quiet_periods),
            (abandoned, other.abandoned),
        ] {
            *sum += more;
        }
        *largest = (*largest).max(other.largest);
    }
}

/// The summary of many histories, in the order of their seeds.
pub(crate) struct Summary<'a> {
    pub(crate) told: &'a [Told],
    pub(crate) steps: u64,
    pub(crate) took: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sum = Counts::default();
        self.told.iter().for_each(|told| sum.add(&told.counts));
        let failed = self.told.iter().filter(|told| told.failure.is_some()).count();
        let rows = [
            ("messages written", sum.messages, "readings", sum.readings),
            ("changes asked for", sum.changes, "commits in the logs", sum.commits),
            ("crashes at a write", sum.crashes, "clean restarts", sum.restarts),
            ("posts and replies lost", sum.lost, "posts delayed", sum.delayed),
            ("partitions", sum.partitions, "posts refused for good", sum.refused),
            ("lies of a hub", sum.lies, "posts made up by strangers", sum.made_up),
            ("commits of who was led astray", sum.void_commits, "readmissions", sum.rejoins),
            ("changes and messages dropped", sum.dropped, "questions in doubt", sum.questions),
            ("quiet periods", sum.quiet_periods, "groups given up", sum.abandoned),
            ("devices in the largest group", sum.largest, "histories that failed", failed as u64),
        ];
        writeln!(f, "{} histories of {} steps in {:.0?}", self.told.len(), self.steps, self.took)?;
        for (left, a, right, b) in rows {
            writeln!(f, "  {left:<30} {a:>9}    {right:<30} {b:>9}")?;
        }
        if let Some(slowest) = self.told.iter().max_by_key(|told| told.took) {
            writeln!(f, "  slowest: seed {} in {:.1?}", slowest.seed, slowest.took)?;
        }
        match failed {
            0 => write!(f, "  every invariant held"),
            _ => write!(f, "  {failed} FAILED"),
        }
    }
}
