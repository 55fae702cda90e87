//! ChaCha20-Poly1305 (RFC 8439) and the ChaCha20 mask of header protection (RFC 9001, section 5.4.4).

use chacha20::cipher::{StreamCipher, StreamCipherCore};
use chacha20::variants::Ietf;
use chacha20::{ChaCha20, ChaChaCore, KeyIvInit, R20};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Bytes of the authentication tag.
pub(crate) const TAG: usize = 16;

/// Bytes of text and associated data, together, up to which a text is [short](Short).
const SHORT: usize = 1_024;

/// Encrypts the bytes of `buffer` from `start` on in place and appends the tag.
pub(crate) fn seal_in_place(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, start: usize) {
    let text = buffer.get_mut(start..).unwrap_or_default();
    if Short::fits(aad, text) {
        let mut short = Short::new(key, nonce);
        short.cipher.apply_keystream(text);
        let tag = short.tag(aad, text);
        buffer.extend_from_slice(&tag);
        return;
    }
    let cipher = ChaCha20Poly1305::new(key.into());
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
    if Short::fits(aad, text) {
        let mut short = Short::new(key, nonce);
        if !bool::from(short.tag(aad, text).ct_eq(tag)) {
            return Err(Error::unauthentic());
        }
        short.cipher.apply_keystream(text);
    } else {
        ChaCha20Poly1305::new(key.into())
            .decrypt_inout_detached(nonce.into(), aad, text.into(), (&*tag).into())
            .map_err(|_| Error::unauthentic())?;
    }
    buffer.truncate(buffer.len().saturating_sub(TAG));
    Ok(())
}

/// The AEAD of RFC 8439, section 2.8, for a short text, put together from ChaCha20 and another Poly1305.
///
/// The one inside `ChaCha20Poly1305` looks for AVX2 at run time, and then a short text waits longer for it than for all
/// the rest: a message of 256 bytes takes half the time this way, a stanza a third. From about 4 KiB on it is faster.
struct Short {
    /// At the second block.
    cipher: ChaCha20,
    mac_key: Zeroizing<[u8; 32]>,
}

impl Short {
    fn fits(aad: &[u8], text: &[u8]) -> bool {
        aad.len().saturating_add(text.len()) <= SHORT
    }

    /// The first half of the first block of the keystream is the key of the tag.
    fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        let mut cipher = ChaCha20::new(key.into(), nonce.into());
        let mut block = Zeroizing::new([0; 64]);
        cipher.apply_keystream(&mut *block);
        let mut mac_key = Zeroizing::new([0; 32]);
        mac_key.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
        Self { cipher, mac_key }
    }

    /// Poly1305 over associated data and ciphertext, each padded with zeros to 16 bytes, and both lengths.
    fn tag(&self, aad: &[u8], ciphertext: &[u8]) -> [u8; TAG] {
        let lengths = [aad.len(), ciphertext.len()].map(|len| (len as u64).to_le_bytes());
        let (mut input, mut end) = ([0; SHORT + 3 * 16], 0_usize);
        for part in [aad, ciphertext, lengths.as_flattened()] {
            let next = end.saturating_add(part.len());
            match input.get_mut(end..next) {
                Some(place) => place.copy_from_slice(part),
                None => unreachable!("a short text fits"),
            }
            end = next.next_multiple_of(16);
        }
        let mut tag = [0; TAG];
        match libcrux_poly1305::mac(&self.mac_key, input.get(..end).unwrap_or_default(), &mut tag) {
            Ok(()) => tag,
            Err(_) => unreachable!("Poly1305 takes every text below 4 GiB"),
        }
    }
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
