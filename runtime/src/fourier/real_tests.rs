//! Transforms of real rows, and real parts of transforms, against their sums: each row to the digits of its own numbers.

use super::tests::{noise, transformed};
use super::*;
use num_complex::Complex;

/// What lies between columns, and behind what is kept.
const MARK: f64 = 77.0;

/// How many elements rows reach over, and where element `i` of a row lies.
fn places(rows: usize, len: usize, by: Option<u64>) -> (usize, impl Fn(usize, usize) -> usize) {
    let [row_by, element_by] = by.map_or([len, 1], |by| [1, by as usize]);
    ((rows - 1) * row_by + (len - 1) * element_by + 1, move |row, i| row * row_by + i * element_by)
}

fn check<T: lines::Real + Into<f64>>(spec: Transform, bound: f64) {
    let (rows, len, kept) = (spec.rows as usize, spec.len as usize, spec.kept as usize);
    let [from_parts, to_parts] = [spec.real, spec.real_parts].map(|real| if real { 1 } else { 2 });
    let (from_elems, from_at) = places(rows, len, spec.columns.map(|by| by[0]));
    let (to_elems, to_at) = places(rows, kept, spec.columns.map(|by| by[1]));
    let mut state = 11 + spec.len;
    let mut from = vec![T::of(MARK); from_parts * from_elems];
    for row in 0..rows {
        // From row to row numbers are larger or smaller by far.
        let size = [1.0, 1e6, 1e-6, 1e3][row % 4];
        for at in (0..len).flat_map(|i| (0..from_parts).map(move |part| (i, part))) {
            from[from_parts * from_at(row, at.0) + at.1] = T::of(size * noise(&mut state));
        }
    }
    let mut to = vec![T::of(MARK); to_parts * to_elems];
    let mut work = vec![T::default(); spec.work_elems().unwrap() as usize];
    let plan = TransformPlan::new(&spec).unwrap();
    // SAFETY: the arrays reach as far as the transform does.
    unsafe { plan.run(from.as_ptr().cast(), to.as_mut_ptr().cast(), work.as_mut_ptr().cast()) };
    let complex = |of: &[T], parts: usize, at: usize| {
        let part = |part: usize| if part < parts { of[parts * at + part].into() } else { 0.0 };
        Complex::new(part(0), part(1))
    };
    let mut written = vec![false; to_elems];
    for row in 0..rows {
        let values: Vec<Complex<f64>> =
            (0..len).map(|i| complex(&from, from_parts, from_at(row, i))).collect();
        let size = values.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
        for (f, mut want) in transformed(&values, spec.inverse).into_iter().enumerate().take(kept) {
            want.im *= if spec.real_parts { 0.0 } else { 1.0 };
            let error = (complex(&to, to_parts, to_at(row, f)) - want).norm();
            assert!(error <= bound * size, "{spec:?}: {error} of {size} at {f} of row {row}");
            written[to_at(row, f)] = true;
        }
    }
    let kept = |at: usize| to[to_parts * at..to_parts * (at + 1)].iter().all(|&x| x.into() == MARK);
    assert!((0..to_elems).all(|at| written[at] || kept(at)), "{spec:?}");
}

#[test]
fn real_rows_have_errors_of_their_own() {
    let lengths = (1..=18).chain([34, 48, 60, 97, 128, 192, 243, 256, 375, 512, 514, 1024]);
    for len in lengths {
        let kept = [len, len / 2 + 1, (len / 3).max(1)];
        for (number, rows) in [1, 2, 5, 17, 40].into_iter().enumerate().take(if len < 200 { 5 } else { 3 }) {
            for dtype in [DType::C64, DType::C128] {
                for (real, inverse) in [(true, false), (true, true), (false, true), (false, false)] {
                    let kept = kept[(number + usize::from(inverse)) % 3].min(len);
                    let real_parts = !real && inverse;
                    let rows =
                        Transform { real, inverse, real_parts, kept, ..Transform::new(dtype, len, rows) };
                    let columns = Some([rows.rows + 3, rows.rows + 1]);
                    let columns = Transform { columns, ..rows };
                    for spec in [rows, columns] {
                        if spec.columns.is_some() && !Transform::has_columns(dtype, len) {
                            continue;
                        }
                        match dtype {
                            DType::C64 => check::<f32>(spec, 2e-6),
                            _ => check::<f64>(spec, 2e-14),
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_kept_and_real_is_part_of_the_result() {
    let rows = Transform::new(DType::C64, 16, 4);
    let is = |spec: Transform| TransformPlan::new(&spec).is_some();
    assert!(is(Transform { kept: 9, ..rows }));
    assert!(!is(Transform { kept: 17, ..rows }) && !is(Transform { kept: 0, ..rows }));
    let inverse = Transform { inverse: true, real_parts: true, ..rows };
    assert!(is(inverse));
    assert!(!is(Transform { inverse: false, ..inverse }) && !is(Transform { real: true, ..inverse }));
    assert!(!is(Transform { factors: Some([16, 1]), ..inverse }));
}
