//! `einc plan` and what comes with it: pictures, orders that are kept, given back and interrupted.

use crate::cli::{Folder, MATMUL};
use std::process::{Command, Stdio};

#[test]
fn plans_graphs_and_layouts_come_out() {
    let folder = Folder::new("plan");
    folder.text("m.ein", MATMUL).text("odd.ein", "y[ i ]=x[2 * i+1]# odd\n");
    let sizes = ["--set", "M=8", "--set", "K=4", "--set", "N=2"];
    let with = |first: &[&'static str]| first.iter().copied().chain(sizes).collect::<Vec<_>>();
    let (code, out, error) = folder.einc(&with(&["plan", "m.ein"]));
    assert!(code == 0 && out.contains("as written 128 flop, planned 128 flop"), "{out}{error}");
    let (_, out, _) = folder.einc(&with(&["plan", "m.ein", "--format", "json"]));
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(value["flops"], 128.0);
    // Sizes with ranges: the orders for all of them, and what each costs.
    folder.text(
        "r.ein",
        "dim M in 2..=900, N in 2..=900\ninput a: f64[M, 9]\ninput b: f64[9, 9]\ninput c: f64[9, N]\n\
         output y: f64[M, N]\ny[i, l] = a[i, j] * b[j, k] * c[k, l]\n",
    );
    let (code, out, error) = folder.einc(&["plan", "r.ein", "--set", "M=8", "--set", "N=2"]);
    assert!(code == 0 && out.contains("`y` over M in 2..=900, N in 2..=900: at each call"), "{out}{error}");
    assert!(out.contains("1*2 0*3: 9 M N + 81 N multiply-adds"), "{out}");
    assert!(folder.einc(&with(&["graph", "m.ein"])).1.starts_with("graph main\n"));
    assert!(folder.einc(&with(&["graph", "m.ein", "--format", "dot"])).1.starts_with("digraph"));
    let (code, out, _) = folder.einc(&with(&["graph", "m.ein", "--format", "svg", "-o", "m.svg"]));
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(std::fs::read_to_string(folder.path("m.svg")).expect("the picture").ends_with("</svg>\n"));
    folder
        .text("net.json", r#"{"inputs": [[0, 1], [1, 2], [2, 3]], "output": [0, 3], "sizes": [9, 2, 8, 3]}"#);
    let (code, out, error) = folder.einc(&["plan", "net.json"]);
    assert!(
        code == 0 && out.contains("3 operands") && out.contains("no binary tree is better"),
        "{out}{error}"
    );
    assert!(folder.einc(&["plan", "net.json", "--format", "svg"]).1.starts_with("<svg"));
    assert_eq!(folder.einc(&["plan", "net.json", "--memory", "16B"]).0, 3);
    folder.text("bad.json", r#"{"inputs": [[0, 9]], "output": [], "sizes": [2]}"#);
    assert_eq!(folder.einc(&["plan", "bad.json"]).0, 4);
    // The page, into a file; the plan as it came out, given back; and plans that do not fit.
    assert_eq!(folder.einc(&["plan", "net.json", "--format", "html", "-o", "net.html"]).0, 0);
    assert!(std::fs::read_to_string(folder.path("net.html")).expect("the page").contains("Memory over time"));
    let (_, found, _) =
        folder.einc(&["plan", "net.json", "--format", "json", "--objective", "flops", "--work", "1000"]);
    let value: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let fields = "log10_macs log10_ops log2_size log2_write log2_peak slices path seconds work proven";
    assert!(fields.split(' ').all(|field| !value[field].is_null()), "{found}");
    folder.text("path.json", "[[1, 2], [0, 3]]").text("wrong.json", "[[1, 1], [0, 3]]");
    let (code, out, _) = folder.einc(&["plan", "net.json", "--locked-plan", "path.json", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, value["path"].to_string().as_str()), (0, "[[1,2],[0,3]]"));
    let (code, _, error) = folder.einc(&["plan", "net.json", "--locked-plan", "wrong.json"]);
    assert!(code == 3 && error.contains("EIN0505"), "{code} {error}");
    assert_eq!(folder.einc(&["fmt", "--check", "odd.ein"]), (1, "odd.ein\n".to_string(), String::new()));
    assert_eq!(folder.einc(&["fmt", "odd.ein"]).0, 0);
    assert_eq!(
        std::fs::read_to_string(folder.path("odd.ein")).expect("the file"),
        "y[i] = x[2*i + 1]  # odd\n"
    );
    assert_eq!(folder.einc(&["fmt", "--check", "odd.ein"]).0, 0);
}

/// Orders for declared ranges of sizes are found once: other processes with other sizes take them from the disk.
#[test]
fn orders_for_declared_ranges_are_searched_once_for_all_processes() {
    let folder = Folder::new("ranges");
    // A ring of tensors with chords: each is tied to the next, and to one far away.
    let count = 26;
    let chord = |k: usize| (0..count).position(|j| j * 7 % count == k).expect("7 and 26 share no factor") / 2;
    let inputs: String = (0..count).map(|k| format!("input t{k}: f64[N, N, N]\n")).collect();
    let factors: Vec<String> =
        (0..count).map(|k| format!("t{k}[r{k}, r{}, c{}]", (k + 1) % count, chord(k))).collect();
    let text = format!("dim N in 2..=64\n{inputs}output y: f64\ny = {}\n", factors.join(" * "));
    folder.text("ring.ein", &text);
    let plan = |size: &str| {
        // Neither the clock nor what memory is free has a say.
        let amount = ["--work", "10000000", "--memory", "64GiB"];
        let kept = ["--plan-cache", "orders", "--format", "json"];
        let (code, out, error) =
            folder.einc(&[&["plan", "ring.ein", "--set", size][..], &amount, &kept].concat());
        assert_eq!(code, 0, "{error}");
        let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        value["orders"][0]["path"].clone()
    };
    let kept = || {
        let entries = std::fs::read_dir(folder.path("orders")).expect("the orders that were kept");
        let changed =
            |entry: std::fs::DirEntry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap());
        let mut kept: Vec<_> = entries.map(|entry| changed(entry.unwrap())).collect();
        kept.sort();
        kept
    };
    let first = plan("N=64");
    let after = kept();
    assert!(!after.is_empty());
    for size in ["N=40", "N=17", "N=2", "N=64"] {
        let path = plan(size);
        assert!(size != "N=64" || path == first, "the same order for the same sizes");
        let now = kept();
        assert!(after.iter().all(|entry| now.contains(entry)), "nothing was searched again for {size}");
    }
}

/// A search that is interrupted gives the best plan that it has found.
#[test]
#[cfg(unix)]
fn an_interrupted_search_gives_what_it_has() {
    let folder = Folder::new("interrupted-search");
    // A grid of thirty by thirty: far more than a second's work.
    let at = |x: usize, y: usize| 30 * y + x;
    let mut edges = Vec::new();
    let mut inputs = vec![Vec::new(); 900];
    for (x, y) in (0..900).map(|k| (k % 30, k / 30)) {
        for other in [(x + 1, y), (x, y + 1)] {
            if other.0 < 30 && other.1 < 30 {
                inputs[at(x, y)].push(edges.len());
                inputs[at(other.0, other.1)].push(edges.len());
                edges.push(2);
            }
        }
    }
    let network = serde_json::json!({ "inputs": inputs, "output": [], "sizes": edges });
    folder.text("grid.json", &network.to_string());
    let mut child = Command::new(env!("CARGO_BIN_EXE_einc"))
        .args(["plan", "grid.json", "--time-limit", "600", "--format", "json", "-o", "plan.json"])
        .current_dir(&folder.0)
        .env("EINC_HOME", folder.0.join("home"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the einc command");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    assert_eq!(child.wait().expect("the end of einc").code(), Some(0));
    let text = std::fs::read_to_string(folder.path("plan.json")).expect("the plan");
    let plan: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(plan["path"].as_array().map(Vec::len), Some(899));
    assert_eq!(plan["capped"], true);
    let seconds = plan["seconds"].as_f64().expect("a number");
    assert!(seconds < 300.0, "{seconds}");
}

/// A plan goes out as JSON and comes back, whole or refused.
#[test]
fn orders_of_a_program_are_given_back() {
    let folder = Folder::new("locked");
    let text = "input A: f64[I, J]\ninput B: f64[J, K]\ninput C: f64[K, L]\noutput D: f64[I, L]\n";
    let product = "D[i, l] = A[i, j] * B[j, k] * C[k, l]\n";
    folder.text("p.ein", &format!("dim I, J, K, L\n{text}{product}"));
    let sizes = ["--set", "I=40", "--set", "J=30", "--set", "K=20", "--set", "L=10"];
    let with = |first: &[&'static str]| first.iter().copied().chain(sizes).collect::<Vec<_>>();
    let (code, out, error) = folder.einc(&with(&["plan", "p.ein", "--format", "json"]));
    assert_eq!((code, error.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(value["orders"][0]["path"].to_string(), "[[1,2],[0,3]]");
    // The other order, by hand.
    let other = out.replace("\n", "").replace(' ', "").replace("[[1,2],[0,3]]", "[[0,1],[3,2]]");
    folder.text("orders.json", &other);
    let (_, locked, _) =
        folder.einc(&with(&["plan", "p.ein", "--format", "json", "--locked-plan", "orders.json"]));
    let locked: serde_json::Value = serde_json::from_str(&locked).expect("JSON");
    assert_eq!(locked["orders"][0]["path"].to_string(), "[[0,1],[3,2]]");
    assert_eq!(locked["flops"], 2.0 * (40 * 30 * 20 + 40 * 20 * 10) as f64);
    // An attribute does the same.
    folder.text("q.ein", &format!("dim I, J, K, L\n{text}@plan(\"orders.json\")\n{product}"));
    let (code, given, error) = folder.einc(&with(&["plan", "q.ein", "--format", "json"]));
    assert_eq!(code, 0, "{error}");
    let given: serde_json::Value = serde_json::from_str(&given).expect("JSON");
    assert_eq!(given["orders"][0]["path"].to_string(), "[[0,1],[3,2]]");
    // At other sizes a locked plan is refused, and an attribute is no order.
    let other = ["--set", "I=4", "--set", "J=3", "--set", "K=2", "--set", "L=10"];
    let with = |first: &[&'static str]| first.iter().copied().chain(other).collect::<Vec<_>>();
    let (code, _, error) = folder.einc(&with(&["plan", "p.ein", "--locked-plan", "orders.json"]));
    assert!(code == 3 && error.contains("EIN0505"), "{code} {error}");
    assert_eq!(folder.einc(&with(&["plan", "q.ein"])).0, 0);
    for format in ["text", "svg", "html"] {
        assert_eq!(folder.einc(&with(&["plan", "p.ein", "--format", format])).0, 0);
    }
}
