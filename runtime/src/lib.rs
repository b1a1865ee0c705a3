//! What programs compiled by `einc` load: tensors, element types, array files, threads and kernels.
//!
//! This crate knows nothing of the compiler.
#![warn(missing_docs)]

pub mod ckks;
pub mod complex;
pub mod dtype;
pub mod element;
pub mod file;
pub mod fourier;
pub mod gemm;
pub mod math;
mod memory;
pub mod npy;
pub mod npz;
pub mod permute;
pub mod pool;
pub mod safetensors;
pub mod scalar;
pub mod sort;
pub mod tensor;

mod vector;
mod zip;

pub use dtype::DType;
pub use element::Element;
pub use file::{FileError, FileErrorKind, Staged};
pub use scalar::Scalar;
pub use tensor::Tensor;
