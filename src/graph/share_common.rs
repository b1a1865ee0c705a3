//! Computes equal values once.
//!
//! ```text
//! n2[i,k] = sum[j] n0[i,j] * n1[j,k]      =>    n2[i,k] = sum[j] n0[i,j] * n1[j,k]
//! n3[a,c] = sum[b] n0[a,b] * n1[b,c]
//! output D = n3                                  output D = n2
//! ```
//!
//! Values are equal if their texts are, up to the names of axes. Nodes of scans are left alone. Takes time linear in
//! the text.

use super::{Graph, Node, NodeId, Op, Unit};
use crate::expr::{AxisId, Expr, Outside};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// Computes equal values once.
pub fn share_common(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    let mut known: HashMap<String, NodeId> = HashMap::new();
    let mut same: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for unit in units {
        let Unit::Node(id) = unit else { continue };
        if matches!(graph.node(id).op, Op::Input(_) | Op::Constant(_)) {
            continue;
        }
        graph.node_mut(id).rename_sources(&same);
        let key = key(&graph, graph.node(id));
        match known.get(&key) {
            Some(&first) => {
                same.insert(id, first);
            }
            None => {
                known.insert(key, id);
            }
        }
    }
    for id in graph.ids() {
        graph.node_mut(id).rename_sources(&same);
    }
    for (_, node) in &mut graph.outputs {
        *node = same.get(node).copied().unwrap_or(*node);
    }
    graph.link();
    graph
}

impl Node {
    /// Makes the node read other nodes instead.
    pub(super) fn rename_sources(&mut self, by: &BTreeMap<NodeId, NodeId>) {
        if by.is_empty() {
            return;
        }
        let rename = |expr: &mut Expr<NodeId>| {
            *expr = expr.map_reads(&mut |read, indices, outside| {
                let source = by.get(&read.source).copied().unwrap_or(read.source);
                Expr::Read(crate::expr::Read {
                    source,
                    dtype: read.dtype,
                    indices,
                    outside,
                    place: read.place,
                })
            });
        };
        match &mut self.op {
            Op::Input(_) | Op::Constant(_) => {}
            Op::Contract(terms) => {
                for operand in terms.iter_mut().flat_map(|term| &mut term.operands) {
                    operand.node = by.get(&operand.node).copied().unwrap_or(operand.node);
                }
            }
            Op::Map(value) => rename(value),
            Op::Along(along) => rename(&mut along.body),
            Op::Scatter(scatter) => {
                scatter.base = scatter.base.map(|base| by.get(&base).copied().unwrap_or(base));
                scatter.indices.iter_mut().for_each(rename);
                rename(&mut scatter.value);
            }
        }
    }
}

/// The text of a node with axes numbered as they occur.
struct Key<'a> {
    graph: &'a Graph,
    numbers: BTreeMap<AxisId, usize>,
    text: String,
}

fn key(graph: &Graph, node: &Node) -> String {
    let mut key = Key { graph, numbers: BTreeMap::new(), text: String::new() };
    key.word(&format!("{} {:?} {}", node.dtype, node.shape, node.keep_order));
    for dim in &node.dims {
        key.axes(dim);
    }
    match &node.op {
        Op::Input(number) => key.word(&format!("input {number}")),
        Op::Constant(_) => key.word("constant"),
        Op::Contract(terms) => {
            for term in terms {
                key.word(&format!("term {:?}", term.scale));
                key.axes(&term.sum);
                for operand in &term.operands {
                    key.word(&format!("{}", operand.node));
                    for index in &operand.indices {
                        key.word("|");
                        for (axis, coefficient) in &index.terms {
                            key.word(&coefficient.to_string());
                            key.axis(*axis);
                        }
                        key.word(&index.constant.to_string());
                    }
                }
            }
        }
        Op::Map(value) => key.expr(value),
        Op::Along(along) => {
            key.word(along.op.name());
            key.axes(&along.axes);
            key.axes(&along.out);
            key.expr(&along.body);
        }
        Op::Scatter(scatter) => {
            key.word(&format!("scatter {:?}", scatter.base));
            key.axes(&scatter.axes);
            scatter.indices.iter().for_each(|index| key.expr(index));
            key.outside(&scatter.outside);
            key.expr(&scatter.value);
        }
    }
    key.text
}

impl Key<'_> {
    fn word(&mut self, word: &str) {
        self.text.push_str(word);
        self.text.push(' ');
    }

    fn axis(&mut self, axis: AxisId) {
        let next = self.numbers.len();
        let number = *self.numbers.entry(axis).or_insert(next);
        let _ = write!(self.text, "x{number}:{} ", self.graph.axes[axis].extent);
    }

    fn axes(&mut self, axes: &[AxisId]) {
        self.word("[");
        axes.iter().for_each(|&axis| self.axis(axis));
        self.word("]");
    }

    fn outside(&mut self, outside: &Outside<NodeId>) {
        match outside {
            Outside::Never => self.word("never"),
            Outside::Else(_) => self.word("else"),
            Outside::Checked => self.word("checked"),
            Outside::Clamp => self.word("clamp"),
            Outside::Trust => self.word("trust"),
        }
    }

    fn expr(&mut self, expr: &Expr<NodeId>) {
        self.word("(");
        match expr {
            Expr::Const(value, dtype) => self.word(&format!("{value:?} {dtype}")),
            Expr::Index(axis) => self.axis(*axis),
            Expr::Read(read) => {
                self.word(&read.source.to_string());
                self.outside(&read.outside);
            }
            Expr::Unary(op, _) => self.word(op.name()),
            Expr::Binary(op, _, _) => self.word(op.name()),
            Expr::Sum(_) => self.word("sum"),
            Expr::Product(_) => self.word("product"),
            Expr::Select(_) => self.word("select"),
            Expr::Cast(dtype, _) => self.word(dtype.name()),
            Expr::Reduce(reduce) => {
                self.word(reduce.op.name());
                self.axes(&reduce.axes);
            }
            Expr::Along(along) => {
                self.word(along.op.name());
                self.axes(&along.axes);
                self.axes(&along.out);
            }
        }
        expr.parts().into_iter().for_each(|part| self.expr(part));
        self.word(")");
    }
}
