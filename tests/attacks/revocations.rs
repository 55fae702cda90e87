//! Revocations and delistings by members who follow no rule (`docs/protocol.md`, sections 3.7, 5.2 and 5.3): statements
//! forged, altered, of others, out of their time or place, and combined with what would undo them.

use convivio::ErrorKind::{self, *};
use convivio::client::{Change, Status};
use convivio::group::{Policy, Role};

use crate::kit::cbor::{array, public, sign};
use crate::kit::commit::Plan;
use crate::kit::hub::flipped;
use crate::kit::leaf::{leaf_hash, statement};
use crate::kit::scene::{ANNA, BOB, MALLORY, MARIA, void_without_doubt};
use crate::kit::{Insider, Scene, Value};
use crate::support::*;
use crate::witness::{Verdict, judge, void_only};

/// What an app says, field by field.
#[derive(Clone)]
struct Word {
    root: [u8; 32],
    app: [u8; 32],
    /// Who signs: the app key, if it is honest.
    signed_by: [u8; 32],
    domain: &'static str,
    user: String,
    identity: [u8; 32],
    time: u64,
    validity: (u64, u64),
}

impl Word {
    fn revocation(&self) -> Value {
        let (from, to) = self.validity;
        let certificate = array![self.domain, public(&self.root), public(&self.app), array![from, to]];
        let certificate = Value::List(statement("sign app key", &certificate, &self.root).to_vec());
        let body = array![self.user.as_str(), self.identity, self.time];
        let [body, signature] = statement("sign revocation", &body, &self.signed_by);
        array![0, body, signature, certificate]
    }
}

fn key_of(world: &World, app: usize, name: &str) -> [u8; 32] {
    *world.identity(app, name).public().as_bytes()
}

/// Courier's word on Bob, now.
fn on_bob(scene: &Scene) -> Word {
    let root = *scene.world.courier.root().expose_seed();
    Word {
        root,
        app: [21; 32],
        signed_by: [21; 32],
        domain: "courier.example",
        user: scene.bob.user.as_str().to_owned(),
        identity: key_of(&scene.world, 1, "bob"),
        time: START.0,
        validity: (START.0 - DAY, START.0 + DAY),
    }
}

/// Bob's word on his device.
fn on_device(scene: &Scene, identity: &[u8; 32], serial: u64, time: u64) -> Value {
    let device = *scene.insider_of(&scene.bob).device_identity().device().as_bytes();
    let body = array![scene.bob.user.as_str(), device, serial, time];
    let [body, signature] = statement("sign device revocation", &body, identity);
    array![1, body, signature]
}

fn seed_of(world: &World, app: usize, name: &str) -> [u8; 32] {
    *world.identity(app, name).expose_seed().unwrap()
}

impl Scene {
    fn insider_of(&self, device: &Device) -> Insider {
        self.as_thief_of(device)
    }
}

/// The state after a user with one leaf is out.
fn without(plan: &mut Plan, user: &str, leaf: u32) {
    plan.dropped.push(leaf);
    plan.next.leaves.retain(|(index, _)| *index != leaf);
    plan.next.users.retain(|known| known.items()[0].text() != user);
}

/// A commit of this revocation that takes Bob out, and bars him if it is his app's.
fn revoking(by: &mut Insider, word: &Word) -> Plan {
    let mut plan = by.plan(vec![array![8, word.revocation()]]);
    without(&mut plan, &word.user, BOB);
    plan.next.barred.push(word.identity.into());
    plan
}

/// How Maria judges it.
fn verdict(scene: &Scene, plan: &Plan) -> Verdict {
    judge(&scene.insider_of(&scene.maria).group(), &plan.seal().entry(MARIA))
}

fn refused(kind: ErrorKind) -> Verdict {
    Verdict::Void(kind)
}

#[test]
fn a_word_of_the_users_app_counts_and_no_other_word_does() {
    let mut scene = Scene::new();
    scene.maria.news();
    let good = on_bob(&scene);
    let [photos, lumen] = [&scene.world.photos, &scene.world.lumen].map(|app| *app.root().expose_seed());
    let mut anna = scene.insider_of(&scene.anna);
    assert_eq!(verdict(&scene, &revoking(&mut anna, &good)), Verdict::Valid);
    let mut case = |what: &str, kind, edit: &dyn Fn(&mut Word)| {
        let mut word = good.clone();
        edit(&mut word);
        assert_eq!(verdict(&scene, &revoking(&mut anna, &word)), refused(kind), "{what}");
    };
    case("signed by a key that no root names", Unauthentic, &|word| word.signed_by = [22; 32]);
    case("signed by the root itself", Unauthentic, &|word| word.signed_by = word.root);
    case("by another app's root, in its name", NotAllowed, &|word| {
        (word.root, word.domain) = (photos, "photos.example")
    });
    case("by another app's root, in this name", NotAllowed, &|word| word.root = photos);
    case("by an app that is not listed", NotAllowed, &|word| (word.root, word.domain) = (lumen, "lumen.example"));
    case("by a root that nobody listed", NotAllowed, &|word| word.root = [23; 32]);
    case("of another identity", NotAllowed, &|word| word.identity = public(&[24; 32]));
    case("from the future", Expired, &|word| word.time += 1);
    case("by an app key that had run out", Expired, &|word| word.validity = (START.0 - DAY, START.0 - 1));
    case("by one that has run out since", Expired, &|word| {
        (word.time, word.validity) = (START.0 - 60, (START.0 - DAY, START.0 - 1));
    });
    case("by one that was not in force yet", Expired, &|word| word.validity = (START.0 + 1, START.0 + DAY));
    case("dated before the app key", Expired, &|word| {
        (word.time, word.validity) = (START.0 - 60, (START.0 - 59, START.0 + DAY));
    });
    case("dated before the app vouched last", NotAllowed, &|word| {
        (word.time, word.validity.0) = (START.0 - DAY - 1, START.0 - 2 * DAY);
    });
}

#[test]
fn an_altered_revocation_is_void() {
    let scene = Scene::new();
    let good = Word { time: START.0 - 60, ..on_bob(&scene) };
    let mut anna = scene.insider_of(&scene.anna);
    let mut attempt = |word: Value| {
        let mut plan = anna.plan(vec![array![8, word]]);
        without(&mut plan, &good.user, BOB);
        verdict(&scene, &plan)
    };
    let of_device = on_device(&scene, &seed_of(&scene.world, 1, "bob"), 1, good.time);
    for word in [good.revocation(), of_device] {
        // A second earlier: the time is the last of what is signed.
        let mut altered = word.clone();
        let mut body = word.items()[1].bytes().to_vec();
        *body.last_mut().unwrap() -= 1;
        *altered.item(1) = body.into();
        assert_eq!(attempt(altered), refused(Unauthentic));
        for bit in (0..512).step_by(37) {
            let mut altered = word.clone();
            *altered.item(2) = flipped(word.items()[2].bytes(), bit).into();
            assert_eq!(attempt(altered), refused(Unauthentic), "bit {bit} of the signature");
        }
    }
    // The certificate beside it is signed, too, by the root that it names.
    let mut word = good.revocation();
    *word.item(3).item(1) = sign(&[1; 32], "sign app key", &array![word.items()[3].items()[0].clone()]).into();
    assert_eq!(attempt(word), refused(Unauthentic));
}

/// A policy in which Courier, and in its name Lumen, has these roots.
fn listing(before: &Value, roots: &[[u8; 32]], lumen: &[[u8; 32]]) -> Value {
    let app = |domain: &str, roots: &[[u8; 32]]| {
        let mut roots = roots.to_vec();
        roots.sort_unstable();
        array![domain, roots.into_iter().map(Value::from).collect::<Vec<_>>()]
    };
    let mut apps: Vec<Value> = before.items()[0].items().to_vec();
    apps.retain(|app| app.items()[0].text() != "courier.example");
    apps.push(app("courier.example", roots));
    if !lumen.is_empty() {
        apps.push(app("lumen.example", lumen));
    }
    apps.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
    let mut policy = before.clone();
    *policy.item(0) = Value::List(apps);
    policy
}

/// Whoever may change the policy lists a root of their own for Courier. It vouches for nobody in the group, so its word takes
/// nobody out, whether listed before or in the same commit; nor does the word of a root that this commit takes off the list,
/// or that of the right root in another app's name.
#[test]
fn whoever_lists_a_root_does_not_revoke_with_it() {
    let scene = Scene::new();
    let (mut maria, good) = (scene.insider_of(&scene.maria), on_bob(&scene));
    let evil = Word { root: [66; 32], ..good.clone() };
    let (bobs, evils, before) = (public(&good.root), public(&evil.root), maria.state.policy.clone());
    let [one, both, other] = [&[bobs][..], &[bobs, evils], &[evils]].map(|roots| listing(&before, roots, &[]));
    let reader = |present: &Value| {
        let mut anna = scene.insider_of(&scene.anna);
        anna.state.policy = present.clone();
        anna.group()
    };
    let mut attempt = |present: &Value, new: Option<&Value>, word: &Word| {
        maria.state.policy = present.clone();
        let mut proposals = vec![array![8, word.revocation()]];
        let mallory = scene.mallory.user.as_str();
        if let Some(new) = new {
            // Mallory would stay under the root that goes.
            proposals = vec![array![0, new.clone()], array![3, mallory], proposals.remove(0)];
        }
        let mut plan = maria.plan(proposals);
        without(&mut plan, &word.user, BOB);
        if let Some(new) = new {
            plan.next.policy = new.clone();
            plan.next.barred.push(key_of(&scene.world, 1, "mallory").into());
            without(&mut plan, mallory, MALLORY);
        }
        plan.next.barred.push(word.identity.into());
        judge(&reader(present), &plan.seal().entry(ANNA))
    };
    assert_eq!(attempt(&both, None, &good), Verdict::Valid, "by the one that vouched");
    assert_eq!(attempt(&both, Some(&one), &good), Verdict::Valid, "by the one that stays");
    assert_eq!(attempt(&both, Some(&other), &good), refused(NotAllowed), "by the one that goes");
    assert_eq!(attempt(&both, None, &evil), refused(NotAllowed), "listed before");
    assert_eq!(attempt(&one, Some(&both), &evil), refused(NotAllowed), "in the same commit");
    // Two apps with one root: each vouches and revokes in its own name.
    let shared = listing(&before, &[bobs], &[bobs]);
    let as_lumen = Word { domain: "lumen.example", ..good.clone() };
    assert_eq!(attempt(&shared, None, &good), Verdict::Valid);
    assert_eq!(attempt(&shared, None, &as_lumen), refused(NotAllowed));
}

#[test]
fn a_user_is_not_revoked_and_brought_in_by_one_commit() {
    let mut scene = Scene::new();
    let (word, mut maria) = (on_bob(&scene), scene.insider_of(&scene.maria));
    let reader = scene.insider_of(&scene.anna).group();
    // One more device of his, and his present one in a new leaf.
    let laptop = scene.world.device_of(1, "bob").package().leaf().to_bytes();
    let add = array![6, Value::decode(&laptop)];
    let renewed = scene.bob.package().leaf().to_bytes();
    let bobs = scene.insider_of(&scene.bob);
    let device = *bobs.device_identity().device().as_bytes();
    let consent = sign(&bobs.device.unwrap(), "sign rejoin", &array![maria.state.group, device, leaf_hash(&renewed)]);
    let replace = array![5, u64::from(BOB), Value::decode(&renewed), consent];
    for (what, leaf, other, gone) in [("added", &laptop, add, vec![]), ("replaced", &renewed, replace, vec![BOB])] {
        let mut plan = maria.plan(vec![other.clone()]);
        plan.opened = vec![(4, "courier.example".to_owned())];
        plan.dropped = gone.clone();
        plan.next.next_leaf += 1;
        plan.next.leaves.retain(|(index, _)| !gone.contains(index));
        plan.next.set_leaf(4, leaf.clone());
        assert_eq!(judge(&reader, &plan.seal().entry(ANNA)), Verdict::Valid, "{what}, alone");
        for revocation in [word.revocation(), on_device(&scene, &seed_of(&scene.world, 1, "bob"), 1, START.0)] {
            let mut both = maria.plan(vec![other.clone(), array![8, revocation]]);
            both.opened = plan.opened.clone();
            both.next.next_leaf += 1;
            without(&mut both, &word.user, BOB);
            assert_eq!(judge(&reader, &both.seal().entry(ANNA)), refused(NotAllowed), "{what}");
        }
    }
}

#[test]
fn a_revocation_counts_once_and_in_its_place() {
    let scene = Scene::new();
    let (word, mut anna) = (on_bob(&scene), scene.insider_of(&scene.anna));
    let revoke = |word: &Word| array![8, word.revocation()];
    let mut plan = |proposals: Vec<Value>| {
        let mut plan = anna.plan(proposals);
        without(&mut plan, &word.user, BOB);
        plan.next.barred.push(word.identity.into());
        verdict(&scene, &plan)
    };
    assert_eq!(plan(vec![revoke(&word), revoke(&word)]), refused(Malformed));
    let another = Word { time: word.time - 1, ..word.clone() };
    let mut two = [revoke(&word), revoke(&another)];
    two.sort_by_key(|proposal| crate::kit::cbor::hash("hash proposal", &array![proposal.clone()]));
    assert_eq!(plan(two.to_vec()), refused(NotMember));
    two.reverse();
    assert_eq!(plan(two.to_vec()), refused(Malformed));
    // Behind the roles, and not before.
    let role = array![7, scene.anna.user.as_str(), 1];
    assert_eq!(plan(vec![revoke(&word), role]), refused(Malformed));
}

/// The word is the app's, but not everyone may take it up, and never against oneself or the last owner.
#[test]
fn who_does_not_take_up_a_revocation() {
    let scene = Scene::new();
    let word = on_bob(&scene);
    let mut bob = scene.insider_of(&scene.bob);
    assert_eq!(verdict(&scene, &revoking(&mut bob, &word)), refused(NotAllowed), "Bob himself");
    let serial = on_device(&scene, &seed_of(&scene.world, 1, "bob"), 1, START.0);
    let mut plan = bob.plan(vec![array![8, serial]]);
    without(&mut plan, &word.user, BOB);
    assert_eq!(verdict(&scene, &plan), refused(NotAllowed), "his only device");

    // Maria is the only owner.
    let mut mallory = scene.insider_of(&scene.mallory);
    let photos = *scene.world.photos.root().expose_seed();
    let maria = Word {
        root: photos,
        domain: "photos.example",
        user: scene.maria.user.as_str().to_owned(),
        identity: key_of(&scene.world, 0, "maria"),
        ..word.clone()
    };
    let mut plan = mallory.plan(vec![array![8, maria.revocation()]]);
    without(&mut plan, &maria.user, MARIA);
    assert_eq!(judge(&scene.insider_of(&scene.anna).group(), &plan.seal().entry(ANNA)), refused(NotAllowed));

    // A reader.
    let as_reader = |mut insider: Insider| {
        let mallory = scene.mallory.user.as_str();
        let users = &mut insider.state.users;
        let at = users.iter().position(|user| user.items()[0].text() == mallory).unwrap();
        *users[at].item(2) = Value::Int(0);
        insider
    };
    let reader = as_reader(scene.insider_of(&scene.maria)).group();
    let mut mallory = as_reader(scene.insider_of(&scene.mallory));
    assert_eq!(judge(&reader, &revoking(&mut mallory, &word).seal().entry(MARIA)), refused(NotAllowed));
    assert_eq!(mallory.own(), MALLORY);
}

#[test]
fn only_the_users_own_key_takes_back_a_device() {
    let scene = Scene::new();
    let mut anna = scene.insider_of(&scene.anna);
    let user = scene.bob.user.as_str();
    let mut attempt = |word: Value| {
        let mut plan = anna.plan(vec![array![8, word]]);
        without(&mut plan, user, BOB);
        verdict(&scene, &plan)
    };
    let bobs = seed_of(&scene.world, 1, "bob");
    let on = |key: &[u8; 32], serial, time| on_device(&scene, key, serial, time);
    assert_eq!(attempt(on(&bobs, 1, START.0)), Verdict::Valid);
    assert_eq!(attempt(on(&bobs, u64::MAX - 1, 0)), Verdict::Valid);
    assert_eq!(attempt(on(&bobs, u64::MAX, 0)), refused(Malformed), "which no serial could follow");
    assert_eq!(attempt(on(&seed_of(&scene.world, 0, "anna"), 1, START.0)), refused(Unauthentic));
    assert_eq!(attempt(on(&scene.insider_of(&scene.bob).device.unwrap(), 1, START.0)), refused(Unauthentic));
    assert_eq!(attempt(on(&bobs, 0, START.0)), refused(NotAllowed), "an earlier certificate's");
    assert_eq!(attempt(on(&bobs, 1, START.0 + 1)), refused(Expired));
    // Another device of his, and his device in another's name.
    let with = |user: &str, device: [u8; 16]| {
        let [body, signature] = statement("sign device revocation", &array![user, device, 1, START.0], &bobs);
        array![1, body, signature]
    };
    assert_eq!(attempt(with(user, [9; 16])), refused(NotMember));
    let id = *scene.insider_of(&scene.bob).device_identity().device().as_bytes();
    assert_eq!(attempt(with(scene.maria.user.as_str(), id)), refused(NotMember));
}

/// An old word shown again, by a member who waits for the day that Bob is back: it counts exactly if the app has not
/// vouched since.
#[test]
fn an_old_revocation_used_again() {
    let mut scene = Scene::new();
    let (word, id) = (on_bob(&scene), scene.id);
    let Scene { world, maria, bob, anna, mallory, .. } = &mut scene;
    // Bob is renewed by a credential of now, and shows it.
    let present = bob.client.identity().unwrap().clone();
    world.clock.advance(1);
    let validity = convivio::Validity::starting(world.clock.now(), DAY);
    let credential = world.courier.key().vouch(&bob.user, present.identity_key(), validity).unwrap();
    let renewed = convivio::identity::UnverifiedDeviceIdentity::new(credential, present.certificate().clone());
    let trust = convivio::testing::App::trust(&[&world.courier]).unwrap();
    bob.client.renew(renewed.verify(&trust, world.clock.now()).unwrap()).unwrap();
    bob.client.change(&id, Change::Heal).unwrap();
    world.quiet(&mut [maria, bob, anna, mallory]);
    let mut mallory = scene.insider();
    assert_eq!(verdict(&scene, &revoking(&mut mallory, &word)), refused(NotAllowed));
    let anew = Word { time: START.0 + 1, ..word };
    assert_eq!(verdict(&scene, &revoking(&mut mallory, &anew)), Verdict::Valid);
}

/// What a client would make of `DelistApp`, by a member whose role does not allow it.
#[test]
fn a_member_does_not_delist_an_app() {
    let mut scene = Scene::new();
    let mut anna = scene.insider_of(&scene.anna);
    let mut policy = anna.state.policy.clone();
    let apps = policy.items()[0].items().iter().filter(|app| app.items()[0].text() != "courier.example");
    *policy.item(0) = Value::List(apps.cloned().collect());
    let users = [(BOB, scene.bob.user.as_str().to_owned()), (MALLORY, scene.mallory.user.as_str().to_owned())];
    let plan = |by: &mut Insider, removed: &[(u32, String)]| {
        let mut proposals = vec![array![0, policy.clone()]];
        proposals.extend(removed.iter().map(|(_, user)| array![3, user.as_str()]));
        let mut plan = by.plan(proposals);
        plan.next.policy = policy.clone();
        removed.iter().for_each(|(leaf, user)| without(&mut plan, user, *leaf));
        plan
    };
    let entry = plan(&mut anna, &users).seal().entry(MARIA);
    assert_eq!(judge(&scene.insider_of(&scene.maria).group(), &entry), refused(NotAllowed));
    void_without_doubt(&scene.hub, &scene.id, &mut scene.maria, entry);
    // By the owner it is valid with all of its users, who are not barred, and not with some.
    let (mut maria, reader) = (scene.insider_of(&scene.maria), scene.insider_of(&scene.anna).group());
    assert_eq!(judge(&reader, &plan(&mut maria, &users).seal().entry(ANNA)), Verdict::Valid);
    assert_eq!(judge(&reader, &plan(&mut maria, &users[..1]).seal().entry(ANNA)), refused(NotAllowed));
}

/// A member whom an announcement group does not let speak encrypts all the same.
#[test]
fn what_a_member_says_in_an_announcement_group_is_void() {
    let mut scene = Scene::new();
    let rules = Policy::announcements(scene.world.policy().apps);
    let before = scene.insider().say(b"while I may");
    scene.maria.client.change(&scene.id, Change::Policy(rules.clone())).unwrap();
    let post = scene.hub.collect_one(&mut scene.maria).unwrap();
    scene.show_all(&post);
    assert_eq!(scene.maria.role(&scene.id, &scene.mallory.user), Role::Member);
    let frame = scene.insider().say(b"now hear this");
    for frame in [frame, before] {
        for device in [&mut scene.maria, &mut scene.bob] {
            device.news();
            scene.hub.show(device, convivio::log::EntryBody::Message(frame.clone()));
            assert!(void_only(&device.news()));
            assert_eq!((device.heard(), device.status(&scene.id)), (vec![], Status::Active));
        }
    }
}
