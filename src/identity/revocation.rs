//! Taking back: an app's word that a user is its own no more, a user's word that a device is.

use std::sync::Arc;

use super::app::{AppKeyCertificate, TrustedApps};
use super::chain::Chains;
use super::credential::in_time;
use super::device::read_serial;
use super::statement::Statement;
use super::uri::UserUri;
use crate::crypto::sign::{Signer, SigningKey, VerifyKey};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{DeviceId, Timestamp};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// A signed statement that takes back an earlier one (`docs/protocol.md`, section 3.7): of a user, by the app that vouched,
/// or of a device, by the identity key that certified it. Made by [`AppKey::revoke`](super::AppKey::revoke) and
/// [`IdentityKey::revoke_device`](super::IdentityKey::revoke_device). Cheap to clone.
///
/// It names no group: it holds in every group that the user or device is in, by the first commit of any member that takes it
/// up. Read from bytes it is a claim; a group's rules verify it. It is not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation(Arc<Kind>);

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    User { statement: Statement<UserBody>, app: AppKeyCertificate },
    Device(Statement<DeviceBody>),
}

#[derive(Debug, PartialEq, Eq)]
struct UserBody {
    user: UserUri,
    identity: VerifyKey,
    time: Timestamp,
}

#[derive(Debug, PartialEq, Eq)]
struct DeviceBody {
    user: UserUri,
    device: DeviceId,
    serial: u64,
    time: Timestamp,
}

/// What a [`Revocation`] takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoked<'a> {
    /// The user, as the holder of this identity key.
    User {
        /// The key that the app had vouched for.
        identity: &'a VerifyKey,
    },
    /// One device of the user.
    Device {
        /// Which.
        device: DeviceId,
        /// Certificates with a serial up to this one, it included, count no more.
        serial: u64,
    },
}

impl Revocation {
    pub(super) fn of_user(
        key: &SigningKey,
        app: AppKeyCertificate,
        (user, identity, time): (&UserUri, &VerifyKey, Timestamp),
    ) -> Self {
        let body = UserBody { user: user.clone(), identity: identity.clone(), time };
        let statement = Statement::sign(labels::SIGN_REVOCATION, body, key);
        Self(Arc::new(Kind::User { statement, app }))
    }

    pub(super) fn of_device(
        signer: &dyn Signer,
        (user, device, serial, time): (&UserUri, DeviceId, u64, Timestamp),
    ) -> Result<Self> {
        let body = DeviceBody { user: user.clone(), device, serial, time };
        let statement = Statement::sign_with(labels::SIGN_DEVICE_REVOCATION, body, signer)?;
        Ok(Self(Arc::new(Kind::Device(statement))))
    }

    /// Whom it is about.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        match self.0.as_ref() {
            Kind::User { statement, .. } => &statement.body().user,
            Kind::Device(statement) => &statement.body().user,
        }
    }

    /// When it was made, by the clock of whoever made it.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self.0.as_ref() {
            Kind::User { statement, .. } => statement.body().time,
            Kind::Device(statement) => statement.body().time,
        }
    }

    /// What it takes back.
    #[must_use]
    pub fn what(&self) -> Revoked<'_> {
        match self.0.as_ref() {
            Kind::User { statement, .. } => Revoked::User { identity: &statement.body().identity },
            Kind::Device(statement) => {
                let DeviceBody { device, serial, .. } = *statement.body();
                Revoked::Device { device, serial }
            }
        }
    }

    /// The root at the head of the chain, if this is an app's word.
    pub(crate) fn root(&self) -> Option<&VerifyKey> {
        match self.0.as_ref() {
            Kind::User { app, .. } => Some(app.root()),
            Kind::Device(_) => None,
        }
    }

    /// Whether it is the word of whom it should be, at a moment: of an app that is trusted for the user, by an app key that
    /// was and is in force, or of the user's own identity key.
    ///
    /// Fails with `Expired` if it was made after `at`, or by an app key that was not in force then or is not at `at`, with
    /// `NotAllowed` if the app is not trusted or speaks outside its domain, and with `Unauthentic`.
    pub(crate) fn verify(&self, trust: &TrustedApps, identity: &VerifyKey, at: Timestamp) -> Result<()> {
        if self.time() > at {
            return Err(Error::new(ErrorKind::Expired, "a revocation from the future: check the clocks"));
        }
        let mut chains = Chains::default();
        match self.0.as_ref() {
            Kind::User { statement, app } => {
                if self.user().domain() != app.domain() {
                    return Err(Error::not_allowed("an app revokes only users of its own domain"));
                }
                if !trust.lists(app.domain(), app.root()) {
                    return Err(Error::not_allowed("the root of this user's app is not among the trusted ones"));
                }
                // One that has run out may be in anyone's hands, and dates what it signs as it likes.
                in_time(app.validity().contains(self.time()) && app.validity().contains(at))?;
                chains.signature(app.check());
                chains.signature(statement.check(labels::SIGN_REVOCATION, app.app_key()));
            }
            Kind::Device(statement) => {
                chains.signature(statement.check(labels::SIGN_DEVICE_REVOCATION, identity));
            }
        }
        chains.verify()
    }
}

impl Wire for Revocation {
    fn write(&self, w: &mut Writer) {
        match self.0.as_ref() {
            Kind::User { statement, app } => {
                statement.write(w.array(4).uint(0));
                w.item(app);
            }
            Kind::Device(statement) => statement.write(w.array(3).uint(1)),
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (len, kind) = r.kind_of_array()?;
        let kind = match (kind, len) {
            (0, 4) => Kind::User { statement: Statement::read(r, limits::STATEMENT)?, app: r.item()? },
            (1, 3) => Kind::Device(Statement::read(r, limits::STATEMENT)?),
            (0 | 1, _) => return Err(Error::malformed("a revocation of a known kind with other items")),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "a revocation of a kind this version does not know: update the library",
                ));
            }
        };
        Ok(Self(Arc::new(kind)))
    }
}

public_encoding!(Revocation);

impl Wire for UserBody {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.user).item(&self.identity).item(&self.time);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { user: r.item()?, identity: r.item()?, time: r.item()? })
    }
}

impl Wire for DeviceBody {
    fn write(&self, w: &mut Writer) {
        w.array(4).item(&self.user).item(&self.device).uint(self.serial).item(&self.time);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        Ok(Self { user: r.item()?, device: r.item()?, serial: read_serial(r)?, time: r.item()? })
    }
}
