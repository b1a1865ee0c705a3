use super::evaluation::evaluations;
use super::*;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Errors at degrees 7, 15, 31 and 63, as far as they are above rounding: the figures of the design, to one digit.
#[test]
fn errors_of_interpolation_are_as_known() {
    type Case = (&'static str, fn(f64) -> f64, (f64, f64), &'static [f64]);
    let cases: &[Case] = &[
        ("sigmoid", sigmoid, (-8.0, 8.0), &[3e-2, 1e-3, 3e-6, 1e-11]),
        ("silu", |x| x * sigmoid(x), (-8.0, 8.0), &[2e-1, 9e-3, 2e-5, 9e-11]),
        ("tanh", f64::tanh, (-8.0, 8.0), &[2e-1, 6e-2, 3e-3, 5e-6]),
        ("exp", f64::exp, (-8.0, 0.0), &[6e-4, 2e-10]),
        ("inverse", f64::recip, (1.0, 16.0), &[3e-2, 6e-4, 2e-7]),
        ("rsqrt", |x| 1.0 / x.sqrt(), (0.1, 10.0), &[6e-1, 1e-1, 3e-3, 4e-6]),
        ("relu", |x| x.max(0.0), (-8.0, 8.0), &[5e-1, 3e-1, 1e-1, 6e-2]),
    ];
    for (name, function, range, errors) in cases {
        for (degree, known) in [7, 15, 31, 63].iter().zip(*errors) {
            let polynomial = Polynomial::interpolate(function, *range, *degree).unwrap();
            let ratio = polynomial.error / known;
            assert!((0.5..1.6).contains(&ratio), "{name} {degree}: {} and not {known}", polynomial.error);
        }
    }
}

#[test]
fn the_told_error_is_never_passed() {
    for degree in [3, 8, 15, 40] {
        for polynomial in [
            Polynomial::interpolate(&f64::tanh, (-5.0, 3.0), degree).unwrap(),
            Polynomial::minimax(&f64::tanh, (-5.0, 3.0), degree).unwrap(),
        ] {
            let worst = (0..=100_000).map(|k| -5.0 + 8.0 * f64::from(k) / 100_000.0);
            let worst = worst.map(|x| (x.tanh() - polynomial.at(x)).abs()).fold(0.0, f64::max);
            assert!(worst <= polynomial.error && worst > polynomial.error * 0.97, "{degree}: {worst}");
        }
    }
}

#[test]
fn minimax_levels_the_error() {
    // The minimax error of |x| on (-1, 1) is near Bernstein's 0.2802 / degree.
    let even = Polynomial::minimax(&f64::abs, (-1.0, 1.0), 20).unwrap();
    assert!((0.0137..0.0142).contains(&even.error), "{}", even.error);
    // Known in closed form: x^3 by a line or a parabola on (-1, 1) has error 1/4.
    let line = Polynomial::minimax(&|x| x * x * x, (-1.0, 1.0), 2).unwrap();
    assert!((0.2499..0.2526).contains(&line.error), "{}", line.error);
    for degree in [5, 9, 15, 31] {
        let plain = Polynomial::interpolate(&sigmoid, (-8.0, 8.0), degree).unwrap();
        let better = Polynomial::minimax(&sigmoid, (-8.0, 8.0), degree).unwrap();
        assert!(better.error < plain.error, "{degree}");
    }
}

#[test]
fn odd_functions_have_their_best_polynomials() {
    // By linear programming on 4,001 points: 0.15905 with the powers 1, 3, 5, 7.
    let polynomial = Polynomial::minimax(&f64::tanh, (-8.0, 8.0), 7).unwrap();
    assert!((0.159..0.1607).contains(&polynomial.error), "{}", polynomial.error);
}

#[test]
fn exact_polynomials_are_exact() {
    let cube = Polynomial::exact(&[1.0, -2.0, 0.0, 0.5], (-3.0, 4.0)).unwrap();
    for x in [-3.0f64, -1.0, 0.0, 2.5, 4.0] {
        assert!((cube.at(x) - (1.0 - 2.0 * x + 0.5 * x.powi(3))).abs() < 1e-13);
    }
    assert_eq!(cube.error, 0.0);
    assert_eq!(Polynomial::exact(&[], (0.0, 1.0)).unwrap().at(0.5), 0.0);
}

#[test]
fn what_is_no_polynomial_is_refused() {
    let log = |x: f64| x.ln();
    assert_eq!(Polynomial::interpolate(&log, (1.0, 1.0), 3), Err(ApproximationError::Range));
    assert_eq!(Polynomial::interpolate(&log, (1.0, f64::INFINITY), 3), Err(ApproximationError::Range));
    assert_eq!(Polynomial::interpolate(&log, (1.0, 2.0), 512), Err(ApproximationError::Degree));
    assert!(
        matches!(Polynomial::interpolate(&log, (-1.0, 2.0), 3), Err(ApproximationError::NotFinite(x)) if x < 0.0)
    );
}

#[test]
fn a_stray_argument_explodes() {
    let function =
        Polynomial { range: (-1.0, 1.0), coefficients: [vec![0.0; 31], vec![1.0]].concat(), error: 0.0 };
    assert!((8e3..1e4).contains(&function.beyond(0.05)), "{}", function.beyond(0.05));
}

/// Products and levels of dense polynomials: the counts of the design, and no worse between them.
#[test]
fn evaluations_take_as_many_products_as_known() {
    let counts = |degree: usize| {
        let coefficients: Vec<f64> = (0..=degree).map(|j| 1.0 / (j as f64 + 1.5)).collect();
        let polynomial = Polynomial { range: (-1.0, 1.0), coefficients, error: 0.0 };
        let found = evaluations(&polynomial);
        for evaluation in &found {
            for x in [-1.0, -0.3, 0.0, 0.77, 1.0] {
                assert!((evaluation.at(x) - polynomial.at(x)).abs() < 1e-12, "{degree} {x}");
            }
        }
        found.iter().map(|evaluation| (evaluation.products, evaluation.levels)).collect::<Vec<_>>()
    };
    for (degree, shallow, lean) in [
        (7, (5, 3), (4, 4)),
        (15, (10, 4), (7, 5)),
        (31, (19, 5), (11, 6)),
        (63, (36, 6), (16, 7)),
        (127, (69, 7), (24, 8)),
    ] {
        let found = counts(degree);
        assert!(found.contains(&shallow), "{degree}: {found:?}");
        assert!(found.iter().any(|count| count.0 <= lean.0 && count.1 <= lean.1), "{degree}: {found:?}");
    }
    for degree in 0..70 {
        let found = counts(degree);
        let least = (degree + 1).next_power_of_two().ilog2() as usize;
        assert_eq!(found[0].1, least, "{degree}: {found:?}");
    }
}

#[test]
fn even_functions_take_fewer_products_and_odd_ones_no_more() {
    let counts = |function: &dyn Fn(f64) -> f64| {
        let polynomial = Polynomial::interpolate(function, (-4.0, 4.0), 15).unwrap();
        let found = evaluations(&polynomial);
        assert!(found.iter().all(|evaluation| (evaluation.at(1.3) - polynomial.at(1.3)).abs() < 1e-12));
        (polynomial.coefficients, found.iter().map(|e| (e.levels, e.products)).collect::<Vec<_>>())
    };
    let (_, dense) = counts(&f64::exp);
    let (even_coefficients, even) = counts(&f64::cos);
    let (odd_coefficients, odd) = counts(&f64::tanh);
    assert!(even_coefficients.iter().skip(1).step_by(2).all(|c| *c == 0.0));
    assert!(odd_coefficients.iter().step_by(2).all(|c| *c == 0.0));
    assert_eq!(dense, [(4, 10), (5, 7)]);
    assert_eq!(odd, dense);
    assert_eq!(even, [(4, 6)]);
}

/// Bounds that are proved are above what any of many samples shows, and not far.
#[test]
fn proved_bounds_hold_and_are_close() {
    use crate::expr::Unary;
    type Case = (Unary, (f64, f64), &'static [usize]);
    let cases: &[Case] = &[
        (Unary::Sigmoid, (-8.0, 8.0), &[3, 7, 15, 31]),
        (Unary::Tanh, (-5.0, 3.0), &[7, 15, 31]),
        (Unary::Erf, (-3.0, 3.0), &[7, 15]),
        (Unary::Gelu, (-6.0, 6.0), &[7, 15, 31]),
        (Unary::GeluTanh, (-6.0, 6.0), &[7, 15, 31]),
        (Unary::Silu, (-6.0, 6.0), &[7, 15, 31]),
        (Unary::Softplus, (-6.0, 6.0), &[7, 15]),
        (Unary::Relu, (-4.0, 5.0), &[7, 15, 63]),
        (Unary::Abs, (-1.0, 2.0), &[6, 20]),
        (Unary::Exp, (-8.0, 0.0), &[7, 12]),
        (Unary::Expm1, (-1.0, 1.0), &[5]),
        (Unary::Log, (0.5, 4.0), &[5, 11]),
        (Unary::Log1p, (-0.5, 4.0), &[5, 11]),
        (Unary::Sqrt, (0.0, 1.0), &[7, 31]),
        (Unary::Rsqrt, (0.1, 10.0), &[15, 63]),
        (Unary::Sin, (-4.0, 4.0), &[7, 11]),
        (Unary::Cos, (-4.0, 4.0), &[6, 10]),
        (Unary::Tan, (-1.4, 1.0), &[9, 15]),
        (Unary::Tan, (2.0, 4.0), &[9, 15]),
        (Unary::Asin, (-1.0, 1.0), &[7, 31]),
        (Unary::Acos, (-0.5, 1.0), &[7, 31]),
        (Unary::Atan, (-3.0, 5.0), &[7, 15]),
        (Unary::Sinh, (-2.0, 1.0), &[5, 9]),
        (Unary::Cosh, (-2.0, 1.0), &[5, 9]),
    ];
    for (op, range, degrees) in cases {
        let function = function::of(*op).unwrap();
        for &degree in *degrees {
            let polynomial = Polynomial::minimax(&function.value, *range, degree).unwrap();
            let bound = polynomial.bounded(&function).unwrap();
            let at = |k: u32| range.0 + (range.1 - range.0) * f64::from(k) / 200_000.0;
            let worst = (0..=200_000).map(at).map(|x| ((function.value)(x) - bound.at(x)).abs());
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= bound.error, "{op:?} {degree}: {worst} above {}", bound.error);
            // At the end of a root's range the chord alone bounds it.
            let close = if matches!(op, Unary::Sqrt | Unary::Asin | Unary::Acos) { 1.2 } else { 1.05 };
            assert!(bound.error <= worst * close + 1e-8, "{op:?} {degree}: {worst}, bound {}", bound.error);
        }
    }
    let pole = function::of(Unary::Tan).unwrap();
    let through = Polynomial { range: (1.0, 2.0), coefficients: vec![0.0, 1.0], error: 0.0 };
    assert!(matches!(through.bounded(&pole), Err(ApproximationError::NotFinite(_))));
}

/// What a program makes of an argument that is the same in all slots.
fn run(program: &crate::slots::Slots, x: f64) -> f64 {
    use crate::slots::Op;
    let mut values: Vec<f64> = Vec::new();
    for (_, value) in program.values.iter() {
        let of = |id: crate::slots::ValueId| values[crate::id::Id::number(id)];
        values.push(match value.op {
            Op::Input(..) => x,
            Op::Add(a, b) => of(a) + of(b),
            Op::Sub(a, b) => of(a) - of(b),
            Op::Mul(a, b) => of(a) * of(b),
            Op::MulScalar(a, number) => of(a) * number,
            Op::AddScalar(a, number) => of(a) + number,
            Op::Relinearize(a) | Op::Rescale(a) | Op::Drop(a) => of(a),
            other => panic!("a polynomial has no {other:?}"),
        });
    }
    values[crate::id::Id::number(program.outputs[0].values[0])]
}

#[test]
fn lowered_polynomials_are_right_and_as_deep_as_planned() {
    use crate::slots::{Builder, Output, Packing, Rest};
    let packing = std::sync::Arc::new(Packing {
        axes: Vec::new(),
        outer: Vec::new(),
        inner: Vec::new(),
        access: Vec::new(),
        shape: Vec::new(),
        rest: Rest::Unknown,
        padding: Rest::Zero,
    });
    for degree in 1..=40usize {
        let coefficients: Vec<f64> = (0..=degree).map(|j| 1.0 / (j as f64 + 1.5)).collect();
        let dense = Polynomial { range: (-1.0, 1.0), coefficients, error: 0.0 };
        for evaluation in evaluations(&dense) {
            let mut b = Builder::new(4);
            let x = b.input("x", &[], &packing)[0];
            let value = polynomial(&mut b, x, &evaluation);
            let output =
                Output { name: "y".into(), shape: vec![], packing: packing.clone(), values: vec![value] };
            let program = b.finish("polynomial", vec![output]);
            assert_eq!(program.verify(), Ok(()), "{program}");
            assert_eq!(program.levels as usize, evaluation.levels, "degree {degree}");
            assert_eq!(program.counts().mul as usize, evaluation.products, "degree {degree}");
            for x in [-1.0, -0.4, 0.0, 0.9, 1.0] {
                assert!((run(&program, x) - dense.at(x)).abs() < 1e-12, "degree {degree} at {x}");
            }
        }
    }
}
