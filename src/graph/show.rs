//! The text form of a graph.

use super::{Graph, Node, NodeId, Op, Term, Unit};
use crate::expr::{Affine, Axes, Outside, Shown, axis_list, show_scalar};
use einc_runtime::Scalar;
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}", self.name)?;
        let Some(units) = self.order() else {
            // Only a broken graph has a cycle; its dump is part of the bug report.
            return self.ids().into_iter().try_for_each(|id| self.show_node(id, "", f));
        };
        for unit in units {
            match unit {
                Unit::Node(id) => self.show_node(id, "", f)?,
                Unit::Scan(scan, nodes) => {
                    let scan = &self.scans[scan];
                    let order = if scan.reversed { " reversed" } else { "" };
                    writeln!(f, "scan[{}{order}] {{", self.axes[scan.axis].name)?;
                    nodes.into_iter().try_for_each(|id| self.show_node(id, "  ", f))?;
                    writeln!(f, "}}")?;
                }
            }
        }
        self.outputs.iter().try_for_each(|(name, node)| writeln!(f, "output {name} = {node}"))
    }
}

impl Graph {
    fn show_node(&self, id: NodeId, indent: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node(id);
        let shape = show_shape(node);
        match &node.op {
            Op::Input(number) => return writeln!(f, "{indent}{id} = input {number} {}: {shape}", node.name),
            Op::Constant(_) => return writeln!(f, "{indent}{id} = constant {}: {shape}", node.name),
            _ => write!(f, "{indent}{id} {}{}: {shape} = ", node.name, self.show_dims(node))?,
        }
        writeln!(f, "{}", self.show_op(node, &self.axes))
    }

    /// What computes a node, with axes named as in `axes`.
    pub(super) fn show_op(&self, node: &Node, axes: &Axes) -> String {
        match &node.op {
            Op::Input(number) => format!("input {number}"),
            Op::Constant(_) => "constant".to_string(),
            Op::Contract(terms) => {
                terms.iter().map(|term| show_term(term, axes)).collect::<Vec<_>>().join(" + ")
            }
            Op::Map(value) => Shown(value, axes).to_string(),
            Op::Along(along) => {
                let mut out = axis_list(&along.axes, axes);
                if along.out != along.axes {
                    out += &format!(" -> {}", axis_list(&along.out, axes));
                }
                format!("{}[{out}]({})", along.op.name(), Shown(&along.body, axes))
            }
            Op::Scatter(scatter) => {
                let base = scatter.base.map_or("0".to_string(), |base| base.to_string());
                let indices: Vec<_> = scatter.indices.iter().map(|i| Shown(i, axes).to_string()).collect();
                let outside = match scatter.outside {
                    Outside::Checked => " checked",
                    Outside::Clamp => " clamp",
                    Outside::Trust => " trust",
                    Outside::Never | Outside::Else(_) => "",
                };
                let over = axis_list(&scatter.axes, axes);
                format!(
                    "{base} with [{}{outside}] += {} over {over}",
                    indices.join(","),
                    Shown(&scatter.value, axes)
                )
            }
        }
    }

    fn show_dims(&self, node: &Node) -> String {
        if node.dims.is_empty() {
            return String::new();
        }
        let dims: Vec<String> = node
            .dims
            .iter()
            .map(|dim| match dim[..] {
                [] => "_".to_string(),
                [axis] => self.axes[axis].name.clone(),
                _ => format!("({})", axis_list(dim, &self.axes).replace(',', " ")),
            })
            .collect();
        format!("[{}]", dims.join(","))
    }
}

fn show_shape(node: &Node) -> String {
    if node.shape.is_empty() {
        return node.dtype.to_string();
    }
    let shape: Vec<String> = node.shape.iter().map(u64::to_string).collect();
    format!("{}[{}]", node.dtype, shape.join(","))
}

fn show_term(term: &Term, axes: &Axes) -> String {
    let mut text = String::new();
    if !term.sum.is_empty() {
        text += &format!("sum[{}] ", axis_list(&term.sum, axes));
    }
    if !is_one(&term.scale) {
        text += &format!("{} * ", show_scalar(&term.scale));
    }
    let operands: Vec<String> = term
        .operands
        .iter()
        .map(|operand| {
            if operand.indices.is_empty() {
                return operand.node.to_string();
            }
            let indices: Vec<String> = operand.indices.iter().map(|index| show_affine(index, axes)).collect();
            format!("{}[{}]", operand.node, indices.join(","))
        })
        .collect();
    text + &operands.join(" * ")
}

/// Whether a scalar is one, whatever its kind.
pub(crate) fn is_one(value: &Scalar) -> bool {
    match value {
        Scalar::Int(value) => *value == 1,
        Scalar::Real(value) => *value == 1.0,
        Scalar::Complex(re, im) => *re == 1.0 && *im == 0.0,
    }
}

/// `2*s + u - 1`.
pub(crate) fn show_affine(index: &Affine, axes: &Axes) -> String {
    let mut text = String::new();
    for &(axis, coefficient) in &index.terms {
        let name = &axes[axis].name;
        let sign = match (text.is_empty(), coefficient < 0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        text += sign;
        match coefficient.unsigned_abs() {
            1 => text += name,
            times => text += &format!("{times}*{name}"),
        }
    }
    match (text.is_empty(), index.constant) {
        (true, constant) => constant.to_string(),
        (false, 0) => text,
        (false, constant) if constant < 0 => format!("{text} - {}", constant.unsigned_abs()),
        (false, constant) => format!("{text} + {constant}"),
    }
}
