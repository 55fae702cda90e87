//! Polls (`docs/protocol.md`, section 11.3).

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::ids::Timestamp;
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

use super::part::{Disposition, Part};
use super::text::{PLAIN, misleads, seen};

/// The media type of a poll.
pub(super) const POLL: &str = "application/vnd.convivio.poll+cbor";

/// The media type of a vote.
pub(super) const VOTE: &str = "application/vnd.convivio.vote+cbor";

/// The media type of the end of a poll.
pub(super) const CLOSING: &str = "application/vnd.convivio.poll-closing";

/// A question and its options. Votes are not secret: every member's app sees who voted for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    question: String,
    options: Vec<String>,
    choices: Choices,
    closes: Option<Timestamp>,
}

/// How many options one user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choices {
    /// One.
    One,
    /// Any number.
    Many,
}

impl Poll {
    /// A poll that stays open until it is [closed](super::Content::close).
    ///
    /// Fails with `Limit` for fewer than two options or more than [`limits::POLL_OPTIONS`], or texts of more than
    /// [`limits::POLL_TEXT`] bytes, and with `Malformed` for blank texts, options that look the same but for
    /// characters that nobody sees, and characters that mislead.
    pub fn new(question: &str, options: &[&str], choices: Choices) -> Result<Self> {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { question: question.to_owned(), options, choices, closes: None }.checked()
    }

    /// A poll that closes by itself at `time`: with the first entry of the log by which the group's time has come to it.
    #[must_use]
    pub fn closing_at(self, time: Timestamp) -> Self {
        Self { closes: Some(time), ..self }
    }

    /// The question.
    #[must_use]
    pub fn question(&self) -> &str {
        &self.question
    }

    /// The options, in their order.
    #[must_use]
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// How many may be chosen.
    #[must_use]
    pub const fn choices(&self) -> Choices {
        self.choices
    }

    /// When it closes by itself.
    #[must_use]
    pub const fn closes(&self) -> Option<Timestamp> {
        self.closes
    }

    /// Whether a vote for these options, in ascending order, counts.
    #[must_use]
    pub fn accepts(&self, options: &[usize]) -> bool {
        let ascending = options.is_sorted_by(|a, b| a < b);
        let known = options.last().is_none_or(|last| *last < self.options.len());
        let few = self.choices == Choices::Many || options.len() <= 1;
        ascending && known && few
    }

    pub(super) fn vote(&self, options: &[usize]) -> Result<Part> {
        let mut options = options.to_vec();
        options.sort_unstable();
        if !self.accepts(&options) {
            return Err(Error::misuse("vote for options the poll has, each once, and for one if it takes one"));
        }
        let names: Vec<&str> = options.iter().filter_map(|at| self.options.get(*at)).map(String::as_str).collect();
        let fallback = if names.is_empty() { "(no vote)".to_owned() } else { names.join(", ") };
        let parts = vec![Part::new(VOTE, Vote(options).encode()), Part::new(PLAIN, fallback)];
        Ok(Part::choose_one(Disposition::RENDER, parts))
    }

    pub(super) fn to_part(&self) -> Part {
        let parts = vec![Part::new(POLL, self.encode()), Part::new(PLAIN, self.fallback())];
        Part::choose_one(Disposition::RENDER, parts)
    }

    fn fallback(&self) -> String {
        let lines = (1..).zip(&self.options).map(|(number, option)| format!("\n{number}. {option}"));
        core::iter::once(self.question.clone()).chain(lines).collect()
    }

    /// The bounds hold for received ones as well: whatever breaks them is no poll, and shown by its fallback.
    fn checked(self) -> Result<Self> {
        let texts = || core::iter::once(&self.question).chain(&self.options);
        if !(2..=limits::POLL_OPTIONS).contains(&self.options.len()) || texts().any(|t| t.len() > limits::POLL_TEXT) {
            return Err(Error::limit("a poll has 2 to 64 options, and texts of at most 512 bytes"));
        }
        let unique: BTreeSet<String> = self.options.iter().map(|option| seen(option)).collect();
        if unique.len() != self.options.len() || texts().any(|t| seen(t).is_empty() || t.chars().any(misleads)) {
            return Err(Error::malformed(
                "a poll's texts are not blank, its options look different, and none has misleading characters",
            ));
        }
        Ok(self)
    }
}

pub(super) fn closing() -> Part {
    let parts = vec![Part::new(CLOSING, Vec::new()), Part::new(PLAIN, "The poll is closed.")];
    Part::choose_one(Disposition::RENDER, parts)
}

/// Whom one user voted for: numbers of options, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vote(pub(super) Vec<usize>);

impl Wire for Poll {
    fn write(&self, w: &mut Writer) {
        let Self { question, options, choices, closes } = self;
        w.array(4).text(question).array(options.len());
        for option in options {
            w.text(option);
        }
        w.bool(*choices == Choices::Many).option(closes.as_ref());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        let question = r.text(limits::POLL_TEXT)?.to_owned();
        let count = r.array_up_to(limits::POLL_OPTIONS)?;
        let options = (0..count).map(|_| Ok(r.text(limits::POLL_TEXT)?.to_owned())).collect::<Result<_>>()?;
        let choices = if r.bool()? { Choices::Many } else { Choices::One };
        Self { question, options, choices, closes: r.option()? }.checked()
    }
}

impl Wire for Vote {
    fn write(&self, w: &mut Writer) {
        w.array(self.0.len());
        for option in &self.0 {
            w.uint(*option as u64);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let count = r.array_up_to(limits::POLL_OPTIONS)?;
        (0..count).map(|_| Ok(r.u8()?.into())).collect::<Result<_>>().map(Self)
    }
}
