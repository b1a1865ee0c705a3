//! The einc compiler.

pub mod api;
pub mod backend;
pub mod cli;
pub mod diagnostic;
pub mod expr;
pub mod fault;
pub mod graph;
pub mod id;
pub mod interpret;
pub mod loops;
pub mod machine;
pub mod pass;
pub mod pipeline;
pub mod plan;
pub mod program;
pub mod source;

pub use api::{Compiled, Error, Function, Module, Operand, Results, Shaped, Sizes, array, einsum};
pub use einc_runtime::{DType, Element, Scalar, Tensor};
pub use pipeline::{Settings, Target};
