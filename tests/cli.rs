//! The command line: what goes to stdout and stderr, which files appear, and the exit codes.

use einc_runtime::{Tensor, npy, npz, safetensors};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder that goes when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("einc-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str, text: &str) -> &Folder {
        std::fs::write(self.path(name), text).expect("a file in a temporary folder");
        self
    }

    pub fn array(&self, name: &str, tensor: &Tensor) -> &Folder {
        npy::write(&self.path(name), tensor).expect("a file in a temporary folder");
        self
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the temporary folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Runs `einc` in the folder; gives the exit code, stdout and stderr.
    pub fn einc(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(arguments)
            .current_dir(&self.0)
            .env("EINC_HOME", self.0.join("home"))
            .stdin(Stdio::null())
            .output()
            .expect("the einc command");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn matrix(rows: u64, columns: u64, values: &[f64]) -> Tensor {
    Tensor::from_slice(&[rows, columns], values).expect("as many values as the shape says")
}

fn a() -> Tensor {
    matrix(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
}

fn b() -> Tensor {
    matrix(3, 2, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
}

pub const MATMUL: &str =
    "dim M, K, N\ninput A: f64[M, K]\ninput B: f64[K, N]\noutput C: f64[M, N]\nC[i, k] = A[i, j] * B[j, k]\n";

const PRODUCT: &str = "[[ 4.  5.]\n [10. 11.]]\n";

#[test]
fn a_file_runs_on_arrays() {
    let folder = Folder::new("run");
    folder.text("m.ein", MATMUL).array("a.npy", &a()).array("b.npy", &b());
    let (code, out, error) = folder.einc(&["run", "m.ein", "A=a.npy", "B=b.npy"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, format!("C: f64[2, 2]\n{PRODUCT}").as_str(), ""));
    let (code, out, error) =
        folder.einc(&["run", "m.ein", "A=a.npy", "B=b.npy", "-o", "C=c.npy", "-o", "all.npz"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "", ""));
    let expected = matrix(2, 2, &[4.0, 5.0, 10.0, 11.0]);
    assert_eq!(npy::read(&folder.path("c.npy")), Ok(expected.clone()));
    assert_eq!(npz::read(&folder.path("all.npz"), 1 << 20), Ok(vec![("C".to_string(), expected)]));
    let same = ["run", "m.ein", "A=a.npy", "B=b.npy", "--compare", "all.npz"];
    assert_eq!(folder.einc(&same).0, 0);
    let other = ["run", "m.ein", "A=b.npy", "B=a.npy", "--compare", "all.npz"];
    let (code, _, error) = folder.einc(&other);
    assert_eq!(code, 5, "{error}");
    assert_eq!(folder.names(), ["a.npy", "all.npz", "b.npy", "c.npy", "m.ein"]);
}

#[test]
fn archives_bring_arrays_by_name_and_functions_are_entry_points() {
    let folder = Folder::new("archive");
    folder.text("f.ein", "fn scale(x: f32[N], k: f32) -> (y: f32[N]) { y[i] = k * x[i] }\n");
    let x = Tensor::from_slice(&[3], &[1f32, 2.0, 3.0]).unwrap();
    let k = Tensor::from_slice(&[], &[2f32]).unwrap();
    npz::write(&folder.path("in.npz"), &[("x", &x), ("k", &k)]).unwrap();
    safetensors::write(&folder.path("in.safetensors"), &[("x", &x), ("k", &k)]).unwrap();
    for archive in ["in.npz", "in.safetensors"] {
        let (code, out, error) = folder.einc(&["run", "f.ein::scale", "--inputs", archive]);
        assert_eq!((code, out.as_str(), error.as_str()), (0, "y: f32[3]\n[2. 4. 6.]\n", ""));
    }
    let (code, _, error) = folder.einc(&["run", "f.ein::scales", "--inputs", "in.npz"]);
    assert_eq!(code, 1);
    assert!(error.contains("EIN0224") && error.contains("scale"), "{error}");
}

#[test]
fn one_liners_run() {
    let folder = Folder::new("line");
    folder.array("a.npy", &a()).array("b.npy", &b());
    let (code, out, error) = folder.einc(&["run", "-e", "C[i,k] = A[i,j]*B[j,k]", "A=a.npy", "B=b.npy"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, format!("C: f64[2, 2]\n{PRODUCT}").as_str(), ""));
    let (code, out, error) = folder.einc(&["run", "--einsum", "ij,jk->ik", "a.npy", "b.npy"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, format!("out: f64[2, 2]\n{PRODUCT}").as_str(), ""));
    let (code, out, _) = folder.einc(&["run", "--einsum", "ij,jk->ik", "a.npy", "b.npy", "-o", "c.npy"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(npy::read(&folder.path("c.npy")), Ok(matrix(2, 2, &[4.0, 5.0, 10.0, 11.0])));
    let (code, _, error) = folder.einc(&["run", "--einsum", "ij,kj->ik", "a.npy", "b.npy"]);
    assert_eq!(code, 1);
    assert!(error.contains("`j`") && error.contains('3') && error.contains('2'), "{error}");
}

#[test]
fn wrong_arrays_are_told_with_name_and_sizes_and_nothing_is_written() {
    let folder = Folder::new("data");
    folder.text("m.ein", MATMUL).array("a.npy", &a()).array("b.npy", &b());
    folder.array("v.npy", &Tensor::from_slice(&[3], &[1.0f64; 3]).unwrap());
    folder.array("f.npy", &Tensor::from_slice(&[3, 2], &[1.0f32; 6]).unwrap());
    let before = folder.names();
    let cases: [(&[&str], &str, &[&str]); 7] = [
        (&["A=a.npy"], "EIN0701", &["`B"]),
        (&["A=a.npy", "B=v.npy"], "EIN0703", &["`B`", "1", "2"]),
        (&["A=a.npy", "B=a.npy"], "EIN0704", &["`B`", "3", "2"]),
        (&["A=a.npy", "B=f.npy"], "EIN0705", &["`B`", "f32", "f64"]),
        (&["A=a.npy", "B=b.npy", "D=b.npy"], "EIN0702", &["`D`", "`A`", "`B`"]),
        (&["A=a.npy", "B=no.npy"], "EIN0706", &["no.npy"]),
        (&["A=a.npy", "B=m.ein"], "", &[".npy"]),
    ];
    for (arrays, code, words) in cases {
        let mut arguments = vec!["run", "m.ein", "-o", "out.npz"];
        arguments.extend(arrays);
        let (exit, out, error) = folder.einc(&arguments);
        assert_eq!(exit, if code.is_empty() { 2 } else { 4 }, "{arrays:?}: {error}");
        assert!(error.contains(code) && out.is_empty(), "{arrays:?}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{arrays:?}: {error}");
    }
    assert_eq!(folder.names(), before);
}

#[test]
fn integers_of_any_type_are_taken_where_they_fit() {
    let folder = Folder::new("integers");
    folder.text("s.ein", "dim N\ninput x: u8[N]\noutput s: i64\ns = sum[i](x[i] as i64)\n");
    folder.array("fits.npy", &Tensor::from_slice(&[2], &[200i64, 55]).unwrap());
    folder.array("big.npy", &Tensor::from_slice(&[2], &[1i64, 256]).unwrap());
    let (code, out, error) = folder.einc(&["run", "s.ein", "x=fits.npy"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "s: i64 = 255\n", ""));
    let (code, _, error) = folder.einc(&["run", "s.ein", "x=big.npy"]);
    assert_eq!(code, 4);
    assert!(error.contains("EIN0705") && error.contains("256"), "{error}");
}

#[test]
fn sizes_that_no_shape_fixes_are_set_or_missed_by_name() {
    let folder = Folder::new("sizes");
    folder.text("t.ein", "fn head(x: f64[N]) -> (y: f64[K]) { y[i] = x[i] where i in 0..K }\n");
    folder.array("x.npy", &Tensor::from_slice(&[4], &[1.0f64, 2.0, 3.0, 4.0]).unwrap());
    let (code, out, _) = folder.einc(&["run", "t.ein::head", "x=x.npy", "--set", "K=2"]);
    assert_eq!((code, out.as_str()), (0, "y: f64[2]\n[1. 2.]\n"));
    let (code, out, _) = folder.einc(&["run", "t.ein::head", "x=x.npy", "K=3"]);
    assert_eq!((code, out.as_str()), (0, "y: f64[3]\n[1. 2. 3.]\n"));
    let (code, _, error) = folder.einc(&["run", "t.ein::head", "x=x.npy"]);
    assert_eq!(code, 1);
    assert!(error.contains("EIN0212") && error.contains("`K`"), "{error}");
    for wrong in ["K", "K=many", "=3"] {
        assert_eq!(folder.einc(&["run", "t.ein::head", "x=x.npy", "--set", wrong]).0, 2, "{wrong}");
    }
}

#[test]
fn random_inputs_repeat() {
    let folder = Folder::new("random");
    folder.text("m.ein", MATMUL);
    let arguments = ["run", "m.ein", "--random", "7", "--set", "M=2", "--set", "K=3", "--set", "N=2"];
    let (code, first, error) = folder.einc(&arguments);
    assert_eq!(code, 0, "{error}");
    assert!(first.starts_with("C: f64[2, 2]\n"), "{first}");
    assert_eq!(folder.einc(&arguments).1, first);
}

#[test]
fn a_memory_limit_refuses_before_anything_is_allocated() {
    let folder = Folder::new("memory");
    folder.text("m.ein", MATMUL);
    let sizes = ["--set", "M=100000", "--set", "K=100000", "--set", "N=100000"];
    let mut arguments = vec!["run", "m.ein", "--random", "1", "--memory", "1GiB", "-o", "c.npz"];
    arguments.extend(sizes);
    let (code, _, error) = folder.einc(&arguments);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("EIN0501") && error.contains("1.0 GiB"), "{error}");
    assert_eq!(folder.names(), ["m.ein"]);
}

#[test]
fn indices_that_leave_their_tensor_are_told_with_value_and_place() {
    let folder = Folder::new("fault");
    folder.text("g.ein", "dim N, M\ninput x: f64[N]\ninput i: i64[M]\noutput y: f64[M]\ny[m] = x[i[m]]\n");
    folder.array("x.npy", &Tensor::from_slice(&[3], &[1.0f64; 3]).unwrap());
    folder.array("i.npy", &Tensor::from_slice(&[2], &[0i64, 7]).unwrap());
    let (code, _, error) = folder.einc(&["run", "g.ein", "x=x.npy", "i=i.npy", "-o", "y.npz"]);
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("EIN0707") && error.contains('7') && error.contains("g.ein:5:"), "{error}");
    assert!(!folder.path("y.npz").exists());
}

#[test]
fn messages_have_three_forms() {
    let folder = Folder::new("messages");
    folder.text("bad.ein", "input A: f64[3]\ninput B: f64[4]\nC[i] = A[i] * B[i]\n");
    let (code, out, error) = folder.einc(&["check", "bad.ein"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.starts_with("error[EIN0301]: ") && error.contains("bad.ein:3:"), "{error}");
    let (_, _, error) = folder.einc(&["check", "bad.ein", "--message-format", "short"]);
    assert!(error.starts_with("bad.ein:3:") && error.lines().count() == 1, "{error}");
    let (_, _, error) = folder.einc(&["check", "bad.ein", "--message-format", "json"]);
    let value: serde_json::Value = serde_json::from_str(error.trim()).expect("one JSON object");
    assert_eq!(value["slug"], "extent-mismatch");
    let (_, _, error) = folder.einc(&["check", "bad.ein", "--color", "always"]);
    assert!(error.contains("\u{1b}["), "{error}");
}

#[test]
fn check_lists_what_programs_take_and_give() {
    let folder = Folder::new("check");
    folder.text("m.ein", MATMUL);
    let (code, out, error) = folder.einc(&["check", "m.ein"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out, "main(A: f64[M, K], B: f64[K, N]) -> (C: f64[M, N])\n");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = Folder::new("usage");
    folder.text("m.ein", MATMUL).array("a.npy", &a());
    let cases: [&[&str]; 9] = [
        &["run"],
        &["walk"],
        &["run", "m.ein", "A"],
        &["run", "m.ein", "A=a.npy", "A=a.npy"],
        &["run", "m.ein", "-o", "c.txt"],
        &["run", "m.ein", "--dump", "nothing"],
        &["run", "m.ein", "--memory", "much"],
        &["run", "m.ein", "--threads", "0"],
        &["explain", "EIN9999"],
    ];
    for arguments in cases {
        let (code, out, error) = folder.einc(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(!error.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_missing_or_odd_program_is_exit_code_4() {
    let folder = Folder::new("odd");
    std::fs::write(folder.path("binary.ein"), [0xff, 0xfe, 0x00]).expect("a file");
    std::fs::create_dir(folder.path("folder.ein")).expect("a folder");
    for name in ["no.ein", "binary.ein", "folder.ein"] {
        let (code, _, error) = folder.einc(&["check", name]);
        assert_eq!(code, 4, "{error}");
        assert!(error.contains("EIN0706") && error.contains(name), "{error}");
    }
}

#[test]
fn broken_array_files_are_refused() {
    let folder = Folder::new("broken");
    folder.text("m.ein", MATMUL).array("a.npy", &a());
    let bytes = std::fs::read(folder.path("a.npy")).expect("the file");
    let mut claims = bytes.clone();
    let place = bytes.windows(6).position(|window| window == b"(2, 3)").expect("the shape");
    claims.splice(place..place + 6, *b"(9999999999999, 9)");
    claims.truncate(bytes.len());
    let cases: [(&str, &[u8]); 4] = [
        ("short.npy", &bytes[..bytes.len() - 1]),
        ("header.npy", &bytes[..20]),
        ("claims.npy", &claims),
        ("empty.npy", &[]),
    ];
    for (name, bytes) in cases {
        std::fs::write(folder.path(name), bytes).expect("a file");
        let word = format!("A={name}");
        let (code, _, error) = folder.einc(&["run", "m.ein", &word, "B=a.npy"]);
        assert_eq!(code, 4, "{name}: {error}");
        assert!(error.contains("EIN0706") && error.contains(name), "{error}");
    }
}

#[test]
fn codes_are_explained_and_pages_printed() {
    let folder = Folder::new("text");
    let (code, out, _) = folder.einc(&["explain", "EIN0301"]);
    assert!(code == 0 && out.starts_with("EIN0301 extent-mismatch\n"), "{out}");
    assert!(folder.einc(&["explain", "--list"]).1.lines().count() > 60);
    assert!(folder.einc(&["completions", "bash"]).1.contains("einc"));
    assert!(folder.einc(&["man"]).1.contains(".TH einc"));
    assert!(folder.einc(&["targets"]).1.contains("cranelift"));
    assert!(folder.einc(&["--version"]).1.starts_with("einc "));
    assert_eq!(folder.einc(&["help", "run"]).0, 0);
}

/// A machine is measured once: its rates are kept, and later plans are made with them.
#[test]
#[cfg(feature = "cranelift")]
fn a_machine_is_measured_and_its_rates_are_kept() {
    let folder = Folder::new("calibrate");
    let (code, out, error) = folder.einc(&["targets", "--calibrate"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("measured: ") && out.contains("kept in "), "{out}");
    let entries = std::fs::read_dir(folder.path("home")).expect("the home of einc");
    let kept: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    let text = std::fs::read_to_string(kept).expect("the rates");
    let rates = einc::plan::search::Rates::from_json(&text).expect("positive rates");
    assert!(rates.memory <= rates.cache, "{rates}");
    folder.text("product.ein", "input a: f64[64, 64]\noutput y: f64[64, 64]\ny[i, k] = a[i, j] * a[j, k]\n");
    let predicted = || {
        let (code, out, error) = folder.einc(&["plan", "product.ein", "--format", "json"]);
        assert_eq!(code, 0, "{error}");
        let plan: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        plan["predicted_seconds"].as_f64().expect("a number")
    };
    let own = predicted();
    let slower = einc::plan::search::Rates { gemm: rates.gemm / 1e6, ..rates };
    std::fs::write(kept, slower.json()).expect("the rates can be written");
    assert!(own > 0.0 && predicted() > 1000.0 * own);
}

#[test]
fn stages_can_be_looked_at() {
    let folder = Folder::new("dump");
    folder.text("m.ein", MATMUL).array("a.npy", &a()).array("b.npy", &b());
    let (code, out, error) =
        folder.einc(&["run", "m.ein", "A=a.npy", "B=b.npy", "-o", "c.npz", "--dump", "program"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.starts_with("== program\nprogram main\n") && out.contains("output C = "), "{out}");
}

#[test]
fn an_order_that_is_to_be_kept_has_no_running_sums() {
    let folder = Folder::new("order");
    let text = "y[k] = sum[d](if d <= k then x[d] * w[d] else 0)\n";
    for (attribute, running) in [("", true), ("@order(keep)\n", false)] {
        folder.text("o.ein", &format!("dim N\ninput x, w: f64[N]\noutput y: f64[N]\n{attribute}{text}"));
        let (code, out, error) = folder.einc(&["graph", "o.ein", "--set", "N=100"]);
        assert_eq!(code, 0, "{error}");
        assert_eq!(out.contains("cumsum"), running, "{out}");
    }
}

#[test]
fn near_misses_on_the_command_line_are_helped() {
    let folder = Folder::new("near");
    folder.text("m.ein", MATMUL).array("a.npy", &a());
    let cases: [(&[&str], i32, &str); 5] = [
        (&["explain", "exent-mismatch"], 2, "did you mean `extent-mismatch`?"),
        (&["check", "m.ein", "--set", "Q=3"], 1, "the dims are K, M, N"),
        (&["check", "m.ein::main", "--set", "M=3"], 1, "`K`, `N`"),
        (&["run", "m.ein::multiply"], 1, "leave the name out"),
        (&["run", "--einsum", "ij,jk->ik", "a.npy"], 1, "2 terms for 1 operand"),
    ];
    for (arguments, exit, words) in cases {
        let (code, out, error) = folder.einc(arguments);
        assert_eq!((code, out.as_str()), (exit, ""), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[test]
fn warnings_are_said_or_not_or_taken_for_errors() {
    let folder = Folder::new("lints");
    folder.array("row.npy", &matrix(1, 3, &[1.0, 2.0, 3.0])).array("a.npy", &a());
    let run = |options: &[&str]| {
        let command = ["run", "--einsum", "ij,ij->i", "row.npy", "a.npy", "-o", "c.npy"];
        let arguments: Vec<&str> = command.iter().chain(options).copied().collect();
        let (code, out, error) = folder.einc(&arguments);
        assert_eq!(out, "", "{options:?}");
        (code, error)
    };
    let (code, error) = run(&["-D", "warnings"]);
    assert_eq!(code, 1, "{error}");
    assert!(
        error.starts_with("error[EIN03") && error.contains("a warning that -D makes an error"),
        "{error}"
    );
    assert!(!folder.0.join("c.npy").exists());
    let (code, error) = run(&["--deny", "size-one-broadcast"]);
    assert_eq!(code, 1, "{error}");
    let (code, error) = run(&["-D", "warnings", "-W", "size-one-broadcast"]);
    assert!(code == 0 && error.starts_with("warning[EIN03"), "{code} {error}");
    assert_eq!(run(&["-A", "size-one-broadcast"]), (0, String::new()));
    assert_eq!(run(&["-A", "warnings"]), (0, String::new()));
    let (code, error) = run(&["-A", "warnings", "-D", "warnings"]);
    assert!(code == 2 && error.contains("two of -W, -D and -A name `warnings`"), "{code} {error}");
    let (code, error) = run(&["-D", "size-one"]);
    assert!(code == 2 && error.contains("no code is called `size-one`"), "{code} {error}");
}

#[test]
fn several_files_are_written_all_or_none() {
    let folder = Folder::new("several");
    folder.text("two.ein", "input x: f64[2]\noutput y, z: f64[2]\ny[i] = x[i]\nz[i] = 2 * x[i]\n");
    let run = |outputs: [&str; 2]| {
        folder.einc(&["run", "two.ein", "--random", "1", "-o", outputs[0], "-o", outputs[1]])
    };
    let files = || std::fs::read_dir(&folder.0).expect("a folder").count();
    let (code, _, error) = run(["z=z.npy", "y=none/y.npy"]);
    assert!(code == 4 && error.contains("none/y.npy") && files() == 1, "{code} {error}");
    let (code, _, error) = run(["z=z.npy", "y=z.npy"]);
    assert!(code == 2 && error.contains("`-o` names `z.npy` twice"), "{code} {error}");
    assert_eq!(run(["z=z.npy", "y=y.npy"]).0, 0);
    assert_eq!(files(), 3);
}

#[test]
fn names_of_arrays_are_words_of_the_text() {
    let folder = Folder::new("words");
    folder.array("u.npy", &a());
    // The letter stands in `input` and `output`, but not by itself.
    let program = "input b: f64[2, 3]\noutput y: f64[2, 3]\ny[i, j] = 2.0 * b[i, j]";
    let (code, _, error) = folder.einc(&["run", "-e", program, "b=u.npy", "u=u.npy"]);
    assert!(code == 4 && error.contains("the program takes no array `u`"), "{code} {error}");
}

#[test]
fn what_was_done_is_told_where_it_is_asked_for() {
    let folder = Folder::new("verbose");
    folder.text("m.ein", MATMUL).array("a.npy", &a()).array("b.npy", &b());
    let arguments = ["run", "m.ein", "A=a.npy", "B=b.npy", "-o", "c.npz", "-v", "--interpret"];
    let (code, out, error) = folder.einc(&arguments);
    assert_eq!((code, out.as_str()), (0, ""), "{error}");
    let starts =
        ["read and checked `main` in ", "compiled for the interpreter in ", "ran in ", "wrote c.npz in "];
    assert_eq!(error.lines().count(), starts.len(), "{error}");
    for (line, start) in error.lines().zip(starts) {
        let rest = line.strip_prefix("note: ").and_then(|line| line.strip_prefix(start));
        assert!(rest.is_some_and(|rest| rest.ends_with(" ms")), "{line}");
    }
    assert_eq!(folder.einc(&arguments[..6]).2.as_str(), "");
    let by_target = ["run", "m.ein", "A=a.npy", "B=b.npy", "-v", "--target", "interpret"];
    assert!(folder.einc(&by_target).2.contains("compiled for the interpreter in "));
    assert_eq!(folder.einc(&["run", "m.ein", "A=a.npy", "B=b.npy", "--target", "cuda"]).0, 2);
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_with_130_and_leaves_nothing() {
    let folder = Folder::new("interrupt");
    folder.text("m.ein", MATMUL);
    let sizes = ["--set", "M=3000", "--set", "K=3000", "--set", "N=3000"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_einc"))
        .args(["run", "m.ein", "--random", "1", "--interpret", "-o", "c.npz"])
        .args(sizes)
        .current_dir(&folder.0)
        .stderr(Stdio::null())
        .spawn()
        .expect("the einc command");
    // Long enough to be at work, and it has work for minutes.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    assert_eq!(child.wait().expect("the end of einc").code(), Some(130));
    assert_eq!(folder.names(), ["m.ein"]);
}

/// Whatever stands on the command line, the command ends by itself and without a panic.
#[test]
fn no_words_crash_the_command() {
    let folder = Folder::new("crash");
    folder.text("m.ein", MATMUL).array("a.npy", &a());
    let words = [
        "run",
        "check",
        "m.ein",
        "m.ein::",
        "::",
        "A=",
        "=",
        "A=a.npy",
        "-e",
        "--einsum",
        "->",
        "--set",
        "-o",
        "-",
        "--",
        "x[",
        "M=0",
        "M=-1",
        "M=9223372036854775807",
        "--random",
        "1",
        "\u{202e}",
        "",
    ];
    let mut state = 1u64;
    for _ in 0..60 {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let arguments: Vec<&str> = (0..1 + next() % 6).map(|_| words[next() % words.len()]).collect();
        let (code, _, error) = folder.einc(&arguments);
        assert!((0..=5).contains(&code), "{arguments:?}: {code}\n{error}");
    }
    assert!(Path::new(&folder.path("m.ein")).exists());
}
