//! The plots of the bench of peers (`benches/peers`).

use std::error::Error;

use super::Plot;
use super::bars::{Panel, svg};
use crate::rows::{OWN, Row, Rows};

/// How many bytes are said, or how many members there are.
const SMALL: Option<u64> = Some(256);
const LARGE: Option<u64> = Some(16 * 1_024);
const MEMBERS: Option<u64> = Some(1_000);

pub(crate) fn plots(rows: &Rows) -> Result<Vec<Plot>, Box<dyn Error>> {
    let messages = [
        panel(rows, "Encrypt 256 B", |row| row.work == "encrypt" && row.bytes == SMALL),
        panel(rows, "Encrypt 16 KiB", |row| row.work == "encrypt" && row.bytes == LARGE),
        panel(rows, "Decrypt 256 B, one at a time", |row| row.work == "decrypt" && row.bytes == SMALL),
        panel(rows, "Decrypt 16 KiB, one at a time", |row| row.work == "decrypt" && row.bytes == LARGE),
        panel(rows, "Each of 1,000 queued, one sender", |row| is_backlog(row, "one sender")),
        panel(rows, "Each of 1,000 queued, 20 senders", |row| is_backlog(row, "20 senders")),
    ];
    // Our commits are flat: there is no tree to be warm.
    let own_tree = |row: &Row| row.peer == OWN && row.variant.ends_with("warm tree");
    let at = |row: &Row, work: &str, of: &str| {
        row.work == work && row.n == MEMBERS && row.variant.starts_with(of) && !own_tree(row)
    };
    let removal = [
        panel(rows, "Remove: commit", |row| at(row, "remove", "")),
        panel(rows, "Remove: receive", |row| at(row, "receive_commit", "remove")),
        panel(rows, "Remove: bytes up", |row| at(row, "upload", "remove")),
        panel(rows, "Remove: bytes down, each", |row| at(row, "download", "remove")),
        panel(rows, "Renew one's own keys: commit", |row| at(row, "heal", "")),
        panel(rows, "Renew one's own keys: bytes up", |row| at(row, "upload", "heal")),
    ];
    let rate = |row: &Row, work: &str, batch: &str| row.work == work && row.variant.ends_with(batch);
    let persisted = [
        panel(rows, "Sent, one by one", |row| rate(row, "persist_send", ", durable, batches of 1")),
        panel(rows, "Received, one by one", |row| rate(row, "persist_receive", ", durable, batches of 1")),
        panel(rows, "Sent, 64 at once", |row| rate(row, "persist_send", ", durable, batches of 64")),
        panel(rows, "Received, 64 at once", |row| rate(row, "persist_receive", ", durable, batches of 64")),
    ];
    Ok(vec![
        ("peers-messages", svg("One message, state in memory: time of each library (shorter is better)", &messages)?),
        ("peers-changes", svg("A group of 1,000: time and bytes of each library (shorter is better)", &removal)?),
        (
            "peers-persisted",
            svg(
                "Messages of 256 B per second, each batch durable on disk before it counts (longer is better)",
                &persisted,
            )?,
        ),
    ])
}

fn is_backlog(row: &Row, variant: &str) -> bool {
    row.work == "backlog" && row.variant == variant && row.bytes == SMALL && row.n == MEMBERS
}

/// The rows that fit, as bars, the best first.
fn panel(rows: &Rows, heading: &str, fits: impl Fn(&Row) -> bool) -> Panel {
    let mut found: Vec<&Row> = rows.rows.iter().filter(|row| fits(row)).collect();
    let more_is_better = found.iter().any(|row| row.unit == "per second");
    found.sort_by(|a, b| a.value.total_cmp(&b.value));
    if more_is_better {
        found.reverse();
    }
    let unit = found.first().map(|row| row.unit.clone()).unwrap_or_default();
    Panel { heading: heading.to_owned(), unit, bars: found.iter().map(|row| (name(row), row.value)).collect() }
}

/// The peer, and what sets its way of doing it apart.
fn name(row: &Row) -> String {
    let said: Vec<&str> = row.variant.split(", ").collect();
    let special = if said.contains(&"one sender's part") {
        Some("for each sender")
    } else if row.unit == "per second" {
        said.first().copied()
    } else {
        said.iter().copied().find(|part| *part == "warm tree")
    };
    special.map_or_else(|| row.peer.clone(), |special| format!("{}, {special}", row.peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = r#"{"rows": [
        {"work": "encrypt", "peer": "slow", "variant": "one sender", "bytes": 256, "n": null, "value": 50000.0, "unit": "ns"},
        {"work": "encrypt", "peer": "convivio", "variant": "one sender", "bytes": 256, "n": null, "value": 20000.0, "unit": "ns"},
        {"work": "encrypt", "peer": "convivio", "variant": "one sender", "bytes": 32, "n": null, "value": 18000.0, "unit": "ns"},
        {"work": "heal", "peer": "slow", "variant": "warm tree", "n": 1000, "value": 7e6, "unit": "ns"},
        {"work": "upload", "peer": "other", "variant": "remove, fresh group, one sender's part", "bytes": null, "n": 1000, "value": 368000.0, "unit": "bytes"},
        {"work": "upload", "peer": "convivio", "variant": "remove, fresh group", "bytes": null, "n": 1000, "value": 55308.0, "unit": "bytes"},
        {"work": "persist_send", "peer": "slow", "variant": "SQLite, not durable, batches of 1", "bytes": 256, "n": null, "value": 6000.0, "unit": "per second"},
        {"work": "persist_send", "peer": "slow", "variant": "SQLite, durable, batches of 1", "bytes": 256, "n": null, "value": 650.0, "unit": "per second"},
        {"work": "persist_send", "peer": "convivio", "variant": "redb, durable, batches of 1", "bytes": 256, "n": null, "value": 400.0, "unit": "per second"}
    ]}"#;

    #[test]
    fn the_bars_are_what_fits_the_best_first() {
        let rows: Rows = serde_json::from_str(SOME).unwrap();
        let bars = |fits: fn(&Row) -> bool| panel(&rows, "", fits).bars;
        let owned = |bars: &[(&str, f64)]| bars.iter().map(|(name, v)| ((*name).to_owned(), *v)).collect::<Vec<_>>();
        assert_eq!(
            bars(|row| row.work == "encrypt" && row.bytes == SMALL),
            owned(&[("convivio", 20_000.0), ("slow", 50_000.0)])
        );
        assert_eq!(
            bars(|row| row.work == "upload"),
            owned(&[("convivio", 55_308.0), ("other, for each sender", 368_000.0)])
        );
        assert_eq!(
            bars(|row| row.work == "persist_send" && row.variant.ends_with(", durable, batches of 1")),
            owned(&[("slow, SQLite", 650.0), ("convivio, redb", 400.0)])
        );
        assert_eq!(bars(|row| row.work == "heal"), owned(&[("slow, warm tree", 7e6)]));
    }

    #[test]
    fn every_plot_is_drawn_from_a_part_of_a_run() {
        let plots = plots(&serde_json::from_str(SOME).unwrap()).unwrap();
        let figures = [("peers-messages", "20.0 µs"), ("peers-changes", "55.3 KB"), ("peers-persisted", "650/s")];
        for ((name, svg), (of, figure)) in plots.iter().zip(figures) {
            assert_eq!(*name, of);
            assert!(svg.contains(figure) && !svg.contains("18.0 µs") && !svg.contains("6,000/s"), "{svg}");
        }
    }
}
