//! Improves a tree by replacing small connected pieces of it by the optimum.

use super::exact::{self, SmallAxis, Tables};
use super::math;
use super::tree::{Energy, Measure, Tree};

/// Grows a piece below a node to at most `limit` operands, the most expensive steps first, and makes it optimal.
///
/// Returns whether the tree has changed, which it only does for the better, and adds to `work` what it took.
#[allow(clippy::too_many_arguments)]
pub(super) fn improve(
    tree: &mut Tree,
    measure: &Measure,
    extents: &[f64],
    logs: &[f64],
    energy: &Energy<'_>,
    (top, limit): (u32, usize),
    tables: &mut Tables,
    work: &mut u64,
) -> bool {
    let count = tree.count;
    let words = tree.words;
    let mut leaves = vec![tree.left[top as usize], tree.right[top as usize]];
    let mut inner = vec![top];
    while leaves.len() < limit {
        let next = leaves
            .iter()
            .enumerate()
            .filter(|&(_, &leaf)| leaf as usize >= count)
            .max_by(|(_, a), (_, b)| tree.energy[**a as usize].total_cmp(&tree.energy[**b as usize]));
        let Some((place, &node)) = next else { break };
        leaves.swap_remove(place);
        inner.push(node);
        leaves.extend([tree.left[node as usize], tree.right[node as usize]]);
    }
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
    *work += 3u64.pow(leaves.len() as u32) + 100 * axes.len() as u64;
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
    let solution = exact::solve(leaves.len(), &axes, &energy.objective, inputs, tables);
    if solution.log2 >= before - 1e-7 {
        return false;
    }
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
