//! Row 9: points and scalars that no honest device makes, in every place where a key or a signature is received.

use convivio::group::Rejected;
use convivio::identity::{UnverifiedKeyPackage, UnverifiedLeaf};
use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains};
use convivio::{Epoch, ErrorKind, GroupId, InitKey, LeafIndex, SealKey, Secret, SigningKey, VerifyKey};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};

use crate::kit::cbor::{array, public, signature_input};
use crate::kit::commit::encode_leaf;
use crate::kit::envelope::{STANDALONE, Sealer, commitment, envelope, header, pad};
use crate::kit::insider::public_seal;
use crate::kit::leaf::{LeafPlan, key_package, refreshed};
use crate::kit::ratchet::{self, Place, message_key};
use crate::kit::scene::{BOB, MARIA, void};
use crate::kit::{Insider, Scene, Value};

/// p = 2²⁵⁵ − 19 and a small number, little-endian.
fn p_plus(n: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + n, 0x7f);
    bytes
}

/// X25519 public keys that must be refused, in every encoding.
fn bad_seal_keys() -> Vec<(String, [u8; 32])> {
    let mut keys: Vec<(String, [u8; 32])> = Vec::new();
    for torsion in EIGHT_TORSION {
        keys.push(("of low order".to_owned(), torsion.to_montgomery().to_bytes()));
    }
    let minus_one = core::array::from_fn(|i| if i == 0 { p_plus(0)[0] - 1 } else { p_plus(0)[i] });
    keys.push(("of low order on the twist".to_owned(), minus_one));
    for n in 0..19 {
        keys.push((format!("{n} written as p + {n}"), p_plus(n)));
    }
    let twisted = (2..60_u8).filter(|u| MontgomeryPoint(small(*u)).to_edwards(0).is_none());
    keys.extend(twisted.map(|u| (format!("{u}, on the twist"), small(u))));
    let plain = keys.clone();
    keys.extend(plain.into_iter().chain([("9".to_owned(), small(9))]).map(|(what, mut key)| {
        key[31] |= 0x80;
        (format!("{what}, with the top bit"), key)
    }));
    keys
}

fn small(n: u8) -> [u8; 32] {
    core::array::from_fn(|i| if i == 0 { n } else { 0 })
}

/// Ed25519 public keys that must be refused: of small order in every encoding, and every other encoding that is not the
/// canonical one.
fn bad_verify_keys() -> Vec<(String, [u8; 32])> {
    let mut keys: Vec<(String, [u8; 32])> =
        EIGHT_TORSION.iter().map(|point| ("of small order".to_owned(), point.compress().to_bytes())).collect();
    let signed = |mut key: [u8; 32]| {
        key[31] |= 0x80;
        key
    };
    for y in [small(1), core::array::from_fn(|i| p_plus(0)[i] - u8::from(i == 0))] {
        keys.push(("x = 0 with a sign".to_owned(), signed(y)));
    }
    for n in 0..19 {
        keys.push((format!("y = p + {n}"), p_plus(n)));
        keys.push((format!("y = p + {n} with a sign"), signed(p_plus(n))));
    }
    let off = (2..40_u8).filter(|y| CompressedEdwardsY(small(*y)).decompress().is_none());
    keys.extend(off.map(|y| (format!("y = {y}, of no point"), small(y))));
    keys
}

#[test]
fn row_09_all_zero_and_low_order_x25519_points_in_every_encoding_and_keys_on_the_twist() {
    let bad = bad_seal_keys();
    assert!(bad.iter().any(|(_, key)| *key == [0; 32]) && bad.len() > 70, "{}", bad.len());
    for (what, key) in &bad {
        assert_eq!(SealKey::from_bytes(*key).unwrap_err().kind(), ErrorKind::Malformed, "{what}");
    }
    assert!(SealKey::from_bytes(small(9)).is_ok());
    // In a leaf and in a key package, signed by the very device; in the X25519 half of an init key.
    let mut scene = Scene::new();
    let mut carol = scene.world.device("carol");
    let package = carol.package().to_bytes();
    let carols_key = crate::kit::Thief::of(&carol).device().1.unwrap();
    let [leaf, init_key] = [0, 1].map(|at| Value::decode(&package).items()[at].bytes().to_vec());
    let with_key = |key: &[u8]| LeafPlan { seal_key: key.to_vec(), ..LeafPlan::like(&leaf) }.sign(&carols_key);
    assert!(UnverifiedLeaf::from_bytes(&with_key(&small(9))).is_ok());
    for (what, key) in &bad {
        let leaf = with_key(key);
        assert_eq!(UnverifiedLeaf::from_bytes(&leaf).unwrap_err().kind(), ErrorKind::Malformed, "{what}");
        let refused = UnverifiedKeyPackage::from_bytes(&key_package(&leaf, &init_key)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Malformed, "{what}");
        let mut init: [u8; InitKey::LEN] = init_key.clone().try_into().unwrap();
        init[InitKey::LEN - 32..].copy_from_slice(key);
        assert_eq!(InitKey::from_bytes(&init).unwrap_err().kind(), ErrorKind::Malformed, "{what}");
    }
}

/// In a member's commit: the key of its own fresh leaf, and of one that it adds.
#[test]
fn row_09_low_order_x25519_points_in_a_commit() {
    let mut scene = Scene::new();
    let mut insider = Insider::of(&scene.maria, &scene.id);
    let bobs = Insider::of(&scene.bob, &scene.id).group();
    let device = insider.device.unwrap();
    let mut carol = scene.world.device("carol");
    let (package, carols_key) = (carol.package(), crate::kit::Thief::of(&carol).device().1.unwrap());
    let mut commits = |key: &[u8]| {
        let honest = insider.plan(Vec::new());
        let mut fresh = honest.clone();
        let leaf = LeafPlan { seal_key: key.to_vec(), ..LeafPlan::like(fresh.next.leaf(MARIA).unwrap()) };
        let leaf = leaf.sign(&device);
        fresh.leaf = refreshed(&leaf);
        // To Bob alone: nobody can seal to such a key.
        fresh.next.set_leaf(MARIA, leaf);
        let leaf = LeafPlan { seal_key: key.to_vec(), ..LeafPlan::like(&package.leaf().to_bytes()) }.sign(&carols_key);
        let mut added = insider.plan(vec![array![6, Value::decode(&leaf)]]);
        added.opened = vec![(4, "photos.example".to_owned())];
        added.next.next_leaf += 1;
        added.next.set_leaf(4, leaf);
        let claims = package.leaf().claims();
        added.next.users.push(array![claims.user().as_str(), claims.identity_key().as_bytes(), 1, 0]);
        added.next.users.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
        [fresh, added]
    };
    for plan in commits(&small(9)) {
        assert!(bobs.process(&plan.seal().envelope().split(&encode_leaf(BOB)).unwrap(), None).is_ok());
    }
    for (what, key) in bad_seal_keys() {
        for plan in commits(&key) {
            let forged = plan.seal();
            let rejected = bobs.process(&forged.envelope().split(&encode_leaf(BOB)).unwrap(), None);
            assert!(
                matches!(rejected, Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::Malformed),
                "{what}"
            );
            void(&scene.hub, &mut scene.bob, forged.entry(BOB));
        }
    }
}

/// As the ephemeral key of an envelope: the shared secret is zero for everyone, so anyone could have made the stanza.
#[test]
fn row_09_low_order_x25519_points_as_an_ephemeral_key() {
    let (bob, seed) = ([7; 32], [8; 32]);
    let opens = |sealer: &Sealer, stanza: Vec<u8>| {
        let content = sealer.sign(
            "sign envelope",
            &array![public(&[9; 32]), b"info"].encode(),
            Some(vec![b"b".to_vec()]),
            (&[9; 32], b"hi"),
        );
        let made = envelope(&sealer.header, &[(b"b".to_vec(), stanza)], &sealer.body(&content));
        let secret = convivio::SealSecret::from_secret(Secret::from_bytes(&mut bob.clone()));
        let opener = convivio::envelope::Opener::X25519(&secret);
        convivio::envelope::open_from(&made.split(b"b").unwrap(), opener, b"b").map(drop).map_err(|error| error.kind())
    };
    let to = (&public_seal(&bob)[..], &b"b"[..]);
    let honest = Sealer::new(STANDALONE, seed, b"");
    assert_eq!(opens(&honest, honest.stanza(&seed, to, 0)), Ok(()));
    let zero = |key: &[u8; 32]| MontgomeryPoint(*key).mul_clamped(bob).to_bytes() == [0; 32];
    let low: Vec<_> = bad_seal_keys().into_iter().filter(|(_, key)| zero(key)).collect();
    assert!(low.len() >= 18, "{}", low.len());
    for (what, key) in low {
        let sealer = Sealer { header: header(STANDALONE, Some(&key), &commitment(&seed), b""), ..honest.clone() };
        let stanza = sealer.stanza_of(&seed, to, (&[0; 32], &key));
        assert_eq!(opens(&sealer, stanza), Err(ErrorKind::Unauthentic), "{what}");
    }
}

#[test]
fn row_09_ed25519_small_order_and_non_canonical_keys() {
    for (what, key) in bad_verify_keys() {
        assert_eq!(VerifyKey::from_bytes(key).unwrap_err().kind(), ErrorKind::Malformed, "{what}");
    }
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/ed25519-speccheck.json")).unwrap();
    // "Taming the many EdDSAs", table 6: small A in cases 0 and 1, a non-canonical A in 10 and 11.
    let key = |case: &serde_json::Value| unhex(case["key"].as_str().unwrap());
    let accepted = vectors.as_array().unwrap().iter().map(|case| VerifyKey::from_bytes(key(case)).is_ok());
    let expected: Vec<bool> = (0..12).map(|case| !matches!(case, 0 | 1 | 10 | 11)).collect();
    assert_eq!(accepted.collect::<Vec<_>>(), expected);
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/ed25519-rfc8032.json")).unwrap();
    for case in vectors.as_array().unwrap() {
        let signing = SigningKey::from_seed(&unhex(case["seed"].as_str().unwrap()));
        assert_eq!(*signing.verify_key(), VerifyKey::from_bytes(key(case)).unwrap());
    }
    // In a leaf: as its signature key, and as identity, device, app and root key of the chain behind it.
    let mut scene = Scene::new();
    let mut carol = scene.world.device("carol");
    let leaf = Value::decode(&carol.package().to_bytes()).items()[0].bytes().to_vec();
    let device = crate::kit::Thief::of(&carol).device().1.unwrap();
    for (what, key) in bad_verify_keys() {
        let plan = LeafPlan { signature_key: key.to_vec(), ..LeafPlan::like(&leaf) };
        assert_eq!(UnverifiedLeaf::from_bytes(&plan.sign(&device)).unwrap_err().kind(), ErrorKind::Malformed, "{what}");
        let plan = LeafPlan::like(&leaf);
        for old in every_key(&plan.identity) {
            let identity = replaced(&plan.identity, &old, &key);
            let plan = LeafPlan { identity, ..plan.clone() };
            let refused = UnverifiedLeaf::from_bytes(&plan.sign(&device)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Malformed, "{what}");
        }
    }
    scene.goes_on();
}

fn unhex(text: &str) -> [u8; 32] {
    core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

/// The four keys in an encoded device identity: byte strings of 32.
fn every_key(identity: &[u8]) -> Vec<[u8; 32]> {
    let mut keys: Vec<[u8; 32]> = identity
        .windows(34)
        .filter(|window| window[..2] == [0x58, 0x20])
        .map(|window| window[2..].try_into().unwrap())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4, "root, app, identity and device key");
    keys
}

fn replaced(bytes: &[u8], old: &[u8; 32], new: &[u8; 32]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(32).position(|window| window == old) {
        bytes[at..at + 32].copy_from_slice(new);
    }
    bytes
}

/// A signature made from the definition, with any torsion in R and in the key.
struct Signed {
    key: EdwardsPoint,
    r: EdwardsPoint,
    s: Scalar,
}

fn sign(message: &[u8], in_key: EdwardsPoint, in_r: EdwardsPoint, nonce: Scalar) -> Signed {
    let secret = Scalar::from(77_u64);
    let key = ED25519_BASEPOINT_POINT * secret + in_key;
    let r = ED25519_BASEPOINT_POINT * nonce + in_r;
    let k = Scalar::from_bytes_mod_order_wide(
        &Sha512::digest([r.compress().as_bytes(), key.compress().as_bytes().as_slice(), message].concat()).into(),
    );
    Signed { key, r, s: nonce + k * secret }
}

/// What a reader says of a message with this signature under this key, alone and in a batch with an honest one.
fn verdicts(key: [u8; 32], signature: impl Fn(&[u8]) -> [u8; 64]) -> [Result<(), ErrorKind>; 2] {
    let (group, place, salt) = ([1; 16], Place { leaf: 0, generation: 0 }, [2; 16]);
    let hand = ratchet::Epoch { group, epoch: 1, context_hash: [3; 32], header_key: [4; 32] };
    let padded = pad(b"hello");
    let input = signature_input("sign message", &hand.signed(place, &salt, &padded));
    let signature = signature(&input);
    let frame = hand.encrypt(place, (&message_key(&[5; 32], 0), salt), &[padded, signature.to_vec()].concat());
    let honest = SigningKey::from_seed(&[6; 32]);
    let other = hand.frame(Place { leaf: 1, generation: 0 }, &message_key(&[7; 32], 0), (&[6; 32], b"x"), [8; 32]);
    let secret = |byte: u8| Secret::from_bytes(&mut [byte; 32]);
    let epoch = EpochContext::new(GroupId::from_bytes(group), Epoch(1), [3; 32], secret(4));
    let chains = || {
        let mut chains = ReceivingChains::new();
        chains.insert(LeafIndex(0), ReceivingChain::new(secret(5), VerifyKey::from_bytes(key).unwrap()));
        chains.insert(LeafIndex(1), ReceivingChain::new(secret(7), honest.verify_key().clone()));
        chains
    };
    let alone = chains().decrypt(&epoch, &frame).map(drop).map_err(|error| error.kind());
    let mut batch = chains().decrypt_batch(&epoch, &[&other, &frame]).into_iter();
    assert!(batch.next().unwrap().is_ok(), "the honest one is not spoilt");
    [alone, batch.next().unwrap().map(drop).map_err(|error| error.kind())]
}

#[test]
fn row_09_ed25519_s_not_below_l_and_non_canonical_r() {
    const REFUSED: [Result<(), ErrorKind>; 2] = [Err(ErrorKind::Unauthentic); 2];
    let zero = EIGHT_TORSION[0];
    let nonce = Scalar::from(12_345_u64);
    let key = sign(b"", zero, zero, nonce).key.compress().to_bytes();
    let honest = |input: &[u8]| sign(input, zero, zero, nonce);
    let joined = |r: [u8; 32], s: [u8; 32]| -> [u8; 64] { [r, s].concat().try_into().unwrap() };
    let plain = |signed: Signed| joined(signed.r.compress().to_bytes(), signed.s.to_bytes());
    assert_eq!(verdicts(key, |input| plain(honest(input))), [Ok(()); 2]);
    // S + nℓ is the same scalar, in every encoding that fits into 32 bytes.
    for n in 1..16_u8 {
        let malleable = |input: &[u8]| {
            let signed = honest(input);
            joined(signed.r.compress().to_bytes(), plus_order(signed.s.to_bytes(), n))
        };
        assert_eq!(verdicts(key, malleable), REFUSED, "S + {n}ℓ");
    }
    for bit in [0x20, 0x40, 0x80] {
        let flagged = |input: &[u8]| {
            let mut bytes = plain(honest(input));
            bytes[63] |= bit;
            bytes
        };
        assert_eq!(verdicts(key, flagged), REFUSED, "a high bit of S");
    }
    // R of small order, canonical: allowed, and S is then k times the key's scalar. In another encoding: refused.
    let identity = |input: &[u8]| sign(input, zero, zero, Scalar::ZERO);
    assert_eq!(verdicts(key, |input| plain(identity(input))), [Ok(()); 2]);
    let mut encodings = vec![p_plus(1)];
    encodings.extend([small(1), p_plus(1)].map(|mut y| {
        y[31] |= 0x80;
        y
    }));
    for r in encodings {
        assert_eq!(verdicts(key, |input| with_r(input, key, r)), REFUSED, "the neutral point as {r:02x?}");
    }
    // Torsion in R, in the key or in both satisfies the cofactored equation: accepted, by single and batch alike.
    for (i, in_key) in EIGHT_TORSION.iter().enumerate() {
        for (j, in_r) in EIGHT_TORSION.iter().enumerate() {
            let key = sign(b"", *in_key, zero, nonce).key.compress().to_bytes();
            assert_eq!(verdicts(key, |input| plain(sign(input, *in_key, *in_r, nonce))), [Ok(()); 2], "{i} {j}");
        }
    }
    // And a wrong one is wrong.
    assert_eq!(verdicts(key, |input| plain(sign(&[input, b"!"].concat(), zero, zero, nonce))), REFUSED);
}

/// A signature that would hold if R, in whatever encoding, were taken for the neutral point.
fn with_r(message: &[u8], key: [u8; 32], r: [u8; 32]) -> [u8; 64] {
    let k = Scalar::from_bytes_mod_order_wide(&Sha512::digest([&r[..], &key, message].concat()).into());
    [r, (k * Scalar::from(77_u64)).to_bytes()].concat().try_into().unwrap()
}

/// S and n times the order of the group, as numbers of 256 bits.
fn plus_order(s: [u8; 32], n: u8) -> [u8; 32] {
    let mut order = (Scalar::ZERO - Scalar::ONE).to_bytes();
    order[0] += 1;
    let (mut sum, mut carry) = ([0; 32], 0_u32);
    for i in 0..32 {
        carry += u32::from(s[i]) + u32::from(n) * u32::from(order[i]);
        sum[i] = u8::try_from(carry & 0xff).unwrap();
        carry >>= 8;
    }
    assert_eq!(carry, 0, "it fits");
    sum
}
