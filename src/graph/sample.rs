//! Small programs for tests, built by hand.

use crate::expr::{Along, AlongOp, Axis, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use crate::program::{Define, Program, Role, Scan, Scatter, Statement, Tensor, TensorId};
use einc_runtime::DType;

/// An expression of a program.
pub type E = Expr<TensorId>;

/// A program in the making; all tensors have one dtype unless said otherwise.
pub struct Sample {
    pub program: Program,
    pub dtype: DType,
}

impl Sample {
    pub fn new(dtype: DType) -> Sample {
        Sample { program: Program::new("sample"), dtype }
    }

    pub fn axis(&mut self, name: &str, extent: u64) -> AxisId {
        self.program.axes.push(Axis { name: name.to_string(), extent })
    }

    pub fn input(&mut self, name: &str, shape: &[u64]) -> TensorId {
        let dtype = self.dtype;
        self.input_of(name, dtype, shape)
    }

    pub fn input_of(&mut self, name: &str, dtype: DType, shape: &[u64]) -> TensorId {
        let id = self.tensor(name, dtype, shape.to_vec(), Role::Input);
        self.program.inputs.push(id);
        id
    }

    fn tensor(&mut self, name: &str, dtype: DType, shape: Vec<u64>, role: Role) -> TensorId {
        let place = Default::default();
        self.program.tensors.push(Tensor { name: name.to_string(), dtype, shape, role, place })
    }

    /// A tensor and the definition `name[axes] = value` for it, not yet among the statements.
    pub fn prepare(&mut self, name: &str, axes: &[AxisId], value: impl FnOnce(TensorId) -> E) -> Define {
        let shape = axes.iter().map(|&axis| self.program.axes[axis].extent).collect();
        let target = self.tensor(name, self.dtype, shape, Role::Computed);
        let value = value(target);
        self.program.tensors[target].dtype = value.dtype();
        let dims = axes.iter().map(|&axis| vec![axis]).collect();
        Define { target, dims, value, keep_order: false, place: Default::default() }
    }

    pub fn define(&mut self, name: &str, axes: &[AxisId], value: E) -> TensorId {
        let define = self.prepare(name, axes, |_| value);
        let target = define.target;
        self.program.statements.push(Statement::Define(define));
        target
    }

    pub fn scan(&mut self, axis: AxisId, reversed: bool, body: Vec<Define>) {
        self.program.statements.push(Statement::Scan(Scan {
            axis,
            reversed,
            body,
            place: Default::default(),
        }));
    }

    pub fn scatter(
        &mut self,
        name: &str,
        base: Option<TensorId>,
        shape: &[u64],
        axes: &[AxisId],
        indices: Vec<E>,
        value: E,
    ) -> TensorId {
        let target = self.tensor(name, self.dtype, shape.to_vec(), Role::Computed);
        let (axes, outside, place) = (axes.to_vec(), Outside::Checked, Default::default());
        self.program.statements.push(Statement::Scatter(Scatter {
            target,
            base,
            axes,
            indices,
            outside,
            value,
            place,
        }));
        target
    }

    pub fn output(&mut self, id: TensorId) {
        let name = self.program.tensors[id].name.clone();
        self.program.outputs.push((name, id));
    }

    /// A read at axes.
    pub fn at(&self, tensor: TensorId, axes: &[AxisId]) -> E {
        self.read(tensor, axes.iter().copied().map(Expr::Index).collect(), Outside::Never)
    }

    pub fn read(&self, source: TensorId, indices: Vec<E>, outside: Outside<TensorId>) -> E {
        let dtype = self.program.tensors[source].dtype;
        Expr::Read(Read { source, dtype, indices, outside, place: Default::default() })
    }
}

pub fn mul(parts: impl IntoIterator<Item = E>) -> E {
    Expr::Product(parts.into_iter().collect())
}

pub fn add(parts: impl IntoIterator<Item = E>) -> E {
    Expr::Sum(parts.into_iter().collect())
}

pub fn ix(axis: AxisId) -> E {
    Expr::Index(axis)
}

/// `coefficient * axis + ..` with a constant.
pub fn affine(terms: &[(i64, AxisId)], constant: i64) -> E {
    let mut parts: Vec<E> = terms.iter().map(|&(by, axis)| mul([Expr::int(by), ix(axis)])).collect();
    parts.push(Expr::int(constant));
    add(parts)
}

pub fn reduce(op: ReduceOp, axes: &[AxisId], body: E) -> E {
    Expr::Reduce(Box::new(Reduce { op, axes: axes.to_vec(), body }))
}

pub fn sum(axes: &[AxisId], body: E) -> E {
    reduce(ReduceOp::Sum, axes, body)
}

pub fn along(op: AlongOp, axes: &[AxisId], out: &[AxisId], body: E) -> E {
    Expr::Along(Box::new(Along { op, axes: axes.to_vec(), out: out.to_vec(), body }))
}

pub fn unary(op: Unary, a: E) -> E {
    Expr::Unary(op, Box::new(a))
}

pub fn binary(op: Binary, a: E, b: E) -> E {
    Expr::Binary(op, Box::new(a), Box::new(b))
}
