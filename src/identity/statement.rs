//! A signed body, with the very bytes that were signed.

use core::fmt;

use crate::crypto::sign::{Signature, SignatureInput, Signed, Signer, SigningKey, VerifyKey};
use crate::error::{Error, Result};
use crate::labels::Label;
use crate::wire::{Reader, Wire, Writer};

/// A body, the bytes it was read from or written to, and a signature over them.
///
/// On the wire it is the two items bstr(body) and bstr(signature) of an enclosing array; the bytes are kept as
/// received and written back as they were (`docs/protocol.md`, section 2.3).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Statement<B> {
    body: B,
    bytes: Box<[u8]>,
    signature: Signature,
}

impl<B: Wire> Statement<B> {
    /// Signs with a key of this process, which cannot fail.
    pub(super) fn sign(label: Label, body: B, key: &SigningKey) -> Self {
        let bytes = body.encode().into_boxed_slice();
        let signature = key.sign(&input(label, &bytes));
        Self { body, bytes, signature }
    }

    /// Signs with a key that may live elsewhere, and checks what comes back: a key store that answers wrongly is
    /// found here and not by everyone else.
    pub(super) fn sign_with(label: Label, body: B, signer: &dyn Signer) -> Result<Self> {
        let bytes = body.encode().into_boxed_slice();
        let input = input(label, &bytes);
        let signature = signer.sign(&input)?;
        if signer.verify_key().verify(&input, &signature).is_err() {
            return Err(Error::misuse("the signer gave a signature that does not verify under its own key"));
        }
        Ok(Self { body, bytes, signature })
    }

    /// Reads the two items, the body of at most `max` bytes.
    pub(super) fn read(r: &mut Reader<'_>, max: usize) -> Result<Self> {
        let bytes = r.bytes(max)?;
        Ok(Self { body: B::decode(bytes)?, bytes: bytes.into(), signature: r.item()? })
    }
}

impl<B> Statement<B> {
    /// The same signed bytes, with more known about what they mean.
    pub(super) fn map<C>(self, more: impl FnOnce(B) -> C) -> Statement<C> {
        let Self { body, bytes, signature } = self;
        Statement { body: more(body), bytes, signature }
    }

    /// Writes the two items.
    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.bytes).item(&self.signature);
    }

    pub(super) fn body(&self) -> &B {
        &self.body
    }

    pub(super) fn into_body(self) -> B {
        self.body
    }

    /// What has to be checked to believe the body, if `key` is believed.
    pub(super) fn check<'a>(&'a self, label: Label, key: &'a VerifyKey) -> Check<'a> {
        Check { label, key, bytes: &self.bytes, signature: &self.signature }
    }
}

impl<B> fmt::Debug for Statement<B>
where
    B: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)
    }
}

/// Label, key, bytes and signature of a [`Check`].
pub(super) type CheckId<'a> = (&'static str, &'a [u8; 32], &'a [u8], &'a [u8; 64]);

/// A signature to be verified. Two that are equal stand or fall together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Check<'a> {
    label: Label,
    key: &'a VerifyKey,
    bytes: &'a [u8],
    signature: &'a Signature,
}

impl<'a> Check<'a> {
    /// Equal for equal checks, and ordered.
    pub(super) fn id(&self) -> CheckId<'a> {
        (self.label.text(), self.key.as_bytes(), self.bytes, self.signature.as_bytes())
    }

    pub(super) fn signed(&self) -> Signed<'a> {
        Signed { key: self.key, input: input(self.label, self.bytes), signature: *self.signature }
    }
}

fn input(label: Label, body: &[u8]) -> SignatureInput {
    SignatureInput::new(label, 1, |w| {
        w.bytes(body);
    })
}
