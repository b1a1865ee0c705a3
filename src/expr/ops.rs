//! What is applied to values.

use super::Expr;
use einc_runtime::{DType, Scalar};

/// Maps along axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlongOp {
    /// `exp(x - max) / sum`, 0 where all are `-inf`, NaN where one is NaN or `inf`; any number of axes, jointly.
    Softmax,
    /// `x - logsumexp(x)`; any number of axes, jointly.
    LogSoftmax,
    /// `x / sqrt(sum |x|^2)`; any number of axes, jointly; 0 where the norm is 0.
    Normalize,
    /// Inclusive running sum along one axis.
    CumSum,
    /// Inclusive running product along one axis.
    CumProd,
    /// `sum_t x[t] exp(-2 pi i t f / T)`, complex.
    Dft,
    /// `sum_t x[t] exp(+2 pi i t f / T) / T`, complex.
    Idft,
    /// Ascending values; NaN last.
    Sort,
    /// Positions (`i64`) of ascending values, ties to the lower; NaN last.
    ArgSort,
    /// The greatest values, descending, as many as `out` is long; NaN counts as greatest.
    TopK,
    /// Positions (`i64`) of the greatest values, ties to the lower.
    ArgTopK,
}

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    /// Of a `bool` the other one, of an integer the complement of its bits.
    Not,
    Abs,
    /// -1, 0 or 1; of a complex value `x / |x|`, 0 for 0.
    Sign,
    Floor,
    Ceil,
    /// To the nearest integer, halves to even.
    Round,
    Exp,
    Log,
    Log1p,
    Expm1,
    Sqrt,
    Rsqrt,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Erf,
    Sigmoid,
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Softplus,
    /// Real part of a complex value, a real.
    Real,
    /// Imaginary part of a complex value, a real.
    Imag,
    Conj,
    /// Angle of a complex value in (-pi, pi], a real.
    Arg,
    Popcount,
}

/// Functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    /// Division of floats or complex values.
    Div,
    /// Division rounded down; of integers by zero gives 0, and the checker refuses a constant zero.
    FloorDiv,
    /// The remainder with the sign of the divisor (`-1 % 5` is 4); of integers by zero gives 0.
    Rem,
    /// Of integers with a negative exponent the reciprocal, truncated; 0 for base 0.
    Pow,
    Atan2,
    /// The lesser; NaN wins.
    Min,
    /// The greater; NaN wins.
    Max,
    BitAnd,
    BitOr,
    BitXor,
    /// 0 where the shift is not within `0..width`.
    Shl,
    /// Keeps the sign of signed types; where the shift is not within `0..width`, 0, or -1 for negative values.
    Shr,
    /// An `i64` that is the end of a range: the first value where it lies in 0 to the second, else the run stops. A
    /// second value that is not a constant is the other end.
    Within,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

impl Unary {
    /// Whether a processor computes it by many operations.
    pub fn is_function(self) -> bool {
        use Unary::*;
        match self {
            Exp | Log | Log1p | Expm1 | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh | Tanh | Erf
            | Sigmoid | Gelu | GeluTanh | Silu | Softplus | Arg => true,
            Neg | Not | Abs | Sign | Floor | Ceil | Round | Sqrt | Rsqrt | Relu | Real | Imag | Conj
            | Popcount => false,
        }
    }
}

impl<S> Expr<S> {
    /// The exponent, if this is that of a power of reals which a few products give.
    pub(crate) fn small_exponent(&self) -> Option<u32> {
        match self {
            Expr::Const(Scalar::Real(value), DType::F32 | DType::F64) => {
                (1..=8).find(|&small| f64::from(small) == *value)
            }
            _ => None,
        }
    }
}
