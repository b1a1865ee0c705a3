//! `--target ckks` of `einc run` and `einc plan`.

use super::args::{CipherArgs, Emitted, Executor, PlanFormat, RunArgs, Sizes, TargetName};
use super::failure::Failure;
use super::{Told, progress};
use crate::backend::openfhe;
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline::ckks::{self, Encrypted, Failed, Settings};
use crate::pipeline::{self, show_slots};
use crate::plan::picture::escaped;
use crate::program::Program;
use crate::slots::lower::Interface;
use crate::source::Sources;
use einc_runtime::Tensor;
use std::collections::BTreeMap;

/// Whether ciphertexts are asked for.
pub fn wanted(args: &CipherArgs) -> bool {
    args.target == Some(TargetName::Ckks)
}

/// The settings, and the sizes without those words that set the target.
pub fn settings(args: &CipherArgs, sizes: &Sizes) -> Result<(Settings, Sizes), Failure> {
    let mut settings = Settings { insecure_toy: args.insecure_toy, ..Settings::default() };
    let mut left = Sizes::default();
    for word in &sizes.set {
        match word.split_once('=') {
            Some(("layout", "row_major")) => settings.layout = Some(Interface::RowMajor),
            Some(("layout", "free")) => settings.layout = Some(Interface::Free),
            Some(("layout", other)) => {
                return Err(Failure::Usage(format!(
                    "expected layout=row_major or layout=free, found `{other}`"
                )));
            }
            Some(("slots", number)) => {
                let slots = number
                    .parse::<u32>()
                    .ok()
                    .filter(|slots| slots.is_power_of_two() && (4..=65536).contains(slots));
                settings.slots = Some(slots.ok_or_else(|| {
                    Failure::Usage(format!("expected a power of two from 4 to 65536 slots, found `{number}`"))
                })?);
            }
            Some(("depth", number)) => {
                let depth = number.parse::<u32>().ok().filter(|depth| (1..=40).contains(depth));
                settings.depth =
                    Some(depth.ok_or_else(|| {
                        Failure::Usage(format!("expected 1 to 40 levels, found `{number}`"))
                    })?);
            }
            Some(("keys", number)) => {
                let keys = number.parse::<u32>().ok().filter(|keys| (1..=4096).contains(keys));
                settings.keys =
                    Some(keys.ok_or_else(|| {
                        Failure::Usage(format!("expected 1 to 4096 keys, found `{number}`"))
                    })?);
            }
            _ => left.set.push(word.clone()),
        }
    }
    if !args.secret.is_empty() {
        settings.secrets = Some(args.secret.clone());
    }
    Ok((settings, left))
}

/// Compiles for ciphertexts.
pub fn compile(
    program: Program,
    settings: &Settings,
    told: &Told,
    sources: &Sources,
) -> Result<Encrypted, Failure> {
    let _progress = progress::Progress::start(told.progress, "compiling");
    ckks::compile(program, settings).map_err(|errors| Failure::Diagnostics(errors, sources.clone()))
}

/// The schedule's text, or that of a program of another library, with the clear tensors in it where they are known.
pub fn emitted(
    encrypted: &Encrypted,
    clears: &BTreeMap<String, Tensor>,
    emitted: Emitted,
    sources: &Sources,
) -> Result<String, Failure> {
    let schedule = encrypted
        .schedule(clears)
        .map_err(|diagnostic| Failure::Diagnostics(vec![diagnostic], sources.clone()))?;
    Ok(match emitted {
        Emitted::FheSchedule => schedule.to_string(),
        Emitted::OpenfhePython => openfhe::python(&schedule),
        Emitted::OpenfheCpp => openfhe::cpp(&schedule),
    })
}

/// Runs it, or simulates it.
pub fn run(
    encrypted: &Encrypted,
    args: &RunArgs,
    inputs: &[&Tensor],
    told: &Told,
    sources: &Sources,
) -> Result<Vec<Tensor>, Failure> {
    pipeline::enter("run");
    let results = if args.cipher.simulate {
        encrypted.simulate(inputs)
    } else {
        if encrypted.parameters.insecure_toy {
            let message = "the parameters have less than 128 bits of security (`--insecure-toy`)";
            told.warn(vec![Diagnostic::warning(Code::Encryption, message)], sources)?;
        }
        let _progress = progress::Progress::start(told.progress, "running on ciphertexts");
        match args.executor {
            Some(Executor::Poulpy) => executed_by_poulpy(encrypted, inputs),
            Some(Executor::Embedded) | None => executed(encrypted, inputs),
        }
    };
    results.map_err(|failed| {
        let diagnostic = match failed {
            Failed::Fault(fault) => pipeline::stopped_diagnostic(&fault.into(), sources),
            Failed::Diagnostic(diagnostic) => diagnostic,
        };
        Failure::Diagnostics(vec![diagnostic], sources.clone())
    })
}

#[cfg(feature = "ckks")]
fn executed(encrypted: &Encrypted, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Failed> {
    encrypted.run(inputs, &mut |_, _| true)
}

#[cfg(not(feature = "ckks"))]
fn executed(_: &Encrypted, _: &[&Tensor]) -> Result<Vec<Tensor>, Failed> {
    let message = "this build cannot run on ciphertexts: it has no feature `ckks`";
    Err(Failed::Diagnostic(Diagnostic::error(Code::Unsupported, message).help("`--simulate` runs without")))
}

#[cfg(feature = "ckks-poulpy")]
fn executed_by_poulpy(encrypted: &Encrypted, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Failed> {
    encrypted.run_by_poulpy(inputs, &mut |_, _| true)
}

#[cfg(not(feature = "ckks-poulpy"))]
fn executed_by_poulpy(_: &Encrypted, _: &[&Tensor]) -> Result<Vec<Tensor>, Failed> {
    let message = "this build cannot run by poulpy: it has no feature `ckks-poulpy`";
    let help =
        "`cargo +nightly build --features ckks-poulpy` makes one that can; `--executor embedded` runs here";
    Err(Failed::Diagnostic(Diagnostic::error(Code::Unsupported, message).help(help)))
}

/// What `einc plan` prints.
pub fn plan(encrypted: &Encrypted, format: PlanFormat) -> String {
    match format {
        PlanFormat::Text => show_slots::text(encrypted),
        PlanFormat::Json => format!("{:#}\n", show_slots::json(encrypted)),
        PlanFormat::Svg => show_slots::svg(encrypted),
        PlanFormat::Html => format!(
            "<!doctype html>\n<meta charset=\"utf-8\">\n<title>encrypted schedule</title>\n{}\n<pre>{}</pre>\n",
            show_slots::svg(encrypted),
            escaped(&show_slots::text(encrypted)),
        ),
    }
}
