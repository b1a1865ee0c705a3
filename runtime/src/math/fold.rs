//! Sums and extremes of numbers that lie side by side, and of rows of such numbers.
//!
//! Sums are those of blocks, added up as a tree: their error grows with the logarithm of how many there are. An extreme
//! is NaN if any number is.

/// The sum or an extreme of `n` numbers from `x` on.
pub type FoldF64 = unsafe extern "C" fn(x: *const f64, n: usize) -> f64;

/// The sum or an extreme of `n` numbers from `x` on.
pub type FoldF32 = unsafe extern "C" fn(x: *const f32, n: usize) -> f32;

/// `to[j]` is the sum or an extreme of `x[i * stride + j]` over `i` below `rows`, for `j` below `n`.
pub type FoldRowsF64 =
    unsafe extern "C" fn(x: *const f64, stride: isize, rows: usize, to: *mut f64, n: usize);

/// `to[j]` is the sum or an extreme of `x[i * stride + j]` over `i` below `rows`, for `j` below `n`.
pub type FoldRowsF32 =
    unsafe extern "C" fn(x: *const f32, stride: isize, rows: usize, to: *mut f32, n: usize);

/// The position of the first of the greatest or least of `n` numbers from `x` on; of the first NaN, if there is one.
pub type FindF64 = unsafe extern "C" fn(x: *const f64, n: usize) -> i64;

/// The position of the first of the greatest or least of `n` numbers from `x` on; of the first NaN, if there is one.
pub type FindF32 = unsafe extern "C" fn(x: *const f32, n: usize) -> i64;

/// Numbers that are added up without a tree, in as many sums as [`SUMS`] says.
const BLOCK: usize = 2048;

/// Sums of a block, a few vectors of them.
const SUMS: usize = 64;

/// The sums of all blocks so far, one for each power of two of their number.
const LEVELS: usize = 64;

macro_rules! folds {
    ($type:ty, $table:ident, $fold:ident; $($name:ident, $text:literal, $body:ident;)*) => {
        $(
            #[doc = concat!("The `", $text, "` of `n` numbers from `x` on.")]
            ///
            /// # Safety
            /// `x` must be good for `n` elements.
            pub unsafe extern "C" fn $name(x: *const $type, n: usize) -> $type {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(x: &[$type]) -> $type {
                        $body!(x, $type)
                    }

                    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
                    fn avx512(x: &[$type]) -> $type {
                        $body!(x, $type)
                    }

                    // SAFETY: the caller's promise.
                    let x = unsafe { std::slice::from_raw_parts(x, n) };
                    match super::level() {
                        // SAFETY: the machine has been asked.
                        2 => return unsafe { avx512(x) },
                        // SAFETY: as above.
                        1 => return unsafe { avx2(x) },
                        _ => {}
                    }
                }
                // SAFETY: the caller's promise.
                let x = unsafe { std::slice::from_raw_parts(x, n) };
                $body!(x, $type)
            }
        )*

        #[doc = concat!("Folds of arrays of `", stringify!($type), "`, by their names in the language.")]
        pub const $table: &[(&str, $fold)] = &[$(($text, $name)),*];
    };
}

macro_rules! sum {
    ($x:expr, $type:ty) => {{
        if $x.len() <= BLOCK {
            return block_sum!($x, $type);
        }
        let mut levels = [0.0; LEVELS];
        let mut count = 0usize;
        for block in $x.chunks(BLOCK) {
            let mut level = 0;
            let mut total = block_sum!(block, $type);
            while count >> level & 1 == 1 {
                total += levels[level];
                level += 1;
            }
            levels[level] = total;
            count += 1;
        }
        let mut total: $type = 0.0;
        for (level, &sum) in levels.iter().enumerate() {
            if count >> level & 1 == 1 {
                total += sum;
            }
        }
        total
    }};
}

macro_rules! block_sum {
    ($x:expr, $type:ty) => {{
        let mut sums: [$type; SUMS] = [0.0; SUMS];
        let parts = $x.chunks_exact(SUMS);
        let rest = parts.remainder();
        for part in parts {
            for (sum, &value) in sums.iter_mut().zip(part) {
                *sum += value;
            }
        }
        for (sum, &value) in sums.iter_mut().zip(rest) {
            *sum += value;
        }
        let mut width = SUMS / 2;
        while width > 0 {
            for at in 0..width {
                sums[at] += sums[at + width];
            }
            width /= 2;
        }
        sums[0]
    }};
}

macro_rules! extreme {
    ($x:expr, $type:ty, $start:expr, $better:tt) => {{
        let mut best = [$start; SUMS];
        let mut odd = false;
        let parts = $x.chunks_exact(SUMS);
        let rest = parts.remainder();
        for part in parts {
            let mut differs = [false; SUMS];
            for (at, &value) in part.iter().enumerate() {
                best[at] = if value $better best[at] { value } else { best[at] };
                differs[at] = value.is_nan();
            }
            let mut any = false;
            for &differs in &differs {
                any |= differs;
            }
            odd |= any;
        }
        for (best, &value) in best.iter_mut().zip(rest) {
            *best = if value $better *best { value } else { *best };
            odd |= value.is_nan();
        }
        let mut width = SUMS / 2;
        while width > 0 {
            for at in 0..width {
                best[at] = if best[at + width] $better best[at] { best[at + width] } else { best[at] };
            }
            width /= 2;
        }
        if odd { <$type>::NAN } else { best[0] }
    }};
}

macro_rules! most {
    ($x:expr, $type:ty) => {
        extreme!($x, $type, <$type>::NEG_INFINITY, >)
    };
}

macro_rules! least {
    ($x:expr, $type:ty) => {
        extreme!($x, $type, <$type>::INFINITY, <)
    };
}

/// Declares what needs the machine's vectors.
macro_rules! with_features {
    ($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// What the arguments say must be good, and what is written overlaps nothing else.
        pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            unsafe fn each($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($argument: $type),*) $(-> $result)? {
                    // SAFETY: the caller's promise.
                    unsafe { each($($argument),*) }
                }

                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
                unsafe fn avx512($($argument: $type),*) $(-> $result)? {
                    // SAFETY: the caller's promise.
                    unsafe { each($($argument),*) }
                }

                match super::level() {
                    // SAFETY: the machine has been asked; the rest is the caller's promise.
                    2 => return unsafe { avx512($($argument),*) },
                    // SAFETY: as above.
                    1 => return unsafe { avx2($($argument),*) },
                    _ => {}
                }
            }
            // SAFETY: the caller's promise.
            unsafe { each($($argument),*) }
        }
    };
}

/// Numbers of a row that are worked on at once.
const WIDTH: usize = 512;

/// Rows that are added up without a tree, and sums of so many rows likewise.
const ROWS: usize = 64;

macro_rules! row_folds {
    ($type:ty, $table:ident, $fold:ident; $sum:ident, $most:ident, $least:ident) => {
        with_features! {
            /// The sum of rows.
            $sum(x: *const $type, stride: isize, rows: usize, to: *mut $type, n: usize) {
                for start in (0..n).step_by(WIDTH) {
                    let width = WIDTH.min(n - start);
                    // Of rows, of sums of rows, and of sums of those.
                    let mut sums = [[0.0; WIDTH]; 3];
                    let mut row = 0;
                    while row < rows {
                        let at = |row: usize| row as isize * stride;
                        // Four rows at once, as far as there are so many.
                        let together = if rows - row >= 4 { 4 } else { 1 };
                        // SAFETY: the caller's promise: rows below `rows` are there.
                        unsafe {
                            let x = x.add(start);
                            if together == 4 {
                                let [a, b, c, d] = [0, 1, 2, 3]
                                    .map(|k| std::slice::from_raw_parts(x.offset(at(row + k)), width));
                                let rows = a.iter().zip(b).zip(c).zip(d);
                                for (sum, (((a, b), c), d)) in sums[0][..width].iter_mut().zip(rows) {
                                    *sum += (a + b) + (c + d);
                                }
                            } else {
                                let x = std::slice::from_raw_parts(x.offset(at(row)), width);
                                for (sum, &value) in sums[0][..width].iter_mut().zip(x) {
                                    *sum += value;
                                }
                            }
                        }
                        row += together;
                        for level in 0..2 {
                            if row == rows || row.is_multiple_of(ROWS.pow(level as u32 + 1)) {
                                for at in 0..width {
                                    sums[level + 1][at] += sums[level][at];
                                    sums[level][at] = 0.0;
                                }
                            }
                        }
                    }
                    // SAFETY: the caller's promise.
                    unsafe { std::ptr::copy_nonoverlapping(sums[2].as_ptr(), to.add(start), width) };
                }
            }
        }

        row_extreme! { $type, $most, <$type>::NEG_INFINITY, > }
        row_extreme! { $type, $least, <$type>::INFINITY, < }

        #[doc = concat!("Folds of rows of `", stringify!($type), "`, by their names in the language.")]
        pub const $table: &[(&str, $fold)] = &[("sum", $sum), ("max", $most), ("min", $least)];
    };
}

macro_rules! row_extreme {
    ($type:ty, $name:ident, $start:expr, $better:tt) => {
        with_features! {
            /// An extreme of rows.
            $name(x: *const $type, stride: isize, rows: usize, to: *mut $type, n: usize) {
                for start in (0..n).step_by(WIDTH) {
                    let width = WIDTH.min(n - start);
                    let mut best = [$start; WIDTH];
                    for row in 0..rows {
                        let at = row as isize * stride;
                        // SAFETY: the caller's promise.
                        let x = unsafe { std::slice::from_raw_parts(x.offset(at).add(start), width) };
                        for (best, &value) in best[..width].iter_mut().zip(x) {
                            *best = if (value $better *best) | value.is_nan() { value } else { *best };
                        }
                    }
                    // SAFETY: the caller's promise.
                    unsafe { std::ptr::copy_nonoverlapping(best.as_ptr(), to.add(start), width) };
                }
            }
        }
    };
}

macro_rules! finds {
    ($type:ty, $table:ident, $find:ident; $($name:ident, $text:literal, $extreme:ident;)*) => {
        $(
            with_features! {
                #[doc = concat!("`", $text, "` of numbers.")]
                $name(x: *const $type, n: usize) -> i64 {
                    // SAFETY: the caller's promise.
                    let (best, x) = unsafe { ($extreme(x, n), std::slice::from_raw_parts(x, n)) };
                    let is = |value: $type| (value == best) | value.is_nan();
                    // Few branches: whole blocks first.
                    let mut block = 0;
                    for part in x.chunks_exact(SUMS) {
                        let mut found = false;
                        for &value in part {
                            found |= is(value);
                        }
                        if found {
                            break;
                        }
                        block += SUMS;
                    }
                    let rest = x[block..].iter().position(|&value| is(value));
                    // With NaN anywhere, `best` is NaN and nothing but NaN is found.
                    rest.map_or(0, |at| (block + at) as i64)
                }
            }
        )*

        #[doc = concat!("Positions in arrays of `", stringify!($type), "`, by their names in the language.")]
        pub const $table: &[(&str, $find)] = &[$(($text, $name)),*];
    };
}

folds! {
    f64, FOLD_F64, FoldF64;
    sum_f64, "sum", sum;
    max_f64, "max", most;
    min_f64, "min", least;
}

folds! {
    f32, FOLD_F32, FoldF32;
    sum_f32, "sum", sum;
    max_f32, "max", most;
    min_f32, "min", least;
}

row_folds! { f64, FOLD_ROWS_F64, FoldRowsF64; sum_rows_f64, max_rows_f64, min_rows_f64 }
row_folds! { f32, FOLD_ROWS_F32, FoldRowsF32; sum_rows_f32, max_rows_f32, min_rows_f32 }

finds! {
    f64, FIND_F64, FindF64;
    argmax_f64, "argmax", max_f64;
    argmin_f64, "argmin", min_f64;
}

finds! {
    f32, FIND_F32, FindF32;
    argmax_f32, "argmax", max_f32;
    argmin_f32, "argmin", min_f32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_of_rows_are_those_of_columns() {
        for (rows, n, stride) in
            [(1, 1, 1), (3, 5, 7), (65, 100, 100), (130, 513, 600), (4100, 3, 3), (0, 4, 4)]
        {
            let x: Vec<f64> = (0..rows.max(1) * stride).map(|k| ((k * 7919) % 1009) as f64 - 400.0).collect();
            let mut x32: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            if rows > 2 {
                x32[stride] = f32::NAN;
            }
            let mut to = [vec![0.0; n], vec![0.0; n], vec![0.0; n]];
            let mut most = vec![0.0; n];
            // SAFETY: the arrays are that long.
            unsafe {
                sum_rows_f64(x.as_ptr(), stride as isize, rows, to[0].as_mut_ptr(), n);
                max_rows_f64(x.as_ptr(), stride as isize, rows, to[1].as_mut_ptr(), n);
                min_rows_f64(x.as_ptr(), stride as isize, rows, to[2].as_mut_ptr(), n);
                max_rows_f32(x32.as_ptr(), stride as isize, rows, most.as_mut_ptr(), n);
            }
            for j in 0..n {
                let column: Vec<f64> = (0..rows).map(|i| x[i * stride + j]).collect();
                assert_eq!(to[0][j], column.iter().sum::<f64>(), "{rows} {n}");
                assert_eq!(to[1][j], column.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                assert_eq!(to[2][j], column.iter().copied().fold(f64::INFINITY, f64::min));
                let is_nan = rows > 2 && j == 0;
                assert!(if is_nan { most[j].is_nan() } else { f64::from(most[j]) == to[1][j] });
            }
        }
    }

    #[test]
    fn positions_are_of_the_first() {
        for n in [1, 2, 63, 64, 65, 129, 1000] {
            for at in (0..n).step_by(7) {
                let mut x = vec![1.0f64; n];
                x[at] = 3.0;
                x[n - 1] = 3.0f64.min(x[n - 1] + 2.0);
                let y: Vec<f32> = x.iter().map(|&x| -x as f32).collect();
                // SAFETY: both are that long.
                let found = unsafe { [argmax_f64(x.as_ptr(), n), argmin_f32(y.as_ptr(), n)] };
                assert_eq!(found, [at as i64; 2], "{n}");
                x[n / 2] = f64::NAN;
                // SAFETY: as above.
                let found = unsafe { [argmax_f64(x.as_ptr(), n), argmin_f64(x.as_ptr(), n)] };
                assert_eq!(found, [(n / 2) as i64; 2], "{n}");
            }
        }
        // SAFETY: no element is read.
        assert_eq!(unsafe { argmax_f64([0.0].as_ptr(), 0) }, 0);
    }

    #[test]
    fn folds_of_integers_are_exact_at_every_length() {
        for n in (0..300).chain([2047, 2048, 2049, 6144, 10_000, 70_001]) {
            let x: Vec<f64> = (0..n).map(|k| ((k * 7919 + 3) % 1009) as f64 - 500.0).collect();
            let y: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let (sum, most, least) = x
                .iter()
                .fold((0.0, f64::NEG_INFINITY, f64::INFINITY), |(s, m, l), &x| (s + x, x.max(m), x.min(l)));
            // SAFETY: both are that long.
            let (wide, narrow) = unsafe {
                let (x, y) = (x.as_ptr(), y.as_ptr());
                ([sum_f64(x, n), max_f64(x, n), min_f64(x, n)], [sum_f32(y, n), max_f32(y, n), min_f32(y, n)])
            };
            assert_eq!((wide, narrow.map(f64::from)), ([sum, most, least], [sum, most, least]), "{n}");
        }
    }

    #[test]
    fn nan_wins_wherever_it_is() {
        for n in [1, 63, 64, 65, 200] {
            for at in 0..n {
                let mut x = vec![1.0f32; n];
                x[at] = f32::NAN;
                // SAFETY: it is that long.
                let found =
                    unsafe { [max_f32(x.as_ptr(), n), min_f32(x.as_ptr(), n), sum_f32(x.as_ptr(), n)] };
                assert!(found.iter().all(|value| value.is_nan()), "{n} {at}");
            }
        }
    }

    #[test]
    fn long_sums_lose_little() {
        let x = vec![0.1f32; 10_000_000];
        // SAFETY: it is that long.
        let sum = unsafe { sum_f32(x.as_ptr(), x.len()) };
        assert!((f64::from(sum) / (f64::from(0.1f32) * 1e7) - 1.0).abs() < 1e-6, "{sum}");
    }
}
