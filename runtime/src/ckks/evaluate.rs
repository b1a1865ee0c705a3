//! The operations on ciphertexts. They trust their operands: [`super::run`] has checked levels, scales, parts and keys.

use super::cipher::Ciphertext;
use super::context::Context;
use super::galois;
use super::keys::SwitchKey;
use super::lanes;
use super::modulus::Modulus;
use super::rows::for_rows;

/// The digits of a value, each known modulo all primes of its level and the special ones.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    pub level: u32,
    /// Digit by digit, row by row; transformed.
    rows: Vec<u64>,
}

impl Digits {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Context {
    /// `into op from` number by number, over the rows of a ciphertext.
    fn zip(&self, into: &mut Ciphertext, from: &[u64], op: impl Fn(&Modulus, &mut [u64], &[u64]) + Sync) {
        let (ring, rows) = (self.ring, into.level as usize + 1);
        into.seed = None;
        for_rows(&mut into.data, ring, &|number, row| {
            // Fewer rows than the ciphertext has are used for its first part, or again for each.
            let at = number * ring % from.len();
            op(&self.tables[number % rows].modulus, row, &from[at..at + ring]);
        });
    }

    /// `a op b` number by number, of one level and number of parts, into memory of that length.
    pub(crate) fn combine(
        &self,
        into: &mut [u64],
        a: &Ciphertext,
        b: &Ciphertext,
        op: fn(&Modulus, &mut [u64], &[u64]),
    ) {
        // So many numbers stay in the nearest cache between the copy and the operation.
        const BLOCK: usize = 1024;
        let (ring, rows) = (self.ring, a.level as usize + 1);
        for_rows(into, ring, &|number, row| {
            let modulus = &self.tables[number % rows].modulus;
            for (block, row) in row.chunks_mut(BLOCK).enumerate() {
                let at = number * ring + block * BLOCK;
                row.copy_from_slice(&a.data[at..at + row.len()]);
                op(modulus, row, &b.data[at..at + row.len()]);
            }
        });
    }

    pub(crate) fn add(&self, into: &mut Ciphertext, other: &Ciphertext) {
        self.zip(into, &other.data, lanes::add);
    }

    pub(crate) fn sub(&self, into: &mut Ciphertext, other: &Ciphertext) {
        self.zip(into, &other.data, lanes::sub);
    }

    pub(crate) fn negate(&self, into: &mut Ciphertext) {
        let rows = into.level as usize + 1;
        into.seed = None;
        for_rows(&mut into.data, self.ring, &|number, row| {
            let modulus = &self.tables[number % rows].modulus;
            row.iter_mut().for_each(|a| *a = modulus.negate(*a));
        });
    }

    /// Adds an encoded vector of the same level and scale.
    pub(crate) fn add_plain(&self, into: &mut Ciphertext, plain: &[u64]) {
        into.seed = None;
        for_rows(&mut into.data[..plain.len()], self.ring, &|prime, row| {
            let modulus = &self.tables[prime].modulus;
            lanes::add(modulus, row, &plain[prime * self.ring..]);
        });
    }

    /// Multiplies by an encoded vector of the same level.
    pub(crate) fn mul_plain(&self, into: &mut Ciphertext, plain: &[u64]) {
        self.zip(into, plain, lanes::mul);
        into.product = true;
    }

    /// Multiplies by a number.
    pub(crate) fn mul_scalar(&self, into: &mut Ciphertext, number: f64) {
        let factor = (number * self.scale(into.level)).round_ties_even();
        self.mul_integer(into, factor);
        into.product = true;
    }

    /// Multiplies by an integer, the scale as it was.
    fn mul_integer(&self, into: &mut Ciphertext, factor: f64) {
        let rows = into.level as usize + 1;
        into.seed = None;
        for_rows(&mut into.data, self.ring, &|number, row| {
            let modulus = &self.tables[number % rows].modulus;
            let factor = modulus.factor(modulus.float(factor));
            lanes::scale(modulus, factor, row);
        });
    }

    /// The product, in 3 parts.
    pub(crate) fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Ciphertext {
        let (ring, rows) = (self.ring, a.level as usize + 1);
        let mut data = vec![0; 3 * rows * ring];
        for_rows(&mut data, ring, &|number, row| {
            let (part, prime) = (number / rows, number % rows);
            let modulus = &self.tables[prime].modulus;
            let a_row = |part: usize| a.row(part, prime, ring);
            let b_row = |part: usize| b.row(part, prime, ring);
            if part == 1 {
                lanes::inner(modulus, &[(a_row(0), b_row(1)), (a_row(1), b_row(0))], row);
            } else {
                row.copy_from_slice(a_row(part / 2));
                lanes::mul(modulus, row, b_row(part / 2));
            }
        });
        Ciphertext { product: true, parts: 3, data, seed: None, ..*a }
    }

    /// A product divided by the prime of its level.
    pub(crate) fn rescale(&self, value: &mut Ciphertext) {
        let level = value.level;
        let data =
            self.last(level).divide(&mut value.data, value.parts as usize, level as usize, &self.tables);
        value.data = data;
        value.level = level - 1;
        value.product = false;
        value.seed = None;
    }

    /// The value at a lower level, in the scale of that level.
    pub(crate) fn drop_to(&self, value: &Ciphertext, level: u32) -> Ciphertext {
        let above = level + 1;
        let rows = (above as usize + 1) * self.ring;
        let data = (0..value.parts as usize).flat_map(|part| &value.part(part)[..rows]).copied().collect();
        let mut dropped = Ciphertext { level: above, data, seed: None, ..*value };
        // One rescale takes it to the level: by a product with what makes up for the difference of the scales.
        let q = self.parameters().primes[above as usize] as f64;
        self.mul_integer(&mut dropped, (self.scale(level) * q / self.scale(value.level)).round_ties_even());
        self.rescale(&mut dropped);
        dropped
    }

    /// The digits of a part of a value.
    pub(crate) fn decompose(&self, part: &[u64], level: u32) -> Digits {
        let (ring, tables) = (self.ring, &self.tables);
        let per_digit = self.parameters().primes_per_digit();
        let (digits, rows_each) = (self.digits_of(level), SwitchKey::rows_each(self, level));
        let mut weighed = part.to_vec();
        for_rows(&mut weighed, ring, &|prime, row| {
            tables[prime].inverse(row);
            self.digit(prime / per_digit, level).weigh(row, prime % per_digit, tables);
        });
        let of_digit = |digit: usize| {
            let end = ((digit + 1) * per_digit).min(level as usize + 1);
            &weighed[digit * per_digit * ring..end * ring]
        };
        let overflows: Vec<Vec<u32>> = (0..digits)
            .map(|digit| {
                let mut overflow = Vec::new();
                self.digit(digit, level).overflow(of_digit(digit), ring, &mut overflow);
                overflow
            })
            .collect();
        let mut rows = vec![0; digits * rows_each * ring];
        for_rows(&mut rows, ring, &|number, row| {
            let (digit, number) = (number / rows_each, number % rows_each);
            let prime = self.prime_of(number, level);
            if number <= level as usize && prime / per_digit == digit {
                row.copy_from_slice(&part[prime * ring..][..ring]);
            } else {
                let converter = self.digit(digit, level);
                converter.convert(of_digit(digit), &overflows[digit], prime, tables, row);
                tables[prime].forward(row);
            }
        });
        Digits { level, rows }
    }

    /// The two parts that digits become by a key.
    pub(crate) fn switch(&self, digits: &Digits, key: &SwitchKey) -> Vec<u64> {
        let (ring, level) = (self.ring, digits.level);
        let rows_each = SwitchKey::rows_each(self, level);
        let key_rows = SwitchKey::rows_each(self, key.level);
        let mut sums = vec![0; 2 * rows_each * ring];
        for_rows(&mut sums, ring, &|number, row| {
            let (part, number) = (number / rows_each, number % rows_each);
            let modulus = &self.tables[self.prime_of(number, level)].modulus;
            // The key has the rows of its own level, then the special ones.
            let key_row = if number <= level as usize { number } else { number + key_rows - rows_each };
            let pair = |d: usize| {
                let digit = &digits.rows[(d * rows_each + number) * ring..][..ring];
                (digit, &key.rows[((2 * d + part) * key_rows + key_row) * ring..][..ring])
            };
            let pairs: Vec<(&[u64], &[u64])> = (0..self.digits_of(level)).map(pair).collect();
            lanes::inner(modulus, &pairs, row);
        });
        self.special.divide(&mut sums, 2, level as usize + 1, &self.tables)
    }

    /// Makes 3 parts 2.
    pub(crate) fn relinearize(&self, value: &mut Ciphertext, key: &SwitchKey) {
        let digits = self.decompose(value.part(2), value.level);
        let switched = self.switch(&digits, key);
        value.parts = 2;
        value.data.truncate(switched.len());
        self.zip(value, &switched, lanes::add);
    }

    /// Applies `X -> X^exponent` to a value whose first part is `first` and whose second part has these digits.
    pub(crate) fn automorphism(
        &self,
        value: &Ciphertext,
        digits: &Digits,
        key: &SwitchKey,
        exponent: usize,
    ) -> Ciphertext {
        let (ring, rows) = (self.ring, digits.level as usize + 1);
        let switched = self.switch(digits, key);
        let permutation = galois::permutation(exponent, ring);
        let first = value.part(0);
        let mut data = vec![0; switched.len()];
        for_rows(&mut data, ring, &|number, row| {
            let switched = &switched[number * ring..][..ring];
            if number < rows {
                let modulus = &self.tables[number].modulus;
                let first = &first[number * ring..][..ring];
                for (out, &from) in row.iter_mut().zip(&permutation) {
                    *out = modulus.add(first[from as usize], switched[from as usize]);
                }
            } else {
                row.iter_mut().zip(&permutation).for_each(|(out, &from)| *out = switched[from as usize]);
            }
        });
        Ciphertext { parts: 2, data, seed: None, ..*value }
    }
}
