//! Requests to be readmitted, sealed to the group (`docs/protocol.md`, section 5.7): by any device, of any age, with
//! anyone's consent and signature. A member tells its app of those alone that the device itself made, in time.

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::EventKind;
use convivio::envelope::{Draft, EnvelopeType, Recipient};
use convivio::group::{Group, RejoinRequest};
use convivio::identity::{Capabilities, KeyPackage, PackageOptions};
use convivio::log::{EntryBody, LogEntry};
use convivio::{SealSecret, Secret, Suite, Validity};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::cbor::{Edit, Item, bytes, edit, number, parse};
use super::rules::CAST;
use super::scene::scene;
use super::town::{NOW, Shared};
use super::{Seeds, by_hand, cast, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    by: u8,
    reader: u8,
    age: Age,
    consent: Consent,
    /// Who signs the envelope, if not the device.
    signed_by: Option<u8>,
    public: Public,
    wrong_key: bool,
    edits: Vec<Edit>,
}

/// When the package begins.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Age {
    Fresh,
    ADay,
    MoreThanADay,
    NotYet,
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Consent {
    Right,
    AlsoRight,
    OtherGroup,
    OtherDevice,
    OtherLeaf,
    ByOther,
    Flipped(u16),
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Public {
    Right,
    AlsoRight,
    OtherGroup(u8),
    OtherEpoch(u64),
    Any(Vec<u8>),
}

const DAY: u64 = 24 * 60 * 60;

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let scene = scene();
    let by = usize::from(input.by) % CAST.len();
    let members: Vec<usize> = scene.model.devices.iter().copied().collect();
    let reader = members[usize::from(input.reader) % members.len()];
    let group = scene.group(reader);
    let honest = input.request(by);
    let tree = edit(honest.clone(), &input.edits[..input.edits.len().min(4)]);

    let epoch = group.state().epoch().0;
    let address = |id: &[u8; 16], epoch: u64| Item::Array(vec![bytes(id), number(epoch)]).encode();
    let id = *scene.id.as_bytes();
    let public = match &input.public {
        Public::Right | Public::AlsoRight => address(&id, epoch),
        Public::OtherGroup(flip) => address(&id.map(|byte| byte ^ flip.max(&1)), epoch),
        Public::OtherEpoch(other) => address(&id, epoch ^ other.max(&1)),
        Public::Any(public) => public.clone(),
    };
    let mut secret = *group.request_key().expose();
    secret[0] ^= u8::from(input.wrong_key) << 4;
    let key = SealSecret::from_secret(Secret::from_bytes(&mut secret));
    let signer = cast::device_key(input.signed_by.map_or(by, |other| usize::from(other) % CAST.len()));
    let dice = &mut StdRng::seed_from_u64(51);
    let draft = Draft::new(EnvelopeType::Request, Suite::One, public.clone(), dice).unwrap();
    let to = number(epoch).encode();
    let signed = draft.sign(Vec::new(), Some(vec![to.clone()]), &tree.encode(), &signer).unwrap();
    let envelope = signed.seal(&[Recipient::X25519 { id: to.clone(), key: key.public() }], &[]).unwrap();
    let part = envelope.split(&to).unwrap();

    let right = input.is_right(by) && tree == honest && public == address(&id, epoch);
    let opened = group.open_request(&part, group.request_key(), NOW);
    assert_eq!(opened.is_ok(), right, "{input:?} by {by}: {:?}", opened.err());
    if let Ok(opened) = &opened {
        assert_eq!(opened.to_bytes(), honest.encode());
        // Taken out of its envelope it says the same, and what it comes to is for that very device.
        let package = RejoinRequest::from_bytes(&opened.to_bytes()).unwrap().verify(group.state(), NOW).unwrap();
        assert_eq!(package.leaf().device(), cast::device_id(by));
        made_by_the_crate(by, opened, group);
    }

    let mut client = Shared::of(&scene.stores[reader]).open();
    let entry = LogEntry { group: scene.id, seq: scene.next, body: EntryBody::Request(Some(part)) };
    let (events, _) = client.receive(&[entry]).unwrap();
    let told = events.iter().any(|event| matches!(event.what, EventKind::RejoinRequested { .. }));
    assert_eq!(told, right && by != reader, "{events:?}");
}

/// What the device's own group makes of the same package is the same request.
fn made_by_the_crate(by: usize, opened: &RejoinRequest, group: &Group) {
    let package = opened.package().clone().verify(&group.state().policy().apps, NOW).unwrap();
    let made = scene().group(by).request_to_rejoin(&package, &cast::device_key(by)).unwrap();
    assert_eq!(&made, opened);
}

impl Input {
    fn is_right(&self, by: usize) -> bool {
        let in_time = matches!(self.age, Age::Fresh);
        let consent = matches!(self.consent, Consent::Right | Consent::AlsoRight);
        let signer = self.signed_by.is_none_or(|other| usize::from(other) % CAST.len() == by);
        scene().model.devices.contains(&by) && in_time && consent && signer && !self.wrong_key
    }

    /// [group id, key package, consent]
    fn request(&self, by: usize) -> Item {
        // The leaves in the group begin now, so an older package is older than the leaf, too.
        let begins = match self.age {
            Age::Fresh => NOW.0,
            Age::ADay => NOW.0 - DAY,
            Age::MoreThanADay => NOW.0 - DAY - 1,
            // An hour is allowed for clocks that differ.
            Age::NotYet => NOW.0 + 60 * 60 + 1,
        };
        let validity = Validity { not_before: convivio::Timestamp(begins), not_after: NOW.after(10_000) };
        let options = PackageOptions { capabilities: Capabilities::default(), validity, last_resort: false };
        let dice = &mut StdRng::seed_from_u64(50);
        let made = KeyPackage::create(&cast::identity(by), &cast::device_key(by), options, dice);
        let (package, _) = made.unwrap();
        let mut fields =
            vec![bytes(scene().id.as_bytes()), bytes(cast::device_id(by).as_bytes()), bytes(package.id().as_bytes())];
        let mut seed = *cast::device_key(by).expose_seed();
        match self.consent {
            Consent::OtherGroup => fields[0] = bytes(&[1; 16]),
            Consent::OtherDevice => fields[1] = bytes(&[77; 16]),
            Consent::OtherLeaf => fields[2] = bytes(&[1; 32]),
            Consent::ByOther => seed = [1; 32],
            Consent::Right | Consent::AlsoRight | Consent::Flipped(_) => {}
        }
        let mut consent = by_hand::sign(&seed, "sign rejoin", fields);
        if let Consent::Flipped(bit) = self.consent {
            consent[usize::from(bit / 8) % 64] ^= 1 << (bit % 8);
        }
        let package = parse(&package.to_bytes()).unwrap();
        Item::Array(vec![bytes(scene().id.as_bytes()), package, bytes(&consent)])
    }
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[30, 90]);
    seeds.push(("honest".to_owned(), vec![0; 40]));
    seeds
}
