//! What a group has been, by the order of its log alone.
//!
//! A commit is a leaf in a tree of epochs: its author was in one epoch when making it, and it leads to the next. The
//! true history is the path that the hub's log takes: the first commit of the present epoch in the log ends it. Who is
//! in an epoch follows from the clear headers of the commits that led there (which leaves they open and drop) and from
//! what was asked for (whose key packages, which roles); no client is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use convivio::client::Change;
use convivio::group::{CommitHeader, GroupInfo, GroupState, Policy, Role};
use convivio::identity::UserUri;
use convivio::log::PostId;
use convivio::{LeafHash, LeafIndex, MessageId, Timestamp};

use super::outcome::{Outcome, broken, ensure};

/// Which device of the world.
pub(crate) type DeviceNo = usize;
/// Which epoch of a group's tree.
pub(crate) type EpochNo = usize;
/// Which commit, which frame.
pub(crate) type CommitNo = usize;
pub(crate) type FrameNo = usize;

/// What all members of an epoch must agree on.
#[derive(Clone, PartialEq)]
pub(crate) struct Shared {
    pub(crate) number: u64,
    pub(crate) leaves: BTreeMap<LeafIndex, DeviceNo>,
    pub(crate) roles: BTreeMap<UserUri, Role>,
    pub(crate) policy: Policy,
    pub(crate) info: GroupInfo,
    pub(crate) time: Timestamp,
}

pub(crate) struct EpochOf {
    pub(crate) shared: Rc<Shared>,
    /// Transcript and authenticator, as the first who came here had them; the others must have the same.
    pub(crate) marks: Option<([u8; 32], [u8; 32])>,
}

/// A commit of an honest client.
pub(crate) struct Commit {
    pub(crate) by: DeviceNo,
    /// The epoch that its author was in.
    pub(crate) base: EpochNo,
    /// The epoch that it leads to.
    pub(crate) leads_to: EpochNo,
}

/// A frame of an honest client.
pub(crate) struct FrameOf {
    pub(crate) by: DeviceNo,
    pub(crate) epoch: EpochNo,
    /// The app's message in it, if it is one of the app's.
    pub(crate) message: Option<MessageId>,
}

/// What was appended to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logged {
    Commit(CommitNo),
    Message(FrameNo),
    Request,
    /// What no client made.
    MadeUp,
}

/// A message of an app.
pub(crate) struct Said {
    pub(crate) by: DeviceNo,
    pub(crate) content: Vec<u8>,
    /// How often its author had forgotten the group before.
    pub(crate) life: u32,
    /// How many frames with it count in the true history.
    pub(crate) counted: u32,
    /// The first entry that counts.
    pub(crate) counted_at: u64,
    /// A frame with it came into the log when its epoch was over.
    pub(crate) misplaced: bool,
    /// All was quiet since.
    pub(crate) settled: bool,
    /// The author was told that it will not be sent.
    pub(crate) dropped: bool,
}

pub(crate) struct History {
    pub(crate) epochs: Vec<EpochOf>,
    pub(crate) commits: Vec<Commit>,
    pub(crate) commit_of: BTreeMap<PostId, CommitNo>,
    pub(crate) frames: Vec<FrameOf>,
    pub(crate) frame_of: BTreeMap<Vec<u8>, FrameNo>,
    pub(crate) log: Vec<Logged>,
    /// The true epoch after each entry of the log, and before the first.
    pub(crate) course: Vec<EpochNo>,
    counted: BTreeSet<FrameNo>,
    pub(crate) said: BTreeMap<MessageId, Said>,
    /// Commit entries of the log that count for nothing: made up, or of who was led astray.
    pub(crate) void_commits: Vec<u64>,
}

/// What a commit was made for, as its author's app asked; none for another's leave or a healing of the policy's.
pub(crate) struct Purpose<'a> {
    pub(crate) by: DeviceNo,
    pub(crate) base: EpochNo,
    pub(crate) change: Option<&'a Change>,
    /// Whose key packages the commit's welcome is for, in the order of their ids.
    pub(crate) joiners: Vec<(LeafHash, DeviceNo)>,
}

impl History {
    pub(crate) fn founded(state: &GroupState, founder: DeviceNo) -> Self {
        let roles = state.users().map(|(user, _)| (user.clone(), Role::Owner)).collect();
        let shared = Shared {
            number: 0,
            leaves: BTreeMap::from([(LeafIndex(0), founder)]),
            roles,
            policy: state.policy().clone(),
            info: state.info().clone(),
            time: state.time(),
        };
        Self {
            epochs: vec![EpochOf { shared: Rc::new(shared), marks: None }],
            commits: Vec::new(),
            commit_of: BTreeMap::new(),
            frames: Vec::new(),
            frame_of: BTreeMap::new(),
            log: Vec::new(),
            course: vec![0],
            counted: BTreeSet::new(),
            said: BTreeMap::new(),
            void_commits: Vec::new(),
        }
    }

    /// The true epoch.
    pub(crate) fn now(&self) -> EpochNo {
        self.course.last().copied().unwrap_or_default()
    }

    pub(crate) fn shared(&self, epoch: EpochNo) -> &Rc<Shared> {
        &self.epochs[epoch].shared
    }

    /// The devices that are in.
    pub(crate) fn members(&self) -> impl Iterator<Item = DeviceNo> + '_ {
        self.shared(self.now()).leaves.values().copied()
    }

    /// A commit leaves a client; it is in no log yet. What it does must be what was asked for.
    pub(crate) fn made(
        &mut self,
        id: PostId,
        header: &CommitHeader,
        purpose: &Purpose<'_>,
        users: &[UserUri],
    ) -> Outcome {
        if self.commit_of.contains_key(&id) {
            return Ok(());
        }
        let base = Rc::clone(self.shared(purpose.base));
        let dropped: Vec<DeviceNo> =
            header.mailboxes.drop.iter().filter_map(|leaf| base.leaves.get(leaf).copied()).collect();
        ensure(header.epoch.0 == base.number, || {
            format!("a commit for epoch {} made in {}", header.epoch, base.number)
        })?;
        ensure(dropped.len() == header.mailboxes.drop.len(), || "a commit drops a leaf that nobody has".into())?;
        purpose.fits(&base, &dropped, users)?;
        let mut next = Shared::clone(&base);
        next.number += 1;
        next.time = header.time;
        ensure(header.time >= base.time, || "a commit goes back in time".into())?;
        for leaf in &header.mailboxes.drop {
            next.leaves.remove(leaf);
        }
        ensure(header.mailboxes.add.len() == purpose.joiners.len(), || "as many mailboxes as joiners".into())?;
        for ((leaf, _), (_, device)) in header.mailboxes.add.iter().zip(&purpose.joiners) {
            next.leaves.insert(*leaf, *device);
            next.roles.entry(users[*device].clone()).or_insert(Role::Member);
        }
        match purpose.change {
            Some(Change::Role(user, role)) => drop(next.roles.insert(user.clone(), *role)),
            Some(Change::Policy(policy)) => next.policy = policy.clone(),
            Some(Change::Info(info)) => next.info = info.clone(),
            _ => {}
        }
        let present: BTreeSet<&UserUri> = next.leaves.values().map(|device| &users[*device]).collect();
        next.roles.retain(|user, _| present.contains(user));
        self.epochs.push(EpochOf { shared: Rc::new(next), marks: None });
        self.commit_of.insert(id, self.commits.len());
        self.commits.push(Commit { by: purpose.by, base: purpose.base, leads_to: self.epochs.len() - 1 });
        Ok(())
    }

    /// A frame leaves a client.
    pub(crate) fn sealed(&mut self, frame: &[u8], by: DeviceNo, epoch: EpochNo, message: Option<MessageId>) {
        if !self.frame_of.contains_key(frame) {
            self.frame_of.insert(frame.to_vec(), self.frames.len());
            self.frames.push(FrameOf { by, epoch, message });
        }
    }

    /// Whether a message was sealed in an epoch with this time, in which its author had this role.
    pub(crate) fn was_sealed(&self, id: MessageId, (role, time): (Role, Timestamp), author: &UserUri) -> bool {
        self.frames.iter().rev().filter(|frame| frame.message == Some(id)).any(|frame| {
            let shared = self.shared(frame.epoch);
            shared.time == time && shared.roles.get(author) == Some(&role)
        })
    }

    /// The hub has appended something.
    pub(crate) fn append(&mut self, entry: Logged, users: &[UserUri]) {
        let mut now = self.now();
        self.log.push(entry);
        match entry {
            Logged::Commit(no) if self.commits[no].base == now => now = self.commits[no].leads_to,
            Logged::Commit(_) => self.void_commits.push(self.log.len() as u64),
            Logged::Message(no) if self.frames[no].epoch == now && self.counted.insert(no) => {
                let FrameOf { by, message, .. } = self.frames[no];
                let said = message.filter(|_| self.shared(now).may_post(&users[by]));
                let seq = self.log.len() as u64;
                if let Some(said) = said.and_then(|id| self.said.get_mut(&id)) {
                    said.counted += 1;
                    said.counted_at = if said.counted == 1 { seq } else { said.counted_at };
                }
            }
            Logged::Message(no) => {
                let FrameOf { epoch, message, .. } = self.frames[no];
                if let Some(said) = message.filter(|_| epoch != now).and_then(|id| self.said.get_mut(&id)) {
                    said.misplaced = true;
                }
            }
            Logged::Request => {}
            Logged::MadeUp => {
                // Whatever it claims to be, it may have raised a doubt.
                self.void_commits.push(self.log.len() as u64);
            }
        }
        self.course.push(now);
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<Logged> {
        self.log.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }

    /// The true epoch after an entry.
    pub(crate) fn after(&self, seq: u64) -> EpochNo {
        usize::try_from(seq).ok().and_then(|seq| self.course.get(seq)).copied().unwrap_or_default()
    }

    /// Compares one member's state with what the log says, and with what others had there.
    pub(crate) fn compare(
        &mut self,
        epoch: EpochNo,
        view: &convivio::client::GroupView<'_>,
        ids: &[(UserUri, convivio::DeviceId)],
    ) -> Outcome {
        let state = view.state();
        let seen = (*state.transcript(), *view.authenticator());
        let marks = *self.epochs[epoch].marks.get_or_insert(seen);
        let shared = Rc::clone(self.shared(epoch));
        ensure(state.epoch().0 == shared.number, || {
            format!("is in epoch {} and not in {}: another verdict on a commit", state.epoch(), shared.number)
        })?;
        ensure(marks.0 == seen.0, || "has another transcript than the others".into())?;
        // A client that has stopped keeps the authenticator.
        ensure(marks.1 == seen.1, || "has another authenticator than the others".into())?;
        let leaves = state.leaves().map(|(index, leaf)| (index, (leaf.user().clone(), leaf.device())));
        let expected = shared.leaves.iter().map(|(index, device)| (*index, ids[*device].clone()));
        ensure(leaves.eq(expected), || "has another roster than the log says".into())?;
        let roles = state.users().map(|(uri, user)| (uri, user.role));
        ensure(roles.eq(shared.roles.iter().map(|(uri, role)| (uri, *role))), || {
            "has other roles than the log says".into()
        })?;
        let rest = (state.policy(), state.info(), state.time());
        ensure(rest == (&shared.policy, &shared.info, shared.time), || "has another policy, info or time".into())
    }
}

impl Shared {
    pub(crate) fn role(&self, user: &UserUri) -> Option<Role> {
        self.roles.get(user).copied()
    }

    pub(crate) fn may_post(&self, user: &UserUri) -> bool {
        self.role(user).is_some_and(|role| role >= self.policy.post)
    }

    pub(crate) fn leaf_of(&self, device: DeviceNo) -> Option<LeafIndex> {
        self.leaves.iter().find(|(_, no)| **no == device).map(|(leaf, _)| *leaf)
    }

    /// Whether this user is the only owner.
    pub(crate) fn sole_owner(&self, user: &UserUri) -> bool {
        self.role(user) == Some(Role::Owner) && self.roles.values().filter(|role| **role == Role::Owner).count() == 1
    }
}

impl Purpose<'_> {
    /// Whoever goes is whom the change names.
    fn fits(&self, base: &Shared, dropped: &[DeviceNo], users: &[UserUri]) -> Outcome {
        let fits = match self.change {
            Some(Change::Remove(user)) => {
                let all = base.leaves.values().filter(|device| users[**device] == *user);
                !dropped.is_empty() && all.eq(dropped)
            }
            Some(Change::RemoveDevice(_)) => dropped.len() == 1 && users[dropped[0]] == users[self.by],
            Some(Change::Readmit(_)) => {
                dropped.len() == 1 && self.joiners.iter().map(|joiner| joiner.1).eq(dropped.iter().copied())
            }
            Some(_) => dropped.is_empty(),
            // Another's leave, or a healing.
            None => dropped.iter().all(|device| users[*device] != users[self.by]),
        };
        if fits { Ok(()) } else { broken("a commit takes out others than was asked for") }
    }
}
