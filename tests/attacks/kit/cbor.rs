//! The encoding and the labels of `docs/protocol.md`, section 2.3, written from that page alone. An attacker is bound by
//! no decoder: a [`Value`] can be taken apart, changed and put together again at will.

use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use sha2::{Digest as _, Sha256};

/// One item of the encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Int(u64),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Self>),
    Bool(bool),
    Null,
    /// A map of less than 24 pairs, as it is encoded: only the extensions of a content are one.
    Map(Vec<u8>),
}

/// The array of these items, each anything that is a [`Value`].
macro_rules! array {
    ($($item:expr),* $(,)?) => { $crate::kit::Value::List(vec![$($crate::kit::Value::from($item)),*]) };
}
pub(crate) use array;

impl Value {
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        self.write(&mut encoder);
        encoder.into_writer()
    }

    /// One item and nothing after it.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut decoder = Decoder::new(bytes);
        let value = Self::read(&mut decoder);
        assert_eq!(decoder.position(), bytes.len(), "bytes after the end");
        value
    }

    pub fn int(&self) -> u64 {
        let Self::Int(value) = self else { panic!("not a number: {self:?}") };
        *value
    }

    pub fn bytes(&self) -> &[u8] {
        let Self::Bytes(value) = self else { panic!("not a byte string: {self:?}") };
        value
    }

    pub fn text(&self) -> &str {
        let Self::Text(value) = self else { panic!("not a text: {self:?}") };
        value
    }

    pub fn items(&self) -> &[Self] {
        let Self::List(items) = self else { panic!("not an array: {self:?}") };
        items
    }

    /// The place of one item, to put another there.
    pub fn item(&mut self, at: usize) -> &mut Self {
        let Self::List(items) = self else { panic!("not an array: {self:?}") };
        &mut items[at]
    }

    pub fn fixed<const N: usize>(&self) -> [u8; N] {
        self.bytes().try_into().unwrap()
    }

    fn write(&self, encoder: &mut Encoder<Vec<u8>>) {
        match self {
            Self::Int(value) => drop(encoder.u64(*value).unwrap()),
            Self::Bytes(value) => drop(encoder.bytes(value).unwrap()),
            Self::Text(value) => drop(encoder.str(value).unwrap()),
            Self::Bool(value) => drop(encoder.bool(*value).unwrap()),
            Self::Null => drop(encoder.null().unwrap()),
            Self::Map(encoded) => encoder.writer_mut().extend(encoded),
            Self::List(items) => {
                encoder.array(items.len() as u64).unwrap();
                items.iter().for_each(|item| item.write(encoder));
            }
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Self {
        match decoder.datatype().unwrap() {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => Self::Int(decoder.u64().unwrap()),
            Type::Bytes => Self::Bytes(decoder.bytes().unwrap().to_vec()),
            Type::String => Self::Text(decoder.str().unwrap().to_owned()),
            Type::Bool => Self::Bool(decoder.bool().unwrap()),
            Type::Null => {
                decoder.null().unwrap();
                Self::Null
            }
            Type::Array => {
                let length = decoder.array().unwrap().unwrap();
                Self::List((0..length).map(|_| Self::read(decoder)).collect())
            }
            Type::Map => {
                let start = decoder.position();
                decoder.skip().unwrap();
                Self::Map(decoder.input()[start..decoder.position()].to_vec())
            }
            other => panic!("{other} is not of the encoding"),
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(value: [u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<Vec<Self>> for Value {
    fn from(value: Vec<Self>) -> Self {
        Self::List(value)
    }
}

/// The labelled array.
fn labelled(label: &str, fields: &Value) -> Vec<u8> {
    let fields = fields.items().iter().cloned();
    Value::List([Value::from(label)].into_iter().chain(fields).collect()).encode()
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `hash(label, fields…)`.
pub fn hash(label: &str, fields: &Value) -> [u8; 32] {
    sha256(&labelled(label, fields))
}

pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// `Extract(salt, input)`.
pub fn extract(salt: &[u8], input: &[u8]) -> [u8; 32] {
    hmac(salt, input)
}

/// `Expand(prk, info, N)`.
pub fn expand<const N: usize>(prk: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(prk).unwrap().expand(info, &mut out).unwrap();
    out
}

/// `expand_label(secret, label, context, N)`.
pub fn expand_label<const N: usize>(secret: &[u8], label: &str, context: &[u8]) -> [u8; N] {
    expand(secret, &array![label, context, N as u64].encode())
}

/// The 47 bytes of section 2.1.
pub fn signature_input(label: &str, fields: &Value) -> Vec<u8> {
    [b"convivio sig 1\0".as_slice(), &hash(label, fields)].concat()
}

/// `sign(key, label, fields…)`.
pub fn sign(seed: &[u8; 32], label: &str, fields: &Value) -> [u8; 64] {
    ed25519_dalek::SigningKey::from_bytes(seed).sign(&signature_input(label, fields)).to_bytes()
}

/// Whether a signature verifies.
pub fn verifies(key: &[u8], label: &str, fields: &Value, signature: &[u8]) -> bool {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
    key.verify_strict(&signature_input(label, fields), &signature).is_ok()
}

/// The public half of a signing key.
pub fn public(seed: &[u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes()
}
