//! Row 17: an inviter who lies to the joiner.

use convivio::client::{Answer, Change, EventKind};
use convivio::group::Group;
use convivio::identity::{KeyPackageSecrets, UnverifiedKeyPackage};
use convivio::log::EntryBody;
use convivio::{ErrorKind, InitSecret, SealSecret, Secret, SigningKey};

use crate::kit::cbor::{array, public};
use crate::kit::commit::{Forged, WelcomePlan};
use crate::kit::state::State;
use crate::kit::{Insider, Scene, Thief, Value};
use crate::support::{Device, START};

/// Carol, who is invited by Mallory's honest commit, and the welcome to be falsified.
struct Invitation {
    scene: Scene,
    carol: Device,
    package: UnverifiedKeyPackage,
    insider: Insider,
    commit: Forged,
}

fn invitation() -> Invitation {
    let mut scene = Scene::new();
    let mut carol = scene.world.device("carol");
    let package = carol.package();
    // Mallory may add: it is an admin's right, so Mallory acts with Maria's. The rules are not what is tried here.
    let mut insider = scene.as_thief_of(&scene.maria);
    let commit = insider.adding(&package).seal();
    Invitation { scene, carol, package, insider, commit }
}

impl Invitation {
    /// What the group pillar says to it.
    fn join(&self, welcome: &WelcomePlan) -> Result<Group, ErrorKind> {
        let loot = Thief::of(&self.carol).packages().remove(0);
        let secrets = KeyPackageSecrets {
            signing: SigningKey::from_seed(&loot.signing),
            seal: SealSecret::from_secret(Secret::from_bytes(&mut loot.seal.clone())),
            init: InitSecret::from_secret(Secret::from_bytes(&mut loot.init.clone())),
        };
        let package = self.package.clone().verify(&self.scene.world.policy().apps, START).unwrap();
        let part = welcome.seal(&self.package).split(package.id().as_bytes()).unwrap();
        let commit = (self.commit.sealer.header.as_slice(), self.commit.body.as_slice());
        Group::join(&part, &package, &secrets, commit).map(|joined| joined.group).map_err(|error| error.kind())
    }

    /// And what the device makes of it: nothing.
    fn leaves_no_trace(&mut self, welcome: &WelcomePlan) {
        self.carol.news();
        let before = self.carol.disk.records();
        self.scene.hub.show_welcome(&mut self.carol, &self.commit.envelope(), &welcome.seal(&self.package));
        assert!(self.carol.disk.records() == before && self.carol.news().is_empty());
    }
}

/// A state that is not the commit's, with the joiner secret and the confirmation of the real one, and with such as fit.
fn lies(honest: &State) -> Vec<(&'static str, State)> {
    let lie = |what, edit: fn(&mut State)| {
        let mut state = honest.clone();
        edit(&mut state);
        (what, state)
    };
    vec![
        lie("a user less", |state| drop(state.users.pop())),
        lie("a user more", |state| {
            state.users.push(array!["mimi://photos.example/u/zoe", public(&[1; 32]), 1, 0]);
        }),
        lie("nobody is owner", |state| {
            let maria = user_of(state, "maria");
            *state.users[maria].item(2) = Value::Int(2);
        }),
        lie("another identity key", |state| *state.users[0].item(1) = public(&[1; 32]).into()),
        lie("a leaf in another's place", |state| state.leaves[1].1 = state.leaves[2].1.clone()),
        lie("one leaf twice", |state| {
            let twin = state.leaves[2].1.clone();
            state.set_leaf(9, twin);
            state.next_leaf = 10;
        }),
        lie("an index that was never given", |state| state.next_leaf = 1),
        lie("leaves out of order", |state| state.leaves.swap(1, 2)),
        lie("users out of order", |state| state.users.swap(0, 1)),
        lie("the old transcript", |state| state.transcript = [1; 32]),
        lie("another suite", |state| state.suite = 2),
        lie("another group", |state| state.group[0] ^= 1),
    ]
}

fn user_of(state: &State, name: &str) -> usize {
    state.users.iter().position(|user| user.items()[0].text().ends_with(name)).unwrap()
}

#[test]
fn row_17_an_inviter_gives_the_joiner_an_inconsistent_roster_policy_info_or_transcript() {
    let mut invitation = invitation();
    let honest = invitation.commit.welcome();
    assert!(invitation.join(&honest).is_ok());
    for (what, state) in lies(&invitation.commit.state) {
        // As it is, and with keys and confirmation that fit the lie.
        let mut as_it_is = honest.clone();
        as_it_is.state = state.to_value();
        let mut fitting = honest.clone();
        fitting.agree_on(&state, honest.joiner);
        for welcome in [as_it_is, fitting] {
            // The transcript alone nobody can check who was not there.
            if what == "the old transcript" && welcome.confirmation != honest.confirmation {
                continue;
            }
            assert!(invitation.join(&welcome).is_err(), "{what}");
            invitation.leaves_no_trace(&welcome);
        }
    }
    // What is not in the state: parent, proposals, the joiner's own place, the group in the header, a readmission.
    let mut fields = Vec::new();
    let edits: [fn(&mut WelcomePlan); 12] = [
        |welcome: &mut WelcomePlan| welcome.parent = [1; 32],
        |welcome: &mut WelcomePlan| welcome.hashes.clear(),
        |welcome: &mut WelcomePlan| welcome.hashes.push(Value::from([1; 32])),
        |welcome: &mut WelcomePlan| welcome.hashes[0] = Value::from([1; 32]),
        |welcome: &mut WelcomePlan| welcome.replaced = vec![array![4, 1, [0; 64]]],
        |welcome: &mut WelcomePlan| welcome.public = Value::from([1; 16]).encode(),
        |welcome: &mut WelcomePlan| welcome.commit_entry = [1; 32],
        |welcome: &mut WelcomePlan| welcome.confirmation = [1; 32],
        |welcome: &mut WelcomePlan| welcome.joiner = [1; 32],
        |welcome: &mut WelcomePlan| welcome.sender = 1,
        |welcome: &mut WelcomePlan| welcome.sender = 9,
        |welcome: &mut WelcomePlan| welcome.signing = [1; 32],
    ];
    for edit in edits {
        let mut welcome = honest.clone();
        edit(&mut welcome);
        fields.push(welcome);
    }
    let mut without_us = honest.clone();
    let mut state = invitation.commit.state.clone();
    state.leaves.pop();
    without_us.agree_on(&state, honest.joiner);
    fields.push(without_us);
    for (n, welcome) in fields.iter().enumerate() {
        assert!(invitation.join(welcome).is_err(), "field {n}");
        invitation.leaves_no_trace(welcome);
    }
    // The package is not spent.
    invitation.scene.hub.show_welcome(
        &mut invitation.carol,
        &invitation.commit.envelope(),
        &honest.seal(&invitation.package),
    );
    assert!(matches!(invitation.carol.news()[..], [EventKind::Invitation { .. }]));
}

/// Other members' leaves, policy, info, roles: consistent, and not what the group has. Such a welcome goes with a commit
/// that leads there. Without the hub it does not go with the one in the log.
#[test]
fn row_17_a_consistent_lie_fails_the_log_check_without_the_hubs_help() {
    let mut invitation = invitation();
    // A whole other history: Maria never had Bob in it, and Mallory is an owner.
    let mut false_insider = invitation.scene.as_thief_of(&invitation.scene.maria);
    false_insider.state.leaves.retain(|(leaf, _)| *leaf != 1);
    let bob = user_of(&false_insider.state, "bob");
    false_insider.state.users.remove(bob);
    let mallory = user_of(&false_insider.state, "mallory");
    *false_insider.state.users[mallory].item(2) = Value::Int(3);
    *false_insider.state.info.item(0).item(0) = Value::from("Another trip");
    let lie = false_insider.adding(&invitation.package).seal();
    let welcome = lie.welcome();
    // The log shows the honest commit, and no other.
    assert_eq!(invitation.join(&welcome).map(drop), Err(ErrorKind::Unauthentic));
    invitation.leaves_no_trace(&welcome);
    // With the hub's help, the lie's own commit in the place of the honest one, the joiner cannot tell.
    let Invitation { mut scene, commit, mut carol, package, .. } = invitation;
    scene.hub.show_welcome(&mut carol, &lie.envelope(), &welcome.seal(&package));
    assert_eq!(carol.client.groups().unwrap(), [scene.id]);
    find_out(&mut scene, &commit, &mut carol);
}

/// `docs/protocol.md`, section 5.5: the hash of the commit in the log is no secret, so an inviter can name it in a welcome
/// to another group. Nobody else is in that, and the first that is seen of the others shows it.
#[test]
fn row_17_a_consistent_lie_beside_a_real_commit_shows_with_the_first_message_of_another() {
    let invitation = invitation();
    let Invitation { mut scene, commit, mut carol, package, mut insider } = invitation;
    *insider.state.info.item(0).item(0) = Value::from("Another trip");
    let mut welcome = insider.adding(&package).seal().welcome();
    welcome.commit_entry = commit.entry_hash();
    scene.hub.show_welcome(&mut carol, &commit.envelope(), &welcome.seal(&package));
    assert_eq!(carol.client.group(&scene.id).unwrap().state().info().name(), "Another trip");
    find_out(&mut scene, &commit, &mut carol);
}

/// The joiner of a lie is alone in it: the others hear nothing of it, and it is told when it hears nothing of them.
fn find_out(scene: &mut Scene, honest: &Forged, carol: &mut Device) {
    let id = scene.id;
    carol.client.answer(&id, Answer::Accept).unwrap();
    let Scene { hub, bob, anna, .. } = scene;
    for (leaf, device) in [(1, &mut *bob), (2, &mut *anna)] {
        hub.show(device, honest.entry(leaf));
        assert_eq!(device.epoch(&id), 2);
    }
    let words = [&mut *carol, &mut *bob].map(|device| *device.client.group(&id).unwrap().authenticator());
    assert_ne!(words[0], words[1], "comparing them tells");
    carol.say(&id, "is this the trip?");
    let post = hub.collect(carol).remove(0);
    bob.say(&id, "welcome, Carol");
    let greeting = hub.collect(bob).remove(0);
    hub.show_post(anna, &post);
    assert_eq!(anna.heard(), []);
    carol.news();
    hub.show_post(carol, &greeting);
    assert!(carol.news().contains(&EventKind::ForkSuspected));
    assert_eq!(carol.heard(), []);
}

/// A consistent lie with every number at its limit: the joiner can be led anywhere, but nothing there brings it down.
#[test]
fn row_17_an_inviter_gives_the_joiner_numbers_at_their_limits() {
    let extremes: [fn(&mut State); 6] = [
        |state| state.epoch = u64::MAX - 1,
        |state| state.epoch = (1 << 32) - 2,
        |state| state.next_leaf = u32::MAX - 1,
        |state| *state.policy.item(6) = Value::Int(u64::MAX),
        |state| *state.policy.item(6) = Value::Int(1),
        |state| *state.users[0].item(3) = Value::Int(u64::MAX),
    ];
    for (n, edit) in extremes.into_iter().enumerate() {
        let Invitation { mut scene, mut carol, package, mut insider, .. } = invitation();
        edit(&mut insider.state);
        let id = scene.id;
        let lie = insider.adding(&package).seal();
        scene.hub.show_welcome(&mut carol, &lie.envelope(), &lie.welcome().seal(&package));
        assert_eq!(carol.client.groups().unwrap(), [id], "{n}");
        carol.client.answer(&id, Answer::Accept).unwrap();
        insider.enter(&lie);
        for round in 0..3 {
            scene.hub.show(&mut carol, EntryBody::Message(insider.say(b"hello")));
            assert_eq!(carol.heard().len(), round + 1, "{n}");
            carol.say(&id, "hello");
            carol.client.change(&id, Change::Heal).unwrap();
            carol.client.change(&id, Change::Add(vec![scene.world.device("zoe").package()])).unwrap();
            carol.client.wake_at().unwrap();
            for post in scene.hub.collect(&mut carol) {
                scene.hub.show_post(&mut carol, &post);
            }
            carol.restart();
            let commit = insider.plan(Vec::new()).seal();
            let own = carol.client.group(&id).unwrap().own_index().0;
            scene.hub.show(&mut carol, commit.entry(own));
            if *carol.client.group(&id).unwrap().authenticator() != commit.keys.authenticator {
                break;
            }
            insider.enter(&commit);
        }
        carol.client.forget(&id).unwrap();
    }
}
