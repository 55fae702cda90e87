//! What only someone inside the code, or an insider who writes their own, can make.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::chain::{Position, key_and_nonce, signature_input};
use super::frame::{CLEAR, EpochContext, aad, clear_bytes};
use super::{Frame, ReceivingChain, ReceivingChains};
use crate::crypto::aead;
use crate::crypto::kdf::{Expander, chain_step, sha256};
use crate::crypto::sign::SigningKey;
use crate::error::ErrorKind;
use crate::ids::{Epoch, Generation, GroupId, LeafIndex};
use crate::limits::MESSAGE_CONTENT;
use crate::padding::pad;
use crate::secret::Secret;

const LEAF: LeafIndex = LeafIndex(3);

fn epoch() -> EpochContext {
    EpochContext::new(GroupId([1; 16]), Epoch(0x1_0000_0002), [2; 32], Secret::from_bytes(&mut [3; 32]))
}

/// A correctly encrypted and signed frame around whatever stands where the padded content belongs.
fn frame_around(padded: &[u8], generation: u32, signing: &SigningKey) -> Vec<u8> {
    let (mut chain_key, mut message_key) = ([4; 32], [0; 32]);
    for _ in 0..=generation {
        chain_step(&mut chain_key, &mut message_key);
    }
    let (epoch, salt) = (epoch(), [9; 16]);
    let at = Position { leaf: LEAF, generation: Generation(generation) };
    let clear = clear_bytes(&epoch, &salt, at.leaf, at.generation);
    let mut out = [&clear[..], padded].concat();
    out.extend_from_slice(signing.sign(&signature_input(epoch.context_hash(), at, &salt, &sha256(padded))).as_bytes());
    let mut key = [0; 32];
    let nonce = key_and_nonce(&Expander::new(&message_key), &salt, &mut key);
    aead::seal_in_place(&key, &nonce, aad(epoch.context_hash(), &clear).as_slice(), &mut out, CLEAR);
    out
}

#[test]
fn a_sender_who_pads_otherwise_or_says_too_much_is_refused_without_effect() {
    let signing = SigningKey::generate(&mut StdRng::seed_from_u64(1));
    let mut reader = ReceivingChains::new();
    let chain_key = Secret::from_bytes(&mut [4; 32]);
    reader.insert(LEAF, ReceivingChain::new(chain_key, signing.verify_key().clone()));

    let good = pad(&[7; 100]);
    let mut dirty = good.clone();
    *dirty.last_mut().unwrap() = 1;
    let long = [&good[..], &[0]].concat();
    let short = &good[..102];
    let too_much = pad(&vec![7; MESSAGE_CONTENT + 1]);
    for (padded, kind) in [
        (&dirty[..], ErrorKind::Malformed),
        (&long, ErrorKind::Malformed),
        (short, ErrorKind::Malformed),
        (&too_much, ErrorKind::Limit),
    ] {
        let error = reader.decrypt(&epoch(), &frame_around(padded, 0, &signing)).unwrap_err();
        assert_eq!(error.kind(), kind);
        let chain = reader.get(LEAF).unwrap();
        assert_eq!((chain.next(), chain.chain_key().expose()), (Generation(0), &[4; 32]));
    }
    assert_eq!(reader.decrypt(&epoch(), &frame_around(&good, 0, &signing)).unwrap().content, [7; 100]);
}

#[test]
fn the_layout_is_the_documented_one() {
    let signing = SigningKey::generate(&mut StdRng::seed_from_u64(2));
    let bytes = frame_around(&pad(b"abc"), 5, &signing);
    assert_eq!(bytes.len(), 125 + pad(b"abc").len());
    assert_eq!(bytes[0], 0x11);
    assert_eq!(bytes[1..17], [1; 16]);
    assert_eq!(bytes[17..21], [0, 0, 0, 2]);
    assert_eq!(bytes[21..37], [9; 16]);
    let mut header = bytes[37..45].try_into().unwrap();
    aead::mask_header(&[3; 32], &[9; 16], &mut header);
    assert_eq!(header, [0, 0, 0, 3, 0, 0, 0, 5]);
    assert_eq!(Frame::parse(&bytes).unwrap().unmask(&epoch()), (LEAF, Generation(5)));
}

#[test]
fn no_debug_output_shows_a_key() {
    let signing = SigningKey::from_seed(&[4; 32]);
    let chain = super::SendingChain::new(LEAF, Secret::from_bytes(&mut [4; 32]), signing);
    let sender_key = chain.sender_key();
    let receiving = ReceivingChain::from_sender_key(chain.sender_key());
    let shown = format!("{:?} {chain:?} {sender_key:?} {receiving:?}", epoch());
    for secret in ["[3, 3", "0303", "[4, 4", "0404"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
