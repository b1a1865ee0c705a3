//! `einc run`.

use super::args::{RunArgs, Sizes, TargetName};
use super::arrays::{self, Arrays};
use super::failure::Failure;
use super::open::{self, Opened};
use super::{Told, encrypted, planning, processes, progress, show};
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline::{self, Phase, Settings, Target};
use crate::plan::{self, Late};
use crate::program::{self, Entry, Program};
use crate::source::Sources;
use einc_runtime::{Tensor, pool};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Runs the command; gives the exit code and what goes to stdout.
pub fn run(args: &RunArgs, told: &Told) -> Result<(i32, String), Failure> {
    let places = arrays::places(&args.output)?;
    if let Some(threads) = args.machine.threads {
        pool::set_threads(usize::from(threads));
    }
    if args.executor.is_some() && !encrypted::wanted(&args.cipher) {
        return Err(Failure::Usage("`--executor` is for `--target ckks`".to_owned()));
    }
    let phases = open::phases(&args.dump)?;
    let mut out = String::new();
    let start = Instant::now();
    let (encryption, sizes) = match encrypted::wanted(&args.cipher) {
        true => {
            let (settings, sizes) = encrypted::settings(&args.cipher, &args.sizes)?;
            (Some(settings), sizes)
        }
        false => (None, args.sizes.clone()),
    };
    let Job { program, warnings, sources, tree, arrays, late } =
        job(args, &sizes, phases.contains(&Phase::Tree))?;
    told.warn(warnings, &sources)?;
    told.note(&format!("read and checked `{}` {}", program.name, took(start)));
    if let Some(tree) = tree {
        out.push_str(&open::dumped(Phase::Tree, &tree));
    }
    let names: Vec<String> = program.outputs.iter().map(|(name, _)| name.clone()).collect();
    arrays::check_places(&places, &names)?;
    if let Some(encryption) = encryption {
        let compiled = encrypted::compile(program, &encryption, told, &sources)?;
        if phases.contains(&Phase::Slots) {
            out.push_str(&open::dumped(Phase::Slots, &compiled.slots.to_string()));
        }
        let inputs = inputs(args, compiled.program(), arrays, told, &sources)?;
        let inputs: Vec<&Tensor> = inputs.iter().map(Cow::as_ref).collect();
        if let Some(emitted) = args.cipher.emit {
            let clears = compiled.clears(&inputs).map_err(|fault| {
                Failure::Diagnostics(
                    vec![pipeline::stopped_diagnostic(&fault.into(), &sources)],
                    sources.clone(),
                )
            })?;
            out.push_str(&encrypted::emitted(&compiled, &clears, emitted, &sources)?);
            return Ok((0, out));
        }
        let results = encrypted::run(&compiled, args, &inputs, told, &sources)?;
        let results: Vec<(String, Tensor)> = names.into_iter().zip(results).collect();
        return finished(args, told, &places, &results, out);
    }
    let target = match args.cipher.target {
        #[cfg(feature = "cranelift")]
        Some(TargetName::Cranelift) => Some(Target::Cranelift),
        Some(TargetName::Interpret) => Some(Target::Interpret),
        Some(TargetName::Ckks) | None => args.interpret.then_some(Target::Interpret),
    };
    let mut settings = Settings {
        target,
        memory: args.machine.memory,
        threads: args.machine.threads.map(usize::from),
        deterministic: args.machine.deterministic,
        plan: plan::Settings { late, ..planning::settings(&args.planning)? },
    };
    let processes = processes::join(told);
    settings.plan.processes.clone_from(&processes);
    // All must have the same plan, whatever each has measured and found before.
    settings.deterministic |= processes.is_some();
    let mut dump = |phase: Phase, text: &dyn Fn() -> String| {
        if phases.contains(&phase) {
            out.push_str(&open::dumped(phase, &text()));
        }
    };
    let start = Instant::now();
    let compiled = {
        let _progress = progress::Progress::start(told.progress, "compiling");
        pipeline::compile(program, &settings, &mut dump)
    };
    let executable = match compiled {
        Ok(executable) => executable,
        Err(diagnostics) => return Err(Failure::Diagnostics(diagnostics, sources)),
    };
    told.note(&format!("compiled for {} {}", executable.target_text(), took(start)));
    if let Some(hindrance) = executable.hindrance() {
        told.note(&format!("runs in the interpreter: there is no {} yet", hindrance.what));
    }
    let inputs = inputs(args, executable.program(), arrays, told, &sources)?;
    let start = Instant::now();
    let Some(mut results) = executable.results() else {
        return Err(Failure::of(Diagnostic::error(Code::OutOfMemory, "there is no memory for the results")));
    };
    {
        let _progress = progress::Progress::start(told.progress, "running");
        pipeline::enter("run");
        let inputs: Vec<&Tensor> = inputs.iter().map(Cow::as_ref).collect();
        if let Err(stopped) = executable.run(&inputs, &mut results) {
            let diagnostic = pipeline::stopped_diagnostic(&stopped, &sources);
            return Err(Failure::Diagnostics(vec![diagnostic], sources));
        }
    }
    told.note(&format!("ran {}", took(start)));
    processes::leave();
    if processes.is_some_and(|processes| processes.rank() > 0) {
        // All have the same results; the first process tells them.
        return Ok((0, String::new()));
    }
    let results: Vec<(String, Tensor)> = names.into_iter().zip(results).collect();
    finished(args, told, &places, &results, out)
}

/// Writes, compares or shows the results.
fn finished(
    args: &RunArgs,
    told: &Told,
    places: &[arrays::Place],
    results: &[(String, Tensor)],
    mut out: String,
) -> Result<(i32, String), Failure> {
    pipeline::enter("write");
    let start = Instant::now();
    arrays::write(places, results)?;
    if !places.is_empty() {
        told.note(&format!("wrote {} {}", args.output.join(", "), took(start)));
    }
    if let Some(path) = &args.compare {
        let mut reference = arrays::read_archive(path)?;
        if let ([(name, _)], [(other, _)]) = (results, reference.as_mut_slice())
            && name != other
        {
            // One result and one array: whatever they are called, these two are meant.
            told.warn(
                vec![Diagnostic::warning(
                    Code::Comparison,
                    format!("`{name}` is compared with `{other}`, the only array of the reference"),
                )],
                &Sources::default(),
            )?;
            other.clone_from(name);
        }
        let (lines, unmatched, errors) = arrays::compare(results, &reference, args.rtol, args.atol);
        if !errors.is_empty() {
            return Err(Failure::of_all(errors));
        }
        told.warn(unmatched, &Sources::default())?;
        out.extend(lines.into_iter().map(|line| line + "\n"));
    } else if places.is_empty() && !told.quiet {
        for (k, (name, tensor)) in results.iter().enumerate() {
            if k > 0 {
                out.push('\n');
            }
            out.push_str(&show::show(name, tensor));
        }
    }
    Ok((0, out))
}

/// `in 1.25 ms`.
fn took(start: Instant) -> String {
    format!("in {:.2} ms", start.elapsed().as_secs_f64() * 1e3)
}

/// What the command line asks for.
struct Job {
    program: Program,
    warnings: Vec<Diagnostic>,
    sources: Sources,
    /// The dump of the syntax tree, if it is asked for and there is one.
    tree: Option<String>,
    arrays: Arrays,
    /// What keeps orders for the sizes that the program declares ranges for, if it does.
    late: Option<Arc<Late>>,
}

fn job(args: &RunArgs, sizes: &Sizes, dump_tree: bool) -> Result<Job, Failure> {
    if let Some(spec) = &args.einsum {
        return einsum(spec, args);
    }
    let (opened, mut arrays) = match (&args.expression, args.words.split_first()) {
        (Some(text), _) => {
            let arrays = arrays::read(&args.words, &args.inputs)?;
            (open::text("<expression>", text, &arrays)?, arrays)
        }
        (None, Some((program, words))) => {
            let opened = open::file(program)?;
            (opened, arrays::read(words, &args.inputs)?)
        }
        (None, None) => {
            let message = "expected a program: FILE[::FN], -e TEXT or --einsum SPEC";
            return Err(Failure::Usage(message.to_string()));
        }
    };
    let (mut dims, dtypes) = open::sizes(sizes)?;
    let entries = program::entries(&opened.module, &opened.sources);
    let inputs = entries.iter().filter(|entry| entry.name == opened.entry).flat_map(|entry| &entry.inputs);
    let inputs: Vec<&str> = inputs.map(|input| input.name.as_str()).collect();
    for (name, value) in pipeline::take_sizes(&mut arrays.tensors, &inputs) {
        // An archive may hold numbers that this program has no use for.
        if arrays.named.contains(&name) || opened.mentions(&name) {
            dims.entry(name).or_insert(value);
        }
    }
    let given = arrays.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.as_ref()));
    let bindings = pipeline::bindings(dims, dtypes, given);
    let tree = dump_tree.then(|| open::tree(&opened));
    let Opened { sources, module, entry } = opened;
    match pipeline::check(&module, &entry, &bindings) {
        Ok((program, warnings)) => {
            let late = planning::late(&module, &program);
            Ok(Job { program, warnings, sources, tree, arrays, late })
        }
        Err(diagnostics) => {
            let absent = missing(args, &entries, &entry, &arrays);
            let sizes_only = diagnostics.iter().all(|diagnostic| diagnostic.code == Code::UnboundDim);
            let diagnostics = if sizes_only && !absent.is_empty() { absent } else { diagnostics };
            Err(Failure::Diagnostics(diagnostics, sources))
        }
    }
}

/// The inputs that no array is given for. Where sizes are unknown, these are why.
fn missing(args: &RunArgs, entries: &[Entry], entry: &str, arrays: &Arrays) -> Vec<Diagnostic> {
    if args.random.is_some() {
        return Vec::new();
    }
    let inputs = entries.iter().filter(|candidate| candidate.name == entry).flat_map(|entry| &entry.inputs);
    inputs
        .filter(|input| !arrays.tensors.contains_key(&input.name))
        .map(|input| {
            let message = format!("no array is given for `{}: {}`", input.name, input.ty);
            Diagnostic::error(Code::MissingInput, message)
                .help(format!("give `{}=FILE.npy`, or fill it with numbers by `--random SEED`", input.name))
        })
        .collect()
}

/// `--einsum SPEC A.npy B.npy`.
fn einsum(spec: &str, args: &RunArgs) -> Result<Job, Failure> {
    if !args.inputs.is_empty() || args.random.is_some() || !args.sizes.set.is_empty() {
        return Err(Failure::Usage(
            "`--einsum` takes its operands as files, in order, and nothing else".to_string(),
        ));
    }
    let read = |path: &String| arrays::read_one("", path.as_ref());
    let operands = args.words.iter().map(read).collect::<Result<Vec<Tensor>, Failure>>()?;
    let (program, warnings) =
        pipeline::einsum(spec, &operands.iter().collect::<Vec<_>>()).map_err(Failure::of)?;
    let names = program.inputs.iter().map(|&id| program.tensors[id].name.clone());
    let arrays =
        Arrays { tensors: names.zip(operands.into_iter().map(Cow::Owned)).collect(), named: Vec::new() };
    Ok(Job { program, warnings, sources: Sources::default(), tree: None, arrays, late: None })
}

/// The arrays in the program's order, random ones among them if that is asked for.
fn inputs(
    args: &RunArgs,
    program: &Program,
    arrays: Arrays,
    told: &Told,
    sources: &Sources,
) -> Result<Vec<Cow<'static, Tensor>>, Failure> {
    let Arrays { mut tensors, named } = arrays;
    if let Some(seed) = args.random {
        for &id in &program.inputs {
            let declared = &program.tensors[id];
            if tensors.contains_key(&declared.name) {
                continue;
            }
            let Some(tensor) = pipeline::random(seed, &declared.name, declared.dtype, &declared.shape) else {
                let message = format!("there is no memory for `{}`", declared.name);
                return Err(Failure::of(Diagnostic::error(Code::OutOfMemory, message)));
            };
            tensors.insert(declared.name.clone(), Cow::Owned(tensor));
        }
    }
    let (inputs, extra) = match pipeline::arguments(program, tensors) {
        Ok(fitted) => fitted,
        Err(diagnostics) => return Err(Failure::Diagnostics(diagnostics, sources.clone())),
    };
    let message = |name: &String| format!("the program takes no array `{name}`");
    let (errors, warnings): (Vec<String>, Vec<String>) =
        extra.into_iter().partition(|name| named.contains(name));
    let takes: Vec<String> =
        program.inputs.iter().map(|&id| format!("`{}`", program.tensors[id].name)).collect();
    let note =
        if takes.is_empty() { "it takes none".to_string() } else { format!("it takes {}", takes.join(", ")) };
    let warnings: Vec<Diagnostic> = warnings
        .iter()
        .map(|name| Diagnostic::warning(Code::ExtraInput, message(name)).note(note.clone()))
        .collect();
    told.warn(warnings, sources)?;
    if errors.is_empty() {
        return Ok(inputs);
    }
    Err(Failure::of_all(
        errors
            .iter()
            .map(|name| Diagnostic::error(Code::ExtraInput, message(name)).note(note.clone()))
            .collect(),
    ))
}
