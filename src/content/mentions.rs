//! Who is mentioned: links to users in Markdown (`docs/protocol.md`, section 11.2).

use std::collections::BTreeSet;

use super::Content;
use super::text::{self, MARKDOWN};
use crate::identity::UserUri;
use crate::limits;

impl Content {
    /// The users to whom the Markdown in it links, as in `[@Ada](mimi://a.example/u/ada)` or `<mimi://a.example/u/ada>`:
    /// the first [`limits::MENTIONS`], each once. What stands in code is no link.
    ///
    /// Show them by the names that your app knows: the text of a link is its author's, and may name somebody else.
    #[must_use]
    pub fn mentions(&self) -> BTreeSet<UserUri> {
        let mut found = BTreeSet::new();
        for part in self.part.leaves() {
            let targets = text::of(part, MARKDOWN).into_iter().flat_map(Targets);
            for user in targets.filter_map(|target| target.parse().ok()) {
                if found.len() >= limits::MENTIONS {
                    return found;
                }
                found.insert(user);
            }
        }
        found
    }
}

/// What `](…)` and `<…>` hold, in one pass over the text.
struct Targets<'t>(&'t str);

impl<'t> Iterator for Targets<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        loop {
            let at = self.0.find(['\\', '`', '<', ']'])?;
            let rest = self.0.get(at..)?;
            let mut chars = rest.chars();
            let first = chars.next()?;
            self.0 = chars.as_str();
            match first {
                // Whatever follows stands for itself.
                '\\' => {
                    chars.next();
                    self.0 = chars.as_str();
                }
                '`' => self.0 = after_code(rest),
                '<' => {
                    if let Some(target) = up_to(self.0, |byte| byte == b'>') {
                        return Some(target);
                    }
                }
                _ => {
                    let Some(inner) = self.0.strip_prefix('(') else { continue };
                    // In angle brackets it comes with the next turn.
                    if let Some(target) = up_to(inner, |byte| byte == b')' || byte.is_ascii_whitespace()) {
                        return Some(target);
                    }
                }
            }
        }
    }
}

/// What stands before an end, within the length of a user's URI: so that what nothing closes costs no more than that.
fn up_to(text: &str, end: impl Fn(u8) -> bool) -> Option<&str> {
    let len = text.bytes().take(UserUri::MAX_LEN.saturating_add(1)).position(end)?;
    text.get(..len).filter(|target| target.starts_with("mimi:"))
}

/// What follows the code that begins here: the next run of as many backticks ends it; if there is none it is no code.
fn after_code(text: &str) -> &str {
    let ticks = text.len().saturating_sub(text.trim_start_matches('`').len());
    let body = text.get(ticks..).unwrap_or_default();
    let mut rest = body;
    while let Some(at) = rest.find('`') {
        let from = rest.get(at..).unwrap_or_default();
        let after = from.trim_start_matches('`');
        if from.len().saturating_sub(after.len()) == ticks {
            return after;
        }
        rest = after;
    }
    body
}
