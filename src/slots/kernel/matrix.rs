//! A clear matrix times a secret vector in one ciphertext, by diagonals.
//!
//! For `m` rows and `n` columns, padded to powers of two, slot `(s, c)` adds up `A[s mod m, k] x[k]` for
//! `k = c P + (s + d) mod P` and `d = 0, 1, ..`: the vector is rotated by `d` items, and the diagonals hold the matrix.
//! `C` parts of the vector, of `P = n / C` values each, are at work at once, so `min(m, P)` diagonals are left, cut into
//! babies and giants; then the parts, and what blocks of `m` slots hold of a longer part, are summed up.

use super::{Kernel, Placement, Request};
use crate::slots::layout::{Layout, Piece};
use crate::slots::linear::bsgs::{Entry, Split, combine};
use crate::slots::linear::tree::window;
use crate::slots::linear::{Circuit, SlotSet};

/// The kernel with all slots at work, if the request is a clear matrix by a free vector; and the one with one part,
/// which is clean without a mask, if the output must be.
pub fn kernels(request: &Request) -> Vec<Kernel> {
    let Some(shape) = shape(request) else { return Vec::new() };
    let most = (request.slots / shape.rows).min(shape.columns);
    let clean = (request.output == Placement::Free && most > 1).then_some(1);
    [most].into_iter().chain(clean).map(|parts| build(request, &shape, parts)).collect()
}

/// The axes and padded extents.
struct Shape {
    matrix: usize,
    vector: usize,
    row: usize,
    column: usize,
    rows: usize,
    columns: usize,
}

fn shape(request: &Request) -> Option<Shape> {
    let contraction = &request.contraction;
    let matrix = contraction.operands.iter().position(|operand| operand.clear)?;
    let vector = contraction.operands.iter().position(|operand| !operand.clear)?;
    let free = request.operands.iter().all(|placement| *placement == Placement::Free);
    if !free || contraction.operands.len() != 2 || matches!(request.output, Placement::Given(_)) {
        return None;
    }
    let [row] = contraction.output[..] else { return None };
    let [column] = contraction.operands[vector].axes[..] else { return None };
    let axes = &contraction.operands[matrix].axes;
    if row == column || axes.len() != 2 || !axes.contains(&row) || !axes.contains(&column) {
        return None;
    }
    let padded = |axis: usize| contraction.axes[axis].extent.checked_next_power_of_two();
    let (rows, columns) = (padded(row)?, padded(column)?);
    let fits = rows.max(columns) <= request.slots;
    fits.then_some(Shape { matrix, vector, row, column, rows, columns })
}

fn build(request: &Request, shape: &Shape, parts: usize) -> Kernel {
    let contraction = &request.contraction;
    let slots = request.slots;
    let extent = |axis: usize| contraction.axes[axis].extent;
    let matrix_axes = &contraction.operands[shape.matrix].axes;
    let period = shape.columns / parts;
    let diagonals = shape.rows.min(period);
    let mut circuit = Circuit::new(slots);
    let vector = circuit.input(shape.vector, 0);
    let split = Split::of(&[(parts as i64, diagonals)]);
    let slot_entries = (0..slots).flat_map(|slot| {
        let (item, part) = (slot / parts, slot % parts);
        let split = &split;
        let row = item % shape.rows;
        (0..diagonals).filter_map(move |diagonal| {
            let column = part * period + (item + diagonal) % period;
            let element = match matrix_axes[0] == shape.row {
                true => row * extent(shape.column) + column,
                false => column * extent(shape.row) + row,
            };
            let inside = row < extent(shape.row) && column < extent(shape.column);
            let (baby, giant) = split.at([diagonal]);
            inside.then_some(Entry { source: vector, slot, baby, giant, element: element as u32 })
        })
    });
    let sum = combine(&mut circuit, slot_entries, Some(shape.matrix)).unwrap_or(vector);
    let mut value = circuit.rescale(sum);
    let blocks = period / diagonals;
    value = window(&mut circuit, value, blocks, (diagonals * parts) as i64);
    value = window(&mut circuit, value, parts, 1);
    let clean = request.output == Placement::Free && parts > 1;
    if clean {
        value = circuit.mask(value, SlotSet::of(slots, |slot| slot % parts == 0));
    }
    circuit.outputs = vec![value];
    let digit = |extent: usize, div: usize| Piece::Digit { axis: 0, div, extent };
    let placed = |axis: usize, high: Vec<Piece>, low: Piece| {
        let slots = high.into_iter().chain([low]).filter(|piece| piece.extent() > 1).collect();
        Layout { axes: contraction.axes_of(&[axis]), ciphertexts: Vec::new(), slots, unknown_rest: false }
    };
    let items = slots / parts;
    let input =
        placed(shape.column, vec![Piece::Copy(items / period), digit(period, 1)], digit(parts, period));
    let gap = if clean { Piece::Zero(parts) } else { Piece::Unknown(parts) };
    let output = placed(shape.row, vec![Piece::Copy(items / shape.rows), digit(shape.rows, 1)], gap);
    let mut operands = vec![input.clone(), input];
    operands[shape.matrix] = Layout::row_major(&contraction.axes_of(matrix_axes), slots);
    Kernel { name: "matrix", operands, output, counts: circuit.counts(), circuit }
}
