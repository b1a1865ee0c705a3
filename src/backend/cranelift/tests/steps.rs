//! Maps along axes, scatters, scans, faults and every function, against the interpreter of plans.

use super::build::{Build, E, reduced, reduction};
use super::random::assert_agrees;
use crate::expr::{AlongOp, Binary, Expr, Outside, ReduceOp, Unary};
use crate::fault::Checked;
use crate::plan::{ScanStep, ScatterStep, Step};
use crate::source::Span;
use einc_runtime::{DType, Scalar, Tensor};

const REALS: [DType; 4] = [DType::F64, DType::F32, DType::F16, DType::Bf16];
const INTS: [DType; 13] = [
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::I4,
    DType::I2,
    DType::U64,
    DType::U32,
    DType::U16,
    DType::U8,
    DType::U4,
    DType::U2,
    DType::U1,
];

/// One pointwise nest over 13 elements.
fn pointwise(inputs: &[DType], out: DType, value: impl Fn(Vec<E>) -> E, note: &str) {
    let mut build = Build::new();
    let i = build.axis("i", 13);
    let tensors: Vec<_> = inputs.iter().map(|&dtype| build.input(dtype, &[13])).collect();
    let output = build.output(out, &[13]);
    let reads = tensors.iter().enumerate().map(|(k, tensor)| build.at(k as u32, tensor, &[i])).collect();
    let view = build.view(&output, &[i]);
    let operands: Vec<_> = tensors.iter().collect();
    build.nest(&[i], &operands, vec![], value(reads), view);
    assert_agrees(&build.plan, note);
}

#[test]
fn functions_of_one_value() {
    use Unary::*;
    for (op, name) in Unary::ALL {
        let note = |dtype: DType| format!("{name} of {dtype}");
        let apply = |parts: Vec<E>| {
            // Into the range where every function is defined, and some of it where not.
            Expr::Unary(op, Box::new(parts[0].clone()))
        };
        if !matches!(op, Not | Popcount) {
            for dtype in REALS {
                pointwise(&[dtype], dtype, apply, &note(dtype));
            }
        }
        if matches!(op, Neg | Not | Abs | Sign | Floor | Round | Relu | Popcount) {
            for dtype in INTS {
                pointwise(&[dtype], dtype, apply, &note(dtype));
            }
        }
        let complex =
            !matches!(op, Not | Floor | Ceil | Round | Relu | Erf | Gelu | GeluTanh | Softplus | Popcount);
        if complex {
            for dtype in [DType::C128, DType::C64] {
                let out = if matches!(op, Real | Imag | Arg | Abs) { dtype.real_part() } else { dtype };
                // Away from branch cuts and poles, where rounding decides.
                let off = |parts: Vec<E>| {
                    let shift = Expr::Const(Scalar::Complex(0.3, 0.2), dtype);
                    Expr::Unary(op, Box::new(Expr::Sum(vec![parts[0].clone(), shift])))
                };
                pointwise(&[dtype], out, off, &note(dtype));
            }
        }
    }
    pointwise(&[DType::Bool], DType::Bool, |p| Expr::Unary(Not, Box::new(p[0].clone())), "not");
}

#[test]
fn functions_of_two_values() {
    use Binary::*;
    let every =
        [Div, FloorDiv, Rem, Pow, Atan2, Min, Max, BitAnd, BitOr, BitXor, Shl, Shr, Eq, Ne, Lt, Le, Gt, Ge];
    for op in every {
        let apply = |p: Vec<E>| Expr::Binary(op, Box::new(p[0].clone()), Box::new(p[1].clone()));
        let out = |dtype: DType| if op.is_comparison() { DType::Bool } else { dtype };
        let note = |dtype: DType| format!("{} of {dtype}", op.name());
        if !matches!(op, BitAnd | BitOr | BitXor | Shl | Shr) {
            for dtype in REALS {
                pointwise(&[dtype, dtype], out(dtype), apply, &note(dtype));
            }
        }
        if !matches!(op, Div | Atan2) {
            for dtype in INTS {
                pointwise(&[dtype, dtype], out(dtype), apply, &note(dtype));
            }
        }
        if matches!(op, Div | Pow | Eq | Ne) {
            for dtype in [DType::C128, DType::C64] {
                pointwise(&[dtype, dtype], out(dtype), apply, &note(dtype));
            }
        }
    }
    for op in [And, Or, Eq, Ne, Lt, Le, Gt, Ge, Min, Max, BitAnd, BitOr, BitXor] {
        let apply = |p: Vec<E>| Expr::Binary(op, Box::new(p[0].clone()), Box::new(p[1].clone()));
        pointwise(&[DType::Bool, DType::Bool], DType::Bool, apply, &format!("{} of bool", op.name()));
    }
}

#[test]
fn casts_between_all_types() {
    for from in DType::ALL {
        for to in DType::ALL {
            let note = format!("{from} to {to}");
            pointwise(&[from], to, |p| Expr::Cast(to, Box::new(p[0].clone())), &note);
        }
    }
    // Beyond the range, and not a number.
    let mut build = Build::new();
    let i = build.axis("i", 9);
    let a = build.input(DType::F32, &[9]);
    let out = build.output(DType::I32, &[9]);
    let value = Expr::Cast(DType::I32, Box::new(build.at(0, &a, &[i])));
    let view = build.view(&out, &[i]);
    build.nest(&[i], &[&a], vec![], value, view);
    let extreme = [f32::NAN, 1e30, -1e30, f32::INFINITY, -2.9, 2.9, 0.5, -0.5, 3e9];
    let result = build.run(&[&Tensor::from_slice(&[9], &extreme).unwrap()]).unwrap().remove(0);
    let wanted = [0, i32::MAX, i32::MIN, i32::MAX, -2, 2, 0, 0, i32::MAX];
    assert_eq!(result.as_slice::<i32>().unwrap(), wanted);
}

#[test]
fn an_f64_becomes_a_half_in_one_rounding() {
    // A hair above and below the ties of both types, where an f32 in between would stand on the tie.
    let mut values = vec![f64::NAN, 1e300, -1e300, 1e-300, 0.1, -0.0, 2.980232238769532e-8];
    for (bits, scale) in [(11, 1.0), (8, 1.0), (11, -3.0), (8, 7e4)] {
        for hair in [0.0, 2f64.powi(-30), -2f64.powi(-30)] {
            values.push((1.0 + 2f64.powi(-bits) + hair) * scale);
        }
    }
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let a = build.input(DType::F64, &[values.len() as u64]);
    let outs = [DType::F16, DType::Bf16].map(|dtype| build.output(dtype, &[values.len() as u64]));
    for out in &outs {
        let value = Expr::Cast(build.dtype(out.buffer), Box::new(build.at(0, &a, &[i])));
        let view = build.view(out, &[i]);
        build.nest(&[i], &[&a], vec![], value, view);
    }
    let results = build.run(&[&Tensor::from_slice(&[values.len() as u64], &values).unwrap()]).unwrap();
    // The nearest of all finite halves, the even one of two; halfway beyond the greatest counts as infinite.
    let nearest = |value: f64, all: &dyn Fn(u16) -> f64, top: f64| {
        if value.abs() >= top {
            return f64::INFINITY.copysign(value);
        }
        let finite = (0..=u16::MAX).filter(|&bits| all(bits).is_finite());
        let distance = |bits: u16| ((all(bits) - value).abs(), bits & 1);
        all(finite.min_by(|&a, &b| distance(a).partial_cmp(&distance(b)).unwrap()).unwrap())
    };
    for (k, &value) in values.iter().enumerate().skip(1) {
        let f16 = |bits| f64::from(half::f16::from_bits(bits));
        let bf16 = |bits| f64::from(half::bf16::from_bits(bits));
        let got = f64::from(results[0].as_slice::<half::f16>().unwrap()[k]);
        assert_eq!(got, nearest(value, &f16, 65520.0), "{value:e} as f16");
        let got = f64::from(results[1].as_slice::<half::bf16>().unwrap()[k]);
        assert_eq!(got, nearest(value, &bf16, 2f64.powi(127) * (2.0 - 2f64.powi(-8))), "{value:e} as bf16");
    }
    assert!(results[0].as_slice::<half::f16>().unwrap()[0].is_nan());
    assert!(results[1].as_slice::<half::bf16>().unwrap()[0].is_nan());
}

#[test]
fn half_width_floats_round_to_even() {
    let mut build = Build::new();
    let i = build.axis("i", 8);
    let a = build.input(DType::F32, &[8]);
    let outs = [DType::F16, DType::Bf16].map(|dtype| build.output(dtype, &[8]));
    for out in &outs {
        let value = Expr::Cast(build.dtype(out.buffer), Box::new(build.at(0, &a, &[i])));
        let view = build.view(out, &[i]);
        build.nest(&[i], &[&a], vec![], value, view);
    }
    let values =
        [1.0f32 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 65519.0, 65520.0, 6e-8, 2e-5, -0.0, f32::INFINITY];
    let results = build.run(&[&Tensor::from_slice(&[8], &values).unwrap()]).unwrap();
    for (k, &value) in values.iter().enumerate() {
        assert_eq!(
            results[0].as_slice::<half::f16>().unwrap()[k].to_bits(),
            half::f16::from_f32(value).to_bits()
        );
        assert_eq!(
            results[1].as_slice::<half::bf16>().unwrap()[k].to_bits(),
            half::bf16::from_f32(value).to_bits()
        );
    }
}

#[test]
fn maps_along_axes() {
    use AlongOp::*;
    for op in [Softmax, LogSoftmax, Normalize, CumSum, CumProd, Dft, Idft, Sort, ArgSort, TopK, ArgTopK] {
        let dtypes: &[DType] = match op {
            Dft | Idft => &[DType::C128, DType::C64],
            CumSum | CumProd => &[DType::F64, DType::F32, DType::I32, DType::C64],
            Normalize => &[DType::F64, DType::F32, DType::C128],
            Softmax | LogSoftmax => &REALS,
            _ => &[DType::F32, DType::F16, DType::I64, DType::U8],
        };
        for &dtype in dtypes {
            for length in [1, 2, 7, 16, 37] {
                let mut build = Build::new();
                let (i, j) = (build.axis("i", 3), build.axis("j", length));
                let taken = if matches!(op, TopK | ArgTopK) { length.min(5) } else { length };
                let k = build.axis("k", taken);
                let renames = matches!(op, Dft | Idft | Sort | ArgSort | TopK | ArgTopK);
                let out_axis = if renames { k } else { j };
                let a = build.input(dtype, &[3, length]);
                let out_dtype = if matches!(op, ArgSort | ArgTopK) { DType::I64 } else { dtype };
                let out = build.output(out_dtype, &[3, taken]);
                let body = build.at(0, &a, &[i, j]);
                let view = build.view(&out, &[i, out_axis]);
                build.along(op, &[i], (&[j], &[out_axis]), &a, body, view);
                assert_agrees(&build.plan, &format!("{} of {dtype} over {length}", op.name()));
            }
        }
    }
}

#[test]
fn small_and_huge_numbers_are_normalized() {
    let scales =
        [(DType::F64, [1e-300, 1e-200, 1.0, 1e200, 1e306]), (DType::F32, [1e-36, 1e-30, 1.0, 1e30, 1e37])];
    for (dtype, scales) in scales {
        // One row after the other, and rows side by side.
        for (scale, beside) in scales.into_iter().flat_map(|scale| [(scale, 1), (scale, 40)]) {
            let mut build = Build::new();
            let (k, j) = (build.axis("k", 4), build.axis("j", beside));
            let a = build.input(dtype, &[4, beside]);
            let out = build.output(dtype, &[4, beside]);
            let body = build.at(0, &a, &[k, j]);
            let view = build.view(&out, &[k, j]);
            build.along(AlongOp::Normalize, &[j], (&[k], &[k]), &a, body, view);
            let mut input = Tensor::zeros(dtype, &[4, beside]).unwrap();
            for at in 0..input.elems() {
                let value = [3.0, -4.0, 0.0, 12.0][at / beside as usize] * scale;
                input.set(at, Scalar::Real(value));
            }
            let result = build.run(&[&input]).unwrap().remove(0);
            for at in 0..input.elems() {
                let wanted = [3.0, -4.0, 0.0, 12.0][at / beside as usize] / 13.0;
                let error = (result.get(at).re() - wanted).abs();
                assert!(
                    error <= 1e-6 && (dtype == DType::F32 || error <= 1e-15),
                    "{dtype} {scale:e} {at}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn maps_along_an_outer_axis() {
    use AlongOp::*;
    for op in [Softmax, LogSoftmax, Normalize] {
        for dtype in [DType::F64, DType::F32, DType::F16] {
            // Rows side by side in one block, in several with a rest, few values, and too few rows to be blocks.
            for (rows, length, beside) in
                [(1, 37, 32), (3, 5, 70), (2, 4, 600), (1, 2000, 50), (2, 3, 40), (2, 6, 31)]
            {
                let mut build = Build::new();
                let (i, k, j) = (build.axis("i", rows), build.axis("k", length), build.axis("j", beside));
                let a = build.input(dtype, &[rows, length, beside]);
                let out = build.output(dtype, &[rows, length, beside]);
                let body =
                    Expr::Sum(vec![build.at(0, &a, &[i, k, j]), Expr::Cast(dtype, Box::new(Expr::Index(k)))]);
                let view = build.view(&out, &[i, k, j]);
                build.along(op, &[i, j], (&[k], &[k]), &a, body, view);
                assert_agrees(
                    &build.plan,
                    &format!("{} of {dtype} over {rows} {length} {beside}", op.name()),
                );
            }
        }
    }
}

#[test]
fn softmax_over_two_outer_axes_with_odd_values() {
    let mut build = Build::new();
    let (i, j, k) = (build.axis("i", 9), build.axis("j", 5), build.axis("k", 100));
    let a = build.input(DType::F64, &[9, 5, 100]);
    let out = build.output(DType::F64, &[9, 5, 100]);
    let body = build.at(0, &a, &[i, j, k]);
    let view = build.view(&out, &[i, j, k]);
    build.along(AlongOp::Softmax, &[k], (&[i, j], &[i, j]), &a, body, view);
    let mut input = Tensor::zeros(DType::F64, &[9, 5, 100]).unwrap();
    for at in 0..4500 {
        let value = match at % 100 {
            // Nothing but the lowest, one NaN, one infinity, and huge numbers.
            0 => f64::NEG_INFINITY,
            1 if at == 1 => f64::NAN,
            2 if at == 302 => f64::INFINITY,
            3 => 1e300 * (at / 100) as f64,
            column => ((at * 7919) % 1009) as f64 / 100.0 - column as f64,
        };
        input.set(at, Scalar::Real(value));
    }
    let results = build.run(&[&input]).unwrap();
    let softmax = |column: usize| -> Vec<f64> {
        let values: Vec<f64> = (0..45).map(|row| input.get(row * 100 + column).re()).collect();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = values.iter().map(|value| (value - most).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / total).collect()
    };
    for column in 0..100 {
        let expected = softmax(column);
        for (row, &expected) in expected.iter().enumerate() {
            let found = results[0].get(row * 100 + column).re();
            match column {
                0 => assert_eq!(found, 0.0),
                1 => assert!(found.is_nan(), "{found}"),
                2 => assert!(found.is_nan() || found == 0.0, "{found}"),
                _ => assert!((found - expected).abs() <= 1e-14, "{row} {column}: {found}, not {expected}"),
            }
        }
    }
}

#[test]
fn functions_in_line_are_those_over_arrays() {
    // Few elements are computed in line, many by calls for arrays.
    use Unary::*;
    let bits = |op: Unary, dtype: DType, extent: u64| {
        let mut build = Build::new();
        let i = build.axis("i", extent);
        let a = build.input(dtype, &[extent]);
        let output = build.output(dtype, &[extent]);
        let read = build.at(0, &a, &[i]);
        let view = build.view(&output, &[i]);
        build.nest(&[i], &[&a], vec![], Expr::Unary(op, Box::new(read)), view);
        let mut input = Tensor::zeros(dtype, &[extent]).unwrap();
        for at in 0..extent as usize {
            input.set(at, Scalar::Real(0.37 * at as f64 - if op == Log { -0.01 } else { 2.1 }));
        }
        build.run(&[&input]).unwrap()[0].bytes()[..13 * dtype.bytes()].to_vec()
    };
    for op in [Exp, Log, Tanh, Sigmoid, Silu, GeluTanh, Softplus, Erf, Gelu] {
        for dtype in [DType::F32, DType::F64] {
            if dtype == DType::F32 || !matches!(op, Erf | Gelu) {
                assert_eq!(bits(op, dtype, 13), bits(op, dtype, 100), "{op:?} of {dtype}");
            }
        }
    }
}

#[test]
fn softmax_over_two_axes_with_threads() {
    let mut build = Build::new();
    let (i, j, k) = (build.axis("i", 64), build.axis("j", 33), build.axis("k", 40));
    let a = build.input(DType::F32, &[64, 33, 40]);
    let out = build.output(DType::F32, &[40, 64, 33]);
    let body = build.at(0, &a, &[i, j, k]);
    let view = build.view(&out, &[k, i, j]);
    build.along(AlongOp::Softmax, &[i], (&[j, k], &[j, k]), &a, body, view);
    assert_agrees(&build.plan, "softmax over two axes");
    let inputs = super::random::inputs(&build.plan);
    build.run(&[&inputs[0]]).unwrap();
}

/// `out[t[i], j] += a[i, j]`.
fn scatter(outside: Outside<crate::plan::Source>, positions: &[i64], columns: u64) -> (Build, Tensor) {
    let rows = positions.len() as u64;
    let mut build = Build::new();
    let (i, j) = (build.axis("i", rows), build.axis("j", columns));
    let p = build.axis("p", 4);
    let t = build.input(DType::I64, &[rows]);
    let a = build.input(DType::F32, &[rows, columns]);
    let out = build.output(DType::F32, &[4, columns]);
    let view = build.view(&out, &[p, j]);
    build.nest(&[p, j], &[], vec![], Expr::number(1.0, DType::F32), view);
    let indices = vec![build.at(0, &t, &[i]), Expr::Index(j)];
    let value = build.at(1, &a, &[i, j]);
    build.plan.steps.push(Step::Scatter(ScatterStep {
        axes: vec![i, j],
        operands: vec![t, a],
        indices,
        outside,
        value,
        out,
        place: Span { file: 0, start: 5, end: 9 },
    }));
    (build, Tensor::from_slice(&[rows], positions).unwrap())
}

#[test]
fn scatters_add_in_order() {
    for columns in [1, 3, 4, 11] {
        let positions = [2, 0, 2, 3, 2];
        let (build, t) = scatter(Outside::Checked, &positions, columns);
        let a = Tensor::from_slice(&[5, columns], &(0..5 * columns).map(|k| k as f32).collect::<Vec<_>>())
            .unwrap();
        let result = build.run(&[&t, &a]).unwrap().remove(0);
        for j in 0..columns as usize {
            for p in 0..4 {
                let wanted: usize = positions
                    .iter()
                    .enumerate()
                    .filter(|at| *at.1 == p)
                    .map(|at| at.0 * columns as usize + j)
                    .sum();
                let got = result.as_slice::<f32>().unwrap()[p as usize * columns as usize + j];
                assert_eq!(got, 1.0 + wanted as f32);
            }
        }
    }
}

#[test]
fn indices_that_leave_are_reported_or_moved() {
    let a = Tensor::from_slice(&[3, 4], &[1f32; 12]).unwrap();
    let (build, t) = scatter(Outside::Checked, &[1, 7, 2], 4);
    let fault = build.run(&[&t, &a]).unwrap_err();
    assert_eq!((fault.checked, fault.extent, fault.value, fault.place.start), (Checked::Index(0), 4, 7, 5));
    let (build, t) = scatter(Outside::Clamp, &[-5, 7, 2], 4);
    let result = build.run(&[&t, &a]).unwrap().remove(0);
    let column: Vec<f32> = (0..4).map(|p| result.as_slice::<f32>().unwrap()[p * 4]).collect();
    assert_eq!(column, [2.0, 1.0, 2.0, 2.0]);

    // E[t[i], j], by all ways to leave.
    for (outside, wanted) in [
        (Outside::Checked, None),
        (Outside::Clamp, Some([0.0, 20.0, 10.0])),
        (Outside::Else(Box::new(Expr::number(-1.0, DType::F64))), Some([-1.0, -1.0, 10.0])),
    ] {
        let mut build = Build::new();
        let (i, j) = (build.axis("i", 3), build.axis("j", 2));
        let (e, t) = (build.input(DType::F64, &[3, 2]), build.input(DType::I64, &[3]));
        let out = build.output(DType::F64, &[3, 2]);
        let row = build.at(1, &t, &[i]);
        let value = build.read(0, &e, vec![row, Expr::Index(j)], outside);
        let view = build.view(&out, &[i, j]);
        build.nest(&[i, j], &[&e, &t], vec![], value, view);
        let table = Tensor::from_slice(&[3, 2], &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0]).unwrap();
        let t = Tensor::from_slice(&[3], &[-1i64, 5, 1]).unwrap();
        match (build.run(&[&table, &t]), wanted) {
            (Ok(result), Some(wanted)) => {
                let column: Vec<f64> = (0..3).map(|k| result[0].as_slice::<f64>().unwrap()[2 * k]).collect();
                assert_eq!(column, wanted);
            }
            (Err(fault), None) => {
                assert_eq!(
                    (fault.tensor.as_str(), fault.checked, fault.extent, fault.value),
                    ("t0", Checked::Index(0), 3, -1)
                );
            }
            (result, wanted) => panic!("{result:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn faults_in_parallel_loops_are_the_first() {
    let count = 1 << 19;
    let mut build = Build::new();
    let i = build.axis("i", count);
    let (e, t) = (build.input(DType::F64, &[3]), build.input(DType::I64, &[count]));
    let out = build.output(DType::F64, &[count]);
    let row = build.at(1, &t, &[i]);
    let value = build.read(0, &e, vec![row], Outside::Checked);
    let view = build.view(&out, &[i]);
    build.nest(&[i], &[&e, &t], vec![], value, view);
    let mut positions = vec![1i64; count as usize];
    positions[300_000] = 3;
    positions[400_000] = -9;
    let table = Tensor::from_slice(&[3], &[0.0, 1.0, 2.0]).unwrap();
    let t = Tensor::from_slice(&[count], &positions).unwrap();
    assert_eq!(build.run(&[&table, &t]).unwrap_err().value, 3);
}

#[test]
fn scans_run_in_order() {
    // s[t, i] = s[t-1, i] * 2 + x[t, i], forward and reversed, with the state in the output.
    for reversed in [false, true] {
        let mut build = Build::new();
        let (t, i) = (build.axis("t", 9), build.axis("i", 5));
        let x = build.input(DType::F64, &[9, 5]);
        let out = build.output(DType::F64, &[9, 5]);
        let before = Expr::Sum(vec![Expr::Index(t), Expr::int(if reversed { 1 } else { -1 })]);
        let first = Outside::Else(Box::new(Expr::number(1.0, DType::F64)));
        let state = build.read(1, &out, vec![before, Expr::Index(i)], first);
        let value = Expr::Sum(vec![
            Expr::Product(vec![state, Expr::number(2.0, DType::F64)]),
            build.at(0, &x, &[t, i]),
        ]);
        let view = build.view(&out, &[t, i]);
        build.nest(&[i], &[&x, &out], vec![], value, view);
        let body = std::mem::take(&mut build.plan.steps);
        build.plan.steps.push(Step::Scan(ScanStep {
            axis: t,
            reversed,
            apart: false,
            shared: None,
            body,
            place: Span::default(),
        }));
        assert_agrees(&build.plan, &format!("scan, reversed {reversed}"));
    }
}

#[test]
fn several_reductions_in_one_nest() {
    for extent in [1, 4, 30] {
        let mut build = Build::new();
        let (i, j) = (build.axis("i", 6), build.axis("j", extent));
        let a = build.input(DType::F32, &[6, extent]);
        let out = build.output(DType::F32, &[6]);
        let x = build.at(0, &a, &[i, j]);
        let minus = Expr::Unary(Unary::Neg, Box::new(reduced(0, DType::F32)));
        let square = |e: E| Expr::Product(vec![e.clone(), e]);
        let reductions = vec![
            reduction(ReduceOp::Max, &[j], x.clone()),
            reduction(ReduceOp::Sum, &[j], square(Expr::Sum(vec![x, minus]))),
        ];
        let view = build.view(&out, &[i]);
        build.nest(&[i], &[&a], reductions, reduced(1, DType::F32), view);
        assert_agrees(&build.plan, &format!("two reductions over {extent}"));
    }
}

#[test]
fn functions_in_line_are_accurate() {
    let special = [
        0.0,
        -0.0,
        1.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-30,
        -1e-30,
        1e-310,
        88.7,
        89.5,
        709.0,
        711.0,
    ];
    let mut values: Vec<f64> = special.into_iter().chain(special.map(|x| -x)).collect();
    for (k, x) in super::build::noise(4000, 9).into_iter().enumerate() {
        values.push(x * [0.01, 1.0, 5.0, 30.0, 100.0, 800.0][k % 6]);
    }
    let count = values.len() as u64;
    for dtype in [DType::F64, DType::F32] {
        let mut given = Tensor::zeros(dtype, &[count]).unwrap();
        values.iter().enumerate().for_each(|(k, &x)| given.set(k, Scalar::Real(x)));
        for (op, units, slack) in [
            (Unary::Exp, 4.0, 0.0),
            (Unary::Log, 4.0, 0.0),
            (Unary::Tanh, 4.0, 0.0),
            (Unary::Sigmoid, 4.0, 0.0),
            (Unary::Silu, 8.0, 0.0),
            (Unary::GeluTanh, 8.0, 1e-6),
            (Unary::Softplus, 8.0, 0.0),
            (Unary::Erf, 2.0, 2e-7),
            (Unary::Gelu, 2.0, 2e-7),
        ] {
            let mut build = Build::new();
            let i = build.axis("i", count);
            let a = build.input(dtype, &[count]);
            let out = build.output(dtype, &[count]);
            let value = Expr::Unary(op, Box::new(build.at(0, &a, &[i])));
            let view = build.view(&out, &[i]);
            build.nest(&[i], &[&a], vec![], value, view);
            let result = build.run(&[&given]).unwrap().remove(0);
            let (digit, least) = match dtype {
                DType::F64 => (f64::EPSILON, 1e-300),
                _ => (f64::from(f32::EPSILON), 1e-36),
            };
            for k in 0..count as usize {
                let (Scalar::Real(x), Scalar::Real(found)) = (given.get(k), result.get(k)) else {
                    panic!("reals")
                };
                let wanted = crate::interpret::value::unary(op, Scalar::Real(x), DType::F64);
                let mut wanted = crate::interpret::value::real(wanted);
                if dtype == DType::F32 {
                    wanted = f64::from(wanted as f32);
                }
                let slack = units * digit * wanted.abs() + slack + least;
                let near =
                    found == wanted || (found.is_nan() && wanted.is_nan()) || (found - wanted).abs() <= slack;
                assert!(near, "{} of {x:e}: {dtype}: {found:e}, not {wanted:e}", op.name());
            }
        }
    }
}
