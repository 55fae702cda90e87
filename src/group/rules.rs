//! Which commits are valid: a pure function of the state and the commit's bytes (`docs/protocol.md`, section 5.3).

mod revoke;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) use revoke::judge as judge_revocation;

use super::commit::{CommitBody, Mailboxes};
use super::effect::Effect;
use super::info::Profile;
use super::policy::Role;
use super::proposal::{LeaveScope, Proposal, leave_input, list_hash, rejoin_input};
use super::state::{GroupState, User, key_mark};
use super::welcome::Replaced;
use crate::crypto::kdf::Hash;
use crate::crypto::sign::Signature;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Leaf, Source, UnverifiedLeaf, UserUri, verify_all};
use crate::ids::{Epoch, LeafIndex, Timestamp};
use crate::limits;

/// The state after a commit, before its transcript hash is known.
pub(crate) struct Applied {
    pub(crate) next: GroupState,
    pub(crate) changes: Vec<Effect>,
    /// Leaves that this commit added, which its welcome and not its envelope is for.
    pub(crate) added: Vec<LeafIndex>,
    /// New indices of readmitted devices, each with the one it had.
    pub(crate) replaced: Vec<Replaced>,
    pub(crate) mailboxes: Mailboxes,
}

/// A commit being applied: what is known, and what is gathered on the way.
struct Pass<'a> {
    state: &'a GroupState,
    committer: &'a Arc<Leaf>,
    role: Role,
    next: GroupState,
    changes: Vec<Effect>,
    /// Leaves to be verified, each with where it goes, in one batch at the end.
    new: Vec<(LeafIndex, UnverifiedLeaf, Option<Arc<Leaf>>)>,
    removed: BTreeSet<LeafIndex>,
    replaced: Vec<Replaced>,
}

/// Applies a commit by the leaf `by` to `state`, whose transcript it follows: that is the caller's to know, since
/// another history is another verdict (section 5.6).
///
/// Cheap rules come first; all chains of trust of new leaves are then verified in one batch.
pub(crate) fn apply(state: &GroupState, by: LeafIndex, time: Timestamp, body: &CommitBody) -> Result<Applied> {
    let (committer, user) = state.member(by)?;
    if time < state.time {
        return Err(Error::not_allowed("a commit goes back in time"));
    }
    check_order(&body.proposals)?;

    let mut next = state.clone();
    next.epoch = Epoch(state.epoch.0.saturating_add(1));
    next.time = time;
    let mut pass = Pass {
        state,
        committer,
        role: user.role,
        next,
        changes: Vec::new(),
        new: Vec::new(),
        removed: BTreeSet::new(),
        replaced: Vec::new(),
    };
    for proposal in &body.proposals {
        pass.propose(proposal)?;
    }
    pass.refresh(by, body)?;
    pass.finish()
}

fn check_order(proposals: &[Proposal]) -> Result<()> {
    let orders: Vec<_> = proposals.iter().map(Proposal::order).collect();
    if orders.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(Error::malformed("a commit's proposals are out of order or repeated"))
    }
}

impl Pass<'_> {
    fn propose(&mut self, proposal: &Proposal) -> Result<()> {
        match proposal {
            Proposal::Policy(policy) => {
                self.need(self.state.policy.policy)?;
                self.next.policy = policy.clone();
                self.changes.push(Effect::Policy(policy.clone()));
                Ok(())
            }
            Proposal::Info(profile) => self.set_profile(profile),
            Proposal::Leave { leaf, scope, signature } => self.leave(*leaf, *scope, signature),
            Proposal::Remove(user) => self.remove(user),
            Proposal::RemoveDevice(leaf) => self.remove_device(*leaf),
            Proposal::Replace { leaf, with, consent } => self.replace(*leaf, with, consent),
            Proposal::Add(leaf) => self.add(leaf),
            Proposal::Role { user, role } => self.set_role(user, *role),
            Proposal::Revoke(revocation) => self.revoke(revocation),
        }
    }

    /// Whoever opens a link must be one who may add.
    fn set_profile(&mut self, profile: &Profile) -> Result<()> {
        self.need(self.state.policy.info)?;
        let old = &self.state.profile;
        let opened = profile.links().iter().filter(|link| !old.links().contains(link));
        let closed = old.links().iter().filter(|link| !profile.links().iter().any(|other| other.id() == link.id()));
        let opened: Vec<_> = opened.map(|link| Effect::LinkOpened(link.id(), link.expires())).collect();
        let closed: Vec<_> = closed.map(|link| Effect::LinkClosed(link.id())).collect();
        if !opened.is_empty() {
            self.need(self.state.policy.add)?;
        }
        if profile.info() != old.info() || opened.is_empty() && closed.is_empty() {
            self.changes.push(Effect::Info(profile.info().clone()));
        }
        self.changes.extend(closed.into_iter().chain(opened));
        self.next.profile = profile.clone();
        Ok(())
    }

    fn leave(&mut self, index: LeafIndex, scope: LeaveScope, signature: &Signature) -> Result<()> {
        let leaving = Arc::clone(self.next.member(index)?.0);
        let user = leaving.user();
        let last = self.next.users.get(user).is_none_or(|user| user.devices.len() <= 1);
        if scope == LeaveScope::User || last {
            not_self(user, self.committer)?;
        } else if leaving.device() == self.committer.device() && user == self.committer.user() {
            return Err(Error::not_allowed("nobody commits their own removal"));
        }
        leaving.signature_key().verify(&leave_input(self.state.group, index, scope), signature)?;
        if scope == LeaveScope::User || last {
            self.take_out(user);
            self.changes.push(Effect::Left(user.clone()));
        } else {
            self.drop_leaf(index);
            self.changes.push(Effect::DeviceRemoved(user.clone(), leaving.device()));
        }
        Ok(())
    }

    fn remove(&mut self, user: &UserUri) -> Result<()> {
        self.need(self.state.policy.remove)?;
        not_self(user, self.committer)?;
        self.need_above(self.next.users.get(user).ok_or_else(not_member)?.role)?;
        // Whose app is taken off the list in this commit is kept out by that: a large app would push all others off the list.
        if self.next.policy.apps.app(user.domain()).is_some() {
            self.bar(user, true);
        }
        self.take_out(user);
        self.changes.push(Effect::Removed(user.clone()));
        Ok(())
    }

    fn remove_device(&mut self, index: LeafIndex) -> Result<()> {
        let leaf = Arc::clone(self.next.member(index)?.0);
        if leaf.user() != self.committer.user() || leaf.device() == self.committer.device() {
            return Err(Error::not_allowed(
                "a user takes out single devices only of their own, and not the one in use",
            ));
        }
        self.drop_leaf(index);
        if let Some(user) = self.next.users.get_mut(leaf.user()) {
            user.least_serial = user.least_serial.max(leaf.serial().saturating_add(1));
        }
        self.changes.push(Effect::DeviceRemoved(leaf.user().clone(), leaf.device()));
        Ok(())
    }

    fn replace(&mut self, index: LeafIndex, with: &UnverifiedLeaf, consent: &Signature) -> Result<()> {
        self.need(Role::Member)?;
        let old = Arc::clone(self.next.member(index)?.0);
        let claims = with.claims();
        let same = claims.user() == old.user()
            && claims.identity_key() == old.identity_key()
            && claims.device() == old.device()
            && claims.serial() >= old.serial()
            && claims.validity().not_before >= old.validity().not_before;
        if !same || old.device() == self.committer.device() && old.user() == self.committer.user() {
            return Err(Error::not_allowed(
                "a leaf is replaced only by another of the same device, through another member",
            ));
        }
        // An old request would bring in keys that are as old, or take out a device that has long come back.
        if self.next.time > claims.validity().not_before.after(limits::REQUEST_LIFETIME) {
            return Err(Error::new(ErrorKind::Expired, "a request to be readmitted holds for a day: ask again"));
        }
        old.device_key().verify(&rejoin_input(self.state.group, old.device(), &with.hash()), consent)?;
        self.drop_leaf(index);
        self.replaced.push(Replaced { new: self.next.next_leaf, old: index, consent: *consent });
        self.introduce(with)?;
        self.changes.push(Effect::Rejoined(old.user().clone(), old.device()));
        Ok(())
    }

    fn add(&mut self, leaf: &UnverifiedLeaf) -> Result<()> {
        let claims = leaf.claims();
        let (user, identity) = (claims.user(), claims.identity_key());
        if let Some(entry) = self.next.users.get(user) {
            if user != self.committer.user() {
                self.need(self.state.policy.add)?;
            }
            if entry.identity != *identity || claims.serial() < entry.least_serial {
                return Err(Error::not_allowed("a user's further device has the same identity and is not revoked"));
            }
            self.changes.push(Effect::DeviceAdded(user.clone(), claims.device()));
        } else {
            self.need(self.state.policy.add)?;
            if self.next.barred.contains(identity) {
                self.need(Role::Admin)?;
                if self.state.users.contains_key(user) {
                    return Err(Error::not_allowed("one commit does not remove and add the same user"));
                }
                self.next.barred.retain(|barred| barred != identity);
            }
            self.next.users.insert(user.clone(), User::new(identity.clone(), Role::Member));
            self.changes.push(Effect::Added(user.clone(), claims.device()));
        }
        self.introduce(leaf)
    }

    fn set_role(&mut self, user: &UserUri, role: Role) -> Result<()> {
        self.need(Role::Admin)?;
        if role > self.role {
            return Err(Error::not_allowed("nobody gives a role above their own"));
        }
        let current = self.next.users.get(user).ok_or_else(not_member)?.role;
        if user != self.committer.user() {
            self.need_above(current)?;
        }
        if let Some(entry) = self.next.users.get_mut(user) {
            entry.role = role;
        }
        self.changes.push(Effect::Role(user.clone(), role));
        Ok(())
    }

    /// The committer's own fresh leaf, which is bound to this place in the history and to these proposals.
    fn refresh(&mut self, by: LeafIndex, body: &CommitBody) -> Result<()> {
        let old = self.committer;
        let leaf = body.leaf.complete(old)?;
        let claims = leaf.claims();
        let hashes: Vec<Hash> = body.proposals.iter().map(Proposal::hash).collect();
        let bound = Source::Commit {
            group: self.state.group,
            leaf: by,
            parent: self.state.transcript,
            proposals: list_hash(&hashes),
        };
        if *claims.source() != bound {
            return Err(Error::unauthentic());
        }
        let same = claims.user() == old.user()
            && claims.identity_key() == old.identity_key()
            && claims.device() == old.device()
            && claims.serial() >= old.serial();
        if !same {
            return Err(Error::not_allowed("a committer's fresh leaf is another device's"));
        }
        if body.proposals.is_empty() {
            self.changes.push(Effect::Healed(old.user().clone(), old.device()));
        }
        self.new.push((by, leaf, Some(Arc::clone(old))));
        Ok(())
    }

    /// Verifies what is new, then checks the state as a whole.
    fn finish(mut self) -> Result<Applied> {
        // The committer's own leaf is among the new ones and among the old.
        if self.next.leaves.len().saturating_add(self.new.len()) > limits::ROSTER.saturating_add(1) {
            return Err(Error::limit("a group has at most 10,000 devices"));
        }
        self.check_new_keys()?;
        let leaves = self.new.iter().map(|(_, leaf, old)| (leaf.clone(), old.as_deref())).collect();
        let verified = verify_all(leaves, &self.next.policy.apps, Some(self.next.time))?;
        let mut added = Vec::new();
        let mut mailboxes = Mailboxes::default();
        for ((index, _, old), leaf) in self.new.iter().zip(verified) {
            if old.is_none() {
                added.push(*index);
                mailboxes.add.push((*index, leaf.domain().clone()));
            }
            self.next.leaves.insert(*index, Arc::new(leaf));
        }
        mailboxes.drop = self.removed.iter().copied().collect();
        self.check_whole()?;
        Ok(Applied { next: self.next, changes: self.changes, added, replaced: self.replaced, mailboxes })
    }

    /// No key of a new leaf is anyone else's, or was this leaf's before.
    fn check_new_keys(&self) -> Result<()> {
        let mut fresh = BTreeSet::new();
        for (_, leaf, _) in &self.new {
            let claims = leaf.claims();
            if !fresh.insert(*claims.signature_key().as_bytes()) | !fresh.insert(*claims.seal_key().as_bytes()) {
                return Err(Error::not_allowed("two new leaves share a key"));
            }
            if claims.suite() != self.state.suite || !claims.capabilities().supports(self.state.suite) {
                return Err(Error::not_allowed("a new leaf does not support the group's suite"));
            }
        }
        let taken = |key: &[u8; 32]| fresh.contains(key);
        let marks: Vec<u64> = fresh.iter().map(key_mark).collect();
        let mut suspects = self.state.leaves.marked(|mark| marks.binary_search(&mark).is_ok());
        if suspects.any(|(_, l)| taken(l.signature_key().as_bytes()) || taken(l.seal_key().as_bytes())) {
            return Err(Error::not_allowed("a new leaf reuses a key of the roster"));
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<()> {
        let next = &self.next;
        if !next.users.values().any(|user| user.role == Role::Owner) {
            return Err(Error::not_allowed("a group keeps at least one owner: give another member that role first"));
        }
        let listed = |leaf: &Arc<Leaf>| next.policy.apps.lists(leaf.domain(), leaf.root());
        if next.policy != self.state.policy && !next.leaves.values().all(listed) {
            return Err(Error::not_allowed("the new policy lists no app for a present member: remove its users first"));
        }
        Ok(())
    }

    /// Queues a leaf that came by a key package for the next index.
    fn introduce(&mut self, leaf: &UnverifiedLeaf) -> Result<()> {
        let claims = leaf.claims();
        let Source::Package { .. } = claims.source() else {
            return Err(Error::not_allowed("a new member's leaf comes from a key package"));
        };
        let index = self.next.next_leaf;
        let user = self.next.users.get_mut(claims.user()).ok_or_else(not_member)?;
        if user.devices.len() >= limits::LEAVES_PER_USER {
            return Err(Error::limit("a user has at most 64 devices in a group"));
        }
        if user.devices.iter().any(|(_, device)| *device == claims.device()) {
            return Err(Error::not_allowed("this device is in the group already"));
        }
        user.devices.push((index, claims.device()));
        let next = index.0.checked_add(1).ok_or(Error::limit("a group has used up its leaf indices"))?;
        self.next.next_leaf = LeafIndex(next);
        self.new.push((index, leaf.clone(), None));
        Ok(())
    }

    /// Remembers a user's identity as one that only an admin adds. Where there is no room it displaces the oldest or, if it
    /// may not, is not remembered: any member takes up revocations, and an app makes users and revokes them as it likes, so
    /// these push nobody off the list.
    fn bar(&mut self, user: &UserUri, displaces: bool) {
        let Some(User { identity, .. }) = self.next.users.get(user) else { return };
        let identity = identity.clone();
        self.next.barred.retain(|barred| *barred != identity);
        if self.next.barred.len() >= limits::BARRED {
            if !displaces {
                return;
            }
            self.next.barred.remove(0);
        }
        self.next.barred.push(identity);
    }

    fn take_out(&mut self, user: &UserUri) {
        let Some(user) = self.next.users.remove(user) else { return };
        for (index, _) in user.devices {
            self.next.leaves.remove(&index);
            self.removed.insert(index);
        }
    }

    /// Takes out one leaf of a user who stays.
    fn drop_leaf(&mut self, index: LeafIndex) {
        let Some(leaf) = self.next.leaves.remove(&index) else { return };
        if let Some(user) = self.next.users.get_mut(leaf.user()) {
            user.devices.retain(|(other, _)| *other != index);
        }
        self.removed.insert(index);
    }

    fn need(&self, least: Role) -> Result<()> {
        if self.role >= least { Ok(()) } else { Err(Error::not_allowed("the committer's role does not allow this")) }
    }

    /// Owners act on everyone, others only on lower roles.
    fn need_above(&self, target: Role) -> Result<()> {
        if self.role == Role::Owner || self.role > target {
            Ok(())
        } else {
            Err(Error::not_allowed("the committer's role is not above the other's"))
        }
    }
}

fn not_self(user: &UserUri, committer: &Leaf) -> Result<()> {
    if user == committer.user() {
        return Err(Error::not_allowed("nobody commits their own removal: leave instead"));
    }
    Ok(())
}

fn not_member() -> Error {
    Error::new(ErrorKind::NotMember, "no such user in the group")
}
