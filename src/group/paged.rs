//! An ordered map in pages. Clones share the pages that neither has changed, so that the state of an epoch and of the
//! next cost what tells them apart, however large the group.

use core::{fmt, slice};
use std::sync::{Arc, OnceLock};

use crate::wire::Writer;

/// Entries of a page, at most.
const FULL: usize = 64;

/// What a map holds under a key.
pub(crate) trait Paged: Clone {
    type Index: Clone + Ord;

    /// Writes the one item by which the entry enters the context hash.
    fn write(&self, key: &Self::Index, w: &mut Writer);

    /// Numbers by which the entry is [looked for](PagedMap::marked) without reading it.
    fn marks(&self) -> impl IntoIterator<Item = u64> {
        []
    }
}

/// Entries by their keys, in the order of these.
#[derive(Clone)]
pub(crate) struct PagedMap<V: Paged> {
    /// None is empty, and the keys of one come before those of the next.
    pages: Vec<Arc<Page<V>>>,
    len: usize,
}

struct Page<V: Paged> {
    entries: Vec<(V::Index, V)>,
    /// Made when it is first asked for.
    digest: OnceLock<Digest>,
}

/// What the entries of a page write, and all their marks.
struct Digest {
    encoded: Box<[u8]>,
    marks: Box<[u64]>,
}

impl<V: Paged> Page<V> {
    fn new(entries: Vec<(V::Index, V)>) -> Self {
        Self { entries, digest: OnceLock::new() }
    }

    fn first(&self) -> Option<&V::Index> {
        self.entries.first().map(|(key, _)| key)
    }

    fn find(&self, key: &V::Index) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| other.cmp(key))
    }

    fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| {
            let mut w = Writer::new();
            for (key, value) in &self.entries {
                value.write(key, &mut w);
            }
            let marks = self.entries.iter().flat_map(|(_, value)| value.marks()).collect();
            Digest { encoded: w.finish().into_boxed_slice(), marks }
        })
    }
}

/// Only a page that is about to change is cloned.
impl<V: Paged> Clone for Page<V> {
    fn clone(&self) -> Self {
        Self::new(self.entries.clone())
    }
}

impl<V: Paged> PagedMap<V> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &V::Index) -> Option<&V> {
        let page = self.pages.get(self.page_of(key))?;
        let (_, value) = page.entries.get(page.find(key).ok()?)?;
        Some(value)
    }

    pub(crate) fn contains_key(&self, key: &V::Index) -> bool {
        self.get(key).is_some()
    }

    /// An entry to be changed, but for its key.
    pub(crate) fn get_mut(&mut self, key: &V::Index) -> Option<&mut V> {
        let number = self.page_of(key);
        let at = self.pages.get(number)?.find(key).ok()?;
        self.edit(number)?.get_mut(at).map(|(_, value)| value)
    }

    /// What was there before.
    pub(crate) fn insert(&mut self, key: V::Index, value: V) -> Option<V> {
        if let Some(held) = self.get_mut(&key) {
            return Some(core::mem::replace(held, value));
        }
        self.len = self.len.saturating_add(1);
        let number = self.page_of(&key);
        let is_last = number.saturating_add(1) == self.pages.len();
        let Some(entries) = self.edit(number) else {
            self.pages.push(Arc::new(Page::new(vec![(key, value)])));
            return None;
        };
        let at = entries.partition_point(|(other, _)| *other < key);
        entries.insert(at, (key, value));
        if entries.len() > FULL {
            // What comes in order fills its pages; anything else leaves room on both sides.
            let rest = entries.split_off(if at == FULL && is_last { FULL } else { FULL / 2 });
            self.pages.insert(number.saturating_add(1), Arc::new(Page::new(rest)));
        }
        None
    }

    /// What was there.
    pub(crate) fn remove(&mut self, key: &V::Index) -> Option<V> {
        let number = self.page_of(key);
        let at = self.pages.get(number)?.find(key).ok()?;
        let entries = self.edit(number)?;
        let (_, value) = entries.remove(at);
        if entries.is_empty() {
            self.pages.remove(number);
        }
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    pub(crate) fn iter(&self) -> Iter<'_, V> {
        Iter { pages: self.pages.iter(), entries: [].iter(), left: self.len }
    }

    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &V::Index> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries of the pages that this map does not share with `other`: every entry by which they differ is among
    /// them.
    pub(crate) fn unshared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a V::Index, &'a V)> {
        let shared = |page: &Arc<Page<V>>| {
            let same = page.first().and_then(|first| other.pages.get(other.page_of(first)));
            same.is_some_and(|same| Arc::ptr_eq(same, page))
        };
        let pages = self.pages.iter().filter(move |page| !shared(page));
        pages.flat_map(|page| page.entries.iter().map(|(key, value)| (key, value)))
    }

    /// What the entries write, in their order and in pieces. A page remembers it for as long as it stays the same.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = &[u8]> {
        self.pages.iter().map(|page| &*page.digest().encoded)
    }

    /// The entries of the pages in which any has a mark that is `wanted`: every entry that has one is among them.
    pub(crate) fn marked(&self, wanted: impl Fn(u64) -> bool) -> impl Iterator<Item = (&V::Index, &V)> {
        let pages = self.pages.iter().filter(move |page| page.digest().marks.iter().any(|mark| wanted(*mark)));
        pages.flat_map(|page| page.entries.iter().map(|(key, value)| (key, value)))
    }

    /// The page that holds `key`, if any does.
    fn page_of(&self, key: &V::Index) -> usize {
        self.pages.partition_point(|page| page.first().is_some_and(|first| first <= key)).saturating_sub(1)
    }

    /// The entries of a page that is about to change, which until now may have been shared.
    fn edit(&mut self, number: usize) -> Option<&mut Vec<(V::Index, V)>> {
        let page = Arc::make_mut(self.pages.get_mut(number)?);
        page.digest.take();
        Some(&mut page.entries)
    }
}

/// The entries in the order of their keys.
pub(crate) struct Iter<'a, V: Paged> {
    pages: slice::Iter<'a, Arc<Page<V>>>,
    entries: slice::Iter<'a, (V::Index, V)>,
    left: usize,
}

impl<'a, V: Paged> Iterator for Iter<'a, V> {
    type Item = (&'a V::Index, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                self.left = self.left.saturating_sub(1);
                return Some((key, value));
            }
            self.entries = self.pages.next()?.entries.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<V: Paged> ExactSizeIterator for Iter<'_, V> {}

impl<'a, V: Paged> IntoIterator for &'a PagedMap<V> {
    type Item = (&'a V::Index, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<V: Paged<Index: fmt::Debug> + fmt::Debug> fmt::Debug for PagedMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    impl Paged for u64 {
        type Index = u32;

        fn write(&self, key: &u32, w: &mut Writer) {
            w.array(2).uint((*key).into()).uint(*self);
        }

        fn marks(&self) -> impl IntoIterator<Item = u64> {
            [*self]
        }
    }

    fn check(map: &PagedMap<u64>, model: &BTreeMap<u32, u64>) {
        assert!(map.iter().eq(model) && map.iter().len() == model.len() && map.len() == model.len());
        let mut w = Writer::new();
        model.iter().for_each(|(key, value)| value.write(key, &mut w));
        assert_eq!(map.encoded().collect::<Vec<_>>().concat(), w.finish());
        assert!(map.pages.iter().all(|page| (1..=FULL).contains(&page.entries.len())));
    }

    #[test]
    fn it_is_a_map_whatever_is_done_to_it_and_to_its_clones() {
        let mut rng = StdRng::seed_from_u64(5);
        let (mut map, mut model) = (PagedMap::new(), BTreeMap::new());
        let mut kept = Vec::new();
        for round in 0..4_000 {
            // Growing first, then shrinking to nothing.
            let (key, insert) = (rng.next_u32() % 600, rng.next_u32() % 100 < if round < 2_000 { 70 } else { 10 });
            if insert {
                assert_eq!(map.insert(key, round), model.insert(key, round));
            } else {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
            let (key, add) = (rng.next_u32() % 600, u64::from(rng.next_u32()));
            assert_eq!(map.get(&key), model.get(&key));
            assert_eq!(map.contains_key(&key), model.contains_key(&key));
            assert_eq!(map.get_mut(&key).map(|value| *value += add), model.get_mut(&key).map(|value| *value += add));
            if round % 500 == 0 {
                check(&map, &model);
                kept.push((map.clone(), model.clone()));
            }
        }
        kept.iter().for_each(|(map, model)| check(map, model));
        let keys: Vec<u32> = map.keys().copied().collect();
        keys.iter().for_each(|key| assert_eq!(map.remove(key), model.remove(key)));
        check(&map, &model);
    }

    #[test]
    fn what_comes_in_order_fills_its_pages() {
        let mut map = PagedMap::new();
        (0..1_000).for_each(|key| assert_eq!(map.insert(key, 0), None));
        assert_eq!(map.pages.len(), 1_000_usize.div_ceil(FULL));
    }

    #[test]
    fn an_entry_is_found_by_its_mark_whatever_has_changed() {
        let mut map = PagedMap::new();
        (0..1_000).for_each(|key| assert_eq!(map.insert(key, key.into()), None));
        let found = |map: &PagedMap<u64>, mark: u64| map.marked(|other| other == mark).any(|(_, value)| *value == mark);
        assert!((0..1_000).all(|mark| found(&map, mark)) && !found(&map, 1_000));
        assert!(map.marked(|mark| mark == 500).count() <= FULL);
        let old = map.clone();
        map.remove(&500);
        map.get_mut(&501).into_iter().for_each(|value| *value = 2_000);
        assert!(found(&old, 500) && found(&old, 501) && !found(&old, 2_000));
        assert!(!found(&map, 500) && !found(&map, 501) && found(&map, 2_000));
    }

    /// An inviter decides in which order a roster is read.
    #[test]
    fn no_order_makes_a_page_of_each_entry() {
        let mut map = PagedMap::new();
        (0..64).chain((64..10_000).rev()).for_each(|key| assert_eq!(map.insert(key, 0), None));
        assert!(map.pages.len() <= 2 * 10_000_usize.div_ceil(FULL) + 1, "{}", map.pages.len());
    }

    #[test]
    fn a_change_is_in_what_two_maps_do_not_share() {
        let mut old: PagedMap<u64> = PagedMap::new();
        (0..1_000).for_each(|key| assert_eq!(old.insert(key * 2, 0), None));
        let mut new = old.clone();
        assert_eq!((new.unshared(&old).count(), old.unshared(&new).count()), (0, 0));
        new.remove(&500);
        new.insert(501, 1);
        new.insert(1_998, 7);
        let (added, gone): (Vec<_>, Vec<_>) = (new.unshared(&old).collect(), old.unshared(&new).collect());
        assert!(added.contains(&(&501, &1)) && added.contains(&(&1_998, &7)) && gone.contains(&(&500, &0)));
        assert!(added.len() <= 2 * FULL && gone.len() <= 2 * FULL);
    }
}
