//! The committing multi-recipient KEM: everything one seed decides, and the stanza that carries it to a recipient.
//!
//! All X25519 recipients share one ephemeral key (Bellare, Boldyreva and Staddon, 2003; Barbosa, 2006). This is not
//! RFC 9180, which wants a fresh ephemeral key per context; but each stanza on its own is an RFC 9180 base-mode
//! ciphertext, so any HPKE library opens it. X-Wing recipients share nothing: each has its own coins.

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::header::Header;
use super::{Opener, Recipient, Stanza};
use crate::crypto::hpke::{self, Kem};
use crate::crypto::kdf::{Hash, expand_label, sha256};
use crate::crypto::kem::{InitKey, SealKey, SealSecret, XWING_CIPHERTEXT};
use crate::crypto::parallel::in_parts;
use crate::error::{Error, Result};
use crate::labels;
use crate::secret::Secret;
use crate::wire::{Writer, labelled};

/// Bytes of the seed.
pub(super) const SEED: usize = 32;

/// Bytes of a stanza to an X25519 key.
pub(super) const X25519_STANZA: usize = SEED + hpke::OVERHEAD;

/// Bytes of a stanza to an X-Wing key: the ciphertext, then the sealed seed.
pub(super) const XWING_STANZA: usize = XWING_CIPHERTEXT + X25519_STANZA;

/// Stanzas that one core makes before another is asked to help: some 0.2 milliseconds' work.
const LEAST_PART: usize = 8;

/// Bytes of a stanza under this header.
pub(super) fn stanza_len(header: &Header) -> usize {
    if header.ephemeral().is_some() { X25519_STANZA } else { XWING_STANZA }
}

/// A seed of 32 random bytes and what is to be sealed. Two copies of a device, down to its random generator, seal
/// different contents under different seeds.
pub(super) fn hedged_seed(content: &[&[u8]], rng: &mut dyn CryptoRng) -> Secret<SEED> {
    let mut w = Writer::with_capacity(content.iter().map(|part| part.len().saturating_add(9)).sum());
    content.iter().for_each(|part| {
        w.bytes(part);
    });
    let content = sha256(&Zeroizing::new(w.finish()));
    expand_label(Secret::<SEED>::generate(rng).expose(), labels::ENVELOPE_SEED, &content)
}

/// The ephemeral key of a seed.
pub(super) fn ephemeral(seed: &Secret<SEED>) -> SealSecret {
    SealSecret::from_secret(expand_label(seed.expose(), labels::ENVELOPE_EPHEMERAL, b""))
}

/// What the header commits to the seed with.
pub(super) fn commitment(seed: &Secret<SEED>) -> Secret<32> {
    expand_label(seed.expose(), labels::ENVELOPE_COMMITMENT, b"")
}

/// The key and nonce of the body.
pub(super) fn content_key(seed: &Secret<SEED>, header_hash: &Hash) -> (Secret<32>, Secret<12>) {
    let both: Secret<44> = expand_label(seed.expose(), labels::ENVELOPE_CONTENT_KEY, header_hash);
    let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _] = both.expose();
    let [.., n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11] = *both.expose();
    let mut nonce = [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11];
    (Secret::copy_from(key), Secret::from_bytes(&mut nonce))
}

/// One stanza for each recipient, in their order. They must all be of the kind the header's key is for.
pub(super) fn wrap(
    header: &Header,
    ephemeral: Option<&SealSecret>,
    seed: &Secret<SEED>,
    recipients: &[Recipient<'_>],
) -> Result<Vec<Stanza>> {
    match ephemeral {
        Some(ephemeral) => wrap_x25519(header, ephemeral, seed, recipients),
        None => wrap_xwing(header, seed, recipients),
    }
}

/// The seed that a stanza carries, checked against the header's commitment and ephemeral key.
pub(super) fn unwrap(header: &Header, opener: &Opener<'_>, recipient: &[u8], stanza: &[u8]) -> Result<Secret<SEED>> {
    if stanza.len() != stanza_len(header) {
        return Err(Error::malformed("a stanza has the wrong length"));
    }
    let context = Context::new(header);
    let seed = match (opener, header.ephemeral()) {
        (Opener::X25519(secret), Some(enc)) => {
            let shared = hpke::dhkem_decap(secret, enc)?;
            let info = context.info(b"", secret.public().as_bytes(), recipient);
            hpke::open(Kem::X25519, &shared, &info, b"", stanza)?
        }
        (Opener::XWing { secret, public }, None) => {
            let (ciphertext, sealed) = stanza.split_first_chunk::<XWING_CIPHERTEXT>().ok_or(Error::unauthentic())?;
            let shared = secret.decapsulate(ciphertext)?;
            let public = public.map_or_else(|| secret.public().to_bytes(), InitKey::to_bytes);
            let info = context.info(ciphertext, &public, recipient);
            hpke::open(Kem::XWing, &shared, &info, b"", sealed)?
        }
        (Opener::X25519(_), None) | (Opener::XWing { .. }, Some(_)) => {
            return Err(Error::malformed("sealed to another kind of key than the one given"));
        }
    };
    check_seed(header, &seed)?;
    Ok(seed)
}

/// Whether the header is the one this seed makes. Without the commitment, whoever seals could hand two recipients two
/// seeds under which one body opens to two texts.
fn check_seed(header: &Header, seed: &Secret<SEED>) -> Result<()> {
    let committed = commitment(seed).ct_eq(&Secret::copy_from(header.commitment()));
    let same_ephemeral = header.ephemeral().is_none_or(|enc| ephemeral(seed).public().as_bytes() == enc);
    if committed && same_ephemeral { Ok(()) } else { Err(Error::unauthentic()) }
}

fn wrap_x25519(
    header: &Header,
    ephemeral: &SealSecret,
    seed: &Secret<SEED>,
    recipients: &[Recipient<'_>],
) -> Result<Vec<Stanza>> {
    let mut known: Vec<(&[u8], &SealKey)> = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let Recipient::X25519 { id, key } = recipient else { return Err(other_kind()) };
        known.push((id, key));
    }
    let (context, schedule) = (Context::new(header), hpke::Schedule::new(Kem::X25519));
    let parts = in_parts(&known, LEAST_PART, |part| -> Vec<Stanza> {
        let keys: Vec<&SealKey> = part.iter().map(|(_, key)| *key).collect();
        let stanza = |((id, key), shared): (&(&[u8], &SealKey), &Secret<32>)| {
            let info = context.info(b"", key.as_bytes(), id);
            Stanza { recipient: id.to_vec(), bytes: schedule.seal(shared, &info, b"", seed.expose()) }
        };
        part.iter().zip(&hpke::dhkem_encap_all(ephemeral, &keys)).map(stanza).collect()
    });
    Ok(parts.into_iter().flatten().collect())
}

fn wrap_xwing(header: &Header, seed: &Secret<SEED>, recipients: &[Recipient<'_>]) -> Result<Vec<Stanza>> {
    let mut numbered: Vec<(u64, &[u8], &InitKey)> = Vec::with_capacity(recipients.len());
    for (index, recipient) in (0u64..).zip(recipients) {
        let Recipient::XWing { id, key } = recipient else { return Err(other_kind()) };
        numbered.push((index, id, key));
    }
    let (context, schedule) = (Context::new(header), hpke::Schedule::new(Kem::XWing));
    let stanza = |&(index, id, key): &(u64, &[u8], &InitKey)| {
        let (mut bytes, shared) = key.encapsulate(&coins(seed, index, id));
        let info = context.info(&bytes, &key.to_bytes(), id);
        bytes.extend_from_slice(&schedule.seal(&shared, &info, b"", seed.expose()));
        Stanza { recipient: id.to_vec(), bytes }
    };
    let parts = in_parts(&numbered, LEAST_PART, |part| -> Vec<Stanza> { part.iter().map(stanza).collect() });
    Ok(parts.into_iter().flatten().collect())
}

/// The X-Wing coins of one recipient: never shared, since reused lattice randomness gives the shared secret away.
fn coins(seed: &Secret<SEED>, index: u64, recipient: &[u8]) -> Secret<64> {
    let mut w = Writer::new();
    w.array(2).uint(index).bytes(recipient);
    expand_label(seed.expose(), labels::ENVELOPE_COINS, &w.finish())
}

/// What all stanzas of an envelope are bound to.
struct Context<'a> {
    header: &'a Header,
    header_hash: Hash,
}

impl<'a> Context<'a> {
    fn new(header: &'a Header) -> Self {
        Self { header, header_hash: header.hash() }
    }

    /// The HPKE info of one stanza.
    fn info(&self, ciphertext: &[u8], public: &[u8], recipient: &[u8]) -> Vec<u8> {
        let ephemeral: &[u8] = self.header.ephemeral().map_or(&[], |key| key);
        labelled(labels::ENVELOPE_STANZA, 6, |w| {
            w.item(&self.header.suite()).bytes(ephemeral).bytes(ciphertext).bytes(public).bytes(recipient);
            w.bytes(&self.header_hash);
        })
    }
}

fn other_kind() -> Error {
    Error::misuse("the recipients' keys are not all of the kind this envelope is for")
}
