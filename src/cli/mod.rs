//! The `einc` command: reads the command line, calls the stages, writes results to stdout and messages to stderr.

mod args;
mod arrays;
mod calibrate;
mod check;
#[cfg(feature = "ckks")]
mod ckks;
mod encrypted;
mod failure;
mod fmt;
mod graph;
mod lints;
mod open;
mod plan;
mod planning;
mod processes;
mod progress;
mod run;
mod show;
mod text;

use crate::diagnostic::{Diagnostic, Format, render};
use crate::pipeline;
use crate::source::Sources;
use args::{Action, Command, MessageFormat, Shared, When};
use clap::Parser;
use failure::Failure;
use lints::Lints;
use std::io::{ErrorKind, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};

/// How the user wants to be told things.
#[derive(Debug)]
struct Told {
    format: Format,
    lints: Lints,
    quiet: bool,
    verbose: bool,
    /// Whether a line may show what goes on.
    progress: bool,
}

impl Told {
    fn new(shared: &Shared, format: Format) -> Result<Told, Failure> {
        Ok(Told {
            format,
            lints: Lints::new(shared)?,
            quiet: shared.quiet,
            verbose: shared.verbose,
            progress: std::io::stderr().is_terminal() && !shared.quiet && format != Format::Json,
        })
    }

    /// Warnings go to stderr, unless they are not wanted.
    ///
    /// # Errors
    /// Where some of them are to be taken for errors.
    fn warn(&self, warnings: Vec<Diagnostic>, sources: &Sources) -> Result<(), Failure> {
        let (mut errors, said) = self.lints.divide(warnings);
        if !errors.is_empty() {
            errors.extend(said);
            return Err(Failure::Diagnostics(errors, sources.clone()));
        }
        if !self.quiet && !said.is_empty() {
            tell(&render(&said, sources, self.format));
        }
        Ok(())
    }

    /// What was done goes to stderr where it was asked for.
    fn note(&self, text: &str) {
        if self.verbose {
            tell(&format!("note: {text}\n"));
        }
    }
}

/// How messages are written.
fn message_format(shared: &Shared) -> Format {
    match shared.message_format {
        MessageFormat::Short => Format::Short,
        MessageFormat::Json => Format::Json,
        MessageFormat::Human => {
            let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let color = match shared.color {
                When::Always => true,
                When::Never => false,
                When::Auto => std::io::stderr().is_terminal() && wanted,
            };
            Format::Human { color }
        }
    }
}

/// Writes to stderr. Where nobody listens any more there is nobody to tell that to.
fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Runs the command line of this process and gives its exit code.
pub fn main() -> i32 {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            // Nothing to do where even this cannot be written.
            let _ = error.print();
            return error.exit_code();
        }
    };
    // Results that are being written are finished first: their files are whole or not there.
    // A search that is interrupted gives what it has found.
    let interrupted = || {
        if planning::interrupt() {
            return;
        }
        let _writing = arrays::WRITING.lock();
        std::process::exit(130);
    };
    // Without a handler the system ends the process, which is as good but for the exit code.
    let _ = ctrlc::set_handler(interrupted);
    let format = message_format(&command.shared);
    match panic::catch_unwind(AssertUnwindSafe(|| execute(&command, &Told::new(&command.shared, format)?))) {
        Ok(Ok((code, text))) => {
            let mut out = std::io::stdout().lock();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                // A reader that went away (`einc explain --list | head`) is no error.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    tell(&format!("error: cannot write to standard output: {error}\n"));
                    4
                }
                _ => code,
            }
        }
        Ok(Err(failure)) => {
            tell(&failure.text(format));
            failure.exit_code()
        }
        Err(_) => {
            let arguments: Vec<String> = std::env::args().collect();
            tell(&format!(
                "error[EIN0901]: a bug of einc, in phase `{}`; please report the lines above and the command\n   \
                 = note: {} --dump all\n",
                pipeline::phase(),
                arguments.join(" ")
            ));
            101
        }
    }
}

/// Carries the command out; gives the exit code and what goes to stdout.
fn execute(command: &Command, told: &Told) -> Result<(i32, String), Failure> {
    let text = match &command.action {
        Action::Check(args) => return check::check(args, told),
        Action::Run(args) => return run::run(args, told),
        Action::Graph(args) => return graph::graph(args, told),
        Action::Fmt(args) => return fmt::fmt(args),
        Action::Plan(args) => return plan::plan(args, told),
        #[cfg(feature = "ckks")]
        Action::Ckks { action } => return ckks::ckks(action, told),
        Action::Explain(args) => text::explain(args)?,
        Action::Targets(args) => return text::targets(args),
        Action::Completions { shell } => text::completions(*shell),
        Action::Man { command } => text::man(command.as_deref())?,
    };
    Ok((0, text))
}
