//! The commands about text: `fmt`, `explain`, `targets`, `completions`, `man`.

use super::args::{Command, ExplainArgs, TargetsArgs};
use super::failure::Failure;
use super::{calibrate, planning};
use crate::diagnostic::Code;
use crate::program::similar;
use clap::CommandFactory;

/// `einc explain`.
pub fn explain(args: &ExplainArgs) -> Result<String, Failure> {
    if args.list {
        let line = |code: Code| {
            let first = code.explanation().lines().next().unwrap_or("");
            format!("{code}  {:<28} {first}\n", code.slug())
        };
        return Ok(Code::all().map(line).collect());
    }
    let code = code(args.code.as_deref().unwrap_or_default())?;
    Ok(format!("{code} {}\n\n{}\n", code.slug(), code.explanation().trim_end()))
}

/// The code of that number or name.
pub fn code(text: &str) -> Result<Code, Failure> {
    Code::parse(text).ok_or_else(|| {
        let near = similar(text, Code::all().map(Code::slug));
        let near = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        Failure::Usage(format!("no code is called `{text}`{near}; `einc explain --list` lists them"))
    })
}

/// `einc targets`.
pub fn targets(args: &TargetsArgs) -> Result<(i32, String), Failure> {
    let mut text = list_targets();
    if args.calibrate {
        let (path, rates) = calibrate::calibrate()?;
        text += &format!("\nmeasured: {rates}\nkept in {}\n", path.display());
    } else {
        text += &format!("rates: {}\n", planning::rates());
    }
    Ok((0, text))
}

fn list_targets() -> String {
    let cranelift =
        if cfg!(feature = "cranelift") { "ready" } else { "not in this build (feature `cranelift`)" };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    format!(
        "cranelift  native code for this machine     {cranelift}\n\
         interpret  slow and exact, the judge        ready\n\n\
         this machine: {}, {threads} threads, {:.1} GiB free\n",
        std::env::consts::ARCH,
        crate::pipeline::free_memory() as f64 / (1u64 << 30) as f64
    )
}

/// `einc completions`.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Command::command(), "einc", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `einc man`.
pub fn man(name: Option<&str>) -> Result<String, Failure> {
    let mut command = Command::command();
    command.build();
    let page = match name {
        None => command,
        Some(name) => command
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| Failure::Usage(format!("there is no command `{name}`")))?,
    };
    let mut bytes = Vec::new();
    match clap_mangen::Man::new(page).render(&mut bytes) {
        Ok(()) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(Failure::Usage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_explained_by_number_and_name() {
        let explain = |code: &str| explain(&ExplainArgs { code: Some(code.to_string()), list: false });
        let text = explain("EIN0301").unwrap();
        assert!(text.starts_with("EIN0301 extent-mismatch\n\n"), "{text}");
        assert_eq!(explain("extent-mismatch").unwrap(), text);
        assert_eq!(explain("301").unwrap(), text);
        assert_eq!(explain("nonsense").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn every_code_has_a_name_and_an_explanation_of_its_own() {
        let codes: Vec<Code> = Code::all().collect();
        for (k, code) in codes.iter().enumerate() {
            assert!(!code.explanation().is_empty() && code.slug() != "unknown", "{code}");
            assert!(codes[..k].iter().all(|other| other.slug() != code.slug() && other != code), "{code}");
        }
    }

    #[test]
    fn scripts_and_pages_come_out() {
        assert!(completions(clap_complete::Shell::Bash).contains("einc"));
        assert!(man(None).unwrap().contains("einc"));
        assert!(man(Some("run")).unwrap().contains("compare"));
        assert_eq!(man(Some("walk")).unwrap_err().exit_code(), 2);
    }
}
