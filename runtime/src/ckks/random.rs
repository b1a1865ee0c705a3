//! Randomness: the system's, or a stream from a seed for tests.

use super::error::{CkksError, Code};
use super::modulus::Modulus;
use super::noise::SIGMA;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use zeroize::Zeroizing;

/// The largest error, beyond six standard deviations.
const TAIL: usize = 24;

/// A source of random numbers: ChaCha20 with a key of the system or of a caller.
#[derive(Debug)]
pub struct Random {
    stream: ChaCha20Rng,
    /// The chance, times 2^63, of an error's magnitude to exceed 0, 1, ..
    exceeds: [u64; TAIL],
}

impl Random {
    /// Keyed by the operating system: for everything but tests.
    pub fn system() -> Result<Random, CkksError> {
        let stream = ChaCha20Rng::try_from_os_rng().map_err(|error| {
            CkksError::new(Code::Entropy, format!("the system gives no random numbers: {error}"))
        })?;
        Ok(Random::from(stream))
    }

    /// The same numbers for the same seed. **For tests**: who knows the seed knows the keys, and a seed that is used
    /// twice gives away the difference of two messages.
    pub fn seeded(seed: u64) -> Random {
        Random::from(ChaCha20Rng::seed_from_u64(seed))
    }

    fn from(stream: ChaCha20Rng) -> Random {
        let weight = |x: usize| (-((x * x) as f64) / (2.0 * SIGMA * SIGMA)).exp();
        let total: f64 = 2.0 * (1..=TAIL).map(weight).sum::<f64>() + 1.0;
        let mut exceeds = [0; TAIL];
        let mut tail = 0.0;
        for x in (0..TAIL).rev() {
            tail += 2.0 * weight(x + 1);
            exceeds[x] = (tail / total * 63f64.exp2()) as u64;
        }
        Random { stream, exceeds }
    }

    /// A seed for a public stream.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.stream.fill_bytes(&mut seed);
        seed
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A polynomial with coefficients -1, 0 and 1, each as likely.
    pub(crate) fn ternary(&mut self, ring: usize) -> Zeroizing<Vec<i8>> {
        let mut secret = Zeroizing::new(Vec::with_capacity(ring));
        while secret.len() < ring {
            let mut bits = self.word();
            for _ in 0..32 {
                // Of four equally likely cases one is thrown away.
                if bits & 3 != 3 && secret.len() < ring {
                    secret.push((bits & 3) as i8 - 1);
                }
                bits >>= 2;
            }
        }
        secret
    }

    /// A polynomial of errors: the discrete Gaussian of deviation [`SIGMA`].
    pub(crate) fn errors(&mut self, ring: usize) -> Zeroizing<Vec<i8>> {
        let mut errors = Zeroizing::new(Vec::with_capacity(ring));
        for _ in 0..ring {
            let word = self.word();
            let (sign, chance) = ((word & 1) as i8, word >> 1);
            let magnitude = self.exceeds.iter().map(|&bound| i8::from(chance < bound)).sum::<i8>();
            errors.push(magnitude * (1 - 2 * sign));
        }
        errors
    }
}

/// Fills a row with the public numbers below `q` that belong to a seed and the number of the row.
pub(crate) fn uniform(seed: [u8; 32], row: u64, modulus: &Modulus, out: &mut [u64]) {
    let mut stream = ChaCha20Rng::from_seed(seed);
    stream.set_stream(row);
    let mask = (1u64 << modulus.bits) - 1;
    let mut bytes = [0; 1024];
    let mut at = bytes.len();
    for x in out {
        *x = loop {
            if at == bytes.len() {
                stream.fill_bytes(&mut bytes);
                at = 0;
            }
            let word = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) & mask;
            at += 8;
            if word < modulus.q {
                break word;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_moments() {
        let mut random = Random::seeded(7);
        let count = 1 << 18;
        let moments = |values: &[i8]| {
            let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
            let square = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64;
            (mean, square)
        };
        let (mean, square) = moments(&random.ternary(count));
        assert!(mean.abs() < 0.008 && (square - 2.0 / 3.0).abs() < 0.006, "{mean} {square}");
        let errors = random.errors(count);
        let (mean, square) = moments(&errors);
        assert!(mean.abs() < 0.03 && (square / (SIGMA * SIGMA) - 1.0).abs() < 0.02, "{mean} {square}");
        // 13 and more: 1.0e-4 of them by the Gaussian.
        let far = errors.iter().filter(|x| x.unsigned_abs() >= 13).count() as f64 / count as f64;
        assert!((0.5e-4..1.7e-4).contains(&far), "{far}");
    }

    #[test]
    fn streams_are_reproducible_and_differ() {
        let modulus = Modulus::new(1_099_511_480_321);
        let row = |seed: u8, row: u64| {
            let mut out = vec![0; 4096];
            uniform([seed; 32], row, &modulus, &mut out);
            out
        };
        assert_eq!(row(1, 2), row(1, 2));
        assert_ne!(row(1, 2), row(1, 3));
        assert_ne!(row(1, 2), row(2, 2));
        let mean = row(1, 0).iter().map(|&x| x as f64 / modulus.q as f64).sum::<f64>() / 4096.0;
        assert!(row(1, 0).iter().all(|&x| x < modulus.q) && (mean - 0.5).abs() < 0.02);
        let (mut a, mut b) = (Random::seeded(1), Random::seeded(1));
        assert_eq!(a.word(), b.word());
        assert_ne!(Random::system().unwrap().word(), Random::system().unwrap().word());
    }
}
