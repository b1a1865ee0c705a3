//! Functions of secret numbers: polynomials on a range, and how to evaluate them in few products and levels.
//!
//! A [`Polynomial`] is kept by its Chebyshev coefficients, where rounding does no harm: it is interpolated at Chebyshev
//! nodes, made minimax by Remez's exchange if asked, or exact. [`evaluation`] plans its evaluation after Paterson and
//! Stockmeyer.

pub mod evaluation;
mod remez;

use std::f64::consts::PI;

/// A polynomial on a range, `sum of c[j] T_j(t)` with `t` from -1 to 1 over the range.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    /// Where it stands for its function.
    pub range: (f64, f64),
    /// Its Chebyshev coefficients, the constant first.
    pub coefficients: Vec<f64>,
    /// The largest distance from its function on the range: sampled densely, a little enlarged.
    pub error: f64,
}

/// Why a function has no polynomial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ApproximationError {
    /// The range is empty, or not finite.
    Range,
    /// The function is not finite at this place.
    NotFinite(f64),
    /// A degree past [`MOST_DEGREE`].
    Degree,
}

/// The highest degree.
pub const MOST_DEGREE: usize = 511;

/// Samples between two extrema of the error, of the same degree.
const SAMPLES: usize = 32;

/// Coefficients below this part of the largest value are rounding.
const ROUNDING: f64 = 4e-15;

impl Polynomial {
    /// The polynomial that equals the function at the Chebyshev nodes of the range.
    ///
    /// ```
    /// use einc::slots::approx::Polynomial;
    ///
    /// let sigmoid = Polynomial::interpolate(&|x| 1.0 / (1.0 + f64::exp(-x)), (-8.0, 8.0), 31).unwrap();
    /// assert!(sigmoid.error < 3.1e-6);
    /// assert!((sigmoid.at(1.0) - 0.7310585786).abs() < 3.1e-6);
    /// ```
    ///
    /// # Errors
    /// If the range is empty or not finite, the degree too high, or the function not finite somewhere.
    pub fn interpolate(
        function: &dyn Fn(f64) -> f64,
        range: (f64, f64),
        degree: usize,
    ) -> Result<Polynomial, ApproximationError> {
        let well_formed = range.0.is_finite() && range.1.is_finite() && range.0 < range.1;
        if !well_formed || !(range.1 - range.0).is_finite() {
            return Err(ApproximationError::Range);
        }
        if degree > MOST_DEGREE {
            return Err(ApproximationError::Degree);
        }
        let nodes = degree + 1;
        let angle = |k: usize| PI * (k as f64 + 0.5) / nodes as f64;
        let values: Vec<f64> = (0..nodes).map(|k| function(place(range, angle(k).cos()))).collect();
        if let Some(k) = values.iter().position(|value| !value.is_finite()) {
            return Err(ApproximationError::NotFinite(place(range, angle(k).cos())));
        }
        let largest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let coefficient = |j: usize| {
            let sum: f64 =
                values.iter().enumerate().map(|(k, value)| value * (j as f64 * angle(k)).cos()).sum();
            let coefficient = sum * if j == 0 { 1.0 } else { 2.0 } / nodes as f64;
            // Odd and even functions must stay so: their zero coefficients are left out of the evaluation.
            if coefficient.abs() < ROUNDING * largest { 0.0 } else { coefficient }
        };
        let coefficients = (0..nodes).map(coefficient).collect();
        Polynomial { range, coefficients, error: 0.0 }.measured(function)
    }

    /// The polynomial of that degree whose largest distance from the function on the range is smallest.
    ///
    /// # Errors
    /// As [`Polynomial::interpolate`].
    pub fn minimax(
        function: &dyn Fn(f64) -> f64,
        range: (f64, f64),
        degree: usize,
    ) -> Result<Polynomial, ApproximationError> {
        let start = Polynomial::interpolate(function, range, degree)?;
        let improved = remez::improve(function, &start).and_then(|better| better.measured(function).ok());
        Ok(improved.filter(|better| better.error < start.error).unwrap_or(start))
    }

    /// The polynomial with these coefficients of `1, x, x^2, ..`, exactly but for rounding.
    ///
    /// # Errors
    /// As [`Polynomial::interpolate`].
    pub fn exact(powers: &[f64], range: (f64, f64)) -> Result<Polynomial, ApproximationError> {
        let horner = |x: f64| powers.iter().rev().fold(0.0, |sum, power| sum * x + power);
        let mut polynomial = Polynomial::interpolate(&horner, range, powers.len().saturating_sub(1))?;
        polynomial.error = 0.0;
        Ok(polynomial)
    }

    /// Its value at a place of the range.
    pub fn at(&self, x: f64) -> f64 {
        let (middle, half) = ((self.range.0 + self.range.1) / 2.0, (self.range.1 - self.range.0) / 2.0);
        self.at_unit((x - middle) / half)
    }

    /// Its value where the range is -1 to 1, by Clenshaw's recurrence.
    fn at_unit(&self, t: f64) -> f64 {
        let (mut one, mut two) = (0.0, 0.0);
        for coefficient in self.coefficients.iter().skip(1).rev() {
            (one, two) = (coefficient + 2.0 * t * one - two, one);
        }
        self.coefficients.first().copied().unwrap_or(0.0) + t * one - two
    }

    /// The largest distance from a function beyond the range, by a part of its half: what a stray argument may do.
    pub fn beyond(&self, part: f64) -> f64 {
        self.at_unit(1.0 + part).abs().max(self.at_unit(-1.0 - part).abs())
    }

    fn measured(mut self, function: &dyn Fn(f64) -> f64) -> Result<Polynomial, ApproximationError> {
        let samples = SAMPLES * (self.coefficients.len() + 1);
        let mut error = 0.0f64;
        for k in 0..=samples {
            let t = (PI * k as f64 / samples as f64).cos();
            let distance = (function(place(self.range, t)) - self.at_unit(t)).abs();
            if !distance.is_finite() {
                return Err(ApproximationError::NotFinite(place(self.range, t)));
            }
            error = error.max(distance);
        }
        // Between samples a smooth error rises by less than half a percent; corners are sampled too coarsely for that.
        self.error = error * 1.01;
        Ok(self)
    }
}

/// The place of the range that is at `t` where the range is -1 to 1.
fn place(range: (f64, f64), t: f64) -> f64 {
    let (middle, half) = ((range.0 + range.1) / 2.0, (range.1 - range.0) / 2.0);
    (middle + half * t).clamp(range.0, range.1)
}

#[cfg(test)]
mod tests;
