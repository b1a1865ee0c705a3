//! Maps between any two layouts, by their generalised diagonals, in one level.
//!
//! ```text
//! [i:3 k:5] to [k:5 i:3]: displacements 0, 4, 8, .. as multiples of a step, cut into babies and giants
//! ```

use super::Circuit;
use super::bsgs::{Entry, combine};
use crate::slots::layout::{Contents, Held};
use std::collections::{BTreeMap, BTreeSet};

/// What one slot of the result takes: from which ciphertext, and at which displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Diagonal {
    source: usize,
    target: usize,
    slot: usize,
    displacement: i64,
    element: u32,
}

/// A linear map between ciphertexts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    slots: usize,
    targets: usize,
    diagonals: Vec<Diagonal>,
    clear: Option<usize>,
}

impl Map {
    /// The map that brings every element from one layout to all its places in another; `None` if one is nowhere.
    ///
    /// Where an element has several places, the displacement that serves most is taken.
    pub fn moves(from: &Contents, to: &Contents) -> Option<Map> {
        let pairs = (0..to.ciphertexts())
            .flat_map(|target| to.elements(target).map(move |(slot, element)| (target, slot, element, 0)));
        Map::of(from, to, pairs.collect(), None)
    }

    /// The map that adds up, in each slot of the output, elements of the input times clear numbers: for each element
    /// of the output pairs of an element of the input and the row-major position in the clear operand.
    pub fn weighted(
        from: &Contents,
        to: &Contents,
        clear: usize,
        weights: &dyn Fn(usize) -> Vec<(usize, u32)>,
    ) -> Option<Map> {
        let mut pairs = Vec::new();
        for target in 0..to.ciphertexts() {
            for (slot, element) in to.elements(target) {
                pairs.extend(
                    weights(element).into_iter().map(|(input, weight)| (target, slot, input, weight)),
                );
            }
        }
        Map::of(from, to, pairs, Some(clear))
    }

    fn of(
        from: &Contents,
        to: &Contents,
        pairs: Vec<(usize, usize, usize, u32)>,
        clear: Option<usize>,
    ) -> Option<Map> {
        /// Places of one element that are looked at.
        const PLACES: usize = 64;
        let slots = from.slots();
        let mut places: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for source in 0..from.ciphertexts() {
            for slot in 0..slots {
                if let Held::Element(element) = from.at(source, slot) {
                    let known = places.entry(element).or_default();
                    if known.len() < PLACES {
                        known.push((source, slot));
                    }
                }
            }
        }
        let displaced = |place: &(usize, usize), slot: usize| near(place.1 as i64 - slot as i64, slots);
        let mut popular: BTreeMap<(usize, i64), usize> = BTreeMap::new();
        for (_, slot, element, _) in &pairs {
            for place in places.get(element)? {
                *popular.entry((place.0, displaced(place, *slot))).or_default() += 1;
            }
        }
        let diagonals = pairs.iter().map(|(target, slot, element, weight)| {
            let best = places.get(element)?.iter().max_by_key(|place| {
                let displacement = displaced(place, *slot);
                (popular.get(&(place.0, displacement)), std::cmp::Reverse(displacement.abs()), displacement)
            })?;
            let displacement = displaced(best, *slot);
            Some(Diagonal { source: best.0, target: *target, slot: *slot, displacement, element: *weight })
        });
        let diagonals = diagonals.collect::<Option<Vec<_>>>()?;
        Some(Map { slots, targets: to.ciphertexts(), diagonals, clear })
    }

    /// Every displacement, those to the left positive.
    pub fn displacements(&self) -> BTreeSet<i64> {
        self.diagonals.iter().map(|diagonal| diagonal.displacement).collect()
    }

    /// The rotations that any circuit of one input needs: with each, the displacements at most double.
    pub fn least_rotations(&self) -> usize {
        let count = self.displacements().len().max(1);
        count.next_power_of_two().ilog2() as usize
    }

    /// The step whose remainders are the babies and whose multiples are the giants, with the fewest rotations; and
    /// these.
    pub fn cut(&self) -> (i64, usize) {
        let all: Vec<i64> = self.displacements().into_iter().collect();
        let rotations = |step: i64| {
            let part = |part: &dyn Fn(i64) -> i64| {
                let parts: BTreeSet<i64> = all.iter().map(|d| near(part(*d), self.slots)).collect();
                parts.iter().filter(|d| **d != 0).count()
            };
            part(&|d| d.rem_euclid(step)) + part(&|d| d - d.rem_euclid(step))
        };
        // A step that cuts well is a multiple of a difference of neighbours.
        let mut steps: BTreeSet<i64> = BTreeSet::from([1, self.slots as i64]);
        for pair in all.windows(2) {
            let gap = pair[1] - pair[0];
            let most = all.len() as i64;
            steps.extend((1..=most).map(|times| gap * times).take_while(|step| *step < self.slots as i64));
            if steps.len() > MOST_STEPS {
                break;
            }
        }
        let cuts = steps.into_iter().map(|step| (rotations(step), step));
        cuts.min().map_or((1, 0), |(rotations, step)| (step, rotations))
    }

    /// Adds the map to a circuit: for each ciphertext of the result its step, rescaled; `None` where it is zero.
    pub fn build(&self, circuit: &mut Circuit, sources: &[usize]) -> Vec<Option<usize>> {
        let (step, _) = self.cut();
        let mut entries: Vec<Vec<Entry>> = vec![Vec::new(); self.targets];
        for diagonal in &self.diagonals {
            let baby = diagonal.displacement.rem_euclid(step);
            entries[diagonal.target].push(Entry {
                source: sources[diagonal.source],
                slot: diagonal.slot,
                baby,
                giant: diagonal.displacement - baby,
                element: diagonal.element,
            });
        }
        let sums = entries.into_iter().map(|entries| {
            let sum = combine(circuit, entries, self.clear)?;
            Some(circuit.rescale(sum))
        });
        sums.collect()
    }
}

/// Steps that are tried.
const MOST_STEPS: usize = 600;

/// The displacement of least absolute value that is the same cyclically.
fn near(displacement: i64, slots: usize) -> i64 {
    let slots = slots as i64;
    let left = displacement.rem_euclid(slots);
    if left > slots / 2 { left - slots } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::layout::{Axis, Layout};
    use crate::slots::linear::circuit::judge;

    fn axes(extents: &[(&str, usize)]) -> Vec<Axis> {
        extents.iter().map(|(name, extent)| Axis { name: (*name).into(), extent: *extent }).collect()
    }

    fn filled(contents: &Contents) -> Vec<Vec<i64>> {
        let at = |ciphertext, slot| match contents.at(ciphertext, slot) {
            Held::Element(element) => element as i64 + 1,
            Held::Zero => 0,
            Held::Garbage => judge::GARBAGE,
        };
        (0..contents.ciphertexts())
            .map(|ct| (0..contents.slots()).map(|slot| at(ct, slot)).collect())
            .collect()
    }

    /// Every pair of these layouts: odd extents, skew, remainders, copies, gaps, several ciphertexts.
    #[test]
    fn any_layout_moves_to_any_other() {
        let axes = axes(&[("i", 3), ("k", 5)]);
        let texts = [
            "[i:3 k:5]",
            "[k:5 i:3]",
            "[i:4 ?2 k:8]",
            "[*4 (10i+6k):15]",
            "[i:3 | (k-i):5]",
            "[k:5 | *4 i:3 ?]",
            "[k/2:3 | i:3 k:2 *3]",
        ];
        for from in texts {
            for to in texts {
                let contents = |text: &str| Layout::parse(text, &axes).unwrap().contents(64).unwrap();
                let (source, target) = (contents(from), contents(to));
                let map = Map::moves(&source, &target).unwrap();
                let mut circuit = Circuit::new(64);
                let inputs: Vec<usize> = (0..source.ciphertexts()).map(|ct| circuit.input(0, ct)).collect();
                circuit.outputs = map.build(&mut circuit, &inputs).into_iter().map(Option::unwrap).collect();
                let results = judge::run(&circuit, &[filled(&source)], &|_, _| 0);
                for (ciphertext, result) in results.iter().enumerate() {
                    for (slot, found) in result.iter().enumerate() {
                        let wanted = match target.at(ciphertext, slot) {
                            Held::Element(element) => element as i64 + 1,
                            _ => 0,
                        };
                        assert_eq!(*found, wanted, "{from} to {to}: {ciphertext} {slot}");
                    }
                }
                let rotations = circuit.counts().rotations;
                if source.ciphertexts() == 1 && target.ciphertexts() == 1 {
                    assert!(rotations <= map.cut().1, "{from} to {to}");
                    assert!(rotations >= map.least_rotations(), "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn a_clear_matrix_of_128_by_a_periodic_vector_takes_few_rotations() {
        let (i, k) = (axes(&[("i", 128)]), axes(&[("k", 128)]));
        let from = Layout::parse("[*128 k:128]", &k).unwrap().contents(16384).unwrap();
        let to = Layout::parse("[_128 i:128]", &i).unwrap().contents(16384).unwrap();
        let row = |i: usize| (0..128).map(|k| (k, (i * 128 + k) as u32)).collect();
        let map = Map::weighted(&from, &to, 1, &row).unwrap();
        let mut circuit = Circuit::new(16384);
        let x = circuit.input(0, 0);
        circuit.outputs = map.build(&mut circuit, &[x]).into_iter().flatten().collect();
        let weight = |element: u32| i64::from(element % 17) - 8;
        let results = judge::run(&circuit, &[filled(&from)], &|_, element| weight(element));
        for i in 0..128u32 {
            let expected: i64 = (0..128).map(|k| weight(i * 128 + k) * i64::from(k + 1)).sum();
            assert_eq!(results[0][i as usize], expected);
        }
        let counts = circuit.counts();
        assert_eq!((counts.mul_plain, counts.levels), (128, 1));
        assert!(counts.rotations <= 22, "{counts:?}");
    }

    #[test]
    fn an_element_that_is_nowhere_has_no_map() {
        let (small, large) = (axes(&[("i", 3)]), axes(&[("i", 5)]));
        let from = Layout::parse("[i:3]", &small).unwrap().contents(8).unwrap();
        let to = Layout::parse("[i:5]", &large).unwrap().contents(8).unwrap();
        assert_eq!(Map::moves(&from, &to), None);
    }
}
