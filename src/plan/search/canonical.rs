//! The network as the search sees it: smaller, and without what cannot matter.
//!
//! Axes of extent one, repeated axes of one operand and axes that only one operand has go away; axes that occur in
//! the same operands become one; operands whose contraction with a neighbour hardly costs anything are contracted
//! ahead; what is left falls into connected components.

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
    /// The tensor that a leaf stands for, in the numbering of the path so far.
    pub(super) leaves: Vec<usize>,
    /// The steps that make the leaves.
    pub(super) prefix: Vec<(usize, usize)>,
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
        let leaves = (0..lists.len()).collect();
        Canonical { lists, output, logs, members, leaves, prefix: Vec::new() }
    }

    /// Contracts neighbours ahead where the result is no larger than the larger of them and the step costs at most
    /// twice as much as reading it.
    pub(super) fn absorb(&mut self) {
        let inputs = self.lists.len();
        let mut carriers: Vec<Vec<u32>> = vec![Vec::new(); self.logs.len()];
        for (leaf, axes) in self.lists.iter().enumerate() {
            axes.iter().for_each(|&axis| carriers[axis as usize].push(leaf as u32));
        }
        let mut kept = vec![false; self.logs.len()];
        self.output.iter().for_each(|&axis| kept[axis as usize] = true);
        let logs = &self.logs;
        let size = |axes: &[u32]| axes.iter().map(|&axis| logs[axis as usize]).sum::<f64>();
        let mut queue: std::collections::VecDeque<usize> = (0..inputs).collect();
        let mut queued = vec![true; inputs];
        let mut alive = vec![true; inputs];
        let mut left = inputs;
        while let Some(leaf) = queue.pop_front() {
            queued[leaf] = false;
            if !alive[leaf] || self.lists[leaf].is_empty() || left <= 1 {
                continue;
            }
            let own = size(&self.lists[leaf]);
            let mut partner: Option<(usize, f64)> = None;
            for &axis in &self.lists[leaf] {
                let others = &carriers[axis as usize];
                if others.len() > 64 {
                    continue;
                }
                for &other in others {
                    let other = other as usize;
                    if other == leaf {
                        continue;
                    }
                    let larger = own.max(size(&self.lists[other]));
                    let (all, result) = join_sizes(&self.lists[leaf], &self.lists[other], logs, |axis| {
                        kept[axis as usize] || carriers[axis as usize].len() > 2
                    });
                    if result <= larger + 1e-9
                        && all <= larger + 1.0 + 1e-9
                        && partner.is_none_or(|(_, least)| all < least)
                    {
                        partner = Some((other, all));
                    }
                }
            }
            let Some((other, _)) = partner else { continue };
            // The joined tensor takes the place of `other`.
            self.prefix.push((self.leaves[leaf], self.leaves[other]));
            self.leaves[other] = inputs + self.prefix.len() - 1;
            alive[leaf] = false;
            left -= 1;
            let gone = std::mem::take(&mut self.lists[leaf]);
            for &axis in &gone {
                carriers[axis as usize].retain(|&k| k as usize != leaf);
            }
            let mut joined = std::mem::take(&mut self.lists[other]);
            for &axis in &gone {
                if joined.binary_search(&axis).is_err() {
                    carriers[axis as usize].push(other as u32);
                }
            }
            joined.extend(gone);
            joined.sort_unstable();
            joined.dedup();
            joined.retain(|&axis| {
                let stays = kept[axis as usize] || carriers[axis as usize].len() > 1;
                if !stays {
                    carriers[axis as usize].clear();
                }
                stays
            });
            for &axis in &joined {
                if carriers[axis as usize].len() <= 64 {
                    for &k in &carriers[axis as usize] {
                        if !queued[k as usize] {
                            queued[k as usize] = true;
                            queue.push_back(k as usize);
                        }
                    }
                }
            }
            self.lists[other] = joined;
        }
        let mut alive = alive.iter();
        self.lists.retain(|_| alive.next().copied().unwrap_or(true));
        let alive: Vec<bool> = {
            // A leaf is gone when its tensor is an operand of the prefix.
            let mut used = vec![false; inputs + self.prefix.len()];
            self.prefix.iter().for_each(|&(a, b)| {
                used[a] = true;
                used[b] = true;
            });
            self.leaves.iter().map(|&id| !used[id]).collect()
        };
        let mut alive = alive.iter();
        self.leaves.retain(|_| alive.next().copied().unwrap_or(true));
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
