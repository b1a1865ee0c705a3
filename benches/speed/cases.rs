//! What is measured: matrix products, and the contractions of `tccg.json`.

use serde_json::Value;

/// An einsum string with the shapes of its operands.
pub struct Case {
    /// Its name, which filters look at.
    pub name: String,
    /// `f32` or `f64`.
    pub dtype: &'static str,
    /// The einsum string.
    pub spec: String,
    /// The shapes of its operands.
    pub shapes: Vec<Vec<u64>>,
    /// Floating-point operations, two for a multiply-add.
    pub flops: f64,
}

/// What a contraction costs at most unless all of it is asked for.
const MOST_FLOPS: f64 = 1e9;

/// Extents are not halved below this.
const LEAST_EXTENT: u64 = 24;

/// Every case: with its own sizes if `full`, else with the largest extents halved until it costs about a gigaflop (that of
/// the last axis of the result stays: how vectors fill depends on it).
pub fn cases(full: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in ["f32", "f64"] {
        for n in [1024u64, 2048] {
            cases.push(Case {
                name: format!("matmul {n} {dtype}"),
                dtype,
                spec: "ij,jk->ik".to_owned(),
                shapes: vec![vec![n, n], vec![n, n]],
                flops: 2.0 * (n as f64).powi(3),
            });
        }
    }
    let tccg: Value = serde_json::from_str(include_str!("tccg.json")).expect("valid JSON");
    for dtype in ["f32", "f64"] {
        for case in tccg.as_array().expect("a list") {
            let extents = case[dtype].as_object().expect("sizes");
            let mut extents: Vec<(char, u64)> = extents
                .iter()
                .map(|(label, extent)| {
                    (label.chars().next().expect("a label"), extent.as_u64().expect("a size"))
                })
                .collect();
            let spec = case["einsum"].as_str().expect("a string").to_owned();
            if !full {
                shrink(&mut extents, spec.chars().last());
            }
            let extent = |label| extents.iter().find(|(other, _)| *other == label).expect("a size").1;
            let operands = spec.split("->").next().expect("operands").split(',');
            let shapes = operands.map(|term| term.chars().map(extent).collect()).collect();
            let name = format!("{} {dtype}", case["id"].as_str().expect("a name"));
            cases.push(Case { name, dtype, spec, shapes, flops: work(&extents) });
        }
    }
    cases
}

fn work(extents: &[(char, u64)]) -> f64 {
    2.0 * extents.iter().map(|(_, extent)| *extent as f64).product::<f64>()
}

/// Halves the largest extents but one, to a multiple of 4, until the work is small enough.
fn shrink(extents: &mut [(char, u64)], kept: Option<char>) {
    while work(extents) > MOST_FLOPS {
        let large = extents.iter_mut().filter(|(label, e)| *e >= 2 * LEAST_EXTENT && Some(*label) != kept);
        let Some(largest) = large.max_by_key(|(_, e)| *e) else {
            return;
        };
        largest.1 = (largest.1 / 2).next_multiple_of(4);
    }
}
