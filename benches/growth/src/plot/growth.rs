//! The plots of `measure`.

use std::error::Error;

use super::Plot;
use super::lines::Lines;
use crate::rows::Rows;
use crate::units;

/// A line: its name, and the work and variant whose figures it joins.
type Line = (&'static str, &'static str, &'static str);

const MESSAGE_TIME: [Line; 4] = [
    ("decrypt", "decrypt", "client"),
    ("encrypt", "encrypt", "client"),
    ("own echo", "echo", "client"),
    ("queue", "send", "client"),
];

const MESSAGE_BYTES: [Line; 3] = [
    ("written by the sender", "", ""),
    ("written by a reader", "written", "decrypt"),
    ("frame, to the hub and each", "frame", "client"),
];

/// What a title says of a figure that was not measured.
const OPEN: &str = "what was not measured";

/// What a sender writes, from queueing to echo.
const SENDER_WRITES: [&str; 3] = ["send", "encrypt", "echo"];

const CHANGE_TIME: [Line; 5] = [
    ("create", "create", "change"),
    ("join", "join", "change"),
    ("remove: commit", "remove", "change"),
    ("remove: own echo", "echo", "remove"),
    ("remove: receive", "receive_commit", "remove"),
];

const TRAFFIC: [Line; 4] = [
    ("create: up", "upload", "create"),
    ("join: down", "download", "join"),
    ("remove: up", "upload", "remove"),
    ("remove: down, each", "download", "remove"),
];

const MEMORY: [Line; 6] = [
    ("peak heap, create", "peak", "create"),
    ("peak heap, join", "peak", "join"),
    ("heap of an open client", "state", "heap"),
    ("peak heap, receive", "peak", "receive_commit"),
    ("stored state", "state", "stored"),
    ("written, receive", "written", "receive_commit"),
];

pub(crate) fn plots(rows: &Rows) -> Result<Vec<Plot>, Box<dyn Error>> {
    let message_time = Lines {
        title: format!("A message of 256 bytes: decrypting takes {}", growth(rows, "decrypt", "client")),
        axis: "time for one message",
        unit: "ns",
        logarithmic: false,
        lines: lines(rows, &MESSAGE_TIME),
    };
    let mut bytes = lines(rows, &MESSAGE_BYTES[1..]);
    bytes.insert(0, (MESSAGE_BYTES[0].0.to_owned(), sender_writes(rows)));
    let message_bytes = Lines {
        title: format!("A message of 256 bytes: its frame is {}", growth(rows, "frame", "client")),
        axis: "bytes for one message",
        unit: "bytes",
        logarithmic: false,
        lines: bytes,
    };
    let change_time = Lines {
        title: format!("Changes of a group: receiving a removal takes {}", tenfold(rows, "receive_commit", "remove")),
        axis: "time for one change",
        unit: "ns",
        logarithmic: true,
        lines: lines(rows, &CHANGE_TIME),
    };
    let traffic = Lines {
        title: format!("Changes of a group: a removal uploads {}", tenfold(rows, "upload", "remove")),
        axis: "bytes for one change",
        unit: "bytes",
        logarithmic: true,
        lines: lines(rows, &TRAFFIC),
    };
    let memory = Lines {
        title: format!("Memory: the stored state of one member is {}", tenfold(rows, "state", "stored")),
        axis: "bytes",
        unit: "bytes",
        logarithmic: true,
        lines: lines(rows, &MEMORY),
    };
    Ok(vec![
        ("message-time", message_time.svg()?),
        ("message-bytes", message_bytes.svg()?),
        ("change-time", change_time.svg()?),
        ("change-bytes", traffic.svg()?),
        ("memory", memory.svg()?),
    ])
}

fn lines(rows: &Rows, which: &[Line]) -> Vec<(String, Vec<(u64, f64)>)> {
    which.iter().map(|(name, work, variant)| ((*name).to_owned(), rows.by_members(work, variant))).collect()
}

fn sender_writes(rows: &Rows) -> Vec<(u64, f64)> {
    let sizes = rows.by_members("written", SENDER_WRITES[0]).into_iter().map(|(n, _)| n);
    sizes.map(|n| (n, SENDER_WRITES.iter().filter_map(|step| rows.at("written", step, n)).sum())).collect()
}

/// A figure at the largest size, as a multiple of that at the smallest.
fn growth(rows: &Rows, work: &str, variant: &str) -> String {
    let points = rows.by_members(work, variant);
    let (Some((few, least)), Some((many, most))) = (points.first(), points.last()) else { return OPEN.to_owned() };
    let grown = units::ratio(*most, *least);
    format!("{grown} as much at {} members as at {}", units::count(*many), units::count(*few))
}

/// A figure at the largest size, and how it grew from the size before.
fn tenfold(rows: &Rows, work: &str, variant: &str) -> String {
    let points = rows.by_members(work, variant);
    let unit = rows.rows.iter().find(|row| row.work == work && row.variant == variant).map_or("", |row| &row.unit);
    let [.., (less, before), (n, value)] = points.as_slice() else { return OPEN.to_owned() };
    let (grown, figure) = (units::ratio(*value, *before), units::value(*value, unit));
    format!("{figure} at {} members, {grown} that at {}", units::count(*n), units::count(*less))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_say_what_the_figures_say() {
        let mut rows = Rows::default();
        for (n, ns) in [(10, 180e3), (1_000, 500e3), (10_000, 3e6)] {
            rows.time("receive_commit", "remove", n, ns);
        }
        for n in [2, 10_000] {
            rows.time("decrypt", "client", n, 40_000.0);
            SENDER_WRITES.iter().for_each(|step| rows.bytes("written", step, n, 100.0));
        }
        let plots = plots(&rows).unwrap();
        assert_eq!(plots.len(), 5);
        let of = |name: &str| plots.iter().find(|(of, _)| *of == name).map(|(_, svg)| svg.as_str()).unwrap();
        assert!(of("message-time").contains("decrypting takes 1.00× as much at 10,000 members as at 2"));
        assert!(of("change-time").contains("3.00 ms at 10,000 members, 6.00× that at 1,000"));
        assert_eq!(sender_writes(&rows), [(2, 300.0), (10_000, 300.0)]);
    }
}
