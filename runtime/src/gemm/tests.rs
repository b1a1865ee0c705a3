mod band;
mod mirror;
mod spans;
mod turn;
mod windows;
mod winograd;

use super::groups::Groups;
use super::span::Lines;
use super::*;
use crate::{Element, Scalar};

/// A small generator of numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0;
        (x ^ x >> 33).wrapping_mul(0xff51afd7ed558ccd) >> 20
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A contraction, and how many elements each tensor has.
#[derive(Debug)]
struct Problem {
    gemm: Gemm,
    lens: [usize; 3],
}

/// Lays axes out densely, the last of each tensor's list innermost. Axes are `(extent, [in a, in b, in c])`.
fn problem(dtype: DType, axes: &[(u64, [bool; 3])], orders: [&[usize]; 3], accumulate: bool) -> Problem {
    let mut laid: Vec<Axis> = axes.iter().map(|&(extent, _)| Axis { extent, a: 0, b: 0, c: 0 }).collect();
    let mut lens = [1; 3];
    for tensor in 0..3 {
        for &axis in orders[tensor].iter().rev().filter(|&&axis| axes[axis].1[tensor]) {
            let stride = lens[tensor] as i64;
            match tensor {
                0 => laid[axis].a = stride,
                1 => laid[axis].b = stride,
                _ => laid[axis].c = stride,
            }
            lens[tensor] *= axes[axis].0 as usize;
        }
    }
    let group = |at: [bool; 3]| {
        laid.iter().zip(axes).filter(|(_, axis)| axis.1 == at).map(|(axis, _)| *axis).collect()
    };
    let gemm = Gemm {
        dtype,
        batch: group([true; 3]),
        m: group([true, false, true]),
        n: group([false, true, true]),
        k: group([true, true, false]),
        accumulate,
        wanted: vec![],
        band: None,
    };
    Problem { gemm, lens }
}

/// Makes axes of an extent and strides in both operands, which change places if they are swapped, and in the result.
fn axes(swapped: bool) -> impl Fn(u64, u64, u64, u64) -> Axis {
    move |extent, a, b, c| {
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        Axis { extent, a: a as i64, b: b as i64, c: c as i64 }
    }
}

/// Every index of some axes, the first one's in the innermost loop: the offset in each tensor.
fn walk(axes: &[Axis], visit: &mut impl FnMut([usize; 3])) {
    let Some((inner, outer)) = axes.split_first() else { return visit([0; 3]) };
    let mut index = vec![0u64; outer.len()];
    if axes.iter().any(|axis| axis.extent == 0) {
        return;
    }
    let mut start = [0i64; 3];
    'next: loop {
        let [mut a, mut b, mut c] = start;
        for _ in 0..inner.extent {
            visit([a as usize, b as usize, c as usize]);
            (a, b, c) = (a + inner.a, b + inner.b, c + inner.c);
        }
        for (axis, index) in outer.iter().zip(&mut index) {
            *index += 1;
            let steps = if *index < axis.extent { 1 } else { 1 - axis.extent as i64 };
            start = [start[0] + steps * axis.a, start[1] + steps * axis.b, start[2] + steps * axis.c];
            if steps == 1 {
                continue 'next;
            }
            *index = 0;
        }
        return;
    }
}

/// Runs at every level and compares with loops in the widest arithmetic.
fn check<T: HasKernels + Element>(problem: &Problem, numbers: &mut Numbers, threads: usize) {
    let Problem { gemm: wanted, lens } = problem;
    let mut values = |len: usize| -> Vec<T> {
        (0..len)
            .map(|_| {
                let mut one = || (numbers.below(2001) as f64 - 1000.0) / 256.0;
                match wanted.dtype {
                    DType::I32 | DType::I64 => T::from_scalar(Scalar::Int(numbers.next() as i128)),
                    _ => T::from_scalar(Scalar::Complex(one(), one())),
                }
            })
            .collect()
    };
    let (a, b, before) = (values(lens[0]), values(lens[1]), values(lens[2]));
    let (mut sums, mut sizes) = (vec![(0i128, 0f64, 0f64); lens[2]], vec![0f64; lens[2]]);
    let axes: Vec<Axis> =
        wanted.batch.iter().chain(&wanted.m).chain(&wanted.n).chain(&wanted.k).copied().collect();
    let [scalars_a, scalars_b] =
        [&a, &b].map(|values| values.iter().map(|x| x.to_scalar()).collect::<Vec<_>>());
    let [parts_a, parts_b] =
        [&scalars_a, &scalars_b].map(|all| all.iter().map(|x| [x.re(), x.im()]).collect::<Vec<_>>());
    let is_int = matches!(wanted.dtype, DType::I32 | DType::I64);
    let mut nearest_first = axes.clone();
    nearest_first.sort_by_key(|axis| axis.a.abs() + axis.b.abs() + axis.c.abs());
    walk(&nearest_first, &mut |[at_a, at_b, at_c]| {
        let sum = &mut sums[at_c];
        if is_int {
            let (Scalar::Int(x), Scalar::Int(y)) = (scalars_a[at_a], scalars_b[at_b]) else { unreachable!() };
            sum.0 = sum.0.wrapping_add(x.wrapping_mul(y));
            return;
        }
        let ([re, im], [other_re, other_im]) = (parts_a[at_a], parts_b[at_b]);
        sum.1 += re * other_re - im * other_im;
        sum.2 += re * other_im + im * other_re;
        sizes[at_c] += (re.abs() + im.abs()) * (other_re.abs() + other_im.abs());
    });
    // Elements that are not wanted stay what they are.
    let chosen: Vec<Axis> = axes
        .iter()
        .zip(&wanted.wanted)
        .filter(|(axis, _)| axis.c != 0 || axis.extent == 1)
        .map(|(axis, &stride)| Axis { a: stride, ..*axis })
        .collect();
    let mut choice: Vec<u8> = Vec::new();
    let mut kept = vec![true; lens[2]];
    let visit = &mut |[at, _, at_c]: [usize; 3]| {
        while choice.len() <= at {
            choice.push(u8::from(numbers.below(5) < 2));
        }
        kept[at_c] = choice[at] != 0;
    };
    if !wanted.wanted.is_empty() {
        walk(&chosen, visit);
    }
    for level in [Level::Plain, Level::Wide, Level::Widest] {
        if level > Level::of_machine() {
            continue;
        }
        let plan = GemmPlan::at_level(wanted, level).expect("the problem is small");
        let mut c = before.clone();
        let mut workspace = vec![0x7fu8; plan.workspace_bytes(threads) + 64];
        let guard = workspace.len() - 64;
        // SAFETY: the vectors are as long as the axes reach, and nobody else uses them.
        unsafe {
            let operands = [a.as_ptr().cast(), b.as_ptr().cast()];
            let (c, memory) = (c.as_mut_ptr().cast(), workspace.as_mut_ptr());
            match wanted.wanted.is_empty() {
                true => gemm(&plan, operands[0], operands[1], c, memory, threads),
                false => gemm_where(&plan, operands, c, choice.as_ptr(), memory, threads),
            }
        }
        assert!(workspace[guard..].iter().all(|&byte| byte == 0x7f), "{level:?} {problem:?}");
        let epsilon = if matches!(wanted.dtype, DType::F32 | DType::C64) { 1.2e-7 } else { 2.3e-16 };
        for (at, (value, old)) in c.iter().zip(&before).enumerate() {
            let (value, old) = (value.to_scalar(), old.to_scalar());
            let sum = sums[at];
            if !wanted.wanted.is_empty() && !kept[at] {
                assert!(value == old, "{level:?} {problem:?}: what is not wanted is written at {at}");
                continue;
            }
            if let (Scalar::Int(value), Scalar::Int(old)) = (value, old) {
                let expected = sum.0.wrapping_add(if wanted.accumulate { old } else { 0 });
                assert_eq!(
                    Scalar::Int(value),
                    Scalar::Int(expected).cast(wanted.dtype),
                    "{level:?} {problem:?} at {at}"
                );
                continue;
            }
            let (mut re, mut im) = (sum.1, sum.2);
            let mut size = sizes[at];
            if wanted.accumulate {
                (re, im, size) = (re + old.re(), im + old.im(), size + old.re().abs() + old.im().abs());
            }
            let error = (value.re() - re).abs().max((value.im() - im).abs());
            let terms: u64 = wanted.k.iter().map(|axis| axis.extent).product::<u64>() + 2;
            let bound = epsilon * size * (terms as f64).sqrt().max(4.0);
            assert!(
                error <= bound,
                "{level:?} at {at}: {value:?}, expected {re} {im}, error {error:e} over {bound:e}\n{problem:?}"
            );
        }
    }
}

fn check_any(problem: &Problem, numbers: &mut Numbers, threads: usize) {
    match problem.gemm.dtype {
        DType::F32 => check::<f32>(problem, numbers, threads),
        DType::F64 => check::<f64>(problem, numbers, threads),
        DType::C64 => check::<Complex<f32>>(problem, numbers, threads),
        DType::C128 => check::<Complex<f64>>(problem, numbers, threads),
        DType::I32 => check::<i32>(problem, numbers, threads),
        _ => check::<i64>(problem, numbers, threads),
    }
}

const DTYPES: [DType; 6] = [DType::F32, DType::F64, DType::C64, DType::C128, DType::I32, DType::I64];

const KINDS: [[bool; 3]; 4] =
    [[true, true, true], [true, false, true], [false, true, true], [true, true, false]];

fn shuffled(numbers: &mut Numbers, len: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    (1..len).for_each(|at| order.swap(at, numbers.below(at + 1)));
    order
}

#[test]
fn any_axes_in_any_order() {
    let mut numbers = Numbers(1);
    for round in 0..700 {
        let mut axes = Vec::new();
        let mut work = 1;
        for kind in KINDS {
            for _ in 0..numbers.pick(if kind == KINDS[0] { &[0usize, 0, 1, 2] } else { &[0, 1, 1, 2, 3] }) {
                let extent = numbers.pick(&[1u64, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 24, 31, 48, 50, 65]);
                if work * extent <= 60_000 {
                    work *= extent;
                    axes.push((extent, kind));
                }
            }
        }
        let orders = [0; 3].map(|_| shuffled(&mut numbers, axes.len()));
        let dtype = DTYPES[round % 6];
        let problem = problem(dtype, &axes, [&orders[0], &orders[1], &orders[2]], numbers.below(2) == 0);
        check_any(&problem, &mut numbers, 1 + round % 3);
    }
}

/// `C[m,n] = A[m,k] * B[k,n]` with each matrix row- or column-major.
fn matrices(dtype: DType, [m, n, k]: [u64; 3], transposed: usize, accumulate: bool) -> Problem {
    let axes = [(m, KINDS[1]), (n, KINDS[2]), (k, KINDS[3])];
    let order = |bit: usize, row: [usize; 2]| {
        if transposed >> bit & 1 == 0 { vec![row[0], row[1]] } else { vec![row[1], row[0]] }
    };
    let (a, b, c) = (order(0, [0, 2]), order(1, [2, 1]), order(2, [0, 1]));
    problem(dtype, &axes, [&a, &b, &c], accumulate)
}

#[test]
fn matrices_of_every_small_size() {
    let mut numbers = Numbers(2);
    for m in [1, 2, 3, 4, 5, 6, 7, 8, 9, 17] {
        for n in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 49] {
            for k in [1, 2, 8, 9] {
                let dtype = numbers.pick(&DTYPES);
                let transposed = numbers.below(8);
                check_any(&matrices(dtype, [m, n, k], transposed, k == 2), &mut numbers, 1);
            }
        }
    }
}

#[test]
fn matrices_of_several_blocks() {
    let mut numbers = Numbers(3);
    for (size, dtype) in [
        ([203, 101, 530], DType::F32),
        ([420, 1600, 9], DType::F32),
        ([97, 65, 1100], DType::F64),
        ([130, 70, 301], DType::C64),
        ([131, 70, 301], DType::C128),
        ([10, 1700, 600], DType::F32),
        ([1700, 10, 300], DType::I32),
        ([250, 50, 300], DType::I64),
        ([250, 1700, 520], DType::F32),
        ([150, 900, 520], DType::F64),
    ] {
        for transposed in [numbers.below(4), 4 + numbers.below(4)] {
            check_any(
                &matrices(dtype, size, transposed, transposed % 2 == 1),
                &mut numbers,
                1 + transposed % 3,
            );
        }
    }
}

#[test]
fn rows_of_one_block_are_packed_once_for_several_blocks_of_columns() {
    let blocks = |m: u64| {
        let ready = GemmPlan::new(&matrices(DType::F32, [m, 2000, 600], 2, false).gemm).unwrap().ready;
        (ready.rows_block >= m as usize, ready.panels_block > ready.panels_packed)
    };
    assert_eq!((blocks(150), blocks(2000)), ((true, true), (false, false)));
}

#[test]
fn skinny_contractions_on_threads() {
    let mut numbers = Numbers(4);
    for size in
        [[1, 1, 300_000], [2, 3, 150_000], [1, 5000, 100], [5000, 1, 100], [3000, 200, 2], [1, 40_000, 3]]
    {
        for dtype in [DType::F32, DType::F64, DType::C64, DType::I64] {
            let transposed = numbers.below(8);
            check_any(&matrices(dtype, size, transposed, transposed < 3), &mut numbers, 1 + transposed % 4);
        }
    }
}

#[test]
fn sums_and_columns_side_by_side_along_different_axes() {
    let mut numbers = Numbers(7);
    const M: usize = 0;
    const N: usize = 1;
    // A[m, x, y] and B[n, y, x] have their innermost sums along different axes; 23 and 18 are no multiples of 8.
    for [m, n, x, y] in
        [[30, 50, 24, 32], [9, 20, 23, 18], [5, 100, 8, 94], [70, 70, 40, 7], [6, 60, 64, 128]]
    {
        for dtype in DTYPES {
            let axes = [(m, KINDS[1]), (n, KINDS[2]), (x, KINDS[3]), (y, KINDS[3])];
            let c = if numbers.below(2) == 0 { [M, N] } else { [N, M] };
            check_any(&problem(dtype, &axes, [&[M, 3, 2], &[N, 2, 3], &c], m == 9), &mut numbers, 2);
        }
    }
    // B[y, x, k] with y innermost: panels side by side; C has x innermost.
    for [m, x, y, k] in [[24, 48, 40, 30], [7, 70, 19, 90], [200, 24, 33, 20]] {
        for dtype in DTYPES {
            let axes = [(m, KINDS[1]), (x, KINDS[2]), (y, KINDS[2]), (k, KINDS[3])];
            check_any(&problem(dtype, &axes, [&[M, 3], &[1, 3, 2], &[M, 2, 1]], m == 7), &mut numbers, 3);
        }
    }
}

#[test]
fn batches_side_by_side() {
    let mut numbers = Numbers(8);
    for [lanes, m, n, k] in [[64, 5, 3, 7], [19, 1, 1, 300], [33, 9, 1, 40], [5, 2, 2, 2], [100, 40, 1, 600]]
    {
        for dtype in DTYPES {
            let axes = [(lanes, KINDS[0]), (m, KINDS[1]), (n, KINDS[2]), (k, KINDS[3]), (2, KINDS[0])];
            let orders = [&[4, 1, 3, 0][..], &[3, 4, 2, 0], &[1, 2, 4, 0]];
            check_any(&problem(dtype, &axes, orders, k == 7), &mut numbers, 2);
        }
    }
}

/// Many short axes, those of the batch between rows and columns in C, which is larger than what stays in a cache.
#[test]
fn rows_and_columns_far_apart() {
    let mut numbers = Numbers(31);
    for (turn, dtype) in DTYPES.into_iter().enumerate() {
        // Seventeen axes of C in turns, one of them of three values; two of sums.
        let mut axes: Vec<(u64, [bool; 3])> =
            (0..17).map(|axis| (2 + u64::from(axis == 4), KINDS[(axis + turn) % 3])).collect();
        axes.extend([(3, KINDS[3]), (2, KINDS[3])]);
        let order: Vec<usize> = (0..axes.len()).collect();
        let problem = problem(dtype, &axes, [&order, &order, &order], turn % 2 == 1);
        let plan = GemmPlan::new(&problem.gemm).unwrap();
        let elements = |axes: &[Axis]| axes.iter().map(|axis| axis.extent as usize).product::<usize>();
        assert!(plan.ready.batch_len > elements(&problem.gemm.batch), "{:?}", plan.ready);
        check_any(&problem, &mut numbers, 1 + turn % 3);
    }
}

/// `C[n,u,v] = sum over l of A[v,u,l] * B[n,l,v]`: of many columns some stay columns, so that C is written block by block.
#[test]
fn long_columns_far_apart() {
    let mut numbers = Numbers(37);
    for (turn, dtype) in DTYPES.into_iter().enumerate() {
        for n in [3840u64, 3847] {
            let axes = [(n, KINDS[2]), (7, KINDS[1]), (5, KINDS[0]), (4, KINDS[3])];
            let problem = problem(dtype, &axes, [&[2, 1, 3], &[0, 3, 2], &[0, 1, 2]], turn % 2 == 1);
            let ready = GemmPlan::new(&problem.gemm).unwrap().ready;
            // A prime number of columns has no blocks.
            let blocks = if n == 3840 { n as usize / 64 } else { 1 };
            assert_eq!((ready.batch_len, ready.columns_len), (5 * blocks, n as usize / blocks), "{ready:?}");
            check_any(&problem, &mut numbers, 1 + turn % 3);
        }
    }
}

#[test]
fn a_vector_times_rows() {
    let mut numbers = Numbers(12);
    for [n, k, batch] in [[16, 1, 1], [17, 7, 3], [64, 8, 1], [200, 9, 2], [5000, 30, 1], [40, 1100, 1]] {
        for dtype in DTYPES {
            // The vector first and second; another axis of sums between.
            for (left, accumulate) in [(true, false), (false, true)] {
                let kind = if left { KINDS[2] } else { KINDS[1] };
                let axes = [(n, kind), (k, KINDS[3]), (batch, KINDS[0]), (2, KINDS[3])];
                let orders = [&[2, 1, 3, 0][..], &[2, 3, 1, 0], &[2, 0]];
                check_any(&problem(dtype, &axes, orders, accumulate), &mut numbers, 3);
            }
        }
    }
}

/// `C[b,t,e,f] = sum over d of X[b,t,d] * W[e,d,f]` where some triples of b, t and e are wanted, in both orders; and a batch
/// of such products whose rows are chosen by one axis of theirs, or none.
#[test]
fn some_rows_are_wanted() {
    let mut numbers = Numbers(37);
    for (number, [b, t, e, d, f]) in
        [[2, 30, 3, 17, 40], [1, 5, 2, 9, 3], [3, 70, 1, 40, 17], [1, 20, 2, 520, 19]].into_iter().enumerate()
    {
        for (dtype, swapped) in DTYPES.into_iter().flat_map(|dtype| [(dtype, false), (dtype, true)]) {
            let axis = |extent: u64, a: u64, b: u64, c: u64| {
                let (a, b) = if swapped { (b, a) } else { (a, b) };
                Axis { extent, a: a as i64, b: b as i64, c: c as i64 }
            };
            let rows = vec![axis(b, t * d, 0, t * e * f), axis(t, d, 0, e * f)];
            let columns = vec![axis(e, 0, d * f, f), axis(f, 0, 1, 1)];
            let (m, n) = if swapped { (columns, rows) } else { (rows, columns) };
            let strides = [[t * e, e].map(|by| by as i64), [1, 0]];
            let strides = if swapped { [strides[1], strides[0]] } else { strides };
            let gemm = Gemm {
                dtype,
                batch: vec![],
                m,
                n,
                k: vec![axis(d, 1, f, 0)],
                accumulate: number % 2 == 1,
                wanted: [&strides[0][..], &strides[1][..], &[0]].concat(),
                band: None,
            };
            let mut lens = [b * t * d, e * d * f, b * t * e * f].map(|len| len as usize);
            if swapped {
                lens.swap(0, 1);
            }
            check_any(&Problem { gemm, lens }, &mut numbers, 1 + number % 3);
            let batch = axis(e, t * d, d * f, t * f);
            for wanted in [[0, 1, 0, 0], [1, 0, 0, 0], [t as i64, 1, 0, 0]] {
                let (row, column) = (axis(t, d, 0, f), axis(f, 0, 1, 1));
                let wanted = if swapped { vec![wanted[0], 0, wanted[1], 0] } else { wanted.to_vec() };
                let gemm = Gemm {
                    dtype,
                    batch: vec![batch],
                    m: vec![if swapped { column } else { row }],
                    n: vec![if swapped { row } else { column }],
                    k: vec![axis(d, 1, f, 0)],
                    accumulate: number % 2 == 0,
                    wanted,
                    band: None,
                };
                let mut lens = [e * t * d, e * d * f, e * t * f].map(|len| len as usize);
                if swapped {
                    lens.swap(0, 1);
                }
                check_any(&Problem { gemm, lens }, &mut numbers, 1 + number % 3);
            }
        }
    }
}

/// `C[j,i,l] = sum over k of A[k,l] * B[j,i,k,l]` and the like: lanes of the batch that are apart in the result.
#[test]
fn batches_side_by_side_in_the_operands_alone() {
    let mut numbers = Numbers(29);
    for (number, (lanes, m, n, k)) in [(33, 4, 20, 16), (8, 1, 3, 8), (17, 8, 9, 11)].into_iter().enumerate()
    {
        for dtype in DTYPES {
            let axes = [
                (lanes, [true; 3]),
                (m, [true, false, true]),
                (n, [false, true, true]),
                (k, [true, true, false]),
            ];
            let accumulate = number == 1;
            let problem = problem(dtype, &axes, [&[3, 1, 0], &[2, 3, 0], &[0, 1, 2]], accumulate);
            let plan = GemmPlan::new(&problem.gemm).unwrap();
            assert_eq!((plan.ready.way, plan.ready.c_lane), (Way::Strips, (m * n) as isize));
            check_any(&problem, &mut numbers, 1 + number);
        }
    }
}

#[test]
fn nothing_to_sum_is_zero_and_nothing_to_write_is_nothing() {
    let mut numbers = Numbers(5);
    for dtype in DTYPES {
        for accumulate in [false, true] {
            for size in [[3, 20, 0], [0, 3, 3], [3, 0, 3], [0, 0, 0], [200, 200, 0]] {
                check_any(&matrices(dtype, size, 0, accumulate), &mut numbers, 2);
            }
        }
    }
}

#[test]
fn operands_that_repeat_and_negative_strides() {
    // C[i,j] = sum over k of A[i] * B[j, 2 - k]: A repeats along k (stride 0), B runs backwards.
    let gemm_of = |dtype| Gemm {
        dtype,
        batch: vec![],
        m: vec![Axis { extent: 3, a: 1, b: 0, c: 20 }],
        n: vec![Axis { extent: 20, a: 0, b: 3, c: 1 }],
        k: vec![Axis { extent: 3, a: 0, b: -1, c: 0 }],
        accumulate: false,
        wanted: vec![],
        band: None,
    };
    for level in [Level::Plain, Level::Wide, Level::Widest] {
        if level > Level::of_machine() {
            continue;
        }
        let a = [1f64, 2.0, 3.0];
        let b: Vec<f64> = (0..60).map(f64::from).collect();
        let mut c = [0f64; 60];
        let plan = GemmPlan::at_level(&gemm_of(DType::F64), level).unwrap();
        let mut workspace = vec![0u8; plan.workspace_bytes(1)];
        // SAFETY: the arrays are as long as the axes reach; B starts at its last sum.
        unsafe {
            let b = b.as_ptr().add(2);
            gemm(&plan, a.as_ptr().cast(), b.cast(), c.as_mut_ptr().cast(), workspace.as_mut_ptr(), 1);
        }
        for i in 0..3 {
            for j in 0..20 {
                let expected = a[i] * (3 * j..3 * j + 3).map(|at| b[at]).sum::<f64>();
                assert_eq!(c[i * 20 + j], expected);
            }
        }
    }
}

#[test]
fn what_has_no_kernels_or_is_too_large_is_refused() {
    let axis = |extent, a, b, c| Axis { extent, a, b, c };
    let gemm = |dtype, k| Gemm {
        dtype,
        batch: vec![],
        m: vec![],
        n: vec![],
        k,
        accumulate: false,
        wanted: vec![],
        band: None,
    };
    assert!(GemmPlan::new(&gemm(DType::F32, vec![axis(3, 1, 1, 0)])).is_some());
    assert!(GemmPlan::new(&gemm(DType::F16, vec![axis(3, 1, 1, 0)])).is_none());
    assert!(GemmPlan::new(&gemm(DType::Bool, vec![])).is_none());
    assert!(GemmPlan::new(&gemm(DType::F32, vec![axis(1 << 62, 4, 1, 0)])).is_none());
    assert!(GemmPlan::new(&gemm(DType::F32, vec![axis(u64::MAX, 1, 1, 0)])).is_none());
    assert!(GemmPlan::new(&gemm(DType::F32, vec![axis(2, i64::MIN, 1, 0)])).is_none());
}

#[test]
fn axes_whose_extents_together_overflow_stay_apart() {
    let axis = |extent| Axis { extent, a: 1, b: 1, c: 0 };
    let gemm = Gemm {
        dtype: DType::F32,
        batch: vec![],
        m: vec![],
        n: vec![],
        k: vec![axis(1 << 40), axis(1 << 30)],
        accumulate: false,
        wanted: vec![],
        band: None,
    };
    let mut groups = Groups::of(&gemm).expect("each element can be addressed");
    groups.merge();
    assert_eq!(groups.sums.len(), 2);
}

#[test]
fn bits_do_not_depend_on_threads() {
    let problem = matrices(DType::F32, [300, 400, 700], 0, false);
    let mut numbers = Numbers(6);
    let mut values = |len| (0..len).map(|_| numbers.below(1000) as f32 / 7.0).collect::<Vec<f32>>();
    let (a, b) = (values(problem.lens[0]), values(problem.lens[1]));
    let plan = GemmPlan::new(&problem.gemm).unwrap();
    let results = [1, 2, 3].map(|threads| {
        let mut c = vec![0f32; problem.lens[2]];
        let mut workspace = vec![0u8; plan.workspace_bytes(threads)];
        // SAFETY: the vectors are as long as the axes reach.
        unsafe {
            gemm(
                &plan,
                a.as_ptr().cast(),
                b.as_ptr().cast(),
                c.as_mut_ptr().cast(),
                workspace.as_mut_ptr(),
                threads,
            );
        }
        c
    });
    assert!(results[0] == results[1] && results[1] == results[2]);
}
