//! Every operand laid out over all axes with their exact extents, where the layouts are free.
//!
//! ```text
//! 16x17x19 matrices, k contracted:  A [k:17 i:16 *19]  B [k:17 *16 j:19]  one product, an addition chain of 17
//! ```
//!
//! Contracted axes lie above the free ones as one digit, so that their sum is one window; what does not fit goes into
//! more ciphertexts, the contracted axis first, because sums of ciphertexts cost no rotation.

use super::{Kernel, Operand, Placement, Request};
use crate::slots::layout::{Axis, Contents, Layout, Piece};
use crate::slots::linear::tree::{additions, window};
use crate::slots::linear::{Circuit, Plain, SlotSet};

/// Operand ciphertexts that are not too many.
const MOST_CIPHERTEXTS: usize = 256;

/// A part of an axis in the slots, and how many ciphertexts it takes.
#[derive(Clone, Copy, Debug)]
struct Cut {
    axis: usize,
    inside: usize,
    outside: usize,
}

/// The kernel, if every layout is free and the free axes fit into the slots.
pub fn kernel(request: &Request) -> Option<Kernel> {
    let contraction = &request.contraction;
    let free = request.operands.iter().all(|placement| *placement == Placement::Free);
    let secret = contraction.operands.iter().any(|operand| !operand.clear);
    if !free || !secret || matches!(request.output, Placement::Given(_)) {
        return None;
    }
    let extent = |axis: usize| contraction.axes[axis].extent;
    let used =
        (0..contraction.axes.len()).filter(|axis| contraction.operands.iter().any(|o| o.axes.contains(axis)));
    let (kept, contracted): (Vec<usize>, Vec<usize>) =
        used.partition(|axis| contraction.output.contains(axis));
    let below: usize = kept.iter().map(|axis| extent(*axis)).try_fold(1usize, usize::checked_mul)?;
    let room = request.slots.checked_div(below).filter(|room| *room > 0)?;
    let cuts = cut(&contracted, &extent, room);
    let cuts: Vec<Cut> =
        cuts.into_iter().chain(kept.iter().map(|axis| whole(*axis, extent(*axis)))).collect();
    if cuts.iter().map(|cut| cut.outside).try_fold(1usize, usize::checked_mul)? > MOST_CIPHERTEXTS {
        return None;
    }
    Some(build(request, &cuts, &contracted))
}

fn whole(axis: usize, extent: usize) -> Cut {
    Cut { axis, inside: extent, outside: 1 }
}

/// Cuts contracted axes to fit into the room, the last whole ones first; a part that is cut is made as cheap to sum as
/// its neighbours that need no more ciphertexts.
fn cut(axes: &[usize], extent: &impl Fn(usize) -> usize, mut room: usize) -> Vec<Cut> {
    let mut cuts = Vec::new();
    for axis in axes.iter().rev() {
        let all = extent(*axis);
        let outside = all.div_ceil(room.min(all));
        let cheapest =
            (all.div_ceil(outside)..=room.min(all.next_power_of_two())).min_by_key(|n| (additions(*n), *n));
        let inside = cheapest.unwrap_or(all.div_ceil(outside));
        cuts.push(Cut { axis: *axis, inside, outside });
        room /= inside;
    }
    cuts.reverse();
    cuts
}

fn build(request: &Request, cuts: &[Cut], contracted: &[usize]) -> Kernel {
    let contraction = &request.contraction;
    let layouts: Vec<Layout> = contraction
        .operands
        .iter()
        .map(|operand| layout(cuts, contraction.axes_of(&operand.axes), &operand.axes))
        .collect();
    let mut circuit = Circuit::new(request.slots);
    let outside: usize = cuts.iter().map(|cut| cut.outside).product();
    let clear = |(layout, shape): (&Layout, &Operand)| {
        if shape.clear { layout.contents(request.slots).ok() } else { None }
    };
    let clears: Vec<Option<Contents>> = layouts.iter().zip(&contraction.operands).map(clear).collect();
    let mut sum = None;
    for number in 0..outside {
        let product = product(&mut circuit, request, cuts, &clears, number);
        sum = circuit.sum(sum.into_iter().chain([product]));
    }
    let mut value = settle(&mut circuit, sum.unwrap_or(0));
    let inner: usize = contracted.iter().map(|axis| inside(cuts, *axis)).product();
    let stride: usize = cuts.iter().map(|cut| cut.inside).product::<usize>() / inner;
    value = window(&mut circuit, value, inner, stride as i64);
    let mut output = layout(cuts, contraction.axes_of(&contraction.output), &contraction.output);
    output.ciphertexts.clear();
    output.slots.retain(|piece| !matches!(piece, Piece::Copy(_)));
    if inner > 1 {
        output.slots.insert(0, Piece::Unknown(inner));
        output.unknown_rest = true;
        if request.output == Placement::Free {
            value = circuit.mask(value, SlotSet::of(request.slots, |slot| slot < stride));
            output.slots[0] = Piece::Zero(inner);
            output.unknown_rest = false;
        }
    }
    circuit.outputs = vec![value];
    Kernel { name: "exact", operands: layouts, output, counts: circuit.counts(), circuit }
}

fn inside(cuts: &[Cut], axis: usize) -> usize {
    cuts.iter().find(|cut| cut.axis == axis).map_or(1, |cut| cut.inside)
}

/// The layout of a tensor over all axes: copies where it has none.
fn layout(cuts: &[Cut], axes: Vec<Axis>, dims: &[usize]) -> Layout {
    let dim = |cut: &Cut| dims.iter().position(|dim| *dim == cut.axis);
    let slots = cuts.iter().filter(|cut| cut.inside > 1).map(|cut| match dim(cut) {
        Some(axis) => Piece::Digit { axis, div: 1, extent: cut.inside },
        None => Piece::Copy(cut.inside),
    });
    let slots = slots.collect();
    let outside = cuts
        .iter()
        .filter(|cut| cut.outside > 1)
        .filter_map(|cut| Some(Piece::Digit { axis: dim(cut)?, div: cut.inside, extent: cut.outside }));
    Layout { axes, ciphertexts: outside.collect(), slots, unknown_rest: false }
}

/// The product of all operands for one part of the cut axes, not relinearized or rescaled.
fn product(
    circuit: &mut Circuit,
    request: &Request,
    cuts: &[Cut],
    clear: &[Option<Contents>],
    number: usize,
) -> usize {
    let mut values: Vec<(usize, usize)> = Vec::new();
    let mut clears = Vec::new();
    for (operand, shape) in request.contraction.operands.iter().enumerate() {
        let (mut own, mut step, mut rest) = (0, 1, number);
        for cut in cuts.iter().rev() {
            if shape.axes.contains(&cut.axis) {
                own += rest % cut.outside * step;
                step *= cut.outside;
            }
            rest /= cut.outside;
        }
        if shape.clear {
            clears.push((operand, own));
        } else {
            values.push((0, circuit.input(operand, own)));
        }
    }
    for (operand, ciphertext) in clears {
        values.sort_by_key(|value| std::cmp::Reverse(value.0));
        let Some((depth, value)) = values.pop() else { continue };
        let elements = clear[operand].iter().flat_map(|contents| contents.elements(ciphertext));
        let elements = elements.map(|(slot, element)| (slot as u32, element as u32)).collect();
        let value = settle(circuit, value);
        values.push((depth + 1, circuit.mul_plain(value, Plain::Clear { operand, elements })));
    }
    while values.len() > 1 {
        values.sort_by_key(|value| std::cmp::Reverse(value.0));
        let (Some(one), Some(other)) = (values.pop(), values.pop()) else { break };
        let (left, right) = (settle(circuit, one.1), settle(circuit, other.1));
        values.push((one.0.max(other.0) + 1, circuit.mul(left, right)));
    }
    values[0].1
}

/// Ends a product that was not relinearized or rescaled yet.
pub(super) fn settle(circuit: &mut Circuit, value: usize) -> usize {
    let (factors, parts) = circuit.state(value);
    let value = if parts == 3 { circuit.relinearize(value) } else { value };
    if factors == 2 { circuit.rescale(value) } else { value }
}
