//! Packed ciphertexts in the simulator against programs in the interpreter.

use crate::graph::Graph;
use crate::interpret::{run, run_slots};
use crate::program::Program;
use crate::program::einsum;
use crate::slots::Slots;
use crate::slots::lower::{self, Interface, Network};
use crate::{pass, pipeline};
use einc_runtime::{DType, Tensor};
use std::collections::BTreeMap;

/// Small integers, so that sums are exact.
fn numbers(seed: &mut u64, shape: &[u64]) -> Tensor {
    let count: u64 = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((*seed >> 33) % 9) as f64 - 4.0
        })
        .collect();
    Tensor::from_slice(shape, &values).unwrap()
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    (0..tensor.elems()).map(|k| tensor.get(k).re()).collect()
}

/// Lowers a program whose inputs are all secret and compares the simulator with the interpreter.
fn check(
    program: &Program,
    slots: u32,
    interface: Interface,
    seed: u64,
    secret: &dyn Fn(usize) -> bool,
) -> Slots {
    let graph = pass::run(Graph::new(program), lower::PASSES, &mut |_, _| {});
    let network = lower::split(&graph, secret, &program.approximations).unwrap();
    let lowered = lower::lower(&network, slots, interface, None)
        .unwrap_or_else(|_| panic!("seed {seed}: no layout\n{program}"));
    simulate(program, &network, &lowered, seed);
    // And with half of the keys, where that is possible, or with those that cost no rotation.
    let (keys, counts) = (lowered.counts().keys as u32, lowered.counts());
    if seed.is_multiple_of(2) {
        let shared = lowered.share_spare_keys(&|_| true);
        assert!(shared.counts().rotations <= counts.rotations, "seed {seed}\n{shared}");
        simulate(program, &network, &shared, seed);
        return lowered;
    }
    match lowered.share_keys(keys / 2) {
        Ok(shared) => {
            assert!(shared.counts().keys <= u64::from(keys / 2), "seed {seed}\n{shared}");
            assert!(shared.counts().rotations >= counts.rotations, "seed {seed}\n{shared}");
            simulate(program, &network, &shared, seed);
        }
        Err(fewest) => assert!((keys / 2 + 1..=keys).contains(&fewest), "seed {seed}: {fewest}\n{lowered}"),
    }
    lowered
}

/// Compares the simulator with the interpreter.
fn simulate(program: &Program, network: &Network, lowered: &Slots, seed: u64) {
    if let Err(law) = lowered.verify() {
        panic!("seed {seed}: {law}\n{program}\n{lowered}");
    }
    let text = lowered.to_string();
    match crate::slots::parse(&text) {
        Ok(read) => assert_eq!(read.to_string(), text, "seed {seed}"),
        Err((line, why)) => panic!("seed {seed}: line {line}: {why}\n{text}"),
    }
    let mut state = seed;
    let inputs: Vec<Tensor> =
        program.inputs.iter().map(|&id| numbers(&mut state, &program.tensors[id].shape)).collect();
    let expected = run(program, &inputs.iter().collect::<Vec<_>>()).unwrap();
    let (names, clear_values) = clears(&network.clear_graph, program, &inputs);
    let by_name: BTreeMap<String, Vec<f64>> = program
        .inputs
        .iter()
        .zip(&inputs)
        .map(|(&id, tensor)| (program.tensors[id].name.clone(), doubles(tensor)))
        .collect();
    let clear = |name: &str| names.iter().position(|known| known == name).map(|k| clear_values[k].clone());
    let results = run_slots(lowered, &|name| by_name.get(name).cloned(), &clear, seed);
    let results = results.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{program}\n{lowered}"));
    for (output, result) in lowered.outputs.iter().zip(&results) {
        let k = program.outputs.iter().position(|(name, _)| *name == output.name).unwrap();
        let reference = doubles(&expected[k]);
        let largest = reference.iter().fold(1.0f64, |most, x| most.max(x.abs()));
        for (element, (a, b)) in result.iter().zip(&reference).enumerate() {
            assert!(
                (a - b).abs() <= 1e-9 * largest,
                "seed {seed}: `{}` element {element}: {a} for {b}\n{program}\n{lowered}",
                output.name
            );
        }
    }
}

/// The clear tensors of a network.
fn clears(graph: &Graph, program: &Program, inputs: &[Tensor]) -> (Vec<String>, Vec<Vec<f64>>) {
    let (clear, constants) = crate::graph::to_program(graph).unwrap();
    let mut given: Vec<&Tensor> = Vec::new();
    for &id in &clear.inputs[..clear.inputs.len() - constants.len()] {
        let name = &clear.tensors[id].name;
        let k = program.inputs.iter().position(|&id| program.tensors[id].name == *name).unwrap();
        given.push(&inputs[k]);
    }
    given.extend(constants.iter().map(|constant| &**constant));
    let values = run(&clear, &given).unwrap();
    (clear.outputs.iter().map(|output| output.0.clone()).collect(), values.iter().map(doubles).collect())
}

fn einsum_program(spec: &str, shapes: &[&[u64]]) -> Program {
    let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
    let shapes: Vec<Vec<u64>> = shapes.iter().map(|shape| shape.to_vec()).collect();
    einsum::program(&einsum::parse(spec, &ranks).unwrap(), DType::F64, &shapes).unwrap().program
}

#[test]
fn matvec_in_both_interfaces() {
    let program = einsum_program("ik,k->i", &[&[8, 8], &[8]]);
    let free = check(&program, 64, Interface::Free, 1, &|_| true);
    assert_eq!(free.counts().rotations, 3, "{free}");
    check(&program, 64, Interface::RowMajor, 1, &|_| true);
    let clear = check(&program, 64, Interface::Free, 1, &|k| k == 1);
    assert_eq!(clear.counts().mul, 0);
}

/// Rows 9 to 15 of the output are padding, which no element reaches.
#[test]
fn ciphertexts_past_the_end_of_an_axis_are_zeros() {
    for (spec, shapes) in [
        ("d,a,dcd->adc", [&[6u64][..], &[9], &[6, 6, 6]]),
        ("bb,ca,abd->dc", [&[9, 9], &[8, 6], &[6, 9, 3]]),
        ("aaa,a,cab->ab", [&[12, 12, 12], &[12], &[5, 12, 7]]),
    ] {
        check(&einsum_program(spec, &shapes), 64, Interface::RowMajor, 7, &|_| true);
    }
}

/// As many for each unit of EINC_PROPERTY_CASES, which says how long the random tests take.
const RANDOM: u64 = 10_000;

#[test]
fn random_einsums() {
    let _ = pipeline::phase();
    let factor =
        std::env::var("EINC_PROPERTY_CASES").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let start = std::time::Instant::now();
    for seed in 0..RANDOM * factor {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(12345);
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let letters = 1 + draw(4) as usize;
        let extents: Vec<u64> = (0..letters).map(|_| 1 + draw(5)).collect();
        let operands = 1 + draw(3) as usize;
        let mut terms = Vec::new();
        let mut used = Vec::new();
        for _ in 0..operands {
            let rank = draw(4) as usize;
            let term: Vec<usize> = (0..rank).map(|_| draw(letters as u64) as usize).collect();
            used.extend(term.clone());
            terms.push(term);
        }
        let mut output: Vec<usize> = Vec::new();
        for letter in 0..letters {
            if used.contains(&letter) && draw(2) == 0 {
                output.insert(draw(output.len() as u64 + 1) as usize, letter);
            }
        }
        let word = |term: &[usize]| term.iter().map(|k| (b'a' + *k as u8) as char).collect::<String>();
        let spec =
            format!("{}->{}", terms.iter().map(|t| word(t)).collect::<Vec<_>>().join(","), word(&output));
        let shapes: Vec<Vec<u64>> =
            terms.iter().map(|term| term.iter().map(|k| extents[*k]).collect()).collect();
        let shapes: Vec<&[u64]> = shapes.iter().map(Vec::as_slice).collect();
        let program = einsum_program(&spec, &shapes);
        let interface = if draw(2) == 0 { Interface::Free } else { Interface::RowMajor };
        let clear = draw(4);
        let slots = 16 << draw(5);
        check(&program, slots as u32, interface, seed, &|k| k == 0 || k as u64 != clear);
    }
    eprintln!("{} random einsums in {:.1} s", RANDOM * factor, start.elapsed().as_secs_f64());
}
