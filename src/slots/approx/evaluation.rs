//! Evaluations of polynomials after Paterson and Stockmeyer, in the Chebyshev basis.
//!
//! With `T_(a+b) = 2 T_a T_b - T_|a-b|` the polynomials `T_1 .. T_k, T_2k, T_4k, ..` are made, and `p = q T_g + r` is
//! split at the largest `g` below its degree, down to leaves of degree below `k` that are sums of the first ones. Small
//! `k` take fewer levels, large ones fewer products:
//!
//! ```text
//! degree 7    k 2: 5 products, 3 levels    k 4: 4 products, 4 levels
//! degree 31   k 2: 19, 5                   k 4: 12, 6; k 8: 11, 6
//! ```
//!
//! What an odd or even polynomial does not need is not made, and a factor that is constant is no product.

use super::Polynomial;
use std::collections::BTreeMap;

/// One value of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// The argument, mapped to -1 .. 1.
    Argument,
    /// `2 a b - c`, or `2 a b - 1` without a `c`: a Chebyshev polynomial of products of two others.
    Chebyshev(usize, usize, Option<usize>),
    /// The sum of values times numbers, and of a number.
    Combination(Vec<(usize, f64)>, f64),
    /// The product of two values, plus a third.
    Product(usize, usize, Option<usize>),
}

/// How to evaluate a polynomial.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What the argument is multiplied by, and what is then added, to map the range to -1 .. 1.
    pub map: (f64, f64),
    /// The values; the last one is the result.
    pub terms: Vec<Term>,
    /// Products of two secret values.
    pub products: usize,
    /// Levels, with those of the numbers that values are multiplied by, without that of the map.
    pub levels: usize,
}

/// The evaluations of a polynomial that no other beats in products and levels; the fewest levels first.
pub fn evaluations(polynomial: &Polynomial) -> Vec<Evaluation> {
    let degree = polynomial.coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
    let coefficients = &polynomial.coefficients[..(degree + 1).min(polynomial.coefficients.len())];
    let mut kept: Vec<Evaluation> = Vec::new();
    for leaf in (1..=(degree + 1).next_power_of_two().max(2)).take_while(|leaf| *leaf <= 64) {
        let mut plan =
            Plan { leaf, terms: vec![Term::Argument], levels: vec![0], known: BTreeMap::from([(1, 0)]) };
        let result = plan.split(coefficients);
        if result + 1 != plan.terms.len() {
            plan.push(Term::Combination(vec![(result, 1.0)], 0.0));
        }
        let products =
            plan.terms.iter().filter(|t| matches!(t, Term::Chebyshev(..) | Term::Product(..))).count();
        let levels = plan.levels.last().copied().unwrap_or(0);
        let half = (polynomial.range.1 - polynomial.range.0) / 2.0;
        let map = (1.0 / half, -(polynomial.range.0 + polynomial.range.1) / 2.0 / half);
        if kept.iter().any(|other| other.products <= products && other.levels <= levels) {
            continue;
        }
        kept.retain(|other| other.products < products || other.levels < levels);
        kept.push(Evaluation { map, terms: plan.terms, products, levels });
    }
    kept.sort_by_key(|evaluation| (evaluation.levels, evaluation.products));
    kept
}

struct Plan {
    leaf: usize,
    terms: Vec<Term>,
    levels: Vec<usize>,
    /// Which Chebyshev polynomials are made.
    known: BTreeMap<usize, usize>,
}

impl Plan {
    fn push(&mut self, term: Term) -> usize {
        let at = |value: &usize| self.levels[*value];
        let level = match &term {
            Term::Argument => 0,
            Term::Chebyshev(one, other, less) => {
                (at(one).max(at(other)) + 1).max(less.as_ref().map_or(0, at))
            }
            Term::Product(one, other, more) => (at(one).max(at(other)) + 1).max(more.as_ref().map_or(0, at)),
            Term::Combination(values, _) => {
                let level = |(value, factor): &(usize, f64)| at(value) + usize::from(*factor != 1.0);
                values.iter().map(level).max().unwrap_or(0)
            }
        };
        self.levels.push(level);
        self.terms.push(term);
        self.terms.len() - 1
    }

    /// `T_n`, from the halves of `n`.
    fn chebyshev(&mut self, n: usize) -> usize {
        if let Some(known) = self.known.get(&n) {
            return *known;
        }
        let (high, low) = (n.div_ceil(2), n / 2);
        // An odd one from a power of two, so that even ones serve again.
        let (high, low) = match n % 2 {
            0 => (high, low),
            _ => {
                let power = n.next_power_of_two() / 2;
                (power, n - power)
            }
        };
        let one = self.chebyshev(high);
        let other = self.chebyshev(low);
        let less = (high != low).then(|| self.chebyshev(high.abs_diff(low)));
        let made = self.push(Term::Chebyshev(one, other, less));
        self.known.insert(n, made);
        made
    }

    /// The polynomial of these coefficients.
    fn split(&mut self, coefficients: &[f64]) -> usize {
        let degree = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
        if degree < self.leaf || degree < 2 {
            let values = (1..=degree).filter(|j| coefficients[*j] != 0.0);
            let values = values.map(|j| (self.chebyshev(j), coefficients[j])).collect();
            return self.push(Term::Combination(values, coefficients.first().copied().unwrap_or(0.0)));
        }
        let mut at = self.leaf.max(1);
        while at * 2 <= degree {
            at *= 2;
        }
        let mut quotient = vec![0.0; degree - at + 1];
        let mut rest = coefficients[..at].to_vec();
        quotient[0] = coefficients[at];
        for j in at + 1..=degree {
            quotient[j - at] = 2.0 * coefficients[j];
            rest[2 * at - j] -= coefficients[j];
        }
        let divisor = self.chebyshev(at);
        let zero = rest.iter().all(|c| *c == 0.0);
        if quotient[1..].iter().all(|c| *c == 0.0) {
            let mut values = vec![(divisor, quotient[0])];
            let constant = if rest[1..].iter().all(|c| *c == 0.0) {
                rest[0]
            } else {
                values.push((self.split(&rest), 1.0));
                0.0
            };
            return self.push(Term::Combination(values, constant));
        }
        let quotient = self.split(&quotient);
        let rest = (!zero).then(|| self.split(&rest));
        self.push(Term::Product(quotient, divisor, rest))
    }
}

impl Evaluation {
    /// Its value, in clear: what the encrypted evaluation computes but for noise.
    pub fn at(&self, x: f64) -> f64 {
        let mut values: Vec<f64> = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let value = match term {
                Term::Argument => x * self.map.0 + self.map.1,
                Term::Chebyshev(one, other, less) => {
                    2.0 * values[*one] * values[*other] - less.map_or(1.0, |less| values[less])
                }
                Term::Combination(terms, constant) => {
                    terms.iter().map(|(value, factor)| values[*value] * factor).sum::<f64>() + constant
                }
                Term::Product(one, other, more) => {
                    values[*one] * values[*other] + more.map_or(0.0, |m| values[m])
                }
            };
            values.push(value);
        }
        values.last().copied().unwrap_or(0.0)
    }
}
