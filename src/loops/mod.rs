//! Loops over addressed memory: what native and GPU back ends translate, and nothing is left for them to decide.
//!
//! A program is a list of statements in structured control flow. Values are typed lanes: a dtype (never complex, a
//! complex number is a pair of values) and how many elements of it. Loops run over constant ranges; every access
//! is `buffer[constant + sum of stride * loop variable + value]`, in elements of the accessed dtype.
//!
//! ```text
//! for i0 in 0..512 parallel {
//!   for j0 in 0..128 step 4 {
//!     v0: f32x4 = 0.0
//!     for k0 in 0..256 {
//!       v1: f32 = load b0[256*i0 + k0]
//!       v2: f32x4 = splat v1
//!       v3: f32x4 = load b1[128*k0 + j0]
//!       v0: f32x4 = fma v2 v3 v0
//!     }
//!     store b2[128*i0 + j0] = v0
//!   }
//! }
//! ```

mod lower;
mod text;
mod verify;
#[cfg(test)]
mod verify_tests;

pub use lower::lower;
pub use verify::verify;

use crate::expr::{Binary, ReduceOp, Unary};
use crate::fault::Checked;
use crate::id::IdVec;
use crate::id_type;
use crate::source::Span;
use einc_runtime::fourier::{Convolution, Transform};
use einc_runtime::gemm::{Band, Gemm};
use einc_runtime::permute::CopyAxis;
use einc_runtime::{DType, Tensor};
use std::fmt;
use std::sync::Arc;

id_type! {
    /// Names a buffer; those of the plan keep their number.
    pub struct BufferId = "b"
}

id_type! {
    /// Names a loop variable, an `i64`.
    pub struct VarId = "i"
}

id_type! {
    /// Names a value: one register of lanes. It may be assigned again.
    pub struct ValueId = "v"
}

id_type! {
    /// Names a place where a program can fail at run time.
    pub struct SiteId = "s"
}

id_type! {
    /// Names a matrix product.
    pub struct GemmId = "g"
}

id_type! {
    /// Names a copy into another order.
    pub struct PermuteId = "p"
}

id_type! {
    /// Names a Fourier transform, or a convolution by way of it.
    pub struct FourierId = "f"
}

/// A program as loops.
#[derive(Clone, Debug)]
pub struct Loops {
    /// The name of the program.
    pub name: String,
    /// Every buffer.
    pub buffers: IdVec<BufferId, Buffer>,
    /// Bytes of the arena.
    pub arena: u64,
    /// Bytes of scratch memory that each worker has for itself.
    pub scratch: u64,
    /// Name of every loop variable.
    pub vars: IdVec<VarId, String>,
    /// Type of every value.
    pub values: IdVec<ValueId, Type>,
    /// Where a program can fail.
    pub sites: IdVec<SiteId, Site>,
    /// The matrix products that statements call.
    pub gemms: IdVec<GemmId, Gemm>,
    /// The copies that statements call.
    pub permutes: IdVec<PermuteId, Permute>,
    /// The transforms and convolutions that statements call.
    pub fouriers: IdVec<FourierId, Fourier>,
    /// The steps, in order; no value is used in another step than its own.
    pub steps: Vec<Vec<Stmt>>,
}

/// A piece of memory, 64-byte aligned.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The tensor it holds, as the source calls it.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// How many elements it has.
    pub elems: u64,
    /// Where it is.
    pub place: Place,
}

impl Buffer {
    /// The bytes it takes; saturates.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes_of(self.elems)
    }
}

/// Where a buffer is.
#[derive(Clone, Debug)]
pub enum Place {
    /// The caller's argument of that number; read only.
    Input(usize),
    /// The caller's result of that number.
    Output(usize),
    /// Made with the program.
    Constant(Arc<Tensor>),
    /// That many bytes into the arena.
    Arena(u64),
    /// That many bytes into the worker's own scratch memory.
    Scratch(u64),
}

/// The type of a value: lanes of one dtype, which is not complex.
///
/// Arithmetic is that of the dtype: narrow integers wrap after every operation, `f16` and `bf16` are computed in
/// `f32` and rounded where they are stored or converted. `bool` lanes come from comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The dtype.
    pub dtype: DType,
    /// 1, or as many as a 128-bit register holds (2 of 64 bits, else 4); a `bool` may have any of these.
    pub lanes: u8,
}

impl Type {
    /// One element.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, lanes: 1 }
    }
}

/// How many elements of a dtype are computed at once in one vector.
pub fn vector_lanes(dtype: DType) -> u8 {
    match dtype {
        DType::F64 | DType::I64 | DType::U64 | DType::C128 => 2,
        _ => 4,
    }
}

/// `offset + sum of stride * variable + dynamic`, in elements of the accessed dtype, of a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The memory.
    pub buffer: BufferId,
    /// The constant part.
    pub offset: i64,
    /// Loop variables with strides that are not 0, by variable.
    pub terms: Vec<(VarId, i64)>,
    /// A computed `i64` part.
    pub dynamic: Option<ValueId>,
}

/// A constant; floats are compared by their bits.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// Of an integer dtype or `bool`; `u64` values as their bits.
    Int(i64),
    /// Of a float dtype.
    Real(f64),
}

impl Number {
    fn bits(self) -> (bool, u64) {
        match self {
            Number::Int(value) => (false, value as u64),
            Number::Real(value) => (true, value.to_bits()),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

/// Arithmetic on two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arith {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// One of the language's operators.
    Lang(Binary),
}

/// How a value is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The same number in every lane.
    Const(Number),
    /// `offset + sum of stride * variable`, an `i64`.
    Affine(i64, Vec<(VarId, i64)>),
    /// `0, 1, ..` along the lanes.
    Iota,
    /// The same value.
    Copy(ValueId),
    /// Elements that lie side by side, converted from the memory's dtype.
    Load(DType, Address),
    /// A scalar in every lane.
    Splat(ValueId),
    /// A vector of scalars.
    Pack(Vec<ValueId>),
    /// One lane.
    Lane(ValueId, u8),
    /// A function of one value of the same dtype.
    Unary(Unary, ValueId),
    /// Arithmetic; comparisons give `bool`.
    Binary(Arith, ValueId, ValueId),
    /// `a * b + c`, rounded once where the machine can.
    Fma(ValueId, ValueId, ValueId),
    /// `if condition then a else b`, both known.
    Select(ValueId, ValueId, ValueId),
    /// The value in another dtype, as [`crate::expr::Expr::Cast`] says.
    Cast(ValueId),
    /// One part of a function of complex values: `[re, im]` or, of two, `[re, im, re, im]`.
    Complex(ComplexOp, Part, Vec<ValueId>),
}

/// A part of a complex number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The real part.
    Re,
    /// The imaginary part.
    Im,
}

/// A function of complex values that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComplexOp {
    /// Of one value.
    Unary(Unary),
    /// Of two values.
    Binary(Binary),
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    /// Computes a value, or computes it again.
    Let(ValueId, Op),
    /// Writes lanes side by side; the memory's dtype is the value's.
    Store(Address, ValueId),
    /// A loop.
    For(Box<For>),
    /// Runs one of two lists, by a `bool`.
    If(ValueId, Vec<Stmt>, Vec<Stmt>),
    /// Ends the program with a fault unless `0 <= value < extent`.
    Check(ValueId, u64, SiteId),
    /// Calls a matrix product on `[a, b, c]`, and on the `bool`s that say what of it is wanted if it has strides for these;
    /// inside a parallel loop it runs on the worker's own thread.
    Gemm(GemmId, [Address; 3], Option<Address>),
    /// Copies from the first address to the second; not inside a parallel loop.
    Permute(PermuteId, [Address; 2]),
    /// Writes the positions, as `i64`, that put a row in order.
    Sort(Box<Sort>),
    /// Calls a transform on `[from, to, work]`, or a convolution on `[x, k, y, work]`.
    Fourier(FourierId, Vec<Address>),
    /// Writes a function of each of many numbers that lie side by side.
    Map(Box<Map>),
    /// Computes one value of many numbers that lie side by side.
    Fold(ValueId, Box<Fold>),
    /// Writes one value of each column of many rows.
    FoldRows(Box<FoldRows>),
}

/// A function of `f32` or `f64` numbers, by a call for all of them.
#[derive(Clone, Debug)]
pub struct Map {
    /// The function: one of those that [`Mapped::exists`] says.
    pub function: Mapped,
    /// The dtype of numbers and results.
    pub dtype: DType,
    /// The numbers.
    pub from: Address,
    /// Where the results go: to the numbers' own places, or elsewhere altogether.
    pub to: Address,
    /// How many there are.
    pub len: u64,
}

/// One value of many `f32` or `f64` numbers, by a call for all of them.
#[derive(Clone, Debug)]
pub struct Fold {
    /// `Sum`, `Max` or `Min`, or `ArgMax` or `ArgMin`, which give an `i64`.
    pub op: ReduceOp,
    /// The dtype of the numbers.
    pub dtype: DType,
    /// The numbers.
    pub from: Address,
    /// How many there are.
    pub len: u64,
}

/// Rows of `f32` or `f64` numbers side by side, joined element by element.
#[derive(Clone, Debug)]
pub struct FoldRows {
    /// `Sum`, `Max` or `Min`.
    pub op: ReduceOp,
    /// The dtype of numbers and results.
    pub dtype: DType,
    /// The first row.
    pub from: Address,
    /// Elements from one row to the next.
    pub stride: i64,
    /// How many rows there are.
    pub rows: u64,
    /// Where the results go, side by side; apart from the rows.
    pub to: Address,
    /// How many numbers a row has.
    pub len: u64,
}

/// A function that can be called for many values at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mapped {
    /// A function of the language.
    Unary(Unary),
    /// The power of an `f32` with this exponent, which is finite and no integer.
    Power(f64),
}

impl Mapped {
    /// Whether there is a call for values of that dtype.
    pub fn exists(self, dtype: DType) -> bool {
        match (self, dtype) {
            (Mapped::Unary(function), DType::F32) => {
                einc_runtime::math::ARRAY_F32.iter().any(|entry| entry.0 == function.name())
            }
            (Mapped::Unary(function), DType::F64) => {
                einc_runtime::math::ARRAY_F64.iter().any(|entry| entry.0 == function.name())
            }
            (Mapped::Power(exponent), DType::F32) => exponent.is_finite() && exponent.fract() != 0.0,
            _ => false,
        }
    }
}

impl fmt::Display for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Mapped::Unary(function) => f.write_str(function.name()),
            Mapped::Power(exponent) => write!(f, "power {exponent}"),
        }
    }
}

/// What is computed by way of Fourier transforms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fourier {
    /// A transform of rows.
    Transform(Transform),
    /// A convolution of rows.
    Convolution(Convolution),
}

impl Fourier {
    /// The dtypes of what it is called on.
    pub fn dtypes(&self) -> Vec<DType> {
        match self {
            Fourier::Transform(transform) => {
                let real = transform.dtype.real_part();
                let read = if transform.real { real } else { transform.dtype };
                let operands = if transform.factors.is_some() { 2 } else { 1 };
                let written = if transform.real_parts { real } else { transform.dtype };
                [vec![read; operands], vec![written, real]].concat()
            }
            Fourier::Convolution(convolution) => vec![convolution.dtype; 4],
        }
    }
}

/// A copy of elements into another order.
#[derive(Clone, Debug, PartialEq)]
pub struct Permute {
    /// The dtype of both tensors.
    pub dtype: DType,
    /// The axes with their strides in both.
    pub axes: Vec<CopyAxis>,
}

/// The order of one row.
#[derive(Clone, Debug)]
pub struct Sort {
    /// The dtype of the values.
    pub dtype: DType,
    /// The values, side by side.
    pub row: Address,
    /// How many there are.
    pub len: u64,
    /// Whether the greatest come first, NaN before all (else the least come first, NaN after all). Ties to the lower
    /// position.
    pub descending: bool,
    /// How many positions of the order are wanted.
    pub take: u64,
    /// Where all positions go, side by side; those after the wanted ones in no order.
    pub positions: Address,
}

/// A loop `for var in start..end step step`, from the greater of its two starts to the lesser of its two ends.
#[derive(Clone, Debug)]
pub struct For {
    /// Its variable.
    pub var: VarId,
    /// The least first value.
    pub start: i64,
    /// Where it ends at the latest; not reached.
    pub end: i64,
    /// A start that is only known when the program runs; not in a parallel loop.
    pub from: Option<ValueId>,
    /// An end that is only known when the program runs; not in a parallel loop.
    pub to: Option<ValueId>,
    /// The step, at least 1.
    pub step: i64,
    /// Whether iterations are independent and worth spreading over threads.
    pub parallel: bool,
    /// The buffer that processes put together after a parallel loop of which each runs a part.
    pub shared: Option<BufferId>,
    /// What is done.
    pub body: Vec<Stmt>,
}

/// A place where a program can fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The access in the source.
    pub place: Span,
    /// The tensor's name.
    pub tensor: String,
    /// What the value stands for.
    pub checked: Checked,
    /// The value must be at least 0 and below this.
    pub extent: u64,
}
