//! Row 21, signatures: one made for one purpose is none for another, even by the holder of the right key (section 2.3).

use std::collections::BTreeSet;

use base64ct::Encoding as _;
use convivio::client::EventKind;
use convivio::envelope::{Draft, EnvelopeType, Opener, Recipient, open};
use convivio::group::{JoinRequest, LeaveScope, Occasion, Proposal, RejoinRequest};
use convivio::identity::{
    AppKey, AppKeyCertificate, AppRoot, Credential, DeviceCertificate, IdentityKey, Revocation, TrustedApps,
    UnverifiedDeviceIdentity, UnverifiedLeaf,
};
use convivio::log::Stamp;
use convivio::ratchet::{ReceivingChain, ReceivingChains};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, InitSecret, LeafIndex, Result, SealSecret, Secret, Signature, SigningKey, Suite};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::kit::Value;
use crate::kit::cbor::{array, sign};
use crate::kit::envelope::{pad, signed};
use crate::kit::ratchet::Place;
use crate::support::*;
use crate::witness::{Pair, Says};

/// Every label under which something is signed (section 2.3).
const LABELS: [&str; 16] = [
    "sign join",
    "sign invite",
    "sign app key",
    "sign credential",
    "sign device certificate",
    "sign leaf",
    "sign envelope",
    "sign commit",
    "sign welcome",
    "sign request",
    "sign message",
    "sign leave",
    "sign rejoin",
    "sign revocation",
    "sign device revocation",
    "sign stamp",
];

/// Has the holder of the right key sign the right fields under one label after the other: only one is taken.
fn only_under(own: &str, seed: [u8; 32], check: impl Fn(&dyn Fn(Value) -> [u8; 64]) -> Result<()>) {
    for label in LABELS {
        let verdict = check(&|fields| sign(&seed, label, &fields)).map_err(|error| error.kind());
        let expected = if label == own { Ok(()) } else { Err(ErrorKind::Unauthentic) };
        assert_eq!(verdict, expected, "what is to be signed under {own:?} was signed under {label:?}");
    }
}

/// A statement whose body is signed anew.
fn resigned(statement: &[u8], sign: &dyn Fn(Value) -> [u8; 64]) -> Vec<u8> {
    let mut parts = Value::decode(statement);
    let body = parts.items()[0].clone();
    *parts.item(1) = sign(array![body]).into();
    parts.encode()
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&[byte; 32])
}

#[test]
fn row_21_a_statement_is_signed_under_its_own_label() {
    let validity = convivio::Validity::starting(START, DAY);
    let root = AppRoot::from_seed("courier.example".parse().unwrap(), &[1; 32]);
    let mut trust = TrustedApps::new();
    trust.insert(root.domain().clone(), root.public().clone()).unwrap();
    let certificate = root.certify(key(2).verify_key(), validity);
    only_under("sign app key", [1; 32], |sign| {
        let forged = AppKeyCertificate::from_bytes(&resigned(&certificate.to_bytes(), sign))?;
        AppKey::new(key(2), forged).map(drop)
    });

    let user = "mimi://courier.example/u/bob".parse().unwrap();
    let courier = AppKey::new(key(2), certificate).unwrap();
    let credential = courier.vouch(&user, key(3).verify_key(), validity).unwrap();
    let device = DeviceId::from_bytes([4; 16]);
    let certified = IdentityKey::from(key(3)).certify_device(&user, device, key(4).verify_key(), 1, START).unwrap();
    only_under("sign credential", [2; 32], |sign| {
        let forged = Credential::from_bytes(&resigned(&credential.to_bytes(), sign))?;
        UnverifiedDeviceIdentity::new(forged, certified.clone()).verify(&trust, START).map(drop)
    });
    only_under("sign device certificate", [3; 32], |sign| {
        let forged = DeviceCertificate::from_bytes(&resigned(&certified.to_bytes(), sign))?;
        UnverifiedDeviceIdentity::new(credential.clone(), forged).verify(&trust, START).map(drop)
    });
}

#[test]
fn row_21_a_leaf_is_signed_under_its_own_label() {
    let Pair { world, mut maria, group, .. } = Pair::new();
    let seed = crate::kit::Insider::of(&maria, &group).device.unwrap();
    let (leaf, trust) = (maria.package().leaf().to_bytes(), App::trust(&[&world.photos]).unwrap());
    only_under("sign leaf", seed, |sign| {
        UnverifiedLeaf::from_bytes(&resigned(&leaf, sign))?.verify(&trust, Some(START)).map(drop)
    });
}

#[test]
fn row_21_an_envelope_is_signed_under_the_label_of_its_type() {
    let types = [
        ("sign envelope", EnvelopeType::Standalone),
        ("sign commit", EnvelopeType::Commit),
        ("sign welcome", EnvelopeType::Welcome),
        ("sign request", EnvelopeType::Request),
        ("sign join", EnvelopeType::Join),
    ];
    let (to, mut rng) = (b"bob".to_vec(), StdRng::seed_from_u64(1));
    let (seal, init) = (SealSecret::generate(&mut rng), InitSecret::generate(&mut rng));
    let init_key = init.public();
    for (own, kind) in types {
        let named = matches!(kind, EnvelopeType::Standalone | EnvelopeType::Request | EnvelopeType::Join);
        let ids = named.then(|| vec![to.clone()]);
        let tail: &[u8] = if kind == EnvelopeType::Commit { &[9; 32] } else { &[] };
        only_under(own, [1; 32], |sign| {
            let draft = Draft::new(kind, Suite::One, vec![1], &mut StdRng::seed_from_u64(2)).unwrap();
            let fields = signed(draft.header().bytes(), b"ada", ids.as_deref(), &pad(b"payload"));
            let signer = Says(key(1).verify_key().clone(), Signature::from_bytes(sign(fields)));
            let signed = draft.sign(b"ada".to_vec(), ids.clone(), b"payload", &signer).unwrap();
            let (recipient, opener) = if kind == EnvelopeType::Welcome {
                let opener = Opener::XWing { secret: &init, public: None };
                (Recipient::XWing { id: to.clone(), key: &init_key }, opener)
            } else {
                (Recipient::X25519 { id: to.clone(), key: seal.public() }, Opener::X25519(&seal))
            };
            let part = signed.seal(&[recipient], tail).unwrap().split(&to).unwrap();
            open(&part, kind, opener, &to)?.verify(key(1).verify_key()).map(drop)
        });
    }
}

#[test]
fn row_21_a_leave_and_a_rejoin_are_signed_under_their_own_labels() {
    let mut pair = Pair::new();
    let (maria, bob) = (pair.insider_maria(), pair.insider_bob());
    let group = maria.group();
    only_under("sign leave", bob.keys.signing, |sign| {
        let signature = Signature::from_bytes(sign(array![pair.group.as_bytes(), 1, true]));
        let proposal = Proposal::Leave { leaf: LeafIndex(1), scope: LeaveScope::User, signature };
        let occasion = Occasion { time: START, seen: [0; 32] };
        let mut rng = StdRng::seed_from_u64(1);
        let commit = |actor: convivio::group::Actor<'_>| {
            group.commit(vec![proposal], &Default::default(), occasion, actor, &mut rng)
        };
        maria.actor(commit).map(drop)
    });

    let package = pair.bob.package();
    let device = *pair.bob.client.identity().unwrap().device().as_bytes();
    only_under("sign rejoin", bob.device.unwrap(), |sign| {
        let consent = sign(array![pair.group.as_bytes(), device, package.id().as_bytes()]);
        let request = array![pair.group.as_bytes(), Value::decode(&package.to_bytes()), consent].encode();
        RejoinRequest::from_bytes(&request)?.verify(group.state(), START).map(drop)
    });
}

#[test]
fn row_21_a_revocation_is_signed_under_its_own_label() {
    let mut pair = Pair::new();
    let bob = pair.bob.client.identity().unwrap().clone();
    let validity = convivio::Validity::starting(START, DAY);
    let certificate = pair.world.courier.root().certify(key(2).verify_key(), validity);
    let of_user = AppKey::new(key(2), certificate).unwrap().revoke(bob.user(), bob.identity_key(), START).unwrap();
    let identity = pair.world.identity(1, "bob");
    let of_device = identity.revoke_device(bob.user(), bob.device(), 1, START).unwrap();
    let seed = *identity.expose_seed().unwrap();
    let (maria, occasion) = (pair.insider_maria(), Occasion { time: START, seen: [0; 32] });
    for (own, seed, revocation) in [("sign revocation", [2; 32], of_user), ("sign device revocation", seed, of_device)]
    {
        only_under(own, seed, |sign| {
            let mut parts = Value::decode(&revocation.to_bytes());
            *parts.item(2) = sign(array![parts.items()[1].clone()]).into();
            let proposal = Proposal::Revoke(Revocation::from_bytes(&parts.encode())?);
            let commit = |actor: convivio::group::Actor<'_>| {
                let mut rng = StdRng::seed_from_u64(1);
                maria.group().commit(vec![proposal], &Default::default(), occasion, actor, &mut rng)
            };
            maria.actor(commit).map(drop)
        });
    }
}

#[test]
fn row_21_a_request_to_be_let_in_is_signed_under_its_own_label() {
    let mut pair = Pair::new();
    let link = pair.maria.client.open_link(&pair.group, "", DAY).unwrap().0;
    pair.world.sync(&mut pair.maria);
    let text = link.to_text();
    let text = base64ct::Base64UrlUnpadded::decode_vec(text.strip_prefix("convivio:join#").unwrap()).unwrap();
    let seed = Value::decode(&text).items()[4].fixed();
    let mut carol = pair.world.device("carol");
    carol.client.ask_to_join(&link).unwrap();
    pair.world.sync(&mut carol);
    pair.world.sync(&mut pair.maria);
    let asked = |what| if let EventKind::JoinRequested { request, .. } = what { Some(request) } else { None };
    let asked = pair.maria.news().into_iter().find_map(asked).unwrap();
    let state = pair.maria.client.group(&pair.group).unwrap().state().clone();
    only_under("sign invite", seed, |sign| {
        let mut request = Value::decode(&asked.to_bytes());
        let signature = sign(array![pair.group.as_bytes(), asked.id().as_bytes()]);
        *request.item(3) = Value::from(signature.as_slice());
        JoinRequest::from_bytes(&request.encode())?.verify(&state, START).map(drop)
    });
}

#[test]
fn row_21_a_message_is_signed_under_its_own_label() {
    let pair = Pair::new();
    let (maria, bob) = (pair.insider_maria(), pair.insider_bob());
    let (epoch, at) = (maria.epoch(), Place { leaf: 0, generation: 0 });
    let (message_key, padded) = (maria.message_key(at).unwrap(), pad(b"hello"));
    only_under("sign message", maria.keys.signing, |sign| {
        let signature = sign(epoch.signed(at, &[7; 16], &padded));
        let frame = epoch.encrypt(at, (&message_key, [7; 16]), &[padded.clone(), signature.to_vec()].concat());
        let mut chains = ReceivingChains::new();
        let group = bob.group();
        let key = group.state().leaf(LeafIndex(0)).unwrap().signature_key().clone();
        chains.insert(LeafIndex(0), ReceivingChain::new(Secret::from_bytes(&mut bob.chains[&0].1.clone()), key));
        chains.decrypt(group.context(), &frame).map(|received| assert_eq!(received.content, b"hello"))
    });
}

#[test]
fn row_21_a_stamp_is_signed_under_its_own_label() {
    let hub = [7; 32];
    let key = SigningKey::from_seed(&hub).verify_key().clone();
    only_under("sign stamp", hub, |sign| {
        let signature = sign(array![[1; 16], 9, [2; 32], START.0]);
        Stamp::from_bytes(&array![[1; 16], 9, [2; 32], START.0, signature].encode())?.verify(&key)
    });
}

#[test]
fn row_21_the_labels_are_all_there_are() {
    let labels = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/labels.rs")).unwrap();
    let code: BTreeSet<&str> = labels.split('"').filter(|text| text.starts_with("sign ")).collect();
    assert_eq!(code, BTreeSet::from(LABELS));
}
