//! What a group is called and shows, and the links that are open to it (`docs/protocol.md`, sections 5.1 and 5.9).

use super::link::{LinkId, OpenLink};
use crate::content::External;
use crate::crypto::kdf;
use crate::error::{Error, Result};
use crate::ids::Timestamp;
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// What a group is called and shows, for its members only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupInfo {
    name: String,
    description: String,
    picture: Option<Box<External>>,
    disappearing: u32,
}

impl GroupInfo {
    /// A name and a description, together at most 16 KiB. Fails with `Limit` beyond, and with `Malformed` for control
    /// characters and for marks that change the direction of text, which could disguise one name as another.
    pub fn new(name: &str, description: &str) -> Result<Self> {
        if name.len().saturating_add(description.len()) > limits::GROUP_INFO {
            return Err(Error::limit("a group's name and description are at most 16 KiB together"));
        }
        if name.chars().any(misleads) || description.chars().any(|c| c != '\n' && misleads(c)) {
            return Err(Error::malformed("a group's name and description hold no control or direction characters"));
        }
        let (name, description) = (name.to_owned(), description.to_owned());
        Ok(Self { name, description, picture: None, disappearing: 0 })
    }

    /// The same with a picture: an encrypted file, as an [attachment](crate::attachment) is, or none. Its key is for the
    /// members only, as all of this is.
    ///
    /// Fails with `Limit` if one of its fields is longer than the [limits] of content allow, and with `Malformed` if its
    /// description or file name could disguise itself.
    pub fn with_picture(mut self, picture: Option<External>) -> Result<Self> {
        if let Some(picture) = &picture {
            if [&picture.description, &picture.filename].iter().any(|text| text.chars().any(misleads)) {
                return Err(Error::malformed(
                    "a picture's description and name hold no control or direction characters",
                ));
            }
            let mut w = Writer::new();
            picture.write(&mut w);
            External::read(&mut Reader::new(w.as_slice()))?;
        }
        self.picture = picture.map(Box::new);
        Ok(self)
    }

    /// The same with a default for disappearing messages: the seconds after which readers should delete a message that
    /// they have read and that says nothing else of it; 0 for never. Apps write it into what they send, as
    /// [`Expiry::AfterReading`](crate::content::Expiry::AfterReading).
    #[must_use]
    pub const fn with_disappearing(mut self, seconds: u32) -> Self {
        self.disappearing = seconds;
        self
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The group's description.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The group's picture.
    #[must_use]
    pub fn picture(&self) -> Option<&External> {
        self.picture.as_deref()
    }

    /// Seconds after which messages disappear unless they say otherwise; 0 for never.
    #[must_use]
    pub const fn disappearing(&self) -> u32 {
        self.disappearing
    }
}

impl Wire for GroupInfo {
    fn write(&self, w: &mut Writer) {
        let Self { name, description, picture, disappearing } = self;
        w.array(4).text(name).text(description);
        match picture {
            Some(picture) => picture.write(w.array(12)),
            None => drop(w.null()),
        }
        w.uint((*disappearing).into());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        let info = Self::new(r.text(limits::GROUP_INFO)?, r.text(limits::GROUP_INFO)?)?;
        let picture = if r.null()? {
            None
        } else {
            r.array(12)?;
            Some(External::read(r)?)
        };
        Ok(info.with_picture(picture)?.with_disappearing(r.u32()?))
    }
}

public_encoding!(GroupInfo);

/// Control characters, separators of lines, and the marks of the Unicode bidirectional algorithm. What a group's name may
/// hold decides validity, so that this is a constant of the protocol, whatever apps find misleading besides.
pub(super) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a group shows, and the links that are open to it: one part of its state, which one proposal replaces.
///
/// From a [`GroupInfo`] it is one without links.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    info: GroupInfo,
    /// In the order of their invite keys.
    links: Vec<OpenLink>,
}

impl Profile {
    /// What the group shows.
    #[must_use]
    pub const fn info(&self) -> &GroupInfo {
        &self.info
    }

    /// The open links, at most [`limits::LINKS`].
    #[must_use]
    pub fn links(&self) -> &[OpenLink] {
        &self.links
    }

    /// The open link with this id.
    pub(crate) fn link(&self, id: LinkId) -> Option<&OpenLink> {
        self.links.iter().find(|link| link.id() == id)
    }

    /// The same links beside another info.
    #[must_use]
    pub fn with_info(&self, info: GroupInfo) -> Self {
        Self { info, links: self.links.clone() }
    }

    /// The same with one more link, and without those that are over at `now`. Fails with `Limit` beyond
    /// [`limits::LINKS`], and with `Duplicate` if it is open.
    pub fn with_link(&self, link: OpenLink, now: Timestamp) -> Result<Self> {
        if self.links.iter().any(|open| open.id() == link.id()) {
            return Err(Error::new(crate::ErrorKind::Duplicate, "this link is open already"));
        }
        let mut links: Vec<OpenLink> = self.links.iter().filter(|open| now <= open.expires()).cloned().collect();
        if links.len() >= limits::LINKS {
            return Err(Error::limit("a group has at most 16 open links: close one first"));
        }
        links.push(link);
        links.sort_by(|a, b| a.key().cmp(b.key()));
        Ok(Self { info: self.info.clone(), links })
    }

    /// The same without one link. `Expired` if it is not open.
    pub fn without_link(&self, id: LinkId) -> Result<Self> {
        if self.link(id).is_none() {
            return Err(Error::new(crate::ErrorKind::Expired, "this link is closed already"));
        }
        let links = self.links.iter().filter(|link| link.id() != id).cloned().collect();
        Ok(Self { info: self.info.clone(), links })
    }

    pub(crate) fn hash(&self) -> kdf::Hash {
        kdf::hash(labels::HASH_INFO, 1, |w| {
            w.item(self);
        })
    }
}

impl From<GroupInfo> for Profile {
    fn from(info: GroupInfo) -> Self {
        Self { info, links: Vec::new() }
    }
}

impl Wire for Profile {
    fn write(&self, w: &mut Writer) {
        let Self { info, links } = self;
        w.array(2).item(info).list(links.iter());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        let (info, links) = (r.item()?, r.list::<OpenLink>(limits::LINKS)?);
        if !links.is_sorted_by(|a, b| a.key() < b.key()) {
            return Err(Error::malformed("a group's links are out of order or repeated"));
        }
        Ok(Self { info, links })
    }
}
