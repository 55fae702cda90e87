//! vodozemac: Megolm for messages, Olm to hand out its keys.

use vodozemac::megolm::{GroupSession, InboundGroupSession, MegolmMessage, SessionConfig as MegolmConfig, SessionKey};
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig as OlmConfig};

use crate::works::{Change, Cost, Disk, Frame, Membership, Messages, Peer, Scope, Setting, timed};

pub struct Vodozemac;

impl Peer for Vodozemac {
    fn name(&self) -> &'static str {
        "vodozemac"
    }

    fn notes(&self) -> Vec<String> {
        [
            "Megolm reads any order by default, since a reader keeps its first ratchet; a message can be read twice, and \
             what was read stays readable to whoever takes the state.",
            "A change of membership is one sender handing a new Megolm session to everyone over warm Olm sessions \
             (`create` and `join`: over new ones); every other sender must do the same. One-time keys are taken as \
             given, without a signature.",
            "No store of its own, so no persisted figures. State: pickles of the account, its Megolm session, one \
             inbound session per other member, and n - 1 times the pickle of one Olm session.",
        ]
        .map(String::from)
        .to_vec()
    }

    fn messages(&self, setting: Setting) -> Box<dyn Messages> {
        // Everyone but the reader has a session.
        let senders: Vec<GroupSession> =
            (1..setting.members).map(|_| GroupSession::new(MegolmConfig::default())).collect();
        let reader = senders.iter().map(|s| InboundGroupSession::new(&s.session_key(), MegolmConfig::default()));
        Box::new(Megolm { reader: reader.collect(), senders })
    }

    fn membership(&self, n: usize) -> Box<dyn Membership> {
        Box::new(Olm::new(n))
    }

    fn disks(&self) -> Vec<Disk> {
        Vec::new()
    }
}

struct Megolm {
    senders: Vec<GroupSession>,
    reader: Vec<InboundGroupSession>,
}

impl Messages for Megolm {
    fn encrypt(&mut self, sender: usize, content: &[u8]) -> Vec<u8> {
        self.senders[sender].encrypt(content).to_bytes()
    }

    fn decrypt(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        let message = MegolmMessage::from_bytes(&frame.bytes).ok()?;
        self.reader[frame.sender].decrypt(&message).ok().map(|read| read.plaintext)
    }
}

/// A sender's Olm sessions with `n - 1` members, of whom the first is the one that receives.
struct Olm {
    sender: Account,
    members: Vec<Account>,
    sessions: Vec<Session>,
    receiver: Session,
}

impl Olm {
    fn new(n: usize) -> Self {
        let sender = Account::new();
        let mut members: Vec<Account> = (1..n).map(|_| Account::new()).collect();
        let mut pairs = members.iter_mut().map(|member| warm(&sender, member));
        let (first, receiver) = pairs.next().expect("a group has two members");
        let sessions = std::iter::once(first).chain(pairs.map(|(session, _)| session)).collect();
        Self { sender, members, sessions, receiver }
    }

    /// Hands a new Megolm session to the first `count` members.
    fn rotate(&mut self, count: usize) -> Change {
        let sessions = &mut self.sessions[..count];
        let (messages, time) = timed(|| {
            let key = GroupSession::new(MegolmConfig::default()).session_key().to_bytes();
            sessions.iter_mut().map(|session| wire(&session.encrypt(&key).unwrap())).collect::<Vec<_>>()
        });
        let (kind, message) = messages.first().unwrap();
        let receiver = &mut self.receiver;
        let (_, received) = timed(|| {
            let message = OlmMessage::from_parts(*kind, message).unwrap();
            inbound(&receiver.decrypt(&message).unwrap())
        });
        Change {
            author: Cost { time, bytes: messages.iter().map(|(_, message)| message.len()).sum() },
            receiver: Cost { time: received, bytes: message.len() },
        }
    }

    /// Hands a new Megolm session to the first `count` members over new Olm sessions. What it cost, and what the first
    /// of them gets.
    fn distribute(&mut self, count: usize) -> (Cost, (usize, Vec<u8>)) {
        let targets: Vec<_> = self.members[..count].iter_mut().map(|m| (m.curve25519_key(), one_time_key(m))).collect();
        let sender = &self.sender;
        let (messages, time) = timed(|| {
            let key = GroupSession::new(MegolmConfig::default()).session_key().to_bytes();
            let send = |(identity, one_time): &(_, _)| {
                let mut session = sender.create_outbound_session(OlmConfig::default(), *identity, *one_time).unwrap();
                wire(&session.encrypt(&key).unwrap())
            };
            targets.iter().map(send).collect::<Vec<_>>()
        });
        let bytes = messages.iter().map(|(_, message)| message.len()).sum();
        (Cost { time, bytes }, messages.into_iter().next().unwrap())
    }
}

impl Membership for Olm {
    fn scope(&self) -> Scope {
        Scope::OneSender
    }

    fn create(&mut self) -> Cost {
        self.distribute(self.members.len()).0
    }

    fn join(&mut self) -> Cost {
        let (_, (kind, bytes)) = self.distribute(1);
        let (sender, member) = (self.sender.curve25519_key(), &mut self.members[0]);
        let (_, time) = timed(|| accept(member, sender, &OlmMessage::from_parts(kind, &bytes).unwrap()));
        Cost { time, bytes: bytes.len() }
    }

    fn remove(&mut self) -> Change {
        // The last is the one removed.
        self.rotate(self.sessions.len() - 1)
    }

    fn heal(&mut self) -> Change {
        self.rotate(self.sessions.len())
    }

    fn stored(&mut self) -> usize {
        let key = &[0; 32];
        let inbound = |session: &GroupSession| {
            let inbound = InboundGroupSession::new(&session.session_key(), MegolmConfig::default());
            inbound.pickle().encrypt(key).len()
        };
        let own = GroupSession::new(MegolmConfig::default());
        let others = self.sessions.len() * (inbound(&own) + self.receiver.pickle().encrypt(key).len());
        self.members[0].pickle().encrypt(key).len() + own.pickle().encrypt(key).len() + others
    }
}

fn wire(message: &OlmMessage) -> (usize, Vec<u8>) {
    message.to_parts()
}

fn inbound(key: &[u8]) -> InboundGroupSession {
    InboundGroupSession::new(&SessionKey::from_bytes(key).unwrap(), MegolmConfig::default())
}

fn one_time_key(account: &mut Account) -> vodozemac::Curve25519PublicKey {
    account.generate_one_time_keys(1);
    let key = *account.one_time_keys().values().next().unwrap();
    account.mark_keys_as_published();
    key
}

fn accept(member: &mut Account, sender: vodozemac::Curve25519PublicKey, message: &OlmMessage) -> InboundGroupSession {
    let OlmMessage::PreKey(message) = message else { panic!("a first message names the keys it is for") };
    let created = member.create_inbound_session(OlmConfig::default(), sender, message).unwrap();
    inbound(&created.plaintext)
}

/// A pair of sessions that have both spoken, so that messages no longer carry the first keys.
fn warm(sender: &Account, member: &mut Account) -> (Session, Session) {
    let one_time = one_time_key(member);
    let mut outbound = sender.create_outbound_session(OlmConfig::default(), member.curve25519_key(), one_time).unwrap();
    let OlmMessage::PreKey(hello) = outbound.encrypt("hello").unwrap() else {
        panic!("a new session has a first message")
    };
    let mut inbound =
        member.create_inbound_session(OlmConfig::default(), sender.curve25519_key(), &hello).unwrap().session;
    let answer = inbound.encrypt("hello").unwrap();
    outbound.decrypt(&answer).unwrap();
    (outbound, inbound)
}
