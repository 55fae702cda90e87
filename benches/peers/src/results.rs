//! Samples, and what is said of them.

/// What a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Nanoseconds,
    Bytes,
    PerSecond,
}

impl Unit {
    /// As JSON calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::PerSecond => "per second",
        }
    }

    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::PerSecond)
    }
}

/// One thing measured. Figures of one case are alike for all peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub work: &'static str,
    pub variant: String,
    pub bytes: Option<usize>,
    pub n: Option<usize>,
    pub unit: Unit,
    /// Cases of one class can be compared though their variants differ, as stores do that are equally durable.
    pub class: String,
}

impl Case {
    pub fn new(work: &'static str, variant: impl Into<String>, unit: Unit) -> Self {
        let variant = variant.into();
        Self { work, class: variant.clone(), variant, bytes: None, n: None, unit }
    }

    pub fn bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    pub fn n(self, n: usize) -> Self {
        Self { n: Some(n), ..self }
    }

    pub fn class(self, class: impl Into<String>) -> Self {
        Self { class: class.into(), ..self }
    }

    /// With this before its variant.
    pub fn named(self, prefix: &str) -> Self {
        let variant = format!("{prefix}{}", self.variant);
        Self { class: variant.clone(), variant, ..self }
    }

    pub fn compares_with(&self, other: &Self) -> bool {
        let key = |case: &Self| (case.work, case.bytes, case.n, case.unit);
        key(self) == key(other) && self.class == other.class
    }
}

/// All samples of one peer in one case.
#[derive(Clone, Debug)]
pub struct Row {
    pub case: Case,
    pub peer: &'static str,
    samples: Vec<f64>,
}

impl Row {
    pub fn median(&self) -> f64 {
        quantile(&self.samples, 0.5)
    }

    /// A quarter of the samples is below the first, a quarter above the second.
    pub fn quartiles(&self) -> (f64, f64) {
        (quantile(&self.samples, 0.25), quantile(&self.samples, 0.75))
    }
}

/// Everything measured, in the order of its first samples.
#[derive(Clone, Debug, Default)]
pub struct Results {
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

impl Results {
    pub fn add(&mut self, peer: &'static str, case: Case, sample: f64) {
        match self.rows.iter_mut().find(|row| row.peer == peer && row.case == case) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Row { case, peer, samples: vec![sample] }),
        }
    }

    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// The value below which this share of the samples lies, between the two nearest of them.
fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        assert_eq!(quantile(&[3.0], 0.5), 3.0);
        assert_eq!(quantile(&[4.0, 1.0], 0.5), 2.5);
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 4.0, 3.0], 0.5), 3.0);
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 4.0, 3.0], 0.25), 2.0);
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 4.0, 3.0], 0.75), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn samples_of_one_peer_and_case_are_one_row() {
        let (mut results, case) = (Results::default(), || Case::new("encrypt", "", Unit::Nanoseconds).bytes(32));
        results.add("a", case(), 1.0);
        results.add("b", case(), 5.0);
        results.add("a", case(), 3.0);
        results.add("a", case().bytes(256), 9.0);
        let medians: Vec<_> = results.rows.iter().map(|row| (row.peer, row.case.bytes, row.median())).collect();
        assert_eq!(medians, [("a", Some(32), 2.0), ("b", Some(32), 5.0), ("a", Some(256), 9.0)]);
    }

    #[test]
    fn a_class_compares_across_variants() {
        let case = |variant: &str| Case::new("persist_send", variant, Unit::PerSecond).class("durable");
        assert!(case("redb").compares_with(&case("SQLite")));
        assert!(!case("redb").compares_with(&case("SQLite").bytes(256)));
        assert!(!case("redb").compares_with(&case("SQLite").class("not durable")));
    }
}
