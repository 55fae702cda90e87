//! A hub in memory: it orders posts, splits envelopes, notes what it sees, and misbehaves if told to.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::client::{Client, Event, Subscription};
use crate::crypto::sign::{SigningKey, VerifyKey};
use crate::envelope::Envelope;
use crate::error::Result;
use crate::group::CommitHeader;
use crate::identity::AppDomain;
use crate::ids::{GroupId, LeafHash, LeafIndex, Timestamp};
use crate::log::{EntryBody, HubKey, LogEntry, Post, PostBody, PostId, PostReply, Stamp};
use crate::wire::Wire;

/// How often the hub misbehaves, each as a chance between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A post never arrives.
    pub lose_post: f64,
    /// A post arrives, and its answer is lost.
    pub lose_reply: f64,
    /// An entry is missing from what a device fetches; it is there the next time.
    pub lose_entry: f64,
    /// An entry comes twice.
    pub repeat: f64,
    /// The entries of a fetch come in another order.
    pub reorder: f64,
    /// What is fetched ends early; the rest comes the next time.
    pub delay: f64,
}

/// What the hub learned from one entry: sizes and routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The group's id, a random number.
    pub group: GroupId,
    /// Its place in the log.
    pub seq: u64,
    /// The app whose backend posted it.
    pub from: AppDomain,
    /// What kind of thing it was.
    pub kind: SeenKind,
    /// How many bytes.
    pub bytes: usize,
}

/// The kinds of things a hub can tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeenKind {
    /// A message frame.
    Message,
    /// A commit, and what it said about mailboxes.
    Commit {
        /// Apps that got a mailbox.
        added: Vec<AppDomain>,
        /// Mailboxes that ended.
        dropped: usize,
    },
    /// A request to be readmitted, or to be let in.
    Request,
}

/// A hub for any number of groups.
#[derive(Debug)]
pub struct LocalHub {
    groups: BTreeMap<GroupId, GroupLog>,
    seen: Vec<Seen>,
    faults: Faults,
    rng: StdRng,
    key: HubKey,
    now: Timestamp,
}

#[derive(Debug, Default)]
struct GroupLog {
    last_commit: u64,
    entries: Vec<PostBody>,
    /// When each of them came.
    received: Vec<Timestamp>,
    /// For each leaf, the first entry it gets and, once it is dropped, the last.
    mailboxes: BTreeMap<LeafIndex, (u64, Option<u64>)>,
    accepted: BTreeMap<PostId, u64>,
}

impl Default for LocalHub {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalHub {
    /// A hub that behaves.
    #[must_use]
    pub fn new() -> Self {
        Self::with_faults(Faults::default(), 0)
    }

    /// A hub that misbehaves, the same way for the same seed.
    #[must_use]
    pub fn with_faults(faults: Faults, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let key = HubKey::new(SigningKey::generate(&mut StdRng::seed_from_u64(!seed)));
        Self { groups: BTreeMap::new(), seen: Vec::new(), faults, rng, key, now: Timestamp::default() }
    }

    /// Sets the clock by which the hub says when it got a message. It starts at 0 and stands still.
    pub const fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// What verifies this hub's stamps.
    #[must_use]
    pub const fn public_key(&self) -> &VerifyKey {
        self.key.public()
    }

    /// Says when an entry came, if it is a message.
    #[must_use]
    pub fn stamp(&self, group: &GroupId, seq: u64) -> Option<Stamp> {
        let log = self.groups.get(group)?;
        let (PostBody::Message(frame), received) = log.stored(seq)? else { return None };
        let entry = LogEntry { group: *group, seq, body: EntryBody::Message(frame.clone()) };
        self.key.stamp(&entry, received).ok()
    }

    /// Changes how the hub misbehaves.
    pub const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// What the hub has learned.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Takes a post from an app's backend: appends it, or says why not. A post that is there already is accepted again.
    pub fn post(&mut self, from: &AppDomain, post: &Post) -> PostReply {
        let id = post.id();
        if let PostBody::Create { leaf, .. } = &post.body {
            let log = self.groups.entry(post.group).or_default();
            if log.mailboxes.is_empty() {
                log.mailboxes.insert(*leaf, (1, None));
                log.accepted.insert(id, 0);
            }
            return if log.accepted.contains_key(&id) { PostReply::Accepted } else { PostReply::Refused };
        }
        let Some(log) = self.groups.get_mut(&post.group) else { return PostReply::Refused };
        if log.accepted.contains_key(&id) {
            return PostReply::Accepted;
        }
        let ordered = !matches!(post.body, PostBody::Request(_));
        if ordered && post.after != log.last_commit {
            return PostReply::Behind;
        }
        let Some(kind) = log.append(post) else { return PostReply::Refused };
        log.received.push(self.now);
        let seq = log.entries.len() as u64;
        log.accepted.insert(id, seq);
        self.seen.push(Seen { group: post.group, seq, from: from.clone(), kind, bytes: post.to_bytes().len() });
        PostReply::Accepted
    }

    /// A mailbox's entries from the wanted one on, without misbehaviour.
    #[must_use]
    pub fn fetch(&self, wanted: &Subscription) -> Vec<LogEntry> {
        let Some(log) = self.groups.get(&wanted.group) else { return Vec::new() };
        let Some((first, last)) = log.mailboxes.get(&wanted.leaf) else { return Vec::new() };
        let range = wanted.next.max(*first)..=last.unwrap_or(log.entries.len() as u64);
        range.filter_map(|seq| log.entry(wanted.group, seq, wanted.leaf)).collect()
    }

    /// The welcomes for these key packages.
    #[must_use]
    pub fn welcomes(&self, packages: &[LeafHash]) -> Vec<LogEntry> {
        let all = self.groups.iter().flat_map(|(group, log)| log.welcomes(*group, packages));
        all.collect()
    }

    /// Puts back a mailbox that a commit has closed. The hub cannot tell a void commit from a valid one; the app of the
    /// member that it claims to drop can (`docs/protocol.md`, section 8.3).
    pub fn reopen(&mut self, group: &GroupId, leaf: LeafIndex) {
        if let Some((_, last)) = self.groups.get_mut(group).and_then(|log| log.mailboxes.get_mut(&leaf)) {
            *last = None;
        }
    }

    /// Posts what a client has to post and gives it what it has not read, until neither has anything left to do.
    ///
    /// With faults it may stop earlier; call it again.
    pub fn sync(&mut self, client: &mut Client) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let posted = self.post_outbox(client)?;
            let entries = self.deliver(client)?;
            if posted == 0 && entries.is_empty() {
                return Ok(events);
            }
            let before = client.subscriptions()?;
            let (new, _) = client.receive(&entries)?;
            let moved = client.subscriptions()? != before;
            events.extend(new);
            if posted == 0 && !moved {
                return Ok(events);
            }
        }
    }

    /// Posts a client's outbox; how many posts were accepted.
    pub fn post_outbox(&mut self, client: &mut Client) -> Result<usize> {
        let from = client.identity()?.user().domain().clone();
        let mut accepted = 0;
        for post in client.outbox(usize::MAX)? {
            if self.chance(self.faults.lose_post) {
                // What comes later must not overtake it.
                break;
            }
            let reply = self.post(&from, &post);
            if self.chance(self.faults.lose_reply) {
                continue;
            }
            accepted += usize::from(reply == PostReply::Accepted);
            client.posted(&post, reply)?;
        }
        Ok(accepted)
    }

    /// What a client would fetch now, with the hub's misbehaviour.
    pub fn deliver(&mut self, client: &mut Client) -> Result<Vec<LogEntry>> {
        let mut entries = self.welcomes(&client.package_ids()?);
        for wanted in client.subscriptions()? {
            entries.extend(self.fetch(&wanted));
        }
        let mut delivered: Vec<LogEntry> = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.chance(self.faults.lose_entry) {
                continue;
            }
            if self.chance(self.faults.repeat) {
                delivered.push(entry.clone());
            }
            delivered.push(entry);
        }
        if self.chance(self.faults.delay) {
            let keep = self.rng.random_range(0..=delivered.len());
            delivered.truncate(keep);
        }
        if self.chance(self.faults.reorder) {
            for i in (1..delivered.len()).rev() {
                delivered.swap(i, self.rng.random_range(0..=i));
            }
        }
        Ok(delivered)
    }

    fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.random_bool(chance.min(1.0))
    }
}

impl GroupLog {
    /// Appends what is well-formed on the outside; a hub can check no more.
    fn append(&mut self, post: &Post) -> Option<SeenKind> {
        let seq = (self.entries.len() as u64).saturating_add(1);
        let kind = match &post.body {
            PostBody::Create { .. } => return None,
            PostBody::Message(_) => SeenKind::Message,
            PostBody::Request(_) => SeenKind::Request,
            PostBody::Commit { commit, .. } => {
                let header = CommitHeader::from_envelope_header(commit.header().bytes()).ok()?;
                for leaf in &header.mailboxes.drop {
                    if let Some((_, last)) = self.mailboxes.get_mut(leaf) {
                        *last = Some(seq);
                    }
                }
                for (leaf, _) in &header.mailboxes.add {
                    // The welcome brings this entry; what follows comes through the mailbox. One that is open stays open
                    // from where it was: a void commit may name the leaf of a member.
                    let (_, last) = self.mailboxes.entry(*leaf).or_insert((seq.saturating_add(1), None));
                    *last = None;
                }
                self.last_commit = seq;
                SeenKind::Commit {
                    added: header.mailboxes.add.into_iter().map(|(_, domain)| domain).collect(),
                    dropped: header.mailboxes.drop.len(),
                }
            }
        };
        self.entries.push(post.body.clone());
        Some(kind)
    }

    fn stored(&self, seq: u64) -> Option<(&PostBody, Timestamp)> {
        let at = usize::try_from(seq.checked_sub(1)?).ok()?;
        Some((self.entries.get(at)?, *self.received.get(at)?))
    }

    fn entry(&self, group: GroupId, seq: u64, leaf: LeafIndex) -> Option<LogEntry> {
        let body = match self.stored(seq)?.0 {
            PostBody::Create { .. } => return None,
            PostBody::Message(frame) => EntryBody::Message(frame.clone()),
            // One stanza for all: whoever was a member in the epoch it names holds its key.
            PostBody::Request(request) => {
                EntryBody::Request(request.stanzas().first().and_then(|all| request.split(all.recipient())))
            }
            PostBody::Commit { commit, .. } => EntryBody::Commit {
                header: commit.header().bytes().to_vec(),
                stanza: commit.split(&leaf.encode()).map(|own| own.stanza().to_vec()),
                body: commit.body().to_vec(),
            },
        };
        Some(LogEntry { group, seq, body })
    }

    fn welcomes(&self, group: GroupId, packages: &[LeafHash]) -> Vec<LogEntry> {
        let mut found = Vec::new();
        for (seq, body) in (1..).zip(&self.entries) {
            let PostBody::Commit { commit, welcome: Some(welcome) } = body else { continue };
            found.extend(
                packages.iter().filter_map(|package| {
                    Some(LogEntry { group, seq, body: welcome_entry(commit, welcome, package)? })
                }),
            );
        }
        found
    }
}

fn welcome_entry(commit: &Envelope, welcome: &Envelope, package: &LeafHash) -> Option<EntryBody> {
    Some(EntryBody::Welcome {
        commit_header: commit.header().bytes().to_vec(),
        commit_body: commit.body().to_vec(),
        package: *package,
        welcome: welcome.split(package.as_bytes())?,
    })
}
