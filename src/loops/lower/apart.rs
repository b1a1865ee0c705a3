//! Scans whose steps may run at once: one parallel loop over all of them.
//!
//! ```text
//! scan[a apart] {                for at in 0..6 parallel {
//!   scan[b apart] {                v0 = at // 2                v1 = at % 2
//!     ..                    =>     for a in 0..3 from v0 to v0 + 1 {
//!   }                                for b in 0..2 from v1 to v1 + 1 { .. } } }
//! }
//! ```

use super::build::{Builder, Lin};
use super::expr::Point;
use crate::expr::{Axes, AxisId, Binary};
use crate::loops::{BufferId, ValueId};
use crate::machine::Machine;
use crate::plan::{ScanStep, Step};

impl Builder {
    /// Writes a scan whose steps may run at once, with those that are all there is inside it.
    pub(super) fn apart(&mut self, scan: &ScanStep, axes: &Axes, point: &Point, machine: &Machine) {
        let mut inner = scan;
        let mut list = vec![scan.axis];
        while let [Step::Scan(next)] = &inner.body[..]
            && next.apart
        {
            list.push(next.axis);
            inner = next;
        }
        let extent = |axis: AxisId| i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        let count = list.iter().fold(1i64, |n, &axis| n.saturating_mul(extent(axis)));
        let name = list.iter().map(|&axis| axes[axis].name.as_str()).collect::<String>();
        self.looped(&name, (0, count, 1), true, &mut |builder, at| match list[..] {
            [only] => {
                let point = point.with(only, at);
                inner.body.iter().for_each(|step| builder.plan_step(step, axes, &point, machine));
            }
            _ => {
                let mut rest = builder.index(&at);
                let mut places: Vec<(AxisId, ValueId)> = Vec::with_capacity(list.len());
                for &axis in list.iter().rev() {
                    let extent = builder.int(extent(axis));
                    places.push((axis, builder.lang(Binary::Rem, rest, extent)));
                    rest = builder.lang(Binary::FloorDiv, rest, extent);
                }
                builder.placed(&places, inner, axes, point, machine);
            }
        });
        if let Some(buffer) = scan.shared {
            self.share(BufferId(buffer.0));
        }
    }

    /// Writes the steps of a scan for one value of each axis, as loops over that value alone.
    fn placed(
        &mut self,
        places: &[(AxisId, ValueId)],
        scan: &ScanStep,
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) {
        let Some((&(axis, place), rest)) = places.split_last() else {
            return scan.body.iter().for_each(|step| self.plan_step(step, axes, point, machine));
        };
        let one = self.int(1);
        let end = self.add(place, one);
        let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        let bounds = (Some(place), Some(end));
        self.looped_within(&axes[axis].name, (0, extent, 1), bounds, &mut |builder, at: Lin| {
            builder.placed(rest, scan, axes, &point.with(axis, at), machine);
        });
    }
}
