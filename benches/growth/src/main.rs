//! How the cost of messages and of changes grows with a group, and plots of it (`docs/performance.md`).

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench reports to people"
)]

#[path = "../../support/big_group.rs"]
mod big_group;
mod cost;
mod measure;
mod membership;
mod messages;
mod page;
mod plot;
mod replay;
mod rows;
mod table;
mod targets;
mod units;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use rows::Rows;

const USAGE: &str = "\
growth measure [--quick] [--json FILE]
    Measures, with progress on standard error and a Markdown table on standard output.
growth plot GROWTH.json [--peers PEERS.json] [--page FILE] --out FOLDER
    Draws what was measured, and renews the tables of a page.";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = lexopt::Parser::from_env();
    match args.next()? {
        Some(Value(command)) if command == "measure" => measure_all(args),
        Some(Value(command)) if command == "plot" => plot_all(args),
        _ => Err(USAGE.into()),
    }
}

fn measure_all(mut args: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let (mut quick, mut json) = (false, None);
    while let Some(arg) = args.next()? {
        match arg {
            Long("quick") => quick = true,
            Long("json") => json = Some(PathBuf::from(args.value()?)),
            _ => return Err(USAGE.into()),
        }
    }
    let rows = measure::run(quick)?;
    println!("{}", table::markdown(&rows));
    json.map_or(Ok(()), |path| rows.write(&path))
}

fn plot_all(mut args: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let (mut growth, mut peers, mut page, mut out) = (None, None, None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Value(path) if growth.is_none() => growth = Some(PathBuf::from(path)),
            Long("peers") => peers = Some(PathBuf::from(args.value()?)),
            Long("page") => page = Some(PathBuf::from(args.value()?)),
            Long("out") => out = Some(PathBuf::from(args.value()?)),
            _ => return Err(USAGE.into()),
        }
    }
    let growth = Rows::read(&growth.ok_or(USAGE)?)?;
    let peers = peers.map(|path| Rows::read(&path)).transpose()?;
    plot::all(&growth, peers.as_ref(), &out.ok_or(USAGE)?)?;
    page.map_or(Ok(()), |page| renew(&page, &growth, peers.as_ref()))
}

/// Puts the tables of these figures into a page.
fn renew(page: &Path, growth: &Rows, peers: Option<&Rows>) -> Result<(), Box<dyn Error>> {
    let parts = [("targets", targets::markdown(growth, peers)), ("growth", table::markdown(growth))];
    let text = fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    Ok(fs::write(page, page::fill(&text, &parts)?)?)
}
