//! Tests of the whole compiler, in one binary: each folder has one harness, and the rest is data.

mod bad_input;
#[cfg(feature = "ckks")]
mod ckks;
#[cfg(feature = "ckks")]
mod ckks_steps;
mod cli;
mod docs;
mod einsum;
mod fuzz;
mod golden;
mod hostile;
#[path = "../examples/jit.rs"]
mod jit;
mod layers;
mod papers;
mod plans;
#[cfg(feature = "mpi")]
mod processes;
mod property;
mod readme;
mod rewrites;
mod run;
mod support;
mod ui;
