//! The text form of schedules.

use super::{
    Input, Instruction, Keys, Layout, MAX_ITEMS, Output, Piece, Plain, PlainId, Range, Register, Schedule,
    Step, Values,
};
use crate::ckks::{CkksError, Code, Parameters, checksum, security_row};
use std::fmt::{self, Write};
use std::str::{FromStr, SplitAsciiWhitespace};

/// The version of the text form.
const VERSION: u32 = 1;

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_body(&mut text)?;
        f.write_str(&text)?;
        writeln!(f, "checksum {:016x}", checksum(text.as_bytes()))
    }
}

impl Schedule {
    fn write_body(&self, text: &mut String) -> fmt::Result {
        let parameters = &self.parameters;
        writeln!(text, "ckks schedule {VERSION}")?;
        let (ring, scale, digits) = (parameters.ring, parameters.scale_bits, parameters.digits);
        write!(text, "ring {ring}, scale 2^{scale}, digits {digits}, ")?;
        let security = if parameters.insecure_toy { "insecure toy" } else { "128 bits" };
        match security_row(ring) {
            Some(row) => writeln!(text, "{security}  # log QP {:.1} of {row}", parameters.log_qp())?,
            None => writeln!(text, "{security}  # log QP {:.1}", parameters.log_qp())?,
        }
        write_list(text, "primes", &parameters.primes)?;
        write_list(text, "special", &parameters.special)?;
        if let Some(level) = self.keys.relinearize {
            writeln!(text, "key relinearize level {level}")?;
        }
        if let Some(level) = self.keys.conjugate {
            writeln!(text, "key conjugate level {level}")?;
        }
        for (by, level) in &self.keys.rotate {
            writeln!(text, "key rotate {by} level {level}")?;
        }
        for input in &self.inputs {
            let kind = if input.secret { "secret" } else { "clear" };
            writeln!(text, "input {kind} {} {}", input.name, input.count)?;
            if let Some(layout) = &input.layout {
                writeln!(text, "layout input {} = {layout}", input.name)?;
            }
        }
        for (place, plain) in self.plains.iter().enumerate() {
            write!(text, "plain p{place} = ")?;
            self.write_plain(text, plain)?;
        }
        let infos = self.check().unwrap_or_default();
        for (place, instruction) in self.instructions.iter().enumerate() {
            let start = text.len();
            self.write_instruction(text, place, instruction)?;
            if let Some(info) = infos.get(place) {
                let width = 40usize.saturating_sub(text.len() - start).max(2);
                let scale = if info.product { 2 * scale } else { scale };
                let (level, parts) = (info.level, info.parts);
                let what = if info.hoisted { "digits".to_owned() } else { format!("{parts} parts") };
                write!(text, "{:width$}# level {level}, scale 2^{scale}, {what}", "")?;
            }
            text.push('\n');
        }
        for Range { value, function, ends: (low, high), layout } in &self.ranges {
            writeln!(text, "range {value} {function} {low:?} {high:?} = {layout}")?;
        }
        for output in &self.outputs {
            write!(text, "output {} =", output.name)?;
            output.values.iter().try_for_each(|value| write!(text, " {value}"))?;
            text.push('\n');
            if let Some(layout) = &output.layout {
                writeln!(text, "layout output {} = {layout}", output.name)?;
            }
        }
        Ok(())
    }

    fn input_name(&self, input: u32) -> &str {
        self.inputs.get(input as usize).map_or("?", |input| &input.name)
    }

    fn write_plain(&self, text: &mut String, plain: &Plain) -> fmt::Result {
        match plain {
            Plain::Input { input, index } => writeln!(text, "input {} {index}", self.input_name(*input)),
            Plain::Constant(Values::Splat(value)) => writeln!(text, "splat {value:?}"),
            Plain::Constant(Values::Periodic(values)) => write_numbers(text, "periodic", values),
            Plain::Constant(Values::Dense(values)) => write_numbers(text, "dense", values),
            Plain::Constant(Values::Runs(runs)) => {
                text.push_str("runs");
                runs.iter().try_for_each(|(count, value)| write!(text, " {count}*{value:?}"))?;
                text.push('\n');
                Ok(())
            }
        }
    }

    fn write_instruction(&self, text: &mut String, place: usize, instruction: &Instruction) -> fmt::Result {
        let letter = if matches!(instruction, Instruction::Hoist(_)) { 'h' } else { 'c' };
        write!(text, "{letter}{place} = ")?;
        match *instruction {
            Instruction::Input { input, index } => write!(text, "input {} {index}", self.input_name(input)),
            Instruction::Add(a, b) => write!(text, "add {a} {b}"),
            Instruction::Sub(a, b) => write!(text, "sub {a} {b}"),
            Instruction::Neg(a) => write!(text, "neg {a}"),
            Instruction::AddPlain(a, p) => write!(text, "add_plain {a} {p}"),
            Instruction::Mul(a, b) => write!(text, "mul {a} {b}"),
            Instruction::MulPlain(a, p) => write!(text, "mul_plain {a} {p}"),
            Instruction::MulScalar(a, number) => write!(text, "mul_scalar {a} {number:?}"),
            Instruction::Rotate { value, by } => {
                let letter = if self.is_hoisted(instruction) { 'h' } else { 'c' };
                write!(text, "rotate {letter}{} left {by}", value.0)
            }
            Instruction::Hoist(a) => write!(text, "hoist {a}"),
            Instruction::Relinearize(a) => write!(text, "relinearize {a}"),
            Instruction::Rescale(a) => write!(text, "rescale {a}"),
            Instruction::Drop { value, level } => write!(text, "drop {value} level {level}"),
            Instruction::Conjugate(a) => write!(text, "conjugate {a}"),
        }
    }
}

fn write_list(text: &mut String, name: &str, numbers: &[u64]) -> fmt::Result {
    text.push_str(name);
    numbers.iter().try_for_each(|number| write!(text, " {number}"))?;
    text.push('\n');
    Ok(())
}

fn write_numbers(text: &mut String, name: &str, numbers: &[f64]) -> fmt::Result {
    text.push_str(name);
    numbers.iter().try_for_each(|number| write!(text, " {number:?}"))?;
    text.push('\n');
    Ok(())
}

impl FromStr for Schedule {
    type Err = CkksError;

    /// Reads the text form; the checksum must be right and the schedule pass its check.
    fn from_str(text: &str) -> Result<Schedule, CkksError> {
        let format = |message: &str| CkksError::new(Code::Format, message);
        let first = text.lines().next().unwrap_or_default();
        let version = first.strip_prefix("ckks schedule ").ok_or_else(|| format("not a ckks schedule"))?;
        if version.trim() != VERSION.to_string() {
            let message = format!("a schedule of version {}, not {VERSION}", crate::file::shortened(version));
            return Err(CkksError::new(Code::Version, message));
        }
        let at = text.rfind("\nchecksum ").ok_or_else(|| format("the schedule ends without a checksum"))? + 1;
        let (body, end) = text.split_at(at);
        let told = end.trim_start_matches("checksum ").trim_end();
        if told != format!("{:016x}", checksum(body.as_bytes())) {
            let message = "the checksum does not fit: the schedule was damaged or edited";
            return Err(CkksError::new(Code::Checksum, message));
        }
        let mut reader = Reader::new();
        for (number, line) in body.lines().enumerate().skip(1) {
            let line = line.split('#').next().unwrap_or_default();
            reader.line(line).map_err(|error| error.within(&format!("line {}", number + 1)))?;
        }
        let schedule = reader.finish();
        schedule.check()?;
        Ok(schedule)
    }
}

struct Reader {
    schedule: Schedule,
}

impl Reader {
    fn new() -> Reader {
        let parameters = Parameters {
            ring: 0,
            primes: Vec::new(),
            special: Vec::new(),
            digits: 0,
            scale_bits: 0,
            insecure_toy: false,
        };
        let schedule = Schedule {
            parameters,
            keys: Keys::default(),
            inputs: Vec::new(),
            plains: Vec::new(),
            instructions: Vec::new(),
            ranges: Vec::new(),
            outputs: Vec::new(),
        };
        Reader { schedule }
    }

    fn finish(self) -> Schedule {
        self.schedule
    }

    fn line(&mut self, line: &str) -> Result<(), CkksError> {
        let mut words = Words(line.split_ascii_whitespace());
        let Some(first) = words.0.next() else { return Ok(()) };
        match first {
            "ring" => {
                let parameters = &mut self.schedule.parameters;
                parameters.ring = parse(words.next()?.trim_end_matches(','))?;
                words.expect("scale")?;
                let scale = words.next()?.trim_end_matches(',');
                parameters.scale_bits = parse(scale.strip_prefix("2^").ok_or_else(|| unexpected(scale))?)?;
                words.expect("digits")?;
                parameters.digits = parse(words.next()?.trim_end_matches(','))?;
                parameters.insecure_toy = match (words.next()?, words.next()?) {
                    ("128", "bits") => false,
                    ("insecure", "toy") => true,
                    (word, _) => return Err(unexpected(word)),
                };
            }
            "primes" => self.schedule.parameters.primes = words.rest()?,
            "special" => self.schedule.parameters.special = words.rest()?,
            "key" => self.key(&mut words)?,
            "input" => {
                let secret = match words.next()? {
                    "secret" => true,
                    "clear" => false,
                    word => return Err(unexpected(word)),
                };
                let (name, count) = (words.next()?.to_owned(), words.number()?);
                self.schedule.inputs.push(Input { name, secret, count, layout: None });
            }
            "plain" => {
                self.expect_place(words.next()?, "p", self.schedule.plains.len())?;
                words.expect("=")?;
                let plain = self.plain(&mut words)?;
                self.schedule.plains.push(plain);
            }
            "layout" => self.layout(&mut words)?,
            "range" => {
                let (value, function) = (register(words.next()?)?, words.next()?.to_owned());
                let ends = (words.number()?, words.number()?);
                words.expect("=")?;
                let layout = read_layout(&mut words)?;
                self.schedule.ranges.push(Range { value, function, ends, layout });
            }
            "output" => {
                let name = words.next()?.to_owned();
                words.expect("=")?;
                let mut values = Vec::new();
                for word in words.0.by_ref() {
                    values.push(register(word)?);
                }
                self.schedule.outputs.push(Output { name, values, layout: None });
            }
            _ => {
                let place = self.schedule.instructions.len();
                words.expect("=")?;
                let instruction = self.instruction(&mut words)?;
                let letter = if matches!(instruction, Instruction::Hoist(_)) { "h" } else { "c" };
                self.expect_place(first, letter, place)?;
                self.schedule.instructions.push(instruction);
            }
        }
        match words.0.next() {
            None => Ok(()),
            Some(word) => Err(unexpected(word)),
        }
    }

    fn expect_place(&self, word: &str, letter: &str, place: usize) -> Result<(), CkksError> {
        let found: Option<usize> = word.strip_prefix(letter).and_then(|number| number.parse().ok());
        if place >= MAX_ITEMS {
            return Err(CkksError::new(
                Code::TooLarge,
                format!("more than {MAX_ITEMS} instructions or operands"),
            ));
        }
        if found == Some(place) { Ok(()) } else { Err(unexpected(word)) }
    }

    fn layout(&mut self, words: &mut Words<'_>) -> Result<(), CkksError> {
        let (kind, name) = (words.next()?, words.next()?);
        words.expect("=")?;
        let layout = Some(read_layout(words)?);
        let place = match kind {
            "input" => {
                self.schedule.inputs.iter_mut().find(|input| input.name == name).map(|i| &mut i.layout)
            }
            "output" => {
                self.schedule.outputs.iter_mut().find(|output| output.name == name).map(|o| &mut o.layout)
            }
            word => return Err(unexpected(word)),
        };
        let place = place.ok_or_else(|| unexpected(name))?;
        match std::mem::replace(place, layout) {
            None => Ok(()),
            Some(_) => Err(CkksError::new(Code::Format, "the layout is told twice")),
        }
    }

    fn key(&mut self, words: &mut Words<'_>) -> Result<(), CkksError> {
        let kind = words.next()?;
        let keys = &mut self.schedule.keys;
        let by: u32 = if kind == "rotate" { words.number()? } else { 0 };
        words.expect("level")?;
        let level = words.number()?;
        let before = match kind {
            "relinearize" => keys.relinearize.replace(level),
            "conjugate" => keys.conjugate.replace(level),
            "rotate" => keys.rotate.insert(by, level),
            word => return Err(unexpected(word)),
        };
        match before {
            None => Ok(()),
            Some(_) => Err(CkksError::new(Code::Format, "the key is listed twice")),
        }
    }

    fn input(&self, name: &str) -> Result<u32, CkksError> {
        let found = self.schedule.inputs.iter().position(|input| input.name == name);
        found.map(|place| place as u32).ok_or_else(|| {
            CkksError::new(Code::Input, format!("no input is called {}", crate::file::shortened(name)))
        })
    }

    fn plain(&self, words: &mut Words<'_>) -> Result<Plain, CkksError> {
        let values = match words.next()? {
            "input" => return Ok(Plain::Input { input: self.input(words.next()?)?, index: words.number()? }),
            "splat" => Values::Splat(words.number()?),
            "periodic" => Values::Periodic(words.rest()?),
            "dense" => Values::Dense(words.rest()?),
            "runs" => {
                let mut runs = Vec::new();
                for word in words.0.by_ref() {
                    let (count, value) = word.split_once('*').ok_or_else(|| unexpected(word))?;
                    runs.push((parse(count)?, parse(value)?));
                }
                Values::Runs(runs)
            }
            word => return Err(unexpected(word)),
        };
        Ok(Plain::Constant(values))
    }

    fn instruction(&self, words: &mut Words<'_>) -> Result<Instruction, CkksError> {
        let name = words.next()?;
        if name == "input" {
            return Ok(Instruction::Input { input: self.input(words.next()?)?, index: words.number()? });
        }
        if name == "rotate" {
            let word = words.next()?;
            let value = word.strip_prefix(['c', 'h']).ok_or_else(|| unexpected(word))?;
            let value = Register(parse(value)?);
            words.expect("left")?;
            let instruction = Instruction::Rotate { value, by: words.number()? };
            if self.schedule.is_hoisted(&instruction) != word.starts_with('h') {
                return Err(unexpected(word));
            }
            return Ok(instruction);
        }
        let a = words.next().and_then(register)?;
        Ok(match name {
            "add" => Instruction::Add(a, register(words.next()?)?),
            "sub" => Instruction::Sub(a, register(words.next()?)?),
            "neg" => Instruction::Neg(a),
            "add_plain" => Instruction::AddPlain(a, plain_id(words.next()?)?),
            "mul" => Instruction::Mul(a, register(words.next()?)?),
            "mul_plain" => Instruction::MulPlain(a, plain_id(words.next()?)?),
            "mul_scalar" => Instruction::MulScalar(a, words.number()?),
            "hoist" => Instruction::Hoist(a),
            "relinearize" => Instruction::Relinearize(a),
            "rescale" => Instruction::Rescale(a),
            "drop" => {
                words.expect("level")?;
                Instruction::Drop { value: a, level: words.number()? }
            }
            "conjugate" => Instruction::Conjugate(a),
            word => return Err(unexpected(word)),
        })
    }
}

/// A layout as it is written.
fn read_layout(words: &mut Words<'_>) -> Result<Layout, CkksError> {
    let tensor = words.next()?.to_owned();
    let shape = words.next()?;
    let shape = shape.strip_suffix(':').ok_or_else(|| unexpected(shape))?;
    let shape = match shape {
        "scalar" => Vec::new(),
        shape => shape.split('x').map(parse).collect::<Result<_, _>>()?,
    };
    let mut pieces = Vec::new();
    let mut next = words.0.next();
    while let Some(word) = next {
        let (ciphertext, slot, element) = (parse(word)?, words.number()?, words.number()?);
        let mut steps = [Step::ONCE; 2];
        let mut known = 0;
        next = words.0.next();
        while let Some(word) = next.filter(|&word| word != ";") {
            let step = steps.get_mut(known).ok_or_else(|| unexpected(word))?;
            let (count, by) = word.split_once('*').ok_or_else(|| unexpected(word))?;
            let (slots, elements) = by.split_once(',').ok_or_else(|| unexpected(word))?;
            *step = Step { count: parse(count)?, slots: parse(slots)?, elements: parse(elements)? };
            known += 1;
            next = words.0.next();
        }
        if next.is_some() {
            next = Some(words.next()?);
        }
        pieces.push(Piece { ciphertext, slot, element, inner: steps[0], outer: steps[1] });
    }
    Ok(Layout { tensor, shape, pieces })
}

/// The words of a line.
struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<&'a str, CkksError> {
        self.0.next().ok_or_else(|| CkksError::new(Code::Format, "the line ends too early"))
    }

    fn expect(&mut self, word: &str) -> Result<(), CkksError> {
        let found = self.next()?;
        if found == word { Ok(()) } else { Err(unexpected(found)) }
    }

    fn number<T: FromStr>(&mut self) -> Result<T, CkksError> {
        parse(self.next()?)
    }

    fn rest<T: FromStr>(&mut self) -> Result<Vec<T>, CkksError> {
        self.0.by_ref().map(parse).collect()
    }
}

fn parse<T: FromStr>(word: &str) -> Result<T, CkksError> {
    word.parse().map_err(|_| unexpected(word))
}

fn register(word: &str) -> Result<Register, CkksError> {
    word.strip_prefix('c').map_or_else(|| Err(unexpected(word)), parse).map(Register)
}

fn plain_id(word: &str) -> Result<PlainId, CkksError> {
    word.strip_prefix('p').map_or_else(|| Err(unexpected(word)), parse).map(PlainId)
}

fn unexpected(word: &str) -> CkksError {
    CkksError::new(Code::Format, format!("`{}` is not expected here", crate::file::shortened(word)))
}
