//! How large the error of a schedule's outputs will be.
//!
//! Magnitudes and errors are root mean squares per slot, from inputs of a given magnitude, as if the terms of sums were
//! independent. The largest slot has up to eight times the root mean square; that is what is told.

use crate::id::Id;
use crate::slots::{Op, Slots, ValueId};
use einc_runtime::ckks::{Parameters, noise};

/// The largest of so many slots against the root mean square.
const LARGEST: f64 = 8.0;

/// Predicted errors and magnitudes of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// The largest error of any output.
    pub error: f64,
    /// The largest value anywhere, predicted.
    pub largest: f64,
}

impl Noise {
    /// Predicts for inputs and clear numbers of that root mean square.
    pub fn predict(slots: &Slots, parameters: &Parameters, magnitude: f64) -> Noise {
        let scales = parameters.scales();
        let top = parameters.levels();
        let mut known: Vec<(f64, f64)> = Vec::new();
        let mut noise = Noise::default();
        for (_, value) in slots.values.iter() {
            let of = |id: ValueId| known[id.number()];
            let level = value.level.min(top) as usize;
            let scale = scales[level].powi(value.factors as i32);
            let own = |units: f64| units / scale;
            let (size, error) = match value.op {
                Op::Input(..) => {
                    let dropped = if value.level < top { noise::rescale(parameters) } else { 0.0 };
                    (magnitude, own(noise::fresh(parameters).hypot(dropped)))
                }
                Op::Add(a, b) | Op::Sub(a, b) => {
                    let ((x, e), (y, f)) = (of(a), of(b));
                    // A value added to itself doubles.
                    if a == b { (2.0 * x, 2.0 * e) } else { (x.hypot(y), e.hypot(f)) }
                }
                Op::Neg(a) | Op::Hoist(a) => of(a),
                Op::Mul(a, b) => {
                    let ((x, e), (y, f)) = (of(a), of(b));
                    (x * y, (x * f).hypot(y * e))
                }
                Op::MulPlain(a, p) => {
                    let (x, e) = of(a);
                    let plain = &slots.plains[p];
                    let factor = plain.factor.abs()
                        * match plain.source {
                            crate::slots::PlainSource::Ones => 1.0,
                            crate::slots::PlainSource::Clear(_) => magnitude,
                        };
                    (x * factor, (e * factor).hypot(x * noise::encoding(parameters) / scales[level]))
                }
                Op::MulScalar(a, number) => {
                    let (x, e) = of(a);
                    (x * number.abs(), e * number.abs())
                }
                Op::AddPlain(a, _) => {
                    (of(a).0.hypot(magnitude), of(a).1.hypot(own(noise::encoding(parameters))))
                }
                Op::AddScalar(a, number) => (of(a).0.hypot(number), of(a).1),
                Op::Rotate(a, _) | Op::Relinearize(a) | Op::Conjugate(a) => {
                    (of(a).0, of(a).1.hypot(own(noise::key_switch(parameters, level as u32))))
                }
                Op::Rescale(a) | Op::Drop(a) => (of(a).0, of(a).1.hypot(own(noise::rescale(parameters)))),
            };
            noise.largest = noise.largest.max(LARGEST * size);
            known.push((size, error));
        }
        for value in slots.outputs.iter().flat_map(|output| &output.values) {
            noise.error = noise.error.max(LARGEST * known[value.number()].1);
        }
        noise
    }
}
