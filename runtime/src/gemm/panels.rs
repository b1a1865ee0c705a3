//! Panels: columns that are packed and multiplied together, as many as a tile takes.

use super::groups::Free;
use super::plan::Ready;

/// How columns are cut into panels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Panels {
    /// The columns of the innermost axis are side by side in C; each run of them is cut on its own.
    Runs {
        /// Panels of a run.
        of_run: usize,
        /// Vectors of a run.
        vectors: usize,
        /// How many runs that follow each other are side by side in B, if their panels are packed together; 1 if not.
        /// Panels of one part of these runs follow each other.
        beside: usize,
    },
    /// Any column follows any other; panels take as many as there is room for.
    Flat,
}

/// Some columns, packed side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Panel {
    /// The first column's number.
    pub first: usize,
    /// The first column's offset in B.
    pub b: isize,
    /// The first column's offset in C.
    pub c: isize,
    /// How many there are.
    pub columns: usize,
    /// How many there is room for: whole vectors.
    pub room: usize,
}

impl Ready {
    /// How many panels there are.
    pub fn panels_len(&self) -> usize {
        match self.panels {
            Panels::Runs { of_run, .. } => {
                let run = self.columns.first().map_or(1, |axis| axis.extent);
                self.columns_len / run.max(1) * of_run
            }
            Panels::Flat => self.columns_len.div_ceil(self.panel_columns),
        }
    }

    /// Where a panel is.
    pub fn panel(&self, number: usize) -> Panel {
        match self.panels {
            Panels::Runs { of_run, vectors, beside } => {
                let (rest, near) = (number / beside, number % beside);
                let (run, part) = (rest / of_run * beside + near, rest % of_run);
                // The first panels of a run take one vector more, if they do not come out even.
                let (each, more) = (vectors / of_run, vectors % of_run);
                let start = (part * each + part.min(more)) * self.lanes;
                let inner =
                    self.columns.first().copied().unwrap_or(Free { extent: 1, c: 1, ..Free::default() });
                let room = (each + usize::from(part < more)) * self.lanes;
                let (mut b, mut c) = (start as isize * inner.from, start as isize);
                let mut rest = run;
                for axis in self.columns.iter().skip(1) {
                    let index = (rest % axis.extent) as isize;
                    rest /= axis.extent;
                    b += index * axis.from;
                    c += index * axis.c;
                }
                let first = run * inner.extent + start;
                Panel { first, b, c, columns: room.min(inner.extent - start), room }
            }
            Panels::Flat => {
                let start = number * self.panel_columns;
                let columns = self.panel_columns.min(self.columns_len - start);
                Panel { first: start, b: 0, c: 0, columns, room: columns.next_multiple_of(self.lanes) }
            }
        }
    }
}
