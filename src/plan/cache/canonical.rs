//! Networks in an order that does not depend on how their operands and axes are numbered.
//!
//! Operands and axes are told apart by what they are connected to, in rounds; what is alike after that stays in the given
//! order. Two forms of one network may then differ, which costs a hit and nothing else.

use crate::plan::search::{self, Network, Options, Plan};

/// A permutation of 64 bits that leaves no pattern (splitmix64).
#[inline]
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A network in canonical order, and where everything came from.
pub(super) struct Canonical {
    pub(super) network: Network,
    /// The given number of every operand.
    operands: Vec<usize>,
    /// The given number of every axis.
    axes: Vec<u32>,
}

/// Rounds of telling apart, at most.
const ROUNDS: usize = 24;

impl Canonical {
    pub(super) fn new(network: &Network) -> Canonical {
        let (operands, axes) = colors(network);
        let mut order: Vec<usize> = (0..operands.len()).collect();
        order.sort_by_key(|&operand| (operands[operand], operand));
        let unseen = u32::MAX;
        let mut number = vec![unseen; axes.len()];
        let mut given = Vec::new();
        let mut inputs = Vec::with_capacity(order.len());
        for &operand in &order {
            let mut list = network.inputs()[operand].clone();
            // Axes that are numbered already first; the others by what they are like.
            list.sort_by_key(|&axis| (number[axis as usize], axes[axis as usize], axis));
            for &axis in &list {
                if number[axis as usize] == unseen {
                    number[axis as usize] = given.len() as u32;
                    given.push(axis);
                }
            }
            let mut list: Vec<u32> = list.iter().map(|&axis| number[axis as usize]).collect();
            list.sort_unstable();
            inputs.push(list);
        }
        let mut output: Vec<u32> = network.output().iter().map(|&axis| number[axis as usize]).collect();
        output.sort_unstable();
        let extents = given.iter().map(|&axis| network.extents()[axis as usize]).collect();
        let network = Network::new(inputs, output, extents).unwrap_or_else(|_| network.clone());
        Canonical { network, operands: order, axes: given }
    }

    /// A plan of the given network as one of the canonical network.
    pub(super) fn plan(&self, plan: &Plan) -> Plan {
        let count = self.operands.len();
        let mut operand = vec![0; count];
        self.operands.iter().enumerate().for_each(|(canonical, &given)| operand[given] = canonical);
        let id = |id: usize| if id < count { operand[id] } else { id };
        let axis = |axis: u32| self.axes.iter().position(|&given| given == axis).map(|k| k as u32);
        Plan {
            path: plan.path.iter().map(|&(a, b)| (id(a), id(b))).collect(),
            slices: plan.slices.iter().filter_map(|&given| axis(given)).collect(),
            ..plan.clone()
        }
    }

    /// A plan of the canonical network as one of the given network, measured anew.
    pub(super) fn restore(&self, network: &Network, plan: &Plan, options: &Options<'_>) -> Option<Plan> {
        let count = self.operands.len();
        let id = |id: usize| if id < count { self.operands[id] } else { id };
        let path: Vec<(usize, usize)> = plan.path.iter().map(|&(a, b)| (id(a), id(b))).collect();
        let mut slices: Vec<u32> =
            plan.slices.iter().filter_map(|&axis| self.axes.get(axis as usize).copied()).collect();
        slices.sort_unstable();
        let cost = search::evaluate(network, &path, &slices).ok()?;
        let log2_value = options.objective.log2_value(network, &path, &slices).ok()?;
        Some(Plan { path, slices, cost, log2_value, ..plan.clone() })
    }
}

/// Numbers for operands and axes that depend on what they are connected to alone.
fn colors(network: &Network) -> (Vec<u64>, Vec<u64>) {
    let mut axes: Vec<u64> = network.extents().iter().map(|&extent| mix(extent)).collect();
    network.output().iter().for_each(|&axis| axes[axis as usize] = mix(!axes[axis as usize]));
    let mut operands = vec![0u64; network.inputs().len()];
    let mut classes = 0;
    for _ in 0..ROUNDS {
        for (operand, list) in network.inputs().iter().enumerate() {
            // A sum does not depend on the order.
            let sum = list.iter().fold(0u64, |sum, &axis| sum.wrapping_add(mix(axes[axis as usize])));
            operands[operand] = mix(sum ^ mix(operands[operand]));
        }
        let mut sums = vec![0u64; axes.len()];
        for (operand, list) in network.inputs().iter().enumerate() {
            for &axis in list {
                let sum = &mut sums[axis as usize];
                *sum = sum.wrapping_add(mix(operands[operand]));
            }
        }
        axes.iter_mut().zip(sums).for_each(|(color, sum)| *color = mix(sum ^ mix(*color)));
        let mut sorted = operands.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() == classes {
            break;
        }
        classes = sorted.len();
    }
    (operands, axes)
}
