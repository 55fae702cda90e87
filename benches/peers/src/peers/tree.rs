//! Which members of a ratchet tree (RFC 9420) must have committed for a commit of the first to be small.

/// One leaf, of a group of `n`, in every subtree beside the path from leaf 0 to the root. Once these have committed, every
/// node that the founder encrypts to has a key of its own: about log n of them, and not all the leaves below.
pub fn beside_the_first(n: usize) -> Vec<usize> {
    std::iter::successors(Some(1), |leaf| Some(leaf * 2)).take_while(|leaf| *leaf < n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leaf_in_every_subtree() {
        assert_eq!(beside_the_first(2), [1]);
        assert_eq!(beside_the_first(10), [1, 2, 4, 8]);
        assert_eq!(beside_the_first(1_000).len(), 10);
    }
}
