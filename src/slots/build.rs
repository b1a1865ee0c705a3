//! Builds programs over packed ciphertexts, one instruction at a time.
//!
//! Equal instructions are one value. What an instruction needs of its operands (two parts, one factor, one depth) is
//! done when it is asked for and not before, so that relinearize and rescale come as late as they can. While a program
//! grows, values have a depth, the levels spent so far; [`Builder::finish`] turns depths into levels.

use super::{
    Clear, ClearId, Input, InputId, Op, Output, Packing, Plain, PlainId, PlainSource, Range, RangeId, Run,
    Slots, Value, ValueId,
};
use crate::id::{Id, IdVec};
use crate::source::Span;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A program in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    slots: u32,
    clears: IdVec<ClearId, Clear>,
    inputs: IdVec<InputId, Input>,
    plains: IdVec<PlainId, Plain>,
    ranges: IdVec<RangeId, Range>,
    /// Values whose `level` is their depth.
    values: IdVec<ValueId, Value>,
    known: HashMap<Key, ValueId>,
    known_plains: HashMap<(u64, PlainSource, Vec<Run>), PlainId>,
    /// How often each value is rotated.
    rotated: HashMap<ValueId, u32>,
    cost: f64,
    /// The statement that is lowered.
    pub span: Span,
}

/// What makes two instructions equal: kind, operands, and the bits of a number.
type Key = (u8, u32, u32, u64);

fn key(op: Op) -> Key {
    match op {
        Op::Input(input, k) => (0, input.0, k, 0),
        Op::Add(a, b) => (1, a.0.min(b.0), a.0.max(b.0), 0),
        Op::Sub(a, b) => (2, a.0, b.0, 0),
        Op::Neg(a) => (3, a.0, 0, 0),
        Op::Mul(a, b) => (4, a.0.min(b.0), a.0.max(b.0), 0),
        Op::MulPlain(a, p) => (5, a.0, p.0, 0),
        Op::AddPlain(a, p) => (6, a.0, p.0, 0),
        Op::MulScalar(a, x) => (7, a.0, 0, x.to_bits()),
        Op::AddScalar(a, x) => (8, a.0, 0, x.to_bits()),
        Op::Hoist(a) => (9, a.0, 0, 0),
        Op::Rotate(a, by) => (10, a.0, by, 0),
        Op::Relinearize(a) => (11, a.0, 0, 0),
        Op::Rescale(a) => (12, a.0, 0, 0),
        Op::Drop(a) => (13, a.0, 0, 0),
        Op::Conjugate(a) => (14, a.0, 0, 0),
    }
}

impl Builder {
    /// A program without instructions.
    pub fn new(slots: u32) -> Builder {
        Builder {
            slots,
            clears: IdVec::new(),
            inputs: IdVec::new(),
            plains: IdVec::new(),
            ranges: IdVec::new(),
            values: IdVec::new(),
            known: HashMap::new(),
            known_plains: HashMap::new(),
            rotated: HashMap::new(),
            cost: 0.0,
            span: Span::default(),
        }
    }

    /// How many slots a ciphertext has.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// How many levels are spent before a value.
    pub fn depth(&self, id: ValueId) -> u32 {
        self.values[id].level
    }

    /// At which depth the value has one factor.
    pub fn ready_depth(&self, id: ValueId) -> u32 {
        self.values[id].level + self.values[id].factors - 1
    }

    /// What its instructions cost, in rotations.
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// Adds a clear tensor, or finds the one of that name.
    pub fn clear(&mut self, name: &str, shape: &[u64]) -> ClearId {
        let known = self.clears.iter().find(|(_, clear)| clear.name == name).map(|(id, _)| id);
        match known {
            Some(id) => id,
            None => self.clears.push(Clear { name: name.to_string(), shape: shape.to_vec() }),
        }
    }

    /// The ciphertexts of a tensor that the client packs that way.
    pub fn input(&mut self, name: &str, shape: &[u64], packing: &Arc<Packing>) -> Vec<ValueId> {
        let same = |input: &Input| input.name == name && *input.packing == **packing;
        let known = self.inputs.iter().find(|(_, input)| same(input)).map(|(id, _)| id);
        let id = match known {
            Some(id) => id,
            None => {
                let (name, shape) = (name.to_string(), shape.to_vec());
                self.inputs.push(Input { name, shape, packing: packing.clone() })
            }
        };
        (0..packing.ciphertexts() as u32)
            .map(|k| {
                let value = self.push(Op::Input(id, k), 0, 1, 2);
                self.place(value, packing, k);
                value
            })
            .collect()
    }

    /// A vector of clear numbers.
    pub fn plain(&mut self, plain: Plain) -> PlainId {
        let key = (plain.factor.to_bits(), plain.source, plain.runs.clone());
        match self.known_plains.get(&key) {
            Some(&id) => id,
            None => {
                let id = self.plains.push(plain);
                self.known_plains.insert(key, id);
                id
            }
        }
    }

    /// Says what is known of a value's slots.
    pub fn place(&mut self, id: ValueId, packing: &Arc<Packing>, ciphertext: u32) {
        let place = &mut self.values[id].place;
        if place.is_none() {
            *place = Some((packing.clone(), ciphertext));
        }
    }

    /// What is known of a value's slots.
    pub fn placed(&self, id: ValueId) -> Option<&(Arc<Packing>, u32)> {
        self.values[id].place.as_ref()
    }

    /// Says that a value is the polynomial of an argument whose elements keep a range, mapped to -1..1.
    pub fn approximated(&mut self, argument: ValueId, result: ValueId, range: &Range) {
        let known = self.ranges.iter().find(|(_, known)| *known == range).map(|(id, _)| id);
        let range = known.unwrap_or_else(|| self.ranges.push(range.clone()));
        self.values[argument].range.get_or_insert(range);
        self.values[result].approximates.get_or_insert(range);
    }

    fn push(&mut self, op: Op, depth: u32, factors: u32, parts: u32) -> ValueId {
        let key = key(op);
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        self.cost += match op {
            Op::Rotate(a, _) => {
                let count = self.rotated.entry(a).or_default();
                *count += 1;
                if *count > 1 { 0.6 } else { 1.0 }
            }
            Op::Conjugate(_) | Op::Relinearize(_) => 1.0,
            Op::Input(..) => 0.25,
            Op::Mul(..) => 0.08,
            Op::MulPlain(..) => 0.06,
            Op::MulScalar(..) => 0.03,
            Op::Rescale(_) => 0.16,
            Op::Drop(_) => 0.19,
            Op::Add(..) | Op::Sub(..) | Op::Neg(_) | Op::AddPlain(..) | Op::AddScalar(..) => 0.02,
            Op::Hoist(_) => 0.0,
        };
        let span = self.span;
        let (place, range, approximates) = (None, None, None);
        let id =
            self.values.push(Value { op, level: depth, factors, parts, place, range, approximates, span });
        self.known.insert(key, id);
        id
    }

    fn like(&mut self, op: Op, a: ValueId) -> ValueId {
        let Value { level, factors, parts, .. } = self.values[a];
        self.push(op, level, factors, parts)
    }

    /// The value with two parts.
    pub fn relinearized(&mut self, a: ValueId) -> ValueId {
        let Value { level, factors, parts, .. } = self.values[a];
        if parts == 2 { a } else { self.push(Op::Relinearize(a), level, factors, 2) }
    }

    /// The value with one factor.
    pub fn rescaled(&mut self, a: ValueId) -> ValueId {
        let Value { level, factors, parts, .. } = self.values[a];
        if factors == 1 { a } else { self.push(Op::Rescale(a), level + 1, 1, parts) }
    }

    /// The value with two parts and one factor.
    pub fn ready(&mut self, a: ValueId) -> ValueId {
        let a = self.relinearized(a);
        self.rescaled(a)
    }

    /// The value at that depth, if it is not deeper already.
    fn lowered(&mut self, a: ValueId, depth: u32) -> ValueId {
        let mut a = a;
        while self.values[a].level < depth {
            if self.values[a].factors == 2 {
                a = self.rescaled(a);
            } else {
                let Value { level, parts, .. } = self.values[a];
                a = self.push(Op::Drop(a), level + 1, 1, parts);
            }
        }
        a
    }

    /// Both at one depth with as many factors and parts.
    fn aligned(&mut self, a: ValueId, b: ValueId) -> (ValueId, ValueId) {
        let depth = self.values[a].level.max(self.values[b].level);
        let (mut a, mut b) = (self.lowered(a, depth), self.lowered(b, depth));
        if self.values[a].parts != self.values[b].parts {
            (a, b) = (self.relinearized(a), self.relinearized(b));
        }
        if self.values[a].factors < self.values[b].factors {
            a = self.mul_scalar(a, 1.0);
        } else if self.values[b].factors < self.values[a].factors {
            b = self.mul_scalar(b, 1.0);
        }
        (a, b)
    }

    /// The sum.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let (a, b) = self.aligned(a, b);
        self.like(Op::Add(a, b), a)
    }

    /// The difference.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let (a, b) = self.aligned(a, b);
        self.like(Op::Sub(a, b), a)
    }

    /// The sum of several, as a balanced tree. `None` of none.
    pub fn sum(&mut self, values: &[ValueId]) -> Option<ValueId> {
        match values {
            [] => None,
            [one] => Some(*one),
            _ => {
                let (low, high) = values.split_at(values.len() / 2);
                let (low, high) = (self.sum(low)?, self.sum(high)?);
                Some(self.add(low, high))
            }
        }
    }

    /// The value times -1.
    pub fn neg(&mut self, a: ValueId) -> ValueId {
        self.like(Op::Neg(a), a)
    }

    /// The product; three parts and two factors.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let (a, b) = (self.ready(a), self.ready(b));
        let depth = self.values[a].level.max(self.values[b].level);
        let (a, b) = (self.lowered(a, depth), self.lowered(b, depth));
        self.push(Op::Mul(a, b), depth, 2, 3)
    }

    /// The product with clear numbers; two factors.
    pub fn mul_plain(&mut self, a: ValueId, plain: PlainId) -> ValueId {
        let a = self.rescaled(a);
        let Value { level, parts, .. } = self.values[a];
        self.push(Op::MulPlain(a, plain), level, 2, parts)
    }

    /// The sum with clear numbers.
    pub fn add_plain(&mut self, a: ValueId, plain: PlainId) -> ValueId {
        self.like(Op::AddPlain(a, plain), a)
    }

    /// The product with a number; two factors.
    pub fn mul_scalar(&mut self, a: ValueId, number: f64) -> ValueId {
        let a = self.rescaled(a);
        let Value { level, parts, .. } = self.values[a];
        self.push(Op::MulScalar(a, number), level, 2, parts)
    }

    /// The sum with a number.
    pub fn add_scalar(&mut self, a: ValueId, number: f64) -> ValueId {
        if number == 0.0 { a } else { self.like(Op::AddScalar(a, number), a) }
    }

    /// The value rotated left, with as many factors as it has.
    pub fn rotate(&mut self, a: ValueId, by: i64) -> ValueId {
        let by = by.rem_euclid(i64::from(self.slots)) as u32;
        if by == 0 {
            return a;
        }
        let a = self.relinearized(a);
        self.like(Op::Rotate(a, by), a)
    }

    /// The program that gives these outputs, without what they do not need.
    pub fn finish(mut self, name: &str, mut outputs: Vec<Output>) -> Slots {
        for output in &mut outputs {
            for value in &mut output.values {
                let ready = self.ready(*value);
                if let Some((packing, k)) = self.values[*value].place.clone() {
                    self.place(ready, &packing, k);
                }
                *value = ready;
            }
        }
        let needed = self.needed(&outputs);
        let start = self.start(&needed);
        // A value that is shallower than where its input starts is a drop of it.
        let mut depth = BTreeMap::new();
        let mut ids: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        let mut values = IdVec::new();
        for (id, value) in self.values.iter().filter(|(id, _)| needed[id.number()]) {
            let mut value = value.clone();
            if let (Op::Drop(a), Some(input)) = (value.op, self.chain(id))
                && value.level <= start[&input]
            {
                ids.insert(id, ids[&a]);
                continue;
            }
            if let Op::Input(..) = value.op {
                value.level = start[&id];
            }
            depth.insert(id, value.level);
            value.op = value.op.with_operands(|operand| ids[&operand]);
            ids.insert(id, values.push(value));
        }
        let levels = depth.values().copied().max().unwrap_or(0);
        let all: Vec<ValueId> = values.ids().collect();
        for id in all {
            values[id].level = levels - values[id].level;
        }
        for output in &mut outputs {
            for value in &mut output.values {
                *value = ids[value];
            }
        }
        let Builder { slots, clears, inputs, plains, ranges, .. } = self;
        let mut program =
            Slots { name: name.to_string(), slots, levels, clears, inputs, plains, ranges, values, outputs };
        program.drop_unused_plains();
        program.hoist_rotations();
        program
    }

    /// Which values the outputs need.
    fn needed(&self, outputs: &[Output]) -> Vec<bool> {
        let mut needed = vec![false; self.values.len()];
        for value in outputs.iter().flat_map(|output| &output.values) {
            needed[value.number()] = true;
        }
        for (id, value) in self.values.iter().rev() {
            if needed[id.number()] {
                for operand in value.op.operands().into_iter().flatten() {
                    needed[operand.number()] = true;
                }
            }
        }
        needed
    }

    /// The input that a value is but for drops.
    fn chain(&self, id: ValueId) -> Option<ValueId> {
        match self.values[id].op {
            Op::Input(..) => Some(id),
            Op::Drop(a) => self.chain(a),
            _ => None,
        }
    }

    /// At which depth each input is encrypted: where its first reader but drops needs it.
    fn start(&self, needed: &[bool]) -> BTreeMap<ValueId, u32> {
        let mut start = BTreeMap::new();
        for (id, value) in self.values.iter().filter(|(id, _)| needed[id.number()]) {
            if let Op::Input(..) = value.op {
                start.insert(id, u32::MAX);
            }
            if let Op::Drop(_) = value.op
                && self.chain(id).is_some()
            {
                continue;
            }
            for operand in value.op.operands().into_iter().flatten() {
                if let Some(input) = self.chain(operand) {
                    let depth = self.values[operand].level;
                    start.entry(input).and_modify(|first: &mut u32| *first = depth.min(*first));
                }
            }
        }
        // An input that only outputs read stays as it is.
        start.values_mut().filter(|depth| **depth == u32::MAX).for_each(|depth| *depth = 0);
        start
    }
}

impl Slots {
    /// Drops vectors and inputs that no instruction reads.
    fn drop_unused_plains(&mut self) {
        let mut plains = IdVec::new();
        let mut kept: BTreeMap<PlainId, PlainId> = BTreeMap::new();
        let ids: Vec<ValueId> = self.values.ids().collect();
        for id in ids {
            if let Op::MulPlain(_, plain) | Op::AddPlain(_, plain) = &mut self.values[id].op {
                *plain = *kept.entry(*plain).or_insert_with(|| plains.push(self.plains[*plain].clone()));
            }
        }
        self.plains = plains;
    }
}
