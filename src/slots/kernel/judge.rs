//! Runs a kernel slot by slot against the dense sum.

use super::*;
use crate::slots::layout::Held;
use crate::slots::linear::circuit::judge;

/// The elements of an operand: small, and different.
fn number(operand: usize, element: usize) -> i64 {
    ((element * 7 + operand * 5 + element / 3) % 13) as i64 - 6
}

/// Fails unless the kernel computes the contraction in every slot of its output.
pub(crate) fn check(request: &Request, kernel: &Kernel) {
    let contraction = &request.contraction;
    let slots = request.slots;
    let inputs =
        kernel.operands.iter().zip(&contraction.operands).enumerate().map(|(operand, (layout, shape))| {
            assert_eq!(
                layout.elements(),
                contraction.axes_of(&shape.axes).iter().map(|a| a.extent).product::<usize>()
            );
            if shape.clear {
                return Vec::new();
            }
            let contents = layout.contents(slots).unwrap_or_else(|e| panic!("{layout}: {e:?}"));
            let at = |ciphertext, slot| match contents.at(ciphertext, slot) {
                Held::Element(element) => number(operand, element),
                Held::Zero => 0,
                Held::Garbage => judge::GARBAGE + slot as i64,
            };
            (0..contents.ciphertexts()).map(|ct| (0..slots).map(|slot| at(ct, slot)).collect()).collect()
        });
    let inputs: Vec<Vec<Vec<i64>>> = inputs.collect();
    let outputs = judge::run(&kernel.circuit, &inputs, &|operand, element| number(operand, element as usize));
    let expected = dense(contraction);
    let contents = kernel.output.contents(slots).unwrap();
    assert_eq!(outputs.len(), contents.ciphertexts());
    for (ciphertext, output) in outputs.iter().enumerate() {
        for (slot, found) in output.iter().enumerate() {
            let wanted = match contents.at(ciphertext, slot) {
                Held::Element(element) => expected[element],
                Held::Zero => 0,
                Held::Garbage => continue,
            };
            assert_eq!(
                *found, wanted,
                "{} {}: ciphertext {ciphertext} slot {slot}",
                kernel.name, kernel.output
            );
        }
    }
    assert_eq!(kernel.counts, kernel.circuit.counts());
    if let Placement::Given(layout) = &request.output {
        assert_eq!(layout.contents(slots), kernel.output.contents(slots));
    }
}

/// The output in row-major order, one operand after another.
fn dense(contraction: &Contraction) -> Vec<i64> {
    let extent = |axis: &usize| contraction.axes[*axis].extent;
    let mut kept: Vec<usize> = contraction.operands[0].axes.clone();
    let first: usize = kept.iter().map(extent).product();
    let mut values: Vec<i64> = (0..first).map(|element| number(0, element)).collect();
    for operand in 0..contraction.operands.len() {
        let later = &contraction.operands[operand + 1..];
        let mut next: Vec<usize> = kept.clone();
        let axes = &contraction.operands[operand].axes;
        if operand > 0 {
            next.extend(axes.iter().filter(|axis| !kept.contains(axis)));
        }
        let all = next.clone();
        next.retain(|axis| contraction.output.contains(axis) || later.iter().any(|o| o.axes.contains(axis)));
        if later.is_empty() {
            next.clone_from(&contraction.output);
        }
        let flat = |axes: &[usize], index: &[usize]| {
            axes.iter().fold(0, |flat, axis| {
                flat * extent(axis) + index[all.iter().position(|a| a == axis).unwrap()]
            })
        };
        let mut result = vec![0; next.iter().map(extent).product()];
        let total: usize = all.iter().map(extent).product();
        let mut index = vec![0; all.len()];
        for _ in 0..total {
            let mut value = values[flat(&kept, &index)];
            if operand > 0 {
                value *= number(operand, flat(axes, &index));
            }
            result[flat(&next, &index)] += value;
            for (place, axis) in index.iter_mut().zip(&all).rev() {
                *place += 1;
                if *place < extent(axis) {
                    break;
                }
                *place = 0;
            }
        }
        values = result;
        kept = next;
    }
    values
}
