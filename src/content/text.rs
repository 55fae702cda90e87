//! Text for people, from people who may mean harm.

use std::borrow::Cow;

use super::part::{Body, Part};

/// The media type of plain text.
pub const PLAIN: &str = "text/plain;charset=utf-8";

/// The media type of Markdown, in the variant that MIMI names: GitHub's, without HTML.
pub const MARKDOWN: &str = "text/markdown;variant=GFM-MIMI";

/// `text` in a single line that cannot disguise itself or what stands beside it: control characters, line breaks and
/// marks that change the direction of text each become U+FFFD. For names, options, file names; not for whole messages.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().any(misleads) {
        Cow::Owned(text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters, separators of lines, and the marks of the Unicode bidirectional algorithm.
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a media type is `kind`, whatever its parameters.
pub(super) fn is(media_type: &str, kind: &str) -> bool {
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence(media_type) == essence(kind)
}

/// The text of a part that is text.
pub(super) fn of<'p>(part: &'p Part, kind: &str) -> Option<&'p str> {
    match &part.body {
        Body::Single { media_type, bytes } if is(media_type, kind) => core::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
