//! The command line.

use std::error::Error;
use std::ffi::OsString;

pub(crate) const HELP: &str = "\
Plays random histories of groups over a bad line and a lying hub, and checks what must hold after each quiet period.

Usage: simulate [--seeds N] [--seed S] [--steps M] [--threads T] [--trace] [--digests]

  --seeds N     histories of seeds 0 to N-1 (default 20)
  --seed S      only the history of seed S; may be repeated
  --steps M     steps of each history (default 500)
  --threads T   how many at once (default: as many as there are processors); changes nothing else
  --trace       print the history of one seed, step by step
  --digests     print the digest of each history";

pub(crate) struct Options {
    pub(crate) seeds: Vec<u64>,
    pub(crate) steps: u64,
    pub(crate) threads: usize,
    pub(crate) trace: bool,
    pub(crate) digests: bool,
}

impl Options {
    /// None if help is asked for.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self { seeds: Vec::new(), steps: 500, threads, trace: false, digests: false };
        let mut count = 20;
        let mut args = lexopt::Parser::from_args(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("seeds") => count = args.value()?.parse()?,
                Long("seed") => options.seeds.push(args.value()?.parse()?),
                Long("steps") => options.steps = args.value()?.parse()?,
                Long("threads") => options.threads = args.value()?.parse::<usize>()?.max(1),
                Long("trace") => options.trace = true,
                Long("digests") => options.digests = true,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(format!("{}; see --help", other.unexpected()).into()),
            }
        }
        if options.seeds.is_empty() {
            options.seeds = (0..count).collect();
        }
        if options.trace && options.seeds.len() != 1 {
            return Err("--trace is for one --seed; see --help".into());
        }
        Ok(Some(options))
    }
}
