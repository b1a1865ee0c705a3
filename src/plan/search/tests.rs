//! Plans against an independent evaluator and against every tree there is.

use super::*;
use std::collections::{BTreeSet, HashMap};

/// What a tree costs, counted slowly from the definitions with sets and whole numbers.
struct Slow {
    macs: u128,
    ops: u128,
    size: u128,
    write: u128,
    peak: u128,
}

fn elems(axes: &BTreeSet<u32>, extents: &[u64]) -> u128 {
    axes.iter().map(|&axis| u128::from(extents[axis as usize])).product()
}

/// The axes of a set of inputs that occur outside it, too.
fn axes_of(network: &Network, inputs: &BTreeSet<usize>) -> BTreeSet<u32> {
    let mut axes = BTreeSet::new();
    for &input in inputs {
        for &axis in &network.inputs()[input] {
            let outside = network.output().contains(&axis)
                || (0..network.inputs().len())
                    .any(|other| !inputs.contains(&other) && network.inputs()[other].contains(&axis));
            if outside {
                axes.insert(axis);
            }
        }
    }
    axes
}

fn slow(network: &Network, path: &[(usize, usize)], slices: &[u32]) -> Slow {
    let mut extents = network.extents().to_vec();
    let runs: u128 = slices.iter().map(|&axis| u128::from(extents[axis as usize])).product();
    slices.iter().for_each(|&axis| extents[axis as usize] = 1);
    let mut sets: HashMap<usize, BTreeSet<usize>> =
        (0..network.inputs().len()).map(|input| (input, BTreeSet::from([input]))).collect();
    let mut peaks: HashMap<usize, (u128, u128)> = (0..network.inputs().len()).map(|k| (k, (0, 0))).collect();
    let mut slow = Slow { macs: 0, ops: 0, size: 0, write: 0, peak: 0 };
    for (step, &(left, right)) in path.iter().enumerate() {
        let (a, b) = (sets.remove(&left).unwrap(), sets.remove(&right).unwrap());
        let both: BTreeSet<usize> = a.union(&b).copied().collect();
        let all: BTreeSet<u32> = axes_of(network, &a).union(&axes_of(network, &b)).copied().collect();
        let result = axes_of(network, &both);
        let (macs, size) = (elems(&all, &extents), elems(&result, &extents));
        slow.macs += macs * runs;
        slow.ops += macs * runs * if macs == size { 1 } else { 2 };
        slow.size = slow.size.max(size);
        slow.write += size * runs;
        let ((p, x), (q, y)) = (peaks[&left], peaks[&right]);
        let peak = p.max(x + q).min(q.max(y + p)).max(x + y + size);
        peaks.insert(network.inputs().len() + step, (peak, size));
        sets.insert(network.inputs().len() + step, both);
        slow.peak = peak;
    }
    slow
}

/// Calls `visit` with every sequence of pairs.
fn every_path(count: usize, visit: &mut dyn FnMut(&[(usize, usize)])) {
    fn go(
        alive: &[usize],
        next: usize,
        path: &mut Vec<(usize, usize)>,
        visit: &mut dyn FnMut(&[(usize, usize)]),
    ) {
        if alive.len() <= 1 {
            return visit(path);
        }
        for j in 1..alive.len() {
            for i in 0..j {
                let mut rest: Vec<usize> =
                    alive.iter().enumerate().filter(|&(k, _)| k != i && k != j).map(|(_, &id)| id).collect();
                rest.push(next);
                path.push((alive[i], alive[j]));
                go(&rest, next + 1, path, visit);
                path.pop();
            }
        }
    }
    go(&(0..count).collect::<Vec<_>>(), count, &mut Vec::new(), visit);
}

/// Twice the elements read and written, and something for every step.
struct Traffic;

impl StepCost for Traffic {
    fn cost(&self, step: &StepShape) -> f64 {
        10.0 + 2.0 * (step.left.exp2() + step.right.exp2() + step.result.exp2())
    }
}

fn assert_agrees(network: &Network, plan: &Plan) {
    let slow = slow(network, &plan.path, &plan.slices);
    let pairs = [
        (plan.cost.macs, slow.macs, "macs"),
        (plan.cost.ops, slow.ops, "ops"),
        (plan.cost.size, slow.size, "size"),
        (plan.cost.write, slow.write, "write"),
        (plan.cost.peak, slow.peak, "peak"),
    ];
    for (fast, slow, name) in pairs {
        assert!((fast.value() - slow as f64).abs() <= 1e-12 * slow as f64, "{name}: {fast} against {slow}");
    }
}

#[test]
fn small_networks_get_the_optimum_of_every_objective() {
    let mut networks: Vec<Network> = (0..60)
        .map(|seed| generate::random_hypergraph(2 + seed as usize % 5, 3 + seed as usize % 7, 6, seed))
        .collect();
    networks.push(generate::chain(6, 1, 9, 3));
    networks.push(
        Network::new(vec![vec![0], vec![1], vec![2], vec![0, 1, 2, 3]], vec![0, 1, 2, 3], vec![2, 3, 4, 5])
            .unwrap(),
    );
    for (number, network) in networks.iter().enumerate() {
        let mut best = [f64::INFINITY; 7];
        every_path(network.inputs().len(), &mut |path| {
            let slow = slow(network, path, &[]);
            let custom: f64 =
                steps(network, path, &[]).unwrap().iter().map(|step| Traffic.cost(&step.shape)).sum();
            let values = [
                slow.macs as f64,
                slow.ops as f64,
                slow.size as f64,
                slow.write as f64,
                slow.macs as f64 + 64.0 * slow.write as f64,
                slow.peak as f64,
                custom,
            ];
            for (best, value) in best.iter_mut().zip(values) {
                *best = best.min(value);
            }
        });
        let objectives = [
            Objective::Macs,
            Objective::Flops,
            Objective::Size,
            Objective::Write,
            Objective::Combo(64.0),
            Objective::Peak,
            Objective::Custom(&Traffic),
        ];
        for (objective, best) in objectives.into_iter().zip(best) {
            let plan = optimize(network, &mut Options { objective, ..Options::default() }).unwrap();
            assert_agrees(network, &plan);
            assert!(
                (plan.log2_value - best.log2()).abs() < 1e-9,
                "network {number} {objective:?}: {} against {}",
                plan.log2_value.exp2(),
                best
            );
            assert!(plan.proven && plan.log2_bound == plan.log2_value);
        }
    }
}

#[test]
fn networks_of_nothing_and_of_scalars_have_plans() {
    let none = optimize(&generate::empty(), &mut Options::default()).unwrap();
    assert!(none.path.is_empty() && none.cost.macs == Amount::ZERO);
    let scalars = Network::new(vec![vec![]; 40], vec![], vec![]).unwrap();
    let plan = optimize(&scalars, &mut Options::default()).unwrap();
    assert_agrees(&scalars, &plan);
    assert_eq!(plan.cost.macs.value(), 39.0);
    let one = Network::new(vec![vec![0, 0, 1]], vec![0], vec![3, 4]).unwrap();
    assert!(optimize(&one, &mut Options::default()).unwrap().path.is_empty());
}

#[test]
fn extents_of_zero_and_one_are_counted() {
    for count in [4, 30] {
        let mut inputs: Vec<Vec<u32>> = (0..count).map(|k| vec![k, k + 1]).collect();
        inputs.push(vec![0]);
        let mut extents: Vec<u64> = vec![3; count as usize + 1];
        extents[1] = 0;
        extents[2] = 1;
        let network = Network::new(inputs, vec![0, count], extents).unwrap();
        let plan = optimize(&network, &mut Options::default()).unwrap();
        assert_agrees(&network, &plan);
    }
}

#[test]
fn wrong_networks_are_refused() {
    let refused = |inputs, output, extents| Network::new(inputs, output, extents).unwrap_err();
    assert!(matches!(
        refused(vec![vec![5]], vec![], vec![2]),
        Refusal::UnknownAxis { operand: Some(0), axis: 5 }
    ));
    assert!(matches!(refused(vec![vec![0]], vec![1], vec![2, 2]), Refusal::MissingOutput { axis: 1 }));
    assert!(matches!(refused(vec![vec![0]], vec![0, 0], vec![2]), Refusal::RepeatedOutput { axis: 0 }));
    assert!(matches!(
        refused(vec![vec![0]], vec![7], vec![2]),
        Refusal::UnknownAxis { operand: None, axis: 7 }
    ));
}

#[test]
fn generated_networks_get_valid_plans() {
    let networks = [
        generate::chain(40, 2, 9, 1),
        generate::tree(50, 3, 1),
        generate::mps(20, 2, 8),
        generate::peps(3, 4, 2, 2),
        generate::lattice(&[5, 5], 2, false),
        generate::lattice(&[3, 3, 3], 2, true),
        generate::random_regular(40, 3, 2, 1),
        generate::random_hypergraph(30, 60, 4, 1),
        generate::circuit(8, 6),
        generate::qaoa(12, 3, 2, 1),
        generate::model_counting(40, 100, 3, 1),
    ];
    for network in &networks {
        let mut options = Options { work: Some(2_000_000), ..Options::default() };
        assert_agrees(network, &optimize(network, &mut options).unwrap());
    }
}

/// Far below the width of any order many axes must be sliced, and choosing them is work, too.
#[test]
fn slicing_far_below_the_width_keeps_to_its_work() {
    let network = generate::random_regular(1200, 3, 2, 1);
    let limit = 200_000_000;
    let memory = Some(MemoryLimit::Largest(4096.0));
    let work = match optimize(&network, &mut Options { memory, work: Some(limit), ..Options::default() }) {
        Ok(plan) => plan.work,
        Err(Refusal::Memory { best, .. }) => best.work,
        Err(other) => panic!("{other}"),
    };
    assert!(work < 2 * limit, "{work}");
}

/// Which axes are sliced is as good as what trying every pair of them finds: the squares of a board of 4 by 4, joined where
/// a queen goes.
#[test]
fn slices_are_as_good_as_the_best_of_all_pairs() {
    let meet = |a: i32, b: i32| {
        let (x, y) = ((a / 4 - b / 4).abs(), (a % 4 - b % 4).abs());
        x == 0 || y == 0 || x == y
    };
    let pairs = || (0..16).flat_map(|a| (a + 1..16).map(move |b| (a, b)));
    let inputs: Vec<Vec<u32>> =
        pairs().filter(|&(a, b)| meet(a, b)).map(|(a, b)| vec![a as u32, b as u32]).collect();
    let network = Network::new(inputs.clone(), Vec::new(), vec![3; 16]).unwrap();
    let limit = 3f64.powi(9);
    let found = optimize(&network, &mut limited(limit, 40_000_000)).unwrap();
    assert_eq!(found.slices.len(), 2);
    let least = pairs()
        .map(|(a, b)| {
            let left = |list: &Vec<u32>| {
                list.iter().copied().filter(|&axis| ![a as u32, b as u32].contains(&axis)).collect()
            };
            let rest = Network::new(inputs.iter().map(left).collect(), Vec::new(), vec![3; 16]).unwrap();
            match optimize(&rest, &mut limited(limit, 1_000_000)) {
                Ok(plan) if plan.slices.is_empty() => 9.0 * plan.cost.macs.value(),
                _ => f64::INFINITY,
            }
        })
        .fold(f64::INFINITY, f64::min);
    assert!(found.cost.macs.value() <= 1.001 * least, "{} {least}", found.cost.macs.value());
}

/// A search within so many elements and so much work.
fn limited(elems: f64, work: u64) -> Options<'static> {
    Options { memory: Some(MemoryLimit::Largest(elems)), work: Some(work), ..Options::default() }
}

#[test]
fn a_memory_limit_is_kept() {
    let networks = [
        generate::lattice(&[6, 6], 2, false),
        generate::random_regular(40, 3, 2, 5),
        generate::qaoa(14, 3, 1, 2),
        generate::chain(6, 8, 20, 2),
        generate::random_hypergraph(9, 25, 5, 3),
    ];
    for (number, network) in networks.iter().enumerate() {
        let free = optimize(network, &mut Options { work: Some(3_000_000), ..Options::default() }).unwrap();
        for part in [2.0, 8.0, 64.0] {
            for kind in 0..2 {
                let (memory, have) = match kind {
                    0 => (MemoryLimit::Largest((free.cost.size.value() / part).max(1.0)), free.cost.size),
                    _ => (MemoryLimit::Peak((free.cost.peak.value() / part).max(2.0)), free.cost.peak),
                };
                let mut options =
                    Options { memory: Some(memory), work: Some(6_000_000), ..Options::default() };
                match optimize(network, &mut options) {
                    Ok(plan) => {
                        assert_agrees(network, &plan);
                        let need = if kind == 0 { plan.cost.size } else { plan.cost.peak };
                        assert!(need.value() <= (have.value() / part).max(2.0), "network {number}");
                    }
                    // Slicing everything leaves scalars, so only the sum of several can be too much.
                    Err(Refusal::Memory { best, .. }) => {
                        assert!(kind == 1 && have.value() / part < 4.0, "network {number}");
                        assert_agrees(network, &best);
                    }
                    Err(refusal) => panic!("{refusal}"),
                }
            }
        }
    }
}

#[test]
fn inputs_and_output_count_towards_a_total_limit() {
    let network = generate::chain(5, 10, 10, 1);
    let fits = |elems: f64| {
        let memory = Some(MemoryLimit::Total(elems));
        optimize(&network, &mut Options { memory, ..Options::default() })
    };
    // Five inputs of a hundred elements; three results at most are alive at once.
    assert!(fits(800.0).unwrap().slices.is_empty());
    let sliced = fits(690.0).unwrap();
    assert!(!sliced.slices.is_empty());
    assert!(sliced.cost.peak.value() + 600.0 <= 690.0);
    assert!(matches!(fits(500.0), Err(Refusal::Memory { .. })));
    // No room for the output, for anything, and nonsense: refused with the best that was found.
    for elems in [550.0, 60.0, 1.0, 0.0, -1.0, f64::NAN] {
        let Err(Refusal::Memory { needed, best }) = fits(elems) else {
            panic!("{elems} elements are enough")
        };
        assert!(needed.value() >= 600.0 && best.path.len() == 4);
    }
}

#[test]
fn equal_seeds_and_work_give_equal_plans() {
    let network = generate::random_regular(60, 3, 3, 9);
    let plan = |seed, memory| {
        let mut options = Options { seed, memory, work: Some(5_000_000), ..Options::default() };
        let plan = optimize(&network, &mut options).unwrap();
        (plan.path, plan.slices, plan.work)
    };
    assert_eq!(plan(1, None), plan(1, None));
    let limit = Some(MemoryLimit::Largest(243.0));
    assert_eq!(plan(1, limit), plan(1, limit));
    assert_ne!(plan(1, None).0, plan(2, None).0);
}

#[test]
fn any_number_of_threads_finds_the_same_plan() {
    let networks = [generate::lattice(&[7, 7], 2, true), generate::random_hypergraph(60, 90, 3, 2)];
    for network in &networks {
        for memory in [None, Some(MemoryLimit::Largest(256.0))] {
            let plan = |threads| {
                einc_runtime::pool::set_threads(threads);
                let mut options = Options { memory, work: Some(20_000_000), ..Options::default() };
                let plan = optimize(network, &mut options).unwrap();
                (plan.path, plan.slices, plan.work, plan.rounds)
            };
            let alone = plan(1);
            assert_eq!(alone, plan(2));
            assert_eq!(alone, plan(5));
        }
    }
}

#[test]
fn a_search_reports_progress_and_can_be_cancelled() {
    let network = generate::lattice(&[7, 7], 2, true);
    let mut values = Vec::new();
    let mut note = |progress: &Progress| values.push(progress.log2_value);
    let mut options = Options { work: Some(10_000_000), progress: Some(&mut note), ..Options::default() };
    let plan = optimize(&network, &mut options).unwrap();
    assert!(!plan.capped && plan.work >= 10_000_000);
    assert!(values.len() > 1 && values.windows(2).all(|pair| pair[1] < pair[0]));
    assert!((values[values.len() - 1] - plan.log2_value).abs() < 1e-6);

    let cancel = AtomicBool::new(true);
    let mut options = Options { work: Some(u64::MAX / 2), cancel: Some(&cancel), ..Options::default() };
    let plan = optimize(&network, &mut options).unwrap();
    assert!(plan.capped);
    assert_agrees_fast(&network, &plan);
    let mut options = Options { seconds: Some(0.0), ..Options::default() };
    assert_agrees_fast(&network, &optimize(&network, &mut options).unwrap());
}

/// The path is one of the network, and costs what the plan says.
fn assert_agrees_fast(network: &Network, plan: &Plan) {
    assert_eq!(evaluate(network, &plan.path, &plan.slices).unwrap(), plan.cost);
}

#[test]
fn large_networks_get_a_tree_at_once() {
    for network in [
        generate::lattice(&[70, 72], 2, false),
        // Too large for the dense arrays of the search.
        generate::lattice(&[220, 220], 2, false),
        generate::qaoa(300, 3, 5, 1),
        generate::tree(5000, 4, 1),
        Network::new(vec![vec![]; 5000], vec![], vec![]).unwrap(),
        // Hundreds of thousands of operands.
        generate::chain(200_000, 2, 5, 1),
        // One axis that everything has.
        Network::new(vec![vec![0]; 3000], vec![], vec![7]).unwrap(),
    ] {
        let plan = optimize(&network, &mut Options { work: Some(1), ..Options::default() }).unwrap();
        assert_eq!(plan.path.len() + 1, network.inputs().len());
        assert_agrees_fast(&network, &plan);
        // Nothing takes quadratic time. Work is counted, and does not depend on what else the machine does.
        let size: usize = network.inputs().iter().map(|axes| 1 + axes.len()).sum();
        assert!(plan.work < 20_000 * size as u64, "{} for {size}", plan.work);
    }
}

/// Many operands over the same axes, which a hundred thousand others carry too, take no step that looks at all of them.
#[test]
fn operands_over_the_same_axes_are_joined_at_once() {
    let count = 100_000;
    let network = Network::new(vec![vec![0]; count], vec![0], vec![2]).unwrap();
    let plan = optimize(&network, &mut Options::default()).unwrap();
    assert_agrees_fast(&network, &plan);
    assert_eq!(plan.cost.macs.value(), 2.0 * (count - 1) as f64);
    // Beside others: twins of every edge of a ring, and three of an operand that closes it.
    let ring: Vec<Vec<u32>> = (0..150).flat_map(|k| vec![vec![k, (k + 1) % 150]; 2]).collect();
    let closed = [ring, vec![vec![7, 90]; 3]].concat();
    let network = Network::new(closed, vec![3], vec![2; 150]).unwrap();
    let plan = optimize(&network, &mut Options { work: Some(20_000_000), ..Options::default() }).unwrap();
    assert_agrees(&network, &plan);
    assert!(plan.cost.size.value() <= 16.0, "{}", plan.cost.size.value());
}

/// Hundreds of thousands of different operands that share an axis take no step that looks at all of them, either.
#[test]
fn an_axis_that_everything_carries_does_not_slow_the_search_down() {
    let count = 300_000;
    let options = || Options { work: Some(1_000_000), ..Options::default() };
    for inputs in [
        (0..count).map(|k| vec![0, 1 + k, 1 + (k + 1) % count]).collect::<Vec<_>>(),
        (0..count).map(|k| vec![0, 1 + k / 2]).collect(),
    ] {
        let network = Network::new(inputs, vec![0], vec![2; count as usize + 1]).unwrap();
        let plan = optimize(&network, &mut options()).unwrap();
        assert_agrees_fast(&network, &plan);
        assert!(plan.cost.size.value() <= 8.0, "{}", plan.cost.size.value());
    }
}

#[test]
fn costs_beyond_any_float_are_compared() {
    let network = generate::lattice(&[6, 6], 1 << 60, false);
    for objective in
        [Objective::Macs, Objective::Size, Objective::Peak, Objective::Combo(64.0), Objective::Flops]
    {
        let mut options = Options { objective, work: Some(3_000_000), ..Options::default() };
        let plan = optimize(&network, &mut options).unwrap();
        // Row by row, a cut of six bonds and the one at the corner.
        assert!(plan.cost.size.log2() <= 7.0 * 60.0 + 1e-6, "{objective:?}: {}", plan.cost.size.log2());
        assert!(plan.cost.macs.log2() > 128.0);
        assert_agrees_fast(&network, &plan);
    }
    let few = generate::chain(8, 1 << 62, 1 << 62, 1);
    let plan = optimize(&few, &mut Options::default()).unwrap();
    assert!((plan.cost.macs.log2() - (3.0 * 62.0 + 7f64.log2())).abs() < 1e-9);
}

#[test]
fn a_matrix_chain_gets_the_optimum_of_its_dynamic_program() {
    for seed in 0..3 {
        let network = generate::chain(40, 2, 60, seed);
        let e: Vec<f64> = (0..=40).map(|k| network.extents()[k] as f64).collect();
        let mut best = vec![vec![0.0f64; 41]; 41];
        for length in 2..=40 {
            for i in 0..=40 - length {
                let j = i + length;
                best[i][j] = (i + 1..j)
                    .map(|k| best[i][k] + best[k][j] + e[i] * e[k] * e[j])
                    .fold(f64::INFINITY, f64::min);
            }
        }
        let mut options = Options { work: Some(20_000_000), ..Options::default() };
        let plan = optimize(&network, &mut options).unwrap();
        assert!((plan.cost.macs.value() / best[0][40] - 1.0).abs() < 1e-12, "seed {seed}");
    }
}

#[test]
fn searches_reach_what_exhaustion_finds() {
    for seed in 0..6 {
        let network = generate::random_regular(14, 3, 3, seed);
        // No work to prove anything with.
        let found = optimize(&network, &mut Options { work: Some(400_000), ..Options::default() }).unwrap();
        let exact =
            optimize(&network, &mut Options { work: Some(100_000_000), ..Options::default() }).unwrap();
        assert!(exact.proven && !found.proven);
        assert!(found.log2_value >= exact.log2_value - 1e-9);
        assert!(found.log2_value <= exact.log2_value + 0.3, "seed {seed}");
        assert!(found.log2_bound <= exact.log2_value);
    }
}

#[test]
fn leaving_out_large_subsets_loses_no_optimum() {
    for seed in 0..4 {
        // Every other network has vectors, for which outer products pay.
        let network = match seed % 2 {
            0 => generate::random_regular(12, 3, 3, seed),
            _ => generate::random_hypergraph(13, 14, 4, seed),
        };
        let count = network.inputs().len();
        let axes = solve::small_axes(&network);
        let time = StepTime::new(&Rates::SHIPPED, 8);
        for objective in [
            Objective::Macs,
            Objective::Flops,
            Objective::Combo(5.0),
            Objective::Size,
            Objective::Write,
            Objective::Peak,
            Objective::Custom(&time),
        ] {
            let memory = &mut exact::Tables::default();
            let all = exact::solve(count, &axes, &objective, u32::MAX, memory).log2;
            let looked = memory.looked;
            for room in [0.0, 1.5] {
                let known = (all + room, u64::MAX);
                let few = exact::solve_below(count, &axes, &objective, u32::MAX, memory, known).unwrap();
                assert!((few.log2 - all).abs() < 1e-9, "{objective:?} {} {all}", few.log2);
                // Nor is looked at, or computed, much of what can be no part of it.
                let now = memory.looked;
                assert!(now.0 < looked.0, "{objective:?} {now:?} {looked:?}");
                assert!(room > 0.0 || 4 * now.1 <= 3 * looked.1, "{now:?} {looked:?}");
            }
            // What costs less than the optimum is not there; and no more splits are tried than allowed.
            let below = (all - 1.0, u64::MAX);
            assert!(exact::solve_below(count, &axes, &objective, u32::MAX, memory, below).is_none());
            let few = (all + 1.0, 10);
            assert!(exact::solve_below(count, &axes, &objective, u32::MAX, memory, few).is_none());
        }
    }
}

#[test]
fn components_are_searched_apart() {
    let one = generate::lattice(&[4, 5], 2, false);
    let axes = one.extents().len() as u32;
    let mut inputs = one.inputs().to_vec();
    inputs.extend(one.inputs().iter().map(|list| list.iter().map(|&axis| axis + axes).collect()));
    inputs.extend([vec![2 * axes], vec![2 * axes + 1]]);
    let mut extents = one.extents().to_vec();
    extents.extend(one.extents());
    extents.extend([5, 7]);
    let network = Network::new(inputs, vec![2 * axes + 1, 2 * axes], extents).unwrap();
    let plan = optimize(&network, &mut Options { work: Some(20_000_000), ..Options::default() }).unwrap();
    assert_agrees(&network, &plan);
    let single = optimize(&one, &mut Options { work: Some(10_000_000), ..Options::default() }).unwrap();
    assert!(plan.cost.macs.value() <= 2.0 * single.cost.macs.value() + 5.0 + 35.0 + 35.0 + 1.0);
}

#[test]
fn optima_of_sixteen_operands_are_proven_unasked() {
    for seed in 0..3 {
        for network in
            [generate::random_regular(16, 3, 8, seed), generate::random_hypergraph(16, 20, 3, seed)]
        {
            let plan = optimize(&network, &mut Options::default()).unwrap();
            let much = Options { work: Some(200_000_000), ..Options::default() };
            let best = optimize(&network, &mut { much }).unwrap();
            assert!(plan.proven && best.proven && best.cost.macs == plan.cost.macs, "{seed}");
            // Where running the plan takes less than the proof there may be none.
            let frugal = Options { frugal: true, ..Options::default() };
            let quick = optimize(&network, &mut { frugal }).unwrap();
            assert!(quick.proven || quick.cost.macs.value() < 9e7, "{seed}");
            assert!(best.cost.macs <= quick.cost.macs, "{seed}");
        }
    }
}

/// What stands in for a measured cost is searched for as well: what is found is cheaper, on average.
#[test]
fn orders_for_a_measured_cost_are_no_worse_than_those_for_what_stands_in_for_it() {
    let time = StepTime::new(&Rates::SHIPPED, 8);
    let objective = Objective::Custom(&time);
    let networks: Vec<Network> = (0..8).map(|seed| generate::random_hypergraph(60, 80, 3, seed)).collect();
    let total = |sought: Objective<'_>, work: u64| -> f64 {
        let value = |network: &Network| {
            let mut options = Options { objective: sought, work: Some(work), ..Options::default() };
            let path = optimize(network, &mut options).unwrap().path;
            objective.log2_value(network, &path, &[]).unwrap()
        };
        networks.iter().map(value).sum()
    };
    let found = total(objective, 30_000_000);
    for weight in [16.0, 64.0] {
        let other = total(Objective::Combo(weight), 10_000_000);
        assert!(found < other, "weight {weight}: {found} {other}");
    }
}
