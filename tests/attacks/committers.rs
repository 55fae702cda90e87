//! Row 7: a committer who seals not the same to everyone, and a hub that mixes what was sealed.

use convivio::LeafIndex;
use convivio::client::{Change, EventKind, Status};
use convivio::log::{EntryBody, PostReply};

use crate::kit::Scene;
use crate::kit::commit::{Forged, encode_leaf};
use crate::kit::hub::{entry, flipped, parts};
use crate::kit::scene::{ANNA, BOB, MALLORY, MARIA, go_on, readmit, void};
use crate::support::agree;

/// Mallory's commit, good for all but Bob: what he finds in the place of his stanza.
fn sealed_out(change: impl FnOnce(&mut Forged, [u8; 32])) {
    let mut scene = Scene::new();
    let mut insider = scene.insider();
    let mut forged = insider.plan(Vec::new()).seal();
    change(&mut forged, insider.random());
    let id = scene.id;
    let text = "do you read me?";
    // Bob has a message under way when it happens, and another that is still in his queue.
    let said = [scene.bob.say(&id, text), scene.bob.say(&id, text)];
    let under_way = scene.bob.outbox();
    scene.bob.client.posted(&under_way[0], PostReply::Accepted).unwrap();

    void(&scene.hub, &mut scene.bob, forged.entry(BOB));
    assert_eq!((scene.bob.status(&id), scene.bob.epoch(&id)), (Status::Active, 1));
    let Scene { hub, maria, bob, anna, .. } = &mut scene;
    for (leaf, device) in [(MARIA, &mut *maria), (ANNA, &mut *anna)] {
        hub.show(device, forged.entry(leaf));
        assert_eq!(device.epoch(&id), 2, "{}: the others have all accepted the one commit", device.user);
        // Bob's message was too late for them.
        hub.show_post(device, &under_way[0]);
        assert_eq!(device.heard(), []);
    }
    hub.show_post(bob, &under_way[0]);
    assert_eq!(bob.queued(&id), 2, "its echo does not count while there is doubt");
    // He notices when the others are heard.
    maria.say(&id, "where is Bob?");
    anna.say(&id, "was he not here?");
    bob.news();
    for device in [&mut *maria, &mut *anna] {
        let post = hub.collect(device).remove(0);
        hub.show_post(bob, &post);
        hub.show_post(device, &post);
    }
    assert!(bob.news().contains(&EventKind::Excluded));
    assert_eq!((bob.status(&id), bob.queued(&id)), (Status::Excluded, 2), "his outbox is kept");
    // And rejoins.
    readmit(hub, &id, bob, maria, &mut [&mut *anna]);
    hub.calm(&mut [&mut *maria, &mut *bob, &mut *anna]);
    let heard: Vec<_> = maria.messages().into_iter().filter(|(.., text)| text != "was he not here?").collect();
    assert_eq!(heard, said.map(|id| (id, "bob".to_owned(), text.to_owned())), "each once");
    go_on(hub, &id, &mut [maria, bob, anna]);
}

#[test]
fn row_07_a_committer_seals_a_different_seed_to_a_member() {
    sealed_out(|forged, other| {
        let key = crate::kit::leaf::LeafPlan::like(forged.state.leaf(BOB).unwrap()).seal_key;
        *forged.stanza(BOB) = forged.sealer.stanza(&other, (&key, &encode_leaf(BOB)), 0);
    });
}

#[test]
fn row_07_a_committer_seals_garbage_to_a_member() {
    sealed_out(|forged, _| *forged.stanza(BOB) = vec![0x5a; 48]);
}

#[test]
fn row_07_a_committer_seals_a_member_a_stanza_of_another_length() {
    sealed_out(|forged, _| *forged.stanza(BOB) = vec![0x5a; 1_168]);
}

#[test]
fn row_07_a_committer_seals_nothing_to_a_member() {
    sealed_out(|forged, _| forged.stanzas.retain(|(leaf, _)| *leaf != BOB));
}

/// One commit to some and another to the rest, each complete: by a seed and a header of its own, it is another commit.
#[test]
fn row_07_a_committer_seals_different_commits_to_different_members() {
    let mut scene = Scene::new();
    let mut insider = scene.insider();
    let [one, other] = [(); 2].map(|()| insider.plan(Vec::new()).seal());
    // Header of one, stanza and body of the other: nobody accepts the mixture.
    for leaf in [MARIA, BOB, ANNA] {
        let (header, stanza, body) = parts(&one.entry(leaf));
        let (other_header, other_stanza, other_body) = parts(&other.entry(leaf));
        let Scene { hub, maria, bob, anna, .. } = &mut scene;
        let device = [maria, bob, anna].into_iter().nth(leaf as usize).unwrap();
        for (header, stanza, body) in [
            (&header, &stanza, &other_body),
            (&header, &other_stanza, &body),
            (&other_header, &stanza, &body),
            (&header, &other_stanza, &other_body),
            (&other_header, &stanza, &other_body),
            (&other_header, &other_stanza, &body),
        ] {
            let (header, stanza, body) = (header.clone(), stanza.clone(), body.clone());
            void(hub, device, EntryBody::Commit { header, stanza, body });
        }
    }
    // As one log has it, the first is the one for everyone; the second comes too late.
    let Scene { hub, id, maria, bob, anna, .. } = &mut scene;
    for (leaf, device) in [(MARIA, &mut *maria), (BOB, &mut *bob), (ANNA, &mut *anna)] {
        hub.show(device, one.entry(leaf));
        void(hub, device, other.entry(leaf));
        assert_eq!(*device.client.group(id).unwrap().authenticator(), one.keys.authenticator);
    }
    scene.goes_on();
}

/// An honest commit: the hub gives members each other's stanzas, turns bits in them, and swaps bodies.
#[test]
fn row_07_the_hub_mixes_stanzas_or_swaps_the_body() {
    let mut scene = Scene::new();
    let id = scene.id;
    scene.anna.client.change(&id, Change::Heal).unwrap();
    let post = scene.hub.collect(&mut scene.anna).remove(0);
    scene.mallory.client.change(&id, Change::Heal).unwrap();
    let rival = scene.hub.collect(&mut scene.mallory).remove(0);
    let Scene { hub, maria, bob, .. } = &mut scene;
    for (leaf, device) in [(MARIA, maria), (BOB, bob)] {
        let (header, stanza, body) = parts(&entry(&post, LeafIndex(leaf)));
        let others = [MARIA, BOB, ANNA, MALLORY].into_iter().filter(|other| *other != leaf);
        let mut wrong: Vec<Option<Vec<u8>>> = others.map(|other| parts(&entry(&post, LeafIndex(other))).1).collect();
        wrong.extend((0..48 * 8).map(|bit| Some(flipped(stanza.as_deref().unwrap(), bit))));
        wrong.push(None);
        for stanza in wrong {
            void(hub, device, EntryBody::Commit { header: header.clone(), stanza, body: body.clone() });
        }
        let swapped = parts(&entry(&rival, LeafIndex(leaf))).2;
        void(hub, device, EntryBody::Commit { header, stanza, body: swapped });
        assert_eq!(device.epoch(&id), 1);
    }
    // The true one is still good for all: nothing was spent.
    scene.show_all(&post);
    assert!(scene.honest().into_iter().all(|device| device.epoch(&id) == 2));
    // Mallory's own was the second, and is made again.
    let Scene { hub, maria, bob, anna, mallory, .. } = &mut scene;
    hub.calm(&mut [&mut *maria, &mut *bob, &mut *anna, &mut *mallory]);
    agree(&id, &mut [maria, bob, anna, mallory]);
}
