//! Row 29: a member puts keys into the roster under which nobody can seal or verify, so that every next commit fails for
//! everyone.

use convivio::ErrorKind;
use convivio::client::Change;
use convivio::log::PostBody;
use curve25519_dalek::constants::EIGHT_TORSION;

use crate::kit::cbor::{array, public};
use crate::kit::commit::Plan;
use crate::kit::insider::public_seal;
use crate::kit::leaf::{LeafPlan, commit_source, refreshed};
use crate::kit::{Insider, Thief, Value};
use crate::support::*;
use crate::witness::{Verdict, append, judge, lasting, unheard, void_only};

/// p = 2²⁵⁵ − 19, little-endian, plus a small number.
fn p_plus(number: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + number, 0x7f);
    bytes
}

/// Bytes that are no X25519 key by section 2.2.
fn bad_seal_keys() -> Vec<[u8; 32]> {
    let low_order = EIGHT_TORSION.iter().map(|point| point.to_montgomery().to_bytes());
    let one = |byte: u8| core::array::from_fn(|at| if at == 0 { byte } else { 0 });
    let good = public_seal(&[5; 32]);
    let mut high_bit = good;
    high_bit[31] |= 0x80;
    // u = 2 is a point of the twist.
    low_order.chain([one(0), one(1), one(2), p_plus(0), p_plus(1), p_plus(9), [0xff; 32], high_bit]).collect()
}

/// Bytes that are no Ed25519 key by section 2.1.
fn bad_signature_keys() -> Vec<[u8; 32]> {
    let small = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes());
    let mut minus_zero = [0; 32];
    (minus_zero[0], minus_zero[31]) = (1, 0x80);
    let mut off_curve = public(&[5; 32]);
    // One of the next encodings is of no point.
    while curve25519_dalek::edwards::CompressedEdwardsY(off_curve).decompress().is_some() {
        off_curve[0] = off_curve[0].wrapping_add(1);
    }
    small.chain([minus_zero, p_plus(0), p_plus(1), p_plus(3), [0xff; 32], off_curve]).collect()
}

/// Maria and Bob, and Mallory, an admin, with a helper's device whose key package is at hand.
struct Scene {
    world: World,
    maria: Device,
    bob: Device,
    mallory: Insider,
    package: convivio::identity::UnverifiedKeyPackage,
    helper: [u8; 32],
    group: convivio::GroupId,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
        let (mut mallory, mut helper) = (world.device("mallory"), world.device("helper"));
        let group = world.group(&mut maria, &mut [&mut bob, &mut mallory]);
        let admin = Change::Role(mallory.user.clone(), convivio::group::Role::Admin);
        maria.client.change(&group, admin).unwrap();
        world.quiet(&mut [&mut maria, &mut bob, &mut mallory]);
        unheard(&mut [&mut maria, &mut bob]);
        let (package, seed) = (helper.package(), Thief::of(&helper).device().1.unwrap());
        let mallory = Insider::of(&mallory, &group);
        Self { world, maria, bob, mallory, package, helper: seed, group }
    }

    /// A commit that adds the helper by this leaf, with the helper's own signature on it.
    fn adding(&mut self, change: impl Fn(&mut LeafPlan)) -> Plan {
        let mut leaf = LeafPlan::like(&self.package.leaf().to_bytes());
        change(&mut leaf);
        let leaf = leaf.sign(&self.helper);
        let honest = self.mallory.adding(&self.package);
        let mut plan = self.mallory.plan(vec![array![6, Value::decode(&leaf)]]);
        plan.opened.clone_from(&honest.opened);
        plan.next.users.clone_from(&honest.next.users);
        plan.next.next_leaf = honest.next.next_leaf;
        plan.next.set_leaf(honest.opened[0].0, leaf);
        plan
    }

    /// A heal by Mallory with this fresh leaf.
    fn healing(&mut self, change: impl Fn(&mut LeafPlan)) -> Plan {
        let mut plan = self.mallory.plan(Vec::new());
        let own = self.mallory.own();
        let mut leaf = LeafPlan::like(plan.next.leaf(own).unwrap());
        change(&mut leaf);
        let leaf = leaf.sign(&self.mallory.device.unwrap());
        plan.leaf = refreshed(&leaf);
        // The commit is sealed to the fresh leaf as it says; only an honest key can be sealed to.
        plan.next.set_leaf(own, leaf);
        plan
    }

    fn verdict(&self, plan: &Plan) -> Verdict {
        judge(&Insider::of(&self.maria, &self.group).group(), &plan.seal().entry(0))
    }
}

#[test]
fn row_29_a_leaf_with_an_invalid_key_is_void_for_everyone() {
    let mut scene = Scene::new();
    let plan = scene.adding(|_| {});
    assert_eq!(scene.verdict(&plan), Verdict::Valid, "as Mallory makes it, with good keys");
    let plan = scene.healing(|_| {});
    assert_eq!(scene.verdict(&plan), Verdict::Valid);
    let malformed = Verdict::Void(ErrorKind::Malformed);
    for key in bad_seal_keys() {
        let plan = scene.adding(|leaf| leaf.seal_key = key.to_vec());
        assert_eq!(scene.verdict(&plan), malformed, "{key:02x?}");
        let plan = scene.healing(|leaf| leaf.seal_key = key.to_vec());
        assert_eq!(scene.verdict(&plan), malformed, "{key:02x?}");
    }
    for key in bad_signature_keys() {
        let plan = scene.adding(|leaf| leaf.signature_key = key.to_vec());
        assert_eq!(scene.verdict(&plan), malformed, "{key:02x?}");
        let plan = scene.healing(|leaf| leaf.signature_key = key.to_vec());
        assert_eq!(scene.verdict(&plan), malformed, "{key:02x?}");
    }
}

/// One who takes over another's key could be sealed to in the other's place, or speak with the other's chain.
#[test]
fn row_29_a_leaf_with_a_key_that_someone_has_is_void_for_everyone() {
    let mut scene = Scene::new();
    let state = scene.mallory.state.clone();
    let keys_of = |index: u32| {
        let leaf = LeafPlan::like(state.leaf(index).unwrap());
        (leaf.signature_key, leaf.seal_key)
    };
    let refused = Verdict::Void(ErrorKind::NotAllowed);
    for index in 0..3 {
        let (signature_key, seal_key) = keys_of(index);
        let plan = scene.adding(|leaf| leaf.signature_key.clone_from(&signature_key));
        assert_eq!(scene.verdict(&plan), refused);
        let plan = scene.adding(|leaf| leaf.seal_key.clone_from(&seal_key));
        assert_eq!(scene.verdict(&plan), refused);
        // Mallory's own old ones among them: a heal that heals nothing.
        let plan = scene.healing(|leaf| leaf.signature_key.clone_from(&signature_key));
        assert_eq!(scene.verdict(&plan), refused);
        let plan = scene.healing(|leaf| leaf.seal_key.clone_from(&seal_key));
        assert_eq!(scene.verdict(&plan), refused);
    }
    // One key for both purposes, and one for both new leaves.
    let fresh = scene.mallory.plan(Vec::new());
    let mallorys = LeafPlan::like(fresh.next.leaf(2).unwrap());
    let mut plan = scene.adding(|leaf| leaf.seal_key.clone_from(&mallorys.seal_key));
    let own = LeafPlan { source: commit_source(state.group, 2, state.transcript, &plan.proposals), ..mallorys };
    let own = own.sign(&scene.mallory.device.unwrap());
    plan.leaf = refreshed(&own);
    plan.next.set_leaf(2, own);
    assert_eq!(scene.verdict(&plan), refused);
}

/// And the group goes on: the log takes the next commit, and everyone can make it.
#[test]
fn row_29_the_next_commit_is_everyones() {
    let mut scene = Scene::new();
    for key in [[0; 32], p_plus(1)] {
        let bad = [
            scene.adding(|leaf| leaf.seal_key = key.to_vec()),
            scene.adding(|leaf| leaf.signature_key = key.to_vec()),
            scene.healing(|leaf| leaf.seal_key = key.to_vec()),
        ];
        let Scene { world, maria, bob, group, .. } = &mut scene;
        for plan in bad {
            let before = [lasting(maria), lasting(bob)];
            append(world, *group, PostBody::Commit { commit: plan.seal().envelope(), welcome: None });
            for device in [&mut *maria, &mut *bob] {
                world.read(device);
                assert!(void_only(&device.news()));
            }
            assert_eq!([lasting(maria), lasting(bob)], before);
        }
    }
    let Scene { world, maria, bob, group, .. } = &mut scene;
    for healer in 0..2 {
        let device = if healer == 0 { &mut *maria } else { &mut *bob };
        device.client.change(group, Change::Heal).unwrap();
        device.say(group, "and I can speak");
        world.quiet(&mut [maria, bob]);
    }
    assert_eq!((maria.heard().len(), bob.heard().len()), (1, 1));
    agree(group, &mut [maria, bob]);
}
