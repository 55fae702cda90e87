//! The hub, and the bad line to it: posts and answers are lost or late, entries are lost, repeated, reordered and
//! late, devices are cut off, and anyone who can post posts what they like.

use std::collections::BTreeSet;

use convivio::client::Subscription;
use convivio::group::CommitHeader;
use convivio::identity::AppDomain;
use convivio::log::{LogEntry, Post, PostBody, PostId, PostReply};
use convivio::testing::LocalHub;
use convivio::{GroupId, LeafHash, LeafIndex, Timestamp};
use rand::RngExt;
use rand::rngs::StdRng;

use super::history::DeviceNo;

/// How far off its clock a commit may be for the hub, in seconds (`docs/protocol.md`, section 8.3).
const WINDOW: u64 = 3_600;

/// How bad it is, each as a chance between 0 and 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) lose_post: f64,
    pub(crate) lose_reply: f64,
    /// A post is on its way for a while.
    pub(crate) late_post: f64,
    pub(crate) lose_entry: f64,
    pub(crate) repeat: f64,
    pub(crate) reorder: f64,
    pub(crate) cut_short: f64,
    /// The hub shows a device something else than what is in its log, for each entry.
    pub(crate) lie: f64,
    /// Someone posts what no client made, for each step.
    pub(crate) made_up: f64,
}

/// A post on its way.
pub(crate) struct Late {
    pub(crate) lands: u64,
    pub(crate) from: DeviceNo,
    pub(crate) post: Post,
}

pub(crate) struct Network {
    hub: LocalHub,
    taken: BTreeSet<PostId>,
    pub(crate) weather: Weather,
    pub(crate) late: Vec<Late>,
    /// Until which step each device is cut off.
    pub(crate) cut: Vec<u64>,
}

impl Network {
    pub(crate) fn new(weather: Weather, devices: usize) -> Self {
        Self { hub: LocalHub::new(), taken: BTreeSet::new(), weather, late: Vec::new(), cut: vec![0; devices] }
    }

    /// The hub's answer, and where it has appended the post if it has.
    pub(crate) fn post(&mut self, from: &AppDomain, post: &Post, now: Timestamp) -> (PostReply, Option<u64>) {
        // A post that is in the log already is accepted again, however late its author learns of it.
        if !self.taken.contains(&post.id())
            && let PostBody::Commit { commit, .. } = &post.body
            && let Ok(header) = CommitHeader::from_envelope_header(commit.header().bytes())
            && header.time.0.abs_diff(now.0) > WINDOW
        {
            return (PostReply::Refused, None);
        }
        let before = self.hub.seen().len();
        let reply = self.hub.post(from, post);
        if reply == PostReply::Accepted {
            self.taken.insert(post.id());
        }
        (reply, self.hub.seen().get(before).map(|seen| seen.seq))
    }

    /// What the hub has for a device.
    pub(crate) fn fetch(&self, wanted: &[Subscription], packages: &[LeafHash]) -> Vec<LogEntry> {
        let mut entries = self.hub.welcomes(packages);
        entries.extend(wanted.iter().flat_map(|wanted| self.hub.fetch(wanted)));
        entries
    }

    /// One entry of a mailbox.
    pub(crate) fn entry(&self, wanted: Subscription) -> Option<LogEntry> {
        self.hub.fetch(&wanted).into_iter().next().filter(|entry| entry.seq == wanted.next)
    }

    pub(crate) fn reopen(&mut self, group: &GroupId, leaf: LeafIndex) {
        self.hub.reopen(group, leaf);
    }

    /// What of it arrives, and how.
    pub(crate) fn carry(&self, entries: Vec<LogEntry>, rng: &mut StdRng) -> Vec<LogEntry> {
        let weather = self.weather;
        let mut carried = Vec::with_capacity(entries.len());
        for entry in entries {
            if chance(rng, weather.lose_entry) {
                continue;
            }
            if chance(rng, weather.repeat) {
                carried.push(entry.clone());
            }
            carried.push(entry);
        }
        if chance(rng, weather.cut_short) {
            carried.truncate(rng.random_range(0..=carried.len()));
        }
        if chance(rng, weather.reorder) {
            for i in (1..carried.len()).rev() {
                carried.swap(i, rng.random_range(0..=i));
            }
        }
        carried
    }
}

pub(crate) fn chance(rng: &mut StdRng, chance: f64) -> bool {
    chance > 0.0 && rng.random_bool(chance.min(1.0))
}
