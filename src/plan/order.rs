//! The order in which the operands of one product are contracted.

use super::search::{MemoryLimit, Network, Objective, Options, evaluate, optimize, steps};
use std::cell::RefCell;
use std::collections::HashMap;

/// A product over numbered axes: what an order is sought for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Product {
    /// The extent of each axis.
    pub extents: Vec<u64>,
    /// The axes of each operand.
    pub operands: Vec<Vec<u32>>,
    /// The axes of the result.
    pub output: Vec<u32>,
}

/// How a product is contracted.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The pairs: operands are numbered from 0, and the k-th pair makes operand `n + k`.
    pub pairs: Vec<(usize, usize)>,
    /// The axes that are fixed while the pairs run, once for each of their values.
    pub slices: Vec<u32>,
    /// Multiply-adds, and [`WRITE`] for each element of an intermediate; without slices.
    pub cost: f64,
}

impl Order {
    /// One operand after the other.
    pub fn left_to_right(operands: usize) -> Order {
        let pairs = (1..operands).map(|k| (if k == 1 { 0 } else { operands + k - 2 }, k)).collect();
        Order { pairs, slices: Vec::new(), cost: f64::INFINITY }
    }
}

/// What writing an element and reading it again costs, in multiply-adds.
pub(super) const WRITE: f64 = 8.0;

/// The orders that were found: a program is planned several times, and most of its products stay what they are.
#[derive(Default)]
pub(super) struct Orders(RefCell<HashMap<(Product, Option<u64>), Option<Order>>>);

impl Orders {
    /// [`Product::order`], found once.
    pub fn order(&self, product: &Product, seed: u64, limit: Option<f64>) -> Option<Order> {
        let key = (product.clone(), limit.map(f64::to_bits));
        if let Some(known) = self.0.borrow().get(&key) {
            return known.clone();
        }
        let found = product.order(seed, limit);
        self.0.borrow_mut().insert(key, found.clone());
        found
    }
}

/// What an order does in all its runs.
#[derive(Clone, Copy)]
struct Work {
    macs: f64,
    /// Elements that steps read and write.
    moved: f64,
    /// Elements of the results that are alive at once.
    peak: f64,
}

/// How many times the cache intermediates take that lie outside of it to a good part.
const OUTSIDE: f64 = 4.0;

/// How many times the multiply-adds slices may take that keep intermediates in the cache.
const MORE_MACS: f64 = 1.05;

/// How many times the elements such slices may read and write: what is read again lies in the cache, but a step with
/// little work for each element is no matrix product any more.
const MORE_MOVED: f64 = 2.0;

impl Orders {
    /// An order whose intermediates stay in a cache of so many elements, in place of one whose do not, if its slices are
    /// hardly more work.
    pub fn cached(&self, product: &Product, seed: u64, order: Order, cache: f64) -> Order {
        let Some(now) =
            product.work(&order).filter(|now| now.peak > OUTSIDE * cache && order.slices.is_empty())
        else {
            return order;
        };
        let cheap = |other: &Order| {
            product.work(other).is_some_and(|then| {
                then.peak <= cache
                    && then.macs <= MORE_MACS * now.macs
                    && then.moved <= MORE_MOVED * now.moved
            })
        };
        match self.order(product, seed, Some(cache)) {
            Some(other) if cheap(&other) => other,
            _ => order,
        }
    }
}

impl Product {
    /// What an order does; `None` where that cannot be told.
    fn work(&self, order: &Order) -> Option<Work> {
        let network = Network::new(self.operands.clone(), self.output.clone(), self.extents.clone()).ok()?;
        let cost = evaluate(&network, &order.pairs, &order.slices).ok()?;
        let runs = order.slices.iter().fold(1.0, |n, &axis| n * self.extents[axis as usize] as f64);
        let each = steps(&network, &order.pairs, &order.slices).ok()?;
        let moved = each.iter().map(|step| {
            [step.shape.left, step.shape.right, step.shape.result].iter().map(|size| size.exp2()).sum::<f64>()
        });
        Some(Work { macs: cost.macs.value(), moved: runs * moved.sum::<f64>(), peak: cost.peak.value() })
    }

    /// The number of points of all axes; as a float, which cannot overflow.
    pub fn points(&self) -> f64 {
        self.extents.iter().fold(1.0, |n, &extent| n * extent as f64)
    }

    /// The cheapest order, within so many elements of intermediates if there is a limit.
    ///
    /// `None` where the product is no network that the search takes, or where nothing fits; the order as written does
    /// then.
    fn order(&self, seed: u64, limit: Option<f64>) -> Option<Order> {
        let network = Network::new(self.operands.clone(), self.output.clone(), self.extents.clone()).ok()?;
        let memory = limit.map(MemoryLimit::Peak);
        let mut options = Options { objective: Objective::Combo(WRITE), memory, seed, ..Options::default() };
        let found = optimize(&network, &mut options).ok()?;
        let cost = self.cost(&network, &found.path)?;
        Some(Order { pairs: found.path, slices: found.slices, cost })
    }

    fn cost(&self, network: &Network, path: &[(usize, usize)]) -> Option<f64> {
        let cost = evaluate(network, path, &[]).ok()?;
        let output = self.output.iter().fold(1.0, |n, &axis| n * self.extents[axis as usize] as f64);
        Some(cost.macs.value() + WRITE * (cost.write.value() - output).max(0.0))
    }
}
