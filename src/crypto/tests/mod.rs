//! The primitives against their published vectors, and our own rules where they say more.
//!
//! Vectors that are long live in `tests/vectors`, with their sources and licences in its README.

mod aead;
mod batch;
mod hostile_keys;
mod kdf;
mod kem;
mod sign;
mod wycheproof;
mod xwing;

use crate::secret::Secret;

/// The bytes of hexadecimal text.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "an odd number of digits");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// The `N` bytes of hexadecimal text.
pub(crate) fn unhex_array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

fn secret<const N: usize>(text: &str) -> Secret<N> {
    Secret::copy_from(&unhex_array(text))
}

/// A JSON file of vectors: an array of objects of strings.
fn vectors(json: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(json).unwrap()
}

fn text<'a>(vector: &'a serde_json::Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}
