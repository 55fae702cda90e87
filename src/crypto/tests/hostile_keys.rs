//! X25519 keys that no honest device has: of low order, on the twist, in another encoding, of mixed order.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use proptest::prelude::*;

use super::unhex_array;
use crate::Secret;
use crate::crypto::kem::{InitKey, InitSecret, SealKey, SealSecret, XWING_CIPHERTEXT};
use crate::error::ErrorKind;
use crate::wire::{Wire, Writer};

/// Every u-coordinate of low order, on the curve or its twist, in every encoding below 2²⁵⁵.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000", // 0, order 2
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p, which is 0
    "0100000000000000000000000000000000000000000000000000000000000000", // 1, order 4
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1, which is 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // −1, order 4 on the twist
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", // order 8
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", // order 8
];

fn low_order() -> impl Iterator<Item = [u8; 32]> {
    LOW_ORDER.iter().flat_map(|text| {
        let plain: [u8; 32] = unhex_array(text);
        let mut high_bit = plain;
        high_bit[31] |= 0x80;
        [plain, high_bit]
    })
}

fn seal_secret(byte: u8) -> SealSecret {
    SealSecret::from_secret(Secret::copy_from(&[byte; 32]))
}

fn assert_refused(bytes: [u8; 32]) {
    assert_eq!(SealKey::from_bytes(bytes).unwrap_err().kind(), ErrorKind::Malformed, "{bytes:02x?}");
    let mut w = Writer::new();
    w.bytes(&bytes);
    assert_eq!(SealKey::decode(&w.finish()).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn a_seal_key_of_low_order_is_refused() {
    low_order().for_each(assert_refused);
    for torsion in EIGHT_TORSION {
        assert_refused(torsion.to_montgomery().0);
    }
}

#[test]
fn agreeing_with_a_point_of_low_order_is_refused() {
    for secret in [0, 1, 0xff].map(seal_secret) {
        for bytes in low_order() {
            assert_eq!(secret.agree(&bytes).unwrap_err().kind(), ErrorKind::Unauthentic);
        }
    }
}

#[test]
fn an_init_key_with_an_invalid_x25519_half_is_refused() {
    let mut bytes: [u8; InitKey::LEN] =
        InitSecret::from_secret(Secret::copy_from(&[3; 32])).public().to_bytes().try_into().unwrap();
    assert!(InitKey::from_bytes(&bytes).is_ok());
    for half in low_order().chain([not_canonical(9), on_the_twist()]) {
        bytes[InitKey::LEN - 32..].copy_from_slice(&half);
        assert_eq!(InitKey::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
    }
}

#[test]
fn an_x_wing_ciphertext_with_a_low_order_half_is_refused() {
    let secret = InitSecret::from_secret(Secret::copy_from(&[3; 32]));
    let (ciphertext, _) = secret.public().encapsulate(&Secret::copy_from(&[4; 64]));
    let mut ciphertext: [u8; XWING_CIPHERTEXT] = ciphertext.try_into().unwrap();
    for half in low_order() {
        ciphertext[XWING_CIPHERTEXT - 32..].copy_from_slice(&half);
        assert_eq!(secret.decapsulate(&ciphertext).unwrap_err().kind(), ErrorKind::Unauthentic);
    }
}

/// p + `u`, for `u` below 19.
fn not_canonical(u: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed + u;
    bytes[31] = 0x7f;
    bytes
}

/// The smallest u above 1 that is not on the curve: u³ + 486662u² + u is not a square.
fn on_the_twist() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = (2..=255)
        .find(|&u| {
            let mut candidate = [0; 32];
            candidate[0] = u;
            MontgomeryPoint(candidate).to_edwards(0).is_none()
        })
        .unwrap();
    bytes
}

#[test]
fn every_encoding_from_p_to_2_to_the_255_is_refused() {
    for u in 0..19 {
        let mut bytes = not_canonical(u);
        assert_refused(bytes);
        bytes[31] = 0xff;
        assert_refused(bytes);
    }
    // The base point is u = 9: canonical it is accepted, as p + 9 it was not.
    let mut nine = [0; 32];
    nine[0] = 9;
    assert!(SealKey::from_bytes(nine).is_ok());
    nine[31] = 0x80;
    assert_refused(nine);
}

#[test]
fn a_point_on_the_twist_is_refused() {
    // u = 2: 2³ + 486662·2² + 2 = 1946658 is not a square modulo p.
    assert_refused(on_the_twist());
    let refused = (2..=255u8)
        .filter(|&u| {
            let mut bytes = [0; 32];
            bytes[0] = u;
            SealKey::from_bytes(bytes).is_err()
        })
        .count();
    assert!((90..=164).contains(&refused), "about half of all u are on the twist, not {refused} of 254");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Including keys of mixed order, which are on the curve and not of low order.
    #[test]
    fn agree_all_is_agree_for_each(
        ours: [u8; 32],
        theirs in prop::collection::vec((any::<[u8; 32]>(), 0usize..8), 0..6),
    ) {
        let ours = SealSecret::from_secret(Secret::copy_from(&ours));
        let keys: Vec<SealKey> = theirs
            .iter()
            .map(|(bytes, torsion)| EdwardsPoint::mul_base_clamped(*bytes) + EIGHT_TORSION[*torsion])
            .map(|point| SealKey::from_bytes(point.to_montgomery().0).unwrap())
            .collect();
        let shared = ours.agree_all(&keys.iter().collect::<Vec<_>>());
        prop_assert_eq!(shared.len(), keys.len());
        for (shared, key) in shared.iter().zip(&keys) {
            prop_assert!(ours.agree(key.as_bytes()).unwrap().ct_eq(shared));
        }
    }

    #[test]
    fn whatever_is_accepted_is_kept_as_it_was(bytes: [u8; 32], ours: [u8; 32]) {
        if let Ok(key) = SealKey::from_bytes(bytes) {
            prop_assert_eq!(key.as_bytes(), &bytes);
            prop_assert_eq!(SealKey::decode(&key.encode()).unwrap(), key.clone());
            let ours = SealSecret::from_secret(Secret::copy_from(&ours));
            prop_assert!(ours.agree(&bytes).unwrap().ct_eq(&ours.agree_all(&[&key])[0]));
        }
    }

    #[test]
    fn the_public_half_of_any_secret_is_a_valid_key(bytes: [u8; 32]) {
        let secret = SealSecret::from_secret(Secret::copy_from(&bytes));
        prop_assert_eq!(&SealKey::from_bytes(*secret.public().as_bytes()).unwrap(), secret.public());
    }
}

#[test]
fn secrets_at_the_ends_of_the_range_agree() {
    for (a, b) in [(0x00, 0xff), (0xff, 0xff), (0x00, 0x00)] {
        let (a, b) = (seal_secret(a), seal_secret(b));
        let shared = a.agree(b.public().as_bytes()).unwrap();
        assert!(shared.ct_eq(&b.agree_all(&[a.public()])[0]));
    }
}
