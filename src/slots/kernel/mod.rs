//! Contractions of packed tensors: for one product of tensors and its sums, the circuits that compete.
//!
//! ```text
//! o[i] = sum[k] A[i, k] * b[k]      A [i:128 k:128], b [_128 k:128], o [_128 i:128], 16384 slots:
//! b is copied 128 times (7 rotations), one product, a sum over k (7), a mask, a gather (7), a mask
//! ```
//!
//! [`kernels`] is the entry. [`spread`] lays every operand out over all axes, multiplies once and sums up; it takes any
//! layouts whose digits are powers of two, and its search decides which axis bit sits where. [`exact`] does the same
//! over digits of any extents where the layouts are free, [`rotating`] multiplies matrices that are too large to be
//! spread over one ciphertext where the layouts are free, [`skewed`] and [`stepped`] where they are given, and [`matrix`]
//! contracts a vector with a clear matrix.

pub mod exact;
pub mod matrix;
pub mod rotating;
pub mod skewed;
pub mod spread;
pub mod stepped;

use super::layout::{Axis, Layout};
use super::linear::{Circuit, Counts, Plain, Step};

/// A product of tensors, summed over every axis that the output lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contraction {
    /// The axes of all operands.
    pub axes: Vec<Axis>,
    /// The operands.
    pub operands: Vec<Operand>,
    /// The axes of the output's dims, each once.
    pub output: Vec<usize>,
}

/// An operand of a contraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The axes of its dims, each once.
    pub axes: Vec<usize>,
    /// Whether its numbers are clear.
    pub clear: bool,
}

/// Where a tensor has to sit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Anywhere, with as many copies as wanted; an output is clean.
    Free,
    /// An output anywhere, with whatever else in slots that its layout calls unknown.
    Loose,
    /// There.
    Given(Layout),
}

/// What is asked of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to compute.
    pub contraction: Contraction,
    /// How many slots a ciphertext has, a power of two.
    pub slots: usize,
    /// Where the operands sit.
    pub operands: Vec<Placement>,
    /// Where the output must sit.
    pub output: Placement,
    /// How many levels may be spent.
    pub levels: usize,
}

/// A circuit for a contraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Which kind it is.
    pub name: &'static str,
    /// The layouts of the operands, over their own dims.
    pub operands: Vec<Layout>,
    /// The layout of the output, over its own dims.
    pub output: Layout,
    /// What is computed; its outputs are the ciphertexts of the output in order.
    pub circuit: Circuit,
    /// What that costs.
    pub counts: Counts,
}

impl Contraction {
    /// Reads `ik,kj->ij`, with the extents of its letters; no operand is clear.
    ///
    /// ```
    /// use einc::slots::kernel::Contraction;
    ///
    /// let product = Contraction::parse("ik,k->i", &[("i", 128), ("k", 64)]).unwrap();
    /// assert_eq!((product.operands.len(), product.axes[1].extent), (2, 64));
    /// ```
    pub fn parse(equation: &str, extents: &[(&str, usize)]) -> Option<Contraction> {
        let (operands, output) = equation.split_once("->")?;
        let letter = |letter: char| extents.iter().position(|(name, _)| *name == letter.to_string());
        let letters = |text: &str| text.chars().map(letter).collect::<Option<Vec<usize>>>();
        let operands =
            operands.split(',').map(|operand| Some(Operand { axes: letters(operand)?, clear: false }));
        Some(Contraction {
            axes: extents
                .iter()
                .map(|(name, extent)| Axis { name: (*name).into(), extent: *extent })
                .collect(),
            operands: operands.collect::<Option<Vec<_>>>()?,
            output: letters(output)?,
        })
    }

    /// The axes of a tensor whose dims are these.
    pub fn axes_of(&self, dims: &[usize]) -> Vec<Axis> {
        dims.iter().map(|axis| self.axes[*axis].clone()).collect()
    }
}

impl Request {
    /// All operands and the output in row-major order.
    pub fn row_major(contraction: Contraction, slots: usize, levels: usize) -> Request {
        let placed = |dims: &[usize]| Placement::Given(Layout::row_major(&contraction.axes_of(dims), slots));
        let operands = contraction.operands.iter().map(|operand| match operand.clear {
            true => Placement::Free,
            false => placed(&operand.axes),
        });
        let (operands, output) = (operands.collect(), placed(&contraction.output));
        Request { contraction, slots, operands, output, levels }
    }

    /// All layouts free.
    pub fn free(contraction: Contraction, slots: usize, levels: usize) -> Request {
        let operands = vec![Placement::Free; contraction.operands.len()];
        Request { contraction, slots, operands, output: Placement::Free, levels }
    }

    fn well_formed(&self) -> bool {
        let contraction = &self.contraction;
        let operands = contraction.operands.iter().map(|operand| &operand.axes);
        let once = |dims: &[usize]| {
            let known = dims.iter().all(|axis| *axis < contraction.axes.len());
            known && (1..dims.len()).all(|dim| !dims[..dim].contains(&dims[dim]))
        };
        let held = |axis: &usize| contraction.operands.iter().any(|operand| operand.axes.contains(axis));
        operands.clone().chain([&contraction.output]).all(|dims| once(dims))
            && contraction.output.iter().all(held)
            && self.slots.is_power_of_two()
            && !contraction.operands.is_empty()
            && self.operands.len() == contraction.operands.len()
            && contraction.axes.iter().all(|axis| axis.extent > 0)
    }
}

/// The circuits for a contraction that are not worse than another in rotations, levels and inputs; the fewest levels
/// first. None if a tensor has one axis twice, or nothing fits.
pub fn kernels(request: &Request) -> Vec<Kernel> {
    if !request.well_formed() {
        return Vec::new();
    }
    let mut found = spread::kernels(request);
    found.extend(exact::kernel(request));
    found.extend(rotating::kernels(request));
    found.extend(skewed::kernels(request));
    found.extend(stepped::kernels(request));
    found.extend(matrix::kernels(request));
    found.retain(|kernel| kernel.counts.levels <= request.levels);
    pareto(found)
}

impl Kernel {
    /// How many ciphertexts it reads.
    pub fn inputs(&self) -> usize {
        self.circuit.steps.iter().filter(|step| matches!(step, Step::Input { .. })).count()
    }
}

/// Those that no other beats in levels, key switches, products and inputs at once.
fn pareto(kernels: Vec<Kernel>) -> Vec<Kernel> {
    let key = |kernel: &Kernel| {
        let counts = kernel.counts;
        (
            counts.levels,
            counts.rotations + counts.relinearizations,
            kernel.inputs(),
            counts.mul + counts.mul_plain,
        )
    };
    let beats = |one: &Kernel, other: &Kernel| {
        let (one, other) = (key(one), key(other));
        one.0 <= other.0 && one.1 <= other.1 && one.2 <= other.2 && (one.3 <= other.3 || one.1 < other.1)
    };
    let mut kept: Vec<Kernel> = Vec::new();
    for kernel in kernels {
        if kept.iter().any(|other| beats(other, &kernel)) {
            continue;
        }
        kept.retain(|other| !beats(&kernel, other));
        kept.push(kernel);
    }
    kept.sort_by_key(key);
    kept
}

#[cfg(test)]
pub(crate) mod judge;
#[cfg(test)]
mod tests;
