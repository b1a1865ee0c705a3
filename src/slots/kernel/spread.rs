//! Every operand laid out over all axes of a product, one multiplication, sums by rotations.
//!
//! The axes are cut into bits, extents rounded up to powers of two, and each bit of a product sits at one position of
//! the slot's number or of the ciphertext's. An operand's bits are [routed](super::super::linear::route) there, with
//! copies at the positions of the axes that it lacks; contracted bits are summed up, those of the ciphertext's number
//! without rotations; the result is routed to where it must sit. Products of several operands go by trees, all of them
//! up to four operands. What each position holds is found by a local search from the operands' and the output's own
//! positions, with a fixed seed.

mod build;
mod search;
mod tree;

use super::{Kernel, Placement, Request};
use crate::slots::layout::{Bit, Bits};
use crate::slots::linear::route::{Effort, ROTATION, Route, least_between, least_rotations, route};
use std::collections::HashMap;
use std::rc::Rc;
use tree::{Node, Tree};

/// What each position of a product's slots and ciphertexts holds: a bit of an axis, or nothing.
type Positions = Vec<Option<(usize, u32)>>;

/// The largest number of bits of a ciphertext's number.
const MOST_CIPHERTEXT_BITS: usize = 8;

/// The most levels beside those of products: more are hardly worth their search.
const MOST_MASKS: usize = 3;

/// One way to compute a node of the tree.
#[derive(Clone, Debug)]
struct Outcome {
    levels: usize,
    cost: usize,
    state: Vec<Bit>,
    /// For each child: which of its outcomes, and the route from there.
    children: Vec<(usize, Option<Rc<Route>>)>,
}

/// What the search knows of a request.
struct Problem<'a> {
    request: &'a Request,
    slot_bits: usize,
    /// Where each operand sits, in bits of the contraction's axes; `None` where that is free.
    homes: Vec<Option<Vec<Bit>>>,
    /// Where the output must sit.
    wanted: Option<Vec<Bit>>,
    routes: HashMap<(Vec<Bit>, Vec<Bit>), Rc<Vec<Rc<Route>>>>,
    effort: Effort,
}

/// The kernels of each number of levels, the best that is found.
pub fn kernels(request: &Request) -> Vec<Kernel> {
    let Some(mut problem) = Problem::new(request) else { return Vec::new() };
    let trees = tree::trees(request);
    let mut known: Vec<(search::Candidate, usize)> = Vec::new();
    let products = request.operands.len() - 1;
    for levels in 0..=request.levels.min(products + MOST_MASKS) {
        let found = search::search(&mut problem, &trees, &known, levels);
        known.extend(found.map(|found| (found, levels)));
    }
    problem.effort = Effort::Thorough;
    problem.routes.clear();
    let built = known.iter();
    built
        .filter_map(|(found, levels)| {
            build::build(&mut problem, &trees[found.tree], &found.positions, *levels)
        })
        .collect()
}

impl<'a> Problem<'a> {
    fn new(request: &'a Request) -> Option<Problem<'a>> {
        let home = |placement: &Placement, dims: &[usize]| match placement {
            Placement::Given(layout) => {
                let bits = layout.bits(request.slots)?.bits;
                Some(Some(bits.into_iter().map(|bit| bit.over(dims)).collect()))
            }
            Placement::Free | Placement::Loose => Some(None),
        };
        let operands = request.operands.iter().zip(&request.contraction.operands);
        let homes = operands.map(|(placement, operand)| home(placement, &operand.axes));
        Some(Problem {
            request,
            slot_bits: request.slots.ilog2() as usize,
            homes: homes.collect::<Option<Vec<_>>>()?,
            wanted: home(&request.output, &request.contraction.output)?,
            routes: HashMap::new(),
            effort: Effort::Quick,
        })
    }

    /// How many bits an axis has.
    fn axis_bits(&self, axis: usize) -> u32 {
        self.request.contraction.axes[axis].extent.next_power_of_two().ilog2()
    }

    fn bits_of(&self, axes: &[usize]) -> Vec<(usize, u32)> {
        axes.iter().flat_map(|axis| (0..self.axis_bits(*axis)).map(|bit| (*axis, bit))).collect()
    }

    /// The routes from a state to a target that are worth their levels, at most three of them.
    fn routes(&mut self, from: &[Bit], to: &[Bit]) -> Rc<Vec<Rc<Route>>> {
        let key = (from.to_vec(), to.to_vec());
        if let Some(known) = self.routes.get(&key) {
            return Rc::clone(known);
        }
        let bits = |bits: &[Bit]| Bits { bits: bits.to_vec(), slot_bits: self.slot_bits };
        let (from, to) = (bits(from), bits(to));
        let mut routes: Vec<Rc<Route>> = Vec::new();
        let least = least_rotations(&from, &to);
        for levels in 0..=3.min(self.request.levels) {
            let Some(found) = route(&from, &to, levels, self.effort) else { continue };
            if routes.last().is_none_or(|last| found.cost() < last.cost()) {
                routes.push(Rc::new(found));
            }
            if routes.last().is_some_and(|last| last.rotations == least) {
                break;
            }
        }
        let routes = Rc::new(routes);
        self.routes.insert(key, Rc::clone(&routes));
        routes
    }

    /// What a child of a product is brought to.
    fn target(&self, positions: &Positions, axes: &[usize], free: bool) -> Vec<Bit> {
        let bits = positions.iter().enumerate().map(|(place, held)| match held {
            Some((axis, bit)) if axes.contains(axis) => Bit::Of(*axis, *bit),
            Some(_) => Bit::Copy,
            None if free && place < self.slot_bits => Bit::Copy,
            None if free => Bit::Zero,
            None => Bit::Unknown,
        });
        bits.collect()
    }

    /// The ways to compute a node, by levels; costs never grow with levels.
    fn outcomes(&mut self, tree: &Tree, node: usize, positions: &[Positions], levels: usize) -> Vec<Outcome> {
        let Node::Product { children, axes, contracted } = &tree.nodes[node] else {
            let Node::Leaf(operand) = tree.nodes[node] else { unreachable!("a node is a leaf or a product") };
            let state = self.homes[operand].clone().unwrap_or_default();
            return vec![Outcome { levels: 0, cost: 0, state, children: Vec::new() }];
        };
        let here = &positions[node];
        let mut combined = vec![Outcome { levels: 0, cost: 0, state: Vec::new(), children: Vec::new() }];
        let mut depths: Vec<Vec<usize>> = vec![Vec::new()];
        for child in children {
            let mut ways: Vec<(usize, usize, Vec<Bit>, usize, Option<Rc<Route>>)> = Vec::new();
            let free = matches!(tree.nodes[*child], Node::Leaf(operand) if self.homes[operand].is_none());
            let target = self.target(here, tree.axes(*child), free);
            if free {
                ways.push((0, 0, target, 0, None));
            } else {
                for (number, outcome) in
                    self.outcomes(tree, *child, positions, levels).into_iter().enumerate()
                {
                    for route in self.routes(&outcome.state, &target).iter() {
                        let (depth, cost) = (outcome.levels + route.levels, outcome.cost + route.cost());
                        if depth <= levels {
                            ways.push((depth, cost, route.end.clone(), number, Some(Rc::clone(route))));
                        }
                    }
                }
                prune(&mut ways, |way| (way.0, way.1));
            }
            let mut next = Vec::new();
            let mut next_depths = Vec::new();
            for (outcome, depths) in combined.iter().zip(&depths) {
                for (depth, cost, state, number, route) in &ways {
                    let mut joined = outcome.clone();
                    joined.cost += cost;
                    joined.state = meet(&outcome.state, state);
                    joined.children.push((*number, route.clone()));
                    next.push(joined);
                    next_depths.push([depths.as_slice(), &[*depth]].concat());
                }
            }
            (combined, depths) = (next, next_depths);
        }
        for (outcome, depths) in combined.iter_mut().zip(&mut depths) {
            outcome.levels = product_levels(depths);
            self.sum_up(outcome, here, axes, contracted, children.len());
        }
        combined.retain(|outcome| outcome.levels <= levels);
        prune(&mut combined, |outcome| (outcome.levels, outcome.cost));
        combined
    }

    /// What an assignment costs at least: every bit that is not where it is wanted is moved once, copies of operands are
    /// made, and products and sums cost what they do.
    fn least(&self, tree: &Tree, positions: &[Positions]) -> usize {
        let held = |positions: &Positions, axes: &[usize], place: usize| match positions.get(place) {
            Some(Some((axis, bit))) if axes.contains(axis) => Bit::Of(*axis, *bit),
            _ => Bit::Copy,
        };
        let rotations = |places: usize, from: &dyn Fn(usize) -> Bit, to: &dyn Fn(usize) -> Bit| {
            ROTATION * least_between(places, self.slot_bits, from, to)
        };
        let mut cost = 0;
        for (node, kind) in tree.nodes.iter().enumerate() {
            let Node::Product { children, axes, contracted } = kind else { continue };
            let here = &positions[node];
            cost += self.product_cost(here, axes, contracted, children.len());
            for child in children {
                let axes = tree.axes(*child);
                let wanted = |place: usize| match here.get(place) {
                    Some(Some((axis, bit))) if axes.contains(axis) => Bit::Of(*axis, *bit),
                    Some(Some(_)) => Bit::Copy,
                    _ => Bit::Unknown,
                };
                cost += match tree.nodes[*child] {
                    Node::Leaf(operand) => self.homes[operand].as_ref().map_or(0, |home| {
                        let home = |place: usize| home.get(place).copied().unwrap_or(Bit::Zero);
                        rotations(here.len(), &home, &wanted)
                    }),
                    Node::Product { .. } => {
                        rotations(here.len(), &|place| held(&positions[*child], axes, place), &wanted)
                    }
                };
            }
        }
        let last = tree.nodes.len() - 1;
        cost + self.wanted.as_ref().map_or(0, |wanted| {
            let wanted = |place: usize| wanted.get(place).copied().unwrap_or(Bit::Zero);
            let places = positions[last].len();
            rotations(places, &|place| held(&positions[last], tree.axes(last), place), &wanted)
        })
    }

    /// What a product and its sums cost.
    fn product_cost(&self, here: &Positions, axes: &[usize], contracted: &[usize], factors: usize) -> usize {
        const PRODUCT: usize = 5;
        let outer = here[self.slot_bits..].iter().flatten().filter(|(axis, _)| axes.contains(axis)).count();
        let kept =
            here[self.slot_bits..].iter().flatten().filter(|(axis, _)| !contracted.contains(axis)).count();
        let sums =
            here[..self.slot_bits].iter().flatten().filter(|(axis, _)| contracted.contains(axis)).count();
        let products = match factors {
            0 | 1 => 0,
            _ => ((factors - 1) << outer) * PRODUCT + ((factors - 1) << kept) * ROTATION,
        };
        products + (sums << kept) * ROTATION
    }

    /// Adds what the product and its sums cost, and what they leave.
    fn sum_up(
        &self,
        outcome: &mut Outcome,
        here: &Positions,
        axes: &[usize],
        contracted: &[usize],
        factors: usize,
    ) {
        outcome.cost += self.product_cost(here, axes, contracted, factors);
        outcome.state = summed(&outcome.state, here, contracted, self.slot_bits);
    }

    /// The cheapest way to compute the output with so many levels, with the route to where it must sit.
    fn best(&mut self, tree: &Tree, positions: &[Positions], levels: usize) -> Option<(Outcome, Rc<Route>)> {
        let outcomes = self.outcomes(tree, tree.nodes.len() - 1, positions, levels);
        let mut best: Option<(usize, Outcome, Rc<Route>)> = None;
        for outcome in outcomes {
            let wanted = self.output(&outcome.state);
            for route in self.routes(&outcome.state, &wanted).iter() {
                let cost = outcome.cost + route.cost();
                let fits = outcome.levels + route.levels <= levels;
                if fits && best.as_ref().is_none_or(|best| cost < best.0) {
                    best = Some((cost, outcome.clone(), Rc::clone(route)));
                }
            }
        }
        best.map(|(_, outcome, route)| (outcome, route))
    }

    /// Where the output has to sit, if its bits are here.
    fn output(&self, state: &[Bit]) -> Vec<Bit> {
        match (&self.wanted, &self.request.output) {
            (Some(wanted), _) => wanted.clone(),
            (None, Placement::Loose) => state.to_vec(),
            (None, _) => {
                let clean = |bit: &Bit| if *bit == Bit::Unknown { Bit::Zero } else { *bit };
                state.iter().map(clean).collect()
            }
        }
    }
}

/// The levels of a product whose factors have taken so many, multiplied two by two, the fewest first.
fn product_levels(depths: &mut Vec<usize>) -> usize {
    while depths.len() > 1 {
        depths.sort_unstable_by(|one, other| other.cmp(one));
        let (one, other) = (depths.pop(), depths.pop());
        depths.push(one.max(other).unwrap_or(0) + 1);
    }
    depths.first().copied().unwrap_or(0)
}

/// What is left of ways of which another has neither more levels nor a higher cost.
fn prune<T>(ways: &mut Vec<T>, key: impl Fn(&T) -> (usize, usize)) {
    ways.sort_by_key(|way| key(way));
    let mut least = usize::MAX;
    ways.retain(|way| {
        let better = key(way).1 < least;
        least = least.min(key(way).1);
        better
    });
}

/// What a product holds where its factors hold these; the first of no factors yet.
fn meet(one: &[Bit], other: &[Bit]) -> Vec<Bit> {
    if one.is_empty() {
        return other.to_vec();
    }
    let meets = |(one, other): (&Bit, &Bit)| match (one, other) {
        (Bit::Of(..), _) => *one,
        (_, Bit::Of(..)) => *other,
        (Bit::Zero, _) | (_, Bit::Zero) => Bit::Zero,
        (Bit::Copy, Bit::Copy) => Bit::Copy,
        _ => Bit::Unknown,
    };
    one.iter().zip(other).map(meets).collect()
}

/// What is left after the sums over contracted bits: copies at the top of the slots, elsewhere nobody knows.
fn summed(state: &[Bit], here: &Positions, contracted: &[usize], slot_bits: usize) -> Vec<Bit> {
    let mut state = state.to_vec();
    let mut top = true;
    for place in (0..slot_bits).rev() {
        if here[place].is_some_and(|(axis, _)| contracted.contains(&axis)) {
            state[place] = if top { Bit::Copy } else { Bit::Unknown };
        }
        top &= state[place] == Bit::Copy;
    }
    for place in slot_bits..state.len() {
        if here[place].is_some_and(|(axis, _)| contracted.contains(&axis)) {
            state[place] = Bit::Zero;
        }
    }
    state
}
