//! However a hub hands its log over, in pieces, twice, out of order, across restarts: what a device makes of it is what
//! it makes of the entries one by one (`docs/protocol.md`, section 5.6 and 7.4). The log itself is what an insider and a
//! hub may put there.

use std::sync::{Arc, Mutex};

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::{Client, Environment, EventKind, Summary};
use convivio::log::{EntryBody, LogEntry};
use convivio::{MessageId, SigningKey, Timestamp};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use super::town::{NOW, Shared, tag, town};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Whether Bob has things to send and a commit under way.
    busy: bool,
    log: Vec<Entry>,
    plan: Vec<Piece>,
}

#[derive(Arbitrary, Debug)]
enum Entry {
    /// Maria says something, at this generation.
    Says(u8, Vec<u8>),
    /// So does someone with her chain key but not her signing key.
    Forged(u8),
    /// She asks who is there.
    Asks(u8),
    /// She wants to leave, with a signature that is none.
    Leaves(u8),
    Raw(Vec<u8>),
    /// A frame under Bob's leaf, by someone with all of his keys or with his chain key only.
    Own(u8, bool),
    /// Frames of the epoch that the honest commit leads to.
    Next(u8),
    Commit,
    CommitUnopened,
    CommitSpoiled(u16, u8),
    Welcome,
    Request,
    /// Posts of Bob's own, when he was busy, as they come back.
    Echo(u8),
}

/// What one fetch hands over.
#[derive(Arbitrary, Debug)]
enum Piece {
    /// These entries, in this order.
    Some(Vec<u8>),
    /// The next so many.
    Next(u8),
    All,
    Restart,
}

/// Dice that fall on across restarts.
struct Dice(Arc<Mutex<StdRng>>, StdRng);

impl Environment for Dice {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        self.1 = StdRng::from_rng(&mut *self.0.lock().unwrap());
        &mut self.1
    }
}

struct Reader {
    store: Shared,
    client: Client,
    dice: Arc<Mutex<StdRng>>,
    events: Vec<(u64, EventKind)>,
    void: u32,
    echoes: Vec<MessageId>,
}

pub fn run(data: &[u8]) {
    let Ok(Input { busy, log, plan }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let log = entries(busy, &log[..log.len().min(24)]);
    let mut one_by_one = Reader::new(busy);
    log.iter().for_each(|entry| one_by_one.receive(std::slice::from_ref(entry)));

    let mut in_pieces = Reader::new(busy);
    plan.iter().take(24).for_each(|piece| in_pieces.fetch(&log, piece));
    // At last the hub hands over everything.
    in_pieces.receive(&log);

    assert_eq!(in_pieces.events, one_by_one.events, "{plan:?}");
    assert_eq!((in_pieces.void, in_pieces.echoes), (one_by_one.void, one_by_one.echoes), "{plan:?}");
    let [pieces, single] = [&in_pieces.store, &one_by_one.store].map(|store| {
        let mut records = store.records();
        records.retain(|key, _| ![tag::VERSION, tag::COUNTERS, tag::EVENT].contains(&key.as_bytes()[0]));
        records
    });
    assert!(pieces == single, "the stores differ in {:?}", super::town::changed(&pieces, &single));
}

impl Reader {
    fn new(busy: bool) -> Self {
        let store = Shared::of(if busy { &town().busy } else { &town().bob });
        let dice = Arc::new(Mutex::new(StdRng::seed_from_u64(77)));
        let client = open(&store, &dice);
        Self { store, client, dice, events: Vec::new(), void: 0, echoes: Vec::new() }
    }

    fn fetch(&mut self, log: &[LogEntry], piece: &Piece) {
        match piece {
            _ if log.is_empty() => {}
            Piece::Some(which) => {
                let some: Vec<_> = which.iter().take(32).map(|n| log[usize::from(*n) % log.len()].clone()).collect();
                self.receive(&some);
            }
            Piece::Next(count) => {
                let next = self.client.group(&town().group).unwrap().next_entry();
                let rest = log.iter().filter(|entry| entry.seq >= next).take((*count % 8).into());
                self.receive(&rest.cloned().collect::<Vec<_>>());
            }
            Piece::All => self.receive(log),
            Piece::Restart => self.client = open(&self.store, &self.dice),
        }
    }

    fn receive(&mut self, entries: &[LogEntry]) {
        let (events, Summary { echoes, .. }) = self.client.receive(entries).unwrap();
        self.echoes.extend(echoes);
        for event in events {
            match event.what {
                EventKind::Void { entries } => self.void += entries,
                EventKind::Gap { .. } => {}
                what => self.events.push((event.seq, what)),
            }
        }
    }
}

fn open(store: &Shared, dice: &Arc<Mutex<StdRng>>) -> Client {
    let environment = Dice(Arc::clone(dice), StdRng::seed_from_u64(0));
    Client::open_in(store.clone(), None, environment).unwrap()
}

fn entries(busy: bool, log: &[Entry]) -> Vec<LogEntry> {
    let group = town().group;
    let next = if busy { town().fresh.seq } else { town().next };
    (next..).zip(log).map(|(seq, entry)| LogEntry { group, seq, body: body(entry) }).collect()
}

fn body(entry: &Entry) -> EntryBody {
    let (town, other) = (town(), SigningKey::from_seed(&[1; 32]));
    let maria = &town.maria;
    let said = |kind: u8, said: &[u8]| {
        let content = [&[0x83, 0x50][..], &[7; 16], &[kind], said].concat();
        [&[0x82, 0x50][..], &[0; 16], &[0x58, u8::try_from(content.len()).unwrap()], &content].concat()
    };
    let frame = |by: &super::town::Insider, at: u8, what: &[u8], key: SigningKey| {
        EntryBody::Message(by.frame((at % 12).into(), what, key))
    };
    match entry {
        Entry::Says(at, text) => {
            let text = &text[..text.len().min(23)];
            frame(maria, *at, &said(0, &[&[0x40 | text.len() as u8][..], text].concat()), maria.signing())
        }
        Entry::Forged(at) => frame(maria, *at, &said(0, b"\x43lie"), other),
        Entry::Asks(at) => frame(maria, *at, &said(2, &[0xf5]), maria.signing()),
        Entry::Leaves(at) => {
            let leave = [&[0x82, 0xf5, 0x58, 0x40][..], &[3; 64]].concat();
            frame(maria, *at, &said(1, &leave), maria.signing())
        }
        Entry::Raw(bytes) => EntryBody::Message(bytes.clone()),
        Entry::Own(at, all) => {
            let bob = &town.bob_inside;
            frame(bob, *at, &said(0, b"\x43own"), if *all { bob.signing() } else { other })
        }
        Entry::Next(at) => {
            let after = &town.maria_after;
            frame(after, *at, &said(0, b"\x44next"), after.signing())
        }
        Entry::Commit => town.commit.body.clone(),
        Entry::CommitUnopened => {
            let EntryBody::Commit { header, body, .. } = &town.commit.body else { panic!("not a commit") };
            EntryBody::Commit { header: header.clone(), stanza: None, body: body.clone() }
        }
        Entry::CommitSpoiled(at, flip) => {
            let EntryBody::Commit { header, stanza, mut body } = town.commit.body.clone() else {
                panic!("not a commit")
            };
            let at = usize::from(*at) % body.len();
            body[at] ^= flip;
            EntryBody::Commit { header, stanza, body }
        }
        Entry::Welcome => town.welcome.body.clone(),
        Entry::Request => EntryBody::Request(None),
        Entry::Echo(which) => town.echoes[usize::from(*which) % town.echoes.len()].clone(),
    }
}

pub fn seeds() -> Seeds {
    noise(&[40, 200, 700])
}
