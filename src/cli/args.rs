//! What can be written on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The `einc` command.
#[derive(Parser, Debug)]
#[command(
    name = "einc",
    version,
    about = "Compiles and runs einsum tensor programs",
    after_help = "Examples:\n  \
        einc run attention.ein::attention --inputs qkv.npz -o out.npz\n  \
        einc run -e 'C[i,k] = A[i,j] * B[j,k]' A=a.npy B=b.npy -o C=c.npy\n  \
        einc run --einsum 'ij,jk->ik' a.npy b.npy -o c.npy\n  \
        einc check attention.ein\n  \
        einc explain EIN0301\n\n\
        Exit codes: 0 ok, 1 errors in the program, 2 wrong usage, 3 refused by a limit, 4 errors in data or files,\n\
        5 a comparison failed, 101 a bug of einc, 130 interrupted."
)]
pub struct Command {
    #[command(flatten)]
    pub shared: Shared,
    #[command(subcommand)]
    pub action: Action,
}

/// Options of every command.
#[derive(Args, Debug)]
pub struct Shared {
    /// How errors and warnings are written to stderr
    #[arg(long, global = true, value_enum, default_value = "human", value_name = "FORMAT")]
    pub message_format: MessageFormat,
    /// Whether to use colours (`auto`: on a terminal, unless NO_COLOR is set)
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: When,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say these warnings, and go on
    #[arg(short = 'W', long = "warn", global = true, value_name = "CODE")]
    pub warn: Vec<String>,
    /// Take these warnings for errors; `warnings` stands for all that -W and -A do not name
    #[arg(short = 'D', long = "deny", global = true, value_name = "CODE")]
    pub deny: Vec<String>,
    /// Do not say these warnings
    #[arg(short = 'A', long = "allow", global = true, value_name = "CODE")]
    pub allow: Vec<String>,
    /// Say what is being done
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// With the lines of the source
    Human,
    /// One line each
    Short,
    /// One JSON object a line
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Check a program and list what it takes and gives
    #[command(after_help = "Examples:\n  \
        einc check matmul.ein\n  \
        einc check layers.ein::attention --set H=8\n  \
        einc check matmul.ein --message-format json")]
    Check(CheckArgs),
    /// Run a program on arrays
    #[command(
        after_help = "Arrays come by name: NAME=file.npy, or all members of an .npz or .safetensors file with --inputs.\n\
        Sizes come from their shapes; --set gives those that no shape fixes. Without -o the results are printed.\n\n\
        Examples:\n  \
        einc run matmul.ein A=a.npy B=b.npy -o C=c.npy\n  \
        einc run layers.ein::attention --inputs in.npz --set H=8 -o out.npz\n  \
        einc run matmul.ein --random 7 --set M=4 --set K=3 --set N=2\n  \
        einc run layers.ein::norm --inputs in.npz --compare expected.npz --rtol 1e-5\n  \
        einc run -e 'C[i,k] = A[i,j] * B[j,k]' A=a.npy B=b.npy -o C=c.npy\n  \
        einc run --einsum 'ij,jk->ik' a.npy b.npy -o c.npy"
    )]
    Run(RunArgs),
    /// Show how a program or a tensor network is contracted and what that costs
    #[command(after_help = "Examples:\n  \
        einc plan attention.ein::attention --set N=1024 --set D=64\n  \
        einc plan network.json --memory 2GiB --time-limit 10\n  \
        einc plan network.json --locked-plan path.json --format html -o plan.html\n  \
        einc plan attention.ein --set N=1024 --format json")]
    Plan(PlanArgs),
    /// Lay programs out in the one standard way
    #[command(after_help = "Examples:\n  \
        einc fmt *.ein            # rewrites the files\n  \
        einc fmt --check *.ein    # exit code 1 if a file would change\n  \
        einc fmt - < in.ein > out.ein")]
    Fmt(FmtArgs),
    /// Show which value feeds which
    #[command(after_help = "Examples:\n  \
        einc graph attention.ein --set N=16 --set D=4\n  \
        einc graph attention.ein --set N=16 --set D=4 --format svg -o attention.svg")]
    Graph(GraphArgs),
    /// Explain an error code
    #[command(
        after_help = "Examples:\n  einc explain EIN0301\n  einc explain extent-mismatch\n  einc explain --list"
    )]
    Explain(ExplainArgs),
    /// Run on encrypted arrays in separate steps: keys, encryption, run, decryption
    ///
    /// The owner of the data makes keys, encrypts and decrypts; who runs the schedule needs no secret key. Unaudited, not
    /// constant time, for evaluation.
    #[cfg(feature = "ckks")]
    Ckks {
        #[command(subcommand)]
        action: CkksAction,
    },
    /// List the targets and what they need
    #[command(after_help = "Examples:\n  \
        einc targets\n  \
        einc targets --calibrate   # measures this machine; plans are made for it from then on")]
    Targets(TargetsArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  einc completions bash > ~/.local/share/bash-completion/completions/einc"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  einc man > einc.1")]
    Man {
        /// Print the page of this command
        command: Option<String>,
    },
}

/// Which program, at which sizes.
#[derive(Args, Debug, Clone, Default)]
pub struct Sizes {
    /// A dim or a dtype variable, such as K=3 or F=f32; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The program, and one of its functions (`-` reads standard input)
    #[arg(required = true, value_name = "FILE[::FN]")]
    pub programs: Vec<String>,
    #[command(flatten)]
    pub sizes: Sizes,
    /// Print a stage: tree, program
    #[arg(long, value_name = "PHASE")]
    pub dump: Option<String>,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    /// The program, one of its functions, and arrays
    #[arg(value_name = "FILE[::FN] | NAME=FILE.npy")]
    pub words: Vec<String>,
    /// The program itself; inputs that it does not declare have the types and shapes of the arrays
    #[arg(short = 'e', long = "expression", value_name = "TEXT", conflicts_with = "einsum")]
    pub expression: Option<String>,
    /// An einsum string; the operands are files in its order
    #[arg(long, value_name = "SPEC", allow_hyphen_values = true)]
    pub einsum: Option<String>,
    /// Arrays by name, from an .npz or .safetensors file; may be given several times
    #[arg(long, value_name = "FILE")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub sizes: Sizes,
    /// Where results go: all into an .npz or .safetensors file, or one into NAME=FILE.npy
    #[arg(short, long, value_name = "FILE | NAME=FILE.npy")]
    pub output: Vec<String>,
    /// Compare the results with the arrays of this file; exit code 5 if they differ
    #[arg(long, value_name = "FILE.npz")]
    pub compare: Option<PathBuf>,
    /// Relative tolerance of --compare; 1e-5, and 0 for integers, where it is not given
    #[arg(long, value_name = "R", value_parser = tolerance, allow_negative_numbers = true)]
    pub rtol: Option<f64>,
    /// Absolute tolerance of --compare; 1e-8, and 0 for integers, where it is not given
    #[arg(long, value_name = "A", value_parser = tolerance, allow_negative_numbers = true)]
    pub atol: Option<f64>,
    /// Fill the inputs that are not given with random numbers
    #[arg(long, value_name = "SEED")]
    pub random: Option<u64>,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Print a stage: tree, program, graph, plan, loops, clif, slots, or all
    #[arg(long, value_name = "PHASE")]
    pub dump: Vec<String>,
    /// Run in the interpreter, slowly and exactly; short for --target interpret
    #[arg(long, conflicts_with = "target")]
    pub interpret: bool,
    #[command(flatten)]
    pub cipher: CipherArgs,
    /// What runs ciphertexts (default: embedded)
    #[arg(long, value_enum, value_name = "EXECUTOR", requires = "target", conflicts_with_all = ["simulate", "emit"])]
    pub executor: Option<Executor>,
}

/// What runs the program, and what only ciphertexts need.
#[derive(Args, Debug, Clone, Default)]
pub struct CipherArgs {
    /// What runs the program (default: the fastest target that can). ckks computes on encrypted inputs; --set layout=row_major and
    /// --set slots=16384 say how they are packed, --set depth=4 how many levels may be spent,
    /// --set keys=9 how many keys there may be
    #[arg(long, value_enum, value_name = "TARGET")]
    pub target: Option<TargetName>,
    /// An input that is encrypted (default: those marked secret, else all but param); may be given several times
    #[arg(long, value_name = "NAME", requires = "target")]
    pub secret: Vec<String>,
    /// Run on clear slots what would run on ciphertexts
    #[arg(long, requires = "target")]
    pub simulate: bool,
    /// Allow parameters with less than 128 bits of security, for tests
    #[arg(long, requires = "target")]
    pub insecure_toy: bool,
    /// Write the schedule or a program of another library instead
    #[arg(long, value_enum, value_name = "WHAT", requires = "target")]
    pub emit: Option<Emitted>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetName {
    /// Native code for this machine
    #[cfg(feature = "cranelift")]
    Cranelift,
    /// Slow and exact
    Interpret,
    /// Ciphertexts of the CKKS scheme
    Ckks,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The one of this program
    Embedded,
    /// The library poulpy, a second implementation; needs a build with `--features ckks-poulpy`
    Poulpy,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emitted {
    /// The instructions over ciphertexts, for `einc ckks`
    FheSchedule,
    /// A program for OpenFHE in Python
    OpenfhePython,
    /// A program for OpenFHE in C++
    OpenfheCpp,
}

/// What the program may use.
#[derive(Args, Debug, Clone)]
pub struct MachineArgs {
    /// How many threads (default: one for each core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// The most memory a plan may take, such as 2GiB (default: 80 % of what is free)
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Give the same bits on any number of threads, whatever memory is free and whatever was measured or found before
    #[arg(long)]
    pub deterministic: bool,
}

/// How contraction orders are found.
#[derive(Args, Debug, Clone, Default)]
pub struct PlanningArgs {
    /// Take the contraction orders of this file (`einc plan --format json` writes it), and no others
    #[arg(long, value_name = "FILE")]
    pub locked_plan: Option<PathBuf>,
    /// Where orders are kept that took long to find (default: `plans` in $EINC_HOME or ~/.cache/einc); those for declared
    /// ranges of sizes (`dim N in 2..=64`) serve all sizes within
    #[arg(long, value_name = "FOLDER")]
    pub plan_cache: Option<PathBuf>,
    /// Neither read nor keep orders on disk
    #[arg(long)]
    pub no_plan_cache: bool,
}

#[derive(Args, Debug)]
pub struct TargetsArgs {
    /// Measure how fast this machine is, and keep that for the plans to come
    #[arg(long)]
    pub calibrate: bool,
}

#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The program, and one of its functions; or a tensor network as JSON
    #[arg(value_name = "FILE[::FN] | NETWORK.json")]
    pub program: String,
    #[command(flatten)]
    pub sizes: Sizes,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// How long to search for a contraction order, in seconds
    #[arg(long, value_name = "S", value_parser = parse_seconds, conflicts_with = "deterministic")]
    pub time_limit: Option<f64>,
    /// How much to search, in units of about a nanosecond: gives the same plan on any machine
    #[arg(long, value_name = "N")]
    pub work: Option<u64>,
    /// Inputs whose elements are counted as parameters, such as A,B; those declared `param` are in any case
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub params: Vec<String>,
    /// The seed of the search
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// What to make small
    #[arg(long, value_enum, default_value = "time")]
    pub objective: Objective,
    /// How to write it
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,
    /// Print a stage: slots
    #[arg(long, value_name = "PHASE")]
    pub dump: Vec<String>,
    #[command(flatten)]
    pub cipher: CipherArgs,
    /// Where to write it (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Predicted seconds
    Time,
    /// Multiply-adds
    #[value(alias = "macs")]
    Flops,
    /// Multiplications and additions: a step counts twice when it sums an index
    Ops,
    /// What is alive at once
    #[value(alias = "peak")]
    Memory,
    /// Elements written
    Write,
    /// The largest intermediate
    Size,
    /// Multiply-adds and 64 times the elements written
    Combo,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanFormat {
    Text,
    Json,
    /// A picture: of the contraction tree of a network, or of the slots of an encrypted program
    Svg,
    /// A page with the picture, memory over time and the steps
    Html,
}

#[derive(Args, Debug)]
pub struct FmtArgs {
    /// The files; `-` reads standard input and writes standard output
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Change nothing; list the files that would change and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,
}

#[derive(Args, Debug)]
pub struct GraphArgs {
    /// The program, and one of its functions
    #[arg(value_name = "FILE[::FN]")]
    pub program: String,
    #[command(flatten)]
    pub sizes: Sizes,
    /// How to write it
    #[arg(long, value_enum, default_value = "text")]
    pub format: GraphFormat,
    /// Where to write it (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFormat {
    Text,
    Dot,
    Svg,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The code, such as EIN0301 or extent-mismatch
    #[arg(required_unless_present = "list")]
    pub code: Option<String>,
    /// List every code
    #[arg(long)]
    pub list: bool,
}

/// Seconds from 0 to a million.
fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e6).contains(seconds));
    seconds.ok_or_else(|| "expected seconds, such as 10 or 0.5".to_string())
}

/// The steps of an encrypted run.
#[cfg(feature = "ckks")]
#[derive(Subcommand, Debug)]
pub enum CkksAction {
    /// Make a secret key, and the keys that the schedule needs
    #[command(
        after_help = "Writes secret.key, for the owner alone, and evaluation.keys, for who runs the schedule.\n\n\
        Example:\n  einc ckks keygen matvec.fhe -o keys"
    )]
    Keygen(KeygenArgs),
    /// Encrypt the arrays that the schedule takes
    #[command(after_help = "Example:\n  \
        einc ckks encrypt matvec.fhe --key keys/secret.key --inputs in.npz -o in.ct")]
    Encrypt(EncryptArgs),
    /// Run the schedule on ciphertexts
    #[command(after_help = "Example:\n  \
        einc ckks run matvec.fhe --keys keys/evaluation.keys --inputs in.ct -o out.ct")]
    Run(EvaluateArgs),
    /// Decrypt the results
    #[command(after_help = "Example:\n  \
        einc ckks decrypt matvec.fhe --key keys/secret.key --inputs out.ct -o out.npz")]
    Decrypt(DecryptArgs),
}

#[cfg(feature = "ckks")]
#[derive(Args, Debug)]
pub struct KeygenArgs {
    /// The schedule, from --emit fhe-schedule
    #[arg(value_name = "SCHEDULE")]
    pub schedule: PathBuf,
    /// The folder of the keys
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
}

#[cfg(feature = "ckks")]
#[derive(Args, Debug)]
pub struct EncryptArgs {
    /// The schedule, from --emit fhe-schedule
    #[arg(value_name = "SCHEDULE")]
    pub schedule: PathBuf,
    /// Arrays by name
    #[arg(value_name = "NAME=FILE.npy")]
    pub words: Vec<String>,
    /// Arrays by name, from an .npz or .safetensors file; may be given several times
    #[arg(long, value_name = "FILE")]
    pub inputs: Vec<PathBuf>,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Where the ciphertexts go
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

#[cfg(feature = "ckks")]
#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// The schedule, from --emit fhe-schedule
    #[arg(value_name = "SCHEDULE")]
    pub schedule: PathBuf,
    /// Clear arrays by name
    #[arg(value_name = "NAME=FILE.npy")]
    pub words: Vec<String>,
    /// Clear arrays by name, from an .npz or .safetensors file; may be given several times
    #[arg(long, value_name = "FILE")]
    pub clear: Vec<PathBuf>,
    /// The evaluation keys
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// The ciphertexts of the inputs
    #[arg(long, value_name = "FILE")]
    pub inputs: PathBuf,
    /// Where the ciphertexts of the results go
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// How many threads (default: one for each core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

#[cfg(feature = "ckks")]
#[derive(Args, Debug)]
pub struct DecryptArgs {
    /// The schedule, from --emit fhe-schedule
    #[arg(value_name = "SCHEDULE")]
    pub schedule: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The ciphertexts of the results
    #[arg(long, value_name = "FILE")]
    pub inputs: PathBuf,
    /// Where results go: all into an .npz or .safetensors file, or one into NAME=FILE.npy (default: printed)
    #[arg(short, long, value_name = "FILE | NAME=FILE.npy")]
    pub output: Vec<String>,
}

/// A number that distances can be compared with.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 => Ok(value),
        _ => Err("a tolerance is a number of at least 0".to_string()),
    }
}

/// `2GiB`, `512MB`, `1000000`.
fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let text = text.trim();
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|digits| (digits.trim(), *unit)))
        .unwrap_or((text, 1));
    let digits = digits.replace('_', "");
    let number: f64 = digits.parse().map_err(|_| "expected a number of bytes such as 2GiB".to_string())?;
    let bytes = number * unit as f64;
    if !(1.0..1e18).contains(&bytes) {
        return Err("expected between 1 byte and 10^18".to_string());
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn tolerances_are_no_less_than_0() {
        assert_eq!(tolerance("1e-3"), Ok(1e-3));
        assert!(["nan", "-1", "-0.5", "x"].iter().all(|text| tolerance(text).is_err()));
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(parse_bytes("2GiB"), Ok(2 << 30));
        assert_eq!(parse_bytes("1.5 kB"), Ok(1500));
        assert_eq!(parse_bytes("1_000"), Ok(1000));
        for wrong in ["", "GiB", "-1", "0", "1e30", "nan", "inf", "2 parsecs"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
