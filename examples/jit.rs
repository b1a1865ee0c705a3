//! Compile a program from Rust, call it, and call it again without allocating.
//!
//!     cargo run --release --example jit

use einc::{Module, Sizes, Tensor};
use ndarray::{Array2, Array3};
use std::error::Error;
use std::time::Instant;

const PROGRAM: &str = "
type F in f32, f64

## A layer of two matrices with a smooth gate in between.
fn layer(x: F[...b, D], up: F[D, H], down: F[H, D]) -> (y: F[...b, D]) {
    h[...b, k] = gelu(sum[d](x[...b, d] * up[d, k]))
    y[...b, d] = h[...b, k] * down[k, d]
}
";

/// Public so that a test can run it.
pub fn main() -> Result<(), Box<dyn Error>> {
    // Parse and check once; sizes and element type follow from the arrays of each call.
    let module = Module::parse(PROGRAM)?;
    let layer = module.function("layer", &Sizes::new(), &Default::default())?;
    let x = Array3::<f32>::from_shape_fn((2, 3, 4), |(b, t, d)| (b + 2 * t + 3 * d) as f32 / 10.0);
    let up = Array2::<f32>::from_shape_fn((4, 8), |(d, k)| ((d * 7 + k * 3) % 5) as f32 - 2.0);
    let down = Array2::<f32>::from_shape_fn((8, 4), |(k, d)| ((k * 5 + d * 2) % 7) as f32 - 3.0);
    let results = layer.call(&[("x", &x), ("up", &up), ("down", &down)])?;
    println!("{:?} -> {:?}", x.shape(), results.first().shape());
    println!("{:.3}", results.array::<f32>("y").ok_or("y is f32")?);

    // What is wrong is a value, with the place and both sizes.
    let narrow = Array2::<f32>::zeros((5, 8));
    if let Err(error) = layer.call(&[("x", &x), ("up", &narrow), ("down", &down)]) {
        println!("\n{error}\n");
    }

    // For fixed sizes there is nothing left to decide at a call.
    let text = "fn chain(A: f64[N, N], B: f64[N, N], C: f64[N, N]) -> (D: f64[N, N]) {
        D[i, l] = A[i, j] * B[j, k] * C[k, l]
    }";
    let chain = Module::parse(text)?.compile("chain", &Sizes::new().dim("N", 4))?;
    let a = Tensor::from_slice(&[4, 4], &[0.5f64; 16]).ok_or("memory")?;
    let mut results = chain.results().ok_or("memory")?;
    let calls = 10_000;
    let start = Instant::now();
    for _ in 0..calls {
        chain.call_into(&[&a, &a, &a], &mut results)?;
    }
    let each = start.elapsed().as_secs_f64() / f64::from(calls);
    println!("three 4 by 4 matrices: {:?}, {:.2} us a call", results[0].get(0), each * 1e6);

    // And the one-liner.
    let trace = einc::einsum("bii->b", &[&Array3::<f32>::ones((2, 3, 3))])?;
    println!("traces: {:?}", trace.as_slice::<f32>());
    Ok(())
}
