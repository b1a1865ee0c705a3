//! The law of loops.
//!
//! A value is assigned before it is used, on every path; one that is first assigned inside a loop or branch does not
//! exist outside, and none crosses into a parallel loop or another step. Types fit: both sides of an operator have one type, lanes
//! are 1 or fill a vector, no value is complex. Loop variables are used inside their loop. Addresses without a
//! computed part stay inside their buffer for all values of the loop variables. Memory is accessed as its own dtype, a complex
//! element as two of its parts, and integers of a matrix product with or without sign.

use super::*;
use std::collections::{HashMap, HashSet};

/// The first broken law, or nothing.
pub fn verify(loops: &Loops) -> Result<(), String> {
    let mut check = Check { loops, defined: HashSet::new(), ranges: HashMap::new() };
    loops.steps.iter().try_for_each(|step| {
        check.defined.clear();
        check.list(step)
    })
}

struct Check<'a> {
    loops: &'a Loops,
    defined: HashSet<ValueId>,
    /// The least and greatest value of each loop variable in scope.
    ranges: HashMap<VarId, (i64, i64)>,
}

impl Check<'_> {
    fn list(&mut self, list: &[Stmt]) -> Result<(), String> {
        list.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn inner(&mut self, list: &[Stmt]) -> Result<(), String> {
        let outside = self.defined.clone();
        self.list(list)?;
        self.defined = outside;
        Ok(())
    }

    fn known(&self, value: ValueId) -> Result<Type, String> {
        if !self.defined.contains(&value) {
            return Err(format!("{value} is used before it is assigned"));
        }
        Ok(self.loops.values[value])
    }

    fn affine(&self, offset: i64, terms: &[(VarId, i64)]) -> Result<(i128, i128), String> {
        let (mut low, mut high) = (i128::from(offset), i128::from(offset));
        for &(var, stride) in terms {
            let Some(&(first, last)) = self.ranges.get(&var) else {
                return Err(format!("{} is used outside its loop", self.loops.var(var)));
            };
            let ends = [first, last].map(|end| i128::from(end) * i128::from(stride));
            low += ends[0].min(ends[1]);
            high += ends[0].max(ends[1]);
        }
        Ok((low, high))
    }

    fn address(&self, address: &Address, mem: DType, lanes: u8) -> Result<(), String> {
        let (low, high) = self.affine(address.offset, &address.terms)?;
        let buffer = &self.loops.buffers[address.buffer];
        // A complex element is two of its parts, any other one of its own dtype.
        if mem.is_complex() || mem != buffer.dtype.real_part() {
            return Err(format!("{} of {} is accessed as {mem}", address.buffer, buffer.dtype));
        }
        let parts = if buffer.dtype.is_complex() { 2 } else { 1 };
        if let Some(value) = address.dynamic {
            let ty = self.known(value)?;
            return if ty == Type::scalar(DType::I64) {
                Ok(())
            } else {
                Err(format!("{value} is an address and has type {ty}"))
            };
        }
        let elems = i128::from(buffer.elems) * parts;
        if low < 0 || high + i128::from(lanes) > elems {
            return Err(format!(
                "{} reaches {low}..{} of {elems} elements",
                self.loops.address(address),
                high + i128::from(lanes)
            ));
        }
        Ok(())
    }

    /// Elements of a dtype from `low` to `high` behind an address without a computed part.
    fn part(&self, address: &Address, dtype: DType, low: i128, high: i128) -> Result<(), String> {
        let buffer = &self.loops.buffers[address.buffer];
        let (least, most) = self.affine(address.offset, &address.terms)?;
        let in_parts = buffer.dtype.is_complex() && buffer.dtype.real_part() == dtype;
        if buffer.dtype != dtype && !in_parts {
            return Err(format!("{} of {} is accessed as {dtype}", address.buffer, buffer.dtype));
        }
        let elems = i128::from(buffer.elems) * if in_parts { 2 } else { 1 };
        let fits = least + low >= 0 && most + high < elems;
        if !fits || address.dynamic.is_some() {
            return Err(format!("{} reaches {}..={}", self.loops.address(address), least + low, most + high));
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), String> {
        match stmt {
            Stmt::Let(value, op) => {
                let ty = self.loops.values[*value];
                self.op(*value, ty, op)?;
                self.defined.insert(*value);
                Ok(())
            }
            Stmt::Store(address, value) => {
                let ty = self.known(*value)?;
                self.address(address, ty.dtype, ty.lanes)
            }
            Stmt::For(looped) => {
                if looped.step < 1 {
                    return Err(format!("{} does not step forward", self.loops.var(looped.var)));
                }
                for bound in [looped.from, looped.to].into_iter().flatten() {
                    if self.known(bound)? != Type::scalar(DType::I64) || looped.parallel {
                        return Err(format!("{bound} is no bound of {}", self.loops.var(looped.var)));
                    }
                }
                if looped.shared.is_some() && !(looped.parallel && self.ranges.is_empty()) {
                    return Err(format!("{} is inside of a loop and shared", self.loops.var(looped.var)));
                }
                if looped.start >= looped.end {
                    return Ok(());
                }
                // Steps from a start that is not known yet may hit every value.
                let last = match looped.from {
                    Some(_) => looped.end - 1,
                    None => looped.start + (looped.end - 1 - looped.start) / looped.step * looped.step,
                };
                self.ranges.insert(looped.var, (looped.start, last));
                let outside = self.defined.clone();
                if looped.parallel {
                    self.defined.clear();
                }
                self.list(&looped.body)?;
                self.defined = outside;
                self.ranges.remove(&looped.var);
                Ok(())
            }
            Stmt::If(condition, then, otherwise) => {
                let ty = self.known(*condition)?;
                if ty != Type::scalar(DType::Bool) {
                    return Err(format!("{condition} is a condition and has type {ty}"));
                }
                self.inner(then)?;
                self.inner(otherwise)
            }
            Stmt::Gemm(gemm, addresses, wanted) => {
                let gemm = &self.loops.gemms[*gemm];
                let axes = || [&gemm.batch, &gemm.m, &gemm.n, &gemm.k].into_iter().flatten();
                let strides = if wanted.is_some() { axes().count() } else { 0 };
                if gemm.wanted.len() != strides {
                    return Err("a matrix product whose wanted elements are not told".to_string());
                }
                let is_row = |axis: &einc_runtime::gemm::Axis| axis.c != 0 && (axis.a != 0) != (axis.b != 0);
                let fits = |band: Band| axes().nth(band.axis).is_some_and(is_row) && gemm.k.len() == 1;
                if gemm.band.is_some_and(|band| !fits(band) || wanted.is_some()) {
                    return Err("a matrix product in a band that is none of its own".to_string());
                }
                if axes().any(|axis| axis.extent == 0) {
                    return Ok(());
                }
                for (number, address) in addresses.iter().chain(wanted).enumerate() {
                    let reach = axes().enumerate().map(|(at, axis)| {
                        let wanted = gemm.wanted.get(at).copied().unwrap_or(0);
                        let stride = [axis.a, axis.b, axis.c, wanted][number];
                        i128::from(stride) * (i128::from(axis.extent) - 1)
                    });
                    let (low, high) =
                        reach.fold((0, 0), |(low, high), by| (low + by.min(0), high + by.max(0)));
                    if number == 3 {
                        self.part(address, DType::Bool, low, high)?;
                        continue;
                    }
                    // Wrapping products do not depend on the sign.
                    let dtype = match (gemm.dtype, self.loops.buffers[address.buffer].dtype) {
                        (DType::I32, dtype @ DType::U32) | (DType::I64, dtype @ DType::U64) => dtype,
                        (dtype, _) => dtype,
                    };
                    self.part(address, dtype, low, high)?;
                }
                Ok(())
            }
            Stmt::Permute(permute, addresses) => {
                let permute = &self.loops.permutes[*permute];
                if permute.axes.iter().any(|axis| axis.extent == 0) {
                    return Ok(());
                }
                for (number, address) in addresses.iter().enumerate() {
                    let reach = permute
                        .axes
                        .iter()
                        .map(|axis| i128::from([axis.from, axis.to][number]) * (i128::from(axis.extent) - 1));
                    let (low, high) =
                        reach.fold((0, 0), |(low, high), by| (low + by.min(0), high + by.max(0)));
                    self.part(address, permute.dtype, low, high)?;
                }
                Ok(())
            }
            Stmt::Fourier(id, addresses) => {
                let fourier = &self.loops.fouriers[*id];
                let work = match fourier {
                    Fourier::Transform(transform) => transform.work_elems(),
                    Fourier::Convolution(convolution) => convolution.work_elems(),
                };
                let reach = |extents: &[(u64, i64)]| {
                    extents.iter().fold((0, 0), |(low, high): (i128, i128), &(extent, by)| {
                        let last = (i128::from(extent) - 1) * i128::from(by);
                        (low + last.min(0), high + last.max(0))
                    })
                };
                let Some(work) = work else { return Err(format!("{id} needs more memory than there is")) };
                let mut reaches = match fourier {
                    Fourier::Transform(transform) => {
                        let by = |len: u64, by: [i64; 2]| reach(&[(transform.rows, by[0]), (len, by[1])]);
                        let (len, kept) = (transform.len, transform.kept);
                        let [from, to] = match transform.columns {
                            Some([from, to]) => [by(len, [1, from as i64]), by(kept, [1, to as i64])],
                            None => [len, kept].map(|len| by(len, [len as i64, 1])),
                        };
                        let factors = transform.factors.map(|apart| by(len, apart.map(|apart| apart as i64)));
                        [Some(from), factors, Some(to)].into_iter().flatten().collect()
                    }
                    Fourier::Convolution(c) => {
                        let along = if c.backward { -c.x[1] } else { c.x[1] };
                        vec![
                            reach(&[(c.rows, c.x[0]), (c.points, c.x[1]), (c.taps, along)]),
                            reach(&[(c.rows, c.k[0]), (c.taps, c.k[1])]),
                            reach(&[(c.rows, c.y[0]), (c.points, c.y[1])]),
                        ]
                    }
                };
                reaches.push((0, i128::from(work) - 1));
                let dtypes = fourier.dtypes();
                if addresses.len() != reaches.len() {
                    return Err(format!("{id} is called on {} addresses", addresses.len()));
                }
                addresses
                    .iter()
                    .zip(dtypes)
                    .zip(reaches)
                    .try_for_each(|((address, dtype), (low, high))| self.part(address, dtype, low, high))
            }
            Stmt::Sort(sort) => {
                let last = i128::from(sort.len) - 1;
                self.part(&sort.row, sort.dtype, 0, last)?;
                self.part(&sort.positions, DType::I64, 0, last)
            }
            Stmt::Map(map) => {
                let last = i128::from(map.len) - 1;
                if !map.function.exists(map.dtype) {
                    return Err(format!("there is no {} of many {}", map.function, map.dtype));
                }
                self.part(&map.from, map.dtype, 0, last)?;
                self.part(&map.to, map.dtype, 0, last)
            }
            Stmt::Fold(value, fold) => {
                let result = match fold.op {
                    ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min => Some(Type::scalar(fold.dtype)),
                    ReduceOp::ArgMax | ReduceOp::ArgMin => Some(Type::scalar(DType::I64)),
                    _ => None,
                };
                let ty = self.loops.values[*value];
                if !matches!(fold.dtype, DType::F32 | DType::F64) || result != Some(ty) {
                    return Err(format!("{value}: {ty} is a {} of {}", fold.op.name(), fold.dtype));
                }
                self.part(&fold.from, fold.dtype, 0, i128::from(fold.len) - 1)?;
                self.defined.insert(*value);
                Ok(())
            }
            Stmt::FoldRows(fold) => {
                let known = matches!(fold.op, ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min);
                if !known || !matches!(fold.dtype, DType::F32 | DType::F64) {
                    return Err(format!("there is no {} of rows of {}", fold.op.name(), fold.dtype));
                }
                let last = i128::from(fold.len) - 1;
                let reach = i128::from(fold.stride) * (i128::from(fold.rows) - 1);
                self.part(&fold.from, fold.dtype, reach.min(0), reach.max(0) + last)?;
                self.part(&fold.to, fold.dtype, 0, last)
            }
            Stmt::Check(value, ..) => {
                let ty = self.known(*value)?;
                if ty == Type::scalar(DType::I64) {
                    Ok(())
                } else {
                    Err(format!("{value} is an index and has type {ty}"))
                }
            }
        }
    }

    fn op(&self, value: ValueId, ty: Type, op: &Op) -> Result<(), String> {
        let lanes_fit = match ty.dtype {
            DType::Bool => [1, 2, 4].contains(&ty.lanes),
            dtype => ty.lanes == 1 || ty.lanes == vector_lanes(dtype),
        };
        if ty.dtype.is_complex() || !lanes_fit {
            return Err(format!("{value} has type {ty}"));
        }
        let same = |v: ValueId| match self.known(v)? {
            known if known == ty => Ok(()),
            known => Err(format!("{value}: {ty} is made of {v}: {known}")),
        };
        let has = |v: ValueId, wanted: Type| match self.known(v)? {
            known if known == wanted => Ok(()),
            known => Err(format!("{value}: {v} has type {known}, not {wanted}")),
        };
        match op {
            Op::Const(number) => match (number, ty.dtype.is_float()) {
                (Number::Int(_), false) | (Number::Real(_), true) => Ok(()),
                _ => Err(format!("{value}: {ty} is {number}")),
            },
            Op::Affine(offset, terms) => {
                self.affine(*offset, terms)?;
                if ty == Type::scalar(DType::I64) {
                    Ok(())
                } else {
                    Err(format!("{value}: {ty} is an index"))
                }
            }
            Op::Iota => Ok(()),
            Op::Copy(v) | Op::Unary(_, v) => same(*v),
            Op::Load(mem, address) => self.address(address, *mem, ty.lanes),
            Op::Splat(v) => has(*v, Type::scalar(ty.dtype)),
            Op::Pack(values) if values.len() == usize::from(ty.lanes) => {
                values.iter().try_for_each(|&v| has(v, Type::scalar(ty.dtype)))
            }
            Op::Pack(values) => Err(format!("{value}: {ty} is packed of {} values", values.len())),
            Op::Lane(v, lane) => {
                let known = self.known(*v)?;
                if known.dtype == ty.dtype && *lane < known.lanes && ty.lanes == 1 {
                    Ok(())
                } else {
                    Err(format!("{value}: {ty} is lane {lane} of {known}"))
                }
            }
            Op::Binary(Arith::Lang(op), a, b) if op.is_comparison() => {
                let known = self.known(*a)?;
                has(*b, known)?;
                if ty.dtype == DType::Bool && ty.lanes == known.lanes {
                    Ok(())
                } else {
                    Err(format!("{value}: {ty} compares {known}"))
                }
            }
            Op::Binary(_, a, b) => same(*a).and_then(|()| same(*b)),
            Op::Fma(a, b, c) => [a, b, c].into_iter().try_for_each(|&v| same(v)),
            Op::Select(c, a, b) => {
                has(*c, Type { dtype: DType::Bool, lanes: ty.lanes })?;
                same(*a).and_then(|()| same(*b))
            }
            Op::Cast(v) => {
                let known = self.known(*v)?;
                if known.lanes == ty.lanes {
                    Ok(())
                } else {
                    Err(format!("{value}: {ty} is cast from {known}"))
                }
            }
            Op::Complex(op, _, values) => {
                let count = if matches!(op, ComplexOp::Unary(_)) { 2 } else { 4 };
                if values.len() != count || ty.lanes != 1 {
                    return Err(format!("{value}: a complex function of {} values", values.len()));
                }
                values.iter().try_for_each(|&v| same(v))
            }
        }
    }
}
