//! Products of which each row takes sums of its own, beside which the operands hold infinities and what is no number.

use super::*;

/// Runs at every level and compares with loops over the band; axis `t` of the list is that of the band.
fn check_band<T: HasKernels + Element>(problem: &Problem, t: usize, numbers: &mut Numbers, threads: usize) {
    let Problem { gemm: wanted, lens } = problem;
    let band = wanted.band.expect("there is a band");
    let axes: Vec<Axis> = [&wanted.batch, &wanted.m, &wanted.n].into_iter().flatten().copied().collect();
    let (row, sum) = (axes[t], wanted.k[0]);
    let others: Vec<Axis> = axes.iter().enumerate().filter(|axis| axis.0 != t).map(|axis| *axis.1).collect();
    let is_int = matches!(wanted.dtype, DType::I32 | DType::I64);
    let mut values = |len: usize| -> Vec<Scalar> {
        let mut one = || numbers.below(201) as i32 - 100;
        let number = |x: i32| if is_int { Scalar::Int(x.into()) } else { Scalar::Real(f64::from(x) / 64.0) };
        (0..len).map(|_| number(one())).collect()
    };
    let [mut a, mut b, before] = [lens[0], lens[1], lens[2]].map(&mut values);
    // Where the operand of the rows is outside of the band, and here and there in the other one.
    let strange = |turn: usize| match (is_int, turn % 3) {
        (true, turn) => Scalar::Int(1 << (20 + turn)),
        (_, 0) => Scalar::Real(f64::NAN),
        (_, 1) => Scalar::Real(f64::INFINITY),
        _ => Scalar::Real(0.0),
    };
    let of_a = row.a != 0;
    let inner: Vec<Axis> =
        others.iter().copied().filter(|axis| if of_a { axis.a != 0 } else { axis.b != 0 }).collect();
    for index in 0..row.extent as usize {
        let taken = band.sums(index, sum.extent as usize);
        for at in (0..sum.extent as usize).filter(|at| !taken.contains(at)) {
            let turn = index + at;
            walk(&inner, &mut |place| match of_a {
                true => a[place[0] + index * row.a as usize + at * sum.a as usize] = strange(turn),
                false => b[place[1] + index * row.b as usize + at * sum.b as usize] = strange(turn),
            });
        }
    }
    if !is_int {
        let other = if of_a { &mut b } else { &mut a };
        for turn in 0..other.len() / 50 {
            let at = numbers.below(other.len());
            other[at] = strange(turn);
        }
    }
    let mut sums = vec![Scalar::Int(0); lens[2]];
    for (sum, old) in sums.iter_mut().zip(&before) {
        *sum = if wanted.accumulate {
            *old
        } else if is_int {
            Scalar::Int(0)
        } else {
            Scalar::Real(0.0)
        };
    }
    for index in 0..row.extent as usize {
        for at in band.sums(index, sum.extent as usize) {
            walk(&others, &mut |place| {
                let x = a[place[0] + index * row.a as usize + at * sum.a as usize];
                let y = b[place[1] + index * row.b as usize + at * sum.b as usize];
                let to = &mut sums[place[2] + index * row.c as usize];
                *to = match (x, y, *to) {
                    (Scalar::Int(x), Scalar::Int(y), Scalar::Int(to)) => Scalar::Int(to + x * y),
                    (x, y, to) => Scalar::Real(to.re() + x.re() * y.re()),
                };
            });
        }
    }
    let typed = |list: &[Scalar]| list.iter().map(|&x| T::from_scalar(x)).collect::<Vec<T>>();
    let (a, b) = (typed(&a), typed(&b));
    for level in [Level::Plain, Level::Wide, Level::Widest] {
        if level > Level::of_machine() {
            continue;
        }
        let plan = GemmPlan::at_level(wanted, level).expect("the problem is small");
        let mut c = typed(&before);
        let mut workspace = vec![0x7fu8; plan.workspace_bytes(threads) + 64];
        let guard = workspace.len() - 64;
        let (to, memory) = (c.as_mut_ptr().cast(), workspace.as_mut_ptr());
        // SAFETY: the vectors are as long as the axes reach, and nobody else uses them.
        unsafe { gemm(&plan, a.as_ptr().cast(), b.as_ptr().cast(), to, memory, threads) };
        assert!(workspace[guard..].iter().all(|&byte| byte == 0x7f), "{level:?} {problem:?}");
        for (at, (value, sum)) in c.iter().zip(&sums).enumerate() {
            let fits = match (value.to_scalar(), *sum) {
                (Scalar::Int(value), sum) => Scalar::Int(value) == sum.cast(wanted.dtype),
                (value, sum) if sum.re().is_finite() => {
                    (value.re() - sum.re()).abs() <= 1e-4 * (1.0 + sum.re().abs())
                }
                (value, _) => !value.re().is_finite(),
            };
            let value = value.to_scalar();
            assert!(fits, "{level:?} at {at}: {value:?}, expected {sum:?}\n{problem:?}");
        }
    }
}

fn check_any_band(problem: &Problem, t: usize, numbers: &mut Numbers, threads: usize) {
    match problem.gemm.dtype {
        DType::F32 => check_band::<f32>(problem, t, numbers, threads),
        DType::F64 => check_band::<f64>(problem, t, numbers, threads),
        DType::C64 => check_band::<Complex<f32>>(problem, t, numbers, threads),
        DType::C128 => check_band::<Complex<f64>>(problem, t, numbers, threads),
        DType::I32 => check_band::<i32>(problem, t, numbers, threads),
        _ => check_band::<i64>(problem, t, numbers, threads),
    }
}

/// A band of a product: of all sums up to a row's own, of windows behind it, of none at all for some rows.
fn some_band(numbers: &mut Numbers, [rows, sums]: [u64; 2]) -> (i64, i64) {
    let (rows, sums) = (rows as i64, sums as i64);
    let mut within = |low: i64, high: i64| low + numbers.below((high - low + 1) as usize) as i64;
    match within(0, 5) {
        0 => (-rows, 1),
        1 => (0, sums),
        2 => (-within(0, 40), within(0, 3)),
        3 => (-rows, within(-rows, sums)),
        4 => (within(-rows, sums), sums),
        _ => {
            let first = within(-rows, sums);
            (first, within(-rows, sums))
        }
    }
}

#[test]
fn bands_of_any_axes_in_any_order() {
    let mut numbers = Numbers(51);
    for round in 0..400 {
        let extents = [1u64, 2, 3, 5, 7, 8, 13, 16, 17, 31, 48, 65, 100];
        let mut axes =
            vec![(numbers.pick(&extents), KINDS[1 + numbers.below(2)]), (numbers.pick(&extents), KINDS[3])];
        let mut work = axes[0].0 * axes[1].0;
        for kind in [0, 1, 1, 2, 2] {
            let extent = numbers.pick(&extents);
            if numbers.below(3) > 0 && work * extent <= 40_000 {
                work *= extent;
                axes.push((extent, KINDS[kind]));
            }
        }
        check_laid(&axes, DTYPES[round % 6], &mut numbers);
    }
}

#[test]
fn bands_of_several_blocks() {
    let mut numbers = Numbers(53);
    for (number, [t, s, e]) in
        [[300, 700, 70], [700, 700, 30], [64, 1500, 20], [1100, 300, 6]].into_iter().enumerate()
    {
        for _ in 0..6 {
            let kind = KINDS[1 + numbers.below(2)];
            let other = if kind == KINDS[1] { KINDS[2] } else { KINDS[1] };
            check_laid(&[(t, kind), (s, KINDS[3]), (e, other)], DTYPES[number % 2], &mut numbers);
        }
    }
}

/// Lays axes out in any order, of which the first one is that of a band; the second one is summed over.
fn check_laid(axes: &[(u64, [bool; 3])], dtype: DType, numbers: &mut Numbers) {
    let orders = [0; 3].map(|_| shuffled(numbers, axes.len()));
    let mut problem = problem(dtype, axes, [&orders[0], &orders[1], &orders[2]], numbers.below(2) == 0);
    // Axes are listed by kind, and those of a kind in their order.
    let kind = |axis: &(u64, [bool; 3])| KINDS.iter().position(|kind| *kind == axis.1);
    let axis = axes.iter().filter(|axis| kind(axis) < kind(&axes[0])).count();
    let (first, end) = some_band(numbers, [axes[0].0, axes[1].0]);
    problem.gemm.band = Some(Band { axis, first, end });
    let threads = 1 + numbers.below(3);
    check_any_band(&problem, axis, numbers, threads);
}
