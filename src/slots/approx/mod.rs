//! Functions of secret numbers: polynomials on a range, and how to evaluate them in few products and levels.
//!
//! A [`Polynomial`] is kept by its Chebyshev coefficients, where rounding does no harm: it is interpolated at Chebyshev
//! nodes, made minimax by Remez's exchange if asked, or exact. How far it is from its function is sampled first, and
//! proved by [`Polynomial::bounded`]. [`evaluation`] plans its evaluation after Paterson and Stockmeyer.

mod emit;
pub mod evaluation;
pub mod function;
mod remez;

pub use emit::polynomial;

use function::Function;
use std::f64::consts::PI;

/// A polynomial on a range, `sum of c[j] T_j(t)` with `t` from -1 to 1 over the range.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    /// Where it stands for its function.
    pub range: (f64, f64),
    /// Its Chebyshev coefficients, the constant first.
    pub coefficients: Vec<f64>,
    /// The largest distance from its function on the range: sampled densely and a little enlarged, or proved by
    /// [`Polynomial::bounded`].
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

/// Places of the finest grid that errors are proved on.
const MOST_POINTS: usize = 1 << 16;

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

    /// The polynomial with a proved bound of its distance from the function, up to rounding of the function's values.
    ///
    /// Between neighbours of a grid of `cos(pi k / n)`, function and polynomial leave their chords by at most
    /// `h^2 / 8` times their second derivatives, so the distance is at most that of the two ends plus both. The grid is
    /// refined until these make up less than a fiftieth.
    ///
    /// # Errors
    /// Where the function is not finite on the range.
    pub fn bounded(mut self, function: &Function) -> Result<Polynomial, ApproximationError> {
        let magnitudes = || self.coefficients.iter().enumerate().map(|(k, c)| (k as f64, c.abs()));
        // Markov's bound at the ends; inside, T_k'' is at most k^2 / (1 - t^2) + k |t| / (1 - t^2)^(3/2).
        let ends: f64 = magnitudes().map(|(k, c)| c * k * k * (k * k - 1.0).max(0.0) / 3.0).sum();
        let [first, second] = [1, 2].map(|power| magnitudes().map(|(k, c)| c * k.powi(power)).sum::<f64>());
        let half = (self.range.1 - self.range.0) / 2.0;
        let middle = self.range.0 + half;
        let mut points = SAMPLES * (self.coefficients.len() + 1);
        loop {
            let mut grid: Vec<f64> = (0..=points).map(|k| -(PI * k as f64 / points as f64).cos()).collect();
            if let Some(kink) = function.kink.map(|kink| (kink - middle) / half)
                && kink.abs() < 1.0
            {
                grid.insert(grid.partition_point(|t| *t < kink), kink);
            }
            let mut sampled = 0.0f64;
            let mut bound = 0.0f64;
            let mut largest = 0.0f64;
            let mut before: Option<(f64, f64, f64)> = None;
            for t in grid {
                let x = match function.kink {
                    Some(kink) if (kink - middle) / half == t => kink,
                    _ => place(self.range, t),
                };
                let value = (function.value)(x);
                let distance = (value - self.at_unit(t)).abs();
                if !distance.is_finite() {
                    return Err(ApproximationError::NotFinite(x));
                }
                (sampled, largest) = (sampled.max(distance), largest.max(value.abs()));
                if let Some((last_t, last_value, last_distance)) = before {
                    let step = t - last_t;
                    let outer = last_t.abs().max(t.abs());
                    let room = 1.0 - outer * outer;
                    let bend =
                        if room > 0.0 { second / room + first * outer * room.powf(-1.5) } else { ends };
                    let curvature = (function.curvature)(place(self.range, last_t), x);
                    if curvature.is_nan() {
                        return Err(ApproximationError::NotFinite(x));
                    }
                    let leaves = match curvature.is_finite() {
                        true => curvature * (step * half).powi(2) / 8.0,
                        false => (value - last_value).abs(),
                    };
                    let ends_of_piece = distance.max(last_distance);
                    bound = bound.max(ends_of_piece + leaves + bend.min(ends) * step * step / 8.0);
                }
                before = Some((t, value, distance));
            }
            if bound <= sampled * 1.02 || points >= MOST_POINTS {
                let sum: f64 = magnitudes().map(|(k, c)| c * (k + 4.0)).sum();
                self.error = bound + f64::EPSILON * (sum + 4.0 * largest);
                return Ok(self);
            }
            points *= 2;
        }
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
