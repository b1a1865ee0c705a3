//! Objectives that stand in for others while a search begins.

use super::cost::Objective;
use super::rounds::{Search, TRIAL};

/// What stands in for the costs of others: multiply-adds and so many times the elements written. Measured costs jump
/// where another kernel takes over, which traps the annealing, and take several times as long to evaluate.
const STAND_INS: [Objective<'static>; 2] = [Objective::Combo(16.0), Objective::Combo(64.0)];

/// The part of the work that stand-ins get.
const SHARE: (u64, u64) = (4, 5);

/// They are not worth it unless as many trees as this could show what they are worth.
const TRIALS: u64 = 32;

impl Search<'_, '_> {
    /// Searches for trees that are good for what stands in for the objective, and keeps those that are good for it.
    pub(super) fn stand_in(&mut self) {
        let limit = self.budget.limit;
        if !matches!(self.objective, Objective::Custom(_))
            || self.budget.left() < TRIALS * TRIAL * self.sweep_work()
        {
            return;
        }
        let each = self.budget.left() / SHARE.1 * SHARE.0 / STAND_INS.len() as u64;
        for objective in STAND_INS {
            self.budget.limit = self.budget.work + each;
            let mut silent = |_: f64, _: u64| {};
            let mut search = Search::new(self.problem, objective, self.seed, self.budget, &mut silent);
            search.run();
            let (pool, rounds) = (std::mem::take(&mut search.pool), search.rounds);
            self.rounds += rounds;
            for (_, shape) in pool {
                self.offer_path(shape.path);
            }
        }
        self.budget.limit = limit;
    }
}
