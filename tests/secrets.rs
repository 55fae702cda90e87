//! Attack 27: known key bytes are searched for in everything that is printed, logged, serialised or written.
//!
//! The keys are those of a story whose randomness is known, and what follows from it by `docs/protocol.md`.

#[path = "support/detector.rs"]
mod detector;
#[path = "support/known_keys.rs"]
mod known_keys;
#[path = "support/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::process::Command;

use convivio::attachment::{Decryptor, Encryptor};
use convivio::client::{Change, DeviceKeys, Event, EventKind, System};
use convivio::content::Content;
use convivio::envelope::{self, EnvelopeType, Opener, Recipient};
use convivio::group::{Actor, FreshKeys, Group, GroupInfo, InviteLink, Occasion, Profile, Proposal};
use convivio::identity::{
    AppKey, AppRoot, Capabilities, IdentityKey, KeyPackage, PackageOptions, UnverifiedKeyPackage,
};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::log::{HubKey, Stamp};
use convivio::ratchet::{EpochContext, Frame, ReceivingChain, ReceivingChains, SenderKey, SendingChain};
use convivio::report::Report;
use convivio::store::{MemoryStore, SealedStore, Store, StoreKey};
use convivio::testing::{App, FaultyStore};
use convivio::{
    Client, DeviceId, Epoch, Error, GroupId, InitSecret, LeafIndex, SealSecret, Secret, SigningKey, Suite, Validity,
};
use detector::Detector;
use known_keys::{Draws, Key, NOW, Story, Told, derive, key};

const KEYS: [Key; 8] = [key(1), key(2), key(3), key(4), key(5), key(6), key(7), key(8)];

fn secret(n: usize) -> Secret<32> {
    Secret::from_bytes(&mut KEYS[n].clone())
}

fn signing(n: usize) -> SigningKey {
    SigningKey::from_seed(&KEYS[n])
}

/// All keys that this test knows: those above, and those of a story told with these draws.
fn detector(known: impl IntoIterator<Item = known_keys::Known>) -> Detector {
    let own = KEYS.iter().enumerate().map(|(n, key)| (format!("key {n}"), key.to_vec()));
    Detector::new(own.chain(known))
}

fn story() -> (Story, known_keys::Secrets) {
    let draws = Draws::default();
    let story = Story::play([Box::new(MemoryStore::new()), Box::new(MemoryStore::new())], Some(&draws));
    let secrets = derive(&story, &draws);
    (story, secrets)
}

#[test]
fn row_27_the_detector_finds_a_key_in_every_form() {
    let detector = detector([]);
    let key = KEYS[0];
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = |before: &[u8]| {
        use base64ct::{Base64, Base64UrlUnpadded, Encoding};
        let bytes = [before, &key].concat();
        [Base64::encode_string(&bytes), Base64UrlUnpadded::encode_string(&bytes)]
    };
    let limbs: Vec<u64> = key.chunks(8).map(|limb| u64::from_le_bytes(limb.try_into().unwrap())).collect();
    let mut backwards = key;
    backwards.reverse();
    let mut shown = vec![
        format!("{key:?}"),
        format!("{key:#?}"),
        format!("{key:02x?}"),
        format!("{key:#x?}"),
        format!("{backwards:?}"),
        format!("{limbs:?}"),
        format!("{:?}", limbs[1].swap_bytes()),
        format!("{:x}", limbs[2]),
        hex.clone(),
        hex.to_uppercase(),
        format!("0x{hex}"),
        hex.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap()).collect::<Vec<_>>().join(" "),
        format!("only a part: {}", &hex[10..30]),
        serde_json::to_string(&key).unwrap(),
    ];
    shown.extend((0..3).flat_map(|n| base64(&[0xff; 2][..n.min(2)])));
    for text in &shown {
        assert!(detector.in_text(text).iter().any(|name| name.starts_with("key 0")), "not found in {text}");
    }
    assert!(detector.in_bytes(&[&[1, 2, 3], &key[..], &[4]].concat()).contains("key 0"));
    for silent in ["Secret<32>(redacted)", &hex[..14], "[1, 2, 3, 4, 5, 6, 7, 8, 9]"] {
        assert!(detector.in_text(silent).is_empty(), "{silent}");
    }
}

/// What was formatted, by room and name of its type.
#[derive(Default)]
struct Shown(BTreeMap<String, String>);

impl Shown {
    fn add<T: Debug>(&mut self, value: &T) {
        let path: Vec<&str> = std::any::type_name::<T>().split('<').next().unwrap().split("::").collect();
        let name = format!("{}::{}", path[1], path[path.len() - 1]);
        assert!(!format!("{value:?}").is_empty(), "whoever debugs an app is to learn what {name} is");
        self.0.entry(name).or_default().push_str(&format!("{value:?}\n{value:#?}\n"));
    }
}

/// A device of its own, whose keys are among those looked for.
fn device(app: &App) -> (convivio::identity::DeviceIdentity, SigningKey) {
    let identity =
        app.certify("ada", &IdentityKey::from_seed(&KEYS[0]), (DeviceId::from_bytes([7; 16]), 0), &signing(1));
    (identity.unwrap(), signing(1))
}

fn capabilities() -> Capabilities {
    Capabilities::new(&[Suite::One], &[]).unwrap()
}

fn show_keys(shown: &mut Shown) {
    shown.add(&secret(0));
    shown.add(&signing(0));
    shown.add(&SealSecret::from_secret(secret(0)));
    shown.add(&InitSecret::from_secret(secret(0)));
    shown.add(&IdentityKey::from_seed(&KEYS[0]));
    shown.add(&StoreKey::from_bytes(&mut KEYS[7].clone()));
    let root = AppRoot::from_seed("photos.example".parse().unwrap(), &KEYS[1]);
    let certificate = root.certify(signing(2).verify_key(), Validity::starting(NOW, 100));
    shown.add(&AppKey::new(signing(2), certificate).unwrap());
    shown.add(&root);
    shown.add(&System::default());
}

fn show_stores(shown: &mut Shown, story: &mut Story) {
    let (faulty, (identity, signer)) = (FaultyStore::new(), device(&story.app));
    let keys = DeviceKeys::new(identity, signer).unwrap();
    drop(Client::create_in(faulty.clone(), keys, Told::new(9, None)).unwrap());
    shown.add(&faulty);
    shown.add(&faulty.contents());
    shown.add(&SealedStore::create(MemoryStore::new(), StoreKey::from_bytes(&mut KEYS[7].clone())).unwrap());
    let staged = story.maria.stage(|draft| {
        let packages = draft.key_packages(1);
        shown.add(draft);
        packages
    });
    let staged = staged.unwrap();
    shown.add(&staged);
    shown.add(staged.changes());
    shown.add(&staged.apply().unwrap());
    #[cfg(feature = "redb")]
    {
        let directory = tempfile::tempdir().unwrap();
        shown.add(&convivio::store::RedbStore::create(directory.path().join("file")).unwrap());
    }
}

fn show_messages(shown: &mut Shown) {
    let epoch = EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [2; 32], secret(5));
    let chain = SendingChain::new(LeafIndex(3), secret(4), signing(6));
    shown.add(&epoch);
    shown.add(&chain);
    shown.add(&chain.sender_key());
    let receiving = ReceivingChain::from_sender_key(chain.sender_key());
    shown.add(&receiving);
    let mut chains = ReceivingChains::default();
    chains.keep_proofs(true);
    chains.insert(LeafIndex(3), receiving);
    let (_, chain) = chain.encrypt(&epoch, b"skipped", &mut Told::new(9, None)).unwrap();
    let (frame, _) = chain.encrypt(&epoch, b"a message", &mut Told::new(9, None)).unwrap();
    shown.add(&Frame::parse(&frame).unwrap());
    let received = chains.decrypt(&epoch, &frame).unwrap();
    shown.add(received.proof.as_deref().unwrap());
    shown.add(&received);
    shown.add(chains.get(LeafIndex(3)).unwrap());
    shown.add(&chains);
}

fn show_envelopes(shown: &mut Shown) {
    let (reader, signer) = (SealSecret::from_secret(secret(0)), signing(1));
    shown.add(&Opener::X25519(&reader));
    shown.add(&Opener::XWing { secret: &InitSecret::from_secret(secret(2)), public: None });
    let draft =
        envelope::Draft::new(EnvelopeType::Standalone, Suite::One, Vec::new(), &mut Told::new(9, None)).unwrap();
    shown.add(&draft);
    let signed = draft.sign(b"sender".to_vec(), Some(vec![vec![1]]), &KEYS[3], &signer).unwrap();
    shown.add(&signed);
    let recipient = Recipient::X25519 { id: vec![1], key: reader.public() };
    let part = signed.seal(&[recipient], &[]).unwrap().split(&[1]).unwrap();
    let opened = envelope::open(&part, EnvelopeType::Standalone, Opener::X25519(&reader), &[1]).unwrap();
    shown.add(&opened);
    shown.add(&opened.verify(signer.verify_key()).unwrap());
}

/// Founding, adding, joining, with the keys in hand.
fn show_group(shown: &mut Shown) {
    let mut rng = Told::new(9, None);
    let app = App::new_in("photos.example", Validity::starting(NOW, 1_000), &mut rng).unwrap();
    let ((identity, signer), capabilities) = (device(&app), capabilities());
    let actor = Actor { identity: &identity, signer: &signer, capabilities: &capabilities };
    let founded = Group::create(actor, App::policy(&[&app]).unwrap(), GroupInfo::default(), NOW, &mut rng).unwrap();
    shown.add(&founded);
    shown.add(&founded.group);

    let bob_key = signing(2);
    let bob =
        app.certify("bob", &IdentityKey::from_seed(&KEYS[3]), (DeviceId::from_bytes([8; 16]), 0), &bob_key).unwrap();
    let options = PackageOptions {
        capabilities: capabilities.clone(),
        validity: Validity::starting(NOW, 500),
        last_resort: false,
    };
    let (package, secrets) = KeyPackage::create(&bob, &bob_key, options, &mut rng).unwrap();
    shown.add(&secrets);
    let leaf = UnverifiedKeyPackage::try_from(&package).unwrap().leaf().clone();
    let init_keys = BTreeMap::from([(package.id(), package.init_key().clone())]);
    let occasion = Occasion { time: NOW, seen: [0; 32] };
    let made = founded.group.commit(vec![Proposal::Add(leaf)], &init_keys, occasion, actor, &mut rng).unwrap();
    shown.add(&made);
    shown.add(&FreshKeys { signing: signing(0), seal: SealSecret::from_secret(secret(1)) });
    let (commit, welcome) = (&made.envelope, made.welcome.as_ref().unwrap());
    let entry = (commit.header().bytes(), commit.body());
    let part = welcome.split(package.id().as_bytes()).unwrap();
    shown.add(&Group::join(&part, &package, &secrets, entry).unwrap());
    shown.add(&DeviceKeys::new(identity, signer).unwrap());
    shown.add(&app);
}

/// A file's key, before and after encrypting, and in the message that carries it.
fn show_attachments(shown: &mut Shown) {
    let mut encryptor = Encryptor::with_key(secret(0));
    encryptor.chunk(b"a photo", true).unwrap();
    shown.add(&encryptor);
    let (file, index) = encryptor.finish().unwrap();
    shown.add(&file);
    shown.add(&Decryptor::new(&file, &index).unwrap());
    let part = file.to_part("https://files.example/1", "image/jpeg", "beach.jpg");
    shown.add(&part);
    shown.add(&Content::attachment(part));
}

/// Randomness that is one known key after the other.
struct Dealt(usize);

impl rand::rand_core::TryRng for Dealt {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0x5a5a_5a5a)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0x5a5a_5a5a_5a5a_5a5a)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        if out.len() == 16 {
            out.fill(0x11);
            return Ok(());
        }
        self.0 += 1;
        out.copy_from_slice(&KEYS[self.0][..out.len()]);
        Ok(())
    }
}

impl rand::rand_core::TryCryptoRng for Dealt {}

/// A new device with known keys, its offer, and an answer with the identity key.
fn linking() -> (App, NewDevice, Vec<u8>) {
    let mut rng = Told::new(9, None);
    let app = App::new_in("photos.example", Validity::starting(NOW, 1_000), &mut rng).unwrap();
    let new = NewDevice::begin(&mut Dealt(3));
    assert_eq!(new.offer().device_key(), signing(4).verify_key());
    assert!(new.offer().to_secret_bytes().ends_with(&KEYS[6]));
    let answering = Answering { serial: 1, now: NOW, transfer: Transfer::Copy };
    let (own, identity) = (device(&app).0, IdentityKey::from_seed(&KEYS[0]));
    let answer = new.offer().answer(&own, &identity, answering, &mut rng).unwrap();
    (app, new, answer)
}

fn show_linking(shown: &mut Shown) {
    let (app, new, answer) = linking();
    shown.add(&new);
    shown.add(&new.offer());
    let link = new.open(&answer, &App::trust(&[&app]).unwrap(), NOW).unwrap();
    assert!(link.brings_identity_key());
    shown.add(&link);
}

/// A link with known keys, as it is handed out and as the members have it.
fn show_links(shown: &mut Shown, story: &mut Story) {
    let mut rng = Dealt(0);
    let own = story.maria.identity().unwrap();
    let opener = (own.user().clone(), own.identity_key().clone());
    let (link, open) = InviteLink::generate(story.group, opener, "hub.example", NOW.after(99), &mut rng).unwrap();
    shown.add(&link);
    shown.add(&open);
    shown.add(&Change::OpenLink(open.clone()));
    let profile = Profile::from(GroupInfo::default()).with_link(open, NOW).unwrap();
    shown.add(&Proposal::Info(profile.clone()));
    shown.add(&profile);
    story.maria.open_link(&story.group, "hub.example", 99).unwrap();
    shown.add(story.maria.group(&story.group).unwrap().state());
}

/// A value of every public type that holds a secret, in both forms of `Debug`.
fn show_all(story: &mut Story) -> Shown {
    let mut shown = Shown::default();
    show_keys(&mut shown);
    show_messages(&mut shown);
    show_envelopes(&mut shown);
    show_group(&mut shown);
    show_attachments(&mut shown);
    show_linking(&mut shown);
    show_stores(&mut shown, story);
    show_reports(&mut shown, story);
    show_links(&mut shown, story);
    shown.add(&story.maria);
    shown.add(&story.maria.group(&story.group).unwrap());
    shown.add(&story.app);
    shown
}

/// What a report is made of; the message's own key is looked for, too.
fn show_reports(shown: &mut Shown, story: &mut Story) {
    let (event, stamp) = reported(story);
    let EventKind::Message { content, evidence: Some(evidence), .. } = &event.what else { panic!("no evidence") };
    shown.add(evidence);
    shown.add(&event.what);
    shown.add(&event);
    let report = Report::new(evidence, content, stamp).unwrap();
    shown.add(&report);
    shown.add(&HubKey::new(signing(0)));
    shown.add(&story.hub);
    let key = message_key(&report);
    let detector = Detector::new([("the key of a reported message", key.to_vec())]);
    assert!(!detector.in_bytes(&report.to_bytes()).is_empty(), "where it belongs it is found");
    for (name, text) in &shown.0 {
        detector.assert_silent(text, name);
    }
}

/// A message that Bob has heard and may report, and the hub's stamp of it.
fn reported(story: &mut Story) -> (Event, Stamp) {
    story.bob.keep_evidence(true).unwrap();
    story.maria.send(&story.group, b"reported").unwrap();
    story.hub.sync(&mut story.maria).unwrap();
    let events = story.hub.sync(&mut story.bob).unwrap();
    let event = events.into_iter().find(|event| matches!(event.what, EventKind::Message { .. })).unwrap();
    let stamp = story.hub.stamp(&story.group, event.seq).unwrap();
    (event, stamp)
}

/// Where section 12.1 has it.
fn message_key(report: &Report) -> Key {
    let bytes = report.to_bytes();
    let mut r = minicbor::Decoder::new(&bytes);
    assert_eq!((r.array().unwrap(), r.u64().unwrap(), r.array().unwrap()), (Some(4), 1, Some(8)));
    (0..5).for_each(|_| r.skip().unwrap());
    assert_eq!(r.array().unwrap(), Some(4));
    r.bytes().unwrap().try_into().unwrap()
}

/// They cannot be printed at all.
const WITHOUT_DEBUG: &[&str] = &["group::Actor"];

#[test]
fn row_27_debug_shows_no_key_of_any_type_that_holds_one() {
    let (mut story, secrets) = story();
    let detector = detector(secrets.all());
    let shown = show_all(&mut story);
    for (name, text) in &shown.0 {
        detector.assert_silent(text, name);
    }
    let holders = source::holders_of_secrets();
    let missing: Vec<_> =
        holders.iter().filter(|name| !shown.0.contains_key(*name) && !WITHOUT_DEBUG.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "hold secrets and are not shown by this test: add them: {missing:?}");
    let displayed = source::displayed();
    assert!(displayed.contains("ErrorKind"), "{displayed:?}");
    let printed = holders.iter().filter(|holder| displayed.iter().any(|name| holder.ends_with(&format!("::{name}"))));
    assert_eq!(printed.count(), 0, "nothing that holds a secret has a `Display`");
    for name in ["secret::Secret", "client::Client", "group::Group", "ratchet::SenderKey", "store::ChangeSet"] {
        assert!(holders.contains(name), "the test has stopped reading the source: {name} is not among {holders:?}");
    }
}

/// An error with all that is under it, in every form.
fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let under = error.source().map(chain_of).unwrap_or_default();
    format!("{error}\n{error:?}\n{error:#?}\n{under}")
}

/// Errors of every kind of object that can be spoilt while a key is in it or at hand.
fn errors() -> Vec<Box<dyn std::error::Error>> {
    let mut errors: Vec<Box<dyn std::error::Error>> = Vec::new();
    let mut keep = |result: Option<Error>| errors.extend(result.map(Into::into));

    // Secret bytes that are cut short or changed.
    let mut rng = Told::new(9, None);
    let app = App::new_in("photos.example", Validity::starting(NOW, 1_000), &mut rng).unwrap();
    let ((identity, signer), capabilities) = (device(&app), capabilities());
    let actor = Actor { identity: &identity, signer: &signer, capabilities: &capabilities };
    let group = Group::create(actor, App::policy(&[&app]).unwrap(), GroupInfo::default(), NOW, &mut rng).unwrap().group;
    let sender_key = SendingChain::new(LeafIndex(3), secret(4), signing(6)).sender_key().to_secret_bytes();
    let saved = group.to_secret_bytes();
    for at in (0..saved.len()).step_by(7) {
        keep(Group::from_secret_bytes(&saved[..at]).err());
    }
    for at in 0..sender_key.len() {
        let mut spoilt = sender_key.to_vec();
        spoilt[at] ^= 0x20;
        keep(SenderKey::from_secret_bytes(&spoilt).err());
        keep(SenderKey::from_secret_bytes(&sender_key[..at]).err());
    }

    // Keys where something else should be.
    for key in KEYS {
        keep(convivio::VerifyKey::from_bytes(key).err());
        keep(convivio::SealKey::from_bytes(key).err());
    }
    keep(String::from_utf8_lossy(&KEYS[0]).parse::<convivio::identity::UserUri>().err());
    keep(DeviceKeys::new(identity, signing(3)).err());
    keep(envelope::Envelope::from_bytes(&KEYS[1]).err());

    // Sealed to another, or altered.
    let reader = SealSecret::from_secret(secret(0));
    let to = [Recipient::X25519 { id: vec![1], key: reader.public() }];
    let part = envelope::seal_to(&signing(1), b"", &to, &KEYS[3], &mut rng).unwrap().split(&[1]).unwrap();
    let stranger = SealSecret::from_secret(secret(2));
    keep(envelope::open_from(&part, Opener::X25519(&stranger), &[1]).err());
    let epoch = EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [2; 32], secret(5));
    let chain = SendingChain::new(LeafIndex(3), secret(4), signing(6));
    keep(chain.encrypt(&epoch, &[0; 1 << 17], &mut rng).map_err(|(error, _)| error).err());
    let (app, new, answer) = linking();
    let (trust, offer) = (App::trust(&[&app]).unwrap(), new.offer());
    for at in 0..answer.len() {
        keep(new.open(&answer[..at], &trust, NOW).err());
    }
    keep(new.open(&answer, &convivio::identity::TrustedApps::new(), NOW).err());
    for at in 0..offer.to_secret_bytes().len() {
        keep(DeviceOffer::from_secret_bytes(&offer.to_secret_bytes()[..at]).err());
        keep(DeviceOffer::from_secret_text(&offer.to_secret_text()[..at]).err());
    }
    errors.extend(store_errors());
    errors
}

/// What a client and a store say of records that are damaged one by one, and of a wrong key.
fn store_errors() -> Vec<Box<dyn std::error::Error>> {
    let mut errors: Vec<Box<dyn std::error::Error>> = Vec::new();
    let stores = [FaultyStore::new(), FaultyStore::new()];
    drop(Story::play(stores.clone().map(|store| Box::new(store) as Box<dyn Store>), None));
    let whole: Vec<_> = stores[0].contents().iter().map(|(key, value)| (key.clone(), value.to_vec())).collect();
    for (damaged, _) in &whole {
        let cut = |(key, value): &(convivio::store::RecordKey, Vec<u8>)| {
            let end = if key == damaged { value.len() - 1 } else { value.len() };
            (key.as_bytes().to_vec(), value[..end].to_vec())
        };
        let opened = Client::open_in(Fixed(whole.iter().map(cut).collect()), None, Told::new(4, None));
        let used = opened.and_then(|mut client| client.subscriptions().and_then(|_| client.inbox(9).map(drop)));
        errors.extend(used.err().map(Into::into));
    }
    let sealed = SealedStore::create(MemoryStore::new(), StoreKey::from_bytes(&mut KEYS[7].clone())).unwrap();
    let wrong = SealedStore::open(sealed.into_inner(), StoreKey::from_bytes(&mut KEYS[0].clone()));
    errors.extend(wrong.err().map(Into::into));
    errors
}

/// Records that do not change.
struct Fixed(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store for Fixed {
    fn load(&self, key: &convivio::store::RecordKey) -> Result<Option<Vec<u8>>, convivio::store::StoreError> {
        Ok(self.0.get(key.as_bytes()).cloned())
    }

    fn apply(&mut self, _: &convivio::store::ChangeSet) -> Result<(), convivio::store::StoreError> {
        Err(convivio::store::StoreError::failed("these records do not change"))
    }
}

#[test]
fn row_27_errors_and_what_is_under_them_show_no_key() {
    let (_, secrets) = story();
    let (detector, errors) = (detector(secrets.all()), errors());
    let under = errors.iter().filter(|error| error.source().is_some()).count();
    assert!(errors.len() > 100 && under > 10, "{} errors, {under} with a source", errors.len());
    for error in errors {
        detector.assert_silent(&chain_of(error.as_ref()), "an error");
    }
}

/// Serialised values, by room and name of the type.
#[derive(Default)]
struct Json(BTreeMap<String, String>);

impl Json {
    fn add<T: serde::Serialize>(&mut self, value: &T) {
        let name = std::any::type_name::<T>().rsplit("::").next().unwrap().to_owned();
        self.0.insert(name, serde_json::to_string(value).unwrap());
    }
}

/// For an app that asked for evidence an event holds a key: that of the one message whose content stands beside it.
const WITH_THEIR_CONTENT: &[&str] = &["Event"];

#[test]
fn row_27_what_goes_through_serde_shows_no_key() {
    let (mut story, secrets) = story();
    let detector = detector(secrets.all());
    let holders = source::holders_of_secrets();
    let names = source::serialisable();
    assert!(names.len() > 20, "{names:?}");
    for name in names.iter().filter(|name| !WITH_THEIR_CONTENT.contains(&name.as_str())) {
        assert!(!holders.iter().any(|holder| holder.ends_with(&format!("::{name}"))), "{name} holds a secret");
    }

    let mut json = Json::default();
    let package = story.maria.key_packages(1).unwrap().remove(0);
    let package = UnverifiedKeyPackage::try_from(&package).unwrap();
    let identity = story.maria.identity().unwrap().clone();
    json.add(identity.credential());
    json.add(identity.credential().app_key_certificate());
    json.add(identity.certificate());
    json.add(&convivio::identity::UnverifiedDeviceIdentity::from_bytes(&identity.to_bytes()).unwrap());
    json.add(package.leaf());
    json.add(&package);
    let view = story.maria.group(&story.group).unwrap();
    json.add(view.state().policy());
    json.add(view.state().info());
    json.add(&view.state().policy().apps);
    json.add(view.state().leaves().next().unwrap().1.capabilities());
    for event in &story.events {
        json.add(event);
    }
    for post in &story.posts {
        json.add(post);
        detector.assert_silent(&serde_json::to_string(post).unwrap(), "a post");
    }
    json.add(identity.device_key());
    json.add(SealSecret::from_secret(secret(0)).public());
    json.add(&story.group);
    for (name, text) in &json.0 {
        detector.assert_silent(text, name);
    }
    assert!(json.0.len() > 14, "{:?}", json.0.keys());
}

/// Runs this very test again in a process of its own, where all that can be printed is, and reads what came out.
#[test]
fn row_27_output_logs_and_panics_show_no_key() {
    const CHILD: &str = "CONVIVIO_PRINTS_ALL";
    if std::env::var_os(CHILD).is_some() {
        print_and_panic();
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "row_27_output_logs_and_panics_show_no_key", "--nocapture", "--test-threads=1"])
        .envs([(CHILD, "1"), ("RUST_BACKTRACE", "full"), ("RUST_LOG", "trace")])
        .output()
        .unwrap();
    let streams = [child.stdout, child.stderr].map(|stream| String::from_utf8(stream).unwrap());
    assert!(child.status.success(), "{streams:?}");
    let planted = Detector::new([("planted", key(PLANTED).to_vec())]);
    let (_, secrets) = story();
    let detector = detector(secrets.all());
    for stream in &streams {
        assert!(planted.in_text(stream).contains("planted"), "what is printed in the open is found");
        detector.assert_silent(stream, "the output");
    }
    assert_eq!(streams[1].matches("panicked at").count(), PANICS, "{}", streams[1]);
}

const PLANTED: u64 = 99;
const PANICS: usize = 7;

fn must_work<T, E: Debug>(result: Result<T, E>) {
    result.unwrap();
}

fn must_fail<T: Debug>(result: convivio::Result<T>) {
    result.unwrap_err();
}

/// The story, each holder of a secret printed, and panics of all the ways in which a careless app prints what it holds.
fn print_and_panic() {
    let (mut story, _) = story();
    println!("{:?} {:?}", show_all(&mut story).0.values(), key(PLANTED));
    eprintln!("{:02x?} {:?} {:?}", key(PLANTED), story.posts, story.events);
    errors().iter().for_each(|error| println!("{}", chain_of(error.as_ref())));
    let panics: [Box<dyn FnOnce()>; PANICS] = [
        Box::new(|| must_work(SenderKey::from_secret_bytes(&KEYS[0]))),
        Box::new(|| must_work(Group::from_secret_bytes(&KEYS.concat()))),
        Box::new(|| must_work(Err::<(), _>(SendingChain::new(LeafIndex(0), secret(4), signing(6))))),
        Box::new(|| must_fail(Ok((secret(0), signing(1), SealSecret::from_secret(secret(2)))))),
        Box::new(|| panic!("{:?}", StoreKey::from_bytes(&mut KEYS[7].clone()))),
        Box::new(|| assert!(secret(0).ct_eq(&secret(1)), "{:?} and {:?}", secret(0), secret(1))),
        Box::new(move || must_fail(Ok(story.maria))),
    ];
    for panics in panics {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    }
}

#[cfg(feature = "redb")]
mod files {
    use std::collections::BTreeSet;

    use convivio::store::RedbStore;
    use redb::{ReadableDatabase, ReadableTable};

    use super::*;

    /// The story on two files, closed; what is known of its keys.
    fn told(sealed: bool) -> (tempfile::TempDir, [std::path::PathBuf; 2], known_keys::Secrets) {
        let (directory, draws) = (tempfile::tempdir().unwrap(), Draws::default());
        let paths = ["maria", "bob"].map(|name| directory.path().join(name));
        let stores = paths.each_ref().map(|path| -> Box<dyn Store> {
            let file = RedbStore::create(path).unwrap();
            let key = StoreKey::from_bytes(&mut KEYS[7].clone());
            if sealed { Box::new(SealedStore::create(file, key).unwrap()) } else { Box::new(file) }
        });
        let secrets = derive(&Story::play(stores, Some(&draws)), &draws);
        (directory, paths, secrets)
    }

    /// The records of a file, as a reader of the database sees them.
    fn records(path: &std::path::Path) -> Vec<u8> {
        let database = redb::Database::open(path).unwrap();
        let table = redb::TableDefinition::<&[u8], &[u8]>::new("records");
        let read = database.begin_read().unwrap();
        let table = read.open_table(table).unwrap();
        table.iter().unwrap().flat_map(|row| row.map(|(_, value)| value.value().to_vec()).unwrap()).collect()
    }

    #[test]
    fn row_27_a_sealed_file_shows_no_key_neither_held_nor_gone() {
        let (_directory, paths, secrets) = told(true);
        let detector = detector(secrets.all());
        for path in paths {
            let found: Vec<_> =
                detector.in_bytes(&std::fs::read(&path).unwrap()).into_iter().map(str::to_owned).collect();
            assert!(found.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn row_27_what_a_spoilt_file_says_shows_no_key() {
        let (_directory, [path, _], secrets) = told(false);
        let (detector, whole) = (detector(secrets.all()), std::fs::read(&path).unwrap());
        let mut refused = 0;
        for at in (0..whole.len()).step_by(whole.len() / 40) {
            let mut spoilt = whole.clone();
            spoilt[at..].iter_mut().take(512).for_each(|byte| *byte ^= 0x11);
            std::fs::write(&path, spoilt).unwrap();
            let error = RedbStore::open(&path).map(|store| store.load(&convivio::store::RecordKey::VERSION)).err();
            if let Some(error) = error {
                refused += 1;
                detector.assert_silent(&chain_of(&error), "a spoilt file");
            }
        }
        assert!(refused > 0);
    }

    #[test]
    fn row_27_a_plain_files_records_hold_what_is_needed_and_no_key_that_was_used() {
        let (_directory, paths, secrets) = told(false);
        let (held, gone) = (Detector::new(secrets.held.clone()), Detector::new(secrets.gone));
        let mut found = BTreeSet::new();
        for path in &paths {
            let records = records(path);
            found.extend(held.in_bytes(&records).into_iter().map(str::to_owned));
            assert!(gone.in_bytes(&records).is_empty(), "{:?}", gone.in_bytes(&records));
        }
        // So the test looks for the right keys, and in the right place.
        for (name, _) in &secrets.held {
            assert!(found.contains(name), "{name} is in neither file: {found:?}");
        }
    }
}
