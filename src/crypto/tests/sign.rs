//! Ed25519 signatures one at a time: published vectors, and the one verification rule (section 2.1).

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;

use super::{text, unhex, unhex_array, vectors};
use crate::crypto::sign::{
    Equation, KnownKeys, Signature, SignatureInput, SigningKey, VerifyKey, is_canonical, verify_equations,
};
use crate::error::{ErrorKind, Result};
use crate::labels;
use crate::wire::{Wire, Writer};

/// Verifies alone and through the batch equation, which must agree.
pub(super) fn verify(key: [u8; 32], message: &[u8], signature: [u8; 64]) -> Result<()> {
    let key = VerifyKey::from_bytes(key)?;
    let signature = Signature::from_bytes(signature);
    let single = key.verify_bytes(message, &signature);
    let batch = Equation::new(&key, message, &signature).and_then(|equation| verify_equations(&[equation]));
    assert_eq!(single.is_ok(), batch.is_ok());
    single
}

#[test]
fn rfc_8032_section_7_1() {
    let all = vectors(include_str!("../../../tests/vectors/ed25519-rfc8032.json"));
    assert_eq!(all.len(), 5);
    for vector in &all {
        let key = unhex_array(text(vector, "key"));
        let message = unhex(text(vector, "message"));
        let signature = unhex_array(text(vector, "signature"));
        verify(key, &message, signature).unwrap();

        let signing = SigningKey::from_seed(&unhex_array(text(vector, "seed")));
        assert_eq!(signing.verify_key().as_bytes(), &key);
        assert_eq!(signing.expose_seed(), &unhex_array::<32>(text(vector, "seed")));
        assert_eq!(signing.sign_bytes(&message).as_bytes(), &signature);
    }
}

/// Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs" (2020), table 6. Cases 2 to 5 satisfy the cofactored
/// equation with a key of mixed order; a small R is no reason to refuse. All else breaks one of our three checks.
#[test]
fn taming_the_many_eddsas() {
    const ACCEPTED: [bool; 12] = [false, false, true, true, true, true, false, false, false, false, false, false];
    let all = vectors(include_str!("../../../tests/vectors/ed25519-speccheck.json"));
    assert_eq!(all.len(), ACCEPTED.len());
    for (vector, accepted) in all.iter().zip(ACCEPTED) {
        let verdict = verify(
            unhex_array(text(vector, "key")),
            &unhex(text(vector, "message")),
            unhex_array(text(vector, "signature")),
        );
        assert_eq!(verdict.is_ok(), accepted, "{}", text(vector, "what"));
    }
}

/// Why each of the refused cases is refused.
#[test]
fn each_refused_case_breaks_the_check_it_was_made_for() {
    let all = vectors(include_str!("../../../tests/vectors/ed25519-speccheck.json"));
    for (case, vector) in all.iter().enumerate() {
        let key = VerifyKey::from_bytes(unhex_array(text(vector, "key")));
        let small_or_not_canonical_key = matches!(case, 0 | 1 | 10 | 11);
        assert_eq!(key.is_err(), small_or_not_canonical_key, "case {case}");
        if let Ok(key) = key {
            let signature = Signature::from_bytes(unhex_array(text(vector, "signature")));
            let encodings = Equation::new(&key, &unhex(text(vector, "message")), &signature);
            assert_eq!(encodings.is_err(), matches!(case, 6..=9), "case {case}");
        }
    }
}

/// y from p to 2²⁵⁵ − 1, and the two x = 0 with a sign: twice the 19 and 2 encodings that are not the one encoding.
#[test]
fn encodings_that_are_not_canonical() {
    for y in 0..19u8 {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed + y;
        for last in [0x7f, 0xff] {
            bytes[31] = last;
            assert!(!is_canonical(&bytes));
            assert_eq!(VerifyKey::from_bytes(bytes).unwrap_err().kind(), ErrorKind::Malformed);
        }
    }
    let one: [u8; 32] = unhex_array("0100000000000000000000000000000000000000000000000000000000000000");
    let minus_one: [u8; 32] = unhex_array("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    for mut bytes in [one, minus_one] {
        assert!(is_canonical(&bytes));
        bytes[31] |= 0x80;
        assert!(!is_canonical(&bytes));
    }
    // The neighbours of every special case are ordinary.
    for text in [
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0200000000000000000000000000000000000000000000000000000000000080",
        "0101000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000081",
        "ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeff",
        "edfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7e",
    ] {
        assert!(is_canonical(&unhex_array(text)), "{text}");
    }
}

/// `is_canonical` agrees with decompressing and compressing again, on all that decompress among the edge cases.
#[test]
fn canonical_means_what_compression_gives() {
    for first in 0..=255u8 {
        for fill in [0x00, 0xff] {
            for last in [0x00, 0x80, 0x7f, 0xff] {
                let mut bytes = [fill; 32];
                bytes[0] = first;
                bytes[31] = last;
                if let Some(point) = CompressedEdwardsY(bytes).decompress() {
                    assert_eq!(is_canonical(&bytes), point.compress().0 == bytes, "{bytes:02x?}");
                }
            }
        }
    }
}

#[test]
fn a_key_of_small_order_is_refused_however_written() {
    for torsion in EIGHT_TORSION {
        let bytes = torsion.compress().0;
        assert_eq!(VerifyKey::from_bytes(bytes).unwrap_err().kind(), ErrorKind::Malformed);
        let mut w = Writer::new();
        w.bytes(&bytes);
        assert!(VerifyKey::decode(&w.finish()).is_err());
    }
}

#[test]
fn bytes_off_the_curve_are_no_key() {
    let mut bytes = [0; 32];
    bytes[0] = 2;
    assert!(CompressedEdwardsY(bytes).decompress().is_none());
    assert_eq!(VerifyKey::from_bytes(bytes).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn the_input_is_47_bytes_over_the_labelled_hash() {
    let input = SignatureInput::new(labels::SIGN_LEAF, 1, |w| {
        w.bytes(b"body");
    });
    let hash = crate::crypto::kdf::sha256(b"\x82\x69sign leaf\x44body");
    assert_eq!(input.as_bytes()[..], [&b"convivio sig 1\0"[..], &hash].concat());
}

#[test]
fn every_flipped_bit_is_refused() {
    let key = SigningKey::from_seed(&[7; 32]);
    let input = SignatureInput::of_digest(&[1; 32]);
    let signature = key.sign(&input);
    key.verify_key().verify(&input, &signature).unwrap();
    for bit in 0..512 {
        let mut altered = *signature.as_bytes();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = key.verify_key().verify(&input, &Signature::from_bytes(altered)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthentic);
    }
    assert!(key.verify_key().verify(&SignatureInput::of_digest(&[2; 32]), &signature).is_err());
    assert!(SigningKey::from_seed(&[8; 32]).verify_key().verify(&input, &signature).is_err());
}

/// The cofactor gives a stranger no second signature: R is hashed, so moving it by small order changes k.
#[test]
fn only_the_signer_can_move_r_by_small_order() {
    let key = SigningKey::from_seed(&[7; 32]);
    let input = SignatureInput::of_digest(&[1; 32]);
    let signature = *key.sign(&input).as_bytes();
    let r = CompressedEdwardsY(signature[..32].try_into().unwrap()).decompress().unwrap();
    for torsion in &EIGHT_TORSION[1..] {
        let mut moved = signature;
        moved[..32].copy_from_slice((r + torsion).compress().as_bytes());
        assert!(key.verify_key().verify(&input, &Signature::from_bytes(moved)).is_err());
    }
}

#[test]
fn a_signing_key_gives_the_public_key_that_parsing_gives() {
    let signing = SigningKey::from_seed(&[9; 32]);
    let parsed = VerifyKey::from_bytes(*signing.verify_key().as_bytes()).unwrap();
    assert_eq!(&parsed, signing.verify_key());
    assert_eq!(VerifyKey::decode(&parsed.encode()).unwrap(), parsed);
    let input = SignatureInput::of_digest(&[1; 32]);
    let signature = signing.sign(&input);
    parsed.verify(&input, &signature).unwrap();
    assert_eq!(Signature::decode(&signature.encode()).unwrap(), signature);
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", SigningKey::from_seed(&[0x5a; 32]));
    assert!(!shown.contains("5a5a") && !shown.contains("90, 90"), "{shown}");
}

#[test]
fn known_keys_are_those_that_are_valid_and_no_others() {
    let good = SigningKey::from_seed(&[7; 32]).verify_key().clone();
    let known = KnownKeys::default();
    for _ in 0..2 {
        known.while_reading(|| {
            let key = VerifyKey::from_bytes(*good.as_bytes()).unwrap();
            let message = b"known or not";
            let signature = SigningKey::from_seed(&[7; 32]).sign_bytes(message);
            key.verify_bytes(message, &signature).unwrap();
            // Of small order, in two encodings, and not on the curve.
            for first in [0, 1, 2] {
                let mut bad = [0; 32];
                bad[0] = first;
                let point = CompressedEdwardsY(bad).decompress();
                assert!(point.is_none_or(|point| point.is_small_order()));
                assert_eq!(VerifyKey::from_bytes(bad).unwrap_err().kind(), ErrorKind::Malformed);
                // One bit away from a key that is known.
                let mut near = *good.as_bytes();
                near[usize::from(first)] ^= 1;
                assert!(
                    VerifyKey::from_bytes(near).is_ok_and(|key| key != good)
                        || CompressedEdwardsY(near).decompress().is_none()
                );
            }
        });
    }
}

#[test]
fn keys_are_known_only_while_their_value_is_read() {
    let holds = |known: &KnownKeys, seed: u8| {
        let key = SigningKey::from_seed(&[seed; 32]);
        known.while_reading(|| KnownKeys::find(key.verify_key().as_bytes()).is_some())
    };
    let read = |seed: u8| VerifyKey::from_bytes(*SigningKey::from_seed(&[seed; 32]).verify_key().as_bytes()).unwrap();
    let (outer, inner) = (KnownKeys::default(), KnownKeys::default());
    outer.while_reading(|| {
        inner.while_reading(|| read(1));
        read(2);
        // A panic that somebody catches, as the pool of threads does.
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inner.while_reading(|| panic!("torn"))));
        assert!(unwound.is_err());
        read(3);
    });
    read(4);
    assert_eq!([1, 2, 3, 4].map(|seed| holds(&outer, seed)), [false, true, true, false]);
    assert_eq!([1, 2, 3, 4].map(|seed| holds(&inner, seed)), [true, false, false, false]);
}
