//! What the simulation found (`examples/simulate`), each as a story of its own.

mod support;

use convivio::client::{Change, EventKind, Status};
use convivio::envelope::{Draft, Envelope, EnvelopeType, Recipient};
use convivio::group::RejoinRequest;
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::{GroupId, LeafIndex, SealSecret, SigningKey, Suite};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::*;

fn three() -> (World, [Device; 3], GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    (world, [maria, bob, anna], group)
}

/// Shows a device the next commit so that it cannot read it.
fn spoil(world: &World, victim: &mut Device, group: &GroupId) {
    let honest = victim.pending(&world.hub, group).remove(0);
    let EntryBody::Commit { header, stanza, mut body } = honest.body else { panic!("not a commit") };
    body[0] ^= 1;
    victim.receive(&[LogEntry { group: *group, seq: honest.seq, body: EntryBody::Commit { header, stanza, body } }]);
}

/// The others go on without Bob, and he is told.
fn leave_behind(world: &mut World, [maria, bob, anna]: &mut [Device; 3], group: &GroupId) {
    maria.client.change(group, Change::Heal).unwrap();
    world.sync(maria);
    spoil(world, bob, group);
    go_on(world, [maria, bob, anna], group);
}

fn go_on(world: &mut World, [maria, bob, anna]: [&mut Device; 3], group: &GroupId) {
    for text in ["where is Bob?", "I wonder"] {
        anna.say(group, text);
        world.quiet(&mut [maria, anna, bob]);
    }
    assert_eq!(bob.status(group), Status::Excluded);
    maria.news();
}

fn request(by: &mut Device) -> Option<RejoinRequest> {
    by.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(*request),
        _ => None,
    })
}

fn readmit(world: &mut World, [maria, bob, anna]: &mut [Device; 3], group: &GroupId) {
    let request = request(maria).expect("a request that is good by Maria's clock");
    maria.client.change(group, Change::Readmit(Box::new(request))).unwrap();
    world.quiet(&mut [maria, bob, anna]);
    agree(group, &mut [maria, bob, anna]);
}

/// The clock of the story goes back, as it does for whoever comes after a device that is ahead.
fn back(world: &World, seconds: u64) {
    world.clock.advance(0_u64.wrapping_sub(seconds));
}

#[test]
fn a_device_whose_clock_is_ahead_is_readmitted() {
    let (mut world, mut all, group) = three();
    leave_behind(&mut world, &mut all, &group);
    world.clock.advance(5 * MINUTE);
    all[1].client.change(&group, Change::Rejoin).unwrap();
    world.post(&mut all[1]);
    back(&world, 5 * MINUTE);
    world.sync(&mut all[0]);
    readmit(&mut world, &mut all, &group);
}

/// Beyond an hour it is no clock's fault.
#[test]
fn a_request_from_tomorrow_is_not_good_today() {
    let (mut world, mut all, group) = three();
    leave_behind(&mut world, &mut all, &group);
    world.clock.advance(2 * 60 * MINUTE);
    all[1].client.change(&group, Change::Rejoin).unwrap();
    world.post(&mut all[1]);
    back(&world, 2 * 60 * MINUTE);
    world.sync(&mut all[0]);
    assert_eq!(request(&mut all[0]), None);
}

/// His leaf was renewed at the group's time, which was ahead of his clock.
#[test]
fn a_device_whose_clock_is_behind_the_groups_is_readmitted() {
    let (mut world, mut all, group) = three();
    world.clock.advance(10 * MINUTE);
    all[0].client.change(&group, Change::Heal).unwrap();
    world.sync(&mut all[0]);
    back(&world, 10 * MINUTE);
    world.sync(&mut all[1]);
    all[1].client.change(&group, Change::Heal).unwrap();
    world.sync(&mut all[1]);
    leave_behind_after_reading(&mut world, &mut all, &group);
    all[1].client.change(&group, Change::Rejoin).unwrap();
    world.post(&mut all[1]);
    world.sync(&mut all[0]);
    readmit(&mut world, &mut all, &group);
}

fn leave_behind_after_reading(world: &mut World, all: &mut [Device; 3], group: &GroupId) {
    let [maria, bob, anna] = all;
    world.quiet(&mut [maria, bob, anna]);
    leave_behind(world, all, group);
}

/// The hub has taken Bob's commit, and does not show it to him as it is: he waits for it in vain, and what was queued
/// behind it waits, too. His way out must not.
#[test]
fn a_request_does_not_wait_behind_a_commit_that_never_returns() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    bob.client.change(&group, Change::Heal).unwrap();
    let kept = bob.say(&group, "after my change");
    world.post(bob);
    spoil(&world, bob, &group);
    world.quiet(&mut [maria, anna]);
    go_on(&mut world, [maria, bob, anna], &group);
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.post(bob);
    world.sync(maria);
    readmit(&mut world, &mut all, &group);
    assert!(all[2].messages().iter().any(|(id, ..)| *id == kept), "and what he said is heard");
}

/// In a group of one there is nobody who could end a doubt, and nobody to doubt.
#[test]
fn whoever_ends_up_alone_has_no_doubt_and_an_empty_queue() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let garbage = |epoch: u64| {
        let mut frame = vec![0; 200];
        frame[0] = 0x11;
        frame[1..17].copy_from_slice(group.as_bytes());
        frame[17..21].copy_from_slice(&u32::try_from(epoch).unwrap().to_be_bytes());
        PostBody::Message(frame)
    };
    let domain = world.photos.domain().clone();
    for epoch in [50, 51] {
        let taken = (0..20)
            .any(|after| world.hub.post(&domain, &Post { group, after, body: garbage(epoch) }) == PostReply::Accepted);
        assert!(taken);
    }
    world.sync(&mut maria);
    assert_eq!(maria.status(&group), Status::Excluded);
    maria.say(&group, "is anyone here?");
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(&mut maria);
    world.clock.advance(MINUTE + 1);
    world.sync(&mut maria);
    assert_eq!(maria.client.group(&group).unwrap().state().leaves().len(), 1);
    assert_eq!((maria.status(&group), maria.queued(&group)), (Status::Active, 0));
}

/// Anyone who can post can claim to drop one member and to open the mailbox of another. Nobody loses an entry by it.
#[test]
fn the_hub_of_the_tests_keeps_a_mailbox_whatever_a_void_commit_says() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    let [dropped, opened] = [&mut *bob, &mut *anna].map(|device| device.client.subscriptions().unwrap().remove(0));
    maria.say(&group, "unread");
    world.sync(maria);
    let commit = made_up(group, maria.epoch(&group) + 5, opened.leaf, dropped.leaf);
    let domain = world.photos.domain().clone();
    let body = PostBody::Commit { commit, welcome: None };
    assert!(
        (0..20).any(|after| {
            world.hub.post(&domain, &Post { group, after, body: body.clone() }) == PostReply::Accepted
        })
    );
    world.sync(maria);
    maria.say(&group, "later");
    world.sync(maria);
    assert_eq!(world.hub.fetch(&opened).len(), 3, "hers was open, and stays so from where it was");
    assert_eq!(world.hub.fetch(&dropped).len(), 2, "up to the commit that drops it");
    world.hub.reopen(&group, dropped.leaf);
    assert_eq!(world.hub.fetch(&dropped).len(), 3);
    world.quiet(&mut [maria, bob, anna]);
    let texts = |device: &Device| device.heard().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(
        (texts(bob), texts(anna)),
        (vec!["unread".into(), "later".into()], vec!["unread".into(), "later".into()])
    );
}

/// A commit of nobody's, of which the hub can read the header alone.
fn made_up(group: GroupId, epoch: u64, opens: LeafIndex, drops: LeafIndex) -> Envelope {
    let mut public = Vec::new();
    let mut e = minicbor::Encoder::new(&mut public);
    e.array(6).unwrap().bytes(group.as_bytes()).unwrap().u64(epoch).unwrap().u64(START.0).unwrap();
    e.bytes(&[7; 32]).unwrap().array(1).unwrap().array(2).unwrap().u32(opens.0).unwrap().str("photos.example").unwrap();
    e.array(1).unwrap().u32(drops.0).unwrap();
    let mut rng = StdRng::seed_from_u64(9);
    let (key, seal) = (SigningKey::generate(&mut rng), SealSecret::generate(&mut rng));
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, public, &mut rng).unwrap();
    let recipients = [Recipient::X25519 { id: vec![0], key: seal.public() }];
    draft.sign(vec![0], None, b"nothing", &key).unwrap().seal(&recipients, &[0; 32]).unwrap()
}
