//! Runs what another process asks for, one JSON object per line on stdin, one answer per line on stdout.
//!
//! | request | answer |
//! |---|---|
//! | `{"einsum": SPEC, "inputs": [[DTYPE, SHAPE, BELOW], ..]}` | `{}`, or `{"error": TEXT}` |
//! | `{"program": TEXT, "entry": NAME, "inputs": ..}` | the same |
//! | `{"time": SECONDS}` | `{"seconds": least time of one call}` |
//! | `{"check": true}` | `{"sum": .., "size": ..}`, see [`check`] |
//!
//! Inputs hold the values of [`fill`], which the other process can make too.

use crate::measure;
use einc::pipeline::{self, Executable, Settings};
use einc::{Compiled, DType, Module, Scalar, Sizes, Tensor};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::time::Duration;

enum Callable {
    Einsum(Box<Executable>),
    Program(Box<Compiled>),
}

/// A case that is ready to be called.
struct Ready {
    callable: Callable,
    inputs: Vec<Tensor>,
    results: Vec<Tensor>,
}

impl Ready {
    fn call(&mut self) {
        let inputs: Vec<&Tensor> = self.inputs.iter().collect();
        match &self.callable {
            Callable::Einsum(executable) => executable.run(&inputs, &mut self.results).expect("it runs"),
            Callable::Program(compiled) => compiled.call_into(&inputs, &mut self.results).expect("it runs"),
        }
    }
}

/// A tensor of values that look random and repeat: element `k` of operand `operand` is
/// `(7919 k + 104729 (operand + 1)) mod m`, for integers `m = below`, for others divided by `m = 2003`, less a half.
fn fill(dtype: DType, shape: &[u64], below: u64, operand: usize) -> Tensor {
    let mut tensor = Tensor::zeros(dtype, shape).expect("memory");
    let offset = 104_729 * (operand as u64 + 1);
    let value = |k: usize, modulus: u64| (7919 * k as u64 + offset) % modulus;
    let real = |k: usize| value(k, 2003) as f64 / 2003.0 - 0.5;
    match dtype {
        DType::F32 => {
            let elements = tensor.as_mut_slice::<f32>().expect("f32");
            elements.iter_mut().enumerate().for_each(|(k, element)| *element = real(k) as f32);
        }
        DType::F64 => {
            let elements = tensor.as_mut_slice::<f64>().expect("f64");
            elements.iter_mut().enumerate().for_each(|(k, element)| *element = real(k));
        }
        _ => (0..tensor.elems()).for_each(|k| tensor.set(k, Scalar::Int(i128::from(value(k, below))))),
    }
    tensor
}

/// The sum of the elements of a tensor, element `k` times `k mod 17 - 8`, and what its terms add up to without signs.
fn check(tensor: &Tensor) -> Value {
    let (mut sum, mut size) = (0.0, 0.0);
    for k in 0..tensor.elems() {
        let value = match tensor.get(k) {
            Scalar::Int(value) => value as f64,
            Scalar::Real(value) => value,
            Scalar::Complex(..) => 0.0,
        };
        let term = value * ((k % 17) as f64 - 8.0);
        sum += term;
        size += term.abs();
    }
    json!({ "sum": sum, "size": size })
}

fn prepare(request: &Value) -> Result<Ready, String> {
    let mut inputs = Vec::new();
    for (operand, input) in request["inputs"].as_array().ok_or("no inputs")?.iter().enumerate() {
        let dtype = input[0].as_str().and_then(DType::from_name).ok_or("no dtype")?;
        let shape = input[1].as_array().ok_or("no shape")?.iter().map(|extent| extent.as_u64().unwrap_or(0));
        inputs.push(fill(dtype, &shape.collect::<Vec<_>>(), input[2].as_u64().unwrap_or(1), operand));
    }
    if let Some(spec) = request["einsum"].as_str() {
        let (program, _) = pipeline::einsum(spec, &inputs.iter().collect::<Vec<_>>())
            .map_err(|diagnostic| diagnostic.message.clone())?;
        let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| ())
            .map_err(|diagnostics| diagnostics[0].message.clone())?;
        if executable.hindrance().is_some() {
            return Err("runs in the interpreter".to_owned());
        }
        let results = executable.results().ok_or("no memory")?;
        return Ok(Ready { callable: Callable::Einsum(Box::new(executable)), inputs, results });
    }
    let module = Module::parse(request["program"].as_str().ok_or("no program")?);
    let module = module.map_err(|error| error.to_string())?;
    let entry = request["entry"].as_str().unwrap_or("f");
    let compiled = module.compile(entry, &Sizes::new()).map_err(|error| error.to_string())?;
    let results = compiled.results().ok_or("no memory")?;
    Ok(Ready { callable: Callable::Program(Box::new(compiled)), inputs, results })
}

/// Answers requests until there are no more.
pub fn serve(threads: usize) {
    let mut ready = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.expect("a line")).expect("valid JSON");
        let answer = match (&mut ready, request["time"].as_f64()) {
            (Some(ready), Some(time)) => {
                let time = Duration::from_secs_f64(time);
                let seconds = measure::best(threads, time, &mut || Ready::call(ready));
                json!({ "seconds": seconds })
            }
            (Some(ready), None) if request["check"] == true => {
                ready.call();
                check(&ready.results[0])
            }
            _ => {
                // The last case's memory is free before the next takes its own.
                drop(ready.take());
                match prepare(&request) {
                    Ok(prepared) => {
                        ready = Some(prepared);
                        json!({})
                    }
                    Err(error) => json!({ "error": error }),
                }
            }
        };
        println!("{answer}");
        std::io::stdout().flush().expect("somebody listens");
    }
}
