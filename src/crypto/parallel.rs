//! The same work for many recipients or signatures: on one core, or on all with the feature `parallel`.

/// What `work` makes of each part of `items`, in their order. There is one part or, with the feature, one for each core
/// as long as none is shorter than `least`. How `items` is divided must not show in what comes out.
#[cfg(not(feature = "parallel"))]
pub(crate) fn in_parts<T: Sync, U: Send>(items: &[T], _least: usize, work: impl Fn(&[T]) -> U + Sync) -> Vec<U> {
    vec![work(items)]
}

#[cfg(feature = "parallel")]
pub(crate) fn in_parts<T: Sync, U: Send>(items: &[T], least: usize, work: impl Fn(&[T]) -> U + Sync) -> Vec<U> {
    use rayon::prelude::*;
    let even = items.len().div_ceil(rayon::current_num_threads());
    items.par_chunks(even.max(least)).map(&work).collect()
}
