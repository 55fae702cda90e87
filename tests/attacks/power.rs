//! Row 11: the power goes at any write, and the hub shows everything again. `tests/crashes.rs` has the same for three
//! devices and a hub that behaves.

use std::collections::BTreeMap;

use convivio::client::{Answer, Change, Status};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::{GroupId, LeafIndex, Result};

use crate::kit::hub::{commit_of, entry};
use crate::kit::ratchet::{Epoch, Place};
use crate::kit::{Hub, Insider};
use crate::support::{Device, World, agree};

/// Maria and Bob; Bob's power may go.
struct Story {
    maria: Device,
    bob: Device,
    id: GroupId,
    /// Everything that was in the log, which a hub can show again.
    log: Vec<Post>,
    /// Every frame that Bob's device ever gave away, and the epochs to read them in.
    frames: Vec<Vec<u8>>,
    epochs: Vec<Epoch>,
    crashes: usize,
}

impl Story {
    fn new() -> Self {
        let mut world = World::new();
        let (mut maria, bob) = (world.device("maria"), world.device_of(1, "bob"));
        let id = world.group(&mut maria, &mut []);
        Self { maria, bob, id, log: Vec::new(), frames: Vec::new(), epochs: Vec::new(), crashes: 0 }
    }

    /// Does it until it is done. If the power goes, Bob starts again and is shown everything he has had.
    fn insist<T>(&mut self, mut act: impl FnMut(&mut Device) -> Result<T>) -> T {
        loop {
            let failure = match act(&mut self.bob) {
                Ok(done) => return done,
                Err(failure) => failure,
            };
            assert!(self.bob.disk.power_on(), "{failure}");
            self.crashes += 1;
            self.bob.restart();
            if self.bob.client.group(&self.id).is_ok_and(|view| view.status() == Status::Active) {
                let hub = Hub::of(self.id);
                self.log.iter().for_each(|post| {
                    hub.show_post(&mut self.bob, post);
                });
            }
        }
    }

    /// Bob gets these entries, in one go.
    fn receive(&mut self, posts: &[Post]) {
        let id = self.id;
        self.insist(|bob| {
            let first = bob.client.group(&id)?.next_entry();
            let numbered = (first..).zip(posts);
            let entries: Vec<LogEntry> =
                numbered.map(|(seq, post)| LogEntry { group: id, seq, body: entry(post, LeafIndex(1)) }).collect();
            bob.client.receive(&entries).map(drop)
        });
        self.insist(|bob| {
            // Taken over first, each once, and then acknowledged.
            let taken = bob.events.last().map(|event| event.id);
            bob.events.extend(bob.client.inbox(usize::MAX)?.into_iter().filter(|event| Some(event.id) > taken));
            bob.events.last().map_or(Ok(()), |last| bob.client.ack(last.id))
        });
        self.log.extend_from_slice(posts);
    }

    /// Bob says it, unless a crash came after it was stored.
    fn say(&mut self, text: &str) {
        let (id, before) = (self.id, self.bob.queued(&self.id));
        self.insist(
            |bob| if bob.queued(&id) == before { bob.client.send(&id, text.as_bytes()).map(drop) } else { Ok(()) },
        );
    }

    fn change(&mut self, change: &Change) {
        let (id, before) = (self.id, self.bob.queued(&self.id));
        self.insist(
            |bob| if bob.queued(&id) == before { bob.client.change(&id, change.clone()).map(drop) } else { Ok(()) },
        );
    }

    /// Bob's outbox goes to the hub, which puts it into the log for Maria; the answers may reach nobody.
    fn post(&mut self) -> Vec<Post> {
        let posts = self.insist(|bob| bob.client.outbox(usize::MAX));
        for post in &posts {
            if let PostBody::Message(frame) = &post.body {
                self.frames.push(frame.clone());
            }
            self.insist(|bob| bob.client.posted(post, PostReply::Accepted));
            Hub::of(self.id).show_post(&mut self.maria, post);
        }
        posts
    }

    fn enters_epoch(&mut self) {
        self.epochs.push(Insider::of(&self.maria, &self.id).epoch());
    }

    /// No place of a chain was used for two different frames, in any epoch.
    fn no_key_twice(&self) {
        let mut used = BTreeMap::<(u64, Place), &[u8]>::new();
        for frame in &self.frames {
            let low = u64::from(u32::from_be_bytes(frame[17..21].try_into().unwrap()));
            let epoch = self.epochs.iter().find(|epoch| epoch.epoch == low).unwrap();
            let before = used.insert((low, epoch.unmask(frame)), frame);
            assert!(before.is_none_or(|before| before == frame.as_slice()), "one place, two frames");
        }
    }
}

/// Bob publishes a package, is invited, accepts, reads, writes, heals, and reads what came of it.
fn play(cut: Option<(u64, bool)>) -> (usize, u64) {
    let mut story = Story::new();
    if let Some((writes, after)) = cut {
        story.bob.disk.cut_power(writes, after);
    }
    let id = story.id;
    let package = story.insist(|bob| bob.client.key_packages(1)).remove(0);
    let package = convivio::identity::UnverifiedKeyPackage::try_from(&package).unwrap();
    story.maria.client.change(&id, Change::Add(vec![package.clone()])).unwrap();
    let mut hub = Hub::of(id);
    let add = hub.collect(&mut story.maria).remove(0);
    hub.show_post(&mut story.maria, &add);
    let (commit, welcome) = commit_of(&add);
    let part = welcome.unwrap().split(package.id().as_bytes()).unwrap();
    let (commit_header, commit_body) = (commit.header().bytes().to_vec(), commit.body().to_vec());
    let body = EntryBody::Welcome { commit_header, commit_body, package: package.id(), welcome: part };
    let invitation = [LogEntry { group: id, seq: 1, body }];
    story.insist(|bob| bob.client.receive(&invitation).map(drop));
    story
        .insist(|bob| if bob.status(&id) == Status::Invited { bob.client.answer(&id, Answer::Accept) } else { Ok(()) });
    story.enters_epoch();
    for n in 0..3 {
        story.maria.say(&id, &format!("from maria, {n}"));
    }
    let posts = hub.collect(&mut story.maria);
    posts.iter().for_each(|post| hub.show_post(&mut story.maria, post));
    story.receive(&posts);
    for n in 0..2 {
        story.say(&format!("from bob, {n}"));
    }
    let posts = story.post();
    story.receive(&posts);
    story.say("from bob, the last");
    story.change(&Change::Heal);
    let posts = story.post();
    story.enters_epoch();
    story.receive(&posts);
    story.say("from bob, anew");
    let posts = story.post();
    story.receive(&posts);
    story.no_key_twice();
    let mut heard: Vec<String> = story.maria.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["from bob, 0", "from bob, 1", "from bob, the last", "from bob, anew"], "{cut:?}");
    heard = story.bob.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["from maria, 0", "from maria, 1", "from maria, 2"], "{cut:?}");
    agree(&id, &mut [&mut story.maria, &mut story.bob]);
    let version = story.bob.disk.records()[&vec![0]].clone();
    (story.crashes, u64::from_be_bytes(version.try_into().unwrap()))
}

#[test]
fn row_11_power_loss_at_each_write_while_the_hub_shows_everything_again() {
    let (_, writes) = play(None);
    assert!(writes > 15, "the story has {writes} writes");
    for after in [false, true] {
        for nth in 0..writes - 1 {
            assert_eq!(play(Some((nth, after))).0, 1, "write {nth} came");
        }
    }
}
