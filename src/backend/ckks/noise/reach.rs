//! Which slots of the inputs the slots of a value come from: whose noises may be the same.

use std::collections::BTreeMap;
use std::rc::Rc;

/// For each ciphertext of an input the distances, as bits, from a slot of the value to the slots that it comes from.
#[derive(Clone, Debug)]
pub struct Reach {
    slots: usize,
    sources: BTreeMap<usize, Rc<[u64]>>,
}

impl Reach {
    /// A fresh ciphertext of that number.
    pub fn of(source: usize, slots: usize) -> Reach {
        let mut bits = vec![0u64; slots.div_ceil(64)];
        bits[0] = 1;
        Reach { slots, sources: BTreeMap::from([(source, bits.into())]) }
    }

    /// Of a value that is rotated by so many slots.
    pub fn rotated(&self, by: usize) -> Reach {
        let turn = |bits: &Rc<[u64]>| -> Rc<[u64]> {
            if self.slots < 64 {
                let mask = (1u64 << self.slots) - 1;
                return Rc::from([(bits[0] << by | bits[0] >> (self.slots - by)) & mask]);
            }
            let (words, bit) = (by / 64, by % 64);
            let count = bits.len();
            let word = |k: usize| bits[(k + count - words) % count];
            let turned = |k: usize| match bit {
                0 => word(k),
                _ => word(k) << bit | word(k + count - 1) >> (64 - bit),
            };
            (0..count).map(turned).collect()
        };
        let sources = self.sources.iter().map(|(source, bits)| (*source, turn(bits))).collect();
        Reach { slots: self.slots, sources }
    }

    /// Of a value that comes from both.
    pub fn joined(mut self, other: &Reach) -> Reach {
        for (source, bits) in &other.sources {
            self.sources
                .entry(*source)
                .and_modify(|own| *own = own.iter().zip(bits.iter()).map(|(a, b)| a | b).collect())
                .or_insert_with(|| bits.clone());
        }
        self
    }

    /// Whether no slot of an input is in both at one place.
    pub fn is_apart(&self, other: &Reach) -> bool {
        let meets = |(source, bits): (&usize, &Rc<[u64]>)| {
            other
                .sources
                .get(source)
                .is_some_and(|more| bits.iter().zip(more.iter()).any(|(a, b)| a & b != 0))
        };
        !self.sources.iter().any(meets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against sets of distances.
    #[test]
    fn rotations_and_sums_are_those_of_sets() {
        for slots in [4usize, 32, 64, 256] {
            let fresh = Reach::of(3, slots);
            for by in [1, slots / 2, slots - 1] {
                let turned = fresh.rotated(by);
                assert!(fresh.is_apart(&turned) && !turned.is_apart(&turned));
                assert!(!turned.rotated(slots - by).is_apart(&fresh), "{slots} {by}");
                let both = fresh.clone().joined(&turned);
                assert!(!both.is_apart(&fresh) && !both.is_apart(&turned));
                for far in 1..slots {
                    let meets = [0, by].iter().any(|d| [0, by].contains(&((d + far) % slots)));
                    assert_eq!(both.is_apart(&both.rotated(far)), !meets, "{slots} {by} {far}");
                }
            }
            assert!(fresh.is_apart(&Reach::of(4, slots)));
        }
    }
}
