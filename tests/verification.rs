//! Whom a user has made sure of: marks, what drops them, and what is said when a key changes.

mod support;

use convivio::client::{Change, EventKind, Verification};
use convivio::group::GroupComparison;
use convivio::identity::QrComparison;
use convivio::log::{EntryBody, LogEntry, PostBody};
use convivio::{ErrorKind, GroupId, VerifyKey};
use support::*;

/// What a device shows to another user, as a QR code.
fn code(device: &mut Device, group: &GroupId, other: &Device) -> Vec<u8> {
    device.client.group(group).unwrap().safety_number(&other.user).unwrap().qr()
}

/// Somebody for whom Bob's app vouches under his name.
fn somebody(world: &mut World) -> Device {
    let mut other = World::with_faults(Default::default(), 99);
    core::mem::swap(&mut other.courier, &mut world.courier);
    let device = other.device_of(1, "bob");
    core::mem::swap(&mut other.courier, &mut world.courier);
    device
}

fn pair() -> (World, Device, Device, GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    (world, maria, bob, group)
}

#[test]
fn a_match_marks_the_key_for_every_group_and_across_restarts() {
    let (mut world, mut maria, mut bob, group) = pair();
    let mut anna = world.device("anna");
    world.bring_in(group, &mut maria, &mut [&mut anna]);
    assert_eq!(maria.client.verification(&bob.user).unwrap(), Verification::Pinned);
    let stranger = world.device_of(2, "eve");
    assert_eq!(maria.client.verification(&stranger.user).unwrap(), Verification::Unknown);

    // Anna's code, shown for Bob's, is of other users; a code that is none is malformed; and nothing is marked.
    let annas = code(&mut anna, &group, &maria);
    assert_eq!(maria.client.verify_user(&group, &bob.user, &annas).unwrap(), QrComparison::OtherUsers);
    assert_eq!(maria.client.verify_user(&group, &bob.user, b"?").unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(maria.client.verification(&bob.user).unwrap(), Verification::Pinned);

    let bobs = code(&mut bob, &group, &maria);
    assert_eq!(maria.client.verify_user(&group, &bob.user, &bobs).unwrap(), QrComparison::Match);
    maria.restart();
    assert_eq!(maria.client.verification(&bob.user).unwrap(), Verification::Verified);
    assert_eq!(bob.client.verification(&maria.user).unwrap(), Verification::Pinned, "a mark is of one device");
    // Digits that were read out to each other do as well.
    let key = bob.client.group(&group).unwrap().state().user(&maria.user).unwrap().identity.clone();
    bob.client.mark_verified(&maria.user, &key).unwrap();
    assert_eq!(bob.client.verification(&maria.user).unwrap(), Verification::Verified);
    bob.client.unverify(&maria.user).unwrap();
    assert_eq!(bob.client.verification(&maria.user).unwrap(), Verification::Pinned);
    // To accept the same key once more takes no mark off.
    let bobs = bob.client.identity().unwrap().identity_key().clone();
    maria.client.accept_identity(&bob.user, &bobs).unwrap();
    assert_eq!(maria.client.verification(&bob.user).unwrap(), Verification::Verified);
}

#[test]
fn a_user_is_verified_in_a_group_they_are_in_and_nobody_verifies_themselves() {
    let (mut world, mut maria, mut bob, group) = pair();
    let (own, stranger) = (maria.user.clone(), world.device_of(2, "eve"));
    let (code, key) = (code(&mut bob, &group, &maria), bob.client.identity().unwrap().identity_key().clone());
    assert_eq!(maria.client.verify_user(&group, &stranger.user, &code).unwrap_err().kind(), ErrorKind::NotMember);
    let nowhere = GroupId::from_bytes([1; 16]);
    assert_eq!(maria.client.verify_user(&nowhere, &bob.user, &code).unwrap_err().kind(), ErrorKind::UnknownGroup);
    let records = maria.disk.records();
    assert_eq!(maria.client.mark_verified(&own, &key).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(maria.client.verification(&own).unwrap_err().kind(), ErrorKind::Misuse);
    let shown = maria.client.group(&group).unwrap().safety_number(&own).unwrap().qr();
    assert_eq!(maria.client.verify_user(&group, &own, &shown).unwrap_err().kind(), ErrorKind::Misuse);
    maria.client.unverify(&stranger.user).unwrap();
    assert_eq!(maria.disk.records(), records);
}

/// Puts somebody else in Bob's place, by his app's word.
fn take_bobs_place(world: &mut World, maria: &mut Device, bob: &Device, group: &GroupId) -> (Device, VerifyKey) {
    let mut device = somebody(world);
    let package = device.package();
    maria.client.change(group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(maria);
    maria.news();
    maria.client.change(group, Change::Add(vec![package])).unwrap();
    world.sync(maria);
    let key = device.client.identity().unwrap().identity_key().clone();
    (device, key)
}

#[test]
fn a_changed_key_is_told_more_sternly_of_a_verified_user() {
    for verified in [false, true] {
        let (mut world, mut maria, mut bob, group) = pair();
        if verified {
            let bobs = code(&mut bob, &group, &maria);
            maria.client.verify_user(&group, &bob.user, &bobs).unwrap();
        }
        let (_, key) = take_bobs_place(&mut world, &mut maria, &bob, &group);
        let told = EventKind::IdentityChanged { user: bob.user.clone(), verified };
        let news = maria.news();
        assert!(news.contains(&told), "{news:?}");
        assert_eq!(told.next_step().unwrap().contains("you had verified this user"), verified);
        let changed = Verification::Changed { was_verified: verified, groups: vec![group] };
        assert_eq!(maria.client.verification(&bob.user).unwrap(), changed);
        maria.restart();
        // The right Bob's code does not match, and changes nothing; nothing is blocked either.
        let bobs = code(&mut bob, &group, &maria);
        assert_eq!(maria.client.verify_user(&group, &bob.user, &bobs).unwrap(), QrComparison::Mismatch);
        assert_eq!(maria.client.verification(&bob.user).unwrap(), changed);
        maria.say(&group, "is it you?");
        world.sync(&mut maria);
        assert_eq!(maria.queued(&group), 0);
        // To accept the new key is not to have compared it.
        maria.client.accept_identity(&bob.user, &key).unwrap();
        assert_eq!(maria.client.verification(&bob.user).unwrap(), Verification::Pinned);
    }
}

/// He had a new phone after all, and shows it: one comparison accepts and marks the new key.
#[test]
fn a_new_key_that_matches_is_accepted_with_the_comparison() {
    let (mut world, mut maria, bob, group) = pair();
    let (mut new, _) = take_bobs_place(&mut world, &mut maria, &bob, &group);
    world.enter(&mut new);
    let shown = code(&mut new, &group, &maria);
    assert!(matches!(maria.client.verification(&bob.user).unwrap(), Verification::Changed { .. }));
    assert_eq!(maria.client.verify_user(&group, &bob.user, &shown).unwrap(), QrComparison::Match);
    assert_eq!(maria.client.verification(&bob.user).unwrap(), Verification::Verified);
}

#[test]
fn members_of_one_history_have_one_number_for_the_group() {
    let (mut world, mut maria, mut bob, group) = pair();
    let digits = |device: &mut Device| device.client.group(&group).unwrap().authenticator_digits().unwrap();
    let (marias, bobs) = (digits(&mut maria), digits(&mut bob));
    assert_eq!((marias.digits(), marias.digits().len()), (bobs.digits(), 60));
    assert_eq!(marias.to_string().split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
    assert!(marias.digits()[..30] != marias.digits()[30..]);
    assert_eq!(marias.compare_qr(&bobs.qr()).unwrap(), GroupComparison::Match);
    // Maria goes on, Bob has not read it yet.
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    let ahead = digits(&mut maria);
    assert_ne!(ahead.digits(), bobs.digits());
    assert_eq!(ahead.compare_qr(&bobs.qr()).unwrap(), GroupComparison::OtherEpoch);
    world.sync(&mut bob);
    assert_eq!(digits(&mut bob).compare_qr(&ahead.qr()).unwrap(), GroupComparison::Match);
    // Another group, and what is no code.
    let other = world.group(&mut maria, &mut []);
    let others = maria.client.group(&other).unwrap().authenticator_digits().unwrap();
    assert_eq!(ahead.compare_qr(&others.qr()).unwrap(), GroupComparison::OtherGroup);
    let safety = code(&mut bob, &group, &maria);
    assert_eq!(ahead.compare_qr(&safety).unwrap_err().kind(), ErrorKind::Malformed);
    let mut newer = ahead.qr();
    newer[16] = 2;
    assert_eq!(ahead.compare_qr(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
    // Out of the group there is nothing to compare.
    let bob_user = bob.user.clone();
    maria.client.change(&group, Change::Remove(bob_user)).unwrap();
    world.sync(&mut maria);
    world.sync(&mut bob);
    let gone = bob.client.group(&group).unwrap().authenticator_digits().map(drop);
    assert_eq!(gone.map_err(|error| error.kind()), Ok(()), "so says the hub; he still reads and writes his epoch");
}

/// Two hubs, or one with two faces: each half of the group goes on with a commit of its own.
#[test]
fn a_parted_group_has_two_numbers() {
    let (mut world, mut maria, mut bob, group) = pair();
    let mut twin = maria.twin();
    // With randomness of its own from here on.
    twin.restart();
    maria.client.change(&group, Change::Heal).unwrap();
    twin.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    // What the twin posts is shown to nobody but itself.
    let posts = twin.client.outbox(9).unwrap();
    let PostBody::Commit { commit, .. } = &posts[0].body else { panic!("not a commit") };
    let (header, body) = (commit.header().bytes().to_vec(), commit.body().to_vec());
    let seq = twin.client.group(&group).unwrap().next_entry();
    twin.receive(&[LogEntry { group, seq, body: EntryBody::Commit { header, stanza: None, body } }]);
    let digits = |device: &mut Device| device.client.group(&group).unwrap().authenticator_digits().unwrap();
    let (one, other) = (digits(&mut maria), digits(&mut twin));
    assert_ne!(one.digits(), other.digits());
    assert_eq!(one.compare_qr(&other.qr()).unwrap(), GroupComparison::Mismatch);
    world.sync(&mut bob);
    assert_eq!(digits(&mut bob).compare_qr(&one.qr()).unwrap(), GroupComparison::Match);
    assert_eq!(digits(&mut bob).compare_qr(&other.qr()).unwrap(), GroupComparison::Mismatch);
}
