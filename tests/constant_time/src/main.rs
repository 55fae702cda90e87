//! One path of the library per run, with its secrets hidden from memcheck: `bash tests/constant_time/run`.
//!
//! `docs/secrets.md` says how this works, what it found and what it cannot see.

mod controls;
mod group;
mod messages;
mod poison;
mod sealed;

use std::process::ExitCode;

type Path = (&'static str, fn());

/// Memcheck must report something for these, or it is not watching.
const REPORTED: &[Path] = &[("control-branch", controls::branch), ("control-index", controls::index)];

/// Memcheck must report nothing for these but what `allowed.supp` explains.
const QUIET: &[Path] = &[
    ("control-compare", controls::compare),
    ("encrypt-frame", messages::encrypt),
    ("decrypt-frame", messages::decrypt),
    ("decrypt-batch", messages::decrypt_batch),
    ("refuse-frame", messages::refuse),
    ("own-frame", messages::examine),
    ("header-mask", messages::mask),
    ("sender-key", messages::sender_key),
    ("seal-x25519", sealed::seal_x25519),
    ("open-x25519", sealed::open_x25519),
    ("refuse-x25519", sealed::refuse_x25519),
    ("seal-xwing", sealed::seal_xwing),
    ("open-xwing", sealed::open_xwing),
    ("store-at-rest", sealed::store_at_rest),
    ("restore-group", group::restore),
    ("make-commit", group::commit),
    ("process-commit", group::process),
    ("export", group::export),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "list" {
        REPORTED.iter().for_each(|(name, _)| println!("reported {name}"));
        QUIET.iter().for_each(|(name, _)| println!("quiet {name}"));
        return ExitCode::SUCCESS;
    }
    let Some((_, path)) = REPORTED.iter().chain(QUIET).find(|(name, _)| *name == wanted) else {
        eprintln!("no such path: {wanted:?}; see `list`");
        return ExitCode::FAILURE;
    };
    assert!(poison::watched(), "run me under Valgrind: bash tests/constant_time/run");
    path();
    ExitCode::SUCCESS
}
