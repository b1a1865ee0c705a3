//! A step: its terms in one order of the target's axes, added up; or a polynomial of every element.

use super::acquire::{Held, acquire};
use super::network::{Network, Step, StepKind, Term};
use super::product::{Places, product};
use super::working::Working;
use crate::slots::packing::Rest;
use crate::slots::{Builder, Cell, Kind, Packing, Plain, PlainSource, ValueId};
use std::collections::BTreeMap;
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
        StepKind::Polynomial { argument, coefficients } => {
            let held = places.held.get(argument)?;
            let values = held.values.iter().map(|value| chebyshev(b, *value, coefficients)).collect();
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

/// The sum of coefficients times Chebyshev polynomials of a value in -1..1, in about `log2` of the degree levels.
///
/// `p = q * T_g + r` with `g` the greatest power of two that is not above half of the degree plus one, down to leaves
/// of degree 1; `T_2a = 2 T_a^2 - 1`, `T_(a+b) = 2 T_a T_b - T_|a-b|`.
pub fn chebyshev(b: &mut Builder, value: ValueId, coefficients: &[f64]) -> ValueId {
    let mut powers = BTreeMap::from([(1, b.ready(value))]);
    evaluate(b, &mut powers, coefficients)
}

/// `T_n`.
fn power(b: &mut Builder, powers: &mut BTreeMap<usize, ValueId>, n: usize) -> ValueId {
    if let Some(&value) = powers.get(&n) {
        return value;
    }
    let (low, high) = (n / 2, n.div_ceil(2));
    let (x, y) = (power(b, powers, low), power(b, powers, high));
    let product = b.mul(x, y);
    let doubled = b.add(product, product);
    let result = if low == high {
        b.add_scalar(doubled, -1.0)
    } else {
        let first = powers[&1];
        b.sub(doubled, first)
    };
    let result = b.ready(result);
    powers.insert(n, result);
    result
}

fn evaluate(b: &mut Builder, powers: &mut BTreeMap<usize, ValueId>, coefficients: &[f64]) -> ValueId {
    let degree = coefficients.iter().rposition(|coefficient| *coefficient != 0.0).unwrap_or(0);
    if degree <= 2 {
        // The leaf is a sum of products with numbers, rescaled once.
        let mut sum: Option<ValueId> = None;
        for n in (1..=degree.max(1)).rev() {
            let coefficient = coefficients.get(n).copied().unwrap_or(0.0);
            if coefficient == 0.0 && !(n == 1 && sum.is_none()) {
                continue;
            }
            let value = power(b, powers, n);
            let product = b.mul_scalar(value, coefficient);
            sum = Some(match sum {
                None => product,
                Some(sum) => b.add(sum, product),
            });
        }
        let sum = sum.unwrap_or(powers[&1]);
        return b.add_scalar(sum, coefficients.first().copied().unwrap_or(0.0));
    }
    // T_g T_k = (T_(g+k) + T_|g-k|) / 2
    let g = (degree + 1).next_power_of_two() / 2;
    let mut quotient = vec![0.0; degree - g + 1];
    let mut rest: Vec<f64> = coefficients[..g].to_vec();
    for k in (0..=degree - g).rev() {
        let coefficient = coefficients[g + k];
        if k == 0 {
            quotient[0] += coefficient;
        } else {
            quotient[k] += 2.0 * coefficient;
            rest[g - k] -= coefficient;
        }
    }
    let leading = power(b, powers, g);
    let constant = quotient.iter().skip(1).all(|coefficient| *coefficient == 0.0);
    let product = if constant {
        b.mul_scalar(leading, quotient[0])
    } else {
        let quotient = evaluate(b, powers, &quotient);
        b.mul(quotient, leading)
    };
    if rest.iter().all(|coefficient| *coefficient == 0.0) {
        return product;
    }
    if rest.iter().skip(1).all(|coefficient| *coefficient == 0.0) {
        return b.add_scalar(product, rest[0]);
    }
    let rest = evaluate(b, powers, &rest);
    b.add(product, rest)
}
