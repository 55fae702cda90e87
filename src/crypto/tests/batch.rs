//! A batch accepts exactly what single checks accept (section 2.1), whatever an attacker puts into it.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use proptest::prelude::*;
use sha2::{Digest, Sha512};

use crate::crypto::sign::{Signature, SignatureInput, Signed, SigningKey, VerifyKey, verify_batch};
use crate::error::ErrorKind;

/// ℓ, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// How a signature of the batch is made.
#[derive(Clone, Copy, Debug)]
enum Made {
    Honestly,
    /// R and A moved by points of small order.
    WithTorsion {
        r: usize,
        a: usize,
    },
    /// R is a point of small order alone, canonically written.
    WithSmallR {
        r: usize,
    },
    OverAnotherInput,
    ByAnotherKey,
    /// S + δ, which the equation refuses.
    WithAnotherS {
        delta: u64,
    },
    /// S + ℓ, which the equation would accept.
    WithSAboveOrder,
    /// R is the identity as y = p + 1 or with a sign, which the equation would accept.
    WithAnotherEncodingOfR {
        sign: bool,
    },
    /// R is no point at all.
    WithROffTheCurve,
}

impl Made {
    const fn valid(self) -> bool {
        matches!(self, Self::Honestly | Self::WithTorsion { .. } | Self::WithSmallR { .. })
    }
}

struct Item {
    key: VerifyKey,
    input: SignatureInput,
    signature: Signature,
}

impl Item {
    fn signed(&self) -> Signed<'_> {
        Signed { key: &self.key, input: self.input, signature: self.signature }
    }

    fn accepted(&self) -> bool {
        self.key.verify(&self.input, &self.signature).is_ok()
    }
}

/// A signature by the scalar 1000 + `key` with a chosen R, so that its parts can be bent.
fn forge(key: u8, torsion: usize, r_bytes: [u8; 32], r: Scalar, input: &SignatureInput) -> (VerifyKey, Scalar) {
    let a = Scalar::from(1000 + u64::from(key));
    let point = EdwardsPoint::mul_base(&a) + EIGHT_TORSION[torsion];
    let key = VerifyKey::from_bytes(point.compress().0).unwrap();
    let hash = Sha512::new().chain_update(r_bytes).chain_update(key.as_bytes()).chain_update(input.as_bytes());
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    (key, r + k * a)
}

fn joined(r: [u8; 32], s: [u8; 32]) -> Signature {
    Signature::from_bytes([r, s].concat().try_into().unwrap())
}

fn add_order(s: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    let mut sum = [0; 32];
    for i in 0..32 {
        let digit = u16::from(s[i]) + u16::from(ORDER[i]) + carry;
        sum[i] = digit.to_le_bytes()[0];
        carry = digit >> 8;
    }
    sum
}

fn make(made: Made, key: u8, digest: u8) -> Item {
    let input = SignatureInput::of_digest(&[digest; 32]);
    let nonce = Scalar::from(77_000 + u64::from(digest));
    let nonce_point = EdwardsPoint::mul_base(&nonce);
    let honest = SigningKey::from_seed(&[key; 32]);
    let signature = honest.sign(&input);
    let honest_s: [u8; 32] = signature.as_bytes()[32..].try_into().unwrap();
    let honest_r: [u8; 32] = signature.as_bytes()[..32].try_into().unwrap();
    let bent = |torsion, r_bytes, r| {
        let (key, s) = forge(key, torsion, r_bytes, r, &input);
        Item { key, input, signature: joined(r_bytes, s.to_bytes()) }
    };
    let with = |signature| Item { key: honest.verify_key().clone(), input, signature };
    match made {
        Made::Honestly => with(signature),
        Made::WithTorsion { r, a } => bent(a, (nonce_point + EIGHT_TORSION[r]).compress().0, nonce),
        Made::WithSmallR { r } => bent(0, EIGHT_TORSION[r].compress().0, Scalar::ZERO),
        Made::OverAnotherInput => with(honest.sign(&SignatureInput::of_digest(&[!digest; 32]))),
        Made::ByAnotherKey => with(SigningKey::from_seed(&[key + 100; 32]).sign(&input)),
        Made::WithAnotherS { delta } => {
            let s = Scalar::from_canonical_bytes(honest_s).unwrap() + Scalar::from(delta);
            with(joined(honest_r, s.to_bytes()))
        }
        Made::WithSAboveOrder => with(joined(honest_r, add_order(honest_s))),
        Made::WithAnotherEncodingOfR { sign } => {
            let mut r_bytes = [0; 32];
            r_bytes[0] = 1;
            r_bytes[31] = 0x80;
            if !sign {
                r_bytes = [0xff; 32];
                r_bytes[0] = 0xee;
                r_bytes[31] = 0x7f;
            }
            bent(0, r_bytes, Scalar::ZERO)
        }
        Made::WithROffTheCurve => {
            let mut r_bytes = [0; 32];
            r_bytes[0] = 2;
            bent(0, r_bytes, nonce)
        }
    }
}

fn valid() -> impl Strategy<Value = Made> {
    prop_oneof![
        Just(Made::Honestly),
        (0usize..8, 0usize..8).prop_map(|(r, a)| Made::WithTorsion { r, a }),
        (0usize..8).prop_map(|r| Made::WithSmallR { r }),
    ]
}

fn invalid() -> impl Strategy<Value = Made> {
    prop_oneof![
        Just(Made::OverAnotherInput),
        Just(Made::ByAnotherKey),
        (1..=u64::MAX).prop_map(|delta| Made::WithAnotherS { delta }),
        Just(Made::WithSAboveOrder),
        any::<bool>().prop_map(|sign| Made::WithAnotherEncodingOfR { sign }),
        Just(Made::WithROffTheCurve),
    ]
}

fn batch(items: &[Item]) -> bool {
    verify_batch(&items.iter().map(Item::signed).collect::<Vec<_>>()).is_ok()
}

/// Few keys, so that most have several signatures.
fn items(made: impl Strategy<Value = Made>, n: core::ops::Range<usize>) -> impl Strategy<Value = Vec<(Made, u8, u8)>> {
    prop::collection::vec((made, 0u8..3, any::<u8>()), n)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_of_valid_signatures_is_accepted(made in items(valid(), 0..12)) {
        let items: Vec<Item> = made.into_iter().map(|(made, key, digest)| make(made, key, digest)).collect();
        prop_assert!(items.iter().all(Item::accepted));
        prop_assert!(batch(&items));
    }

    #[test]
    fn one_bad_signature_spoils_a_batch(made in items(valid(), 0..8), bad in (invalid(), 0u8..3, any::<u8>()), at: usize) {
        let mut items: Vec<Item> = made.into_iter().map(|(made, key, digest)| make(made, key, digest)).collect();
        let bad = make(bad.0, bad.1, bad.2);
        prop_assert!(!bad.accepted());
        items.insert(at % (items.len() + 1), bad);
        prop_assert!(!batch(&items));
    }

    #[test]
    fn a_batch_says_what_single_checks_say(made in items(prop_oneof![3 => valid(), 1 => invalid()], 0..6)) {
        let expected = made.iter().all(|(made, ..)| made.valid());
        let items: Vec<Item> = made.into_iter().map(|(made, key, digest)| make(made, key, digest)).collect();
        prop_assert_eq!(items.iter().all(Item::accepted), expected);
        prop_assert_eq!(batch(&items), expected);
    }
}

#[test]
fn an_empty_batch_is_accepted() {
    assert!(verify_batch(&[]).is_ok());
}

#[test]
fn the_error_is_the_one_of_a_single_check() {
    for made in [Made::OverAnotherInput, Made::WithSAboveOrder, Made::WithROffTheCurve] {
        let items = [make(Made::Honestly, 1, 1), make(made, 1, 2)];
        let batch = verify_batch(&items.each_ref().map(Item::signed)).unwrap_err();
        let single = items[1].key.verify(&items[1].input, &items[1].signature).unwrap_err();
        assert_eq!(batch.kind(), ErrorKind::Unauthentic);
        assert_eq!(batch.to_string(), single.to_string());
    }
}

/// Two wrong signatures of one key whose errors would cancel in a plain sum.
#[test]
fn errors_that_cancel_each_other_are_refused() {
    let one = make(Made::WithAnotherS { delta: 5 }, 1, 1);
    let mut other = make(Made::Honestly, 1, 2);
    let s: [u8; 32] = other.signature.as_bytes()[32..].try_into().unwrap();
    let s = Scalar::from_canonical_bytes(s).unwrap() - Scalar::from(5u64);
    other.signature = joined(other.signature.as_bytes()[..32].try_into().unwrap(), s.to_bytes());
    assert!(!one.accepted() && !other.accepted());
    assert!(!batch(&[one, other]));
}

/// Two members' signatures swapped: each is a signature of the batch, neither belongs where it is.
#[test]
fn swapped_signatures_are_refused() {
    let (mut one, mut other) = (make(Made::Honestly, 1, 1), make(Made::Honestly, 2, 1));
    core::mem::swap(&mut one.signature, &mut other.signature);
    assert!(!batch(&[one, other]));
}

#[test]
fn the_same_signature_twice_is_accepted_twice() {
    assert!(batch(&[make(Made::Honestly, 1, 1), make(Made::Honestly, 1, 1), make(Made::Honestly, 1, 1)]));
    let bad = || make(Made::WithAnotherS { delta: 1 }, 1, 1);
    assert!(!batch(&[bad(), bad()]));
}

/// Large enough for the multiplication to change its algorithm (Straus below 190 points, Pippenger above).
#[test]
fn a_large_batch_works_as_a_small_one() {
    let mut items: Vec<Item> = (0..400u16).map(|i| make(Made::Honestly, (i % 90) as u8, (i % 251) as u8)).collect();
    assert!(batch(&items));
    items[399] = make(Made::WithAnotherS { delta: 1 }, 9, 9);
    assert!(!batch(&items));
}

/// However a large batch is divided among cores, every signature in it counts.
#[test]
fn one_bad_signature_spoils_a_large_batch_wherever_it_is() {
    let mut items: Vec<Item> = (0..200u8).map(|i| make(Made::Honestly, i % 90, i)).collect();
    assert!(batch(&items));
    for at in (0..200).step_by(9).chain([31, 32, 33, 63, 64, 65, 95, 96, 97, 99, 100, 101, 199]) {
        let good = core::mem::replace(&mut items[at], make(Made::WithAnotherS { delta: 1 }, 1, 1));
        assert!(!batch(&items), "{at}");
        items[at] = good;
    }
    assert!(batch(&items));
}
