//! Zeros at the ends of rows and columns, which are not multiplied.

use super::*;
use std::fmt::Debug;
use std::ops::Mul;

/// What is zero in an operand of rows by sums.
#[derive(Clone, Copy, Debug)]
enum Zeros {
    None,
    /// All but some sums around where the row is.
    Band(usize),
    /// What follows the row's place.
    Above,
    Everything,
}

impl Zeros {
    fn is_zero(self, row: f64, sum: f64, sums: usize) -> bool {
        match self {
            Zeros::None => false,
            Zeros::Band(width) => (row - sum).abs() * sums as f64 > width as f64,
            Zeros::Above => sum > row,
            Zeros::Everything => true,
        }
    }
}

/// Small whole numbers, whose sums are exact in any order, in a matrix of lines by sums, at `line * strides[0] + sum * strides[1]`.
fn matrix<T: Element>(
    numbers: &mut Numbers,
    zeros: Zeros,
    [lines, sums]: [usize; 2],
    strides: [usize; 2],
) -> Vec<T> {
    let mut values = vec![T::from_scalar(Scalar::Int(0)); lines * sums];
    for line in 0..lines {
        for sum in 0..sums {
            let is_zero = zeros.is_zero(line as f64 / lines as f64, sum as f64 / sums as f64, sums);
            let value = if is_zero { 0 } else { numbers.below(15) as i128 - 7 };
            values[line * strides[0] + sum * strides[1]] = T::from_scalar(Scalar::Int(value));
        }
    }
    values
}

/// Multiplies at every level and compares with loops that multiply everything.
fn check_exactly<T: HasKernels + Element + Mul<Output = T> + Debug>(
    problem: &Problem,
    a: &[T],
    b: &[T],
    threads: usize,
) {
    let gemm = &problem.gemm;
    let mut expected = vec![T::default(); problem.lens[2]];
    let axes: Vec<Axis> = gemm.m.iter().chain(&gemm.n).chain(&gemm.k).copied().collect();
    walk(&axes, &mut |[at_a, at_b, at_c]| expected[at_c] = expected[at_c].plus(a[at_a] * b[at_b]));
    for level in
        [Level::Plain, Level::Wide, Level::Widest].into_iter().filter(|&level| level <= Level::of_machine())
    {
        let plan = GemmPlan::at_level(gemm, level).expect("the problem is small");
        let mut c = vec![T::from_scalar(Scalar::Int(77)); problem.lens[2]];
        let mut workspace = vec![0x7fu8; plan.workspace_bytes(threads)];
        let [a, b] = [a, b].map(|operand| operand.as_ptr().cast());
        // SAFETY: the vectors are as long as the axes reach, and nobody else uses them.
        unsafe { super::gemm(&plan, a, b, c.as_mut_ptr().cast(), workspace.as_mut_ptr(), threads) };
        for (at, (value, expected)) in c.iter().zip(&expected).enumerate() {
            let is_nan = value.to_scalar().re().is_nan() && expected.to_scalar().re().is_nan();
            assert!(
                is_nan || value == expected,
                "{level:?} at {at}: {value:?}, expected {expected:?}\n{problem:?}"
            );
        }
    }
}

fn operands<T: HasKernels + Element + Mul<Output = T> + Debug>(
    numbers: &mut Numbers,
    dtype: DType,
    special: &[f64],
) {
    let zeros = [Zeros::None, Zeros::Band(3), Zeros::Band(40), Zeros::Above, Zeros::Everything];
    let [m, n] = [0; 2].map(|_| numbers.pick(&[1u64, 7, 8, 20, 50, 130, 200, 400]));
    let k = numbers.pick(&[31u64, 32, 33, 64, 90, 200, 520, 1100]);
    let transposed = numbers.below(8);
    let problem = matrices(dtype, [m, n, k], transposed, false);
    let (m, n, k) = (m as usize, n as usize, k as usize);
    let strides = |lines: usize, sums_inside: bool| if sums_inside { [k, 1] } else { [1, lines] };
    let (of_a, of_b) = (numbers.pick(&zeros), numbers.pick(&zeros));
    let mut a = matrix::<T>(numbers, of_a, [m, k], strides(m, transposed & 1 == 0));
    let mut b = matrix::<T>(numbers, of_b, [n, k], strides(n, transposed & 2 != 0));
    for &value in special {
        let one = if numbers.below(2) == 0 { &mut a } else { &mut b };
        let at = numbers.below(one.len());
        one[at] = T::from_scalar(Scalar::Real(value));
    }
    check_exactly(&problem, &a, &b, 1 + numbers.below(3));
}

#[test]
fn results_are_the_same_where_operands_have_bands() {
    let mut numbers = Numbers(31);
    for _ in 0..40 {
        operands::<f32>(&mut numbers, DType::F32, &[]);
        operands::<f64>(&mut numbers, DType::F64, &[]);
        operands::<Complex<f32>>(&mut numbers, DType::C64, &[]);
    }
}

#[test]
fn zero_times_infinity_is_no_number_beyond_a_band() {
    let mut numbers = Numbers(32);
    for round in 0..60 {
        let special =
            [&[f64::INFINITY][..], &[f64::NAN], &[f64::NEG_INFINITY, f64::INFINITY, f64::NAN]][round % 3];
        operands::<f32>(&mut numbers, DType::F32, special);
        operands::<f64>(&mut numbers, DType::F64, special);
    }
}

/// The sums that count for each tile of rows of a matrix in packs of `[rows, sums]`.
#[test]
fn spans_end_with_the_last_sum_that_is_not_zero() {
    let mut pack = vec![0f32; 8 * 100];
    let of_sums = Lines::of_sums(8);
    let of_rows = Lines { count: 8, stride: 100, width: 1 };
    let spans = |pack: &[f32]| {
        // SAFETY: both kinds of lines cover the pack.
        unsafe { [of_sums, of_rows].map(|lines| lines.span(pack.as_ptr(), 100).range()) }
    };
    assert!(spans(&pack).iter().all(Range::is_empty));
    (pack[8 * 17 + 3], pack[8 * 70]) = (1.0, -1.0);
    assert_eq!(spans(&pack)[0], 17..71);
    pack.fill(0.0);
    (pack[17], pack[300 + 70], pack[799]) = (1.0, 1.0, f32::NAN);
    assert_eq!(spans(&pack)[1], 17..100);
    // SAFETY: as above.
    assert!(unsafe { !of_rows.is_finite(pack.as_ptr(), 100) && of_rows.is_finite(pack.as_ptr(), 99) });
}

#[test]
fn zeros_are_looked_for_where_matrices_are_packed_and_where_rows_are_read_as_they_lie() {
    for transposed in 0..8 {
        let ready =
            GemmPlan::new(&matrices(DType::F32, [1536, 1536, 384], transposed, false).gemm).unwrap().ready;
        assert!(ready.spans, "{transposed}");
    }
}
