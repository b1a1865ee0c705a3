//! The programs of the papers against references in NumPy: `papers/run.py` has them.

use einc::pipeline::random;
use einc::{DType, Module, Operand, Scalar, Settings, Sizes, Tensor};
use std::process::Command;

#[test]
fn programs_of_papers_give_the_numbers_of_their_references() {
    let Some(python) = crate::support::python() else { return };
    let output = Command::new(python)
        .args(["tests/papers/run.py", "--quiet", "-j", "2", "--einc", env!("CARGO_BIN_EXE_einc")])
        .output()
        .expect("python");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
}

/// The texts between backticks of a piece of Markdown.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// One row for each of the 34 papers, and a second one for the gated convolution.
#[test]
fn the_table_of_papers_says_what_its_commands_print() {
    let folder = std::path::Path::new("examples/papers");
    let text = std::fs::read_to_string(folder.join("README.md")).expect("the table");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[0].starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let [paper, _, headline, figure, command] = row[..] else { panic!("{row:?} has not five cells") };
        let [command] = code(command)[..] else { panic!("{paper} has no command") };
        let arguments = command.strip_prefix("einc ").expect("a command of einc");
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("the einc command");
        let printed = String::from_utf8_lossy(&output.stdout);
        if headline.is_empty() || code(figure).is_empty() || !output.status.success() {
            wrong.push(format!("{paper}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let missing = code(figure).into_iter().filter(|figure| !printed.contains(figure));
        wrong.extend(missing.map(|figure| format!("{paper}: `{figure}` is not in\n{printed}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows.len(), 35);
}

/// A program, its arrays and their shapes, and which of them have positions to be masked. In these and in the result they
/// are the second dim.
type Masked = (&'static str, &'static [(&'static str, &'static [u64])], &'static [&'static str]);

const TIME: u64 = 5;

/// What a mask leaves out has no effect on what it keeps, even where it is no number: the last position on those before it.
#[test]
fn masked_positions_have_no_effect() {
    let programs: [Masked; 3] = [
        (
            "17-tensor-attention.ein::attn3_causal",
            &[
                ("Q", &[2, TIME, 3]),
                ("K1", &[2, TIME, 3]),
                ("K2", &[2, TIME, 3]),
                ("V1", &[2, TIME, 4]),
                ("V2", &[2, TIME, 4]),
            ],
            &["K1", "K2", "V1", "V2"],
        ),
        (
            "12-lord.ein::mqa_lowrank",
            &[
                ("X", &[2, TIME, 6]),
                ("Aq", &[2, 6]),
                ("Bq", &[3, 4, 2]),
                ("bq", &[3, 4]),
                ("Wk", &[4, 6]),
                ("bk", &[4]),
                ("Wv", &[4, 6]),
                ("bv", &[4]),
                ("Ao", &[2, 3, 4]),
                ("Bo", &[6, 2]),
                ("bo", &[6]),
            ],
            &["X"],
        ),
        (
            "09-uoe.ein::smha",
            &[
                ("X", &[2, TIME, 6]),
                ("Wq", &[3, 6, 4]),
                ("Wk", &[3, 6, 4]),
                ("Wv", &[3, 6, 4]),
                ("Wo", &[3, 4, 6]),
                ("sel", &[2, 3, TIME]),
            ],
            &["X"],
        ),
    ];
    let is_last = |tensor: &Tensor, at: usize| {
        let after: u64 = tensor.shape()[2..].iter().product();
        at as u64 / after % TIME == TIME - 1
    };
    for (program, arrays, masked) in programs {
        let (file, entry) = program.split_once("::").expect("a function");
        let module = Module::load(format!("examples/papers/{file}")).expect("a program");
        let function = module.function(entry, &Sizes::new(), &Settings::default()).expect("a function");
        let results = |poison: f64| {
            let mut tensors: Vec<(&str, Tensor)> = arrays
                .iter()
                .map(|&(name, shape)| (name, random(1, name, DType::F64, shape).expect("memory")))
                .collect();
            for (_, tensor) in tensors.iter_mut().filter(|(name, _)| masked.contains(name)) {
                for at in 0..tensor.elems() {
                    if is_last(tensor, at) {
                        tensor.set(at, Scalar::Real(poison));
                    }
                }
            }
            let operands: Vec<(&str, &dyn Operand)> =
                tensors.iter().map(|(name, tensor)| (*name, tensor as &dyn Operand)).collect();
            function.call(&operands).expect("it runs").first().clone()
        };
        let clean = results(0.5);
        for poison in [f64::NAN, f64::INFINITY] {
            let found = results(poison);
            let reaches = |at| is_last(&found, at) && !found.get(at).re().is_finite();
            assert!((0..found.elems()).any(reaches), "{program} reads the last position itself");
            for at in (0..clean.elems()).filter(|&at| !is_last(&clean, at)) {
                assert_eq!(found.get(at), clean.get(at), "{program} with {poison} at element {at}");
                assert!(clean.get(at).re().is_finite(), "{program}");
            }
        }
    }
}
