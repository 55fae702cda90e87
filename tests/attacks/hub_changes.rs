//! Row 3: a hub that would change the group itself.

use convivio::LeafIndex;
use convivio::client::Change;
use convivio::group::Role;
use convivio::log::EntryBody;

use crate::kit::cbor::array;
use crate::kit::hub::{entry, parts};
use crate::kit::scene::{ANNA, BOB, MARIA, void};
use crate::kit::{Insider, Scene, Thief, Value};
use crate::support::{Device, agree};

/// All that the hub knows or can guess of a group: the state, which we give it whole, and no secret. It draws its own.
fn hub_as_member(scene: &mut Scene) -> Insider {
    let mut eve = scene.world.device("eve");
    let eves = scene.world.group(&mut eve, &mut []);
    let mut hub = Insider::of(&eve, &eves);
    hub.state = Thief::of(&scene.maria).state(&scene.id);
    hub.seen = Thief::of(&scene.maria).seen(&scene.id).0;
    hub.keys.own = MARIA;
    (hub.keys.signing, hub.keys.init) = (hub.random(), hub.random());
    hub
}

/// The same change by Maria, who may make it, is taken by everyone: on copies of their disks.
fn control(scene: &mut Scene, plan: &crate::kit::commit::Plan) {
    let owner = Insider::of(&scene.maria, &scene.id);
    let mut honest = Insider::of(&scene.maria, &scene.id).plan(plan.proposals.clone());
    let fresh = honest.next.leaf(MARIA).unwrap().to_vec();
    (honest.next, honest.opened) = (plan.next.clone(), plan.opened.clone());
    honest.next.set_leaf(MARIA, fresh);
    let forged = honest.seal();
    for (device, leaf) in [(&scene.bob, BOB), (&scene.anna, ANNA)] {
        let part = forged.envelope().split(&[leaf as u8]).unwrap();
        let next = Insider::of(device, &scene.id).group().process(&part, None).unwrap().group;
        assert_eq!(next.state().epoch().0, owner.state.epoch + 1);
    }
}

fn users(device: &mut Device, id: &convivio::GroupId) -> Vec<(String, Role)> {
    let view = device.client.group(id).unwrap();
    view.state().users().map(|(uri, user)| (uri.as_str().to_owned(), user.role)).collect()
}

#[test]
fn row_03_the_hub_adds_a_member() {
    let mut scene = Scene::new();
    let mut hub = hub_as_member(&mut scene);
    let mut plan = hub.adding(&scene.world.device("spy").package());
    control(&mut scene, &plan);
    let before = users(&mut scene.maria, &scene.id);
    // In the owner's name and in each other's, and by the spy itself, as one more line of the roster would have it.
    for sender in 0..6 {
        plan.sender = sender;
        let forged = plan.seal();
        for (leaf, device) in
            [(0, &mut scene.maria), (1, &mut scene.bob), (2, &mut scene.anna), (3, &mut scene.mallory)]
        {
            void(&scene.hub, device, forged.entry(leaf));
        }
    }
    scene.goes_on();
    let id = scene.id;
    for device in scene.honest() {
        assert_eq!(users(device, &id), before);
    }
}

#[test]
fn row_03_the_hub_changes_a_role() {
    let mut scene = Scene::new();
    let mut hub = hub_as_member(&mut scene);
    let mallory = scene.mallory.user.clone();
    let mut plan = hub.plan(vec![array![7, mallory.as_str(), 3]]);
    let place = plan.next.users.iter_mut().find(|user| user.items()[0].text() == mallory.as_str()).unwrap();
    *place.item(2) = Value::Int(3);
    control(&mut scene, &plan);
    let forged = plan.seal();
    for (leaf, device) in [(0, &mut scene.maria), (1, &mut scene.bob), (2, &mut scene.anna), (3, &mut scene.mallory)] {
        void(&scene.hub, device, forged.entry(leaf));
    }
    scene.goes_on();
}

/// A real commit that gives someone a lesser role: user and role are in the sealed body.
#[test]
fn row_03_the_hub_edits_the_role_in_a_real_commit() {
    let mut scene = Scene::new();
    let mallory = scene.mallory.user.clone();
    let anna = scene.anna.user.clone();
    scene.maria.client.change(&scene.id, Change::Role(anna.clone(), Role::Admin)).unwrap();
    let post = scene.hub.collect(&mut scene.maria).remove(0);
    let (header, stanza, body) = parts(&entry(&post, LeafIndex(BOB)));
    for at in 0..body.len() {
        let mut body = body.clone();
        body[at] ^= 2 ^ 3;
        let edited = EntryBody::Commit { header: header.clone(), stanza: stanza.clone(), body };
        void(&scene.hub, &mut scene.bob, edited);
    }
    scene.show_all(&post);
    let id = scene.id;
    for device in scene.all() {
        assert_eq!((device.role(&id, &anna), device.role(&id, &mallory)), (Role::Admin, Role::Member));
    }
    scene.goes_on();
}

/// Mallory was an admin once. The hub has kept the commit that made it so, and shows it again when that is over: as it
/// was, with the header of the present epoch, and to who was not there.
#[test]
fn row_03_the_hub_replays_an_old_commit() {
    let mut scene = Scene::new();
    let (id, mallory) = (scene.id, scene.mallory.user.clone());
    let mut commits = Vec::new();
    for role in [Role::Admin, Role::Member] {
        scene.maria.client.change(&id, Change::Role(mallory.clone(), role)).unwrap();
        commits.push(scene.hub.collect(&mut scene.maria).remove(0));
        scene.show_all(commits.last().unwrap());
    }
    // A commit of the present epoch, which the hub holds back, has the header that fits.
    scene.maria.client.change(&id, Change::Heal).unwrap();
    let present = scene.hub.collect(&mut scene.maria).remove(0);
    let Scene { hub, bob, anna, .. } = &mut scene;
    for (leaf, device) in [(BOB, bob), (ANNA, anna)] {
        let old = entry(&commits[0], LeafIndex(leaf));
        let (old_header, old_stanza, old_body) = parts(&old);
        let (header, stanza, body) = parts(&entry(&present, LeafIndex(leaf)));
        for (header, stanza, body) in [
            (&old_header, &old_stanza, &old_body),
            (&header, &old_stanza, &old_body),
            (&header, &stanza, &old_body),
            (&header, &old_stanza, &body),
            (&with_epoch(&old_header, device.epoch(&id)), &old_stanza, &old_body),
        ] {
            let (header, stanza, body) = (header.clone(), stanza.clone(), body.clone());
            void(hub, device, EntryBody::Commit { header, stanza, body });
        }
        assert_eq!(device.role(&id, &mallory), Role::Member);
    }
    scene.show_all(&present);
    agree(&id, &mut [&mut scene.maria, &mut scene.bob]);
    scene.goes_on();
}

/// The header of a commit with another epoch in its clear part.
fn with_epoch(header: &[u8], epoch: u64) -> Vec<u8> {
    let mut header = Value::decode(header);
    let mut public = Value::decode(header.items()[5].bytes());
    *public.item(1) = Value::Int(epoch);
    *header.item(5) = public.encode().into();
    header.encode()
}
