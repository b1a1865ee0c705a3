//! Splits a graph into its secret steps and the clear values beside them, or says what no ciphertext can do.

use super::network::{ClearTensor, Factor, Network, Secret, Step, StepKind, Term};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Affine, AlongOp, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::program::Approximation;
use crate::slots::Range;
use crate::slots::approx::evaluation::evaluations;
use crate::slots::approx::{ApproximationError, MOST_DEGREE, Polynomial, function};
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::{BTreeMap, BTreeSet};

/// The greatest power that is multiplied out.
const GREATEST_POWER: i128 = 64;

/// Splits a graph; `secret` tells of each input by its number.
///
/// # Errors
/// Everything that is asked of a secret and that no ciphertext can do, each with its place.
pub fn split(
    graph: &Graph,
    secret: &dyn Fn(usize) -> bool,
    approximations: &[Approximation],
) -> Result<Network, Vec<Diagnostic>> {
    let mut split = Split {
        graph: graph.clone(),
        approximations,
        network: Network {
            name: graph.name.clone(),
            tensors: Vec::new(),
            steps: Vec::new(),
            clears: Vec::new(),
            outputs: Vec::new(),
            approximated: Vec::new(),
            clear_graph: Graph::empty(&graph.name, graph.axes.clone()),
        },
        secrets: BTreeMap::new(),
        clear_nodes: Vec::new(),
        target: String::new(),
        span: Span::default(),
    };
    let mut errors = Vec::new();
    let order = graph.order().unwrap_or_default();
    for unit in order {
        let nodes = match unit {
            crate::graph::Unit::Node(id) => vec![id],
            crate::graph::Unit::Scan(scan, nodes) => {
                let reads = nodes.iter().flat_map(|&id| graph.node(id).sources());
                if reads.into_iter().any(|id| split.secrets.contains_key(&id)) {
                    errors
                        .push(refuse(graph.scans[scan].place, "a scan over secrets cannot be encrypted yet"));
                    split.secrets.extend(nodes.iter().map(|&id| (id, usize::MAX)));
                }
                continue;
            }
        };
        for id in nodes {
            if let Err(error) = split.node(id, secret) {
                errors.push(error);
            }
        }
    }
    if errors.is_empty() { split.finish().map_err(|error| vec![error]) } else { Err(errors) }
}

fn refuse(place: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Code::SecretOperation, message.into()).label(place, "asked for here")
}

struct Split<'a> {
    /// The graph, with the clear factors as nodes of their own.
    graph: Graph,
    approximations: &'a [Approximation],
    network: Network,
    /// The secret tensor of each secret node; `usize::MAX` where it was refused.
    secrets: BTreeMap<NodeId, usize>,
    /// The node of each clear tensor.
    clear_nodes: Vec<NodeId>,
    /// The tensor of the statement at hand, and its place.
    target: String,
    span: Span,
}

/// A product over axes of the graph.
#[derive(Clone, Debug)]
struct Product {
    scale: f64,
    sum: Vec<AxisId>,
    factors: Vec<(usize, Vec<Affine>)>,
    clears: Vec<Expr<NodeId>>,
}

impl Product {
    fn number(scale: f64) -> Product {
        Product { scale, sum: Vec::new(), factors: Vec::new(), clears: Vec::new() }
    }

    fn times(&self, other: &Product) -> Product {
        let mut product = self.clone();
        product.scale *= other.scale;
        product.sum.extend(&other.sum);
        product.factors.extend(other.factors.iter().cloned());
        product.clears.extend(other.clears.iter().cloned());
        product
    }

    fn is_number(&self) -> bool {
        self.factors.is_empty() && self.clears.is_empty() && self.sum.is_empty()
    }

    /// The axes that it depends on, its sums' included.
    fn axes(&self) -> BTreeSet<AxisId> {
        let factors = self.factors.iter().flat_map(|factor| &factor.1);
        let mut axes: BTreeSet<AxisId> =
            factors.flat_map(|index| index.terms.iter().map(|term| term.0)).collect();
        for clear in &self.clears {
            axes.extend(clear.free_axes());
        }
        axes
    }
}

impl Split<'_> {
    fn is_secret(&self, expr: &Expr<NodeId>) -> bool {
        let mut secret = false;
        expr.for_each_read(&mut |read| secret |= self.secrets.contains_key(&read.source));
        secret
    }

    fn node(&mut self, id: NodeId, secret: &dyn Fn(usize) -> bool) -> Result<(), Diagnostic> {
        let node = self.graph.node(id).clone();
        if let Op::Input(number) = node.op {
            if secret(number) {
                self.check_dtype(&node)?;
                let (name, shape) = (node.name.clone(), node.shape.clone());
                self.network.tensors.push(Secret { name, shape, input: true });
                self.secrets.insert(id, self.network.tensors.len() - 1);
            }
            return Ok(());
        }
        let read: Vec<usize> =
            node.sources().iter().filter_map(|source| self.secrets.get(source).copied()).collect();
        if read.is_empty() {
            return Ok(());
        }
        self.secrets.insert(id, usize::MAX);
        if read.contains(&usize::MAX) {
            // What it reads was refused; one message is enough.
            return Ok(());
        }
        self.check_dtype(&node)?;
        self.span = node.place;
        self.target = node.name.clone();
        let products = match &node.op {
            Op::Contract(terms) => {
                let mut products = Vec::new();
                for term in terms {
                    let mut product = Product::number(term.scale.re());
                    product.sum = term.sum.clone();
                    for operand in &term.operands {
                        match self.secrets.get(&operand.node) {
                            Some(&tensor) => product.factors.push((tensor, operand.indices.clone())),
                            None => {
                                let dtype = self.graph.node(operand.node).dtype;
                                product.clears.push(operand.read(dtype, node.place));
                            }
                        }
                    }
                    products.push(product);
                }
                products
            }
            Op::Map(value) => self.products(value)?,
            Op::Along(along) => {
                let name = along.op.name();
                return Err(match along.op {
                    AlongOp::CumSum | AlongOp::Dft | AlongOp::Idft => {
                        refuse(node.place, format!("`{name}` of a secret cannot be encrypted yet"))
                            .help("write the sum with a clear matrix")
                    }
                    _ => refuse(node.place, format!("`{name}` of a secret compares or divides ciphertexts")),
                });
            }
            Op::Scatter(_) => {
                return Err(refuse(
                    node.place,
                    "a secret is added at computed places, which ciphertexts cannot do",
                ));
            }
            Op::Input(_) | Op::Constant(_) => return Ok(()),
        };
        let dims: Vec<Vec<AxisId>> = node.dims.clone();
        let target = self.step(&node.name, &node.shape, &dims, products)?;
        self.secrets.insert(id, target);
        Ok(())
    }

    fn check_dtype(&self, node: &Node) -> Result<(), Diagnostic> {
        if node.dtype.is_complex() || node.dtype == DType::Bool {
            let message = format!(
                "`{}` is secret and of type {}, which cannot be encrypted yet",
                node.name, node.dtype
            );
            return Err(refuse(node.place, message));
        }
        Ok(())
    }

    /// The expression as a sum of products.
    fn products(&mut self, expr: &Expr<NodeId>) -> Result<Vec<Product>, Diagnostic> {
        if !self.is_secret(expr) {
            if let Expr::Const(value, _) = expr {
                return Ok(vec![Product::number(value.re())]);
            }
            return Ok(vec![Product { clears: vec![expr.clone()], ..Product::number(1.0) }]);
        }
        let place = self.span;
        match expr {
            Expr::Const(value, _) => Ok(vec![Product::number(value.re())]),
            Expr::Index(_) => Ok(vec![Product { clears: vec![expr.clone()], ..Product::number(1.0) }]),
            Expr::Read(read) => self.read(read),
            Expr::Sum(parts) => {
                let mut products = Vec::new();
                for part in parts {
                    products.extend(self.products(part)?);
                }
                Ok(products)
            }
            Expr::Product(parts) => {
                let mut all = vec![Product::number(1.0)];
                let parts: Vec<Vec<Product>> =
                    parts.iter().map(|part| self.products(part)).collect::<Result<_, _>>()?;
                let single = parts.iter().filter(|part| part.len() != 1).count();
                for part in parts {
                    // Numbers are multiplied out, and a single sum is where nothing else is secret.
                    let numbers = all.len() == 1 && all[0].is_number();
                    let part = if part.len() == 1 || (single == 1 && numbers) { part } else { self.whole(part)? };
                    let pairs = all.iter().flat_map(|a| part.iter().map(move |b| a.times(b)));
                    let pairs: Vec<Product> = pairs.collect();
                    all = if pairs.len() > 1 && !numbers { self.whole(pairs)? } else { pairs };
                }
                Ok(all)
            }
            Expr::Unary(Unary::Neg, a) => Ok(scaled(self.products(a)?, -1.0)),
            Expr::Unary(Unary::Real | Unary::Conj, a) if !a.dtype().is_complex() => self.products(a),
            Expr::Unary(op, a) => self.function(*op, a),
            Expr::Binary(Binary::Pow, a, b) => match power(b) {
                Some(0) => Ok(vec![Product::number(1.0)]),
                Some(power) => {
                    let base = self.products(a)?;
                    let base = if let [one] = &base[..] { one.clone() } else { self.whole(base)?.remove(0) };
                    let base = if base.sum.is_empty() { base } else { self.whole(vec![base])?.remove(0) };
                    Ok(vec![(1..power).fold(base.clone(), |product, _| product.times(&base))])
                }
                None => Err(refuse(place, "a secret has an exponent that is no small whole number").help(
                    "whole numbers up to 64 are multiplied out; `@approx` approximates functions by polynomials",
                )),
            },
            Expr::Binary(Binary::Div, a, b) if !self.is_secret(b) => {
                let dtype = b.dtype();
                let inverse = match **b {
                    Expr::Const(value, _) => Product::number(1.0 / value.re()),
                    _ => {
                        let one = Box::new(Expr::number(1.0, dtype));
                        let inverse = Expr::Binary(Binary::Div, one, b.clone());
                        Product { clears: vec![inverse], ..Product::number(1.0) }
                    }
                };
                let top = self.products(a)?;
                Ok(top.iter().map(|product| product.times(&inverse)).collect())
            }
            Expr::Binary(Binary::Div, ..) => Err(refuse(place, "a number is divided by a secret")
                .help("ciphertexts are added and multiplied only; approximate a function such as `rsqrt` by `@approx`")),
            Expr::Binary(op, ..) if op.is_comparison() => {
                Err(refuse(place, format!("a secret is compared (`{}`)", op.name())).help(
                    "nobody who cannot decrypt can see which side is greater; approximate a function by `@approx`",
                ))
            }
            Expr::Binary(op, ..) => {
                Err(refuse(place, format!("`{}` of a secret is no polynomial", op.name())))
            }
            Expr::Select(parts) => {
                let [condition, then, otherwise] = &**parts;
                if self.is_secret(condition) {
                    return Err(refuse(place, "a condition depends on a secret")
                        .help("both sides are computed on ciphertexts; multiply by a weight instead of choosing"));
                }
                let dtype = then.dtype();
                let mask = |yes: f64, no: f64| {
                    let parts = [condition.clone(), Expr::number(yes, dtype), Expr::number(no, dtype)];
                    Product { clears: vec![Expr::Select(Box::new(parts))], ..Product::number(1.0) }
                };
                let (yes, no) = (mask(1.0, 0.0), mask(0.0, 1.0));
                let mut products: Vec<Product> =
                    self.products(then)?.iter().filter(|p| p.scale != 0.0).map(|p| p.times(&yes)).collect();
                products.extend(
                    self.products(otherwise)?.iter().filter(|p| p.scale != 0.0).map(|p| p.times(&no)),
                );
                Ok(products)
            }
            Expr::Cast(dtype, a) => {
                if dtype.is_float() || (dtype.is_integer() && a.dtype().is_integer()) {
                    return self.products(a);
                }
                Err(refuse(place, format!("a secret is converted to {dtype}, which rounds")))
            }
            Expr::Reduce(reduce) if reduce.op == ReduceOp::Sum => {
                let mut products = self.products(&reduce.body)?;
                for product in &mut products {
                    for &axis in &reduce.axes {
                        if product.axes().contains(&axis) {
                            product.sum.push(axis);
                        } else {
                            product.scale *= self.graph.axes[axis].extent as f64;
                        }
                    }
                }
                Ok(products)
            }
            Expr::Reduce(reduce) => {
                Err(refuse(place, format!("`{}` over secrets is no sum of products", reduce.op.name())))
            }
            Expr::Along(along) => {
                Err(refuse(place, format!("`{}` of a secret cannot be encrypted", along.op.name())))
            }
        }
    }

    fn read(&mut self, read: &Read<NodeId>) -> Result<Vec<Product>, Diagnostic> {
        if read.indices.iter().any(|index| self.is_secret(index)) {
            return Err(refuse(self.span, "a position of an access depends on a secret")
                .help("which element is read would have to be decrypted first"));
        }
        let indices: Option<Vec<Affine>> = read.indices.iter().map(Expr::affine).collect();
        let Some(indices) = indices else {
            let message = "a secret is read at a computed position, which cannot be encrypted yet";
            return Err(
                refuse(self.span, message).help("positions of secrets are sums of indices: `x[2 * i + j]`")
            );
        };
        match &read.outside {
            Outside::Never => {}
            Outside::Else(value) if matches!(&**value, Expr::Const(zero, _) if zero.re() == 0.0) => {}
            Outside::Else(_) => {
                return Err(refuse(
                    self.span,
                    "a secret is read with another value than 0 outside, which is not \
                                              supported yet",
                ));
            }
            _ => return Err(refuse(self.span, "a secret is read at a position that is checked or clamped")),
        }
        let tensor = self.secrets[&read.source];
        Ok(vec![Product { factors: vec![(tensor, indices)], ..Product::number(1.0) }])
    }

    /// A function of a secret, by its polynomial.
    fn function(&mut self, op: Unary, a: &Expr<NodeId>) -> Result<Vec<Product>, Diagnostic> {
        let place = self.span;
        let found = self.approximations.iter().find(|approximation| {
            approximation.function == op.name() && place_is(place, approximation.place)
        });
        let Some(approximation) = found else {
            return Err(refuse(place, format!("`{}` of a secret is no polynomial", op.name())).help(format!(
                "say how to approximate it: `@approx({}, degree = 15, range = (-8, 8))` above the statement",
                op.name()
            )));
        };
        let Some(function) = function::of(op) else {
            return Err(refuse(place, format!("`{}` cannot be approximated yet", op.name())));
        };
        let (low, high) = approximation.range;
        let degree = approximation.degree as usize;
        let polynomial = Polynomial::minimax(&function.value, approximation.range, degree)
            .and_then(|polynomial| polynomial.bounded(&function))
            .map_err(|error| {
                let why = match error {
                    ApproximationError::Range => format!("({low}, {high}) is no range"),
                    ApproximationError::NotFinite(x) => format!("`{}` is not finite at {x}", op.name()),
                    ApproximationError::Degree => format!("degree {degree} is above {MOST_DEGREE}"),
                };
                refuse(place, why)
            })?;
        let error = polynomial.error;
        let range = Range {
            function: approximation.function.clone(),
            tensor: self.target.clone(),
            ends: approximation.range,
            error,
            span: place,
        };
        self.network.approximated.push((approximation.clone(), error));
        // The first takes the fewest levels.
        let evaluation = evaluations(&polynomial).remove(0);
        // The range is mapped to -1..1 where the argument is computed; clear factors take that up for free.
        let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
        let mut argument = scaled(self.products(a)?, 1.0 / half);
        if middle != 0.0 {
            argument.push(Product::number(-middle / half));
        }
        let argument = self.whole(argument)?.remove(0);
        let (tensor, access) = argument.factors[0].clone();
        // `whole` gives a factor with one axis for each dim.
        let axes: Vec<AxisId> = access.iter().filter_map(Affine::axis).collect();
        let shape = self.network.tensors[tensor].shape.clone();
        let target = self.add_tensor(&format!("{}.{}", self.network.tensors[tensor].name, op.name()), &shape);
        let local: Vec<(String, u64)> = self.local(&axes);
        let dims = super::network::by_axes(&(0..axes.len()).collect::<Vec<_>>());
        self.network.steps.push(Step {
            target,
            axes: local,
            dims,
            kind: StepKind::Polynomial { argument: tensor, evaluation, range },
            span: place,
        });
        Ok(vec![Product { factors: vec![(target, access)], ..Product::number(1.0) }])
    }

    /// The sum of products as one secret tensor over its axes, or the one clear product.
    fn whole(&mut self, products: Vec<Product>) -> Result<Vec<Product>, Diagnostic> {
        if products.iter().all(|product| product.factors.is_empty() && product.sum.is_empty()) {
            let parts: Vec<Expr<NodeId>> = products.iter().map(clear_expr).collect();
            let sum = if parts.len() == 1 { parts[0].clone() } else { Expr::Sum(parts) };
            return Ok(vec![Product { clears: vec![sum], ..Product::number(1.0) }]);
        }
        let bound: BTreeSet<AxisId> = products.iter().flat_map(|product| product.sum.clone()).collect();
        let axes: BTreeSet<AxisId> =
            products.iter().flat_map(Product::axes).filter(|axis| !bound.contains(axis)).collect();
        let axes: Vec<AxisId> = axes.into_iter().collect();
        if let [product] = &products[..]
            && let [(_, access)] = &product.factors[..]
            && product.clears.is_empty()
            && product.sum.is_empty()
            && product.scale == 1.0
            && access.iter().map(Affine::axis).collect::<Option<Vec<_>>>() == Some(axes.clone())
        {
            return Ok(products);
        }
        let shape: Vec<u64> = axes.iter().map(|&axis| self.graph.axes[axis].extent).collect();
        let dims: Vec<Vec<AxisId>> = axes.iter().map(|&axis| vec![axis]).collect();
        let name = format!("part.{}", self.network.tensors.len());
        let target = self.step(&name, &shape, &dims, products)?;
        let access = axes.iter().map(|&axis| Affine { terms: vec![(axis, 1)], constant: 0 }).collect();
        Ok(vec![Product { factors: vec![(target, access)], ..Product::number(1.0) }])
    }

    fn add_tensor(&mut self, name: &str, shape: &[u64]) -> usize {
        self.network.tensors.push(Secret { name: name.to_string(), shape: shape.to_vec(), input: false });
        self.network.tensors.len() - 1
    }

    /// Names and extents of axes; the names are made unique.
    fn local(&self, axes: &[AxisId]) -> Vec<(String, u64)> {
        let mut local: Vec<(String, u64)> = Vec::new();
        for &axis in axes {
            let mut name: String = self.graph.axes[axis]
                .name
                .chars()
                .map(|c| if c.is_alphanumeric() { c } else { '_' })
                .collect();
            while local.iter().any(|other| other.0 == name) {
                name.push('\'');
            }
            local.push((name, self.graph.axes[axis].extent));
        }
        local
    }

    /// Adds the step that computes a new tensor.
    fn step(
        &mut self,
        name: &str,
        shape: &[u64],
        dims: &[Vec<AxisId>],
        products: Vec<Product>,
    ) -> Result<usize, Diagnostic> {
        let free: Vec<AxisId> = dims.iter().flatten().copied().collect();
        let mut axes: Vec<AxisId> = free.clone();
        for product in &products {
            axes.extend(product.sum.iter().filter(|axis| !axes.contains(axis)).copied().collect::<Vec<_>>());
        }
        let number: BTreeMap<AxisId, usize> = axes.iter().enumerate().map(|(k, axis)| (*axis, k)).collect();
        let renamed = |index: &Affine| Affine {
            terms: {
                let mut terms: Vec<(AxisId, i64)> =
                    index.terms.iter().map(|(axis, by)| (AxisId(number[axis] as u32), *by)).collect();
                terms.sort_unstable();
                terms
            },
            constant: index.constant,
        };
        let mut terms = Vec::new();
        for product in products {
            if product.scale == 0.0 {
                continue;
            }
            let clear = self.clear(&product)?;
            let clear_axes = clear.as_ref().map(|clear| clear.1.clone()).unwrap_or_default();
            let factors: Vec<Factor> = product
                .factors
                .iter()
                .map(|(tensor, access)| Factor {
                    tensor: *tensor,
                    access: access.iter().map(renamed).collect(),
                })
                .collect();
            let mut used: BTreeSet<usize> = factors.iter().flat_map(Factor::axes).collect();
            used.extend(clear_axes.iter().map(|axis| number[axis]));
            let sum =
                product.sum.iter().map(|axis| number[axis]).filter(|axis| used.contains(axis)).collect();
            let clear = clear.map(|(tensor, axes)| Factor {
                tensor,
                access: super::network::by_axes(&axes.iter().map(|axis| number[axis]).collect::<Vec<_>>()),
            });
            terms.push(Term { scale: product.scale, sum, factors, clear });
        }
        let extents: Vec<u64> = axes.iter().map(|&axis| self.graph.axes[axis].extent).collect();
        let dims = dims
            .iter()
            .map(|dim| {
                let mut stride = 1i64;
                let mut index = Affine::default();
                for axis in dim.iter().rev() {
                    index.terms.push((AxisId(number[axis] as u32), stride));
                    stride = stride.saturating_mul(extents[number[axis]] as i64);
                }
                index.terms.sort_unstable();
                index
            })
            .collect();
        let target = self.add_tensor(name, shape);
        let (axes, span) = (self.local(&axes), self.span);
        self.network.steps.push(Step { target, axes, dims, kind: StepKind::Products(terms), span });
        Ok(target)
    }

    /// The clear tensor of a product's clear factors and its axes; axes that only they have are summed in it.
    fn clear(&mut self, product: &Product) -> Result<Option<(usize, Vec<AxisId>)>, Diagnostic> {
        if product.clears.is_empty() {
            return Ok(None);
        }
        let secret: BTreeSet<AxisId> = product
            .factors
            .iter()
            .flat_map(|factor| factor.1.iter().flat_map(|index| index.terms.iter().map(|term| term.0)))
            .collect();
        let all: BTreeSet<AxisId> = product.clears.iter().flat_map(|clear| clear.free_axes()).collect();
        let (inner, axes): (Vec<AxisId>, Vec<AxisId>) =
            all.into_iter().partition(|axis| product.sum.contains(axis) && !secret.contains(axis));
        let value = match &product.clears[..] {
            [one] => one.clone(),
            several => Expr::Product(several.to_vec()),
        };
        let value = match inner.is_empty() {
            true => value,
            false => Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: inner, body: value })),
        };
        let shape: Vec<u64> = axes.iter().map(|&axis| self.graph.axes[axis].extent).collect();
        let dims: Vec<Vec<AxisId>> = axes.iter().map(|&axis| vec![axis]).collect();
        let known = self.clear_nodes.iter().position(|&id| {
            let node = self.graph.node(id);
            matches!(&node.op, Op::Map(known) if *known == value) && node.dims == dims
        });
        let number = match known {
            Some(number) => number,
            None => {
                let number = self.clear_nodes.len();
                let name = match &value {
                    // A tensor that is read as it is keeps its name.
                    Expr::Read(read) => format!("{}.{number}", self.graph.node(read.source).name),
                    _ => format!("clear.{number}"),
                };
                let node = Node {
                    name: name.clone(),
                    dtype: value.dtype(),
                    shape: shape.clone(),
                    dims,
                    op: Op::Map(value),
                    scan: None,
                    keep_order: false,
                    place: self.span,
                };
                self.clear_nodes.push(self.graph.add(node));
                self.network.clears.push(ClearTensor { name, shape });
                number
            }
        };
        Ok(Some((number, axes)))
    }

    fn finish(mut self) -> Result<Network, Diagnostic> {
        let mut clear_outputs: Vec<(String, NodeId)> = self
            .clear_nodes
            .iter()
            .zip(&self.network.clears)
            .map(|(&id, clear)| (clear.name.clone(), id))
            .collect();
        for (name, id) in self.graph.outputs.clone() {
            match self.secrets.get(&id) {
                Some(&tensor) => self.network.outputs.push((name, tensor)),
                None => clear_outputs.push((name, id)),
            }
        }
        self.graph.outputs = clear_outputs;
        // Secret nodes go, inputs too: what is left has no use for them.
        let mut used: BTreeSet<NodeId> = BTreeSet::new();
        let mut todo: Vec<NodeId> = self.graph.outputs.iter().map(|output| output.1).collect();
        while let Some(id) = todo.pop() {
            if used.insert(id) {
                todo.extend(self.graph.node(id).sources());
            }
        }
        self.graph.retain(|id| used.contains(&id));
        self.graph.link();
        self.network.clear_graph = self.graph;
        Ok(self.network)
    }
}

/// The places of a statement and of the attribute above it are told apart by who contains whom; statements keep the
/// attribute's statement place.
fn place_is(statement: Span, attribute: Span) -> bool {
    statement == attribute
}

fn scaled(products: Vec<Product>, by: f64) -> Vec<Product> {
    products.into_iter().map(|product| Product { scale: product.scale * by, ..product }).collect()
}

fn clear_expr(product: &Product) -> Expr<NodeId> {
    let dtype = product.clears.first().map_or(DType::F64, Expr::dtype);
    let mut factors = product.clears.clone();
    if product.scale != 1.0 || factors.is_empty() {
        factors.insert(0, Expr::number(product.scale, dtype));
    }
    if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) }
}

/// The exponent, if it is a small whole number.
fn power(exponent: &Expr<NodeId>) -> Option<i128> {
    let value = match exponent {
        Expr::Const(Scalar::Int(value), _) => *value,
        Expr::Const(Scalar::Real(value), _) if value.fract() == 0.0 => *value as i128,
        Expr::Cast(_, inner) => power(inner)?,
        _ => return None,
    };
    (0..=GREATEST_POWER).contains(&value).then_some(value)
}
