//! What a member can try who holds an epoch's keys and builds every part alone, through the group pillar's public doors.

// Clippy allows these in test functions, but not in the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use convivio::client::{Answer, Change, EventKind, Status};
use convivio::envelope::{Draft, Envelope, EnvelopeType, Opener, Recipient, open};
use convivio::group::{Actor, Group, GroupInfo, NewCommit, Occasion, Proposal, Rejected};
use convivio::identity::{
    Capabilities, DeviceIdentity, IdentityKey, KeyPackage, KeyPackageSecrets, PackageOptions, UnverifiedKeyPackage,
};
use convivio::log::{EntryBody, Post, PostBody, PostReply};
use convivio::testing::{App, LocalHub};
use convivio::{DeviceId, ErrorKind, LeafIndex, SealSecret, SigningKey, Suite, Timestamp, Validity};

type Device = (DeviceIdentity, SigningKey, Capabilities);

fn device(app: &App, name: &str, identity: &IdentityKey, serial: u64) -> Device {
    let key = SigningKey::generate(&mut rand::rng());
    let certified = app.certify(name, identity, (DeviceId::from_bytes([1; 16]), serial), &key).unwrap();
    (certified, key, Capabilities::default())
}

fn new_device(app: &App, name: &str) -> Device {
    device(app, name, &IdentityKey::generate(&mut rand::rng()), 1)
}

fn actor((identity, key, capabilities): &Device) -> Actor<'_> {
    Actor { identity, signer: key, capabilities }
}

fn package((identity, key, capabilities): &Device) -> (KeyPackage, KeyPackageSecrets) {
    let validity = Validity::starting(Timestamp::now(), 1_000);
    let options = PackageOptions { capabilities: capabilities.clone(), validity, last_resort: false };
    KeyPackage::create(identity, key, options, &mut rand::rng()).unwrap()
}

fn unverified(package: &KeyPackage) -> UnverifiedKeyPackage {
    UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap()
}

fn found(app: &App, device: &Device) -> Group {
    let (policy, now) = (App::policy(&[app]).unwrap(), Timestamp::now());
    Group::create(actor(device), policy, GroupInfo::default(), now, &mut rand::rng()).unwrap().group
}

fn commit(group: &Group, device: &Device, add: &[&KeyPackage]) -> convivio::Result<NewCommit> {
    let proposals = add.iter().map(|package| Proposal::Add(unverified(package).leaf().clone())).collect();
    let init_keys = add.iter().map(|package| (package.id(), package.init_key().clone())).collect::<BTreeMap<_, _>>();
    group.commit(
        proposals,
        &init_keys,
        Occasion { time: Timestamp::now(), seen: [0; 32] },
        actor(device),
        &mut rand::rng(),
    )
}

#[test]
fn a_member_who_claims_another_history_stops_nobody() {
    // Otherwise a single member could stop a whole group for ever: nobody would be left to readmit the others.
    let (app, mut hub) = (App::new("a.example").unwrap(), LocalHub::new());
    let mut ada = app.client("ada").unwrap();
    let id = ada.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
    let mallory = new_device(&app, "mallory");
    let (package, secrets) = package(&mallory);
    ada.change(&id, Change::Add(vec![unverified(&package)])).unwrap();
    hub.sync(&mut ada).unwrap();

    let welcome = hub.welcomes(&[package.id()]).remove(0);
    let EntryBody::Welcome { commit_header, commit_body, welcome: part, .. } = &welcome.body else { panic!() };
    let joined = Group::join(part, &package, &secrets, (commit_header, commit_body)).unwrap();
    // The transcript hash is the last thing in a saved group.
    let mut saved = joined.group.to_secret_bytes();
    let at = saved.len() - 32;
    saved[at..].copy_from_slice(&[9; 32]);
    let other = Group::from_secret_bytes(&saved).unwrap();
    let forged = commit(&other, &mallory, &[]).unwrap().envelope;
    hub.post(app.domain(), &Post { group: id, after: 1, body: PostBody::Commit { commit: forged, welcome: None } });

    let events = hub.sync(&mut ada).unwrap();
    assert!(events.iter().any(|event| event.what == EventKind::ForkSuspected), "{events:?}");
    assert_eq!(ada.group(&id).unwrap().status(), Status::Active);
    ada.change(&id, Change::Heal).unwrap();
    hub.sync(&mut ada).unwrap();
    assert_eq!(ada.group(&id).unwrap().state().epoch().0, 2);
}

#[test]
fn a_committer_does_not_go_back_to_an_earlier_certificate() {
    let app = App::new("a.example").unwrap();
    let identity = IdentityKey::generate(&mut rand::rng());
    let (stolen, present) = (device(&app, "ada", &identity, 1), device(&app, "ada", &identity, 2));
    let group = found(&app, &present);
    assert_eq!(commit(&group, &stolen, &[]).unwrap_err().kind(), ErrorKind::NotAllowed);
    let renewed = device(&app, "ada", &identity, 2);
    assert!(commit(&group, &renewed, &[]).is_ok());
}

/// A member's commit that holds another payload. It is signed, but not confirmed: the rules come first.
fn with_payload(
    made: &NewCommit,
    by: u8,
    to: (u8, &Group),
    signing: &SigningKey,
    change: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Rejected {
    let opener = Opener::X25519(&made.fresh.seal);
    let opened = open(&made.envelope.split(&[by]).unwrap(), EnvelopeType::Commit, opener, &[by]).unwrap();
    let opened = opened.verify(signing.verify_key()).unwrap();
    let public = opened.header().public().to_vec();
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, public, &mut rand::rng()).unwrap();
    let signed = draft.sign(vec![by], None, &change(opened.payload()), signing).unwrap();
    let (reader, group) = to;
    let key = group.state().leaf(LeafIndex(reader.into())).unwrap().seal_key();
    let commit = signed.seal(&[Recipient::X25519 { id: vec![reader], key }], &[0; 32]).unwrap();
    group.process(&commit.split(&[reader]).unwrap(), None).unwrap_err()
}

#[test]
fn a_commit_repeats_its_committers_identity_exactly_if_it_changed() {
    let app = App::new("a.example").unwrap();
    let (ada, identity) = (new_device(&app, "ada"), IdentityKey::generate(&mut rand::rng()));
    let mut bob = device(&app, "bob", &identity, 1);
    let group = found(&app, &ada);
    let (package, secrets) = package(&bob);
    let made = commit(&group, &ada, &[&package]).unwrap();
    let group = group.process(&made.envelope.split(&[0]).unwrap(), Some(&made.fresh)).unwrap().group;
    let welcome = made.welcome.as_ref().unwrap().split(package.id().as_bytes()).unwrap();
    let entry = (made.envelope.header().bytes(), made.envelope.body());
    let joined = Group::join(&welcome, &package, &secrets, entry).unwrap().group;
    let reject = |made: &NewCommit, change: &dyn Fn(&[u8]) -> Vec<u8>| {
        with_payload(made, 1, (0, &group), &secrets.signing, change)
    };
    let item = |identity: &DeviceIdentity| {
        let identity = identity.to_bytes();
        [&[0x59], &u16::try_from(identity.len()).unwrap().to_be_bytes()[..], &identity].concat()
    };
    let malformed = |rejected| matches!(rejected, Rejected::Invalid(error) if error.kind() == ErrorKind::Malformed);

    // The same credential and certificate: null, which ends the payload.
    let known = item(&bob.0);
    let same = commit(&joined, &bob, &[]).unwrap();
    assert!(matches!(reject(&same, &|payload| payload.to_vec()), Rejected::Unopened(_)));
    assert!(malformed(reject(&same, &|payload| [payload.strip_suffix(&[0xf6]).unwrap(), &known].concat())));
    assert!(group.process(&same.envelope.split(&[0]).unwrap(), None).is_ok());

    // Another certificate for the same key: the new identity.
    let certified = app.certify("bob", &identity, (DeviceId::from_bytes([1; 16]), 2), &bob.1).unwrap();
    bob.0 = certified;
    let new = item(&bob.0);
    let renewed = commit(&joined, &bob, &[]).unwrap();
    assert!(matches!(reject(&renewed, &|payload| payload.to_vec()), Rejected::Unopened(_)));
    for wrong in [&[0xf6][..], &known] {
        assert!(malformed(reject(&renewed, &|payload| [payload.strip_suffix(&new[..]).unwrap(), wrong].concat())));
    }
    let next = group.process(&renewed.envelope.split(&[0]).unwrap(), None).unwrap().group;
    assert_eq!(next.state().leaf(LeafIndex(1)).unwrap().serial(), 2);
    assert_eq!(next.state().leaf(LeafIndex(1)).unwrap().identity(), &bob.0);
}

#[test]
fn a_welcome_has_one_encoding() {
    let app = App::new("a.example").unwrap();
    let ada = new_device(&app, "ada");
    let group = found(&app, &ada);
    let (bob, secrets) = package(&new_device(&app, "bob"));
    let made = commit(&group, &ada, &[&bob]).unwrap();
    let (id, sender) = (bob.id().as_bytes().to_vec(), vec![0]);
    let join = |payload: &[u8]| {
        let group_id = [&[0x50], group.state().group().as_bytes().as_slice()].concat();
        let draft = Draft::new(EnvelopeType::Welcome, Suite::One, group_id, &mut rand::rng()).unwrap();
        let signed = draft.sign(sender.clone(), None, payload, &made.fresh.signing).unwrap();
        let to = [Recipient::XWing { id: id.clone(), key: bob.init_key() }];
        let welcome = signed.seal(&to, &[]).unwrap().split(&id).unwrap();
        Group::join(&welcome, &bob, &secrets, (made.envelope.header().bytes(), made.envelope.body()))
    };

    let part = made.welcome.as_ref().unwrap().split(&id).unwrap();
    let opener = Opener::XWing { secret: &secrets.init, public: None };
    let opened = open(&part, EnvelopeType::Welcome, opener, &id).unwrap();
    let opened = opened.verify(made.fresh.signing.verify_key()).unwrap();
    let payload = opened.payload();
    assert!(join(payload).is_ok());
    // The state's version and suite, both 1, and the head of the group id.
    let at = payload.windows(4).position(|four| four == [0x8c, 1, 1, 0x50]).unwrap();
    let longer = [&payload[..=at], &[0x18, 1], &payload[at + 2..]].concat();
    assert_eq!(join(&longer).unwrap_err().kind(), ErrorKind::Malformed);
}

/// A commit that nobody can open, as whoever may post to the hub can make it.
fn garbage(group: &convivio::GroupId, epoch: u8, after: u64) -> Post {
    let mut rng = rand::rng();
    // [group id, epoch, time, nothing seen, no mailboxes opened, none dropped]
    let head = [&[0x86, 0x50], group.as_bytes().as_slice(), &[epoch, 0, 0x58, 0x20]].concat();
    let header = [head.as_slice(), &[0; 32], &[0x80, 0x80]].concat();
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, header, &mut rng).unwrap();
    let signed = draft.sign(vec![0], None, b"", &SigningKey::generate(&mut rng)).unwrap();
    let key = SealSecret::generate(&mut rng);
    let commit = signed.seal(&[Recipient::X25519 { id: vec![0], key: key.public() }], &[0; 32]).unwrap();
    Post { group: *group, after, body: PostBody::Commit { commit, welcome: None } }
}

#[test]
fn an_own_commit_in_an_unsettled_epoch_does_not_confuse_echoes() {
    // The echo of the first message is kept until it is settled; the next epoch counts generations from 0 again.
    let (app, mut hub) = (App::new("a.example").unwrap(), LocalHub::new());
    let mut ada = app.client("ada").unwrap();
    let id = ada.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
    hub.sync(&mut ada).unwrap();
    hub.post(app.domain(), &garbage(&id, 0, 0));
    hub.sync(&mut ada).unwrap();
    ada.send(&id, b"one").unwrap();
    hub.sync(&mut ada).unwrap();
    ada.change(&id, Change::Heal).unwrap();
    hub.sync(&mut ada).unwrap();
    assert_eq!(ada.group(&id).unwrap().state().epoch().0, 1);
    ada.send(&id, b"two").unwrap();
    let events = hub.sync(&mut ada).unwrap();
    assert!(!events.iter().any(|event| event.what == EventKind::CloneSuspected), "{events:?}");
}

/// The envelope with the stanzas of these leaves spoilt.
fn spoil(envelope: &Envelope, leaves: &[u8]) -> Envelope {
    let mut bytes = envelope.to_bytes();
    for leaf in leaves {
        let part = envelope.split(&[*leaf]).unwrap();
        let at = bytes.windows(48).position(|window| window == part.stanza()).unwrap();
        bytes[at] ^= 1;
    }
    Envelope::from_bytes(&bytes).unwrap()
}

#[test]
fn two_who_were_sealed_out_together_notice() {
    // Each takes the other's message for a sign that the commit was void for everyone; the others' entries say otherwise.
    let (app, mut hub) = (App::new("a.example").unwrap(), LocalHub::new());
    let mut ada = app.client("ada").unwrap();
    let (mut bob, mut carol) = (app.client("bob").unwrap(), app.client("carol").unwrap());
    let id = ada.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
    let mallory = new_device(&app, "mallory");
    let (package, secrets) = package(&mallory);
    let others = [bob.key_packages(1).unwrap().remove(0), carol.key_packages(1).unwrap().remove(0)];
    let packages = [&package, &others[0], &others[1]].map(unverified).to_vec();
    ada.change(&id, Change::Add(packages)).unwrap();
    hub.sync(&mut ada).unwrap();
    for client in [&mut bob, &mut carol] {
        hub.sync(client).unwrap();
        client.answer(&id, Answer::Accept).unwrap();
    }

    let welcome = hub.welcomes(&[package.id()]).remove(0);
    let EntryBody::Welcome { commit_header, commit_body, welcome: part, .. } = &welcome.body else { panic!() };
    let joined = Group::join(part, &package, &secrets, (commit_header, commit_body)).unwrap();
    let leaves = [&mut bob, &mut carol].map(|client| client.group(&id).unwrap().own_index().0 as u8);
    let commit = spoil(&commit(&joined.group, &mallory, &[]).unwrap().envelope, &leaves);
    hub.post(app.domain(), &Post { group: id, after: 1, body: PostBody::Commit { commit, welcome: None } });
    hub.sync(&mut ada).unwrap();
    assert_eq!(ada.group(&id).unwrap().state().epoch().0, 2);

    bob.send(&id, b"is anybody there?").unwrap();
    carol.send(&id, b"I am").unwrap();
    for _ in 0..2 {
        hub.sync(&mut bob).unwrap();
        hub.sync(&mut carol).unwrap();
    }
    for text in [b"one", b"two"] {
        ada.send(&id, text).unwrap();
        hub.sync(&mut ada).unwrap();
    }
    for client in [&mut bob, &mut carol] {
        hub.sync(client).unwrap();
        assert_eq!(client.group(&id).unwrap().status(), Status::Excluded);
    }
}

#[test]
fn a_log_that_exists_is_not_opened_again() {
    let (app, mut hub) = (App::new("a.example").unwrap(), LocalHub::new());
    let mut ada = app.client("ada").unwrap();
    let id = ada.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
    let mut post = ada.outbox(1).unwrap().remove(0);
    assert_eq!(hub.post(app.domain(), &post), PostReply::Accepted);
    assert_eq!(hub.post(app.domain(), &post), PostReply::Accepted);
    post.body = PostBody::Create { leaf: LeafIndex(7), domain: app.domain().clone() };
    assert_eq!(post.group, id);
    assert_eq!(hub.post(app.domain(), &post), PostReply::Refused);
}
