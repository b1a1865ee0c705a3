//! The einc compiler.
