//! What nobody should hand to a compiler: every case ends soon, with a code, and leaves nothing half done.

use crate::cli::Folder;
use einc_runtime::{Tensor, npy};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs `einc check` on a text, which must end soon; gives the exit code and what went to stderr.
fn check(folder: &Folder, text: &str) -> (i32, String) {
    folder.text("h.ein", text);
    let start = Instant::now();
    let (code, _, error) = folder.einc(&["check", "h.ein", "--message-format", "short"]);
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    (code, error)
}

#[test]
fn sizes_that_cannot_be_counted_are_refused_with_the_name_of_the_tensor() {
    let folder = Folder::new("sizes-hostile");
    folder.text("s.ein", "dim N, M\noutput big: f64[N, M]\nbig[i, j] = 1.0\n");
    for (n, m) in [
        ("4611686018427387904", "1"),
        ("9223372036854775807", "9223372036854775807"),
        ("4294967296", "4294967296"),
        ("1152921504606846976", "8"),
    ] {
        let (n, m) = (format!("N={n}"), format!("M={m}"));
        for command in ["run", "plan", "graph", "check"] {
            let (code, out, error) = folder.einc(&[command, "s.ein", "--set", &n, "--set", &m]);
            assert_eq!((code, out.as_str()), (1, ""), "{command} {n} {m}: {error}");
            assert!(error.contains("EIN0302"), "{command} {n} {m}: {error}");
        }
    }
    let (_, _, error) = folder.einc(&["run", "s.ein", "--set", "N=4294967296", "--set", "M=4294967296"]);
    assert!(error.contains("`big`") && error.contains("4294967296"), "{error}");
    for wrong in ["N=9223372036854775808", "N=1e9", "N=-"] {
        assert_eq!(folder.einc(&["run", "s.ein", "--set", wrong, "--set", "M=1"]).0, 2, "{wrong}");
    }
    let (code, _, error) = folder.einc(&["run", "s.ein", "--set", "N=-3", "--set", "M=1"]);
    assert_eq!(code, 1, "{error}");
    // Countable, but more than there is.
    let (code, _, error) = folder.einc(&["run", "s.ein", "--set", "N=1000000000", "--set", "M=1000000"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("EIN0501"), "{error}");
}

#[test]
fn texts_that_are_too_deep_or_too_long_have_their_codes() {
    let folder = Folder::new("texts-hostile");
    let deep = 200_000;
    for (text, code) in [
        (format!("y = {}1{}\n", "(".repeat(deep), ")".repeat(deep)), "EIN0123"),
        (format!("y = {}1\n", "-".repeat(deep)), "EIN0123"),
        (format!("y = {}1{}\n", "if true then ".repeat(deep), " else 0".repeat(deep)), "EIN0123"),
        (format!("y = x{}\n", "[x".repeat(deep)), "EIN01"),
        (format!("y = 1{}\n", " + 1".repeat(1_000_000)), "EIN0124"),
        (format!("y = f({}1)\n", "1, ".repeat(1_000_000)), "EIN0124"),
        (" ".repeat((16 << 20) + 1), "EIN0125"),
    ] {
        let (exit, error) = check(&folder, &text);
        assert_eq!(exit, 1, "{code}: {}", &error[..error.len().min(500)]);
        assert!(error.contains(code), "{code}: {}", &error[..error.len().min(500)]);
    }
}

#[test]
fn deep_and_many_calls_take_no_time() {
    let folder = Folder::new("deep-hostile");
    let nested =
        |open: &str, inner: &str, deep: usize| format!("{}{inner}{}", open.repeat(deep), ")".repeat(deep));
    let functions: String =
        (0..5000).map(|k| format!("fn f{k}(a: f64[N]) -> f64[N] {{ return {k} * a[i] }}\n")).collect();
    for text in [
        format!("input x: f64[4]\ny[i] = {}\n", nested("sin(", "x[i]", 200)),
        format!("input x: f64[4]\ny[i] = {}\n", nested("max(x[i], ", "x[i]", 240)),
        format!("input x: i8[4]\ny[i] = {}\n", nested("max(x[i], ", "x[i]", 240)),
        format!(
            "fn f(a: f64[N]) -> f64[N] {{ return 2 * a[i] }}\ninput x: f64[4]\ny = {}\n",
            nested("f(", "x", 60)
        ),
        format!("input x: f64[4]\ny = f7(x)\n{functions}"),
    ] {
        folder.text("deep.ein", &text);
        for command in [&["run", "deep.ein", "--random", "1"][..], &["check", "deep.ein"]] {
            let start = Instant::now();
            let (code, _, error) = folder.einc(command);
            assert_eq!(code, 0, "{error}");
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "{command:?} {:?}: {text:.60}",
                start.elapsed()
            );
        }
    }
}

#[test]
fn an_index_outside_is_told_with_its_value_and_where_it_stands() {
    let folder = Folder::new("index-hostile");
    let tokens = Tensor::from_slice(&[2, 3], &[0i64, 1, 2, 3, 99, 98]).unwrap();
    npy::write(&folder.path("tok.npy"), &tokens).unwrap();
    folder.text("g.ein", "dim B, T, V\ninput tok: i64[B, T]\ninput E: f64[V]\ny[b, t] = E[tok[b, t] + 1]\n");
    folder.text("s.ein", "dim B, T\ninput tok: i64[B, T]\noutput n: i64[6]\nn[tok[b, t]] += 1\n");
    npy::write(&folder.path("E.npy"), &Tensor::from_slice(&[5], &[1.0f64; 5]).unwrap()).unwrap();
    for target in ["cranelift", "interpret"] {
        for (file, value) in
            [(&["run", "g.ein", "tok=tok.npy", "E=E.npy"][..], 100), (&["run", "s.ein", "tok=tok.npy"], 99)]
        {
            let (code, out, error) = folder.einc(&[file, &["--target", target]].concat());
            assert_eq!((code, out.as_str()), (4, ""), "{error}");
            assert!(error.contains(&format!("index {value} is outside")), "{error}");
            assert!(error.contains("there, `b` = 1, `t` = 1"), "{error}");
        }
    }
}

#[test]
fn a_hundred_thousand_wrong_statements_give_twenty_errors() {
    let folder = Folder::new("many-hostile");
    let text: String = (0..100_000).map(|k| format!("y{k} = z{k}[i]\n")).collect();
    let (code, error) = check(&folder, &text);
    assert_eq!(code, 1);
    assert!((1..=22).contains(&error.lines().count()), "{} lines", error.lines().count());
    let text: String = (0..100_000).map(|k| format!("import \"{k}.ein\" as m{k}\n")).collect();
    let (code, error) = check(&folder, &text);
    assert_eq!(code, 1);
    assert!((1..=22).contains(&error.lines().count()), "{} lines", error.lines().count());
}

#[cfg(unix)]
#[test]
fn imports_stay_under_the_folder_of_the_program() {
    let outer = Folder::new("imports-hostile");
    std::fs::create_dir_all(outer.path("in/sub")).expect("a folder");
    let function = "fn f(x: f64) -> f64 { return x }\n";
    outer.text("out.ein", function).text("in/good.ein", function);
    outer.text("in/a.ein", "import \"b.ein\" as b\n").text("in/b.ein", "import \"a.ein\" as a\n");
    std::os::unix::fs::symlink(outer.path("out.ein"), outer.path("in/link.ein")).expect("a link");
    let fifo = Command::new("mkfifo").arg(outer.path("in/pipe.ein")).status().expect("mkfifo");
    assert!(fifo.success());
    let absolute = outer.path("in/good.ein").display().to_string();
    for (path, words) in [
        ("../out.ein", ["EIN0215", "outside"]),
        ("link.ein", ["EIN0215", "outside"]),
        ("sub/../../out.ein", ["EIN0215", "outside"]),
        (absolute.as_str(), ["EIN0215", "absolute"]),
        ("sub", ["EIN0215", "regular file"]),
        ("pipe.ein", ["EIN0215", "regular file"]),
        ("/dev/zero", ["EIN0215", "absolute"]),
        ("no.ein", ["EIN0215", "no.ein"]),
        ("a.ein", ["EIN0216", "a.ein -> b.ein -> a.ein"]),
    ] {
        outer.text("in/main.ein", &format!("import {path:?} as m\ny = m.f(1.0)\n"));
        let (code, _, error) = outer.einc(&["check", "in/main.ein"]);
        assert_eq!(code, 1, "{path}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{path}: {error}");
    }
    let (code, _, error) = outer.einc(&["check", "in/pipe.ein"]);
    assert_eq!(code, 4, "{error}");
    assert!(einc::Module::load(outer.path("in/pipe.ein")).is_err());
    outer.text("in/main.ein", "import \"good.ein\" as m\ny = m.f(1.0)\n");
    assert_eq!(outer.einc(&["check", "in/main.ein"]).0, 0);
}

/// Runs a command of the shell in a folder, with `$EINC` the command line.
#[cfg(unix)]
fn shell(folder: &Folder, command: &str) -> (i32, String) {
    let output = Command::new("sh")
        .args(["-c", command])
        .env("EINC", env!("CARGO_BIN_EXE_einc"))
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_leaves_the_old_file() {
    let folder = Folder::new("disk-hostile");
    let old = Tensor::from_slice(&[1], &[1.0f64]).expect("one element");
    folder.text("big.ein", "input x: f64\noutput y: f64[300, 300]\ny[i, j] = x + i\n").array("c.npy", &old);
    let before = folder.names();
    for output in ["c.npy", "d.npy", "d.npz", "d.safetensors"] {
        let run = format!("trap '' XFSZ; ulimit -f 8; exec \"$EINC\" run big.ein --random 1 -o {output}");
        let (code, error) = shell(&folder, &run);
        assert_eq!(code, 4, "{output}: {error}");
        assert!(error.contains("EIN0706") && error.contains(output), "{output}: {error}");
        assert_eq!(folder.names(), before, "{output}");
    }
    assert_eq!(npy::read(&folder.path("c.npy")), Ok(old));
    std::os::unix::fs::symlink("/dev/full", folder.path("full.npy")).expect("a link");
    let (code, error) = shell(&folder, "\"$EINC\" run big.ein --random 1 -o full.npy");
    assert_eq!(code, 4, "{error}");
    let (code, error) = shell(&folder, "\"$EINC\" run big.ein --random 1 > /dev/full");
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("standard output"), "{error}");
    let (code, error) = shell(&folder, "\"$EINC\" run big.ein --random 1 -o no/such/folder/c.npz");
    assert_eq!(code, 4, "{error}");
}

#[cfg(unix)]
#[test]
fn readers_that_go_away_are_no_reason_to_crash() {
    let folder = Folder::new("pipe-hostile");
    folder.text("bad.ein", "y[i] = x[i]\n");
    for command in [
        "{ \"$EINC\" explain --list; echo $? > code; } | true",
        "{ \"$EINC\" check bad.ein; echo $? > code; } 2>&1 | true",
        "\"$EINC\" check bad.ein 2>&-; echo $? > code",
        "\"$EINC\" explain --list >&-; echo $? > code",
        "\"$EINC\" walk 2>&-; echo $? > code",
    ] {
        let (_, error) = shell(&folder, command);
        let code = std::fs::read_to_string(folder.path("code")).expect("the exit code");
        assert!(["0", "1", "2", "4"].contains(&code.trim()), "{command}: {code}{error}");
        assert!(!error.contains("panicked"), "{command}: {error}");
    }
}
