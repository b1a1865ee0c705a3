//! CKKS, approximate arithmetic on encrypted numbers: the schedule of an encrypted program, and what runs it.
//!
//! **Unaudited, not constant time, for evaluation.**
//!
//! [`Schedule`] is plain data: the parameters, the keys, and instructions over ciphertexts, with one text form. A
//! program that only writes or reads schedules needs nothing else.

mod checksum;
mod error;
mod parameters;
pub mod schedule;

pub use checksum::{Checksum, checksum};
pub use error::{CkksError, Code};
pub use parameters::{Parameters, Request, security_row};
pub use schedule::{Builder, Schedule};
