//! Reads outside the extents, statements, scatters and scans.

use super::*;

fn shifted(outside: Outside<TensorId>) -> Result<Vec<i128>, Fault> {
    let mut build = Build::new();
    let i = build.axis("i", 4);
    let x = build.ints(&[3], &[10, 20, 30]);
    let back = Expr::Sum(vec![Expr::Index(i), Expr::int(-1)]);
    let y = build.define(&[i], read_outside(x, DType::I64, vec![back], outside));
    build.try_run(y).map(|tensor| (0..4).map(|k| tensor.get(k).int()).collect())
}

#[test]
fn reads_outside_the_extents() {
    assert_eq!(shifted(Outside::Else(Box::new(Expr::int(-5)))).unwrap(), [-5, 10, 20, 30]);
    assert_eq!(shifted(Outside::Clamp).unwrap(), [10, 10, 20, 30]);
    for outside in [Outside::Checked, Outside::Trust] {
        let fault = shifted(outside).unwrap_err();
        let expected = Fault {
            place: Span::default(),
            tensor: "T0".to_string(),
            checked: Checked::Index(0),
            extent: 3,
            value: -1,
        };
        assert_eq!(fault, expected);
    }
}

#[test]
fn nothing_can_be_clamped_to_in_an_empty_tensor() {
    let mut build = Build::new();
    let i = build.axis("i", 1);
    let x = build.ints(&[0], &[]);
    let y = build.define(&[i], read_outside(x, DType::I64, vec![Expr::Index(i)], Outside::Clamp));
    assert_eq!(build.try_run(y).unwrap_err().extent, 0);
}

#[test]
fn gathers() {
    let mut build = Build::new();
    let (t, d) = (build.axis("t", 3), build.axis("d", 2));
    let table = build.ints(&[4, 2], &[0, 1, 10, 11, 20, 21, 30, 31]);
    let token = build.ints(&[3], &[3, 0, 2]);
    let value = read_outside(table, DType::I64, vec![integer(token, &[t]), Expr::Index(d)], Outside::Checked);
    let y = build.define(&[t, d], value);
    assert_eq!(build.run_ints(y), [30, 31, 0, 1, 20, 21]);
}

#[test]
fn diagonals_unit_dims_and_flattened_dims() {
    let mut build = Build::new();
    let (i, j) = (build.axis("i", 2), build.axis("j", 3));
    let x = build.ints(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let value =
        read_outside(x, DType::I64, vec![Expr::Index(i), Expr::Index(i), Expr::Index(j)], Outside::Never);
    let y = build.define_dims(vec![vec![], vec![j, i]], value);
    let result = build.try_run(y).unwrap();
    assert_eq!(result.shape(), [1, 6]);
    assert_eq!((0..6).map(|k| result.get(k).int()).collect::<Vec<_>>(), [0, 9, 1, 10, 2, 11]);
}

#[test]
fn empty_results() {
    let mut build = Build::new();
    let (i, j) = (build.axis("i", 0), build.axis("j", 3));
    let x = build.ints(&[0, 3], &[]);
    let all = build.define(&[i, j], integer(x, &[i, j]));
    let sums = build.define(&[j], reduce(ReduceOp::Sum, &[i], integer(all, &[i, j])));
    assert_eq!(build.run_ints(sums), [0, 0, 0]);
}

fn scatter(indices: &[i64], outside: Outside<TensorId>, with_base: bool) -> Result<Vec<i128>, Fault> {
    let mut build = Build::new();
    let n = build.axis("n", indices.len() as u64);
    let place = build.ints(&[indices.len() as u64], indices);
    let base = with_base.then(|| build.ints(&[3], &[100, 100, 100]));
    let target = build.tensor(DType::I64, &[3], Role::Computed);
    build.program.statements.push(Statement::Scatter(Scatter {
        target,
        base,
        axes: vec![n],
        indices: vec![integer(place, &[n])],
        outside,
        value: Expr::Sum(vec![Expr::Index(n), Expr::int(1)]),
        place: Span::default(),
    }));
    build.try_run(target).map(|tensor| (0..3).map(|k| tensor.get(k).int()).collect())
}

#[test]
fn scatters_add() {
    assert_eq!(scatter(&[2, 0, 2, 2], Outside::Checked, false).unwrap(), [2, 0, 8]);
    assert_eq!(scatter(&[2, 0, 2, 2], Outside::Never, true).unwrap(), [102, 100, 108]);
    assert_eq!(scatter(&[-7, 0, 9], Outside::Clamp, false).unwrap(), [3, 0, 3]);
    let fault = scatter(&[0, 3], Outside::Checked, false).unwrap_err();
    assert_eq!((fault.checked, fault.extent, fault.value), (Checked::Index(0), 3, 3));
    assert_eq!(scatter(&[0, -1], Outside::Trust, true).unwrap_err().value, -1);
}

/// `scan[t] { h[t] = 2 h[t-1 else first] + x[t] ; last = h[t] }`, both results.
fn recurrence(reversed: bool) -> (Vec<i128>, i128) {
    let mut build = Build::new();
    let t = build.axis("t", 4);
    let x = build.ints(&[4], &[1, 2, 3, 4]);
    let first = build.ints(&[], &[5]);
    let history = build.tensor(DType::I64, &[4], Role::Computed);
    let last = build.tensor(DType::I64, &[], Role::Computed);
    let before = Expr::Sum(vec![Expr::Index(t), Expr::int(if reversed { 1 } else { -1 })]);
    let otherwise = Outside::Else(Box::new(integer(first, &[])));
    let before = read_outside(history, DType::I64, vec![before], otherwise);
    let value = Expr::Sum(vec![Expr::Product(vec![Expr::int(2), before]), integer(x, &[t])]);
    let define =
        |target, dims, value| Define { target, dims, value, keep_order: false, place: Span::default() };
    let body = vec![
        define(history, vec![vec![t]], value),
        define(last, vec![], Expr::Sum(vec![integer(history, &[t]), integer(last, &[])])),
    ];
    build.program.statements.push(Statement::Scan(Scan { axis: t, reversed, body, place: Span::default() }));
    build.program.outputs.push(("history".to_string(), history));
    build.program.outputs.push(("last".to_string(), last));
    let inputs: Vec<&Tensor> = build.inputs.iter().collect();
    let results = run(&build.program, &inputs).unwrap();
    ((0..4).map(|k| results[0].get(k).int()).collect(), results[1].get(0).int())
}

#[test]
fn scans_run_in_order() {
    // 2*5+1, 2*11+2, ..; and from the end 2*5+4, 2*14+3, ..; the second target adds up what it held before.
    assert_eq!(recurrence(false), (vec![11, 24, 51, 106], 192));
    assert_eq!(recurrence(true), (vec![129, 64, 31, 14], 238));
}

#[test]
fn a_scan_keeps_a_matrix_of_states() {
    // h[n,t] = sum[m](a[n,m] * h[m,t-1]): powers of [[1,1],[1,0]] applied to (1,0) are Fibonacci numbers.
    let mut build = Build::new();
    let (t, n, m) = (build.axis("t", 6), build.axis("n", 2), build.axis("m", 2));
    let a = build.reals(&[2, 2], &[1.0, 1.0, 1.0, 0.0]);
    let h = build.tensor(DType::F64, &[2, 6], Role::Computed);
    let start = select(
        binary(Binary::Eq, Expr::Index(m), Expr::int(0)),
        Expr::number(1.0, DType::F64),
        Expr::number(0.0, DType::F64),
    );
    let before = Expr::Sum(vec![Expr::Index(t), Expr::int(-1)]);
    let before = read_outside(h, DType::F64, vec![Expr::Index(m), before], Outside::Else(Box::new(start)));
    let value = reduce(ReduceOp::Sum, &[m], Expr::Product(vec![real(a, &[n, m]), before]));
    let define =
        Define { target: h, dims: vec![vec![n], vec![t]], value, keep_order: false, place: Span::default() };
    let scan = Scan { axis: t, reversed: false, body: vec![define], place: Span::default() };
    build.program.statements.push(Statement::Scan(scan));
    assert_eq!(build.run_reals(h), [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 1.0, 1.0, 2.0, 3.0, 5.0, 8.0]);
}
