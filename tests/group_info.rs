//! What a group is called and shows: a name, a picture, how long messages stay.

mod support;

use convivio::ErrorKind;
use convivio::client::Change;
use convivio::content::External;
use convivio::group::{Effect, GroupInfo};
use support::*;

fn picture() -> External {
    External {
        media_type: "image/jpeg".to_owned(),
        url: "https://files.photos.example/1".to_owned(),
        expires: 0,
        size: 40_000,
        algorithm: 0xc001,
        key: vec![7; 32],
        nonce: Vec::new(),
        aad: Vec::new(),
        hash_algorithm: 1,
        hash: vec![8; 32],
        description: "The lake".to_owned(),
        filename: "lake.jpg".to_owned(),
    }
}

#[test]
fn everyone_sees_the_picture_and_the_default_for_disappearing_messages() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let info = GroupInfo::new("Trip", "Two days").unwrap().with_picture(Some(picture())).unwrap();
    let info = info.with_disappearing(7 * 24 * 3_600);
    maria.client.change(&group, Change::Info(info.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.effects().last(), Some(&Effect::Info(info.clone())));
    bob.restart();
    let seen = bob.client.group(&group).unwrap().state().info().clone();
    assert_eq!((seen.picture().unwrap().filename.as_str(), seen.disappearing()), ("lake.jpg", 604_800));
    assert_eq!((GroupInfo::from_bytes(&seen.to_bytes()).unwrap(), seen), (info.clone(), info.clone()));
    // The key of the picture is not printed.
    assert!(!format!("{info:?}").contains("7, 7, 7"));
    // And it is taken away again.
    maria.client.change(&group, Change::Info(info.with_picture(None).unwrap())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.client.group(&group).unwrap().state().info().picture(), None);
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn a_picture_is_bounded_and_hides_nothing() {
    let with = |change: &dyn Fn(&mut External)| {
        let mut picture = picture();
        change(&mut picture);
        GroupInfo::default().with_picture(Some(picture)).map_err(|error| error.kind())
    };
    assert!(with(&|_| ()).is_ok());
    for bad in ["a\u{202e}gpj.exe", "a\nb", "\u{2028}", "\u{61c}"] {
        assert_eq!(with(&|picture| bad.clone_into(&mut picture.filename)), Err(ErrorKind::Malformed));
        assert_eq!(with(&|picture| bad.clone_into(&mut picture.description)), Err(ErrorKind::Malformed));
        assert_eq!(GroupInfo::new(bad, "").unwrap_err().kind(), ErrorKind::Malformed);
    }
    assert_eq!(with(&|picture| picture.url = "x".repeat(2_049)), Err(ErrorKind::Limit));
    assert_eq!(with(&|picture| picture.key = vec![0; 65]), Err(ErrorKind::Limit));
    assert_eq!(with(&|picture| picture.filename = "x".repeat(256)), Err(ErrorKind::Limit));
}
