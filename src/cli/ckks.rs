//! `einc ckks`: an encrypted run in separate steps, so that who computes never holds the secret key.

use super::args::{CkksAction, DecryptArgs, EncryptArgs, EvaluateArgs, KeygenArgs};
use super::arrays::{self, WRITING};
use super::failure::Failure;
use super::{Told, open, progress, show};
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline;
use crate::source::Sources;
use einc_runtime::ckks::schedule::Input;
use einc_runtime::ckks::{
    Bundle, Ciphertext, CkksError, Context, EvaluationKeys, Inputs, Random, Schedule, SecretKey, run,
};
use einc_runtime::{DType, Tensor, pool};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;

/// The file of the secret key in a folder of keys.
const SECRET: &str = "secret.key";

/// The file of the evaluation keys.
const EVALUATION: &str = "evaluation.keys";

/// Carries a step out.
pub fn ckks(action: &CkksAction, told: &Told) -> Result<(i32, String), Failure> {
    match action {
        CkksAction::Keygen(args) => keygen(args, told),
        CkksAction::Encrypt(args) => encrypt(args, told),
        CkksAction::Run(args) => evaluate(args, told),
        CkksAction::Decrypt(args) => decrypt(args, told),
    }
}

fn refused(error: CkksError) -> Failure {
    let code = match error.code {
        einc_runtime::ckks::Code::Argument => Code::ApproximationRange,
        _ => Code::Encryption,
    };
    Failure::of(Diagnostic::error(code, error.to_string()))
}

/// A schedule from its file, and its parameters made ready.
fn schedule(path: &Path, told: &Told) -> Result<(Schedule, Context), Failure> {
    pipeline::enter("schedule");
    let text = open::read_file(path)?;
    let schedule: Schedule =
        text.parse().map_err(|error| refused(named(error, &path.display().to_string())))?;
    if schedule.parameters.insecure_toy {
        let message = "the schedule's parameters have less than 128 bits of security";
        told.warn(vec![Diagnostic::warning(Code::Encryption, message)], &Sources::default())?;
    }
    if told.verbose {
        eprintln!("note: the encryption is unaudited and not constant time, for evaluation");
    }
    let context = Context::new(&schedule.parameters).map_err(refused)?;
    Ok((schedule, context))
}

fn named(error: CkksError, name: &str) -> CkksError {
    CkksError::new(error.code, format!("{name}: {}", error.message))
}

fn keygen(args: &KeygenArgs, told: &Told) -> Result<(i32, String), Failure> {
    let (schedule, context) = schedule(&args.schedule, told)?;
    pipeline::enter("keys");
    let secret_path = args.output.join(SECRET);
    if secret_path.exists() {
        let message = format!("`{}` exists, and what it encrypted would be lost", secret_path.display());
        return Err(Failure::of(Diagnostic::error(Code::File, message).help("name another folder")));
    }
    let _progress = progress::Progress::start(told.progress, "making keys");
    let mut random = Random::system().map_err(refused)?;
    let secret = SecretKey::generate(&context, &mut random);
    let keys = EvaluationKeys::generate(&context, &secret, &schedule.keys, &mut random).map_err(refused)?;
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::create_dir_all(&args.output).map_err(|error| {
        let message = format!("cannot use `{}`: {error}", args.output.display());
        Failure::of(Diagnostic::error(Code::File, message))
    })?;
    keys.save(&context, &args.output.join(EVALUATION)).map_err(refused)?;
    secret.save(&context, &secret_path).map_err(refused)?;
    Ok((0, String::new()))
}

/// The slot vectors of an input from the arrays at hand.
fn vectors(input: &Input, slots: u32, arrays: &pipeline::Arrays<'static>) -> Result<Vec<Vec<f64>>, Failure> {
    let (name, shape) = match &input.layout {
        Some(layout) => (&layout.tensor, layout.shape.clone()),
        None => (&input.name, vec![u64::from(input.count), u64::from(slots)]),
    };
    let Some(tensor) = arrays.get(name) else {
        let message = format!("array `{name}` is missing");
        return Err(Failure::of(Diagnostic::error(Code::MissingInput, message)));
    };
    // One vector may come without the dim of vectors.
    let single = input.layout.is_none() && input.count == 1 && tensor.shape() == &shape[1..];
    if tensor.shape() != shape && !single {
        let message = format!(
            "array `{name}` has shape {:?}, and the schedule takes it with shape {shape:?}",
            tensor.shape()
        );
        return Err(Failure::of(Diagnostic::error(Code::Encryption, message)));
    }
    if tensor.dtype().is_complex() {
        let message = format!("array `{name}` is complex, and only real numbers can be encrypted");
        return Err(Failure::of(Diagnostic::error(Code::Encryption, message)));
    }
    let numbers: Vec<f64> = (0..tensor.elems()).map(|position| tensor.get(position).re()).collect();
    Ok(match &input.layout {
        Some(layout) => layout.pack(&numbers, input.count, slots),
        None => numbers.chunks(slots as usize).map(<[f64]>::to_vec).collect(),
    })
}

/// Tries whether values fit their primes and arguments of approximated functions keep their ranges, where all that they
/// depend on is at hand.
fn try_inputs(schedule: &Schedule, arrays: &pipeline::Arrays<'static>, told: &Told) -> Result<(), Failure> {
    let lacks = |input: &&Input| {
        let name = input.layout.as_ref().map_or(&input.name, |layout| &layout.tensor);
        !input.secret && !arrays.contains_key(name)
    };
    if let Some(input) = schedule.inputs.iter().find(lacks) {
        let message = format!(
            "whether values keep their ranges was not tried: the clear input {} is not at hand",
            input.name
        );
        let code = if schedule.ranges.is_empty() { Code::Encryption } else { Code::ApproximationRange };
        told.warn(vec![Diagnostic::warning(code, message)], &Sources::default())?;
        return Ok(());
    }
    let mut given = BTreeMap::new();
    for input in &schedule.inputs {
        given.insert(input.name.clone(), vectors(input, schedule.parameters.slots(), arrays)?);
    }
    schedule.try_inputs(&given).map_err(refused)
}

fn encrypt(args: &EncryptArgs, told: &Told) -> Result<(i32, String), Failure> {
    let (schedule, context) = schedule(&args.schedule, told)?;
    pipeline::enter("encryption");
    let arrays = arrays::read(&args.words, &args.inputs)?.tensors;
    let secret = SecretKey::load(&context, &args.key).map_err(refused)?;
    let mut random = Random::system().map_err(refused)?;
    let _progress = progress::Progress::start(told.progress, "encrypting");
    try_inputs(&schedule, &arrays, told)?;
    let mut bundle = Bundle::new();
    for input in schedule.inputs.iter().filter(|input| input.secret) {
        let values: Result<Vec<Ciphertext>, CkksError> =
            vectors(input, schedule.parameters.slots(), &arrays)?
                .iter()
                .map(|slots| Ciphertext::encrypt(&context, &secret, slots, &mut random))
                .collect();
        let values = values.map_err(|error| refused(named(error, &format!("the input {}", input.name))))?;
        bundle.insert(input.name.clone(), values);
    }
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    context.save(&bundle, &args.output).map_err(refused)?;
    Ok((0, String::new()))
}

fn evaluate(args: &EvaluateArgs, told: &Told) -> Result<(i32, String), Failure> {
    if let Some(threads) = args.threads {
        pool::set_threads(usize::from(threads));
    }
    let (schedule, context) = schedule(&args.schedule, told)?;
    pipeline::enter("keys");
    let _progress = progress::Progress::start(told.progress, "running on ciphertexts");
    let arrays = arrays::read(&args.words, &args.clear)?.tensors;
    let mut inputs = Inputs { secret: context.load(&args.inputs).map_err(refused)?, clear: BTreeMap::new() };
    for input in schedule.inputs.iter().filter(|input| !input.secret) {
        inputs.clear.insert(input.name.clone(), vectors(input, schedule.parameters.slots(), &arrays)?);
    }
    let keys = EvaluationKeys::load(&context, &args.keys).map_err(refused)?;
    pipeline::enter("run");
    let outputs = run(&context, &schedule, &keys, &inputs, &mut |_, _| true).map_err(refused)?;
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    context.save(&outputs.values, &args.output).map_err(refused)?;
    Ok((0, String::new()))
}

fn decrypt(args: &DecryptArgs, told: &Told) -> Result<(i32, String), Failure> {
    let places = arrays::places(&args.output)?;
    let (schedule, context) = schedule(&args.schedule, told)?;
    let names: Vec<String> = schedule
        .outputs
        .iter()
        .map(|output| output.layout.as_ref().map_or(&output.name, |layout| &layout.tensor).clone())
        .collect();
    arrays::check_places(&places, &names)?;
    pipeline::enter("decryption");
    let secret = SecretKey::load(&context, &args.key).map_err(refused)?;
    let bundle = context.load(&args.inputs).map_err(refused)?;
    let mut results = Vec::new();
    for (output, name) in schedule.outputs.iter().zip(names) {
        let values = bundle.get(&output.name).map(Vec::as_slice).unwrap_or_default();
        if values.len() != output.values.len() {
            let message = format!("`{}` does not hold the output {}", args.inputs.display(), output.name);
            return Err(Failure::of(Diagnostic::error(Code::Encryption, message)));
        }
        let opened: Result<Vec<Vec<f64>>, CkksError> =
            values.iter().map(|value| Ok(value.decrypt(&context, &secret)?.slots)).collect();
        let opened = opened.map_err(|error| refused(named(error, &format!("the output {name}"))))?;
        let (shape, numbers) = match &output.layout {
            Some(layout) => (layout.shape.clone(), layout.unpack(&opened)),
            None => (vec![opened.len() as u64, u64::from(schedule.parameters.slots())], opened.concat()),
        };
        let tensor = Tensor::from_slice(&shape, &numbers).ok_or_else(|| {
            let needed = Tensor::bytes_needed(DType::F64, &shape).unwrap_or(usize::MAX);
            let message = format!("there is no memory for the {needed} bytes of {name}");
            Failure::of(Diagnostic::error(Code::OutOfMemory, message))
        })?;
        results.push((name, tensor));
    }
    pipeline::enter("write");
    arrays::write(&places, &results)?;
    let mut out = String::new();
    if places.is_empty() {
        results.iter().for_each(|(name, tensor)| out.push_str(&show::show(name, tensor)));
    }
    Ok((0, out))
}
