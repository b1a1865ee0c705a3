//! Networks to try the search on, the same on every machine for the same arguments.

use super::Network;
use super::math::Random;

/// Collects operands and axes.
#[derive(Default)]
struct Builder {
    inputs: Vec<Vec<u32>>,
    output: Vec<u32>,
    extents: Vec<u64>,
}

impl Builder {
    fn axis(&mut self, extent: u64) -> u32 {
        self.extents.push(extent);
        self.extents.len() as u32 - 1
    }

    fn operands(count: usize) -> Builder {
        Builder { inputs: vec![Vec::new(); count], ..Builder::default() }
    }

    /// Gives two operands an axis of their own.
    fn bond(&mut self, a: usize, b: usize, extent: u64) {
        let axis = self.axis(extent);
        self.inputs[a].push(axis);
        self.inputs[b].push(axis);
    }

    fn build(self) -> Network {
        // Every axis of the output is one of an operand by construction; an empty network stands in otherwise.
        Network::new(self.inputs, self.output, self.extents).unwrap_or_else(|_| empty())
    }
}

/// The product of nothing.
pub fn empty() -> Network {
    match Network::new(Vec::new(), Vec::new(), Vec::new()) {
        Ok(network) => network,
        Err(refusal) => unreachable!("{refusal}"),
    }
}

/// A product of `count` matrices whose extents are drawn from `low..=high`.
pub fn chain(count: usize, low: u64, high: u64, seed: u64) -> Network {
    let mut random = Random::new(seed, 1);
    let mut builder = Builder::default();
    let span = (high - low + 1) as usize;
    let mut left = builder.axis(low + random.below(span) as u64);
    builder.output.push(left);
    for _ in 0..count {
        let right = builder.axis(low + random.below(span) as u64);
        builder.inputs.push(vec![left, right]);
        left = right;
    }
    if count > 0 {
        builder.output.push(left);
    } else {
        builder.output.clear();
    }
    builder.build()
}

/// A random tree of `count` tensors, every bond of that extent.
pub fn tree(count: usize, extent: u64, seed: u64) -> Network {
    let mut random = Random::new(seed, 2);
    let mut builder = Builder::operands(count);
    for k in 1..count {
        let parent = random.below(k);
        builder.bond(parent, k, extent);
    }
    builder.build()
}

/// The inner product of two matrix product states.
pub fn mps(sites: usize, physical: u64, bond: u64) -> Network {
    let mut builder = Builder::operands(2 * sites);
    for site in 0..sites {
        builder.bond(2 * site, 2 * site + 1, physical);
        if site + 1 < sites {
            builder.bond(2 * site, 2 * site + 2, bond);
            builder.bond(2 * site + 1, 2 * site + 3, bond);
        }
    }
    builder.build()
}

/// The inner product of two projected entangled pair states on a square lattice.
pub fn peps(rows: usize, columns: usize, physical: u64, bond: u64) -> Network {
    let mut builder = Builder::operands(2 * rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let site = row * columns + column;
            builder.bond(2 * site, 2 * site + 1, physical);
            for layer in 0..2 {
                if column + 1 < columns {
                    builder.bond(2 * site + layer, 2 * (site + 1) + layer, bond);
                }
                if row + 1 < rows {
                    builder.bond(2 * site + layer, 2 * (site + columns) + layer, bond);
                }
            }
        }
    }
    builder.build()
}

/// A rectangular lattice of any number of dims, closed to a torus or not.
pub fn lattice(shape: &[usize], extent: u64, torus: bool) -> Network {
    let count = shape.iter().product();
    let mut builder = Builder::operands(count);
    for site in 0..count {
        let mut stride = 1;
        for &side in shape {
            let place = site / stride % side;
            if place + 1 < side {
                builder.bond(site, site + stride, extent);
            } else if torus && side > 2 {
                builder.bond(site, site - place * stride, extent);
            }
            stride *= side;
        }
    }
    builder.build()
}

/// A random graph in which every tensor has `degree` bonds (one has fewer when their number is odd).
pub fn random_regular(count: usize, degree: usize, extent: u64, seed: u64) -> Network {
    let mut random = Random::new(seed, 3);
    let mut builder = Builder::operands(count);
    let mut ends: Vec<usize> = (0..count * degree).map(|k| k / degree).collect();
    for k in (1..ends.len()).rev() {
        ends.swap(k, random.below(k + 1));
    }
    for pair in ends.chunks_exact(2) {
        if pair[0] != pair[1] {
            builder.bond(pair[0], pair[1], extent);
        }
    }
    builder.build()
}

/// A random network: axes of extents `1..=extent`, most of two to four operands, some repeated, private or kept.
pub fn random_hypergraph(operands: usize, axes: usize, extent: u64, seed: u64) -> Network {
    let mut random = Random::new(seed, 4);
    let mut builder = Builder::operands(operands);
    if operands == 0 {
        return empty();
    }
    for _ in 0..axes {
        let axis = builder.axis(1 + random.below(extent.max(1) as usize) as u64);
        let carriers = [1, 2, 2, 2, 2, 2, 3, 3, 4][random.below(9)];
        for _ in 0..carriers {
            let operand = random.below(operands);
            builder.inputs[operand].push(axis);
        }
        if random.below(5) == 0 {
            builder.output.push(axis);
        }
    }
    builder.build()
}

/// One amplitude of a random circuit on a line: layers of one-qubit gates and of two-qubit gates on neighbours.
pub fn circuit(qubits: usize, depth: usize) -> Network {
    let mut builder = Builder::default();
    let mut wires: Vec<u32> = (0..qubits).map(|_| builder.axis(2)).collect();
    for &wire in &wires {
        builder.inputs.push(vec![wire]);
    }
    for layer in 0..depth {
        for wire in &mut wires {
            let next = builder.axis(2);
            builder.inputs.push(vec![*wire, next]);
            *wire = next;
        }
        for first in (layer % 2..qubits.saturating_sub(1)).step_by(2) {
            let (a, b) = (builder.axis(2), builder.axis(2));
            builder.inputs.push(vec![wires[first], wires[first + 1], a, b]);
            (wires[first], wires[first + 1]) = (a, b);
        }
    }
    for wire in wires {
        builder.inputs.push(vec![wire]);
    }
    builder.build()
}

/// One amplitude of a QAOA circuit on a random regular graph: diagonal gates are tensors on shared wires, so that
/// axes are carried by many operands.
pub fn qaoa(qubits: usize, degree: usize, rounds: usize, seed: u64) -> Network {
    let graph = random_regular(qubits, degree, 2, seed);
    let mut edges = vec![Vec::new(); graph.extents().len()];
    for (vertex, axes) in graph.inputs().iter().enumerate() {
        axes.iter().for_each(|&axis| edges[axis as usize].push(vertex));
    }
    let mut builder = Builder::default();
    let mut wires: Vec<u32> = (0..qubits).map(|_| builder.axis(2)).collect();
    for _ in 0..rounds {
        for edge in &edges {
            if let [a, b] = edge[..] {
                builder.inputs.push(vec![wires[a], wires[b]]);
            }
        }
        for wire in &mut wires {
            let next = builder.axis(2);
            builder.inputs.push(vec![*wire, next]);
            *wire = next;
        }
    }
    for wire in wires {
        builder.inputs.push(vec![wire]);
    }
    builder.build()
}

/// The number of satisfying assignments of a random formula: an axis for each variable, an operand for each clause.
pub fn model_counting(variables: usize, clauses: usize, width: usize, seed: u64) -> Network {
    let mut random = Random::new(seed, 5);
    let mut builder = Builder::operands(clauses);
    for _ in 0..variables {
        builder.axis(2);
    }
    if variables == 0 {
        return empty();
    }
    for clause in 0..clauses {
        // Variables near each other, as in formulas of circuits.
        let centre = random.below(variables);
        for _ in 0..width {
            let variable = (centre + random.below(1 + variables / 8)) % variables;
            builder.inputs[clause].push(variable as u32);
        }
    }
    builder.build()
}
