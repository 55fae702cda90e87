//! X-Wing and X25519 against other implementations of them, on honest and on hostile inputs.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use proptest::prelude::*;
use x_wing::{Decapsulator, KeyExport, TryDecapsulate};

use crate::Secret;
use crate::crypto::kem::{InitKey, InitSecret, SealKey, SealSecret, XWING_CIPHERTEXT};
use crate::error::ErrorKind;

/// Where the X25519 half begins.
const IN_KEY: usize = InitKey::LEN - 32;
const IN_CIPHERTEXT: usize = XWING_CIPHERTEXT - 32;

fn theirs(seed: [u8; 32]) -> x_wing::DecapsulationKeyRejectNonContrib {
    x_wing::DecapsulationKeyRejectNonContrib::from(seed)
}

fn ours(seed: [u8; 32]) -> InitSecret {
    InitSecret::from_secret(Secret::copy_from(&seed))
}

/// Both come to the same secret, or both refuse.
fn decapsulate_alike(seed: [u8; 32], ciphertext: &[u8; XWING_CIPHERTEXT]) {
    match theirs(seed).try_decapsulate(ciphertext.into()) {
        Ok(shared) => assert_eq!(ours(seed).decapsulate(ciphertext).unwrap().expose(), shared.as_slice()),
        Err(_) => assert_eq!(ours(seed).decapsulate(ciphertext).unwrap_err().kind(), ErrorKind::Unauthentic),
    }
}

/// u-coordinates of every kind, with what decides the kind: anything, of mixed order, next to p, next to 0.
fn coordinate() -> impl Strategy<Value = [u8; 32]> {
    let near = |start: [u8; 32]| {
        (0..40u8, any::<bool>()).prop_map(move |(add, high)| {
            let mut bytes = start;
            bytes[0] = bytes[0].wrapping_add(add);
            bytes[31] |= u8::from(high) << 7;
            bytes
        })
    };
    let mut below_p = [0xff; 32];
    (below_p[0], below_p[31]) = (0xd8, 0x7f);
    prop_oneof![
        any::<[u8; 32]>(),
        (any::<[u8; 32]>(), 0usize..8).prop_map(|(scalar, torsion)| {
            (EdwardsPoint::mul_base_clamped(scalar) + EIGHT_TORSION[torsion]).to_montgomery().0
        }),
        (0usize..8).prop_map(|torsion| EIGHT_TORSION[torsion].to_montgomery().0),
        near(below_p),
        near([0; 32]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn x_wing_is_that_of_another_implementation(seed: [u8; 32], first: [u8; 32], second: [u8; 32]) {
        let (secret, other) = (ours(seed), theirs(seed));
        let public = secret.public();
        let expected = other.encapsulation_key().to_bytes();
        prop_assert_eq!(&public.to_bytes()[..], expected.as_slice());

        let coins: [u8; 64] = [first, second].concat().try_into().unwrap();
        let (ciphertext, shared) = public.encapsulate(&Secret::copy_from(&coins));
        let (other_ciphertext, other_shared) = other.encapsulation_key().encapsulate_deterministic(&coins.into());
        prop_assert_eq!(&ciphertext[..], other_ciphertext.as_slice());
        prop_assert_eq!(&shared.expose()[..], other_shared.as_slice());
        decapsulate_alike(seed, &ciphertext.try_into().unwrap());
    }

    /// Implicit rejection gives the same secret, and what is refused is refused by both.
    #[test]
    fn an_altered_ciphertext_decapsulates_alike(
        seed: [u8; 32], at in 0..XWING_CIPHERTEXT, bit in 0..8u8, half in coordinate(),
    ) {
        let (ciphertext, _) = ours(seed).public().encapsulate(&Secret::copy_from(&[4; 64]));
        let mut altered: [u8; XWING_CIPHERTEXT] = ciphertext.try_into().unwrap();
        altered[at] ^= 1u8 << bit;
        decapsulate_alike(seed, &altered);
        altered[IN_CIPHERTEXT..].copy_from_slice(&half);
        decapsulate_alike(seed, &altered);
    }

    #[test]
    fn noise_decapsulates_alike(seed: [u8; 32], noise in prop::collection::vec(any::<u8>(), XWING_CIPHERTEXT)) {
        decapsulate_alike(seed, &noise.try_into().unwrap());
    }

    /// Keys that no secret belongs to: what is accepted, and what is sealed to them.
    #[test]
    fn a_made_up_key_is_taken_and_sealed_to_alike(
        coefficients in prop::collection::vec(prop_oneof![9 => 0..3329u16, 1 => 3320..3340u16], 768),
        rho: [u8; 32],
        half in coordinate(),
    ) {
        let pairs = coefficients.chunks(2).flat_map(|two| {
            let both = u32::from(two[0]) | u32::from(two[1]) << 12;
            both.to_le_bytes().into_iter().take(3)
        });
        let bytes: Vec<u8> = pairs.chain(rho).chain(half).collect();
        let bytes: [u8; InitKey::LEN] = bytes.try_into().unwrap();
        let other = x_wing::EncapsulationKey::try_from(bytes.as_slice());
        prop_assert_eq!(other.is_ok(), coefficients.iter().all(|c| *c < 3329));
        match InitKey::from_bytes(&bytes) {
            Ok(key) => {
                prop_assert_eq!(&key.to_bytes()[..], &bytes[..]);
                let (ciphertext, shared) = key.encapsulate(&Secret::copy_from(&[5; 64]));
                let (expected, expected_shared) = other.unwrap().encapsulate_deterministic(&[5; 64].into());
                prop_assert_eq!(&ciphertext[..], expected.as_slice());
                prop_assert_eq!(&shared.expose()[..], expected_shared.as_slice());
            }
            Err(_) => prop_assert!(other.is_err() || SealKey::from_bytes(half).is_err()),
        }
    }

    /// An unreduced coefficient anywhere, alone.
    #[test]
    fn one_unreduced_coefficient_is_one_too_many(at in 0usize..768, value in 3329u16..4096) {
        let mut bytes: [u8; InitKey::LEN] = ours([3; 32]).public().to_bytes().try_into().unwrap();
        let [low, high, ..] = (u32::from(value) << (4 * (at % 2))).to_le_bytes();
        let first = at / 2 * 3 + at % 2;
        let keep = if at % 2 == 0 { [0x00, 0xf0] } else { [0x0f, 0x00] };
        bytes[first] = (bytes[first] & keep[0]) | low;
        bytes[first + 1] = (bytes[first + 1] & keep[1]) | high;
        prop_assert_eq!(InitKey::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
        prop_assert!(x_wing::EncapsulationKey::try_from(bytes.as_slice()).is_err());
        prop_assert!(IN_KEY > first + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever way `agree` takes, it is the Montgomery ladder's result for every input there is.
    #[test]
    fn agreeing_is_the_ladder(scalar: [u8; 32], u in coordinate()) {
        let ladder = x25519_dalek::x25519(scalar, u);
        match SealSecret::from_secret(Secret::copy_from(&scalar)).agree(&u) {
            Ok(shared) => prop_assert_eq!(shared.expose(), &ladder),
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Unauthentic);
                prop_assert_eq!(ladder, [0; 32]);
            }
        }
    }

    /// The rule said with the curve: the point's own coordinate, written again, is the bytes that came.
    #[test]
    fn a_seal_key_is_what_comes_back_from_its_point(u in coordinate()) {
        let point = MontgomeryPoint(u).to_edwards(0);
        let expected = point.is_some_and(|point| !point.is_small_order() && point.to_montgomery().0 == u);
        prop_assert_eq!(SealKey::from_bytes(u).is_ok(), expected);
    }
}
