//! Many devices, a bad line, a lying hub, crashes: `cargo run --release --example simulate -- --seeds 200 --steps 2000`.
//!
//! A history is random and depends on its seed alone, to the byte. A ledger follows it without asking the clients, and
//! says what each must have told its user; `docs/simulation.md` has the whole.
//!
//! - [`actions`], [`lies`]: what users, strangers and the hub do
//! - [`world`]: what goes out and comes in
//! - [`network`]: the line and the hub
//! - [`device`]: a client over a store whose power can go
//! - [`history`], [`ledger`]: the oracle
//! - [`quiet`]: what must hold when all is quiet
//! - [`report`], [`trace`], [`options`]: what is printed

mod actions;
mod device;
pub(crate) mod history;
pub(crate) mod ledger;
mod lies;
pub(crate) mod network;
mod options;
mod outcome;
mod quiet;
mod report;
pub(crate) mod run;
mod trace;
pub(crate) mod world;

use std::process::ExitCode;
use std::time::Instant;
use std::{env, io};

use options::{HELP, Options};
use report::Summary;

fn main() -> ExitCode {
    let options = match Options::parse(env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let start = Instant::now();
    let told = run::all(&options, &mut io::stderr());
    for told in &told {
        if options.digests || options.trace {
            println!("seed {}: {}", told.seed, told.digest);
        }
        if let Some((step, what)) = &told.failure {
            println!("seed {} failed at step {step}: {what}", told.seed);
            println!(
                "replay: cargo run --release --example simulate -- --seed {} --steps {}",
                told.seed, options.steps
            );
        }
    }
    println!("{}", Summary { told: &told, steps: options.steps, took: start.elapsed() });
    if told.iter().any(|told| told.failure.is_some()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
