//! Whole files, from a reader to a writer.

use std::io::{self, Read, Seek, SeekFrom, Write};

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::{Decryptor, Encryptor, FileKey};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::ATTACHMENT_CHUNK;

/// Encrypts all that `plain` gives into `sealed`.
///
/// Fails with `File` as reading or writing fails, and with `Limit` for more than 64 GiB.
pub fn encrypt(plain: &mut dyn Read, sealed: &mut dyn Write, rng: &mut dyn CryptoRng) -> Result<FileKey> {
    let mut encryptor = Encryptor::new(rng);
    let (mut this, mut next) = (chunk_buffer(), chunk_buffer());
    let mut filled = fill(plain, &mut this)?;
    loop {
        // Whether this is the last is known only once nothing follows it.
        let following = fill(plain, &mut next)?;
        let last = following == 0;
        sealed.write_all(&encryptor.chunk(this.get(..filled).unwrap_or_default(), last)?).map_err(file)?;
        if last {
            break;
        }
        core::mem::swap(&mut this, &mut next);
        filled = following;
    }
    let (attachment, index) = encryptor.finish()?;
    sealed.write_all(&index).map_err(file)?;
    Ok(attachment)
}

/// Decrypts an encrypted file into `plain`. Every byte written was verified; but only after `Ok` is it the whole file.
///
/// Fails with `Unauthentic` at the first chunk that is not of this file, and with `File` as reading or writing fails.
pub fn decrypt(attachment: &FileKey, sealed: &mut (impl Read + Seek), plain: &mut dyn Write) -> Result<()> {
    let index = attachment.index_at();
    let end = sealed.seek(SeekFrom::End(0)).map_err(file)?;
    if end != index.end {
        return Err(Error::unauthentic());
    }
    sealed.seek(SeekFrom::Start(index.start)).map_err(file)?;
    let decryptor = Decryptor::new(attachment, &read(sealed, index.end.saturating_sub(index.start))?)?;
    sealed.seek(SeekFrom::Start(0)).map_err(file)?;
    for number in 0..attachment.chunks() {
        let range = attachment.chunk_at(number).ok_or(Error::unauthentic())?;
        let chunk = read(sealed, range.end.saturating_sub(range.start))?;
        plain.write_all(&Zeroizing::new(decryptor.chunk(number, &chunk)?)).map_err(file)?;
    }
    Ok(())
}

fn chunk_buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; ATTACHMENT_CHUNK])
}

/// Reads until the buffer is full or nothing follows.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(file(error)),
        }
    }
    Ok(filled)
}

/// The length comes from a file whose end was looked for, or from a chunk.
fn read(reader: &mut impl Read, len: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| super::too_long())?];
    reader.read_exact(&mut bytes).map_err(file)?;
    Ok(bytes)
}

fn file(error: io::Error) -> Error {
    Error::new(ErrorKind::File, "reading or writing a file failed: try again").caused_by(error)
}
