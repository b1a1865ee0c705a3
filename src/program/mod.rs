//! The checked program: names resolved, one extent per axis, types fixed, functions inlined.
//!
//! ```text
//! program matmul
//! t0 A: f32[512,256] input
//! t1 B: f32[256,128] input
//! t2 C: f32[512,128]
//! t2[i,k] = sum[j](t0[i,j] * t1[j,k])
//! output C = t2
//! ```
//!
//! Statements run in order and define each tensor once. Every axis has a known extent: a program is checked for
//! given sizes (and again, cheaply, for others).

mod access;
mod accumulate;
mod bind;
mod bounds;
mod build;
mod call;
mod check;
pub mod einsum;
mod element;
mod entries;
mod function;
mod interval;
mod load;
mod node;
mod range;
mod read;
mod reduce;
mod refuse;
mod resolve;
mod scan;
mod scope;
mod size;
mod statement;
mod types;
mod whole;

pub use check::{ArgInfo, Bindings, check, check_all};
pub use entries::{Entry, Param, entries};
pub use load::{Module, load, syntax_diagnostic};
pub(crate) use scope::similar;

use crate::expr::{Axes, AxisId, Expr, Outside, Shown, axis_list};
use crate::id::IdVec;
use crate::id_type;
use crate::source::Span;
use einc_runtime::DType;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

id_type! {
    /// Names a tensor of the program.
    pub struct TensorId = "t"
}

/// A program for given sizes and types.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name of the entry point; `main` for the module's own statements.
    pub name: String,
    /// Every axis of every statement.
    pub axes: Axes,
    /// Every tensor.
    pub tensors: IdVec<TensorId, Tensor>,
    /// What the caller hands over, in the order of the declarations.
    pub inputs: Vec<TensorId>,
    /// What the caller gets, in the order of the declarations. An `inout` stands in both lists under one name.
    pub outputs: Vec<(String, TensorId)>,
    /// What is computed, in order.
    pub statements: Vec<Statement>,
    /// The limit of `@memory(limit = ..)`, in bytes.
    pub memory_limit: Option<u64>,
    /// The inputs that are encrypted, in the order of the declarations.
    pub secrets: Vec<TensorId>,
    /// What `@approx` says, for targets that cannot compute functions.
    pub approximations: Vec<Approximation>,
    /// What `target cpu { .. }` says.
    pub cpu: CpuSettings,
    /// The settings of `target ckks { .. }`: name, value as written, place.
    pub encryption: Vec<(String, String, Span)>,
    /// The plans of `@plan("file")`.
    pub plans: Vec<GivenPlan>,
    /// The values that its free dims and dtype variables have; no arrays.
    pub bound: Bindings,
    /// The least and greatest value of the free dims that are declared with a range.
    pub dim_ranges: BTreeMap<String, (i64, i64)>,
    /// The least and greatest value of integer tensors whose values the checker could bound.
    pub ranges: HashMap<TensorId, (i128, i128)>,
}

/// What `target cpu { .. }` says; its memory is among the limits of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSettings {
    /// How many threads run the program.
    pub threads: Option<u16>,
    /// Whether results must not depend on anything but program, inputs and kind of machine.
    pub deterministic: bool,
}

/// The contraction orders that `@plan("file")` gives.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenPlan {
    /// What is in the file.
    pub text: std::sync::Arc<str>,
    /// The attribute.
    pub place: Span,
}

/// A function that a target may compute by a polynomial: `@approx(sigmoid, degree = 15, range = (-8, 8))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Approximation {
    /// The name of the function.
    pub function: String,
    /// The degree of the polynomial.
    pub degree: u32,
    /// Where the polynomial is close to the function.
    pub range: (f64, f64),
    /// The statement.
    pub place: Span,
}

/// A tensor of the program.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name in the source; intermediates that the checker made have one with a dot in it.
    pub name: String,
    /// Its element type in memory.
    pub dtype: DType,
    /// Its extents.
    pub shape: Vec<u64>,
    /// What it is for.
    pub role: Role,
    /// Where it was declared or defined.
    pub place: Span,
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Handed over by the caller at each call.
    Input,
    /// Handed over by the caller, and the same from call to call.
    Param,
    /// Defined by a statement.
    Computed,
}

/// One step of the computation.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `t2[i,k] = value` at every point of the axes of `dims`.
    Define(Define),
    /// `t2[indices] += value` for every point of `axes`, from a base or zeros.
    Scatter(Scatter),
    /// Statements that run once for every value of an axis, in order.
    Scan(Scan),
}

/// `t2[i,k] = value`.
#[derive(Clone, Debug)]
pub struct Define {
    /// What is defined.
    pub target: TensorId,
    /// The axes of each dim of the target: one is usual, several are a flattened dim (first slowest), none is a dim
    /// of extent 1. No axis occurs twice.
    pub dims: Vec<Vec<AxisId>>,
    /// The value, of the target's dtype; its free axes are among those of `dims` and the enclosing scans'.
    pub value: Expr<TensorId>,
    /// Whether `@order(keep)` asks to contract as written, left to right.
    pub keep_order: bool,
    /// The statement's place.
    pub place: Span,
}

impl Define {
    /// The axes of all dims, in memory order.
    pub fn axes(&self) -> Vec<AxisId> {
        self.dims.iter().flatten().copied().collect()
    }
}

/// `t2[indices] += value`.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// The tensor after the addition.
    pub target: TensorId,
    /// The tensor before it; zeros if none.
    pub base: Option<TensorId>,
    /// The points that add.
    pub axes: Vec<AxisId>,
    /// One `i64` expression for each dim of the target.
    pub indices: Vec<Expr<TensorId>>,
    /// What happens outside the extents: `Checked`, `Clamp`, `Trust`, or `Never`.
    pub outside: Outside<TensorId>,
    /// What is added, of the target's dtype.
    pub value: Expr<TensorId>,
    /// The statement's place.
    pub place: Span,
}

/// `scan[t] { .. }`.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The axis that runs.
    pub axis: AxisId,
    /// Whether it runs from the end to the start.
    pub reversed: bool,
    /// The statements of one step ([`Define`] only). A target with the scan's axis among its dims is written at that
    /// position and keeps its whole history; one without is overwritten at each step. Reads of earlier steps are
    /// ordinary reads at `t-1`, with the initial value as their `else`.
    pub body: Vec<Define>,
    /// The statement's place.
    pub place: Span,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {}", self.name)?;
        for (id, tensor) in self.tensors.iter() {
            write!(f, "{id} {}: {}", tensor.name, tensor.dtype)?;
            if !tensor.shape.is_empty() {
                let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
                write!(f, "[{}]", shape.join(","))?;
            }
            match tensor.role {
                Role::Input => writeln!(f, " input")?,
                Role::Param => writeln!(f, " param")?,
                Role::Computed => writeln!(f)?,
            }
        }
        for statement in &self.statements {
            match statement {
                Statement::Define(define) => self.show_define(define, "", f)?,
                Statement::Scatter(scatter) => {
                    write!(f, "{}[", scatter.target)?;
                    for (k, index) in scatter.indices.iter().enumerate() {
                        write!(f, "{}{}", if k > 0 { "," } else { "" }, Shown(index, &self.axes))?;
                    }
                    write!(f, "] += {}", Shown(&scatter.value, &self.axes))?;
                    write!(f, " over {}", axis_list(&scatter.axes, &self.axes))?;
                    match scatter.base {
                        Some(base) => writeln!(f, " from {base}")?,
                        None => writeln!(f, " from 0")?,
                    }
                }
                Statement::Scan(scan) => {
                    let order = if scan.reversed { " reversed" } else { "" };
                    writeln!(f, "scan[{}{order}] {{", self.axes[scan.axis].name)?;
                    for define in &scan.body {
                        self.show_define(define, "  ", f)?;
                    }
                    writeln!(f, "}}")?;
                }
            }
        }
        for (name, id) in &self.outputs {
            writeln!(f, "output {name} = {id}")?;
        }
        Ok(())
    }
}

impl Program {
    fn show_define(&self, define: &Define, indent: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = define
            .dims
            .iter()
            .map(|dim| match dim[..] {
                [] => "_".to_string(),
                [axis] => self.axes[axis].name.clone(),
                _ => format!("({})", axis_list(dim, &self.axes).replace(',', " ")),
            })
            .collect();
        write!(f, "{indent}{}", define.target)?;
        if !dims.is_empty() {
            write!(f, "[{}]", dims.join(","))?;
        }
        writeln!(f, " = {}", Shown(&define.value, &self.axes))
    }
}

#[cfg(test)]
mod tests;
