//! Plans in blocks compute what they did.

use super::super::random_tests::random_program;
use super::super::tests::plan_of;
use super::super::{Place, Plan, Step};
use super::{Limits, block, in_small_blocks};
use crate::expr::{AlongOp, Binary, Expr, Unary};
use crate::graph::sample::*;
use crate::program::Program;
use einc_runtime::{DType, Scalar, Tensor};

/// Runs both plans on the same numbers.
fn assert_same(plan: &Plan, blocked: &Plan, note: &str) {
    blocked.verify().unwrap_or_else(|law| panic!("{note}: {law}\n{plan}\n{blocked}"));
    let mut inputs: Vec<(usize, Tensor)> = Vec::new();
    for (_, buffer) in plan.buffers.iter() {
        let Place::Input(number) = buffer.place else { continue };
        let mut tensor = Tensor::zeros(buffer.dtype, &[buffer.elems]).expect("tests are small");
        for at in 0..tensor.elems() {
            let value = (at * 7 + number) as i128 % 5 - 2;
            let is_float = buffer.dtype.is_float();
            tensor.set(at, if is_float { Scalar::Real(value as f64) } else { Scalar::Int(value) });
        }
        inputs.push((number, tensor));
    }
    inputs.sort_by_key(|input| input.0);
    let inputs: Vec<&Tensor> = inputs.iter().map(|input| &input.1).collect();
    let [wanted, found] = [plan, blocked].map(|plan| crate::interpret::run_plan(plan, &inputs));
    match (wanted, found) {
        (Ok(wanted), Ok(found)) => {
            for (wanted, found) in wanted.iter().zip(&found) {
                for at in 0..wanted.elems() {
                    let (a, b) = (wanted.get(at), found.get(at));
                    let same = a == b || (a.re().is_nan() && b.re().is_nan());
                    assert!(same, "{note}: {a:?} is {b:?}\n{plan}\n{blocked}");
                }
            }
        }
        (wanted, found) => assert_eq!(wanted.err(), found.err(), "{note}"),
    }
}

fn is_scan(step: &Step) -> bool {
    matches!(step, Step::Scan(scan) if scan.apart)
}

#[test]
fn random_programs_compute_the_same_in_blocks() {
    for (dtype, seeds) in [(DType::I64, 0..300), (DType::F64, 1000..1200)] {
        let mut blocked = 0;
        for seed in seeds {
            let plan = plan_of(&random_program(seed, dtype, &[1, 4, 5, 6, 8]));
            let other = in_small_blocks(&plan);
            blocked += usize::from(other.steps.iter().any(is_scan));
            assert_same(&plan, &other, &format!("seed {seed}"));
        }
        assert!(blocked >= 20, "{blocked} of them run in blocks");
    }
}

/// `T[n,p] = sum[a] V[a,p] cos(a X[n])`, then a softmax and a sum over all.
fn series(n_extent: u64, shift: i64) -> Program {
    let mut s = Sample::new(DType::F32);
    let (n, a, p) = (s.axis("n", n_extent), s.axis("a", 50), s.axis("p", 24));
    let (x, v) = (s.input("X", &[n_extent]), s.input("V", &[50, 24]));
    let angle = mul([Expr::Cast(DType::F32, Box::new(ix(a))), s.at(x, &[n])]);
    let waves = s.define("W", &[n, a], unary(Unary::Cos, angle));
    let series = s.define("T", &[n, p], sum(&[a], mul([s.at(waves, &[n, a]), s.at(v, &[a, p])])));
    let turned = binary(Binary::Rem, affine(&[(1, n)], shift), Expr::int(n_extent as i64));
    let index = vec![if shift == 0 { ix(n) } else { turned }, ix(p)];
    let body = s.read(series, index, crate::expr::Outside::Never);
    let soft = s.define("S", &[n, p], along(AlongOp::Softmax, &[p], &[p], body));
    let total = s.define("y", &[n], sum(&[p], mul([s.at(soft, &[n, p]), s.at(soft, &[n, p])])));
    s.output(total);
    s.program
}

#[test]
fn values_that_leave_the_cache_are_made_in_blocks() {
    let limits = Limits { far: 64 << 10, near: 16 << 10, blocks: 8, rows: 16, worth: 0.0 };
    let plan = plan_of(&series(960, 0));
    let blocked = super::super::arena::assign(block(plan.clone(), limits));
    assert_same(&plan, &blocked, "series");
    assert!(matches!(&blocked.steps[..], [scan] if is_scan(scan)), "{blocked}");
    assert!(blocked.arena <= plan.arena / 2, "{blocked}");
    // What is small stays as it is.
    let limits = Limits { far: 1 << 20, ..limits };
    assert_eq!(block(plan.clone(), limits).to_string(), plan.to_string());
}

#[test]
fn what_is_read_at_other_rows_is_made_whole() {
    let limits = Limits { far: 64 << 10, near: 16 << 10, blocks: 8, rows: 16, worth: 0.0 };
    let plan = plan_of(&series(960, 3));
    let blocked = super::super::arena::assign(block(plan.clone(), limits));
    assert_same(&plan, &blocked, "series");
    assert!(blocked.steps.len() > 1, "{blocked}");
}

#[test]
fn transforms_of_several_factors_run_in_blocks() {
    let mut s = Sample::new(DType::C64);
    let (b, p, q) = (s.axis("b", 64), s.axis("p", 4), s.axis("q", 32));
    let (k, l) = (s.axis("k", 4), s.axis("l", 32));
    let x = s.input("X", &[64, 4, 32]);
    let read = s.at(x, &[b, p, q]);
    let first = s.define("A", &[b, k, q], along(AlongOp::Dft, &[p], &[k], read));
    let read = s.at(first, &[b, k, q]);
    let second = s.define("Y", &[b, k, l], along(AlongOp::Dft, &[q], &[l], read));
    s.output(second);
    let plan = plan_of(&s.program);
    // The result is read again once.
    let limits = Limits { far: 64 << 10, near: 16 << 10, blocks: 8, rows: 16, worth: 0.0 };
    let blocked = super::super::arena::assign(block(plan.clone(), limits));
    assert_same(&plan, &blocked, "transforms");
    assert!(matches!(&blocked.steps[..], [scan] if is_scan(scan)), "{plan}\n{blocked}");
    let limits = Limits { far: (64 << 10) + 1, ..limits };
    assert_eq!(block(plan.clone(), limits).to_string(), plan.to_string());
    // The second transform of one row would leave lanes empty.
    let limits = Limits { far: 64 << 10, near: 1 << 10, ..limits };
    assert_eq!(block(plan.clone(), limits).to_string(), plan.to_string());
}
