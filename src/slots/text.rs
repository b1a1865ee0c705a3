//! The text of a program: written by `Display`, read back by [`parse`].

use super::packing::Rest;
use super::{
    Clear, ClearId, Digit, Input, InputId, Kind, Op, Output, Packing, Plain, PlainId, PlainSource, Range,
    RangeId, Run, Slots, Value, ValueId,
};
use crate::expr::{Affine, AxisId};
use crate::id::IdVec;
use crate::source::Span;
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
        for (id, Range { function, tensor, ends: (low, high), error, .. }) in self.ranges.iter() {
            writeln!(body, "{id} = range {function} {low:?} {high:?} error {error:?} of {tensor}")?;
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
            if let Some(range) = value.range {
                write!(body, " within {range}")?;
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

/// Reads a program back.
///
/// # Errors
/// The number of the first line that is no part of a program, from 1, and why.
pub fn parse(text: &str) -> Result<Slots, (usize, String)> {
    let mut reader = Reader::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            reader.line(line).map_err(|why| (number + 1, why))?;
        }
    }
    match reader.program {
        Some(program) => Ok(program),
        None => Err((1, "expected `slots NAME slots N levels L`".to_string())),
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    program: Option<Slots>,
    packings: Vec<Arc<Packing>>,
}

/// The number behind a letter or word: `c12`, `q3`.
fn named<T: std::str::FromStr>(word: &str, prefix: &str) -> Result<T, String> {
    let number = word.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
    number.ok_or_else(|| format!("expected {prefix} and a number, found `{word}`"))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("expected a number, found `{word}`"))
}

fn shape(word: &str) -> Result<Vec<u64>, String> {
    let inner = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or_else(|| format!("expected extents in brackets, found `{word}`"))?;
    let extents = inner.split(',').filter(|extent| !extent.is_empty()).map(number);
    let extents: Vec<u64> = extents.collect::<Result<_, _>>()?;
    let elements = extents.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent));
    match elements {
        Some(elements) if elements <= u64::from(u32::MAX) => Ok(extents),
        _ => Err(format!("`{word}` has too many elements")),
    }
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(program) = &mut self.program else {
            let ["slots", name, "slots", slots, "levels", levels] = words[..] else {
                return Err("expected `slots NAME slots N levels L`".to_string());
            };
            let slots: u32 = number(slots)?;
            if !slots.is_power_of_two() || slots > 1 << 16 {
                return Err(format!("{slots} slots are no power of two up to 65536"));
            }
            self.program = Some(Slots {
                name: name.to_string(),
                slots,
                levels: number(levels)?,
                clears: IdVec::new(),
                inputs: IdVec::new(),
                plains: IdVec::new(),
                ranges: IdVec::new(),
                values: IdVec::new(),
                outputs: Vec::new(),
            });
            return Ok(());
        };
        let packing = |word: &str| -> Result<Arc<Packing>, String> {
            let k: usize = named(word, "q")?;
            self.packings.get(k).cloned().ok_or_else(|| format!("there is no {word}"))
        };
        match words[..] {
            [_, "=", "packing", ..] => {
                let text = line.split_once("packing").map_or("", |halves| halves.1);
                let packing = read_packing(text.trim())?;
                if packing.reach() > program.slots as usize {
                    return Err(format!("the packing takes more than {} slots", program.slots));
                }
                self.packings.push(Arc::new(packing));
            }
            [_, "=", "clear", name, extents] if extents.starts_with('[') => {
                program.clears.push(Clear { name: name.to_string(), shape: shape(extents)? });
            }
            [_, "=", "input", name, extents, q] if extents.starts_with('[') => {
                let input = Input { name: name.to_string(), shape: shape(extents)?, packing: packing(q)? };
                program.inputs.push(input);
            }
            [_, "=", "mask", factor, "at", ref runs @ ..] => {
                let plain = read_plain(number(factor)?, PlainSource::Ones, runs)?;
                program.plains.push(plain);
            }
            [_, "=", "clear", clear, factor, "at", ref runs @ ..] => {
                let source = PlainSource::Clear(ClearId(named(clear, "t")?));
                let plain = read_plain(number(factor)?, source, runs)?;
                program.plains.push(plain);
            }
            [_, "=", "range", function, low, high, "error", error, "of", tensor] => {
                let ends = (number(low)?, number(high)?);
                let (function, tensor) = (function.to_string(), tensor.to_string());
                let (error, span) = (number(error)?, Span::default());
                program.ranges.push(Range { function, tensor, ends, error, span });
            }
            ["output", name, extents, q, "=", ref values @ ..] => {
                let values = values.iter().map(|word| Ok(ValueId(named(word, "c")?)));
                let values: Vec<ValueId> = values.collect::<Result<_, String>>()?;
                let output =
                    Output { name: name.to_string(), shape: shape(extents)?, packing: packing(q)?, values };
                program.outputs.push(output);
            }
            [_, "=", ..] => {
                let at = words.iter().position(|word| *word == "level").ok_or("expected `level`")?;
                let op = read_op(&words[2..at])?;
                let (place, range, approximates, span) = (None, None, None, Span::default());
                let mut value =
                    Value { op, level: 0, factors: 1, parts: 2, place, range, approximates, span };
                let facts: Vec<&str> = words[at..].iter().map(|word| word.trim_end_matches(',')).collect();
                let mut rest = &facts[..];
                while let [first, second, more @ ..] = rest {
                    match (*first, *second) {
                        ("level", level) => value.level = number(level)?,
                        (factors, "factors") => value.factors = number(factors)?,
                        (parts, "parts") => value.parts = number(parts)?,
                        ("place", q) => {
                            let [k, after @ ..] = more else {
                                return Err("expected a ciphertext".to_string());
                            };
                            value.place = Some((packing(q)?, number(k)?));
                            rest = after;
                            continue;
                        }
                        ("within", range) => value.range = Some(RangeId(named(range, "r")?)),
                        ("approximates", range) => value.approximates = Some(RangeId(named(range, "r")?)),
                        (word, _) => return Err(format!("`{word}` is no fact of a value")),
                    }
                    rest = more;
                }
                program.values.push(value);
            }
            _ => return Err(format!("`{line}` is no line of a program")),
        }
        Ok(())
    }
}

fn read_op(words: &[&str]) -> Result<Op, String> {
    let value = |word: &str| Ok::<ValueId, String>(ValueId(named(word, "c")?));
    let plain = |word: &str| Ok::<PlainId, String>(PlainId(named(word, "p")?));
    Ok(match *words {
        ["input", input, k] => Op::Input(InputId(named(input, "in")?), number(k)?),
        ["add", a, b] => Op::Add(value(a)?, value(b)?),
        ["sub", a, b] => Op::Sub(value(a)?, value(b)?),
        ["neg", a] => Op::Neg(value(a)?),
        ["mul", a, b] => Op::Mul(value(a)?, value(b)?),
        ["mul_plain", a, p] => Op::MulPlain(value(a)?, plain(p)?),
        ["add_plain", a, p] => Op::AddPlain(value(a)?, plain(p)?),
        ["mul_scalar", a, x] => Op::MulScalar(value(a)?, number(x)?),
        ["add_scalar", a, x] => Op::AddScalar(value(a)?, number(x)?),
        ["hoist", a] => Op::Hoist(value(a)?),
        ["rotate", a, "left", by] => Op::Rotate(value(a)?, number(by)?),
        ["relinearize", a] => Op::Relinearize(value(a)?),
        ["rescale", a] => Op::Rescale(value(a)?),
        ["drop", a] => Op::Drop(value(a)?),
        ["conjugate", a] => Op::Conjugate(value(a)?),
        _ => return Err(format!("`{}` is no instruction", words.join(" "))),
    })
}

fn read_plain(factor: f64, source: PlainSource, words: &[&str]) -> Result<Plain, String> {
    let mut runs = Vec::new();
    for word in words {
        let (slots, elements) = word.split_once('=').map_or((*word, None), |(a, b)| (a, Some(b)));
        let (slot, more) = slots.split_once('+').map_or((slots, None), |(a, b)| (a, Some(b)));
        let (slot_step, count) = match more {
            Some(more) => {
                let (step, count) = more.split_once('*').ok_or_else(|| format!("`{word}` is no run"))?;
                (number(step)?, number(count)?)
            }
            None => (1, 1),
        };
        let (element, element_step) = match elements {
            None => (0, 0),
            Some(text) => match text.find(['+', '-']) {
                Some(at) => (number(&text[..at])?, number(&text[at..])?),
                None => (number(text)?, 0),
            },
        };
        let run = Run { slot: number(slot)?, slot_step, element, element_step, count };
        let last = u64::from(run.slot) + u64::from(run.slot_step) * u64::from(run.count.saturating_sub(1));
        if run.count == 0 || last >= 1 << 16 {
            return Err(format!("`{word}` leaves the slots"));
        }
        runs.push(run);
    }
    Ok(Plain { factor, source, runs })
}

fn read_packing(text: &str) -> Result<Packing, String> {
    let wrong = || format!("`{text}` is no packing");
    let (digits, rest_text) =
        text.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
    let (flags, held) = rest_text.split_once("holds").ok_or_else(wrong)?;
    let (held, axes_text) = held.split_once(" over ").unwrap_or((held, ""));
    let mut axes: Vec<(String, u64)> = Vec::new();
    for word in axes_text.split_whitespace() {
        let (name, extent) = word.split_once('=').ok_or_else(wrong)?;
        axes.push((name.to_string(), number(extent)?));
    }
    let axis =
        |name: &str| axes.iter().position(|axis| axis.0 == name).ok_or_else(|| format!("no axis `{name}`"));
    let digit = |word: &str| -> Result<Digit, String> {
        let gap = |kind, extent: &str| Ok(Digit { kind, extent: number(extent)? });
        if let Some(extent) = word.strip_prefix('*') {
            return gap(Kind::Copy, extent);
        }
        if let Some(extent) = word.strip_prefix('?') {
            return gap(Kind::Unknown, extent);
        }
        let Some((name, extent)) = word.split_once(':') else {
            return gap(Kind::Zero, word.strip_prefix('_').ok_or_else(wrong)?);
        };
        if let Some(pair) = name.strip_prefix('(') {
            let (name, less) =
                pair.strip_suffix(')').and_then(|pair| pair.split_once('-')).ok_or_else(wrong)?;
            return gap(Kind::Skew { axis: axis(name)?, less: axis(less)? }, extent);
        }
        let (name, by) = name.split_once('/').unwrap_or((name, "1"));
        gap(Kind::Axis { axis: axis(name)?, by: number(by)? }, extent)
    };
    let list = |text: &str| text.split_whitespace().map(digit).collect::<Result<Vec<Digit>, String>>();
    let (outer, inner) = match digits.split_once('|') {
        Some((outer, inner)) => (list(outer)?, list(inner)?),
        None => (Vec::new(), list(digits)?),
    };
    for side in [&outer, &inner] {
        let total = side.iter().try_fold(1u64, |n, digit| n.checked_mul(u64::from(digit.extent)));
        if total.is_none_or(|total| total == 0 || total > 1 << 17) {
            return Err("the packing is too large".to_string());
        }
    }
    let (access, extents) = held.trim().split_once(" of ").ok_or_else(wrong)?;
    let inside = access.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
    let positions = inside.split(',').filter(|position| !position.is_empty());
    let access =
        positions.map(|position| read_affine(position, &axis)).collect::<Result<Vec<Affine>, String>>()?;
    let shape = shape(extents.trim())?;
    if access.len() != shape.len() {
        return Err(wrong());
    }
    let mut flags: Vec<&str> = flags.split_whitespace().collect();
    let padding = if flags.ends_with(&["padded", "?"]) {
        flags.truncate(flags.len() - 2);
        Rest::Unknown
    } else {
        Rest::Zero
    };
    let rest = if flags == ["?"] { Rest::Unknown } else { Rest::Zero };
    Ok(Packing { axes, outer, inner, access, shape, rest, padding })
}

/// `2*i-j+3`.
fn read_affine(text: &str, axis: &dyn Fn(&str) -> Result<usize, String>) -> Result<Affine, String> {
    let mut index = Affine::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (sign, body) = match rest.strip_prefix('-') {
            Some(body) => (-1, body),
            None => (1, rest.strip_prefix('+').unwrap_or(rest)),
        };
        let end = body.find(['+', '-']).unwrap_or(body.len());
        let (term, more) = body.split_at(end);
        if let Ok(constant) = term.parse::<i32>() {
            index.constant += i64::from(constant) * sign;
        } else {
            let (by, name) = term.split_once('*').unwrap_or(("1", term));
            let by = i64::from(number::<i32>(by)?);
            index.terms.push((AxisId(axis(name)? as u32), by * sign));
        }
        rest = more;
    }
    index.terms.sort_unstable();
    Ok(index)
}
