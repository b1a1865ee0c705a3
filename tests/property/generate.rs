//! Random programs that are well typed by construction, from a seed.
//!
//! They are biased towards what compilers get wrong: diagonals, indices shared by many operands, extents 0, 1 and
//! primes, indices that only the output or only one operand has, windows that leave the tensor, sums of products in
//! sums of products. Integers wrap, so that every order of evaluation gives equal bits; reals use functions whose
//! errors can be bounded.

use crate::support::Random;
use einc::expr::{Along, AlongOp, Axis, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use einc::program::{Define, Program, Role, Scan, Scatter, Statement, Tensor as Declared, TensorId};
use einc::source::Span;
use einc_runtime::{DType, Scalar, Tensor};

type E = Expr<TensorId>;

/// A program and tensors to run it on.
#[derive(Clone)]
pub struct Case {
    pub program: Program,
    pub inputs: Vec<Tensor>,
}

/// Extents, the likely ones several times.
const EXTENTS: [u64; 16] = [1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 7, 8, 11, 13, 17];

/// The points that one statement may visit.
const POINTS: u64 = 6000;

/// A random program over that dtype.
pub fn generate(seed: u64, dtype: DType) -> Case {
    let program = Program::new(&format!("seed{seed}"));
    let random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ dtype as u64);
    let case = Case { program, inputs: Vec::new() };
    let mut generator = Generator { random, case, dtype, scope: Vec::new(), extents: Vec::new() };
    generator.run();
    generator.case
}

struct Generator {
    random: Random,
    case: Case,
    dtype: DType,
    /// The axes that expressions of the statement at hand may use.
    scope: Vec<AxisId>,
    /// The extents that tensors of this program have.
    extents: Vec<u64>,
}

impl Generator {
    fn run(&mut self) {
        for _ in 0..self.random.between(2, 4) {
            let extent = if self.random.percent(2) { 0 } else { self.random.pick(&EXTENTS) };
            self.extents.push(extent);
        }
        for _ in 0..self.random.between(1, 4) {
            let rank = self.random.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4]);
            let shape: Vec<u64> = (0..rank).map(|_| self.random.pick(&self.extents)).collect();
            let shape = if shape.iter().product::<u64>() > POINTS { shape[..2].to_vec() } else { shape };
            self.input(self.dtype, &shape);
        }
        let shape = [self.random.pick(&self.extents)];
        self.input(DType::I64, &shape);
        for _ in 0..self.random.between(1, 4) {
            self.scope.clear();
            match self.random.below(20) {
                0..=8 => self.contraction(),
                9..=12 => self.map(),
                13..=14 => self.along(),
                15 => self.scatter(),
                16..=17 => self.scan(),
                _ => self.gather(),
            }
        }
        let last = self.computed();
        for (number, &id) in last.iter().enumerate() {
            let is_last = number + 1 == last.len();
            if is_last || self.random.percent(30) {
                let name = self.case.program.tensors[id].name.clone();
                self.case.program.outputs.push((name, id));
            }
        }
    }

    fn computed(&self) -> Vec<TensorId> {
        let tensors = self.case.program.tensors.iter();
        tensors.filter(|(_, tensor)| tensor.role == Role::Computed).map(|(id, _)| id).collect()
    }

    fn tensor(&mut self, dtype: DType, shape: &[u64], role: Role) -> TensorId {
        let name = format!("T{}", self.case.program.tensors.len());
        let place = Span::default();
        self.case.program.tensors.push(Declared { name, dtype, shape: shape.to_vec(), role, place })
    }

    fn input(&mut self, dtype: DType, shape: &[u64]) {
        let id = self.tensor(dtype, shape, Role::Input);
        let mut tensor = Tensor::zeros(dtype, shape).expect("small");
        for position in 0..tensor.elems() {
            let quarter = |n: i64| n as f64 / 4.0;
            let (a, b) = (self.random.between(-8, 8), self.random.between(-8, 8));
            let value = if dtype.is_complex() {
                Scalar::Complex(quarter(a), quarter(b))
            } else if dtype.is_float() {
                Scalar::Real(quarter(a))
            } else {
                Scalar::Int(a.into())
            };
            tensor.set(position, value);
        }
        self.case.program.inputs.push(id);
        self.case.inputs.push(tensor);
    }

    fn extent(&self, axis: AxisId) -> u64 {
        self.case.program.axes[axis].extent
    }

    fn axis(&mut self, extent: u64) -> AxisId {
        let number = self.case.program.axes.len();
        let letter = (b'a' + (number % 26) as u8) as char;
        let name = if number < 26 { letter.to_string() } else { format!("{letter}{}", number / 26) };
        let axis = self.case.program.axes.push(Axis { name, extent });
        self.scope.push(axis);
        axis
    }

    /// How many points the axes in scope have, counting empty ones as 1.
    fn points(&self) -> u64 {
        self.scope.iter().fold(1, |points, &axis| points.saturating_mul(self.extent(axis).max(1)))
    }

    /// A constant of the program's dtype.
    fn constant(&mut self) -> E {
        let signed = self.dtype.integer_range().is_none_or(|range| range.0 < 0);
        let value = self.random.pick(if signed { &[-2, -1, 1, 2, 3] } else { &[1, 2, 3, 5, 7] });
        Expr::number(value.into(), self.dtype)
    }

    /// An index for a dim of that extent, and what happens where it leaves it. `grow` allows a new axis.
    fn index(&mut self, extent: u64, grow: bool) -> (E, bool) {
        let scope = self.scope.clone();
        let choose = |list: Vec<AxisId>, random: &mut Random| (!list.is_empty()).then(|| random.pick(&list));
        if self.random.percent(12) {
            // An affine index that stays inside.
            let inside: Vec<AxisId> =
                scope.iter().copied().filter(|&axis| (1..=extent).contains(&self.extent(axis))).collect();
            if let Some(axis) = choose(inside, &mut self.random) {
                let room = (extent - self.extent(axis)) as i64;
                let shift = self.random.between(0, room);
                let last = self.extent(axis) as i64 - 1;
                let factor = match self.random.below(3) {
                    0 => -1,
                    1 if last > 0 && 2 * last + 1 < extent as i64 => 2,
                    _ => 1,
                };
                let shift = match factor {
                    -1 => last + shift,
                    2 => self.random.between(0, extent as i64 - 1 - 2 * last),
                    _ => shift,
                };
                let term = match factor {
                    1 => Expr::Index(axis),
                    -1 => Expr::Unary(Unary::Neg, Box::new(Expr::Index(axis))),
                    factor => Expr::Product(vec![Expr::int(factor), Expr::Index(axis)]),
                };
                return (Expr::Sum(vec![term, Expr::int(shift)]), false);
            }
        }
        if self.random.percent(8)
            && let Some(axis) = choose(scope.clone(), &mut self.random)
        {
            // An affine index that may leave, perhaps of two axes.
            let other = self.random.pick(&scope);
            let shift = Expr::int(self.random.between(-3, 3));
            let sum = if self.random.percent(50) {
                vec![Expr::Index(axis), shift]
            } else {
                vec![Expr::Index(axis), Expr::Index(other), shift]
            };
            return (Expr::Sum(sum), true);
        }
        let same: Vec<AxisId> = scope.into_iter().filter(|&axis| self.extent(axis) == extent).collect();
        let fits = self.points().saturating_mul(extent.max(1)) <= POINTS;
        if grow && fits && (same.is_empty() || self.random.percent(40)) {
            return (Expr::Index(self.axis(extent)), false);
        }
        match choose(same, &mut self.random) {
            Some(axis) => (Expr::Index(axis), false),
            None if extent > 0 => (Expr::int(self.random.between(0, extent as i64 - 1)), false),
            None => (Expr::int(0), true),
        }
    }

    /// An element of some tensor of that dtype.
    fn read(&mut self, dtype: DType, grow: bool) -> E {
        let tensors = self.case.program.tensors.iter();
        let of_dtype: Vec<TensorId> =
            tensors.filter(|(_, tensor)| tensor.dtype == dtype).map(|(id, _)| id).collect();
        let source = self.random.pick(&of_dtype);
        self.read_of(source, grow)
    }

    fn read_of(&mut self, source: TensorId, grow: bool) -> E {
        let Declared { shape, dtype, .. } = self.case.program.tensors[source].clone();
        let mut leaves = false;
        let mut indices = Vec::new();
        for &extent in &shape {
            let (index, may_leave) = self.index(extent, grow);
            indices.push(index);
            leaves |= may_leave;
        }
        let outside = if !leaves {
            Outside::Never
        } else if self.random.percent(30) && shape.iter().all(|&extent| extent > 0) {
            Outside::Clamp
        } else {
            Outside::Else(Box::new(Expr::number(self.random.pick(&[0.0, 0.0, 1.0]), dtype)))
        };
        Expr::Read(Read { source, dtype, indices, outside, place: Span::default() })
    }

    /// A condition on indices alone.
    fn condition(&mut self) -> E {
        let op = self.random.pick(&[Binary::Le, Binary::Eq, Binary::Lt, Binary::Ne, Binary::Ge]);
        let left = self.position();
        let right = self.position();
        let one = Expr::Binary(op, Box::new(left), Box::new(right));
        if self.random.percent(20) {
            let other = self.condition();
            let op = self.random.pick(&[Binary::And, Binary::Or]);
            return Expr::Binary(op, Box::new(one), Box::new(other));
        }
        one
    }

    fn position(&mut self) -> E {
        if self.scope.is_empty() || self.random.percent(25) {
            return Expr::int(self.random.between(0, 3));
        }
        let axis = self.random.pick(&self.scope);
        Expr::Index(axis)
    }

    /// A value of the program's dtype over the axes in scope.
    fn value(&mut self, depth: usize, grow: bool) -> E {
        if depth == 0 || self.random.percent(25) {
            return self.read(self.dtype, grow);
        }
        match self.random.below(12) {
            0 => self.constant(),
            1..=2 => {
                let count = self.random.between(2, 3);
                Expr::Sum((0..count).map(|_| self.value(depth - 1, grow)).collect())
            }
            3..=4 => {
                let count = self.random.between(2, 3);
                Expr::Product((0..count).map(|_| self.value(depth - 1, grow)).collect())
            }
            5..=6 => {
                let value = self.value(depth - 1, grow);
                self.function(value)
            }
            7 => self.pair(depth, grow),
            8 => {
                let (then, otherwise) = (self.value(depth - 1, grow), self.value(depth - 1, grow));
                let condition = self.condition();
                Expr::Select(Box::new([condition, then, otherwise]))
            }
            9 => Expr::Cast(self.dtype, Box::new(self.position())),
            _ => self.reduction(depth),
        }
    }

    fn function(&mut self, value: E) -> E {
        let list: &[Unary] = if self.dtype.is_complex() {
            &[Unary::Neg, Unary::Conj]
        } else if self.dtype.is_float() {
            use Unary::*;
            &[Neg, Abs, Relu, Tanh, Sigmoid, Sin, Cos, Erf, Atan, Softplus]
        } else {
            &[Unary::Neg, Unary::Abs, Unary::Sign, Unary::Relu, Unary::Popcount, Unary::Not]
        };
        Expr::Unary(self.random.pick(list), Box::new(value))
    }

    fn pair(&mut self, depth: usize, grow: bool) -> E {
        let (a, b) = (Box::new(self.value(depth - 1, grow)), Box::new(self.value(depth - 1, grow)));
        if self.dtype.is_complex() {
            return Expr::Sum(vec![*a, *b]);
        }
        if self.dtype.is_float() {
            return Expr::Binary(self.random.pick(&[Binary::Min, Binary::Max]), a, b);
        }
        use Binary::*;
        let op = self.random.pick(&[Min, Max, FloorDiv, Rem, BitAnd, BitOr, BitXor, Shl, Shr, Lt, Eq]);
        let pair = Expr::Binary(op, a, b);
        if op.is_comparison() { Expr::Cast(self.dtype, Box::new(pair)) } else { pair }
    }

    /// A reduction over axes of its own.
    fn reduction(&mut self, depth: usize) -> E {
        let outside = self.scope.len();
        let body = self.value(depth - 1, true);
        let axes = self.scope.split_off(outside);
        let empty = axes.iter().any(|&axis| self.extent(axis) == 0);
        let list: &[ReduceOp] = if self.dtype.is_complex() || (self.dtype.is_float() && empty) {
            &[ReduceOp::Sum]
        } else if self.dtype.is_float() {
            &[ReduceOp::Sum, ReduceOp::Sum, ReduceOp::Min, ReduceOp::Max, ReduceOp::LogSumExp]
        } else {
            use ReduceOp::*;
            &[Sum, Sum, Sum, Prod, Min, Max, ArgMin, ArgMax, Any, All]
        };
        let op = self.random.pick(list);
        if axes.is_empty() {
            return body;
        }
        let zero = || Box::new(Expr::number(0.0, self.dtype));
        let body = match op {
            ReduceOp::Any | ReduceOp::All => Expr::Binary(Binary::Gt, Box::new(body), zero()),
            _ => body,
        };
        let value = Expr::Reduce(Box::new(Reduce { op, axes, body }));
        if value.dtype() == self.dtype { value } else { Expr::Cast(self.dtype, Box::new(value)) }
    }

    /// A sum of products, each summed over the axes that the result lacks.
    fn contraction(&mut self) {
        let mut out: Option<Vec<AxisId>> = None;
        let mut terms = Vec::new();
        for _ in 0..self.random.pick(&[1, 1, 1, 2, 3]) {
            self.scope = out.clone().unwrap_or_default();
            let count = self.random.pick(&[1, 2, 2, 2, 3, 3, 4, 5, 8]);
            let mut factors = Vec::new();
            for _ in 0..count {
                factors.push(if self.random.percent(80) {
                    self.read(self.dtype, true)
                } else {
                    self.value(2, true)
                });
            }
            let axes = self.scope.clone();
            let kept = out.get_or_insert_with(|| {
                let mut kept: Vec<AxisId> =
                    axes.iter().copied().filter(|_| self.random.percent(45)).collect();
                self.random.shuffle(&mut kept);
                kept
            });
            let summed: Vec<AxisId> = axes.into_iter().filter(|axis| !kept.contains(axis)).collect();
            let product = if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) };
            let mut term = product;
            if !summed.is_empty() {
                term = Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: summed, body: term }));
            }
            if self.random.percent(20) {
                term = Expr::Product(vec![self.constant(), term]);
            } else if self.random.percent(10) {
                term = Expr::Unary(Unary::Neg, Box::new(term));
            }
            terms.push(term);
        }
        let mut value = if terms.len() == 1 { terms.remove(0) } else { Expr::Sum(terms) };
        if self.random.percent(15) {
            value = self.function(value);
        }
        let out = out.unwrap_or_default();
        self.define(&out, value);
    }

    /// A function of tensors at each point.
    fn map(&mut self) {
        self.grow();
        let value = self.value(3, false);
        let out = self.scope.clone();
        self.define(&out, value);
    }

    /// Brings a few axes into scope.
    fn grow(&mut self) {
        for _ in 0..self.random.between(0, 3) {
            let extent = self.random.pick(&self.extents);
            if self.points().saturating_mul(extent.max(1)) <= POINTS / 4 {
                self.axis(extent);
            }
        }
    }

    fn dims(&mut self, out: &[AxisId]) -> Vec<Vec<AxisId>> {
        let mut dims: Vec<Vec<AxisId>> = Vec::new();
        for &axis in out {
            match dims.last_mut() {
                Some(last) if !last.is_empty() && self.random.percent(8) => last.push(axis),
                _ => dims.push(vec![axis]),
            }
            if self.random.percent(4) {
                dims.push(Vec::new());
            }
        }
        dims
    }

    fn shape(&self, dims: &[Vec<AxisId>]) -> Vec<u64> {
        dims.iter().map(|dim| dim.iter().map(|&axis| self.extent(axis)).product()).collect()
    }

    fn define(&mut self, out: &[AxisId], value: E) {
        let dims = self.dims(out);
        let target = self.tensor(value.dtype(), &self.shape(&dims), Role::Computed);
        let keep_order = self.random.percent(10);
        let define = Define { target, dims, value, keep_order, place: Span::default() };
        self.case.program.statements.push(Statement::Define(define));
    }

    fn along(&mut self) {
        self.grow();
        let extent = self.random.pick(&self.extents);
        let axis = self.axis(extent);
        let body = self.value(2, false);
        let list: &[AlongOp] = if self.dtype.is_complex() {
            &[AlongOp::CumSum, AlongOp::Dft, AlongOp::Idft]
        } else if self.dtype.is_float() {
            use AlongOp::*;
            &[Softmax, LogSoftmax, CumSum, Sort, TopK]
        } else {
            use AlongOp::*;
            &[CumSum, CumProd, Sort, ArgSort, TopK, ArgTopK]
        };
        let op = self.random.pick(list);
        let renames = !matches!(
            op,
            AlongOp::Softmax | AlongOp::LogSoftmax | AlongOp::CumSum | AlongOp::CumProd | AlongOp::Normalize
        );
        let extent = self.extent(axis);
        let out = match op {
            AlongOp::TopK | AlongOp::ArgTopK => {
                let count = self.random.between(i64::from(extent > 0), extent as i64) as u64;
                self.axis(count)
            }
            _ if renames => self.axis(extent),
            _ => axis,
        };
        let value = Expr::Along(Box::new(Along { op, axes: vec![axis], out: vec![out], body }));
        let value = if value.dtype() == self.dtype { value } else { Expr::Cast(self.dtype, Box::new(value)) };
        let mut all: Vec<AxisId> =
            self.scope.iter().copied().filter(|&other| other != axis || out == axis).collect();
        self.random.shuffle(&mut all);
        self.define(&all, value);
    }

    /// An `i64` that stays below `extent`, from the tensors of integers.
    fn computed_index(&mut self, extent: u64) -> E {
        let value = self.read(DType::I64, false);
        Expr::Binary(Binary::Rem, Box::new(value), Box::new(Expr::int(extent as i64)))
    }

    /// Reads at computed places.
    fn gather(&mut self) {
        self.grow();
        let sources = self.with_elements();
        let source = self.random.pick(&sources);
        let shape = self.case.program.tensors[source].shape.clone();
        let mut indices = Vec::new();
        for extent in shape {
            indices.push(if self.random.percent(60) {
                self.computed_index(extent)
            } else {
                match self.index(extent, true) {
                    (index, false) => index,
                    _ => Expr::int(0),
                }
            });
        }
        let read =
            Read { source, dtype: self.dtype, indices, outside: Outside::Checked, place: Span::default() };
        let value = Expr::Product(vec![Expr::Read(read), self.constant()]);
        let summed: Vec<AxisId> = self.scope.iter().copied().filter(|_| self.random.percent(30)).collect();
        let out: Vec<AxisId> = self.scope.iter().copied().filter(|axis| !summed.contains(axis)).collect();
        let value = match summed.is_empty() {
            true => value,
            false => Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: summed, body: value })),
        };
        self.define(&out, value);
    }

    /// The tensors of the program's dtype that are not empty; an input of one element is made if there is none.
    fn with_elements(&mut self) -> Vec<TensorId> {
        let suits = |tensor: &Declared| tensor.dtype == self.dtype && !tensor.shape.contains(&0);
        let tensors = self.case.program.tensors.iter();
        let list: Vec<TensorId> = tensors.filter(|(_, tensor)| suits(tensor)).map(|(id, _)| id).collect();
        if list.is_empty() {
            self.input(self.dtype, &[1]);
            return self.case.program.inputs[self.case.program.inputs.len() - 1..].to_vec();
        }
        list
    }

    /// Additions at computed places.
    fn scatter(&mut self) {
        self.grow();
        let bases = self.with_elements();
        let base = self.random.pick(&bases);
        let shape = self.case.program.tensors[base].shape.clone();
        let indices = shape.iter().map(|&extent| self.computed_index(extent)).collect();
        let value = self.value(2, false);
        let target = self.tensor(self.dtype, &shape, Role::Computed);
        self.case.program.statements.push(Statement::Scatter(Scatter {
            target,
            base: self.random.percent(50).then_some(base),
            axes: self.scope.clone(),
            indices,
            outside: Outside::Checked,
            value,
            place: Span::default(),
        }));
    }

    /// A recurrence `h[t,..] = f(h[t-1,..] else initial)`.
    fn scan(&mut self) {
        let steps = self.random.pick(&[1, 2, 3, 5]);
        let axis = self.axis(steps);
        let extent = self.random.pick(&self.extents);
        let row = self.axis(extent);
        let reversed = self.random.percent(30);
        let mut dims = vec![vec![axis], vec![row]];
        let place = self.random.below(2);
        dims.swap(0, place);
        let target = self.tensor(self.dtype, &self.shape(&dims), Role::Computed);
        let before = |index: E| {
            let back = Expr::Sum(vec![Expr::Index(axis), Expr::int(if reversed { 1 } else { -1 })]);
            let mut indices = vec![back, index];
            indices.swap(0, place);
            let start = Box::new(Expr::number(1.0, self.dtype));
            let outside = Outside::Else(start);
            Expr::Read(Read { source: target, dtype: self.dtype, indices, outside, place: Span::default() })
        };
        let mixed = self.random.percent(50);
        let recurrence = if mixed {
            let other = before(Expr::Index(row));
            Expr::Product(vec![other, self.constant()])
        } else {
            let inner = self.case.program.axes.push(Axis { name: "inner".to_string(), extent });
            let state = before(Expr::Index(inner));
            self.scope.push(inner);
            let weight = self.value_without(target);
            self.scope.retain(|&other| other != inner);
            let body = Expr::Product(vec![weight, state]);
            Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: vec![inner], body }))
        };
        let drive = self.value_without(target);
        let value = Expr::Sum(vec![recurrence, drive]);
        let define = Define { target, dims, value, keep_order: false, place: Span::default() };
        let scan = Scan { axis, reversed, body: vec![define], place: Span::default() };
        self.case.program.statements.push(Statement::Scan(scan));
    }

    /// A read of a tensor that was defined before that one.
    fn value_without(&mut self, target: TensorId) -> E {
        let tensors = self.case.program.tensors.iter();
        let list: Vec<TensorId> = tensors
            .filter(|&(id, tensor)| id != target && tensor.dtype == self.dtype)
            .map(|(id, _)| id)
            .collect();
        let source = self.random.pick(&list);
        self.read_of(source, false)
    }
}
