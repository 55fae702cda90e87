//! What a leaf says.

use super::device::UnverifiedDeviceIdentity;
use super::uri::{AppDomain, UserUri};
use crate::crypto::kdf::Hash;
use crate::crypto::kem::SealKey;
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{DeviceId, GroupId, LeafIndex, Suite, Timestamp, Validity};
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

const VERSION: u16 = 1;

/// The content of a leaf. Of an [`UnverifiedLeaf`](super::UnverifiedLeaf) it is what the sender claims; only of a
/// [`Leaf`](super::Leaf) is it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafClaims {
    pub(super) terms: Terms,
    pub(super) identity: UnverifiedDeviceIdentity,
}

/// What a device key signs of a leaf. Who the device is it only names: whoever has seen the device before knows that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) suite: Suite,
    /// The [hash](UnverifiedDeviceIdentity::hash) of the device identity.
    pub(super) identity: Hash,
    pub(super) signature_key: VerifyKey,
    pub(super) seal_key: SealKey,
    pub(super) capabilities: Capabilities,
    pub(super) validity: Validity,
    pub(super) source: Source,
}

impl LeafClaims {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        self.identity.credential().user()
    }

    /// The user's app.
    #[must_use]
    pub fn domain(&self) -> &AppDomain {
        self.user().domain()
    }

    /// The root of the app, at the head of the chain of trust.
    #[must_use]
    pub fn root(&self) -> &VerifyKey {
        self.identity.credential().root()
    }

    /// The user's identity key.
    #[must_use]
    pub fn identity_key(&self) -> &VerifyKey {
        self.identity.credential().identity_key()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.identity.certificate().device()
    }

    /// The key of the device, which signed the leaf.
    #[must_use]
    pub fn device_key(&self) -> &VerifyKey {
        self.identity.certificate().device_key()
    }

    /// The serial of the device's certificate.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.identity.certificate().serial()
    }

    /// The suite of the keys below.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.terms.suite
    }

    /// The key that signs this leaf's messages and commits.
    #[must_use]
    pub const fn signature_key(&self) -> &VerifyKey {
        &self.terms.signature_key
    }

    /// The key that commits are sealed to.
    #[must_use]
    pub const fn seal_key(&self) -> &SealKey {
        &self.terms.seal_key
    }

    /// What the device can do.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.terms.capabilities
    }

    /// When the leaf may be introduced into a group.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.terms.validity
    }

    /// What the leaf was made for.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.terms.source
    }

    /// The statements about the device, to be verified.
    #[must_use]
    pub const fn identity(&self) -> &UnverifiedDeviceIdentity {
        &self.identity
    }
}

impl Terms {
    /// The rules a leaf keeps at any time: it can do its own suite, and a key package lives no longer than allowed.
    pub(super) fn check_rules(&self) -> Result<()> {
        if !self.capabilities.supports(self.suite) {
            return Err(Error::malformed("a leaf's capabilities include its own suite"));
        }
        let Source::Package { last_resort, not_after, .. } = self.source else { return Ok(()) };
        let most = if last_resort { limits::LAST_RESORT_LIFETIME } else { limits::KEY_PACKAGE_LIFETIME };
        let Validity { not_before, not_after: leaf_not_after } = self.validity;
        if not_after > leaf_not_after || leaf_not_after > not_before.after(most) {
            return Err(Error::limit("a key package lives longer than the protocol allows"));
        }
        Ok(())
    }

    /// Whether the leaf itself may be introduced now.
    pub(super) fn contains(&self, at: Timestamp) -> bool {
        let package = match self.source {
            Source::Package { not_after, .. } => at <= not_after,
            Source::Commit { .. } => true,
        };
        package && self.validity.contains(at)
    }
}

impl Wire for Terms {
    fn write(&self, w: &mut Writer) {
        w.array(8).uint(VERSION.into()).item(&self.suite).bytes(&self.identity);
        w.item(&self.signature_key).item(&self.seal_key);
        w.item(&self.capabilities).item(&self.validity).item(&self.source);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(8)?;
        if r.u16()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a leaf of a version this build does not know"));
        }
        Ok(Self {
            suite: r.item()?,
            identity: r.fixed()?,
            signature_key: r.item()?,
            seal_key: r.item()?,
            capabilities: r.item()?,
            validity: r.item()?,
            source: r.item()?,
        })
    }
}

/// What a leaf was made for. It is signed, so a leaf cannot be moved from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A key package, to be added to one group by somebody else.
    Package {
        /// The hash of the init key that goes with it: SHA-256 of the array ("hash init key", key).
        init_key_hash: [u8; 32],
        /// Whether it may be used more than once, when all one-time packages are gone.
        last_resort: bool,
        /// The last second in which it may be used.
        not_after: Timestamp,
    },
    /// The member's own commit.
    Commit {
        /// The group.
        group: GroupId,
        /// The member's place in it.
        leaf: LeafIndex,
        /// The transcript hash of the epoch in which the commit is made.
        parent: [u8; 32],
        /// The hash of the list of the commit's proposal hashes.
        proposals: [u8; 32],
    },
}

impl Wire for Source {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Package { init_key_hash, last_resort, not_after } => {
                w.array(4).uint(0).bytes(init_key_hash).bool(*last_resort).item(not_after);
            }
            Self::Commit { group, leaf, parent, proposals } => {
                w.array(5).uint(1).item(group).item(leaf).bytes(parent).bytes(proposals);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(5)?;
        match (r.u8()?, len) {
            (0, 4) => Ok(Self::Package { init_key_hash: r.fixed()?, last_resort: r.bool()?, not_after: r.item()? }),
            (1, 5) => Ok(Self::Commit { group: r.item()?, leaf: r.item()?, parent: r.fixed()?, proposals: r.fixed()? }),
            _ => Err(Error::malformed("not a source of a leaf")),
        }
    }
}

/// What a device can do: the suites it speaks, by id, and numbered features, each list ordered and without repeats.
///
/// Ids that this build does not know are kept, so that a newer device can sit beside an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    suites: Vec<u16>,
    features: Vec<u32>,
}

impl Capabilities {
    /// Orders both lists. Fails with `Misuse` without a suite, and with `Limit` beyond [`limits::SUITES`] or
    /// [`limits::FEATURES`].
    pub fn new(suites: &[Suite], features: &[u32]) -> Result<Self> {
        let suites = ordered(suites.iter().copied().map(suite_id).collect());
        let features = ordered(features.to_vec());
        if suites.is_empty() {
            return Err(Error::misuse("a device speaks at least one suite"));
        }
        if suites.len() > limits::SUITES || features.len() > limits::FEATURES {
            return Err(Error::limit("too many capabilities"));
        }
        Ok(Self { suites, features })
    }

    /// Whether the device speaks this suite.
    #[must_use]
    pub fn supports(&self, suite: Suite) -> bool {
        self.suites.binary_search(&suite_id(suite)).is_ok()
    }

    /// Whether the device has this feature.
    #[must_use]
    pub fn has_feature(&self, feature: u32) -> bool {
        self.features.binary_search(&feature).is_ok()
    }

    /// The suites that this build knows as well.
    pub fn suites(&self) -> impl Iterator<Item = Suite> {
        [Suite::One].into_iter().filter(|suite| self.supports(*suite))
    }

    /// The ids of all suites, in order.
    #[must_use]
    pub fn suite_ids(&self) -> &[u16] {
        &self.suites
    }

    /// The features, in order.
    #[must_use]
    pub fn features(&self) -> &[u32] {
        &self.features
    }
}

impl Default for Capabilities {
    /// All suites of this build, no features.
    fn default() -> Self {
        Self { suites: vec![suite_id(Suite::One)], features: Vec::new() }
    }
}

impl Wire for Capabilities {
    fn write(&self, w: &mut Writer) {
        w.array(2).array(self.suites.len());
        for suite in &self.suites {
            w.uint((*suite).into());
        }
        w.array(self.features.len());
        for feature in &self.features {
            w.uint((*feature).into());
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        let suites = (0..r.array_up_to(limits::SUITES)?).map(|_| r.u16()).collect::<Result<Vec<_>>>()?;
        let features = (0..r.array_up_to(limits::FEATURES)?).map(|_| r.u32()).collect::<Result<Vec<_>>>()?;
        if suites.is_empty() || !suites.is_sorted_by(|a, b| a < b) || !features.is_sorted_by(|a, b| a < b) {
            return Err(Error::malformed("capabilities are ordered, all different, and name a suite"));
        }
        Ok(Self { suites, features })
    }
}

public_encoding!(Capabilities);

const fn suite_id(suite: Suite) -> u16 {
    match suite {
        Suite::One => 1,
    }
}

fn ordered<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_capabilities_are_kept_and_the_order_is_fixed() {
        let newer = [0x82, 0x82, 0x01, 0x02, 0x82, 0x05, 0x18, 0x20];
        let capabilities = Capabilities::from_bytes(&newer).unwrap();
        assert_eq!((capabilities.suite_ids(), capabilities.features()), (&[1, 2][..], &[5, 32][..]));
        assert_eq!(capabilities.suites().collect::<Vec<_>>(), [Suite::One]);
        assert_eq!(capabilities.to_bytes(), newer);

        let refused: [&[u8]; 5] = [
            &[0x82, 0x80, 0x80],
            &[0x82, 0x82, 0x02, 0x01, 0x80],
            &[0x82, 0x82, 0x01, 0x01, 0x80],
            &[0x82, 0x81, 0x01, 0x82, 0x05, 0x05],
            &[0x82, 0x81, 0x01, 0x82, 0x05, 0x04],
        ];
        for bytes in refused {
            assert_eq!(Capabilities::from_bytes(bytes).unwrap_err().kind(), ErrorKind::Malformed);
        }
        let features: Vec<u32> = (0..=64).collect();
        assert!(Capabilities::new(&[Suite::One], &features[1..]).is_ok());
        assert_eq!(Capabilities::new(&[Suite::One], &features).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(Capabilities::new(&[], &[]).unwrap_err().kind(), ErrorKind::Misuse);
    }

    #[test]
    fn sources_do_not_pass_for_each_other() {
        let package = Source::Package { init_key_hash: [1; 32], last_resort: true, not_after: Timestamp(9) };
        let group = GroupId::from_bytes([2; 16]);
        let commit = Source::Commit { group, leaf: LeafIndex(3), parent: [4; 32], proposals: [5; 32] };
        for source in [package, commit] {
            let bytes = source.encode();
            assert_eq!(Source::decode(&bytes).unwrap(), source);
            let mut other = bytes.clone();
            other[1] ^= 1;
            assert_eq!(Source::decode(&other).unwrap_err().kind(), ErrorKind::Malformed);
            other[1] = 2;
            assert_eq!(Source::decode(&other).unwrap_err().kind(), ErrorKind::Malformed);
        }
    }
}
