//! Runs a [`Program`], statement by statement.

use super::eval::{Access, Evaluate, Memory, Node, Outcome, Prepare, Range, ranges};
use super::join::Total;
use crate::expr::{AxisId, Expr, Outside, Read};
use crate::fault::{Checked, Fault};
use crate::id::Id;
use crate::program::{Define, Program, Scan, Scatter, Statement, TensorId};
use einc_runtime::{Scalar, Tensor};

/// Runs a checked program.
///
/// `inputs` are in the order of `program.inputs`, results in that of `program.outputs`.
///
/// # Errors
/// The first access that left its tensor where the program asks for a check, or promises (`@bounds(trust)`) that there
/// is none.
///
/// # Panics
/// Where an input has not the dtype and shape that the program says, where the program breaks a law of checked
/// programs, and where memory is short.
pub fn run(program: &Program, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Fault> {
    assert_eq!(inputs.len(), program.inputs.len(), "one tensor for each input of `{}`", program.name);
    let mut tensors: Vec<Held> = program.tensors.iter().map(|_| Held::Nothing).collect();
    for (&id, &tensor) in program.inputs.iter().zip(inputs) {
        let declared = &program.tensors[id];
        assert_eq!(tensor.dtype(), declared.dtype, "the element type of `{}`", declared.name);
        assert_eq!(tensor.shape(), declared.shape, "the shape of `{}`", declared.name);
        tensors[id.number()] = Held::Given(tensor);
    }
    let mut runner = Runner { program, tensors, point: vec![0; program.axes.len()] };
    for statement in &program.statements {
        let outcome = match statement {
            Statement::Define(define) => runner.define(define),
            Statement::Scatter(scatter) => runner.scatter(scatter),
            Statement::Scan(scan) => runner.scan(scan),
        };
        outcome.map_err(|fault| *fault)?;
    }
    Ok(program.outputs.iter().map(|(_, id)| runner.tensor(id.number()).clone()).collect())
}

/// A tensor of the program.
enum Held<'a> {
    Nothing,
    Given(&'a Tensor),
    Made(Tensor),
}

struct Runner<'a> {
    program: &'a Program,
    tensors: Vec<Held<'a>>,
    point: Vec<i64>,
}

impl Memory for Runner<'_> {
    fn load(&self, memory: usize, element: i64) -> Scalar {
        self.tensor(memory).get(element as usize)
    }

    fn name(&self, memory: usize) -> &str {
        &self.program.tensors[TensorId::new(memory)].name
    }
}

/// A definition ready to run.
struct Prepared {
    target: TensorId,
    node: Node,
    tables: usize,
    /// The axes that run.
    axes: Vec<Range>,
    /// The stride of each of them in the target.
    strides: Vec<usize>,
    /// The axis of the enclosing scan and its stride, if the target keeps its history.
    history: Option<(AxisId, usize)>,
}

impl Runner<'_> {
    fn tensor(&self, number: usize) -> &Tensor {
        match &self.tensors[number] {
            Held::Given(tensor) => tensor,
            Held::Made(tensor) => tensor,
            Held::Nothing => {
                panic!("bug: `{}` is read before it is defined", self.name(number))
            }
        }
    }

    fn zeros(&self, target: TensorId) -> Tensor {
        let declared = &self.program.tensors[target];
        Tensor::zeros(declared.dtype, &declared.shape).expect("memory for a tensor of the program")
    }

    fn define(&mut self, define: &Define) -> Outcome<()> {
        let prepared = self.prepare(define, None);
        let zeros = self.zeros(define.target);
        let values = self.evaluate(&prepared)?;
        self.tensors[define.target.number()] = Held::Made(zeros);
        self.store(&prepared, values);
        Ok(())
    }

    /// The memory that reads of the program go to.
    fn access(&self) -> impl Fn(&Read<TensorId>) -> Access + use<'_> {
        |read| {
            let shape = &self.program.tensors[read.source].shape;
            let mut dims = Vec::new();
            let mut stride = 1i64;
            for &extent in shape.iter().rev() {
                dims.push((extent, stride));
                stride = stride.wrapping_mul(extent as i64);
            }
            dims.reverse();
            Access::Memory(read.source.number(), 0, dims)
        }
    }

    fn nodes(&self, around: &[AxisId], list: &[&Expr<TensorId>]) -> (Vec<Node>, usize) {
        let access = self.access();
        let axes = &self.program.axes;
        let mut prepare = Prepare { axes, access: &access, around: around.to_vec(), tables: 0 };
        let nodes = list.iter().map(|expr| prepare.node(expr)).collect();
        (nodes, prepare.tables)
    }

    fn prepare(&self, define: &Define, scan: Option<AxisId>) -> Prepared {
        let target = &self.program.tensors[define.target];
        let all = define.axes();
        let mut stride = 1usize;
        let mut strides: Vec<usize> = Vec::new();
        for &axis in all.iter().rev() {
            strides.push(stride);
            stride = stride.wrapping_mul(self.program.axes[axis].extent as usize);
        }
        strides.reverse();
        assert_eq!(define.value.dtype(), target.dtype, "bug: `{}` has its value's dtype", target.name);
        let place = scan.and_then(|scan| all.iter().position(|&axis| axis == scan));
        let history = place.map(|place| (all[place], strides[place]));
        let mut axes = ranges(&all, &self.program.axes);
        if let Some(place) = place {
            axes.remove(place);
            strides.remove(place);
        }
        let around: Vec<AxisId> = axes.iter().map(|range| range.axis).collect();
        let (mut nodes, tables) = self.nodes(&around, &[&define.value]);
        let node = nodes.pop().expect("one node for one expression");
        Prepared { target: define.target, node, tables, axes, strides, history }
    }

    /// The values over the axes that run, as the target will hold them.
    fn evaluate(&self, prepared: &Prepared) -> Outcome<Tensor> {
        let shape: Vec<u64> = prepared.axes.iter().map(|range| range.extent).collect();
        let dtype = self.program.tensors[prepared.target].dtype;
        let mut values = Tensor::zeros(dtype, &shape).expect("memory for the values of a tensor");
        let mut evaluate = Evaluate::new(self, self.point.clone(), prepared.tables);
        let mut position = 0;
        evaluate.for_each_point(&prepared.axes, &mut |at| {
            values.set(position, at.value(&prepared.node)?);
            position += 1;
            Ok(())
        })?;
        Ok(values)
    }

    fn store(&mut self, prepared: &Prepared, values: Tensor) {
        let base = prepared.history.map_or(0, |(axis, stride)| self.point[axis.number()] as usize * stride);
        let Held::Made(target) = &mut self.tensors[prepared.target.number()] else {
            panic!("bug: an input is defined again");
        };
        let mut index = vec![0u64; prepared.axes.len()];
        for position in 0..values.elems() {
            let place: usize =
                index.iter().zip(&prepared.strides).map(|(&k, &stride)| k as usize * stride).sum();
            target.set(base + place, values.get(position));
            for (index, range) in index.iter_mut().zip(&prepared.axes).rev() {
                *index += 1;
                if *index < range.extent {
                    break;
                }
                *index = 0;
            }
        }
    }

    fn scan(&mut self, scan: &Scan) -> Outcome<()> {
        let body: Vec<Prepared> =
            scan.body.iter().map(|define| self.prepare(define, Some(scan.axis))).collect();
        for define in &scan.body {
            self.tensors[define.target.number()] = Held::Made(self.zeros(define.target));
        }
        let steps = self.program.axes[scan.axis].extent as i64;
        for step in 0..steps {
            self.point[scan.axis.number()] = if scan.reversed { steps - 1 - step } else { step };
            for prepared in &body {
                let values = self.evaluate(prepared)?;
                self.store(prepared, values);
            }
        }
        Ok(())
    }

    /// Sums are kept in full width and stored once, at the end.
    fn scatter(&mut self, scatter: &Scatter) -> Outcome<()> {
        let declared = &self.program.tensors[scatter.target];
        let mut totals = vec![Total::new(declared.dtype); self.zeros(scatter.target).elems()];
        if let Some(base) = scatter.base {
            let base = self.tensor(base.number());
            totals.iter_mut().enumerate().for_each(|(position, total)| total.push(base.get(position)));
        }
        let expressions: Vec<&Expr<TensorId>> = scatter.indices.iter().chain([&scatter.value]).collect();
        let (nodes, tables) = self.nodes(&scatter.axes, &expressions);
        let (value, indices) = nodes.split_last().expect("the value is there");
        let mut evaluate = Evaluate::new(self, self.point.clone(), tables);
        evaluate.for_each_point(&ranges(&scatter.axes, &self.program.axes), &mut |at| {
            let mut position = 0;
            for (dim, (index, &extent)) in indices.iter().zip(&declared.shape).enumerate() {
                let index = at.index(index)?;
                let inside = place_inside(index, extent, &scatter.outside).ok_or_else(|| {
                    let tensor = declared.name.clone();
                    let checked = Checked::Index(dim);
                    Box::new(Fault { place: scatter.place, tensor, checked, extent, value: index })
                })?;
                position = position * extent as usize + inside;
            }
            let value = at.value(value)?;
            totals[position].push(value);
            Ok(())
        })?;
        let mut result = self.zeros(scatter.target);
        totals.iter().enumerate().for_each(|(position, total)| result.set(position, total.value()));
        self.tensors[scatter.target.number()] = Held::Made(result);
        Ok(())
    }
}

/// Where an index of a scatter points to; `None` where that is a fault.
pub(super) fn place_inside<S>(index: i64, extent: u64, outside: &Outside<S>) -> Option<usize> {
    if index >= 0 && (index as u64) < extent {
        return Some(index as usize);
    }
    match outside {
        Outside::Clamp if extent > 0 => Some(if index < 0 { 0 } else { extent as usize - 1 }),
        Outside::Never | Outside::Else(_) => panic!("bug: a scatter proved to stay inside goes to {index}"),
        _ => None,
    }
}
