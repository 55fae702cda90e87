//! A hub that keeps all it was ever given and shows each device what it likes: every device has a log of its own here.

use convivio::client::Summary;
use convivio::envelope::Envelope;
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::{GroupId, LeafIndex};

use crate::support::{Device, World};

/// The hub of one group.
pub struct Hub {
    group: GroupId,
    /// Everything that was ever posted here.
    pub kept: Vec<Post>,
}

impl Hub {
    /// Takes over a group, wherever its members are in its log.
    pub const fn of(group: GroupId) -> Self {
        Self { group, kept: Vec::new() }
    }

    /// Takes what a device has to post for this group, keeps it, and says that it is in the log.
    pub fn collect(&mut self, from: &mut Device) -> Vec<Post> {
        let posts: Vec<Post> = from.outbox().into_iter().filter(|post| post.group == self.group).collect();
        for post in &posts {
            from.client.posted(post, PostReply::Accepted).unwrap();
        }
        self.kept.extend(posts.clone());
        posts
    }

    /// The first post only, so that what comes after a commit is encrypted in its epoch.
    pub fn collect_one(&mut self, from: &mut Device) -> Option<Post> {
        let post = from.outbox().into_iter().find(|post| post.group == self.group)?;
        from.client.posted(&post, PostReply::Accepted).unwrap();
        self.kept.push(post.clone());
        Some(post)
    }

    /// Shows a device anything as the next entry of its log.
    pub fn show(&self, to: &mut Device, body: EntryBody) -> Summary {
        let seq = to.client.group(&self.group).unwrap().next_entry();
        to.receive(&[LogEntry { group: self.group, seq, body }])
    }

    /// Shows a device a post as an honest hub would: its own stanza, or its welcome.
    pub fn show_post(&self, to: &mut Device, post: &Post) {
        if to.client.group(&self.group).is_ok() {
            let leaf = to.client.group(&self.group).unwrap().own_index();
            self.show(to, entry(post, leaf));
        } else if let PostBody::Commit { commit, welcome: Some(welcome) } = &post.body {
            self.show_welcome(to, commit, welcome);
        }
    }

    /// Shows a device a commit together with a welcome to one of its key packages, if there is one.
    pub fn show_welcome(&self, to: &mut Device, commit: &Envelope, welcome: &Envelope) {
        for package in to.client.package_ids().unwrap() {
            let Some(part) = welcome.split(package.as_bytes()) else { continue };
            let (commit_header, commit_body) = (commit.header().bytes().to_vec(), commit.body().to_vec());
            let body = EntryBody::Welcome { commit_header, commit_body, package, welcome: part };
            to.receive(&[LogEntry { group: self.group, seq: 1, body }]);
        }
    }

    /// Behaves, until nobody has anything left to post: everyone sees everything in one order.
    pub fn calm(&mut self, devices: &mut [&mut Device]) {
        for _ in 0..100 {
            let post = devices.iter_mut().find_map(|device| self.collect_one(device));
            let Some(post) = post else { return };
            devices.iter_mut().for_each(|device| self.show_post(device, &post));
        }
        panic!("no end of posts");
    }
}

/// A post as an honest hub shows it to this leaf.
pub fn entry(post: &Post, leaf: LeafIndex) -> EntryBody {
    match &post.body {
        PostBody::Create { .. } => EntryBody::Message(Vec::new()),
        PostBody::Message(frame) => EntryBody::Message(frame.clone()),
        PostBody::Request(request) => {
            EntryBody::Request(request.stanzas().first().and_then(|all| request.split(all.recipient())))
        }
        PostBody::Commit { commit, .. } => EntryBody::Commit {
            header: commit.header().bytes().to_vec(),
            stanza: commit.split(&super::commit::encode_leaf(leaf.0)).map(|part| part.stanza().to_vec()),
            body: commit.body().to_vec(),
        },
    }
}

/// Header, stanza and body of a commit, to be mixed.
pub fn parts(commit: &EntryBody) -> (Vec<u8>, Option<Vec<u8>>, Vec<u8>) {
    let EntryBody::Commit { header, stanza, body } = commit else { panic!("not a commit") };
    (header.clone(), stanza.clone(), body.clone())
}

/// The commit and the welcome of a post.
pub fn commit_of(post: &Post) -> (&Envelope, Option<&Envelope>) {
    let PostBody::Commit { commit, welcome } = &post.body else { panic!("not a commit: {post:?}") };
    (commit, welcome.as_ref())
}

/// The frame of a post.
pub fn frame_of(post: &Post) -> &[u8] {
    let PostBody::Message(frame) = &post.body else { panic!("not a message: {post:?}") };
    frame
}

/// The same bytes with one bit changed.
pub fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn a_hub_can_show_each_its_own_log_and_behave() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let id = world.group(&mut maria, &mut [&mut bob]);
    let mut hub = Hub::of(id);
    maria.say(&id, "one");
    maria.say(&id, "two");
    let posts = hub.collect(&mut maria);
    // In another order for Bob, and never for Maria herself.
    for post in posts.iter().rev() {
        hub.show_post(&mut bob, post);
    }
    let heard: Vec<String> = bob.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["two", "one"]);
    for post in &posts {
        hub.show_post(&mut maria, post);
    }
    bob.client.change(&id, convivio::client::Change::Heal).unwrap();
    bob.say(&id, "three");
    hub.calm(&mut [&mut maria, &mut bob]);
    crate::support::agree(&id, &mut [&mut maria, &mut bob]);
    assert_eq!(hub.kept.len(), 4);
    assert_eq!(maria.heard(), [("bob".to_owned(), "three".to_owned())]);
    assert_eq!(flipped(&[0, 0], 9), [0, 2]);
}

#[test]
fn a_thief_reads_what_is_in_the_store_and_no_more() {
    use super::{Insider, Thief};
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let id = world.group(&mut maria, &mut [&mut bob]);
    let thief = Thief::of(&bob);
    let epoch = Insider::from_loot(&thief, &id).epoch();
    let mut hub = Hub::of(id);
    maria.say(&id, "after the theft");
    let post = hub.collect(&mut maria).remove(0);
    assert!(thief.reads(&epoch, frame_of(&post)).unwrap().ends_with(b"after the theft"));
    hub.show_post(&mut bob, &post);
    assert_eq!(Thief::of(&bob).reads(&epoch, frame_of(&post)), None, "its key is gone");
    maria.client.change(&id, convivio::client::Change::Heal).unwrap();
    let commit = hub.collect(&mut maria).remove(0);
    let (header, stanza, _) = parts(&entry(&commit, LeafIndex(1)));
    assert!(thief.opens((&header, &[1]), &stanza.unwrap()).is_some());
    // Its own key packages open welcomes.
    let mut carol = world.device("carol");
    let package = carol.package();
    assert_eq!(Thief::of(&carol).packages()[0].package, package.to_bytes());
    assert!(thief.device().1.is_some());
    let less = thief.without_device_key();
    assert!(less.device().1.is_none());
    assert!(convivio::Client::open(less.disk()).is_err(), "nobody can act as the device");
}
