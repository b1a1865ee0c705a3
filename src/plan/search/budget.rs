//! How long a search may go on.

use super::math;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The work done in a second on the machine where the search was tuned.
pub(super) const WORK_PER_SECOND: f64 = 8e8;

/// The work that a second counts for where the caller allows seconds: more than any machine does, so that the clock alone
/// says when the time is over.
pub(super) const CLOCK_PER_SECOND: f64 = 2.0 * WORK_PER_SECOND;

/// Counts work and says when to stop.
///
/// Where work is what the caller allows, it alone decides what a search does; the clock can but cut it short. Where the
/// caller allows seconds, they count instead, so that the search takes them all, and has cooled down when they are over,
/// on any machine and beside other programs.
pub(super) struct Budget<'a> {
    pub(super) work: u64,
    pub(super) limit: u64,
    deadline: Option<Instant>,
    /// When this budget began, where time counts as work.
    pace: Option<Instant>,
    cancel: Option<&'a AtomicBool>,
    /// Whether the clock, or the caller, ended the search.
    pub(super) capped: bool,
    /// Whether to search no longer than running the plan takes.
    pub(super) frugal: bool,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limit: u64, deadline: Option<Instant>, cancel: Option<&'a AtomicBool>) -> Budget<'a> {
        Budget { work: 0, limit, deadline, pace: None, cancel, capped: false, frugal: false }
    }

    /// Counts time as work from now on, and no more than there is until the deadline.
    pub(super) fn paced(mut self) -> Budget<'a> {
        let now = Instant::now();
        self.pace = Some(now);
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(now).as_secs_f64() * CLOCK_PER_SECOND;
            self.limit = self.limit.min(left as u64);
        }
        self
    }

    /// Catches up with the clock.
    pub(super) fn tick(&mut self) {
        if let Some(start) = self.pace {
            self.work = self.work.max((start.elapsed().as_secs_f64() * CLOCK_PER_SECOND) as u64);
        }
    }

    /// Adds the work of parts that have run apart. Where time counts, what ran at once counts once.
    pub(super) fn add(&mut self, work: u64) {
        match self.pace {
            Some(_) => self.tick(),
            None => self.work += work,
        }
    }

    /// Whether the search has to end.
    pub(super) fn over(&mut self) -> bool {
        self.tick();
        if self.work >= self.limit {
            return true;
        }
        if !self.capped {
            let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let cancelled = self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed));
            self.capped = late || cancelled;
        }
        self.capped
    }

    /// The work done as a caller counts it.
    pub(super) fn done(&self) -> u64 {
        match self.pace {
            Some(_) => (self.work as f64 / (CLOCK_PER_SECOND / WORK_PER_SECOND)) as u64,
            None => self.work,
        }
    }

    /// A budget of what is left, for a part of the search that counts its own work.
    pub(super) fn part(&self) -> Budget<'a> {
        let part = Budget::new(self.left(), self.deadline, self.cancel);
        if self.pace.is_some() { part.paced() } else { part }
    }

    /// Lowers the limit of a frugal search that has found a plan of so many multiply-adds, as a binary logarithm.
    pub(super) fn save(&mut self, log2_macs: f64) {
        if self.frugal {
            // About a nanosecond for each multiply-add and each unit of work; the first milliseconds are for the asking.
            self.limit = self.limit.min(self.work + 2_000_000 + math::exp2(log2_macs.min(60.0)) as u64);
        }
    }

    /// The work that is left.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_counts_as_work_where_seconds_are_allowed() {
        let mut budget = Budget::new(1_000_000, None, None).paced();
        std::thread::sleep(Duration::from_millis(2));
        assert!(budget.over() && budget.work >= 3_200_000);
        let mut budget = Budget::new(1_000_000, None, None);
        std::thread::sleep(Duration::from_millis(2));
        assert!(!budget.over() && budget.work == 0);
    }
}
