//! A member that follows no rules but those that others check.

mod support;

use convivio::client::{Change, Client, DeviceKeys, EventKind, Status};
use convivio::group::{GroupInfo, RejoinRequest};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::store::MemoryStore;
use convivio::testing::{App, LocalHub};
use convivio::{DeviceId, ErrorKind, GroupId, SigningKey};
use support::*;

fn three() -> (World, [Device; 3], GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob, mut mallory) = (world.device("maria"), world.device_of(1, "bob"), world.device("mallory"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut mallory]);
    world.quiet(&mut [&mut maria, &mut bob, &mut mallory]);
    [&mut maria, &mut bob, &mut mallory].into_iter().for_each(|device| drop(device.news()));
    (world, [maria, bob, mallory], group)
}

fn append(world: &mut World, group: GroupId, body: PostBody) {
    let domain = world.photos.domain().clone();
    let taken = (0..200)
        .any(|after| world.hub.post(&domain, &Post { group, after, body: body.clone() }) == PostReply::Accepted);
    assert!(taken, "the hub does not take this");
}

fn frame(device: &mut Device) -> PostBody {
    let body = device.outbox().remove(0).body;
    assert!(matches!(body, PostBody::Message(_)));
    body
}

/// The next entry is a commit; it reaches this device without its stanza.
fn hide_stanza(world: &World, victim: &mut Device, group: &GroupId) {
    let entry = victim.pending(&world.hub, group).remove(0);
    let EntryBody::Commit { header, body, .. } = entry.body else { panic!("not a commit") };
    victim.receive(&[LogEntry { body: EntryBody::Commit { header, stanza: None, body }, ..entry }]);
}

fn request(device: &mut Device) -> Option<Box<RejoinRequest>> {
    device.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    })
}

/// A request as it is encoded, of these parts.
fn forge(group: GroupId, package: &UnverifiedKeyPackage, consent: &[u8; 64]) -> RejoinRequest {
    let head = [&[0x83, 0x50], group.as_bytes().as_slice()].concat();
    let bytes = [head, package.to_bytes(), vec![0x58, 0x40], consent.to_vec()].concat();
    RejoinRequest::from_bytes(&bytes).unwrap()
}

/// A readmission ends the old leaf, so it is made only of what the device itself has signed for that leaf: neither its
/// published packages nor a request of someone else will do. One that it did sign brings it back, however late.
#[test]
fn nobody_is_readmitted_who_has_not_asked() {
    let (mut world, [mut maria, mut bob, mut mallory], group) = three();
    let published = maria.package();
    let refuse = |mallory: &mut Device, forged: RejoinRequest| {
        assert_eq!(mallory.refused(&group, Change::Readmit(Box::new(forged))), ErrorKind::Unauthentic);
    };
    refuse(&mut mallory, forge(group, &published, &[7; 64]));
    // A true request, by Maria, while she was in doubt.
    bob.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut bob);
    hide_stanza(&world, &mut maria, &group);
    maria.client.change(&group, Change::Rejoin).unwrap();
    world.post(&mut maria);
    world.sync(&mut mallory);
    let asked = request(&mut mallory).unwrap();
    let bytes = asked.to_bytes();
    let consent: [u8; 64] = bytes[bytes.len() - 64..].try_into().unwrap();
    assert_eq!(forge(group, asked.package(), &consent), *asked, "the forger knows the form");
    refuse(&mut mallory, forge(group, &published, &consent));
    mallory.client.change(&group, Change::Readmit(asked.clone())).unwrap();
    world.quiet(&mut [&mut mallory, &mut maria, &mut bob]);
    agree(&group, &mut [&mut maria, &mut bob, &mut mallory]);
    // It holds once.
    assert_eq!(mallory.refused(&group, Change::Readmit(asked)), ErrorKind::Expired);
}

/// A commit's time moves the group's time, and leaves that were valid by then only count no more. To refuse commits
/// that are off its own clock is the hub's duty, since members' clocks differ and must not part them; a member that
/// sees one says so, and what needs no new leaf goes on.
#[test]
fn a_commit_dated_far_ahead_is_reported() {
    let (mut world, [mut maria, mut bob, mut mallory], group) = three();
    let leap = 300 * DAY;
    world.clock.advance(leap);
    mallory.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut mallory);
    world.clock.advance(0u64.wrapping_sub(leap));
    world.sync(&mut maria);
    assert!(maria.news().contains(&EventKind::ClockSkew));
    // What it costs: whose papers end before the claimed time cannot be added.
    let mut carol = world.device("carol");
    let package = carol.package();
    assert_eq!(maria.dropped(&mut world, &group, Change::Add(vec![package])), ErrorKind::Expired);
    maria.say(&group, "who turned the clock?");
    maria.client.change(&group, Change::Info(GroupInfo::new("No hurry", "").unwrap())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob, &mut mallory]);
    assert_eq!(bob.heard().len(), 1);
    agree(&group, &mut [&mut maria, &mut bob, &mut mallory]);
}

/// Bob could not open a commit that the others could. A message that a member wrote before that commit, and that comes
/// after it, shows by what it had seen that it settles nothing.
#[test]
fn a_message_from_before_a_commit_does_not_settle_it() {
    let (mut world, [mut maria, mut bob, mut mallory], group) = three();
    mallory.say(&group, "settle");
    let old = frame(&mut mallory);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    hide_stanza(&world, &mut bob, &group);
    bob.say(&group, "lost?");
    world.sync(&mut bob);
    assert_eq!(bob.queued(&group), 1, "kept past its echo");
    append(&mut world, group, old);
    world.sync(&mut bob);
    assert_eq!((bob.heard().len(), bob.queued(&group)), (1, 1), "it is authentic, and settles nothing");
    maria.say(&group, "ahead");
    world.sync(&mut maria);
    world.sync(&mut bob);
    assert_eq!((bob.status(&group), bob.queued(&group)), (Status::Excluded, 1));
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(&mut bob);
    world.sync(&mut maria);
    let asked = request(&mut maria).unwrap();
    maria.client.change(&group, Change::Readmit(asked)).unwrap();
    world.quiet(&mut [&mut maria, &mut mallory, &mut bob]);
    let heard = maria.heard().into_iter().filter(|(_, text)| text == "lost?").count();
    assert_eq!(heard, 1);
    agree(&group, &mut [&mut maria, &mut mallory, &mut bob]);
}

/// A member who keeps the keys of the epoch that has ended can lie about what it has seen. It makes the victim believe
/// for a moment that what it wrote counts; it does not make it believe that for longer than until an honest member is
/// heard.
#[test]
fn a_member_that_lies_about_what_it_has_seen_does_not_hide_that_the_others_have_gone_on() {
    let (mut world, [mut maria, mut bob, mallory], group) = three();
    let mut liar = world.device("unused");
    liar.open(mallory.disk.copy());
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    hide_stanza(&world, &mut bob, &group);
    hide_stanza(&world, &mut liar, &group);
    bob.say(&group, "do you read me?");
    world.sync(&mut bob);
    liar.say(&group, "all is well");
    append(&mut world, group, frame(&mut liar));
    world.sync(&mut bob);
    assert_eq!((bob.heard().len(), bob.status(&group)), (1, Status::Active));
    maria.say(&group, "we have gone on");
    maria.say(&group, "do you hear?");
    world.sync(&mut maria);
    world.sync(&mut bob);
    assert_eq!(bob.status(&group), Status::Excluded);
    assert!(bob.news().contains(&EventKind::Excluded));
}

/// An old certificate of a device, shown again, would bring a serial back that its user may have revoked.
#[test]
fn an_older_serial_is_not_taken_back() {
    let app = App::new("photos.example").unwrap();
    let (mut hub, mut rng) = (LocalHub::new(), rand::rng());
    let (identity, key, id) =
        (IdentityKey::generate(&mut rng), SigningKey::generate(&mut rng), DeviceId::generate(&mut rng));
    let [old, new] = [1, 9].map(|serial| app.certify("bob", &identity, (id, serial), &key).unwrap());
    let mut bob = Client::create(MemoryStore::new(), DeviceKeys::new(new, key).unwrap()).unwrap();
    let mut maria = app.client("maria").unwrap();
    let group = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("x", "").unwrap()).unwrap();
    let package = UnverifiedKeyPackage::from_bytes(&bob.key_packages(1).unwrap()[0].to_bytes()).unwrap();
    maria.change(&group, Change::Add(vec![package])).unwrap();
    hub.sync(&mut maria).unwrap();
    hub.sync(&mut bob).unwrap();
    bob.answer(&group, convivio::client::Answer::Accept).unwrap();
    hub.sync(&mut bob).unwrap();
    bob.renew(old).unwrap();
    let intent = bob.change(&group, Change::Heal).unwrap();
    let told = hub.sync(&mut bob).unwrap();
    hub.sync(&mut maria).unwrap();
    let view = maria.group(&group).unwrap();
    let serial = view.state().leaves().find(|(index, _)| index.0 == 1).unwrap().1.serial();
    let inbox = bob.inbox(99).unwrap();
    let dropped = told.iter().chain(&inbox).any(|event| {
        matches!(event.what, EventKind::IntentDropped { intent: of, why: ErrorKind::NotAllowed } if of == intent)
    });
    assert_eq!((serial, dropped), (9, true));
}
