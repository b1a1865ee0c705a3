use super::judge::check;
use super::*;
use std::fmt::Write;

const SLOTS: usize = 16384;

/// A program of the table of goals: equation, extents, EinHops's levels, the goals of rotations with row-major and with
/// free layouts.
struct Row(&'static str, &'static [(&'static str, usize)], usize, usize, usize);

const ROWS: &[Row] = &[
    Row("ij->ji", &[("i", 128), ("j", 128)], 2, 16, 0),
    Row("ij->", &[("i", 128), ("j", 128)], 1, 14, 14),
    Row("ij->j", &[("i", 128), ("j", 128)], 1, 7, 7),
    Row("ij->i", &[("i", 128), ("j", 128)], 2, 17, 7),
    Row("ik,k->i", &[("i", 128), ("k", 128)], 3, 24, 7),
    Row("ik,kj->ij", &[("i", 16), ("k", 32), ("j", 32)], 3, 24, 5),
    Row("i,i->", &[("i", 16384)], 2, 14, 14),
    Row("ij,ij->", &[("i", 128), ("j", 128)], 2, 14, 14),
    Row("ij,ij->ij", &[("i", 128), ("j", 128)], 2, 0, 0),
    Row("i,j->ij", &[("i", 128), ("j", 128)], 3, 24, 0),
    Row("ijk,ikl->ijl", &[("i", 16), ("j", 8), ("k", 8), ("l", 8)], 3, 14, 3),
    Row("ij,ij,ij->ij", &[("i", 128), ("j", 128)], 3, 0, 0),
    Row("ij,jk,kl->il", &[("i", 16), ("j", 8), ("k", 8), ("l", 16)], 4, 40, 6),
    Row("ik,jkl,il->ij", &[("i", 8), ("k", 16), ("j", 8), ("l", 16)], 4, 45, 8),
    Row(
        "pqrs,tuqvr->pstuv",
        &[("p", 2), ("q", 4), ("r", 8), ("s", 8), ("t", 1), ("u", 4), ("v", 2)],
        3,
        27,
        5,
    ),
    Row("bthd,bThd->bhtT", &[("b", 2), ("t", 5), ("h", 8), ("d", 16), ("T", 5)], 3, 30, 4),
    Row("bhtT,bThd->bthd", &[("b", 2), ("t", 5), ("h", 8), ("d", 16), ("T", 5)], 3, 30, 3),
    Row("ijk,jr,kr->ir", &[("i", 16), ("j", 16), ("k", 16), ("r", 4)], 4, 45, 8),
    Row("ik,jk->ij", &[("i", 32), ("j", 32), ("k", 16)], 3, 40, 4),
    Row("ir,jr,kr->ijk", &[("i", 16), ("j", 16), ("k", 16), ("r", 4)], 4, 45, 2),
    Row("ir,rj,j->i", &[("i", 64), ("r", 4), ("j", 64)], 4, 45, 8),
    Row("ik,kj->ij", &[("i", 8), ("k", 256), ("j", 8)], 3, 40, 8),
];

/// Rows of the table, each kernel judged slot by slot.
fn table(rows: &[Row]) -> String {
    let mut table =
        String::from("program | layouts | goal | levels | rotations hoisted keys | ct-ct relin ct-pt\n");
    for Row(equation, extents, levels, given, free) in rows {
        let contraction = Contraction::parse(equation, extents).unwrap();
        let requests = [
            ("row-major", given, Request::row_major(contraction.clone(), SLOTS, levels + 1)),
            ("free", free, Request::free(contraction, SLOTS, *levels)),
        ];
        for (layouts, goal, request) in requests {
            for kernel in kernels(&request) {
                check(&request, &kernel);
                let c = kernel.counts;
                let costs = format!(
                    "{} {} {} | {} {} {}",
                    c.rotations, c.hoisted, c.keys, c.mul, c.relinearizations, c.mul_plain
                );
                writeln!(table, "{equation} | {layouts} | {goal} | {} of {levels} | {costs}", c.levels)
                    .unwrap();
            }
        }
    }
    table
}

#[test]
fn programs_1_to_12() {
    insta::assert_snapshot!(table(&ROWS[..12]));
}

#[test]
fn programs_13_to_17() {
    insta::assert_snapshot!(table(&ROWS[12..17]));
}

#[test]
fn programs_18_to_22() {
    insta::assert_snapshot!(table(&ROWS[17..]));
}

/// The fewest rotations of a kernel with so many input ciphertexts at most, each found one judged.
fn fewest(request: &Request, inputs: usize) -> Counts {
    let found = kernels(request);
    found.iter().for_each(|kernel| check(request, kernel));
    let found = found.iter().filter(|kernel| kernel.inputs() <= inputs);
    found.map(|kernel| kernel.counts).min_by_key(|counts| counts.rotations + counts.relinearizations).unwrap()
}

fn matmul(m: usize, k: usize, n: usize, levels: usize) -> Request {
    let contraction = Contraction::parse("ik,kj->ij", &[("i", m), ("k", k), ("j", n)]).unwrap();
    Request { output: Placement::Loose, ..Request::free(contraction, SLOTS, levels) }
}

#[test]
fn small_products_of_any_extents_need_one_product() {
    // Key switches of HEIR: 24 + 5, 36 + 10, 42 + 7.
    let counts = fewest(&matmul(16, 17, 19, 1), 2);
    assert_eq!((counts.mul, counts.rotations + counts.relinearizations), (1, 6));
    let counts = fewest(&matmul(25, 27, 22, 1), 2);
    assert_eq!((counts.mul, counts.rotations + counts.relinearizations), (1, 7));
    let counts = fewest(&matmul(17, 32, 33, 1), 4);
    assert_eq!((counts.mul, counts.rotations + counts.relinearizations), (2, 5));
}

#[test]
fn matrices_of_64_take_25_rotations_and_16_products() {
    let counts = fewest(&matmul(64, 64, 64, 3), 2);
    assert_eq!((counts.mul, counts.rotations, counts.relinearizations, counts.levels), (16, 25, 4, 3));
}

#[test]
fn matrices_of_128_take_79_rotations() {
    let counts = fewest(&matmul(128, 128, 128, 3), 2);
    assert_eq!((counts.mul, counts.rotations), (128, 79));
}

#[test]
fn a_clear_matrix_by_a_vector() {
    for (rows, columns, most) in [(128, 128, 7), (512, 784, 15), (784, 100, 8)] {
        let mut contraction = Contraction::parse("ik,k->i", &[("i", rows), ("k", columns)]).unwrap();
        contraction.operands[0].clear = true;
        let clean = Request::free(contraction, SLOTS, 1);
        let loose = Request { output: Placement::Loose, ..clean.clone() };
        let counts = fewest(&loose, 1);
        assert_eq!((counts.rotations, counts.mul), (most, 0), "{rows} by {columns}");
        if rows == 784 {
            // A clean output in one level has no part of the vector at work but one.
            let counts = fewest(&clean, 1);
            assert_eq!((counts.levels, counts.mul_plain), (1, 128));
        }
    }
}

#[test]
fn a_batch_of_products() {
    let extents = [("b", 16), ("i", 7), ("k", 9), ("j", 11)];
    let contraction = Contraction::parse("bik,bkj->bij", &extents).unwrap();
    let request = Request { output: Placement::Loose, ..Request::free(contraction, SLOTS, 1) };
    assert_eq!(fewest(&request, 2).rotations, 4);
    let extents = [("b", 2), ("i", 32), ("k", 32), ("j", 32)];
    let contraction = Contraction::parse("bik,bkj->bij", &extents).unwrap();
    let counts = fewest(&Request::free(contraction, SLOTS, 4), 2);
    assert_eq!((counts.mul, counts.rotations + counts.relinearizations), (4, 12));
}

#[test]
fn matrices_row_by_row_take_fewer_rotations_than_the_right_factor_has_rows() {
    // HEIR, with free layouts: 79 for 63x64x65. Spread over 16 and 128 ciphertexts: 85 and 397.
    type Kernels = fn(&Request) -> Vec<Kernel>;
    let (skewed, stepped): (Kernels, Kernels) = (skewed::kernels, stepped::kernels);
    for (kernels, extent, rotations, levels) in [
        (skewed, 64, 47, 4),
        (skewed, 64, 42, 6),
        (skewed, 128, 105, 5),
        (skewed, 128, 100, 7),
        (stepped, 64, 40, 5),
        (stepped, 64, 39, 6),
    ] {
        let contraction =
            Contraction::parse("ik,kj->ij", &[("i", extent), ("k", extent), ("j", extent)]).unwrap();
        let request = Request::row_major(contraction, SLOTS, levels);
        let found = kernels(&request);
        let kernel = found.iter().filter(|kernel| kernel.counts.levels <= levels);
        let kernel = kernel.min_by_key(|kernel| kernel.counts.rotations).unwrap();
        check(&request, kernel);
        assert_eq!(
            (kernel.counts.rotations, kernel.counts.mul),
            (rotations, extent * extent * extent / SLOTS)
        );
    }
}

/// Digits of one, two and more periods, one and several blocks of rows, batches, and every order of axes.
#[test]
fn skewed_and_stepped_factors_of_any_extents_are_right() {
    let (mut judged, mut stepped) = (0, 0);
    for (i, k, j, b) in
        [(4, 8, 4, 1), (8, 8, 8, 1), (3, 13, 8, 1), (16, 7, 4, 1), (4, 16, 8, 2), (5, 6, 9, 1)]
    {
        for equation in ["ik,kj->ij", "ki,jk->ji", "bik,bkj->bij", "bki,jbk->ibj"] {
            for slots in [16, 64, 256] {
                if equation.contains('b') == (b == 1) {
                    continue;
                }
                let extents = [("i", i), ("k", k), ("j", j), ("b", b)];
                let request = Request::row_major(Contraction::parse(equation, &extents).unwrap(), slots, 20);
                let outputs = [request.output.clone(), Placement::Loose, Placement::Free];
                for (number, output) in
                    (0..4).flat_map(|number| outputs.iter().map(move |output| (number, output)))
                {
                    let mut request = Request { output: output.clone(), ..request.clone() };
                    for operand in (0..2).filter(|operand| number >> operand & 1 == 1) {
                        request.operands[operand] = Placement::Free;
                    }
                    for kernel in skewed::kernels(&request) {
                        check(&request, &kernel);
                        judged += 1;
                    }
                    for kernel in stepped::kernels(&request) {
                        check(&request, &kernel);
                        stepped += 1;
                    }
                }
            }
        }
    }
    assert!(judged > 300, "{judged}");
    assert!(stepped > 50, "{stepped}");
}
