//! Where the elements of a tensor lie in the slots of its ciphertexts, for whoever encrypts and decrypts.
//!
//! ```text
//! layout input A = A 4x128: 0 0 0 512*1,1
//! layout output o = o 128: 0 0 0 128*128,1
//! ```
//!
//! says: input `A` holds tensor `A` of shape 4 by 128; in ciphertext 0, from slot 0 and element 0 (row-major), 512
//! elements follow each other at a step of one slot and one element. A second `count*slots,elements` repeats the first.
//! Several pieces are divided by `;`. Slots without an element are zero in inputs, and unread in outputs.

use std::fmt;

/// Where the elements of a tensor lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The name of the tensor; several inputs may hold one tensor, each in a layout of its own.
    pub tensor: String,
    /// Its extents; elements are numbered row-major.
    pub shape: Vec<u64>,
    /// What lies where.
    pub pieces: Vec<Piece>,
}

/// Elements that lie at steps: `slot + i inner.slots + j outer.slots` of the ciphertext holds element
/// `element + i inner.elements + j outer.elements`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The number of the ciphertext.
    pub ciphertext: u32,
    /// The first slot.
    pub slot: u32,
    /// The first element.
    pub element: u64,
    /// How they follow each other.
    pub inner: Step,
    /// How those repeat.
    pub outer: Step,
}

/// A repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How often, at least once.
    pub count: u32,
    /// Slots from one to the next.
    pub slots: u32,
    /// Elements from one to the next; 0 for copies.
    pub elements: i64,
}

impl Step {
    /// Once.
    pub const ONCE: Step = Step { count: 1, slots: 0, elements: 0 };
}

impl Layout {
    /// From the element of each slot, ciphertext by ciphertext; `None` for a slot without one.
    pub fn from_slots(tensor: &str, shape: &[u64], ciphertexts: &[Vec<Option<u64>>]) -> Layout {
        let mut pieces: Vec<Piece> = Vec::new();
        for (ciphertext, slots) in ciphertexts.iter().enumerate() {
            let first = pieces.len();
            for run in runs(ciphertext as u32, slots) {
                match pieces[first..].last_mut() {
                    Some(last) if joins(last, &run) => last.outer.count += 1,
                    Some(last) if last.outer == Step::ONCE && last.inner.count == run.inner.count => {
                        let outer = Step {
                            count: 2,
                            slots: run.slot - last.slot,
                            elements: run.element as i64 - last.element as i64,
                        };
                        if last.inner == run.inner {
                            last.outer = outer;
                        } else {
                            pieces.push(run);
                        }
                    }
                    _ => pieces.push(run),
                }
            }
        }
        for piece in pieces.iter_mut().filter(|piece| piece.inner == Step::ONCE) {
            std::mem::swap(&mut piece.inner, &mut piece.outer);
        }
        Layout { tensor: tensor.to_owned(), shape: shape.to_vec(), pieces }
    }

    /// How many elements the tensor has; `None` if no number can say it.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent))
    }

    /// Ciphertext, slot and element of all that lie somewhere.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        self.pieces.iter().flat_map(|piece| {
            (0..piece.outer.count).flat_map(move |j| {
                (0..piece.inner.count).map(move |i| {
                    let slot = piece.slot + i * piece.inner.slots + j * piece.outer.slots;
                    let step = i64::from(i) * piece.inner.elements + i64::from(j) * piece.outer.elements;
                    (piece.ciphertext as usize, slot as usize, (piece.element as i64 + step) as usize)
                })
            })
        })
    }

    /// The slots of each ciphertext that hold these elements; zero where there is none.
    ///
    /// The layout must fit, see [`Layout::fits`], and there must be as many elements as it says.
    pub fn pack(&self, elements: &[f64], count: u32, slots: u32) -> Vec<Vec<f64>> {
        let mut packed = vec![vec![0.0; slots as usize]; count as usize];
        for (ciphertext, slot, element) in self.places() {
            packed[ciphertext][slot] = elements[element];
        }
        packed
    }

    /// The elements that these slots hold; copies are averaged. The layout must fit, see [`Layout::fits`].
    pub fn unpack(&self, ciphertexts: &[Vec<f64>]) -> Vec<f64> {
        let mut sums = vec![(0.0, 0u32); self.elements().unwrap_or_default() as usize];
        for (ciphertext, slot, element) in self.places() {
            let sum = &mut sums[element];
            (sum.0, sum.1) = (sum.0 + ciphertexts[ciphertext][slot], sum.1 + 1);
        }
        sums.into_iter().map(|(sum, count)| sum / f64::from(count.max(1))).collect()
    }

    /// Whether every element lies in a slot of so many ciphertexts, and no two in one.
    pub fn fits(&self, count: u32, slots: u32) -> bool {
        let (count, slots) = (u64::from(count), u64::from(slots));
        let Some(elements) = self.elements() else { return false };
        if elements > count.saturating_mul(slots) {
            return false;
        }
        let total = self.pieces.iter().try_fold(0u64, |sum, piece| {
            let last = |step: Step| u64::from(step.count.checked_sub(1)?).checked_mul(u64::from(step.slots));
            let end =
                u64::from(piece.slot).checked_add(last(piece.inner)?)?.checked_add(last(piece.outer)?)?;
            let far = |step: Step| i64::from(step.count - 1).checked_mul(step.elements);
            let first = i64::try_from(piece.element).ok()?;
            let (inner, outer) = (far(piece.inner)?, far(piece.outer)?);
            let (both, inner, outer) = (
                first.checked_add(inner)?.checked_add(outer)?,
                first.checked_add(inner)?,
                first.checked_add(outer)?,
            );
            let within = |element: i64| u64::try_from(element).is_ok_and(|element| element < elements);
            let fits = u64::from(piece.ciphertext) < count
                && end < slots
                && [first, inner, outer, both].into_iter().all(within);
            let number = u64::from(piece.inner.count).checked_mul(u64::from(piece.outer.count))?;
            fits.then(|| sum.checked_add(number)).flatten()
        });
        if total.is_none_or(|total| total > count * slots) {
            return false;
        }
        let mut taken = vec![false; (count * slots) as usize];
        let mut seen = vec![false; elements as usize];
        for (ciphertext, slot, element) in self.places() {
            let place = ciphertext * slots as usize + slot;
            if std::mem::replace(&mut taken[place], true) {
                return false;
            }
            seen[element] = true;
        }
        seen.into_iter().all(|seen| seen)
    }
}

/// Whether a run continues a repetition of runs.
fn joins(last: &Piece, run: &Piece) -> bool {
    let next = |start: i64, step: i64| start + i64::from(last.outer.count) * step;
    last.outer.count > 1
        && last.inner == run.inner
        && next(i64::from(last.slot), i64::from(last.outer.slots)) == i64::from(run.slot)
        && next(last.element as i64, last.outer.elements) == run.element as i64
}

/// Elements that follow each other at one step of elements, slot by slot; or, alone, at any.
fn runs(ciphertext: u32, slots: &[Option<u64>]) -> Vec<Piece> {
    let mut runs: Vec<Piece> = Vec::new();
    let mut end = 0;
    for (slot, element) in slots.iter().enumerate() {
        let Some(element) = *element else { continue };
        if let Some(run) = runs.last_mut().filter(|_| end == slot) {
            let step = if run.inner.count == 1 {
                run.inner.slots = 1;
                run.inner.elements = element as i64 - run.element as i64;
                true
            } else {
                run.element as i64 + i64::from(run.inner.count) * run.inner.elements == element as i64
            };
            if step {
                run.inner.count += 1;
                end = slot + 1;
                continue;
            }
        }
        runs.push(Piece { ciphertext, slot: slot as u32, element, inner: Step::ONCE, outer: Step::ONCE });
        end = slot + 1;
    }
    runs
}

impl fmt::Display for Layout {
    /// `A 4x128: 0 0 0 512*1,1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let shape = if shape.is_empty() { "scalar".to_owned() } else { shape.join("x") };
        write!(f, "{} {shape}:", self.tensor)?;
        for (place, piece) in self.pieces.iter().enumerate() {
            let divider = if place == 0 { "" } else { " ;" };
            write!(f, "{divider} {} {} {}", piece.ciphertext, piece.slot, piece.element)?;
            for step in [piece.inner, piece.outer] {
                if step != Step::ONCE {
                    write!(f, " {}*{},{}", step.count, step.slots, step.elements)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: &[u64], ciphertexts: &[Vec<Option<u64>>], pieces: usize) -> Layout {
        let layout = Layout::from_slots("A", shape, ciphertexts);
        let slots = ciphertexts[0].len() as u32;
        let count = ciphertexts.len() as u32;
        assert!(layout.fits(count, slots), "{layout}");
        let mut found = vec![vec![None; slots as usize]; count as usize];
        layout.places().for_each(|(k, slot, element)| found[k][slot] = Some(element as u64));
        assert_eq!(found, ciphertexts, "{layout}");
        assert_eq!(layout.pieces.len(), pieces, "{layout}");
        let elements: Vec<f64> = (0..layout.elements().unwrap()).map(|k| k as f64 + 1.0).collect();
        assert_eq!(layout.unpack(&layout.pack(&elements, count, slots)), elements);
        layout
    }

    #[test]
    fn usual_layouts_are_a_piece_for_each_ciphertext() {
        let row_major = check(&[4, 4], &[(0..16).map(Some).collect()], 1);
        assert_eq!(row_major.to_string(), "A 4x4: 0 0 0 16*1,1");
        let columns = check(&[4, 4], &[(0..16).map(|s| Some(s % 4 * 4 + s / 4)).collect()], 1);
        assert_eq!(columns.to_string(), "A 4x4: 0 0 0 4*1,4 4*4,1");
        let padded =
            check(&[3, 3], &[(0..16).map(|s| (s % 4 < 3 && s < 12).then(|| s / 4 * 3 + s % 4)).collect()], 1);
        assert_eq!(padded.to_string(), "A 3x3: 0 0 0 3*1,1 3*4,3");
        let copies = check(&[4], &[(0..16).map(|s| Some(s / 4)).collect()], 1);
        assert_eq!(copies.to_string(), "A 4: 0 0 0 4*1,0 4*4,1");
        let spread = check(&[4], &[(0..16).map(|s| (s % 4 == 0).then_some(s / 4)).collect()], 1);
        assert_eq!(spread.to_string(), "A 4: 0 0 0 4*4,1");
        check(&[2, 16], &[(0..16).map(Some).collect(), (16..32).map(Some).collect()], 2);
        check(&[], &[vec![None, Some(0), None, None]], 1);
        // Diagonals: any order is held, in more pieces.
        check(&[4, 4], &[(0..16).map(|s| Some(s % 4 * 4 + (s % 4 + s / 4) % 4)).collect()], 6);
    }

    #[test]
    fn what_does_not_fit_is_found() {
        let good = Layout::from_slots("A", &[4], &[vec![Some(0), Some(1), Some(2), Some(3)]]);
        assert!(good.fits(1, 4) && !good.fits(1, 2) && !good.fits(0, 4));
        let wrong = |change: &dyn Fn(&mut Layout)| {
            let mut layout = good.clone();
            change(&mut layout);
            assert!(!layout.fits(1, 4), "{layout}");
        };
        wrong(&|layout| layout.shape = vec![5]);
        wrong(&|layout| layout.shape = vec![u64::MAX, 2]);
        wrong(&|layout| layout.shape = vec![3]);
        wrong(&|layout| layout.pieces[0].inner.count = 0);
        wrong(&|layout| layout.pieces[0].inner.count = u32::MAX);
        wrong(&|layout| layout.pieces[0].inner.slots = 0);
        wrong(&|layout| layout.pieces[0].inner.elements = i64::MIN);
        wrong(&|layout| layout.pieces[0].element = u64::MAX);
        wrong(&|layout| layout.pieces[0].ciphertext = 1);
        wrong(&|layout| layout.pieces[0].outer = Step { count: u32::MAX, slots: 0, elements: 0 });
        wrong(&|layout| layout.pieces.clear());
    }
}
