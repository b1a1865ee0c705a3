//! How fast the programs of the papers run at their papers' sizes: `cargo bench --bench papers [-- --json FILE FILTER ..]`.
//!
//! The cases are those of `cases.json`: sizes for the programs of each file, in f32 and c64 unless a case says `double`;
//! integers are below `below` or at even steps of `step`, and `interpolate` names matrices of linear interpolation, two
//! weights in each row. Writes `target/papers.json` or FILE: each case with its best time in
//! seconds and the arrays that it takes; `benches/papers/compare.py` runs the same cases with NumPy and PyTorch and prints
//! ratios. Times of one thread are those that it ran, not those that it waited for a core. Environment: `EINC_THREADS`
//! (default 1).

use einc::pipeline::{self, Settings};
use einc::program;
use einc::source::Sources;
use einc_runtime::{DType, Scalar, Tensor, pool};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a case may take, its first call aside.
const TIME: Duration = Duration::from_millis(500);

/// The seconds that this thread has run, where the system tells: other programs on the machine do not count.
fn own_seconds() -> Option<f64> {
    // Until the thread yields, the system knows them to some milliseconds only.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? * 1e-9)
}

/// The best mean of a batch of calls, in seconds; batches are as short as those of `compare.py`, as a machine with other
/// work is rarely left alone for long.
fn best(alone: bool, mut call: impl FnMut()) -> f64 {
    call();
    let start = Instant::now();
    let now = || own_seconds().filter(|_| alone).unwrap_or_else(|| start.elapsed().as_secs_f64());
    let before = now();
    call();
    let batch = (0.02 / (now() - before).max(1e-9)).clamp(1.0, 1e5) as u32;
    let mut best = f64::INFINITY;
    let mut batches = 0;
    while batches < 3 || start.elapsed() < TIME {
        let before = now();
        (0..batch).for_each(|_| call());
        best = best.min((now() - before) / f64::from(batch));
        batches += 1;
    }
    best
}

/// Numbers that look random, below a bound or, `step` given, at even steps.
fn integers(tensor: &mut Tensor, below: i64, step: Option<i64>) {
    let mut state = 1u64;
    for at in 0..tensor.elems() {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let value = match step {
            Some(step) => at as i64 * step,
            None => ((state >> 33) as i64) % below.max(1),
        };
        tensor.set(at, Scalar::Int(value.into()));
    }
}

/// The weights by which each row of a matrix interpolates between even places, one for each column.
fn weights(tensor: &mut Tensor) {
    let [rows, columns] = [0, 1].map(|axis| tensor.shape()[axis] as usize);
    for at in 0..tensor.elems() {
        let (row, column) = (at / columns, at % columns);
        let place = (row * (columns - 1)) as f64 / (rows - 1) as f64;
        tensor.set(at, Scalar::Real((1.0 - (place - column as f64).abs()).max(0.0)));
    }
}

/// The inputs of a case: random, within what the case says of them.
fn inputs(program: &program::Program, case: &Value) -> Vec<Tensor> {
    let of = |declared: &program::Tensor| {
        let mut tensor =
            pipeline::random(1, &declared.name, declared.dtype, &declared.shape).expect("memory");
        let given = |key: &str| case[key][&declared.name].as_i64();
        let flag = |key: &str| case[key].as_bool() == Some(true);
        if declared.dtype.is_integer() {
            integers(&mut tensor, given("below").unwrap_or(2), given("step"));
        } else if case["interpolate"].as_array().is_some_and(|names| names.contains(&json!(declared.name))) {
            weights(&mut tensor);
        } else if flag("positive") || flag("bits") {
            for at in 0..tensor.elems() {
                let Scalar::Real(value) = tensor.get(at) else { continue };
                let bit = if value < 0.0 { 0.0 } else { 1.0 };
                tensor.set(at, Scalar::Real(if flag("bits") { bit } else { value.abs() }));
            }
        }
        tensor
    };
    program.inputs.iter().map(|&id| of(&program.tensors[id])).collect()
}

/// A case of a file that ran, with its time and its arrays.
fn time(file: &str, name: &str, case: &Value, alone: bool) -> Value {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/papers"));
    let path = folder.join(format!("{file}.ein"));
    let text = std::fs::read_to_string(&path).expect("a program of a paper");
    let mut sources = Sources::default();
    let id = sources.add(path.display().to_string(), Some(path.clone()), &text);
    let (module, _) = program::load(&mut sources, id);
    let set = case["set"].as_object().expect("sizes");
    let dims = set.iter().map(|(name, size)| (name.clone(), size.as_i64().expect("a size"))).collect();
    let (real, complex) = match case["double"].as_bool() {
        Some(true) => (DType::F64, DType::C128),
        _ => (DType::F32, DType::C64),
    };
    let types = [("Real", real), ("Complex", complex)];
    let declared = types.into_iter().filter(|(name, _)| text.contains(&format!("type {name} in")));
    let dtypes = declared.map(|(name, dtype)| (name.to_string(), dtype)).collect();
    let bindings = pipeline::bindings(dims, dtypes, std::iter::empty());
    let function = case["fn"].as_str().expect("a function");
    let (program, _) = pipeline::check(&module, function, &bindings)
        .unwrap_or_else(|errors| panic!("{name}: {}", errors[0].message));
    let inputs = inputs(&program, case);
    let arrays: serde_json::Map<String, Value> = program
        .inputs
        .iter()
        .map(|&id| &program.tensors[id])
        .map(|tensor| (tensor.name.clone(), json!([tensor.dtype.to_string(), tensor.shape])))
        .collect();
    let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| ()).expect("it fits");
    assert!(executable.hindrance().is_none(), "{name} runs in native code");
    let operands: Vec<&Tensor> = inputs.iter().collect();
    let mut results = executable.results().expect("memory");
    let seconds = best(alone, || executable.run(&operands, &mut results).expect("no index leaves a tensor"));
    println!("{name:<28} {:10.3} ms", seconds * 1e3);
    json!({ "name": name, "seconds": seconds, "arrays": arrays, "case": case })
}

fn main() {
    let threads = std::env::var("EINC_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    pool::set_threads(threads);
    let mut path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/papers.json").to_string();
    let mut filters: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => path = arguments.next().expect("--json FILE"),
            _ if argument.starts_with("--") => {}
            _ => filters.push(argument),
        }
    }
    let files: Value = serde_json::from_str(include_str!("cases.json")).expect("valid JSON");
    let mut results = Vec::new();
    for (file, cases) in files.as_object().expect("files") {
        for case in cases.as_array().expect("a list") {
            let function = case["fn"].as_str().expect("a function");
            let mut name = format!("{} {function}", &file[..2]);
            if let Some(label) = case["label"].as_str() {
                name = format!("{name} {label}");
            }
            if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
                results.push(time(file, &name, case, threads == 1));
            }
        }
    }
    let value = json!({ "threads": threads, "cases": results });
    std::fs::write(&path, format!("{value:#}\n")).expect("a folder that can be written to");
    println!("written to {path}");
}
