//! Reads and writes of tensors: addresses, bounds checks, vectors of elements side by side.

use super::build::{Builder, Lin};
use super::expr::{Point, Scope, Val};
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, Outside, Read};
use crate::fault::Checked;
use crate::loops::*;
use crate::plan::{Operand, Source};

impl Builder {
    /// The address of a read whose indices are affine and inside, as a form of axes.
    fn plain_address(&self, read: &Read<Source>, scope: &Scope, point: &Point) -> Option<(BufferId, Affine)> {
        let Source::Operand(number) = read.source else { return None };
        let operand = &scope.operands[number as usize];
        let mut address = Affine { terms: Vec::new(), constant: operand.offset };
        for (index, &(extent, stride)) in read.indices.iter().zip(&operand.dims) {
            let affine = self.affine_at(index, point)?;
            let inside = match read.outside {
                Outside::Never | Outside::Trust => true,
                _ => self.inside(&affine, extent, point),
            };
            if !inside {
                return None;
            }
            address = address.plus(&affine.scaled(stride)?)?;
        }
        Some((BufferId(operand.buffer.0), address))
    }

    /// Whether an affine index stays within an extent in all lanes.
    pub(super) fn inside(&self, affine: &Affine, extent: u64, point: &Point) -> bool {
        let (low, high) = self.reach(affine, point);
        low >= 0 && high < i128::from(extent)
    }

    /// The least and greatest value of an affine index over the loops and lanes.
    pub(super) fn reach(&self, affine: &Affine, point: &Point) -> (i128, i128) {
        let (mut low, mut high) = self.bounds(&point.lin(affine));
        if let Some((axis, lanes)) = point.vector {
            let by = affine.coefficient(axis);
            let reach = i128::from(by) * i128::from(lanes - 1);
            low += reach.min(0);
            high += reach.max(0);
        }
        (low, high)
    }

    /// What an affine index makes of one value of an axis, and the least and greatest value of its rest, over all values of
    /// axes that are not known yet.
    pub(super) fn spread(
        &self,
        affine: &Affine,
        axis: AxisId,
        axes: &Axes,
        outer: &Point,
    ) -> (i128, i128, i128) {
        let by = affine.coefficient(axis);
        let (mut low, mut high) = (i128::from(affine.constant), i128::from(affine.constant));
        for &(other, by) in affine.terms.iter().filter(|term| term.0 != axis) {
            let (least, most) = match outer.axes.iter().find(|known| known.0 == other) {
                Some((_, lin)) => self.bounds(lin),
                None => (0, i128::from(axes[other].extent) - 1),
            };
            let ends = [least, most].map(|end| end * i128::from(by));
            low += ends[0].min(ends[1]);
            high += ends[0].max(ends[1]);
        }
        (i128::from(by), low, high)
    }

    /// A load without computed indices: a vector if the lanes lie side by side, a scalar if they are one element.
    pub(super) fn plain_load(
        &mut self,
        read: &Read<Source>,
        to: DType,
        scope: &Scope,
        point: &Point,
    ) -> Option<ValueId> {
        let (buffer, address) = self.plain_address(read, scope, point)?;
        let along = point.vector.map_or(0, |vector| {
            address.terms.iter().find(|term| term.0 == vector.0).map_or(0, |term| term.1)
        });
        let lanes = match along {
            0 => 1,
            1 => point.lanes(),
            _ => return None,
        };
        let lin = point.lin(&address);
        let address = Address { buffer, offset: lin.offset, terms: lin.terms, dynamic: None };
        Some(self.make(Type { dtype: to, lanes }, Op::Load(read.dtype, address)))
    }

    pub(super) fn read(
        &mut self,
        read: &Read<Source>,
        scope: &Scope,
        point: &Point,
        expr: &Expr<Source>,
    ) -> Val {
        let number = match read.source {
            Source::Reduced(number) => {
                return scope.reduced[number as usize].map(|value| {
                    if self.ty(value).lanes > 1 && point.vector.is_none() {
                        let dtype = self.ty(value).dtype;
                        self.make(Type::scalar(dtype), Op::Lane(value, point.lane))
                    } else {
                        value
                    }
                });
            }
            Source::Operand(number) => number as usize,
        };
        let operand = &scope.operands[number];
        if read.dtype.is_complex() {
            let point = point.of_lane(0);
            if let Some((buffer, address)) = self.plain_address(read, scope, &point) {
                let lin = point.lin(&address);
                return self.load_pair(read.dtype, buffer, lin, None);
            }
        } else if let Some(value) = self.plain_load(read, read.dtype, scope, point) {
            return Val::One(value);
        }
        if let Outside::Else(other) = &read.outside {
            let is_outside = |(index, &(extent, _)): (&Expr<Source>, &(u64, i64))| {
                self.affine_at(index, point).is_some_and(|affine| {
                    let (low, high) = self.reach(&affine, point);
                    high < 0 || low >= i128::from(extent)
                })
            };
            if read.indices.iter().zip(&operand.dims).any(is_outside) {
                return self.value(other, scope, point);
            }
        }
        let lanes = self.guarded_lanes(read, operand, point);
        if point.lanes() > 1 && lanes.is_none() {
            return self.lane_by_lane(expr, scope, point);
        }
        let lanes = lanes.unwrap_or(1);
        let buffer = BufferId(operand.buffer.0);
        let tensor = self.loops.buffers[buffer].name.clone();
        let mut lin = Lin::constant(operand.offset);
        let mut computed: Option<ValueId> = None;
        let mut inside: Option<ValueId> = None;
        for (dim, (index, &(extent, stride))) in read.indices.iter().zip(&operand.dims).enumerate() {
            let affine = self.affine_at(index, point);
            let fits = affine.as_ref().is_some_and(|affine| self.inside(affine, extent, point));
            let free = fits || matches!(read.outside, Outside::Never | Outside::Trust);
            if let (true, Some(affine)) = (free, &affine) {
                lin = lin.plus(&point.lin(affine), stride);
                continue;
            }
            let mut value = self.value(index, scope, point).one();
            if !fits {
                match read.outside {
                    Outside::Never | Outside::Trust => {}
                    Outside::Clamp if extent > 0 => value = self.clamp(value, extent),
                    Outside::Checked | Outside::Clamp => {
                        let checked = Checked::Index(dim);
                        let site = Site { place: read.place, tensor: tensor.clone(), checked, extent };
                        let site = self.site(site);
                        self.check(value, extent, site);
                    }
                    Outside::Else(_) => {
                        let fits = self.within(value, extent);
                        inside = Some(match inside {
                            None => fits,
                            Some(others) => self.lang(Binary::And, others, fits),
                        });
                    }
                }
            }
            let by = self.int(stride);
            let part = self.mul(value, by);
            computed = Some(match computed {
                None => part,
                Some(sum) => self.add(sum, part),
            });
        }
        match (&read.outside, inside) {
            (Outside::Else(other), Some(inside)) => {
                // Under the condition the address is inside, but not for all values of the loop variables.
                let rest = self.index(&lin);
                let computed = computed.map_or(rest, |sum| self.add(sum, rest));
                self.either(
                    inside,
                    &mut |builder| {
                        builder.load_wide(read.dtype, buffer, Lin::default(), Some(computed), lanes)
                    },
                    &mut |builder| match builder.value(other, scope, point) {
                        Val::One(value) => Val::One(builder.widen(value, lanes)),
                        pair => pair,
                    },
                )
            }
            _ => self.load_wide(read.dtype, buffer, lin, computed, lanes),
        }
    }

    /// How many elements side by side a read gives whose indices are computed or checked, if those that are depend on
    /// no lane: all lanes, or 1 where they are one element. `None` where each lane is read for itself.
    fn guarded_lanes(&self, read: &Read<Source>, operand: &Operand, point: &Point) -> Option<u8> {
        let (axis, lanes) = point.vector?;
        if vector_lanes(read.dtype) != lanes || read.dtype.is_complex() {
            return None;
        }
        let mut along = 0i64;
        for (index, &(extent, stride)) in read.indices.iter().zip(&operand.dims) {
            if !index.free_axes().contains(&axis) {
                let mut same = true;
                index.for_each_read(&mut |read| same &= matches!(read.source, Source::Operand(_)));
                if !same {
                    return None;
                }
                continue;
            }
            let affine = index.affine()?;
            let by = affine.coefficient(axis);
            let free = matches!(read.outside, Outside::Never | Outside::Trust);
            if !free && !self.inside(&affine, extent, point) {
                return None;
            }
            along = along.checked_add(by.checked_mul(stride)?)?;
        }
        match along {
            0 => Some(1),
            1 => Some(lanes),
            _ => None,
        }
    }

    /// Elements side by side.
    fn load_wide(
        &mut self,
        dtype: DType,
        buffer: BufferId,
        lin: Lin,
        dynamic: Option<ValueId>,
        lanes: u8,
    ) -> Val {
        if lanes == 1 {
            return self.load(dtype, buffer, lin, dynamic);
        }
        let address = Address { buffer, offset: lin.offset, terms: lin.terms, dynamic };
        Val::One(self.make(Type { dtype, lanes }, Op::Load(dtype, address)))
    }

    /// `0 <= value < extent`.
    pub(super) fn within(&mut self, value: ValueId, extent: u64) -> ValueId {
        let (zero, end) = (self.int(0), self.int(i64::try_from(extent).unwrap_or(i64::MAX)));
        let low = self.lang(Binary::Ge, value, zero);
        let high = self.lang(Binary::Lt, value, end);
        self.lang(Binary::And, low, high)
    }

    /// The nearest value in `0..extent`.
    pub(super) fn clamp(&mut self, value: ValueId, extent: u64) -> ValueId {
        let (zero, last) = (self.int(0), self.int(i64::try_from(extent).unwrap_or(i64::MAX) - 1));
        let value = self.lang(Binary::Min, value, last);
        self.lang(Binary::Max, value, zero)
    }

    /// One element.
    pub(super) fn load(&mut self, dtype: DType, buffer: BufferId, lin: Lin, dynamic: Option<ValueId>) -> Val {
        if dtype.is_complex() {
            return self.load_pair(dtype, buffer, lin, dynamic);
        }
        let address = Address { buffer, offset: lin.offset, terms: lin.terms, dynamic };
        Val::One(self.make(Type::scalar(dtype), Op::Load(dtype, address)))
    }

    fn load_pair(&mut self, dtype: DType, buffer: BufferId, lin: Lin, dynamic: Option<ValueId>) -> Val {
        let part = dtype.real_part();
        let [re, im] = self.part_addresses(buffer, &lin, dynamic);
        let [re, im] = [re, im].map(|address| self.make(Type::scalar(part), Op::Load(part, address)));
        Val::Pair(re, im)
    }

    /// Where the two parts of a complex element are, in elements of the parts.
    fn part_addresses(&mut self, buffer: BufferId, lin: &Lin, dynamic: Option<ValueId>) -> [Address; 2] {
        let double = Lin::default().plus(lin, 2);
        let dynamic = dynamic.map(|value| {
            let two = self.int(2);
            self.mul(value, two)
        });
        [0, 1].map(|part| Address {
            buffer,
            offset: double.offset + part,
            terms: double.terms.clone(),
            dynamic,
        })
    }

    /// Writes a value to one element, or to lanes with a stride between them.
    pub(super) fn write(
        &mut self,
        buffer: BufferId,
        lin: &Lin,
        along: i64,
        dynamic: Option<ValueId>,
        value: Val,
    ) {
        let at = |lin: Lin| Address { buffer, offset: lin.offset, terms: lin.terms, dynamic };
        match value {
            Val::Pair(re, im) => {
                let [first, second] = self.part_addresses(buffer, lin, dynamic);
                self.store(first, re);
                self.store(second, im);
            }
            Val::One(value) if self.ty(value).lanes == 1 || along == 1 => self.store(at(lin.clone()), value),
            Val::One(value) => {
                let ty = self.ty(value);
                for lane in 0..ty.lanes {
                    let one = self.make(Type::scalar(ty.dtype), Op::Lane(value, lane));
                    self.store(at(lin.shifted(along * i64::from(lane))), one);
                }
            }
        }
    }
}
