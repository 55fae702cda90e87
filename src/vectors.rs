//! Known answers for whoever writes another implementation: `tests/vectors/{identity,envelope,group,report}.json`,
//! explained in `docs/protocol.md`, appendix A. The messages of the ratchet have their own, beside it.
//!
//! Every secret is drawn from a generator that gives 01 01 01 …, then 02 02 02 …, so each value can be recomputed by
//! hand; `tests/vectors/check.py` does. Where a step is not visible from outside it is derived here once more, and
//! compared with what the code holds. To write the files anew after a deliberate change of the protocol, run these
//! tests with `CONVIVIO_WRITE_VECTORS=1`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use rand::{TryCryptoRng, TryRng};
use serde_json::{Value, json};

use crate::crypto::hpke::{self, Kem};
use crate::crypto::kdf::{self, expand_label};
use crate::envelope::{self, Envelope, EnvelopeType, Opener, Recipient, recipient_id, seal_to};
use crate::group::{
    Actor, Effect, Group, GroupInfo, LeaveScope, MessageContent, Occasion, Policy, Proposal, Said, Transition,
    entry_hash, leave_input, message_id, open_message, seal_message,
};
use crate::identity::{
    AppKey, AppRoot, Capabilities, DeviceIdentity, IdentityKey, KeyPackage, KeyPackageSecrets, PackageOptions,
    SafetyNumber, TrustedApps, UnverifiedDeviceIdentity, UnverifiedLeaf, UserUri,
};
use crate::ids::{DeviceId, LeafIndex, MessageId, Timestamp, Validity};
use crate::labels::{self, Label};
use crate::log::{EntryBody, HubKey, LogEntry, Post, PostBody};
use crate::ratchet::{ReceivingChain, ReceivingChains, SendingChain};
use crate::report::{Evidence, Report};
use crate::secret::Secret;
use crate::wire::{Wire, Writer, labelled};
use crate::{InitSecret, SealSecret, SigningKey};

const NOW: Timestamp = Timestamp(1_800_000_000);
const YEAR: Validity = Validity { not_before: Timestamp(1_790_000_000), not_after: Timestamp(1_820_000_000) };

#[test]
fn the_identity_vectors_hold() {
    let mut rng = Counting(0);
    let ada = Person::new("a.example", "ada", &mut rng);
    let bob = Person::new("b.example", "bob", &mut rng);
    let (package, secrets) = ada.package(&mut rng);
    let number = SafetyNumber::new(
        ada.identity.user(),
        ada.identity.identity_key(),
        bob.identity.user(),
        bob.identity.identity_key(),
    );
    let credential = ada.identity.credential();
    check(
        "identity.json",
        &json!({
            "about": "docs/protocol.md, section 3; every value but the digits is hexadecimal",
            "root_seed": hex(&ada.seeds[0]),
            "app_key_seed": hex(&ada.seeds[1]),
            "identity_seed": hex(&ada.seeds[2]),
            "device_seed": hex(&ada.seeds[3]),
            "app_key_certificate": hex(&credential.app_key_certificate().to_bytes()),
            "credential": hex(&credential.to_bytes()),
            "device_certificate": hex(&ada.identity.certificate().to_bytes()),
            "device_identity_hash": hex(&kdf::hash(labels::HASH_DEVICE_IDENTITY, 1, |w| {
                w.bytes(&ada.identity.to_bytes());
            })),
            "signing_seed": hex(secrets.signing.expose_seed()),
            "seal_secret": hex(secrets.seal.expose().expose()),
            "seal_key": hex(secrets.seal.public().as_bytes()),
            "init_seed": hex(secrets.init.expose().expose()),
            "init_key_hash": hex(&kdf::hash(labels::HASH_INIT_KEY, 1, |w| {
                w.item(package.init_key());
            })),
            "leaf": hex(package.leaf().encoded()),
            "leaf_hash": hex(package.id().as_bytes()),
            "key_package": hex(&package.to_bytes()),
            "safety_number": {
                "users": [ada.identity.user().as_str(), bob.identity.user().as_str()],
                "identity_keys": [
                    hex(ada.identity.identity_key().as_bytes()),
                    hex(bob.identity.identity_key().as_bytes()),
                ],
                "digits": number.digits(),
                "qr": hex(&number.qr()),
            },
        }),
    );
}

#[test]
fn the_envelope_vectors_hold() {
    let sender = SigningKey::from_seed(&[0xa1; 32]);
    let keys = [SealSecret::from_secret(secret(0xb1)), SealSecret::from_secret(secret(0xb2))];
    let ids = keys.each_ref().map(|key| recipient_id(key.public().as_bytes()));
    let recipients: Vec<_> =
        keys.iter().zip(&ids).map(|(key, id)| Recipient::X25519 { id: id.clone(), key: key.public() }).collect();
    let to_two = seal_to(&sender, b"info", &recipients, b"hello", &mut Counting(0xc0)).unwrap();

    let init = InitSecret::from_secret(secret(0xb3));
    let public = init.public();
    let id = recipient_id(&public.to_bytes());
    let to_init = [Recipient::XWing { id: id.clone(), key: &public }];
    let to_init = seal_to(&sender, b"info", &to_init, b"hello", &mut Counting(0xd0)).unwrap();

    let mut stanzas = Vec::new();
    for (key, id) in keys.iter().zip(&ids) {
        stanzas.push(x25519_stanza(&to_two, key, id));
    }
    check(
        "envelope.json",
        &json!({
            "about": "docs/protocol.md, section 4; every value is hexadecimal",
            "sender_seed": hex(sender.expose_seed()),
            "x25519": { "envelope": opened(&to_two, Opener::X25519(&keys[0]), &ids[0]), "stanzas": stanzas },
            "x-wing": {
                "envelope": opened(&to_init, Opener::XWing { secret: &init, public: None }, &id),
                "init_seed": hex(init.expose().expose()),
                "id": hex(&id),
                "shared_secret": hex(
                    init.decapsulate(to_init.stanzas()[0].bytes().first_chunk().unwrap()).unwrap().expose(),
                ),
                "stanza": hex(to_init.stanzas()[0].bytes()),
            },
        }),
    );
}

/// An envelope and what its seed makes of it.
fn opened(envelope: &Envelope, opener: Opener<'_>, id: &[u8]) -> Value {
    let part = envelope.split(id).unwrap();
    let opened = envelope::open(&part, envelope.header().kind(), opener, id).unwrap();
    let seed = opened_seed(&part, opener, id);
    let header = envelope.header();
    json!({
        "bytes": hex(&envelope.to_bytes()),
        "header": hex(header.bytes()),
        "header_hash": hex(&header.hash()),
        "seed": hex(seed.expose()),
        "commitment": derived::<32>(&seed, labels::ENVELOPE_COMMITMENT, &[]),
        "ephemeral_secret": derived::<32>(&seed, labels::ENVELOPE_EPHEMERAL, &[]),
        "ephemeral": header.ephemeral().map(|key| hex(key)),
        "content_key_and_nonce": derived::<44>(&seed, labels::ENVELOPE_CONTENT_KEY, &header.hash()),
        "body": hex(envelope.body()),
        "sender": hex(opened.sender()),
        "payload": hex(opened.claimed_payload()),
    })
}

fn opened_seed(part: &envelope::EnvelopeFor, opener: Opener<'_>, id: &[u8]) -> Secret<32> {
    let unverified = envelope::open(part, part.header().kind(), opener, id).unwrap();
    Secret::copy_from(unverified.seed().expose())
}

fn x25519_stanza(envelope: &Envelope, key: &SealSecret, id: &[u8]) -> Value {
    let (header, part) = (envelope.header(), envelope.split(id).unwrap());
    let enc = header.ephemeral().unwrap();
    let info = labelled(labels::ENVELOPE_STANZA, 6, |w| {
        w.item(&header.suite()).bytes(enc).bytes(&[]).bytes(key.public().as_bytes()).bytes(id).bytes(&header.hash());
    });
    let shared = hpke::dhkem_decap(key, enc).unwrap();
    let seed: Secret<32> = hpke::open(Kem::X25519, &shared, &info, b"", part.stanza()).unwrap();
    assert!(seed.ct_eq(&opened_seed(&part, Opener::X25519(key), id)));
    json!({
        "seal_secret": hex(key.expose().expose()),
        "seal_key": hex(key.public().as_bytes()),
        "id": hex(id),
        "info": hex(&info),
        "shared_secret": hex(shared.expose()),
        "stanza": hex(part.stanza()),
    })
}

/// Ada founds a group and adds Bob; Bob heals; Ada writes.
#[test]
fn the_group_vectors_hold() {
    let mut rng = Counting(0);
    let ada = Person::new("a.example", "ada", &mut rng);
    let bob = Person::new("b.example", "bob", &mut rng);
    let mut apps = TrustedApps::new();
    for person in [&ada, &bob] {
        apps.insert(person.identity.user().domain().clone(), person.identity.credential().root().clone()).unwrap();
    }
    let info = GroupInfo::new("Trip", "").unwrap();
    let founded = Group::create(ada.actor(), Policy::new(apps), info, NOW, &mut rng).unwrap();
    let joiner = secret(rng.0);
    let founding = epoch(&founded.group, &joiner, &founded.chains);

    let (package, secrets) = bob.package(&mut rng);
    let add = vec![Proposal::Add(UnverifiedLeaf::try_from(package.leaf()).unwrap())];
    let init_keys = BTreeMap::from([(package.id(), package.init_key().clone())]);
    let made =
        founded.group.commit(add, &init_keys, Occasion { time: NOW, seen: [0; 32] }, ada.actor(), &mut rng).unwrap();
    let part = made.envelope.split(&LeafIndex(0).encode()).unwrap();
    let entered = founded.group.process(&part, Some(&made.fresh)).unwrap();
    let adding = commit(&founded.group, &made.envelope, (LeafIndex(0), &made.fresh.seal), &entered);
    let welcome = made.welcome.as_ref().unwrap();
    let joined = Group::join(
        &welcome.split(package.id().as_bytes()).unwrap(),
        &package,
        &secrets,
        (made.envelope.header().bytes(), made.envelope.body()),
    )
    .unwrap();
    assert_eq!(joined.group.authenticator(), entered.group.authenticator());
    let opener = Opener::XWing { secret: &secrets.init, public: None };
    let welcome_stanza = welcome.stanzas()[0].bytes();
    let welcoming = json!({
        "envelope": opened(welcome, opener, package.id().as_bytes()),
        "init_seed": hex(secrets.init.expose().expose()),
        "shared_secret": hex(secrets.init.decapsulate(welcome_stanza.first_chunk().unwrap()).unwrap().expose()),
        "seal_secret": hex(secrets.seal.expose().expose()),
        "signing_seed": hex(secrets.signing.expose_seed()),
        "key_package": hex(&package.to_bytes()),
    });

    let seen = entry_hash(made.envelope.header().bytes(), made.envelope.body());
    let occasion = Occasion { time: NOW.after(60), seen };
    let healed = joined.group.commit(Vec::new(), &BTreeMap::new(), occasion, bob.actor(), &mut rng).unwrap();
    let part = healed.envelope.split(&LeafIndex(0).encode()).unwrap();
    let last = entered.group.process(&part, None).unwrap();
    assert!(matches!(&last.changes[..], [Effect::Healed(user, _)] if user == bob.identity.user()));
    let healing = commit(&entered.group, &healed.envelope, (LeafIndex(0), &entered.group.seal), &last);

    let content = MessageContent { nonce: [0xee; 16], said: Said::App(b"ciao".to_vec()) }.encode();
    let seen = entry_hash(healed.envelope.header().bytes(), healed.envelope.body());
    let carried = seal_message(seen.first_chunk().unwrap(), &content);
    let chain = Secret::copy_from(last.chains[0].1.expose());
    let chain = SendingChain::new(LeafIndex(0), chain, last.group.signing.duplicate());
    let (frame, _) = chain.encrypt(last.group.context(), &carried, &mut rng).unwrap();
    let id = message_id(last.group.state.group, ada.identity.user(), ada.identity.device(), &content);
    check("report.json", &report(&last, &frame, id));
    let leave = last.group.signing.sign(&leave_input(last.group.state.group, LeafIndex(0), LeaveScope::User));
    check(
        "group.json",
        &json!({
            "about": "docs/protocol.md, section 5: Ada founds a group and adds Bob, Bob heals, Ada writes; \
                      every value but the numbers is hexadecimal",
            "epochs": [
                founding,
                epoch(&entered.group, &joiner_of(&adding), &entered.chains),
                epoch(&last.group, &joiner_of(&healing), &last.chains),
            ],
            "commits": [adding, healing],
            "welcome": welcoming,
            "message": { "carried": hex(&carried), "content": hex(&content), "frame": hex(&frame), "id": hex(id.as_bytes()) },
            "leave_signature": hex(leave.as_bytes()),
        }),
    );
}

/// Ada's message, reported by a reader: the hub had it as the third entry, a minute after the epoch began.
fn report(epoch: &Transition, frame: &[u8], id: MessageId) -> Value {
    let (state, hub) = (&epoch.group.state, HubKey::new(SigningKey::from_seed(&[0xab; 32])));
    let leaf = state.leaf(LeafIndex(0)).unwrap();
    let mut chains = ReceivingChains::new();
    let chain_key = Secret::copy_from(epoch.chains[0].1.expose());
    chains.insert(LeafIndex(0), ReceivingChain::new(chain_key, leaf.signature_key().clone()));
    chains.keep_proofs(true);
    let received = chains.decrypt(epoch.group.context(), frame).unwrap();
    let (seen, bytes) = open_message(&received.content).unwrap();
    let MessageContent { nonce, said: Said::App(text) } = MessageContent::decode(bytes).unwrap() else { panic!() };
    let at = (received.leaf, received.generation);
    let evidence = Evidence::new((&state.context(), leaf), at, *received.proof.unwrap(), (seen, nonce)).unwrap();
    let entry = LogEntry { group: state.group, seq: 3, body: EntryBody::Message(frame.to_vec()) };
    let stamp = hub.stamp(&entry, state.time.after(60)).unwrap();
    let report = Report::new(&evidence, &text, stamp.clone()).unwrap();
    let verified = report.verify(&state.policy.apps, hub.public()).unwrap();
    assert_eq!((verified.id(), verified.content()), (id, &b"ciao"[..]));
    json!({
        "about": "docs/protocol.md, section 12: a report of the message in group.json; every value but the numbers and \
                  names is hexadecimal",
        "hub_key": hex(hub.public().as_bytes()),
        "trusted_apps": hex(&state.policy.apps.to_bytes()),
        "stamp": hex(&stamp.to_bytes()),
        "evidence": hex(&evidence.to_bytes()),
        "report": hex(&report.to_bytes()),
        "frame": hex(frame),
        "context_hash": hex(&state.context_hash()),
        "verified": {
            "user": verified.user().as_str(),
            "device": hex(verified.device().as_bytes()),
            "content": hex(verified.content()),
            "id": hex(verified.id().as_bytes()),
            "group": hex(verified.group().as_bytes()),
            "epoch": verified.epoch().0,
            "began": verified.began().0,
            "seq": verified.seq(),
            "seen_at": verified.seen_at().0,
        },
    })
}

/// A commit, opened by one of its recipients.
fn commit(before: &Group, sealed: &Envelope, (leaf, key): (LeafIndex, &SealSecret), after: &Transition) -> Value {
    let id = leaf.encode();
    let seed = opened_seed(&sealed.split(&id).unwrap(), Opener::X25519(key), &id);
    let commit_secret: Secret<32> = expand_label(seed.expose(), labels::COMMIT_SECRET, &[]);
    let prk = kdf::extract(before.secrets.init.expose(), commit_secret.expose());
    let joiner: Secret<32> = expand_label(prk.expose(), labels::JOINER, &after.group.state.context_hash());
    let post =
        Post { group: before.state.group, after: 0, body: PostBody::Commit { commit: sealed.clone(), welcome: None } };
    let unverified = envelope::open(&sealed.split(&id).unwrap(), EnvelopeType::Commit, Opener::X25519(key), &id);
    let (by, _) = before.state.member(LeafIndex::decode(unverified.as_ref().unwrap().sender()).unwrap()).unwrap();
    let opening = unverified.unwrap().verify(by.signature_key()).unwrap();
    json!({
        "envelope": opened(sealed, Opener::X25519(key), &id),
        "reader": leaf.0,
        "seal_secret": hex(key.expose().expose()),
        "stanza": hex(sealed.split(&id).unwrap().stanza()),
        "signature": hex(opening.signature().as_bytes()),
        "confirmation": hex(opening.tail()),
        "commit_secret": hex(commit_secret.expose()),
        "joiner_secret": hex(joiner.expose()),
        "entry_hash": hex(&entry_hash(sealed.header().bytes(), sealed.body())),
        "post_id_without_welcome": hex(post.id().as_bytes()),
    })
}

fn joiner_of(commit: &Value) -> Secret<32> {
    let text = commit["joiner_secret"].as_str().unwrap();
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    }
    Secret::from_bytes(&mut bytes)
}

/// The state of an epoch and every secret of it.
fn epoch(group: &Group, joiner: &Secret<32>, chains: &[(LeafIndex, Secret<32>)]) -> Value {
    let context = group.state.context_hash();
    let prk = kdf::extract(joiner.expose(), &[0; 32]);
    let secret: Secret<32> = expand_label(prk.expose(), labels::EPOCH, &context);
    let of_epoch = |label| expand_label::<32>(secret.expose(), label, &[]);
    let secrets = &group.secrets;
    assert!(of_epoch(labels::HEADER_KEY).ct_eq(secrets.context.header_key()));
    assert!(of_epoch(labels::EXPORTER).ct_eq(&secrets.exporter));
    assert!(of_epoch(labels::REQUEST).ct_eq(&secrets.request));
    assert!(of_epoch(labels::INIT).ct_eq(&secrets.init));
    assert_eq!(of_epoch(labels::AUTHENTICATOR).expose(), &secrets.authenticator);
    let root = of_epoch(labels::SENDER_ROOT);
    for (leaf, chain) in chains {
        assert!(expand_label::<32>(root.expose(), labels::SENDER, &leaf.encode()).ct_eq(chain));
    }
    let mut state = Writer::new();
    group.state.write(&mut state);
    json!({
        "epoch": group.state.epoch.0,
        "state": hex(&state.finish()),
        "transcript": hex(&group.state.transcript),
        "context_hash": hex(&context),
        "joiner_secret": hex(joiner.expose()),
        "epoch_secret": hex(secret.expose()),
        "header_key": hex(of_epoch(labels::HEADER_KEY).expose()),
        "confirm_key": hex(of_epoch(labels::CONFIRM_KEY).expose()),
        "exporter": hex(of_epoch(labels::EXPORTER).expose()),
        "authenticator": hex(of_epoch(labels::AUTHENTICATOR).expose()),
        "request": hex(of_epoch(labels::REQUEST).expose()),
        "sender_root": hex(root.expose()),
        "init_secret": hex(of_epoch(labels::INIT).expose()),
        "chains": chains.iter().map(|(leaf, key)| json!([leaf.0, hex(key.expose())])).collect::<Vec<_>>(),
        "export_call_01": hex(group.export("call", &[1]).expose()),
    })
}

/// A user with one device, and all seeds: root, app key, identity key, device key.
struct Person {
    seeds: [[u8; 32]; 4],
    identity: DeviceIdentity,
    key: SigningKey,
    capabilities: Capabilities,
}

impl Person {
    fn new(domain: &str, name: &str, rng: &mut Counting) -> Self {
        let seeds = [[rng.next(); 32], [rng.next(); 32], [rng.next(); 32], [rng.next(); 32]];
        let root = AppRoot::from_seed(domain.parse().unwrap(), &seeds[0]);
        let app_key = SigningKey::from_seed(&seeds[1]);
        let certificate = root.certify(app_key.verify_key(), YEAR);
        let app = AppKey::new(app_key, certificate).unwrap();
        let identity = IdentityKey::from_seed(&seeds[2]);
        let key = SigningKey::from_seed(&seeds[3]);
        let user = UserUri::new(root.domain(), name).unwrap();
        let credential = app.vouch(&user, identity.public(), YEAR).unwrap();
        let device = DeviceId::from_bytes([rng.next(); 16]);
        let certificate = identity.certify_device(&user, device, key.verify_key(), 1, YEAR.not_before).unwrap();
        let mut trust = TrustedApps::new();
        trust.insert(root.domain().clone(), root.public().clone()).unwrap();
        let identity = UnverifiedDeviceIdentity::new(credential, certificate).verify(&trust, NOW).unwrap();
        Self { seeds, identity, key, capabilities: Capabilities::default() }
    }

    fn actor(&self) -> Actor<'_> {
        Actor { identity: &self.identity, signer: &self.key, capabilities: &self.capabilities }
    }

    fn package(&self, rng: &mut Counting) -> (KeyPackage, KeyPackageSecrets) {
        let validity = Validity::starting(NOW, 1_000_000);
        let options = PackageOptions { capabilities: self.capabilities.clone(), validity, last_resort: false };
        KeyPackage::create(&self.identity, &self.key, options, rng).unwrap()
    }
}

fn derived<const N: usize>(seed: &Secret<32>, label: Label, context: &[u8]) -> String {
    hex(expand_label::<N>(seed.expose(), label, context).expose())
}

fn secret(byte: u8) -> Secret<32> {
    Secret::from_bytes(&mut [byte; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(file: &str, made: &Value) {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let made = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("CONVIVIO_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(made == std::fs::read_to_string(&path).unwrap(), "{file} says otherwise");
}

/// Gives 01 01 01 …, then 02 02 02 …
struct Counting(u8);

impl Counting {
    fn next(&mut self) -> u8 {
        self.0 += 1;
        self.0
    }
}

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.next(); 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.next(); 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.next());
        Ok(())
    }
}

impl TryCryptoRng for Counting {}
