//! Programs on ciphertexts: counts that may only improve, and encrypted runs against the interpreter.

#[path = "../benches/ckks/einhops.rs"]
mod einhops;

use crate::support::{invocations, open};
use einc::pipeline::ckks::{Settings, compile};
use einc::program::{Program, einsum};
use einc::slots::lower::Interface;
use einc_runtime::{DType, Tensor};

/// A line of `ckks/figures.txt`.
struct Figure {
    spec: String,
    shapes: Vec<Vec<u64>>,
    einhops: Option<u64>,
    row_major: Option<Vec<u64>>,
    free: Option<Vec<u64>>,
}

fn figures() -> Vec<Figure> {
    let lines = include_str!("ckks/figures.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let numbers = |text: &str| text.split(' ').map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>();
            Figure {
                spec: parts[0].to_string(),
                shapes: parts[1]
                    .split(';')
                    .map(|shape| shape.trim().split('x').map(|extent| extent.parse().unwrap()).collect())
                    .collect(),
                einhops: parts[2].parse().ok(),
                row_major: numbers(parts[3]),
                free: numbers(parts[4]),
            }
        })
        .collect()
}

fn program(spec: &str, shapes: &[Vec<u64>]) -> Program {
    let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
    einsum::program(&einsum::parse(spec, &ranks).unwrap(), DType::F64, shapes).unwrap().program
}

/// No count is above the committed one.
fn never_worse(figure: &Figure, interface: Interface) {
    let committed = match interface {
        Interface::RowMajor => &figure.row_major,
        Interface::Free => &figure.free,
    };
    let Some(committed) = committed else { return };
    let settings = Settings { layout: Some(interface), slots: Some(16384), ..Settings::default() };
    let compiled = compile(program(&figure.spec, &figure.shapes), &settings).unwrap();
    let counts = compiled.slots.counts();
    let now = [counts.rotations, counts.relinearizations, counts.mul, counts.mul_plain, counts.levels];
    assert!(
        now.iter().zip(committed).all(|(now, committed)| now <= committed),
        "{} {interface:?}: rotate relinearize mul mul_plain levels were {committed:?}, are {now:?}",
        figure.spec
    );
}

#[test]
fn counts_with_free_packing_are_never_worse() {
    let figures = figures();
    assert!(figures.len() >= 22);
    figures.iter().for_each(|figure| never_worse(figure, Interface::Free));
}

#[test]
fn counts_with_a_row_major_interface_are_never_worse() {
    // The larger ones take the compiler seconds in a debug build; `cargo bench --bench ckks` shows all.
    let quick = |figure: &&Figure| figure.spec.matches(',').count() < 2 && figure.spec.len() < 13;
    figures().iter().filter(quick).take(12).for_each(|figure| never_worse(figure, Interface::RowMajor));
}

/// The counts that EinHops's own code has, confirmed by runs of it.
#[test]
fn the_rule_gives_the_rotations_of_einhops() {
    let known = figures();
    let known: Vec<_> = known.iter().filter(|figure| figure.einhops.is_some()).collect();
    assert_eq!(known.len(), 22);
    for figure in known {
        assert_eq!(Some(einhops::rotations(&figure.spec, &figure.shapes)), figure.einhops, "{}", figure.spec);
    }
}

#[cfg(feature = "ckks")]
mod encrypted {
    use super::*;
    use einc::interpret;

    /// Runs an entry point encrypted, and compares with the interpreter.
    fn check(path: &str, command: &str, settings: &Settings) {
        let text = std::fs::read_to_string(path).unwrap();
        let opened = open(path, None, &text);
        let invocation = invocations(&format!("# einc run {command}")).remove(0);
        let (program, _) = opened.program(&invocation).unwrap();
        let inputs = invocation.inputs(&program);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let compiled = compile(program.clone(), settings)
            .unwrap_or_else(|errors| panic!("{command}:\n{}", opened.text(&errors)));
        let results = compiled.run(&inputs, &mut |_, _| true).unwrap();
        let expected = interpret::run(&program, &inputs).unwrap();
        for (result, expected) in results.iter().zip(&expected) {
            for k in 0..result.elems() {
                let (got, wanted) = (result.get(k).re(), expected.get(k).re());
                assert!((got - wanted).abs() < 1e-4, "{command}: element {k} is {got}, not {wanted}");
            }
        }
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

    /// Adapters, convolutions, tensor products and attention, by inputs that are secret beside clear ones.
    #[test]
    fn polynomial_programs_of_other_papers() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "01-tlora.ein",
                &[],
                "trm_product2 --set I1=2 --set I2=3 --set K1=3 --set K2=2 --set J1=2 --set J2=2 --set P=2 --set Q=2 \
                 --set R=2 --set S=2",
            ),
            ("03-flora.ein", &["X"], "forward_linear --set N=2 --set I=4 --set O=3 --set R1=2 --set R2=2"),
            ("08-soka.ein", &[], "merge --set N=2 --set Q=3 --set M=2 --set P=2 --set R=2"),
            ("13-apriori-cnn.ein", &[], "merge3 --set O=3 --set I=2 --set KH=3 --set KW=3 --set Q=2"),
            ("14-price-of-freedom.ein", &[], "cgtp_dense --set N=3 --set A=4 --set B=3 --set D=5"),
            ("16-fwsvd.ein", &["X"], "forward --set N=3 --set I=4 --set R=2 --set J=5"),
            ("17-tensor-attention.ein", &[], "khatri_rao --set J=3 --set K=4 --set D=5"),
        ];
        for (file, secrets, command) in cases {
            let path = format!("examples/papers/{file}");
            let secrets =
                (!secrets.is_empty()).then(|| secrets.iter().map(|name| name.to_string()).collect());
            let settings = Settings { secrets, ..Settings::default() };
            check(&path, &format!("{path}::{command} --set Real=f64 --random 7"), &settings);
        }
    }
}
