//! The text form of loops.

use super::*;
use crate::fault::Checked;
use std::fmt::{self, Display, Formatter, Write as _};

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dtype)?;
        if self.lanes == 1 { Ok(()) } else { write!(f, "x{}", self.lanes) }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => write!(f, "{value}"),
            Number::Real(value) => write!(f, "{value:?}"),
        }
    }
}

impl Display for Loops {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "loops {}    arena {} bytes, scratch {} bytes", self.name, self.arena, self.scratch)?;
        for (id, buffer) in self.buffers.iter() {
            write!(f, "{id}: {}[{}] = ", buffer.dtype, buffer.elems)?;
            match &buffer.place {
                Place::Input(number) => write!(f, "input {number}")?,
                Place::Output(number) => write!(f, "output {number}")?,
                Place::Constant(_) => write!(f, "constant")?,
                Place::Arena(at) => write!(f, "arena {at}")?,
                Place::Scratch(at) => write!(f, "scratch {at}")?,
            }
            writeln!(f, "    {}", buffer.name)?;
        }
        for (id, site) in self.sites.iter() {
            match site.checked {
                Checked::Index(dim) => write!(f, "{id}: dim {dim} of {}", site.tensor)?,
                Checked::End => write!(f, "{id}: an end read from {}", site.tensor)?,
                Checked::Length => write!(f, "{id}: a length read from {}", site.tensor)?,
            }
            writeln!(f, ", extent {}", site.extent)?;
        }
        for (id, gemm) in self.gemms.iter() {
            write!(f, "{id}: {}", gemm.dtype)?;
            for (name, group) in [("batch", &gemm.batch), ("m", &gemm.m), ("n", &gemm.n), ("k", &gemm.k)] {
                for axis in group {
                    write!(f, " {name}[{}: {} {} {}]", axis.extent, axis.a, axis.b, axis.c)?;
                }
            }
            writeln!(f, "{}", if gemm.accumulate { " accumulate" } else { "" })?;
        }
        for (id, permute) in self.permutes.iter() {
            write!(f, "{id}: {}", permute.dtype)?;
            for axis in &permute.axes {
                write!(f, " [{}: {} {}]", axis.extent, axis.from, axis.to)?;
            }
            writeln!(f)?;
        }
        let mut out = String::new();
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(out, "step {number}")?;
            self.show_all(step, 1, &mut out)?;
        }
        f.write_str(&out)
    }
}

impl Loops {
    /// A loop variable as the text form writes it.
    pub(crate) fn var(&self, var: VarId) -> String {
        format!("{}{}", self.vars[var], var.0)
    }

    /// An address as the text form writes it.
    pub(crate) fn address(&self, address: &Address) -> String {
        let mut parts = self.sum(address.offset, &address.terms);
        if let Some(value) = address.dynamic {
            parts = if parts == "0" { value.to_string() } else { format!("{parts} + {value}") };
        }
        format!("{}[{parts}]", address.buffer)
    }

    fn sum(&self, offset: i64, terms: &[(VarId, i64)]) -> String {
        let mut text = String::new();
        for &(var, stride) in terms {
            let name = self.var(var);
            let sign = match (text.is_empty(), stride < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            text.push_str(sign);
            match stride.unsigned_abs() {
                1 => text.push_str(&name),
                by => write!(text, "{by}*{name}").expect("a string takes any text"),
            }
        }
        match (text.is_empty(), offset) {
            (true, _) => text = offset.to_string(),
            (false, 0) => {}
            (false, 1..) => write!(text, " + {offset}").expect("a string takes any text"),
            (false, _) => write!(text, " - {}", offset.unsigned_abs()).expect("a string takes any text"),
        }
        text
    }

    fn op(&self, op: &Op) -> String {
        let list = |values: &[ValueId]| values.iter().map(|v| v.to_string()).collect::<Vec<_>>().join(" ");
        match op {
            Op::Const(number) => number.to_string(),
            Op::Affine(offset, terms) => self.sum(*offset, terms),
            Op::Iota => "iota".into(),
            Op::Copy(v) => format!("{v}"),
            Op::Load(mem, address) => format!("load {mem} {}", self.address(address)),
            Op::Splat(v) => format!("splat {v}"),
            Op::Pack(values) => format!("pack {}", list(values)),
            Op::Lane(v, lane) => format!("lane {v}.{lane}"),
            Op::Unary(op, v) => format!("{} {v}", op.name()),
            Op::Binary(op, a, b) => {
                let name = match op {
                    Arith::Add => "+",
                    Arith::Sub => "-",
                    Arith::Mul => "*",
                    Arith::Lang(op) => op.name(),
                };
                format!("{a} {name} {b}")
            }
            Op::Fma(a, b, c) => format!("fma {a} {b} {c}"),
            Op::Select(c, a, b) => format!("select {c} {a} {b}"),
            Op::Cast(v) => format!("cast {v}"),
            Op::Complex(op, part, values) => {
                let name = match op {
                    ComplexOp::Unary(op) => op.name(),
                    ComplexOp::Binary(op) => op.name(),
                };
                let part = if *part == Part::Re { "re" } else { "im" };
                format!("{part} of {name} {}", list(values))
            }
        }
    }

    fn show_all(&self, list: &[Stmt], depth: usize, out: &mut String) -> fmt::Result {
        list.iter().try_for_each(|stmt| self.show(stmt, depth, out))
    }

    fn show(&self, stmt: &Stmt, depth: usize, out: &mut String) -> fmt::Result {
        let pad = "  ".repeat(depth);
        out.write_str(&pad)?;
        match stmt {
            Stmt::Let(value, op) => writeln!(out, "{value}: {} = {}", self.values[*value], self.op(op)),
            Stmt::Store(address, value) => writeln!(out, "store {} = {value}", self.address(address)),
            Stmt::For(looped) => {
                let bound = |constant: i64, name: &str, value: Option<ValueId>| match value {
                    None => constant.to_string(),
                    Some(value) => format!("{name}({constant}, {value})"),
                };
                let start = bound(looped.start, "max", looped.from);
                let end = bound(looped.end, "min", looped.to);
                write!(out, "for {} in {start}..{end}", self.var(looped.var))?;
                if looped.step != 1 {
                    write!(out, " step {}", looped.step)?;
                }
                if let Some(buffer) = looped.shared {
                    write!(out, " shared {buffer}")?;
                }
                writeln!(out, "{} {{", if looped.parallel { " parallel" } else { "" })?;
                self.show_all(&looped.body, depth + 1, out)?;
                writeln!(out, "{pad}}}")
            }
            Stmt::If(condition, then, otherwise) => {
                writeln!(out, "if {condition} {{")?;
                self.show_all(then, depth + 1, out)?;
                if !otherwise.is_empty() {
                    writeln!(out, "{pad}}} else {{")?;
                    self.show_all(otherwise, depth + 1, out)?;
                }
                writeln!(out, "{pad}}}")
            }
            Stmt::Gemm(gemm, [a, b, c], wanted) => {
                let [a, b, c] = [a, b, c].map(|address| self.address(address));
                let band = self.gemms[*gemm].band;
                write!(out, "{gemm} {c} = {a} * {b}")?;
                if let Some(Band { first, end, .. }) = band {
                    write!(out, " in a band {first}..{end}")?;
                }
                match wanted {
                    Some(wanted) => writeln!(out, " where {}", self.address(wanted)),
                    None => writeln!(out),
                }
            }
            Stmt::Permute(permute, [from, to]) => {
                writeln!(out, "{permute} {} = {}", self.address(to), self.address(from))
            }
            Stmt::Fourier(id, addresses) => {
                let at: Vec<String> =
                    addresses.iter().map(|address| self.address(address).to_string()).collect();
                match (&self.fouriers[*id], &at[..]) {
                    (Fourier::Transform(transform), [from, factors @ .., to, _]) => {
                        let Transform { dtype, len, rows, kept, .. } = transform;
                        let name = match (transform.inverse, transform.real_parts) {
                            (false, _) => "transform",
                            (true, false) => "inverse transform",
                            (true, true) => "real parts of inverse transform",
                        };
                        let first = if kept < len { format!("first {kept} of ") } else { String::new() };
                        let kind = match transform.columns {
                            Some([from, to]) => format!("columns by {from} and {to}"),
                            None => "rows".to_string(),
                        };
                        let times: String =
                            factors.iter().map(|factors| format!(" times {factors}")).collect();
                        writeln!(
                            out,
                            "{to} = {first}{name} of {rows} {kind} of {len} {dtype} at {from}{times}"
                        )
                    }
                    (Fourier::Convolution(convolution), [x, k, y, _]) => {
                        let Convolution { dtype, rows, points, taps, .. } = convolution;
                        let sign = if convolution.accumulate { "+=" } else { "=" };
                        let round = if convolution.periodic { " round" } else { "" };
                        writeln!(
                            out,
                            "{y} {sign} {rows} rows of {points} {dtype} at {x} by {taps}{round} at {k}"
                        )
                    }
                    _ => writeln!(out, "{id} {}", at.join(", ")),
                }
            }
            Stmt::Sort(sort) => {
                let order = if sort.descending { "greatest" } else { "least" };
                let (row, positions) = (self.address(&sort.row), self.address(&sort.positions));
                let (dtype, len, take) = (sort.dtype, sort.len, sort.take);
                writeln!(out, "{positions} = positions of {take} {order} of {len} {dtype} at {row}")
            }
            Stmt::Map(map) => {
                let (from, to) = (self.address(&map.from), self.address(&map.to));
                writeln!(out, "{to} = {} of {} {} at {from}", map.function, map.len, map.dtype)
            }
            Stmt::Fold(value, fold) => {
                let (op, ty, from) = (fold.op.name(), self.values[*value], self.address(&fold.from));
                writeln!(out, "{value}: {ty} = {op} of {} {} at {from}", fold.len, fold.dtype)
            }
            Stmt::FoldRows(fold) => {
                let (from, to) = (self.address(&fold.from), self.address(&fold.to));
                let (op, dtype) = (fold.op.name(), fold.dtype);
                let FoldRows { rows, stride, len, .. } = **fold;
                writeln!(out, "{to} = {op} of {rows} rows of {len} {dtype} at {from}, {stride} apart")
            }
            Stmt::Check(value, extent, site) => {
                writeln!(out, "check {value} in 0..{extent} else fault {site}")
            }
        }
    }
}
