//! wacore-libsignal: sender keys for messages, pairwise sessions to hand them out.

mod store;
mod user;

use pollster::block_on;
use wacore_libsignal::protocol::{
    ProtocolAddress, SenderKeyDistributionMessage, SenderKeyName, create_sender_key_distribution_message,
    group_decrypt, group_encrypt, process_sender_key_distribution_message,
};

use crate::works::{Change, Cost, Disk, Frame, Membership, Messages, Peer, Scope, Setting, timed};
use store::SenderKeys;
use user::{User, Wire};

pub struct Libsignal;

impl Peer for Libsignal {
    fn name(&self) -> &'static str {
        "wacore-libsignal"
    }

    fn notes(&self) -> Vec<String> {
        [
            "It is asynchronous: each call is driven to its end by pollster's `block_on`. It brings no store: ours, in \
             memory, takes a sender key out and puts it back, so that nothing is copied for a message.",
            "A reader keeps 2,000 keys for late messages by default, which reverse order needs.",
            "A change of membership is one sender handing a new sender key to everyone over warm pairwise sessions \
             (`create` and `join`: over new ones, prekey signatures verified); every other sender must do the same.",
            "No store of its own on disk, so no persisted figures. State: n sender keys and n - 1 sessions as \
             serialized, each session as large as the one that was made.",
        ]
        .map(String::from)
        .to_vec()
    }

    fn messages(&self, setting: Setting) -> Box<dyn Messages> {
        let mut messages =
            Messaging { names: Vec::new(), sending: SenderKeys::default(), reader: SenderKeys::default() };
        // Everyone but the reader has a sender key.
        for i in 1..setting.members {
            let name = SenderKeyName::new("group".into(), format!("sender{i}"));
            let key = new_sender_key(&name, &mut messages.sending);
            accept(&name, &key, &mut messages.reader);
            messages.names.push(name);
        }
        Box::new(messages)
    }

    fn membership(&self, n: usize) -> Box<dyn Membership> {
        Box::new(Pairwise::new(n))
    }

    fn disks(&self) -> Vec<Disk> {
        Vec::new()
    }
}

fn new_sender_key(name: &SenderKeyName, store: &mut SenderKeys) -> Vec<u8> {
    let key = block_on(create_sender_key_distribution_message(name, store, &mut rand::rng())).unwrap();
    key.serialized().to_vec()
}

fn accept(name: &SenderKeyName, key: &[u8], store: &mut SenderKeys) {
    let key = SenderKeyDistributionMessage::try_from(key).unwrap();
    block_on(process_sender_key_distribution_message(name, &key, store)).unwrap();
}

struct Messaging {
    names: Vec<SenderKeyName>,
    sending: SenderKeys,
    reader: SenderKeys,
}

impl Messages for Messaging {
    fn encrypt(&mut self, sender: usize, content: &[u8]) -> Vec<u8> {
        let (name, rng) = (&self.names[sender], &mut rand::rng());
        block_on(group_encrypt(&mut self.sending, name, content, rng)).unwrap().serialized().to_vec()
    }

    fn decrypt(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        block_on(group_decrypt(&frame.bytes, &mut self.reader, &self.names[frame.sender])).ok()
    }
}

/// A sender's sessions with `n - 1` members, of whom the first is the one that receives.
struct Pairwise {
    sender: User,
    receiver: User,
    members: Vec<ProtocolAddress>,
    name: SenderKeyName,
}

impl Pairwise {
    fn new(n: usize) -> Self {
        let name = SenderKeyName::new("group".into(), "sender".into());
        let mut sender = User::new("sender");
        let mut members: Vec<User> = (1..n).map(|i| User::new(&format!("member{i}"))).collect();
        for member in &mut members {
            warm(&mut sender, member);
        }
        let addresses = members.iter().map(|member| member.address.clone()).collect();
        Self { sender, receiver: members.swap_remove(0), members: addresses, name }
    }

    /// Hands a new sender key to the first `count` members.
    fn rotate(&mut self, count: usize) -> Change {
        let Self { sender, receiver, members, name } = self;
        let (messages, time) = timed(|| hand_out(sender, &members[..count], name));
        let mut reader = SenderKeys::default();
        let (_, received) = timed(|| {
            let key = receiver.decrypt(&sender.address, &messages[0]);
            accept(name, &key, &mut reader);
        });
        Change {
            author: Cost { time, bytes: messages.iter().map(|message| message.bytes.len()).sum() },
            receiver: Cost { time: received, bytes: messages[0].bytes.len() },
        }
    }

    /// Hands a new sender key to so many new users, with whom sessions are to be made. The first, and what it gets.
    fn distribute(&self, count: usize) -> (Cost, (User, Wire)) {
        let mut users: Vec<User> = (0..count).map(|i| User::new(&format!("new{i}"))).collect();
        let bundles: Vec<_> = users.iter_mut().map(User::bundle).collect();
        let addresses: Vec<_> = users.iter().map(|user| user.address.clone()).collect();
        let mut sender = User::new("sender");
        let (mut messages, time) = timed(|| {
            for (address, bundle) in addresses.iter().zip(&bundles) {
                sender.meet(address, bundle);
            }
            hand_out(&mut sender, &addresses, &self.name)
        });
        let bytes = messages.iter().map(|message| message.bytes.len()).sum();
        (Cost { time, bytes }, (users.swap_remove(0), messages.swap_remove(0)))
    }
}

fn hand_out(sender: &mut User, members: &[ProtocolAddress], name: &SenderKeyName) -> Vec<Wire> {
    let key = new_sender_key(name, &mut SenderKeys::default());
    members.iter().map(|member| sender.encrypt(member, &key)).collect()
}

/// A session in which both have spoken, so that messages no longer carry the first keys.
fn warm(sender: &mut User, member: &mut User) {
    let bundle = member.bundle();
    sender.meet(&member.address, &bundle);
    let hello = sender.encrypt(&member.address, b"hello");
    member.decrypt(&sender.address, &hello);
    let answer = member.encrypt(&sender.address, b"hello");
    sender.decrypt(&member.address, &answer);
}

impl Membership for Pairwise {
    fn scope(&self) -> Scope {
        Scope::OneSender
    }

    fn create(&mut self) -> Cost {
        self.distribute(self.members.len()).0
    }

    fn join(&mut self) -> Cost {
        let (_, (mut user, message)) = self.distribute(1);
        let mut reader = SenderKeys::default();
        let (_, time) = timed(|| {
            let key = user.decrypt(&self.sender.address, &message);
            accept(&self.name, &key, &mut reader);
        });
        Cost { time, bytes: message.bytes.len() }
    }

    fn remove(&mut self) -> Change {
        // The last is the one removed.
        self.rotate(self.members.len() - 1)
    }

    fn heal(&mut self) -> Change {
        self.rotate(self.members.len())
    }

    fn stored(&mut self) -> usize {
        let mut keys = SenderKeys::default();
        let key = new_sender_key(&self.name, &mut keys);
        let own = keys.bytes();
        let mut keys = SenderKeys::default();
        accept(&self.name, &key, &mut keys);
        own + self.members.len() * (keys.bytes() + self.receiver.sessions.bytes())
    }
}
