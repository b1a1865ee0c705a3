//! Brings a tensor from where it lies to where a product wants it, by the cheapest of: nothing, copies, a mask and
//! copies, a linear map.

use super::chain;
use super::linear::Map;
use crate::slots::packing::Rest;
use crate::slots::{Builder, Cell, Digit, Kind, Packing, Plain, PlainSource, ValueId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A tensor in ciphertexts.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where its elements lie.
    pub packing: Arc<Packing>,
    /// Its ciphertexts.
    pub values: Vec<ValueId>,
    /// Whether slots that nobody may read hold what depends on clear tensors.
    pub stained: bool,
}

/// Whether what lies there serves; `None` cells of `wanted` take anything.
fn serves(have: &[Cell], wanted: &[Cell]) -> bool {
    have.iter().zip(wanted).all(|(have, wanted)| *wanted == Cell::Unknown || have == wanted)
}

/// The values that hold a tensor as `wanted` says, one for each of its ciphertexts. `None` where it has no way.
pub fn acquire(b: &mut Builder, held: &Held, wanted: &Packing) -> Option<Vec<ValueId>> {
    let slots = b.slots();
    let count = wanted.ciphertexts();
    let want: Vec<Vec<Cell>> = (0..count).map(|k| wanted.cells(k as u32, slots)).collect();
    let have: Vec<Vec<Cell>> =
        (0..held.packing.ciphertexts()).map(|k| held.packing.cells(k as u32, slots)).collect();
    let found = |wanted: &[Cell]| have.iter().position(|have| serves(have, wanted));
    let matches: Option<Vec<usize>> = want.iter().map(|wanted| found(wanted)).collect();
    if let Some(matches) = matches {
        return Some(matches.into_iter().map(|k| held.values[k]).collect());
    }
    if let Some(values) = replicated(b, held, &have, wanted, &want) {
        return Some(values);
    }
    // Copies are made after the map, or by it, whichever rotates less.
    let gaps = with_gaps(wanted, &copies(wanted));
    let gap_cells: Vec<Vec<Cell>> = (0..count).map(|k| gaps.cells(k as u32, slots)).collect();
    let (distinct, numbers) = distinct(&gap_cells);
    let map = Map::moves(&have, &distinct, slots)?;
    let spread: usize = copies(wanted).iter().map(|(_, digit)| chain::rotations(digit.extent)).sum();
    let rotations = super::linear::split(&map.displacements(), slots).rotations;
    if spread > 0 {
        let (whole, whole_numbers) = self::distinct(&want);
        if let Some(direct) = Map::moves(&have, &whole, slots)
            && direct.displacements().len() <= 512
            && super::linear::split(&direct.displacements(), slots).rotations < rotations + spread
        {
            let values = direct.emit(b, &held.values, whole.len(), 1.0, PlainSource::Ones);
            let values = zeros(b, held, values)?;
            return Some(whole_numbers.into_iter().map(|k| values[k]).collect());
        }
    }
    let values = map.emit(b, &held.values, distinct.len(), 1.0, PlainSource::Ones);
    let mut values = zeros(b, held, values)?;
    let packing = Arc::new(gaps);
    for (k, value) in values.iter_mut().enumerate() {
        *value = b.rescaled(*value);
        let first = numbers.iter().position(|number| *number == k).unwrap_or(0);
        b.place(*value, &packing, first as u32);
        *value = spread_out(b, *value, &copies(wanted), wanted);
    }
    Some(numbers.into_iter().map(|k| values[k]).collect())
}

/// These values, and zeros where a ciphertext holds no element, past the end of an axis.
fn zeros(b: &mut Builder, held: &Held, values: Vec<Option<ValueId>>) -> Option<Vec<ValueId>> {
    let source = *held.values.first()?;
    Some(values.into_iter().map(|value| value.unwrap_or_else(|| b.sub(source, source))).collect())
}

/// Equal vectors once, and which of them each is.
fn distinct(all: &[Vec<Cell>]) -> (Vec<Vec<Cell>>, Vec<usize>) {
    let mut distinct: Vec<Vec<Cell>> = Vec::new();
    let mut numbers = Vec::new();
    for cells in all {
        let number = distinct.iter().position(|known| known == cells).unwrap_or_else(|| {
            distinct.push(cells.clone());
            distinct.len() - 1
        });
        numbers.push(number);
    }
    (distinct, numbers)
}

/// The digits of copies among the slots' digits, by position.
fn copies(packing: &Packing) -> Vec<(usize, Digit)> {
    let digits = packing.inner.iter().copied().enumerate();
    digits.filter(|(_, digit)| digit.kind == Kind::Copy && digit.extent > 1).collect()
}

/// The packing with gaps of zeros in place of these copies.
fn with_gaps(packing: &Packing, copies: &[(usize, Digit)]) -> Packing {
    let mut packing = packing.clone();
    for (position, digit) in copies {
        packing.inner[*position] = Digit { kind: Kind::Zero, ..*digit };
    }
    packing.rest = Rest::Zero;
    packing
}

fn stride(packing: &Packing, position: usize) -> i64 {
    packing.inner[position + 1..].iter().map(|digit| i64::from(digit.extent)).product()
}

/// Fills gaps of zeros with copies.
fn spread_out(b: &mut Builder, value: ValueId, copies: &[(usize, Digit)], packing: &Packing) -> ValueId {
    let mut value = value;
    // The slowest digit last: its copies are of what the others have made.
    for (position, digit) in copies.iter().rev() {
        value = chain::window(b, value, digit.extent, -stride(packing, *position));
    }
    value
}

/// Copies what already lies right at the first value of some digits; `None` if it does not.
fn replicated(
    b: &mut Builder,
    held: &Held,
    have: &[Vec<Cell>],
    wanted: &Packing,
    want: &[Vec<Cell>],
) -> Option<Vec<ValueId>> {
    let slots = b.slots() as usize;
    let all = copies(wanted);
    if all.is_empty() {
        return masked(b, held, have, wanted, want);
    }
    let mut values = Vec::new();
    for wanted_cells in want {
        let fits = |have: &Vec<Cell>| -> Option<Vec<(usize, Digit)>> {
            let wrong: Vec<usize> = (0..slots)
                .filter(|&slot| wanted_cells[slot] != Cell::Unknown && have[slot] != wanted_cells[slot])
                .collect();
            let value_of = |slot: usize, (position, digit): &(usize, Digit)| {
                slot / stride(wanted, *position) as usize % digit.extent as usize
            };
            let mut needed: BTreeSet<usize> = BTreeSet::new();
            for &slot in &wrong {
                let moved: Vec<usize> =
                    all.iter().filter(|copy| value_of(slot, copy) > 0).map(|copy| copy.0).collect();
                match moved[..] {
                    [] => return None,
                    [one] => drop(needed.insert(one)),
                    _ => {}
                }
            }
            let chosen: Vec<(usize, Digit)> =
                all.iter().copied().filter(|copy| needed.contains(&copy.0)).collect();
            wrong.iter().all(|&slot| chosen.iter().any(|copy| value_of(slot, copy) > 0)).then_some(chosen)
        };
        let (source, chosen) = have.iter().enumerate().find_map(|(k, have)| Some((k, fits(have)?)))?;
        let gaps = with_gaps(wanted, &chosen);
        let k = values.len() as u32;
        let clean = gaps.cells(k, b.slots());
        let value = if have[source] == clean {
            held.values[source]
        } else {
            mask(b, held.values[source], &Arc::new(gaps), k)
        };
        values.push(spread_out(b, value, &chosen, wanted));
    }
    Some(values)
}

/// What lies right but for slots that must be zero.
fn masked(
    b: &mut Builder,
    held: &Held,
    have: &[Vec<Cell>],
    wanted: &Packing,
    want: &[Vec<Cell>],
) -> Option<Vec<ValueId>> {
    let right = |have: &Vec<Cell>, want: &Vec<Cell>| {
        have.iter().zip(want).all(|(have, want)| !matches!(want, Cell::Element(_)) || have == want)
    };
    let places: Option<Vec<usize>> =
        want.iter().map(|want| have.iter().position(|have| right(have, want))).collect();
    let packing = Arc::new(Packing { rest: Rest::Zero, ..wanted.clone() });
    let places = places?;
    Some(
        places
            .into_iter()
            .enumerate()
            .map(|(k, place)| mask(b, held.values[place], &packing, k as u32))
            .collect(),
    )
}

/// The value with zeros wherever the packing has no element.
pub fn mask(b: &mut Builder, value: ValueId, packing: &Arc<Packing>, ciphertext: u32) -> ValueId {
    let cells = packing.cells(ciphertext, b.slots());
    let ones: Vec<(u32, u32)> = cells
        .iter()
        .enumerate()
        .filter(|(_, cell)| matches!(cell, Cell::Element(_)))
        .map(|(slot, _)| (slot as u32, 0))
        .collect();
    let plain = b.plain(Plain::of(1.0, PlainSource::Ones, &ones));
    let value = b.relinearized(value);
    let product = b.mul_plain(value, plain);
    let clean = b.rescaled(product);
    b.place(clean, packing, ciphertext);
    clean
}
