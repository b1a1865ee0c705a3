//! The best tree of a few operands, by dynamic programming over all their subsets.
//!
//! Every subset is split in two in every way, outer products included, so the result is the optimum over all binary
//! trees. The cost of a split needs only tables over subsets: with `touch(S)` the product of the extents of all axes
//! that occur in `S` and `inside(S)` that of the axes that occur nowhere else, the result of `S` has
//! `touch(S) / inside(S)` elements and the step that joins `L` and `R` has `touch(S) / inside(L) / inside(R)`
//! multiply-adds. Time is `3^n / 2` of such steps.
//!
//! Where the cost of a tree is known already, subsets whose result alone costs more are left out, which leaves few of
//! many operands. What remains is still the optimum over all trees.

use super::cost::{Objective, StepCost, StepShape};
use super::math;

/// The largest number of operands that [`solve`] takes.
pub(super) const LIMIT: usize = 20;

/// An axis of a small network: a bit for each operand that carries it.
#[derive(Clone, Copy)]
pub(super) struct SmallAxis {
    /// The operands.
    pub(super) operands: u32,
    /// Whether it is an axis of the result, too.
    pub(super) kept: bool,
    /// Its binary logarithm.
    pub(super) log2: f64,
    /// Its extent, if that is known exactly.
    pub(super) extent: f64,
}

/// The best tree and the binary logarithm of its cost.
pub(super) struct Solution {
    /// Pairs in SSA numbering.
    pub(super) path: Vec<(usize, usize)>,
    /// The logarithm of the objective.
    pub(super) log2: f64,
}

/// Memory that is kept between calls.
#[derive(Default)]
pub(super) struct Tables {
    /// Logarithm, or number, of the elements of all axes that occur in a subset.
    touch: Vec<f64>,
    /// The same for those that occur nowhere else; its reciprocal when numbers.
    inside: Vec<f64>,
    size: Vec<f64>,
    best: Vec<f64>,
    /// What reading or writing a subset costs at least, where a caller defines costs.
    moved: Vec<f64>,
    split: Vec<u32>,
    /// Subsets that some step must join.
    pub(super) with: Vec<u32>,
    /// Subsets that no step may join.
    pub(super) without: Vec<u32>,
    /// How many ways to split a subset the last program looked at, and of how many it asked a cost that a caller defines.
    pub(super) looked: (u64, u64),
}

impl Tables {
    /// Takes the size from subsets that no step may join: what is no number is not within any limit either.
    fn leave_out(&mut self) {
        self.without.iter().for_each(|&set| self.size[set as usize] = f64::NAN);
        // A tree has a subset if no other of its subsets holds a part of that and something else.
        for &with in &self.with {
            for (set, size) in self.size.iter_mut().enumerate() {
                let set = set as u32;
                if set & with != 0 && set & !with != 0 && with & !set != 0 {
                    *size = f64::NAN;
                }
            }
        }
    }
}

/// Finds the best tree of `count` operands (1 to [`LIMIT`]) under an objective.
///
/// `inputs` says which operands are inputs of the network, as far as the objective asks.
pub(super) fn solve(
    count: usize,
    axes: &[SmallAxis],
    objective: &Objective<'_>,
    inputs: u32,
    tables: &mut Tables,
) -> Solution {
    solve_below(count, axes, objective, inputs, tables, (f64::INFINITY, u64::MAX)).unwrap_or(Solution {
        path: (1..count).map(|k| (if k == 1 { 0 } else { count + k - 2 }, k)).collect(),
        log2: f64::INFINITY,
    })
}

/// [`solve`], where some tree is known to cost no more than `known` (a logarithm), in so many splits at most: none where
/// there would be more.
pub(super) fn solve_below(
    count: usize,
    axes: &[SmallAxis],
    objective: &Objective<'_>,
    inputs: u32,
    tables: &mut Tables,
    (known, splits): (f64, u64),
) -> Option<Solution> {
    let subsets = 1usize << count;
    let total: f64 = axes.iter().map(|axis| axis.log2).sum();
    for table in [&mut tables.touch, &mut tables.inside, &mut tables.size, &mut tables.best] {
        table.clear();
        table.resize(subsets, 0.0);
    }
    tables.split.clear();
    tables.split.resize(subsets, 0);
    // Numbers are faster than logarithms, and exact as long as they are whole and below 2^53.
    let fast = total < 900.0 && !matches!(objective, Objective::Peak);
    // Room for what rounding does to sums in another order.
    let known = known + 1e-7;
    let most = math::exp2(known);
    if fast && !matches!(objective, Objective::Custom(_)) {
        prepare_numbers(count, axes, tables);
        tables.leave_out();
        let cap = most / objective.of_result(0.0, math::exp2);
        let there = work(&tables.size, cap);
        if there > splits {
            return None;
        }
        tables.looked = (there, 0);
        numbers(count, objective, tables, (cap, most));
    } else {
        prepare_logarithms(count, axes, tables);
        tables.leave_out();
        let cap = known - objective.of_result(0.0, |log| log);
        let there = work(&tables.size, cap);
        if there > splits {
            return None;
        }
        tables.looked = (there, 0);
        match objective {
            Objective::Custom(custom) if fast => costs(count, *custom, inputs, tables, (cap, most)),
            _ => logarithms(count, objective, inputs, tables, cap),
        }
    }
    let best = tables.best[subsets - 1];
    let log2 = match (count, fast) {
        (0 | 1, _) => f64::NEG_INFINITY,
        (_, true) => math::log2(best),
        (_, false) => best,
    };
    if log2 > known || log2 == f64::INFINITY && !tables.without.is_empty() {
        return None;
    }
    Some(Solution { path: path_of(count, &tables.split), log2 })
}

/// How many splits there are of subsets whose results are at most so large.
fn work(size: &[f64], cap: f64) -> u64 {
    let splits = |set: usize| if size[set] <= cap { 1u64 << set.count_ones() >> 1 } else { 0 };
    (1..size.len()).map(splits).sum()
}

/// Writes down the tree of the splits.
fn path_of(count: usize, split: &[u32]) -> Vec<(usize, usize)> {
    let mut path = Vec::with_capacity(count.saturating_sub(1));
    fn visit(set: u32, count: usize, split: &[u32], path: &mut Vec<(usize, usize)>) -> usize {
        if set.count_ones() == 1 {
            return set.trailing_zeros() as usize;
        }
        let left = visit(split[set as usize], count, split, path);
        let right = visit(set & !split[set as usize], count, split, path);
        path.push((left, right));
        count + path.len() - 1
    }
    if count > 1 {
        visit(((1u64 << count) - 1) as u32, count, split, &mut path);
    }
    path
}

/// Fills the tables with numbers.
fn prepare_numbers(count: usize, axes: &[SmallAxis], tables: &mut Tables) {
    let subsets = 1usize << count;
    let Tables { touch, inside, size, .. } = tables;
    // First the products of the axes whose operands all lie within a subset: with and without those of the output.
    touch.fill(1.0);
    inside.fill(1.0);
    let mut total = 1.0;
    for axis in axes {
        total *= axis.extent;
        touch[axis.operands as usize] *= axis.extent;
        if !axis.kept {
            inside[axis.operands as usize] *= axis.extent;
        }
    }
    for bit in 0..count {
        let bit = 1 << bit;
        for set in 0..subsets {
            if set & bit != 0 {
                touch[set] *= touch[set ^ bit];
                inside[set] *= inside[set ^ bit];
            }
        }
    }
    // An axis occurs in a subset unless all its operands lie in the complement.
    for set in 0..subsets / 2 {
        let (a, b) = (touch[subsets - 1 - set], touch[set]);
        touch[set] = total / a;
        touch[subsets - 1 - set] = total / b;
    }
    for set in 0..subsets {
        size[set] = touch[set] / inside[set];
        inside[set] = 1.0 / inside[set];
    }
}

/// Runs the dynamic program on numbers, without subsets whose results are larger than `cap` and trees that cost `most`.
fn numbers(count: usize, objective: &Objective<'_>, tables: &mut Tables, (cap, most): (f64, f64)) {
    let Tables { touch, inside, size, best, split, .. } = tables;
    let (touch, inside, size) = (&touch[..], &inside[..], &size[..]);
    let tables = (best.as_mut_slice(), split.as_mut_slice(), most);
    let fits = |s: usize| size[s] <= cap;
    match objective {
        Objective::Macs => {
            program(count, tables, fits, |s| touch[s], |(t, _), l, r| t * inside[l] * inside[r], |_| 0.0)
        }
        Objective::Flops => program(
            count,
            tables,
            fits,
            |s| touch[s],
            |(t, _), l, r| {
                let macs = t * inside[l] * inside[r];
                if macs > size[l | r] * 1.000_001 { 2.0 * macs } else { macs }
            },
            |_| 0.0,
        ),
        Objective::Write => program(count, tables, fits, |_| 0.0, |_, _, _| 0.0, |s| size[s]),
        Objective::Combo(weight) => program(
            count,
            tables,
            fits,
            |s| touch[s],
            |(t, _), l, r| t * inside[l] * inside[r],
            |s| weight * size[s],
        ),
        _ => largest(count, (best, split), fits, size),
    }
}

/// The dynamic program for sums: `before` is read once a subset, `step` once a split, `after` is added to the best.
///
/// A step is told what `before` said and what it may cost at most to matter. Subsets that no tree below `most` joins cost infinity.
#[inline]
fn program(
    count: usize,
    (best, split, most): (&mut [f64], &mut [u32], f64),
    fits: impl Fn(usize) -> bool,
    before: impl Fn(usize) -> f64,
    mut step: impl FnMut((f64, f64), usize, usize) -> f64,
    after: impl Fn(usize) -> f64,
) {
    for set in 3..1usize << count {
        let low = set & set.wrapping_neg();
        let rest = set ^ low;
        if rest == 0 {
            continue;
        }
        if !fits(set) {
            best[set] = f64::INFINITY;
            continue;
        }
        let head = before(set);
        let (mut least, mut choice) = (most, 0);
        // All subsets of the rest but the whole one join the lowest operand.
        let mut sub = rest;
        while sub != 0 {
            sub = (sub - 1) & rest;
            let (left, right) = (sub | low, rest ^ sub);
            let below = best[left] + best[right];
            if below < least {
                let cost = below + step((head, least - below), left, right);
                if cost < least {
                    least = cost;
                    choice = left;
                }
            }
        }
        (best[set], split[set]) =
            if choice == 0 { (f64::INFINITY, low as u32) } else { (least + after(set), choice as u32) };
    }
}

/// The dynamic program for the largest result.
fn largest(
    count: usize,
    (best, split): (&mut [f64], &mut [u32]),
    fits: impl Fn(usize) -> bool,
    size: &[f64],
) {
    for set in 3..1usize << count {
        let low = set & set.wrapping_neg();
        let rest = set ^ low;
        if rest == 0 {
            continue;
        }
        if !fits(set) {
            best[set] = f64::INFINITY;
            continue;
        }
        let (mut least, mut choice) = (f64::INFINITY, low);
        let mut sub = rest;
        while sub != 0 {
            sub = (sub - 1) & rest;
            let below = best[sub | low].max(best[rest ^ sub]);
            if below < least {
                least = below;
                choice = sub | low;
            }
        }
        best[set] = least.max(size[set]);
        split[set] = choice as u32;
    }
}

/// Fills the tables with logarithms.
fn prepare_logarithms(count: usize, axes: &[SmallAxis], tables: &mut Tables) {
    let subsets = 1usize << count;
    let Tables { touch, inside, size, best, .. } = tables;
    let mut total = 0.0;
    for axis in axes {
        total += axis.log2;
        touch[axis.operands as usize] += axis.log2;
        if !axis.kept {
            inside[axis.operands as usize] += axis.log2;
        }
    }
    for bit in 0..count {
        let bit = 1 << bit;
        for set in 0..subsets {
            if set & bit != 0 {
                touch[set] += touch[set ^ bit];
                inside[set] += inside[set ^ bit];
            }
        }
    }
    for set in 0..subsets / 2 {
        let (a, b) = (touch[subsets - 1 - set], touch[set]);
        touch[set] = total - a;
        touch[subsets - 1 - set] = total - b;
    }
    for set in 0..subsets {
        size[set] = touch[set] - inside[set];
        best[set] = f64::NEG_INFINITY;
    }
}

/// The shape of the step that joins two subsets, from tables of logarithms.
#[inline]
fn shape(
    (touch, inside, size): (&[f64], &[f64], &[f64]),
    inputs: u32,
    left: usize,
    right: usize,
) -> StepShape {
    let is_input = |set: usize| set.is_power_of_two() && inputs & set as u32 != 0;
    StepShape {
        left: size[left],
        right: size[right],
        result: size[left | right],
        all: touch[left | right] - inside[left] - inside[right],
        left_input: is_input(left),
        right_input: is_input(right),
    }
}

/// Runs the dynamic program on the costs of steps whose shapes are logarithms, without subsets whose results are larger
/// than `cap` and trees that cost `most`.
fn costs(count: usize, custom: &dyn StepCost, inputs: u32, tables: &mut Tables, (cap, most): (f64, f64)) {
    let Tables { touch, inside, size, best, split, moved, looked, .. } = tables;
    (0..count).for_each(|operand| best[1 << operand] = 0.0);
    let (touch, inside, size) = (&touch[..], &inside[..], &size[..]);
    // What it costs at least to read or write a subset.
    let element = custom.log2_of_element();
    moved.clear();
    moved.extend(size.iter().enumerate().map(|(set, &size)| {
        if size <= cap || set.is_power_of_two() { math::exp2(size + element) } else { 0.0 }
    }));
    let moved = &moved[..];
    let step = |(result, spare), left: usize, right: usize| {
        if moved[left] + moved[right] + result > spare {
            return f64::INFINITY;
        }
        looked.1 += 1;
        custom.cost(&shape((touch, inside, size), inputs, left, right))
    };
    program(count, (best, split, most), |set| size[set] <= cap, |set| moved[set], step, |_| 0.0);
}

/// Runs the dynamic program for any objective, without subsets whose results are larger than `cap`.
fn logarithms(count: usize, objective: &Objective<'_>, inputs: u32, tables: &mut Tables, cap: f64) {
    let Tables { touch, inside, size, best, split, .. } = tables;
    let fits = |set: usize, size: &[f64]| size[set] <= cap;
    for set in 3..1usize << count {
        let low = set & set.wrapping_neg();
        let rest = set ^ low;
        if rest == 0 {
            continue;
        }
        if !fits(set, size) {
            best[set] = f64::INFINITY;
            continue;
        }
        let (mut least, mut choice) = (f64::INFINITY, low);
        let mut sub = rest;
        while sub != 0 {
            sub = (sub - 1) & rest;
            let (left, right) = (sub | low, rest ^ sub);
            let cost = if let Objective::Peak = objective {
                let alive = |s: usize| if s.is_power_of_two() { f64::NEG_INFINITY } else { size[s] };
                let (p, a, q, b) = (best[left], alive(left), best[right], alive(right));
                if p.max(q) >= least {
                    continue;
                }
                let forward = p.max(math::log2_add(a, q));
                let backward = q.max(math::log2_add(b, p));
                forward.min(backward).max(math::log2_add(math::log2_add(a, b), size[set]))
            } else {
                if best[left].max(best[right]) >= least {
                    continue;
                }
                let cost = objective.step(&shape((touch, inside, size), inputs, left, right));
                if objective.is_largest() {
                    cost.max(best[left]).max(best[right])
                } else {
                    math::log2_add(cost, math::log2_add(best[left], best[right]))
                }
            };
            if cost < least {
                least = cost;
                choice = left;
            }
        }
        best[set] = least;
        split[set] = choice as u32;
    }
}
