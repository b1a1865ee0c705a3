//! Tests of the whole compiler, in one binary: each folder has one harness, and the rest is data.

mod ckks;
mod cli;
mod docs;
mod einsum;
mod golden;
mod layers;
mod papers;
mod property;
mod readme;
mod run;
mod support;
mod ui;
