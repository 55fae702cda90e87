//! Every bound of the protocol, with its reason. A bound is checked before the work it limits.
//!
//! Bounds that decide validity are protocol constants: two clients with different bounds would disagree about a
//! group's history. Changing one is a new protocol version.

/// Recipients of one standalone envelope. Larger audiences are groups.
pub const ENVELOPE_RECIPIENTS: usize = 256;

/// Bytes of the id by which an envelope names a recipient: a hash fits.
pub const ENVELOPE_RECIPIENT_ID: usize = 32;

/// Standalone envelopes one receiving key accepts in its life, since the id of each is remembered as long.
pub const ENVELOPES_PER_KEY: usize = 1 << 20;

/// Bytes of an envelope's payload before padding: a welcome to a full roster fits.
pub const ENVELOPE_PAYLOAD: usize = 32 * 1024 * 1024;

/// Bytes of an envelope's header: a commit that adds a full roster lists a mailbox for each.
pub const ENVELOPE_HEADER: usize = 4 * 1024 * 1024;

/// Bytes of the sender field of an envelope: a credential and a device certificate.
pub const ENVELOPE_SENDER: usize = 4 * 1024;

/// Bytes of the tail of an envelope: one confirmation tag.
pub const ENVELOPE_TAIL: usize = 32;

/// Bytes of what a frame carries, before padding.
pub const MESSAGE_CONTENT: usize = 64 * 1024;

/// Bytes an app may say in one message of a group; the rest is the message's own head. Larger things are attachments.
pub const MESSAGE: usize = MESSAGE_CONTENT - 64;

/// Generations a sender's chain may be moved forward by one message, and the message keys kept for its late
/// messages. At a fifth of a microsecond each this bounds the work a forged header can cause to half a millisecond.
pub const SKIPPED_PER_SENDER: u32 = 2_000;

/// Message keys kept for late messages in the whole group; beyond it, whoever holds most loses the oldest.
pub const SKIPPED_PER_GROUP: usize = 20_000;

/// Leaves (devices) in a group.
pub const ROSTER: usize = 10_000;

/// Leaves (devices) of one user in a group.
pub const LEAVES_PER_USER: usize = 64;

/// Proposals in one commit: a group can be created with a full roster in one.
pub const PROPOSALS: usize = ROSTER;

/// Identities a group remembers as barred; the oldest is forgotten first.
pub const BARRED: usize = 1_024;

/// Epochs whose request key a member keeps, the present one among them, so that whoever was left behind in one can ask to be readmitted. The
/// key opens such requests and nothing else.
pub const REQUEST_EPOCHS: usize = 64;

/// Seconds for which a request to be readmitted holds: 24 hours.
pub const REQUEST_LIFETIME: u64 = 24 * 60 * 60;

/// Requests to be readmitted to one group that a device keeps open, each with its key package.
pub const OPEN_REQUESTS: usize = 8;

/// Apps a policy may list.
pub const APPS: usize = 64;

/// Root keys a policy may list for one app: the current one and those being rotated out.
pub const ROOTS_PER_APP: usize = 4;

/// Bytes of a domain name (RFC 1035).
pub const DOMAIN: usize = 253;

/// Bytes of the name part of a user URI.
pub const USER_NAME: usize = 64;

/// Feature numbers a leaf may advertise.
pub const FEATURES: usize = 64;

/// Suites a leaf may advertise.
pub const SUITES: usize = 16;

/// Bytes of what is signed in an app key certificate, a credential or a device certificate: the longest user URI and
/// two keys fit.
pub const STATEMENT: usize = 512;

/// Bytes of what is signed in a leaf: the most capabilities fit.
pub const LEAF_BODY: usize = 1024;

/// Bytes of the device identity in a leaf: a credential and a device certificate, at their longest.
pub const DEVICE_IDENTITY: usize = 2 * 1024;

/// Bytes of the answer to a device offer: a device identity in an envelope.
pub const DEVICE_ANSWER: usize = 4 * 1024;

/// Devices that a device remembers to have revoked.
pub const REVOKED_DEVICES: usize = 1_024;

/// Bytes of an encoded leaf: the two above and a signature.
pub const LEAF: usize = 4 * 1024;

/// Bytes of a group's info.
pub const GROUP_INFO: usize = 16 * 1024;

/// Invite links open at once in a group.
pub const LINKS: usize = 16;

/// Bytes by which an invite link says where its group's hub is.
pub const LINK_HUB: usize = 255;

/// Requests by invite links that a member remembers of one group, divided by the links that are open: those of a day by one
/// link. Beyond, further ones by it count for nothing until some are over.
pub const JOIN_REQUESTS: usize = 1_024;

/// Requests by invite links that a member remembers of one identity key, in one group; further ones of a day count for
/// nothing.
pub const REQUESTS_OF_ONE: usize = 4;

/// Users who were in a group and are not, as a member remembers them; the oldest is forgotten first.
pub const GONE: usize = 1_024;

/// Requests by invite links that a device has open, in all groups, each with its key package.
pub const OPEN_JOINS: usize = 64;

/// Seconds after the end of such a request for which a device still takes its answer: 30 days, for who was away.
pub const JOIN_KEPT: u64 = 30 * 24 * 60 * 60;

/// Requests that wait for a member's client to admit them by itself, in one group; those beyond wait for its user.
pub const ADMITS: usize = 64;

/// Seconds a last-resort key package lives: 7 days.
pub const LAST_RESORT_LIFETIME: u64 = 7 * 24 * 60 * 60;

/// Seconds a one-time key package lives at most: 90 days.
pub const KEY_PACKAGE_LIFETIME: u64 = 90 * 24 * 60 * 60;

/// Seconds by which an honest committer's clock may differ from a reader's before the reader is told.
pub const CLOCK_SKEW: u64 = 60 * 60;

/// Bytes of one entry of a hub's log, or of one post.
pub const POST: usize = 96 * 1024 * 1024;

/// Places in a group's queue between the oldest message or change that waits and the newest: what a reader of the
/// store counts through.
pub const QUEUE: u64 = 1 << 20;

/// Parts of one content, all levels together.
pub const CONTENT_PARTS: usize = 64;

/// Levels of parts within parts.
pub const CONTENT_DEPTH: usize = 4;

/// Bytes of a media type with its parameters.
pub const CONTENT_TYPE: usize = 255;

/// Bytes of a list of language tags.
pub const CONTENT_LANGUAGE: usize = 64;

/// Bytes of a topic.
pub const CONTENT_TOPIC: usize = 64;

/// Bytes of the URL of a file.
pub const CONTENT_URL: usize = 2_048;

/// Bytes of a file's key, nonce, associated data or hash.
pub const CONTENT_KEY: usize = 64;

/// Bytes of what is said of a file.
pub const CONTENT_DESCRIPTION: usize = 1_024;

/// Bytes of a file's name.
pub const CONTENT_FILENAME: usize = 255;

/// Extensions of one content.
pub const CONTENT_EXTENSIONS: usize = 32;

/// Bytes of an extension's name.
pub const CONTENT_EXTENSION_NAME: usize = 255;

/// Bytes of an extension's value.
pub const CONTENT_EXTENSION: usize = 4_096;

/// Options of a poll.
pub const POLL_OPTIONS: usize = 64;

/// Bytes of a poll's question, and of each option.
pub const POLL_TEXT: usize = 512;

/// Bytes of a reaction: the longest emoji are joined of some eight others.
pub const REACTION: usize = 64;

/// Different reactions of one user to one message that are shown; more do not count.
pub const REACTIONS: usize = 16;

/// Users whom one message can mention; more are not looked for.
pub const MENTIONS: usize = 256;

/// Messages that a chain of replies is followed back.
pub const ANCESTORS: usize = 64;

/// Receipts in one message.
pub const RECEIPTS: usize = 256;

/// Bytes of the plaintext of an attachment's chunk; the last may have fewer.
pub const ATTACHMENT_CHUNK: usize = 64 * 1024;

/// Chunks of one attachment: 64 GiB, with an index of 32 MiB.
pub const ATTACHMENT_CHUNKS: u64 = 1 << 20;
