//! One product in one working layout: operands are brought there, multiplied in a balanced tree, and summed.

use super::acquire::{Held, acquire};
use super::chain;
use super::network::{Factor, Network, Step, Term};
use super::working::{Lacking, Working};
use crate::slots::packing::Rest;
use crate::slots::{Builder, Cell, Digit, Kind, Packing, Plain, PlainSource, ValueId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where secret tensors are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Each computed tensor, and inputs that come row by row.
    pub held: BTreeMap<usize, Held>,
    /// Whether the client packs inputs as they are wanted.
    pub free: bool,
}

/// The term in that layout; gives the target's ciphertexts. `None` where an operand has no way there.
pub fn product(
    b: &mut Builder,
    places: &Places,
    network: &Network,
    step: &Step,
    term: &Term,
    working: &Working,
) -> Option<Held> {
    let slots = b.slots();
    let count = working.ciphertexts();
    // Copies along an axis that no factor has would fill its padding too.
    let mut known: BTreeSet<usize> = term.factors.iter().flat_map(Factor::axes).collect();
    known.extend(term.clear.iter().flat_map(Factor::axes));
    if step.free().iter().any(|axis| !known.contains(axis) && working.pads(*axis)) {
        return None;
    }
    let mut operands: Vec<Vec<ValueId>> = Vec::new();
    let mut stained = term.clear.is_some();
    // One factor that is zero past the digits makes the product zero there.
    let mut clean = term.clear.is_some();
    for factor in &term.factors {
        let (values, stain) = operand(b, places, network, factor, working)?;
        stained |= stain;
        let reach = working.reach();
        clean |= values.iter().all(|value| {
            b.placed(*value)
                .is_some_and(|(packing, _)| packing.rest == Rest::Zero && packing.reach() == reach)
        });
        operands.push(values);
    }
    let clear = match &term.clear {
        Some(factor) => {
            let clear = &network.clears[factor.tensor];
            let id = b.clear(&clear.name, &clear.shape);
            let packing = working.packing(&factor.access, &clear.shape, &factor.axes(), Lacking::Copy);
            Some((id, packing))
        }
        None => None,
    };
    let sums: BTreeSet<usize> = term.sum.iter().copied().collect();
    let mut products: BTreeMap<Vec<u32>, Vec<ValueId>> = BTreeMap::new();
    for k in 0..count {
        let mut values: Vec<ValueId> = operands.iter().map(|operand| operand[k]).collect();
        if let Some((id, packing)) = &clear {
            let pairs: Vec<(u32, u32)> = packing
                .cells(k as u32, slots)
                .iter()
                .enumerate()
                .filter_map(|(slot, cell)| match cell {
                    Cell::Element(element) => Some((slot as u32, *element)),
                    _ => None,
                })
                .collect();
            let plain = b.plain(Plain::of(term.scale, PlainSource::Clear(*id), &pairs));
            // The clear factor goes to the operand that has the most levels left.
            let (first, value) =
                values.iter().copied().enumerate().min_by_key(|(_, value)| b.depth(*value))?;
            values[first] = b.mul_plain(value, plain);
        } else if term.scale != 1.0 {
            let (first, value) =
                values.iter().copied().enumerate().min_by_key(|(_, value)| b.depth(*value))?;
            values[first] = if term.scale == -1.0 { b.neg(value) } else { b.mul_scalar(value, term.scale) };
        }
        let value = tree(b, values)?;
        products.entry(kept(&working.outer, k as u32, &sums)).or_default().push(value);
    }
    let mut results = Vec::new();
    for (_, values) in products {
        results.push(b.sum(&values)?);
    }
    // Sums over slots: cyclic from the top as long as everything above repeats.
    let mut inner: Vec<Digit> = working.inner.clone();
    let mut cyclic = working.reach() == slots as usize;
    let mut rest = if clean { Rest::Zero } else { Rest::Unknown };
    for position in 0..inner.len() {
        let digit = inner[position];
        let summed = matches!(digit.kind, Kind::Axis { axis, .. } if sums.contains(&axis));
        if !summed {
            cyclic &= digit.kind == Kind::Copy;
            continue;
        }
        let stride: i64 = inner[position + 1..].iter().map(|digit| i64::from(digit.extent)).product();
        for value in &mut results {
            *value = b.ready(*value);
            *value = chain::window(b, *value, digit.extent, stride);
        }
        inner[position].kind = if cyclic { Kind::Copy } else { Kind::Unknown };
        if !cyclic {
            rest = Rest::Unknown;
        }
    }
    let free = step.free();
    let outer = working.outer.iter().filter(|digit| !is_summed(digit, &sums)).copied().collect();
    // Axes of the step that are no axes of the target and not summed here are those of other terms.
    let shown = Working { axes: step.axes.as_slice().into(), outer, inner };
    let shape = network.tensors[step.target].shape.clone();
    let mut used = free;
    used.extend(term.sum.iter().filter(|axis| !sums.contains(axis)));
    let packing = Arc::new(Packing { rest, ..shown.packing(&step.dims, &shape, &used, Lacking::Copy) });
    for (k, value) in results.iter().enumerate() {
        b.place(*value, &packing, k as u32);
    }
    Some(Held { packing, values: results, stained })
}

fn is_summed(digit: &Digit, sums: &BTreeSet<usize>) -> bool {
    matches!(digit.kind, Kind::Axis { axis, .. } if sums.contains(&axis))
}

/// The values of the digits that no sum takes away.
fn kept(outer: &[Digit], ciphertext: u32, sums: &BTreeSet<usize>) -> Vec<u32> {
    let mut kept = Vec::new();
    let mut rest = ciphertext;
    for digit in outer.iter().rev() {
        if !is_summed(digit, sums) {
            kept.insert(0, rest % digit.extent);
        }
        rest /= digit.extent;
    }
    kept
}

/// Multiplies the shallowest first.
fn tree(b: &mut Builder, mut values: Vec<ValueId>) -> Option<ValueId> {
    let depth = |b: &Builder, value: ValueId| b.ready_depth(value);
    while values.len() > 1 {
        values.sort_by_key(|value| std::cmp::Reverse(depth(b, *value)));
        let (first, second) = (values.pop()?, values.pop()?);
        values.push(b.mul(first, second));
    }
    values.pop()
}

/// A factor where the layout wants it, and whether its unread slots depend on clear tensors.
fn operand(
    b: &mut Builder,
    places: &Places,
    network: &Network,
    factor: &Factor,
    working: &Working,
) -> Option<(Vec<ValueId>, bool)> {
    let tensor = &network.tensors[factor.tensor];
    let wanted = working.packing(&factor.access, &tensor.shape, &factor.axes(), Lacking::Copy);
    // Past the reach of a packing anything may lie, since nothing there is read.
    let wanted = if tensor.input && places.free { wanted } else { Packing { rest: Rest::Unknown, ..wanted } };
    if tensor.input && places.free {
        // Ciphertexts that hold the same are uploaded once.
        let mut upload = wanted.clone();
        upload.outer.retain(|digit| digit.kind != Kind::Copy);
        let values = b.input(&tensor.name, &tensor.shape, &Arc::new(upload));
        let keep = |k: usize| {
            let (mut number, mut weight, mut rest) = (0, 1, k as u32);
            for digit in wanted.outer.iter().rev() {
                if digit.kind != Kind::Copy {
                    number += rest % digit.extent * weight;
                    weight *= digit.extent;
                }
                rest /= digit.extent;
            }
            number as usize
        };
        return Some(((0..wanted.ciphertexts()).map(|k| values[keep(k)]).collect(), false));
    }
    let held = places.held.get(&factor.tensor)?;
    let values = acquire(b, held, &wanted)?;
    let stained = held.stained;
    let packing = Arc::new(wanted);
    for (k, value) in values.iter().enumerate() {
        b.place(*value, &packing, k as u32);
    }
    Some((values, stained))
}
