//! Remez's exchange: the polynomial whose error has one size at one point more than it has coefficients.

use super::{Polynomial, place};
use std::f64::consts::PI;

/// Exchanges at most.
const ROUNDS: usize = 40;
/// Places on the range, for each coefficient, where extrema of the error are looked for.
const GRID: usize = 40;

/// A polynomial of the same degree whose error is nearly level, if the exchange finds one.
///
/// The best polynomial for an odd or even function on a range around 0 is odd or even too, and best with fewer
/// coefficients on the half of the range; on the whole of it the error would be level at more points than exchanges count.
pub(super) fn improve(function: &dyn Fn(f64) -> f64, start: &Polynomial) -> Option<Polynomial> {
    let degree = start.coefficients.len() - 1;
    let value = |t: f64| function(place(start.range, t));
    // The Chebyshev polynomials it consists of, and how much of the circle the grid takes.
    let lacks = |part: usize| start.coefficients.iter().skip(part).step_by(2).all(|c| *c == 0.0);
    let (orders, arc): (Vec<usize>, f64) = match (lacks(0), lacks(1)) {
        (true, _) => ((1..=degree).step_by(2).collect(), 0.5),
        (_, true) => ((0..=degree).step_by(2).collect(), 0.5),
        _ => ((0..=degree).collect(), 1.0),
    };
    let size = orders.len();
    let points = GRID * (size + 1);
    // Half of it ends before 0 where the polynomials are odd, for there all of them are 0.
    let last = if orders.first() == Some(&1) { points + 1 } else { points };
    let grid: Vec<f64> = (0..=points).map(|k| (PI * arc * k as f64 / last as f64).cos()).collect();
    let values: Vec<f64> = grid.iter().map(|t| value(*t)).collect();
    let mut chosen: Vec<usize> = (0..=size).map(|k| k * points / size.max(1)).collect();
    let mut best: Option<(f64, Polynomial)> = None;
    for _ in 0..ROUNDS {
        let mut coefficients = vec![0.0; degree + 1];
        for (order, coefficient) in orders.iter().zip(level(&chosen, &orders, &grid, &values)?) {
            coefficients[*order] = coefficient;
        }
        let polynomial = Polynomial { coefficients, ..start.clone() };
        let errors: Vec<f64> =
            grid.iter().zip(&values).map(|(t, value)| value - polynomial.at_unit(*t)).collect();
        let largest = errors.iter().fold(0.0f64, |most, error| most.max(error.abs()));
        if best.as_ref().is_none_or(|best| largest < best.0) {
            best = Some((largest, polynomial));
        }
        let smallest = chosen.iter().map(|place| errors[*place].abs()).fold(f64::MAX, f64::min);
        if largest <= smallest * 1.001 {
            break;
        }
        let Some(next) = exchange(&errors, size + 1) else { break };
        if next == chosen {
            break;
        }
        chosen = next;
    }
    best.map(|(_, polynomial)| polynomial)
}

/// The coefficients of these orders whose error has one size and changing signs at the chosen places.
fn level(chosen: &[usize], orders: &[usize], grid: &[f64], values: &[f64]) -> Option<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(chosen.len());
    for (number, place) in chosen.iter().enumerate() {
        let angle = grid[*place].clamp(-1.0, 1.0).acos();
        let mut row: Vec<f64> = orders.iter().map(|order| (*order as f64 * angle).cos()).collect();
        row.push(if number % 2 == 0 { 1.0 } else { -1.0 });
        row.push(values[*place]);
        rows.push(row);
    }
    let mut solution = solve(rows)?;
    solution.pop();
    Some(solution)
}

/// Gauss's elimination with the largest pivot of each column; the last column is the right side.
fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|one, other| rows[*one][column].abs().total_cmp(&rows[*other][column].abs()))?;
        rows.swap(column, pivot);
        let (done, below) = rows.split_at_mut(column + 1);
        let top = &done[column];
        if top[column].abs() < 1e-14 {
            return None;
        }
        for row in below {
            let factor = row[column] / top[column];
            row[column..].iter_mut().zip(&top[column..]).for_each(|(entry, above)| *entry -= factor * above);
        }
    }
    let mut solution = vec![0.0; size];
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| rows[row][column] * solution[column]).sum();
        solution[row] = (rows[row][size] - known) / rows[row][row];
    }
    Some(solution)
}

/// The extrema of the error, signs changing, the largest consecutive ones of them.
fn exchange(errors: &[f64], wanted: usize) -> Option<Vec<usize>> {
    let mut extrema: Vec<usize> = Vec::new();
    for (place, error) in errors.iter().enumerate() {
        match extrema.last_mut() {
            Some(last) if (errors[*last] < 0.0) == (*error < 0.0) => {
                if error.abs() > errors[*last].abs() {
                    *last = place;
                }
            }
            _ => extrema.push(place),
        }
    }
    while extrema.len() > wanted {
        let (first, last) = (errors[extrema[0]].abs(), errors[extrema[extrema.len() - 1]].abs());
        if extrema.len() == wanted + 1 || first.min(last) == 0.0 {
            extrema.remove(if first < last { 0 } else { extrema.len() - 1 });
            continue;
        }
        // The smallest with its smaller neighbour, so that the signs still change.
        let pair = |k: usize| errors[extrema[k]].abs().max(errors[extrema[k + 1]].abs());
        let least = (0..extrema.len() - 1).min_by(|one, other| pair(*one).total_cmp(&pair(*other)))?;
        if pair(least) < first.min(last) && extrema.len() >= wanted + 2 {
            extrema.drain(least..least + 2);
        } else {
            extrema.remove(if first < last { 0 } else { extrema.len() - 1 });
        }
    }
    (extrema.len() == wanted).then_some(extrema)
}
