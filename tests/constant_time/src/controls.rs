//! Whether the watch works: two leaks that must be seen, and a comparison that has none.

use std::hint::black_box;

use crate::poison::hidden;

/// A branch on a secret.
pub fn branch() {
    let secret = hidden([7; 32]);
    if black_box(secret.expose()[0]) > 3 {
        println!("greater");
    }
}

/// A table read at a secret place.
pub fn index() {
    let secret = hidden([7; 32]);
    let table: [u8; 256] = std::array::from_fn(|i| i as u8);
    black_box(black_box(&table)[usize::from(secret.expose()[0])]);
}

/// The library's own comparison.
pub fn compare() {
    let (one, other) = (hidden([7; 32]), hidden([8; 32]));
    black_box(one.ct_eq(&other));
}
