//! The text of a program: written by `Display`.

use super::{Op, Packing, Plain, PlainSource, Slots, ValueId};
use crate::expr::Affine;
use std::fmt::{self, Write};
use std::sync::Arc;

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "slots {} slots {} levels {}", self.name, self.slots, self.levels)?;
        let mut packings: Vec<Arc<Packing>> = Vec::new();
        let mut number = |packing: &Arc<Packing>| -> usize {
            match packings.iter().position(|known| Arc::ptr_eq(known, packing) || known == packing) {
                Some(number) => number,
                None => {
                    packings.push(packing.clone());
                    packings.len() - 1
                }
            }
        };
        let mut body = String::new();
        for (id, clear) in self.clears.iter() {
            writeln!(body, "{id} = clear {} {}", clear.name, list(&clear.shape))?;
        }
        for (id, input) in self.inputs.iter() {
            writeln!(body, "{id} = input {} {} q{}", input.name, list(&input.shape), number(&input.packing))?;
        }
        for (id, plain) in self.plains.iter() {
            writeln!(body, "{id} = {}", show_plain(plain))?;
        }
        for (id, value) in self.values.iter() {
            let line = format!("{id} = {}", self.show_op(value.op));
            write!(body, "{line:<36} level {}", value.level)?;
            if value.factors != 1 {
                write!(body, ", {} factors", value.factors)?;
            }
            if value.parts != 2 {
                write!(body, ", {} parts", value.parts)?;
            }
            if let Some((packing, k)) = &value.place {
                write!(body, " place q{} {k}", number(packing))?;
            }
            body.push('\n');
        }
        for output in &self.outputs {
            let values: Vec<String> = output.values.iter().map(ValueId::to_string).collect();
            let (name, shape) = (&output.name, list(&output.shape));
            writeln!(body, "output {name} {shape} q{} = {}", number(&output.packing), values.join(" "))?;
        }
        for (number, packing) in packings.iter().enumerate() {
            writeln!(f, "q{number} = packing {}", show_packing(packing))?;
        }
        f.write_str(&body)?;
        writeln!(f, "# {}", self.counts())
    }
}

impl Slots {
    fn show_op(&self, op: Op) -> String {
        match op {
            Op::Input(input, k) => format!("input {input} {k}"),
            Op::Add(a, b) => format!("add {a} {b}"),
            Op::Sub(a, b) => format!("sub {a} {b}"),
            Op::Neg(a) => format!("neg {a}"),
            Op::Mul(a, b) => format!("mul {a} {b}"),
            Op::MulPlain(a, p) => format!("mul_plain {a} {p}"),
            Op::AddPlain(a, p) => format!("add_plain {a} {p}"),
            Op::MulScalar(a, x) => format!("mul_scalar {a} {x:?}"),
            Op::AddScalar(a, x) => format!("add_scalar {a} {x:?}"),
            Op::Hoist(a) => format!("hoist {a}"),
            Op::Rotate(a, by) => format!("rotate {a} left {by}"),
            Op::Relinearize(a) => format!("relinearize {a}"),
            Op::Rescale(a) => format!("rescale {a}"),
            Op::Drop(a) => format!("drop {a}"),
            Op::Conjugate(a) => format!("conjugate {a}"),
        }
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("[{}]", items.join(","))
}

fn show_plain(plain: &Plain) -> String {
    let mut text = match plain.source {
        PlainSource::Ones => format!("mask {:?} at", plain.factor),
        PlainSource::Clear(clear) => format!("clear {clear} {:?} at", plain.factor),
    };
    for run in &plain.runs {
        let _ = write!(text, " {}", run.slot);
        if run.count > 1 {
            let _ = write!(text, "+{}*{}", run.slot_step, run.count);
        }
        if plain.source != PlainSource::Ones {
            let _ = write!(text, "={}", run.element);
            if run.count > 1 {
                let _ = write!(text, "{:+}", run.element_step);
            }
        }
    }
    text
}

fn show_affine(index: &Affine, packing: &Packing) -> String {
    let mut text = String::new();
    for (k, (axis, by)) in index.terms.iter().enumerate() {
        let name = packing.axes.get(axis.0 as usize).map_or("?", |axis| axis.0.as_str());
        match (k, by) {
            (0, 1) => {}
            (_, 1) => text.push('+'),
            (_, -1) => text.push('-'),
            (0, by) => {
                let _ = write!(text, "{by}*");
            }
            (_, by) => {
                let _ = write!(text, "{by:+}*");
            }
        }
        text.push_str(name);
    }
    if index.terms.is_empty() {
        return index.constant.to_string();
    }
    if index.constant != 0 {
        let _ = write!(text, "{:+}", index.constant);
    }
    text
}

fn show_packing(packing: &Packing) -> String {
    let access: Vec<String> = packing.access.iter().map(|index| show_affine(index, packing)).collect();
    let axes: Vec<String> = packing.axes.iter().map(|(name, extent)| format!("{name}={extent}")).collect();
    let mut text = format!("{packing} holds {} of {}", list(&access), list(&packing.shape));
    if !axes.is_empty() {
        let _ = write!(text, " over {}", axes.join(" "));
    }
    text
}
