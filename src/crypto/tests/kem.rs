//! X25519 and X-Wing.

use super::{secret, text, unhex, unhex_array, vectors};
use crate::crypto::kem::{InitKey, InitSecret, SealKey, SealSecret, XWING_CIPHERTEXT};
use crate::error::ErrorKind;
use crate::wire::Wire;

fn x25519(scalar: &[u8; 32], u: &[u8; 32]) -> [u8; 32] {
    let scalar = SealSecret::from_secret(crate::Secret::copy_from(scalar));
    *scalar.agree(u).unwrap().expose()
}

#[test]
fn rfc_7748_section_5_2() {
    let cases = [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ];
    for (scalar, u, expected) in cases {
        assert_eq!(x25519(&unhex_array(scalar), &unhex_array(u)), unhex_array(expected));
    }
}

#[test]
fn rfc_7748_section_5_2_iterated() {
    let mut k = [0; 32];
    k[0] = 9;
    let mut u = k;
    for i in 0..1000 {
        (k, u) = (x25519(&k, &u), k);
        if i == 0 {
            assert_eq!(k, unhex_array("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(k, unhex_array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn rfc_7748_section_6_1() {
    let alice = SealSecret::from_secret(secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = SealSecret::from_secret(secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let alice_public = unhex_array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let bob_public = unhex_array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    let shared = unhex_array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.public().as_bytes(), &alice_public);
    assert_eq!(bob.public().as_bytes(), &bob_public);
    assert_eq!(alice.agree(&bob_public).unwrap().expose(), &shared);
    assert_eq!(bob.agree(&alice_public).unwrap().expose(), &shared);
    assert_eq!(alice.agree_all(&[&SealKey::from_bytes(bob_public).unwrap()])[0].expose(), &shared);
}

#[test]
fn agreeing_with_nobody_gives_nothing() {
    let secret = SealSecret::from_secret(crate::Secret::copy_from(&[1; 32]));
    assert!(secret.agree_all(&[]).is_empty());
}

#[test]
fn x_wing_draft_vectors() {
    let all = vectors(include_str!("../../../tests/vectors/x-wing.json"));
    assert_eq!(all.len(), 3);
    for vector in &all {
        let secret_key = InitSecret::from_secret(secret(text(vector, "seed")));
        let public: [u8; InitKey::LEN] = unhex_array(text(vector, "pk"));
        assert_eq!(secret_key.public().to_bytes(), public);
        let public = InitKey::from_bytes(&public).unwrap();
        assert_eq!(InitKey::decode(&public.encode()).unwrap(), public);

        let (ciphertext, shared) = public.encapsulate(&secret(text(vector, "eseed")));
        assert_eq!(ciphertext, unhex(text(vector, "ct")));
        assert_eq!(shared.expose(), &unhex_array(text(vector, "ss")));
        let ciphertext: [u8; XWING_CIPHERTEXT] = ciphertext.try_into().unwrap();
        assert!(secret_key.decapsulate(&ciphertext).unwrap().ct_eq(&shared));
    }
}

/// ML-KEM rejects implicitly: an altered ciphertext gives another secret, the same one each time.
#[test]
fn an_altered_x_wing_ciphertext_gives_another_secret() {
    let secret_key = InitSecret::from_secret(crate::Secret::copy_from(&[3; 32]));
    let (ciphertext, shared) = secret_key.public().encapsulate(&crate::Secret::copy_from(&[4; 64]));
    for at in [0, 500, 1087, 1088, XWING_CIPHERTEXT - 2] {
        let mut altered: [u8; XWING_CIPHERTEXT] = ciphertext.clone().try_into().unwrap();
        altered[at] ^= 1;
        let other = secret_key.decapsulate(&altered).unwrap();
        assert!(!other.ct_eq(&shared));
        assert!(secret_key.decapsulate(&altered).unwrap().ct_eq(&other));
    }
}

#[test]
fn an_init_key_with_an_unreduced_coefficient_is_refused() {
    let good: [u8; InitKey::LEN] =
        InitSecret::from_secret(crate::Secret::copy_from(&[3; 32])).public().to_bytes().try_into().unwrap();
    // 768 coefficients of 12 bits, two in three bytes, least significant first; the modulus is 3,329.
    for pair in [0, 1, 200, 383] {
        for value in [3329u16, 3330, 4095] {
            let [low, high] = value.to_le_bytes();
            let mut even = good;
            even[3 * pair] = low;
            even[3 * pair + 1] = (even[3 * pair + 1] & 0xf0) | high;
            let mut odd = good;
            odd[3 * pair + 1] = (odd[3 * pair + 1] & 0x0f) | (low << 4);
            odd[3 * pair + 2] = (low >> 4) | (high << 4);
            for bytes in [even, odd] {
                assert_eq!(InitKey::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
            }
        }
        let [low, high] = 3328u16.to_le_bytes();
        let mut largest = good;
        largest[3 * pair] = low;
        largest[3 * pair + 1] = (largest[3 * pair + 1] & 0xf0) | high;
        assert!(InitKey::from_bytes(&largest).is_ok());
    }
}

#[test]
fn debug_shows_no_secret() {
    let seal = SealSecret::from_secret(crate::Secret::copy_from(&[0x5a; 32]));
    let init = InitSecret::from_secret(crate::Secret::copy_from(&[0x5a; 32]));
    for shown in [format!("{seal:?}"), format!("{init:?}")] {
        assert!(!shown.contains("5a5a") && !shown.contains("90, 90"), "{shown}");
    }
}
