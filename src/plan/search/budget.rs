//! How long a search may go on.

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
}

impl<'a> Budget<'a> {
    pub(super) fn new(limit: u64, deadline: Option<Instant>, cancel: Option<&'a AtomicBool>) -> Budget<'a> {
        Budget { work: 0, limit, deadline, cancel, capped: false }
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

    /// The work that is left.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.work)
    }
}
