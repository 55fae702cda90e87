//! What each fuzz target does with its input, and the seeds it starts from.
//!
//! The crate's tests include this file and replay every corpus through the same functions, on the stable compiler and
//! without a fuzzer. Nothing here or in the crate depends on a fuzzing build: what is fuzzed is what ships.
//!
//! An input is *raw* (bytes as they come from a hub), or *an insider's*: what someone who is in the group and holds
//! every key of its own puts inside valid encryption and signatures. The second kind is what reaches the rules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a finding is a panic, and the people of this town are made up"
)]

pub mod commit_receive;
pub mod control_plane;
pub mod envelope_open;
pub mod message_receive;
pub mod store_record;
mod town;
pub mod welcome;

/// Named inputs.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// One target: its name, which is also its corpus', what it does, and its seeds.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Seeds,
}

pub const TARGETS: [Target; 6] = [
    Target { name: "envelope_open", run: envelope_open::run, seeds: envelope_open::seeds },
    Target { name: "message_receive", run: message_receive::run, seeds: message_receive::seeds },
    Target { name: "commit_receive", run: commit_receive::run, seeds: commit_receive::seeds },
    Target { name: "welcome", run: welcome::run, seeds: welcome::seeds },
    Target { name: "control_plane", run: control_plane::run, seeds: control_plane::seeds },
    Target { name: "store_record", run: store_record::run, seeds: store_record::seeds },
];

/// A seed of this kind: the kind byte, then the parts.
fn seed(name: &str, kind: u8, parts: &[&[u8]]) -> (String, Vec<u8>) {
    let mut bytes = vec![kind];
    bytes.extend(parts.concat());
    (name.to_owned(), bytes)
}

/// The first byte and the rest.
fn kind(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(kind, rest)| (*kind, rest))
}

/// A length in two bytes, that many bytes (or what there is), and the rest.
fn chunk(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = data.split_first_chunk() else { return (&[], &[]) };
    let len = usize::from(u16::from_be_bytes(*len));
    rest.split_at(len.min(rest.len()))
}

/// The opposite of [`chunk`].
fn chunked(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a seed is short");
    [&len.to_be_bytes(), bytes].concat()
}

/// `honest` with edits: each two bytes of position and one to XOR there. `None` if nothing came of them.
fn edited(honest: &[u8], edits: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = honest.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[at] ^= edit[2];
    }
    (bytes != honest).then_some(bytes)
}
