//! A program split into what is clear and what is secret: the form that lowering starts from.
//!
//! Every secret tensor is an input, a sum of products of secret tensors (each with at most one clear factor), or a
//! polynomial of one secret tensor. Clear values are computed beside it, as one graph without secrets.

use crate::expr::{Affine, AxisId};
use crate::graph::Graph;
use crate::program::Approximation;
use crate::slots::Range;
use crate::slots::approx::evaluation::Evaluation;
use crate::source::Span;
use std::collections::BTreeSet;

/// The secret side of a program.
#[derive(Clone, Debug)]
pub struct Network {
    /// The name of the program.
    pub name: String,
    /// Every secret tensor.
    pub tensors: Vec<Secret>,
    /// How the computed ones are computed, in order.
    pub steps: Vec<Step>,
    /// The clear tensors that steps use.
    pub clears: Vec<ClearTensor>,
    /// What the client gets: names and secret tensors.
    pub outputs: Vec<(String, usize)>,
    /// The functions that are computed by polynomials, and how far these are from them on their range at most.
    pub approximated: Vec<(Approximation, f64)>,
    /// The graph whose outputs are the clear tensors, by name, and then the outputs that are no secrets.
    pub clear_graph: Graph,
}

/// A secret tensor.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub shape: Vec<u64>,
    /// Whether the client encrypts it.
    pub input: bool,
}

/// A clear tensor that steps use.
#[derive(Clone, Debug)]
pub struct ClearTensor {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub shape: Vec<u64>,
}

/// How a secret tensor is computed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The tensor.
    pub target: usize,
    /// The axes of the step: names and extents. Accesses name them by number.
    pub axes: Vec<(String, u64)>,
    /// The position of each dim of the target.
    pub dims: Vec<Affine>,
    /// How.
    pub kind: StepKind,
    /// Where it was written.
    pub span: Span,
}

/// How a step computes.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// A sum of products.
    Products(Vec<Term>),
    /// A polynomial of each element of one tensor.
    Polynomial {
        /// The tensor, of the target's shape, with values in -1..1.
        argument: usize,
        /// The products and sums that give it.
        evaluation: Evaluation,
        /// What it stands for, and where.
        range: Range,
    },
}

/// A product, summed over axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What the product is multiplied by.
    pub scale: f64,
    /// The axes summed over; each occurs in a factor.
    pub sum: Vec<usize>,
    /// The secret factors.
    pub factors: Vec<Factor>,
    /// The clear factor: a clear tensor and its access.
    pub clear: Option<Factor>,
}

/// An element of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The tensor's number.
    pub tensor: usize,
    /// The position of each dim, over the step's axes; positions outside the tensor are zero.
    pub access: Vec<Affine>,
}

impl Factor {
    /// The axes it depends on.
    pub fn axes(&self) -> BTreeSet<usize> {
        self.access.iter().flat_map(|index| index.terms.iter().map(|term| term.0.0 as usize)).collect()
    }
}

impl Step {
    /// The axes of the target.
    pub fn free(&self) -> BTreeSet<usize> {
        self.dims.iter().flat_map(|index| index.terms.iter().map(|term| term.0.0 as usize)).collect()
    }
}

/// The access by axes of these numbers, one for each dim.
pub fn by_axes(axes: &[usize]) -> Vec<Affine> {
    axes.iter().map(|&axis| Affine { terms: vec![(AxisId(axis as u32), 1)], constant: 0 }).collect()
}
