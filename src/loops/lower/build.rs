//! Writes statements: equal values of one block are computed once, constants are folded.

use super::copies::Copies;
use crate::expr::{Binary, Unary};
use crate::id::IdVec;
use crate::loops::*;
use std::collections::{HashMap, HashSet};

/// A list of statements under construction inside the lists that hold it.
pub(super) struct Builder {
    pub(super) loops: Loops,
    blocks: Vec<Block>,
    /// Values that may be assigned again, so that what is made of them is not the same twice.
    registers: HashSet<ValueId>,
    /// Values that are one constant for good.
    constants: HashMap<ValueId, Number>,
    /// The least and greatest value of each loop variable.
    ranges: HashMap<VarId, (i64, i64)>,
    /// Buffers that copies alone are written to.
    pub(super) copies: Copies,
}

/// `offset + sum of stride * variable`, as lowering computes with it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Lin {
    /// The constant part.
    pub(super) offset: i64,
    /// Loop variables with strides that are not 0, by variable.
    pub(super) terms: Vec<(VarId, i64)>,
}

impl Lin {
    pub(super) fn constant(offset: i64) -> Lin {
        Lin { offset, terms: Vec::new() }
    }

    /// `self + factor * other`. Extents were checked long before, so that nothing here overflows.
    pub(super) fn plus(&self, other: &Lin, factor: i64) -> Lin {
        let mut sum = self.clone();
        sum.offset = sum.offset.wrapping_add(other.offset.wrapping_mul(factor));
        for &(var, stride) in &other.terms {
            let stride = stride.wrapping_mul(factor);
            match sum.terms.binary_search_by_key(&var, |term| term.0) {
                Ok(at) => sum.terms[at].1 = sum.terms[at].1.wrapping_add(stride),
                Err(at) => sum.terms.insert(at, (var, stride)),
            }
        }
        sum.terms.retain(|term| term.1 != 0);
        sum
    }

    /// The sum with a constant.
    pub(super) fn shifted(&self, by: i64) -> Lin {
        Lin { offset: self.offset.wrapping_add(by), terms: self.terms.clone() }
    }
}

#[derive(Default)]
struct Block {
    list: Vec<Stmt>,
    /// Whether nothing made outside may be used inside: the body of a parallel loop.
    closed: bool,
    /// Values by how they are made; valid in this block and those inside it.
    made: HashMap<(Op, Type), ValueId>,
    /// Loads likewise, but only in this block and until something is written.
    loaded: HashMap<(Op, Type), ValueId>,
    checked: HashMap<(ValueId, SiteId), ()>,
}

impl Builder {
    pub(super) fn new(name: &str, buffers: IdVec<BufferId, Buffer>, arena: u64) -> Builder {
        Builder {
            loops: Loops {
                name: name.into(),
                buffers,
                arena,
                scratch: 0,
                vars: IdVec::new(),
                values: IdVec::new(),
                sites: IdVec::new(),
                gemms: IdVec::new(),
                permutes: IdVec::new(),
                fouriers: IdVec::new(),
                steps: Vec::new(),
            },
            blocks: Vec::new(),
            registers: HashSet::new(),
            constants: HashMap::new(),
            ranges: HashMap::new(),
            copies: Copies::default(),
        }
    }

    pub(super) fn finish(self) -> Loops {
        debug_assert!(self.blocks.is_empty());
        self.loops
    }

    /// Writes a step.
    pub(super) fn step(&mut self, body: &mut dyn FnMut(&mut Builder)) {
        debug_assert!(self.blocks.is_empty());
        self.blocks.push(Block::default());
        body(self);
        let block = self.blocks.pop().expect("the step is open");
        if !block.list.is_empty() {
            self.loops.steps.push(block.list);
        }
    }

    fn block(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("a step is open")
    }

    /// Appends a statement.
    pub(super) fn push(&mut self, stmt: Stmt) {
        self.block().list.push(stmt);
    }

    /// Starts a list inside the current one.
    pub(super) fn open(&mut self) {
        self.blocks.push(Block::default());
    }

    /// Ends the innermost list. What it wrote is not known any more outside.
    pub(super) fn close(&mut self) -> Vec<Stmt> {
        let block = self.blocks.pop().expect("a block is open");
        self.block().loaded.clear();
        block.list
    }

    /// Whether this is inside a parallel loop.
    pub(super) fn in_parallel(&self) -> bool {
        self.blocks.iter().any(|block| block.closed)
    }

    /// Forgets what memory held: something else has written to it.
    pub(super) fn forget(&mut self) {
        self.block().loaded.clear();
    }

    /// Makes a new loop variable.
    pub(super) fn var(&mut self, name: &str) -> VarId {
        self.loops.vars.push(name.to_owned())
    }

    /// Writes a loop; one that runs once becomes its body, one that never runs nothing.
    pub(super) fn looped(
        &mut self,
        name: &str,
        (start, end, step): (i64, i64, i64),
        parallel: bool,
        body: &mut dyn FnMut(&mut Builder, Lin),
    ) {
        if start >= end {
            return;
        }
        if end - start <= step {
            return body(self, Lin::constant(start));
        }
        let var = self.var(name);
        self.ranges.insert(var, (start, start + (end - 1 - start) / step * step));
        self.open();
        self.block().closed = parallel;
        body(self, Lin { offset: 0, terms: vec![(var, 1)] });
        let body = self.close();
        let (from, to) = (None, None);
        self.push(Stmt::For(Box::new(For { var, start, end, from, to, step, parallel, shared: None, body })));
    }

    /// Writes a loop that starts no sooner than one value and ends no later than another.
    pub(super) fn looped_within(
        &mut self,
        name: &str,
        (start, end, step): (i64, i64, i64),
        (from, to): (Option<ValueId>, Option<ValueId>),
        body: &mut dyn FnMut(&mut Builder, Lin),
    ) {
        if from.is_none() && to.is_none() {
            return self.looped(name, (start, end, step), false, body);
        }
        if start >= end {
            return;
        }
        let var = self.var(name);
        self.ranges.insert(var, (start, end - 1));
        self.open();
        body(self, Lin { offset: 0, terms: vec![(var, 1)] });
        let body = self.close();
        let (parallel, shared) = (false, None);
        self.push(Stmt::For(Box::new(For { var, start, end, from, to, step, parallel, shared, body })));
    }

    /// Lets processes share the loop that was written last, whose results are in a buffer.
    pub(super) fn share(&mut self, buffer: BufferId) {
        if let Some(Stmt::For(looped)) = self.block().list.last_mut() {
            looped.shared = Some(buffer);
        }
    }

    /// Scratch memory of each worker.
    pub(super) fn scratch(&mut self, name: &str, dtype: DType, elems: u64) -> BufferId {
        let at = self.loops.scratch;
        self.loops.scratch = at.saturating_add(dtype.bytes_of(elems).next_multiple_of(64));
        self.loops.buffers.push(Buffer { name: name.into(), dtype, elems, place: Place::Scratch(at) })
    }

    pub(super) fn ty(&self, value: ValueId) -> Type {
        self.loops.values[value]
    }

    /// A register that [`Builder::set`] assigns.
    pub(super) fn register(&mut self, ty: Type) -> ValueId {
        let value = self.loops.values.push(ty);
        self.registers.insert(value);
        value
    }

    /// Assigns a register.
    pub(super) fn set(&mut self, value: ValueId, op: Op) {
        self.push(Stmt::Let(value, op));
    }

    /// A value; one already made here is used again.
    pub(super) fn make(&mut self, ty: Type, op: Op) -> ValueId {
        if let Some(value) = self.fold(ty, &op) {
            return value;
        }
        if operands(&op).iter().any(|value| self.registers.contains(value)) {
            let value = self.loops.values.push(ty);
            self.set(value, op);
            return value;
        }
        let key = (op, ty);
        let load = matches!(key.0, Op::Load(..));
        let found = if load {
            self.block().loaded.get(&key).copied()
        } else {
            let outermost = self.blocks.iter().rposition(|block| block.closed).unwrap_or(0);
            self.blocks[outermost..].iter().rev().find_map(|block| block.made.get(&key).copied())
        };
        if let Some(value) = found {
            return value;
        }
        let value = self.loops.values.push(ty);
        if let Op::Const(number) = key.0 {
            self.constants.insert(value, number);
        }
        self.set(value, key.0.clone());
        let block = self.block();
        if load {
            block.loaded.insert(key, value)
        } else {
            block.made.insert(key, value)
        };
        value
    }

    /// The least and greatest value over the loops.
    pub(super) fn bounds(&self, lin: &Lin) -> (i128, i128) {
        let (mut low, mut high) = (i128::from(lin.offset), i128::from(lin.offset));
        for &(var, stride) in &lin.terms {
            let (first, last) = self.ranges[&var];
            let ends = [first, last].map(|end| i128::from(end) * i128::from(stride));
            low += ends[0].min(ends[1]);
            high += ends[0].max(ends[1]);
        }
        (low, high)
    }

    fn fold(&mut self, ty: Type, op: &Op) -> Option<ValueId> {
        match op {
            Op::Pack(parts) if parts.windows(2).all(|pair| pair[0] == pair[1]) => {
                Some(self.make(ty, Op::Splat(parts[0])))
            }
            Op::Splat(v) if ty.dtype != DType::Bool => {
                let number = *self.constants.get(v)?;
                Some(self.make(ty, Op::Const(number)))
            }
            _ => None,
        }
    }

    pub(super) fn int(&mut self, value: i64) -> ValueId {
        self.make(Type::scalar(DType::I64), Op::Const(Number::Int(value)))
    }

    /// The same number in every lane.
    pub(super) fn number(&mut self, ty: Type, value: f64) -> ValueId {
        let number = if ty.dtype.is_float() { Number::Real(value) } else { Number::Int(value as i64) };
        self.make(ty, Op::Const(number))
    }

    /// The value of an affine form.
    pub(super) fn index(&mut self, lin: &Lin) -> ValueId {
        if lin.terms.is_empty() {
            return self.int(lin.offset);
        }
        self.make(Type::scalar(DType::I64), Op::Affine(lin.offset, lin.terms.clone()))
    }

    pub(super) fn binary(&mut self, op: Arith, a: ValueId, b: ValueId) -> ValueId {
        let ty = self.ty(a);
        let dtype = match op {
            Arith::Lang(op) if op.is_comparison() => DType::Bool,
            _ => ty.dtype,
        };
        self.make(Type { dtype, ..ty }, Op::Binary(op, a, b))
    }

    pub(super) fn lang(&mut self, op: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Arith::Lang(op), a, b)
    }

    pub(super) fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Arith::Add, a, b)
    }

    pub(super) fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Arith::Sub, a, b)
    }

    pub(super) fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Arith::Mul, a, b)
    }

    /// `a * b + c`.
    pub(super) fn fma(&mut self, a: ValueId, b: ValueId, c: ValueId) -> ValueId {
        let ty = self.ty(c);
        self.make(ty, Op::Fma(a, b, c))
    }

    pub(super) fn unary(&mut self, op: Unary, a: ValueId) -> ValueId {
        let ty = self.ty(a);
        self.make(ty, Op::Unary(op, a))
    }

    pub(super) fn select(&mut self, c: ValueId, a: ValueId, b: ValueId) -> ValueId {
        if a == b {
            return a;
        }
        let ty = self.ty(a);
        self.make(ty, Op::Select(c, a, b))
    }

    pub(super) fn cast(&mut self, dtype: DType, a: ValueId) -> ValueId {
        let ty = self.ty(a);
        if ty.dtype == dtype {
            return a;
        }
        self.make(Type { dtype, ..ty }, Op::Cast(a))
    }

    /// The value in as many lanes.
    pub(super) fn widen(&mut self, value: ValueId, lanes: u8) -> ValueId {
        let ty = self.ty(value);
        if ty.lanes == lanes { value } else { self.make(Type { lanes, ..ty }, Op::Splat(value)) }
    }

    /// Writes lanes side by side.
    pub(super) fn store(&mut self, address: Address, value: ValueId) {
        self.push(Stmt::Store(address, value));
        self.block().loaded.clear();
    }

    /// Ends the program unless `0 <= value < extent`.
    pub(super) fn check(&mut self, value: ValueId, extent: u64, site: SiteId) {
        if self.block().checked.insert((value, site), ()).is_none() {
            self.push(Stmt::Check(value, extent, site));
        }
    }

    /// The number of a site, made once.
    pub(super) fn site(&mut self, site: Site) -> SiteId {
        let found = self.loops.sites.iter().find(|(_, known)| **known == site).map(|(id, _)| id);
        found.unwrap_or_else(|| self.loops.sites.push(site))
    }
}

/// The values an op is made of.
pub(super) fn operands(op: &Op) -> Vec<ValueId> {
    match op {
        Op::Const(_) | Op::Affine(..) | Op::Iota => Vec::new(),
        Op::Load(_, address) => address.dynamic.into_iter().collect(),
        Op::Copy(a) | Op::Splat(a) | Op::Lane(a, _) | Op::Unary(_, a) | Op::Cast(a) => vec![*a],
        Op::Binary(_, a, b) => vec![*a, *b],
        Op::Fma(a, b, c) | Op::Select(a, b, c) => vec![*a, *b, *c],
        Op::Pack(values) | Op::Complex(_, _, values) => values.clone(),
    }
}
