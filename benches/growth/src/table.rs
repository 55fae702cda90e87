//! Markdown tables of one figure for each size of group.

use std::collections::BTreeSet;

use crate::rows::Rows;
use crate::units;

/// A column: its head, and the work and variant whose figures it shows.
type Column = (&'static str, &'static str, &'static str);

const MESSAGES: [Column; 8] = [
    ("send: queue", "send", "client"),
    ("encrypt", "encrypt", "client"),
    ("own echo", "echo", "client"),
    ("decrypt", "decrypt", "client"),
    ("encrypt, ratchet alone", "encrypt", "ratchet"),
    ("decrypt, ratchet alone", "decrypt", "ratchet"),
    ("Ed25519 sign, bare", "sign", "ed25519-dalek"),
    ("Ed25519 verify, bare", "verify", "ed25519-dalek"),
];

const MESSAGE_BYTES: [Column; 5] = [
    ("frame", "frame", "client"),
    ("written by `send`", "written", "send"),
    ("written to encrypt", "written", "encrypt"),
    ("written for the echo", "written", "echo"),
    ("written to decrypt", "written", "decrypt"),
];

const CHANGES: [Column; 6] = [
    ("create: add all others", "create", "change"),
    ("join", "join", "change"),
    ("remove: commit", "remove", "change"),
    ("remove: receive", "receive_commit", "remove"),
    ("remove: own echo", "echo", "remove"),
    ("heal: commit", "heal", "change"),
];

const TRAFFIC: [Column; 6] = [
    ("create: up", "upload", "create"),
    ("join: down", "download", "join"),
    ("remove: up", "upload", "remove"),
    ("remove: down, each", "download", "remove"),
    ("heal: up", "upload", "heal"),
    ("heal: down, each", "download", "heal"),
];

const MEMORY: [Column; 6] = [
    ("stored state", "state", "stored"),
    ("open client, heap", "state", "heap"),
    ("peak: create", "peak", "create"),
    ("peak: join", "peak", "join"),
    ("peak: remove", "peak", "remove"),
    ("peak: receive", "peak", "receive_commit"),
];

const WRITTEN: [Column; 5] = [
    ("create", "written", "create"),
    ("join", "written", "join"),
    ("remove: commit", "written", "remove"),
    ("remove: receive", "written", "receive_commit"),
    ("remove: own echo", "written", "echo of a removal"),
];

const REPLAY: [Column; 7] = [
    ("commits", "replay", "commits"),
    ("all in one call", "replay", "one call"),
    ("the first 100", "replay", "first 100"),
    ("the last 100", "replay", "last 100"),
    ("bytes down", "download", "replay"),
    ("written", "written", "replay"),
    ("peak heap", "peak", "replay"),
];

/// All tables, each under its heading.
pub(crate) fn markdown(rows: &Rows) -> String {
    let sections: [(&str, &[Column]); 7] = [
        ("Time of one message of 256 bytes", &MESSAGES),
        ("Bytes of one message of 256 bytes", &MESSAGE_BYTES),
        ("Time of a change", &CHANGES),
        ("Bytes of a change on the way", &TRAFFIC),
        ("Bytes of a change written to the store", &WRITTEN),
        ("Memory", &MEMORY),
        ("Catching up on commits", &REPLAY),
    ];
    let tables = sections.map(|(heading, columns)| format!("#### {heading}\n\n{}", table(rows, columns)));
    tables.join("\n")
}

fn table(rows: &Rows, columns: &[Column]) -> String {
    let has = |work: &str, variant: &str| columns.iter().any(|(_, w, v)| (*w, *v) == (work, variant));
    let sizes: BTreeSet<u64> =
        rows.rows.iter().filter(|row| has(&row.work, &row.variant)).filter_map(|row| row.n).collect();
    let heads: String = columns.iter().map(|(head, ..)| format!(" {head} |")).collect();
    let mut text = format!("| members |{heads}\n|---:|{}\n", "---:|".repeat(columns.len()));
    for n in sizes {
        let cells: String =
            columns.iter().map(|(_, work, variant)| format!(" {} |", cell(rows, work, variant, n))).collect();
        text += &format!("| {} |{cells}\n", units::count(n));
    }
    text
}

fn cell(rows: &Rows, work: &str, variant: &str, n: u64) -> String {
    let found = rows.rows.iter().find(|row| row.work == work && row.variant == variant && row.n == Some(n));
    found.map(|row| units::value(row.value, &row.unit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_size_and_a_blank_for_what_is_missing() {
        let mut rows = Rows::default();
        rows.time("send", "client", 10_000, 2_600.0);
        rows.time("send", "client", 2, 2_500.0);
        rows.time("decrypt", "client", 2, 40_000.0);
        rows.bytes("frame", "client", 7, 429.0);
        let table = table(&rows, &MESSAGES);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[0].starts_with("| members | send: queue | encrypt |"));
        assert_eq!(lines[2], "| 2 | 2.50 µs |  |  | 40.0 µs |  |  |  |  |");
        assert_eq!(lines[3], "| 10,000 | 2.60 µs |  |  |  |  |  |  |  |");
        assert_eq!(markdown(&rows).matches("#### ").count(), 7);
    }
}
