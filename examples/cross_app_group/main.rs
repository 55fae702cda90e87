//! A real conversation across apps, from a script: `cargo run --release --example cross_app_group`.
//!
//! The people of the script use different apps, each with its own root key and no server in common but a relay. Every
//! device keeps its state in an encrypted file. What they do is printed, then what the relay learned, then what was
//! checked; the exit code is 1 if a check fails or the script cannot be played.
//!
//! - [`script`]: the script's format, documented at the head of `conversation.txt`
//! - [`play`]: what happens, line by line
//! - [`people`]: a person with a device and its file
//! - [`relay`]: the relay, and every byte it held

mod people;
mod play;
mod relay;
mod script;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use people::Outcome;
use play::Play;

const HELP: &str = "\
Plays a conversation between users of several apps.

Usage: cross_app_group [--script FILE] [--dir DIR]

  --script FILE   the conversation; its format is at the head of examples/cross_app_group/conversation.txt,
                  which is played if none is named
  --dir DIR       where to leave the devices' stores; otherwise they go to a new directory, removed at the end";

fn main() -> ExitCode {
    run(env::args_os().skip(1), &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// The whole program: whether it went well.
pub(crate) fn run(args: impl Iterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let played = Options::parse(args).and_then(|options| match options {
        Some(options) => play(&options, out),
        None => Ok(writeln!(out, "{HELP}").map(|()| true)?),
    });
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let mut chain = Vec::new();
            let mut next: Option<&(dyn Error + 'static)> = Some(error.as_ref());
            while let Some(error) = next {
                chain.push(error);
                next = error.source();
            }
            if !chain.iter().any(|error| is_closed_pipe(*error)) {
                let said: Vec<String> = chain.iter().map(ToString::to_string).collect();
                // Without a standard error there is nobody to tell.
                let _ = writeln!(err, "error: {}", said.join(": "));
            }
            ExitCode::FAILURE
        }
    }
}

/// Whoever read the output has seen enough.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

struct Options {
    script: PathBuf,
    dir: Option<PathBuf>,
}

impl Options {
    /// None if help is asked for.
    fn parse(args: impl Iterator<Item = OsString>) -> Outcome<Option<Self>> {
        use lexopt::prelude::{Long, Short};
        let mut options =
            Self { script: Path::new(env!("CARGO_MANIFEST_DIR")).join("cross_app_group/conversation.txt"), dir: None };
        let mut args = lexopt::Parser::from_args(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("script") => options.script = args.value()?.into(),
                Long("dir") => options.dir = Some(args.value()?.into()),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(format!("{}; see --help", other.unexpected()).into()),
            }
        }
        Ok(Some(options))
    }
}

/// Plays a script; whether everything that was checked holds.
fn play(options: &Options, out: &mut dyn Write) -> Outcome<bool> {
    let steps = script::read(&options.script)?;
    let stores = Stores::new(options.dir.as_deref())?;
    let mut play = Play::new(stores.dir.clone(), out);
    for step in steps {
        let line = step.line;
        play.step(step).map_err(|error| Failed { at: format!("{}:{line}", options.script.display()), error })?;
    }
    let checks = play.finish()?.0;
    writeln!(out, "\nChecked")?;
    for (holds, what) in &checks {
        writeln!(out, "  {} {what}", if *holds { '✔' } else { '✘' })?;
    }
    if !stores.passing {
        writeln!(out, "\nThe stores are in {}, sealed under keys that were never written down", stores.dir.display())?;
    }
    Ok(checks.iter().all(|(holds, _)| *holds))
}

/// A failure at a line of the script.
#[derive(Debug)]
struct Failed {
    at: String,
    error: Box<dyn Error>,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.at)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.error.as_ref())
    }
}

/// The directory of the stores: the one asked for, or a new one that is removed on drop.
struct Stores {
    dir: PathBuf,
    passing: bool,
}

impl Stores {
    fn new(asked: Option<&Path>) -> Outcome<Self> {
        let (dir, passing) = match asked {
            Some(dir) => (dir.to_owned(), false),
            None => (env::temp_dir().join(format!("convivio-{:016x}", rand::random::<u64>())), true),
        };
        let made = if passing { fs::create_dir(&dir) } else { fs::create_dir_all(&dir) };
        made.map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { dir, passing })
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        if self.passing {
            // Left behind, it is a few hundred kilobytes in the system's own directory for such things.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}
