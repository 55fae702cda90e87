//! Bob links a laptop to his account, uses both, and loses the laptop.

mod qr;

use std::io::{self, Write};

use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::GroupInfo;
use convivio::identity::{IdentityKey, UnverifiedKeyPackage};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::store::MemoryStore;
use convivio::testing::{App, LocalHub};
use convivio::{Client, GroupId, Result, Timestamp};

fn main() -> Result<()> {
    run(&mut io::stdout())
}

/// Plays it, and writes what the people see.
pub(crate) fn run(out: &mut dyn Write) -> Result<()> {
    let mut say = |text: &str| drop(writeln!(out, "{text}"));
    let (photos, courier) = (App::new("photos.example")?, App::new("courier.example")?);
    let (mut hub, mut rng) = (LocalHub::new(), rand::rng());
    // Bob's phone is his first device, so his identity key is there.
    let identity = IdentityKey::generate(&mut rng);
    let mut maria = photos.client("maria")?;
    let mut phone = Client::create(MemoryStore::new(), courier.enrol_device("bob", &identity, 0, &mut rng)?)?;
    let mut groups = Vec::new();
    for name in ["Wedding", "Football", "Work"] {
        groups.push(group_of(&mut hub, name, (&photos, &courier), (&mut maria, &mut phone))?);
    }
    say("Bob's phone is in three groups with Maria: Wedding, Football, Work.\n");

    let laptop = NewDevice::begin(&mut rng);
    let shown = laptop.offer().to_secret_text();
    say("The laptop shows a code, for Bob's eyes only:\n");
    say(&qr::code(shown.as_bytes()));
    say("Bob scans it with his phone.");
    let offer = DeviceOffer::from_secret_text(&shown)?;
    say(&format!("phone:  Link device {} to your account? It will read and write as you.   [Link]", short(&offer)));
    let answering = Answering { serial: phone.next_serial()?, now: Timestamp::now(), transfer: Transfer::Stay };
    let answer = offer.answer(phone.identity()?, &identity, answering, &mut rng)?;
    say(&format!("        {} sealed bytes go to the laptop, through whoever is there.", answer.len()));

    let link = laptop.open(&answer, &App::trust(&[&courier])?, Timestamp::now())?;
    say(&format!("laptop: This becomes a device of {}. Is that you?   [Yes]\n", link.identity().user()));
    let (keys, _) = laptop.finish(link)?;
    let mut laptop = Client::create(MemoryStore::new(), keys)?;
    let lost = laptop.identity()?.device();

    let packages = publish(&mut laptop, 3)?;
    let added = phone.add_device(packages)?;
    say(&format!("The phone adds the laptop to {} groups.", added.len()));
    hub.sync(&mut phone)?;
    enter(&mut hub, &mut laptop)?;
    list(&mut phone, &mut say)?;

    maria.send(&groups[0], "See you at the church!".as_bytes())?;
    hub.sync(&mut maria)?;
    say(&format!(
        "\nMaria writes.  phone reads: {:?}  laptop reads: {:?}",
        read(&mut hub, &mut phone)?,
        read(&mut hub, &mut laptop)?
    ));
    laptop.send(&groups[1], "I will be late for the match".as_bytes())?;
    hub.sync(&mut laptop)?;
    say(&format!(
        "The laptop writes.  Maria reads: {:?}  phone reads: {:?}",
        read(&mut hub, &mut maria)?,
        read(&mut hub, &mut phone)?
    ));

    say("\nThe laptop is stolen. Bob revokes it on his phone:");
    let progress = |phone: &mut Client| Ok::<_, convivio::Error>(phone.revoked_devices()?.remove(0).remaining.len());
    phone.revoke_device(lost)?;
    say(&format!("phone:  still in {} groups …", progress(&mut phone)?));
    hub.sync(&mut phone)?;
    say(&format!("phone:  still in {} groups: done.", progress(&mut phone)?));
    list(&mut phone, &mut say)?;
    hub.sync(&mut maria)?;
    maria.send(&groups[0], "The gift is a secret".as_bytes())?;
    hub.sync(&mut maria)?;
    say(&format!(
        "\nMaria writes.  phone reads: {:?}  laptop reads: {:?}",
        read(&mut hub, &mut phone)?,
        read(&mut hub, &mut laptop)?
    ));
    Ok(())
}

fn group_of(
    hub: &mut LocalHub,
    name: &str,
    (photos, courier): (&App, &App),
    (maria, phone): (&mut Client, &mut Client),
) -> Result<GroupId> {
    let group = maria.create_group(App::policy(&[photos, courier])?, GroupInfo::new(name, "")?)?;
    let packages = publish(phone, 1)?;
    maria.change(&group, Change::Add(packages))?;
    hub.sync(maria)?;
    enter(hub, phone)?;
    Ok(group)
}

/// Key packages of a device, by way of its app's directory.
fn publish(device: &mut Client, count: u16) -> Result<Vec<UnverifiedKeyPackage>> {
    let packages = device.key_packages(count)?;
    packages.iter().map(|package| UnverifiedKeyPackage::from_bytes(&package.to_bytes())).collect()
}

/// Fetches, and accepts what waits for an answer.
fn enter(hub: &mut LocalHub, device: &mut Client) -> Result<()> {
    hub.sync(device)?;
    for group in device.groups()? {
        if device.group(&group)?.status() == Status::Invited {
            device.answer(&group, Answer::Accept)?;
        }
    }
    hub.sync(device).map(drop)
}

/// The messages that a device fetches.
fn read(hub: &mut LocalHub, device: &mut Client) -> Result<Vec<String>> {
    let said = |what| match what {
        EventKind::Message { content, .. } => Some(String::from_utf8_lossy(&content).into_owned()),
        _ => None,
    };
    Ok(hub.sync(device)?.into_iter().filter_map(|event| said(event.what)).collect())
}

fn list(phone: &mut Client, say: &mut dyn FnMut(&str)) -> Result<()> {
    let own = phone.identity()?.device();
    for device in phone.own_devices()? {
        let which = if device.device == own { "this phone" } else { "laptop" };
        say(&format!("  {which:10}  certificate no. {}  in {} groups", device.serial, device.groups.len()));
    }
    Ok(())
}

fn short(offer: &DeviceOffer) -> String {
    offer.device().to_string().chars().take(8).collect()
}
