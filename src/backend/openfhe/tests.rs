use super::*;
use einc_runtime::ckks::schedule::{Layout, Values};
use einc_runtime::ckks::{Builder, Parameters, Request};

/// Uses every instruction.
fn schedule() -> Schedule {
    let mut b = Builder::new(Parameters::choose(&Request::new(1 << 13, 2)).unwrap());
    let a = b.secret("A", 1)[0];
    let v = b.secret("v", 1)[0];
    let w = b.clear("w", 1)[0];
    let mask = b.constant(Values::Runs(vec![(64, 1.0), (4032, 0.0)]));
    let signs = b.constant(Values::Periodic(vec![1.0, -1.0]));
    let half = b.constant(Values::Splat(0.5));
    let product = b.mul(a, v);
    let square = b.mul(v, v);
    let product = b.sub(product, square);
    let product = b.relinearize(product);
    let scaled = b.mul_scalar(a, 0.25);
    let product = b.add(product, scaled);
    let product = b.add_plain(product, signs);
    let product = b.rescale(product);
    let digits = b.hoist(product);
    let near = b.rotate(digits, 1);
    let far = b.rotate(digits, -1);
    let sum = b.add(near, far);
    let sum = b.add_plain(sum, w);
    let masked = b.mul_plain(sum, mask);
    let masked = b.rescale(masked);
    let low = b.drop_to(v, 0);
    let low = b.conjugate(low);
    let low = b.neg(low);
    let low = b.add_plain(low, half);
    let end = b.add(masked, low);
    let end = b.rotate(end, 2);
    b.output("o", &[end]);
    b.output("p", &[product]);
    b.input_layout("A", Layout::from_slots("A", &[64, 64], &[(0..4096).map(Some).collect()]));
    let sparse = (0..4096).map(|slot| (slot % 64 == 0).then_some(slot / 64)).collect();
    b.output_layout("o", Layout::from_slots("o", &[64], &[sparse]));
    b.finish().unwrap()
}

#[test]
fn python_program() {
    insta::assert_snapshot!(python(&schedule()));
}

#[test]
fn cpp_program() {
    insta::assert_snapshot!(cpp(&schedule()));
}

#[test]
fn values_live_as_long_as_their_digits() {
    let mut b = Builder::new(Parameters::choose(&Request::new(1 << 13, 1)).unwrap());
    let a = b.secret("a", 1)[0];
    let twice = b.add(a, a);
    let digits = b.hoist(twice);
    let near = b.rotate(digits, 1);
    let far = b.rotate(digits, 2);
    b.output("o", &[near, far]);
    let freed = walk::freed_with_digits(&b.finish().unwrap());
    assert_eq!(freed, [vec![], vec![a], vec![], vec![], vec![twice, digits]]);
}
