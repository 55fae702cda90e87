//! Row 16: an app that vouches for whom it may not, papers that have expired, and a known name with another key.

use convivio::client::{Answer, Change, EventKind};
use convivio::group::Rejected;
use convivio::identity::{IdentityKey, KeyPackage, PackageOptions, UnverifiedKeyPackage};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, InitSecret, SigningKey, Validity};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::kit::cbor::{array, public};
use crate::kit::commit::{Plan, encode_leaf};
use crate::kit::insider::public_seal;
use crate::kit::leaf::{Chain, LeafPlan, Names, key_package, package_source};
use crate::kit::scene::{ANNA, BOB, void};
use crate::kit::{Insider, Scene, Value};
use crate::support::{DAY, START};

/// A key package of someone whom nobody enrolled, by this chain of trust.
fn package(chain: &Chain, names: &Names, lives: (u64, u64)) -> (Vec<u8>, Vec<u8>) {
    let init = InitSecret::from_secret(convivio::Secret::from_bytes(&mut [31; 32])).public().to_bytes();
    let leaf = LeafPlan {
        suite: 1,
        signature_key: public(&[32; 32]).to_vec(),
        seal_key: public_seal(&[33; 32]).to_vec(),
        capabilities: array![array![1], array![]],
        validity: lives,
        source: package_source(&init, false, lives.1),
        identity: chain.device_identity(names),
    };
    (leaf.sign(&chain.device), init)
}

/// An add of this leaf, valid but for what is wrong with the leaf.
fn adding(insider: &mut Insider, leaf: &[u8], identity: &[u8; 32], user: &str, domain: &str) -> Plan {
    let mut plan = insider.plan(vec![array![6, Value::decode(leaf)]]);
    let index = plan.next.next_leaf;
    plan.opened = vec![(index, domain.to_owned())];
    plan.next.next_leaf += 1;
    plan.next.set_leaf(index, leaf.to_vec());
    if !plan.next.users.iter().any(|known| known.items()[0].text() == user) {
        plan.next.users.push(array![user, public(identity), 1, 0]);
        plan.next.users.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
    }
    plan
}

/// How a chain may be wrong, and what is then said of it.
struct Case {
    what: &'static str,
    chain: Chain,
    names: Names,
    lives: (u64, u64),
    expected: Option<ErrorKind>,
}

fn cases(scene: &Scene) -> Vec<Case> {
    let [photos, courier, lumen] =
        [&scene.world.photos, &scene.world.courier, &scene.world.lumen].map(|app| *app.root().expose_seed());
    let good = Chain { root: courier, app: [21; 32], identity: [22; 32], device: [23; 32] };
    let now = START.0;
    let user = "mimi://courier.example/u/eve".to_owned();
    let names = Names {
        domain: "courier.example".to_owned(),
        user: user.clone(),
        certified: user,
        device: [9; 16],
        serial: 1,
        validity: (now - 100, now + 100 * DAY),
    };
    let lives = (now - 10, now + DAY);
    let with = |what, expected, edit: &dyn Fn(&mut Case)| {
        let mut case = Case { what, chain: good, names: names.clone(), lives, expected: Some(expected) };
        edit(&mut case);
        case
    };
    let photos_user = || "mimi://photos.example/u/eve".to_owned();
    use ErrorKind::{Expired, Limit, NotAllowed, Unauthentic};
    vec![
        Case { what: "good", chain: good, names: names.clone(), lives, expected: None },
        with("a user of another domain", NotAllowed, &|case| {
            (case.names.user, case.names.certified) = (photos_user(), photos_user());
        }),
        with("another domain in the certificate, too", NotAllowed, &|case| {
            (case.names.user, case.names.certified) = (photos_user(), photos_user());
            case.names.domain = "photos.example".to_owned();
        }),
        with("a domain below its own", NotAllowed, &|case| {
            case.names.user = "mimi://eu.courier.example/u/eve".to_owned();
            case.names.certified = case.names.user.clone();
        }),
        with("an app that is not in the policy", NotAllowed, &|case| {
            case.chain.root = lumen;
            case.names.domain = "lumen.example".to_owned();
            case.names.user = "mimi://lumen.example/u/eve".to_owned();
            case.names.certified = case.names.user.clone();
        }),
        with("another app's root for this domain", NotAllowed, &|case| case.chain.root = photos),
        with("a certificate for another user", Unauthentic, &|case| {
            case.names.certified = "mimi://courier.example/u/bob".to_owned();
        }),
        with("an expired credential and app key", Expired, &|case| case.names.validity = (now - DAY, now - 1)),
        with("a credential from the future", Expired, &|case| case.names.validity = (now + DAY, now + 2 * DAY)),
        with("an expired package", Expired, &|case| case.lives = (now - DAY, now - 1)),
        with("a package from the future", Expired, &|case| case.lives = (now + 10, now + DAY)),
        with("a package that lives too long", Limit, &|case| case.lives = (now - 10, now + 91 * DAY)),
    ]
}

#[test]
fn row_16_an_app_vouches_for_a_uri_outside_its_domain_and_expired_credentials_are_refused() {
    let mut scene = Scene::new();
    let mut insider = scene.as_thief_of(&scene.maria);
    let bobs = scene.as_thief_of(&scene.bob).group();
    for Case { what, chain, names, lives, expected } in cases(&scene) {
        let (leaf, init) = package(&chain, &names, lives);
        // By an honest admin, at once.
        let read = UnverifiedKeyPackage::from_bytes(&key_package(&leaf, &init)).unwrap();
        if let Some(expected) = expected {
            let refused = read.clone().verify(&scene.world.policy().apps, scene.world.clock.now()).unwrap_err();
            assert_eq!(refused.kind(), expected, "{what}");
            assert_eq!(scene.maria.refused(&scene.id, Change::Add(vec![read])), expected, "{what}");
        }
        // By an admin who adds it all the same: everyone finds the commit invalid.
        let domain = names.user["mimi://".len()..].split('/').next().unwrap();
        let forged = adding(&mut insider, &leaf, &chain.identity, &names.user, domain).seal();
        let verdict = bobs.process(&forged.envelope().split(&encode_leaf(BOB)).unwrap(), None);
        match expected {
            None => assert!(verdict.is_ok(), "{what}: {verdict:?}"),
            Some(expected) => {
                assert!(
                    matches!(&verdict, Err(Rejected::Invalid(error)) if error.kind() == expected),
                    "{what}: {verdict:?}"
                );
                void(&scene.hub, &mut scene.anna, forged.entry(ANNA));
            }
        }
    }
}

/// A member whose credential has expired does not commit with it, whoever's clock says what.
#[test]
fn row_16_an_expired_credential_of_the_committer() {
    let scene = Scene::new();
    let mut insider = scene.insider();
    let bobs = scene.as_thief_of(&scene.bob).group();
    let not_after = insider.device_identity().credential().validity().not_after.0;
    let mut at = |time: u64| {
        let device = insider.device.unwrap();
        let mut plan = insider.plan(Vec::new());
        let leaf = LeafPlan { validity: (time, u64::MAX), ..LeafPlan::like(plan.next.leaf(3).unwrap()) }.sign(&device);
        plan.leaf = crate::kit::leaf::refreshed(&leaf);
        plan.next.set_leaf(3, leaf);
        (plan.time, plan.next.time) = (time, time);
        bobs.process(&plan.seal().envelope().split(&encode_leaf(BOB)).unwrap(), None)
    };
    assert!(at(not_after).is_ok(), "in its last second");
    let rejected = at(not_after + 1);
    assert!(matches!(rejected, Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::Expired));
}

/// A package of a user, certified by an identity key of someone else's making.
fn other_key(app: &App, name: &str, identity: &IdentityKey) -> UnverifiedKeyPackage {
    let dice = &mut StdRng::seed_from_u64(16);
    let key = SigningKey::generate(dice);
    let device = app.certify(name, identity, (DeviceId::from_bytes([16; 16]), 9), &key).unwrap();
    let capabilities = convivio::identity::Capabilities::default();
    let options = PackageOptions { capabilities, validity: Validity::starting(START, DAY), last_resort: false };
    let (package, _) = KeyPackage::create(&device, &key, options, dice).unwrap();
    UnverifiedKeyPackage::try_from(&package).unwrap()
}

/// Bob's app vouches for another key under his name. In his group that is no device of his; in another, it is told.
#[test]
fn row_16_a_known_user_with_another_identity_key() {
    let mut scene = Scene::new();
    let (id, bob) = (scene.id, scene.bob.user.clone());
    let impostor = IdentityKey::generate(&mut StdRng::seed_from_u64(1));
    let package = other_key(&scene.world.courier, "bob", &impostor);
    let refused = scene.maria.dropped(&mut scene.world, &id, Change::Add(vec![package.clone()]));
    assert_eq!(refused, ErrorKind::NotAllowed, "not as one more device");
    let mut insider = scene.as_thief_of(&scene.maria);
    let leaf = package.leaf().to_bytes();
    let forged = adding(&mut insider, &leaf, &[0; 32], bob.as_str(), "courier.example").seal();
    let verdict =
        scene.as_thief_of(&scene.anna).group().process(&forged.envelope().split(&encode_leaf(ANNA)).unwrap(), None);
    assert!(matches!(verdict, Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::NotAllowed));
    void(&scene.hub, &mut scene.anna, forged.entry(ANNA));
    // He is removed and "comes back": valid, since an app is who says whose name it is, and reported to all who know him.
    let Scene { world, hub, maria, bob: victim, anna, .. } = &mut scene;
    maria.client.change(&id, Change::Remove(bob.clone())).unwrap();
    maria.client.change(&id, Change::Add(vec![package.clone()])).unwrap();
    [&mut *maria, &mut *anna].into_iter().for_each(|device| drop(device.news()));
    let post = hub.collect_one(maria).unwrap();
    [&mut *maria, &mut *anna, &mut *victim].into_iter().for_each(|device| hub.show_post(device, &post));
    let post = hub.collect_one(maria).unwrap();
    [&mut *maria, &mut *anna].into_iter().for_each(|device| hub.show_post(device, &post));
    let changed = |device: &mut crate::support::Device| {
        device.news().iter().any(|what| matches!(what, EventKind::IdentityChanged { user, .. } if *user == bob))
    };
    assert!(changed(maria) && changed(anna));
    assert_ne!(
        maria.client.group(&id).unwrap().state().user(&bob).unwrap().identity,
        *victim.client.identity().unwrap().identity_key()
    );
    // Whoever is invited next and knew Bob from elsewhere is told, as often as it happens, until it is accepted.
    let mut carl = world.device_of(1, "carl");
    let elsewhere = world.group(victim, &mut [&mut carl]);
    assert!(carl.client.groups().unwrap().contains(&elsewhere));
    maria.client.change(&id, Change::Add(vec![carl.package()])).unwrap();
    let post = hub.collect_one(maria).unwrap();
    carl.news();
    hub.show_post(&mut carl, &post);
    assert!(changed(&mut carl), "with the invitation");
    carl.client.answer(&id, Answer::Accept).unwrap();
}
