//! Statements with their names resolved, before ranges and types are known.

use super::size::Size;
use crate::expr::{AlongOp, AxisId, Binary, Unary};
use crate::program::TensorId;
use crate::source::Span;
use einc_grammar::tree::{CompareOp, Number};
use einc_runtime::DType;

/// The type of a value during checking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    /// A literal, index or dim: an integer that adopts the type of the other side.
    Int,
    /// A real number that adopts the type of the other side.
    Real,
    /// A complex number that adopts the type of the other side.
    Complex,
    /// That element type; `f16` and `bf16` values are computed in `f32`.
    Of(DType),
}

impl Ty {
    /// The dtype that values of this type have in expressions.
    pub fn computed(self) -> DType {
        match self {
            Ty::Int => DType::I64,
            Ty::Real => DType::F64,
            Ty::Complex => DType::C128,
            Ty::Of(DType::F16 | DType::Bf16) => DType::F32,
            Ty::Of(dtype) => dtype,
        }
    }

    /// Whether it adopts the type of the other side.
    pub fn is_flexible(self) -> bool {
        !matches!(self, Ty::Of(_))
    }

    /// What messages call it.
    pub fn text(self) -> String {
        match self {
            Ty::Int => "an integer".to_string(),
            Ty::Real => "a real number".to_string(),
            Ty::Complex => "a complex number".to_string(),
            Ty::Of(dtype) => format!("`{dtype}`"),
        }
    }
}

/// A tensor as a scope knows it.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    /// The tensor of the program.
    pub tensor: TensorId,
    /// Its type.
    pub ty: Ty,
    /// Its extents.
    pub shape: Vec<Size>,
    /// Where it was declared or defined.
    pub place: Span,
}

/// Names an index of the statement at hand.
pub(super) type VarId = usize;

/// An index of a statement.
#[derive(Clone, Debug)]
pub(super) struct Var {
    /// Its name.
    pub name: String,
    /// Where it occurs first.
    pub place: Span,
    /// How many values it takes, once known.
    pub extent: Option<Size>,
    /// What fixed the extent: a place and what to say of it.
    pub fixed_by: Option<(Span, String)>,
    /// First value, where it is not 0.
    pub low: Size,
    /// Whether a range in the text fixed the extent.
    pub explicit: bool,
    /// Whether nothing binds it, so that a sum does.
    pub summed: bool,
    /// Conditions from ranges that depend on other indices or on tensors.
    pub filters: Vec<Node>,
    /// The axis of the program.
    pub axis: Option<AxisId>,
}

/// An expression with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub span: Span,
}

/// The kinds of resolved expressions.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Number(Number),
    Bool(bool),
    Size(Size),
    Var(VarId),
    /// How many values an index takes.
    Extent(VarId),
    Access {
        symbol: Symbol,
        indices: Vec<Position>,
        otherwise: Option<Box<Node>>,
    },
    /// A state of the scan at hand, with one position for each index of its left side.
    State {
        state: usize,
        indices: Vec<Position>,
    },
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<[Node; 2]>),
    Negate(Box<Node>),
    /// Terms with a sign.
    Sum(Vec<(bool, Node)>),
    /// Factors; those with `true` divide.
    Product(Vec<(bool, Node)>),
    Cast(DType, Box<Node>),
    Compare(CompareOp, Box<[Node; 2]>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Reduce {
        op: Reduction,
        vars: Vec<VarId>,
        conditions: Vec<Node>,
        body: Box<Node>,
    },
    Along {
        op: AlongOp,
        vars: Vec<VarId>,
        out: Vec<VarId>,
        conditions: Vec<Node>,
        body: Box<Node>,
    },
    /// What a function of single elements takes or gives.
    Element(Box<Element>),
}

/// A value on its way into or out of a function of single elements, or of a name in its body.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub body: Node,
    /// Indices that the body sums by itself.
    pub sums: Vec<VarId>,
    /// The declared type, with the name it is declared for and the place.
    pub dtype: Option<(DType, String, Span)>,
    /// Whether the value must have that type already, as arguments must.
    pub exact: bool,
}

/// Reductions by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    Sum,
    Prod,
    Mean,
    Var,
    Min,
    Max,
    Any,
    All,
    Count,
    LogSumExp,
    ArgMin,
    ArgMax,
}

impl Reduction {
    pub const ALL: [(Reduction, &'static str); 12] = [
        (Reduction::Sum, "sum"),
        (Reduction::Prod, "prod"),
        (Reduction::Mean, "mean"),
        (Reduction::Var, "var"),
        (Reduction::Min, "min"),
        (Reduction::Max, "max"),
        (Reduction::Any, "any"),
        (Reduction::All, "all"),
        (Reduction::Count, "count"),
        (Reduction::LogSumExp, "logsumexp"),
        (Reduction::ArgMin, "argmin"),
        (Reduction::ArgMax, "argmax"),
    ];

    pub fn name(self) -> &'static str {
        Reduction::ALL.iter().find(|entry| entry.0 == self).map_or("", |entry| entry.1)
    }
}

/// What stands at one position of an access.
#[derive(Clone, Debug)]
pub(super) enum Position {
    Expr(Node),
    /// The flattened axis, first index slowest.
    Group(Vec<VarId>),
    Unit,
}

impl Node {
    /// Calls `visit` on this node and all nodes within.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        visit(self);
        for part in self.parts() {
            part.walk(visit);
        }
    }

    /// The direct parts.
    pub fn parts(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Number(_) | Kind::Bool(_) | Kind::Size(_) | Kind::Var(_) | Kind::Extent(_) => Vec::new(),
            Kind::Access { indices, otherwise, .. } => {
                let mut parts: Vec<&Node> = indices.iter().filter_map(Position::expr).collect();
                parts.extend(otherwise.as_deref());
                parts
            }
            Kind::State { indices, .. } => indices.iter().filter_map(Position::expr).collect(),
            Kind::Unary(_, a) | Kind::Negate(a) | Kind::Cast(_, a) => vec![a],
            Kind::Element(element) => vec![&element.body],
            Kind::Binary(_, pair) | Kind::Compare(_, pair) => pair.iter().collect(),
            Kind::Sum(parts) | Kind::Product(parts) => parts.iter().map(|part| &part.1).collect(),
            Kind::And(parts) | Kind::Or(parts) => parts.iter().collect(),
            Kind::If(parts) => parts.iter().collect(),
            Kind::Reduce { conditions, body, .. } | Kind::Along { conditions, body, .. } => {
                let mut parts: Vec<&Node> = conditions.iter().collect();
                parts.push(body);
                parts
            }
        }
    }

    /// The indices it uses and does not bind, each once, in order of appearance.
    pub fn uses(&self) -> Vec<VarId> {
        let mut used = Vec::new();
        self.collect_uses(&mut used);
        used
    }

    fn collect_uses(&self, used: &mut Vec<VarId>) {
        let mut add = |var: VarId| {
            if !used.contains(&var) {
                used.push(var);
            }
        };
        match &self.kind {
            Kind::Var(var) => add(*var),
            Kind::Reduce { vars, .. } => {
                let inner: Vec<VarId> = self.parts().into_iter().flat_map(Node::uses).collect();
                inner.into_iter().filter(|var| !vars.contains(var)).for_each(add);
            }
            Kind::Element(element) => {
                element.body.uses().into_iter().filter(|var| !element.sums.contains(var)).for_each(add);
            }
            Kind::Along { vars, out, .. } => {
                let inner: Vec<VarId> = self.parts().into_iter().flat_map(Node::uses).collect();
                inner.into_iter().filter(|var| !vars.contains(var)).for_each(&mut add);
                out.iter().copied().for_each(add);
            }
            _ => {
                if let Kind::Access { indices, .. } | Kind::State { indices, .. } = &self.kind {
                    for position in indices {
                        if let Position::Group(vars) = position {
                            vars.iter().copied().for_each(&mut add);
                        }
                    }
                }
                for part in self.parts() {
                    part.collect_uses(used);
                }
            }
        }
    }

    /// Whether it reads a tensor.
    pub fn reads(&self) -> bool {
        let mut reads = false;
        self.walk(&mut |node| reads |= matches!(node.kind, Kind::Access { .. } | Kind::State { .. }));
        reads
    }
}

impl Position {
    /// The expression, unless it is a group or `_`.
    pub fn expr(&self) -> Option<&Node> {
        match self {
            Position::Expr(node) => Some(node),
            _ => None,
        }
    }

    /// The single index that stands there, if one does.
    pub fn var(&self) -> Option<VarId> {
        match self {
            Position::Expr(Node { kind: Kind::Var(var), .. }) => Some(*var),
            _ => None,
        }
    }
}
