//! The parts of HPKE (RFC 9180) that an envelope's stanza is made of: DHKEM(X25519, HKDF-SHA256) and the base-mode
//! key schedule with ChaCha20-Poly1305. One key seals one text, so only the first nonce exists.
//!
//! The ephemeral key is an argument: the envelope shares one among its recipients (`docs/protocol.md`, section 4).

use super::kdf::{Expander, Hash, hmac};
use super::{aead, kem};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Which KEM made the shared secret, with its id in HPKE's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kem {
    /// DHKEM(X25519, HKDF-SHA256).
    X25519 = 0x0020,
    /// X-Wing.
    XWing = 0x647a,
}

/// Bytes by which sealing lengthens a text.
pub(crate) const OVERHEAD: usize = aead::TAG;

/// DHKEM's ExtractAndExpand(dh, enc ‖ pkR), RFC 9180, section 4.1.
pub(crate) fn dhkem_shared_secret(dh: &Secret<32>, enc: &[u8; 32], recipient: &[u8; 32]) -> Secret<32> {
    const SUITE: &[u8] = b"KEM\x00\x20";
    let prk = Expander::new(labelled_extract(SUITE, &[0; 32], b"eae_prk", dh.expose()).expose());
    Secret::fill_with(|out| labelled_expand(SUITE, &prk, b"shared_secret", [enc, recipient, &[]], out))
}

/// Encap to many checked keys with one ephemeral key.
pub(crate) fn dhkem_encap_all(ephemeral: &kem::SealSecret, recipients: &[&kem::SealKey]) -> Vec<Secret<32>> {
    let enc = ephemeral.public().as_bytes();
    let shared = ephemeral.agree_all(recipients);
    shared.iter().zip(recipients).map(|(dh, key)| dhkem_shared_secret(dh, enc, key.as_bytes())).collect()
}

/// Decap(enc, skR).
pub(crate) fn dhkem_decap(secret: &kem::SealSecret, enc: &[u8; 32]) -> Result<Secret<32>> {
    let dh = secret.agree(enc)?;
    Ok(dhkem_shared_secret(&dh, enc, secret.public().as_bytes()))
}

/// What the key schedules of one KEM share: KeySchedule(mode_base, shared_secret, info, "", ""), RFC 9180, section 5.1.
pub(crate) struct Schedule {
    suite: [u8; 10],
    psk_id_hash: Hash,
}

impl Schedule {
    pub(crate) fn new(kem: Kem) -> Self {
        let [id0, id1] = (kem as u16).to_be_bytes();
        let suite = [b'H', b'P', b'K', b'E', id0, id1, 0, 1, 0, 3];
        Self { psk_id_hash: *labelled_extract(&suite, &[0; 32], b"psk_id_hash", b"").expose(), suite }
    }

    /// Seals the one text of a context.
    pub(crate) fn seal(&self, shared: &Secret<32>, info: &[u8], aad: &[u8], text: &[u8]) -> Vec<u8> {
        let (key, nonce) = self.key_and_nonce(shared, info);
        let mut sealed = Vec::with_capacity(text.len().saturating_add(OVERHEAD));
        sealed.extend_from_slice(text);
        aead::seal_in_place(key.expose(), nonce.expose(), aad, &mut sealed, 0);
        sealed
    }

    fn key_and_nonce(&self, shared: &Secret<32>, info: &[u8]) -> (Secret<32>, Secret<12>) {
        let info_hash = labelled_extract(&self.suite, &[0; 32], b"info_hash", info);
        let secret = Expander::new(labelled_extract(&self.suite, shared.expose(), b"secret", b"").expose());
        let context: [&[u8]; 3] = [&[0], &self.psk_id_hash, info_hash.expose()];
        (
            Secret::fill_with(|out| labelled_expand(&self.suite, &secret, b"key", context, out)),
            Secret::fill_with(|out| labelled_expand(&self.suite, &secret, b"base_nonce", context, out)),
        )
    }
}

/// Opens the one text of this context into a secret of known length.
pub(crate) fn open<const N: usize>(
    kem: Kem,
    shared: &Secret<32>,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Secret<N>> {
    let (key, nonce) = Schedule::new(kem).key_and_nonce(shared, info);
    let mut text = zeroize::Zeroizing::new(sealed.to_vec());
    aead::open_in_place(key.expose(), nonce.expose(), aad, &mut text, 0)?;
    let text: &[u8; N] = text.as_slice().try_into().map_err(|_| Error::unauthentic())?;
    Ok(Secret::copy_from(text))
}

/// LabeledExtract(salt, label, ikm). HKDF reads an empty salt as 32 zero bytes.
fn labelled_extract(suite: &[u8], salt: &[u8; 32], label: &[u8], ikm: &[u8]) -> Secret<32> {
    Secret::from_bytes(&mut hmac(salt, &[b"HPKE-v1", suite, label, ikm]))
}

/// LabeledExpand(prk, label, info, L), the info in three parts.
fn labelled_expand(suite: &[u8], prk: &Expander, label: &[u8], [a, b, c]: [&[u8]; 3], out: &mut [u8]) {
    let [.., l0, l1] = out.len().to_be_bytes();
    prk.expand_info(&[&[l0, l1], b"HPKE-v1", suite, label, a, b, c], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        assert_eq!(text.len(), 2 * N);
        core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    // RFC 9180, appendix A.2.1: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
    const SK_E: &str = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600";
    const ENC: &str = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
    const SK_R: &str = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
    const PK_R: &str = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
    const SHARED: &str = "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7";
    const INFO: &[u8] = b"Ode on a Grecian Urn";
    const KEY: &str = "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91";
    const BASE_NONCE: &str = "5c4d98150661b848853b547f";
    const AAD: &[u8] = b"Count-0";
    const TEXT: &[u8; 29] = b"Beauty is truth, truth beauty";
    const SEALED: &str = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";

    fn secret(text: &str) -> Secret<32> {
        Secret::from_bytes(&mut hex(text))
    }

    #[test]
    fn rfc_9180_both_sides_agree_on_the_shared_secret() {
        let ephemeral = kem::SealSecret::from_secret(secret(SK_E));
        let recipient = kem::SealSecret::from_secret(secret(SK_R));
        assert_eq!(*ephemeral.public().as_bytes(), hex(ENC));
        assert_eq!(*recipient.public().as_bytes(), hex(PK_R));
        let sent = dhkem_encap_all(&ephemeral, &[recipient.public(), recipient.public()]);
        assert_eq!(sent.len(), 2);
        for shared in &sent {
            assert_eq!(*shared.expose(), hex(SHARED));
        }
        assert_eq!(*dhkem_decap(&recipient, &hex(ENC)).unwrap().expose(), hex(SHARED));
    }

    #[test]
    fn rfc_9180_key_schedule_and_ciphertext() {
        let shared = secret(SHARED);
        let schedule = Schedule::new(Kem::X25519);
        let (key, nonce) = schedule.key_and_nonce(&shared, INFO);
        assert_eq!(*key.expose(), hex(KEY));
        assert_eq!(*nonce.expose(), hex(BASE_NONCE));
        let sealed = schedule.seal(&shared, INFO, AAD, TEXT);
        assert_eq!(sealed, hex::<45>(SEALED));
        let text: Secret<29> = open(Kem::X25519, &shared, INFO, AAD, &sealed).unwrap();
        assert_eq!(text.expose(), TEXT);
        assert!(open::<29>(Kem::X25519, &shared, INFO, b"Count-1", &sealed).is_err());
        assert!(open::<29>(Kem::XWing, &shared, INFO, AAD, &sealed).is_err());
        assert!(open::<28>(Kem::X25519, &shared, INFO, AAD, &sealed).is_err());
    }
}
