//! ChaCha20-Poly1305 (RFC 8439) and the ChaCha20 mask of header protection (RFC 9001, section 5.4.4).

use chacha20::cipher::StreamCipherCore;
use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, KeyIvInit, R20};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Bytes of the authentication tag.
pub(crate) const TAG: usize = 16;

/// Encrypts the bytes of `buffer` from `start` on in place and appends the tag.
pub(crate) fn seal_in_place(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, start: usize) {
    let cipher = ChaCha20Poly1305::new(key.into());
    let text = buffer.get_mut(start..).unwrap_or_default();
    // The only failure is a text longer than the cipher's 256 GiB; every caller is bounded far below (limits.rs).
    // Were it ever to happen, nothing goes out rather than plaintext.
    match cipher.encrypt_inout_detached(nonce.into(), aad, text.into()) {
        Ok(tag) => buffer.extend_from_slice(&tag),
        Err(_) => buffer.truncate(start),
    }
}

/// Verifies the tag at the end of `buffer` and decrypts the bytes from `start` on in place, without the tag.
/// On an error the buffer must not be used.
pub(crate) fn open_in_place(
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &mut Vec<u8>,
    start: usize,
) -> Result<()> {
    let (text, tag) = buffer
        .get_mut(start..)
        .and_then(|sealed| sealed.split_last_chunk_mut::<TAG>())
        .ok_or(Error::malformed("a sealed text is shorter than its tag"))?;
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), aad, text.into(), (&*tag).into())
        .map_err(|_| Error::unauthentic())?;
    buffer.truncate(buffer.len().saturating_sub(TAG));
    Ok(())
}

/// XChaCha20-Poly1305 with a random 24-byte nonce, for records at rest.
pub(crate) fn seal_at_rest(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nonce.len() + text.len() + TAG);
    out.extend_from_slice(nonce);
    out.extend_from_slice(text);
    let body = out.get_mut(nonce.len()..).unwrap_or_default();
    let cipher = XChaCha20Poly1305::new(key.into());
    match cipher.encrypt_inout_detached(nonce.into(), aad, body.into()) {
        Ok(tag) => out.extend_from_slice(&tag),
        Err(_) => out.clear(),
    }
    out
}

/// Opens what [`seal_at_rest`] made.
pub(crate) fn open_at_rest(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<24>().ok_or(Error::unauthentic())?;
    let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(Error::unauthentic())?;
    let mut out = text.to_vec();
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), aad, out.as_mut_slice().into(), tag.into())
        .map_err(|_| Error::unauthentic())?;
    Ok(out)
}

/// XORs `header` with the mask of `sample`: the ChaCha20 keystream whose block counter is the sample's first four
/// bytes (little-endian) and whose nonce is the other twelve.
pub(crate) fn mask_header(key: &[u8; 32], sample: &[u8; 16], header: &mut [u8; 8]) {
    let [c0, c1, c2, c3, nonce @ ..] = *sample;
    // The core, not the `ChaCha20` over it: a sample of 0xffffffff… asks for the last block of the keystream, which
    // the latter refuses with a panic, and samples come from strangers.
    let mut core = ChaChaCore::<R20, Ietf>::new(key.into(), (&nonce).into());
    core.set_block_pos(u32::from_le_bytes([c0, c1, c2, c3]));
    let mut block = Zeroizing::new([0; 64]);
    core.write_keystream_block((&mut *block).into());
    for (byte, mask) in header.iter_mut().zip(block.iter()) {
        *byte ^= mask;
    }
}
