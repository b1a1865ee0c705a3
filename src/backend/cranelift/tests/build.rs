//! Plans by hand.

use crate::backend::cranelift::compile;
use crate::expr::{AlongOp, Axis, AxisId, Expr, Outside, Read, ReduceOp};
use crate::fault::Fault;
use crate::id::IdVec;
use crate::machine::Machine;
use crate::plan::{AlongStep, Buffer, BufferId, Nest, Operand, Place, Plan, Reduction, Source, Step, View};
use crate::source::Span;
use einc_runtime::{DType, Tensor};

/// A plan under construction.
pub struct Build {
    pub plan: Plan,
    inputs: usize,
    outputs: Vec<(DType, Vec<u64>)>,
}

pub type E = Expr<Source>;

impl Build {
    pub fn new() -> Build {
        let plan = Plan {
            name: "test".into(),
            axes: IdVec::new(),
            buffers: IdVec::new(),
            steps: Vec::new(),
            arena: 0,
            threads: 1,
            workspace: 0,
            orders: Vec::new(),
        };
        Build { plan, inputs: 0, outputs: Vec::new() }
    }

    pub fn axis(&mut self, name: &str, extent: u64) -> AxisId {
        self.plan.axes.push(Axis { name: name.into(), extent })
    }

    fn buffer(&mut self, dtype: DType, shape: &[u64], place: Place) -> Operand {
        let elems = shape.iter().product();
        let name = format!("t{}", self.plan.buffers.len());
        let buffer = self.plan.buffers.push(Buffer { name, dtype, elems, place });
        let mut dims = Vec::new();
        let mut stride = 1;
        for &extent in shape.iter().rev() {
            dims.push((extent, stride));
            stride *= extent as i64;
        }
        dims.reverse();
        Operand { buffer, offset: 0, dims }
    }

    pub fn input(&mut self, dtype: DType, shape: &[u64]) -> Operand {
        self.inputs += 1;
        self.buffer(dtype, shape, Place::Input(self.inputs - 1))
    }

    pub fn output(&mut self, dtype: DType, shape: &[u64]) -> Operand {
        self.outputs.push((dtype, shape.to_vec()));
        self.buffer(dtype, shape, Place::Output(self.outputs.len() - 1))
    }

    pub fn dtype(&self, buffer: BufferId) -> DType {
        self.plan.buffers[buffer].dtype
    }

    /// A view of a row-major tensor.
    pub fn view(&self, tensor: &Operand, axes: &[AxisId]) -> View {
        let strides = axes.iter().zip(&tensor.dims).map(|(&axis, dim)| (axis, dim.1)).collect();
        View { buffer: tensor.buffer, offset: tensor.offset, strides }
    }

    /// A read of operand `number`, which is `tensor`.
    pub fn read(&self, number: u32, tensor: &Operand, indices: Vec<E>, outside: Outside<Source>) -> E {
        let place = Span { file: 0, start: number, end: number + 1 };
        let dtype = self.dtype(tensor.buffer);
        Expr::Read(Read { source: Source::Operand(number), dtype, indices, outside, place })
    }

    /// A read at axes.
    pub fn at(&self, number: u32, tensor: &Operand, axes: &[AxisId]) -> E {
        self.read(number, tensor, axes.iter().map(|&axis| Expr::Index(axis)).collect(), Outside::Never)
    }

    pub fn nest(
        &mut self,
        axes: &[AxisId],
        operands: &[&Operand],
        reductions: Vec<Reduction>,
        value: E,
        out: View,
    ) {
        let operands = operands.iter().map(|&operand| operand.clone()).collect();
        let place = Span::default();
        self.plan.steps.push(Step::Nest(Nest {
            axes: axes.to_vec(),
            operands,
            reductions,
            value,
            out,
            wanted: None,
            place,
        }));
    }

    /// A map along axes of one operand, whose results go along others.
    pub fn along(
        &mut self,
        op: AlongOp,
        rows: &[AxisId],
        (axes, out_axes): (&[AxisId], &[AxisId]),
        operand: &Operand,
        body: E,
        out: View,
    ) {
        self.plan.steps.push(Step::Along(AlongStep {
            op,
            rows: rows.to_vec(),
            axes: axes.to_vec(),
            out_axes: out_axes.to_vec(),
            operands: vec![operand.clone()],
            body,
            dtype: self.dtype(out.buffer),
            out,
            place: Span::default(),
        }));
    }

    /// Runs the plan on one thread and on three; both must agree.
    pub fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Fault> {
        let compiled = compile(&self.plan, &Machine::host()).expect("nothing in the plan is unsupported");
        let run = |threads: usize| {
            let mut outputs: Vec<Tensor> =
                self.outputs.iter().map(|(dtype, shape)| Tensor::zeros(*dtype, shape).unwrap()).collect();
            compiled.run(inputs, &mut outputs, threads).map(|()| outputs)
        };
        let (alone, together) = (run(1), run(3));
        match (&alone, &together) {
            (Ok(alone), Ok(together)) => {
                alone.iter().zip(together).for_each(|(a, b)| assert_eq!(a.bytes(), b.bytes()));
            }
            (alone, together) => assert_eq!(alone.as_ref().err(), together.as_ref().err()),
        }
        alone
    }
}

/// The result of reduction `number`.
pub fn reduced(number: u32, dtype: DType) -> E {
    Expr::Read(Read {
        source: Source::Reduced(number),
        dtype,
        indices: Vec::new(),
        outside: Outside::Never,
        place: Span::default(),
    })
}

pub fn reduction(op: ReduceOp, axes: &[AxisId], body: E) -> Reduction {
    Reduction { op, axes: axes.to_vec(), body }
}

/// Numbers that look random, in -1..1.
pub fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}
