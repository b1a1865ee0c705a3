//! Schedules run by poulpy against formulas in the clear, and against the embedded executor.

use super::*;
use crate::ckks::{self, Builder, Parameters, Request};

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    (0..count).map(|k| ((k as f64 + 1.3) * (seed as f64 + 0.7)).sin()).collect()
}

fn builder(request: &Request) -> Builder {
    Builder::new(Parameters::choose(request).unwrap())
}

fn vectors(inputs: &[(&str, &[f64])]) -> Vectors {
    inputs.iter().map(|&(name, values)| (name.to_owned(), vec![values.to_vec()])).collect()
}

/// The vectors of output `o`.
fn poulpy(schedule: &Schedule, inputs: &Vectors) -> Vec<Vec<f64>> {
    run(schedule, inputs, &mut Random::seeded(1), &mut |_, _| true).unwrap().remove("o").unwrap()
}

/// The same by the embedded executor.
fn embedded(schedule: &Schedule, inputs: &Vectors) -> Vec<Vec<f64>> {
    let context = ckks::Context::new(&schedule.parameters).unwrap();
    let mut random = Random::seeded(2);
    let secret = ckks::SecretKey::generate(&context, &mut random);
    let keys = ckks::EvaluationKeys::generate(&context, &secret, &schedule.keys, &mut random).unwrap();
    let mut given = ckks::Inputs::default();
    for input in &schedule.inputs {
        let slots = &inputs[&input.name];
        if input.secret {
            let values = slots
                .iter()
                .map(|slots| ckks::Ciphertext::encrypt(&context, &secret, slots, &mut random).unwrap());
            given.secret.insert(input.name.clone(), values.collect());
        } else {
            given.clear.insert(input.name.clone(), slots.clone());
        }
    }
    let outputs = ckks::run(&context, schedule, &keys, &given, &mut |_, _| true).unwrap();
    outputs.values["o"].iter().map(|value| value.decrypt(&context, &secret).unwrap().slots).collect()
}

fn assert_near(found: &[f64], expected: impl Fn(usize) -> f64, most: f64) {
    for (slot, &found) in found.iter().enumerate() {
        let expected = expected(slot);
        assert!((found - expected).abs() < most, "slot {slot}: {found} instead of {expected}");
    }
}

#[test]
fn every_amount_rotates_to_the_left() {
    let mut b = builder(&Request::toy(64, 1));
    let a = b.secret("a", 1)[0];
    let turned: Vec<Register> = (1..32).map(|by| b.rotate(a, by)).collect();
    b.output("o", &turned);
    let a = numbers(32, 2);
    let found = poulpy(&b.finish().unwrap(), &vectors(&[("a", &a)]));
    for (by, found) in (1..32).zip(&found) {
        assert_near(found, |slot| a[(slot + by) % 32], 1e-8);
    }
}

/// `o[i] = sum of A[i,k] b[k]`, 64 by 64 at 128 bits: a product, a sum by rotations, a mask.
#[test]
fn a_product_of_matrix_and_vector() {
    let mut b = builder(&Request::new(1 << 13, 2));
    let (a, v) = (b.secret("a", 1)[0], b.secret("b", 1)[0]);
    let product = b.mul(a, v);
    let product = b.relinearize(product);
    let mut sum = b.rescale(product);
    for by in [32, 16, 8, 4, 2, 1] {
        let turned = b.rotate(sum, by);
        sum = b.add(sum, turned);
    }
    let mask: Vec<f64> = (0..4096).map(|slot| if slot % 64 == 0 { 1.0 } else { 0.0 }).collect();
    let mask = b.constant(Values::from_dense(&mask));
    let masked = b.mul_plain(sum, mask);
    let masked = b.rescale(masked);
    b.output("o", &[masked]);
    let schedule = b.finish().unwrap();
    let (a, v) = (numbers(4096, 3), numbers(64, 4));
    let copies: Vec<f64> = (0..4096).map(|slot| v[slot % 64]).collect();
    let inputs = vectors(&[("a", &a), ("b", &copies)]);
    let expected = |slot: usize| {
        let row: f64 = (0..64).map(|k| a[slot / 64 * 64 + k] * v[k]).sum();
        if slot.is_multiple_of(64) { row } else { 0.0 }
    };
    assert_near(&poulpy(&schedule, &inputs)[0], expected, 1e-5);
    assert_near(&embedded(&schedule, &inputs)[0], expected, 1e-4);
}

/// `o[i,j] = sum of A[i,k] B[k,j]`, 8 by 8: products of three parts are added before they are relinearized.
#[test]
fn a_product_of_matrices_as_a_sum_of_products() {
    let slots = 64;
    let mut b = builder(&Request::toy(128, 2));
    let columns = b.secret("a", 8);
    let rows = b.secret("b", 8);
    let products: Vec<Register> = columns.into_iter().zip(rows).map(|(a, r)| b.mul(a, r)).collect();
    let sum = products.into_iter().reduce(|sum, product| b.add(sum, product)).unwrap();
    let sum = b.relinearize(sum);
    let sum = b.rescale(sum);
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let (x, y) = (numbers(slots, 5), numbers(slots, 6));
    let spread = |of: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
        (0..8).map(|k| (0..slots).map(|slot| of(slot, k)).collect()).collect()
    };
    let inputs = Vectors::from([
        ("a".to_owned(), spread(&|slot, k| x[slot / 8 * 8 + k])),
        ("b".to_owned(), spread(&|slot, k| y[k * 8 + slot % 8])),
    ]);
    let expected = |slot: usize| (0..8).map(|k| x[slot / 8 * 8 + k] * y[k * 8 + slot % 8]).sum();
    assert_near(&poulpy(&schedule, &inputs)[0], expected, 1e-7);
    assert_near(&embedded(&schedule, &inputs)[0], expected, 1e-7);
}

/// Transposes 8 by 8 by its 15 diagonals, with rotations that share a hoist.
#[test]
fn a_transposition_by_diagonals() {
    let (n, slots) = (8i64, 64i64);
    let mut b = builder(&Request::toy(128, 1));
    let a = b.secret("a", 1)[0];
    let digits = b.hoist(a);
    let mut terms = Vec::new();
    for d in -(n - 1)..n {
        let by = d * (n - 1);
        let diagonal: Vec<f64> = (0..slots)
            .map(|slot| {
                let (i, j) = (slot / n, slot % n);
                f64::from(u8::from(j * n + i - slot == by))
            })
            .collect();
        let turned = if by == 0 { a } else { b.rotate(digits, by) };
        let diagonal = b.constant(Values::from_dense(&diagonal));
        terms.push(b.mul_plain(turned, diagonal));
    }
    let sum = terms.into_iter().reduce(|sum, term| b.add(sum, term)).unwrap();
    let sum = b.rescale(sum);
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let a = numbers(64, 7);
    let inputs = vectors(&[("a", &a)]);
    let expected = |slot: usize| a[slot % 8 * 8 + slot / 8];
    assert_near(&poulpy(&schedule, &inputs)[0], expected, 1e-7);
    assert_near(&embedded(&schedule, &inputs)[0], expected, 1e-7);
}

/// `x^8 - 0.5 x^4 + 0.25 x - 3` at 128 bits, with values dropped to lower levels.
#[test]
fn a_polynomial() {
    let mut b = builder(&Request::new(1 << 14, 4));
    let x = b.secret("x", 1)[0];
    let mut square = |a: Register| {
        let product = b.mul(a, a);
        let product = b.relinearize(product);
        b.rescale(product)
    };
    let two = square(x);
    let four = square(two);
    let eight = square(four);
    let half = b.mul_scalar(four, -0.5);
    let half = b.rescale(half);
    let half = b.drop_to(half, 0);
    let quarter = b.mul_scalar(x, 0.25);
    let quarter = b.rescale(quarter);
    let quarter = b.drop_to(quarter, 0);
    let eight = b.drop_to(eight, 0);
    let sum = b.add(eight, half);
    let sum = b.add(sum, quarter);
    let three = b.constant(Values::Splat(-3.0));
    let sum = b.add_plain(sum, three);
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let x = numbers(1 << 13, 8);
    let inputs = vectors(&[("x", &x)]);
    let expected = |slot: usize| x[slot].powi(8) - 0.5 * x[slot].powi(4) + 0.25 * x[slot] - 3.0;
    assert_near(&poulpy(&schedule, &inputs)[0], expected, 1e-6);
}

#[test]
fn every_other_instruction() {
    let slots = 32;
    let mut b = builder(&Request::toy(64, 3));
    let (x, y) = (b.secret("x", 1)[0], b.secret("y", 1)[0]);
    let p = b.clear("p", 1)[0];
    let dense = b.constant(Values::Dense((0..slots).map(|k| k as f64 - 5.0).collect()));
    let two = b.constant(Values::Splat(2.0));
    let shifted = b.add_plain(x, dense);
    let shifted = b.add_plain(shifted, two);
    let difference = b.sub(shifted, y);
    let negative = b.neg(difference);
    let mirrored = b.conjugate(negative);
    let weighted = b.mul_plain(mirrored, p);
    // A clear vector is added to a product, and the product rotated, before it is rescaled.
    let more = b.add_plain(weighted, dense);
    let turned = b.rotate(more, 3);
    let lower = b.rescale(turned);
    let doubled = b.mul_plain(lower, two);
    let doubled = b.rescale(doubled);
    let lowest = b.drop_to(doubled, 0);
    b.output("o", &[lowest, x]);
    let schedule = b.finish().unwrap();
    let (x, y, p) = (numbers(slots, 1), numbers(slots, 2), numbers(slots, 3));
    let inputs = vectors(&[("x", &x), ("y", &y), ("p", &p)]);
    let one = |k: usize| -(x[k] + k as f64 - 5.0 + 2.0 - y[k]) * p[k] + k as f64 - 5.0;
    for found in [poulpy(&schedule, &inputs), embedded(&schedule, &inputs)] {
        assert_near(&found[0], |slot| 2.0 * one((slot + 3) % slots), 1e-6);
        assert_near(&found[1], |slot| x[slot], 1e-8);
    }
}

/// More terms than a limb has room for without carries.
#[test]
fn long_sums_do_not_overflow() {
    let mut b = builder(&Request::toy(64, 1));
    let x = b.secret("x", 1)[0];
    let mut sum = x;
    for _ in 0..12 {
        sum = b.add(sum, sum);
    }
    let turned = b.rotate(sum, 1);
    b.output("o", &[turned]);
    let x = numbers(32, 9);
    let found = poulpy(&b.finish().unwrap(), &vectors(&[("x", &x)]));
    assert_near(&found[0], |slot| 4096.0 * x[(slot + 1) % 32], 1e-5);
}

#[test]
fn widths_are_secure_for_every_parameter_set_of_the_compiler() {
    for (ring, most) in [(1u32 << 13, 2), (1 << 14, 7), (1 << 15, 18), (1 << 16, 39)] {
        for levels in 1..=most {
            let Ok(parameters) = Parameters::choose(&Request::new(ring, levels)) else {
                assert_eq!(levels, most, "the embedded executor takes these");
                continue;
            };
            let widths = Widths::choose(&parameters).unwrap();
            let row = ckks::security_row(ring).unwrap();
            assert!(widths.log_qp() <= row, "{widths:?}");
            // A value is as wide as its limbs hold, and each level loses the bits of the scale.
            let bits: u32 = parameters.primes.iter().map(|prime| prime.ilog2()).sum();
            assert!(widths.of(levels) >= bits);
            assert_eq!(widths.of(levels) - widths.of(levels - 1), 40);
        }
    }
}

#[test]
fn keys_that_would_be_insecure_are_refused() {
    let request = Request { scale_bits: 42, first_bits: 60, ..Request::toy(1 << 13, 3) };
    let mut parameters = Parameters::choose(&request).unwrap();
    // Primes of 203 bits in all, below the 214 of the table; poulpy's keys need at least 33 bits beyond the 186.
    parameters.special = vec![65537];
    parameters.insecure_toy = false;
    assert_eq!(parameters.check(), Ok(()));
    let mut b = Builder::new(parameters);
    let x = b.secret("x", 1)[0];
    b.output("o", &[x]);
    let mut schedule = b.finish().unwrap();
    let inputs = vectors(&[("x", &numbers(4096, 1))]);
    let refusal = run(&schedule, &inputs, &mut Random::seeded(1), &mut |_, _| true).unwrap_err();
    assert_eq!(refusal.code, Code::Insecure, "{refusal}");
    schedule.parameters.insecure_toy = true;
    assert!(run(&schedule, &inputs, &mut Random::seeded(1), &mut |_, _| true).is_ok());
}

#[test]
fn wrong_inputs_have_codes() {
    let mut b = builder(&Request::toy(64, 1));
    let x = b.secret("x", 1)[0];
    let huge = b.constant(Values::Splat(1e9));
    let sum = b.add_plain(x, huge);
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let good = numbers(32, 1);
    let code =
        |inputs: &Vectors| run(&schedule, inputs, &mut Random::seeded(1), &mut |_, _| true).unwrap_err().code;
    assert_eq!(code(&vectors(&[])), Code::Input);
    assert_eq!(code(&vectors(&[("x", &good), ("y", &good)])), Code::Input);
    assert_eq!(code(&vectors(&[("x", &good[1..])])), Code::Input);
    assert_eq!(code(&Vectors::from([("x".to_owned(), vec![])])), Code::Input);
    for number in [f64::NAN, f64::INFINITY, 1e6, 1e300] {
        let mut wrong = good.clone();
        wrong[3] = number;
        assert_eq!(code(&vectors(&[("x", &wrong)])), Code::Range, "{number}");
    }
    // At level 1 there is room for it, at level 0 there is none.
    let inputs = vectors(&[("x", &good)]);
    assert!(run(&schedule, &inputs, &mut Random::seeded(1), &mut |_, _| true).is_ok());
    let mut b = builder(&Request::toy(64, 0));
    let x = b.secret("x", 1)[0];
    let huge = b.constant(Values::Splat(1e9));
    let sum = b.add_plain(x, huge);
    b.output("o", &[sum]);
    let low = b.finish().unwrap();
    let refusal = run(&low, &inputs, &mut Random::seeded(1), &mut |_, _| true).unwrap_err();
    assert_eq!(refusal.code, Code::Range, "{refusal}");
    let stopped = run(&schedule, &inputs, &mut Random::seeded(1), &mut |done, _| done == 0).unwrap_err();
    assert_eq!(stopped.code, Code::Stopped);
}
