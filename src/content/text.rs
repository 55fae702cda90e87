//! Text for people, from people who may mean harm.

use std::borrow::Cow;

use super::part::{Body, Part};
use crate::limits;

/// The media type of plain text.
pub const PLAIN: &str = "text/plain;charset=utf-8";

/// The media type of Markdown, in the variant that MIMI names: GitHub's, without HTML.
pub const MARKDOWN: &str = "text/markdown;variant=GFM-MIMI";

/// `text` in a single line that cannot disguise itself or what stands beside it: control characters, line breaks, marks
/// that change the direction of text and characters that nobody sees each become U+FFFD. For names, options, file names;
/// not for whole messages.
///
/// Letters that look alike in different scripts stay as they are.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    replaced(text, misleads)
}

/// `text` with its lines, but without control characters and without what forces a direction on the text around it. For
/// whole messages: marks of direction that people who write from right to left need stay, so show it in a paragraph of
/// its own.
#[must_use]
pub fn harmless_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}'))
}

fn replaced(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().any(&bad) {
        Cow::Owned(text.chars().map(|c| if bad(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters, separators of lines, marks of the Unicode bidirectional algorithm, and characters without any
/// shape; but not the two joiners, which some scripts and many emoji are written with.
pub(super) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}')
        || matches!(c, '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}')
}

/// Whether a text is fit to be a reaction: 1 to [`limits::REACTION`] bytes, not blank, nothing that misleads.
pub(super) fn is_reaction(text: &str) -> bool {
    text.len() <= limits::REACTION && !text.trim().is_empty() && !text.chars().any(misleads)
}

/// The URL, if it is one that an app may open or fetch for its user: `https`, a host, and nothing in it that could make
/// it look like another. So no `javascript:`, no `file:`, no password, no blanks, no control characters.
///
/// Whoever fetches it shows its own address to that host, and an app in a network of its own is to refuse hosts there.
#[must_use]
pub fn safe_url(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let bracketed = authority.starts_with('[') && authority.contains(']');
    let ok = scheme.eq_ignore_ascii_case("https")
        && (bracketed || (host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(plain)))
        && !authority.contains('@')
        && !url.contains('\\')
        && !url.chars().any(|c| c.is_whitespace() || misleads(c));
    ok.then_some(url)
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
