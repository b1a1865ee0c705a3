//! What the steps of a plan cost, and the objectives a search can have.

use super::math;
use super::{Amount, Network, Refusal};
use std::fmt;

/// The shape of one pairwise step; every number is the binary logarithm of a number of elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepShape {
    /// The first operand.
    pub left: f64,
    /// The second operand.
    pub right: f64,
    /// The result.
    pub result: f64,
    /// Every combination of the axes of both operands: the multiply-adds.
    pub all: f64,
    /// Whether the first operand is an input of the network.
    pub left_input: bool,
    /// Whether the second operand is an input of the network.
    pub right_input: bool,
}

impl StepShape {
    /// The shape of a step of which the elements and the multiply-adds are known.
    pub fn of(left: f64, right: f64, result: f64, macs: f64) -> StepShape {
        let log = |elems: f64| math::log2(elems.max(1.0));
        StepShape {
            left: log(left),
            right: log(right),
            result: log(result),
            all: log(macs),
            left_input: false,
            right_input: false,
        }
    }

    /// The contracted axes: `k` of a matrix product.
    pub fn contracted(&self) -> f64 {
        (self.all - self.result).max(0.0)
    }

    /// The axes of both operands and the result.
    pub fn batch(&self) -> f64 {
        (self.left + self.right - self.all - self.contracted()).max(0.0)
    }

    /// The axes of the first operand and the result only: `m`.
    pub fn left_free(&self) -> f64 {
        (self.all - self.right).max(0.0)
    }

    /// The axes of the second operand and the result only: `n`.
    pub fn right_free(&self) -> f64 {
        (self.all - self.left).max(0.0)
    }
}

/// A cost of a step that the caller defines, such as the time on a machine; the cost of a plan is the sum.
pub trait StepCost: Sync {
    /// The cost of one step, zero or positive.
    fn cost(&self, step: &StepShape) -> f64;

    /// The binary logarithm of the cost, for costs beyond all floats.
    fn log2_cost(&self, step: &StepShape) -> f64 {
        math::log2(self.cost(step))
    }

    /// The binary logarithm of what any step costs at least for each element of its operands and its result; minus
    /// infinity where nothing can be said.
    fn log2_of_element(&self) -> f64 {
        f64::NEG_INFINITY
    }
}

/// What a plan should have little of.
#[derive(Clone, Copy, Default)]
pub enum Objective<'a> {
    /// Multiply-adds.
    #[default]
    Macs,
    /// Multiplications and additions: a step counts twice when it sums an axis.
    Flops,
    /// Elements of the largest result of a step.
    Size,
    /// Elements of all results together.
    Write,
    /// Multiply-adds plus so many times the elements written.
    Combo(f64),
    /// Elements of the results that are alive at once, in the best order of the steps.
    Peak,
    /// A sum over steps that the caller defines.
    Custom(&'a dyn StepCost),
}

impl fmt::Debug for Objective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objective::Macs => write!(f, "Macs"),
            Objective::Flops => write!(f, "Flops"),
            Objective::Size => write!(f, "Size"),
            Objective::Write => write!(f, "Write"),
            Objective::Combo(weight) => write!(f, "Combo({weight})"),
            Objective::Peak => write!(f, "Peak"),
            Objective::Custom(_) => write!(f, "Custom"),
        }
    }
}

impl Objective<'_> {
    /// The binary logarithm of what one step adds to the objective.
    #[inline]
    pub(super) fn step(&self, shape: &StepShape) -> f64 {
        match self {
            Objective::Macs => shape.all,
            Objective::Flops => shape.all + if shape.all > shape.result + 1e-9 { 1.0 } else { 0.0 },
            Objective::Size | Objective::Write | Objective::Peak => shape.result,
            Objective::Combo(weight) => math::log2_add(shape.all, shape.result + math::log2(*weight)),
            Objective::Custom(cost) => cost.log2_cost(shape),
        }
    }

    /// What a tree costs at least that has a result of `2^log` elements; `number` makes a cost of a logarithm.
    pub(super) fn of_result(&self, log: f64, number: impl Fn(f64) -> f64) -> f64 {
        number(match self {
            Objective::Macs | Objective::Flops | Objective::Size | Objective::Write | Objective::Peak => log,
            Objective::Combo(weight) => log + math::log2(*weight).max(0.0),
            Objective::Custom(cost) => log + cost.log2_of_element(),
        })
    }

    /// Whether the objective is the largest of the steps rather than their sum.
    pub(super) fn is_largest(&self) -> bool {
        matches!(self, Objective::Size | Objective::Peak)
    }

    /// The binary logarithm of the objective of a whole plan.
    pub fn log2_value(
        &self,
        network: &Network,
        path: &[(usize, usize)],
        slices: &[u32],
    ) -> Result<f64, Refusal> {
        let cost = evaluate(network, path, slices)?;
        Ok(match self {
            Objective::Macs => cost.macs.log2(),
            Objective::Flops => cost.ops.log2(),
            Objective::Size => cost.size.log2(),
            Objective::Write => cost.write.log2(),
            Objective::Peak => cost.peak.log2(),
            Objective::Combo(weight) => (cost.macs + cost.write * Amount::new(*weight)).log2(),
            Objective::Custom(custom) => {
                let sum: Amount = steps(network, path, slices)?
                    .iter()
                    .map(|step| Amount::from_log2(custom.log2_cost(&step.shape)))
                    .sum();
                (sum * cost.runs).log2()
            }
        })
    }
}

/// What a plan costs, slices included.
///
/// Sums over one axis of one operand and diagonals are done before the first step and are not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Multiply-adds: for each step the product of the extents of all axes of its two operands.
    pub macs: Amount,
    /// The same, where a step counts twice when it sums an axis.
    pub ops: Amount,
    /// Elements of the largest result of a step, within one run.
    pub size: Amount,
    /// Elements of all results of all steps of all runs.
    pub write: Amount,
    /// Elements of the results alive at once in the best post-order, within one run.
    pub peak: Amount,
    /// Multiply-adds of the most expensive step, within one run.
    pub max_step: Amount,
    /// How often the steps run: the product of the extents of the slices.
    pub runs: Amount,
}

/// One step of a path, measured within one run of the slices.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The operands: inputs are numbered from zero, and step `k` makes the number `inputs + k`.
    pub operands: (usize, usize),
    /// The axes of the result, ascending.
    pub axes: Vec<u32>,
    /// Multiply-adds.
    pub macs: Amount,
    /// Elements of the result.
    pub size: Amount,
    /// Whether an axis is summed.
    pub sums: bool,
    /// The logarithms, with empty axes counted as one long.
    pub shape: StepShape,
}

/// Measures every step of a path.
///
/// # Errors
/// [`Refusal::InvalidPath`] and [`Refusal::InvalidSlice`].
pub fn steps(network: &Network, path: &[(usize, usize)], slices: &[u32]) -> Result<Vec<Step>, Refusal> {
    let mut extents: Vec<u64> = network.extents().to_vec();
    let mut sliced = vec![false; extents.len()];
    for &axis in slices {
        match sliced.get_mut(axis as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(Refusal::InvalidSlice { axis }),
        }
        extents[axis as usize] = 1;
    }
    let logs: Vec<f64> = extents.iter().map(|&extent| math::log2(extent.max(1) as f64)).collect();
    let log_of = |axes: &[u32]| axes.iter().map(|&axis| logs[axis as usize]).sum::<f64>();
    let count = network.inputs().len();
    if path.len() + 1 != count.max(1) {
        return Err(Refusal::InvalidPath { step: path.len().min(count.saturating_sub(1)) });
    }

    // How many live tensors carry an axis, the output being one.
    let mut carriers = vec![0u32; extents.len()];
    let mut live: Vec<Option<Vec<u32>>> = Vec::with_capacity(count + path.len());
    for axes in network.inputs() {
        let mut axes = axes.clone();
        axes.sort_unstable();
        axes.dedup();
        axes.iter().for_each(|&axis| carriers[axis as usize] += 1);
        live.push(Some(axes));
    }
    network.output().iter().for_each(|&axis| carriers[axis as usize] += 1);
    for axes in live.iter_mut().flatten() {
        axes.retain(|&axis| carriers[axis as usize] > 1);
    }

    let mut steps = Vec::with_capacity(path.len());
    for (number, &(left, right)) in path.iter().enumerate() {
        let wrong = Refusal::InvalidPath { step: number };
        if left == right || left >= live.len() || right >= live.len() {
            return Err(wrong);
        }
        let (Some(first), Some(second)) = (live[left].take(), live[right].take()) else { return Err(wrong) };
        let mut all = Amount::ONE;
        let (mut log, mut sums) = (0.0, false);
        let mut axes = Vec::with_capacity(first.len() + second.len());
        let (mut i, mut j) = (0, 0);
        while i < first.len() || j < second.len() {
            let x = first.get(i).copied().unwrap_or(u32::MAX);
            let y = second.get(j).copied().unwrap_or(u32::MAX);
            let axis = x.min(y);
            i += usize::from(x == axis);
            j += usize::from(y == axis);
            let extent = extents[axis as usize];
            all = all * Amount::new(extent as f64);
            log += logs[axis as usize];
            let carried = &mut carriers[axis as usize];
            if x == y {
                *carried -= 1;
            }
            if *carried > 1 {
                axes.push(axis);
            } else {
                sums |= extent != 1;
            }
        }
        let shape = StepShape {
            left: log_of(&first),
            right: log_of(&second),
            result: log_of(&axes),
            all: log,
            left_input: left < count,
            right_input: right < count,
        };
        let size = axes.iter().fold(Amount::ONE, |n, &axis| n * Amount::new(extents[axis as usize] as f64));
        live.push(Some(axes.clone()));
        steps.push(Step { operands: (left, right), axes, macs: all, size, sums, shape });
    }
    Ok(steps)
}

/// Counts what a path costs.
///
/// The path is a list of pairs in SSA numbering: inputs are `0..n`, and step `k` makes tensor `n + k`. The steps run
/// once for every combination of indices of the axes in `slices`.
///
/// ```
/// use einc::plan::search::{Network, evaluate};
/// let chain = Network::new(vec![vec![0, 1], vec![1, 2], vec![2, 3]], vec![0, 3], vec![10, 20, 30, 40]).unwrap();
/// let cost = evaluate(&chain, &[(0, 1), (3, 2)], &[]).unwrap();
/// assert_eq!(cost.macs.value(), 10.0 * 20.0 * 30.0 + 10.0 * 30.0 * 40.0);
/// ```
///
/// # Errors
/// [`Refusal::InvalidPath`] and [`Refusal::InvalidSlice`].
pub fn evaluate(network: &Network, path: &[(usize, usize)], slices: &[u32]) -> Result<Cost, Refusal> {
    let steps = steps(network, path, slices)?;
    let runs = network.elems(slices);
    let largest = |a: Amount, b: Amount| if b > a { b } else { a };
    let mut cost = Cost {
        macs: Amount::ZERO,
        ops: Amount::ZERO,
        size: Amount::ZERO,
        write: Amount::ZERO,
        peak: Amount::ZERO,
        max_step: Amount::ZERO,
        runs,
    };
    let two = Amount::new(2.0);
    for step in &steps {
        cost.macs = cost.macs + step.macs * runs;
        cost.ops = cost.ops + if step.sums { step.macs * two } else { step.macs } * runs;
        cost.write = cost.write + step.size * runs;
        cost.size = largest(cost.size, step.size);
        cost.max_step = largest(cost.max_step, step.macs);
    }
    let count = network.inputs().len();
    cost.peak = peaks(count, &steps).last().copied().unwrap_or(Amount::ZERO);
    Ok(cost)
}

/// For every step, the most elements of results alive at once while the best post-order of its subtree runs.
fn peaks(count: usize, steps: &[Step]) -> Vec<Amount> {
    let mut peaks: Vec<Amount> = Vec::with_capacity(steps.len());
    for step in steps {
        let of = |id: usize| match id.checked_sub(count) {
            None => (Amount::ZERO, Amount::ZERO),
            Some(k) => (peaks[k], steps[k].size),
        };
        let ((p, a), (q, b)) = (of(step.operands.0), of(step.operands.1));
        let peak = join_peaks((p, a), (q, b), step.size).0;
        peaks.push(peak);
    }
    peaks
}

/// The peak of a step from those of its operands (peak, size), and whether the second operand is best made first.
fn join_peaks((p, a): (Amount, Amount), (q, b): (Amount, Amount), size: Amount) -> (Amount, bool) {
    let largest = |a: Amount, b: Amount| if b > a { b } else { a };
    let forward = largest(p, a + q);
    let backward = largest(q, b + p);
    let swap = backward < forward;
    (largest(if swap { backward } else { forward }, a + b + size), swap)
}

/// Reorders a path so that its steps run in the post-order with the least peak.
///
/// # Errors
/// [`Refusal::InvalidPath`] and [`Refusal::InvalidSlice`].
pub fn best_order(
    network: &Network,
    path: &[(usize, usize)],
    slices: &[u32],
) -> Result<Vec<(usize, usize)>, Refusal> {
    let steps = steps(network, path, slices)?;
    let count = network.inputs().len();
    let peaks = peaks(count, &steps);
    let of = |id: usize| match id.checked_sub(count) {
        None => (Amount::ZERO, Amount::ZERO),
        Some(k) => (peaks[k], steps[k].size),
    };
    let mut number = vec![usize::MAX; steps.len()];
    let mut ordered = Vec::with_capacity(steps.len());
    let mut stack: Vec<(usize, bool)> =
        steps.len().checked_sub(1).map(|root| (root, false)).into_iter().collect();
    while let Some((step, ready)) = stack.pop() {
        let (left, right) = steps[step].operands;
        let renumber = |id: usize| if id < count { id } else { number[id - count] };
        if ready {
            let pair = (renumber(left), renumber(right));
            number[step] = count + ordered.len();
            ordered.push(pair);
            continue;
        }
        stack.push((step, true));
        let swap = join_peaks(of(left), of(right), steps[step].size).1;
        let (first, second) = if swap { (right, left) } else { (left, right) };
        // The one pushed last runs first.
        for id in [second, first] {
            if id >= count {
                stack.push((id - count, false));
            }
        }
    }
    Ok(ordered)
}

/// What one step leaves alive: for each step of the path in its own order, the elements of all results alive while it
/// runs, its own included.
///
/// # Errors
/// [`Refusal::InvalidPath`] and [`Refusal::InvalidSlice`].
pub fn memory_over_time(
    network: &Network,
    path: &[(usize, usize)],
    slices: &[u32],
) -> Result<Vec<Amount>, Refusal> {
    let steps = steps(network, path, slices)?;
    let count = network.inputs().len();
    let mut alive: Vec<bool> = vec![false; steps.len()];
    // Sums are taken afresh when something dies, because floating sums cannot be subtracted from exactly.
    let mut stack: Vec<usize> = Vec::new();
    let mut result = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        alive[number] = true;
        stack.push(number);
        result.push(stack.iter().map(|&k| steps[k].size).sum());
        for id in [step.operands.0, step.operands.1] {
            if id >= count {
                alive[id - count] = false;
            }
        }
        stack.retain(|&k| alive[k]);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Network {
        Network::new(vec![vec![0, 1], vec![1, 2], vec![2, 3], vec![3, 4]], vec![0, 4], vec![2, 3, 5, 7, 11])
            .unwrap()
    }

    #[test]
    fn a_chain_costs_what_its_matrix_products_cost() {
        let cost = evaluate(&chain(), &[(0, 1), (2, 3), (4, 5)], &[]).unwrap();
        let macs = 2 * 3 * 5 + 5 * 7 * 11 + 2 * 5 * 11;
        assert_eq!(cost.macs.value(), f64::from(macs));
        assert_eq!(cost.ops.value(), f64::from(2 * macs));
        assert_eq!(cost.write.value(), f64::from(2 * 5 + 5 * 11 + 2 * 11));
        assert_eq!(cost.size.value(), 55.0);
        assert_eq!(cost.peak.value(), f64::from(2 * 5 + 5 * 11 + 2 * 11));
        assert_eq!(cost.max_step.value(), 385.0);
    }

    #[test]
    fn slices_run_the_steps_again() {
        let cost = evaluate(&chain(), &[(0, 1), (2, 3), (4, 5)], &[2, 0]).unwrap();
        assert_eq!(cost.runs.value(), 10.0);
        assert_eq!(cost.macs.value(), f64::from(10 * (3 + 7 * 11 + 11)));
        assert_eq!(cost.size.value(), 11.0);
        assert!(matches!(evaluate(&chain(), &[], &[2, 2]), Err(Refusal::InvalidSlice { axis: 2 })));
    }

    #[test]
    fn wrong_paths_are_refused() {
        for path in
            [vec![], vec![(0, 1), (0, 2), (4, 5)], vec![(0, 1), (2, 9), (4, 5)], vec![(0, 0), (1, 2), (4, 5)]]
        {
            assert!(matches!(evaluate(&chain(), &path, &[]), Err(Refusal::InvalidPath { .. })), "{path:?}");
        }
    }

    #[test]
    fn the_best_order_has_the_peak_that_is_claimed() {
        // A cheap branch and one with a large intermediate: the large one should run first.
        let network = Network::new(
            vec![vec![0, 1], vec![1, 2], vec![0, 3, 4], vec![3, 5], vec![4, 5]],
            vec![2],
            vec![4, 6, 4, 10, 10, 10],
        )
        .unwrap();
        let path = [(0, 1), (2, 3), (6, 4), (5, 7)];
        let cost = evaluate(&network, &path, &[]).unwrap();
        let ordered = best_order(&network, &path, &[]).unwrap();
        let over_time = memory_over_time(&network, &ordered, &[]).unwrap();
        let peak = over_time.iter().fold(0.0f64, |a, b| a.max(b.value()));
        assert_eq!(cost.peak.value(), peak);
        assert!(
            peak < memory_over_time(&network, &path, &[])
                .unwrap()
                .iter()
                .fold(0.0f64, |a, b| a.max(b.value()))
        );
        assert_eq!(evaluate(&network, &ordered, &[]).unwrap().macs, cost.macs);
    }

    #[test]
    fn the_shape_of_a_step_splits_into_a_batched_matrix_product() {
        // b=2, m=4, k=8, n=16
        let network =
            Network::new(vec![vec![0, 1, 2], vec![0, 2, 3]], vec![0, 1, 3], vec![2, 4, 8, 16]).unwrap();
        let shape = steps(&network, &[(0, 1)], &[]).unwrap()[0].shape;
        assert_eq!(
            (shape.batch(), shape.left_free(), shape.contracted(), shape.right_free()),
            (1.0, 2.0, 3.0, 4.0)
        );
    }
}
