//! Row 13: bytes that no encoder makes, to every decoder.

use convivio::client::{Change, Event, EventKind};
use convivio::content::{Choices, Content, Conversation, Poll, Posted};
use convivio::envelope::{Envelope, EnvelopeFor, Header, ReplayGuard};
use convivio::group::{CommitHeader, Effect, GroupInfo, Policy, RejoinRequest};
use convivio::identity::{
    AppKeyCertificate, Capabilities, Credential, DeviceCertificate, Revocation, TrustedApps, UnverifiedDeviceIdentity,
    UnverifiedKeyPackage, UnverifiedLeaf,
};
use convivio::linking::{DeviceOffer, NewDevice};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, Stamp};
use convivio::ratchet::{Frame, SenderKey};
use convivio::report::{Evidence, Report};
use convivio::{Error, ErrorKind, LeafIndex, limits};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::kit::hub::{entry, flipped, parts};
use crate::kit::scene::{BOB, COUNTED, changed, void_without_doubt};
use crate::kit::{Scene, Value};

/// What a decoder makes of bytes: the bytes that it would write, or the error.
type Decoder = fn(&[u8]) -> Result<Vec<u8>, Error>;

macro_rules! decoders {
    ($($name:ident),+) => { vec![$((stringify!($name), (|bytes| $name::from_bytes(bytes).map(|it| it.to_bytes())) as Decoder)),+] };
}

/// Every public decoder of what comes from others, by name.
fn decoders() -> Vec<(&'static str, Decoder)> {
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
    all.push(("Header", |bytes| Header::decode(bytes).map(|header| header.bytes().to_vec())));
    // Reads a part of what it is given, so the rest has no encoding to compare.
    all.push(("CommitHeader", |bytes| CommitHeader::from_envelope_header(bytes).map(|_| bytes.to_vec())));
    all.push(("SenderKey", |bytes| SenderKey::from_secret_bytes(bytes).map(|key| key.to_secret_bytes().to_vec())));
    all.push(("DeviceOffer", |bytes| {
        DeviceOffer::from_secret_bytes(bytes).map(|offer| offer.to_secret_bytes().to_vec())
    }));
    all.push(("Frame", |bytes| Frame::parse(bytes).map(|_| bytes.to_vec())));
    all
}

/// One real thing for each of them.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut scene = Scene::new();
    let (id, policy) = (scene.id, scene.world.policy());
    let package = scene.world.device("carol").package();
    let reported = reported(&mut scene);
    scene.maria.say(&id, "a message");
    let message = scene.hub.collect(&mut scene.maria).remove(0);
    scene.maria.client.change(&id, Change::Add(vec![package.clone()])).unwrap();
    let commit = scene.hub.collect(&mut scene.maria).remove(0);
    let PostBody::Commit { commit: envelope, welcome } = &commit.body else { panic!("not a commit") };
    let identity = package.leaf().claims().identity();
    let credential = identity.credential();
    let insider = scene.insider();
    let (user, now, world) = (&scene.maria.user, scene.world.clock.now(), &scene.world);
    let of_user = world.photos.key().revoke(user, world.identity(0, "maria").public(), now).unwrap();
    let device = insider.device_identity().device();
    let of_device = world.identity(0, "maria").revoke_device(user, device, 1, now).unwrap();
    let of = |body| LogEntry { group: id, seq: 9, body }.to_bytes();
    let sending = insider.group().sending_chain(convivio::Secret::from_bytes(&mut [7; 32]));
    let mut ids = ReplayGuard::new();
    let own = convivio::SealSecret::from_secret(convivio::Secret::from_bytes(&mut [3; 32]));
    let to = [convivio::envelope::Recipient::X25519 { id: b"x".to_vec(), key: own.public() }];
    let key = convivio::SigningKey::from_seed(&[4; 32]);
    let alone = convivio::envelope::seal_to(&key, b"info", &to, b"hi", &mut StdRng::seed_from_u64(1)).unwrap();
    let part = alone.split(b"x").unwrap();
    let (opened, _) = convivio::envelope::open_from(&part, convivio::envelope::Opener::X25519(&own), b"x").unwrap();
    ids.accept(&opened).unwrap();
    let event = Event { id: convivio::client::EventId(3), group: id, seq: 9, what: EventKind::Gap { expected: 4 } };
    let poll = Poll::new("Where to?", &["Beach", "Mountains"], Choices::One).unwrap();
    let said = said(Content::poll(&poll).with_salt([1; 16]), &scene);
    let request = crate::kit::cbor::array![*id.as_bytes(), Value::decode(&package.to_bytes()), [5; 64]].encode();
    vec![
        ("AppKeyCertificate", credential.app_key_certificate().to_bytes()),
        ("Conversation", conversation(&said).to_bytes()),
        ("Posted", said.to_bytes()),
        ("Content", said.content.to_bytes()),
        ("Content", Content::attachment(file()).to_bytes()),
        ("Capabilities", package.leaf().claims().capabilities().to_bytes()),
        ("Credential", credential.to_bytes()),
        ("DeviceCertificate", identity.certificate().to_bytes()),
        ("Effect", Effect::Added(scene.maria.user.clone(), package.leaf().claims().device()).to_bytes()),
        ("Envelope", envelope.to_bytes()),
        ("Envelope", welcome.as_ref().unwrap().to_bytes()),
        ("EnvelopeFor", part.to_bytes()),
        ("Event", event.to_bytes()),
        ("GroupInfo", GroupInfo::new("Trip", "to the sea").unwrap().to_bytes()),
        ("LogEntry", of(entry(&message, LeafIndex(1)))),
        ("LogEntry", of(entry(&commit, LeafIndex(1)))),
        ("LogEntry", of(EntryBody::Request(Some(part)))),
        ("Policy", policy.to_bytes()),
        ("Post", message.to_bytes()),
        ("Post", commit.to_bytes()),
        ("RejoinRequest", request),
        ("ReplayGuard", ids.to_bytes()),
        ("Revocation", of_user.to_bytes()),
        ("Revocation", of_device.to_bytes()),
        ("TrustedApps", policy.apps.to_bytes()),
        ("UnverifiedDeviceIdentity", identity.to_bytes()),
        ("UnverifiedKeyPackage", package.to_bytes()),
        ("UnverifiedLeaf", package.leaf().to_bytes()),
        ("Header", envelope.header().bytes().to_vec()),
        ("CommitHeader", envelope.header().bytes().to_vec()),
        ("SenderKey", sending.sender_key().to_secret_bytes().to_vec()),
        ("DeviceOffer", NewDevice::begin(&mut StdRng::seed_from_u64(2)).offer().to_secret_bytes().to_vec()),
        ("Frame", crate::kit::hub::frame_of(&message).to_vec()),
    ]
    .into_iter()
    .chain(reported)
    .collect()
}

/// What Maria heard, as an event with evidence, and what reports it.
fn reported(scene: &mut Scene) -> [(&'static str, Vec<u8>); 4] {
    let Scene { world, id, maria, bob, .. } = scene;
    maria.client.keep_evidence(true).unwrap();
    bob.say(id, "reported");
    world.quiet(&mut [bob, maria]);
    let event = maria.events.last().unwrap().clone();
    let EventKind::Message { content, evidence: Some(evidence), .. } = &event.what else { panic!("not reported") };
    let stamp = world.hub.stamp(id, event.seq).unwrap();
    let report = Report::new(evidence, content, stamp.clone()).unwrap();
    [
        ("Event", event.to_bytes()),
        ("Evidence", evidence.to_bytes()),
        ("Report", report.to_bytes()),
        ("Stamp", stamp.to_bytes()),
    ]
}

/// A content in its place in a group.
fn said(mut content: Content, scene: &Scene) -> Posted {
    content.extensions.insert("x-mood", vec![0xa1, 0x01, 0xf6]).unwrap();
    let (id, user) = (convivio::MessageId::from_bytes([4; 32]), scene.maria.user.clone());
    Posted { id, seq: 9, user, moderates: false, time: convivio::Timestamp(7), content }
}

fn conversation(said: &Posted) -> Conversation {
    let mut conversation = Conversation::new();
    conversation.insert(said.clone());
    conversation
}

fn file() -> convivio::content::External {
    let mut stored = Vec::new();
    let attachment = convivio::attachment::encrypt(&mut &b"text"[..], &mut stored, &mut StdRng::seed_from_u64(1));
    attachment.unwrap().to_part("https://files.example/1", "text/plain", "a.txt")
}

/// What is refused is refused by a kind that blames the bytes; what is accepted has these bytes as its one encoding.
fn check(name: &str, decode: Decoder, bytes: &[u8]) -> Result<(), ErrorKind> {
    use ErrorKind::{Damaged, Limit, Malformed, Unsupported};
    match decode(bytes) {
        Ok(again) => {
            assert!(again == bytes, "{name} has two encodings");
            Ok(())
        }
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, Malformed | Limit | Unsupported | Damaged), "{name} blames {kind:?}");
            Err(kind)
        }
    }
}

fn each(run: impl Fn(&'static str, Decoder, &[u8])) {
    let decoders = decoders();
    let samples = samples();
    for (name, decode) in &decoders {
        let mut of: Vec<_> = samples.iter().filter(|(of, _)| of == name).collect();
        assert!(!of.is_empty(), "no sample of {name}");
        of.sort();
        for (_, bytes) in of {
            assert_eq!(check(name, *decode, bytes), Ok(()), "the real {name}");
            run(name, *decode, bytes);
        }
    }
}

#[test]
fn row_13_truncated_and_extended_input_to_every_decoder() {
    each(|name, decode, bytes| {
        // A frame's end is known by its bounds alone.
        let fixed = name != "Frame";
        let step = 1 + bytes.len() / 1_500;
        for length in (0..bytes.len()).step_by(step) {
            assert!(check(name, decode, &bytes[..length]).is_err() || !fixed, "{name} of {length} bytes");
        }
        for more in [&[0][..], &[0xf6], &[0xff], &[0x80; 100]] {
            assert!(check(name, decode, &[bytes, more].concat()).is_err() || !fixed, "{name} and more");
        }
    });
}

#[test]
fn row_13_garbled_input_to_every_decoder() {
    let dice = std::cell::RefCell::new(StdRng::seed_from_u64(13));
    each(|name, decode, bytes| {
        let step = 1 + bytes.len() / 200;
        for bit in (0..8 * bytes.len()).step_by(step) {
            let _ = check(name, decode, &flipped(bytes, bit));
        }
        for _ in 0..300 {
            let mut dice = dice.borrow_mut();
            let mut noise = vec![0; dice.random_range(0..400)];
            dice.fill_bytes(&mut noise);
            // Noise alone, and in the place of a stretch of the real thing.
            let _ = check(name, decode, &noise);
            let at = dice.random_range(0..bytes.len());
            let end = (at + dice.random_range(0..8)).min(bytes.len());
            let _ = check(name, decode, &[&bytes[..at], &noise[..noise.len() / 50], &bytes[end..]].concat());
        }
    });
}

#[test]
fn row_13_non_canonical_input_to_every_decoder() {
    each(|name, decode, bytes| {
        if name == "Frame" {
            return;
        }
        let value = Value::decode(bytes);
        for at in 0..heads(&value) {
            for way in [Way::LongerHead, Way::Indefinite, Way::Tagged, Way::Float, Way::Negative, Way::Map] {
                let other = rewritten(&value, at, way);
                if other != bytes {
                    assert!(check(name, decode, &other).is_err(), "{name}, item {at}, {way:?}");
                }
            }
        }
    });
}

/// Lists and strings that claim to be longer than any memory, and lists within lists within lists.
#[test]
fn row_13_oversized_and_deeply_nested_input_to_every_decoder() {
    each(|name, decode, bytes| {
        for head in [0x5b, 0x7b, 0x9b] {
            let claim = [&[head][..], &[0xff; 8]].concat();
            assert!(check(name, decode, &claim).is_err());
            let claim = [&[head][..], &(1_u64 << 40).to_be_bytes()].concat();
            assert!(check(name, decode, &claim).is_err());
        }
        for nest in [0x81, 0x82, 0x98, 0x9f, 0xc1] {
            assert!(check(name, decode, &vec![nest; 1 << 20]).is_err());
        }
        if name == "Frame" {
            return;
        }
        let value = Value::decode(bytes);
        for at in 0..heads(&value) {
            for way in [Way::Huge, Way::Nested] {
                let other = rewritten(&value, at, way);
                if other != bytes {
                    assert!(check(name, decode, &other).is_err(), "{name}, item {at}, {way:?}");
                }
            }
        }
    });
}

/// How one item is written otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    LongerHead,
    Indefinite,
    Tagged,
    Float,
    Negative,
    Map,
    /// A length of 2⁶² in the head.
    Huge,
    /// A list in ten thousand lists.
    Nested,
}

fn heads(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(heads).sum::<usize>(),
        _ => 1,
    }
}

/// The value with its `at`-th item (in the order of their heads) written in another way.
fn rewritten(value: &Value, at: usize, way: Way) -> Vec<u8> {
    fn write(value: &Value, left: &mut Option<usize>, way: Way, out: &mut Vec<u8>) {
        let here = *left == Some(0);
        *left = left.and_then(|left| left.checked_sub(1));
        let plain = value.encode();
        let (major, content): (u8, &[u8]) = match value {
            Value::Int(_) => (0, &[]),
            Value::Bytes(bytes) => (2, bytes),
            Value::Text(text) => (3, text.as_bytes()),
            Value::List(_) => (4, &[]),
            Value::Map(encoded) => (5, &encoded[1..]),
            Value::Bool(_) | Value::Null => (7, &[]),
        };
        let number = match value {
            Value::Int(number) => *number,
            Value::List(items) => items.len() as u64,
            Value::Map(encoded) => (encoded[0] & 31).into(),
            _ => content.len() as u64,
        };
        let head = |number: u64| [&[major << 5 | 27][..], &number.to_be_bytes()].concat();
        let list = matches!(value, Value::List(_));
        match way {
            _ if !here => match value {
                Value::List(items) => {
                    out.extend(&plain[..plain.len() - items.iter().map(|it| it.encode().len()).sum::<usize>()])
                }
                _ => out.extend(&plain),
            },
            Way::LongerHead if major == 7 => out.extend([0xf8, plain[0] & 31]),
            Way::LongerHead => out.extend([head(number), content.to_vec()].concat()),
            Way::Indefinite if matches!(major, 2 | 3) => out.extend([&[major << 5 | 31][..], &plain, &[0xff]].concat()),
            Way::Indefinite if list => out.push(0x9f),
            Way::Indefinite if major == 5 => out.extend([&[0xbf][..], content, &[0xff]].concat()),
            Way::Tagged => {
                out.push(0xc1);
                write(value, &mut None, way, out);
                return;
            }
            Way::Float => return out.extend([0xf9, 0x3c, 0x00]),
            Way::Negative => return out.push(0x20),
            // Another map is a map.
            Way::Map if major == 5 => out.extend(&plain),
            Way::Map => return out.extend([0xa1, 0x01, 0x01]),
            Way::Huge if major == 0 => out.extend(&plain),
            Way::Huge if major == 7 => return out.extend([0xfb; 9]),
            Way::Huge => return out.extend([head(1 << 62), content.to_vec()].concat()),
            Way::Nested => return out.extend([vec![0x81; 10_000], vec![0x80]].concat()),
            Way::Indefinite => out.extend(&plain),
        }
        if let Value::List(items) = value {
            items.iter().for_each(|item| write(item, left, way, out));
            if here && way == Way::Indefinite {
                out.push(0xff);
            }
        }
    }
    let mut out = Vec::new();
    write(value, &mut Some(at), way, &mut out);
    out
}

/// The same for what a client decodes itself, inside entries: whatever comes, no key, chain or member changes.
#[test]
fn row_13_malformed_entries_leave_the_state_byte_equal() {
    let mut scene = Scene::new();
    let (id, mut dice) = (scene.id, StdRng::seed_from_u64(13));
    let mut insider = scene.insider();
    let plan = insider.plan(Vec::new());
    let own = insider.next_place(insider.own());
    let key = insider.message_key(own).unwrap();
    // Authentic frames around what is no content: sealed and signed by Mallory, whose chain they use up. Only the
    // first can be shown to Bob as it is; so each goes to a Bob of its own.
    let seen = insider.seen[..16].to_vec();
    let content = |items: Value| crate::kit::cbor::array![seen.as_slice(), items.encode()].encode();
    use crate::kit::cbor::array;
    let bad_contents: [Vec<u8>; 9] = [
        vec![],
        vec![0x82],
        content(array![[1; 16], 9, b"unknown kind"]),
        content(array![[1; 15], 0, b"short nonce"]),
        content(array![[1; 16], 0, b"more", 1]),
        content(array![[1; 16], 2, 1]),
        content(array![[1; 16], 1, array![true, [0; 63]]]),
        [content(array![[1; 16], 0, b"x"]), vec![0]].concat(),
        vec![0x81; 5_000],
    ];
    for carried in bad_contents {
        let frame = insider.epoch().frame(own, &key, (&insider.keys.signing, &carried), [1; 32]);
        let mut bob = crate::kit::scene::copy_of(&mut scene.world, &scene.bob);
        let before = bob.disk.records();
        scene.hub.show(&mut bob, EntryBody::Message(frame));
        assert_eq!(bob.news(), [EventKind::Void { entries: 1 }]);
        let tags = changed(&before, &bob.disk.records());
        assert!(
            tags.iter().all(|tag| COUNTED.contains(tag) || matches!(tag, 21 | 22)),
            "only Mallory's chain: {tags:?}"
        );
        assert_eq!(bob.queued(&id), 0);
    }
    // Authentic commits around what is no payload.
    let payload = plan.payload();
    let mut bad_payloads: Vec<Vec<u8>> = vec![vec![], vec![0x83], [&payload[..], &[0]].concat(), vec![0x81; 5_000]];
    bad_payloads.extend((1..40).map(|n| payload[..payload.len() * n / 40].to_vec()));
    let value = Value::decode(&payload);
    bad_payloads.extend((0..heads(&value)).map(|at| rewritten(&value, at, Way::LongerHead)));
    for payload in bad_payloads.iter().filter(|bad| **bad != payload) {
        void_without_doubt(&scene.hub, &id, &mut scene.bob, plan.seal_payload(payload).entry(BOB));
    }
    for _ in 0..200 {
        let mut noise = vec![0; dice.random_range(0..3_000)];
        dice.fill_bytes(&mut noise);
        no_keys_change(&mut scene, EntryBody::Message(noise.clone()));
        let (header, stanza, body) = (noise.clone(), Some(noise.clone()), noise.clone());
        no_keys_change(&mut scene, EntryBody::Commit { header, stanza, body });
        let (header, stanza, _) = parts(&plan.seal().entry(BOB));
        no_keys_change(&mut scene, EntryBody::Commit { header, stanza, body: noise });
    }
    no_keys_change(&mut scene, EntryBody::Message(vec![0x11; limits::MESSAGE_CONTENT * 2]));
    let huge = vec![0x81; limits::ENVELOPE_HEADER + 1];
    no_keys_change(&mut scene, EntryBody::Commit { header: huge.clone(), stanza: Some(huge.clone()), body: huge });
}

fn no_keys_change(scene: &mut Scene, body: EntryBody) {
    let before = scene.bob.disk.records();
    scene.hub.show(&mut scene.bob, body);
    let tags = changed(&before, &scene.bob.disk.records());
    assert!(tags.iter().all(|tag| COUNTED.contains(tag)), "{tags:?}");
}
