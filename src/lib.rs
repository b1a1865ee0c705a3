//! The einc compiler: one text states tensors by index notation, one compiler finds a cheap way to contract them and
//! turns it into code.
//!
//! ```
//! use ndarray::array;
//!
//! let module = einc::Module::parse("fn norm(x: f64[N]) -> (s: f64) { s = sqrt(sum[i](x[i] ** 2)) }")?;
//! let norm = module.function("norm", &einc::Sizes::new(), &einc::Settings::default())?;
//! assert_eq!(norm.call(&[("x", &array![3.0, 4.0])])?.number("s"), Some(5.0));
//! # Ok::<(), einc::Error>(())
//! ```
//!
//! This page is the map of the compiler; a user of the library needs [`api`] alone.
//!
//! # The way of a program
//!
//! | stage | what it knows | module |
//! |---|---|---|
//! | text | what was written, and where | `einc_grammar` |
//! | program | names resolved, one extent per axis, types fixed, functions inlined | [`program`] |
//! | graph | which value feeds which, without an order; contractions with all their operands | [`graph`] |
//! | plan | steps over buffers: contraction orders, one arena, fused loops | [`plan`] |
//! | loops | loops over addressed memory, packed panels, microkernel calls | [`loops`] |
//! | code | machine code in memory | [`backend`] |
//!
//! [`pipeline`] is all of it in order, and the place to read second. Every stage is data with one text form (its
//! `Display`, which `--dump` prints and snapshots hold), a law that a verifier checks after every pass of a debug
//! build, and [`interpret`] runs programs and plans slowly and exactly: what native code computes is compared with it.
//!
//! # Who may use whom
//!
//! Data flows down the table above, and so do imports: a module uses what is above it, never below. `tests/layers.rs`
//! holds the whole table and fails with file and line. Beside the stages there are [`id`] (typed ids), [`source`]
//! (texts and places), [`expr`] (the expressions that program, graph and plan share), [`machine`] (a target in
//! numbers), [`pass`] (the pass runner), [`diagnostic`] (what we tell the user) and [`fault`] (what goes wrong while a
//! program runs). Each heavy library is named in one place: ariadne in `diagnostic/render.rs`, petgraph in [`graph`],
//! Cranelift in `backend/cranelift`, clap in [`cli`], ndarray in [`api`].
//!
//! # Three kinds of failure
//!
//! What a user did wrong is a [`diagnostic::Diagnostic`], collected, so that one run tells all. What a target cannot
//! do is a [`backend::Unsupported`] with its place. What we did wrong is a panic with a dump; the command line turns it
//! into exit code 101 and a note that names the phase.
//!
//! # Sizes are bound late
//!
//! A program is checked once for all sizes ([`program::check_all`]), then for the sizes of given arrays
//! ([`program::check`]), which is what gets compiled. [`Function`] remembers what it compiled.

// A harness that tests share with `tests/` names this crate from outside.
#[cfg(test)]
extern crate self as einc;

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
pub mod slots;
pub mod source;

pub use api::{
    Compiled, Error, Function, Module, Operand, Results, Shaped, Sizes, array, einsum, view, view_mut,
};
pub use einc_runtime::{DType, Element, Scalar, Tensor};
pub use pipeline::{Settings, Target};
