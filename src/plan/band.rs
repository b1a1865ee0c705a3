//! Sums under a condition on indices as contractions of which only a band of the sums is taken.
//!
//! ```text
//! nest[h,t,e] b3[h 4096, t 32, e 1] = r0                    =>    contract b3[h 4096, t 32, e 1] =
//!   r0 = sum[s](select((s <= t), o0[h,t,s] * o1[s,e], 0))           b1[h 16384, t 128, s 1] * b2[s 32, e 1] for (s <= t)
//! ```
//!
//! The condition is one on the axis that is summed over and on one of the result and of one operand, or two such: what is
//! summed at `t` is a range that moves with it. Nothing is multiplied that the condition leaves out, which may be infinite or
//! no number. Takes time linear in the steps.

use super::{Band, Contract, Nest, Operand, Plan, Source, Step, View};
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, Outside, Read, ReduceOp, points};
use crate::id::Id;
use einc_runtime::DType;

/// How many sums each row of the band has on average, at least: those of a few rows that not all of these take are added row
/// by row.
const LEAST_SUMS: u64 = 32;

/// How many columns the rows of the band are multiplied with, at least, and how many rows there are: fewer fill no vectors.
const LEAST_SIDE: u64 = 8;

impl Band {
    /// Whether the sum at a point of all axes is taken.
    pub fn holds(&self, point: &[i64]) -> bool {
        let by = point[self.summed.number()] - point[self.free.number()];
        (self.first..self.end).contains(&by)
    }

    /// The condition on the two axes.
    pub fn condition(&self, axes: &Axes) -> Expr<Source> {
        let free = |by: i64| match by {
            0 => Expr::Index(self.free),
            by => Expr::Sum(vec![Expr::Index(self.free), Expr::int(by)]),
        };
        let says =
            |op: Binary, by: i64| Expr::Binary(op, Box::new(Expr::Index(self.summed)), Box::new(free(by)));
        let low = || says(Binary::Ge, self.first);
        let high = || says(Binary::Le, self.end - 1);
        match self.binds(axes) {
            [true, true] => Expr::Binary(Binary::And, Box::new(low()), Box::new(high())),
            [true, false] => low(),
            _ => high(),
        }
    }

    /// Whether the first, and the last, sum of any row is not that of the whole axis.
    fn binds(&self, axes: &Axes) -> [bool; 2] {
        let [free, summed] = [self.free, self.summed].map(|axis| extent(axes, axis));
        [self.first.saturating_add(free - 1) > 0, self.end < summed]
    }

    /// The share of all sums that is taken.
    pub(super) fn share(&self, axes: &Axes) -> f64 {
        let [free, summed] = [self.free, self.summed].map(|axis| axes[axis].extent as f64);
        // The sums before `at + by` at all indices `at` of the rows: of some of these a part, of those behind all.
        let before = |by: i64| {
            let by = by as f64;
            let (start, end) = (by.clamp(0.0, summed), (by + free).clamp(0.0, summed));
            (end - start) * (start + end - 1.0) / 2.0 + (by + free - summed.max(by)).max(0.0) * summed
        };
        (before(self.end) - before(self.first)).max(0.0) / (free * summed).max(1.0)
    }
}

fn extent(axes: &Axes, axis: AxisId) -> i64 {
    i64::try_from(axes[axis].extent).unwrap_or(i64::MAX)
}

/// Makes contractions of the sums of a plan that are products in a band.
pub(super) fn contract_bands(mut plan: Plan) -> Plan {
    let mut steps = std::mem::take(&mut plan.steps);
    contract_steps(&mut steps, &plan, &mut Vec::new());
    plan.steps = steps;
    plan
}

fn contract_steps(steps: &mut [Step], plan: &Plan, held: &mut Vec<AxisId>) {
    for step in steps {
        match step {
            Step::Nest(nest) => {
                if let Some(contract) = contracted(nest, plan, held) {
                    *step = Step::Contract(contract);
                }
            }
            Step::Scan(scan) => {
                held.push(scan.axis);
                contract_steps(&mut scan.body, plan, held);
                held.pop();
            }
            Step::Contract(_) | Step::Along(_) | Step::Scatter(_) => {}
        }
    }
}

/// The contraction in a band that a nest is, if a matrix product pays.
fn contracted(nest: &Nest, plan: &Plan, held: &[AxisId]) -> Option<Contract> {
    let [reduction] = &nest.reductions[..] else { return None };
    let ([summed], ReduceOp::Sum, Expr::Select(parts)) = (&reduction.axes[..], reduction.op, &reduction.body)
    else {
        return None;
    };
    let is_sum = matches!(&nest.value, Expr::Read(read) if read.source == Source::Reduced(0));
    if !is_sum || nest.wanted.is_some() || !parts[2].is_zero() {
        return None;
    }
    let Expr::Product(factors) = &parts[1] else { return None };
    let [Expr::Read(a), Expr::Read(b)] = &factors[..] else { return None };
    let [a, b] = [a, b].map(|read| view_of(nest, read));
    let (a, b) = (a?, b?);
    let is_there = |axis: AxisId| a.stride(axis) != 0 || b.stride(axis) != 0;
    let mut out = nest.out.clone();
    out.strides.retain(|term| held.contains(&term.0) || is_there(term.0) || plan.axes[term.0].extent != 1);
    let dtype = nest.value.dtype();
    let same = [&a, &b, &out].into_iter().all(|view| plan.buffers[view.buffer].dtype == dtype);
    let apart = [a.buffer, b.buffer].iter().all(|&buffer| buffer != out.buffer);
    let band = band_of(&parts[0], *summed, &plan.axes)?;
    let is_row = held.iter().all(|&axis| axis != band.free)
        && (a.stride(band.free) != 0) != (b.stride(band.free) != 0)
        && out.stride(band.free) != 0;
    let mean = band.share(&plan.axes) * plan.axes[band.summed].extent as f64;
    if !same || !apart || !is_row || mean < LEAST_SUMS as f64 {
        return None;
    }
    let place = nest.place;
    let contract = Contract { a, b, out, dtype, accumulate: false, wanted: None, band: Some(band), place };
    let (free, summed) = contract.free_and_summed(&|axis| held.contains(&axis));
    let side = |one: &View, other: &View| {
        let is_own = |&&axis: &&AxisId| one.stride(axis) != 0 && other.stride(axis) == 0;
        points(&plan.axes, free.iter().filter(is_own))
    };
    let least = side(&contract.a, &contract.b).min(side(&contract.b, &contract.a));
    (least >= LEAST_SIDE && contract.product(&plan.axes, (&free, &summed)).is_some()).then_some(contract)
}

/// What a read of a nest reads, as a view over axes.
fn view_of(nest: &Nest, read: &Read<Source>) -> Option<View> {
    let Source::Operand(number) = read.source else { return None };
    nest.operands[number as usize].view(read)
}

impl Operand {
    /// What a read of it reads, as a view over axes, if it never leaves the operand.
    pub(super) fn view(&self, read: &Read<Source>) -> Option<View> {
        if !matches!(read.outside, Outside::Never) {
            return None;
        }
        let start = Affine { terms: Vec::new(), constant: self.offset };
        let place = read
            .indices
            .iter()
            .zip(&self.dims)
            .try_fold(start, |sum, (index, &(_, stride))| sum.plus(&index.affine()?.scaled(stride)?))?;
        Some(View { buffer: self.buffer, offset: place.constant, strides: place.terms })
    }
}

/// The band that a condition says: comparisons of `summed` with one other axis, plus or minus a number.
fn band_of(condition: &Expr<Source>, summed: AxisId, axes: &Axes) -> Option<Band> {
    let mut band: Option<Band> = None;
    for one in condition.conjuncts() {
        let Expr::Binary(op, a, b) = one else { return None };
        if a.dtype() != DType::I64 || b.dtype() != DType::I64 {
            return None;
        }
        let difference = a.affine()?.plus(&b.affine()?.scaled(-1)?)?;
        let own = difference.coefficient(summed);
        let [(x, _), (y, _)] = difference.terms[..] else { return None };
        let free = if x == summed { y } else { x };
        if own.abs() != 1 || difference.coefficient(free) != -own {
            return None;
        }
        // `summed` is less, or greater, than `free + by`; `or` says whether it may be that.
        let by = difference.constant.checked_mul(-own)?;
        let (is_less, or) = match op {
            Binary::Lt => (own == 1, 0),
            Binary::Le => (own == 1, 1),
            Binary::Gt => (own == -1, 0),
            Binary::Ge => (own == -1, 1),
            _ => return None,
        };
        let [rows, sums] = [free, summed].map(|axis| extent(axes, axis));
        let band = band.get_or_insert(Band { free, summed, first: -rows, end: sums });
        if band.free != free {
            return None;
        }
        match is_less {
            true => band.end = band.end.min(by.checked_add(or)?),
            false => band.first = band.first.max(by.checked_add(1 - or)?),
        }
        // Farther than either axis reaches is as far as that.
        (band.first, band.end) = (band.first.clamp(-rows, sums), band.end.clamp(-rows, sums));
    }
    band
}

#[cfg(test)]
mod tests {
    use super::super::random_tests::banded_program;
    use super::super::tests::plan_of;
    use super::*;
    use crate::graph::sample::*;

    /// How many contractions in a band there are in the plan of `y[h,t,e] = sum[s where c](p[h,t,s] * v[s,e])` and what they
    /// say; the plan computes what the program does.
    fn bands(condition: impl Fn(&Sample, [AxisId; 4]) -> E) -> String {
        bands_of(12, condition)
    }

    fn bands_of(columns: u64, condition: impl Fn(&Sample, [AxisId; 4]) -> E) -> String {
        let mut s = Sample::new(DType::F64);
        let (h, t, e, n) = (s.axis("h", 3), s.axis("t", 70), s.axis("e", columns), s.axis("s", 80));
        let (p, v) = (s.input("p", &[3, 70, 80]), s.input("v", &[80, columns]));
        let product = mul([s.at(p, &[h, t, n]), s.at(v, &[n, e])]);
        let parts = [condition(&s, [h, t, e, n]), product, Expr::number(0.0, DType::F64)];
        let y = s.define("y", &[h, t, e], sum(&[n], Expr::Select(Box::new(parts))));
        s.output(y);
        let text = plan_of(&s.program).to_string();
        let said: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(" for ")?.1)).collect();
        said.join("; ")
    }

    fn all(a: E, b: E) -> E {
        binary(Binary::And, a, b)
    }

    #[test]
    fn conditions_on_two_indices_are_bands() {
        let le = |a: E, b: E| binary(Binary::Le, a, b);
        let lt = |a: E, b: E| binary(Binary::Lt, a, b);
        assert_eq!(bands(|_, [_, t, _, s]| le(ix(s), ix(t))), "(s <= t)");
        assert_eq!(bands(|_, [_, t, _, s]| binary(Binary::Ge, ix(t), ix(s))), "(s <= t)");
        assert_eq!(bands(|_, [_, t, _, s]| lt(affine(&[(1, s)], -4), ix(t))), "(s <= (t + 3))");
        let both = |a: E, b: E| bands(|_, _| all(a.clone(), b.clone()));
        let [t, s] = [1, 3].map(AxisId);
        assert_eq!(
            both(lt(affine(&[(1, t)], -50), ix(s)), le(ix(s), ix(t))),
            "((s >= (t + -49)) and (s <= t))"
        );
        // One that always holds says nothing.
        assert_eq!(both(lt(affine(&[(1, t)], -90), ix(s)), le(ix(s), ix(t))), "(s <= t)");
    }

    #[test]
    fn other_conditions_are_none() {
        let le = |a: E, b: E| binary(Binary::Le, a, b);
        // Few columns.
        assert_eq!(bands_of(7, |_, [_, t, _, s]| le(ix(s), ix(t))), "");
        // Few sums, on average; twice an index; two of them; a condition on what is read; one on one index alone.
        assert_eq!(bands(|_, [_, _, e, s]| le(ix(s), ix(e))), "");
        assert_eq!(bands(|_, [_, t, _, s]| all(le(ix(t), affine(&[(1, s)], 9)), le(ix(s), ix(t)))), "");
        assert_eq!(bands(|_, [_, t, _, s]| le(ix(s), affine(&[(2, t)], 0))), "");
        assert_eq!(bands(|_, [h, t, _, s]| le(ix(s), affine(&[(1, t), (1, h)], 0))), "");
        assert_eq!(bands(|_, [h, t, _, s]| all(le(ix(s), ix(t)), le(ix(s), affine(&[(1, h)], 90)))), "");
        assert_eq!(bands(|_, [_, t, _, s]| all(le(ix(s), ix(t)), le(ix(s), Expr::int(60)))), "");
        let read = |s: &Sample| {
            let v = s.program.inputs[1];
            binary(Binary::Gt, s.at(v, &[AxisId(3), AxisId(2)]), Expr::number(0.0, DType::F64))
        };
        assert_eq!(bands(|sample, [_, t, _, s]| all(le(ix(s), ix(t)), read(sample))), "");
    }

    #[test]
    fn random_bands_keep_their_values() {
        let mut found = 0;
        for seed in 0..60 {
            let plan = plan_of(&banded_program(seed, if seed % 3 == 0 { DType::I64 } else { DType::F64 }));
            found += usize::from(plan.to_string().contains(" for "));
        }
        assert!(found > 20, "{found}");
    }

    #[test]
    fn the_share_is_that_of_the_sums_that_are_taken() {
        for [rows, sums] in [[5, 9], [9, 5], [1, 7], [6, 1]] {
            let mut axes = Axes::new();
            let mut axis =
                |extent: i64| axes.push(crate::expr::Axis { name: "x".into(), extent: extent as u64 });
            let (free, summed) = (axis(rows), axis(sums));
            for first in -rows..=sums {
                for end in -rows..=sums {
                    let band = Band { free, summed, first, end };
                    let points = (0..rows).flat_map(|t| (0..sums).map(move |s| [t, s]));
                    let taken = points.filter(|point| band.holds(point)).count();
                    let share = band.share(&axes) * (rows * sums) as f64;
                    assert!((share - taken as f64).abs() < 1e-9, "{band:?}: {share}, not {taken}");
                }
            }
        }
    }
}
