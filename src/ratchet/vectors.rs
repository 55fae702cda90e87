//! Known answers for whoever writes another implementation: `tests/vectors/ratchet.json`.
//!
//! Every step of three messages under fixed keys. To write the file anew after a deliberate change of the protocol,
//! run this test with `CONVIVIO_WRITE_VECTORS=1`.

use core::convert::Infallible;
use core::fmt::Write as _;

use rand::{TryCryptoRng, TryRng};

use super::chain::{Position, key_and_nonce, signature_input};
use super::frame::{CLEAR, EpochContext, aad};
use super::{Frame, ReceivingChain, ReceivingChains, SendingChain};
use crate::crypto::kdf::{Expander, chain_step, sha256};
use crate::crypto::sign::SigningKey;
use crate::ids::{Epoch, GroupId, LeafIndex};
use crate::padding::pad;
use crate::secret::Secret;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/ratchet.json");

#[test]
fn the_vectors_hold() {
    let made = vectors();
    if std::env::var_os("CONVIVIO_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    assert_eq!(made, std::fs::read_to_string(FILE).unwrap());
}

fn vectors() -> String {
    let epoch = EpochContext::new(GroupId([4; 16]), Epoch(0x1_0000_0005), [3; 32], Secret::from_bytes(&mut [2; 32]));
    let mut chain = SendingChain::new(LeafIndex(7), Secret::from_bytes(&mut [1; 32]), SigningKey::from_seed(&[5; 32]));
    let mut reader = ReceivingChains::new();
    reader.insert(LeafIndex(7), ReceivingChain::from_sender_key(chain.sender_key()));

    let mut json = String::from("{\n");
    json.push_str("  \"about\": \"docs/protocol.md, section 6; every value is hexadecimal\",\n");
    field(&mut json, 2, "group", &[4; 16]);
    field(&mut json, 2, "epoch", &epoch.epoch().0.to_be_bytes());
    field(&mut json, 2, "context_hash", epoch.context_hash());
    field(&mut json, 2, "header_key", epoch.header_key().expose());
    field(&mut json, 2, "leaf", &chain.leaf().0.to_be_bytes());
    field(&mut json, 2, "signing_seed", &[5; 32]);
    field(&mut json, 2, "verify_key", chain.verify_key().as_bytes());
    field(&mut json, 2, "sender_key_bytes", &chain.sender_key().to_secret_bytes());
    json.push_str("  \"messages\": [\n");
    for (n, content) in [&b""[..], b"hello", &[0x61; 200]].into_iter().enumerate() {
        json.push_str(if n == 0 { "    {\n" } else { ",\n    {\n" });
        chain = message(&mut json, &epoch, chain, content, n as u8);
        let frame = json.rsplit('"').nth(1).map(unhex).unwrap();
        assert_eq!(reader.decrypt(&epoch, &frame).unwrap().content, content);
    }
    json.push_str("\n  ]\n}\n");
    json
}

/// All steps of one message.
fn message(json: &mut String, epoch: &EpochContext, chain: SendingChain, content: &[u8], n: u8) -> SendingChain {
    let at = Position { leaf: chain.leaf(), generation: chain.generation() };
    let mut message_key = [0; 32];
    chain_step(&mut chain.chain_key().expose().clone(), &mut message_key);
    field(json, 6, "generation", &at.generation.0.to_be_bytes());
    field(json, 6, "chain_key", chain.chain_key().expose());
    field(json, 6, "message_key", &message_key);
    field(json, 6, "random", &[0xa0 | n; 32]);
    field(json, 6, "content", content);

    let padded = pad(content);
    let (bytes, next) = chain.encrypt(epoch, content, &mut Always(0xa0 | n)).unwrap();
    let frame = Frame::parse(&bytes).unwrap();
    let (claim, mut key) = (frame.claim(epoch).unwrap(), [0; 32]);
    let nonce = key_and_nonce(&Expander::new(&message_key), &claim.salt, &mut key);
    field(json, 6, "padded_content", &padded);
    field(json, 6, "salt", &claim.salt);
    field(json, 6, "key", &key);
    field(json, 6, "nonce", &nonce);
    field(json, 6, "aad", aad(epoch.context_hash(), bytes.first_chunk::<CLEAR>().unwrap()).as_slice());
    field(json, 6, "signed", signature_input(epoch.context_hash(), at, &claim.salt, &sha256(&padded)).as_bytes());
    field(json, 6, "frame", &bytes);
    json.truncate(json.len() - 2);
    json.push_str("\n    }");
    next
}

fn field(json: &mut String, indent: usize, name: &str, value: &[u8]) {
    write!(json, "{:indent$}\"{name}\": \"", "").unwrap();
    value.iter().for_each(|byte| write!(json, "{byte:02x}").unwrap());
    json.push_str("\",\n");
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The same byte for ever.
struct Always(u8);

impl TryRng for Always {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Always {}
