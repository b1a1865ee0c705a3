//! Wrong arrays for programs of the papers: what is said, that nothing is written, and that odd but right arrays run.
//!
//! A case changes the arrays that fit: `X f64 2,3` gives `X` another dtype or shape, `= 9` its value, `-X` leaves it out.
//! Each message is read in `bad_input/NAME.snap`.

use einc_runtime::{DType, Scalar, Tensor, npz};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};

/// A program and arrays that fit it.
struct Good {
    program: &'static str,
    arrays: &'static [&'static str],
    /// What goes wrong: the kind of fault, and what is changed.
    bad: &'static [(&'static str, &'static [&'static str])],
    /// What is odd, and runs.
    odd: &'static [(&'static str, &'static [&'static str])],
}

/// `NAME DTYPE EXTENTS [= VALUE]`; a rank-0 array has no extents.
fn array(text: &str) -> (String, Tensor) {
    let (head, value) = text.split_once(" = ").unwrap_or((text, "0.5"));
    let mut words = head.split(' ');
    let name = words.next().expect("a name").to_string();
    let dtype = DType::from_name(words.next().expect("a dtype")).expect("a dtype");
    let shape: Vec<u64> = words
        .next()
        .map_or(Vec::new(), |list| list.split(',').map(|n| n.parse().expect("an extent")).collect());
    let mut tensor = Tensor::zeros(dtype, &shape).expect("small");
    for at in 0..tensor.elems() {
        let real: f64 = value.parse().expect("a number");
        tensor.set(at, if dtype.is_integer() { Scalar::Int(real as i128) } else { Scalar::Real(real) });
    }
    (name, tensor)
}

/// Runs a program on arrays; gives the exit code, what it said, and whether it wrote anything.
fn run(program: &str, arrays: &BTreeMap<String, Tensor>, name: &str) -> (i32, String, bool) {
    let folder = std::env::temp_dir().join(format!("einc-bad-input-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let (given, written) = (folder.join("in.npz"), folder.join("out.npz"));
    let list: Vec<(&str, &Tensor)> = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    npz::write(&given, &list).expect("an archive in a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_einc"))
        .args(["run", &format!("examples/papers/{program}"), "--inputs"])
        .arg(&given)
        .arg("-o")
        .arg(&written)
        .stdin(Stdio::null())
        .output()
        .expect("the einc command");
    let names: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    let more = names.iter().any(|path| *path != given);
    // A leftover in the temporary folder harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output.stderr).replace(&given.display().to_string(), "in.npz");
    (output.status.code().unwrap_or(-1), said, more)
}

fn changed(good: &Good, changes: &[&str]) -> BTreeMap<String, Tensor> {
    let mut arrays: BTreeMap<String, Tensor> = good.arrays.iter().map(|text| array(text)).collect();
    for change in changes {
        match change.strip_prefix('-') {
            Some(name) => {
                arrays.remove(name);
            }
            None => arrays.extend([array(change)]),
        }
    }
    arrays
}

fn check(good: &Good) {
    let name = good.program.replace("::", "-").replace(".ein", "");
    let (code, said, written) = run(good.program, &changed(good, &[]), &name);
    assert!(code == 0 && written, "{}: {said}", good.program);
    for (kind, changes) in good.odd {
        let (code, said, written) = run(good.program, &changed(good, changes), &name);
        assert!(code == 0 && written, "{} with {kind}: {said}", good.program);
    }
    let mut text = String::new();
    for (kind, changes) in good.bad {
        let (code, said, written) = run(good.program, &changed(good, changes), &name);
        // An archive may serve several programs: what one does not take is a warning.
        let warned = *kind == "superfluous array";
        let refused = code != 0 && code != 101;
        assert!(refused != warned, "{} with {kind}: exit code {code}\n{said}", good.program);
        assert!(written == warned, "{} with {kind} wrote something", good.program);
        assert!(said.contains("EIN"), "{} with {kind} has no code:\n{said}", good.program);
        let _ = write!(text, "## {kind}: {}\nexit code {code}\n{said}\n", changes.join("; "));
    }
    crate::assert_snapshot_in!("bad_input", name, text);
}

#[test]
fn convolutions() {
    check(&Good {
        program: "03-flora.ein::forward_conv",
        arrays: &[
            "X f64 2,3,5,6",
            "K0 f64 4,3,3,3",
            "G f64 2,2,1,1",
            "U_in f64 3,2",
            "U_out f64 4,2",
            "U_h f64 3,1",
            "U_w f64 3,1",
            "s f64",
        ],
        bad: &[
            ("wrong rank", &["X f64 3,5,6"]),
            ("wrong extent", &["U_in f64 5,2"]),
            ("missing array", &["-U_out"]),
            ("superfluous array", &["Q f64 2"]),
            ("dtype that does not fit", &["G i64 2,2,1,1"]),
        ],
        odd: &[("an empty batch", &["X f64 0,3,5,6"]), ("NaN", &["X f64 2,3,5,6 = NaN"])],
    });
}

#[test]
fn gathers() {
    check(&Good {
        program: "05-funbat.ein::predict",
        arrays: &["W f64 2,3,2", "M1 f64 4,2", "M2 f64 5,3", "M3 f64 6,2", "idx i64 7,3 = 1"],
        bad: &[
            ("index out of range", &["idx i64 7,3 = 4"]),
            ("negative index", &["idx i64 7,3 = -1"]),
            ("wrong extent", &["idx i64 7,4 = 1"]),
            ("dtype that does not fit", &["idx f64 7,3 = 1"]),
            ("wrong rank", &["W f64 2,3"]),
            ("missing array", &["-M2"]),
        ],
        odd: &[("an empty batch", &["idx i64 0,3"]), ("narrow integers", &["idx u8 7,3 = 1"])],
    });
}

#[test]
fn scatters() {
    check(&Good {
        program: "18-dain.ein::entity",
        arrays: &[
            "imp f64 6",
            "idx0 i64 6 = 1",
            "idx1 i64 6 = 2",
            "idx2 i64 6 = 0",
            "I0 i64 = 2",
            "I1 i64 = 3",
            "I2 i64 = 1",
        ],
        bad: &[
            ("index out of range", &["idx1 i64 6 = 3"]),
            ("wrong extent", &["idx2 i64 5 = 0"]),
            ("missing dim", &["-I1"]),
            ("negative dim", &["I1 i64 = -3"]),
            ("dtype that does not fit", &["imp i32 6"]),
            ("wrong rank", &["imp f64 6,1"]),
        ],
        odd: &[("NaN", &["imp f64 6 = NaN"])],
    });
}

#[test]
fn quantised_weights() {
    check(&Good {
        program: "12-lord.ein::linear_q4",
        arrays: &["X f32 2,8", "qA i8 4,8 = 9", "sA f32 4,2", "qB i8 3,4 = 7", "sB f32 3,2", "bias f32 3"],
        bad: &[
            ("dtype that does not fit", &["qA f32 4,8"]),
            ("two precisions", &["X f64 2,8"]),
            ("groups that do not divide", &["sA f32 4,3"]),
            ("wrong extent", &["qB i8 3,5 = 7"]),
            ("missing array", &["-bias"]),
        ],
        odd: &[("an empty batch", &["X f32 0,8"])],
    });
}

#[test]
fn ragged_sums() {
    check(&Good {
        program: "23-flash-llm.ein::spmm_csr",
        arrays: &["ptr i64 4 = 0", "col i64 5 = 1", "val f64 5", "X f64 3,2"],
        bad: &[
            ("empty pointers", &["ptr i64 0"]),
            ("wrong extent", &["val f64 6"]),
            ("wrong rank", &["X f64 3"]),
            ("dtype that does not fit", &["ptr f64 4"]),
            ("superfluous array", &["bias f64 3"]),
            ("pointers past the entries", &["ptr i64 4 = 6"]),
            ("negative pointers", &["ptr i64 4 = -1"]),
        ],
        odd: &[
            ("pointers at the end of the entries", &["ptr i64 4 = 5"]),
            ("a column out of range that no row owns", &["col i64 5 = 7"]),
            ("no columns of X", &["X f64 3,0"]),
        ],
    });
}

#[test]
fn scans() {
    check(&Good {
        program: "27-karma.ein::selective_scan",
        arrays: &["u f64 2,4,3", "delta f64 2,4,3", "A f64 3,2", "B f64 2,4,2", "C f64 2,4,2", "D f64 3"],
        bad: &[
            ("wrong extent", &["delta f64 2,5,3"]),
            ("wrong rank", &["A f64 3"]),
            ("missing array", &["-D"]),
            ("two precisions", &["A f32 3,2"]),
        ],
        odd: &[
            ("no steps", &["u f64 2,0,3", "delta f64 2,0,3", "B f64 2,0,2", "C f64 2,0,2"]),
            ("an empty batch", &["u f64 0,4,3", "delta f64 0,4,3", "B f64 0,4,2", "C f64 0,4,2"]),
            ("NaN", &["u f64 2,4,3 = NaN"]),
        ],
    });
}

#[test]
fn polynomials_of_graphs() {
    check(&Good {
        program: "28-equivariant-polynomials.ein::k4_scalar",
        arrays: &["A f64 2,4,4"],
        bad: &[
            ("a matrix that is not square", &["A f64 2,4,5"]),
            ("wrong rank", &["A f64 4,4"]),
            ("missing array", &["-A"]),
            ("superfluous array", &["B f64 2"]),
            ("dtype that does not fit", &["A c128 2,4,4"]),
        ],
        odd: &[("an empty batch", &["A f64 0,4,4"]), ("NaN", &["A f64 2,4,4 = NaN"])],
    });
}

#[test]
fn prefixes() {
    check(&Good {
        program: "11-maestro.ein::forward_prefix",
        arrays: &["X f64 2,3", "V f64 3,4", "U f64 5,4", "bias f64 5", "keep i64 = 2"],
        bad: &[
            ("a dim that contradicts the arrays", &["keep i64 = 5"]),
            ("missing dim", &["-keep"]),
            ("dim that is no integer", &["keep f64 = 2"]),
            ("dim that is a vector", &["keep i64 1 = 2"]),
            ("wrong extent", &["U f64 5,3"]),
        ],
        odd: &[("nothing kept", &["keep i64 = 0"]), ("an empty batch", &["X f64 0,3"])],
    });
}

#[test]
fn groups() {
    check(&Good {
        program: "19-evonorm.ein::s0",
        arrays: &["x f64 2,6,3,3", "v f64 6", "gamma f64 6", "beta f64 6", "G i64 = 3"],
        bad: &[
            ("a dim that does not divide", &["G i64 = 4"]),
            ("a dim of zero", &["G i64 = 0"]),
            ("wrong extent", &["beta f64 5"]),
            ("wrong rank", &["x f64 2,6,9"]),
            ("missing array", &["-gamma"]),
        ],
        odd: &[("an empty batch", &["x f64 0,6,3,3"]), ("NaN", &["x f64 2,6,3,3 = NaN"])],
    });
}

#[test]
fn selections() {
    check(&Good {
        program: "25-anncur.ein::recall",
        arrays: &["S f64 2,7", "T f64 2,7", "K i64 = 3", "KR i64 = 4"],
        bad: &[
            ("a dim that contradicts the arrays", &["KR i64 = 8"]),
            ("wrong extent", &["T f64 2,6"]),
            ("wrong rank", &["S f64 7"]),
            ("missing dim", &["-K"]),
            ("dtype that does not fit", &["S c128 2,7"]),
        ],
        odd: &[("NaN", &["S f64 2,7 = NaN"]), ("an empty batch", &["S f64 0,7", "T f64 0,7"])],
    });
}
