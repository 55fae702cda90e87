//! Every public decoder: what it accepts, it writes back the same.

use std::sync::{Mutex, MutexGuard, OnceLock};

use convivio::client::Event;
use convivio::envelope::{Envelope, EnvelopeFor, EnvelopeId, Header, ReplayGuard};
use convivio::group::{CommitHeader, Effect, GroupInfo, InviteLink, JoinRequest, Policy, RejoinRequest};
use convivio::identity::{
    AppDomain, AppKeyCertificate, Capabilities, Credential, DeviceCertificate, IdentityKey, Revocation, TrustedApps,
    UnverifiedDeviceIdentity, UnverifiedKeyPackage, UnverifiedLeaf, UserUri,
};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::log::{LogEntry, Post, PostBody, PostId, Stamp};
use convivio::ratchet::{Frame, SenderKey};
use convivio::report::{Evidence, Report};
use convivio::store::RecordKey;
use convivio::{DeviceId, ErrorKind, InitKey, SealKey, SigningKey, Timestamp, VerifyKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::town::{NOW, tag, town};
use super::{Seeds, report};

macro_rules! round_trips {
    ($bytes:expr, $($name:ident),+) => {{
        let mut taken = 0;
        $(match $name::from_bytes($bytes) {
            Ok(value) => {
                assert!(value.to_bytes() == $bytes, concat!(stringify!($name), " has two encodings"));
                taken += 1;
            }
            Err(error) => expected(error.kind()),
        })+
        taken
    }};
}

fn expected(kind: ErrorKind) {
    assert!(
        matches!(
            kind,
            ErrorKind::Malformed
                | ErrorKind::Limit
                | ErrorKind::Unsupported
                | ErrorKind::Unauthentic
                | ErrorKind::Damaged
        ),
        "a decoder blames {kind:?}"
    );
}

pub fn run(data: &[u8]) {
    decode(data);
}

/// Every decoder of a structure gets this; how many take it.
pub fn decode(data: &[u8]) -> usize {
    let taken = round_trips!(
        data,
        AppKeyCertificate,
        Capabilities,
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
        Report,
        Revocation,
        Stamp,
        TrustedApps,
        UnverifiedDeviceIdentity,
        UnverifiedKeyPackage,
        UnverifiedLeaf
    );
    if let Ok(header) = Header::decode(data) {
        assert_eq!(header.bytes(), data);
    }
    let _ = CommitHeader::from_envelope_header(data);
    if let Ok(key) = SenderKey::from_secret_bytes(data) {
        assert_eq!(*key.to_secret_bytes(), data);
    }
    if let Ok(offer) = DeviceOffer::from_secret_bytes(data) {
        assert_eq!(*offer.to_secret_bytes(), data);
    }
    let linking = linking();
    if let Ok(link) = linking.new.open(data, &linking.trust, linking.now) {
        assert_eq!(link.identity().device_key(), linking.new.offer().device_key());
        assert_eq!(link.identity().identity_key(), &linking.identity);
    }
    let _ = Frame::parse(data);
    if let Ok(key) = <&[u8; 32]>::try_from(data) {
        let _ = VerifyKey::from_bytes(*key).map(|read| assert_eq!(read.as_bytes(), key));
        let _ = SealKey::from_bytes(*key).map(|read| assert_eq!(read.as_bytes(), key));
        assert_eq!(PostId::from_bytes(*key).as_bytes(), key);
        assert_eq!(EnvelopeId::from_bytes(*key).as_bytes(), key);
    }
    if let Ok(key) = data.try_into() {
        let _ = InitKey::from_bytes(key).map(|read| assert_eq!(read.to_bytes(), data));
    }
    let _ = RecordKey::from_bytes(data).map(|key| assert_eq!(key.as_bytes(), data));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<AppDomain>().map(|domain| assert_eq!(domain.as_str(), text));
        let _ = DeviceOffer::from_secret_text(text).map(|offer| assert_eq!(*offer.to_secret_text(), text));
        let _ = text.parse::<InviteLink>().map(|link| assert_eq!(*link.to_text(), text));
        let _ = text.parse::<UserUri>().map(|user| assert_eq!(user.as_str(), text));
    }
    taken
}

/// A device that waits for an answer, and one by a user of the town.
struct Linking {
    new: NewDevice,
    answer: Vec<u8>,
    identity: VerifyKey,
    trust: TrustedApps,
    now: Timestamp,
}

fn linking() -> MutexGuard<'static, Linking> {
    static LINKING: OnceLock<Mutex<Linking>> = OnceLock::new();
    let linking = LINKING.get_or_init(|| {
        let mut rng = StdRng::seed_from_u64(38);
        let (new, identity, key) =
            (NewDevice::begin(&mut rng), IdentityKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let own = town().app.certify("ada", &identity, (DeviceId::from_bytes([1; 16]), 0), &key).unwrap();
        let now = own.credential().validity().not_before;
        let answering = Answering { serial: 1, now, transfer: Transfer::Copy };
        let answer = new.offer().answer(&own, &identity, answering, &mut rng).unwrap();
        let trust = convivio::testing::App::trust(&[&town().app]).unwrap();
        assert!(new.open(&answer, &trust, now).is_ok());
        Mutex::new(Linking { new, answer, identity: identity.public().clone(), trust, now })
    });
    linking.lock().unwrap()
}

/// What is said when someone outside asks to be let in.
fn joining() -> Vec<(&'static str, Vec<u8>)> {
    let (town, mut rng) = (town(), StdRng::seed_from_u64(59));
    let group = town.posts[0].group;
    let (link, _) = InviteLink::generate(group, "hub.town.example", NOW.after(1_000), &mut rng).unwrap();
    let trust = convivio::testing::App::trust(&[&town.app]).unwrap();
    let package = town.package.clone().verify(&trust, NOW).unwrap();
    let request = link.request(&package).unwrap();
    let sealed = link.seal(&request, &SigningKey::from_seed(&[8; 32]), &mut rng).unwrap();
    let picture = convivio::content::External {
        media_type: "image/png".to_owned(),
        url: "https://files.town.example/1".to_owned(),
        expires: 0,
        size: 9,
        algorithm: 0xc001,
        key: vec![1; 32],
        nonce: Vec::new(),
        aad: Vec::new(),
        hash_algorithm: 1,
        hash: vec![2; 32],
        description: String::new(),
        filename: "town.png".to_owned(),
    };
    let info = GroupInfo::new("Town", "").unwrap().with_picture(Some(picture)).unwrap().with_disappearing(60);
    vec![
        ("invite_link", link.to_text().as_bytes().to_vec()),
        ("join_request", request.to_bytes()),
        ("post_join", Post { group, after: 0, body: PostBody::Request(sealed) }.to_bytes()),
        ("group_info_with_picture", info.to_bytes()),
        ("effect_link_opened", Effect::LinkOpened(link.id(), link.expires()).to_bytes()),
    ]
}

pub fn seeds() -> Seeds {
    let town = town();
    let package = &town.package;
    let (claims, identity) = (package.leaf().claims(), package.leaf().claims().identity());
    let (credential, certificate) = (identity.credential(), identity.certificate());
    let (user, identity_key) = (claims.user(), IdentityKey::from_seed(&[9; 32]));
    let of_user = town.app.key().revoke(user, claims.identity_key(), NOW).unwrap();
    let of_device = identity_key.revoke_device(user, claims.device(), 1, NOW).unwrap();
    let policy = convivio::testing::App::policy(&[&town.app]).unwrap();
    let mut found: Vec<(&str, Vec<u8>)> = vec![
        ("app_key_certificate", credential.app_key_certificate().to_bytes()),
        ("credential", credential.to_bytes()),
        ("device_certificate", certificate.to_bytes()),
        ("device_identity", identity.to_bytes()),
        ("capabilities", claims.capabilities().to_bytes()),
        ("leaf", package.leaf().to_bytes()),
        ("key_package", package.to_bytes()),
        ("trusted_apps", policy.apps.to_bytes()),
        ("policy", policy.to_bytes()),
        ("group_info", GroupInfo::new("Town", "Everyone here").unwrap().to_bytes()),
        ("effect_added", Effect::Added(claims.user().clone(), claims.device()).to_bytes()),
        ("effect_policy", Effect::Policy(policy).to_bytes()),
        ("replay_guard", ReplayGuard::new().to_bytes()),
        ("sender_key", town.maria.chain(town.maria.signing()).sender_key().to_secret_bytes().to_vec()),
        ("frame", town.maria.frame(0, b"hello", town.maria.signing())),
        ("verify_key", claims.signature_key().as_bytes().to_vec()),
        ("seal_key", claims.seal_key().as_bytes().to_vec()),
        ("domain", b"town.example".to_vec()),
        ("user", claims.user().as_str().as_bytes().to_vec()),
    ];
    for post in &town.posts {
        let name = match &post.body {
            PostBody::Create { .. } => "post_create",
            PostBody::Message(_) => "post_message",
            PostBody::Commit { commit, welcome: None } => {
                found.push(("envelope", commit.to_bytes()));
                found.push(("header", commit.header().bytes().to_vec()));
                "post_commit"
            }
            PostBody::Commit { .. } => "post_commit_and_welcome",
            PostBody::Request(_) => "post_request",
        };
        found.push((name, post.to_bytes()));
    }
    found.push(("entry_commit", town.commit.to_bytes()));
    found.push(("entry_welcome", town.welcome.to_bytes()));
    found.push(("entry_message", town.fresh.to_bytes()));
    found.push(("revocation_of_a_user", of_user.to_bytes()));
    found.push(("revocation_of_a_device", of_device.to_bytes()));
    found.push(("device_offer", linking().new.offer().to_secret_bytes().to_vec()));
    found.push(("device_offer_text", linking().new.offer().to_secret_text().as_bytes().to_vec()));
    found.push(("device_answer", linking().answer.clone()));
    found.extend(report::pieces());
    found.extend(joining());
    let mut seeds: Seeds =
        found.into_iter().enumerate().map(|(i, (name, bytes))| (format!("{i:02}_{name}"), bytes)).collect();
    let events = town.busy.iter().filter(|(key, _)| key.as_bytes()[0] == tag::EVENT);
    seeds.extend(events.enumerate().map(|(i, (_, event))| (format!("event_{i}"), event.to_vec())));
    seeds
}
