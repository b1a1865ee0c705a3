//! Compiled plans, built by hand or from random programs, against naive formulas and the interpreter.

mod build;
mod nests;
mod random;
mod slices;
mod steps;
