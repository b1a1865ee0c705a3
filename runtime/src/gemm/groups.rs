//! The axes of a contraction in groups: which are rows, columns, sums and batch, joined and in order.

use super::{Axis, Gemm};

/// The fewest rows and columns of a block.
const ROWS_NEAR: usize = 16;
const COLUMNS_NEAR: usize = 64;

/// An axis of rows or columns: stride in its operand, stride in C, stride in what says which elements are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Free {
    pub extent: usize,
    pub from: isize,
    pub c: isize,
    pub wanted: isize,
    /// 1 for the axis that a band of sums goes along, else 0.
    pub band: isize,
}

/// An axis that is summed over, or of the batch (then with a stride in C).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shared {
    pub extent: usize,
    pub a: isize,
    pub b: isize,
    pub c: isize,
    pub wanted: isize,
}

impl Shared {
    /// An axis of rows as one of the batch.
    fn of_rows(Free { extent, from, c, wanted, .. }: Free) -> Shared {
        Shared { extent, a: from, b: 0, c, wanted }
    }

    /// An axis of columns as one of the batch.
    fn of_columns(Free { extent, from, c, wanted, .. }: Free) -> Shared {
        Shared { extent, a: 0, b: from, c, wanted }
    }
}

/// Groups of axes, not yet in order.
pub(super) struct Groups {
    pub batch: Vec<Shared>,
    pub rows: Vec<Free>,
    pub columns: Vec<Free>,
    pub sums: Vec<Shared>,
}

impl Groups {
    /// Sorts axes into groups by where they occur. `None` where an extent or reach is too large to address, and where there
    /// is no such band or choice.
    pub fn of(gemm: &Gemm) -> Option<Groups> {
        let mut groups = Groups { batch: vec![], rows: vec![], columns: vec![], sums: vec![] };
        let (mut reach_a, mut reach_b, mut reach_c) = (0i64, 0i64, 0i64);
        let mut reach_wanted = 0i64;
        let list = gemm.batch.iter().chain(&gemm.m).chain(&gemm.n).chain(&gemm.k);
        if let Some(band) = gemm.band {
            let axis = list.clone().nth(band.axis)?;
            let is_row = axis.c != 0 && (axis.a != 0) != (axis.b != 0);
            if !is_row || gemm.k.len() != 1 || !gemm.wanted.is_empty() {
                return None;
            }
        }
        for (number, &Axis { extent, a, b, c }) in list.enumerate() {
            let wanted = gemm.wanted.get(number).copied().unwrap_or(0);
            let reaches =
                [(&mut reach_a, a), (&mut reach_b, b), (&mut reach_c, c), (&mut reach_wanted, wanted)];
            for (reach, stride) in reaches {
                let last = i64::try_from(extent).ok()?.saturating_sub(1).max(0);
                *reach = reach.checked_add(stride.checked_abs()?.checked_mul(last)?)?;
            }
            if extent == 1 {
                continue;
            }
            let extent = usize::try_from(extent).ok()?;
            let [a, b, c, wanted] = [a, b, c, wanted].map(|stride| stride as isize);
            let band = isize::from(gemm.band.is_some_and(|band| band.axis == number));
            match (a != 0, b != 0, c != 0) {
                (true, false, true) => groups.rows.push(Free { extent, from: a, c, wanted, band }),
                (false, true, true) => groups.columns.push(Free { extent, from: b, c, wanted, band }),
                (_, _, true) => groups.batch.push(Shared { extent, a, b, c, wanted }),
                (_, _, false) if wanted == 0 => groups.sums.push(Shared { extent, a, b, c, wanted }),
                // A sum is wanted as a whole.
                (_, _, false) => return None,
            }
        }
        // Offsets count elements; the bytes they become must be addressable too.
        let widest = i64::MAX / 16;
        [reach_a, reach_b, reach_c, reach_wanted].into_iter().all(|reach| reach <= widest).then_some(groups)
    }

    /// Makes the axes that choose what is wanted those of rows and of the batch; whether operands change places for that.
    pub fn choose(&mut self) -> bool {
        let count = |axes: &[Free]| {
            let chosen = axes.iter().filter(|axis| axis.wanted != 0);
            chosen.fold(1usize, |n, axis| n.saturating_mul(axis.extent))
        };
        // Vectors run along what is side by side in C.
        let runs = |axes: &[Free]| axes.iter().any(|axis| axis.c == 1 && axis.wanted == 0);
        let swapped = match (runs(&self.rows), runs(&self.columns)) {
            (false, true) => false,
            (true, false) => true,
            _ => count(&self.columns) > count(&self.rows),
        };
        if swapped {
            self.swap();
        }
        let batch = &mut self.batch;
        self.columns.retain(|&axis| {
            if axis.wanted != 0 {
                batch.push(Shared::of_columns(axis));
            }
            axis.wanted == 0
        });
        swapped
    }

    /// Makes the axis that a band goes along one of rows; whether operands change places for that.
    pub fn put_band_in_rows(&mut self) -> bool {
        let swapped = self.columns.iter().any(|axis| axis.band != 0);
        if swapped {
            self.swap();
        }
        swapped
    }

    pub fn merge(&mut self) {
        // The extent of an axis and the next one together, if they are one by all their strides. What no memory holds
        // overflows, and stays apart.
        let joined = |extent: usize, next: usize, strides: [(isize, isize); 4]| {
            let by = isize::try_from(extent).ok()?;
            let is_one = strides.into_iter().all(|(inner, outer)| inner.checked_mul(by) == Some(outer));
            if is_one { extent.checked_mul(next) } else { None }
        };
        let free = |p: &Free, q: &Free| {
            let strides = [(p.from, q.from), (p.c, q.c), (p.wanted, q.wanted), (p.band, q.band)];
            Some(Free { extent: joined(p.extent, q.extent, strides)?, ..*p })
        };
        let shared = |p: &Shared, q: &Shared| {
            let strides = [(p.a, q.a), (p.b, q.b), (p.c, q.c), (p.wanted, q.wanted)];
            Some(Shared { extent: joined(p.extent, q.extent, strides)?, ..*p })
        };
        merge(&mut self.rows, free);
        merge(&mut self.columns, free);
        merge(&mut self.batch, shared);
        merge(&mut self.sums, shared);
    }

    pub fn swap(&mut self) {
        std::mem::swap(&mut self.rows, &mut self.columns);
        self.batch.iter_mut().chain(&mut self.sums).for_each(|axis| std::mem::swap(&mut axis.a, &mut axis.b));
    }

    /// Moves rows and columns to the batch that lie farther apart in C than the batch's innermost axis, or a part of them, as
    /// far as enough are left for a block of so many sums: C is then written from one end to the other, instead of a line here and there
    /// for each index of the batch. That pays where C is too large for the cache and little is computed for each of its
    /// elements. Fewer rows than sums would take longer to pack columns for than to multiply.
    pub fn gather(&mut self, sums: usize) {
        let Some(innermost) = self.batch.iter().map(|axis| axis.c.unsigned_abs()).min() else { return };
        let mut move_far = |axes: &mut Vec<Free>, least: usize, shared: fn(Free) -> Shared| {
            axes.sort_by_key(|axis| axis.c.unsigned_abs());
            let mut kept = 1;
            axes.retain_mut(|axis| {
                if axis.c.unsigned_abs() <= innermost {
                    kept *= axis.extent;
                    return true;
                }
                // Of a long axis a part stays.
                let part = least.max(COLUMNS_NEAR);
                let near = (part.div_ceil(kept)..axis.extent.min(2 * part))
                    .find(|&near| axis.extent.is_multiple_of(near));
                let (near, far) = match near {
                    _ if kept >= least => (1, axis.extent),
                    Some(near) => (near, axis.extent / near),
                    None => (axis.extent, 1),
                };
                if far > 1 {
                    let by = |stride: isize| stride * near as isize;
                    self.batch.push(shared(Free {
                        extent: far,
                        from: by(axis.from),
                        c: by(axis.c),
                        wanted: by(axis.wanted),
                        band: by(axis.band),
                    }));
                }
                axis.extent = near;
                kept *= near;
                near > 1
            });
        };
        move_far(&mut self.rows, ROWS_NEAR.max(2 * sums), Shared::of_rows);
        move_far(&mut self.columns, COLUMNS_NEAR, Shared::of_columns);
    }

    /// Puts each group in order, innermost axis first.
    pub fn order(&mut self) {
        self.rows.sort_by_key(|axis| (axis.from.unsigned_abs(), axis.c.unsigned_abs()));
        self.columns.sort_by_key(|axis| axis.c.unsigned_abs());
        // Columns that are side by side in B come second, so that neighbouring panels are packed together.
        if let Some(at) = self.columns.iter().skip(1).position(|axis| axis.from == 1) {
            let axis = self.columns.remove(at + 1);
            self.columns.insert(1, axis);
        }
        self.batch.sort_by_key(|axis| (axis.c.unsigned_abs(), axis.a.unsigned_abs()));
        let rows_are_unit = self.rows.iter().any(|axis| axis.from.abs() == 1);
        self.sums.sort_by_key(|axis| match rows_are_unit {
            true => (axis.b.unsigned_abs(), axis.a.unsigned_abs()),
            false => (axis.a.unsigned_abs(), axis.b.unsigned_abs()),
        });
    }
}

/// Joins pairs of axes that are one axis in every tensor, until there are none.
fn merge<T: Copy>(axes: &mut Vec<T>, joined: impl Fn(&T, &T) -> Option<T>) {
    'again: loop {
        for p in 0..axes.len() {
            for q in 0..axes.len() {
                if let (true, Some(axis)) = (p != q, joined(&axes[p], &axes[q])) {
                    axes[p] = axis;
                    axes.remove(q);
                    continue 'again;
                }
            }
        }
        return;
    }
}

/// How many elements there are from the first one that axes of such extents and strides reach to the last.
pub(super) fn reach(axes: impl Iterator<Item = (usize, isize)>) -> usize {
    axes.fold(1, |reach: usize, (extent, stride)| {
        reach.saturating_add(stride.unsigned_abs().saturating_mul(extent.saturating_sub(1)))
    })
}

pub(super) fn product(extents: impl Iterator<Item = usize>) -> Option<usize> {
    // A zero anywhere makes the product zero, however large the rest is.
    let extents: Vec<usize> = extents.collect();
    if extents.contains(&0) { Some(0) } else { extents.into_iter().try_fold(1usize, usize::checked_mul) }
}

/// How many positions that follow each other are side by side by one stride of each axis, at least 1.
pub(super) fn run_of(axes: impl Iterator<Item = (usize, isize)>) -> usize {
    let mut run = 1;
    for (extent, stride) in axes {
        if stride != run as isize {
            break;
        }
        run *= extent;
    }
    run
}

/// How well columns fill vectors if these axes are the columns, 0 to 1, and whether they are side by side in C.
pub(super) fn fill(axes: &[Free], lanes: usize) -> (f64, bool) {
    let len: f64 = axes.iter().map(|axis| axis.extent as f64).product();
    let run = axes.iter().find(|axis| axis.c == 1).map_or(0, |axis| axis.extent);
    let filled = len / (lanes as f64 * (len / lanes as f64).ceil());
    (filled, run * 4 >= lanes * 3 || run as f64 == len)
}

/// Where the sums of A and of B are side by side along different axes: cuts the one of B, puts the cut innermost and
/// the one of A next, so that both can be packed by squares. Gives the extent of the cut, if it can be done.
pub(super) fn split_box(sums: &mut Vec<Shared>, most: usize) -> Option<usize> {
    let of_a = sums.iter().position(|axis| axis.a == 1 && axis.b != 1 && axis.extent >= 8)?;
    let of_b = sums.iter().position(|axis| axis.b == 1 && axis.a != 1 && axis.extent >= 8)?;
    let Shared { extent, a, .. } = sums[of_b];
    let cut = (8..=most.min(64)).rev().find(|&cut| extent.is_multiple_of(cut))?;
    let (inner, middle) = (Shared { extent: cut, ..sums[of_b] }, sums[of_a]);
    if cut == extent {
        sums.remove(of_b);
    } else {
        sums[of_b] =
            Shared { extent: extent / cut, a: a * cut as isize, b: cut as isize, ..Shared::default() };
    }
    sums.retain(|axis| *axis != middle);
    sums.splice(0..0, [inner, middle]);
    Some(cut)
}
