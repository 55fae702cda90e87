//! Every input that the fuzz targets know, replayed on any compiler.

#![cfg(feature = "redb")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers may fail the test")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn replay(name: &str) {
    let target = fuzz::TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut files = 0;
    for file in fs::read_dir(corpus(name)).unwrap() {
        let path = file.unwrap().path();
        // If one of them panics, this is the one.
        println!("{}", path.display());
        (target.run)(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0, "an empty corpus");
}

macro_rules! replays {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })+

        #[test]
        fn no_target_is_forgotten() {
            let replayed = [$(stringify!($name)),+];
            assert!(fuzz::TARGETS.iter().all(|target| replayed.contains(&target.name)));
            assert_eq!(replayed.len(), fuzz::TARGETS.len());
        }
    };
}

replays!(
    envelope_open,
    message_receive,
    commit_receive,
    welcome,
    control_plane,
    store_record,
    group_ops,
    hostile_commit,
    welcome_by_hand,
    request_by_hand,
    identity_chain,
    one_encoding,
    text,
    envelope_by_hand,
    frame_by_hand,
    ratchet_ops,
    receive_order,
    hub_posts,
    store_ops,
    sealed_store,
    content,
    attachment,
    report,
);

/// Otherwise the seeds no longer reach what they were made for: write them anew, as `fuzz/README.md` says.
#[test]
fn the_seeds_are_those_of_this_version() {
    for target in fuzz::TARGETS {
        for (name, bytes) in (target.seeds)() {
            let stored = fs::read(corpus(target.name).join(&name)).unwrap_or_default();
            assert!(stored == bytes, "{}/{name} is out of date", target.name);
        }
    }
}
