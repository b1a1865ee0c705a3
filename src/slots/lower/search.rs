//! Chooses working layouts over a whole program: a beam over the steps, each candidate lowered and priced.
//!
//! Orders of axes are ranked by an estimate first; the best of them are lowered for real, so that what counts is what
//! the schedule has. Equal inputs give equal schedules.

use super::acquire::{Held, acquire, mask};
use super::chain;
use super::kernel::{self, Planned};
use super::network::{Factor, Network, Step, StepKind, Term};
use super::product::Places;
use super::sum::{self, Choice};
use super::working::{Working, row_major};
use crate::slots::packing::Rest;
use crate::slots::{Builder, Digit, Kind, Output, Packing};
use crate::source::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many partial programs are kept.
const BEAM: usize = 6;

/// How many orders of a step are lowered for real.
const TRIED: usize = 10;

/// The part of an estimate that the schedule has at least: orders are not lowered whose part is dearer than a kernel.
const HOPE: f64 = 0.5;

/// Up to so many axes all orders are ranked.
const ALL_ORDERS: usize = 7;

/// What a level costs, as a part of the whole.
const LEVEL: f64 = 0.12;

/// What a level costs where so many are there anyway; the dearer ones find what keeps within few.
const LEVEL_WITHIN: [f64; 3] = [0.0, LEVEL, 8.0 * LEVEL];

/// A partial program.
#[derive(Clone)]
struct State {
    builder: Builder,
    places: Places,
    outputs: BTreeMap<usize, (Held, u32)>,
}

impl State {
    fn price(&self, depth: u32, level: f64) -> f64 {
        self.builder.cost() * (1.0 + level * f64::from(depth))
    }

    fn depth(&self) -> u32 {
        let held = self.places.held.values().flat_map(|held| &held.values);
        held.map(|value| self.builder.ready_depth(*value)).max().unwrap_or(0)
    }
}

/// Lowers a network; the builder and the outputs of the cheapest program that was found. With a `depth` all levels up to
/// it cost nothing, and deeper programs are only taken where nothing else is found.
///
/// # Errors
/// The place of the step that has no layout.
pub fn search(
    network: &Network,
    slots: u32,
    free: bool,
    depth: Option<u32>,
) -> Result<(Builder, Vec<Output>), Span> {
    let mut planned = Planned::default();
    if depth.is_some() {
        let mut attempt = |level: &f64| attempt(network, slots, free, *level, depth, &mut planned).ok();
        let within = LEVEL_WITHIN.iter().filter_map(&mut attempt);
        if let Some(found) = within.min_by(|one, other| one.0.cost().total_cmp(&other.0.cost())) {
            return Ok(found);
        }
    }
    attempt(network, slots, free, LEVEL, None, &mut planned)
}

/// The cheapest program, if a level is that much of the whole, that is not deeper.
fn attempt(
    network: &Network,
    slots: u32,
    free: bool,
    level: f64,
    most: Option<u32>,
    planned: &mut Planned,
) -> Result<(Builder, Vec<Output>), Span> {
    let mut places = Places { held: BTreeMap::new(), free };
    let mut builder = Builder::new(slots);
    let first = network.steps.first().map(|step| step.span).unwrap_or_default();
    for (number, tensor) in network.tensors.iter().enumerate() {
        let direct = network.outputs.iter().any(|output| output.1 == number)
            || network.steps.iter().any(
                |step| matches!(&step.kind, StepKind::Polynomial { argument, .. } if *argument == number),
            );
        if tensor.input && (!free || direct) {
            let packing = row_major(&tensor.shape, slots).ok_or(first)?;
            let values = builder.input(&tensor.name, &tensor.shape, &packing);
            places.held.insert(number, Held { packing, values, stained: false });
        }
    }
    let mut states = vec![State { builder, places, outputs: BTreeMap::new() }];
    for (number, tensor) in network.tensors.iter().enumerate() {
        if tensor.input && network.outputs.iter().any(|output| output.1 == number) {
            states.iter_mut().for_each(|state| {
                let held = state.places.held[&number].clone();
                state.outputs.insert(number, (held, 0));
            });
        }
    }
    for step in &network.steps {
        let handed = network.outputs.iter().any(|output| output.1 == step.target);
        let mut next: Vec<(f64, State)> = Vec::new();
        let workings = workings(step, slots);
        for state in &states {
            let mut computed: Vec<(State, Held)> = Vec::new();
            for kernel in planned.kernels(network, step, &state.places, slots, handed && !free).iter() {
                let mut state = state.clone();
                let held = kernel::emit(&mut state.builder, network, step, &state.places, kernel);
                computed.extend(held.map(|held| (state, held)));
            }
            let costs = computed.iter().map(|(computed, _)| computed.builder.cost() - state.builder.cost());
            let least = costs.min_by(f64::total_cmp).unwrap_or(f64::INFINITY);
            for (estimate, choice) in choices(network, step, &state.places, &workings, slots) {
                if estimate * HOPE > least {
                    continue;
                }
                let mut state = state.clone();
                let held = sum::step(&mut state.builder, &state.places, network, step, &choice);
                computed.extend(held.map(|held| (state, held)));
            }
            for (mut state, held) in computed {
                if handed {
                    let Some(output) = handed_over(&mut state.builder, network, step.target, &held, free)
                    else {
                        continue;
                    };
                    let depth = output
                        .values
                        .iter()
                        .map(|value| state.builder.ready_depth(*value))
                        .max()
                        .unwrap_or(0);
                    state.outputs.insert(step.target, (output, depth));
                }
                state.places.held.insert(step.target, held);
                let outputs = state.outputs.values().map(|output| output.1).max().unwrap_or(0);
                let depth = state.depth().max(outputs);
                if most.is_none_or(|most| depth <= most) {
                    next.push((state.price(depth, level), state));
                }
            }
        }
        next.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Equal prices are mostly equal layouts under other names.
        let mut kept: Vec<(f64, State)> = Vec::new();
        for (price, state) in next {
            let packing = &state.places.held[&step.target].packing;
            let same = |kept: &(f64, State)| {
                let other = &kept.1.places.held[&step.target].packing;
                other.inner == packing.inner && other.outer == packing.outer
            };
            if kept.len() < BEAM && !kept.iter().any(same) {
                kept.push((price, state));
            }
        }
        states = kept.into_iter().map(|kept| kept.1).collect();
        if states.is_empty() {
            return Err(step.span);
        }
    }
    let state = states.remove(0);
    let outputs = network
        .outputs
        .iter()
        .map(|(name, tensor)| {
            let held = &state.outputs[tensor].0;
            let shape = network.tensors[*tensor].shape.clone();
            Output { name: name.clone(), shape, packing: held.packing.clone(), values: held.values.clone() }
        })
        .collect();
    Ok((state.builder, outputs))
}

/// A tensor as the client gets it: row by row, or where it is, without what depends on clear tensors beside it.
fn handed_over(b: &mut Builder, network: &Network, tensor: usize, held: &Held, free: bool) -> Option<Held> {
    let shape = &network.tensors[tensor].shape;
    if !free {
        let packing = row_major(shape, b.slots())?;
        let values = acquire(b, held, &packing)?;
        return Some(Held { packing, values, stained: false });
    }
    let unknown = held.packing.inner.iter().any(|digit| digit.kind == Kind::Unknown)
        || held.packing.rest == Rest::Unknown
        || held.packing.padding == Rest::Unknown;
    if !(unknown && held.stained) {
        return Some(held.clone());
    }
    let mut clean = (*held.packing).clone();
    (clean.rest, clean.padding) = (Rest::Zero, Rest::Zero);
    for digit in &mut clean.inner {
        if digit.kind == Kind::Unknown {
            digit.kind = Kind::Zero;
        }
    }
    let packing = Arc::new(clean);
    let values =
        held.values.iter().enumerate().map(|(k, value)| mask(b, *value, &packing, k as u32)).collect();
    Some(Held { packing, values, stained: false })
}

/// The terms of a step that have secret factors, if it is no polynomial.
fn secret_terms(step: &Step) -> Option<Vec<&Term>> {
    let StepKind::Products(terms) = &step.kind else { return None };
    Some(terms.iter().filter(|term| !term.factors.is_empty()).collect())
}

/// All working layouts of a step of one term.
fn workings(step: &Step, slots: u32) -> Vec<Working> {
    let terms = secret_terms(step).unwrap_or_default();
    let [term] = terms[..] else { return Vec::new() };
    let mut axes = term.sum.clone();
    axes.extend(step.free());
    let named = step.axes.as_slice().into();
    orders(&axes, term.sum.len())
        .iter()
        .flat_map(|order| variants(step, &named, term, order, slots))
        .collect()
}

/// The working layouts that are tried for a step, each with a guess of what it costs; `workings` are all of a step of one
/// term.
fn choices(
    network: &Network,
    step: &Step,
    places: &Places,
    workings: &[Working],
    slots: u32,
) -> Vec<(f64, Choice)> {
    let Some(terms) = secret_terms(step) else { return vec![(0.0, Vec::new())] };
    let free: Vec<usize> = step.free().into_iter().collect();
    if let [term] = terms[..] {
        let guess = |working: &'_ Working| estimate(network, places, term, working);
        let mut ranked: Vec<(f64, &Working)> =
            workings.iter().map(|working| (guess(working), working)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut chosen: Vec<(f64, Choice)> = Vec::new();
        for (estimate, working) in ranked {
            let choice = vec![working.clone()];
            if !chosen.iter().any(|chosen| chosen.1 == choice) {
                chosen.push((estimate, choice));
            }
            if chosen.len() == TRIED {
                break;
            }
        }
        return chosen;
    }
    // Several terms share the order of the target's axes; what each sums is slower.
    let named = step.axes.as_slice().into();
    let mut ranked: Vec<(f64, Choice)> = Vec::new();
    for order in orders(&free, 0) {
        for variant in 0..VARIANTS {
            let mut cost = 0.0;
            let choice: Option<Choice> = terms
                .iter()
                .map(|term| {
                    let mut all = term.sum.clone();
                    all.extend(&order);
                    let working = variant_of(step, &named, term, &all, slots, variant)?;
                    cost += estimate(network, places, term, &working);
                    Some(working)
                })
                .collect();
            if let Some(choice) = choice {
                ranked.push((cost, choice));
            }
        }
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    ranked.dedup_by(|a, b| a.1 == b.1);
    ranked.truncate(TRIED);
    ranked
}

/// Orders of axes; all of them where there are few, else those that keep the first `fixed` outermost.
fn orders(axes: &[usize], fixed: usize) -> Vec<Vec<usize>> {
    if axes.len() <= ALL_ORDERS {
        let mut orders = vec![Vec::new()];
        for _ in 0..axes.len() {
            orders = orders
                .into_iter()
                .flat_map(|order: Vec<usize>| {
                    let rest = axes.iter().filter(|axis| !order.contains(axis)).copied().collect::<Vec<_>>();
                    rest.into_iter().map(move |axis| {
                        let mut longer = order.clone();
                        longer.push(axis);
                        longer
                    })
                })
                .collect();
        }
        return orders;
    }
    let (sums, free) = axes.split_at(fixed);
    let mut orders = Vec::new();
    for turn in 0..free.len() {
        let mut order = sums.to_vec();
        order.extend(free[turn..].iter().chain(&free[..turn]));
        orders.push(order);
    }
    orders
}

/// The axes of a step, shared by its working layouts.
type Named = Arc<[(String, u64)]>;

/// How many ways of padding there are.
const VARIANTS: usize = 4;

fn variants(step: &Step, named: &Named, term: &Term, order: &[usize], slots: u32) -> Vec<Working> {
    let mut all: Vec<Working> = Vec::new();
    for variant in 0..VARIANTS {
        if let Some(working) = variant_of(step, named, term, order, slots, variant)
            && !all.contains(&working)
        {
            all.push(working);
        }
    }
    all
}

/// As they are; all powers of two; these repeated over all slots; only the summed axes powers of two.
fn variant_of(
    step: &Step,
    named: &Named,
    term: &Term,
    order: &[usize],
    slots: u32,
    variant: usize,
) -> Option<Working> {
    let padded: Vec<u64> = step
        .axes
        .iter()
        .enumerate()
        .map(|(axis, (_, extent))| match variant {
            0 => *extent,
            3 if !term.sum.contains(&axis) => *extent,
            _ => extent.next_power_of_two(),
        })
        .collect();
    Working::new(named, order, &padded, slots, variant == 2)
}

/// A guess of what a layout costs, in rotations.
fn estimate(network: &Network, places: &Places, term: &Term, working: &Working) -> f64 {
    let sums = &term.sum;
    let axis_of = |kind: Kind| match kind {
        Kind::Axis { axis, .. } => Some(axis),
        _ => None,
    };
    let count = working.ciphertexts() as f64;
    let mut kept = 1.0;
    for digit in &working.outer {
        if axis_of(digit.kind).is_some_and(|axis| !sums.contains(&axis)) {
            kept *= f64::from(digit.extent);
        }
    }
    let mut cost = count * 0.1 * term.factors.len() as f64;
    if term.factors.len() > 1 {
        cost += kept;
    }
    for (position, digit) in working.inner.iter().enumerate() {
        if axis_of(digit.kind).is_some_and(|axis| sums.contains(&axis)) {
            cost += kept * chain::rotations(digit.extent) as f64;
            // Summed slots above the others leave no garbage.
            cost += 0.01 * position as f64;
        }
    }
    for factor in &term.factors {
        cost += bring(network, places, factor, working);
    }
    cost
}

/// A guess of what it costs to bring a factor there.
fn bring(network: &Network, places: &Places, factor: &Factor, working: &Working) -> f64 {
    let used = factor.axes();
    let own = |kind: Kind| match kind {
        Kind::Axis { axis, by } if used.contains(&axis) => Some((axis, by)),
        _ => None,
    };
    if network.tensors[factor.tensor].input && places.free {
        let uploads: f64 = working
            .outer
            .iter()
            .filter(|digit| own(digit.kind).is_some())
            .map(|digit| f64::from(digit.extent))
            .product();
        return 0.25 * uploads;
    }
    let Some(held) = places.held.get(&factor.tensor) else { return 0.0 };
    let mut moved = 1.0;
    for (dim, index) in factor.access.iter().enumerate() {
        let Some(axis) = index.axis() else {
            moved *= 16.0;
            continue;
        };
        let from = held.packing.access.get(dim).and_then(|index| index.axis());
        let from = from.map(|axis| places_of(axis.0 as usize, &held.packing.outer, &held.packing.inner));
        let to = places_of(axis.0 as usize, &working.outer, &working.inner);
        if from.as_ref() != Some(&to) {
            let extent = working.axes[axis.0 as usize].1 as f64;
            moved *= if to.iter().any(|place| place.3) { extent } else { 2.0 * extent - 1.0 };
        }
    }
    let mut cost = if moved > 1.0 { 1.3 * moved.sqrt() + 0.05 * moved } else { 0.0 };
    let copied = |packing: &Packing, stride: u64, extent: u32| {
        let mut own = 1u64;
        packing.inner.iter().rev().any(|digit| {
            let same = own == stride && digit.extent == extent && digit.kind == Kind::Copy;
            own *= u64::from(digit.extent);
            same
        })
    };
    let mut stride = 1u64;
    for digit in working.inner.iter().rev() {
        if own(digit.kind).is_none() && (moved > 1.0 || !copied(&held.packing, stride, digit.extent)) {
            cost += chain::rotations(digit.extent) as f64;
        }
        stride *= u64::from(digit.extent);
    }
    cost
}

/// Part, extent, stride, and whether it chooses the ciphertext.
type Place = (u32, u32, u64, bool);

/// Where an axis lies.
fn places_of(axis: usize, outer: &[Digit], inner: &[Digit]) -> Vec<Place> {
    let mut places = Vec::new();
    for (digits, is_outer) in [(inner, false), (outer, true)] {
        let mut stride = 1u64;
        for digit in digits.iter().rev() {
            match digit.kind {
                Kind::Axis { axis: own, by } if own == axis => {
                    places.push((by, digit.extent, stride, is_outer))
                }
                _ => {}
            }
            stride *= u64::from(digit.extent);
        }
    }
    places
}
