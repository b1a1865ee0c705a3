//! How long a search may go on.

use super::math;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Counts work and says when to stop. Only the work decides what a search does; the clock can but cut it short.
pub(super) struct Budget<'a> {
    pub(super) work: u64,
    pub(super) limit: u64,
    deadline: Option<Instant>,
    cancel: Option<&'a AtomicBool>,
    /// Whether the clock, or the caller, ended the search.
    pub(super) capped: bool,
    /// Whether to search no longer than running the plan takes.
    pub(super) frugal: bool,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limit: u64, deadline: Option<Instant>, cancel: Option<&'a AtomicBool>) -> Budget<'a> {
        Budget { work: 0, limit, deadline, cancel, capped: false, frugal: false }
    }

    /// Whether the search has to end.
    pub(super) fn over(&mut self) -> bool {
        if !self.capped {
            let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let cancelled = self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed));
            self.capped = late || cancelled;
        }
        self.capped || self.work >= self.limit
    }

    /// A budget of what is left, for a part of the search that counts its own work.
    pub(super) fn part(&self) -> Budget<'a> {
        Budget { limit: self.left(), ..Budget::new(0, self.deadline, self.cancel) }
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
