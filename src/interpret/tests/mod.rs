//! Programs built by hand, with results from formulas.

mod along;
mod function;
mod plan;
mod reduction;
mod slots;
mod statement;

use super::run;
use crate::expr::{Along, AlongOp, Axis, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use crate::fault::{Checked, Fault};
use crate::id::IdVec;
use crate::program::{Define, Program, Role, Scan, Scatter, Statement, Tensor as Declared, TensorId};
use crate::source::Span;
use einc_runtime::{DType, Scalar, Tensor};

type E = Expr<TensorId>;

/// A program under construction, with its inputs.
struct Build {
    program: Program,
    inputs: Vec<Tensor>,
}

impl Build {
    fn new() -> Build {
        let program = Program::new("test");
        Build { program, inputs: Vec::new() }
    }

    fn axis(&mut self, name: &str, extent: u64) -> AxisId {
        self.program.axes.push(Axis { name: name.to_string(), extent })
    }

    fn tensor(&mut self, dtype: DType, shape: &[u64], role: Role) -> TensorId {
        let name = format!("T{}", self.program.tensors.len());
        self.program.tensors.push(Declared {
            name,
            dtype,
            shape: shape.to_vec(),
            role,
            place: Span::default(),
        })
    }

    fn input(&mut self, dtype: DType, shape: &[u64], values: &[Scalar]) -> TensorId {
        let id = self.tensor(dtype, shape, Role::Input);
        let mut tensor = Tensor::zeros(dtype, shape).unwrap();
        assert_eq!(tensor.elems(), values.len());
        values.iter().enumerate().for_each(|(k, &value)| tensor.set(k, value));
        self.inputs.push(tensor);
        self.program.inputs.push(id);
        id
    }

    fn reals(&mut self, shape: &[u64], values: &[f64]) -> TensorId {
        let values: Vec<Scalar> = values.iter().map(|&x| Scalar::Real(x)).collect();
        self.input(DType::F64, shape, &values)
    }

    fn ints(&mut self, shape: &[u64], values: &[i64]) -> TensorId {
        let values: Vec<Scalar> = values.iter().map(|&x| Scalar::Int(x.into())).collect();
        self.input(DType::I64, shape, &values)
    }

    fn shape(&self, dims: &[Vec<AxisId>]) -> Vec<u64> {
        dims.iter().map(|dim| dim.iter().map(|&axis| self.program.axes[axis].extent).product()).collect()
    }

    fn define_dims(&mut self, dims: Vec<Vec<AxisId>>, value: E) -> TensorId {
        let target = self.tensor(value.dtype(), &self.shape(&dims), Role::Computed);
        let define = Define { target, dims, value, keep_order: false, place: Span::default() };
        self.program.statements.push(Statement::Define(define));
        target
    }

    fn define(&mut self, axes: &[AxisId], value: E) -> TensorId {
        self.define_dims(axes.iter().map(|&axis| vec![axis]).collect(), value)
    }

    fn try_run(mut self, output: TensorId) -> Result<Tensor, Fault> {
        self.program.outputs.push(("result".to_string(), output));
        let inputs: Vec<&Tensor> = self.inputs.iter().collect();
        run(&self.program, &inputs).map(|mut results| results.pop().unwrap())
    }

    fn run(self, output: TensorId) -> Vec<Scalar> {
        let result = self.try_run(output).unwrap();
        (0..result.elems()).map(|k| result.get(k)).collect()
    }

    fn run_ints(self, output: TensorId) -> Vec<i128> {
        self.run(output)
            .into_iter()
            .map(|value| matches!(value, Scalar::Int(_)).then(|| value.int()).unwrap())
            .collect()
    }

    fn run_reals(self, output: TensorId) -> Vec<f64> {
        self.run(output).into_iter().map(Scalar::re).collect()
    }
}

fn read_outside(source: TensorId, dtype: DType, indices: Vec<E>, outside: Outside<TensorId>) -> E {
    Expr::Read(Read { source, dtype, indices, outside, place: Span::default() })
}

fn read(source: TensorId, dtype: DType, axes: &[AxisId]) -> E {
    read_outside(source, dtype, axes.iter().map(|&axis| Expr::Index(axis)).collect(), Outside::Never)
}

fn real(source: TensorId, axes: &[AxisId]) -> E {
    read(source, DType::F64, axes)
}

fn integer(source: TensorId, axes: &[AxisId]) -> E {
    read(source, DType::I64, axes)
}

fn reduce(op: ReduceOp, axes: &[AxisId], body: E) -> E {
    Expr::Reduce(Box::new(Reduce { op, axes: axes.to_vec(), body }))
}

fn along(op: AlongOp, axes: &[AxisId], out: &[AxisId], body: E) -> E {
    Expr::Along(Box::new(Along { op, axes: axes.to_vec(), out: out.to_vec(), body }))
}

fn unary(op: Unary, a: E) -> E {
    Expr::Unary(op, Box::new(a))
}

fn binary(op: Binary, a: E, b: E) -> E {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn select(condition: E, then: E, otherwise: E) -> E {
    Expr::Select(Box::new([condition, then, otherwise]))
}

fn cast(dtype: DType, a: E) -> E {
    Expr::Cast(dtype, Box::new(a))
}

/// Values within `tolerance` of each other, relative to their size where that is above 1; infinities and NaN alike.
#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (k, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0);
        assert!(same, "at {k}: {a} is not {b}");
    }
}
