//! The rules of section 5.3 that depend on who takes out or replaces which device, each at its edge, on the group
//! pillar: what would break a rule cannot be made, and what is just within it can.

use std::collections::BTreeMap;

use convivio::group::{Actor, Group, GroupInfo, LeaveScope, NewCommit, Occasion, Proposal, Role};
use convivio::identity::{
    Capabilities, DeviceIdentity, IdentityKey, KeyPackage, KeyPackageSecrets, PackageOptions, UnverifiedKeyPackage,
};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, SigningKey, Timestamp, Validity, limits};
use rand::SeedableRng;
use rand::rngs::StdRng;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

struct Device {
    identity: DeviceIdentity,
    key: SigningKey,
    capabilities: Capabilities,
}

impl Device {
    fn new(app: &App, name: &str, identity: &IdentityKey, (id, serial): (u8, u64)) -> Self {
        let key = SigningKey::generate(&mut rng(u64::from(id)));
        let identity = app.certify(name, identity, (DeviceId::from_bytes([id; 16]), serial), &key).unwrap();
        Self { identity, key, capabilities: Capabilities::default() }
    }

    fn actor(&self) -> Actor<'_> {
        Actor { identity: &self.identity, signer: &self.key, capabilities: &self.capabilities }
    }

    fn package(&self, not_before: Timestamp, seed: u64) -> (KeyPackage, KeyPackageSecrets) {
        let validity = Validity::starting(not_before, 2 * limits::REQUEST_LIFETIME);
        let options = PackageOptions { capabilities: self.capabilities.clone(), validity, last_resort: false };
        KeyPackage::create(&self.identity, &self.key, options, &mut rng(seed)).unwrap()
    }
}

/// Ada's two devices and Bob's two in one group, and what it takes to make more. A device's number is its id, and the
/// first of each has the same: a user chooses its devices' ids, and one may choose another's.
struct Town {
    app: App,
    ada: IdentityKey,
    bob: IdentityKey,
    devices: [Device; 4],
    groups: Vec<Group>,
}

const ADAS_TABLET: usize = 1;
const BOB: usize = 2;
const BOBS_TABLET: usize = 3;

impl Town {
    fn new() -> Self {
        let validity = Validity::starting(Timestamp(NOW.0 - 1_000), 1_000_000);
        let app = App::new_in("a.example", validity, &mut rng(1)).unwrap();
        let (ada, bob) = (IdentityKey::generate(&mut rng(2)), IdentityKey::generate(&mut rng(3)));
        let ids = [("ada", &ada, 1), ("ada", &ada, 2), ("bob", &bob, 1), ("bob", &bob, 3)];
        let devices = ids.map(|(name, identity, id)| Device::new(&app, name, identity, (id, 5)));

        let policy = App::policy(&[&app]).unwrap();
        let founded = Group::create(devices[0].actor(), policy, GroupInfo::default(), NOW, &mut rng(4)).unwrap().group;
        let packages: Vec<_> = (10..).zip(&devices[1..]).map(|(seed, device)| device.package(NOW, seed)).collect();
        let added = packages.iter().map(|(package, _)| package).collect::<Vec<_>>();
        let made = commit(&founded, &devices[0], adds(&added), &added).unwrap();
        let own = made.envelope.split(&[0]).unwrap();
        let mut groups = vec![founded.process(&own, Some(&made.fresh)).unwrap().group];
        for (package, secrets) in &packages {
            let welcome = made.welcome.as_ref().unwrap().split(package.id().as_bytes()).unwrap();
            let entry = (made.envelope.header().bytes(), made.envelope.body());
            groups.push(Group::join(&welcome, package, secrets, entry).unwrap().group);
        }
        Self { app, ada, bob, devices, groups }
    }

    /// Ada's first device commits this.
    fn commit(&self, proposal: Proposal, package: Option<&KeyPackage>) -> Result<NewCommit, ErrorKind> {
        let packages: Vec<_> = package.into_iter().collect();
        commit(&self.groups[0], &self.devices[0], vec![proposal], &packages).map_err(|error| error.kind())
    }

    /// Ada's first device commits this, and she and Bob's first enter the next epoch.
    fn happens(&mut self, proposals: Vec<Proposal>, packages: &[&KeyPackage]) {
        let made = commit(&self.groups[0], &self.devices[0], proposals, packages).unwrap();
        let part = |group: &Group| made.envelope.split(&[u8::try_from(group.own_index().0).unwrap()]).unwrap();
        let [ada, bob] = [(0, Some(&made.fresh)), (BOB, None)]
            .map(|(of, fresh)| self.groups[of].process(&part(&self.groups[of]), fresh).unwrap().group);
        (self.groups[0], self.groups[BOB]) = (ada, bob);
    }

    /// Ada's first device replaces this leaf by that package, as the leaf's device asks.
    fn replace(&self, leaf: usize, package: &KeyPackage) -> Result<NewCommit, ErrorKind> {
        let request = self.groups[leaf].request_to_rejoin(package, &self.devices[leaf].key).unwrap();
        let Ok(Proposal::Replace { consent, .. }) = request.proposal(self.groups[leaf].state()) else {
            let with = UnverifiedKeyPackage::try_from(package).unwrap().leaf().clone();
            // No request can ask for it. A committer can still write it, and takes the consent from another one.
            let (honest, _) = self.devices[leaf].package(NOW, 99);
            let request = self.groups[leaf].request_to_rejoin(&honest, &self.devices[leaf].key).unwrap();
            let Ok(Proposal::Replace { consent, .. }) = request.proposal(self.groups[leaf].state()) else { panic!() };
            return self
                .commit(Proposal::Replace { leaf: self.groups[leaf].own_index(), with, consent }, Some(package));
        };
        let with = UnverifiedKeyPackage::try_from(package).unwrap().leaf().clone();
        self.commit(Proposal::Replace { leaf: self.groups[leaf].own_index(), with, consent }, Some(package))
    }
}

fn adds(packages: &[&KeyPackage]) -> Vec<Proposal> {
    let leaf = |package: &&KeyPackage| UnverifiedKeyPackage::try_from(*package).unwrap().leaf().clone();
    packages.iter().map(|package| Proposal::Add(leaf(package))).collect()
}

fn commit(
    group: &Group,
    device: &Device,
    proposals: Vec<Proposal>,
    packages: &[&KeyPackage],
) -> convivio::Result<NewCommit> {
    let init_keys =
        packages.iter().map(|package| (package.id(), package.init_key().clone())).collect::<BTreeMap<_, _>>();
    group.commit(
        proposals,
        &init_keys,
        Occasion { time: NOW, seen: [0; 32] },
        device.actor(),
        &mut rng(50 + group.state().epoch().0),
    )
}

#[test]
fn a_leave_is_committed_by_another_user_or_by_another_device_for_that_device() {
    let town = Town::new();
    let leave = |leaf: usize, scope| town.commit(town.groups[leaf].sign_leave(scope), None).map(|_| ());
    assert_eq!(leave(BOB, LeaveScope::User), Ok(()));
    assert_eq!(leave(BOBS_TABLET, LeaveScope::Device), Ok(()));
    // Bob's first device has the id of Ada's, and is none the less Bob's.
    assert_eq!(leave(BOB, LeaveScope::Device), Ok(()));
    assert_eq!(leave(ADAS_TABLET, LeaveScope::Device), Ok(()));
    assert_eq!(leave(ADAS_TABLET, LeaveScope::User), Err(ErrorKind::NotAllowed));
    assert_eq!(leave(0, LeaveScope::User), Err(ErrorKind::NotAllowed));
    assert_eq!(leave(0, LeaveScope::Device), Err(ErrorKind::NotAllowed));
}

#[test]
fn nobody_commits_the_leave_of_their_own_user_even_if_another_owner_stays() {
    let town = Town::new();
    let bob = town.devices[BOB].identity.user().clone();
    let made = town.commit(Proposal::Role { user: bob, role: Role::Owner }, None).unwrap();
    let part = |leaf: usize| made.envelope.split(&[u8::try_from(town.groups[leaf].own_index().0).unwrap()]).unwrap();
    let tablet = town.groups[ADAS_TABLET].process(&part(ADAS_TABLET), None).unwrap().group;
    let next = town.groups[0].process(&part(0), Some(&made.fresh)).unwrap().group;
    let leave = |scope| commit(&next, &town.devices[0], vec![tablet.sign_leave(scope)], &[]).map(|_| ());
    assert_eq!(leave(LeaveScope::User).map_err(|error| error.kind()), Err(ErrorKind::NotAllowed));
    assert!(leave(LeaveScope::Device).is_ok());
}

#[test]
fn the_last_device_that_leaves_is_the_user_who_leaves() {
    let town = Town::new();
    let of_bob = [BOB, BOBS_TABLET].map(|leaf| town.groups[leaf].sign_leave(LeaveScope::Device));
    let both = commit(&town.groups[0], &town.devices[0], of_bob.to_vec(), &[]).unwrap();
    let next = town.groups[0].process(&both.envelope.split(&[0]).unwrap(), Some(&both.fresh)).unwrap().group;
    assert_eq!(next.state().users().len(), 1);
    assert_eq!(next.state().leaves().count(), 2);
    // One who has one device is not taken out by it.
    let alone =
        commit(&next, &town.devices[0], vec![Proposal::RemoveDevice(town.groups[ADAS_TABLET].own_index())], &[])
            .unwrap();
    let alone = next.process(&alone.envelope.split(&[0]).unwrap(), Some(&alone.fresh)).unwrap().group;
    let own = commit(&alone, &town.devices[0], vec![alone.sign_leave(LeaveScope::Device)], &[]);
    assert_eq!(own.unwrap_err().kind(), ErrorKind::NotAllowed);
}

#[test]
fn a_leaf_is_replaced_only_by_a_later_one_of_the_same_device() {
    let town = Town::new();
    let replace = |leaf, device: &Device, not_before| town.replace(leaf, &device.package(not_before, 77).0).map(|_| ());
    assert_eq!(replace(BOB, &town.devices[BOB], NOW), Ok(()));
    assert_eq!(replace(ADAS_TABLET, &town.devices[ADAS_TABLET], NOW), Ok(()));

    let refused = Err(ErrorKind::NotAllowed);
    assert_eq!(replace(BOB, &town.devices[BOBS_TABLET], NOW), refused);
    assert_eq!(replace(BOB, &town.devices[BOB], Timestamp(NOW.0 - 1)), refused);
    assert_eq!(replace(0, &town.devices[0], NOW), refused);
    let like_bobs = |name, identity: &IdentityKey, serial| Device::new(&town.app, name, identity, (1, serial));
    assert_eq!(replace(BOB, &like_bobs("bob", &town.bob, 5), NOW), Ok(()));
    assert_eq!(replace(BOB, &like_bobs("bob", &town.bob, 4), NOW), refused);
    assert_eq!(replace(BOB, &like_bobs("carol", &town.bob, 5), NOW), refused);
    assert_eq!(replace(BOB, &like_bobs("bob", &IdentityKey::generate(&mut rng(9)), 5), NOW), refused);
}

#[test]
fn a_request_to_be_readmitted_holds_for_a_day_and_comes_of_no_older_a_leaf() {
    let town = Town::new();
    let (group, bob) = (&town.groups[0], &town.devices[BOB]);
    let request = |not_before| {
        let (package, _) = bob.package(not_before, 77);
        town.groups[BOB].request_to_rejoin(&package, &bob.key).unwrap()
    };
    let verify =
        |not_before, now| request(not_before).verify(group.state(), now).map(|_| ()).map_err(|error| error.kind());
    let (day, over) = (Timestamp(NOW.0 + limits::REQUEST_LIFETIME), Err(ErrorKind::Expired));
    assert_eq!((verify(NOW, NOW), verify(NOW, day)), (Ok(()), Ok(())));
    assert_eq!(verify(NOW, Timestamp(day.0 + 1)), over);
    assert_eq!(verify(Timestamp(NOW.0 - 1), NOW), over);
    // Clocks may be an hour apart.
    assert_eq!(verify(NOW.after(limits::CLOCK_SKEW), NOW), Ok(()));
    assert_eq!(verify(NOW.after(limits::CLOCK_SKEW + 1), NOW), over);

    // It is for this group, and by this user's identity.
    let (package, _) = bob.package(NOW, 77);
    let policy = App::policy(&[&town.app]).unwrap();
    let other = Group::create(bob.actor(), policy, GroupInfo::default(), NOW, &mut rng(70)).unwrap().group;
    let request_there = other.request_to_rejoin(&package, &bob.key).unwrap();
    assert_eq!(request_there.verify(group.state(), NOW).unwrap_err().kind(), ErrorKind::NotAllowed);
    let namesake = Device::new(&town.app, "bob", &IdentityKey::generate(&mut rng(9)), (1, 5));
    let request_of_his = town.groups[BOB].request_to_rejoin(&namesake.package(NOW, 77).0, &namesake.key).unwrap();
    assert_eq!(request_of_his.verify(group.state(), NOW).unwrap_err().kind(), ErrorKind::NotAllowed);

    // A commit is held to the same.
    let replace = request(NOW).proposal(group.state()).unwrap();
    let commit_at = |time| {
        let init_keys = BTreeMap::from([(package.id(), package.init_key().clone())]);
        let occasion = Occasion { time, seen: [0; 32] };
        let made = group.commit(vec![replace.clone()], &init_keys, occasion, town.devices[0].actor(), &mut rng(60));
        made.map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!((commit_at(day), commit_at(Timestamp(day.0 + 1))), (Ok(()), over));
}

#[test]
fn after_a_device_is_taken_out_a_further_one_needs_a_later_certificate() {
    let town = Town::new();
    let (group, ada) = (&town.groups[0], &town.devices[0]);
    let removed = Proposal::RemoveDevice(town.groups[ADAS_TABLET].own_index());
    let made = commit(group, ada, vec![removed], &[]).unwrap();
    let group = group.process(&made.envelope.split(&[0]).unwrap(), Some(&made.fresh)).unwrap().group;
    let add = |serial| {
        let device = Device::new(&town.app, "ada", &town.ada, (7, serial));
        let (package, _) = device.package(NOW, 77);
        commit(&group, ada, adds(&[&package]), &[&package]).map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!((add(6), add(5)), (Ok(()), Err(ErrorKind::NotAllowed)));
}

#[test]
fn a_member_brings_in_what_the_policy_says_and_own_devices_always() {
    let mut town = Town::new();
    let device =
        |name, identity: &IdentityKey, seed| Device::new(&town.app, name, identity, (9, 5)).package(NOW, seed).0;
    let of_ada = device("ada", &town.ada, 80);
    let of_bob = device("bob", &town.bob, 81);
    let carol = device("carol", &IdentityKey::generate(&mut rng(20)), 82);
    let dave = device("dave", &IdentityKey::generate(&mut rng(21)), 83);
    let bob_adds = |town: &Town, package: &KeyPackage| {
        let made = commit(&town.groups[BOB], &town.devices[BOB], adds(&[package]), &[package]);
        made.map(|_| ()).map_err(|error| error.kind())
    };
    let refused = Err(ErrorKind::NotAllowed);

    let mut policy = town.groups[0].state().policy().clone();
    policy.add = Role::Admin;
    town.happens(vec![Proposal::Policy(policy.clone())], &[]);
    assert_eq!(
        (bob_adds(&town, &of_bob), bob_adds(&town, &of_ada), bob_adds(&town, &carol)),
        (Ok(()), refused, refused)
    );

    // Members may add now, but nobody whom an admin took out; once let in again by one, Carol is barred no more. Dave is.
    policy.add = Role::Member;
    town.happens(vec![Proposal::Policy(policy)], &[]);
    assert_eq!((bob_adds(&town, &of_ada), bob_adds(&town, &carol)), (Ok(()), Ok(())));
    town.happens(adds(&[&carol, &dave]), &[&carol, &dave]);
    let users = [&carol, &dave].map(|package| Proposal::Remove(package.leaf().user().clone()));
    town.happens(users.to_vec(), &[]);
    assert_eq!((bob_adds(&town, &carol), bob_adds(&town, &dave)), (refused, refused));
    town.happens(adds(&[&carol]), &[&carol]);
    assert_eq!(bob_adds(&town, &dave), refused);
}

#[test]
fn two_new_leaves_do_not_have_the_same_two_keys() {
    let town = Town::new();
    let devices = [(20, "carol"), (21, "dave")]
        .map(|(seed, name)| Device::new(&town.app, name, &IdentityKey::generate(&mut rng(seed)), (9, 5)));
    let add = |seeds: [u64; 2]| {
        let [(carol, _), (dave, _)] = [0, 1].map(|n| devices[n].package(NOW, seeds[n]));
        let both = [&carol, &dave];
        commit(&town.groups[0], &town.devices[0], adds(&both), &both).map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!((add([90, 91]), add([90, 90])), (Ok(()), Err(ErrorKind::NotAllowed)));
}

#[test]
fn what_a_group_says_of_itself_is_what_was_said() {
    let info = GroupInfo::new("Trip", "Rome in May").unwrap();
    assert_eq!((info.name(), info.description()), ("Trip", "Rome in May"));
    let roles = [Role::Reader, Role::Member, Role::Admin, Role::Owner].map(|role| role.to_string());
    assert_eq!(roles, ["reader", "member", "admin", "owner"]);
}
