//! Packed ciphertexts: where elements sit in slots, and how they get from one place to another.

pub mod approx;
pub mod kernel;
pub mod layout;
pub mod linear;
