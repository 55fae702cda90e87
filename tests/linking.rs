//! A user's new device shows a code, the one with the identity key answers, and the new one is in all groups.

mod support;

use convivio::identity::{AppKey, IdentityKey, QrComparison, UnverifiedDeviceIdentity};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::testing::App;
use convivio::{
    Client, ErrorKind, GroupId, Result, Signature, SignatureInput, Signer, SigningKey, Validity, VerifyKey,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::*;

/// Bob's phone, and three groups of Maria's with it.
fn three_groups() -> (World, Device, Device, Vec<GroupId>) {
    let mut world = World::new();
    let (mut maria, mut phone) = (world.device("maria"), world.device_of(1, "bob"));
    let mut groups: Vec<GroupId> = (0..3).map(|_| world.group(&mut maria, &mut [&mut phone])).collect();
    groups.sort();
    world.quiet(&mut [&mut maria, &mut phone]);
    (world, maria, phone, groups)
}

#[test]
fn a_linked_device_is_added_everywhere_and_reads_and_writes_there() {
    let (mut world, mut maria, mut phone, groups) = three_groups();
    let mut laptop = world.link(1, &mut phone);
    let id = laptop.id();
    assert_eq!(phone.client.own_devices().unwrap().len(), 1, "the laptop is in no group yet");

    let (two, records) = (laptop.packages(2), phone.disk.records());
    assert_eq!(phone.client.add_device(two).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(phone.disk.records(), records, "nothing is half done");
    let three = laptop.packages(3);
    let added: Vec<GroupId> =
        phone.client.add_device(three.clone()).unwrap().into_iter().map(|(group, _)| group).collect();
    assert_eq!(added, groups);
    phone.restart();
    assert_eq!(phone.client.add_device(three).unwrap(), [], "the laptop is on its way already");
    // It stays off while the groups go on.
    world.quiet(&mut [&mut maria, &mut phone]);
    maria.say(&groups[0], "while it was off");
    phone.say(&groups[1], "from my phone");
    world.quiet(&mut [&mut maria, &mut phone]);
    world.enter(&mut laptop);
    laptop.say(&groups[2], "from my laptop");
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    for group in &groups {
        agree(group, &mut [&mut maria, &mut phone, &mut laptop]);
    }
    let said = |from: &str, text: &str| (from.to_owned(), text.to_owned());
    for (device, heard) in [
        (&maria, vec![said("bob", "from my laptop"), said("bob", "from my phone")]),
        (&phone, vec![said("bob", "from my laptop"), said("maria", "while it was off")]),
        (&laptop, vec![said("bob", "from my phone"), said("maria", "while it was off")]),
    ] {
        let mut all = device.heard();
        all.sort();
        assert_eq!(all, heard);
    }

    let own = phone.client.own_devices().unwrap();
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|device| device.groups == groups && device.missing.is_empty()));
    assert_eq!(own.iter().find(|device| device.device == id).unwrap().serial, 2, "the phone's is 1");
    assert_eq!(laptop.client.own_devices().unwrap(), own);

    // A fourth group has only the phone at first.
    let fourth = world.group(&mut maria, &mut [&mut phone]);
    let own = phone.client.own_devices().unwrap();
    assert_eq!(own.iter().find(|device| device.device == id).unwrap().missing, [fourth]);
    world.bring_along(&mut phone, &mut laptop);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    agree(&fourth, &mut [&mut maria, &mut phone, &mut laptop]);
}

/// Both devices show one safety number with everyone: so a user finds that the other device is the same user's.
#[test]
fn both_devices_have_one_safety_number() {
    let (mut world, mut maria, mut phone, groups) = three_groups();
    let mut laptop = world.link(1, &mut phone);
    world.bring_along(&mut phone, &mut laptop);
    let shown = |device: &mut Device, other: &Device| {
        device.client.group(&groups[0]).unwrap().safety_number(&other.user).unwrap()
    };
    let (phones, laptops) = (shown(&mut phone, &maria), shown(&mut laptop, &maria));
    assert_eq!(phones.digits(), laptops.digits());
    assert_eq!(maria.client.verify_user(&groups[0], &phone.user, &laptops.qr()).unwrap(), QrComparison::Match);
}

#[test]
fn only_packages_of_one_other_device_of_ones_own_are_taken() {
    let (mut world, mut maria, mut phone, groups) = three_groups();
    let (mut laptop, mut tablet) = (world.link(1, &mut phone), world.link(1, &mut phone));
    let (of_laptop, of_tablet) = (laptop.packages(4), tablet.packages(4));
    let own = phone.packages(3);
    let records = phone.disk.records();
    for (packages, why) in [
        (Vec::new(), ErrorKind::Misuse),
        (maria.packages(3), ErrorKind::Misuse),
        (own, ErrorKind::Misuse),
        ([&of_laptop[..2], &of_tablet[..2]].concat(), ErrorKind::Misuse),
        (vec![of_laptop[0].clone(); 3], ErrorKind::Misuse),
    ] {
        assert_eq!(phone.client.add_device(packages).unwrap_err().kind(), why);
    }
    let id = laptop.id();
    assert_eq!(phone.disk.records(), records);
    phone.client.revoke_device(id).unwrap();
    assert_eq!(phone.client.add_device(of_laptop).unwrap_err().kind(), ErrorKind::NotAllowed);
    assert_eq!(phone.client.add_device(of_tablet).unwrap().len(), groups.len());
}

#[test]
fn serials_rise_across_restarts_and_above_those_of_every_group() {
    let (mut world, mut maria, mut phone, groups) = three_groups();
    assert_eq!(phone.client.next_serial().unwrap(), 2, "the phone has 1");
    phone.restart();
    assert_eq!(phone.client.next_serial().unwrap(), 3);
    // Enrolled elsewhere, with a serial that the phone has not given.
    let identity = world.identity_of(1, "bob");
    let keys = world.courier.enrol_device("bob", &identity, 70, &mut StdRng::seed_from_u64(5)).unwrap();
    let mut laptop = world.start(phone.user.clone(), keys);
    world.bring_along(&mut phone, &mut laptop);
    assert_eq!(phone.client.next_serial().unwrap(), 71);
    // Out again, the group still remembers it, and so does a device that comes later.
    let id = laptop.id();
    phone.client.revoke_device(id).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    let keys = world.courier.enrol_device("bob", &identity, 90, &mut StdRng::seed_from_u64(6)).unwrap();
    let mut tablet = world.start(phone.user.clone(), keys);
    world.bring_along(&mut phone, &mut tablet);
    assert_eq!(tablet.client.next_serial().unwrap(), 91);
    assert!(
        groups.iter().all(|group| !tablet
            .client
            .revoked_devices()
            .unwrap()
            .iter()
            .any(|of| of.remaining.contains(group)))
    );
}

/// Signs for a key store outside.
struct Outside(SigningKey);

impl Signer for Outside {
    fn verify_key(&self) -> &VerifyKey {
        self.0.verify_key()
    }

    fn sign(&self, input: &SignatureInput) -> Result<Signature> {
        Ok(self.0.sign(input))
    }
}

fn answering(world: &World, transfer: Transfer) -> Answering {
    Answering { serial: 9, now: world.clock.now(), transfer }
}

#[test]
fn the_identity_key_goes_along_only_if_asked_to() {
    let (world, _, mut phone, _) = three_groups();
    let (identity, mut rng) = (world.identity_of(1, "bob"), StdRng::seed_from_u64(1));
    let trust = App::trust(&[&world.courier]).unwrap();
    let own = phone.client.identity().unwrap();
    let mut lengths = Vec::new();
    for transfer in [Transfer::Stay, Transfer::Copy] {
        let new = NewDevice::begin(&mut rng);
        let answer = new.offer().answer(own, &identity, answering(&world, transfer), &mut rng).unwrap();
        lengths.push(answer.len());
        let link = new.open(&answer, &trust, world.clock.now()).unwrap();
        assert_eq!(link.brings_identity_key(), transfer == Transfer::Copy);
        assert_eq!((link.identity().user(), link.identity().certificate().serial()), (&phone.user, 9));
        let (_, key) = new.finish(link).unwrap();
        assert_eq!(key.as_ref().map(IdentityKey::public), (transfer == Transfer::Copy).then(|| identity.public()));
    }
    assert_eq!(lengths[0], lengths[1], "how long an answer is does not tell what is in it");
}

#[test]
fn device_and_identity_keys_may_live_in_key_stores() {
    let (world, _, mut phone, _) = three_groups();
    let seed = *world.identity_of(1, "bob").expose_seed().unwrap();
    let identity = IdentityKey::external(Box::new(Outside(SigningKey::from_seed(&seed))));
    let (trust, mut rng) = (App::trust(&[&world.courier]).unwrap(), StdRng::seed_from_u64(1));
    let new = NewDevice::begin_external(Box::new(Outside(SigningKey::from_seed(&[8; 32]))), &mut rng);
    let own = phone.client.identity().unwrap();
    let copy = new.offer().answer(own, &identity, answering(&world, Transfer::Copy), &mut rng);
    assert_eq!(copy.unwrap_err().kind(), ErrorKind::Misuse);
    let answer = new.offer().answer(own, &identity, answering(&world, Transfer::Stay), &mut rng).unwrap();
    let link = new.open(&answer, &trust, world.clock.now()).unwrap();
    let disk = Disk::default();
    let mut client = Client::create(disk.clone(), new.finish(link).unwrap().0).unwrap();
    assert_eq!(client.identity().unwrap().device_key(), SigningKey::from_seed(&[8; 32]).verify_key());
    assert!(Client::open(disk).is_err(), "its key is not in the store");
}

#[test]
fn an_offer_has_one_form_as_bytes_and_one_as_text() {
    let new = NewDevice::begin(&mut StdRng::seed_from_u64(1));
    let (bytes, text) = (new.offer().to_secret_bytes(), new.offer().to_secret_text());
    assert_eq!((bytes.len(), text.len()), (121, 178));
    assert!(text.starts_with("convivio:device#"));
    for read in [DeviceOffer::from_secret_bytes(&bytes).unwrap(), DeviceOffer::from_secret_text(&text).unwrap()] {
        assert_eq!((read.device(), &*read.to_secret_bytes()), (new.offer().device(), &*bytes));
        assert_eq!(read.device_key(), new.offer().device_key());
    }
    let version = [&bytes[..1], &[2], &bytes[2..]].concat();
    assert_eq!(DeviceOffer::from_secret_bytes(&version).unwrap_err().kind(), ErrorKind::Unsupported);
    let longer = format!("{}A", *text);
    let padded = format!("{}==", *text);
    let blank = text.replace('#', "# ");
    let upper = text.replace("convivio", "CONVIVIO");
    for other in
        ["", "convivio:device#", "https://convivio.example/#AAAA", &longer, &padded, &blank, &upper, &text[..177]]
    {
        assert_eq!(DeviceOffer::from_secret_text(other).unwrap_err().kind(), ErrorKind::Malformed, "{other}");
    }
}

#[test]
fn an_offer_is_answered_by_its_own_users_key_and_in_time() {
    let (world, mut maria, mut phone, _) = three_groups();
    let (identity, mut rng) = (world.identity_of(1, "bob"), StdRng::seed_from_u64(1));
    let offer = NewDevice::begin(&mut rng).offer();
    let own = phone.client.identity().unwrap();
    let terms = answering(&world, Transfer::Stay);
    let why = |result: Result<Vec<u8>>| result.unwrap_err().kind();
    let others = maria.client.identity().unwrap();
    assert_eq!(why(offer.answer(others, &identity, terms, &mut rng)), ErrorKind::Misuse);
    let late = Answering { now: START.after(800 * DAY), ..terms };
    assert_eq!(why(offer.answer(own, &identity, late, &mut rng)), ErrorKind::Expired);
    // Nor under an app key whose own certificate has run out, while the credential goes on.
    let key = || SigningKey::from_seed(&[9; 32]);
    let certificate = world.courier.root().certify(key().verify_key(), Validity::starting(START, DAY));
    let app = AppKey::new(key(), certificate).unwrap();
    let credential = app.vouch(own.user(), own.identity_key(), Validity::starting(START, 9 * DAY)).unwrap();
    let vouched = UnverifiedDeviceIdentity::new(credential, own.certificate().clone());
    let vouched = vouched.verify(&App::trust(&[&world.courier]).unwrap(), START).unwrap();
    let after = |seconds| Answering { now: START.after(seconds), ..terms };
    assert!(offer.answer(&vouched, &identity, after(DAY - 1), &mut rng).is_ok());
    assert_eq!(why(offer.answer(&vouched, &identity, after(2 * DAY), &mut rng)), ErrorKind::Expired);
    // A device does not certify itself again.
    let same = world.courier.certify("bob", &identity, (offer.device(), 3), &SigningKey::from_seed(&[1; 32])).unwrap();
    assert_eq!(why(offer.answer(&same, &identity, terms, &mut rng)), ErrorKind::Misuse);
}
