//! Clear slot vectors, stored small.

use std::iter::repeat_n;

/// One number for every slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// The same number in every slot.
    Splat(f64),
    /// These numbers over and over; their count divides the number of slots.
    Periodic(Vec<f64>),
    /// Numbers, each as often as said in a row; together as many as there are slots.
    Runs(Vec<(u32, f64)>),
    /// A number for each slot.
    Dense(Vec<f64>),
}

impl Values {
    /// The smallest form of a vector, which has a power of two of numbers.
    pub fn from_dense(dense: &[f64]) -> Values {
        // Bits are compared, so that -0 stays what it is.
        let equal = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
        let mut period = dense.len();
        while period > 1 && period.is_multiple_of(2) {
            let half = period / 2;
            if !dense[..half].iter().zip(&dense[half..period]).all(|(a, b)| equal(a, b)) {
                break;
            }
            period = half;
        }
        let runs: Vec<(u32, f64)> = dense.chunk_by(equal).map(|run| (run.len() as u32, run[0])).collect();
        if runs.len() == 1 {
            Values::Splat(runs[0].1)
        } else if period < dense.len() && period <= 2 * runs.len() {
            Values::Periodic(dense[..period].to_vec())
        } else if runs.len() < dense.len() / 2 {
            Values::Runs(runs)
        } else {
            Values::Dense(dense.to_vec())
        }
    }

    /// The number of each slot. The vector must fit the number of slots, see [`Values::fits`].
    pub fn to_dense(&self, slots: u32) -> Vec<f64> {
        match self {
            Values::Splat(value) => vec![*value; slots as usize],
            Values::Periodic(values) => values.iter().copied().cycle().take(slots as usize).collect(),
            Values::Runs(runs) => {
                runs.iter().flat_map(|&(count, value)| repeat_n(value, count as usize)).collect()
            }
            Values::Dense(values) => values.clone(),
        }
    }

    /// Whether it says a number for each of that many slots, no more and no less.
    pub fn fits(&self, slots: u32) -> bool {
        match self {
            Values::Splat(_) => true,
            Values::Periodic(values) => !values.is_empty() && (slots as usize).is_multiple_of(values.len()),
            Values::Runs(runs) => {
                let total = runs.iter().try_fold(0u32, |sum, &(count, _)| sum.checked_add(count));
                total == Some(slots) && runs.iter().all(|&(count, _)| count > 0)
            }
            Values::Dense(values) => values.len() == slots as usize,
        }
    }

    /// The numbers that occur.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Values::Splat(value) => vec![*value],
            Values::Periodic(values) | Values::Dense(values) => values.clone(),
            Values::Runs(runs) => runs.iter().map(|&(_, value)| value).collect(),
        }
    }
}
