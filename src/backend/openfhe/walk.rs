//! What both languages say of a schedule, in one walk over it: the keys, and the calls that compute.

use einc_runtime::ckks::Schedule;
use einc_runtime::ckks::schedule::{Instruction, Plain, PlainId, Register, Values};

/// How a language writes what the walk finds.
pub(super) trait Language {
    /// Between an object and its method.
    const METHOD: &'static str;
    /// After a statement.
    const END: &'static str;
    /// Before the name of a new ciphertext.
    const VALUE: &'static str;
    /// Before the name of a new clear vector.
    const VECTOR: &'static str;
    /// The name of the ring's degree.
    const RING: &'static str;
    /// The name of the amounts of rotation, where the program has one.
    const ROTATIONS: Option<&'static str>;
    /// No object.
    const NOTHING: &'static str;

    /// A list of expressions.
    fn list(items: &[String]) -> String;
    /// Vector or ciphertext `index` of an input in a table of them.
    fn entry(table: &str, input: &str, index: u32) -> String;
    /// A vector of numbers.
    fn constant(values: &Values) -> String;
    /// The statement that forgets variables.
    fn forget(names: &[String]) -> String;
    /// The statement that gives the outputs, each with the list of its ciphertexts.
    fn give(outputs: &[(&str, String)]) -> String;
}

/// The statements that make the keys of a schedule.
pub(super) fn make_keys<L: Language>(schedule: &Schedule) -> String {
    let (method, end, ring) = (L::METHOD, L::END, L::RING);
    let secret = "keys.secretKey";
    let mut text = String::new();
    let mut say = |call: String| text.push_str(&format!("    context{method}{call}{end}\n"));
    if schedule.keys.relinearize.is_some() {
        say(format!("EvalMultKeyGen({secret})"));
    }
    if !schedule.keys.rotate.is_empty() {
        let amounts: Vec<String> = schedule.keys.rotate.keys().map(u32::to_string).collect();
        let amounts = L::ROTATIONS.map_or_else(|| L::list(&amounts), str::to_string);
        say(format!("EvalRotateKeyGen({secret}, {amounts})"));
    }
    if schedule.keys.conjugate.is_some() {
        say(format!("EvalAutomorphismKeyGen({secret}, {})", L::list(&[format!("2 * {ring} - 1")])));
    }
    text
}

/// The statements that compute the outputs.
pub(super) fn evaluate<L: Language>(schedule: &Schedule) -> String {
    let end = L::END;
    let mut text = String::new();
    for (place, plain) in schedule.plains.iter().enumerate() {
        let vector = match plain {
            Plain::Input { input, index } => L::entry("clear", input_name(schedule, *input), *index),
            Plain::Constant(values) => L::constant(values),
        };
        text.push_str(&format!("    {}p{place} = {vector}{end}\n", L::VECTOR));
    }
    let levels: Vec<(u32, bool)> = match schedule.check() {
        Ok(infos) => infos.iter().map(|info| (info.level, info.product)).collect(),
        Err(_) => vec![(0, false); schedule.instructions.len()],
    };
    let freed = freed_with_digits(schedule);
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        let name = name(schedule, Register(place as u32));
        let value = call::<L>(schedule, instruction, &levels);
        text.push_str(&format!("    {}{name} = {value}{end}\n", L::VALUE));
        let names: Vec<String> =
            freed[place].iter().map(|&register| self::name(schedule, register)).collect();
        if !names.is_empty() {
            text.push_str(&L::forget(&names));
        }
    }
    let list = |values: &[Register]| L::list(&values.iter().map(Register::to_string).collect::<Vec<_>>());
    let outputs: Vec<(&str, String)> =
        schedule.outputs.iter().map(|output| (output.name.as_str(), list(&output.values))).collect();
    text.push_str(&L::give(&outputs));
    text
}

fn call<L: Language>(schedule: &Schedule, instruction: &Instruction, levels: &[(u32, bool)]) -> String {
    let (method, ring) = (L::METHOD, L::RING);
    let of = |value: Register| levels.get(value.0 as usize).copied().unwrap_or_default();
    let encoded = |value: Register, plain: PlainId| {
        let (level, product) = of(value);
        format!("plain({plain}, {level}, {})", if product { 2 } else { 1 })
    };
    let arguments = match *instruction {
        Instruction::Input { input, index } => return L::entry("secret", input_name(schedule, input), index),
        Instruction::Add(a, b) => format!("EvalAdd({a}, {b})"),
        Instruction::Sub(a, b) => format!("EvalSub({a}, {b})"),
        Instruction::Neg(a) => format!("EvalNegate({a})"),
        Instruction::AddPlain(a, p) => format!("EvalAdd({a}, {})", encoded(a, p)),
        Instruction::Mul(a, b) => format!("EvalMultNoRelin({a}, {b})"),
        Instruction::MulPlain(a, p) => format!("EvalMult({a}, {})", encoded(a, p)),
        Instruction::MulScalar(a, number) => format!("EvalMult({a}, {number:?})"),
        Instruction::Rotate { value, by } => match hoisted(schedule, value) {
            Some(whole) => {
                format!("EvalFastRotation({whole}, {by}, 2 * {ring}, {})", name(schedule, value))
            }
            None => format!("EvalRotate({value}, {by})"),
        },
        Instruction::Hoist(a) => format!("EvalFastRotationPrecompute({a})"),
        Instruction::Relinearize(a) => format!("Relinearize({a})"),
        Instruction::Rescale(a) => format!("Rescale({a})"),
        Instruction::Drop { value, level } => {
            format!("LevelReduce({value}, {}, {})", L::NOTHING, of(value).0.saturating_sub(level))
        }
        Instruction::Conjugate(a) => {
            let keys = format!("context{method}GetEvalAutomorphismKeyMap({a}{method}GetKeyTag())");
            format!("EvalAutomorphism({a}, 2 * {ring} - 1, {keys})")
        }
    };
    format!("context{method}{arguments}")
}

fn input_name(schedule: &Schedule, input: u32) -> &str {
    schedule.inputs.get(input as usize).map_or("", |input| &input.name)
}

/// For each instruction, the registers that nothing reads after it.
fn freed(schedule: &Schedule) -> Vec<Vec<Register>> {
    let count = schedule.instructions.len();
    let mut last: Vec<usize> = (0..count).collect();
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        instruction.operands().for_each(|operand| last[operand.0 as usize] = place);
    }
    for register in schedule.outputs.iter().flat_map(|output| &output.values) {
        last[register.0 as usize] = count;
    }
    let mut freed = vec![Vec::new(); count];
    for (register, &place) in last.iter().enumerate() {
        if place < count {
            freed[place].push(Register(register as u32));
        }
    }
    freed
}

/// `c3`, or `h3` for the digits of a value.
fn name(schedule: &Schedule, register: Register) -> String {
    match schedule.instructions.get(register.0 as usize) {
        Some(Instruction::Hoist(_)) => format!("h{}", register.0),
        _ => register.to_string(),
    }
}

/// The value that digits are of.
fn hoisted(schedule: &Schedule, digits: Register) -> Option<Register> {
    match schedule.instructions.get(digits.0 as usize) {
        Some(Instruction::Hoist(value)) => Some(*value),
        _ => None,
    }
}

/// As [`freed`], with values kept as long as their digits are rotated: OpenFHE needs both.
pub(super) fn freed_with_digits(schedule: &Schedule) -> Vec<Vec<Register>> {
    let mut freed = freed(schedule);
    let mut place_of = vec![usize::MAX; schedule.instructions.len()];
    for (place, registers) in freed.iter().enumerate() {
        registers.iter().for_each(|register| place_of[register.0 as usize] = place);
    }
    let mut later: Vec<usize> = place_of.clone();
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        if let Instruction::Hoist(value) = instruction {
            let value = value.0 as usize;
            if later[value] != usize::MAX {
                later[value] = later[value].max(place_of[place]);
            }
        }
    }
    freed.iter_mut().for_each(Vec::clear);
    for (register, &place) in later.iter().enumerate() {
        if place != usize::MAX {
            freed[place].push(Register(register as u32));
        }
    }
    freed
}
