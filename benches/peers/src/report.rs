//! A table for people, and JSON for programs.

use serde::Serialize;

use crate::peers::{NOT_RUST, OWN};
use crate::results::{Case, Results, Row, Unit};

/// The works in the order of the tables, and what one figure of each is.
const WORKS: [(&str, &str); 14] = [
    ("encrypt", "Time for one message, from content to bytes on the wire."),
    ("decrypt", "Time for one message, one at a time, from bytes to authenticated content."),
    ("backlog", "Time for each of n queued messages, read at once."),
    ("reverse", "Time for each of n messages, the newest first, one at a time."),
    ("create", "Time for the founder of a group of n to let in n - 1 others."),
    ("join", "Time for one of them to join a group of n."),
    ("remove", "Time to make the removal of one of n members."),
    ("heal", "Time for one of n members to renew its own keys."),
    ("receive_commit", "Time for one other member to receive a change."),
    ("upload", "Bytes that the author of a change, or of a message, sends."),
    ("download", "Bytes that one other member gets."),
    ("state", "Bytes that one member of a group of n keeps."),
    ("persist_send", "Messages per second sent, the sender's state on disk before each batch counts."),
    ("persist_receive", "Messages per second received, the reader's state on disk before each batch counts."),
];

/// The whole report: how it was measured, a table for each work, notes.
pub fn markdown(results: &Results, machine: &[String]) -> String {
    let mut text = String::from("# convivio and its peers\n\n");
    machine.iter().for_each(|line| text += &format!("- {line}\n"));
    text += "\nMedians, with quartiles in brackets. The last columns say how many times better convivio is than the best \
             peer in the same row, or in rows of the same durability, and than the best in Rust; below 1 it is worse.\n";
    let peers = peers(results);
    for (work, meaning) in WORKS {
        let rows: Vec<&Row> = results.rows.iter().filter(|row| row.case.work == work).collect();
        if !rows.is_empty() {
            text += &format!("\n## {work}\n\n{meaning}\n\n{}", table(&rows, &peers));
        }
    }
    text += "\n## Notes\n\n";
    results.notes.iter().for_each(|note| text += &format!("- {note}\n"));
    text
}

/// The peers in the order of their first figures, this project first.
fn peers(results: &Results) -> Vec<&'static str> {
    let mut peers = vec![OWN];
    for row in &results.rows {
        if !peers.contains(&row.peer) {
            peers.push(row.peer);
        }
    }
    peers
}

/// One line for each case, one column for each peer.
fn table(rows: &[&Row], peers: &[&'static str]) -> String {
    let mut ordered = rows.to_vec();
    ordered.sort_by_key(|row| (row.case.n, row.case.bytes, peers.iter().position(|peer| *peer == row.peer)));
    let mut cases: Vec<&Case> = Vec::new();
    for row in ordered {
        if !cases.contains(&&row.case) {
            cases.push(&row.case);
        }
    }
    let peers: Vec<_> = peers.iter().copied().filter(|peer| rows.iter().any(|row| row.peer == *peer)).collect();
    let head = peers.iter().map(|peer| format!(" {peer} |")).collect::<String>();
    let mut text = format!("| bytes | n | variant |{head} times better | than Rust |\n");
    text += &format!("|---:|---:|---|{}---|---|\n", "---:|".repeat(peers.len()));
    for case in cases {
        let of = |peer: &str| rows.iter().find(|row| row.peer == peer && row.case == *case).map(|row| figure(row));
        let cells = peers.iter().map(|peer| format!(" {} |", of(peer).unwrap_or_default())).collect::<String>();
        let number = |value: Option<usize>| value.map(|value| value.to_string()).unwrap_or_default();
        let [all, rust] = [false, true].map(|rust| ratio(case, rows, rust).unwrap_or_default());
        let (bytes, n) = (number(case.bytes), number(case.n));
        text += &format!("| {bytes} | {n} | {} |{cells} {all} | {rust} |\n", case.variant);
    }
    text
}

/// How many times better this project is than the best peer it can be compared with, perhaps only among those in Rust, and
/// who that is.
fn ratio(case: &Case, rows: &[&Row], only_rust: bool) -> Option<String> {
    let own = rows.iter().find(|row| row.peer == OWN && row.case == *case)?.median();
    let more = case.unit.more_is_better();
    let others = rows.iter().filter(|row| row.peer != OWN && row.case.compares_with(case));
    let others = others.filter(|row| !only_rust || row.peer != NOT_RUST);
    let best = others.min_by(|a, b| {
        let (a, b) = (a.median(), b.median());
        if more { b.total_cmp(&a) } else { a.total_cmp(&b) }
    })?;
    let times = if more { own / best.median() } else { best.median() / own };
    Some(format!("{times:.2} ({})", best.peer))
}

/// A median with its quartiles, if they differ.
fn figure(row: &Row) -> String {
    let (low, high) = row.quartiles();
    let (scale, suffix, digits) = scale(row.case.unit, row.median());
    let show = |value: f64| format!("{:.digits$}", value / scale);
    let spread = if show(low) == show(high) { String::new() } else { format!(" ({}–{})", show(low), show(high)) };
    format!("{}{suffix}{spread}", show(row.median()))
}

/// What to divide by, what to put behind it, and how many decimals to show.
fn scale(unit: Unit, value: f64) -> (f64, &'static str, usize) {
    let (scale, suffix) = match unit {
        Unit::Nanoseconds if value < 1e6 => (1e3, " µs"),
        Unit::Nanoseconds => (1e6, " ms"),
        Unit::Bytes if value < 1e4 => return (1.0, " B", 0),
        Unit::Bytes => (1e3, " kB"),
        Unit::PerSecond => return (1.0, "/s", 0),
    };
    (scale, suffix, if value / scale < 10.0 { 2 } else { 1 })
}

#[derive(Serialize)]
struct Json<'a> {
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    work: &'a str,
    peer: &'a str,
    variant: &'a str,
    bytes: Option<usize>,
    n: Option<usize>,
    value: f64,
    unit: &'a str,
}

/// The medians.
pub fn json(results: &Results) -> String {
    let rows = results.rows.iter().map(|row| JsonRow {
        work: row.case.work,
        peer: row.peer,
        variant: &row.case.variant,
        bytes: row.case.bytes,
        n: row.case.n,
        value: (row.median() * 10.0).round() / 10.0,
        unit: row.case.unit.name(),
    });
    serde_json::to_string_pretty(&Json { rows: rows.collect() }).expect("numbers and names can be written") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        let encrypt = || Case::new("encrypt", "one sender", Unit::Nanoseconds).bytes(256);
        results.add(OWN, encrypt(), 10_000.0);
        results.add("slow", encrypt(), 40_000.0);
        results.add(NOT_RUST, encrypt(), 15_000.0);
        results.add(NOT_RUST, encrypt(), 25_000.0);
        let persist = |store: &str| Case::new("persist_send", store, Unit::PerSecond).class("durable");
        results.add(OWN, persist("redb"), 500.0);
        results.add("slow", persist("SQLite"), 1_000.0);
        results.note("a note".into());
        results
    }

    #[test]
    fn the_table_has_a_line_for_each_case_and_ratios_against_the_best_peer() {
        let text = markdown(&results(), &["CPU: fast".into()]);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        let head = format!("| bytes | n | variant | {OWN} | slow | {NOT_RUST} | times better | than Rust |");
        assert_eq!(line("| bytes"), head);
        let ratios = format!("2.00 ({NOT_RUST}) | 4.00 (slow) |");
        let figures = format!("| 256 |  | one sender | 10.0 µs | 40.0 µs | 20.0 µs (17.5–22.5) | {ratios}");
        assert_eq!(line("| 256"), figures);
        assert_eq!(line("|  |  | redb"), "|  |  | redb | 500/s |  | 0.50 (slow) | 0.50 (slow) |");
        assert_eq!(line("|  |  | SQLite"), "|  |  | SQLite |  | 1000/s |  |  |");
        assert!(text.contains("- CPU: fast\n") && text.ends_with("- a note\n"));
    }

    #[test]
    fn json_has_rows_of_seven_fields() {
        let json: serde_json::Value = serde_json::from_str(&json(&results())).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 1);
        let rows = json["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 5);
        let first = serde_json::json!({
            "work": "encrypt", "peer": OWN, "variant": "one sender",
            "bytes": 256, "n": null, "value": 10_000.0, "unit": "ns",
        });
        assert_eq!(rows[0], first);
        assert!(rows.iter().all(|row| row.as_object().unwrap().len() == 7));
        assert_eq!(rows[3]["unit"], "per second");
    }
}
