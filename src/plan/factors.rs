//! Orders the factors of products in loop nests: those that are the same along the innermost loop come first.
//!
//! ```text
//! nest[d,s] b3[d 16, s 1] = o0[d] * o1[s] * o2[d]    =>    nest[d,s] b3[d 16, s 1] = o0[d] * o2[d] * o1[s]
//! ```
//!
//! They are multiplied once for all lanes of a vector then. Takes time linear in the text.

use super::{Plan, Step};
use crate::expr::{AxisId, Expr};

/// Orders the factors of all products of floats.
pub(super) fn order(mut plan: Plan) -> Plan {
    order_steps(&mut plan.steps);
    plan
}

fn order_steps(steps: &mut [Step]) {
    for step in steps {
        match step {
            Step::Nest(nest) => {
                let inner = nest.axes.last().copied();
                inner.into_iter().for_each(|axis| order_in(&mut nest.value, axis));
                for reduction in &mut nest.reductions {
                    let inner = reduction.axes.last().copied();
                    inner.into_iter().for_each(|axis| order_in(&mut reduction.body, axis));
                }
            }
            Step::Scan(scan) => order_steps(&mut scan.body),
            Step::Contract(_) | Step::Along(_) | Step::Scatter(_) => {}
        }
    }
}

fn order_in<S>(expr: &mut Expr<S>, axis: AxisId) {
    let is_float = matches!(expr, Expr::Product(_)) && expr.dtype().is_float();
    if let (Expr::Product(factors), true) = (&mut *expr, is_float) {
        factors.sort_by_cached_key(|factor| factor.free_axes().contains(&axis));
    }
    expr.parts_mut().into_iter().for_each(|part| order_in(part, axis));
}

/// How many factors come first that are the same along an axis, if others vary.
pub(super) fn same_along<S>(factors: &[Expr<S>], axis: AxisId) -> usize {
    let same = factors.iter().take_while(|factor| !factor.free_axes().contains(&axis)).count();
    if same == factors.len() { 0 } else { same }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::assert_same;
    use super::super::tests::plan_of;
    use super::super::{Settings, cost};
    use crate::expr::{Binary, Unary};
    use crate::graph::sample::*;
    use einc_runtime::DType;

    #[test]
    fn factors_that_are_the_same_along_rows_come_first() {
        let mut s = Sample::new(DType::F32);
        let (d, e) = (s.axis("d", 6), s.axis("e", 10));
        let (x, y, z) = (s.input("x", &[6]), s.input("y", &[10]), s.input("z", &[6]));
        let product = mul([s.at(x, &[d]), s.at(y, &[e]), s.at(z, &[d])]);
        let both = binary(Binary::Max, product, unary(Unary::Abs, s.at(y, &[e])));
        let out = s.define("out", &[d, e], both);
        s.output(out);
        let plan = plan_of(&s.program);
        let text = plan.to_string();
        assert!(text.contains("o0[d] * o2[d] * o1[e]") || text.contains("o0[d] * o1[d] * o2[e]"), "{text}");
        let mut unordered = plan.clone();
        let super::Step::Nest(nest) = &mut unordered.steps[0] else { panic!("{text}") };
        let super::Expr::Binary(_, product, _) = &mut nest.value else { panic!("{text}") };
        let super::Expr::Product(factors) = &mut **product else { panic!("{text}") };
        factors.rotate_left(1);
        assert_same(&unordered, &plan, "a product");
        // One product for each row, and one, an absolute value and the greater of two for each element.
        assert_eq!(cost(&plan, &Settings::default().rates).flops, 6.0 + 3.0 * 60.0);
        assert_eq!(cost(&unordered, &Settings::default().rates).flops, 4.0 * 60.0);
    }
}
