//! Commits: made by one member, opened and checked by all (`docs/protocol.md`, section 5.3 and 5.4).

use std::collections::BTreeMap;

use super::chain_keys::ChainKeys;
use super::effect::Effect;
use super::proposal::{Proposal, list_hash};
use super::rules::{self, Applied};
use super::schedule::{Entry, joiner_secret};
use super::state::GroupState;
use super::{Actor, Group, welcome};
use crate::crypto::kdf::{self, Hash};
use crate::crypto::kem::{InitKey, SealSecret};
use crate::crypto::sign::SigningKey;
use crate::envelope::{self, Draft, Envelope, EnvelopeType, Header, OpenedEnvelope, Opener, Recipient};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AppDomain, Leaf, LeafBody, RefreshedLeaf, Source, UnverifiedLeaf, sign_leaf};
use crate::ids::{Epoch, GroupId, LeafHash, LeafIndex, Timestamp, Validity};
use crate::labels;
use crate::limits;
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer};

/// What a commit says in the clear, for the hub, and under the committer's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    /// The group.
    pub group: GroupId,
    /// The epoch this commit ends.
    pub epoch: Epoch,
    /// When it was made, by the committer's clock.
    pub time: Timestamp,
    /// The hash of the last commit entry, valid or not, that the committer had processed; zeros for none. Readers
    /// compare it with their own view of the log; it decides nothing about validity.
    pub seen: [u8; 32],
    /// Which leaves' mailboxes the hub opens and closes.
    pub mailboxes: Mailboxes,
}

/// The mailboxes a commit opens, each for a leaf at some app, and closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailboxes {
    /// Leaves that get a mailbox, with the domain of the app that serves it: "someone at that app".
    pub add: Vec<(LeafIndex, AppDomain)>,
    /// Leaves whose mailbox ends with this commit.
    pub drop: Vec<LeafIndex>,
}

impl Wire for CommitHeader {
    fn write(&self, w: &mut Writer) {
        let Self { group, epoch, time, seen, mailboxes: Mailboxes { add, drop } } = self;
        w.array(6).item(group).item(epoch).item(time).bytes(seen).array(add.len());
        for (leaf, domain) in add {
            w.array(2).item(leaf).item(domain);
        }
        w.list(drop.iter());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(6)?;
        let (group, epoch, time, seen) = (r.item()?, r.item()?, r.item()?, r.fixed()?);
        let mut add = Vec::new();
        for _ in 0..r.array_up_to(limits::ROSTER)? {
            r.array(2)?;
            add.push((r.item()?, r.item()?));
        }
        Ok(Self { group, epoch, time, seen, mailboxes: Mailboxes { add, drop: r.list(limits::ROSTER)? } })
    }
}

impl CommitHeader {
    /// Reads the clear part of a commit from its envelope's header. Nothing in it is authenticated yet.
    pub fn from_envelope_header(header: &[u8]) -> Result<Self> {
        let header = Header::decode(header)?;
        if header.kind() != EnvelopeType::Commit {
            return Err(Error::malformed("not the header of a commit"));
        }
        Self::decode(header.public())
    }
}

/// What a commit says to the members.
pub(crate) struct CommitBody {
    pub(crate) parent: Hash,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) leaf: RefreshedLeaf,
}

impl Wire for CommitBody {
    fn write(&self, w: &mut Writer) {
        w.array(3).bytes(&self.parent).list(self.proposals.iter()).item(&self.leaf);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { parent: r.fixed()?, proposals: r.list(limits::PROPOSALS)?, leaf: r.item()? })
    }
}

/// When, and after what, a commit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// This moment. A commit never goes back behind the group's own time.
    pub time: Timestamp,
    /// The hash of the last commit entry processed, valid or not, as in [`CommitHeader::seen`].
    pub seen: [u8; 32],
}

/// The private keys of a fresh leaf. They must be durable before the commit that shows the leaf is posted.
#[derive(Debug)]
pub struct FreshKeys {
    /// Signs commits and messages.
    pub signing: SigningKey,
    /// Opens commits.
    pub seal: SealSecret,
}

/// A commit ready to be posted, and what its author keeps until it returns through the log.
#[derive(Debug)]
pub struct NewCommit {
    /// To the members.
    pub envelope: Envelope,
    /// To those it adds, if any. Posted together with the commit, or not at all.
    pub welcome: Option<Envelope>,
    /// The private keys of the author's fresh leaf.
    pub fresh: FreshKeys,
}

/// The next epoch, as a member enters it.
#[derive(Debug)]
pub struct Transition {
    /// The group after the commit.
    pub group: Group,
    /// The first chain key of every leaf of the new epoch, to be stored before anything else happens.
    pub chains: Vec<(LeafIndex, Secret<32>)>,
    /// Whose commit it was.
    pub by: LeafIndex,
    /// What it changed.
    pub changes: Vec<Effect>,
    /// What its author had seen of the log.
    pub seen: [u8; 32],
}

/// Why a commit was not applied (section 5.6).
#[derive(Debug)]
pub enum Rejected {
    /// We cannot open or confirm it, or it is of a kind we do not know. It is void for us, though perhaps not for others.
    Unopened(Error),
    /// It is authentic and breaks a rule, so it is void for everyone.
    Invalid(Error),
    /// It is authentic and follows another history than ours. One member says so: it proves nothing alone.
    OtherHistory,
    /// It is valid and takes this leaf out, by a committer who sealed it to us all the same.
    Removed,
}

/// The hash of a commit as the log shows it: welcomes, commits and messages name one by it.
pub(crate) fn entry_hash(header: &[u8], body: &[u8]) -> Hash {
    kdf::hash(labels::HASH_COMMIT_ENTRY, 2, |w| {
        w.bytes(header).bytes(body);
    })
}

fn transcript(parent: &Hash, header: &[u8], sender: &[u8], padded: &[u8], signature: &[u8; 64]) -> Hash {
    kdf::hash(labels::HASH_TRANSCRIPT, 5, |w| {
        w.bytes(parent).bytes(header).bytes(sender).bytes(padded).bytes(signature);
    })
}

impl Group {
    /// Makes a commit of `proposals` at `time`, in whatever order they come; nothing changes until it returns through
    /// the log and is [processed](Self::process) like any other.
    ///
    /// `init_keys` holds the init key of every leaf that is added or readmitted. Store the fresh keys before the commit
    /// is posted. Fails with `NotAllowed`, `Expired`, `NotMember`, `Unauthentic`, `Malformed` or `Limit` if the commit
    /// would not be valid, and with `Misuse` if the device is another or an init key is missing.
    pub fn commit(
        &self,
        mut proposals: Vec<Proposal>,
        init_keys: &BTreeMap<LeafHash, InitKey>,
        occasion: Occasion,
        device: Actor<'_>,
        rng: &mut dyn rand::CryptoRng,
    ) -> Result<NewCommit> {
        let Occasion { time, seen } = occasion;
        let time = time.max(self.state.time);
        proposals.sort_by_cached_key(Proposal::order);
        let hashes: Vec<Hash> = proposals.iter().map(Proposal::hash).collect();
        let fresh = FreshKeys { signing: SigningKey::generate(rng), seal: SealSecret::generate(rng) };
        let leaf = self.fresh_leaf(&fresh, list_hash(&hashes), time, device)?;
        let leaf = RefreshedLeaf::new(UnverifiedLeaf::try_from(&leaf)?, self.own_leaf()?);
        let body = CommitBody { parent: self.state.transcript, proposals, leaf };
        let Applied { mut next, added, replaced, mailboxes, .. } = rules::apply(&self.state, self.own, time, &body)?;

        let public = CommitHeader { group: self.state.group, epoch: self.state.epoch, time, seen, mailboxes }.encode();
        let payload = body.encode();
        let draft = Draft::hedged(EnvelopeType::Commit, self.state.suite, public, &[&payload], rng)?;
        let signed = draft.sign(self.own.encode(), None, &payload, &self.signing)?;
        next.transcript = transcript(
            &self.state.transcript,
            signed.header().bytes(),
            signed.sender(),
            signed.padded(),
            signed.signature().as_bytes(),
        );
        let context_hash = next.context_hash();
        let joiner = joiner_secret(&self.secrets.init, signed.seed(), &context_hash);
        let entry = Entry::new(&joiner, next.group, next.epoch, context_hash);
        let confirmation = entry.confirmation(&next.transcript);

        let members: Vec<Recipient<'_>> = next
            .leaves
            .iter()
            .filter(|(index, _)| **index < self.state.next_leaf)
            .map(|(index, leaf)| Recipient::X25519 { id: index.encode(), key: leaf.seal_key() })
            .collect();
        let envelope = signed.seal(&members, &confirmation)?;
        let welcome = if added.is_empty() {
            None
        } else {
            let invitation = welcome::Invitation {
                joiner,
                confirmation,
                commit_entry: entry_hash(envelope.header().bytes(), envelope.body()),
                parent: self.state.transcript,
                proposals: hashes,
                replaced,
            };
            Some(invitation.seal(&next, self.own, &fresh.signing, (&added, init_keys), rng)?)
        };
        Ok(NewCommit { envelope, welcome, fresh })
    }

    fn fresh_leaf(&self, fresh: &FreshKeys, proposals: Hash, time: Timestamp, device: Actor<'_>) -> Result<Leaf> {
        let own = self.own_leaf();
        let body = LeafBody {
            signature_key: fresh.signing.verify_key().clone(),
            seal_key: fresh.seal.public().clone(),
            capabilities: device.capabilities.clone(),
            validity: Validity { not_before: time, ..device.identity.credential().validity() },
            source: Source::Commit {
                group: self.state.group,
                leaf: self.own,
                parent: self.state.transcript,
                proposals,
            },
        };
        if device.identity.certificate().device() != own?.device() {
            return Err(Error::misuse("the device keys are not those this group was joined with"));
        }
        sign_leaf(device.identity, device.signer, body)
    }

    /// Opens and checks a commit of this epoch: envelope, rules, chains of trust, schedule, confirmation, in that
    /// order. `fresh` are the keys of our own commit if this is it.
    ///
    /// The caller decides the order: the first valid commit of an epoch, as the log has it, is the one. On success, drop
    /// this epoch and its chains.
    pub fn process(&self, commit: &envelope::EnvelopeFor, fresh: Option<&FreshKeys>) -> Result<Transition, Rejected> {
        let (transition, chains) = self.process_in_pages(commit, fresh)?;
        Ok(Transition { chains: chains.into_list(), ..transition })
    }

    /// The same, with the chain keys in pages and none in the transition.
    pub(crate) fn process_in_pages(
        &self,
        commit: &envelope::EnvelopeFor,
        fresh: Option<&FreshKeys>,
    ) -> Result<(Transition, ChainKeys), Rejected> {
        let seal = fresh.map_or(&self.seal, |fresh| &fresh.seal);
        let (by, opened) = self.open_commit(commit, seal).map_err(Rejected::Unopened)?;
        let header = CommitHeader::decode(opened.header().public()).map_err(invalid)?;
        let body = CommitBody::decode(opened.payload()).map_err(invalid)?;
        if header.group != self.state.group || header.epoch != self.state.epoch {
            return Err(Rejected::Invalid(Error::not_allowed("a commit for another group or epoch")));
        }
        if body.parent != self.state.transcript {
            return Err(Rejected::OtherHistory);
        }
        let applied = rules::apply(&self.state, by, header.time, &body).map_err(invalid)?;
        if applied.mailboxes != header.mailboxes {
            return Err(Rejected::Invalid(Error::not_allowed("a commit's mailboxes do not match its proposals")));
        }
        let Applied { mut next, changes, .. } = applied;
        next.transcript = transcript(
            &self.state.transcript,
            opened.header().bytes(),
            opened.sender(),
            opened.padded(),
            opened.signature().as_bytes(),
        );
        let context_hash = next.context_hash();
        let joiner = joiner_secret(&self.secrets.init, opened.seed(), &context_hash);
        let entry = Entry::new(&joiner, next.group, next.epoch, context_hash);
        if !entry.confirms(&next.transcript, opened.tail()) {
            return Err(Rejected::Unopened(Error::unauthentic()));
        }
        if !next.leaves.contains_key(&self.own) {
            return Err(Rejected::Removed);
        }
        let (group, chains) = self.enter(next, entry, by, fresh)?;
        Ok((Transition { group, chains: Vec::new(), by, changes, seen: header.seen }, chains))
    }

    fn open_commit(&self, commit: &envelope::EnvelopeFor, seal: &SealSecret) -> Result<(LeafIndex, OpenedEnvelope)> {
        let opened = envelope::open(commit, EnvelopeType::Commit, Opener::X25519(seal), &self.own.encode())?;
        let by = LeafIndex::decode(opened.sender())?;
        let (leaf, _) = self.state.member(by)?;
        Ok((by, opened.verify(leaf.signature_key())?))
    }

    fn enter(
        &self,
        next: GroupState,
        entry: Entry,
        by: LeafIndex,
        fresh: Option<&FreshKeys>,
    ) -> Result<(Group, ChainKeys), Rejected> {
        let (signing, seal) = match fresh {
            Some(fresh) if by == self.own => (fresh.signing.duplicate(), fresh.seal.duplicate()),
            _ => (self.signing.duplicate(), self.seal.duplicate()),
        };
        let (secrets, chains) = entry.into_chains(next.leaves.keys().copied());
        let group = Group { state: next, own: self.own, signing, seal, secrets };
        // A commit under our leaf that did not bring the keys we hold is not ours.
        let own = group.own_leaf().map_err(Rejected::Invalid)?;
        if own.signature_key() != group.signing.verify_key() || own.seal_key() != group.seal.public() {
            return Err(Rejected::Unopened(Error::unauthentic()));
        }
        Ok((group, chains))
    }
}

/// What a newer version may know is not ours to call void for everyone.
fn invalid(error: Error) -> Rejected {
    if error.kind() == ErrorKind::Unsupported { Rejected::Unopened(error) } else { Rejected::Invalid(error) }
}
