//! Encrypted arithmetic against the same arithmetic in the clear.

use super::schedule::{Keys, Register, Values};
use super::*;

/// A key owner with every key of some amounts.
struct Owner {
    context: Context,
    secret: SecretKey,
    random: Random,
}

impl Owner {
    fn new(request: &Request, seed: u64) -> Owner {
        let context = Context::new(&Parameters::choose(request).unwrap()).unwrap();
        let mut random = Random::seeded(seed);
        let secret = SecretKey::generate(&context, &mut random);
        Owner { context, secret, random }
    }

    fn encrypt(&mut self, values: &[f64]) -> Ciphertext {
        Ciphertext::encrypt(&self.context, &self.secret, values, &mut self.random).unwrap()
    }

    fn keys(&mut self, wanted: &Keys) -> EvaluationKeys {
        EvaluationKeys::generate(&self.context, &self.secret, wanted, &mut self.random).unwrap()
    }

    fn decrypt(&self, value: &Ciphertext) -> Vec<f64> {
        value.decrypt(&self.context, &self.secret).unwrap().slots
    }

    /// Runs a schedule on vectors.
    fn run(&mut self, schedule: &Schedule, inputs: &[(&str, &[f64])]) -> Vec<Vec<f64>> {
        let keys = self.keys(&schedule.keys);
        let mut given = Inputs::default();
        for (name, values) in inputs {
            let value = self.encrypt(values);
            given.secret.entry((*name).to_owned()).or_default().push(value);
        }
        let outputs = run(&self.context, schedule, &keys, &given, &mut |_, _| true).unwrap();
        assert_eq!(outputs.counts, schedule.counts());
        assert!(outputs.bytes <= schedule.register_bytes().unwrap());
        outputs.values["o"].iter().map(|value| self.decrypt(value)).collect()
    }
}

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    (0..count).map(|k| ((k as f64 + 1.3) * (seed as f64 + 0.7)).sin()).collect()
}

fn rms(found: &[f64], expected: impl Fn(usize) -> f64) -> f64 {
    let sum: f64 = found.iter().enumerate().map(|(k, x)| (x - expected(k)).powi(2)).sum();
    (sum / found.len() as f64).sqrt()
}

/// One output `o` of what `make` makes of one input `a`.
fn unary(request: &Request, make: impl FnOnce(&mut Builder, Register) -> Register) -> Schedule {
    let mut b = Builder::new(Parameters::choose(request).unwrap());
    let a = b.secret("a", 1)[0];
    let o = make(&mut b, a);
    b.output("o", &[o]);
    b.finish().unwrap()
}

const TOY: u32 = 256;

#[test]
fn fresh_ciphertexts_open_with_the_noise_of_the_formula() {
    for request in [Request::toy(TOY, 3), Request::new(1 << 13, 2)] {
        let mut owner = Owner::new(&request, 1);
        let values = numbers(owner.context.slots(), 1);
        let value = owner.encrypt(&values);
        let error = rms(&owner.decrypt(&value), |k| values[k]) * 40f64.exp2();
        let parameters = owner.context.parameters().clone();
        let expected = noise::fresh(&parameters).hypot(noise::encoding(&parameters));
        assert!((0.8..1.25).contains(&(error / expected)), "{error} {expected}");
    }
}

#[test]
fn every_amount_rotates_to_the_left() {
    let request = Request::toy(64, 2);
    let mut owner = Owner::new(&request, 2);
    let values = numbers(32, 2);
    for by in 1..32 {
        let plain = unary(&request, |b, a| b.rotate(a, by));
        let hoisted = unary(&request, |b, a| {
            let digits = b.hoist(a);
            b.rotate(digits, by)
        });
        for schedule in [plain, hoisted] {
            let found = owner.run(&schedule, &[("a", &values)]);
            let error = rms(&found[0], |k| values[(k + by as usize) % 32]);
            assert!(error < 1e-9, "{by}: {error}");
        }
    }
}

#[test]
fn key_switching_has_the_noise_of_the_formula_at_every_level_and_number_of_digits() {
    for digits in [1, 2, 3, 6] {
        let request = Request { digits: Some(digits), ..Request::toy(1 << 10, 5) };
        let mut owner = Owner::new(&request, 3);
        let parameters = owner.context.parameters().clone();
        let values = numbers(512, 3);
        for level in 0..=5 {
            let schedule = unary(&request, |b, a| {
                let low = if level < 5 { b.drop_to(a, level) } else { a };
                let turned = b.rotate(low, 5);
                let back = b.rotate(turned, -5);
                b.sub(back, low)
            });
            let found = owner.run(&schedule, &[("a", &values)]);
            let error = rms(&found[0], |_| 0.0) * 40f64.exp2();
            let expected = noise::key_switch(&parameters, level) * 2f64.sqrt();
            assert!(
                (0.7..1.4).contains(&(error / expected)),
                "{digits} digits, level {level}: {error} {expected}"
            );
        }
    }
}

#[test]
fn rescaling_has_the_noise_of_the_formula() {
    let request = Request::toy(1 << 10, 3);
    let mut owner = Owner::new(&request, 4);
    let values = numbers(512, 4);
    // The fresh noise is multiplied by a factor near zero, so that the rescale's is what is left.
    let schedule = unary(&request, |b, a| {
        let small = b.mul_scalar(a, 0.0);
        b.rescale(small)
    });
    let found = owner.run(&schedule, &[("a", &values)]);
    // Zero is held without any noise.
    assert_eq!(rms(&found[0], |_| 0.0), 0.0);
    let schedule = unary(&request, |b, a| {
        let small = b.mul_scalar(a, 1.0 / 1024.0);
        b.rescale(small)
    });
    let found = owner.run(&schedule, &[("a", &values)]);
    let error = rms(&found[0], |k| values[k] / 1024.0) * 40f64.exp2();
    let expected = noise::rescale(owner.context.parameters(), 2);
    assert!((0.7..1.4).contains(&(error / expected)), "{error} {expected}");
    // A third part is multiplied by the square of the secret, which makes a hundred times as much.
    let schedule = unary(&request, |b, a| {
        let square = b.mul(a, a);
        let square = b.rescale(square);
        b.relinearize(square)
    });
    let found = owner.run(&schedule, &[("a", &values)]);
    let error = rms(&found[0], |k| values[k] * values[k]) * 40f64.exp2();
    let expected = noise::rescale(owner.context.parameters(), 3);
    assert!((0.7..1.4).contains(&(error / expected)), "{error} {expected}");
}

/// Products of one level more join a sum before it is relinearized.
#[test]
fn products_in_three_parts_are_multiplied_by_clear_numbers() {
    let mut owner = Owner::new(&Request::toy(TOY, 3), 8);
    let (x, y) = (numbers(owner.context.slots(), 8), numbers(owner.context.slots(), 9));
    let mut b = Builder::new(owner.context.parameters().clone());
    let (a, c) = (b.secret("a", 1)[0], b.secret("c", 1)[0]);
    let early = b.mul(a, c);
    let early = b.rescale(early);
    let one = b.mul_scalar(early, 1.0);
    let mask: Vec<f64> = (0..x.len()).map(|k| f64::from(u8::from(k % 3 == 1))).collect();
    let mask = b.constant(Values::from_dense(&mask));
    let masked = b.mul_plain(early, mask);
    let (a_low, c_low) = (b.drop_to(a, 2), b.drop_to(c, 2));
    let late = b.mul(a_low, c_low);
    let sum = b.add(one, late);
    let sum = b.add(sum, masked);
    let sum = b.relinearize(sum);
    let sum = b.rescale(sum);
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let found = owner.run(&schedule, &[("a", &x), ("c", &y)]);
    let times = |k: usize| if k % 3 == 1 { 3.0 } else { 2.0 };
    assert!(rms(&found[0], |k| times(k) * x[k] * y[k]) < 1e-8);
}

#[test]
fn products_sums_and_polynomials_of_any_depth() {
    for (request, most) in [(Request::toy(TOY, 6), 1e-8), (Request::new(1 << 13, 2), 1e-7)] {
        let mut owner = Owner::new(&request, 5);
        let (x, y) = (numbers(owner.context.slots(), 5), numbers(owner.context.slots(), 6));
        let mut b = Builder::new(owner.context.parameters().clone());
        let (a, c) = (b.secret("a", 1)[0], b.secret("c", 1)[0]);
        // (a c + a a) - c a / 2 in one relinearization, then + 1, times the mask.
        let (ac, aa) = (b.mul(a, c), b.mul(a, a));
        let sum = b.add(ac, aa);
        let sum = b.relinearize(sum);
        let half = b.mul_scalar(c, -0.5);
        let sum = b.add(sum, half);
        let sum = b.rescale(sum);
        let one = b.constant(Values::Splat(1.0));
        let sum = b.add_plain(sum, one);
        let mask: Vec<f64> = (0..x.len()).map(|k| f64::from(u8::from(k % 3 == 1))).collect();
        let mask = b.constant(Values::from_dense(&mask));
        let masked = b.mul_plain(sum, mask);
        let masked = b.rescale(masked);
        b.output("o", &[masked, sum]);
        let schedule = b.finish().unwrap();
        let found = owner.run(&schedule, &[("a", &x), ("c", &y)]);
        let expected = |k: usize| x[k] * y[k] + x[k] * x[k] - y[k] / 2.0 + 1.0;
        assert!(rms(&found[1], expected) < most);
        assert!(rms(&found[0], |k| if k % 3 == 1 { expected(k) } else { 0.0 }) < most);
    }
    // x^64 by six squarings.
    let request = Request::toy(TOY, 6);
    let mut owner = Owner::new(&request, 6);
    let x: Vec<f64> = numbers(128, 7).iter().map(|x| 1.0 + x / 100.0).collect();
    let schedule = unary(&request, |b, mut a| {
        for _ in 0..6 {
            let square = b.mul(a, a);
            let square = b.relinearize(square);
            a = b.rescale(square);
        }
        a
    });
    let found = owner.run(&schedule, &[("a", &x)]);
    assert!(rms(&found[0], |k| x[k].powi(64)) < 1e-7);
}

#[test]
fn values_dropped_to_any_level_keep_their_numbers() {
    let request = Request::toy(TOY, 6);
    let mut owner = Owner::new(&request, 7);
    let values = numbers(128, 8);
    for level in 0..6 {
        let schedule = unary(&request, |b, a| {
            let low = b.drop_to(a, level);
            b.add(low, low)
        });
        let found = owner.run(&schedule, &[("a", &values)]);
        assert!(rms(&found[0], |k| 2.0 * values[k]) < 1e-9);
    }
}

#[test]
fn conjugation_keeps_real_numbers_and_negation_negates() {
    let request = Request::toy(TOY, 1);
    let mut owner = Owner::new(&request, 8);
    let values = numbers(128, 9);
    let schedule = unary(&request, |b, a| {
        let same = b.conjugate(a);
        let less = b.neg(same);
        b.sub(less, a)
    });
    let found = owner.run(&schedule, &[("a", &values)]);
    assert!(rms(&found[0], |k| -2.0 * values[k]) < 1e-9);
}

#[test]
fn clear_inputs_are_encoded_where_they_are_used() {
    let request = Request::toy(TOY, 2);
    let mut owner = Owner::new(&request, 9);
    let (x, w) = (numbers(128, 10), numbers(128, 11));
    let mut b = Builder::new(owner.context.parameters().clone());
    let a = b.secret("a", 1)[0];
    let p = b.clear("w", 1)[0];
    let product = b.mul_plain(a, p);
    let product = b.add_plain(product, p);
    let product = b.rescale(product);
    let sum = b.add_plain(product, p);
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let keys = owner.keys(&schedule.keys);
    let mut inputs = Inputs::default();
    inputs.secret.insert("a".into(), vec![owner.encrypt(&x)]);
    inputs.clear.insert("w".into(), vec![w.clone()]);
    let outputs = run(&owner.context, &schedule, &keys, &inputs, &mut |_, _| true).unwrap();
    assert!(rms(&owner.decrypt(&outputs.values["o"][0]), |k| x[k] * w[k] + 2.0 * w[k]) < 1e-9);
}

#[test]
fn constants_are_encoded_as_vectors_of_equal_numbers_are() {
    for request in [Request::toy(64, 3), Request::new(1 << 13, 2)] {
        let context = Context::new(&Parameters::choose(&request).unwrap()).unwrap();
        for (value, scale) in [(1.0, 40f64.exp2()), (-0.3, 40f64.exp2()), (0.0, 1.0), (1234.5, 80f64.exp2())]
        {
            let one = context.constant(value, 1, scale).unwrap();
            let all = context.encode(&vec![value; context.slots()], 1, scale).unwrap();
            let apart = |a: &mut [u64]| context.coefficients(a, 1);
            let (one, all) = (apart(&mut one.clone()), apart(&mut all.clone()));
            let largest = (value * scale).abs() * 1e-15 + 1.0;
            assert!(one.iter().zip(&all).all(|(a, b)| (a - b).abs() <= largest), "{value} {scale}");
        }
        assert_eq!(context.constant(1e300, 1, 1.0).unwrap_err().code, Code::Range);
        assert_eq!(context.constant(f64::NAN, 1, 1.0).unwrap_err().code, Code::Range);
    }
}

#[test]
fn what_does_not_fit_together_is_an_error() {
    let request = Request::toy(TOY, 2);
    let mut owner = Owner::new(&request, 10);
    let schedule = unary(&request, |b, a| {
        let square = b.mul(a, a);
        let square = b.relinearize(square);
        let square = b.rescale(square);
        b.rotate(square, 3)
    });
    let keys = owner.keys(&schedule.keys);
    let value = owner.encrypt(&numbers(128, 12));
    let inputs = |value: &Ciphertext| Inputs {
        secret: [("a".to_owned(), vec![value.clone()])].into(),
        ..Inputs::default()
    };
    let code = |context: &Context, keys: &EvaluationKeys, inputs: &Inputs| {
        run(context, &schedule, keys, inputs, &mut |_, _| true).map(|_| ()).map_err(|error| error.code)
    };
    let good = inputs(&value);
    assert_eq!(code(&owner.context, &keys, &good), Ok(()));
    let mut other = Owner::new(&request, 11);
    let other_keys = other.keys(&schedule.keys);
    assert_eq!(code(&owner.context, &other_keys, &good), Err(Code::WrongKey));
    let result = run(&owner.context, &schedule, &keys, &good, &mut |_, _| true).unwrap();
    let opened = result.values["o"][0].decrypt(&owner.context, &other.secret);
    assert_eq!(opened.unwrap_err().code, Code::WrongKey);
    // The same with the names of the owners made equal: the numbers are seen to be noise.
    other.secret.owner = owner.secret.owner;
    let opened = result.values["o"][0].decrypt(&owner.context, &other.secret);
    assert_eq!(opened.unwrap_err().code, Code::Range);
    let elsewhere = Owner::new(&Request::toy(TOY, 3), 10);
    assert_eq!(code(&elsewhere.context, &keys, &good), Err(Code::WrongParameters));
    assert_eq!(value.decrypt(&owner.context, &elsewhere.secret).unwrap_err().code, Code::WrongParameters);
    for (drop_relinearize, by) in [(true, 0), (false, 3)] {
        let mut wanted = schedule.keys.clone();
        if drop_relinearize {
            wanted.relinearize = None;
        }
        wanted.rotate.remove(&by);
        let fewer = owner.keys(&wanted);
        assert_eq!(code(&owner.context, &fewer, &good), Err(Code::MissingKey));
    }
    let mut low = schedule.keys.clone();
    low.relinearize = Some(1);
    let lower = owner.keys(&low);
    assert_eq!(code(&owner.context, &lower, &good), Err(Code::MissingKey));
    assert_eq!(code(&owner.context, &keys, &Inputs::default()), Err(Code::Input));
    let two =
        Inputs { secret: [("a".into(), vec![value.clone(), value.clone()])].into(), ..Inputs::default() };
    assert_eq!(code(&owner.context, &keys, &two), Err(Code::Input));
    let mut more = good.clone();
    more.clear.insert("b".into(), vec![]);
    assert_eq!(code(&owner.context, &keys, &more), Err(Code::Input));
    assert_eq!(code(&owner.context, &keys, &inputs(&result.values["o"][0])), Err(Code::Level));
    let stopped = run(&owner.context, &schedule, &keys, &good, &mut |done, _| done < 2).unwrap_err();
    assert_eq!(stopped.code, Code::Stopped);
}

#[test]
fn numbers_that_do_not_fit_are_refused_and_overflow_is_seen() {
    let request = Request::toy(TOY, 2);
    let mut owner = Owner::new(&request, 12);
    let mut encrypt = |value: f64| {
        let values = vec![value; 128];
        Ciphertext::encrypt(&owner.context, &owner.secret, &values, &mut owner.random)
    };
    for value in [f64::NAN, f64::INFINITY, 1e300, 1e5] {
        assert_eq!(encrypt(value).unwrap_err().code, Code::Range);
    }
    assert!(encrypt(8000.0).is_ok());
    let short = Ciphertext::encrypt(&owner.context, &owner.secret, &[1.0], &mut owner.random);
    assert_eq!(short.unwrap_err().code, Code::Input);
    // 6000^2 does not fit the first prime: at level 0 the result is noise, and said to be.
    let schedule = unary(&request, |b, a| {
        let square = b.mul(a, a);
        let square = b.relinearize(square);
        let square = b.rescale(square);
        b.drop_to(square, 0)
    });
    let keys = owner.keys(&schedule.keys);
    let values: Vec<f64> = numbers(128, 13).iter().map(|x| 6000.0 * x).collect();
    let inputs = Inputs { secret: [("a".into(), vec![owner.encrypt(&values)])].into(), ..Inputs::default() };
    let result = run(&owner.context, &schedule, &keys, &inputs, &mut |_, _| true).unwrap();
    let opened = result.values["o"][0].decrypt(&owner.context, &owner.secret);
    assert_eq!(opened.unwrap_err().code, Code::Range);
    let schedule = unary(&request, |b, a| {
        let large = b.mul_scalar(a, 1e60);
        b.rescale(large)
    });
    let error = run(&owner.context, &schedule, &keys, &inputs, &mut |_, _| true).unwrap_err();
    assert_eq!(error.code, Code::Range);
}

#[test]
fn a_matrix_by_vector_runs_at_128_bits() {
    let request = Request::new(1 << 13, 2);
    let mut owner = Owner::new(&request, 14);
    assert!(!owner.context.parameters().insecure_toy);
    let (matrix, vector) = (numbers(4096, 15), numbers(64, 16));
    let mut b = Builder::new(owner.context.parameters().clone());
    let (a, v) = (b.secret("a", 1)[0], b.secret("v", 1)[0]);
    let product = b.mul(a, v);
    let product = b.relinearize(product);
    let mut sum = b.rescale(product);
    for by in [32, 16, 8, 4, 2, 1] {
        let turned = b.rotate(sum, by);
        sum = b.add(sum, turned);
    }
    b.output("o", &[sum]);
    let schedule = b.finish().unwrap();
    let repeated: Vec<f64> = vector.iter().copied().cycle().take(4096).collect();
    let found = owner.run(&schedule, &[("a", &matrix), ("v", &repeated)]);
    for row in 0..64 {
        let expected: f64 = (0..64).map(|k| matrix[64 * row + k] * vector[k]).sum();
        assert!((found[0][64 * row] - expected).abs() < 1e-6);
    }
}
