//! What every tree costs at least.
//!
//! The steps of a tree, each with the axes that it runs over, are a tree decomposition of the graph in which two axes
//! are neighbours if a tensor has both. So some step runs over at least as many points as the heaviest bag of the best
//! decomposition, and bounds of treewidth are bounds of work.

use super::canonical::Canonical;

/// More axes than this are not looked at: time is quadratic in them.
const MOST_AXES: usize = 3000;

/// A binary logarithm that the points of the most expensive step of any tree are not below.
///
/// Axes are merged one after the other, always the one with the lightest neighbourhood with a neighbour, and the
/// heaviest of these lightest neighbourhoods counts (the contraction degeneracy). A merged axis weighs as much as the
/// lighter one: whatever bag held either of the two weighs no less afterwards.
pub(super) fn largest_step(canonical: &Canonical) -> f64 {
    let count = canonical.logs.len();
    if count == 0 || count > MOST_AXES {
        return 0.0;
    }
    let words = count.div_ceil(64);
    let mut rows = vec![0u64; count * words];
    for list in canonical.lists.iter().chain(std::iter::once(&canonical.output)) {
        for &a in list {
            for &b in list {
                rows[a as usize * words + b as usize / 64] |= 1 << (b % 64);
            }
        }
    }
    // No axis is its own neighbour.
    for axis in 0..count {
        rows[axis * words + axis / 64] &= !(1 << (axis % 64));
    }
    let mut weight = canonical.logs.clone();
    let mut around: Vec<f64> = (0..count)
        .map(|axis| bits(&rows[axis * words..(axis + 1) * words]).map(|k| weight[k]).sum())
        .collect();
    let mut alive: Vec<usize> = (0..count).collect();
    let mut best: f64 = 0.0;
    while let Some(place) = (0..alive.len()).min_by(|&a, &b| {
        (weight[alive[a]] + around[alive[a]]).total_cmp(&(weight[alive[b]] + around[alive[b]]))
    }) {
        let axis = alive.swap_remove(place);
        best = best.max(weight[axis] + around[axis]);
        let neighbours: Vec<usize> = bits(&rows[axis * words..(axis + 1) * words]).collect();
        // The neighbour with which it shares least: that keeps neighbourhoods heavy.
        let shared = |other: usize| {
            (0..words)
                .map(|word| (rows[axis * words + word] & rows[other * words + word]).count_ones())
                .sum::<u32>()
        };
        let Some(&into) = neighbours.iter().min_by_key(|&&other| (shared(other), other)) else { continue };
        let lighter = weight[axis].min(weight[into]);
        // The neighbours of `into` see its new weight, those of `axis` see `into` in its place.
        let change = lighter - weight[into];
        for other in bits(&rows[into * words..(into + 1) * words]).collect::<Vec<_>>() {
            around[other] += change;
        }
        weight[into] = lighter;
        for &other in &neighbours {
            rows[other * words + axis / 64] &= !(1 << (axis % 64));
            around[other] -= weight[axis];
            if other != into && rows[other * words + into / 64] >> (into % 64) & 1 == 0 {
                rows[other * words + into / 64] |= 1 << (into % 64);
                rows[into * words + other / 64] |= 1 << (other % 64);
                around[other] += lighter;
                around[into] += weight[other];
            }
        }
    }
    // Room for what rounding adds to sums.
    (best - 1e-6).max(0.0)
}

/// The places of the bits of a set.
fn bits(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(word, &bits)| {
        let mut bits = bits;
        std::iter::from_fn(move || {
            let place = bits.trailing_zeros() as usize;
            (bits != 0).then(|| {
                bits &= bits - 1;
                word * 64 + place
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Network, Objective, Options, generate, optimize};
    use super::*;

    fn bound(network: &Network) -> f64 {
        largest_step(&Canonical::new(network, false))
    }

    #[test]
    fn no_optimum_is_below_the_bound() {
        for seed in 0..30 {
            for network in [
                generate::random_hypergraph(9, 12, 5, seed),
                generate::random_regular(10, 3, 4, seed),
                generate::chain(7, 2, 30, seed),
            ] {
                let plan =
                    optimize(&network, &mut Options { objective: Objective::Macs, ..Options::default() });
                let plan = plan.unwrap();
                assert!(plan.proven);
                let bound = bound(&network);
                assert!(bound <= plan.cost.max_step.log2() + 1e-9, "{bound} {:?}", plan.cost);
            }
        }
    }

    #[test]
    fn cliques_and_grids_have_the_width_they_are_known_for() {
        // One matrix for each pair of seven axes: a clique, so one step has all seven.
        let pairs = (0..7u32).flat_map(|a| (0..a).map(move |b| vec![a, b])).collect();
        let clique = Network::new(pairs, vec![], vec![2; 7]).unwrap();
        assert!((bound(&clique) - 7.0).abs() < 1e-5);
        // Matrices between neighbours of a grid of axes, whose treewidth is six; merging finds some of it.
        let at = |x: u32, y: u32| 6 * y + x;
        let mut edges = Vec::new();
        for x in 0..6 {
            for y in 0..6 {
                edges.extend((x < 5).then(|| vec![at(x, y), at(x + 1, y)]));
                edges.extend((y < 5).then(|| vec![at(x, y), at(x, y + 1)]));
            }
        }
        let grid = bound(&Network::new(edges, vec![], vec![2; 36]).unwrap());
        assert!((4.0 - 1e-5..=7.0).contains(&grid), "{grid}");
        assert_eq!(bound(&generate::empty()), 0.0);
    }
}
