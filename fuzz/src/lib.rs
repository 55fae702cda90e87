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

pub mod attachment;
mod by_hand;
mod cast;
mod cbor;
pub mod commit_receive;
pub mod content;
pub mod control_plane;
pub mod envelope_by_hand;
pub mod envelope_open;
pub mod frame_by_hand;
pub mod group_ops;
pub mod hostile_commit;
pub mod hub_posts;
pub mod identity_chain;
pub mod message_receive;
pub mod one_encoding;
mod proposals;
pub mod ratchet_ops;
pub mod receive_order;
pub mod report;
pub mod request_by_hand;
mod rules;
mod scene;
pub mod sealed_store;
pub mod store_ops;
pub mod store_record;
pub mod text;
mod town;
pub mod welcome;
pub mod welcome_by_hand;

/// Named inputs.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// One target: its name, which is also its corpus', what it does, and its seeds.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Seeds,
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        &[$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),+]
    };
}

pub const TARGETS: &[Target] = targets![
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
];

/// Seeds of a target that reads its input as choices: any bytes mean something, so these are any.
fn noise(lens: &[usize]) -> Seeds {
    use rand::{Rng, SeedableRng};
    let seed = |(n, len): (u64, &usize)| {
        let mut bytes = vec![0; *len];
        rand::rngs::StdRng::seed_from_u64(n).fill_bytes(&mut bytes);
        (format!("noise_{len}"), bytes)
    };
    (1..).zip(lens).map(seed).collect()
}

/// What makes `arbitrary` take this variant of so many.
fn choice(variant: u64, of: u64) -> [u8; 4] {
    let first = (variant << 32).div_ceil(of);
    u32::try_from(first).expect("a variant that there is").to_le_bytes()
}

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
