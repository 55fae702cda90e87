//! What a bench measured, as a list that other programs read.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The name of this library among its peers.
pub(crate) const OWN: &str = "convivio";

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was done, or what was counted.
    pub(crate) work: String,
    /// Whose library.
    pub(crate) peer: String,
    /// Which way of doing it, or while doing what.
    pub(crate) variant: String,
    /// Bytes of the content of one message.
    pub(crate) bytes: Option<u64>,
    /// Members of the group, or messages of a backlog.
    pub(crate) n: Option<u64>,
    pub(crate) value: f64,
    /// `ns`, `bytes`, `per second` or `count`.
    pub(crate) unit: String,
}

/// A whole run.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
}

impl Rows {
    pub(crate) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        Ok(fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Adds times of this library in a group of `n`, as their median.
    pub(crate) fn time(&mut self, work: &str, variant: &str, n: usize, ns: f64) {
        self.push(work, variant, (n, ns, "ns"));
    }

    pub(crate) fn bytes(&mut self, work: &str, variant: &str, n: usize, bytes: f64) {
        self.push(work, variant, (n, bytes, "bytes"));
    }

    pub(crate) fn count(&mut self, work: &str, variant: &str, n: usize, count: usize) {
        self.push(work, variant, (n, count as f64, "count"));
    }

    fn push(&mut self, work: &str, variant: &str, (n, value, unit): (usize, f64, &str)) {
        let [work, peer, variant, unit] = [work, OWN, variant, unit].map(str::to_owned);
        self.rows.push(Row { work, peer, variant, bytes: None, n: Some(n as u64), value, unit });
    }

    /// This work done this way, by members.
    pub(crate) fn by_members(&self, work: &str, variant: &str) -> Vec<(u64, f64)> {
        let is = |row: &&Row| row.work == work && row.variant == variant;
        let mut found: Vec<_> = self.rows.iter().filter(is).filter_map(|row| row.n.map(|n| (n, row.value))).collect();
        found.sort_by_key(|(n, _)| *n);
        found
    }

    pub(crate) fn at(&self, work: &str, variant: &str, n: u64) -> Option<f64> {
        self.by_members(work, variant).into_iter().find(|(of, _)| *of == n).map(|(_, value)| value)
    }
}
