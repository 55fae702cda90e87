//! One piece of work per run, for Callgrind to count the instructions of: `bash benches/guard/check`.
//!
//! Only what [`measured`] runs is counted. All randomness is seeded and no clock is read, so that a count is the same in
//! every run of the same build.

mod groups;
mod messages;
mod seals;

use std::process::ExitCode;

/// Sets the work up, and has it [`measured`].
type Work = fn();

const WORKS: &[(&str, Work)] = &[
    ("encrypt-256", || messages::encrypt(256)),
    ("encrypt-16384", || messages::encrypt(16_384)),
    ("decrypt-256", || messages::decrypt(256)),
    ("decrypt-16384", || messages::decrypt(16_384)),
    ("decrypt-late-256", messages::decrypt_late),
    ("batch-1-sender-256", || messages::batch(1, 256)),
    ("batch-8-senders-256", || messages::batch(8, 256)),
    ("batch-20-senders-256", || messages::batch(20, 256)),
    ("batch-1-sender-16384", || messages::batch(1, 16_384)),
    ("say-64", groups::say),
    ("hear-back-64", groups::hear_back),
    ("read-64", groups::read),
    ("seal-x25519-100", seals::x25519),
    ("seal-xwing-1", seals::xwing),
    ("remove-at-100", groups::remove),
    ("receive-commit-at-100", groups::receive_commit),
    ("join-at-100", groups::join),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "list" {
        WORKS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some((_, work)) = WORKS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("no such work: {wanted:?}; see `list`");
        return ExitCode::FAILURE;
    };
    work();
    ExitCode::SUCCESS
}

/// What is counted: Callgrind is told this function's name. It is one function whatever it runs, and never inlined.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}
