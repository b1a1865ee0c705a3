//! Trees made by always joining the pair of tensors that looks best.

use super::canonical::join_sizes;
use super::math::{self, Random};
use super::problem::Problem;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// How pairs are scored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taste {
    /// The score is the size of the result divided by this, less this times the sizes of the operands.
    pub(super) favour: f64,
    /// How strongly the scores are disturbed.
    pub(super) temperature: f64,
}

impl Taste {
    /// The plain taste: result less operands, undisturbed.
    pub(super) const PLAIN: Taste = Taste { favour: 1.0, temperature: 0.0 };

    /// A random taste; the spread matters more than any single value.
    pub(super) fn draw(random: &mut Random) -> Taste {
        let favour = math::exp2(-3.3 + 5.3 * random.unit());
        let temperature = math::exp2(-10.0 + 10.0 * random.unit());
        Taste { favour, temperature }
    }

    /// A random taste like this one.
    pub(super) fn near(self, random: &mut Random) -> Taste {
        let mut vary = |x: f64| x * math::exp2(random.unit() - 0.5);
        Taste { favour: vary(self.favour), temperature: vary(self.temperature.max(0.001)) }
    }
}

struct Candidate {
    score: f64,
    left: u32,
    right: u32,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Candidate) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    /// The greatest is the one with the least score, then the oldest.
    fn cmp(&self, other: &Candidate) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then((other.left, other.right).cmp(&(self.left, self.right)))
    }
}

/// Above this many carriers an axis proposes only some pairs.
const CROWD: usize = 16;
/// A tensor is paired with at most this many others at once.
const PARTNERS: usize = 64;
/// How far the list of an axis with many carriers is searched for some.
const SEARCHED: usize = 64;

/// The tensors that are not joined yet.
struct State<'a> {
    problem: &'a Problem,
    taste: Taste,
    lists: Vec<Vec<u32>>,
    sizes: Vec<f64>,
    alive: Vec<bool>,
    /// The tensors that carry each axis, ascending, and some that are joined already: taking out one by one would take
    /// as long as there are carriers.
    carriers: Vec<Vec<u32>>,
    /// How many of them are not joined yet.
    counts: Vec<u32>,
    heap: BinaryHeap<Candidate>,
    mark: Vec<u32>,
    work: u64,
}

impl State<'_> {
    fn propose(&mut self, left: u32, right: u32, random: &mut Random) {
        let (a, b) = (left as usize, right as usize);
        self.work += 120 + 4 * (self.lists[a].len() + self.lists[b].len()) as u64;
        let (_, result) = join_sizes(&self.lists[a], &self.lists[b], &self.problem.logs, |axis| {
            self.problem.kept[axis as usize] || self.counts[axis as usize] > 2
        });
        let log = math::log2(self.taste.favour);
        let gain = result - log;
        let loss = log + math::log2_add(self.sizes[a], self.sizes[b]);
        // The logarithm of the difference, with its sign.
        let mut score = if gain > loss {
            (gain + math::log2((1.0 - math::exp2(loss - gain)).max(1e-9))).max(0.0)
        } else {
            -(loss + math::log2((1.0 - math::exp2(gain - loss)).max(1e-9))).max(0.0)
        };
        if self.taste.temperature > 0.0 {
            score -= self.taste.temperature * random.gumbel();
        }
        self.heap.push(Candidate { score, left, right });
    }

    /// Proposes pairs of a tensor with those it shares an axis with; `older` keeps to smaller numbers.
    fn propose_all(&mut self, tensor: u32, older: bool, random: &mut Random) {
        let list = std::mem::take(&mut self.lists[tensor as usize]);
        let mut partners: Vec<u32> = Vec::new();
        for &axis in &list {
            let carriers = &self.carriers[axis as usize];
            let most = if self.counts[axis as usize] as usize > CROWD { 4 } else { usize::MAX };
            // Carriers ascend: what is new has the largest number.
            let place = carriers.binary_search(&tensor).unwrap_or(0);
            if partners.len() > PARTNERS {
                break;
            }
            let (after, before) = (&carriers[place + 1..], &carriers[..place]);
            let near = before.iter().rev().chain(after.iter().rev()).take(SEARCHED);
            let near = near.copied().filter(|&other| self.alive[other as usize]).take(most);
            for other in near.filter(|&other| !older || other < tensor) {
                if self.mark[other as usize] != tensor {
                    self.mark[other as usize] = tensor;
                    partners.push(other);
                }
            }
        }
        self.lists[tensor as usize] = list;
        for other in partners {
            self.propose(other, tensor, random);
        }
    }
}

/// Joins the leaves of a connected problem and returns the path, adding to `work` what it took.
pub(super) fn greedy(
    problem: &Problem,
    taste: Taste,
    random: &mut Random,
    work: &mut u64,
) -> Vec<(u32, u32)> {
    let count = problem.count();
    let size = |list: &[u32]| list.iter().map(|&axis| problem.logs[axis as usize]).sum::<f64>();
    let total = 2 * count;
    let mut state = State {
        problem,
        taste,
        lists: problem.lists.clone(),
        sizes: problem.lists.iter().map(|list| size(list)).collect(),
        alive: vec![true; count],
        carriers: problem.carriers.clone(),
        counts: problem.carriers.iter().map(|carriers| carriers.len() as u32).collect(),
        heap: BinaryHeap::new(),
        mark: vec![u32::MAX; total],
        work: 0,
    };
    for tensor in 0..count as u32 {
        state.propose_all(tensor, true, random);
    }
    let mut path = Vec::with_capacity(count.saturating_sub(1));
    while path.len() + 1 < count {
        let Some(Candidate { left, right, .. }) = state.heap.pop() else { break };
        if !state.alive[left as usize] || !state.alive[right as usize] {
            continue;
        }
        let tensor = (count + path.len()) as u32;
        path.push((left, right));
        let a = std::mem::take(&mut state.lists[left as usize]);
        let b = std::mem::take(&mut state.lists[right as usize]);
        state.alive[left as usize] = false;
        state.alive[right as usize] = false;
        let mut joined = Vec::with_capacity(a.len() + b.len());
        joined.extend(&a);
        joined.extend(&b);
        joined.sort_unstable();
        joined.dedup();
        let shared = |axis: &u32| a.binary_search(axis).is_ok() && b.binary_search(axis).is_ok();
        joined.retain(|axis| {
            let place = *axis as usize;
            let (carriers, count) = (&mut state.carriers[place], &mut state.counts[place]);
            *count -= 1 + u32::from(shared(axis));
            let stays = problem.kept[place] || *count > 0;
            if stays {
                *count += 1;
                while carriers.last().is_some_and(|&last| !state.alive[last as usize]) {
                    carriers.pop();
                }
                if carriers.len() > SEARCHED / 2 && carriers.len() > 2 * *count as usize {
                    carriers.retain(|&k| state.alive[k as usize]);
                }
                carriers.push(tensor);
            }
            stays
        });
        state.sizes.push(size(&joined));
        state.lists.push(joined);
        state.alive.push(true);
        state.propose_all(tensor, false, random);
    }
    // Crowded axes may leave pairs unproposed: join what is left, smallest first.
    if path.len() + 1 < count {
        let mut rest: BinaryHeap<Candidate> = (0..state.alive.len())
            .filter(|&k| state.alive[k])
            .map(|k| Candidate { score: state.sizes[k], left: k as u32, right: 0 })
            .collect();
        while let (Some(a), Some(b)) = (rest.pop(), rest.pop()) {
            let tensor = (count + path.len()) as u32;
            path.push((a.left, b.left));
            rest.push(Candidate { score: a.score.max(b.score), left: tensor, right: 0 });
        }
    }
    *work += state.work;
    path
}
