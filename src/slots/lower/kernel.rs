//! Steps that are one contraction, by the [kernels](crate::slots::kernel) planned for it.
//!
//! A kernel is a circuit over layouts; here layouts become packings and its steps instructions. Kernels stand beside
//! the working layouts of the search, and whichever makes the program cheaper is kept.

use super::acquire::Held;
use super::network::{Factor, Network, Step, StepKind, Term};
use super::product::Places;
use super::working::row_major;
use crate::expr::Affine;
use crate::slots::kernel::{Contraction, Kernel, Operand, Placement, Request, kernels};
use crate::slots::layout::{Axis, Layout, Piece, Term as Share};
use crate::slots::linear::{self, Plain as Vector};
use crate::slots::packing::Rest;
use crate::slots::{Builder, Digit, Kind, Packing, Plain, PlainSource, ValueId};
use std::rc::Rc;
use std::sync::Arc;

/// The levels that kernels of one step may take, beyond those of its products.
const LEVELS: usize = 9;

/// The most factors of a product that kernels are planned for: assignments grow with a power of them.
const MOST_FACTORS: usize = 5;

/// What kernels were planned: their searches take most of the time of a lowering, and partial programs ask alike.
#[derive(Debug, Default)]
pub struct Planned(Vec<(Request, Rc<[Kernel]>)>);

impl Planned {
    /// The kernels of a step that is one product of whole tensors; `row` where its target is handed over row by row.
    pub fn kernels(
        &mut self,
        network: &Network,
        step: &Step,
        places: &Places,
        slots: u32,
        row: bool,
    ) -> Rc<[Kernel]> {
        let Some(request) = request(network, step, places, slots, row) else { return Rc::new([]) };
        if let Some((_, known)) = self.0.iter().find(|(known, _)| *known == request) {
            return Rc::clone(known);
        }
        let mut found = kernels(&request);
        found.retain(|kernel| kernel_packings(kernel).is_some());
        let found: Rc<[Kernel]> = found.into();
        self.0.push((request, Rc::clone(&found)));
        found
    }
}

/// What is asked of the kernels of a step.
fn request(network: &Network, step: &Step, places: &Places, slots: u32, row: bool) -> Option<Request> {
    let (term, contraction) = contraction(network, step)?;
    let mut operands = Vec::new();
    for factor in &term.factors {
        let tensor = &network.tensors[factor.tensor];
        operands.push(match places.held.get(&factor.tensor) {
            _ if tensor.input && places.free => Placement::Free,
            Some(held) => Placement::Given(layout(&held.packing)?),
            None => return None,
        });
    }
    operands.extend(term.clear.iter().map(|_| Placement::Free));
    let shape = &network.tensors[step.target].shape;
    let output = match row {
        true => Placement::Given(layout(&*row_major(shape, slots)?)?),
        false => Placement::Loose,
    };
    let products = (operands.len().max(1)).next_power_of_two().ilog2() as usize;
    let levels = products + LEVELS;
    Some(Request { contraction, slots: slots as usize, operands, output, levels })
}

/// The term of a step that is nothing else, and its contraction.
fn contraction<'a>(network: &Network, step: &'a Step) -> Option<(&'a Term, Contraction)> {
    let StepKind::Products(terms) = &step.kind else { return None };
    let [term] = &terms[..] else { return None };
    if term.factors.is_empty() || term.factors.len() > MOST_FACTORS || term.scale != 1.0 {
        return None;
    }
    let extent = |axis: usize| step.axes[axis].1;
    let whole = |access: &[Affine], shape: &[u64]| -> Option<Vec<usize>> {
        let axes = access.iter().map(|index| Some(index.axis()?.0 as usize)).collect::<Option<Vec<_>>>()?;
        axes.iter().zip(shape).all(|(axis, dim)| extent(*axis) == *dim).then_some(axes)
    };
    let mut operands = Vec::new();
    for Factor { tensor, access } in &term.factors {
        operands.push(Operand { axes: whole(access, &network.tensors[*tensor].shape)?, clear: false });
    }
    if let Some(Factor { tensor, access }) = &term.clear {
        operands.push(Operand { axes: whole(access, &network.clears[*tensor].shape)?, clear: true });
    }
    let output = whole(&step.dims, &network.tensors[step.target].shape)?;
    let axis = |(name, extent): &(String, u64)| {
        Some(Axis { name: name.clone(), extent: usize::try_from(*extent).ok()? })
    };
    let axes = step.axes.iter().map(axis).collect::<Option<Vec<_>>>()?;
    // The kernels sum over every axis that the output lacks.
    let summed = |axis: &usize| output.contains(axis) != term.sum.contains(axis);
    operands.iter().flat_map(|operand| &operand.axes).all(summed).then_some(())?;
    Some((term, Contraction { axes, operands, output }))
}

/// A packing of a tensor by its own dims as a layout.
fn layout(packing: &Packing) -> Option<Layout> {
    if packing.rest == Rest::Unknown || packing.padding == Rest::Unknown {
        return None;
    }
    let mut dims = vec![None; packing.axes.len()];
    for (dim, (index, extent)) in packing.access.iter().zip(&packing.shape).enumerate() {
        let axis = index.axis()?.0 as usize;
        let own = dims.get_mut(axis)?;
        if own.is_some() || packing.axes[axis].1 != *extent {
            return None;
        }
        *own = Some(dim);
    }
    let piece = |digit: &Digit| {
        let extent = digit.extent as usize;
        Some(match digit.kind {
            Kind::Axis { axis, by } => Piece::Digit { axis: dims[axis]?, div: by as usize, extent },
            Kind::Skew { axis, less } => {
                let terms =
                    [(axis, 1), (less, -1)].map(|(axis, factor)| Some(Share { axis: dims[axis]?, factor }));
                Piece::Affine { terms: terms.into_iter().collect::<Option<_>>()?, extent }
            }
            Kind::Copy => Piece::Copy(extent),
            Kind::Zero => Piece::Zero(extent),
            Kind::Unknown => Piece::Unknown(extent),
        })
    };
    let axes = packing.access.iter().zip(&packing.shape).map(|(index, extent)| {
        let name = packing.axes[index.axis()?.0 as usize].0.clone();
        Some(Axis { name, extent: *extent as usize })
    });
    Some(Layout {
        axes: axes.collect::<Option<_>>()?,
        ciphertexts: packing.outer.iter().map(piece).collect::<Option<_>>()?,
        slots: packing.inner.iter().map(piece).collect::<Option<_>>()?,
        unknown_rest: false,
    })
}

/// A layout as a packing of a tensor by its own dims, if it is skewed by differences of two only.
fn packing(layout: &Layout) -> Option<Arc<Packing>> {
    let digit = |piece: &Piece| {
        let kind = match piece {
            Piece::Digit { axis, div, .. } => Kind::Axis { axis: *axis, by: u32::try_from(*div).ok()? },
            Piece::Copy(_) => Kind::Copy,
            Piece::Zero(_) => Kind::Zero,
            Piece::Unknown(_) => Kind::Unknown,
            Piece::Affine { terms, .. } => match terms[..] {
                [Share { axis, factor: 1 }, Share { axis: less, factor: -1 }] => Kind::Skew { axis, less },
                _ => return None,
            },
        };
        Some(Digit { kind, extent: u32::try_from(piece.extent()).ok()? })
    };
    let rest = if layout.unknown_rest { Rest::Unknown } else { Rest::Zero };
    Some(Arc::new(Packing {
        axes: layout.axes.iter().map(|axis| (axis.name.clone(), axis.extent as u64)).collect(),
        outer: layout.ciphertexts.iter().map(digit).collect::<Option<_>>()?,
        inner: layout.slots.iter().map(digit).collect::<Option<_>>()?,
        access: Packing::own_access(layout.axes.len()),
        shape: layout.axes.iter().map(|axis| axis.extent as u64).collect(),
        rest,
        padding: rest,
    }))
}

/// The packings of a kernel's operands and of its output.
fn kernel_packings(kernel: &Kernel) -> Option<(Vec<Arc<Packing>>, Arc<Packing>)> {
    let operands = kernel.operands.iter().map(packing).collect::<Option<Vec<_>>>()?;
    Some((operands, packing(&kernel.output)?))
}

/// The instructions of a kernel; the target's ciphertexts.
pub fn emit(
    b: &mut Builder,
    network: &Network,
    step: &Step,
    places: &Places,
    kernel: &Kernel,
) -> Option<Held> {
    b.span = step.span;
    let (term, _) = contraction(network, step)?;
    let (packings, output) = kernel_packings(kernel)?;
    let mut stained = term.clear.is_some();
    let mut operands: Vec<Vec<ValueId>> = Vec::new();
    for (factor, packing) in term.factors.iter().zip(&packings) {
        let tensor = &network.tensors[factor.tensor];
        if tensor.input && places.free {
            operands.push(b.input(&tensor.name, &tensor.shape, packing));
            continue;
        }
        let held = places.held.get(&factor.tensor)?;
        stained |= held.stained;
        operands.push(held.values.clone());
    }
    let clear = term.clear.as_ref().map(|factor| {
        let clear = &network.clears[factor.tensor];
        b.clear(&clear.name, &clear.shape)
    });
    let mut values: Vec<ValueId> = Vec::with_capacity(kernel.circuit.steps.len());
    for circuit_step in &kernel.circuit.steps {
        let value = match *circuit_step {
            linear::Step::Input { operand, ciphertext } => *operands.get(operand)?.get(ciphertext)?,
            linear::Step::Rotate(of, by) => b.rotate(values[of], by as i64),
            linear::Step::MulPlain(of, plain) => {
                let vector = match &kernel.circuit.plains[plain] {
                    Vector::Mask(set) => {
                        let ones: Vec<(u32, u32)> = set.iter().map(|slot| (slot as u32, 0)).collect();
                        Plain::of(1.0, PlainSource::Ones, &ones)
                    }
                    Vector::Clear { elements, .. } => Plain::of(1.0, PlainSource::Clear(clear?), elements),
                };
                let plain = b.plain(vector);
                b.mul_plain(values[of], plain)
            }
            linear::Step::Add(one, other) => b.add(values[one], values[other]),
            linear::Step::Mul(one, other) => b.mul(values[one], values[other]),
            linear::Step::Relinearize(of) => b.relinearized(values[of]),
            linear::Step::Rescale(of) => b.rescaled(values[of]),
        };
        values.push(value);
    }
    let results: Vec<ValueId> = kernel.circuit.outputs.iter().map(|output| values[*output]).collect();
    if results.len() != output.ciphertexts() {
        return None;
    }
    for (number, value) in results.iter().enumerate() {
        b.place(*value, &output, number as u32);
    }
    Some(Held { packing: output, values: results, stained })
}
