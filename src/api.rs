//! What a Rust program uses: parse, check, compile, call.
//!
//! ```
//! use ndarray::array;
//!
//! let module = einc::Module::parse(
//!     "dim M, K, N
//!      input A: f64[M, K]
//!      input B: f64[K, N]
//!      output C: f64[M, N]
//!      C[i, k] = A[i, j] * B[j, k]",
//! )?;
//! let matmul = module.jit()?;
//! let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [10.0]]);
//! let results = matmul.call(&[("A", &a), ("B", &b)])?;
//! assert_eq!(results.array::<f64>("C").unwrap(), array![[21.0], [43.0]].into_dyn());
//! # Ok::<(), einc::Error>(())
//! ```

use crate::diagnostic::{Code, Diagnostic, Format, Severity, render};
use crate::pipeline::{self, Executable, Settings};
use crate::program::{self, Entry};
use crate::source::Sources;
use einc_runtime::{DType, Element, Tensor};
use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What is wrong with a program, its sizes or its arrays.
///
/// Displays as the command line does, with the lines of the source.
///
/// ```
/// let error = einc::Module::parse("input A: f64[N]\nC[i = A[i]").unwrap_err();
/// assert!(error.to_string().contains("EIN01"));
/// assert!(!error.diagnostics().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    diagnostics: Vec<Diagnostic>,
    sources: Arc<Sources>,
}

impl Error {
    fn new(diagnostics: Vec<Diagnostic>, sources: &Arc<Sources>) -> Error {
        Error { diagnostics, sources: Arc::clone(sources) }
    }

    fn one(diagnostic: Diagnostic) -> Error {
        Error { diagnostics: vec![diagnostic], sources: Arc::default() }
    }

    /// Each thing that is wrong.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// One JSON object a line, as `--message-format json` prints.
    pub fn to_json(&self) -> String {
        render(&self.diagnostics, &self.sources, Format::Json)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = render(&self.diagnostics, &self.sources, Format::Human { color: false });
        f.write_str(text.trim_end())
    }
}

impl std::error::Error for Error {}

/// Something a program can take as an array: a [`Tensor`], an `ndarray` array or view, or a number.
///
/// Tensors are used where they are; everything else is copied, in row-major order.
pub trait Operand {
    /// The tensor it is, or a copy of its elements.
    ///
    /// # Errors
    /// Where there is no memory for the copy.
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error>;
}

impl Operand for Tensor {
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
        Ok(Cow::Borrowed(self))
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> Operand for ArrayBase<S, D> {
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
        let shape: Vec<u64> = self.shape().iter().map(|&extent| extent as u64).collect();
        let tensor = match self.as_slice() {
            Some(elements) => Tensor::from_slice(&shape, elements),
            None => Tensor::from_slice(&shape, &self.iter().copied().collect::<Vec<T>>()),
        };
        tensor.map(Cow::Owned).ok_or_else(out_of_memory)
    }
}

/// A slice with a shape, as an [`Operand`].
///
/// ```
/// use einc::{Operand, Shaped};
/// let a = Shaped::new(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
/// assert_eq!(a.tensor()?.shape(), [2, 3]);
/// # Ok::<(), einc::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shaped<'a, T> {
    elements: &'a [T],
    shape: &'a [usize],
}

impl<'a, T: Element> Shaped<'a, T> {
    /// Elements in row-major order.
    pub fn new(elements: &'a [T], shape: &'a [usize]) -> Shaped<'a, T> {
        Shaped { elements, shape }
    }
}

impl<T: Element> Operand for Shaped<'_, T> {
    fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
        let shape: Vec<u64> = self.shape.iter().map(|&extent| extent as u64).collect();
        Tensor::from_slice(&shape, self.elements).map(Cow::Owned).ok_or_else(|| {
            let message =
                format!("a slice of {} elements cannot have the shape {:?}", self.elements.len(), shape);
            Error::one(Diagnostic::error(Code::InputExtent, message))
        })
    }
}

macro_rules! scalar_operands {
    ($($ty:ty),*) => {$(
        impl Operand for $ty {
            fn tensor(&self) -> Result<Cow<'_, Tensor>, Error> {
                Tensor::from_slice(&[], &[*self]).map(Cow::Owned).ok_or_else(out_of_memory)
            }
        }
    )*};
}

scalar_operands!(f64, f32, i64, i32, i16, i8, u64, u32, u16, u8, bool);

fn out_of_memory() -> Error {
    Error::one(Diagnostic::error(Code::OutOfMemory, "there is no memory for a tensor"))
}

/// Sizes and element types that no array's shape fixes, such as a rank.
///
/// ```
/// let sizes = einc::Sizes::new().dim("R", 4).dtype("F", einc::DType::F32);
/// # let _ = sizes;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    dims: BTreeMap<String, i64>,
    dtypes: BTreeMap<String, DType>,
}

impl Sizes {
    /// None yet.
    pub fn new() -> Sizes {
        Sizes::default()
    }

    /// Gives a dim its value.
    pub fn dim(mut self, name: impl Into<String>, value: i64) -> Sizes {
        self.dims.insert(name.into(), value);
        self
    }

    /// Gives a dtype variable its type.
    pub fn dtype(mut self, name: impl Into<String>, dtype: DType) -> Sizes {
        self.dtypes.insert(name.into(), dtype);
        self
    }
}

/// A parsed program: a file and everything it imports.
#[derive(Clone, Debug)]
pub struct Module {
    module: Arc<program::Module>,
    sources: Arc<Sources>,
}

impl Module {
    /// Parses a text, which imports nothing but the standard library.
    ///
    /// ```
    /// let module = einc::Module::parse("fn double(x: f64[N]) -> f64[N] { return 2 * x[i] }")?;
    /// assert_eq!(module.entries()[0].name, "double");
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Every syntax error.
    pub fn parse(text: &str) -> Result<Module, Error> {
        let mut sources = Sources::default();
        let file = sources.add("<text>", None, text);
        Module::open(sources, file)
    }

    /// Reads and parses a file.
    ///
    /// # Errors
    /// A file that cannot be read, or every syntax error.
    ///
    /// ```
    /// assert!(einc::Module::load("no/such.ein").is_err());
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Module, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::one(Diagnostic::error(Code::File, format!("cannot read `{}`: {error}", path.display())))
        })?;
        let mut sources = Sources::default();
        let file = sources.add(path.display().to_string(), Some(path.to_path_buf()), text);
        Module::open(sources, file)
    }

    fn open(mut sources: Sources, file: u32) -> Result<Module, Error> {
        let (module, diagnostics) = program::load(&mut sources, file);
        let sources = Arc::new(sources);
        match diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            true => Err(Error::new(diagnostics, &sources)),
            false => Ok(Module { module: Arc::new(module), sources }),
        }
    }

    /// The entry points: `main` for the file's own statements, and each `fn`.
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[3]\noutput y: f64\ny = sum[i](x[i])")?;
    /// let main = &module.entries()[0];
    /// assert_eq!((main.name.as_str(), main.inputs[0].name.as_str()), ("main", "x"));
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn entries(&self) -> Vec<Entry> {
        program::entries(&self.module, &self.sources)
    }

    /// Checks everything that does not depend on sizes; gives the warnings.
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[3]\ny[i] = x[i] + z[i]")?;
    /// let error = module.check().unwrap_err();
    /// assert_eq!(error.diagnostics()[0].code.slug(), "unknown-name");
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong for any sizes.
    pub fn check(&self) -> Result<Vec<Diagnostic>, Error> {
        let diagnostics = pipeline::check_all(&self.module, &self.sources);
        match diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            true => Err(Error::new(diagnostics, &self.sources)),
            false => Ok(diagnostics),
        }
    }

    /// The file's own statements as a function, compiled at its first call for each set of sizes.
    ///
    /// ```
    /// let module = einc::Module::parse("dim N\ninput x: f64[N]\noutput s: f64\ns = x[i] * x[i]")?;
    /// let norm = module.jit()?;
    /// for n in 1..4 {
    ///     let x = ndarray::Array1::<f64>::ones(n);
    ///     assert_eq!(norm.call(&[("x", &x)])?.number("s"), Some(n as f64));
    /// }
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong for any sizes.
    pub fn jit(&self) -> Result<Function, Error> {
        self.function("main", &Sizes::default(), &Settings::default())
    }

    /// An entry point as a function, compiled at its first call for each set of sizes; `sizes` gives those that no
    /// array's shape fixes.
    ///
    /// ```
    /// let module = einc::Module::parse("fn head(x: f64[N]) -> (y: f64[K]) { y[i] = x[i] where i in 0..K }")?;
    /// let head = module.function("head", &einc::Sizes::new().dim("K", 2), &Default::default())?;
    /// let results = head.call(&[("x", &ndarray::array![7.0, 8.0, 9.0])])?;
    /// assert_eq!(results.first().as_slice::<f64>().unwrap(), [7.0, 8.0]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong for any sizes, or an unknown name.
    pub fn function(&self, entry: &str, sizes: &Sizes, settings: &Settings) -> Result<Function, Error> {
        self.check()?;
        let known = self.entries();
        if !known.iter().any(|candidate| candidate.name == entry) {
            let names: Vec<String> = known.iter().map(|entry| format!("`{}`", entry.name)).collect();
            return Err(Error::one(
                Diagnostic::error(Code::UnknownEntry, format!("there is no entry point `{entry}`"))
                    .note(format!("there is {}", names.join(", "))),
            ));
        }
        Ok(Function {
            module: self.clone(),
            entry: entry.to_string(),
            inputs: known
                .into_iter()
                .filter(|candidate| candidate.name == entry)
                .flat_map(|entry| entry.inputs)
                .map(|input| input.name)
                .collect(),
            sizes: sizes.clone(),
            settings: settings.clone(),
            cache: Mutex::default(),
        })
    }

    /// Compiles an entry point for given sizes, now.
    ///
    /// ```
    /// use einc::{Module, Sizes, Tensor};
    /// let module = Module::parse("fn gram(x: f64[N, K]) -> (g: f64[K, K]) { g[a, b] = x[n, a] * x[n, b] }")?;
    /// let gram = module.compile("gram", &Sizes::new().dim("N", 3).dim("K", 1))?;
    /// let x = Tensor::from_slice(&[3, 1], &[1.0, 2.0, 3.0]).unwrap();
    /// let mut results = gram.results().unwrap();
    /// gram.call_into(&[&x], &mut results)?; // allocates nothing
    /// assert_eq!(results[0].as_slice::<f64>().unwrap(), [14.0]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with it for these sizes, or a size that is missing.
    pub fn compile(&self, entry: &str, sizes: &Sizes) -> Result<Compiled, Error> {
        let bindings = pipeline::bindings(
            sizes.dims.clone(),
            sizes.dtypes.clone(),
            std::iter::empty::<(&str, &Tensor)>(),
        );
        self.build(entry, &bindings, &Settings::default())
    }

    fn build(
        &self,
        entry: &str,
        bindings: &program::Bindings,
        settings: &Settings,
    ) -> Result<Compiled, Error> {
        let fail = |diagnostics| Error::new(diagnostics, &self.sources);
        let (program, _) = pipeline::check(&self.module, entry, bindings).map_err(fail)?;
        let executable = pipeline::compile(program, settings, &mut |_, _| ()).map_err(fail)?;
        Ok(Compiled { executable, sources: Arc::clone(&self.sources) })
    }
}

/// A program compiled for one set of sizes.
///
/// May be called from many threads at once.
///
/// ```
/// fn needs_send_and_sync<T: Send + Sync>() {}
/// needs_send_and_sync::<einc::Compiled>();
/// needs_send_and_sync::<einc::Function>();
/// ```
#[derive(Debug)]
pub struct Compiled {
    executable: Executable,
    sources: Arc<Sources>,
}

impl Compiled {
    /// Name, element type and shape of each input, in the order of [`Compiled::call_into`].
    pub fn inputs(&self) -> impl Iterator<Item = (&str, DType, &[u64])> {
        let program = self.executable.program();
        program.inputs.iter().map(|&id| {
            let tensor = &program.tensors[id];
            (tensor.name.as_str(), tensor.dtype, tensor.shape.as_slice())
        })
    }

    /// Name, element type and shape of each result, in the order of [`Compiled::call_into`].
    pub fn outputs(&self) -> impl Iterator<Item = (&str, DType, &[u64])> {
        let program = self.executable.program();
        program.outputs.iter().map(|(name, id)| {
            let tensor = &program.tensors[*id];
            (name.as_str(), tensor.dtype, tensor.shape.as_slice())
        })
    }

    /// Tensors for the results, all zero. `None` where there is no memory for them.
    pub fn results(&self) -> Option<Vec<Tensor>> {
        self.executable.results()
    }

    /// Computes the results into tensors that are there already.
    ///
    /// # Errors
    /// An input or result of another type or shape, or a computed index that leaves its tensor; the results are then
    /// of no use.
    pub fn call_into(&self, inputs: &[&Tensor], results: &mut [Tensor]) -> Result<(), Error> {
        let program = self.executable.program();
        let fits = |tensor: &Tensor, id| {
            let declared: &program::Tensor = &program.tensors[id];
            tensor.dtype() == declared.dtype && tensor.shape() == declared.shape
        };
        let all = inputs.len() == program.inputs.len()
            && results.len() == program.outputs.len()
            && inputs.iter().zip(&program.inputs).all(|(tensor, id)| fits(tensor, *id))
            && results.iter().zip(&program.outputs).all(|(tensor, (_, id))| fits(tensor, *id));
        if !all {
            return Err(self.misfit(inputs, results));
        }
        self.executable.run(inputs, results).map_err(|fault| {
            Error::new(vec![pipeline::fault_diagnostic(&fault, &self.sources)], &self.sources)
        })
    }

    fn misfit(&self, inputs: &[&Tensor], results: &[Tensor]) -> Error {
        let text = |dtype: DType, shape: &[u64]| format!("{dtype}{shape:?}");
        let given: Vec<String> = inputs
            .iter()
            .copied()
            .chain(results)
            .map(|tensor| text(tensor.dtype(), tensor.shape()))
            .collect();
        let wanted: Vec<String> = self
            .inputs()
            .chain(self.outputs())
            .map(|(name, dtype, shape)| format!("{name}: {}", text(dtype, shape)))
            .collect();
        Error::one(
            Diagnostic::error(Code::InputExtent, format!("the tensors are {}", given.join(", ")))
                .note(format!("the program needs {}", wanted.join(", "))),
        )
    }
}

/// An entry point that compiles itself for the sizes of its arguments and remembers what it has compiled.
#[derive(Debug)]
pub struct Function {
    module: Module,
    entry: String,
    /// The names of its inputs; rank-0 integers of other names are sizes.
    inputs: Vec<String>,
    sizes: Sizes,
    settings: Settings,
    cache: Mutex<Cache>,
}

/// What a compiled program depends on: sizes, and the types, shapes and rank-0 integers of the arguments.
type Key = (Vec<(String, i64)>, Vec<(String, DType, Vec<u64>, Option<i128>)>);

/// What has been compiled.
type Cache = HashMap<Key, Arc<Compiled>>;

/// How many sets of sizes one function remembers.
const REMEMBERED: usize = 64;

impl Function {
    /// Calls it with arrays by name.
    ///
    /// # Errors
    /// What is wrong with the arrays, with the program for these sizes, or a computed index that leaves its tensor.
    pub fn call(&self, arrays: &[(&str, &dyn Operand)]) -> Result<Results, Error> {
        let mut tensors = pipeline::Arrays::new();
        for (name, operand) in arrays {
            if tensors.insert(name.to_string(), operand.tensor()?).is_some() {
                return Err(Error::one(Diagnostic::error(
                    Code::ExtraInput,
                    format!("array `{name}` is given twice"),
                )));
            }
        }
        let names: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        let mut dims = self.sizes.dims.clone();
        dims.extend(pipeline::take_sizes(&mut tensors, &names));
        let compiled = self.compiled(dims, &tensors)?;
        let program = compiled.executable.program();
        let fail = |diagnostics| Error::new(diagnostics, &self.module.sources);
        let (inputs, extra) = pipeline::arguments(program, tensors).map_err(fail)?;
        if let Some(name) = extra.first() {
            let message = format!("the program takes no array `{name}`");
            return Err(Error::one(Diagnostic::error(Code::ExtraInput, message)));
        }
        let mut results = compiled.results().ok_or_else(out_of_memory)?;
        let inputs: Vec<&Tensor> = inputs.iter().map(Cow::as_ref).collect();
        compiled.call_into(&inputs, &mut results)?;
        let names = program.outputs.iter().map(|(name, _)| name.clone());
        Ok(Results { results: names.zip(results).collect() })
    }

    /// The program for the sizes of these arguments, compiled unless it is there already.
    fn compiled(
        &self,
        dims: BTreeMap<String, i64>,
        tensors: &pipeline::Arrays<'_>,
    ) -> Result<Arc<Compiled>, Error> {
        let given = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.as_ref()));
        let bindings = pipeline::bindings(dims, self.sizes.dtypes.clone(), given);
        let arrays = bindings
            .args
            .iter()
            .map(|(name, info)| (name.clone(), info.dtype, info.shape.clone(), info.value))
            .collect();
        let key = (bindings.dims.clone().into_iter().collect(), arrays);
        if let Some(found) = locked(&self.cache).get(&key) {
            return Ok(Arc::clone(found));
        }
        let compiled = Arc::new(self.module.build(&self.entry, &bindings, &self.settings)?);
        let mut cache = locked(&self.cache);
        if cache.len() >= REMEMBERED {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

/// A cache is whole after every step on it, so a panic elsewhere leaves it fit for use.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results of a call by name, in the order of the program.
#[derive(Clone, Debug)]
pub struct Results {
    results: Vec<(String, Tensor)>,
}

impl Results {
    /// The result of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.results.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor)
    }

    /// The first result; every entry point has one.
    pub fn first(&self) -> &Tensor {
        &self.results[0].1
    }

    /// The result of that name as an array, if it has that element type.
    pub fn array<T: Element>(&self, name: &str) -> Option<ArrayD<T>> {
        array(self.get(name)?)
    }

    /// The result of that name as a number, if it has rank 0 and is real.
    pub fn number(&self, name: &str) -> Option<f64> {
        let tensor = self.get(name)?;
        (tensor.shape().is_empty() && !tensor.dtype().is_complex()).then(|| tensor.get(0).re())
    }

    /// Names and tensors in the order of the program.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.results.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// A tensor's elements as an `ndarray` array, if it has that element type.
///
/// ```
/// let tensor = einc::Tensor::from_slice(&[2], &[1i32, 2]).unwrap();
/// assert_eq!(einc::array::<i32>(&tensor), Some(ndarray::array![1, 2].into_dyn()));
/// assert_eq!(einc::array::<f32>(&tensor), None);
/// ```
pub fn array<T: Element>(tensor: &Tensor) -> Option<ArrayD<T>> {
    let shape: Vec<usize> = tensor.shape().iter().map(|&extent| extent as usize).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), tensor.as_slice::<T>()?.to_vec()).ok()
}

/// An einsum string on arrays, with the rules of NumPy and opt_einsum; compiled once for each string and shapes.
///
/// ```
/// use ndarray::array;
/// let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [10.0]]);
/// let c = einc::einsum("ij,jk->ik", &[&a, &b])?;
/// assert_eq!(c.as_slice::<f64>().unwrap(), [21.0, 43.0]);
/// # Ok::<(), einc::Error>(())
/// ```
///
/// # Errors
/// A string that does not fit the arrays.
pub fn einsum(spec: &str, operands: &[&dyn Operand]) -> Result<Tensor, Error> {
    static COMPILED: OnceLock<Mutex<EinsumCache>> = OnceLock::new();
    let tensors = operands.iter().map(|operand| operand.tensor()).collect::<Result<Vec<_>, Error>>()?;
    let tensors: Vec<&Tensor> = tensors.iter().map(|tensor| tensor.as_ref()).collect();
    let types = tensors.iter().map(|tensor| (tensor.dtype(), tensor.shape().to_vec())).collect();
    let key = (spec.to_string(), types);
    let cache = COMPILED.get_or_init(Mutex::default);
    let found = locked(cache).get(&key).cloned();
    let compiled = match found {
        Some(compiled) => compiled,
        None => {
            let (program, _) = pipeline::einsum(spec, &tensors).map_err(Error::one)?;
            let sources = Arc::default();
            let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| ())
                .map_err(|diagnostics| Error::new(diagnostics, &sources))?;
            let compiled = Arc::new(Compiled { executable, sources });
            let mut cache = locked(cache);
            if cache.len() >= REMEMBERED {
                cache.clear();
            }
            cache.insert(key, Arc::clone(&compiled));
            compiled
        }
    };
    let mut results = compiled.results().ok_or_else(out_of_memory)?;
    compiled.call_into(&tensors, &mut results)?;
    results.pop().ok_or_else(out_of_memory)
}

/// What [`einsum`] has compiled, by the string and the types and shapes of the operands.
type EinsumCache = HashMap<(String, Vec<(DType, Vec<u64>)>), Arc<Compiled>>;
