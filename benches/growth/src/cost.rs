//! What one operation costs: time, and memory on the heap.

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

/// Counts what is allocated, at a few nanoseconds for each time.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Bytes on the heap now.
pub(crate) fn heap() -> usize {
    HEAP.current_usage()
}

/// What one run of an operation cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// The most bytes on the heap beyond those held before.
    pub(crate) peak: usize,
}

/// Does it once.
pub(crate) fn measure<T>(f: impl FnOnce() -> T) -> (T, Cost) {
    let before = heap();
    HEAP.reset_peak_usage();
    let start = Instant::now();
    let value = f();
    let time = start.elapsed();
    (value, Cost { time, peak: HEAP.peak_usage().saturating_sub(before) })
}

/// The middle one, in nanoseconds.
pub(crate) fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_what_was_held_at_once() {
        let (kept, cost) = measure(|| {
            drop(vec![1_u8; 1 << 20]);
            vec![1_u8; 1 << 19]
        });
        // Other tests allocate, too.
        assert!((1 << 20..1 << 21).contains(&cost.peak), "{cost:?}");
        assert_eq!(kept.len(), 1 << 19);
    }

    #[test]
    fn one_slow_run_does_not_move_the_median() {
        let mut times = [5, 1_000_000, 7].map(Duration::from_nanos);
        assert_eq!(median(&mut times), 7.0);
    }
}
