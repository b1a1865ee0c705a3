//! What a program can take as an array.

use super::error::{Error, out_of_memory};
use crate::diagnostic::{Code, Diagnostic};
use einc_runtime::{Element, Tensor};
use ndarray::{ArrayBase, Data, Dimension};
use std::borrow::Cow;

/// Something a program can take as an array: a [`Tensor`], an `ndarray` array or view, or a number.
///
/// Tensors are used where they are; everything else is copied, in row-major order. To compute on memory without a
/// copy, fill a [`Tensor`] through [`view_mut`](super::view_mut).
///
/// ```
/// use einc::Operand;
/// let row = ndarray::array![[1.0, 2.0], [3.0, 4.0]];
/// assert_eq!(row.column(1).tensor()?.as_slice::<f64>(), Some(&[2.0, 4.0][..]));
/// assert!(7i64.tensor()?.shape().is_empty());
/// # Ok::<(), einc::Error>(())
/// ```
pub trait Operand {
    /// The tensor it is, or a copy of its elements.
    ///
    /// # Errors
    /// Where there is no memory for the copy.
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error>;
}

impl Operand for Tensor {
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
        Ok(Cow::Borrowed(self))
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> Operand for ArrayBase<S, D> {
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
        let shape: Vec<u64> = self.shape().iter().map(|&extent| extent as u64).collect();
        let tensor = match self.as_slice() {
            Some(elements) => Tensor::from_slice(&shape, elements),
            None => Tensor::from_slice(&shape, &self.iter().copied().collect::<Vec<T>>()),
        };
        tensor.map(Cow::Owned).ok_or_else(out_of_memory)
    }
}

/// A slice with a shape, as an [`Operand`].
///
/// ```
/// use einc::{Operand, Shaped};
/// let a = Shaped::new(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
/// assert_eq!(a.tensor()?.shape(), [2, 3]);
/// # Ok::<(), einc::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shaped<'a, T> {
    elements: &'a [T],
    shape: &'a [usize],
}

impl<'a, T: Element> Shaped<'a, T> {
    /// Elements in row-major order.
    ///
    /// ```
    /// use einc::{Operand, Shaped};
    /// assert!(Shaped::new(&[1.0, 2.0, 3.0], &[2, 2]).tensor().is_err());
    /// ```
    pub fn new(elements: &'a [T], shape: &'a [usize]) -> Shaped<'a, T> {
        Shaped { elements, shape }
    }
}

impl<T: Element> Operand for Shaped<'_, T> {
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
        let shape: Vec<u64> = self.shape.iter().map(|&extent| extent as u64).collect();
        Tensor::from_slice(&shape, self.elements).map(Cow::Owned).ok_or_else(|| {
            let message =
                format!("a slice of {} elements cannot have the shape {:?}", self.elements.len(), shape);
            Error::one(Diagnostic::error(Code::InputExtent, message))
        })
    }
}

macro_rules! scalar_operands {
    ($($ty:ty),*) => {$(
        impl Operand for $ty {
            fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
                Tensor::from_slice(&[], &[*self]).map(Cow::Owned).ok_or_else(out_of_memory)
            }
        }
    )*};
}

scalar_operands!(f64, f32, i64, i32, i16, i8, u64, u32, u16, u8, bool);
