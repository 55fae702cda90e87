//! The group: who is in it, what they may do, and the keys that only they share (`docs/protocol.md`, section 5).
//!
//! A [`Group`] is one member's view of one epoch. Commits are made and processed by reference and yield the next
//! epoch; an error leaves what there was. Storage, order and delivery are the [client](crate::client)'s.

mod authenticator;
mod chain_keys;
mod commit;
mod context;
mod effect;
mod info;
mod join_request;
mod link;
mod message;
mod paged;
mod policy;
mod proposal;
mod request;
mod rules;
mod saved;
mod schedule;
mod state;
mod welcome;

use core::fmt;

pub use authenticator::{AuthenticatorDigits, GroupComparison};
pub(crate) use chain_keys::{ChainKeys, PAGE};
pub(crate) use commit::entry_hash;
pub use commit::{CommitHeader, FreshKeys, Mailboxes, NewCommit, Occasion, Rejected, Transition};
pub(crate) use context::GroupContext;
pub use effect::Effect;
pub use info::{GroupInfo, Profile};
pub use join_request::JoinRequest;
pub use link::{InviteLink, LinkId, OpenLink};
pub(crate) use message::{
    MessageContent, MessageKind, Said, app_bytes, kind_of, message_id, open_message, seal_message,
};
pub use policy::{Policy, Role};
pub(crate) use proposal::leave_input;
pub use proposal::{LeaveScope, Proposal};
pub use request::RejoinRequest;
pub(crate) use rules::judge_revocation;
pub(crate) use schedule::EpochSecrets;
pub(crate) use state::StoredState;
pub use state::{GroupState, User};
pub use welcome::Joined;

use crate::crypto::kem::SealSecret;
use crate::crypto::sign::{Signer, SigningKey};
use crate::error::Result;
use crate::identity::{Capabilities, DeviceIdentity, Leaf, LeafBody, Source, UnverifiedLeaf, sign_leaf};
use crate::ids::{Epoch, GroupId, LeafIndex, Timestamp, Validity};
use crate::ratchet::{EpochContext, SendingChain};
use crate::secret::Secret;
use schedule::Entry;

/// One member's view of a group in one epoch: the shared state, the member's own leaf and private keys, and the
/// epoch's secrets.
pub struct Group {
    pub(crate) state: GroupState,
    pub(crate) own: LeafIndex,
    pub(crate) signing: SigningKey,
    pub(crate) seal: SealSecret,
    pub(crate) secrets: EpochSecrets,
}

/// The device that acts: who it is, its key, and what it can do.
#[derive(Clone, Copy)]
pub struct Actor<'a> {
    /// Credential and certificate.
    pub identity: &'a DeviceIdentity,
    /// The device key, here or in a key store.
    pub signer: &'a dyn Signer,
    /// What the device advertises.
    pub capabilities: &'a Capabilities,
}

impl Group {
    /// Founds a group whose only member is this device, as owner, in epoch 0.
    pub fn create(
        device: Actor<'_>,
        policy: Policy,
        info: GroupInfo,
        time: Timestamp,
        rng: &mut dyn rand::CryptoRng,
    ) -> Result<Transition> {
        let group = GroupId::generate(rng);
        let own = LeafIndex(0);
        let (signing, seal) = (SigningKey::generate(rng), SealSecret::generate(rng));
        let body = LeafBody {
            signature_key: signing.verify_key().clone(),
            seal_key: seal.public().clone(),
            capabilities: device.capabilities.clone(),
            validity: Validity { not_before: time, ..device.identity.credential().validity() },
            source: Source::Commit { group, leaf: own, parent: [0; 32], proposals: proposal::list_hash(&[]) },
        };
        let leaf = sign_leaf(device.identity, device.signer, body)?;
        let leaf = UnverifiedLeaf::try_from(&leaf)?.verify(&policy.apps, Some(time))?;
        let state = GroupState::found(group, leaf, policy, info, time)?;
        let joiner = Secret::generate(rng);
        let entry = Entry::new(&joiner, group, Epoch(0), state.context_hash());
        let (secrets, chains) = entry.into_chains(state.leaves.keys().copied());
        Ok(Transition {
            group: Self { state, own, signing, seal, secrets },
            chains: chains.into_list(),
            by: own,
            changes: Vec::new(),
            seen: [0; 32],
        })
    }

    /// The state all members share.
    #[must_use]
    pub const fn state(&self) -> &GroupState {
        &self.state
    }

    /// This member's own place.
    #[must_use]
    pub const fn own_index(&self) -> LeafIndex {
        self.own
    }

    /// What the ratchet needs of this epoch.
    #[must_use]
    pub const fn context(&self) -> &EpochContext {
        &self.secrets.context
    }

    /// 32 bytes that are equal for two members exactly if they hold the same group with the same history. Not secret.
    #[must_use]
    pub const fn authenticator(&self) -> &[u8; 32] {
        &self.secrets.authenticator
    }

    /// A 32-byte secret that only the members of this epoch can derive, for another use such as a call.
    #[must_use]
    pub fn export(&self, label: &str, context: &[u8]) -> Secret<32> {
        self.secrets.export(label, context)
    }

    /// Our wish to be taken out, for another member to commit as [`Proposal::Leave`]. It holds until our leaf is renewed.
    #[must_use]
    pub fn sign_leave(&self, scope: LeaveScope) -> Proposal {
        let signature = self.signing.sign(&leave_input(self.state.group, self.own, scope));
        Proposal::Leave { leaf: self.own, scope, signature }
    }

    /// A chain to send with in this epoch, from our own first chain key.
    #[must_use]
    pub fn sending_chain(&self, chain_key: Secret<32>) -> SendingChain {
        SendingChain::new(self.own, chain_key, self.signing.duplicate())
    }

    pub(crate) fn own_leaf(&self) -> Result<&Leaf> {
        Ok(self.state.member(self.own)?.0)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, own, signing: _, seal: _, secrets: _ } = self;
        f.debug_struct("Group")
            .field("group", &state.group)
            .field("epoch", &state.epoch)
            .field("own", own)
            .finish_non_exhaustive()
    }
}
