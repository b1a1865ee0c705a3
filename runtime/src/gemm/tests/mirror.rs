//! Products of an operand with itself.

use super::*;

/// The product of a tensor with itself, by that many threads.
fn square<T: HasKernels + Element>(plan: &GemmPlan, a: &[T], before: &[T], threads: usize) -> Vec<T> {
    let mut c = before.to_vec();
    let mut workspace = vec![0u8; plan.workspace_bytes(threads)];
    let a = a.as_ptr().cast();
    // SAFETY: the vectors are as long as the axes reach, and nobody else uses them.
    unsafe { gemm(plan, a, a, c.as_mut_ptr().cast(), workspace.as_mut_ptr(), threads) };
    c
}

/// Compares `C[b,i,j] = sum over k of A[b,i,k] * A[b,j,k]` with the product of A and a copy of it, at every level: the values
/// are the same but for rounding, in integers the same, and `C[b,i,j]` is `C[b,j,i]` bit by bit.
fn check<T: HasKernels + Element + PartialEq>(
    dtype: DType,
    [batch, n, k]: [u64; 3],
    [rows, gap]: [bool; 2],
    numbers: &mut Numbers,
) {
    let (batches, n_as, k_as) = (batch as usize, n as usize, k as usize);
    // Rows of A side by side or its sums; columns of C side by side or with a gap.
    let (of_n, of_k) = if rows { (1, n as i64) } else { (k as i64, 1) };
    let by = 1 + i64::from(gap);
    let (row, all) = (n as i64 * by + 3, n as i64 * (n as i64 * by + 3));
    let gemm = Gemm {
        dtype,
        batch: vec![Axis { extent: batch, a: (n * k) as i64, b: (n * k) as i64, c: all }],
        m: vec![Axis { extent: n, a: of_n, b: 0, c: row }],
        n: vec![Axis { extent: n, a: 0, b: of_n, c: by }],
        k: vec![Axis { extent: k, a: of_k, b: of_k, c: 0 }],
        accumulate: false,
        wanted: vec![],
        band: None,
    };
    let mut value = || {
        let mut one = || (numbers.below(2001) as f64 - 1000.0) / 256.0;
        match dtype {
            DType::I32 | DType::I64 => T::from_scalar(Scalar::Int(numbers.next() as i128)),
            _ => T::from_scalar(Scalar::Complex(one(), one())),
        }
    };
    let a: Vec<T> = (0..batches * n_as * k_as).map(|_| value()).collect();
    let before: Vec<T> = (0..batches * all as usize).map(|_| value()).collect();
    let copy = a.clone();
    for level in [Level::Plain, Level::Wide, Level::Widest] {
        if level > Level::of_machine() {
            continue;
        }
        let plan = GemmPlan::at_level(&gemm, level).unwrap();
        assert!(plan.ready.mirrored, "{level:?} {:?}", plan.ready);
        let c = square(&plan, &a, &before, 1);
        let mut expected = before.clone();
        let mut workspace = vec![0u8; plan.workspace_bytes(1)];
        let (x, y, z) = (a.as_ptr().cast(), copy.as_ptr().cast(), expected.as_mut_ptr().cast());
        // SAFETY: the vectors are as long as the axes reach, and nobody else uses them.
        unsafe { super::gemm(&plan, x, y, z, workspace.as_mut_ptr(), 1) };
        let epsilon = if matches!(dtype, DType::F32 | DType::C64) { 1e-6 } else { 1e-15 };
        for (at, (&value, &expected)) in c.iter().zip(&expected).enumerate() {
            let (value, expected) = (value.to_scalar(), expected.to_scalar());
            let error = (value.re() - expected.re()).abs().max((value.im() - expected.im()).abs());
            let bound = if dtype.is_float() || dtype.is_complex() { epsilon * 64.0 * k as f64 } else { 0.0 };
            assert!(error <= bound, "{level:?} {gemm:?} at {at}: {value:?}, expected {expected:?}");
        }
        for (start, i) in (0..batches).flat_map(|at| (0..n_as).map(move |i| (at * all as usize, i))) {
            for j in 0..i {
                let place = |i: usize, j: usize| start + i * row as usize + j * by as usize;
                assert!(c[place(i, j)] == c[place(j, i)], "{level:?} {gemm:?} at {i}, {j}");
            }
        }
        for threads in 2..4 {
            assert!(square(&plan, &a, &before, threads) == c, "{level:?} {gemm:?} by {threads} threads");
        }
    }
}

#[test]
fn the_product_of_a_tensor_with_itself_is_its_own_transpose() {
    let mut numbers = Numbers(41);
    for [batch, n, k] in [[1, 130, 40], [3, 97, 33], [1, 230, 530], [2, 101, 1030], [4, 128, 64]] {
        for layout in [[false, false], [true, false], [false, true], [true, true]] {
            let size = [batch, n, k];
            match numbers.below(6) {
                0 => check::<f32>(DType::F32, size, layout, &mut numbers),
                1 => check::<f64>(DType::F64, size, layout, &mut numbers),
                2 => check::<Complex<f32>>(DType::C64, size, layout, &mut numbers),
                3 => check::<Complex<f64>>(DType::C128, size, layout, &mut numbers),
                4 => check::<i32>(DType::I32, size, layout, &mut numbers),
                _ => check::<i64>(DType::I64, size, layout, &mut numbers),
            }
        }
    }
}

#[test]
fn a_result_that_is_added_to_is_no_transpose_of_itself() {
    let mut numbers = Numbers(43);
    let problem = matrices(DType::F32, [100, 100, 64], 2, true);
    let mut values = |len| (0..len).map(|_| numbers.below(9) as f32).collect::<Vec<f32>>();
    let (a, before) = (values(problem.lens[0]), values(problem.lens[2]));
    let plan = GemmPlan::new(&problem.gemm).unwrap();
    let (c, zero) = (square(&plan, &a, &before, 1), vec![0.0; before.len()]);
    let product = square(&plan, &a, &zero, 1);
    assert!((0..c.len()).all(|at| c[at] == before[at] + product[at]));
}
