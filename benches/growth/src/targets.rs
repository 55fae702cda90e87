//! The targets, and what was reached, as far as two runs tell.

use crate::rows::{OWN, Row, Rows};
use crate::units::{bytes, count, ratio, time, value};

const GROWTH: &str = "growth";
const PEERS: &str = "peers";
const SMALL: Option<u64> = Some(256);
const LARGE: Option<u64> = Some(16 * 1_024);

/// A target, what was reached if it was measured, and which bench measures it.
type Target = (&'static str, Option<String>, &'static str);

/// The table; what was not measured is left open.
pub(crate) fn markdown(growth: &Rows, peers: Option<&Rows>) -> String {
    let mut text = "| target | reached | bench |\n|---|---|---|\n".to_owned();
    for (target, reached, bench) in messages(growth, peers).into_iter().chain(changes(growth, peers)) {
        text += &format!("| {target} | {} | {bench} |\n", reached.unwrap_or_else(|| "not measured".to_owned()));
    }
    text
}

fn messages(growth: &Rows, peers: Option<&Rows>) -> Vec<Target> {
    let sized = |work: &'static str, size| move |row: &Row| row.work == work && row.bytes == size;
    let pure = |row: &Row| sized("encrypt", SMALL)(row) && !row.peer.contains("aws");
    let backlog = |n, senders: &'static str| {
        move |row: &Row| row.work == "backlog" && row.n == Some(n) && row.variant == senders && row.bytes == SMALL
    };
    let best = |fits: &dyn Fn(&Row) -> bool| peers.and_then(|peers| versus(peers, fits));
    let backlogs = [(64, "one sender"), (1_000, "one sender"), (64, "20 senders"), (1_000, "20 senders")]
        .into_iter()
        .map(|(n, senders)| Some(format!("{} of {senders}: {}", count(n), best(&backlog(n, senders))?)));
    vec![
        ("encrypt 256 B: as fast as every peer in pure Rust", best(&pure), PEERS),
        ("encrypt 256 B: at most 1.25× a bare Ed25519 `sign`", against_sign(growth), GROWTH),
        ("decrypt 256 B, one at a time: as fast as the fastest peer", best(&sized("decrypt", SMALL)), PEERS),
        (
            "backlog, per message on one core: 2.5× (mixed senders 1.8×) faster than the fastest peer",
            backlogs.collect::<Option<Vec<_>>>().map(|all| all.join("; ")),
            PEERS,
        ),
        ("encrypt 16 KiB: 1.5× faster than the fastest peer", best(&sized("encrypt", LARGE)), PEERS),
        ("decrypt 16 KiB: 1.5× faster than the fastest peer", best(&sized("decrypt", LARGE)), PEERS),
        ("1,000 in reverse order: at most 1.2× the time in order", peers.and_then(reverse), PEERS),
        ("encrypt, decrypt and bytes written do not grow from 2 to 10,000 members", flat(growth), GROWTH),
        ("overhead: at most 125 B and padding, sender hidden", frame(growth), "test `sizes`"),
    ]
}

fn changes(growth: &Rows, peers: Option<&Rows>) -> Vec<Target> {
    let removal = |n| {
        let [commit, receive] = [("remove", "change"), ("receive_commit", "remove")].map(|(w, v)| growth.at(w, v, n));
        Some(format!("{}; {}; {}", time(commit?), time(receive?), bytes(growth.at("download", "remove", n)?)))
    };
    let create = growth.at("create", "change", 1_000).map(time);
    let join = growth.at("join", "change", 1_000).map(time);
    let persisted = |work: &'static str| peers.and_then(|peers| durable(peers, work));
    vec![
        ("removal at 1,000: commit in 45 ms, receive in 0.5 ms and 1 KB", removal(1_000), GROWTH),
        ("removal at 10,000: commit in 0.5 s, receive in 3 ms and 1 KB", removal(10_000), GROWTH),
        ("create with 999 adds under 331 ms", create, GROWTH),
        ("join at 1,000 under 80 ms on one core, 50 ms on two", join, GROWTH),
        ("sent, each durable on disk: 10× openmls and mls-rs over SQLite", persisted("persist_send"), PEERS),
        ("received, each durable on disk: 10× openmls and mls-rs over SQLite", persisted("persist_receive"), PEERS),
    ]
}

/// Our figure among those that fit, the best of the others', and how many times better ours is.
fn versus(rows: &Rows, fits: &dyn Fn(&Row) -> bool) -> Option<String> {
    let better = |a: &&Row, b: &&Row| {
        let order = a.value.total_cmp(&b.value);
        if a.unit == "per second" { order.reverse() } else { order }
    };
    let (ours, others): (Vec<&Row>, Vec<&Row>) =
        rows.rows.iter().filter(|row| fits(row)).partition(|row| row.peer == OWN);
    let (own, best) = (ours.into_iter().min_by(better)?, others.into_iter().min_by(better)?);
    let times = if own.unit == "per second" { ratio(own.value, best.value) } else { ratio(best.value, own.value) };
    Some(format!("**{times}** ({} to {} of {})", value(own.value, &own.unit), value(best.value, &best.unit), best.peer))
}

/// Against each of the two that come with a store, at its durable default, with as many messages at once.
fn durable(rows: &Rows, work: &str) -> Option<String> {
    let of = |peer: &str, batch: &str| {
        let fits = |row: &Row| {
            let over = row.peer == OWN || row.peer.starts_with(peer) && row.variant.starts_with("SQLite default, ");
            row.work == work && over && row.variant.ends_with(&format!(", durable, batches of {batch}"))
        };
        versus(rows, &fits)
    };
    let single = format!("{}; {}", of("openmls", "1")?, of("mls-rs", "1")?);
    let batch = of("openmls", "64").zip(of("mls-rs", "64"));
    Some(batch.map_or_else(|| single.clone(), |(a, b)| format!("{single}; 64 at once: {a}; {b}")))
}

fn reverse(rows: &Rows) -> Option<String> {
    let own = |work: &str| rows.rows.iter().find(|row| row.work == work && row.peer == OWN && row.bytes == SMALL);
    let (back, forth) = (own("reverse")?, own("decrypt")?);
    Some(format!("**{}** ({} to {} each)", ratio(back.value, forth.value), time(back.value), time(forth.value)))
}

fn against_sign(growth: &Rows) -> Option<String> {
    let (encrypt, sign) = (growth.at("encrypt", "ratchet", 2)?, growth.at("sign", "ed25519-dalek", 2)?);
    Some(format!("**{}** ({} to {})", ratio(encrypt, sign), time(encrypt), time(sign)))
}

fn flat(growth: &Rows) -> Option<String> {
    let times = |work: &str| {
        let points = growth.by_members(work, "client");
        Some(ratio(points.last()?.1, points.first()?.1))
    };
    let written = growth.by_members("written", "decrypt");
    let same = written.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1));
    let written = if same { "the same bytes" } else { "NOT the same bytes" };
    Some(format!("encrypt {}, decrypt {}, {written}", times("encrypt")?, times("decrypt")?))
}

fn frame(growth: &Rows) -> Option<String> {
    Some(format!("{} for 256 B", bytes(growth.at("frame", "client", 2)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(figures: &[(&str, &str, &str, f64)]) -> Rows {
        let row = |(work, peer, variant, value): &(&str, &str, &str, f64)| Row {
            work: (*work).to_owned(),
            peer: (*peer).to_owned(),
            variant: (*variant).to_owned(),
            bytes: SMALL,
            n: None,
            value: *value,
            unit: if work.starts_with("persist") { "per second" } else { "ns" }.to_owned(),
        };
        Rows { rows: figures.iter().map(row).collect() }
    }

    #[test]
    fn a_ratio_above_one_is_in_our_favour() {
        let rows = peers(&[
            ("encrypt", OWN, "one sender", 20_000.0),
            ("encrypt", "mls-rs, aws-lc", "one sender", 16_000.0),
            ("encrypt", "wacore-libsignal", "one sender", 25_000.0),
            ("encrypt", "openmls", "one sender", 70_000.0),
            ("reverse", OWN, "one sender", 44_000.0),
            ("decrypt", OWN, "one sender", 40_000.0),
            ("persist_send", OWN, "redb, durable, batches of 1", 400.0),
            ("persist_send", OWN, "log, durable, batches of 1", 4_000.0),
            ("persist_send", "openmls", "SQLite default, durable, batches of 1", 650.0),
            ("persist_send", "openmls", "SQLite WAL NORMAL, not durable, batches of 1", 6_000.0),
            ("persist_send", "mls-rs, aws-lc", "SQLite default, durable, batches of 1", 500.0),
            ("persist_send", "mls-rs, aws-lc", "SQLite WAL, durable, batches of 1", 3_000.0),
        ]);
        let text = markdown(&Rows::default(), Some(&rows));
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        // Among the peers in pure Rust only.
        assert!(line("| encrypt 256 B: as fast").contains("| **1.25×** (20.0 µs to 25.0 µs of wacore-libsignal) |"));
        assert!(line("| 1,000 in reverse").contains("**1.10×**"));
        assert!(line("| sent, each durable").contains("**6.15×** (4,000/s to 650/s of openmls); **8.00×**"));
        assert!(line("| received, each durable").contains("| not measured |"));
        assert!(line("| decrypt 256 B").contains("| not measured |"));
        assert_eq!(markdown(&Rows::default(), None).matches("not measured").count(), 15);
    }

    #[test]
    fn growth_fills_its_own_rows() {
        let mut growth = Rows::default();
        for (n, ns) in [(2, 40_000.0), (10_000, 42_000.0)] {
            growth.time("encrypt", "client", n, ns);
            growth.time("decrypt", "client", n, ns);
            growth.bytes("written", "decrypt", n, ns);
        }
        growth.time("encrypt", "ratchet", 2, 18_000.0);
        growth.time("sign", "ed25519-dalek", 2, 16_000.0);
        let text = markdown(&growth, None);
        assert!(text.contains("encrypt 1.05×, decrypt 1.05×, NOT the same bytes"), "{text}");
        assert!(text.contains("**1.12×** (18.0 µs to 16.0 µs)"), "{text}");
    }
}
