//! Everything a group's validity rests on, equal for all members of an epoch (`docs/protocol.md`, section 5.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::GroupContext;
use super::info::{GroupInfo, Profile};
use super::link::OpenLink;
use super::paged::{Paged, PagedMap};
use super::policy::{Policy, Role};
use crate::crypto::kdf::{self, Hash};
use crate::crypto::parallel::in_parts;
use crate::crypto::sign::{KnownKeys, VerifyKey};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AppDomain, Leaf, UnverifiedLeaf, UserUri};
use crate::ids::{DeviceId, Epoch, GroupId, LeafIndex, Suite, Timestamp};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

/// Users or leaves that one core reads before another is asked to help: half a millisecond's work or more.
const LEAST_PART: usize = 64;

/// The version of the protocol, in every context.
pub(crate) const VERSION: u64 = 1;

/// The state of a group in one epoch.
///
/// Validity is a function of this and a commit's bytes alone: no clock, setting or memory of a client enters it. Cheap to
/// clone: users and leaves are shared until they change.
#[derive(Clone, Debug)]
pub struct GroupState {
    pub(crate) suite: Suite,
    pub(crate) group: GroupId,
    pub(crate) epoch: Epoch,
    pub(crate) users: PagedMap<User>,
    pub(crate) barred: Vec<VerifyKey>,
    pub(crate) leaves: PagedMap<Arc<Leaf>>,
    pub(crate) next_leaf: LeafIndex,
    pub(crate) policy: Policy,
    pub(crate) profile: Profile,
    pub(crate) time: Timestamp,
    pub(crate) transcript: Hash,
}

/// What a group knows of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's identity key, the same as long as the user is in the group.
    pub identity: VerifyKey,
    /// What the user may do.
    pub role: Role,
    /// The least serial a new device certificate of this user may have; it rises when a device is removed.
    pub least_serial: u64,
    /// The user's leaves, in the order of their indices, and whose devices they are. A user of a state has at least one.
    pub(crate) devices: Vec<(LeafIndex, DeviceId)>,
}

impl User {
    /// A user without devices yet.
    pub(crate) const fn new(identity: VerifyKey, role: Role) -> Self {
        Self { identity, role, least_serial: 0, devices: Vec::new() }
    }
}

impl Paged for User {
    type Index = UserUri;

    fn write(&self, uri: &UserUri, w: &mut Writer) {
        w.array(4).item(uri).item(&self.identity).item(&self.role).uint(self.least_serial);
    }
}

impl Paged for Arc<Leaf> {
    type Index = LeafIndex;

    fn write(&self, index: &LeafIndex, w: &mut Writer) {
        w.array(2).item(index).item(&self.hash());
    }

    fn marks(&self) -> impl IntoIterator<Item = u64> {
        [self.signature_key().as_bytes(), self.seal_key().as_bytes()].map(key_mark)
    }
}

/// The mark of a leaf with this key: its first eight bytes, so that marks are in the order of their keys.
pub(crate) fn key_mark(key: &[u8; 32]) -> u64 {
    key.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

impl GroupState {
    /// The group's id.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// How many commits led here.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The cipher suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The rules.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the group is called and shows.
    #[must_use]
    pub const fn info(&self) -> &GroupInfo {
        self.profile.info()
    }

    /// The invite links that are open.
    #[must_use]
    pub fn links(&self) -> &[OpenLink] {
        self.profile.links()
    }

    /// The time the last commit claimed; commits never go back in time.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// All users, in the order of their URIs.
    pub fn users(&self) -> impl ExactSizeIterator<Item = (&UserUri, &User)> {
        self.users.iter()
    }

    /// One user.
    #[must_use]
    pub fn user(&self, uri: &UserUri) -> Option<&User> {
        self.users.get(uri)
    }

    /// All leaves (devices), in the order of their indices.
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = (LeafIndex, &Leaf)> {
        self.leaves.iter().map(|(index, leaf)| (*index, leaf.as_ref()))
    }

    /// One leaf.
    #[must_use]
    pub fn leaf(&self, index: LeafIndex) -> Option<&Leaf> {
        self.leaves.get(&index).map(AsRef::as_ref)
    }

    /// The chained hash of every commit so far: 32 bytes.
    #[must_use]
    pub const fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }

    /// The hash of the group context, which every derivation and message of the epoch is bound to: each part of the
    /// state hashed, leaves by their hashes.
    #[must_use]
    pub fn context_hash(&self) -> [u8; 32] {
        self.context().hash()
    }

    /// The parts of the context hash.
    pub(crate) fn context(&self) -> GroupContext {
        let users = kdf::hash_list(labels::HASH_USERS, self.users.len(), self.users.encoded());
        let barred = kdf::hash(labels::HASH_BARRED, 1, |w| {
            w.list(self.barred.iter());
        });
        let leaves = kdf::hash_list(labels::HASH_LEAVES, self.leaves.len(), self.leaves.encoded());
        let members = kdf::hash(labels::HASH_MEMBERS, 7, |w| {
            w.bytes(&users).bytes(&barred).bytes(&leaves).item(&self.next_leaf);
            w.bytes(&self.policy.hash()).bytes(&self.profile.hash()).bytes(&self.transcript);
        });
        let Self { suite, group, epoch, time, .. } = *self;
        GroupContext { suite, group, epoch, time, members }
    }

    /// Whether a user may send messages: `false` for who is not in, and in an announcement group for all but admins.
    #[must_use]
    pub fn may_post(&self, user: &UserUri) -> bool {
        self.users.get(user).is_some_and(|user| user.role >= self.policy.post)
    }

    /// How many devices are in the group under this root of an app: 0 means that it can be
    /// [taken off](crate::client::Change::RetireRoot) the list.
    #[must_use]
    pub fn devices_under(&self, domain: &AppDomain, root: &VerifyKey) -> usize {
        self.leaves.values().filter(|leaf| leaf.domain() == domain && leaf.root() == root).count()
    }

    /// Whether every device of the group advertises this feature (`docs/protocol.md`, section 11.8). Looks at every leaf:
    /// a fraction of a millisecond for a thousand.
    #[must_use]
    pub fn supports(&self, feature: u32) -> bool {
        self.leaves().all(|(_, leaf)| leaf.capabilities().has_feature(feature))
    }

    /// The users with a device that does not advertise this feature. Looks at every leaf.
    #[must_use]
    pub fn lacking(&self, feature: u32) -> BTreeSet<&UserUri> {
        let lacks = self.leaves().filter(|(_, leaf)| !leaf.capabilities().has_feature(feature));
        lacks.map(|(_, leaf)| leaf.user()).collect()
    }

    /// The leaves of one user.
    pub(crate) fn leaves_of(&self, user: &UserUri) -> impl Iterator<Item = (LeafIndex, &Arc<Leaf>)> {
        let devices = self.users.get(user).map(|user| user.devices.as_slice()).unwrap_or_default();
        devices.iter().filter_map(|(index, _)| Some((*index, self.leaves.get(index)?)))
    }

    /// A member's leaf and user entry.
    pub(crate) fn member(&self, index: LeafIndex) -> Result<(&Arc<Leaf>, &User)> {
        let missing = || Error::new(ErrorKind::NotMember, "no such leaf in the group");
        let leaf = self.leaves.get(&index).ok_or_else(missing)?;
        let user = self.users.get(leaf.user()).ok_or_else(missing)?;
        Ok((leaf, user))
    }

    /// The state for a record of its own. Leaves are records of theirs; users follow from them, but for the roles and least
    /// serials of those who are not plain members.
    pub(crate) fn encode_for_record(&self) -> Vec<u8> {
        let ranked: Vec<_> =
            self.users.iter().filter(|(_, user)| user.role != Role::Member || user.least_serial != 0).collect();
        let mut w = Writer::with_capacity(self.leaves.len().saturating_mul(5).saturating_add(1_024));
        w.array(11);
        let users = |w: &mut Writer| {
            w.array(ranked.len());
            for (uri, user) in ranked {
                w.array(3).item(uri).item(&user.role).uint(user.least_serial);
            }
        };
        self.write_parts(&mut w, users, |w| {
            w.list(self.leaves.keys());
        });
        w.finish()
    }

    fn write_parts(&self, w: &mut Writer, users: impl FnOnce(&mut Writer), leaves: impl FnOnce(&mut Writer)) {
        w.item(&self.suite).item(&self.group).item(&self.epoch);
        users(w);
        w.list(self.barred.iter());
        leaves(w);
        w.item(&self.next_leaf).item(&self.policy).item(&self.profile).item(&self.time).bytes(&self.transcript);
    }

    /// What a welcome carries.
    pub(crate) fn write(&self, w: &mut Writer) {
        w.array(12).uint(VERSION);
        let users = |w: &mut Writer| {
            w.array(self.users.len());
            self.users.encoded().for_each(|users| {
                w.encoded(users);
            });
        };
        self.write_parts(w, users, |w| {
            w.array(self.leaves.len());
            for (index, leaf) in &self.leaves {
                w.array(2).item(index).bytes(leaf.encoded());
            }
        });
    }
}

/// A state as a welcome carries it: nothing in it is checked but its form.
#[derive(Debug)]
pub(crate) struct UnverifiedState {
    pub(crate) state: GroupState,
    pub(crate) leaves: Vec<(LeafIndex, UnverifiedLeaf)>,
}

impl UnverifiedState {
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(12)?;
        if r.u64()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a group of a newer protocol version: update the library"));
        }
        let keys = KnownKeys::default();
        let (mut state, users, leaves) = read_parts(r, |r| read_users(r, &keys), |r| read_leaves(r, &keys))?;
        for (uri, user) in users {
            if state.users.insert(uri, user).is_some() {
                return Err(inconsistent());
            }
        }
        Ok(Self { state, leaves })
    }

    /// Checks that the parts fit together and verifies every leaf's chain of trust: signatures and domains for all,
    /// expiry only where `expiring` says (section 5.5).
    pub(crate) fn verify(self, expiring: &BTreeSet<LeafIndex>) -> Result<GroupState> {
        let Self { mut state, leaves } = self;
        let time = state.time;
        let (mut fresh, mut old) = (Vec::new(), Vec::new());
        let mut order: Vec<(LeafIndex, bool)> = Vec::new();
        for (index, leaf) in leaves {
            let is_fresh = expiring.contains(&index);
            order.push((index, is_fresh));
            if is_fresh { &mut fresh } else { &mut old }.push((leaf, None));
        }
        let mut fresh = crate::identity::verify_all(fresh, &state.policy.apps, Some(time))?.into_iter();
        let mut old = crate::identity::verify_all(old, &state.policy.apps, None)?.into_iter();
        for (index, is_fresh) in order {
            let leaf = if is_fresh { fresh.next() } else { old.next() };
            state.seat(index, Arc::new(leaf.ok_or_else(inconsistent)?))?;
        }
        state.check()?;
        Ok(state)
    }

    /// The state without verifying its leaves: only from one's own storage.
    pub(crate) fn assume_verified(self) -> Result<GroupState> {
        let Self { mut state, leaves } = self;
        for (index, leaf) in leaves {
            state.seat(index, Arc::new(leaf.assume_verified()))?;
        }
        state.check()?;
        Ok(state)
    }
}

/// The users of a state, their keys checked on all cores. Of several faults the first is reported.
fn read_users(r: &mut Reader<'_>, known: &KnownKeys) -> Result<Vec<(UserUri, User)>> {
    let (mut keys, mut rest) = (Vec::new(), Vec::new());
    let read: Result<()> = (0..r.array_up_to(limits::ROSTER)?).try_for_each(|_| {
        r.array(4)?;
        let uri: UserUri = r.item()?;
        keys.push(r.fixed()?);
        rest.push((uri, r.item()?, r.u64()?));
        Ok(())
    });
    let keys = in_order(&keys, |bytes| known.while_reading(|| VerifyKey::from_bytes(*bytes)))?;
    read?;
    let user = |(identity, (uri, role, least_serial))| (uri, User { least_serial, ..User::new(identity, role) });
    Ok(keys.into_iter().zip(rest).map(user).collect())
}

/// The leaves of a state, read on all cores. Of several faults the first is reported.
fn read_leaves(r: &mut Reader<'_>, known: &KnownKeys) -> Result<Vec<(LeafIndex, UnverifiedLeaf)>> {
    let mut leaves: Vec<(LeafIndex, &[u8])> = Vec::new();
    let read: Result<()> = (0..r.array_up_to(limits::ROSTER)?).try_for_each(|_| {
        r.array(2)?;
        leaves.push((r.item()?, r.bytes(limits::LEAF)?));
        Ok(())
    });
    let leaf = |(index, bytes): &(_, &[u8])| Ok((*index, known.while_reading(|| UnverifiedLeaf::decode(bytes))?));
    let leaves = in_order(&leaves, leaf)?;
    read.map(|()| leaves)
}

/// What `work` makes of each item, or its first error.
fn in_order<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> Result<U> + Sync) -> Result<Vec<U>> {
    let parts = in_parts(items, LEAST_PART, |part| part.iter().map(&work).collect::<Result<Vec<_>>>());
    let mut all = Vec::with_capacity(items.len());
    for part in parts {
        all.append(&mut part?);
    }
    Ok(all)
}

/// A state as [its record](GroupState::encode_for_record) has it.
pub(crate) struct StoredState {
    state: GroupState,
    ranked: Vec<(UserUri, Role, u64)>,
    leaves: Vec<LeafIndex>,
}

impl StoredState {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        r.array(11)?;
        let read_user = |r: &mut Reader<'_>| {
            r.array(3)?;
            Ok((r.item()?, r.item()?, r.u64()?))
        };
        let read_users =
            |r: &mut Reader<'_>| (0..r.array_up_to(limits::ROSTER)?).map(|_| read_user(r)).collect::<Result<_>>();
        let (state, ranked, leaves) = read_parts(&mut r, read_users, |r| r.list(limits::ROSTER))?;
        r.finish()?;
        Ok(Self { state, ranked, leaves })
    }

    /// The whole state, its leaves read by `load` from this device's own store.
    pub(crate) fn with_leaves(self, load: impl Fn(LeafIndex) -> Result<Leaf>) -> Result<GroupState> {
        let Self { mut state, ranked, leaves } = self;
        for index in leaves {
            let leaf = load(index)?;
            if !state.users.contains_key(leaf.user()) {
                state.users.insert(leaf.user().clone(), User::new(leaf.identity_key().clone(), Role::Member));
            }
            state.seat(index, Arc::new(leaf))?;
        }
        for (uri, role, least_serial) in ranked {
            let user = state.users.get_mut(&uri).ok_or_else(inconsistent)?;
            (user.role, user.least_serial) = (role, least_serial);
        }
        Ok(state)
    }
}

/// Reads a state without users and leaves, and these as they are read beside it.
fn read_parts<U, L>(
    r: &mut Reader<'_>,
    read_users: impl FnOnce(&mut Reader<'_>) -> Result<Vec<U>>,
    read_leaves: impl FnOnce(&mut Reader<'_>) -> Result<Vec<L>>,
) -> Result<(GroupState, Vec<U>, Vec<L>)> {
    let (suite, group, epoch) = (r.item()?, r.item()?, r.item()?);
    let users = read_users(r)?;
    let barred = r.list(limits::BARRED)?;
    let leaves = read_leaves(r)?;
    let state = GroupState {
        suite,
        group,
        epoch,
        users: PagedMap::new(),
        barred,
        leaves: PagedMap::new(),
        next_leaf: r.item()?,
        policy: r.item()?,
        profile: r.item()?,
        time: r.item()?,
        transcript: r.fixed()?,
    };
    Ok((state, users, leaves))
}

impl GroupState {
    /// The state of a group that its founder alone is in.
    pub(crate) fn found(group: GroupId, leaf: Leaf, policy: Policy, info: GroupInfo, time: Timestamp) -> Result<Self> {
        let founder = User::new(leaf.identity_key().clone(), Role::Owner);
        let mut state = Self {
            suite: Suite::One,
            group,
            epoch: Epoch(0),
            users: PagedMap::new(),
            barred: Vec::new(),
            leaves: PagedMap::new(),
            next_leaf: LeafIndex(1),
            policy,
            profile: info.into(),
            time,
            transcript: [0; 32],
        };
        state.users.insert(leaf.user().clone(), founder);
        state.seat(LeafIndex(0), Arc::new(leaf))?;
        state.check()?;
        Ok(state)
    }

    /// Gives a leaf its place. Fails if the place is taken, or its user is not in, is another, has this device there
    /// already, or has as many as a user may have.
    pub(crate) fn seat(&mut self, index: LeafIndex, leaf: Arc<Leaf>) -> Result<()> {
        let user = self.users.get_mut(leaf.user()).ok_or_else(inconsistent)?;
        if user.devices.len() >= limits::LEAVES_PER_USER {
            return Err(inconsistent());
        }
        let place = user.devices.partition_point(|(other, _)| *other < index);
        if user.identity != *leaf.identity_key() || user.devices.iter().any(|(_, device)| *device == leaf.device()) {
            return Err(inconsistent());
        }
        user.devices.insert(place, (index, leaf.device()));
        if self.leaves.insert(index, leaf).is_some() { Err(inconsistent()) } else { Ok(()) }
    }

    /// The invariants that every valid commit keeps, so a state without them was made up. Those of each leaf and its user
    /// were checked when it was [seated](Self::seat).
    pub(crate) fn check(&self) -> Result<()> {
        let mut keys = BTreeSet::new();
        for (index, leaf) in &self.leaves {
            let unique = keys.insert(leaf.signature_key().as_bytes()) & keys.insert(leaf.seal_key().as_bytes());
            let suite = leaf.suite() == self.suite && leaf.capabilities().supports(self.suite);
            if !unique || !suite || *index >= self.next_leaf {
                return Err(inconsistent());
            }
        }
        let mut users = self.users.values();
        if users.any(|user| user.devices.is_empty()) || !self.users.values().any(|user| user.role == Role::Owner) {
            return Err(inconsistent());
        }
        Ok(())
    }
}

fn inconsistent() -> Error {
    Error::malformed("a group state whose parts contradict each other")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::crypto::kem::SealSecret;
    use crate::crypto::sign::SigningKey;
    use crate::identity::{Capabilities, IdentityKey, LeafBody, Source, sign_leaf};
    use crate::ids::Validity;
    use crate::testing::App;

    #[test]
    fn of_several_faults_the_first_is_reported_and_order_is_kept() {
        let items: Vec<usize> = (0..1_000).collect();
        let doubled = in_order(&items, |item| Ok(item * 2)).unwrap();
        assert!(doubled.into_iter().eq((0..1_000).map(|item| item * 2)));
        for first in [0, 1, 63, 64, 500, 998] {
            let work = |item: &usize| match *item {
                item if item < first => Ok(()),
                item if item == first => Err(Error::limit("the first")),
                _ => Err(Error::malformed("another")),
            };
            assert_eq!(in_order(&items, work).unwrap_err().kind(), ErrorKind::Limit);
        }
    }

    #[test]
    fn a_bad_key_before_a_bad_role_is_what_is_reported() {
        let known = KnownKeys::default();
        let read = |key: [u8; 32], role: u64| {
            let mut w = Writer::new();
            w.array(2);
            for _ in 0..2 {
                w.array(4).text("mimi://a.example/u/ada").bytes(&key).uint(role).uint(0);
            }
            let bytes = w.finish();
            read_users(&mut Reader::new(&bytes), &known).unwrap_err()
        };
        let good = *crate::SigningKey::from_seed(&[1; 32]).verify_key().as_bytes();
        let bad_key = VerifyKey::from_bytes([0; 32]).unwrap_err();
        assert_eq!(read([0; 32], u64::MAX).to_string(), bad_key.to_string());
        assert_ne!(read(good, u64::MAX).to_string(), bad_key.to_string());
    }

    #[test]
    fn a_user_has_no_more_leaves_than_one_may_have() {
        let mut rng = StdRng::seed_from_u64(6);
        let app = App::new("a.example").unwrap();
        let identity = IdentityKey::generate(&mut rng);
        let mut leaf = |index| {
            let device = SigningKey::generate(&mut rng);
            let certified = app.certify("ada", &identity, (DeviceId::generate(&mut rng), 0), &device).unwrap();
            let body = LeafBody {
                signature_key: SigningKey::generate(&mut rng).verify_key().clone(),
                seal_key: SealSecret::generate(&mut rng).public().clone(),
                capabilities: Capabilities::new(&[Suite::One], &[]).unwrap(),
                validity: Validity::starting(Timestamp(0), 1),
                source: Source::Commit { group: GroupId([1; 16]), leaf: index, parent: [0; 32], proposals: [0; 32] },
            };
            sign_leaf(&certified, &device, body).unwrap()
        };
        let (policy, info) = (App::policy(&[&app]).unwrap(), GroupInfo::new("Ada's", "").unwrap());
        let mut state = GroupState::found(GroupId([1; 16]), leaf(LeafIndex(0)), policy, info, Timestamp(0)).unwrap();
        for index in 1..=limits::LEAVES_PER_USER {
            let index = LeafIndex(index.try_into().unwrap());
            let seated = state.seat(index, Arc::new(leaf(index)));
            assert_eq!(seated.is_ok(), (index.0 as usize) < limits::LEAVES_PER_USER, "{index:?}");
        }
        assert_eq!(state.leaves.len(), limits::LEAVES_PER_USER);
    }
}
