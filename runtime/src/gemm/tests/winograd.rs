//! Products with windows of three by three, which are multiplied by transforms.

use super::*;

/// `C[n,o,p,q] = sum over i, u, v of A[o,i,u,v] * B[n,i,step*p+u,step*q+v]`: extents n, o, i, p, q.
fn convolution(
    dtype: DType,
    step: u64,
    [n, o, i, p, q]: [u64; 5],
    swapped: bool,
    accumulate: bool,
) -> Problem {
    // What no result would read is not there either.
    let [height, width] = [p, q].map(|results| step * results.saturating_sub(1) + 3);
    let axis = axes(swapped);
    let gemm = Gemm {
        dtype,
        batch: vec![],
        m: vec![axis(o, 9 * i, 0, p * q)],
        n: vec![axis(n, 0, i * height * width, o * p * q), axis(p, 0, step * width, q), axis(q, 0, step, 1)],
        k: vec![axis(i, 9, height * width, 0), axis(3, 3, width, 0), axis(3, 1, 1, 0)],
        accumulate,
        wanted: vec![],
        band: None,
    };
    let mut lens = [o * i * 9, n * i * height * width, n * o * p * q].map(|len| len as usize);
    if swapped {
        lens.swap(0, 1);
    }
    Problem { gemm, lens }
}

/// Extents that are even and odd, fill vectors or not, more sums than a block has, and rows longer than one.
#[test]
fn windows_of_three_by_three() {
    let mut numbers = Numbers(31);
    let cases = [
        (1, [1, 16, 16, 18, 32]),
        (1, [2, 33, 24, 9, 21]),
        (1, [1, 16, 260, 16, 16]),
        (1, [3, 48, 17, 6, 33]),
        (1, [1, 17, 40, 2, 410]),
        (2, [1, 48, 48, 18, 32]),
        (2, [2, 97, 48, 19, 31]),
        (2, [1, 96, 64, 16, 32]),
        (2, [1, 97, 48, 4, 222]),
    ];
    for (number, (step, extents)) in cases.into_iter().enumerate() {
        for dtype in [DType::F32, DType::F64] {
            let problem = convolution(dtype, step, extents, number % 2 == 1, number % 3 == 1);
            for level in [Level::Plain, Level::Wide, Level::Widest] {
                if level <= Level::of_machine() {
                    let plan = GemmPlan::at_level(&problem.gemm, level).unwrap();
                    assert_eq!(plan.ready.way, Way::Winograd, "{step} {extents:?} {dtype:?} {level:?}");
                }
            }
            check_any(&problem, &mut numbers, 1 + number % 3);
        }
    }
}

/// Few sums or rows take longer to transform than to multiply.
#[test]
fn windows_of_few_sums_are_not_transformed() {
    for extents in [[1, 4, 4, 64, 64], [1, 64, 2, 64, 64], [1, 256, 256, 2, 2]] {
        let problem = convolution(DType::F32, 1, extents, false, false);
        assert_ne!(GemmPlan::new(&problem.gemm).unwrap().ready.way, Way::Winograd, "{extents:?}");
    }
}

/// No memory is taken for weights that take none, and nothing is divided by no extent.
#[test]
fn windows_of_no_weights_are_not_transformed() {
    let problem = convolution(DType::F32, 1, [1, 64, 64, 32, 32], false, false);
    for (m, k) in [(0, 9 * 64), (1, 3), (9, 1)] {
        let mut gemm = problem.gemm.clone();
        (gemm.m[0].a, gemm.k[0].a) = (m, k);
        assert_ne!(GemmPlan::new(&gemm).unwrap().ready.way, Way::Winograd, "{m} {k}");
    }
    for extents in
        [[1, 64, 64, 32, 0], [1, 64, 64, 0, 32], [1, 64, 0, 32, 32], [1, 0, 64, 32, 32], [0, 64, 64, 32, 32]]
    {
        check_any(&convolution(DType::F32, 1, extents, false, false), &mut Numbers(37), 1);
    }
}

/// Sums that are like those of the windows, in both operands, are sums all the same.
#[test]
fn windows_of_windows() {
    let mut problem = convolution(DType::F32, 1, [1, 16, 16, 18, 32], false, false);
    let step = *problem.gemm.k.last().unwrap();
    problem.gemm.k.push(step);
    // Both read two elements further, and rows are so far apart that all weights could be their own.
    problem.gemm.m[0].a *= 4;
    problem.lens = [4 * problem.lens[0], problem.lens[1] + 2, problem.lens[2]];
    assert_eq!(GemmPlan::new(&problem.gemm).unwrap().ready.way, Way::Winograd);
    check_any(&problem, &mut Numbers(41), 1);
}

/// What is not a number in one place is in the results whose windows read it, and in no other.
#[test]
fn no_number_spreads_no_further_than_its_windows() {
    for (step, (o, i, p, q)) in [(1, (24, 24, 11, 40)), (2, (48, 48, 24, 32))] {
        let Problem { gemm: wanted, lens } = convolution(DType::F32, step, [1, o, i, p, q], false, false);
        let plan = GemmPlan::new(&wanted).unwrap();
        assert_eq!(plan.ready.way, Way::Winograd);
        let [height, width] = [p, q].map(|results| step * (results - 1) + 3);
        let a = vec![1f32; lens[0]];
        for at in [[0, 0], [4, 7], [5, 8], [6, 9], [7, 10], [12, 41], [11, 33]] {
            let mut b = vec![1f32; lens[1]];
            b[((3 * height + at[0]) * width + at[1]) as usize] = f32::NAN;
            let mut c = vec![0f32; lens[2]];
            let mut workspace = vec![0u64; plan.workspace_bytes(1).div_ceil(8) + 8];
            // SAFETY: the vectors are as long as the axes reach.
            unsafe {
                let operands = [a.as_ptr().cast(), b.as_ptr().cast()];
                let workspace = workspace.as_mut_ptr().cast();
                gemm(&plan, operands[0], operands[1], c.as_mut_ptr().cast(), workspace, 1);
            }
            for (index, value) in c.iter().enumerate() {
                let (row, column) = (step * (index as u64 / q % p), step * (index as u64 % q));
                let reads = (row..row + 3).contains(&at[0]) && (column..column + 3).contains(&at[1]);
                assert_eq!(value.is_nan(), reads, "{step} {at:?}: {row} {column} is {value}");
            }
        }
    }
}
