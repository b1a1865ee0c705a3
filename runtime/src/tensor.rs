//! Dense tensors: an element type, a shape, and 64-byte aligned row-major memory.

use crate::DType;
use std::alloc::{Layout, alloc_zeroed, dealloc};

/// A dense row-major tensor that owns 64-byte aligned memory.
#[derive(Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<u64>,
    bytes: AlignedBytes,
}

/// Bytes aligned to 64, zero when made.
#[derive(Debug)]
struct AlignedBytes {
    data: *mut u8,
    len: usize,
}

// SAFETY: `AlignedBytes` owns its memory alone, like `Vec<u8>`.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared access is read-only.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.max(1), 64).ok()
    }

    fn new(len: usize) -> Option<AlignedBytes> {
        let layout = Self::layout(len)?;
        // SAFETY: the layout's size is at least 1.
        let data = unsafe { alloc_zeroed(layout) };
        (!data.is_null()).then_some(AlignedBytes { data, len })
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        let layout = Self::layout(self.len).expect("the layout was valid when the memory was taken");
        // SAFETY: `data` came from `alloc_zeroed` with this very layout.
        unsafe { dealloc(self.data, layout) }
    }
}

impl Tensor {
    /// Zeros of this type and shape. `None` where the size overflows or memory is short.
    pub fn zeros(dtype: DType, shape: &[u64]) -> Option<Tensor> {
        let elems = shape.iter().try_fold(1u64, |n, &e| n.checked_mul(e))?;
        let len = usize::try_from(elems).ok()?.checked_mul(dtype.bytes())?;
        Some(Tensor { dtype, shape: shape.to_vec(), bytes: AlignedBytes::new(len)? })
    }

    /// A tensor with a copy of these bytes, native endian, row-major. `None` where the length does not match.
    pub fn from_bytes(dtype: DType, shape: &[u64], bytes: &[u8]) -> Option<Tensor> {
        let mut tensor = Tensor::zeros(dtype, shape)?;
        (tensor.bytes.len == bytes.len()).then(|| {
            tensor.bytes_mut().copy_from_slice(bytes);
            tensor
        })
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
        self.bytes.len / self.dtype.bytes()
    }

    /// The memory, native endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `data` points to `len` initialised bytes owned by `self`.
        unsafe { std::slice::from_raw_parts(self.bytes.data, self.bytes.len) }
    }

    /// The memory, native endian, row-major.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.data, self.bytes.len) }
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
