//! Runs a [`Plan`], step by step, and watches what it does to its memory.
//!
//! A plan that breaks one of these laws is a bug of ours, and running it panics:
//!
//! - every access stays inside its buffer, and every buffer of the arena inside the arena;
//! - nothing is read before it was written, nor after a buffer that shares its memory was written;
//! - a step writes an element once, whatever the order of its loops, and if a nest reads an element that it also
//!   writes, both happen at the same point;
//! - inputs and constants are never written, every element of an output is.

use super::along::along;
use super::eval::{Access, Evaluate, Memory, Node, Outcome, Prepare, Range, ranges};
use super::join::{Join, Total};
use super::program::place_inside;
use super::value::{multiply, truth};
use crate::expr::{AxisId, Expr, Read};
use crate::fault::{Checked, Fault};
use crate::id::Id;
use crate::plan::{
    AlongStep, BufferId, Contract, Nest, Operand, Place, Plan, ScanStep, ScatterStep, Source, Step, View,
};
use einc_runtime::{Scalar, Tensor};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

/// Runs a plan. Results come in the order of the plan's outputs and are flat, for a plan knows no shapes.
///
/// # Errors
/// The first access that left its tensor where the program asks for a check.
///
/// # Panics
/// Where an input does not fit its buffer, where the plan breaks a law, and where memory is short.
pub fn run_plan(plan: &Plan, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Fault> {
    let buffers = plan.buffers.iter().map(|(id, _)| Buffer::new(plan, id, inputs)).collect();
    let mut runner = Runner {
        plan,
        buffers,
        point: vec![0; plan.axes.len()],
        scanned: Vec::new(),
        step: 0,
        watched: Watched::default(),
    };
    plan.steps.iter().try_for_each(|step| runner.step(step)).map_err(|fault| *fault)?;
    Ok(runner.outputs())
}

/// A buffer and what happened to its elements.
struct Buffer<'a> {
    data: Data<'a>,
    /// The last step that wrote each element, 0 if none; empty for buffers that nothing writes.
    written: Vec<u32>,
}

enum Data<'a> {
    Given(&'a Tensor),
    Own(Tensor),
}

impl<'a> Buffer<'a> {
    fn new(plan: &'a Plan, id: BufferId, inputs: &[&'a Tensor]) -> Buffer<'a> {
        let buffer = &plan.buffers[id];
        let own = || {
            let tensor = Tensor::zeros(buffer.dtype, &[buffer.elems]).expect("memory for a buffer");
            Buffer { written: vec![0; tensor.elems()], data: Data::Own(tensor) }
        };
        let given = |tensor: &'a Tensor| {
            assert_eq!(tensor.dtype(), buffer.dtype, "the element type of `{}`", buffer.name);
            assert_eq!(tensor.elems() as u64, buffer.elems, "the elements of `{}`", buffer.name);
            Buffer { data: Data::Given(tensor), written: Vec::new() }
        };
        match &buffer.place {
            Place::Input(number) => given(inputs[*number]),
            Place::Constant(tensor) => given(tensor),
            Place::Output(_) | Place::Worker(_) => own(),
            Place::Arena(start) => {
                let end = start.checked_add(buffer.bytes());
                let inside = start % 64 == 0 && end.is_some_and(|end| end <= plan.arena);
                assert!(inside, "bug: {id} at {start} is not inside an arena of {} bytes", plan.arena);
                own()
            }
        }
    }
}

/// Which elements of the buffer that a nest writes are also read, and at which point (`None`: at several).
#[derive(Default)]
struct Watched {
    buffer: Cell<Option<usize>>,
    point: Cell<u64>,
    reads: RefCell<HashMap<i64, Option<u64>>>,
}

struct Runner<'a> {
    plan: &'a Plan,
    buffers: Vec<Buffer<'a>>,
    point: Vec<i64>,
    /// The axes of the scans around the current step.
    scanned: Vec<AxisId>,
    /// How many steps have begun.
    step: u32,
    watched: Watched,
}

impl Memory for Runner<'_> {
    fn load(&self, memory: usize, element: i64) -> Scalar {
        let id = BufferId::new(memory);
        let buffer = &self.buffers[memory];
        let elems = self.plan.buffers[id].elems;
        assert!(
            element >= 0 && (element as u64) < elems,
            "bug: element {element} of {id} is read, it has {elems}"
        );
        if self.watched.buffer.get() == Some(memory) {
            let point = self.watched.point.get();
            let mut reads = self.watched.reads.borrow_mut();
            let seen = reads.entry(element).or_insert(Some(point));
            *seen = seen.filter(|&seen| seen == point);
        }
        match &buffer.data {
            Data::Given(tensor) => tensor.get(element as usize),
            Data::Own(tensor) => {
                let written = buffer.written[element as usize] > 0;
                assert!(
                    written,
                    "bug: element {element} of {id} is read and holds nothing, in {}",
                    self.place()
                );
                tensor.get(element as usize)
            }
        }
    }

    fn name(&self, memory: usize) -> &str {
        &self.plan.buffers[BufferId::new(memory)].name
    }
}

impl Runner<'_> {
    fn place(&self) -> String {
        format!("step {} of those that ran", self.step)
    }

    fn outputs(self) -> Vec<Tensor> {
        let mut outputs = BTreeMap::new();
        for (buffer, (id, declared)) in self.buffers.into_iter().zip(self.plan.buffers.iter()) {
            let (Place::Output(number), Data::Own(tensor)) = (&declared.place, buffer.data) else { continue };
            let whole = buffer.written.iter().all(|&step| step > 0);
            assert!(whole, "bug: an element of the output {id} `{}` is not written", declared.name);
            assert!(outputs.insert(*number, tensor).is_none(), "bug: two buffers are output {number}");
        }
        assert!(outputs.keys().copied().eq(0..outputs.len()), "bug: an output has no buffer");
        outputs.into_values().collect()
    }

    fn step(&mut self, step: &Step) -> Outcome<()> {
        self.step += 1;
        match step {
            Step::Contract(contract) => self.contract(contract),
            Step::Nest(nest) => self.nest(nest),
            Step::Along(along) => self.along(along),
            Step::Scatter(scatter) => self.scatter(scatter),
            Step::Scan(scan) => self.scan(scan),
        }
    }

    /// Makes all buffers that share memory with this one hold nothing.
    fn claim(&mut self, id: BufferId) {
        let extent = |id: BufferId| {
            let buffer = &self.plan.buffers[id];
            match buffer.place {
                Place::Arena(start) => Some((start, start + buffer.bytes())),
                _ => None,
            }
        };
        let Some((start, end)) = extent(id) else { return };
        for other in self.plan.buffers.ids().filter(|&other| other != id) {
            if extent(other).is_some_and(|(first, last)| first < end && start < last) {
                self.buffers[other.number()].written.fill(0);
            }
        }
    }

    fn store(&mut self, id: BufferId, element: i64, value: Scalar) {
        let elems = self.plan.buffers[id].elems;
        let inside = element >= 0 && (element as u64) < elems;
        assert!(inside, "bug: element {element} of {id} is written, it has {elems}");
        let (step, place) = (self.step, self.place());
        let Buffer { data: Data::Own(tensor), written } = &mut self.buffers[id.number()] else {
            panic!("bug: {id} is written, but it is an input or a constant");
        };
        let last = &mut written[element as usize];
        assert!(*last != step, "bug: element {element} of {id} is written twice, in {place}");
        *last = step;
        tensor.set(element as usize, value);
    }

    /// The ranges of these axes, without those of the scans around.
    fn loops(&self, axes: &[AxisId]) -> Vec<Range> {
        let run: Vec<AxisId> = axes.iter().copied().filter(|axis| !self.scanned.contains(axis)).collect();
        ranges(&run, &self.plan.axes)
    }

    fn contract(&mut self, step: &Contract) -> Outcome<()> {
        // A contraction of reals may count the parts of complex numbers.
        let parts = [&step.a, &step.b, &step.out].map(|view| {
            let dtype = self.plan.buffers[view.buffer].dtype;
            let in_parts = step.counts_parts_of(dtype);
            assert!(
                in_parts || dtype == step.dtype,
                "bug: a contraction of {} reads or writes {}",
                step.dtype,
                view.buffer
            );
            in_parts
        });
        let load = |memory: &Self, view: &View, in_parts: bool, at: i64| {
            let number = view.buffer.number();
            match in_parts {
                false => memory.load(number, at),
                true => part(memory.load(number, at.div_euclid(2)), at),
            }
        };
        let axes_of = |view: &View| view.strides.iter().map(|term| term.0).collect::<Vec<_>>();
        let outer = axes_of(&step.out);
        let mut inner: Vec<AxisId> = Vec::new();
        for axis in axes_of(&step.a).into_iter().chain(axes_of(&step.b)) {
            if !outer.contains(&axis) && !inner.contains(&axis) {
                inner.push(axis);
            }
        }
        let (outer, inner) = (self.loops(&outer), self.loops(&inner));
        let overwritten = [step.a.buffer, step.b.buffer].contains(&step.out.buffer);
        assert!(!overwritten, "bug: a contraction writes its operand {}", step.out.buffer);
        self.claim(step.out.buffer);
        let mut results = Vec::new();
        let mut evaluate = Evaluate::new(&*self, self.point.clone(), 0);
        evaluate.for_each_point(&outer, &mut |at| {
            let out = element_of(&step.out, &at.point);
            if let Some(wanted) = &step.wanted
                && !truth(at.memory.load(wanted.buffer.number(), element_of(wanted, &at.point)))
            {
                // Nothing may depend on it.
                results.push((out, Scalar::Real(f64::NAN)));
                return Ok(());
            }
            let mut total = Total::new(step.dtype);
            if step.accumulate {
                total.push(load(at.memory, &step.out, parts[2], out));
            }
            at.for_each_point(&inner, &mut |at| {
                if step.band.is_some_and(|band| !band.holds(&at.point)) {
                    return Ok(());
                }
                let a = load(at.memory, &step.a, parts[0], element_of(&step.a, &at.point));
                let b = load(at.memory, &step.b, parts[1], element_of(&step.b, &at.point));
                total.push(multiply(a, b, step.dtype));
                Ok(())
            })?;
            results.push((out, total.value()));
            Ok(())
        })?;
        if parts[2] {
            results.sort_unstable_by_key(|result: &(i64, Scalar)| result.0);
            let whole = |pair: &[(i64, Scalar)]| match pair {
                [(re, x), (im, y)] if re % 2 == 0 && *im == re + 1 => {
                    (re / 2, Scalar::Complex(x.re(), y.re()))
                }
                _ => panic!("bug: a part of an element of {} is not written", step.out.buffer),
            };
            results = results.chunks(2).map(whole).collect();
        }
        results.into_iter().for_each(|(element, value)| self.store(step.out.buffer, element, value));
        Ok(())
    }

    /// The nodes of expressions that read these operands.
    fn nodes(&self, operands: &[Operand], list: &[&Expr<Source>]) -> Vec<Node> {
        let access = |read: &Read<Source>| match read.source {
            Source::Operand(number) => {
                let operand = &operands[number as usize];
                let dtype = self.plan.buffers[operand.buffer].dtype;
                assert_eq!(dtype, read.dtype, "bug: {} is read as {}", operand.buffer, read.dtype);
                Access::Memory(operand.buffer.number(), operand.offset, operand.dims.clone())
            }
            Source::Reduced(number) => Access::Local(number as usize),
        };
        let mut prepare = Prepare { axes: &self.plan.axes, access: &access, around: Vec::new(), tables: 0 };
        for expr in list {
            assert!(is_plain(expr), "bug: a step has a reduction or a map along axes inside an expression");
        }
        list.iter().map(|expr| prepare.node(expr)).collect()
    }

    fn nest(&mut self, step: &Nest) -> Outcome<()> {
        let loops = self.loops(&step.axes);
        let reductions: Vec<&Expr<Source>> =
            step.reductions.iter().map(|reduction| &reduction.body).collect();
        let bodies = self.nodes(&step.operands, &reductions);
        let value = self.nodes(&step.operands, &[&step.value]).remove(0);
        let inner: Vec<Vec<Range>> =
            step.reductions.iter().map(|reduction| self.loops(&reduction.axes)).collect();
        self.claim(step.out.buffer);
        self.watched.reads.borrow_mut().clear();
        self.watched.buffer.set(Some(step.out.buffer.number()));
        let mut results = Vec::new();
        let mut evaluate = Evaluate::new(&*self, self.point.clone(), 0);
        evaluate.for_each_point(&loops, &mut |at| {
            at.memory.watched.point.set(results.len() as u64);
            if let Some(wanted) = &step.wanted
                && !truth(at.memory.load(wanted.buffer.number(), element_of(wanted, &at.point)))
            {
                // Nothing may depend on it.
                results.push((element_of(&step.out, &at.point), Scalar::Real(f64::NAN)));
                return Ok(());
            }
            at.locals.clear();
            for ((reduction, body), loops) in step.reductions.iter().zip(&bodies).zip(&inner) {
                let mut join = Join::new(reduction.op, reduction.body.dtype());
                at.for_each_point(loops, &mut |at| {
                    join.push(at.value(body)?);
                    Ok(())
                })?;
                at.locals.push(join.value());
            }
            let element = element_of(&step.out, &at.point);
            results.push((element, at.value(&value)?));
            Ok(())
        })?;
        self.watched.buffer.set(None);
        for (point, (element, value)) in results.into_iter().enumerate() {
            let read = self.watched.reads.borrow().get(&element).copied();
            let same = read.is_none_or(|read| read == Some(point as u64));
            assert!(
                same,
                "bug: element {element} of {} is read at another point than it is written",
                step.out.buffer
            );
            self.store(step.out.buffer, element, value);
        }
        Ok(())
    }

    fn along(&mut self, step: &AlongStep) -> Outcome<()> {
        let body = self.nodes(&step.operands, &[&step.body]).remove(0);
        let (rows, axes, out) = (self.loops(&step.rows), self.loops(&step.axes), self.loops(&step.out_axes));
        let length = out.iter().map(|range| range.extent as usize).product();
        assert_eq!(
            step.dtype, self.plan.buffers[step.out.buffer].dtype,
            "bug: the dtype of {}",
            step.out.buffer
        );
        self.claim(step.out.buffer);
        let mut results = Vec::new();
        let mut evaluate = Evaluate::new(&*self, self.point.clone(), 0);
        evaluate.for_each_point(&rows, &mut |at| {
            let mut row = Vec::new();
            at.for_each_point(&axes, &mut |at| {
                row.push(at.value(&body)?);
                Ok(())
            })?;
            // Of a real result of a transform only the real parts are there.
            let part = |value: Scalar| match value {
                Scalar::Complex(re, _) if !step.dtype.is_complex() => Scalar::Real(re),
                value => value,
            };
            let mut values = along(step.op, &row, step.body.dtype(), length).into_iter().map(part);
            at.for_each_point(&out, &mut |at| {
                let element = element_of(&step.out, &at.point);
                results.push((element, values.next().expect("one value for each point of the result")));
                Ok(())
            })
        })?;
        results.into_iter().for_each(|(element, value)| self.store(step.out.buffer, element, value));
        Ok(())
    }

    fn scatter(&mut self, step: &ScatterStep) -> Outcome<()> {
        let expressions: Vec<&Expr<Source>> = step.indices.iter().chain([&step.value]).collect();
        let nodes = self.nodes(&step.operands, &expressions);
        let (value, indices) = nodes.split_last().expect("the value is there");
        let out = step.out.buffer;
        let loops = self.loops(&step.axes);
        self.claim(out);
        // Sums are kept in full width and stored once, at the end.
        let mut totals: BTreeMap<i64, Total> = BTreeMap::new();
        let mut evaluate = Evaluate::new(&*self, self.point.clone(), 0);
        evaluate.for_each_point(&loops, &mut |at| {
            let mut element = step.out.offset;
            for (dim, (index, &(extent, stride))) in indices.iter().zip(&step.out.dims).enumerate() {
                let index = at.index(index)?;
                let inside = place_inside(index, extent, &step.outside).ok_or_else(|| {
                    let tensor = at.memory.name(out.number()).to_string();
                    Box::new(Fault {
                        place: step.place,
                        tensor,
                        checked: Checked::Index(dim),
                        extent,
                        value: index,
                    })
                })?;
                element += inside as i64 * stride;
            }
            let value = at.value(value)?;
            let total = totals.entry(element).or_insert_with(|| {
                let mut total = Total::new(step.value.dtype());
                total.push(at.memory.load(out.number(), element));
                total
            });
            total.push(value);
            Ok(())
        })?;
        totals.into_iter().for_each(|(element, total)| self.store(out, element, total.value()));
        Ok(())
    }

    fn scan(&mut self, scan: &ScanStep) -> Outcome<()> {
        let steps = self.plan.axes[scan.axis].extent as i64;
        self.scanned.push(scan.axis);
        for step in 0..steps {
            self.point[scan.axis.number()] = if scan.reversed { steps - 1 - step } else { step };
            scan.body.iter().try_for_each(|step| self.step(step))?;
        }
        self.scanned.pop();
        Ok(())
    }
}

/// The element that a view means at a point.
fn element_of(view: &View, point: &[i64]) -> i64 {
    view.strides.iter().fold(view.offset, |sum, &(axis, stride)| sum + stride * point[axis.number()])
}

fn is_plain(expr: &Expr<Source>) -> bool {
    !matches!(expr, Expr::Reduce(_) | Expr::Along(_)) && expr.parts().into_iter().all(is_plain)
}

/// The real or the imaginary part of a value, by the parity of its place.
fn part(value: Scalar, at: i64) -> Scalar {
    Scalar::Real(if at.rem_euclid(2) == 0 { value.re() } else { value.im() })
}
