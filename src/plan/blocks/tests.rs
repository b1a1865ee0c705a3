//! Plans in blocks compute what they did.

use super::super::random_tests::random_program;
use super::super::tests::plan_of;
use super::super::{Place, Plan, Step};
use super::{Limits, block, in_small_blocks};
use crate::expr::{AlongOp, Binary, Expr, Outside, Read, Unary};
use crate::graph::sample::*;
use crate::program::Program;
use crate::source::Span;
use einc_runtime::{DType, Scalar, Tensor};

/// Runs both plans on the same numbers.
pub(in crate::plan) fn assert_same(plan: &Plan, blocked: &Plan, note: &str) {
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

fn is_scan_apart(step: &Step) -> bool {
    matches!(step, Step::Scan(scan) if scan.apart)
}

#[test]
fn random_programs_compute_the_same_in_blocks() {
    for (dtype, seeds) in [(DType::I64, 0..300), (DType::F64, 1000..1200)] {
        let mut blocked = 0;
        for seed in seeds {
            let plan = plan_of(&random_program(seed, dtype, &[1, 4, 5, 6, 8]));
            let other = in_small_blocks(&plan);
            blocked += usize::from(other.steps.iter().any(is_scan_apart));
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
    let body = s.read(series, index, Outside::Never);
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
    assert!(matches!(&blocked.steps[..], [scan] if is_scan_apart(scan)), "{blocked}");
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
    assert!(matches!(&blocked.steps[..], [scan] if is_scan_apart(scan)), "{plan}\n{blocked}");
    let limits = Limits { far: (64 << 10) + 1, ..limits };
    assert_eq!(block(plan.clone(), limits).to_string(), plan.to_string());
    // The second transform of one row would leave lanes empty.
    let limits = Limits { far: 64 << 10, near: 1 << 10, ..limits };
    assert_eq!(block(plan.clone(), limits).to_string(), plan.to_string());
}

/// `z[b,l,m] = x[b,m] * sum[j](z[b + shift,l - 1,j] * w[l,j]) + z[b,l - 1,m]`, from `x`; the last step's.
fn layers(shift: i64) -> Program {
    let mut s = Sample::new(DType::F32);
    let [b, l, m, j] =
        [("b", 640), ("l", 4), ("m", 24), ("j", 24)].map(|(name, extent)| s.axis(name, extent));
    let (x, w) = (s.input("x", &[640, 24]), s.input("w", &[4, 24]));
    let turned =
        if shift == 0 { ix(b) } else { binary(Binary::Rem, affine(&[(1, b)], shift), Expr::int(640)) };
    let [x_at, x_sum, w_at] =
        [s.at(x, &[b, m]), s.read(x, vec![turned.clone(), ix(j)], Outside::Never), s.at(w, &[l, j])];
    let define = s.prepare("z", &[b, l, m], |z| {
        let before = |row, column, start| {
            let indices = vec![row, affine(&[(1, l)], -1), ix(column)];
            Expr::Read(Read {
                source: z,
                dtype: DType::F32,
                indices,
                outside: Outside::Else(Box::new(start)),
                place: Span::default(),
            })
        };
        let joined = sum(&[j], mul([before(turned, j, x_sum), w_at]));
        add([mul([x_at.clone(), joined]), before(ix(b), m, x_at)])
    });
    let z = define.target;
    s.scan(l, false, vec![define]);
    let last = s.read(z, vec![ix(b), Expr::int(3), ix(m)], Outside::Never);
    let y = s.define("y", &[b, m], last);
    s.output(y);
    s.program
}

#[test]
fn scans_run_in_blocks_of_rows() {
    let limits = Limits { far: 64 << 10, near: 16 << 10, blocks: 8, rows: 16, worth: 0.0 };
    let plan = plan_of(&layers(0));
    let blocked = super::super::arena::assign(block(plan.clone(), limits));
    assert_same(&plan, &blocked, "layers");
    let [Step::Scan(blocks)] = &blocked.steps[..] else { panic!("{blocked}") };
    assert!(blocks.apart && matches!(&blocks.body[0], Step::Scan(layers) if !layers.apart), "{blocked}");
    // Its own values are history, of which other rows are read.
    let plan = plan_of(&layers(1));
    let blocked = super::super::arena::assign(block(plan.clone(), limits));
    assert_same(&plan, &blocked, "layers");
    assert!(!blocked.steps.iter().any(is_scan_apart), "{blocked}");
}
