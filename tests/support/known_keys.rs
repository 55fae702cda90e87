//! A story all of whose keys are known: drawn from a generator that tells what it gave, or derived by hand as
//! `docs/protocol.md` has it, and not by the crate.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::sync::{Arc, Mutex};

use convivio::client::{Answer, DeviceKeys, Environment, Event};
use convivio::envelope::{self, Envelope, EnvelopeType, Opener};
use convivio::group::GroupInfo;
use convivio::identity::{IdentityKey, UnverifiedKeyPackage};
use convivio::log::{Post, PostBody};
use convivio::store::Store;
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, DeviceId, GroupId, SealSecret, Secret, SigningKey, Timestamp, Validity};
use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use rand::rand_core::{Infallible, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

pub type Key = [u8; 32];

pub const NOW: Timestamp = Timestamp(1_800_000_000);
pub const IDENTITIES: [Key; 2] = [key(101), key(102)];
pub const DEVICES: [Key; 2] = [key(103), key(104)];

/// A key that nothing else looks like.
pub const fn key(n: u64) -> Key {
    let (mut key, mut state, mut i) = ([0; 32], (n << 40) + 1, 0);
    while i < 32 {
        if i % 8 == 0 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        key[i] = (mixed(state) >> (i % 8 * 8)) as u8;
        i += 1;
    }
    key
}

/// The finisher of SplitMix64.
const fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What was drawn, in order, by whoever shares it.
pub type Draws = Arc<Mutex<Vec<Vec<u8>>>>;

/// SplitMix64, written piece by piece into its place: unlike a real generator it keeps no block of its output.
pub struct Told(u64, Option<Draws>);

impl Told {
    pub fn new(seed: u64, draws: Option<&Draws>) -> Self {
        Self(seed << 40, draws.cloned())
    }
}

impl TryRng for Told {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Ok(mixed(self.0))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for piece in out.chunks_mut(8) {
            let number = self.try_next_u64()?.to_le_bytes();
            piece.copy_from_slice(&number[..piece.len()]);
        }
        if let Some(draws) = &self.1 {
            draws.lock().unwrap().push(out.to_vec());
        }
        Ok(())
    }
}

impl TryCryptoRng for Told {}

impl Environment for Told {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        self
    }
}

/// Maria and Bob in a group, and what one needs to derive its keys.
pub struct Story {
    pub app: App,
    pub hub: LocalHub,
    pub maria: Client,
    pub bob: Client,
    pub group: GroupId,
    /// Context hash and authenticator of each epoch.
    pub epochs: Vec<(Key, Key)>,
    /// Maria's frames of each epoch.
    pub frames: Vec<Vec<Vec<u8>>>,
    pub posts: Vec<Post>,
    pub events: Vec<Event>,
}

pub fn device(app: &App, who: usize, rng: &mut dyn CryptoRng) -> DeviceKeys {
    let (identity, key) = (IdentityKey::from_seed(&IDENTITIES[who]), SigningKey::from_seed(&DEVICES[who]));
    let device = app.certify(["maria", "bob"][who], &identity, (DeviceId::generate(rng), 0), &key).unwrap();
    DeviceKeys::new(device, key).unwrap()
}

impl Story {
    /// Founded in epoch 0, joined in 1, talked in, healed to 2, talked in again.
    pub fn play(stores: [Box<dyn Store>; 2], draws: Option<&Draws>) -> Self {
        let mut rng = Told::new(1, draws);
        let app =
            App::new_in("photos.example", Validity::starting(Timestamp(NOW.0 - 60), 1_000_000), &mut rng).unwrap();
        let [first, second] = stores;
        let mut maria = Client::create_in(first, device(&app, 0, &mut rng), Told::new(2, draws)).unwrap();
        let bob = Client::create_in(second, device(&app, 1, &mut rng), Told::new(3, draws)).unwrap();
        let info = GroupInfo::new("Trip", "").unwrap();
        let group = maria.create_group(App::policy(&[&app]).unwrap(), info).unwrap();
        let (hub, epochs, frames) = (LocalHub::new(), Vec::new(), vec![Vec::new()]);
        let mut story = Self { app, hub, maria, bob, group, epochs, frames, posts: Vec::new(), events: Vec::new() };
        story.entered();
        let package = UnverifiedKeyPackage::try_from(&story.bob.key_packages(1).unwrap()[0]).unwrap();
        story.commit(Change::Add(vec![package]));
        story.bob.answer(&group, Answer::Accept).unwrap();
        story.talk();
        story.commit(Change::Heal);
        story.talk();
        story
    }

    /// Maria's commits, in order.
    fn commits(&self) -> Vec<&Envelope> {
        let mut commits: Vec<&Envelope> = Vec::new();
        for post in &self.posts {
            let PostBody::Commit { commit, .. } = &post.body else { continue };
            if !commits.contains(&commit) {
                commits.push(commit);
            }
        }
        commits
    }

    fn entered(&mut self) {
        let view = self.maria.group(&self.group).unwrap();
        self.epochs.push((view.state().context_hash(), *view.authenticator()));
    }

    fn commit(&mut self, change: Change) {
        self.maria.change(&self.group, change).unwrap();
        self.quiet();
        self.entered();
        self.frames.push(Vec::new());
    }

    /// Three messages of Maria's, one of Bob's, all read and acknowledged.
    fn talk(&mut self) {
        for n in 0..3 {
            self.maria.send(&self.group, format!("words that nobody else should read, number {n}").as_bytes()).unwrap();
        }
        self.bob.send(&self.group, b"and an answer").unwrap();
        self.quiet();
    }

    fn quiet(&mut self) {
        for turn in 0..6 {
            let client = if turn % 2 == 0 { &mut self.maria } else { &mut self.bob };
            let posts = client.outbox(usize::MAX).unwrap();
            self.hub.post_outbox(client).unwrap();
            let entries = self.hub.deliver(client).unwrap();
            self.events.extend(client.receive(&entries).unwrap().0);
            if let Some(last) = client.inbox(usize::MAX).unwrap().last() {
                client.ack(last.id).unwrap();
            }
            for post in &posts {
                if let (PostBody::Message(frame), 0) = (&post.body, turn % 2) {
                    self.frames.last_mut().unwrap().push(frame.clone());
                }
            }
            self.posts.extend(posts);
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Key {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().into()
}

/// expand_label(secret, label, context, n), section 2.3.
pub fn expand<const N: usize>(secret: &Key, label: &str, context: &[u8]) -> [u8; N] {
    let mut info = minicbor::Encoder::new(Vec::new());
    info.array(3).unwrap().str(label).unwrap().bytes(context).unwrap().u64(N as u64).unwrap();
    let mut out = [0; N];
    hkdf::Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info.into_writer(), &mut out).unwrap();
    out
}

/// A secret and what to call it.
pub type Known = (String, Vec<u8>);

/// The key schedule (section 5.4).
fn epoch_secret(joiner: &Key, context: &Key) -> Key {
    expand(&hmac(joiner, &[0; 32]), "epoch", context)
}

fn commit_secrets(init: &Key, seed: &Key, context: &Key) -> [Key; 2] {
    let commit = expand(seed, "commit secret", b"");
    [commit, expand(&hmac(init, &commit), "joiner", context)]
}

/// The keys of one epoch.
pub struct Epoch {
    pub kept: Vec<Known>,
    pub passing: Vec<Known>,
    init: Key,
    sender_root: Key,
}

impl Epoch {
    fn new(n: usize, joiner: &Key, context: &Key) -> Self {
        let secret = epoch_secret(joiner, context);
        let named = |label: &str| (format!("epoch {n}: {label}"), expand::<32>(&secret, label, b"").to_vec());
        let passing = vec![
            (format!("epoch {n}: joiner secret"), joiner.to_vec()),
            (format!("epoch {n}: epoch secret"), secret.to_vec()),
            named("confirm key"),
            named("sender root"),
        ];
        let kept = ["header key", "exporter", "request", "init"].map(named).to_vec();
        Self { kept, passing, init: expand(&secret, "init", b""), sender_root: expand(&secret, "sender root", b"") }
    }

    /// One sender's chain: what `sent` messages used up, and the chain key that is next.
    fn chain(&self, n: usize, leaf: u8, sent: usize, frames: &[Vec<u8>]) -> (Vec<Known>, Known) {
        let name = |what: &str, i: usize| format!("epoch {n}: leaf {leaf}'s {what} {i}");
        let mut chain_key: Key = expand(&self.sender_root, "sender", &[leaf]);
        let mut used = Vec::new();
        for i in 0..sent {
            let message_key = hmac(&chain_key, &[1]);
            used.push((name("chain key", i), chain_key.to_vec()));
            used.push((name("message key", i), message_key.to_vec()));
            if let Some(frame) = frames.get(i) {
                let key: [u8; 44] = expand(&message_key, "message", &frame[21..37]);
                used.push((name("AEAD key", i), key[..32].to_vec()));
            }
            chain_key = hmac(&chain_key, &[2]);
        }
        (used, (name("chain key", sent), chain_key.to_vec()))
    }
}

/// All that was secret in the story, by whether the two still need it in the end.
pub struct Secrets {
    /// In the store: private keys, the present epoch's secrets, the next chain keys, earlier request keys.
    pub held: Vec<Known>,
    /// Used up, or of an epoch that is over, or never stored.
    pub gone: Vec<Known>,
    /// All 32 bytes that were drawn: seeds of private keys and of envelopes, salts. Some of them are among the others.
    pub draws: Vec<Known>,
}

impl Secrets {
    pub fn all(&self) -> impl Iterator<Item = Known> {
        self.draws.iter().chain(&self.held).chain(&self.gone).cloned()
    }
}

/// What the seed of a commit depends on besides a draw (section 4.2), read with the author's fresh keys.
fn sealed_content(commit: &Envelope, draws: &[Key]) -> Key {
    let part = commit.split(&[0]).unwrap();
    let open = |draw: &Key| {
        let secret = SealSecret::from_secret(Secret::from_bytes(&mut draw.clone()));
        envelope::open(&part, EnvelopeType::Commit, Opener::X25519(&secret), &[0]).ok()
    };
    let seal = draws.iter().find(|draw| open(draw).is_some()).expect("the committer drew its key");
    let verified = |draw: &Key| open(seal)?.verify(SigningKey::from_seed(draw).verify_key()).ok();
    let opened = draws.iter().find_map(verified).expect("the committer drew its key");
    let mut content = minicbor::Encoder::new(Vec::new());
    content.bytes(opened.payload()).unwrap();
    Sha256::digest(content.into_writer()).into()
}

/// Derives the secrets of a story. Which draw was which seed, the authenticators tell: they are public.
pub fn derive(story: &Story, draws: &Draws) -> Secrets {
    let draws: Vec<Key> = draws.lock().unwrap().iter().filter_map(|draw| draw.as_slice().try_into().ok()).collect();
    let leads_to = |joiner: &Key, (context, authenticator): &(Key, Key)| {
        expand::<32>(&epoch_secret(joiner, context), "authenticator", b"") == *authenticator
    };
    let (mut held, mut gone) = (Vec::new(), Vec::new());
    let mut joiner = *draws.iter().find(|draw| leads_to(draw, &story.epochs[0])).expect("the founder drew it");
    let last = story.epochs.len() - 1;
    for (n, of) in story.epochs.iter().enumerate() {
        let epoch = Epoch::new(n, &joiner, &of.0);
        let [maria, bob] = [(0, 3, &story.frames[n][..]), (1, 1, &[])]
            .map(|(leaf, sent, frames)| epoch.chain(n, leaf, if n == 0 { 0 } else { sent }, frames));
        gone.extend(epoch.passing);
        gone.extend(maria.0.into_iter().chain(bob.0));
        let next = epoch.kept.into_iter().chain([maria.1, bob.1]);
        let (kept, over): (Vec<_>, Vec<_>) = next.partition(|(name, _)| n == last || name.ends_with("request"));
        held.extend(kept);
        gone.extend(over);
        if let Some(next) = story.epochs.get(n + 1) {
            let content = sealed_content(story.commits()[n], &draws);
            let seeds = draws.iter().map(|draw| expand(draw, "envelope seed", &content));
            let all = seeds.map(|seed| (seed, commit_secrets(&epoch.init, &seed, &next.0)));
            let (seed, [commit, next_joiner]) =
                { all }.find(|(_, [_, joiner])| leads_to(joiner, next)).expect("the committer drew it");
            gone.push((format!("epoch {n}: commit seed"), seed.to_vec()));
            gone.push((format!("epoch {n}: commit secret"), commit.to_vec()));
            let ephemeral: Key = expand(&seed, "envelope ephemeral", b"");
            gone.push((format!("epoch {n}: ephemeral key of the commit"), ephemeral.to_vec()));
            joiner = next_joiner;
        }
    }
    for (who, name) in ["maria", "bob"].into_iter().enumerate() {
        held.push((format!("{name}'s device key"), DEVICES[who].to_vec()));
        gone.push((format!("{name}'s identity key"), IDENTITIES[who].to_vec()));
    }
    let all = draws.iter().enumerate().map(|(i, draw)| (format!("draw {i}"), draw.to_vec())).collect();
    Secrets { held, gone, draws: all }
}
