//! Row 12: an old copy of a store in use again, beside the new one or instead of it.

use std::collections::BTreeMap;

use convivio::client::{EventKind, Status};
use convivio::log::EntryBody;

use crate::kit::hub::frame_of;
use crate::kit::ratchet::Place;
use crate::kit::scene::{BOB, copy_of, go_on, readmit};
use crate::kit::{Insider, Scene};
use crate::support::Device;

/// Everything that was ever encrypted in the first epoch, opened with the chain keys of its beginning.
struct Ledger {
    insider: Insider,
    frames: Vec<Vec<u8>>,
}

impl Ledger {
    /// Encrypts what this device has in its queue and notes the frames.
    fn note(&mut self, device: &mut Device) -> Vec<Vec<u8>> {
        let frames: Vec<Vec<u8>> = device.outbox().iter().map(|post| frame_of(post).to_vec()).collect();
        self.frames.extend(frames.clone());
        frames
    }

    /// No two frames share a key and a nonce, though some share a place in the chain. How many places are shared.
    fn check(&self) -> usize {
        let epoch = self.insider.epoch();
        let mut frames = self.frames.clone();
        frames.sort();
        frames.dedup();
        let (mut pairs, mut places) = (BTreeMap::new(), BTreeMap::<Place, usize>::new());
        for frame in &frames {
            let at = epoch.unmask(frame);
            assert_eq!(at.leaf, BOB);
            let opened = epoch.open(frame, &self.insider.message_key(at).unwrap()).unwrap();
            let key = pairs.insert(opened.key_and_nonce, frame);
            assert!(key.is_none(), "one key and nonce for two frames");
            *places.entry(at).or_default() += 1;
        }
        places.values().filter(|count| **count > 1).count()
    }
}

fn told(device: &mut Device, what: &EventKind) -> bool {
    device.news().contains(what)
}

/// The machine is copied as it runs, its random generator with it, and both copies write: the same words and others.
#[test]
fn row_12_a_vm_snapshot_and_both_copies_used() {
    for same_words in [true, false] {
        let mut scene = Scene::new();
        let mut ledger = Ledger { insider: scene.as_thief_of(&scene.bob), frames: Vec::new() };
        let (id, mut twin) = (scene.id, scene.bob.twin());
        let mut shown = Vec::new();
        for n in 0..4 {
            let words = format!("number {n}");
            scene.bob.say(&id, &words);
            twin.say(&id, if same_words { &words } else { "something else" });
        }
        shown.extend(ledger.note(&mut scene.bob));
        let twins = ledger.note(&mut twin);
        // With the same words even the bytes are the same; with other words every key is another.
        assert_eq!(shown == twins, same_words);
        assert_eq!(ledger.check(), if same_words { 0 } else { 4 });
        if same_words {
            continue;
        }
        // The hub has both. Each copy sees the other's frames under its own leaf.
        for frame in &twins {
            scene.hub.show(&mut scene.bob, EntryBody::Message(frame.clone()));
        }
        assert!(told(&mut scene.bob, &EventKind::CloneSuspected));
        assert_eq!(scene.bob.status(&id), Status::Active);
        scene.hub.show(&mut twin, EntryBody::Message(shown[0].clone()));
        assert!(told(&mut twin, &EventKind::CloneSuspected));
    }
}

/// The old database is copied back while the newer one goes on, on another machine.
#[test]
fn row_12_an_old_database_copied_back_and_both_copies_used() {
    let mut scene = Scene::new();
    let mut ledger = Ledger { insider: scene.as_thief_of(&scene.bob), frames: Vec::new() };
    let id = scene.id;
    let mut old = copy_of(&mut scene.world, &scene.bob);
    let mut older = copy_of(&mut scene.world, &scene.bob);
    for n in 0..3 {
        scene.bob.say(&id, &n.to_string());
    }
    let newer = ledger.note(&mut scene.bob);
    old.say(&id, "from the copy");
    let from_old = ledger.note(&mut old);
    for n in 0..5 {
        older.say(&id, &format!("from the second copy, {n}"));
    }
    ledger.note(&mut older);
    assert_eq!(ledger.check(), 3, "places are used twice, keys are not");
    // The copy that has sent less than what comes back under its leaf knows that it is the old one, and stops.
    let before = old.queued(&id);
    for frame in &newer {
        scene.hub.show(&mut old, EntryBody::Message(frame.clone()));
    }
    assert!(told(&mut old, &EventKind::RolledBack));
    assert_eq!((old.status(&id), old.queued(&id)), (Status::RolledBack, before));
    assert!(old.client.send(&id, b"into the void").is_err());
    assert!(old.outbox().is_empty(), "nothing is encrypted any more");
    // The other members hear whichever comes first at each place.
    for frame in [&from_old[0], &newer[0], &newer[1], &newer[2]] {
        scene.hub.show(&mut scene.maria, EntryBody::Message(frame.clone()));
    }
    let heard: Vec<String> = scene.maria.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["from the copy", "1", "2"]);
}

/// The newer copy is gone for good: the restored device notices at its first echo, asks, is readmitted, and what it had
/// to say arrives.
#[test]
fn row_12_a_device_that_was_rolled_back_rejoins() {
    let mut scene = Scene::new();
    let mut ledger = Ledger { insider: scene.as_thief_of(&scene.bob), frames: Vec::new() };
    let id = scene.id;
    let backup = scene.bob.disk.copy();
    for n in 0..3 {
        scene.bob.say(&id, &format!("lost with the disk, {n}"));
    }
    let sent = scene.hub.collect(&mut scene.bob);
    ledger.frames.extend(sent.iter().map(|post| frame_of(post).to_vec()));
    let Scene { hub, maria, anna, bob, .. } = &mut scene;
    for device in [&mut *maria, &mut *anna] {
        sent.iter().for_each(|post| hub.show_post(device, post));
        assert_eq!(device.heard().len(), 3);
    }
    bob.open(backup);
    bob.say(&id, "after the restore");
    ledger.note(bob);
    assert_eq!(ledger.check(), 1);
    sent.iter().for_each(|post| hub.show_post(bob, post));
    assert!(told(bob, &EventKind::RolledBack));
    readmit(hub, &id, bob, maria, &mut [&mut *anna]);
    hub.calm(&mut [&mut *maria, &mut *bob, &mut *anna]);
    assert_eq!(maria.heard().last().unwrap().1, "after the restore");
    go_on(hub, &id, &mut [maria, bob, anna]);
}
