//! Products whose result is computed with its axes in the other order, and turned when it is whole.
//!
//! The innermost axis of the result says which operand fills vectors: that one is packed, with a transposition where its
//! sums lie side by side, while rows may be read where they are. Where the sums of both operands lie so, as those of a
//! layer's inputs and of its weights, and many columns meet few rows, to pack the columns takes as long as to multiply them
//! with some twenty rows. With the axes of the result in the other order the few are packed instead.

use super::plan::{FAR, Ready, Way};
use super::{Axis, Gemm};
use crate::permute::{CopyAxis, PermutePlan};

/// Rows up to which packing the columns counts, and sums from which on: as measured, half of the time with 16 rows, a third
/// with 48, a tenth with 160, and nothing that could be told with 300.
const FEW_ROWS: usize = 256;
const LEAST_SUMS: usize = 64;

/// How many elements that are not packed anew pay for one of the result that is turned.
const WORTH: f64 = 8.0;

/// How a result that was computed in another order gets to its place.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub elements: usize,
    pub back: PermutePlan,
}

impl Turn {
    /// The product with its result in the other order, and how that is turned, where this pays.
    pub fn of(gemm: &Gemm, ready: &Ready) -> Option<(Gemm, Turn)> {
        let lies_along_sums = ready.a_run >= 8 && ready.b_run >= 8 && !ready.b_unpacked;
        let leaves_out = ready.chooses || ready.band.is_some() || ready.mirrored;
        let is_plain = ready.way == Way::Blocks && ready.listed.is_none() && !leaves_out;
        let (rows, columns, sums) = (ready.rows_len as f64, ready.columns_len as f64, ready.sums_len as f64);
        let saved = (columns - rows) * sums;
        // Few rows leave vectors half empty, which counts where the columns are near.
        let fills = ready.rows_len * 4 >= ready.rows_len.next_multiple_of(ready.lanes) * 3;
        let is_far = columns * sums * gemm.dtype.bytes() as f64 >= FAR as f64;
        let is_size = ready.rows_len <= FEW_ROWS && ready.sums_len >= LEAST_SUMS && (fills || is_far);
        let pays = is_size && saved >= WORTH * rows * columns;
        if !lies_along_sums || !is_plain || !pays || gemm.accumulate || ready.batch_len != 1 {
            return None;
        }
        let mut turned = gemm.clone();
        let Gemm { batch, m, n, k, .. } = &mut turned;
        // Which list an axis is in does not matter.
        let kept = |axis: &&mut Axis| axis.c != 0 && axis.extent > 1;
        let mut kept: Vec<&mut Axis> = [batch, m, n, k].into_iter().flatten().filter(kept).collect();
        let stride = |axis: &Axis, of_rows: bool| if of_rows != ready.swapped { axis.a } else { axis.b };
        if kept.iter().any(|axis| (axis.a == 0) == (axis.b == 0)) {
            return None;
        }
        // Those of rows are inside, each operand's as they lie.
        kept.sort_by_key(|axis| {
            let is_outside = stride(axis, true) == 0;
            (is_outside, stride(axis, !is_outside).unsigned_abs())
        });
        let (mut elements, mut axes) = (1i64, Vec::new());
        for axis in kept {
            axes.push(CopyAxis { extent: axis.extent, from: elements, to: axis.c });
            axis.c = elements;
            elements = elements.checked_mul(i64::try_from(axis.extent).ok()?)?;
        }
        let back = PermutePlan::new(gemm.dtype.bytes(), &axes)?;
        Some((turned, Turn { elements: usize::try_from(elements).ok()?, back }))
    }
}
