//! Which axes are neighbours: those that share a tensor.

/// The neighbours of every axis as rows of bits, each axis among its own.
pub(super) struct Neighbours {
    rows: Vec<u64>,
    words: usize,
}

impl Neighbours {
    /// The most words that all rows take.
    const MOST: usize = 1 << 22;

    /// Of so many axes none are neighbours; none where there are too many axes.
    pub(super) fn new(axes: usize) -> Option<Neighbours> {
        let words = axes.div_ceil(64);
        (axes * words <= Neighbours::MOST).then(|| Neighbours { rows: vec![0; axes * words], words })
    }

    /// Makes all axes of a tensor neighbours.
    pub(super) fn join(&mut self, list: &[u32]) {
        for &axis in list {
            let row = &mut self.rows[axis as usize * self.words..(axis as usize + 1) * self.words];
            list.iter().for_each(|&other| row[other as usize / 64] |= 1 << (other % 64));
        }
    }

    /// Whether every axis of one tensor is a neighbour of every axis of another.
    pub(super) fn are(&self, first: &[u32], second: &[u32]) -> bool {
        first.iter().all(|&axis| {
            let row = &self.rows[axis as usize * self.words..(axis as usize + 1) * self.words];
            second.iter().all(|&other| row[other as usize / 64] >> (other % 64) & 1 != 0)
        })
    }
}
