//! The `serde` form of every public, non-secret type: base64url text for people, bytes for machines.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::{Error as _, Visitor};
use serde::{Deserializer, Serializer};

use super::Wire;

pub(crate) fn serialize<S: Serializer>(value: &impl Wire, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = value.encode();
    if serializer.is_human_readable() {
        serializer.serialize_str(&Base64UrlUnpadded::encode_string(&bytes))
    } else {
        serializer.serialize_bytes(&bytes)
    }
}

pub(crate) fn deserialize<'de, T: Wire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let bytes = if deserializer.is_human_readable() {
        let text = deserializer.deserialize_str(Form)?;
        Base64UrlUnpadded::decode_vec(core::str::from_utf8(&text).map_err(D::Error::custom)?)
            .map_err(|_| D::Error::custom("not unpadded base64url"))?
    } else {
        deserializer.deserialize_bytes(Form)?
    };
    T::decode(&bytes).map_err(D::Error::custom)
}

/// Takes text or bytes as they come.
struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("unpadded base64url text, or bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}
