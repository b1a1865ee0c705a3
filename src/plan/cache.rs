//! Contraction orders that were found before, in memory and on disk.
//!
//! An order is kept under its network with operands and axes in a canonical order, so that the same product under other
//! names finds it. It answers a request of at most the effort that it was found with; greater efforts search again and
//! keep the better of both, so what is kept only improves. A file that is damaged, of another version, or of another
//! network, is no hit.
//!
//! The canonical order of a large network takes longer to find than its contraction order to read, so an order is kept
//! under the network as it was given, too.

mod canonical;
mod disk;

use super::search::{self, Mark, MemoryLimit, Network, Options, Plan, Refusal};
use canonical::Canonical;
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
    /// The effort that was allowed, in units of work.
    effort: f64,
    plan: Plan,
}

impl Entry {
    fn answers(&self, effort: f64) -> bool {
        self.plan.proven || self.effort >= effort
    }
}

/// Entries by network and by what was asked of it.
type Table = HashMap<u128, Arc<Entry>>;

#[derive(Default)]
struct Memory {
    /// By the network as it was given.
    given: Table,
    /// By the network in canonical order; the plan is of that.
    canonical: Table,
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
        if let Some(entry) = self.known(exact, network, |memory| &mut memory.given)
            && entry.answers(effort)
        {
            return Ok(entry.plan.clone());
        }
        let canonical = Canonical::new(network);
        let place = key(&canonical.network, &what);
        let known = self.known(place, &canonical.network, |memory| &mut memory.canonical);
        if let Some(entry) = &known
            && entry.answers(effort)
            && let Some(plan) = canonical.restore(network, &entry.plan, options)
        {
            self.keep(exact, Entry { effort: entry.effort, plan: plan.clone() }, |memory| &mut memory.given);
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
        let shared = Entry { effort, plan: canonical.plan(&plan) };
        self.keep(place, shared, |memory| &mut memory.canonical);
        self.keep(exact, Entry { effort, plan: plan.clone() }, |memory| &mut memory.given);
        Ok(plan)
    }

    /// What is known about a network, in memory or on disk.
    fn known(
        &self,
        key: u128,
        network: &Network,
        table: impl Fn(&mut Memory) -> &mut Table,
    ) -> Option<Arc<Entry>> {
        if let Some(entry) = table(&mut *self.memory.lock().ok()?).get(&key) {
            return Some(entry.clone());
        }
        let entry = Arc::new(disk::read(self.folder.as_ref()?, key, network)?);
        self.remember(key, entry.clone(), table);
        Some(entry)
    }

    /// Keeps what is known about a network, on disk if that is worth it.
    fn keep(&self, key: u128, entry: Entry, table: impl Fn(&mut Memory) -> &mut Table) {
        if entry.plan.work >= WORTH_A_FILE
            && let Some(folder) = &self.folder
        {
            // A cache that cannot be written is as good as none.
            let _ = disk::write(folder, key, &entry);
        }
        self.remember(key, Arc::new(entry), table);
    }

    fn remember(&self, key: u128, entry: Arc<Entry>, table: impl Fn(&mut Memory) -> &mut Table) {
        let Ok(mut memory) = self.memory.lock() else { return };
        if memory.steps > STEPS {
            *memory = Memory::default();
        }
        memory.steps += entry.plan.path.len();
        table(&mut memory).insert(key, entry);
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

/// A number for a network and what is wanted of it, which no two of them share.
fn key(network: &Network, what: &str) -> u128 {
    let mut mark = Mark::new();
    mark.add((network.mark() >> 64) as u64);
    mark.add(network.mark() as u64);
    what.bytes().for_each(|byte| mark.add(u64::from(byte)));
    mark.value()
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
        let again = cache.optimize(&network, &mut options(2_000_000), "").unwrap();
        assert_eq!(first, again, "a plan holds the seconds of its search: a second search would differ");
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
        assert_eq!(files.len(), 2, "as given, as canonical, and nothing half-written: {files:?}");
        let read =
            || Cache::new(Some(folder.clone())).optimize(&network, &mut options(7_000_000), "").unwrap();
        assert_eq!(read(), first);
        let whole: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        // One of the two is enough; the canonical one may state the steps of a slightly different order of operands.
        for file in [0, 1] {
            std::fs::write(&files[file], "").unwrap();
            let again = read();
            assert_eq!((again.seconds, again.cost), (first.seconds, first.cost), "not searched again");
            std::fs::write(&files[file], &whole[file]).unwrap();
        }
        let bit = |k: usize| {
            move |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let k = k % bytes.len();
                bytes[k] ^= 4;
                bytes
            }
        };
        let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
        let longer = |bytes: &[u8]| [bytes, &[0; 8]].concat();
        let empty = |_: &[u8]| Vec::new();
        let damages: [&dyn Fn(&[u8]) -> Vec<u8>; 7] =
            [&bit(0), &bit(20), &bit(37), &bit(300), &cut, &longer, &empty];
        for (number, damage) in damages.iter().enumerate() {
            for (file, whole) in files.iter().zip(&whole) {
                std::fs::write(file, damage(whole)).unwrap();
            }
            let plan = read();
            assert_ne!(plan.seconds, first.seconds, "searched again: {number}");
            assert_eq!(search::evaluate(&network, &plan.path, &plan.slices).unwrap(), plan.cost);
        }
        // A file under the name of another network is of that one.
        let other = generate::random_regular(60, 3, 2, 7);
        let searched = Cache::new(None).optimize(&other, &mut options(7_000_000), "").unwrap();
        for file in &files {
            std::fs::write(folder.join(file.file_name().unwrap()), &whole[0]).unwrap();
        }
        let found = Cache::new(Some(folder.clone())).optimize(&other, &mut options(7_000_000), "").unwrap();
        assert_eq!(found.path, searched.path);
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
