//! Two people on two apps talk.

use convivio::client::{Answer, Change, EventKind};
use convivio::group::{GroupInfo, Role};
use convivio::testing::{App, LocalHub};

#[test]
fn two_apps_one_group() {
    let (photos, courier) = (App::new("photos.example").unwrap(), App::new("courier.example").unwrap());
    let (mut maria, mut bob) = (photos.client("maria").unwrap(), courier.client("bob").unwrap());
    let mut hub = LocalHub::new();
    let group =
        maria.create_group(App::policy(&[&photos, &courier]).unwrap(), GroupInfo::new("Trip", "").unwrap()).unwrap();
    let package = bob.key_packages(1).unwrap().remove(0);
    let package = convivio::identity::UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap();
    maria.change(&group, Change::Add(vec![package])).unwrap();
    let events = hub.sync(&mut maria).unwrap();
    assert!(matches!(&events[..], [e] if matches!(e.what, EventKind::Changed{..})), "{events:?}");
    let events = hub.sync(&mut bob).unwrap();
    assert!(matches!(&events[..], [e] if matches!(e.what, EventKind::Invitation{..})), "{events:?}");
    bob.answer(&group, Answer::Accept).unwrap();
    bob.send(&group, "ciao".as_bytes()).unwrap();
    maria.send(&group, "hello".as_bytes()).unwrap();
    let e = hub.sync(&mut bob).unwrap();
    assert!(matches!(&e[..], [e] if matches!(&e.what, EventKind::Sent { content, .. } if content == b"ciao")), "{e:?}");
    let e = hub.sync(&mut maria).unwrap();
    assert!(matches!(&e[0].what, EventKind::Message{content, role: Role::Member, ..} if content == b"ciao"), "{e:?}");
    let e = hub.sync(&mut bob).unwrap();
    assert!(matches!(&e[0].what, EventKind::Message{content, ..} if content == b"hello"), "{e:?}");
    assert_eq!(maria.group(&group).unwrap().authenticator(), bob.group(&group).unwrap().authenticator());
    maria.change(&group, Change::Remove(courier.user("bob").unwrap())).unwrap();
    hub.sync(&mut maria).unwrap();
    maria.send(&group, b"secret").unwrap();
    hub.sync(&mut maria).unwrap();
    let e = hub.sync(&mut bob).unwrap();
    assert!(matches!(&e[..], [e] if e.what == EventKind::Removed), "{e:?}");
}
