//! CKKS, approximate arithmetic on encrypted numbers: the schedule of an encrypted program, and what runs it.
//!
//! **Unaudited, not constant time, for evaluation.**
//!
//! [`Schedule`] is plain data: the parameters, the keys, and instructions over ciphertexts, with one text form. A
//! program that only writes or reads schedules needs nothing else. With the feature `ckks`, [`run()`] runs them:
//!
//! - the owner of the data makes a [`SecretKey`] and, for the keys that the schedule lists, [`EvaluationKeys`], and
//!   encrypts ([`Ciphertext::encrypt`]);
//! - who computes gets schedule, evaluation keys and ciphertexts, and calls [`run()`];
//! - the owner decrypts ([`Ciphertext::decrypt`]).
//!
//! Who computes is trusted to follow the schedule, and not to learn anything. Decrypted results carry noise that depends
//! on the secret key: do not hand them to strangers.

mod checksum;
mod error;
pub mod noise;
mod parameters;
#[cfg(feature = "ckks-poulpy")]
pub mod poulpy;
pub mod schedule;

#[cfg(all(feature = "ckks", target_arch = "x86_64"))]
mod avx2;
#[cfg(feature = "ckks")]
mod cipher;
#[cfg(feature = "ckks")]
mod context;
#[cfg(feature = "ckks")]
mod convert;
#[cfg(feature = "ckks")]
mod encode;
#[cfg(feature = "ckks")]
mod evaluate;
#[cfg(feature = "ckks")]
mod galois;
#[cfg(feature = "ckks")]
mod keys;
#[cfg(feature = "ckks")]
mod lanes;
#[cfg(feature = "ckks")]
mod modulus;
#[cfg(feature = "ckks")]
mod ntt;
#[cfg(feature = "ckks")]
mod random;
#[cfg(feature = "ckks")]
mod rows;
#[cfg(feature = "ckks")]
mod run;
#[cfg(feature = "ckks")]
mod store;
#[cfg(all(test, feature = "ckks"))]
mod tests;
#[cfg(all(feature = "ckks", target_arch = "x86_64"))]
mod vector;

pub use checksum::{Checksum, checksum};
#[cfg(feature = "ckks")]
pub use cipher::{Ciphertext, Decrypted};
#[cfg(feature = "ckks")]
pub use context::Context;
pub use error::{CkksError, Code};
#[cfg(feature = "ckks")]
pub use keys::{EvaluationKeys, SecretKey};
pub use parameters::{Parameters, Request, security_row};
#[cfg(feature = "ckks")]
pub use random::Random;
#[cfg(feature = "ckks")]
pub use run::{Inputs, Outputs, run};
pub use schedule::{Builder, Schedule};
#[cfg(feature = "ckks")]
pub use store::Bundle;
