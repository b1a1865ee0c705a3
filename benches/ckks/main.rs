//! `cargo bench --bench ckks`: encrypted schedules beside those of EinHops and HEIR, and beside what is least.
//!
//! For each program of `tests/ckks/figures.txt`: EinHops's rotations by its rule, ours with row-major interface and
//! with free packing, within its levels and with one level more, the fewest rotations there can be (row by row, free), and
//! the longest that the compiler took. Then, for each program that HEIR accepts, the key switches of `heir-opt` (which
//! EINC_HEIR_OPT names; else its stored counts) and ours. `cargo bench --bench ckks -- run` also runs each under encryption
//! and prints seconds, keys included; `-- figures` prints the lines of `tests/ckks/figures.txt` as they are now.
//! `benches/ckks/run` does all of it, with the peers set up, and the time per operation of OpenFHE.

mod bound;
mod einhops;
mod heir;

use einc::pipeline::ckks::{Encrypted, Settings, compile};
use einc::program::einsum;
use einc::slots::lower::Interface;
use einc_runtime::DType;
use std::time::Instant;

/// What is compiled of each program: its interface, and how many levels beyond EinHops's it may spend.
const MODES: [(&str, Interface, Option<u32>); 4] = [
    ("row_major", Interface::RowMajor, None),
    ("within its lv", Interface::RowMajor, Some(0)),
    ("one lv more", Interface::RowMajor, Some(1)),
    ("free", Interface::Free, None),
];

fn main() {
    let wanted = |word: &str| std::env::args().any(|arg| arg == word);
    if wanted("figures") {
        return figures();
    }
    let run = wanted("run");
    print!("{:<22} {:>11}", "einsum", "EinHops");
    MODES.iter().for_each(|(name, _, _)| print!(" {name:>13}"));
    println!(" {:>11} {:>9}", "bounds", "compile s");
    let mut gains = [(0.0, 0); MODES.len()];
    let (mut compiling, mut running) = (0.0, 0.0);
    for (spec, shapes) in programs() {
        let peer = peer(&spec, &shapes);
        let told = peer.map_or("-".to_string(), |(rotations, levels)| format!("{rotations} ({levels})"));
        print!("{spec:<22} {told:>11}");
        let mut slowest: f64 = 0.0;
        for (k, (_, interface, more)) in MODES.into_iter().enumerate() {
            let start = Instant::now();
            let compiled = compiled(&spec, &shapes, interface, more);
            slowest = slowest.max(start.elapsed().as_secs_f64());
            compiling += start.elapsed().as_secs_f64();
            let Some(compiled) = compiled else {
                print!(" {:>13}", "-");
                continue;
            };
            let counts = compiled.slots.counts();
            // Programs that move data are those that EinHops permutes.
            if let Some((peer, _)) = peer.filter(|peer| peer.0 > 20 && counts.rotations > 0) {
                gains[k].0 += (peer as f64 / counts.rotations as f64).ln();
                gains[k].1 += 1;
            }
            let mut cell = format!("{} ({})", counts.rotations, counts.levels);
            if run && more.is_none() {
                let start = Instant::now();
                cell += &executed(&compiled);
                running += start.elapsed().as_secs_f64();
            }
            print!(" {cell:>13}");
        }
        let (rows, free) = bound::rotations(&spec, &shapes);
        println!(" {:>11} {slowest:>9.2}", format!("{rows}, {free}"));
    }
    for ((name, _, _), (sum, count)) in MODES.iter().zip(gains) {
        let gain = (sum / f64::from(count)).exp();
        println!("{name}: {gain:.1} times fewer rotations than EinHops, geometric mean of {count}");
    }
    println!("compiled in {compiling:.1} s");
    if run {
        println!(
            "row_major and free ran encrypted in {running:.1} s, keys, encryption and decryption included"
        );
    }
    beside_heir();
}

/// The programs of `tests/ckks/figures.txt`, with the shapes of their operands.
fn programs() -> Vec<(String, Vec<Vec<u64>>)> {
    let lines = include_str!("../../tests/ckks/figures.txt").lines().filter(|line| !line.starts_with('#'));
    let program = |line: &str| {
        let mut parts = line.split('|').map(str::trim);
        let (spec, shapes) = (parts.next()?.to_string(), parts.next()?);
        let shape = |shape: &str| shape.trim().split('x').filter_map(|extent| extent.parse().ok()).collect();
        Some((spec, shapes.split(';').map(shape).collect()))
    };
    lines.filter_map(program).collect()
}

/// EinHops's rotations and levels, where the whole fits its one ciphertext.
fn peer(spec: &str, shapes: &[Vec<u64>]) -> Option<(u64, u32)> {
    let known = include_str!("../../tests/ckks/figures.txt").lines().any(|line| {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        parts.len() > 2 && parts[0] == spec && parts[1] == shown(shapes) && parts[2] != "-"
    });
    known.then(|| (einhops::rotations(spec, shapes), einhops::levels(spec, shapes)))
}

fn shown(shapes: &[Vec<u64>]) -> String {
    let shape = |shape: &Vec<u64>| shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
    shapes.iter().map(shape).collect::<Vec<_>>().join("; ")
}

/// A program at 16384 slots; within so many levels more than EinHops takes, if that is asked for and it takes any.
fn compiled(spec: &str, shapes: &[Vec<u64>], interface: Interface, more: Option<u32>) -> Option<Encrypted> {
    let depth = match more {
        Some(more) => Some(peer(spec, shapes)?.1 + more),
        None => None,
    };
    let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
    let parsed = einsum::parse(spec, &ranks).expect("an einsum");
    let program = einsum::program(&parsed, DType::F64, shapes).expect("shapes that fit").program;
    let settings = Settings { layout: Some(interface), slots: Some(16384), depth, ..Settings::default() };
    compile(program, &settings).ok()
}

/// The lines of `tests/ckks/figures.txt` as they are now.
fn figures() {
    for (spec, shapes) in programs() {
        let peer = peer(&spec, &shapes);
        let mut line = format!("{spec} | {}", shown(&shapes));
        line += &peer.map_or(" | -".to_string(), |(rotations, levels)| format!(" | {rotations} {levels}"));
        for (_, interface, more) in MODES {
            line += &compiled(&spec, &shapes, interface, more).map_or(" | -".to_string(), |compiled| {
                let c = compiled.slots.counts();
                let [relinearize, mul, plain] = [c.relinearizations, c.mul, c.mul_plain];
                format!(" | {} {relinearize} {mul} {plain} {}", c.rotations, c.levels)
            });
        }
        println!("{line}");
    }
}

/// Key switches (rotations and relinearizations) of HEIR's schedules and of ours, both packed freely.
fn beside_heir() {
    let binary = std::env::var("EINC_HEIR_OPT").ok();
    let source = match &binary {
        Some(path) => format!("by {path}"),
        None => "stored counts of heir_py 2026.10.1, since EINC_HEIR_OPT names no heir-opt".to_string(),
    };
    println!("\nHEIR, {source}: rotations + relinearizations, products of ciphertexts, with clear vectors");
    println!("{:<14} {:<22} {:>18} {:>18} {:>6}", "einsum", "shapes", "HEIR", "free", "bound");
    for case in &heir::CASES {
        let shapes: Vec<Vec<u64>> = case.shapes.iter().map(|shape| shape.to_vec()).collect();
        let shown: Vec<String> = shapes
            .iter()
            .map(|shape| shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x"))
            .collect();
        let theirs = match &binary {
            Some(path) => heir::counts(path, case),
            None => Ok(case.known),
        };
        let cell =
            |[rotate, mul, relinearize, plain]: [u64; 4]| format!("{rotate}+{relinearize} {mul} {plain}");
        let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
        let parsed = einsum::parse(case.spec, &ranks).expect("an einsum");
        let program = einsum::program(&parsed, DType::F64, &shapes).expect("shapes that fit").program;
        let names = program.inputs.iter().map(|&id| program.tensors[id].name.clone()).enumerate();
        let secrets = names.filter(|(k, _)| case.clear != Some(*k)).map(|(_, name)| name).collect();
        let settings = Settings { slots: Some(16384), secrets: Some(secrets), ..Settings::default() };
        let ours = match compile(program, &settings) {
            Ok(compiled) => {
                let counts = compiled.slots.counts();
                cell([counts.rotations, counts.mul, counts.relinearizations, counts.mul_plain])
            }
            Err(_) => "refused".to_string(),
        };
        let bound = bound::rotations(case.spec, &shapes).1;
        let theirs = theirs.map_or_else(|why| why, cell);
        println!("{:<14} {:<22} {theirs:>18} {ours:>18} {bound:>6}", case.spec, shown.join(" "));
    }
}

#[cfg(feature = "ckks")]
fn executed(compiled: &Encrypted) -> String {
    let program = compiled.program();
    let inputs: Vec<_> = program
        .inputs
        .iter()
        .filter_map(|&id| {
            let tensor = &program.tensors[id];
            einc::pipeline::random(7, &tensor.name, tensor.dtype, &tensor.shape)
        })
        .collect();
    let start = Instant::now();
    match compiled.run(&inputs.iter().collect::<Vec<_>>(), &mut |_, _| true) {
        Ok(_) => format!(" {:.2} s", start.elapsed().as_secs_f64()),
        Err(failed) => format!(" {failed:?}"),
    }
}

#[cfg(not(feature = "ckks"))]
fn executed(_: &Encrypted) -> String {
    String::new()
}
