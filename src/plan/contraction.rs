//! From a product of many operands to steps with two.
//!
//! Numbers and operands without axes wait until the smallest value that they can scale. Axes that only one operand
//! has are summed first. Then the operands are contracted pair by pair in the order that costs least; a pair that
//! sums nothing, or that has no free axis, is a loop nest, every other a contraction. Where no order beats a single
//! loop nest over all axes, that is what runs. Where the intermediates would not fit the memory limit, or would leave the
//! cache though slices that are no more work keep them there (and no pair is a long convolution), some axes are sliced: the
//! pairs run once for each of their values, inside a scan, and add to the result.

use super::convolution;
use super::joint::{Joints, by_stride};
use super::lower::{Lowering, Parts, reduced};
use super::order::{Chosen, Order, Product};
use super::{Contract, Nest, Operand, Place, Reduction, Step, View};
use crate::expr::{AxisId, Expr, Outside, Read, ReduceOp, points};
use crate::graph::{NodeId, Term, is_one};
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::BTreeSet;

/// The bytes of a core's own cache that intermediates may take.
const CACHE: f64 = 524_288.0;

/// An operand or an intermediate: where it lies and over which axes.
#[derive(Clone)]
pub(super) struct Factor {
    pub view: View,
    pub axes: BTreeSet<AxisId>,
}

/// What is multiplied in once, as soon as something small enough is at hand.
pub(super) struct Scale {
    number: Scalar,
    views: Vec<View>,
}

impl Scale {
    pub(super) fn one(dtype: DType) -> Scale {
        Scale { number: one(dtype), views: Vec::new() }
    }

    fn is_one(&self) -> bool {
        is_one(&self.number) && self.views.is_empty()
    }
}

/// What all steps of one contraction share.
pub(super) struct Site {
    name: String,
    pub dtype: DType,
    pub place: Span,
    /// The axes that are fixed while the steps run: those of the scan around and of slices.
    pub fixed: BTreeSet<AxisId>,
    /// Those of slices that run at once: each has intermediates of its own.
    pub apart: Vec<AxisId>,
}

impl Lowering<'_> {
    /// Adds the steps that write a node's first term to its value, or add another there.
    pub(super) fn term(&mut self, id: NodeId, number: usize, term: &Term) {
        let accumulate = number > 0;
        let node = self.graph.node(id);
        let site = Site {
            name: node.name.clone(),
            dtype: node.dtype,
            place: node.place,
            fixed: self.graph.scan_axis(node).into_iter().collect(),
            apart: Vec::new(),
        };
        let out = self.out_view(id);
        let loops: Vec<AxisId> = node.axes().into_iter().filter(|axis| !site.fixed.contains(axis)).collect();
        if let Some(cut) = self.windows.cut(id, number).cloned() {
            return self.in_pieces(&site, &loops, term, &cut, &out, accumulate);
        }
        let mut scale = Scale { number: term.scale, views: Vec::new() };
        let mut factors = Vec::new();
        for operand in &term.operands {
            let view = self.access_view(operand.node, &operand.indices);
            let axes: BTreeSet<AxisId> =
                operand.axes().into_iter().filter(|axis| !site.fixed.contains(axis)).collect();
            if axes.is_empty() {
                scale.views.push(view);
            } else {
                factors.push(Factor { view, axes });
            }
        }
        self.sum_alone(&site, &mut factors, &loops);
        let keep_order = node.keep_order || self.settings.keep_order;
        let Some((pairs, slices)) = self.pairs(&site, &factors, &loops, keep_order) else {
            return self.product_nest(&site, &loops, &factors, scale, out, accumulate);
        };
        if slices.is_empty() {
            return self.pairwise(&site, &loops, factors, &pairs, scale, out, accumulate);
        }
        self.sliced(site, &loops, factors, (&pairs, &slices), scale, out, accumulate);
    }

    /// Adds the step that fills a view with zeros.
    pub(super) fn zero(&mut self, site: &Site, loops: &[AxisId], out: View) {
        self.steps.push(Step::Nest(Nest {
            axes: loops.to_vec(),
            operands: Vec::new(),
            reductions: Vec::new(),
            value: Expr::number(0.0, site.dtype),
            out,
            wanted: None,
            place: site.place,
        }));
    }

    /// Adds the steps of an order of pairs.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn pairwise(
        &mut self,
        site: &Site,
        loops: &[AxisId],
        factors: Vec<Factor>,
        pairs: &[(usize, usize)],
        mut scale: Scale,
        out: View,
        accumulate: bool,
    ) {
        let joints = Joints::new(&factors, pairs, loops, &self.plan.axes);
        // The operands and results at hand; a product that waits for its reader is there as its factors.
        let mut live: Vec<Vec<Factor>> = factors.into_iter().map(|factor| vec![factor]).collect();
        for (k, &(a, b)) in pairs.iter().enumerate() {
            let joint = joints.get(k);
            let mut operands = std::mem::take(&mut live[a]);
            operands.append(&mut live[b]);
            if joint.waits {
                live.push(operands);
                continue;
            }
            let last = k + 1 == pairs.len();
            let order = match last {
                true => loops.to_vec(),
                false => joints.order(k, &operands, &live, loops, &self.plan.axes),
            };
            let view = if last { out.clone() } else { self.scratch(site, &order) };
            if let (true, [a, b]) = (joint.contracts, &operands[..]) {
                // A result smaller than its operands is scaled itself.
                let elems = |axes: &BTreeSet<AxisId>| points(&self.plan.axes, axes);
                let least = elems(&a.axes).min(elems(&b.axes));
                let is_late = last && !accumulate && points(&self.plan.axes, loops) < least;
                let mut late = Scale::one(site.dtype);
                if is_late {
                    std::mem::swap(&mut scale, &mut late);
                }
                let (a, b) = self.scaled(site, a.clone(), b.clone(), &mut scale);
                // An axis of extent 1 may have left the operands, where its strides add up to 0.
                let mut out = view.clone();
                let is_there = |axis| [&a.view, &b.view].iter().any(|view| view.stride(axis) != 0);
                out.strides.retain(|term| site.fixed.contains(&term.0) || is_there(term.0));
                self.steps.push(Step::Contract(Contract {
                    a: a.view,
                    b: b.view,
                    out,
                    dtype: site.dtype,
                    accumulate: last && accumulate,
                    wanted: None,
                    band: None,
                    place: site.place,
                }));
                if !late.is_one() {
                    let axes = loops.iter().copied().collect();
                    let whole = Factor { view: view.clone(), axes };
                    self.product_nest(site, loops, &[whole], late, view.clone(), false);
                }
            } else {
                let scale = std::mem::replace(&mut scale, Scale::one(site.dtype));
                self.product_nest(site, &order, &operands, scale, view.clone(), last && accumulate);
            }
            live.push(vec![Factor { view, axes: joint.kept.clone() }]);
        }
    }

    /// Sums every axis that only one operand has and the result lacks, operand by operand.
    fn sum_alone(&mut self, site: &Site, factors: &mut [Factor], loops: &[AxisId]) {
        if factors.len() < 2 {
            return;
        }
        for k in 0..factors.len() {
            let alone = |axis: &AxisId| {
                !loops.contains(axis)
                    && factors
                        .iter()
                        .enumerate()
                        .all(|(other, factor)| other == k || !factor.axes.contains(axis))
            };
            let (gone, kept): (Vec<AxisId>, Vec<AxisId>) = factors[k].axes.iter().copied().partition(alone);
            if gone.is_empty() || kept.is_empty() {
                continue;
            }
            let order = by_stride(&kept, &factors[k].view);
            let view = self.scratch(site, &order);
            let scale = Scale::one(site.dtype);
            let factor = factors[k].clone();
            self.product_nest(site, &order, &[factor], scale, view.clone(), false);
            factors[k] = Factor { view, axes: kept.into_iter().collect() };
        }
    }

    /// The order of pairs and the axes to slice, or `None` where one loop nest does it.
    fn pairs(
        &mut self,
        site: &Site,
        factors: &[Factor],
        loops: &[AxisId],
        keep_order: bool,
    ) -> Option<(Vec<(usize, usize)>, Vec<AxisId>)> {
        if factors.len() < 2 {
            return None;
        }
        if keep_order || factors.len() == 2 {
            return Some((Order::left_to_right(factors.len()).pairs, Vec::new()));
        }
        let all: Vec<AxisId> = factors
            .iter()
            .flat_map(|factor| factor.axes.iter().copied())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let wanted: BTreeSet<AxisId> = loops.iter().copied().collect();
        let number = |axis: &AxisId| all.iter().position(|other| other == axis).map(|k| k as u32);
        let product = Product {
            extents: all.iter().map(|&axis| self.plan.axes[axis].extent).collect(),
            operands: factors.iter().map(|factor| factor.axes.iter().filter_map(number).collect()).collect(),
            output: wanted.iter().filter_map(number).collect(),
            bytes: site.dtype.bytes() as u64,
        };
        // Slices would leave long convolutions row by row.
        let kept = |axis| loops.contains(&axis);
        let windows =
            factors.iter().any(|factor| convolution::reads_windows(&factor.view, &kept, &self.plan.axes));
        let order = self.orders.order(&product, self.limit).map(|order| match self.limit {
            None if !self.whole && !windows => {
                let row = loops.last().and_then(number);
                self.orders.cached(&product, order, CACHE / site.dtype.bytes() as f64, row)
            }
            _ => order,
        });
        if let Some(network) = product.network() {
            self.plan.orders.push(Chosen {
                network,
                name: site.name.clone(),
                axes: all.iter().map(|&axis| self.plan.axes[axis].name.clone()).collect(),
                path: order.as_ref().map_or(Vec::new(), |order| order.pairs.clone()),
                slices: order.as_ref().map_or(Vec::new(), |order| order.slices.clone()),
                element_bytes: product.bytes,
            });
        }
        let order = order?;
        Some((order.pairs, order.slices.into_iter().map(|k| all[k as usize]).collect()))
    }

    /// Multiplies the scale into the smaller operand of a contraction.
    fn scaled(&mut self, site: &Site, a: Factor, b: Factor, scale: &mut Scale) -> (Factor, Factor) {
        if scale.is_one() {
            return (a, b);
        }
        let scale = std::mem::replace(scale, Scale::one(site.dtype));
        let first = points(&self.plan.axes, &a.axes) <= points(&self.plan.axes, &b.axes);
        let small = if first { a.clone() } else { b.clone() };
        let order = by_stride(&small.axes, &small.view);
        let view = self.scratch(site, &order);
        let axes = small.axes.clone();
        self.product_nest(site, &order, &[small], scale, view.clone(), false);
        let scaled = Factor { view, axes };
        if first { (scaled, b) } else { (a, scaled) }
    }

    /// Adds the loop nest `out = scale * sum(product of factors)`.
    pub(super) fn product_nest(
        &mut self,
        site: &Site,
        loops: &[AxisId],
        factors: &[Factor],
        scale: Scale,
        out: View,
        accumulate: bool,
    ) {
        let kept: BTreeSet<AxisId> = loops.iter().copied().collect();
        let summed: BTreeSet<AxisId> =
            factors.iter().flat_map(|f| f.axes.iter().copied()).filter(|axis| !kept.contains(axis)).collect();
        let mut parts = Parts::default();
        let inner: Vec<Expr<_>> = factors.iter().map(|f| self.read(&f.view, site, &mut parts)).collect();
        let mut outer: Vec<Expr<_>> = Vec::new();
        if !is_one(&scale.number) {
            outer.push(Expr::Const(scale.number, site.dtype));
        }
        outer.extend(scale.views.iter().map(|view| self.read(view, site, &mut parts)));
        if summed.is_empty() {
            outer.extend(inner);
        } else {
            let body = product(inner, site.dtype);
            let axes = summed.into_iter().collect();
            parts.reductions.push(Reduction { op: ReduceOp::Sum, axes, body });
            outer.push(reduced(0, site.dtype));
        }
        let mut value = product(outer, site.dtype);
        if accumulate {
            let before = self.read(&out, site, &mut parts);
            value = Expr::Sum(vec![before, value]);
        }
        let axes = loops.to_vec();
        self.steps.push(Step::Nest(Nest {
            axes,
            operands: parts.operands,
            reductions: parts.reductions,
            value,
            out,
            wanted: None,
            place: site.place,
        }));
    }

    /// The element of a view at the loops' position.
    fn read(&self, view: &View, site: &Site, parts: &mut Parts) -> Expr<super::Source> {
        let dims = view.strides.iter().map(|&(axis, stride)| (self.plan.axes[axis].extent, stride)).collect();
        let source = parts.add(Operand { buffer: view.buffer, offset: view.offset, dims });
        Expr::Read(Read {
            source,
            dtype: site.dtype,
            indices: view.strides.iter().map(|&(axis, _)| Expr::Index(axis)).collect(),
            outside: Outside::Never,
            place: site.place,
        })
    }

    /// A new intermediate with these axes, the last contiguous.
    pub(super) fn scratch(&mut self, site: &Site, order: &[AxisId]) -> View {
        let mut stride = 1u64;
        let mut strides = Vec::with_capacity(site.apart.len() + order.len());
        for &axis in site.apart.iter().chain(order).rev() {
            strides.push((axis, i64::try_from(stride).unwrap_or(i64::MAX)));
            stride = stride.saturating_mul(self.plan.axes[axis].extent);
        }
        strides.reverse();
        let name =
            format!("{}.{}", site.name, order.iter().map(|&x| &*self.plan.axes[x].name).collect::<String>());
        let buffer = self.buffer(&name, site.dtype, stride, Place::Arena(0));
        View { buffer, offset: 0, strides }
    }
}

fn one(dtype: DType) -> Scalar {
    if dtype.is_complex() {
        Scalar::Complex(1.0, 0.0)
    } else if dtype.is_float() {
        Scalar::Real(1.0)
    } else {
        Scalar::Int(1)
    }
}

fn product(mut factors: Vec<Expr<super::Source>>, dtype: DType) -> Expr<super::Source> {
    match factors.len() {
        0 => Expr::number(1.0, dtype),
        1 => factors.remove(0),
        _ => Expr::Product(factors),
    }
}
