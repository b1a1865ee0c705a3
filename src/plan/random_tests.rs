//! Random programs: every stage computes what the program says.

use super::tests::plan_of;
use crate::expr::{AlongOp, AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary};
use crate::graph::sample::*;
use crate::program::{Program, TensorId};
use einc_runtime::DType;

/// Numbers that differ from seed to seed and nothing else.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % sides
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

struct Writer {
    sample: Sample,
    dice: Dice,
    axes: Vec<AxisId>,
    /// Tensors with the axes that their dims are as long as.
    tensors: Vec<(TensorId, Vec<AxisId>)>,
}

impl Writer {
    fn new(seed: u64, dtype: DType, extents: &[u64]) -> Writer {
        let mut sample = Sample::new(dtype);
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let axes: Vec<AxisId> = ["i", "j", "k", "l", "m"]
            .into_iter()
            .map(|name| {
                let extent = dice.pick(extents);
                sample.axis(name, extent)
            })
            .collect();
        let mut writer = Writer { sample, dice, axes, tensors: Vec::new() };
        for name in ["A", "B", "C", "D"] {
            let dims = writer.some_axes(3);
            let shape: Vec<u64> = dims.iter().map(|&axis| writer.extent(axis)).collect();
            let id = writer.sample.input(name, &shape);
            writer.tensors.push((id, dims));
        }
        writer
    }

    fn extent(&self, axis: AxisId) -> u64 {
        self.sample.program.axes[axis].extent
    }

    /// Up to `most` distinct axes in any order.
    fn some_axes(&mut self, most: usize) -> Vec<AxisId> {
        let count = self.dice.roll(most + 1);
        let mut list = Vec::new();
        for _ in 0..count {
            let axis = self.dice.pick(&self.axes.clone());
            if !list.contains(&axis) {
                list.push(axis);
            }
        }
        list
    }

    /// A read of some tensor; most indices are the axes of its dims, some are not.
    fn read(&mut self) -> E {
        let k = self.dice.roll(self.tensors.len());
        let (tensor, dims) = self.tensors[k].clone();
        let mut outside = Outside::Never;
        let indices = dims
            .iter()
            .map(|&dim| {
                let extent = self.extent(dim) as i64;
                match self.dice.roll(12) {
                    0 => Expr::int(self.dice.roll(extent as usize) as i64),
                    1 => affine(&[(-1, dim)], extent - 1),
                    2 => binary(Binary::Rem, affine(&[(1, dim)], 1), Expr::int(extent)),
                    3 => {
                        outside = Outside::Else(Box::new(Expr::number(2.0, self.sample.dtype)));
                        affine(&[(1, dim)], 1)
                    }
                    4 => {
                        outside = Outside::Clamp;
                        affine(&[(2, dim)], -1)
                    }
                    5 => {
                        // Another axis that is no longer.
                        let other = self.dice.pick(&self.axes.clone());
                        if self.extent(other) as i64 <= extent { ix(other) } else { ix(dim) }
                    }
                    _ => ix(dim),
                }
            })
            .collect();
        self.sample.read(tensor, indices, outside)
    }

    fn value(&mut self, depth: usize) -> E {
        let dtype = self.sample.dtype;
        if depth == 0 {
            return self.read();
        }
        match self.dice.roll(12) {
            0..=3 => {
                let count = 2 + self.dice.roll(3);
                mul((0..count).map(|_| self.value(depth - 1)).collect::<Vec<_>>())
            }
            4 | 5 => add([self.value(depth - 1), self.value(depth - 1)]),
            6 => unary(Unary::Neg, self.value(depth - 1)),
            7 => {
                let (a, b) = (self.dice.pick(&self.axes.clone()), self.dice.pick(&self.axes.clone()));
                let condition = binary(Binary::Le, ix(a), ix(b));
                Expr::Select(Box::new([condition, self.value(depth - 1), Expr::number(0.0, dtype)]))
            }
            8 => mul([Expr::number(3.0, dtype), self.value(depth - 1)]),
            9 => unary(Unary::Relu, self.value(depth - 1)),
            _ => {
                let body = self.value(depth - 1);
                let inner: Vec<AxisId> =
                    body.free_axes().into_iter().filter(|_| self.dice.roll(2) == 0).collect();
                if inner.is_empty() {
                    return body;
                }
                let op = self.dice.pick(&[ReduceOp::Sum, ReduceOp::Sum, ReduceOp::Sum, ReduceOp::Max]);
                self.bind(op, &inner, body)
            }
        }
    }

    /// A reduction over axes of its own.
    fn bind(&mut self, op: ReduceOp, axes: &[AxisId], body: E) -> E {
        let fresh: Vec<AxisId> = axes
            .iter()
            .map(|&axis| {
                let axis = self.sample.program.axes[axis].clone();
                self.sample.axis(&axis.name, axis.extent)
            })
            .collect();
        let by = |expr: &E| rename(expr, axes, &fresh);
        reduce(op, &fresh, by(&body))
    }

    fn statement(&mut self, name: &str) {
        let depth = 1 + self.dice.roll(3);
        let mut value = self.value(depth);
        let free: Vec<AxisId> = value.free_axes().into_iter().collect();
        let mut own: Vec<AxisId> = free.iter().copied().filter(|_| self.dice.roll(3) > 0).collect();
        let summed: Vec<AxisId> = free.iter().copied().filter(|axis| !own.contains(axis)).collect();
        if !summed.is_empty() {
            value = self.bind(ReduceOp::Sum, &summed, value);
        }
        if self.dice.roll(6) == 0 {
            // A value that is repeated along an axis.
            let axis = self.dice.pick(&self.axes.clone());
            if !own.contains(&axis) && !summed.contains(&axis) {
                own.push(axis);
            }
        }
        if self.dice.roll(2) == 0 {
            own.reverse();
        }
        if self.dice.roll(8) == 0
            && self.sample.dtype.is_float()
            && let Some(&axis) = own.first()
        {
            value = along(AlongOp::Softmax, &[axis], &[axis], value);
        } else if self.dice.roll(8) == 0
            && let Some(&axis) = own.first()
        {
            value = along(AlongOp::CumSum, &[axis], &[axis], value);
        }
        let id = self.sample.define(name, &own, value);
        self.tensors.push((id, own));
    }

    /// `s[t] = s[t-1] + value` along an axis.
    fn scan(&mut self, name: &str) {
        let depth = 1 + self.dice.roll(2);
        let value = self.value(depth);
        let free: Vec<AxisId> = value.free_axes().into_iter().collect();
        let Some(&axis) = free.first() else { return };
        let dtype = self.sample.dtype;
        let define = self.sample.prepare(name, &free, |target| {
            let indices =
                free.iter().map(|&x| if x == axis { affine(&[(1, x)], -1) } else { ix(x) }).collect();
            let outside = Outside::Else(Box::new(Expr::number(1.0, dtype)));
            let before =
                Expr::Read(Read { source: target, dtype, indices, outside, place: Default::default() });
            add([before, value])
        });
        let target = define.target;
        self.sample.scan(axis, false, vec![define]);
        self.tensors.push((target, free));
    }
}

fn rename(expr: &E, from: &[AxisId], to: &[AxisId]) -> E {
    match expr {
        Expr::Index(axis) => ix(from.iter().position(|other| other == axis).map_or(*axis, |k| to[k])),
        Expr::Reduce(reduce) => {
            crate::graph::sample::reduce(reduce.op, &reduce.axes, rename(&reduce.body, from, to))
        }
        Expr::Read(read) => {
            let indices = read.indices.iter().map(|index| rename(index, from, to)).collect();
            Expr::Read(Read { indices, ..read.clone() })
        }
        Expr::Unary(op, a) => unary(*op, rename(a, from, to)),
        Expr::Binary(op, a, b) => binary(*op, rename(a, from, to), rename(b, from, to)),
        Expr::Sum(parts) => add(parts.iter().map(|part| rename(part, from, to)).collect::<Vec<_>>()),
        Expr::Product(parts) => mul(parts.iter().map(|part| rename(part, from, to)).collect::<Vec<_>>()),
        Expr::Select(parts) => Expr::Select(Box::new([0, 1, 2].map(|k| rename(&parts[k], from, to)))),
        other => other.clone(),
    }
}

/// The program of that seed: five statements over axes of these extents.
pub(crate) fn random_program(seed: u64, dtype: DType, extents: &[u64]) -> Program {
    let mut writer = Writer::new(seed, dtype, extents);
    for name in ["P", "Q", "R", "S", "T"] {
        if writer.dice.roll(8) == 0 {
            writer.scan(name);
        } else {
            writer.statement(name);
        }
    }
    let computed: Vec<TensorId> = writer.tensors.iter().skip(4).map(|tensor| tensor.0).collect();
    for (k, &id) in computed.iter().enumerate() {
        if k + 1 == computed.len() || writer.dice.roll(2) == 0 {
            writer.sample.output(id);
        }
    }
    writer.sample.program
}

/// The program of that seed: a sum of products under a condition on two indices, axes in any order.
pub(crate) fn banded_program(seed: u64, dtype: DType) -> Program {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut sample = Sample::new(dtype);
    let extents: Vec<u64> = [&[1, 2, 3][..], &[1, 67, 100], &[5, 16, 33], &[64, 90, 120]]
        .iter()
        .map(|list| dice.pick(list))
        .collect();
    let names = ["h", "t", "e", "s"];
    let axes: Vec<AxisId> =
        names.iter().zip(&extents).map(|(name, &extent)| sample.axis(name, extent)).collect();
    let mut laid = |places: &[usize]| {
        let mut places = places.to_vec();
        (1..places.len()).for_each(|at| places.swap(at, dice.roll(at + 1)));
        places
    };
    let (p, v, y) = (laid(&[0, 1, 3]), laid(&[2, 3]), laid(&[0, 1, 2]));
    let mut input = |name: &str, places: &[usize]| {
        let id = sample.input(name, &places.iter().map(|&place| extents[place]).collect::<Vec<u64>>());
        sample.at(id, &places.iter().map(|&place| axes[place]).collect::<Vec<AxisId>>())
    };
    let product = mul([input("p", &p), input("v", &v)]);
    let (t, s) = (axes[1], axes[3]);
    let near = |dice: &mut Dice| dice.roll(20) as i64 - 5;
    let low = binary(Binary::Lt, affine(&[(1, t)], -60 + near(&mut dice)), ix(s));
    let high = match dice.roll(2) {
        0 => binary(Binary::Le, affine(&[(1, s)], near(&mut dice)), ix(t)),
        _ => binary(Binary::Gt, ix(t), affine(&[(1, s)], near(&mut dice))),
    };
    let condition = match dice.roll(3) {
        0 => low,
        1 => high,
        _ => binary(Binary::And, low, high),
    };
    let parts = [condition, product, Expr::number(0.0, dtype)];
    let order: Vec<AxisId> = y.iter().map(|&place| axes[place]).collect();
    let y = sample.define("y", &order, sum(&[s], Expr::Select(Box::new(parts))));
    sample.output(y);
    sample.program
}

fn random_programs(seeds: std::ops::Range<u64>, dtype: DType) {
    for seed in seeds {
        let program = random_program(seed, dtype, &[1, 2, 3, 3, 4, 5]);
        let shown = program.to_string();
        if std::panic::catch_unwind(|| plan_of(&program)).is_err() {
            panic!("seed {seed}:\n{shown}");
        }
    }
}

#[test]
fn random_integer_programs_keep_their_values() {
    random_programs(0..400, DType::I64);
}

#[test]
fn random_float_programs_keep_their_values() {
    random_programs(1000..1200, DType::F64);
}
