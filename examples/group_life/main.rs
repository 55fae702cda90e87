//! Everything that people do in a group, in one group of three apps that do not show the same things.
//!
//! Maria's photo app shows everything. Bob's courier app knows no polls and no Markdown. The shop's support desk shows plain
//! text and nothing else. One conversation, and each shows what it can.
//!
//! `cargo run --release --example group_life`

mod chapters;
mod stage;

use std::io::{self, Write};
use std::process::ExitCode;

use stage::Stage;

/// What goes wrong is told and ends the story.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match play(&mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the story; whether everything was as it should be.
pub(crate) fn play(out: &mut dyn Write) -> Outcome<bool> {
    let mut stage = Stage::new(out)?;
    chapters::people_come(&mut stage)?;
    chapters::they_talk(&mut stage)?;
    chapters::they_vote(&mut stage)?;
    chapters::they_send_a_file(&mut stage)?;
    chapters::they_make_sure(&mut stage)?;
    chapters::someone_gets_a_second_device(&mut stage)?;
    chapters::someone_loses_everything(&mut stage)?;
    chapters::something_is_reported(&mut stage)?;
    chapters::they_govern(&mut stage)?;
    stage.end()
}
