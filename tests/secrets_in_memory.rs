//! Attack 27: what a dropped client leaves in the memory of its process.
//!
//! A child plays a story all of whose keys its parent can derive, drops everything, and searches its own memory for
//! them. It never holds the keys for the search: it gets them masked, and compares masked.

#![cfg(target_os = "linux")]

#[path = "support/known_keys.rs"]
mod known_keys;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use convivio::envelope::{self, Opener, Recipient};
use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SenderKey, SendingChain};
use convivio::store::{ChangeSet, MemoryStore, RecordKey, SealedStore, Store, StoreError, StoreKey};
use convivio::{Client, Epoch, GroupId, InitSecret, LeafIndex, SealSecret, Secret, SigningKey};
use known_keys::{Draws, Key, Known, Story, Told, derive, key};
use zeroize::Zeroizing;

const NAME: &str = "row_27_a_dropped_client_leaves_no_key_in_memory";
const CHILD: &str = "CONVIVIO_SEARCHES_ITSELF";
const MASK: u64 = 0xa5c3_96f0_5a3c_690f;

/// A disk that outlives its clients.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<MemoryStore>>);

impl Store for Disk {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.0.lock().unwrap().apply(changes)
    }
}

/// Of a store, a reader of envelopes, the same by X-Wing, their sender, and a sender of messages and its chain and epoch.
static KEYS: [Key; 7] = [key(201), key(202), key(203), key(204), key(205), key(206), key(207)];

/// One of them, copied to nowhere else.
fn secret(n: usize) -> Secret<32> {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(&KEYS[n]);
    Secret::from_bytes(&mut bytes)
}

fn store_key() -> StoreKey {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(&KEYS[0]);
    StoreKey::from_bytes(&mut bytes)
}

/// Maria's store is plain, Bob's is sealed.
fn play([plain, sealed]: &[Disk; 2], draws: Option<&Draws>) -> Story {
    let sealed = SealedStore::create(sealed.clone(), store_key()).unwrap();
    Story::play([Box::new(plain.clone()), Box::new(sealed)], draws)
}

/// Both open their stores again and look at what is in them.
fn reopen([plain, sealed]: &[Disk; 2]) -> [Client; 2] {
    let stores: [Box<dyn Store>; 2] =
        [Box::new(plain.clone()), Box::new(SealedStore::open(sealed.clone(), store_key()).unwrap())];
    stores.map(|store| {
        let mut client = Client::open_in(store, None, Told::new(5, None)).unwrap();
        client.subscriptions().unwrap();
        client
    })
}

/// What the parts of the library do with keys when they are used alone.
fn use_alone() {
    let mut rng = Told::new(6, None);
    let (reader, init, signer) =
        (SealSecret::from_secret(secret(1)), InitSecret::from_secret(secret(2)), SigningKey::from_seed(&KEYS[3]));
    let public = init.public();
    let ways = [
        (Recipient::X25519 { id: vec![1], key: reader.public() }, Opener::X25519(&reader)),
        (Recipient::XWing { id: vec![1], key: &public }, Opener::XWing { secret: &init, public: None }),
    ];
    for (recipient, opener) in ways {
        let part = envelope::seal_to(&signer, b"", &[recipient], b"enclosed", &mut rng).unwrap().split(&[1]).unwrap();
        envelope::open_from(&part, opener, &[1]).unwrap();
    }

    let epoch = EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [2; 32], secret(6));
    let chain = SendingChain::new(LeafIndex(3), secret(5), SigningKey::from_seed(&KEYS[4]));
    let sender_key = SenderKey::from_secret_bytes(&chain.sender_key().to_secret_bytes()).unwrap();
    let mut chains = ReceivingChains::new();
    chains.insert(LeafIndex(3), ReceivingChain::from_sender_key(sender_key));
    let (frame, _) = chain.encrypt(&epoch, b"a message", &mut rng).unwrap();
    chains.decrypt(&epoch, &frame).unwrap();
}

#[test]
fn row_27_a_dropped_client_leaves_no_key_in_memory() {
    if std::env::var_os(CHILD).is_some() {
        search_myself();
        return;
    }
    let draws = Draws::default();
    let secrets = derive(&play(&Default::default(), Some(&draws)), &draws);
    let alone = KEYS.iter().enumerate().map(|(n, key)| (format!("key {n}"), key.to_vec()));
    let found = child(&secrets.all().chain(alone).collect::<Vec<_>>());
    let nothing = BTreeMap::new();
    let found = |when: &str| found.get(when).unwrap_or(&nothing);
    for (name, _) in &secrets.held {
        assert!(found("alive").contains_key(name), "{name} is needed, and not found: the search does not work");
    }
    let used: Vec<_> = secrets.gone.iter().filter_map(|(name, _)| found("alive").get_key_value(name)).collect();
    assert!(used.is_empty(), "used, and still in memory beside the living clients: {used:?}");
    assert!(found("dropped").is_empty(), "left behind: {:?}", found("dropped"));
}

/// What the child found: when, what, and in which parts of its memory.
fn child(secrets: &[Known]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    for (n, (_, key)) in secrets.iter().enumerate() {
        for part in key.windows(8) {
            lines.push_str(&format!("{n} {}\n", u64::from_le_bytes(part.try_into().unwrap()) ^ MASK));
        }
    }
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("searched"), "{text}");
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("found ")) {
        let mut words = line.splitn(3, ' ');
        let [n, when, place] = [(); 3].map(|()| words.next().unwrap());
        let name = secrets[n.parse::<usize>().unwrap()].0.clone();
        found.entry(when.to_owned()).or_default().entry(name).or_default().push_str(&format!("{place}; "));
    }
    found
}

/// The child: searches while the clients live, and after they, others on the same stores, and the stores were dropped.
fn search_myself() {
    let mut search = Search::read();
    let disks: [Disk; 2] = Default::default();
    let story = play(&disks, None);
    search.run("alive");
    drop(story);
    // Several times: what is left once may be overwritten by chance.
    for _ in 0..3 {
        drop(reopen(&disks));
        use_alone();
    }
    drop(disks);
    search.run("dropped");
    println!("searched");
}

struct Search {
    parts: HashMap<u64, usize>,
    /// The low 16 bits of the parts: most of the memory is none of them.
    likely: Vec<bool>,
    chunk: Vec<u8>,
}

impl Search {
    fn read() -> Self {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).unwrap();
        let part = |line: &str| -> (u64, usize) {
            let (n, masked) = line.split_once(' ').unwrap();
            (masked.parse().unwrap(), n.parse().unwrap())
        };
        let parts: HashMap<u64, usize> = text.lines().map(part).collect();
        let mut likely = vec![false; 1 << 16];
        parts.keys().for_each(|masked| likely[(masked & 0xffff) as usize] = true);
        Self { parts, likely, chunk: vec![0; 1 << 20] }
    }

    /// Searches all memory that this process can write, but for the buffer it reads it into.
    fn run(&mut self, when: &str) {
        let (own, mut memory) = (self.chunk.as_ptr() as u64, File::open("/proc/self/mem").unwrap());
        let own = own..own + self.chunk.len() as u64;
        let mut found = BTreeSet::new();
        for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (from, to) = words[0].split_once('-').unwrap();
            let [mut at, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            if !words[1].starts_with("rw") {
                continue;
            }
            let place = words.get(5).copied().unwrap_or("other");
            while at < to {
                if own.contains(&at) {
                    at = own.end;
                    continue;
                }
                let stop = if at < own.start { to.min(own.start) } else { to };
                let length = (stop - at).min(self.chunk.len() as u64) as usize;
                memory.seek(SeekFrom::Start(at)).unwrap();
                if memory.read_exact(&mut self.chunk[..length]).is_ok() {
                    found.extend(self.in_chunk(length).into_iter().map(|n| (n, place.to_owned())));
                }
                at += length as u64;
            }
        }
        self.chunk.fill(0);
        for (n, place) in found {
            println!("found {n} {when} {place}");
        }
    }

    /// Every eight bytes of it, masked.
    fn in_chunk(&self, length: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut window = 0;
        for byte in &self.chunk[..length] {
            window = window >> 8 | u64::from(*byte) << 56;
            let masked = window ^ MASK;
            if self.likely[(masked & 0xffff) as usize] {
                found.extend(self.parts.get(&masked));
            }
        }
        found
    }
}
