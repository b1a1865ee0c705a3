//! Computes of Fourier transforms the frequencies that are read, and of inverse ones the real parts where only these are.
//!
//! ```text
//! n1[b,f]: c64[8,192] = dft[t -> f](n0[b,t])    =>    n1[b,f]: c64[8,97] = dft[t -> f](n0[b,t])
//! n2[b,f]: f32[8,97] = abs(n1[b,f])                   n2[b,f]: f32[8,97] = abs(n1[b,f])
//!
//! n3[t]: c64[8] = idft[f -> t](n2[f])           =>    n3[t]: f32[8] = idft[f -> t](n2[f])
//! n4[t]: f32[8] = real(n3[t])                         n4[t]: f32[8] = n3[t]
//! ```
//!
//! What is left is read at affine places alone. Outputs and nodes of scans stay. Takes time linear in the text of the readers.

use super::rewrite::map_parts;
use super::{Graph, NodeId, Op};
use crate::expr::{AlongOp, Axis, Expr, Outside, Read, Unary};

/// Computes only what is read of Fourier transforms.
pub fn narrow_transforms(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for id in graph.ids() {
        let node = graph.node(id);
        let Op::Along(along) = &node.op else { continue };
        let is_transform = matches!(along.op, AlongOp::Dft | AlongOp::Idft);
        if !is_transform || node.scan.is_some() || graph.outputs.iter().any(|output| output.1 == id) {
            continue;
        }
        let is_inverse = along.op == AlongOp::Idft;
        keep_read(&mut graph, id);
        if is_inverse {
            keep_real(&mut graph, id);
        }
    }
    graph.link();
    graph
}

/// Leaves out the last elements that nothing reads.
fn keep_read(graph: &mut Graph, id: NodeId) {
    let node = graph.node(id);
    let Op::Along(along) = &node.op else { return };
    let [axis] = along.out[..] else { return };
    let Some(dim) = node.dims.iter().position(|dim| dim[..] == [axis]) else { return };
    let mut last = None;
    for reader in graph.readers(id) {
        let mut is_known = true;
        graph.node(reader).for_each_source(&mut |source, read, access| {
            if source != id {
                return;
            }
            let index = match (read, access) {
                (Some(read), _) if read.outside == Outside::Never => read.indices[dim].affine(),
                (_, Some(access)) => Some(access.indices[dim].clone()),
                _ => None,
            };
            match index.and_then(|index| index.bounds(&graph.axes)) {
                Some((0.., high)) => last = last.max(Some(high)),
                _ => is_known = false,
            }
        });
        if !is_known {
            return;
        }
    }
    let Some(extent) = last.and_then(|last| u64::try_from(last).ok()).map(|last| last + 1) else { return };
    if extent >= node.shape[dim] {
        return;
    }
    let fewer = graph.axes.push(Axis { name: graph.axes[axis].name.clone(), extent });
    let node = graph.node_mut(id);
    (node.dims[dim], node.shape[dim]) = (vec![fewer], extent);
    if let Op::Along(along) = &mut node.op {
        along.out = vec![fewer];
    }
}

/// Makes a value real of which only real parts are read.
fn keep_real(graph: &mut Graph, id: NodeId) {
    let dtype = graph.node(id).dtype;
    let readers = graph.readers(id);
    if !dtype.is_complex() || readers.is_empty() {
        return;
    }
    let mut nodes = Vec::new();
    for &reader in &readers {
        let mut node = graph.node(reader).clone();
        let mut count = 0;
        match &mut node.op {
            Op::Map(value) => *value = as_real(value, id, &mut count),
            Op::Along(along) => along.body = as_real(&along.body, id, &mut count),
            _ => return,
        }
        if node.sources().iter().filter(|&&source| source == id).count() != count {
            return;
        }
        nodes.push(node);
    }
    for (reader, node) in readers.into_iter().zip(nodes) {
        *graph.node_mut(reader) = node;
    }
    graph.node_mut(id).dtype = dtype.real_part();
}

/// The expression with reads of real numbers for real parts of reads, which are counted.
fn as_real(expr: &Expr<NodeId>, id: NodeId, count: &mut usize) -> Expr<NodeId> {
    match expr {
        Expr::Unary(Unary::Real, inner) => match &**inner {
            Expr::Read(read) if read.source == id && read.outside == Outside::Never => {
                *count += 1;
                let indices = read.indices.iter().map(|index| as_real(index, id, count)).collect();
                Expr::Read(Read { dtype: read.dtype.real_part(), indices, ..read.clone() })
            }
            _ => map_parts(expr, &mut |part| as_real(part, id, count)),
        },
        _ => map_parts(expr, &mut |part| as_real(part, id, count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::sample::{E, Sample, add, along, unary};
    use einc_runtime::DType;

    /// The graph of a transform and of a value that reads it at the first few places.
    fn narrowed(op: AlongOp, value: impl FnOnce(E) -> E) -> String {
        let mut s = Sample::new(DType::C64);
        let [n, f, g] = [("n", 8), ("f", 8), ("g", 5)].map(|(name, extent)| s.axis(name, extent));
        let x = s.input("x", &[8]);
        let y = s.define("y", &[f], along(op, &[n], &[f], s.at(x, &[n])));
        let z = s.define("z", &[g], value(s.at(y, &[g])));
        s.output(z);
        narrow_transforms(&Graph::new(&s.program)).to_string()
    }

    #[test]
    fn only_what_is_read_is_transformed() {
        let text = narrowed(AlongOp::Dft, |y| unary(Unary::Abs, y));
        assert!(text.contains("c64[5] = dft[n -> f](n0[n])"), "{text}");
        let text = narrowed(AlongOp::Idft, |y| unary(Unary::Real, y));
        assert!(text.contains("f32[5] = idft[n -> f](n0[n])"), "{text}");
        assert!(!text.contains("real("), "{text}");
    }

    #[test]
    fn complex_numbers_stay_where_their_imaginary_parts_are_read() {
        let text = narrowed(AlongOp::Idft, |y| add([unary(Unary::Real, y.clone()), unary(Unary::Imag, y)]));
        assert!(text.contains("c64[5] = idft[n -> f](n0[n])"), "{text}");
        assert!(text.contains("real("), "{text}");
    }
}
