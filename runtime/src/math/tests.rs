//! Functions against the system's library, against each other, and against exact values.

use super::*;

/// How many floats lie between two, at most.
fn ulps(value: f64, expected: f64) -> f64 {
    if value == expected || value.is_nan() && expected.is_nan() {
        return 0.0;
    }
    let unit = f64::from_bits(expected.abs().to_bits() + 1) - expected.abs();
    (value - expected).abs() / unit
}

fn ulps_f32(value: f32, expected: f64) -> f64 {
    let rounded = expected as f32;
    if value == rounded || value.is_nan() && rounded.is_nan() {
        return 0.0;
    }
    let unit = f32::from_bits(rounded.abs().to_bits() + 1) - rounded.abs();
    (f64::from(value) - expected).abs() / f64::from(unit)
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> T {
    table.iter().find(|(found, _)| *found == name).unwrap().1
}

/// Arguments of many sizes and both signs.
fn arguments(most: f64) -> Vec<f64> {
    let mut arguments = vec![0.0, -0.0, 1.0, -1.0, f64::MIN_POSITIVE, 1e-310, 0.625, -0.625];
    for k in 0..20_001 {
        arguments.push((k as f64 / 10_000.0 - 1.0) * most + 1e-9);
    }
    for k in 0..2000 {
        let size = most * 1e-20f64.powf(k as f64 / 2000.0);
        arguments.extend([size, -size]);
    }
    arguments
}

const SPECIAL: [f64; 5] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e300, -1e300];

/// An independent value of functions that the system's library lacks, to about 1e-13.
fn reference(name: &str, x: f64) -> Option<(f64, f64)> {
    Some(match name {
        "exp" => (x.exp(), 1.1),
        "log" => (x.ln(), 1.1),
        "sin" => (x.sin(), 1.6),
        "cos" => (x.cos(), 1.6),
        "tanh" => (x.tanh(), 2.0),
        "sigmoid" if x > 0.0 => (1.0 / (1.0 + (-x).exp()), 2.0),
        "sigmoid" => (x.exp() / (1.0 + x.exp()), 2.0),
        "silu" => (x * reference("sigmoid", x)?.0, 2.6),
        "softplus" => (softplus_f64(x), 4.0),
        _ => return None,
    })
}

#[test]
fn arrays_of_f64_are_close_to_the_systems_library() {
    for &(name, array) in ARRAY_F64 {
        let most = if matches!(name, "sin" | "cos") { 2e4 } else { 700.0 };
        let mut x = arguments(most);
        if !matches!(name, "silu" | "gelu" | "gelu_tanh") {
            x.extend(SPECIAL);
        }
        let mut y = vec![0.0; x.len()];
        // SAFETY: both are that long.
        unsafe { array(x.as_ptr(), y.as_mut_ptr(), x.len()) };
        for (&x, &y) in x.iter().zip(&y) {
            let Some((expected, bound)) = reference(name, x) else { continue };
            // Where the result is no normal number, one unit is coarse.
            let bound = if expected.abs() < 1e-290 { 4.0 + bound } else { bound };
            let error = ulps(y, expected);
            assert!(error <= bound, "{name}({x:e}) = {y:e}, expected {expected:e}: {error} ulps");
        }
    }
}

#[test]
fn arrays_of_f32_are_close_to_scalars_of_f64() {
    for &(name, array) in ARRAY_F32 {
        let scalar = find(SCALAR_F64, name);
        let mut x: Vec<f32> = arguments(if matches!(name, "sin" | "cos") { 2e4 } else { 104.0 })
            .into_iter()
            .map(|x| x as f32)
            .collect();
        x.extend(SPECIAL.map(|x| x as f32));
        let mut y = x.clone();
        // SAFETY: it is that long; one array may be both.
        unsafe { array(y.as_ptr(), y.as_mut_ptr(), x.len()) };
        for (&x, &y) in x.iter().zip(&y) {
            let expected = scalar(x.into());
            let bound = match name {
                "silu" => 2.6,
                "softplus" | "gelu" | "gelu_tanh" => 4.0,
                _ => 2.0,
            };
            // A factor of a product may be no normal number before the product is.
            let bound = if expected.abs() < 1e-36 { 2.0 + bound + f64::from(x.abs()) } else { bound };
            if y == 0.0 && expected.abs() < 1.001 * f64::from(f32::MIN_POSITIVE) {
                continue;
            }
            let error = ulps_f32(y, expected);
            assert!(error <= bound, "{name}({x:e}) = {y:e}, expected {expected:e}: {error} ulps");
        }
    }
}

#[test]
fn powers_of_f32_are_rounded_once() {
    let mut x: Vec<f32> = arguments(1e5).into_iter().map(|x| x as f32).collect();
    x.extend(SPECIAL.map(|x| x as f32));
    x.extend([f32::MIN_POSITIVE, f32::MAX, 1e-45, -1e-45, 1e-40, 0.999_999_94, 1.000_000_1]);
    x.extend((0..2000).map(|k| 1e38f32.powf(k as f32 / 1000.0 - 1.0)));
    for exponent in
        [2.2, -2.2, 0.5, -0.5, 1.0 / 3.0, 0.01, -1e-30, 1.5, 30.25, -77.7, 1234.5, -1e30 - 0.5, 1e6 + 0.5]
    {
        let mut y = vec![0.0; x.len()];
        // SAFETY: both are that long.
        unsafe { powers_f32(x.as_ptr(), y.as_mut_ptr(), x.len(), exponent) };
        for (&x, &y) in x.iter().zip(&y) {
            // The system's power of an integer may be negative; of other exponents it is NaN.
            let expected =
                if x < 0.0 && x.is_finite() { f64::NAN } else { f64::from(x).abs().powf(exponent) };
            let error = ulps_f32(y, expected);
            assert!(
                error <= 0.53,
                "{x:e} ** {exponent} = {y:e}, expected {expected:e}: {error} units in the last place"
            );
        }
    }
}

#[test]
fn erf_and_gelu_are_those_of_longer_arithmetic() {
    // 40-digit values by mpmath.
    let erfs = [
        (0.1, 0.1124629160182849),
        (0.5, 0.5204998778130465),
        (0.9, 0.7969082124228322),
        (1.0, 0.8427007929497149),
        (1.5, 0.9661051464753108),
        (2.5, 0.999593047982555),
        (4.0, 0.9999999845827421),
        (5.5, 0.9999999999999927),
    ];
    let gelus = [
        (-30.0, -1.472014178144456e-196),
        (-8.5, -8.05760459887282e-17),
        (-3.25, -0.0018753313877699928),
        (-1.0, -0.15865525393145705),
        (-0.01, -0.004960106436853684),
        (0.3, 0.1853734266566858),
        (1.0, 0.8413447460685429),
        (2.75, 2.7418056511035998),
        (9.0, 9.0),
    ];
    let odd = erfs.map(|(x, y)| (-x, -y));
    let apply = |array: ArrayF64, x: f64| {
        let mut y = 0.0;
        // SAFETY: there is one of each.
        unsafe { array(&x, &mut y, 1) };
        y
    };
    for (x, expected) in erfs.into_iter().chain(odd) {
        assert!(ulps(apply(erf_f64_slice, x), expected) <= 2.0 && ulps(erf_f64(x), expected) <= 2.0, "{x}");
        assert!(ulps_f32(erf_f32(x as f32), erf_f64((x as f32).into())) <= 1.0);
    }
    for (x, expected) in gelus {
        assert!(ulps(apply(gelu_f64_slice, x), expected) <= 3.0, "{x} {}", apply(gelu_f64_slice, x));
        assert!(ulps(gelu_f64(x), expected) <= 3.0, "{x} {}", gelu_f64(x));
    }
    // The derivative of erf is the bell curve, whichever of its formulas serves.
    for k in -3000..3000 {
        let (x, h) = (k as f64 / 1000.0, 1e-5);
        let slope = (apply(erf_f64_slice, x + h) - apply(erf_f64_slice, x - h)) / (2.0 * h);
        let bell = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        assert!((slope - bell).abs() < 1e-9, "{x}");
    }
    assert_eq!((erf_f64(f64::INFINITY), erf_f64(-0.0).to_bits()), (1.0, (-0.0f64).to_bits()));
    assert!(gelu_f64(f64::NAN).is_nan() && apply(gelu_f64_slice, f64::NAN).is_nan());
    assert_eq!((gelu_f64(f64::INFINITY), gelu_f64(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
}

/// The functions that are 0 where they would be subnormal.
const VANISHING: [&str; 6] = ["exp", "sigmoid", "silu", "softplus", "gelu", "gelu_tanh"];

#[test]
fn small_values_over_arrays_are_normal_or_zero() {
    let x: Vec<f64> = (0..80_000).map(|k| f64::from(k) * -0.01).collect();
    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    for name in VANISHING {
        let (mut wide, mut y) = (x.clone(), narrow.clone());
        // SAFETY: each array is that long, and may be both.
        unsafe {
            find(ARRAY_F64, name)(wide.as_ptr(), wide.as_mut_ptr(), wide.len());
            find(ARRAY_F32, name)(y.as_ptr(), y.as_mut_ptr(), y.len());
        }
        let exact = find(SCALAR_F64, name);
        for (&x, (&wide, &y)) in x.iter().zip(wide.iter().zip(&y)) {
            assert!(
                wide.is_normal() || wide == 0.0 && exact(x).abs() < 1.0001 * f64::MIN_POSITIVE,
                "{name}({x}) = {wide:e}"
            );
            let exact = exact(f64::from(x as f32)).abs();
            let least = 1.001 * f64::from(f32::MIN_POSITIVE);
            assert!(y.is_normal() || y == 0.0 && exact < least, "{name}({x}) = {y:e}");
        }
    }
}

/// How far a function may be from exact values, in units in the last place of `f64` and `f32`.
fn bounds(name: &str) -> (f64, f64) {
    match name {
        "exp" | "log" => (1.1, 2.0),
        "sin" | "cos" => (1.6, 2.0),
        "silu" => (2.6, 2.6),
        "softplus" => (4.0, 4.0),
        "gelu" => (3.0, 4.0),
        "gelu_tanh" => (4.0, 4.0),
        _ => (2.0, 2.0),
    }
}

#[test]
fn functions_are_close_to_exact_values() {
    // Arguments that `f32` has too, and the nearest `f64` to the function there, by mpmath with 60 digits.
    for line in include_str!("exact.csv").lines().skip(1) {
        let mut cells = line.split(',');
        let name = cells.next().unwrap();
        let [x, exact] = [(); 2].map(|()| cells.next().unwrap().parse::<f64>().unwrap());
        let (mut y, mut narrow) = (0.0, 0.0);
        // SAFETY: there is one of each.
        unsafe {
            find(ARRAY_F64, name)(&x, &mut y, 1);
            find(ARRAY_F32, name)(&(x as f32), &mut narrow, 1);
        }
        let (wide_bound, narrow_bound) = bounds(name);
        let or_zero = |least: f64| if VANISHING.contains(&name) && exact.abs() < least { 0.0 } else { exact };
        let wide_error = ulps(y, or_zero(f64::MIN_POSITIVE));
        let narrow_error = ulps_f32(narrow, or_zero(f32::MIN_POSITIVE.into()));
        assert!(wide_error <= wide_bound, "{name}({x:e}) = {y:e}, not {exact:e}: {wide_error} ulps of f64");
        assert!(
            narrow_error <= narrow_bound,
            "{name}({x:e}) = {narrow:e}, not {exact:e}: {narrow_error} ulps of f32"
        );
        let scalar = find(SCALAR_F64, name)(x);
        let scalar = ulps(scalar, exact).min(ulps(scalar, or_zero(f64::MIN_POSITIVE)));
        assert!(scalar <= wide_bound, "{name}({x:e}) of one number: {scalar} ulps");
    }
}

#[test]
fn scalars_at_their_edges() {
    assert_eq!(softplus_f64(1000.0), 1000.0);
    assert_eq!(softplus_f64(0.0), std::f64::consts::LN_2);
    assert_eq!(softplus_f32(-1000.0), 0.0);
    assert!(softplus_f64(f64::NAN).is_nan() && relu_f64(f64::NAN).is_nan() && sign_f64(f64::NAN).is_nan());
    assert_eq!([sign_f64(-3.0), sign_f64(0.0), relu_f64(-2.0), relu_f64(2.0)], [-1.0, 0.0, 0.0, 2.0]);
    assert_eq!([round_f64(0.5), round_f64(1.5), round_f64(-2.5)], [0.0, 2.0, -2.0]);
    assert_eq!(
        [rem_f64(-1.0, 5.0), rem_f64(1.0, -5.0), rem_f64(7.0, 0.0), rem_f64(6.0, 3.0)],
        [4.0, -4.0, 0.0, 0.0]
    );
    assert_eq!([pow_f64(2.0, 10.0), atan2_f64(1.0, 0.0)], [1024.0, std::f64::consts::FRAC_PI_2]);
    assert_eq!([sigmoid_f64(0.0), silu_f64(f64::NEG_INFINITY)], [0.5, 0.0]);
    assert_eq!(popcount_i64(-1), 64);
}

/// Whether a call multiplies or adds to a subnormal number, as the machine notes.
#[cfg(target_arch = "x86_64")]
fn underflows(call: impl FnOnce()) -> bool {
    use std::arch::asm;
    const UNDERFLOW: u32 = 1 << 4;
    let mut state = 0u32;
    // SAFETY: the flags of what was computed are no more than read and cleared.
    unsafe {
        asm!("stmxcsr [{}]", in(reg) &raw mut state);
        let clear = state & !UNDERFLOW;
        asm!("ldmxcsr [{}]", in(reg) &raw const clear);
    }
    call();
    // SAFETY: as above.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut state) };
    state & UNDERFLOW != 0
}

#[test]
#[cfg(target_arch = "x86_64")]
fn gates_of_large_numbers_meet_no_subnormal_one() {
    if super::level() == 0 {
        return;
    }
    assert!(underflows(|| assert!(std::hint::black_box(1e-30f32) * std::hint::black_box(1e-30) == 0.0)));
    let x: Vec<f32> = (0..4000).map(|k| 80.0 + k as f32 * 0.01).collect();
    for name in ["sigmoid", "silu"] {
        let mut y = x.clone();
        // SAFETY: each array is that long, and may be both.
        let call = || unsafe { find(ARRAY_F32, name)(x.as_ptr(), y.as_mut_ptr(), y.len()) };
        assert!(!underflows(call), "{name}");
    }
}
