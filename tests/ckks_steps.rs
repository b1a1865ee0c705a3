//! `einc ckks`: keys, encryption, run and decryption as separate processes.

use einc_runtime::Tensor;
use einc_runtime::ckks::schedule::Layout;
use einc_runtime::ckks::{Builder, Parameters, Request, Schedule};
use einc_runtime::{npy, npz};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("einc-ckks-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn schedule(&self, name: &str, schedule: &Schedule) -> &Folder {
        std::fs::write(self.path(name), schedule.to_string()).expect("a file in a temporary folder");
        self
    }

    /// Runs `einc ckks` with these words in the folder; gives the exit code and stderr.
    fn ckks(&self, words: &str) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .arg("ckks")
            .args(words.split(' '))
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .output()
            .expect("the einc command");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn ok(&self, words: &str) {
        let (code, stderr) = self.ckks(words);
        assert_eq!(code, 0, "{words}: {stderr}");
    }

    /// A step that must fail with exit code 4 and a message.
    fn refused(&self, words: &str, message: &str) {
        let (code, stderr) = self.ckks(words);
        assert_eq!(code, 4, "{words}: {stderr}");
        assert!(stderr.contains(message), "{words}: {stderr}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `y[i] = sum[k](A[i, k] * b[k])` for 4 by 8: A row by row, b once for each row, y in every eighth slot.
fn matvec(levels: u32) -> Schedule {
    let mut b = Builder::new(Parameters::choose(&Request::toy(64, levels)).expect("parameters"));
    let (matrix, vector) = (b.secret("A", 1)[0], b.secret("b", 1)[0]);
    let product = b.mul(matrix, vector);
    let product = b.relinearize(product);
    let mut sum = b.rescale(product);
    for by in [4, 2, 1] {
        let turned = b.rotate(sum, by);
        sum = b.add(sum, turned);
    }
    b.output("y", &[sum]);
    let each = |element: &dyn Fn(u64) -> Option<u64>| vec![(0..32).map(element).collect::<Vec<_>>()];
    b.input_layout("A", Layout::from_slots("A", &[4, 8], &each(&Some)));
    b.input_layout("b", Layout::from_slots("b", &[8], &each(&|slot| Some(slot % 8))));
    b.output_layout("y", Layout::from_slots("y", &[4], &each(&|slot| (slot % 8 == 0).then_some(slot / 8))));
    b.finish().expect("a schedule")
}

#[test]
fn steps_give_what_numbers_in_the_clear_give() {
    let folder = Folder::new("steps");
    folder.schedule("matvec.fhe", &matvec(2));
    let matrix: Vec<f64> = (0..32).map(|k| f64::from(k).sin()).collect();
    let vector: Vec<f64> = (0..8).map(|k| f64::from(k).cos()).collect();
    let tensors = [
        ("A", Tensor::from_slice(&[4, 8], &matrix).expect("a tensor")),
        ("b", Tensor::from_slice(&[8], &vector).expect("a tensor")),
    ];
    let members: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    npz::write(&folder.path("in.npz"), &members).expect("a file in a temporary folder");
    folder.ok("keygen matvec.fhe -o keys");
    folder.ok("encrypt matvec.fhe --key keys/secret.key --inputs in.npz -o in.ct");
    // Who computes has no secret key at hand.
    std::fs::rename(folder.path("keys/secret.key"), folder.path("secret.key")).expect("the key is there");
    folder.ok("run matvec.fhe --keys keys/evaluation.keys --inputs in.ct -o out.ct");
    folder.ok("decrypt matvec.fhe --key secret.key --inputs out.ct -o y=y.npy");
    let result = npy::read(&folder.path("y.npy")).expect("the result");
    assert_eq!(result.shape(), [4]);
    for (row, found) in result.as_slice::<f64>().expect("floats").iter().enumerate() {
        let expected: f64 = (0..8).map(|k| matrix[8 * row + k] * vector[k]).sum();
        assert!((found - expected).abs() < 1e-7, "{found} {expected}");
    }
}

#[test]
fn a_program_becomes_a_schedule_that_runs_in_steps() {
    let folder = Folder::new("program");
    let matrix: Vec<f64> = (0..15).map(|k| f64::from(k).sin()).collect();
    let vector: Vec<f64> = (0..5).map(|k| f64::from(k).cos()).collect();
    npy::write(&folder.path("a.npy"), &Tensor::from_slice(&[3, 5], &matrix).expect("a tensor"))
        .expect("a file");
    npy::write(&folder.path("b.npy"), &Tensor::from_slice(&[5], &vector).expect("a tensor")).expect("a file");
    for emitted in ["fhe-schedule", "openfhe-python", "openfhe-cpp"] {
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(["run", "-e", "y[i] = A[i,k] * b[k]", "A=a.npy", "b=b.npy", "--target", "ckks"])
            .args(["--insecure-toy", "--set", "slots=64", "--emit", emitted])
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output()
            .expect("the einc command");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(folder.path(emitted), output.stdout).expect("a file");
    }
    let text = |name: &str| std::fs::read_to_string(folder.path(name)).expect("what was emitted");
    assert!(text("openfhe-python").contains("\"A\": (\"A\", (3, 5,), "));
    assert!(text("openfhe-cpp").contains("// INSECURE: a toy ring, for tests."));
    folder.ok("keygen fhe-schedule -o keys");
    folder.ok("encrypt fhe-schedule A=a.npy b=b.npy --key keys/secret.key -o in.ct");
    folder.ok("run fhe-schedule --keys keys/evaluation.keys --inputs in.ct -o out.ct");
    folder.ok("decrypt fhe-schedule --key keys/secret.key --inputs out.ct -o y.npy");
    let result = npy::read(&folder.path("y.npy")).expect("the result");
    for (row, found) in result.as_slice::<f64>().expect("floats").iter().enumerate() {
        let expected: f64 = (0..5).map(|k| matrix[5 * row + k] * vector[k]).sum();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

/// The emitted Python program, run by OpenFHE, gives what numbers in the clear give: a product of matrices row by row, with
/// masks and hoisted rotations, and a polynomial.
#[test]
fn emitted_python_runs_in_openfhe() {
    let Some(python) = crate::support::openfhe() else { return };
    let folder = Folder::new("openfhe");
    let a: Vec<f64> = (0..30).map(|k| f64::from(k).sin()).collect();
    let b: Vec<f64> = (0..42).map(|k| f64::from(k).cos()).collect();
    let tensors = [
        ("A", Tensor::from_slice(&[5, 6], &a).expect("a tensor")),
        ("B", Tensor::from_slice(&[6, 7], &b).expect("a tensor")),
    ];
    let members: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    npz::write(&folder.path("in.npz"), &members).expect("a file in a temporary folder");
    let text = "dim I, J, K\nsecret input A: f64[I, K]\nsecret input B: f64[K, J]\noutput y: f64[I, J]\nh[i, j] = A[i, k] * B[k, j]\n\
                @approx(tanh, degree = 7, range = (-8, 8))\ny[i, j] = tanh(h[i, j])\n";
    std::fs::write(folder.path("p.ein"), text).expect("a file in a temporary folder");
    let y = |name: &str| -> Vec<f64> {
        let members = npz::read(&folder.path(name), 1 << 20).expect("the results");
        let (_, result) = members.iter().find(|(name, _)| name == "y").expect("the output");
        assert_eq!(result.shape(), [5, 7]);
        result.as_slice::<f64>().expect("floats").to_vec()
    };
    for layout in ["row_major", "free"] {
        let einc = |words: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_einc"))
                .args(["run", "p.ein", "--inputs", "in.npz", "--target", "ckks"])
                .args(["--set", &format!("layout={layout}")])
                .args(words)
                .current_dir(&folder.0)
                .stdin(Stdio::null())
                .output()
                .expect("the einc command");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        std::fs::write(folder.path("p.py"), einc(&["--emit", "openfhe-python"])).expect("a file");
        einc(&["--simulate", "-o", "clear.npz"]);
        let run = Command::new(&python)
            .args(["p.py", "run", "in.npz", "out.npz"])
            .env("OMP_NUM_THREADS", "1")
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output()
            .expect("the Python that was set up");
        assert!(run.status.success(), "{layout}: {}", String::from_utf8_lossy(&run.stderr));
        for (place, (found, clear)) in y("out.npz").iter().zip(y("clear.npz")).enumerate() {
            let (i, j) = (place / 7, place % 7);
            let sum: f64 = (0..6).map(|k| a[6 * i + k] * b[7 * k + j]).sum();
            // The best polynomial is within 0.16 of the function; OpenFHE takes scales as nominal.
            assert!((clear - sum.tanh()).abs() < 0.16, "{layout}: {clear} for {sum}");
            assert!((found - clear).abs() < 1e-4, "{layout}: {found}, not {clear}");
        }
    }
}

#[test]
fn arguments_outside_the_range_of_a_function_are_refused_before_anything_is_encrypted() {
    let folder = Folder::new("range");
    let text = "dim N\nsecret input x: f64[N]\nparam w: f64\noutput y: f64[N]\n\
                @approx(sigmoid, degree = 7, range = (-4, 4))\ny[i] = sigmoid(w * x[i])\n";
    std::fs::write(folder.path("p.ein"), text).expect("a file in a temporary folder");
    let array = |numbers: &[f64]| Tensor::from_slice(&[numbers.len() as u64], numbers).expect("a tensor");
    npy::write(&folder.path("good.npy"), &array(&[-1.5, 0.25, 2.0])).expect("a file");
    npy::write(&folder.path("bad.npy"), &array(&[-1.5, 2.5, 1.0])).expect("a file");
    let einc = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(["run", "p.ein", "--target", "ckks", "--insecure-toy", "--set", "slots=64", "w=2.0"])
            .args(words)
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output()
            .expect("the einc command");
        (output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for how in [&["x=bad.npy"][..], &["x=bad.npy", "--simulate"]] {
        let (code, _, stderr) = einc(how);
        assert_eq!(code, Some(4), "{stderr}");
        let told = ["EIN0710", "`sigmoid` is approximated on (-4, 4)", "apply it to 5.000000", "p.ein:"];
        told.iter().for_each(|part| assert!(stderr.contains(part), "{part}: {stderr}"));
    }
    let (code, _, stderr) = einc(&["x=good.npy"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, schedule, stderr) = einc(&["x=good.npy", "--emit", "fhe-schedule"]);
    assert_eq!(code, Some(0), "{stderr}");
    std::fs::write(folder.path("p.fhe"), schedule).expect("a file");
    folder.ok("keygen p.fhe -o keys");
    folder.ok("encrypt p.fhe x=good.npy --key keys/secret.key -o in.ct");
    folder.refused(
        "encrypt p.fhe x=bad.npy --key keys/secret.key -o in.ct",
        "the statement of `y` applies it to 5.000000 at element 1",
    );
}

#[test]
fn what_does_not_belong_together_is_refused_in_each_step() {
    let folder = Folder::new("refused");
    folder.schedule("matvec.fhe", &matvec(2)).schedule("other.fhe", &matvec(3));
    let mut fewer = matvec(2);
    fewer.keys.rotate.clear();
    fewer.instructions.truncate(5);
    fewer.outputs[0].values = vec![einc_runtime::ckks::schedule::Register(4)];
    fewer.outputs[0].layout = None;
    folder.schedule("fewer.fhe", &fewer);
    folder.ok("keygen matvec.fhe -o keys");
    folder.ok("keygen matvec.fhe -o mine");
    folder.ok("keygen fewer.fhe -o fewer");
    folder.refused("keygen matvec.fhe -o keys", "exists");
    let array = |shape: &[u64]| {
        let count = shape.iter().product::<u64>() as usize;
        Tensor::from_slice(shape, &vec![0.5; count]).expect("a tensor")
    };
    npy::write(&folder.path("a.npy"), &array(&[4, 8])).expect("a file");
    npy::write(&folder.path("b.npy"), &array(&[8])).expect("a file");
    let encrypt = |arrays: &str, key: &str| format!("encrypt matvec.fhe {arrays} --key {key} -o in.ct");
    folder.refused(&encrypt("A=a.npy", "keys/secret.key"), "array `b` is missing");
    folder.refused(&encrypt("A=b.npy b=b.npy", "keys/secret.key"), "takes it with shape [4, 8]");
    folder.refused(&encrypt("A=a.npy b=b.npy", "keys/evaluation.keys"), "not a secret key [format]");
    folder.ok(&encrypt("A=a.npy b=b.npy", "keys/secret.key"));
    let run = |schedule: &str, keys: &str| format!("run {schedule} --keys {keys} --inputs in.ct -o out.ct");
    folder.refused(&run("matvec.fhe", "mine/evaluation.keys"), "[wrong-key]");
    folder.refused(&run("matvec.fhe", "fewer/evaluation.keys"), "[missing-key]");
    folder.refused(&run("other.fhe", "keys/evaluation.keys"), "[wrong-parameters]");
    folder.ok(&run("matvec.fhe", "keys/evaluation.keys"));
    folder.refused("decrypt matvec.fhe --key mine/secret.key --inputs out.ct", "[wrong-key]");
    folder.refused("decrypt matvec.fhe --key keys/secret.key --inputs in.ct", "does not hold the output y");
    let mut bytes = std::fs::read(folder.path("out.ct")).expect("the result");
    bytes[100] ^= 4;
    std::fs::write(folder.path("out.ct"), &bytes).expect("a file");
    folder.refused("decrypt matvec.fhe --key keys/secret.key --inputs out.ct", "out.ct");
    std::fs::write(folder.path("out.ct"), &bytes[..200]).expect("a file");
    folder.refused("decrypt matvec.fhe --key keys/secret.key --inputs out.ct", "[format]");
    let text = std::fs::read_to_string(folder.path("matvec.fhe")).expect("the schedule");
    std::fs::write(folder.path("matvec.fhe"), text.replace("left 4", "left 2")).expect("a file");
    folder.refused(&run("matvec.fhe", "keys/evaluation.keys"), "[checksum]");
}

/// Numbers that can be encrypted, whose products cannot be decrypted: all alike, so that decryption sees no noise.
#[test]
fn values_that_would_outgrow_their_primes_are_not_encrypted() {
    let folder = Folder::new("outgrown");
    folder.schedule("matvec.fhe", &matvec(1));
    let large =
        |shape: &[u64], count: usize| Tensor::from_slice(shape, &vec![3000.0; count]).expect("a tensor");
    let tensors = [("A", large(&[4, 8], 32)), ("b", large(&[8], 8))];
    let members: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    npz::write(&folder.path("in.npz"), &members).expect("a file in a temporary folder");
    folder.ok("keygen matvec.fhe -o keys");
    folder.refused("encrypt matvec.fhe --key keys/secret.key --inputs in.npz -o in.ct", "[range]");
    assert!(!folder.path("in.ct").exists());
}

#[test]
fn another_executor_runs_or_says_how_to_build_it() {
    let folder = Folder::new("executor");
    let matrix: Vec<f64> = (0..15).map(|k| f64::from(k).sin()).collect();
    npy::write(&folder.path("a.npy"), &Tensor::from_slice(&[3, 5], &matrix).expect("a tensor"))
        .expect("a file");
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(["run", "-e", "y[i] = A[i,k] * A[i,k]", "A=a.npy", "-o", "y.npy"])
            .args(words)
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output()
            .expect("the einc command");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, stderr) = run(&["--target", "interpret", "--executor", "poulpy"]);
    assert_eq!(code, Some(2), "{stderr}");
    for executor in ["embedded", "poulpy"] {
        let words = ["--target", "ckks", "--insecure-toy", "--set", "slots=64", "--executor", executor];
        let (code, stderr) = run(&words);
        if executor == "poulpy" && !cfg!(feature = "ckks-poulpy") {
            assert_eq!(code, Some(1), "{stderr}");
            assert!(stderr.contains("EIN0605"), "{stderr}");
            assert!(stderr.contains("cargo +nightly build --features ckks-poulpy"), "{stderr}");
            continue;
        }
        assert_eq!(code, Some(0), "{stderr}");
        let result = npy::read(&folder.path("y.npy")).expect("the result");
        for (row, found) in result.as_slice::<f64>().expect("floats").iter().enumerate() {
            let expected: f64 = (0..5).map(|k| matrix[5 * row + k].powi(2)).sum();
            assert!((found - expected).abs() < 1e-6, "{executor}: {found} {expected}");
        }
        std::fs::remove_file(folder.path("y.npy")).expect("the result is there");
    }
}

/// Outside the range of an approximation neither executor computes.
#[test]
fn another_executor_keeps_ranges() {
    let folder = Folder::new("executor-range");
    npy::write(&folder.path("x.npy"), &Tensor::from_slice(&[3], &[0.5, 9.0, -1.0]).expect("a tensor"))
        .expect("a file");
    let text =
        "secret input x: f64[3]\n@approx(sigmoid, degree = 7, range = (-4, 4))\ny[i] = sigmoid(x[i])\n";
    std::fs::write(folder.path("p.ein"), text).expect("a file in a temporary folder");
    for executor in ["embedded", "poulpy"] {
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(["run", "p.ein", "x=x.npy", "-o", "y.npy", "--target", "ckks", "--insecure-toy"])
            .args(["--set", "slots=64", "--executor", executor])
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output()
            .expect("the einc command");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let built = executor == "embedded" || cfg!(feature = "ckks-poulpy");
        assert!(stderr.contains(if built { "EIN0710" } else { "EIN0605" }), "{executor}: {stderr}");
        assert!(!folder.path("y.npy").exists(), "{executor}");
    }
}
