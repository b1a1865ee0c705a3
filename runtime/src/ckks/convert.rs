//! From some primes to others, and division by some of the primes.

use super::lanes;
use super::modulus::{Factor, Modulus};
use super::ntt::Ntt;
use super::rows::for_rows;

/// What it takes to know a polynomial, held modulo some primes, modulo others.
///
/// The polynomial is taken as its representative nearest to zero: with `y_i = x_i (Q / q_i)^-1` modulo `q_i`, it is
/// `sum_i y_i Q / q_i - round(sum_i y_i / q_i) Q`. Without the centring, every use would add a multiple of `Q` that is
/// rarely zero.
#[derive(Clone, Debug)]
pub(crate) struct Converter {
    /// The primes it is held modulo, by number.
    pub from: Vec<usize>,
    /// `(Q / q_i)^-1` modulo `q_i`.
    weights: Vec<Factor>,
    /// `1 / q_i`.
    fractions: Vec<f64>,
    /// For each prime of the set: `Q / q_i` modulo it.
    hats: Vec<Vec<u64>>,
    /// For each prime of the set: `2^52 Q / q_i` modulo it.
    lifted: Vec<Vec<u64>>,
    /// For each prime of the set: `-Q` modulo it.
    minus: Vec<u64>,
    /// For each prime of the set that does not divide `Q`: `1 / Q` modulo it.
    inverse: Vec<Factor>,
}

impl Converter {
    pub fn new(from: Vec<usize>, tables: &[Ntt]) -> Converter {
        let prime = |i: usize| tables[i].modulus.q;
        let hat = |i: usize, modulus: &Modulus| {
            let others = from.iter().filter(|&&j| j != i);
            others.fold(1 % modulus.q, |product, &j| modulus.mul(product, prime(j) % modulus.q))
        };
        let weights = from.iter().map(|&i| {
            let modulus = &tables[i].modulus;
            modulus.factor(modulus.invert(hat(i, modulus)))
        });
        let weights = weights.collect();
        let fractions = from.iter().map(|&i| 1.0 / prime(i) as f64).collect();
        let hats: Vec<Vec<u64>> =
            tables.iter().map(|table| from.iter().map(|&i| hat(i, &table.modulus)).collect()).collect();
        let lifted = hats
            .iter()
            .zip(tables)
            .map(|(hats, Ntt { modulus, .. })| {
                hats.iter().map(|&hat| modulus.mul(hat, (1 << 52) % modulus.q)).collect()
            })
            .collect();
        let products: Vec<u64> = tables
            .iter()
            .map(|Ntt { modulus, .. }| {
                from.iter().fold(1, |product, &i| modulus.mul(product, prime(i) % modulus.q))
            })
            .collect();
        let minus =
            tables.iter().zip(&products).map(|(table, &product)| table.modulus.negate(product)).collect();
        let inverse = tables
            .iter()
            .zip(&products)
            .map(|(table, &product)| match product {
                0 => Factor::default(),
                product => table.modulus.factor(table.modulus.invert(product)),
            })
            .collect();
        Converter { from, weights, fractions, hats, lifted, minus, inverse }
    }

    /// From coefficients to the `y_i`, in place; row `k` belongs to prime `from[k]`.
    pub fn weigh(&self, row: &mut [u64], k: usize, tables: &[Ntt]) {
        if self.from.len() == 1 {
            return;
        }
        let (modulus, weight) = (tables[self.from[k]].modulus, self.weights[k]);
        lanes::scale(&modulus, weight, row);
    }

    /// `round(sum_i y_i / q_i)` for each coefficient.
    pub fn overflow(&self, weighed: &[u64], ring: usize, out: &mut Vec<u32>) {
        out.clear();
        if let [fraction] = self.fractions[..] {
            out.extend(weighed.iter().map(|&y| u32::from(y as f64 * fraction > 0.5)));
            return;
        }
        out.extend((0..ring).map(|place| {
            let rows = weighed[place..].iter().step_by(ring);
            rows.zip(&self.fractions).map(|(&y, fraction)| y as f64 * fraction).sum::<f64>().round() as u32
        }));
    }

    /// The coefficients modulo prime `to`.
    pub fn convert(&self, weighed: &[u64], overflow: &[u32], to: usize, tables: &[Ntt], out: &mut [u64]) {
        let (modulus, minus) = (&tables[to].modulus, self.minus[to]);
        match self.from.len() {
            1 => lanes::convert(modulus, minus, weighed, overflow, out),
            _ => {
                let hats = (&self.hats[to][..], &self.lifted[to][..]);
                lanes::convert_many(modulus, hats, minus, weighed, overflow, out);
            }
        }
    }

    /// Divides polynomials by the product of the primes converted from, rounding to the nearest.
    ///
    /// Each of the `count` polynomials of `data` has `kept` rows, of the first primes, and then the rows of the primes
    /// that are divided by; all are transformed. Gives the kept rows. `data` is used up.
    pub fn divide(&self, data: &mut [u64], count: usize, kept: usize, tables: &[Ntt]) -> Vec<u64> {
        let (ring, dropped) = (tables[0].ring, self.from.len());
        let length = (kept + dropped) * ring;
        for polynomial in data.chunks_exact_mut(length) {
            for_rows(&mut polynomial[kept * ring..], ring, &|k, row| {
                tables[self.from[k]].inverse(row);
                self.weigh(row, k, tables);
            });
        }
        let mut out = vec![0; count * kept * ring];
        let overflows: Vec<Vec<u32>> = data
            .chunks_exact(length)
            .map(|polynomial| {
                let mut overflow = Vec::new();
                self.overflow(&polynomial[kept * ring..], ring, &mut overflow);
                overflow
            })
            .collect();
        let data = &*data;
        for_rows(&mut out, ring, &|number, row| {
            let (polynomial, to) = (number / kept, number % kept);
            let rows = &data[polynomial * length..][..length];
            self.convert(&rows[kept * ring..], &overflows[polynomial], to, tables, row);
            tables[to].forward(row);
            let (modulus, inverse) = (&tables[to].modulus, self.inverse[to]);
            lanes::divide(modulus, inverse, &rows[to * ring..], row);
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::{Parameters, Request};

    fn tables() -> Vec<Ntt> {
        let parameters = Parameters::choose(&Request::toy(8, 3)).unwrap();
        parameters.primes.iter().chain(&parameters.special).map(|&q| Ntt::new(q, 8)).collect()
    }

    /// Rows of signed coefficients.
    fn rows(coefficients: &[i128], primes: &[usize], tables: &[Ntt]) -> Vec<u64> {
        let row = |&i: &usize| {
            let q = i128::from(tables[i].modulus.q);
            coefficients.iter().map(move |c| c.rem_euclid(q) as u64)
        };
        primes.iter().flat_map(row).collect()
    }

    #[test]
    fn conversions_are_exact_and_centred() {
        let tables = tables();
        for from in [vec![1], vec![0], vec![1, 2], vec![0, 3], vec![2, 4]] {
            let product: i128 = from.iter().map(|&i| i128::from(tables[i].modulus.q)).product();
            let big = product / 2;
            let coefficients =
                [0, 1, -1, big - (big >> 40), -big + (big >> 40), 12_345_678, -(1 << 35), big / 3];
            let converter = Converter::new(from.clone(), &tables);
            let mut weighed = rows(&coefficients, &from, &tables);
            for (k, row) in weighed.chunks_exact_mut(8).enumerate() {
                converter.weigh(row, k, &tables);
            }
            let mut overflow = Vec::new();
            converter.overflow(&weighed, 8, &mut overflow);
            for to in 0..tables.len() {
                let mut out = vec![0; 8];
                converter.convert(&weighed, &overflow, to, &tables, &mut out);
                assert_eq!(out, rows(&coefficients, &[to], &tables), "{from:?} to {to}");
            }
        }
    }

    #[test]
    fn division_rounds_to_the_nearest() {
        let tables = tables();
        for dropped in [vec![2], vec![2, 3]] {
            let divisor: i128 = dropped.iter().map(|&i| i128::from(tables[i].modulus.q)).product();
            let quotients = [0, 1, -1, 5, -77, 1 << 30, -(1 << 30), 3];
            let rests = [0, 1, -1, divisor / 2 - (1 << 30), -divisor / 2 + (1 << 30), 9, -9, divisor / 3];
            let values: Vec<i128> = quotients.iter().zip(rests).map(|(q, r)| q * divisor + r).collect();
            let primes: Vec<usize> = [0, 1].into_iter().chain(dropped.iter().copied()).collect();
            let mut data = rows(&values, &primes, &tables);
            data.extend_from_within(..);
            for (k, row) in data.chunks_exact_mut(8).enumerate() {
                tables[primes[k % primes.len()]].forward(row);
            }
            let mut out = Converter::new(dropped, &tables).divide(&mut data, 2, 2, &tables);
            for (k, row) in out.chunks_exact_mut(8).enumerate() {
                tables[k % 2].inverse(row);
            }
            let expected = rows(&quotients, &[0, 1, 0, 1], &tables);
            assert_eq!(out, expected);
        }
    }
}
