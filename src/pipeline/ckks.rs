//! Programs on encrypted inputs: from a checked program to a schedule, and its run in the simulator or the executor.

use super::enter;
use crate::backend::ckks::{self, Noise, Numbers};
use crate::diagnostic::{Code, Diagnostic};
use crate::fault::Fault;
use crate::graph::{Graph, to_program};
use crate::interpret;
use crate::pass;
use crate::program::{Program, Role};
use crate::slots::Slots;
use crate::slots::lower::{self, Interface, Network};
use crate::slots::params::{Executor, Operation, Ring};
use crate::source::Span;
use einc_runtime::ckks::{Parameters, Request, Schedule};
use einc_runtime::{Scalar, Tensor};
use std::collections::BTreeMap;

/// log2 of the scale that programs have that ask for none.
const USUAL_SCALE: u32 = 40;

/// How to compile for ciphertexts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How inputs and outputs lie; what the program says, or else free, if not given.
    pub layout: Option<Interface>,
    /// How many slots a ciphertext has; the cheapest number if not given.
    pub slots: Option<u32>,
    /// The level of a fresh ciphertext, all of which may be spent; if not given, what makes the program cheapest.
    pub depth: Option<u32>,
    /// The most keys that evaluate, traded for rotations; as many as there are amounts of rotation if not given.
    pub keys: Option<u32>,
    /// log2 of the scale; 40 if not given.
    pub scale_bits: Option<u32>,
    /// Whether less than 128 bits of security are allowed, for tests in small rings.
    pub insecure_toy: bool,
    /// The inputs that are encrypted; what the program says, or else all but parameters, if not given.
    pub secrets: Option<Vec<String>>,
}

/// A program that runs on ciphertexts.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// What is secret and what is clear.
    pub network: Network,
    /// The schedule before it is encoded.
    pub slots: Slots,
    /// The ring and its primes.
    pub parameters: Parameters,
    /// How inputs and outputs lie.
    pub interface: Interface,
    program: Program,
}

/// Compiles a checked program.
///
/// # Errors
/// What no ciphertext can do, and where levels or slots do not suffice.
pub fn compile(program: Program, settings: &Settings) -> Result<Encrypted, Vec<Diagnostic>> {
    enter("encryption");
    let settings = from_block(&program, settings)?;
    let secrets = secrets(&program, &settings)?;
    let graph = pass::run(Graph::new(&program), lower::PASSES, &mut |_, _| {});
    let network = lower::split(&graph, &|number| secrets[number], &program.approximations)?;
    if network.outputs.is_empty() {
        let message = "no output depends on a secret, so there is nothing to encrypt";
        return Err(vec![Diagnostic::error(Code::Unsupported, message).help("leave out `--target ckks`")]);
    }
    let interface = settings.layout.unwrap_or_default();
    let rings: Vec<u32> = match settings.slots {
        Some(slots) => vec![slots * 2],
        None => vec![1 << 13, 1 << 14, 1 << 15, 1 << 16],
    };
    let mut best: Option<(f64, Slots, Parameters)> = None;
    let mut refusal: Option<Diagnostic> = None;
    for ring in rings {
        let slots = match lower::lower(&network, ring / 2, interface, settings.depth) {
            Ok(slots) => slots,
            Err(place) => {
                refusal = Some(no_layout(place, ring / 2));
                continue;
            }
        };
        let slots = match settings.keys.map(|keys| slots.share_keys(keys)) {
            None => slots,
            Some(Ok(slots)) => slots,
            Some(Err(fewest)) => {
                refusal = Some(too_few_keys(&program, settings.keys.unwrap_or(0), fewest));
                continue;
            }
        };
        if cfg!(debug_assertions)
            && let Err(law) = slots.verify()
        {
            panic!("bug in the lowering to slots: {law}\n{slots}");
        }
        if let Some(depth) = settings.depth.filter(|depth| *depth < slots.levels) {
            refusal = Some(too_deep(&slots, &format!("`depth` allows {depth}")));
            continue;
        }
        let scale_bits = settings.scale_bits.unwrap_or(USUAL_SCALE);
        let request = Request {
            insecure_toy: settings.insecure_toy,
            scale_bits,
            // As much room for the values as usual.
            first_bits: (scale_bits + 14).min(60),
            ..Request::new(ring, settings.depth.unwrap_or(slots.levels))
        };
        match Parameters::choose(&request) {
            Ok(parameters) => {
                let seconds = seconds(&slots, &parameters, Executor::Embedded);
                let single = slots
                    .values
                    .iter()
                    .filter_map(|(_, value)| value.place.as_ref())
                    .all(|(packing, _)| packing.ciphertexts() == 1);
                if best.as_ref().is_none_or(|best| seconds < best.0) {
                    best = Some((seconds, slots, parameters));
                }
                // More slots only help where a tensor takes several ciphertexts.
                if single {
                    break;
                }
            }
            Err(error) => {
                refusal = Some(too_deep(&slots, &format!("more than a ring of degree {ring} has: {error}")));
            }
        }
    }
    match best {
        Some((_, slots, parameters)) => {
            let slots = if settings.keys.is_none() { with_shared_keys(&slots, &parameters) } else { slots };
            Ok(Encrypted { network, slots, parameters, interface, program })
        }
        None => Err(vec![refusal.unwrap_or_else(|| no_layout(Span::default(), 0))]),
    }
}

/// Shares keys as long as that takes no more rotations and not much more time.
fn with_shared_keys(slots: &Slots, parameters: &Parameters) -> Slots {
    /// A key takes longer to make than a few of its rotations, and megabytes to send: runs may take a quarter more for fewer.
    const SLOWER: f64 = 1.25;
    let time = |slots: &Slots| seconds(slots, parameters, Executor::Embedded);
    let most = SLOWER * time(slots);
    slots.share_spare_keys(&|shared| time(shared) <= most)
}

fn no_layout(place: Span, slots: u32) -> Diagnostic {
    let message = format!("a product has more points than {slots} slots of 1024 ciphertexts can hold");
    Diagnostic::error(Code::SlotLimit, message).label(place, "this statement").help("make the sizes smaller")
}

/// Refuses a program that is too deep, at the statement after which no level is left.
fn too_deep(slots: &Slots, why: &str) -> Diagnostic {
    let lowest = slots.values.iter().filter(|(_, value)| value.level == 0).map(|(_, value)| value.span);
    let place = lowest.into_iter().next().unwrap_or_default();
    let message = format!("the program spends {} levels, {why}", slots.levels);
    Diagnostic::error(Code::LevelLimit, message)
        .label(place, "the last level is spent here")
        .help("shorten chains of products, lower the degree of `@approx`, or allow more slots")
}

/// Refuses a program that no so few keys compute.
fn too_few_keys(program: &Program, keys: u32, fewest: u32) -> Diagnostic {
    let message = format!("no schedule is found with `keys = {keys}`: {fewest} are the fewest that suffice");
    let help =
        format!("`keys = {fewest}`, or more for fewer rotations; `einc plan` tells how many bytes they have");
    let error = Diagnostic::error(Code::KeyLimit, message).help(help);
    match program.encryption.iter().find(|(name, ..)| name == "keys") {
        Some((_, _, place)) => error.label(*place, "so many are allowed"),
        None => error,
    }
}

/// The settings with those of `target ckks { .. }` where nothing else is said.
fn from_block(program: &Program, settings: &Settings) -> Result<Settings, Vec<Diagnostic>> {
    let mut settings = settings.clone();
    let mut errors = Vec::new();
    for (name, value, place) in &program.encryption {
        let mut wrong = |wanted: &str| {
            errors.push(
                Diagnostic::error(Code::TargetSetting, format!("`{name}` is {wanted}"))
                    .label(*place, format!("this is `{value}`")),
            );
        };
        let number = value.parse::<f64>().ok();
        match name.as_str() {
            "layout" => match value.as_str() {
                "row_major" => drop(settings.layout.get_or_insert(Interface::RowMajor)),
                "free" => drop(settings.layout.get_or_insert(Interface::Free)),
                _ => wrong("`row_major` or `free`"),
            },
            "ring" => match number {
                Some(ring) if (8.0..=131_072.0).contains(&ring) && (ring as u32).is_power_of_two() => {
                    let slots = *settings.slots.get_or_insert(ring as u32 / 2);
                    if slots != ring as u32 / 2 {
                        wrong(&format!("twice the number of slots, {}", slots * 2));
                    }
                }
                _ => wrong("a power of two from 8 to 131072"),
            },
            "slots" => match number {
                Some(slots) if (4.0..=65536.0).contains(&slots) && (slots as u32).is_power_of_two() => {
                    settings.slots.get_or_insert(slots as u32);
                }
                _ => wrong("a power of two from 4 to 65536"),
            },
            "security" => match number {
                Some(128.0) => {}
                _ => wrong("128: less takes `--insecure-toy`, more is not offered"),
            },
            "scale" => {
                // As a power of two, or its exponent.
                let bits = number.map(|number| if number > 60.0 { number.log2() } else { number });
                match bits.filter(|bits| (20.0..=46.0).contains(bits) && bits.fract() == 0.0) {
                    Some(bits) => drop(settings.scale_bits.get_or_insert(bits as u32)),
                    None => wrong("2 ** 20 to 2 ** 46"),
                }
            }
            "keys" => match number {
                Some(keys) if (1.0..=4096.0).contains(&keys) && keys.fract() == 0.0 => {
                    settings.keys.get_or_insert(keys as u32);
                }
                _ => wrong("a number of keys from 1 to 4096"),
            },
            _ => match number {
                Some(depth) if (1.0..=40.0).contains(&depth) && depth.fract() == 0.0 => {
                    settings.depth.get_or_insert(depth as u32);
                }
                _ => wrong("a number of levels from 1 to 40"),
            },
        }
    }
    if errors.is_empty() { Ok(settings) } else { Err(errors) }
}

/// Which inputs are encrypted.
fn secrets(program: &Program, settings: &Settings) -> Result<Vec<bool>, Vec<Diagnostic>> {
    let tensors: Vec<_> = program.inputs.iter().map(|&id| (id, &program.tensors[id])).collect();
    if let Some(names) = &settings.secrets {
        if let Some(name) = names.iter().find(|name| !tensors.iter().any(|(_, t)| t.name == **name)) {
            let message = format!("the program takes no array `{name}`, so it cannot be encrypted");
            return Err(vec![Diagnostic::error(Code::ExtraInput, message)]);
        }
        return Ok(tensors.iter().map(|(_, tensor)| names.contains(&tensor.name)).collect());
    }
    Ok(match program.secrets.is_empty() {
        true => tensors.iter().map(|(_, tensor)| tensor.role != Role::Param).collect(),
        false => tensors.iter().map(|(id, _)| program.secrets.contains(id)).collect(),
    })
}

/// Refuses secrets on a target that computes on clear numbers.
pub fn refuse_secrets(program: &Program) -> Vec<Diagnostic> {
    let refuse = |id| {
        let tensor = &program.tensors[id];
        let message = format!("`{}` is secret, and this target computes on clear numbers", tensor.name);
        Diagnostic::error(Code::Secret, message)
            .label(tensor.place, "declared secret")
            .help("`--target ckks` computes on ciphertexts")
    };
    program.secrets.iter().copied().map(refuse).collect()
}

/// Seconds that an executor takes for a schedule on one core, keys, encoding and encryption excluded.
pub fn seconds(slots: &Slots, parameters: &Parameters, executor: Executor) -> f64 {
    use crate::slots::Op::*;
    let ring = Ring {
        log2: parameters.ring.ilog2(),
        primes: parameters.primes.len() as u32,
        special: parameters.special.len() as u32,
        digits: parameters.digits,
    };
    let milliseconds = slots.values.iter().map(|(_, value)| {
        let primes = value.level + 1;
        let (operation, left) = match value.op {
            Input(..) => return 0.0,
            Hoist(_) => (Operation::Hoist, primes),
            Rotate(a, _) if slots.is_hoist(a) => (Operation::RotateHoisted, primes),
            Rotate(..) | Conjugate(_) => (Operation::Rotate, primes),
            Relinearize(_) => (Operation::Relinearize, primes),
            Mul(..) => (Operation::Mul, primes),
            MulPlain(..) | MulScalar(..) => (Operation::MulPlain, primes),
            // What has a prime less had one more.
            Rescale(_) | Drop(_) => (Operation::Rescale, primes + 1),
            Add(..) | Sub(..) | Neg(_) | AddPlain(..) | AddScalar(..) => (Operation::Add, primes),
        };
        executor.milliseconds(ring, operation, left)
    });
    milliseconds.sum::<f64>() / 1e3
}

impl Encrypted {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bounds of errors and magnitudes for all inputs and clear tensors of at most that magnitude.
    pub fn noise(&self, magnitude: f64) -> Noise {
        Noise::predict(&self.slots, &self.parameters, Numbers::Within(magnitude))
    }

    /// Bounds of errors and magnitudes for these inputs.
    ///
    /// # Errors
    /// A fault of a clear value; an argument of an approximated function that leaves its range; values that outgrow
    /// their primes.
    pub fn bounds(&self, inputs: &[&Tensor]) -> Result<Noise, Failed> {
        self.bounds_with(inputs, &self.clears(inputs).map_err(Failed::Fault)?)
    }

    /// The same with the clear tensors at hand.
    fn bounds_with(&self, inputs: &[&Tensor], clears: &BTreeMap<String, Tensor>) -> Result<Noise, Failed> {
        let clears = clears.iter().map(|(name, tensor)| (name.clone(), numbers(tensor))).collect();
        let by_name = self.by_name(inputs);
        let secrets = by_name.into_iter().map(|(name, tensor)| (name, numbers(tensor))).collect();
        let noise = Noise::predict(&self.slots, &self.parameters, Numbers::Known(&secrets, &clears));
        if let Some(stray) = noise.stray {
            let range = &self.slots.ranges[stray.range];
            let ((low, high), argument) = (range.ends, stray.argument);
            let message = format!(
                "`{}` is approximated on ({low}, {high}), and these inputs apply it to {argument:.6}",
                range.function
            );
            return Err(Failed::Diagnostic(
                Diagnostic::error(Code::ApproximationRange, message)
                    .label(range.span, "this statement")
                    .help("widen the range of `@approx` and raise its degree, or scale the inputs"),
            ));
        }
        if noise.headroom < 0.0 {
            let message = format!(
                "values as large as {:.3e} do not fit the primes: {:.0} bits too many",
                noise.largest, -noise.headroom
            );
            return Err(Failed::Diagnostic(
                Diagnostic::error(Code::Encryption, message).help("scale the inputs down"),
            ));
        }
        Ok(noise)
    }

    /// The clear tensors by name, and the outputs that are no secrets, from all inputs of the program.
    ///
    /// # Errors
    /// The first computed index that left its tensor.
    pub fn clears(&self, inputs: &[&Tensor]) -> Result<BTreeMap<String, Tensor>, Fault> {
        let graph = &self.network.clear_graph;
        let Some((program, constants)) = to_program(graph) else { return Ok(BTreeMap::new()) };
        let mut given: Vec<&Tensor> = graph.inputs_read().into_iter().map(|number| inputs[number]).collect();
        given.extend(constants.iter().map(|constant| &**constant));
        let values = interpret::run(&program, &given)?;
        Ok(program.outputs.iter().map(|output| output.0.clone()).zip(values).collect())
    }

    /// The schedule, with the clear tensors in it.
    ///
    /// # Errors
    /// Where the runtime refuses it.
    pub fn schedule(&self, clears: &BTreeMap<String, Tensor>) -> Result<Schedule, Diagnostic> {
        ckks::emit(&self.slots, self.parameters.clone(), &|name| clears.get(name).map(numbers))
            .map_err(|error| runtime_diagnostic(&error.to_string()))
    }

    /// The results by the simulator, in the order of the program's outputs.
    ///
    /// # Errors
    /// As [`Encrypted::bounds`], or a broken law, which is a bug of ours.
    pub fn simulate(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Failed> {
        let clears = self.clears(inputs).map_err(Failed::Fault)?;
        self.bounds_with(inputs, &clears)?;
        let by_name = self.by_name(inputs);
        let results = interpret::run_slots(
            &self.slots,
            &|name| by_name.get(name).map(|tensor| numbers(tensor)),
            &|name| clears.get(name).map(numbers),
            0x5eed,
        );
        let results = results.map_err(|law| Failed::Diagnostic(Diagnostic::error(Code::Internal, law)))?;
        self.collect(&clears, results).ok_or_else(no_memory)
    }

    /// The results under encryption, in the order of the program's outputs: keys, encryption, run and decryption in one.
    ///
    /// # Errors
    /// As [`Encrypted::bounds`], or what the runtime refuses.
    #[cfg(feature = "ckks")]
    pub fn run(
        &self,
        inputs: &[&Tensor],
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<Tensor>, Failed> {
        use einc_runtime::ckks::{Ciphertext, Context, EvaluationKeys, Inputs, Random, SecretKey, run};
        let (clears, schedule) = self.prepared(inputs)?;
        let refused =
            |error: einc_runtime::ckks::CkksError| Failed::Diagnostic(runtime_diagnostic(&error.to_string()));
        let context = Context::new(&schedule.parameters).map_err(refused)?;
        let mut random = Random::system().map_err(refused)?;
        let secret = SecretKey::generate(&context, &mut random);
        let keys =
            EvaluationKeys::generate(&context, &secret, &schedule.keys, &mut random).map_err(refused)?;
        let mut encrypted = Inputs::default();
        for (name, vectors) in self.packed(inputs) {
            let ciphertexts: Result<Vec<Ciphertext>, _> = vectors
                .iter()
                .map(|slots| Ciphertext::encrypt(&context, &secret, slots, &mut random))
                .collect();
            encrypted.secret.insert(name, ciphertexts.map_err(refused)?);
        }
        let outputs = run(&context, &schedule, &keys, &encrypted, progress).map_err(refused)?;
        let mut slots = BTreeMap::new();
        for (name, ciphertexts) in outputs.values {
            let opened: Result<Vec<Vec<f64>>, _> = ciphertexts
                .iter()
                .map(|ciphertext| Ok(ciphertext.decrypt(&context, &secret)?.slots))
                .collect();
            slots.insert(name, opened.map_err(refused)?);
        }
        self.unpacked(&clears, &slots)
    }

    /// The same by poulpy, another implementation of the scheme.
    ///
    /// # Errors
    /// As [`Encrypted::run`], and what poulpy refuses.
    #[cfg(feature = "ckks-poulpy")]
    pub fn run_by_poulpy(
        &self,
        inputs: &[&Tensor],
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<Tensor>, Failed> {
        use einc_runtime::ckks::{Random, poulpy};
        let (clears, schedule) = self.prepared(inputs)?;
        let slots = Random::system()
            .and_then(|mut random| poulpy::run(&schedule, &self.packed(inputs), &mut random, progress))
            .map_err(|error| Failed::Diagnostic(runtime_diagnostic(&error.to_string())))?;
        self.unpacked(&clears, &slots)
    }

    /// The clear tensors, within their bounds, and the schedule with them in it.
    #[cfg(feature = "ckks")]
    fn prepared(&self, inputs: &[&Tensor]) -> Result<(BTreeMap<String, Tensor>, Schedule), Failed> {
        let clears = self.clears(inputs).map_err(Failed::Fault)?;
        self.bounds_with(inputs, &clears)?;
        let schedule = self.schedule(&clears).map_err(Failed::Diagnostic)?;
        Ok((clears, schedule))
    }

    /// The slots of each secret input of the schedule.
    #[cfg(feature = "ckks")]
    fn packed(&self, inputs: &[&Tensor]) -> BTreeMap<String, Vec<Vec<f64>>> {
        let by_name = self.by_name(inputs);
        let mut packed = BTreeMap::new();
        for (number, (_, input)) in self.slots.inputs.iter().enumerate() {
            let tensor = by_name.get(&input.name).map(|tensor| numbers(tensor)).unwrap_or_default();
            let slots = ckks::pack(&input.packing, &tensor, self.slots.slots);
            packed.insert(ckks::input_name(&self.slots, number), slots);
        }
        packed
    }

    /// All outputs, from the slots of each output of the schedule.
    #[cfg(feature = "ckks")]
    fn unpacked(
        &self,
        clears: &BTreeMap<String, Tensor>,
        slots: &BTreeMap<String, Vec<Vec<f64>>>,
    ) -> Result<Vec<Tensor>, Failed> {
        let mut results = Vec::new();
        for (number, output) in self.slots.outputs.iter().enumerate() {
            let vectors = &slots[&ckks::word(&output.name, number)];
            results.push(ckks::unpack(&output.packing, &output.shape, vectors, self.slots.slots));
        }
        self.collect(clears, results).ok_or_else(no_memory)
    }

    fn by_name<'a>(&self, inputs: &[&'a Tensor]) -> BTreeMap<String, &'a Tensor> {
        let names = self.program.inputs.iter().map(|&id| self.program.tensors[id].name.clone());
        names.zip(inputs.iter().copied()).collect()
    }

    /// All outputs as tensors of their types; integers are rounded.
    fn collect(&self, clears: &BTreeMap<String, Tensor>, results: Vec<Vec<f64>>) -> Option<Vec<Tensor>> {
        let mut tensors = Vec::new();
        for (name, id) in &self.program.outputs {
            let declared = &self.program.tensors[*id];
            let secret = self.slots.outputs.iter().position(|output| output.name == *name);
            let Some(number) = secret else {
                tensors.push(clears.get(name)?.clone());
                continue;
            };
            let mut tensor = Tensor::zeros(declared.dtype, &declared.shape)?;
            for (position, value) in results[number].iter().enumerate() {
                let scalar = match declared.dtype.is_integer() {
                    true => Scalar::Int(value.round() as i128),
                    false => Scalar::Real(*value),
                };
                tensor.set(position, scalar);
            }
            tensors.push(tensor);
        }
        Some(tensors)
    }
}

/// Why a run failed.
#[derive(Clone, Debug)]
pub enum Failed {
    /// A computed index of a clear value left its tensor.
    Fault(Fault),
    /// What the runtime refused.
    Diagnostic(Diagnostic),
}

fn no_memory() -> Failed {
    Failed::Diagnostic(Diagnostic::error(Code::OutOfMemory, "there is no memory for the results"))
}

fn runtime_diagnostic(message: &str) -> Diagnostic {
    Diagnostic::error(Code::Encryption, format!("the encrypted run is refused: {message}"))
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    (0..tensor.elems()).map(|position| tensor.get(position).re()).collect()
}
