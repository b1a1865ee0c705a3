//! Runs schedules by [poulpy](https://github.com/poulpy-fhe/poulpy): a second, independent implementation of CKKS.
//!
//! **For evaluation**, like the first: its random numbers are for tests by its own documentation, and its secret keys
//! are not wiped. It needs a nightly compiler.
//!
//! A number is held not modulo primes but modulo a power of two, in limbs of [`Widths::limb`] bits. So a level is so
//! many bits ([`Widths::of`]): the first prime's for level 0, and those of the scale for each level more. A product
//! with either a ciphertext or a clear vector drops the bits of the scale at once, where the first implementation waits
//! for the rescale, and is made 2 parts at once. This is how instructions map:
//!
//! ```text
//! mul              tensor product, relinearized, as wide as the next level
//! relinearize      nothing is left to do: a sum of products takes a key switch for each
//! mul_plain        product with a polynomial, or with a number if all slots are equal
//! rescale          nothing is left to do
//! drop             a copy as wide as the level
//! hoist            the value with its carries done; rotations of it share nothing more
//! ```

#[cfg(test)]
mod tests;
mod values;
mod widths;

pub use widths::Widths;

use super::error::{CkksError, Code};
use super::random::Random;
use super::schedule::{Instruction, Plain, PlainId, Register, Schedule, ValueInfo, Values};
use std::collections::BTreeMap;
use std::rc::Rc;
use values::{Engine, Value};

/// The vectors of inputs or outputs by name: for each ciphertext or clear vector a number for each slot.
pub type Vectors = BTreeMap<String, Vec<Vec<f64>>>;

/// Runs a schedule all in one: makes exactly the keys that it lists, encrypts the secret ones of the inputs, runs it,
/// and decrypts the outputs. `random` is a stream of the system, or one of a seed in tests.
///
/// `progress` is told how many instructions of how many are done; when it says `false`, the run stops with
/// [`Code::Stopped`].
///
/// # Errors
/// What [`Schedule::check`] refuses; inputs that do not fit; [`Code::Insecure`] where poulpy's keys would be wider than
/// 128 bits of security allow, unless the parameters are marked as insecure.
pub fn run(
    schedule: &Schedule,
    inputs: &Vectors,
    random: &mut Random,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vectors, CkksError> {
    let infos = schedule.check()?;
    check_inputs(schedule, inputs)?;
    let widths = Widths::choose(&schedule.parameters)?;
    let engine = Engine::new(widths, &schedule.keys, random)?;
    let mut runner = Runner { schedule, infos, inputs, engine, registers: Vec::new() };
    let (last, total) = (schedule.last_uses(), schedule.instructions.len());
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        if !progress(place, total) {
            let message = format!("stopped after {place} of {total} instructions");
            return Err(CkksError::new(Code::Stopped, message));
        }
        let value = runner.step(place, instruction).map_err(|error| error.within(&format!("c{place}")))?;
        runner.registers.push(Some(value));
        for register in instruction.operands().chain([Register(place as u32)]) {
            if last[register.0 as usize] == place {
                runner.registers[register.0 as usize] = None;
            }
        }
    }
    progress(total, total);
    let mut outputs = Vectors::new();
    for output in &schedule.outputs {
        let mut vectors = Vec::new();
        for &register in &output.values {
            let value = runner.value(register)?;
            vectors.push(runner.engine.decrypt(&value).map_err(|error| error.within(&output.name))?);
        }
        outputs.insert(output.name.clone(), vectors);
    }
    Ok(outputs)
}

/// Whether every input is there, of the right size, and finite.
fn check_inputs(schedule: &Schedule, inputs: &Vectors) -> Result<(), CkksError> {
    if let Some(name) = inputs.keys().find(|name| !schedule.inputs.iter().any(|input| input.name == **name)) {
        return Err(CkksError::new(Code::Input, format!("the schedule has no input {name}")));
    }
    let slots = schedule.parameters.slots() as usize;
    for input in &schedule.inputs {
        let wrong = |code, message: String| {
            Err(CkksError::new(code, message).within(&format!("the input {}", input.name)))
        };
        let Some(vectors) = inputs.get(&input.name) else {
            return wrong(Code::Input, "it is missing".into());
        };
        if vectors.len() != input.count as usize {
            return wrong(Code::Input, format!("{} vectors, not {}", vectors.len(), input.count));
        }
        for vector in vectors {
            if vector.len() != slots {
                return wrong(
                    Code::Input,
                    format!("{} numbers, not one for each of {slots} slots", vector.len()),
                );
            }
            if let Some(number) = vector.iter().find(|number| !number.is_finite()) {
                return wrong(Code::Range, format!("{number} cannot be encoded"));
            }
        }
    }
    Ok(())
}

struct Runner<'a> {
    schedule: &'a Schedule,
    infos: Vec<ValueInfo>,
    inputs: &'a Vectors,
    engine: Engine,
    registers: Vec<Option<Rc<Value>>>,
}

impl Runner<'_> {
    fn value(&self, register: Register) -> Result<Rc<Value>, CkksError> {
        match self.registers.get(register.0 as usize) {
            Some(Some(value)) => Ok(value.clone()),
            _ => Err(CkksError::new(Code::Value, format!("{register} is not defined here"))),
        }
    }

    fn plain(&self, id: PlainId) -> Result<Values, CkksError> {
        match self.schedule.plains.get(id.0 as usize) {
            Some(Plain::Constant(values)) => Ok(values.clone()),
            Some(Plain::Input { input, index }) => {
                let name = &self.schedule.inputs[*input as usize].name;
                Ok(Values::Dense(self.inputs[name][*index as usize].clone()))
            }
            None => Err(CkksError::new(Code::Value, format!("{id} is not defined"))),
        }
    }

    fn step(&mut self, place: usize, instruction: &Instruction) -> Result<Rc<Value>, CkksError> {
        let value = match *instruction {
            Instruction::Input { input, index } => {
                let name = &self.schedule.inputs[input as usize].name;
                self.engine.encrypt(&self.inputs[name][index as usize]).map_err(|error| error.within(name))?
            }
            Instruction::Add(a, b) => self.engine.add(self.value(a)?.as_ref(), self.value(b)?.as_ref())?,
            Instruction::Sub(a, b) => self.engine.sub(self.value(a)?.as_ref(), self.value(b)?.as_ref())?,
            Instruction::Neg(a) => self.engine.neg(self.value(a)?.as_ref())?,
            Instruction::AddPlain(a, p) => self.engine.add_plain(self.value(a)?.as_ref(), &self.plain(p)?)?,
            Instruction::Mul(a, b) => self.engine.mul(self.value(a)?.as_ref(), self.value(b)?.as_ref())?,
            Instruction::MulPlain(a, p) => self.engine.mul_plain(self.value(a)?.as_ref(), &self.plain(p)?)?,
            Instruction::MulScalar(a, number) => {
                self.engine.mul_plain(self.value(a)?.as_ref(), &Values::Splat(number))?
            }
            Instruction::Rotate { value, by } => self.engine.rotate(self.value(value)?.as_ref(), by)?,
            Instruction::Conjugate(a) => self.engine.conjugate(self.value(a)?.as_ref())?,
            Instruction::Hoist(a) => self.engine.carried(self.value(a)?.as_ref())?,
            Instruction::Relinearize(a) | Instruction::Rescale(a) => return self.value(a),
            Instruction::Drop { value, .. } => {
                self.engine.narrow(self.value(value)?.as_ref(), self.infos[place].level)?
            }
        };
        Ok(Rc::new(value))
    }
}
