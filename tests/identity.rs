//! From an app's root to a device's keys: what is believed, when, and what is not (`docs/protocol.md`, section 3).

use convivio::identity::*;
use convivio::{
    DeviceId, ErrorKind, GroupId, InitSecret, LeafIndex, Result, SealSecret, Signature, SignatureInput, Signer,
    SigningKey, Suite, Timestamp, Validity, VerifyKey, limits,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

const DAY: u64 = 24 * 60 * 60;
const NOW: Timestamp = Timestamp(1_800_000_000);

/// A user's device on an app, and those who trust the app.
struct World {
    rng: StdRng,
    root: AppRoot,
    app: AppKey,
    user: UserUri,
    identity: IdentityKey,
    device_key: SigningKey,
    trust: TrustedApps,
}

impl World {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let domain: AppDomain = "a.example".parse().unwrap();
        let root = AppRoot::generate(domain.clone(), &mut rng);
        let app = app_key(&root, around(10), &mut rng);
        let mut trust = TrustedApps::new();
        trust.insert(domain.clone(), root.public().clone()).unwrap();
        Self {
            root,
            app,
            user: UserUri::new(&domain, "ada").unwrap(),
            identity: IdentityKey::generate(&mut rng),
            device_key: SigningKey::generate(&mut rng),
            trust,
            rng,
        }
    }

    fn claim(&self, credential: Validity) -> UnverifiedDeviceIdentity {
        let credential = self.app.vouch(&self.user, self.identity.public(), credential).unwrap();
        let device = DeviceId::from_bytes([9; 16]);
        let key = self.device_key.verify_key();
        let certificate = self.identity.certify_device(&self.user, device, key, 3, NOW).unwrap();
        UnverifiedDeviceIdentity::new(credential, certificate)
    }

    fn device(&self) -> DeviceIdentity {
        self.claim(around(5)).verify(&self.trust, NOW).unwrap()
    }

    fn body(&mut self, validity: Validity) -> LeafBody {
        LeafBody {
            signature_key: SigningKey::generate(&mut self.rng).verify_key().clone(),
            seal_key: SealSecret::generate(&mut self.rng).public().clone(),
            capabilities: Capabilities::new(&[Suite::One], &[7, 2, 7]).unwrap(),
            validity,
            source: Source::Commit {
                group: GroupId::from_bytes([1; 16]),
                leaf: LeafIndex(4),
                parent: [2; 32],
                proposals: [3; 32],
            },
        }
    }

    fn leaf(&mut self, validity: Validity) -> UnverifiedLeaf {
        let body = self.body(validity);
        let leaf = sign_leaf(&self.device(), &self.device_key, body).unwrap();
        UnverifiedLeaf::from_bytes(leaf.encoded()).unwrap()
    }

    fn package(&mut self, validity: Validity, last_resort: bool) -> Result<(KeyPackage, KeyPackageSecrets)> {
        let options = PackageOptions { capabilities: Capabilities::default(), validity, last_resort };
        KeyPackage::create(&self.device(), &self.device_key, options, &mut self.rng)
    }
}

fn app_key(root: &AppRoot, validity: Validity, rng: &mut StdRng) -> AppKey {
    let key = SigningKey::generate(rng);
    let certificate = root.certify(key.verify_key(), validity);
    AppKey::new(key, certificate).unwrap()
}

/// As many days before now as after.
fn around(days: u64) -> Validity {
    Validity { not_before: Timestamp(NOW.0 - days * DAY), not_after: Timestamp(NOW.0 + days * DAY) }
}

fn days(n: i64) -> Timestamp {
    Timestamp(NOW.0.checked_add_signed(n * DAY as i64).unwrap())
}

fn kind<T: core::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// Every other byte string that differs in one byte, by one bit or by all.
fn tampered(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |i| {
        [1, 0x80, 0xff].map(|mask| {
            let mut bytes = bytes.to_vec();
            bytes[i] ^= mask;
            bytes
        })
    })
}

#[test]
fn a_chain_from_a_trusted_root_is_believed() {
    let mut world = World::new();
    let device = world.device();
    assert_eq!(device.user(), &world.user);
    assert_eq!(device.identity_key(), world.identity.public());
    assert_eq!(device.device_key(), world.device_key.verify_key());
    assert_eq!(device.credential().root(), world.root.public());
    assert_eq!(device.certificate().serial(), 3);

    let sent = device.to_bytes();
    let read = UnverifiedDeviceIdentity::from_bytes(&sent).unwrap().verify(&world.trust, NOW).unwrap();
    assert_eq!(read, device);
    assert_eq!(read.to_bytes(), sent);

    let unverified = world.leaf(around(1));
    let (bytes, hash) = (unverified.to_bytes(), unverified.hash());
    let leaf = unverified.verify(&world.trust, Some(NOW)).unwrap();
    assert_eq!(leaf.encoded(), bytes);
    assert_eq!(leaf.hash(), hash);
    assert_eq!(leaf.identity(), &device);
    assert_eq!((leaf.user(), leaf.domain(), leaf.root()), (&world.user, world.root.domain(), world.root.public()));
    assert_eq!((leaf.device(), leaf.serial(), leaf.suite()), (DeviceId::from_bytes([9; 16]), 3, Suite::One));
    assert_eq!(leaf.capabilities().features(), [2, 7]);
    assert!(leaf.capabilities().has_feature(7) && !leaf.capabilities().has_feature(3));
    assert!(leaf.encoded().len() < 1024, "{} bytes", leaf.encoded().len());
}

#[test]
fn an_app_is_trusted_by_domain_and_root() {
    let mut world = World::new();
    let (domain, root) = (world.root.domain().clone(), world.root.public().clone());
    let claim = world.claim(around(5));
    let leaf = world.leaf(around(5));

    let mut elsewhere = TrustedApps::new();
    assert_eq!(kind(claim.clone().verify(&elsewhere, NOW)), ErrorKind::NotAllowed);
    elsewhere.insert("b.example".parse().unwrap(), root.clone()).unwrap();
    let other = AppRoot::generate(domain.clone(), &mut world.rng);
    elsewhere.insert(domain.clone(), other.public().clone()).unwrap();
    assert_eq!(kind(claim.clone().verify(&elsewhere, NOW)), ErrorKind::NotAllowed);
    assert_eq!(kind(leaf.clone().verify(&elsewhere, None)), ErrorKind::NotAllowed);

    elsewhere.insert(domain.clone(), root.clone()).unwrap();
    assert!(claim.clone().verify(&elsewhere, NOW).is_ok());
    assert!(elsewhere.remove(&domain, &root));
    assert_eq!(kind(claim.verify(&elsewhere, NOW)), ErrorKind::NotAllowed);

    // A known leaf does not help once its app is off the list.
    let known = leaf.clone().verify(&world.trust, None).unwrap();
    assert_eq!(kind(verify_all(vec![(leaf, Some(&known))], &elsewhere, None)), ErrorKind::NotAllowed);
}

#[test]
fn every_link_has_its_time() {
    let mut world = World::new();
    for at in [days(-5), days(5)] {
        assert!(world.claim(around(5)).verify(&world.trust, at).is_ok());
    }
    for at in [Timestamp(days(-5).0 - 1), Timestamp(days(5).0 + 1)] {
        assert_eq!(kind(world.claim(around(5)).verify(&world.trust, at)), ErrorKind::Expired);
    }
    // The app key outlives nothing it vouches for.
    for at in [days(-11), days(11)] {
        assert_eq!(kind(world.claim(around(20)).verify(&world.trust, at)), ErrorKind::Expired);
    }

    let leaf = world.leaf(around(1));
    for at in [days(-2), days(2)] {
        assert_eq!(kind(leaf.clone().verify(&world.trust, Some(at))), ErrorKind::Expired);
    }
    let known = leaf.clone().verify(&world.trust, None).unwrap();
    let late = vec![(leaf, Some(&known))];
    assert_eq!(kind(verify_all(late, &world.trust, Some(days(2)))), ErrorKind::Expired);

    let (package, _) = world.package(Validity::starting(NOW, DAY), false).unwrap();
    let package = UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap();
    assert!(package.clone().verify(&world.trust, days(1)).is_ok());
    assert_eq!(kind(package.clone().verify(&world.trust, days(2))), ErrorKind::Expired);
    assert_eq!(kind(package.verify(&world.trust, days(-1))), ErrorKind::Expired);
}

#[test]
fn no_byte_of_a_leaf_can_change() {
    let mut world = World::new();
    let unverified = world.leaf(around(1));
    let bytes = unverified.to_bytes();
    let known = unverified.verify(&world.trust, None).unwrap();
    for changed in tampered(&bytes) {
        if let Ok(leaf) = UnverifiedLeaf::from_bytes(&changed) {
            assert_eq!(leaf.to_bytes(), changed);
            assert!(leaf.clone().verify(&world.trust, None).is_err());
            assert!(verify_all(vec![(leaf, Some(&known))], &world.trust, None).is_err());
        }
    }
}

#[test]
fn no_byte_of_a_key_package_can_change() {
    let mut world = World::new();
    let (package, _) = world.package(Validity::starting(NOW, DAY), true).unwrap();
    for changed in tampered(&package.to_bytes()) {
        if let Ok(package) = UnverifiedKeyPackage::from_bytes(&changed) {
            assert!(package.verify(&world.trust, NOW).is_err());
        }
    }
}

#[test]
fn there_is_one_encoding() {
    let mut world = World::new();
    let leaf = world.leaf(around(1)).to_bytes();
    let device = world.device().to_bytes();
    let trust = world.trust.to_bytes();
    for bytes in [&leaf, &device, &trust] {
        let refused = |bytes: &[u8]| {
            UnverifiedLeaf::from_bytes(bytes).is_err()
                && UnverifiedDeviceIdentity::from_bytes(bytes).is_err()
                && TrustedApps::from_bytes(bytes).is_err()
        };
        assert!((0..bytes.len()).all(|len| refused(&bytes[..len])));
        assert!(refused(&[bytes, &[0][..]].concat()));
        // The outer array's length in two bytes instead of one.
        assert!(refused(&[&[0x98, bytes[0] & 0x1f], &bytes[1..]].concat()));
    }
    // The same of the array inside the signed bytes of the leaf.
    assert_eq!((&leaf[..2], leaf[3]), (&[0x83, 0x58][..], 0x88));
    let changed = [&leaf[..2], &[leaf[2] + 1, 0x98, 0x08], &leaf[4..]].concat();
    assert_eq!(kind(UnverifiedLeaf::from_bytes(&changed)), ErrorKind::Malformed);
}

/// The last item of an encoded leaf: the device identity, of 256 bytes at least, as a byte string.
fn identity_item(leaf: &UnverifiedLeaf) -> Vec<u8> {
    let identity = leaf.claims().identity().to_bytes();
    let length = u16::try_from(identity.len()).unwrap().to_be_bytes();
    [&[0x59], &length[..], &identity].concat()
}

#[test]
fn a_leaf_comes_with_the_very_identity_that_it_signs() {
    let mut world = World::new();
    let (leaf, other) =
        (world.leaf(around(1)), World { user: "mimi://a.example/u/bob".parse().unwrap(), ..World::new() });
    let bytes = leaf.to_bytes();
    let item = identity_item(&leaf);
    let signed = bytes.strip_suffix(&item[..]).unwrap();

    // Another user's, the same user's vouched for anew, and none.
    let mine = world.device();
    let renewed =
        UnverifiedDeviceIdentity::new(world.claim(around(4)).credential().clone(), mine.certificate().clone());
    for identity in [other.device().as_unverified(), &renewed] {
        assert_eq!(identity.to_bytes().len() + 3, item.len());
        let changed = [signed, &item[..3], &identity.to_bytes()].concat();
        assert_eq!(kind(UnverifiedLeaf::from_bytes(&changed)), ErrorKind::Malformed);
    }
    assert_eq!(kind(UnverifiedLeaf::from_bytes(&[signed, &[0xf6]].concat())), ErrorKind::Malformed);
    assert_eq!(UnverifiedLeaf::from_bytes(&[signed, &item].concat()).unwrap().hash(), leaf.hash());
}

#[test]
fn links_of_different_chains_do_not_mix() {
    let world = World::new();
    let mut other = World::new();
    other.identity = IdentityKey::generate(&mut other.rng);
    let (mine, theirs) = (world.claim(around(5)), other.claim(around(5)));
    assert_ne!(mine, theirs);
    let mixed = UnverifiedDeviceIdentity::new(mine.credential().clone(), theirs.certificate().clone());
    assert_eq!(kind(mixed.verify(&world.trust, NOW)), ErrorKind::Unauthentic);
}

#[test]
fn an_app_key_needs_its_own_certificate() {
    let mut world = World::new();
    let key = SigningKey::from_seed(&[6; 32]);
    let other = world.root.certify(world.device_key.verify_key(), around(1));
    assert_eq!(kind(AppKey::new(key, other)), ErrorKind::Misuse);

    let key = SigningKey::from_seed(&[6; 32]);
    let mut bytes = world.root.certify(key.verify_key(), around(1)).to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = AppKeyCertificate::from_bytes(&bytes).unwrap();
    assert_eq!(kind(AppKey::new(key, forged)), ErrorKind::Unauthentic);

    let bob: UserUri = "mimi://b.example/u/bob".parse().unwrap();
    let identity = IdentityKey::generate(&mut world.rng);
    assert_eq!(kind(world.app.vouch(&bob, identity.public(), around(1))), ErrorKind::NotAllowed);
}

/// A key store that holds one key and answers with what another would say.
struct Liar(SigningKey, SigningKey);

impl Signer for Liar {
    fn verify_key(&self) -> &VerifyKey {
        self.0.verify_key()
    }

    fn sign(&self, input: &SignatureInput) -> Result<Signature> {
        Ok(self.1.sign(input))
    }
}

#[test]
fn keys_may_live_elsewhere_but_must_answer_right() {
    let mut world = World::new();
    let key = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let outside = IdentityKey::external(Box::new(key(1)));
    assert!(outside.expose_seed().is_none());
    assert_eq!(outside.public(), key(1).verify_key());
    let device = DeviceId::from_bytes([9; 16]);
    assert!(outside.certify_device(&world.user, device, key(3).verify_key(), 1, NOW).is_ok());
    let liar = IdentityKey::external(Box::new(Liar(key(1), key(2))));
    assert_eq!(kind(liar.certify_device(&world.user, device, key(3).verify_key(), 1, NOW)), ErrorKind::Misuse);

    let body = world.body(around(1));
    assert_eq!(kind(sign_leaf(&world.device(), &SigningKey::from_seed(&[8; 32]), body.clone())), ErrorKind::Misuse);
    let seed = *world.device_key.expose_seed();
    let liar = Liar(SigningKey::from_seed(&seed), SigningKey::from_seed(&[8; 32]));
    assert_eq!(kind(sign_leaf(&world.device(), &liar, body)), ErrorKind::Misuse);

    let seed = *world.identity.expose_seed().unwrap();
    assert_eq!(IdentityKey::from_seed(&seed).public(), world.identity.public());
}

#[test]
fn many_leaves_stand_or_fall_together() {
    let mut world = World::new();
    let leaves: Vec<_> = (0..20).map(|_| world.leaf(around(1))).collect();
    let first = leaves[0].clone().verify(&world.trust, Some(NOW)).unwrap();
    let some =
        |leaves: &[UnverifiedLeaf]| -> Vec<_> { leaves.iter().map(|leaf| (leaf.clone(), Some(&first))).collect() };
    let fresh: Vec<_> = leaves.iter().map(|leaf| (leaf.clone(), None)).collect();
    let verified = verify_all(fresh, &world.trust, Some(NOW)).unwrap();
    assert_eq!(verified, verify_all(some(&leaves), &world.trust, Some(NOW)).unwrap());
    assert!(verified.iter().zip(&leaves).all(|(leaf, sent)| leaf.hash() == sent.hash()));
    assert!(verify_all(Vec::new(), &world.trust, None).unwrap().is_empty());

    let mut bytes = leaves[13].to_bytes();
    let signature_end = bytes.len() - identity_item(&leaves[13]).len();
    bytes[signature_end - 1] ^= 1;
    let mut spoiled = leaves.clone();
    spoiled[13] = UnverifiedLeaf::from_bytes(&bytes).unwrap();
    assert_eq!(kind(verify_all(some(&spoiled), &world.trust, Some(NOW))), ErrorKind::Unauthentic);
}

#[test]
fn a_key_package_carries_the_init_key_its_device_signed() {
    let mut world = World::new();
    let (package, secrets) = world.package(Validity::starting(NOW, DAY), false).unwrap();
    assert_eq!(package.init_key(), &secrets.init.public());
    assert_eq!(package.leaf().signature_key(), secrets.signing.verify_key());
    assert_eq!(package.leaf().seal_key(), secrets.seal.public());
    assert!(!package.last_resort());
    let bytes = package.to_bytes();
    let read = UnverifiedKeyPackage::from_bytes(&bytes).unwrap();
    assert_eq!((read.to_bytes(), read.id()), (bytes.clone(), package.id()));
    assert_eq!(read.verify(&world.trust, NOW).unwrap(), package);

    let other = InitSecret::generate(&mut world.rng).public().to_bytes();
    let mut swapped = bytes;
    let start = swapped.len() - other.len();
    swapped[start..].copy_from_slice(&other);
    let swapped = UnverifiedKeyPackage::from_bytes(&swapped).unwrap();
    assert_eq!(swapped.id(), package.id());
    assert_eq!(kind(swapped.verify(&world.trust, NOW)), ErrorKind::Unauthentic);
}

#[test]
fn key_packages_do_not_live_for_ever() {
    let mut world = World::new();
    let lives = |seconds| Validity::starting(NOW, seconds);
    assert!(world.package(lives(limits::KEY_PACKAGE_LIFETIME), false).is_ok());
    assert_eq!(kind(world.package(lives(limits::KEY_PACKAGE_LIFETIME + 1), false)), ErrorKind::Limit);
    assert!(world.package(lives(limits::LAST_RESORT_LIFETIME), true).unwrap().0.last_resort());
    assert_eq!(kind(world.package(lives(limits::LAST_RESORT_LIFETIME + 1), true)), ErrorKind::Limit);
}

#[test]
fn a_leaf_of_a_commit_is_no_key_package() {
    let mut world = World::new();
    let leaf = world.leaf(around(1)).to_bytes();
    let (package, _) = world.package(Validity::starting(NOW, DAY), false).unwrap();
    let own = package.leaf().encoded().len();
    let bytes = package.to_bytes();
    let length = u16::try_from(leaf.len()).unwrap().to_be_bytes();
    let mixed = [&[0x82, 0x59], &length[..], &leaf, &bytes[4 + own..]].concat();
    let mixed = UnverifiedKeyPackage::from_bytes(&mixed).unwrap();
    assert_eq!(kind(mixed.verify(&world.trust, NOW)), ErrorKind::Malformed);
}

#[test]
fn the_longest_names_fit() {
    let mut world = World::new();
    let domain: AppDomain = format!("{}a", "a.".repeat(126)).parse().unwrap();
    world.root = AppRoot::generate(domain.clone(), &mut world.rng);
    world.trust.insert(domain.clone(), world.root.public().clone()).unwrap();
    world.app = app_key(&world.root, around(10), &mut world.rng);
    world.user = UserUri::new(&domain, &"a".repeat(limits::USER_NAME)).unwrap();
    let mut body = world.body(Validity { not_before: NOW, not_after: Timestamp(u64::MAX) });
    let features: Vec<u32> = (0..64).map(|i| u32::MAX - i).collect();
    body.capabilities = Capabilities::new(&[Suite::One], &features).unwrap();
    let leaf = sign_leaf(&world.device(), &world.device_key, body).unwrap();
    let read = UnverifiedLeaf::from_bytes(leaf.encoded()).unwrap();
    assert_eq!(read.verify(&world.trust, Some(NOW)).unwrap(), leaf);
    assert!(leaf.encoded().len() < limits::LEAF, "{} bytes", leaf.encoded().len());
}

#[test]
fn lists_of_trusted_apps_are_bounded_and_ordered() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut key = || SigningKey::generate(&mut rng).verify_key().clone();
    let roots: Vec<_> = (0..=limits::ROOTS_PER_APP).map(|_| key()).collect();
    let domain: AppDomain = "a.example".parse().unwrap();
    let (mut forwards, mut backwards) = (TrustedApps::new(), TrustedApps::new());
    for root in &roots[1..] {
        assert!(forwards.insert(domain.clone(), root.clone()).unwrap());
        assert!(!forwards.insert(domain.clone(), root.clone()).unwrap());
    }
    for root in roots[1..].iter().rev() {
        backwards.insert(domain.clone(), root.clone()).unwrap();
    }
    assert_eq!(kind(forwards.insert(domain.clone(), roots[0].clone())), ErrorKind::Limit);
    for i in 1..limits::APPS {
        forwards.insert(format!("app{i}.example").parse().unwrap(), roots[0].clone()).unwrap();
        let i = limits::APPS - i;
        backwards.insert(format!("app{i}.example").parse().unwrap(), roots[0].clone()).unwrap();
    }
    assert_eq!(forwards.to_bytes(), backwards.to_bytes());
    assert_eq!(TrustedApps::from_bytes(&forwards.to_bytes()).unwrap(), forwards);
    assert!(forwards.domains().is_sorted());
    assert_eq!(forwards.domains().len(), limits::APPS);
    assert_eq!(kind(forwards.insert("z.example".parse().unwrap(), roots[0].clone())), ErrorKind::Limit);

    assert!(!forwards.remove(&domain, &roots[0]));
    for root in &roots[1..] {
        assert!(forwards.lists(&domain, root) && forwards.remove(&domain, root));
    }
    assert!(forwards.app(&domain).is_none());
    assert!(backwards.remove_app(&domain) && !backwards.remove_app(&domain));
    assert_eq!(forwards, backwards);
}

#[test]
fn two_users_compare_one_safety_number() {
    let [ada, bob]: [UserUri; 2] = ["mimi://a.example/u/ada", "mimi://b.example/u/bob"].map(|uri| uri.parse().unwrap());
    let [ada_key, bob_key, eve_key] = [1, 2, 3].map(|seed| SigningKey::from_seed(&[seed; 32]).verify_key().clone());
    let at_ada = SafetyNumber::new(&ada, &ada_key, &bob, &bob_key);
    let at_bob = SafetyNumber::new(&bob, &bob_key, &ada, &ada_key);
    assert_eq!(at_ada.to_string(), at_bob.to_string());
    assert_eq!(at_ada.digits().len(), 60);
    assert_eq!(at_ada.to_string().split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
    assert_eq!(at_ada.to_string().replace(' ', ""), at_ada.digits());
    assert_eq!(at_ada.compare_qr(&at_bob.qr()).unwrap(), QrComparison::Match);
    assert_eq!(at_bob.compare_qr(&at_ada.qr()).unwrap(), QrComparison::Match);

    // Computed from the description by another program.
    assert_eq!(at_ada.to_string(), "78530 63127 57639 61717 76251 90796 82228 79959 51387 88855 78143 99341");

    // Eve shows each of them her own key as the other's.
    let deceived = SafetyNumber::new(&ada, &ada_key, &bob, &eve_key);
    assert_ne!(deceived.digits(), at_bob.digits());
    assert_eq!(deceived.compare_qr(&at_bob.qr()).unwrap(), QrComparison::Mismatch);
    assert_eq!(at_bob.compare_qr(&deceived.qr()).unwrap(), QrComparison::Mismatch);

    // Our own code, and a code about others.
    assert_eq!(at_ada.compare_qr(&at_ada.qr()).unwrap(), QrComparison::OtherUsers);
    let carol: UserUri = "mimi://a.example/u/carol".parse().unwrap();
    let at_carol = SafetyNumber::new(&carol, &bob_key, &ada, &ada_key);
    assert_eq!(at_ada.compare_qr(&at_carol.qr()).unwrap(), QrComparison::OtherUsers);
    assert_ne!(at_carol.digits(), at_ada.digits());

    for changed in tampered(&at_bob.qr()) {
        assert!(!matches!(at_ada.compare_qr(&changed), Ok(QrComparison::Match)));
    }
    assert_eq!(kind(at_ada.compare_qr(b"https://a.example")), ErrorKind::Malformed);
}
