//! Two people on two apps: the program of the README.

use convivio::client::{Answer, Change, EventKind};
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use convivio::testing::{App, LocalHub};

fn main() -> convivio::Result<()> {
    // Two apps, each vouching for its own users, and a relay between them.
    let (photos, courier) = (App::new("photos.example")?, App::new("courier.example")?);
    let (mut maria, mut bob) = (photos.client("maria")?, courier.client("bob")?);
    let mut relay = LocalHub::new();

    // Bob publishes a key package. Maria founds a group for users of both apps and adds him by it.
    let published = bob.key_packages(1)?.remove(0).to_bytes();
    let group = maria.create_group(App::policy(&[&photos, &courier])?, GroupInfo::new("Gita", "")?)?;
    maria.change(&group, Change::Add(vec![UnverifiedKeyPackage::from_bytes(&published)?]))?;
    maria.send(&group, "Ciao Bob! 🚲".as_bytes())?;
    relay.sync(&mut maria)?;

    // Bob finds the invitation, accepts, and reads.
    relay.sync(&mut bob)?;
    bob.answer(&group, Answer::Accept)?;
    for event in relay.sync(&mut bob)? {
        if let EventKind::Message { user, content, .. } = event.what {
            println!("{user}: {}", String::from_utf8_lossy(&content));
        }
    }
    Ok(())
}
