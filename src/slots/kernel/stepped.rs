//! Products of matrices that are larger than a ciphertext, without skewing: one factor steps, the other is spread.
//!
//! ```text
//! 64x64 matrices, k contracted, row by row: 16 products in [(k5=i5 - z) k34:4 i:32 j:64], for z of 2 and x of 8
//! left   [k34:4 i5' i:32 *8 k:8]  right  [k34:4 k5 *4 k:8 j:64]     i5' = k5 - z
//! ```
//!
//! The slots run over parts of the contracted axes, the rows and the columns, as in [`skewed`](super::skewed). At step
//! `x` slot `(i, j)` works on `k = (j + x) mod X` of the lowest contracted bits. The left factor holds those in its
//! columns, so that a step rotates it; the right one holds them in its rows, so that it is rotated by each number of
//! rows and of these rotations each slot takes the one that brings row `j + x` to it. Neither is skewed.
//!
//! The highest bits of the rows may hold bits of `k` instead, so that there are fewer steps: for each `z` the left
//! factor holds in rows `u` of these bits what is in row `u - z` and column `u`, which is added to rows `u - z` of the
//! result. The right factor is the same for every `z`. As the result is the same in every part, its rows wrap around
//! at no cost.

use super::exact::settle;
use super::skewed::{Digit, Factor, Shape, finish, moved, shape};
use super::{Kernel, Placement, Request};
use crate::slots::layout::{Bit, Bits};
use crate::slots::linear::bsgs::{Entry, combine};
use crate::slots::linear::route::Placed;
use crate::slots::linear::{Circuit, Plain, SlotSet};

/// The most steps, as a power of two: the right factor takes a mask for each pair of them.
const MOST_STEPS: usize = 4;

/// The most bits of rows that hold contracted bits.
const MOST_HIGH: usize = 2;

/// The kernels, if the request is a product of two secret matrices in given layouts, or of a batch.
pub fn kernels(request: &Request) -> Vec<Kernel> {
    if !request.operands.iter().all(|placement| matches!(placement, Placement::Given(_))) {
        return Vec::new();
    }
    let Some(shape) = shape(request) else { return Vec::new() };
    // Rows of a batch do not wrap around.
    let most = if shape.batch.is_empty() { MOST_HIGH } else { 0 };
    let fits = |high: &usize| shape.steps - high <= MOST_STEPS;
    let splits = (0..=most.min(shape.steps)).filter(fits);
    let ways = splits.flat_map(|high| [(high, false), (high, true)]).filter(|way| *way != (0, true));
    ways.filter_map(|(high, early)| Stepped { shape: &shape, request, high }.build(early)).collect()
}

struct Stepped<'a> {
    shape: &'a Shape,
    request: &'a Request,
    /// How many of the highest bits of the rows hold contracted bits.
    high: usize,
}

impl Stepped<'_> {
    /// How many steps there are.
    fn steps(&self) -> i64 {
        1 << (self.shape.steps - self.high)
    }

    /// The rows below the high bits.
    fn low_rows(&self) -> i64 {
        (self.shape.row_extent() >> self.high) as i64
    }

    /// A factor with the contracted bits in the digit of the other's free axes: the steps lowest, the high bits highest.
    fn factor(&self, circuit: &mut Circuit, rows: bool) -> Option<usize> {
        let shape = self.shape;
        let operand = if rows { shape.row_operand } else { 1 - shape.row_operand };
        let Placement::Given(layout) = &self.request.operands[operand] else { return None };
        let mut from = layout.bits(shape.slots)?;
        from.bits
            .iter_mut()
            .for_each(|bit| *bit = bit.over(&self.request.contraction.operands[operand].axes));
        let steps = shape.steps - self.high;
        let (steps, rest) = shape.contracted.split_at(steps);
        let (parts, high) = rest.split_at(rest.len() - self.high);
        let beside = |free: &[Bit]| {
            let copies = vec![Bit::Copy; free.len() - shape.steps];
            [steps, &copies, high].concat()
        };
        let digits = match rows {
            true => [beside(&shape.columns), shape.rows.clone()],
            false => [shape.columns.clone(), beside(&shape.rows)],
        };
        let [low, above] = digits;
        let bits = [low, above, shape.batch.clone(), parts.to_vec()].concat();
        let to = Bits { bits, slot_bits: from.slot_bits };
        let placed = Placed::input(circuit, operand, &from);
        moved(circuit, placed, &to)
    }

    /// The left factor where the high bits of the row are `u` and its column is `u + z`, over all columns of these bits.
    fn diagonal(&self, circuit: &mut Circuit, left: usize, z: usize) -> Option<usize> {
        let (width, values) = (self.shape.width(), 1usize << self.high);
        let stride = width / values;
        let entries = (0..self.shape.slots).map(|slot| {
            let u = slot / (width * self.low_rows() as usize) % values;
            let from = (u + z) % values * stride;
            let baby = from as i64 - (slot / stride % values * stride) as i64;
            Entry { source: left, slot, baby, giant: 0, element: 0 }
        });
        let sum = combine(circuit, entries.collect::<Vec<_>>(), None)?;
        Some(circuit.rescale(sum))
    }

    /// The left factor for each `z`, at each step. `early` moves the rows before the steps, in a level of their own.
    fn lefts(&self, circuit: &mut Circuit, early: bool) -> Option<Vec<Vec<usize>>> {
        let shape = self.shape;
        let left = self.factor(circuit, true)?;
        let width = shape.width() as i64;
        let columns = Digit { extent: width, right: width, offsets: vec![0, -width] };
        let mut all = Vec::new();
        for z in 0..1 << self.high {
            let value = if self.high > 0 { self.diagonal(circuit, left, z)? } else { left };
            let mut factor = Factor { value, rows: shape.whole(true), columns: columns.clone() };
            let mut down = -(z as i64 * self.low_rows());
            if early && z > 0 {
                factor.value = shape.advanced(circuit, &factor, down, 0)?;
                down = 0;
            }
            let steps = (0..self.steps()).map(|x| shape.advanced(circuit, &factor, down, x));
            all.push(steps.collect::<Option<Vec<usize>>>()?);
        }
        Some(all)
    }

    /// The right factor at each step: in slot `(i, j)` the row whose lowest contracted bits are `j + x`.
    fn rights(&self, circuit: &mut Circuit) -> Option<Vec<usize>> {
        let shape = self.shape;
        let value = self.factor(circuit, false)?;
        let (width, steps) = (shape.width(), self.steps());
        let extent = self.low_rows();
        let rows = match self.high == 0 && shape.blocks() == 1 {
            true => Digit { extent, right: 2 * extent, offsets: vec![0] },
            false => Digit { extent, right: extent, offsets: vec![0, -extent] },
        };
        let columns = Digit { extent: width as i64, right: width as i64, offsets: vec![0] };
        let factor = Factor { value, rows, columns };
        let rotated = (0..steps).map(|rows| shape.advanced(circuit, &factor, rows, 0));
        let rotated = rotated.collect::<Option<Vec<usize>>>()?;
        let spread = |x: i64| {
            let terms = (0..steps).zip(&rotated).map(|(rows, value)| {
                let takes = |slot: usize| {
                    ((slot % width) as i64 + x - (slot / width) as i64).rem_euclid(steps) == rows
                };
                circuit.mul_plain(*value, Plain::Mask(SlotSet::of(shape.slots, takes)))
            });
            let terms: Vec<usize> = terms.collect();
            let sum = circuit.sum(terms)?;
            Some(circuit.rescale(sum))
        };
        (0..steps).map(spread).collect()
    }

    fn build(&self, early: bool) -> Option<Kernel> {
        let shape = self.shape;
        let mut circuit = Circuit::new(shape.slots);
        let lefts = self.lefts(&mut circuit, early)?;
        let rights = self.rights(&mut circuit)?;
        let mut sums = Vec::new();
        for (z, lefts) in lefts.iter().enumerate() {
            let pairs = lefts.iter().zip(&rights);
            let products: Vec<usize> = pairs.map(|(left, right)| circuit.mul(*left, *right)).collect();
            let sum = circuit.sum(products)?;
            let sum = settle(&mut circuit, sum);
            sums.push(circuit.rotate(sum, z as i64 * self.low_rows() * shape.width() as i64));
        }
        let sum = circuit.sum(sums)?;
        finish("stepped", self.request, shape, circuit, sum)
    }
}
