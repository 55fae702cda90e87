//! How two people make sure that nobody sits between them.

use core::fmt;

use subtle::ConstantTimeEq;

use super::uri::UserUri;
use crate::crypto::kdf::{self, Hash};
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::labels;
use crate::wire::{Reader, Wire, Writer};

const VERSION: u16 = 1;
const QR_TAG: &str = "convivio safety number";

/// Hashes behind each half: 30 digits are 99.6 bits, and this makes each guess at them 2¹² times dearer.
const ROUNDS: u32 = 4_096;

/// 60 digits, or a QR code, that two users compare over a channel on which they recognise each other
/// (`docs/protocol.md`, section 3).
///
/// Both see the same digits. They depend on both users' URIs and identity keys and on nothing else, so they stay the
/// same across devices and groups until one of the two has a new identity key.
///
/// The half of a user is computed as follows, and `Display` shows both halves, the lesser first, in groups of five:
///
/// ```text
/// h[0]    = SHA-256(array("safety number", 1, URI, identity key))
/// h[i]    = SHA-256(array("safety number", 1, h[i-1], identity key))        i = 1 … 4095
/// group k = big-endian integer of bytes 5k … 5k+4 of h[4095], mod 100000    k = 0 … 5, five digits each
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    digits: String,
    ours: Party,
    theirs: Party,
}

/// What scanning the other user's QR code showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QrComparison {
    /// Both devices hold the same identity keys for these two users. Nobody sits between them.
    Match,
    /// The same two users, but another identity key on one side or the other: somebody may sit between them, or one of
    /// the two has a new key that the other has not seen yet.
    Mismatch,
    /// The code is about other users: the wrong chat was opened, or our own code was scanned.
    OtherUsers,
}

impl SafetyNumber {
    /// The number of two users, as the device of the first sees it. Takes about a millisecond.
    #[must_use]
    pub fn new(our_user: &UserUri, our_key: &VerifyKey, their_user: &UserUri, their_key: &VerifyKey) -> Self {
        let ours = Party { user: our_user.clone(), key: *our_key.as_bytes() };
        let theirs = Party { user: their_user.clone(), key: *their_key.as_bytes() };
        let mut halves = [ours.half(), theirs.half()];
        halves.sort_unstable();
        Self { digits: halves.concat(), ours, theirs }
    }

    /// The 60 digits without spaces.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// What to show as a QR code (binary mode): the deterministic CBOR of array("convivio safety number", 1, [our URI,
    /// our identity key], [their URI, their identity key]), where "our" is the side that shows it.
    #[must_use]
    pub fn qr(&self) -> Vec<u8> {
        Qr { shown_by: self.ours.clone(), other: self.theirs.clone() }.encode()
    }

    /// Compares with what the other user's device shows. Fails with `Malformed` if that is not a safety number and
    /// with `Unsupported` if it is of a newer version.
    pub fn compare_qr(&self, scanned: &[u8]) -> Result<QrComparison> {
        let Qr { shown_by, other } = Qr::decode(scanned)?;
        if shown_by.user != self.theirs.user || other.user != self.ours.user {
            return Ok(QrComparison::OtherUsers);
        }
        let same = shown_by.key.ct_eq(&self.theirs.key) & other.key.ct_eq(&self.ours.key);
        Ok(if same.into() { QrComparison::Match } else { QrComparison::Mismatch })
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_fives(&self.digits, f)
    }
}

/// 30 digits of a hash.
pub(crate) fn half_of_digits(hash: &Hash) -> String {
    let groups = hash.chunks_exact(5);
    groups.map(|group| group.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))).fold(
        String::with_capacity(60),
        |mut digits, number| {
            digits.push_str(&format!("{:05}", number % 100_000));
            digits
        },
    )
}

/// Digits as people read them.
pub(crate) fn write_in_fives(digits: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && i % 5 == 0 {
            f.write_str(" ")?;
        }
        write!(f, "{digit}")?;
    }
    Ok(())
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digits, ours, theirs } = self;
        f.debug_struct("SafetyNumber")
            .field("digits", digits)
            .field("ours", &ours.user)
            .field("theirs", &theirs.user)
            .finish()
    }
}

/// A user and the bytes of an identity key, valid or not: a code with a bad key is a mismatch like any other.
#[derive(Clone, PartialEq, Eq)]
struct Party {
    user: UserUri,
    key: [u8; 32],
}

impl Party {
    /// 30 digits.
    fn half(&self) -> String {
        let mut hash = self.hash(|w| w.item(&self.user));
        for _ in 1..ROUNDS {
            hash = self.hash(|w| w.bytes(&hash));
        }
        half_of_digits(&hash)
    }

    fn hash(&self, first: impl Fn(&mut Writer) -> &mut Writer) -> Hash {
        kdf::hash(labels::HASH_SAFETY_NUMBER, 3, |w| {
            first(w.uint(VERSION.into())).bytes(&self.key);
        })
    }
}

impl Wire for Party {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.user).bytes(&self.key);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self { user: r.item()?, key: r.fixed()? })
    }
}

struct Qr {
    shown_by: Party,
    other: Party,
}

impl Wire for Qr {
    fn write(&self, w: &mut Writer) {
        w.array(4).text(QR_TAG).uint(VERSION.into()).item(&self.shown_by).item(&self.other);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        if r.text(QR_TAG.len())? != QR_TAG {
            return Err(Error::malformed("not a safety number"));
        }
        if r.u16()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a safety number of a newer version: update the library"));
        }
        Ok(Self { shown_by: r.item()?, other: r.item()? })
    }
}
