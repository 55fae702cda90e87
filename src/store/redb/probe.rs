//! A look at a file that changes nothing.
//!
//! Opening a redb file for writing marks it, repairs it after a crash, and trusts its pages. So before a file is
//! opened it is opened over [`Overlay`], which keeps all writes in memory, with every page checked.

use core::ops::Bound;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::{builder, check_format, failure};
use crate::store::StoreError;

/// Whether the file is a store of ours, unlocked, intact and of this format. Writes nothing.
pub(super) fn probe(path: &Path) -> Result<(), StoreError> {
    // Written to by nobody here; opened for writing because exclusive locks need that on some systems.
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failure)?;
    let len = file.metadata().map_err(failure)?.len();
    let file = FileBackend::new(file).map_err(failure)?;
    let overlay = Overlay { file, changed: Mutex::new(Changed { len, file_len: len, writes: Vec::new() }) };
    let mut builder = builder();
    builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(overlay).map_err(failure)?;
    check_format(&database)?;
    database.close().map_err(failure)
}

/// A file, with everything written to it since kept in memory.
#[derive(Debug)]
struct Overlay {
    file: FileBackend,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    /// The length as redb sees it.
    len: u64,
    /// How much of the file still shows: what was cut off stays cut off.
    file_len: u64,
    /// In the order they were made. A repair makes few.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Overlay {
    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.changed().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let changed = self.changed();
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= changed.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        out.fill(0);
        let of_file = changed.file_len.min(end).saturating_sub(offset);
        if let Some(out) = usize::try_from(of_file).ok().and_then(|len| out.get_mut(..len)) {
            self.file.read(offset, out)?;
        }
        for (at, data) in &changed.writes {
            lay_over(out, offset, data, *at);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut changed = self.changed();
        changed.len = len;
        changed.file_len = changed.file_len.min(len);
        for (at, data) in &mut changed.writes {
            data.truncate(usize::try_from(len.saturating_sub(*at)).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut changed = self.changed();
        changed.len = changed.len.max(offset.saturating_add(data.len() as u64));
        // A later write of the same extent, the usual case, takes the earlier one's place only if none came between.
        match changed.writes.last_mut() {
            Some((at, last)) if *at == offset && last.len() == data.len() => last.copy_from_slice(data),
            _ => changed.writes.push((offset, data.to_vec())),
        }
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// Copies the part of `data`, which lies at `at`, that falls into `out`, which lies at `offset`.
fn lay_over(out: &mut [u8], offset: u64, data: &[u8], at: u64) {
    let skip = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let out = out.get_mut(skip(offset, at)..).unwrap_or_default();
    let data = data.get(skip(at, offset)..).unwrap_or_default();
    out.iter_mut().zip(data).for_each(|(out, data)| *out = *data);
}

#[cfg(test)]
mod tests {
    use super::lay_over;

    #[test]
    fn overlapping_parts_are_copied() {
        let laid = |at, data: &[u8]| {
            let mut out = [0; 4];
            lay_over(&mut out, 10, data, at);
            out
        };
        assert_eq!(laid(10, &[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(laid(8, &[1, 2, 3, 4]), [3, 4, 0, 0]);
        assert_eq!(laid(12, &[1, 2, 3, 4]), [0, 0, 1, 2]);
        assert_eq!(laid(11, &[1]), [0, 1, 0, 0]);
        assert_eq!(laid(8, &[1; 8]), [1; 4]);
        assert_eq!(laid(14, &[1]), [0; 4]);
        assert_eq!(laid(9, &[1]), [0; 4]);
    }
}
