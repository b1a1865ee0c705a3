//! Logarithms, powers and random numbers that are the same on every machine.
//!
//! The standard library's `log2` and `exp2` may differ in the last bit between systems, and a search that compares
//! such numbers would then return different trees. These use only additions, multiplications and divisions.

/// The binary logarithm of a positive number; minus infinity for zero.
pub(super) fn log2(x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if !x.is_finite() {
        return x;
    }
    let (mut mantissa, mut exponent) = split(x);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    exponent as f64 + 2.0 * std::f64::consts::LOG2_E * s * series(&ODD, square)
}

/// The factors of the even powers in the series of the area tangent, divided by its argument.
const ODD: [f64; 12] = {
    let mut factors = [0.0; 12];
    let mut k = 0;
    while k < factors.len() {
        factors[k] = 1.0 / (2 * k + 1) as f64;
        k += 1;
    }
    factors
};

/// The factors of the series of the exponential function.
const FACTORIAL: [f64; 14] = {
    let mut factors = [1.0; 14];
    let mut k = 1;
    while k < factors.len() {
        factors[k] = factors[k - 1] / k as f64;
        k += 1;
    }
    factors
};

/// The sum of powers of `x` with these factors, an even number of them.
#[inline]
fn series<const N: usize>(factors: &[f64; N], x: f64) -> f64 {
    // Even and odd powers apart, which are two shorter chains of operations.
    let square = x * x;
    let (mut even, mut odd) = (0.0, 0.0);
    for pair in factors.chunks_exact(2).rev() {
        even = even * square + pair[0];
        odd = odd * square + pair[1];
    }
    even + odd * x
}

/// Two to the power `x`; zero far below the range, infinity above.
pub(super) fn exp2(x: f64) -> f64 {
    if x < -1070.0 {
        return 0.0;
    }
    if x > 1023.9 {
        return f64::INFINITY;
    }
    // A cast is towards zero, so that the number is made positive first.
    let whole = (x + 2048.5) as i64 - 2048;
    let power_of_rest = series(&FACTORIAL, (x - whole as f64) * std::f64::consts::LN_2);
    // Two factors, because a single power may lie below the normal range.
    let half = whole / 2;
    power_of_rest * power(half) * power(whole - half)
}

/// Splits a positive finite number into a mantissa in `[1, 2)` and an exponent.
pub(super) fn split(x: f64) -> (f64, i64) {
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * power(64), 64) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    (f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52)), exponent - shift)
}

/// Two to a whole power within the normal range.
pub(super) fn power(exponent: i64) -> f64 {
    f64::from_bits(((exponent.clamp(-1022, 1023) + 1023) as u64) << 52)
}

/// A whole number whose order is that of the float.
pub(super) fn order_key(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The float whose key that is.
pub(super) fn order_value(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
}

/// `log2(2^a + 2^b)`.
pub(super) fn log2_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY || high - low > 60.0 {
        return high;
    }
    high + log2(1.0 + exp2(low - high))
}

/// A table of `log2(1 + 2^-d)` for quick sums of logarithms, good to about five digits.
pub(super) struct LogTable {
    values: Vec<f64>,
}

impl LogTable {
    const STEPS: f64 = 64.0;
    const SPAN: usize = 26;

    /// The table, which is computed once.
    pub(super) fn get() -> &'static LogTable {
        static TABLE: std::sync::OnceLock<LogTable> = std::sync::OnceLock::new();
        TABLE.get_or_init(LogTable::new)
    }

    fn new() -> LogTable {
        let count = Self::SPAN * Self::STEPS as usize + 2;
        LogTable { values: (0..count).map(|k| log2(1.0 + exp2(-(k as f64) / Self::STEPS))).collect() }
    }

    /// `log2(2^a + 2^b)`, nearly.
    #[inline]
    pub(super) fn add(&self, a: f64, b: f64) -> f64 {
        let (high, low) = if a > b { (a, b) } else { (b, a) };
        let place = (high - low) * Self::STEPS;
        // Also false for the NaN of two infinities.
        if place < (Self::SPAN * Self::STEPS as usize) as f64 {
            let whole = place as usize;
            let part = place - whole as f64;
            let (x, y) = (self.values[whole], self.values[whole + 1]);
            high + x + (y - x) * part
        } else {
            high
        }
    }
}

/// Random numbers: xoshiro256++ seeded by splitmix64.
#[derive(Clone)]
pub(super) struct Random {
    state: [u64; 4],
}

impl Random {
    /// A sequence for each pair of a seed and a stream number.
    pub(super) fn new(seed: u64, stream: u64) -> Random {
        let mut z = seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = || {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = z;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        Random { state: [next(), next(), next(), next()] }
    }

    /// The next 64 bits.
    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..n`; `n` is positive.
    #[inline]
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A number in `[0, 1)`.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Minus the natural logarithm of a number in `(0, 1]`: what a rise of energy times the inverse temperature may
    /// be at most to be accepted.
    #[inline]
    pub(super) fn exponential(&mut self) -> f64 {
        Random::exponential_of(self.next())
    }

    /// The same from 64 random bits, the highest ones first.
    #[inline]
    pub(super) fn exponential_of(bits: u64) -> f64 {
        // The position of the first set bit gives the whole part of the binary logarithm, the bits after it the rest.
        let bits = bits | 1;
        let zeros = bits.leading_zeros();
        let mantissa = f64::from_bits(((bits << zeros << 1) >> 12) | (1023 << 52));
        // A quadratic through log2 at 1, sqrt 2 and 2, good to one percent.
        let m = mantissa - 1.0;
        let fraction = m * (1.343_145_75 - 0.343_145_75 * m);
        (f64::from(zeros) + 1.0 - fraction) * std::f64::consts::LN_2
    }

    /// A number of the standard Gumbel distribution.
    pub(super) fn gumbel(&mut self) -> f64 {
        -log2(self.exponential().max(1e-12)) * std::f64::consts::LN_2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_agree_with_the_standard_library() {
        for k in 1..2000 {
            let x = f64::from(k) * 0.37;
            assert!((log2(x) - x.log2()).abs() < 1e-14 * (1.0 + x.log2().abs()));
            let y = f64::from(k) - 1000.0 + 0.123;
            assert!((exp2(y) / y.exp2() - 1.0).abs() < 1e-13 || y > 1020.0);
        }
        assert_eq!(log2(1024.0), 10.0);
        assert_eq!(exp2(10.0), 1024.0);
        assert_eq!(log2(0.0), f64::NEG_INFINITY);
        assert!((log2(f64::MIN_POSITIVE / 4.0) + 1024.0).abs() < 1e-9);
        assert!((log2_add(3.0, 3.0) - 4.0).abs() < 1e-15);
        assert_eq!(log2_add(f64::NEG_INFINITY, 2.0), 2.0);
    }

    #[test]
    fn the_table_is_near_the_sum() {
        let table = LogTable::new();
        for k in 0..400 {
            let d = f64::from(k) * 0.1;
            assert!((table.add(50.0, 50.0 - d) - log2_add(50.0, 50.0 - d)).abs() < 2e-5);
        }
        assert_eq!(table.add(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
    }

    #[test]
    fn random_numbers_have_their_distributions() {
        let mut random = Random::new(1, 2);
        let count = 20_000;
        let mean = (0..count).map(|_| random.exponential()).sum::<f64>() / f64::from(count);
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        let mean = (0..count).map(|_| random.gumbel()).sum::<f64>() / f64::from(count);
        assert!((mean - 0.5772).abs() < 0.04, "{mean}");
        let mut seen = [0; 7];
        (0..7000).for_each(|_| seen[random.below(7)] += 1);
        assert!(seen.iter().all(|&k| (800..1200).contains(&k)));
        assert_ne!(Random::new(1, 0).next(), Random::new(1, 1).next());
    }
}
