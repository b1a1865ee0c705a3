//! The einc compiler.

pub mod backend;
pub mod diagnostic;
pub mod expr;
pub mod fault;
pub mod graph;
pub mod id;
pub mod interpret;
pub mod loops;
pub mod machine;
pub mod pass;
pub mod plan;
pub mod program;
pub mod source;
