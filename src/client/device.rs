//! The device a client acts as, and where it takes time and randomness from.

use core::fmt;

use rand::CryptoRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use super::records;
use crate::crypto::sign::{Signer, SigningKey};
use crate::error::{Error, Result};
use crate::group::{Actor, GroupState};
use crate::identity::{Capabilities, DeviceIdentity, UnverifiedDeviceIdentity};
use crate::ids::{Suite, Timestamp};
use crate::secret::Secret;
use crate::wire::Wire;

/// Who a device is, and its device key.
pub struct DeviceKeys {
    identity: DeviceIdentity,
    key: Key,
    features: Vec<u32>,
}

enum Key {
    /// Kept in the client's store.
    Stored(SigningKey),
    /// Kept elsewhere.
    External(Box<dyn Signer>),
}

impl DeviceKeys {
    /// A device whose key is kept in the client's store. Fails with `Misuse` if it is not the certified key.
    pub fn new(identity: DeviceIdentity, key: SigningKey) -> Result<Self> {
        check(&identity, &key)?;
        Ok(Self { identity, key: Key::Stored(key), features: Vec::new() })
    }

    /// A device whose key is kept elsewhere, in an OS key store or a secure enclave. Whoever steals the store alone
    /// then cannot act as this device: the next [`Change::Heal`](super::Change::Heal) locks the thief out.
    ///
    /// Fails with `Misuse` if it is not the certified key.
    pub fn external(identity: DeviceIdentity, signer: Box<dyn Signer>) -> Result<Self> {
        check(&identity, signer.as_ref())?;
        Ok(Self { identity, key: Key::External(signer), features: Vec::new() })
    }

    /// Advertises feature numbers, at most 64, in every leaf of this device: what the app shows as what it is, such as
    /// [`content::features::POLL`](crate::content::features), and what apps agree on among themselves.
    #[must_use]
    pub fn with_features(mut self, features: &[u32]) -> Self {
        self.features = features.to_vec();
        self
    }
}

fn check(identity: &DeviceIdentity, signer: &dyn Signer) -> Result<()> {
    if identity.device_key() == signer.verify_key() {
        Ok(())
    } else {
        Err(Error::misuse("this is not the key that the device's certificate names"))
    }
}

/// The device in use.
pub(super) struct Device {
    keys: DeviceKeys,
    capabilities: Capabilities,
}

impl Device {
    pub(super) fn new(keys: DeviceKeys) -> Result<Self> {
        let capabilities = Capabilities::new(&[Suite::One], &keys.features)?;
        Ok(Self { keys, capabilities })
    }

    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { identity: self.identity(), signer: self.signer(), capabilities: &self.capabilities }
    }

    pub(super) const fn identity(&self) -> &DeviceIdentity {
        &self.keys.identity
    }

    pub(super) fn signer(&self) -> &dyn Signer {
        match &self.keys.key {
            Key::Stored(key) => key,
            Key::External(signer) => signer.as_ref(),
        }
    }

    /// Whether this device's credential, and the app key's certificate under it, are good for a commit to a group in this
    /// state, at `now`.
    pub(super) fn may_commit(&self, state: &GroupState, now: Timestamp) -> bool {
        let credential = self.identity().credential();
        credential.holds_at(now.max(state.time))
            && state.policy.apps.lists(self.identity().user().domain(), credential.root())
    }

    /// Advertises these features from the next leaf on.
    pub(super) fn advertise(&mut self, features: &[u32]) -> Result<()> {
        self.capabilities = Capabilities::new(&[Suite::One], features)?;
        self.keys.features = features.to_vec();
        Ok(())
    }

    /// Goes on as the same device with a newer credential.
    pub(super) fn renew(&mut self, identity: DeviceIdentity) -> Result<()> {
        let old = self.identity();
        if identity.user() != old.user() || identity.device() != old.device() {
            return Err(Error::misuse("a renewed credential is for the same user and device"));
        }
        check(&identity, self.signer())?;
        self.keys.identity = identity;
        Ok(())
    }

    /// Takes the external signer out, to be handed on when the records are read again.
    pub(super) fn into_signer(self) -> Option<Box<dyn Signer>> {
        match self.keys.key {
            Key::Stored(_) => None,
            Key::External(signer) => Some(signer),
        }
    }

    pub(super) fn record(&self) -> Vec<u8> {
        records::encode(3, |w| {
            w.bytes(&self.keys.identity.to_bytes());
            match &self.keys.key {
                Key::Stored(key) => w.bytes(key.expose_seed()),
                Key::External(_) => w.null(),
            };
            w.array(self.keys.features.len());
            for feature in &self.keys.features {
                w.uint((*feature).into());
            }
        })
    }

    pub(super) fn read(record: &[u8], signer: Option<Box<dyn Signer>>) -> Result<Self> {
        let (identity, stored, features) = records::decode(record, 3, |r| {
            let identity = UnverifiedDeviceIdentity::decode(r.bytes(usize::MAX)?)?.assume_verified();
            let stored = if r.null()? { None } else { Some(Secret::<32>::copy_from(r.fixed_ref()?)) };
            let mut features = Vec::new();
            for _ in 0..r.array_up_to(crate::limits::FEATURES)? {
                features.push(r.u32()?);
            }
            Ok((identity, stored, features))
        })?;
        let keys = match (stored, signer) {
            (Some(seed), _) => DeviceKeys::new(identity, SigningKey::from_seed(seed.expose()))?,
            (None, Some(signer)) => DeviceKeys::external(identity, signer)?,
            (None, None) => {
                return Err(Error::misuse("this device's key is kept elsewhere: open with its signer"));
            }
        };
        Self::new(DeviceKeys { features, ..keys })
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, key: _, features } = self;
        f.debug_struct("DeviceKeys").field("identity", identity).field("features", features).finish_non_exhaustive()
    }
}

/// Where a client takes time and randomness from; a simulation brings its own.
pub trait Environment: Send {
    /// This moment.
    fn now(&self) -> Timestamp;

    /// A cryptographically secure source of randomness.
    fn rng(&mut self) -> &mut dyn CryptoRng;
}

/// The operating system's clock and random source.
///
/// Drawing panics if the operating system has no randomness to give, which no supported one does once it has started.
#[derive(Debug)]
pub struct System(UnwrapErr<SysRng>);

impl Default for System {
    fn default() -> Self {
        Self(UnwrapErr(SysRng))
    }
}

impl Environment for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.0
    }
}
