//! A Poly1305 tag that holds under two keys: two blocks of a ciphertext are chosen so that both polynomials come out
//! right (Dodis, Grubbs, Ristenpart, Woodage 2018; for this cipher Len, Grubbs, Ristenpart 2021). Arithmetic modulo
//! 2¹³⁰ − 5 by hand, in five limbs of 26 bits.

/// A number modulo 2¹³⁰ − 5, in limbs of 26 bits, each below 2²⁶ but for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field([u64; 5]);

const MASK: u64 = (1 << 26) - 1;

impl Field {
    pub const ZERO: Self = Self([0; 5]);

    /// A little-endian number of at most 17 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut limbs = [0; 5];
        for (i, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                let at = 8 * i + bit;
                if byte >> bit & 1 == 1 {
                    limbs[at / 26] |= 1 << (at % 26);
                }
            }
        }
        Self(limbs).reduced()
    }

    /// The least representative, 17 bytes, little-endian.
    pub fn to_bytes(self) -> [u8; 17] {
        let limbs = self.reduced().0;
        let mut bytes = [0; 17];
        for at in 0..130 {
            bytes[at / 8] |= u8::try_from(limbs[at / 26] >> (at % 26) & 1).unwrap() << (at % 8);
        }
        bytes
    }

    pub fn add(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] + other.0[i])).reduced()
    }

    pub fn sub(self, other: Self) -> Self {
        self.add(other.mul(Self([MASK - 5, MASK, MASK, MASK, MASK]))) // −1 = p − 1
    }

    pub fn mul(self, other: Self) -> Self {
        let mut wide = [0_u64; 5];
        for i in 0..5 {
            for j in 0..5 {
                let times = if i + j >= 5 { 5 } else { 1 };
                wide[(i + j) % 5] += self.0[i] * other.0[j] * times;
            }
        }
        Self(wide).reduced()
    }

    pub fn pow(self, exponent: usize) -> Self {
        (0..exponent).fold(Self([1, 0, 0, 0, 0]), |power, _| power.mul(self))
    }

    /// By Fermat: to the power of p − 2 = 2¹³⁰ − 7.
    pub fn inverse(self) -> Self {
        let mut power = Self([1, 0, 0, 0, 0]);
        for bit in (0..130).rev() {
            power = power.mul(power);
            // In binary …1111 1001.
            if bit > 2 || bit == 0 {
                power = power.mul(self);
            }
        }
        power
    }

    fn reduced(self) -> Self {
        let mut limbs = self.0;
        for _ in 0..3 {
            for i in 0..5 {
                let carry = limbs[i] >> 26;
                limbs[i] &= MASK;
                if i == 4 { limbs[0] += 5 * carry } else { limbs[i + 1] += carry }
            }
        }
        let at_least_p = limbs[0] >= MASK - 4 && limbs[1..].iter().all(|limb| *limb == MASK);
        if at_least_p {
            limbs = [limbs[0] - (MASK - 4), 0, 0, 0, 0];
        }
        Self(limbs)
    }
}

/// The one-time key of ChaCha20-Poly1305: r, clamped, and s.
pub struct OneTime {
    pub r: Field,
    pub s: u128,
}

impl OneTime {
    pub fn new(block: &[u8; 32]) -> Self {
        let mut r: [u8; 16] = block[..16].try_into().unwrap();
        [3, 7, 11, 15].into_iter().for_each(|i| r[i] &= 15);
        [4, 8, 12].into_iter().for_each(|i| r[i] &= 252);
        Self { r: Field::from_bytes(&r), s: u128::from_le_bytes(block[16..].try_into().unwrap()) }
    }

    /// The polynomial of these whole blocks.
    pub fn evaluate(&self, blocks: &[[u8; 16]]) -> Field {
        blocks.iter().fold(Field::ZERO, |sum, block| sum.add(whole(block)).mul(self.r))
    }

    /// What the polynomial must be for this tag.
    pub fn wanted(&self, tag: u128) -> Field {
        Field::from_bytes(&tag.wrapping_sub(self.s).to_le_bytes())
    }
}

/// A block as Poly1305 reads it: with a bit above it.
pub fn whole(block: &[u8; 16]) -> Field {
    Field::from_bytes(&[block.as_slice(), &[1]].concat())
}

/// Two blocks, at these places, that make the tag hold under both keys; none if the solution is no pair of blocks.
pub fn collide(keys: [&OneTime; 2], blocks: &[[u8; 16]], at: [usize; 2], tag: u128) -> Option<[[u8; 16]; 2]> {
    let mut zeroed = blocks.to_vec();
    at.into_iter().for_each(|i| zeroed[i] = [0; 16]);
    let power = |key: &OneTime, i: usize| key.r.pow(blocks.len() - i);
    // What is left for the two blocks to make up, their high bits included.
    let bit = whole(&[0; 16]);
    let rest = keys.map(|key| {
        let bits = at.map(|i| bit.mul(power(key, i)));
        key.wanted(tag).sub(key.evaluate(&zeroed)).add(bits[0]).add(bits[1])
    });
    let [[a, b], [c, d]] = keys.map(|key| at.map(|i| power(key, i)));
    let determinant = a.mul(d).sub(b.mul(c)).inverse();
    let x = rest[0].mul(d).sub(b.mul(rest[1])).mul(determinant);
    let y = a.mul(rest[1]).sub(rest[0].mul(c)).mul(determinant);
    let block = |value: Field| {
        let bytes = value.to_bytes();
        (bytes[16] == 1).then(|| bytes[..16].try_into().unwrap())
    };
    Some([block(x)?, block(y)?])
}

#[test]
fn the_arithmetic_is_that_of_the_field() {
    let minus_one = Field::ZERO.sub(Field::from_bytes(&[1]));
    assert_eq!(minus_one.mul(minus_one), Field::from_bytes(&[1]));
    let (x, y) = (Field::from_bytes(&[0xfe; 16]), Field::from_bytes(&[0x17; 16]));
    assert_eq!(x.mul(x.inverse()), Field::from_bytes(&[1]));
    assert_eq!(x.add(y).mul(x.sub(y)), x.mul(x).sub(y.mul(y)));
    assert_eq!(Field::from_bytes(&x.to_bytes()), x);
}
