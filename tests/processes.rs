//! Programs that several processes run together, started by `mpirun`.

use crate::cli::Folder;
use einc_runtime::npz;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "dim I = 24, J = 20, K = 20, L = 16, M = 8
fn f(P: f64[I, J, K], Q: f64[K, L], R: f64[J, L, M], S: f64[I, L, J]) -> (y: f64[I, M]) {
    y[i, m] = sum[j, k, l](P[i, j, k] * Q[k, l] * R[j, l, m] * S[i, l, j])
}
";

/// As much memory as needs slices.
const MEMORY: &str = "215KiB";

/// Runs a shell command in so many processes; gives the exit code and stderr. `None` where there is no `mpirun`.
fn mpirun(folder: &Folder, count: &str, command: &str) -> Option<(i32, String)> {
    let mut mpirun = Command::new("mpirun");
    mpirun
        .args(["--oversubscribe", "-n", count, "sh", "-c", command])
        .current_dir(&folder.0)
        .env("EINC_HOME", folder.path("home"))
        .env("EINC", env!("CARGO_BIN_EXE_einc"))
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
        .stdin(Stdio::null());
    match mpirun.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Some((output.status.code().unwrap_or(-1), text))
        }
        Err(_) => {
            eprintln!("skipped: runs over several processes (no mpirun here)");
            None
        }
    }
}

#[test]
fn processes_share_slices_and_write_what_one_process_writes() {
    let folder = Folder::new("processes");
    folder.text("p.ein", PROGRAM);
    let command = ["run", "p.ein::f", "--random", "3", "--memory", MEMORY];
    let (_, loops, error) = folder.einc(&[&command[..], &["--dump", "plan", "-o", "one.npz"]].concat());
    assert!(loops.contains(" apart] {"), "slices are what is shared: {loops}{error}");
    for count in ["2", "3"] {
        let shared = format!("exec \"$EINC\" {} -o {count}.npz", command.join(" "));
        let Some((code, error)) = mpirun(&folder, count, &shared) else { return };
        assert_eq!(code, 0, "{error}");
        let read = |name: &str| npz::read(&folder.path(name), 1 << 30).expect("an archive");
        let (one, all) = (read("one.npz"), read(&format!("{count}.npz")));
        assert_eq!(one[0].1.bytes(), all[0].1.bytes(), "{count} processes");
    }
}

#[test]
fn a_lost_process_is_an_error_and_no_endless_wait() {
    let folder = Folder::new("processes-lost");
    folder.text("p.ein", PROGRAM);
    let start = Instant::now();
    let run = format!("exec \"$EINC\" run p.ein::f --random 3 --memory {MEMORY} -o lost.npz");
    let lost = format!("[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] && kill -KILL $$; {run}");
    let Some((code, error)) = mpirun(&folder, "2", &lost) else { return };
    // Which of both `mpirun` tells depends on how far the process had come.
    assert!(code == 137 || code != 0 && error.contains("signal 9"), "{code}: {error}");
    assert!(error.contains("abort") || error.contains("signal 9"), "{error}");
    // One process that fails for a reason of its own says so, and ends the others.
    let wrong = format!("[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] && exec \"$EINC\" run none.ein; {run}");
    let Some((code, error)) = mpirun(&folder, "2", &wrong) else { return };
    assert!(code != 0 && error.contains("none.ein"), "{code}: {error}");
    assert!(start.elapsed() < Duration::from_secs(300));
}
