//! The oracle: what each device must have been told, from the log and from what the hub showed to whom.
//!
//! For each device of each group it keeps a *place*: the epoch it must be in, and how far it has read. It moves along
//! the log with the device, one entry at a time, by the few rules of `docs/protocol.md`, section 5.6. From it follows,
//! to the message and in order, what the device must have told its app.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use convivio::client::{Event, EventKind};
use convivio::group::Role;
use convivio::identity::UserUri;
use convivio::{DeviceId, GroupId, LeafHash, LeafIndex, MessageId, Timestamp};

use super::history::{DeviceNo, EpochNo, FrameNo, History, Logged};
use super::outcome::{Outcome, broken, ensure};

/// How an entry was shown to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Which entry of the log it was.
    pub(crate) entry: u64,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// As it is.
    Whole,
    /// Without the reader's stanza, or with a broken one.
    NoStanza,
    /// So that nothing can be read from it.
    Spoilt,
}

/// A device in a group.
pub(crate) struct Place {
    pub(crate) leaf: LeafIndex,
    pub(crate) epoch: EpochNo,
    pub(crate) next: u64,
    /// Frames of this epoch that it has read.
    read: BTreeSet<FrameNo>,
    /// What it must tell next.
    due: VecDeque<(u64, MessageId)>,
    /// How often it told each message.
    pub(crate) told: BTreeMap<MessageId, u32>,
    /// Its user has said that it leaves: it shows nothing.
    pub(crate) leaving: bool,
    /// The hub has kept a true commit from it, or someone astray has let it in.
    pub(crate) astray: bool,
    /// Something was shown to it that is not so, since all was last quiet.
    pub(crate) lied_to: bool,
    /// Something was, or it was leaving, since it came in: it may have missed something.
    pub(crate) flawed: bool,
    /// It was shown a commit at another place than the others.
    pub(crate) misordered: bool,
    /// The entry that let it in.
    pub(crate) joined: u64,
    /// How often the device has forgotten the group before.
    pub(crate) life: u32,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) histories: BTreeMap<GroupId, History>,
    pub(crate) places: BTreeMap<(GroupId, DeviceNo), Place>,
    pub(crate) users: Vec<UserUri>,
    pub(crate) ids: Vec<(UserUri, DeviceId)>,
    pub(crate) packages: BTreeMap<LeafHash, DeviceNo>,
    /// The ciphertext under each key: header key (which stands for group and epoch), leaf and generation.
    keys: BTreeMap<([u8; 32], u32, u32), Vec<u8>>,
    /// The envelope under each seed, which the header's commitment stands for.
    seeds: BTreeMap<[u8; 32], Vec<u8>>,
    /// How often each device has forgotten each group.
    pub(crate) lives: BTreeMap<(GroupId, DeviceNo), u32>,
    pub(crate) told: u64,
}

impl Ledger {
    /// A frame leaves a client: the key it is under is its own. The salt, from which the nonce follows too, need not be
    /// compared: no device here runs on an old copy of its store, so no generation may come twice at all.
    pub(crate) fn key_used(&mut self, key: ([u8; 32], u32, u32), frame: &[u8]) -> Outcome {
        let known = self.keys.entry(key).or_insert_with(|| frame.to_vec());
        ensure(known == frame, || format!("leaf {} seals two frames under generation {}", key.1, key.2))
    }

    /// An envelope leaves a client: the seed it is under, from which key and nonce follow, is its own.
    pub(crate) fn seed_used(&mut self, commitment: [u8; 32], envelope: Vec<u8>) -> Outcome {
        let known = self.seeds.entry(commitment).or_insert_with(|| envelope.clone());
        ensure(*known == envelope, || "two envelopes under one seed".into())
    }

    pub(crate) fn history(&mut self, group: GroupId) -> Outcome<&mut History> {
        self.histories.get_mut(&group).ok_or_else(|| super::outcome::Broken(format!("no such group: {group}")))
    }

    /// The device is in: as its founder, or by the welcome of the commit at `seq`.
    pub(crate) fn entered(&mut self, group: GroupId, device: DeviceNo, seq: u64) -> Outcome {
        let history = self.history(group)?;
        let epoch = match history.entry(seq) {
            None if seq == 0 => 0,
            Some(Logged::Commit(no)) => history.commits[no].leads_to,
            other => return broken(format!("enters by entry {seq}, which is {other:?}")),
        };
        let Some(leaf) = history.shared(epoch).leaf_of(device) else {
            return broken(format!("enters by entry {seq}, which does not let it in"));
        };
        let astray = history.after(seq) != epoch;
        let old = self.places.remove(&(group, device));
        let (told, due, misordered) =
            old.map_or_else(Default::default, |place| (place.told, place.due, place.misordered));
        let place = Place {
            leaf,
            epoch,
            next: seq + 1,
            read: BTreeSet::new(),
            due,
            told,
            leaving: false,
            astray,
            lied_to: astray,
            flawed: astray,
            misordered,
            joined: seq,
            life: self.lives.get(&(group, device)).copied().unwrap_or_default(),
        };
        self.places.insert((group, device), place);
        Ok(())
    }

    /// The device has read up to before `next`, each entry as `shown` says, else as it is.
    pub(crate) fn read_to(
        &mut self,
        group: GroupId,
        device: DeviceNo,
        next: u64,
        shown: &BTreeMap<u64, Shown>,
    ) -> Outcome {
        let (Some(place), Some(history)) = (self.places.get_mut(&(group, device)), self.histories.get(&group)) else {
            return broken("holds a group that nobody let it into");
        };
        ensure(place.next <= next, || format!("goes back from entry {} to {next}", place.next))?;
        while place.next < next {
            let seq = place.next;
            place.next += 1;
            let shown = shown.get(&seq).copied().unwrap_or(Shown { entry: seq, how: How::Whole });
            place.lied_to |= shown != Shown { entry: seq, how: How::Whole };
            place.flawed |= place.lied_to || place.leaving;
            place.take(history, device, seq, shown, &self.users);
            let fair = place.epoch == history.after(seq)
                || !history.shared(history.after(seq)).leaves.contains_key(&place.leaf);
            place.astray |= !fair;
            // Shown something else in the place of a commit, it has no sign of what it missed until the next.
            place.misordered |= !fair && shown.how != How::NoStanza;
            ensure(fair || place.lied_to, || format!("is not where the log leads at {seq}, though nobody lied to it"))?;
        }
        Ok(())
    }

    /// The device tells its app something.
    pub(crate) fn told(&mut self, group: GroupId, device: DeviceNo, event: &Event) -> Outcome {
        if let EventKind::Sent { id, user, device: from, role, time, content } = &event.what {
            ensure(self.ids[device] == (user.clone(), *from), || "has sent as someone else".into())?;
            return self.told_sent(group, device, (*id, *role, *time, event.seq), content);
        }
        let EventKind::Message { id, user, device: from, role, time, content, .. } = &event.what else { return Ok(()) };
        let Some(place) = self.places.get_mut(&(group, device)) else { return broken("tells of a group it is not in") };
        let due = place.due.pop_front();
        ensure(due == Some((event.seq, *id)), || match due {
            None => format!("shows message {id} of entry {}, to which it is not entitled", event.seq),
            Some((seq, _)) => format!("shows entry {} where entry {seq} was due", event.seq),
        })?;
        let Some(history) = self.histories.get(&group) else { return broken("tells of an unknown group") };
        let Some(said) = history.said.get(id) else { return broken("shows a message that nobody wrote") };
        let is_so = said.content == *content && self.ids[said.by] == (user.clone(), *from);
        ensure(is_so, || format!("shows message {id} with another content or author"))?;
        let sealed = history.was_sealed(*id, (*role, *time), user);
        ensure(sealed, || format!("shows message {id} with a role or time that its author and group did not have"))?;
        *place.told.entry(*id).or_default() += 1;
        self.told += 1;
        Ok(())
    }

    /// The device tells its app that a message of its own counts.
    fn told_sent(
        &self,
        group: GroupId,
        device: DeviceNo,
        (id, role, time, seq): (MessageId, Role, Timestamp, u64),
        content: &[u8],
    ) -> Outcome {
        let Some(history) = self.histories.get(&group) else { return broken("tells of an unknown group") };
        let Some(said) = history.said.get(&id) else { return broken("has sent a message that nobody wrote") };
        let is_so = said.by == device && said.content == content;
        ensure(is_so, || format!("has sent message {id} with another content or author"))?;
        let sealed = history.was_sealed(id, (role, time), &self.ids[device].0);
        ensure(sealed, || format!("has sent message {id} with a role or time that it and its group did not have"))?;
        // Who was lied to, or was astray, may know of a later place only; so may who came back after it counted.
        let place = self.places.get(&(group, device));
        let fair = place.is_some_and(|place| !place.flawed && !place.astray && said.counted_at > place.joined);
        ensure(!fair || said.counted_at == seq, || {
            format!("has sent message {id} at {seq}, which counts for the others at {}", said.counted_at)
        })
    }

    /// Whatever was due was told.
    pub(crate) fn nothing_due(&self, group: GroupId, device: DeviceNo) -> Outcome {
        match self.places.get(&(group, device)).and_then(|place| place.due.front()) {
            Some((seq, id)) => broken(format!("has read entry {seq} and does not show its message {id}")),
            None => Ok(()),
        }
    }
}

impl Place {
    fn take(&mut self, history: &History, device: DeviceNo, seq: u64, shown: Shown, users: &[UserUri]) {
        if shown.how == How::Spoilt {
            return;
        }
        match history.entry(shown.entry) {
            Some(Logged::Commit(no)) => {
                let commit = &history.commits[no];
                let next = history.shared(commit.leads_to);
                let sealed_to_us = next.leaves.contains_key(&self.leaf);
                // Whoever made a commit knows what it sealed to itself.
                let readable = shown.how == How::Whole || commit.by == device;
                if commit.base == self.epoch && sealed_to_us && readable {
                    self.epoch = commit.leads_to;
                    self.misordered |= shown.entry != seq;
                    self.read.clear();
                    self.leaving &= !next.sole_owner(&users[device]);
                }
            }
            Some(Logged::Message(no)) => {
                let frame = &history.frames[no];
                if frame.epoch != self.epoch || frame.by == device || !self.read.insert(no) {
                    return;
                }
                let may_post = history.shared(frame.epoch).may_post(&users[frame.by]);
                if let Some(id) = frame.message.filter(|_| may_post && !self.leaving) {
                    self.due.push_back((seq, id));
                }
            }
            Some(Logged::Request | Logged::MadeUp) | None => {}
        }
    }
}
