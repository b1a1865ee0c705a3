//! OpenFHE programs in Python.

use super::Numbers;
use super::walk::{Language, evaluate, make_keys};
use einc_runtime::ckks::Schedule;
use einc_runtime::ckks::schedule::{Layout, Step, Values};
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

Inputs and outputs are tensors where the layout is known, else arrays of slot vectors, a row for each ciphertext.

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
# Tensor, shape, and pieces: ciphertext, first slot, first element, then twice how often, slots and elements apart.
INPUT_LAYOUTS = {}
OUTPUT_LAYOUTS = {}


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
        layouts(schedule.inputs.iter().map(|input| (&input.name, &input.layout))),
        layouts(schedule.outputs.iter().map(|output| (&output.name, &output.layout))),
        numbers.scale_bits,
        numbers.first_bits,
        numbers.digits,
    )?;
    text.push_str(&make_keys::<Python>(schedule));
    text.push_str(
        r#"    return keys


def places(pieces):
    """Ciphertext, slots and elements of each piece."""
    for ciphertext, slot, element, (n, slots, elements), (m, more_slots, more_elements) in pieces:
        i, j = np.arange(n), np.arange(m)[:, None]
        yield ciphertext, slot + slots * i + more_slots * j, element + elements * i + more_elements * j


def pack(name, count, arrays):
    """A row of slots for each vector of an input."""
    if name not in INPUT_LAYOUTS:
        return np.asarray(arrays[name], np.float64).reshape(count, SLOTS)
    tensor, shape, pieces = INPUT_LAYOUTS[name]
    if np.shape(arrays[tensor]) != shape:
        raise ValueError(f"{tensor} has shape {np.shape(arrays[tensor])}, not {shape}")
    elements = np.asarray(arrays[tensor], np.float64).ravel()
    rows = np.zeros((count, SLOTS))
    for ciphertext, slot, element in places(pieces):
        rows[ciphertext, slot] = elements[element]
    return rows


def unpack(name, rows):
    """The tensor of an output; copies are averaged."""
    if name not in OUTPUT_LAYOUTS:
        return name, np.stack(rows)
    tensor, shape, pieces = OUTPUT_LAYOUTS[name]
    sums, counts = np.zeros(shape).ravel(), np.zeros(shape).ravel()
    for ciphertext, slot, element in places(pieces):
        np.add.at(sums, element, rows[ciphertext][slot])
        np.add.at(counts, element, 1)
    return tensor, (sums / counts).reshape(shape)


def encrypt(context, keys, arrays):
    """The ciphertexts of each secret input."""

    def one(row):
        return context.Encrypt(keys.secretKey, context.MakeCKKSPackedPlaintext(row))

    return {name: [one(row) for row in pack(name, count, arrays)] for name, count in SECRET.items()}


def decrypt(context, keys, ciphertexts):
    """The tensors of the outputs."""

    def one(ciphertext):
        plaintext = context.Decrypt(ciphertext, keys.secretKey)
        plaintext.SetLength(SLOTS)
        return np.array(plaintext.GetRealPackedValue())

    return dict(unpack(name, [one(value) for value in values]) for name, values in ciphertexts.items())


def evaluate(context, secret, clear):
    """The ciphertexts of the outputs; nothing is decrypted."""
    clear = {name: pack(name, count, clear) for name, count in CLEAR.items()}

    def plain(values, level, degree):
        # OpenFHE counts levels up from the fresh ciphertext.
        values = np.asarray(values, np.float64)
        return context.MakeCKKSPackedPlaintext(values, degree, LEVELS - level)

"#,
    );
    text.push_str(&evaluate::<Python>(schedule));
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

/// A dictionary of the layouts that are known.
fn layouts<'a>(named: impl Iterator<Item = (&'a String, &'a Option<Layout>)>) -> String {
    let mut text = String::from("{");
    for (name, layout) in named {
        let Some(layout) = layout else { continue };
        let shape: Vec<String> = layout.shape.iter().map(|extent| format!("{extent},")).collect();
        let step = |step: Step| format!("({}, {}, {})", step.count, step.slots, step.elements);
        let pieces: Vec<String> = layout
            .pieces
            .iter()
            .map(|piece| {
                let (inner, outer) = (step(piece.inner), step(piece.outer));
                format!("({}, {}, {}, {inner}, {outer}),", piece.ciphertext, piece.slot, piece.element)
            })
            .collect();
        let (shape, pieces) = (shape.join(" "), pieces.join(" "));
        text.push_str(&format!("\n    {name:?}: ({:?}, ({shape}), ({pieces})),", layout.tensor));
    }
    text.push_str(if text.len() > 1 { "\n}" } else { "}" });
    text
}

/// Python 3.10.
struct Python;

impl Language for Python {
    const METHOD: &'static str = ".";
    const END: &'static str = "";
    const VALUE: &'static str = "";
    const VECTOR: &'static str = "";
    const RING: &'static str = "RING";
    const ROTATIONS: Option<&'static str> = Some("ROTATIONS");
    const NOTHING: &'static str = "None";

    fn list(items: &[String]) -> String {
        format!("[{}]", items.join(", "))
    }

    fn entry(table: &str, input: &str, index: u32) -> String {
        format!("{table}[{input:?}][{index}]")
    }

    fn constant(values: &Values) -> String {
        let numbers =
            |values: &[f64]| Python::list(&values.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>());
        match values {
            Values::Splat(value) => format!("np.full(SLOTS, {value:?})"),
            Values::Periodic(values) => format!("np.resize({}, SLOTS)", numbers(values)),
            Values::Dense(values) => numbers(values),
            Values::Runs(runs) => {
                let values: Vec<f64> = runs.iter().map(|&(_, value)| value).collect();
                let counts: Vec<u32> = runs.iter().map(|&(count, _)| count).collect();
                format!("np.repeat({}, {})", numbers(&values), list(&counts))
            }
        }
    }

    fn forget(names: &[String]) -> String {
        format!("    del {}\n", names.join(", "))
    }

    fn give(outputs: &[(&str, String)]) -> String {
        let outputs: Vec<String> =
            outputs.iter().map(|(name, values)| format!("{name:?}: {values}")).collect();
        format!("    return {{{}}}\n", outputs.join(", "))
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
