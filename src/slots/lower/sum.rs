//! A step: its terms in one order of the target's axes, added up; or a polynomial of every element.

use super::acquire::{Held, acquire};
use super::network::{Network, Step, StepKind, Term};
use super::product::{Places, product};
use super::working::Working;
use crate::slots::approx::polynomial;
use crate::slots::packing::Rest;
use crate::slots::{Builder, Cell, Kind, Packing, Plain, PlainSource, ValueId};
use std::sync::Arc;

/// How a step is laid out: for each of its terms with secret factors, a working layout.
pub type Choice = Vec<Working>;

/// The target of a step. `None` where an operand has no way.
pub fn step(
    b: &mut Builder,
    places: &Places,
    network: &Network,
    step: &Step,
    choice: &Choice,
) -> Option<Held> {
    b.span = step.span;
    match &step.kind {
        StepKind::Products(terms) => products(b, places, network, step, terms, choice),
        StepKind::Polynomial { argument, evaluation, range } => {
            let held = places.held.get(argument)?;
            let mut values = Vec::with_capacity(held.values.len());
            for (k, value) in held.values.iter().enumerate() {
                let argument = b.ready(*value);
                b.place(argument, &held.packing, k as u32);
                let result = polynomial(b, argument, evaluation);
                let result = b.ready(result);
                b.approximated(argument, result, range);
                values.push(result);
            }
            let mut packing = (*held.packing).clone();
            // A polynomial of zero is its constant.
            (packing.rest, packing.padding) = (Rest::Unknown, Rest::Unknown);
            for digit in &mut packing.inner {
                if digit.kind == Kind::Zero {
                    digit.kind = Kind::Unknown;
                }
            }
            Some(Held { packing: Arc::new(packing), values, stained: held.stained })
        }
    }
}

fn products(
    b: &mut Builder,
    places: &Places,
    network: &Network,
    step: &Step,
    terms: &[Term],
    choice: &Choice,
) -> Option<Held> {
    let mut total: Option<Held> = None;
    let secret = terms.iter().filter(|term| !term.factors.is_empty());
    for (term, working) in secret.zip(choice) {
        let next = product(b, places, network, step, term, working)?;
        total = Some(match total {
            None => next,
            Some(total) => add(b, total, next)?,
        });
    }
    let mut total = total?;
    for term in terms.iter().filter(|term| term.factors.is_empty()) {
        let cells: Vec<Vec<Cell>> =
            (0..total.values.len()).map(|k| total.packing.cells(k as u32, b.slots())).collect();
        let (source, packing) = match &term.clear {
            Some(clear) => {
                let tensor = &network.clears[clear.tensor];
                let id = b.clear(&tensor.name, &tensor.shape);
                let (access, shape) = (clear.access.clone(), tensor.shape.clone());
                (PlainSource::Clear(id), Packing { access, shape, ..(*total.packing).clone() })
            }
            None => (PlainSource::Ones, (*total.packing).clone()),
        };
        for (k, value) in total.values.iter_mut().enumerate() {
            let own = packing.cells(k as u32, b.slots());
            let pairs: Vec<(u32, u32)> = own
                .iter()
                .zip(&cells[k])
                .enumerate()
                .filter_map(|(slot, pair)| match pair {
                    (Cell::Element(element), Cell::Element(_)) => Some((slot as u32, *element)),
                    _ => None,
                })
                .collect();
            let pairs = match source {
                PlainSource::Ones => pairs.into_iter().map(|pair| (pair.0, 0)).collect(),
                PlainSource::Clear(_) => pairs,
            };
            let plain = b.plain(Plain::of(term.scale, source, &pairs));
            *value = b.add_plain(*value, plain);
            b.place(*value, &total.packing, k as u32);
        }
        total.stained |= term.clear.is_some();
    }
    Some(total)
}

/// The sum where both agree, or in the packing of the first.
fn add(b: &mut Builder, first: Held, second: Held) -> Option<Held> {
    let mut packing = (*first.packing).clone();
    let other = &second.packing;
    let alike = packing.inner.len() == other.inner.len()
        && packing.inner.iter().zip(&other.inner).all(|(a, b)| a.extent == b.extent);
    if alike {
        for (digit, other) in packing.inner.iter_mut().zip(&other.inner) {
            if digit.kind == Kind::Copy && matches!(other.kind, Kind::Unknown | Kind::Zero) {
                digit.kind = Kind::Unknown;
            }
            if digit.kind == Kind::Zero && other.kind == Kind::Unknown {
                digit.kind = Kind::Unknown;
            }
        }
    }
    let reach_differs = packing.reach() != other.reach();
    if other.rest == Rest::Unknown || reach_differs {
        packing.rest = Rest::Unknown;
    }
    if other.padding == Rest::Unknown {
        packing.padding = Rest::Unknown;
    }
    let own = acquire(b, &first, &packing)?;
    let values = acquire(b, &second, &packing)?;
    let packing = Arc::new(packing);
    let values: Vec<ValueId> = own
        .into_iter()
        .zip(values)
        .enumerate()
        .map(|(k, (x, y))| {
            let sum = b.add(x, y);
            b.place(sum, &packing, k as u32);
            sum
        })
        .collect();
    Some(Held { packing, values, stained: first.stained || second.stained })
}
