//! An app with a root key, an app key and users.

use core::fmt;

use rand::CryptoRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use crate::client::{Client, DeviceKeys};
use crate::crypto::sign::SigningKey;
use crate::error::Result;
use crate::group::Policy;
use crate::identity::{
    AppDomain, AppKey, AppRoot, DeviceIdentity, IdentityKey, TrustedApps, UnverifiedDeviceIdentity, UserUri,
};
use crate::ids::{DeviceId, Timestamp, Validity};
use crate::store::{MemoryStore, Store};

/// How long the certificates of a test app are valid, in seconds: a year from an hour before they are made.
const YEAR: u64 = 365 * 24 * 60 * 60;

/// An app that vouches for whomever it is asked to.
pub struct App {
    root: AppRoot,
    key: AppKey,
    validity: Validity,
}

impl App {
    /// An app for this domain, with fresh keys, valid around the present time.
    pub fn new(domain: &str) -> Result<Self> {
        let start = Timestamp(Timestamp::now().0.saturating_sub(60 * 60));
        Self::new_in(domain, Validity::starting(start, YEAR), &mut UnwrapErr(SysRng))
    }

    /// [`new`](Self::new), with validity and randomness of your own.
    pub fn new_in(domain: &str, validity: Validity, rng: &mut dyn CryptoRng) -> Result<Self> {
        let root = AppRoot::generate(domain.parse()?, rng);
        let key = SigningKey::generate(rng);
        let certificate = root.certify(key.verify_key(), validity);
        Ok(Self { key: AppKey::new(key, certificate)?, root, validity })
    }

    /// The app's domain.
    #[must_use]
    pub const fn domain(&self) -> &AppDomain {
        self.root.domain()
    }

    /// The app's root key.
    #[must_use]
    pub const fn root(&self) -> &AppRoot {
        &self.root
    }

    /// The app's key, to vouch for users by hand.
    #[must_use]
    pub const fn key(&self) -> &AppKey {
        &self.key
    }

    /// The URI of a user of this app.
    pub fn user(&self, name: &str) -> Result<UserUri> {
        UserUri::new(self.domain(), name)
    }

    /// These apps, trusted.
    pub fn trust(apps: &[&Self]) -> Result<TrustedApps> {
        let mut trusted = TrustedApps::new();
        for app in apps {
            trusted.insert(app.domain().clone(), app.root.public().clone())?;
        }
        Ok(trusted)
    }

    /// The usual policy for a group of these apps.
    pub fn policy(apps: &[&Self]) -> Result<Policy> {
        Ok(Policy::new(Self::trust(apps)?))
    }

    /// Enrols a new user with a first device.
    pub fn enrol(&self, name: &str) -> Result<DeviceKeys> {
        let mut rng = UnwrapErr(SysRng);
        self.enrol_device(name, &IdentityKey::generate(&mut rng), 0, &mut rng)
    }

    /// Enrols a device of the user who holds `identity`; `serial` is the certificate's.
    pub fn enrol_device(
        &self,
        name: &str,
        identity: &IdentityKey,
        serial: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<DeviceKeys> {
        let key = SigningKey::generate(rng);
        let device = self.certify(name, identity, (DeviceId::generate(rng), serial), &key)?;
        DeviceKeys::new(device, key)
    }

    /// Vouches for a user, and has the user's identity key certify a device with this id, serial and key.
    pub fn certify(
        &self,
        name: &str,
        identity: &IdentityKey,
        (device, serial): (DeviceId, u64),
        key: &SigningKey,
    ) -> Result<DeviceIdentity> {
        let user = self.user(name)?;
        let credential = self.key.vouch(&user, identity.public(), self.validity)?;
        let created = self.validity.not_before;
        let certificate = identity.certify_device(&user, device, key.verify_key(), serial, created)?;
        UnverifiedDeviceIdentity::new(credential, certificate).verify(&Self::trust(&[self])?, created)
    }

    /// A client for a new user, over a store in memory.
    pub fn client(&self, name: &str) -> Result<Client> {
        self.client_on(name, MemoryStore::new())
    }

    /// A client for a new user, over this store.
    pub fn client_on(&self, name: &str, store: impl Store + 'static) -> Result<Client> {
        Client::create(store, self.enrol(name)?)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, key: _, validity: _ } = self;
        f.debug_struct("App").field("domain", root.domain()).finish_non_exhaustive()
    }
}
