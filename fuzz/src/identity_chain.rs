//! Key packages made by hand, from the app's root down to the leaf (`docs/protocol.md`, section 3): each statement says
//! what it likes and is signed by whom it likes. Only a whole chain of the right words under the right keys verifies, and
//! whether it is one is known before.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use convivio::identity::{TrustedApps, UnverifiedKeyPackage};
use convivio::{ErrorKind, InitSecret, SealSecret, Secret, VerifyKey};

use super::by_hand::{hash, sign, verify_key};
use super::cbor::{FALSE, Item, TRUE, bytes, number, text};
use super::town::NOW;
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    certificate: Statement,
    credential: Statement,
    device: Statement,
    leaf: Statement,
    /// What the root's domain, the credential's user and the device certificate's user are.
    names: [Name; 3],
    trust: Trust,
    last_resort: bool,
    lives: Lives,
    package_ends: End,
    suites: Suites,
    identity: Binding,
    init_key: Binding,
    /// A bit flipped in the finished package.
    flip: Option<(u16, u8)>,
}

/// Who signed it, under which label, from when and until when it is good.
#[derive(Arbitrary, Debug)]
struct Statement {
    signed: Signed,
    begins: Begin,
    ends: End,
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Signed {
    Right,
    AlsoRight,
    ByOther,
    OtherLabel,
    OtherBody,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Begin {
    Long,
    Now,
    Later,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum End {
    Late,
    Now,
    Over,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Name {
    Usual,
    AlsoUsual,
    OtherDomain,
    OtherUser,
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Trust {
    Right,
    Among,
    OtherRoot,
    OtherDomain,
    Nobody,
}

/// How long a package lives: as long as it may, or a second more.
#[derive(Arbitrary, Debug, PartialEq)]
enum Lives {
    Short,
    Longest,
    TooLong,
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Suites {
    One,
    OneAndMore,
    Others,
    None,
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Binding {
    Right,
    AlsoRight,
    Other,
}

const ROOT: [u8; 32] = [1; 32];
const APP: [u8; 32] = [2; 32];
const IDENTITY: [u8; 32] = [3; 32];
const DEVICE: [u8; 32] = [4; 32];
const STRANGER: [u8; 32] = [9; 32];
const DAY: u64 = 24 * 60 * 60;

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let honest = input.package();
    let mut package = honest.clone();
    if let Some((at, bits)) = input.flip {
        let at = usize::from(at) % package.len();
        package[at] ^= bits;
    }
    let read = UnverifiedKeyPackage::from_bytes(&package);
    if let Ok(read) = &read {
        assert_eq!(read.to_bytes(), package);
    }
    let verified = read.and_then(|read| read.verify(&input.trusted(), NOW));
    let right = input.is_right() && package == honest;
    assert_eq!(verified.is_ok(), right, "{input:?}: {:?}", verified.err());
    if let Ok(verified) = verified {
        assert_eq!(verified.leaf().user().as_str(), written(input.names[1]));
        assert_eq!(verified.leaf().identity_key().as_bytes(), &verify_key(&IDENTITY));
        assert_eq!(verified.last_resort(), input.last_resort);
    } else if let Err(error) = verified {
        use ErrorKind::{Expired, Limit, Malformed, NotAllowed, Unauthentic, Unsupported};
        assert!([Expired, Limit, Malformed, NotAllowed, Unauthentic, Unsupported].contains(&error.kind()), "{error}");
    }
}

impl Input {
    /// Section 3.4, "verifying a leaf", and 3.5.
    fn is_right(&self) -> bool {
        let statements = [&self.certificate, &self.credential, &self.device, &self.leaf];
        let signed = statements.iter().all(|s| matches!(s.signed, Signed::Right | Signed::AlsoRight));
        // A device certificate has no validity.
        let in_time = [&self.certificate, &self.credential, &self.leaf]
            .iter()
            .all(|statement| statement.begins != Begin::Later && statement.ends != End::Over);
        let [root, user, device_user] = self.names.map(written);
        let named = domain_of(user) == domain_of(root) && user == device_user;
        let trusted = match self.trust {
            Trust::Right | Trust::Among => domain_of(root) == "town.example",
            Trust::OtherDomain => domain_of(root) == "other.example",
            Trust::OtherRoot | Trust::Nobody => false,
        };
        let package = self.package_ends != End::Over && self.package_end() <= self.leaf_end();
        let lives = self.leaf_end() <= self.leaf_begin() + self.longest();
        let suite = matches!(self.suites, Suites::One | Suites::OneAndMore);
        let bound = self.identity != Binding::Other && self.init_key != Binding::Other;
        signed && in_time && named && trusted && package && lives && suite && bound
    }

    fn longest(&self) -> u64 {
        if self.last_resort { 7 * DAY } else { 90 * DAY }
    }

    fn leaf_begin(&self) -> u64 {
        begin(self.leaf.begins)
    }

    fn leaf_end(&self) -> u64 {
        match (&self.leaf.ends, &self.lives) {
            (End::Late, Lives::Short) => NOW.0 + 1_000,
            (End::Late, Lives::Longest) => self.leaf_begin() + self.longest(),
            (End::Late, Lives::TooLong) => self.leaf_begin() + self.longest() + 1,
            (ends, _) => end(*ends),
        }
    }

    fn package_end(&self) -> u64 {
        end(self.package_ends)
    }

    fn trusted(&self) -> TrustedApps {
        let mut apps = TrustedApps::new();
        let mut list = |domain: &str, seed: &[u8; 32]| {
            let root = VerifyKey::from_bytes(verify_key(seed)).unwrap();
            apps.insert(domain.parse().unwrap(), root).unwrap();
        };
        match self.trust {
            Trust::Right => list("town.example", &ROOT),
            Trust::Among => {
                list("town.example", &STRANGER);
                list("town.example", &ROOT);
                list("other.example", &STRANGER);
            }
            Trust::OtherRoot => list("town.example", &STRANGER),
            Trust::OtherDomain => list("other.example", &ROOT),
            Trust::Nobody => {}
        }
        apps
    }

    fn package(&self) -> Vec<u8> {
        let (seal, init) = keys();
        let [root, user, device_user] = self.names.map(written);
        let certificate = self
            .certificate
            .make(&ROOT, "sign app key", |validity| vec![text(domain_of(root)), key(&ROOT), key(&APP), validity]);
        let credential =
            self.credential.make(&APP, "sign credential", |validity| vec![text(user), key(&IDENTITY), validity]);
        let device = self.device.make(&IDENTITY, "sign device certificate", |_| {
            vec![text(device_user), bytes(&[6; 16]), key(&DEVICE), number(7_u8), number(NOW.0)]
        });
        let [body, signature] = credential;
        let credential = Item::Array(vec![body, signature, Item::Array(certificate.to_vec())]);
        let identity = Item::Array(vec![credential, Item::Array(device.to_vec())]).encode();
        let mut identity_hash = hash("hash device identity", vec![bytes(&identity)]);
        identity_hash[0] ^= u8::from(self.identity == Binding::Other);
        let mut init_hash = hash("hash init key", vec![bytes(init)]);
        init_hash[0] ^= u8::from(self.init_key == Binding::Other);
        let suites: &[u8] = match self.suites {
            Suites::One => &[1],
            Suites::OneAndMore => &[1, 2, 9],
            Suites::Others => &[2, 9],
            Suites::None => &[],
        };
        let suites = Item::Array(suites.iter().map(|suite| number(*suite)).collect());
        let leaf = self.leaf.make(&DEVICE, "sign leaf", |_| {
            vec![
                number(1_u8),
                number(1_u8),
                bytes(&identity_hash),
                key(&[10; 32]),
                bytes(seal),
                Item::Array(vec![suites.clone(), Item::Array(vec![number(3_u8)])]),
                Item::Array(vec![number(self.leaf_begin()), number(self.leaf_end())]),
                Item::Array(vec![
                    number(0_u8),
                    bytes(&init_hash),
                    if self.last_resort { TRUE } else { FALSE },
                    number(self.package_end()),
                ]),
            ]
        });
        let [body, signature] = leaf;
        let leaf = Item::Array(vec![body, signature, bytes(&identity)]).encode();
        Item::Array(vec![bytes(&leaf), bytes(init)]).encode()
    }
}

impl Statement {
    /// bstr(body), bstr(signature), section 2.3.
    fn make(&self, right: &[u8; 32], label: &str, fields: impl Fn(Item) -> Vec<Item>) -> [Item; 2] {
        let validity = Item::Array(vec![number(begin(self.begins)), number(end(self.ends))]);
        let body = Item::Array(fields(validity)).encode();
        let (seed, label, signed) = match self.signed {
            Signed::Right | Signed::AlsoRight => (right, label, body.clone()),
            Signed::ByOther => (&STRANGER, label, body.clone()),
            Signed::OtherLabel if label == "sign leaf" => (right, "sign credential", body.clone()),
            Signed::OtherLabel => (right, "sign leaf", body.clone()),
            Signed::OtherBody => (right, label, [&body[..], &[0]].concat()),
        };
        [bytes(&body), bytes(&sign(seed, label, vec![bytes(&signed)]))]
    }
}

const USER: &str = "mimi://town.example/u/maria";

fn written(name: Name) -> &'static str {
    match name {
        Name::Usual | Name::AlsoUsual => USER,
        Name::OtherDomain => "mimi://other.example/u/maria",
        Name::OtherUser => "mimi://town.example/u/mallory",
    }
}

fn domain_of(user: &str) -> &str {
    user.trim_start_matches("mimi://").split('/').next().unwrap()
}

fn begin(begins: Begin) -> u64 {
    match begins {
        Begin::Long => NOW.0 - 1_000,
        Begin::Now => NOW.0,
        Begin::Later => NOW.0 + 1,
    }
}

fn end(ends: End) -> u64 {
    match ends {
        End::Late => NOW.0 + 1_000,
        End::Now => NOW.0,
        End::Over => NOW.0 - 1,
    }
}

fn key(seed: &[u8; 32]) -> Item {
    bytes(&verify_key(seed))
}

/// A seal key and an init key.
fn keys() -> &'static (Vec<u8>, Vec<u8>) {
    static KEYS: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let seal = SealSecret::from_secret(Secret::from_bytes(&mut [11; 32]));
        let init = InitSecret::from_secret(Secret::from_bytes(&mut [12; 32]));
        (seal.public().as_bytes().to_vec(), init.public().to_bytes())
    })
}

pub fn seeds() -> Seeds {
    // All zeros are the first choice everywhere: a package that is right.
    let mut seeds = noise(&[100, 160]);
    seeds.push(("honest".to_owned(), vec![0; 120]));
    seeds
}
