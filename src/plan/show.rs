//! The text form of a plan.

use super::{Operand, Place, Plan, Source, Step, View, show_bytes};
use crate::expr::{AxisId, Expr, Outside, Shown, axis_list};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}, arena {}", self.name, show_bytes(self.arena))?;
        for (id, buffer) in self.buffers.iter() {
            let place = match &buffer.place {
                Place::Input(number) => format!("input {number}"),
                Place::Output(number) => format!("output {number}"),
                Place::Constant(_) => "constant".to_string(),
                Place::Arena(offset) => format!("at {offset}"),
                Place::Worker(offset) => format!("at {offset} of each worker"),
            };
            writeln!(f, "{id} {}: {} {} {place}", buffer.name, buffer.dtype, buffer.elems)?;
        }
        self.steps.iter().try_for_each(|step| self.show_step(step, "", f))
    }
}

impl Plan {
    fn show_wanted(&self, wanted: &Option<View>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match wanted {
            Some(wanted) => writeln!(f, " where {}", self.show_view(wanted)),
            None => writeln!(f),
        }
    }

    fn show_step(&self, step: &Step, indent: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match step {
            Step::Contract(step) => {
                let equals = if step.accumulate { "+=" } else { "=" };
                let [a, b, out] = [&step.a, &step.b, &step.out].map(|view| self.show_view(view));
                write!(f, "{indent}contract {out} {equals} {a} * {b}")?;
                if let Some(band) = &step.band {
                    let condition: Expr<Source> = band.condition(&self.axes);
                    write!(f, " for {}", Shown(&condition, &self.axes))?;
                }
                self.show_wanted(&step.wanted, f)
            }
            Step::Nest(step) => {
                let loops = self.names(&step.axes);
                let value = Shown(&step.value, &self.axes);
                write!(f, "{indent}nest[{loops}] {} = {value}", self.show_view(&step.out))?;
                self.show_wanted(&step.wanted, f)?;
                for (k, reduction) in step.reductions.iter().enumerate() {
                    let body = Shown(&reduction.body, &self.axes);
                    let over = self.names(&reduction.axes);
                    writeln!(f, "{indent}  r{k} = {}[{over}]({body})", reduction.op.name())?;
                }
                self.show_operands(&step.operands, indent, f)
            }
            Step::Along(step) => {
                let mut over = self.names(&step.axes);
                if step.out_axes != step.axes {
                    over += &format!(" -> {}", self.names(&step.out_axes));
                }
                let body: Shown<'_, Source> = Shown(&step.body, &self.axes);
                let out = self.show_view(&step.out);
                let rows = self.names(&step.rows);
                writeln!(f, "{indent}along[{rows}] {out} = {}[{over}]({body})", step.op.name())?;
                self.show_operands(&step.operands, indent, f)
            }
            Step::Scatter(step) => {
                let indices: Vec<String> =
                    step.indices.iter().map(|index| Shown(index, &self.axes).to_string()).collect();
                let outside = match step.outside {
                    Outside::Checked => " checked",
                    Outside::Clamp => " clamp",
                    Outside::Trust => " trust",
                    Outside::Never | Outside::Else(_) => "",
                };
                let value: &Expr<Source> = &step.value;
                writeln!(
                    f,
                    "{indent}scatter[{}] {}[{}{outside}] += {}",
                    self.names(&step.axes),
                    show_operand(&step.out),
                    indices.join(","),
                    Shown(value, &self.axes)
                )?;
                self.show_operands(&step.operands, indent, f)
            }
            Step::Scan(step) => {
                let order = if step.reversed { " reversed" } else { "" };
                let apart = if step.apart { " apart" } else { "" };
                let shared = step.shared.map_or(String::new(), |buffer| format!(" shared {buffer}"));
                writeln!(f, "{indent}scan[{}{order}{apart}{shared}] {{", self.axes[step.axis].name)?;
                let inner = format!("{indent}  ");
                step.body.iter().try_for_each(|step| self.show_step(step, &inner, f))?;
                writeln!(f, "{indent}}}")
            }
        }
    }

    fn names(&self, axes: &[AxisId]) -> String {
        axis_list(axes, &self.axes)
    }

    fn show_view(&self, view: &View) -> String {
        let strides: Vec<String> =
            view.strides.iter().map(|(axis, stride)| format!("{} {stride}", self.axes[*axis].name)).collect();
        format!("{}{}[{}]", view.buffer, show_offset(view.offset), strides.join(", "))
    }

    fn show_operands(&self, operands: &[Operand], indent: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, operand) in operands.iter().enumerate() {
            writeln!(f, "{indent}  o{k} = {}", show_operand(operand))?;
        }
        Ok(())
    }
}

/// `b3+5(512 by 256, 256 by 1)`: extents and strides.
fn show_operand(operand: &Operand) -> String {
    let dims: Vec<String> =
        operand.dims.iter().map(|(extent, stride)| format!("{extent} by {stride}")).collect();
    format!("{}{}({})", operand.buffer, show_offset(operand.offset), dims.join(", "))
}

fn show_offset(offset: i64) -> String {
    if offset == 0 { String::new() } else { format!("{offset:+}") }
}
