//! Row 4: someone who was removed, has kept everything, and is given everything that the hub has.

use convivio::LeafIndex;
use convivio::client::{Change, Status};
use convivio::log::{EntryBody, Post, PostBody};

use crate::kit::hub::{commit_of, entry, frame_of};
use crate::kit::ratchet::{Epoch, Place};
use crate::kit::scene::{ANNA, BOB, COUNTED, MALLORY, MARIA, changed, copy_of, void};
use crate::kit::state::EpochKeys;
use crate::kit::{Insider, Scene, Thief};
use crate::support::DAY;

/// Mallory is out. What it has kept: its store from before, its secrets, and what was posted since.
struct Removal {
    scene: Scene,
    before: Thief,
    insider: Insider,
    removal: Post,
}

fn removed() -> Removal {
    let mut scene = Scene::new();
    let (before, insider) = (Thief::of(&scene.mallory), scene.insider());
    scene.maria.client.change(&scene.id, Change::Remove(scene.mallory.user.clone())).unwrap();
    let removal = scene.hub.collect(&mut scene.maria).remove(0);
    scene.show_all(&removal);
    assert_eq!(scene.mallory.status(&scene.id), Status::Removed);
    Removal { scene, before, insider, removal }
}

#[test]
fn row_04_a_removed_member_keeping_all_old_state_and_all_traffic_reads_nothing_after_removal() {
    let Removal { mut scene, before, insider, removal } = removed();
    let after = Thief::of(&scene.mallory);
    let mut frames = Vec::new();
    for _ in 0..3 {
        let epoch = Insider::of(&scene.maria, &scene.id).epoch();
        let (Scene { hub, id, maria, bob, anna, .. }, from) = (&mut scene, frames.len());
        let kept = hub.kept.len();
        for device in [&mut *maria, &mut *bob, &mut *anna] {
            device.say(id, "without Mallory");
        }
        hub.calm(&mut [&mut *maria, &mut *bob, &mut *anna]);
        frames.extend(hub.kept[kept..].iter().map(|post| (epoch, frame_of(post).to_vec())));
        assert_eq!(frames.len(), from + 3);
        anna.client.change(id, Change::Heal).unwrap();
        hub.calm(&mut [maria, bob, anna]);
    }
    assert_eq!(scene.bob.heard().len(), 6);
    for (epoch, frame) in &frames {
        for loot in [&before, &after] {
            assert_eq!(loot.reads(epoch, frame), None);
        }
        assert_eq!(insider.reads(frame), None);
    }
    // Every stanza of every commit, with every key; and the group pillar with every stanza in the place of its own.
    let commits: Vec<&Post> =
        scene.hub.kept.iter().filter(|post| matches!(post.body, PostBody::Commit { .. })).collect();
    assert_eq!(commits.len(), 4);
    for post in commits {
        let commit = commit_of(post).0;
        for stanza in commit.stanzas() {
            let place = (commit.header().bytes(), stanza.recipient());
            assert!([&before, &after].iter().all(|loot| loot.opens(place, stanza.bytes()).is_none()));
        }
    }
    let (header, body) = (commit_of(&removal).0.header(), commit_of(&removal).0.body());
    for leaf in [MARIA, BOB, ANNA] {
        let stanza = commit_of(&removal).0.split(&[leaf as u8]).unwrap().stanza().to_vec();
        let part = convivio::envelope::EnvelopeFor::new(header.clone(), stanza, body.to_vec()).unwrap();
        assert!(insider.group().process(&part, None).is_err());
    }
    // Its own init secret leads nowhere without the seed.
    let state = Thief::of(&scene.maria).state(&scene.id);
    let guess = EpochKeys::of(&insider.keys.init, &state);
    assert_ne!(guess.authenticator, Insider::of(&scene.maria, &scene.id).keys.authenticator);
}

#[test]
fn row_04_a_removed_member_keeping_all_old_state_and_all_traffic_posts_nothing_after_removal() {
    let Removal { mut scene, mut insider, removal, .. } = removed();
    let messages = [insider.say(b"I never left"), insider.say(b"nor shall I")];
    let friend = scene.world.device("friend").package();
    let old_commits = [insider.plan(Vec::new()).seal(), insider.adding(&friend).seal()];
    // The same, dressed for the present epoch: the public state is known to it, the secrets are the old ones.
    let present = Thief::of(&scene.maria).state(&scene.id);
    let epoch = Epoch { epoch: present.epoch, context_hash: present.context_hash(), ..insider.epoch() };
    let dressed = [MALLORY, BOB].map(|leaf| {
        let (key, carried) = (insider.message_key(insider.next_place(leaf)).unwrap(), b"\x82\x40\x40");
        epoch.frame(Place { leaf, generation: 0 }, &key, (&insider.keys.signing, carried), [1; 32])
    });
    let own_leaf = insider.state.leaf(MALLORY).unwrap().to_vec();
    insider.state = present;
    insider.state.set_leaf(MALLORY, own_leaf);
    let mut new_commits = [insider.plan(Vec::new()), insider.adding(&friend), insider.plan(Vec::new())];
    new_commits[2].sender = BOB;
    let new_commits = new_commits.map(|plan| plan.seal());
    let Scene { hub, id, maria, bob, anna, .. } = &mut scene;
    let epoch = maria.epoch(id);
    for (leaf, device) in [(MARIA, &mut *maria), (BOB, &mut *bob), (ANNA, &mut *anna)] {
        let before = device.disk.records();
        for frame in messages.iter().chain(&dressed) {
            void(hub, device, EntryBody::Message(frame.clone()));
        }
        for forged in old_commits.iter().chain(&new_commits) {
            void(hub, device, forged.entry(leaf));
        }
        void(hub, device, entry(&removal, LeafIndex(leaf)));
        let tags = changed(&before, &device.disk.records());
        assert!(tags.iter().all(|tag| COUNTED.contains(tag)));
        assert_eq!((device.epoch(id), device.heard()), (epoch, vec![]));
    }
    scene.goes_on();
}

/// What it wrote while it was in, and the hub shows after the removal, is void for all alike; before it, heard by all.
#[test]
fn row_04_a_removed_member_posts_with_the_hubs_help_what_it_wrote_before_removal() {
    for before in [true, false] {
        let mut scene = Scene::new();
        scene.mallory.say(&scene.id, "last words");
        let words = scene.mallory.outbox().remove(0);
        scene.maria.client.change(&scene.id, Change::Remove(scene.mallory.user.clone())).unwrap();
        let removal = scene.hub.collect(&mut scene.maria).remove(0);
        let Scene { hub, maria, bob, anna, .. } = &mut scene;
        for device in [maria, bob, anna] {
            let order = if before { [&words, &removal] } else { [&removal, &words] };
            order.into_iter().for_each(|post| hub.show_post(device, post));
            assert_eq!(device.heard().len(), usize::from(before), "{}", device.user);
        }
        scene.goes_on();
    }
}

/// Nor is it put back by a request, made before or after, or by a member's proposal of its old leaf.
#[test]
fn row_04_a_removed_member_asks_to_be_put_back() {
    let Removal { mut scene, before, removal, .. } = removed();
    let mut old = copy_of(&mut scene.world, &scene.mallory);
    old.open(before.disk());
    scene.hub.show_post(&mut old, &removal);
    for by_old in [true, false] {
        let device = if by_old { &mut old } else { &mut scene.mallory };
        device.client.change(&scene.id, Change::Rejoin).unwrap();
        let request = device.outbox().remove(0);
        assert!(matches!(request.body, PostBody::Request(_)));
        let Scene { hub, maria, bob, anna, .. } = &mut scene;
        for member in [maria, bob, anna] {
            assert_eq!(void(hub, member, entry(&request, LeafIndex(0))), []);
        }
    }
    scene.world.clock.advance(DAY);
    scene.goes_on();
    let (id, mallory) = (scene.id, scene.mallory.user.clone());
    assert!(scene.honest().into_iter().all(|device| !device.has(&id, &mallory)));
}
