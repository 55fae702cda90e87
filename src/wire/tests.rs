//! One value, one encoding: everything else is refused, within bounds and without panics.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Reader, Wire, Writer, labelled};
use crate::error::{ErrorKind, Result};
use crate::ids::GroupId;
use crate::{SealKey, SigningKey, VerifyKey, labels};

/// One of everything that the reader reads.
#[derive(Debug, PartialEq)]
struct Everything {
    number: u64,
    small: u8,
    flag: bool,
    bytes: Vec<u8>,
    fixed: [u8; 4],
    text: String,
    list: Vec<Number>,
    maybe: Option<Number>,
}

#[derive(Clone, Debug, PartialEq)]
struct Number(u32);

impl Wire for Number {
    fn write(&self, w: &mut Writer) {
        w.uint(self.0.into());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.u32().map(Self)
    }
}

impl Wire for Everything {
    fn write(&self, w: &mut Writer) {
        w.array(8).uint(self.number).uint(self.small.into()).bool(self.flag).bytes(&self.bytes).bytes(&self.fixed);
        w.text(&self.text).list(self.list.iter()).option(self.maybe.as_ref());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(8)?;
        Ok(Self {
            number: r.u64()?,
            small: r.u8()?,
            flag: r.bool()?,
            bytes: r.bytes(300)?.to_vec(),
            fixed: r.fixed()?,
            text: r.text(300)?.to_owned(),
            list: r.list(300)?,
            maybe: r.option()?,
        })
    }
}

fn example() -> Everything {
    Everything {
        number: 500,
        small: 24,
        flag: true,
        bytes: vec![1, 2],
        fixed: [3; 4],
        text: "é".to_owned(),
        list: vec![Number(0), Number(70_000)],
        maybe: None,
    }
}

/// What reading one item from `bytes`, all of it, comes to.
fn read<'b, T>(bytes: &'b [u8], read: impl FnOnce(&mut Reader<'b>) -> Result<T>) -> Result<T, ErrorKind> {
    let mut r = Reader::new(bytes);
    let value = read(&mut r).map_err(|error| error.kind())?;
    r.finish().map_err(|error| error.kind())?;
    Ok(value)
}

#[test]
fn the_encoding_is_the_shortest_cbor() {
    let expected =
        b"\x88\x19\x01\xf4\x18\x18\xf5\x42\x01\x02\x44\x03\x03\x03\x03\x62\xc3\xa9\x82\x00\x1a\x00\x01\x11\x70\xf6";
    assert_eq!(example().encode(), expected);
    assert_eq!(Everything::decode(expected).unwrap(), example());
}

/// RFC 8949, section 4.2.1: the shortest form at each boundary.
#[test]
fn numbers_take_their_shortest_form() {
    let cases: [(u64, &[u8]); 9] = [
        (0, b"\x00"),
        (23, b"\x17"),
        (24, b"\x18\x18"),
        (255, b"\x18\xff"),
        (256, b"\x19\x01\x00"),
        (65_535, b"\x19\xff\xff"),
        (65_536, b"\x1a\x00\x01\x00\x00"),
        (u64::from(u32::MAX), b"\x1a\xff\xff\xff\xff"),
        (u64::MAX, b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
    ];
    for (value, bytes) in cases {
        let mut w = Writer::new();
        w.uint(value);
        assert_eq!(w.finish(), bytes);
        assert_eq!(read(bytes, Reader::u64), Ok(value));
        assert_eq!(read(bytes, Reader::u32).ok(), u32::try_from(value).ok());
        assert_eq!(read(bytes, Reader::u16).ok(), u16::try_from(value).ok());
        assert_eq!(read(bytes, Reader::u8).ok(), u8::try_from(value).ok());
    }
}

#[test]
fn every_truncation_is_malformed() {
    let bytes = example().encode();
    for len in 0..bytes.len() {
        assert_eq!(Everything::decode(&bytes[..len]).unwrap_err().kind(), ErrorKind::Malformed, "{len}");
    }
}

#[test]
fn trailing_bytes_are_malformed() {
    for extra in [0x00, 0xf6, 0xff] {
        let mut bytes = example().encode();
        bytes.push(extra);
        assert_eq!(Everything::decode(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
    }
}

#[test]
fn longer_forms_of_a_number_are_malformed() {
    for bytes in [&b"\x18\x05"[..], b"\x19\x00\x05", b"\x1a\x00\x00\x00\x05", b"\x1b\0\0\0\0\0\0\0\x05"] {
        assert_eq!(Number::decode(bytes).unwrap_err().kind(), ErrorKind::Malformed);
    }
    assert_eq!(Number::decode(b"\x05").unwrap(), Number(5));
}

#[test]
fn longer_forms_of_a_length_are_malformed() {
    let id = GroupId::from_bytes([7; 16]);
    assert_eq!(GroupId::decode(&[&[0x50][..], &[7; 16]].concat()).unwrap(), id);
    for head in [&[0x58, 16][..], &[0x59, 0, 16], &[0x5a, 0, 0, 0, 16], &[0x5b, 0, 0, 0, 0, 0, 0, 0, 16]] {
        let bytes = [head, &[7; 16]].concat();
        assert_eq!(GroupId::decode(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
    }
    // The array of 8 as a longer head, and the text in it.
    let bytes = example().encode();
    assert!(Everything::decode(&[&[0x98, 8], &bytes[1..]].concat()).is_err());
    let at = bytes.iter().position(|&byte| byte == 0x62).unwrap();
    assert!(Everything::decode(&[&bytes[..at], &[0x78, 2], &bytes[at + 1..]].concat()).is_err());
}

#[test]
fn indefinite_lengths_are_malformed() {
    let malformed = Err(ErrorKind::Malformed);
    assert_eq!(read(b"\x5f\x42\x01\x02\xff", |r| r.bytes(9).map(<[u8]>::to_vec)), malformed);
    assert_eq!(read(b"\x7f\x61a\xff", |r| r.text(9).map(str::to_owned)), Err(ErrorKind::Malformed));
    assert_eq!(read(b"\x9f\x01\xff", |r| r.list::<Number>(9)), Err(ErrorKind::Malformed));
    assert_eq!(read(b"\x9f\xff", |r| r.array(0)), Err(ErrorKind::Malformed));
    let bytes = example().encode();
    assert!(Everything::decode(&[&[0x9f], &bytes[1..], &[0xff]].concat()).is_err());
}

/// The claim is refused before anything is reserved for it.
#[test]
fn a_length_beyond_the_input_is_an_error() {
    for head in [0x1b_u8, 0x1a] {
        for major in [0x40, 0x60, 0x80] {
            let bytes = [&[head | major][..], &[0xff; 8][..if head == 0x1b { 8 } else { 4 }], &[0]].concat();
            assert!(read(&bytes, |r| r.bytes(usize::MAX).map(<[u8]>::to_vec)).is_err());
            assert!(read(&bytes, |r| r.text(usize::MAX).map(str::to_owned)).is_err());
            assert!(read(&bytes, |r| r.list::<Number>(usize::MAX)).is_err());
            assert!(read(&bytes, |r| r.fixed::<4>()).is_err());
            assert!(read(&bytes, |r| r.array(3)).is_err());
        }
    }
}

/// A list that claims its maximum reserves little before its items arrive.
#[test]
fn a_claimed_list_reserves_little() {
    struct Big(#[expect(dead_code, reason = "only its size matters")] [u8; 1024]);
    impl Wire for Big {
        fn write(&self, w: &mut Writer) {
            w.null();
        }

        fn read(r: &mut Reader<'_>) -> Result<Self> {
            r.u8().map(|byte| Self([byte; 1024]))
        }
    }
    // 2^32 - 1 items of 1 KiB, of which two bytes arrive.
    let result = read(b"\x9a\xff\xff\xff\xff\x00\x00", |r| r.list::<Big>(usize::MAX));
    assert_eq!(result.err(), Some(ErrorKind::Malformed));
}

#[test]
fn bounds_are_inclusive_and_named_limit() {
    assert!(read(b"\x43abc", |r| r.bytes(3).map(<[u8]>::to_vec)).is_ok());
    assert_eq!(read(b"\x43abc", |r| r.bytes(2).map(<[u8]>::to_vec)), Err(ErrorKind::Limit));
    assert!(read(b"\x63abc", |r| r.text(3).map(str::to_owned)).is_ok());
    assert_eq!(read(b"\x63abc", |r| r.text(2).map(str::to_owned)), Err(ErrorKind::Limit));
    assert!(read(b"\x82\x01\x02", |r| r.list::<Number>(2)).is_ok());
    assert_eq!(read(b"\x82\x01\x02", |r| r.list::<Number>(1)), Err(ErrorKind::Limit));
    assert_eq!(read(b"\x80", |r| r.list::<Number>(0)), Ok(vec![]));
}

#[test]
fn fixed_lengths_are_exact() {
    assert_eq!(read(b"\x42ab", |r| r.fixed::<2>()), Ok(*b"ab"));
    for bytes in [&b"\x41a"[..], b"\x43abc", b"\x40", b"\x62ab"] {
        assert_eq!(read(bytes, |r| r.fixed::<2>()), Err(ErrorKind::Malformed));
    }
    assert_eq!(read(b"\x82", |r| r.array(2)), Ok(()));
    assert_eq!(read(b"\x81", |r| r.array(2)), Err(ErrorKind::Malformed));
    assert_eq!(read(b"\x83", |r| r.array(2)), Err(ErrorKind::Malformed));
}

/// One item of each kind of CBOR, tried as each kind that we read.
#[test]
fn other_types_are_malformed() {
    let items: [(&str, &[u8]); 14] = [
        ("number", b"\x01"),
        ("negative", b"\x20"),
        ("bytes", b"\x41\x01"),
        ("text", b"\x61a"),
        ("array", b"\x81\x01"),
        ("map", b"\xa1\x01\x01"),
        ("tag", b"\xc1\x01"),
        ("bool", b"\xf5"),
        ("null", b"\xf6"),
        ("undefined", b"\xf7"),
        ("simple", b"\xf8\xff"),
        ("half", b"\xf9\x3c\x00"),
        ("double", b"\xfb\x3f\xf0\0\0\0\0\0\0"),
        ("break", b"\xff"),
    ];
    for (kind, bytes) in items {
        let verdicts = [
            ("number", read(bytes, Reader::u8).err()),
            ("number", read(bytes, Reader::u64).err()),
            ("bytes", read(bytes, |r| r.bytes(9).map(|_| ())).err()),
            ("text", read(bytes, |r| r.text(9).map(|_| ())).err()),
            ("array", read(bytes, |r| r.list::<Number>(9)).err()),
            ("bool", read(bytes, Reader::bool).err()),
        ];
        for (wanted, error) in verdicts {
            assert_eq!(error, (kind != wanted).then_some(ErrorKind::Malformed), "{kind} as {wanted}");
        }
        let option = read(bytes, Reader::option::<Number>);
        assert_eq!(option.is_ok(), matches!(kind, "number" | "null"), "{kind} as an option");
    }
}

#[test]
fn text_is_utf_8() {
    assert_eq!(read(b"\x61\xff", |r| r.text(9).map(str::to_owned)), Err(ErrorKind::Malformed));
    assert_eq!(read(b"\x63\xed\xa0\x80", |r| r.text(9).map(str::to_owned)), Err(ErrorKind::Malformed));
}

#[test]
fn a_labelled_array_starts_with_its_label() {
    let bytes = labelled(labels::SALT, 2, |w| {
        w.bytes(b"a").null();
    });
    assert_eq!(bytes, b"\x83\x64salt\x41a\xf6");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        (number, small, flag) in any::<(u64, u8, bool)>(),
        bytes in prop::collection::vec(any::<u8>(), 0..=300),
        fixed: [u8; 4],
        text in "\\PC{0,75}",
        list in prop::collection::vec(any::<u32>().prop_map(Number), 0..=300),
        maybe in prop::option::of(any::<u32>().prop_map(Number)),
    ) {
        let value = Everything { number, small, flag, bytes, fixed, text, list, maybe };
        prop_assert_eq!(Everything::decode(&value.encode()).unwrap(), value);
    }

    /// Whatever decodes is the one encoding of its value.
    #[test]
    fn bytes_decode_to_what_encodes_to_them(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(value) = Everything::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes);
        }
    }

    #[test]
    fn one_altered_byte_gives_another_value_or_an_error(at in 0usize..26, byte: u8) {
        let mut bytes = example().encode();
        bytes[at] = byte;
        match Everything::decode(&bytes) {
            Ok(value) => prop_assert_eq!(value.encode(), bytes),
            Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Limit)),
        }
    }
}

/// An app's own structure with our types in it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    group: GroupId,
    seal: SealKey,
    key: VerifyKey,
}

fn row() -> Row {
    let seal = crate::SealSecret::from_secret(crate::Secret::copy_from(&[1; 32]));
    Row {
        group: GroupId::from_bytes([0xfb; 16]),
        seal: seal.public().clone(),
        key: SigningKey::from_seed(&[2; 32]).verify_key().clone(),
    }
}

#[test]
fn json_is_unpadded_base64url_of_the_encoding() {
    let json = serde_json::to_string(&row().group).unwrap();
    assert_eq!(json, "\"UPv7-_v7-_v7-_v7-_v7-_s\"");
    assert_eq!(serde_json::from_str::<GroupId>(&json).unwrap(), row().group);
    let json = serde_json::to_vec(&row()).unwrap();
    assert_eq!(serde_json::from_slice::<Row>(&json).unwrap(), row());
    assert_eq!(serde_json::from_reader::<_, Row>(json.as_slice()).unwrap(), row());
    assert_eq!(serde_json::from_value::<Row>(serde_json::to_value(row()).unwrap()).unwrap(), row());
}

/// `flatten` hands values through a buffer of serde's own.
#[test]
fn json_works_inside_flattened_structures() {
    #[derive(Serialize, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        row: Row,
    }
    let json = serde_json::to_string(&Outer { row: row() }).unwrap();
    assert_eq!(serde_json::from_str::<Outer>(&json).unwrap().row, row());
}

#[test]
fn other_json_is_refused() {
    for json in [
        "\"UPv7-_v7-_v7-_v7-_v7-_s=\"", // padded
        "\"UPv7+/v7+/v7+/v7+/v7+/s\"",  // the other alphabet
        "\"UPv7-_v7-_v7-_v7-_v7-_t\"",  // bits after the last byte
        "\"UPv7-_v7-_v7-_v7-_v7-w\"",   // a byte short
        "\"WBD7-_v7-_v7-_v7-_v7-_v7\"", // a longer head
        "\" UPv7-_v7-_v7-_v7-_v7-_s\"",
        "\"\"",
        "\"é\"",
        "null",
        "7",
        "[80,251]",
        "{}",
    ] {
        assert!(serde_json::from_str::<GroupId>(json).is_err(), "{json}");
    }
    let low_order = format!("\"{}\"", "WCAA".to_owned() + &"A".repeat(41));
    assert!(serde_json::from_str::<SealKey>(&low_order).is_err());
}

#[test]
fn a_binary_format_takes_the_bytes() {
    let bytes = postcard::to_allocvec(&row().group).unwrap();
    assert_eq!(bytes, [&[17, 0x50][..], &[0xfb; 16]].concat());
    assert_eq!(postcard::from_bytes::<GroupId>(&bytes).unwrap(), row().group);
    let bytes = postcard::to_allocvec(&row()).unwrap();
    assert_eq!(postcard::from_bytes::<Row>(&bytes).unwrap(), row());
    for len in 0..bytes.len() {
        assert!(postcard::from_bytes::<Row>(&bytes[..len]).is_err());
    }
    // A length that is claimed and not there, and bytes that are no id.
    assert!(postcard::from_bytes::<GroupId>(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x50]).is_err());
    assert!(postcard::from_bytes::<GroupId>(&[1, 0xf6]).is_err());
}

/// Formats without a byte string give the bytes one by one.
#[test]
fn a_sequence_of_bytes_is_taken_too() {
    use serde::de::value::{Error, SeqDeserializer};
    let text = b"UPv7-_v7-_v7-_v7-_v7-_s";
    let sequence = SeqDeserializer::<_, Error>::new(text.iter().copied());
    assert_eq!(GroupId::deserialize(sequence).unwrap(), row().group);
    let sequence = SeqDeserializer::<_, Error>::new([0xff_u8, 0xfe].into_iter());
    assert!(GroupId::deserialize(sequence).is_err());
}
