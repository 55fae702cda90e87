//! Rows 5 and 6: a copied store, and what can be read with it of what was before, and of what came after.

use convivio::ErrorKind;
use convivio::LeafIndex;
use convivio::client::{Change, EventKind};
use convivio::group::{Effect, Rejected, RejoinRequest};
use convivio::log::{Post, PostBody};

use crate::kit::cbor::expand_label;
use crate::kit::commit::encode_leaf;
use crate::kit::envelope::pad;
use crate::kit::hub::{commit_of, entry, frame_of};
use crate::kit::ratchet::step;
use crate::kit::scene::{ANNA, BOB, MARIA, void};
use crate::kit::{Insider, Scene, Thief};

const COUNT: usize = 6;

/// Every key and every text of messages `1..=COUNT` of a chain that starts here.
fn used(first: &[u8; 32], frames: &[Vec<u8>], insider: &Insider) -> Vec<(String, Vec<u8>)> {
    let (mut chain_key, mut all) = (*first, Vec::new());
    for (n, frame) in frames.iter().enumerate() {
        let (message_key, next) = step(&chain_key);
        let opened = insider.epoch().open(frame, &message_key).unwrap();
        let salt = &frame[21..37];
        let cipher: [u8; 44] = expand_label(&message_key, "message", salt);
        all.push((format!("chain key {n}"), chain_key.to_vec()));
        all.push((format!("message key {n}"), message_key.to_vec()));
        all.push((format!("encryption key {n}"), cipher[..32].to_vec()));
        all.push((format!("what {n} carried"), pad(&opened.carried)));
        chain_key = next;
    }
    all
}

/// Maria says some things; the store is taken from her and from whoever read them, in order, in reverse, and mixed.
#[test]
fn row_05_a_state_dump_after_n_messages_reads_none_of_them() {
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 2, 4]] {
        let mut scene = Scene::new();
        let before = Thief::of(&scene.bob);
        let insider = Insider::from_loot(&before, &scene.id);
        for n in 0..COUNT {
            scene.maria.say(&scene.id, &format!("unmistakable words, number {n}"));
        }
        let posts = scene.hub.collect(&mut scene.maria);
        let frames: Vec<Vec<u8>> = posts.iter().map(|post| frame_of(post).to_vec()).collect();
        for n in order {
            scene.hub.show_post(&mut scene.bob, &posts[n]);
            scene.hub.show_post(&mut scene.maria, &posts[n]);
        }
        assert_eq!(scene.bob.heard().len(), COUNT);
        let used = used(&insider.chains[&MARIA].1, &frames, &insider);
        assert!(before.has(&used[0].1), "the first chain key was there: the search finds what there is");
        assert!(frames.iter().all(|frame| before.reads(&insider.epoch(), frame).is_some()), "and opens everything");
        for device in [&scene.maria, &scene.bob] {
            let dump = Thief::of(device);
            for (what, secret) in &used {
                assert!(!dump.has(secret), "{}: {what}", device.user);
            }
            assert!(!dump.has(b"unmistakable words"), "{}", device.user);
            assert!(frames.iter().all(|frame| dump.reads(&insider.epoch(), frame).is_none()), "{}", device.user);
        }
        // Nor by the client that opens the dump and is shown it all again, as it was and as something new.
        let mut thief = crate::kit::scene::copy_of(&mut scene.world, &scene.bob);
        for post in &posts {
            scene.hub.show_post(&mut thief, post);
        }
        assert_eq!(thief.heard(), []);
    }
}

/// A message that has not come keeps its key, and only that one.
#[test]
fn row_05_a_state_dump_holds_the_keys_of_late_messages_only() {
    let mut scene = Scene::new();
    let insider = scene.as_thief_of(&scene.bob);
    for n in 0..COUNT {
        scene.maria.say(&scene.id, &n.to_string());
    }
    let posts = scene.hub.collect(&mut scene.maria);
    for n in [0, 2, 5] {
        scene.hub.show_post(&mut scene.bob, &posts[n]);
    }
    let dump = Thief::of(&scene.bob);
    let readable = |post| dump.reads(&insider.epoch(), frame_of(post)).is_some();
    assert_eq!(posts.iter().map(readable).collect::<Vec<_>>(), [false, true, false, true, true, false]);
}

/// An epoch that ended leaves no key behind: neither its messages nor the commits of the log open.
#[test]
fn row_05_a_state_dump_after_a_commit_opens_nothing_from_before_it() {
    let mut scene = Scene::new();
    let old = scene.as_thief_of(&scene.bob);
    scene.maria.say(&scene.id, "never delivered to Bob");
    let frame = frame_of(&scene.hub.collect(&mut scene.maria)[0]).to_vec();
    for by in [BOB, MARIA] {
        let Scene { hub, id, maria, bob, anna, .. } = &mut scene;
        let device = if by == BOB { &mut *bob } else { &mut *maria };
        device.client.change(id, Change::Heal).unwrap();
        hub.calm(&mut [maria, bob, anna]);
    }
    let dump = Thief::of(&scene.bob);
    assert_eq!(dump.reads(&old.epoch(), &frame), None);
    for (what, key) in [("init", old.keys.init), ("exporter", old.keys.exporter), ("header", old.keys.header_key)] {
        assert!(!dump.has(&key), "{what}");
    }
    assert!(!dump.has(&old.keys.seal) && !dump.has(&old.keys.signing), "Bob has renewed his leaf");
    assert!(dump.has(&old.keys.request), "kept, to open requests, and nothing else");
}

/// What a thief of Bob's store sees of everything that is said and done after it.
struct Loot {
    thief: Thief,
    insider: Insider,
}

/// Each member says something and changes something; whether the thief can read any of it. Every stanza of every
/// commit and every frame are tried with every key of the store.
fn reads_on(scene: &mut Scene, loot: &Loot) -> Vec<bool> {
    let (from, epoch) = (scene.hub.kept.len(), Insider::of(&scene.maria, &scene.id).epoch());
    for device in scene.honest() {
        let id = device.client.groups().unwrap()[0];
        device.say(&id, "after the theft");
    }
    let Scene { hub, id, maria, bob, anna, .. } = scene;
    hub.calm(&mut [&mut *maria, bob, anna]);
    maria.client.change(id, Change::Heal).unwrap();
    hub.calm(&mut [maria, bob, anna]);
    let opens = |post: &Post| match &post.body {
        PostBody::Message(frame) => loot.thief.reads(&epoch, frame).is_some(),
        _ => {
            let commit = commit_of(post).0;
            let mut places = commit.stanzas().iter().map(|stanza| (stanza.recipient(), stanza.bytes()));
            places.any(|(id, stanza)| loot.thief.opens((commit.header().bytes(), id), stanza).is_some())
        }
    };
    hub.kept[from..].iter().map(opens).collect()
}

fn rob(scene: &Scene, with_device_key: bool) -> Loot {
    let thief = Thief::of(&scene.bob);
    let thief = if with_device_key { thief } else { thief.without_device_key() };
    let insider = Insider::from_loot(&thief, &scene.id);
    assert_eq!(insider.device.is_some(), with_device_key);
    Loot { thief, insider }
}

fn heal(scene: &mut Scene) {
    let Scene { hub, id, maria, bob, anna, .. } = scene;
    bob.client.change(id, Change::Heal).unwrap();
    hub.calm(&mut [maria, bob, anna]);
}

#[test]
fn row_06_a_dump_of_the_whole_store_except_the_device_key_then_the_victim_commits_once() {
    let mut scene = Scene::new();
    let loot = rob(&scene, false);
    // Until Bob commits the thief reads everyone: the control, on another scene that goes the same way.
    let mut unhealed = Scene::new();
    let blind = rob(&unhealed, false);
    assert_eq!(reads_on(&mut unhealed, &blind), [true, true, true, true]);
    heal(&mut scene);
    assert_eq!(reads_on(&mut scene, &loot), [false, false, false, false]);
    // The pillar says so, too: with its keys no stanza of Bob's commit is one that the thief can process.
    let commit = scene.hub.kept.iter().find(|post| matches!(post.body, PostBody::Commit { .. })).unwrap();
    for stanza in commit_of(commit).0.stanzas() {
        let part = commit_of(commit).0.split(stanza.recipient()).unwrap();
        assert!(matches!(loot.insider.group().process(&part, None), Err(Rejected::Unopened(_))));
    }
}

/// It cannot stay by a commit of its own, made first: a fresh leaf is signed by the device key.
#[test]
fn row_06_a_dump_of_the_whole_store_except_the_device_key_commits_for_the_victim() {
    let mut scene = Scene::new();
    let Loot { mut insider, thief } = rob(&scene, false);
    let with_key = Insider::of(&scene.bob, &scene.id).plan(Vec::new()).seal();
    let forged = insider.plan(Vec::new()).seal();
    let group = Insider::of(&scene.maria, &scene.id).group();
    let process = |forged: &crate::kit::commit::Forged| {
        group.process(&forged.envelope().split(&encode_leaf(MARIA)).unwrap(), None)
    };
    assert!(process(&with_key).is_ok(), "with the device key it would be Bob's");
    assert!(matches!(process(&forged), Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::Unauthentic));
    let Scene { hub, maria, bob, anna, .. } = &mut scene;
    for (leaf, device) in [(MARIA, maria), (BOB, bob), (ANNA, anna)] {
        void(hub, device, forged.entry(leaf));
    }
    // And no client acts on the dump without it.
    assert_eq!(convivio::Client::open(thief.disk()).unwrap_err().kind(), ErrorKind::Misuse);
    scene.goes_on();
}

/// With the device key, too, the thief is out after the heal. It can ask to be readmitted as Bob's device: everyone is
/// told, nobody does it unasked, and who does it makes a change that everyone sees.
#[test]
fn row_06_a_dump_with_the_device_key_too_rejoins_only_visibly() {
    let mut scene = Scene::new();
    let loot = rob(&scene, true);
    let (id, bob) = (scene.id, scene.bob.user.clone());
    heal(&mut scene);
    assert_eq!(reads_on(&mut scene, &loot), [false, false, false, false]);
    let mut thief = scene.world.device("unused");
    thief.open(loot.thief.disk());
    // Its copy is of the epoch before, so it is shown the heal that it cannot open, and what was said since.
    let kept = scene.hub.kept.clone();
    kept.iter().for_each(|post| scene.hub.show_post(&mut thief, post));
    assert_eq!(thief.heard(), []);
    thief.client.change(&id, Change::Rejoin).unwrap();
    let request = thief.outbox().remove(0);
    assert!(matches!(request.body, PostBody::Request(_)));
    let epoch = scene.maria.epoch(&id);
    scene.honest().into_iter().for_each(|device| drop(device.news()));
    let asked = show_request(&mut scene, &request);
    scene.goes_on();
    assert!(scene.honest().into_iter().all(|device| device.epoch(&id) == epoch && device.queued(&id) == 0));
    // Maria falls for it.
    scene.honest().into_iter().for_each(|device| drop(device.news()));
    scene.maria.client.change(&id, Change::Readmit(asked)).unwrap();
    let Scene { hub, maria, bob: victim, anna, .. } = &mut scene;
    hub.calm(&mut [&mut *maria, &mut *anna]);
    let commit = hub.kept.last().unwrap().clone();
    hub.show_post(victim, &commit);
    for device in [maria, anna] {
        let effects = device.effects();
        assert!(matches!(&effects[..], [Effect::Rejoined(user, _)] if *user == bob), "{effects:?}");
    }
    assert!(victim.news().iter().any(|what| matches!(what, EventKind::Removed)), "Bob is told, and asks Maria");
}

/// Shows Maria and Anna the request, who are both told of it.
fn show_request(scene: &mut Scene, request: &Post) -> Box<RejoinRequest> {
    let Scene { hub, maria, anna, .. } = scene;
    let [asked, _] = [maria, anna].map(|device| {
        hub.show(device, entry(request, LeafIndex(0)));
        match &device.news()[..] {
            [EventKind::RejoinRequested { request, .. }] => request.clone(),
            other => panic!("{}: {other:?}", device.user),
        }
    });
    asked
}
