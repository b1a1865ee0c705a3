//! The `einc` command.

fn main() {
    std::process::exit(einc::cli::main());
}
