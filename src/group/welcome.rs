//! Welcomes: how whoever a commit added enters the group (`docs/protocol.md`, section 5.5).

use std::collections::{BTreeMap, BTreeSet};

use super::Group;
use super::commit::entry_hash;
use super::proposal::{Proposal, list_hash};
use super::schedule::Entry;
use super::state::{GroupState, UnverifiedState};
use crate::crypto::kdf::Hash;
use crate::crypto::kem::InitKey;
use crate::crypto::sign::{Signature, SigningKey};
use crate::envelope::{self, Draft, Envelope, EnvelopeFor, EnvelopeId, EnvelopeType, Opener, Recipient};
use crate::error::{Error, Result};
use crate::identity::{KeyPackage, KeyPackageSecrets, Source, UnverifiedLeaf};
use crate::ids::{LeafHash, LeafIndex};
use crate::limits;
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer};

/// What a welcome says besides the group's state.
pub(crate) struct Invitation {
    pub(crate) joiner: Secret<32>,
    pub(crate) confirmation: Hash,
    pub(crate) commit_entry: Hash,
    pub(crate) parent: Hash,
    pub(crate) proposals: Vec<Hash>,
    pub(crate) replaced: Vec<Replaced>,
}

/// A readmission, so that whoever comes back knows which proposal that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replaced {
    pub(crate) new: LeafIndex,
    pub(crate) old: LeafIndex,
    pub(crate) consent: Signature,
}

/// A group as a joiner enters it.
#[derive(Debug)]
pub struct Joined {
    /// The group.
    pub group: Group,
    /// The first chain key of every leaf, to be stored before anything else happens.
    pub chains: Vec<(LeafIndex, Secret<32>)>,
    /// Who added us.
    pub inviter: LeafIndex,
    /// The transcript hash of the epoch that the commit which let us in has ended.
    pub parent: [u8; 32],
    /// Whether we come back in the place of a leaf of this device, rather than being added.
    pub readmitted: bool,
    /// The welcome's id, to be remembered as long as a last-resort key lives.
    pub welcome: EnvelopeId,
}

impl Invitation {
    /// Seals the state and this to the init keys of the added leaves, signed by the inviter's fresh leaf key.
    pub(crate) fn seal(
        &self,
        state: &GroupState,
        inviter: LeafIndex,
        signing: &SigningKey,
        (added, init_keys): (&[LeafIndex], &BTreeMap<LeafHash, InitKey>),
        rng: &mut dyn rand::CryptoRng,
    ) -> Result<Envelope> {
        let mut recipients = Vec::with_capacity(added.len());
        for index in added {
            let (leaf, _) = state.member(*index)?;
            let key = init_keys.get(&leaf.hash()).ok_or(Error::misuse("an added leaf comes without its init key"))?;
            recipients.push(Recipient::XWing { id: leaf.hash().as_bytes().to_vec(), key });
        }
        let payload = self.encode(state);
        let draft = Draft::hedged(EnvelopeType::Welcome, state.suite, state.group.encode(), &[&payload], rng)?;
        draft.sign(inviter.encode(), None, &payload, signing)?.seal(&recipients, &[])
    }

    fn encode(&self, state: &GroupState) -> zeroize::Zeroizing<Vec<u8>> {
        let Self { joiner, confirmation, commit_entry, parent, proposals, replaced } = self;
        let mut w = Writer::new();
        w.array(7).bytes(joiner.expose()).bytes(confirmation).bytes(commit_entry).bytes(parent);
        w.array(proposals.len());
        for hash in proposals {
            w.bytes(hash);
        }
        w.array(replaced.len());
        for Replaced { new, old, consent } in replaced {
            w.array(3).item(new).item(old).item(consent);
        }
        state.write(&mut w);
        zeroize::Zeroizing::new(w.finish())
    }

    fn decode(payload: &[u8]) -> Result<(Self, UnverifiedState)> {
        let mut r = Reader::new(payload);
        r.array(7)?;
        let joiner = Secret::copy_from(r.fixed_ref()?);
        let (confirmation, commit_entry, parent) = (r.fixed()?, r.fixed()?, r.fixed()?);
        let mut proposals = Vec::new();
        for _ in 0..r.array_up_to(limits::PROPOSALS)? {
            proposals.push(r.fixed()?);
        }
        let mut replaced = Vec::new();
        for _ in 0..r.array_up_to(limits::PROPOSALS)? {
            r.array(3)?;
            replaced.push(Replaced { new: r.item()?, old: r.item()?, consent: r.item()? });
        }
        let state = UnverifiedState::read(&mut r)?;
        r.finish()?;
        Ok((Self { joiner, confirmation, commit_entry, parent, proposals, replaced }, state))
    }

    /// Whether the inviter's fresh leaf is bound to the history and the proposals named here, the adding of `own`
    /// among them. Otherwise an old leaf of the inviter, with its key, could sign welcomes in the inviter's name.
    fn is_bound(&self, state: &GroupState, inviter: LeafIndex, own: (LeafIndex, &KeyPackage)) -> bool {
        let (own_index, package) = own;
        let Ok(with) = UnverifiedLeaf::try_from(package.leaf()) else { return false };
        let added = match self.replaced.iter().find(|replaced| replaced.new == own_index) {
            Some(Replaced { old, consent, .. }) => Proposal::Replace { leaf: *old, with, consent: *consent },
            None => Proposal::Add(with),
        };
        let bound = Source::Commit {
            group: state.group,
            leaf: inviter,
            parent: self.parent,
            proposals: list_hash(&self.proposals),
        };
        self.proposals.contains(&added.hash())
            && state.leaf(inviter).is_some_and(|leaf| *leaf.source() == bound)
            && state.transcript != self.parent
    }
}

impl Group {
    /// Enters a group by a welcome to `package`, whose commit the log shows as `commit` (header and body).
    ///
    /// Fails with `Unauthentic` if anything does not verify, with `Malformed` if the state contradicts itself, and
    /// with `Expired` if the inviter's or our own leaf was out of date at the commit's time.
    pub fn join(
        welcome: &EnvelopeFor,
        package: &KeyPackage,
        secrets: &KeyPackageSecrets,
        commit: (&[u8], &[u8]),
    ) -> Result<Joined> {
        let opener = Opener::XWing { secret: &secrets.init, public: Some(package.init_key()) };
        let opened = envelope::open(welcome, EnvelopeType::Welcome, opener, package.id().as_bytes())?;
        let inviter = LeafIndex::decode(opened.sender())?;
        let (invitation, unverified) = Invitation::decode(opened.claimed_payload())?;
        if invitation.commit_entry != entry_hash(commit.0, commit.1) {
            return Err(Error::unauthentic());
        }
        let own = unverified
            .leaves
            .iter()
            .find(|(_, leaf)| leaf.encoded() == package.leaf().encoded())
            .map(|(index, _)| *index)
            .ok_or(Error::unauthentic())?;
        // The inviter's leaf and signature first: the rest of the roster is work that only whoever signed for it may cause.
        let claimed = unverified.leaves.iter().find(|(index, _)| *index == inviter).ok_or(Error::unauthentic())?;
        let (apps, time) = (&unverified.state.policy.apps, unverified.state.time);
        let signed_by = claimed.1.clone().verify(apps, Some(time))?;
        let opened = opened.verify(signed_by.signature_key())?;
        let state = unverified.verify(&BTreeSet::from([own, inviter]))?;
        if *invitation.encode(&state) != opened.payload() {
            return Err(Error::malformed("not the one deterministic encoding of a welcome"));
        }
        let bound = invitation.is_bound(&state, inviter, (own, package));
        if !bound || opened.header().public() != state.group.encode() || opened.header().suite() != state.suite {
            return Err(Error::unauthentic());
        }
        let entry = Entry::new(&invitation.joiner, state.group, state.epoch, state.context_hash());
        if !entry.confirms(&state.transcript, &invitation.confirmation) {
            return Err(Error::unauthentic());
        }
        let (epoch, chains) = entry.into_chains(state.leaves.keys().copied());
        let group =
            Self { state, own, signing: secrets.signing.duplicate(), seal: secrets.seal.duplicate(), secrets: epoch };
        let readmitted = invitation.replaced.iter().any(|replaced| replaced.new == own);
        let parent = invitation.parent;
        Ok(Joined { group, chains: chains.into_list(), inviter, parent, readmitted, welcome: opened.id() })
    }
}
