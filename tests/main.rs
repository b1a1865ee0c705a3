//! Tests of the whole compiler, in one binary: each folder has one harness, and the rest is data.

mod bad_input;
mod cli;
mod docs;
mod einsum;
mod golden;
mod layers;
mod papers;
mod property;
mod readme;
mod rewrites;
mod run;
mod support;
mod ui;
