//! Products: what contractions are made of, as parts of expressions.

use super::rewrite::{multiply, scalar_of};
use super::{Access, Graph, NodeId};
use crate::expr::{Binary, Expr, Unary};
use einc_runtime::{DType, Scalar};

/// A product: a number and factors that are no numbers.
#[derive(Clone)]
pub struct Product {
    pub scale: Scalar,
    pub factors: Vec<Expr<NodeId>>,
}

/// The products whose sum an expression is; `None` if it is too large to spell out or a factor's scale is unknown.
pub fn collect_products(
    expr: &Expr<NodeId>,
    scale: Scalar,
    dtype: DType,
    products: &mut Vec<Product>,
) -> Option<()> {
    match expr {
        Expr::Sum(parts) => parts.iter().try_for_each(|part| collect_products(part, scale, dtype, products)),
        Expr::Unary(Unary::Neg, a) => {
            collect_products(a, multiply(scale, scalar_of(-1, dtype), dtype)?, dtype, products)
        }
        _ => {
            let mut product = Product { scale, factors: Vec::new() };
            collect_factors(expr, dtype, &mut product)?;
            products.push(product);
            Some(())
        }
    }
}

fn collect_factors(expr: &Expr<NodeId>, dtype: DType, product: &mut Product) -> Option<()> {
    match expr {
        Expr::Const(value, _) => product.scale = multiply(product.scale, *value, dtype)?,
        Expr::Product(parts) => parts.iter().try_for_each(|part| collect_factors(part, dtype, product))?,
        Expr::Unary(Unary::Neg, a) => {
            product.scale = multiply(product.scale, scalar_of(-1, dtype), dtype)?;
            collect_factors(a, dtype, product)?;
        }
        // Dividing by a number is multiplying by its inverse, but only a power of two has one without rounding; a
        // contraction rounds its sums anyway, which is more than this.
        Expr::Binary(Binary::Div, a, b) if dtype.is_float() || dtype.is_complex() => {
            let inverse = match **b {
                Expr::Const(Scalar::Real(by), _) if by != 0.0 && by.is_finite() => Scalar::Real(1.0 / by),
                Expr::Const(Scalar::Complex(by, 0.0), _) if by != 0.0 && by.is_finite() => {
                    Scalar::Complex(1.0 / by, 0.0)
                }
                _ => {
                    product.factors.push(expr.clone());
                    return Some(());
                }
            };
            product.scale = multiply(product.scale, inverse, dtype)?;
            collect_factors(a, dtype, product)?;
        }
        _ => product.factors.push(expr.clone()),
    }
    Some(())
}

impl Product {
    /// The expression that it is.
    pub fn expr(self, dtype: DType) -> Expr<NodeId> {
        let mut factors = self.factors;
        if self.scale != scalar_of(1, dtype) || factors.is_empty() {
            factors.insert(0, Expr::Const(self.scale, dtype));
        }
        if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) }
    }
}

/// A read that a contraction can make in place: its indices are affine and proved to lie inside.
pub fn in_place(graph: &Graph, factor: &Expr<NodeId>) -> Option<Access> {
    let Expr::Read(read) = factor else { return None };
    let shape = &graph.node(read.source).shape;
    let mut indices = Vec::with_capacity(read.indices.len());
    for (index, &extent) in read.indices.iter().zip(shape) {
        let index = index.affine()?;
        let (low, high) = index.bounds(&graph.axes)?;
        let inside = low >= 0 && u64::try_from(high).is_ok_and(|high| high < extent);
        inside.then_some(())?;
        indices.push(index);
    }
    Some(Access { node: read.source, indices })
}
