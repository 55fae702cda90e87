//! What a change of a group costs at its committer, a newcomer and a reader.

use std::time::Duration;

use convivio::client::{Change, Client};
use convivio::log::LogEntry;

use crate::big_group::{BigGroup, Shared, Town};
use crate::cost::{Cost, heap, measure, median};
use crate::rows::Rows;

/// What was measured of one kind of work.
#[derive(Default)]
struct Work {
    times: Vec<Duration>,
    peak: usize,
    written: usize,
}

impl Work {
    fn add(&mut self, cost: Cost, written: usize) {
        self.times.push(cost.time);
        self.peak = self.peak.max(cost.peak);
        self.written = written;
    }

    /// `label` says what the bytes were counted for.
    fn report(mut self, (work, variant): (&str, &str), label: &str, n: usize, rows: &mut Rows) {
        rows.time(work, variant, n, median(&mut self.times));
        rows.bytes("peak", label, n, self.peak as f64);
        rows.bytes("written", label, n, self.written as f64);
    }
}

/// Everything at one size, each `times` over.
pub(crate) fn run(town: &Town, (n, group): (usize, &BigGroup), times: usize, rows: &mut Rows) {
    let removal = Change::Remove(town.user(0));
    let (post, entry) = group.change(removal.clone());
    let [mut create, mut join, mut remove, mut receive, mut echo, mut heal] = std::array::from_fn(|_| Work::default());
    for _ in 0..times {
        commit(&group.alone, group, Change::Add(group.others.clone()), &mut create);
        process(&group.outside, &group.invitation, &mut join);
        let own = commit(&group.founder.store, group, removal.clone(), &mut remove);
        echoed(own, group, &mut echo);
        commit(&group.founder.store, group, Change::Heal, &mut heal);
        process(&group.reader.store, &entry, &mut receive);
    }
    create.report(("create", "change"), "create", n, rows);
    join.report(("join", "change"), "join", n, rows);
    remove.report(("remove", "change"), "remove", n, rows);
    receive.report(("receive_commit", "remove"), "receive_commit", n, rows);
    echo.report(("echo", "remove"), "echo of a removal", n, rows);
    heal.report(("heal", "change"), "heal", n, rows);

    let (healing, healed) = group.change(Change::Heal);
    rows.bytes("upload", "create", n, group.creation.to_bytes().len() as f64);
    rows.bytes("upload", "remove", n, post.to_bytes().len() as f64);
    rows.bytes("upload", "heal", n, healing.to_bytes().len() as f64);
    rows.bytes("download", "join", n, group.invitation.to_bytes().len() as f64);
    rows.bytes("download", "remove", n, entry.to_bytes().len() as f64);
    rows.bytes("download", "heal", n, healed.to_bytes().len() as f64);
    rows.bytes("state", "stored", n, group.reader.store.stored() as f64);
    rows.bytes("state", "heap", n, held(&group.reader.store) as f64);
}

/// Commits a change; the client that did, and its store.
fn commit(from: &Shared, group: &BigGroup, change: Change, work: &mut Work) -> (Client, Shared) {
    let store = from.copy();
    let mut client = store.open();
    let (_, cost) = measure(|| {
        client.change(&group.id, change).unwrap();
        client.outbox(1).unwrap()
    });
    work.add(cost, store.take_written());
    (client, store)
}

/// The committer applies its own commit when it comes back through the log.
fn echoed((mut client, store): (Client, Shared), group: &BigGroup, work: &mut Work) {
    let post = client.outbox(1).unwrap().remove(0);
    let entry = group.echo(&post);
    let ((events, _), cost) = measure(|| client.receive(&[entry]).unwrap());
    assert_eq!(events.len(), 1);
    work.add(cost, store.take_written());
}

fn process(from: &Shared, entry: &LogEntry, work: &mut Work) {
    let store = from.copy();
    let mut client = store.open();
    let ((events, _), cost) = measure(|| client.receive(std::slice::from_ref(entry)).unwrap());
    assert_eq!(events.len(), 1);
    work.add(cost, store.take_written());
}

/// Heap bytes of a client that has read its group, without its store.
fn held(store: &Shared) -> usize {
    let store = store.copy();
    let before = heap();
    let client = store.open();
    let held = heap().saturating_sub(before);
    drop(client);
    held
}
