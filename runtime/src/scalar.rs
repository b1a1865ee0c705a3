//! One element, whatever its type.

/// One element of a tensor, wide enough for every [`crate::DType`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// An integer, or a `bool` as 0 or 1.
    Int(i128),
    /// A real number.
    Real(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
}
