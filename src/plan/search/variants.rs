//! Orders for extents that are not known yet: a few trees, one of which is nearly the best wherever the extents lie.

use super::math::Random;
use super::{Network, Objective, Options, Plan, Refusal, optimize, restore};

/// An extent that is bound late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The axes that are this long.
    pub axes: Vec<u32>,
    /// The shortest it can be.
    pub low: u64,
    /// The longest it can be.
    pub high: u64,
}

/// Trees of one network for ranges of extents.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants {
    network: Network,
    ranges: Vec<Range>,
    paths: Vec<Vec<(usize, usize)>>,
    /// Of the extents that were tried, by how much the best of the trees is above the best found there at most, as a
    /// difference of binary logarithms.
    pub log2_gap: f64,
}

/// Extents are tried at all combinations of their ends and middles as long as these are so many; at random ones beyond.
const SAMPLES: usize = 81;

/// A tree is kept if somewhere all others are worse by this, as a difference of binary logarithms: two percent.
const WORTH: f64 = 0.0286;

/// Finds the trees that are needed for some extents within the ranges; `known` trees are tried with those that are found.
///
/// ```
/// use einc::plan::search::{Network, Objective, Options, Range, variants};
/// // A chain of three matrices whose first and last extents come with the arrays.
/// let inputs = vec![vec![0, 1], vec![1, 2], vec![2, 3]];
/// let network = Network::new(inputs, vec![0, 3], vec![64, 64, 64, 64]).unwrap();
/// let ranges = [0, 3].map(|axis| Range { axes: vec![axis], low: 1, high: 4096 });
/// let variants = variants(&network, &ranges, &[], &mut Options::default()).unwrap();
/// assert_eq!(variants.paths().len(), 2);
/// // A row times the rest: from the left.
/// let plan = variants.choose(&[1, 64, 64, 4096], &Objective::Macs).unwrap();
/// assert_eq!(plan.cost.macs.value(), 64.0 * 64.0 + 64.0 * 4096.0);
/// ```
///
/// # Errors
/// [`Refusal::InvalidRange`] for an axis that is not there or stands twice, and for ranges from zero or from high to
/// low; [`Refusal::InvalidPath`] for a known tree of another network; and what [`optimize`] refuses.
pub fn variants(
    network: &Network,
    ranges: &[Range],
    known: &[Vec<(usize, usize)>],
    options: &mut Options<'_>,
) -> Result<Variants, Refusal> {
    variants_by(network, ranges, known, options, &mut optimize)
}

/// [`variants`], where `search` finds the best order for each of the extents that are tried.
pub(in crate::plan) fn variants_by(
    network: &Network,
    ranges: &[Range],
    known: &[Vec<(usize, usize)>],
    options: &mut Options<'_>,
    search: &mut dyn FnMut(&Network, &mut Options<'_>) -> Result<Plan, Refusal>,
) -> Result<Variants, Refusal> {
    let mut seen = vec![false; network.extents().len()];
    for (range, &axis) in ranges.iter().flat_map(|range| range.axes.iter().map(move |axis| (range, axis))) {
        let known = seen.get_mut(axis as usize).filter(|seen| !**seen);
        match known {
            Some(seen) if 0 < range.low && range.low <= range.high => *seen = true,
            _ => return Err(Refusal::InvalidRange { axis }),
        }
    }
    let mut paths: Vec<Vec<(usize, usize)>> = known.to_vec();
    let mut samples: Vec<(Network, f64)> = Vec::new();
    for extents in samples_of(network, ranges, options.seed) {
        let sample = at(network, &extents)?;
        let found = search(&sample, options)?;
        samples.push((sample, found.log2_value));
        if !paths.contains(&found.path) {
            paths.push(found.path);
        }
    }
    // What each tree costs everywhere, above the best there.
    let mut excess = Vec::with_capacity(paths.len());
    let mut least = vec![f64::INFINITY; samples.len()];
    for path in &paths {
        let row = samples
            .iter()
            .map(|(sample, _)| options.objective.log2_value(sample, path, &[]))
            .collect::<Result<Vec<f64>, Refusal>>()?;
        least.iter_mut().zip(&row).for_each(|(least, &value)| *least = least.min(value));
        excess.push(row);
    }
    // Trees are added while some sample lacks a good one, always the tree that helps most.
    let mut kept: Vec<usize> = Vec::new();
    let mut have = vec![f64::INFINITY; samples.len()];
    loop {
        let worst = |have: &[f64]| -> f64 {
            have.iter().zip(&least).map(|(have, least)| have - least).fold(0.0, f64::max)
        };
        if worst(&have) <= WORTH || kept.len() == paths.len() {
            let log2_gap = worst(&have);
            let paths = kept.iter().map(|&k| paths[k].clone()).collect();
            return Ok(Variants { network: network.clone(), ranges: ranges.to_vec(), paths, log2_gap });
        }
        // A lack counts up to a limit, so that one tree for all comes before one for the strangest sample.
        let lack = |k: usize| -> f64 {
            let value = |s: usize| (have[s].min(excess[k][s]) - least[s]).clamp(0.0, 64.0);
            (0..samples.len()).map(value).sum()
        };
        let best = (0..paths.len())
            .filter(|k| !kept.contains(k))
            .min_by(|&a, &b| lack(a).total_cmp(&lack(b)).then(a.cmp(&b)));
        let Some(best) = best else { return Err(Refusal::TooLarge) };
        have.iter_mut().zip(&excess[best]).for_each(|(have, &value)| *have = have.min(value));
        kept.push(best);
    }
}

/// The network with other extents.
fn at(network: &Network, extents: &[u64]) -> Result<Network, Refusal> {
    Network::new(network.inputs().to_vec(), network.output().to_vec(), extents.to_vec())
}

/// The extents to try.
fn samples_of(network: &Network, ranges: &[Range], seed: u64) -> Vec<Vec<u64>> {
    let middle = |range: &Range| {
        (((range.low as f64) * (range.high as f64)).sqrt() as u64).clamp(range.low, range.high)
    };
    let places = |range: &Range| {
        let mut places = vec![range.low, middle(range), range.high];
        places.dedup();
        places
    };
    let lists: Vec<Vec<u64>> = ranges.iter().map(places).collect();
    let all = lists.iter().try_fold(1usize, |n, list| n.checked_mul(list.len())).unwrap_or(usize::MAX);
    let mut random = Random::new(seed, 11);
    (0..all.min(SAMPLES))
        .map(|number| {
            let mut extents = network.extents().to_vec();
            let mut rest = number;
            for (range, list) in ranges.iter().zip(&lists) {
                let place = if all <= SAMPLES {
                    let place = rest % list.len();
                    rest /= list.len();
                    place
                } else {
                    random.below(list.len())
                };
                range.axes.iter().for_each(|&axis| extents[axis as usize] = list[place]);
            }
            extents
        })
        .collect()
}

impl Variants {
    /// The trees, in SSA numbering.
    pub fn paths(&self) -> &[Vec<(usize, usize)>] {
        &self.paths
    }

    /// The tree that costs least for these extents, which must lie within the ranges. Nothing is searched.
    ///
    /// # Errors
    /// [`Refusal::InvalidRange`] names an axis whose extent is outside its range, or not the network's own.
    pub fn choose(&self, extents: &[u64], objective: &Objective<'_>) -> Result<Plan, Refusal> {
        for (axis, &own) in self.network.extents().iter().enumerate() {
            let range = self.ranges.iter().find(|range| range.axes.contains(&(axis as u32)));
            let allowed = range.map_or(own..=own, |range| range.low..=range.high);
            if !extents.get(axis).is_some_and(|extent| allowed.contains(extent)) {
                return Err(Refusal::InvalidRange { axis: axis as u32 });
            }
        }
        let network = at(&self.network, extents)?;
        let mut best: Option<(f64, &Vec<(usize, usize)>)> = None;
        for path in &self.paths {
            let value = objective.log2_value(&network, path, &[])?;
            if best.is_none_or(|(least, _)| value < least) {
                best = Some((value, path));
            }
        }
        let path = best.map_or(&[][..], |(_, path)| path);
        restore(&network, path, &[], objective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::search::generate;

    #[test]
    fn the_best_tree_is_among_the_variants_wherever_the_extents_lie() {
        let network = generate::chain(6, 10, 60, 3);
        let ranges: Vec<Range> = [0, 3, 6].map(|axis| Range { axes: vec![axis], low: 2, high: 500 }).to_vec();
        let variants = variants(&network, &ranges, &[], &mut Options::default()).unwrap();
        let count = variants.paths().len();
        assert!((2..=8).contains(&count) && variants.log2_gap <= WORTH, "{count}");
        let mut random = Random::new(5, 1);
        for _ in 0..200 {
            let mut extents = network.extents().to_vec();
            ranges.iter().for_each(|range| extents[range.axes[0] as usize] = 2 + random.below(499) as u64);
            let chosen = variants.choose(&extents, &Objective::Macs).unwrap();
            let best = optimize(&at(&network, &extents).unwrap(), &mut Options::default()).unwrap();
            assert!(chosen.log2_value <= best.log2_value + 0.35, "{extents:?}");
        }
    }

    #[test]
    fn axes_of_one_length_change_together() {
        let network = generate::chain(5, 10, 60, 3);
        let ranges = [Range { axes: vec![0, 2, 5], low: 2, high: 500 }];
        let variants = variants(&network, &ranges, &[], &mut Options::default()).unwrap();
        assert!(variants.paths().len() <= 3, "three extents were tried");
        let mut extents = network.extents().to_vec();
        for extent in [2, 31, 500] {
            [0, 2, 5].into_iter().for_each(|axis: usize| extents[axis] = extent);
            let chosen = variants.choose(&extents, &Objective::Macs).unwrap();
            let best = optimize(&at(&network, &extents).unwrap(), &mut Options::default()).unwrap();
            assert!(chosen.log2_value <= best.log2_value + WORTH, "{extents:?}");
        }
    }

    #[test]
    fn one_tree_is_enough_where_extents_change_nothing() {
        let network = generate::chain(4, 3, 3, 1);
        let ranges = [Range { axes: vec![0], low: 3, high: 3 }];
        let variants = variants(&network, &ranges, &[], &mut Options::default());
        assert_eq!(variants.unwrap().paths().len(), 1);
    }

    #[test]
    fn extents_outside_their_ranges_are_refused() {
        let network = generate::chain(3, 4, 4, 1);
        let range = |axis, low, high| Range { axes: vec![axis], low, high };
        let wrong = |ranges: &[Range]| variants(&network, ranges, &[], &mut Options::default()).is_err();
        assert!(wrong(&[range(9, 1, 2)]) && wrong(&[range(0, 0, 2)]) && wrong(&[range(0, 3, 2)]));
        assert!(wrong(&[range(0, 1, 2), range(0, 1, 2)]));
        let path = vec![vec![(0, 9)]];
        assert!(variants(&network, &[range(0, 1, 2)], &path, &mut Options::default()).is_err());
        let known = variants(&network, &[range(0, 2, 8)], &[], &mut Options::default()).unwrap();
        assert!(known.choose(&[8, 4, 4, 4], &Objective::Macs).is_ok());
        for extents in [&[9, 4, 4, 4][..], &[4, 4, 5, 4], &[4, 4, 4]] {
            assert!(matches!(known.choose(extents, &Objective::Macs), Err(Refusal::InvalidRange { .. })));
        }
    }
}
