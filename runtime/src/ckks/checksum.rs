//! CRC-64/XZ, which finds damage by accident: any burst of up to 64 bits. It is no defence against forgery.

/// Tables for eight bytes at a time: `TABLES[k][byte]` is the remainder of that byte followed by `k` zero bytes.
const TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0xC96C_5795_D787_0F42 } else { rest >> 1 };
            bit += 1;
        }
        tables[0][byte] = rest;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// A checksum of bytes that come piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct Checksum(u64);

impl Checksum {
    /// Of nothing yet.
    pub fn new() -> Checksum {
        Checksum(!0)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = self.0 ^ u64::from_le_bytes(*word);
            self.0 = (0..8).fold(0, |sum, k| sum ^ TABLES[7 - k][(word >> (8 * k) & 0xff) as usize]);
        }
        for &byte in rest {
            self.0 = self.0 >> 8 ^ TABLES[0][((self.0 ^ u64::from(byte)) & 0xff) as usize];
        }
    }

    /// The checksum of all the bytes so far.
    pub fn value(self) -> u64 {
        !self.0
    }
}

impl Default for Checksum {
    fn default() -> Checksum {
        Checksum::new()
    }
}

/// The checksum of some bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Checksum::new();
    sum.update(bytes);
    sum.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_64_xz() {
        assert_eq!(checksum(b"123456789"), 0x995D_C9BB_DF19_39FA);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn pieces_add_up_and_each_flipped_bit_shows() {
        let mut bytes: Vec<u8> = (0..100u8).map(|k| k.wrapping_mul(37)).collect();
        let whole = checksum(&bytes);
        for cut in 0..bytes.len() {
            let mut sum = Checksum::new();
            sum.update(&bytes[..cut]);
            sum.update(&bytes[cut..]);
            assert_eq!(sum.value(), whole);
        }
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&bytes), whole);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
