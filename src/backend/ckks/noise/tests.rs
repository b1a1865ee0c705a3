use super::*;
use crate::expr::{Affine, AxisId};
use crate::slots::approx::evaluation::evaluations;
use crate::slots::approx::{Polynomial, polynomial};
use crate::slots::{Builder, Digit, Kind, Output, Packing, Plain, Range, Rest};
use crate::source::Span;
use einc_runtime::ckks::Request;
use std::sync::Arc;

const SLOTS: u32 = 64;

/// A vector as long as a ciphertext, element by element.
fn packing() -> Arc<Packing> {
    Arc::new(Packing {
        axes: vec![("i".to_string(), u64::from(SLOTS))],
        outer: Vec::new(),
        inner: vec![Digit { kind: Kind::Axis { axis: 0, by: 1 }, extent: SLOTS }],
        access: vec![Affine { terms: vec![(AxisId(0), 1)], constant: 0 }],
        shape: vec![u64::from(SLOTS)],
        rest: Rest::Zero,
        padding: Rest::Zero,
    })
}

/// Bounds of what is made of one input `x`, at magnitude 1 and at these numbers.
fn bounds(make: impl FnOnce(&mut Builder, ValueId) -> ValueId, numbers: Option<f64>) -> Noise {
    let mut b = Builder::new(SLOTS);
    let x = b.input("x", &[u64::from(SLOTS)], &packing())[0];
    let value = make(&mut b, x);
    let output = Output {
        name: "y".to_string(),
        shape: vec![u64::from(SLOTS)],
        packing: packing(),
        values: vec![value],
    };
    let slots = b.finish("test", vec![output]);
    slots.verify().unwrap();
    let parameters = Parameters::choose(&Request::toy(2 * SLOTS, slots.levels.max(1))).unwrap();
    match numbers {
        None => Noise::predict(&slots, &parameters, Numbers::Within(1.0)),
        Some(number) => {
            let inputs = BTreeMap::from([("x".to_string(), vec![number; SLOTS as usize])]);
            Noise::predict(&slots, &parameters, Numbers::Known(&inputs, &BTreeMap::new()))
        }
    }
}

#[test]
fn noises_of_different_slots_add_as_squares_and_those_of_one_slot_linearly() {
    let one = bounds(|_, x| x, None);
    let twice = bounds(|b, x| b.add(x, x), None);
    assert!((twice.noise / one.noise - 2.0).abs() < 1e-9, "{twice:?} {one:?}");
    assert!((twice.largest - 2.0).abs() < 1e-12);
    // Noise that is large against that of the rotation itself.
    let large = |b: &mut Builder, x| b.mul_scalar(x, 1e6);
    let one = bounds(large, None);
    let neighbours = bounds(
        |b, x| {
            let x = large(b, x);
            let moved = b.rotate(x, 1);
            b.add(x, moved)
        },
        None,
    );
    assert!((neighbours.noise / one.noise - 2f64.sqrt()).abs() < 1e-3, "{neighbours:?} {one:?}");
}

#[test]
fn a_square_is_never_negative_and_a_mask_leaves_nothing() {
    let square = bounds(
        |b, x| {
            let square = b.mul(x, x);
            let doubled = b.add(square, square);
            b.add_scalar(doubled, -1.0)
        },
        None,
    );
    assert_eq!(square.largest, 2.0);
    let first = Plain::of(1.0, PlainSource::Ones, &[(0, 0)]);
    let masked = bounds(
        |b, x| {
            let plain = b.plain(first.clone());
            let only = b.mul_plain(x, plain);
            let moved: Vec<ValueId> = (0..8).map(|by| b.rotate(only, by)).collect();
            b.sum(&moved).unwrap()
        },
        None,
    );
    assert_eq!(masked.largest, 1.0);
}

/// The polynomial of an argument that is an input.
fn sigmoid(b: &mut Builder, x: ValueId) -> ValueId {
    let close = Polynomial::minimax(&|x| 1.0 / (1.0 + f64::exp(-x)), (-8.0, 8.0), 15).unwrap();
    let result = polynomial(b, x, &evaluations(&close)[0]);
    let result = b.ready(result);
    let (function, tensor) = ("sigmoid".to_string(), "y".to_string());
    let range = Range { function, tensor, ends: (-8.0, 8.0), error: close.error, span: Span::default() };
    b.place(x, &packing(), 0);
    b.approximated(x, result, &range);
    result
}

#[test]
fn polynomials_keep_their_noise_and_pass_their_error_on() {
    let one = bounds(|_, x| x, None);
    let found = bounds(sigmoid, None);
    // The slope of the sigmoid, for an argument of -1..1, is at most 2; bounds of sums of parts are a few times that.
    assert!(found.noise > one.noise && found.noise < 500.0 * one.noise, "{found:?} {one:?}");
    assert!((1e-4..1e-2).contains(&found.approximation), "{found:?}");
    assert!(found.headroom > 5.0, "{found:?}");
}

#[test]
fn arguments_beyond_their_range_are_told() {
    assert_eq!(bounds(sigmoid, Some(1.0)).stray, None);
    let stray = bounds(sigmoid, Some(-1.25)).stray.unwrap();
    assert!((stray.argument + 10.0).abs() < 1e-12, "{stray:?}");
    assert!(bounds(sigmoid, Some(f64::NAN)).stray.is_some());
    assert!(bounds(|b, x| b.mul_scalar(x, 1e9), Some(1e9)).headroom < 0.0);
}
