//! SHA-256, HMAC, HKDF and what the protocol builds on them.

use super::{unhex, unhex_array};
use crate::crypto::kdf::{Expander, chain_step, expand_label, extract, hash, hmac, hmac_matches, sha256};
use crate::labels;
use crate::wire::labelled;

/// A key or salt shorter than 32 bytes: HMAC pads with zeros, so this is the same key.
fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..bytes.len()].copy_from_slice(bytes);
    key
}

fn expand(prk: &str, info: &[u8], length: usize) -> Vec<u8> {
    let mut okm = vec![0; length];
    Expander::new(&unhex_array(prk)).expand_info(&[info], &mut okm);
    okm
}

#[test]
fn sha_256_of_abc() {
    assert_eq!(sha256(b"abc"), unhex_array("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

/// RFC 4231, the cases whose keys are at most 32 bytes.
#[test]
fn rfc_4231() {
    let cases: [(&[u8], &[u8], &str); 5] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            &unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    ];
    for (key, message, tag) in cases {
        let tag = unhex(tag);
        let ours = hmac(&padded(key), &[message]);
        assert_eq!(ours[..tag.len()], tag);
        let (a, b) = message.split_at(3);
        assert_eq!(hmac(&padded(key), &[a, b"", b]), ours);
        assert!(hmac_matches(&padded(key), message, &ours));
    }
}

/// RFC 5869, appendices A.1 to A.3. The salt of A.2 is longer than any of ours, so only its expansion is reached.
#[test]
fn rfc_5869() {
    let prk = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
    let salt = padded(&unhex("000102030405060708090a0b0c"));
    assert_eq!(extract(&salt, &[0x0b; 22]).expose(), &unhex_array(prk));
    let okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(expand(prk, &unhex("f0f1f2f3f4f5f6f7f8f9"), 42), unhex(okm));

    let prk = "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244";
    let info: Vec<u8> = (0xb0..=0xff).collect();
    let okm = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
               da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87";
    assert_eq!(expand(prk, &info, 82), unhex(okm));

    let prk = "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04";
    assert_eq!(extract(&[0; 32], &[0x0b; 22]).expose(), &unhex_array(prk));
    let okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(expand(prk, b"", 42), unhex(okm));
}

#[test]
fn an_info_in_parts_is_their_concatenation() {
    let mut whole = [0; 44];
    let mut parts = [0; 44];
    Expander::new(&[1; 32]).expand_info(&[b"abcdef"], &mut whole);
    Expander::new(&[1; 32]).expand_info(&[b"ab", b"", b"cdef"], &mut parts);
    assert_eq!(whole, parts);
}

/// `docs/protocol.md`, section 2.3: HKDF-Expand over array(label, context, length).
#[test]
fn expand_label_binds_label_context_and_length() {
    let key = [9; 32];
    let info = labelled(labels::SALT, 2, |w| {
        w.bytes(b"context").uint(16);
    });
    assert_eq!(info, [&[0x83, 0x64][..], b"salt", &[0x47], b"context", &[0x10]].concat());
    let mut expected = [0; 16];
    Expander::new(&key).expand_info(&[&info], &mut expected);
    let derived = expand_label::<16>(&key, labels::SALT, b"context");
    assert_eq!(derived.expose(), &expected);

    let longer = expand_label::<32>(&key, labels::SALT, b"context");
    assert_ne!(&longer.expose()[..16], &expected, "a longer output is not an extension of a shorter one");
    assert_ne!(expand_label::<16>(&key, labels::INIT, b"context").expose(), &expected);
    assert_ne!(expand_label::<16>(&key, labels::SALT, b"Context").expose(), &expected);
    assert_ne!(expand_label::<16>(&[8; 32], labels::SALT, b"context").expose(), &expected);
}

#[test]
fn a_labelled_hash_is_over_the_array() {
    let ours = hash(labels::SALT, 1, |w| {
        w.uint(24);
    });
    assert_eq!(ours, sha256(b"\x82\x64salt\x18\x18"));
}

#[test]
fn a_chain_step_is_two_macs() {
    let (mut chain_key, mut message_key) = ([5; 32], [0; 32]);
    chain_step(&mut chain_key, &mut message_key);
    assert_eq!(message_key, hmac(&[5; 32], &[&[1]]));
    assert_eq!(chain_key, hmac(&[5; 32], &[&[2]]));
}

#[test]
fn a_tag_matches_only_whole_and_unchanged() {
    let tag = hmac(&[1; 32], &[b"message"]);
    assert!(hmac_matches(&[1; 32], b"message", &tag));
    assert!(!hmac_matches(&[1; 32], b"messagE", &tag));
    assert!(!hmac_matches(&[2; 32], b"message", &tag));
    assert!(!hmac_matches(&[1; 32], b"message", b""));
    assert!(!hmac_matches(&[1; 32], b"message", &tag[..31]));
    assert!(!hmac_matches(&[1; 32], b"message", &[&tag[..], &[0]].concat()));
    for bit in 0..256 {
        let mut altered = tag;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!hmac_matches(&[1; 32], b"message", &altered));
    }
}

/// The features that make the libraries wipe their states on drop are on. A key's HMAC state is as good as the key.
#[test]
fn hash_and_cipher_states_are_wiped_on_drop() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<sha2::Sha256>();
    wiped::<sha2::Sha512>();
    wiped::<sha3::Sha3_256>();
    wiped::<chacha20::ChaChaCore<chacha20::R20, chacha20::variants::Ietf>>();
    wiped::<chacha20poly1305::ChaCha20Poly1305>();
    wiped::<chacha20poly1305::XChaCha20Poly1305>();
    wiped::<ed25519_dalek::SigningKey>();
}
