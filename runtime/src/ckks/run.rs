//! Runs schedules.

use super::cipher::Ciphertext;
use super::context::Context;
use super::error::{CkksError, Code};
use super::evaluate::Digits;
use super::galois;
use super::keys::{EvaluationKeys, SwitchKey};
use super::lanes;
use super::modulus::Modulus;
use super::schedule::{Counts, Instruction, Plain, PlainId, Register, Schedule, Values};
use std::collections::{BTreeMap, HashMap};

/// What a schedule runs on.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The ciphertexts of each secret input.
    pub secret: BTreeMap<String, Vec<Ciphertext>>,
    /// The vectors of each clear input: a number for each slot.
    pub clear: BTreeMap<String, Vec<Vec<f64>>>,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The ciphertexts of each output.
    pub values: BTreeMap<String, Vec<Ciphertext>>,
    /// The operations that were done.
    pub counts: Counts,
    /// The most bytes of ciphertexts and digits that were held at once.
    pub bytes: u64,
}

enum Value {
    Ciphertext(Ciphertext),
    /// The first part as it is and the digits of the second.
    Digits(Ciphertext, Digits),
}

impl Value {
    fn bytes(&self) -> u64 {
        let words = match self {
            Value::Ciphertext(value) => value.data.len(),
            Value::Digits(first, digits) => first.data.len() + digits.len(),
        };
        words as u64 * 8
    }
}

/// Runs a schedule on encrypted inputs. Nothing is decrypted, and no secret key is needed.
///
/// Schedule, keys and inputs are checked before anything is computed. `progress` is told how many instructions of how
/// many are done; when it says `false`, the run stops with [`Code::Stopped`].
pub fn run(
    context: &Context,
    schedule: &Schedule,
    keys: &EvaluationKeys,
    inputs: &Inputs,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Outputs, CkksError> {
    check(context, schedule, keys, inputs)?;
    let mut runner = Runner {
        context,
        schedule,
        keys,
        inputs,
        last: schedule.last_uses(),
        registers: Vec::new(),
        plains: HashMap::new(),
        uses: HashMap::new(),
        spare: Vec::new(),
        held: 0,
    };
    runner.count_plains()?;
    let (mut counts, mut bytes) = (Counts::default(), 0);
    let total = schedule.instructions.len();
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        if !progress(place, total) {
            return Err(CkksError::new(
                Code::Stopped,
                format!("stopped after {place} of {total} instructions"),
            ));
        }
        let value = runner.step(place, instruction).map_err(|error| error.within(&format!("c{place}")))?;
        runner.held += value.bytes();
        bytes = bytes.max(runner.held);
        runner.registers.push(Some(value));
        instruction.operands().for_each(|operand| runner.free(operand, place));
        runner.free(Register(place as u32), place);
        counts.add(instruction, schedule.is_hoisted(instruction));
    }
    progress(total, total);
    let mut values = BTreeMap::new();
    for output in &schedule.outputs {
        let list: Result<Vec<Ciphertext>, CkksError> =
            output.values.iter().map(|&register| runner.ciphertext(register).cloned()).collect();
        values.insert(output.name.clone(), list?);
    }
    Ok(Outputs { values, counts, bytes })
}

/// Whether these keys and inputs fit the schedule.
fn check(
    context: &Context,
    schedule: &Schedule,
    keys: &EvaluationKeys,
    inputs: &Inputs,
) -> Result<(), CkksError> {
    schedule.check()?;
    if schedule.parameters.hash() != context.hash() {
        return Err(CkksError::new(Code::WrongParameters, "the schedule is of another parameter set"));
    }
    if keys.parameters != context.hash() {
        return Err(CkksError::new(
            Code::WrongParameters,
            "the evaluation keys are of another parameter set",
        ));
    }
    let (has, needs) = (keys.list(), &schedule.keys);
    let missing = |what: String, level: u32| {
        Err(CkksError::new(Code::MissingKey, format!("no key to {what} at level {level}")))
    };
    match needs.relinearize {
        Some(level) if has.relinearize < Some(level) => return missing("relinearize".into(), level),
        _ => (),
    }
    match needs.conjugate {
        Some(level) if has.conjugate < Some(level) => return missing("conjugate".into(), level),
        _ => (),
    }
    for (by, &level) in &needs.rotate {
        if has.rotate.get(by).is_none_or(|&has| has < level) {
            return missing(format!("rotate by {by}"), level);
        }
    }
    let given =
        inputs.secret.keys().map(|name| (name, true)).chain(inputs.clear.keys().map(|name| (name, false)));
    for (name, secret) in given {
        match schedule.inputs.iter().find(|input| input.name == *name) {
            None => return Err(CkksError::new(Code::Input, format!("the schedule has no input {name}"))),
            Some(input) if input.secret != secret => {
                let kind = if secret { "clear, not encrypted" } else { "encrypted, not clear" };
                return Err(CkksError::new(Code::Input, format!("the input {name} must be {kind}")));
            }
            Some(_) => (),
        }
    }
    for input in &schedule.inputs {
        let within = |code: Code, message: String| {
            Err(CkksError::new(code, message).within(&format!("the input {}", input.name)))
        };
        let found = if input.secret {
            inputs.secret.get(&input.name).map(Vec::len)
        } else {
            inputs.clear.get(&input.name).map(Vec::len)
        };
        match found {
            None => return within(Code::Input, "it is missing".into()),
            Some(count) if count != input.count as usize => {
                return within(Code::Input, format!("{count} vectors, not {}", input.count));
            }
            Some(_) => (),
        }
        for value in inputs.secret.get(&input.name).into_iter().flatten() {
            if value.parameters != context.hash() {
                return within(Code::WrongParameters, "it is of another parameter set".into());
            }
            if value.owner != keys.owner {
                let message = format!("it is of owner {:016x}, the keys of {:016x}", value.owner, keys.owner);
                return within(Code::WrongKey, message);
            }
            if value.level != context.parameters().levels() {
                return within(Code::Level, format!("level {}, not a fresh ciphertext", value.level));
            }
            if value.product || value.parts != 2 {
                return within(Code::Parts, "a product, not a fresh ciphertext".into());
            }
        }
    }
    Ok(())
}

/// A plain operand as it is encoded: which, at which level, whether at the scale of a product.
type Encoded = (PlainId, u32, bool);

struct Runner<'a> {
    context: &'a Context,
    schedule: &'a Schedule,
    keys: &'a EvaluationKeys,
    inputs: &'a Inputs,
    last: Vec<usize>,
    registers: Vec<Option<Value>>,
    /// Encoded vectors that are used again.
    plains: HashMap<Encoded, Vec<u64>>,
    /// How often each is still used.
    uses: HashMap<Encoded, usize>,
    /// Memory of values that were freed: fresh memory from the system costs more than a sum.
    spare: Vec<Vec<u64>>,
    held: u64,
}

/// How many freed values' memory is kept.
const SPARES: usize = 4;

impl Runner<'_> {
    fn count_plains(&mut self) -> Result<(), CkksError> {
        let infos = self.schedule.check()?;
        for instruction in &self.schedule.instructions {
            if let (Some(plain), Some(value)) = (instruction.plain(), instruction.operands().next()) {
                let info = infos[value.0 as usize];
                *self.uses.entry((plain, info.level, info.product)).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Frees a register after its last use.
    fn free(&mut self, register: Register, place: usize) {
        if self.last[register.0 as usize] == place
            && let Some(value) = self.registers[register.0 as usize].take()
        {
            self.held -= value.bytes();
            if let Value::Ciphertext(value) = value
                && self.spare.len() < SPARES
            {
                self.spare.push(value.data);
            }
        }
    }

    /// Memory for so many numbers, whatever they are.
    fn memory(&mut self, length: usize) -> Vec<u64> {
        let fits = |spare: &Vec<u64>| spare.capacity() >= length && spare.capacity() <= 2 * length;
        match self.spare.iter().position(fits) {
            Some(place) => {
                let mut spare = self.spare.swap_remove(place);
                spare.resize(length, 0);
                spare
            }
            None => {
                // What does not fit here will hardly fit later.
                self.spare.clear();
                vec![0; length]
            }
        }
    }

    fn ciphertext(&self, register: Register) -> Result<&Ciphertext, CkksError> {
        match self.registers.get(register.0 as usize) {
            Some(Some(Value::Ciphertext(value))) => Ok(value),
            _ => Err(CkksError::new(Code::Value, format!("{register} is no ciphertext here"))),
        }
    }

    /// The value of a register to be changed: itself if this is its last use, a copy otherwise.
    fn take(
        &mut self,
        register: Register,
        place: usize,
        other: Option<Register>,
    ) -> Result<Ciphertext, CkksError> {
        if self.last[register.0 as usize] == place && other != Some(register) {
            let slot = &mut self.registers[register.0 as usize];
            if let Some(Value::Ciphertext(value)) =
                slot.take_if(|value| matches!(value, Value::Ciphertext(_)))
            {
                self.held -= value.data.len() as u64 * 8;
                return Ok(value);
            }
        }
        let length = self.ciphertext(register)?.data.len();
        let mut data = self.memory(length);
        let value = self.ciphertext(register)?;
        data.copy_from_slice(&value.data);
        Ok(Ciphertext { data, ..*value })
    }

    /// Two values that are still needed, number by number.
    fn both(
        &mut self,
        a: Register,
        b: Register,
        op: fn(&Modulus, &mut [u64], &[u64]),
    ) -> Result<Ciphertext, CkksError> {
        let length = self.ciphertext(a)?.data.len();
        let mut data = self.memory(length);
        let (x, y) = (self.ciphertext(a)?, self.ciphertext(b)?);
        self.context.combine(&mut data, x, y, op);
        Ok(Ciphertext { data, seed: None, ..*x })
    }

    /// An encoded vector for an operand.
    fn plain(&mut self, id: PlainId, level: u32, product: bool) -> Result<Vec<u64>, CkksError> {
        let encoded = (id, level, product);
        let left = self.uses.get_mut(&encoded).map_or(0, |uses| {
            *uses -= 1;
            *uses
        });
        if left == 0
            && let Some(rows) = self.plains.remove(&encoded)
        {
            return Ok(rows);
        }
        if let Some(rows) = self.plains.get(&encoded) {
            return Ok(rows.clone());
        }
        let slots = self.context.parameters().slots();
        let scale = self.context.scale_of(level, product);
        let rows = match self.schedule.plains.get(id.0 as usize) {
            Some(Plain::Constant(Values::Splat(value))) => self.context.constant(*value, level, scale)?,
            Some(Plain::Constant(values)) => self.context.encode(&values.to_dense(slots), level, scale)?,
            Some(Plain::Input { input, index }) => {
                let name = &self.schedule.inputs[*input as usize].name;
                let values = &self.inputs.clear[name][*index as usize];
                self.context.encode(values, level, scale).map_err(|error| error.within(name))?
            }
            None => return Err(CkksError::new(Code::Value, format!("{id} is not defined"))),
        };
        if left > 0 {
            self.plains.insert(encoded, rows.clone());
        }
        Ok(rows)
    }

    fn step(&mut self, place: usize, instruction: &Instruction) -> Result<Value, CkksError> {
        let context = self.context;
        Ok(Value::Ciphertext(match *instruction {
            Instruction::Input { input, index } => {
                let name = &self.schedule.inputs[input as usize].name;
                self.inputs.secret[name][index as usize].clone()
            }
            Instruction::Add(a, b) => {
                // Whichever is not needed any more takes the sum.
                let (a, b) = if self.last[a.0 as usize] == place { (a, b) } else { (b, a) };
                if self.last[a.0 as usize] != place || a == b {
                    return Ok(Value::Ciphertext(self.both(a, b, lanes::add)?));
                }
                let mut sum = self.take(a, place, Some(b))?;
                context.add(&mut sum, self.ciphertext(b)?);
                sum
            }
            Instruction::Sub(a, b) if self.last[a.0 as usize] != place || a == b => {
                self.both(a, b, lanes::sub)?
            }
            Instruction::Sub(a, b) => {
                let mut difference = self.take(a, place, Some(b))?;
                context.sub(&mut difference, self.ciphertext(b)?);
                difference
            }
            Instruction::Neg(a) => {
                let mut value = self.take(a, place, None)?;
                context.negate(&mut value);
                value
            }
            Instruction::AddPlain(a, p) => {
                let mut value = self.take(a, place, None)?;
                let plain = self.plain(p, value.level, value.product)?;
                context.add_plain(&mut value, &plain);
                value
            }
            Instruction::Mul(a, b) => context.mul(self.ciphertext(a)?, self.ciphertext(b)?),
            Instruction::MulPlain(a, p) => {
                let mut value = self.take(a, place, None)?;
                let plain = self.plain(p, value.level, value.product)?;
                context.mul_plain(&mut value, &plain);
                value
            }
            Instruction::MulScalar(a, number) => {
                let mut value = self.take(a, place, None)?;
                // Above it, the product would not fit the primes of the level whatever the value.
                let room = context.room(value.level);
                if number.abs() >= room {
                    let message = format!("a factor of {number} does not fit: it must stay below {room:.0}");
                    return Err(CkksError::new(Code::Range, message));
                }
                context.mul_scalar(&mut value, number);
                value
            }
            Instruction::Rotate { value, by } => {
                let key = self.keys.rotate.get(&by);
                let key =
                    key.ok_or_else(|| CkksError::new(Code::MissingKey, format!("no key to rotate by {by}")))?;
                self.automorphism(value, key, galois::rotation(by, context.ring))?
            }
            Instruction::Conjugate(a) => {
                let key = self.keys.conjugate.as_ref();
                let key = key.ok_or_else(|| CkksError::new(Code::MissingKey, "no key to conjugate"))?;
                self.automorphism(a, key, galois::conjugation(context.ring))?
            }
            Instruction::Hoist(a) => {
                let value = self.ciphertext(a)?;
                let digits = context.decompose(value.part(1), value.level);
                let first = value.part(0).to_vec();
                let first = Ciphertext { parts: 1, data: first, seed: None, ..*value };
                return Ok(Value::Digits(first, digits));
            }
            Instruction::Relinearize(a) => {
                let key = self.keys.relinearize.as_ref();
                let key = key.ok_or_else(|| CkksError::new(Code::MissingKey, "no key to relinearize"))?;
                let mut value = self.take(a, place, None)?;
                context.relinearize(&mut value, key);
                value
            }
            Instruction::Rescale(a) => {
                let mut value = self.take(a, place, None)?;
                context.rescale(&mut value);
                value
            }
            Instruction::Drop { value, level } => context.drop_to(self.ciphertext(value)?, level),
        }))
    }

    fn automorphism(
        &self,
        value: Register,
        key: &SwitchKey,
        exponent: usize,
    ) -> Result<Ciphertext, CkksError> {
        if let Some(Some(Value::Digits(first, digits))) = self.registers.get(value.0 as usize) {
            return Ok(self.context.automorphism(first, digits, key, exponent));
        }
        let value = self.ciphertext(value)?;
        let digits = self.context.decompose(value.part(1), value.level);
        Ok(self.context.automorphism(value, &digits, key, exponent))
    }
}
