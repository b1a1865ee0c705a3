//! Tests.
mod einsum;
mod property;
