//! The contract of [`Store`] as a check, for whoever writes one.

use super::{ChangeSet, RecordKey, Store, StoreError, StoreErrorKind};

/// Checks a store against the contract of [`Store`].
///
/// `store` must hold no records but those it wrote itself; it holds some more afterwards. `reopen` closes what it is
/// given and opens the same store again, as after a restart.
///
/// # Errors
/// The first rule the store breaks.
pub fn check<S: Store>(store: S, mut reopen: impl FnMut(S) -> Result<S, StoreError>) -> Result<(), Finding> {
    let mut store = store;
    writes_and_reads(&mut store)?;
    refuses_other_versions(&mut store)?;
    takes_every_name_and_length(&mut store)?;
    let version = store.load(&RecordKey::VERSION).or_broken("a load of the version succeeds")?;

    let mut store = reopen(store).or_broken("it opens again")?;
    let again = store.load(&RecordKey::VERSION).or_broken("a load of the version succeeds")?;
    rule(again == version, "the version is the same after reopening")?;
    holds_every_name_and_length(&store)?;
    refuses_other_versions(&mut store)?;
    deletes(&mut store)?;

    let store = reopen(store).or_broken("it opens again")?;
    holds(&store, &name(1), None, "what was deleted stays deleted after reopening")
}

/// A rule of the contract that a store breaks.
#[derive(Debug, thiserror::Error)]
#[error("this store breaks a rule: {rule}")]
pub struct Finding {
    rule: &'static str,
    source: Option<StoreError>,
}

fn writes_and_reads(store: &mut impl Store) -> Result<(), Finding> {
    holds(store, &name(1), None, "a record never written is absent")?;
    let mut changes = next(store)?;
    changes.put(name(1), b"one".to_vec());
    changes.put(name(2), b"two".to_vec());
    changes.delete(name(3));
    store.apply(&changes).or_broken("changes apply, and deleting an absent record is no error")?;
    let version = store.load(&RecordKey::VERSION).or_broken("a load of the version succeeds")?;
    rule(version.as_deref() == Some(&changes.version_record()), "applying writes the next version")?;
    holds(store, &name(1), Some(b"one"), "a record holds what was put")?;
    holds(store, &name(2), Some(b"two"), "every change of a set is made")?;
    holds(store, &name(3), None, "deleting an absent record leaves it absent")?;

    let mut changes = next(store)?;
    changes.put(name(1), b"uno".to_vec());
    changes.put(name(3), Vec::new());
    changes.delete(name(2));
    store.apply(&changes).or_broken("a second set applies on the first")?;
    holds(store, &name(1), Some(b"uno"), "a record is overwritten")?;
    holds(store, &name(2), None, "a record is deleted")?;
    holds(store, &name(3), Some(b""), "an empty value is not an absent one")?;

    let empty = next(store)?;
    store.apply(&empty).or_broken("an empty set applies")?;
    rule(next(store)?.base() == empty.base(), "an empty set leaves the version as it is")
}

fn refuses_other_versions(store: &mut impl Store) -> Result<(), Finding> {
    let base = next(store)?.base();
    for wrong in [0, base.saturating_sub(1), base.saturating_add(1), u64::MAX] {
        let mut changes = ChangeSet::new(wrong);
        changes.put(name(1), b"conflicting".to_vec());
        changes.put(name(4), b"conflicting".to_vec());
        let refused = store.apply(&changes).is_err_and(|error| error.kind() == StoreErrorKind::Conflict);
        rule(refused, "changes that build on another version are a Conflict")?;
        holds(store, &name(1), Some(b"uno"), "a refused set changes nothing")?;
        holds(store, &name(4), None, "a refused set adds nothing")?;
        rule(next(store)?.base() == base, "a refused set leaves the version alone")?;
    }
    Ok(())
}

fn takes_every_name_and_length(store: &mut impl Store) -> Result<(), Finding> {
    let mut changes = next(store)?;
    for (name, value) in awkward_records() {
        changes.put(name, value);
    }
    store.apply(&changes).or_broken("names of 1 to 128 arbitrary bytes and values up to a mebibyte are taken")
}

fn holds_every_name_and_length(store: &impl Store) -> Result<(), Finding> {
    for (name, value) in awkward_records() {
        holds(store, &name, Some(&value), "names and values of any bytes survive reopening, and no two names are one")?;
    }
    Ok(())
}

fn deletes(store: &mut impl Store) -> Result<(), Finding> {
    let mut changes = next(store)?;
    changes.delete(name(1));
    for (name, _) in awkward_records() {
        changes.delete(name);
    }
    store.apply(&changes).or_broken("records are deleted after reopening")?;
    for (name, _) in awkward_records() {
        holds(store, &name, None, "a deleted record is absent")?;
    }
    Ok(())
}

/// Names that a careless store confuses: prefixes of each other, zeros, bytes that are no text, the longest. And
/// values that cross a page.
fn awkward_records() -> Vec<(RecordKey, Vec<u8>)> {
    let longest = [0xFF; RecordKey::MAX_LEN - 1];
    let names: [&[u8]; 8] = [&[], &[0], &[0, 0], b"a", b"A", b"a'\"%_\\", &[0xC3, 0x28], &longest];
    let lengths = [0, 1, 100, 4_095, 4_096, 4_097, 65_536, 1 << 20];
    names
        .iter()
        .zip(lengths)
        .zip(1..)
        .map(|((name, len), fill)| (RecordKey::of(0xFE, &[name]), vec![fill; len]))
        .collect()
}

fn name(n: u8) -> RecordKey {
    RecordKey::of(1, &[&[n]])
}

fn next(store: &impl Store) -> Result<ChangeSet, Finding> {
    ChangeSet::on(store).or_broken("a load of the version succeeds")
}

fn holds(store: &impl Store, name: &RecordKey, value: Option<&[u8]>, what: &'static str) -> Result<(), Finding> {
    rule(store.load(name).or_broken("a load succeeds")?.as_deref() == value, what)
}

fn rule(kept: bool, rule: &'static str) -> Result<(), Finding> {
    if kept { Ok(()) } else { Err(Finding { rule, source: None }) }
}

trait OrBroken<T> {
    fn or_broken(self, rule: &'static str) -> Result<T, Finding>;
}

impl<T> OrBroken<T> for Result<T, StoreError> {
    fn or_broken(self, rule: &'static str) -> Result<T, Finding> {
        self.map_err(|source| Finding { rule, source: Some(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    /// A store that breaks one rule.
    struct Careless {
        inner: MemoryStore,
        loses: bool,
        ignores_version: bool,
    }

    impl Store for Careless {
        fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
            self.inner.load(key)
        }

        fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
            let stored = ChangeSet::on(&self.inner)?.base();
            if !self.ignores_version || changes.base() == stored {
                return self.inner.apply(changes);
            }
            let mut forced = ChangeSet::new(stored);
            for (key, value) in changes.iter().filter(|(key, _)| **key != RecordKey::VERSION) {
                forced.put(key.clone(), value.unwrap_or_default().to_vec());
            }
            self.inner.apply(&forced)
        }
    }

    fn finding(loses: bool, ignores_version: bool) -> Option<&'static str> {
        let store = Careless { inner: MemoryStore::new(), loses, ignores_version };
        let reopen = |store: Careless| match store.loses {
            true => Ok(Careless { inner: MemoryStore::new(), ..store }),
            false => Ok(store),
        };
        check(store, reopen).err().map(|finding| finding.rule)
    }

    #[test]
    fn a_careful_store_passes_and_a_careless_one_is_found_out() {
        assert_eq!(finding(false, false), None);
        assert_eq!(finding(true, false), Some("the version is the same after reopening"));
        assert_eq!(finding(false, true), Some("changes that build on another version are a Conflict"));
    }
}
