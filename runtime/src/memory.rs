//! Zeroed memory aligned to 64 bytes: small blocks from the allocator, large ones from the system in huge pages.
//!
//! With pages of 4 KiB a strided walk through a large tensor misses the TLB with every step, and taking new memory costs
//! a fault for each page; Linux gives pages of 2 MiB to who asks.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Bytes from which on memory is in huge pages, where the system has them: two of them.
pub(crate) const HUGE_FROM: usize = 4 << 20;

/// Bytes aligned to 64, zero when made.
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
    /// `None` where memory is short.
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
            return unsafe { huge::unmap(self.data, self.len) };
        }
        debug_assert!(!self.mapped);
        let layout = Self::layout(self.len).expect("the layout was valid when the memory was taken");
        // SAFETY: `data` came from `alloc_zeroed` with this very layout.
        unsafe { dealloc(self.data, layout) }
    }
}

#[cfg(target_os = "linux")]
mod huge {
    use std::ptr::null_mut;

    /// Bytes of a huge page.
    const PAGE: usize = 2 << 20;

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

    /// Gives memory back.
    ///
    /// # Safety
    /// `data` came from [`map`] with that length, and nobody uses it any more.
    pub unsafe fn unmap(data: *mut u8, len: usize) {
        let taken = taken(len).expect("the length was valid when the memory was taken");
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(data.cast(), taken) };
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

    #[test]
    fn lengths_that_no_memory_has_are_refused() {
        for len in [usize::MAX, isize::MAX as usize, isize::MAX as usize - 4096] {
            assert!(AlignedBytes::new(len).is_none(), "{len}");
        }
    }
}
