//! Copies of strided tensors into another order.
//!
//! A plan joins axes that are one in both tensors. Where one axis is innermost in both, runs of it are copied;
//! otherwise the axis innermost in the source and the one innermost in the result make squares that change sides in
//! registers, a cache line wide; results larger than the caches are written past them.

pub(crate) mod square;

use crate::pool;
use square::Square;

/// An axis of a copy: its extent, and its stride in elements in the source and in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyAxis {
    /// How many values it takes.
    pub extent: u64,
    /// Stride in the source.
    pub from: i64,
    /// Stride in the result.
    pub to: i64,
}

/// An axis with strides in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    extent: usize,
    from: isize,
    to: isize,
}

/// What the innermost loops do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Inner {
    /// Copy runs of that many bytes.
    Runs(usize),
    /// Exchange the two sides: `across` is innermost in the result, `along` in the source.
    Squares { across: Step, along: Step },
    /// Copy elements one by one along an axis.
    Single(Step),
}

/// A copy made ready.
#[derive(Clone, Debug)]
pub struct PermutePlan {
    width: usize,
    inner: Inner,
    /// The other axes, innermost first.
    outer: Vec<Step>,
    outer_len: usize,
    elems: usize,
    /// Whether every line of the result starts at a multiple of 64 bytes from its first element.
    lines_are_aligned: bool,
}

/// Elements of an axis that are worked on before the other axis goes on.
const BLOCK: usize = 64;

/// Results of so many bytes are written past the caches.
const PAST_CACHES: usize = 24 << 20;

/// Bytes below which one thread does it all.
const WORTH_A_THREAD: usize = 512 << 10;

impl PermutePlan {
    /// Makes a copy ready of elements of 1, 2, 4, 8 or 16 bytes. `None` for other widths, or where an operand is larger
    /// than memory can be.
    pub fn new(bytes_per_elem: usize, axes: &[CopyAxis]) -> Option<PermutePlan> {
        if !matches!(bytes_per_elem, 1 | 2 | 4 | 8 | 16) {
            return None;
        }
        let width = bytes_per_elem as isize;
        let mut steps = Vec::with_capacity(axes.len());
        let (mut reach_from, mut reach_to, mut elems) = (0isize, 0isize, 1usize);
        let is_empty = axes.iter().any(|axis| axis.extent == 0);
        for axis in axes.iter().filter(|axis| axis.extent != 1 && !is_empty) {
            let extent = usize::try_from(axis.extent).ok()?;
            let from = isize::try_from(axis.from).ok()?.checked_mul(width)?;
            let to = isize::try_from(axis.to).ok()?.checked_mul(width)?;
            let last = isize::try_from(extent - 1).ok()?;
            reach_from = reach_from.checked_add(from.checked_abs()?.checked_mul(last)?)?;
            reach_to = reach_to.checked_add(to.checked_abs()?.checked_mul(last)?)?;
            elems = elems.checked_mul(extent)?;
            steps.push(Step { extent, from, to });
        }
        merge(&mut steps);
        steps.sort_by_key(|step| (step.to.unsigned_abs(), step.from.unsigned_abs()));
        let both = steps.iter().position(|step| step.from == width && step.to == width);
        let across = steps.iter().position(|step| step.to == width && step.extent >= 4);
        let along = steps.iter().position(|step| step.from == width && step.extent >= 4);
        let inner = if let Some(at) = both {
            Inner::Runs(steps.remove(at).extent * bytes_per_elem)
        } else if let (Some(across), Some(along)) = (across, along) {
            let inner = Inner::Squares { across: steps[across], along: steps[along] };
            steps.remove(across.max(along));
            steps.remove(across.min(along));
            inner
        } else if steps.is_empty() {
            Inner::Runs(bytes_per_elem)
        } else {
            Inner::Single(steps.remove(0))
        };
        let along = if let Inner::Squares { along, .. } = inner { Some(along) } else { None };
        let lines_are_aligned = steps.iter().chain(&along).all(|step| step.to % 64 == 0);
        let outer_len = if is_empty { 0 } else { steps.iter().map(|step| step.extent).product() };
        let elems = if is_empty { 0 } else { elems };
        Some(PermutePlan { width: bytes_per_elem, inner, outer: steps, outer_len, elems, lines_are_aligned })
    }

    /// Copies, on at most that many threads (and no more than the pool has).
    ///
    /// # Safety
    /// `from` and `to` point to the elements of index 0 and are good for every index of the axes; no two indices name
    /// one element of `to`, and `to` does not overlap what is read.
    pub unsafe fn run(&self, from: *const u8, to: *mut u8, threads: usize) {
        if self.outer_len == 0 {
            return;
        }
        let bytes = self.elems * self.width;
        let past_caches = bytes >= PAST_CACHES && self.lines_are_aligned && (to as usize).is_multiple_of(64);
        // Units of work: an outer index, and a block of the axis that the result has innermost.
        let blocks = match self.inner {
            Inner::Squares { across, .. } => across.extent.div_ceil(BLOCK),
            _ => 1,
        };
        let units = self.outer_len * blocks;
        let threads = threads.min(pool::threads()).min(bytes / WORTH_A_THREAD).max(1);
        let operands = Operands { from, to };
        let share = |thread: usize| {
            // SAFETY: the caller's promise; shares are disjoint in the result.
            unsafe {
                let range = units * thread / threads..units * (thread + 1) / threads;
                self.run_units(&operands, range, blocks, past_caches);
            }
        };
        if threads == 1 { share(0) } else { pool::parallel(threads, &share) }
    }

    unsafe fn run_units(
        &self,
        operands: &Operands,
        units: std::ops::Range<usize>,
        blocks: usize,
        past_caches: bool,
    ) {
        let mut unit = units.start;
        while unit < units.end {
            let (mut rest, block) = (unit / blocks, unit % blocks);
            let (mut from_at, mut to_at) = (0isize, 0isize);
            for step in &self.outer {
                let index = (rest % step.extent) as isize;
                rest /= step.extent;
                from_at += index * step.from;
                to_at += index * step.to;
            }
            // The innermost outer axis goes on by adding, not by dividing again.
            let first = self.outer.first().copied().unwrap_or(Step { extent: 1, from: 0, to: 0 });
            let run =
                if blocks == 1 { (first.extent - unit % first.extent).min(units.end - unit) } else { 1 };
            for index in 0..run as isize {
                // SAFETY: the caller's promise: offsets of indices within the extents.
                unsafe {
                    let from = operands.from.offset(from_at + index * first.from);
                    let to = operands.to.offset(to_at + index * first.to);
                    self.run_inner(from, to, block, past_caches);
                }
            }
            unit += run;
        }
        if past_caches {
            square::settle();
        }
    }

    unsafe fn run_inner(&self, from: *const u8, to: *mut u8, block: usize, past_caches: bool) {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            match self.inner {
                Inner::Runs(bytes) => match bytes {
                    4 => to.cast::<[u8; 4]>().write_unaligned(from.cast::<[u8; 4]>().read_unaligned()),
                    8 => to.cast::<[u8; 8]>().write_unaligned(from.cast::<[u8; 8]>().read_unaligned()),
                    16 => to.cast::<[u8; 16]>().write_unaligned(from.cast::<[u8; 16]>().read_unaligned()),
                    32 => to.cast::<[u8; 32]>().write_unaligned(from.cast::<[u8; 32]>().read_unaligned()),
                    _ if past_caches
                        && bytes.is_multiple_of(64)
                        && square::copy_past_caches(from, to, bytes) => {}
                    _ => std::ptr::copy_nonoverlapping(from, to, bytes),
                },
                Inner::Single(step) => match self.width {
                    1 => single::<u8>(step, from, to),
                    2 => single::<u16>(step, from, to),
                    4 => single::<u32>(step, from, to),
                    8 => single::<u64>(step, from, to),
                    _ => single::<u128>(step, from, to),
                },
                Inner::Squares { across, along } => {
                    let blocks = across.extent.div_ceil(BLOCK);
                    let start = across.extent * block / blocks;
                    let end = across.extent * (block + 1) / blocks;
                    // Lines stay whole if blocks start at multiples of a line.
                    let (start, end) = if past_caches {
                        (block * BLOCK, across.extent.min((block + 1) * BLOCK))
                    } else {
                        (start, end)
                    };
                    let across = Step { extent: end - start, ..across };
                    let from = from.offset(start as isize * across.from);
                    let to = to.offset(start as isize * across.to);
                    match self.width {
                        1 => squares::<u8>(across, along, from, to, past_caches),
                        2 => squares::<u16>(across, along, from, to, past_caches),
                        4 => squares::<u32>(across, along, from, to, past_caches),
                        8 => squares::<u64>(across, along, from, to, past_caches),
                        _ => squares::<u128>(across, along, from, to, past_caches),
                    }
                }
            }
        }
    }
}

/// Copies elements of 1, 2, 4, 8 or 16 bytes into another order, see [`PermutePlan`]. Whether the copy was made: not
/// where the plan is `None`.
///
/// # Safety
/// As [`PermutePlan::run`].
pub unsafe fn permute(
    bytes_per_elem: usize,
    axes: &[CopyAxis],
    from: *const u8,
    to: *mut u8,
    threads: usize,
) -> bool {
    match PermutePlan::new(bytes_per_elem, axes) {
        Some(plan) => {
            // SAFETY: the caller's promise.
            unsafe { plan.run(from, to, threads) };
            true
        }
        None => false,
    }
}

/// The two tensors, for all threads.
struct Operands {
    from: *const u8,
    to: *mut u8,
}

// SAFETY: threads write disjoint parts of the result and only read the source.
unsafe impl Sync for Operands {}

/// Joins axes that are one in both tensors.
fn merge(steps: &mut Vec<Step>) {
    'again: loop {
        for p in 0..steps.len() {
            for q in 0..steps.len() {
                let (inner, outer) = (steps[p], steps[q]);
                let extent = inner.extent as isize;
                if p != q && inner.from * extent == outer.from && inner.to * extent == outer.to {
                    steps[p].extent *= outer.extent;
                    steps.remove(q);
                    continue 'again;
                }
            }
        }
        return;
    }
}

unsafe fn single<T: Copy>(step: Step, from: *const u8, to: *mut u8) {
    for index in 0..step.extent as isize {
        // SAFETY: the caller's promise.
        unsafe {
            let value = from.offset(index * step.from).cast::<T>().read_unaligned();
            to.offset(index * step.to).cast::<T>().write_unaligned(value);
        }
    }
}

/// Exchanges the sides of a strip by squares; the last ones overlap those before if the strip does not come out even.
unsafe fn squares<T: Copy>(across: Step, along: Step, from: *const u8, to: *mut u8, past_caches: bool) {
    let (side, square) = Square::of(size_of::<T>());
    let at = |x: usize, y: usize| {
        // SAFETY: the caller's promise: both are below the extents.
        unsafe {
            (
                from.offset(x as isize * across.from + y as isize * along.from),
                to.offset(x as isize * across.to + y as isize * along.to),
            )
        }
    };
    if across.extent < side || along.extent < side || side == 1 {
        for y_start in (0..along.extent).step_by(BLOCK) {
            for x in 0..across.extent {
                for y in y_start..along.extent.min(y_start + BLOCK) {
                    let (from, to) = at(x, y);
                    // SAFETY: the caller's promise.
                    unsafe { to.cast::<T>().write_unaligned(from.cast::<T>().read_unaligned()) };
                }
            }
        }
        return;
    }
    for y_start in (0..along.extent).step_by(BLOCK) {
        let y_end = along.extent.min(y_start + BLOCK);
        for x in (0..across.extent).step_by(side) {
            let whole = x + side <= across.extent;
            let x = x.min(across.extent - side);
            for y in (y_start..y_end).step_by(side) {
                let (from, to) = at(x, y.min(along.extent - side));
                // SAFETY: the caller's promise.
                unsafe { square.run(from, across.from, to, along.to, past_caches && whole) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(width: usize, shape: &[usize], order: &[usize], threads: usize) {
        let elems: usize = shape.iter().product();
        let mut axes: Vec<CopyAxis> =
            shape.iter().map(|&extent| CopyAxis { extent: extent as u64, from: 0, to: 0 }).collect();
        let mut stride = 1;
        for dim in (0..shape.len()).rev() {
            axes[dim].from = stride;
            stride *= shape[dim] as i64;
        }
        stride = 1;
        for &dim in order.iter().rev() {
            axes[dim].to = stride;
            stride *= shape[dim] as i64;
        }
        let tensor = crate::Tensor::zeros(crate::DType::U8, &[(elems * width) as u64]).unwrap();
        let (mut from, mut to) = (tensor.clone(), tensor);
        from.bytes_mut().iter_mut().enumerate().for_each(|(k, byte)| *byte = (k * 7 + k / 251) as u8);
        // SAFETY: both tensors are as long as the axes reach.
        assert!(unsafe {
            permute(width, &axes, from.bytes().as_ptr(), to.bytes_mut().as_mut_ptr(), threads)
        });
        let mut index = vec![0usize; shape.len()];
        for k in 0..elems {
            let at = |stride: fn(&CopyAxis) -> i64| {
                axes.iter().zip(&index).map(|(axis, &i)| stride(axis) as usize * i).sum::<usize>() * width
            };
            let (from_at, to_at) = (at(|axis| axis.from), at(|axis| axis.to));
            assert_eq!(
                from.bytes()[from_at..][..width],
                to.bytes()[to_at..][..width],
                "{shape:?} {order:?} element {k}"
            );
            for dim in (0..shape.len()).rev() {
                index[dim] += 1;
                if index[dim] < shape[dim] {
                    break;
                }
                index[dim] = 0;
            }
        }
    }

    #[test]
    fn every_order_of_every_width() {
        for width in [1, 2, 4, 8, 16] {
            for (shape, order) in [
                (&[][..], &[][..]),
                (&[7], &[0]),
                (&[3, 5], &[1, 0]),
                (&[64, 64], &[1, 0]),
                (&[67, 131], &[1, 0]),
                (&[16, 33], &[0, 1]),
                (&[5, 1, 9], &[2, 1, 0]),
                (&[17, 3, 19], &[2, 0, 1]),
                (&[17, 20, 19], &[0, 2, 1]),
                (&[6, 18, 20], &[1, 0, 2]),
                (&[3, 4, 5, 6, 7], &[4, 3, 2, 1, 0]),
                (&[16, 2, 16, 2], &[2, 3, 0, 1]),
                (&[2, 40, 3, 35], &[3, 0, 1, 2]),
                (&[0, 4], &[1, 0]),
            ] {
                check(width, shape, order, 2);
            }
        }
    }

    #[test]
    fn large_copies_on_threads() {
        check(4, &[700, 1000], &[1, 0], 3);
        check(8, &[300, 20, 128], &[2, 1, 0], 2);
        check(4, &[24, 100, 3000], &[2, 0, 1], 2);
        check(8, &[2048, 1600], &[1, 0], 2);
    }

    #[test]
    fn repeated_and_reversed_sources() {
        // A row repeated down the columns of the result, and a vector reversed.
        let from: Vec<u32> = (0..40).collect();
        let mut to = vec![0u32; 40 * 20];
        let axes = [CopyAxis { extent: 40, from: 1, to: 20 }, CopyAxis { extent: 20, from: 0, to: 1 }];
        // SAFETY: the vectors are as long as the axes reach.
        assert!(unsafe { permute(4, &axes, from.as_ptr().cast(), to.as_mut_ptr().cast(), 1) });
        assert!((0..800).all(|k| to[k] == k as u32 / 20));
        let axes = [CopyAxis { extent: 40, from: -1, to: 1 }];
        // SAFETY: the source starts at its last element.
        assert!(unsafe { permute(4, &axes, from.as_ptr().add(39).cast(), to.as_mut_ptr().cast(), 1) });
        assert!((0..40).all(|k| to[k] == 39 - k as u32));
    }

    #[test]
    fn what_cannot_be_addressed_is_refused() {
        let axis = |extent, from, to| CopyAxis { extent, from, to };
        assert!(PermutePlan::new(3, &[]).is_none());
        assert!(PermutePlan::new(8, &[axis(1 << 62, 1, 1)]).is_none());
        assert!(PermutePlan::new(8, &[axis(2, i64::MAX, 1)]).is_none());
        assert!(PermutePlan::new(8, &[axis(1 << 40, 0, 1), axis(1 << 40, 0, 1)]).is_none());
    }
}
