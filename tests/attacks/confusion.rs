//! Row 21, objects: one thing where another is expected.

use std::collections::{BTreeMap, BTreeSet};

use convivio::client::{Event, EventKind};
use convivio::content::{Content, Conversation, Posted};
use convivio::envelope::{
    Draft, Envelope, EnvelopeFor, EnvelopeType, Header, Opener, Recipient, ReplayGuard, open, open_from, seal_to,
};
use convivio::group::{CommitHeader, Effect, Group, GroupInfo, JoinRequest, Policy, RejoinRequest};
use convivio::identity::{
    AppKeyCertificate, Capabilities, Credential, DeviceCertificate, Revocation, SafetyNumber, TrustedApps,
    UnverifiedDeviceIdentity, UnverifiedKeyPackage, UnverifiedLeaf,
};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, Stamp};
use convivio::ratchet::{Frame, SenderKey, SendingChain};
use convivio::report::{Evidence, Report};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, LeafIndex, SealSecret, Secret, SigningKey, Suite};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::kit::Value;
use crate::kit::cbor::array;
use crate::kit::envelope::{REQUEST, Sealer};
use crate::kit::leaf::{LeafPlan, refreshed};
use crate::witness::Pair;

type Accepts = fn(&[u8]) -> bool;

macro_rules! decoders {
    ($($name:ident),+) => { vec![$((stringify!($name), (|bytes| $name::from_bytes(bytes).is_ok()) as Accepts)),+] };
}

/// Everything that reads bytes of others or of a store into a typed object. Raw keys, ids and names have no form of their
/// own: they stand at fixed places inside these.
fn decoders() -> Vec<(&'static str, Accepts)> {
    let mut all = decoders!(
        AppKeyCertificate,
        Capabilities,
        Content,
        Conversation,
        Credential,
        DeviceCertificate,
        Effect,
        Envelope,
        EnvelopeFor,
        Event,
        Evidence,
        GroupInfo,
        JoinRequest,
        LogEntry,
        Policy,
        Post,
        RejoinRequest,
        ReplayGuard,
        Posted,
        Report,
        Revocation,
        Stamp,
        TrustedApps,
        UnverifiedDeviceIdentity,
        UnverifiedKeyPackage,
        UnverifiedLeaf
    );
    all.push(("Frame", |bytes| Frame::parse(bytes).is_ok()));
    all.push(("Group", |bytes| Group::from_secret_bytes(bytes).is_ok()));
    all.push(("Header", |bytes| Header::decode(bytes).is_ok()));
    all.push(("CommitHeader", |bytes| CommitHeader::from_envelope_header(bytes).is_ok()));
    all.push(("SafetyNumber", |bytes| qr("ada", "bob").compare_qr(bytes).is_ok()));
    all.push(("DeviceOffer", |bytes| DeviceOffer::from_secret_bytes(bytes).is_ok()));
    all.push(("AuthenticatorDigits", |bytes| digits().compare_qr(bytes).is_ok()));
    all.push(("SenderKey", |bytes| SenderKey::from_secret_bytes(bytes).is_ok()));
    all
}

fn qr(ours: &str, theirs: &str) -> SafetyNumber {
    let key = |name: &str| SigningKey::from_seed(&[name.len() as u8 + name.as_bytes()[0]; 32]).verify_key().clone();
    let user = |name: &str| format!("mimi://photos.example/u/{name}").parse().unwrap();
    SafetyNumber::new(&user(ours), &key(ours), &user(theirs), &key(theirs))
}

/// The digits of a group of one.
fn digits() -> convivio::group::AuthenticatorDigits {
    let app = App::new("photos.example").unwrap();
    let mut ada = app.client("ada").unwrap();
    let group = ada.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
    ada.group(&group).unwrap().authenticator_digits().unwrap()
}

/// An object: what it is, who may read it, its bytes.
type Objects = Vec<(&'static str, &'static [&'static str], Vec<u8>)>;

fn sealed(kind: EnvelopeType, to: &SealSecret, id: &[u8]) -> Envelope {
    let draft = Draft::new(kind, Suite::One, vec![1], &mut StdRng::seed_from_u64(3)).unwrap();
    let named = matches!(kind, EnvelopeType::Standalone | EnvelopeType::Request | EnvelopeType::Join);
    let tail: &[u8] = if kind == EnvelopeType::Commit { &[9; 32] } else { &[] };
    let key = SigningKey::from_seed(&[5; 32]);
    let signed = draft.sign(vec![0], named.then(|| vec![id.to_vec()]), b"payload", &key).unwrap();
    signed.seal(&[Recipient::X25519 { id: id.to_vec(), key: to.public() }], tail).unwrap()
}

fn identity_objects(pair: &mut Pair) -> Objects {
    let device = pair.insider_maria().device_identity();
    let package = pair.maria.package();
    let leaf = package.leaf().to_bytes();
    let (user, now, world) = (&pair.maria.user, pair.world.clock.now(), &pair.world);
    let of_user = world.photos.key().revoke(user, device.identity_key(), now).unwrap().to_bytes();
    let of_device = world.identity(0, "maria").revoke_device(user, device.device(), 1, now).unwrap().to_bytes();
    let (mut rng, identity) = (StdRng::seed_from_u64(3), pair.world.identity_of(0, "maria"));
    let offer = NewDevice::begin(&mut rng).offer();
    let answering = Answering { serial: 2, now: crate::support::START, transfer: Transfer::Stay };
    let answer = offer.answer(&device, &identity, answering, &mut rng).unwrap();
    vec![
        ("an app key certificate", &["AppKeyCertificate"], device.credential().app_key_certificate().to_bytes()),
        ("a credential", &["Credential"], device.credential().to_bytes()),
        ("a device certificate", &["DeviceCertificate"], device.certificate().to_bytes()),
        ("a device identity", &["UnverifiedDeviceIdentity"], device.to_bytes()),
        ("a leaf", &["UnverifiedLeaf"], leaf.clone()),
        ("a refreshed leaf", &[], refreshed(&leaf).encode()),
        ("the body of a leaf", &[], LeafPlan::like(&leaf).body()),
        ("a key package", &["UnverifiedKeyPackage"], package.to_bytes()),
        ("capabilities", &["Capabilities"], Capabilities::new(&[Suite::One], &[3, 7]).unwrap().to_bytes()),
        ("trusted apps", &["TrustedApps"], App::trust(&[&pair.world.photos]).unwrap().to_bytes()),
        ("a safety number", &["SafetyNumber"], qr("bob", "ada").qr()),
        ("a revocation of a user", &["Revocation"], of_user),
        ("a revocation of a device", &["Revocation"], of_device),
        ("a device offer", &["DeviceOffer"], offer.to_secret_bytes().to_vec()),
        ("an answer to one", &["EnvelopeFor"], answer),
    ]
}

fn group_objects(pair: &mut Pair) -> Objects {
    let (group, mut maria) = (pair.group, pair.insider_maria());
    let carol = pair.world.device("carol").package();
    let plan = maria.adding(&carol);
    let (made, welcome_plan) = (plan.seal(), plan.seal().welcome());
    let commit = made.envelope().split(&[1]).unwrap();
    let welcome = welcome_plan.seal(&carol);
    let part = welcome.split(carol.id().as_bytes()).unwrap();
    let consent = pair.world.device("dave").package();
    let consent = array![group.as_bytes(), Value::decode(&consent.to_bytes()), [7; 64]].encode();
    let package = pair.world.device("erin").package();
    let asked = array![group.as_bytes(), [3; 16], Value::decode(&package.to_bytes()), [7; 64]].encode();
    let request = sealed(EnvelopeType::Request, &SealSecret::generate(&mut StdRng::seed_from_u64(4)), &[1]);
    let entry = |body| LogEntry { group, seq: 7, body }.to_bytes();
    let post = |body| Post { group, after: 7, body }.to_bytes();
    let frame = maria.say(b"hello");
    let (header, body) = (commit.header().bytes().to_vec(), commit.body().to_vec());
    let invitation = EntryBody::Welcome {
        commit_header: header.clone(),
        commit_body: body.clone(),
        package: carol.id(),
        welcome: part.clone(),
    };
    vec![
        (
            "a group's code",
            &["AuthenticatorDigits"],
            pair.maria.client.group(&group).unwrap().authenticator_digits().unwrap().qr(),
        ),
        ("a policy", &["Policy"], maria.group().state().policy().to_bytes()),
        ("a group's info", &["GroupInfo"], maria.group().state().info().to_bytes()),
        ("a commit's public part", &[], plan.public()),
        ("a commit's payload", &[], plan.payload()),
        ("a proposal", &[], plan.proposals[0].encode()),
        ("a welcome's payload", &[], welcome_plan.payload()),
        ("a group's state", &[], maria.state.to_value().encode()),
        ("a saved group", &["Group"], maria.group().to_secret_bytes().to_vec()),
        ("a request to be readmitted", &["RejoinRequest"], consent),
        ("a request to be let in", &["JoinRequest"], asked),
        ("a commit", &["Envelope"], made.envelope().to_bytes()),
        ("a welcome", &["Envelope"], welcome.to_bytes()),
        ("a sealed request", &["Envelope"], request.to_bytes()),
        ("a member's part of a commit", &["EnvelopeFor"], commit.to_bytes()),
        ("a joiner's part of a welcome", &["EnvelopeFor"], part.to_bytes()),
        ("a commit's header", &["Header", "CommitHeader"], header.clone()),
        (
            "a request's header that says what a commit's says",
            &["Header"],
            Sealer::new(REQUEST, [1; 32], &plan.public()).header,
        ),
        ("a welcome's header", &["Header"], welcome.header().bytes().to_vec()),
        ("a request's header", &["Header"], request.header().bytes().to_vec()),
        ("a frame", &["Frame"], frame.clone()),
        ("a message's post", &["Post", "LogEntry"], post(PostBody::Message(frame.clone()))),
        ("a commit's post", &["Post"], post(PostBody::Commit { commit: made.envelope(), welcome: None })),
        ("a request's post", &["Post"], post(PostBody::Request(request.clone()))),
        ("a message's entry", &["LogEntry", "Post"], entry(EntryBody::Message(frame))),
        ("a commit's entry", &["LogEntry"], entry(EntryBody::Commit { header, stanza: None, body })),
        ("a welcome's entry", &["LogEntry"], entry(invitation)),
        ("a request's entry", &["LogEntry"], entry(EntryBody::Request(request.split(&[1])))),
    ]
}

fn other_objects(pair: &Pair) -> Objects {
    let (mut rng, bob) = (StdRng::seed_from_u64(5), SealSecret::generate(&mut StdRng::seed_from_u64(6)));
    let to = [Recipient::X25519 { id: b"bob".to_vec(), key: bob.public() }];
    let letter = seal_to(&SigningKey::from_seed(&[1; 32]), b"ada", &to, b"hello", &mut rng).unwrap();
    let part = letter.split(b"bob").unwrap();
    let (opened, _) = open_from(&part, Opener::X25519(&bob), b"bob").unwrap();
    let mut guard = ReplayGuard::new();
    guard.accept(&opened).unwrap();
    let chain = SendingChain::new(LeafIndex(0), Secret::from_bytes(&mut [3; 32]), SigningKey::from_seed(&[4; 32]));
    let effect = Effect::Added(pair.maria.user.clone(), DeviceId::from_bytes([1; 16]));
    let content = Content::text("hi").reply_to(convivio::MessageId::from_bytes([1; 32])).with_salt([2; 16]);
    let (id, user) = (convivio::MessageId::from_bytes([4; 32]), pair.maria.user.clone());
    let said = Posted { id, seq: 9, user, moderates: false, time: convivio::Timestamp(7), content };
    let mut conversation = Conversation::new();
    conversation.insert(said.clone());
    vec![
        ("a content", &["Content"], said.content.to_bytes()),
        ("a content in its place", &["Posted"], said.to_bytes()),
        ("what was said in a group", &["Conversation"], conversation.to_bytes()),
        ("a standalone envelope", &["Envelope"], letter.to_bytes()),
        ("a recipient's part of one", &["EnvelopeFor"], part.to_bytes()),
        ("its header", &["Header"], part.header().bytes().to_vec()),
        ("its sender field", &[], array![[1; 32], "ada".as_bytes()].encode()),
        ("a replay guard", &["ReplayGuard"], guard.to_bytes()),
        ("a sender key", &["SenderKey"], chain.sender_key().to_secret_bytes().to_vec()),
        ("an effect", &["Effect"], effect.to_bytes()),
    ]
}

fn report_objects(pair: &mut Pair) -> Objects {
    let Pair { world, maria, bob, group } = pair;
    maria.client.keep_evidence(true).unwrap();
    bob.say(group, "reported");
    world.quiet(&mut [maria, bob]);
    let reported = maria.events.iter().find_map(|event| match &event.what {
        EventKind::Message { content, evidence: Some(evidence), .. } => Some((event, content, evidence)),
        _ => None,
    });
    let (event, content, evidence) = reported.unwrap();
    let stamp = world.hub.stamp(group, event.seq).unwrap();
    vec![
        ("an event with evidence", &["Event"], event.to_bytes()),
        ("evidence", &["Evidence"], evidence.to_bytes()),
        ("a hub's stamp", &["Stamp"], stamp.to_bytes()),
        ("a report", &["Report"], Report::new(evidence, content, stamp).unwrap().to_bytes()),
    ]
}

/// One of each kind of event that a small story makes, as the inbox has it.
fn event_objects(pair: &mut Pair) -> Objects {
    let Pair { world, maria, bob, group } = pair;
    maria.say(group, "hello");
    world.quiet(&mut [maria, bob]);
    let events = maria.events.iter().chain(&bob.events);
    let kinds: BTreeMap<String, Vec<u8>> =
        events.map(|event| (format!("{:?}", event.what).chars().take(6).collect(), event.to_bytes())).collect();
    assert!(kinds.len() >= 3);
    kinds.into_values().map(|bytes| ("an event", &["Event"] as &'static [_], bytes)).collect()
}

#[test]
fn row_21_no_decoder_takes_another_kind_of_object() {
    let mut pair = Pair::new();
    let mut objects = identity_objects(&mut pair);
    objects.extend(group_objects(&mut pair));
    objects.extend(other_objects(&pair));
    objects.extend(event_objects(&mut pair));
    objects.extend(report_objects(&mut pair));
    let decoders = decoders();
    for (what, readers, bytes) in &objects {
        for (decoder, accepts) in &decoders {
            // The post of a message and its entry are the same three items, group, number and frame: nothing tells them
            // apart, and nothing need, since a frame says itself what it is, whichever way it goes.
            assert_eq!(accepts(bytes), readers.contains(decoder), "{decoder} reads {what}");
            // Nor as a part of something else: wrapped, cut, or with something behind.
            assert!(!accepts(&Value::from(bytes.as_slice()).encode()), "{decoder} reads {what} in a byte string");
            assert!(!accepts(&[&[0x81], bytes.as_slice()].concat()), "{decoder} reads {what} in an array");
            let longer = [bytes.as_slice(), &[0]].concat();
            assert!(*decoder == "Frame" || !accepts(&longer), "{decoder} reads {what} with a byte behind it");
        }
    }
    let read: BTreeSet<_> = objects.iter().flat_map(|(_, readers, _)| readers.iter()).collect();
    assert_eq!(read.len(), decoders.len(), "an object for every decoder");
}

/// A decoder that is added to the crate is added here.
#[test]
fn row_21_every_decoder_is_in_the_matrix() {
    let known: BTreeSet<&str> = decoders().into_iter().map(|(name, _)| name).collect();
    let raw = ["SealKey", "VerifyKey"];
    let mut found = 0;
    for file in crate::configuration::sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        for name in text.split("public_encoding!(").skip(1).filter_map(|rest| rest.split(')').next()) {
            let name = name.trim_start_matches("serde ");
            if name.starts_with('$') || name == "serde" {
                continue;
            }
            found += 1;
            assert!(known.contains(name) || raw.contains(&name), "{name} is not in the matrix");
        }
    }
    assert_eq!(found, 26, "the scan has stopped reading, or a decoder is new");
}

#[test]
fn row_21_an_envelope_opens_as_its_own_type_only() {
    let bob = SealSecret::generate(&mut StdRng::seed_from_u64(1));
    let kinds = [EnvelopeType::Standalone, EnvelopeType::Commit, EnvelopeType::Request, EnvelopeType::Join];
    for kind in kinds {
        let part = sealed(kind, &bob, &[1]).split(&[1]).unwrap();
        for expected in kinds.into_iter().chain([EnvelopeType::Welcome]) {
            let opened = open(&part, expected, Opener::X25519(&bob), &[1]).map(drop).map_err(|error| error.kind());
            let right = if kind == expected { Ok(()) } else { Err(ErrorKind::Malformed) };
            assert_eq!(opened, right, "{kind:?} as {expected:?}");
        }
    }
}
