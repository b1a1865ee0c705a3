//! Transforms and convolutions against their sums, term by term in double precision.

use super::*;
use num_complex::Complex;
use std::f64::consts::TAU;

pub(super) fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
}

pub(super) fn transformed(row: &[Complex<f64>], inverse: bool) -> Vec<Complex<f64>> {
    let n = row.len();
    let sign = if inverse { 1.0 } else { -1.0 };
    let scale = if inverse { 1.0 / n as f64 } else { 1.0 };
    let roots: Vec<_> =
        (0..n).map(|turn| Complex::from_polar(scale, sign * TAU * turn as f64 / n as f64)).collect();
    (0..n).map(|f| (0..n).map(|t| row[t] * roots[f * t % n]).sum()).collect()
}

#[test]
fn transforms_are_sums_over_roots_of_unity() {
    let lengths =
        (1..=34).chain([48, 49, 64, 97, 100, 121, 143, 169, 210, 211, 243, 256, 375, 512, 1000, 1024]);
    let mut state = 1;
    for len in lengths {
        for (rows, real, inverse) in [
            (1, false, false),
            (3, false, true),
            (16, false, false),
            (1, true, false),
            (5, true, true),
            (32, true, false),
        ] {
            let parts = if real { 1 } else { 2 };
            let from: Vec<f64> = (0..rows * len * parts).map(|_| noise(&mut state)).collect();
            let spec = |dtype| Transform { real, inverse, ..Transform::new(dtype, len as u64, rows as u64) };
            let double = spec(DType::C128);
            let mut work = vec![0f64; double.work_elems().unwrap() as usize];
            let mut to = vec![0f64; rows * len * 2];
            let plan = TransformPlan::new(&double).unwrap();
            // SAFETY: all three are as long as the transform asks.
            unsafe { plan.run(from.as_ptr().cast(), to.as_mut_ptr().cast(), work.as_mut_ptr().cast()) };
            let single = spec(DType::C64);
            let from_f32: Vec<f32> = from.iter().map(|&x| x as f32).collect();
            let mut work_f32 = vec![0f32; single.work_elems().unwrap() as usize];
            let mut to_f32 = vec![0f32; rows * len * 2];
            let plan = TransformPlan::new(&single).unwrap();
            // SAFETY: as above.
            unsafe {
                plan.run(from_f32.as_ptr().cast(), to_f32.as_mut_ptr().cast(), work_f32.as_mut_ptr().cast())
            };
            for row in 0..rows {
                let values: Vec<Complex<f64>> = from[row * len * parts..(row + 1) * len * parts]
                    .chunks(parts)
                    .map(|pair| Complex::new(pair[0], pair.get(1).copied().unwrap_or(0.0)))
                    .collect();
                let size = values.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
                for (f, want) in transformed(&values, inverse).into_iter().enumerate() {
                    let at = 2 * (row * len + f);
                    let error = (Complex::new(to[at], to[at + 1]) - want).norm();
                    assert!(error <= 2e-14 * size, "{len} x {rows} {real} {inverse}: {error}");
                    let error =
                        (Complex::new(f64::from(to_f32[at]), f64::from(to_f32[at + 1])) - want).norm();
                    assert!(error <= 2e-6 * size, "f32 {len} x {rows} {real} {inverse}: {error}");
                }
            }
        }
    }
}

#[test]
fn rows_that_are_not_finite_spoil_no_other() {
    // Of single precision, side by side (12), by a chirp (19) and straight (256).
    for (len, rows) in [(12, 37), (19, 5), (256, 4), (256, 5)] {
        let spec = Transform { real: true, ..Transform::new(DType::C64, len as u64, rows as u64) };
        let plan = TransformPlan::new(&spec).unwrap();
        let run = |from: &[f32]| {
            let mut work = vec![0f32; spec.work_elems().unwrap() as usize];
            let mut to = vec![0f32; 2 * rows * len];
            // SAFETY: all three are as long as the transform asks.
            unsafe { plan.run(from.as_ptr().cast(), to.as_mut_ptr().cast(), work.as_mut_ptr().cast()) };
            to
        };
        let mut state = 5;
        let from: Vec<f32> = (0..rows * len).map(|_| noise(&mut state) as f32).collect();
        let want = run(&from);
        for bad in [f32::NAN, f32::INFINITY] {
            for row in 0..rows {
                let mut other = from.clone();
                other[row * len + 5] = bad;
                for (at, (found, want)) in run(&other).into_iter().zip(&want).enumerate() {
                    let is_own = at / (2 * len) == row;
                    let is_near = (found - want).abs() < 1e-4;
                    assert!(is_own || is_near, "{len}: {bad} in row {row} makes {found} of {want} at {at}");
                    assert!(!is_own || at % (2 * len) > 0 || !found.is_finite());
                }
            }
        }
    }
}

#[test]
fn columns_are_transformed_where_they_lie() {
    fn check<T: lines::Real + Into<f64>>(dtype: DType, bound: f64) {
        let mut state = 7;
        for len in (1..=16).chain([18, 24, 26, 32, 64, 77, 125, 256]) {
            for (rows, by, inverse, in_place) in [
                (1, [1, 1], false, false),
                (16, [16, 16], false, true),
                (3, [5, 4], true, false),
                (37, [37, 40], false, false),
                (50, [51, 51], true, true),
                (8, [9, 8], true, false),
            ] {
                let columns = Some([by[0] as u64, by[1] as u64]);
                let spec = Transform { inverse, columns, ..Transform::new(dtype, len as u64, rows as u64) };
                let mut work = vec![T::default(); spec.work_elems().unwrap() as usize];
                let plan = TransformPlan::new(&spec).unwrap();
                let elems = |by: usize| 2 * ((len - 1) * by + rows);
                let mut from: Vec<T> = (0..elems(by[0])).map(|_| T::of(noise(&mut state))).collect();
                let before = from.clone();
                // What lies between columns stays.
                let mark = T::of(77.0);
                let mut to = if in_place { Vec::new() } else { vec![mark; elems(by[1])] };
                let at = from.as_mut_ptr();
                let place = if in_place { at } else { to.as_mut_ptr() };
                // SAFETY: the arrays reach as far as the columns do, and are one or two.
                unsafe { plan.run(at.cast(), place.cast(), work.as_mut_ptr().cast()) };
                let found = if in_place { &from } else { &to };
                let complex = |of: &[T], by: usize, i: usize, row: usize| {
                    let at = 2 * (i * by + row);
                    Complex::new(of[at].into(), of[at + 1].into())
                };
                for row in 0..rows {
                    let values: Vec<Complex<f64>> =
                        (0..len).map(|i| complex(&before, by[0], i, row)).collect();
                    let size = values.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
                    for (f, want) in transformed(&values, inverse).into_iter().enumerate() {
                        let error = (complex(found, by[1], f, row) - want).norm();
                        assert!(
                            error <= bound * size,
                            "{dtype} {len} x {rows} {inverse} {in_place}: {error}"
                        );
                    }
                }
                let unmarked = |at: usize| (at / 2) % by[1] >= rows;
                let kept = if in_place { before } else { vec![mark; found.len()] };
                assert!((0..found.len()).filter(|&at| unmarked(at)).all(|at| found[at] == kept[at]));
            }
        }
    }
    check::<f32>(DType::C64, 2e-6);
    check::<f64>(DType::C128, 2e-14);
}

#[test]
fn elements_are_multiplied_by_factors_first() {
    fn check<T: lines::Real + Into<f64>>(dtype: DType, bound: f64) {
        let mut state = 9;
        let (near, far) = (|len: u64| [len + 1, 1], |len: u64| [1, len + 40]);
        let spread: [(u64, Option<[u64; 2]>, &dyn Fn(u64) -> [u64; 2]); 5] = [
            (19, None, &near),
            (32, None, &|_| [0, 1]),
            (19, Some([19, 21]), &|_| [1, 64]),
            (16, Some([16, 16]), &|_| [0, 1]),
            (33, Some([40, 33]), &far),
        ];
        for len in [2, 5, 16, 24, 32, 60] {
            for &(rows, columns, by) in &spread {
                let by = by(len);
                for inverse in [false, true] {
                    let spec =
                        Transform { inverse, columns, factors: Some(by), ..Transform::new(dtype, len, rows) };
                    let mut work = vec![T::default(); spec.work_elems().unwrap() as usize];
                    let [from_by, to_by] = columns.map_or([[len, 1]; 2], |by| by.map(|by| [1, by]));
                    let at = |by: [u64; 2], row: u64, i: u64| 2 * (row * by[0] + i * by[1]) as usize;
                    let elems = |by| at(by, rows - 1, len - 1) + 2;
                    let mut some =
                        |by| -> Vec<T> { (0..elems(by)).map(|_| T::of(noise(&mut state))).collect() };
                    let (from, factors) = (some(from_by), some(by));
                    let mut to = vec![T::default(); elems(to_by)];
                    let operands = [from.as_ptr().cast(), factors.as_ptr().cast()];
                    let plan = TransformPlan::new(&spec).unwrap();
                    // SAFETY: the arrays reach as far as the transform does.
                    unsafe { plan.run_with(operands, to.as_mut_ptr().cast(), work.as_mut_ptr().cast()) };
                    let complex = |of: &[T], at: usize| -> Complex<f64> {
                        Complex::new(of[at].into(), of[at + 1].into())
                    };
                    for row in 0..rows {
                        let value =
                            |i| complex(&from, at(from_by, row, i)) * complex(&factors, at(by, row, i));
                        let values: Vec<Complex<f64>> = (0..len).map(value).collect();
                        let size = values.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
                        for (f, want) in (0..).zip(transformed(&values, inverse)) {
                            let error = (complex(&to, at(to_by, row, f)) - want).norm();
                            assert!(
                                error <= bound * size,
                                "{dtype} {len} x {rows} {by:?} {inverse}: {error}"
                            );
                        }
                    }
                }
            }
        }
    }
    check::<f32>(DType::C64, 2e-6);
    check::<f64>(DType::C128, 2e-14);
}

#[test]
fn factors_lie_where_vectors_find_them() {
    let spec = Transform { factors: Some([1, 16]), ..Transform::new(DType::C64, 16, 16) };
    let rows = |spec: Transform| TransformPlan::new(&spec).is_some();
    assert!(!rows(spec));
    assert!(rows(Transform { factors: Some([16, 1]), ..spec }));
    assert!(!rows(Transform { factors: Some([u64::MAX, 1]), ..spec }));
    assert!(rows(Transform { columns: Some([16, 16]), ..spec }));
    assert!(!rows(Transform { columns: Some([16, 16]), factors: Some([16, 1]), ..spec }));
}

#[test]
fn rows_are_transformed_in_place() {
    let spec = Transform::new(DType::C128, 6, 1);
    let mut row: Vec<f64> = (0..12).map(f64::from).collect();
    let values: Vec<_> = row.chunks(2).map(|pair| Complex::new(pair[0], pair[1])).collect();
    let mut work = vec![0f64; spec.work_elems().unwrap() as usize];
    let at = row.as_mut_ptr();
    // SAFETY: the row is as long as the transform says, and one place for both.
    unsafe { TransformPlan::new(&spec).unwrap().run(at.cast(), at.cast(), work.as_mut_ptr().cast()) };
    for (f, want) in transformed(&values, false).into_iter().enumerate() {
        assert!((Complex::new(row[2 * f], row[2 * f + 1]) - want).norm() < 1e-12);
    }
}

#[test]
fn what_no_memory_holds_is_refused() {
    for (len, rows) in [(0, 1), (u64::MAX, 1), (1 << 60, 16), (1 << 40, u64::MAX)] {
        assert!(TransformPlan::new(&Transform::new(DType::C64, len, rows)).is_none(), "{len} x {rows}");
    }
}

/// Runs a convolution of rows that lie one after the other, and gives its results beside the sums.
fn convolved(spec: Convolution, x: &[f64], k: &[f64], x_at: usize, k_at: usize) -> Vec<(f64, f64)> {
    let mut y = vec![0.5; (spec.rows * spec.points) as usize];
    let mut work = vec![0f64; spec.work_elems().unwrap() as usize];
    let plan = ConvolutionPlan::new(&spec).unwrap();
    // SAFETY: the callers lay the operands out as the strides say.
    unsafe {
        plan.run(
            x.as_ptr().add(x_at).cast(),
            k.as_ptr().add(k_at).cast(),
            y.as_mut_ptr().cast(),
            work.as_mut_ptr().cast(),
        )
    };
    let mut pairs = Vec::new();
    for r in 0..spec.rows as i64 {
        for t in 0..spec.points as i64 {
            let sum = (0..spec.taps as i64).fold(0.0, |sum, s| {
                let along = if spec.backward { t - s } else { t + s };
                let x_index = x_at as i64 + r * spec.x[0] + along * spec.x[1];
                sum + x[x_index as usize] * k[(k_at as i64 + r * spec.k[0] + s * spec.k[1]) as usize]
            });
            let sum = if spec.accumulate { sum + 0.5 } else { sum };
            pairs.push((y[(r * spec.y[0] + t * spec.y[1]) as usize], sum));
        }
    }
    pairs
}

#[test]
fn convolutions_are_their_sums() {
    let mut state = 5;
    for (rows, points, taps) in
        [(1, 1, 1), (2, 7, 3), (3, 40, 40), (5, 129, 17), (16, 64, 100), (2, 1000, 31), (33, 50, 2)]
    {
        for (backward, accumulate) in [(false, false), (true, false), (true, true)] {
            let long = (points + taps - 1) as usize;
            let x: Vec<f64> = (0..rows as usize * long).map(|_| noise(&mut state)).collect();
            let k: Vec<f64> = (0..rows as usize * taps as usize).map(|_| noise(&mut state)).collect();
            let spec = Convolution {
                dtype: DType::F64,
                rows,
                points,
                taps,
                backward,
                x: [long as i64, 1],
                k: [taps as i64, 1],
                y: [points as i64, 1],
                accumulate,
                periodic: false,
            };
            let start = if backward { taps as usize - 1 } else { 0 };
            for (got, want) in convolved(spec, &x, &k, start, 0) {
                assert!((got - want).abs() <= 1e-13 * taps as f64, "{spec:?}: {got} for {want}");
            }
            // The same operands turned: strides other than one, and one filter for all rows.
            let turned: Vec<f64> = (0..long * rows as usize)
                .map(|at| x[at % rows as usize * long + at / rows as usize])
                .collect();
            let spec = Convolution { x: [1, rows as i64], k: [0, -1], ..spec };
            for (got, want) in convolved(spec, &turned, &k, start * rows as usize, taps as usize - 1) {
                assert!((got - want).abs() <= 1e-13 * taps as f64, "{spec:?}: {got} for {want}");
            }
        }
    }
}

#[test]
fn rows_that_go_round_are_convolved_at_their_own_length() {
    let mut state = 9;
    for (rows, points) in [(1, 128), (3, 256), (2, 384), (5, 1024), (1, 1000), (2, 33)] {
        for (backward, accumulate) in [(false, false), (true, false), (true, true)] {
            let long = 2 * points as usize - 1;
            let mut x = vec![0.0; rows as usize * long];
            for (at, row) in (0..rows as usize * long).map(|at| (at, at / long)) {
                let back =
                    (at % long >= points as usize).then(|| x[row * long + at % long - points as usize]);
                x[at] = back.unwrap_or_else(|| noise(&mut state));
            }
            let k: Vec<f64> = (0..rows * points).map(|_| noise(&mut state)).collect();
            let spec = Convolution {
                dtype: DType::F64,
                rows,
                points,
                taps: points,
                backward,
                x: [long as i64, 1],
                k: [points as i64, 1],
                y: [points as i64, 1],
                accumulate,
                periodic: true,
            };
            let start = if backward { points as usize - 1 } else { 0 };
            for (got, want) in convolved(spec, &x, &k, start, 0) {
                assert!((got - want).abs() <= 1e-13 * points as f64, "{spec:?}: {got} for {want}");
            }
            x[7] = f64::INFINITY;
            if points >= 8 {
                x[7 + points as usize] = f64::INFINITY;
            }
            for (got, want) in convolved(spec, &x, &k, start, 0) {
                let same = got == want || got.is_nan() && want.is_nan();
                assert!(same || (got - want).abs() <= 1e-13 * points as f64, "{spec:?}: {got} for {want}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_where_it_belongs() {
    let (points, taps) = (300i64, 20i64);
    let long = (points + taps - 1) as usize;
    let mut x: Vec<f64> = (0..2 * long).map(|i| (i as f64).sin()).collect();
    x[100] = f64::NAN;
    x[long + 250] = f64::INFINITY;
    let k: Vec<f64> = (0..taps).map(|i| 1.0 + i as f64).collect();
    let spec = Convolution {
        dtype: DType::F64,
        rows: 2,
        points: points as u64,
        taps: taps as u64,
        backward: true,
        x: [long as i64, 1],
        k: [0, 1],
        y: [points, 1],
        accumulate: false,
        periodic: false,
    };
    for (got, want) in convolved(spec, &x, &k, taps as usize - 1, 0) {
        let same = got == want || got.is_nan() && want.is_nan();
        assert!(same || (got - want).abs() < 1e-10, "{got} for {want}");
    }
}
