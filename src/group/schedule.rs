//! The key schedule: from one epoch's init secret and a commit's seed to the next epoch's keys
//! (`docs/protocol.md`, section 5.4).

use super::chain_keys::ChainKeys;
use crate::crypto::kdf::{self, Expander, Hash};
use crate::ids::{Epoch, GroupId, LeafIndex};
use crate::labels;
use crate::ratchet::EpochContext;
use crate::secret::Secret;

/// What an epoch keeps: the keys of its messages and exports, and the init secret of the next.
pub(crate) struct EpochSecrets {
    pub(crate) context: EpochContext,
    pub(crate) exporter: Secret<32>,
    pub(crate) authenticator: Hash,
    pub(crate) request: Secret<32>,
    pub(crate) init: Secret<32>,
}

/// What an epoch needs only while it is entered; dropped, and so wiped, right after.
pub(crate) struct Entry {
    pub(crate) secrets: EpochSecrets,
    confirm_key: Secret<32>,
    sender_root: Secret<32>,
}

/// joiner_secret = expand_label(HKDF-Extract(init_secret, commit_secret), "joiner", GroupContext).
pub(crate) fn joiner_secret(init: &Secret<32>, seed: &Secret<32>, context_hash: &Hash) -> Secret<32> {
    let commit: Secret<32> = kdf::expand_label(seed.expose(), labels::COMMIT_SECRET, &[]);
    let prk = kdf::extract(init.expose(), commit.expose());
    kdf::expand_label(prk.expose(), labels::JOINER, context_hash)
}

impl Entry {
    /// epoch_secret = expand_label(HKDF-Extract(joiner_secret, 32 zero bytes), "epoch", GroupContext), and all that
    /// follows from it. The zeros leave room for a pre-shared key.
    pub(crate) fn new(joiner: &Secret<32>, group: GroupId, epoch: Epoch, context_hash: Hash) -> Self {
        let prk = kdf::extract(joiner.expose(), &[0; 32]);
        let epoch_secret: Secret<32> = kdf::expand_label(prk.expose(), labels::EPOCH, &context_hash);
        let from_epoch = Expander::new(epoch_secret.expose());
        let header_key = from_epoch.expand(labels::HEADER_KEY, &[]);
        let authenticator: Secret<32> = from_epoch.expand(labels::AUTHENTICATOR, &[]);
        Self {
            secrets: EpochSecrets {
                context: EpochContext::new(group, epoch, context_hash, header_key),
                exporter: from_epoch.expand(labels::EXPORTER, &[]),
                authenticator: *authenticator.expose(),
                request: from_epoch.expand(labels::REQUEST, &[]),
                init: from_epoch.expand(labels::INIT, &[]),
            },
            confirm_key: from_epoch.expand(labels::CONFIRM_KEY, &[]),
            sender_root: from_epoch.expand(labels::SENDER_ROOT, &[]),
        }
    }

    /// HMAC(confirm_key, transcript): proves knowledge of the epoch's keys and its whole history.
    pub(crate) fn confirmation(&self, transcript: &Hash) -> Hash {
        kdf::hmac(self.confirm_key.expose(), &[transcript])
    }

    /// Whether `tag` is this epoch's confirmation.
    pub(crate) fn confirms(&self, transcript: &Hash, tag: &[u8]) -> bool {
        kdf::hmac_matches(self.confirm_key.expose(), transcript, tag)
    }

    /// The first chain key of every leaf, which erases the root they come from.
    pub(crate) fn into_chains(self, leaves: impl Iterator<Item = LeafIndex>) -> (EpochSecrets, ChainKeys) {
        let root = Expander::new(self.sender_root.expose());
        (self.secrets, ChainKeys::derive(&root, leaves))
    }
}

impl EpochSecrets {
    /// Erases what opens or leads anywhere. What is left tells only who was where.
    pub(crate) fn erase(&mut self) {
        let zero = || Secret::copy_from(&[0; 32]);
        let old = &self.context;
        self.context = EpochContext::new(*old.group(), old.epoch(), *old.context_hash(), zero());
        (self.exporter, self.init) = (zero(), zero());
    }

    /// A secret for another use of the group's members, such as a call (section 5.8).
    pub(crate) fn export(&self, label: &str, context: &[u8]) -> Secret<32> {
        let context = {
            let mut w = crate::wire::Writer::new();
            w.array(2).text(label).bytes(context);
            w.finish()
        };
        kdf::expand_label(self.exporter.expose(), labels::EXPORT, &context)
    }
}
