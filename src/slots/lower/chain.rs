//! Sums over windows by few rotations: addition chains.

use crate::slots::{Builder, ValueId};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The longest chain that is searched for; longer sums double and add.
const LONGEST: usize = 11;

/// A step of a chain: the numbers of two earlier entries, and their sum.
type Step = (usize, usize, u32);

/// A short addition chain of `n`: each entry but the first is a sum of two earlier ones, given by number.
pub fn chain(n: u32) -> Vec<Step> {
    static KNOWN: Mutex<BTreeMap<u32, Vec<Step>>> = Mutex::new(BTreeMap::new());
    if let Some(known) = KNOWN.lock().ok().and_then(|known| known.get(&n).cloned()) {
        return known;
    }
    let found = shortest(n);
    if let Ok(mut known) = KNOWN.lock() {
        known.insert(n, found.clone());
    }
    found
}

fn shortest(n: u32) -> Vec<Step> {
    let least = (32 - n.max(1).leading_zeros() - 1) as usize;
    for length in least..=LONGEST {
        let mut steps = Vec::new();
        if search(&mut vec![1], n, length, &mut steps) {
            return steps;
        }
    }
    binary(n)
}

fn search(chain: &mut Vec<u32>, n: u32, left: usize, steps: &mut Vec<Step>) -> bool {
    let last = chain[chain.len() - 1];
    if last == n {
        return true;
    }
    if left == 0 || u64::from(last) << left < u64::from(n) {
        return false;
    }
    for other in (0..chain.len()).rev() {
        let sum = last + chain[other];
        if sum > n {
            continue;
        }
        steps.push((chain.len() - 1, other, sum));
        chain.push(sum);
        if search(chain, n, left - 1, steps) {
            return true;
        }
        chain.pop();
        steps.pop();
    }
    false
}

/// Doubles, and adds one where a bit is set.
fn binary(n: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut sum = 1;
    for bit in (0..32 - n.leading_zeros() - 1).rev() {
        let last = steps.len();
        sum *= 2;
        steps.push((last, last, sum));
        if n >> bit & 1 == 1 {
            sum += 1;
            steps.push((steps.len(), 0, sum));
        }
    }
    steps
}

/// The sum of the value rotated left by `0, stride, .. (n-1) * stride`; to the right where `stride` is negative.
pub fn window(b: &mut Builder, value: ValueId, n: u32, stride: i64) -> ValueId {
    let mut sums = vec![(value, 1u32)];
    for (first, second, sum) in chain(n) {
        let (a, width) = sums[first];
        let other = sums[second].0;
        let moved = b.rotate(other, i64::from(width) * stride);
        sums.push((b.add(a, moved), sum));
    }
    sums[sums.len() - 1].0
}

/// How many rotations [`window`] takes.
pub fn rotations(n: u32) -> usize {
    chain(n).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_end_at_their_number_and_are_short() {
        for n in 1..300u32 {
            let mut values = vec![1u32];
            for (a, b, sum) in chain(n) {
                assert_eq!(values[a] + values[b], sum);
                values.push(sum);
            }
            assert_eq!(values.last(), Some(&n), "{n}");
        }
        // The known lengths of shortest chains (OEIS A003313).
        for (n, length) in
            [(1, 0), (2, 1), (3, 2), (7, 4), (15, 5), (23, 6), (27, 6), (31, 7), (128, 7), (191, 11)]
        {
            assert!(rotations(n) <= length, "{n}: {}", rotations(n));
        }
        assert_eq!(chain(1_000_003).last().map(|step| step.2), Some(1_000_003));
    }
}
