//! Which sums count for a pack of rows or columns: zeros before the first and behind the last are not multiplied.
//!
//! Operands are often zero far from a diagonal: interpolation, banded and triangular matrices, causal weights, blocks.
//! Who packs them looks for zeros from both ends of each pack, which takes one look each where there are none. A product
//! with zero is zero only if the other factor is a finite number, so a pack is multiplied by spans of other packs only
//! once it is known to hold such numbers alone. What is added up is the same in the same order, so results are too.

use super::machine::HasKernels;
use std::ops::Range;

/// The sums from the first to the last at which a pack is not zero throughout, of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    first: u32,
    end: u32,
    /// Whether the pack holds finite numbers alone, once that has been asked.
    pub finite: Option<bool>,
}

/// How a pack of rows or columns lies in memory: in lines of so many elements for each sum, one sum after another.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub count: usize,
    /// From one line to the next.
    pub stride: isize,
    pub width: usize,
}

/// Elements that are looked at in one go.
const AT_ONCE: usize = 64;

/// How many zeros come before all other elements, which are given one by one and, in the same order, in chunks.
fn zeros<'a, T: HasKernels>(
    elements: impl Iterator<Item = &'a T> + Clone,
    chunks: impl Iterator<Item = &'a [T]>,
) -> usize {
    let is_zero = |element: &T| *element == T::default();
    // As a rule there are none, and the first one tells.
    if elements.clone().next().is_some_and(|element| !is_zero(element)) {
        return 0;
    }
    let all_zeros = |chunk: &&[T]| chunk.iter().fold(true, |all, element| all & is_zero(element));
    let skipped = chunks.take_while(all_zeros).map(<[T]>::len).sum();
    skipped + elements.skip(skipped).take_while(|element| is_zero(element)).count()
}

impl Lines {
    /// One line of all sums, with so many elements for each.
    pub fn of_sums(width: usize) -> Lines {
        Lines { count: 1, stride: 0, width }
    }

    /// The lines of a pack of so many sums.
    ///
    /// # Safety
    /// The pack is good for all of them, and nobody writes to it meanwhile.
    unsafe fn each<'p, T: 'p>(&self, pack: *const T, sums: usize) -> impl Iterator<Item = &'p [T]> {
        let Lines { count, stride, width } = *self;
        // SAFETY: the caller's promise.
        let line =
            move |at| unsafe { std::slice::from_raw_parts(pack.offset(at as isize * stride), width * sums) };
        (0..count).map(line)
    }

    /// The sums of a pack, of so many, that count.
    ///
    /// # Safety
    /// As [`Lines::each`].
    pub unsafe fn span<T: HasKernels>(&self, pack: *const T, sums: usize) -> Span {
        let width = self.width;
        let (mut first, mut behind) = (sums, sums);
        // SAFETY: the caller's promise.
        for line in unsafe { self.each(pack, sums) } {
            // No line is looked at farther than the others had zeros, most of them not at all.
            if first > 0 {
                let line = &line[..first * width];
                first = zeros(line.iter(), line.chunks(AT_ONCE)) / width;
            }
            if behind > 0 {
                let line = &line[line.len() - behind * width..];
                behind = zeros(line.iter().rev(), line.rchunks(AT_ONCE)) / width;
            }
        }
        let end = (sums - behind).max(first);
        Span { first: first as u32, end: end as u32, finite: None }
    }

    /// Whether a pack of so many sums holds finite numbers alone.
    ///
    /// # Safety
    /// As [`Lines::each`].
    pub unsafe fn is_finite<T: HasKernels>(&self, pack: *const T, sums: usize) -> bool {
        let finite = |chunk: &[T]| chunk.iter().fold(true, |finite, element| finite & element.is_finite());
        // SAFETY: the caller's promise.
        unsafe { self.each(pack, sums) }.all(|line| line.chunks(AT_ONCE).all(finite))
    }
}

impl Span {
    pub fn range(&self) -> Range<usize> {
        self.first as usize..self.end as usize
    }

    /// Whether enough sums of so many are left out that it pays to know more of what they are multiplied with.
    pub fn is_short(&self, sums: usize) -> bool {
        self.range().len() * 8 <= sums * 7
    }
}
