//! Orders for products whose extents change from call to call.
//!
//! The first extents of a product get a search of their own. With the second ones it is known which axes are bound
//! late: a few trees are searched then, for ranges about all extents seen so far, and further extents within the ranges
//! take the tree that costs them least without any search. Where the program declares the ranges, they are known at the
//! first extents, and the trees are the same whatever extents come first: a cache on disk has them for other processes.
//! Products of so few operands that their optimum is found at once are not kept here. The trees follow from the extents
//! seen and their order alone.

use super::search::{Network, Objective, Options, Plan, Range, Refusal, Variants, variants_by};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// How many times as long, and as short, as what was seen the ranges reach.
const REACH: u64 = 8;

/// What is known of the products that a program contracts at several sizes.
#[derive(Default)]
pub struct Late {
    products: Mutex<HashMap<Structure, Product>>,
    /// What finds the products at the ends of the ranges that are declared for sizes.
    declared: OnceLock<Ends>,
    /// What it found.
    ends: OnceLock<Vec<Network>>,
    /// How many times something was searched: an order, or trees for a range.
    searches: AtomicU64,
}

/// Finds the products of a program at the ends of the ranges of its sizes.
type Ends = Box<dyn Fn() -> Vec<Network> + Send + Sync>;

/// Finds the order of a network.
type Search<'a> = dyn FnMut(&Network, &mut Options<'_>) -> Result<Plan, Refusal> + 'a;

/// A product without its extents.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Structure {
    inputs: Vec<Vec<u32>>,
    output: Vec<u32>,
    /// What else an order depends on.
    what: String,
}

/// A product that was contracted before.
struct Product {
    /// All extents seen.
    seen: Vec<Vec<u64>>,
    /// The order for each of them.
    paths: Vec<Vec<(usize, usize)>>,
    variants: Option<Variants>,
    /// The extents at the ends of declared ranges, one of which is at its end each time.
    ends: Vec<Vec<u64>>,
}

/// How many extents of a product are remembered.
const REMEMBERED: usize = 8;

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late")
            .field("products", &self.products().len())
            .field("searches", &self.searches.load(Ordering::Relaxed))
            .finish()
    }
}

impl Late {
    /// The most work for each of the extents that are tried.
    pub(crate) const WORK: u64 = 20_000_000;

    /// Says how to find the products at the ends of declared ranges: that is done once, if a product is searched.
    pub(crate) fn declare(&self, ends: impl Fn() -> Vec<Network> + Send + Sync + 'static) {
        self.declared.get_or_init(|| Box::new(ends));
    }

    /// The extents of a product at the ends of declared ranges; none where it is another product there.
    fn ends_of(&self, network: &Network) -> Vec<Vec<u64>> {
        let Some(find) = self.declared.get() else { return Vec::new() };
        let ends = self.ends.get_or_init(find).iter().filter(|end| end.is_like(network));
        ends.map(|end| end.extents().to_vec()).collect()
    }

    /// The order of a product for its extents, of those that are known if that can be; `search` finds an order for given
    /// extents, and `what` names what else it depends on.
    ///
    /// # Errors
    /// What the searches refuse.
    pub(super) fn order(
        &self,
        network: &Network,
        what: &str,
        options: &mut Options<'_>,
        search: &mut Search<'_>,
    ) -> Result<Vec<(usize, usize)>, Refusal> {
        let key = Structure {
            inputs: network.inputs().to_vec(),
            output: network.output().to_vec(),
            what: what.to_string(),
        };
        let mut products = self.products();
        let Some(known) = products.get_mut(&key) else {
            let mut product =
                Product { seen: Vec::new(), paths: Vec::new(), variants: None, ends: self.ends_of(network) };
            if !product.ends.is_empty() {
                self.count(|| product.learn(network, options, search))?;
            }
            let path = match product.choose(network, &options.objective) {
                Some(path) => path,
                None => self.count(|| search(network, options))?.path,
            };
            product.remember(network, &path);
            products.insert(key, product);
            return Ok(path);
        };
        if let Some(at) = known.seen.iter().position(|seen| seen == network.extents()) {
            return Ok(known.paths[at].clone());
        }
        let chosen = known.choose(network, &options.objective);
        let path = match chosen {
            Some(path) => path,
            None => {
                self.count(|| known.learn(network, options, search))?;
                match known.choose(network, &options.objective) {
                    Some(path) => path,
                    None => self.count(|| search(network, options))?.path,
                }
            }
        };
        known.remember(network, &path);
        Ok(path)
    }

    fn count<T>(&self, search: impl FnOnce() -> T) -> T {
        self.searches.fetch_add(1, Ordering::Relaxed);
        search()
    }

    /// Products are whole after every step on them, so a panic elsewhere leaves them fit for use.
    fn products(&self) -> MutexGuard<'_, HashMap<Structure, Product>> {
        self.products.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Product {
    /// The tree that costs least for these extents, if they are within the ranges.
    fn choose(&self, network: &Network, objective: &Objective<'_>) -> Option<Vec<(usize, usize)>> {
        let plan = self.variants.as_ref()?.choose(network.extents(), objective).ok()?;
        Some(plan.path)
    }

    /// Keeps what is contracted for these extents, if not too many are kept already.
    fn remember(&mut self, network: &Network, path: &[(usize, usize)]) {
        if self.seen.len() < REMEMBERED {
            self.seen.push(network.extents().to_vec());
            self.paths.push(path.to_vec());
        }
    }

    /// Finds trees for the declared ranges, and for ranges about all extents seen and these where they lie outside.
    fn learn(
        &mut self,
        network: &Network,
        options: &mut Options<'_>,
        search: &mut Search<'_>,
    ) -> Result<(), Refusal> {
        let all = || self.seen.iter().map(Vec::as_slice).chain([network.extents()]);
        let mut ranges: Vec<(Vec<u64>, Range)> = Vec::new();
        for axis in 0..network.extents().len() {
            let ends = self.ends.iter().map(|end| end[axis]);
            let extents: Vec<u64> = all().map(|seen| seen[axis]).chain(ends.clone()).collect();
            let declared = (ends.clone().min().unwrap_or(u64::MAX), ends.max().unwrap_or(0));
            let (Some(&low), Some(&high)) = (extents.iter().min(), extents.iter().max()) else { continue };
            if low == high || low == 0 {
                continue;
            }
            // Axes that were always equally long have one dim of the program.
            if let Some((_, range)) = ranges.iter_mut().find(|(known, _)| *known == extents) {
                range.axes.push(axis as u32);
                continue;
            }
            let (low, high) = match (low, high) == declared {
                true => declared,
                false => ((low / REACH).max(1), high.saturating_mul(REACH)),
            };
            ranges.push((extents, Range { axes: vec![axis as u32], low, high }));
        }
        let ranges: Vec<Range> = ranges.into_iter().map(|(_, range)| range).collect();
        let work = options.work;
        options.work = Some(work.map_or(Late::WORK, |work| work.min(Late::WORK)));
        let found = variants_by(network, &ranges, &self.paths, options, search);
        options.work = work;
        self.variants = Some(found?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::search::{evaluate, generate, optimize};

    /// A ladder of two rails whose rungs are as long as `rungs` says.
    fn at(network: &Network, rails: u64, rungs: u64) -> Network {
        let extents =
            (0..network.extents().len()).map(|k| if k.is_multiple_of(2) { rails } else { rungs }).collect();
        Network::new(network.inputs().to_vec(), network.output().to_vec(), extents).unwrap()
    }

    #[test]
    fn the_third_sizes_are_not_searched() {
        let network = generate::random_regular(20, 3, 2, 5);
        let late = Late::default();
        let mut searches = 0;
        let mut options = Options { work: Some(2_000_000), ..Options::default() };
        for (number, (rails, rungs)) in
            [(2, 8), (9, 2), (4, 4), (2, 2), (60, 3), (2, 8)].into_iter().enumerate()
        {
            let sized = at(&network, rails, rungs);
            let path = late
                .order(&sized, "", &mut options, &mut |network, options| {
                    searches += usize::from(*network == sized);
                    optimize(network, options)
                })
                .unwrap();
            let found = evaluate(&sized, &path, &[]).unwrap().macs.log2();
            let best = optimize(&sized, &mut options).unwrap().log2_value;
            assert!(found <= best + 0.5, "{rails} {rungs}: {found} {best}");
            assert_eq!(
                (searches, late.searches.load(Ordering::Relaxed)),
                (1, if number == 0 { 1 } else { 2 })
            );
        }
        // Far outside of the ranges there are new trees for wider ranges.
        let sized = at(&network, 3000, 2);
        let elsewhere = &mut |network: &Network, options: &mut Options<'_>| {
            assert_ne!(*network, sized, "trees cover it");
            optimize(network, options)
        };
        let path = late.order(&sized, "", &mut options, elsewhere).unwrap();
        assert!(evaluate(&sized, &path, &[]).is_ok());
    }

    #[test]
    fn trees_for_declared_ranges_do_not_depend_on_the_sizes_at_hand() {
        let network = generate::random_regular(20, 3, 2, 5);
        let asked = |rails: u64, rungs: u64| {
            let late = Late::default();
            let ends = [(2, rungs), (64, rungs), (rails, 3), (rails, 12)].map(|(n, m)| at(&network, n, m));
            late.declare(move || ends.to_vec());
            let mut asked = Vec::new();
            let mut options = Options { work: Some(100_000), ..Options::default() };
            let mut search = |network: &Network, options: &mut Options<'_>| {
                asked.push(network.extents().to_vec());
                optimize(network, options)
            };
            let path = late.order(&at(&network, rails, rungs), "", &mut options, &mut search).unwrap();
            assert!(evaluate(&network, &path, &[]).is_ok());
            asked
        };
        let first = asked(5, 7);
        assert_eq!(first.len(), 9, "both ends and the middle of each range");
        assert_eq!(asked(60, 4), first, "so that a cache has them for any sizes");
    }

    #[test]
    fn empty_axes_are_searched_as_they_are() {
        let network = generate::chain(14, 3, 9, 1);
        let late = Late::default();
        let mut options = Options { work: Some(100_000), ..Options::default() };
        for extent in [3, 0, 5, 0] {
            let mut extents = network.extents().to_vec();
            extents[2] = extent;
            let sized = Network::new(network.inputs().to_vec(), network.output().to_vec(), extents).unwrap();
            let path = late.order(&sized, "", &mut options, &mut optimize);
            assert!(evaluate(&sized, &path.unwrap(), &[]).is_ok());
        }
    }
}
