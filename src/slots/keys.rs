//! Fewer keys for more rotations: amounts that lack a key are made of several that have one.
//!
//! ```text
//! c3 = rotate c2 left 3      =>      c3 = rotate c2 left 1           where 1 and 2 have keys
//!                                    c4 = rotate c3 left 2
//! ```
//!
//! A value that is rotated by several amounts reaches them along a tree, so that what is on the way to two of them is
//! computed once. Which amounts have keys is chosen twice, and the fewer rotations are taken: from all amounts in use
//! the one is taken away again and again that costs least; and to the powers of two the one is added that saves most.

use super::{Op, Slots, Value, ValueId};
use crate::id::{Id, IdVec};
use std::collections::{BTreeMap, BTreeSet};

/// The amounts by which each value is rotated.
type Sources = BTreeMap<ValueId, BTreeSet<u32>>;

/// How each amount is reached from none: the last step, for each amount that is needed or on the way.
type Tree = BTreeMap<u32, u32>;

impl Slots {
    /// The same program with at most so many keys, the one to relinearize included.
    ///
    /// # Errors
    /// The fewest keys that suffice, if there are more.
    pub fn share_keys(&self, most: u32) -> Result<Slots, u32> {
        let counts = self.counts();
        if counts.keys <= u64::from(most) {
            return Ok(self.clone());
        }
        let sources = self.sources();
        let rotations = self.rotations().len() as u64;
        let others = (counts.keys - rotations) as usize;
        let chosen = |most: u32| {
            let most = (most as usize).checked_sub(others)?;
            choose(&sources, self.slots, most)
        };
        match chosen(most) {
            Some(tree) => Ok(self.along(&tree)),
            None => Err((most + 1..counts.keys as u32)
                .find(|most| chosen(*most).is_some())
                .unwrap_or(counts.keys as u32)),
        }
    }

    /// The same program with fewer keys and no more rotations: without those of amounts that are on the way to others or
    /// reached from others, as long as the program is `worth` it.
    pub fn share_spare_keys(&self, worth: &dyn Fn(&Slots) -> bool) -> Slots {
        let sources = self.sources();
        let most = sources.values().map(BTreeSet::len).sum();
        let mut keys: BTreeSet<u32> = sources.values().flatten().copied().collect();
        let mut program = self.clone();
        loop {
            // A value that is rotated by the amount must be rotated by another amount, too, from which a key leads there.
            let spare = |key: &u32| {
                let reached = |amounts: &BTreeSet<u32>| {
                    let step = |from: &u32| (key + self.slots - from) % self.slots;
                    amounts.iter().any(|from| from != key && step(from) != *key && keys.contains(&step(from)))
                };
                sources.values().filter(|amounts| amounts.contains(key)).all(reached)
            };
            let fewer = keys.iter().copied().filter(|key| spare(key)).find_map(|key| {
                let fewer: BTreeSet<u32> = keys.iter().copied().filter(|other| *other != key).collect();
                let tree = reach(&sources, &fewer, self.slots)?;
                let shared = (rotations(&sources, &tree, self.slots) <= most).then(|| self.along(&tree))?;
                worth(&shared).then_some((fewer, shared))
            });
            match fewer {
                Some(fewer) => (keys, program) = fewer,
                None => return program,
            }
        }
    }

    /// The value that a rotation is of, not its digits.
    fn rotated(&self, of: ValueId) -> ValueId {
        match self.values[of].op {
            Op::Hoist(value) => value,
            _ => of,
        }
    }

    fn sources(&self) -> Sources {
        let mut sources = Sources::new();
        for (_, value) in self.values.iter() {
            if let Op::Rotate(of, by) = value.op {
                sources.entry(self.rotated(of)).or_default().insert(by);
            }
        }
        sources
    }

    /// Rotates along a tree.
    fn along(&self, tree: &Tree) -> Slots {
        let mut program = Slots { values: IdVec::new(), ..self.clone() };
        let mut ids: Vec<ValueId> = Vec::with_capacity(self.values.len());
        // What a value rotated by an amount is, in the new program.
        let mut known: BTreeMap<(ValueId, u32), ValueId> = BTreeMap::new();
        for (_, value) in self.values.iter() {
            let id = match value.op {
                Op::Hoist(of) => ids[of.number()],
                Op::Rotate(of, by) => {
                    let of = self.rotated(of);
                    let mut last = ids[of.number()];
                    let mut at = 0;
                    for step in path(tree, by, self.slots) {
                        at = (at + step) % self.slots;
                        let place = value.place.clone().filter(|_| at == by);
                        let rotated = Value { op: Op::Rotate(last, step), place, ..value.clone() };
                        last = *known.entry((of, at)).or_insert_with(|| program.values.push(rotated));
                    }
                    last
                }
                op => {
                    let op = op.with_operands(|operand| ids[operand.number()]);
                    program.values.push(Value { op, ..value.clone() })
                }
            };
            ids.push(id);
        }
        for value in program.outputs.iter_mut().flat_map(|output| &mut output.values) {
            *value = ids[value.number()];
        }
        program.hoist_rotations();
        program
    }
}

/// The steps to an amount, the first first.
fn path(tree: &Tree, to: u32, slots: u32) -> Vec<u32> {
    let mut steps = Vec::new();
    let mut at = to;
    while at != 0 {
        let step = tree[&at];
        steps.push(step);
        at = (at + slots - step) % slots;
    }
    steps.reverse();
    steps
}

/// How all amounts are reached by the keys, in few steps each; none if one takes more steps than slots have bits.
fn reach(sources: &Sources, keys: &BTreeSet<u32>, slots: u32) -> Option<Tree> {
    let wanted: BTreeSet<u32> = sources.values().flatten().copied().collect();
    let mut needed = vec![false; slots as usize];
    wanted.iter().for_each(|amount| needed[*amount as usize] = true);
    let mut steps: Vec<u32> = vec![0; slots as usize];
    let mut missing = wanted.len();
    let mut last: Vec<u32> = vec![0];
    for _ in 0..slots.ilog2() {
        if missing == 0 {
            break;
        }
        let mut next = Vec::new();
        // Amounts that are needed anyway first: what passes through them takes no more rotations.
        last.sort_by_key(|at| !needed[*at as usize]);
        for at in last {
            for &key in keys {
                let to = (at + key) % slots;
                if to != 0 && steps[to as usize] == 0 {
                    steps[to as usize] = key;
                    missing -= usize::from(needed[to as usize]);
                    next.push(to);
                }
            }
        }
        last = next;
    }
    let mut tree = Tree::new();
    for &amount in wanted.iter().filter(|_| missing == 0) {
        let mut at = amount;
        while at != 0 && tree.insert(at, steps[at as usize]).is_none() {
            at = (at + slots - steps[at as usize]) % slots;
        }
    }
    (missing == 0).then_some(tree)
}

/// The rotations of all values along a tree.
fn rotations(sources: &Sources, tree: &Tree, slots: u32) -> usize {
    let each = sources.values().map(|amounts| {
        let mut on_the_way: BTreeSet<u32> = BTreeSet::new();
        for amount in amounts {
            let mut at = *amount;
            while at != 0 && on_the_way.insert(at) {
                at = (at + slots - tree[&at]) % slots;
            }
        }
        on_the_way.len()
    });
    each.sum()
}

/// The tree of the fewest rotations that is found with at most so many amounts.
fn choose(sources: &Sources, slots: u32, most: usize) -> Option<Tree> {
    let price = |keys: &BTreeSet<u32>| {
        let tree = reach(sources, keys, slots)?;
        Some((rotations(sources, &tree, slots), tree))
    };
    let with = |keys: &BTreeSet<u32>, key: u32| keys.iter().copied().chain([key]).collect::<BTreeSet<u32>>();
    let without = |keys: &BTreeSet<u32>, key: u32| {
        keys.iter().copied().filter(|other| *other != key).collect::<BTreeSet<u32>>()
    };
    let used: BTreeSet<u32> = sources.values().flatten().copied().collect();
    let cheapest = |candidates: &mut dyn Iterator<Item = BTreeSet<u32>>| {
        let priced = candidates.filter_map(|keys| Some((price(&keys)?.0, keys)));
        priced.min_by_key(|(price, _)| *price).map(|(_, keys)| keys)
    };
    let mut fewer = Some(used.clone());
    while let Some(keys) = fewer.take_if(|keys| keys.len() > most) {
        fewer = cheapest(&mut keys.iter().map(|key| without(&keys, *key)));
    }
    let powers: BTreeSet<u32> = (0..slots.ilog2()).map(|bit| 1 << bit).collect();
    let mut more = (powers.len() <= most).then_some(powers);
    while let Some(keys) = more.take_if(|keys| keys.len() < most) {
        let rest = used.iter().filter(|key| !keys.contains(key));
        match cheapest(&mut rest.map(|key| with(&keys, *key))) {
            Some(better) => more = Some(better),
            None => {
                more = Some(keys);
                break;
            }
        }
    }
    let found = fewer.into_iter().chain(more).filter_map(|keys| price(&keys));
    found.min_by_key(|(price, _)| *price).map(|(_, tree)| tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(amounts: &[&[u32]]) -> Sources {
        let numbered = amounts.iter().enumerate();
        numbered
            .map(|(number, amounts)| (ValueId(number as u32), amounts.iter().copied().collect()))
            .collect()
    }

    fn keys(tree: &Tree) -> BTreeSet<u32> {
        tree.values().copied().collect()
    }

    #[test]
    fn multiples_of_a_step_need_its_key_alone() {
        let sources = sources(&[&[3, 6, 9, 12]]);
        let tree = choose(&sources, 64, 1).unwrap();
        // One after the other: four rotations, as with four keys.
        assert_eq!((keys(&tree), rotations(&sources, &tree, 64)), (BTreeSet::from([3]), 4));
        assert_eq!(path(&tree, 9, 64), [3, 3, 3]);
    }

    #[test]
    fn amounts_apart_are_sums_of_powers_of_two() {
        let odd: Vec<u32> = (0..32).map(|k| 2 * k + 1).collect();
        let each: Vec<&[u32]> = odd.chunks(1).collect();
        let sources = sources(&each);
        let tree = choose(&sources, 64, 6).unwrap();
        assert!(keys(&tree).len() <= 6);
        // One rotation for each bit that is set, at most.
        let bits: u32 = odd.iter().map(|amount| amount.count_ones()).sum();
        assert!(rotations(&sources, &tree, 64) <= bits as usize);
    }

    #[test]
    fn what_no_key_reaches_is_told() {
        assert!(choose(&sources(&[&[2], &[3]]), 64, 0).is_none());
        // 32 reaches nothing but itself.
        let tree = reach(&sources(&[&[1]]), &BTreeSet::from([32]), 64);
        assert!(tree.is_none());
    }

    #[test]
    fn more_keys_never_take_more_rotations() {
        let sources = sources(&[&[1, 2, 3, 5, 8], &[13, 21, 34], &[55, 63], &[40]]);
        let mut last = usize::MAX;
        for most in 4..12 {
            let tree = choose(&sources, 64, most).unwrap();
            assert!(keys(&tree).len() <= most);
            let found = rotations(&sources, &tree, 64);
            assert!(found <= last, "{most}: {found} after {last}");
            last = found;
        }
        assert_eq!(last, 11);
    }
}
