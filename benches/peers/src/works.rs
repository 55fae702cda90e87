//! What is asked of every peer. Each does the same work with its own means, and times only that work.

use std::path::Path;
use std::time::{Duration, Instant};

/// A library, with the means to do the works.
pub trait Peer {
    /// As it is called in tables and in JSON.
    fn name(&self) -> &'static str;

    /// What a reader must know to compare it with others.
    fn notes(&self) -> Vec<String>;

    /// A group like this, with all state in memory.
    fn messages(&self, setting: Setting) -> Box<dyn Messages>;

    /// A group of `n` members, and what changes it.
    fn membership(&self, n: usize) -> Box<dyn Membership>;

    /// The ways to keep its state on disk.
    fn disks(&self) -> Vec<Disk>;
}

/// Who is in a group in which messages are sent.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub senders: usize,
    /// The senders, one reader, and others who are silent.
    pub members: usize,
    pub window: Window,
}

impl Setting {
    /// So many senders and one reader.
    pub const fn of(senders: usize) -> Self {
        Self { senders, members: senders + 1, window: Window::Default }
    }
}

/// How late a message may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// As the library is set by default.
    Default,
    /// As its documented setting allows, so that 1,000 messages may come in reverse order.
    Wide,
}

/// A message on the wire. Whoever carries it knows the sender's number; some libraries need to be told.
#[derive(Clone, Debug)]
pub struct Frame {
    pub sender: usize,
    pub bytes: Vec<u8>,
}

/// Some senders and one reader of one group.
pub trait Messages {
    /// The bytes that the next message of this sender puts on the wire.
    fn encrypt(&mut self, sender: usize, content: &[u8]) -> Vec<u8>;

    /// The content of one message, authenticated, with the reader's state moved on. `None` if it is refused.
    fn decrypt(&mut self, frame: &Frame) -> Option<Vec<u8>>;

    /// The contents of queued messages. Who has nothing better decrypts them one at a time.
    fn catch_up(&mut self, queue: &[Frame]) -> Vec<Option<Vec<u8>>> {
        queue.iter().map(|frame| self.decrypt(frame)).collect()
    }
}

/// Time, and the bytes that went up or came down for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub time: Duration,
    pub bytes: usize,
}

/// A change of a group: what it costs its author, and one other member.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    pub author: Cost,
    pub receiver: Cost,
}

/// What a membership figure covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole change.
    Whole,
    /// The part of one sender; the group needs as much from every other sender.
    OneSender,
}

/// A group of `n` members. Every call starts from a group of that size.
pub trait Membership {
    fn scope(&self) -> Scope;

    /// A founder lets in `n - 1` others at once.
    fn create(&mut self) -> Cost;

    /// One of them joins.
    fn join(&mut self) -> Cost;

    /// A member removes another.
    fn remove(&mut self) -> Change;

    /// A member renews its own keys.
    fn heal(&mut self) -> Change;

    /// Bytes that one member keeps.
    fn stored(&mut self) -> usize;

    /// [`heal`](Self::heal) in a tree in which others have committed too, if there is a tree.
    fn heal_warm(&mut self) -> Option<Change> {
        None
    }
}

/// A way to keep state on disk.
pub struct Disk {
    pub store: &'static str,
    pub durable: bool,
    /// Opens new stores in a directory, for two of a group of so many.
    pub open: Open,
}

type Open = Box<dyn Fn(&Path, usize) -> Box<dyn Persisted>>;

/// A sender and a reader of one group, each with a store of its own on disk.
pub trait Persisted {
    /// The time to encrypt a batch, with the sender's state on disk when it ends.
    fn send(&mut self, content: &[u8], batch: usize) -> Duration;

    /// The time to decrypt what was sent last as one batch, with the reader's state on disk when it ends.
    fn receive(&mut self) -> Duration;
}

/// What `work` gives, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = work();
    let spent = start.elapsed();
    (value, spent)
}
