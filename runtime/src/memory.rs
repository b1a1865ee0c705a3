//! Memory aligned to 64 bytes: small blocks from the allocator, large ones from the system in huge pages.
//!
//! With pages of 4 KiB a strided walk through a large tensor misses the TLB with every step, and taking new memory costs
//! a fault for each page; Linux gives pages of 2 MiB to who asks. It clears them, which takes a tenth of a simple
//! program's time: some large blocks that are given back are kept for results, which are written as a whole.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Bytes from which on memory is in huge pages, where the system has them: two of them.
pub(crate) const HUGE_FROM: usize = 4 << 20;

/// Bytes aligned to 64.
#[derive(Debug)]
pub(crate) struct AlignedBytes {
    data: *mut u8,
    len: usize,
    /// Whether `data` is a mapping of its own.
    mapped: bool,
}

// SAFETY: `AlignedBytes` owns its memory alone, like `Vec<u8>`.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared access is read-only.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// Zeros. `None` where memory is short.
    pub fn new(len: usize) -> Option<AlignedBytes> {
        #[cfg(target_os = "linux")]
        if len >= HUGE_FROM {
            return huge::map(len).map(|data| AlignedBytes { data, len, mapped: true });
        }
        let layout = Self::layout(len)?;
        // SAFETY: the layout's size is at least 1.
        let data = unsafe { alloc_zeroed(layout) };
        (!data.is_null()).then_some(AlignedBytes { data, len, mapped: false })
    }

    /// Bytes that hold anything: zeros, or what was written before to a block that was given back. `None` where memory
    /// is short.
    pub fn used(len: usize) -> Option<AlignedBytes> {
        #[cfg(target_os = "linux")]
        if let Some(data) = huge::kept(len) {
            return Some(AlignedBytes { data, len, mapped: true });
        }
        AlignedBytes::new(len)
    }

    pub fn data(&self) -> *mut u8 {
        self.data
    }

    pub fn len(&self) -> usize {
        self.len
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.max(1), 64).ok()
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if self.mapped {
            // SAFETY: `data` came from `map` with this very length, and nobody uses it any more.
            return unsafe { huge::give(self.data, self.len) };
        }
        debug_assert!(!self.mapped);
        let layout = Self::layout(self.len).expect("the layout was valid when the memory was taken");
        // SAFETY: `data` came from `alloc_zeroed` with this very layout.
        unsafe { dealloc(self.data, layout) }
    }
}

#[cfg(target_os = "linux")]
mod huge {
    use super::Kept;
    use std::ptr::null_mut;
    use std::sync::{Mutex, PoisonError};

    /// Bytes of a huge page.
    const PAGE: usize = 2 << 20;

    /// A mapping that nobody uses.
    struct Block(*mut u8);

    // SAFETY: `Block` owns its memory alone.
    unsafe impl Send for Block {}

    /// Mappings that were given back last.
    static KEPT: Mutex<Kept<Block>> = Mutex::new(Kept::new(64 << 20));

    /// Bytes that a mapping takes: whole small pages.
    fn taken(len: usize) -> Option<usize> {
        len.checked_next_multiple_of(4096).filter(|&taken| taken <= isize::MAX as usize)
    }

    /// Zeroed memory that starts at a huge page. `None` where there is none.
    pub fn map(len: usize) -> Option<*mut u8> {
        let taken = taken(len)?;
        // Enough more that a huge page begins within; what is before and behind it goes back.
        let all = taken.checked_add(PAGE)?;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping overlaps nothing.
        let start = unsafe { libc::mmap(null_mut(), all, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let before = start.align_offset(PAGE);
        // SAFETY: both ends and the middle lie within the mapping, on small pages, and nobody uses the ends.
        unsafe {
            let data = start.add(before);
            if before > 0 {
                libc::munmap(start, before);
            }
            if before < PAGE {
                libc::munmap(data.add(taken), PAGE - before);
            }
            // A wish: where it is not granted, pages are small.
            libc::madvise(data, taken, libc::MADV_HUGEPAGE);
            Some(data.cast())
        }
    }

    /// A mapping of that size that was given back, if one is kept.
    pub fn kept(len: usize) -> Option<*mut u8> {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take(taken(len)?).map(|block| block.0)
    }

    /// Gives memory back: what was given back last is kept, the rest goes to the system.
    ///
    /// # Safety
    /// `data` came from [`map`] or [`kept`] with that length, and nobody uses it any more.
    pub unsafe fn give(data: *mut u8, len: usize) {
        let taken = taken(len).expect("the length was valid when the memory was taken");
        let gone = KEPT.lock().unwrap_or_else(PoisonError::into_inner).give(taken, Block(data));
        for (taken, block) in gone {
            // SAFETY: the block is a mapping of so many bytes, and nobody uses it.
            unsafe { libc::munmap(block.0.cast(), taken) };
        }
    }
}

/// Blocks for use again, with their bytes: those that were given back last, of so many bytes at most.
#[cfg(target_os = "linux")]
struct Kept<T> {
    most: usize,
    /// The last is the one that was given back last.
    blocks: Vec<(usize, T)>,
}

#[cfg(target_os = "linux")]
impl<T> Kept<T> {
    const fn new(most: usize) -> Kept<T> {
        Kept { most, blocks: Vec::new() }
    }

    /// The block of just that size that was given back last.
    fn take(&mut self, bytes: usize) -> Option<T> {
        let at = self.blocks.iter().rposition(|block| block.0 == bytes)?;
        Some(self.blocks.remove(at).1)
    }

    /// Keeps a block; returns those that must go for it, or itself if it is too large.
    fn give(&mut self, bytes: usize, block: T) -> Vec<(usize, T)> {
        if bytes > self.most {
            return vec![(bytes, block)];
        }
        self.blocks.push((bytes, block));
        let mut sum = 0usize;
        let kept = self.blocks.iter().rev().take_while(|block| {
            sum = sum.saturating_add(block.0);
            sum <= self.most
        });
        let gone = self.blocks.len() - kept.count();
        self.blocks.drain(..gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zero_aligned_and_whole_at_any_length() {
        for len in [0, 1, 63, 4096, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (9 << 20) + 4095, 16 << 20] {
            let bytes = AlignedBytes::new(len).unwrap();
            assert_eq!((bytes.data() as usize % 64, bytes.len()), (0, len));
            // SAFETY: the memory is `len` bytes long, and nobody else uses it.
            let slice = unsafe { std::slice::from_raw_parts_mut(bytes.data(), len) };
            assert!(slice.iter().all(|&byte| byte == 0), "{len}");
            slice.fill(1);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn blocks_that_were_given_back_last_are_kept() {
        let mut kept = Kept::new(100);
        assert_eq!(kept.take(40), None);
        assert_eq!(kept.give(40, "a"), []);
        assert_eq!(kept.give(40, "b"), []);
        assert_eq!(
            (kept.take(30), kept.take(40), kept.take(40), kept.take(40)),
            (None, Some("b"), Some("a"), None)
        );
        assert_eq!(kept.give(40, "c"), []);
        assert_eq!(kept.give(60, "d"), []);
        // Others go for a block that fits, and none for one that does not.
        assert_eq!(kept.give(50, "e"), [(40, "c"), (60, "d")]);
        assert_eq!(kept.give(101, "f"), [(101, "f")]);
        assert_eq!(kept.give(usize::MAX, "g"), [(usize::MAX, "g")]);
        assert_eq!(kept.give(0, "h"), []);
        assert_eq!((kept.take(50), kept.take(0)), (Some("e"), Some("h")));
    }

    #[test]
    fn memory_that_was_used_before_is_whole_and_new_memory_is_zero() {
        let len = 6 << 20;
        for _ in 0..3 {
            let bytes = AlignedBytes::used(len).unwrap();
            assert_eq!((bytes.data() as usize % 64, bytes.len()), (0, len));
            // SAFETY: the memory is `len` bytes long, and nobody else uses it.
            unsafe { std::slice::from_raw_parts_mut(bytes.data(), len) }.fill(3);
            drop(bytes);
            let zeros = AlignedBytes::new(len).unwrap();
            // SAFETY: as above.
            assert!(unsafe { std::slice::from_raw_parts(zeros.data(), len) }.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn lengths_that_no_memory_has_are_refused() {
        for len in [usize::MAX, isize::MAX as usize, isize::MAX as usize - 4096] {
            assert!(AlignedBytes::new(len).is_none(), "{len}");
        }
    }
}
