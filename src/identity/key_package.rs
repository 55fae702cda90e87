//! What a device publishes so that others can add it to a group while it is away.

use core::fmt;

use rand::CryptoRng;

use super::app::TrustedApps;
use super::claims::{Capabilities, Source};
use super::device::DeviceIdentity;
use super::leaf::{Leaf, LeafBody, UnverifiedLeaf, sign_leaf};
use crate::crypto::kdf;
use crate::crypto::kem::{InitKey, InitSecret, SealSecret};
use crate::crypto::sign::{Signer, SigningKey};
use crate::error::{Error, Result};
use crate::ids::{LeafHash, Timestamp, Validity};
use crate::labels;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// A verified key package: a leaf for a group yet unknown, and the init key its welcome is sealed to.
///
/// The leaf signs the hash of the init key and not its 1,216 bytes, so that rosters stay small and still nobody can
/// swap the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackage {
    leaf: Leaf,
    init_key: InitKey,
}

/// How a key package is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageOptions {
    /// What the device can do.
    pub capabilities: Capabilities,
    /// When the package may be used: at most [`KEY_PACKAGE_LIFETIME`](crate::limits::KEY_PACKAGE_LIFETIME), or
    /// [`LAST_RESORT_LIFETIME`](crate::limits::LAST_RESORT_LIFETIME) for a last resort.
    pub validity: Validity,
    /// Whether it is the one to use when all one-time packages are gone.
    pub last_resort: bool,
}

impl KeyPackage {
    /// Makes a key package with fresh keys. Store the secrets under [`id`](Self::id) before publishing it, and erase
    /// those of a one-time package once its welcome has been opened.
    ///
    /// Fails with `Limit` if it would live too long, and as [`sign_leaf`] does.
    pub fn create(
        identity: &DeviceIdentity,
        signer: &dyn Signer,
        options: PackageOptions,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, KeyPackageSecrets)> {
        let secrets = KeyPackageSecrets {
            signing: SigningKey::generate(rng),
            seal: SealSecret::generate(rng),
            init: InitSecret::generate(rng),
        };
        let init_key = secrets.init.public();
        let PackageOptions { capabilities, validity, last_resort } = options;
        let source =
            Source::Package { init_key_hash: init_key_hash(&init_key), last_resort, not_after: validity.not_after };
        let body = LeafBody {
            signature_key: secrets.signing.verify_key().clone(),
            seal_key: secrets.seal.public().clone(),
            capabilities,
            validity,
            source,
        };
        let leaf = sign_leaf(identity, signer, body)?;
        Ok((Self { leaf, init_key }, secrets))
    }

    /// The hash of its leaf: 32 bytes.
    #[must_use]
    pub const fn id(&self) -> LeafHash {
        self.leaf.hash()
    }

    /// The leaf that will join.
    #[must_use]
    pub const fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The key that the welcome is sealed to.
    #[must_use]
    pub const fn init_key(&self) -> &InitKey {
        &self.init_key
    }

    /// Whether it may be used more than once.
    #[must_use]
    pub const fn last_resort(&self) -> bool {
        matches!(self.leaf.source(), Source::Package { last_resort: true, .. })
    }

    /// Both parts.
    #[must_use]
    pub fn into_parts(self) -> (Leaf, InitKey) {
        (self.leaf, self.init_key)
    }

    /// What others read with [`UnverifiedKeyPackage::from_bytes`]: about 2 kB.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(2).bytes(self.leaf.encoded()).item(&self.init_key);
        w.finish()
    }
}

/// A key package as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedKeyPackage {
    leaf: UnverifiedLeaf,
    init_key: InitKey,
}

impl UnverifiedKeyPackage {
    /// The leaf, not verified.
    #[must_use]
    pub const fn leaf(&self) -> &UnverifiedLeaf {
        &self.leaf
    }

    /// What [`KeyPackage::id`] will be.
    #[must_use]
    pub fn id(&self) -> LeafHash {
        self.leaf.hash()
    }

    /// The usable type without the checks: for a record that this device wrote. Never for bytes from others.
    pub(crate) fn assume_verified(self) -> KeyPackage {
        KeyPackage { leaf: self.leaf.assume_verified(), init_key: self.init_key }
    }

    /// Verifies the chain of trust, the time, and that the init key is the one the device signed.
    ///
    /// Fails with `Malformed` if the leaf was made for something else than a key package, with `Unauthentic` if the
    /// init key is another, and as [`verify_all`](super::verify_all) does.
    pub fn verify(self, trust: &TrustedApps, at: Timestamp) -> Result<KeyPackage> {
        self.check_claims(trust, at)?;
        Ok(KeyPackage { leaf: self.leaf.verify(trust, Some(at))?, init_key: self.init_key })
    }

    /// What can be checked without a signature: fails as [`verify`](Self::verify) does, but for a chain of trust whose
    /// signatures do not hold.
    pub(crate) fn check_claims(&self, trust: &TrustedApps, at: Timestamp) -> Result<()> {
        let Source::Package { init_key_hash: signed, .. } = *self.leaf.claims().source() else {
            return Err(Error::malformed("this leaf was not made for a key package"));
        };
        if signed != init_key_hash(&self.init_key) {
            return Err(Error::unauthentic());
        }
        self.leaf.check_claims(trust, Some(at))
    }

    /// The key that the welcome is sealed to, if the leaf turns out to be true.
    pub(crate) const fn init_key(&self) -> &InitKey {
        &self.init_key
    }
}

impl TryFrom<&KeyPackage> for UnverifiedKeyPackage {
    type Error = Error;

    /// The same package, to be sent to others. One that was verified or made here always reads back.
    fn try_from(package: &KeyPackage) -> Result<Self> {
        Self::decode(&package.to_bytes())
    }
}

impl Wire for UnverifiedKeyPackage {
    fn write(&self, w: &mut Writer) {
        w.array(2).bytes(&self.leaf.to_bytes()).item(&self.init_key);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        let leaf = Wire::decode(r.bytes(crate::limits::LEAF)?)?;
        Ok(Self { leaf, init_key: r.item()? })
    }
}

public_encoding!(UnverifiedKeyPackage);

/// The private halves of a key package's three keys. Wiped on drop, never printed.
pub struct KeyPackageSecrets {
    /// Signs messages and commits in the group to be joined.
    pub signing: SigningKey,
    /// Opens commits there.
    pub seal: SealSecret,
    /// Opens the welcome.
    pub init: InitSecret,
}

impl fmt::Debug for KeyPackageSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signing: _, seal: _, init: _ } = self;
        f.write_str("KeyPackageSecrets(redacted)")
    }
}

/// SHA-256 of the array ("hash init key", key).
fn init_key_hash(key: &InitKey) -> [u8; 32] {
    kdf::hash(labels::HASH_INIT_KEY, 1, |w| {
        w.item(key);
    })
}
