//! Where the kills hit.

use std::collections::BTreeMap;
use std::fmt;

/// How far an operation had come when its process was killed, by the last thing that the process said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It had not begun to write.
    Before,
    /// It was about to write or writing, and nothing of it was there afterwards.
    WritingLost,
    /// It was about to write or writing, and all of it was there afterwards.
    WritingKept,
    /// It had written, and its answer was not out.
    Unanswered,
    /// The answer was out.
    Answered,
}

const STAGES: [(Stage, &str); 5] = [
    (Stage::Before, "before"),
    (Stage::WritingLost, "in write, lost"),
    (Stage::WritingKept, "in write, kept"),
    (Stage::Unanswered, "written"),
    (Stage::Answered, "answered"),
];

/// Kills, by operation and stage.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(&'static str, Stage), u64>);

impl Tally {
    pub fn count(&mut self, operation: &'static str, stage: Stage) {
        *self.0.entry((operation, stage)).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn of_stage(&self, stage: Stage) -> u64 {
        self.0.iter().filter(|((_, of), _)| *of == stage).map(|(_, count)| count).sum()
    }

    pub fn of_operation(&self, operation: &str) -> u64 {
        self.0.iter().filter(|((of, _), _)| *of == operation).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12}", "killed in")?;
        STAGES.iter().try_for_each(|(_, name)| write!(f, "{name:>16}"))?;
        writeln!(f, "{:>8}", "all")?;
        let mut operations: Vec<&str> = self.0.keys().map(|(operation, _)| *operation).collect();
        operations.dedup();
        for operation in operations {
            write!(f, "{operation:<12}")?;
            for (stage, _) in STAGES {
                write!(f, "{:>16}", self.0.get(&(operation, stage)).unwrap_or(&0))?;
            }
            writeln!(f, "{:>8}", self.of_operation(operation))?;
        }
        write!(f, "{:<12}", "all")?;
        STAGES.iter().try_for_each(|(stage, _)| write!(f, "{:>16}", self.of_stage(*stage)))?;
        write!(f, "{:>8}", self.total())
    }
}
