//! Reports of encrypted programs: as text, as JSON, and as a picture of the slots.

use super::ckks::{Encrypted, seconds};
use crate::plan::picture::escaped;
use crate::plan::show_bytes;
use crate::program::Approximation;
use crate::slots::lower::Interface;
use crate::slots::params::Executor;
use crate::slots::{Cell, Counts, Op, Packing, Slots, ValueId};
use crate::source::Span;
use einc_runtime::ckks::security_row;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The bytes of the keys, each for the levels it is used at.
fn key_bytes(encrypted: &Encrypted) -> u64 {
    let slots = &encrypted.slots;
    let mut bytes: u64 =
        slots.rotations().iter().map(|(_, level)| encrypted.parameters.key_bytes(*level)).sum();
    let relinearize = slots.values.iter().filter(|(_, value)| matches!(value.op, Op::Relinearize(_)));
    bytes += relinearize.map(|(_, value)| value.level).max().map_or(0, |l| encrypted.parameters.key_bytes(l));
    bytes
}

/// Counts for each statement that computes something, in order.
fn by_statement(slots: &Slots) -> Vec<(Span, Counts)> {
    let mut parts: Vec<(Span, Counts)> = Vec::new();
    for (_, value) in slots.values.iter() {
        if matches!(value.op, Op::Input(..)) {
            continue;
        }
        let at = parts.iter().position(|part| part.0 == value.span).unwrap_or_else(|| {
            parts.push((value.span, Counts::default()));
            parts.len() - 1
        });
        let counts = &mut parts[at].1;
        match value.op {
            Op::Mul(..) => counts.mul += 1,
            Op::MulPlain(..) | Op::MulScalar(..) => counts.mul_plain += 1,
            Op::Rotate(a, _) => {
                counts.rotations += 1;
                counts.hoisted += u64::from(slots.is_hoist(a));
            }
            Op::Relinearize(_) => counts.relinearizations += 1,
            Op::Rescale(_) | Op::Drop(_) => counts.rescales += 1,
            _ => {}
        }
    }
    parts
}

/// The report as text.
pub fn text(encrypted: &Encrypted) -> String {
    let Encrypted { slots, parameters, interface, .. } = encrypted;
    let counts = slots.counts();
    let noise = encrypted.noise(1.0);
    let row = security_row(parameters.ring).unwrap_or(0);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "ckks {}  {} slots, ring 2^{}, {} levels, scale 2^{}, log QP {:.0} of {row}{}",
        slots.name,
        slots.slots,
        parameters.ring.ilog2(),
        slots.levels,
        parameters.scale_bits,
        parameters.log_qp(),
        if parameters.insecure_toy { "  INSECURE: less than 128 bits" } else { "" }
    );
    let _ = writeln!(out, "layout {}", if *interface == Interface::Free { "free" } else { "row_major" });
    for (_, input) in slots.inputs.iter() {
        let count = input.packing.ciphertexts();
        let _ =
            writeln!(out, "input  {:<12} {}  {count} ciphertext{}", input.name, input.packing, plural(count));
    }
    for output in &slots.outputs {
        let count = output.values.len();
        let _ = writeln!(
            out,
            "output {:<12} {}  {count} ciphertext{}",
            output.name,
            output.packing,
            plural(count)
        );
    }
    out.push('\n');
    let _ = writeln!(
        out,
        "{:>22} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "rotate", "hoisted", "relin.", "mul", "mul_pl.", "rescale"
    );
    for (number, (_, part)) in by_statement(slots).iter().enumerate() {
        let _ = writeln!(
            out,
            "statement {:>3} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            number + 1,
            part.rotations,
            part.hoisted,
            part.relinearizations,
            part.mul,
            part.mul_plain,
            part.rescales
        );
    }
    let _ = writeln!(
        out,
        "whole         {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        counts.rotations,
        counts.hoisted,
        counts.relinearizations,
        counts.mul,
        counts.mul_plain,
        counts.rescales
    );
    let _ = writeln!(
        out,
        "{} keys, {}; {} ciphertexts in, {} out",
        counts.keys,
        show_bytes(key_bytes(encrypted)),
        counts.inputs,
        counts.outputs,
    );
    let times =
        Executor::ALL.map(|(executor, name)| format!("{name} {:.3} s", seconds(slots, parameters, executor)));
    let _ = writeln!(out, "predicted on one core: {}", times.join(", "));
    let _ = writeln!(
        out,
        "for numbers up to 1: error at most {:.0e} (noise {:.0e}, approximations {:.0e}), {:.0} bits of headroom",
        noise.error(),
        noise.noise,
        noise.approximation,
        noise.headroom
    );
    for (approximation, error) in &encrypted.network.approximated {
        let Approximation { function, degree, range: (low, high), .. } = approximation;
        let _ = writeln!(
            out,
            "`{function}` by a polynomial of degree {degree}: within {error:.0e} on ({low}, {high})"
        );
    }
    out.push_str("executor: embedded RNS-CKKS, unaudited, not constant time, for evaluation\n");
    out
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The report as JSON.
pub fn json(encrypted: &Encrypted) -> Value {
    let Encrypted { slots, parameters, interface, .. } = encrypted;
    let (counts, noise) = (slots.counts(), encrypted.noise(1.0));
    let packing = |packing: &Packing| packing.to_string();
    let statements: Vec<Value> = by_statement(slots)
        .iter()
        .map(|(_, part)| {
            json!({
                "rotations": part.rotations, "hoisted": part.hoisted, "relinearizations": part.relinearizations,
                "mul": part.mul, "mul_plain": part.mul_plain, "rescales": part.rescales,
            })
        })
        .collect();
    json!({
        "name": slots.name,
        "layout": if *interface == Interface::Free { "free" } else { "row_major" },
        "rotations": counts.rotations,
        "hoisted": counts.hoisted,
        "relinearizations": counts.relinearizations,
        "keys": counts.keys,
        "key_bytes": key_bytes(encrypted),
        "mul": counts.mul,
        "mul_plain": counts.mul_plain,
        "rescales": counts.rescales,
        "depth": slots.levels,
        "levels": parameters.levels(),
        "slots": slots.slots,
        "ring": parameters.ring,
        "log_qp": parameters.log_qp(),
        "security_row": security_row(parameters.ring),
        "insecure_toy": parameters.insecure_toy,
        "error": noise.error(),
        "noise": noise.noise,
        "approximation_error": noise.approximation,
        "headroom_bits": noise.headroom,
        "approximations": encrypted.network.approximated.iter().map(|(approximation, error)| json!({
            "function": approximation.function, "degree": approximation.degree,
            "range": [approximation.range.0, approximation.range.1], "error": error,
        })).collect::<Vec<_>>(),
        "seconds": seconds(slots, parameters, Executor::Embedded),
        "seconds_by_executor": Executor::ALL
            .map(|(executor, name)| (name.to_lowercase(), json!(seconds(slots, parameters, executor))))
            .into_iter()
            .collect::<serde_json::Map<_, _>>(),
        "inputs": slots.inputs.iter().map(|(_, input)| json!({
            "name": input.name, "packing": packing(&input.packing), "ciphertexts": input.packing.ciphertexts(),
        })).collect::<Vec<_>>(),
        "outputs": slots.outputs.iter().map(|output| json!({
            "name": output.name, "packing": packing(&output.packing), "ciphertexts": output.values.len(),
        })).collect::<Vec<_>>(),
        "statements": statements,
    })
}

/// How many cells a row of the picture has, and how many rows a ciphertext at most.
const ACROSS: usize = 64;
const ROWS: usize = 8;

/// How many values are drawn.
const DRAWN: usize = 48;

/// A picture: where the elements of each tensor sit in the slots, and which rotations move them.
///
/// Each bar is one ciphertext, slots from left to right; the hue of a cell is the element's place in its tensor, grey
/// is zero, hatched is what nobody may read. Under each bar stands how it came about.
pub fn svg(encrypted: &Encrypted) -> String {
    let slots = &encrypted.slots;
    let mut lines: Vec<(String, Option<Vec<Cell>>, u64)> = Vec::new();
    let mut rotations: BTreeMap<ValueId, Vec<u32>> = BTreeMap::new();
    let mut since: Vec<u32> = Vec::new();
    for (id, value) in slots.values.iter() {
        if let Op::Rotate(_, by) = value.op {
            since.push(by);
        }
        if value.place.is_some() {
            rotations.insert(id, std::mem::take(&mut since));
        }
    }
    for (id, value) in slots.values.iter() {
        let Some((packing, k)) = &value.place else { continue };
        if lines.len() >= DRAWN {
            break;
        }
        let what = match value.op {
            Op::Input(input, k) => format!("{id} = input {} {k}", slots.inputs[input].name),
            _ => {
                let moved = &rotations[&id];
                let list: Vec<String> = moved.iter().take(16).map(u32::to_string).collect();
                let more = if moved.len() > 16 { " .." } else { "" };
                match moved.is_empty() {
                    true => format!("{id}, no rotations"),
                    false => format!("{id}, after rotations left by {}{more}", list.join(" ")),
                }
            }
        };
        let elements = packing.shape.iter().product::<u64>().max(1);
        lines.push((
            format!("{what}   {packing}   level {}", value.level),
            Some(packing.cells(*k, slots.slots)),
            elements,
        ));
    }
    let (cell, left) = (12, 10);
    let mut out = String::new();
    let mut y = 40;
    let mut body = String::new();
    for (label, cells, elements) in &lines {
        let _ = writeln!(body, "<text x=\"{left}\" y=\"{}\">{}</text>", y, escaped(label));
        y += 6;
        let Some(cells) = cells else { continue };
        // Many slots share a cell: the first of them is drawn.
        let group = cells.len().div_ceil(ACROSS * ROWS).max(1);
        for (number, chunk) in cells.chunks(group).enumerate() {
            let (column, row) = (number % ACROSS, number / ACROSS);
            let fill = match chunk[0] {
                Cell::Element(element) => {
                    format!("hsl({},70%,60%)", u64::from(element) * 300 / elements)
                }
                Cell::Zero => "#eee".to_string(),
                Cell::Unknown => "url(#unknown)".to_string(),
            };
            let (x, top) = (left + column * cell, y + row * cell);
            let _ = write!(
                body,
                "<rect x=\"{x}\" y=\"{top}\" width=\"{cell}\" height=\"{cell}\" fill=\"{fill}\"/>"
            );
        }
        let rows = cells.len().div_ceil(group).div_ceil(ACROSS);
        body.push('\n');
        y += rows * cell + 24;
    }
    let (width, height) = (2 * left + ACROSS * cell, y + 10);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"monospace\" \
         font-size=\"11\">\n<defs><pattern id=\"unknown\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">\
         <rect width=\"4\" height=\"4\" fill=\"#fff\"/><path d=\"M0 4L4 0\" stroke=\"#888\"/></pattern></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{left}\" y=\"20\">{}: {}; {} slots; hue: place \
         in the tensor, grey: zero, hatched: unknown</text>",
        escaped(&slots.name),
        slots.counts(),
        slots.slots
    );
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}
