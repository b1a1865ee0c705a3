//! How far a result in floats may be from the judge's.
//!
//! A program of magnitudes runs beside the program: every real is replaced by a bound of its size, so that differences
//! become sums. A computation whose steps have condition 1 in these magnitudes errs by at most a multiple of the unit
//! of rounding times the magnitude of the result; the multiple counts the operations that lead there.

use einc::expr::{AlongOp, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use einc::program::{Define, Program, Statement, TensorId};
use einc_runtime::{DType, Scalar, Tensor};

type E = Expr<TensorId>;

fn is_wide(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_complex()
}

/// The program of magnitudes; its reals and complex values are `f64`.
pub fn magnitudes(program: &Program) -> Program {
    let mut result = program.clone();
    for id in program.tensors.ids() {
        if is_wide(program.tensors[id].dtype) {
            result.tensors[id].dtype = DType::F64;
        }
    }
    let define = |define: &mut Define| define.value = magnitude(&define.value);
    for statement in &mut result.statements {
        match statement {
            Statement::Define(one) => define(one),
            Statement::Scan(scan) => scan.body.iter_mut().for_each(define),
            Statement::Scatter(scatter) => scatter.value = magnitude(&scatter.value),
        }
    }
    result
}

/// The magnitudes of a tensor.
pub fn magnitudes_of(tensor: &Tensor) -> Tensor {
    if !is_wide(tensor.dtype()) {
        return tensor.clone();
    }
    let mut result = Tensor::zeros(DType::F64, tensor.shape()).expect("small");
    for position in 0..tensor.elems() {
        let value = tensor.get(position);
        result.set(position, Scalar::Real(value.re().hypot(value.im())));
    }
    result
}

fn one() -> E {
    Expr::number(1.0, DType::F64)
}

fn magnitude(expr: &E) -> E {
    if !is_wide(expr.dtype()) {
        return expr.clone();
    }
    let all = |parts: &[E]| parts.iter().map(magnitude).collect::<Vec<_>>();
    let summed = |axes: &[einc::expr::AxisId], body: &E| {
        let (op, axes, body) = (ReduceOp::Sum, axes.to_vec(), magnitude(body));
        Expr::Reduce(Box::new(Reduce { op, axes, body }))
    };
    match expr {
        Expr::Const(value, _) => Expr::number(value.re().hypot(value.im()), DType::F64),
        Expr::Index(_) => unreachable!("an index is an integer"),
        Expr::Read(read) => Expr::Read(Read {
            dtype: DType::F64,
            outside: match &read.outside {
                Outside::Else(value) => Outside::Else(Box::new(magnitude(value))),
                other => other.clone(),
            },
            ..read.clone()
        }),
        Expr::Unary(Unary::Neg | Unary::Conj, a) => magnitude(a),
        // Functions whose slope is at most 1.
        Expr::Unary(_, a) => Expr::Sum(vec![magnitude(a), one()]),
        Expr::Binary(_, a, b) => Expr::Sum(vec![magnitude(a), magnitude(b)]),
        Expr::Sum(parts) => Expr::Sum(all(parts)),
        Expr::Product(parts) => Expr::Product(all(parts)),
        Expr::Select(parts) => {
            Expr::Select(Box::new([parts[0].clone(), magnitude(&parts[1]), magnitude(&parts[2])]))
        }
        Expr::Cast(_, a) => Expr::Unary(Unary::Abs, Box::new(Expr::Cast(DType::F64, a.clone()))),
        Expr::Reduce(reduce) => match reduce.op {
            ReduceOp::Sum => summed(&reduce.axes, &reduce.body),
            // The greatest is below the sum; a logarithm of n ones is below 20.
            _ => Expr::Sum(vec![summed(&reduce.axes, &reduce.body), Expr::number(20.0, DType::F64)]),
        },
        Expr::Along(along) => {
            let sum = || summed(&along.axes, &along.body);
            match along.op {
                AlongOp::CumSum | AlongOp::Dft | AlongOp::Idft | AlongOp::Sort | AlongOp::TopK => sum(),
                _ => Expr::Sum(vec![sum(), sum(), Expr::number(20.0, DType::F64)]),
            }
        }
    }
}

/// How many roundings may lead to one element of any result of the program.
pub fn operations(program: &Program) -> f64 {
    let mut total = 0.0;
    for statement in &program.statements {
        total += match statement {
            Statement::Define(define) => count(&define.value, program),
            Statement::Scatter(scatter) => {
                let points: u64 = scatter.axes.iter().map(|&axis| program.axes[axis].extent).product();
                points as f64 + count(&scatter.value, program)
            }
            Statement::Scan(scan) => {
                let steps = program.axes[scan.axis].extent as f64;
                steps * scan.body.iter().map(|define| count(&define.value, program)).sum::<f64>()
            }
        };
    }
    8.0 * total
}

fn count(expr: &E, program: &Program) -> f64 {
    let points = |axes: &[einc::expr::AxisId]| {
        axes.iter().map(|&axis| program.axes[axis].extent.max(1) as f64).product::<f64>()
    };
    let here = match expr {
        Expr::Reduce(reduce) => points(&reduce.axes),
        Expr::Along(along) => points(&along.axes),
        _ => 1.0,
    };
    here + expr.parts().into_iter().map(|part| count(part, program)).sum::<f64>()
}

/// The unit of rounding of the dtype that results are in.
pub fn unit(dtype: DType) -> f64 {
    match dtype.real_part() {
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 2f64.powi(-10),
        DType::Bf16 => 2f64.powi(-7),
        _ => f64::EPSILON,
    }
}

/// The greatest finite value of the dtype that results are in.
pub fn greatest(dtype: DType) -> f64 {
    match dtype.real_part() {
        DType::F32 => f64::from(f32::MAX),
        DType::F16 => 65504.0,
        DType::Bf16 => 2f64.powi(127),
        _ => f64::MAX,
    }
}
