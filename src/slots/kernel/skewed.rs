//! Products of matrices that are larger than a ciphertext, in any layouts.
//!
//! ```text
//! 64x64 matrices, k contracted:  [k/16:4 i:64 *4 (k-i):16]  [k/16:4 *4 (k-j):16 j:64]  16 products in [*4 i:64 j:64]
//! ```
//!
//! The slots run over parts of `k`, the batch, `i` and `j`. At step `t` slot `(c, i, j)` works on `k = c T + (i + j + t)
//! mod T`, so `T` products are summed up. The factors come skewed where they are free. Where they are given they are skewed
//! once: a digit moves by another, bit by bit, through the gap beside it, and is copied over that gap without a mask.
//!
//! A step is a sum `t = x + y + z`. With the left factor advanced to `(i - z, j + x + z)` and the right one to
//! `(i + x + y, j - y)`, slot `(i, j)` adds to `(i - z, j - y)` of the result: so there are `|x| |z|` values of the left
//! factor, `|x| |y|` of the right one and `|y| |z|` sums, and the split with the fewest rotations is taken. An advance
//! that wraps around is one rotation of a mixture of the factor and of itself a period away. The result is the same in
//! every part after the sum over parts, so that its rows wrap around at no cost.

use super::exact::settle;
use super::{Kernel, Placement, Request};
use crate::slots::layout::{Bit, Bits, Layout, Piece, Term};
use crate::slots::linear::bsgs::{Entry, combine};
use crate::slots::linear::route::{Effort, Placed, ROTATION, route};
use crate::slots::linear::tree::window;
use crate::slots::linear::{Circuit, Plain, SlotSet};
use std::collections::BTreeMap;

/// The most steps, as a power of two.
const MOST_STEPS: u32 = 8;

/// The axes of a product of matrices in bits, lowest first, and how many bits each digit of the slots has.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The operand whose free axes are the rows.
    pub(super) row_operand: usize,
    pub(super) rows: Vec<Bit>,
    pub(super) columns: Vec<Bit>,
    pub(super) batch: Vec<Bit>,
    pub(super) contracted: Vec<Bit>,
    /// How many bits of the contracted axes are steps; the others are parts.
    pub(super) steps: usize,
    /// Whether the factor of the rows comes skewed, and that of the columns.
    free: [bool; 2],
    pub(super) slots: usize,
}

/// How many values the parts `x`, `y` and `z` of a step take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    x: usize,
    y: usize,
    z: usize,
}

/// How far one digit of a factor is right, and what brings the rest there.
#[derive(Clone, Debug)]
pub(super) struct Digit {
    pub(super) extent: i64,
    /// Positions `0..right` hold what they should.
    pub(super) right: i64,
    /// Multiples of the period that are tried in turn to come inside them.
    pub(super) offsets: Vec<i64>,
}

/// A factor that is advanced by rows and columns.
pub(super) struct Factor {
    pub(super) value: usize,
    pub(super) rows: Digit,
    pub(super) columns: Digit,
}

/// The kernels, if the request is a product of two secret matrices, or of a batch.
pub fn kernels(request: &Request) -> Vec<Kernel> {
    let Some(shape) = shape(request) else { return Vec::new() };
    let mut found = Vec::new();
    for parts in shape.choices() {
        for bits in [1, 2, 4] {
            found.extend(build(request, &shape, parts, bits));
        }
    }
    found
}

pub(super) fn shape(request: &Request) -> Option<Shape> {
    let contraction = &request.contraction;
    let [one, other] = &contraction.operands[..] else { return None };
    if one.clear || other.clear {
        return None;
    }
    let kept = |axis: &usize| contraction.output.contains(axis);
    let apart = |one: &[usize], other: &[usize]| -> Vec<usize> {
        one.iter().copied().filter(|axis| !other.contains(axis)).collect()
    };
    let free = [apart(&one.axes, &other.axes), apart(&other.axes, &one.axes)];
    if !free.iter().flatten().all(kept) {
        return None;
    }
    let shared: Vec<usize> = one.axes.iter().copied().filter(|axis| other.axes.contains(axis)).collect();
    let (batch, contracted_axes): (Vec<usize>, Vec<usize>) = shared.into_iter().partition(kept);
    let batch_axes = batch.len();
    let bits = |axes: &[usize]| -> Vec<Bit> {
        let bits = |axis: &usize| contraction.axes[*axis].extent.next_power_of_two().ilog2();
        axes.iter().rev().flat_map(|axis| (0..bits(axis)).map(|bit| Bit::Of(*axis, bit))).collect()
    };
    let in_order = |axes: &[usize]| {
        bits(&contraction.output.iter().copied().filter(|a| axes.contains(a)).collect::<Vec<_>>())
    };
    // The rows are what lies higher in the output.
    let first = contraction.output.iter().find(|axis| free.iter().any(|free| free.contains(axis)))?;
    let row_operand = usize::from(free[1].contains(first));
    let (rows, columns) = (in_order(&free[row_operand]), in_order(&free[1 - row_operand]));
    let (batch, contracted) = (in_order(&batch), bits(&contracted_axes));
    let slot_bits = request.slots.ilog2() as usize;
    let parts = slot_bits.checked_sub(rows.len() + columns.len() + batch.len())?;
    let steps =
        contracted.len().checked_sub(parts).filter(|steps| (1..=MOST_STEPS as usize).contains(steps))?;
    let single = [&free[0], &free[1], &contracted_axes].iter().all(|axes| axes.len() == 1) && batch_axes < 2;
    let given = request.operands.iter().all(|placement| matches!(placement, Placement::Given(_)));
    let fits = steps <= rows.len() && steps <= columns.len() && (given || single);
    let free = |operand: usize| request.operands[operand] == Placement::Free;
    let free = [free(row_operand), free(1 - row_operand)];
    fits.then_some(Shape { row_operand, rows, columns, batch, contracted, steps, free, slots: request.slots })
}

impl Shape {
    pub(super) fn row_extent(&self) -> usize {
        1 << self.rows.len()
    }

    /// The slots of a row.
    pub(super) fn width(&self) -> usize {
        1 << self.columns.len()
    }

    /// How many blocks of rows there are: parts times batch.
    pub(super) fn blocks(&self) -> usize {
        self.slots / (self.row_extent() * self.width())
    }

    fn period(&self) -> usize {
        1 << self.steps
    }

    pub(super) fn part_count(&self) -> usize {
        1 << (self.contracted.len() - self.steps)
    }

    /// The digit of the other's free axes in a factor, which repeats with the period and is advanced to the left.
    fn repeated(&self, rows: bool) -> Digit {
        let extent = if rows { self.width() } else { self.row_extent() } as i64;
        let period = self.period() as i64;
        let (right, offsets) = match extent / period {
            _ if !rows && self.blocks() == 1 => (2 * extent, vec![0]),
            _ if self.free[usize::from(!rows)] => (extent, vec![0, -extent]),
            1 => (extent, vec![0, -extent]),
            2 => (period, vec![0, -period, -extent]),
            // The last period lacks what the next row has moved into it.
            _ => (extent - period, vec![0, -extent / 2]),
        };
        Digit { extent, right, offsets }
    }

    /// The digit of the own free axes in a factor, whose values are all different, advanced to the right.
    pub(super) fn whole(&self, rows: bool) -> Digit {
        let extent = if rows { self.row_extent() } else { self.width() } as i64;
        match rows && self.blocks() == 1 {
            true => Digit { extent, right: 2 * extent, offsets: vec![0] },
            false => Digit { extent, right: extent, offsets: vec![0, extent] },
        }
    }

    /// The splits of a step with the fewest key switches: any, and those whose columns stay.
    fn choices(&self) -> Vec<Parts> {
        let switches = |parts: &Parts| {
            let sources = |digit: Digit, advanced: bool| {
                if advanced || digit.right < digit.extent { digit.offsets.len() } else { 1 }
            };
            let left =
                sources(self.repeated(true), parts.x * parts.z > 1) * sources(self.whole(true), parts.z > 1);
            let right = sources(self.repeated(false), parts.x * parts.y > 1)
                * sources(self.whole(false), parts.y > 1);
            let sums = parts.y * parts.z;
            parts.x * (parts.y + parts.z) + left + right + 2 * sums + usize::from(parts.y > 1)
        };
        let mut all = Vec::new();
        for x in 0..=self.steps {
            for y in 0..=self.steps - x {
                let z = self.steps - x - y;
                // Rows of a batch do not wrap around.
                if z == 0 || self.batch.is_empty() {
                    all.push(Parts { x: 1 << x, y: 1 << y, z: 1 << z });
                }
            }
        }
        let best = |all: &mut dyn Iterator<Item = &Parts>| all.min_by_key(|parts| switches(parts)).copied();
        let any = best(&mut all.iter());
        let flat = best(&mut all.iter().filter(|parts| parts.y == 1));
        any.into_iter().chain(flat.filter(|flat| Some(*flat) != any)).collect()
    }

    /// Where a factor lies before it is skewed: the steps in the lowest bits of the digit of the other's free axes.
    fn unskewed(&self, rows: bool) -> Bits {
        let steps = &self.contracted[..self.steps];
        let beside = |free: &[Bit]| {
            let gap = free[self.steps..].iter().map(|_| Bit::Unknown);
            steps.iter().copied().chain(gap).collect::<Vec<Bit>>()
        };
        let (low, high) = match rows {
            true => (beside(&self.columns), self.rows.clone()),
            false => (self.columns.clone(), beside(&self.rows)),
        };
        let bits = [low, high, self.batch.clone(), self.contracted[self.steps..].to_vec()].concat();
        Bits { bits, slot_bits: self.slots.ilog2() as usize }
    }

    /// A factor, skewed with so many bits at a time.
    fn factor(&self, circuit: &mut Circuit, request: &Request, rows: bool, bits: usize) -> Option<Factor> {
        let operand = if rows { self.row_operand } else { 1 - self.row_operand };
        let axes = &request.contraction.operands[operand].axes;
        let digits = |value: usize| match rows {
            true => Factor { value, rows: self.whole(true), columns: self.repeated(true) },
            false => Factor { value, rows: self.repeated(false), columns: self.whole(false) },
        };
        let Placement::Given(layout) = &request.operands[operand] else {
            return Some(digits(circuit.input(operand, 0)));
        };
        let mut from = layout.bits(self.slots)?;
        from.bits.iter_mut().for_each(|bit| *bit = bit.over(axes));
        let placed = Placed::input(circuit, operand, &from);
        let mut value = moved(circuit, placed, &self.unskewed(rows))?;
        let (stride, extent) = if rows { (1, self.width()) } else { (self.width(), self.row_extent()) };
        let other = |slot: usize| if rows { slot / self.width() } else { slot } % self.period();
        let wraps = extent == self.period() && (rows || self.blocks() > 1);
        for low in (0..self.steps).step_by(bits) {
            let count = bits.min(self.steps - low);
            value = self.skew(circuit, value, (stride, extent), &other, wraps, (low, count))?;
        }
        let mut step = self.period();
        while step < extent {
            let copy = circuit.rotate(value, -((step * stride) as i64));
            value = circuit.add(value, copy);
            step *= 2;
        }
        Some(digits(value))
    }

    /// Where a free factor lies.
    fn layout(&self, request: &Request, rows: bool) -> Option<Layout> {
        let operand = if rows { self.row_operand } else { 1 - self.row_operand };
        let axes = &request.contraction.operands[operand].axes;
        let axis_of = |bits: &[Bit]| match bits.first()? {
            Bit::Of(axis, _) => axes.iter().position(|own| own == axis),
            _ => None,
        };
        let (k, period) = (axis_of(&self.contracted)?, self.period());
        let own = axis_of(if rows { &self.rows } else { &self.columns })?;
        let whole = |axis: usize, extent: usize| Piece::Digit { axis, div: 1, extent };
        let terms = vec![Term { axis: k, factor: 1 }, Term { axis: own, factor: -1 }];
        let skew = Piece::Affine { terms, extent: period };
        let mut slots = vec![Piece::Digit { axis: k, div: period, extent: self.part_count() }];
        slots.extend(axis_of(&self.batch).map(|axis| whole(axis, 1 << self.batch.len())));
        slots.extend(match rows {
            true => [whole(own, self.row_extent()), Piece::Copy(self.width() / period), skew],
            false => [Piece::Copy(self.row_extent() / period), skew, whole(own, self.width())],
        });
        slots.retain(|piece| piece.extent() > 1);
        Some(Layout {
            axes: request.contraction.axes_of(axes),
            ciphertexts: Vec::new(),
            slots,
            unknown_rest: false,
        })
    }

    /// Moves a digit back by some bits of another: through the slots below it, or around.
    fn skew(
        &self,
        circuit: &mut Circuit,
        value: usize,
        (stride, extent): (usize, usize),
        other: &dyn Fn(usize) -> usize,
        wraps: bool,
        (low, count): (usize, usize),
    ) -> Option<usize> {
        let period = self.period() as i64;
        let place = |digit: i64, by: i64| if wraps { (digit + period - by) % period } else { digit - by };
        let babies = 1i64 << (low + (count + usize::from(wraps)).div_ceil(2));
        let entries = (0..self.slots).filter_map(|slot| {
            let digit = slot / stride % extent;
            let (before, after) = (other(slot) & ((1 << low) - 1), other(slot) & ((1 << (low + count)) - 1));
            let digit = (digit < self.period()).then_some(digit as i64)?;
            let (from, to) = (place(digit, before as i64), place(digit, after as i64));
            let target = slot as i64 + (to - digit) * stride as i64;
            let baby = (from - to).rem_euclid(babies);
            Some(Entry {
                source: value,
                slot: target.rem_euclid(self.slots as i64) as usize,
                baby: baby * stride as i64,
                giant: (from - to - baby) * stride as i64,
                element: 0,
            })
        });
        let sum = combine(circuit, entries.collect::<Vec<_>>(), None)?;
        Some(circuit.rescale(sum))
    }

    /// What the factor holds so many rows and columns further.
    pub(super) fn advanced(
        &self,
        circuit: &mut Circuit,
        factor: &Factor,
        rows: i64,
        columns: i64,
    ) -> Option<usize> {
        let width = self.width() as i64;
        let by = rows * width + columns;
        let choose = |digit: &Digit, at: i64| {
            digit.offsets.iter().copied().find(|offset| (0..digit.right).contains(&(at + offset)))
        };
        let cyclic = |digit: &Digit| digit.offsets.len() == 1;
        let mut sets: BTreeMap<i64, SlotSet> = BTreeMap::new();
        for slot in 0..self.slots {
            let at = |digit: &Digit, at: usize, by: i64| {
                if cyclic(digit) { Some(0) } else { choose(digit, at as i64 % digit.extent + by) }
            };
            let row = at(&factor.rows, slot / self.width(), rows)?;
            let column = at(&factor.columns, slot, columns)?;
            let place = (slot as i64 + by).rem_euclid(self.slots as i64) as usize;
            let set = sets.entry(row * width + column);
            set.or_insert_with(|| SlotSet::empty(self.slots)).insert(place);
        }
        let value = match sets.len() {
            1 => circuit.rotate(factor.value, *sets.keys().next()?),
            _ => {
                let mut terms = Vec::new();
                for (offset, set) in sets {
                    let source = circuit.rotate(factor.value, offset);
                    terms.push(circuit.mul_plain(source, Plain::Mask(set)));
                }
                let sum = circuit.sum(terms)?;
                circuit.rescale(sum)
            }
        };
        Some(circuit.rotate(value, by))
    }
}

/// The only ciphertext of a value that is brought there by the cheapest route.
pub(super) fn moved(circuit: &mut Circuit, mut placed: Placed, target: &Bits) -> Option<usize> {
    let routes = (0..=3).filter_map(|levels| route(&placed.bits, target, levels, Effort::Thorough));
    let best = routes.min_by_key(|route| route.cost() + route.levels * ROTATION)?;
    placed.follow(circuit, &best, target);
    let mut values = placed.values.into_iter().flatten();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn build(request: &Request, shape: &Shape, parts: Parts, bits: usize) -> Option<Kernel> {
    let mut circuit = Circuit::new(request.slots);
    let width = shape.width() as i64;
    let left = shape.factor(&mut circuit, request, true, bits)?;
    let right = shape.factor(&mut circuit, request, false, bits)?;
    let (y_step, z_step) = (parts.x as i64, (parts.x * parts.y) as i64);
    let mut lefts = Vec::new();
    for z in (0..parts.z as i64).map(|z| z * z_step) {
        let row = (0..parts.x as i64).map(|x| shape.advanced(&mut circuit, &left, -z, x + z));
        lefts.push(row.collect::<Option<Vec<usize>>>()?);
    }
    let mut total = None;
    let mut sums: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    for y in (0..parts.y as i64).map(|y| y * y_step) {
        let row = (0..parts.x as i64).map(|x| shape.advanced(&mut circuit, &right, x + y, -y));
        let rights = row.collect::<Option<Vec<usize>>>()?;
        let mut sum = None;
        for (z, lefts) in lefts.iter().enumerate() {
            let products: Vec<usize> =
                lefts.iter().zip(&rights).map(|(left, right)| circuit.mul(*left, *right)).collect();
            let product = circuit.sum(products)?;
            let product = settle(&mut circuit, product);
            let product = circuit.rotate(product, z as i64 * z_step * width);
            sum = circuit.sum(sum.into_iter().chain([product]));
        }
        if y == 0 {
            total = sum;
            continue;
        }
        let further = circuit.rotate(sum?, y);
        for (wrapped, sums) in sums.iter_mut().enumerate() {
            let keep = |slot: usize| (slot as i64 % width >= width - y) == (wrapped == 1);
            sums.push(circuit.mul_plain(further, Plain::Mask(SlotSet::of(shape.slots, keep))));
        }
    }
    let [inside, wrapped] = sums.map(|sums| circuit.sum(sums).map(|sum| circuit.rescale(sum)));
    let wrapped = wrapped.map(|wrapped| circuit.rotate(wrapped, -width));
    let sum = circuit.sum(total.into_iter().chain(inside).chain(wrapped))?;
    finish("skewed", request, shape, circuit, sum)
}

/// Adds up the parts and brings the product to where it must sit.
pub(super) fn finish(
    name: &'static str,
    request: &Request,
    shape: &Shape,
    mut circuit: Circuit,
    sum: usize,
) -> Option<Kernel> {
    let count = shape.part_count();
    let value = window(&mut circuit, sum, count, (shape.slots / count) as i64);
    let slot_bits = shape.slots.ilog2() as usize;
    let mut bits = [shape.columns.clone(), shape.rows.clone(), shape.batch.clone()].concat();
    bits.resize(slot_bits, Bit::Copy);
    let dims = &request.contraction.output;
    let output = match &request.output {
        Placement::Given(layout) => layout.clone(),
        Placement::Free | Placement::Loose => {
            let dim = |bit: &Bit| match *bit {
                Bit::Of(axis, bit) => Some(Bit::Of(dims.iter().position(|dim| *dim == axis)?, bit)),
                other => Some(other),
            };
            let bits = bits.iter().map(dim).collect::<Option<Vec<Bit>>>()?;
            Bits { bits, slot_bits }.layout(&request.contraction.axes_of(dims))
        }
    };
    let mut wanted = output.bits(shape.slots)?;
    wanted.bits.iter_mut().for_each(|bit| *bit = bit.over(dims));
    let placed = Placed { bits: Bits { bits, slot_bits }, values: vec![Some(value)] };
    let value = moved(&mut circuit, placed, &wanted)?;
    circuit.outputs = vec![value];
    let circuit = circuit.trimmed();
    let operands = request.operands.iter().enumerate().map(|(operand, placement)| match placement {
        Placement::Given(layout) => Some(layout.clone()),
        Placement::Free | Placement::Loose => shape.layout(request, operand == shape.row_operand),
    });
    let operands = operands.collect::<Option<Vec<_>>>()?;
    Some(Kernel { name, operands, output, counts: circuit.counts(), circuit })
}
