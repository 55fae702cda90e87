//! Row 10: real bytes, shown again.

use convivio::LeafIndex;
use convivio::client::{Answer, Change, EventKind, Status};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::{EntryBody, LogEntry, Post};

use crate::kit::hub::{commit_of, entry, parts};
use crate::kit::scene::{BOB, COUNTED, asked, changed, copy_of, readmit, void};
use crate::kit::{Hub, Scene};
use crate::support::{Device, World};

/// Everything that a busy group has in its log, as Bob gets it, after everyone has read it.
fn busy() -> (Scene, Vec<Post>) {
    let mut scene = Scene::new();
    let mut carol = scene.world.device("carol");
    let Scene { hub, id, maria, bob, anna, mallory, .. } = &mut scene;
    let mut everyone = [&mut *maria, bob, anna, mallory];
    for round in 0..2 {
        for device in &mut everyone {
            device.say(id, &format!("round {round}"));
        }
        hub.calm(&mut everyone);
        everyone[2].client.change(id, Change::Heal).unwrap();
        hub.calm(&mut everyone);
    }
    everyone[0].client.change(id, Change::Add(vec![carol.package()])).unwrap();
    everyone[0].say(id, "the last epoch");
    everyone[1].say(id, "this one, too");
    hub.calm(&mut everyone);
    let posts = hub.kept.clone();
    assert_eq!(posts.len(), 13);
    (scene, posts)
}

#[test]
fn row_10_replay_of_the_same_bytes_twice_and_across_a_restart() {
    let (mut scene, posts) = busy();
    let heard = scene.bob.heard().len();
    for restart in [false, true] {
        if restart {
            scene.bob.restart();
        }
        for post in posts.iter().chain(posts.iter().rev()) {
            scene.bob.news();
            let before = scene.bob.disk.records();
            let summary = scene.hub.show(&mut scene.bob, entry(post, LeafIndex(BOB)));
            let tags = changed(&before, &scene.bob.disk.records());
            assert!(tags.iter().all(|tag| COUNTED.contains(tag)), "{tags:?}");
            // A frame of this epoch that is known, our own and others', or what is void by now.
            let void = scene.bob.news() == [EventKind::Void { entries: 1 }];
            assert!(void || summary.duplicates == 1, "{summary:?}");
        }
    }
    // At their old numbers they are not even looked at.
    let numbered = |(seq, post)| LogEntry { group: scene.id, seq, body: entry(post, LeafIndex(BOB)) };
    let again: Vec<LogEntry> = (1..).zip(&posts).map(numbered).collect();
    let summary = scene.bob.receive(&again);
    assert_eq!((summary.duplicates as usize, scene.bob.news()), (posts.len(), vec![]));
    assert_eq!((scene.bob.heard().len(), scene.bob.status(&scene.id)), (heard, Status::Active));
    scene.goes_on();
}

/// Entries of one group are shown in another that the same people are in.
#[test]
fn row_10_replay_across_groups() {
    let (mut scene, posts) = busy();
    let Scene { world, maria, bob, anna, mallory, .. } = &mut scene;
    let second = world.group(maria, &mut [&mut *bob, anna, mallory]);
    let hub = Hub::of(second);
    for post in &posts {
        let news = void(&hub, bob, entry(post, LeafIndex(BOB)));
        let doubts = [EventKind::Excluded, EventKind::Removed, EventKind::ForkSuspected];
        assert!(news.iter().all(|what| doubts.contains(what)), "{news:?}");
    }
    assert_eq!(bob.epoch(&second), 1);
}

/// A request is answered once: shown again after the device came back, it asks for nothing.
#[test]
fn row_10_replay_of_a_request() {
    let mut scene = Scene::new();
    let id = scene.id;
    scene.maria.client.change(&id, Change::Heal).unwrap();
    let heal = scene.hub.collect(&mut scene.maria).remove(0);
    let Scene { world, hub, maria, bob, anna, .. } = &mut scene;
    [&mut *maria, &mut *anna].into_iter().for_each(|device| hub.show_post(device, &heal));
    let (header, _, body) = parts(&entry(&heal, LeafIndex(BOB)));
    hub.show(bob, EntryBody::Commit { header, stanza: None, body });
    let mut before = copy_of(world, maria);
    let [request, commit] = readmit(hub, &id, bob, maria, &mut [&mut *anna]);
    bob.say(&id, "back");
    hub.calm(&mut [&mut *maria, &mut *bob, &mut *anna]);
    for device in [maria, anna, bob] {
        for _ in 0..2 {
            assert_eq!(void(hub, device, entry(&request, LeafIndex(0))), []);
            device.restart();
        }
    }
    scene.hub.show_post(&mut before, &request);
    let refused = scene.maria.refused(&id, Change::Readmit(asked(&mut before).unwrap()));
    assert_eq!(refused, convivio::ErrorKind::Expired);
    // Nor does the welcome bring anyone back a second time.
    let before = scene.bob.disk.records();
    let (readmission, welcome) = commit_of(&commit);
    scene.hub.show_welcome(&mut scene.bob, readmission, welcome.unwrap());
    assert!(scene.bob.disk.records() == before);
    scene.goes_on();
}

fn show_welcome_to(
    group: convivio::GroupId,
    to: &mut Device,
    post: &Post,
    package: convivio::LeafHash,
) -> Vec<EventKind> {
    let (commit, welcome) = commit_of(post);
    let part = welcome.unwrap().split(package.as_bytes()).unwrap();
    let (commit_header, commit_body) = (commit.header().bytes().to_vec(), commit.body().to_vec());
    let body = EntryBody::Welcome { commit_header, commit_body, package, welcome: part };
    to.news();
    to.receive(&[LogEntry { group, seq: 1, body }]);
    to.news()
}

/// A welcome to a package that may be used more than once, and to one that may not.
#[test]
fn row_10_an_envelope_to_a_last_resort_key_is_never_acted_on_twice() {
    for last_resort in [true, false] {
        let mut world = World::new();
        let (mut maria, mut carol) = (world.device("maria"), world.device("carol"));
        let package = if last_resort {
            UnverifiedKeyPackage::try_from(&carol.client.last_resort_package().unwrap()).unwrap()
        } else {
            carol.package()
        };
        let invite = |world: &mut World, maria: &mut Device| {
            let group = world.group(maria, &mut []);
            maria.client.change(&group, Change::Add(vec![package.clone()])).unwrap();
            (group, Hub::of(group).collect(maria).remove(0))
        };
        let (group, post) = invite(&mut world, &mut maria);
        let invited = |news: &[EventKind]| matches!(news, [EventKind::Invitation { .. }]);
        assert!(invited(&show_welcome_to(group, &mut carol, &post, package.id())));
        for round in 0..3 {
            assert_eq!(show_welcome_to(group, &mut carol, &post, package.id()), []);
            match round {
                0 => carol.client.answer(&group, Answer::Accept).unwrap(),
                1 => carol.client.forget(&group).unwrap(),
                _ => (),
            }
            carol.restart();
            let before = carol.disk.records();
            assert_eq!(show_welcome_to(group, &mut carol, &post, package.id()), []);
            assert!(carol.disk.records() == before, "no trace");
        }
        assert_eq!(carol.client.groups().unwrap(), []);
        // Another welcome to the same package is another matter.
        let (other, post) = invite(&mut world, &mut maria);
        let news = show_welcome_to(other, &mut carol, &post, package.id());
        assert_eq!(invited(&news), last_resort);
    }
}
