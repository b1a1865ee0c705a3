//! A tensor network as a caller states it, and why one or its plan is refused.

use super::{Amount, Plan};
use std::fmt;

/// A product of tensors, summed over every axis that the result lacks.
///
/// Axes are numbers into `extents`; an axis may be carried by any number of operands, or twice by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    mark: u128,
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
        let mut mark = Mark::new();
        for axes in inputs.iter().chain([&output]) {
            mark.add(axes.len() as u64 + (1 << 40));
            axes.iter().for_each(|&axis| mark.add(u64::from(axis)));
        }
        extents.iter().for_each(|&extent| mark.add(extent));
        Ok(Network { mark: mark.value(), inputs, output, extents })
    }

    /// A number that equal networks share, and that different ones do not but by a chance of 2^-128.
    pub fn mark(&self) -> u128 {
        self.mark
    }

    /// Whether two networks differ in extents alone.
    pub(crate) fn is_like(&self, other: &Network) -> bool {
        (&self.inputs, &self.output) == (&other.inputs, &other.output)
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

/// Mixes numbers into one, in two ways that do not depend on one another.
pub(crate) struct Mark(u64, u64);

impl Mark {
    pub(crate) fn new() -> Mark {
        Mark(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }

    #[inline]
    pub(crate) fn add(&mut self, number: u64) {
        // The two halves of a product depend on every bit of both factors, but for those of zero, which are never met
        // twice: what is added next is mixed in before.
        let fold = |state: u64, key: u64, factor: u64| {
            let product = u128::from((state ^ number).wrapping_add(key)) * u128::from(factor);
            (product as u64) ^ (product >> 64) as u64
        };
        self.0 = fold(self.0, 0xa409_3822_299f_31d1, 0x9e37_79b9_7f4a_7c15);
        self.1 = fold(self.1, 0x082e_fa98_ec4e_6c89, 0xbf58_476d_1ce4_e5b9);
    }

    pub(crate) fn value(mut self) -> u128 {
        // What was added last is mixed as well as what came before.
        (0..3).for_each(|number| self.add(number));
        u128::from(self.0) << 64 | u128::from(self.1)
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
