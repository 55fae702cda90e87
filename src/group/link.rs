//! Invite links: how those outside may ask to be let in (`docs/protocol.md`, section 5.9).

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::info::misleads;
use crate::crypto::kdf;
use crate::crypto::kem::{SealKey, SealSecret};
use crate::crypto::sign::{SigningKey, VerifyKey};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::UserUri;
use crate::ids::{GroupId, Timestamp};
use crate::labels;
use crate::limits;
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer, bytes_id};

bytes_id! {
    /// An invite link: 16 bytes of the hash of its invite key.
    LinkId, 16
}

/// What an invite link's text begins with.
const SCHEME: &str = "convivio:join#";

/// Characters of the longest link that is read.
const LONGEST: usize = 1_280;

/// The version of a link's form.
const FORM: u64 = 1;

fn link_id(key: &VerifyKey) -> LinkId {
    let hash = kdf::hash(labels::HASH_LINK, 1, |w| {
        w.item(key);
    });
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
    LinkId(id)
}

/// An invite link as a group's members have it, in the group's state: who may ask, who can read it, until when.
///
/// The members share the join key, by which requests are read; the invite key's private half is in the
/// [link](InviteLink) alone, so that nobody can ask by it who was not given it.
#[derive(Clone)]
pub struct OpenLink {
    /// The hash of the invite key.
    id: LinkId,
    invite: VerifyKey,
    join: Arc<SealSecret>,
    expires: Timestamp,
}

impl OpenLink {
    /// The link's id.
    #[must_use]
    pub const fn id(&self) -> LinkId {
        self.id
    }

    /// The last second at which a request by it counts.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether a link that someone was given is this one, by its join key.
    pub(crate) fn is(&self, link: LinkId, join: &SealKey) -> bool {
        self.id == link && self.join.public().as_bytes() == join.as_bytes()
    }

    pub(crate) const fn invite(&self) -> &VerifyKey {
        &self.invite
    }

    pub(crate) fn join(&self) -> &SealSecret {
        &self.join
    }

    /// By what links are ordered.
    pub(super) const fn key(&self) -> &[u8; 32] {
        self.invite.as_bytes()
    }
}

impl PartialEq for OpenLink {
    fn eq(&self, other: &Self) -> bool {
        let Self { id: _, invite, join, expires } = self;
        invite == &other.invite && expires == &other.expires && join.expose().ct_eq(other.join.expose())
    }
}

impl Wire for OpenLink {
    fn write(&self, w: &mut Writer) {
        let Self { id: _, invite, join, expires } = self;
        w.array(3).item(invite).bytes(join.expose().expose()).item(expires);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        let (invite, join) = (r.item()?, SealSecret::from_secret(Secret::copy_from(r.fixed_ref()?)));
        Ok(Self { id: link_id(&invite), invite, join: Arc::new(join), expires: r.item()? })
    }
}

impl fmt::Debug for OpenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, invite: _, join: _, expires } = self;
        f.debug_struct("OpenLink").field("id", id).field("expires", expires).finish_non_exhaustive()
    }
}

/// What is handed to people outside: whoever holds it can ask to be let in, until it expires or is closed.
///
/// A bearer secret: it is neither printed nor copied but by [`to_text`](Self::to_text). It lets nobody in by itself, and
/// says nothing of the group but its id, its hub and who opened the link, by whose identity key the group is known again.
pub struct InviteLink {
    group: GroupId,
    hub: String,
    join: SealKey,
    invite: SigningKey,
    expires: Timestamp,
    opener: (UserUri, VerifyKey),
}

impl InviteLink {
    /// Draws the keys of a new link to a group: what to hand out, and what its members are to have.
    ///
    /// `opener` is who opens it, with the identity key. `hub` is where requests are posted, of at most 255 bytes and in
    /// whatever form the apps agree on; it may be empty.
    /// Fails with `Limit` if it is longer, and with `Malformed` if it could disguise itself.
    pub fn generate(
        group: GroupId,
        opener: (UserUri, VerifyKey),
        hub: &str,
        expires: Timestamp,
        rng: &mut dyn rand::CryptoRng,
    ) -> Result<(Self, OpenLink)> {
        check_hub(hub)?;
        let (invite, join) = (SigningKey::generate(rng), SealSecret::generate(rng));
        let link = Self { group, hub: hub.to_owned(), join: join.public().clone(), invite, expires, opener };
        let key = link.invite.verify_key().clone();
        let open = OpenLink { id: link_id(&key), invite: key, join: Arc::new(join), expires };
        Ok((link, open))
    }

    /// The link's id.
    #[must_use]
    pub fn id(&self) -> LinkId {
        link_id(self.invite.verify_key())
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Where the group's hub is: chosen by whoever made the link, so not to be trusted with more than a request.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// The last second at which a request by it counts.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Who opened it, as the link says, and the identity key: who is let in by them is in without another question.
    #[must_use]
    pub const fn opener(&self) -> (&UserUri, &VerifyKey) {
        (&self.opener.0, &self.opener.1)
    }

    /// The link as a text of about 300 characters, at most 1,280, for a message, a page or a QR code: what
    /// [`parse`](str::parse) reads. Whoever sees it can ask to be let in. Wiped when dropped.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let Self { group, hub, join, invite, expires, opener: (user, identity) } = self;
        let mut w = Writer::new();
        w.array(8).uint(FORM).item(group).text(hub).item(join).bytes(invite.expose_seed()).item(expires);
        w.item(user).item(identity);
        let bytes = Zeroizing::new(w.finish());
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        text.push_str(SCHEME);
        text.push_str(&Zeroizing::new(Base64UrlUnpadded::encode_string(&bytes)));
        text
    }

    pub(crate) const fn join(&self) -> &SealKey {
        &self.join
    }

    pub(super) const fn invite(&self) -> &SigningKey {
        &self.invite
    }
}

impl FromStr for InviteLink {
    type Err = Error;

    /// Fails with `Malformed` if it is not the whole text of a link, and with `Unsupported` if it is one of a newer form.
    fn from_str(text: &str) -> Result<Self> {
        let not_whole = || Error::malformed("this is not a whole invite link: copy it again, or ask for another");
        let body = text.strip_prefix(SCHEME).filter(|body| body.len() <= LONGEST).ok_or_else(not_whole)?;
        let bytes = Zeroizing::new(Base64UrlUnpadded::decode_vec(body).map_err(|_| not_whole())?);
        let link = read(&bytes).map_err(|error| match error.kind() {
            ErrorKind::Unsupported => error,
            _ => not_whole().caused_by(error),
        })?;
        // One text for each link.
        if *link.to_text() == text { Ok(link) } else { Err(not_whole()) }
    }
}

fn read(bytes: &[u8]) -> Result<InviteLink> {
    let mut r = Reader::new(bytes);
    let len = r.array_up_to(usize::MAX)?;
    if r.u64()? != FORM {
        return Err(Error::new(ErrorKind::Unsupported, "an invite link of a newer form: update the library"));
    }
    if len != 8 {
        return Err(Error::malformed("an invite link has eight parts"));
    }
    let (group, hub) = (r.item()?, r.text(limits::LINK_HUB)?.to_owned());
    check_hub(&hub)?;
    let join = r.item()?;
    let invite = SigningKey::from_seed(Secret::<32>::copy_from(r.fixed_ref()?).expose());
    let (expires, opener) = (r.item()?, (r.item()?, r.item()?));
    r.finish()?;
    Ok(InviteLink { group, hub, join, invite, expires, opener })
}

fn check_hub(hub: &str) -> Result<()> {
    if hub.len() > limits::LINK_HUB {
        return Err(Error::limit("where a group's hub is takes at most 255 bytes"));
    }
    if hub.chars().any(misleads) {
        return Err(Error::malformed("where a group's hub is holds no control or direction characters"));
    }
    Ok(())
}

impl fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, hub, join: _, invite: _, expires, opener: (opener, _) } = self;
        let mut out = f.debug_struct("InviteLink");
        out.field("group", group)
            .field("hub", hub)
            .field("expires", expires)
            .field("opener", opener)
            .finish_non_exhaustive()
    }
}
