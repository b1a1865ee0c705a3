//! How soon there is an order: the first tree of large networks, and one that is known.

use einc::plan::cache::Cache;
use einc::plan::search::{Network, Options, generate, optimize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Prints the times of a network.
pub fn of(name: &str, network: &Network) {
    let options = || Options { work: Some(1), ..Options::default() };
    let start = Instant::now();
    let first = optimize(network, &mut options());
    let first = first.map_or_else(|refusal| refusal.to_string(), |_| format!("{:.2?}", start.elapsed()));
    let folder = std::env::temp_dir().join(format!("einc-latency-{}", std::process::id()));
    // Enough work that the order is worth a file.
    let found = || Options { work: Some(6_000_000), ..Options::default() };
    let hit = |folder: Option<PathBuf>| -> Duration {
        let cache = Cache::new(folder);
        let _ = cache.optimize(network, &mut found(), "");
        let start = Instant::now();
        let hits = 100;
        (0..hits).for_each(|_| assert!(cache.optimize(network, &mut found(), "").is_ok()));
        start.elapsed() / hits
    };
    let memory = hit(None);
    hit(Some(folder.clone()));
    // Another process: nothing in memory, everything on disk.
    let start = Instant::now();
    let plan = Cache::new(Some(folder.clone())).optimize(network, &mut found(), "");
    let disk = start.elapsed();
    let _ = std::fs::remove_dir_all(&folder);
    let source = if plan.is_ok_and(|plan| plan.proven) { " (proven, not read)" } else { "" };
    println!(
        "{name:<40} {:>7} operands, first tree {first:>9}, hit in memory {memory:.2?}, on disk {disk:.2?}{source}",
        network.inputs().len()
    );
}

/// Prints the times of networks of all sizes that need no data.
pub fn generated() {
    of("random regular 200", &generate::random_regular(200, 3, 2, 1));
    of("lattice 70 by 72", &generate::lattice(&[70, 72], 2, false));
    of("random regular 5000", &generate::random_regular(5000, 3, 2, 1));
    for (name, network) in [
        ("chain 100000", generate::chain(100_000, 2, 9, 1)),
        ("tree 100000", generate::tree(100_000, 3, 1)),
        ("lattice 316 by 317", generate::lattice(&[316, 317], 2, false)),
    ] {
        let start = Instant::now();
        let plan = optimize(&network, &mut Options { work: Some(1), ..Options::default() });
        println!("{name:<40} {:>7} operands, first tree {:.2?}", network.inputs().len(), start.elapsed());
        assert!(plan.is_ok_and(|plan| plan.path.len() + 1 == network.inputs().len()));
    }
}
