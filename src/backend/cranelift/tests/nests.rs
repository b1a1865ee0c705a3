//! Nests and contractions.

use super::build::{Build, noise, reduced, reduction};
use crate::expr::{Expr, ReduceOp, Unary};
use crate::plan::{Contract, Step};
use crate::source::Span;
use einc_runtime::{DType, Element, Scalar, Tensor};

fn reals(dtype: DType, shape: &[u64], seed: u64) -> Tensor {
    let mut tensor = Tensor::zeros(dtype, shape).unwrap();
    for (k, value) in noise(tensor.elems(), seed).into_iter().enumerate() {
        let value = if dtype.is_float() { Scalar::Real(value) } else { Scalar::Int((value * 100.0) as i128) };
        tensor.set(k, value);
    }
    tensor
}

fn real(tensor: &Tensor, at: usize) -> f64 {
    match tensor.get(at) {
        Scalar::Real(value) => value,
        Scalar::Int(value) => value as f64,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pointwise_over_every_extent() {
    for extent in [0, 1, 2, 3, 4, 5, 7, 8, 31, 100] {
        for dtype in [DType::F32, DType::F64, DType::I64, DType::I32, DType::I8] {
            let mut build = Build::new();
            let i = build.axis("i", extent);
            let (a, b) = (build.input(dtype, &[extent]), build.input(dtype, &[extent]));
            let out = build.output(dtype, &[extent]);
            let value = Expr::Sum(vec![
                Expr::Product(vec![build.at(0, &a, &[i]), build.at(1, &b, &[i])]),
                Expr::Unary(Unary::Neg, Box::new(build.at(0, &a, &[i]))),
            ]);
            let view = build.view(&out, &[i]);
            build.nest(&[i], &[&a, &b], vec![], value, view);
            let (ta, tb) = (reals(dtype, &[extent], 1), reals(dtype, &[extent], 2));
            let result = build.run(&[&ta, &tb]).unwrap().remove(0);
            for k in 0..extent as usize {
                let (x, y) = (real(&ta, k), real(&tb, k));
                let mut wanted = x * y - x;
                if dtype == DType::I8 {
                    wanted = f64::from(wanted as i64 as i8);
                }
                let slack = if dtype == DType::F32 { 1e-6 } else { 1e-15 };
                assert!((real(&result, k) - wanted).abs() <= slack, "{dtype} {extent}");
            }
        }
    }
}

/// `C[i,k] = A[i,j] * B[j,k]` in all layouts of the operands.
fn contraction(dtype: DType, [m, n, k]: [u64; 3], swap: [bool; 3], accumulate: bool) {
    let mut build = Build::new();
    let [i, j, l] = [("i", m), ("j", n), ("l", k)].map(|(name, extent)| build.axis(name, extent));
    let order = |a, b, swap: bool| if swap { [b, a] } else { [a, b] };
    let (axes_a, axes_b, axes_c) = (order(i, l, swap[0]), order(l, j, swap[1]), order(i, j, swap[2]));
    let shape = |build: &Build, axes: [crate::expr::AxisId; 2]| axes.map(|axis| build.plan.axes[axis].extent);
    let (shape_a, shape_b, shape_c) = (shape(&build, axes_a), shape(&build, axes_b), shape(&build, axes_c));
    let a = build.input(dtype, &shape_a);
    let b = build.input(dtype, &shape_b);
    let c = build.output(dtype, &shape_c);
    let mut times = 1.0;
    for accumulate in if accumulate { vec![false, true] } else { vec![false] } {
        let (a, b, out) = (build.view(&a, &axes_a), build.view(&b, &axes_b), build.view(&c, &axes_c));
        let place = Span::default();
        build.plan.steps.push(Step::Contract(Contract {
            a,
            b,
            out,
            dtype,
            accumulate,
            wanted: None,
            band: None,
            place,
        }));
        times = if accumulate { 2.0 } else { 1.0 };
    }
    let (ta, tb) = (reals(dtype, &shape_a, 3), reals(dtype, &shape_b, 4));
    let result = build.run(&[&ta, &tb]).unwrap().remove(0);
    let flat = |at: [u64; 2], swap: bool, shape: [u64; 2]| {
        let at = if swap { [at[1], at[0]] } else { at };
        (at[0] * shape[1] + at[1]) as usize
    };
    for p in 0..m {
        for q in 0..n {
            let wanted: f64 = (0..k)
                .map(|r| {
                    real(&ta, flat([p, r], swap[0], shape_a)) * real(&tb, flat([r, q], swap[1], shape_b))
                })
                .sum();
            let got = real(&result, flat([p, q], swap[2], shape_c));
            let slack = if dtype == DType::F32 { 1e-5 } else { 1e-12 };
            assert!(
                (got - times * wanted).abs() <= slack * (k as f64).sqrt().max(1.0),
                "{dtype} {m}x{n}x{k} {swap:?}: {got} is not {wanted}"
            );
        }
    }
}

#[test]
fn contractions_in_all_layouts() {
    for dtype in [DType::F32, DType::F64, DType::I64, DType::I32] {
        for swaps in 0..8 {
            let swap = [swaps & 1 == 1, swaps & 2 == 2, swaps & 4 == 4];
            for extents in [[4, 4, 4], [5, 13, 7], [1, 9, 3], [3, 1, 17], [16, 12, 33], [2, 3, 0]] {
                contraction(dtype, extents, swap, false);
            }
        }
        contraction(dtype, [7, 6, 5], [false; 3], true);
    }
}

#[test]
fn large_contraction_as_loops_and_threads() {
    contraction(DType::F32, [61, 67, 700], [false; 3], false);
    contraction(DType::F64, [64, 48, 128], [true, false, true], true);
}

#[test]
fn sums_are_trees() {
    // Adding 1.0 to 2^24 in f32 is lost one by one.
    let count = 1 << 20;
    let mut build = Build::new();
    let i = build.axis("i", count);
    let a = build.input(DType::F32, &[count]);
    let out = build.output(DType::F32, &[]);
    let body = build.at(0, &a, &[i]);
    let view = build.view(&out, &[]);
    build.nest(&[], &[&a], vec![reduction(ReduceOp::Sum, &[i], body)], reduced(0, DType::F32), view);
    let tensor = Tensor::from_slice(&[count], &vec![0.1f32; count as usize]).unwrap();
    let sum = build.run(&[&tensor]).unwrap()[0].as_slice::<f32>().unwrap()[0];
    assert!((f64::from(sum) / (count as f64 * f64::from(0.1f32)) - 1.0).abs() < 1e-6, "{sum}");
}

#[test]
fn reductions_keep_their_rules() {
    fn run<T: Element>(dtype: DType, op: ReduceOp, values: &[T]) -> Scalar {
        let count = values.len() as u64;
        let mut build = Build::new();
        let i = build.axis("i", count);
        let a = build.input(dtype, &[count]);
        let result = if matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin) { DType::I64 } else { dtype };
        let out = build.output(result, &[]);
        let body = build.at(0, &a, &[i]);
        let view = build.view(&out, &[]);
        build.nest(&[], &[&a], vec![reduction(op, &[i], body)], reduced(0, result), view);
        build.run(&[&Tensor::from_slice(&[count], values).unwrap()]).unwrap()[0].get(0)
    }
    let nan = f64::NAN;
    let values = [3.0, -1.0, 7.5, 2.0, 7.5, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0];
    assert_eq!(run(DType::F64, ReduceOp::Min, &values), Scalar::Real(-1.0));
    assert_eq!(run(DType::F64, ReduceOp::Max, &values), Scalar::Real(7.5));
    assert_eq!(run(DType::F64, ReduceOp::ArgMax, &values), Scalar::Int(2));
    assert_eq!(run(DType::F64, ReduceOp::ArgMin, &values), Scalar::Int(1));
    assert_eq!(run::<f64>(DType::F64, ReduceOp::Max, &[]), Scalar::Real(f64::NEG_INFINITY));
    assert_eq!(run::<i32>(DType::I32, ReduceOp::Min, &[]), Scalar::Int(i32::MAX.into()));
    assert_eq!(run(DType::I32, ReduceOp::Prod, &[3i32, -4, 5, 1, 1, 1, 1, 1, 2]), Scalar::Int(-120));
    for position in 0..12 {
        let mut with = [1.0; 12];
        with[position] = nan;
        with[11] = nan;
        for op in [ReduceOp::Min, ReduceOp::Max] {
            let Scalar::Real(value) = run(DType::F64, op, &with) else { panic!("a real") };
            assert!(value.is_nan());
        }
        assert_eq!(run(DType::F64, ReduceOp::ArgMax, &with), Scalar::Int(position as i128));
        assert_eq!(run(DType::F64, ReduceOp::ArgMin, &with), Scalar::Int(position as i128));
    }
    let Scalar::Real(value) = run(DType::F64, ReduceOp::LogSumExp, &[1000.0, 1001.0, 999.0]) else {
        panic!("a real")
    };
    let wanted = 1001.0 + (1.0 + (-1.0f64).exp() + (-2.0f64).exp()).ln();
    assert!((value - wanted).abs() < 1e-12);
    assert_eq!(run::<f64>(DType::F64, ReduceOp::LogSumExp, &[]), Scalar::Real(f64::NEG_INFINITY));
    assert_eq!(run(DType::F64, ReduceOp::LogSumExp, &[f64::INFINITY, 1.0]), Scalar::Real(f64::INFINITY));
    assert_eq!(run(DType::Bool, ReduceOp::Any, &[false, true, false]), Scalar::Int(1));
    assert_eq!(run(DType::Bool, ReduceOp::All, &[true; 9]), Scalar::Int(1));
    assert_eq!(run(DType::Bool, ReduceOp::All, &[true, true, true, true, true, false]), Scalar::Int(0));
}

#[test]
fn padded_windows_and_gathered_rows_in_vectors() {
    use super::random::assert_agrees;
    use crate::expr::Outside;
    for extent in [3, 6, 21] {
        // y[o, h, w] = sum of x[c, h + u - 1, w + v - 1 else 0] * k[o, c, u, v]
        let mut build = Build::new();
        let names = [("h", 4), ("w", extent), ("u", 3), ("v", 3), ("c", 2), ("o", 3)];
        let [h, w, u, v, c, o] = names.map(|(name, extent)| build.axis(name, extent));
        let x = build.input(DType::F32, &[2, 4, extent]);
        let k = build.input(DType::F32, &[3, 2, 3, 3]);
        let y = build.output(DType::F32, &[3, 4, extent]);
        let at = |p, q| Expr::Sum(vec![Expr::Index(p), Expr::Index(q), Expr::int(-1)]);
        let zero = Outside::Else(Box::new(Expr::number(0.0, DType::F32)));
        let window = build.read(0, &x, vec![Expr::Index(c), at(h, u), at(w, v)], zero);
        let body = Expr::Product(vec![window, build.at(1, &k, &[o, c, u, v])]);
        let view = build.view(&y, &[o, h, w]);
        let sum = vec![reduction(ReduceOp::Sum, &[c, u, v], body)];
        build.nest(&[o, h, w], &[&x, &k], sum, reduced(0, DType::F32), view);
        // z[i, j] = 2 e[3 - t, j] with t computed from another row
        let (i, j) = (build.axis("i", 4), build.axis("j", extent));
        let z = build.output(DType::F32, &[4, extent]);
        let e = build.read(
            0,
            &x,
            vec![
                Expr::int(1),
                Expr::Binary(
                    crate::expr::Binary::Rem,
                    Box::new(Expr::Product(vec![Expr::Index(i), Expr::Index(i)])),
                    Box::new(Expr::int(4)),
                ),
                Expr::Index(j),
            ],
            Outside::Checked,
        );
        let view = build.view(&z, &[i, j]);
        build.nest(&[i, j], &[&x], vec![], Expr::Product(vec![e, Expr::number(2.0, DType::F32)]), view);
        assert_agrees(&build.plan, &format!("windows of {extent}"));
    }
}

#[test]
fn permutes_run_in_blocks() {
    for extents in [[40, 50], [32, 64], [17, 33], [100, 3]] {
        let mut build = Build::new();
        let (i, j) = (build.axis("i", extents[0]), build.axis("j", extents[1]));
        let x = build.input(DType::F32, &[extents[1], extents[0]]);
        let y = build.output(DType::F32, &extents);
        let value = build.at(0, &x, &[j, i]);
        let view = build.view(&y, &[i, j]);
        build.nest(&[i, j], &[&x], vec![], value, view);
        super::random::assert_agrees(&build.plan, &format!("permute of {extents:?}"));
    }
}

#[test]
fn masks_with_computed_bounds_are_ranges_of_loops() {
    use crate::expr::Binary;
    // So long that only a loop over the range comes to an end.
    let long = 1 << 50;
    let low = [i64::MIN, 2, i64::MAX, 7, -3, 1000, long - 2];
    let high = [2, i64::MIN, i64::MAX, 9, 40, 1700, i64::MAX];
    for columns in [1, 3, 4, 11] {
        for op in [ReduceOp::Sum, ReduceOp::Max] {
            let mut build = Build::new();
            let (i, e) = (build.axis("i", low.len() as u64), build.axis("e", long as u64));
            let n = build.axis("n", columns);
            let [from, to] = [(); 2].map(|()| build.input(DType::I64, &[low.len() as u64]));
            let x = build.input(DType::F64, &[low.len() as u64, columns]);
            let y = build.output(DType::F64, &[low.len() as u64, columns]);
            let compare = |op, a: &Expr<_>, b: Expr<_>| Expr::Binary(op, Box::new(a.clone()), Box::new(b));
            let start = compare(Binary::Le, &build.at(0, &from, &[i]), Expr::Index(e));
            let end = compare(Binary::Le, &Expr::Index(e), build.at(1, &to, &[i]));
            let position = Expr::Cast(DType::F64, Box::new(Expr::Index(e)));
            let neutral = if op == ReduceOp::Sum { 0.0 } else { f64::NEG_INFINITY };
            let body = Expr::Select(Box::new([
                compare(Binary::And, &start, end),
                Expr::Product(vec![build.at(2, &x, &[i, n]), position]),
                Expr::number(neutral, DType::F64),
            ]));
            let view = build.view(&y, &[i, n]);
            let operands = [&from, &to, &x];
            build.nest(&[i, n], &operands, vec![reduction(op, &[e], body)], reduced(0, DType::F64), view);
            let tensors = [low, high].map(|list| Tensor::from_slice(&[list.len() as u64], &list).unwrap());
            let values = reals(DType::F64, &[low.len() as u64, columns], 3);
            let inputs = [&tensors[0], &tensors[1], &values];
            let result = build.run(&inputs).unwrap().remove(0);
            let loops = crate::loops::lower(&build.plan, &crate::machine::Machine::host());
            assert_eq!(crate::loops::verify(&loops), Ok(()));
            let slow = crate::interpret::run_loops(&loops, &inputs).unwrap().remove(0);
            for row in 0..low.len() {
                for column in 0..columns as usize {
                    let at = row * columns as usize + column;
                    let range = low[row].max(0)..high[row].min(long - 1).saturating_add(1);
                    let terms = range.map(|e| e as f64 * real(&values, at));
                    let wanted = match op {
                        ReduceOp::Sum => terms.sum::<f64>(),
                        _ => terms.fold(f64::NEG_INFINITY, f64::max),
                    };
                    for found in [real(&result, at), real(&slow, at)] {
                        let fits = found == wanted || (found - wanted).abs() <= 1e-12 * wanted.abs();
                        assert!(fits, "{op:?} {columns} at {row},{column}: {found}, expected {wanted}");
                    }
                }
            }
        }
    }
}

/// The vectors of a row are summed up together: whether a term counts is the same for all of them.
#[test]
fn a_condition_of_whole_rows_is_asked_once() {
    use crate::expr::Binary;
    let mut build = Build::new();
    let [t, s, f] = [("t", 30), ("s", 30), ("f", 40)].map(|(name, extent)| build.axis(name, extent));
    let (p, v) = (build.input(DType::F32, &[30, 30]), build.input(DType::F32, &[30, 40]));
    let sel = build.input(DType::F32, &[30]);
    let y = build.output(DType::F32, &[30, 40]);
    let compare = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
    let seen = compare(Binary::Le, Expr::Index(s), Expr::Index(t));
    let chosen = compare(Binary::Gt, build.at(2, &sel, &[s]), Expr::number(0.0, DType::F32));
    let body = Expr::Select(Box::new([
        compare(Binary::And, seen, chosen),
        Expr::Product(vec![build.at(0, &p, &[t, s]), build.at(1, &v, &[s, f])]),
        Expr::number(0.0, DType::F32),
    ]));
    let view = build.view(&y, &[t, f]);
    let sum = reduction(ReduceOp::Sum, &[s], body);
    build.nest(&[t, f], &[&p, &v, &sel], vec![sum], reduced(0, DType::F32), view);
    super::random::assert_agrees(&build.plan, "sums of chosen rows");
    let machine = crate::machine::Machine::named("x86_64").unwrap();
    let text = crate::loops::lower(&build.plan, &machine).to_string();
    assert_eq!(text.matches("load f32 b2").count(), 1, "{text}");
}
