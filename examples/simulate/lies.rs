//! A hub that lies, and strangers who post.

use convivio::client::Subscription;
use convivio::envelope::{Draft, Envelope, EnvelopeType, Recipient};
use convivio::log::{EntryBody, LogEntry, Post, PostBody};
use convivio::{GroupId, LeafIndex, SealSecret, SigningKey, Suite};
use rand::{Rng, RngExt};

use super::history::{DeviceNo, Logged};
use super::ledger::{How, Shown};
use super::network::chance;
use super::outcome::{Outcome, broken};
use super::world::{Lies, World, short};

impl World {
    /// Alters some of what a device is about to read; what exactly is for the ledger to know.
    pub(crate) fn lie(&mut self, d: DeviceNo, entries: &mut [LogEntry]) -> Outcome<Lies> {
        let mut lies = Lies::new();
        if self.network.weather.lie == 0.0 {
            return Ok(lies);
        }
        let mut places: Vec<(GroupId, u64)> = entries.iter().map(|entry| (entry.group, entry.seq)).collect();
        places.sort_unstable();
        places.dedup();
        for (group, seq) in places {
            let Some(place) = self.ledger.places.get(&(group, d)) else { continue };
            if seq < place.next || !chance(&mut self.rng, self.network.weather.lie) || !self.may_mislead(group, d, seq)
            {
                continue;
            }
            let Some(honest) = entries.iter().find(|entry| entry.group == group && entry.seq == seq && in_log(entry))
            else {
                continue;
            };
            let (lie, shown) = self.lie_about(honest.clone(), place.leaf)?;
            for entry in entries.iter_mut().filter(|entry| entry.group == group && entry.seq == seq && in_log(entry)) {
                *entry = lie.clone();
            }
            lies.entry(group).or_default().insert(seq, shown);
            self.tainted.insert(group);
            self.counts.lies += 1;
            let name = self.devices[d].name.clone();
            self.note(format_args!("the hub lies to {name} about entry {seq} of {}: {shown:?}", short(group)));
        }
        Ok(lies)
    }

    /// One device at a time is led astray, and who was shut out alone is let in again by the others.
    fn may_mislead(&self, group: GroupId, d: DeviceNo, seq: u64) -> bool {
        let Some(history) = self.ledger.histories.get(&group) else { return false };
        // Whoever is alone in an epoch has nobody to let it in again.
        let Some(place) = self.ledger.places.get(&(group, d)) else { return false };
        if history.shared(place.epoch).leaves.len() < 2 {
            return false;
        }
        let alone = !self.ledger.places.iter().any(|((of, who), place)| *of == group && *who != d && place.astray);
        match history.entry(seq) {
            Some(Logged::Commit(_)) => alone,
            // Whose leave is kept from all others waits for good.
            Some(Logged::Message(no)) => history.frames[no].message.is_some(),
            _ => true,
        }
    }

    fn lie_about(&mut self, honest: LogEntry, leaf: LeafIndex) -> Outcome<(LogEntry, Shown)> {
        let (group, seq) = (honest.group, honest.seq);
        let spoilt = Shown { entry: seq, how: How::Spoilt };
        let choice = self.rng.random_range(0..6);
        if choice == 0 {
            return Ok((LogEntry { body: EntryBody::Request(None), ..honest }, spoilt));
        }
        if choice == 1 && seq > 1 {
            let next = self.rng.random_range(seq.saturating_sub(8).max(1)..seq);
            if let Some(old) = self.network.entry(Subscription { group, leaf, next }) {
                return Ok((LogEntry { seq, ..old }, Shown { entry: next, how: How::Whole }));
            }
        }
        let body = match honest.body {
            EntryBody::Commit { header, body, .. } if choice < 4 => {
                let lie = EntryBody::Commit { header, stanza: None, body };
                return Ok((LogEntry { group, seq, body: lie }, Shown { entry: seq, how: How::NoStanza }));
            }
            EntryBody::Commit { header, stanza: Some(stanza), body } if choice == 4 => {
                let lie = EntryBody::Commit { header, stanza: Some(self.flipped(stanza)), body };
                return Ok((LogEntry { group, seq, body: lie }, Shown { entry: seq, how: How::NoStanza }));
            }
            EntryBody::Commit { header, stanza, body } => {
                if self.rng.random() {
                    EntryBody::Commit { header: self.flipped(header), stanza, body }
                } else {
                    EntryBody::Commit { header, stanza, body: self.flipped(body) }
                }
            }
            EntryBody::Message(frame) => EntryBody::Message(self.flipped(frame)),
            EntryBody::Request(_) => EntryBody::Request(None),
            EntryBody::Welcome { .. } => return broken("a welcome is not part of a mailbox"),
        };
        Ok((LogEntry { group, seq, body }, spoilt))
    }

    fn flipped(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let at = self.rng.random_range(0..bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << self.rng.random_range(0..8);
        }
        bytes
    }

    /// Someone who is in no group posts to one: a commit or frame of this epoch or a later one that is nobody's, or noise.
    pub(crate) fn make_up(&mut self, group: GroupId) -> Outcome {
        let Some(history) = self.ledger.histories.get(&group) else { return Ok(()) };
        let shared = history.shared(history.now()).clone();
        let epoch = shared.number + self.rng.random_range(0..3);
        let leaf = shared.leaves.keys().next_back().copied().unwrap_or_default();
        let body = match self.rng.random_range(0..4) {
            0 => PostBody::Message(self.noise(200)),
            1 => PostBody::Message(self.frame_of_nobody(group, epoch)),
            _ => {
                let dropped: Vec<LeafIndex> =
                    shared.leaves.keys().copied().filter(|_| self.rng.random_bool(0.2)).collect();
                let drops = if self.rng.random_bool(0.3) { dropped } else { Vec::new() };
                let recipient = if self.rng.random() { leaf } else { LeafIndex(900) };
                PostBody::Commit { commit: self.commit_of_nobody((group, epoch), recipient, &drops)?, welcome: None }
            }
        };
        let after = self.last_commit.get(&group).copied().unwrap_or_default();
        let domain = self.apps[0].domain().clone();
        let (reply, seq) = self.append(&domain, &Post { group, after, body })?;
        if let Some(seq) = seq {
            self.counts.made_up += 1;
            self.note(format_args!("someone posts a forgery to {} as entry {seq}", short(group)));
            return Ok(());
        }
        broken(format!("the hub does not take a stranger's post: {reply:?}"))
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn frame_of_nobody(&mut self, group: GroupId, epoch: u64) -> Vec<u8> {
        let mut frame = self.noise(200);
        frame[0] = 0x11;
        frame[1..17].copy_from_slice(group.as_bytes());
        frame[17..21].copy_from_slice(&u32::try_from(epoch).unwrap_or_default().to_be_bytes());
        frame
    }

    fn commit_of_nobody(
        &mut self,
        (group, epoch): (GroupId, u64),
        recipient: LeafIndex,
        drops: &[LeafIndex],
    ) -> Outcome<Envelope> {
        let header = clear_header(group, epoch, self.clock.now().0, drops);
        let (key, seal) = (SigningKey::generate(&mut self.rng), SealSecret::generate(&mut self.rng));
        let id = minicbor::to_vec(recipient.0).unwrap_or_default();
        let recipients = [Recipient::X25519 { id, key: seal.public() }];
        let draft = Draft::new(EnvelopeType::Commit, Suite::One, header, &mut self.rng);
        let sealed = draft.and_then(|draft| draft.sign(vec![0], None, b"nothing", &key)?.seal(&recipients, &[0; 32]));
        sealed.or_else(|error| broken(format!("a forgery cannot be made: {error}")))
    }
}

fn in_log(entry: &LogEntry) -> bool {
    !matches!(entry.body, EntryBody::Welcome { .. })
}

/// A commit header (`docs/protocol.md`, section 5.3).
fn clear_header(group: GroupId, epoch: u64, time: u64, drops: &[LeafIndex]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut e = minicbor::Encoder::new(&mut bytes);
    let written = (|| {
        e.array(6)?.bytes(group.as_bytes())?.u64(epoch)?.u64(time)?.bytes(&[7; 32])?.array(0)?;
        e.array(drops.len() as u64)?;
        drops.iter().try_for_each(|leaf| e.u32(leaf.0).map(drop))
    })();
    match written {
        Ok(()) => bytes,
        Err::<(), minicbor::encode::Error<core::convert::Infallible>>(_) => Vec::new(),
    }
}
