//! Credentials, leaves and key packages of `docs/protocol.md`, sections 3.2 to 3.5, by hand: with any field, signed by
//! whatever key the attacker holds.

use super::Value;
use super::cbor::{array, hash, public, sign};

/// A leaf in the making. The public keys are bytes that no one has checked.
#[derive(Clone, Debug)]
pub struct LeafPlan {
    pub suite: u64,
    pub signature_key: Vec<u8>,
    pub seal_key: Vec<u8>,
    pub capabilities: Value,
    pub validity: (u64, u64),
    pub source: Value,
    /// The encoded device identity, which the body names by its hash.
    pub identity: Vec<u8>,
}

impl LeafPlan {
    /// The same terms as this leaf has.
    pub fn like(leaf: &[u8]) -> Self {
        let whole = Value::decode(leaf);
        let body = Value::decode(whole.items()[0].bytes());
        let [_, suite, _, signature_key, seal_key, capabilities, validity, source] = body.items() else {
            panic!("not a leaf")
        };
        let [not_before, not_after] = validity.items() else { panic!("not a validity") };
        Self {
            suite: suite.int(),
            signature_key: signature_key.bytes().to_vec(),
            seal_key: seal_key.bytes().to_vec(),
            capabilities: capabilities.clone(),
            validity: (not_before.int(), not_after.int()),
            source: source.clone(),
            identity: whole.items()[2].bytes().to_vec(),
        }
    }

    pub fn body(&self) -> Vec<u8> {
        let identity_hash = hash("hash device identity", &array![self.identity.as_slice()]);
        let (not_before, not_after) = self.validity;
        let (capabilities, source) = (self.capabilities.clone(), self.source.clone());
        let (signature_key, seal_key) = (self.signature_key.as_slice(), self.seal_key.as_slice());
        let validity = array![not_before, not_after];
        array![1, self.suite, identity_hash, signature_key, seal_key, capabilities, validity, source].encode()
    }

    /// The whole leaf, signed by this device key.
    pub fn sign(&self, device: &[u8; 32]) -> Vec<u8> {
        let body = self.body();
        let signature = sign(device, "sign leaf", &array![body.as_slice()]);
        array![body, signature, self.identity.as_slice()].encode()
    }
}

/// The leaf as a commit refreshes it: without the identity that everyone knows.
pub fn refreshed(leaf: &[u8]) -> Value {
    let mut leaf = Value::decode(leaf);
    *leaf.item(2) = Value::Null;
    leaf
}

/// Id of a leaf or key package.
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    let leaf = Value::decode(leaf);
    hash("hash leaf", &Value::List(leaf.items()[..2].to_vec()))
}

pub fn commit_source(group: [u8; 16], leaf: u32, parent: [u8; 32], proposals: &[Value]) -> Value {
    array![1, group, u64::from(leaf), parent, proposals_hash(proposals)]
}

pub fn package_source(init_key: &[u8], last_resort: bool, not_after: u64) -> Value {
    array![0, hash("hash init key", &array![init_key]), last_resort, not_after]
}

pub fn key_package(leaf: &[u8], init_key: &[u8]) -> Vec<u8> {
    array![leaf, init_key].encode()
}

/// `hash("hash proposal", proposal)` of each.
pub fn proposal_hashes(proposals: &[Value]) -> Vec<Value> {
    proposals.iter().map(|proposal| Value::from(hash("hash proposal", &array![proposal.clone()]))).collect()
}

pub fn proposals_hash(proposals: &[Value]) -> [u8; 32] {
    hash("hash proposals", &array![proposal_hashes(proposals)])
}

/// A statement: body, and signature under a label by a key whose seed this is.
pub fn statement(label: &str, body: &Value, by: &[u8; 32]) -> [Value; 2] {
    let body = body.encode();
    let signature = sign(by, label, &array![body.as_slice()]);
    [body.into(), signature.into()]
}

/// The seeds of a chain of trust that an attacker makes up, or holds in part.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub root: [u8; 32],
    pub app: [u8; 32],
    pub identity: [u8; 32],
    pub device: [u8; 32],
}

/// Whom the chain speaks of.
#[derive(Clone, Debug)]
pub struct Names {
    /// In the app key certificate.
    pub domain: String,
    /// In the credential.
    pub user: String,
    /// In the device certificate.
    pub certified: String,
    pub device: [u8; 16],
    pub serial: u64,
    pub validity: (u64, u64),
}

impl Chain {
    /// The encoded device identity: credential and device certificate.
    pub fn device_identity(&self, names: &Names) -> Vec<u8> {
        let (from, to) = names.validity;
        let certificate = array![names.domain.as_str(), public(&self.root), public(&self.app), array![from, to]];
        let certificate = Value::List(statement("sign app key", &certificate, &self.root).to_vec());
        let credential = array![names.user.as_str(), public(&self.identity), array![from, to]];
        let [body, signature] = statement("sign credential", &credential, &self.app);
        let device = array![names.certified.as_str(), names.device, public(&self.device), names.serial, from];
        let device = Value::List(statement("sign device certificate", &device, &self.identity).to_vec());
        array![Value::List(vec![body, signature, certificate]), device].encode()
    }
}
