//! What the harnesses share: programs and how to run them, read from the `.ein` files themselves.

use einc::diagnostic::{Code, Diagnostic, Format, Severity, render};
use einc::machine::Machine;
use einc::pipeline::{self, Phase, Settings, Target};
use einc::program::{self, Module, Program};
use einc::source::Sources;
use einc_runtime::{DType, Scalar, Tensor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a file says that it wants to be run: `# einc run FILE::entry --random 7 --set N=5`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invocation {
    /// The entry point.
    pub entry: String,
    /// The seed of its inputs.
    pub seed: u64,
    /// Its sizes.
    pub dims: BTreeMap<String, i64>,
    /// Its types.
    pub dtypes: BTreeMap<String, DType>,
    /// Arrays from a file.
    pub inputs: Option<PathBuf>,
    /// Whether it computes on ciphertexts.
    pub encrypted: bool,
}

/// Every invocation among the comments of a program.
pub fn invocations(text: &str) -> Vec<Invocation> {
    let commands =
        text.lines().filter_map(|line| line.trim_start_matches('#').trim().strip_prefix("einc run "));
    commands.map(invocation).collect()
}

fn invocation(command: &str) -> Invocation {
    let mut invocation = Invocation { entry: "main".to_string(), ..Invocation::default() };
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("a value behind {word} in `{command}`"));
        match word {
            "--random" => invocation.seed = value().parse().expect("a seed"),
            "--inputs" => invocation.inputs = Some(PathBuf::from(value())),
            "--set" => invocation.set(value()),
            "--target" => invocation.encrypted = value() == "ckks",
            _ => {
                if let Some((_, entry)) = word.split_once("::") {
                    invocation.entry = entry.to_string();
                }
            }
        }
    }
    invocation
}

impl Invocation {
    /// Adds `NAME=VALUE`.
    pub fn set(&mut self, word: &str) {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("NAME=VALUE, not `{word}`"));
        match value.parse() {
            Ok(number) => drop(self.dims.insert(name.to_string(), number)),
            Err(_) => {
                let dtype = DType::from_name(value).unwrap_or_else(|| panic!("a dtype, not `{value}`"));
                self.dtypes.insert(name.to_string(), dtype);
            }
        }
    }
}

/// A program's text with what was said about it so far.
pub struct Opened {
    /// The files.
    pub sources: Sources,
    /// The parsed program.
    pub module: Module,
    /// Syntax errors and bad imports.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a text under a name, with imports relative to the file if there is one.
pub fn open(name: &str, path: Option<&Path>, text: &str) -> Opened {
    let mut sources = Sources::default();
    let file = sources.add(name, path.map(Path::to_path_buf), text);
    let (module, diagnostics) = program::load(&mut sources, file);
    Opened { sources, module, diagnostics }
}

/// Whether one of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

impl Opened {
    /// Everything there is to say about the program without sizes, then, if that is nothing, with each invocation's.
    pub fn all_diagnostics(&self, invocations: &[Invocation]) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics.clone();
        if !has_errors(&diagnostics) {
            diagnostics.extend(pipeline::check_all(&self.module, &self.sources));
        }
        if !has_errors(&diagnostics) {
            for invocation in invocations {
                match self.program(invocation) {
                    Ok((program, more)) => {
                        diagnostics.extend(more);
                        diagnostics.extend(match invocation.encrypted {
                            true => pipeline::ckks::compile(program, &Default::default())
                                .err()
                                .unwrap_or_default(),
                            false => pipeline::ckks::refuse_secrets(&program),
                        });
                    }
                    Err(more) => diagnostics.extend(more),
                }
            }
        }
        diagnostics
    }

    /// The program of an invocation.
    pub fn program(&self, invocation: &Invocation) -> Result<(Program, Vec<Diagnostic>), Vec<Diagnostic>> {
        let arrays = invocation.arrays();
        let given = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let bindings = pipeline::bindings(invocation.dims.clone(), invocation.dtypes.clone(), given);
        pipeline::check(&self.module, &invocation.entry, &bindings)
    }

    /// Diagnostics as a terminal without colours shows them.
    pub fn text(&self, diagnostics: &[Diagnostic]) -> String {
        render(diagnostics, &self.sources, Format::Human { color: false })
    }
}

impl Invocation {
    /// The arrays of its file.
    pub fn arrays(&self) -> BTreeMap<String, Tensor> {
        let read = |path: &PathBuf| einc_runtime::npz::read(path, 1 << 30).expect("an archive of arrays");
        self.inputs.iter().flat_map(read).collect()
    }

    /// The inputs of its program, random where its file has none.
    pub fn inputs(&self, program: &Program) -> Vec<Tensor> {
        let mut arrays = self.arrays();
        for &id in &program.inputs {
            let tensor = &program.tensors[id];
            arrays.entry(tensor.name.clone()).or_insert_with(|| {
                pipeline::random(self.seed, &tensor.name, tensor.dtype, &tensor.shape).expect("memory")
            });
        }
        let arrays = arrays.into_iter().map(|(name, tensor)| (name, Cow::Owned(tensor))).collect();
        let (inputs, _) = pipeline::arguments(program, arrays).expect("arrays that fit");
        inputs.into_iter().map(Cow::into_owned).collect()
    }
}

/// The text of every stage; from loops on for one machine, the same wherever the tests run.
pub fn stages(program: &Program) -> Vec<(Phase, String)> {
    let settings = Settings { memory: Some(1 << 30), ..Settings::default() };
    let plan = pipeline::plan(program, &settings).expect("a program that fits the memory");
    let machine = Machine::named("x86_64-v3").expect("a known machine");
    let mut stages = vec![
        (Phase::Program, program.to_string()),
        (Phase::Graph, pipeline::graph(program).to_string()),
        (Phase::Plan, plan.to_string()),
    ];
    stages.push((Phase::Loops, einc::loops::lower(&plan, &machine).to_string()));
    #[cfg(feature = "cranelift")]
    if let Ok(clif) = einc::backend::cranelift::clif(&plan, &machine) {
        stages.push((Phase::Clif, clif));
    }
    stages
}

/// Runs a program on a target; `None` where the target cannot express it.
pub fn run(program: &Program, target: Target, inputs: &[Tensor]) -> Option<Vec<Tensor>> {
    run_with(program, &Settings { target: Some(target), ..Settings::default() }, inputs)
}

/// Runs a program as the settings say; `None` where the target cannot express it.
pub fn run_with(program: &Program, settings: &Settings, inputs: &[Tensor]) -> Option<Vec<Tensor>> {
    let executable = match pipeline::compile(program.clone(), settings, &mut |_, _| ()) {
        Ok(executable) => executable,
        Err(diagnostics) if diagnostics.iter().all(|one| one.code == Code::Unsupported) => return None,
        Err(diagnostics) => panic!("{diagnostics:?}"),
    };
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let mut results = executable.results().expect("memory");
    executable.run(&inputs, &mut results).expect("indices inside their tensors");
    Some(results)
}

/// How two results differ beyond the tolerance of their type, if they do; integers must be equal.
pub fn difference(name: &str, result: &Tensor, expected: &Tensor) -> Option<String> {
    if (result.dtype(), result.shape()) != (expected.dtype(), expected.shape()) {
        return Some(format!("{name}: another type or shape"));
    }
    let tolerance = match expected.dtype().real_part() {
        DType::F64 => 1e-10,
        DType::F32 => 2e-4,
        DType::F16 => 2e-2,
        DType::Bf16 => 1e-1,
        _ => 0.0,
    };
    let largest = (0..expected.elems()).map(|k| size(expected.get(k))).filter(|x| x.is_finite());
    // Sums cancel, so an element may be as wrong as a small part of the largest.
    let slack = tolerance * largest.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    (0..expected.elems()).find_map(|k| {
        let (a, b) = (result.get(k), expected.get(k));
        let same = match (a, b) {
            (Scalar::Int(a), Scalar::Int(b)) => a == b,
            _ => near(a.re(), b.re(), slack) && near(a.im(), b.im(), slack),
        };
        (!same).then(|| format!("{name}: element {k} is {a:?}, and the interpreter has {b:?}"))
    })
}

fn size(value: Scalar) -> f64 {
    value.re().abs().max(value.im().abs())
}

fn near(a: f64, b: f64, slack: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= slack
}

/// Every `.ein` file under a folder of the repository, sorted.
pub fn programs(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "ein") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The file's name without its ending.
pub fn stem(path: &Path) -> String {
    path.file_stem().expect("a file with a name").to_string_lossy().into_owned()
}

/// Compares a text with the snapshot `tests/FOLDER/NAME.snap`.
#[macro_export]
macro_rules! assert_snapshot_in {
    ($folder:literal, $name:expr, $text:expr) => {
        insta::with_settings!({
            snapshot_path => $folder,
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

/// The Python that `tests/all` set up with NumPy, if there is one.
///
/// # Panics
/// Where there is none and EINC_REQUIRE_PYTHON says that there must be.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("EINC_PYTHON").map(PathBuf::from);
    if python.is_none() {
        assert!(std::env::var_os("EINC_REQUIRE_PYTHON").is_none(), "EINC_PYTHON is not set");
        eprintln!("skipped: no Python with NumPy (`bash tests/all` sets it up)");
    }
    python
}

/// The Python 3.10 that `tests/all` set up with OpenFHE, if there is one.
///
/// # Panics
/// Where there is none and EINC_REQUIRE_PYTHON says that there must be.
#[cfg(feature = "ckks")]
pub fn openfhe() -> Option<PathBuf> {
    let python = std::env::var_os("EINC_OPENFHE").map(PathBuf::from);
    if python.is_none() {
        assert!(std::env::var_os("EINC_REQUIRE_PYTHON").is_none(), "EINC_OPENFHE is not set");
        eprintln!(
            "skipped: no Python 3.10 with OpenFHE (`bash tests/all` sets it up where there is a Python 3.10)"
        );
    }
    python
}

/// The generator of Steele, Lea and Flood (splitmix64): equal seeds give equal numbers everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for k in (1..list.len()).rev() {
            list.swap(k, self.below(k + 1));
        }
    }
}
