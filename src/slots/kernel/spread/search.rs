//! Which position each bit of a product gets: a local search with a fixed seed.

use super::tree::{Node, Tree};
use super::{MOST_CIPHERTEXT_BITS, Positions, Problem};
use crate::slots::layout::Bit;

/// How long the searches of one product go on at 16384 slots, in looks at what an assignment costs at least; with fewer
/// bits in a slot's number there are fewer assignments.
const EFFORT: usize = 130_000;

/// After so many starts that do not help, for a hundred pairs of positions, no others are tried.
const PATIENCE: usize = 60;

/// What an assignment takes whose routes are searched for.
const EVALUATION: usize = 20;

/// A tree with the best positions for every product of it that are known.
pub(super) struct Candidate {
    /// The number of the tree.
    pub tree: usize,
    /// For each product its positions.
    pub positions: Vec<Positions>,
    /// What the whole costs.
    pub cost: usize,
    /// Positions to climb from, the most promising last.
    starts: Vec<(usize, Vec<Positions>)>,
    random: u64,
    /// How many starts have not helped since one did.
    idle: usize,
}

/// The tree and positions that cost least with so many levels; those of fewer levels are known beside them.
///
/// All trees get a share of the evaluations, then the better half of them, until one is left.
pub(super) fn search(
    problem: &mut Problem,
    trees: &[Tree],
    known: &[(Candidate, usize)],
    levels: usize,
) -> Option<Candidate> {
    let mut candidates: Vec<Candidate> =
        (0..trees.len()).filter_map(|tree| begin(problem, trees, tree, known, levels)).collect();
    let free = problem.wanted.is_none() && problem.homes.iter().all(Option::is_none);
    if !free {
        let rounds = 1 + candidates.len().max(1).ilog2() as usize;
        for _ in 0..rounds {
            let effort = EFFORT * problem.slot_bits.min(14).pow(4) / 14usize.pow(4);
            let share = effort / rounds / candidates.len().max(1);
            for candidate in &mut candidates {
                improve(problem, &trees[candidate.tree], candidate, levels, share);
            }
            candidates.sort_by_key(|candidate| candidate.cost);
            candidates.truncate(candidates.len().div_ceil(2));
        }
    }
    candidates.into_iter().min_by_key(|candidate| candidate.cost)
}

/// The starts of a tree that fit so many levels, and the best of them.
fn begin(
    problem: &mut Problem,
    trees: &[Tree],
    tree: usize,
    known: &[(Candidate, usize)],
    levels: usize,
) -> Option<Candidate> {
    let orders: &[[usize; 3]] = &[[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 2, 1], [2, 1, 0], [1, 0, 2]];
    let mut all: Vec<Vec<Positions>> = Vec::new();
    for order in orders {
        let positions = start(problem, &trees[tree], order)?;
        if !all.contains(&positions) {
            all.push(positions);
        }
    }
    all.extend(known.iter().filter(|known| known.0.tree == tree).map(|known| known.0.positions.clone()));
    let mut starts = Vec::new();
    for positions in all {
        starts.extend(cost(problem, &trees[tree], &positions, levels).map(|cost| (cost, positions)));
    }
    starts.sort_by_key(|start| std::cmp::Reverse(start.0));
    let (cost, positions) = starts.last()?.clone();
    Some(Candidate { tree, positions, cost, starts, random: 0x9e37_79b9_7f4a_7c15, idle: 0 })
}

/// Climbs from the starts, then from the best positions, shaken, while there is time and it still helps now and then.
fn improve(problem: &mut Problem, tree: &Tree, candidate: &mut Candidate, levels: usize, mut left: usize) {
    let widest = candidate.positions.iter().map(Vec::len).max().unwrap_or(0);
    while left > 0 && candidate.idle * 100 < PATIENCE * widest * widest {
        let (mut cost, mut positions) = match candidate.starts.pop() {
            Some(start) => start,
            None => {
                candidate.idle += 1;
                let mut positions = shaken(candidate);
                let mut least = problem.least(tree, &positions);
                let by_least = &mut |positions: &[Positions], _: usize, _: &mut usize| {
                    Some(problem.least(tree, positions))
                };
                climb(&mut positions, &mut least, by_least, &mut left);
                if least >= candidate.cost {
                    continue;
                }
                left = left.saturating_sub(EVALUATION);
                let Some(cost) = cost(problem, tree, &positions, levels) else { continue };
                (cost, positions)
            }
        };
        let by_cost = &mut |positions: &[Positions], best: usize, left: &mut usize| {
            if problem.least(tree, positions) >= best {
                return None;
            }
            *left = left.saturating_sub(EVALUATION);
            self::cost(problem, tree, positions, levels)
        };
        climb(&mut positions, &mut cost, by_cost, &mut left);
        if cost < candidate.cost {
            (candidate.positions, candidate.cost, candidate.idle) = (positions, cost, 0);
        }
    }
}

/// The best positions after a few swaps.
fn shaken(candidate: &mut Candidate) -> Vec<Positions> {
    let mut positions = candidate.positions.clone();
    for node in positions.iter_mut().filter(|node| !node.is_empty()) {
        for _ in 0..3 {
            let mut draw = || {
                candidate.random =
                    candidate.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (candidate.random >> 33) as usize % node.len()
            };
            let (one, two) = (draw(), draw());
            node.swap(one, two);
        }
    }
    positions
}

fn cost(problem: &mut Problem, tree: &Tree, positions: &[Positions], levels: usize) -> Option<usize> {
    let (outcome, route) = problem.best(tree, positions, levels)?;
    Some(outcome.cost + route.cost())
}

/// Swaps positions as long as that makes smaller what is told of them.
fn climb(
    positions: &mut Vec<Positions>,
    best: &mut usize,
    cost: &mut dyn FnMut(&[Positions], usize, &mut usize) -> Option<usize>,
    left: &mut usize,
) {
    let nodes: Vec<usize> = (0..positions.len()).filter(|node| !positions[*node].is_empty()).collect();
    let mut improved = true;
    while improved {
        improved = false;
        let widest = nodes.iter().map(|node| positions[*node].len()).max().unwrap_or(0);
        for high in 1..widest {
            for low in 0..high {
                // One product, and all at once.
                for group in
                    nodes.iter().map(std::slice::from_ref).chain((nodes.len() > 1).then_some(&nodes[..]))
                {
                    if group.iter().all(|node| {
                        high >= positions[*node].len() || positions[*node][low] == positions[*node][high]
                    }) {
                        continue;
                    }
                    if *left == 0 {
                        return;
                    }
                    *left -= 1;
                    let swap = |positions: &mut Vec<Positions>| {
                        for node in group {
                            if high < positions[*node].len() {
                                positions[*node].swap(low, high);
                            }
                        }
                    };
                    swap(positions);
                    match cost(positions, *best, left) {
                        Some(cost) if cost < *best => {
                            *best = cost;
                            improved = true;
                        }
                        _ => swap(positions),
                    }
                }
            }
        }
    }
}

/// Positions to start from: for each product, the homes of its factors and of its result in this order of preference,
/// then the free positions from the top, contracted bits first.
fn start(problem: &Problem, tree: &Tree, order: &[usize; 3]) -> Option<Vec<Positions>> {
    let mut all: Vec<Positions> = vec![Vec::new(); tree.nodes.len()];
    for (node, kind) in tree.nodes.iter().enumerate() {
        let Node::Product { children, axes, contracted } = kind else { continue };
        let bits = problem.bits_of(axes);
        let mut width = problem.slot_bits.max(bits.len());
        if width > problem.slot_bits + MOST_CIPHERTEXT_BITS {
            return None;
        }
        let home = |child: usize| -> Positions {
            match &tree.nodes[child] {
                Node::Leaf(operand) => of_bits(problem.homes[*operand].as_deref().unwrap_or(&[])),
                Node::Product { .. } => all[child].clone(),
            }
        };
        let homes: Vec<Positions> = children.iter().map(|child| home(*child)).collect();
        let wanted = of_bits(problem.wanted.as_deref().unwrap_or(&[]));
        // A contracted bit in the ciphertext's number costs a product more and a rotation less.
        width += usize::from(!contracted.is_empty() && children.len() > 1 && problem.wanted.is_some());
        width = homes.iter().map(Vec::len).fold(width, usize::max).max(wanted.len());
        let mut here: Positions = vec![None; width];
        let nothing = Vec::new();
        for choice in order {
            let preferred = match choice {
                2 => &wanted,
                child => homes.get(*child).unwrap_or(&nothing),
            };
            for (place, bit) in preferred.iter().enumerate() {
                let Some(bit) = bit.filter(|bit| bits.contains(bit) && !here.contains(&Some(*bit))) else {
                    continue;
                };
                if here[place].is_none() {
                    here[place] = Some(bit);
                }
            }
        }
        let mut rest: Vec<(usize, u32)> =
            bits.iter().copied().filter(|bit| !here.contains(&Some(*bit))).collect();
        rest.sort_by_key(|(axis, bit)| (!contracted.contains(axis), *axis, *bit));
        let needed = problem.slot_bits.max(bits.len());
        for place in (0..width).rev() {
            if here[place].is_none() && place < needed.max(problem.slot_bits) && !rest.is_empty() {
                here[place] = Some(rest.remove(0));
            }
        }
        for bit in rest {
            let place = here.iter().position(Option::is_none)?;
            here[place] = Some(bit);
        }
        all[node] = here;
    }
    Some(all)
}

fn of_bits(bits: &[Bit]) -> Positions {
    let held = |bit: &Bit| match bit {
        Bit::Of(axis, bit) => Some((*axis, *bit)),
        _ => None,
    };
    bits.iter().map(held).collect()
}
