//! `einc fmt`.

use super::args::FmtArgs;
use super::arrays;
use super::failure::Failure;
use super::open;
use crate::program;
use crate::source::Sources;
use std::path::Path;

/// Lays files out, or lists those that would change.
pub fn fmt(args: &FmtArgs) -> Result<(i32, String), Failure> {
    let mut out = String::new();
    let mut changed = 0;
    let (mut errors, mut sources) = (Vec::new(), Sources::default());
    for path in &args.files {
        let text = read(path)?;
        let name = path.display().to_string();
        let file = sources.add(name.clone(), Some(path.clone()), text.clone());
        let laid_out = match einc_grammar::format(&text) {
            Ok(laid_out) => laid_out,
            Err(found) => {
                errors.extend(found.into_iter().map(|error| {
                    let mut diagnostic = program::syntax_diagnostic(error);
                    diagnostic.labels.iter_mut().for_each(|(span, _)| span.file = file);
                    diagnostic.fix.iter_mut().for_each(|(span, _)| span.file = file);
                    diagnostic
                }));
                continue;
            }
        };
        if path.as_os_str() == "-" && !args.check {
            out.push_str(&laid_out);
        } else if laid_out != text {
            changed += 1;
            if args.check {
                out.push_str(&format!("{name}\n"));
            } else {
                arrays::write_text(path, &laid_out)?;
            }
        }
    }
    if !errors.is_empty() {
        return Err(Failure::Diagnostics(errors, sources));
    }
    Ok((i32::from(args.check && changed > 0), out))
}

fn read(path: &Path) -> Result<String, Failure> {
    match path.as_os_str() == "-" {
        true => open::read_text(&mut std::io::stdin().lock(), "standard input"),
        false => open::read_file(path),
    }
}
