//! OpenFHE programs in Python.

use super::{Numbers, freed_with_digits, hoisted, name};
use einc_runtime::ckks::Schedule;
use einc_runtime::ckks::schedule::{Instruction, Plain, PlainId, Register, Values};
use std::fmt::{self, Write};

pub(super) fn write(schedule: &Schedule) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = program(&mut text, schedule);
    text
}

fn program(text: &mut String, schedule: &Schedule) -> fmt::Result {
    let numbers = Numbers::new(schedule);
    let security = if numbers.secure { "HEStd_128_classic" } else { "HEStd_NotSet" };
    let warning = if numbers.secure { "" } else { "\n\nINSECURE: a toy ring, for tests." };
    let inputs = |secret: bool| {
        let names: Vec<String> = schedule
            .inputs
            .iter()
            .filter(|input| input.secret == secret)
            .map(|input| format!("{:?}: {}", input.name, input.count))
            .collect();
        names.join(", ")
    };
    let (secret, clear) = (inputs(true), inputs(false));
    let outputs: Vec<String> =
        schedule.outputs.iter().map(|output| format!("{:?}: {}", output.name, output.values.len())).collect();
    write!(
        text,
        r#"# Written by einc from a schedule of {} instructions.
"""An encrypted program for OpenFHE.{warning}

Inputs and outputs are arrays of slot vectors, one row for each ciphertext.

    python program.py run IN.npz OUT.npz        all of it, for trying out
    python program.py keys FOLDER               the owner of the data makes keys,
    python program.py encrypt FOLDER IN.npz     encrypts,
    python program.py evaluate FOLDER IN.npz    who computes needs no secret key,
    python program.py decrypt FOLDER OUT.npz    and the owner decrypts
"""

import os
import sys

import numpy as np
import openfhe as fhe

RING, SLOTS, LEVELS = {}, {}, {}
SECRET = {{{secret}}}  # how many ciphertexts
CLEAR = {{{clear}}}  # how many vectors
OUTPUTS = {{{}}}
ROTATIONS = {}


def make_context():
    parameters = fhe.CCParamsCKKSRNS()
    parameters.SetSecurityLevel(fhe.{security})
    parameters.SetRingDim(RING)
    parameters.SetMultiplicativeDepth(LEVELS)
    parameters.SetScalingModSize({})
    parameters.SetFirstModSize({})
    parameters.SetScalingTechnique(fhe.FIXEDMANUAL)
    parameters.SetKeySwitchTechnique(fhe.HYBRID)
    parameters.SetNumLargeDigits({})
    parameters.SetBatchSize(SLOTS)
    context = fhe.GenCryptoContext(parameters)
    for feature in (fhe.PKE, fhe.KEYSWITCH, fhe.LEVELEDSHE, fhe.ADVANCEDSHE):
        context.Enable(feature)
    return context


def make_keys(context):
    keys = context.KeyGen()
"#,
        schedule.instructions.len(),
        numbers.ring,
        numbers.slots,
        numbers.levels,
        outputs.join(", "),
        list(&numbers.rotations),
        numbers.scale_bits,
        numbers.first_bits,
        numbers.digits,
    )?;
    if schedule.keys.relinearize.is_some() {
        writeln!(text, "    context.EvalMultKeyGen(keys.secretKey)")?;
    }
    if !numbers.rotations.is_empty() {
        writeln!(text, "    context.EvalRotateKeyGen(keys.secretKey, ROTATIONS)")?;
    }
    if schedule.keys.conjugate.is_some() {
        writeln!(text, "    context.EvalAutomorphismKeyGen(keys.secretKey, [2 * RING - 1])")?;
    }
    text.push_str(
        r#"    return keys


def encrypt(context, keys, arrays):
    """The ciphertexts of each secret input, from an array with a row of slots for each."""

    def one(row):
        return context.Encrypt(keys.secretKey, context.MakeCKKSPackedPlaintext(np.asarray(row, np.float64)))

    return {name: [one(arrays[name][k]) for k in range(count)] for name, count in SECRET.items()}


def decrypt(context, keys, ciphertexts):
    """An array with a row of slots for each ciphertext of an output."""

    def one(ciphertext):
        plaintext = context.Decrypt(ciphertext, keys.secretKey)
        plaintext.SetLength(SLOTS)
        return np.array(plaintext.GetRealPackedValue())

    return {name: np.stack([one(value) for value in values]) for name, values in ciphertexts.items()}


def evaluate(context, secret, clear):
    """The ciphertexts of the outputs; nothing is decrypted."""

    def plain(values, level, degree):
        # OpenFHE counts levels up from the fresh ciphertext.
        values = np.asarray(values, np.float64)
        return context.MakeCKKSPackedPlaintext(values, degree, LEVELS - level)

"#,
    );
    for (place, plain) in schedule.plains.iter().enumerate() {
        write!(text, "    p{place} = ")?;
        constant(text, schedule, plain)?;
        text.push('\n');
    }
    let infos = schedule.check().unwrap_or_default();
    let freed = freed_with_digits(schedule);
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        let register = Register(place as u32);
        write!(text, "    {} = ", name(schedule, register))?;
        let encoded = |value: Register, plain: PlainId| {
            let info = infos.get(value.0 as usize);
            let (level, product) = info.map_or((0, false), |info| (info.level, info.product));
            format!("plain({plain}, {level}, {})", if product { 2 } else { 1 })
        };
        match *instruction {
            Instruction::Input { input, index } => {
                let input = schedule.inputs.get(input as usize).map_or("", |input| &input.name);
                writeln!(text, "secret[{input:?}][{index}]")?;
            }
            Instruction::Add(a, b) => writeln!(text, "context.EvalAdd({a}, {b})")?,
            Instruction::Sub(a, b) => writeln!(text, "context.EvalSub({a}, {b})")?,
            Instruction::Neg(a) => writeln!(text, "context.EvalNegate({a})")?,
            Instruction::AddPlain(a, p) => writeln!(text, "context.EvalAdd({a}, {})", encoded(a, p))?,
            Instruction::Mul(a, b) => writeln!(text, "context.EvalMultNoRelin({a}, {b})")?,
            Instruction::MulPlain(a, p) => writeln!(text, "context.EvalMult({a}, {})", encoded(a, p))?,
            Instruction::MulScalar(a, number) => writeln!(text, "context.EvalMult({a}, {number:?})")?,
            Instruction::Rotate { value, by } => match hoisted(schedule, value) {
                Some(whole) => {
                    let digits = name(schedule, value);
                    writeln!(text, "context.EvalFastRotation({whole}, {by}, 2 * RING, {digits})")?;
                }
                None => writeln!(text, "context.EvalRotate({value}, {by})")?,
            },
            Instruction::Hoist(a) => writeln!(text, "context.EvalFastRotationPrecompute({a})")?,
            Instruction::Relinearize(a) => writeln!(text, "context.Relinearize({a})")?,
            Instruction::Rescale(a) => writeln!(text, "context.Rescale({a})")?,
            Instruction::Drop { value, level } => {
                let from = infos.get(value.0 as usize).map_or(level, |info| info.level);
                writeln!(text, "context.LevelReduce({value}, None, {})", from.saturating_sub(level))?;
            }
            Instruction::Conjugate(a) => {
                let keys = format!("context.GetEvalAutomorphismKeyMap({a}.GetKeyTag())");
                writeln!(text, "context.EvalAutomorphism({a}, 2 * RING - 1, {keys})")?;
            }
        }
        let names: Vec<String> = freed[place].iter().map(|&register| name(schedule, register)).collect();
        if !names.is_empty() {
            writeln!(text, "    del {}", names.join(", "))?;
        }
    }
    text.push_str("    return {");
    for (place, output) in schedule.outputs.iter().enumerate() {
        let values: Vec<String> = output.values.iter().map(Register::to_string).collect();
        let comma = if place == 0 { "" } else { ", " };
        write!(text, "{comma}{:?}: [{}]", output.name, values.join(", "))?;
    }
    text.push_str("}\n");
    text.push_str(FILES);
    if schedule.keys.relinearize.is_some() {
        text.push_str("    context.SerializeEvalMultKey(path(folder, \"mult\"), fhe.BINARY)\n");
    }
    let moves = !numbers.rotations.is_empty() || schedule.keys.conjugate.is_some();
    if moves {
        text.push_str("    context.SerializeEvalAutomorphismKey(path(folder, \"rotate\"), fhe.BINARY)\n");
    }
    text.push_str(LOAD);
    if schedule.keys.relinearize.is_some() {
        text.push_str("    context.DeserializeEvalMultKey(path(folder, \"mult\"), fhe.BINARY)\n");
    }
    if moves {
        text.push_str("    context.DeserializeEvalAutomorphismKey(path(folder, \"rotate\"), fhe.BINARY)\n");
    }
    text.push_str(MAIN);
    Ok(())
}

fn list(amounts: &[u32]) -> String {
    let amounts: Vec<String> = amounts.iter().map(u32::to_string).collect();
    format!("[{}]", amounts.join(", "))
}

/// An expression of as many numbers as there are slots.
fn constant(text: &mut String, schedule: &Schedule, plain: &Plain) -> fmt::Result {
    let numbers = |values: &[f64]| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        format!("[{}]", values.join(", "))
    };
    match plain {
        Plain::Input { input, index } => {
            let input = schedule.inputs.get(*input as usize).map_or("", |input| &input.name);
            write!(text, "clear[{input:?}][{index}]")
        }
        Plain::Constant(Values::Splat(value)) => write!(text, "np.full(SLOTS, {value:?})"),
        Plain::Constant(Values::Periodic(values)) => {
            write!(text, "np.resize({}, SLOTS)", numbers(values))
        }
        Plain::Constant(Values::Dense(values)) => write!(text, "{}", numbers(values)),
        Plain::Constant(Values::Runs(runs)) => {
            let values: Vec<f64> = runs.iter().map(|&(_, value)| value).collect();
            let counts: Vec<u32> = runs.iter().map(|&(count, _)| count).collect();
            write!(text, "np.repeat({}, {})", numbers(&values), list(&counts))
        }
    }
}

const FILES: &str = r#"

def path(folder, *names):
    return os.path.join(folder, "-".join(str(name) for name in names))


def save_keys(folder, context, keys):
    os.makedirs(folder, exist_ok=True)
    fhe.SerializeToFile(path(folder, "context"), context, fhe.BINARY)
    fhe.SerializeToFile(path(folder, "secret"), keys.secretKey, fhe.BINARY)
    os.chmod(path(folder, "secret"), 0o600)
"#;

const LOAD: &str = r#"

def load_context(folder):
    context, _ = fhe.DeserializeCryptoContext(path(folder, "context"), fhe.BINARY)
    return context


class Owner:
    """The secret key, from its file."""

    def __init__(self, folder):
        self.secretKey, _ = fhe.DeserializePrivateKey(path(folder, "secret"), fhe.BINARY)


def save(folder, ciphertexts):
    for name, values in ciphertexts.items():
        for k, value in enumerate(values):
            fhe.SerializeToFile(path(folder, name, k), value, fhe.BINARY)


def load(folder, counts):
    def one(name, k):
        return fhe.DeserializeCiphertext(path(folder, name, k), fhe.BINARY)[0]

    return {name: [one(name, k) for k in range(count)] for name, count in counts.items()}


def load_evaluation_keys(folder, context):
"#;

const MAIN: &str = r#"    return context


def main(arguments):
    match arguments:
        case ["run", source, target]:
            arrays = np.load(source)
            context = make_context()
            keys = make_keys(context)
            results = evaluate(context, encrypt(context, keys, arrays), arrays)
            np.savez(target, **decrypt(context, keys, results))
        case ["keys", folder]:
            context = make_context()
            save_keys(folder, context, make_keys(context))
        case ["encrypt", folder, source]:
            save(folder, encrypt(load_context(folder), Owner(folder), np.load(source)))
        case ["evaluate", folder, source]:
            context = load_evaluation_keys(folder, load_context(folder))
            save(folder, evaluate(context, load(folder, SECRET), np.load(source)))
        case ["decrypt", folder, target]:
            context = load_context(folder)
            np.savez(target, **decrypt(context, Owner(folder), load(folder, OUTPUTS)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
"#;
