//! Clocks, and the best of several calls.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A time in seconds: of this thread on a core if it works alone, so that other processes do not count; else of the wall.
pub fn now(threads: usize) -> f64 {
    let id = if threads == 1 { ClockId::ThreadCPUTime } else { ClockId::Monotonic };
    let time = clock_gettime(id);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The least time of one call, in seconds: calls for about that long, at least three times, several at a time where one is too short for the
/// clock.
pub fn best(threads: usize, time: Duration, call: &mut dyn FnMut()) -> f64 {
    const LEAST: f64 = 20e-6;
    let start = Instant::now();
    let (repeats, taken) = repeats(threads, LEAST, call);
    let (mut best, mut calls) = (taken, 1);
    while calls < 3 || start.elapsed() < time {
        best = best.min(timed(threads, repeats, call));
        calls += 1;
    }
    best / f64::from(repeats)
}

/// How many calls take at least so many seconds together, and what they took.
pub fn repeats(threads: usize, least: f64, call: &mut dyn FnMut()) -> (u32, f64) {
    let mut repeats = 1;
    let mut taken = timed(threads, 1, call);
    while taken < least && repeats < 1 << 20 {
        repeats = (repeats * 2).max((f64::from(repeats) * least / taken.max(1e-9)) as u32).min(1 << 20);
        taken = timed(threads, repeats, call);
    }
    (repeats, taken)
}

/// The seconds that so many calls take together.
pub fn timed(threads: usize, repeats: u32, call: &mut dyn FnMut()) -> f64 {
    let start = now(threads);
    (0..repeats).for_each(|_| call());
    now(threads) - start
}
