//! Linking a device, by whoever relays the answer, saw the code, or is another user (section 3.8). And a revoked device that
//! would come back.

use convivio::client::{Answer, Change, EventKind};
use convivio::envelope::{EnvelopeFor, Opener, Recipient, open_from, recipient_id, seal_to};
use convivio::group::GroupInfo;
use convivio::identity::{DeviceIdentity, IdentityKey, TrustedApps};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, SealSecret, Secret, SigningKey};
use curve25519_dalek::constants::EIGHT_TORSION;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::kit::cbor::{array, expand_label, hash, sha256};
use crate::kit::envelope::{Cipher, Content, STANDALONE, Sealer, envelope, open_body, open_stanza};
use crate::kit::hub::flipped;
use crate::kit::{Insider, Value};
use crate::support::*;
use crate::witness::{Verdict, judge, lasting};

/// Bob's phone, his identity key, and a laptop that has shown its code.
struct Scene {
    world: World,
    phone: Device,
    identity: IdentityKey,
    laptop: NewDevice,
    trust: TrustedApps,
    rng: StdRng,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let phone = world.device_of(1, "bob");
        let (identity, trust) = (world.identity_of(1, "bob"), App::trust(&[&world.courier]).unwrap());
        let mut rng = StdRng::seed_from_u64(38);
        let laptop = NewDevice::begin(&mut rng);
        Self { world, phone, identity, laptop, trust, rng }
    }

    fn answer(&mut self, transfer: Transfer) -> Vec<u8> {
        let answering = Answering { serial: 2, now: START, transfer };
        let own = self.phone.client.identity().unwrap();
        self.laptop.offer().answer(own, &self.identity, answering, &mut self.rng).unwrap()
    }

    fn opened(&self, answer: &[u8]) -> Result<(), ErrorKind> {
        self.laptop.open(answer, &self.trust, START).map(drop).map_err(|error| error.kind())
    }

    /// What the code shows, to whoever saw it.
    fn code(&self) -> Value {
        Value::decode(&self.laptop.offer().to_secret_bytes())
    }

    /// An answer by hand, by someone who saw the code.
    fn by_hand(&mut self, sender: &SigningKey, info: &[u8], text: &[u8]) -> Vec<u8> {
        let code = self.code();
        let pairing = convivio::SealKey::from_bytes(code.items()[3].fixed()).unwrap();
        let id = recipient_id(pairing.as_bytes());
        let to = [Recipient::X25519 { id: id.clone(), key: &pairing }];
        let sealed = seal_to(sender, info, &to, &sealed(&code, text), &mut self.rng).unwrap();
        sealed.split(&id).unwrap().to_bytes()
    }
}

fn offer_hash(code: &Value) -> [u8; 32] {
    let [_, device, key, pairing, _] = code.items() else { panic!("not an offer") };
    hash("hash device offer", &Value::List(vec![device.clone(), key.clone(), pairing.clone()]))
}

fn cipher(code: &Value, salt: &[u8]) -> Cipher {
    let secret: [u8; 32] = code.items()[4].fixed();
    Cipher(expand_label(&secret, "link key", &[&offer_hash(code), salt].concat()))
}

fn sealed(code: &Value, text: &[u8]) -> Vec<u8> {
    let secret: [u8; 32] = code.items()[4].fixed();
    let salt: [u8; 16] = expand_label(&secret, "link salt", &[offer_hash(code), sha256(text)].concat());
    [&salt[..], &cipher(code, &salt).seal_with(b"", text)].concat()
}

fn granted(identity: &DeviceIdentity, seed: Option<&[u8; 32]>) -> Vec<u8> {
    let seed_or_none: [u8; 32] = seed.copied().unwrap_or_default();
    array![1, Value::decode(&identity.to_bytes()), seed.is_some(), seed_or_none].encode()
}

#[test]
fn row_02_no_byte_of_an_answer_can_change_and_a_relay_learns_nothing() {
    let mut scene = Scene::new();
    let answer = scene.answer(Transfer::Copy);
    for bit in 0..answer.len() * 8 {
        assert!(scene.opened(&flipped(&answer, bit)).is_err(), "bit {bit}");
    }
    for cut in 0..answer.len() {
        assert!(scene.opened(&answer[..cut]).is_err());
    }
    assert!(scene.opened(&[&answer[..], &[0]].concat()).is_err());
    assert_eq!(scene.opened(&vec![0; 5_000]), Err(ErrorKind::Limit));
    // No name, key or seed is in it in the clear.
    let own = scene.phone.client.identity().unwrap();
    let secrets = [b"bob".as_slice(), own.identity_key().as_bytes(), scene.identity.expose_seed().unwrap()];
    for secret in secrets {
        assert!(!answer.windows(secret.len()).any(|window| window == secret));
    }
    // After all that was tried, the right one is still taken.
    assert_eq!(scene.opened(&answer), Ok(()));
}

/// Each half alone: the code without the pairing key, and the pairing key (as a quantum computer finds it) without the code.
#[test]
fn row_02_a_photograph_of_the_code_reads_no_answer_nor_does_the_pairing_key_alone() {
    // A laptop by hand, whose pairing key is known.
    let (pairing, mut scene) = ([7; 32], Scene::new());
    let key = SealSecret::from_secret(Secret::from_bytes(&mut pairing.clone()));
    let mut code = scene.code();
    *code.item(3) = Value::from(key.public().as_bytes().as_slice());
    let offer = DeviceOffer::from_secret_bytes(&code.encode()).unwrap();
    let answering = Answering { serial: 2, now: START, transfer: Transfer::Copy };
    let own = scene.phone.client.identity().unwrap();
    let answer = offer.answer(own, &scene.identity, answering, &mut scene.rng).unwrap();
    let part = EnvelopeFor::from_bytes(&answer).unwrap();
    let id = recipient_id(key.public().as_bytes());
    // Without the pairing key the envelope stays closed.
    for other in 0..50 {
        let guess = SealSecret::from_secret(Secret::from_bytes(&mut [other | 0x40; 32]));
        assert!(open_from(&part, Opener::X25519(&guess), &id).is_err());
    }
    // With it, and without the secret, what is in it does; and neither shows the seed.
    let (opened, _) = open_from(&part, Opener::X25519(&key), &id).unwrap();
    let seed = scene.identity.expose_seed().unwrap();
    assert!(!opened.payload().windows(32).any(|window| window == seed));
    let (salt, sealed) = opened.payload().split_at(16);
    let text = cipher(&code, salt).open_with(b"", sealed).unwrap();
    assert!(text.windows(32).any(|window| window == seed), "so the test looks for the right thing");
    let mut blind = code.clone();
    *blind.item(4) = Value::from([9; 32].as_slice());
    assert!(cipher(&blind, salt).open_with(b"", sealed).is_none());
    // Nor does another offer of the same secret read it: the key is bound to the whole offer.
    let mut other = code.clone();
    *other.item(1) = Value::from([9; 16].as_slice());
    assert!(cipher(&other, salt).open_with(b"", sealed).is_none());
}

#[test]
fn row_09_an_offer_with_keys_of_low_order_is_refused() {
    let scene = Scene::new();
    let code = scene.code();
    let mut bad = 0;
    for point in EIGHT_TORSION {
        let (pairing, key) = (point.to_montgomery().to_bytes(), point.compress().to_bytes());
        for (at, bytes) in [(3, pairing), (2, key)] {
            let mut code = code.clone();
            *code.item(at) = Value::from(bytes.as_slice());
            assert_eq!(DeviceOffer::from_secret_bytes(&code.encode()).unwrap_err().kind(), ErrorKind::Malformed);
            bad += 1;
        }
    }
    assert_eq!(bad, 16);
    assert!(DeviceOffer::from_secret_bytes(&code.encode()).is_ok());
}

/// An answer opens for the one device that showed the code, as long as it waits.
#[test]
fn row_10_an_answer_is_for_one_offer() {
    let mut scene = Scene::new();
    let (answer, again) = (scene.answer(Transfer::Stay), scene.answer(Transfer::Stay));
    assert_ne!(answer, again);
    let other = NewDevice::begin(&mut scene.rng);
    for answer in [&answer, &again] {
        assert!(other.open(answer, &scene.trust, START).is_err());
    }
    // Twice to the same one it is the same, until the device goes on: then its keys are gone with it.
    assert_eq!(scene.opened(&answer), Ok(()));
    assert_eq!(scene.opened(&answer), Ok(()));
    // A link of another's answer is of no use either.
    let link = scene.laptop.open(&again, &scene.trust, START).unwrap();
    assert_eq!(other.finish(link).unwrap_err().kind(), ErrorKind::Misuse);
}

/// Whoever saw the code and is another user can answer: with that user's own name, which the new device shows. Everything
/// that is not one user's own, whole and true is refused.
#[test]
fn row_16_whoever_saw_the_code_can_answer_only_as_who_they_are() {
    let mut scene = Scene::new();
    let offer = scene.laptop.offer();
    let (mallory, key) = (IdentityKey::from_seed(&[66; 32]), SigningKey::from_seed(&[66; 32]));
    let bob = SigningKey::from_seed(scene.identity.expose_seed().unwrap());
    let validity = scene.phone.client.identity().unwrap().credential().validity();
    let issue = |scene: &Scene, app: &App, name: &str, by: &IdentityKey, device: DeviceId, key| {
        let user = app.user(name).unwrap();
        let credential = app.key().vouch(&user, by.public(), validity).unwrap();
        let certificate = by.certify_device(&user, device, key, 9, START).unwrap();
        let claim = convivio::identity::UnverifiedDeviceIdentity::new(credential, certificate);
        claim.verify(&App::trust(&[&scene.world.courier, &scene.world.photos]).unwrap(), START).unwrap()
    };
    let (device, device_key) = (offer.device(), offer.device_key());
    let as_mallory = issue(&scene, &scene.world.courier, "mallory", &mallory, device, device_key);
    let answer = scene.by_hand(&key, b"", &granted(&as_mallory, None));
    let link = scene.laptop.open(&answer, &scene.trust, START).unwrap();
    assert_eq!(link.identity().user().name(), "mallory", "which is shown before it counts");

    let right = issue(&scene, &scene.world.courier, "bob", &scene.identity, device, device_key);
    let elsewhere = issue(&scene, &scene.world.photos, "bob", &mallory, device, device_key);
    let other_device =
        issue(&scene, &scene.world.courier, "bob", &scene.identity, DeviceId::from_bytes([1; 16]), device_key);
    let other_key = issue(
        &scene,
        &scene.world.courier,
        "bob",
        &scene.identity,
        device,
        SigningKey::from_seed(&[5; 32]).verify_key(),
    );
    // A credential of one, a certificate of another.
    let mixed = |credential: &DeviceIdentity, certificate: &DeviceIdentity| {
        let claim = convivio::identity::UnverifiedDeviceIdentity::new(
            credential.credential().clone(),
            certificate.certificate().clone(),
        );
        array![1, Value::decode(&claim.to_bytes()), false, [0; 32]].encode()
    };
    let seed = *bob.expose_seed();
    let with_seed = granted(&right, Some(&seed));
    /// What is wrong, who signs, what stands beside the key, what is sealed, and why it is refused.
    type Case<'a> = (&'a str, &'a SigningKey, &'a [u8], Vec<u8>, ErrorKind);
    let cases: [Case<'_>; 12] = [
        ("another app's user", &key, b"", granted(&elsewhere, None), ErrorKind::NotAllowed),
        ("another device", &bob, b"", granted(&other_device, None), ErrorKind::Unauthentic),
        ("another device key", &bob, b"", granted(&other_key, None), ErrorKind::Unauthentic),
        ("sealed by another", &key, b"", granted(&right, None), ErrorKind::Unauthentic),
        ("with more beside the sender", &bob, b"x", granted(&right, None), ErrorKind::Unauthentic),
        ("another seed", &bob, b"", granted(&right, Some(&[66; 32])), ErrorKind::Unauthentic),
        ("a credential of another user", &bob, b"", mixed(&as_mallory, &right), ErrorKind::Unauthentic),
        ("a certificate of another user", &key, b"", mixed(&right, &as_mallory), ErrorKind::Unauthentic),
        (
            "a seed that does not count",
            &bob,
            b"",
            array![1, Value::decode(&right.to_bytes()), false, seed].encode(),
            ErrorKind::Malformed,
        ),
        (
            "another version",
            &bob,
            b"",
            array![2, Value::decode(&right.to_bytes()), false, [0; 32]].encode(),
            ErrorKind::Unsupported,
        ),
        ("more behind", &bob, b"", [&with_seed[..], &[0]].concat(), ErrorKind::Malformed),
        ("nothing", &bob, b"", Vec::new(), ErrorKind::Malformed),
    ];
    for (what, sender, info, text, why) in cases {
        let answer = scene.by_hand(sender, info, &text);
        assert_eq!(scene.opened(&answer), Err(why), "{what}");
    }
    // Made by hand as it should be, it is taken.
    let answer = scene.by_hand(&bob, b"", &with_seed);
    assert_eq!(scene.opened(&answer), Ok(()));
    // Not after the credential has run out.
    let late = scene.laptop.open(&answer, &scene.trust, START.after(800 * DAY));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Expired);
}

/// What a device was answered it cannot hand on as if it had been meant for another, even with all that it knows.
#[test]
fn row_24_an_answer_cannot_be_sealed_on_to_another_device() {
    let mut scene = Scene::new();
    // A laptop by hand, which was answered.
    let pairing = [7; 32];
    let key = SealSecret::from_secret(Secret::from_bytes(&mut pairing.clone()));
    let mut code = scene.code();
    *code.item(3) = Value::from(key.public().as_bytes().as_slice());
    let offer = DeviceOffer::from_secret_bytes(&code.encode()).unwrap();
    let answering = Answering { serial: 2, now: START, transfer: Transfer::Stay };
    let own = scene.phone.client.identity().unwrap();
    let answer = offer.answer(own, &scene.identity, answering, &mut scene.rng).unwrap();
    let part = EnvelopeFor::from_bytes(&answer).unwrap();
    let (header, id) = (part.header().bytes(), recipient_id(key.public().as_bytes()));
    let seed = open_stanza(&pairing, (header, &id), part.stanza()).unwrap();
    let content = open_body(&seed, header, part.body()).unwrap();
    // The victim is the laptop of the scene; its code was photographed.
    let victim = scene.code();
    let victims_key: [u8; 32] = victim.items()[3].fixed();
    let victims_id = recipient_id(&victims_key);
    let sealer = Sealer::new(STANDALONE, seed, &[]);
    assert_eq!(sealer.header, header);
    let to = (victims_key.as_slice(), victims_id.as_slice());
    for ids in [content.ids.clone(), Some(vec![victims_id.clone()])] {
        let stanza = (victims_id.clone(), sealer.stanza(&seed, to, 0));
        let on = envelope(header, &[stanza], &sealer.body(&Content { ids, ..content.clone() }));
        let on = on.split(&victims_id).unwrap().to_bytes();
        assert!(matches!(scene.opened(&on), Err(ErrorKind::NotAllowed | ErrorKind::Unauthentic)));
    }
    // Its text under the victim's secret, in an envelope that only someone else can sign.
    let text = cipher(&code, &content.payload()[..16]).open_with(b"", &content.payload()[16..]).unwrap();
    let on = scene.by_hand(&SigningKey::from_seed(&[66; 32]), b"", &text);
    assert_eq!(scene.opened(&on), Err(ErrorKind::Unauthentic));
}

/// Neither through a member's library nor by a member's own hand, while the certificate is as old as the revocation.
#[test]
fn row_30_a_revoked_device_does_not_return_by_its_old_certificate() {
    let mut world = World::new();
    let (mut maria, mut phone) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let mut laptop = world.link(1, &mut phone);
    world.bring_along(&mut phone, &mut laptop);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    let (lost, package) = (laptop.id(), laptop.package());
    phone.client.revoke_device(lost).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    let add = Change::Add(vec![package.clone()]);
    assert_eq!(maria.dropped(&mut world, &group, add), ErrorKind::NotAllowed);
    world.quiet(&mut [&mut maria, &mut phone]);
    // By hand, past every check of the library's, it is void for everyone.
    let made = Insider::of(&maria, &group).adding(&package).seal();
    let before = lasting(&phone);
    assert_eq!(judge(&Insider::of(&phone, &group).group(), &made.entry(1)), Verdict::Void(ErrorKind::NotAllowed));
    assert_eq!(lasting(&phone), before);
    assert_eq!(phone.client.revoked_devices().unwrap()[0].remaining, []);
    // One with a newer certificate comes in by the very same way.
    let mut tablet = world.link(1, &mut phone);
    let package = tablet.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    assert_eq!(phone.client.own_devices().unwrap().len(), 2);
}

/// An inviter makes up the least serial of the joiner's devices: it neither uses up the serials that there are, nor holds up
/// the joiner's devices elsewhere.
#[test]
fn row_17_a_made_up_least_serial_uses_up_no_serials_and_stops_no_device() {
    for (least, next) in [(1_000, 1_000), (1 << 40, 2), (u64::MAX, 2)] {
        let mut scene = crate::kit::Scene::new();
        let mut carol = scene.world.device("carol");
        let package = carol.package();
        let commit = scene.as_thief_of(&scene.maria).adding(&package).seal();
        let (mut welcome, mut state) = (commit.welcome(), commit.state.clone());
        let of_carol = |user: &&mut Value| user.items()[0].text().ends_with("carol");
        *state.users.iter_mut().find(of_carol).unwrap().item(3) = Value::Int(least);
        let joiner = welcome.joiner;
        welcome.agree_on(&state, joiner);
        scene.hub.show_welcome(&mut carol, &commit.envelope(), &welcome.seal(&package));
        let before = carol.client.next_serial().unwrap();
        assert_eq!(before, next, "before it is accepted");
        carol.client.answer(&scene.id, Answer::Accept).unwrap();
        assert_eq!(carol.client.next_serial().unwrap(), next + 1);
        let policy = scene.world.policy();
        let own = carol.client.create_group(policy, GroupInfo::default()).unwrap();
        let mut tablet = scene.world.link(0, &mut carol);
        let added = carol.client.add_device(tablet.packages(2)).unwrap();
        let held_up = least > next;
        assert_eq!(added.len(), if held_up { 1 } else { 2 });
        assert!(added.iter().any(|(group, _)| *group == own));
        // Nor does it make strangers of the joiner's devices: being added by one of them needs no question.
        let by_tablet = tablet.client.create_group(scene.world.policy(), GroupInfo::default()).unwrap();
        let package = carol.package();
        tablet.client.change(&by_tablet, Change::Add(vec![package])).unwrap();
        scene.world.sync(&mut tablet);
        let packages = carol.client.package_ids().unwrap();
        carol.news();
        carol.receive(&scene.world.hub.welcomes(&packages));
        assert!(matches!(carol.news()[..], [EventKind::Joined { .. }]), "{least}");
    }
}
