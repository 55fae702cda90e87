//! Text for people, from people who may mean harm.

use core::net::Ipv6Addr;
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

/// What a text is compared by where two that look the same would mislead: without blanks at its ends and without
/// characters that may be there for the sake of others and show nothing of themselves, such as joiners and variation
/// selectors. Tags stay where they tell one flag from another.
pub(super) fn seen(text: &str) -> String {
    let mut in_flag = false;
    let shows = |c: &char| {
        let is_tag = matches!(c, '\u{e0000}'..='\u{e007f}');
        in_flag = *c == '\u{1f3f4}' || (in_flag && is_tag);
        let shapeless =
            matches!(c, '\u{34f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{2800}')
                || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
        !(shapeless || (is_tag && !in_flag))
    };
    let seen: String = text.chars().filter(shows).collect();
    seen.trim().to_owned()
}

/// Whether a text is fit to be a reaction: 1 to [`limits::REACTION`] bytes, not blank, nothing that misleads.
pub(super) fn is_reaction(text: &str) -> bool {
    text.len() <= limits::REACTION && !text.chars().any(misleads) && !seen(text).is_empty()
}

/// The URL, if it is one that an app may open or fetch for its user: `https`, a host by name or address, a port at most,
/// and nothing in it that could make it look like another. So no `javascript:`, no `file:`, no password, no blanks, no
/// control characters.
///
/// Whoever fetches it shows its own address to that host, and an app in a network of its own is to refuse hosts there.
#[must_use]
pub fn safe_url(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let ok = scheme.eq_ignore_ascii_case("https")
        && is_host_and_port(authority)
        && !url.contains('\\')
        && !url.chars().any(|c| c.is_whitespace() || misleads(c));
    ok.then_some(url)
}

fn is_host_and_port(authority: &str) -> bool {
    let port = if let Some((address, port)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        address.parse::<Ipv6Addr>().is_ok().then_some(port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        (plain && host.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(port)
    };
    let digits = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    port.is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(digits))
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
