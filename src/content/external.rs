//! Content that lies elsewhere, encrypted under a key of its own (`docs/protocol.md`, section 11.1).

use core::fmt;

use super::text::{harmless, safe_url};
use crate::error::Result;
use crate::limits;
use crate::wire::{Reader, Writer};

/// Where a file lies and how to decrypt it: the twelve fields of MIMI's external part, in its order.
#[derive(Clone, PartialEq, Eq)]
pub struct External {
    /// The media type of the plaintext.
    pub media_type: String,
    /// Where the ciphertext is.
    pub url: String,
    /// Until when it is there, in seconds since 1970; 0 if not said.
    pub expires: u32,
    /// Bytes of the plaintext.
    pub size: u64,
    /// How it is encrypted: a number of the AEAD registry, or one from 0x8000 on by private agreement; 0 for not at all.
    pub algorithm: u16,
    /// The key. Secret, as the message that carries it.
    pub key: Vec<u8>,
    /// The nonce.
    pub nonce: Vec<u8>,
    /// The associated data.
    pub aad: Vec<u8>,
    /// How `hash` was made: a number of the named information hash registry; 0 for none.
    pub hash_algorithm: u8,
    /// The hash of what lies there.
    pub hash: Vec<u8>,
    /// What it shows, for people.
    pub description: String,
    /// A name to save it under, which its sender chose: see [`file_name`](Self::file_name).
    pub filename: String,
}

impl External {
    /// A name to save the file under: the last part of [`filename`](Self::filename), without what a file system or a
    /// reader could take for something else, such as a leading dot or hyphen, and without the names of Windows' devices;
    /// at most 255 bytes; "file" if nothing is left. Its ending is still the sender's choice.
    ///
    /// No part of a command's text: characters that a shell reads, such as `$`, `;` and blanks, stay.
    #[must_use]
    pub fn file_name(&self) -> String {
        let last = self.filename.rsplit(['/', '\\']).next().unwrap_or_default();
        let kept: String =
            harmless(last).chars().filter(|c| !matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')).collect();
        let odd = |c: char| c == '.' || c.is_whitespace();
        let name = kept.trim_start_matches(|c| odd(c) || matches!(c, '-' | '~'));
        // Last, since what is cut off may bare either: an end that Windows drops, and then a device.
        let short = |name: &str| shortened(name.trim_end_matches(odd)).trim_end_matches(odd).to_owned();
        let name = short(name);
        let name = if is_device(&name) { short(&format!("_{name}")) } else { name };
        if name.is_empty() { "file".to_owned() } else { name }
    }

    /// Where it lies, if that is a URL that an app may fetch: see [`safe_url`]. Look at [`url`](Self::url) only if your
    /// app stores files in a way of its own.
    #[must_use]
    pub fn safe_url(&self) -> Option<&str> {
        safe_url(&self.url)
    }

    /// What an app shows that does not fetch files.
    pub(super) fn fallback(&self) -> String {
        let description = harmless(&self.description);
        if description.is_empty() { self.file_name() } else { format!("{}: {description}", self.file_name()) }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.text(&self.media_type).text(&self.url).uint(self.expires.into()).uint(self.size);
        w.uint(self.algorithm.into()).bytes(&self.key).bytes(&self.nonce).bytes(&self.aad);
        w.uint(self.hash_algorithm.into()).bytes(&self.hash).text(&self.description).text(&self.filename);
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            media_type: r.text(limits::CONTENT_TYPE)?.to_owned(),
            url: r.text(limits::CONTENT_URL)?.to_owned(),
            expires: r.u32()?,
            size: r.u64()?,
            algorithm: r.u16()?,
            key: r.bytes(limits::CONTENT_KEY)?.to_vec(),
            nonce: r.bytes(limits::CONTENT_KEY)?.to_vec(),
            aad: r.bytes(limits::CONTENT_KEY)?.to_vec(),
            hash_algorithm: r.u8()?,
            hash: r.bytes(limits::CONTENT_KEY)?.to_vec(),
            description: r.text(limits::CONTENT_DESCRIPTION)?.to_owned(),
            filename: r.text(limits::CONTENT_FILENAME)?.to_owned(),
        })
    }
}

/// What Windows takes for a device, whatever its ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let digit = stem.strip_prefix(prefix).map(|rest| rest.chars().collect::<Vec<_>>());
        matches!(digit.as_deref(), Some(['0'..='9' | '¹' | '²' | '³']))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

/// At most 255 bytes, with the ending.
fn shortened(name: &str) -> String {
    let (stem, ending) = name.rsplit_once('.').filter(|(_, ending)| ending.len() <= 16).unwrap_or((name, ""));
    let dot = if ending.is_empty() { "" } else { "." };
    let room = limits::CONTENT_FILENAME.saturating_sub(ending.len()).saturating_sub(dot.len());
    let end = stem.char_indices().map(|(at, c)| at.saturating_add(c.len_utf8())).take_while(|end| *end <= room).last();
    [stem.get(..end.unwrap_or_default()).unwrap_or_default(), dot, ending].concat()
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { media_type, url, size, .. } = self;
        let mut out = f.debug_struct("External");
        out.field("media_type", media_type).field("url", url).field("size", size).finish_non_exhaustive()
    }
}
