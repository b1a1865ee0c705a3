//! Linear maps between layouts, as circuits of rotations and masked sums.
//!
//! A map `y[v] = sum of w(u, v) x[u]` is a sum over displacements `d = u - v` of `diag_d * (x rotated left d)`. Moving
//! between layouts, masking, copying and contracting with a clear tensor are all this. There are three ways to spend
//! fewer rotations than there are displacements:
//!
//! * [`bsgs`]: baby steps and giant steps, one level for any [`map`];
//! * [`route`]: bits that move into slots that hold zeros need no masks before they are added, so that `n` displacements
//!   cost `log2 n` rotations, and one mask after all of them;
//! * [`tree`]: sums and copies over a digit of any extent, by addition chains, without any level.

pub mod bsgs;
pub mod circuit;
pub mod map;
pub mod route;
pub mod tree;

pub use circuit::{Circuit, Counts, Plain, SlotSet, Step};
