//! Names and numbers that every layer shares.

use core::fmt;

use rand::CryptoRng;

use crate::error::Result;
use crate::wire::{Reader, Wire, Writer, bytes_id};

bytes_id! {
    /// A group: 16 random bytes, chosen by its creator.
    GroupId, 16
}

bytes_id! {
    /// A device of a user: 16 random bytes, chosen when the device is enrolled.
    DeviceId, 16
}

bytes_id! {
    /// A group message: 32 bytes, the same for every member and across re-encryption
    /// (`docs/protocol.md`, section 6).
    MessageId, 32
}

bytes_id! {
    /// A leaf, and so a key package: the hash of its signed bytes, 32 bytes.
    LeafHash, 32
}

impl GroupId {
    /// Draws an id.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl DeviceId {
    /// Draws an id.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// A whole number with a meaning, written as a CBOR unsigned integer.
macro_rules! number {
    ($(#[doc = $doc:literal])+ $name:ident, $int:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl Wire for $name {
            fn write(&self, w: &mut Writer) {
                w.uint(self.0.into());
            }

            fn read(r: &mut Reader<'_>) -> Result<Self> {
                r.$int().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A device's place in a group. Indices are handed out in order and never again.
    LeafIndex, u32
}

number! {
    /// How many commits a group has seen.
    Epoch, u64
}

number! {
    /// A message's place in its sender's chain, counted from 0 in every epoch.
    Generation, u32
}

number! {
    /// Seconds since 1970-01-01T00:00:00Z.
    Timestamp, u64
}

impl Timestamp {
    /// This moment, by the system's clock; 0 if it is set before 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }

    /// This many seconds later.
    #[must_use]
    pub const fn after(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// From when to when something is valid, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validity {
    /// The first valid second.
    pub not_before: Timestamp,
    /// The last valid second.
    pub not_after: Timestamp,
}

impl Validity {
    /// From `start`, for `seconds`.
    #[must_use]
    pub const fn starting(start: Timestamp, seconds: u64) -> Self {
        Self { not_before: start, not_after: start.after(seconds) }
    }

    /// Whether `at` is inside.
    #[must_use]
    pub const fn contains(&self, at: Timestamp) -> bool {
        self.not_before.0 <= at.0 && at.0 <= self.not_after.0
    }
}

impl Wire for Validity {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.not_before).item(&self.not_after);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self { not_before: r.item()?, not_after: r.item()? })
    }
}

/// The cipher suite of a group, chosen at its creation and part of every context.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// Key packages X-Wing, leaves X25519; Ed25519, ChaCha20-Poly1305, HKDF-SHA256.
    #[default]
    One,
}

impl Wire for Suite {
    fn write(&self, w: &mut Writer) {
        let Self::One = self;
        w.uint(1);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        match r.u16()? {
            1 => Ok(Self::One),
            _ => Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                "a suite this version does not know: update the library",
            )),
        }
    }
}
