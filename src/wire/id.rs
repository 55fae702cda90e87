//! Forms that many types share: fixed-length ids, public encodings, and both for `serde`.
//!
//! `serde` is only for an app's own JSON or database: base64url of the one encoding when human-readable, else bytes.
//! Nothing signed, hashed or stored by this crate goes through it.

/// A public newtype over `N` bytes, with its encoding, hexadecimal `Display` and `serde` forms.
macro_rules! bytes_id {
    ($(#[doc = $doc:literal])+ $name:ident, $len:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Wraps the bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl $crate::wire::Wire for $name {
            fn write(&self, w: &mut $crate::wire::Writer) {
                w.bytes(&self.0);
            }

            fn read(r: &mut $crate::wire::Reader<'_>) -> $crate::error::Result<Self> {
                r.fixed().map(Self)
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        $crate::wire::public_encoding!(serde $name);
    };
}

/// `to_bytes`, `from_bytes` and `serde` for a public type that is [`Wire`](crate::wire::Wire).
macro_rules! public_encoding {
    ($name:ident) => {
        impl $name {
            /// The one encoding: deterministic CBOR (`docs/protocol.md`, section 2.3).
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                $crate::wire::Wire::encode(self)
            }

            /// Reads [`to_bytes`](Self::to_bytes). Fails with `Malformed`, `Limit` or `Unsupported`, and refuses any
            /// bytes but the one encoding.
            pub fn from_bytes(bytes: &[u8]) -> $crate::error::Result<Self> {
                $crate::wire::Wire::decode(bytes)
            }
        }

        $crate::wire::public_encoding!(serde $name);
    };
    (serde $name:ident) => {
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::wire::serialize(self, serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::deserialize(deserializer)
            }
        }
    };
}

/// `Display`, `Debug`, encoding and `serde` of a validated string type with `as_str` and `FromStr`.
macro_rules! string_form {
    ($name:ident, $max:expr) => {
        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl $crate::wire::Wire for $name {
            fn write(&self, w: &mut $crate::wire::Writer) {
                w.text(self.as_str());
            }

            fn read(r: &mut $crate::wire::Reader<'_>) -> $crate::error::Result<Self> {
                r.text($max)?.parse()
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {bytes_id, public_encoding, string_form};
