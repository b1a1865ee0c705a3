//! Parts of a search that run at once, and give the same on any number of threads.
//!
//! How many parts there are, where their random numbers come from and in which order their trees are taken does not
//! depend on who runs them. Each part counts its own work and stops by it.

use super::math::Random;
use super::rounds::Search;
use super::tree::Shape;
use einc_runtime::pool;
use std::sync::{Mutex, PoisonError};

/// Where the numbers of parts begin, apart from those of other random numbers.
const FIRST: u64 = 1 << 20;

/// What a part has come to.
struct Found<T> {
    value: T,
    pool: Vec<(f64, Shape)>,
    work: u64,
    rounds: u64,
    capped: bool,
}

impl Search<'_, '_> {
    /// Runs so many parts, each on a search without trees, and takes the trees that they keep.
    pub(super) fn apart<T: Send>(
        &mut self,
        count: usize,
        part: &(dyn Fn(&mut Search<'_, '_>, usize) -> T + Sync),
    ) -> Vec<T> {
        let found: Vec<Mutex<Option<Found<T>>>> = (0..count).map(|_| Mutex::new(None)).collect();
        let (problem, objective, energy, limit) = (self.problem, self.objective, self.energy, self.limit);
        let (seed, first) = (self.seed, FIRST + self.parts);
        let budget = self.budget.part();
        pool::parallel(count, &|k| {
            let mut budget = budget.part();
            let mut silent = |_: f64, _: u64| {};
            let mut search = Search::new(problem, objective, seed, &mut budget, &mut silent);
            search.random = Random::new(seed, first + k as u64);
            (search.energy, search.limit) = (energy, limit);
            let value = part(&mut search, k);
            let (pool, rounds) = (std::mem::take(&mut search.pool), search.rounds);
            let (work, capped) = (search.budget.work, search.budget.capped);
            let mut place = found[k].lock().unwrap_or_else(PoisonError::into_inner);
            *place = Some(Found { value, pool, work, rounds, capped });
        });
        self.parts += count as u64;
        let mut values = Vec::with_capacity(count);
        for place in found {
            let Some(found) = place.into_inner().unwrap_or_else(PoisonError::into_inner) else { continue };
            self.budget.add(found.work);
            self.budget.capped |= found.capped;
            self.rounds += found.rounds;
            found.pool.into_iter().for_each(|(value, shape)| self.keep(value, || shape));
            values.push(found.value);
        }
        values
    }
}
