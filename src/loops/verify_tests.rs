//! Loops that break a law each, and what the verifier says of them.

use super::*;
use einc_runtime::gemm::Axis;

/// `b0` and `b1` hold 10 elements of `f64` and `i64`; `i0`, `i1` are loop variables.
fn loops(values: &[Type], steps: Vec<Vec<Stmt>>) -> Loops {
    let mut loops = Loops {
        name: "broken".to_string(),
        buffers: IdVec::new(),
        arena: 0,
        scratch: 0,
        vars: IdVec::new(),
        values: IdVec::new(),
        sites: IdVec::new(),
        gemms: IdVec::new(),
        permutes: IdVec::new(),
        fouriers: IdVec::new(),
        steps,
    };
    for (number, dtype) in [DType::F64, DType::I64].into_iter().enumerate() {
        let (name, place) = (format!("t{number}"), Place::Output(number));
        loops.buffers.push(Buffer { name, dtype, elems: 10, place });
    }
    for name in ["i", "j"] {
        loops.vars.push(name.to_string());
    }
    for &ty in values {
        loops.values.push(ty);
    }
    loops
}

const F: Type = Type { dtype: DType::F64, lanes: 1 };
const F2: Type = Type { dtype: DType::F64, lanes: 2 };
const I: Type = Type { dtype: DType::I64, lanes: 1 };
const B: Type = Type { dtype: DType::Bool, lanes: 1 };

fn v(number: u32) -> ValueId {
    ValueId(number)
}

fn at(buffer: u32, offset: i64, terms: &[(u32, i64)]) -> Address {
    let terms = terms.iter().map(|&(var, by)| (VarId(var), by)).collect();
    Address { buffer: BufferId(buffer), offset, terms, dynamic: None }
}

fn real(number: u32) -> Stmt {
    Stmt::Let(v(number), Op::Const(Number::Real(1.0)))
}

fn int(number: u32) -> Stmt {
    Stmt::Let(v(number), Op::Const(Number::Int(1)))
}

fn each(var: u32, end: i64, step: i64, parallel: bool, body: Vec<Stmt>) -> Stmt {
    Stmt::For(Box::new(For {
        var: VarId(var),
        start: 0,
        end,
        from: None,
        to: None,
        step,
        parallel,
        shared: None,
        body,
    }))
}

fn sort(len: u64) -> Stmt {
    let (row, positions) = (at(0, 0, &[]), at(1, 0, &[]));
    Stmt::Sort(Box::new(Sort { dtype: DType::F64, row, len, descending: false, take: len, positions }))
}

fn map(from: u32, to: u32) -> Stmt {
    let [from, to] = [from, to].map(|buffer| at(buffer, 0, &[]));
    Stmt::Map(Box::new(Map { function: Mapped::Unary(Unary::Exp), dtype: DType::F64, from, to, len: 4 }))
}

#[test]
fn matrix_products_and_copies_are_of_their_memorys_dtype() {
    let axis = Axis { extent: 3, a: 3, b: 1, c: 1 };
    let gemm = |dtype| Gemm {
        dtype,
        batch: vec![axis],
        m: vec![],
        n: vec![],
        k: vec![],
        accumulate: false,
        wanted: vec![],
        band: None,
    };
    let addresses = || [at(1, 0, &[]), at(1, 0, &[]), at(1, 5, &[])];
    let with = |dtype, memory| {
        let mut loops = loops(&[], vec![vec![Stmt::Gemm(GemmId(0), addresses(), None)]]);
        loops.buffers[BufferId(1)].dtype = memory;
        loops.gemms.push(gemm(dtype));
        verify(&loops)
    };
    assert_eq!(with(DType::I64, DType::I64), Ok(()));
    assert_eq!(with(DType::I64, DType::U64), Ok(()));
    assert_eq!(with(DType::F64, DType::I64), Err("b1 of i64 is accessed as f64".to_string()));
    assert_eq!(with(DType::I64, DType::F64), Err("b1 of f64 is accessed as i64".to_string()));
    let mut copied = loops(&[], vec![vec![Stmt::Permute(PermuteId(0), [at(1, 0, &[]), at(0, 0, &[])])]]);
    copied.permutes.push(Permute { dtype: DType::I64, axes: vec![CopyAxis { extent: 4, from: 1, to: 1 }] });
    assert_eq!(verify(&copied), Err("b0 of f64 is accessed as i64".to_string()));
}

#[test]
fn lawful_loops_pass() {
    let body = vec![
        Stmt::Let(v(0), Op::Load(DType::F64, at(0, 0, &[(0, 2)]))),
        Stmt::Let(v(0), Op::Binary(Arith::Add, v(0), v(0))),
        Stmt::Store(at(0, 0, &[(0, 2)]), v(0)),
    ];
    let steps = vec![vec![each(0, 10, 2, true, Vec::new())], vec![each(0, 4, 1, true, body), sort(10)]];
    assert_eq!(verify(&loops(&[F2], steps)), Ok(()));
    // What never runs reaches nothing.
    let never = vec![vec![each(0, 0, 1, false, vec![Stmt::Store(at(0, 99, &[]), v(0))])]];
    assert_eq!(verify(&loops(&[F], never)), Ok(()));
}

#[test]
fn every_law_is_watched() {
    let first = |stmt: Stmt| vec![stmt];
    let store = |buffer, offset, terms: &[(u32, i64)]| Stmt::Store(at(buffer, offset, terms), v(0));
    let cases: Vec<(&[Type], Vec<Stmt>, &str)> = vec![
        (&[F], first(store(0, 0, &[])), "v0 is used before it is assigned"),
        (&[F, F], vec![each(0, 3, 1, false, first(real(0))), store(0, 0, &[])], "v0 is used before"),
        (&[F], vec![real(0), each(0, 3, 1, true, first(store(0, 0, &[(0, 1)])))], "v0 is used before"),
        (
            &[F, B],
            vec![int(1), Stmt::If(v(1), first(real(0)), Vec::new()), store(0, 0, &[])],
            "v0 is used before",
        ),
        (&[F], vec![real(0), Stmt::If(v(0), Vec::new(), Vec::new())], "is a condition and has type f64"),
        (&[F], vec![real(0), store(0, 10, &[])], "reaches 10..11 of 10"),
        (&[F], vec![real(0), store(0, -1, &[])], "reaches -1..0 of 10"),
        (&[F2], vec![real(0), store(0, 9, &[])], "reaches 9..11 of 10"),
        (&[F], vec![real(0), each(0, 6, 1, false, first(store(0, 0, &[(0, 2)])))], "reaches 0..11 of 10"),
        (&[F], vec![real(0), each(0, 4, 1, false, first(store(0, 2, &[(0, -1)])))], "reaches -1..3 of 10"),
        (&[F], vec![real(0), store(0, 0, &[(1, 1)])], "is used outside its loop"),
        (&[Type { dtype: DType::F32, lanes: 1 }], vec![real(0), store(1, 0, &[])], "i64 is accessed as f32"),
        (&[F], vec![real(0), each(0, 4, 0, false, Vec::new())], "does not step forward"),
        (&[F], first(int(0)), "v0: f64 is"),
        (&[I], first(real(0)), "v0: i64 is"),
        (&[Type { dtype: DType::C128, lanes: 1 }], first(real(0)), "v0 has type c128"),
        (&[Type { dtype: DType::F64, lanes: 3 }], first(real(0)), "v0 has type f64x3"),
        (&[F, F2], vec![real(0), Stmt::Let(v(1), Op::Copy(v(0)))], "v1: f64x2 is made of v0: f64"),
        (
            &[F, I],
            vec![real(0), int(1), Stmt::Let(v(0), Op::Binary(Arith::Mul, v(0), v(1)))],
            "is made of v1: i64",
        ),
        (&[F, F2], vec![real(1), Stmt::Let(v(1), Op::Splat(v(1)))], "v1: v1 has type f64x2, not f64"),
        (&[F, F2], vec![real(0), Stmt::Let(v(1), Op::Pack(vec![v(0)]))], "is packed of 1 values"),
        (&[F, F2], vec![real(1), Stmt::Let(v(0), Op::Lane(v(1), 2))], "is lane 2 of f64x2"),
        (
            &[F, F],
            vec![real(0), Stmt::Let(v(1), Op::Binary(Arith::Lang(Binary::Lt), v(0), v(0)))],
            "v1: f64 compares f64",
        ),
        (
            &[F, I],
            vec![real(0), int(1), Stmt::Let(v(0), Op::Select(v(1), v(0), v(0)))],
            "v0: v1 has type i64, not bool",
        ),
        (&[F, F2], vec![real(0), Stmt::Let(v(1), Op::Cast(v(0)))], "v1: f64x2 is cast from f64"),
        (&[F], vec![real(0), Stmt::Let(v(0), Op::Fma(v(0), v(0), v(1)))], "v1 is used before it is assigned"),
        (&[F], first(Stmt::Let(v(0), Op::Affine(3, Vec::new()))), "v0: f64 is an index"),
        (
            &[F],
            vec![real(0), Stmt::Let(v(0), Op::Complex(ComplexOp::Unary(Unary::Exp), Part::Re, vec![v(0)]))],
            "a complex function of 1 values",
        ),
        (&[F], vec![real(0), Stmt::Check(v(0), 3, SiteId(0))], "v0 is an index and has type f64"),
        (
            &[F],
            vec![real(0), Stmt::Store(Address { dynamic: Some(v(0)), ..at(0, 0, &[]) }, v(0))],
            "v0 is an address and has type f64",
        ),
        (&[F], first(sort(11)), "reaches 0..=10"),
        // Dtypes of one width are told apart.
        (&[I], vec![int(0), store(0, 0, &[])], "b0 of f64 is accessed as i64"),
        (&[I], first(Stmt::Let(v(0), Op::Load(DType::I64, at(0, 0, &[])))), "b0 of f64 is accessed as i64"),
        (
            &[I, I],
            vec![
                int(0),
                Stmt::Let(v(1), Op::Load(DType::U64, Address { dynamic: Some(v(0)), ..at(1, 0, &[]) })),
            ],
            "b1 of i64 is accessed as u64",
        ),
        (
            &[],
            first(Stmt::Sort(Box::new(Sort {
                dtype: DType::U64,
                row: at(1, 0, &[]),
                len: 1,
                descending: false,
                take: 1,
                positions: at(1, 1, &[]),
            }))),
            "b1 of i64 is accessed as u64",
        ),
        (
            &[F],
            first(Stmt::Fold(
                v(0),
                Box::new(Fold { op: ReduceOp::Sum, dtype: DType::F64, from: at(1, 0, &[]), len: 4 }),
            )),
            "b1 of i64 is accessed as f64",
        ),
        (&[], first(map(1, 0)), "b1 of i64 is accessed as f64"),
        (&[], first(map(0, 1)), "b1 of i64 is accessed as f64"),
    ];
    for (values, step, law) in cases {
        let broken = loops(values, vec![step]);
        let found = verify(&broken).expect_err(law);
        assert!(found.contains(law), "{found:?}, not {law:?}");
    }
    // A value does not outlive its step.
    let two = loops(&[F], vec![vec![real(0)], vec![Stmt::Store(at(0, 0, &[]), v(0))]]);
    assert_eq!(verify(&two), Err("v0 is used before it is assigned".to_string()));
}
