//! What commands that plan share: the machine's rates, the orders found before, the orders given.

use super::args::PlanningArgs;
use super::failure::Failure;
use super::open;
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline;
use crate::plan::cache::Cache;
use crate::plan::search::Rates;
use crate::plan::{self, Late, Locked};
use crate::program::{Module, Program};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Where einc keeps what it has measured and found: `$EINC_HOME`, or `einc` among the caches of the user.
pub fn home() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("EINC_HOME")
        .or_else(|| folder("XDG_CACHE_HOME").map(|caches| caches.join("einc")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache").join("einc")))
}

/// The file of this machine's rates.
pub fn rates_file() -> Option<PathBuf> {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    Some(home()?.join(format!("rates-{}.json", if name.is_empty() { "machine" } else { &name })))
}

/// The rates of this machine: measured ones if there are any, those of a usual one otherwise.
pub fn rates() -> Rates {
    let text = rates_file().and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| Rates::from_json(&text)).unwrap_or_default()
}

/// How to plan, as the command line says.
pub fn settings(args: &PlanningArgs) -> Result<plan::Settings, Failure> {
    let locked = match &args.locked_plan {
        None => None,
        Some(path) => {
            let text = open::read_file(path)?;
            let read = Locked::read(&text, true).map_err(|reason| {
                Failure::of(Diagnostic::error(
                    Code::LockedPlan,
                    format!("`{}` is no plan: {reason}", path.display()),
                ))
            })?;
            Some(Arc::new(read))
        }
    };
    Ok(plan::Settings {
        rates: rates(),
        cache: Some(Arc::new(cache(args))),
        locked,
        ..plan::Settings::default()
    })
}

/// What keeps orders for all of the ranges that a program declares for its sizes: they are found once, and each size takes
/// one of them. None where it declares none.
pub fn late(module: &Arc<Module>, program: &Program) -> Option<Arc<Late>> {
    let late = Late::default();
    pipeline::declare_ranges(module, program, &late);
    (!program.dim_ranges.is_empty()).then(|| Arc::new(late))
}

/// Orders that were found before.
pub fn cache(args: &PlanningArgs) -> Cache {
    let folder = args.plan_cache.clone().or_else(|| home().map(|home| home.join("plans")));
    Cache::new(folder.filter(|_| !args.no_plan_cache))
}

/// The search that an interrupt ends.
static SEARCH: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);

/// Lets the next interrupt end a search, which then gives what it has found.
pub fn interruptible() -> Arc<AtomicBool> {
    let cancel = Arc::new(AtomicBool::new(false));
    if let Ok(mut search) = SEARCH.lock() {
        *search = Some(cancel.clone());
    }
    cancel
}

/// Whether an interrupt has ended a search; a second interrupt is for the whole process.
pub fn interrupt() -> bool {
    let search = SEARCH.lock().ok().and_then(|search| search.clone());
    search.is_some_and(|cancel| !cancel.swap(true, Ordering::Relaxed))
}

/// Leaves further interrupts to the whole process.
pub fn uninterruptible() {
    if let Ok(mut search) = SEARCH.lock() {
        *search = None;
    }
}
