//! Who is mentioned: links to users in Markdown (`docs/protocol.md`, section 11.2).

use std::collections::{BTreeMap, BTreeSet};

use super::Content;
use super::text::{self, MARKDOWN};
use crate::identity::UserUri;
use crate::limits;

impl Content {
    /// The users to whom the Markdown in it links, as in `[@Ada](mimi://a.example/u/ada)` or `<mimi://a.example/u/ada>`:
    /// the first [`limits::MENTIONS`], each once. What stands between backticks or in a fence of its own lines is no link;
    /// whatever else Markdown takes for code, as lines that are indented or fences in a quote, is not told apart.
    ///
    /// Show them by the names that your app knows: the text of a link is its author's, and may name somebody else.
    #[must_use]
    pub fn mentions(&self) -> BTreeSet<UserUri> {
        let mut found = BTreeSet::new();
        for part in self.part.leaves() {
            let targets = text::of(part, MARKDOWN).into_iter().flat_map(blocks).flat_map(Targets::new);
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

/// The text outside of fences, cut where a line is blank, since no code between backticks goes on after that.
fn blocks(text: &str) -> Vec<&str> {
    let (mut blocks, mut fence) = (Vec::new(), None);
    let (mut start, mut at) = (0, 0_usize);
    for line in text.split_inclusive('\n') {
        let before = at;
        at = at.saturating_add(line.len());
        let marks = Fence::of(line);
        let is_code = fence.is_some() || marks.is_some_and(Fence::opens);
        if is_code || line.trim().is_empty() {
            blocks.extend(text.get(start..before).filter(|block| !block.is_empty()));
            start = at;
        }
        fence = match (fence, marks) {
            (None, Some(marks)) if marks.opens() => Some(marks),
            (Some(open), Some(marks)) if marks.closes(open) => None,
            (open, _) => open,
        };
    }
    blocks.extend(text.get(start..).filter(|block| !block.is_empty()));
    blocks
}

/// A line that begins with three or more backticks or tildes, after at most three blanks.
#[derive(Clone, Copy)]
struct Fence<'t> {
    mark: char,
    len: usize,
    info: &'t str,
}

impl<'t> Fence<'t> {
    fn of(line: &'t str) -> Option<Self> {
        let marks = line.trim_start_matches(' ');
        let mark = marks.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = marks.trim_start_matches(mark);
        let len = marks.len().saturating_sub(info.len());
        let indent = line.len().saturating_sub(marks.len());
        (len >= 3 && indent <= 3).then_some(Self { mark, len, info })
    }

    fn opens(self) -> bool {
        self.mark == '~' || !self.info.contains('`')
    }

    fn closes(self, open: Self) -> bool {
        self.mark == open.mark && self.len >= open.len && self.info.trim().is_empty()
    }
}

/// What `](…)` and `<…>` hold, in one pass over a text.
struct Targets<'t> {
    text: &'t str,
    at: usize,
    /// Where runs of backticks begin, by their length, the last first: those before `at` are dropped when met.
    runs: BTreeMap<usize, Vec<usize>>,
    /// Bytes and runs looked at so far, some of them more than once: bounded by the length of the text.
    looked: usize,
}

impl<'t> Targets<'t> {
    fn new(text: &'t str) -> Self {
        let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut end = text.len();
        while let Some(last) = text.get(..end).and_then(|before| before.rfind('`')) {
            let run = text.get(..=last).unwrap_or_default();
            end = run.trim_end_matches('`').len();
            runs.entry(run.len().saturating_sub(end)).or_default().push(end);
        }
        Self { text, at: 0, runs, looked: text.len() }
    }

    fn pass(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
        self.looked = self.looked.saturating_add(bytes);
    }

    /// After backticks: the next run of as many ends the code; if there is none it is no code.
    fn pass_code(&mut self, ticks: usize) {
        let Some(starts) = self.runs.get_mut(&ticks) else { return };
        while let Some(start) = starts.pop() {
            self.looked = self.looked.saturating_add(1);
            if start >= self.at {
                self.at = start.saturating_add(ticks);
                return;
            }
        }
    }

    /// What stands before an end, if it can be a user's URI: what nothing closes costs no more than the longest of them.
    fn up_to(&mut self, text: &'t str, end: impl Fn(u8) -> bool) -> Option<&'t str> {
        if !text.starts_with("mimi:") {
            return None;
        }
        let len = text.bytes().take(UserUri::MAX_LEN.saturating_add(1)).position(end);
        self.looked = self.looked.saturating_add(len.unwrap_or(UserUri::MAX_LEN));
        text.get(..len?)
    }
}

impl<'t> Iterator for Targets<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        loop {
            let rest = self.text.get(self.at..)?;
            let Some(before) = rest.find(['\\', '`', '<', ']']) else {
                self.pass(rest.len());
                return None;
            };
            self.pass(before.saturating_add(1));
            let after = self.text.get(self.at..)?;
            match rest.as_bytes().get(before)? {
                // Whatever follows stands for itself.
                b'\\' => self.pass(after.chars().next().map_or(0, char::len_utf8)),
                b'`' => {
                    let more = after.len().saturating_sub(after.trim_start_matches('`').len());
                    self.pass(more);
                    self.pass_code(more.saturating_add(1));
                }
                b'<' => {
                    if let Some(target) = self.up_to(after, |byte| byte == b'>') {
                        return Some(target);
                    }
                }
                _ => {
                    // In angle brackets it comes with the next turn.
                    let Some(inner) = after.strip_prefix('(') else { continue };
                    if let Some(target) = self.up_to(inner, |byte| byte == b')' || byte.is_ascii_whitespace()) {
                        return Some(target);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much is looked at to find all that a text links to.
    fn looked(text: &str) -> usize {
        let of_block = |block| {
            let mut targets = Targets::new(block);
            while targets.next().is_some() {}
            targets.looked
        };
        blocks(text).into_iter().map(of_block).sum()
    }

    #[test]
    fn what_closes_nothing_is_looked_at_no_more_than_a_few_times() {
        let runs: String = (1..350).map(|n| format!("{} ", "`".repeat(n))).collect();
        let bombs = ["<", "](", "`", "\\", "]((<", "``a`", "\\``", "\\``\\`", "``` ", "~~~\n", "```a`\n", "\n\n"];
        for bomb in bombs.map(|bomb| bomb.repeat(limits::MESSAGE / bomb.len())).iter().chain([&runs]) {
            assert!(looked(bomb) <= 3 * bomb.len(), "{:?}", bomb.get(..20));
        }
        // What begins as a user's URI costs the longest one, each time.
        for bomb in ["](mimi:", "<mimi:"] {
            let text = bomb.repeat(limits::MESSAGE / bomb.len());
            assert!(looked(&text) <= text.len() * UserUri::MAX_LEN / 2, "{bomb}");
        }
        assert!(looked("no links at all") > 0, "or nothing is counted");
    }
}
