//! The circuit of an assignment of positions.

use super::super::Kernel;
use super::tree::{Node, Tree};
use super::{Outcome, Positions, Problem};
use crate::slots::layout::{Bit, Bits, Layout};
use crate::slots::linear::route::Placed;
use crate::slots::linear::{Circuit, Plain};

/// A factor of a product.
enum Factor {
    Secret(Placed),
    Clear(usize, Bits),
}

struct Builder<'p, 'a> {
    problem: &'p mut Problem<'a>,
    tree: &'p Tree,
    positions: &'p [Positions],
    levels: usize,
    circuit: Circuit,
    layouts: Vec<Option<Layout>>,
}

/// The kernel that computes the output so, with at most so many levels.
pub(super) fn build(
    problem: &mut Problem,
    tree: &Tree,
    positions: &[Positions],
    levels: usize,
) -> Option<Kernel> {
    let (outcome, route) = problem.best(tree, positions, levels)?;
    let request = problem.request;
    let layouts = vec![None; request.operands.len()];
    let circuit = Circuit::new(request.slots);
    let mut builder = Builder { problem, tree, positions, levels, circuit, layouts };
    let mut result = builder.node(tree.nodes.len() - 1, &outcome)?;
    let wanted = Bits { bits: builder.problem.output(&outcome.state), slot_bits: builder.problem.slot_bits };
    result.follow(&mut builder.circuit, &route, &wanted);
    let output = output_layout(builder.problem, &result, &wanted);
    let mut circuit = builder.circuit;
    let count = output.ciphertext_count();
    let chosen: Vec<usize> = result.values.iter().copied().flatten().collect();
    if chosen.len() != count {
        return None;
    }
    circuit.outputs = chosen;
    let circuit = circuit.trimmed();
    let counts = circuit.counts();
    let operands = builder.layouts.into_iter().collect::<Option<Vec<Layout>>>()?;
    Some(Kernel { name: "spread", operands, output, counts, circuit })
}

/// The layout of the result over the output's dims; positions of the ciphertext's number that hold nothing are left
/// out.
fn output_layout(problem: &Problem, result: &Placed, wanted: &Bits) -> Layout {
    let contraction = &problem.request.contraction;
    if let super::Placement::Given(layout) = &problem.request.output {
        return layout.clone();
    }
    let dim = |axis: usize| contraction.output.iter().position(|dim| *dim == axis).unwrap_or(axis);
    let bits =
        result.bits.bits.iter().enumerate().filter_map(|(place, bit)| match (bit, wanted.bits.get(place)) {
            (Bit::Of(axis, bit), _) => Some(Bit::Of(dim(*axis), *bit)),
            _ if place >= wanted.slot_bits => None,
            (bit, _) => Some(*bit),
        });
    Bits { bits: bits.collect(), slot_bits: wanted.slot_bits }
        .layout(&contraction.axes_of(&contraction.output))
}

impl Builder<'_, '_> {
    fn node(&mut self, node: usize, outcome: &Outcome) -> Option<Placed> {
        let Node::Product { children, contracted, .. } = &self.tree.nodes[node] else { return None };
        let here = &self.positions[node];
        let mut factors: Vec<(usize, Factor)> = Vec::new();
        for (child, (number, route)) in children.iter().zip(&outcome.children) {
            let axes = self.tree.axes(*child);
            let Some(route) = route else {
                let Node::Leaf(operand) = self.tree.nodes[*child] else { return None };
                let target = self.problem.target(here, axes, true);
                factors.push((0, self.free(operand, target)));
                continue;
            };
            let target =
                Bits { bits: self.problem.target(here, axes, false), slot_bits: self.problem.slot_bits };
            let mut outcomes = self.problem.outcomes(self.tree, *child, self.positions, self.levels);
            let chosen = outcomes.swap_remove(*number);
            let mut placed = match self.tree.nodes[*child] {
                Node::Leaf(operand) => self.given(operand, &chosen.state),
                Node::Product { .. } => self.node(*child, &chosen)?,
            };
            placed.follow(&mut self.circuit, route, &target);
            factors.push((chosen.levels + route.levels, Factor::Secret(placed)));
        }
        let mut product = self.product(factors)?;
        self.sum_up(&mut product, here, contracted);
        product.bits.bits.clone_from(&outcome.state);
        Some(product)
    }

    fn given(&mut self, operand: usize, state: &[Bit]) -> Placed {
        if let super::Placement::Given(layout) = &self.problem.request.operands[operand] {
            self.layouts[operand] = Some(layout.clone());
        }
        let bits = Bits { bits: state.to_vec(), slot_bits: self.problem.slot_bits };
        Placed::input(&mut self.circuit, operand, &bits)
    }

    /// An operand that comes as wanted; copies in other ciphertexts are the same ciphertext.
    fn free(&mut self, operand: usize, target: Vec<Bit>) -> Factor {
        let contraction = &self.problem.request.contraction;
        let dims = &contraction.operands[operand].axes;
        let slot_bits = self.problem.slot_bits;
        let dim = |bit: Bit| match bit {
            Bit::Of(axis, bit) => Bit::Of(dims.iter().position(|dim| *dim == axis).unwrap_or(axis), bit),
            bit => bit,
        };
        let chosen: Vec<usize> =
            (slot_bits..target.len()).filter(|p| matches!(target[*p], Bit::Of(..))).collect();
        let own =
            target[..slot_bits].iter().copied().chain(chosen.iter().map(|place| target[*place])).map(dim);
        let own = Bits { bits: own.collect(), slot_bits };
        self.layouts[operand] = Some(own.layout(&contraction.axes_of(dims)));
        let bits = Bits { bits: target, slot_bits };
        if contraction.operands[operand].clear {
            return Factor::Clear(operand, bits);
        }
        let values = (0..1usize << (bits.bits.len() - slot_bits)).map(|number| {
            let known = (slot_bits..bits.bits.len())
                .all(|place| number >> (place - slot_bits) & 1 == 0 || bits.bits[place] != Bit::Zero);
            let ciphertext = source(number, &chosen, slot_bits);
            known.then(|| self.circuit.input(operand, ciphertext))
        });
        let values = values.collect();
        Factor::Secret(Placed { bits, values })
    }

    /// The product of all, those with the fewest levels first.
    fn product(&mut self, mut factors: Vec<(usize, Factor)>) -> Option<Placed> {
        while factors.len() > 1 {
            factors.sort_by_key(|factor| std::cmp::Reverse(factor.0));
            let ((one_level, one), (other_level, other)) = (factors.pop()?, factors.pop()?);
            let mut product = match (one, other) {
                (Factor::Secret(one), Factor::Secret(other)) => self.mul(one, &other),
                (Factor::Secret(secret), Factor::Clear(operand, bits))
                | (Factor::Clear(operand, bits), Factor::Secret(secret)) => {
                    self.mul_clear(secret, operand, &bits)?
                }
                (Factor::Clear(..), Factor::Clear(..)) => return None,
            };
            if !factors.is_empty() {
                // Only the last product waits for the sums.
                product
                    .values
                    .iter_mut()
                    .flatten()
                    .for_each(|value| *value = settle(&mut self.circuit, *value));
            }
            factors.push((one_level.max(other_level) + 1, Factor::Secret(product)));
        }
        match factors.pop()? {
            (_, Factor::Secret(product)) => Some(product),
            (_, Factor::Clear(..)) => None,
        }
    }

    fn mul(&mut self, mut one: Placed, other: &Placed) -> Placed {
        for (value, by) in one.values.iter_mut().zip(&other.values) {
            *value = value.zip(*by).map(|(value, by)| self.circuit.mul(value, by));
        }
        one.bits.bits = super::meet(&one.bits.bits, &other.bits.bits);
        one
    }

    fn mul_clear(&mut self, mut secret: Placed, operand: usize, bits: &Bits) -> Option<Placed> {
        let slot_bits = bits.slot_bits;
        let chosen: Vec<usize> =
            (slot_bits..bits.bits.len()).filter(|place| matches!(bits.bits[*place], Bit::Of(..))).collect();
        let contents = self.layouts[operand].as_ref()?.contents(self.circuit.slots).ok()?;
        for (number, value) in secret.values.iter_mut().enumerate() {
            let ciphertext = source(number, &chosen, slot_bits);
            let elements: Vec<(u32, u32)> =
                contents.elements(ciphertext).map(|(slot, element)| (slot as u32, element as u32)).collect();
            *value = value.map(|value| self.circuit.mul_plain(value, Plain::Clear { operand, elements }));
        }
        secret.bits.bits = super::meet(&secret.bits.bits, &bits.bits);
        Some(secret)
    }

    /// Sums over the contracted bits, those of the ciphertext's number before the product is relinearized.
    fn sum_up(&mut self, product: &mut Placed, here: &Positions, contracted: &[usize]) {
        let slot_bits = product.bits.slot_bits;
        let summed = |place: &usize| here[*place].is_some_and(|(axis, _)| contracted.contains(&axis));
        for place in (slot_bits..here.len()).filter(summed) {
            let outer = 1usize << (place - slot_bits);
            for number in (0..product.values.len()).filter(|number| number & outer != 0) {
                let term = product.values[number].take();
                let rest = &mut product.values[number & !outer];
                *rest = self.circuit.sum(rest.iter().copied().chain(term));
            }
        }
        for value in product.values.iter_mut().flatten() {
            *value = settle(&mut self.circuit, *value);
            for place in (0..slot_bits).filter(summed) {
                let moved = self.circuit.rotate(*value, 1 << place);
                *value = self.circuit.add(*value, moved);
            }
        }
    }
}

/// The ciphertext of an operand that has only some bits of the ciphertext's number.
fn source(number: usize, chosen: &[usize], slot_bits: usize) -> usize {
    chosen.iter().enumerate().map(|(bit, place)| (number >> (place - slot_bits) & 1) << bit).sum()
}

/// Ends a product that was not relinearized or rescaled yet.
fn settle(circuit: &mut Circuit, value: usize) -> usize {
    let (factors, parts) = circuit.state(value);
    let value = if parts == 3 { circuit.relinearize(value) } else { value };
    if factors == 2 { circuit.rescale(value) } else { value }
}
