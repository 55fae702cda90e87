//! Row 34: the thief of a whole store, but not of the device key, has older leaves of the victim, which the device key did
//! sign, and their private keys. None of them serves again: the leaf of a commit is bound to its place in the history and
//! to its proposals (section 3.4).

use convivio::ErrorKind;
use convivio::client::Change;
use convivio::log::PostBody;

use crate::kit::cbor::array;
use crate::kit::commit::{Forged, WelcomePlan};
use crate::kit::leaf::refreshed;
use crate::kit::{Hub, Insider, Thief, Value};
use crate::support::*;
use crate::witness::{Verdict, append, judge, lasting, void_only};

/// A leaf that the victim's device has signed at some time, and its private signing key.
struct OldLeaf {
    what: &'static str,
    leaf: Vec<u8>,
    signing: [u8; 32],
    /// What it is bound to: the parent and the proposal hashes.
    bound: ([u8; 32], Vec<Value>),
}

/// Vera, from whom a store is stolen each time she has a new leaf; Maria, who reads along; the thief's loot of now.
struct Scene {
    world: World,
    maria: Device,
    vera: Device,
    group: convivio::GroupId,
    old: Vec<OldLeaf>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let (mut maria, mut vera) = (world.device("maria"), world.device_of(1, "vera"));
        let policy = convivio::group::Policy { add: convivio::group::Role::Member, ..world.policy() };
        let group = world.group_under(policy, &mut maria, &mut [&mut vera]);
        let mut scene = Self { world, maria, vera, group, old: Vec::new() };
        scene.steal("the leaf she joined by", [0; 32], vec![]);
        let parent = scene.transcript();
        scene.commit(Change::Heal);
        scene.steal("the leaf of a heal", parent, vec![]);
        let (parent, dave) = (scene.transcript(), scene.world.device("dave").package());
        scene.commit(Change::Add(vec![dave.clone()]));
        let added = array![6, Value::decode(&dave.leaf().to_bytes())];
        scene.steal("the leaf of an add", parent, crate::kit::leaf::proposal_hashes(&[added]));
        let other = scene.world.group(&mut scene.vera, &mut []);
        let elsewhere = Insider::from_loot(&scene.loot(), &other);
        scene.old.push(OldLeaf {
            what: "the leaf of a group of her own",
            leaf: elsewhere.state.leaf(0).unwrap().to_vec(),
            signing: elsewhere.keys.signing,
            bound: ([0; 32], vec![]),
        });
        scene.vera.package();
        let package = scene.loot().packages().remove(0);
        scene.old.push(OldLeaf {
            what: "the leaf of a key package nobody has used",
            leaf: Value::decode(&package.package).items()[0].bytes().to_vec(),
            signing: package.signing,
            bound: ([0; 32], vec![]),
        });
        // The keys of now are none of those.
        scene.commit(Change::Heal);
        scene.maria.news();
        scene
    }

    /// A dump, as a thief has it: without the device key.
    fn loot(&self) -> Thief {
        Thief::of(&self.vera).without_device_key()
    }

    fn thief(&self) -> Insider {
        Insider::from_loot(&self.loot(), &self.group)
    }

    fn transcript(&self) -> [u8; 32] {
        self.thief().state.transcript
    }

    fn commit(&mut self, change: Change) {
        self.vera.client.change(&self.group, change).unwrap();
        self.world.quiet(&mut [&mut self.vera, &mut self.maria]);
    }

    fn steal(&mut self, what: &'static str, parent: [u8; 32], hashes: Vec<Value>) {
        let thief = self.thief();
        let leaf = thief.state.leaf(thief.own()).unwrap().to_vec();
        self.old.push(OldLeaf { what, leaf, signing: thief.keys.signing, bound: (parent, hashes) });
    }
}

/// The commit, with another fresh leaf.
fn with_leaf(thief: &mut Insider, proposals: Vec<Value>, old: &[u8]) -> crate::kit::commit::Plan {
    let own = thief.own();
    let mut plan = thief.plan(proposals);
    plan.leaf = refreshed(old);
    plan.next.set_leaf(own, old.to_vec());
    plan
}

#[test]
fn row_34_no_older_leaf_of_the_victim_makes_a_commit() {
    let mut scene = Scene::new();
    let reader = Insider::of(&scene.maria, &scene.group).group();
    let mut thief = scene.thief();
    assert_eq!(thief.device, None);
    // With the device key, Vera's own client makes such a commit, and this is how it looks by hand.
    let mut whole = Insider::of(&scene.vera, &scene.group);
    assert_eq!(judge(&reader, &whole.plan(Vec::new()).seal().entry(0)), Verdict::Valid);
    // By a key of the thief's.
    let refused = Verdict::Void(ErrorKind::Unauthentic);
    assert_eq!(judge(&reader, &thief.plan(Vec::new()).seal().entry(0)), refused);

    let Scene { world, maria, group, old, vera } = &mut scene;
    let before = lasting(maria);
    let removal = array![3, maria.user.as_str()];
    for OldLeaf { what, leaf, .. } in old.iter() {
        for proposals in [vec![], vec![removal.clone()]] {
            let forged = with_leaf(&mut thief, proposals.clone(), leaf).seal();
            if proposals.is_empty() {
                assert_eq!(judge(&reader, &forged.entry(0)), refused, "{what}");
            }
            append(world, *group, PostBody::Commit { commit: forged.envelope(), welcome: None });
            world.read(maria);
            assert!(void_only(&maria.news()), "{what}");
        }
    }
    assert_eq!(lasting(maria), before);
    // And Vera's next commit shuts the thief out.
    vera.client.change(group, Change::Heal).unwrap();
    world.quiet(&mut [vera, maria]);
    agree(group, &mut [vera, maria]);
}

/// A welcome as the victim: to the group as it is, in the victim's name, by a commit that is in the log.
fn welcome(thief: &Insider, forged: &Forged, old: &OldLeaf, bound: ([u8; 32], Vec<Value>)) -> WelcomePlan {
    let mut welcome = forged.welcome();
    (welcome.sender, welcome.signing) = (thief.own(), old.signing);
    (welcome.parent, welcome.hashes) = bound;
    welcome
}

#[test]
fn row_34_no_older_leaf_of_the_victim_signs_a_welcome() {
    let mut scene = Scene::new();
    let mut carol = scene.world.device("carol");
    let package = carol.package();
    let hub = Hub::of(scene.group);
    let before = lasting(&carol);
    let mut thief = scene.thief();
    for old in &scene.old {
        let mut plan = thief.adding(&package);
        let honest = (plan.parent, crate::kit::leaf::proposal_hashes(&plan.proposals));
        plan.leaf = refreshed(&old.leaf);
        plan.next.set_leaf(thief.own(), old.leaf.clone());
        let forged = plan.seal();
        let mixed = (old.bound.0, honest.1.clone());
        let both = (old.bound.0, [old.bound.1.clone(), honest.1.clone()].concat());
        // As the commit has it, as the old leaf has it, and what lies between.
        for bound in [honest, old.bound.clone(), mixed, both] {
            let welcome = welcome(&thief, &forged, old, bound).seal(&package);
            hub.show_welcome(&mut carol, &forged.envelope(), &welcome);
            assert_eq!((carol.client.groups().unwrap(), carol.news()), (vec![], vec![]), "{}", old.what);
        }
    }
    assert_eq!(lasting(&carol), before);
    // With the device key it is an invitation.
    let mut whole = Insider::of(&scene.vera, &scene.group);
    let forged = whole.adding(&package).seal();
    hub.show_welcome(&mut carol, &forged.envelope(), &forged.welcome().seal(&package));
    assert_eq!(carol.client.groups().unwrap(), [scene.group]);
}
