//! The order in which the operands of one product are contracted.

use super::Settings;
use super::search::{self, MemoryLimit, Network, Objective, Options, Refusal, StepTime, evaluate, steps};
use serde_json::{Value, json};
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
    /// The bytes of an element.
    pub bytes: u64,
}

/// How a product is contracted.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The pairs: operands are numbered from 0, and the k-th pair makes operand `n + k`.
    pub pairs: Vec<(usize, usize)>,
    /// The axes that are fixed while the pairs run, once for each of their values.
    pub slices: Vec<u32>,
}

impl Order {
    /// One operand after the other.
    pub fn left_to_right(operands: usize) -> Order {
        let pairs = (1..operands).map(|k| (if k == 1 { 0 } else { operands + k - 2 }, k)).collect();
        Order { pairs, slices: Vec::new() }
    }
}

/// The order that a plan has for one of its products; or the one that a plan to come shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The product, its axes numbered.
    pub network: Network,
    /// The tensor that it makes.
    pub name: String,
    /// The names of the axes.
    pub axes: Vec<String>,
    /// The pairs in SSA numbering; empty where one loop nest does it all.
    pub path: Vec<(usize, usize)>,
    /// The axes that are sliced.
    pub slices: Vec<u32>,
    /// The bytes of an element.
    pub element_bytes: u64,
}

impl Chosen {
    /// As JSON: the network, and the order in both numberings.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "axes": self.axes,
            "inputs": self.network.inputs(),
            "output": self.network.output(),
            "sizes": self.network.extents(),
            "path": self.path,
            "opt_einsum_path": super::network::to_linear(self.network.inputs().len(), &self.path),
            "slices": self.slices,
        })
    }
}

/// The orders that a plan shall have, whatever a search would find.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Locked {
    orders: Vec<Chosen>,
    /// Whether a product that is not among them is refused; it is searched otherwise.
    pub complete: bool,
}

impl Locked {
    /// Reads orders: an object with a list `orders`, as `einc plan --format json` writes it, or one order alone.
    ///
    /// # Errors
    /// Says what is wrong, and with which order.
    pub fn read(text: &str, complete: bool) -> Result<Locked, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let single = std::slice::from_ref(&value);
        let list = match value.get("orders") {
            Some(Value::Array(list)) => list.as_slice(),
            Some(_) => return Err("`orders` is not a list".into()),
            None => single,
        };
        let mut orders = Vec::new();
        for (number, value) in list.iter().enumerate() {
            let wrong = |error: String| format!("order {number}: {error}");
            let named = super::network::of(value).map_err(wrong)?;
            // One loop nest has no path.
            let nest = value.get("path").and_then(Value::as_array).is_some_and(Vec::is_empty);
            let (path, slices) = match nest {
                true => (Vec::new(), Vec::new()),
                false => super::network::order_of(value, &named.network).map_err(wrong)?,
            };
            orders.push(Chosen {
                network: named.network,
                name: named.name,
                axes: Vec::new(),
                path,
                slices,
                element_bytes: 8,
            });
        }
        Ok(Locked { orders, complete })
    }

    /// Adds further orders; those that are there already count.
    pub fn and(mut self, other: Locked) -> Locked {
        self.orders.extend(other.orders);
        self.complete |= other.complete;
        self
    }

    fn find(&self, network: &Network) -> Option<&Chosen> {
        self.orders.iter().find(|order| order.network == *network)
    }
}

/// The orders that were found: a program is planned several times, and most of its products stay what they are.
pub(super) struct Orders<'a> {
    settings: &'a Settings,
    known: RefCell<HashMap<(Product, Option<u64>), Option<Order>>>,
    /// A product for which the locked plan has no order.
    pub missing: RefCell<Option<Product>>,
}

/// What an order does in all its runs.
#[derive(Clone, Copy)]
struct Work {
    macs: f64,
    /// Elements that steps read and write.
    moved: f64,
    /// Elements of the intermediates that are alive at once.
    peak: f64,
}

/// How many times the cache intermediates take that lie outside of it to a good part.
const OUTSIDE: f64 = 4.0;

/// How many times the multiply-adds slices may take that keep intermediates in the cache.
const MORE_MACS: f64 = 1.05;

/// How many times the elements such slices may read and write: what is read again lies in the cache, but a step with
/// little work for each element is no matrix product any more.
const MORE_MOVED: f64 = 2.0;

/// The least multiply-adds of a step of one slice: of less, its own cost counts.
const LEAST_MACS: f64 = 32_768.0;

/// How many elements move for one that is written alone.
const LINE: f64 = 16.0;

impl<'a> Orders<'a> {
    pub fn new(settings: &'a Settings) -> Orders<'a> {
        Orders { settings, known: RefCell::default(), missing: RefCell::default() }
    }

    /// An order whose intermediates stay in a cache of so many elements, in place of one whose do not, if its slices are
    /// hardly more work. The axis `row`, along which the result is contiguous, is not sliced where writing element by
    /// element would count: where the result is not small beside the intermediates.
    pub fn cached(&self, product: &Product, order: Order, cache: f64, row: Option<u32>) -> Order {
        let Some(now) =
            product.work(&order).filter(|now| now.peak > OUTSIDE * cache && order.slices.is_empty())
        else {
            return order;
        };
        let cheap = |other: &Order| {
            let slices = other.slices.iter().fold(1.0, |n, &axis| n * product.extents[axis as usize] as f64);
            let steps = slices * other.pairs.len() as f64;
            product.work(other).is_some_and(|then| {
                then.peak <= cache
                    && then.macs >= LEAST_MACS * steps
                    && then.macs <= MORE_MACS * now.macs
                    && then.moved <= MORE_MOVED * now.moved
            })
        };
        let Some(found) = self.order(product, Some(cache)).filter(cheap) else { return order };
        let result: f64 = product.output.iter().map(|&axis| product.extents[axis as usize] as f64).product();
        let row = row.filter(|_| LINE * result > now.moved);
        let Some(at) = found.slices.iter().position(|&axis| Some(axis) == row) else { return found };
        // Other axes in its place, the shortest that do first.
        let mut others: Vec<u32> = (0..product.extents.len() as u32).collect();
        others.retain(|axis| Some(*axis) != row && !found.slices.contains(axis));
        others.sort_by_key(|&axis| product.extents[axis as usize]);
        let instead = others.into_iter().map(|axis| {
            let mut other = found.clone();
            other.slices[at] = axis;
            other
        });
        instead.into_iter().find(cheap).unwrap_or(order)
    }

    /// The cheapest order, within so many elements of intermediates if there is a limit.
    ///
    /// `None` where one loop nest over all axes does it at less cost.
    pub fn order(&self, product: &Product, limit: Option<f64>) -> Option<Order> {
        let key = (product.clone(), limit.map(f64::to_bits));
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let as_written = || Some(Order::left_to_right(product.operands.len()));
        let found = match product.network() {
            Some(network) => self.search(product, &network, limit),
            None => as_written(),
        };
        self.known.borrow_mut().insert(key, found.clone());
        found
    }

    fn search(&self, product: &Product, network: &Network, limit: Option<f64>) -> Option<Order> {
        let as_written = || Some(Order::left_to_right(product.operands.len()));
        if let Some(locked) = &self.settings.locked {
            match locked.find(network) {
                Some(order) if order.path.is_empty() => return None,
                Some(order) => {
                    return Some(Order { pairs: order.path.clone(), slices: order.slices.clone() });
                }
                None if locked.complete => {
                    *self.missing.borrow_mut() = Some(product.clone());
                    return as_written();
                }
                None => {}
            }
        }
        let time = StepTime::new(&self.settings.rates, product.bytes);
        let mut options = Options {
            objective: self.settings.objective.of(&time),
            memory: limit.map(MemoryLimit::Peak),
            seed: self.settings.seed,
            work: self.settings.work,
            seconds: self.settings.seconds,
            frugal: true,
            cancel: self.settings.cancel.as_deref(),
            ..Options::default()
        };
        let mut search = |network: &Network, options: &mut Options<'_>| {
            self.settings.search(network, options, product.bytes)
        };
        let is_small = product.operands.len() <= search::EXACT_OPERANDS;
        let found = match &self.settings.late {
            Some(late) if limit.is_none() && !is_small => late
                .order(network, &self.settings.profile(product.bytes), &mut options, &mut search)
                .map(|path| (path, Vec::new())),
            _ => search(network, &mut options).map(|found| (found.path, found.slices)),
        };
        // Nothing fits: the order as written will show how much is needed.
        let Ok((path, slices)) = found else { return as_written() };
        let seconds = product.seconds(network, &path, self.settings)?;
        let points = product.points();
        let elems: f64 = network.inputs().iter().map(|axes| network.elems(axes).value()).sum();
        let work = points * (product.operands.len() - 1) as f64;
        let alone = self.settings.rates.seconds_of_loops(work, elems * product.bytes as f64);
        (seconds < alone).then_some(Order { pairs: path, slices })
    }
}

impl Settings {
    /// What an order depends on, beside the network and what is asked for.
    fn profile(&self, element_bytes: u64) -> String {
        format!("{:?} {element_bytes}", self.rates)
    }

    /// The order of a network, or what the cache has for it.
    ///
    /// # Errors
    /// As [`search::optimize`].
    pub(crate) fn search(
        &self,
        network: &Network,
        options: &mut Options<'_>,
        element_bytes: u64,
    ) -> Result<search::Plan, Refusal> {
        match &self.cache {
            Some(cache) => cache.optimize(network, options, &self.profile(element_bytes)),
            None => search::optimize(network, options),
        }
    }
}

impl Product {
    /// The product as a network; none if it is too large for one.
    pub fn network(&self) -> Option<Network> {
        Network::new(self.operands.clone(), self.output.clone(), self.extents.clone()).ok()
    }

    /// What an order does; `None` where that cannot be told.
    fn work(&self, order: &Order) -> Option<Work> {
        let network = self.network()?;
        let cost = evaluate(&network, &order.pairs, &order.slices).ok()?;
        let runs = order.slices.iter().fold(1.0, |n, &axis| n * self.extents[axis as usize] as f64);
        let each = steps(&network, &order.pairs, &order.slices).ok()?;
        let moved = each.iter().map(|step| {
            [step.shape.left, step.shape.right, step.shape.result].iter().map(|size| size.exp2()).sum::<f64>()
        });
        // What is not an operand of a later step is the result, which has its place whatever the order is.
        let count = network.inputs().len();
        let used_at = |result: usize| order.pairs.iter().position(|&(a, b)| a == result || b == result);
        let alive = |at: usize| {
            let made = each[..=at].iter().enumerate();
            let live = made.filter(|(number, _)| used_at(count + number).is_some_and(|used| used >= at));
            live.map(|(_, step)| step.shape.result.exp2()).sum::<f64>()
        };
        let peak = (0..each.len()).map(alive).fold(0.0, f64::max);
        let moved = moved.sum::<f64>();
        Some(Work { macs: cost.macs.value(), moved: runs * moved, peak })
    }

    /// The number of points of all axes; as a float, which cannot overflow.
    fn points(&self) -> f64 {
        self.extents.iter().fold(1.0, |n, &extent| n * extent as f64)
    }

    /// The predicted seconds of an order.
    fn seconds(&self, network: &Network, path: &[(usize, usize)], settings: &Settings) -> Option<f64> {
        let time = StepTime::new(&settings.rates, self.bytes);
        Some(steps(network, path, &[]).ok()?.iter().map(|step| time.seconds(&step.shape)).sum())
    }
}

/// What a plan should have little of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Goal {
    /// Predicted seconds.
    #[default]
    Time,
    /// Multiply-adds.
    Macs,
    /// Multiplications and additions.
    Flops,
    /// Elements of the largest result of a step.
    Size,
    /// Elements written.
    Write,
    /// Multiply-adds and 64 times the elements written.
    Combo,
    /// Elements alive at once.
    Peak,
}

impl Goal {
    /// What a multiply-add weighs against an element that is written.
    const WRITE_WEIGHT: f64 = 64.0;

    /// The objective of a search, with a model of the time.
    pub fn of(self, time: &StepTime) -> Objective<'_> {
        match self {
            Goal::Time => Objective::Custom(time),
            Goal::Macs => Objective::Macs,
            Goal::Flops => Objective::Flops,
            Goal::Size => Objective::Size,
            Goal::Write => Objective::Write,
            Goal::Combo => Objective::Combo(Goal::WRITE_WEIGHT),
            Goal::Peak => Objective::Peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `P[i,j,k] = sum[d](Q[i,d] K[j,d] M[k,d])`: the product of two operands leaves the cache unless it is sliced.
    #[test]
    fn slices_leave_rows_of_the_result_whole() {
        let settings = Settings::default();
        let orders = Orders::new(&settings);
        let product = Product {
            extents: vec![192, 192, 192, 16],
            operands: vec![vec![0, 3], vec![1, 3], vec![2, 3]],
            output: vec![0, 1, 2],
            bytes: 4,
        };
        let whole = orders.order(&product, None).expect("pairs are cheaper than one nest");
        for row in 0..3 {
            let order = orders.cached(&product, whole.clone(), 131_072.0, Some(row));
            assert_eq!(order.slices.len(), 1, "{order:?}");
            assert_ne!(order.slices[0], row, "{order:?}");
        }
        let small = orders.cached(&product, whole, 1e9, Some(0));
        assert!(small.slices.is_empty(), "nothing leaves the cache: {small:?}");
    }

    /// `R[d,e,f] = sum[j](A[j,d] B[j,e] C[j,f])`: few elements beside the product of two operands.
    #[test]
    fn rows_of_a_small_result_may_be_sliced() {
        let settings = Settings::default();
        let orders = Orders::new(&settings);
        let product = Product {
            extents: vec![16, 16, 16, 16_384],
            operands: vec![vec![3, 0], vec![3, 1], vec![3, 2]],
            output: vec![0, 1, 2],
            bytes: 4,
        };
        let whole = orders.order(&product, None).expect("pairs are cheaper than one nest");
        let sliced = orders.cached(&product, whole.clone(), 524_288.0, None);
        let [row] = sliced.slices[..] else { panic!("one axis is sliced: {sliced:?}") };
        assert_eq!(orders.cached(&product, whole, 524_288.0, Some(row)).slices, [row]);
    }
}
