//! Copies blocks of operands, whatever their strides, into the order in which kernels read them.
//!
//! Columns (of B) go to `to[p * width + j]`, the columns that do not exist as zeros. Rows (of A) go to
//! `to[p * rows + i]`, or `to[i * stride + p]` where sums are side by side in memory, which kernels read as well.

/// Moves 8 rows, each of `8 * blocks` elements side by side, to columns.
///
/// Element `u` of row `r`, at `from + rows[r] + u`, goes to `to + u * step + r`.
pub(super) type Transpose<T> =
    unsafe fn(from: *const T, rows: *const isize, blocks: usize, to: *mut T, step: isize);

/// [`Transpose`] for every machine and element.
///
/// # Safety
/// All places named by the arguments must be good.
pub(super) unsafe fn transpose_plain<T: Copy>(
    from: *const T,
    rows: *const isize,
    blocks: usize,
    to: *mut T,
    step: isize,
) {
    for u in 0..8 * blocks {
        for r in 0..8 {
            // SAFETY: the caller's promise.
            unsafe { *to.offset(u as isize * step).add(r) = *from.offset(*rows.add(r)).add(u) };
        }
    }
}

/// [`columns`] by the instructions of some machine.
pub(super) type Columns<T> =
    unsafe fn(from: *const T, columns: &[isize], sums: &[isize], width: usize, to: *mut T);

/// [`rows`] by the instructions of some machine.
pub(super) type Rows<T> = unsafe fn(from: *const T, rows: &[isize], sums: &[isize], to: *mut T);

/// Packs columns of B: `columns[j]` and `sums[p]` are offsets from `from`, `width` is what a packed row holds.
///
/// # Safety
/// All places named by the arguments must be good; `to` holds `sums.len() * width` elements.
#[inline(always)]
pub(super) unsafe fn columns<T: Copy + Default>(
    from: *const T,
    columns: &[isize],
    sums: &[isize],
    width: usize,
    to: *mut T,
) {
    let is_straight = columns.iter().enumerate().all(|(j, &column)| column == columns[0] + j as isize);
    // SAFETY: the caller's promise, throughout.
    unsafe {
        if is_straight {
            let from = from.offset(columns[0]);
            match (columns.len() == width, width) {
                (true, 48) => copy_rows::<T, 48>(from, sums, to, 48),
                (true, 32) => copy_rows::<T, 32>(from, sums, to, 32),
                (true, 24) => copy_rows::<T, 24>(from, sums, to, 24),
                (true, 16) => copy_rows::<T, 16>(from, sums, to, 16),
                (true, 8) => copy_rows::<T, 8>(from, sums, to, 8),
                _ => {
                    for (p, &sum) in sums.iter().enumerate() {
                        copy_short(from.offset(sum), to.add(p * width), columns.len());
                        clear_short(to.add(p * width + columns.len()), width - columns.len());
                    }
                    return;
                }
            }
        } else if copy_pieces(from, columns, sums, to, width) {
        } else if columns.len() > 1
            && sums.len() > 1
            && (sums[1] - sums[0]).abs() < (columns[1] - columns[0]).abs()
        {
            for (j, &column) in columns.iter().enumerate() {
                let from = from.offset(column);
                for (p, &sum) in sums.iter().enumerate() {
                    *to.add(p * width + j) = *from.offset(sum);
                }
            }
        } else {
            for (p, &sum) in sums.iter().enumerate() {
                let from = from.offset(sum);
                for (j, &column) in columns.iter().enumerate() {
                    *to.add(p * width + j) = *from.offset(column);
                }
            }
        }
        pad(columns.len(), sums.len(), width, to);
    }
}

/// Does something for the places of fewer than 64 elements, 32, 16, .. of them at once: what is so short is not worth a
/// call.
macro_rules! in_powers {
    ($len:expr, |$at:ident: $size:ident| $body:expr) => {{
        let mut $at = 0;
        in_powers!(@each $len, $at, $size, $body; 32, 16, 8, 4, 2, 1);
        let _ = $at;
    }};
    (@each $len:expr, $at:ident, $size:ident, $body:expr; $($power:literal),*) => {$(
        if $len & $power != 0 {
            const $size: usize = $power;
            $body;
            $at += $power;
        }
    )*};
}

/// Copies fewer than 64 elements.
///
/// # Safety
/// Both places are good for them, and do not overlap.
#[inline(always)]
unsafe fn copy_short<T: Copy>(from: *const T, to: *mut T, len: usize) {
    debug_assert!(len < 64);
    // SAFETY: the caller's promise.
    in_powers!(len, |at: SIZE| unsafe {
        to.add(at).cast::<[T; SIZE]>().write_unaligned(from.add(at).cast::<[T; SIZE]>().read_unaligned())
    });
}

/// Makes zeros of fewer than 64 elements.
///
/// # Safety
/// The place is good for them.
#[inline(always)]
unsafe fn clear_short<T: Copy + Default>(to: *mut T, len: usize) {
    debug_assert!(len < 64);
    // SAFETY: the caller's promise.
    in_powers!(len, |at: SIZE| unsafe {
        to.add(at).cast::<[T; SIZE]>().write_unaligned([T::default(); SIZE])
    });
}

/// Packs columns of B whose sums lie side by side in runs: `sums` as in [`columns`], where `sums[p + 1]` is
/// `sums[p] + 1` unless `phase + p + 1` is a multiple of `run`.
///
/// # Safety
/// As [`columns`].
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn columns_of_runs<T: Copy + Default>(
    transpose: Transpose<T>,
    from: *const T,
    columns: &[isize],
    sums: &[isize],
    run: usize,
    phase: usize,
    width: usize,
    to: *mut T,
) {
    let mut p = 0;
    let mut left = run - phase % run.max(1);
    while p < sums.len() {
        let len = left.min(sums.len() - p);
        left = run;
        let (from, to) = (unsafe { from.offset(sums[p]) }, unsafe { to.add(p * width) });
        let blocks = len / 8;
        let eights = columns.chunks_exact(8);
        let rest = eights.remainder();
        // SAFETY: the caller's promise: within a run of sums, places lie side by side.
        unsafe {
            for (at, eight) in eights.enumerate() {
                let to = to.add(at * 8);
                transpose(from, eight.as_ptr(), blocks, to, width as isize);
                for u in blocks * 8..len {
                    for (j, &column) in eight.iter().enumerate() {
                        *to.add(u * width + j) = *from.offset(column).add(u);
                    }
                }
            }
            let first = columns.len() - rest.len();
            for (j, &column) in rest.iter().enumerate() {
                let from = from.offset(column);
                for u in 0..len {
                    *to.add(u * width + first + j) = *from.add(u);
                }
            }
        }
        p += len;
    }
    // SAFETY: the caller's promise.
    unsafe { pad(columns.len(), sums.len(), width, to) };
}

/// Packs the same columns of `count` panels that lie side by side in memory: panel `g` starts at `from + g` and goes to
/// `to + g * panel`.
///
/// # Safety
/// As [`columns`], for every panel.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn columns_of_panels<T: Copy + Default>(
    transpose: Transpose<T>,
    from: *const T,
    columns: &[isize],
    sums: &[isize],
    width: usize,
    to: *mut T,
    count: usize,
    panel: usize,
) {
    let blocks = count / 8;
    let eights = columns.chunks_exact(8);
    let rest = eights.remainder();
    let first = columns.len() - rest.len();
    for (p, &sum) in sums.iter().enumerate() {
        // SAFETY: the caller's promise: panels lie side by side.
        unsafe {
            let (from, to) = (from.offset(sum), to.add(p * width));
            for (at, eight) in eights.clone().enumerate() {
                let to = to.add(at * 8);
                transpose(from, eight.as_ptr(), blocks, to, panel as isize);
                for g in blocks * 8..count {
                    for (j, &column) in eight.iter().enumerate() {
                        *to.add(g * panel + j) = *from.offset(column).add(g);
                    }
                }
            }
            for (j, &column) in rest.iter().enumerate() {
                for g in 0..count {
                    *to.add(g * panel + first + j) = *from.offset(column).add(g);
                }
            }
        }
    }
    for g in 0..count {
        // SAFETY: the caller's promise.
        unsafe { pad(columns.len(), sums.len(), width, to.add(g * panel)) };
    }
}

/// Writes zeros for columns that do not exist.
#[inline(always)]
unsafe fn pad<T: Copy + Default>(columns: usize, sums: usize, width: usize, to: *mut T) {
    if columns < width {
        for p in 0..sums {
            for j in columns..width {
                // SAFETY: the caller of the packing function has room for `sums * width`.
                unsafe { *to.add(p * width + j) = T::default() };
            }
        }
    }
}

/// Copies `WIDTH` elements for each sum, to places `step` apart.
#[inline(always)]
unsafe fn copy_rows<T: Copy, const WIDTH: usize>(from: *const T, sums: &[isize], to: *mut T, step: usize) {
    for (p, &sum) in sums.iter().enumerate() {
        // SAFETY: the caller of the packing function vouches for every place.
        unsafe {
            let row = from.offset(sum).cast::<[T; WIDTH]>().read_unaligned();
            to.add(p * step).cast::<[T; WIDTH]>().write_unaligned(row);
        }
    }
}

/// Copies every other element, `LEN` of them, an even number. Nothing is read behind the last one.
///
/// # Safety
/// Both places are good for them.
#[inline(always)]
unsafe fn copy_evens<T: Copy, const LEN: usize>(from: *const T, to: *mut T) {
    // SAFETY: the caller's promise: the last one is `2 * LEN - 2` from the first.
    unsafe {
        let first = from.cast::<[T; LEN]>().read_unaligned();
        let second = from.add(LEN - 1).cast::<[T; LEN]>().read_unaligned();
        let evens = std::array::from_fn(|j| if 2 * j < LEN { first[2 * j] } else { second[2 * j + 1 - LEN] });
        to.cast::<[T; LEN]>().write_unaligned(evens);
    }
}

/// Copies every other element, `WIDTH` of them, for each sum, to places `step` apart.
#[inline(always)]
unsafe fn copy_every_other<T: Copy, const WIDTH: usize>(
    from: *const T,
    sums: &[isize],
    to: *mut T,
    step: usize,
) {
    for (p, &sum) in sums.iter().enumerate() {
        // SAFETY: the caller of the packing function vouches for every place.
        unsafe {
            let (from, to) = (from.offset(sum), to.add(p * step));
            match WIDTH {
                _ if WIDTH.is_multiple_of(16) => {
                    (0..WIDTH).step_by(16).for_each(|at| copy_evens::<T, 16>(from.add(2 * at), to.add(at)));
                }
                _ if WIDTH.is_multiple_of(8) => {
                    (0..WIDTH).step_by(8).for_each(|at| copy_evens::<T, 8>(from.add(2 * at), to.add(at)));
                }
                _ => (0..WIDTH).for_each(|j| *to.add(j) = *from.add(2 * j)),
            }
        }
    }
}

/// How many of the first places lie that far apart.
pub(super) fn run_of(places: &[isize], by: isize) -> usize {
    1 + places.windows(2).take_while(|pair| pair[1] == pair[0] + by).count()
}

/// Copies places that lie side by side in runs of some length, fewer than 64, or are every other one there, to
/// `to[p * step + j]`. Does nothing and gives false where runs are short.
///
/// # Safety
/// As [`columns`], with `step` for the width.
#[inline(always)]
unsafe fn copy_pieces<T: Copy>(
    from: *const T,
    places: &[isize],
    sums: &[isize],
    to: *mut T,
    step: usize,
) -> bool {
    let fits = |&by: &isize| {
        let pieces = 1 + places.windows(2).filter(|pair| pair[1] != pair[0] + by).count();
        pieces * 4 <= places.len()
    };
    let Some(by) = [1, 2].into_iter().find(fits) else { return false };
    let mut start = 0;
    while start < places.len() {
        let len = run_of(&places[start..], by);
        // SAFETY: the caller's promise.
        unsafe {
            let (from, to) = (from.offset(places[start]), to.add(start));
            match by {
                1 => in_powers!(len, |at: SIZE| copy_rows::<T, SIZE>(from.add(at), sums, to.add(at), step)),
                _ => in_powers!(len, |at: SIZE| {
                    copy_every_other::<T, SIZE>(from.add(2 * at), sums, to.add(at), step)
                }),
            }
        }
        start += len;
    }
    true
}

/// Packs rows of A to `to[p * rows.len() + i]`, at most 8 of them.
///
/// # Safety
/// All places named by the arguments must be good.
#[inline(always)]
pub(super) unsafe fn rows<T: Copy>(from: *const T, rows: &[isize], sums: &[isize], to: *mut T) {
    let height = rows.len();
    let is_straight = rows.iter().enumerate().all(|(i, &row)| row == rows[0] + i as isize);
    // SAFETY: the caller's promise, throughout.
    unsafe {
        if is_straight {
            let from = from.offset(rows[0]);
            match height {
                8 => copy_rows::<T, 8>(from, sums, to, 8),
                7 => copy_rows::<T, 7>(from, sums, to, 7),
                6 => copy_rows::<T, 6>(from, sums, to, 6),
                5 => copy_rows::<T, 5>(from, sums, to, 5),
                4 => copy_rows::<T, 4>(from, sums, to, 4),
                3 => copy_rows::<T, 3>(from, sums, to, 3),
                2 => copy_rows::<T, 2>(from, sums, to, 2),
                _ => copy_rows::<T, 1>(from, sums, to, 1),
            }
        } else if copy_pieces(from, rows, sums, to, height) {
        } else if sums.len() > 1 && (sums[1] - sums[0]).abs() < (rows[1] - rows[0]).abs() {
            for (i, &row) in rows.iter().enumerate() {
                let from = from.offset(row);
                for (p, &sum) in sums.iter().enumerate() {
                    *to.add(p * height + i) = *from.offset(sum);
                }
            }
        } else {
            for (p, &sum) in sums.iter().enumerate() {
                let from = from.offset(sum);
                for (i, &row) in rows.iter().enumerate() {
                    *to.add(p * height + i) = *from.offset(row);
                }
            }
        }
    }
}

/// Packs rows of A whose sums lie side by side in runs, see [`columns_of_runs`], to `to[i * stride + p]`.
///
/// # Safety
/// All places named by the arguments must be good.
pub(super) unsafe fn rows_of_runs<T: Copy>(
    from: *const T,
    rows: &[isize],
    sums: &[isize],
    run: usize,
    phase: usize,
    to: *mut T,
    stride: usize,
) {
    for (i, &row) in rows.iter().enumerate() {
        let mut p = 0;
        let mut left = run - phase % run.max(1);
        while p < sums.len() {
            let len = left.min(sums.len() - p);
            left = run;
            // SAFETY: the caller's promise: within a run, places lie side by side.
            unsafe {
                let (from, to) = (from.offset(row + sums[p]), to.add(i * stride + p));
                if len < 64 {
                    copy_short(from, to, len);
                } else {
                    std::ptr::copy_nonoverlapping(from, to, len);
                }
            }
            p += len;
        }
    }
}

/// Packs rows of A to `to[i * stride + p]`, where sums come in groups of `cut`, the first of each group side by side in
/// memory as a rule: `sums[p + cut]` is `sums[p] + 1`.
///
/// # Safety
/// All places named by the arguments must be good.
pub(super) unsafe fn rows_of_boxes<T: Copy>(
    transpose: Transpose<T>,
    from: *const T,
    rows: &[isize],
    sums: &[isize],
    cut: usize,
    to: *mut T,
    stride: usize,
) {
    let one_by_one = |i: usize, row: isize, range: std::ops::Range<usize>| {
        for p in range {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i * stride + p) = *from.offset(row + sums[p]) };
        }
    };
    let mut p = 0;
    while p < sums.len() {
        let is_box = sums.len() - p >= 8 * cut
            && (1..8).all(|group| sums[p + group * cut] == sums[p] + group as isize);
        if !is_box {
            let end = sums.len().min(p + cut);
            rows.iter().enumerate().for_each(|(i, &row)| one_by_one(i, row, p..end));
            p = end;
            continue;
        }
        let base = sums[p];
        for (i, &row) in rows.iter().enumerate() {
            let mut inner = 0;
            while inner + 8 <= cut {
                let steps: [isize; 8] = std::array::from_fn(|at| sums[p + inner + at] - base);
                // SAFETY: the caller's promise: the groups of a box are side by side in memory.
                unsafe {
                    let to = to.add(i * stride + p + inner);
                    transpose(from.offset(row + base), steps.as_ptr(), 1, to, cut as isize);
                }
                inner += 8;
            }
            for group in 0..8 {
                one_by_one(i, row, p + group * cut + inner..p + (group + 1) * cut);
            }
        }
        p += 8 * cut;
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    /// [`super::Transpose`] for elements of 4 bytes.
    ///
    /// # Safety
    /// All places named by the arguments must be good, `T` has 4 bytes, the machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub(in super::super) unsafe fn transpose_32<T>(
        from: *const T,
        rows: *const isize,
        blocks: usize,
        to: *mut T,
        step: isize,
    ) {
        debug_assert_eq!(size_of::<T>(), 4);
        let (from, to): (*const f32, *mut f32) = (from.cast(), to.cast());
        for block in 0..blocks {
            // SAFETY: the caller's promise.
            unsafe {
                let row = |r: usize| _mm256_loadu_ps(from.offset(*rows.add(r)).add(8 * block));
                let pairs = |r: usize| {
                    let (a, b) = (row(r), row(r + 1));
                    (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))
                };
                let ((a, b), (c, d), (e, f), (g, h)) = (pairs(0), pairs(2), pairs(4), pairs(6));
                let fours = [
                    (_mm256_shuffle_ps::<0x44>(a, c), _mm256_shuffle_ps::<0x44>(e, g)),
                    (_mm256_shuffle_ps::<0xee>(a, c), _mm256_shuffle_ps::<0xee>(e, g)),
                    (_mm256_shuffle_ps::<0x44>(b, d), _mm256_shuffle_ps::<0x44>(f, h)),
                    (_mm256_shuffle_ps::<0xee>(b, d), _mm256_shuffle_ps::<0xee>(f, h)),
                ];
                for (u, (low, high)) in fours.into_iter().enumerate() {
                    let u = (8 * block + u) as isize;
                    _mm256_storeu_ps(to.offset(u * step), _mm256_permute2f128_ps::<0x20>(low, high));
                    _mm256_storeu_ps(to.offset((u + 4) * step), _mm256_permute2f128_ps::<0x31>(low, high));
                }
            }
        }
    }

    /// [`super::Transpose`] for elements of 8 bytes.
    ///
    /// # Safety
    /// All places named by the arguments must be good, `T` has 8 bytes, the machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub(in super::super) unsafe fn transpose_64<T>(
        from: *const T,
        rows: *const isize,
        blocks: usize,
        to: *mut T,
        step: isize,
    ) {
        debug_assert_eq!(size_of::<T>(), 8);
        let (from, to): (*const f64, *mut f64) = (from.cast(), to.cast());
        for block in 0..2 * blocks {
            for half in 0..2 {
                // SAFETY: the caller's promise.
                unsafe {
                    let row = |r: usize| _mm256_loadu_pd(from.offset(*rows.add(4 * half + r)).add(4 * block));
                    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                    let (ab, cd) = (_mm256_unpacklo_pd(a, b), _mm256_unpacklo_pd(c, d));
                    let (ab_high, cd_high) = (_mm256_unpackhi_pd(a, b), _mm256_unpackhi_pd(c, d));
                    let place = |u: usize| to.offset((4 * block + u) as isize * step).add(4 * half);
                    _mm256_storeu_pd(place(0), _mm256_permute2f128_pd::<0x20>(ab, cd));
                    _mm256_storeu_pd(place(1), _mm256_permute2f128_pd::<0x20>(ab_high, cd_high));
                    _mm256_storeu_pd(place(2), _mm256_permute2f128_pd::<0x31>(ab, cd));
                    _mm256_storeu_pd(place(3), _mm256_permute2f128_pd::<0x31>(ab_high, cd_high));
                }
            }
        }
    }
}
