//! Vectors of clear numbers, symbolically: which slot holds which element of which clear tensor.

use super::ClearId;

/// A vector of clear numbers; slots that no run names are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    /// What every number is multiplied by.
    pub factor: f64,
    /// Where the numbers come from.
    pub source: PlainSource,
    /// Which slots have one.
    pub runs: Vec<Run>,
}

/// Where the numbers of a vector come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlainSource {
    /// Ones: a mask.
    Ones,
    /// The elements of a clear tensor.
    Clear(ClearId),
}

/// Slots in arithmetic progression that hold elements in arithmetic progression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The first slot.
    pub slot: u32,
    /// From one slot to the next.
    pub slot_step: u32,
    /// The first element (0 of a mask).
    pub element: u32,
    /// From one element to the next.
    pub element_step: i64,
    /// How many.
    pub count: u32,
}

impl Plain {
    /// The vector that holds these (slot, element) pairs, ascending by slot.
    pub fn of(factor: f64, source: PlainSource, pairs: &[(u32, u32)]) -> Plain {
        let mut runs: Vec<Run> = Vec::new();
        for &(slot, element) in pairs {
            if let Some(run) = runs.last_mut() {
                let (last_slot, last_element) = run.at(run.count - 1);
                let (step, by) = (slot - last_slot, i64::from(element) - i64::from(last_element));
                if run.count == 1 {
                    (run.slot_step, run.element_step, run.count) = (step, by, 2);
                    continue;
                }
                if (step, by) == (run.slot_step, run.element_step) {
                    run.count += 1;
                    continue;
                }
                if run.count == 2 && run.slot_step != 1 && step < run.slot_step {
                    // The second slot starts a better run.
                    let second = run.at(1);
                    run.count = 1;
                    runs.push(Run {
                        slot: second.0,
                        slot_step: step,
                        element: second.1,
                        element_step: by,
                        count: 2,
                    });
                    continue;
                }
            }
            runs.push(Run { slot, slot_step: 1, element, element_step: 0, count: 1 });
        }
        for run in &mut runs {
            if run.count == 1 {
                (run.slot_step, run.element_step) = (1, 0);
            }
        }
        Plain { factor, source, runs }
    }

    /// Every slot that holds a number, with its element.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.runs.iter().flat_map(|run| (0..run.count).map(|k| run.at(k)))
    }

    /// The numbers, from the elements of its tensor; those past the vector's end are left out.
    pub fn numbers(&self, slots: u32, elements: &dyn Fn(ClearId, u32) -> f64) -> Vec<f64> {
        let mut numbers = vec![0.0; slots as usize];
        for (slot, element) in self.pairs() {
            if let Some(number) = numbers.get_mut(slot as usize) {
                *number = self.factor
                    * match self.source {
                        PlainSource::Ones => 1.0,
                        PlainSource::Clear(clear) => elements(clear, element),
                    };
            }
        }
        numbers
    }
}

impl Run {
    /// The slot and element of that number.
    pub fn at(&self, k: u32) -> (u32, u32) {
        let element = i64::from(self.element) + self.element_step * i64::from(k);
        (self.slot.wrapping_add(self.slot_step.wrapping_mul(k)), element as u32)
    }
}
