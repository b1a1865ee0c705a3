//! Plans built by hand: results of steps, and laws that running a plan checks.

use super::super::run_plan;
use super::*;
use crate::plan::{
    AlongStep, Buffer, BufferId, Contract, Nest, Operand, Place, Plan, Reduction, ScanStep, ScatterStep,
    Source, Step, View,
};

type P = Expr<Source>;

fn plan(arena: u64) -> Plan {
    Plan {
        name: "test".to_string(),
        axes: IdVec::new(),
        buffers: IdVec::new(),
        steps: Vec::new(),
        arena,
        threads: 1,
        workspace: 0,
        orders: Vec::new(),
    }
}

fn axis(plan: &mut Plan, name: &str, extent: u64) -> AxisId {
    plan.axes.push(Axis { name: name.to_string(), extent })
}

fn buffer(plan: &mut Plan, elems: u64, place: Place) -> BufferId {
    let name = format!("B{}", plan.buffers.len());
    plan.buffers.push(Buffer { name, dtype: DType::I64, elems, place })
}

fn view(buffer: BufferId, strides: &[(AxisId, i64)]) -> View {
    View { buffer, offset: 0, strides: strides.to_vec() }
}

fn operand(buffer: BufferId, dims: &[(u64, i64)]) -> Operand {
    Operand { buffer, offset: 0, dims: dims.to_vec() }
}

fn load(number: u32, indices: Vec<P>, outside: Outside<Source>) -> P {
    let source = Source::Operand(number);
    Expr::Read(Read { source, dtype: DType::I64, indices, outside, place: Span::default() })
}

fn at(number: u32, axes: &[AxisId]) -> P {
    load(number, axes.iter().map(|&axis| Expr::Index(axis)).collect(), Outside::Never)
}

fn reduced(number: u32) -> P {
    let source = Source::Reduced(number);
    let outside = Outside::Never;
    Expr::Read(Read { source, dtype: DType::I64, indices: Vec::new(), outside, place: Span::default() })
}

fn contract(a: View, b: View, out: View, accumulate: bool) -> Step {
    Step::Contract(Contract {
        a,
        b,
        out,
        dtype: DType::I64,
        accumulate,
        wanted: None,
        band: None,
        place: Span::default(),
    })
}

fn nest(axes: &[AxisId], operands: Vec<Operand>, value: P, out: View) -> Step {
    let axes = axes.to_vec();
    Step::Nest(Nest {
        axes,
        operands,
        reductions: Vec::new(),
        value,
        out,
        wanted: None,
        place: Span::default(),
    })
}

fn run_ints(plan: &Plan, inputs: &[&[i64]]) -> Vec<i64> {
    let inputs: Vec<Tensor> =
        inputs.iter().map(|values| Tensor::from_slice(&[values.len() as u64], values).unwrap()).collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    run_plan(plan, &inputs).unwrap()[0].as_slice::<i64>().unwrap().to_vec()
}

#[test]
fn a_contraction_may_add_to_what_is_there() {
    let mut plan = plan(0);
    let (i, j, k) = (axis(&mut plan, "i", 2), axis(&mut plan, "j", 3), axis(&mut plan, "k", 2));
    let a = buffer(&mut plan, 6, Place::Input(0));
    let b = buffer(&mut plan, 6, Place::Input(1));
    let out = buffer(&mut plan, 4, Place::Output(0));
    // The second operand is read transposed, the result is written transposed.
    for accumulate in [false, true] {
        let (a, b) = (view(a, &[(i, 3), (j, 1)]), view(b, &[(k, 3), (j, 1)]));
        plan.steps.push(contract(a, b, view(out, &[(k, 2), (i, 1)]), accumulate));
    }
    assert_eq!(run_ints(&plan, &[&[1, 2, 3, 4, 5, 6], &[1, 0, 1, 0, 1, 1]]), [8, 20, 10, 22]);
}

#[test]
fn a_nest_computes_reductions_first() {
    // out[i] = x[i] * max[j](x[j] - sum[k](x[k]))
    let mut plan = plan(0);
    let (i, j, k) = (axis(&mut plan, "i", 3), axis(&mut plan, "j", 3), axis(&mut plan, "k", 3));
    let x = buffer(&mut plan, 3, Place::Input(0));
    let out = buffer(&mut plan, 3, Place::Output(0));
    let centred = Expr::Sum(vec![at(0, &[j]), Expr::Unary(Unary::Neg, Box::new(reduced(0)))]);
    plan.steps.push(Step::Nest(Nest {
        axes: vec![i],
        operands: vec![operand(x, &[(3, 1)])],
        reductions: vec![
            Reduction { op: ReduceOp::Sum, axes: vec![k], body: at(0, &[k]) },
            Reduction { op: ReduceOp::Max, axes: vec![j], body: centred },
        ],
        value: Expr::Product(vec![at(0, &[i]), reduced(1)]),
        out: view(out, &[(i, 1)]),
        wanted: None,
        place: Span::default(),
    }));
    assert_eq!(run_ints(&plan, &[&[1, 5, 2]]), [-3, -15, -6]);
}

#[test]
fn a_map_along_axes_keeps_its_rows() {
    let mut plan = plan(0);
    let (i, t) = (axis(&mut plan, "i", 2), axis(&mut plan, "t", 3));
    let x = buffer(&mut plan, 6, Place::Input(0));
    let out = buffer(&mut plan, 6, Place::Output(0));
    plan.steps.push(Step::Along(AlongStep {
        op: AlongOp::CumSum,
        rows: vec![i],
        axes: vec![t],
        out_axes: vec![t],
        operands: vec![operand(x, &[(2, 3), (3, 1)])],
        body: at(0, &[i, t]),
        out: view(out, &[(t, 2), (i, 1)]),
        dtype: DType::I64,
        place: Span::default(),
    }));
    assert_eq!(run_ints(&plan, &[&[1, 2, 3, 10, 20, 30]]), [1, 10, 3, 30, 6, 60]);
}

#[test]
fn a_scatter_adds_and_names_what_is_outside() {
    let mut plan = plan(0);
    let (n, z) = (axis(&mut plan, "n", 3), axis(&mut plan, "z", 2));
    let place = buffer(&mut plan, 3, Place::Input(0));
    let out = buffer(&mut plan, 2, Place::Output(0));
    plan.steps.push(nest(&[z], Vec::new(), Expr::int(100), view(out, &[(z, 1)])));
    plan.steps.push(Step::Scatter(ScatterStep {
        axes: vec![n],
        operands: vec![operand(place, &[(3, 1)])],
        indices: vec![at(0, &[n])],
        outside: Outside::Checked,
        value: Expr::Index(n),
        out: operand(out, &[(2, 1)]),
        place: Span::default(),
    }));
    assert_eq!(run_ints(&plan, &[&[1, 1, 1]]), [100, 103]);
    let bad = Tensor::from_slice(&[3], &[0i64, 7, 0]).unwrap();
    let fault = run_plan(&plan, &[&bad]).unwrap_err();
    assert_eq!(
        (fault.tensor.as_str(), fault.checked, fault.extent, fault.value),
        ("B1", Checked::Index(0), 2, 7)
    );
}

#[test]
fn a_scan_runs_its_steps_in_order() {
    // h[t,i] = h[t-1,i] + h[t-1,0] + 1 from 1
    let mut plan = plan(0);
    let (t, i) = (axis(&mut plan, "t", 4), axis(&mut plan, "i", 2));
    let h = buffer(&mut plan, 8, Place::Output(0));
    let before = |index: P| {
        let back = Expr::Sum(vec![Expr::Index(t), Expr::int(-1)]);
        load(0, vec![back, index], Outside::Else(Box::new(Expr::int(1))))
    };
    let value = Expr::Sum(vec![before(Expr::Index(i)), before(Expr::int(0)), Expr::int(1)]);
    let body = vec![nest(&[i], vec![operand(h, &[(4, 2), (2, 1)])], value, view(h, &[(t, 2), (i, 1)]))];
    plan.steps.push(Step::Scan(ScanStep {
        axis: t,
        reversed: false,
        apart: false,
        shared: None,
        body,
        place: Span::default(),
    }));
    assert_eq!(run_ints(&plan, &[]), [3, 3, 7, 7, 15, 15, 31, 31]);
}

/// A plan with an input, an arena of two overlapping buffers and an output of 8 elements each.
fn overlapping() -> (Plan, AxisId, [BufferId; 4]) {
    let mut plan = plan(128);
    let i = axis(&mut plan, "i", 8);
    let places = [Place::Input(0), Place::Arena(0), Place::Arena(0), Place::Output(0)];
    let buffers = places.map(|place| buffer(&mut plan, 8, place));
    (plan, i, buffers)
}

fn copy(i: AxisId, from: BufferId, to: BufferId) -> Step {
    nest(&[i], vec![operand(from, &[(8, 1)])], at(0, &[i]), view(to, &[(i, 1)]))
}

const EIGHT: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

#[test]
fn memory_may_be_used_again() {
    let (mut plan, i, [x, first, second, out]) = overlapping();
    plan.steps = vec![copy(i, x, first), copy(i, x, second), copy(i, second, out)];
    assert_eq!(run_ints(&plan, &[&EIGHT]), EIGHT);
}

#[test]
#[should_panic(expected = "bug: element 0 of b1 is read and holds nothing")]
fn a_read_of_memory_that_was_used_again_panics() {
    let (mut plan, i, [x, first, second, out]) = overlapping();
    plan.steps = vec![copy(i, x, first), copy(i, x, second), copy(i, first, out)];
    run_ints(&plan, &[&EIGHT]);
}

#[test]
#[should_panic(expected = "bug: element 8 of b3 is written, it has 8")]
fn a_write_outside_the_buffer_panics() {
    let (mut plan, i, [x, .., out]) = overlapping();
    plan.steps = vec![copy(i, x, out)];
    let Step::Nest(nest) = &mut plan.steps[0] else { unreachable!() };
    nest.out.offset = 1;
    run_ints(&plan, &[&EIGHT]);
}

#[test]
#[should_panic(expected = "bug: element 8 of b0 is read, it has 8")]
fn a_read_outside_the_buffer_panics() {
    let (mut plan, i, [x, .., out]) = overlapping();
    plan.steps = vec![copy(i, x, out)];
    let Step::Nest(nest) = &mut plan.steps[0] else { unreachable!() };
    nest.operands[0].offset = 1;
    run_ints(&plan, &[&EIGHT]);
}

#[test]
#[should_panic(expected = "bug: element 0 of b3 is written twice")]
fn two_writes_of_one_element_panic() {
    let (mut plan, i, [x, .., out]) = overlapping();
    plan.steps = vec![copy(i, x, out)];
    let Step::Nest(nest) = &mut plan.steps[0] else { unreachable!() };
    nest.out.strides.clear();
    run_ints(&plan, &[&EIGHT]);
}

#[test]
#[should_panic(expected = "bug: element 1 of b3 is read at another point than it is written")]
fn a_nest_that_depends_on_its_order_panics() {
    let (mut plan, i, [x, .., out]) = overlapping();
    let next = Expr::Sum(vec![Expr::Index(i), Expr::int(1)]);
    let value = load(0, vec![next], Outside::Clamp);
    let shift = nest(&[i], vec![operand(out, &[(8, 1)])], value, view(out, &[(i, 1)]));
    plan.steps = vec![copy(i, x, out), shift];
    run_ints(&plan, &[&EIGHT]);
}

#[test]
#[should_panic(expected = "bug: an element of the output b3 `B3` is not written")]
fn an_output_must_be_written() {
    let (mut plan, i, [x, first, ..]) = overlapping();
    plan.steps = vec![copy(i, x, first)];
    run_ints(&plan, &[&EIGHT]);
}

#[test]
#[should_panic(expected = "bug: b0 is written, but it is an input or a constant")]
fn an_input_must_not_be_written() {
    let (mut plan, i, [x, _, _, out]) = overlapping();
    plan.steps = vec![copy(i, x, out), copy(i, out, x)];
    run_ints(&plan, &[&EIGHT]);
}
