//! Which position each bit of a product gets: a local search with a fixed seed.

use super::tree::{Node, Tree};
use super::{MOST_CIPHERTEXT_BITS, Positions, Problem};
use crate::slots::layout::Bit;

/// How many assignments the searches of one product look at, each of its trees a fair part.
const EVALUATIONS: usize = 1600;

/// The best positions for every product of a tree, with their cost, if the tree fits so many levels.
pub(super) fn search(
    problem: &mut Problem,
    tree: &Tree,
    trees: usize,
    levels: usize,
) -> Option<(Tree, Vec<Positions>, usize)> {
    let mut best: Option<(Vec<Positions>, usize)> = None;
    let mut left = EVALUATIONS / trees;
    let free = problem.wanted.is_none() && problem.homes.iter().all(Option::is_none);
    let orders: &[[usize; 3]] = &[[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 2, 1], [2, 1, 0], [1, 0, 2]];
    for order in orders {
        let mut positions = start(problem, tree, order)?;
        let Some(mut cost) = cost(problem, tree, &positions, levels) else { continue };
        if free {
            // Nothing moves: contracted bits at the top are the best there is.
            return Some((tree.clone(), positions, cost));
        }
        climb(problem, tree, &mut positions, &mut cost, levels, &mut left);
        if best.as_ref().is_none_or(|best| cost < best.1) {
            best = Some((positions, cost));
        }
    }
    let (mut positions, mut cost) = best?;
    // Shaken and climbed again while there is time.
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    while left > 0 {
        let mut other = positions.clone();
        for node in other.iter_mut().filter(|node| !node.is_empty()) {
            for _ in 0..3 {
                let mut draw = || {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (random >> 33) as usize % node.len()
                };
                let (one, two) = (draw(), draw());
                node.swap(one, two);
            }
        }
        left = left.saturating_sub(1);
        let Some(mut other_cost) = self::cost(problem, tree, &other, levels) else { continue };
        climb(problem, tree, &mut other, &mut other_cost, levels, &mut left);
        if other_cost < cost {
            (positions, cost) = (other, other_cost);
        }
    }
    Some((tree.clone(), positions, cost))
}

fn cost(problem: &mut Problem, tree: &Tree, positions: &[Positions], levels: usize) -> Option<usize> {
    let (outcome, route) = problem.best(tree, positions, levels)?;
    Some(outcome.cost + route.cost())
}

/// Swaps positions as long as that helps.
fn climb(
    problem: &mut Problem,
    tree: &Tree,
    positions: &mut Vec<Positions>,
    best: &mut usize,
    levels: usize,
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
                        for node in
                            group.iter().filter(|node| high < positions[**node].len()).collect::<Vec<_>>()
                        {
                            positions[*node].swap(low, high);
                        }
                    };
                    swap(positions);
                    match cost(problem, tree, positions, levels) {
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
