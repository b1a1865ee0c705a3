//! The stages by name, and which one runs.

use std::fmt;
use std::sync::Mutex;

/// A stage, as `--dump` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// What was written.
    Tree,
    /// Names resolved, sizes fixed.
    Program,
    /// Which value feeds which.
    Graph,
    /// Steps over buffers.
    Plan,
    /// Loops over addressed memory.
    Loops,
    /// The back end's own code.
    Clif,
    /// Packed ciphertexts.
    Slots,
}

impl Phase {
    /// Every stage in order.
    pub const ALL: [Phase; 7] =
        [Phase::Tree, Phase::Program, Phase::Graph, Phase::Plan, Phase::Loops, Phase::Clif, Phase::Slots];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Tree => "tree",
            Phase::Program => "program",
            Phase::Graph => "graph",
            Phase::Plan => "plan",
            Phase::Loops => "loops",
            Phase::Clif => "clif",
            Phase::Slots => "slots",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The phase that runs, for the note of a crash.
static PHASE: Mutex<&str> = Mutex::new("start");

/// Says which phase runs now.
pub fn enter(phase: &'static str) {
    if let Ok(mut current) = PHASE.lock() {
        *current = phase;
    }
}

/// The phase that ran last, for the note of a crash.
pub fn phase() -> &'static str {
    PHASE.lock().map_or("unknown", |current| *current)
}
