//! Convolutions whose intermediates lie for them, and those that are contracted in pieces.

use super::super::tests::plan_of;
use super::super::{Plan, Step};
use super::*;
use crate::expr::{Binary, Outside, Unary};
use crate::graph::sample::*;
use einc_runtime::DType;

/// A convolution of a folded series: what it is made of.
struct Case {
    batch: u64,
    channels: u64,
    filters: u64,
    places: [u64; 2],
    taps: [u64; 2],
    /// The step from tap to tap, and from place to place.
    steps: [i64; 2],
    /// How many values the series lacks of whole rows.
    lacks: u64,
    /// Whether the result is laid filters outside by the caller.
    apart: bool,
}

const CASE: Case = Case {
    batch: 4,
    channels: 4,
    filters: 16,
    places: [5, 6],
    taps: [3, 5],
    steps: [1, 1],
    lacks: 0,
    apart: false,
};

/// The plan of `y[b,t,o] = relu(sum[c,r,s](|w|[o,c,r,s] * z[b,c,i + r - 1,j + s - 2 else 0]))` where `z` is a series
/// `x[b,i * J + j,c]` in rows; the plan computes what the program does.
fn plan(case: &Case) -> Plan {
    let mut s = Sample::new(DType::F32);
    let [rows, columns] = case.places;
    let [by, step] = case.steps;
    let extent = |places: u64| (places - 1) * step as u64 + 1;
    let [height, width] = [extent(rows), extent(columns)];
    let series = height * width - case.lacks;
    let x = s.input("x", &[case.batch, series, case.channels]);
    let w = s.input("w", &[case.filters, case.channels, case.taps[0], case.taps[1]]);
    let [b, c, o] = [("b", case.batch), ("c", case.channels), ("o", case.filters)]
        .map(|(name, extent)| s.axis(name, extent));
    let [p, q] = [("p", height), ("q", width)].map(|(name, extent)| s.axis(name, extent));
    let [i, j] = [("i", rows), ("j", columns)].map(|(name, extent)| s.axis(name, extent));
    let [u, v] = [("u", case.taps[0]), ("v", case.taps[1])].map(|(name, extent)| s.axis(name, extent));
    let zero = || Outside::Else(Box::new(Expr::number(0.0, DType::F32)));
    let outside = if case.lacks > 0 { zero() } else { Outside::Never };
    let z = s.read(x, vec![ix(b), affine(&[(width as i64, p), (1, q)], 0), ix(c)], outside);
    let z = s.define("z", &[b, c, p, q], z);
    let kernel = unary(Unary::Abs, s.at(w, &[o, c, u, v]));
    let kernel = s.define("kernel", &[o, c, u, v], kernel);
    let [before, above] = case.taps.map(|taps| -(taps as i64 / 2) * by);
    let indices =
        vec![ix(b), ix(c), affine(&[(step, i), (by, u)], before), affine(&[(step, j), (by, v)], above)];
    let window = s.read(z, indices, zero());
    let y = s.define("y", &[b, o, i, j], sum(&[c, u, v], mul([s.at(kernel, &[o, c, u, v]), window])));
    if case.apart {
        s.output(y);
        return plan_of(&s.program);
    }
    let t = s.axis("t", rows * columns);
    let place = |op| binary(op, ix(t), Expr::int(columns as i64));
    let read = s.read(y, vec![ix(b), ix(o), place(Binary::FloorDiv), place(Binary::Rem)], Outside::Never);
    let out = s.define("out", &[b, t, o], unary(Unary::Relu, read));
    s.output(out);
    plan_of(&s.program)
}

/// How many contractions and how many loop nests there are.
fn count(case: &Case) -> (usize, usize) {
    let plan = plan(case);
    let contracts = plan.steps.iter().filter(|step| matches!(step, Step::Contract(_))).count();
    (contracts, plan.steps.len() - contracts)
}

#[test]
fn zeros_around_are_left_out_piece_by_piece() {
    // Three pieces of rows, five of columns; the kernel and the result are nests, and no copy is.
    assert_eq!(count(&CASE), (15, 2));
    assert_eq!(count(&Case { taps: [1, 3], channels: 8, ..CASE }), (3, 2));
    assert_eq!(count(&Case { taps: [5, 5], filters: 30, ..CASE }), (25, 2));
    // Windows that step by two, and taps that do.
    assert_eq!(count(&Case { steps: [1, 2], ..CASE }), (9, 2));
    assert_eq!(count(&Case { steps: [2, 1], places: [6, 9], ..CASE }), (15, 2));
    // The series is filled up to whole rows, in a copy that windows leave.
    assert_eq!(count(&Case { lacks: 2, ..CASE }), (15, 3));
}

#[test]
fn pieces_are_not_too_small() {
    // A single image: its rows are cut, its columns stay in a copy.
    let image = Case { batch: 1, places: [6, 12], taps: [5, 3], channels: 6, ..CASE };
    assert_eq!(count(&image), (5, 4));
    // Where all positions of a kind are single, or lie as the caller wants, the sums are what they were.
    assert_eq!(count(&Case { apart: true, ..CASE }), (1, 3));
    assert_eq!(count(&Case { filters: 9, ..CASE }), (1, 4));
    assert_eq!(count(&Case { channels: 3, ..CASE }), (1, 4));
}

/// Channels and filters are innermost wherever that is open, and functions of single elements follow.
#[test]
fn channels_lie_innermost() {
    let mut s = Sample::new(DType::F64);
    let x = s.input("x", &[2, 16, 7, 9]);
    let [v, w] = ["v", "w"].map(|name| s.input(name, &[16, 16, 3, 3]));
    let [b, c, d, o] = [("b", 2), ("c", 16), ("d", 16), ("o", 16)].map(|(name, extent)| s.axis(name, extent));
    let [i, j] = [("i", 7), ("j", 9)].map(|(name, extent)| s.axis(name, extent));
    let taps = ["r", "s", "t", "u"].map(|name| s.axis(name, 3));
    let windows = |s: &Sample, from, channel, r, t| {
        let indices = vec![ix(b), ix(channel), affine(&[(1, i), (1, r)], -1), affine(&[(1, j), (1, t)], -1)];
        s.read(from, indices, Outside::Else(Box::new(Expr::number(0.0, DType::F64))))
    };
    let [r, t, p, q] = taps;
    let factor = windows(&s, x, c, r, t);
    let first = sum(&[c, r, t], mul([s.at(v, &[d, c, r, t]), factor]));
    let first = s.define("first", &[b, d, i, j], first);
    let hidden = unary(Unary::Tanh, s.at(first, &[b, d, i, j]));
    let hidden = s.define("hidden", &[b, d, i, j], hidden);
    let factor = windows(&s, hidden, d, p, q);
    let last = sum(&[d, p, q], mul([s.at(w, &[o, d, p, q]), factor]));
    let last = s.define("last", &[b, i, j, o], last);
    s.output(last);
    let plan = plan_of(&s.program);
    let strides = |name: &str| {
        let (id, _) = plan.buffers.iter().find(|(_, buffer)| buffer.name == name).expect("it is there");
        let mut found = None;
        for step in &plan.steps {
            if let Step::Nest(nest) = step
                && nest.out.buffer == id
            {
                let named = nest.out.strides.iter().map(|term| (&*plan.axes[term.0].name, term.1));
                found = Some(named.collect::<Vec<_>>());
            }
        }
        found.unwrap_or_else(|| panic!("no nest writes {name}: {plan}"))
    };
    assert_eq!(strides("hidden"), [("b", 7 * 9 * 16), ("d", 1), ("i", 9 * 16), ("j", 16)], "{plan}");
}
