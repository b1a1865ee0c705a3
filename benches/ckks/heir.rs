//! How many operations HEIR takes: its `heir-opt`, where there is one, on the programs that it accepts; else its counts as
//! they were with the wheel `heir_py` 2026.10.1.

use std::io::Write;
use std::process::{Command, Stdio};

/// A program that HEIR accepts.
pub struct Case {
    pub spec: &'static str,
    pub shapes: &'static [&'static [u64]],
    /// The operand that is clear.
    pub clear: Option<usize>,
    /// Rotations, products of ciphertexts, relinearizations, and products with clear vectors, of 2026.10.1.
    pub known: [u64; 4],
}

/// All that are compared, at 16384 slots.
pub const CASES: [Case; 10] = [
    Case { spec: "ik,kj->ij", shapes: &[&[16, 17], &[17, 19]], clear: None, known: [24, 17, 5, 2] },
    Case { spec: "ik,kj->ij", shapes: &[&[17, 32], &[32, 33]], clear: None, known: [42, 32, 7, 2] },
    Case { spec: "ik,kj->ij", shapes: &[&[25, 27], &[27, 22]], clear: None, known: [36, 26, 10, 2] },
    Case { spec: "ik,kj->ij", shapes: &[&[63, 64], &[64, 65]], clear: None, known: [79, 64, 9, 3] },
    Case { spec: "bik,bkj->bij", shapes: &[&[16, 7, 9], &[16, 9, 11]], clear: None, known: [13, 9, 4, 2] },
    Case {
        spec: "ij,jk,kl->il",
        shapes: &[&[16, 9], &[9, 7], &[7, 17]],
        clear: None,
        known: [24, 15, 10, 11],
    },
    Case { spec: "i,i->", shapes: &[&[16384], &[16384]], clear: None, known: [14, 1, 1, 0] },
    Case { spec: "ij->i", shapes: &[&[128, 128]], clear: None, known: [7, 0, 0, 0] },
    Case { spec: "ik,k->i", shapes: &[&[128, 128], &[128]], clear: Some(0), known: [21, 0, 0, 128] },
    Case { spec: "ik,k->i", shapes: &[&[512, 784], &[784]], clear: Some(0), known: [45, 0, 0, 512] },
];

fn tensor(shape: &[u64]) -> String {
    let extents: String = shape.iter().map(|extent| format!("{extent}x")).collect();
    format!("tensor<{extents}f32>")
}

/// The program in MLIR: an operation of `linalg` for each product.
fn text(case: &Case) -> String {
    let arguments: Vec<String> = case
        .shapes
        .iter()
        .enumerate()
        .map(|(k, shape)| {
            let secret = if case.clear == Some(k) { "" } else { " {secret.secret}" };
            format!("%a{k}: {}{secret}", tensor(shape))
        })
        .collect();
    let terms: Vec<&str> = case.spec.split([',', '-']).collect();
    let extent = |axis: char| {
        let found = terms.iter().zip(case.shapes).find_map(|(term, shape)| Some(shape[term.find(axis)?]));
        found.expect("an axis of an operand")
    };
    let shape = |term: &str| term.chars().map(extent).collect::<Vec<u64>>();
    let output = case.spec.split("->").nth(1).unwrap_or_default();
    let mut body = String::new();
    let mut zero = |name: &str, shape: &[u64]| {
        body.push_str(&format!("  %{name} = arith.constant dense<0.0> : {}\n", tensor(shape)));
    };
    let result = match case.shapes {
        [whole] => {
            let (whole, part) = (tensor(whole), tensor(&shape(output)));
            zero("z", &shape(output));
            format!(
                "  %r = linalg.reduce {{ arith.addf }} ins(%a0 : {whole}) outs(%z : {part}) dimensions = [1]\n"
            )
        }
        _ => {
            // Two operands, their shapes, and that of the product.
            let steps: Vec<(&str, &str, [Vec<u64>; 3])> = match case.shapes {
                [a, b] => vec![("a0", "a1", [a.to_vec(), b.to_vec(), shape(output)])],
                [a, b, c, ..] => {
                    let between = vec![a[0], b[1]];
                    vec![
                        ("a0", "a1", [a.to_vec(), b.to_vec(), between.clone()]),
                        ("r0", "a2", [between, c.to_vec(), shape(output)]),
                    ]
                }
                _ => Vec::new(),
            };
            let mut text = String::new();
            let last = steps.len().saturating_sub(1);
            for (k, (x, y, [of_x, of_y, of_z])) in steps.into_iter().enumerate() {
                let operation = match (of_x.len(), of_y.len()) {
                    (1, 1) => "dot",
                    (2, 1) => "matvec",
                    (2, _) => "matmul",
                    _ => "batch_matmul",
                };
                let name = if k == last { "r".to_string() } else { format!("r{k}") };
                zero(&format!("z{k}"), &of_z);
                let (of_x, of_y, of_z) = (tensor(&of_x), tensor(&of_y), tensor(&of_z));
                text += &format!(
                    "  %{name} = linalg.{operation} ins(%{x}, %{y} : {of_x}, {of_y}) outs(%z{k} : {of_z}) -> {of_z}\n"
                );
            }
            text
        }
    };
    let of_output = tensor(&shape(output));
    format!(
        "func.func @main({}) -> {of_output} {{\n{body}{result}  return %r : {of_output}\n}}\n",
        arguments.join(", ")
    )
}

/// Rotations, products of ciphertexts, relinearizations, and products with clear vectors of what `heir-opt` writes.
pub fn counts(heir: &str, case: &Case) -> Result<[u64; 4], String> {
    let mut child = Command::new(heir)
        .args(["--mlir-to-ckks=min-slot-count=16384 unroll-fhe-kernel-loops", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let program = text(case);
    if let Some(mut input) = child.stdin.take() {
        input.write_all(program.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err("refused".to_string());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |name: &str| {
        let mark = format!("ckks.{name}");
        let ends = |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric());
        text.match_indices(&mark).filter(|(at, found)| ends(&text[at + found.len()..])).count() as u64
    };
    Ok([count("rotate"), count("mul"), count("relinearize"), count("mul_plain")])
}
