//! An app's statement about who holds an identity key.

use std::sync::Arc;

use super::app::{AppKeyCertificate, TrustedApps};
use super::statement::{Check, Statement};
use super::uri::UserUri;
use crate::crypto::sign::{SigningKey, VerifyKey};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Timestamp, Validity};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// An app's statement that an identity key is a user's, with the certificate of the app key that signed it. Cheap to
/// clone.
///
/// Read from bytes it is a claim: it counts only where it is verified, in an
/// [`UnverifiedDeviceIdentity`](super::UnverifiedDeviceIdentity) or an [`UnverifiedLeaf`](super::UnverifiedLeaf).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    statement: Statement<Body>,
    app: AppKeyCertificate,
}

#[derive(Debug, PartialEq, Eq)]
struct Body {
    user: UserUri,
    identity_key: VerifyKey,
    validity: Validity,
}

impl Credential {
    pub(super) fn sign(
        key: &SigningKey,
        app: AppKeyCertificate,
        (user, identity_key, validity): (&UserUri, &VerifyKey, Validity),
    ) -> Self {
        let body = Body { user: user.clone(), identity_key: identity_key.clone(), validity };
        Self(Arc::new(Inner { statement: Statement::sign(labels::SIGN_CREDENTIAL, body, key), app }))
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        &self.0.statement.body().user
    }

    /// The user's identity key.
    #[must_use]
    pub fn identity_key(&self) -> &VerifyKey {
        &self.0.statement.body().identity_key
    }

    /// When the app's word holds.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.0.statement.body().validity
    }

    /// The root key at the head of the chain.
    #[must_use]
    pub fn root(&self) -> &VerifyKey {
        self.0.app.root()
    }

    /// The certificate of the app key that signed this.
    #[must_use]
    pub fn app_key_certificate(&self) -> &AppKeyCertificate {
        &self.0.app
    }

    /// Whether it is in force at a moment, and so is the certificate of the app key that signed it.
    pub(crate) fn holds_at(&self, at: Timestamp) -> bool {
        self.0.app.validity().contains(at) && self.validity().contains(at)
    }

    /// What can be checked without a signature: the app keeps to its domain, is trusted, and nothing has expired.
    pub(super) fn check_claims(&self, trust: &TrustedApps, at: Option<Timestamp>) -> Result<()> {
        let domain = self.0.app.domain();
        if self.user().domain() != domain {
            return Err(Error::not_allowed("an app vouches only for users of its own domain"));
        }
        if !trust.lists(domain, self.root()) {
            return Err(Error::not_allowed("the root of this user's app is not among the trusted ones"));
        }
        match at {
            Some(at) => in_time(self.holds_at(at)),
            None => Ok(()),
        }
    }

    /// The signatures that make it true.
    pub(super) fn checks(&self) -> [Check<'_>; 2] {
        [self.0.app.check(), self.0.statement.check(labels::SIGN_CREDENTIAL, self.0.app.app_key())]
    }
}

impl Wire for Credential {
    fn write(&self, w: &mut Writer) {
        self.0.statement.write(w.array(3));
        w.item(&self.0.app);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        let statement = Statement::read(r, limits::STATEMENT)?;
        Ok(Self(Arc::new(Inner { statement, app: r.item()? })))
    }
}

public_encoding!(Credential);

impl Wire for Body {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.user).item(&self.identity_key).item(&self.validity);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { user: r.item()?, identity_key: r.item()?, validity: r.item()? })
    }
}

/// The one error of everything outside its time.
pub(super) const fn in_time(valid: bool) -> Result<()> {
    if valid { Ok(()) } else { Err(Error::new(ErrorKind::Expired, "not valid at this time: ask for a fresh one")) }
}
