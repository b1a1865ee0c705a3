//! Sorted rows, by the rules of the language: ascending order puts NaN last, equal values keep their order, and the
//! greatest come with NaN first.

use std::cmp::Ordering;

/// How many values are compared at once with the least that is kept.
const AT_ONCE: usize = 32;

/// A type that rows can be sorted by.
pub trait Key: Copy {
    /// Ascending order, NaN after everything, `-0.0` equal to `0.0`.
    fn order(&self, other: &Self) -> Ordering;

    /// Whether its order to the other is [`Ordering::Greater`], without a branch.
    fn is_above(&self, other: &Self) -> bool;
}

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Key for $type {
            #[inline]
            fn order(&self, other: &$type) -> Ordering {
                self.partial_cmp(other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
            }

            #[inline(always)]
            #[allow(clippy::neg_cmp_op_on_partial_ord)]
            fn is_above(&self, other: &$type) -> bool {
                !(*self <= *other) & (*other == *other)
            }
        }
    )*};
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Key for $type {
            #[inline]
            fn order(&self, other: &$type) -> Ordering {
                self.cmp(other)
            }

            #[inline(always)]
            fn is_above(&self, other: &$type) -> bool {
                *self > *other
            }
        }
    )*};
}

floats!(f64, f32, half::f16, half::bf16);
integers!(i64, i32, i16, i8, u64, u32, u16, u8, bool);

/// Sorts a row: ascending, NaN last, equal values in their order.
pub fn sort<T: Key>(row: &mut [T]) {
    row.sort_by(T::order);
}

/// Writes the positions of a row's values in ascending order, NaN last, the lower of equal ones first.
///
/// # Panics
/// Where `positions` is not as long as `row`.
pub fn argsort<T: Key>(row: &[T], positions: &mut [i64]) {
    assert_eq!(row.len(), positions.len(), "there is a position for every value");
    positions.iter_mut().zip(0..).for_each(|(position, index)| *position = index);
    positions.sort_unstable_by(|&a, &b| row[a as usize].order(&row[b as usize]).then(a.cmp(&b)));
}

/// Writes the positions of a row's greatest values, descending, NaN first, the lower of equal ones first; as many as
/// `positions` is long.
///
/// # Panics
/// Where `positions` is longer than `row`.
pub fn argtopk<T: Key>(row: &[T], positions: &mut [i64]) {
    let k = positions.len();
    assert!(k <= row.len(), "no more values are asked for than there are");
    if k == 0 {
        return;
    }
    let descending = |&a: &i64, &b: &i64| row[b as usize].order(&row[a as usize]).then(a.cmp(&b));
    let mut best: Vec<i64>;
    if k < row.len() / 4 {
        // Few values pass the least of the best so far; a later one that equals it comes after it.
        let room = (2 * k).max(64).min(row.len());
        best = (0..room as i64).collect();
        best.select_nth_unstable_by(k - 1, descending);
        best.truncate(k);
        let mut least = row[best[k - 1] as usize];
        for (number, values) in row[room..].chunks(AT_ONCE).enumerate() {
            // Most have nothing to offer, which vectors tell.
            if !values.iter().fold(false, |any, value| any | value.is_above(&least)) {
                continue;
            }
            for (at, value) in values.iter().enumerate() {
                if value.is_above(&least) {
                    best.push((room + number * AT_ONCE + at) as i64);
                    if best.len() == room {
                        best.select_nth_unstable_by(k - 1, descending);
                        best.truncate(k);
                        least = row[best[k - 1] as usize];
                    }
                }
            }
        }
    } else {
        best = (0..row.len() as i64).collect();
    }
    if k < best.len() {
        best.select_nth_unstable_by(k - 1, descending);
    }
    best[..k].sort_unstable_by(descending);
    positions.copy_from_slice(&best[..k]);
}

/// Writes a row's greatest values, descending, NaN first; as many as `top` is long.
///
/// # Panics
/// Where `top` is longer than `row`.
pub fn topk<T: Key>(row: &[T], top: &mut [T]) {
    let mut positions = vec![0; top.len()];
    argtopk(row, &mut positions);
    top.iter_mut().zip(positions).for_each(|(value, position)| *value = row[position as usize]);
}

macro_rules! rows {
    ($($type:ty: $sort:ident, $argsort:ident, $topk:ident, $argtopk:ident;)*) => {$(
        #[doc = concat!("[`sort`] of a row of `n` `", stringify!($type), "`.")]
        ///
        /// # Safety
        /// The pointer must be good for `n` values.
        pub unsafe extern "C" fn $sort(row: *mut $type, n: usize) {
            // SAFETY: the caller's promise.
            sort(unsafe { std::slice::from_raw_parts_mut(row, n) });
        }

        #[doc = concat!("[`argsort`] of a row of `n` `", stringify!($type), "`.")]
        ///
        /// # Safety
        /// Both pointers must be good for `n` values, apart from each other.
        pub unsafe extern "C" fn $argsort(row: *const $type, positions: *mut i64, n: usize) {
            // SAFETY: the caller's promise.
            unsafe {
                argsort(std::slice::from_raw_parts(row, n), std::slice::from_raw_parts_mut(positions, n));
            }
        }

        #[doc = concat!("[`topk`] of a row of `n` `", stringify!($type), "`, for `k` up to `n`.")]
        ///
        /// # Safety
        /// The pointers must be good for `n` and `k` values, apart from each other.
        pub unsafe extern "C" fn $topk(row: *const $type, n: usize, top: *mut $type, k: usize) {
            // SAFETY: the caller's promise.
            unsafe { topk(std::slice::from_raw_parts(row, n), std::slice::from_raw_parts_mut(top, k.min(n))) };
        }

        #[doc = concat!("[`argtopk`] of a row of `n` `", stringify!($type), "`, for `k` up to `n`.")]
        ///
        /// # Safety
        /// The pointers must be good for `n` and `k` values, apart from each other.
        pub unsafe extern "C" fn $argtopk(row: *const $type, n: usize, positions: *mut i64, k: usize) {
            // SAFETY: the caller's promise.
            unsafe {
                argtopk(std::slice::from_raw_parts(row, n), std::slice::from_raw_parts_mut(positions, k.min(n)));
            }
        }
    )*};
}

rows! {
    f64: sort_f64, argsort_f64, topk_f64, argtopk_f64;
    f32: sort_f32, argsort_f32, topk_f32, argtopk_f32;
    i64: sort_i64, argsort_i64, topk_i64, argtopk_i64;
    i32: sort_i32, argsort_i32, topk_i32, argtopk_i32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_last_when_ascending_and_first_of_the_greatest() {
        let row = [3.0, f64::NAN, -1.0, 3.0, f64::NEG_INFINITY, f64::NAN, 0.0];
        let mut sorted = row;
        sort(&mut sorted);
        assert_eq!(sorted[..5], [f64::NEG_INFINITY, -1.0, 0.0, 3.0, 3.0]);
        assert!(sorted[5].is_nan() && sorted[6].is_nan());
        let mut positions = [0; 7];
        argsort(&row, &mut positions);
        assert_eq!(positions, [4, 2, 6, 0, 3, 1, 5]);
        let mut positions = [0; 4];
        argtopk(&row, &mut positions);
        assert_eq!(positions, [1, 5, 0, 3]);
        let mut top = [0.0; 4];
        topk(&row, &mut top);
        assert!(top[0].is_nan() && top[1].is_nan() && top[2..] == [3.0, 3.0]);
    }

    #[test]
    fn the_greatest_are_those_of_the_sorted_row() {
        for n in [1usize, 5, 63, 64, 65, 300, 1000] {
            for k in [0, 1, 2, 7, 40, n / 5, n / 2, n].into_iter().filter(|&k| k <= n) {
                let row: Vec<f32> = (0..n)
                    .map(|at| match at * 7919 % 31 {
                        30 => f32::NAN,
                        value => (value as f32) * if at % 3 == 0 { 1.0 } else { (at % 50) as f32 },
                    })
                    .collect();
                let mut wanted: Vec<i64> = (0..n as i64).collect();
                wanted.sort_by(|&a, &b| row[b as usize].order(&row[a as usize]).then(a.cmp(&b)));
                let mut positions = vec![0; k];
                argtopk(&row, &mut positions);
                assert_eq!(positions, wanted[..k], "{k} of {n}");
            }
        }
    }

    #[test]
    fn equal_values_keep_their_order() {
        let mut zeros = [0.0f32, -0.0, 0.0, -1.0];
        sort(&mut zeros);
        assert_eq!(zeros.map(f32::to_bits), [-1.0f32, 0.0, -0.0, 0.0].map(f32::to_bits));
        let row: Vec<i32> = (0..1000).map(|k| k * 7919 % 13).collect();
        let mut positions = vec![0; 1000];
        argsort(&row, &mut positions);
        assert!(positions.windows(2).all(|pair| {
            let (a, b) = (row[pair[0] as usize], row[pair[1] as usize]);
            a < b || a == b && pair[0] < pair[1]
        }));
        let mut top = vec![0; 300];
        // SAFETY: the vectors are that long.
        unsafe { argtopk_i32(row.as_ptr(), 1000, top.as_mut_ptr(), 300) };
        let mut expected: Vec<i64> = (0..1000).collect();
        expected.sort_by_key(|&k| std::cmp::Reverse(row[k as usize]));
        assert_eq!(top, expected[..300]);
    }

    #[test]
    fn the_smallest_rows() {
        let mut none: [f64; 0] = [];
        sort(&mut none);
        argsort(&none, &mut []);
        argtopk(&none, &mut []);
        let mut one = [0i64];
        argtopk(&[5u8], &mut one);
        assert_eq!(one, [0]);
        let mut top = [0i64; 2];
        // SAFETY: the arrays are that long.
        unsafe { topk_i64([3i64, 9].as_ptr(), 2, top.as_mut_ptr(), 2) };
        assert_eq!(top, [9, 3]);
    }
}
