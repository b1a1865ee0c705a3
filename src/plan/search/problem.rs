//! One connected network on dense arrays: what the searches work on.

use super::canonical::Canonical;

/// A connected network.
pub(super) struct Problem {
    /// The axes of each leaf, ascending; axes are numbered from zero without gaps.
    pub(super) lists: Vec<Vec<u32>>,
    /// The axes of the result.
    pub(super) output: Vec<u32>,
    /// The binary logarithm of each axis.
    pub(super) logs: Vec<f64>,
    /// The leaves that carry each axis, ascending.
    pub(super) carriers: Vec<Vec<u32>>,
    /// Whether each axis is one of the result's.
    pub(super) kept: Vec<bool>,
    /// Whether each leaf is an input of the network rather than a result of a step.
    pub(super) is_input: Vec<bool>,
    /// The axes of the reduced network that the axes are.
    pub(super) axes: Vec<u32>,
}

impl Problem {
    /// Takes some leaves of a reduced network, which share no axis with the others.
    pub(super) fn new(canonical: &Canonical, leaves: &[usize], inputs: usize) -> Problem {
        let mut axes: Vec<u32> =
            leaves.iter().flat_map(|&leaf| canonical.lists[leaf].iter().copied()).collect();
        axes.sort_unstable();
        axes.dedup();
        // Axes of one extent lie together, so that their logarithms can be added by counting.
        axes.sort_by(|&a, &b| {
            canonical.logs[a as usize].total_cmp(&canonical.logs[b as usize]).then(a.cmp(&b))
        });
        let mut number = std::collections::HashMap::with_capacity(axes.len());
        axes.iter().enumerate().for_each(|(k, &axis)| {
            number.insert(axis, k as u32);
        });
        let renumber = |list: &[u32]| {
            let mut list: Vec<u32> = list.iter().filter_map(|axis| number.get(axis).copied()).collect();
            list.sort_unstable();
            list
        };
        let lists: Vec<Vec<u32>> = leaves.iter().map(|&leaf| renumber(&canonical.lists[leaf])).collect();
        let output = renumber(&canonical.output);
        let mut carriers = vec![Vec::new(); axes.len()];
        for (leaf, list) in lists.iter().enumerate() {
            list.iter().for_each(|&axis| carriers[axis as usize].push(leaf as u32));
        }
        let mut kept = vec![false; axes.len()];
        output.iter().for_each(|&axis| kept[axis as usize] = true);
        Problem {
            lists,
            output,
            logs: axes.iter().map(|&axis| canonical.logs[axis as usize]).collect(),
            carriers,
            kept,
            is_input: leaves.iter().map(|&leaf| canonical.leaves[leaf] < inputs).collect(),
            axes,
        }
    }

    /// How many leaves there are.
    pub(super) fn count(&self) -> usize {
        self.lists.len()
    }
}
