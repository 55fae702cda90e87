//! Coming back as a user lives it: an old copy restored, a phone lost, everything lost.

mod support;

use convivio::ErrorKind;
use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::{Effect, InviteLink, JoinRequest};
use convivio::identity::IdentityKey;
use convivio::testing::App;
use rand::SeedableRng as _;
use support::*;

fn asked(device: &mut Device) -> Box<JoinRequest> {
    let asked = |what| if let EventKind::JoinRequested { request, .. } = what { Some(request) } else { None };
    device.news().into_iter().find_map(asked).unwrap()
}

fn ask(world: &mut World, device: &mut Device, link: &InviteLink, maria: &mut Device) -> Box<JoinRequest> {
    device.client.ask_to_join(link).unwrap();
    world.sync(device);
    world.sync(maria);
    asked(maria)
}

#[test]
fn an_old_copy_is_noticed_asks_and_goes_on_where_it_was() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let backup = bob.disk.copy();
    bob.say(&group, "one");
    world.quiet(&mut [&mut bob, &mut maria]);
    // Bob's computer is put back to yesterday's copy.
    bob.open(backup);
    world.sync(&mut bob);
    assert_eq!(bob.status(&group), Status::RolledBack);
    assert!(bob.news().contains(&EventKind::RolledBack));
    assert_eq!(EventKind::RolledBack.next_step(), Some("ask to be readmitted: change(group, Change::Rejoin)"));
    assert_eq!(bob.client.send(&group, b"lost?").unwrap_err().kind(), ErrorKind::NotMember);
    // One tap: ask. Another, at Maria's: let back in.
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(&mut bob);
    world.sync(&mut maria);
    let news = maria.news();
    let request = news.into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { user, request, .. } if user == bob.user => Some(request),
        _ => None,
    });
    maria.client.change(&group, Change::Readmit(request.unwrap())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.news(), [EventKind::Rejoined { by: maria.user.clone() }]);
    assert!(matches!(&maria.effects()[..], [Effect::Rejoined(user, _)] if *user == bob.user));
    bob.say(&group, "two");
    world.quiet(&mut [&mut bob, &mut maria]);
    let said: Vec<String> = maria.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["one", "two"]);
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn a_lost_phone_is_replaced_by_asking_as_the_same_user_and_taken_out() {
    let mut world = World::new();
    let (mut maria, mut old) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut old]);
    world.quiet(&mut [&mut maria, &mut old]);
    let lost = old.client.identity().unwrap().device();
    // A new phone under the same identity key, and the link from the family's chat.
    let mut new = world.device_of(1, "bob");
    let link = maria.client.open_link(&group, "", DAY).unwrap().0;
    world.sync(&mut maria);
    let request = ask(&mut world, &mut new, &link, &mut maria);
    let known = maria.client.group(&group).unwrap().state().user(&old.user).unwrap().identity.clone();
    assert_eq!(*request.package().leaf().claims().identity_key(), known, "the same Bob");
    maria.client.change(&group, Change::Admit(request)).unwrap();
    world.sync(&mut maria);
    world.sync(&mut new);
    assert_eq!(new.status(&group), Status::Active);
    new.client.change(&group, Change::RemoveDevice(lost)).unwrap();
    world.quiet(&mut [&mut new, &mut maria, &mut old]);
    assert_eq!(old.status(&group), Status::Removed);
    assert_eq!(maria.client.group(&group).unwrap().devices(&new.user).count(), 1);
    assert!(!maria.news().iter().any(|what| matches!(what, EventKind::IdentityChanged { .. })));
    agree(&group, &mut [&mut maria, &mut new]);
}

/// With the identity key lost, too, Bob is someone new under his old name: everyone is told, and an admin decides.
#[test]
fn who_lost_everything_comes_back_as_someone_to_be_verified_again() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let link = maria.client.open_link(&group, "", DAY).unwrap().0;
    world.quiet(&mut [&mut maria, &mut anna]);
    let mut new = newcomer(&mut world, &bob);
    let request = ask(&mut world, &mut new, &link, &mut maria);
    // Not as one more device: it is another identity.
    assert_eq!(maria.refused(&group, Change::Admit(request.clone())), ErrorKind::NotAllowed);
    // Maria has called him. The old Bob is removed, and the new one let in.
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(&mut maria);
    maria.client.change(&group, Change::Admit(request)).unwrap();
    [&mut maria, &mut anna].into_iter().for_each(|device| drop(device.news()));
    world.quiet(&mut [&mut maria, &mut anna, &mut new]);
    assert_eq!(new.status(&group), Status::Active);
    for device in [&mut maria, &mut anna] {
        let told = device.news();
        let changed = |what: &EventKind| matches!(what, EventKind::IdentityChanged { user, .. } if *user == bob.user);
        assert!(told.iter().any(changed), "{told:?}");
    }
    new.say(&group, "me again");
    world.quiet(&mut [&mut new, &mut maria, &mut anna]);
    assert_eq!(anna.heard().last().unwrap().1, "me again");
    agree(&group, &mut [&mut maria, &mut anna, &mut new]);
}

/// A device of a user of this name with an identity key that nobody has seen.
fn newcomer(world: &mut World, like: &Device) -> Device {
    let mut rng = rand::rngs::StdRng::seed_from_u64(99);
    let app: &App = &world.courier;
    let keys = app.enrol_device(like.user.name(), &IdentityKey::generate(&mut rng), 1, &mut rng).unwrap();
    world.start(like.user.clone(), keys)
}

/// Consent comes before anything is shown, whoever adds.
#[test]
fn who_was_removed_by_mistake_and_is_added_again_is_asked_again() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.forget(&group).unwrap();
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    maria.say(&group, "sorry!");
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((bob.status(&group), bob.heard()), (Status::Invited, vec![]));
    bob.client.answer(&group, Answer::Accept).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(bob.heard(), [("maria".to_owned(), "sorry!".to_owned())]);
}
