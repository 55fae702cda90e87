//! The usual scene: Maria, who founded the group, Bob, Anna and Mallory, who is out for no good, and a hub.

use convivio::GroupId;
use convivio::client::{Change, EventKind, Status};
use convivio::group::RejoinRequest;
use convivio::log::{EntryBody, Post, PostBody};

use super::hub::commit_of;
use super::{Hub, Insider, Thief};
use crate::support::{Device, Records, World};

/// Leaf indices in a scene.
pub const MARIA: u32 = 0;
pub const BOB: u32 = 1;
pub const ANNA: u32 = 2;
pub const MALLORY: u32 = 3;

/// Four members of one group; each has read everything, and nothing waits.
pub struct Scene {
    pub world: World,
    pub hub: Hub,
    pub id: GroupId,
    pub maria: Device,
    pub bob: Device,
    pub anna: Device,
    pub mallory: Device,
}

impl Scene {
    pub fn new() -> Self {
        let mut world = World::new();
        let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
        let (mut anna, mut mallory) = (world.device("anna"), world.device_of(1, "mallory"));
        let id = world.group(&mut maria, &mut [&mut bob, &mut anna, &mut mallory]);
        world.quiet(&mut [&mut maria, &mut bob, &mut anna, &mut mallory]);
        let mut scene = Self { world, hub: Hub::of(id), id, maria, bob, anna, mallory };
        let indices: Vec<u32> =
            scene.all().into_iter().map(|device| device.client.group(&id).unwrap().own_index().0).collect();
        assert_eq!(indices, [MARIA, BOB, ANNA, MALLORY]);
        scene.all().into_iter().for_each(|device| drop(device.news()));
        scene
    }

    /// Everyone.
    pub fn all(&mut self) -> [&mut Device; 4] {
        [&mut self.maria, &mut self.bob, &mut self.anna, &mut self.mallory]
    }

    /// Everyone but Mallory.
    pub fn honest(&mut self) -> [&mut Device; 3] {
        [&mut self.maria, &mut self.bob, &mut self.anna]
    }

    /// Shows everyone a post, as an honest hub does.
    pub fn show_all(&mut self, post: &Post) {
        let Self { hub, maria, bob, anna, mallory, .. } = self;
        [maria, bob, anna, mallory].into_iter().for_each(|device| hub.show_post(device, post));
    }

    /// What Mallory holds now.
    pub fn insider(&self) -> Insider {
        Insider::of(&self.mallory, &self.id)
    }

    /// What Mallory would hold with the secrets of another member's store.
    pub fn as_thief_of(&self, device: &Device) -> Insider {
        Insider::from_loot(&Thief::of(device), &self.id)
    }

    /// The honest members go on: all posts in one order, everyone says something, everyone hears everyone, and all agree.
    pub fn goes_on(&mut self) {
        let Self { hub, id, maria, bob, anna, .. } = self;
        go_on(hub, id, &mut [maria, bob, anna]);
    }
}

/// These devices talk through the hub: each is heard by all others, and all hold the same group.
pub fn go_on(hub: &mut Hub, id: &GroupId, devices: &mut [&mut Device]) {
    hub.calm(devices);
    let before: Vec<usize> = devices.iter().map(|device| device.heard().len()).collect();
    for device in devices.iter_mut() {
        device.say(id, "on we go");
    }
    hub.calm(devices);
    for (device, before) in devices.iter().zip(before) {
        assert_eq!(device.heard().len(), before + devices.len() - 1, "{} does not hear everyone", device.user);
    }
    crate::support::agree(id, devices);
}

/// What a device was last asked to readmit.
pub fn asked(by: &mut Device) -> Option<Box<RejoinRequest>> {
    by.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    })
}

/// A device asks to be put back, one member does so, and the others see it. The request and the commit.
pub fn readmit(
    hub: &mut Hub,
    id: &GroupId,
    who: &mut Device,
    by: &mut Device,
    others: &mut [&mut Device],
) -> [Post; 2] {
    who.client.change(id, Change::Rejoin).unwrap();
    let posts = hub.collect(who);
    let request = posts.into_iter().find(|post| matches!(post.body, PostBody::Request(_))).unwrap();
    by.news();
    hub.show_post(by, &request);
    let asked = asked(by).expect("nobody has asked");
    by.client.change(id, Change::Readmit(asked)).unwrap();
    let commit = hub.collect_one(by).unwrap();
    hub.show_post(by, &commit);
    others.iter_mut().for_each(|device| hub.show_post(device, &commit));
    let (readmission, welcome) = commit_of(&commit);
    hub.show_welcome(who, readmission, welcome.unwrap());
    assert!(who.news().iter().any(|what| matches!(what, EventKind::Rejoined { .. })));
    [request, commit]
}

/// A device of the same user on a copy of the disk: what would happen, without its happening.
pub fn copy_of(world: &mut World, device: &Device) -> Device {
    let mut copy = world.device("unused");
    copy.open(device.disk.copy());
    copy
}

/// The tags of the records that differ.
pub fn changed(before: &Records, after: &Records) -> Vec<u8> {
    let names = before.keys().chain(after.keys());
    let mut tags: Vec<u8> = names.filter(|name| before.get(*name) != after.get(*name)).map(|name| name[0]).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// What may change by an entry that counts for nothing: the store's version, the count of events, the place in the log.
pub const COUNTED: [u8; 3] = [0, 2, 19];

/// Shows an entry that must count for nothing: it is reported as void, and no other record than the place in the log
/// (with the doubt) changes. Gives what the device was told besides.
pub fn void(hub: &Hub, to: &mut Device, body: EntryBody) -> Vec<EventKind> {
    to.news();
    let before = to.disk.records();
    hub.show(to, body);
    let tags = changed(&before, &to.disk.records());
    assert!(tags.iter().all(|tag| COUNTED.contains(tag)), "{}: records {tags:?} changed", to.user);
    let mut news = to.news();
    let count = news.len();
    news.retain(|what| !matches!(what, EventKind::Void { entries: 1 }));
    assert_eq!(news.len() + 1, count, "{}: not void, but {news:?}", to.user);
    news
}

/// The same, for an entry that does not even raise a doubt.
pub fn void_without_doubt(hub: &Hub, id: &GroupId, to: &mut Device, body: EntryBody) {
    assert_eq!(void(hub, to, body), [], "{}", to.user);
    assert_eq!(to.status(id), Status::Active);
}

#[test]
fn a_scene_goes_on() {
    let mut scene = Scene::new();
    scene.goes_on();
    let Scene { hub, id, bob, .. } = &mut scene;
    void_without_doubt(hub, id, bob, EntryBody::Message(vec![0; 200]));
}
