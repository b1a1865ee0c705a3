//! Schedules instruction by instruction.

use super::{
    Input, Instruction, Keys, Layout, MAX_ITEMS, Output, Plain, PlainId, Range, Register, Schedule, Values,
};
use crate::ckks::{CkksError, Parameters};
use std::collections::HashMap;

/// Makes a schedule: each call appends an instruction and gives its register.
///
/// Nothing is checked before [`Builder::finish`], which also works out the keys.
///
/// ```
/// use einc_runtime::ckks::{Builder, Parameters, Request, schedule::Values};
///
/// let mut b = Builder::new(Parameters::choose(&Request::new(1 << 13, 2)).unwrap());
/// let a = b.secret("a", 1)[0];
/// let square = b.mul(a, a);
/// let square = b.relinearize(square);
/// let square = b.rescale(square);
/// let turned = b.rotate(square, 1);
/// let sum = b.add(square, turned);
/// let half = b.constant(Values::Splat(0.5));
/// let mean = b.mul_plain(sum, half);
/// let mean = b.rescale(mean);
/// b.output("mean", &[mean]);
/// let schedule = b.finish().unwrap();
/// assert_eq!(schedule.counts().rotate, 1);
/// assert_eq!(schedule.keys.rotate.into_iter().collect::<Vec<_>>(), [(1, 1)]);
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    schedule: Schedule,
    /// Constants by their bits, so that equal ones are kept once.
    constants: HashMap<Vec<u64>, PlainId>,
}

impl Builder {
    /// A schedule without instructions.
    pub fn new(parameters: Parameters) -> Builder {
        let schedule = Schedule {
            parameters,
            keys: Keys::default(),
            inputs: Vec::new(),
            plains: Vec::new(),
            instructions: Vec::new(),
            ranges: Vec::new(),
            outputs: Vec::new(),
        };
        Builder { schedule, constants: HashMap::new() }
    }

    /// The parameters it was made with.
    pub fn parameters(&self) -> &Parameters {
        &self.schedule.parameters
    }

    /// An encrypted input of that many ciphertexts; gives their registers.
    pub fn secret(&mut self, name: &str, count: u32) -> Vec<Register> {
        let input = self.input(name, true, count);
        (0..self.bounded(count)).map(|index| self.push(Instruction::Input { input, index })).collect()
    }

    /// A clear input of that many vectors; gives them as plain operands.
    pub fn clear(&mut self, name: &str, count: u32) -> Vec<PlainId> {
        let input = self.input(name, false, count);
        (0..self.bounded(count)).map(|index| self.push_plain(Plain::Input { input, index })).collect()
    }

    /// A constant vector as a plain operand; an equal one is shared. [`Values::from_dense`] makes it small.
    pub fn constant(&mut self, values: Values) -> PlainId {
        let mut key: Vec<u64> = Vec::new();
        match &values {
            Values::Splat(value) => key.extend([0, value.to_bits()]),
            Values::Periodic(values) => key.extend([1].into_iter().chain(values.iter().map(|v| v.to_bits()))),
            Values::Runs(runs) => {
                key.push(2);
                key.extend(runs.iter().flat_map(|(count, value)| [u64::from(*count), value.to_bits()]));
            }
            Values::Dense(values) => key.extend([3].into_iter().chain(values.iter().map(|v| v.to_bits()))),
        }
        if let Some(&plain) = self.constants.get(&key) {
            return plain;
        }
        let plain = self.push_plain(Plain::Constant(values));
        self.constants.insert(key, plain);
        plain
    }

    /// `a + b`: of one level, scale and number of parts.
    pub fn add(&mut self, a: Register, b: Register) -> Register {
        self.push(Instruction::Add(a, b))
    }

    /// `a - b`: of one level, scale and number of parts.
    pub fn sub(&mut self, a: Register, b: Register) -> Register {
        self.push(Instruction::Sub(a, b))
    }

    /// `-a`.
    pub fn neg(&mut self, a: Register) -> Register {
        self.push(Instruction::Neg(a))
    }

    /// `a + p`, at the level and scale of `a`.
    pub fn add_plain(&mut self, a: Register, p: PlainId) -> Register {
        self.push(Instruction::AddPlain(a, p))
    }

    /// `a * b` in 3 parts; to be relinearized, and rescaled once.
    pub fn mul(&mut self, a: Register, b: Register) -> Register {
        self.push(Instruction::Mul(a, b))
    }

    /// `a * p`; to be rescaled once.
    pub fn mul_plain(&mut self, a: Register, p: PlainId) -> Register {
        self.push(Instruction::MulPlain(a, p))
    }

    /// `a` times one number; to be rescaled once.
    pub fn mul_scalar(&mut self, a: Register, number: f64) -> Register {
        self.push(Instruction::MulScalar(a, number))
    }

    /// `a` rotated to the left, `a` a value or its digits from [`Builder::hoist`]. Amounts are taken modulo the number
    /// of slots, so that negative ones rotate to the right; by 0 gives `a` itself, so do not rotate digits by 0.
    pub fn rotate(&mut self, a: Register, by: i64) -> Register {
        let by = by.rem_euclid(i64::from(self.schedule.parameters.slots().max(1))) as u32;
        if by == 0 { a } else { self.push(Instruction::Rotate { value: a, by }) }
    }

    /// The digits of `a`, for several rotations of it.
    pub fn hoist(&mut self, a: Register) -> Register {
        self.push(Instruction::Hoist(a))
    }

    /// A product of 3 parts, or a sum of such, made 2 parts.
    pub fn relinearize(&mut self, a: Register) -> Register {
        self.push(Instruction::Relinearize(a))
    }

    /// A product, or a sum of such, divided by its scale: one level less.
    pub fn rescale(&mut self, a: Register) -> Register {
        self.push(Instruction::Rescale(a))
    }

    /// `a` at a lower level, exactly in that level's scale; at its own level `a` itself is meant, so do not ask for it.
    pub fn drop_to(&mut self, a: Register, level: u32) -> Register {
        self.push(Instruction::Drop { value: a, level })
    }

    /// Every slot conjugated.
    pub fn conjugate(&mut self, a: Register) -> Register {
        self.push(Instruction::Conjugate(a))
    }

    /// Declares an output: its ciphertexts, of 2 parts and rescaled.
    pub fn output(&mut self, name: &str, values: &[Register]) {
        self.schedule.outputs.push(Output { name: name.to_owned(), values: values.to_vec(), layout: None });
    }

    /// Says how a tensor lies in an input, so that the schedule alone suffices to encrypt.
    pub fn input_layout(&mut self, name: &str, layout: Layout) {
        if let Some(input) = self.schedule.inputs.iter_mut().find(|input| input.name == name) {
            input.layout = Some(layout);
        }
    }

    /// Says how a tensor lies in an output, so that the schedule alone suffices to decrypt.
    pub fn output_layout(&mut self, name: &str, layout: Layout) {
        if let Some(output) = self.schedule.outputs.iter_mut().find(|output| output.name == name) {
            output.layout = Some(layout);
        }
    }

    /// Says which range the elements of a value keep.
    pub fn range(&mut self, range: Range) {
        self.schedule.ranges.push(range);
    }

    /// The schedule, with the keys that it needs, checked.
    pub fn finish(self) -> Result<Schedule, CkksError> {
        let mut schedule = self.schedule;
        schedule.keys = schedule.keys_used()?;
        schedule.check()?;
        Ok(schedule)
    }

    /// Any instruction; the methods above name them.
    pub fn push(&mut self, instruction: Instruction) -> Register {
        self.schedule.instructions.push(instruction);
        Register((self.schedule.instructions.len() - 1) as u32)
    }

    fn push_plain(&mut self, plain: Plain) -> PlainId {
        self.schedule.plains.push(plain);
        PlainId((self.schedule.plains.len() - 1) as u32)
    }

    fn input(&mut self, name: &str, secret: bool, count: u32) -> u32 {
        self.schedule.inputs.push(Input { name: name.to_owned(), secret, count, layout: None });
        (self.schedule.inputs.len() - 1) as u32
    }

    /// A count that the check refuses is not acted upon.
    fn bounded(&self, count: u32) -> u32 {
        count.min(MAX_ITEMS as u32 + 1)
    }
}
