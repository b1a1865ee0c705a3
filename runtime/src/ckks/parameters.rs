//! Parameter sets: the ring, its primes, and whether they are secure.

use super::checksum::checksum;
use super::error::{CkksError, Code};

/// The most bits of a prime.
pub const MAX_PRIME_BITS: u32 = 60;

/// The most primes of a set, special ones included.
const MAX_PRIMES: usize = 128;

/// The largest log2 of all primes together that has 128 bits of classical security in a ring of that degree, with
/// uniform ternary secrets and errors of 3.2: Bossuat et al., "Security Guidelines for Implementing Homomorphic
/// Encryption", 2024 (eprint 2024/463), table 5.2. `None` where the table has no row.
pub fn security_row(ring: u32) -> Option<u32> {
    let row = match ring {
        0x400 => 26,
        0x800 => 53,
        0x1000 => 106,
        0x2000 => 214,
        0x4000 => 430,
        0x8000 => 868,
        0x1_0000 => 1747,
        0x2_0000 => 3523,
        _ => return None,
    };
    Some(row)
}

/// A parameter set of RNS-CKKS.
///
/// A value of level `l` is held modulo the first `l + 1` primes; a rescale at level `l` divides by prime `l`. Each
/// level has one exact scale, the same for every value of the level, see [`Parameters::scales`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// The degree of the ring, a power of two; a ciphertext has half as many slots.
    pub ring: u32,
    /// The primes of the ciphertexts, from level 0 on; each is 1 modulo twice the degree.
    pub primes: Vec<u64>,
    /// The primes that only key switching uses.
    pub special: Vec<u64>,
    /// How many digits key switching splits a value of the highest level into.
    pub digits: u32,
    /// log2 of the scale of the highest level.
    pub scale_bits: u32,
    /// Whether less than 128 bits of security were asked for; every report and file says so.
    pub insecure_toy: bool,
}

/// What is wanted of a parameter set, see [`Parameters::choose`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The degree of the ring.
    pub ring: u32,
    /// How many rescales a fresh ciphertext allows.
    pub levels: u32,
    /// log2 of the scale of the highest level: 40 is usual.
    pub scale_bits: u32,
    /// Bits of the first prime; what it has above the scale is room for the values: 54 is usual.
    pub first_bits: u32,
    /// How many digits key switching uses; `None` for the fewest that are secure.
    pub digits: Option<u32>,
    /// Whether less than 128 bits of security are allowed.
    pub insecure_toy: bool,
}

impl Request {
    /// The usual request: scale 2^40, a first prime of 54 bits, the fewest digits, secure.
    pub fn new(ring: u32, levels: u32) -> Request {
        Request { ring, levels, scale_bits: 40, first_bits: 54, digits: None, insecure_toy: false }
    }

    /// The same with leave to be insecure, for tests in small rings.
    pub fn toy(ring: u32, levels: u32) -> Request {
        Request { insecure_toy: true, ..Request::new(ring, levels) }
    }
}

impl Parameters {
    /// The parameter set that fits a request.
    ///
    /// The prime of level `l` is the one nearest to `s^2 / 2^scale_bits`, where `s` is the exact scale of the level, so
    /// that scales stay within a few parts in 10^5 of the nominal one at any depth. The special primes are 2^5 above
    /// the largest digit where 60 bits a prime allow it, so that key switching adds no noise beyond the division.
    pub fn choose(request: &Request) -> Result<Parameters, CkksError> {
        let Request { ring, levels, scale_bits, first_bits, digits, insecure_toy } = *request;
        let wrong = |message: String| CkksError::new(Code::Parameters, message);
        if !(8..=1 << 17).contains(&ring) || !ring.is_power_of_two() {
            return Err(wrong(format!("the ring has degree {ring}, not a power of two from 8 to 131072")));
        }
        if !(ring.ilog2() + 4..=55).contains(&scale_bits)
            || !(scale_bits..=MAX_PRIME_BITS).contains(&first_bits)
        {
            return Err(wrong(format!(
                "no primes for a scale of {scale_bits} bits and a first prime of {first_bits} bits"
            )));
        }
        if levels as usize + 1 > MAX_PRIMES / 2 {
            return Err(wrong(format!("{levels} levels are more than {}", MAX_PRIMES / 2 - 1)));
        }
        let mut used = Vec::new();
        let mut take = |target: f64| -> Result<u64, CkksError> {
            let prime = nearest_prime(target, ring, &used)
                .ok_or_else(|| wrong(format!("no prime is left near {target:.0} for the ring {ring}")))?;
            used.push(prime);
            Ok(prime)
        };
        let mut scale = (f64::from(scale_bits)).exp2();
        let mut primes = Vec::new();
        for _ in 0..levels {
            let prime = take(scale * scale / f64::from(scale_bits).exp2())?;
            scale = scale * scale / prime as f64;
            primes.push(prime);
        }
        primes.push(take(below(first_bits))?);
        primes.reverse();
        let choices = match digits {
            Some(0) => return Err(wrong("0 digits".into())),
            Some(digits) if digits > levels + 1 => {
                return Err(wrong(format!("{digits} digits of {} primes", levels + 1)));
            }
            Some(digits) => digits..=digits,
            None => 1..=levels + 1,
        };
        let mut refused = None;
        for digits in choices {
            let per_digit = (levels + 1).div_ceil(digits);
            if (levels + 1).div_ceil(per_digit) != digits {
                continue;
            }
            let largest = primes
                .chunks(per_digit as usize)
                .map(|digit| digit.iter().map(|&prime| (prime as f64).log2()).sum::<f64>())
                .fold(0.0, f64::max);
            let bits = largest + 5.0;
            // One prime of 60 bits serves a digit of one prime even where it is less than 2^5 above.
            let count = if per_digit == 1 { 1 } else { (bits / f64::from(MAX_PRIME_BITS)).ceil() as u32 };
            let each = ((bits / f64::from(count)).ceil() as u32).clamp(scale_bits, MAX_PRIME_BITS);
            let mut taken = primes.clone();
            let mut special = Vec::new();
            for _ in 0..count {
                let prime = nearest_prime(below(each), ring, &taken)
                    .ok_or_else(|| wrong(format!("no prime of {each} bits is left for the ring {ring}")))?;
                taken.push(prime);
                special.push(prime);
            }
            let parameters =
                Parameters { ring, primes: primes.clone(), special, digits, scale_bits, insecure_toy: false };
            match parameters.check() {
                Ok(()) => return Ok(parameters),
                Err(error) if error.code == Code::Insecure => {
                    refused.get_or_insert((error, parameters));
                }
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some((_, parameters)) if insecure_toy => {
                let parameters = Parameters { insecure_toy: true, ..parameters };
                parameters.check().map(|()| parameters)
            }
            Some((error, _)) => Err(error),
            None => Err(wrong(format!("{} primes do not split into those digits", levels + 1))),
        }
    }

    /// Whether these numbers are a parameter set, and secure or marked as not.
    pub fn check(&self) -> Result<(), CkksError> {
        let wrong = |message: String| Err(CkksError::new(Code::Parameters, message));
        let ring = self.ring;
        if !(8..=1 << 17).contains(&ring) || !ring.is_power_of_two() {
            return wrong(format!("the ring has degree {ring}, not a power of two from 8 to 131072"));
        }
        let total = self.primes.len().saturating_add(self.special.len());
        if self.primes.is_empty() || self.special.is_empty() || total > MAX_PRIMES {
            return wrong(format!(
                "{} primes and {} special ones; there must be some of each, at most {MAX_PRIMES}",
                self.primes.len(),
                self.special.len()
            ));
        }
        let mut seen = Vec::new();
        for &prime in self.primes.iter().chain(&self.special) {
            if prime >> MAX_PRIME_BITS != 0 || prime < 1 << 16 || prime % (2 * u64::from(ring)) != 1 {
                return wrong(format!(
                    "{prime} is not 1 modulo {} between 2^16 and 2^60",
                    2 * u64::from(ring)
                ));
            }
            if !is_prime(prime) {
                return wrong(format!("{prime} is not prime"));
            }
            if seen.contains(&prime) {
                return wrong(format!("the prime {prime} comes twice"));
            }
            seen.push(prime);
        }
        let count = self.primes.len() as u32;
        let digits_fit =
            (1..=count).contains(&self.digits) && count.div_ceil(count.div_ceil(self.digits)) == self.digits;
        if !digits_fit {
            return wrong(format!("{count} primes do not split into {} digits", self.digits));
        }
        if !(16..=55).contains(&self.scale_bits) {
            return wrong(format!("a scale of 2^{} is not between 2^16 and 2^55", self.scale_bits));
        }
        let nominal = f64::from(self.scale_bits).exp2();
        if let Some(scale) = self.scales().iter().find(|&&scale| !(0.5..=2.0).contains(&(scale / nominal))) {
            return wrong(format!("the scale drifts to 2^{:.2} from 2^{}", scale.log2(), self.scale_bits));
        }
        if self.primes[0] as f64 <= nominal {
            return wrong(format!("the first prime {} is not above the scale", self.primes[0]));
        }
        let (log_qp, row) = (self.log_qp(), security_row(ring));
        if !self.insecure_toy && row.is_none_or(|row| log_qp > f64::from(row)) {
            let message = match row {
                Some(row) => format!(
                    "the primes have {log_qp:.1} bits together, of which a ring of degree {ring} secures {row}"
                ),
                None => format!("a ring of degree {ring} is not secure with any primes"),
            };
            return Err(CkksError::new(Code::Insecure, message));
        }
        Ok(())
    }

    /// How many slots a ciphertext has.
    pub fn slots(&self) -> u32 {
        self.ring / 2
    }

    /// The level of a fresh ciphertext.
    pub fn levels(&self) -> u32 {
        self.primes.len() as u32 - 1
    }

    /// How many primes a digit has; the last may have fewer.
    pub fn primes_per_digit(&self) -> usize {
        self.primes.len().div_ceil(self.digits as usize)
    }

    /// The exact scale of each level, from level 0 on: `2^scale_bits` at the top, then `s^2 / prime` of the level above.
    pub fn scales(&self) -> Vec<f64> {
        let mut scale = f64::from(self.scale_bits).exp2();
        let mut scales = vec![scale];
        for &prime in self.primes[1..].iter().rev() {
            scale = scale * scale / prime as f64;
            scales.push(scale);
        }
        scales.reverse();
        scales
    }

    /// log2 of the product of all primes, special ones included: what security depends on.
    pub fn log_qp(&self) -> f64 {
        self.primes.iter().chain(&self.special).map(|&prime| (prime as f64).log2()).sum()
    }

    /// Names the parameter set in files.
    pub fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for word in [self.ring, self.digits, self.scale_bits, u32::from(self.insecure_toy)] {
            bytes.extend(word.to_le_bytes());
        }
        for primes in [&self.primes, &self.special] {
            bytes.extend((primes.len() as u32).to_le_bytes());
            primes.iter().for_each(|prime| bytes.extend(prime.to_le_bytes()));
        }
        checksum(&bytes)
    }

    /// Bytes of a ciphertext of that level and number of parts.
    pub fn ciphertext_bytes(&self, level: u32, parts: u32) -> u64 {
        u64::from(parts) * u64::from(level + 1) * u64::from(self.ring) * 8
    }

    /// Bytes in memory of a key that switches values up to that level.
    pub fn key_bytes(&self, level: u32) -> u64 {
        let digits = (level as usize + 1).div_ceil(self.primes_per_digit()) as u64;
        2 * digits * (u64::from(level) + 1 + self.special.len() as u64) * u64::from(self.ring) * 8
    }
}

/// The largest number of that many bits that a float can aim at.
fn below(bits: u32) -> f64 {
    ((1u64 << bits) - (1 << (bits / 2))) as f64
}

/// The unused prime that is 1 modulo twice the degree and nearest to `target`.
fn nearest_prime(target: f64, ring: u32, used: &[u64]) -> Option<u64> {
    let step = 2 * u64::from(ring);
    let first = (target / step as f64).round() as u64 * step + 1;
    let fits = |candidate: u64| {
        candidate >> MAX_PRIME_BITS == 0
            && candidate > 1 << 16
            && !used.contains(&candidate)
            && is_prime(candidate)
    };
    (0..100_000u64).find_map(|k| {
        let [down, up] = [first.checked_sub(k * step), first.checked_add(k * step)];
        let mut near: Vec<u64> = [down, up].into_iter().flatten().filter(|&c| fits(c)).collect();
        near.sort_by(|a, b| (*a as f64 - target).abs().total_cmp(&(*b as f64 - target).abs()));
        near.first().copied()
    })
}

/// Miller-Rabin with the bases that decide every 64-bit number.
pub(crate) fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 || BASES.iter().any(|&base| n.is_multiple_of(base)) {
        return BASES.contains(&n);
    }
    let twos = (n - 1).trailing_zeros();
    BASES.iter().all(|&base| {
        let mut power = power_mod(base, (n - 1) >> twos, n);
        power == 1
            || (0..twos).any(|_| {
                let found = power == n - 1;
                power = mul_mod(power, power, n);
                found
            })
    })
}

/// `a * b` modulo `n`.
pub(crate) fn mul_mod(a: u64, b: u64, n: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(n)) as u64
}

/// `base` to the power of `exponent` modulo `n`.
pub(crate) fn power_mod(base: u64, mut exponent: u64, n: u64) -> u64 {
    let (mut power, mut square) = (1 % n, base % n);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = mul_mod(power, square, n);
        }
        square = mul_mod(square, square, n);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_below_a_thousand_and_strong_pseudoprimes() {
        let sieve = |n: u64| n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        assert!((0..1000).all(|n| is_prime(n) == sieve(n)));
        assert!(!is_prime(3_215_031_751) && !is_prime(341_550_071_728_321) && !is_prime(u64::MAX));
        assert!(is_prime(18_446_744_073_709_551_557));
    }

    #[test]
    fn chosen_sets_fill_the_table_and_no_more() {
        for (ring, levels) in [(1 << 13, 2), (1 << 14, 7), (1 << 15, 18), (1 << 16, 40)] {
            let parameters = Parameters::choose(&Request::new(ring, levels)).unwrap();
            assert_eq!(parameters.levels(), levels);
            assert!(parameters.log_qp() <= f64::from(security_row(ring).unwrap()), "{parameters:?}");
            let error = Parameters::choose(&Request::new(ring, levels + 1)).unwrap_err();
            assert_eq!(error.code, Code::Insecure, "{ring}: {error}");
        }
        assert_eq!(Parameters::choose(&Request::new(64, 1)).unwrap_err().code, Code::Insecure);
        assert!(Parameters::choose(&Request::toy(64, 1)).unwrap().insecure_toy);
        // Leave that is not needed is not taken.
        assert!(!Parameters::choose(&Request::toy(1 << 13, 2)).unwrap().insecure_toy);
    }

    #[test]
    fn scales_hardly_drift() {
        for (ring, levels, most) in [(1 << 15, 18, 2e-5), (1 << 16, 40, 1e-4)] {
            let parameters = Parameters::choose(&Request::new(ring, levels)).unwrap();
            let drift =
                parameters.scales().iter().map(|s| (s / 40f64.exp2() - 1.0).abs()).fold(0.0, f64::max);
            assert!(drift < most, "{ring}: {drift}");
        }
    }

    #[test]
    fn special_primes_are_above_every_digit() {
        for levels in 1..=14 {
            let parameters = Parameters::choose(&Request::new(1 << 15, levels)).unwrap();
            let special: f64 = parameters.special.iter().map(|&p| (p as f64).log2()).sum();
            for digit in parameters.primes.chunks(parameters.primes_per_digit()) {
                let bits: f64 = digit.iter().map(|&p| (p as f64).log2()).sum();
                assert!(special > bits + 4.9, "{levels}: {parameters:?}");
            }
        }
    }

    #[test]
    fn wrong_sets_are_refused() {
        let good = Parameters::choose(&Request::toy(64, 3)).unwrap();
        let code = |change: &dyn Fn(&mut Parameters)| {
            let mut wrong = good.clone();
            change(&mut wrong);
            wrong.check().map_err(|error| error.code)
        };
        assert_eq!(code(&|_| ()), Ok(()));
        assert_eq!(code(&|p| p.insecure_toy = false), Err(Code::Insecure));
        let changes: [&dyn Fn(&mut Parameters); 10] = [
            &|p| p.ring = 63,
            &|p| p.ring = 0,
            &|p| p.primes[1] = p.primes[2],
            &|p| p.primes[1] += 128,
            &|p| p.primes[1] = u64::MAX,
            &|p| p.primes.clear(),
            &|p| p.special.clear(),
            &|p| p.digits = 0,
            &|p| p.digits = 5,
            &|p| p.scale_bits = 47,
        ];
        for change in changes {
            assert_eq!(code(change), Err(Code::Parameters));
        }
        for request in [
            Request { levels: u32::MAX, ..Request::new(1 << 13, 1) },
            Request { scale_bits: 70, ..Request::new(1 << 13, 1) },
            Request { digits: Some(9), ..Request::new(1 << 13, 1) },
            Request { ring: 1000, ..Request::new(1 << 13, 1) },
        ] {
            assert!(Parameters::choose(&request).is_err());
        }
    }
}
