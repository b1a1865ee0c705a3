//! Passes: functions from an IR to the same IR, run in a stated order.

/// One pass.
pub struct Pass<T> {
    /// Its name in dumps and bug reports, a verb: `drop-unused`.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&T) -> T,
}

/// Runs passes in order and hands each result to `after`, with the pass's name.
pub fn run<T>(mut ir: T, passes: &[Pass<T>], after: &mut dyn FnMut(&'static str, &T)) -> T {
    for pass in passes {
        ir = (pass.run)(&ir);
        after(pass.name, &ir);
    }
    ir
}
