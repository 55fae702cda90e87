//! Apps: the root that names one, the short-lived keys it certifies, and the list of those one trusts.

use core::fmt;
use std::sync::Arc;

use rand::CryptoRng;

use super::credential::Credential;
use super::revocation::Revocation;
use super::statement::{Check, Statement};
use super::uri::{AppDomain, UserUri};
use crate::crypto::sign::{SigningKey, VerifyKey};
use crate::error::{Error, Result};
use crate::ids::{Timestamp, Validity};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// An app's long-lived root key. Keep it offline: all it does is certify [`AppKey`]s.
pub struct AppRoot {
    domain: AppDomain,
    key: SigningKey,
}

impl AppRoot {
    /// Draws a root for a domain.
    #[must_use]
    pub fn generate(domain: AppDomain, rng: &mut dyn CryptoRng) -> Self {
        Self { domain, key: SigningKey::generate(rng) }
    }

    /// The root of a 32-byte seed.
    #[must_use]
    pub fn from_seed(domain: AppDomain, seed: &[u8; 32]) -> Self {
        Self { domain, key: SigningKey::from_seed(seed) }
    }

    /// The seed, for the caller to store. Whoever has it can name any key as any user of the app.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.key.expose_seed()
    }

    /// The one domain this root speaks for.
    #[must_use]
    pub const fn domain(&self) -> &AppDomain {
        &self.domain
    }

    /// The public half, which others put into their [`TrustedApps`].
    #[must_use]
    pub const fn public(&self) -> &VerifyKey {
        self.key.verify_key()
    }

    /// Certifies a key that may vouch for the app's users while `validity` lasts.
    #[must_use]
    pub fn certify(&self, app_key: &VerifyKey, validity: Validity) -> AppKeyCertificate {
        let body = Body { domain: self.domain.clone(), root: self.public().clone(), key: app_key.clone(), validity };
        AppKeyCertificate(Arc::new(Statement::sign(labels::SIGN_APP_KEY, body, &self.key)))
    }
}

impl fmt::Debug for AppRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, key } = self;
        f.debug_struct("AppRoot").field("domain", domain).field("key", key).finish()
    }
}

/// A root's statement that a key may vouch for users of its domain. Cheap to clone.
///
/// Read from bytes it is a claim: it counts only where it is verified together with what it vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppKeyCertificate(Arc<Statement<Body>>);

#[derive(Debug, PartialEq, Eq)]
struct Body {
    domain: AppDomain,
    root: VerifyKey,
    key: VerifyKey,
    validity: Validity,
}

impl AppKeyCertificate {
    /// The domain within which the key may vouch.
    #[must_use]
    pub fn domain(&self) -> &AppDomain {
        &self.0.body().domain
    }

    /// The root that signed this.
    #[must_use]
    pub fn root(&self) -> &VerifyKey {
        &self.0.body().root
    }

    /// The certified key.
    #[must_use]
    pub fn app_key(&self) -> &VerifyKey {
        &self.0.body().key
    }

    /// While this lasts, what the key vouches for is accepted.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.0.body().validity
    }

    pub(super) fn check(&self) -> Check<'_> {
        self.0.check(labels::SIGN_APP_KEY, self.root())
    }
}

impl Wire for AppKeyCertificate {
    fn write(&self, w: &mut Writer) {
        self.0.write(w.array(2));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Statement::read(r, limits::STATEMENT).map(|statement| Self(Arc::new(statement)))
    }
}

public_encoding!(AppKeyCertificate);

impl Wire for Body {
    fn write(&self, w: &mut Writer) {
        w.array(4).item(&self.domain).item(&self.root).item(&self.key).item(&self.validity);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        Ok(Self { domain: r.item()?, root: r.item()?, key: r.item()?, validity: r.item()? })
    }
}

/// The key an app's backend vouches for its users with.
pub struct AppKey {
    key: SigningKey,
    certificate: AppKeyCertificate,
}

impl AppKey {
    /// A key and its certificate. Fails with `Misuse` if they do not belong together, and with `Unauthentic` if the
    /// certificate is not signed by the root it names. Whether it has expired is for those to judge who verify.
    pub fn new(key: SigningKey, certificate: AppKeyCertificate) -> Result<Self> {
        if key.verify_key() != certificate.app_key() {
            return Err(Error::misuse("the certificate is for another app key"));
        }
        let signed = certificate.check().signed();
        signed.key.verify(&signed.input, &signed.signature)?;
        Ok(Self { key, certificate })
    }

    /// Vouches that `identity` is the key of `user`, who has proved it to the app. Fails with `NotAllowed` outside
    /// the app's domain.
    pub fn vouch(&self, user: &UserUri, identity: &VerifyKey, validity: Validity) -> Result<Credential> {
        if user.domain() != self.certificate.domain() {
            return Err(Error::not_allowed("an app vouches only for users of its own domain"));
        }
        Ok(Credential::sign(&self.key, self.certificate.clone(), (user, identity, validity)))
    }

    /// Takes back, as of `time`, that `identity` is the key of `user`: any member of a group that the user is in may now
    /// have a [`Change::Revoke`](crate::client::Change::Revoke) take the user out. Fails with `NotAllowed` outside the app's
    /// domain, and with `Misuse` at a time when this key's certificate is not valid.
    ///
    /// It reaches users whom this key's root vouched for: during a rotation of roots, revoke by a key under each. It holds
    /// while the key's certificate does, so hand out a new one as long as it should. A credential of the user's that begins
    /// after `time` overrules it, so vouch anew to take the revocation back, and never ahead of time.
    pub fn revoke(&self, user: &UserUri, identity: &VerifyKey, time: Timestamp) -> Result<Revocation> {
        if user.domain() != self.certificate.domain() {
            return Err(Error::not_allowed("an app revokes only users of its own domain"));
        }
        if !self.certificate.validity().contains(time) {
            return Err(Error::misuse("this app key is not valid at that time: revoke with the present one"));
        }
        Ok(Revocation::of_user(&self.key, self.certificate.clone(), (user, identity, time)))
    }

    /// What shows that the key may vouch.
    #[must_use]
    pub const fn certificate(&self) -> &AppKeyCertificate {
        &self.certificate
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, certificate } = self;
        f.debug_struct("AppKey").field("key", key).field("certificate", certificate).finish()
    }
}

/// One trusted app: its domain and its roots, the current one and those being rotated out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedApp {
    domain: AppDomain,
    roots: Vec<VerifyKey>,
}

impl TrustedApp {
    /// An app and its roots, in any order. Fails with `Malformed` without a root or with one twice, and with `Limit` for more
    /// than [`limits::ROOTS_PER_APP`].
    pub fn new(domain: AppDomain, mut roots: Vec<VerifyKey>) -> Result<Self> {
        if roots.len() > limits::ROOTS_PER_APP {
            return Err(Error::limit("too many roots of one app"));
        }
        roots.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        Self { domain, roots }.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.roots.is_empty() || !self.roots.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()) {
            return Err(Error::malformed("an app's roots are ordered, all different, and at least one"));
        }
        Ok(self)
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &AppDomain {
        &self.domain
    }

    /// 1 to [`limits::ROOTS_PER_APP`] roots, ordered by their bytes.
    #[must_use]
    pub fn roots(&self) -> &[VerifyKey] {
        &self.roots
    }

    fn find(&self, root: &VerifyKey) -> Result<usize, usize> {
        self.roots.binary_search_by_key(&root.as_bytes(), VerifyKey::as_bytes)
    }
}

/// The apps whose word on who is who is taken, at most [`limits::APPS`]. Ordered by domain, so that equal lists have
/// equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedApps(Vec<TrustedApp>);

impl TrustedApps {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Trusts a root of a domain; whether it is new. Fails with `Limit` if there are too many apps, or roots of this
    /// one, and then changes nothing.
    pub fn insert(&mut self, domain: AppDomain, root: VerifyKey) -> Result<bool> {
        let at = self.find(&domain);
        if let Some(app) = at.ok().and_then(|at| self.0.get_mut(at)) {
            let Err(place) = app.find(&root) else { return Ok(false) };
            if app.roots.len() >= limits::ROOTS_PER_APP {
                return Err(Error::limit("too many roots of one app"));
            }
            app.roots.insert(place, root);
        } else {
            if self.0.len() >= limits::APPS {
                return Err(Error::limit("too many trusted apps"));
            }
            let (Ok(place) | Err(place)) = at;
            self.0.insert(place, TrustedApp { domain, roots: vec![root] });
        }
        Ok(true)
    }

    /// Takes a root off the list, and the app with its last root; whether it was there.
    pub fn remove(&mut self, domain: &AppDomain, root: &VerifyKey) -> bool {
        let Ok(at) = self.find(domain) else { return false };
        let Some(app) = self.0.get_mut(at) else { return false };
        let Ok(place) = app.find(root) else { return false };
        app.roots.remove(place);
        if app.roots.is_empty() {
            self.0.remove(at);
        }
        true
    }

    /// Takes an app off the list with all its roots; whether it was there.
    pub fn remove_app(&mut self, domain: &AppDomain) -> bool {
        let found = self.find(domain);
        if let Ok(at) = found {
            self.0.remove(at);
        }
        found.is_ok()
    }

    /// Whether `root` is trusted to speak for `domain`.
    #[must_use]
    pub fn lists(&self, domain: &AppDomain, root: &VerifyKey) -> bool {
        self.app(domain).is_some_and(|app| app.find(root).is_ok())
    }

    /// The app of this domain.
    #[must_use]
    pub fn app(&self, domain: &AppDomain) -> Option<&TrustedApp> {
        self.find(domain).ok().and_then(|at| self.0.get(at))
    }

    /// The apps, ordered by domain.
    #[must_use]
    pub fn apps(&self) -> &[TrustedApp] {
        &self.0
    }

    /// The domains, in order.
    pub fn domains(&self) -> impl ExactSizeIterator<Item = &AppDomain> {
        self.0.iter().map(TrustedApp::domain)
    }

    fn find(&self, domain: &AppDomain) -> Result<usize, usize> {
        self.0.binary_search_by(|app| app.domain.cmp(domain))
    }
}

impl Wire for TrustedApp {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.domain).list(self.roots.iter());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Self { domain: r.item()?, roots: r.list(limits::ROOTS_PER_APP)? }.checked()
    }
}

impl Wire for TrustedApps {
    fn write(&self, w: &mut Writer) {
        w.list(self.0.iter());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let apps: Vec<TrustedApp> = r.list(limits::APPS)?;
        if !apps.is_sorted_by(|a, b| a.domain < b.domain) {
            return Err(Error::malformed("trusted apps are ordered by domain, all different"));
        }
        Ok(Self(apps))
    }
}

public_encoding!(TrustedApps);
