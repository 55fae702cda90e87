//! Reports and stamps of `docs/protocol.md`, section 12, by hand: with any field, by whoever holds what it takes.

use super::Value;
use super::cbor::{array, expand_label, hash, sha256, sign};
use super::envelope::{Cipher, pad};
use super::ratchet::Place;
use super::state::small;

/// A report, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPlan {
    /// `[1, suite, group, epoch, time, members hash]`.
    pub context: Value,
    pub leaf: Vec<u8>,
    pub at: Place,
    pub message_key: [u8; 32],
    pub salt: [u8; 16],
    pub header: [u8; 8],
    pub signature: [u8; 64],
    pub seen: [u8; 16],
    pub nonce: [u8; 16],
    pub text: Vec<u8>,
    pub stamp: StampPlan,
}

/// A hub's stamp, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampPlan {
    pub group: [u8; 16],
    pub seq: u64,
    pub frame: [u8; 32],
    pub received: u64,
    pub signature: [u8; 64],
}

impl ReportPlan {
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let report = Value::decode(bytes);
        let [_, evidence, text, stamp] = report.items() else { panic!("not a report") };
        let [_, context, leaf, index, generation, proof, seen, nonce] = evidence.items() else {
            panic!("not evidence")
        };
        let [message_key, salt, header, signature] = proof.items() else { panic!("not a proof") };
        Self {
            context: context.clone(),
            leaf: leaf.bytes().to_vec(),
            at: Place { leaf: small(index), generation: small(generation) },
            message_key: message_key.fixed(),
            salt: salt.fixed(),
            header: header.fixed(),
            signature: signature.fixed(),
            seen: seen.fixed(),
            nonce: nonce.fixed(),
            text: text.bytes().to_vec(),
            stamp: StampPlan::from_bytes(&stamp.encode()),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let (leaf, generation) = (u64::from(self.at.leaf), u64::from(self.at.generation));
        let proof = array![self.message_key, self.salt, self.header, self.signature];
        let context = self.context.clone();
        let evidence = array![1, context, self.leaf.as_slice(), leaf, generation, proof, self.seen, self.nonce];
        array![1, evidence, self.text.as_slice(), self.stamp.to_value()].encode()
    }

    pub fn context_hash(&self) -> [u8; 32] {
        hash("group context", &self.context)
    }

    /// What the frame carries, padded.
    pub fn padded(&self) -> Vec<u8> {
        let content = array![self.nonce, 0, self.text.as_slice()].encode();
        pad(&array![self.seen, content].encode())
    }

    /// Signs it anew, by this key.
    pub fn sign(&mut self, key: &[u8; 32]) {
        let (leaf, generation) = (u64::from(self.at.leaf), u64::from(self.at.generation));
        let fields = array![self.context_hash(), leaf, generation, self.salt, sha256(&self.padded())];
        self.signature = sign(key, "sign message", &fields);
    }

    /// The frame that the report is about.
    pub fn frame(&self) -> Vec<u8> {
        let (group, epoch) = (self.context.items()[2].bytes(), self.context.items()[3].int());
        let low = u32::try_from(epoch & 0xffff_ffff).unwrap().to_be_bytes();
        let clear = [&[0x11][..], group, &low, &self.salt, &self.header].concat();
        let aad = array!["message aad", self.context_hash(), clear.as_slice()].encode();
        let text = [self.padded(), self.signature.to_vec()].concat();
        let sealed = Cipher(expand_label(&self.message_key, "message", &self.salt)).seal_with(&aad, &text);
        [clear, sealed].concat()
    }

    /// Has a hub stamp whatever frame this makes, as if it had been in the log.
    pub fn stamp(&mut self, hub: &[u8; 32]) {
        self.stamp.frame = sha256(&self.frame());
        self.stamp.sign(hub);
    }
}

impl StampPlan {
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let stamp = Value::decode(bytes);
        let [group, seq, frame, received, signature] = stamp.items() else { panic!("not a stamp") };
        Self {
            group: group.fixed(),
            seq: seq.int(),
            frame: frame.fixed(),
            received: received.int(),
            signature: signature.fixed(),
        }
    }

    pub fn to_value(&self) -> Value {
        array![self.group, self.seq, self.frame, self.received, self.signature]
    }

    pub fn sign(&mut self, hub: &[u8; 32]) {
        let fields = array![self.group, self.seq, self.frame, self.received];
        self.signature = sign(hub, "sign stamp", &fields);
    }
}
