//! Values of expressions, one point of an index space at a time.
//!
//! An expression is first translated to [`Node`]s, which know their dtypes and where their reads go; then every value
//! comes from a walk over the nodes. A reduction, or a map along axes, whose value does not depend on every axis that
//! runs around it is computed once for each of its points and kept, so that nesting does not multiply the work.
//! `select` evaluates one branch, an `else` of a read is evaluated outside the extents only; everything else evaluates
//! all its parts.

use super::along::along;
use super::contract::Contraction;
use super::join::{Join, Total};
use super::value::{binary, int, multiply, truth, unary};
use crate::expr::{AlongOp, Axes, AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary};
use crate::fault::{Checked, Fault};
use crate::id::Id;
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::{BTreeSet, HashMap};

/// What expressions read.
pub trait Memory {
    /// The element at that position of that piece of memory.
    fn load(&self, memory: usize, element: i64) -> Scalar;
    /// What the source calls it.
    fn name(&self, memory: usize) -> &str;
}

/// Where a read goes.
pub enum Access {
    /// To a piece of memory: its number, the first element, and extent and stride of each dim.
    Memory(usize, i64, Vec<(u64, i64)>),
    /// To a value computed before at this point.
    Local(usize),
}

/// An axis and how many values it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Which axis.
    pub axis: AxisId,
    /// How many values.
    pub extent: u64,
}

/// The ranges of these axes.
pub fn ranges(list: &[AxisId], axes: &Axes) -> Vec<Range> {
    list.iter().map(|&axis| Range { axis, extent: axes[axis].extent }).collect()
}

/// An expression ready to be evaluated.
pub enum Node {
    /// A constant as its dtype holds it.
    Const(Scalar),
    /// An `i64`: the constant plus coefficients times axes.
    Affine(Vec<(usize, i64)>, i64),
    /// An element of memory.
    Load(Box<Load>),
    /// A value computed before at this point.
    Local(usize),
    /// A function of a value of that dtype.
    Unary(Unary, DType, Box<Node>),
    /// A function of two values of that dtype.
    Binary(Binary, DType, Box<[Node; 2]>),
    /// An end of a range.
    Within(Box<End>),
    /// A sum in that dtype.
    Sum(DType, Vec<Node>),
    /// A product in that dtype.
    Product(DType, Vec<Node>),
    /// Condition, then, otherwise.
    Select(Box<[Node; 3]>),
    /// A value in that dtype.
    Cast(DType, Box<Node>),
    /// A reduction.
    Reduce(Box<ReduceNode>),
    /// A map along axes.
    Along(Box<AlongNode>),
}

/// A read of memory.
pub struct Load {
    memory: usize,
    offset: i64,
    dims: Vec<(u64, i64)>,
    indices: Vec<Node>,
    outside: Beyond,
    place: Span,
}

/// An end of a range, which must lie in 0 to a limit.
pub struct End {
    value: Node,
    limit: Node,
    /// What the value stands for where the limit is broken.
    checked: Checked,
    /// The memory and the place of what is read for it.
    read: Option<(usize, Span)>,
}

/// What a read outside the extents gives.
enum Beyond {
    Never,
    Else(Node),
    Fault,
    Clamp,
}

/// A reduction.
pub struct ReduceNode {
    /// Those of the axes around that its value depends on.
    free: Vec<Range>,
    way: Way,
}

/// How a reduction is computed.
enum Way {
    /// Afresh at each point.
    Afresh(Joined),
    /// Once for each point of the free axes; kept in the table of that number.
    Once(Joined, usize),
    /// All at once; kept in the table of that number.
    Whole(Contraction, usize),
}

/// The values that a reduction joins.
struct Joined {
    op: ReduceOp,
    axes: Vec<Range>,
    dtype: DType,
    body: Node,
}

/// A map along axes.
pub struct AlongNode {
    op: AlongOp,
    axes: Vec<Range>,
    out: Vec<Range>,
    dtype: DType,
    body: Node,
    /// The axes its rows depend on.
    rows: Vec<Range>,
    /// Where rows are kept.
    kept: usize,
}

/// Translates expressions to nodes.
pub struct Prepare<'a, S> {
    /// The axes of the program.
    pub axes: &'a Axes,
    /// Where a read goes.
    pub access: &'a dyn Fn(&Read<S>) -> Access,
    /// The axes that run around the expression.
    pub around: Vec<AxisId>,
    /// How many tables of kept values there are.
    pub tables: usize,
}

impl<S> Prepare<'_, S> {
    /// The nodes of an expression.
    pub fn node(&mut self, expr: &Expr<S>) -> Node {
        if expr.dtype() == DType::I64
            && let Some(affine) = expr.affine()
        {
            let terms = affine.terms.iter().map(|&(axis, factor)| (axis.number(), factor)).collect();
            return Node::Affine(terms, affine.constant);
        }
        match expr {
            Expr::Const(value, dtype) => Node::Const(value.cast(*dtype)),
            Expr::Index(axis) => Node::Affine(vec![(axis.number(), 1)], 0),
            Expr::Read(read) => self.load(read),
            Expr::Unary(op, a) => Node::Unary(*op, a.dtype(), Box::new(self.node(a))),
            Expr::Binary(Binary::Within, a, b) => {
                let mut read = None;
                a.for_each_read(&mut |found| {
                    if let (Access::Memory(memory, ..), None) = ((self.access)(found), read) {
                        read = Some((memory, found.place));
                    }
                });
                let checked = if matches!(**b, Expr::Const(..)) { Checked::End } else { Checked::Length };
                Node::Within(Box::new(End { value: self.node(a), limit: self.node(b), checked, read }))
            }
            Expr::Binary(op, a, b) => Node::Binary(*op, a.dtype(), Box::new([self.node(a), self.node(b)])),
            Expr::Sum(parts) => Node::Sum(expr.dtype(), self.nodes(parts)),
            Expr::Product(parts) => Node::Product(expr.dtype(), self.nodes(parts)),
            Expr::Select(parts) => Node::Select(Box::new([0, 1, 2].map(|k| self.node(&parts[k])))),
            Expr::Cast(dtype, a) => Node::Cast(*dtype, Box::new(self.node(a))),
            Expr::Reduce(reduce) => {
                let free = self.those_around(expr.free_axes());
                let outside = self.around.len();
                self.around.extend(&reduce.axes);
                let contraction = match (reduce.op, &reduce.body) {
                    (ReduceOp::Sum, Expr::Product(factors)) => {
                        Contraction::new(self, &reduce.axes, &free, factors)
                    }
                    _ => None,
                };
                let way = match contraction {
                    Some(contraction) => Way::Whole(contraction, self.table()),
                    None => {
                        let joined = Joined {
                            op: reduce.op,
                            axes: ranges(&reduce.axes, self.axes),
                            dtype: reduce.body.dtype(),
                            body: self.node(&reduce.body),
                        };
                        if self.repeats(&self.around[..outside], &free) {
                            Way::Once(joined, self.table())
                        } else {
                            Way::Afresh(joined)
                        }
                    }
                };
                self.around.truncate(outside);
                Node::Reduce(Box::new(ReduceNode { free, way }))
            }
            Expr::Along(along) => {
                let mut free = along.body.free_axes();
                along.axes.iter().for_each(|axis| {
                    free.remove(axis);
                });
                let rows = self.those_around(free);
                let outside = self.around.len();
                self.around.extend(&along.axes);
                let body = self.node(&along.body);
                self.around.truncate(outside);
                let kept = self.table();
                Node::Along(Box::new(AlongNode {
                    op: along.op,
                    axes: ranges(&along.axes, self.axes),
                    out: ranges(&along.out, self.axes),
                    dtype: along.body.dtype(),
                    body,
                    rows,
                    kept,
                }))
            }
        }
    }

    /// The nodes of expressions.
    pub fn nodes(&mut self, list: &[Expr<S>]) -> Vec<Node> {
        list.iter().map(|part| self.node(part)).collect()
    }

    fn table(&mut self) -> usize {
        self.tables += 1;
        self.tables - 1
    }

    /// The ranges of those axes that run around.
    fn those_around(&self, free: BTreeSet<AxisId>) -> Vec<Range> {
        let list: Vec<AxisId> = free.into_iter().filter(|axis| self.around.contains(axis)).collect();
        ranges(&list, self.axes)
    }

    /// Whether loops over `around` come to a point of `free` more than once.
    fn repeats(&self, around: &[AxisId], free: &[Range]) -> bool {
        let is_free = |axis: &AxisId| free.iter().any(|range| range.axis == *axis);
        around.iter().any(|axis| !is_free(axis) && self.axes[*axis].extent > 1)
    }

    fn load(&mut self, read: &Read<S>) -> Node {
        let (memory, offset, dims) = match (self.access)(read) {
            Access::Memory(memory, offset, dims) => (memory, offset, dims),
            Access::Local(number) => return Node::Local(number),
        };
        assert_eq!(dims.len(), read.indices.len(), "bug: a read has one index for each dim");
        Node::Load(Box::new(Load {
            memory,
            offset,
            dims,
            indices: self.nodes(&read.indices),
            outside: match &read.outside {
                Outside::Never => Beyond::Never,
                Outside::Else(value) => Beyond::Else(self.node(value)),
                Outside::Checked | Outside::Trust => Beyond::Fault,
                Outside::Clamp => Beyond::Clamp,
            },
            place: read.place,
        }))
    }
}

/// Values that are computed once.
enum Kept {
    /// By the row-major position of their point.
    Values(HashMap<u128, Scalar>),
    /// Rows by the row-major position of their point.
    Rows(HashMap<u128, Vec<Scalar>>),
    /// All, row-major.
    Whole(Vec<Scalar>),
    /// None so far.
    Nothing,
}

/// Evaluates nodes.
pub struct Evaluate<'a, M> {
    /// What they read.
    pub memory: &'a M,
    /// The value of each axis of the program.
    pub point: Vec<i64>,
    /// Values that nodes read by number.
    pub locals: Vec<Scalar>,
    kept: Vec<Kept>,
}

/// A value, or how a read failed.
pub type Outcome<T> = Result<T, Box<Fault>>;

impl<'a, M: Memory> Evaluate<'a, M> {
    /// An evaluator with room for that many axes and tables.
    pub fn new(memory: &'a M, point: Vec<i64>, tables: usize) -> Self {
        let kept = (0..tables).map(|_| Kept::Nothing).collect();
        Evaluate { memory, point, locals: Vec::new(), kept }
    }

    /// The value of a node at the current point.
    pub fn value(&mut self, node: &Node) -> Outcome<Scalar> {
        Ok(match node {
            Node::Const(value) => *value,
            Node::Affine(..) => Scalar::Int(self.index(node)?.into()),
            Node::Load(load) => return self.load(load),
            Node::Local(number) => self.locals[*number],
            Node::Unary(op, dtype, a) => unary(*op, self.value(a)?, *dtype),
            Node::Binary(op, dtype, parts) => {
                let a = self.value(&parts[0])?;
                binary(*op, a, self.value(&parts[1])?, *dtype)
            }
            Node::Within(end) => return self.end(end),
            Node::Sum(dtype, parts) => {
                let mut total = Total::new(*dtype);
                for part in parts {
                    total.push(self.value(part)?);
                }
                total.value()
            }
            Node::Product(dtype, parts) => {
                let mut product = self.value(&parts[0])?;
                for part in &parts[1..] {
                    product = multiply(product, self.value(part)?, *dtype);
                }
                product
            }
            Node::Select(parts) => {
                let branch = if truth(self.value(&parts[0])?) { 1 } else { 2 };
                return self.value(&parts[branch]);
            }
            Node::Cast(dtype, a) => self.value(a)?.cast(*dtype),
            Node::Reduce(reduce) => return self.reduce(reduce),
            Node::Along(along) => return self.along(along),
        })
    }

    /// The value of an `i64` node at the current point.
    pub fn index(&mut self, node: &Node) -> Outcome<i64> {
        match node {
            Node::Affine(terms, constant) => Ok(terms.iter().fold(*constant, |sum, &(axis, factor)| {
                sum.wrapping_add(self.point[axis].wrapping_mul(factor))
            })),
            other => Ok(int(self.value(other)?) as i64),
        }
    }

    /// Calls `visit` at every point of these ranges, row-major, and then puts the axes back where they were.
    pub fn for_each_point(
        &mut self,
        ranges: &[Range],
        visit: &mut dyn FnMut(&mut Self) -> Outcome<()>,
    ) -> Outcome<()> {
        if ranges.iter().any(|range| range.extent == 0) {
            return Ok(());
        }
        let before: Vec<i64> = ranges.iter().map(|range| self.point[range.axis.number()]).collect();
        ranges.iter().for_each(|range| self.point[range.axis.number()] = 0);
        'points: loop {
            visit(self)?;
            for range in ranges.iter().rev() {
                let index = &mut self.point[range.axis.number()];
                *index += 1;
                if (*index as u64) < range.extent {
                    continue 'points;
                }
                *index = 0;
            }
            break;
        }
        for (range, index) in ranges.iter().zip(before) {
            self.point[range.axis.number()] = index;
        }
        Ok(())
    }

    /// The row-major position of the current point within these ranges.
    fn position(&self, ranges: &[Range]) -> u128 {
        ranges.iter().fold(0u128, |position, range| {
            let index = self.point[range.axis.number()] as u128;
            position.wrapping_mul(range.extent.into()).wrapping_add(index)
        })
    }

    fn end(&mut self, end: &End) -> Outcome<Scalar> {
        let value = self.index(&end.value)?;
        let limit = self.index(&end.limit)?;
        let (number, extent) = match end.checked {
            Checked::Length => (limit.wrapping_sub(value), i64::MAX as u64),
            _ => (value, u64::try_from(limit).map_or(0, |limit| limit.saturating_add(1))),
        };
        if number < 0 || number as u64 >= extent {
            let (memory, place) = end.read.map_or((None, Span::default()), |read| (Some(read.0), read.1));
            let tensor = memory.map_or_else(String::new, |memory| self.memory.name(memory).to_string());
            return Err(Box::new(Fault { place, tensor, checked: end.checked, extent, value: number }));
        }
        Ok(Scalar::Int(value.into()))
    }

    fn load(&mut self, load: &Load) -> Outcome<Scalar> {
        let mut element = load.offset;
        for (dim, (index, &(extent, stride))) in load.indices.iter().zip(&load.dims).enumerate() {
            let mut value = self.index(index)?;
            if value < 0 || value as u64 >= extent {
                let fault = || {
                    Box::new(Fault {
                        place: load.place,
                        tensor: self.memory.name(load.memory).to_string(),
                        checked: Checked::Index(dim),
                        extent,
                        value,
                    })
                };
                match &load.outside {
                    Beyond::Else(otherwise) => return self.value(otherwise),
                    Beyond::Clamp if extent > 0 => value = if value < 0 { 0 } else { extent as i64 - 1 },
                    Beyond::Fault | Beyond::Clamp => return Err(fault()),
                    Beyond::Never => panic!("bug: a read proved to stay inside does not: {:?}", fault()),
                }
            }
            element += value * stride;
        }
        Ok(self.memory.load(load.memory, element))
    }

    fn reduce(&mut self, reduce: &ReduceNode) -> Outcome<Scalar> {
        match &reduce.way {
            Way::Afresh(joined) => self.join(joined),
            Way::Once(joined, table) => {
                let position = self.position(&reduce.free);
                if let Kept::Values(values) = &self.kept[*table]
                    && let Some(value) = values.get(&position)
                {
                    return Ok(*value);
                }
                let value = self.join(joined)?;
                match &mut self.kept[*table] {
                    Kept::Values(values) => {
                        values.insert(position, value);
                    }
                    nothing => *nothing = Kept::Values(HashMap::from([(position, value)])),
                }
                Ok(value)
            }
            Way::Whole(contraction, table) => {
                let position = self.position(&reduce.free) as usize;
                if let Kept::Whole(values) = &self.kept[*table] {
                    return Ok(values[position]);
                }
                let values = contraction.values(self)?;
                let value = values[position];
                self.kept[*table] = Kept::Whole(values);
                Ok(value)
            }
        }
    }

    fn join(&mut self, joined: &Joined) -> Outcome<Scalar> {
        let mut join = Join::new(joined.op, joined.dtype);
        self.for_each_point(&joined.axes, &mut |at| {
            join.push(at.value(&joined.body)?);
            Ok(())
        })?;
        Ok(join.value())
    }

    fn along(&mut self, node: &AlongNode) -> Outcome<Scalar> {
        let (row, place) = (self.position(&node.rows), self.position(&node.out) as usize);
        if let Kept::Rows(rows) = &self.kept[node.kept]
            && let Some(values) = rows.get(&row)
        {
            return Ok(values[place]);
        }
        let mut values = Vec::new();
        self.for_each_point(&node.axes, &mut |at| {
            values.push(at.value(&node.body)?);
            Ok(())
        })?;
        let length = node.out.iter().map(|range| range.extent as usize).product();
        let result = along(node.op, &values, node.dtype, length);
        let value = result[place];
        match &mut self.kept[node.kept] {
            Kept::Rows(rows) => {
                rows.insert(row, result);
            }
            nothing => *nothing = Kept::Rows(HashMap::from([(row, result)])),
        }
        Ok(value)
    }
}
