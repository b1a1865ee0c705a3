//! One small file for each order.

use super::Entry;
use crate::plan::network;
use crate::plan::search::{self, Network, Objective, Plan};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

/// No file of the cache is longer.
const LONGEST: u64 = 64 << 20;

fn path(folder: &Path, key: u64) -> PathBuf {
    folder.join(format!("{key:016x}.json"))
}

/// The entry of a key, if it is there, whole, and true.
pub(super) fn read(
    folder: &Path,
    key: u64,
    network: &Network,
    what: &str,
    objective: &Objective<'_>,
) -> Option<Entry> {
    let path = path(folder, key);
    if fs::metadata(&path).ok()?.len() > LONGEST {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    if value.get("what")?.as_str()? != what || network::of(&value).ok()?.network != *network {
        return None;
    }
    let (path, slices) = network::order_of(&value, network).ok()?;
    let cost = search::evaluate(network, &path, &slices).ok()?;
    let number = |name: &str| value.get(name)?.as_f64();
    let log2_value = objective.log2_value(network, &path, &slices).ok()?;
    if (log2_value - number("log2_value")?).abs() > 1e-6 {
        return None;
    }
    let plan = Plan {
        path,
        slices,
        cost,
        log2_value,
        proven: value.get("proven")?.as_bool()?,
        log2_bound: number("log2_bound").unwrap_or(f64::NEG_INFINITY),
        work: value.get("work")?.as_u64()?,
        rounds: value.get("rounds")?.as_u64()?,
        seconds: number("seconds")?,
        capped: value.get("capped")?.as_bool()?,
    };
    Some(Entry { network: network.clone(), what: what.to_string(), effort: number("effort")?, plan })
}

/// Writes an entry beside its place and moves it there, so that a reader finds the old file or the new one.
pub(super) fn write(folder: &Path, key: u64, entry: &Entry) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder)?;
    let Entry { network, what, effort, plan } = entry;
    let value = json!({
        "what": what,
        "effort": effort,
        "log2_value": plan.log2_value,
        "log2_bound": plan.log2_bound.is_finite().then_some(plan.log2_bound),
        "proven": plan.proven,
        "work": plan.work,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "capped": plan.capped,
        "inputs": network.inputs(),
        "output": network.output(),
        "sizes": network.extents(),
        "slices": plan.slices,
        "path": plan.path,
    });
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!(".{key:016x}.{}.{number}", std::process::id()));
    let mut file = fs::File::create(&beside)?;
    let written =
        file.write_all(value.to_string().as_bytes()).and_then(|()| fs::rename(&beside, path(folder, key)));
    if written.is_err() {
        // What could not be finished is not left behind.
        let _ = fs::remove_file(&beside);
    }
    written
}
