//! One connected network on dense arrays: what the searches work on.

use super::canonical::{Canonical, join_sizes};
use super::neighbours::Neighbours;
use std::collections::{HashMap, VecDeque};

/// Axes with more carriers than this are not looked at for absorption.
const CROWD: usize = 64;

/// Tensors whose axes are all neighbours are joined up to so many elements, as a binary logarithm.
const CLIQUE: f64 = 10.0;

/// Longer tensors make no neighbours of their axes.
const LONG: usize = 64;

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
    pub(super) fn new(canonical: &Canonical, leaves: &[usize]) -> Problem {
        let mut axes: Vec<u32> =
            leaves.iter().flat_map(|&leaf| canonical.lists[leaf].iter().copied()).collect();
        axes.sort_unstable();
        axes.dedup();
        // Axes of one extent lie together, so that their logarithms can be added by counting.
        axes.sort_by(|&a, &b| {
            canonical.logs[a as usize].total_cmp(&canonical.logs[b as usize]).then(a.cmp(&b))
        });
        let mut number = HashMap::with_capacity(axes.len());
        axes.iter().enumerate().for_each(|(k, &axis)| {
            number.insert(axis, k as u32);
        });
        let renumber = |list: &[u32]| {
            let mut list: Vec<u32> = list.iter().filter_map(|axis| number.get(axis).copied()).collect();
            list.sort_unstable();
            list
        };
        let lists = leaves.iter().map(|&leaf| renumber(&canonical.lists[leaf])).collect();
        let logs = axes.iter().map(|&axis| canonical.logs[axis as usize]).collect();
        Problem::of(lists, renumber(&canonical.output), logs, vec![true; leaves.len()], axes)
    }

    /// A part of a network as a problem of its own: its operands and its result as sets of axes.
    pub(super) fn part(&self, operands: &[(&[u64], bool)], result: &[u64]) -> Problem {
        let mut axes: Vec<u32> = Vec::new();
        for word in 0..result.len() {
            let mut bits = operands.iter().fold(0, |bits, (set, _)| bits | set[word]);
            while bits != 0 {
                axes.push((word * 64) as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        let list = |set: &[u64]| -> Vec<u32> {
            let has = |axis: u32| set[axis as usize / 64] >> (axis % 64) & 1 != 0;
            (0..axes.len() as u32).filter(|&k| has(axes[k as usize])).collect()
        };
        Problem::of(
            operands.iter().map(|(set, _)| list(set)).collect(),
            list(result),
            axes.iter().map(|&axis| self.logs[axis as usize]).collect(),
            operands.iter().map(|&(_, is_input)| is_input).collect(),
            axes.clone(),
        )
    }

    fn of(
        lists: Vec<Vec<u32>>,
        output: Vec<u32>,
        logs: Vec<f64>,
        is_input: Vec<bool>,
        axes: Vec<u32>,
    ) -> Problem {
        let mut carriers = vec![Vec::new(); logs.len()];
        for (leaf, list) in lists.iter().enumerate() {
            list.iter().for_each(|&axis| carriers[axis as usize].push(leaf as u32));
        }
        let mut kept = vec![false; logs.len()];
        output.iter().for_each(|&axis| kept[axis as usize] = true);
        Problem { lists, output, logs, carriers, kept, is_input, axes }
    }

    /// How many leaves there are.
    pub(super) fn count(&self) -> usize {
        self.lists.len()
    }

    /// Contracts tensors ahead, operands over the same axes first: where the result is no larger than the larger of them
    /// and the step costs at most twice as much as reading it, and, if `cliques`, where few axes are all neighbours of one
    /// another. Some step of every tree runs over all of these together, so that little is lost.
    pub(super) fn absorb(&self, cliques: bool) -> Absorbed {
        let count = self.count();
        let mut lists = self.lists.clone();
        let mut carriers = self.carriers.clone();
        let size = |list: &[u32]| list.iter().map(|&axis| self.logs[axis as usize]).sum::<f64>();
        let mut prefix: Vec<(u32, u32)> = Vec::new();
        let mut tensors: Vec<u32> = (0..count as u32).collect();
        let mut queue: VecDeque<usize> = (0..count).collect();
        let mut queued = vec![true; count];
        let mut alive = vec![true; count];
        // Operands over the same axes are joined however many others carry these.
        let mut twins: HashMap<&[u32], usize> = HashMap::new();
        for leaf in 0..count {
            let twin = *twins.entry(&self.lists[leaf]).or_insert(leaf);
            if twin != leaf && prefix.len() + 2 < count {
                prefix.push((tensors[twin], tensors[leaf]));
                tensors[twin] = (count + prefix.len() - 1) as u32;
                alive[leaf] = false;
                lists[leaf].clear();
            }
        }
        carriers.iter_mut().for_each(|carriers| carriers.retain(|&leaf| alive[leaf as usize]));
        // Leaves that are joined stay in the lists of axes with many others: taking them out takes as long as these are.
        let mut counts: Vec<usize> = carriers.iter().map(Vec::len).collect();
        lists.iter_mut().for_each(|list| {
            list.retain(|&axis| self.kept[axis as usize] || counts[axis as usize] > 1);
        });
        let mut neighbours = cliques.then(|| Neighbours::new(self.logs.len())).flatten();
        if let Some(neighbours) = &mut neighbours {
            let short = lists.iter().chain([&self.output]).filter(|list| list.len() < LONG);
            short.for_each(|list| neighbours.join(list));
        }
        while let Some(leaf) = queue.pop_front() {
            queued[leaf] = false;
            if !alive[leaf] || prefix.len() + 2 >= count {
                continue;
            }
            let own = size(&lists[leaf]);
            let mut partner: Option<(usize, f64)> = None;
            for &axis in &lists[leaf] {
                if counts[axis as usize] > CROWD {
                    continue;
                }
                for &other in &carriers[axis as usize] {
                    let other = other as usize;
                    if other == leaf {
                        continue;
                    }
                    let larger = own.max(size(&lists[other]));
                    let (all, result) = join_sizes(&lists[leaf], &lists[other], &self.logs, |axis| {
                        self.kept[axis as usize] || counts[axis as usize] > 2
                    });
                    let no_larger = result <= larger + 1e-9 && all <= larger + 1.0 + 1e-9;
                    let clique = || {
                        let known = neighbours.as_ref();
                        all <= CLIQUE && known.is_some_and(|known| known.are(&lists[leaf], &lists[other]))
                    };
                    if (no_larger || clique()) && partner.is_none_or(|(_, least)| all < least) {
                        partner = Some((other, all));
                    }
                }
            }
            let Some((other, _)) = partner else { continue };
            // The joined tensor takes the place of `other`.
            prefix.push((tensors[leaf], tensors[other]));
            tensors[other] = (count + prefix.len() - 1) as u32;
            alive[leaf] = false;
            let gone = std::mem::take(&mut lists[leaf]);
            let mut joined = std::mem::take(&mut lists[other]);
            for &axis in &gone {
                let (carriers, count) = (&mut carriers[axis as usize], &mut counts[axis as usize]);
                if joined.binary_search(&axis).is_err() {
                    carriers.push(other as u32);
                } else {
                    *count -= 1;
                }
                if *count <= CROWD || carriers.len() > 2 * *count {
                    carriers.retain(|&k| alive[k as usize]);
                }
            }
            joined.extend(gone);
            joined.sort_unstable();
            joined.dedup();
            joined.retain(|&axis| self.kept[axis as usize] || counts[axis as usize] > 1);
            if let Some(neighbours) = neighbours.as_mut().filter(|_| joined.len() < LONG) {
                neighbours.join(&joined);
            }
            for &axis in &joined {
                if counts[axis as usize] <= CROWD {
                    for &k in &carriers[axis as usize] {
                        if !queued[k as usize] {
                            queued[k as usize] = true;
                            queue.push_back(k as usize);
                        }
                    }
                }
            }
            lists[other] = joined;
        }
        let left: Vec<usize> = (0..count).filter(|&leaf| alive[leaf]).collect();
        // Axes that are summed within the prefix leave the numbering.
        let mut used = vec![false; self.logs.len()];
        left.iter().flat_map(|&leaf| &lists[leaf]).for_each(|&axis| used[axis as usize] = true);
        let old: Vec<u32> = (0..used.len() as u32).filter(|&axis| used[axis as usize]).collect();
        let mut number = vec![0u32; used.len()];
        old.iter().enumerate().for_each(|(k, &axis)| number[axis as usize] = k as u32);
        let renumber = |list: &[u32]| list.iter().map(|&axis| number[axis as usize]).collect::<Vec<u32>>();
        let problem = Problem::of(
            left.iter().map(|&leaf| renumber(&lists[leaf])).collect(),
            renumber(&self.output),
            old.iter().map(|&axis| self.logs[axis as usize]).collect(),
            left.iter().map(|&leaf| (tensors[leaf] as usize) < count && self.is_input[leaf]).collect(),
            old.iter().map(|&axis| self.axes[axis as usize]).collect(),
        );
        Absorbed { problem, prefix, leaves: left.iter().map(|&leaf| tensors[leaf]).collect() }
    }
}

/// A problem some of whose leaves are joined already.
pub(super) struct Absorbed {
    /// What is left.
    pub(super) problem: Problem,
    prefix: Vec<(u32, u32)>,
    leaves: Vec<u32>,
}

impl Absorbed {
    /// The path of the original problem that makes the leaves and then follows a path of what is left.
    pub(super) fn expand(&self, path: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let few = self.leaves.len() as u32;
        // As many leaves went away as the prefix has steps, so the results of the steps keep their numbers but for
        // the leaves and the steps that are now more.
        let shift = 2 * self.prefix.len() as u32;
        let id = |k: u32| if k < few { self.leaves[k as usize] } else { k + shift };
        self.prefix.iter().copied().chain(path.iter().map(|&(a, b)| (id(a), id(b)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Network;
    use super::*;

    fn problem(inputs: Vec<Vec<u32>>, axes: usize) -> Problem {
        let network = Network::new(inputs, vec![], vec![2; axes]).unwrap();
        let canonical = Canonical::new(&network, false);
        Problem::new(&canonical, &(0..network.inputs().len()).collect::<Vec<_>>())
    }

    #[test]
    fn tensors_over_axes_that_are_all_neighbours_are_joined() {
        // A ring of twenty groups of three axes, where each axis shares a matrix with all of its own group and the next.
        let group = |k: u32| (3 * (k % 20)..3 * (k % 20) + 3).collect::<Vec<u32>>();
        let mut pairs = Vec::new();
        for k in 0..20 {
            let (own, next) = (group(k), group(k + 1));
            for (place, &a) in own.iter().enumerate() {
                pairs.extend(own[..place].iter().chain(&next).map(|&b| vec![a, b]));
            }
        }
        let ring = problem(pairs, 60);
        assert_eq!(ring.absorb(false).problem.count(), ring.count());
        let absorbed = ring.absorb(true);
        assert!(absorbed.problem.count() <= 20, "{}", absorbed.problem.count());
        assert!(absorbed.problem.lists.iter().all(|list| list.len() == 6));
        // Fifteen axes are too many for one tensor.
        let clique = (0..15u32).flat_map(|a| (0..a).map(move |b| vec![a, b])).collect();
        let absorbed = problem(clique, 15).absorb(true);
        assert!(absorbed.problem.lists.iter().all(|list| list.len() <= 10));
        // On a torus no three axes are all neighbours.
        let at = |x: u32, y: u32| 6 * (y % 6) + x % 6;
        let places = || (0..36).map(|k| (k % 6, k / 6));
        let pairs = places().flat_map(|(x, y)| [vec![at(x, y), at(x + 1, y)], vec![at(x, y), at(x, y + 1)]]);
        assert_eq!(problem(pairs.collect(), 36).absorb(true).problem.count(), 72);
    }
}
