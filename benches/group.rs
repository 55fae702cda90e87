//! What a change of a group costs: bytes as a table, then time. `cargo bench --bench group`.
//!
//! Everything goes through [`Client`](convivio::client::Client) over a store in memory, so each figure includes the
//! records that a device writes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a bench reports to people")]

#[path = "support/big_group.rs"]
mod big_group;

use std::time::Duration;

use big_group::{BigGroup, Device, Town};
use convivio::client::{Change, Client};
use convivio::log::{LogEntry, Post};
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, measurement::WallTime};

const SIZES: [usize; 3] = [10, 100, 1_000];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let town = Town::new(1_000);
    let cases: Vec<Case> = SIZES.iter().map(|n| Case::new(&town, *n)).collect();
    print_sizes(&cases);
    for case in &cases {
        case.bench(&mut criterion);
    }
    criterion.final_summary();
}

/// A group of one size, and the changes made to it.
struct Case {
    n: usize,
    group: BigGroup,
    newcomer: Change,
    added: Made,
    removed: Made,
}

/// A change once it is posted.
struct Made {
    change: Change,
    post: Post,
    other: LogEntry,
}

impl Case {
    fn new(town: &Town, n: usize) -> Self {
        let group = BigGroup::new(town, n);
        let newcomer = Change::Add(vec![Device::new(&town.app, "newcomer").package()]);
        let made = |change: Change| {
            let (post, other) = group.change(change.clone());
            Made { change, post, other }
        };
        // The first of the others is in every group.
        let (added, removed) = (made(newcomer.clone()), made(Change::Remove(town.user(0))));
        Self { n, newcomer, added, removed, group }
    }

    fn bench(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(format!("n={}", self.n));
        group.sampling_mode(SamplingMode::Flat).sample_size(10).warm_up_time(Duration::from_millis(20));
        // What is not timed, reading a whole group from its store, takes many times longer than what is.
        group.measurement_time(Duration::from_millis(if self.n < 1_000 { 200 } else { 40 }));
        let Self { group: all, newcomer, added, removed, .. } = self;

        let commit = |mut client: Client, change: &Change| {
            client.change(&all.id, change.clone()).unwrap();
            client.outbox(1).unwrap();
            client
        };
        let receive = |mut client: Client, entry: &LogEntry| {
            let (events, _) = client.receive(std::slice::from_ref(entry)).unwrap();
            assert_eq!(events.len(), 1);
            client
        };
        let alone = || all.alone.reopened();
        let founder = || all.founder.store.reopened();
        let reader = || all.reader.store.reopened();
        let create = Change::Add(all.others.clone());
        case(&mut group, "create: commit and welcome", alone, |c| commit(c, &create));
        case(&mut group, "join", || all.outside.reopened(), |c| receive(c, &all.invitation));
        case(&mut group, "add one: commit and welcome", founder, |c| commit(c, newcomer));
        case(&mut group, "add one: receive", reader, |c| receive(c, &added.other));
        case(&mut group, "remove one: commit", founder, |c| commit(c, &removed.change));
        case(&mut group, "remove one: receive", reader, |c| receive(c, &removed.other));
        // The author applies its own commit when it returns through the log.
        let author = || commit(founder(), &removed.change);
        case(&mut group, "remove one: own echo", author, |mut client| {
            let post = client.outbox(1).unwrap().remove(0);
            client.receive(&[all.echo(&post)]).unwrap();
            client
        });
        group.finish();
    }
}

fn case(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    setup: impl Fn() -> Client,
    run: impl Fn(Client) -> Client,
) {
    group.bench_function(BenchmarkId::from_parameter(name), |b| {
        b.iter_batched(&setup, &run, BatchSize::PerIteration);
    });
}

fn print_sizes(cases: &[Case]) {
    println!("\n| members | operation | bytes up | bytes down, each member | bytes down, each newcomer |");
    println!("|---|---|---|---|---|");
    for case in cases {
        let Case { n, group, added, removed, .. } = case;
        let up = |post: &Post| post.to_bytes().len();
        let down = |entry: &LogEntry| entry.to_bytes().len();
        println!("| {n} | create | {} | - | {} |", up(&group.creation), down(&group.invitation));
        println!("| {n} | add one | {} | {} | - |", up(&added.post), down(&added.other));
        println!("| {n} | remove one | {} | {} | - |", up(&removed.post), down(&removed.other));
    }
    println!();
}
