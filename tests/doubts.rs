//! Whoever doubts that the others are still there: what raises a doubt, what ends it, and what nobody loses by it.

mod support;

use convivio::ErrorKind;
use convivio::client::{Change, EventKind, Status};
use convivio::envelope::{Draft, Envelope, EnvelopeType, Recipient};
use convivio::group::{Group, GroupInfo, RejoinRequest, Role};
use convivio::identity::{Capabilities, IdentityKey, KeyPackage, PackageOptions, UnverifiedKeyPackage};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::testing::{App, LocalHub};
use convivio::{DeviceId, GroupId, MessageId, SealSecret, SigningKey, Suite, Timestamp, Validity};
use support::*;

fn three() -> (World, [Device; 3], GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    (world, [maria, bob, anna], group)
}

/// Anyone who may post for this group, without any key of it.
fn garbage(world: &mut World, group: &GroupId, epoch: u8) {
    let mut rng = rand::rng();
    let head = [&[0x86, 0x50], group.as_bytes().as_slice(), &[epoch, 0, 0x58, 0x20]].concat();
    let header = [head.as_slice(), &[0; 32], &[0x80, 0x80]].concat();
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, header, &mut rng).unwrap();
    let signed = draft.sign(vec![0], None, b"", &SigningKey::generate(&mut rng)).unwrap();
    let key = SealSecret::generate(&mut rng);
    let commit = signed.seal(&[Recipient::X25519 { id: vec![0], key: key.public() }], &[0; 32]).unwrap();
    append(world, *group, PostBody::Commit { commit, welcome: None });
}

fn append(world: &mut World, group: GroupId, body: PostBody) {
    let domain = world.photos.domain().clone();
    assert!(
        (0..20_000)
            .any(|after| world.hub.post(&domain, &Post { group, after, body: body.clone() }) == PostReply::Accepted)
    );
}

fn spoil(envelope: &Envelope, leaves: &[u8]) -> Envelope {
    let mut bytes = envelope.to_bytes();
    for leaf in leaves {
        let part = envelope.split(&[*leaf]).unwrap();
        let at = bytes.windows(48).position(|window| window == part.stanza()).unwrap();
        bytes[at] ^= 1;
    }
    Envelope::from_bytes(&bytes).unwrap()
}

fn own_index(device: &mut Device, group: &GroupId) -> u8 {
    device.client.group(group).unwrap().own_index().0 as u8
}

fn requests(by: &mut Device) -> Vec<RejoinRequest> {
    let asked = |what| if let EventKind::RejoinRequested { request, .. } = what { Some(*request) } else { None };
    by.news().into_iter().filter_map(asked).collect()
}

/// Bob is left behind by the next commit of Maria, honestly told so by later traffic.
fn leave_behind(world: &mut World, [maria, bob, anna]: &mut [Device; 3], group: &GroupId) {
    maria.client.change(group, Change::Heal).unwrap();
    world.sync(maria);
    let honest = bob.pending(&world.hub, group).remove(0);
    let EntryBody::Commit { header, body, .. } = honest.body.clone() else { panic!() };
    bob.receive(&[LogEntry { body: EntryBody::Commit { header, stanza: None, body }, ..honest }]);
    anna.client.change(group, Change::Heal).unwrap();
    world.quiet(&mut [anna, maria, bob]);
    assert_eq!(bob.status(group), Status::Excluded);
}

/// Unauthenticated garbage holds every commit, and what is queued behind it, for as long as anybody talks.
#[test]
fn garbage_in_a_talkative_group_does_not_hold_a_removal_for_an_hour() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    let epoch = maria.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    world.sync(&mut maria);
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    maria.say(&group, "bob is out");
    for i in 0..120 {
        world.sync(&mut anna);
        anna.say(&group, &format!("chat {i}"));
        world.post(&mut anna);
        garbage(&mut world, &group, epoch);
        world.sync(&mut maria);
        if !maria.has(&group, &bob.user) {
            return;
        }
        world.clock.advance(30);
    }
    world.sync(&mut bob);
    panic!("an hour later bob is still in; maria's queue: {}", maria.queued(&group));
}

/// The hold is forgotten at every restart: short-lived processes never commit, and ask again every time.
#[test]
fn a_commit_in_doubt_goes_out_though_the_process_is_short_lived() {
    let (mut world, [mut maria, bob, _anna], group) = three();
    let epoch = maria.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    world.sync(&mut maria);
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    let before = maria.pending(&world.hub, &group).len();
    for _ in 0..200 {
        world.sync(&mut maria);
        world.clock.advance(50);
        maria.restart();
        if !maria.has(&group, &bob.user) {
            return;
        }
    }
    let next = maria.client.group(&group).unwrap().next_entry();
    panic!("after {} s bob is still in; log at {next} (was {before} pending): one question per start", 200 * 50);
}

/// One member seals another out and, staying in the old epoch, "settles" the doubt: messages are lost silently.
#[test]
fn who_is_sealed_out_by_one_member_loses_no_message() {
    let (mut world, mut all, group) = three();
    let [maria, bob, mallory] = &mut all;
    let mut ghost = world.device("ghost");
    ghost.open(mallory.disk.copy());
    mallory.client.change(&group, Change::Heal).unwrap();
    let mut post = mallory.outbox().remove(0);
    let PostBody::Commit { commit, welcome } = post.body else { panic!() };
    post.body = PostBody::Commit { commit: spoil(&commit, &[own_index(bob, &group)]), welcome };
    assert_eq!(world.hub.post(world.photos.domain(), &post), PostReply::Accepted);
    world.sync(maria);
    world.sync(bob);
    // She reads the entry without the fresh keys: she stays, and has "seen" what Bob has.
    world.read(&mut ghost);
    let id = bob.say(&group, "important");
    world.sync(bob);
    assert_eq!(bob.queued(&group), 1, "kept, in doubt");
    ghost.say(&group, "I hear you");
    assert_eq!(world.post(&mut ghost), 1);
    world.sync(bob);
    assert_eq!(bob.status(&group), Status::Active);
    for text in ["one", "two"] {
        maria.say(&group, text);
        world.sync(maria);
    }
    world.sync(bob);
    assert_eq!(bob.status(&group), Status::Excluded);
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    world.sync(maria);
    let request = requests(maria).pop().unwrap();
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    world.quiet(&mut [maria, bob]);
    assert_eq!(bob.status(&group), Status::Active);
    let told = bob.events.iter().any(|e| matches!(e.what, EventKind::MessageDropped { id: of, .. } if of == id));
    assert!(told || maria.messages().iter().any(|(of, ..)| *of == id), "lost, and nobody was told");
}

/// Asking twice: if the first request is granted the device is out for good.
#[test]
fn whoever_asks_twice_is_readmitted_by_either_request() {
    let (mut world, mut all, group) = three();
    leave_behind(&mut world, &mut all, &group);
    let [maria, bob, anna] = &mut all;
    let kept = bob.say(&group, "queued");
    maria.news();
    for _ in 0..2 {
        bob.client.change(&group, Change::Rejoin).unwrap();
        world.sync(bob);
    }
    world.quiet(&mut [maria, anna]);
    let mut asked = requests(maria);
    assert_eq!(asked.len(), 2);
    maria.client.change(&group, Change::Readmit(Box::new(asked.remove(0)))).unwrap();
    for _ in 0..3 {
        world.sync(maria);
        world.sync(anna);
        world.sync(bob);
    }
    // Can he ever come back?
    if bob.status(&group) != Status::Active {
        bob.client.change(&group, Change::Rejoin).unwrap();
        world.sync(bob);
        world.sync(maria);
        assert_eq!(requests(maria).len(), 1, "status {:?}: and no later request can be granted", bob.status(&group));
    }
    assert!(anna.messages().iter().any(|(id, ..)| *id == kept));
}

// 4b. The same by rotating key packages while a request is open.
#[test]
fn replacing_key_packages_leaves_an_open_request_alone() {
    let (mut world, mut all, group) = three();
    leave_behind(&mut world, &mut all, &group);
    let [maria, bob, anna] = &mut all;
    maria.news();
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    bob.client.replace_key_packages(5).unwrap();
    world.sync(maria);
    let request = requests(maria).pop().unwrap();
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    for _ in 0..3 {
        world.sync(maria);
        world.sync(anna);
        world.sync(bob);
    }
    if bob.status(&group) != Status::Active {
        bob.client.change(&group, Change::Rejoin).unwrap();
        world.sync(bob);
        world.sync(maria);
        assert_eq!(requests(maria).len(), 1, "no later request can be granted");
    }
}

// 4c. A store copied back from before a rejoin names an index that is gone.
#[test]
fn a_copy_from_before_a_rejoin_can_rejoin() {
    let (mut world, mut all, group) = three();
    leave_behind(&mut world, &mut all, &group);
    let [maria, bob, anna] = &mut all;
    maria.news();
    let backup = bob.disk.copy();
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    world.sync(maria);
    let request = requests(maria).pop().unwrap();
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    world.quiet(&mut [maria, anna, bob]);
    assert_eq!(bob.status(&group), Status::Active);
    bob.open(backup);
    world.sync(bob);
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    world.sync(maria);
    assert_eq!(requests(maria).len(), 1, "the request names a leaf index that was replaced");
}

/// Garbage plus a pending commit: everything since the garbage is delivered twice.
#[test]
fn a_message_is_delivered_once_though_garbage_came_before_a_pending_commit() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    maria.client.change(&group, Change::Heal).unwrap();
    let _made_but_not_posted = maria.outbox();
    let epoch = maria.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    for device in [&mut maria, &mut anna, &mut bob] {
        world.read(device);
    }
    bob.say(&group, "once");
    world.sync(&mut bob);
    world.read(&mut anna);
    assert_eq!(anna.heard().len(), 1);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    assert_eq!(anna.heard(), [("bob".to_owned(), "once".to_owned())]);
}

/// However often one member asks, it gets one answer.
#[test]
fn questions_of_one_member_do_not_fill_the_queue() {
    let (app, mut hub) = (App::new("a.example").unwrap(), LocalHub::new());
    let mut ada = app.client("ada").unwrap();
    let id = ada.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
    let key = SigningKey::generate(&mut rand::rng());
    let identity = IdentityKey::generate(&mut rand::rng());
    let certified = app.certify("mallory", &identity, (DeviceId::from_bytes([1; 16]), 1), &key).unwrap();
    let options = PackageOptions {
        capabilities: Capabilities::default(),
        validity: Validity::starting(Timestamp::now(), 1_000),
        last_resort: false,
    };
    let (package, secrets) = KeyPackage::create(&certified, &key, options, &mut rand::rng()).unwrap();
    ada.change(&id, Change::Add(vec![UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap()])).unwrap();
    hub.sync(&mut ada).unwrap();
    let welcome = hub.welcomes(&[package.id()]).remove(0);
    let EntryBody::Welcome { commit_header, commit_body, welcome: part, .. } = &welcome.body else { panic!() };
    let joined = Group::join(part, &package, &secrets, (commit_header, commit_body)).unwrap();
    let own = joined.group.own_index();
    let chain_key = joined.chains.into_iter().find(|(leaf, _)| *leaf == own).unwrap().1;
    let mut chain = joined.group.sending_chain(chain_key);
    let mut seq = 2;
    for n in [2_000_u32, 2_000] {
        let mut entries = Vec::new();
        for _ in 0..n {
            let nonce: [u8; 16] = rand::random();
            let content = [&[0x83, 0x50], nonce.as_slice(), &[2, 0xf5]].concat();
            let carried = [&[0x82, 0x50], [0; 16].as_slice(), &[0x40 + content.len() as u8], &content].concat();
            let (frame, next) =
                chain.encrypt(joined.group.context(), &carried, &mut rand::rng()).map_err(|(e, _)| e).unwrap();
            chain = next;
            entries.push(LogEntry { group: id, seq, body: EntryBody::Message(frame) });
            seq += 1;
        }
        ada.receive(&entries).unwrap();
    }
    let queued = ada.group(&id).unwrap().queued();
    assert!(queued <= 10, "{queued} rows of one member's making");
}

/// Once a question went unanswered, `wake_at` is in the past for ever.
#[test]
fn an_app_is_not_woken_for_a_question_that_was_asked_long_ago() {
    let (mut world, [mut maria, _bob, _anna], group) = three();
    let epoch = maria.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    world.sync(&mut maria);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    world.clock.advance(61);
    world.sync(&mut maria);
    assert_eq!((maria.epoch(&group), maria.queued(&group)), (u64::from(epoch) + 1, 0), "there is nothing left to do");
    world.clock.advance(DAY);
    world.sync(&mut maria);
    let wake = maria.client.wake_at().unwrap();
    assert!(
        wake.is_none_or(|at| at > world.clock.now()),
        "{wake:?} at {:?}: an app that waits for it spins",
        world.clock.now()
    );
}

/// A reader answers a question and is told that a message it never wrote was dropped.
#[test]
fn a_reader_is_not_told_of_signs_of_life() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Reader)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    let epoch = maria.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    world.sync(&mut maria);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    world.sync(&mut bob);
    world.clock.advance(31);
    bob.news();
    world.sync(&mut bob);
    let news = bob.news();
    assert!(!news.iter().any(|what| matches!(what, EventKind::MessageDropped { .. })), "{news:?}");
}

/// A welcome and its commit have one sequence number: in one call one of them is thrown away.
#[test]
fn a_welcome_that_comes_together_with_its_commit_is_not_thrown_away() {
    let (mut world, mut all, group) = three();
    leave_behind(&mut world, &mut all, &group);
    let [maria, bob, _anna] = &mut all;
    maria.news();
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    world.sync(maria);
    let request = requests(maria).pop().unwrap();
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    world.sync(maria);
    let welcome = world.hub.welcomes(&bob.client.package_ids().unwrap()).remove(0);
    let commit = bob.pending(&world.hub, &group).pop().unwrap();
    assert_eq!(welcome.seq, commit.seq);
    // A hub that hands each thing out until `receive` returned, once.
    let summary = bob.receive(&[welcome, commit]);
    assert_eq!(bob.status(&group), Status::Active, "{summary:?}");
}

/// Garbage with a welcome to a published key package stops a member's reading for good.
#[test]
fn a_garbage_welcome_does_not_stop_a_member() {
    let (mut world, [mut maria, mut bob, _anna], group) = three();
    let package = bob.package();
    let epoch = bob.epoch(&group) as u8;
    let mut rng = rand::rng();
    let head = [&[0x86, 0x50], group.as_bytes().as_slice(), &[epoch, 0, 0x58, 0x20]].concat();
    let header = [head.as_slice(), &[0; 32], &[0x80, 0x80]].concat();
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, header, &mut rng).unwrap();
    let signed = draft.sign(vec![0], None, b"", &SigningKey::generate(&mut rng)).unwrap();
    let key = SealSecret::generate(&mut rng);
    let commit = signed.seal(&[Recipient::X25519 { id: vec![0], key: key.public() }], &[0; 32]).unwrap();
    let public = [&[0x50], group.as_bytes().as_slice()].concat();
    let draft = Draft::new(EnvelopeType::Welcome, Suite::One, public, &mut rng).unwrap();
    let signed = draft.sign(vec![0], None, b"", &SigningKey::generate(&mut rng)).unwrap();
    let verified = bob.client.key_packages(1).unwrap().remove(0);
    let id = package.id().as_bytes().to_vec();
    let welcome = signed.seal(&[Recipient::XWing { id, key: verified.init_key() }], &[]).unwrap();
    append(&mut world, group, PostBody::Commit { commit, welcome: Some(welcome) });
    maria.say(&group, "hello");
    world.sync(&mut maria);
    world.post(&mut maria);
    for _ in 0..10 {
        // The mailbox first, then the welcomes: any order will do, says `receive`.
        let mut entries = bob.pending(&world.hub, &group);
        entries.extend(world.hub.welcomes(&bob.client.package_ids().unwrap()));
        bob.receive(&entries);
    }
    let news = bob.news();
    assert_eq!(bob.heard().len(), 1, "bob reads nothing any more: {news:?}");
}

/// A request outlives the doubt it was made in.
#[test]
fn a_request_ends_with_the_doubt() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    let epoch = bob.epoch(&group) as u8;
    garbage(&mut world, &group, epoch);
    world.read(&mut bob);
    bob.client.change(&group, Change::Rejoin).unwrap();
    maria.news();
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    let request = requests(&mut maria).pop().unwrap();
    maria.say(&group, "it was garbage");
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    let index = own_index(&mut bob, &group);
    world.clock.advance(5 * DAY);
    assert_eq!(maria.refused(&group, Change::Readmit(Box::new(request))), ErrorKind::Expired);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    assert_eq!((bob.status(&group), own_index(&mut bob, &group)), (Status::Active, index));
}

/// A member who keeps an old copy of herself, and shuts another out of her own commit, cannot by one word from the copy
/// make her victim believe that all is well.
#[test]
fn one_member_alone_does_not_end_a_doubt() {
    let (mut world, [mut maria, mut bob, mut mallory], group) = three();
    let mut ghost = world.device("ghost");
    ghost.open(mallory.disk.copy());
    mallory.client.change(&group, Change::Heal).unwrap();
    let mut post = mallory.outbox().remove(0);
    let PostBody::Commit { commit, welcome } = post.body else { panic!() };
    post.body = PostBody::Commit { commit: spoil(&commit, &[own_index(&mut maria, &group)]), welcome };
    assert_eq!(world.hub.post(world.photos.domain(), &post), PostReply::Accepted);
    world.sync(&mut bob);
    world.sync(&mut maria);
    world.read(&mut ghost);
    ghost.say(&group, "all is well");
    world.post(&mut ghost);
    world.sync(&mut maria);
    let epoch = maria.epoch(&group);
    maria.client.change(&group, Change::Remove(mallory.user.clone())).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.epoch(&group), epoch, "her commit waits for an answer");
    for i in 0..2 {
        bob.say(&group, &format!("hello {i}"));
        world.sync(&mut bob);
        world.sync(&mut maria);
    }
    assert_eq!(maria.status(&group), Status::Excluded);
    maria.client.change(&group, Change::Rejoin).unwrap();
    world.sync(&mut maria);
    bob.news();
    world.sync(&mut bob);
    assert_eq!(requests(&mut bob).len(), 1, "the others can read her request");
}

/// Nor does an honest word help her that was said before she shut the victim out.
#[test]
fn a_word_said_before_the_last_sign_does_not_end_a_doubt() {
    let (mut world, [mut maria, mut bob, mut mallory], group) = three();
    let epoch = maria.epoch(&group);
    garbage(&mut world, &group, epoch as u8);
    world.sync(&mut maria);
    world.sync(&mut bob);
    world.sync(&mut mallory);
    bob.say(&group, "honest");
    maria.say(&group, "honest too");
    world.sync(&mut bob);
    world.sync(&mut maria);
    world.sync(&mut mallory);
    world.sync(&mut maria);
    let mut ghost = world.device("ghost");
    ghost.open(mallory.disk.copy());
    mallory.client.change(&group, Change::Heal).unwrap();
    let mut post = mallory.outbox().remove(0);
    let PostBody::Commit { commit, welcome } = post.body else { panic!() };
    post.body = PostBody::Commit { commit: spoil(&commit, &[own_index(&mut maria, &group)]), welcome };
    assert_eq!(world.hub.post(world.photos.domain(), &post), PostReply::Accepted);
    world.sync(&mut bob);
    world.sync(&mut maria);
    world.read(&mut ghost);
    ghost.say(&group, "all is well");
    world.post(&mut ghost);
    world.sync(&mut maria);
    maria.client.change(&group, Change::Remove(mallory.user.clone())).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.epoch(&group), epoch, "her commit waits for an answer");
}

#[test]
fn a_device_that_has_stopped_exports_nothing() {
    let (mut world, [mut maria, mut bob, _anna], group) = three();
    let backup = bob.disk.copy();
    bob.say(&group, "later");
    world.quiet(&mut [&mut bob, &mut maria]);
    bob.open(backup);
    world.read(&mut bob);
    assert_eq!(bob.status(&group), Status::RolledBack);
    assert!(bob.client.group(&group).unwrap().export("call", b"").is_err());
}

/// Where a device has been told of a message, its own or another's.
fn places(device: &Device, wanted: MessageId) -> Vec<u64> {
    let is_it = |what: &EventKind| match what {
        EventKind::Message { id, .. } | EventKind::Sent { id, .. } => *id == wanted,
        _ => false,
    };
    device.events.iter().filter(|event| is_it(&event.what)).map(|event| event.seq).collect()
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
    let request = requests(&mut maria).remove(0);
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
