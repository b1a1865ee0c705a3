//! The laws of the graph.

use super::{Access, Graph, Node, NodeId, Op, Term};
use crate::expr::{AxisId, Expr, Outside, Read};
use std::collections::BTreeSet;

impl Graph {
    /// Checks the laws of the graph; the error names the node and the law it breaks.
    ///
    /// 1. Every read names a node of the graph, with one index for each of its dims and with its dtype.
    /// 2. The axes of a node's dims are distinct, and each extent is the product of its dim's axes.
    /// 3. Free axes of a node's expressions are axes of the node (of its body, for maps along axes and scatters), or
    ///    the axis of its scan.
    /// 4. A term of a contraction has an operand for every axis of the value and for every axis it sums over;
    ///    its other axes are none but the scan's. All accesses are inside their nodes.
    /// 5. A map along axes is never inside an expression. A reduction inside a reduction does not use the axes of
    ///    that. Bodies of maps along axes and scatters have no reduction.
    /// 6. No value depends on itself, except on earlier steps of its scan.
    /// 7. Only nodes of one scan read each other's earlier steps.
    pub fn verify(&self) -> Result<(), String> {
        for id in self.ids() {
            self.verify_node(self.node(id)).map_err(|law| format!("{id}: {law}"))?;
        }
        for (name, node) in &self.outputs {
            if !self.contains(*node) {
                return Err(format!("output {name}: there is no {node}"));
            }
        }
        self.order().map(|_| ()).ok_or_else(|| "a value depends on itself".to_string())
    }

    fn verify_node(&self, node: &Node) -> Result<(), String> {
        let axes = node.axes();
        let distinct: BTreeSet<AxisId> = axes.iter().copied().collect();
        if distinct.len() != axes.len() {
            return Err("an axis occurs twice among its dims".to_string());
        }
        if !node.dims.is_empty() || !(node.is_source() || matches!(node.op, Op::Scatter(_))) {
            let extents: Vec<u64> = node.dims.iter().map(|dim| self.points(dim)).collect();
            if extents != node.shape {
                return Err(format!("its axes give the shape {extents:?}, not {:?}", node.shape));
            }
        }
        let mut allowed = distinct.clone();
        allowed.extend(self.scan_axis(node));
        match &node.op {
            Op::Input(_) => Ok(()),
            Op::Constant(tensor) if tensor.shape() != node.shape || tensor.dtype() != node.dtype => {
                Err("the constant has another shape or dtype".to_string())
            }
            Op::Constant(_) => Ok(()),
            Op::Contract(terms) if terms.is_empty() => Err("a contraction without terms".to_string()),
            Op::Contract(terms) => {
                terms.iter().try_for_each(|term| self.verify_term(node, term, &distinct, &allowed))
            }
            Op::Map(value) => {
                if value.dtype() != node.dtype {
                    return Err(format!("its value is {}, not {}", value.dtype(), node.dtype));
                }
                self.verify_expr(value, &allowed, &BTreeSet::new(), true)
            }
            Op::Along(along) => {
                along.out.iter().for_each(|axis| {
                    allowed.remove(axis);
                });
                allowed.extend(&along.axes);
                self.verify_expr(&along.body, &allowed, &BTreeSet::new(), false)
            }
            Op::Scatter(scatter) => {
                allowed.extend(&scatter.axes);
                node.exprs()
                    .into_iter()
                    .try_for_each(|expr| self.verify_expr(expr, &allowed, &BTreeSet::new(), false))
            }
        }
    }

    fn verify_term(
        &self,
        node: &Node,
        term: &Term,
        own: &BTreeSet<AxisId>,
        allowed: &BTreeSet<AxisId>,
    ) -> Result<(), String> {
        if term.operands.is_empty() {
            return Err("a product without operands".to_string());
        }
        let used: BTreeSet<AxisId> = term.operands.iter().flat_map(Access::axes).collect();
        let scan = self.scan_axis(node);
        let wanted = own.iter().chain(&term.sum).filter(|&&axis| Some(axis) != scan);
        for axis in wanted {
            if !used.contains(axis) {
                return Err(format!("axis {} comes from no operand", self.axes[*axis].name));
            }
        }
        for axis in &used {
            if !allowed.contains(axis) && !term.sum.contains(axis) {
                return Err(format!("axis {} is neither kept nor summed", self.axes[*axis].name));
            }
        }
        for operand in &term.operands {
            self.verify_source(operand.node, operand.indices.len())?;
            let source = self.node(operand.node);
            if source.dtype != node.dtype {
                return Err(format!("{} is {}, not {}", operand.node, source.dtype, node.dtype));
            }
            for (index, &extent) in operand.indices.iter().zip(&source.shape) {
                let inside = match index.bounds(&self.axes) {
                    Some((low, high)) => low >= 0 && u64::try_from(high).is_ok_and(|high| high < extent),
                    None => index.terms.iter().any(|term| self.axes[term.0].extent == 0),
                };
                if !inside {
                    return Err(format!("it reads outside {}", operand.node));
                }
            }
        }
        Ok(())
    }

    fn verify_source(&self, source: NodeId, indices: usize) -> Result<(), String> {
        if !self.contains(source) {
            return Err(format!("there is no {source}"));
        }
        if self.node(source).shape.len() != indices {
            return Err(format!("{source} is read with {indices} indices"));
        }
        Ok(())
    }

    fn verify_read(&self, read: &Read<NodeId>) -> Result<(), String> {
        self.verify_source(read.source, read.indices.len())?;
        if self.node(read.source).dtype != read.dtype {
            return Err(format!("{} is not {}", read.source, read.dtype));
        }
        if let Outside::Else(value) = &read.outside
            && value.dtype() != read.dtype
        {
            return Err(format!("outside {} there are values of another dtype", read.source));
        }
        Ok(())
    }

    fn verify_expr(
        &self,
        expr: &Expr<NodeId>,
        allowed: &BTreeSet<AxisId>,
        bound: &BTreeSet<AxisId>,
        may_reduce: bool,
    ) -> Result<(), String> {
        match expr {
            Expr::Index(axis) if !allowed.contains(axis) && !bound.contains(axis) => {
                Err(format!("axis {} is not bound", self.axes[*axis].name))
            }
            Expr::Along(_) => Err("a map along axes is inside an expression".to_string()),
            Expr::Reduce(reduce) => {
                if !may_reduce {
                    return Err("a reduction is where none may be".to_string());
                }
                if expr.free_axes().iter().any(|axis| bound.contains(axis)) {
                    return Err("a reduction uses the axes of one around it".to_string());
                }
                let mut inner = bound.clone();
                inner.extend(&reduce.axes);
                self.verify_expr(&reduce.body, allowed, &inner, may_reduce)
            }
            Expr::Read(read) => {
                self.verify_read(read)?;
                expr.parts()
                    .into_iter()
                    .try_for_each(|part| self.verify_expr(part, allowed, bound, may_reduce))
            }
            _ => expr
                .parts()
                .into_iter()
                .try_for_each(|part| self.verify_expr(part, allowed, bound, may_reduce)),
        }
    }
}
