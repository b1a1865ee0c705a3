//! OpenFHE programs in C++.

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
    let warning = if numbers.secure { "" } else { "// INSECURE: a toy ring, for tests.\n" };
    let counts = |secret: bool| {
        let names: Vec<String> = schedule
            .inputs
            .iter()
            .filter(|input| input.secret == secret)
            .map(|input| format!("{{{:?}, {}}}", input.name, input.count))
            .collect();
        names.join(", ")
    };
    write!(
        text,
        r#"// Written by einc from a schedule of {} instructions: an encrypted program for OpenFHE.
//
// Inputs and outputs are slot vectors: FOLDER/NAME.K.f64 holds the numbers of the slots of ciphertext K of NAME.
// Build with CMake's find_package(OpenFHE); run as `program FOLDER`.
{warning}
#include "openfhe.h"

#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace lbcrypto;

using Vector = std::vector<double>;
using Value = Ciphertext<DCRTPoly>;
using Values = std::map<std::string, std::vector<Value>>;
using Vectors = std::map<std::string, std::vector<Vector>>;

constexpr uint32_t kRing = {}, kSlots = {}, kLevels = {};
const std::vector<std::pair<std::string, size_t>> kSecret = {{{}}};
const std::vector<std::pair<std::string, size_t>> kClear = {{{}}};

CryptoContext<DCRTPoly> make_context() {{
    CCParams<CryptoContextCKKSRNS> parameters;
    parameters.SetSecurityLevel({security});
    parameters.SetRingDim(kRing);
    parameters.SetMultiplicativeDepth(kLevels);
    parameters.SetScalingModSize({});
    parameters.SetFirstModSize({});
    parameters.SetScalingTechnique(FIXEDMANUAL);
    parameters.SetKeySwitchTechnique(HYBRID);
    parameters.SetNumLargeDigits({});
    parameters.SetBatchSize(kSlots);
    auto context = GenCryptoContext(parameters);
    for (auto feature : {{PKE, KEYSWITCH, LEVELEDSHE, ADVANCEDSHE}}) context->Enable(feature);
    return context;
}}

KeyPair<DCRTPoly> make_keys(const CryptoContext<DCRTPoly>& context) {{
    auto keys = context->KeyGen();
"#,
        schedule.instructions.len(),
        numbers.ring,
        numbers.slots,
        numbers.levels,
        counts(true),
        counts(false),
        numbers.scale_bits,
        numbers.first_bits,
        numbers.digits,
    )?;
    if schedule.keys.relinearize.is_some() {
        writeln!(text, "    context->EvalMultKeyGen(keys.secretKey);")?;
    }
    if !numbers.rotations.is_empty() {
        let amounts: Vec<String> = numbers.rotations.iter().map(u32::to_string).collect();
        writeln!(text, "    context->EvalRotateKeyGen(keys.secretKey, {{{}}});", amounts.join(", "))?;
    }
    if schedule.keys.conjugate.is_some() {
        writeln!(text, "    context->EvalAutomorphismKeyGen(keys.secretKey, {{2 * kRing - 1}});")?;
    }
    text.push_str(MIDDLE);
    for (place, plain) in schedule.plains.iter().enumerate() {
        write!(text, "    const Vector p{place} = ")?;
        constant(text, schedule, plain)?;
        text.push_str(";\n");
    }
    let infos = schedule.check().unwrap_or_default();
    let freed = freed_with_digits(schedule);
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        write!(text, "    auto {} = ", name(schedule, Register(place as u32)))?;
        let encoded = |value: Register, plain: PlainId| {
            let info = infos.get(value.0 as usize);
            let (level, product) = info.map_or((0, false), |info| (info.level, info.product));
            format!("plain({plain}, {level}, {})", if product { 2 } else { 1 })
        };
        match *instruction {
            Instruction::Input { input, index } => {
                let input = schedule.inputs.get(input as usize).map_or("", |input| &input.name);
                writeln!(text, "secret.at({input:?}).at({index});")?;
            }
            Instruction::Add(a, b) => writeln!(text, "context->EvalAdd({a}, {b});")?,
            Instruction::Sub(a, b) => writeln!(text, "context->EvalSub({a}, {b});")?,
            Instruction::Neg(a) => writeln!(text, "context->EvalNegate({a});")?,
            Instruction::AddPlain(a, p) => writeln!(text, "context->EvalAdd({a}, {});", encoded(a, p))?,
            Instruction::Mul(a, b) => writeln!(text, "context->EvalMultNoRelin({a}, {b});")?,
            Instruction::MulPlain(a, p) => writeln!(text, "context->EvalMult({a}, {});", encoded(a, p))?,
            Instruction::MulScalar(a, number) => writeln!(text, "context->EvalMult({a}, {number:?});")?,
            Instruction::Rotate { value, by } => match hoisted(schedule, value) {
                Some(whole) => {
                    let digits = name(schedule, value);
                    writeln!(text, "context->EvalFastRotation({whole}, {by}, 2 * kRing, {digits});")?;
                }
                None => writeln!(text, "context->EvalRotate({value}, {by});")?,
            },
            Instruction::Hoist(a) => writeln!(text, "context->EvalFastRotationPrecompute({a});")?,
            Instruction::Relinearize(a) => writeln!(text, "context->Relinearize({a});")?,
            Instruction::Rescale(a) => writeln!(text, "context->Rescale({a});")?,
            Instruction::Drop { value, level } => {
                let from = infos.get(value.0 as usize).map_or(level, |info| info.level);
                writeln!(text, "context->LevelReduce({value}, nullptr, {});", from.saturating_sub(level))?;
            }
            Instruction::Conjugate(a) => {
                let keys = format!("context->GetEvalAutomorphismKeyMap({a}->GetKeyTag())");
                writeln!(text, "context->EvalAutomorphism({a}, 2 * kRing - 1, {keys});")?;
            }
        }
        for &register in &freed[place] {
            writeln!(text, "    {}.reset();", name(schedule, register))?;
        }
    }
    text.push_str("    return {");
    for (place, output) in schedule.outputs.iter().enumerate() {
        let values: Vec<String> = output.values.iter().map(Register::to_string).collect();
        let comma = if place == 0 { "" } else { ", " };
        write!(text, "{comma}{{{:?}, {{{}}}}}", output.name, values.join(", "))?;
    }
    text.push_str("};\n}\n");
    text.push_str(MAIN);
    Ok(())
}

/// An expression of as many numbers as there are slots.
fn constant(text: &mut String, schedule: &Schedule, plain: &Plain) -> fmt::Result {
    let numbers = |values: &[f64]| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        format!("{{{}}}", values.join(", "))
    };
    match plain {
        Plain::Input { input, index } => {
            let input = schedule.inputs.get(*input as usize).map_or("", |input| &input.name);
            write!(text, "clear.at({input:?}).at({index})")
        }
        Plain::Constant(Values::Splat(value)) => write!(text, "Vector(kSlots, {value:?})"),
        Plain::Constant(Values::Periodic(values)) => write!(text, "periodic({})", numbers(values)),
        Plain::Constant(Values::Dense(values)) => write!(text, "{}", numbers(values)),
        Plain::Constant(Values::Runs(pieces)) => {
            let pieces: Vec<String> =
                pieces.iter().map(|(count, value)| format!("{{{count}, {value:?}}}")).collect();
            write!(text, "runs({{{}}})", pieces.join(", "))
        }
    }
}

const MIDDLE: &str = r#"    return keys;
}

Vector periodic(const Vector& values) {
    Vector all(kSlots);
    for (size_t slot = 0; slot < kSlots; ++slot) all[slot] = values[slot % values.size()];
    return all;
}

Vector runs(const std::vector<std::pair<size_t, double>>& pieces) {
    Vector all;
    for (const auto& [count, value] : pieces) all.insert(all.end(), count, value);
    return all;
}

// The owner of the data: encrypts the slot vectors of each secret input.
Values encrypt(const CryptoContext<DCRTPoly>& context, const KeyPair<DCRTPoly>& keys, const Vectors& vectors) {
    Values values;
    for (const auto& [name, count] : kSecret) {
        for (size_t k = 0; k < count; ++k) {
            auto plain = context->MakeCKKSPackedPlaintext(vectors.at(name).at(k));
            values[name].push_back(context->Encrypt(keys.secretKey, plain));
        }
    }
    return values;
}

// The owner of the data: the slot vectors of each output.
Vectors decrypt(const CryptoContext<DCRTPoly>& context, const KeyPair<DCRTPoly>& keys, const Values& values) {
    Vectors vectors;
    for (const auto& [name, list] : values) {
        for (const auto& value : list) {
            Plaintext plain;
            context->Decrypt(keys.secretKey, value, &plain);
            plain->SetLength(kSlots);
            vectors[name].push_back(plain->GetRealPackedValue());
        }
    }
    return vectors;
}

// Who computes: nothing is decrypted, and no secret key is needed.
Values evaluate(const CryptoContext<DCRTPoly>& context, const Values& secret, const Vectors& clear) {
    auto plain = [&](const Vector& values, uint32_t level, size_t degree) {
        // OpenFHE counts levels up from the fresh ciphertext.
        return context->MakeCKKSPackedPlaintext(values, degree, kLevels - level);
    };
"#;

const MAIN: &str = r#"
Vector read(const std::string& path) {
    Vector values(kSlots);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(kSlots * sizeof(double)));
    if (!file) throw std::runtime_error("cannot read " + path);
    return values;
}

int main(int count, char** arguments) {
    if (count != 2) {
        std::cerr << "usage: program FOLDER\n";
        return 2;
    }
    const std::string folder = std::string(arguments[1]) + "/";
    Vectors vectors;
    for (const auto& inputs : {kSecret, kClear}) {
        for (const auto& [name, number] : inputs) {
            for (size_t k = 0; k < number; ++k) {
                vectors[name].push_back(read(folder + name + "." + std::to_string(k) + ".f64"));
            }
        }
    }
    auto context = make_context();
    auto keys = make_keys(context);
    auto results = decrypt(context, keys, evaluate(context, encrypt(context, keys, vectors), vectors));
    for (const auto& [name, list] : results) {
        for (size_t k = 0; k < list.size(); ++k) {
            std::ofstream file(folder + name + "." + std::to_string(k) + ".f64", std::ios::binary);
            file.write(reinterpret_cast<const char*>(list[k].data()),
                       static_cast<std::streamsize>(kSlots * sizeof(double)));
        }
    }
    return 0;
}
"#;
