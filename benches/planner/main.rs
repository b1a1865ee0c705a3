//! Measures the search for contraction orders on a folder of networks.
//!
//! `cargo bench --bench planner -- --data DIR [--seconds S] [--seeds N] [--only PART]`

mod latency;
#[path = "../speed/measure.rs"]
mod measure;
#[path = "../speed/memory.rs"]
mod memory;
mod runs;
mod slices;

use einc::plan::search::{MemoryLimit, Network, Objective, Options, Rates, evaluate, optimize};
use runs::Effort;
use serde_json::Value;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|place| arguments.get(place + 1))
    };
    let wants = |name: &str| arguments.iter().any(|argument| argument == name);
    if wants("--slices") {
        return slices::run();
    }
    if wants("--peak") {
        return peaks();
    }
    if wants("--latency") {
        latency::generated();
    }
    let Some(data) = option("--data").cloned().or_else(|| std::env::var("EINC_NETWORKS").ok()) else {
        println!("no networks: give --data DIR or set EINC_NETWORKS");
        return;
    };
    let number =
        |name: &str, default: f64| option(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seeds) = (number("--seconds", 1.0), number("--seeds", 1.0) as u64);
    let only = option("--only").cloned().unwrap_or_default();
    let work: Option<u64> = option("--work").and_then(|text| text.parse().ok());
    if wants("--small") {
        return small(&data);
    }
    if wants("--latency") {
        names(&data, &only).iter().for_each(|(name, _)| latency::of(name, &load(&data, name)));
        return;
    }
    let rates = || {
        let read = option("--rates").map(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            Rates::from_json(&text).unwrap_or_else(|| panic!("{path}: no rates"))
        });
        read.unwrap_or_default()
    };
    let effort = work.map_or(Effort::Seconds(seconds), Effort::Work);
    if wants("--time") {
        let steps = number("--steps", 60.0) as usize;
        return runs::times(&small_networks(&data, &only), &rates(), effort, steps);
    }
    if wants("--objectives") {
        return runs::objectives(&small_networks(&data, &only), &rates(), effort, seeds);
    }
    if wants("--verify") {
        return verify(&data);
    }
    if let Some(limit) = option("--largest").and_then(|text| text.parse::<f64>().ok()) {
        return sliced(&data, &only, limit, (effort, seeds));
    }
    let mut gaps = Vec::new();
    println!("{:<44} {:>9} {:>9} {:>9}  {:>8} {:>7}", "network", "macs", "best", "gap", "work", "s");
    for (name, best) in names(&data, &only) {
        let network = load(&data, &name);
        let mut found = Vec::new();
        let start = Instant::now();
        let mut done = 0;
        for seed in 0..seeds {
            let mut options = Options { seed, seconds: Some(seconds), ..Options::default() };
            if work.is_some() {
                options.work = work;
                options.seconds = None;
            }
            match optimize(&network, &mut options) {
                Ok(plan) => {
                    let again = evaluate(&network, &plan.path, &plan.slices).map(|cost| cost.macs.log10());
                    assert!(again.is_ok_and(|log| (log - plan.cost.macs.log10()).abs() < 1e-9));
                    done = plan.work;
                    found.push(plan.cost.macs.log10());
                }
                Err(refusal) => println!("{name}: {refusal}"),
            }
        }
        found.sort_by(f64::total_cmp);
        let Some(&median) = found.get(found.len() / 2) else { continue };
        let elapsed = start.elapsed().as_secs_f64() / seeds as f64;
        println!(
            "{name:<44} {median:>9.4} {best:>9.4} {:>9.4}  {:>8.2e} {elapsed:>7.2}",
            median - best,
            done as f64
        );
        gaps.push(median - best);
    }
    gaps.sort_by(f64::total_cmp);
    if !gaps.is_empty() {
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let within = gaps.iter().filter(|&&gap| gap <= 0.002).count();
        println!(
            "{} networks: median gap {:.4}, mean {mean:.4}, worst {:.4}, within 0.002: {within}, lower by 0.02: {}",
            gaps.len(),
            gaps[gaps.len() / 2],
            gaps[gaps.len() - 1],
            gaps.iter().filter(|&&gap| gap <= -0.02).count()
        );
    }
}

/// Compares the optima of small networks with stored ones.
fn small(data: &str) {
    let file = read(&format!("{data}/small_exact.json"));
    let (mut exact, mut count, mut times) = (0, 0, Vec::new());
    for entry in file["networks"].as_array().into_iter().flatten() {
        let network = network(entry);
        let optimum = &entry["optimum"];
        let objectives = [
            (Objective::Macs, optimum["min_log10_macs"].as_f64().map(|x| x / std::f64::consts::LOG10_2)),
            (Objective::Size, optimum["min_log2_size"].as_f64()),
            (Objective::Write, optimum["min_log2_write"].as_f64()),
            (
                Objective::Combo(64.0),
                optimum["min_combo64_log10"].as_f64().map(|x| x / std::f64::consts::LOG10_2),
            ),
            (Objective::Peak, optimum["min_log2_peak"].as_f64()),
        ];
        let mut all = true;
        for (objective, best) in objectives {
            let start = Instant::now();
            let plan = optimize(&network, &mut Options { objective, ..Options::default() });
            let time = start.elapsed();
            if let Objective::Macs = objective {
                times.push(time);
            }
            match (plan, best) {
                (Ok(plan), Some(best)) if (plan.log2_value - best).abs() < 1e-6 => {}
                (plan, best) => {
                    all = false;
                    let found = plan.map(|plan| plan.log2_value);
                    println!("{} {objective:?}: {found:?} against {best:?}", entry["name"]);
                }
            }
        }
        count += 1;
        exact += usize::from(all);
    }
    times.sort();
    println!(
        "{exact} of {count} optimal, median {:?}, slowest {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}

/// Compares the memory that plans say with what runs take.
fn peaks() {
    for (name, program, n) in memory::RUNS {
        let (measured, predicted) = memory::peak(program, n);
        let share = 100.0 * (measured as f64 / predicted as f64 - 1.0);
        println!("{name}: {measured} bytes measured, {predicted} predicted, {share:+.1} %");
    }
}

/// The networks of the data whose names contain one of some parts, and the decimal logarithms of the multiply-adds of
/// their best known orders.
fn names(data: &str, only: &str) -> Vec<(String, f64)> {
    let index = read(&format!("{data}/index.json"));
    let entries = index["networks"].as_array().into_iter().flatten().map(|entry| {
        let best = entry["best_macs"]["log10_macs"].as_f64().unwrap_or(f64::NAN);
        (entry["name"].as_str().unwrap_or_default().to_string(), best)
    });
    entries.filter(|(name, _)| only.split(',').any(|part| name.contains(part))).collect()
}

/// Reads a network of the data.
fn load(data: &str, name: &str) -> Network {
    network(&read(&format!("{data}/{name}.json")))
}

/// The networks that one thread can run.
fn small_networks(data: &str, only: &str) -> Vec<(String, Network)> {
    let small = names(data, only).into_iter().filter(|(_, best)| *best < 9.5);
    small.map(|(name, _)| (name.clone(), load(data, &name))).collect()
}

/// Counts the stored best paths anew.
fn verify(data: &str) {
    for (name, best) in names(data, "") {
        let network = load(data, &name);
        let file = read(&format!("{data}/best_paths/{name}.json"));
        let pairs = if file.is_array() { &file } else { &file["path"] };
        let path: Vec<(usize, usize)> = pairs
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|pair| Some((pair[0].as_u64()? as usize, pair[1].as_u64()? as usize)))
            .collect();
        match evaluate(&network, &path, &[]) {
            Ok(cost) => {
                println!("{name}: {:.5} stored {best}", cost.macs.log10())
            }
            Err(refusal) => println!("{name}: {refusal}"),
        }
    }
}

/// Plans under a limit of the largest result.
fn sliced(data: &str, only: &str, limit: f64, (effort, seeds): (Effort, u64)) {
    for (name, best) in names(data, only) {
        let network = load(data, &name);
        for seed in 0..seeds {
            let memory = Some(MemoryLimit::Largest(limit.exp2()));
            let mut options = Options { memory, seed, ..Options::default() };
            match effort {
                Effort::Seconds(seconds) => options.seconds = Some(seconds),
                Effort::Work(work) => options.work = Some(work),
            }
            match optimize(&network, &mut options) {
                Ok(plan) => println!(
                    "{name}: log10 macs {:.4}, best unsliced {best:.4}, log2 size {:.2}, {} slices",
                    plan.cost.macs.log10(),
                    plan.cost.size.log2(),
                    plan.slices.len()
                ),
                Err(refusal) => println!("{name}: {refusal}"),
            }
        }
    }
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads the operands, the output and the extents.
fn network(value: &Value) -> Network {
    let list = |value: &Value| -> Vec<u32> {
        value.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|axis| axis as u32).collect()
    };
    let inputs = value["inputs"].as_array().into_iter().flatten().map(list).collect();
    let extents = value["sizes"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    Network::new(inputs, list(&value["output"]), extents).unwrap_or_else(|refusal| panic!("{refusal}"))
}
