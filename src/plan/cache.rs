//! Contraction orders that were found before, in memory and on disk.
//!
//! An order is kept under its network with operands and axes in a canonical order, so that the same product under other
//! names finds it. It answers a request of at most the effort that it was found with; greater efforts search again and
//! keep the better of both, so what is kept only improves. A file that is damaged, of another version, or wrong about
//! its network or cost, is no hit.

mod canonical;
mod disk;

use super::search::{self, MemoryLimit, Network, Objective, Options, Plan, Refusal};
use canonical::{Canonical, Hash};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What is kept in memory at most, counted in steps.
const STEPS: usize = 1 << 22;

/// Work below which an order is found again sooner than a file is read.
const WORTH_A_FILE: u64 = 5_000_000;

/// What is known for one request.
#[derive(Clone, Debug)]
struct Entry {
    network: Network,
    what: String,
    /// The effort that was allowed, in units of work.
    effort: f64,
    plan: Plan,
}

impl Entry {
    fn answers(&self, network: &Network, what: &str, effort: f64) -> bool {
        self.is_of(network, what) && (self.plan.proven || self.effort >= effort)
    }

    fn is_of(&self, network: &Network, what: &str) -> bool {
        self.what == what && self.network == *network
    }
}

#[derive(Default)]
struct Memory {
    /// By the network as it was given.
    given: HashMap<u64, Arc<Entry>>,
    /// By the network in canonical order; the plan is of that.
    canonical: HashMap<u64, Arc<Entry>>,
    steps: usize,
}

/// Orders found before.
#[derive(Default)]
pub struct Cache {
    memory: Mutex<Memory>,
    folder: Option<PathBuf>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cache {
    /// An empty cache in memory; with a folder, also the files there. The folder is made when something is kept.
    pub fn new(folder: Option<PathBuf>) -> Cache {
        Cache { memory: Mutex::default(), folder }
    }

    /// [`search::optimize`], or what it found before. `profile` names what a custom objective stands for.
    ///
    /// # Errors
    /// As [`search::optimize`].
    pub fn optimize(
        &self,
        network: &Network,
        options: &mut Options<'_>,
        profile: &str,
    ) -> Result<Plan, Refusal> {
        let what = what(options, profile);
        let effort = search::effort(options);
        let exact = key(network, &what);
        if let Some(entry) = self.lookup(|memory| memory.given.get(&exact))
            && entry.answers(network, &what, effort)
        {
            return Ok(entry.plan.clone());
        }
        let canonical = Canonical::new(network);
        let place = key(&canonical.network, &what);
        let known = self.known(&canonical, place, &what, &options.objective);
        if let Some(entry) = &known
            && (entry.plan.proven || entry.effort >= effort)
            && let Some(plan) = canonical.restore(network, &entry.plan, options)
        {
            self.keep(
                exact,
                None,
                Entry { network: network.clone(), what, effort: entry.effort, plan: plan.clone() },
            );
            return Ok(plan);
        }
        let found = search::optimize(network, options)?;
        let mut plan = found;
        if let Some(better) = &known
            && better.plan.log2_value < plan.log2_value - 1e-12
            && let Some(old) = canonical.restore(network, &better.plan, options)
        {
            plan = Plan {
                work: plan.work,
                rounds: plan.rounds,
                seconds: plan.seconds,
                capped: plan.capped,
                ..old
            };
        }
        let cancelled = options.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed));
        let effort = if cancelled { plan.work as f64 } else { effort };
        let shared = canonical.plan(&plan);
        let entry = Entry { network: canonical.network.clone(), what: what.clone(), effort, plan: shared };
        if plan.work >= WORTH_A_FILE
            && let Some(folder) = &self.folder
        {
            // A cache that cannot be written is as good as none.
            let _ = disk::write(folder, place, &entry);
        }
        self.keep(
            exact,
            Some((place, entry)),
            Entry { network: network.clone(), what, effort, plan: plan.clone() },
        );
        Ok(plan)
    }

    fn lookup(&self, get: impl Fn(&Memory) -> Option<&Arc<Entry>>) -> Option<Arc<Entry>> {
        let memory = self.memory.lock().ok()?;
        get(&memory).cloned()
    }

    /// What is known about a network in canonical order.
    fn known(
        &self,
        canonical: &Canonical,
        place: u64,
        what: &str,
        objective: &Objective<'_>,
    ) -> Option<Arc<Entry>> {
        let entry = self.lookup(|memory| memory.canonical.get(&place));
        if let Some(entry) = entry
            && entry.is_of(&canonical.network, what)
        {
            return Some(entry);
        }
        let folder = self.folder.as_ref()?;
        disk::read(folder, place, &canonical.network, what, objective).map(Arc::new)
    }

    fn keep(&self, exact: u64, canonical: Option<(u64, Entry)>, entry: Entry) {
        let Ok(mut memory) = self.memory.lock() else { return };
        if memory.steps > STEPS {
            *memory = Memory::default();
        }
        memory.steps += entry.plan.path.len();
        memory.given.insert(exact, Arc::new(entry));
        if let Some((place, entry)) = canonical {
            memory.steps += entry.plan.path.len();
            memory.canonical.insert(place, Arc::new(entry));
        }
    }
}

/// What is asked for, beside the network and the effort.
fn what(options: &Options<'_>, profile: &str) -> String {
    let memory = match options.memory {
        None => String::new(),
        Some(MemoryLimit::Largest(elems)) => format!(" largest {elems}"),
        Some(MemoryLimit::Peak(elems)) => format!(" peak {elems}"),
        Some(MemoryLimit::Total(elems)) => format!(" total {elems}"),
    };
    format!("{} {:?} {profile}{memory} seed {}", search::VERSION, options.objective, options.seed)
}

/// A number for a network and what is wanted of it.
fn key(network: &Network, what: &str) -> u64 {
    let mut hash = Hash::new();
    what.bytes().for_each(|byte| hash.add(u64::from(byte)));
    for axes in network.inputs().iter().chain(std::iter::once(&network.output().to_vec())) {
        hash.add(axes.len() as u64 + (1 << 40));
        axes.iter().for_each(|&axis| hash.add(u64::from(axis)));
    }
    network.extents().iter().for_each(|&extent| hash.add(extent));
    hash.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::search::generate;

    fn options(work: u64) -> Options<'static> {
        Options { work: Some(work), ..Options::default() }
    }

    /// The network with its operands and axes in another order.
    fn shuffled(network: &Network) -> Network {
        let count = network.extents().len() as u32;
        let rename = |axis: u32| (axis * 7 + 3) % count;
        assert!(!count.is_multiple_of(7), "a permutation");
        let mut inputs: Vec<Vec<u32>> = network
            .inputs()
            .iter()
            .map(|axes| axes.iter().rev().map(|&axis| rename(axis)).collect())
            .collect();
        inputs.rotate_left(5);
        let mut extents = vec![0; count as usize];
        network
            .extents()
            .iter()
            .enumerate()
            .for_each(|(k, &extent)| extents[rename(k as u32) as usize] = extent);
        Network::new(inputs, network.output().iter().map(|&axis| rename(axis)).collect(), extents).unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("einc-cache-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_second_request_gets_the_first_answer_at_once() {
        let network = generate::random_hypergraph(40, 60, 3, 1);
        let cache = Cache::new(None);
        let first = cache.optimize(&network, &mut options(2_000_000), "").unwrap();
        assert_eq!(
            first,
            Cache::default()
                .optimize(&network, &mut options(2_000_000), "")
                .map(|plan| Plan { seconds: first.seconds, ..plan })
                .unwrap()
        );
        let start = std::time::Instant::now();
        let again = cache.optimize(&network, &mut options(2_000_000), "").unwrap();
        assert!(start.elapsed().as_micros() < 5000);
        assert_eq!(first, again);
        // Less effort is answered, too; another objective or seed is not.
        assert_eq!(cache.optimize(&network, &mut options(1000), "").unwrap().path, first.path);
        let other = cache.optimize(&network, &mut Options { seed: 3, ..options(1000) }, "").unwrap();
        assert!(other.work < first.work);
    }

    #[test]
    fn other_names_find_the_same_order() {
        let network = generate::random_hypergraph(30, 51, 2, 4);
        let cache = Cache::new(None);
        let first = cache.optimize(&network, &mut options(1_000_000), "").unwrap();
        let other = shuffled(&network);
        let again = cache.optimize(&other, &mut options(1_000_000), "").unwrap();
        assert!((first.log2_value - again.log2_value).abs() < 1e-9);
        assert_eq!(first.seconds, again.seconds, "found again, not searched again");
        assert_eq!(search::evaluate(&other, &again.path, &again.slices).unwrap(), again.cost);
    }

    #[test]
    fn more_effort_never_makes_it_worse() {
        let network = generate::random_regular(60, 3, 2, 5);
        let cache = Cache::new(None);
        let mut last = f64::INFINITY;
        for work in [1000, 1_000_000, 2_000_000, 500_000] {
            let plan = cache.optimize(&network, &mut options(work), "").unwrap();
            assert!(plan.log2_value <= last + 1e-12);
            last = plan.log2_value;
        }
    }

    #[test]
    fn orders_survive_on_disk_and_damage_is_noticed() {
        let folder = folder("disk");
        let network = generate::random_regular(60, 3, 2, 6);
        let first = Cache::new(Some(folder.clone())).optimize(&network, &mut options(8_000_000), "").unwrap();
        let files: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "one file and nothing half-written: {files:?}");
        let read =
            || Cache::new(Some(folder.clone())).optimize(&network, &mut options(7_000_000), "").unwrap();
        let again = read();
        assert_eq!((&again.path, again.work, again.seconds), (&first.path, first.work, first.seconds));
        let text = std::fs::read_to_string(&files[0]).unwrap();
        let better = text.replace("\"log2_value\":", "\"log2_value\":1.5, \"was\":");
        for damaged in [
            "",
            "{}",
            "[1, 2",
            &text[..text.len() / 2],
            &better,
            &text.replace("\"path\":[[", "\"path\":[[0,0],["),
        ] {
            std::fs::write(&files[0], damaged).unwrap();
            let plan = read();
            assert_ne!(plan.seconds, first.seconds, "searched again: {damaged}");
            assert_eq!(search::evaluate(&network, &plan.path, &plan.slices).unwrap(), plan.cost);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn slices_are_kept_with_the_order() {
        let network = generate::random_hypergraph(30, 51, 2, 4);
        let cache = Cache::new(None);
        let memory = Some(MemoryLimit::Largest(16.0));
        let mut wanted = Options { memory, ..options(2_000_000) };
        let first = cache.optimize(&network, &mut wanted, "").unwrap();
        assert!(!first.slices.is_empty());
        assert_eq!(cache.optimize(&network, &mut wanted, "").unwrap(), first);
        let other = cache.optimize(&shuffled(&network), &mut wanted, "").unwrap();
        assert!((other.log2_value - first.log2_value).abs() < 1e-9 && other.cost.size.value() <= 16.0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_does_no_harm() {
        let cache = Cache::new(Some(PathBuf::from("/proc/einc-no-such-folder")));
        let network = generate::random_regular(60, 3, 2, 6);
        assert!(cache.optimize(&network, &mut options(6_000_000), "").is_ok());
    }
}
