//! Names of apps and users.

use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::limits;
use crate::wire::string_form;

const SCHEME: &str = "mimi://";
const USERS: &str = "/u/";

/// An app's domain: a DNS name in its one written form, at most 253 bytes.
///
/// Labels of 1 to 63 bytes of `a`–`z`, `0`–`9` and inner hyphens, joined by dots, none at the end; the last is not a
/// number, so that no IP address passes for a name. Internationalised names take their `xn--` form. Ordered by bytes;
/// cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppDomain(Arc<str>);

impl AppDomain {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppDomain {
    type Err = Error;

    /// Fails with `Limit` over 253 bytes and with `Malformed` on anything but the written form above.
    fn from_str(text: &str) -> Result<Self> {
        if text.len() > limits::DOMAIN {
            return Err(Error::limit("a domain is longer than 253 bytes"));
        }
        let numeric_end = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if numeric_end || !text.split('.').all(is_dns_label) {
            return Err(Error::malformed("not a lowercase DNS name"));
        }
        Ok(Self(text.into()))
    }
}

string_form!(AppDomain, limits::DOMAIN);

/// A user: `mimi://app.example/u/name`.
///
/// The name is 1 to 64 bytes of `A`–`Z`, `a`–`z`, `0`–`9`, `.`, `_`, `~`, `-`, which a URI never escapes, so every
/// user has one written form; `.` and `..` are refused, since URI software takes them for steps in a path. Names that
/// differ in case are different. Ordered by the bytes of the URI; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserUri {
    text: Arc<str>,
    domain: AppDomain,
}

impl UserUri {
    /// Most bytes of a URI.
    pub const MAX_LEN: usize = SCHEME.len() + limits::DOMAIN + USERS.len() + limits::USER_NAME;

    /// The user `name` of an app. Fails with `Malformed` or `Limit` if the name is not as described above.
    pub fn new(domain: &AppDomain, name: &str) -> Result<Self> {
        check_name(name)?;
        let text = [SCHEME, domain.as_str(), USERS, name].concat();
        Ok(Self { text: text.into(), domain: domain.clone() })
    }

    /// The app whose user this is.
    #[must_use]
    pub const fn domain(&self) -> &AppDomain {
        &self.domain
    }

    /// The name within the app.
    #[must_use]
    pub fn name(&self) -> &str {
        let start = SCHEME.len() + self.domain.as_str().len() + USERS.len();
        self.text.get(start..).unwrap_or_default()
    }

    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for UserUri {
    type Err = Error;

    /// Fails with `Malformed` or `Limit` on anything but the one written form.
    fn from_str(text: &str) -> Result<Self> {
        let not_a_user = Error::malformed("not a user URI of the form mimi://app.example/u/name");
        let Some((domain, name)) = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once(USERS)) else {
            return Err(not_a_user);
        };
        Self::new(&domain.parse()?, name)
    }
}

string_form!(UserUri, UserUri::MAX_LEN);

fn is_dns_label(label: &str) -> bool {
    let plain = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

fn check_name(name: &str) -> Result<()> {
    if name.len() > limits::USER_NAME {
        return Err(Error::limit("a user name is longer than 64 bytes"));
    }
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-'));
    if !plain || matches!(name, "" | "." | "..") {
        return Err(Error::malformed("a user name is made of letters, digits, and . _ ~ -"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn domains_have_one_written_form() {
        for good in ["a.example", "xn--bcher-kva.example", "localhost", "a-b.c1", "1.example"] {
            assert_eq!(good.parse::<AppDomain>().unwrap().as_str(), good);
        }
        let long_label = format!("{}.example", "a".repeat(64));
        let bad = [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "A.example",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b",
            "bücher.example",
            "127.0.0.1",
            "a/b",
            "a:1",
            &long_label,
        ];
        for bad in bad {
            assert_eq!(bad.parse::<AppDomain>().unwrap_err().kind(), ErrorKind::Malformed, "{bad}");
        }
        let longest = format!("{}a", "a.".repeat(126));
        assert!(longest.len() == 253 && longest.parse::<AppDomain>().is_ok());
        assert_eq!(format!("{longest}a").parse::<AppDomain>().unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn users_have_one_written_form() {
        let domain: AppDomain = "a.example".parse().unwrap();
        let user = UserUri::new(&domain, "Ada.L-1_~").unwrap();
        assert_eq!(user.as_str(), "mimi://a.example/u/Ada.L-1_~");
        assert_eq!((user.domain(), user.name()), (&domain, "Ada.L-1_~"));
        assert_eq!(user.as_str().parse::<UserUri>().unwrap(), user);
        let bad = [
            "",
            "a",
            "mimi://a.example",
            "mimi://a.example/u/",
            "mimi://a.example/u/a/b",
            "mimi://a.example/u/%41",
            "mimi://a.example/u/..",
            "MIMI://a.example/u/a",
            "mimi://A.example/u/a",
            "mimi://a.example/u/a?b",
            "mimi://a.example:1/u/a",
            "mimi:///u/a",
            "mimi://a.example/u/u/a",
            " mimi://a.example/u/a",
        ];
        for bad in bad {
            assert_eq!(bad.parse::<UserUri>().unwrap_err().kind(), ErrorKind::Malformed, "{bad}");
        }
        assert!(UserUri::new(&domain, &"a".repeat(64)).is_ok());
        assert_eq!(UserUri::new(&domain, &"a".repeat(65)).unwrap_err().kind(), ErrorKind::Limit);
        // A name may itself hold what separates it.
        assert!("mimi://a.example/u/-u-".parse::<UserUri>().is_ok());
    }
}
