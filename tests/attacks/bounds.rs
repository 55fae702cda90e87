//! Row 15: what would be much work if it were believed. Nothing here finishes in a test's time if the work is done first.

use convivio::group::{CommitHeader, Group, Rejected};
use convivio::log::EntryBody;
use convivio::{ErrorKind, InitSecret, Secret, limits};

use crate::kit::cbor::array;
use crate::kit::commit::encode_leaf;
use crate::kit::envelope::{COMMIT, Content, STANDALONE, Sealer, commitment, envelope, header};
use crate::kit::insider::public_seal;
use crate::kit::leaf::{Chain, LeafPlan, Names, package_source};
use crate::kit::ratchet::{Place, app_message, message_key, step};
use crate::kit::scene::{ANNA, BOB, MALLORY, MARIA, void_without_doubt};
use crate::kit::{Scene, Thief, Value};
use crate::support::START;

/// How many keys of late messages a store holds.
fn kept(device: &crate::support::Device) -> usize {
    device.disk.records().keys().filter(|name| name[0] == 23).count()
}

/// Generations up to the last there is, in Mallory's own name and in others', signed as well as may be.
#[test]
fn row_15_far_future_generation_and_two_to_the_32_generations() {
    let mut scene = Scene::new();
    let (id, mut insider) = (scene.id, scene.insider());
    let signing = insider.keys.signing;
    let carried = app_message(&insider.seen, [1; 16], b"from the future");
    let bound = limits::SKIPPED_PER_SENDER;
    for leaf in [MALLORY, BOB, ANNA] {
        // Just past the bound with the true key; further with any, since the true one is that far away.
        let near = insider.message_key(Place { leaf, generation: bound + 1 }).unwrap();
        let far = [bound + 2, 1 << 16, 1 << 24, 1 << 31, u32::MAX - 1, u32::MAX];
        let all = [(bound + 1, near)].into_iter().chain(far.map(|generation| (generation, [5; 32])));
        for (generation, key) in all {
            let frame = insider.epoch().frame(Place { leaf, generation }, &key, (&signing, &carried), [2; 32]);
            void_without_doubt(&scene.hub, &id, &mut scene.maria, EntryBody::Message(frame));
        }
    }
    assert_eq!(kept(&scene.maria), 0);
    // In another's name even what is within the bound leaves nothing behind.
    let forged = insider.frame(Place { leaf: BOB, generation: bound }, &signing, b"x");
    void_without_doubt(&scene.hub, &id, &mut scene.maria, EntryBody::Message(forged));
    // The control: at the bound, and by its own signature, it is read.
    let frame = insider.frame(Place { leaf: MALLORY, generation: bound }, &signing, b"x");
    scene.hub.show(&mut scene.maria, EntryBody::Message(frame));
    assert_eq!((scene.maria.heard().len(), kept(&scene.maria)), (1, bound as usize));
}

/// One member passes over thousands: what is kept for it ends at 2,000, and costs the others' messages nothing.
#[test]
fn row_15_thousands_of_skipped_keys() {
    let mut scene = Scene::new();
    let (id, mut insider) = (scene.id, scene.insider());
    let signing = insider.keys.signing;
    let bound = limits::SKIPPED_PER_SENDER;
    let mut chain = insider.chains[&MALLORY].1;
    let mut next = 0;
    let mut at = |generation: u32| {
        (next..generation).for_each(|_| chain = step(&chain).1);
        next = generation;
        message_key(&chain, 0)
    };
    let mut heard = 0;
    for generation in [1_200, 2_000, 2_001, 2_002, 4_100, 9_000] {
        let (key, place) = (at(generation), Place { leaf: MALLORY, generation });
        let nonce = insider.random();
        let carried = app_message(&insider.seen, nonce, b"hop");
        let frame = insider.epoch().frame(place, &key, (&signing, &carried), insider.random());
        scene.hub.show(&mut scene.maria, EntryBody::Message(frame));
        heard += usize::from(generation < 2_003);
        assert_eq!(scene.maria.heard().len(), heard, "{generation}");
        assert!(kept(&scene.maria) <= bound as usize);
    }
    // A late one makes room for one.
    let late = insider.frame(Place { leaf: MALLORY, generation: 7 }, &signing, b"late");
    scene.hub.show(&mut scene.maria, EntryBody::Message(late));
    assert_eq!(scene.maria.heard().len(), heard + 1);
    scene.maria.restart();
    let from_bob = {
        scene.bob.say(&id, "unharmed");
        scene.hub.collect(&mut scene.bob).remove(0)
    };
    scene.hub.show_post(&mut scene.maria, &from_bob);
    assert_eq!(scene.maria.heard().last().unwrap().1, "unharmed");
}

/// The head of a list of so many items, and none of them.
fn head(count: u64) -> Vec<u8> {
    [&[0x9a][..], &u32::try_from(count).unwrap().to_be_bytes()].concat()
}

/// The encoded value with the `at`-th of its items replaced by the head of a long list; what would follow is missing.
fn cut_off(value: &Value, at: usize, count: u64) -> Vec<u8> {
    let items = value.items();
    let mut bytes = vec![0x80 | u8::try_from(items.len()).unwrap()];
    items[..at].iter().for_each(|item| bytes.extend(item.encode()));
    bytes.extend(head(count));
    bytes
}

/// Lists are refused by the number that their head claims: `Limit`, and not for what is missing after it.
#[test]
fn row_15_a_huge_roster_is_refused_before_its_first_leaf_is_read() {
    let mut scene = Scene::new();
    let mut insider = scene.as_thief_of(&scene.maria);
    let mut carol = scene.world.device("carol");
    let package = carol.package();
    let loot = Thief::of(&carol).packages().remove(0);
    let (verified, secrets) = (
        package.clone().verify(&scene.world.policy().apps, START).unwrap(),
        convivio::identity::KeyPackageSecrets {
            signing: convivio::SigningKey::from_seed(&loot.signing),
            seal: convivio::SealSecret::from_secret(Secret::from_bytes(&mut loot.seal.clone())),
            init: InitSecret::from_secret(Secret::from_bytes(&mut loot.init.clone())),
        },
    );
    let forged = insider.adding(&package).seal();
    let welcome = forged.welcome();
    let join = |payload: &[u8]| {
        let sealed = welcome.seal_payload(&package, payload).split(package.id().as_bytes()).unwrap();
        Group::join(&sealed, &verified, &secrets, (&forged.sealer.header, &forged.body)).map(drop)
    };
    assert!(join(&welcome.payload()).is_ok());
    let payload = Value::decode(&welcome.payload());
    let kind = |payload: &[u8]| join(payload).unwrap_err().kind();
    let roster = limits::ROSTER as u64;
    let state = &payload.items()[6];
    let outer: Vec<u8> = [vec![0x87], payload.items()[..6].iter().flat_map(|item| item.encode()).collect()].concat();
    for (at, bound) in [(4, roster), (5, limits::BARRED as u64), (6, roster)] {
        for (count, expected) in
            [(bound, ErrorKind::Malformed), (bound + 1, ErrorKind::Limit), (u64::from(u32::MAX), ErrorKind::Limit)]
        {
            assert_eq!(kind(&[outer.clone(), cut_off(state, at, count)].concat()), expected, "item {at} of {count}");
        }
    }
    for at in [4, 5] {
        assert_eq!(kind(&cut_off(&payload, at, roster)), ErrorKind::Malformed);
        assert_eq!(kind(&cut_off(&payload, at, roster + 1)), ErrorKind::Limit);
    }
}

#[test]
fn row_15_a_huge_commit_is_refused_before_its_first_proposal_is_read() {
    let scene = Scene::new();
    let mut insider = scene.insider();
    let group = scene.as_thief_of(&scene.maria).group();
    let (plan, roster) = (insider.plan(Vec::new()), limits::ROSTER as u64);
    let process = |payload: &[u8]| {
        let envelope = plan.seal_payload(payload).envelope();
        match group.process(&envelope.split(&encode_leaf(MARIA)).unwrap(), None) {
            Err(Rejected::Invalid(error)) => error.kind(),
            other => panic!("{other:?}"),
        }
    };
    let payload = Value::decode(&plan.payload());
    assert_eq!(process(&cut_off(&payload, 1, roster)), ErrorKind::Malformed);
    assert_eq!(process(&cut_off(&payload, 1, roster + 1)), ErrorKind::Limit);
    // Its mailboxes are in the clear part, which a hub reads, too.
    let public = Value::decode(&plan.public());
    for at in [4, 5] {
        for (count, expected) in [(roster, ErrorKind::Malformed), (roster + 1, ErrorKind::Limit)] {
            let public = cut_off(&public, at, count);
            let bytes = header(COMMIT, Some(&public_seal(&[1; 32])), &commitment(&[2; 32]), &public);
            assert_eq!(CommitHeader::from_envelope_header(&bytes).unwrap_err().kind(), expected);
        }
    }
}

/// An envelope that names more recipients than it may: after the stanza and the body, before any signature.
#[test]
fn row_15_thousands_of_named_recipients() {
    let own = [3; 32];
    let open = |count: usize| {
        let ids: Vec<Vec<u8>> = (0..count).map(|n| u16::try_from(n).unwrap().to_be_bytes().to_vec()).collect();
        let sealer = Sealer::new(STANDALONE, [4; 32], b"");
        let sender = array![crate::kit::cbor::public(&[5; 32]), b"info"].encode();
        let content: Content = sealer.sign("sign envelope", &sender, Some(ids), (&[5; 32], b"hi"));
        let id = [0, 1];
        let stanza = sealer.stanza(&sealer.seed, (&public_seal(&own), &id), 0);
        let made = envelope(&sealer.header, &[(id.to_vec(), stanza)], &sealer.body(&content));
        let secret = convivio::SealSecret::from_secret(Secret::from_bytes(&mut own.clone()));
        let opener = convivio::envelope::Opener::X25519(&secret);
        convivio::envelope::open_from(&made.split(&id).unwrap(), opener, &id).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(open(limits::ENVELOPE_RECIPIENTS), Ok(()));
    for count in [limits::ENVELOPE_RECIPIENTS + 1, 10_000] {
        assert_eq!(open(count), Err(ErrorKind::Limit));
    }
}

/// One user who brings sixty-five devices: each of them in order, all of them too many.
#[test]
fn row_15_a_user_with_too_many_devices() {
    let scene = Scene::new();
    let mut insider = scene.as_thief_of(&scene.maria);
    let group = scene.as_thief_of(&scene.bob).group();
    let root = *scene.world.photos.root().expose_seed();
    let (from, to) = (START.0 - 10, START.0 + 1_000);
    let leaf = |n: u8| {
        let chain = Chain { root, app: [21; 32], identity: [22; 32], device: [n; 32] };
        let user = "mimi://photos.example/u/many".to_owned();
        let names = Names {
            domain: "photos.example".to_owned(),
            user: user.clone(),
            certified: user,
            device: [n; 16],
            serial: 1,
            validity: (from, to),
        };
        let plan = LeafPlan {
            suite: 1,
            signature_key: crate::kit::cbor::public(&[n + 100; 32]).to_vec(),
            seal_key: public_seal(&[n; 32]).to_vec(),
            capabilities: array![array![1], array![]],
            validity: (from, to),
            source: package_source(&[n; 1_216], false, to),
            identity: chain.device_identity(&names),
        };
        plan.sign(&chain.device)
    };
    let mut commit = |count: u8| {
        let mut leaves: Vec<Vec<u8>> = (1..=count).map(leaf).collect();
        leaves.sort_by_key(|leaf| crate::kit::leaf::leaf_hash(leaf));
        let mut plan = insider.plan(leaves.iter().map(|leaf| array![6, Value::decode(leaf)]).collect());
        for leaf in leaves {
            let index = plan.next.next_leaf;
            plan.opened.push((index, "photos.example".to_owned()));
            plan.next.set_leaf(index, leaf);
            plan.next.next_leaf += 1;
        }
        let identity = crate::kit::cbor::public(&[22; 32]);
        plan.next.users.push(array!["mimi://photos.example/u/many", identity, 1, 0]);
        plan.next.users.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
        group.process(&plan.seal().envelope().split(&encode_leaf(BOB)).unwrap(), None)
    };
    let most = u8::try_from(limits::LEAVES_PER_USER).unwrap();
    assert!(commit(most).is_ok());
    let rejected = commit(most + 1);
    assert!(matches!(&rejected, Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::Limit), "{rejected:?}");
}
