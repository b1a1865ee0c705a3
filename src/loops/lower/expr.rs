//! Expressions at one point of the loops, or at as many points as a vector has lanes.

use super::build::{Builder, Lin};
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, Outside, Unary};
use crate::fault::Checked;
use crate::loops::*;
use crate::plan::{Operand, Source};
use crate::source::Span;
use einc_runtime::Scalar;

/// A computed value: one register, or two for a complex number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Val {
    /// Real, integer or `bool`.
    One(ValueId),
    /// Real and imaginary part.
    Pair(ValueId, ValueId),
}

impl Val {
    /// The register of a value that is not complex.
    pub(super) fn one(self) -> ValueId {
        match self {
            Val::One(value) | Val::Pair(value, _) => value,
        }
    }

    pub(super) fn map(self, mut f: impl FnMut(ValueId) -> ValueId) -> Val {
        match self {
            Val::One(value) => Val::One(f(value)),
            Val::Pair(re, im) => Val::Pair(f(re), f(im)),
        }
    }
}

/// What the expressions of a step refer to.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) axes: &'a Axes,
    pub(super) operands: &'a [Operand],
    /// Results of the step's reductions at this point, so far.
    pub(super) reduced: Vec<Val>,
}

/// Where an expression is computed.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// The value of each axis in scope; of the vector axis, in the first lane.
    pub(super) axes: Vec<(AxisId, Lin)>,
    /// The axis that counts along the lanes, and how many lanes there are.
    pub(super) vector: Option<(AxisId, u8)>,
    /// Which lane of the vector values in scope is meant, where only one is computed.
    pub(super) lane: u8,
}

impl Point {
    pub(super) fn new() -> Point {
        Point { axes: Vec::new(), vector: None, lane: 0 }
    }

    pub(super) fn with(&self, axis: AxisId, at: Lin) -> Point {
        let mut point = self.clone();
        point.axes.retain(|known| known.0 != axis);
        point.axes.push((axis, at));
        point
    }

    pub(super) fn along(&self, axis: AxisId, lanes: u8) -> Point {
        Point { vector: (lanes > 1).then_some((axis, lanes)), ..self.clone() }
    }

    pub(super) fn axis(&self, axis: AxisId) -> &Lin {
        let found = self.axes.iter().find(|known| known.0 == axis);
        &found.expect("the plan was verified: every axis has its loop").1
    }

    /// The point of one lane.
    pub(super) fn of_lane(&self, lane: u8) -> Point {
        let Some((axis, _)) = self.vector else { return self.clone() };
        let at = self.axis(axis).shifted(i64::from(lane));
        Point { vector: None, lane, ..self.with(axis, at) }
    }

    /// An affine form of axes as one of loop variables.
    pub(super) fn lin(&self, affine: &Affine) -> Lin {
        affine
            .terms
            .iter()
            .fold(Lin::constant(affine.constant), |sum, &(axis, by)| sum.plus(self.axis(axis), by))
    }

    pub(super) fn lanes(&self) -> u8 {
        self.vector.map_or(1, |vector| vector.1)
    }
}

/// The address of a view at a point, and its stride along the vector axis.
pub(super) fn view_at(point: &Point, offset: i64, strides: &[(AxisId, i64)]) -> (Lin, i64) {
    let lin = strides.iter().fold(Lin::constant(offset), |sum, &(axis, by)| sum.plus(point.axis(axis), by));
    let along = point.vector.and_then(|vector| strides.iter().find(|stride| stride.0 == vector.0));
    (lin, along.map_or(0, |stride| stride.1))
}

impl Builder {
    /// The value of an expression: in all lanes of the point, or in one if it is the same in all.
    pub(super) fn value(&mut self, expr: &Expr<Source>, scope: &Scope, point: &Point) -> Val {
        let lanes = point.lanes();
        match expr {
            Expr::Const(value, dtype) => self.scalar(value, *dtype),
            Expr::Index(axis) => {
                self.position(&Affine { terms: vec![(*axis, 1)], constant: 0 }, scope, point, expr)
            }
            Expr::Read(read) => self.read(read, scope, point, expr),
            Expr::Unary(op, a) => self.unary_of(*op, a, scope, point),
            Expr::Binary(Binary::Within, a, b) => self.checked_end(a, b, scope, point, expr),
            Expr::Binary(op, a, b) => {
                if lanes > 1 && vector_lanes(a.dtype()) != lanes && a.dtype() != DType::Bool {
                    return self.lane_by_lane(expr, scope, point);
                }
                let dtype = a.dtype();
                if let (Binary::Pow, Some(exponent)) = (op, b.small_exponent()) {
                    let base = self.value(a, scope, point);
                    return self.power(base, exponent);
                }
                let divisor = real_divisor(b).filter(|_| *op == Binary::Div);
                let (a, b) = (self.value(a, scope, point), self.value(b, scope, point));
                if let (Val::Pair(..), Val::Pair(real, _), Some(_)) = (a, b, divisor) {
                    return a.map(|part| self.lang(Binary::Div, part, real));
                }
                self.binary_of(*op, dtype, a, b)
            }
            Expr::Sum(parts) => match expr.affine().filter(|_| expr.dtype() == DType::I64) {
                Some(affine) => self.position(&affine, scope, point, expr),
                None => self.sum(parts, scope, point),
            },
            Expr::Product(parts) => match expr.affine().filter(|_| expr.dtype() == DType::I64) {
                Some(affine) => self.position(&affine, scope, point, expr),
                None => {
                    let mut product = self.value(&parts[0], scope, point);
                    for part in &parts[1..] {
                        let factor = self.value(part, scope, point);
                        product = self.times(product, factor);
                    }
                    product
                }
            },
            Expr::Select(parts) => self.choose(parts, scope, point, expr),
            Expr::Cast(dtype, a) => self.cast_of(*dtype, a, scope, point, expr),
            Expr::Reduce(_) | Expr::Along(_) => {
                unreachable!("the plan was verified: reductions are steps' own")
            }
        }
    }

    /// The end of a range, checked: against a constant, or not to lie behind the other end.
    fn checked_end(
        &mut self,
        end: &Expr<Source>,
        limit: &Expr<Source>,
        scope: &Scope,
        point: &Point,
        expr: &Expr<Source>,
    ) -> Val {
        if point.lanes() > 1 {
            return self.lane_by_lane(expr, scope, point);
        }
        let value = self.value(end, scope, point).one();
        let (number, extent, checked) = match limit {
            Expr::Const(Scalar::Int(limit), _) => {
                (value, u64::try_from(*limit).map_or(0, |limit| limit.saturating_add(1)), Checked::End)
            }
            other => {
                let other = self.value(other, scope, point).one();
                (self.sub(other, value), i64::MAX as u64, Checked::Length)
            }
        };
        let (mut place, mut tensor) = (Span::default(), None);
        end.for_each_read(&mut |read| {
            if let (Source::Operand(number), None) = (read.source, &tensor) {
                let buffer = BufferId(scope.operands[number as usize].buffer.0);
                (place, tensor) = (read.place, Some(self.loops.buffers[buffer].name.clone()));
            }
        });
        let site = self.site(Site { place, tensor: tensor.unwrap_or_default(), checked, extent });
        self.check(number, extent, site);
        Val::One(value)
    }

    /// A power with a small exponent, by products.
    fn power(&mut self, base: Val, exponent: u32) -> Val {
        let half = match exponent {
            0 | 1 => return base,
            _ => self.power(base, exponent / 2),
        };
        let square = self.times(half, half);
        if exponent.is_multiple_of(2) { square } else { self.times(square, base) }
    }

    /// Computes each lane alone and packs them; what is the same in all lanes is computed once and stays a scalar.
    pub(super) fn lane_by_lane(&mut self, expr: &Expr<Source>, scope: &Scope, point: &Point) -> Val {
        let mut varies = point.vector.is_some_and(|(axis, _)| expr.free_axes().contains(&axis));
        expr.for_each_read(&mut |read| varies |= !matches!(read.source, Source::Operand(_)));
        if !varies {
            return self.value(expr, scope, &point.of_lane(0));
        }
        let lanes: Vec<Val> =
            (0..point.lanes()).map(|lane| self.value(expr, scope, &point.of_lane(lane))).collect();
        self.pack(&lanes)
    }

    pub(super) fn pack(&mut self, lanes: &[Val]) -> Val {
        if lanes.windows(2).all(|pair| pair[0] == pair[1]) {
            return lanes[0];
        }
        let ty = Type { lanes: lanes.len() as u8, ..self.ty(lanes[0].one()) };
        match lanes[0] {
            Val::One(_) => Val::One(self.make(ty, Op::Pack(lanes.iter().map(|lane| lane.one()).collect()))),
            Val::Pair(..) => unreachable!("complex values are computed one by one"),
        }
    }

    fn scalar(&mut self, value: &Scalar, dtype: DType) -> Val {
        let part = Type::scalar(dtype.real_part());
        match *value {
            Scalar::Complex(re, im) if dtype.is_complex() => {
                Val::Pair(self.number(part, re), self.number(part, im))
            }
            Scalar::Real(re) if dtype.is_complex() => {
                Val::Pair(self.number(part, re), self.number(part, 0.0))
            }
            Scalar::Int(re) if dtype.is_complex() => {
                Val::Pair(self.number(part, re as f64), self.number(part, 0.0))
            }
            Scalar::Real(real) | Scalar::Complex(real, _) => Val::One(self.number(part, real)),
            Scalar::Int(int) if dtype.is_float() => Val::One(self.number(part, int as f64)),
            Scalar::Int(int) => Val::One(self.make(part, Op::Const(Number::Int(int as i64)))),
        }
    }

    /// An affine form of axes, as a value.
    fn position(&mut self, affine: &Affine, scope: &Scope, point: &Point, expr: &Expr<Source>) -> Val {
        let along = point.vector.filter(|vector| affine.terms.iter().any(|term| term.0 == vector.0));
        match along {
            Some((_, lanes)) if vector_lanes(DType::I64) != lanes => self.lane_by_lane(expr, scope, point),
            Some((axis, lanes)) => {
                let first = self.index(&point.lin(affine));
                let by = affine.coefficient(axis);
                let ty = Type { dtype: DType::I64, lanes };
                let first = self.widen(first, lanes);
                let iota = self.make(ty, Op::Iota);
                let by = self.number(ty, by as f64);
                let steps = self.mul(iota, by);
                Val::One(self.add(first, steps))
            }
            None => Val::One(self.index(&point.lin(affine))),
        }
    }

    fn same_lanes(&mut self, a: ValueId, b: ValueId) -> (ValueId, ValueId) {
        let lanes = self.ty(a).lanes.max(self.ty(b).lanes);
        (self.widen(a, lanes), self.widen(b, lanes))
    }

    fn join(&mut self, op: Arith, a: ValueId, b: ValueId) -> ValueId {
        let (a, b) = self.same_lanes(a, b);
        self.binary(op, a, b)
    }

    pub(super) fn plus(&mut self, a: Val, b: Val) -> Val {
        match (a, b) {
            (Val::Pair(ar, ai), Val::Pair(br, bi)) => {
                Val::Pair(self.join(Arith::Add, ar, br), self.join(Arith::Add, ai, bi))
            }
            _ => Val::One(self.join(Arith::Add, a.one(), b.one())),
        }
    }

    pub(super) fn times(&mut self, a: Val, b: Val) -> Val {
        match (a, b) {
            (Val::Pair(ar, ai), Val::Pair(br, bi)) => {
                let (rr, ii) = (self.join(Arith::Mul, ar, br), self.join(Arith::Mul, ai, bi));
                let (ri, ir) = (self.join(Arith::Mul, ar, bi), self.join(Arith::Mul, ai, br));
                Val::Pair(self.sub(rr, ii), self.add(ri, ir))
            }
            _ => Val::One(self.join(Arith::Mul, a.one(), b.one())),
        }
    }

    /// `a * b + c`, fused for floats.
    fn times_plus(&mut self, a: Val, b: Val, c: Val) -> Val {
        match c {
            Val::One(c) if self.ty(c).dtype.is_float() => {
                let lanes = [a.one(), b.one(), c].iter().map(|&v| self.ty(v).lanes).max().unwrap_or(1);
                let [a, b, c] = [a.one(), b.one(), c].map(|v| self.widen(v, lanes));
                Val::One(self.fma(a, b, c))
            }
            _ => {
                let product = self.times(a, b);
                self.plus(product, c)
            }
        }
    }

    fn sum(&mut self, parts: &[Expr<Source>], scope: &Scope, point: &Point) -> Val {
        let mut sum = self.value(&parts[0], scope, point);
        for part in &parts[1..] {
            sum = self.add_term(sum, part, scope, point);
        }
        sum
    }

    /// `sum + term`, where a term that is zero under a condition leaves the sum as it is, which was never -0.
    pub(super) fn add_chosen(&mut self, sum: Val, term: &Expr<Source>, scope: &Scope, point: &Point) -> Val {
        let Expr::Select(parts) = term else { return self.add_term(sum, term, scope, point) };
        let [condition, then @ Expr::Product(_), otherwise] = &**parts else {
            return self.add_term(sum, term, scope, point);
        };
        let dtype = then.dtype();
        let is_plain = dtype.is_float() && !dtype.is_complex() && !may_fail(then);
        let fills = point.lanes() == 1 || vector_lanes(dtype) == point.lanes();
        if !is_plain || !fills || !otherwise.is_zero() || self.decided(condition, point).is_some() {
            return self.add_term(sum, term, scope, point);
        }
        let condition = self.value(condition, scope, point).one();
        let added = self.add_term(sum, then, scope, point).one();
        let (added, sum) = self.same_lanes(added, sum.one());
        let (condition, added) = self.same_lanes(condition, added);
        let sum = self.widen(sum, self.ty(added).lanes);
        Val::One(self.select(condition, added, sum))
    }

    /// `sum + term`, fused where the term is a product of floats.
    pub(super) fn add_term(&mut self, sum: Val, term: &Expr<Source>, scope: &Scope, point: &Point) -> Val {
        match term {
            Expr::Product(factors) if term.dtype().is_float() && term.affine().is_none() => {
                let (last, first) = factors.split_last().expect("a product has at least two factors");
                let mut product = self.value(&first[0], scope, point);
                for factor in &first[1..] {
                    let factor = self.value(factor, scope, point);
                    product = self.times(product, factor);
                }
                let last = self.value(last, scope, point);
                self.times_plus(product, last, sum)
            }
            Expr::Unary(Unary::Neg, a) if a.dtype().is_float() => {
                let a = self.value(a, scope, point);
                Val::One(self.join(Arith::Sub, sum.one(), a.one()))
            }
            _ => {
                let term = self.value(term, scope, point);
                self.plus(sum, term)
            }
        }
    }

    fn cast_of(
        &mut self,
        to: DType,
        a: &Expr<Source>,
        scope: &Scope,
        point: &Point,
        expr: &Expr<Source>,
    ) -> Val {
        let lanes = point.lanes();
        let from = a.dtype();
        if lanes > 1 && from != DType::Bool && vector_lanes(from) != lanes {
            if let Expr::Read(read) = a
                && !from.is_complex()
                && !to.is_complex()
                && let Some(value) = self.plain_load(read, to, scope, point)
            {
                return Val::One(value);
            }
            return self.lane_by_lane(expr, scope, point);
        }
        let value = self.value(a, scope, point);
        match (value, to.is_complex()) {
            (Val::Pair(re, im), true) => {
                Val::Pair(self.cast(to.real_part(), re), self.cast(to.real_part(), im))
            }
            (Val::Pair(re, im), false) if to == DType::Bool => {
                let zero = self.number(self.ty(re), 0.0);
                let (re, im) = (self.lang(Binary::Ne, re, zero), self.lang(Binary::Ne, im, zero));
                Val::One(self.lang(Binary::Or, re, im))
            }
            (Val::Pair(re, _), false) => Val::One(self.cast(to, re)),
            (Val::One(re), true) => {
                let re = self.cast(to.real_part(), re);
                let zero = self.number(self.ty(re), 0.0);
                Val::Pair(re, zero)
            }
            (Val::One(value), false) => Val::One(self.cast(to, value)),
        }
    }

    fn choose(
        &mut self,
        parts: &[Expr<Source>; 3],
        scope: &Scope,
        point: &Point,
        expr: &Expr<Source>,
    ) -> Val {
        let [condition, then, otherwise] = parts;
        if let Some(holds) = self.decided(condition, point) {
            return self.value(if holds { then } else { otherwise }, scope, point);
        }
        let lazy = may_fail(then) || may_fail(otherwise);
        if point.lanes() > 1 && (lazy || vector_lanes(then.dtype()) != point.lanes()) {
            return self.lane_by_lane(expr, scope, point);
        }
        let condition = self.value(condition, scope, point).one();
        if !lazy {
            let (a, b) = (self.value(then, scope, point), self.value(otherwise, scope, point));
            return match (a, b) {
                (Val::Pair(ar, ai), Val::Pair(br, bi)) => {
                    Val::Pair(self.select(condition, ar, br), self.select(condition, ai, bi))
                }
                _ => {
                    let (a, b) = self.same_lanes(a.one(), b.one());
                    let (condition, a) = self.same_lanes(condition, a);
                    let b = self.widen(b, self.ty(a).lanes);
                    Val::One(self.select(condition, a, b))
                }
            };
        }
        self.either(condition, &mut |builder| builder.value(then, scope, point), &mut |builder| {
            builder.value(otherwise, scope, point)
        })
    }

    /// Computes one of two values, by a scalar condition.
    pub(super) fn either(
        &mut self,
        condition: ValueId,
        then: &mut dyn FnMut(&mut Builder) -> Val,
        otherwise: &mut dyn FnMut(&mut Builder) -> Val,
    ) -> Val {
        self.open();
        let yes = then(self);
        let mut then_list = self.close();
        self.open();
        let no = otherwise(self);
        let mut else_list = self.close();
        let mut join = |yes: ValueId, no: ValueId, builder: &mut Builder| {
            let ty = builder.ty(yes);
            let result = builder.register(ty);
            let start = if ty.dtype.is_float() { Number::Real(0.0) } else { Number::Int(0) };
            builder.set(result, Op::Const(start));
            then_list.push(Stmt::Let(result, Op::Copy(yes)));
            else_list.push(Stmt::Let(result, Op::Copy(no)));
            result
        };
        let result = match (yes, no) {
            (Val::Pair(ar, ai), Val::Pair(br, bi)) => Val::Pair(join(ar, br, self), join(ai, bi, self)),
            _ => Val::One(join(yes.one(), no.one(), self)),
        };
        self.push(Stmt::If(condition, then_list, else_list));
        result
    }

    fn unary_of(&mut self, op: Unary, a: &Expr<Source>, scope: &Scope, point: &Point) -> Val {
        let lanes = point.lanes();
        let is_apart = a.dtype().is_complex() || a.dtype() != DType::Bool && vector_lanes(a.dtype()) != lanes;
        if lanes > 1 && is_apart {
            return self.lane_by_lane(&Expr::Unary(op, Box::new(a.clone())), scope, point);
        }
        match self.value(a, scope, point) {
            Val::Pair(re, im) => self.complex_unary(op, re, im),
            Val::One(value) => Val::One(match op {
                Unary::Real | Unary::Conj => value,
                Unary::Imag => self.number(self.ty(value), 0.0),
                Unary::Arg => {
                    let zero = self.number(self.ty(value), 0.0);
                    self.lang(Binary::Atan2, zero, value)
                }
                Unary::Floor | Unary::Ceil | Unary::Round if !self.ty(value).dtype.is_float() => value,
                op => self.unary(op, value),
            }),
        }
    }

    fn complex_unary(&mut self, op: Unary, re: ValueId, im: ValueId) -> Val {
        match op {
            Unary::Neg => Val::Pair(re, im).map(|v| self.unary(Unary::Neg, v)),
            Unary::Real => Val::One(re),
            Unary::Imag => Val::One(im),
            Unary::Conj => Val::Pair(re, self.unary(Unary::Neg, im)),
            Unary::Arg => Val::One(self.lang(Binary::Atan2, im, re)),
            Unary::Abs if self.ty(re).dtype == DType::F32 => Val::One(self.absolute(re, im)),
            Unary::Abs => {
                let ty = self.ty(re);
                Val::One(self.make(ty, Op::Complex(ComplexOp::Unary(op), Part::Re, vec![re, im])))
            }
            op => {
                let ty = self.ty(re);
                let [re, im] = [Part::Re, Part::Im]
                    .map(|part| self.make(ty, Op::Complex(ComplexOp::Unary(op), part, vec![re, im])));
                Val::Pair(re, im)
            }
        }
    }

    /// The absolute value of a complex number of `f32` parts: in `f64` their squares neither overflow nor vanish. It is
    /// infinite where a part is, whatever the other one may be.
    fn absolute(&mut self, re: ValueId, im: ValueId) -> ValueId {
        let [x, y] = [re, im].map(|part| self.cast(DType::F64, part));
        let (xx, yy) = (self.mul(x, x), self.mul(y, y));
        let sum = self.add(xx, yy);
        let inf = self.number(self.ty(sum), f64::INFINITY);
        let [x, y] = [xx, yy].map(|square| self.lang(Binary::Eq, square, inf));
        let infinite = self.lang(Binary::Or, x, y);
        let sum = self.select(infinite, inf, sum);
        let root = self.unary(Unary::Sqrt, sum);
        self.cast(DType::F32, root)
    }

    pub(super) fn binary_of(&mut self, op: Binary, dtype: DType, a: Val, b: Val) -> Val {
        match (a, b) {
            (Val::Pair(ar, ai), Val::Pair(br, bi)) => match op {
                Binary::Eq | Binary::Ne => {
                    let (re, im) = (self.lang(op, ar, br), self.lang(op, ai, bi));
                    let joint = if op == Binary::Eq { Binary::And } else { Binary::Or };
                    Val::One(self.lang(joint, re, im))
                }
                op => {
                    let ty = Type::scalar(dtype.real_part());
                    let [re, im] = [Part::Re, Part::Im].map(|part| {
                        self.make(ty, Op::Complex(ComplexOp::Binary(op), part, vec![ar, ai, br, bi]))
                    });
                    Val::Pair(re, im)
                }
            },
            _ => {
                let (a, b) = self.same_lanes(a.one(), b.one());
                Val::One(self.lang(op, a, b))
            }
        }
    }
}

/// The real number that complex ones are divided by, where it is a constant other than 0.
fn real_divisor(divisor: &Expr<Source>) -> Option<f64> {
    match divisor {
        Expr::Const(Scalar::Complex(re, 0.0) | Scalar::Real(re), dtype) if dtype.is_complex() => {
            Some(*re).filter(|re| re.is_finite() && *re != 0.0)
        }
        _ => None,
    }
}

/// Whether computing an expression where its value is not needed could do harm.
fn may_fail(expr: &Expr<Source>) -> bool {
    let mut harm = expr.can_fail();
    expr.for_each_read(&mut |read| harm |= matches!(read.outside, Outside::Trust));
    harm
}
