//! Compiled plans, built by hand, against naive formulas.

mod build;
mod nests;
