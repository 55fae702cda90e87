//! Row 30, as far as there are no invite links and no requests from outside yet: a removed member, with a helper inside,
//! by what it still has from before.

use convivio::client::{Change, EventKind, Status};
use convivio::group::{Occasion, Proposal, RejoinRequest};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::{EntryBody, LogEntry, PostBody};
use convivio::{ErrorKind, GroupId};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::kit::cbor::array;
use crate::kit::{Hub, Insider, Value};
use crate::support::*;
use crate::witness::{Verdict, append, judge, lasting, unheard, void_only};

/// Maria's group, where members may add; Bob, who is to be removed; Mallory, who would help him back.
struct Scene {
    world: World,
    maria: Device,
    bob: Device,
    mallory: Device,
    group: GroupId,
    /// The package by which Bob came in, and one that nobody has used.
    used: UnverifiedKeyPackage,
    unused: UnverifiedKeyPackage,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
        let mut mallory = world.device("mallory");
        let policy = convivio::group::Policy { add: convivio::group::Role::Member, ..world.policy() };
        let group = world.group_under(policy, &mut maria, &mut [&mut mallory]);
        let (used, unused) = (bob.package(), bob.package());
        maria.client.change(&group, Change::Add(vec![used.clone()])).unwrap();
        world.sync(&mut maria);
        world.sync(&mut bob);
        bob.client.answer(&group, convivio::client::Answer::Accept).unwrap();
        let mut scene = Self { world, maria, bob, mallory, group, used, unused };
        scene.quiet();
        scene
    }

    fn quiet(&mut self) {
        self.world.quiet(&mut [&mut self.maria, &mut self.bob, &mut self.mallory]);
        unheard(&mut [&mut self.maria, &mut self.bob, &mut self.mallory]);
    }

    /// Bob in doubt asks to be readmitted; the request as Mallory got it.
    fn request(&mut self) -> Box<RejoinRequest> {
        let Self { world, maria, bob, mallory, group, .. } = self;
        maria.client.change(group, Change::Heal).unwrap();
        world.sync(maria);
        let mut entry = bob.pending(&world.hub, group).remove(0);
        let EntryBody::Commit { stanza, .. } = &mut entry.body else { panic!("not a commit") };
        *stanza = None;
        bob.receive(&[LogEntry { ..entry }]);
        bob.client.change(group, Change::Rejoin).unwrap();
        world.post(bob);
        world.sync(mallory);
        let asked = |what| if let EventKind::RejoinRequested { request, .. } = what { Some(request) } else { None };
        mallory.news().into_iter().find_map(asked).unwrap()
    }

    fn remove_bob(&mut self) {
        self.maria.client.change(&self.group, Change::Remove(self.bob.user.clone())).unwrap();
        self.world.sync(&mut self.maria);
        self.world.sync(&mut self.mallory);
        assert!(!self.mallory.has(&self.group, &self.bob.user));
        unheard(&mut [&mut self.maria, &mut self.mallory]);
    }

    /// Whether Mallory's own library would make this commit now.
    fn helps(&self, proposal: Proposal, package: &UnverifiedKeyPackage) -> Result<(), ErrorKind> {
        let insider = Insider::of(&self.mallory, &self.group);
        let group = insider.group();
        let verified = package.clone().verify(&group.state().policy().apps, START).unwrap();
        let keys = [(verified.id(), verified.init_key().clone())].into_iter().collect();
        let occasion = Occasion { time: self.world.clock.now(), seen: [0; 32] };
        let mut rng = StdRng::seed_from_u64(1);
        let made = insider.actor(|mallory| group.commit(vec![proposal], &keys, occasion, mallory, &mut rng));
        made.map(drop).map_err(|error| error.kind())
    }

    /// Mallory makes it all the same, by hand, and the hub logs it: nobody follows.
    fn by_hand(&mut self, make: &dyn Fn(&mut Insider) -> crate::kit::commit::Plan, why: ErrorKind) {
        let Self { world, maria, mallory, group, .. } = self;
        let mut insider = Insider::of(mallory, group);
        let made = make(&mut insider).seal();
        assert_eq!(judge(&Insider::of(maria, group).group(), &made.entry(0)), Verdict::Void(why));
        let before = (lasting(maria), maria.status(group));
        append(world, *group, PostBody::Commit { commit: made.envelope(), welcome: None });
        world.sync(maria);
        assert!(void_only(&maria.news()));
        assert_eq!((lasting(maria), maria.status(group)), before);
    }
}

fn add(package: &UnverifiedKeyPackage) -> Proposal {
    Proposal::Add(package.leaf().clone())
}

#[test]
fn row_30_a_removed_member_does_not_return_by_a_key_package_from_before() {
    let mut scene = Scene::new();
    scene.remove_bob();
    for package in [scene.used.clone(), scene.unused.clone()] {
        assert_eq!(scene.helps(add(&package), &package), Err(ErrorKind::NotAllowed));
        let Scene { world, mallory, group, .. } = &mut scene;
        assert_eq!(mallory.dropped(world, group, Change::Add(vec![package.clone()])), ErrorKind::NotAllowed);
        scene.by_hand(&|mallory| mallory.adding(&package), ErrorKind::NotAllowed);
    }
    // Who was never removed comes in by the same way,
    let carol = scene.world.device("carol").package();
    assert_eq!(scene.helps(add(&carol), &carol), Ok(()));
    // and Bob by an admin's own act.
    let Scene { world, maria, bob, mallory, group, .. } = &mut scene;
    bob.client.forget(group).unwrap();
    world.bring_in(*group, maria, &mut [bob]);
    world.quiet(&mut [maria, bob, mallory]);
    agree(group, &mut [maria, bob, mallory]);
}

/// A request that was good while its device was in the group ends with the removal, through a helper's library, by the
/// helper's own hand, and out of the log.
#[test]
fn row_30_a_removed_member_does_not_return_by_an_old_request() {
    let mut scene = Scene::new();
    let request = scene.request();
    let package = request.package().clone();
    // While Bob is in, this very request brings him back.
    let state = Insider::of(&scene.mallory, &scene.group).group();
    let replace = request.proposal(state.state()).unwrap();
    assert_eq!(scene.helps(replace.clone(), &package), Ok(()));

    scene.remove_bob();
    let Scene { mallory, group, .. } = &mut scene;
    assert_eq!(mallory.refused(group, Change::Readmit(request.clone())), ErrorKind::NotMember);
    assert_eq!(scene.helps(replace.clone(), &package), Err(ErrorKind::NotMember));
    let Proposal::Replace { leaf, with, consent } = replace else { panic!("not a replacement") };
    let by_hand = |old: u32| {
        let (with, consent) = (Value::decode(&with.to_bytes()), *consent.as_bytes());
        array![5, u64::from(old), with, consent]
    };
    let made = |mallory: &mut Insider, old: u32| {
        let mut plan = mallory.plan(vec![by_hand(old)]);
        plan.opened = vec![(plan.next.next_leaf, "courier.example".to_owned())];
        plan.dropped = vec![old];
        plan.next.next_leaf += 1;
        plan
    };
    scene.by_hand(&|mallory| made(mallory, leaf.0), ErrorKind::NotMember);
    // Nor in anyone else's place: Maria's, whose leaf is 0.
    scene.by_hand(&|mallory| made(mallory, 0), ErrorKind::NotAllowed);
    // Sent again by the hub, it is void.
    let Scene { maria, bob, group, .. } = &mut scene;
    bob.client.change(group, Change::Rejoin).unwrap();
    let PostBody::Request(again) = bob.outbox().remove(0).body else { panic!("not a request") };
    let again = again.split(again.stanzas()[0].recipient());
    let before = lasting(maria);
    Hub::of(*group).show(maria, EntryBody::Request(again));
    assert!(void_only(&maria.news()));
    assert_eq!(lasting(maria), before);
}

/// A request ends after a day, and as soon as the device has come back.
#[test]
fn row_30_an_old_request_of_one_who_is_in_is_over() {
    let mut scene = Scene::new();
    let request = scene.request();
    scene.world.clock.advance(DAY + 1);
    let Scene { mallory, group, .. } = &mut scene;
    assert_eq!(mallory.refused(group, Change::Readmit(request.clone())), ErrorKind::Expired);
    let state = Insider::of(mallory, group).group();
    let replace = request.proposal(state.state()).unwrap();
    assert_eq!(scene.helps(replace, request.package()), Err(ErrorKind::Expired));

    let mut scene = Scene::new();
    let request = scene.request();
    let Scene { world, mallory, group, maria, bob, .. } = &mut scene;
    mallory.client.change(group, Change::Readmit(request.clone())).unwrap();
    world.quiet(&mut [mallory, bob, maria]);
    assert_eq!(bob.status(group), Status::Active);
    agree(group, &mut [mallory, bob, maria]);
    assert_eq!(mallory.refused(group, Change::Readmit(request.clone())), ErrorKind::Expired);
}
