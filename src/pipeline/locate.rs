//! Where an index left its tensor: the point of the statement at which it has the value that stopped a run.

use crate::expr::{Expr, Outside};
use crate::fault::{Checked, Fault};
use crate::interpret;
use crate::program::{Define, Program, Role, Statement, Tensor as Declared, TensorId};
use einc_runtime::{DType, Scalar, Tensor};

/// Most points at which an index is computed again to find where it left its tensor.
const POINTS: u64 = 1 << 22;

/// The indices of the statement, by name, at the first point where the index has the value of the fault.
///
/// The index is computed again, from the inputs alone: `None` where it depends on what the program computes, or varies
/// over too many points.
pub fn locate(program: &Program, inputs: &[&Tensor], fault: &Fault) -> Option<Vec<(String, u64)>> {
    let Checked::Index(dim) = fault.checked else { return None };
    let mut found = Vec::new();
    let mut of_value = |value: &Expr<TensorId>| {
        value.for_each_read(&mut |read| {
            let named = program.tensors[read.source].name == fault.tensor;
            if read.place == fault.place && named && matches!(read.outside, Outside::Checked) {
                found.extend(read.indices.get(dim).cloned());
            }
        });
    };
    let mut targets = Vec::new();
    for statement in &program.statements {
        match statement {
            Statement::Define(define) => of_value(&define.value),
            Statement::Scan(scan) => scan.body.iter().for_each(|define| of_value(&define.value)),
            Statement::Scatter(scatter) => {
                of_value(&scatter.value);
                scatter.indices.iter().for_each(&mut of_value);
                if scatter.place == fault.place && program.tensors[scatter.target].name == fault.tensor {
                    targets.extend(scatter.indices.get(dim).cloned());
                }
            }
        }
    }
    found.into_iter().chain(targets).find_map(|index| first(program, inputs, index, fault.value))
}

/// The first point at which an index has a value.
fn first(
    program: &Program,
    inputs: &[&Tensor],
    index: Expr<TensorId>,
    wanted: i64,
) -> Option<Vec<(String, u64)>> {
    let axes: Vec<_> = index.free_axes().into_iter().collect();
    let shape: Vec<u64> = axes.iter().map(|&axis| program.axes[axis].extent).collect();
    let points = shape.iter().try_fold(1u64, |points, &extent| points.checked_mul(extent));
    let mut known = true;
    index.for_each_read(&mut |read| known &= program.inputs.contains(&read.source));
    if !known || points.is_none_or(|points| points > POINTS) {
        return None;
    }
    let mut alone = Program::new(&program.name);
    (alone.axes, alone.tensors, alone.inputs) =
        (program.axes.clone(), program.tensors.clone(), program.inputs.clone());
    let place = program.tensors.iter().next().map(|(_, tensor)| tensor.place)?;
    let target = alone.tensors.push(Declared {
        name: "index".to_string(),
        dtype: DType::I64,
        shape: shape.clone(),
        role: Role::Computed,
        place,
    });
    let dims = axes.iter().map(|&axis| vec![axis]).collect();
    alone.statements.push(Statement::Define(Define { target, dims, value: index, keep_order: false, place }));
    alone.outputs.push(("index".to_string(), target));
    // An access inside of the index may be the one that fails; then there is nothing to say of this one.
    let values = interpret::run(&alone, inputs).ok()?.pop()?;
    let mut rest = (0..values.elems()).find(|&at| values.get(at) == Scalar::Int(wanted.into()))? as u64;
    let mut point = Vec::new();
    for (&axis, &extent) in axes.iter().zip(&shape).rev() {
        point.push((program.axes[axis].name.clone(), rest % extent));
        rest /= extent;
    }
    point.reverse();
    Some(point)
}
