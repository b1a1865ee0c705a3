//! From a graph to packed ciphertexts.
//!
//! [`split()`] tells what is secret; [`lower`] chooses layouts and gives a program.

mod acquire;
mod chain;
mod kernel;
mod linear;
mod network;
mod product;
mod search;
mod split;
mod sum;
mod working;

pub use network::Network;
pub use split::split;

use super::Slots;
use crate::graph::{self, Graph};
use crate::pass::Pass;
use crate::source::Span;

/// The passes of a graph that is to be encrypted, in order. Statements stay apart, so that a function is found by its
/// statement.
pub const PASSES: &[Pass<Graph>] = &[
    Pass { name: "fold-constants", run: graph::fold_constants },
    Pass { name: "share-common", run: graph::share_common },
    Pass { name: "fold-copies", run: graph::fold_copies },
    Pass { name: "find-contractions", run: graph::find_contractions },
    Pass { name: "drop-unused", run: graph::drop_unused },
];

/// How inputs and outputs lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The compiler chooses; the client packs.
    #[default]
    Free,
    /// Row by row, dims padded to powers of two, zeros elsewhere.
    RowMajor,
}

/// Lowers the secret side of a program. With a `depth` all levels up to it are spent where that saves time; what does not
/// fit is deeper.
///
/// # Errors
/// The place of the step that has no layout within the limits.
pub fn lower(network: &Network, slots: u32, interface: Interface, depth: Option<u32>) -> Result<Slots, Span> {
    let (builder, outputs) = search::search(network, slots, interface == Interface::Free, depth)?;
    Ok(builder.finish(&network.name, outputs))
}
