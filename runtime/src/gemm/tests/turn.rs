//! Results that are computed in another order and turned.

use super::*;

#[test]
fn few_rows_with_many_columns_that_lie_along_sums_are_packed_instead_of_these() {
    let mut numbers = Numbers(41);
    let turns = |problem: &Problem| GemmPlan::new(&problem.gemm).unwrap().turn.is_some();
    for dtype in DTYPES {
        for [few, many, sums] in [[14, 300, 200], [28, 100, 400], [48, 96, 1700]] {
            // A and B lie along their sums; rows of C, and columns of C, are side by side.
            let as_is = matrices(dtype, [few, many, sums], 2, false);
            assert!(turns(&as_is), "{as_is:?}");
            check_any(&as_is, &mut numbers, 1 + (few as usize) % 3);
            let exchanged = matrices(dtype, [many, few, sums], 6, false);
            assert!(turns(&exchanged), "{exchanged:?}");
            check_any(&exchanged, &mut numbers, 1);
        }
    }
    // What is added to, what lies along its columns, and where few are many.
    assert!(!turns(&matrices(DType::F32, [48, 700, 640], 2, true)));
    assert!(!turns(&matrices(DType::F32, [48, 700, 640], 0, false)));
    assert!(!turns(&matrices(DType::F32, [600, 700, 640], 2, false)));
    assert!(!turns(&matrices(DType::F32, [48, 700, 40], 2, false)));
    // Half a vector of rows, unless the columns are far.
    assert!(!turns(&matrices(DType::F32, [7, 1000, 300], 2, false)));
    assert!(turns(&matrices(DType::F32, [7, 2000, 6000], 2, false)));
}

/// `C[i,j,x,y] = sum[k] A[i,j,k] B[y,x,k]`: several axes of rows and of columns.
#[test]
fn axes_of_a_turned_result_get_to_their_places() {
    let mut numbers = Numbers(42);
    let axes = [(3, KINDS[1]), (8, KINDS[1]), (40, KINDS[2]), (25, KINDS[2]), (400, KINDS[3])];
    for order_of_result in [[0, 1, 2, 3], [1, 2, 0, 3], [3, 1, 0, 2]] {
        let problem = problem(DType::F32, &axes, [&[0, 1, 4], &[3, 2, 4], &order_of_result], false);
        assert!(GemmPlan::new(&problem.gemm).unwrap().turn.is_some());
        check_any(&problem, &mut numbers, 2);
    }
}
