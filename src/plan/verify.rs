//! The laws of the plan.

use super::{Band, BufferId, Contract, Nest, Operand, Place, Plan, Source, Step, View, arena};
use crate::expr::{AxisId, Expr, Outside};
use crate::id::Id;
use std::collections::{BTreeMap, BTreeSet};

impl Plan {
    /// Checks the laws of the plan; the error names the step and the law it breaks.
    ///
    /// 1. Every view stays inside its buffer for all values of its axes, and every operand for all indices inside its
    ///    dims. A read that is said never to leave its operand does not, where its indices are affine.
    /// 2. Every axis is bound: by the step's loops, a reduction around, or a scan around. No view has an axis twice.
    /// 3. What is read was written before (in a scan: in the scan or before), or is an input or a constant.
    /// 4. Inputs and constants are never written.
    /// 5. Places in the arena are multiples of 64, inside it, and apart from those of all values that live at the
    ///    same time.
    /// 6. Where the values of a scan's axis run apart, every view that is written in it moves with the axis, or its buffer
    ///    is one of which every worker has its own. Such a buffer is touched in that scan alone.
    /// 7. A reduction's result is read only after it; expressions of steps have no reductions and maps inside.
    pub fn verify(&self) -> Result<(), String> {
        let mut written: BTreeSet<BufferId> = self
            .buffers
            .iter()
            .filter(|(_, buffer)| {
                matches!(buffer.place, Place::Input(_) | Place::Constant(_)) || buffer.elems == 0
            })
            .map(|(id, _)| id)
            .collect();
        self.steps.iter().enumerate().try_for_each(|(number, step)| {
            self.verify_step(step, &[], &mut written).map_err(|law| format!("step {number}: {law}"))
        })?;
        for (id, buffer) in self.buffers.iter() {
            if matches!(buffer.place, Place::Output(_)) && !written.contains(&id) {
                return Err(format!("output {id} is never written"));
            }
        }
        self.verify_arena()
    }

    fn verify_arena(&self) -> Result<(), String> {
        let lives = arena::moments(self).lives;
        self.verify_workers()?;
        let mut placed: Vec<(u64, u64, (usize, usize), BufferId)> = Vec::new();
        for (id, buffer) in self.buffers.iter() {
            let (Place::Arena(start), Some(life)) = (&buffer.place, lives[id.number()]) else { continue };
            let end = start.saturating_add(buffer.bytes());
            if start % 64 != 0 || end > self.arena {
                return Err(format!("{id} lies at {start}..{end} in an arena of {}", self.arena));
            }
            for &(other_start, other_end, other_life, other) in &placed {
                let at_once = other_life.0 <= life.1 && life.0 <= other_life.1;
                if at_once && other_start < end && *start < other_end {
                    return Err(format!("{id} and {other} share memory while both live"));
                }
            }
            placed.push((*start, end, life, id));
        }
        Ok(())
    }

    /// Checks that a buffer of which every worker has its own is touched by one scan that runs apart, and shares memory
    /// with no other of that scan.
    fn verify_workers(&self) -> Result<(), String> {
        let mut owners: BTreeMap<BufferId, usize> = BTreeMap::new();
        for (number, step) in self.steps.iter().enumerate() {
            let mut broken = None;
            step.for_each_buffer(&mut |id| {
                if matches!(self.buffers[id].place, Place::Worker(_)) {
                    let is_apart = matches!(step, Step::Scan(scan) if scan.apart);
                    if !is_apart || *owners.entry(id).or_insert(number) != number {
                        broken = Some(id);
                    }
                }
            });
            if let Some(id) = broken {
                return Err(format!("step {number} touches {id}, which another worker may have"));
            }
        }
        let mut placed: Vec<(usize, u64, u64, BufferId)> = Vec::new();
        for (&id, &owner) in &owners {
            let buffer = &self.buffers[id];
            let Place::Worker(start) = buffer.place else { continue };
            let end = start.saturating_add(buffer.bytes());
            if start % 64 != 0 {
                return Err(format!("{id} lies at {start}"));
            }
            if let Some(other) = placed.iter().find(|o| o.0 == owner && o.1 < end && start < o.2) {
                return Err(format!("{id} and {} share memory while both live", other.3));
            }
            placed.push((owner, start, end, id));
        }
        Ok(())
    }

    fn verify_step(
        &self,
        step: &Step,
        scans: &[AxisId],
        written: &mut BTreeSet<BufferId>,
    ) -> Result<(), String> {
        let around: BTreeSet<AxisId> = scans.iter().copied().collect();
        match step {
            Step::Contract(step) => self.verify_contract(step, &around, written),
            Step::Nest(step) => self.verify_nest(step, &around, written),
            Step::Along(step) => {
                let mut bound = around.clone();
                bound.extend(step.rows.iter().chain(&step.axes));
                self.verify_operands(&step.operands, written)?;
                self.verify_expr(&step.body, &step.operands, &bound, 0)?;
                let mut bound = around;
                bound.extend(step.rows.iter().chain(&step.out_axes));
                self.verify_write(&step.out, &bound, written)
            }
            Step::Scatter(step) => {
                let mut bound = around;
                bound.extend(&step.axes);
                self.verify_operands(&step.operands, written)?;
                self.verify_operands(std::slice::from_ref(&step.out), written)?;
                for expr in step.indices.iter().chain([&step.value]) {
                    self.verify_expr(expr, &step.operands, &bound, 0)?;
                }
                if step.indices.len() != step.out.dims.len() {
                    return Err("a scatter with another number of indices than dims".to_string());
                }
                self.verify_writable(step.out.buffer)
            }
            Step::Scan(step) => {
                let mut inner = scans.to_vec();
                inner.push(step.axis);
                if step.apart {
                    step.body.iter().try_for_each(|body| self.verify_apart(body, step.axis))?;
                }
                // Later steps of the scan may feed earlier ones, one value of the axis later.
                step.body.iter().for_each(|step| {
                    if let Step::Contract(Contract { out, .. }) | Step::Nest(Nest { out, .. }) = step {
                        written.insert(out.buffer);
                    }
                    if let Step::Along(step) = step {
                        written.insert(step.out.buffer);
                    }
                });
                step.body.iter().try_for_each(|step| self.verify_step(step, &inner, written))
            }
        }
    }

    /// Checks that a step writes elements which other values of the axis do not write.
    fn verify_apart(&self, step: &Step, axis: AxisId) -> Result<(), String> {
        let out = match step {
            Step::Contract(step) => &step.out,
            Step::Nest(step) => &step.out,
            Step::Along(step) => &step.out,
            Step::Scan(scan) => return scan.body.iter().try_for_each(|step| self.verify_apart(step, axis)),
            Step::Scatter(_) => return Err("such a step may not run apart".to_string()),
        };
        let is_own = matches!(self.buffers[out.buffer].place, Place::Worker(_));
        match is_own || out.strides.iter().any(|stride| stride.0 == axis) {
            true => Ok(()),
            false => Err(format!("{} is written for every {} at once", out.buffer, self.axes[axis].name)),
        }
    }

    fn verify_contract(
        &self,
        step: &Contract,
        around: &BTreeSet<AxisId>,
        written: &mut BTreeSet<BufferId>,
    ) -> Result<(), String> {
        let mut bound = around.clone();
        for view in [&step.a, &step.b] {
            self.verify_read(view.buffer, written)?;
            bound.extend(view.strides.iter().map(|stride| stride.0));
        }
        let in_parts = |view: &View| step.counts_parts_of(self.buffers[view.buffer].dtype);
        for view in [&step.a, &step.b] {
            self.verify_view(view, &bound, in_parts(view))?;
        }
        if step.accumulate {
            self.verify_read(step.out.buffer, written)?;
        }
        self.verify_wanted(&step.wanted, &step.out, written)?;
        if let Some(band) = &step.band {
            self.verify_band(step, band, around)?;
        }
        let fits = |view: &View| self.buffers[view.buffer].dtype == step.dtype || in_parts(view);
        if ![&step.a, &step.b, &step.out].into_iter().all(fits) {
            return Err("a contraction of different dtypes".to_string());
        }
        self.verify_view(&step.out, &bound, in_parts(&step.out))?;
        self.verify_writable(step.out.buffer)?;
        written.insert(step.out.buffer);
        Ok(())
    }

    fn verify_band(&self, step: &Contract, band: &Band, around: &BTreeSet<AxisId>) -> Result<(), String> {
        let held = |axis: AxisId| around.contains(&axis);
        let (free, summed) = step.free_and_summed(&held);
        let is_of_one = (step.a.stride(band.free) != 0) != (step.b.stride(band.free) != 0);
        let [rows, sums] =
            [band.free, band.summed].map(|axis| i64::try_from(self.axes[axis].extent).unwrap_or(i64::MAX));
        let reaches = [band.first, band.end].iter().all(|by| (-rows..=sums).contains(by));
        if !free.contains(&band.free) || !is_of_one || summed != [band.summed] || !reaches {
            return Err("a contraction in a band that is none of its own".to_string());
        }
        match step.wanted {
            Some(_) => Err("a contraction in a band of which not all is wanted".to_string()),
            None => Ok(()),
        }
    }

    fn verify_wanted(
        &self,
        wanted: &Option<View>,
        out: &View,
        written: &BTreeSet<BufferId>,
    ) -> Result<(), String> {
        let Some(wanted) = wanted else { return Ok(()) };
        self.verify_read(wanted.buffer, written)?;
        self.verify_view(wanted, &out.strides.iter().map(|stride| stride.0).collect(), false)?;
        match self.buffers[wanted.buffer].dtype {
            einc_runtime::DType::Bool => Ok(()),
            dtype => Err(format!("what is wanted is said by {dtype}")),
        }
    }

    fn verify_nest(
        &self,
        step: &Nest,
        around: &BTreeSet<AxisId>,
        written: &mut BTreeSet<BufferId>,
    ) -> Result<(), String> {
        let mut bound = around.clone();
        bound.extend(&step.axes);
        self.verify_operands(&step.operands, written)?;
        self.verify_wanted(&step.wanted, &step.out, written)?;
        for (k, reduction) in step.reductions.iter().enumerate() {
            let mut inner = bound.clone();
            inner.extend(&reduction.axes);
            self.verify_expr(&reduction.body, &step.operands, &inner, k)?;
        }
        self.verify_expr(&step.value, &step.operands, &bound, step.reductions.len())?;
        let out = &self.buffers[step.out.buffer];
        if step.value.dtype() != out.dtype {
            return Err(format!("a value of {} goes to a buffer of {}", step.value.dtype(), out.dtype));
        }
        self.verify_write(&step.out, &bound, written)
    }

    fn verify_expr(
        &self,
        expr: &Expr<Source>,
        operands: &[Operand],
        bound: &BTreeSet<AxisId>,
        reductions: usize,
    ) -> Result<(), String> {
        match expr {
            Expr::Index(axis) if !bound.contains(axis) => {
                return Err(format!("axis {} is not bound", self.axes[*axis].name));
            }
            Expr::Reduce(_) | Expr::Along(_) => return Err("a reduction inside an expression".to_string()),
            Expr::Read(read) => match read.source {
                Source::Reduced(k) if k as usize >= reductions || !read.indices.is_empty() => {
                    return Err(format!("r{k} is read before it is there"));
                }
                Source::Reduced(_) => {}
                Source::Operand(k) => {
                    let Some(operand) = operands.get(k as usize) else {
                        return Err(format!("there is no o{k}"));
                    };
                    if operand.dims.len() != read.indices.len() {
                        return Err(format!("o{k} is read with {} indices", read.indices.len()));
                    }
                    if self.buffers[operand.buffer].dtype != read.dtype {
                        return Err(format!("o{k} is not {}", read.dtype));
                    }
                    for (index, &(extent, _)) in read.indices.iter().zip(&operand.dims) {
                        if read.outside != Outside::Never {
                            continue;
                        }
                        if let Some((low, high)) = index.affine().and_then(|index| index.bounds(&self.axes))
                            && (low < 0 || u64::try_from(high).is_ok_and(|high| high >= extent))
                        {
                            return Err(format!("o{k} is read outside: {low}..={high} of {extent}"));
                        }
                    }
                }
            },
            _ => {}
        }
        expr.parts().into_iter().try_for_each(|part| self.verify_expr(part, operands, bound, reductions))
    }

    fn verify_operands(&self, operands: &[Operand], written: &BTreeSet<BufferId>) -> Result<(), String> {
        operands.iter().try_for_each(|operand| {
            self.verify_read(operand.buffer, written)?;
            self.verify_extent((operand.buffer, false), operand.offset, operand.dims.iter().copied())
        })
    }

    /// Checks a view, which may count the parts of complex numbers.
    fn verify_view(&self, view: &View, bound: &BTreeSet<AxisId>, in_parts: bool) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for (axis, _) in &view.strides {
            if !bound.contains(axis) || !seen.insert(*axis) {
                let name = &self.axes[*axis].name;
                return Err(format!("axis {name} of a view of {} is unbound or there twice", view.buffer));
            }
        }
        let dims = view.strides.iter().map(|&(axis, stride)| (self.axes[axis].extent, stride));
        self.verify_extent((view.buffer, in_parts), view.offset, dims)
    }

    /// Checks that everything these dims reach is inside the buffer.
    fn verify_extent(
        &self,
        (buffer, in_parts): (BufferId, bool),
        offset: i64,
        dims: impl Iterator<Item = (u64, i64)>,
    ) -> Result<(), String> {
        let (mut low, mut high) = (i128::from(offset), i128::from(offset));
        for (extent, stride) in dims {
            if extent == 0 {
                return Ok(());
            }
            let reach = i128::from(extent - 1) * i128::from(stride);
            low += reach.min(0);
            high += reach.max(0);
        }
        let elems = i128::from(self.buffers[buffer].elems) * if in_parts { 2 } else { 1 };
        if low < 0 || high >= elems {
            return Err(format!("a view of {buffer} reaches {low}..={high} of {elems} elements"));
        }
        Ok(())
    }

    fn verify_write(
        &self,
        view: &View,
        bound: &BTreeSet<AxisId>,
        written: &mut BTreeSet<BufferId>,
    ) -> Result<(), String> {
        self.verify_view(view, bound, false)?;
        self.verify_writable(view.buffer)?;
        written.insert(view.buffer);
        Ok(())
    }

    fn verify_writable(&self, buffer: BufferId) -> Result<(), String> {
        match self.buffers[buffer].place {
            Place::Input(_) | Place::Constant(_) => Err(format!("{buffer} may not be written")),
            Place::Output(_) | Place::Arena(_) | Place::Worker(_) => Ok(()),
        }
    }

    fn verify_read(&self, buffer: BufferId, written: &BTreeSet<BufferId>) -> Result<(), String> {
        if written.contains(&buffer) { Ok(()) } else { Err(format!("{buffer} is read before it is written")) }
    }
}
