//! What the orders of a plan become over the ranges that its program declares for sizes.

use super::search::{Amount, Network, Options, Range, Refusal, Variants, steps, variants_by};
use super::{Chosen, Settings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A size that is bound late, and which axes of a product are that long.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    /// The dim's name.
    pub name: String,
    /// The axes, and the extents that they can have.
    pub range: Range,
}

/// The orders that one product needs for all of the declared ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranged {
    /// The tensor that it makes.
    pub name: String,
    /// The sizes that change.
    pub sizes: Vec<Size>,
    network: Network,
    variants: Variants,
}

/// A sum of products of sizes: for each combination of powers its factor.
type Polynomial = BTreeMap<Vec<u32>, f64>;

impl Ranged {
    /// Finds the orders of a product over the ranges of its sizes, of which there is at least one, in the settings' cache
    /// where they are there.
    ///
    /// # Errors
    /// What [`variants`](super::search::variants) refuses.
    pub fn new(
        chosen: &Chosen,
        sizes: Vec<Size>,
        settings: &Settings,
        options: &mut Options<'_>,
    ) -> Result<Ranged, Refusal> {
        let ranges: Vec<Range> = sizes.iter().map(|size| size.range.clone()).collect();
        let known = std::slice::from_ref(&chosen.path);
        let variants = variants_by(&chosen.network, &ranges, known, options, &mut |network, options| {
            settings.search(network, options, chosen.element_bytes)
        })?;
        Ok(Ranged { name: chosen.name.clone(), sizes, network: chosen.network.clone(), variants })
    }

    /// The orders, as pairs in SSA numbering.
    pub fn paths(&self) -> &[Vec<(usize, usize)>] {
        self.variants.paths()
    }

    /// The multiply-adds of an order.
    fn macs(&self, path: &[(usize, usize)]) -> Result<Polynomial, Refusal> {
        // Where all sizes are 1 a step shows its factor; where one is 2, the power of that size.
        let at = |two: Option<usize>| {
            let mut extents = self.network.extents().to_vec();
            for (number, size) in self.sizes.iter().enumerate() {
                for &axis in &size.range.axes {
                    extents[axis as usize] = 1 + u64::from(two == Some(number));
                }
            }
            let network =
                Network::new(self.network.inputs().to_vec(), self.network.output().to_vec(), extents)?;
            Ok(steps(&network, path, &[])?.iter().map(|step| step.macs).collect::<Vec<Amount>>())
        };
        let factors = at(None)?;
        let doubled = (0..self.sizes.len()).map(|number| at(Some(number))).collect::<Result<Vec<_>, _>>()?;
        let mut sum = Polynomial::new();
        for (step, factor) in factors.iter().enumerate() {
            let power = |with: &Vec<Amount>| (with[step].log2() - factor.log2()).round() as u32;
            *sum.entry(doubled.iter().map(power).collect()).or_default() += factor.value();
        }
        Ok(sum)
    }

    /// The terms of a polynomial, highest powers first.
    fn terms(&self, sum: &Polynomial) -> String {
        let term = |(powers, factor): (&Vec<u32>, &f64)| {
            let power = |(&power, size): (&u32, &Size)| match power {
                0 => None,
                1 => Some(size.name.clone()),
                _ => Some(format!("{}^{power}", size.name)),
            };
            let mut parts: Vec<String> = powers.iter().zip(&self.sizes).filter_map(power).collect();
            if *factor != 1.0 || parts.is_empty() {
                parts.insert(0, format!("{factor}"));
            }
            parts.join(" ")
        };
        sum.iter().rev().map(term).collect::<Vec<_>>().join(" + ")
    }

    /// The orders and what each costs, a line for each.
    pub fn text(&self) -> String {
        let sizes: Vec<String> = self
            .sizes
            .iter()
            .map(|Size { name, range }| format!("{name} in {}..={}", range.low, range.high))
            .collect();
        let above = (self.variants.log2_gap.exp2() - 1.0) * 100.0;
        let mut out = match self.paths().len() {
            1 => format!("`{}` over {}: one order", self.name, sizes.join(", ")),
            count => {
                format!(
                    "`{}` over {}: at each call the cheapest of {count} orders",
                    self.name,
                    sizes.join(", ")
                )
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, ", at most {above:.1} % above the best where tried");
        for path in self.paths() {
            let pairs: Vec<String> = path.iter().map(|(a, b)| format!("{a}*{b}")).collect();
            if let Ok(sum) = self.macs(path) {
                let _ = writeln!(out, "  {}: {} multiply-adds", pairs.join(" "), self.terms(&sum));
            }
        }
        out
    }

    /// As JSON: the ranges, and the orders with their multiply-adds as polynomials of the sizes.
    pub fn json(&self) -> Value {
        let order = |path: &Vec<(usize, usize)>| json!({ "path": path, "macs": self.macs(path).map(|sum| self.terms(&sum)).ok() });
        let size = |size: &Size| {
            json!({
                "name": size.name,
                "axes": size.range.axes,
                "low": size.range.low,
                "high": size.range.high,
            })
        };
        json!({
            "name": self.name,
            "sizes": self.sizes.iter().map(size).collect::<Vec<Value>>(),
            "orders": self.paths().iter().map(order).collect::<Vec<Value>>(),
            "log2_gap": self.variants.log2_gap,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A[i,j] B[j,k] C[k,l]` with `i` and `l` from 1 to 4096, `j` and `k` of 64: from the left or from the right.
    #[test]
    fn a_chain_needs_two_orders() {
        let inputs = vec![vec![0, 1], vec![1, 2], vec![2, 3]];
        let network = Network::new(inputs, vec![0, 3], vec![8, 64, 64, 8]).unwrap();
        let chosen = Chosen {
            network,
            name: "y".into(),
            axes: ["i", "j", "k", "l"].map(String::from).to_vec(),
            path: vec![(0, 1), (3, 2)],
            slices: Vec::new(),
            element_bytes: 8,
        };
        let size = |name: &str, axis| Size {
            name: name.into(),
            range: Range { axes: vec![axis], low: 1, high: 4096 },
        };
        let sizes = vec![size("I", 0), size("L", 3)];
        let ranged = Ranged::new(&chosen, sizes, &Settings::default(), &mut Options::default()).unwrap();
        let text = ranged.text();
        assert!(
            text.contains("`y` over I in 1..=4096, L in 1..=4096: at each call the cheapest of 2 orders"),
            "{text}"
        );
        // (A B) C: 64 * 64 for each i, then i * 64 * l; A (B C) alike for l.
        assert!(
            text.contains("0*1 2*3: 64 I L + 4096 I multiply-adds")
                || text.contains("0*1 3*2: 64 I L + 4096 I multiply-adds"),
            "{text}"
        );
        assert!(text.contains(": 64 I L + 4096 L multiply-adds"), "{text}");
        assert_eq!(ranged.json()["orders"].as_array().map(Vec::len), Some(2));
    }
}
