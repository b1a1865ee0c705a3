//! Tests of the whole compiler, in one binary: each folder has one harness, and the rest is data.

mod einsum;
mod layers;
mod property;
mod readme;
