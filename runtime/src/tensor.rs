//! Dense tensors: an element type, a shape, and 64-byte aligned row-major memory.

use crate::memory::{AlignedBytes, HUGE_FROM};
use crate::{DType, Element, Scalar};
use half::{bf16, f16};
use num_complex::Complex;

/// A dense row-major tensor that owns 64-byte aligned memory.
#[derive(Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<u64>,
    bytes: AlignedBytes,
}

impl Tensor {
    /// Bytes from which on a tensor is in huge pages, where the system has them.
    pub const HUGE_FROM: u64 = HUGE_FROM as u64;

    /// Zeros of this type and shape. `None` where the size overflows or memory is short.
    pub fn zeros(dtype: DType, shape: &[u64]) -> Option<Tensor> {
        let len = Tensor::bytes_needed(dtype, shape)?;
        Some(Tensor { dtype, shape: shape.to_vec(), bytes: AlignedBytes::new(len)? })
    }

    /// A tensor for a result that is written as a whole: until then it holds anything, also of tensors that are gone.
    /// With debug assertions it is NaN, so that tests see what is read before. `None` as for [`Tensor::zeros`].
    pub fn unwritten(dtype: DType, shape: &[u64]) -> Option<Tensor> {
        let len = Tensor::bytes_needed(dtype, shape)?;
        let mut tensor = Tensor { dtype, shape: shape.to_vec(), bytes: AlignedBytes::used(len)? };
        if cfg!(debug_assertions) {
            tensor.bytes_mut().fill(0xff);
        }
        Some(tensor)
    }

    /// How many bytes a tensor of this type and shape takes. `None` where that overflows.
    pub fn bytes_needed(dtype: DType, shape: &[u64]) -> Option<usize> {
        if shape.contains(&0) {
            return Some(0);
        }
        let elems = shape.iter().try_fold(1u64, |n, &e| n.checked_mul(e))?;
        let len = usize::try_from(elems).ok()?.checked_mul(dtype.bytes())?;
        isize::try_from(len).is_ok().then_some(len)
    }

    /// A tensor with a copy of these bytes, native endian, row-major. `None` where the length does not match.
    pub fn from_bytes(dtype: DType, shape: &[u64], bytes: &[u8]) -> Option<Tensor> {
        let mut tensor = Tensor::zeros(dtype, shape)?;
        (tensor.bytes.len() == bytes.len()).then(|| {
            tensor.bytes_mut().copy_from_slice(bytes);
            tensor
        })
    }

    /// A tensor with a copy of these elements, row-major. `None` where their number does not match the shape.
    ///
    /// ```
    /// # use einc_runtime::{DType, Tensor};
    /// let tensor = Tensor::from_slice(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    /// assert_eq!(tensor.dtype(), DType::F32);
    /// assert_eq!(tensor.as_slice::<f32>().unwrap()[4], 5.0);
    /// ```
    pub fn from_slice<T: Element>(shape: &[u64], elems: &[T]) -> Option<Tensor> {
        // SAFETY: no `Element` has padding, so its bytes are all initialised.
        let bytes = unsafe { std::slice::from_raw_parts(elems.as_ptr().cast(), size_of_val(elems)) };
        Tensor::from_bytes(T::DTYPE, shape, bytes)
    }

    /// The elements, row-major. `None` where the tensor holds another type, or a `bool` that is neither 0 nor 1.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        self.may_be_seen_as::<T>().then(|| {
            // SAFETY: the memory is aligned to 64, holds `elems` values of this size, and every bit pattern in it is
            // a value of `T`, which `may_be_seen_as` has checked for `bool`.
            unsafe { std::slice::from_raw_parts(self.bytes.data().cast(), self.elems()) }
        })
    }

    /// The elements, row-major. `None` where the tensor holds another type, or a `bool` that is neither 0 nor 1.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        self.may_be_seen_as::<T>().then(|| {
            // SAFETY: as in `as_slice`, and `self` is borrowed exclusively.
            unsafe { std::slice::from_raw_parts_mut(self.bytes.data().cast(), self.elems()) }
        })
    }

    fn may_be_seen_as<T: Element>(&self) -> bool {
        T::holds(self.dtype) && (T::DTYPE != DType::Bool || self.bytes().iter().all(|&byte| byte <= 1))
    }

    /// The element at that row-major position.
    ///
    /// # Panics
    /// Where the position is not below [`Tensor::elems`].
    pub fn get(&self, position: usize) -> Scalar {
        let width = self.dtype.bytes();
        let bytes = &self.bytes()[position * width..][..width];
        fn one<T: Element, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Scalar {
            read(bytes.try_into().expect("the slice is one element wide")).to_scalar()
        }
        match self.dtype {
            DType::F64 => one(bytes, f64::from_ne_bytes),
            DType::F32 => one(bytes, f32::from_ne_bytes),
            DType::F16 => one(bytes, f16::from_ne_bytes),
            DType::Bf16 => one(bytes, bf16::from_ne_bytes),
            DType::C128 => Scalar::Complex(
                one(&bytes[..8], f64::from_ne_bytes).re(),
                one(&bytes[8..], f64::from_ne_bytes).re(),
            ),
            DType::C64 => Scalar::Complex(
                one(&bytes[..4], f32::from_ne_bytes).re(),
                one(&bytes[4..], f32::from_ne_bytes).re(),
            ),
            DType::I64 => one(bytes, i64::from_ne_bytes),
            DType::I32 => one(bytes, i32::from_ne_bytes),
            DType::I16 => one(bytes, i16::from_ne_bytes),
            DType::I8 | DType::I4 | DType::I2 => one(bytes, i8::from_ne_bytes),
            DType::U64 => one(bytes, u64::from_ne_bytes),
            DType::U32 => one(bytes, u32::from_ne_bytes),
            DType::U16 => one(bytes, u16::from_ne_bytes),
            DType::U8 | DType::U4 | DType::U2 | DType::U1 => one(bytes, u8::from_ne_bytes),
            DType::Bool => Scalar::Int((bytes[0] != 0).into()),
        }
    }

    /// Stores a value at that row-major position, rounded, wrapped or truncated to the element type as
    /// [`Scalar::cast`] says.
    ///
    /// # Panics
    /// Where the position is not below [`Tensor::elems`].
    pub fn set(&mut self, position: usize, value: Scalar) {
        let (dtype, width) = (self.dtype, self.dtype.bytes());
        let place = &mut self.bytes_mut()[position * width..][..width];
        store(dtype, value, place);
    }

    /// Stores a value everywhere, as [`Tensor::set`] does.
    pub fn fill(&mut self, value: Scalar) {
        let (dtype, width) = (self.dtype, self.dtype.bytes());
        let mut element = [0; 16];
        store(dtype, value, &mut element[..width]);
        self.bytes_mut().chunks_exact_mut(width).for_each(|place| place.copy_from_slice(&element[..width]));
    }

    /// The same values in another element type.
    ///
    /// Reals round to narrower floats; all else must stay the same number, see [`Scalar::fits`].
    ///
    /// # Errors
    /// The position and value of the first element that does not fit. Position [`Tensor::elems`] and value 0 if
    /// memory is short.
    pub fn convert(&self, dtype: DType) -> Result<Tensor, (usize, Scalar)> {
        let short = || (self.elems(), Scalar::Int(0));
        let mut result = Tensor::zeros(dtype, &self.shape).ok_or_else(short)?;
        if dtype == self.dtype {
            result.bytes_mut().copy_from_slice(self.bytes());
            return Ok(result);
        }
        let width = dtype.bytes();
        for (position, place) in result.bytes_mut().chunks_exact_mut(width).enumerate() {
            let value = self.get(position);
            if !value.fits(dtype) {
                return Err((position, value));
            }
            store(dtype, value, place);
        }
        Ok(result)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extent of each dim.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// How many elements there are.
    pub fn elems(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// The memory, native endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `data` points to `len` initialised bytes owned by `self`.
        unsafe { std::slice::from_raw_parts(self.bytes.data(), self.bytes.len()) }
    }

    /// The memory, native endian, row-major.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.data(), self.bytes.len()) }
    }
}

/// Writes a value, cast to that type, to memory one element wide.
fn store(dtype: DType, value: Scalar, place: &mut [u8]) {
    fn part<T: Element>(value: Scalar) -> T {
        T::from_scalar(value)
    }
    match dtype {
        DType::F64 => place.copy_from_slice(&part::<f64>(value).to_ne_bytes()),
        DType::F32 => place.copy_from_slice(&part::<f32>(value).to_ne_bytes()),
        DType::F16 => place.copy_from_slice(&part::<f16>(value).to_ne_bytes()),
        DType::Bf16 => place.copy_from_slice(&part::<bf16>(value).to_ne_bytes()),
        DType::C128 => {
            let value: Complex<f64> = part(value);
            place[..8].copy_from_slice(&value.re.to_ne_bytes());
            place[8..].copy_from_slice(&value.im.to_ne_bytes());
        }
        DType::C64 => {
            let value: Complex<f32> = part(value);
            place[..4].copy_from_slice(&value.re.to_ne_bytes());
            place[4..].copy_from_slice(&value.im.to_ne_bytes());
        }
        DType::I64 => place.copy_from_slice(&part::<i64>(value).to_ne_bytes()),
        DType::I32 => place.copy_from_slice(&part::<i32>(value).to_ne_bytes()),
        DType::I16 => place.copy_from_slice(&part::<i16>(value).to_ne_bytes()),
        DType::I8 => place[0] = part::<i8>(value).to_ne_bytes()[0],
        DType::U64 => place.copy_from_slice(&part::<u64>(value).to_ne_bytes()),
        DType::U32 => place.copy_from_slice(&part::<u32>(value).to_ne_bytes()),
        DType::U16 => place.copy_from_slice(&part::<u16>(value).to_ne_bytes()),
        DType::U8 => place[0] = part::<u8>(value),
        DType::I4 | DType::I2 | DType::U4 | DType::U2 | DType::U1 | DType::Bool => {
            place[0] = value.cast(dtype).int() as u8
        }
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Tensor {
        Tensor::from_bytes(self.dtype, &self.shape, self.bytes())
            .expect("a tensor of this size exists already")
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert!(Tensor::zeros(DType::F32, &[1 << 40, 1 << 40]).is_none());
        assert!(Tensor::zeros(DType::U8, &[1 << 63]).is_none());
        assert_eq!(Tensor::zeros(DType::F32, &[u64::MAX, 0, u64::MAX]).unwrap().elems(), 0);
        assert_eq!(Tensor::zeros(DType::F32, &[]).unwrap().elems(), 1);
        assert!(Tensor::from_slice(&[3], &[1i32, 2]).is_none());
        assert_eq!(Tensor::zeros(DType::C64, &[3]).unwrap().bytes().as_ptr() as usize % 64, 0);
    }

    #[test]
    fn slices_show_the_stored_type_only() {
        let mut tensor = Tensor::from_slice(&[2], &[f16::ONE, f16::ZERO]).unwrap();
        assert_eq!(tensor.dtype(), DType::F16);
        assert!(tensor.as_slice::<bf16>().is_none());
        tensor.as_mut_slice::<f16>().unwrap()[1] = f16::from_f32(-2.5);
        assert_eq!(tensor.get(1), Scalar::Real(-2.5));
        let nibbles = Tensor::zeros(DType::U4, &[2]).unwrap();
        assert_eq!(nibbles.as_slice::<u8>(), Some(&[0u8, 0][..]));
        assert!(nibbles.as_slice::<i8>().is_none() && nibbles.as_slice::<bool>().is_none());
        let mut flags = Tensor::from_slice(&[2], &[true, false]).unwrap();
        assert_eq!(flags.as_slice::<bool>(), Some(&[true, false][..]));
        flags.bytes_mut()[0] = 7;
        assert!(flags.as_slice::<bool>().is_none());
    }

    #[test]
    fn every_type_gives_back_what_was_set() {
        for dtype in DType::ALL {
            let mut tensor = Tensor::zeros(dtype, &[3]).unwrap();
            let value = match dtype.integer_range() {
                Some((low, _)) => Scalar::Int(low),
                None if dtype.is_complex() => Scalar::Complex(-1.5, 0.25),
                None => Scalar::Real(-1.5),
            };
            tensor.set(1, value);
            assert_eq!(tensor.get(1), value, "{dtype}");
            assert_eq!(tensor.get(2).re(), 0.0);
            let odd = Scalar::Int(1 - (1 << 70));
            tensor.fill(odd);
            assert_eq!(tensor.get(0), odd.cast(dtype), "{dtype}");
            assert_eq!(tensor.get(2), odd.cast(dtype), "{dtype}");
            tensor.set(0, Scalar::Real(1.1));
            assert_eq!(tensor.get(0), Scalar::Real(1.1).cast(dtype), "{dtype}");
        }
    }

    #[test]
    fn convert_refuses_what_does_not_fit() {
        let tensor = Tensor::from_slice(&[3], &[1i64, 200, -1]).unwrap();
        assert_eq!(tensor.convert(DType::I8), Err((1, Scalar::Int(200))));
        assert_eq!(tensor.convert(DType::U8), Err((2, Scalar::Int(-1))));
        assert_eq!(tensor.convert(DType::F32), Ok(Tensor::from_slice(&[3], &[1f32, 200.0, -1.0]).unwrap()));
        let reals = Tensor::from_slice(&[2], &[0.1f64, 1e300]).unwrap();
        assert_eq!(
            reals.convert(DType::F32),
            Ok(Tensor::from_slice(&[2], &[0.1f32, f32::INFINITY]).unwrap())
        );
        assert_eq!(reals.convert(DType::I64), Err((0, Scalar::Real(0.1))));
        let flags = Tensor::from_slice(&[2], &[true, false]).unwrap();
        assert_eq!(flags.convert(DType::C128).unwrap().get(0), Scalar::Complex(1.0, 0.0));
        assert_eq!(flags.convert(DType::Bool), Ok(flags));
    }
}
