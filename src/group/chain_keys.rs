//! The first chain keys of an epoch's senders, until they speak.

use core::cmp::Ordering;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, zeroize_bytes};

use crate::crypto::kdf::Expander;
use crate::ids::LeafIndex;
use crate::labels;
use crate::secret::Secret;
use crate::wire::Writer;

/// Senders whose first chain keys share a page and its record, so that a sender's first message of an epoch rewrites
/// about a kilobyte, however large the group.
pub(crate) const PAGE: u32 = 32;

/// The first chain keys of an epoch, by leaf. Most senders of a large group stay silent in most epochs, so their keys lie
/// together in pages, each one buffer that is wiped on drop.
#[derive(Default)]
pub(crate) struct ChainKeys(Vec<KeyPage>);

struct KeyPage {
    number: u32,
    /// Bit `i` is set while the key in place `i` is held.
    held: u32,
    keys: Box<[[u8; 32]]>,
}

impl Drop for KeyPage {
    fn drop(&mut self) {
        zeroize_bytes(self.keys.as_flattened_mut());
    }
}

impl ZeroizeOnDrop for KeyPage {}

impl ChainKeys {
    /// expand_label(root, "sender", leaf, 32) for every leaf.
    pub(super) fn derive(root: &Expander, leaves: impl Iterator<Item = LeafIndex>) -> Self {
        let mut keys = Self::default();
        for leaf in leaves {
            let mut context = Writer::short();
            context.item(&leaf);
            root.expand_into(labels::SENDER, context.as_slice(), keys.place(leaf));
        }
        keys
    }

    pub(crate) fn insert(&mut self, leaf: LeafIndex, key: &[u8; 32]) {
        self.place(leaf).copy_from_slice(key);
    }

    pub(crate) fn get(&self, leaf: LeafIndex) -> Option<&[u8; 32]> {
        self.page(leaf.0 / PAGE).find(|(other, _)| *other == leaf).map(|(_, key)| key)
    }

    /// Wipes the key of one leaf.
    pub(crate) fn erase(&mut self, leaf: LeafIndex) {
        let (number, place) = (leaf.0 / PAGE, leaf.0 % PAGE);
        let Ok(at) = self.find(number) else { return };
        let Some(page) = self.0.get_mut(at) else { return };
        page.held &= !(1 << place);
        page.keys.iter_mut().skip(place as usize).take(1).for_each(Zeroize::zeroize);
    }

    /// The keys of the leaves from `number` times [`PAGE`] on that are held.
    pub(crate) fn page(&self, number: u32) -> impl Iterator<Item = (LeafIndex, &[u8; 32])> {
        let page = self.find(number).ok().and_then(|at| self.0.get(at));
        page.into_iter().flat_map(KeyPage::iter)
    }

    /// Each key by itself, for those who keep them in their own way.
    pub(super) fn into_list(self) -> Vec<(LeafIndex, Secret<32>)> {
        self.0.iter().flat_map(KeyPage::iter).map(|(leaf, key)| (leaf, Secret::copy_from(key))).collect()
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        // Keys mostly come in the order of their leaves.
        match self.0.last().map(|last| last.number.cmp(&number)) {
            Some(Ordering::Greater) => self.0.binary_search_by_key(&number, |page| page.number),
            Some(Ordering::Equal) => Ok(self.0.len().saturating_sub(1)),
            Some(Ordering::Less) | None => Err(self.0.len()),
        }
    }

    /// Where the key of this leaf is to be written, which from then on is held.
    fn place(&mut self, leaf: LeafIndex) -> &mut [u8; 32] {
        let (number, place) = (leaf.0 / PAGE, leaf.0 % PAGE);
        let at = self.find(number).unwrap_or_else(|at| {
            let keys = vec![[0; 32]; PAGE as usize].into_boxed_slice();
            self.0.insert(at, KeyPage { number, held: 0, keys });
            at
        });
        let Some(page) = self.0.get_mut(at) else { unreachable!("the page was found, or put there") };
        page.held |= 1 << place;
        match page.keys.get_mut(place as usize) {
            Some(key) => key,
            None => unreachable!("a page has {PAGE} places"),
        }
    }
}

impl KeyPage {
    fn iter(&self) -> impl Iterator<Item = (LeafIndex, &[u8; 32])> {
        let first = self.number.saturating_mul(PAGE);
        let places = (0..PAGE).zip(self.keys.iter());
        places
            .filter(|(place, _)| self.held & (1 << place) != 0)
            .map(move |(place, key)| (LeafIndex(first.saturating_add(place)), key))
    }
}

impl FromIterator<(LeafIndex, Secret<32>)> for ChainKeys {
    fn from_iter<I: IntoIterator<Item = (LeafIndex, Secret<32>)>>(list: I) -> Self {
        let mut keys = Self::default();
        list.into_iter().for_each(|(leaf, key)| keys.insert(leaf, key.expose()));
        keys
    }
}

impl fmt::Debug for ChainKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(pages) = self;
        f.debug_struct("ChainKeys").field("pages", &pages.len()).finish_non_exhaustive()
    }
}
