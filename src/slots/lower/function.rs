//! Functions of one number that polynomials stand for.

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
