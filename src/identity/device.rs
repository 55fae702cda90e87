//! A user's identity key, and the devices it certifies.

use core::fmt;
use std::sync::Arc;

use rand::CryptoRng;

use super::app::TrustedApps;
use super::chain::Chains;
use super::credential::Credential;
use super::revocation::Revocation;
use super::statement::{Check, Statement};
use super::uri::UserUri;
use crate::crypto::kdf::{self, Hash};
use crate::crypto::sign::{Signer, SigningKey, VerifyKey};
use crate::error::{Error, Result};
use crate::ids::{DeviceId, Timestamp};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// A user's identity key. It is needed only to enrol a device, so it can stay cold: on paper, in a key store, on one
/// device of several.
pub struct IdentityKey(Holder);

enum Holder {
    Here(SigningKey),
    Elsewhere(Box<dyn Signer>),
}

impl IdentityKey {
    /// Draws a key. Store [`expose_seed`](Self::expose_seed), or no further device can be enrolled.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Holder::Here(SigningKey::generate(rng)))
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Holder::Here(SigningKey::from_seed(seed)))
    }

    /// A key in a key store outside this process.
    #[must_use]
    pub fn external(signer: Box<dyn Signer>) -> Self {
        Self(Holder::Elsewhere(signer))
    }

    /// The seed, unless the key lives elsewhere. Whoever has it can enrol devices as this user.
    #[must_use]
    pub fn expose_seed(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Holder::Here(key) => Some(key.expose_seed()),
            Holder::Elsewhere(_) => None,
        }
    }

    /// The public half, which names the user to others.
    #[must_use]
    pub fn public(&self) -> &VerifyKey {
        self.signer().verify_key()
    }

    /// Certifies a device of `user`. The `serial` rises with each certificate of this identity, so that a group can
    /// refuse the devices of before a revocation; it is at most 2⁶⁴ − 2, or it fails with `Misuse`. Fails else only if a key
    /// store fails or answers wrongly.
    pub fn certify_device(
        &self,
        user: &UserUri,
        device: DeviceId,
        device_key: &VerifyKey,
        serial: u64,
        created: Timestamp,
    ) -> Result<DeviceCertificate> {
        require_serial(serial)?;
        let body = Body { user: user.clone(), device, key: device_key.clone(), serial, created };
        let statement = Statement::sign_with(labels::SIGN_DEVICE, body, self.signer())?;
        Ok(DeviceCertificate(Arc::new(statement)))
    }

    /// Takes back, as of `time`, the certificates of a device of `user` with a serial up to this one, which is that of the
    /// device's last certificate: any member of a group that the device is in may now have a
    /// [`Change::Revoke`](crate::client::Change::Revoke) take the device out. Fails with `Misuse` if the serial is above
    /// 2⁶⁴ − 2, and if a key store fails or answers wrongly.
    ///
    /// From then on the group takes no further device of the user with such a serial, whichever device it is.
    pub fn revoke_device(&self, user: &UserUri, device: DeviceId, serial: u64, time: Timestamp) -> Result<Revocation> {
        require_serial(serial)?;
        Revocation::of_device(self.signer(), (user, device, serial, time))
    }

    /// Whoever signs with it, for what other parts of the protocol have it sign.
    pub(crate) fn signer(&self) -> &dyn Signer {
        match &self.0 {
            Holder::Here(key) => key,
            Holder::Elsewhere(signer) => signer.as_ref(),
        }
    }
}

/// The last serial of a certificate. A group refuses what is below the least that it takes, so the last number of all could
/// never be refused.
pub(crate) const LAST_SERIAL: u64 = u64::MAX - 1;

fn require_serial(serial: u64) -> Result<()> {
    if serial <= LAST_SERIAL {
        Ok(())
    } else {
        Err(Error::misuse("a serial is at most 2^64 - 2: take the next serial"))
    }
}

pub(super) fn read_serial(r: &mut Reader<'_>) -> Result<u64> {
    let serial = r.u64()?;
    if serial <= LAST_SERIAL { Ok(serial) } else { Err(Error::malformed("a serial is at most 2^64 - 2")) }
}

impl From<SigningKey> for IdentityKey {
    fn from(key: SigningKey) -> Self {
        Self(Holder::Here(key))
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.debug_tuple("IdentityKey").field(self.public()).finish()
    }
}

/// An identity key's statement that a device key is its user's. Cheap to clone.
///
/// Read from bytes it is a claim, like a [`Credential`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCertificate(Arc<Statement<Body>>);

#[derive(Debug, PartialEq, Eq)]
struct Body {
    user: UserUri,
    device: DeviceId,
    key: VerifyKey,
    serial: u64,
    created: Timestamp,
}

impl DeviceCertificate {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        &self.0.body().user
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.0.body().device
    }

    /// The device's key, which signs its leaves.
    #[must_use]
    pub fn device_key(&self) -> &VerifyKey {
        &self.0.body().key
    }

    /// Rises with each certificate of the identity.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.0.body().serial
    }

    /// When it was made, by the clock of whoever made it.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.0.body().created
    }
}

impl Wire for DeviceCertificate {
    fn write(&self, w: &mut Writer) {
        self.0.write(w.array(2));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Statement::read(r, limits::STATEMENT).map(|statement| Self(Arc::new(statement)))
    }
}

public_encoding!(DeviceCertificate);

impl Wire for Body {
    fn write(&self, w: &mut Writer) {
        w.array(5).item(&self.user).item(&self.device).item(&self.key).uint(self.serial).item(&self.created);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(5)?;
        Ok(Self { user: r.item()?, device: r.item()?, key: r.item()?, serial: read_serial(r)?, created: r.item()? })
    }
}

/// Who a device is: its user, as vouched for by an app, and its key, as certified by the user. Cheap to clone.
///
/// It exists only if the whole chain was verified when it was made; it may have expired since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceIdentity(UnverifiedDeviceIdentity);

impl DeviceIdentity {
    /// The app's word on the user.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// The user's word on the device.
    #[must_use]
    pub const fn certificate(&self) -> &DeviceCertificate {
        &self.0.certificate
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        self.0.credential.user()
    }

    /// The user's identity key.
    #[must_use]
    pub fn identity_key(&self) -> &VerifyKey {
        self.0.credential.identity_key()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.0.certificate.device()
    }

    /// The device's key.
    #[must_use]
    pub fn device_key(&self) -> &VerifyKey {
        self.0.certificate.device_key()
    }

    /// The same as [`UnverifiedDeviceIdentity::to_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// The same statements, to be verified again elsewhere or later.
    #[must_use]
    pub const fn as_unverified(&self) -> &UnverifiedDeviceIdentity {
        &self.0
    }
}

/// What a device says it is, not verified yet. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedDeviceIdentity {
    credential: Credential,
    certificate: DeviceCertificate,
}

impl UnverifiedDeviceIdentity {
    /// Puts together what an app and a user have signed.
    #[must_use]
    pub const fn new(credential: Credential, certificate: DeviceCertificate) -> Self {
        Self { credential, certificate }
    }

    /// What an app is claimed to say.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What a user is claimed to say.
    #[must_use]
    pub const fn certificate(&self) -> &DeviceCertificate {
        &self.certificate
    }

    /// Verifies the chain from a trusted root to the device key.
    ///
    /// Fails with `NotAllowed` if the app is not trusted or vouches outside its domain, with `Expired` if the app key
    /// or the credential does not hold at `at`, with `Unauthentic` if a signature does not verify or the certificate
    /// is for another user.
    pub fn verify(self, trust: &TrustedApps, at: Timestamp) -> Result<DeviceIdentity> {
        self.check_claims(trust, Some(at))?;
        let mut chains = Chains::default();
        chains.device(&self, None);
        chains.verify()?;
        Ok(DeviceIdentity(self))
    }

    /// By which a leaf names it: SHA-256 of the array ("hash device identity", encoding).
    pub(super) fn hash(&self) -> Hash {
        kdf::hash(labels::HASH_DEVICE_IDENTITY, 1, |w| {
            w.bytes(&self.encode());
        })
    }

    /// What can be checked without a signature.
    pub(super) fn check_claims(&self, trust: &TrustedApps, at: Option<Timestamp>) -> Result<()> {
        self.credential.check_claims(trust, at)?;
        if self.credential.user() == self.certificate.user() { Ok(()) } else { Err(Error::unauthentic()) }
    }

    /// The signatures that make it true.
    pub(super) fn checks(&self) -> [Check<'_>; 3] {
        let [app, credential] = self.credential.checks();
        [app, credential, self.certificate.0.check(labels::SIGN_DEVICE, self.credential.identity_key())]
    }

    /// The usable type without the checks: after they have passed, or for a record that this device wrote and sealed
    /// after they had. Never for bytes from others.
    pub(crate) const fn assume_verified(self) -> DeviceIdentity {
        DeviceIdentity(self)
    }
}

impl Wire for UnverifiedDeviceIdentity {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.credential).item(&self.certificate);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self { credential: r.item()?, certificate: r.item()? })
    }
}

public_encoding!(UnverifiedDeviceIdentity);
