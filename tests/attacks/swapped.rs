//! Row 2: fields of the context, header, salt, epoch and group swapped between real things, by a member who can encrypt
//! and seal anew whatever it has opened.

use convivio::client::Change;
use convivio::group::Rejected;
use convivio::log::{EntryBody, Post};
use convivio::{ErrorKind, LeafIndex};

use crate::kit::cbor::hash;
use crate::kit::commit::Plan;
use crate::kit::envelope::{COMMIT, Sealer, open_body, open_stanza, pad};
use crate::kit::hub::{entry, frame_of, parts};
use crate::kit::ratchet::{Epoch, Place};
use crate::kit::scene::{ANNA, MALLORY, MARIA, copy_of, void, void_without_doubt};
use crate::kit::state::State;
use crate::kit::{Insider, Scene, Value};

/// The state with one field changed, each in turn: what the context hash covers.
fn other_states(state: &State) -> Vec<(&'static str, State)> {
    let change = |name, edit: fn(&mut State)| {
        let mut changed = state.clone();
        edit(&mut changed);
        assert_ne!(changed, *state, "{name}");
        (name, changed)
    };
    vec![
        change("suite", |state| state.suite = 2),
        change("group", |state| state.group[0] ^= 1),
        change("high half of the epoch", |state| state.epoch |= 1 << 32),
        change("a role", |state| *state.users[0].item(2) = Value::Int(0)),
        change("a least serial", |state| *state.users[1].item(3) = Value::Int(9)),
        change("an identity key", |state| *state.users[1].item(1) = state.users[0].items()[1].clone()),
        change("a missing user", |state| drop(state.users.pop())),
        change("the barred", |state| state.barred.push(Value::from([1; 32]))),
        change("a missing leaf", |state| drop(state.leaves.pop())),
        change("the order of leaves", |state| state.leaves.swap(0, 1)),
        change("an index", |state| state.leaves[3].0 = 9),
        change("the next index", |state| state.next_leaf += 1),
        change("the policy", |state| *state.policy.item(3) = Value::Int(0)),
        change("the info", |state| *state.info.item(0) = Value::from("Strip")),
        change("the time", |state| state.time += 1),
        change("the transcript", |state| state.transcript[31] ^= 1),
    ]
}

/// Messages that are Mallory's own in every way, but made in the belief that the group is another.
#[test]
fn row_02_a_message_made_under_another_context() {
    let Scene { mut world, hub, id, mut maria, mallory, .. } = Scene::new();
    let mut insider = Insider::of(&mallory, &id);
    let place = insider.next_place(MALLORY);
    let frame = |insider: &mut Insider, context_hash| {
        let (key, random) = (insider.message_key(place).unwrap(), insider.random());
        let carried = crate::kit::ratchet::app_message(&insider.seen, random[..16].try_into().unwrap(), b"hello");
        Epoch { context_hash, ..insider.epoch() }.frame(place, &key, (&insider.keys.signing, &carried), random)
    };
    for (what, state) in other_states(&insider.state.clone()) {
        let made = frame(&mut insider, state.context_hash());
        void_without_doubt(&hub, &id, &mut maria, EntryBody::Message(made));
        // The signature alone is over the other context, or the encryption alone.
        let (epoch, other) = (insider.epoch(), Epoch { context_hash: state.context_hash(), ..insider.epoch() });
        let key = insider.message_key(place).unwrap();
        let salt = [5; 16];
        let padded = pad(b"\x82\x40\x40");
        for (signs, encrypts) in [(&other, &epoch), (&epoch, &other)] {
            let signature =
                crate::kit::cbor::sign(&insider.keys.signing, "sign message", &signs.signed(place, &salt, &padded));
            let made = encrypts.encrypt(place, (&key, salt), &[padded.clone(), signature.to_vec()].concat());
            void_without_doubt(&hub, &id, &mut maria, EntryBody::Message(made));
        }
        assert_eq!(maria.epoch(&id), 1, "{what}");
    }
    let context_hash = insider.epoch().context_hash;
    let made = frame(&mut insider, context_hash);
    hub.show(&mut copy_of(&mut world, &maria), EntryBody::Message(made.clone()));
    hub.show(&mut maria, EntryBody::Message(made));
    assert_eq!(maria.heard().len(), 1, "in the true context the same message counts");
}

/// Two real messages of one sender, and one of another: each field of the frame taken from the other.
#[test]
fn row_02_salt_and_header_swapped_between_generations_and_senders() {
    let mut scene = Scene::new();
    let id = scene.id;
    let mut frames = Vec::new();
    for text in ["one", "two"] {
        scene.maria.say(&id, text);
    }
    scene.anna.say(&id, "three");
    for post in [scene.hub.collect(&mut scene.maria), scene.hub.collect(&mut scene.anna)].concat() {
        frames.push(frame_of(&post).to_vec());
    }
    let Scene { hub, bob, .. } = &mut scene;
    for from in 0..3 {
        for to in (0..3).filter(|to| *to != from) {
            // Salt, masked header, both, the sealed part, the last block with the tag.
            let end = frames[to].len();
            for range in [21..37, 37..45, 21..45, 45..end, end - 16..end] {
                let mut mixed = frames[to].clone();
                let taken: Vec<u8> = frames[from].iter().copied().skip(range.start).take(range.len()).collect();
                mixed.splice(range.start..(range.start + taken.len()).min(end), taken);
                if mixed != frames[to] && !frames.contains(&mixed) {
                    void(hub, bob, EntryBody::Message(mixed));
                }
            }
        }
    }
    for frame in &frames {
        hub.show(bob, EntryBody::Message(frame.clone()));
    }
    assert_eq!(bob.heard().len(), 3);
}

/// A message of one group or epoch dressed for another.
#[test]
fn row_02_messages_swapped_between_groups_and_epochs() {
    let mut scene = Scene::new();
    let id = scene.id;
    // The same people in a second group, with the same indices.
    let Scene { world, maria, bob, anna, mallory, .. } = &mut scene;
    let second = world.group(maria, &mut [&mut *bob, &mut *anna, &mut *mallory]);
    maria.say(&second, "of the second group");
    let posts: Vec<Post> = maria.outbox();
    let frame = frame_of(posts.iter().find(|post| post.group == second).unwrap()).to_vec();
    let [first_insider, second_insider] = [&id, &second].map(|group| Insider::of(mallory, group));
    let dressed = |epoch: u64| {
        let mut frame = frame.clone();
        frame[1..17].copy_from_slice(id.as_bytes());
        frame[17..21].copy_from_slice(&u32::try_from(epoch).unwrap().to_be_bytes());
        frame
    };
    let now = first_insider.state.epoch;
    void(&scene.hub, &mut scene.bob, EntryBody::Message(frame.clone()));
    for epoch in [now, now - 1] {
        void(&scene.hub, &mut scene.bob, EntryBody::Message(dressed(epoch)));
    }
    // Mallory encrypts Maria's signed words anew, under the keys of the first group.
    let at = second_insider.epoch().unmask(&frame);
    let opened = second_insider.epoch().open(&frame, &second_insider.message_key(at).unwrap()).unwrap();
    let plaintext = [pad(&opened.carried), opened.signature.to_vec()].concat();
    let salt: [u8; 16] = frame[21..37].try_into().unwrap();
    let moved = first_insider.epoch().encrypt(at, (&first_insider.message_key(at).unwrap(), salt), &plaintext);
    void(&scene.hub, &mut scene.bob, EntryBody::Message(moved));
    assert_eq!(scene.bob.heard(), []);
    // The same from an epoch to the next: a message that Maria wrote before a commit, encrypted anew after it.
    scene.maria.say(&id, "before");
    let before = frame_of(&scene.hub.collect_one(&mut scene.maria).unwrap()).to_vec();
    let place = Place { leaf: MARIA, generation: 0 };
    let opened = first_insider.epoch().open(&before, &first_insider.message_key(place).unwrap()).unwrap();
    let mut forged = Insider::of(&scene.mallory, &id).plan(Vec::new()).seal();
    scene.hub.show(&mut scene.anna, forged.entry(ANNA));
    assert_eq!(scene.anna.epoch(&id), 2);
    let keys = &mut forged.keys;
    let plaintext = [pad(&opened.carried), opened.signature.to_vec()].concat();
    let key = crate::kit::ratchet::message_key(&keys.chain(MARIA), 0);
    let salt: [u8; 16] = before[21..37].try_into().unwrap();
    void_without_doubt(
        &scene.hub,
        &id,
        &mut scene.anna,
        EntryBody::Message(keys.epoch.encrypt(place, (&key, salt), &plaintext)),
    );
    assert_eq!(scene.anna.heard(), []);
    scene.hub.show(&mut scene.maria, EntryBody::Message(before.clone()));
    scene.hub.show(&mut scene.bob, EntryBody::Message(before));
    assert_eq!(scene.bob.heard().len(), 1, "where it belongs it is heard");
}

/// What Bob signed as a commit, sealed anew by Mallory under another seed, and so another header; and with another time,
/// epoch, group or mailboxes in the header.
#[test]
fn row_02_the_header_of_a_commit_swapped_around_its_signed_content() {
    let mut scene = Scene::new();
    let id = scene.id;
    scene.bob.client.change(&id, Change::Heal).unwrap();
    let post = scene.hub.collect(&mut scene.bob).remove(0);
    let insider = scene.insider();
    let (header, stanza, body) = parts(&entry(&post, LeafIndex(MALLORY)));
    let seed = open_stanza(&insider.keys.seal, (&header, &[3]), &stanza.unwrap()).unwrap();
    let content = open_body(&seed, &header, &body).unwrap();
    let public = Value::decode(Value::decode(&header).items()[5].bytes());
    let marias = insider.group().state().leaf(LeafIndex(MARIA)).unwrap().seal_key().clone();
    let sealed = |seed: [u8; 32], edit: &dyn Fn(&mut Value)| {
        let mut public = public.clone();
        edit(&mut public);
        let sealer = Sealer::new(COMMIT, seed, &public.encode());
        let stanza = sealer.stanza(&seed, (marias.as_bytes(), &[0]), 0);
        EntryBody::Commit { header: sealer.header.clone(), stanza: Some(stanza), body: sealer.body(&content) }
    };
    let same = sealed(seed, &|_| ());
    assert_eq!(parts(&same).0, header, "the forger knows the form");
    for forged in [
        sealed(hash("another", &Value::List(vec![])), &|_| ()),
        sealed(seed, &|public| *public.item(0) = Value::from([1; 16])),
        sealed(seed, &|public| *public.item(1) = Value::Int(2)),
        sealed(seed, &|public| *public.item(2) = Value::Int(public.items()[2].int() + 1)),
        sealed(seed, &|public| *public.item(3) = Value::from([1; 32])),
        sealed(seed, &|public| *public.item(5) = Value::List(vec![Value::Int(2)])),
    ] {
        void(&scene.hub, &mut scene.maria, forged);
    }
    scene.hub.show(&mut scene.maria, same);
    assert_eq!(scene.maria.epoch(&id), 2);
}

/// A member's own commit, true in every way but that its clear part says another group, epoch or mailboxes: what the hub
/// goes by, and what the members make of it, would not be the same.
#[test]
fn row_02_a_members_commit_with_a_header_that_is_not_its_own() {
    let scene = Scene::new();
    let (mut insider, group) = (scene.insider(), scene.as_thief_of(&scene.maria).group());
    let mut process = |edit: fn(&mut Plan)| {
        let mut plan = insider.plan(Vec::new());
        edit(&mut plan);
        match group.process(&plan.seal().envelope().split(&[0]).unwrap(), None) {
            Ok(_) => Ok(()),
            Err(Rejected::Invalid(error)) => Err(error.kind()),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(process(|_| ()), Ok(()));
    let edits: [fn(&mut Plan); 7] = [
        |plan| plan.group[0] ^= 1,
        |plan| plan.epoch += 1,
        |plan| plan.epoch -= 1,
        |plan| plan.dropped = vec![ANNA],
        |plan| plan.dropped = vec![77],
        |plan| plan.opened = vec![(4, "photos.example".to_owned())],
        |plan| (plan.time, plan.next.time) = (plan.time - 1, plan.time - 1),
    ];
    assert_eq!(edits.map(process), [Err(ErrorKind::NotAllowed); 7]);
}
