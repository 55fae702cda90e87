//! Every label of every derivation, signature and hash, in one table (`docs/protocol.md`, section 2.3).
//!
//! A label is the first element of the array that is hashed, signed, derived from or authenticated. No label serves
//! twice, so bytes made for one purpose can never be taken for another.

/// The first element of a labelled array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(&'static str);

impl Label {
    pub(crate) const fn text(self) -> &'static str {
        self.0
    }
}

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub(crate) const $name: Label = Label($text);)+

        #[cfg(test)]
        const ALL: &[Label] = &[$($name),+];
    };
}

labels! {
    // Signatures
    /// An app root vouches for an app key.
    SIGN_APP_KEY = "sign app key";
    /// An app key vouches for a user's identity key.
    SIGN_CREDENTIAL = "sign credential";
    /// An identity key vouches for a device key.
    SIGN_DEVICE = "sign device certificate";
    /// A device key vouches for a leaf.
    SIGN_LEAF = "sign leaf";
    /// The sender of a standalone envelope.
    SIGN_ENVELOPE = "sign envelope";
    /// A committer signs a commit.
    SIGN_COMMIT = "sign commit";
    /// An inviter signs a welcome.
    SIGN_WELCOME = "sign welcome";
    /// A device asks to be readmitted.
    SIGN_REQUEST = "sign request";
    /// A device asks for a new leaf in the place of its old one.
    SIGN_REJOIN = "sign rejoin";
    /// A device outside asks to be let in.
    SIGN_JOIN = "sign join";
    /// An invite link vouches for a key package in a request.
    SIGN_INVITE = "sign invite";
    /// A member signs a group message.
    SIGN_MESSAGE = "sign message";
    /// A member asks to be taken out.
    SIGN_LEAVE = "sign leave";
    /// An app key takes back its word on a user.
    SIGN_REVOCATION = "sign revocation";
    /// An identity key takes back its word on a device.
    SIGN_DEVICE_REVOCATION = "sign device revocation";
    /// A hub says when it got a message.
    SIGN_STAMP = "sign stamp";

    // Hashes
    /// The id of a leaf or key package.
    HASH_LEAF = "hash leaf";
    /// Who a device is, as bound by its leaf.
    HASH_DEVICE_IDENTITY = "hash device identity";
    /// The init key of a key package, as bound by its leaf.
    HASH_INIT_KEY = "hash init key";
    /// One proposal.
    HASH_PROPOSAL = "hash proposal";
    /// The list of a commit's proposal hashes.
    HASH_PROPOSALS = "hash proposals";
    /// The users of a group.
    HASH_USERS = "hash users";
    /// The barred identities of a group.
    HASH_BARRED = "hash barred";
    /// The leaves of a group.
    HASH_LEAVES = "hash leaves";
    /// The policy of a group.
    HASH_POLICY = "hash policy";
    /// The info of a group.
    HASH_INFO = "hash info";
    /// Who is in a group and what they agreed on, in the group context.
    HASH_MEMBERS = "hash members";
    /// The id of an invite link.
    HASH_LINK = "hash link";
    /// The group context.
    HASH_CONTEXT = "group context";
    /// The chained transcript.
    HASH_TRANSCRIPT = "transcript";
    /// A commit as the log shows it: header and body.
    HASH_COMMIT_ENTRY = "commit entry";
    /// An envelope's header, as bound into every stanza.
    HASH_HEADER = "envelope header";
    /// The id of an envelope.
    HASH_ENVELOPE = "envelope id";
    /// A recipient's key, as the id by which a standalone envelope names it.
    HASH_RECIPIENT = "envelope recipient";
    /// The id of a group message.
    HASH_MESSAGE_ID = "message id";
    /// The id of something posted to a hub.
    HASH_POST = "post id";
    /// The name of the record that remembers a user's identity key or an app's roots.
    HASH_PIN = "hash pin";
    /// A party's half of a safety number.
    HASH_SAFETY_NUMBER = "safety number";

    /// Half of the digits of a group's authenticator.
    HASH_AUTHENTICATOR_DIGITS = "authenticator digits";

    // Envelope derivations
    /// From random bytes and what is sealed: the seed.
    ENVELOPE_SEED = "envelope seed";
    /// From the seed: the content key and nonce.
    ENVELOPE_CONTENT_KEY = "envelope content key";
    /// From the seed: the commitment in the header.
    ENVELOPE_COMMITMENT = "envelope commitment";
    /// From the seed: the shared ephemeral scalar.
    ENVELOPE_EPHEMERAL = "envelope ephemeral";
    /// From the seed: one recipient's X-Wing coins.
    ENVELOPE_COINS = "envelope coins";
    /// The HPKE info of one stanza.
    ENVELOPE_STANZA = "envelope stanza";

    // Key schedule
    /// From the commit's seed.
    COMMIT_SECRET = "commit secret";
    /// The joiner secret.
    JOINER = "joiner";
    /// The epoch secret.
    EPOCH = "epoch";
    /// Header protection of messages.
    HEADER_KEY = "header key";
    /// The key of the confirmation tag.
    CONFIRM_KEY = "confirm key";
    /// The key that requests to be readmitted are sealed under.
    REQUEST = "request";
    /// The root of exported secrets.
    EXPORTER = "exporter";
    /// One exported secret.
    EXPORT = "export";
    /// The epoch authenticator.
    AUTHENTICATOR = "authenticator";
    /// The root of the sender chains.
    SENDER_ROOT = "sender root";
    /// One sender's first chain key.
    SENDER = "sender";
    /// The next epoch's init secret.
    INIT = "init";

    // Messages
    /// The salt of one message.
    SALT = "salt";
    /// The key and nonce of one message.
    MESSAGE = "message";
    /// The associated data of one message.
    MESSAGE_AAD = "message aad";

    // Attachments
    /// The commitment to an attachment's key.
    ATTACHMENT_COMMITMENT = "attachment commitment";
    /// The salt of one chunk.
    ATTACHMENT_SALT = "attachment salt";
    /// The key and nonce of one chunk.
    ATTACHMENT_CHUNK = "attachment chunk";
    /// The hash of a whole attachment.
    HASH_ATTACHMENT = "hash attachment";

    // Linking a device
    /// A device offer without its secret, as bound into the answer.
    HASH_DEVICE_OFFER = "hash device offer";
    /// From an offer's secret: the salt of one answer.
    LINK_SALT = "link salt";
    /// From an offer's secret: the key and nonce of one answer.
    LINK_KEY = "link key";

    // At rest
    /// The associated data of one sealed record.
    STORE_RECORD = "store record";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_label_serves_twice() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }
}
