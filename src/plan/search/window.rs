//! Improves a tree by replacing small connected pieces of it by the optimum.

use super::exact::{self, SmallAxis, Tables};
use super::math;
use super::tree::{Energy, Measure, Tree};
use std::collections::BinaryHeap;

/// What a subset of the operands of a window costs in units of work, besides its splits.
const WORK_PER_SUBSET: u64 = 12;

/// What the cost of a split costs where the caller defines it.
const WORK_PER_COST: u64 = 20;

/// What all windows of a problem have in common.
pub(super) struct Context<'a> {
    pub(super) measure: &'a Measure,
    /// The extent of each axis.
    pub(super) extents: &'a [f64],
    /// Its binary logarithm.
    pub(super) logs: &'a [f64],
    pub(super) energy: &'a Energy<'a>,
}

/// Grows a piece below a node, the most expensive steps first, to so many operands; returns these and the nodes of the
/// steps, the top first.
pub(super) fn frontier(tree: &Tree, top: u32, limit: usize) -> (Vec<u32>, Vec<u32>) {
    let energy = |node: u32| (math::order_key(tree.energy[node as usize]), node);
    let mut leaves = Vec::with_capacity(limit);
    let mut inner = Vec::with_capacity(limit);
    let mut heap = BinaryHeap::from([energy(top)]);
    while let Some((_, node)) = heap.pop() {
        inner.push(node);
        for child in [tree.left[node as usize], tree.right[node as usize]] {
            if (child as usize) < tree.count {
                leaves.push(child);
            } else {
                heap.push(energy(child));
            }
        }
        if leaves.len() + heap.len() >= limit {
            break;
        }
    }
    leaves.extend(heap.into_sorted_vec().into_iter().map(|(_, node)| node));
    (leaves, inner)
}

/// Grows a piece below a node to at most `limit` operands, the most expensive steps first, and makes it optimal.
///
/// Returns whether the tree has changed, which it only does for the better, and adds to `work` what it took.
#[allow(clippy::too_many_arguments)]
pub(super) fn improve(
    tree: &mut Tree,
    context: &Context<'_>,
    (top, limit): (u32, usize),
    tables: &mut Tables,
    work: &mut u64,
) -> bool {
    let Context { measure, extents, logs, energy } = *context;
    let words = tree.words;
    let (leaves, mut inner) = frontier(tree, top, limit);
    if leaves.len() < 3 {
        return false;
    }
    let mut axes: Vec<SmallAxis> = Vec::new();
    let mut numbers: Vec<usize> = Vec::new();
    for word in 0..words {
        let mut bits = leaves.iter().fold(0, |bits, &leaf| bits | tree.sets[leaf as usize * words + word]);
        while bits != 0 {
            let bit = bits & bits.wrapping_neg();
            let axis = word * 64 + bit.trailing_zeros() as usize;
            bits ^= bit;
            let mut operands = 0u32;
            for (k, &leaf) in leaves.iter().enumerate() {
                operands |= u32::from(tree.sets[leaf as usize * words + word] & bit != 0) << k;
            }
            let kept = tree.sets[top as usize * words + word] & bit != 0;
            numbers.push(axis);
            axes.push(SmallAxis { operands, kept, log2: logs[axis], extent: extents[axis] });
        }
    }
    let combine = |energies: &mut dyn Iterator<Item = f64>| {
        if energy.objective.is_largest() {
            energies.fold(f64::NEG_INFINITY, f64::max)
        } else {
            energies.fold(f64::NEG_INFINITY, math::log2_add)
        }
    };
    let before = combine(&mut inner.iter().map(|&node| tree.energy[node as usize]));
    let inputs =
        leaves.iter().enumerate().fold(0, |mask, (k, &leaf)| mask | u32::from(tree.leaf_input(leaf)) << k);
    let known = (before - energy.inexact(), u64::MAX);
    let solution = exact::solve_below(leaves.len(), &axes, &energy.objective, inputs, tables, known);
    let (splits, costs) = tables.looked;
    *work += 100 * axes.len() as u64 + (WORK_PER_SUBSET << leaves.len()) + splits + WORK_PER_COST * costs;
    let Some(solution) = solution.filter(|solution| solution.log2 < before - energy.inexact()) else {
        return false;
    };
    // The new steps take the places of the old ones, the last one that of the top.
    inner.reverse();
    let mut below: Vec<u32> = (0..leaves.len()).map(|k| 1 << k).collect();
    for (step, &(a, b)) in solution.path.iter().enumerate() {
        let id = |k: usize| if k < leaves.len() { leaves[k] } else { inner[k - leaves.len()] };
        let operands = below[a] | below[b];
        below.push(operands);
        let node = inner[step];
        let set = &mut tree.sets[node as usize * words..(node as usize + 1) * words];
        set.fill(0);
        for (axis, &number) in axes.iter().zip(&numbers) {
            if axis.operands & operands != 0 && (axis.kept || axis.operands & !operands != 0) {
                set[number / 64] |= 1 << (number % 64);
            }
        }
        tree.join(node, id(a), id(b), measure, energy);
    }
    true
}
