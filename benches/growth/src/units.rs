//! Figures as people read them.

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

fn scaled(value: f64, units: [&str; 4]) -> String {
    let [small, kilo, mega, giga] = units;
    match value {
        v if v < 1e3 => format!("{v:.0} {small}"),
        v if v < 999.5e3 => format!("{} {kilo}", digits(v / 1e3)),
        v if v < 999.5e6 => format!("{} {mega}", digits(v / 1e6)),
        v => format!("{} {giga}", digits(v / 1e9)),
    }
}

/// Nanoseconds.
pub(crate) fn time(ns: f64) -> String {
    scaled(ns, ["ns", "µs", "ms", "s"])
}

/// Bytes, in powers of ten.
pub(crate) fn bytes(bytes: f64) -> String {
    scaled(bytes, ["B", "KB", "MB", "GB"])
}

/// In the unit that a row names.
pub(crate) fn value(value: f64, unit: &str) -> String {
    match unit {
        "ns" => time(value),
        "bytes" => bytes(value),
        "per second" => format!("{}/s", count(value.round() as u64)),
        _ => count(value.round() as u64),
    }
}

/// A round value of an axis, without decimals that say nothing.
pub(crate) fn tick(value: f64, unit: &str) -> String {
    self::value(value, unit).replace(".00 ", " ").replace(".0 ", " ")
}

/// How many times one is the other.
pub(crate) fn ratio(of: f64, to: f64) -> String {
    format!("{}×", digits(of / to))
}

/// A count with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        assert_eq!(time(158.0), "158 ns");
        assert_eq!(time(20_881.0), "20.9 µs");
        assert_eq!(time(999_400.0), "999 µs");
        assert_eq!(time(999_600.0), "1.00 ms");
        assert_eq!(time(5_743_000_493.0), "5.74 s");
        assert_eq!(bytes(429.0), "429 B");
        assert_eq!(bytes(55_308.0), "55.3 KB");
        assert_eq!(value(6_000.4, "per second"), "6,000/s");
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(tick(10_000.0, "ns"), "10 µs");
        assert_eq!(tick(1e9, "ns"), "1 s");
        assert_eq!(tick(0.0, "bytes"), "0 B");
        assert_eq!(tick(2_500.0, "bytes"), "2.50 KB");
    }

    #[test]
    fn thousands_and_ratios() {
        assert_eq!([2, 100, 1_000, 1_234_567].map(count), ["2", "100", "1,000", "1,234,567"]);
        assert_eq!(ratio(4.0, 3.0), "1.33×");
    }
}
