//! The expressions inside statements, nodes and steps: what is computed at one point of an index space.
//!
//! One type serves program, graph and plan; they differ in what a read names: a tensor, an operand of a node, an
//! operand of a step. Every expression has one [`DType`] that follows from its parts, there is no promotion, and
//! both sides of an operator have one dtype. Sums and products are n-ary, so that sums of products stay visible.
//!
//! Integers wrap to their width after every operation. A `bool` is computed as 0 or 1 and then compared with 0: a sum
//! of `bool`s is their `or`, a product their `and`. All parts of an expression are evaluated, but for the branch that a
//! `select` does not take and an `else` that is not needed.
//!
//! ```text
//! sum[j](t0[i,j] * t1[j,k]) + select(i <= k, 1.0, 0.0)
//! ```

mod affine;
mod ops;
mod text;

pub use affine::Affine;
pub use ops::{AlongOp, Binary, Unary};
pub use text::{Shown, axis_list, show_scalar};

use crate::id::IdVec;
use crate::id_type;
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::BTreeSet;

id_type! {
    /// Names an axis: a named range `0..extent`.
    pub struct AxisId = "x"
}

/// A named range of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The index name in the source (made unique by no one; ids tell axes apart).
    pub name: String,
    /// How many values it takes.
    pub extent: u64,
}

/// The axes of a program, graph or plan.
pub type Axes = IdVec<AxisId, Axis>;

/// The product of the extents of some axes; saturates.
pub fn points<'a>(axes: &Axes, list: impl IntoIterator<Item = &'a AxisId>) -> u64 {
    list.into_iter().fold(1, |n, &axis| n.saturating_mul(axes[axis].extent))
}

/// What is computed at one point of an index space; reads name sources of type `S`.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr<S> {
    /// A constant of that dtype.
    Const(Scalar, DType),
    /// The value of an axis, an `i64`.
    Index(AxisId),
    /// An element of a source.
    Read(Read<S>),
    /// A function of one value.
    Unary(Unary, Box<Expr<S>>),
    /// A function of two values of one dtype.
    Binary(Binary, Box<Expr<S>>, Box<Expr<S>>),
    /// The sum of at least two terms of one dtype.
    Sum(Vec<Expr<S>>),
    /// The product of at least two factors of one dtype.
    Product(Vec<Expr<S>>),
    /// `[condition, then, otherwise]`.
    Select(Box<[Expr<S>; 3]>),
    /// The value in another dtype: to an integer from a float truncates and saturates (NaN gives 0), to an integer
    /// from an integer wraps, to `bool` is `!= 0`, complex to real takes the real part.
    Cast(DType, Box<Expr<S>>),
    /// A reduction over axes that exist only within.
    Reduce(Box<Reduce<S>>),
    /// A map along axes, such as softmax or sort, at one position of its result.
    Along(Box<Along<S>>),
}

/// An element of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<S> {
    /// What is read.
    pub source: S,
    /// Its element type.
    pub dtype: DType,
    /// One integer (`i64`) expression for each dim.
    pub indices: Vec<Expr<S>>,
    /// What happens outside the extents.
    pub outside: Outside<S>,
    /// Where it was written.
    pub place: Span,
}

/// What a read outside the extents gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Outside<S> {
    /// Proved never to happen.
    Never,
    /// This value (of the read's dtype), evaluated only then.
    Else(Box<Expr<S>>),
    /// A run-time error that names position and value.
    Checked,
    /// The nearest element; a run-time error as with `Checked` if there is none.
    Clamp,
    /// Undefined: the writer's promise.
    Trust,
}

/// A reduction: `op[axes](body)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce<S> {
    /// How values are joined.
    pub op: ReduceOp,
    /// The axes that are summed over; they occur nowhere outside.
    pub axes: Vec<AxisId>,
    /// The joined values. Its dtype is the accumulator's; the result has it too (`i64` for `argmax`, `argmin`).
    pub body: Expr<S>,
}

/// How a reduction joins values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// Sum; 0 if empty.
    Sum,
    /// Product; 1 if empty.
    Prod,
    /// Least; NaN wins. `inf` or the greatest integer if empty.
    Min,
    /// Greatest; NaN wins. `-inf` or the least integer if empty.
    Max,
    /// Whether one of them is true.
    Any,
    /// Whether all of them are true.
    All,
    /// `log(sum(exp(x)))`, stable; `-inf` if empty.
    LogSumExp,
    /// Flat row-major position (`i64`) of the least; ties to the lower, NaN counts as least. 0 if empty.
    ArgMin,
    /// Flat row-major position (`i64`) of the greatest; ties to the lower, NaN counts as greatest. 0 if empty.
    ArgMax,
}

/// A map along axes: the element at `out` of `op` applied to `body` over `axes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Along<S> {
    /// The map.
    pub op: AlongOp,
    /// The axes within `body` that it runs along; bound here unless they are also in `out`.
    pub axes: Vec<AxisId>,
    /// The axes of the result in their place. Maps that keep their indices have `out == axes`, which is why a free
    /// occurrence of `axes` outside the body then means the result's position.
    pub out: Vec<AxisId>,
    /// The values.
    pub body: Expr<S>,
}

impl<S> Expr<S> {
    /// The dtype of its value.
    pub fn dtype(&self) -> DType {
        match self {
            Expr::Const(_, dtype) | Expr::Cast(dtype, _) => *dtype,
            Expr::Index(_) => DType::I64,
            Expr::Read(read) => read.dtype,
            Expr::Unary(op, a) => match op {
                Unary::Real | Unary::Imag | Unary::Arg | Unary::Abs => a.dtype().real_part(),
                Unary::Not => a.dtype(),
                _ => a.dtype(),
            },
            Expr::Binary(op, a, _) => {
                if op.is_comparison() {
                    DType::Bool
                } else {
                    a.dtype()
                }
            }
            Expr::Sum(parts) | Expr::Product(parts) => parts[0].dtype(),
            Expr::Select(parts) => parts[1].dtype(),
            Expr::Reduce(reduce) => match reduce.op {
                ReduceOp::ArgMin | ReduceOp::ArgMax => DType::I64,
                _ => reduce.body.dtype(),
            },
            Expr::Along(along) => match along.op {
                AlongOp::ArgSort | AlongOp::ArgTopK => DType::I64,
                _ => along.body.dtype(),
            },
        }
    }

    /// A real or integer constant of that dtype.
    pub fn number(value: f64, dtype: DType) -> Expr<S> {
        if dtype.is_complex() {
            Expr::Const(Scalar::Complex(value, 0.0), dtype)
        } else if dtype.is_float() {
            Expr::Const(Scalar::Real(value), dtype)
        } else {
            Expr::Const(Scalar::Int(value as i128), dtype)
        }
    }

    /// An `i64` constant.
    pub fn int(value: i64) -> Expr<S> {
        Expr::Const(Scalar::Int(value.into()), DType::I64)
    }

    /// Its direct parts, in order; reads give their indices and the value after `else`.
    pub fn parts(&self) -> Vec<&Expr<S>> {
        match self {
            Expr::Const(..) | Expr::Index(_) => Vec::new(),
            Expr::Read(read) => {
                let mut parts: Vec<_> = read.indices.iter().collect();
                if let Outside::Else(value) = &read.outside {
                    parts.push(value);
                }
                parts
            }
            Expr::Unary(_, a) | Expr::Cast(_, a) => vec![a],
            Expr::Binary(_, a, b) => vec![a, b],
            Expr::Sum(parts) | Expr::Product(parts) => parts.iter().collect(),
            Expr::Select(parts) => parts.iter().collect(),
            Expr::Reduce(reduce) => vec![&reduce.body],
            Expr::Along(along) => vec![&along.body],
        }
    }

    /// The same, to change.
    pub fn parts_mut(&mut self) -> Vec<&mut Expr<S>> {
        match self {
            Expr::Const(..) | Expr::Index(_) => Vec::new(),
            Expr::Read(read) => {
                let value = match &mut read.outside {
                    Outside::Else(value) => Some(&mut **value),
                    _ => None,
                };
                read.indices.iter_mut().chain(value).collect()
            }
            Expr::Unary(_, a) | Expr::Cast(_, a) => vec![a],
            Expr::Binary(_, a, b) => vec![a, b],
            Expr::Sum(parts) | Expr::Product(parts) => parts.iter_mut().collect(),
            Expr::Select(parts) => parts.iter_mut().collect(),
            Expr::Reduce(reduce) => vec![&mut reduce.body],
            Expr::Along(along) => vec![&mut along.body],
        }
    }

    /// The axes it depends on: those bound inside are left out.
    pub fn free_axes(&self) -> BTreeSet<AxisId> {
        let mut free = BTreeSet::new();
        self.collect_free(&mut free);
        free
    }

    fn collect_free(&self, free: &mut BTreeSet<AxisId>) {
        match self {
            Expr::Index(axis) => {
                free.insert(*axis);
            }
            Expr::Reduce(reduce) => {
                let mut inner = reduce.body.free_axes();
                reduce.axes.iter().for_each(|axis| {
                    inner.remove(axis);
                });
                free.extend(inner);
            }
            Expr::Along(along) => {
                let mut inner = along.body.free_axes();
                along.axes.iter().for_each(|axis| {
                    inner.remove(axis);
                });
                free.extend(inner);
                free.extend(&along.out);
            }
            _ => self.parts().into_iter().for_each(|part| part.collect_free(free)),
        }
    }

    /// Calls `visit` on every read, outside in.
    pub fn for_each_read<'a>(&'a self, visit: &mut dyn FnMut(&'a Read<S>)) {
        if let Expr::Read(read) = self {
            visit(read);
        }
        self.parts().into_iter().for_each(|part| part.for_each_read(visit));
    }

    /// Whether computing it can stop the run: it has a checked read, or a checked end of a range.
    pub fn can_fail(&self) -> bool {
        match self {
            Expr::Read(Read { outside: Outside::Checked, .. }) | Expr::Binary(Binary::Within, ..) => true,
            _ => self.parts().into_iter().any(Expr::can_fail),
        }
    }

    /// Whether it is the number zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Expr::Const(Scalar::Int(value), _) => *value == 0,
            Expr::Const(Scalar::Real(value), _) => *value == 0.0,
            Expr::Const(Scalar::Complex(re, im), _) => (*re, *im) == (0.0, 0.0),
            _ => false,
        }
    }

    /// The conditions that it joins by `and`, in order.
    pub fn conjuncts(&self) -> Vec<&Expr<S>> {
        match self {
            Expr::Binary(Binary::And, a, b) => [a, b].into_iter().flat_map(|part| part.conjuncts()).collect(),
            _ => vec![self],
        }
    }

    /// Conditions joined by `and`; `None` if there are none.
    pub fn all_of(conditions: Vec<Expr<S>>) -> Option<Expr<S>> {
        conditions.into_iter().reduce(|a, b| Expr::Binary(Binary::And, Box::new(a), Box::new(b)))
    }

    /// The same expression with each read replaced by what `read` gives for it (its parts already replaced).
    pub fn map_reads<T>(
        &self,
        read: &mut dyn FnMut(&Read<S>, Vec<Expr<T>>, Outside<T>) -> Expr<T>,
    ) -> Expr<T> {
        match self {
            Expr::Const(value, dtype) => Expr::Const(*value, *dtype),
            Expr::Index(axis) => Expr::Index(*axis),
            Expr::Read(r) => {
                let indices = r.indices.iter().map(|index| index.map_reads(read)).collect();
                let outside = match &r.outside {
                    Outside::Never => Outside::Never,
                    Outside::Else(value) => Outside::Else(Box::new(value.map_reads(read))),
                    Outside::Checked => Outside::Checked,
                    Outside::Clamp => Outside::Clamp,
                    Outside::Trust => Outside::Trust,
                };
                read(r, indices, outside)
            }
            Expr::Unary(op, a) => Expr::Unary(*op, Box::new(a.map_reads(read))),
            Expr::Binary(op, a, b) => {
                Expr::Binary(*op, Box::new(a.map_reads(read)), Box::new(b.map_reads(read)))
            }
            Expr::Sum(parts) => Expr::Sum(parts.iter().map(|part| part.map_reads(read)).collect()),
            Expr::Product(parts) => Expr::Product(parts.iter().map(|part| part.map_reads(read)).collect()),
            Expr::Select(parts) => Expr::Select(Box::new([0, 1, 2].map(|k| parts[k].map_reads(read)))),
            Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(a.map_reads(read))),
            Expr::Reduce(reduce) => Expr::Reduce(Box::new(Reduce {
                op: reduce.op,
                axes: reduce.axes.clone(),
                body: reduce.body.map_reads(read),
            })),
            Expr::Along(along) => Expr::Along(Box::new(Along {
                op: along.op,
                axes: along.axes.clone(),
                out: along.out.clone(),
                body: along.body.map_reads(read),
            })),
        }
    }

    /// The same expression with axes exchanged, bound ones included: each pair is an axis and its replacement.
    pub fn with_axes(&self, pairs: &[(AxisId, AxisId)]) -> Expr<S>
    where
        S: Clone,
    {
        let other = |axis: AxisId| pairs.iter().find(|pair| pair.0 == axis).map_or(axis, |pair| pair.1);
        let others = |axes: &[AxisId]| axes.iter().map(|&axis| other(axis)).collect();
        match self {
            Expr::Index(axis) => Expr::Index(other(*axis)),
            Expr::Const(value, dtype) => Expr::Const(*value, *dtype),
            Expr::Read(read) => Expr::Read(Read {
                source: read.source.clone(),
                dtype: read.dtype,
                indices: read.indices.iter().map(|index| index.with_axes(pairs)).collect(),
                outside: match &read.outside {
                    Outside::Else(value) => Outside::Else(Box::new(value.with_axes(pairs))),
                    outside => outside.clone(),
                },
                place: read.place,
            }),
            Expr::Unary(op, a) => Expr::Unary(*op, Box::new(a.with_axes(pairs))),
            Expr::Binary(op, a, b) => {
                Expr::Binary(*op, Box::new(a.with_axes(pairs)), Box::new(b.with_axes(pairs)))
            }
            Expr::Sum(parts) => Expr::Sum(parts.iter().map(|part| part.with_axes(pairs)).collect()),
            Expr::Product(parts) => Expr::Product(parts.iter().map(|part| part.with_axes(pairs)).collect()),
            Expr::Select(parts) => Expr::Select(Box::new([0, 1, 2].map(|k| parts[k].with_axes(pairs)))),
            Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(a.with_axes(pairs))),
            Expr::Reduce(reduce) => Expr::Reduce(Box::new(Reduce {
                op: reduce.op,
                axes: others(&reduce.axes),
                body: reduce.body.with_axes(pairs),
            })),
            Expr::Along(along) => Expr::Along(Box::new(Along {
                op: along.op,
                axes: others(&along.axes),
                out: others(&along.out),
                body: along.body.with_axes(pairs),
            })),
        }
    }

    /// The expression as `constant + sum of coefficient * axis`, if it is that.
    ///
    /// Coefficients of zero are left out, and axes come in order of their ids.
    pub fn affine(&self) -> Option<Affine> {
        match self {
            Expr::Const(Scalar::Int(value), _) => {
                Some(Affine { terms: Vec::new(), constant: i64::try_from(*value).ok()? })
            }
            Expr::Index(axis) => Some(Affine { terms: vec![(*axis, 1)], constant: 0 }),
            Expr::Cast(DType::I64, a) if matches!(**a, Expr::Index(_)) => a.affine(),
            Expr::Unary(Unary::Neg, a) => a.affine()?.scaled(-1),
            Expr::Sum(parts) => {
                parts.iter().try_fold(Affine::default(), |sum, part| sum.plus(&part.affine()?))
            }
            Expr::Product(parts) => {
                let mut product = Affine { terms: Vec::new(), constant: 1 };
                for part in parts {
                    let part = part.affine()?;
                    product = if part.terms.is_empty() {
                        product.scaled(part.constant)?
                    } else if product.terms.is_empty() {
                        part.scaled(product.constant)?
                    } else {
                        return None;
                    };
                }
                Some(product)
            }
            _ => None,
        }
    }
}

impl Binary {
    /// Whether the result is a `bool`.
    pub fn is_comparison(self) -> bool {
        use Binary::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge | And | Or)
    }

    /// The operator or function name as dumps print it.
    pub fn name(self) -> &'static str {
        use Binary::*;
        match self {
            Div => "/",
            FloorDiv => "//",
            Rem => "%",
            Pow => "**",
            Atan2 => "atan2",
            Min => "min",
            Max => "max",
            BitAnd => "band",
            BitOr => "bor",
            BitXor => "bxor",
            Within => "within",
            Shl => "shl",
            Shr => "shr",
            Eq => "==",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            And => "and",
            Or => "or",
        }
    }
}

impl Unary {
    /// Every function of one value, by its name in the language (`-` and `not` are written as operators).
    pub const ALL: [(Unary, &'static str); 34] = [
        (Unary::Neg, "-"),
        (Unary::Not, "not"),
        (Unary::Abs, "abs"),
        (Unary::Sign, "sign"),
        (Unary::Floor, "floor"),
        (Unary::Ceil, "ceil"),
        (Unary::Round, "round"),
        (Unary::Exp, "exp"),
        (Unary::Log, "log"),
        (Unary::Log1p, "log1p"),
        (Unary::Expm1, "expm1"),
        (Unary::Sqrt, "sqrt"),
        (Unary::Rsqrt, "rsqrt"),
        (Unary::Sin, "sin"),
        (Unary::Cos, "cos"),
        (Unary::Tan, "tan"),
        (Unary::Asin, "asin"),
        (Unary::Acos, "acos"),
        (Unary::Atan, "atan"),
        (Unary::Sinh, "sinh"),
        (Unary::Cosh, "cosh"),
        (Unary::Tanh, "tanh"),
        (Unary::Erf, "erf"),
        (Unary::Sigmoid, "sigmoid"),
        (Unary::Relu, "relu"),
        (Unary::Gelu, "gelu"),
        (Unary::GeluTanh, "gelu_tanh"),
        (Unary::Silu, "silu"),
        (Unary::Softplus, "softplus"),
        (Unary::Real, "real"),
        (Unary::Imag, "imag"),
        (Unary::Conj, "conj"),
        (Unary::Arg, "arg"),
        (Unary::Popcount, "popcount"),
    ];

    /// The name in the language.
    pub fn name(self) -> &'static str {
        Unary::ALL.iter().find(|(op, _)| *op == self).expect("every function is listed").1
    }
}

impl ReduceOp {
    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            ReduceOp::Sum => "sum",
            ReduceOp::Prod => "prod",
            ReduceOp::Min => "min",
            ReduceOp::Max => "max",
            ReduceOp::Any => "any",
            ReduceOp::All => "all",
            ReduceOp::LogSumExp => "logsumexp",
            ReduceOp::ArgMin => "argmin",
            ReduceOp::ArgMax => "argmax",
        }
    }
}

impl AlongOp {
    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            AlongOp::Softmax => "softmax",
            AlongOp::LogSoftmax => "log_softmax",
            AlongOp::Normalize => "normalize",
            AlongOp::CumSum => "cumsum",
            AlongOp::CumProd => "cumprod",
            AlongOp::Dft => "dft",
            AlongOp::Idft => "idft",
            AlongOp::Sort => "sort",
            AlongOp::ArgSort => "argsort",
            AlongOp::TopK => "topk",
            AlongOp::ArgTopK => "argtopk",
        }
    }
}
