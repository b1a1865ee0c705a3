//! Functions of one number that polynomials stand for, with what bounds them between two places.

use crate::expr::Unary;
use std::f64::consts::PI;

/// A function of one number.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its values.
    pub value: fn(f64) -> f64,
    /// A bound of its second derivative, in magnitude, on an interval that holds no kink inside. Infinite where there is
    /// none and the function is monotone; not a number where a pole is between.
    pub curvature: fn(f64, f64) -> f64,
    /// Where its first derivative jumps.
    pub kink: Option<f64>,
}

/// The function, if it can be approximated.
pub fn of(op: Unary) -> Option<Function> {
    let (value, curvature): (fn(f64) -> f64, fn(f64, f64) -> f64) = match op {
        Unary::Abs => (f64::abs, |_, _| 0.0),
        Unary::Relu => (|x| x.max(0.0), |_, _| 0.0),
        Unary::Exp => (f64::exp, |_, high| high.exp()),
        Unary::Expm1 => (f64::exp_m1, |_, high| high.exp()),
        Unary::Log => (f64::ln, |low, _| low.powi(-2)),
        Unary::Log1p => (f64::ln_1p, |low, _| (1.0 + low).powi(-2)),
        Unary::Sqrt => (f64::sqrt, |low, _| 0.25 * low.powf(-1.5)),
        Unary::Rsqrt => (|x| 1.0 / x.sqrt(), |low, _| 0.75 * low.powf(-2.5)),
        Unary::Sin => (f64::sin, |_, _| 1.0),
        Unary::Cos => (f64::cos, |_, _| 1.0),
        Unary::Tan => (f64::tan, bend_of_tan),
        Unary::Asin => (f64::asin, |low, high| bend_of_arcs(low.abs().max(high.abs()))),
        Unary::Acos => (f64::acos, |low, high| bend_of_arcs(low.abs().max(high.abs()))),
        // The others bend most at places that are known: at 1/sqrt(3), 1/sqrt(2), where tanh^2 is 1/3, or at 0.
        Unary::Atan => (f64::atan, |_, _| 0.6496),
        Unary::Sinh => (f64::sinh, |low, high| low.sinh().abs().max(high.sinh().abs())),
        Unary::Cosh => (f64::cosh, |low, high| low.cosh().max(high.cosh())),
        Unary::Tanh => (f64::tanh, |_, _| 0.7699),
        Unary::Erf => (libm::erf, |_, _| 0.968),
        Unary::Sigmoid => (sigmoid, |_, _| 0.0963),
        Unary::Gelu => (|x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())), |_, _| 0.798),
        Unary::GeluTanh => {
            (|x| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh()), |_, _| 0.81)
        }
        Unary::Silu => (|x| x * sigmoid(x), |_, _| 0.5),
        Unary::Softplus => (|x| x.max(0.0) + (-x.abs()).exp().ln_1p(), |_, _| 0.25),
        _ => return None,
    };
    let kink = matches!(op, Unary::Abs | Unary::Relu).then_some(0.0);
    Some(Function { value, curvature, kink })
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Not a number where a pole is between.
fn bend_of_tan(low: f64, high: f64) -> f64 {
    let branch = |x: f64| (x / PI + 0.5).floor();
    let bend = |x: f64| 2.0 * x.tan().abs() * (1.0 + x.tan().powi(2));
    if branch(low) == branch(high) { bend(low).max(bend(high)) } else { f64::NAN }
}

/// `|x| / (1 - x^2)^(3/2)`.
fn bend_of_arcs(x: f64) -> f64 {
    if x < 1.0 { x * (1.0 - x * x).powf(-1.5) } else { f64::INFINITY }
}
