//! Baby steps and giant steps: any linear map in one level.
//!
//! With displacements `baby + giant`, `y = sum over giants of rotate(sum over babies of mask * rotate(x, baby), giant)`.
//! The rotations by babies share the digits of `x`. Displacements are sums of digits times their steps; digits whose
//! steps divide each other join to one progression, and each progression is cut where the rotations are fewest.

use super::{Circuit, Plain, SlotSet};
use std::collections::BTreeMap;

/// Displacements `step * t` for `low <= t <= high`, cut into babies below `baby` and giants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progression {
    /// From one displacement to the next.
    pub step: i64,
    /// The first.
    pub low: i64,
    /// The last.
    pub high: i64,
    /// How many babies there are.
    pub baby: i64,
}

/// How the displacements of a map are cut into babies and giants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The progressions.
    pub progressions: Vec<Progression>,
    /// For each digit, its progression and the multiple of its step that one value makes.
    pub digits: Vec<(usize, i64)>,
    /// Rotations by babies and by giants.
    pub rotations: (usize, usize),
    /// Displacements at most.
    pub displacements: usize,
}

impl Split {
    /// The cheapest cut for digits that each displace by a step times `0 .. extent`.
    pub fn of(digits: &[(i64, usize)]) -> Split {
        let mut order: Vec<usize> = (0..digits.len()).collect();
        order.sort_by_key(|digit| (digits[*digit].0.abs(), digits[*digit].0));
        let mut progressions: Vec<Progression> = Vec::new();
        let mut places = vec![(0, 0); digits.len()];
        for digit in order {
            let (delta, extent) = digits[digit];
            let last = extent as i64 - 1;
            let joins = |p: &Progression| delta % p.step == 0 && (delta / p.step).abs() <= p.high - p.low + 1;
            let found = progressions.iter().position(joins);
            let progression = found.unwrap_or_else(|| {
                progressions.push(Progression { step: delta.abs().max(1), low: 0, high: 0, baby: 1 });
                progressions.len() - 1
            });
            let joined = &mut progressions[progression];
            let multiple = delta / joined.step;
            if multiple > 0 {
                joined.high += last * multiple;
            } else {
                joined.low += last * multiple;
            }
            places[digit] = (progression, multiple);
        }
        let mut best = (usize::MAX, usize::MAX, Vec::new());
        cut(&progressions, &mut Vec::new(), 1, 1, &mut best);
        for (progression, baby) in progressions.iter_mut().zip(&best.2) {
            progression.baby = *baby;
        }
        let displacements = progressions.iter().map(|p| (p.high - p.low + 1) as usize).product();
        let babies: usize = progressions.iter().map(|p| p.baby as usize).product();
        Split { progressions, digits: places, rotations: (babies - 1, best.0 - (babies - 1)), displacements }
    }

    /// The baby and the giant of the displacement that these values of the digits make.
    pub fn at(&self, values: impl IntoIterator<Item = usize>) -> (i64, i64) {
        let mut multiples = vec![0; self.progressions.len()];
        for (value, (progression, multiple)) in values.into_iter().zip(&self.digits) {
            multiples[*progression] += value as i64 * multiple;
        }
        let mut steps = (0, 0);
        for (multiple, progression) in multiples.iter().zip(&self.progressions) {
            steps.0 += progression.step * multiple.rem_euclid(progression.baby);
            steps.1 += progression.step * progression.baby * multiple.div_euclid(progression.baby);
        }
        steps
    }
}

/// Tries every cut of the progressions after the first few; keeps the fewest rotations, then the fewest giants.
fn cut(
    all: &[Progression],
    chosen: &mut Vec<i64>,
    babies: usize,
    giants: usize,
    best: &mut (usize, usize, Vec<i64>),
) {
    let Some(progression) = all.get(chosen.len()) else {
        let rotations = babies + giants - 2;
        if (rotations, giants) < (best.0, best.1) {
            *best = (rotations, giants, chosen.clone());
        }
        return;
    };
    let length = progression.high - progression.low + 1;
    // Long progressions beside others are cut at a few places only.
    let coarse = all.len() > 1 && length > 40;
    for baby in (1..=length).filter(|baby| !coarse || (*baby as u64).is_power_of_two() || *baby == length) {
        let steps = progression.high.div_euclid(baby) - progression.low.div_euclid(baby) + 1;
        let (babies, giants) = (babies * baby as usize, giants * steps as usize);
        if babies.max(giants) < best.0.saturating_add(1) {
            chosen.push(baby);
            cut(all, chosen, babies, giants, best);
            chosen.pop();
        }
    }
}

/// What one slot of the result takes from one ciphertext.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The step of the circuit it is taken from.
    pub source: usize,
    /// The slot of the result.
    pub slot: usize,
    /// The first part of the displacement.
    pub baby: i64,
    /// The rest of it.
    pub giant: i64,
    /// The row-major position of the clear number it is multiplied by.
    pub element: u32,
}

/// The sum of all entries, with two factors of the scale; ones instead of clear numbers without a clear operand.
///
/// Entries of one slot, source, baby and giant are one.
pub fn combine(
    circuit: &mut Circuit,
    entries: impl IntoIterator<Item = Entry>,
    clear: Option<usize>,
) -> Option<usize> {
    let slots = circuit.slots;
    let mut groups: BTreeMap<i64, BTreeMap<(usize, i64), Vec<(u32, u32)>>> = BTreeMap::new();
    for entry in entries {
        let slot = (entry.slot as i64 + entry.giant).rem_euclid(slots as i64);
        let giant = groups.entry(entry.giant.rem_euclid(slots as i64)).or_default();
        let baby = entry.baby.rem_euclid(slots as i64);
        giant.entry((entry.source, baby)).or_default().push((slot as u32, entry.element));
    }
    let mut sums = Vec::new();
    for (giant, babies) in groups {
        let mut terms = Vec::new();
        for ((source, baby), mut pairs) in babies {
            let plain = match clear {
                Some(operand) => {
                    pairs.sort_unstable();
                    Plain::Clear { operand, elements: pairs }
                }
                None => {
                    let mut set = SlotSet::empty(slots);
                    pairs.iter().for_each(|pair| set.insert(pair.0 as usize));
                    Plain::Mask(set)
                }
            };
            let moved = circuit.rotate(source, baby);
            terms.push(circuit.mul_plain(moved, plain));
        }
        let sum = circuit.sum(terms);
        sums.extend(sum.map(|sum| circuit.rotate(sum, giant)));
    }
    circuit.sum(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotations(digits: &[(i64, usize)]) -> usize {
        let split = Split::of(digits);
        split.rotations.0 + split.rotations.1
    }

    #[test]
    fn a_transpose_is_one_progression() {
        let split = Split::of(&[(127, 128), (-127, 128)]);
        assert_eq!(split.progressions.len(), 1);
        assert_eq!((split.progressions[0].low, split.progressions[0].high), (-127, 127));
        assert_eq!((split.displacements, split.rotations.0 + split.rotations.1), (255, 30));
        assert_eq!(rotations(&[(127, 16), (-127, 16)]), 10);
        assert_eq!(rotations(&[(2032, 8), (-2032, 8)]), 6);
        assert_eq!(rotations(&[(127, 128)]), 21);
    }

    #[test]
    fn bits_of_a_digit_are_the_digit() {
        let bits: Vec<(i64, usize)> = (0..7).flat_map(|bit| [(127 << bit, 2), (-(127 << bit), 2)]).collect();
        assert_eq!(Split::of(&bits).progressions, Split::of(&[(127, 128), (-127, 128)]).progressions);
    }

    #[test]
    fn babies_and_giants_add_up_to_the_displacement() {
        let digits = [(5, 3), (-15, 4), (1000, 2), (-7, 2)];
        let split = Split::of(&digits);
        for values in 0..48 {
            let values = [values % 3, values / 3 % 4, values / 12 % 2, values / 24];
            let displacement: i64 =
                values.iter().zip(&digits).map(|(value, digit)| *value as i64 * digit.0).sum();
            let (baby, giant) = split.at(values);
            assert_eq!(baby + giant, displacement);
        }
    }
}
