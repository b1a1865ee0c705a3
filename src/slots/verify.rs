//! The laws of programs over packed ciphertexts.

use super::{Op, Slots, Value, ValueId};
use crate::id::Id;

impl Slots {
    /// Checks the laws.
    ///
    /// - Values are computed before they are read, and only rotations read digits.
    /// - The operands of a sum have one level, scale and number of parts.
    /// - Rotations and products of ciphertexts take two parts, products one factor.
    /// - A product needs level 1 or more, since a rescale follows it; `rescale` takes two factors.
    /// - Levels, factors and parts are what the instructions make of their operands'; none is above the program's.
    /// - Rotations are by 1 to slots - 1.
    /// - Outputs have two parts and one factor, and as many ciphertexts as their packing says.
    /// - Inputs, vectors, ranges and packings stay inside their tables and slots.
    ///
    /// That no garbage reaches an element and that packings are true is what [`crate::slots`] programs are run for in
    /// the simulator: it is a law of values.
    ///
    /// # Errors
    /// The first broken law, with the value.
    pub fn verify(&self) -> Result<(), String> {
        if !self.slots.is_power_of_two() {
            return Err(format!("{} slots are no power of two", self.slots));
        }
        for (id, input) in self.inputs.iter() {
            input.packing.verify(self.slots).map_err(|law| format!("{id}: {law}"))?;
        }
        for (id, plain) in self.plains.iter() {
            if let super::PlainSource::Clear(clear) = plain.source
                && clear.number() >= self.clears.len()
            {
                return Err(format!("{id}: there is no {clear}"));
            }
            if plain.pairs().any(|pair| pair.0 >= self.slots) {
                return Err(format!("{id}: it has numbers past the last slot"));
            }
        }
        for (id, value) in self.values.iter() {
            self.verify_value(id, value).map_err(|law| format!("{id}: {law}"))?;
        }
        for output in &self.outputs {
            output.packing.verify(self.slots).map_err(|law| format!("output {}: {law}", output.name))?;
            if output.values.len() != output.packing.ciphertexts() {
                return Err(format!("output {}: its packing has other ciphertexts", output.name));
            }
            for value in &output.values {
                if value.number() >= self.values.len() {
                    return Err(format!("output {}: there is no {value}", output.name));
                }
                let Value { parts, factors, op, .. } = self.values[*value];
                if (parts, factors) != (2, 1) || matches!(op, Op::Hoist(_)) {
                    return Err(format!(
                        "output {}: {value} has {parts} parts, {factors} factors",
                        output.name
                    ));
                }
            }
        }
        Ok(())
    }

    fn verify_value(&self, id: ValueId, value: &Value) -> Result<(), String> {
        for operand in value.op.operands().into_iter().flatten() {
            if operand.number() >= id.number() {
                return Err(format!("{operand} is computed later"));
            }
            if self.is_hoist(operand) && !matches!(value.op, Op::Rotate(..)) {
                return Err(format!("{operand} is digits, which only rotations read"));
            }
        }
        let of = |a: ValueId| (self.values[a].level, self.values[a].factors, self.values[a].parts);
        let one = |a: ValueId| -> Result<(u32, u32, u32), String> {
            let (level, factors, parts) = of(a);
            if factors != 1 {
                return Err(format!("{a} has {factors} factors, and a product takes one"));
            }
            if level == 0 {
                return Err(format!("{a} has no level left for the rescale after the product"));
            }
            Ok((level, 2, parts))
        };
        let two = |a: ValueId| match of(a).2 {
            2 => Ok(()),
            parts => Err(format!("{a} has {parts} parts")),
        };
        let expected = match value.op {
            Op::Input(input, k) => {
                if input.number() >= self.inputs.len() {
                    return Err(format!("there is no {input}"));
                }
                if k as usize >= self.inputs[input].packing.ciphertexts() {
                    return Err(format!("{input} has no ciphertext {k}"));
                }
                (value.level.min(self.levels), 1, 2)
            }
            Op::Add(a, b) | Op::Sub(a, b) => {
                if of(a) != of(b) {
                    let show =
                        |(level, factors, parts)| format!("level {level}, {factors} factors, {parts} parts");
                    return Err(format!("{a} has {}, and {b} {}", show(of(a)), show(of(b))));
                }
                of(a)
            }
            Op::Neg(a) | Op::AddScalar(a, _) => of(a),
            Op::AddPlain(a, plain) => {
                self.has_plain(plain)?;
                of(a)
            }
            Op::Mul(a, b) => {
                two(a)?;
                two(b)?;
                let (level, factors, _) = one(a)?;
                if one(b)?.0 != level {
                    return Err(format!("{a} and {b} have different levels"));
                }
                (level, factors, 3)
            }
            Op::MulPlain(a, plain) => {
                self.has_plain(plain)?;
                one(a)?
            }
            Op::MulScalar(a, _) => one(a)?,
            Op::Hoist(a) | Op::Conjugate(a) => {
                two(a)?;
                of(a)
            }
            Op::Rotate(a, by) => {
                two(a)?;
                if by == 0 || by >= self.slots {
                    return Err(format!("a rotation by {by} of {} slots", self.slots));
                }
                of(a)
            }
            Op::Relinearize(a) => match of(a) {
                (level, factors, 3) => (level, factors, 2),
                (_, _, parts) => return Err(format!("{a} has {parts} parts, and relinearize takes three")),
            },
            Op::Rescale(a) => match of(a) {
                (level, 2, parts) if level > 0 => (level - 1, 1, parts),
                (level, factors, _) => {
                    return Err(format!(
                        "{a} has level {level}, {factors} factors, and rescale takes 1 and 2"
                    ));
                }
            },
            Op::Drop(a) => match of(a) {
                (level, 1, parts) if level > 0 => (level - 1, 1, parts),
                (level, factors, _) => {
                    return Err(format!("{a} has level {level}, {factors} factors, and drop takes 1 and 1"));
                }
            },
        };
        if expected != (value.level, value.factors, value.parts) {
            return Err(format!(
                "says level {}, {} factors, {} parts; its operands make it {}, {}, {}",
                value.level, value.factors, value.parts, expected.0, expected.1, expected.2
            ));
        }
        let ranges = [value.range, value.approximates];
        if let Some(range) = ranges.iter().flatten().find(|range| range.number() >= self.ranges.len()) {
            return Err(format!("there is no {range}"));
        }
        if let Some((packing, k)) = &value.place {
            packing.verify(self.slots)?;
            if *k as usize >= packing.ciphertexts() {
                return Err(format!("{packing} has no ciphertext {k}"));
            }
        }
        Ok(())
    }

    fn has_plain(&self, plain: super::PlainId) -> Result<(), String> {
        if plain.number() < self.plains.len() { Ok(()) } else { Err(format!("there is no {plain}")) }
    }
}
