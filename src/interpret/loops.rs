//! Runs [`Loops`] one statement after the other, lane by lane; parallel loops too run in order.
//!
//! Every buffer has memory of its own here, wherever the loops place it, and an access outside of it panics: it is a bug
//! of ours.

use super::value::{add, binary, boolean, complex, int, multiply, number, real, truth, unary, wrap};
use crate::expr::{Binary, ReduceOp, Unary};
use crate::fault::Fault;
use crate::id::Id;
use crate::loops::{
    Address, Arith, BufferId, ComplexOp, For, Fourier, GemmId, Loops, Mapped, Number, Op, Part, Place, Sort,
    Stmt, ValueId, VarId,
};
use einc_runtime::fourier::{Convolution, Transform};
use einc_runtime::gemm::Axis;
use einc_runtime::{DType, Scalar, Tensor};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Runs loops. Results come in the order of the outputs and are flat.
///
/// # Errors
/// The first access that left its tensor where the program asks for a check.
///
/// # Panics
/// Where an input does not fit its buffer, where memory is short, and where loops break their law.
pub fn run_loops(loops: &Loops, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Fault> {
    let memory = loops
        .buffers
        .iter()
        .map(|(id, buffer)| match &buffer.place {
            Place::Input(number) => {
                let given = inputs[*number];
                assert_eq!((given.dtype(), given.elems() as u64), (buffer.dtype, buffer.elems), "{id}");
                (*given).clone()
            }
            Place::Constant(tensor) => (**tensor).clone(),
            _ => Tensor::zeros(buffer.dtype, &[buffer.elems]).expect("memory for a buffer"),
        })
        .collect();
    let mut runner = Runner { loops, memory, vars: HashMap::new(), values: HashMap::new() };
    for step in &loops.steps {
        runner.values.clear();
        runner.list(step)?;
    }
    let mut outputs: Vec<(usize, Tensor)> = loops
        .buffers
        .iter()
        .zip(runner.memory)
        .filter_map(|((_, buffer), tensor)| match buffer.place {
            Place::Output(number) => Some((number, tensor)),
            _ => None,
        })
        .collect();
    outputs.sort_by_key(|output| output.0);
    Ok(outputs.into_iter().map(|output| output.1).collect())
}

struct Runner<'a> {
    loops: &'a Loops,
    memory: Vec<Tensor>,
    vars: HashMap<VarId, i64>,
    values: HashMap<ValueId, Vec<Scalar>>,
}

impl Runner<'_> {
    fn list(&mut self, list: &[Stmt]) -> Result<(), Fault> {
        list.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), Fault> {
        match stmt {
            Stmt::Let(value, op) => {
                let result = self.op(*value, op);
                self.values.insert(*value, result);
            }
            Stmt::Store(address, value) => {
                let dtype = self.loops.values[*value].dtype;
                let start = self.element(address);
                for (lane, value) in self.values[value].clone().into_iter().enumerate() {
                    self.write(address.buffer, dtype, start + lane as i64, value);
                }
            }
            Stmt::For(looped) => self.run(looped)?,
            Stmt::If(condition, then, otherwise) => {
                let list = if truth(self.values[condition][0]) { then } else { otherwise };
                self.list(list)?;
            }
            Stmt::Check(value, extent, site) => {
                let value = int(self.values[value][0]) as i64;
                if value < 0 || value as u64 >= *extent {
                    let site = &self.loops.sites[*site];
                    let (place, tensor) = (site.place, site.tensor.clone());
                    return Err(Fault { place, tensor, checked: site.checked, extent: site.extent, value });
                }
            }
            Stmt::Gemm(gemm, addresses, wanted) => self.gemm(*gemm, addresses, wanted.as_ref()),
            Stmt::Permute(permute, [from, to]) => {
                let permute = &self.loops.permutes[*permute];
                let axes: Vec<Axis> = permute
                    .axes
                    .iter()
                    .map(|axis| Axis { extent: axis.extent, a: axis.from, b: 0, c: axis.to })
                    .collect();
                let (at_from, at_to) = (self.element(from), self.element(to));
                for point in points(&axes) {
                    let value = self.read(from.buffer, permute.dtype, at_from + point[0]);
                    self.write(to.buffer, permute.dtype, at_to + point[2], value);
                }
            }
            Stmt::Sort(sort) => self.sort(sort),
            Stmt::Fourier(id, addresses) => match &self.loops.fouriers[*id] {
                Fourier::Transform(transform) => self.transform(transform, addresses),
                Fourier::Convolution(convolution) => self.convolve(convolution, addresses),
            },
            Stmt::Map(map) => {
                let (from, to) = (self.element(&map.from), self.element(&map.to));
                for k in 0..map.len as i64 {
                    let value = self.read(map.from.buffer, map.dtype, from + k);
                    let value = match map.function {
                        Mapped::Unary(function) => unary(function, value, map.dtype),
                        Mapped::Power(exponent) => {
                            binary(Binary::Pow, value, Scalar::Real(exponent), map.dtype)
                        }
                    };
                    self.write(map.to.buffer, map.dtype, to + k, value);
                }
            }
            Stmt::Fold(value, fold) => {
                let from = self.element(&fold.from);
                let numbers: Vec<Scalar> =
                    (0..fold.len as i64).map(|k| self.read(fold.from.buffer, fold.dtype, from + k)).collect();
                self.values.insert(*value, vec![folded(fold.op, fold.dtype, &numbers)]);
            }
            Stmt::FoldRows(fold) => {
                let (from, to) = (self.element(&fold.from), self.element(&fold.to));
                for k in 0..fold.len as i64 {
                    let column: Vec<Scalar> = (0..fold.rows as i64)
                        .map(|row| self.read(fold.from.buffer, fold.dtype, from + row * fold.stride + k))
                        .collect();
                    self.write(fold.to.buffer, fold.dtype, to + k, folded(fold.op, fold.dtype, &column));
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, looped: &For) -> Result<(), Fault> {
        let bound = |value: ValueId| int(self.values[&value][0]) as i64;
        let mut at = looped.from.map_or(looped.start, |from| bound(from).max(looped.start));
        let end = looped.to.map_or(looped.end, |to| bound(to).min(looped.end));
        while at < end {
            self.vars.insert(looped.var, at);
            self.list(&looped.body)?;
            at += looped.step;
        }
        Ok(())
    }

    fn affine(&self, offset: i64, terms: &[(VarId, i64)]) -> i64 {
        terms.iter().fold(offset, |sum, (var, stride)| sum + self.vars[var] * stride)
    }

    fn element(&self, address: &Address) -> i64 {
        let computed = address.dynamic.map_or(0, |value| int(self.values[&value][0]) as i64);
        self.affine(address.offset, &address.terms) + computed
    }

    /// An element in units of a dtype: that of the buffer, or that of the parts of its complex numbers.
    fn read(&self, buffer: BufferId, dtype: DType, element: i64) -> Scalar {
        let tensor = &self.memory[buffer.number()];
        if !tensor.dtype().is_complex() || dtype.is_complex() {
            return tensor.get(element as usize);
        }
        let whole = complex(tensor.get(element as usize / 2));
        Scalar::Real(if element % 2 == 0 { whole.re } else { whole.im })
    }

    fn write(&mut self, buffer: BufferId, dtype: DType, element: i64, value: Scalar) {
        let tensor = &mut self.memory[buffer.number()];
        if !tensor.dtype().is_complex() || dtype.is_complex() {
            return tensor.set(element as usize, value);
        }
        let mut whole = complex(tensor.get(element as usize / 2));
        *(if element % 2 == 0 { &mut whole.re } else { &mut whole.im }) = real(value);
        tensor.set(element as usize / 2, Scalar::Complex(whole.re, whole.im));
    }

    fn op(&self, result: ValueId, op: &Op) -> Vec<Scalar> {
        let ty = self.loops.values[result];
        let lanes = usize::from(ty.lanes);
        let of = |value: &ValueId| &self.values[value];
        let dtype_of = |value: &ValueId| self.loops.values[*value].dtype;
        let each = |f: &dyn Fn(usize) -> Scalar| (0..lanes).map(f).collect::<Vec<_>>();
        match op {
            Op::Const(Number::Int(value)) => vec![Scalar::Int(wrap((*value).into(), ty.dtype)); lanes],
            Op::Const(Number::Real(value)) => vec![Scalar::Real(*value); lanes],
            Op::Affine(offset, terms) => vec![Scalar::Int(self.affine(*offset, terms).into())],
            Op::Iota => each(&|lane| number(lane as i32, ty.dtype)),
            Op::Copy(v) => of(v).clone(),
            Op::Load(dtype, address) => {
                let start = self.element(address);
                each(&|lane| self.read(address.buffer, *dtype, start + lane as i64).cast(ty.dtype))
            }
            Op::Splat(v) => vec![of(v)[0]; lanes],
            Op::Pack(values) => values.iter().map(|v| of(v)[0]).collect(),
            Op::Lane(v, lane) => vec![of(v)[usize::from(*lane)]],
            Op::Unary(op, v) => each(&|lane| unary(*op, of(v)[lane], ty.dtype)),
            Op::Binary(op, a, b) => {
                let dtype = dtype_of(a);
                each(&|lane| {
                    let (a, b) = (of(a)[lane], of(b)[lane]);
                    match op {
                        Arith::Add => add(a, b, dtype),
                        Arith::Sub => add(a, unary(Unary::Neg, b, dtype), dtype),
                        Arith::Mul => multiply(a, b, dtype),
                        Arith::Lang(op) => binary(*op, a, b, dtype),
                    }
                })
            }
            Op::Fma(a, b, c) => {
                each(&|lane| add(multiply(of(a)[lane], of(b)[lane], ty.dtype), of(c)[lane], ty.dtype))
            }
            Op::Select(c, a, b) => each(&|lane| if truth(of(c)[lane]) { of(a)[lane] } else { of(b)[lane] }),
            Op::Cast(v) => each(&|lane| match ty.dtype {
                DType::Bool => boolean(truth(of(v)[lane])),
                dtype => of(v)[lane].cast(dtype),
            }),
            Op::Complex(op, part, values) => {
                let parts: Vec<f64> = values.iter().map(|v| real(of(v)[0])).collect();
                let first = Scalar::Complex(parts[0], parts[1]);
                let value = match op {
                    ComplexOp::Unary(op) => unary(*op, first, DType::C128),
                    ComplexOp::Binary(op) => {
                        binary(*op, first, Scalar::Complex(parts[2], parts[3]), DType::C128)
                    }
                };
                let value = complex(value);
                vec![Scalar::Real(if *part == Part::Re { value.re } else { value.im })]
            }
        }
    }

    fn gemm(&mut self, id: GemmId, [a, b, c]: &[Address; 3], wanted: Option<&Address>) {
        let gemm = &self.loops.gemms[id];
        let free: Vec<Axis> = [&gemm.batch, &gemm.m, &gemm.n].into_iter().flatten().copied().collect();
        let choice: Vec<Axis> =
            free.iter().zip(&gemm.wanted).map(|(axis, &stride)| Axis { a: stride, ..*axis }).collect();
        let chosen = wanted.map(|wanted| (wanted.buffer, self.element(wanted), points(&choice)));
        let [at_a, at_b, at_c] = [a, b, c].map(|address| self.element(address));
        // The sums that each point takes.
        let band = gemm.band.map(|band| {
            let by = |at: usize| i64::from(band.axis == at);
            let rows: Vec<Axis> =
                free.iter().enumerate().map(|(at, axis)| Axis { a: by(at), ..*axis }).collect();
            let sums = points(&gemm.k).len();
            let taken = points(&rows).into_iter().map(|point| band.sums(point[0] as usize, sums));
            taken.collect::<Vec<_>>()
        });
        let zero = if gemm.dtype.is_complex() { DType::C128 } else { gemm.dtype };
        for (nth, point) in points(&free).into_iter().enumerate() {
            if let Some((buffer, at, list)) = &chosen
                && !truth(self.read(*buffer, DType::Bool, at + list[nth][0]))
            {
                continue;
            }
            let mut sum = number(0, zero);
            let taken = |at: usize| band.as_ref().is_none_or(|band| band[nth].contains(&at));
            for (_, inner) in points(&gemm.k).into_iter().enumerate().filter(|sum| taken(sum.0)) {
                let x = self.read(a.buffer, gemm.dtype, at_a + point[0] + inner[0]);
                let y = self.read(b.buffer, gemm.dtype, at_b + point[1] + inner[1]);
                sum = add(sum, multiply(x, y, gemm.dtype), gemm.dtype);
            }
            if gemm.accumulate {
                sum = add(sum, self.read(c.buffer, gemm.dtype, at_c + point[2]), gemm.dtype);
            }
            self.write(c.buffer, gemm.dtype, at_c + point[2], sum);
        }
    }

    fn transform(&mut self, transform: &Transform, addresses: &[Address]) {
        let [from, rest @ ..] = addresses else { return };
        let [factors @ .., result, _] = rest else { return };
        let (start, to) = (self.element(from), self.element(result));
        let dtype = Fourier::Transform(*transform).dtypes()[0];
        let len = transform.len as i64;
        let sign = if transform.inverse { 1.0 } else { -1.0 };
        let scale = if transform.inverse { 1.0 / len as f64 } else { 1.0 };
        // From row to row, and from element to element.
        let [from_by, to_by] = match transform.columns {
            Some(by) => by.map(|by| (1, by as i64)),
            None => [(len, 1), (transform.kept as i64, 1)],
        };
        for row in 0..transform.rows as i64 {
            let value = |t: i64| {
                let value = self.read(from.buffer, dtype, start + row * from_by.0 + t * from_by.1);
                factors.iter().zip(transform.factors).fold(value, |value, (factors, [row_by, by])| {
                    let at = self.element(factors) + row * row_by as i64 + t * by as i64;
                    multiply(value, self.read(factors.buffer, dtype, at), dtype)
                })
            };
            let values: Vec<Scalar> = (0..len).map(value).collect();
            for f in 0..transform.kept as i64 {
                let sum = values.iter().zip(0..).fold(number(0, DType::C128), |sum, (&value, t)| {
                    let turn = (f as i128 * t % len as i128) as f64 / len as f64;
                    let (sin, cos) = (sign * std::f64::consts::TAU * turn).sin_cos();
                    let root = Scalar::Complex(scale * cos, scale * sin);
                    add(sum, multiply(value.cast(DType::C128), root, DType::C128), DType::C128)
                });
                let sum = if transform.real_parts { Scalar::Real(complex(sum).re) } else { sum };
                let written =
                    if transform.real_parts { transform.dtype.real_part() } else { transform.dtype };
                self.write(result.buffer, written, to + row * to_by.0 + f * to_by.1, sum);
            }
        }
    }

    fn convolve(&mut self, c: &Convolution, addresses: &[Address]) {
        let [x, k, y] =
            [0, 1, 2].map(|operand| (addresses[operand].buffer, self.element(&addresses[operand])));
        for row in 0..c.rows as i64 {
            for t in 0..c.points as i64 {
                let mut sum = number(0, c.dtype);
                for s in 0..c.taps as i64 {
                    let along = if c.backward { t - s } else { t + s };
                    let value = self.read(x.0, c.dtype, x.1 + row * c.x[0] + along * c.x[1]);
                    let factor = self.read(k.0, c.dtype, k.1 + row * c.k[0] + s * c.k[1]);
                    sum = add(sum, multiply(value, factor, c.dtype), c.dtype);
                }
                let place = y.1 + row * c.y[0] + t * c.y[1];
                if c.accumulate {
                    sum = add(sum, self.read(y.0, c.dtype, place), c.dtype);
                }
                self.write(y.0, c.dtype, place, sum);
            }
        }
    }

    fn sort(&mut self, sort: &Sort) {
        let (row, positions) = (self.element(&sort.row), self.element(&sort.positions));
        let values: Vec<Scalar> =
            (0..sort.len as i64).map(|k| self.read(sort.row.buffer, sort.dtype, row + k)).collect();
        let is_nan = |k: usize| real(values[k]).is_nan();
        let ascending = |a: usize, b: usize| match (values[a], values[b]) {
            (Scalar::Int(a), Scalar::Int(b)) => a.cmp(&b),
            (x, y) => real(x).partial_cmp(&real(y)).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b))),
        };
        let compare = |a: &usize, b: &usize| -> Ordering {
            if sort.descending { ascending(*b, *a) } else { ascending(*a, *b) }
        };
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(compare);
        for (k, position) in order.into_iter().enumerate() {
            let position = Scalar::Int(position as i128);
            self.write(sort.positions.buffer, DType::I64, positions + k as i64, position);
        }
    }
}

/// The sum or an extreme of numbers, or the position of the first of an extreme.
fn folded(op: ReduceOp, dtype: DType, numbers: &[Scalar]) -> Scalar {
    let extreme = |op: Binary, start: f64| {
        numbers.iter().fold(Scalar::Real(start), |best, &x| binary(op, best, x, dtype))
    };
    let most = || extreme(Binary::Max, f64::NEG_INFINITY);
    let least = || extreme(Binary::Min, f64::INFINITY);
    let position = |best: Scalar| {
        let is = |x: &Scalar| real(*x) == real(best) || real(*x).is_nan();
        Scalar::Int(numbers.iter().position(is).unwrap_or(0) as i128)
    };
    match op {
        ReduceOp::Max => most(),
        ReduceOp::Min => least(),
        ReduceOp::ArgMax => position(most()),
        ReduceOp::ArgMin => position(least()),
        _ => numbers.iter().fold(number(0, dtype), |sum, &x| add(sum, x, dtype)),
    }
}

/// The offsets in the three tensors at every point of some axes.
fn points(axes: &[Axis]) -> Vec<[i64; 3]> {
    axes.iter().fold(vec![[0; 3]], |points, axis| {
        let strides = [axis.a, axis.b, axis.c];
        let mut next = Vec::new();
        for point in points {
            next.extend((0..axis.extent as i64).map(|k| [0, 1, 2].map(|t| point[t] + k * strides[t])));
        }
        next
    })
}
