//! The group state, its context hash and the key schedule of `docs/protocol.md`, sections 5.1 and 5.4, by hand: every
//! field can be changed, and keys derived for whatever comes out.

use super::Value;
use super::cbor::{array, expand_label, extract, hash, hmac};
use super::leaf::leaf_hash;
use super::ratchet::Epoch;

/// A group state, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub suite: u64,
    pub group: [u8; 16],
    pub epoch: u64,
    /// `[user URI, identity key, role, least serial]`, by URI.
    pub users: Vec<Value>,
    pub barred: Vec<Value>,
    /// Whole leaves, by index.
    pub leaves: Vec<(u32, Vec<u8>)>,
    pub next_leaf: u32,
    pub policy: Value,
    pub info: Value,
    pub time: u64,
    pub transcript: [u8; 32],
}

impl State {
    /// From its twelve items.
    pub fn from_value(value: &Value) -> Self {
        let [_, suite, group, epoch, users, barred, leaves, next_leaf, policy, info, time, transcript] = value.items()
        else {
            panic!("not a group state")
        };
        let leaf = |pair: &Value| (small(&pair.items()[0]), pair.items()[1].bytes().to_vec());
        Self {
            suite: suite.int(),
            group: group.fixed(),
            epoch: epoch.int(),
            users: users.items().to_vec(),
            barred: barred.items().to_vec(),
            leaves: leaves.items().iter().map(leaf).collect(),
            next_leaf: small(next_leaf),
            policy: policy.clone(),
            info: info.clone(),
            time: time.int(),
            transcript: transcript.fixed(),
        }
    }

    pub fn to_value(&self) -> Value {
        let leaves: Vec<Value> =
            self.leaves.iter().map(|(index, leaf)| array![u64::from(*index), leaf.as_slice()]).collect();
        let (users, barred) = (self.users.clone(), self.barred.clone());
        let next = u64::from(self.next_leaf);
        let (policy, info) = (self.policy.clone(), self.info.clone());
        array![
            1,
            self.suite,
            self.group,
            self.epoch,
            users,
            barred,
            leaves,
            next,
            policy,
            info,
            self.time,
            self.transcript
        ]
    }

    /// Who is in the group and what they agreed on.
    pub fn members_hash(&self) -> [u8; 32] {
        let one = |label, value: &Value| hash(label, &array![value.clone()]);
        let index_and_hash = |(index, leaf): &(u32, Vec<u8>)| array![u64::from(*index), leaf_hash(leaf)];
        let leaves = Value::List(self.leaves.iter().map(index_and_hash).collect());
        hash(
            "hash members",
            &array![
                one("hash users", &Value::List(self.users.clone())),
                one("hash barred", &Value::List(self.barred.clone())),
                one("hash leaves", &leaves),
                u64::from(self.next_leaf),
                one("hash policy", &self.policy),
                one("hash info", &self.info),
                self.transcript
            ],
        )
    }

    pub fn context_hash(&self) -> [u8; 32] {
        hash("group context", &array![1, self.suite, self.group, self.epoch, self.time, self.members_hash()])
    }

    /// The encoded leaf at an index.
    pub fn leaf(&self, index: u32) -> Option<&[u8]> {
        self.leaves.iter().find(|(at, _)| *at == index).map(|(_, leaf)| leaf.as_slice())
    }

    /// Puts a leaf where there is one, or after all others.
    pub fn set_leaf(&mut self, index: u32, leaf: Vec<u8>) {
        self.leaves.retain(|(at, _)| *at != index);
        self.leaves.push((index, leaf));
        self.leaves.sort();
    }
}

/// All keys of an epoch, as they come from its joiner secret.
#[derive(Clone, Debug)]
pub struct EpochKeys {
    pub epoch: Epoch,
    pub confirm_key: [u8; 32],
    pub exporter: [u8; 32],
    pub authenticator: [u8; 32],
    pub request: [u8; 32],
    pub sender_root: [u8; 32],
    pub init: [u8; 32],
}

/// `joiner_secret` of the state that a commit with this seed leads to.
pub fn joiner_secret(init: &[u8; 32], seed: &[u8; 32], next: &State) -> [u8; 32] {
    let commit_secret: [u8; 32] = expand_label(seed, "commit secret", b"");
    expand_label(&extract(init, &commit_secret), "joiner", &next.context_hash())
}

impl EpochKeys {
    pub fn of(joiner: &[u8; 32], state: &State) -> Self {
        let context_hash = state.context_hash();
        let secret: [u8; 32] = expand_label(&extract(joiner, &[0; 32]), "epoch", &context_hash);
        let key = |label| expand_label(&secret, label, b"");
        Self {
            epoch: Epoch { group: state.group, epoch: state.epoch, context_hash, header_key: key("header key") },
            confirm_key: key("confirm key"),
            exporter: key("exporter"),
            authenticator: key("authenticator"),
            request: key("request"),
            sender_root: key("sender root"),
            init: key("init"),
        }
    }

    /// `chain[leaf][0]`.
    pub fn chain(&self, leaf: u32) -> [u8; 32] {
        expand_label(&self.sender_root, "sender", &Value::from(u64::from(leaf)).encode())
    }

    pub fn confirmation(&self, transcript: &[u8; 32]) -> [u8; 32] {
        hmac(&self.confirm_key, transcript)
    }
}

/// A number of 32 bits.
pub fn small(value: &Value) -> u32 {
    value.int().try_into().unwrap()
}
