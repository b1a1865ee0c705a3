//! Maps along axes.

use super::*;

fn row(op: AlongOp, values: &[f64], length: u64) -> Vec<Scalar> {
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let o = if length == values.len() as u64 { i } else { build.axis("o", length) };
    let x = build.reals(&[values.len() as u64], values);
    let y = build.define(&[o], along(op, &[i], &[o], real(x, &[i])));
    build.run(y)
}

fn reals(values: Vec<Scalar>) -> Vec<f64> {
    values.into_iter().map(Scalar::re).collect()
}

fn ints(values: Vec<Scalar>) -> Vec<i128> {
    values.into_iter().map(Scalar::int).collect()
}

#[test]
fn softmax_and_its_logarithm() {
    let x = [1.0, 2.0, 4.0];
    let sum: f64 = x.iter().map(|x: &f64| x.exp()).sum();
    let expected: Vec<f64> = x.iter().map(|x| x.exp() / sum).collect();
    assert_close(&reals(row(AlongOp::Softmax, &x, 3)), &expected, 1e-15);
    let expected: Vec<f64> = x.iter().map(|x| x - sum.ln()).collect();
    assert_close(&reals(row(AlongOp::LogSoftmax, &x, 3)), &expected, 1e-15);
    let low = f64::NEG_INFINITY;
    assert_eq!(reals(row(AlongOp::Softmax, &[low, low], 2)), [0.0, 0.0]);
    assert_eq!(reals(row(AlongOp::Softmax, &[low, 5.0], 2)), [0.0, 1.0]);
    assert_eq!(reals(row(AlongOp::Softmax, &[1000.0, 1000.0], 2)), [0.5, 0.5]);
    assert!(reals(row(AlongOp::Softmax, &[f64::NAN, 0.0], 2)).iter().all(|x| x.is_nan()));
}

#[test]
fn several_axes_are_taken_jointly() {
    let mut build = Build::new();
    let (b, i, j) = (build.axis("b", 2), build.axis("i", 2), build.axis("j", 2));
    let x = build.reals(&[2, 2, 2], &[0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
    let body = || real(x, &[b, i, j]);
    let soft = build.define(&[b, i, j], along(AlongOp::Softmax, &[i, j], &[i, j], body()));
    let unit = build.define(&[b, i, j], along(AlongOp::Normalize, &[i, j], &[i, j], body()));
    let pair = Expr::Sum(vec![real(soft, &[b, i, j]), real(unit, &[b, i, j])]);
    let y = build.define(&[b, i, j], pair);
    let sum = 3f64.exp() + 4f64.exp() + 2.0;
    let expected =
        [0.25, 0.25, 0.25, 0.25, 3f64.exp() / sum + 0.6, 4f64.exp() / sum + 0.8, 1.0 / sum, 1.0 / sum];
    assert_close(&build.run_reals(y), &expected, 1e-15);
}

#[test]
fn running_sums_and_products() {
    assert_eq!(reals(row(AlongOp::CumSum, &[1.0, 2.0, 3.0], 3)), [1.0, 3.0, 6.0]);
    assert_eq!(reals(row(AlongOp::CumProd, &[2.0, -3.0, 0.5], 3)), [2.0, -6.0, -3.0]);
    let mut build = Build::new();
    let i = build.axis("i", 2);
    let x = build.input(DType::I8, &[2], &[Scalar::Int(100), Scalar::Int(100)]);
    let y = build.define(&[i], along(AlongOp::CumSum, &[i], &[i], read(x, DType::I8, &[i])));
    assert_eq!(build.run_ints(y), [100, -56]);
}

#[test]
fn a_free_occurrence_outside_is_the_position_of_the_result() {
    // cumsum[i](x[i]) - x[i] is the exclusive sum.
    let mut build = Build::new();
    let i = build.axis("i", 3);
    let x = build.ints(&[3], &[5, 7, 9]);
    let inclusive = along(AlongOp::CumSum, &[i], &[i], integer(x, &[i]));
    let y = build.define(&[i], Expr::Sum(vec![inclusive, unary(Unary::Neg, integer(x, &[i]))]));
    assert_eq!(build.run_ints(y), [0, 5, 12]);
}

#[test]
fn sorting_and_selecting() {
    let nan = f64::NAN;
    assert_eq!(reals(row(AlongOp::Sort, &[3.0, 1.0, 2.0], 3)), [1.0, 2.0, 3.0]);
    let sorted = reals(row(AlongOp::Sort, &[3.0, nan, 2.0], 3));
    assert!(sorted[..2] == [2.0, 3.0] && sorted[2].is_nan());
    assert_eq!(ints(row(AlongOp::ArgSort, &[2.0, nan, 1.0, 2.0], 4)), [2, 0, 3, 1]);
    assert_eq!(reals(row(AlongOp::TopK, &[3.0, 1.0, 2.0], 2)), [3.0, 2.0]);
    assert!(reals(row(AlongOp::TopK, &[3.0, nan, 2.0], 2))[0].is_nan());
    assert_eq!(ints(row(AlongOp::ArgTopK, &[2.0, 5.0, 5.0, 1.0], 3)), [1, 2, 0]);
    assert_eq!(ints(row(AlongOp::ArgTopK, &[2.0, nan, 5.0], 2)), [1, 2]);
}

#[test]
fn fourier_transforms() {
    let mut build = Build::new();
    let (t, f, s) = (build.axis("t", 5), build.axis("f", 5), build.axis("s", 5));
    let signal = [1.0, -2.0, 0.5, 3.0, 0.0];
    let x = build.reals(&[5], &signal);
    let transformed = along(AlongOp::Dft, &[t], &[f], cast(DType::C128, real(x, &[t])));
    let spectrum = build.define(&[f], transformed);
    let back = along(AlongOp::Idft, &[f], &[s], read(spectrum, DType::C128, &[f]));
    let again = build.define(&[s], back);
    build.program.outputs.push(("spectrum".to_string(), spectrum));
    build.program.outputs.push(("again".to_string(), again));
    let inputs: Vec<&Tensor> = build.inputs.iter().collect();
    let results = run(&build.program, &inputs).unwrap();
    for f in 0..5 {
        let (mut re, mut im) = (0.0, 0.0);
        for (t, x) in signal.iter().enumerate() {
            let angle = -std::f64::consts::TAU * (t * f) as f64 / 5.0;
            re += x * angle.cos();
            im += x * angle.sin();
        }
        let found = results[0].get(f);
        assert_close(&[found.re(), found.im()], &[re, im], 1e-14);
    }
    for (s, &x) in signal.iter().enumerate() {
        let found = results[1].get(s);
        assert_close(&[found.re(), found.im()], &[x, 0.0], 1e-15);
    }
}

#[test]
fn a_short_transform_has_exact_quarter_turns() {
    let mut build = Build::new();
    let (t, f) = (build.axis("t", 4), build.axis("f", 3));
    let x = build.reals(&[4], &[1.0, 2.0, 3.0, 4.0]);
    let y = build.define(&[f], along(AlongOp::Dft, &[t], &[f], cast(DType::C128, real(x, &[t]))));
    let expected = [Scalar::Complex(10.0, 0.0), Scalar::Complex(-2.0, 2.0), Scalar::Complex(-2.0, 0.0)];
    assert_eq!(build.run(y), expected);
}

#[test]
fn normalizing_nothing_gives_nothing() {
    assert_eq!(reals(row(AlongOp::Normalize, &[0.0, 0.0], 2)), [0.0, 0.0]);
    for scale in [2f64.powi(-1060), 2f64.powi(-600), 2f64.powi(1000)] {
        // Powers of two change no digit.
        assert_eq!(reals(row(AlongOp::Normalize, &[3.0 * scale, 4.0 * scale], 2)), [0.6, 0.8]);
    }
    let mut build = Build::new();
    let i = build.axis("i", 2);
    let x = build.input(DType::C128, &[2], &[Scalar::Complex(0.0, 3.0), Scalar::Complex(-4.0, 0.0)]);
    let y = build.define(&[i], along(AlongOp::Normalize, &[i], &[i], read(x, DType::C128, &[i])));
    assert_eq!(build.run(y), [Scalar::Complex(0.0, 0.6), Scalar::Complex(-0.8, 0.0)]);
}
