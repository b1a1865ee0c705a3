//! How large the noise of operations is.
//!
//! Root mean squares per slot, in units of 1 / scale; the largest slot has four to eight times as much. Products add
//! `|a| e_b + |b| e_a` to their own.

use super::parameters::Parameters;

/// The standard deviation of errors.
pub const SIGMA: f64 = 3.2;

/// Of a fresh ciphertext.
pub fn fresh(parameters: &Parameters) -> f64 {
    (f64::from(parameters.ring) / 2.0).sqrt() * SIGMA
}

/// Of rounding a vector, or an integer multiple of the scale, to a plaintext.
pub fn encoding(parameters: &Parameters) -> f64 {
    (f64::from(parameters.ring) / 24.0).sqrt()
}

/// Of a rescale, and of the division that ends a key switch, of so many parts.
///
/// What is rounded off the second part is multiplied by the secret, off a third part by its square.
pub fn rescale(parameters: &Parameters, parts: u32) -> f64 {
    let ring = f64::from(parameters.ring);
    if parts > 2 { (ring.powi(2) / 36.0 + ring.powi(3) / 54.0).sqrt() } else { ring / 6.0 }
}

/// Of a rotation, conjugation or relinearization at a level.
pub fn key_switch(parameters: &Parameters, level: u32) -> f64 {
    let ring = f64::from(parameters.ring);
    let special: f64 = parameters.special.iter().map(|&p| p as f64).product();
    let digits = parameters.primes[..=level as usize].chunks(parameters.primes_per_digit());
    let squares: f64 =
        digits.map(|digit| (digit.iter().map(|&q| q as f64).product::<f64>() / special).powi(2)).sum();
    // A slot is a sum of N / 2 .. N coefficients, and each product of N terms of deviation Q_d / sqrt(12) and sigma.
    let switching = ring / 2.0 * ring * SIGMA * SIGMA / 12.0 * squares;
    (switching + rescale(parameters, 2).powi(2)).sqrt()
}
