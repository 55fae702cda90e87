//! A device is closed and opened again after every single step, and goes on as if nothing had happened.

#![cfg(feature = "redb")]

use std::path::PathBuf;

use convivio::client::{Answer, Event, EventKind, Status};
use convivio::group::GroupInfo;
use convivio::identity::{KeyPackage, UnverifiedKeyPackage};
use convivio::log::{LogEntry, Post, PostBody, PostReply};
use convivio::store::{RedbStore, SealedStore, Store, StoreKey};
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, GroupId};

/// A device in a file.
struct Device {
    path: PathBuf,
    sealed: bool,
    client: Option<Client>,
}

impl Device {
    fn new(app: &App, name: &str, directory: &tempfile::TempDir, sealed: bool) -> Self {
        let path = directory.path().join(name);
        drop(RedbStore::create(&path).unwrap());
        let mut device = Self { path, sealed, client: None };
        device.client = Some(Client::create(device.store(), app.enrol(name).unwrap()).unwrap());
        device
    }

    fn store(&self) -> Box<dyn Store> {
        let file = RedbStore::open(&self.path).unwrap();
        if self.sealed {
            Box::new(SealedStore::open_or_create(file, StoreKey::from_bytes(&mut [7; 32])).unwrap())
        } else {
            Box::new(file)
        }
    }

    /// Closes and opens it, and checks that all that can be seen is as before.
    fn restart(&mut self) {
        let before = self.fingerprint();
        self.client = None;
        self.client = Some(Client::open(self.store()).unwrap());
        assert_eq!(self.fingerprint(), before);
    }

    fn fingerprint(&mut self) -> Vec<String> {
        let client = self.client.as_mut().unwrap();
        let mut seen = vec![format!("{:?}", client.identity().unwrap())];
        seen.push(format!("{:?} {:?}", client.inbox(usize::MAX).unwrap(), client.package_ids().unwrap()));
        seen.push(format!("{:?}", client.subscriptions().unwrap()));
        for group in client.groups().unwrap() {
            let view = client.group(&group).unwrap();
            let place = (view.status(), view.own_index(), view.next_entry(), view.queued());
            seen.push(format!("{place:?} {:?} {:?}", view.authenticator(), view.state().context_hash()));
            seen.push(format!("{:?}", view.export("test", b"").map(|secret| *secret.expose()).ok()));
        }
        seen
    }

    /// Runs one step between two restarts.
    fn step<T>(&mut self, f: impl FnOnce(&mut Client) -> T) -> T {
        let value = f(self.client.as_mut().unwrap());
        self.restart();
        value
    }

    /// Posts what is there and hears the answers; a device that restarts in between posts it again.
    fn post(&mut self, hub: &mut LocalHub, app: &App) {
        let first = self.step(|client| client.outbox(usize::MAX).unwrap());
        let client = self.client.as_mut().unwrap();
        let posts = client.outbox(usize::MAX).unwrap();
        assert_eq!(posts, first);
        for post in posts {
            let reply = hub.post(app.domain(), &post);
            client.posted(&post, reply).unwrap();
        }
        self.restart();
    }

    fn fetch(&mut self, hub: &mut LocalHub) -> Vec<Event> {
        let entries = hub.deliver(self.client.as_mut().unwrap()).unwrap();
        self.step(|client| client.receive(&entries).unwrap().0)
    }

    fn status(&mut self, group: &GroupId) -> Status {
        self.client.as_mut().unwrap().group(group).unwrap().status()
    }
}

struct Scene {
    app: App,
    hub: LocalHub,
    maria: Device,
    bob: Device,
    group: GroupId,
    _directory: tempfile::TempDir,
}

fn unverified(package: &KeyPackage) -> UnverifiedKeyPackage {
    package.try_into().unwrap()
}

fn scene(sealed: bool) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let (app, mut hub) = (App::new("photos.example").unwrap(), LocalHub::new());
    let mut maria = Device::new(&app, "maria", &directory, sealed);
    let mut bob = Device::new(&app, "bob", &directory, sealed);
    let policy = App::policy(&[&app]).unwrap();
    let group = maria.step(|client| client.create_group(policy, GroupInfo::new("Trip", "").unwrap()).unwrap());
    let package = bob.step(|client| client.key_packages(2).unwrap().remove(0));
    maria.step(|client| client.change(&group, Change::Add(vec![unverified(&package)])).unwrap());
    maria.post(&mut hub, &app);
    let events = maria.fetch(&mut hub);
    assert!(matches!(events[0].what, EventKind::Changed { intent: Some(_), .. }), "{events:?}");
    let events = bob.fetch(&mut hub);
    assert!(matches!(events[0].what, EventKind::Invitation { .. }), "{events:?}");
    assert_eq!(bob.status(&group), Status::Invited);
    assert_eq!(bob.step(|client| client.package_ids().unwrap().len()), 1, "the package that was used is gone");
    bob.step(|client| client.answer(&group, Answer::Accept).unwrap());
    Scene { app, hub, maria, bob, group, _directory: directory }
}

fn both_kinds(story: impl Fn(Scene)) {
    for sealed in [false, true] {
        story(scene(sealed));
    }
}

fn said(events: &[Event]) -> Vec<String> {
    let content = |event: &Event| match &event.what {
        EventKind::Message { content, .. } => Some(String::from_utf8(content.clone()).unwrap()),
        _ => None,
    };
    events.iter().filter_map(content).collect()
}

fn say(device: &mut Device, group: &GroupId, count: usize) -> Vec<Post> {
    for n in 0..count {
        device.step(|client| client.send(group, format!("message {n}").as_bytes()).unwrap());
    }
    device.step(|client| client.outbox(usize::MAX).unwrap())
}

#[test]
fn what_was_encrypted_is_posted_again_byte_by_byte() {
    both_kinds(|mut scene| {
        let posts = say(&mut scene.bob, &scene.group, 3);
        assert_eq!(scene.bob.step(|client| client.outbox(usize::MAX).unwrap()), posts);
        for post in &posts {
            assert_eq!(scene.hub.post(scene.app.domain(), post), PostReply::Accepted);
        }
        let logged = scene.hub.seen().len();
        // The answers were lost. Once more: the hub knows them.
        scene.bob.restart();
        scene.bob.post(&mut scene.hub, &scene.app);
        assert_eq!(scene.hub.seen().len(), logged);
        assert_eq!(said(&scene.maria.fetch(&mut scene.hub)), ["message 0", "message 1", "message 2"]);
        let own = scene.bob.fetch(&mut scene.hub);
        assert!(own.len() == 3 && own.iter().all(|event| matches!(event.what, EventKind::Sent { .. })), "{own:?}");
        assert!(scene.bob.step(|client| client.outbox(usize::MAX).unwrap()).is_empty());
    });
}

#[test]
fn a_commit_waits_for_its_return() {
    both_kinds(|mut scene| {
        let group = scene.group;
        let intent = scene.bob.step(|client| client.change(&group, Change::Heal).unwrap());
        scene.bob.step(|client| client.send(&group, b"after").unwrap());
        let posts = scene.bob.step(|client| client.outbox(usize::MAX).unwrap());
        assert!(matches!(&posts[..], [Post { body: PostBody::Commit { .. }, .. }]));
        assert_eq!(scene.bob.step(|client| client.outbox(usize::MAX).unwrap()), posts);
        scene.hub.post(scene.app.domain(), &posts[0]);
        scene.bob.restart();
        let events = scene.bob.fetch(&mut scene.hub);
        assert!(matches!(&events[0].what, EventKind::Changed { intent: Some(own), .. } if *own == intent));
        scene.bob.post(&mut scene.hub, &scene.app);
        assert_eq!(said(&scene.maria.fetch(&mut scene.hub)), ["after"]);
    });
}

#[test]
fn a_commit_that_lost_is_made_again() {
    both_kinds(|mut scene| {
        let group = scene.group;
        let info = GroupInfo::new("Journey", "").unwrap();
        scene.bob.step(|client| client.send(&group, b"before").unwrap());
        scene.maria.step(|client| client.change(&group, Change::Info(info)).unwrap());
        let lost = scene.maria.step(|client| client.outbox(usize::MAX).unwrap());
        let void = scene.bob.step(|client| client.outbox(usize::MAX).unwrap());
        scene.bob.step(|client| client.change(&group, Change::Heal).unwrap());
        let commit = scene.bob.step(|client| client.outbox(usize::MAX).unwrap()).pop().unwrap();
        assert!(matches!(commit.body, PostBody::Commit { .. }), "{commit:?}");
        assert_eq!(scene.hub.post(scene.app.domain(), &commit), PostReply::Accepted);
        for (device, post) in [(&mut scene.maria, lost.last().unwrap()), (&mut scene.bob, &void[0])] {
            assert_eq!(scene.hub.post(scene.app.domain(), post), PostReply::Behind);
            device.step(|client| client.posted(post, PostReply::Behind).unwrap());
        }
        for _ in 0..3 {
            for device in [&mut scene.maria, &mut scene.bob] {
                device.fetch(&mut scene.hub);
                device.post(&mut scene.hub, &scene.app);
            }
        }
        for device in [&mut scene.maria, &mut scene.bob] {
            let view = device.client.as_mut().unwrap().group(&group).unwrap();
            assert_eq!((view.state().info().name(), view.queued()), ("Journey", 0));
        }
        let inbox = scene.maria.step(|client| client.inbox(usize::MAX).unwrap());
        assert_eq!(said(&inbox), ["before"]);
    });
}

#[test]
fn the_inbox_keeps_what_is_not_acknowledged() {
    both_kinds(|mut scene| {
        let start = scene.maria.step(|client| client.inbox(usize::MAX).unwrap());
        scene.maria.step(|client| client.ack(start.last().unwrap().id).unwrap());
        say(&mut scene.bob, &scene.group, 4);
        scene.bob.post(&mut scene.hub, &scene.app);
        let events = scene.maria.fetch(&mut scene.hub);
        assert_eq!(events.len(), 4);
        assert_eq!(scene.maria.step(|client| client.inbox(usize::MAX).unwrap()), events);
        assert_eq!(scene.maria.step(|client| client.inbox(2).unwrap()), events[..2]);
        scene.maria.step(|client| client.ack(events[1].id).unwrap());
        assert_eq!(scene.maria.step(|client| client.inbox(usize::MAX).unwrap()), events[2..]);
        scene.maria.step(|client| client.ack(events[3].id).unwrap());
        scene.maria.step(|client| client.ack(events[1].id).unwrap());
        assert!(scene.maria.step(|client| client.inbox(usize::MAX).unwrap()).is_empty());
    });
}

#[test]
fn late_messages_can_be_read_after_a_restart() {
    both_kinds(|mut scene| {
        let posts = say(&mut scene.bob, &scene.group, 6);
        for n in [5, 1, 0, 4, 2, 3] {
            scene.hub.post(scene.app.domain(), &posts[n]);
        }
        let entries = scene.hub.deliver(scene.maria.client.as_mut().unwrap()).unwrap();
        let mut heard = Vec::new();
        for entry in &entries {
            let one = std::slice::from_ref(entry);
            heard.extend(said(&scene.maria.step(|client| client.receive(one).unwrap().0)));
            let (_, again) = scene.maria.step(|client| client.receive(&entries[..1]).unwrap());
            assert_eq!(again.duplicates, 1);
        }
        assert_eq!(heard, [5, 1, 0, 4, 2, 3].map(|n| format!("message {n}")));
    });
}

#[test]
fn a_welcome_is_answered_once_in_the_life_of_a_last_resort_package() {
    both_kinds(|mut scene| {
        let (app, hub) = (&scene.app, &mut scene.hub);
        let package = scene.bob.step(|client| client.last_resort_package().unwrap());
        let policy = App::policy(&[app]).unwrap();
        let info = GroupInfo::new("Other", "").unwrap();
        let other = scene.maria.step(|client| client.create_group(policy, info).unwrap());
        scene.maria.step(|client| client.change(&other, Change::Add(vec![unverified(&package)])).unwrap());
        scene.maria.post(hub, app);
        let entries: Vec<LogEntry> = hub.welcomes(&[package.id()]);
        let (events, _) = scene.bob.step(|client| client.receive(&entries).unwrap());
        assert!(matches!(events[0].what, EventKind::Invitation { .. }));
        scene.bob.step(|client| client.forget(&other).unwrap());
        assert!(scene.bob.step(|client| client.package_ids().unwrap()).contains(&package.id()), "it may be used again");
        scene.bob.step(|client| client.receive(&entries).unwrap());
        assert!(!scene.bob.step(|client| client.groups().unwrap()).contains(&other), "a replay is no invitation");
    });
}

#[test]
fn leaving_and_being_taken_out_are_remembered() {
    both_kinds(|mut scene| {
        let group = scene.group;
        scene.bob.step(|client| client.change(&group, Change::Leave).unwrap());
        assert_eq!(scene.bob.status(&group), Status::Leaving);
        assert!(scene.bob.step(|client| client.send(&group, b"no")).is_err());
        scene.bob.post(&mut scene.hub, &scene.app);
        scene.maria.fetch(&mut scene.hub);
        let bob = scene.app.user("bob").unwrap();
        // Not waiting for the turn to commit the leave.
        scene.maria.step(|client| client.change(&group, Change::Remove(bob)).unwrap());
        scene.maria.post(&mut scene.hub, &scene.app);
        scene.maria.fetch(&mut scene.hub);
        scene.bob.fetch(&mut scene.hub);
        assert_eq!(scene.bob.status(&group), Status::Removed);
        scene.bob.step(|client| client.forget(&group).unwrap());
        assert!(scene.bob.step(|client| client.groups().unwrap()).is_empty());
    });
}
