//! Products of matrices that are too large to be spread over one ciphertext.
//!
//! The slots run over `n`, `i` and a few values of `k`: slot `(n, i, c)` works at step `t` on
//! `k = c T + (i + n + t) mod T`, so `T = K / C` steps are summed up. In that order the left factor advances by whole
//! rows, a pure rotation. The right one advances by `i`, inside the rows; where that wraps around, the row before is
//! needed, so it is one rotation of a mixture of the factor and of its copy a row before, which is made once.
//!
//! With steps `t = s + b`, babies `b` and giants `s`, the right factor is advanced by the babies alone, and the partial
//! sums by the giants, if the left factor is taken back by those; `T` steps cost about `T + a + b` rotations, `a b = T`:
//! 25 for matrices of 64 at 16384 slots and 150 for those of 128, from one ciphertext each.

use super::exact::settle;
use super::{Kernel, Placement, Request};
use crate::slots::layout::{Layout, Piece, Term};
use crate::slots::linear::tree::window;
use crate::slots::linear::{Circuit, SlotSet};

/// The axes and sizes of a product of matrices, all powers of two, `rows * columns * parts * batch` being the slots.
#[derive(Clone, Debug)]
struct Shape {
    left: usize,
    right: usize,
    contracted: usize,
    batch: Option<usize>,
    /// `i`, the rows of the left factor, padded.
    rows: usize,
    /// `n`, the columns of the right factor, padded.
    columns: usize,
    /// `C`: how many values of `k` are at work at once.
    parts: usize,
    /// `T`.
    steps: usize,
    /// The extent of the axis that all tensors have.
    batches: usize,
}

/// The kernel, if the request is a product of two secret matrices, or of a batch, with free layouts.
pub fn kernels(request: &Request) -> Vec<Kernel> {
    shape(request).map(|shape| build(request, &shape)).into_iter().collect()
}

fn shape(request: &Request) -> Option<Shape> {
    let contraction = &request.contraction;
    let [one, other] = &contraction.operands[..] else { return None };
    let free = request.operands.iter().all(|placement| *placement == Placement::Free);
    if !free || one.clear || other.clear || matches!(request.output, Placement::Given(_)) {
        return None;
    }
    let only = |mut axes: Vec<usize>| if axes.len() > 1 { None } else { Some(axes.pop()) };
    let kept = |axis: &&usize| contraction.output.contains(*axis);
    let both = |axis: &&usize| one.axes.contains(*axis) && other.axes.contains(*axis);
    let left = only(one.axes.iter().filter(kept).filter(|axis| !both(axis)).copied().collect())??;
    let right = only(other.axes.iter().filter(kept).filter(|axis| !both(axis)).copied().collect())??;
    let batch = only(one.axes.iter().filter(kept).filter(both).copied().collect())?;
    let contracted = only(one.axes.iter().filter(|axis| !kept(axis)).filter(both).copied().collect())??;
    let ranks = (one.axes.len(), other.axes.len());
    if ranks != (2 + usize::from(batch.is_some()), 2 + usize::from(batch.is_some())) {
        return None;
    }
    let padded = |axis: usize| contraction.axes[axis].extent.checked_next_power_of_two();
    let (rows, columns, inner) = (padded(left)?, padded(right)?, padded(contracted)?);
    let batches = batch.map_or(Some(1), padded)?;
    let area = rows.checked_mul(columns)?.checked_mul(batches)?;
    let parts = request.slots.checked_div(area).filter(|parts| *parts > 0)?.min(inner);
    // What is left over makes the columns longer, so that the rotations of rows wrap around at the last slot.
    let columns = request.slots / (rows * parts * batches);
    let steps = inner / parts;
    let fits = steps > 1 && steps <= rows && steps <= columns && steps <= 256;
    fits.then_some(Shape { left, right, contracted, batch, rows, columns, parts, steps, batches })
}

impl Shape {
    /// The slots of a row.
    fn row(&self) -> i64 {
        (self.rows * self.parts * self.batches) as i64
    }

    /// The slots of one value of `i`.
    fn item(&self) -> i64 {
        (self.parts * self.batches) as i64
    }

    /// The slots whose `i` is in a range.
    fn items(&self, slots: usize, holds: impl Fn(usize) -> bool) -> SlotSet {
        SlotSet::of(slots, |slot| holds(slot / self.item() as usize % self.rows))
    }

    /// Rotations with so many babies.
    fn rotations(&self, babies: usize) -> usize {
        let giants = self.steps.div_ceil(babies);
        let left = self.steps - 1 + usize::from(babies == 1 && giants > 1);
        let right = babies - 1 + usize::from(babies > 1);
        left + right + giants - 1 + usize::from(giants > 1)
    }
}

/// `m x` plus `(1 - m) y`, with a mask over `i`.
fn mixture(circuit: &mut Circuit, shape: &Shape, x: usize, y: usize, first: impl Fn(usize) -> bool) -> usize {
    let slots = circuit.slots;
    let x = circuit.mul_plain(x, super::Plain::Mask(shape.items(slots, &first)));
    let y = circuit.mul_plain(y, super::Plain::Mask(shape.items(slots, |item| !first(item))));
    let sum = circuit.add(x, y);
    circuit.rescale(sum)
}

fn build(request: &Request, shape: &Shape) -> Kernel {
    let slots = request.slots;
    let mut circuit = Circuit::new(slots);
    let (row, item) = (shape.row(), shape.item());
    let babies =
        (1..=shape.steps).min_by_key(|babies| (shape.rotations(*babies), babies.abs_diff(shape.steps / 8)));
    let babies = babies.unwrap_or(1);
    let left = circuit.input(0, 0);
    let right = circuit.input(1, 0);
    let before = circuit.rotate(right, -row);
    let mut rights = vec![right];
    for baby in 1..babies {
        let mixed = mixture(&mut circuit, shape, right, before, |item| item >= baby);
        rights.push(circuit.rotate(mixed, item * baby as i64));
    }
    let mut sums: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    let mut first = None;
    for giant in 0..shape.steps.div_ceil(babies) {
        let by = giant * babies;
        let mut taken_back = left;
        if giant > 0 {
            let next = circuit.rotate(left, row);
            let mixed = mixture(&mut circuit, shape, left, next, |item| item < shape.rows - by);
            taken_back = circuit.rotate(mixed, by as i64 * (row - item));
        }
        let mut products = Vec::new();
        for (baby, right) in rights.iter().enumerate().take(shape.steps - by) {
            let advanced = circuit.rotate(taken_back, baby as i64 * row);
            products.push(circuit.mul(advanced, *right));
        }
        let sum = circuit.sum(products).unwrap_or(left);
        let sum = settle(&mut circuit, sum);
        if giant == 0 {
            first = Some(sum);
            continue;
        }
        let moved = circuit.rotate(sum, by as i64 * item);
        for (wrapped, sums) in sums.iter_mut().enumerate() {
            let keep = shape.items(slots, |item| (item >= shape.rows - by) == (wrapped == 1));
            sums.push(circuit.mul_plain(moved, super::Plain::Mask(keep)));
        }
    }
    let [inside, wrapped] = sums.map(|sums| circuit.sum(sums).map(|sum| circuit.rescale(sum)));
    let wrapped = wrapped.map(|wrapped| circuit.rotate(wrapped, -row));
    let sum = circuit.sum(first.into_iter().chain(inside).chain(wrapped)).unwrap_or(left);
    let mut value = window(&mut circuit, sum, shape.parts, shape.batches as i64);
    let clean = request.output == Placement::Free && shape.parts > 1;
    if clean {
        let part = |slot: usize| slot / shape.batches % shape.parts;
        value = circuit.mask(value, SlotSet::of(slots, |slot| part(slot) == 0));
    }
    circuit.outputs = vec![value];
    let operands = vec![left_layout(request, shape), right_layout(request, shape)];
    let output = output_layout(request, shape, clean);
    Kernel { name: "rotating", operands, output, counts: circuit.counts(), circuit }
}

/// The pieces of the parts of `k` and of the batch, lowest in every layout.
fn low(shape: &Shape, dims: &[usize], parts: Piece) -> Vec<Piece> {
    let dim = |axis: usize| dims.iter().position(|dim| *dim == axis).unwrap_or(0);
    let batch = shape.batch.map(|batch| Piece::Digit { axis: dim(batch), div: 1, extent: shape.batches });
    [parts].into_iter().chain(batch).collect()
}

fn placed(request: &Request, dims: &[usize], high: Vec<Piece>, low: Vec<Piece>) -> Layout {
    let slots = high.into_iter().chain(low).filter(|piece| piece.extent() > 1).collect();
    Layout { axes: request.contraction.axes_of(dims), ciphertexts: Vec::new(), slots, unknown_rest: false }
}

/// `(k - axis) mod T`, as a piece.
fn skew(shape: &Shape, contracted: usize, axis: usize) -> Piece {
    let terms = vec![Term { axis: contracted, factor: 1 }, Term { axis, factor: -1 }];
    Piece::Affine { terms, extent: shape.steps }
}

fn left_layout(request: &Request, shape: &Shape) -> Layout {
    let dims = &request.contraction.operands[0].axes;
    let dim = |axis: usize| dims.iter().position(|dim| *dim == axis).unwrap_or(0);
    let (i, k) = (dim(shape.left), dim(shape.contracted));
    let copies = Piece::Copy(shape.columns / shape.steps);
    let high = vec![copies, skew(shape, k, i), Piece::Digit { axis: i, div: 1, extent: shape.rows }];
    let parts = Piece::Digit { axis: k, div: shape.steps, extent: shape.parts };
    placed(request, dims, high, low(shape, dims, parts))
}

fn right_layout(request: &Request, shape: &Shape) -> Layout {
    let dims = &request.contraction.operands[1].axes;
    let dim = |axis: usize| dims.iter().position(|dim| *dim == axis).unwrap_or(0);
    let (n, k) = (dim(shape.right), dim(shape.contracted));
    let copies = Piece::Copy(shape.rows / shape.steps);
    let high = vec![Piece::Digit { axis: n, div: 1, extent: shape.columns }, copies, skew(shape, k, n)];
    let parts = Piece::Digit { axis: k, div: shape.steps, extent: shape.parts };
    placed(request, dims, high, low(shape, dims, parts))
}

fn output_layout(request: &Request, shape: &Shape, clean: bool) -> Layout {
    let dims = &request.contraction.output;
    let dim = |axis: usize| dims.iter().position(|dim| *dim == axis).unwrap_or(0);
    let high = [(shape.right, shape.columns), (shape.left, shape.rows)];
    let high = high.map(|(axis, extent)| Piece::Digit { axis: dim(axis), div: 1, extent });
    let parts = if clean { Piece::Zero(shape.parts) } else { Piece::Unknown(shape.parts) };
    placed(request, dims, high.to_vec(), low(shape, dims, parts))
}
