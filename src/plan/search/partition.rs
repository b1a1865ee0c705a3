//! Trees made by cutting the network in two, again and again, through as few and as short axes as possible.
//!
//! Each cut is found on several levels: tensors that hang together are merged until few are left, those are cut, and
//! the cut is refined by moving single tensors across it (Fiduccia and Mattheyses) while the merges are undone.

use super::Objective;
use super::exact::{self, SmallAxis, Tables};
use super::math::{self, Random};
use super::problem::Problem;
use std::collections::{BinaryHeap, HashMap};

/// Parts of at most this many tensors are solved exactly.
const LEAVES: usize = 8;
/// Parts larger than the whole divided by this are cut several times.
const WHOLE: usize = 16;
/// Coarsening ends at this many vertices.
const COARSE: usize = 40;

/// A weighted hypergraph.
struct Hyper {
    weights: Vec<f64>,
    nets: Vec<(f64, Vec<u32>)>,
    /// The nets of each vertex.
    incident: Vec<Vec<u32>>,
    /// Whether the last two vertices have no weight and stay where they are: one on each side.
    anchored: bool,
}

impl Hyper {
    fn new(weights: Vec<f64>, nets: Vec<(f64, Vec<u32>)>, anchored: bool) -> Hyper {
        let mut incident = vec![Vec::new(); weights.len()];
        for (net, (_, pins)) in nets.iter().enumerate() {
            pins.iter().for_each(|&pin| incident[pin as usize].push(net as u32));
        }
        Hyper { weights, nets, incident, anchored }
    }

    fn pins(&self) -> u64 {
        self.nets.iter().map(|(_, pins)| pins.len() as u64).sum()
    }

    /// How many vertices can move.
    fn free(&self) -> usize {
        self.weights.len() - if self.anchored { 2 } else { 0 }
    }

    /// Merges neighbours in pairs; the map gives each vertex its place in the coarser graph.
    fn coarsen(&self, random: &mut Random) -> Option<(Hyper, Vec<u32>)> {
        let count = self.weights.len();
        let heaviest = self.weights.iter().sum::<f64>() / 12.0;
        let free = self.free();
        let mut order: Vec<u32> = (0..free as u32).collect();
        shuffle(&mut order, random);
        let mut map = vec![u32::MAX; count];
        let mut rating = vec![0.0f64; count];
        let mut touched: Vec<u32> = Vec::new();
        let mut weights: Vec<f64> = Vec::new();
        for &vertex in &order {
            if map[vertex as usize] != u32::MAX {
                continue;
            }
            for &net in &self.incident[vertex as usize] {
                let (weight, pins) = &self.nets[net as usize];
                if pins.len() > 60 {
                    continue;
                }
                for &pin in pins {
                    if pin != vertex && (pin as usize) < free && map[pin as usize] == u32::MAX {
                        if rating[pin as usize] == 0.0 {
                            touched.push(pin);
                        }
                        rating[pin as usize] += weight / (pins.len() - 1) as f64;
                    }
                }
            }
            let mut best: Option<(f64, u32)> = None;
            for &pin in &touched {
                let joint = self.weights[pin as usize] + self.weights[vertex as usize];
                let score = rating[pin as usize] / joint;
                rating[pin as usize] = 0.0;
                if joint <= heaviest && best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, pin));
                }
            }
            touched.clear();
            let fresh = weights.len() as u32;
            map[vertex as usize] = fresh;
            let mut weight = self.weights[vertex as usize];
            if let Some((_, pin)) = best {
                map[pin as usize] = fresh;
                weight += self.weights[pin as usize];
            }
            weights.push(weight);
        }
        if weights.len() * 10 > free * 9 {
            return None;
        }
        for place in &mut map[free..] {
            *place = weights.len() as u32;
            weights.push(0.0);
        }
        let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut nets: Vec<(f64, Vec<u32>)> = Vec::new();
        for (weight, pins) in &self.nets {
            let mut pins: Vec<u32> = pins.iter().map(|&pin| map[pin as usize]).collect();
            pins.sort_unstable();
            pins.dedup();
            if pins.len() < 2 {
                continue;
            }
            match seen.get(&pins) {
                Some(&net) => nets[net].0 += weight,
                None => {
                    seen.insert(pins.clone(), nets.len());
                    nets.push((*weight, pins));
                }
            }
        }
        Some((Hyper::new(weights, nets, self.anchored), map))
    }

    fn cut(&self, side: &[bool]) -> f64 {
        let crosses = |pins: &[u32]| pins.iter().any(|&pin| side[pin as usize] != side[pins[0] as usize]);
        self.nets.iter().filter(|(_, pins)| crosses(pins)).map(|(weight, _)| weight).sum()
    }

    /// Moves vertices across the cut while that makes it smaller.
    fn refine(&self, side: &mut [bool], most: f64, work: &mut u64) {
        let count = self.weights.len();
        for _ in 0..4 {
            *work += 30 * self.pins();
            let mut inside = [0.0f64; 2];
            side.iter().zip(&self.weights).for_each(|(&s, weight)| inside[usize::from(s)] += weight);
            let mut counts: Vec<[u32; 2]> = vec![[0; 2]; self.nets.len()];
            for (net, (_, pins)) in self.nets.iter().enumerate() {
                pins.iter().for_each(|&pin| counts[net][usize::from(side[pin as usize])] += 1);
            }
            let mut gains = vec![0.0f64; count];
            for vertex in 0..count {
                let own = usize::from(side[vertex]);
                for &net in &self.incident[vertex] {
                    let weight = self.nets[net as usize].0;
                    if counts[net as usize][own] == 1 {
                        gains[vertex] += weight;
                    }
                    if counts[net as usize][1 - own] == 0 {
                        gains[vertex] -= weight;
                    }
                }
            }
            let mut heap: BinaryHeap<(i64, u32)> =
                (0..count as u32).map(|v| (math::order_key(gains[v as usize]), v)).collect();
            let mut locked = vec![false; count];
            locked[self.free()..].fill(true);
            let mut moves: Vec<u32> = Vec::new();
            let (mut sum, mut best, mut best_length) = (0.0, 1e-9, 0);
            let unbalanced = inside[0].max(inside[1]) > most;
            let mut best_balance = inside[0].max(inside[1]);
            while let Some((gain, vertex)) = heap.pop() {
                let v = vertex as usize;
                if locked[v] || gain != math::order_key(gains[v]) {
                    continue;
                }
                let own = usize::from(side[v]);
                let target = inside[1 - own] + self.weights[v];
                if target > most && target >= inside[own] {
                    continue;
                }
                locked[v] = true;
                sum += gains[v];
                inside[own] -= self.weights[v];
                inside[1 - own] += self.weights[v];
                moves.push(vertex);
                for &net in &self.incident[v] {
                    let (weight, pins) = &self.nets[net as usize];
                    let before = counts[net as usize];
                    counts[net as usize][own] -= 1;
                    counts[net as usize][1 - own] += 1;
                    // Only nets that become, or cease to be, nearly one-sided change any gain.
                    let matters = before[1 - own] <= 1 || before[own] <= 2;
                    if !matters {
                        continue;
                    }
                    for &pin in pins {
                        let p = pin as usize;
                        if locked[p] {
                            continue;
                        }
                        let pin_side = usize::from(side[p]);
                        let mut change = 0.0;
                        if pin_side == own {
                            if before[1 - own] == 0 {
                                change += weight;
                            }
                            if before[own] == 2 {
                                change += weight;
                            }
                        } else {
                            if before[1 - own] == 1 {
                                change -= weight;
                            }
                            if before[own] == 1 {
                                change -= weight;
                            }
                        }
                        if change != 0.0 {
                            gains[p] += change;
                            heap.push((math::order_key(gains[p]), pin));
                        }
                    }
                }
                side[v] = !side[v];
                let balance = inside[0].max(inside[1]);
                let better =
                    if unbalanced && best_balance > most { balance < best_balance } else { sum > best };
                if better && (balance <= most || unbalanced) {
                    best = sum;
                    best_balance = balance;
                    best_length = moves.len();
                }
                if moves.len() > best_length + 40 + count / 16 {
                    break;
                }
            }
            for &vertex in &moves[best_length..] {
                side[vertex as usize] = !side[vertex as usize];
            }
            if best_length == 0 {
                break;
            }
        }
    }

    /// Grows one side from a random vertex to half the weight.
    fn grow(&self, random: &mut Random) -> Vec<bool> {
        let count = self.weights.len();
        let total: f64 = self.weights.iter().sum();
        let mut side = vec![false; count];
        let mut near = vec![0.0f64; count];
        let mut grown = 0.0;
        let free = self.free();
        let mut next = if free < count { count - 1 } else { random.below(count) };
        loop {
            side[next] = true;
            grown += self.weights[next];
            if grown * 2.0 >= total && grown > 0.0 {
                return side;
            }
            for &net in &self.incident[next] {
                let (weight, pins) = &self.nets[net as usize];
                pins.iter().for_each(|&pin| near[pin as usize] += weight / pins.len() as f64);
            }
            let outside = (0..free).filter(|&v| !side[v]);
            let Some(best) = outside.max_by(|&a, &b| near[a].total_cmp(&near[b]).then(b.cmp(&a))) else {
                return side;
            };
            next = best;
        }
    }

    /// Cuts the graph in two parts, neither heavier than `share` of the whole.
    fn bisect(&self, share: f64, random: &mut Random, work: &mut u64) -> Vec<bool> {
        let most = self.weights.iter().sum::<f64>() * share;
        *work += 150 * self.pins();
        let coarse = if self.weights.len() > COARSE { self.coarsen(random) } else { None };
        if let Some((coarse, map)) = coarse {
            let rough = coarse.bisect(share, random, work);
            let mut side: Vec<bool> = map.iter().map(|&k| rough[k as usize]).collect();
            self.refine(&mut side, most, work);
            return side;
        }
        let mut best: Option<(f64, Vec<bool>)> = None;
        for _ in 0..6 {
            let mut side = self.grow(random);
            self.refine(&mut side, most, work);
            let cut = self.cut(&side);
            if best.as_ref().is_none_or(|(least, _)| cut < *least) {
                best = Some((cut, side));
            }
        }
        best.map(|(_, side)| side).unwrap_or_default()
    }
}

fn shuffle(order: &mut [u32], random: &mut Random) {
    for k in (1..order.len()).rev() {
        order.swap(k, random.below(k + 1));
    }
}

/// Cuts a connected problem again and again and returns the path, adding to `work` what it took.
///
/// `share` is the most that one side of a cut may have: from a half to one.
pub(super) fn partition(
    problem: &Problem,
    share: f64,
    random: &mut Random,
    work: &mut u64,
) -> Vec<(u32, u32)> {
    let count = problem.count();
    let mut path = Vec::with_capacity(count.saturating_sub(1));
    let mut tables = Tables::default();
    // A part is cut and put back marked; when it comes up again its two halves have been made.
    let mut stack: Vec<Option<Vec<u32>>> = vec![Some((0..count as u32).collect())];
    let mut made: Vec<u32> = Vec::new();
    let mut place = vec![u32::MAX; count];
    while let Some(part) = stack.pop() {
        let Some(part) = part else {
            if let (Some(b), Some(a)) = (made.pop(), made.pop()) {
                made.push((count + path.len()) as u32);
                path.push((a, b));
            }
            continue;
        };
        part.iter().enumerate().for_each(|(k, &leaf)| place[leaf as usize] = k as u32);
        let mut axes: Vec<u32> =
            part.iter().flat_map(|&leaf| problem.lists[leaf as usize].iter().copied()).collect();
        axes.sort_unstable();
        axes.dedup();
        *work += 20 * axes.len() as u64;
        let pins_of = |axis: u32| -> Vec<u32> {
            problem.carriers[axis as usize]
                .iter()
                .map(|&leaf| place[leaf as usize])
                .filter(|&k| k != u32::MAX)
                .collect()
        };
        if part.len() <= LEAVES {
            let small: Vec<SmallAxis> = axes
                .iter()
                .map(|&axis| {
                    let pins = pins_of(axis);
                    let log2 = problem.logs[axis as usize];
                    SmallAxis {
                        operands: pins.iter().fold(0, |mask, &pin| mask | 1 << pin),
                        kept: problem.kept[axis as usize]
                            || pins.len() < problem.carriers[axis as usize].len(),
                        log2,
                        extent: math::exp2(log2),
                    }
                })
                .collect();
            *work += 3u64.pow(part.len() as u32) + 100 * small.len() as u64;
            let solution = exact::solve(part.len(), &small, &Objective::Macs, 0, &mut tables);
            let first = count + path.len();
            let id = |k: usize| if k < part.len() { part[k] } else { (first + k - part.len()) as u32 };
            path.extend(solution.path.iter().map(|&(a, b)| (id(a), id(b))));
            made.push(id(2 * part.len() - 2));
        } else {
            let nets: Vec<(f64, Vec<u32>)> = axes
                .iter()
                .map(|&axis| (problem.logs[axis as usize], pins_of(axis)))
                .filter(|(_, pins)| pins.len() > 1)
                .collect();
            let mut side = Hyper::new(vec![1.0; part.len()], nets, false).bisect(share, random, work);
            if side.iter().all(|&s| s == side[0]) {
                side[0] = !side[0];
            }
            let half = |which: bool| {
                part.iter()
                    .zip(&side)
                    .filter(|&(_, &s)| s == which)
                    .map(|(&leaf, _)| leaf)
                    .collect::<Vec<u32>>()
            };
            stack.extend([None, Some(half(false)), Some(half(true))]);
        }
        part.iter().for_each(|&leaf| place[leaf as usize] = u32::MAX);
    }
    path
}

/// Puts the operands of a connected problem in a line by cutting it again and again, so that what lies before and
/// after each cut keeps to its side, and returns the path that takes them in one by one, adding to `work` what it took.
///
/// The first cuts are the best of so many `tries`.
pub(super) fn arrange(
    problem: &Problem,
    (share, tries): (f64, usize),
    random: &mut Random,
    work: &mut u64,
) -> Vec<(u32, u32)> {
    let count = problem.count();
    let mut order: Vec<u32> = (0..count as u32).collect();
    // Where each operand is: exact to the part it belongs to.
    let mut place: Vec<usize> = vec![0; count];
    let mut number = vec![u32::MAX; count];
    let mut stack = vec![(0, count)];
    while let Some((start, end)) = stack.pop() {
        let length = end - start;
        if length < 2 {
            continue;
        }
        let part: Vec<u32> = order[start..end].to_vec();
        part.iter().enumerate().for_each(|(k, &leaf)| number[leaf as usize] = k as u32);
        let mut axes: Vec<u32> =
            part.iter().flat_map(|&leaf| problem.lists[leaf as usize].iter().copied()).collect();
        axes.sort_unstable();
        axes.dedup();
        let mut nets: Vec<(f64, Vec<u32>)> = Vec::with_capacity(axes.len());
        for &axis in &axes {
            let mut pins = Vec::new();
            let (mut before, mut after) = (false, problem.kept[axis as usize]);
            for &leaf in &problem.carriers[axis as usize] {
                match number[leaf as usize] {
                    u32::MAX => {
                        before |= place[leaf as usize] < start;
                        after |= place[leaf as usize] >= end;
                    }
                    pin => pins.push(pin),
                }
            }
            // An axis that lies on both sides is open wherever the cut is.
            if before && after || pins.len() + usize::from(before) + usize::from(after) < 2 {
                continue;
            }
            if before {
                pins.push(length as u32);
            }
            if after {
                pins.push(length as u32 + 1);
            }
            nets.push((problem.logs[axis as usize], pins));
        }
        let mut weights = vec![1.0; length];
        weights.extend([0.0, 0.0]);
        let graph = Hyper::new(weights, nets, true);
        let mut side = graph.bisect(share, random, work);
        // A bad cut of much cannot be made good by the cuts of its parts, so the first cuts are the best of several.
        if length * WHOLE > count {
            let mut least = graph.cut(&side);
            for _ in 1..tries {
                let other = graph.bisect(share, random, work);
                let cut = graph.cut(&other);
                if cut < least {
                    (side, least) = (other, cut);
                }
            }
        }
        side.truncate(length);
        if side.iter().all(|&s| s == side[0]) {
            side = (0..length).map(|k| 2 * k >= length).collect();
        }
        let first = part.iter().zip(&side).filter(|&(_, &s)| !s).map(|(&leaf, _)| leaf);
        let second = part.iter().zip(&side).filter(|&(_, &s)| s).map(|(&leaf, _)| leaf);
        let arranged: Vec<u32> = first.chain(second).collect();
        let middle = start + side.iter().filter(|&&s| !s).count();
        for (k, &leaf) in arranged.iter().enumerate() {
            place[leaf as usize] = if start + k < middle { start } else { middle };
            number[leaf as usize] = u32::MAX;
        }
        order[start..end].copy_from_slice(&arranged);
        stack.extend([(start, middle), (middle, end)]);
    }
    let mut path = Vec::with_capacity(count.saturating_sub(1));
    let mut whole = order[0];
    for &leaf in &order[1..] {
        path.push((whole, leaf));
        whole = (count + path.len() - 1) as u32;
    }
    path
}
