//! The best tree that keeps the leaves in a given order, by dynamic programming over intervals.
//!
//! For a chain of matrices that is the optimum. For any other tree it is at least as good as the tree whose leaves
//! were listed, because that tree joins intervals, too.

use super::math;
use super::problem::Problem;
use super::tree::Tree;

/// Beyond this many leaves the tables grow too large.
pub(super) const LIMIT: usize = 700;

/// The best path for an order of the leaves, by multiply-adds plus `write` times the elements of the results; none
/// when numbers would overflow.
pub(super) fn best_path(
    problem: &Problem,
    tree: &Tree,
    order: &[u32],
    write: f64,
) -> Option<Vec<(u32, u32)>> {
    let count = order.len();
    let mut place = vec![0usize; count];
    order.iter().enumerate().for_each(|(k, &leaf)| place[leaf as usize] = k);
    let mut is_sliced = vec![false; problem.logs.len()];
    tree.sliced.iter().for_each(|&axis| is_sliced[axis as usize] = true);

    // Entry `i * count + j` is about the leaves from place `i` to place `j`, both included.
    let mut inside = vec![0.0f64; count * count];
    let mut absent = vec![0.0f64; count * count];
    let mut total = 0.0;
    let mut places = Vec::new();
    for (axis, leaves) in problem.carriers.iter().enumerate() {
        if is_sliced[axis] {
            continue;
        }
        let log = problem.logs[axis];
        total += log;
        places.clear();
        places.extend(leaves.iter().map(|&leaf| place[leaf as usize]));
        places.sort_unstable();
        let (first, last) = (places[0], places[places.len() - 1]);
        if !problem.kept[axis] {
            inside[first * count + last] += log;
        }
        // The axis is absent from every interval within a gap between its leaves; larger gaps come first below.
        let mut start = 0;
        for &end in places.iter().chain([&count]) {
            if end > start {
                absent[start * count + end - 1] += log;
            }
            start = end + 1;
        }
    }
    if total > 1000.0 {
        return None;
    }
    // Inside: sums over all smaller intervals. Absent: sums over all larger ones.
    for length in 2..=count {
        for i in 0..=count - length {
            let j = i + length - 1;
            let mut sum = inside[i * count + j] + inside[(i + 1) * count + j] + inside[i * count + j - 1];
            if length > 2 {
                sum -= inside[(i + 1) * count + j - 1];
            }
            inside[i * count + j] = sum;
        }
    }
    for length in (1..=count).rev() {
        for i in 0..=count - length {
            let j = i + length - 1;
            let mut sum = absent[i * count + j];
            if i > 0 {
                sum += absent[(i - 1) * count + j];
            }
            if j + 1 < count {
                sum += absent[i * count + j + 1];
            }
            if i > 0 && j + 1 < count {
                sum -= absent[(i - 1) * count + j + 1];
            }
            absent[i * count + j] = sum;
        }
    }
    // Two copies of the reciprocals and costs, one by rows and one by columns, keep the inner loop sequential.
    let mut row_inverse = vec![1.0f64; count * count];
    let mut column_inverse = vec![1.0f64; count * count];
    let mut row_best = vec![0.0f64; count * count];
    let mut column_best = vec![0.0f64; count * count];
    let mut split = vec![0u32; count * count];
    for i in 0..count {
        for j in i..count {
            let inverse = math::exp2(-inside[i * count + j]);
            row_inverse[i * count + j] = inverse;
            column_inverse[j * count + i] = inverse;
        }
    }
    for length in 2..=count {
        for i in 0..=count - length {
            let j = i + length - 1;
            let touch = math::exp2(total - absent[i * count + j]);
            let (mut least, mut choice) = (f64::INFINITY, i);
            let rows =
                row_inverse[i * count + i..i * count + j].iter().zip(&row_best[i * count + i..i * count + j]);
            let columns = column_inverse[j * count + i + 1..=j * count + j]
                .iter()
                .zip(&column_best[j * count + i + 1..=j * count + j]);
            for (k, ((&l, &a), (&r, &b))) in rows.zip(columns).enumerate() {
                let cost = touch * l * r + a + b;
                if cost < least {
                    least = cost;
                    choice = i + k;
                }
            }
            if write > 0.0 {
                least += write * touch * row_inverse[i * count + j];
            }
            row_best[i * count + j] = least;
            column_best[j * count + i] = least;
            split[i * count + j] = choice as u32;
        }
    }
    // From the root down, then reversed into a path.
    let mut path = Vec::with_capacity(count - 1);
    let mut stack = vec![(0usize, count - 1, false)];
    let mut made: Vec<u32> = Vec::new();
    while let Some((i, j, ready)) = stack.pop() {
        if i == j {
            made.push(order[i]);
        } else if ready {
            let (b, a) = (made.pop()?, made.pop()?);
            made.push((count + path.len()) as u32);
            path.push((a, b));
        } else {
            let k = split[i * count + j] as usize;
            stack.push((i, j, true));
            stack.push((k + 1, j, false));
            stack.push((i, k, false));
        }
    }
    Some(path)
}
