//! The rounds. In each, every peer does the same work in turn, so that noise of the machine hits all alike.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::results::{Case, Results, Unit};
use crate::works::{Change, Cost, Disk, Frame, Membership, Messages, Peer, Persisted, Scope, Setting, Window, timed};

/// Bytes of what is said in a message.
const SIZES: [usize; 4] = [32, 256, 1_024, 16 * 1_024];
/// Messages queued, and by how many senders.
const BACKLOGS: [(usize, usize); 4] = [(64, 1), (64, 20), (1_000, 1), (1_000, 20)];
const REVERSE: usize = 1_000;
/// Members of a group.
const GROUPS: [usize; 3] = [10, 100, LARGEST];
const LARGEST: usize = 1_000;
/// Messages that make one sample of a time too short to be taken once.
const BURST: usize = 16;
const PERSISTED: usize = 256;
/// Messages that are made durable together.
const BATCHES: [usize; 2] = [1, 64];

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// encrypt, decrypt, and the bytes of a message
    Messages,
    /// backlog
    Backlog,
    /// reverse
    Reverse,
    /// create, join, remove, heal, receive_commit, upload, download, state
    Membership,
    /// persist_send, persist_receive
    Persist,
}

pub struct Bench<'a> {
    pub peers: &'a [Box<dyn Peer>],
    pub quick: bool,
    /// Where stores on disk go.
    pub dir: &'a Path,
    pub started: Instant,
    pub results: Results,
}

impl Bench<'_> {
    pub fn run(&mut self, part: Part) {
        match part {
            Part::Messages => self.messages(),
            Part::Backlog => self.backlogs(),
            Part::Reverse => self.reverse(),
            Part::Membership => GROUPS.into_iter().for_each(|n| self.membership(n)),
            Part::Persist => [2, LARGEST].into_iter().for_each(|members| self.persist(members)),
        }
    }

    const fn rounds(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }

    fn progress(&self, what: &str) {
        eprintln!("[{:>4} s] {what}", self.started.elapsed().as_secs());
    }

    /// Each peer's turn in each round. The first round warms up and is not kept, and another peer begins each time.
    fn rounds_of<T>(
        &mut self,
        rounds: usize,
        peers: &mut [(&'static str, T)],
        mut turn: impl FnMut(&mut T) -> Vec<(Case, f64)>,
    ) {
        for round in 0..=rounds {
            for i in 0..peers.len() {
                let at = (i + round) % peers.len();
                let (name, state) = &mut peers[at];
                let samples = turn(state);
                if round > 0 {
                    samples.into_iter().for_each(|(case, sample)| self.results.add(name, case, sample));
                }
            }
        }
    }

    fn groups(&self, setting: Setting) -> Vec<(&'static str, Box<dyn Messages>)> {
        self.peers.iter().map(|peer| (peer.name(), peer.messages(setting))).collect()
    }

    fn messages(&mut self) {
        let mut groups = self.groups(Setting::of(1));
        for size in SIZES {
            self.progress(&format!("encrypt, decrypt: {size} bytes"));
            self.exchange(&mut groups, |work| Case::new(work, "one sender", Unit::Nanoseconds).bytes(size), size);
        }
        let members = LARGEST;
        self.progress(&format!("encrypt, decrypt: {PERSISTED} bytes, {members} members"));
        let mut groups = self.groups(Setting { members, ..Setting::of(1) });
        let variant = format!("one sender, {members} members");
        let case = |work| Case::new(work, variant.clone(), Unit::Nanoseconds).bytes(PERSISTED).n(members);
        self.exchange(&mut groups, case, PERSISTED);
    }

    /// One sends and one reads, messages of one size.
    fn exchange(
        &mut self,
        groups: &mut [(&'static str, Box<dyn Messages>)],
        case: impl Fn(&'static str) -> Case,
        size: usize,
    ) {
        let content = vec![7; size];
        self.rounds_of(self.rounds(80, 400), groups, |group| {
            let (sent, encrypting) = timed(|| (0..BURST).map(|_| group.encrypt(0, &content)).collect::<Vec<_>>());
            let frames: Vec<_> = sent.into_iter().map(|bytes| Frame { sender: 0, bytes }).collect();
            let (read, decrypting) = timed(|| decrypt(group.as_mut(), &frames));
            check(&read, &content);
            vec![
                (case("encrypt"), each(encrypting, BURST)),
                (case("decrypt"), each(decrypting, BURST)),
                (Case { unit: Unit::Bytes, ..case("upload") }.named("message, "), frames[0].bytes.len() as f64),
            ]
        });
    }

    fn backlogs(&mut self) {
        for (queued, senders) in BACKLOGS {
            let mut groups = self.groups(Setting::of(senders));
            let rounds = if queued <= 64 { self.rounds(30, 150) } else { self.rounds(7, 25) };
            for size in SIZES {
                self.progress(&format!("backlog: {queued} messages of {size} bytes, {senders} at once"));
                let content = vec![7; size];
                let variant = if senders == 1 { "one sender".into() } else { format!("{senders} senders") };
                let case = Case::new("backlog", variant, Unit::Nanoseconds).bytes(size).n(queued);
                self.rounds_of(rounds, &mut groups, |group| {
                    let queue = queue(group.as_mut(), senders, &content, queued);
                    let (read, time) = timed(|| group.catch_up(&queue));
                    check(&read, &content);
                    vec![(case.clone(), each(time, queued))]
                });
            }
        }
    }

    fn reverse(&mut self) {
        self.count_reverse_by_default();
        let rounds = self.rounds(3, 9);
        for size in SIZES {
            let mut groups = self.groups(Setting { window: Window::Wide, ..Setting::of(1) });
            self.progress(&format!("reverse: {REVERSE} messages of {size} bytes"));
            let content = vec![7; size];
            let case = Case::new("reverse", "one sender", Unit::Nanoseconds).bytes(size).n(REVERSE);
            self.rounds_of(rounds, &mut groups, |group| {
                let mut queue = queue(group.as_mut(), 1, &content, REVERSE);
                queue.reverse();
                let (read, time) = timed(|| decrypt(group.as_mut(), &queue));
                check(&read, &content);
                vec![(case.clone(), each(time, REVERSE))]
            });
        }
    }

    fn count_reverse_by_default(&mut self) {
        let counted = self.groups(Setting::of(1)).into_iter().map(|(name, mut group)| {
            let mut queue = queue(group.as_mut(), 1, &[7; 32], REVERSE);
            queue.reverse();
            let read = decrypt(group.as_mut(), &queue).iter().flatten().count();
            format!("{name} {read}")
        });
        let counted: Vec<_> = counted.collect();
        self.results.note(format!("Of {REVERSE} messages in reverse order, read by default: {}.", counted.join(", ")));
    }

    fn membership(&mut self, n: usize) {
        self.progress(&format!("membership: making groups of {n}"));
        let mut groups: Vec<_> = self.peers.iter().map(|peer| (peer.name(), peer.membership(n))).collect();
        let rounds = match n {
            0..100 => self.rounds(15, 40),
            100..1_000 => self.rounds(7, 20),
            _ => self.rounds(3, 9),
        };
        self.progress(&format!("membership: {n} members"));
        self.rounds_of(rounds, &mut groups, |group| changes(group.as_mut(), n));
        for (name, mut group) in groups {
            self.results.add(name, Case::new("state", "one member", Unit::Bytes).n(n), group.stored() as f64);
        }
    }

    fn persist(&mut self, members: usize) {
        self.progress(&format!("persist: opening stores, {members} members"));
        let mut disks = Vec::new();
        for peer in self.peers {
            for (i, disk) in peer.disks().into_iter().enumerate() {
                let dir = self.dir.join(format!("{} {members} {i}", peer.name()));
                std::fs::create_dir(&dir).expect("the directory can be written");
                disks.push((peer.name(), ((disk.open)(&dir, members), disk)));
            }
        }
        let rounds = if members == 2 { self.rounds(7, 25) } else { self.rounds(3, 9) };
        for batch in BATCHES {
            self.progress(&format!("persist: {members} members, batches of {batch}"));
            self.rounds_of(rounds, &mut disks, |(pair, disk)| durable(pair.as_mut(), disk, (batch, members)));
        }
    }
}

/// Messages that wait to be read, from each sender in turn.
fn queue(group: &mut dyn Messages, senders: usize, content: &[u8], count: usize) -> Vec<Frame> {
    let next = |i| Frame { sender: i % senders, bytes: group.encrypt(i % senders, content) };
    (0..count).map(next).collect()
}

fn decrypt(group: &mut dyn Messages, frames: &[Frame]) -> Vec<Option<Vec<u8>>> {
    frames.iter().map(|frame| group.decrypt(frame)).collect()
}

fn check(read: &[Option<Vec<u8>>], content: &[u8]) {
    assert!(read.iter().all(|one| one.as_deref() == Some(content)), "everything is read as it was said");
}

/// Nanoseconds for each of `count`.
fn each(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

fn membership_case(work: &'static str, variant: &str, unit: Unit, scope: Scope) -> Case {
    match scope {
        Scope::Whole => Case::new(work, variant, unit),
        Scope::OneSender => Case::new(work, format!("{variant}, one sender's part"), unit),
    }
}

/// Every change of a group of `n`, once.
fn changes(group: &mut dyn Membership, n: usize) -> Vec<(Case, f64)> {
    let scope = group.scope();
    let case = |work, variant: &str, unit| membership_case(work, variant, unit, scope).n(n);
    let time = |work, variant: &str, cost: Cost| (case(work, variant, Unit::Nanoseconds), each(cost.time, 1));
    let bytes = |work, variant: &str, cost: Cost| (case(work, variant, Unit::Bytes), cost.bytes as f64);
    let (create, join) = (group.create(), group.join());
    let mut samples = vec![
        time("create", "fresh group", create),
        bytes("upload", "create", create),
        time("join", "fresh group", join),
        bytes("download", "join", join),
    ];
    let mut change = |work, variant: &str, Change { author, receiver }| {
        samples.push(time(work, variant, author));
        samples.push(time("receive_commit", &format!("{work}, {variant}"), receiver));
        samples.push(bytes("upload", &format!("{work}, {variant}"), author));
        samples.push(bytes("download", &format!("{work}, {variant}"), receiver));
    };
    change("remove", "fresh group", group.remove());
    change("heal", "fresh group", group.heal());
    if let Some(warm) = group.heal_warm() {
        change("heal", "warm tree", warm);
    }
    samples
}

/// Messages per second, both ways, each batch on disk before the next.
fn durable(pair: &mut dyn Persisted, disk: &Disk, (batch, members): (usize, usize)) -> Vec<(Case, f64)> {
    let content = [7; PERSISTED];
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    let batches = (2 * BURST / batch).max(1);
    for _ in 0..batches {
        sending += pair.send(&content, batch);
        receiving += pair.receive();
    }
    let class = format!("{}, batches of {batch}", if disk.durable { "durable" } else { "not durable" });
    let variant = format!("{}, {class}", disk.store);
    let case = |work| {
        let case = Case::new(work, variant.clone(), Unit::PerSecond).bytes(PERSISTED).class(class.clone());
        if members == 2 { case } else { Case { variant: format!("{variant}, {members} members"), ..case }.n(members) }
    };
    let rate = |time: Duration| (batches * batch) as f64 / time.as_secs_f64();
    vec![(case("persist_send"), rate(sending)), (case("persist_receive"), rate(receiving))]
}
