//! Commits and welcomes by hand (`docs/protocol.md`, sections 5.3 to 5.5): everything a committer writes is a field that
//! can be changed before it is sealed.

use convivio::envelope::Envelope;
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::EntryBody;

use super::Value;
use super::cbor::{array, hash};
use super::envelope::{COMMIT, Content, Sealer, WELCOME, envelope};
use super::leaf::{LeafPlan, proposal_hashes};
use super::state::{EpochKeys, State, joiner_secret};

/// A commit in the making.
#[derive(Clone)]
pub struct Plan {
    pub group: [u8; 16],
    pub epoch: u64,
    pub time: u64,
    pub seen: [u8; 32],
    pub opened: Vec<(u32, String)>,
    pub dropped: Vec<u32>,
    pub sender: u32,
    /// The seed of the key that signs it.
    pub signing: [u8; 32],
    pub parent: [u8; 32],
    pub proposals: Vec<Value>,
    /// The fresh leaf in its refreshed form.
    pub leaf: Value,
    pub seed: [u8; 32],
    /// The init secret of the epoch it ends.
    pub init: [u8; 32],
    /// Leaves from here on are new and get no stanza.
    pub old_next_leaf: u32,
    /// The state it leads to, but for the transcript.
    pub next: State,
    /// The seeds of the fresh leaf's private keys.
    pub fresh: ([u8; 32], [u8; 32]),
}

/// A sealed commit in its parts, and all the secrets of the epoch that it leads to.
#[derive(Clone)]
pub struct Forged {
    pub sealer: Sealer,
    pub content: Content,
    /// By the leaf that opens it.
    pub stanzas: Vec<(u32, Vec<u8>)>,
    pub body: Vec<u8>,
    pub state: State,
    pub joiner: [u8; 32],
    pub keys: EpochKeys,
    pub parent: [u8; 32],
    pub proposals: Vec<Value>,
    pub sender: u32,
    pub fresh: ([u8; 32], [u8; 32]),
}

impl Plan {
    pub fn public(&self) -> Vec<u8> {
        let opened = self.opened.iter().map(|(leaf, domain)| array![u64::from(*leaf), domain.as_str()]).collect();
        let dropped = self.dropped.iter().map(|leaf| Value::Int(u64::from(*leaf))).collect();
        array![self.group, self.epoch, self.time, self.seen, Value::List(opened), Value::List(dropped)].encode()
    }

    pub fn payload(&self) -> Vec<u8> {
        array![self.parent, self.proposals.clone(), self.leaf.clone()].encode()
    }

    /// Seals what the plan says.
    pub fn seal(&self) -> Forged {
        self.seal_payload(&self.payload())
    }

    /// Seals any bytes in the place of the payload.
    pub fn seal_payload(&self, payload: &[u8]) -> Forged {
        let sealer = Sealer::new(COMMIT, self.seed, &self.public());
        let sender = encode_leaf(self.sender);
        let mut content = sealer.sign("sign commit", &sender, None, (&self.signing, payload));
        let mut state = self.next.clone();
        let Content { padded, signature, .. } = &content;
        state.transcript = hash(
            "transcript",
            &array![self.parent, sealer.header.as_slice(), sender.as_slice(), padded.as_slice(), *signature],
        );
        let joiner = joiner_secret(&self.init, &self.seed, &state);
        let keys = EpochKeys::of(&joiner, &state);
        content.tail = keys.confirmation(&state.transcript).to_vec();
        let seal_key = |leaf: &[u8]| LeafPlan::like(leaf).seal_key;
        let members = state.leaves.iter().filter(|(index, _)| *index < self.old_next_leaf);
        let stanza = |(index, leaf): &(u32, Vec<u8>)| {
            (*index, sealer.stanza(&self.seed, (&seal_key(leaf), &encode_leaf(*index)), 0))
        };
        let stanzas = members.map(stanza).collect();
        let body = sealer.body(&content);
        let (proposals, parent) = (self.proposals.clone(), self.parent);
        Forged {
            sealer,
            content,
            stanzas,
            body,
            state,
            joiner,
            keys,
            parent,
            proposals,
            sender: self.sender,
            fresh: self.fresh,
        }
    }
}

impl Forged {
    /// As a hub shows it to this leaf.
    pub fn entry(&self, leaf: u32) -> EntryBody {
        let stanza = self.stanzas.iter().find(|(index, _)| *index == leaf).map(|(_, stanza)| stanza.clone());
        EntryBody::Commit { header: self.sealer.header.clone(), stanza, body: self.body.clone() }
    }

    /// As it is posted.
    pub fn envelope(&self) -> Envelope {
        let stanzas: Vec<_> = self.stanzas.iter().map(|(leaf, stanza)| (encode_leaf(*leaf), stanza.clone())).collect();
        envelope(&self.sealer.header, &stanzas, &self.body)
    }

    /// The place of the stanza for this leaf.
    pub fn stanza(&mut self, leaf: u32) -> &mut Vec<u8> {
        self.stanzas.iter_mut().find(|(index, _)| *index == leaf).map(|(_, stanza)| stanza).unwrap()
    }

    pub fn entry_hash(&self) -> [u8; 32] {
        hash("commit entry", &array![self.sealer.header.as_slice(), self.body.as_slice()])
    }

    /// The welcome that goes with it, to be changed at will.
    pub fn welcome(&self) -> WelcomePlan {
        WelcomePlan {
            seed: hash("another seed", &array![self.sealer.seed]),
            public: Value::from(self.state.group).encode(),
            sender: self.sender,
            signing: self.fresh.0,
            joiner: self.joiner,
            confirmation: self.keys.confirmation(&self.state.transcript),
            commit_entry: self.entry_hash(),
            parent: self.parent,
            hashes: proposal_hashes(&self.proposals),
            replaced: Vec::new(),
            state: self.state.to_value(),
        }
    }
}

/// A welcome in the making.
#[derive(Clone)]
pub struct WelcomePlan {
    pub seed: [u8; 32],
    pub public: Vec<u8>,
    pub sender: u32,
    pub signing: [u8; 32],
    pub joiner: [u8; 32],
    pub confirmation: [u8; 32],
    pub commit_entry: [u8; 32],
    pub parent: [u8; 32],
    pub hashes: Vec<Value>,
    pub replaced: Vec<Value>,
    pub state: Value,
}

impl WelcomePlan {
    /// Makes joiner and confirmation fit a state, as whoever chose that state can.
    pub fn agree_on(&mut self, state: &State, joiner: [u8; 32]) {
        self.state = state.to_value();
        self.joiner = joiner;
        self.confirmation = EpochKeys::of(&joiner, state).confirmation(&state.transcript);
    }

    pub fn payload(&self) -> Vec<u8> {
        let (hashes, replaced) = (self.hashes.clone(), self.replaced.clone());
        let state = self.state.clone();
        array![self.joiner, self.confirmation, self.commit_entry, self.parent, hashes, replaced, state].encode()
    }

    /// Seals it to one key package.
    pub fn seal(&self, to: &UnverifiedKeyPackage) -> Envelope {
        self.seal_payload(to, &self.payload())
    }

    /// Seals any bytes in the place of the payload.
    pub fn seal_payload(&self, to: &UnverifiedKeyPackage, payload: &[u8]) -> Envelope {
        let sealer = Sealer::to_init_keys(WELCOME, self.seed, &self.public);
        let content = sealer.sign("sign welcome", &encode_leaf(self.sender), None, (&self.signing, payload));
        let (id, package) = (to.id().as_bytes().to_vec(), Value::decode(&to.to_bytes()));
        let stanza = sealer.stanza(&self.seed, (package.items()[1].bytes(), &id), 0);
        envelope(&sealer.header, &[(id, stanza)], &sealer.body(&content))
    }
}

/// A leaf index as a sender field or the id of a recipient.
pub fn encode_leaf(leaf: u32) -> Vec<u8> {
    Value::Int(u64::from(leaf)).encode()
}
