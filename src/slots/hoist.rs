//! Lets rotations of one value share its digits.
//!
//! ```text
//! c3 = rotate c2 left 1      =>      h3 = hoist c2
//! c4 = rotate c2 left 5              c4 = rotate h3 left 1
//!                                    c5 = rotate h3 left 5
//! ```
//!
//! Takes time linear in instructions.

use super::{Op, Slots, Value, ValueId};
use crate::id::{Id, IdVec};
use std::collections::BTreeMap;

impl Slots {
    /// Takes the digits apart once of what is rotated more than once; no value is the digits of another yet.
    pub(super) fn hoist_rotations(&mut self) {
        let mut uses: BTreeMap<ValueId, u32> = BTreeMap::new();
        for (_, value) in self.values.iter() {
            if let Op::Rotate(a, _) = value.op {
                *uses.entry(a).or_default() += 1;
            }
        }
        let mut hoists: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        let mut ids: Vec<ValueId> = Vec::with_capacity(self.values.len());
        let mut values = IdVec::new();
        for (_, value) in self.values.iter() {
            let mut value = value.clone();
            value.op = match value.op {
                Op::Rotate(a, by) if uses[&a] > 1 => {
                    let digits = *hoists.entry(a).or_insert_with(|| {
                        values.push(Value { op: Op::Hoist(ids[a.number()]), place: None, ..value.clone() })
                    });
                    Op::Rotate(digits, by)
                }
                op => op.with_operands(|operand| ids[operand.number()]),
            };
            ids.push(values.push(value));
        }
        self.values = values;
        for value in self.outputs.iter_mut().flat_map(|output| &mut output.values) {
            *value = ids[value.number()];
        }
    }
}
