//! Reductions.

use super::*;

fn over_reals(op: ReduceOp, values: &[f64]) -> Scalar {
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let x = build.reals(&[values.len() as u64], values);
    let y = build.define(&[], reduce(op, &[i], real(x, &[i])));
    build.run(y)[0]
}

fn over_ints(op: ReduceOp, dtype: DType, values: &[i128]) -> i128 {
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let values: Vec<Scalar> = values.iter().map(|&value| Scalar::Int(value)).collect();
    let x = build.input(dtype, &[values.len() as u64], &values);
    let y = build.define(&[], reduce(op, &[i], read(x, dtype, &[i])));
    build.run_ints(y)[0]
}

#[test]
fn reductions_of_reals() {
    let x = [3.0, -1.0, 2.0, -1.0];
    assert_eq!(over_reals(ReduceOp::Sum, &x), Scalar::Real(3.0));
    assert_eq!(over_reals(ReduceOp::Prod, &x), Scalar::Real(6.0));
    assert_eq!(over_reals(ReduceOp::Min, &x), Scalar::Real(-1.0));
    assert_eq!(over_reals(ReduceOp::Max, &x), Scalar::Real(3.0));
    assert_eq!(over_reals(ReduceOp::ArgMin, &x), Scalar::Int(1));
    assert_eq!(over_reals(ReduceOp::ArgMax, &x), Scalar::Int(0));
    let expected = x.iter().map(|x| f64::exp(*x)).sum::<f64>().ln();
    assert_close(&[over_reals(ReduceOp::LogSumExp, &x).re()], &[expected], 1e-15);
    assert_close(&[over_reals(ReduceOp::LogSumExp, &[1000.0, 1000.0]).re()], &[1000.0 + 2f64.ln()], 1e-15);
}

#[test]
fn reductions_of_nothing() {
    assert_eq!(over_reals(ReduceOp::Sum, &[]), Scalar::Real(0.0));
    assert_eq!(over_reals(ReduceOp::Prod, &[]), Scalar::Real(1.0));
    assert_eq!(over_reals(ReduceOp::Min, &[]), Scalar::Real(f64::INFINITY));
    assert_eq!(over_reals(ReduceOp::Max, &[]), Scalar::Real(f64::NEG_INFINITY));
    assert_eq!(over_reals(ReduceOp::LogSumExp, &[]), Scalar::Real(f64::NEG_INFINITY));
    assert_eq!(over_ints(ReduceOp::Min, DType::I8, &[]), 127);
    assert_eq!(over_ints(ReduceOp::Max, DType::U8, &[]), 0);
    assert_eq!(over_ints(ReduceOp::Any, DType::Bool, &[]), 0);
    assert_eq!(over_ints(ReduceOp::All, DType::Bool, &[]), 1);
}

#[test]
fn reductions_of_integers() {
    assert_eq!(over_ints(ReduceOp::Sum, DType::I8, &[100, 100]), -56);
    assert_eq!(over_ints(ReduceOp::Prod, DType::I64, &[3, -5, 7]), -105);
    assert_eq!(over_ints(ReduceOp::Min, DType::I32, &[3, -5, 7]), -5);
    assert_eq!(over_ints(ReduceOp::ArgMax, DType::I32, &[3, 7, 7]), 1);
    assert_eq!(over_ints(ReduceOp::Any, DType::Bool, &[0, 1]), 1);
    assert_eq!(over_ints(ReduceOp::All, DType::Bool, &[0, 1]), 0);
    assert_eq!(over_ints(ReduceOp::Sum, DType::Bool, &[1, 1]), 1);
}

#[test]
fn not_a_number_wins() {
    let x = [1.0, f64::NAN, 0.0];
    assert!(over_reals(ReduceOp::Min, &x).re().is_nan());
    assert!(over_reals(ReduceOp::Max, &x).re().is_nan());
    assert_eq!(over_reals(ReduceOp::ArgMin, &x), Scalar::Int(1));
    assert_eq!(over_reals(ReduceOp::ArgMax, &x), Scalar::Int(1));
    assert!(over_reals(ReduceOp::LogSumExp, &x).re().is_nan());
    assert_eq!(over_reals(ReduceOp::LogSumExp, &[f64::INFINITY, 0.0]), Scalar::Real(f64::INFINITY));
}

#[test]
fn sums_keep_what_rounding_loses() {
    assert_eq!(over_reals(ReduceOp::Sum, &[1.0, 1e100, 1.0, -1e100]), Scalar::Real(2.0));
    assert_eq!(over_reals(ReduceOp::Sum, &[f64::INFINITY, 1.0]), Scalar::Real(f64::INFINITY));
}

#[test]
fn a_position_is_row_major_over_several_axes() {
    let mut build = Build::new();
    let (i, j) = (build.axis("i", 2), build.axis("j", 3));
    let x = build.ints(&[2, 3], &[0, 1, 2, 9, 4, 5]);
    let y = build.define(&[], reduce(ReduceOp::ArgMax, &[i, j], integer(x, &[i, j])));
    assert_eq!(build.run_ints(y), [3]);
}

#[test]
fn a_product_of_matrices() {
    let mut build = Build::new();
    let (i, j, k) = (build.axis("i", 2), build.axis("j", 3), build.axis("k", 2));
    let a = build.ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    let b = build.ints(&[3, 2], &[1, 0, 0, 1, 1, 1]);
    let product = Expr::Product(vec![integer(a, &[i, j]), integer(b, &[j, k])]);
    let y = build.define(&[i, k], reduce(ReduceOp::Sum, &[j], product));
    assert_eq!(build.run_ints(y), [4, 5, 10, 11]);
}

#[test]
fn a_nested_reduction_is_computed_once_for_each_of_its_points() {
    // sum[i1](.. sum[i0](x)) nested 12 deep over extent 10 would need 10^12 points.
    let mut build = Build::new();
    let x = build.ints(&[10], &[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    let mut value = Expr::int(0);
    for _ in 0..12 {
        let axis = build.axis("i", 10);
        value = reduce(ReduceOp::Sum, &[axis], Expr::Sum(vec![integer(x, &[axis]), value]));
    }
    let y = build.define(&[], value);
    // s(k+1) = 10 + 10 s(k)
    assert_eq!(build.run_ints(y), [(0..12).fold(0, |s, _| 10 + 10 * s)]);
}

#[test]
fn ragged_ranges_are_selects() {
    let mut build = Build::new();
    let (i, j) = (build.axis("i", 5), build.axis("j", 5));
    let below = binary(Binary::Le, Expr::Index(j), Expr::Index(i));
    let y = build.define(&[i], reduce(ReduceOp::Sum, &[j], select(below, Expr::Index(j), Expr::int(0))));
    assert_eq!(build.run_ints(y), [0, 1, 3, 6, 10]);
}

/// `sum[a,b,c,d,e](p[a,b,z] * q[b,c] * r[c,d,d] * s[e] * u[z] * 3)`, and the same from the definition.
fn network(extents: [u64; 6]) -> (Vec<i128>, Vec<i128>) {
    let mut build = Build::new();
    let names = ["a", "b", "c", "d", "e", "z"];
    let axes: Vec<AxisId> =
        names.iter().zip(extents).map(|(name, extent)| build.axis(name, extent)).collect();
    let [a, b, c, d, e, z] = axes[..] else { unreachable!() };
    let mut tensor = |list: &[AxisId]| {
        let shape: Vec<u64> = list.iter().map(|&axis| build.program.axes[axis].extent).collect();
        let count = shape.iter().product::<u64>() as i64;
        let values: Vec<i64> = (0..count).map(|k| (31 * k + 17 * list.len() as i64 + 8) % 7 - 3).collect();
        (build.ints(&shape, &values), values)
    };
    let (p, p_values) = tensor(&[a, b, z]);
    let (q, q_values) = tensor(&[b, c]);
    let (r, r_values) = tensor(&[c, d, d]);
    let (s, s_values) = tensor(&[e]);
    let (u, u_values) = tensor(&[z]);
    let factors = vec![
        integer(p, &[a, b, z]),
        integer(q, &[b, c]),
        integer(r, &[c, d, d]),
        integer(s, &[e]),
        integer(u, &[z]),
        Expr::int(3),
    ];
    let y = build.define(&[z], reduce(ReduceOp::Sum, &[a, b, c, d, e], Expr::Product(factors)));
    let [na, nb, nc, nd, _, nz] = extents.map(|extent| extent as usize);
    let total = |z: usize| {
        let mut sum = 0i128;
        for a in 0..na {
            for b in 0..nb {
                for c in 0..nc {
                    for d in 0..nd {
                        let factors = [
                            p_values[(a * nb + b) * nz + z],
                            q_values[b * nc + c],
                            r_values[(c * nd + d) * nd + d],
                            u_values[z],
                        ];
                        sum += factors.iter().map(|&x| i128::from(x)).product::<i128>();
                    }
                }
            }
        }
        3 * sum * s_values.iter().map(|&x| i128::from(x)).sum::<i128>()
    };
    let expected = (0..nz).map(total).collect();
    (build.run_ints(y), expected)
}

#[test]
fn large_sums_of_products_agree_with_the_definition() {
    let (found, expected) = network([2, 3, 2, 3, 2, 2]);
    assert_eq!(found, expected);
    let (found, expected) = network([11, 7, 5, 13, 1009, 6]);
    assert!(expected.iter().any(|&x| x != 0));
    assert_eq!(found, expected);
}

#[test]
fn a_summed_axis_that_nothing_has_counts() {
    let mut build = Build::new();
    let (i, j) = (build.axis("i", 1 << 13), build.axis("j", 1 << 13));
    let product = Expr::Product(vec![Expr::Index(i), Expr::int(2)]);
    let y = build.define(&[], reduce(ReduceOp::Sum, &[i, j], product));
    let n = 1i128 << 13;
    assert_eq!(build.run_ints(y), [n * n * (n - 1)]);
}
