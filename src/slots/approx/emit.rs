//! A polynomial of every element: products and sums after the plan of its evaluation.

use super::evaluation::{Evaluation, Term};
use crate::slots::{Builder, ValueId};

/// The polynomial of a value whose elements lie in -1..1.
pub fn polynomial(b: &mut Builder, argument: ValueId, evaluation: &Evaluation) -> ValueId {
    let mut values: Vec<ValueId> = Vec::with_capacity(evaluation.terms.len());
    for term in &evaluation.terms {
        let value = match term {
            Term::Argument => argument,
            Term::Chebyshev(one, other, less) => {
                let product = b.mul(values[*one], values[*other]);
                let doubled = b.add(product, product);
                let value = match less {
                    Some(less) => b.sub(doubled, values[*less]),
                    None => b.add_scalar(doubled, -1.0),
                };
                // It is a factor of what follows.
                b.ready(value)
            }
            Term::Combination(terms, constant) => {
                let mut sum: Option<ValueId> = None;
                // The deepest first: those before it are brought to its level.
                for (value, factor) in terms.iter().rev() {
                    let value = values[*value];
                    let part = if *factor == 1.0 { value } else { b.mul_scalar(value, *factor) };
                    sum = Some(sum.map_or(part, |sum| b.add(sum, part)));
                }
                let sum = sum.unwrap_or_else(|| b.mul_scalar(argument, 0.0));
                b.add_scalar(sum, *constant)
            }
            Term::Product(one, other, more) => {
                let product = b.mul(values[*one], values[*other]);
                more.map_or(product, |more| b.add(product, values[more]))
            }
        };
        values.push(value);
    }
    values.last().copied().unwrap_or(argument)
}
