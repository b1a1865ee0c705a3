//! A tensor network as a caller states it, and why one or its plan is refused.

use super::{Amount, Plan};
use std::fmt;

/// A product of tensors, summed over every axis that the result lacks.
///
/// Axes are numbers into `extents`; an axis may be carried by any number of operands, or twice by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    inputs: Vec<Vec<u32>>,
    output: Vec<u32>,
    extents: Vec<u64>,
}

impl Network {
    /// Checks and keeps a network.
    ///
    /// # Errors
    /// Refuses an axis without an extent, an output axis that occurs twice or in no input, and networks too large
    /// to number with 32 bits.
    pub fn new(inputs: Vec<Vec<u32>>, output: Vec<u32>, extents: Vec<u64>) -> Result<Network, Refusal> {
        if inputs.len() > (1 << 30) || extents.len() > (1 << 30) {
            return Err(Refusal::TooLarge);
        }
        let mut state = vec![0u8; extents.len()];
        for (operand, axes) in inputs.iter().enumerate() {
            for &axis in axes {
                match state.get_mut(axis as usize) {
                    Some(seen) => *seen = 1,
                    None => return Err(Refusal::UnknownAxis { operand: Some(operand), axis }),
                }
            }
        }
        for &axis in &output {
            match state.get_mut(axis as usize) {
                None => return Err(Refusal::UnknownAxis { operand: None, axis }),
                Some(0) => return Err(Refusal::MissingOutput { axis }),
                Some(1) => state[axis as usize] = 2,
                Some(_) => return Err(Refusal::RepeatedOutput { axis }),
            }
        }
        Ok(Network { inputs, output, extents })
    }

    /// The axes of each operand.
    pub fn inputs(&self) -> &[Vec<u32>] {
        &self.inputs
    }

    /// The axes of the result.
    pub fn output(&self) -> &[u32] {
        &self.output
    }

    /// How long each axis is.
    pub fn extents(&self) -> &[u64] {
        &self.extents
    }

    /// The elements of an operand as it is given.
    pub fn elems(&self, axes: &[u32]) -> Amount {
        axes.iter()
            .fold(Amount::ONE, |product, &axis| product * Amount::new(self.extents[axis as usize] as f64))
    }
}

/// Why there is no plan.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// An operand, or the output, has an axis that has no extent.
    UnknownAxis {
        /// The operand; none for the output.
        operand: Option<usize>,
        /// The axis.
        axis: u32,
    },
    /// The output has an axis that no input has.
    MissingOutput {
        /// The axis.
        axis: u32,
    },
    /// The output has an axis twice.
    RepeatedOutput {
        /// The axis.
        axis: u32,
    },
    /// More operands or axes than 2^30.
    TooLarge,
    /// A path names an operand that is not there or is used already, or does not end in one tensor.
    InvalidPath {
        /// The first wrong step.
        step: usize,
    },
    /// A slice names an axis that is not there, or one axis twice.
    InvalidSlice {
        /// The axis.
        axis: u32,
    },
    /// The extent of an axis is outside its range, or the range makes no sense.
    InvalidRange {
        /// The axis.
        axis: u32,
    },
    /// No plan was found that stays within the memory limit.
    Memory {
        /// The least that was needed, in elements, measured as the limit is.
        needed: Amount,
        /// The plan that needs it.
        best: Box<Plan>,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownAxis { operand: Some(operand), axis } => {
                write!(f, "operand {operand} has axis {axis}, which has no extent")
            }
            Refusal::UnknownAxis { operand: None, axis } => {
                write!(f, "the output has axis {axis}, which has no extent")
            }
            Refusal::MissingOutput { axis } => write!(f, "the output has axis {axis}, which no operand has"),
            Refusal::RepeatedOutput { axis } => write!(f, "the output has axis {axis} twice"),
            Refusal::TooLarge => write!(f, "more than 2^30 operands or axes"),
            Refusal::InvalidPath { step } => {
                write!(f, "step {step} of the path names an operand that is not there or already used")
            }
            Refusal::InvalidSlice { axis } => write!(f, "axis {axis} cannot be sliced, or is sliced twice"),
            Refusal::InvalidRange { axis } => write!(f, "the extent of axis {axis} is outside its range"),
            Refusal::Memory { needed, .. } => {
                write!(f, "no order within the memory limit; the best one found needs {needed} elements")
            }
        }
    }
}

impl std::error::Error for Refusal {}
