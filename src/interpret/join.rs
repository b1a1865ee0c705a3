//! Reductions: how many values become one.

use super::value::{
    add, boolean, complex, greatest, is_nan, least, less, multiply, number, real, truth, zero,
};
use crate::expr::ReduceOp;
use einc_runtime::{DType, Scalar};

/// A sum of reals with the rounding error of every step kept and added at the end (Neumaier, 1974).
#[derive(Clone, Copy, Default)]
pub struct Compensated {
    sum: f64,
    error: f64,
}

impl Compensated {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.error +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn total(self) -> f64 {
        // Once the sum is infinite or not a number, the error is not a number.
        if self.sum.is_finite() { self.sum + self.error } else { self.sum }
    }
}

/// A running sum.
#[derive(Clone, Copy)]
pub enum Total {
    /// Of integers of that dtype.
    Int(Scalar, DType),
    /// Of reals or complex values: real and imaginary part.
    Wide([Compensated; 2], bool),
}

impl Total {
    /// The empty sum.
    pub fn new(dtype: DType) -> Total {
        if dtype.is_float() || dtype.is_complex() {
            Total::Wide(Default::default(), dtype.is_complex())
        } else {
            Total::Int(zero(dtype), dtype)
        }
    }

    /// Adds a value.
    pub fn push(&mut self, value: Scalar) {
        match self {
            Total::Int(sum, dtype) => *sum = add(*sum, value, *dtype),
            Total::Wide(parts, _) => match value {
                Scalar::Complex(re, im) => {
                    parts[0].add(re);
                    parts[1].add(im);
                }
                other => parts[0].add(real(other)),
            },
        }
    }

    /// The sum so far.
    pub fn value(&self) -> Scalar {
        match self {
            Total::Int(sum, _) => *sum,
            Total::Wide([re, _], false) => Scalar::Real(re.total()),
            Total::Wide([re, im], true) => Scalar::Complex(re.total(), im.total()),
        }
    }
}

/// A running reduction.
pub enum Join {
    /// A sum.
    Sum(Total),
    /// A product of that dtype.
    Prod(Scalar, DType),
    /// The least, or the greatest if so marked.
    Extreme(Scalar, bool),
    /// Whether all are true, or any if so marked.
    Truth(bool, bool),
    /// The values of a `logsumexp`.
    Exponents(Vec<f64>),
    /// Count, position and value of the best so far; whether the greatest is sought.
    Position(i128, i128, Option<Scalar>, bool),
}

impl Join {
    /// The reduction of no values of that dtype.
    pub fn new(op: ReduceOp, dtype: DType) -> Join {
        let last = |greatest: bool| match dtype.integer_range() {
            Some((low, high)) => Scalar::Int(if greatest { high } else { low }),
            None => Scalar::Real(if greatest { f64::INFINITY } else { f64::NEG_INFINITY }),
        };
        match op {
            ReduceOp::Sum => Join::Sum(Total::new(dtype)),
            ReduceOp::Prod => Join::Prod(number(1, dtype), dtype),
            ReduceOp::Min => Join::Extreme(last(true), false),
            ReduceOp::Max => Join::Extreme(last(false), true),
            ReduceOp::All => Join::Truth(true, false),
            ReduceOp::Any => Join::Truth(false, true),
            ReduceOp::LogSumExp => Join::Exponents(Vec::new()),
            ReduceOp::ArgMin => Join::Position(0, 0, None, false),
            ReduceOp::ArgMax => Join::Position(0, 0, None, true),
        }
    }

    /// Joins one more value.
    pub fn push(&mut self, value: Scalar) {
        match self {
            Join::Sum(total) => total.push(value),
            Join::Prod(product, dtype) => *product = multiply(*product, value, *dtype),
            Join::Extreme(best, false) => *best = least(*best, value),
            Join::Extreme(best, true) => *best = greatest(*best, value),
            Join::Truth(all, false) => *all &= truth(value),
            Join::Truth(any, true) => *any |= truth(value),
            Join::Exponents(values) => values.push(real(value)),
            Join::Position(count, position, best, greatest) => {
                let better = match *best {
                    None => true,
                    Some(best) if is_nan(best) => false,
                    Some(best) => {
                        is_nan(value) || if *greatest { less(best, value) } else { less(value, best) }
                    }
                };
                if better {
                    (*position, *best) = (*count, Some(value));
                }
                *count += 1;
            }
        }
    }

    /// The reduction.
    pub fn value(self) -> Scalar {
        match self {
            Join::Sum(total) => total.value(),
            Join::Prod(value, _) | Join::Extreme(value, _) => value,
            Join::Truth(value, _) => boolean(value),
            Join::Exponents(values) => Scalar::Real(log_sum_exp(&values)),
            Join::Position(_, position, ..) => Scalar::Int(position),
        }
    }
}

/// `log(sum(exp(x)))` without overflow; `-inf` if empty.
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let top = values.iter().fold(f64::NEG_INFINITY, |top, &x| if top.is_nan() || x <= top { top } else { x });
    if !top.is_finite() {
        return top;
    }
    let mut sum = Compensated::default();
    values.iter().for_each(|x| sum.add((x - top).exp()));
    top + sum.total().ln()
}

/// The square root of the sum of squared magnitudes.
pub fn norm(values: &[Scalar]) -> f64 {
    let mut sum = Compensated::default();
    for &value in values {
        let value = complex(value);
        sum.add(value.re * value.re);
        sum.add(value.im * value.im);
    }
    sum.total().sqrt()
}
