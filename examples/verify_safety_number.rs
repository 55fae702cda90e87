//! Maria makes sure of Bob, his app puts somebody else in his place, and her app notices.

mod qr;

use std::io::{self, Write};

use convivio::client::{Answer, Change, Verification};
use convivio::group::{GroupComparison, GroupInfo};
use convivio::identity::{QrComparison, UnverifiedKeyPackage};
use convivio::testing::{App, LocalHub};
use convivio::{Client, GroupId, Result};

fn main() -> Result<()> {
    run(&mut io::stdout())
}

/// Plays it, and writes what the people see.
pub(crate) fn run(out: &mut dyn Write) -> Result<()> {
    let mut say = |text: &str| drop(writeln!(out, "{text}"));
    let (photos, courier) = (App::new("photos.example")?, App::new("courier.example")?);
    let (mut maria, mut bob, mut hub) = (photos.client("maria")?, courier.client("bob")?, LocalHub::new());
    let group = maria.create_group(App::policy(&[&photos, &courier])?, GroupInfo::new("Wedding", "")?)?;
    add(&mut hub, &group, &mut maria, &mut bob)?;
    let (marias_name, bobs_name) = (maria.identity()?.user().clone(), bob.identity()?.user().clone());
    say(&format!("Bob is in Maria's group: {}", shown(maria.verification(&bobs_name)?)));

    say("\nThey meet. Both phones show the same safety number:\n");
    let (marias, bobs) =
        (maria.group(&group)?.safety_number(&bobs_name)?, bob.group(&group)?.safety_number(&marias_name)?);
    say(&format!("  maria: {marias}\n  bob:   {bobs}\n"));
    say("Maria scans the code that Bob's phone shows:\n");
    say(&qr::code(&bobs.qr()));
    match maria.verify_user(&group, &bobs_name, &bobs.qr())? {
        QrComparison::Match => say("It matches: nobody sits between them."),
        QrComparison::Mismatch => say("It does not match!"),
        QrComparison::OtherUsers => say("That is the code of another chat."),
    }
    say(&format!("Bob, from now on: {}", shown(maria.verification(&bobs_name)?)));

    say("\nThe whole group compares its number, here two of its members:\n");
    let (ours, theirs) = (maria.group(&group)?.authenticator_digits()?, bob.group(&group)?.authenticator_digits()?);
    say(&format!("  maria: {ours}\n  bob:   {theirs}\n"));
    match ours.compare_qr(&theirs.qr())? {
        GroupComparison::Match => say("Equal: both see the same members and the same history."),
        other => say(&format!("{other:?}")),
    }

    say("\nBob is removed, and added again. But his app vouches for a stranger's key in his name:");
    maria.change(&group, Change::Remove(bobs_name.clone()))?;
    hub.sync(&mut maria)?;
    let mut stranger = courier.client("bob")?;
    maria.change(&group, Change::Add(publish(&mut stranger)?))?;
    let alarm = hub.sync(&mut maria)?.into_iter().find_map(|event| event.what.next_step());
    say(&format!("Maria's app: {}.", alarm.unwrap_or("nothing to do")));
    say(&format!("Bob: {}", shown(maria.verification(&bobs_name)?)));
    let scanned = bobs.qr();
    let result = maria.verify_user(&group, &bobs_name, &scanned)?;
    say(&format!("The true Bob's code, scanned again in this group: {result:?}"));
    Ok(())
}

fn shown(verification: Verification) -> String {
    match verification {
        Verification::Unknown => "not met yet".to_owned(),
        Verification::Pinned => "known, not verified".to_owned(),
        Verification::Verified => "verified ✔".to_owned(),
        Verification::Changed { was_verified, groups } => {
            let before = if was_verified { "verified" } else { "known" };
            format!("⚠ another identity key than the one that was {before}, in {} group(s)", groups.len())
        }
        _ => "ask for a newer app".to_owned(),
    }
}

fn add(hub: &mut LocalHub, group: &GroupId, by: &mut Client, other: &mut Client) -> Result<()> {
    by.change(group, Change::Add(publish(other)?))?;
    hub.sync(by)?;
    hub.sync(other)?;
    other.answer(group, Answer::Accept)?;
    hub.sync(other)?;
    hub.sync(by).map(drop)
}

/// A key package of a device, by way of its app's directory.
fn publish(device: &mut Client) -> Result<Vec<UnverifiedKeyPackage>> {
    let package = device.key_packages(1)?.remove(0);
    Ok(vec![UnverifiedKeyPackage::from_bytes(&package.to_bytes())?])
}
