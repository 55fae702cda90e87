//! A device's place in a group: fresh keys, and the chain of trust that says whose they are.

use core::fmt;

use super::app::TrustedApps;
use super::chain::Chains;
use super::claims::{Capabilities, LeafClaims, Source, Terms};
use super::credential::in_time;
use super::device::{DeviceIdentity, UnverifiedDeviceIdentity};
use super::statement::{Check, Statement};
use super::uri::{AppDomain, UserUri};
use crate::crypto::kdf;
use crate::crypto::kem::SealKey;
use crate::crypto::sign::{Signer, VerifyKey};
use crate::error::{Error, Result};
use crate::ids::{DeviceId, LeafHash, Suite, Timestamp, Validity};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// A verified leaf: every signature from a trusted root down to these keys has been checked.
///
/// About 2 kB in memory; share it in an `Arc`.
#[derive(Clone)]
pub struct Leaf {
    claims: LeafClaims,
    identity: DeviceIdentity,
    encoded: Box<[u8]>,
    hash: LeafHash,
}

impl Leaf {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        self.claims.user()
    }

    /// The user's app.
    #[must_use]
    pub fn domain(&self) -> &AppDomain {
        self.claims.domain()
    }

    /// The root of the app, at the head of the chain of trust.
    #[must_use]
    pub fn root(&self) -> &VerifyKey {
        self.claims.root()
    }

    /// The user's identity key.
    #[must_use]
    pub fn identity_key(&self) -> &VerifyKey {
        self.claims.identity_key()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.claims.device()
    }

    /// The key of the device, which signed the leaf.
    #[must_use]
    pub fn device_key(&self) -> &VerifyKey {
        self.claims.device_key()
    }

    /// The serial of the device's certificate.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.claims.serial()
    }

    /// The suite of the keys below.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.claims.suite()
    }

    /// The key that signs this leaf's messages and commits.
    #[must_use]
    pub const fn signature_key(&self) -> &VerifyKey {
        self.claims.signature_key()
    }

    /// The key that commits are sealed to.
    #[must_use]
    pub const fn seal_key(&self) -> &SealKey {
        self.claims.seal_key()
    }

    /// What the device can do.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        self.claims.capabilities()
    }

    /// When the leaf may be introduced into a group.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.claims.validity()
    }

    /// What the leaf was made for.
    #[must_use]
    pub const fn source(&self) -> &Source {
        self.claims.source()
    }

    /// Who the device is.
    #[must_use]
    pub const fn identity(&self) -> &DeviceIdentity {
        &self.identity
    }

    /// SHA-256 of the array ("hash leaf", signed body, signature), 32 bytes; the id of a key package. The body names the
    /// device identity by its hash, so this stands for the whole leaf.
    #[must_use]
    pub const fn hash(&self) -> LeafHash {
        self.hash
    }

    /// The whole leaf: body and signature as they were received, and the device identity.
    #[must_use]
    pub const fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    fn new(statement: Statement<LeafClaims>) -> Self {
        let encoded = encode(&statement).into_boxed_slice();
        let hash = hash(&statement);
        let claims = statement.into_body();
        let identity = claims.identity.clone().assume_verified();
        Self { claims, identity, encoded, hash }
    }
}

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for Leaf {}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claims, identity: _, encoded: _, hash } = self;
        f.debug_struct("Leaf").field("hash", hash).field("claims", claims).finish()
    }
}

impl TryFrom<&Leaf> for UnverifiedLeaf {
    type Error = Error;

    /// The same leaf, to be sent to others. A leaf that was verified or signed here always reads back.
    fn try_from(leaf: &Leaf) -> Result<Self> {
        Self::decode(&leaf.encoded)
    }
}

/// The parts of a leaf that are new each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafBody {
    /// A fresh key to sign messages and commits with.
    pub signature_key: VerifyKey,
    /// A fresh key that commits are sealed to.
    pub seal_key: SealKey,
    /// What the device can do; [`Suite::One`] at least.
    pub capabilities: Capabilities,
    /// When the leaf may be introduced into a group.
    pub validity: Validity,
    /// What it is made for.
    pub source: Source,
}

/// Makes a leaf, signed by the device key (`docs/protocol.md`, section 3).
///
/// Fails with `Misuse` if `signer` does not hold the certified device key or answers wrongly, with `Malformed` or
/// `Limit` if others would refuse the leaf, and with the error of a failing key store.
pub fn sign_leaf(identity: &DeviceIdentity, signer: &dyn Signer, body: LeafBody) -> Result<Leaf> {
    if signer.verify_key() != identity.device_key() {
        return Err(Error::misuse("the signer does not hold the certified device key"));
    }
    let LeafBody { signature_key, seal_key, capabilities, validity, source } = body;
    let identity = identity.as_unverified().clone();
    let (suite, hash) = (Suite::One, identity.hash());
    let terms = Terms { suite, identity: hash, signature_key, seal_key, capabilities, validity, source };
    terms.check_rules()?;
    let statement = Statement::sign_with(labels::SIGN_LEAF, terms, signer)?;
    Ok(Leaf::new(statement.map(|terms| LeafClaims { terms, identity })))
}

/// A leaf as it arrived. Its device identity is the one that its signed body names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedLeaf(Statement<LeafClaims>);

impl UnverifiedLeaf {
    /// Puts a leaf together. `Malformed` if its signed body names another identity.
    pub(super) fn new(statement: Statement<Terms>, identity: UnverifiedDeviceIdentity) -> Result<Self> {
        if statement.body().identity != identity.hash() {
            return Err(Error::malformed("a leaf comes with another device identity than it names"));
        }
        Ok(Self(statement.map(|terms| LeafClaims { terms, identity })))
    }

    /// The signed part and who the device is.
    pub(super) fn into_parts(self) -> (Statement<Terms>, UnverifiedDeviceIdentity) {
        let identity = self.claims().identity.clone();
        (self.0.map(|claims| claims.terms), identity)
    }

    /// What it says, which nobody has checked.
    #[must_use]
    pub fn claims(&self) -> &LeafClaims {
        self.0.body()
    }

    /// What [`Leaf::hash`] will be.
    #[must_use]
    pub fn hash(&self) -> LeafHash {
        hash(&self.0)
    }

    /// Verifies the chain of trust down to the leaf; see [`verify_all`].
    pub fn verify(self, trust: &TrustedApps, at: Option<Timestamp>) -> Result<Leaf> {
        self.check_claims(trust, at)?;
        let mut chains = Chains::default();
        chains.device(&self.claims().identity, None);
        chains.signature(self.check());
        chains.verify()?;
        Ok(Leaf::new(self.0))
    }

    /// The encoded form, which is also what [`Leaf::encoded`] is.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        encode(&self.0)
    }

    /// The usable type without the checks: for a record that this device wrote and sealed after they had passed.
    /// Never for bytes from others.
    pub(crate) fn assume_verified(self) -> Leaf {
        Leaf::new(self.0)
    }

    /// What can be checked without a signature.
    pub(super) fn check_claims(&self, trust: &TrustedApps, at: Option<Timestamp>) -> Result<()> {
        let claims = self.claims();
        claims.terms.check_rules()?;
        claims.identity.check_claims(trust, at)?;
        in_time(at.is_none_or(|at| claims.terms.contains(at)))
    }

    fn check(&self) -> Check<'_> {
        self.0.check(labels::SIGN_LEAF, self.claims().device_key())
    }
}

impl Wire for UnverifiedLeaf {
    fn write(&self, w: &mut Writer) {
        write(&self.0, w);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        let statement = Statement::read(r, limits::LEAF_BODY)?;
        Self::new(statement, Wire::decode(r.bytes(limits::DEVICE_IDENTITY)?)?)
    }
}

public_encoding!(UnverifiedLeaf);

/// Verifies the chains of trust of many leaves in one batch of signatures, and gives them back in order.
///
/// Beside each leaf may stand an earlier, verified one of the same device: links that both share byte for byte, under
/// the same key, are not verified again, nor is a link that several leaves share verified more than once. With `at`,
/// the app key, the credential, the leaf and, for a key package, the package must be valid at that time; without, time
/// is left out, as a joiner does for those who are members already.
///
/// Fails for all if it fails for one: with `NotAllowed` if an app is not trusted or vouches outside its domain, with
/// `Expired`, with `Limit` for more leaves than a [roster](limits::ROSTER) or a key package that lives too long, with
/// `Malformed` if a leaf does not support its own suite, and with `Unauthentic` if a signature does not verify or a
/// certificate is for another user.
pub fn verify_all(
    leaves: Vec<(UnverifiedLeaf, Option<&Leaf>)>,
    trust: &TrustedApps,
    at: Option<Timestamp>,
) -> Result<Vec<Leaf>> {
    check_all(leaves.iter().map(|(leaf, known)| (leaf, *known)), trust, at)?;
    Ok(leaves.into_iter().map(|(leaf, _)| Leaf::new(leaf.0)).collect())
}

/// [`verify_all`] of leaves that stay as they are.
pub(crate) fn check_all<'a>(
    leaves: impl ExactSizeIterator<Item = (&'a UnverifiedLeaf, Option<&'a Leaf>)>,
    trust: &TrustedApps,
    at: Option<Timestamp>,
) -> Result<()> {
    if leaves.len() > limits::ROSTER {
        return Err(Error::limit("more leaves than a roster holds"));
    }
    let mut chains = Chains::default();
    for (leaf, known) in leaves {
        leaf.check_claims(trust, at)?;
        chains.device(&leaf.claims().identity, known.map(|known| known.identity.as_unverified()));
        chains.signature(leaf.check());
    }
    chains.verify()
}

fn encode(statement: &Statement<LeafClaims>) -> Vec<u8> {
    let mut w = Writer::new();
    write(statement, &mut w);
    w.finish()
}

fn write(statement: &Statement<LeafClaims>, w: &mut Writer) {
    statement.write(w.array(3));
    w.bytes(&statement.body().identity.encode());
}

/// Without the identity, which the signed body names, so that a leaf has one hash in either form.
fn hash(statement: &Statement<LeafClaims>) -> LeafHash {
    LeafHash::from_bytes(kdf::hash(labels::HASH_LEAF, 2, |w| statement.write(w)))
}
