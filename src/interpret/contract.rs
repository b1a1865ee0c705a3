//! Large sums of products, one axis at a time.
//!
//! This is the one place where the judge does not compute as the definition says: a sum over many axes of a product of
//! many factors has too many points to visit. As multiplication distributes over addition, each axis can be summed as
//! soon as all factors that have it are multiplied:
//!
//! ```text
//! sum[j,k](a[i,j] * b[j,k] * c[k,l])  =  sum[j](a[i,j] * sum[k](b[j,k] * c[k,l]))
//! ```
//!
//! The next axis is always the one that leaves the smallest table. In integers the result is the same; in reals it
//! differs by rounding in `f64`. It is used from [`FEW`] multiplications on, and only where no read can fail, for it
//! evaluates factors at points that a lazy branch would have skipped.

use super::eval::{Evaluate, Memory, Node, Outcome, Prepare, Range, ranges};
use super::join::Total;
use super::value::{multiply, number};
use crate::expr::{AxisId, Expr, Outside};
use einc_runtime::{DType, Scalar};
use std::collections::BTreeMap;

/// Up to so many multiplications the definition is followed.
pub const FEW: u128 = 1 << 21;

/// A sum of products that is computed whole.
pub struct Contraction {
    factors: Vec<(Vec<Range>, Node)>,
    summed: Vec<Range>,
    free: Vec<Range>,
    dtype: DType,
}

/// Values over axes, row-major.
struct Table {
    axes: Vec<Range>,
    values: Vec<Scalar>,
}

impl Contraction {
    /// The contraction of these factors over `summed` into `free`, if it pays and cannot fail.
    pub fn new<S>(
        prepare: &mut Prepare<'_, S>,
        summed: &[AxisId],
        free: &[Range],
        factors: &[Expr<S>],
    ) -> Option<Contraction> {
        let summed = ranges(summed, prepare.axes);
        let points = size(summed.iter().chain(free));
        if points == 0 || points.saturating_mul(factors.len() as u128) <= FEW {
            return None;
        }
        if factors.iter().any(can_fail) {
            return None;
        }
        let mut prepared = Vec::new();
        for factor in factors {
            let depends = factor.free_axes();
            let axes = free.iter().chain(&summed).filter(|range| depends.contains(&range.axis));
            prepared.push((axes.copied().collect(), prepare.node(factor)));
        }
        Some(Contraction { factors: prepared, summed, free: free.to_vec(), dtype: factors[0].dtype() })
    }

    /// Its values over the free axes, row-major.
    pub fn values<M: Memory>(&self, at: &mut Evaluate<'_, M>) -> Outcome<Vec<Scalar>> {
        let mut tables = Vec::new();
        for (axes, node) in &self.factors {
            let mut values = Vec::new();
            at.for_each_point(axes, &mut |at| {
                values.push(at.value(node)?);
                Ok(())
            })?;
            tables.push(Table { axes: axes.clone(), values });
        }
        let mut summed = self.summed.clone();
        while !summed.is_empty() {
            self.sum_one_axis(&mut tables, &mut summed);
        }
        Ok(combine(&tables, &self.free, &[], self.dtype))
    }

    /// Sums over the axis that leaves the smallest table, and over those that nothing else has then.
    fn sum_one_axis(&self, tables: &mut Vec<Table>, summed: &mut Vec<Range>) {
        let mut users: BTreeMap<AxisId, Vec<usize>> = BTreeMap::new();
        for (number, table) in tables.iter().enumerate() {
            table.axes.iter().for_each(|range| users.entry(range.axis).or_default().push(number));
        }
        if let Some(unused) = summed.iter().position(|range| !users.contains_key(&range.axis)) {
            let extent = Scalar::Int(summed.remove(unused).extent.into());
            tables.push(Table { axes: Vec::new(), values: vec![extent.cast(self.dtype)] });
            return;
        }
        let choices = summed.iter().map(|range| Choice::new(range, tables, summed, &users));
        let Choice { outer, inner, involved, .. } =
            choices.min_by_key(|choice| choice.cost).expect("an axis is left");
        summed.retain(|range| !inner.contains(range));
        let mut taken: Vec<Table> = involved.iter().rev().map(|&number| tables.remove(number)).collect();
        taken.reverse();
        let values = combine(&taken, &outer, &inner, self.dtype);
        tables.push(Table { axes: outer, values });
    }
}

/// Multiplying all tables that have an axis, and summing over it.
struct Choice {
    /// The tables.
    involved: Vec<usize>,
    /// The axes that end with them.
    inner: Vec<Range>,
    /// The axes that stay.
    outer: Vec<Range>,
    /// Elements of the new table, then multiplications.
    cost: [u128; 2],
}

impl Choice {
    fn new(
        range: &Range,
        tables: &[Table],
        summed: &[Range],
        users: &BTreeMap<AxisId, Vec<usize>>,
    ) -> Choice {
        let involved = users[&range.axis].clone();
        let mut all: Vec<Range> = Vec::new();
        for axis in involved.iter().flat_map(|&number| &tables[number].axes) {
            if !all.contains(axis) {
                all.push(*axis);
            }
        }
        let ends_here = |axis: &Range| {
            summed.contains(axis) && users[&axis.axis].iter().all(|number| involved.contains(number))
        };
        let (inner, outer): (Vec<Range>, Vec<Range>) = all.iter().partition(|axis| ends_here(axis));
        let cost = [size(&outer), size(&all)];
        Choice { involved, inner, outer, cost }
    }
}

fn size<'a>(ranges: impl IntoIterator<Item = &'a Range>) -> u128 {
    ranges.into_iter().fold(1u128, |size, range| size.saturating_mul(range.extent.into()))
}

fn can_fail<S>(expr: &Expr<S>) -> bool {
    let mut fails = false;
    expr.for_each_read(&mut |read| fails |= !matches!(read.outside, Outside::Never | Outside::Else(_)));
    fails
}

/// The product of the tables at every point of `outer`, summed over `inner`. No axis may be empty.
fn combine(tables: &[Table], outer: &[Range], inner: &[Range], dtype: DType) -> Vec<Scalar> {
    let loops: Vec<Range> = outer.iter().chain(inner).copied().collect();
    // How far each step of each loop moves in each table.
    let strides: Vec<Vec<usize>> = loops
        .iter()
        .map(|range| {
            let stride = |table: &Table| match table.axes.iter().position(|axis| axis == range) {
                Some(dim) => size(&table.axes[dim + 1..]) as usize,
                None => 0,
            };
            tables.iter().map(stride).collect()
        })
        .collect();
    let mut index = vec![0u64; loops.len()];
    let mut places = vec![0usize; tables.len()];
    let mut values = Vec::new();
    let mut total = Total::new(dtype);
    loop {
        let mut product = None;
        for (table, &place) in tables.iter().zip(&places) {
            let value = table.values[place];
            product = Some(product.map_or(value, |product| multiply(product, value, dtype)));
        }
        total.push(product.unwrap_or(number(1, dtype)));
        let mut depth = loops.len();
        let advanced = loop {
            if depth == outer.len() {
                values.push(total.value());
                total = Total::new(dtype);
            }
            if depth == 0 {
                break false;
            }
            depth -= 1;
            let extent = loops[depth].extent;
            index[depth] += 1;
            if index[depth] < extent {
                places.iter_mut().zip(&strides[depth]).for_each(|(place, stride)| *place += stride);
                break true;
            }
            index[depth] = 0;
            let back = (extent - 1) as usize;
            places.iter_mut().zip(&strides[depth]).for_each(|(place, stride)| *place -= stride * back);
        };
        if !advanced {
            return values;
        }
    }
}
