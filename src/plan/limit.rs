//! Whether a plan fits the memory that it may use.

use super::{Place, Plan, Settings, product};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Graph;

/// The bytes that the settings and the program allow.
pub(super) fn allowed(graph: &Graph, settings: &Settings) -> u64 {
    let addressable = isize::MAX as u64;
    [settings.memory_limit, graph.memory_limit].into_iter().flatten().fold(addressable, u64::min)
}

/// Refuses a plan that needs more memory than is allowed.
///
/// # Errors
/// EIN0501, with the largest value.
pub fn fits(plan: &Plan, limit: u64) -> Result<(), Diagnostic> {
    let needed = plan.memory();
    if needed <= limit {
        return Ok(());
    }
    let mut largest: Vec<(u64, &str)> =
        plan.buffers.iter().map(|(_, buffer)| (buffer.bytes(), buffer.name.as_str())).collect();
    largest.sort_by(|a, b| b.cmp(a));
    let mut diagnostic = Diagnostic::error(
        Code::MemoryLimit,
        format!("no plan fits {}: the smallest found needs {}", show_bytes(limit), show_bytes(needed)),
    );
    if let Some((bytes, name)) = largest.first() {
        diagnostic = diagnostic.note(format!("the largest value, `{name}`, takes {}", show_bytes(*bytes)));
    }
    let intermediates = plan.arena.saturating_add(plan.workspace);
    Err(diagnostic
        .note(format!(
            "{} of it are intermediates, the rest is inputs, outputs and constants",
            show_bytes(intermediates)
        ))
        .help("allow more with `--memory`, or compute with smaller sizes"))
}

impl Plan {
    /// Sets on how many threads it should run: so many, or fewer where their own memory and that of their matrix products
    /// exceeds what is allowed.
    pub fn run_on(&mut self, threads: usize, allowed: u64) {
        for threads in (1..=threads.max(1)).rev() {
            let workers = self.worker_bytes().saturating_mul(threads as u64);
            let products = product::workspace(self, threads);
            (self.threads, self.workspace) = (threads, products.saturating_add(workers));
            if self.workspace == 0 || self.memory() <= allowed {
                break;
            }
        }
    }

    /// Bytes of the values of which every worker has its own.
    pub fn worker_bytes(&self) -> u64 {
        let ends = self.buffers.iter().filter_map(|(_, buffer)| match buffer.place {
            Place::Worker(at) => Some(at.saturating_add(buffer.bytes())),
            _ => None,
        });
        ends.max().unwrap_or(0)
    }

    /// Bytes of everything: inputs, outputs, constants, the arena and what matrix products take; saturates.
    pub fn memory(&self) -> u64 {
        self.buffers
            .iter()
            .filter(|(_, buffer)| !matches!(buffer.place, Place::Arena(_) | Place::Worker(_)))
            .map(|(_, buffer)| buffer.bytes())
            .fold(self.arena.saturating_add(self.workspace), u64::saturating_add)
    }
}

/// `3.4 GiB`, `512 B`.
pub fn show_bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}
