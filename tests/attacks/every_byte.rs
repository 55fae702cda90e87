//! Row 2: one real thing of every type, with every byte changed, then as it was.

use convivio::client::{Change, EventKind};
use convivio::envelope::{EnvelopeFor, Header};
use convivio::group::RejoinRequest;
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::{EntryBody, LogEntry};
use convivio::{GroupId, LeafIndex};

use crate::kit::hub::{commit_of, entry, flipped, parts};
use crate::kit::scene::{BOB, COUNTED, MARIA, changed};
use crate::kit::{Hub, Scene};
use crate::support::{Device, World};

/// All bits of short things, one bit of every byte of long ones.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = if bytes.len() < 500 { 1 } else { 9 };
    (0..8 * bytes.len()).step_by(step).map(|bit| flipped(bytes, bit))
}

/// Whatever it says of itself in the clear, no key, chain, message or member changes, and nothing is taken for real.
fn has_no_effect(hub: &Hub, to: &mut Device, body: EntryBody) {
    to.news();
    let before = to.disk.records();
    hub.show(to, body);
    let tags = changed(&before, &to.disk.records());
    assert!(tags.iter().all(|tag| COUNTED.contains(tag)), "{}: records {tags:?} changed", to.user);
    for what in to.news() {
        use EventKind::{Excluded, ForkSuspected, Removed, Void};
        assert!(matches!(what, Void { .. } | Excluded | Removed | ForkSuspected), "{}: {what:?}", to.user);
    }
}

#[test]
fn row_02_every_byte_of_a_message() {
    let mut scene = Scene::new();
    scene.maria.say(&scene.id, "as it was");
    let post = scene.hub.collect(&mut scene.maria).remove(0);
    let frame = crate::kit::hub::frame_of(&post);
    for changed in flips(frame) {
        has_no_effect(&scene.hub, &mut scene.bob, EntryBody::Message(changed));
    }
    for length in 0..frame.len() {
        has_no_effect(&scene.hub, &mut scene.bob, EntryBody::Message(frame[..length].to_vec()));
    }
    has_no_effect(&scene.hub, &mut scene.bob, EntryBody::Message([frame, &[0]].concat()));
    scene.hub.show_post(&mut scene.bob, &post);
    assert_eq!(scene.bob.heard(), [("maria".to_owned(), "as it was".to_owned())]);
}

#[test]
fn row_02_every_byte_of_a_commit() {
    let mut scene = Scene::new();
    let mut carol = scene.world.device("carol");
    scene.maria.client.change(&scene.id, Change::Add(vec![carol.package()])).unwrap();
    let post = scene.hub.collect(&mut scene.maria).remove(0);
    let (header, stanza, body) = parts(&entry(&post, LeafIndex(BOB)));
    let true_stanza = stanza.clone().unwrap();
    let commit = |header: &[u8], stanza: &[u8], body: &[u8]| EntryBody::Commit {
        header: header.to_vec(),
        stanza: Some(stanza.to_vec()),
        body: body.to_vec(),
    };
    for changed in flips(&header) {
        has_no_effect(&scene.hub, &mut scene.bob, commit(&changed, &true_stanza, &body));
    }
    for changed in flips(&true_stanza) {
        has_no_effect(&scene.hub, &mut scene.bob, commit(&header, &changed, &body));
    }
    for changed in flips(&body) {
        has_no_effect(&scene.hub, &mut scene.bob, commit(&header, &true_stanza, &changed));
    }
    scene.show_all(&post);
    let id = scene.id;
    assert!(scene.all().into_iter().all(|device| device.epoch(&id) == 2 && device.has(&id, &carol.user)));
}

#[test]
fn row_02_every_byte_of_a_welcome() {
    // To a small group, since each try costs an opening.
    let mut world = World::new();
    let (mut maria, mut carol) = (world.device("maria"), world.device("carol"));
    let id = world.group(&mut maria, &mut []);
    let mut hub = Hub::of(id);
    maria.client.change(&id, Change::Add(vec![carol.package()])).unwrap();
    let post = hub.collect(&mut maria).remove(0);
    let (commit, welcome) = commit_of(&post);
    let package = carol.client.package_ids().unwrap()[0];
    let part = welcome.unwrap().split(package.as_bytes()).unwrap();
    let (header, stanza, body) = (part.header().bytes(), part.stanza(), part.body());
    let (commit_header, commit_body) = (commit.header().bytes(), commit.body());
    let before = carol.disk.records();
    let mut show = |commit: (&[u8], &[u8]), package, part: (&[u8], &[u8], &[u8])| {
        let Ok(header) = Header::decode(part.0) else { return };
        let Ok(welcome) = EnvelopeFor::new(header, part.1.to_vec(), part.2.to_vec()) else { return };
        let (commit_header, commit_body) = (commit.0.to_vec(), commit.1.to_vec());
        let body = EntryBody::Welcome { commit_header, commit_body, package, welcome };
        carol.receive(&[LogEntry { group: id, seq: 1, body }]);
        assert!(carol.disk.records() == before, "no trace, and the package is not spent");
    };
    let (true_commit, true_part) = ((commit_header, commit_body), (header, stanza, body));
    flips(commit_header).for_each(|changed| show((&changed, commit_body), package, true_part));
    flips(commit_body).for_each(|changed| show((commit_header, &changed), package, true_part));
    flips(header).for_each(|changed| show(true_commit, package, (&changed, stanza, body)));
    flips(stanza).for_each(|changed| show(true_commit, package, (header, &changed, body)));
    flips(body).for_each(|changed| show(true_commit, package, (header, stanza, &changed)));
    for changed in flips(package.as_bytes()) {
        show(true_commit, convivio::LeafHash::from_bytes(changed.try_into().unwrap()), true_part);
    }
    hub.show_post(&mut carol, &post);
    assert!(matches!(carol.news()[..], [EventKind::Invitation { .. }]));
}

/// Bob was not shown a commit of Maria's and asks to be readmitted.
fn asking() -> (Scene, convivio::log::Post, GroupId) {
    let mut scene = Scene::new();
    let id = scene.id;
    scene.maria.client.change(&id, Change::Heal).unwrap();
    let post = scene.hub.collect(&mut scene.maria).remove(0);
    let (header, _, body) = parts(&entry(&post, LeafIndex(BOB)));
    let Scene { hub, maria, bob, anna, .. } = &mut scene;
    [maria, anna].into_iter().for_each(|device| hub.show_post(device, &post));
    hub.show(bob, EntryBody::Commit { header, stanza: None, body });
    bob.client.change(&id, Change::Rejoin).unwrap();
    let request = hub.collect(bob).remove(0);
    (scene, request, id)
}

#[test]
fn row_02_every_byte_of_a_request() {
    let (mut scene, post, id) = asking();
    let EntryBody::Request(Some(part)) = entry(&post, LeafIndex(MARIA)) else { panic!("not a request") };
    let (header, stanza, body) = (part.header().bytes(), part.stanza(), part.body());
    let mut show = |header: &[u8], stanza: &[u8], body: &[u8]| {
        let Ok(header) = Header::decode(header) else { return };
        let Ok(part) = EnvelopeFor::new(header, stanza.to_vec(), body.to_vec()) else { return };
        has_no_effect(&scene.hub, &mut scene.maria, EntryBody::Request(Some(part)));
    };
    flips(header).for_each(|changed| show(&changed, stanza, body));
    flips(stanza).for_each(|changed| show(header, &changed, body));
    flips(body).for_each(|changed| show(header, stanza, &changed));
    scene.maria.news();
    scene.hub.show_post(&mut scene.maria, &post);
    let news = scene.maria.news();
    let [EventKind::RejoinRequested { request, .. }] = &news[..] else { panic!("{news:?}") };
    // What was inside is good for itself, by whatever channel; so each byte of it counts, too.
    for changed in flips(&request.to_bytes()) {
        let Ok(changed) = RejoinRequest::from_bytes(&changed) else { continue };
        scene.anna.refused(&id, Change::Readmit(Box::new(changed)));
    }
    scene.anna.client.change(&id, Change::Readmit(request.clone())).unwrap();
}

#[test]
fn row_02_every_byte_of_a_key_package() {
    let mut scene = Scene::new();
    let (id, package) = (scene.id, scene.world.device("carol").package());
    let before = scene.maria.disk.records();
    for changed in flips(&package.to_bytes()) {
        let Ok(changed) = UnverifiedKeyPackage::from_bytes(&changed) else { continue };
        scene.maria.refused(&id, Change::Add(vec![changed]));
    }
    assert!(scene.maria.disk.records() == before);
    scene.maria.client.change(&id, Change::Add(vec![package])).unwrap();
}
