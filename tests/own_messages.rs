//! One's own messages are told at the place that they have for everyone, or not at all (`docs/protocol.md`, section 7.4).

mod support;

use convivio::MessageId;
use convivio::client::{Change, EventKind};
use convivio::envelope::{Draft, EnvelopeType, Recipient};
use convivio::group::{RejoinRequest, Role};
use convivio::log::{Post, PostBody, PostReply};
use convivio::{GroupId, SealSecret, SigningKey, Suite};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use support::*;

fn three() -> (World, [Device; 3], GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    (world, [maria, bob, anna], group)
}

/// What looks like a commit of this epoch that nobody can open.
fn garbage(world: &mut World, group: &GroupId, epoch: u8) {
    let mut rng = StdRng::seed_from_u64(9);
    let head = [&[0x86, 0x50], group.as_bytes().as_slice(), &[epoch, 0, 0x58, 0x20]].concat();
    let header = [head.as_slice(), &[0; 32], &[0x80, 0x80]].concat();
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, header, &mut rng).unwrap();
    let signed = draft.sign(vec![0], None, b"", &SigningKey::generate(&mut rng)).unwrap();
    let key = SealSecret::generate(&mut rng);
    let commit = signed.seal(&[Recipient::X25519 { id: vec![0], key: key.public() }], &[0; 32]).unwrap();
    let (domain, body) = (world.photos.domain().clone(), PostBody::Commit { commit, welcome: None });
    let mut post = |after| world.hub.post(&domain, &Post { group: *group, after, body: body.clone() });
    assert!((0..100).any(|after| post(after) == PostReply::Accepted));
}

/// Where a device has been told of a message, its own or another's.
fn places(device: &Device, wanted: MessageId) -> Vec<u64> {
    let is_it = |what: &EventKind| match what {
        EventKind::Message { id, .. } | EventKind::Sent { id, .. } => *id == wanted,
        _ => false,
    };
    device.events.iter().filter(|event| is_it(&event.what)).map(|event| event.seq).collect()
}

fn request(device: &mut Device) -> RejoinRequest {
    let asked = |what| if let EventKind::RejoinRequested { request, .. } = what { Some(*request) } else { None };
    device.news().into_iter().find_map(asked).unwrap()
}

#[test]
fn a_readmission_that_leads_on_from_our_epoch_shows_that_what_came_back_counts() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    let epoch = bob.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    world.sync(&mut bob);
    let id = bob.say(&group, "my vote");
    world.sync(&mut bob);
    assert_eq!((bob.queued(&group), bob.sent()), (1, vec![]), "it may not count for the others");
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(&mut bob);
    world.sync(&mut maria);
    let request = request(&mut maria);
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    for _ in 0..4 {
        world.clock.advance(20 * MINUTE);
        world.sync(&mut maria);
    }
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    assert_eq!(places(&bob, id).len(), 1);
    assert_eq!((places(&maria, id), places(&anna, id)), (places(&bob, id), places(&bob, id)));
    assert_eq!(bob.queued(&group), 0);
}

#[test]
fn what_a_leaving_reader_had_queued_is_given_back_and_not_told_as_sent() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Reader)).unwrap();
    world.sync(&mut maria);
    let id = bob.say(&group, "too late");
    bob.client.change(&group, Change::Leave).unwrap();
    world.read(&mut bob);
    world.post(&mut bob);
    world.read(&mut bob);
    world.quiet(&mut [&mut maria, &mut anna]);
    assert_eq!(maria.heard(), []);
    assert_eq!(bob.sent(), []);
    let dropped = |what: &EventKind| matches!(what, EventKind::MessageDropped { id: of, .. } if *of == id);
    assert!(bob.news().iter().any(dropped));
}
