//! A member that was offline for many commits catches up.

use std::time::Duration;

use convivio::client::Change;
use convivio::log::LogEntry;

use crate::big_group::{BigGroup, Shared, Town};
use crate::cost::measure;
use crate::rows::Rows;

/// Commits of one call, when the member catches up by and by.
const PAGE: usize = 100;

/// The founder of a group of `n` commits `epochs` times; then the reader comes back.
pub(crate) fn run(town: &Town, n: usize, epochs: usize, rows: &mut Rows) {
    let mut group = BigGroup::new(town, n);
    for _ in 0..epochs {
        group.founder.client.change(&group.id, Change::Heal).unwrap();
        group.hub.sync(&mut group.founder.client).unwrap();
    }
    let wanted = group.reader.client.subscriptions().unwrap().remove(0);
    let entries = group.hub.fetch(&wanted);
    assert_eq!(entries.len(), epochs);

    let store = group.reader.store.copy();
    let mut client = store.open();
    let (_, cost) = measure(|| client.receive(&entries).unwrap());
    caught_up(&mut group, &store, epochs);
    rows.count("replay", "commits", n, epochs);
    rows.time("replay", "one call", n, cost.time.as_nanos() as f64);
    rows.bytes("peak", "replay", n, cost.peak as f64);
    rows.bytes("written", "replay", n, store.take_written() as f64);
    rows.bytes("download", "replay", n, entries.iter().map(|entry| entry.to_bytes().len()).sum::<usize>() as f64);

    let store = group.reader.store.copy();
    let times = in_pages(&store, &entries);
    caught_up(&mut group, &store, epochs);
    let [first, last] = [times.first(), times.last()].map(|time| time.map_or(0.0, |time| time.as_nanos() as f64));
    rows.time("replay", "first 100", n, first);
    rows.time("replay", "last 100", n, last);
}

fn in_pages(store: &Shared, entries: &[LogEntry]) -> Vec<Duration> {
    let mut client = store.open();
    entries.chunks(PAGE).map(|page| measure(|| client.receive(page).unwrap()).1.time).collect()
}

/// The member holds the founder's group with the founder's history, on its disk.
fn caught_up(group: &mut BigGroup, store: &Shared, epochs: usize) {
    let mut reader = store.open();
    let (ours, theirs) = (reader.group(&group.id).unwrap(), group.founder.client.group(&group.id).unwrap());
    assert_eq!(ours.state().epoch().0, 1 + epochs as u64);
    assert_eq!(ours.authenticator(), theirs.authenticator());
}
