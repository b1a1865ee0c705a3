//! Straight-line circuits over ciphertexts: what every planner of this folder returns.
//!
//! A circuit is data: steps in the order of their computation, each naming earlier ones by number. Equal steps are one
//! step. A product has two factors of the scale until it is rescaled, which takes a level.

use std::collections::{BTreeSet, HashMap};

/// One ciphertext of a circuit and how it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A ciphertext of an operand.
    Input {
        /// The number of the operand.
        operand: usize,
        /// The number of the ciphertext in the operand's layout.
        ciphertext: usize,
    },
    /// Slot `s` is slot `s + by` of the other, cyclically.
    Rotate(usize, usize),
    /// The product with a clear vector.
    MulPlain(usize, usize),
    /// The sum.
    Add(usize, usize),
    /// The product, in three parts.
    Mul(usize, usize),
    /// Back to two parts.
    Relinearize(usize),
    /// Takes a level and a factor of the scale.
    Rescale(usize),
}

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotSet(Vec<u64>);

impl SlotSet {
    /// No slots, of so many.
    pub fn empty(slots: usize) -> SlotSet {
        SlotSet(vec![0; slots.div_ceil(64)])
    }

    /// The slots, of so many, of which this is true.
    pub fn of(slots: usize, holds: impl Fn(usize) -> bool) -> SlotSet {
        let mut set = SlotSet::empty(slots);
        (0..slots).filter(|slot| holds(*slot)).for_each(|slot| set.insert(slot));
        set
    }

    /// Puts a slot in.
    pub fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    /// Whether the slot is in it.
    pub fn contains(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// The slots in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * 64).filter(|slot| self.contains(*slot))
    }
}

/// A clear vector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plain {
    /// Ones in these slots, zeros elsewhere.
    Mask(SlotSet),
    /// Elements of a clear operand, zeros elsewhere.
    Clear {
        /// The number of the operand.
        operand: usize,
        /// Pairs of slot and row-major position, ascending by slot.
        elements: Vec<(u32, u32)>,
    },
}

/// A straight-line circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// How many slots a ciphertext has.
    pub slots: usize,
    /// The steps.
    pub steps: Vec<Step>,
    /// The clear vectors.
    pub plains: Vec<Plain>,
    /// The steps that are its results.
    pub outputs: Vec<usize>,
    known: HashMap<Step, usize>,
    known_plains: HashMap<Plain, usize>,
}

/// What a circuit costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counts {
    /// Rotations.
    pub rotations: usize,
    /// Those of them that share the digits of their operand with an earlier one.
    pub hoisted: usize,
    /// Relinearizations.
    pub relinearizations: usize,
    /// Products of two ciphertexts.
    pub mul: usize,
    /// Products with a clear vector.
    pub mul_plain: usize,
    /// Rescales.
    pub rescales: usize,
    /// Levels from the inputs to the deepest output.
    pub levels: usize,
    /// Distinct amounts of rotation.
    pub keys: usize,
}

impl Circuit {
    /// A circuit without steps.
    pub fn new(slots: usize) -> Circuit {
        Circuit {
            slots,
            steps: Vec::new(),
            plains: Vec::new(),
            outputs: Vec::new(),
            known: HashMap::new(),
            known_plains: HashMap::new(),
        }
    }

    fn push(&mut self, step: Step) -> usize {
        if let Some(known) = self.known.get(&step) {
            return *known;
        }
        self.steps.push(step);
        self.known.insert(step, self.steps.len() - 1);
        self.steps.len() - 1
    }

    /// A ciphertext of an operand.
    pub fn input(&mut self, operand: usize, ciphertext: usize) -> usize {
        self.push(Step::Input { operand, ciphertext })
    }

    /// Rotates left, by any amount; by none is no step.
    pub fn rotate(&mut self, of: usize, by: i64) -> usize {
        match by.rem_euclid(self.slots as i64) {
            0 => of,
            by => self.push(Step::Rotate(of, by as usize)),
        }
    }

    /// The sum of two.
    pub fn add(&mut self, one: usize, other: usize) -> usize {
        self.push(Step::Add(one.min(other), one.max(other)))
    }

    /// The sum of all, if there are any.
    pub fn sum(&mut self, terms: impl IntoIterator<Item = usize>) -> Option<usize> {
        terms.into_iter().reduce(|sum, term| self.add(sum, term))
    }

    /// The product with a clear vector, not rescaled.
    pub fn mul_plain(&mut self, of: usize, plain: Plain) -> usize {
        let next = self.plains.len();
        let number = *self.known_plains.entry(plain).or_insert_with_key(|plain| {
            self.plains.push(plain.clone());
            next
        });
        self.push(Step::MulPlain(of, number))
    }

    /// What is in these slots; zero elsewhere.
    pub fn mask(&mut self, of: usize, keep: SlotSet) -> usize {
        let product = self.mul_plain(of, Plain::Mask(keep));
        self.rescale(product)
    }

    /// The product, in three parts, not rescaled.
    pub fn mul(&mut self, one: usize, other: usize) -> usize {
        self.push(Step::Mul(one.min(other), one.max(other)))
    }

    /// Back to two parts.
    pub fn relinearize(&mut self, of: usize) -> usize {
        self.push(Step::Relinearize(of))
    }

    /// Takes a level.
    pub fn rescale(&mut self, of: usize) -> usize {
        self.push(Step::Rescale(of))
    }

    /// Appends another circuit, whose inputs are these steps of this one by operand and ciphertext; its outputs.
    pub fn append(&mut self, other: &Circuit, inputs: &dyn Fn(usize, usize) -> usize) -> Vec<usize> {
        let mut numbers = Vec::with_capacity(other.steps.len());
        for step in &other.steps {
            numbers.push(match *step {
                Step::Input { operand, ciphertext } => inputs(operand, ciphertext),
                Step::Rotate(of, by) => self.rotate(numbers[of], by as i64),
                Step::MulPlain(of, plain) => self.mul_plain(numbers[of], other.plains[plain].clone()),
                Step::Add(one, other) => self.add(numbers[one], numbers[other]),
                Step::Mul(one, other) => self.mul(numbers[one], numbers[other]),
                Step::Relinearize(of) => self.relinearize(numbers[of]),
                Step::Rescale(of) => self.rescale(numbers[of]),
            });
        }
        other.outputs.iter().map(|output| numbers[*output]).collect()
    }

    /// The same circuit without steps and vectors that no output needs.
    pub fn trimmed(&self) -> Circuit {
        let mut used = vec![false; self.steps.len()];
        for output in &self.outputs {
            used[*output] = true;
        }
        for number in (0..self.steps.len()).rev() {
            if used[number] {
                self.steps[number].operands().for_each(|operand| used[operand] = true);
            }
        }
        let mut trimmed = Circuit::new(self.slots);
        let mut numbers = vec![usize::MAX; self.steps.len()];
        for (number, step) in self.steps.iter().enumerate().filter(|(number, _)| used[*number]) {
            numbers[number] = match *step {
                Step::Input { operand, ciphertext } => trimmed.input(operand, ciphertext),
                Step::Rotate(of, by) => trimmed.rotate(numbers[of], by as i64),
                Step::MulPlain(of, plain) => trimmed.mul_plain(numbers[of], self.plains[plain].clone()),
                Step::Add(one, other) => trimmed.add(numbers[one], numbers[other]),
                Step::Mul(one, other) => trimmed.mul(numbers[one], numbers[other]),
                Step::Relinearize(of) => trimmed.relinearize(numbers[of]),
                Step::Rescale(of) => trimmed.rescale(numbers[of]),
            };
        }
        trimmed.outputs = self.outputs.iter().map(|output| numbers[*output]).collect();
        trimmed
    }

    /// How many factors of the scale and how many parts a step has.
    pub fn state(&self, mut step: usize) -> (usize, usize) {
        let mut parts = None;
        loop {
            (step, parts) = match self.steps[step] {
                Step::Input { .. } => return (1, parts.unwrap_or(2)),
                Step::Rescale(of) => return (1, parts.unwrap_or_else(|| self.state(of).1)),
                Step::MulPlain(of, _) => return (2, parts.unwrap_or_else(|| self.state(of).1)),
                Step::Mul(..) => return (2, parts.unwrap_or(3)),
                Step::Relinearize(of) => (of, parts.or(Some(2))),
                Step::Rotate(of, _) | Step::Add(of, _) => (of, parts),
            };
        }
    }

    /// How many levels each step has taken since the inputs.
    pub fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let before = step.operands().map(|operand| depths[operand]).max().unwrap_or(0);
            depths.push(before + usize::from(matches!(step, Step::Rescale(_))));
        }
        depths
    }

    /// What it costs.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut amounts = BTreeSet::new();
        let mut sources = BTreeSet::new();
        for step in &self.steps {
            match step {
                Step::Rotate(of, by) => {
                    counts.rotations += 1;
                    counts.hoisted += usize::from(!sources.insert(*of));
                    amounts.insert(*by);
                }
                Step::MulPlain(..) => counts.mul_plain += 1,
                Step::Mul(..) => counts.mul += 1,
                Step::Relinearize(_) => counts.relinearizations += 1,
                Step::Rescale(_) => counts.rescales += 1,
                Step::Input { .. } | Step::Add(..) => {}
            }
        }
        let depths = self.depths();
        counts.levels = self.outputs.iter().map(|output| depths[*output]).max().unwrap_or(0);
        counts.keys = amounts.len();
        counts
    }
}

impl Step {
    /// The steps it reads.
    pub fn operands(&self) -> impl Iterator<Item = usize> + use<> {
        let (one, other) = match *self {
            Step::Input { .. } => (None, None),
            Step::Rotate(of, _) | Step::MulPlain(of, _) | Step::Relinearize(of) | Step::Rescale(of) => {
                (Some(of), None)
            }
            Step::Add(one, other) | Step::Mul(one, other) => (Some(one), Some(other)),
        };
        one.into_iter().chain(other)
    }
}

#[cfg(test)]
pub(crate) mod judge {
    //! Runs circuits slot by slot, and checks scales and parts on the way.

    use super::*;

    /// A number that no exact sum of small ones reaches, for slots that nobody may read.
    pub(crate) const GARBAGE: i64 = 1 << 40;

    /// The outputs, slot by slot, in wrapping integers.
    pub(crate) fn run(
        circuit: &Circuit,
        inputs: &[Vec<Vec<i64>>],
        clear: &dyn Fn(usize, u32) -> i64,
    ) -> Vec<Vec<i64>> {
        let slots = circuit.slots;
        let mut values: Vec<(Vec<i64>, usize, usize)> = Vec::new();
        for step in &circuit.steps {
            let value = match *step {
                Step::Input { operand, ciphertext } => (inputs[operand][ciphertext].clone(), 1, 2),
                Step::Rotate(of, by) => {
                    let (of, factors, parts) = &values[of];
                    assert_eq!(*parts, 2, "{step:?}");
                    ((0..slots).map(|slot| of[(slot + by) % slots]).collect(), *factors, 2)
                }
                Step::MulPlain(of, plain) => {
                    let (of, factors, parts) = &values[of];
                    assert_eq!(*factors, 1, "{step:?}");
                    let mut result = vec![0; slots];
                    match &circuit.plains[plain] {
                        Plain::Mask(set) => set.iter().for_each(|slot| result[slot] = of[slot]),
                        Plain::Clear { operand, elements } => {
                            for (slot, element) in elements {
                                let slot = *slot as usize;
                                result[slot] = of[slot].wrapping_mul(clear(*operand, *element));
                            }
                        }
                    }
                    (result, 2, *parts)
                }
                Step::Add(one, other) => {
                    let ((one, f1, p1), (other, f2, p2)) = (&values[one], &values[other]);
                    assert_eq!((f1, p1), (f2, p2), "{step:?}");
                    (one.iter().zip(other).map(|(a, b)| a.wrapping_add(*b)).collect(), *f1, *p1)
                }
                Step::Mul(one, other) => {
                    let ((one, f1, p1), (other, f2, p2)) = (&values[one], &values[other]);
                    assert_eq!((f1, p1, f2, p2), (&1, &2, &1, &2), "{step:?}");
                    (one.iter().zip(other).map(|(a, b)| a.wrapping_mul(*b)).collect(), 2, 3)
                }
                Step::Relinearize(of) => {
                    assert_eq!(values[of].2, 3);
                    (values[of].0.clone(), values[of].1, 2)
                }
                Step::Rescale(of) => {
                    assert_eq!(values[of].1, 2);
                    (values[of].0.clone(), 1, values[of].2)
                }
            };
            values.push(value);
        }
        let outputs = circuit.outputs.iter();
        outputs
            .map(|output| {
                assert_eq!((values[*output].1, values[*output].2), (1, 2));
                values[*output].0.clone()
            })
            .collect()
    }
}
