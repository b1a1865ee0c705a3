//! Rows of numbers, one for each prime, on several threads.

use crate::pool;

/// Below so many numbers, threads cost more than they save.
const PARALLEL: usize = 1 << 13;

/// Calls `work` with the number and the contents of each row of `ring` numbers.
pub(crate) fn for_rows(data: &mut [u64], ring: usize, work: &(dyn Fn(usize, &mut [u64]) + Sync)) {
    if data.len() < PARALLEL {
        data.chunks_exact_mut(ring).enumerate().for_each(|(number, row)| work(number, row));
        return;
    }
    struct Start(*mut u64);
    // SAFETY: threads use it for rows that do not overlap.
    unsafe impl Sync for Start {}
    impl Start {
        fn at(&self, offset: usize) -> *mut u64 {
            self.0.wrapping_add(offset)
        }
    }
    let start = Start(data.as_mut_ptr());
    pool::parallel(data.len() / ring, &|number| {
        // SAFETY: the row is within `data`, which is borrowed for the call, and each number comes once.
        let row = unsafe { std::slice::from_raw_parts_mut(start.at(number * ring), ring) };
        work(number, row);
    });
}
