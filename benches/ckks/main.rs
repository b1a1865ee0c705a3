//! `cargo bench --bench ckks`: encrypted schedules beside those of EinHops and HEIR, and beside what is least.
//!
//! For each program of `tests/ckks/figures.txt`: EinHops's rotations by its rule, ours with row-major interface and
//! with free packing, levels, the fewest rotations there can be, and how long the compiler took. Then, for each program
//! that HEIR accepts, the key switches of `heir-opt` (which EINC_HEIR_OPT names; else its stored counts) and ours.
//! `cargo bench --bench ckks -- run` also runs each under encryption and prints seconds, keys included.
//! `benches/ckks/run` does all of it, with the peers set up, and the time per operation of OpenFHE.

mod bound;
mod einhops;
mod heir;

use einc::pipeline::ckks::{Settings, compile};
use einc::program::einsum;
use einc::slots::lower::Interface;
use einc_runtime::DType;
use std::time::Instant;

fn main() {
    let run = std::env::args().any(|arg| arg == "run");
    println!(
        "{:<22} {:>8} {:>18} {:>6} {:>18} {:>6} {:>16}",
        "einsum", "EinHops", "row_major (lv)", "bound", "free (lv)", "bound", "compile s"
    );
    let mut gains = [(0.0, 0); 2];
    for line in include_str!("../../tests/ckks/figures.txt").lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [spec, shapes, theirs, row, free] = parts[..] else { continue };
        let shapes: Vec<Vec<u64>> = shapes
            .split(';')
            .map(|shape| shape.trim().split('x').filter_map(|extent| extent.parse().ok()).collect())
            .collect();
        let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
        let peer = (theirs != "-").then(|| einhops::rotations(spec, &shapes));
        let mut cells = Vec::new();
        let mut seconds = Vec::new();
        for (k, (interface, figures)) in
            [(Interface::RowMajor, row), (Interface::Free, free)].into_iter().enumerate()
        {
            if figures == "-" {
                cells.push("-".to_string());
                continue;
            }
            let parsed = einsum::parse(spec, &ranks).expect("an einsum");
            let program = einsum::program(&parsed, DType::F64, &shapes).expect("shapes that fit").program;
            let settings = Settings { layout: Some(interface), slots: Some(16384), ..Settings::default() };
            let start = Instant::now();
            let Ok(compiled) = compile(program.clone(), &settings) else {
                cells.push("refused".to_string());
                continue;
            };
            seconds.push(format!("{:.2}", start.elapsed().as_secs_f64()));
            let counts = compiled.slots.counts();
            // Programs that move data are those that EinHops permutes.
            if let Some(peer) = peer.filter(|peer| *peer > 20 && counts.rotations > 0) {
                gains[k].0 += (peer as f64 / counts.rotations as f64).ln();
                gains[k].1 += 1;
            }
            let mut cell = format!("{} ({})", counts.rotations, counts.levels);
            if run {
                cell += &executed(&compiled);
            }
            cells.push(cell);
        }
        let peer = peer.map_or("-".to_string(), |peer| peer.to_string());
        let (rows, free) = bound::rotations(spec, &shapes);
        println!(
            "{spec:<22} {peer:>8} {:>18} {rows:>6} {:>18} {free:>6} {:>16}",
            cells[0],
            cells[1],
            seconds.join(" ")
        );
    }
    for (name, (sum, count)) in ["row_major", "free"].iter().zip(gains) {
        println!(
            "{name}: {:.1} times fewer rotations than EinHops, geometric mean of {count}",
            (sum / f64::from(count)).exp()
        );
    }
    beside_heir();
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
fn executed(compiled: &einc::pipeline::ckks::Encrypted) -> String {
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
fn executed(_: &einc::pipeline::ckks::Encrypted) -> String {
    String::new()
}
