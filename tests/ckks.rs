//! Programs on ciphertexts: counts that may only improve, and encrypted runs against the interpreter.

#[path = "../benches/ckks/einhops.rs"]
mod einhops;

use crate::support::{Invocation, Opened, invocations, open};
use einc::pipeline::ckks::{Settings, compile};
use einc::program::{Program, einsum};
use einc::slots::lower::Interface;
use einc_runtime::{DType, Tensor};

/// A line of `ckks/figures.txt`.
struct Figure {
    spec: String,
    shapes: Vec<Vec<u64>>,
    /// EinHops's rotations and levels.
    einhops: Option<(u64, u32)>,
    /// What [`MODES`] have.
    ours: Vec<Option<Vec<u64>>>,
}

/// How each of the last columns is compiled: its interface, and how many levels beyond EinHops's it may spend.
const MODES: [(Interface, Option<u32>); 4] = [
    (Interface::RowMajor, None),
    (Interface::RowMajor, Some(0)),
    (Interface::RowMajor, Some(1)),
    (Interface::Free, None),
];

fn figures() -> Vec<Figure> {
    let lines = include_str!("ckks/figures.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let numbers = |text: &str| text.split(' ').map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>();
            assert_eq!(parts.len(), 3 + MODES.len(), "{line}");
            Figure {
                spec: parts[0].to_string(),
                shapes: parts[1]
                    .split(';')
                    .map(|shape| shape.trim().split('x').map(|extent| extent.parse().unwrap()).collect())
                    .collect(),
                einhops: numbers(parts[2]).map(|peer| (peer[0], peer[1] as u32)),
                ours: parts[3..].iter().map(|part| numbers(part)).collect(),
            }
        })
        .collect()
}

fn program(spec: &str, shapes: &[Vec<u64>]) -> Program {
    let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
    einsum::program(&einsum::parse(spec, &ranks).unwrap(), DType::F64, shapes).unwrap().program
}

/// No count is above the committed one.
fn never_worse(figure: &Figure, mode: usize) {
    let (interface, more) = MODES[mode];
    let Some(committed) = &figure.ours[mode] else { return };
    let depth = more.zip(figure.einhops).map(|(more, einhops)| einhops.1 + more);
    let settings = Settings { layout: Some(interface), slots: Some(16384), depth, ..Settings::default() };
    let compiled = compile(program(&figure.spec, &figure.shapes), &settings).unwrap();
    let counts = compiled.slots.counts();
    let now = [counts.rotations, counts.relinearizations, counts.mul, counts.mul_plain, counts.levels];
    assert!(
        now.iter().zip(committed).all(|(now, committed)| now <= committed),
        "{} {interface:?} {depth:?}: rotate relinearize mul mul_plain levels were {committed:?}, are {now:?}",
        figure.spec
    );
}

#[test]
fn counts_with_free_packing_are_never_worse() {
    let figures = figures();
    assert!(figures.len() >= 22);
    figures.iter().for_each(|figure| never_worse(figure, 3));
}

#[test]
fn counts_with_a_row_major_interface_are_never_worse() {
    // The larger ones take the compiler seconds in a debug build; `cargo bench --bench ckks` shows all.
    let quick = |figure: &&Figure| figure.spec.matches(',').count() < 2 && figure.spec.len() < 13;
    figures().iter().filter(quick).take(12).for_each(|figure| never_worse(figure, 0));
}

/// Two that have fewer rotations with a level more, and fewer levels when no more are allowed.
#[test]
fn counts_within_so_many_levels_are_never_worse() {
    let figures = figures();
    for spec in ["ij->ji", "ijk,ikl->ijl"] {
        let figure = figures.iter().find(|figure| figure.spec == spec).unwrap();
        [1, 2].into_iter().for_each(|mode| never_worse(figure, mode));
    }
}

/// Levels buy rotations: 47 in 4 levels, which is what takes the least time.
#[test]
fn matrices_of_64_row_by_row_take_40_rotations_in_5_levels() {
    let settings = Settings {
        layout: Some(Interface::RowMajor),
        slots: Some(16384),
        depth: Some(5),
        ..Settings::default()
    };
    let compiled = compile(program("ik,kj->ij", &[vec![64, 64], vec![64, 64]]), &settings).unwrap();
    let counts = compiled.slots.counts();
    assert!(counts.rotations <= 40 && counts.mul == 16 && counts.relinearizations <= 2, "{counts}");
}

/// A transposition of 128 by 128 has 14 rotations by 14 amounts, of which 9 suffice in as many rotations.
#[test]
fn keys_are_shared_where_that_costs_nothing() {
    let settings = Settings { layout: Some(Interface::RowMajor), slots: Some(16384), ..Settings::default() };
    let counts = compile(program("ij->ji", &[vec![128, 128]]), &settings).unwrap().slots.counts();
    assert!(counts.rotations <= 14 && counts.keys <= 9, "{counts}");
}

/// With fewer keys there are more rotations, no more than the committed ones.
#[test]
fn rotations_with_so_many_keys_are_never_more() {
    let lines = include_str!("ckks/keys.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seen = 0;
    for line in lines {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let numbers: Vec<u32> = parts[1].split(' ').map(|number| number.parse().unwrap()).collect();
        let figures = figures();
        let figure = figures.iter().find(|figure| figure.spec == parts[0]).unwrap();
        let settings = Settings {
            layout: Some(Interface::RowMajor),
            slots: Some(16384),
            keys: Some(numbers[0]),
            ..Settings::default()
        };
        let counts = compile(program(&figure.spec, &figure.shapes), &settings).unwrap().slots.counts();
        assert!(counts.keys <= u64::from(numbers[0]), "{line}: {counts}");
        assert!(counts.rotations <= u64::from(numbers[1]), "{line}: {counts}");
        seen += 1;
    }
    assert!(seen >= 6);
}

/// What the table as a whole has to show against EinHops, over the programs that move data.
#[test]
fn the_means_against_einhops_are_kept() {
    let figures = figures();
    let least = [0.0, 8.0, 10.0, 50.0];
    for (mode, least) in least.into_iter().enumerate() {
        let mut gains = Vec::new();
        for figure in &figures {
            let Some((theirs, levels)) = figure.einhops.filter(|einhops| einhops.0 > 20) else { continue };
            let ours = figure.ours[mode].as_ref().unwrap();
            if let Some(more) = MODES[mode].1 {
                assert!(ours[4] <= u64::from(levels + more), "{}: {ours:?}", figure.spec);
            }
            if ours[0] > 0 {
                gains.push((theirs as f64 / ours[0] as f64).ln());
            }
        }
        assert!(gains.len() >= 14);
        let mean = (gains.iter().sum::<f64>() / gains.len() as f64).exp();
        assert!(mean >= least, "{:?}: {mean}", MODES[mode]);
    }
}

/// The counts that EinHops's own code has, confirmed by runs of it.
#[test]
fn the_rule_gives_the_rotations_of_einhops() {
    let known = figures();
    let known: Vec<_> = known.iter().filter(|figure| figure.einhops.is_some()).collect();
    assert_eq!(known.len(), 22);
    for figure in known {
        let (spec, shapes) = (&figure.spec, &figure.shapes);
        let rule = (einhops::rotations(spec, shapes), einhops::levels(spec, shapes));
        assert_eq!(Some(rule), figure.einhops, "{spec}");
    }
}

#[cfg(feature = "ckks")]
mod encrypted {
    use super::*;
    use einc::interpret;

    /// Runs an entry point encrypted; its results are the interpreter's within what is told, and within 1e-4 where no
    /// polynomial stands for a function.
    fn check(path: &str, command: &str, settings: &Settings) {
        let text = std::fs::read_to_string(path).unwrap();
        let opened = open(path, None, &text);
        let invocation = invocations(&format!("# einc run {command}")).remove(0);
        let worst = compare(&opened, &invocation, settings);
        assert!(worst < 1e-4 || text.contains("@approx"), "{command}: {worst}");
    }

    /// The largest error of an encrypted run against the interpreter: at most the bound for these inputs, which is at most
    /// the bound for all inputs of their magnitude, and not far above the error.
    fn compare(opened: &Opened, invocation: &Invocation, settings: &Settings) -> f64 {
        let (program, _) = opened.program(invocation).unwrap();
        let inputs = invocation.inputs(&program);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let name = program.name.clone();
        let compiled = compile(program.clone(), settings)
            .unwrap_or_else(|errors| panic!("{name}:\n{}", opened.text(&errors)));
        let results = compiled.run(&inputs, &mut |_, _| true).unwrap();
        let expected = interpret::run(&program, &inputs).unwrap();
        let (mut worst, mut elements): (f64, usize) = (0.0, 0);
        for (result, expected) in results.iter().zip(&expected) {
            elements += result.elems();
            for k in 0..result.elems() {
                worst = worst.max((result.get(k).re() - expected.get(k).re()).abs());
            }
        }
        let bounds = compiled.bounds(&inputs).unwrap();
        let bound = bounds.error();
        eprintln!("{name}: error {worst:.1e}, bound {bound:.1e}, {:.0} bits of headroom", bounds.headroom);
        assert!(worst <= bound, "{name}: an error of {worst}, above the bound {bound}");
        // Of a few elements none may happen to have much of an error.
        if elements >= 10 {
            assert!(bound <= 1e4 * worst, "{name}: the bound {bound} is far above the error {worst}");
        }
        let magnitude = inputs
            .iter()
            .flat_map(|tensor| (0..tensor.elems()).map(|k| tensor.get(k).re().abs()))
            .fold(0.0, f64::max);
        // Clear tensors that are computed may be larger than what they are computed from.
        if compiled.slots.clears.is_empty() {
            let general = compiled.noise(magnitude).error();
            assert!(general >= 0.99 * bound, "{name}: {general} for all inputs, {bound} for these");
        }
        worst
    }

    const EINHOPS: &[&str] = &[
        "transpose --set I=5 --set J=7",
        "sum_all --set I=5 --set J=7",
        "row_sum --set I=6 --set J=7",
        "col_sum --set I=6 --set J=7",
        "matvec --set I=9 --set K=12",
        "matmul --set I=5 --set K=6 --set J=7",
        "dot --set I=100",
        "inner --set I=9 --set J=10",
        "hadamard --set I=9 --set J=10",
        "outer --set I=9 --set J=10",
        "batched_matmul --set I=3 --set J=4 --set K=5 --set L=2",
        "hadamard3 --set I=9 --set J=10",
        "chained_matmul --set I=5 --set J=6 --set K=7 --set L=3",
        "bilinear --set I=4 --set K=5 --set J=3 --set L=6",
        "tensor_contract --set P=2 --set Q=4 --set R=8 --set S=8 --set T=1 --set U=4 --set V=2",
        "attn_scores --set N=2 --set T=5 --set T2=6 --set H=3 --set D=4",
    ];

    #[test]
    fn programs_of_einhops_with_free_packing() {
        let path = "examples/papers/22-einhops.ein";
        for command in EINHOPS {
            let command = format!("{path}::{command} --set Real=f64 --random 7");
            check(path, &command, &Settings::default());
        }
    }

    #[test]
    fn programs_of_einhops_row_by_row() {
        let path = "examples/papers/22-einhops.ein";
        let settings = Settings { layout: Some(Interface::RowMajor), ..Settings::default() };
        for command in &EINHOPS[..10] {
            check(path, &format!("{path}::{command} --set Real=f64 --random 7"), &settings);
        }
    }

    /// Matrices that fill their ciphertexts: the first of the products that are summed in three parts comes a level early.
    #[test]
    fn products_of_different_levels_are_summed_in_three_parts() {
        let path = "examples/papers/22-einhops.ein";
        let command = format!("{path}::matmul --set I=8 --set K=8 --set J=8 --set Real=f64 --random 7");
        let layout = Some(Interface::RowMajor);
        check(
            path,
            &command,
            &Settings { layout, slots: Some(64), insecure_toy: true, ..Settings::default() },
        );
    }

    /// Every command of examples/papers/encrypted.md: adapters, convolutions, tensor products and attention.
    #[test]
    fn polynomial_programs_of_other_papers() {
        let text = std::fs::read_to_string("examples/papers/encrypted.md").unwrap();
        let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("einc run ")).collect();
        assert!(commands.len() > 12);
        for command in commands {
            let mut secrets: Vec<String> = Vec::new();
            let mut left: Vec<&str> = Vec::new();
            let mut words = command.split(' ');
            while let Some(word) = words.next() {
                match word {
                    "--secret" => secrets.extend(words.next().map(str::to_string)),
                    _ => left.push(word),
                }
            }
            let settings =
                Settings { secrets: (!secrets.is_empty()).then_some(secrets), ..Settings::default() };
            let (file, _) = command.split_once("::").unwrap();
            check(&format!("examples/papers/{file}"), &left.join(" "), &settings);
        }
    }

    /// The example of the language that has a `target ckks` block: a perceptron with an approximated activation.
    #[test]
    fn the_example_with_a_target_block() {
        let path = "examples/language/18_fhe.ein";
        for layout in [Interface::Free, Interface::RowMajor] {
            let settings = Settings { layout: Some(layout), ..Settings::default() };
            // These inputs keep the range of the sigmoid: up to 6.7 of 8.
            check(path, &format!("{path} --random 7"), &settings);
        }
    }

    /// A network whose layers keep their packings, and whose approximations are far smaller than the noise of a first one.
    #[test]
    fn errors_of_approximations_are_within_their_bound() {
        let text = "dim B, I, H, O\nsecret input x: f64[B, I]\nparam W: f64[I, H]\nparam V: f64[H, O]\noutput y: f64[B, O]\n\
                    @approx(tanh, degree = 31, range = (-8, 8))\nh[b, j] = tanh(sum[i](x[b, i] * W[i, j]))\n\
                    @approx(sigmoid, degree = 15, range = (-10, 10))\ny[b, o] = sigmoid(sum[j](h[b, j] * V[j, o]))\n";
        let opened = open("two_layers.ein", None, text);
        let sizes = "# einc run FILE --random 3 --set B=4 --set I=6 --set H=5 --set O=3";
        for layout in [Interface::Free, Interface::RowMajor] {
            let settings = Settings { layout: Some(layout), ..Settings::default() };
            let worst = compare(&opened, &invocations(sizes).remove(0), &settings);
            // The polynomials are what is seen: of degree 31, tanh is within 3e-3.
            assert!((1e-6..1e-2).contains(&worst), "{worst}");
        }
    }
}
