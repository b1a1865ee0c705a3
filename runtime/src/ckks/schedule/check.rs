//! The law of schedules.

use super::{Instruction, Keys, MAX_ITEMS, Plain, PlainId, Register, Schedule};
use crate::ckks::{CkksError, Code, Parameters};
use std::collections::HashSet;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// How many rescales are left.
    pub level: u32,
    /// Whether the scale is that of the level squared: a product not yet rescaled.
    pub product: bool,
    /// How many polynomials: 2, or 3 for a product not yet relinearized.
    pub parts: u32,
    /// Whether it is the digits of a value rather than a value.
    pub hoisted: bool,
}

impl ValueInfo {
    /// Bytes in memory.
    pub fn bytes(&self, parameters: &Parameters) -> u64 {
        if !self.hoisted {
            return parameters.ciphertext_bytes(self.level, self.parts);
        }
        // The digits of the second part, and the first part as it is.
        let digits = (self.level as usize + 1).div_ceil(parameters.primes_per_digit()) as u64;
        let primes = u64::from(self.level) + 1 + parameters.special.len() as u64;
        parameters.ciphertext_bytes(self.level, 1) + digits * primes * u64::from(parameters.ring) * 8
    }
}

impl Schedule {
    /// Whether this is a schedule, and what each register holds.
    ///
    /// The law: the parameters are a set, secure or marked as not; names are unique words; registers are defined before
    /// use; the operands of a sum have one level, scale and number of parts; those of a product have one level, 1 or
    /// more, 2 parts if both are secret, and are no products; digits are only rotated; only a product is rescaled, only 3 parts are
    /// relinearized, a drop lowers the level of what is no product; every rotation, conjugation and relinearization
    /// has a key of enough levels; ranges are of values, finite and not empty; layouts put elements into slots of their own, those of
    /// outputs every one; clear vectors have a finite number for every slot; outputs have 2 parts and are no
    /// products.
    pub fn check(&self) -> Result<Vec<ValueInfo>, CkksError> {
        let infos = self.values()?;
        let used = self.keys_of(&infos);
        let missing = |what: String, level: u32| {
            Err(CkksError::new(Code::MissingKey, format!("no key to {what} at level {level}")))
        };
        let too_low = |need: &Option<u32>, have: &Option<u32>| need.filter(|_| need > have);
        if let Some(level) = too_low(&used.relinearize, &self.keys.relinearize) {
            return missing("relinearize".into(), level);
        }
        if let Some(level) = too_low(&used.conjugate, &self.keys.conjugate) {
            return missing("conjugate".into(), level);
        }
        for (by, &level) in &used.rotate {
            if self.keys.rotate.get(by).is_none_or(|&has| has < level) {
                return missing(format!("rotate by {by}"), level);
            }
        }
        let (top, slots) = (self.parameters.levels(), self.parameters.slots());
        let listed =
            self.keys.relinearize.iter().chain(self.keys.rotate.values()).chain(&self.keys.conjugate);
        if let Some(level) = listed.copied().find(|&level| level > top) {
            return Err(CkksError::new(
                Code::Level,
                format!("a key of level {level}, above the highest, {top}"),
            ));
        }
        if let Some(by) = self.keys.rotate.keys().find(|&&by| by == 0 || by >= slots) {
            return Err(CkksError::new(Code::Value, format!("a key to rotate {slots} slots by {by}")));
        }
        Ok(infos)
    }

    /// The keys that the instructions use.
    pub(super) fn keys_used(&self) -> Result<Keys, CkksError> {
        Ok(self.keys_of(&self.values()?))
    }

    fn keys_of(&self, infos: &[ValueInfo]) -> Keys {
        let mut keys = Keys::default();
        for (instruction, info) in self.instructions.iter().zip(infos) {
            match *instruction {
                Instruction::Relinearize(_) => keys.relinearize = keys.relinearize.max(Some(info.level)),
                Instruction::Conjugate(_) => keys.conjugate = keys.conjugate.max(Some(info.level)),
                Instruction::Rotate { by, .. } => {
                    let level = keys.rotate.entry(by).or_insert(info.level);
                    *level = info.level.max(*level);
                }
                _ => (),
            }
        }
        keys
    }

    /// What each register holds, by all of the law but the keys.
    fn values(&self) -> Result<Vec<ValueInfo>, CkksError> {
        self.parameters.check()?;
        let items = [self.instructions.len(), self.plains.len(), self.inputs.len(), self.outputs.len()];
        if items.iter().any(|&count| count > MAX_ITEMS) {
            return Err(CkksError::new(
                Code::TooLarge,
                format!("more than {MAX_ITEMS} instructions or operands"),
            ));
        }
        self.check_names()?;
        self.check_layouts()?;
        self.check_plains()?;
        let mut infos = Vec::with_capacity(self.instructions.len());
        for (place, instruction) in self.instructions.iter().enumerate() {
            let info = self.value(instruction, &infos);
            infos.push(info.map_err(|error| error.within(&format!("c{place}")))?);
        }
        for range in &self.ranges {
            ciphertext(range.value, &infos)?;
        }
        for output in &self.outputs {
            let within = |error: CkksError| error.within(&format!("output {}", output.name));
            if output.values.is_empty() {
                return Err(within(CkksError::new(Code::Value, "it has no value")));
            }
            for &register in &output.values {
                let info = ciphertext(register, &infos).map_err(within)?;
                two_parts(register, info).map_err(within)?;
                no_product(register, info).map_err(within)?;
            }
        }
        Ok(infos)
    }

    fn check_names(&self) -> Result<(), CkksError> {
        let is_word = |name: &str| {
            name.len() <= 200
                && name.starts_with(|first: char| first.is_alphabetic() || first == '_')
                && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        };
        let mut seen = HashSet::new();
        for input in &self.inputs {
            if !is_word(&input.name) {
                return Err(CkksError::new(
                    Code::Format,
                    format!("{:?} is no name for an input", input.name),
                ));
            }
            if !seen.insert(&input.name) {
                return Err(CkksError::new(Code::Format, format!("two inputs are called {}", input.name)));
            }
            if input.count == 0 || input.count as usize > MAX_ITEMS {
                let message = format!("the input {} has {} vectors", input.name, input.count);
                return Err(CkksError::new(Code::TooLarge, message));
            }
        }
        seen.clear();
        for output in &self.outputs {
            if !is_word(&output.name) {
                return Err(CkksError::new(
                    Code::Format,
                    format!("{:?} is no name for an output", output.name),
                ));
            }
            if !seen.insert(&output.name) {
                return Err(CkksError::new(Code::Format, format!("two outputs are called {}", output.name)));
            }
        }
        Ok(())
    }

    fn check_layouts(&self) -> Result<(), CkksError> {
        let inputs = self.inputs.iter().map(|input| (&input.layout, &input.name, input.count, false));
        let outputs = self.outputs.iter().map(|output| {
            let count = output.values.len() as u32;
            (&output.layout, &output.name, count, true)
        });
        for range in &self.ranges {
            let (low, high) = range.ends;
            let well_formed = low < high && (high - low).is_finite();
            if !well_formed || range.function.is_empty() || range.function.contains(char::is_whitespace) {
                return Err(CkksError::new(
                    Code::Value,
                    format!("({low}, {high}) is no range of a function"),
                ));
            }
        }
        let whole = inputs.chain(outputs).filter_map(|(layout, name, count, whole)| {
            layout.as_ref().map(|layout| (layout, name, count, whole))
        });
        let ranges = self.ranges.iter().map(|range| (&range.layout, &range.function, 1, false));
        for (layout, name, count, whole) in whole.chain(ranges) {
            if layout.shape.len() > 64
                || layout.tensor.len() > 200
                || layout.tensor.contains(char::is_whitespace)
            {
                return Err(CkksError::new(Code::Format, format!("the layout of {name} is of no tensor")));
            }
            if !layout.fits(count, self.parameters.slots()) || whole && !layout.covers() {
                let message = format!("the layout of {name} does not put elements into slots of their own");
                return Err(CkksError::new(Code::Value, message));
            }
        }
        Ok(())
    }

    fn check_plains(&self) -> Result<(), CkksError> {
        let slots = self.parameters.slots();
        for (place, plain) in self.plains.iter().enumerate() {
            let wrong = |message: String| Err(CkksError::new(Code::Value, format!("p{place}: {message}")));
            match plain {
                Plain::Constant(values) => {
                    if !values.fits(slots) {
                        return wrong(format!("its numbers are not as many as the {slots} slots"));
                    }
                    if let Some(number) = values.numbers().iter().find(|number| !number.is_finite()) {
                        return wrong(format!("{number} cannot be encoded"));
                    }
                }
                Plain::Input { input, index } => self.check_input(*input, *index, false)?,
            }
        }
        Ok(())
    }

    fn check_input(&self, input: u32, index: u32, secret: bool) -> Result<(), CkksError> {
        let wrong = |message: String| Err(CkksError::new(Code::Value, message));
        match self.inputs.get(input as usize) {
            None => wrong(format!("there is no input {input}")),
            Some(found) if found.secret != secret => {
                let kind = if found.secret { "secret" } else { "clear" };
                wrong(format!("the input {} is {kind}", found.name))
            }
            Some(found) if index >= found.count => wrong(format!(
                "the input {} has {} vectors, none with number {index}",
                found.name, found.count
            )),
            Some(_) => Ok(()),
        }
    }

    fn value(&self, instruction: &Instruction, infos: &[ValueInfo]) -> Result<ValueInfo, CkksError> {
        let top = self.parameters.levels();
        let get = |register: Register| ciphertext(register, infos);
        let factor = |register: Register| {
            let info = get(register)?;
            no_product(register, info)?;
            if info.level == 0 {
                let message = format!("no level is left to multiply {register}");
                return Err(CkksError::new(Code::Level, message));
            }
            Ok(info)
        };
        let plain = |id: PlainId| match self.plains.get(id.0 as usize) {
            Some(_) => Ok(()),
            None => Err(CkksError::new(Code::Value, format!("{id} is not defined"))),
        };
        match *instruction {
            Instruction::Input { input, index } => {
                self.check_input(input, index, true)?;
                Ok(ValueInfo { level: top, product: false, parts: 2, hoisted: false })
            }
            Instruction::Add(a, b) | Instruction::Sub(a, b) => {
                let (left, right) = (get(a)?, get(b)?);
                same_level(a, left, b, right)?;
                if left.product != right.product {
                    let (product, other) = if left.product { (a, b) } else { (b, a) };
                    let message = format!("{product} is a product not yet rescaled, {other} is none");
                    return Err(CkksError::new(Code::Scale, message));
                }
                if left.parts != right.parts {
                    let message = format!("{a} has {} parts, {b} has {}", left.parts, right.parts);
                    return Err(CkksError::new(Code::Parts, message));
                }
                Ok(left)
            }
            Instruction::Neg(a) => get(a),
            Instruction::AddPlain(a, p) => {
                plain(p)?;
                get(a)
            }
            Instruction::Mul(a, b) => {
                let (left, right) = (factor(a)?, factor(b)?);
                two_parts(a, left)?;
                two_parts(b, right)?;
                same_level(a, left, b, right)?;
                Ok(ValueInfo { product: true, parts: 3, ..left })
            }
            Instruction::MulPlain(a, p) => {
                plain(p)?;
                Ok(ValueInfo { product: true, ..factor(a)? })
            }
            Instruction::MulScalar(a, number) => {
                if !number.is_finite() {
                    return Err(CkksError::new(Code::Value, format!("{number} cannot be encoded")));
                }
                Ok(ValueInfo { product: true, ..factor(a)? })
            }
            Instruction::Rotate { value, by } => {
                let slots = self.parameters.slots();
                if by == 0 || by >= slots {
                    return Err(CkksError::new(Code::Value, format!("a rotation of {slots} slots by {by}")));
                }
                let info = defined(value, infos)?;
                two_parts(value, info)?;
                Ok(ValueInfo { hoisted: false, ..info })
            }
            Instruction::Hoist(a) => {
                let info = get(a)?;
                two_parts(a, info)?;
                Ok(ValueInfo { hoisted: true, ..info })
            }
            Instruction::Relinearize(a) => {
                let info = get(a)?;
                if info.parts != 3 {
                    return Err(CkksError::new(Code::Parts, format!("{a} has no third part to relinearize")));
                }
                Ok(ValueInfo { parts: 2, ..info })
            }
            Instruction::Rescale(a) => {
                let info = get(a)?;
                if !info.product {
                    return Err(CkksError::new(
                        Code::Scale,
                        format!("{a} is no product, or has been rescaled"),
                    ));
                }
                if info.level == 0 {
                    return Err(CkksError::new(Code::Level, format!("no level is left to rescale {a}")));
                }
                Ok(ValueInfo { level: info.level - 1, product: false, ..info })
            }
            Instruction::Drop { value, level } => {
                let info = get(value)?;
                no_product(value, info)?;
                if level >= info.level {
                    let message = format!("{value} of level {} cannot drop to level {level}", info.level);
                    return Err(CkksError::new(Code::Level, message));
                }
                Ok(ValueInfo { level, ..info })
            }
            Instruction::Conjugate(a) => {
                let info = get(a)?;
                two_parts(a, info)?;
                Ok(info)
            }
        }
    }
}

fn defined(register: Register, infos: &[ValueInfo]) -> Result<ValueInfo, CkksError> {
    let missing = || CkksError::new(Code::Value, format!("{register} is not defined yet"));
    infos.get(register.0 as usize).copied().ok_or_else(missing)
}

fn ciphertext(register: Register, infos: &[ValueInfo]) -> Result<ValueInfo, CkksError> {
    let info = defined(register, infos)?;
    if info.hoisted {
        let message = format!("h{} is digits, which are only rotated", register.0);
        return Err(CkksError::new(Code::Value, message));
    }
    Ok(info)
}

fn two_parts(register: Register, info: ValueInfo) -> Result<(), CkksError> {
    match info.parts {
        2 => Ok(()),
        parts => {
            Err(CkksError::new(Code::Parts, format!("{register} has {parts} parts and must be relinearized")))
        }
    }
}

fn no_product(register: Register, info: ValueInfo) -> Result<(), CkksError> {
    if info.product {
        let message = format!("{register} is a product and must be rescaled");
        return Err(CkksError::new(Code::Scale, message));
    }
    Ok(())
}

fn same_level(a: Register, left: ValueInfo, b: Register, right: ValueInfo) -> Result<(), CkksError> {
    if left.level != right.level {
        let message = format!("{a} is of level {}, {b} of level {}", left.level, right.level);
        return Err(CkksError::new(Code::Level, message));
    }
    Ok(())
}
