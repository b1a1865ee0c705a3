//! How large the values of a schedule become, and how far its outputs are from the truth.
//!
//! The program is run slot by slot on intervals: of inputs of a given magnitude, or of the numbers themselves. Beside
//! its interval, each slot has the root mean square of its noise, and how far it is from the truth at most because
//! polynomials stand for functions.
//!
//! - Each instruction adds noise of its own (`einc_runtime::ckks::noise`); a product's is `|a| e_b + |b| e_a`.
//! - Noises of different slots of a fresh ciphertext are independent, so those of a sum add as squares where its operands
//!   come from different slots of the inputs, and linearly else: `x + x` doubles, and a polynomial has its derivative.
//! - Arguments of polynomials are taken to keep their range, in all slots, unless the numbers are known.
//!
//! What is told of a slot's noise is [`LARGEST`] root mean squares: a slot's own part of the secret key is up to three
//! times as large as the others', and a normal variable is above four deviations once in 16,000 slots.

mod reach;

use crate::id::Id;
use crate::slots::{Cell, Op, PlainSource, RangeId, Slots, ValueId};
use einc_runtime::ckks::{Parameters, noise};
use reach::Reach;
use std::collections::BTreeMap;

/// The largest of all slots against the root mean square.
const LARGEST: f64 = 12.0;

/// The square of a slot's part of the secret is up to nine times its mean, more than a value of three parts allows for.
fn tail(parts: u32) -> f64 {
    if parts > 2 { 2.5 } else { 1.0 }
}

/// Beyond a range by this part of its half is the rounding of the samples, not a stray.
const TOLERANCE: f64 = 1e-9;

/// What is known of the numbers.
#[derive(Clone, Copy)]
pub enum Numbers<'a> {
    /// Inputs and clear tensors are at most this in magnitude.
    Within(f64),
    /// The encrypted inputs and the clear tensors, by name, in row-major order.
    Known(&'a BTreeMap<String, Vec<f64>>, &'a BTreeMap<String, Vec<f64>>),
}

/// An argument that left its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stray {
    /// The range.
    pub range: RangeId,
    /// The argument of the function.
    pub argument: f64,
}

/// Bounds of a program's errors and magnitudes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// The noise of any output at most, with the probability of six deviations.
    pub noise: f64,
    /// How far any output is from the truth because polynomials stand for functions, at most.
    pub approximation: f64,
    /// The largest value anywhere, at most.
    pub largest: f64,
    /// By how many bits the values stay below what their primes can hold, at least; below 0 they are lost.
    pub headroom: f64,
    /// The argument furthest beyond its range, of those that are known.
    pub stray: Option<Stray>,
}

/// What is known of one value.
#[derive(Clone)]
struct Known {
    /// The least and the greatest number of each slot.
    low: Vec<f64>,
    high: Vec<f64>,
    /// The root mean square of each slot's noise.
    noise: Vec<f64>,
    /// The distance from the truth of each slot, where there is any.
    distance: Option<Vec<f64>>,
    /// Which slots of the inputs each of its slots comes from.
    reach: Reach,
}

impl Known {
    fn size(&self, slot: usize) -> f64 {
        self.low[slot].abs().max(self.high[slot].abs())
    }

    fn away(&self, slot: usize) -> f64 {
        self.distance.as_ref().map_or(0.0, |distance| distance[slot])
    }

    /// The value with noise of its own.
    fn noisier(mut self, own: f64) -> Known {
        self.noise.iter_mut().for_each(|noise| *noise = noise.hypot(own));
        self
    }

    fn rotated(mut self, by: usize) -> Known {
        for numbers in [&mut self.low, &mut self.high, &mut self.noise].into_iter().chain(&mut self.distance)
        {
            numbers.rotate_left(by);
        }
        self.reach = self.reach.rotated(by);
        self
    }

    /// Times the interval of each slot, which has an error of its own.
    fn times(mut self, factor: &dyn Fn(usize) -> (f64, f64), error: f64) -> Known {
        for slot in 0..self.low.len() {
            let (low, high) = factor(slot);
            let most = low.abs().max(high.abs());
            self.noise[slot] = (self.noise[slot] * most).hypot(self.size(slot) * error);
            (self.low[slot], self.high[slot]) = product((self.low[slot], self.high[slot]), (low, high));
            if let Some(distance) = &mut self.distance {
                distance[slot] *= most;
            }
        }
        self
    }

    fn sum(mut self, other: &Known, sign: f64) -> Known {
        let independent = self.reach.is_apart(&other.reach);
        for slot in 0..self.low.len() {
            let (low, high) = match sign > 0.0 {
                true => (other.low[slot], other.high[slot]),
                false => (-other.high[slot], -other.low[slot]),
            };
            self.low[slot] += low;
            self.high[slot] += high;
            let (own, more) = (self.noise[slot], other.noise[slot]);
            self.noise[slot] = if independent { own.hypot(more) } else { own + more };
        }
        self.distance = match (self.distance, &other.distance) {
            (Some(own), Some(more)) => Some(own.iter().zip(more).map(|(a, b)| a + b).collect()),
            (own, more) => own.or_else(|| more.clone()),
        };
        self.reach = self.reach.clone().joined(&other.reach);
        self
    }

    fn product(&self, other: &Known, square: bool) -> Known {
        let slots = self.low.len();
        let mut result = self.clone();
        let independent = self.reach.is_apart(&other.reach);
        let mut distance = vec![0.0; slots];
        for (slot, distance) in distance.iter_mut().enumerate() {
            let (a, b) = (self.size(slot), other.size(slot));
            let (e, f) = (self.noise[slot], other.noise[slot]);
            let own = if independent { (a * f).hypot(b * e) } else { a * f + b * e };
            result.noise[slot] = own + LARGEST * e * f;
            *distance = a * other.away(slot) + b * self.away(slot) + self.away(slot) * other.away(slot);
            let (low, high) = (self.low[slot], self.high[slot]);
            (result.low[slot], result.high[slot]) = match square {
                true if low <= 0.0 && high >= 0.0 => (0.0, a * a),
                true => (low.abs().min(high.abs()).powi(2), a * a),
                false => product((low, high), (other.low[slot], other.high[slot])),
            };
        }
        result.distance = (self.distance.is_some() || other.distance.is_some()).then_some(distance);
        result.reach = self.reach.clone().joined(&other.reach);
        result
    }
}

/// The product of two intervals.
fn product((a, b): (f64, f64), (c, d): (f64, f64)) -> (f64, f64) {
    // Nothing times a bound that is past all numbers is nothing.
    let times = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
    let ends = [times(a, c), times(a, d), times(b, c), times(b, d)];
    (ends.iter().copied().fold(f64::MAX, f64::min), ends.iter().copied().fold(f64::MIN, f64::max))
}

impl Noise {
    /// The error of any output at most.
    pub fn error(&self) -> f64 {
        self.noise + self.approximation
    }

    /// Bounds of a program on such numbers.
    pub fn predict(slots: &Slots, parameters: &Parameters, numbers: Numbers) -> Noise {
        let mut run = Run::new(slots, parameters, numbers);
        for id in slots.values.ids() {
            let known = run.value(id);
            run.hold(id, known);
        }
        for (output, values) in slots.outputs.iter().map(|output| (output, &output.values)) {
            for (k, value) in values.iter().enumerate() {
                let known = &run.values[value];
                let cells = output.packing.cells(k as u32, slots.slots);
                for (slot, _) in cells.iter().enumerate().filter(|cell| matches!(cell.1, Cell::Element(_))) {
                    run.found.noise = run.found.noise.max(LARGEST * known.noise[slot]);
                    run.found.approximation = run.found.approximation.max(known.away(slot));
                }
            }
        }
        run.found
    }
}

struct Run<'a> {
    slots: &'a Slots,
    parameters: &'a Parameters,
    numbers: Numbers<'a>,
    scales: Vec<f64>,
    /// log2 of the product of the primes of each level.
    capacity: Vec<f64>,
    values: BTreeMap<ValueId, Known>,
    /// Which instruction reads a value last.
    last: BTreeMap<ValueId, ValueId>,
    found: Noise,
}

impl<'a> Run<'a> {
    fn new(slots: &'a Slots, parameters: &'a Parameters, numbers: Numbers<'a>) -> Run<'a> {
        let mut last = BTreeMap::new();
        for (id, value) in slots.values.iter() {
            last.extend(value.op.operands().into_iter().flatten().map(|operand| (operand, id)));
        }
        for value in slots.outputs.iter().flat_map(|output| &output.values) {
            last.remove(value);
        }
        let mut capacity = Vec::new();
        for prime in &parameters.primes {
            capacity.push(capacity.last().unwrap_or(&0.0) + (*prime as f64).log2());
        }
        let found = Noise { headroom: f64::INFINITY, ..Noise::default() };
        let scales = parameters.scales();
        Run { slots, parameters, numbers, scales, capacity, values: BTreeMap::new(), last, found }
    }

    fn input(&self, id: ValueId, input: crate::slots::InputId, k: u32) -> Known {
        let count = self.slots.slots;
        let input = &self.slots.inputs[input];
        let (mut low, mut high) = (vec![0.0; count as usize], vec![0.0; count as usize]);
        for (slot, cell) in input.packing.cells(k, count).into_iter().enumerate() {
            let Cell::Element(element) = cell else { continue };
            (low[slot], high[slot]) = match self.numbers {
                Numbers::Within(most) => (-most, most),
                Numbers::Known(inputs, _) => {
                    let number = inputs.get(&input.name).and_then(|numbers| numbers.get(element as usize));
                    number.map_or((0.0, 0.0), |number| (*number, *number))
                }
            };
        }
        let noise = vec![0.0; count as usize];
        Known { low, high, noise, distance: None, reach: Reach::of(id.number(), count as usize) }
    }

    /// The numbers of a clear vector.
    fn plain(&self, plain: crate::slots::PlainId) -> Vec<(f64, f64)> {
        let plain = &self.slots.plains[plain];
        let mut numbers = vec![(0.0, 0.0); self.slots.slots as usize];
        let clears = match (self.numbers, plain.source) {
            (Numbers::Known(_, clears), PlainSource::Clear(clear)) => {
                clears.get(&self.slots.clears[clear].name).map(Vec::as_slice)
            }
            _ => None,
        };
        for (slot, element) in plain.pairs() {
            let interval = match (plain.source, self.numbers) {
                (PlainSource::Ones, _) => (plain.factor, plain.factor),
                (PlainSource::Clear(_), Numbers::Within(most)) => {
                    let most = (plain.factor * most).abs();
                    (-most, most)
                }
                (PlainSource::Clear(_), Numbers::Known(..)) => {
                    let number = clears.and_then(|numbers| numbers.get(element as usize)).copied();
                    let number = plain.factor * number.unwrap_or(0.0);
                    (number, number)
                }
            };
            if let Some(place) = numbers.get_mut(slot as usize) {
                *place = interval;
            }
        }
        numbers
    }

    fn value(&self, id: ValueId) -> Known {
        let parameters = self.parameters;
        let value = &self.slots.values[id];
        let level = value.level.min(parameters.levels());
        let scale = self.scales[level as usize];
        let units = |units: f64| units / scale.powi(value.factors as i32);
        let of = |id: ValueId| &self.values[&id];
        let encoding = noise::encoding(parameters);
        // A number that the scale is multiplied by is rounded to a whole one, alike in all slots.
        let rounded = 0.5 / scale;
        match value.op {
            Op::Input(input, k) => {
                let dropped =
                    if value.level < parameters.levels() { noise::rescale(parameters, 2) } else { 0.0 };
                self.input(id, input, k).noisier(units(noise::fresh(parameters).hypot(dropped)))
            }
            Op::Add(a, b) => of(a).clone().sum(of(b), 1.0),
            Op::Sub(a, b) => of(a).clone().sum(of(b), -1.0),
            Op::Neg(a) => of(a).clone().times(&|_| (-1.0, -1.0), 0.0),
            Op::Hoist(a) => of(a).clone(),
            Op::Mul(a, b) => of(a).product(of(b), a == b),
            Op::MulPlain(a, plain) => {
                let numbers = self.plain(plain);
                of(a).clone().times(&|slot| numbers[slot], encoding / scale)
            }
            Op::MulScalar(a, number) => of(a).clone().times(&|_| (number, number), rounded),
            Op::AddPlain(a, plain) => {
                let (numbers, mut known) = (self.plain(plain), of(a).clone());
                for (slot, (low, high)) in numbers.into_iter().enumerate() {
                    known.low[slot] += low;
                    known.high[slot] += high;
                }
                known.noisier(units(encoding))
            }
            Op::AddScalar(a, number) => {
                let mut known = of(a).clone();
                known.low.iter_mut().chain(&mut known.high).for_each(|end| *end += number);
                known.noisier(units(0.5))
            }
            Op::Rotate(a, by) => {
                of(a).clone().rotated(by as usize).noisier(units(noise::key_switch(parameters, level)))
            }
            Op::Relinearize(a) | Op::Conjugate(a) => {
                of(a).clone().noisier(units(noise::key_switch(parameters, level)))
            }
            Op::Rescale(a) | Op::Drop(a) => {
                of(a).clone().noisier(units(tail(value.parts) * noise::rescale(parameters, value.parts)))
            }
        }
    }

    /// Keeps what is known of a value, and forgets what nobody reads any more.
    fn hold(&mut self, id: ValueId, mut known: Known) {
        let value = &self.slots.values[id];
        let elements = value.place.as_ref().map(|(packing, k)| packing.cells(*k, self.slots.slots));
        let is_element = |slot: usize| {
            elements.as_ref().is_none_or(|cells| matches!(cells.get(slot), Some(Cell::Element(_))))
        };
        if let Some(range) = value.range {
            match self.numbers {
                Numbers::Within(_) => {
                    known.low.iter_mut().for_each(|low| *low = low.clamp(-1.0, 1.0));
                    known.high.iter_mut().for_each(|high| *high = high.clamp(-1.0, 1.0));
                }
                Numbers::Known(..) => {
                    let ends = &self.slots.ranges[range];
                    let beyond = |argument: f64| (ends.ends.0 - argument).max(argument - ends.ends.1);
                    let room = TOLERANCE * (ends.ends.1 - ends.ends.0);
                    for slot in (0..known.low.len()).filter(|slot| is_element(*slot)) {
                        let argument = ends.argument(known.low[slot]);
                        let before = self.found.stray.map_or(room, |stray| {
                            let ends = &self.slots.ranges[stray.range].ends;
                            (ends.0 - stray.argument).max(stray.argument - ends.1)
                        });
                        // What is not a number is beyond any range.
                        if beyond(argument) > before || argument.is_nan() {
                            self.found.stray = Some(Stray { range, argument });
                        }
                    }
                }
            }
        }
        if let Some(range) = value.approximates {
            let error = self.slots.ranges[range].error;
            let distance = known.distance.get_or_insert_with(|| vec![0.0; known.low.len()]);
            distance.iter_mut().for_each(|distance| *distance += error);
        }
        let largest = (0..known.low.len()).map(|slot| known.size(slot)).fold(0.0, f64::max);
        let level = value.level.min(self.parameters.levels()) as usize;
        let bits = largest.log2() + self.scales[level].log2() * f64::from(value.factors);
        self.found.largest = self.found.largest.max(largest);
        self.found.headroom = self.found.headroom.min(self.capacity[level] - 1.0 - bits);
        self.values.insert(id, known);
        for operand in value.op.operands().into_iter().flatten() {
            if self.last.get(&operand) == Some(&id) {
                self.values.remove(&operand);
            }
        }
    }
}

#[cfg(test)]
mod tests;
