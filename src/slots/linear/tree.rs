//! Sums and copies over a digit of any extent: addition chains of rotations.
//!
//! The window of `a + b` values is the window of `a`, plus the window of `b` rotated by `a` strides. So a digit of
//! extent `n` costs as many rotations as the shortest addition chain of `n` has additions: 7 of 128, 6 of 27.

use super::Circuit;

/// The shortest addition chain of `n` in which each member adds something to the member before it; ascending from 1.
///
/// ```
/// use einc::slots::linear::tree::addition_chain;
///
/// assert_eq!(addition_chain(27).len(), 1 + 6); // such as 1, 2, 3, 6, 9, 18, 27
/// assert_eq!(addition_chain(1), [1]);
/// ```
pub fn addition_chain(n: usize) -> Vec<usize> {
    /// Chains of larger numbers double and add.
    const SEARCHED: usize = 600;
    if n > SEARCHED {
        let mut chain = addition_chain(n / 2);
        chain.push(n / 2 * 2);
        if n % 2 == 1 {
            chain.push(n);
        }
        return chain;
    }
    let mut chain = vec![1];
    for additions in n.max(1).next_power_of_two().ilog2() as usize.. {
        if extend(&mut chain, n.max(1), additions) {
            break;
        }
    }
    chain
}

/// Extends the chain to `n` with so many additions, if it can be.
fn extend(chain: &mut Vec<usize>, n: usize, additions: usize) -> bool {
    let last = chain[chain.len() - 1];
    if last == n {
        return true;
    }
    if additions == 0 || last << additions < n {
        return false;
    }
    for position in (0..chain.len()).rev() {
        let next = last + chain[position];
        if next <= n {
            chain.push(next);
            if extend(chain, n, additions - 1) {
                return true;
            }
            chain.pop();
        }
    }
    false
}

/// How many rotations a sum over `n` values costs.
pub fn additions(n: usize) -> usize {
    addition_chain(n).len() - 1
}

/// The sum of `x` rotated by 0, 1, .. `n - 1` strides.
///
/// With a positive stride, slots whose digit is 0 get the sum over the digit; with a negative one, what is in slots
/// whose digit is 0 is copied to all digits, if the others hold zeros.
pub fn window(circuit: &mut Circuit, x: usize, n: usize, stride: i64) -> usize {
    let chain = addition_chain(n);
    let mut windows = vec![(1, x)];
    for pair in chain.windows(2) {
        let (last, added) = (windows[windows.len() - 1], pair[1] - pair[0]);
        let other = windows.iter().find(|window| window.0 == added).map_or(x, |window| window.1);
        let moved = circuit.rotate(other, stride * last.0 as i64);
        let sum = circuit.add(last.1, moved);
        windows.push((pair[1], sum));
    }
    windows[windows.len() - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::linear::circuit::judge;

    #[test]
    fn windows_of_every_extent_are_sums() {
        for n in 1..=64 {
            let mut circuit = Circuit::new(64);
            let x = circuit.input(0, 0);
            let sum = window(&mut circuit, x, n, 1);
            circuit.outputs = vec![sum];
            let input: Vec<i64> = (0..64).map(|slot| (slot * slot) % 37).collect();
            let output = judge::run(&circuit, &[vec![input.clone()]], &|_, _| 0);
            let expected = (0..64).map(|slot| (0..n).map(|t| input[(slot + t) % 64]).sum::<i64>());
            assert!(output[0].iter().copied().eq(expected), "{n}");
            assert_eq!(circuit.counts().rotations, additions(n));
            assert_eq!(circuit.counts().levels, 0);
        }
    }

    /// The lengths of shortest addition chains of 1 to 32: OEIS A003313.
    #[test]
    fn chains_are_shortest() {
        let lengths: Vec<usize> = (1..=32).map(additions).collect();
        let known =
            [0, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 4, 5, 5, 5, 4, 5, 5, 6, 5, 6, 6, 6, 5, 6, 6, 6, 6, 7, 6, 7, 5];
        assert_eq!(lengths, known);
        assert_eq!(additions(512), 9);
        assert!(addition_chain(1023).len() <= 15);
    }
}
