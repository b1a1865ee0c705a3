//! Tests.
mod einsum;
