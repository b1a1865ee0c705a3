use super::*;
use crate::ckks::{Code, Request, checksum};

fn parameters() -> Parameters {
    Parameters::choose(&Request::toy(64, 3)).unwrap()
}

/// Uses every instruction.
fn example() -> Schedule {
    let mut b = Builder::new(parameters());
    let a = b.secret("A", 2);
    let w = b.clear("w.x", 1)[0];
    let mask: Vec<f64> = (0..32).map(|s| f64::from(u8::from(s < 5))).collect();
    let mask = b.constant(Values::from_dense(&mask));
    let noise: Vec<f64> = (0..32).map(|s| f64::from(s).sin()).collect();
    let noise = b.constant(Values::from_dense(&noise));
    let steps: Vec<f64> = (0..32).map(|s| f64::from(s % 4)).collect();
    let steps = b.constant(Values::from_dense(&steps));
    let one = b.constant(Values::Splat(1.0));
    let square = b.mul(a[0], a[1]);
    let twice = b.add(square, square);
    let short = b.relinearize(twice);
    let short = b.rescale(short);
    let digits = b.hoist(short);
    let left = b.rotate(digits, 3);
    let right = b.rotate(digits, -1);
    let both = b.sub(left, right);
    let plain = b.mul_plain(both, mask);
    let plain = b.add_plain(plain, noise);
    let plain = b.rescale(plain);
    let plain = b.add_plain(plain, w);
    let half = b.mul_scalar(plain, -0.5);
    let half = b.rescale(half);
    let low = b.drop_to(a[1], 0);
    let low = b.conjugate(low);
    let low = b.neg(low);
    let low = b.add_plain(low, steps);
    let low = b.add_plain(low, one);
    let end = b.add(low, half);
    let end = b.rotate(end, 3);
    b.output("y", &[end, plain]);
    let columns = |k: u64| (0..32).map(|s| Some(s % 4 * 16 + s / 4 + 8 * k)).collect();
    b.input_layout("A", Layout::from_slots("A", &[4, 16], &[columns(0), columns(1)]));
    let sparse = (0..32).map(|s| (s % 8 == 0).then_some(s / 8)).collect();
    b.output_layout("y", Layout::from_slots("y", &[4], &[sparse, vec![None; 32]]));
    b.finish().unwrap()
}

#[test]
fn the_text_comes_back() {
    let schedule = example();
    let text = schedule.to_string();
    assert_eq!(text.parse::<Schedule>().unwrap(), schedule);
    for line in [
        "ring 64, scale 2^40, digits 1, insecure toy  # log QP 354.0",
        "key relinearize level 3",
        "key conjugate level 0",
        "key rotate 3 level 2",
        "key rotate 31 level 2",
        "input secret A 2",
        "layout input A = A 4x16: 0 0 0 4*1,16 8*4,1 ; 1 0 8 4*1,16 8*4,1",
        "layout output y = y 4: 0 0 0 4*8,1",
        "input clear w.x 1",
        "plain p0 = input w.x 0",
        "plain p1 = runs 5*1.0 27*0.0",
        "plain p3 = periodic 0.0 1.0 2.0 3.0",
        "plain p4 = splat 1.0",
        "c2 = mul c0 c1                          # level 3, scale 2^80, 3 parts",
        "h6 = hoist c5                           # level 2, scale 2^40, digits",
        "c7 = rotate h6 left 3                   # level 2, scale 2^40, 2 parts",
        "output y = c22 c13",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn counts_keys_and_memory() {
    let schedule = example();
    let counts = schedule.counts();
    let expected = Counts {
        add: 8,
        mul: 1,
        mul_plain: 1,
        mul_scalar: 1,
        rotate: 3,
        rotate_hoisted: 2,
        hoist: 1,
        relinearize: 1,
        rescale: 3,
        drop: 1,
        conjugate: 1,
    };
    assert_eq!(counts, expected);
    assert_eq!(schedule.keys.count(), 4);
    // Two inputs of 2 parts, the product of 3, its double of 3, all of 4 primes.
    let polynomial = 64 * 8;
    assert!(schedule.register_bytes().unwrap() >= (2 * 2 + 3 + 3 - 2) * 4 * polynomial);
    let mut b = Builder::new(parameters());
    let a = b.secret("a", 1)[0];
    let (c, d) = (b.add(a, a), b.neg(a));
    b.output("c", &[c]);
    b.output("d", &[d]);
    assert_eq!(b.finish().unwrap().register_bytes().unwrap(), 3 * 2 * 4 * polynomial);
}

#[test]
fn vectors_are_stored_small_and_come_back() {
    for (dense, expected) in [
        (vec![2.0; 8], Values::Splat(2.0)),
        (vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0], Values::Periodic(vec![1.0, 2.0])),
        (vec![1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], Values::Runs(vec![(3, 1.0), (5, 0.0)])),
        (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], Values::Dense((1..9).map(f64::from).collect())),
    ] {
        let values = Values::from_dense(&dense);
        assert_eq!(values, expected);
        assert!(values.fits(8) && (!values.fits(12) || values == Values::Splat(2.0) || dense[2] == 1.0));
        assert_eq!(values.to_dense(8), dense);
    }
    assert!(!Values::Periodic(vec![1.0; 3]).fits(8) && !Values::Periodic(vec![]).fits(8));
    assert!(!Values::Runs(vec![(u32::MAX, 1.0), (9, 1.0)]).fits(8));
}

/// The code of what the check says of a schedule made by hand.
fn code(make: impl FnOnce(&mut Builder, Register)) -> Code {
    let mut b = Builder::new(parameters());
    let a = b.secret("a", 1)[0];
    make(&mut b, a);
    b.finish().unwrap_err().code
}

#[test]
fn broken_laws_have_codes() {
    let product = |b: &mut Builder, a| b.mul_scalar(a, 2.0);
    assert_eq!(code(|b, _| _ = b.neg(Register(7))), Code::Value);
    assert_eq!(code(|b, a| _ = b.add_plain(a, PlainId(0))), Code::Value);
    assert_eq!(code(|b, a| _ = b.rescale(a)), Code::Scale);
    assert_eq!(code(|b, a| _ = b.relinearize(a)), Code::Parts);
    assert_eq!(code(|b, a| _ = b.drop_to(a, 3)), Code::Level);
    assert_eq!(code(|b, a| _ = b.mul_scalar(a, f64::NAN)), Code::Value);
    assert_eq!(code(|b, a| _ = b.push(Instruction::Rotate { value: a, by: 32 })), Code::Value);
    assert_eq!(code(|b, a| _ = b.push(Instruction::Input { input: a.0, index: 1 })), Code::Value);
    assert_eq!(code(|b, a| b.output("o p", &[a])), Code::Format);
    assert_eq!(code(|b, _| b.output("o", &[])), Code::Value);
    assert_eq!(code(|b, _| _ = b.secret("a", 1)), Code::Format);
    assert_eq!(code(|b, _| _ = b.secret("b", 0)), Code::TooLarge);
    assert_eq!(code(|b, _| _ = b.constant(Values::Dense(vec![1.0; 3]))), Code::Value);
    assert_eq!(code(|b, _| _ = b.constant(Values::Splat(f64::INFINITY))), Code::Value);
    let sum_of_product = |b: &mut Builder, a| {
        let p = product(b, a);
        b.add(a, p);
    };
    assert_eq!(code(sum_of_product), Code::Scale);
    let levels_differ = |b: &mut Builder, a| {
        let low = b.drop_to(a, 1);
        b.add(a, low);
    };
    assert_eq!(code(levels_differ), Code::Level);
    let rotate_three_parts = |b: &mut Builder, a| {
        let p = b.mul(a, a);
        b.rotate(p, 1);
    };
    assert_eq!(code(rotate_three_parts), Code::Parts);
    let multiply_three_parts = |b: &mut Builder, a| {
        let p = b.mul(a, a);
        let p = b.rescale(p);
        let low = b.drop_to(a, 1);
        b.mul(p, low);
    };
    assert_eq!(code(multiply_three_parts), Code::Parts);
    let multiply_at_the_end = |b: &mut Builder, a| {
        let low = b.drop_to(a, 0);
        b.mul_scalar(low, 1.0);
    };
    assert_eq!(code(multiply_at_the_end), Code::Level);
    let add_digits = |b: &mut Builder, a| {
        let digits = b.hoist(a);
        b.add(digits, a);
    };
    assert_eq!(code(add_digits), Code::Value);
}

#[test]
fn missing_keys_are_found() {
    let schedule = example();
    let code = |change: &dyn Fn(&mut Keys)| {
        let mut wrong = schedule.clone();
        change(&mut wrong.keys);
        wrong.check().map_err(|error| error.code)
    };
    assert!(code(&|_| ()).is_ok());
    let changes: [&dyn Fn(&mut Keys); 4] = [
        &|keys| keys.relinearize = Some(2),
        &|keys| keys.conjugate = None,
        &|keys| keys.rotate.retain(|&by, _| by != 31),
        &|keys| keys.rotate.extend([(3, 1)]),
    ];
    for change in changes {
        assert_eq!(code(change), Err(Code::MissingKey));
    }
    assert_eq!(code(&|keys| keys.conjugate = Some(4)), Err(Code::Level));
    assert_eq!(code(&|keys| keys.rotate.extend([(32, 1)])), Err(Code::Value));
}

/// A text with its checksum made right.
fn sealed(body: &str) -> String {
    format!("{body}checksum {:016x}\n", checksum(body.as_bytes()))
}

#[test]
fn damaged_text_is_an_error_and_never_a_panic() {
    let text = example().to_string();
    assert_eq!("".parse::<Schedule>().unwrap_err().code, Code::Format);
    let other = text.replacen("schedule 1", "schedule 2", 1);
    assert_eq!(other.parse::<Schedule>().unwrap_err().code, Code::Version);
    let edited = text.replacen("mul c0 c1", "mul c0 c0", 1);
    assert_eq!(edited.parse::<Schedule>().unwrap_err().code, Code::Checksum);
    for cut in 0..text.len() - 1 {
        assert!(text[..cut].parse::<Schedule>().is_err(), "cut at {cut}");
    }
    // Every word replaced, the checksum made right: whatever is accepted passes the check.
    let body = &text[..text.rfind("checksum").unwrap()];
    let words: Vec<&str> = body.split(' ').collect();
    for place in 0..words.len() {
        for word in
            ["", "c0", "c9", "99999999999", "-1", "nan", "1e999", "left", "=", "\n", "\u{0}", "h6", "p1"]
        {
            let mut changed = words.clone();
            changed[place] = word;
            if let Ok(schedule) = sealed(&changed.join(" ")).parse::<Schedule>() {
                assert!(schedule.check().is_ok());
            }
        }
    }
}

#[test]
fn ranges_come_back_and_are_tried() {
    let mut b = Builder::new(parameters());
    let slots = b.parameters().slots() as usize;
    let x = b.secret("x", 1)[0];
    let half = b.mul_scalar(x, 0.5);
    let half = b.rescale(half);
    let mut cells = vec![None; slots];
    (0..3).for_each(|k| cells[2 * k] = Some(k as u64));
    let layout = Layout::from_slots("y", &[3], &[cells]);
    b.range(Range { value: half, function: "tanh".into(), ends: (-2.0, 2.0), layout });
    b.output("y", &[half]);
    let schedule = b.finish().unwrap();
    let text = schedule.to_string();
    assert!(text.contains("\nrange c2 tanh -2.0 2.0 = y 3: 0 0 0 3*2,1\n"), "{text}");
    assert_eq!(text.parse::<Schedule>().unwrap(), schedule);
    // Slots without an element may hold anything.
    let given = |numbers: [f64; 3]| {
        let mut vector = vec![1e3; slots];
        (0..3).for_each(|k| vector[2 * k] = numbers[k]);
        schedule.try_inputs(&std::collections::BTreeMap::from([("x".to_string(), vec![vector])]))
    };
    assert_eq!(given([-2.0, 0.0, 2.0]), Ok(()));
    let error = given([-2.0, 2.5, -3.0]).unwrap_err();
    assert_eq!(error.code, Code::Argument);
    assert!(error.message.contains("applies it to -3.000000 at element 2"), "{error}");
    assert_eq!(given([f64::NAN, 0.0, 0.0]).unwrap_err().code, Code::Argument);
    assert_eq!(schedule.try_inputs(&Default::default()).unwrap_err().code, Code::Input);
    let mut wrong = schedule.clone();
    wrong.ranges[0].ends = (2.0, 2.0);
    assert_eq!(wrong.check().unwrap_err().code, Code::Value);
    wrong.ranges[0] = Range { value: Register(9), ..schedule.ranges[0].clone() };
    assert_eq!(wrong.check().unwrap_err().code, Code::Value);
}

/// Numbers that fit, whose squares do not: below 2^13, as the first prime has 54 bits and the scale is 2^40.
#[test]
fn values_that_outgrow_their_primes_are_told() {
    let mut b = Builder::new(Parameters::choose(&Request::toy(64, 1)).unwrap());
    let slots = b.parameters().slots() as usize;
    let x = b.secret("x", 1)[0];
    let square = b.mul(x, x);
    let square = b.relinearize(square);
    let square = b.rescale(square);
    b.output("y", &[square]);
    let schedule = b.finish().unwrap();
    let given = |number: f64| {
        let mut vector = vec![1.0; slots];
        vector[7] = number;
        schedule.try_inputs(&std::collections::BTreeMap::from([("x".to_string(), vec![vector])]))
    };
    assert_eq!(given(85.0), Ok(()));
    for number in [95.0, 3000.0, -3000.0, f64::INFINITY, f64::NAN] {
        assert_eq!(given(number).unwrap_err().code, Code::Range, "{number}");
    }
}
