//! Every code a diagnostic can have, with its name and its explanation: 1xx syntax, 2xx names and indices, 3xx shapes
//! and types, 4xx decomposition and gradient, 5xx planning and resources, 6xx targets, 7xx files and data, 9xx internal.

use einc_grammar::SYNTAX_CODES as SYNTAX;
use std::fmt;

/// A stable code such as `EIN0301`; [`Code::slug`] is its name and [`Code::explanation`] what `einc explain` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

/// `codes! { Name = number, "slug", "explanation"; .. }`
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $number:literal, $slug:literal, $text:literal;)*) => {
        #[allow(non_upper_case_globals, missing_docs)]
        impl Code {
            $($(#[$meta])* pub const $name: Code = Code($number);)*
        }

        const TABLE: &[(u16, &str, &str)] = &[$(($number, $slug, $text)),*];
    };
}

codes! {
    UnknownName = 201, "unknown-name", "A name stands for nothing here.\n\n    C[i] = A[i] * Q[i]        # error: nothing declares `Q`\n\nA bare name is first an index of the statement, then a tensor or constant, then a dim. Declare it (`input Q: f64[N]`), define it by a statement above, or correct the spelling.";
    DuplicateDefinition = 202, "duplicate-definition", "A tensor, constant, dim or function is defined twice.\n\n    y[i] = a[i]\n    y[i] = b[i]               # error: `y` is defined above\n\nEvery tensor has one definition. Give the second one another name; use `+=` to add to an `inout` tensor or at computed positions.";
    IndexWithoutRange = 203, "index-without-range", "Nothing says how many values an index takes.\n\n    y[i] = 2 * i              # error: `i` stands in no access\n\nAn index takes its range from an access in which it stands alone, then from accesses with one unknown index, else from `where k in 0..3`.";
    AmbiguousSum = 204, "ambiguous-sum", "An index is summed, but where the sum stands would change the result.\n\n    y[i] = exp(A[i, j] * x[j])            # error\n    y[i] = exp(sum[j](A[i, j] * x[j]))    # either this\n    y[i] = sum[j](exp(A[i, j] * x[j]))    # or that\n\nAn index all of whose uses lie inside one non-linear function, condition, exponent or divisor must be bound by hand.";
    RankMismatch = 205, "rank-mismatch", "An access has more or fewer indices than the tensor has dims.\n\n    input A: f64[M, K]\n    y[i] = A[i]               # error: `A` has 2 dims\n\nWrite one index for each dim, `_` for a dim of extent 1, `...` for several.";
    UnknownFunction = 206, "unknown-function", "A call names no function of the language, of this file or of an import.\n\n    y[i] = relux(x[i])        # error\n\n`docs/language.md` lists the functions; reductions and maps take their indices in brackets: `max[j](..)`.";
    WrongArguments = 207, "wrong-arguments", "A call has the wrong number or kind of arguments.\n\n    y[i] = atan2(x[i])        # error: `atan2` takes 2 arguments\n\nA `fn` takes whole tensors by name, other calls, or expressions of rank 0.";
    UndefinedOutput = 208, "undefined-output", "A declared output or result has no definition.\n\n    output y: f64[N]          # error if no statement defines `y`\n\nDefine it by a statement, or remove the declaration.";
    UsedBeforeDefinition = 209, "used-before-definition", "A tensor is read above the statement that defines it.\n\n    y[i] = z[i] * 2           # error: `z` is defined below\n    z[i] = x[i] + 1\n\nStatements run from top to bottom; only a scan may read its own earlier steps.";
    BadLeftSide = 210, "bad-left-side", "This cannot be defined.\n\n    y[2 * i] = x[i]           # error\n    y[2 * i] += x[i]          # adds at computed positions, if `y` has a declared shape\n\nThe left side of `=` has plain indices, groups `(p r)` and `_`; an input is never assigned.";
    UnknownDim = 211, "unknown-dim", "A shape names a dim that nothing declares.\n\n    input A: f64[M, K]        # error without `dim M, K`\n\nDims of the main program are declared by `dim`; the dims in a `fn`'s signature are introduced by it.";
    UnboundDim = 212, "unbound-dim", "A dim has no value: no array's shape fixes it.\n\n    dim R\n    fn f(x: f64[N]) -> f64[R] { .. }     # R comes from nowhere\n\nGive it with `--set R=4`, or by a rank-0 integer argument of its name.";
    Recursion = 213, "recursion", "A function calls itself, directly or through others.\n\nFunctions are inlined, so recursion has no end. Write a `scan` for a recurrence.";
    BadScan = 214, "bad-scan", "A scan is not a recurrence that can run step by step.\n\n    scan[t] h[t] = h[t + 1] + x[t] from 0          # error: reads ahead\n    scan[t reversed] h[t] = h[t + 1] + x[t] from 0 # runs from the end\n\nStates are read at earlier steps only, and every state has an initial value after `from`.";
    BadImport = 215, "bad-import", "An import cannot be read.\n\nThe path is relative to the file, lies under the folder of the first file, and names a regular file; `std/..` names a module of the standard library.";
    ImportCycle = 216, "import-cycle", "A file imports itself, directly or through others.\n\nMove what both need to a third file.";
    MisplacedItem = 217, "misplaced-item", "This cannot stand here.\n\nDeclarations of inputs and outputs, imports, functions and `type` stand at the top level of a file; `return` stands in a `fn`.";
    UnknownAttribute = 218, "unknown-attribute", "An attribute is unknown, or its arguments make no sense.\n\n    @acc(f64)  @bounds(checked | clamp | trust)  @memory(limit = 2GiB)  @order(keep)\n    @tile(i = 64)  @approx(f, degree = 7, range = (-8, 8))  @plan(\"file\")";
    NeedsIndices = 219, "needs-indices", "A tensor with dims stands without indices.\n\n    y[i] = x * 2              # error: `x` has 1 dim\n    y[i] = x[i] * 2\n\nOnly an argument of a `fn` and a plain copy `y = x` name a whole tensor.";
    BadEllipsis = 220, "bad-ellipsis", "An ellipsis does not fit.\n\n    C[...b, i] = A[i, ...b]   # fine\n    C[...b, i] = A[...c, i]   # error if `c` stands for no dims of the left side\n\nAn ellipsis stands for the dims that the other indices leave, and one name stands for as many dims everywhere in a statement. It occurs once in an access.";
    BadRange = 221, "bad-range", "A range makes no sense.\n\n    where i in 0..n           # 0, 1, .., n-1\n    where i in 1..=n          # 1, 2, .., n\n\nThe right side of `in` is a range of integers, the left side an index of the statement.";
    UnknownType = 222, "unknown-type", "No dtype and no dtype variable has this name.\n\n    f64 f32 f16 bf16 c128 c64 i64 i32 i16 i8 i4 i2 u64 u32 u16 u8 u4 u2 u1 bool\n\nA variable is declared by `type F in f32, f64`.";
    UnusedIndex = 223, "unused-index", "A bound index does not occur in what it binds.\n\n    y[i] = sum[k](x[i])       # error: `k` has no use, so no range\n\nRemove it, or give it a range: `sum[k where k in 0..3](..)`.";
    UnknownEntry = 224, "unknown-entry", "The file has no entry point of this name.\n\n`einc check FILE` lists the entry points: the functions of the file, and `main` for its own statements.";
    ExtentMismatch = 301, "extent-mismatch", "One index runs over two extents.\n\n    input A: f64[M, K]\n    input B: f64[L, N]\n    C[i, k] = A[i, j] * B[j, k]     # error: `j` is K long in `A` and L long in `B`\n\nThe same index means the same extent everywhere in a statement, 1 included. If one operand is transposed, exchange its indices; if the dims are meant to be equal, use one name.";
    SizeOverflow = 302, "size-overflow", "A size is too large to count.\n\nThe number of elements of a tensor, or a size computed from dims, passes 2^62.";
    OutOfRange = 303, "out-of-range", "An access leaves the tensor.\n\n    y[i] = x[i + 1] where i in 0..N          # error: reads x[N]\n    y[i] = x[i + 1 else 0] where i in 0..N   # 0 outside\n    y[i] = x[(i + 1) % N] where i in 0..N    # wraps\n\nGive a value for outside with `else`, wrap with `%`, or shorten the range.";
    AccumulatorOverflow = 304, "accumulator-overflow", "A sum of small integers can pass the largest i32.\n\n    y[o] = x[i] * w[i, o]     # i8 * i8 over 200,000 values of `i`\n\nProducts of integers of at most 16 bits are summed in i32; the extents say whether that can overflow. Write `@acc(i64)` above the statement.";
    DTypeMismatch = 305, "dtype-mismatch", "Two element types meet.\n\n    y[i] = a[i] + b[i]        # error if `a` is f32 and `b` is f64\n    y[i] = a[i] as f64 + b[i]\n\nNothing is promoted silently; only literals, indices and dims adopt the type of the other side.";
    LiteralRange = 306, "literal-range", "A number does not fit the type it adopts.\n\n    y[i] = x[i] + 300         # error if `x` is u8 .. and 300 is not\n\nWrite `x[i] as i32 + 300`. The same holds for indices, for tables of them, and for real literals that would become infinite or 0.\n\n    y[i] = x[i] * 1e39        # error if `x` is f32";
    BadOperand = 307, "bad-operand", "A function or operator does not take values of this type.\n\n    y[i] = exp(n[i])          # error if `n` is i32\n    y[i] = exp(n[i] as f64)";
    NotBoolean = 308, "not-boolean", "A condition is not a `bool`.\n\n    y[i] = if m[i] then 1 else 0          # error if `m` is i8\n    y[i] = if m[i] != 0 then 1 else 0";
    SizeCondition = 309, "size-condition", "The sizes break a condition of the program.\n\n    dim I, G = I / 32 where I % 32 == 0   # refused for I = 40\n\nThe condition stands in the source; the arrays or `--set` gave the values.";
    BadExtent = 310, "bad-extent", "An extent is negative or no integer.\n\n    output y: f64[X - K + 1]  # refused for X = 2, K = 5";
    ShapeMismatch = 311, "shape-mismatch", "A definition or argument does not have the declared shape.\n\n    output y: f64[N]\n    y[i] = x[i] where i in 0..N - 1       # error: `y` is N long";
    NarrowingStore = 312, "narrowing-store", "A value is stored in a type that may not hold it.\n\n    output y: i8[N]\n    y[i] = x[i] * w[i]        # error: the product is an i32\n    y[i] = (x[i] * w[i]) as i8";
    BadEinsum = 313, "bad-einsum", "An einsum string does not fit its operands.\n\n    C = einsum(\"ij,jk->ik\", A, B)\n\nLabels are letters, `...` stands for the remaining dims, and there is one term for each operand.";
    SizeOneBroadcast = 314, "size-one-broadcast", "An einsum string broadcasts a dim of extent 1, as NumPy does.\n\nOutside einsum strings one index means one extent. Write the tensor with `_` at that dim instead.";
    TooBig = 315, "too-many", "The program grows too large when functions are inlined and loops of the checker are unrolled.\n\nThe limits are 200,000 statements, 1,000,000 axes, 4,000 calls, 64 calls within one another, and 128 constants or computed dims that refer to one another, 1,000,000 times in all.";
    Decomposition = 401, "decomposition-not-supported", "`decompose` is checked but cannot be computed yet.";
    Solve = 402, "solve-not-supported", "`solve` is checked but cannot be computed yet.";
    Gradient = 403, "gradient-not-supported", "`grad` is checked but cannot be computed yet.";
    LinearAlgebra = 404, "linear-algebra-not-supported", "`inv`, `det`, `logdet`, `cholesky` and `eigvals` are checked but cannot be computed yet.";
    MemoryLimit = 501, "memory-limit", "No plan fits the memory limit.\n\nThe message says what the smallest plan found needs. Raise the limit (`--memory 8GiB`, `@memory(limit = 8GiB)`), or make the sizes smaller.";
    OutOfMemory = 502, "out-of-memory", "The operating system gave no memory for the tensors of the program.";
    LevelLimit = 503, "level-limit", "An encrypted program spends more levels than secure parameters have.\n\nEvery product of ciphertexts, mask and permutation spends a level: 2 at 4096 slots, 7 at 8192, 18 at 16384, 40 at 32768. The message names the statement that spends the last one.";
    SlotLimit = 504, "slot-limit", "An encrypted product has more points than the slots of its ciphertexts.\n\nA statement takes at most 1024 ciphertexts.";
    LockedPlan = 505, "locked-plan", "A plan that is given cannot be taken.\n\n    @plan(\"orders.json\")      # beside the program; error: no such file\n    einc plan m.ein --set N=1024 --format json > orders.json\n    einc run m.ein --locked-plan orders.json ..\n\nThe file holds the contraction orders that `einc plan --format json` writes. With `--locked-plan` every product of three and more operands must be among them, at the same sizes; `@plan` searches for those that are not.";
    KeyLimit = 506, "key-limit", "An encrypted program takes more keys than are allowed.\n\n    target ckks { keys = 12 }\n\nEach amount of rotation has a key, of up to hundreds of megabytes. With fewer keys an amount without one is made of several that have one, so that there are more rotations; the message names the fewest that suffice.";
    Secret = 601, "secret-not-supported", "A `secret` input needs a target that computes on ciphertexts, and this target does not.";
    TargetSetting = 602, "target-setting", "A `target` block names an unknown target or setting.\n\n    target cpu { threads = 2, deterministic = 1 }";
    Format = 603, "format-not-supported", "This storage format is checked but tensors cannot be stored in it yet.\n\n    csr csc coo csf mask(csr)\n\nThe dense formats `packed`, `bitpacked` and `colmajor` are taken and stored unpacked, row by row.";
    Unsupported = 605, "unsupported", "The target cannot express this part of the program.";
    SecretOperation = 606, "secret-operation", "A secret is used in a way that ciphertexts do not allow.\n\n    secret input x: f64[N]\n    y[i] = if x[i] > 0 then x[i] else 0    # error: a condition depends on a secret\n    @approx(relu, degree = 15, range = (-4, 4))\n    y[i] = relu(x[i])\n\nCiphertexts are added, multiplied and rotated, nothing else: no comparison, no division, no position of an access that depends on a secret. `@approx` says by which polynomial a function is replaced.";
    MissingInput = 701, "missing-input", "The program needs an array that was not given.\n\n    einc run file.ein A=a.npy --inputs more.npz\n\n`einc check FILE` lists the inputs.";
    ExtraInput = 702, "extra-input", "An array was given that the program does not take.";
    InputRank = 703, "input-rank", "An array has more or fewer dims than the program declares.";
    InputExtent = 704, "input-extent", "An array's shape contradicts the declaration, or two arrays contradict each other.";
    InputType = 705, "input-type", "An array's element type is not the declared one and does not convert without loss.\n\nIntegers of any type are taken where every value fits; f32 is not taken for f64 nor the other way round, unless the program has a dtype variable (`type F in f32, f64`).";
    File = 706, "file", "A file cannot be read or written.";
    IndexFault = 707, "index-fault", "A computed index left its tensor while the program ran, or the ends of a range that are read from a tensor leave the range of their index, or fall.\n\n`@bounds(checked)` is the default for gathers, scatter-adds and such ranges; `@bounds(clamp)` takes the nearest element, or cuts the range.";
    Comparison = 708, "comparison-failed", "Results differ from the reference by more than the tolerance (`--compare`, `--rtol`, `--atol`).";
    Encryption = 709, "encryption", "Keys, ciphertexts or a schedule are not what the encrypted run needs, or the run failed its checks.";
    ApproximationRange = 710, "approximation-range", "A function that is approximated is applied outside its range.\n\n    @approx(sigmoid, degree = 15, range = (-8, 8))\n    y[i] = sigmoid(x[i])          # error for x = 9\n\nOutside its range the polynomial grows quickly, and ciphertexts cannot tell. Where the numbers are at hand (`einc run --target ckks`, `einc ckks encrypt`) they are tried first.";
    Internal = 901, "internal", "A bug of einc. Please report the command and the note below the message.";
}

impl Code {
    /// A syntax error's code, as the grammar numbers it (1xx).
    pub fn syntax(number: u16) -> Code {
        Code(number)
    }

    /// Every code in order.
    pub fn all() -> impl Iterator<Item = Code> {
        let syntax = SYNTAX.iter().map(|entry| entry.0);
        syntax.chain(TABLE.iter().map(|entry| entry.0)).map(Code)
    }

    /// The code of that text: `EIN0301`, `0301`, `301`, or its name `extent-mismatch`.
    pub fn parse(text: &str) -> Option<Code> {
        let digits = text.strip_prefix("EIN").or(text.strip_prefix("ein")).unwrap_or(text);
        let number = digits.parse::<u16>().ok();
        Code::all().find(|code| Some(code.0) == number || code.slug() == text)
    }

    /// Its number: the first two digits of four tell the kind.
    pub fn number(self) -> u16 {
        self.0
    }

    fn entry(self) -> Option<&'static (u16, &'static str, &'static str)> {
        SYNTAX.iter().chain(TABLE).find(|entry| entry.0 == self.0)
    }

    /// Its name, such as `extent-mismatch`.
    pub fn slug(self) -> &'static str {
        self.entry().map_or("unknown", |entry| entry.1)
    }

    /// What `einc explain` prints.
    pub fn explanation(self) -> &'static str {
        self.entry().map_or("", |entry| entry.2)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EIN{:04}", self.0)
    }
}
