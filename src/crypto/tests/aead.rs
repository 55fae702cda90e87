//! ChaCha20-Poly1305, its extended-nonce form, and header protection.

use super::{unhex, unhex_array};
use crate::crypto::aead::{TAG, mask_header, open_at_rest, open_in_place, seal_at_rest, seal_in_place};
use crate::error::ErrorKind;

const KEY: &str = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
const AAD: &str = "50515253c0c1c2c3c4c5c6c7";
const TEXT: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
    sunscreen would be it.";

#[test]
fn rfc_8439_section_2_8_2() {
    let key = unhex_array(KEY);
    let nonce = unhex_array("070000004041424344454647");
    let mut buffer = TEXT.to_vec();
    seal_in_place(&key, &nonce, &unhex(AAD), &mut buffer, 0);
    let expected = unhex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
         1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    );
    assert_eq!(buffer, expected);
    open_in_place(&key, &nonce, &unhex(AAD), &mut buffer, 0).unwrap();
    assert_eq!(buffer, TEXT);
}

#[test]
fn xchacha_draft_appendix_a_3_1() {
    let key = unhex_array(KEY);
    let nonce: [u8; 24] = unhex_array("404142434445464748494a4b4c4d4e4f5051525354555657");
    let sealed = seal_at_rest(&key, &nonce, &unhex(AAD), TEXT);
    let expected = unhex(
        "404142434445464748494a4b4c4d4e4f5051525354555657\
         bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
         ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
         21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
    );
    assert_eq!(sealed, expected);
    assert_eq!(open_at_rest(&key, &unhex(AAD), &sealed).unwrap(), TEXT);
}

/// Short texts take another way than long ones: to the same bytes, at every length and on both sides of the border.
#[test]
fn every_length_is_what_chacha20poly1305_makes_of_it() {
    use chacha20poly1305::aead::{Aead, Payload};
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
    let (key, nonce): ([u8; 32], [u8; 12]) = (unhex_array(KEY), [9; 12]);
    let bytes: Vec<u8> = (0..1_300_u32).map(|n| (n * 7 + 3) as u8).collect();
    for (aad, lens) in [(0, 0..1_300), (1, 0..70), (16, 0..70), (80, 900..1_000), (1_024, 0..3), (1_300, 0..3)] {
        for len in lens {
            let (aad, msg) = (&bytes[..aad], &bytes[..len]);
            let mut sealed = msg.to_vec();
            seal_in_place(&key, &nonce, aad, &mut sealed, 0);
            let cipher = ChaCha20Poly1305::new(&key.into());
            assert_eq!(sealed, cipher.encrypt(&nonce.into(), Payload { msg, aad }).unwrap(), "{len}");
            open_in_place(&key, &nonce, aad, &mut sealed, 0).unwrap();
            assert_eq!(sealed, msg);
        }
    }
}

#[test]
fn bytes_before_the_start_are_left_alone() {
    let (key, nonce) = ([1; 32], [2; 12]);
    let mut buffer = b"header text".to_vec();
    seal_in_place(&key, &nonce, b"", &mut buffer, 7);
    assert_eq!(buffer.len(), 11 + TAG);
    assert_eq!(&buffer[..7], b"header ");
    assert_ne!(&buffer[7..11], b"text");
    open_in_place(&key, &nonce, b"", &mut buffer, 7).unwrap();
    assert_eq!(buffer, b"header text");
}

#[test]
fn every_flipped_bit_is_refused() {
    let (key, nonce) = ([1; 32], [2; 12]);
    let mut sealed = b"text".to_vec();
    seal_in_place(&key, &nonce, b"aad", &mut sealed, 0);
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = open_in_place(&key, &nonce, b"aad", &mut altered, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthentic);
    }
    assert!(open_in_place(&key, &nonce, b"aae", &mut sealed.clone(), 0).is_err());
    assert!(open_in_place(&key, &[3; 12], b"aad", &mut sealed.clone(), 0).is_err());
    assert!(open_in_place(&[3; 32], &nonce, b"aad", &mut sealed, 0).is_err());
}

#[test]
fn too_short_is_an_error_and_not_a_panic() {
    for len in 0..TAG {
        let error = open_in_place(&[0; 32], &[0; 12], b"", &mut vec![0; len], 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }
    assert!(open_in_place(&[0; 32], &[0; 12], b"", &mut vec![0; 40], 41).is_err());
    for len in 0..24 + TAG {
        assert!(open_at_rest(&[0; 32], b"", &vec![0; len]).is_err());
    }
}

#[test]
fn rfc_9001_appendix_a_5_header_protection() {
    let key = unhex_array("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4");
    let mut mask = [0; 8];
    mask_header(&key, &unhex_array("5e5cd55c41f69080575d7999c25a5bfb"), &mut mask);
    assert_eq!(mask[..5], unhex("aefefe7d03"));
}

/// RFC 8439, section 2.3.2 and appendix A.1: the block function at a counter and a nonce.
#[test]
fn a_mask_is_the_block_that_the_sample_names() {
    let key = unhex_array("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let mut mask = [0; 8];
    mask_header(&key, &unhex_array("01000000000000090000004a00000000"), &mut mask);
    assert_eq!(mask, unhex_array("10f1e7e4d13b5915"));

    let mut mask = [0; 8];
    mask_header(&[0; 32], &[0; 16], &mut mask);
    assert_eq!(mask, unhex_array("76b8e0ada0f13d90"));
}

/// A stranger chooses the sample, so the last block of the keystream must do as well as any other.
#[test]
fn the_last_block_of_the_keystream_masks_too() {
    let key = [7; 32];
    let mut header = *b"headers!";
    mask_header(&key, &[0xff; 16], &mut header);
    assert_ne!(&header, b"headers!");
    mask_header(&key, &[0xff; 16], &mut header);
    assert_eq!(&header, b"headers!");

    let mut zero_nonce = [0; 16];
    zero_nonce[..4].fill(0xff);
    let mut mask = [0; 8];
    mask_header(&[0; 32], &zero_nonce, &mut mask);
    assert_eq!(mask, reference_block(&[0; 32], &zero_nonce)[..8]);
    let mut mask = [0; 8];
    mask_header(&key, &[0xff; 16], &mut mask);
    assert_eq!(mask, reference_block(&key, &[0xff; 16])[..8]);
}

/// The block function of RFC 8439, section 2.3.1, written out plainly.
fn reference_block(key: &[u8; 32], sample: &[u8; 16]) -> [u8; 64] {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    };
    let initial = [words(b"expand 32-byte k"), words(key), words(sample)].concat();
    let mut state = initial.clone();
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[x] = state[x].wrapping_add(state[y]);
            state[z] = (state[z] ^ state[x]).rotate_left(turn);
        }
    };
    for _ in 0..10 {
        (0..4).for_each(|i| quarter(i, 4 + i, 8 + i, 12 + i));
        (0..4).for_each(|i| quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4));
    }
    let block: Vec<u8> = state.iter().zip(&initial).flat_map(|(a, b)| a.wrapping_add(*b).to_le_bytes()).collect();
    block.try_into().unwrap()
}
