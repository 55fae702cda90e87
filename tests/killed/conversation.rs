//! What a test and the device that it kills say to each other: frames on the device's standard input and output, each
//! a length of 4 bytes, little-endian, and as many bytes of `postcard`.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convivio::client::{Environment, Event};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage, UserUri};
use convivio::log::{LogEntry, Post};
use convivio::testing::App;
use convivio::{GroupId, LeafHash, LeafIndex, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the device is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub what: Command,
    /// Where it is to stand still and wait for its end, if it comes there.
    pub stop: Option<Stop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    BeforeTheWrite,
    AfterTheWrite,
}

/// The calls of a client. Each is one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    KeyPackage,
    Found,
    Change(GroupId, Wanted),
    Send(GroupId, String),
    Outbox,
    Posted(Box<Post>, Answered),
    Receive(Vec<LogEntry>),
    Ack(Event),
    Accept(GroupId),
    Forget(GroupId),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Wanted {
    Add(Vec<UnverifiedKeyPackage>),
    Remove(UserUri),
    MakeOwner(UserUri),
    Rename(String),
    Heal,
    Rejoin,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Answered {
    Accepted,
    Behind,
    Refused,
}

impl Command {
    /// What a table calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::KeyPackage => "key package",
            Self::Found => "found",
            Self::Change(_, Wanted::Rejoin) => "rejoin",
            Self::Change(..) => "change",
            Self::Send(..) => "send",
            Self::Outbox => "outbox",
            Self::Posted(..) => "posted",
            Self::Receive(_) => "receive",
            Self::Ack(_) => "ack",
            Self::Accept(_) => "answer",
            Self::Forget(_) => "forget",
        }
    }
}

/// What the device says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    /// It is about to write to its store.
    Writes,
    /// It has written.
    Written,
    /// It has done what it was told, or has started; and this is what it holds now.
    Done(Done, Box<View>),
    /// It could not.
    Failed(String),
}

/// What a call gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Done {
    Nothing,
    KeyPackage(Box<UnverifiedKeyPackage>),
    Posts(Vec<Post>),
}

/// All that can be seen of a client that its store must keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The store's version: how many transactions there were.
    pub version: u64,
    pub packages: Vec<LeafHash>,
    pub inbox: Vec<Event>,
    pub groups: Vec<GroupSeen>,
    /// What is read: group, leaf, next entry.
    pub reads: Vec<(GroupId, LeafIndex, u64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSeen {
    pub group: GroupId,
    pub status: String,
    pub epoch: u64,
    pub leaf: LeafIndex,
    pub next: u64,
    pub queued: usize,
    pub authenticator: [u8; 32],
    pub context_hash: [u8; 32],
    /// The key under which headers of this epoch's messages are masked, from the record; for the test's own book of which
    /// generation was used for what.
    pub header_key: Vec<u8>,
}

impl View {
    #[must_use]
    pub fn group(&self, group: &GroupId) -> Option<&GroupSeen> {
        self.groups.iter().find(|seen| seen.group == *group)
    }
}

/// Sends one frame.
///
/// # Errors
/// Those of the pipe.
pub fn write(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_allocvec(what).map_err(io::Error::other)?;
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&[len.to_le_bytes().as_slice(), &bytes].concat())?;
    to.flush()
}

/// Takes one frame.
///
/// # Errors
/// Those of the pipe, among them its end, also in the middle of a frame.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
    from.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

/// The app of this seed, the same in both processes, and the identity key of the user who is going to be killed.
///
/// # Panics
/// Never: the domain is one.
#[must_use]
pub fn app(seed: u64) -> (App, IdentityKey, StdRng) {
    let mut rng = StdRng::seed_from_u64(seed);
    let validity = Validity::starting(Timestamp(START - 3600), 365 * 86_400);
    let app = App::new_in("photos.example", validity, &mut rng).unwrap();
    let identity = IdentityKey::generate(&mut rng);
    (app, identity, rng)
}

/// When all of it begins.
pub const START: u64 = 1_800_000_000;

/// The time, the same for all who hold a copy.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicU64>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }
}

impl Clock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// Time that stands still unless it is told otherwise, and randomness from a seed.
pub struct Simulated(Clock, StdRng);

impl Simulated {
    #[must_use]
    pub fn new(clock: &Clock, seed: u64) -> Self {
        Self(clock.clone(), StdRng::seed_from_u64(seed))
    }
}

impl Environment for Simulated {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.0.load(Ordering::Relaxed))
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}
