//! The network as the search sees it: smaller, and without what cannot matter.
//!
//! Axes of extent one, repeated axes of one operand and axes that only one operand has go away; axes that occur in
//! the same operands become one; what is left falls into connected components.

use super::Network;
use super::math;
use std::collections::HashMap;

/// A reduced network.
pub(super) struct Canonical {
    /// The axes of each leaf, ascending.
    pub(super) lists: Vec<Vec<u32>>,
    /// The axes of the result, ascending.
    pub(super) output: Vec<u32>,
    /// The binary logarithm of each axis, positive.
    pub(super) logs: Vec<f64>,
    /// The axes of the network that an axis stands for.
    pub(super) members: Vec<Vec<u32>>,
}

impl Canonical {
    /// Reduces a network; `merge` joins axes that occur together.
    pub(super) fn new(network: &Network, merge: bool) -> Canonical {
        let extents = network.extents();
        let mut carriers = vec![0u32; extents.len()];
        let mut lists: Vec<Vec<u32>> = network
            .inputs()
            .iter()
            .map(|axes| {
                let mut axes: Vec<u32> =
                    axes.iter().copied().filter(|&axis| extents[axis as usize] > 1).collect();
                axes.sort_unstable();
                axes.dedup();
                axes.iter().for_each(|&axis| carriers[axis as usize] += 1);
                axes
            })
            .collect();
        let mut output: Vec<u32> =
            network.output().iter().copied().filter(|&axis| extents[axis as usize] > 1).collect();
        output.iter().for_each(|&axis| carriers[axis as usize] += 1);
        lists.iter_mut().for_each(|axes| axes.retain(|&axis| carriers[axis as usize] > 1));

        // Which operands carry an axis; the number of operands stands for the output.
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); extents.len()];
        for (operand, axes) in lists.iter().enumerate() {
            axes.iter().for_each(|&axis| places[axis as usize].push(operand as u32));
        }
        output.iter().for_each(|&axis| places[axis as usize].push(lists.len() as u32));
        let mut number = vec![u32::MAX; extents.len()];
        let mut seen: HashMap<&[u32], u32> = HashMap::new();
        let (mut logs, mut members) = (Vec::new(), Vec::<Vec<u32>>::new());
        for axis in 0..extents.len() {
            if places[axis].is_empty() {
                continue;
            }
            let fresh = logs.len() as u32;
            let id = if merge { *seen.entry(&places[axis]).or_insert(fresh) } else { fresh };
            if id == fresh {
                logs.push(0.0);
                members.push(Vec::new());
            }
            number[axis] = id;
            logs[id as usize] += math::log2(extents[axis] as f64);
            members[id as usize].push(axis as u32);
        }
        for axes in lists.iter_mut().chain([&mut output]) {
            axes.iter_mut().for_each(|axis| *axis = number[*axis as usize]);
            axes.sort_unstable();
            axes.dedup();
        }
        Canonical { lists, output, logs, members }
    }

    /// The leaves of each connected component, in the order of their first leaves.
    pub(super) fn components(&self) -> Vec<Vec<usize>> {
        let mut parent: Vec<usize> = (0..self.lists.len()).collect();
        fn find(parent: &mut [usize], mut k: usize) -> usize {
            while parent[k] != k {
                parent[k] = parent[parent[k]];
                k = parent[k];
            }
            k
        }
        let mut first = vec![usize::MAX; self.logs.len()];
        for (leaf, axes) in self.lists.iter().enumerate() {
            for &axis in axes {
                let seen = &mut first[axis as usize];
                if *seen == usize::MAX {
                    *seen = leaf;
                } else {
                    let (a, b) = (find(&mut parent, *seen), find(&mut parent, leaf));
                    parent[a.max(b)] = a.min(b);
                }
            }
        }
        let mut number = vec![usize::MAX; self.lists.len()];
        let mut components: Vec<Vec<usize>> = Vec::new();
        for leaf in 0..self.lists.len() {
            let root = find(&mut parent, leaf);
            if number[root] == usize::MAX {
                number[root] = components.len();
                components.push(Vec::new());
            }
            components[number[root]].push(leaf);
        }
        components
    }
}

/// The logarithms of the multiply-adds and of the result of joining two ascending lists, where `stays` says of an
/// axis of both whether the result keeps it.
pub(super) fn join_sizes(a: &[u32], b: &[u32], logs: &[f64], stays: impl Fn(u32) -> bool) -> (f64, f64) {
    let (mut all, mut result) = (0.0, 0.0);
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let x = a.get(i).copied().unwrap_or(u32::MAX);
        let y = b.get(j).copied().unwrap_or(u32::MAX);
        let axis = x.min(y);
        i += usize::from(x == axis);
        j += usize::from(y == axis);
        let log = logs[axis as usize];
        all += log;
        if x != y || stays(axis) {
            result += log;
        }
    }
    (all, result)
}
