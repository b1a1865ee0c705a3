//! Maps along axes: from the values of one row to those of its result.

use super::join::{Total, log_sum_exp, norm};
use super::value::{complex, is_nan, less, multiply, number, real};
use crate::expr::AlongOp;
use einc_runtime::{DType, Scalar};
use num_complex::Complex64;
use std::cmp::Ordering;

/// `op` of one row of values of that dtype; `length` is how many values the result has.
pub fn along(op: AlongOp, row: &[Scalar], dtype: DType, length: usize) -> Vec<Scalar> {
    match op {
        AlongOp::Softmax => softmax(row),
        AlongOp::LogSoftmax => {
            let reals: Vec<f64> = row.iter().map(|&x| real(x)).collect();
            let total = log_sum_exp(&reals);
            reals.iter().map(|x| Scalar::Real(x - total)).collect()
        }
        AlongOp::Normalize => normalize(row),
        AlongOp::CumSum => {
            let mut total = Total::new(dtype);
            let mut running = |&x: &Scalar| {
                total.push(x);
                total.value()
            };
            row.iter().map(&mut running).collect()
        }
        AlongOp::CumProd => {
            let mut product = number(1, dtype);
            let mut running = |&x: &Scalar| {
                product = multiply(product, x, dtype);
                product
            };
            row.iter().map(&mut running).collect()
        }
        AlongOp::Dft => fourier(row, dtype, length, -1.0),
        AlongOp::Idft => {
            let count = row.len() as f64;
            let scaled = |x: Scalar| {
                let value = complex(x) / count;
                Scalar::Complex(value.re, value.im)
            };
            fourier(row, dtype, length, 1.0).into_iter().map(scaled).collect()
        }
        AlongOp::Sort => pick(row, order(row, ascending), length),
        AlongOp::ArgSort => positions(order(row, ascending), length),
        AlongOp::TopK => pick(row, order(row, descending), length),
        AlongOp::ArgTopK => positions(order(row, descending), length),
    }
}

fn softmax(row: &[Scalar]) -> Vec<Scalar> {
    let reals: Vec<f64> = row.iter().map(|&x| real(x)).collect();
    if reals.iter().all(|&x| x == f64::NEG_INFINITY) {
        return vec![Scalar::Real(0.0); row.len()];
    }
    let total = log_sum_exp(&reals);
    let top = reals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !total.is_finite() || !top.is_finite() {
        return vec![Scalar::Real(f64::NAN); row.len()];
    }
    let weights: Vec<f64> = reals.iter().map(|x| (x - top).exp()).collect();
    let mut sum = Total::new(DType::F64);
    weights.iter().for_each(|&weight| sum.push(Scalar::Real(weight)));
    let sum = real(sum.value());
    weights.iter().map(|weight| Scalar::Real(weight / sum)).collect()
}

fn normalize(row: &[Scalar]) -> Vec<Scalar> {
    // By a power of two, so that no square leaves the range of the numbers.
    let size = |value: Complex64| value.re.abs().max(value.im.abs());
    let most = row.iter().map(|&x| size(complex(x))).fold(0.0, f64::max);
    let by = if most > 0.0 && most.is_finite() { -libm::ilogb(most) } else { 0 };
    let scaled = |&x: &Scalar| match x {
        Scalar::Complex(re, im) => Scalar::Complex(libm::scalbn(re, by), libm::scalbn(im, by)),
        other => Scalar::Real(libm::scalbn(real(other), by)),
    };
    let row: Vec<Scalar> = row.iter().map(scaled).collect();
    let norm = norm(&row);
    let scaled = |&x: &Scalar| match x {
        Scalar::Complex(..) if norm == 0.0 => Scalar::Complex(0.0, 0.0),
        Scalar::Complex(re, im) => Scalar::Complex(re / norm, im / norm),
        _ if norm == 0.0 => Scalar::Real(0.0),
        other => Scalar::Real(real(other) / norm),
    };
    row.iter().map(scaled).collect()
}

/// `sum_t x[t] exp(sign 2 pi i t f / T)` for every `f`, term by term.
fn fourier(row: &[Scalar], dtype: DType, length: usize, sign: f64) -> Vec<Scalar> {
    let count = row.len();
    // The angle of t f mod T: exact for quarter turns, and never of a large argument.
    let turn = |step: usize| {
        let (re, im) = match 4 * step / count {
            quarter if 4 * step == quarter * count => {
                [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][quarter % 4]
            }
            _ => {
                let (sin, cos) = (std::f64::consts::TAU * step as f64 / count as f64).sin_cos();
                (cos, sin)
            }
        };
        Complex64::new(re, sign * im)
    };
    let turns: Vec<Complex64> = (0..count).map(turn).collect();
    let frequency = |f: usize| {
        let mut total = Total::new(dtype);
        let mut step = 0;
        for &x in row {
            let term = complex(x) * turns[step];
            total.push(Scalar::Complex(term.re, term.im));
            step = (step + f % count) % count;
        }
        total.value()
    };
    (0..length).map(frequency).collect()
}

fn ascending(a: Scalar, b: Scalar) -> Ordering {
    match (is_nan(a), is_nan(b)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ if less(a, b) => Ordering::Less,
        _ if less(b, a) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

fn descending(a: Scalar, b: Scalar) -> Ordering {
    ascending(b, a)
}

/// The positions of the values in that order, ties to the lower.
fn order(row: &[Scalar], compare: fn(Scalar, Scalar) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| compare(row[a], row[b]));
    order
}

fn pick(row: &[Scalar], order: Vec<usize>, length: usize) -> Vec<Scalar> {
    assert!(length <= order.len(), "bug: {length} values are asked of {}", order.len());
    order[..length].iter().map(|&position| row[position]).collect()
}

fn positions(order: Vec<usize>, length: usize) -> Vec<Scalar> {
    assert!(length <= order.len(), "bug: {length} positions are asked of {}", order.len());
    order[..length].iter().map(|&position| Scalar::Int(position as i128)).collect()
}
