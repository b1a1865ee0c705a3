//! Threads that kernels share.
//!
//! One pool serves the process. Its threads start with the first call that needs them, wait for the next call by
//! spinning briefly and then sleep. A call hands out indices one by one to whoever is free, the caller among them, and
//! returns when all are done. A call within a call, or one made while another thread's call uses the pool, runs on its
//! own thread: never a deadlock, never more threads than asked for.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Turns of the waiting loop before a thread sleeps, some tens of microseconds.
const SPINS: u32 = 1500;

/// The most threads a pool has.
const MAX_THREADS: usize = 1024;

/// What is being done now, in one word so that it changes at once.
///
/// From the top: the number of the call (31 bits), whether it still takes helpers (1), how many it may have (16), how
/// many it has (16).
#[derive(Clone, Copy)]
struct State(u64);

impl State {
    const OPEN: u64 = 1 << 32;

    fn call(self) -> u64 {
        self.0 >> 33
    }

    fn helpers(self) -> u64 {
        self.0 & 0xffff
    }

    fn may_join(self) -> bool {
        self.0 & State::OPEN != 0 && self.helpers() < self.0 >> 16 & 0xffff
    }
}

/// One call's work.
struct Job {
    work: *const (dyn Fn(usize) + Sync),
    count: usize,
}

struct Pool {
    state: AtomicU64,
    /// Written by the caller who holds `busy`, while no helper is in; read by helpers who have joined.
    job: UnsafeCell<Job>,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleeping: AtomicUsize,
    door: Mutex<()>,
    wake: Condvar,
    left: Condvar,
    /// Held by the caller; holds how many helper threads exist.
    busy: Mutex<usize>,
}

// SAFETY: `job` is only written while nobody else may read it, see its docs, and what it points to is `Sync`.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool::new();

fn nothing(_: usize) {}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread works for a call already.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// How many threads a call uses at most, the caller's included. At first as many as the machine runs at once.
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => {
            let available = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
            THREADS.store(available, Ordering::Relaxed);
            available
        }
        threads => threads,
    }
}

/// Sets how many threads a call uses at most, the caller's included: at least 1, at most 1024.
pub fn set_threads(threads: usize) {
    THREADS.store(threads.clamp(1, MAX_THREADS), Ordering::Relaxed);
}

/// Calls `work(0)`, `work(1)`, .. `work(count - 1)`, each once, on as many threads as [`threads`] says.
///
/// # Panics
/// With the first panic of `work`, once every thread has left it; indices not begun by then may be skipped.
pub fn parallel(count: usize, work: &(dyn Fn(usize) + Sync)) {
    let helpers = threads().min(count).saturating_sub(1);
    if helpers == 0 || INSIDE.get() {
        return (0..count).for_each(work);
    }
    match POOL.busy.try_lock() {
        Ok(busy) => POOL.run(busy, helpers, count, work),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => {
            POOL.run(poisoned.into_inner(), helpers, count, work);
        }
        Err(std::sync::TryLockError::WouldBlock) => (0..count).for_each(work),
    }
}

impl Pool {
    const fn new() -> Pool {
        Pool {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(Job { work: &nothing, count: 0 }),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            sleeping: AtomicUsize::new(0),
            door: Mutex::new(()),
            wake: Condvar::new(),
            left: Condvar::new(),
            busy: Mutex::new(0),
        }
    }

    fn run(
        &'static self,
        mut busy: MutexGuard<'_, usize>,
        helpers: usize,
        count: usize,
        work: &(dyn Fn(usize) + Sync),
    ) {
        while *busy < helpers {
            let thread = std::thread::Builder::new().name("einc".to_owned());
            if thread.spawn(|| self.help()).is_err() {
                break;
            }
            *busy += 1;
        }
        // SAFETY: only the lifetime changes; this function returns after the last helper has left the job.
        let work: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        // SAFETY: this thread holds `busy` and the last call has seen all its helpers leave, so nobody reads.
        unsafe { *self.job.get() = Job { work, count } };
        self.next.store(0, Ordering::Relaxed);
        let call = State(self.state.load(Ordering::Relaxed)).call().wrapping_add(1);
        self.state.store(call << 33 | State::OPEN | (helpers as u64) << 16, Ordering::SeqCst);
        let sleeping = self.sleeping.load(Ordering::SeqCst);
        if sleeping > 0 {
            let _door = lock(&self.door);
            if helpers >= sleeping {
                self.wake.notify_all();
            } else {
                (0..helpers).for_each(|_| self.wake.notify_one());
            }
        }
        INSIDE.set(true);
        self.work_off();
        INSIDE.set(false);
        self.state.fetch_and(!State::OPEN, Ordering::AcqRel);
        let is_alone = || State(self.state.load(Ordering::Acquire)).helpers() == 0;
        if !spin_until(is_alone) {
            let mut door = lock(&self.door);
            while !is_alone() {
                door = self.left.wait(door).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let panic = lock(&self.panic).take();
        drop(busy);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Takes indices until there are none. Called between joining and leaving, or by the caller.
    fn work_off(&self) {
        // SAFETY: the job is not written before every helper has left.
        let Job { work, count } = unsafe { &*self.job.get() };
        // SAFETY: the caller keeps what `work` points to alive until every helper has left.
        let work = unsafe { &**work };
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= *count {
                    break;
                }
                work(index);
            }
        }));
        if let Err(panic) = result {
            self.next.store(*count, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(panic);
        }
    }

    /// The life of a helper.
    fn help(&self) {
        INSIDE.set(true);
        let mut seen = 0;
        loop {
            let news = || State(self.state.load(Ordering::Acquire)).call() != seen;
            if !spin_until(news) {
                let mut door = lock(&self.door);
                self.sleeping.fetch_add(1, Ordering::SeqCst);
                while State(self.state.load(Ordering::SeqCst)).call() == seen {
                    door = self.wake.wait(door).unwrap_or_else(PoisonError::into_inner);
                }
                self.sleeping.fetch_sub(1, Ordering::SeqCst);
            }
            let mut state = State(self.state.load(Ordering::Acquire));
            while state.may_join() {
                match self.state.compare_exchange_weak(
                    state.0,
                    state.0 + 1,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => {
                        self.work_off();
                        let left = State(self.state.fetch_sub(1, Ordering::AcqRel));
                        if left.helpers() == 1 && left.0 & State::OPEN == 0 {
                            let _door = lock(&self.door);
                            self.left.notify_all();
                        }
                        break;
                    }
                    Err(now) => state = State(now),
                }
            }
            seen = state.call();
        }
    }
}

/// Waits a little; whether it came true.
fn spin_until(done: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        let done = done();
        std::hint::spin_loop();
        done
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests that set the number of threads take turns.
    static TURN: Mutex<()> = Mutex::new(());

    fn each_once(count: usize) {
        let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        parallel(count, &|k| {
            seen[k].fetch_add(1, Ordering::Relaxed);
        });
        assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_index_runs_once() {
        let _turn = lock(&TURN);
        for threads in [1, 2, 3, 8, 2, 5] {
            set_threads(threads);
            for count in [0, 1, 2, 3, 7, 1000] {
                each_once(count);
            }
        }
        for _ in 0..2000 {
            each_once(4);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        each_once(100);
    }

    #[test]
    fn calls_within_calls_and_beside_calls_finish() {
        let _turn = lock(&TURN);
        set_threads(4);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        parallel(5, &|_| {
                            parallel(3, &|k| {
                                total.fetch_add(k, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 100 * 5 * 3);
    }

    #[test]
    fn no_more_threads_work_than_were_asked_for() {
        // Tests beside this one use the pool of the process, and a call that finds it in use works alone.
        static OWN: Pool = Pool::new();
        OWN.run(lock(&OWN.busy), 5, 100, &nothing);
        assert_eq!(*lock(&OWN.busy), 5);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = std::time::Instant::now();
        OWN.run(lock(&OWN.busy), 1, 40, &|_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // A busy machine may take its time to let the second thread run.
            while most.load(Ordering::SeqCst) < 2 && start.elapsed().as_secs() < 60 {
                std::thread::yield_now();
            }
            std::thread::sleep(std::time::Duration::from_micros(200));
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert_eq!(most.into_inner(), 2);
    }

    #[test]
    fn panics_reach_the_caller_and_the_pool_lives_on() {
        let _turn = lock(&TURN);
        set_threads(3);
        for at in [0, 57, 99] {
            let panic = catch_unwind(|| parallel(100, &|k| assert_ne!(k, at, "bad index")));
            let message = panic.unwrap_err();
            assert!(message.downcast_ref::<String>().unwrap().contains("bad index"));
            each_once(100);
        }
        assert_eq!(threads(), 3);
        set_threads(0);
        assert_eq!(threads(), 1);
        set_threads(4);
    }
}
