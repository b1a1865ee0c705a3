//! Functions of one number, and their polynomials.

use crate::expr::Unary;
use std::f64::consts::PI;

/// The function, if it can be approximated.
pub fn of(op: Unary) -> Option<Box<dyn Fn(f64) -> f64>> {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let function: Box<dyn Fn(f64) -> f64> = match op {
        Unary::Abs => Box::new(f64::abs),
        Unary::Exp => Box::new(f64::exp),
        Unary::Log => Box::new(f64::ln),
        Unary::Log1p => Box::new(f64::ln_1p),
        Unary::Expm1 => Box::new(f64::exp_m1),
        Unary::Sqrt => Box::new(f64::sqrt),
        Unary::Rsqrt => Box::new(|x| 1.0 / x.sqrt()),
        Unary::Sin => Box::new(f64::sin),
        Unary::Cos => Box::new(f64::cos),
        Unary::Tan => Box::new(f64::tan),
        Unary::Asin => Box::new(f64::asin),
        Unary::Acos => Box::new(f64::acos),
        Unary::Atan => Box::new(f64::atan),
        Unary::Sinh => Box::new(f64::sinh),
        Unary::Cosh => Box::new(f64::cosh),
        Unary::Tanh => Box::new(f64::tanh),
        Unary::Erf => Box::new(libm::erf),
        Unary::Sigmoid => Box::new(sigmoid),
        Unary::Relu => Box::new(|x| x.max(0.0)),
        Unary::Gelu => Box::new(|x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))),
        Unary::GeluTanh => {
            Box::new(|x| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh()))
        }
        Unary::Silu => Box::new(move |x| x * sigmoid(x)),
        Unary::Softplus => Box::new(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        _ => return None,
    };
    Some(function)
}

/// The coefficients of the Chebyshev polynomials on the range whose sum equals the function at the Chebyshev nodes.
pub fn chebyshev(function: &dyn Fn(f64) -> f64, range: (f64, f64), degree: usize) -> Vec<f64> {
    let nodes = degree + 1;
    let (middle, half) = ((range.0 + range.1) / 2.0, (range.1 - range.0) / 2.0);
    let angle = |k: usize| PI * (k as f64 + 0.5) / nodes as f64;
    let values: Vec<f64> = (0..nodes).map(|k| function(middle + half * angle(k).cos())).collect();
    let scale = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    (0..nodes)
        .map(|j| {
            let sum: f64 =
                values.iter().enumerate().map(|(k, value)| value * (j as f64 * angle(k)).cos()).sum();
            let coefficient = sum * if j == 0 { 1.0 } else { 2.0 } / nodes as f64;
            // Odd and even functions have coefficients that are zero but for rounding.
            if coefficient.abs() < 1e-15 * scale { 0.0 } else { coefficient }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_as_closely_as_tables_say() {
        // Largest errors of degree 15 on (-8, 8): sigmoid 1e-3, gelu 5e-2.
        for (op, bound) in [(Unary::Sigmoid, 1.5e-3), (Unary::Gelu, 6e-2)] {
            let function = of(op).unwrap();
            let coefficients = chebyshev(&*function, (-8.0, 8.0), 15);
            let error = (0..=1000)
                .map(|k| -8.0 + 16.0 * f64::from(k) / 1000.0)
                .map(|x| {
                    let t: f64 = x / 8.0;
                    let sum: f64 =
                        coefficients.iter().enumerate().map(|(j, c)| c * (j as f64 * t.acos()).cos()).sum();
                    (sum - function(x)).abs()
                })
                .fold(0.0, f64::max);
            assert!(error < bound && error > bound / 10.0, "{op:?}: {error}");
        }
    }
}
