//! Who may do what in a group (`docs/protocol.md`, section 5.2 and 5.3), as a model: a table of people, no bytes, no keys.
//! It is written from that page, and shares no code with the crate.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;

/// A device of the cast: whose, the identity key behind it, its certificate's serial, and the user's app.
pub struct Actor {
    pub user: usize,
    pub identity: u8,
    pub serial: u64,
    pub app: usize,
}

const fn actor(user: usize, identity: u8, serial: u64, app: usize) -> Actor {
    Actor { user, identity, serial, app }
}

pub const USERS: [&str; 6] = ["ann", "ben", "cid", "dora", "eve", "fay"];

/// Eve is of the other app. The last device is Ben's by name, and of somebody else's identity.
pub const CAST: [Actor; 10] = [
    actor(0, 0, 0, 0),
    actor(0, 0, 1, 0),
    actor(1, 1, 0, 0),
    actor(1, 1, 1, 0),
    actor(2, 2, 0, 0),
    actor(2, 2, 5, 0),
    actor(3, 3, 0, 0),
    actor(4, 4, 0, 1),
    actor(5, 5, 0, 0),
    actor(1, 9, 3, 0),
];

pub type Role = u8;
pub const READER: Role = 0;
pub const MEMBER: Role = 1;
pub const ADMIN: Role = 2;
pub const OWNER: Role = 3;

/// The least role for each act, and whether the other app is listed.
#[derive(Arbitrary, Clone, Debug, PartialEq)]
pub struct Rules {
    pub add: Role,
    pub remove: Role,
    pub post: Role,
    pub info: Role,
    pub policy: Role,
    pub both_apps: bool,
}

impl Rules {
    pub const USUAL: Self =
        Self { add: ADMIN, remove: ADMIN, post: MEMBER, info: ADMIN, policy: OWNER, both_apps: true };

    /// With every role one that there is.
    pub fn bounded(&self) -> Self {
        let Self { add, remove, post, info, policy, both_apps } = *self;
        let [add, remove, post, info, policy] = [add, remove, post, info, policy].map(|role| role % 4);
        Self { add, remove, post, info, policy, both_apps }
    }
}

/// A proposal. Devices and users are numbers of the cast.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Policy(Rules),
    Info(u8),
    Leave {
        device: usize,
        user: bool,
        genuine: bool,
    },
    Remove(usize),
    RemoveDevice(usize),
    Replace {
        device: usize,
        genuine: bool,
    },
    /// By a key package that is in order or not.
    Add {
        device: usize,
        sound: bool,
    },
    Role(usize, Role),
    /// By the app of the user with this device, of the identity behind that.
    RevokeUser {
        device: usize,
        genuine: bool,
    },
    /// By the identity behind the device, up to a serial.
    RevokeDevice {
        device: usize,
        serial: u64,
        genuine: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub identity: u8,
    pub role: Role,
    pub least_serial: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub users: BTreeMap<usize, Member>,
    pub devices: BTreeSet<usize>,
    pub barred: BTreeSet<u8>,
    pub rules: Rules,
    pub info: u8,
}

/// Whose commit it is, with the role of before the commit.
struct Committer<'a> {
    device: usize,
    role: Role,
    before: &'a Model,
}

/// Whether this revokes someone of whom the same commit brings in a leaf.
fn is_brought_in(act: &Act, acts: &[Act]) -> bool {
    let (Act::RevokeUser { device, .. } | Act::RevokeDevice { device, .. }) = act else { return false };
    let of = CAST[*device].user;
    let brings =
        |act: &Act| matches!(act, Act::Add { device, .. } | Act::Replace { device, .. } if CAST[*device].user == of);
    acts.iter().any(brings)
}

impl Model {
    /// The group as this device has founded it.
    pub fn founded(device: usize) -> Self {
        let actor = &CAST[device];
        let founder = Member { identity: actor.identity, role: OWNER, least_serial: 0 };
        Self {
            users: BTreeMap::from([(actor.user, founder)]),
            devices: BTreeSet::from([device]),
            barred: BTreeSet::new(),
            rules: Rules::USUAL,
            info: 0,
        }
    }

    pub fn role(&self, device: usize) -> Option<Role> {
        self.devices.contains(&device).then(|| self.users[&CAST[device].user].role)
    }

    /// The group after this device's commit of these proposals, in the protocol's order; none if that is void.
    pub fn commit(&self, device: usize, acts: &[Act]) -> Option<Self> {
        let by = Committer { device, role: self.role(device)?, before: self };
        acts.iter().all(|act| !is_brought_in(act, acts)).then_some(())?;
        let mut next = self.clone();
        acts.iter().try_for_each(|act| next.apply(&by, act))?;
        let listed = |device: &usize| CAST[*device].app == 0 || next.rules.both_apps;
        let owners = next.users.values().filter(|user| user.role == OWNER).count();
        (owners > 0 && next.devices.iter().all(listed)).then_some(next)
    }

    fn apply(&mut self, by: &Committer<'_>, act: &Act) -> Option<()> {
        let rules = &by.before.rules;
        let own = CAST[by.device].user;
        let require = |rule: bool| rule.then_some(());
        match act {
            Act::Policy(new) => {
                require(by.role >= rules.policy)?;
                self.rules = new.clone();
            }
            Act::Info(info) => {
                require(by.role >= rules.info)?;
                self.info = *info;
            }
            Act::Leave { device, user, genuine } => {
                let leaving = CAST[*device].user;
                require(*genuine && self.devices.contains(device))?;
                if *user || self.devices_of(leaving) == 1 {
                    require(leaving != own)?;
                    self.take_out(leaving);
                } else {
                    require(*device != by.device)?;
                    self.devices.remove(device);
                }
            }
            Act::Remove(user) => {
                require(by.role >= rules.remove && *user != own)?;
                let target = self.users.get(user)?.clone();
                require(by.role == OWNER || by.role > target.role)?;
                self.take_out(*user);
                if self.lists(*user) {
                    self.barred.insert(target.identity);
                }
            }
            Act::RemoveDevice(device) => {
                require(CAST[*device].user == own && *device != by.device && self.devices.remove(device))?;
                let member = self.users.get_mut(&own)?;
                member.least_serial = member.least_serial.max(CAST[*device].serial + 1);
            }
            Act::Replace { device, genuine } => {
                require(by.role >= MEMBER && *genuine && self.devices.contains(device) && *device != by.device)?;
            }
            Act::Add { device, sound } => {
                require(*sound)?;
                self.add(by, *device)?;
            }
            Act::Role(user, role) => {
                let current = self.users.get(user)?.role;
                require(by.role >= ADMIN && *role <= by.role)?;
                require(*user == own || by.role == OWNER || by.role > current)?;
                self.users.get_mut(user)?.role = *role;
            }
            Act::RevokeUser { device, genuine } => {
                let Actor { user, identity, .. } = CAST[*device];
                require(by.role >= MEMBER && user != own && *genuine && self.lists(user))?;
                require(self.users.get(&user)?.identity == identity)?;
                self.take_out(user);
                self.barred.insert(identity);
            }
            Act::RevokeDevice { device, serial, genuine } => {
                let user = CAST[*device].user;
                require((by.role >= MEMBER || user == own) && *device != by.device && *genuine)?;
                require(self.devices.contains(device) && CAST[*device].serial <= *serial)?;
                if self.devices_of(user) == 1 {
                    self.take_out(user);
                } else {
                    self.devices.remove(device);
                    let member = self.users.get_mut(&user)?;
                    member.least_serial = member.least_serial.max(serial + 1);
                }
            }
        }
        Some(())
    }

    /// Whether the rules list the app of this user.
    fn lists(&self, user: usize) -> bool {
        self.rules.both_apps || CAST.iter().any(|actor| actor.user == user && actor.app == 0)
    }

    fn add(&mut self, by: &Committer<'_>, device: usize) -> Option<()> {
        let Actor { user, identity, serial, .. } = CAST[device];
        let may_add = by.role >= by.before.rules.add;
        if let Some(member) = self.users.get(&user) {
            let further = user == CAST[by.device].user || may_add;
            (further && member.identity == identity && serial >= member.least_serial).then_some(())?;
        } else {
            let barred = self.barred.remove(&identity);
            let pardoned = by.role >= ADMIN && !by.before.users.contains_key(&user);
            (may_add && (!barred || pardoned)).then_some(())?;
            self.users.insert(user, Member { identity, role: MEMBER, least_serial: 0 });
        }
        self.devices.insert(device).then_some(())
    }

    fn devices_of(&self, user: usize) -> usize {
        self.devices.iter().filter(|device| CAST[**device].user == user).count()
    }

    /// The user is gone with all devices.
    pub fn take_out(&mut self, user: usize) {
        self.users.remove(&user);
        self.devices.retain(|device| CAST[*device].user != user);
    }
}
