//! A parameter set made ready for computing, and plaintexts in it.

use super::convert::Converter;
use super::encode::Encoder;
use super::error::{CkksError, Code};
use super::ntt::Ntt;
use super::parameters::Parameters;
use super::rows::for_rows;

/// A parameter set made ready for computing: transforms, conversions, scales.
#[derive(Clone, Debug)]
pub struct Context {
    parameters: Parameters,
    hash: u64,
    scales: Vec<f64>,
    pub(crate) ring: usize,
    /// The transforms: of the primes by level, then of the special ones.
    pub(crate) tables: Vec<Ntt>,
    pub(crate) encoder: Encoder,
    /// For each digit, by how many of its primes are there, less 1.
    digits: Vec<Vec<Converter>>,
    /// Division by the special primes.
    pub(crate) special: Converter,
    /// By level, from 1 on: division by the prime of the level.
    last: Vec<Converter>,
}

impl Context {
    /// Makes a parameter set ready, after a check.
    pub fn new(parameters: &Parameters) -> Result<Context, CkksError> {
        parameters.check()?;
        let ring = parameters.ring as usize;
        let primes = parameters.primes.iter().chain(&parameters.special);
        let tables: Vec<Ntt> = primes.map(|&q| Ntt::new(q, ring)).collect();
        let levels = parameters.primes.len();
        let per_digit = parameters.primes_per_digit();
        let digit = |first: usize| {
            let end = (first + per_digit).min(levels);
            (first + 1..=end).map(|end| Converter::new((first..end).collect(), &tables)).collect()
        };
        let digits = (0..levels).step_by(per_digit).map(digit).collect();
        let special = Converter::new((levels..tables.len()).collect(), &tables);
        let last = (1..levels).map(|level| Converter::new(vec![level], &tables)).collect();
        Ok(Context {
            parameters: parameters.clone(),
            hash: parameters.hash(),
            scales: parameters.scales(),
            ring,
            encoder: Encoder::new(ring),
            digits,
            special,
            last,
            tables,
        })
    }

    /// The parameter set.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What names the parameter set in files.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.ring / 2
    }

    /// The exact scale of a level.
    pub(crate) fn scale(&self, level: u32) -> f64 {
        self.scales[level as usize]
    }

    /// The scale of a value: that of its level, or the square for a product.
    pub(crate) fn scale_of(&self, level: u32, product: bool) -> f64 {
        let scale = self.scale(level);
        if product { scale * scale } else { scale }
    }

    /// How many special primes there are.
    pub(crate) fn specials(&self) -> usize {
        self.parameters.special.len()
    }

    /// The number of the prime of a row, where rows are those of a level and then the special ones.
    pub(crate) fn prime_of(&self, row: usize, level: u32) -> usize {
        let rows = level as usize + 1;
        if row < rows { row } else { self.parameters.primes.len() + row - rows }
    }

    /// How many digits a value of that level has.
    pub(crate) fn digits_of(&self, level: u32) -> usize {
        (level as usize + 1).div_ceil(self.parameters.primes_per_digit())
    }

    /// The conversion from a digit of a value of that level.
    pub(crate) fn digit(&self, digit: usize, level: u32) -> &Converter {
        let first = digit * self.parameters.primes_per_digit();
        let count = self.parameters.primes_per_digit().min(level as usize + 1 - first);
        &self.digits[digit][count - 1]
    }

    /// Division by the prime of a level, 1 or more.
    pub(crate) fn last(&self, level: u32) -> &Converter {
        &self.last[level as usize - 1]
    }

    /// The transformed polynomial of a vector, at a level and scale.
    pub(crate) fn encode(&self, values: &[f64], level: u32, scale: f64) -> Result<Vec<u64>, CkksError> {
        if values.len() != self.slots() {
            let message = format!("{} numbers for {} slots", values.len(), self.slots());
            return Err(CkksError::new(Code::Input, message));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(CkksError::new(Code::Range, format!("{value} cannot be encoded")));
        }
        let coefficients = self.encoder.encode(values, scale);
        self.to_rows(&coefficients, level)
    }

    /// The transformed polynomial of one number in every slot: a constant, which transforms to itself everywhere.
    pub(crate) fn constant(&self, value: f64, level: u32, scale: f64) -> Result<Vec<u64>, CkksError> {
        let coefficient = value * scale;
        self.check_range(coefficient.abs(), level)?;
        let mut rows = vec![0; (level as usize + 1) * self.ring];
        for (row, table) in rows.chunks_exact_mut(self.ring).zip(&self.tables) {
            row.fill(table.modulus.float(coefficient.round_ties_even()));
        }
        Ok(rows)
    }

    /// Refuses coefficients that the primes of a level cannot hold.
    fn check_range(&self, largest: f64, level: u32) -> Result<(), CkksError> {
        let room: f64 = self.parameters.primes[..=level as usize].iter().map(|&q| (q as f64).log2()).sum();
        if !largest.is_finite() || largest.max(1.0).log2() >= room - 1.0 {
            let message = format!(
                "numbers scaled to 2^{:.1} do not fit the {room:.0} bits of level {level}",
                largest.log2()
            );
            return Err(CkksError::new(Code::Range, message));
        }
        Ok(())
    }

    /// Rounds coefficients and transforms them modulo the primes of a level.
    fn to_rows(&self, coefficients: &[f64], level: u32) -> Result<Vec<u64>, CkksError> {
        let largest = coefficients.iter().fold(0f64, |most, c| most.max(c.abs()));
        self.check_range(largest, level)?;
        let mut rows = vec![0; (level as usize + 1) * self.ring];
        let small = largest < 4e18;
        for_rows(&mut rows, self.ring, &|prime, row| {
            let modulus = &self.tables[prime].modulus;
            for (out, c) in row.iter_mut().zip(coefficients) {
                let c = c.round_ties_even();
                *out = if small { modulus.signed(c as i64) } else { modulus.float(c) };
            }
            self.tables[prime].forward(row);
        });
        Ok(rows)
    }

    /// The coefficients of a transformed polynomial of that level, which are small, as floats. `rows` is used up.
    ///
    /// Two primes are looked at, so that values that would not fit the first one are seen where there is a second.
    pub(crate) fn coefficients(&self, rows: &mut [u64], level: u32) -> Vec<f64> {
        let used = (level as usize + 1).min(2);
        for_rows(&mut rows[..used * self.ring], self.ring, &|prime, row| self.tables[prime].inverse(row));
        let first = &self.tables[0].modulus;
        if used == 1 {
            let half = first.q / 2;
            return rows[..self.ring]
                .iter()
                .map(|&x| if x > half { -((first.q - x) as f64) } else { x as f64 })
                .collect();
        }
        // x = x0 + q0 * ((x1 - x0) / q0 mod q1), centred.
        let second = &self.tables[1].modulus;
        let inverse = second.factor(second.invert(first.q));
        let (low, high) = rows.split_at(self.ring);
        let whole = i128::from(first.q) * i128::from(second.q);
        low.iter()
            .zip(high)
            .map(|(&x0, &x1)| {
                let step = second.scale(x1 + second.q - second.reduce(x0), inverse);
                let x = i128::from(x0) + i128::from(first.q) * i128::from(step);
                (if x > whole / 2 { x - whole } else { x }) as f64
            })
            .collect()
    }

    /// Rows of a small signed polynomial, transformed, modulo the primes of a level and, if asked for, the special ones.
    pub(crate) fn small(&self, polynomial: &[i8], level: u32, special: bool) -> Vec<u64> {
        let count = level as usize + 1 + if special { self.specials() } else { 0 };
        let mut rows = vec![0; count * self.ring];
        for_rows(&mut rows, self.ring, &|number, row| {
            let table = &self.tables[self.prime_of(number, level)];
            for (out, &x) in row.iter_mut().zip(polynomial) {
                *out = table.modulus.signed(i64::from(x));
            }
            table.forward(row);
        });
        rows
    }
}
