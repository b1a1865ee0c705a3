//! Expressions as text.

use super::{Axes, AxisId, Expr, Outside};
use einc_runtime::{DType, Scalar};
use std::fmt::{self, Display};

/// An expression with the axes' names at hand, for printing.
pub struct Shown<'a, S>(pub &'a Expr<S>, pub &'a Axes);

impl<S: Display> Display for Shown<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, self.1, 0, f)
    }
}

/// The names of axes, joined by commas.
pub fn axis_list(list: &[AxisId], axes: &Axes) -> String {
    list.iter().map(|&axis| axes[axis].name.as_str()).collect::<Vec<_>>().join(",")
}

/// Writes a constant so that its dtype can be told: `3`, `3.0`, `(0.0+1.0j)`.
pub fn show_scalar(value: &Scalar) -> String {
    match value {
        Scalar::Int(value) => value.to_string(),
        Scalar::Real(value) => format!("{value:?}"),
        Scalar::Complex(re, im) => {
            format!("({re:?}{}{:?}j)", if im.is_sign_negative() { "-" } else { "+" }, im.abs())
        }
    }
}

fn show<S: Display>(expr: &Expr<S>, axes: &Axes, tight: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let list = |parts: &[Expr<S>], joint: &str, level: u8, f: &mut fmt::Formatter<'_>| {
        if tight > level {
            f.write_str("(")?;
        }
        for (k, part) in parts.iter().enumerate() {
            if k > 0 {
                f.write_str(joint)?;
            }
            show(part, axes, level + 1, f)?;
        }
        if tight > level {
            f.write_str(")")?;
        }
        Ok(())
    };
    match expr {
        Expr::Const(value, dtype) => {
            f.write_str(&show_scalar(value))?;
            if *dtype != DType::I64 { write!(f, "{dtype}") } else { Ok(()) }
        }
        Expr::Index(axis) => f.write_str(&axes[*axis].name),
        Expr::Read(read) => {
            write!(f, "{}", read.source)?;
            if read.indices.is_empty() {
                return Ok(());
            }
            f.write_str("[")?;
            for (k, index) in read.indices.iter().enumerate() {
                if k > 0 {
                    f.write_str(",")?;
                }
                show(index, axes, 0, f)?;
            }
            match &read.outside {
                Outside::Never => {}
                Outside::Else(value) => {
                    f.write_str(" else ")?;
                    show(value, axes, 0, f)?;
                }
                Outside::Checked => f.write_str(" checked")?,
                Outside::Clamp => f.write_str(" clamp")?,
                Outside::Trust => f.write_str(" trust")?,
            }
            f.write_str("]")
        }
        Expr::Unary(op, a) => {
            write!(f, "{}(", op.name())?;
            show(a, axes, 0, f)?;
            f.write_str(")")
        }
        Expr::Binary(op, a, b) => {
            f.write_str("(")?;
            show(a, axes, 2, f)?;
            write!(f, " {} ", op.name())?;
            show(b, axes, 2, f)?;
            f.write_str(")")
        }
        Expr::Sum(parts) => list(parts, " + ", 0, f),
        Expr::Product(parts) => list(parts, " * ", 1, f),
        Expr::Select(parts) => {
            f.write_str("select(")?;
            list(&parts[..], ", ", 0, f)?;
            f.write_str(")")
        }
        Expr::Cast(dtype, a) => {
            write!(f, "{dtype}(")?;
            show(a, axes, 0, f)?;
            f.write_str(")")
        }
        Expr::Reduce(reduce) => {
            write!(f, "{}[{}](", reduce.op.name(), axis_list(&reduce.axes, axes))?;
            show(&reduce.body, axes, 0, f)?;
            f.write_str(")")
        }
        Expr::Along(along) => {
            write!(f, "{}[{}", along.op.name(), axis_list(&along.axes, axes))?;
            if along.out != along.axes {
                write!(f, " -> {}", axis_list(&along.out, axes))?;
            }
            f.write_str("](")?;
            show(&along.body, axes, 0, f)?;
            f.write_str(")")
        }
    }
}
