//! The `.ein` language: source text to tokens to syntax tree.
pub mod tree;
