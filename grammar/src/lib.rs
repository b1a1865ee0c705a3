//! The `.ein` language: source text to tokens to syntax tree.
