//! OpenFHE programs in C++.

use super::Numbers;
use super::walk::{Language, evaluate, make_keys};
use einc_runtime::ckks::Schedule;
use einc_runtime::ckks::schedule::Values;
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
    text.push_str(&make_keys::<Cpp>(schedule));
    text.push_str(MIDDLE);
    text.push_str(&evaluate::<Cpp>(schedule));
    text.push_str("}\n");
    text.push_str(MAIN);
    Ok(())
}

/// C++17.
struct Cpp;

impl Language for Cpp {
    const METHOD: &'static str = "->";
    const END: &'static str = ";";
    const VALUE: &'static str = "auto ";
    const VECTOR: &'static str = "const Vector ";
    const RING: &'static str = "kRing";
    const ROTATIONS: Option<&'static str> = None;
    const NOTHING: &'static str = "nullptr";

    fn list(items: &[String]) -> String {
        format!("{{{}}}", items.join(", "))
    }

    fn entry(table: &str, input: &str, index: u32) -> String {
        format!("{table}.at({input:?}).at({index})")
    }

    fn constant(values: &Values) -> String {
        let numbers =
            |values: &[f64]| Cpp::list(&values.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>());
        match values {
            Values::Splat(value) => format!("Vector(kSlots, {value:?})"),
            Values::Periodic(values) => format!("periodic({})", numbers(values)),
            Values::Dense(values) => numbers(values),
            Values::Runs(pieces) => {
                let pieces: Vec<String> =
                    pieces.iter().map(|(count, value)| format!("{{{count}, {value:?}}}")).collect();
                format!("runs({})", Cpp::list(&pieces))
            }
        }
    }

    fn forget(names: &[String]) -> String {
        names.iter().map(|name| format!("    {name}.reset();\n")).collect()
    }

    fn give(outputs: &[(&str, String)]) -> String {
        let outputs: Vec<String> =
            outputs.iter().map(|(name, values)| format!("{{{name:?}, {values}}}")).collect();
        format!("    return {};\n", Cpp::list(&outputs))
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
