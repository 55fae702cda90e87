//! convivio and its peers, measured side by side. See README.md.

mod machine;
mod peers;
mod report;
mod results;
mod run;
mod sqlite;
mod works;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use crate::run::{Bench, Part};

/// Measures convivio and its peers side by side: progress on stderr, a Markdown table on stdout.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    /// Fewer rounds: about five minutes instead of half an hour
    #[arg(long)]
    quick: bool,
    /// Write the medians to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Threads for libraries that use several; with one, everyone is measured on one core
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    threads: usize,
    /// Put stores on disk into this directory, and not where temporary files go
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    // openmls and mls-rs give work to the pool that they are called in.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).stack_size(8 << 20).build()?;
    let machine = machine::describe(options.threads);
    let results = pool.install(|| measure(&options)).map_err(|error| error.to_string())?;
    println!("{}", report::markdown(&results, &machine));
    if let Some(path) = &options.json {
        fs::write(path, report::json(&results))?;
    }
    Ok(())
}

fn measure(options: &Options) -> std::io::Result<results::Results> {
    let dir = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let peers = peers::all();
    let (started, results) = (Instant::now(), results::Results::default());
    let mut bench = Bench { peers: &peers, quick: options.quick, dir: dir.path(), started, results };
    let all = Part::value_variants();
    let chosen = if options.only.is_empty() { all } else { options.only.as_slice() };
    chosen.iter().for_each(|part| bench.run(*part));
    let mut results = bench.results;
    for peer in &peers {
        peer.notes().into_iter().for_each(|note| results.note(format!("{}: {note}", peer.name())));
    }
    eprintln!("[{:>4} s] done", started.elapsed().as_secs());
    Ok(results)
}
