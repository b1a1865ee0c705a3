//! Linear maps between packings: rotated copies times clear vectors, by baby and giant steps.
//!
//! A map is kept as its displacements: for each pair of ciphertexts and each displacement `d`, which slots `v` take
//! slot `v + d` of the source, times which clear number. `y = sum over giants g of rotate_g(sum over babies b of
//! m[g, b] * rotate_b(x))` where `m[g, b]` is the vector of displacement `b + g`, moved right by `g`.

use crate::slots::{Builder, Cell, Plain, PlainSource, ValueId};
use std::collections::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// For each displacement: the slots that it fills and the elements of the clear tensor there.
pub type Displacements = BTreeMap<i64, Vec<(u32, u32)>>;

/// A linear map to several ciphertexts.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// The displacements for each (target, source) pair of ciphertexts.
    pub parts: BTreeMap<(usize, usize), Displacements>,
}

/// How displacements are split into two rotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// The first and second rotation of each displacement.
    pub split: BTreeMap<i64, (i64, i64)>,
    /// How many rotations there are.
    pub rotations: usize,
}

/// The displacement from `to` to `from`, of least absolute value.
pub fn displacement(from: u32, to: u32, slots: u32) -> i64 {
    let half = i64::from(slots / 2);
    let d = i64::from(from) - i64::from(to);
    if d > half {
        d - i64::from(slots)
    } else if d <= -half {
        d + i64::from(slots)
    } else {
        d
    }
}

impl Map {
    /// The map that brings elements from where sources hold them to where targets want them; `None` if one is nowhere.
    pub fn moves(sources: &[Vec<Cell>], targets: &[Vec<Cell>], slots: u32) -> Option<Map> {
        let element = |cell: &Cell| match cell {
            Cell::Element(element) => Some(*element),
            _ => None,
        };
        // By element: of those that there are.
        let most = sources.iter().flatten().filter_map(element).max();
        let mut places: Vec<Vec<(usize, u32)>> = vec![Vec::new(); most.map_or(0, |most| most as usize + 1)];
        for (source, cells) in sources.iter().enumerate() {
            for (slot, cell) in cells.iter().enumerate() {
                if let Some(element) = element(cell) {
                    places[element as usize].push((source, slot as u32));
                }
            }
        }
        let at = |element: u32| places.get(element as usize).filter(|places| !places.is_empty());
        let wanted = |cells: &[Cell]| -> Vec<(u32, u32)> {
            let element = |(slot, cell): (usize, &Cell)| match cell {
                Cell::Element(element) => Some((slot as u32, *element)),
                _ => None,
            };
            cells.iter().enumerate().filter_map(element).collect()
        };
        let copies = places.iter().any(|places| places.len() > 1);
        // Where there are copies, the displacements that serve most slots are preferred.
        let mut popular: HashMap<(usize, usize, i64), u32> = HashMap::new();
        if copies {
            for (target, cells) in targets.iter().enumerate() {
                for (slot, element) in wanted(cells) {
                    for &(source, from) in at(element)?.iter().take(64) {
                        *popular.entry((target, source, displacement(from, slot, slots))).or_default() += 1;
                    }
                }
            }
        }
        let mut map = Map::default();
        for (target, cells) in targets.iter().enumerate() {
            for (slot, element) in wanted(cells) {
                let choices = at(element)?;
                let choice = choices.iter().take(64).map(|&(source, from)| {
                    let d = displacement(from, slot, slots);
                    let count = popular.get(&(target, source, d)).copied().unwrap_or(0);
                    (std::cmp::Reverse(count), d.abs(), d, source)
                });
                let (_, _, d, source) = choice.min()?;
                map.parts.entry((target, source)).or_default().entry(d).or_default().push((slot, 0));
            }
        }
        Some(map)
    }

    /// Every displacement.
    pub fn displacements(&self) -> BTreeSet<i64> {
        self.parts.values().flat_map(|part| part.keys().copied()).collect()
    }

    /// The instructions; a target that nothing reaches is `None`.
    pub fn emit(
        &self,
        b: &mut Builder,
        sources: &[ValueId],
        targets: usize,
        factor: f64,
        source: PlainSource,
    ) -> Vec<Option<ValueId>> {
        let slots = b.slots();
        let steps = split(&self.displacements(), slots);
        let mut results = Vec::new();
        for target in 0..targets {
            let mut giants: BTreeMap<i64, Vec<ValueId>> = BTreeMap::new();
            for ((_, from), part) in self.parts.range((target, 0)..(target + 1, 0)) {
                for (d, pairs) in part {
                    let (baby, giant) = steps.split[d];
                    let rotated = b.rescaled(sources[*from]);
                    let rotated = b.rotate(rotated, baby);
                    let mut moved: Vec<(u32, u32)> = pairs
                        .iter()
                        .map(|&(slot, element)| {
                            let slot = (i64::from(slot) + giant).rem_euclid(i64::from(slots)) as u32;
                            (slot, element)
                        })
                        .collect();
                    moved.sort_unstable();
                    let plain = b.plain(Plain::of(factor, source, &moved));
                    let product = b.mul_plain(rotated, plain);
                    giants.entry(giant).or_default().push(product);
                }
            }
            let mut sums = Vec::new();
            for (giant, products) in giants {
                if let Some(sum) = b.sum(&products) {
                    sums.push(b.rotate(sum, giant));
                }
            }
            results.push(b.sum(&sums));
        }
        results
    }
}

/// Splits displacements into babies and giants with the fewest rotations.
///
/// Tries every step `m`: the baby is the remainder by `m`, the giant the multiple of `m`. Steps that fit progressions
/// within the set are found because they are differences of its members.
pub fn split(displacements: &BTreeSet<i64>, slots: u32) -> Steps {
    let members: Vec<i64> = displacements.iter().copied().collect();
    let trivial = || Steps {
        split: members.iter().map(|&d| (d, (d, 0))).collect(),
        rotations: members.iter().filter(|d| **d != 0).count(),
    };
    let mut best = trivial();
    if members.len() < 3 {
        return best;
    }
    let mut steps: BTreeSet<i64> = BTreeSet::new();
    let neighbours: BTreeSet<i64> = members.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let span = members[members.len() - 1] - members[0];
    let stride = members.len().div_ceil(256);
    steps.extend(members.iter().step_by(stride).map(|member| member - members[0]).filter(|step| *step > 0));
    for &difference in neighbours.iter().take(16) {
        for multiple in 1..=(members.len() as i64).min(2 * (members.len() as f64).sqrt() as i64 + 8) {
            if difference * multiple <= span {
                steps.insert(difference * multiple);
            }
        }
    }
    let slots = i64::from(slots);
    // At which turn each baby and each giant was last seen; none is beyond the slots on either side.
    let mut seen = [vec![0u32; 2 * slots as usize + 1], vec![0u32; 2 * slots as usize + 1]];
    let mut turn = 0;
    let mut chosen = None;
    for &step in &steps {
        'offsets: for offset in [0, step / 2] {
            turn += 1;
            let mut rotations = 0;
            for &d in &members {
                let baby = (d + offset).rem_euclid(step) - offset;
                for (part, seen) in [baby, d - baby].into_iter().zip(&mut seen) {
                    let Some(seen) = seen.get_mut((part + slots) as usize) else { continue 'offsets };
                    rotations += usize::from(part != 0 && *seen != turn);
                    *seen = turn;
                }
                if rotations >= best.rotations {
                    continue 'offsets;
                }
            }
            best.rotations = rotations;
            chosen = Some((step, offset));
        }
    }
    if let Some((step, offset)) = chosen {
        let split = members.iter().map(|&d| {
            let baby = (d + offset).rem_euclid(step) - offset;
            (d, (baby, d - baby))
        });
        best.split = split.collect();
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_takes_thirty_rotations() {
        let set: BTreeSet<i64> = (-127..=127).map(|t| 127 * t).collect();
        let steps = split(&set, 16384);
        assert_eq!(set.len(), 255);
        assert!(steps.rotations <= 30, "{}", steps.rotations);
        assert!(steps.split.iter().all(|(d, (baby, giant))| baby + giant == *d));
    }

    #[test]
    fn two_progressions_are_split_along_both() {
        let set: BTreeSet<i64> = (0..8).flat_map(|a| (0..8).map(move |c| 1000 * a + 7 * c)).collect();
        assert!(split(&set, 16384).rotations <= 14);
    }
}
